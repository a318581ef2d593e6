//! Visits and supervision: what keeps the record alive between decisions, often written down days later.

use rand::Rng;

use crate::calendar::{Day, MINUTE};
use crate::journal::Life;
use crate::people::Stage;
use crate::row::{Table, row};
use crate::simulation::{Later, Simulation};

impl Simulation {
    pub(crate) fn visit_and_supervise(&mut self, day: Day) {
        for case in self.open.clone() {
            if self.cases[case as usize].visit_due <= day {
                let overloaded = self.cases[case as usize]
                    .holder
                    .as_ref()
                    .and_then(|h| h.worker)
                    .is_some_and(|w| self.held[w].len() > 28);
                if !self.chance(if overloaded { 0.4 } else { 0.15 }) {
                    let late = self.chance(if overloaded { 0.65 } else { 0.4 });
                    let delay = if late { self.rng.random_range(1..7) } else { 0 };
                    self.visit(case, day, delay);
                }
            }
            self.supervise_case(case, day);
        }
        self.supervise_workers(day);
    }

    /// Visits, and records it so many working days later.
    pub(crate) fn visit(&mut self, case: u32, day: Day, delay: i32) {
        let entry = &self.cases[case as usize];
        let Some(worker) = entry.holder.as_ref().and_then(|holder| holder.worker) else {
            return;
        };
        let (kind, from, to) = match entry.stage {
            Stage::Protected => ("child_protection", 8, 11),
            Stage::InNeed => ("child_in_need", 19, 27),
            Stage::LookedAfter => ("looked_after", 24, 31),
            Stage::LeavingCare => ("pathway", 35, 44),
            Stage::Assessing | Stage::Conference => ("initial", 400, 401),
            Stage::Awaiting | Stage::Carer => return,
        };
        if !self.present[worker] {
            return;
        }
        let planned = self.cases[case as usize].visit_due;
        let next = self.after_workdays(day, from, to);
        self.cases[case as usize].visit_due = next;
        let visited = self.moment(day, 9 * 60, 17 * 60);
        let seen = self.chance(0.93);
        if kind == "initial" && !seen {
            // Nobody was in: whoever assesses a child has to see it, and tries again.
            self.cases[case as usize].visit_due = self.calendar.add_working_days(day, 2);
        }
        let alone = match (seen, self.age(self.cases[case as usize].child, day) < 3.0) {
            (false, _) => "unknown",
            (true, true) => "not_appropriate",
            (true, false) if self.chance(0.72) => "yes",
            (true, false) => "no",
        };
        self.numbers.visits += 1;
        let number = self.numbers.visits;
        let entry = &self.cases[case as usize];
        let values = row![
            self.journal.id("V", number),
            self.case_id(case),
            entry.plan.as_ref().map(|plan| self.journal.id("PL", plan.id)),
            entry
                .placement
                .as_ref()
                .map(|placement| self.journal.id("PM", placement.id)),
            self.worker_id(worker),
            kind,
            planned,
            visited,
            seen,
            alone,
        ];
        let mistake = day >= self.profile.first_day && self.chance(0.004);
        let life = if mistake { Life::Open } else { Life::Over };
        if delay == 0 {
            self.journal
                .put(visited.plus(40 * MINUTE), Table::Visits, number, values, life);
        } else {
            let recorded = self.calendar.add_working_days(day, delay);
            self.later(
                recorded,
                Later::Record {
                    table: Table::Visits,
                    number,
                    values,
                    life,
                },
            );
        }
        if mistake {
            let found = self.calendar.add_working_days(day, delay + 2);
            self.later(
                found,
                Later::Delete {
                    table: Table::Visits,
                    number,
                },
            );
        }
    }

    /// Protected and looked-after children's cases come up in supervision about every nine weeks.
    fn supervise_case(&mut self, case: u32, day: Day) {
        let entry = &self.cases[case as usize];
        if !entry.stage.is_protected() || (case as i32 + self.working_day_number(day)) % 45 != 0 {
            return;
        }
        if let Some(worker) = entry.holder.as_ref().and_then(|holder| holder.worker) {
            self.supervise(worker, Some(case), day);
        }
    }

    pub(crate) fn supervise_workers(&mut self, day: Day) {
        let number = self.working_day_number(day);
        for worker in 0..self.staff.workers.len() {
            let every = if self.staff.workers[worker].newly_qualified_from.is_some() {
                10
            } else {
                21
            };
            if self.present[worker] && (worker as i32 + number) % every == 0 {
                self.supervise(worker, None, day);
            }
        }
    }

    fn supervise(&mut self, worker: usize, case: Option<u32>, day: Day) {
        let manager = self.staff.workers[worker]
            .spells
            .iter()
            .map(|s| &self.staff.spells[*s])
            .find(|s| s.active(day))
            .and_then(|s| s.line_manager);
        let Some(manager) = manager.filter(|_| self.present[worker]) else {
            return;
        };
        let at = self.moment(day, 9 * 60, 16 * 60 + 30);
        self.numbers.supervisions += 1;
        let number = self.numbers.supervisions;
        let values = row![
            self.journal.id("SV", number),
            if case.is_some() { "case" } else { "personal" },
            self.worker_id(worker),
            self.worker_id(manager),
            case.map(|case| self.case_id(case)),
            at,
        ];
        self.journal
            .put(at.plus(30 * MINUTE), Table::Supervisions, number, values, Life::Over);
    }

    fn working_day_number(&self, day: Day) -> i32 {
        self.workdays(self.profile.first_day, day)
    }
}
