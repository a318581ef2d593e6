//! DOMAIN's allocation states, written again from its text and over event rows alone: what the scenario is held to.
//!
//! It shares nothing with the model but rows and the calendar.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{Calendar, Day, Time};
use crate::journal::Event;
use crate::row::{Table, Value};

/// The fold of all events so far.
#[derive(Default)]
pub(crate) struct Present {
    pub tables: BTreeMap<Table, BTreeMap<String, Arc<[Value]>>>,
}

impl Present {
    pub(crate) fn apply(&mut self, events: &[Event]) {
        for event in events {
            let table = self.tables.entry(event.table).or_default();
            match &event.after {
                Some(row) => table.insert(event.key(), Arc::clone(row)),
                None => table.remove(&event.key()),
            };
        }
    }

    pub(crate) fn rows(&self, table: Table) -> impl Iterator<Item = Fields<'_>> {
        self.tables
            .get(&table)
            .into_iter()
            .flat_map(|rows| rows.values())
            .map(move |row| Fields { table, row })
    }
}

/// A row by column names.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    table: Table,
    row: &'a [Value],
}

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, column: &str) -> &'a Value {
        &self.row[self.table.position(column).expect("a column of the table")]
    }
    pub(crate) fn text(&self, column: &str) -> Option<&'a str> {
        self.get(column).text()
    }
    pub(crate) fn time(&self, column: &str) -> Option<Time> {
        self.get(column).time()
    }
    pub(crate) fn day(&self, column: &str) -> Option<Day> {
        self.get(column).day()
    }
    fn active(&self, start: &str, end: &str, at: Time) -> bool {
        self.time(start).is_some_and(|start| start <= at) && self.time(end).is_none_or(|end| end > at)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CaseState {
    pub state: &'static str,
    pub status: &'static str,
    pub service: String,
    pub wait_days: i32,
    pub holder: Option<String>,
    pub child: String,
}

struct Person {
    registered: bool,
    contract: bool,
    case_holding: bool,
    long_absent: bool,
    fte: i64,
    social_work: bool,
}

/// The state of every open child case at the end of a day.
pub(crate) fn states(present: &Present, calendar: &Calendar, day: Day) -> Vec<CaseState> {
    let at = calendar.end_of(day);
    let people = people(present, calendar, day);
    let mut services = BTreeMap::new();
    for team in present.rows(Table::Teams) {
        if team.day("valid_from").is_some_and(|from| from <= day) && team.day("valid_to").is_none_or(|to| to >= day) {
            services.insert(
                team.text("team_id").expect("key"),
                team.text("service").expect("required"),
            );
        }
    }
    let merged: BTreeMap<&str, &str> = present
        .rows(Table::Children)
        .filter_map(|child| Some((child.text("child_id")?, child.text("merged_into")?)))
        .collect();
    let decisions: BTreeMap<&str, (Option<Time>, Option<&str>)> = present
        .rows(Table::Referrals)
        .map(|r| {
            (
                r.text("referral_id").expect("key"),
                (r.time("decided_at"), r.text("decision")),
            )
        })
        .collect();
    let mut primaries: BTreeMap<&str, Vec<Fields<'_>>> = BTreeMap::new();
    for allocation in present.rows(Table::Allocations) {
        let nobody = allocation.text("holder_kind") == Some("worker") && allocation.text("worker_id").is_none();
        if allocation.text("role") == Some("primary") && !nobody && allocation.time("started_at") <= Some(at) {
            primaries
                .entry(allocation.text("case_id").expect("required"))
                .or_default()
                .push(allocation);
        }
    }
    let mut plans: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for plan in present.rows(Table::Plans) {
        if plan.day("started_on") <= Some(day) && plan.day("ended_on").is_none_or(|end| end > day) {
            plans
                .entry(plan.text("case_id").expect("required"))
                .or_default()
                .push(plan.text("kind").expect("required"));
        }
    }
    let mut assessed: BTreeMap<&str, bool> = BTreeMap::new();
    for assessment in present.rows(Table::Assessments) {
        if assessment.time("started_at") <= Some(at) {
            let over = assessment
                .time("authorised_at")
                .or(assessment.time("cancelled_at"))
                .is_some_and(|end| end <= at);
            *assessed
                .entry(assessment.text("case_id").expect("required"))
                .or_default() |= !over;
        }
    }
    let mut pending: BTreeMap<&str, bool> = BTreeMap::new();
    for transfer in present.rows(Table::Transfers) {
        let over = transfer
            .time("accepted_at")
            .or(transfer.time("cancelled_at"))
            .is_some_and(|end| end <= at);
        let asked = transfer.time("requested_at").is_some_and(|asked| asked <= at);
        *pending.entry(transfer.text("case_id").expect("required")).or_default() |= asked && !over;
    }
    let mut result = vec![];
    for case in present.rows(Table::Cases) {
        if case.text("subject") != Some("child") || !case.active("opened_at", "closed_at", at) {
            continue;
        }
        let id = case.text("case_id").expect("key");
        let decision = case.text("referral_id").map(|referral| decisions[referral]);
        if decision.is_some_and(|(_, decision)| decision == Some("nfa")) {
            continue;
        }
        let has = |kind: &str| plans.get(id).is_some_and(|kinds| kinds.contains(&kind));
        let assessing = assessed.get(id).copied();
        let to_assess = decision.is_some_and(|(_, decision)| matches!(decision, Some("assessment" | "section_47")));
        let status = match () {
            () if has("looked_after") => "looked_after",
            () if has("child_protection") => "child_protection",
            () if has("child_in_need") => "child_in_need",
            () if assessing == Some(true) => "assessment",
            () if to_assess && assessing.is_none() => "awaiting_assessment",
            () if has("pathway") => "care_leaver",
            () => "open_no_plan",
        };
        let needs = match status {
            "looked_after" | "child_protection" | "assessment" => true,
            "child_in_need" => !case.get("non_sw_lead_agreed").is_true(),
            _ => false,
        };
        let all = primaries.get(id).map_or(&[][..], Vec::as_slice);
        let holder = all
            .iter()
            .filter(|a| a.time("ended_at").is_none_or(|end| end > at))
            .max_by_key(|a| (a.time("started_at"), a.text("allocation_id")));
        let person = holder
            .and_then(|h| h.text("worker_id"))
            .map(|worker| people.get(worker));
        let clock = decision
            .and_then(|(decided, _)| decided)
            .or(case.time("opened_at"))
            .expect("opened");
        let effective_end = all
            .iter()
            .filter(|a| a.text("holder_kind") == Some("worker"))
            .filter_map(|a| {
                let (start, end) = (a.time("started_at")?, a.time("ended_at")?);
                let worked = calendar.working_days_between(calendar.day_of(start), calendar.day_of(end)) >= 1;
                (worked && end <= at).then_some(end)
            })
            .max();
        let since = calendar.day_of(effective_end.map_or(clock, |end| end.max(clock)));
        let grace = match status {
            "looked_after" | "child_protection" => 1,
            _ if pending.get(id) == Some(&true) => 5,
            _ => 2,
        };
        let state = match (holder, person) {
            (Some(_), Some(None)) => "leaver_held",
            (Some(_), Some(Some(person))) if !person.contract || person.long_absent => "leaver_held",
            (Some(_), None) => "nominal",
            (Some(_), Some(Some(person))) if !person.case_holding => "nominal",
            (Some(_), Some(Some(person))) if needs && !person.registered => "not_social_worker",
            (Some(_), _) => "allocated",
            (None, _) if calendar.working_days_between(since, day) <= grace => "in_transition",
            (None, _) => "unallocated",
        };
        let mut child = case.text("child_id").expect("required");
        while let Some(into) = merged.get(child) {
            child = into;
        }
        result.push(CaseState {
            state,
            status,
            service: services[case.text("team_id").expect("required")].to_owned(),
            wait_days: day.0 - since.0,
            holder: holder.and_then(|h| h.text("worker_id")).map(str::to_owned),
            child: child.to_owned(),
        });
    }
    result
}

fn people(present: &Present, calendar: &Calendar, day: Day) -> BTreeMap<String, Person> {
    let mut people: BTreeMap<String, Person> = present
        .rows(Table::Workers)
        .map(|worker| {
            let registered = worker.get("swe_registered").is_true();
            let person = Person {
                registered,
                contract: false,
                case_holding: false,
                long_absent: false,
                fte: 0,
                social_work: false,
            };
            (worker.text("worker_id").expect("key").to_owned(), person)
        })
        .collect();
    for contract in present.rows(Table::Contracts) {
        if contract.day("started_on") <= Some(day) && contract.day("ended_on").is_none_or(|end| end >= day) {
            let person = people
                .get_mut(contract.text("worker_id").expect("required"))
                .expect("contracts name workers");
            person.contract = true;
            person.case_holding |= contract.get("case_holding").is_true();
            person.social_work |= contract.get("child_family_sw").is_true();
            person.fte += contract.get("fte").thousandths().unwrap_or(0);
        }
    }
    for absence in present.rows(Table::Absences) {
        let started = absence.day("started_on").expect("required");
        if started > day || absence.day("ended_on").is_some_and(|end| end < day) {
            continue;
        }
        let so_far = calendar.working_days_between(started.plus(-1), day);
        let expected = absence
            .day("expected_end_on")
            .map_or(0, |end| calendar.working_days_between(started.plus(-1), end));
        if so_far > 20 || expected > 20 {
            people
                .get_mut(absence.text("worker_id").expect("required"))
                .expect("absences name workers")
                .long_absent = true;
        }
    }
    people
}

/// DfE's workforce at the end of a 30 September and in the year to it, in thousandths (cases aside).
#[derive(Debug)]
pub(crate) struct WorkforceCounted {
    pub in_post: i64,
    pub leavers: i64,
    pub agency: i64,
    pub vacancy: i64,
    pub case_holders: i64,
    pub cases: i64,
    pub days_lost: i64,
}

/// Counts the workforce as DfE's definitions say, on `last` and from `first` to it.
pub(crate) fn workforce_counted(present: &Present, calendar: &Calendar, first: Day, last: Day) -> WorkforceCounted {
    let here = |row: &Fields<'_>, from: &str, to: &str| {
        row.day(from).expect("required") <= last && row.day(to).is_none_or(|end| end >= last)
    };
    let fte = |row: &Fields<'_>| row.get("fte").thousandths().expect("it is always given");
    let direct = |row: &Fields<'_>| matches!(row.text("employment"), Some("permanent" | "fixed_term"));
    let in_scope = |row: &Fields<'_>| row.get("child_family_sw").is_true();
    let contracts: Vec<Fields<'_>> = present.rows(Table::Contracts).filter(in_scope).collect();
    let in_force: Vec<&Fields<'_>> = contracts
        .iter()
        .filter(|row| here(row, "started_on", "ended_on"))
        .collect();
    let mut filled: BTreeMap<&str, i64> = BTreeMap::new();
    for row in in_force.iter().filter(|row| direct(row)) {
        let post = row.text("post_id").expect("the employed have posts");
        *filled.entry(post).or_default() += fte(row);
    }
    let vacancy = present
        .rows(Table::Posts)
        .filter(|row| here(row, "valid_from", "valid_to") && row.text("role") != Some("family_support"))
        .map(|row| (fte(&row) - filled.get(row.text("post_id").expect("key")).copied().unwrap_or(0)).max(0))
        .sum();
    let left = |row: &&Fields<'_>| {
        let ended = row.day("ended_on").is_some_and(|end| first <= end && end <= last);
        ended && direct(row) && row.text("end_reason") != Some("changed_terms")
    };
    let mut days_lost = 0;
    for absence in present
        .rows(Table::Absences)
        .filter(|row| row.text("reason") == Some("SIC"))
    {
        let began = absence.day("started_on").expect("required");
        let (from, to) = (
            began.max(first),
            absence.day("ended_on").map_or(last, |end| end.min(last)),
        );
        if from > to {
            continue;
        }
        let contract = contracts.iter().find(|row| {
            direct(row)
                && row.text("worker_id") == absence.text("worker_id")
                && row.day("started_on").expect("required") <= from
                && row.day("ended_on").is_none_or(|end| end >= from)
        });
        let days = i64::from(calendar.working_days_between(from.plus(-1), to));
        let derived = || days * contract.map_or(0, &fte);
        days_lost += absence.get("fte_days_lost").thousandths().unwrap_or_else(derived);
    }
    let (cases, case_holders, _) = held_by_social_workers(present, calendar, last);
    WorkforceCounted {
        in_post: in_force.iter().filter(|row| direct(row)).map(|row| fte(row)).sum(),
        leavers: contracts.iter().filter(left).map(fte).sum(),
        agency: in_force.iter().filter(|row| !direct(row)).map(|row| fte(row)).sum(),
        vacancy,
        case_holders,
        cases: cases as i64,
        days_lost,
    }
}

/// DfE's cases held, and the thousandths of full-time equivalents of those who hold one.
pub(crate) fn held_by_social_workers(
    present: &Present,
    calendar: &Calendar,
    day: Day,
) -> (usize, i64, BTreeMap<String, usize>) {
    let people = people(present, calendar, day);
    let mut children: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for case in states(present, calendar, day) {
        if let Some(worker) = case.holder {
            children.entry(worker).or_default().insert(case.child);
        }
    }
    let loads: BTreeMap<String, usize> = children
        .into_iter()
        .filter(|(worker, _)| people.get(worker).is_some_and(|p| p.contract && p.social_work))
        .map(|(worker, children)| (worker, children.len()))
        .collect();
    let fte = loads.keys().map(|worker| people[worker].fte).sum();
    (loads.values().sum(), fte, loads)
}
