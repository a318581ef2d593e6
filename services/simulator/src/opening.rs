//! The authority as it stands before the first day: what the initial snapshot reads.

use rand::Rng;

use crate::calendar::{Day, Time};
use crate::intake::blank_case;
use crate::journal::Life;
use crate::people::{Case, Holder, Plan, Stage, Transfer};
use crate::records::AssessmentEnd;
use crate::simulation::Simulation;
use crate::workforce::Service;

impl Simulation {
    pub(crate) fn open_authority(&mut self) {
        self.schedule_staff();
        let eve = self.profile.first_day.plus(-1);
        self.look_who_is_here(eve);
        self.receive_history();
        self.open_front_door(eve);
        self.open_long_term(eve);
        self.open_carers(eve);
        let last = self.calendar.working_day_at_or_before(eve.plus(-9));
        self.supervise_workers(last);
        let at = self.calendar.midnight(self.profile.first_day);
        for child in 0..self.children.len() as u32 {
            self.put_child(at, child);
        }
        for referral in 0..self.referrals.len() as u32 {
            self.put_referral(at, referral, Life::Over);
        }
        for case in 0..self.cases.len() as u32 {
            self.put_case(at, case);
        }
    }

    fn noon(&mut self, day: Day) -> Time {
        self.moment(day, 10 * 60, 16 * 60)
    }

    /// The latest decisions for assessment: some wait, more are being assessed, the rest has been closed.
    fn open_front_door(&mut self, eve: Day) {
        let mut to_wait = self.profile.no_holder_front_door.count(eve);
        let mut to_hold = (self.profile.open.on(eve) * 0.115) as usize;
        for wait in [0.2, 1.0] {
            for number in (0..self.referrals.len() as u32).rev() {
                let referral = &self.referrals[number as usize];
                let Some((decided, decision)) = referral.decided else {
                    continue;
                };
                let (child, day) = (referral.child, self.calendar.day_of(decided));
                let opens = matches!(decision, "assessment" | "section_47")
                    && self.children[child as usize].open_case.is_none();
                let age = eve.0 - day.0;
                if !opens || age > 140 {
                    continue;
                }
                let waits = to_wait > 0 && self.chance(wait);
                if !waits && (to_hold == 0 || !self.chance(1.0 - f64::from(age) / 75.0)) {
                    continue;
                }
                let teams = self.teams_of(Service::FrontDoor);
                let team = self.pick(&teams);
                let urgent = decision == "section_47";
                let case = Case {
                    referral: Some(number),
                    urgent,
                    ..blank_case(child, team, decided, "N1", Stage::Awaiting, eve)
                };
                let case = self.add_case(case);
                if waits {
                    to_wait -= 1;
                    self.waiting.push(case);
                } else {
                    to_hold -= 1;
                    self.open_assessment(case, day, eve);
                }
            }
        }
    }

    fn open_assessment(&mut self, case: u32, opened: Day, eve: Day) {
        let Some(worker) = self.choose_worker(self.cases[case as usize].team, true) else {
            return;
        };
        let earliest = opened.plus(self.rng.random_range(1..12)).min(eve);
        let started = self.allocate_before(case, worker, earliest, eve);
        let due = self.after_workdays(eve, 2, 30);
        if started.plus(3) < eve {
            let at = self.noon(started.plus(2));
            let assessment = self.new_assessment(case, "child_family", None, at);
            self.put_assessment(at, case, &assessment, AssessmentEnd::Open);
            let entry = &mut self.cases[case as usize];
            entry.assessment = Some(assessment);
            entry.stage = Stage::Assessing;
            entry.due = due;
            if started.plus(8) < eve {
                let soon = self.calendar.add_working_days(started, self.rng.random_range(3..5));
                let seen_on = self.calendar.working_day_at_or_before(soon.min(eve));
                self.visit(case, seen_on, 0);
            } else {
                entry.visit_due = self.calendar.add_working_days(eve, 2);
            }
        } else {
            self.cases[case as usize].due = self.calendar.add_working_days(eve, 2);
        }
    }

    /// Allocates before the first day, not before the worker came; returns the day.
    fn allocate_before(&mut self, case: u32, worker: usize, wanted: Day, eve: Day) -> Day {
        let spell = self.staff.workers[worker]
            .spells
            .iter()
            .map(|s| &self.staff.spells[*s])
            .find(|s| s.active(eve));
        let earliest = spell.map_or(wanted, |spell| spell.started.max(wanted)).min(eve);
        let day = self.calendar.working_day_at_or_before(earliest);
        let at = self.noon(day).max(self.cases[case as usize].opened.plus(60_000_000));
        self.allocate(case, Some(worker), "worker", at);
        self.cases[case as usize].ready = at;
        day
    }

    fn open_long_term(&mut self, eve: Day) {
        let scale = self.profile.scale;
        let target = self.profile.open.count(eve);
        let mut to_wait = self.profile.no_holder_elsewhere.count(eve);
        let leaving = (500.0 * scale) as usize;
        let mut helped = self.profile.held_by_others.count(eve).saturating_sub(leaving);
        let mut left = [
            (Stage::LookedAfter, (1090.0 * scale) as usize),
            (Stage::Protected, (740.0 * scale) as usize),
            (Stage::LeavingCare, leaving),
        ];
        let midnight = self.calendar.midnight(self.profile.first_day);
        while self.open.len() < target {
            let stage = match left.iter_mut().find(|(_, count)| *count > 0) {
                Some((stage, count)) => {
                    *count -= 1;
                    *stage
                }
                None => Stage::InNeed,
            };
            let alone = self.households.is_empty() || self.chance(0.55);
            if alone {
                self.households.push(vec![]);
            }
            let household = self.households.len() as u32 - 1;
            let child = self.new_child(household, eve, midnight, true);
            if stage == Stage::LeavingCare {
                self.children[child as usize].birth_month =
                    eve.plus(-self.rng.random_range(18 * 365 + 40..21 * 365)).month();
                self.children[child as usize].unborn = false;
            }
            let case = self.open_planned(child, stage, eve);
            if stage == Stage::InNeed && helped > 0 {
                helped -= 1;
                self.cases[case as usize].non_social_work_lead = Some(true);
                self.hold(case, false, eve);
            } else if stage == Stage::LeavingCare {
                self.hold(case, false, eve);
            } else if stage == Stage::InNeed && to_wait > 0 {
                to_wait -= 1;
                self.left_behind(case, eve);
            } else {
                self.hold(case, true, eve);
            }
        }
    }

    /// A case with a plan that has run for a while.
    fn open_planned(&mut self, child: u32, stage: Stage, eve: Day) -> u32 {
        let (service, kind, longest) = match stage {
            Stage::LookedAfter => (Service::LookedAfter, "looked_after", 2400),
            Stage::Protected => (Service::Safeguarding, "child_protection", 620),
            Stage::LeavingCare => (Service::LeavingCare, "pathway", 900),
            _ => (
                if self.chance(0.1) {
                    Service::Disability
                } else {
                    Service::Safeguarding
                },
                "child_in_need",
                700,
            ),
        };
        let teams = self.teams_of(service);
        let team = self.pick(&teams);
        let planned = self
            .calendar
            .working_day_at_or_before(eve.plus(-self.rng.random_range(46..longest)));
        let before = self.rng.random_range(30..70);
        let opened = self.noon(self.calendar.working_day_at_or_before(planned.plus(-before)));
        let due = self.after_workdays(eve, 1, 60);
        let need = self.pick(&["N1", "N1", "N1", "N2", "N4", "N5"]);
        let case = self.add_case(blank_case(child, team, opened, need, stage, due));
        let visit = self.after_workdays(eve, 1, 20);
        let at = self.noon(planned);
        self.numbers.plans += 1;
        let category = (stage == Stage::Protected).then(|| self.pick(&["NEG", "NEG", "EMO", "PHY", "SAB"]));
        let conference = (stage == Stage::Protected).then(|| self.held_before(case, planned, at));
        if stage == Stage::InNeed && self.chance(0.3) {
            self.transferred_before(case, planned);
        }
        let plan = Plan {
            id: self.numbers.plans,
            kind,
            started: planned,
            conference,
            category,
        };
        self.put_plan(at, case, &plan, None);
        let entry = &mut self.cases[case as usize];
        entry.plan = Some(plan);
        entry.visit_due = visit;
        if stage == Stage::LookedAfter {
            self.begin_placement(case, planned, at);
        }
        case
    }

    fn hold(&mut self, case: u32, registered: bool, eve: Day) {
        let (team, stage) = (self.cases[case as usize].team, self.cases[case as usize].stage);
        let worker = if registered {
            self.choose_worker(team, true)
        } else {
            self.choose_helper(team, stage)
        };
        let Some(worker) = worker else { return };
        let opened = self.calendar.day_of(self.cases[case as usize].opened);
        let wanted = opened.plus(self.rng.random_range(1..(eve.0 - opened.0).max(2)));
        let due = self.cases[case as usize].due;
        let day = self.allocate_before(case, worker, wanted, eve);
        self.cases[case as usize].due = due;
        if stage != Stage::Carer && day < eve.plus(-30) {
            self.visited_before(case, eve);
        }
    }

    /// Its worker left some time ago and nobody took it.
    fn left_behind(&mut self, case: u32, eve: Day) {
        self.waiting.push(case);
        let ended = self
            .calendar
            .working_day_at_or_before(eve.plus(-self.rng.random_range(1..80)));
        let opened = self.calendar.day_of(self.cases[case as usize].opened);
        let workers: Vec<(usize, Day)> = self
            .staff
            .spells
            .iter()
            .filter(|s| s.social_work && s.case_holding && s.active(ended) && s.started.plus(6) < ended)
            .map(|s| (s.worker, s.started))
            .collect();
        let (worker, started) = self.pick(&workers);
        let from = started.max(opened).max(ended.plus(-200)).plus(1);
        let started = self.noon(self.calendar.add_working_days(from, 0));
        let at = self.moment(ended, 16 * 60, 17 * 60);
        self.numbers.allocations += 1;
        let team = self.cases[case as usize].team;
        let holder = Holder {
            allocation: self.numbers.allocations,
            worker: Some(worker),
            kind: "worker",
            team,
            started,
        };
        self.put_allocation(at, case, &holder, "primary", Some((at, "LEFTRL")));
        self.cases[case as usize].waiting_since = at;
        self.cases[case as usize].ready = at;
    }

    /// The conference at which a protection plan began.
    fn held_before(&mut self, case: u32, day: Day, at: Time) -> u32 {
        self.numbers.conferences += 1;
        let number = self.numbers.conferences;
        self.put_conference(at, case, number, "initial", None, day, Some((day, "plan")));
        number
    }

    /// The front door handed it over when the plan began.
    fn transferred_before(&mut self, case: u32, planned: Day) {
        let teams = self.teams_of(Service::FrontDoor);
        let from = self.pick(&teams);
        self.numbers.transfers += 1;
        let requested = self.noon(planned);
        let accepted = self.noon(self.calendar.add_working_days(planned, 2));
        let transfer = Transfer {
            id: self.numbers.transfers,
            from,
            to: self.cases[case as usize].team,
            requested,
        };
        self.put_transfer(accepted, case, &transfer, Some(accepted), None);
    }

    /// The last visit, in the month before.
    fn visited_before(&mut self, case: u32, eve: Day) {
        let before = self.rng.random_range(1..28);
        let day = self.calendar.working_day_at_or_before(eve.plus(-before));
        let due = self.cases[case as usize].visit_due;
        self.visit(case, day, 0);
        self.cases[case as usize].visit_due = due;
    }

    /// Foster carers' own cases: open, held, and not counted among children's.
    fn open_carers(&mut self, eve: Day) {
        for _ in 0..(260.0 * self.profile.scale) as usize {
            self.households.push(vec![]);
            let midnight = self.calendar.midnight(self.profile.first_day);
            let child = self.new_child(self.households.len() as u32 - 1, eve, midnight, true);
            let teams = self.teams_of(Service::Fostering);
            let team = self.pick(&teams);
            let before = self.rng.random_range(60..2000);
            let opened = self.noon(self.calendar.working_day_at_or_before(eve.plus(-before)));
            let case = self.add_case(blank_case(child, team, opened, "N0", Stage::Carer, eve));
            self.hold(case, true, eve);
        }
    }
}
