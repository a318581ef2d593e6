//! Who leaves, from the agency or for good, who stays under a contract of their own, and who moves to another team.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::calendar::Day;
use crate::staff_plan::Planner;
use crate::workforce::{Employment, Spell};

impl Planner<'_> {
    /// A direct employee's last day comes, or an agency worker's.
    pub(crate) fn leave(&mut self, fte: u32, day: Day, direct: bool, holders: u32) {
        let pool = if direct { &self.direct } else { &self.agency };
        let who = |least_days: i32| -> Vec<usize> {
            let may = |s: &&usize| {
                let spell = &self.plan.spells[**s];
                let settled = spell.started.plus(least_days) < day;
                let here = self.away[spell.worker].is_none_or(|until| until.plus(20) < day);
                spell.fte == fte && settled && here && !self.manages(spell.worker)
            };
            pool.iter().filter(may).copied().collect()
        };
        let settled = who(60);
        let candidates = if settled.is_empty() { who(1) } else { settled };
        // Holders go while there are more than there should be, anybody else of the year, others before the census.
        let surplus = self.holder_tenths(day) > holders || (!Self::near_census(day) && self.rng.random_bool(0.5));
        let fitting: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|s| self.plan.spells[*s].case_holding == surplus)
            .collect();
        let from = if fitting.is_empty() { &candidates } else { &fitting };
        let Some(index) = from.choose(self.rng).copied() else {
            if !direct {
                self.leave_in_part(fte, day, holders);
            }
            return;
        };
        let notice = if direct {
            self.rng.random_range(24..60)
        } else {
            self.rng.random_range(6..21)
        };
        let reason = match (direct, self.rng.random_range(0..100)) {
            (false, _) => "agency_end",
            (true, 0..55) => "1",
            (true, 55..65) => "2",
            (true, 65..75) => "5",
            (true, 75..85) => "7",
            (true, 85..93) => "4",
            (true, _) => "10",
        };
        self.end(index, day, day.plus(-notice), reason);
        if direct {
            self.direct.retain(|s| *s != index)
        } else {
            self.agency.retain(|s| *s != index)
        }
    }

    /// Nobody of the agency has just these hours: somebody with more goes, and somebody with the rest comes.
    pub(crate) fn leave_in_part(&mut self, fte: u32, day: Day, holders: u32) {
        let more = |s: &&usize| self.plan.spells[**s].fte > fte && self.plan.spells[**s].started < day;
        if let Some(index) = self.agency.iter().find(more).copied() {
            let rest = self.plan.spells[index].fte - fte;
            self.end(index, day, day.plus(-7), "agency_end");
            self.agency.retain(|s| *s != index);
            self.start(Employment::Agency, rest, day, day, holders);
        }
    }

    /// An agency worker takes a contract of their own, and goes on with the same cases.
    pub(crate) fn convert(&mut self, fte: u32, day: Day, holders: u32) {
        let may = |s: &&usize| {
            let spell = &self.plan.spells[**s];
            let here = self.away[spell.worker].is_none_or(|until| until.plus(5) < day);
            spell.fte == fte && spell.started.plus(60) < day && here
        };
        let candidates: Vec<usize> = self.agency.iter().filter(may).copied().collect();
        let Some(old) = candidates.choose(self.rng).copied() else {
            self.leave(fte, day, false, holders);
            self.start(Employment::Permanent, fte, day, day, holders);
            return;
        };
        let known = day.plus(-14);
        self.end(old, day.plus(-1), known, "agency_end");
        self.plan.spells[old].converts = true;
        self.agency.retain(|s| *s != old);
        let post = self.fill_post(known, day, self.plan.spells[old].team);
        let index = self.add(Spell {
            employment: Employment::Permanent,
            started: day,
            known,
            ended: None,
            end_known: day,
            end_reason: None,
            converts: false,
            post: Some(post),
            ..self.plan.spells[old].clone()
        });
        self.occupants[post].0 = Some(index);
        self.direct.push(index);
    }

    pub(crate) fn end(&mut self, index: usize, day: Day, known: Day, reason: &'static str) {
        let spell = &mut self.plan.spells[index];
        if let Some(manager) = spell.line_manager {
            self.reports[manager] -= 1;
        }
        spell.ended = Some(day);
        spell.end_known = known.max(spell.known);
        spell.end_reason = Some(reason);
        if let Some(post) = spell.post.filter(|_| spell.direct()) {
            self.occupants[post].0 = None;
        }
    }

    /// A holder of cases moves to another team: the contract ends by changed terms, the next begins the day after.
    pub(crate) fn move_team(&mut self, day: Day) {
        let may = |s: &&usize| {
            let spell = &self.plan.spells[**s];
            spell.case_holding
                && spell.started.plus(120) < day
                && self.away[spell.worker].is_none_or(|until| until.plus(5) < day)
        };
        let candidates: Vec<usize> = self.direct.iter().filter(may).copied().collect();
        let Some(old) = candidates.choose(self.rng).copied() else {
            return;
        };
        let service = self.plan.teams[self.plan.spells[old].team].service;
        let teams = self.holding_teams(service);
        let team = *teams.choose(self.rng).expect("the worker's own team is one");
        if team == self.plan.spells[old].team {
            return;
        }
        let post = self.plan.spells[old].post;
        self.end(old, day, day.plus(-10), "changed_terms");
        let moved = Spell {
            team,
            started: day.plus(1),
            known: day.plus(-10),
            ended: None,
            end_known: day.plus(1),
            end_reason: None,
            ..self.plan.spells[old].clone()
        };
        let index = self.add(moved);
        if let Some(post) = post {
            self.occupants[post].0 = Some(index);
        }
        self.direct.retain(|s| *s != old);
        self.direct.push(index);
    }
}
