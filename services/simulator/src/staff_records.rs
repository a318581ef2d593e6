//! The staff system's rows: the plan of [`crate::workforce`], put on the days on which it becomes known.

use std::collections::BTreeMap;

use chrono::Datelike;

use crate::calendar::{Day, Time};
use crate::journal::Life;
use crate::row::{Table, Thousandths, row};
use crate::simulation::{Simulation, StaffChange};
use crate::workforce::Service;

impl Simulation {
    /// Everything the staff plan will record, put on the day on which it becomes known; what is known before the first
    /// day goes into the snapshot.
    pub(crate) fn schedule_staff(&mut self) {
        let first = self.profile.first_day;
        let snapshot = self.calendar.midnight(first);
        let mut changes: BTreeMap<Day, Vec<StaffChange>> = BTreeMap::new();
        let mut add = |day: Day, change| changes.entry(day).or_default().push(change);
        let mut known = vec![];
        for (index, spell) in self.staff.spells.iter().enumerate() {
            if spell.known < first {
                known.push(index)
            } else {
                add(spell.known, StaffChange::Contract(index))
            }
            if let Some(ended) = spell.ended.filter(|ended| *ended >= first) {
                if spell.end_known >= first && spell.end_known > spell.known {
                    add(spell.end_known, StaffChange::Contract(index));
                }
                if spell.ends_service() {
                    add(
                        self.calendar.working_day_at_or_before(ended),
                        StaffChange::Release(spell.worker),
                    );
                }
            }
        }
        let mut absences = vec![];
        for (index, absence) in self.staff.absences.iter().enumerate() {
            if absence.started < first {
                absences.push(index)
            } else {
                add(absence.started, StaffChange::AbsenceStart(index))
            }
            if absence.ended >= first {
                add(absence.ended.plus(1), StaffChange::AbsenceEnd(index));
            }
            let release = match absence.reason {
                "MAT" => self.calendar.working_day_at_or_before(absence.started.plus(-1)),
                _ => self.calendar.add_working_days(absence.started, 17),
            };
            if absence.long && release >= first {
                add(release, StaffChange::Release(absence.worker));
            }
        }
        let mut posts = vec![];
        for (index, post) in self.staff.posts.iter().enumerate() {
            if post.known < first {
                posts.push(index)
            } else {
                add(post.known, StaffChange::Post(index))
            }
            if let Some(to) = post.to.filter(|to| to.plus(1) >= first) {
                add(to.plus(1), StaffChange::Post(index));
            }
        }
        if let Some(team) = self.teams_of(Service::Safeguarding).get(2) {
            add(Day::of(2019, 4, 1), StaffChange::TeamRenamed(*team));
        }
        self.staff_changes = changes;
        for team in 0..self.staff.teams.len() {
            self.put_team(snapshot, team, first);
        }
        for index in known {
            self.put_worker_once(snapshot, index);
            self.put_contract(snapshot, index, first.plus(-1));
        }
        for index in absences {
            self.put_absence(snapshot, index, first.plus(-1));
        }
        for index in posts {
            self.put_post(snapshot, index, first.plus(-1));
        }
    }

    /// What staff records say on a day.
    pub(crate) fn record_staff(&mut self, day: Day) {
        for change in self.staff_changes.remove(&day).unwrap_or_default() {
            let at = self.moment(day, 7 * 60 + 30, 8 * 60 + 45);
            match change {
                StaffChange::Contract(index) => {
                    self.put_worker_once(at, index);
                    self.put_contract(at, index, day);
                }
                StaffChange::AbsenceStart(index) => self.put_absence(at, index, day),
                StaffChange::AbsenceEnd(index) => self.put_absence(at, index, day),
                StaffChange::Post(index) => self.put_post(at, index, day),
                StaffChange::TeamRenamed(team) => self.rename_team(at, team, day),
                StaffChange::Release(worker) => self.releases.push(worker),
            }
        }
    }

    fn put_team(&mut self, at: Time, number: usize, day: Day) {
        let team = &self.staff.teams[number];
        let values = row![
            self.team_id(number),
            Day::of(day.date().year().min(2018) - 3, 4, 1),
            None::<Day>,
            team.name.clone(),
            team.parent.map(|parent| self.team_id(parent)),
            team.service.name(),
            team.manager.map(|worker| self.worker_id(worker)),
            team.case_holding,
        ];
        self.journal
            .put(at, Table::Teams, number as u32 * 2, values, Life::Open);
    }

    /// A team is renamed: its description ends the day before, a new one begins.
    fn rename_team(&mut self, at: Time, number: usize, day: Day) {
        let team = self.staff.teams[number].clone();
        let manager = team.manager.map(|worker| self.worker_id(worker));
        let parent = team.parent.map(|parent| self.team_id(parent));
        let id = self.team_id(number);
        let service = team.service.name();
        let from = Day::of(2015, 4, 1);
        let old = row![
            id.clone(),
            from,
            day.plus(-1),
            team.name,
            parent.clone(),
            service,
            manager.clone(),
            team.case_holding
        ];
        self.journal.put(at, Table::Teams, number as u32 * 2, old, Life::Over);
        let new = row![
            id,
            day,
            None::<Day>,
            "Children in court",
            parent,
            service,
            manager,
            team.case_holding
        ];
        self.journal
            .put(at, Table::Teams, number as u32 * 2 + 1, new, Life::Open);
    }

    /// The worker's record comes with the first contract.
    fn put_worker_once(&mut self, at: Time, spell: usize) {
        let number = self.staff.spells[spell].worker;
        if std::mem::replace(&mut self.written[number], true) {
            return;
        }
        let worker = &self.staff.workers[number];
        let values = row![
            self.worker_id(number),
            self.journal.id("HR", number as u32 + 1),
            worker
                .registered
                .then(|| format!("SW{}{:05}", self.profile.prefix, number + 1)),
            worker.registered,
            worker.newly_qualified_from,
            worker.newly_qualified_from.map(|from| from.plus(364)),
        ];
        self.journal.put(at, Table::Workers, number as u32, values, Life::Over);
    }

    fn put_contract(&mut self, at: Time, index: usize, day: Day) {
        let spell = &self.staff.spells[index];
        let end = spell.ended.filter(|_| spell.end_known <= day);
        let mask = match spell.fte {
            10 => None,
            8 => Some("MTWT---"),
            6 => Some("MTW----"),
            _ => Some("MT-----"),
        };
        let reason = end.and(spell.end_reason);
        let leaver = reason.filter(|reason| spell.employment.name() != "agency" && *reason != "changed_terms");
        let values = row![
            self.journal.id("K", index as u32 + 1),
            self.worker_id(spell.worker),
            spell.employment.name(),
            spell.role,
            spell.social_work,
            spell.case_holding,
            Thousandths(i64::from(spell.fte) * 100),
            mask,
            self.team_id(spell.team),
            spell.line_manager.map(|manager| self.worker_id(manager)),
            spell.post.map(|post| self.journal.id("P", post as u32 + 1)),
            spell.started,
            end,
            reason,
            None::<&'static str>,
            leaver.map(|reason| if reason == "7" {
                "same authority, other role"
            } else {
                "unknown"
            }),
        ];
        let life = if end.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Contracts, index as u32, values, life);
    }

    fn put_absence(&mut self, at: Time, index: usize, day: Day) {
        let absence = &self.staff.absences[index];
        let ended = (absence.ended < day).then_some(absence.ended);
        let values = row![
            self.journal.id("B", index as u32 + 1),
            self.worker_id(absence.worker),
            absence.started,
            absence.expected,
            ended,
            absence.reason,
            None::<Thousandths>,
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Absences, index as u32, values, life);
    }

    fn put_post(&mut self, at: Time, index: usize, day: Day) {
        let post = &self.staff.posts[index];
        let to = post.to.filter(|to| *to < day);
        let values = row![
            self.journal.id("P", post.post as u32 + 1),
            post.from,
            to,
            self.team_id(post.team),
            "case_holder",
            Thousandths(i64::from(post.fte) * 100),
            post.recruiting,
            None::<Thousandths>,
        ];
        let life = if to.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Posts, index as u32, values, life);
    }

    /// Who is at work, and who can be given a case: not on the way out, not about to be away for long.
    pub(crate) fn look_who_is_here(&mut self, day: Day) {
        let mut away = vec![false; self.staff.workers.len()];
        let mut soon = vec![false; self.staff.workers.len()];
        for absence in &self.staff.absences {
            let begins_soon = absence.reason == "MAT" && absence.started <= day.plus(30);
            if absence.started <= day && absence.ended >= day {
                away[absence.worker] = true;
            } else if begins_soon && absence.ended >= day {
                soon[absence.worker] = true;
            }
        }
        self.available.iter_mut().for_each(Vec::clear);
        for (number, worker) in self.staff.workers.iter().enumerate() {
            let current = worker
                .spells
                .iter()
                .rev()
                .map(|s| &self.staff.spells[*s])
                .find(|spell| spell.active(day));
            self.present[number] = current.is_some() && !away[number];
            let Some(spell) = current else { continue };
            let leaving = spell.ends_service()
                && spell
                    .ended
                    .is_some_and(|end| spell.end_known <= day || end <= day.plus(25));
            let holds = spell.case_holding || self.staff.teams[spell.team].service == Service::Fostering;
            if self.present[number] && !soon[number] && !leaving && holds {
                self.available[spell.team].push(number);
            }
        }
    }
}
