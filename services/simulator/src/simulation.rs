//! A simulated authority, stepped day by day.
//!
//! Promises: the same profile and seed give the same events, byte for byte; the first batch is the initial snapshot,
//! every later one is one day and ends with a row of `feeds` a table, recorded in the day's last microsecond, so
//! that a reader's cut reaches the end of the day. Nobody reads a clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::Datelike;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::calendar::{Calendar, Day, MINUTE, SECOND, Time};
use crate::journal::{Event, Journal, Life};
use crate::people::{Assessment, Case, Child, Holder, Placement, Plan, Referral, Stage, Transfer};
use crate::profile::Profile;
use crate::row::{Table, Thousandths, row};
use crate::workforce::{Service, Workforce};

/// The events of the snapshot, or of one day.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The day, or none for the initial snapshot.
    pub day: Option<Day>,
    /// Its events in commit order.
    pub events: Vec<Event>,
    /// Open child cases without a holder when it ends.
    pub no_holder: usize,
}

/// Something that comes up on a later day.
pub(crate) enum Later {
    /// A row recorded late.
    Record {
        table: Table,
        number: u32,
        values: Vec<crate::row::Value>,
        life: Life,
    },
    /// A record made by mistake goes.
    Delete { table: Table, number: u32 },
    /// Two records turn out to be one child.
    Merge { from: u32, into: u32 },
    /// The receiving team accepts a case.
    Accept { case: u32, transfer: u32 },
}

/// What staff records say on a day.
pub(crate) enum StaffChange {
    Contract(usize),
    AbsenceStart(usize),
    AbsenceEnd(usize),
    Post(usize),
    /// The worker's cases need someone else.
    Release(usize),
    TeamRenamed(usize),
}

#[derive(Default)]
pub(crate) struct Numbers {
    pub plans: u32,
    pub allocations: u32,
    pub transfers: u32,
    pub assessments: u32,
    pub conferences: u32,
    pub visits: u32,
    pub supervisions: u32,
    pub placements: u32,
    pub feeds: u32,
}

/// Referrals of the year so far.
#[derive(Default)]
pub(crate) struct YearSoFar {
    pub from: i32,
    pub received: f64,
    pub repeated: f64,
    pub decided: f64,
    pub no_further_action: f64,
}

/// A simulated authority.
pub struct Simulation {
    pub(crate) profile: Profile,
    pub(crate) calendar: Arc<Calendar>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) journal: Journal,
    pub(crate) staff: Workforce,
    pub(crate) staff_changes: BTreeMap<Day, Vec<StaffChange>>,
    /// By worker: cases held.
    pub(crate) held: Vec<Vec<u32>>,
    /// By worker: is the record written?
    written: Vec<bool>,
    /// Workers whose cases need someone else today.
    pub(crate) releases: Vec<usize>,
    /// By worker: at work today.
    pub(crate) present: Vec<bool>,
    /// By team: workers who can be given a case today.
    pub(crate) available: Vec<Vec<usize>>,
    pub(crate) children: Vec<Child>,
    pub(crate) households: Vec<Vec<u32>>,
    pub(crate) referrals: Vec<Referral>,
    pub(crate) cases: Vec<Case>,
    /// Open child cases.
    pub(crate) open: Vec<u32>,
    /// Open child cases without a holder.
    pub(crate) waiting: Vec<u32>,
    /// Cases on trays, and until when.
    pub(crate) trays: Vec<(u32, Day)>,
    /// Cases left with somebody who has gone, and until when.
    pub(crate) stuck: Vec<(u32, Day)>,
    pub(crate) recent: VecDeque<(Day, u32)>,
    pub(crate) year: YearSoFar,
    pub(crate) undecided: Vec<u32>,
    pub(crate) later: BTreeMap<Day, Vec<Later>>,
    /// Cases held by people who are no social workers.
    pub(crate) held_by_others: usize,
    pub(crate) numbers: Numbers,
    /// The day to simulate next.
    next_day: Day,
    opened: bool,
}

impl Simulation {
    /// Sets an authority up; nothing happens before the first [`Self::step`].
    pub fn new(profile: Profile, seed: u64) -> Self {
        let calendar = Arc::new(Calendar::new());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let staff = Workforce::plan(&profile, &calendar, &mut rng);
        let (workers, teams) = (staff.workers.len(), staff.teams.len());
        Self {
            journal: Journal::new(&profile.authority, &profile.prefix),
            next_day: profile.first_day,
            profile,
            calendar,
            rng,
            staff,
            staff_changes: BTreeMap::new(),
            held: vec![vec![]; workers],
            written: vec![false; workers],
            releases: vec![],
            present: vec![false; workers],
            available: vec![vec![]; teams],
            children: vec![],
            households: vec![],
            referrals: vec![],
            cases: vec![],
            open: vec![],
            waiting: vec![],
            trays: vec![],
            stuck: vec![],
            recent: VecDeque::new(),
            year: YearSoFar::default(),
            undecided: vec![],
            later: BTreeMap::new(),
            held_by_others: 0,
            numbers: Numbers::default(),
            opened: false,
        }
    }

    /// The day the next step simulates.
    pub fn next_day(&self) -> Day {
        self.next_day
    }

    /// The last day of the profile.
    pub fn last_day(&self) -> Day {
        self.profile.last_day
    }

    /// The snapshot first, then a day at a time; none after the last day.
    pub fn step(&mut self) -> Option<Batch> {
        if !self.opened {
            self.opened = true;
            let day = self.profile.first_day;
            self.open_authority();
            self.feeds(self.calendar.midnight(day).plus(-1));
            let events = self.journal.flush_snapshot(self.calendar.midnight(day).plus(SECOND));
            return Some(Batch {
                day: None,
                events,
                no_holder: self.waiting.len(),
            });
        }
        let day = self.next_day;
        if day > self.profile.last_day {
            return None;
        }
        self.next_day = day.plus(1);
        self.live(day);
        self.feeds(self.calendar.end_of(day));
        Some(Batch {
            day: Some(day),
            events: self.journal.flush(),
            no_holder: self.waiting.len(),
        })
    }

    /// Steps up to and including a day.
    pub fn run_until(&mut self, day: Day) -> Vec<Event> {
        let mut events = vec![];
        while !self.opened || self.next_day <= day {
            match self.step() {
                Some(batch) => events.extend(batch.events),
                None => break,
            }
        }
        events
    }

    fn live(&mut self, day: Day) {
        self.record_staff(day);
        self.look_who_is_here(day);
        self.record_late(day);
        self.receive(day);
        if self.calendar.is_working(day) {
            self.work_cases(day);
            self.release_cases(day);
            self.meet(day);
            self.visit_and_supervise(day);
        }
    }

    /// One delivery a table, described and recorded at `at`.
    fn feeds(&mut self, at: Time) {
        let next = at.plus(26 * 60 * MINUTE);
        for table in Table::ALL {
            let rows = self.journal.count(table) + i64::from(table == Table::Feeds);
            let feed = if table.from_staff_system() {
                "hr_payroll"
            } else {
                "case_system"
            };
            self.numbers.feeds += 1;
            let values = row![feed, table.name(), at, rows, None::<Day>, next, true];
            self.journal
                .put(at, Table::Feeds, self.numbers.feeds, values, Life::Over);
        }
    }

    // Chance and time.

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    /// A random instant of a day between two minutes of London's clock.
    pub(crate) fn moment(&mut self, day: Day, from_minute: i64, to_minute: i64) -> Time {
        let second = self.rng.random_range(from_minute * 60..to_minute * 60);
        self.calendar.at(day, second).plus(self.rng.random_range(0..SECOND))
    }

    /// The same, but after the last thing that happened to the case.
    pub(crate) fn moment_of(&mut self, case: u32, day: Day, from_minute: i64, to_minute: i64) -> Time {
        let time = self.moment(day, from_minute, to_minute);
        let case = &mut self.cases[case as usize];
        case.ready = time.max(case.ready.plus(MINUTE));
        case.ready
    }

    pub(crate) fn workdays(&self, from: Day, to: Day) -> i32 {
        self.calendar.working_days_between(from, to)
    }

    pub(crate) fn after_workdays(&mut self, day: Day, from: i32, to: i32) -> Day {
        let days = self.rng.random_range(from..=to);
        self.calendar.add_working_days(day, days)
    }

    pub(crate) fn later(&mut self, day: Day, what: Later) {
        self.later.entry(day).or_default().push(what);
    }

    // Names.

    pub(crate) fn team_id(&self, team: usize) -> String {
        self.journal.id("T", team as u32 + 1)
    }

    pub(crate) fn worker_id(&self, worker: usize) -> String {
        self.journal.id("W", worker as u32 + 1)
    }

    pub(crate) fn child_id(&self, child: u32) -> String {
        self.journal.id("CH", child + 1)
    }

    pub(crate) fn case_id(&self, case: u32) -> String {
        self.journal.id("C", case + 1)
    }

    // Teams and people.

    pub(crate) fn teams_of(&self, service: Service) -> Vec<usize> {
        let holds = |t: &usize| {
            self.staff.teams[*t].service == service
                && (self.staff.teams[*t].case_holding || service == Service::Fostering)
        };
        (0..self.staff.teams.len()).filter(holds).collect()
    }

    pub(crate) fn at_front_door(&self, case: u32) -> bool {
        self.staff.teams[self.cases[case as usize].team].service == Service::FrontDoor
    }

    pub(crate) fn age(&self, child: u32, day: Day) -> f64 {
        f64::from(day.0 - self.children[child as usize].birth_month.0) / 365.25
    }

    // Rows.

    pub(crate) fn put_child(&mut self, at: Time, number: u32) {
        let child = &self.children[number as usize];
        let born = (!child.unborn).then_some(child.birth_month);
        let values = row![
            self.child_id(number),
            self.journal.id("HH", child.household + 1),
            born,
            child.unborn.then_some(child.birth_month),
            None::<Day>,
            child.merged_into.map(|into| self.child_id(into)),
            child.restricted,
        ];
        self.journal.put(at, Table::Children, number, values, Life::Open);
    }

    pub(crate) fn put_referral(&mut self, at: Time, number: u32, life: Life) {
        let referral = &self.referrals[number as usize];
        let values = row![
            self.journal.id("R", number + 1),
            self.child_id(referral.child),
            referral.kind,
            referral.received,
            referral.decided.map(|(time, _)| time),
            referral.decided.map(|(_, decision)| decision),
            referral.source,
            self.team_id(referral.team),
        ];
        self.journal.put(at, Table::Referrals, number, values, life);
    }

    pub(crate) fn put_case(&mut self, at: Time, number: u32) {
        let case = &self.cases[number as usize];
        let values = row![
            self.case_id(number),
            self.child_id(case.child),
            case.referral.map(|referral| self.journal.id("R", referral + 1)),
            if case.stage == Stage::Carer { "carer" } else { "child" },
            self.team_id(case.team),
            case.opened,
            case.closed.map(|(time, _)| time),
            case.closed.map(|(_, reason)| reason),
            case.need,
            case.non_social_work_lead,
        ];
        let life = if case.closed.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Cases, number, values, life);
    }

    pub(crate) fn put_allocation(
        &mut self,
        at: Time,
        case: u32,
        holder: &Holder,
        role: &'static str,
        ended: Option<(Time, &'static str)>,
    ) {
        let values = row![
            self.journal.id("AL", holder.allocation),
            self.case_id(case),
            self.team_id(holder.team),
            holder.worker.map(|worker| self.worker_id(worker)),
            role,
            holder.kind,
            holder.started,
            ended.map(|(time, _)| time),
            ended.map(|(_, reason)| reason),
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal
            .put(at, Table::Allocations, holder.allocation, values, life);
    }

    pub(crate) fn put_plan(&mut self, at: Time, case: u32, plan: &Plan, ended: Option<(Day, &'static str)>) {
        let protection = plan.kind == "child_protection";
        let values = row![
            self.journal.id("PL", plan.id),
            self.case_id(case),
            plan.kind,
            plan.started,
            ended.map(|(day, _)| day),
            ended.map(|(_, reason)| reason),
            plan.conference.map(|conference| self.journal.id("CF", conference)),
            plan.category,
            plan.category,
            protection.then_some(i64::from(plan.id.is_multiple_of(5))),
            None::<Day>,
            None::<i64>,
            None::<&'static str>,
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Plans, plan.id, values, life);
    }

    pub(crate) fn put_assessment(&mut self, at: Time, case: u32, assessment: &Assessment, end: AssessmentEnd) {
        let (authorised, cancelled, outcome) = match end {
            AssessmentEnd::Open => (None, None, None),
            AssessmentEnd::Authorised(time, outcome) => (Some(time), None, Some(outcome)),
            AssessmentEnd::Cancelled(time) => (None, Some(time), None),
        };
        let values = row![
            self.journal.id("AS", assessment.id),
            self.case_id(case),
            assessment.kind,
            assessment.strategy,
            assessment.started,
            authorised,
            cancelled,
            authorised.map(|_| !assessment.id.is_multiple_of(23)),
            outcome,
            self.team_id(assessment.team),
            assessment.worker.map(|worker| self.worker_id(worker)),
        ];
        let life = if matches!(end, AssessmentEnd::Open) {
            Life::Open
        } else {
            Life::Over
        };
        self.journal.put(at, Table::Assessments, assessment.id, values, life);
    }

    pub(crate) fn put_placement(&mut self, at: Time, case: u32, placement: &Placement, ended: Option<Day>) {
        let unsuitable = matches!(placement.kind, "unregistered" | "bed_and_breakfast");
        let values = row![
            self.journal.id("PM", placement.id),
            self.case_id(case),
            placement.kind,
            placement.legal_status,
            placement.long_term,
            self.calendar.add_working_days(placement.started, 20),
            "standard",
            placement.started,
            ended,
            !unsuitable,
        ];
        let life = if ended.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Placements, placement.id, values, life);
    }

    pub(crate) fn put_transfer(
        &mut self,
        at: Time,
        case: u32,
        transfer: &Transfer,
        accepted: Option<Time>,
        cancelled: Option<Time>,
    ) {
        let values = row![
            self.journal.id("TR", transfer.id),
            self.case_id(case),
            self.team_id(transfer.from),
            self.team_id(transfer.to),
            transfer.requested,
            accepted,
            cancelled,
        ];
        let life = if accepted.is_some() || cancelled.is_some() {
            Life::Over
        } else {
            Life::Open
        };
        self.journal.put(at, Table::Transfers, transfer.id, values, life);
    }

    // Staff records.

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
                if spell.end_reason != Some("changed_terms") {
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

    fn record_staff(&mut self, day: Day) {
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
        let manager = self.staff.teams[spell.team]
            .manager
            .filter(|manager| *manager != spell.worker);
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
            manager.map(|manager| self.worker_id(manager)),
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
            let leaving = spell.end_reason != Some("changed_terms")
                && spell
                    .ended
                    .is_some_and(|end| spell.end_known <= day || end <= day.plus(25));
            let holds = spell.case_holding || self.staff.teams[spell.team].service == Service::Fostering;
            if self.present[number] && !soon[number] && !leaving && holds {
                self.available[spell.team].push(number);
            }
        }
    }

    fn record_late(&mut self, day: Day) {
        for what in self.later.remove(&day).unwrap_or_default() {
            let at = self.moment(day, 9 * 60, 17 * 60 + 30);
            match what {
                Later::Record {
                    table,
                    number,
                    values,
                    life,
                } => {
                    self.journal.put(at, table, number, values, life);
                }
                Later::Delete { table, number } => self.journal.delete(at, table, number),
                Later::Merge { from, into } => self.merge(at, from, into),
                Later::Accept { case, transfer } => self.accept(day, case, transfer),
            }
        }
    }
}

/// How an assessment ended, if it did.
#[derive(Clone, Copy)]
pub(crate) enum AssessmentEnd {
    Open,
    Authorised(Time, &'static str),
    Cancelled(Time),
}
