//! Who holds a case: allocations, releases, and the allocation meeting that steers to the profile's curves.
//!
//! **The meeting.** At the end of each working day, for the front door and for everywhere else, it gives workers to as
//! many waiting cases as leaves exactly the curve's number without one. Which: the longest wait above the limit first,
//! protected children next, then the oldest while the mean wait is above its curve, else the newest (urgent new work
//! crowding out the old is how waits grow). Some leave the queue by a tray, some by closure.
//!
//! Invariants: a case has at most one primary holder; nobody is given a case within weeks of a known last day; a wait
//! restarts only after a worker has held the case for a working day.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::calendar::{Day, MINUTE, Time};
use crate::people::{Holder, Stage, Transfer};
use crate::simulation::Simulation;
use crate::workforce::Service;

/// What no manager goes beyond while anybody else in the authority has less.
const MOST_CASES: usize = 46;

impl Simulation {
    /// Gives a case to a worker (or, without one, to a tray, a duty desk or a manager).
    pub(crate) fn allocate(&mut self, case: u32, worker: Option<usize>, kind: &'static str, at: Time) {
        self.numbers.allocations += 1;
        let team = self.cases[case as usize].team;
        let holder = Holder {
            allocation: self.numbers.allocations,
            worker,
            kind,
            team,
            started: at,
        };
        self.put_allocation(at, case, &holder, "primary", None);
        if let Some(worker) = worker {
            self.held[worker].push(case);
            if !self.staff.workers[worker].registered {
                self.held_by_others += 1;
            }
        }
        let day = self.calendar.day_of(at);
        let first_step = self.after_workdays(day, 1, 3);
        let entry = &mut self.cases[case as usize];
        entry.holder = Some(holder);
        entry.ready = entry.ready.max(at);
        entry.due = entry.due.max(first_step);
        self.waiting.retain(|waiting| *waiting != case);
    }

    /// Ends the primary allocation; the case then waits, unless the caller gives it to somebody else or closes it.
    pub(crate) fn end_holder(&mut self, case: u32, at: Time, reason: &'static str) {
        let Some(holder) = self.cases[case as usize].holder.take() else {
            return;
        };
        self.put_allocation(at, case, &holder, "primary", Some((at, reason)));
        if let Some(worker) = holder.worker {
            self.held[worker].retain(|held| *held != case);
            if !self.staff.workers[worker].registered {
                self.held_by_others -= 1;
            }
            let (from, to) = (self.calendar.day_of(holder.started), self.calendar.day_of(at));
            if self.workdays(from, to) >= 1 {
                self.cases[case as usize].waiting_since = at;
            }
        }
        let entry = &mut self.cases[case as usize];
        entry.ready = entry.ready.max(at);
        if entry.stage != Stage::Carer {
            self.waiting.push(case);
        }
        self.trays.retain(|(tray, _)| *tray != case);
        self.stuck.retain(|(stuck, _)| *stuck != case);
    }

    /// The same instant ends one holder and begins another.
    pub(crate) fn hand_over(&mut self, case: u32, worker: usize, at: Time, reason: &'static str) {
        self.end_holder(case, at, reason);
        self.allocate(case, Some(worker), "worker", at);
    }

    /// The team's least loaded worker, in its service's other teams if it has none, anywhere if need be.
    pub(crate) fn choose_worker(&self, team: usize, registered: bool) -> Option<usize> {
        let service = self.staff.teams[team].service;
        let suits = |worker: &&usize| self.staff.workers[**worker].registered == registered;
        let least = |teams: &mut dyn Iterator<Item = usize>, most: usize| {
            teams
                .flat_map(|team| &self.available[team])
                .filter(suits)
                .filter(|worker| self.held[**worker].len() < most)
                .min_by(|a, b| self.load(**a).total_cmp(&self.load(**b)).then(a.cmp(b)))
                .copied()
        };
        let all = (0..self.staff.teams.len()).filter(|t| self.staff.teams[*t].service != Service::Fostering);
        let mut same_service = all.clone().filter(|t| self.staff.teams[*t].service == service);
        least(&mut std::iter::once(team), MOST_CASES)
            .or_else(|| least(&mut same_service, MOST_CASES))
            .or_else(|| least(&mut all.clone(), MOST_CASES))
            .or_else(|| least(&mut all.clone(), usize::MAX))
    }

    fn load(&self, worker: usize) -> f64 {
        let entry = &self.staff.workers[worker];
        let fte = entry.spells.last().map_or(10, |spell| self.staff.spells[*spell].fte);
        let pace = entry.pace
            * if entry.newly_qualified_from.is_some() {
                0.75
            } else {
                1.0
            };
        (self.held[worker].len() as f64 + 1.0) * 10.0 / (f64::from(fte) * pace)
    }

    /// Cases of those who leave today, or are about to be away for long, go to others, wait, or are overlooked.
    pub(crate) fn release_cases(&mut self, day: Day) {
        for worker in std::mem::take(&mut self.releases) {
            let absent = self.staff.workers[worker]
                .spells
                .last()
                .is_some_and(|s| self.staff.spells[*s].ended.is_none_or(|end| end > day));
            let reason = if absent { "ABSENC" } else { "LEFTRL" };
            for team in &mut self.available {
                team.retain(|available| *available != worker);
            }
            for case in self.held[worker].clone() {
                self.release(case, day, reason);
            }
        }
    }

    fn release(&mut self, case: u32, day: Day, reason: &'static str) {
        let at = self.moment_of(case, day, 15 * 60, 15 * 60 + 30);
        let entry = &self.cases[case as usize];
        let (stage, since) = (
            entry.stage,
            entry.holder.as_ref().map(|holder| self.calendar.day_of(holder.started)),
        );
        let settled = since.is_some_and(|since| self.workdays(since, day) >= 2);
        if self.at_front_door(case) && !stage.is_assessed() {
            self.accept_now(case, at);
        }
        let registered = !self.held_by_others_here(case);
        let overlooked = registered && stage != Stage::Carer && self.chance(0.18);
        let direct = !registered || !settled || stage == Stage::Carer || self.chance(0.66);
        if overlooked && reason == "LEFTRL" {
            let noticed = self.after_workdays(day, 2, 9);
            self.stuck.push((case, noticed));
        } else if let Some(worker) = self
            .choose_worker(self.cases[case as usize].team, registered)
            .filter(|_| direct)
        {
            self.hand_over(case, worker, at, reason);
        } else {
            self.end_holder(case, at, reason);
            if !self.at_front_door(case) && stage == Stage::InNeed && self.chance(0.1) {
                self.request_transfer(case, at, Service::Disability);
            }
        }
    }

    fn held_by_others_here(&self, case: u32) -> bool {
        let holder = self.cases[case as usize].holder.as_ref();
        holder
            .and_then(|holder| holder.worker)
            .is_some_and(|worker| !self.staff.workers[worker].registered)
    }

    /// A transfer from the case's team to one of a service.
    pub(crate) fn request_transfer(&mut self, case: u32, at: Time, service: Service) -> u32 {
        let teams = self.teams_of(service);
        let to = self.pick(&teams);
        self.numbers.transfers += 1;
        let transfer = Transfer {
            id: self.numbers.transfers,
            from: self.cases[case as usize].team,
            to,
            requested: at,
        };
        self.put_transfer(at, case, &transfer, None, None);
        self.cases[case as usize].transfer = Some(transfer);
        self.numbers.transfers
    }

    /// The receiving team takes a case over; its old team's worker lets go of it.
    pub(crate) fn accept(&mut self, day: Day, case: u32, transfer: u32) {
        let entry = &self.cases[case as usize];
        if entry.closed.is_some() || entry.transfer.as_ref().is_none_or(|pending| pending.id != transfer) {
            return;
        }
        if !self.calendar.is_working(day) || entry.holder.as_ref().is_none_or(|holder| holder.worker.is_none()) {
            let again = self.calendar.add_working_days(day, 1);
            self.later(again, crate::simulation::Later::Accept { case, transfer });
            return;
        }
        let at = self.moment_of(case, day, 11 * 60, 15 * 60);
        self.accept_now(case, at);
        let registered = !self.held_by_others_here(case);
        match self
            .choose_worker(self.cases[case as usize].team, registered)
            .filter(|_| self.rng.random_bool(0.4))
        {
            Some(worker) => self.hand_over(case, worker, at, "TSPROC"),
            None => self.end_holder(case, at, "TSPROC"),
        }
    }

    /// The case changes team, whoever holds it.
    pub(crate) fn accept_now(&mut self, case: u32, at: Time) {
        if let Some(transfer) = self.cases[case as usize].transfer.take() {
            self.put_transfer(at, case, &transfer, Some(at), None);
            self.cases[case as usize].team = transfer.to;
            self.put_case(at, case);
        }
    }

    /// The allocation meeting of a working day.
    pub(crate) fn meet(&mut self, day: Day) {
        self.begin_pinned_transfer(day);
        self.settle_trays(day);
        for front_door in [true, false] {
            self.settle(day, front_door);
        }
    }

    fn settle_trays(&mut self, day: Day) {
        for (case, until) in self.stuck.clone().into_iter().chain(self.trays.clone()) {
            if until <= day
                && let Some(worker) = self.choose_worker(self.cases[case as usize].team, true)
            {
                let at = self.moment_of(case, day, 9 * 60 + 30, 16 * 60);
                self.hand_over(case, worker, at, "MANAGE");
            }
        }
    }

    /// Past the grace period at the end of the day?
    pub(crate) fn past_grace(&self, case: u32, day: Day) -> bool {
        let entry = &self.cases[case as usize];
        let waited = self.workdays(self.calendar.day_of(entry.waiting_since), day);
        let grace = match (entry.stage.is_protected(), &entry.transfer) {
            (true, _) => 1,
            (false, Some(_)) => 5,
            (false, None) => 2,
        };
        waited > grace
    }

    fn settle(&mut self, day: Day, front_door: bool) {
        let profile = &self.profile;
        let (target, keep_in_grace) = match front_door {
            true => (
                profile.no_holder_front_door.count(day),
                profile.in_grace_front_door.count(day),
            ),
            false => (
                profile.no_holder_elsewhere.count(day),
                profile.in_grace_elsewhere.count(day),
            ),
        };
        let clear_all = profile.forbids_past_grace(day);
        let here: Vec<u32> = self
            .waiting
            .iter()
            .copied()
            .filter(|case| self.at_front_door(*case) == front_door)
            .collect();
        if here.len() < target && !clear_all {
            self.take_away(day, front_door, target - here.len());
            return;
        }
        let excess = here.len().saturating_sub(target);
        let free = |case: &u32| self.cases[*case as usize].pinned_until.is_none_or(|until| until <= day);
        let (mut past, mut within): (Vec<u32>, Vec<u32>) = here
            .into_iter()
            .filter(free)
            .partition(|case| self.past_grace(*case, day));
        let mut from_within = within.len().saturating_sub(keep_in_grace).min(excess);
        let mut from_past = excess - from_within;
        if clear_all {
            from_past = past.len();
            from_within = excess.saturating_sub(from_past);
        } else if from_past > past.len() {
            from_past = past.len();
            from_within = (excess - from_past).min(within.len());
        } else if self.mean_wait(&past, day) > self.profile.mean_wait.on(day) {
            // Waits grow by themselves: some of the long ones go before as many new ones.
            let before_new = from_within.min(past.len() - from_past).min(2);
            from_past += before_new;
            from_within -= before_new;
        }
        for case in self.choose_waiting(&mut past, from_past, day) {
            self.give(case, day, true);
        }
        within.shuffle(&mut self.rng);
        within.sort_by_key(|case| {
            let entry = &self.cases[*case as usize];
            (!entry.stage.is_protected(), !entry.urgent)
        });
        for case in within.into_iter().take(from_within) {
            self.give(case, day, false);
        }
    }

    /// The mean wait of these cases, in calendar days.
    fn mean_wait(&self, cases: &[u32], day: Day) -> f64 {
        let waits = cases
            .iter()
            .map(|case| day.0 - self.calendar.day_of(self.cases[*case as usize].waiting_since).0);
        f64::from(waits.sum::<i32>()) / cases.len().max(1) as f64
    }

    /// Picks from those past the grace period: over the limit, protected, then by the mean wait.
    fn choose_waiting(&mut self, past: &mut Vec<u32>, count: usize, day: Day) -> Vec<u32> {
        let longest = self.profile.longest_wait.on(day);
        let mean = self.profile.mean_wait.on(day);
        let age =
            |sim: &Self, case: u32| f64::from(day.0 - sim.calendar.day_of(sim.cases[case as usize].waiting_since).0);
        past.sort_by_key(|case| (self.cases[*case as usize].waiting_since, *case));
        let mut chosen = vec![];
        let mut total: f64 = past.iter().map(|case| age(self, *case)).sum();
        while chosen.len() < count && !past.is_empty() {
            let protected = past
                .iter()
                .position(|case| self.cases[*case as usize].stage.is_protected());
            let position = match protected {
                _ if age(self, past[0]) >= longest => 0,
                Some(position) if self.chance(0.8) => position,
                _ if total / past.len() as f64 > mean => 0,
                _ => {
                    let newest = (past.len() / 4).max(1);
                    past.len() - 1 - self.rng.random_range(0..newest)
                }
            };
            let case = past.remove(position);
            total -= age(self, case);
            chosen.push(case);
        }
        chosen
    }

    /// A waiting case leaves the queue.
    fn give(&mut self, case: u32, day: Day, long_waiting: bool) {
        let at = self.moment_of(case, day, 9 * 60 + 30, 17 * 60 + 45);
        let entry = &self.cases[case as usize];
        let (stage, team) = (entry.stage, entry.team);
        let nominal = self.profile.nominal.count(day);
        if long_waiting && !stage.is_protected() && self.trays.len() < nominal && self.chance(0.5) {
            let kind = *["team_tray", "team_tray", "duty", "manager"]
                .choose(&mut self.rng)
                .expect("four kinds");
            self.allocate(case, None, kind, at);
            let until = self.after_workdays(day, 3, 15);
            self.trays.push((case, until));
            return;
        }
        if long_waiting && stage == Stage::Awaiting && self.chance(self.profile.closed_unheld.on(day)) {
            self.close(case, at, "RC8");
            return;
        }
        if self.cases[case as usize].transfer.is_some() {
            self.accept_now(case, at.plus(-MINUTE / 2));
        }
        let others = stage == Stage::LeavingCare
            || (stage == Stage::InNeed && self.held_by_others + 4 < self.profile.held_by_others.count(day));
        if others && let Some(worker) = self.choose_helper(team, stage) {
            if stage == Stage::InNeed {
                self.cases[case as usize].non_social_work_lead = Some(true);
                self.put_case(at, case);
            }
            self.allocate(case, Some(worker), "worker", at);
        } else if let Some(worker) = self.choose_worker(self.cases[case as usize].team, true) {
            self.allocate(case, Some(worker), "worker", at);
            self.add_second(case, at);
        }
    }

    /// A personal adviser for care leavers, a family support worker for others.
    pub(crate) fn choose_helper(&self, team: usize, stage: Stage) -> Option<usize> {
        let service = if stage == Stage::LeavingCare {
            Service::LeavingCare
        } else {
            Service::Safeguarding
        };
        let teams = self.teams_of(service);
        let start = if teams.contains(&team) { team } else { *teams.first()? };
        self.choose_worker(start, false)
    }

    /// Some cases of a social worker have a family support worker beside.
    fn add_second(&mut self, case: u32, at: Time) {
        if self.cases[case as usize].secondary.is_some() || self.at_front_door(case) || !self.chance(0.08) {
            return;
        }
        let Some(worker) = self.choose_helper(self.cases[case as usize].team, Stage::InNeed) else {
            return;
        };
        self.numbers.allocations += 1;
        let team = self.cases[case as usize].team;
        let second = Holder {
            allocation: self.numbers.allocations,
            worker: Some(worker),
            kind: "worker",
            team,
            started: at,
        };
        self.put_allocation(at, case, &second, "secondary", None);
        self.cases[case as usize].secondary = Some(second);
    }

    /// Too few wait for the curve: managers take cases from the most loaded workers.
    fn take_away(&mut self, day: Day, front_door: bool, count: usize) {
        let mut candidates: Vec<u32> = vec![];
        for case in &self.open {
            let entry = &self.cases[*case as usize];
            let movable = if front_door {
                entry.stage == Stage::Assessing
            } else {
                entry.stage == Stage::InNeed
            };
            let Some(holder) = entry.holder.as_ref().filter(|_| movable && entry.transfer.is_none()) else {
                continue;
            };
            let long = self.workdays(self.calendar.day_of(holder.started), day) > 4;
            let social_worker = holder
                .worker
                .is_some_and(|w| self.staff.workers[w].registered && self.present[w]);
            if long
                && social_worker
                && self.at_front_door(*case) == front_door
                && self.calendar.day_of(entry.ready) < day
            {
                candidates.push(*case);
            }
        }
        candidates.shuffle(&mut self.rng);
        let load = |case: &u32| {
            self.cases[*case as usize]
                .holder
                .as_ref()
                .and_then(|h| h.worker)
                .map_or(0, |w| self.held[w].len())
        };
        candidates.sort_by_key(|case| std::cmp::Reverse(load(case)));
        for case in candidates.into_iter().take(count) {
            let at = self.moment_of(case, day, 16 * 60, 17 * 60 + 30);
            self.end_holder(case, at, "MANAGE");
        }
    }

    /// The transfer that is asked for and then forgotten.
    fn begin_pinned_transfer(&mut self, day: Day) {
        for pinned in self.profile.pinned.clone() {
            if pinned.from != day || !pinned.in_transfer {
                continue;
            }
            let suits = |case: &&u32| {
                let entry = &self.cases[**case as usize];
                let worker = entry.holder.as_ref().and_then(|holder| holder.worker);
                let settled = entry
                    .holder
                    .as_ref()
                    .is_some_and(|h| self.workdays(self.calendar.day_of(h.started), day) > 4);
                entry.stage == Stage::InNeed
                    && entry.transfer.is_none()
                    && self.staff.teams[entry.team].service == Service::Safeguarding
                    && settled
                    && worker.is_some_and(|w| self.present[w] && self.staff.workers[w].registered)
            };
            if let Some(case) = self.open.iter().find(suits).copied() {
                let at = self.moment_of(case, day, 14 * 60, 15 * 60);
                self.end_holder(case, at, "TSPROC");
                self.request_transfer(case, at, Service::Disability);
                self.cases[case as usize].pinned_until = Some(pinned.until);
            }
        }
    }
}
