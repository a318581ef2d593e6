//! Posts: who fills them, what stands open, and their review until the vacancies are the published ones.

use rand::Rng;

use crate::calendar::Day;
use crate::staff_plan::Planner;
use crate::workforce::PostPeriod;

impl Planner<'_> {
    /// The post a new employee takes: an empty one that is on record by then, else a new one.
    pub(crate) fn fill_post(&mut self, known: Day, started: Day, team: usize) -> usize {
        let covered: Vec<usize> = self.agency.iter().filter_map(|s| self.plan.spells[*s].post).collect();
        let free = (0..self.occupants.len()).filter(|p| self.empty_post(*p, known, 10));
        match free.min_by_key(|p| covered.contains(p)) {
            Some(post) => post,
            None => self.open_post(known, started, 10, team),
        }
    }

    /// The empty post an agency worker covers, if there is one.
    pub(crate) fn cover_post(&self, known: Day) -> Option<usize> {
        let covered: Vec<usize> = self.agency.iter().filter_map(|s| self.plan.spells[*s].post).collect();
        (0..self.occupants.len()).find(|p| self.empty_post(*p, known, 1) && !covered.contains(p))
    }

    pub(crate) fn empty_post(&self, post: usize, known: Day, least: u32) -> bool {
        let (occupant, period) = self.occupants[post];
        occupant.is_none()
            && period.is_some_and(|p| self.plan.posts[p].fte >= least && self.plan.posts[p].known <= known)
    }

    pub(crate) fn open_post(&mut self, known: Day, from: Day, fte: u32, team: usize) -> usize {
        let post = self.occupants.len();
        let recruiting = self.rng.random_bool(0.7);
        self.occupants.push((None, Some(self.plan.posts.len())));
        self.plan.posts.push(PostPeriod {
            post,
            known,
            from,
            to: None,
            fte,
            team,
            recruiting,
        });
        post
    }

    /// Vacant tenths: what is open less those directly employed on it.
    pub(crate) fn vacant_tenths(&self) -> u32 {
        let vacancy = |(occupant, period): &(Option<usize>, Option<usize>)| {
            let fte = period.map_or(0, |p| self.plan.posts[p].fte);
            fte.saturating_sub(occupant.map_or(0, |s| self.plan.spells[s].fte))
        };
        self.occupants.iter().map(vacancy).sum()
    }

    /// Opens and deletes empty posts until the vacancy is `target`: to the tenth when `exact`, else to a whole post.
    pub(crate) fn review_posts(&mut self, day: Day, target: u32, exact: bool) {
        while self.vacant_tenths() + 10 <= target {
            let team = self.any_team();
            self.open_post(day, day, 10, team);
        }
        let covered: Vec<usize> = self.agency.iter().filter_map(|s| self.plan.spells[*s].post).collect();
        while self.vacant_tenths() >= target + 10 {
            let empty = |p: &usize| {
                self.occupants[*p].0.is_none() && self.occupants[*p].1.is_some_and(|i| self.plan.posts[i].fte <= 10)
            };
            let Some(post) = (0..self.occupants.len())
                .filter(empty)
                .min_by_key(|p| covered.contains(p))
            else {
                break;
            };
            self.close_post(post, day);
        }
        let now = self.vacant_tenths();
        if exact && now < target {
            let team = self.any_team();
            self.open_post(day, day, target - now, team);
        } else if exact && now > target {
            let whole = |p: &usize| {
                self.occupants[*p].0.is_none() && self.occupants[*p].1.is_some_and(|i| self.plan.posts[i].fte == 10)
            };
            if let Some(post) = (0..self.occupants.len()).find(whole) {
                let period = self.occupants[post].1.expect("a whole post is open");
                let rest = PostPeriod {
                    known: day,
                    from: day,
                    fte: 10 - (now - target),
                    ..self.plan.posts[period].clone()
                };
                self.close_post(post, day);
                self.occupants[post].1 = Some(self.plan.posts.len());
                self.plan.posts.push(rest);
            }
        }
    }

    pub(crate) fn close_post(&mut self, post: usize, day: Day) {
        let period = self.occupants[post].1.take().expect("only open posts are closed");
        self.plan.posts[period].to = Some(day.plus(-1));
    }
}
