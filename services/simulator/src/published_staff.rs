//! The staff of an authority made from published figures: contracts and posts.
//!
//! Between two censuses people leave, start and change their hours so that the sums of the second come out. Published sums
//! of two years rarely explain each other: where more is gone than left, the hours of those who stay are cut, which is
//! neither leaving nor starting.

use crate::calendar::{Day, Time};
use crate::journal::Life;
use crate::published_authority::{Aims, PublishedAuthority, Year};
use crate::published_cases::OpenCase;
use crate::row::{Table, Thousandths, row};

/// Family support workers, whom no figure counts.
const SUPPORT_WORKERS: usize = 3;
/// Hours that people work, in thousandths of full time.
const USUAL_HOURS: [i64; 10] = [1000, 1000, 1000, 800, 1000, 1000, 600, 1000, 1000, 500];

/// Somebody's current contract.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub worker: u32,
    pub contract: u32,
    pub employment: &'static str,
    /// Does it count in DfE's figures?
    pub social_work: bool,
    pub holds: bool,
    /// Thousandths of full time.
    pub fte: i64,
    /// First day of the contract.
    pub started: Day,
    /// The person's own post, or the vacant one that an agency worker covers.
    pub post: Option<Post>,
    pub cases: Vec<OpenCase>,
}

/// A version of a post.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post {
    pub number: u32,
    pub version: u32,
    pub from: Day,
    pub fte: i64,
    pub role: &'static str,
}

/// What people are engaged as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engaged {
    Directly,
    ByAgency,
    AsSupport,
}

impl PublishedAuthority {
    /// The time of a day's full hour in London.
    pub(crate) fn time(&self, day: Day, hour: i64) -> Time {
        self.calendar.at(day, hour * 3600)
    }

    /// Everybody who was there before the first day: those of the first census, and the leavers of the year to it.
    pub(crate) fn open_staff(&mut self, aims: &Aims, day: Day, at: Time) {
        let started = |n: usize| day.plus(-400 - (n as i32 * 61) % 2800);
        self.open_vacancies(aims.vacancy, day.plus(-200), at);
        for (fte, holds) in [(aims.direct_holders, true), (aims.in_post - aims.direct_holders, false)] {
            for (n, part) in parts(fte).into_iter().enumerate() {
                let person = self.hire(Engaged::Directly, part, holds, started(n), at);
                self.direct.push(person);
            }
        }
        for (n, part) in parts(aims.leavers.unwrap_or(0)).into_iter().enumerate() {
            let person = self.hire(Engaged::Directly, part, false, started(n), at);
            self.first_leavers.push(person);
        }
        for (fte, holds) in [(aims.agency_holders, true), (aims.agency - aims.agency_holders, false)] {
            for (n, part) in parts(fte).into_iter().enumerate() {
                let agency_started = day.plus(-400 - (n as i32 * 17) % 300);
                let person = self.hire(Engaged::ByAgency, part, holds, agency_started, at);
                self.agency.push(person);
            }
        }
        for n in 0..SUPPORT_WORKERS {
            let person = self.hire(Engaged::AsSupport, 1000, true, started(n), at);
            self.support.push(person);
        }
        self.open_post(1000, "family_support", day.plus(-100), at);
    }

    /// A year of staff: who leaves, whose contract changes, who starts, who is away, which posts stand open.
    pub(crate) fn staff_year(&mut self, aims: &Aims, year: Year) {
        self.leave(aims, year);
        self.change_terms(aims, year);
        self.start(aims, year);
        self.turn_agency_over(aims, year);
        self.lose_days(aims.days_lost, year);
        self.review_vacancies(aims.vacancy, year);
    }

    /// As many leave as the figure says; whom no whole contract fits comes and goes within the year.
    fn leave(&mut self, aims: &Aims, year: Year) {
        let mut leaving = std::mem::take(&mut self.first_leavers);
        let in_post: i64 = self.direct.iter().map(|person| person.fte).sum();
        let wanted = aims.leavers.unwrap_or_else(|| (in_post - aims.in_post).max(0));
        let mut left = wanted - leaving.iter().map(|person| person.fte).sum::<i64>();
        let people = self.direct.len();
        let mut goes = vec![false; people];
        for position in (0..3).flat_map(|offset| (offset..people).step_by(3)) {
            let fte = self.direct[position].fte;
            if fte > 0 && fte <= left {
                left -= fte;
                goes[position] = true;
            }
        }
        let mut going = goes.into_iter();
        leaving.extend(self.direct.extract_if(.., |_| going.next().unwrap_or(false)));
        if aims.leavers.is_some() {
            for part in parts(left) {
                let day = year.first.plus(3);
                let person = self.hire(Engaged::Directly, part, false, day, self.time(day, 8));
                leaving.push(person);
            }
        }
        for (n, mut person) in leaving.into_iter().enumerate() {
            let reason = ["1", "1", "2", "5", "7"][n % 5];
            let day = self.calendar.working_day_at_or_before(year.spread(n, 20));
            self.end(&mut person, day, reason);
        }
    }

    /// Brings those who hold cases and the others to their sums, as far as nobody has to start for it.
    fn change_terms(&mut self, aims: &Aims, year: Year) {
        let aim = |holds: bool| {
            if holds {
                aims.direct_holders
            } else {
                aims.in_post - aims.direct_holders
            }
        };
        let mut terms: Vec<(i64, bool)> = self.direct.iter().map(|person| (person.fte, person.holds)).collect();
        let sum = |terms: &[(i64, bool)], holds| -> i64 { terms.iter().filter(|t| t.1 == holds).map(|t| t.0).sum() };
        for holds in [true, false] {
            let mut surplus = sum(&terms, holds) - aim(holds);
            let mut lacking = aim(!holds) - sum(&terms, !holds);
            for term in terms.iter_mut().filter(|term| term.1 == holds && term.0 > 0) {
                if term.0 <= surplus.min(lacking) {
                    term.1 = !holds;
                    surplus -= term.0;
                    lacking -= term.0;
                }
            }
            // Half time first, then less; somebody may be left on the books without hours.
            for least in [500, 100, 0] {
                for term in terms.iter_mut().filter(|term| term.1 == holds) {
                    let cut = surplus.min(term.0 - least).max(0);
                    term.0 -= cut;
                    surplus -= cut;
                }
            }
        }
        let mut people = std::mem::take(&mut self.direct);
        for (person, (fte, holds)) in people.iter_mut().zip(terms) {
            if (person.fte, person.holds) != (fte, holds) {
                self.renew(person, fte, holds, year.first);
            }
        }
        self.direct = people;
    }

    /// Whoever is still missing starts.
    fn start(&mut self, aims: &Aims, year: Year) {
        for holds in [true, false] {
            let aim = if holds {
                aims.direct_holders
            } else {
                aims.in_post - aims.direct_holders
            };
            let there: i64 = self.direct.iter().filter(|p| p.holds == holds).map(|p| p.fte).sum();
            for (n, part) in parts(aim - there).into_iter().enumerate() {
                let day = self.calendar.working_day_at_or_before(year.spread(n, 10));
                let person = self.hire(Engaged::Directly, part, holds, day, self.time(day, 8));
                self.direct.push(person);
            }
        }
    }

    /// Agency workers come and go as they are needed.
    fn turn_agency_over(&mut self, aims: &Aims, year: Year) {
        for (holds, aim) in [(true, aims.agency_holders), (false, aims.agency - aims.agency_holders)] {
            let there: i64 = self.agency.iter().filter(|p| p.holds == holds).map(|p| p.fte).sum();
            let mut surplus = there - aim;
            let mut n = 0;
            // Whole contracts first; the last to end may leave a part to be taken on anew.
            for whole in [true, false] {
                let mut position = 0;
                while surplus > 0 && position < self.agency.len() {
                    let person = &self.agency[position];
                    if person.holds != holds || (whole && person.fte > surplus) {
                        position += 1;
                        continue;
                    }
                    let mut person = self.agency.remove(position);
                    surplus -= person.fte;
                    n += 1;
                    let day = self.calendar.working_day_at_or_before(year.spread(n, 15));
                    self.end(&mut person, day, "agency_end");
                }
            }
            for (n, part) in parts(-surplus).into_iter().enumerate() {
                let day = self.calendar.working_day_at_or_before(year.spread(n, 12));
                let person = self.hire(Engaged::ByAgency, part, holds, day, self.time(day, 8));
                self.agency.push(person);
            }
        }
    }

    fn open_vacancies(&mut self, fte: i64, from: Day, at: Time) {
        for part in parts(fte) {
            let post = self.open_post(part, "case_holder", from, at);
            self.vacant.push(post);
        }
    }

    fn review_vacancies(&mut self, aim: i64, year: Year) {
        let mut surplus = self.vacant.iter().map(|post| post.fte).sum::<i64>() - aim;
        let day = year.spread(3, 60);
        while surplus > 0
            && let Some(post) = self.vacant.pop()
        {
            surplus -= post.fte;
            self.put_post(self.time(day, 17), &post, Some(day));
        }
        self.open_vacancies(-surplus, day.plus(1), self.time(day.plus(1), 9));
    }

    /// Takes somebody on, with a post of their own unless they come from an agency.
    fn hire(&mut self, engaged: Engaged, fte: i64, holds: bool, started: Day, at: Time) -> Person {
        self.numbers.workers += 1;
        let worker = self.numbers.workers;
        let registered = engaged != Engaged::AsSupport;
        let values = row![
            self.journal.id("W", worker),
            self.journal.id("HR", worker),
            registered.then(|| self.journal.id("SW", worker)),
            registered,
            None::<Day>,
            None::<Day>,
        ];
        self.journal.put(at, Table::Workers, worker, values, Life::Over);
        let employment = match engaged {
            Engaged::ByAgency if worker.is_multiple_of(10) => "self_employed",
            Engaged::ByAgency => "agency",
            _ if worker.is_multiple_of(12) => "fixed_term",
            _ => "permanent",
        };
        let post = match engaged {
            Engaged::Directly => Some(self.open_post(fte, "case_holder", started, at)),
            Engaged::ByAgency => self.vacant.get(self.agency.len()).copied(),
            Engaged::AsSupport => Some(self.open_post(fte, "family_support", started, at)),
        };
        self.numbers.contracts += 1;
        let person = Person {
            worker,
            contract: self.numbers.contracts,
            employment,
            social_work: engaged != Engaged::AsSupport,
            holds,
            fte,
            started,
            post,
            cases: vec![],
        };
        self.put_contract(at, &person, None);
        person
    }

    /// A last day: the cases are closed, the contract ends, and so does a post of one's own.
    fn end(&mut self, person: &mut Person, day: Day, reason: &'static str) {
        self.close_cases(person, self.time(day, 16));
        let at = self.time(day, 17);
        self.put_contract(at, person, Some((day, reason)));
        if let Some(post) = person.post.filter(|_| reason != "agency_end") {
            self.put_post(at, &post, Some(day));
        }
    }

    /// Other hours, or other work, from `first` on: a new contract, and a new version of the post.
    fn renew(&mut self, person: &mut Person, fte: i64, holds: bool, first: Day) {
        let (at, last_day) = (self.time(first, 4), first.plus(-1));
        self.put_contract(at, person, Some((last_day, "changed_terms")));
        if !holds || fte == 0 {
            self.close_cases(person, self.time(first, 9));
        }
        if let Some(post) = &mut person.post {
            self.put_post(at, post, Some(last_day));
            self.numbers.post_versions += 1;
            *post = Post {
                version: self.numbers.post_versions,
                from: first,
                fte,
                ..*post
            };
            self.put_post(at, post, None);
        }
        self.numbers.contracts += 1;
        (person.contract, person.started) = (self.numbers.contracts, first);
        (person.fte, person.holds) = (fte, holds);
        self.put_contract(at, person, None);
    }

    fn open_post(&mut self, fte: i64, role: &'static str, from: Day, at: Time) -> Post {
        self.numbers.posts += 1;
        self.numbers.post_versions += 1;
        let post = Post {
            number: self.numbers.posts,
            version: self.numbers.post_versions,
            from,
            fte,
            role,
        };
        self.put_post(at, &post, None);
        post
    }

    fn put_post(&mut self, at: Time, post: &Post, to: Option<Day>) {
        let values = row![
            self.journal.id("P", post.number),
            post.from,
            to,
            self.journal.id("T", if post.role == "family_support" { 2 } else { 1 }),
            post.role,
            Thousandths(post.fte),
            !post.number.is_multiple_of(3),
            None::<Thousandths>,
        ];
        let life = if to.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Posts, post.version, values, life);
    }

    fn put_contract(&mut self, at: Time, person: &Person, ended: Option<(Day, &'static str)>) {
        let role = match (person.social_work, person.holds) {
            (false, _) => "family_support",
            (true, true) => "case_holder",
            (true, false) => "qualified_no_cases",
        };
        let values = row![
            self.journal.id("K", person.contract),
            self.journal.id("W", person.worker),
            person.employment,
            role,
            person.social_work,
            person.holds,
            Thousandths(person.fte),
            None::<&'static str>,
            self.journal.id("T", if person.social_work { 1 } else { 2 }),
            None::<&'static str>,
            person.post.map(|post| self.journal.id("P", post.number)),
            person.started,
            ended.map(|(day, _)| day),
            ended.map(|(_, reason)| reason),
            None::<&'static str>,
            None::<&'static str>,
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Contracts, person.contract, values, life);
    }
}

/// Contracts of usual hours that add up to a sum in thousandths; none where it is not above 0.
fn parts(sum: i64) -> Vec<i64> {
    let mut parts = vec![];
    let mut left = sum;
    for hours in USUAL_HOURS.into_iter().cycle() {
        if left <= 1000 {
            break;
        }
        parts.push(hours);
        left -= hours;
    }
    parts.extend(Some(left).filter(|left| *left > 0));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_hours_add_up_to_the_sum_and_nobody_works_more_than_full_time() {
        for sum in [0, 100, 999, 1000, 1001, 5250, 237_600, 918_100] {
            let parts = parts(sum);
            assert_eq!(parts.iter().sum::<i64>(), sum);
            assert!(parts.iter().all(|part| (1..=1000).contains(part)), "{sum}: {parts:?}");
        }
        assert!(parts(-300).is_empty());
    }
}
