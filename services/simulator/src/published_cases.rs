//! The cases of an authority made from published figures, and who holds them.
//!
//! A case has one holder from its first hour to its end: who has too many for the year's figure closes some, who has too
//! few opens some, and who leaves or no longer holds cases closes the last on that day.

use crate::calendar::{Day, MINUTE, Time};
use crate::journal::Life;
use crate::published_authority::{Aims, PublishedAuthority, Year};
use crate::published_staff::Person;
use crate::row::{Table, row};

/// Cases that each family support worker holds.
const SUPPORT_CASES: usize = 4;
/// A case in so many waits for a holder, in neither term of the caseload.
const CASES_A_WAITING_ONE: i64 = 50;

/// A case that is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenCase {
    number: u32,
    team: u32,
    opened: Time,
    held: Option<Holding>,
}

/// The allocation of a case to its holder.
#[derive(Clone, Copy, Debug)]
struct Holding {
    number: u32,
    worker: u32,
    started: Time,
}

/// Somebody who holds cases: a position among the directly employed, or among the agency's.
#[derive(Clone, Copy)]
enum Slot {
    Direct(usize),
    Agency(usize),
}

impl Slot {
    fn position(self) -> usize {
        match self {
            Self::Direct(position) | Self::Agency(position) => position,
        }
    }
}

impl PublishedAuthority {
    /// The cases that were there before the first day.
    pub(crate) fn open_cases(&mut self, aims: &Aims, day: Day, at: Time) {
        let opened = |n: usize| day.plus(-1 - (n as i32 * 7) % 380);
        for index in 0..self.support.len() {
            for n in 0..SUPPORT_CASES {
                let holder = self.support[index].worker;
                let case = self.open_case(opened(n), Some((holder, 2)), Some(at));
                self.support[index].cases.push(case);
            }
        }
        for (slot, quota) in self.quotas(aims) {
            for n in 0..quota {
                let holder = self.holder(slot).worker;
                let case = self.open_case(opened(n + slot.position()), Some((holder, 1)), Some(at));
                self.holder(slot).cases.push(case);
            }
        }
    }

    /// Brings everybody to the cases that the year's figures give them.
    pub(crate) fn case_year(&mut self, aims: &Aims, year: Year) {
        for (n, case) in std::mem::take(&mut self.unheld).into_iter().enumerate() {
            let at = self.time(year.spread(n, 10), 11);
            self.close_case(&case, at);
        }
        for n in 0..=aims.cases / CASES_A_WAITING_ONE {
            let case = self.open_case(year.last.plus(-2 - n as i32 % 40), None, None);
            self.unheld.push(case);
        }
        for (slot, quota) in self.quotas(aims) {
            let holder = self.holder(slot);
            let (worker, from) = (holder.worker, holder.started.max(year.first));
            let mut cases = std::mem::take(&mut holder.cases);
            let surplus = cases.split_off(quota.min(cases.len()));
            for (n, case) in surplus.into_iter().enumerate() {
                let at = self.time(year.spread(n + slot.position(), 10), 15);
                self.close_case(&case, at);
            }
            let room = year.last.0 - from.0 - 4;
            for n in cases.len()..quota {
                let day = from.plus(2 + ((n + slot.position()) as i32 * 13) % room);
                cases.push(self.open_case(day, Some((worker, 1)), None));
            }
            self.holder(slot).cases = cases;
        }
    }

    /// How many cases each person who holds cases is to have: at least one, the rest by hours.
    fn quotas(&self, aims: &Aims) -> Vec<(Slot, usize)> {
        let slots = |people: &[Person], slot: fn(usize) -> Slot| -> Vec<(Slot, i64)> {
            let holding = people
                .iter()
                .enumerate()
                .filter(|(_, person)| person.holds && person.fte > 0);
            holding.map(|(position, person)| (slot(position), person.fte)).collect()
        };
        let mut holders = slots(&self.direct, Slot::Direct);
        holders.extend(slots(&self.agency, Slot::Agency));
        let spare = (aims.cases - holders.len() as i64).max(0);
        let all: i64 = holders.iter().map(|(_, fte)| fte).sum();
        let mut sum = 0;
        let quota = |(n, (slot, fte)): (usize, (Slot, i64))| {
            let before = spare * sum / all;
            sum += fte;
            let first = i64::from((n as i64) < aims.cases);
            (slot, (first + spare * sum / all - before) as usize)
        };
        holders.into_iter().enumerate().map(quota).collect()
    }

    fn holder(&mut self, slot: Slot) -> &mut Person {
        match slot {
            Slot::Direct(position) => &mut self.direct[position],
            Slot::Agency(position) => &mut self.agency[position],
        }
    }

    /// A case, and an hour later its allocation to a worker of a team. Recorded at once, or at `recorded`.
    fn open_case(&mut self, day: Day, holder: Option<(u32, u32)>, recorded: Option<Time>) -> OpenCase {
        self.numbers.cases += 1;
        let number = self.numbers.cases;
        let opened = self.time(day, 9).plus(i64::from(number % 60) * MINUTE);
        let started = opened.plus(60 * MINUTE);
        let held = holder.map(|(worker, _)| {
            self.numbers.allocations += 1;
            Holding {
                number: self.numbers.allocations,
                worker,
                started,
            }
        });
        let team = holder.map_or(1, |(_, team)| team);
        let case = OpenCase {
            number,
            team,
            opened,
            held,
        };
        self.put_case(recorded.unwrap_or(opened), &case, None);
        self.put_allocation(recorded.unwrap_or(started), &case, None);
        case
    }

    /// Ends every case that somebody holds.
    pub(crate) fn close_cases(&mut self, person: &mut Person, at: Time) {
        for case in person.cases.drain(..) {
            self.close_case(&case, at);
        }
    }

    fn close_case(&mut self, case: &OpenCase, at: Time) {
        self.put_allocation(at, case, Some(at));
        self.put_case(at, case, Some(at));
    }

    fn put_allocation(&mut self, at: Time, case: &OpenCase, ended: Option<Time>) {
        let Some(held) = case.held else { return };
        let values = row![
            self.journal.id("A", held.number),
            self.journal.id("C", case.number),
            self.journal.id("T", case.team),
            self.journal.id("W", held.worker),
            "primary",
            "worker",
            held.started,
            ended,
            ended.map(|_| "OTHERS"),
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Allocations, held.number, values, life);
    }

    fn put_case(&mut self, at: Time, case: &OpenCase, closed: Option<Time>) {
        let values = row![
            self.journal.id("C", case.number),
            self.journal.id("CH", case.number),
            None::<&'static str>,
            "child",
            self.journal.id("T", case.team),
            case.opened,
            closed,
            closed.map(|_| "RC1"),
            "N1",
            None::<bool>,
        ];
        let life = if closed.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Cases, case.number, values, life);
    }
}
