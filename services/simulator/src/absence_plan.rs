//! Who is away: sickness to the published days of each year, and maternity leave.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::calendar::Day;
use crate::staff_plan::Planner;
use crate::workforce::Absence;

impl Planner<'_> {
    /// Days of the new year that sickness of the old one takes, in tenths of full time.
    pub(crate) fn sickness_brought_over(&self, first: Day) -> f64 {
        let begun = self
            .plan
            .absences
            .iter()
            .filter(|a| a.reason == "SIC" && a.ended >= first);
        let lost = begun.map(|absence| {
            let spell = self.plan.workers[absence.worker].spells.last();
            let fte = spell.map_or(0, |spell| self.plan.spells[*spell].fte);
            f64::from(self.calendar.working_days_between(first.plus(-1), absence.ended)) * f64::from(fte)
        });
        lost.sum()
    }

    pub(crate) fn absences(&mut self, day: Day, year_end: Day, sick_days: f64, gone: f64, spent_tenths: &mut f64) {
        while *spent_tenths < sick_days * 10.0 * gone {
            let may = |s: &&usize| {
                let spell = &self.plan.spells[**s];
                let busy = self.away[spell.worker].is_some_and(|until| until >= day);
                !busy && spell.started <= day && !self.manages(spell.worker)
            };
            let candidates: Vec<usize> = self.direct.iter().filter(may).copied().collect();
            let Some(index) = candidates.choose(self.rng).copied() else {
                return;
            };
            let (worker, fte) = (self.plan.spells[index].worker, self.plan.spells[index].fte);
            let long = self.rng.random_bool(0.02);
            let length = if long {
                self.rng.random_range(26..70)
            } else {
                self.rng.random_range(1..7)
            };
            let ended = self.calendar.add_working_days(day, length - 1);
            let counted = self.calendar.working_days_between(day.plus(-1), ended.min(year_end));
            *spent_tenths += f64::from(counted) * f64::from(fte);
            self.plan.absences.push(Absence {
                worker,
                started: day,
                expected: None,
                ended,
                reason: "SIC",
                long,
            });
            self.away[worker] = Some(ended);
            if long {
                self.away_long[worker] = Some(ended);
            }
        }
        let maternity = 13.0 * self.profile.scale / 253.0;
        if self.rng.random_bool(maternity.min(0.9)) {
            let Some(index) = self.direct.choose(self.rng).copied() else {
                return;
            };
            let worker = self.plan.spells[index].worker;
            let manager = self.manages(worker);
            if self.away[worker].is_some_and(|until| until >= day)
                || manager
                || self.plan.spells[index].started.plus(60) > day
            {
                return;
            }
            let ended = self
                .calendar
                .working_day_at_or_before(day.plus(self.rng.random_range(150..280)));
            self.plan.absences.push(Absence {
                worker,
                started: day,
                expected: Some(ended),
                ended,
                reason: "MAT",
                long: true,
            });
            self.away[worker] = Some(ended);
            self.away_long[worker] = Some(ended);
        }
    }
}
