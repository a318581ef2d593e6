//! The case system's rows: the state of a case, child or referral as its table's columns.
//!
//! Invariant: a row whose story is over is put with [`Life::Over`], so that no version of it is kept.

use crate::calendar::{Day, Time};
use crate::journal::Life;
use crate::people::{Assessment, Holder, Placement, Plan, Stage, Transfer};
use crate::row::{Table, row};
use crate::simulation::Simulation;

/// How an assessment ended, if it did.
#[derive(Clone, Copy)]
pub(crate) enum AssessmentEnd {
    Open,
    Authorised(Time, &'static str),
    Cancelled(Time),
}

impl Simulation {
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
}
