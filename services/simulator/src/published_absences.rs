//! Sickness of an authority made from published figures: the days lost in each year, and maternity leave, which is none.

use crate::calendar::Day;
use crate::journal::Life;
use crate::published_authority::{PublishedAuthority, Year};
use crate::row::{Table, Thousandths, row};

/// How unequally sickness falls on people.
const SICKNESS: [i64; 10] = [0, 1, 1, 2, 0, 1, 3, 1, 0, 2];
/// Most working days of sickness in a month; every month has one more.
const MOST_SICK_DAYS_A_MONTH: i64 = 18;

impl PublishedAuthority {
    /// Sickness of those in post all year: days in proportion, and what no whole day gives as the staff system's own figure.
    pub(crate) fn lose_days(&mut self, days_lost: i64, year: Year) {
        let stayers: Vec<(u32, i64)> = self
            .direct
            .iter()
            .filter(|person| person.started <= year.first && person.fte > 0)
            .map(|person| (person.worker, person.fte))
            .collect();
        let weight = |n: usize| SICKNESS[n % SICKNESS.len()];
        let most = 12 * MOST_SICK_DAYS_A_MONTH;
        let weighted: i64 = stayers.iter().enumerate().map(|(n, (_, fte))| weight(n) * fte).sum();
        let share = |n: usize| (weight(n) * days_lost / weighted.max(1)).min(most);
        let mut days: Vec<i64> = (0..stayers.len()).map(share).collect();
        let mut left = days_lost
            - days
                .iter()
                .zip(&stayers)
                .map(|(days, (_, fte))| days * fte)
                .sum::<i64>();
        for (days, (_, fte)) in days.iter_mut().zip(&stayers) {
            if *fte <= left && *days < most {
                *days += 1;
                left -= fte;
            }
        }
        for (n, ((worker, _), days)) in stayers.iter().zip(&days).enumerate() {
            self.be_sick(*worker, *days, n, year);
            if weight(n) == 0 && n % 20 == 0 {
                let (from, to) = (year.first.plus(40), year.first.plus(200));
                self.be_away(*worker, (from, to), "MAT", None);
            }
        }
        let odd = days
            .iter()
            .zip(&stayers)
            .find(|(days, _)| **days == 0)
            .map(|(_, (worker, _))| *worker);
        let anybody = odd.or_else(|| self.direct.last().map(|person| person.worker));
        if let Some(worker) = anybody.filter(|_| left > 0) {
            let day = self.calendar.working_day_at_or_before(year.last.plus(-3));
            self.be_away(worker, (day, day), "SIC", Some(left));
        }
    }

    /// So many working days in a year, in spells of a week, or longer where there are many.
    fn be_sick(&mut self, worker: u32, days: i64, n: usize, year: Year) {
        let spell = ((days + 11) / 12).max(5);
        let mut left = days;
        let mut month = year.first.plus(n as i32 % 12 * 28 + 15).month();
        for _ in 0..12 {
            let length = left.min(spell);
            if length == 0 {
                return;
            }
            let offset = (n as i64 * 7) % (MOST_SICK_DAYS_A_MONTH + 1 - length);
            let day = |number: i64| self.calendar.add_working_days(month.plus(-1), number as i32);
            let days_away = (day(offset + 1), day(offset + length));
            self.be_away(worker, days_away, "SIC", None);
            left -= length;
            month = month.plus(35).month();
            if month > year.last {
                month = year.first;
            }
        }
    }

    fn be_away(&mut self, worker: u32, (from, to): (Day, Day), reason: &'static str, fte_days: Option<i64>) {
        self.numbers.absences += 1;
        let number = self.numbers.absences;
        let values = |ended: Option<Day>| {
            row![
                self.journal.id("B", number),
                self.journal.id("W", worker),
                from,
                (reason == "MAT").then_some(to),
                ended,
                reason,
                fte_days.filter(|_| ended.is_some()).map(Thousandths),
            ]
        };
        let (first, last) = (values(None), values(Some(to)));
        let (begins, ends) = (self.time(from, 8), self.time(to.plus(1), 8));
        self.journal.put(begins, Table::Absences, number, first, Life::Open);
        self.journal.put(ends, Table::Absences, number, last, Life::Over);
    }
}
