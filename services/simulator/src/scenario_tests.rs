//! The scenario Northamptonshire 2018-2020, held to the published figures by the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::Datelike;

use crate::calendar::{Calendar, Day};
use crate::journal::{Op, Snapshot};
use crate::oracle::{CaseState, Fields, Present, held_by_social_workers, states};
use crate::profile::Profile;
use crate::row::{Table, Value};
use crate::simulation::{Batch, Simulation};

pub(crate) static CALENDAR: LazyLock<Calendar> = LazyLock::new(Calendar::new);

pub(crate) static BATCHES: LazyLock<Vec<Batch>> = LazyLock::new(|| {
    let mut simulation = Simulation::new(Profile::northamptonshire(), 1);
    std::iter::from_fn(|| simulation.step()).collect()
});

/// What the oracle says of each day asked for.
pub(crate) fn on_days<T>(days: impl Fn(Day) -> bool, mut look: impl FnMut(&Present, Day) -> T) -> Vec<(Day, T)> {
    let mut present = Present::default();
    let mut seen = vec![];
    for batch in BATCHES.iter() {
        present.apply(&batch.events);
        if let Some(day) = batch.day.filter(|day| days(*day)) {
            seen.push((day, look(&present, day)));
        }
    }
    seen
}

fn no_holder(states: &[CaseState]) -> Vec<&CaseState> {
    states
        .iter()
        .filter(|case| matches!(case.state, "in_transition" | "unallocated"))
        .collect()
}

fn count(states: &[CaseState], state: &str) -> usize {
    states.iter().filter(|case| case.state == state).count()
}

fn one_day<T>(day: Day, look: impl FnMut(&Present, Day) -> T) -> T {
    on_days(|d| d == day, look).pop().expect("a day of the scenario").1
}

#[test]
fn headlines_come_out_on_their_days() {
    let states_on = |y, m, d| one_day(Day::of(y, m, d), |present, day| states(present, &CALENDAR, day));
    let january_2018 = states_on(2018, 1, 31);
    assert_eq!(no_holder(&january_2018).len(), 551);

    let october_2018 = states_on(2018, 10, 17);
    let waiting = no_holder(&october_2018);
    assert_eq!(waiting.len(), 383);
    let needs_assessment = |case: &&&CaseState| {
        case.service == "front_door" && matches!(case.status, "assessment" | "awaiting_assessment")
    };
    assert_eq!(waiting.iter().filter(needs_assessment).count(), 267);
    assert_eq!(
        waiting.iter().map(|case| case.wait_days).max(),
        Some(121),
        "waits up to four months"
    );
    let january_2019 = states_on(2019, 1, 31);
    assert_eq!(no_holder(&january_2019).len(), 81);
    assert!((20..=30).contains(&count(&january_2019, "in_transition")));

    let may_2019 = states_on(2019, 5, 31);
    let waits: Vec<i32> = no_holder(&may_2019).iter().map(|case| case.wait_days).collect();
    assert_eq!(waits.len(), 152);
    assert_eq!(waits.iter().max(), Some(&75));
    let mean = f64::from(waits.iter().sum::<i32>()) / 152.0;
    println!("mean wait: {mean:.1} days");
    assert!((13.0..=15.0).contains(&mean), "mean wait of {mean} days");
}

#[test]
fn the_front_door_has_between_200_and_300_unallocated_from_february_to_september_2018() {
    let days = Day::of(2018, 2, 1)..=Day::of(2018, 9, 30);
    let counts = on_days(
        |day| days.contains(&day) && day.0 % 3 == 0,
        |present, day| {
            let states = states(present, &CALENDAR, day);
            let here = |state: &str| {
                states
                    .iter()
                    .filter(|c| c.service == "front_door" && c.state == state)
                    .count()
            };
            (here("unallocated"), here("unallocated") + here("in_transition"))
        },
    );
    for (day, (unallocated, strict)) in counts {
        assert!(
            (200..=300).contains(&unallocated) && (200..=300).contains(&strict),
            "{day}: {unallocated}, {strict}"
        );
    }
}

#[test]
fn october_2019_stays_above_300_and_february_to_july_2020_at_zero() {
    let october = Day::of(2019, 10, 1)..=Day::of(2019, 10, 31);
    for (day, waiting) in on_days(
        |day| october.contains(&day),
        |present, day| no_holder(&states(present, &CALENDAR, day)).len(),
    ) {
        assert!(waiting > 300, "{day}: {waiting}");
    }
    let quiet = Day::of(2020, 2, 1)..=Day::of(2020, 7, 31);
    for (day, unallocated) in on_days(
        |day| quiet.contains(&day) && (day.0 % 3 == 0 || day.date().day() == 31),
        |present, day| count(&states(present, &CALENDAR, day), "unallocated"),
    ) {
        assert_eq!(unallocated, 0, "{day}");
    }
}

#[test]
fn some_cases_are_held_by_leavers_or_by_nobody_in_particular_but_few() {
    let month_ends = on_days(
        |day| day.plus(1).date().day() == 1,
        |present, day| {
            let states = states(present, &CALENDAR, day);
            ["leaver_held", "nominal", "not_social_worker"].map(|state| count(&states, state))
        },
    );
    for (position, range) in [1.0..20.0, 3.0..20.0, 0.1..5.0].into_iter().enumerate() {
        let mean =
            month_ends.iter().map(|(_, counts)| counts[position]).sum::<usize>() as f64 / month_ends.len() as f64;
        assert!(range.contains(&mean), "{position}: {mean} in {range:?}");
    }
}

#[test]
fn many_first_response_workers_hold_30_to_50_cases_in_october_2018() {
    let heavy = one_day(Day::of(2018, 10, 17), |present, day| {
        let front_door: BTreeSet<&str> = present
            .rows(Table::Teams)
            .filter(|t| t.text("service") == Some("front_door"))
            .filter_map(|t| t.text("team_id"))
            .collect();
        let (_, _, loads) = held_by_social_workers(present, &CALENDAR, day);
        let here = |c: &Fields<'_>| {
            let active = c.day("started_on") <= Some(day) && c.day("ended_on").is_none_or(|end| end >= day);
            active && c.text("team_id").is_some_and(|team| front_door.contains(team))
        };
        let held = present
            .rows(Table::Contracts)
            .filter(here)
            .filter_map(|c| loads.get(c.text("worker_id")?));
        let mut held: Vec<usize> = held.copied().collect();
        held.sort_unstable();
        println!("cases of first-response workers: {held:?}");
        held.iter().filter(|load| (30..=50).contains(*load)).count()
    });
    assert!(heavy >= 10, "{heavy}");
}

#[test]
fn episodes_referrals_and_their_decisions_are_within_two_percent() {
    let years = on_days(
        |day| day.date().month() == 3 && day.date().day() == 31,
        |present, day| {
            let open = states(present, &CALENDAR, day).len() as f64;
            let mut all: BTreeMap<&str, Vec<Day>> = BTreeMap::new();
            let mut year = vec![];
            for referral in present
                .rows(Table::Referrals)
                .filter(|r| r.text("kind") == Some("referral"))
            {
                let received = CALENDAR.day_of(referral.time("received_at").expect("required"));
                let child = referral.text("child_id").expect("required");
                all.entry(child).or_default().push(received);
                if received > Day::of(day.date().year() - 1, 3, 31) {
                    year.push((child, received, referral.text("decision")));
                }
            }
            let again = |child: &str, received: Day| {
                let months = |earlier: &Day| {
                    Day::from_date(
                        earlier
                            .date()
                            .with_year(earlier.date().year() + 1)
                            .unwrap_or(earlier.plus(366).date()),
                    )
                };
                all[child]
                    .iter()
                    .any(|earlier| *earlier < received && months(earlier) > received)
            };
            let repeated = year
                .iter()
                .filter(|(child, received, _)| again(child, *received))
                .count() as f64;
            let decided = year.iter().filter(|(_, _, decision)| decision.is_some()).count() as f64;
            let none = year.iter().filter(|(_, _, decision)| *decision == Some("nfa")).count() as f64;
            [
                open,
                year.len() as f64,
                100.0 * repeated / year.len() as f64,
                100.0 * none / decided,
            ]
        },
    );
    let published = [
        [5430.0, 11_216.0, 30.2, 51.2],
        [4693.0, 11_266.0, 29.9, 47.8],
        [5371.0, 13_504.0, 32.8, 34.9],
    ];
    for ((day, measured), expected) in years.into_iter().zip(published) {
        for ((measured, expected), name) in
            measured
                .into_iter()
                .zip(expected)
                .zip(["open", "referrals", "repeated %", "no further action %"])
        {
            assert!(
                (measured - expected).abs() <= expected * 0.02,
                "{day} {name}: {measured}, published {expected}"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let until = Day::of(2018, 3, 1);
    let run = |seed| Simulation::new(Profile::northamptonshire(), seed).run_until(until);
    let first = run(7);
    assert!(first == run(7));
    assert!(first != run(8));
    let mut halted = Simulation::new(Profile::northamptonshire(), 7);
    let mut events = halted.run_until(Day::of(2018, 1, 20));
    events.extend(halted.run_until(until));
    assert!(first == events, "halting on the way changes nothing");
}

#[test]
fn another_seed_meets_the_headlines_too() {
    let mut simulation = Simulation::new(Profile::northamptonshire(), 42);
    let mut present = Present::default();
    let mut counted = vec![];
    let days = [
        Day::of(2018, 1, 31),
        Day::of(2018, 10, 17),
        Day::of(2019, 1, 31),
        Day::of(2019, 5, 31),
    ];
    for day in days {
        present.apply(&simulation.run_until(day));
        counted.push(no_holder(&states(&present, &CALENDAR, day)).len());
    }
    assert_eq!(counted, [551, 383, 81, 152]);
}

#[test]
fn every_day_ends_with_one_feed_row_a_table_in_its_last_microsecond() {
    for batch in BATCHES.iter().skip(1) {
        let day = batch.day.expect("only the snapshot has none");
        let end = CALENDAR.end_of(day);
        let feeds = &batch.events[batch.events.len() - 17..];
        assert!(
            feeds
                .iter()
                .all(|event| event.table == Table::Feeds && event.at == end && event.op == Op::Create)
        );
        assert!(
            batch
                .events
                .iter()
                .all(|event| event.at <= end && event.at >= CALENDAR.midnight(day)),
            "{day}"
        );
    }
}

#[test]
fn the_snapshot_comes_first_and_is_marked_table_by_table() {
    let snapshot = &BATCHES[0].events;
    for table in Table::ALL {
        let markers: Vec<Snapshot> = snapshot
            .iter()
            .filter(|e| e.table == table)
            .map(|e| e.snapshot)
            .collect();
        assert!(markers.len() > 1, "{} has rows on the first day", table.name());
        assert_eq!(markers[0], Snapshot::First);
        assert_eq!(markers[markers.len() - 1], Snapshot::Last);
        assert!(
            markers[1..markers.len() - 1]
                .iter()
                .all(|marker| *marker == Snapshot::Inside)
        );
    }
    assert!(snapshot.iter().all(|event| event.op == Op::Read));
    assert!(
        snapshot.iter().all(|event| event.lsn == snapshot[0].lsn),
        "one snapshot has one position"
    );
    assert!(
        BATCHES[1..]
            .iter()
            .flat_map(|batch| &batch.events)
            .all(|e| e.op != Op::Read && e.snapshot == Snapshot::No)
    );
}

#[test]
fn log_positions_rise_and_row_versions_follow_each_other() {
    let mut last = (0, i64::MIN); // position, commit time
    let mut rows: BTreeMap<(Table, String), std::sync::Arc<[Value]>> = BTreeMap::new();
    for event in BATCHES.iter().flat_map(|batch| &batch.events) {
        let in_one_snapshot = event.op == Op::Read && event.lsn == last.0;
        assert!((event.lsn > last.0 || in_one_snapshot) && event.at.0 >= last.1);
        last = (event.lsn, event.at.0);
        let key = (event.table, event.key());
        assert_eq!(
            rows.get(&key),
            event.before.as_ref(),
            "{} {}",
            event.table.name(),
            key.1
        );
        match &event.after {
            Some(row) => rows.insert(key, row.clone()),
            None => rows.remove(&key),
        };
    }
    assert!(last.0 > 0);
}

#[test]
fn every_reference_names_a_row_that_was_recorded_before() {
    let references = [
        (Table::Teams, "parent_team_id", Table::Teams),
        (Table::Teams, "manager_worker_id", Table::Workers),
        (Table::Contracts, "worker_id", Table::Workers),
        (Table::Contracts, "team_id", Table::Teams),
        (Table::Contracts, "line_manager_id", Table::Workers),
        (Table::Contracts, "post_id", Table::Posts),
        (Table::Posts, "team_id", Table::Teams),
        (Table::Absences, "worker_id", Table::Workers),
        (Table::Children, "merged_into", Table::Children),
        (Table::Referrals, "child_id", Table::Children),
        (Table::Referrals, "team_id", Table::Teams),
        (Table::Cases, "child_id", Table::Children),
        (Table::Cases, "referral_id", Table::Referrals),
        (Table::Cases, "team_id", Table::Teams),
        (Table::Plans, "case_id", Table::Cases),
        (Table::Plans, "conference_id", Table::Conferences),
        (Table::Allocations, "case_id", Table::Cases),
        (Table::Allocations, "team_id", Table::Teams),
        (Table::Allocations, "worker_id", Table::Workers),
        (Table::Transfers, "case_id", Table::Cases),
        (Table::Transfers, "from_team_id", Table::Teams),
        (Table::Transfers, "to_team_id", Table::Teams),
        (Table::Assessments, "case_id", Table::Cases),
        (Table::Assessments, "team_id", Table::Teams),
        (Table::Assessments, "worker_id", Table::Workers),
        (Table::Conferences, "case_id", Table::Cases),
        (Table::Conferences, "section_47_id", Table::Assessments),
        (Table::Visits, "case_id", Table::Cases),
        (Table::Visits, "plan_id", Table::Plans),
        (Table::Visits, "placement_id", Table::Placements),
        (Table::Visits, "worker_id", Table::Workers),
        (Table::Supervisions, "worker_id", Table::Workers),
        (Table::Supervisions, "supervisor_id", Table::Workers),
        (Table::Supervisions, "case_id", Table::Cases),
        (Table::Placements, "case_id", Table::Cases),
    ];
    let mut known: BTreeMap<Table, BTreeSet<String>> = BTreeMap::new();
    let mut missing: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for batch in BATCHES.iter() {
        // Within a batch rows of one commit may stand in any order.
        for event in &batch.events {
            let id = event.row()[0].text().expect("keys begin with text").to_owned();
            known.entry(event.table).or_default().insert(id);
        }
        for event in &batch.events {
            for (table, column, to) in references.iter().filter(|(table, _, _)| *table == event.table) {
                let value = event
                    .after
                    .as_ref()
                    .and_then(|row| row[table.position(column).expect("a column")].text());
                if value.is_some_and(|id| !known.get(to).is_some_and(|ids| ids.contains(id))) {
                    *missing.entry((table.name(), column)).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(missing, BTreeMap::new());
}

#[test]
fn closed_cases_hold_nothing_open_and_no_case_has_two_primaries() {
    let mut present = Present::default();
    BATCHES.iter().for_each(|batch| present.apply(&batch.events));
    let closed: BTreeSet<&str> = present
        .rows(Table::Cases)
        .filter(|c| c.time("closed_at").is_some())
        .filter_map(|c| c.text("case_id"))
        .collect();
    assert!(closed.len() > 10_000);
    let ends: [(Table, &[&str]); 5] = [
        (Table::Allocations, &["ended_at"]),
        (Table::Plans, &["ended_on"]),
        (Table::Placements, &["ended_on"]),
        (Table::Transfers, &["accepted_at", "cancelled_at"]),
        (Table::Assessments, &["authorised_at", "cancelled_at"]),
    ];
    for (table, columns) in ends {
        let open = |row: &Fields<'_>| columns.iter().all(|column| *row.get(column) == Value::Null);
        let left = present
            .rows(table)
            .filter(|row| open(row) && closed.contains(row.text("case_id").expect("required")))
            .count();
        assert_eq!(left, 0, "{}", table.name());
    }
    let mut primaries: BTreeMap<&str, usize> = BTreeMap::new();
    for row in present
        .rows(Table::Allocations)
        .filter(|a| a.text("role") == Some("primary") && a.time("ended_at").is_none())
    {
        *primaries.entry(row.text("case_id").expect("required")).or_default() += 1;
    }
    assert!(primaries.values().all(|count| *count == 1));
}

#[test]
fn the_volume_is_moderate() {
    let events: usize = BATCHES.iter().map(|batch| batch.events.len()).sum();
    assert!((300_000..=620_000).contains(&events), "{events}");
}

#[test]
fn authorities_in_a_steady_state_stay_on_their_curves() {
    let profile = Profile::steady(3, 0.2);
    let (expected, open) = (
        profile.no_holder_front_door.count(Day::of(2018, 6, 29))
            + profile.no_holder_elsewhere.count(Day::of(2018, 6, 29)),
        profile.open.on(Day::of(2018, 6, 29)),
    );
    let mut simulation = Simulation::new(profile, 5);
    let mut present = Present::default();
    present.apply(&simulation.run_until(Day::of(2018, 6, 29)));
    let states = states(&present, &CALENDAR, Day::of(2018, 6, 29));
    assert_eq!(no_holder(&states).len(), expected);
    assert!((states.len() as f64 - open).abs() < open * 0.05);
}
