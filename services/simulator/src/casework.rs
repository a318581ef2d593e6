//! What happens to a case that somebody holds: assessment, conference, plan, review, closure.
//!
//! A case without a worker stands still, which is why unallocated cases matter. Invariants: a closed case has no
//! open allocation, plan, placement or transfer; a plan lasts at least a day; a protection plan starts on the day of its
//! conference and no child in need plan runs beside it.

use rand::Rng;

use crate::calendar::{Day, MINUTE, Time};
use crate::journal::Life;
use crate::people::{Assessment, Placement, Plan, Stage};
use crate::records::AssessmentEnd;
use crate::row::{Table, row};
use crate::simulation::{Later, Simulation};
use crate::workforce::Service;

impl Simulation {
    /// Every held case whose next step is due, then as many closures as the curve of open cases wants.
    pub(crate) fn work_cases(&mut self, day: Day) {
        for case in self.open.clone() {
            let entry = &self.cases[case as usize];
            let worker = entry.holder.as_ref().and_then(|holder| holder.worker);
            if entry.due <= day && worker.is_some_and(|worker| self.present[worker]) {
                self.advance(case, day);
            }
        }
        self.close_surplus(day);
        self.share_out(day);
    }

    fn advance(&mut self, case: u32, day: Day) {
        match self.cases[case as usize].stage {
            Stage::Awaiting => self.start_assessment(case, day),
            Stage::Assessing => self.finish_assessment(case, day),
            Stage::Conference => self.hold_conference(case, day),
            Stage::InNeed => self.review_need(case, day),
            Stage::Protected => self.review_protection(case, day),
            Stage::LookedAfter => self.review_care(case, day),
            Stage::LeavingCare | Stage::Carer => self.cases[case as usize].due = day.plus(90),
        }
    }

    fn start_assessment(&mut self, case: u32, day: Day) {
        let at = self.moment_of(case, day, 9 * 60, 11 * 60);
        let assessment = self.new_assessment(case, "child_family", None, at);
        self.put_assessment(at, case, &assessment, AssessmentEnd::Open);
        let average = self.profile.assessment_days.on(day);
        let length = average * self.rng.random_range(0.45..1.5) + if self.chance(0.06) { 20.0 } else { 0.0 };
        let entry = &mut self.cases[case as usize];
        entry.assessment = Some(assessment);
        entry.stage = Stage::Assessing;
        entry.due = self.calendar.add_working_days(day, length as i32);
        // An assessment begins with seeing the child.
        entry.visit_due = self.calendar.add_working_days(day, 1);
    }

    pub(crate) fn new_assessment(
        &mut self,
        case: u32,
        kind: &'static str,
        strategy: Option<Time>,
        started: Time,
    ) -> Assessment {
        self.numbers.assessments += 1;
        let entry = &self.cases[case as usize];
        let worker = entry.holder.as_ref().and_then(|holder| holder.worker);
        Assessment {
            id: self.numbers.assessments,
            kind,
            strategy,
            started,
            team: entry.team,
            worker,
        }
    }

    fn finish_assessment(&mut self, case: u32, day: Day) {
        // When fewer are open than should be, more assessments lead to plans; the other way round, fewer.
        let surplus = (self.open.len() as f64 - self.profile.open.on(day)) / (60.0 * self.profile.scale);
        let closed = (0.56 + 0.12 * surplus).clamp(0.3, 0.7);
        let urgent = self.cases[case as usize].urgent;
        let at = self.moment_of(case, day, 10 * 60, 14 * 60);
        if self.chance(closed) {
            let (outcome, reason) = if self.chance(0.68) {
                ("nfa", "RC8")
            } else {
                ("early_help", "RC9")
            };
            self.authorise(case, at, outcome);
            self.close(case, at.plus(MINUTE), reason);
        } else if self.chance(if urgent { 0.5 } else { 0.2 }) {
            self.call_conference(case, day, at);
        } else if self.chance(0.11) {
            self.authorise(case, at, "looked_after");
            self.begin_care(case, day, at);
            self.move_on(case, day, at, Service::LookedAfter);
        } else {
            self.authorise(case, at, "child_in_need");
            self.begin_plan(case, "child_in_need", day, at, None);
            self.set_stage(case, Stage::InNeed, day, 40);
            let service = if self.chance(0.07) {
                Service::Disability
            } else {
                Service::Safeguarding
            };
            self.move_on(case, day, at, service);
        }
    }

    fn authorise(&mut self, case: u32, at: Time, outcome: &'static str) {
        if let Some(assessment) = self.cases[case as usize].assessment.take() {
            self.put_assessment(at, case, &assessment, AssessmentEnd::Authorised(at, outcome));
        }
        if let Some(enquiry) = self.cases[case as usize].enquiry.take() {
            self.put_assessment(at, case, &enquiry, AssessmentEnd::Authorised(at, "conference"));
        }
    }

    fn set_stage(&mut self, case: u32, stage: Stage, day: Day, days: i32) {
        let next = self.after_workdays(day, days / 2, days);
        let visit = self.after_workdays(day, 3, 8);
        let entry = &mut self.cases[case as usize];
        entry.stage = stage;
        entry.due = next;
        entry.visit_due = visit;
    }

    /// A strategy discussion, a section 47 enquiry, and a conference within fifteen working days (mostly).
    fn call_conference(&mut self, case: u32, day: Day, at: Time) {
        let enquiry = self.new_assessment(case, "section_47", Some(at), at.plus(10 * MINUTE));
        self.put_assessment(at.plus(10 * MINUTE), case, &enquiry, AssessmentEnd::Open);
        self.numbers.conferences += 1;
        let number = self.numbers.conferences;
        let due = self.calendar.add_working_days(day, 15);
        let held = self.after_workdays(day, 8, 17);
        let id = enquiry.id;
        self.put_conference(at.plus(11 * MINUTE), case, number, "initial", Some(id), due, None);
        let entry = &mut self.cases[case as usize];
        entry.enquiry = Some(enquiry);
        entry.conference = Some((number, due));
        entry.stage = Stage::Conference;
        entry.due = held;
        entry.ready = at.plus(11 * MINUTE);
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn put_conference(
        &mut self,
        at: Time,
        case: u32,
        number: u32,
        kind: &'static str,
        enquiry: Option<u32>,
        due: Day,
        held: Option<(Day, &'static str)>,
    ) {
        let values = row![
            self.journal.id("CF", number),
            self.case_id(case),
            kind,
            enquiry.map(|id| self.journal.id("AS", id)),
            due,
            held.map(|(day, _)| day),
            None::<Time>,
            held.map(|(_, outcome)| outcome),
        ];
        let life = if held.is_some() { Life::Over } else { Life::Open };
        self.journal.put(at, Table::Conferences, number, values, life);
    }

    fn hold_conference(&mut self, case: u32, day: Day) {
        let at = self.moment_of(case, day, 10 * 60, 14 * 60);
        let enquiry = self.cases[case as usize].enquiry.as_ref().map(|enquiry| enquiry.id);
        let Some((number, due)) = self.cases[case as usize].conference.take() else {
            return;
        };
        let agreed = self.chance(0.86);
        let outcome = if agreed { "plan" } else { "no_plan" };
        self.put_conference(at, case, number, "initial", enquiry, due, Some((day, outcome)));
        self.authorise(case, at, "conference");
        if agreed {
            self.begin_plan(case, "child_protection", day, at, Some(number));
            self.set_stage(case, Stage::Protected, day, 60);
        } else {
            self.begin_plan(case, "child_in_need", day, at, None);
            self.set_stage(case, Stage::InNeed, day, 40);
        }
        self.move_on(case, day, at, Service::Safeguarding);
    }

    /// The front door asks another service to take the case.
    fn move_on(&mut self, case: u32, day: Day, at: Time, service: Service) {
        let transfer = self.request_transfer(case, at, service);
        let accepted = self.after_workdays(day, 1, 5);
        self.later(accepted, Later::Accept { case, transfer });
    }

    pub(crate) fn begin_plan(&mut self, case: u32, kind: &'static str, day: Day, at: Time, conference: Option<u32>) {
        self.end_plan(case, day, at, "step");
        self.numbers.plans += 1;
        let category = (kind == "child_protection")
            .then(|| self.pick(&["NEG", "NEG", "NEG", "EMO", "EMO", "EMO", "PHY", "SAB", "MUL"]));
        let plan = Plan {
            id: self.numbers.plans,
            kind,
            started: day,
            conference,
            category,
        };
        self.put_plan(at, case, &plan, None);
        self.cases[case as usize].plan = Some(plan);
    }

    pub(crate) fn end_plan(&mut self, case: u32, day: Day, at: Time, reason: &'static str) {
        if let Some(plan) = self.cases[case as usize].plan.take() {
            let ended = day.max(plan.started.plus(1));
            self.put_plan(at, case, &plan, Some((ended, reason)));
        }
    }

    /// A child comes into care: a looked after plan and a placement.
    pub(crate) fn begin_care(&mut self, case: u32, day: Day, at: Time) {
        self.begin_plan(case, "looked_after", day, at, None);
        self.begin_placement(case, day, at);
        self.set_stage(case, Stage::LookedAfter, day, 60);
    }

    pub(crate) fn begin_placement(&mut self, case: u32, day: Day, at: Time) {
        self.numbers.placements += 1;
        let kinds = [
            "foster",
            "foster",
            "foster",
            "foster",
            "foster",
            "kinship",
            "kinship",
            "residential",
            "parents",
            "supported",
        ];
        let kind = if self.chance(0.012) {
            "unregistered"
        } else {
            self.pick(&kinds)
        };
        let legal_status = self.pick(&["C1", "C2", "C2", "V2", "E1"]);
        let long_term = self.chance(0.3);
        let placement = Placement {
            id: self.numbers.placements,
            kind,
            legal_status,
            long_term,
            started: day,
        };
        self.put_placement(at, case, &placement, None);
        self.cases[case as usize].placement = Some(placement);
    }

    pub(crate) fn end_placement(&mut self, case: u32, day: Day, at: Time) {
        if let Some(placement) = self.cases[case as usize].placement.take() {
            self.put_placement(at, case, &placement, Some(day.max(placement.started)));
        }
    }

    fn review_need(&mut self, case: u32, day: Day) {
        let at = self.moment_of(case, day, 10 * 60, 14 * 60);
        self.set_stage(case, Stage::InNeed, day, 60);
        if self.cases[case as usize].transfer.is_some() {
            return;
        }
        let rare = if self.cases[case as usize].non_social_work_lead == Some(true) {
            0.016
        } else {
            0.03
        };
        if self.chance(rare) {
            self.numbers.conferences += 1;
            let number = self.numbers.conferences;
            self.put_conference(at, case, number, "initial", None, day, Some((day, "plan")));
            self.begin_plan(case, "child_protection", day, at, Some(number));
            self.set_stage(case, Stage::Protected, day, 60);
            let helper = self.cases[case as usize]
                .holder
                .as_ref()
                .and_then(|h| h.worker)
                .is_some_and(|w| !self.staff.workers[w].registered);
            if helper {
                // Protection needs a social worker; finding one takes some days.
                let found = self.after_workdays(day, 1, 4);
                self.stuck.push((case, found));
            }
        } else if self.chance(rare / 4.0) && self.cases[case as usize].non_social_work_lead != Some(true) {
            self.begin_care(case, day, at);
        }
    }

    fn review_protection(&mut self, case: u32, day: Day) {
        let at = self.moment_of(case, day, 10 * 60, 14 * 60);
        self.numbers.conferences += 1;
        let number = self.numbers.conferences;
        let ends = self.chance(0.23)
            && self.cases[case as usize]
                .plan
                .as_ref()
                .is_some_and(|plan| plan.started.plus(30) < day);
        let outcome = if ends { "end" } else { "continue" };
        self.put_conference(at, case, number, "review", None, day, Some((day, outcome)));
        self.set_stage(case, Stage::Protected, day, 80);
        if ends && self.chance(0.12) {
            self.begin_care(case, day, at);
        } else if ends {
            self.begin_plan(case, "child_in_need", day, at, None);
            self.set_stage(case, Stage::InNeed, day, 60);
        }
    }

    fn review_care(&mut self, case: u32, day: Day) {
        let at = self.moment_of(case, day, 10 * 60, 14 * 60);
        self.set_stage(case, Stage::LookedAfter, day, 60);
        let settled = self.cases[case as usize]
            .plan
            .as_ref()
            .is_some_and(|plan| plan.started.plus(30) < day);
        let age = self.age(self.cases[case as usize].child, day);
        if age >= 18.0 && settled && self.cases[case as usize].transfer.is_none() {
            self.leave_care(case, day, at);
        } else if settled && self.chance(0.042) {
            self.end_placement(case, day, at);
            self.begin_plan(case, "child_in_need", day, at, None);
            self.set_stage(case, Stage::InNeed, day, 60);
        } else if settled && self.chance(0.06) {
            self.end_placement(case, day.plus(-1), at);
            self.begin_placement(case, day, at);
        }
    }

    /// At eighteen: a pathway plan and a personal adviser.
    fn leave_care(&mut self, case: u32, day: Day, at: Time) {
        self.end_placement(case, day, at);
        self.begin_plan(case, "pathway", day, at, None);
        self.set_stage(case, Stage::LeavingCare, day, 90);
        self.request_transfer(case, at, Service::LeavingCare);
        self.accept_now(case, at.plus(2 * MINUTE));
        if let Some(worker) = self.choose_helper(self.cases[case as usize].team, Stage::LeavingCare) {
            self.hand_over(case, worker, at.plus(2 * MINUTE), "TSPROC");
        }
    }

    /// Closes a case and everything open on it.
    pub(crate) fn close(&mut self, case: u32, at: Time, reason: &'static str) {
        let day = self.calendar.day_of(at);
        if let Some(assessment) = self.cases[case as usize].assessment.take() {
            self.put_assessment(at, case, &assessment, AssessmentEnd::Cancelled(at));
        }
        if let Some(enquiry) = self.cases[case as usize].enquiry.take() {
            self.put_assessment(at, case, &enquiry, AssessmentEnd::Cancelled(at));
        }
        if let Some(transfer) = self.cases[case as usize].transfer.take() {
            self.put_transfer(at, case, &transfer, None, Some(at));
        }
        self.end_placement(case, day, at);
        self.end_plan(case, day, at, "closed");
        self.end_holder(case, at, "OTHERS");
        if let Some(second) = self.cases[case as usize].secondary.take() {
            self.put_allocation(at, case, &second, "secondary", Some((at, "OTHERS")));
        }
        self.cases[case as usize].closed = Some((at, reason));
        self.put_case(at, case);
        let child = self.cases[case as usize].child;
        self.children[child as usize].open_case = None;
        self.open.retain(|open| *open != case);
        self.waiting.retain(|waiting| *waiting != case);
    }

    /// Closes what is above the curve of open cases: plans that have run a while, at no more than twice a usual day.
    fn close_surplus(&mut self, day: Day) {
        let surplus = self.open.len().saturating_sub(self.profile.open.count(day));
        let others_first = self.held_by_others > self.profile.held_by_others.count(day);
        let limit = surplus.min((34.0 * self.profile.scale).ceil() as usize);
        let mut candidates: Vec<u32> = vec![];
        for case in &self.open {
            let entry = &self.cases[*case as usize];
            let old = entry.plan.as_ref().is_some_and(|plan| plan.started.plus(42) < day);
            let closable = matches!(entry.stage, Stage::InNeed | Stage::LeavingCare) && entry.transfer.is_none() && old;
            let worker = entry.holder.as_ref().and_then(|holder| holder.worker);
            let helper = worker.is_some_and(|worker| !self.staff.workers[worker].registered);
            if closable
                && worker.is_some_and(|worker| self.present[worker])
                && helper == others_first
                && self.calendar.day_of(entry.ready) < day
            {
                candidates.push(*case);
            }
        }
        for _ in 0..limit {
            if candidates.is_empty() {
                return;
            }
            let position = self.rng.random_range(0..candidates.len());
            let case = candidates.swap_remove(position);
            let at = self.moment_of(case, day, 10 * 60, 15 * 60);
            let leaving = self.cases[case as usize].stage == Stage::LeavingCare;
            let reason = match (leaving, self.rng.random_range(0..10)) {
                (true, _) => "RC7",
                (false, 0..4) => "RC9",
                (false, 4..6) => "RC3",
                (false, _) => "RC7",
            };
            self.close(case, at, reason);
        }
    }

    /// Some children in need go to family support workers, by agreement.
    fn share_out(&mut self, day: Day) {
        let wanted = self.profile.held_by_others.count(day);
        let mut missing = wanted.saturating_sub(self.held_by_others + 3).min(4);
        for case in self.open.clone() {
            if missing == 0 {
                return;
            }
            let entry = &self.cases[case as usize];
            let worker = entry.holder.as_ref().and_then(|holder| holder.worker);
            let social_worker = worker.is_some_and(|w| self.staff.workers[w].registered && self.present[w]);
            let quiet = self.calendar.day_of(entry.ready).plus(20) < day;
            let safeguarding = self.staff.teams[entry.team].service == Service::Safeguarding;
            if entry.stage == Stage::InNeed
                && entry.transfer.is_none()
                && social_worker
                && quiet
                && safeguarding
                && self.chance(0.05)
            {
                let Some(helper) = self.choose_helper(self.cases[case as usize].team, Stage::InNeed) else {
                    return;
                };
                let at = self.moment_of(case, day, 14 * 60, 15 * 60);
                self.cases[case as usize].non_social_work_lead = Some(true);
                self.put_case(at, case);
                self.hand_over(case, helper, at, "CHCHAN");
                missing -= 1;
            }
        }
    }
}
