//! The staff of the scenario Northamptonshire, held to the published figures and to what an English authority looks like.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike;

use crate::calendar::Day;
use crate::oracle::{Fields, Present, workforce_counted};
use crate::row::Table;
use crate::scenario_tests::{BATCHES, CALENDAR, on_days};

/// DfE's counts at the 30 September of 2018, 2019 and 2020: in post, leavers, agency, vacancy, case holders, cases held,
/// days lost.
const WORKFORCE: [[f64; 7]; 3] = [
    [307.1, 51.2, 106.0, 112.0, 198.0, 3703.0, 1455.2],
    [316.0, 61.9, 142.5, 124.9, 220.6, 4153.0, 1490.0],
    [325.6, 44.4, 125.3, 164.9, 246.6, 4373.0, 1029.0],
];

#[test]
fn the_workforce_is_within_one_percent_of_the_published_counts() {
    let censuses = on_days(
        |day| day.date().month() == 9 && day.date().day() == 30,
        |present, day| {
            let first = Day::of(day.date().year() - 1, 10, 1);
            let counted = workforce_counted(present, &CALENDAR, first, day);
            let fte = |thousandths: i64| thousandths as f64 / 1000.0;
            [
                fte(counted.in_post),
                fte(counted.leavers),
                fte(counted.agency),
                fte(counted.vacancy),
                fte(counted.case_holders),
                counted.cases as f64,
                fte(counted.days_lost),
            ]
        },
    );
    let names = [
        "in post",
        "leavers",
        "agency",
        "vacancy",
        "case holders",
        "cases",
        "days lost",
    ];
    assert_eq!(censuses.len(), WORKFORCE.len());
    for ((day, counted), published) in censuses.into_iter().zip(WORKFORCE) {
        for ((counted, published), name) in counted.into_iter().zip(published).zip(names) {
            println!("{day} {name}: {counted:.1}, published {published}");
            assert!(
                (counted - published).abs() <= published / 100.0,
                "{day} {name}: {counted}, published {published}"
            );
        }
    }
}

/// What a look at the staff should not make anybody wonder: at the end of each quarter.
#[test]
fn the_staff_look_like_those_of_an_english_authority() {
    let quarters = on_days(
        |day| day.plus(1).date().day() == 1 && day.date().month() % 3 == 0,
        |present, day| {
            let active =
                |c: &Fields<'_>| c.day("started_on") <= Some(day) && c.day("ended_on").is_none_or(|end| end >= day);
            let beginners: BTreeSet<&str> = present
                .rows(Table::Workers)
                .filter(|w| w.day("asye_started_on").is_some_and(|from| from <= day))
                .filter(|w| w.day("asye_ends_on") >= Some(day))
                .filter_map(|w| w.text("worker_id"))
                .collect();
            let mut social_workers = BTreeSet::new();
            let mut reports: BTreeMap<&str, usize> = BTreeMap::new();
            for contract in present.rows(Table::Contracts).filter(active) {
                if contract.get("child_family_sw").is_true() {
                    social_workers.insert(contract.text("worker_id").expect("required"));
                }
                if let Some(manager) = contract.text("line_manager_id") {
                    *reports.entry(manager).or_default() += 1;
                }
            }
            let share = social_workers.intersection(&beginners).count() as f64 / social_workers.len() as f64;
            let span = reports.values().sum::<usize>() as f64 / reports.len() as f64;
            let most = reports.values().copied().max().unwrap_or(0);
            (share, span, most)
        },
    );
    assert_eq!(quarters.len(), 11);
    for (day, (share, span, most)) in quarters {
        println!(
            "{day}: newly qualified {:.1} %, span of control {span:.1}, at most {most}",
            share * 100.0
        );
        assert!((0.05..=0.16).contains(&share), "{day}: {share} are newly qualified");
        assert!(
            (4.0..=8.0).contains(&span) && most <= 14,
            "{day}: {span} report to a manager, at most {most}"
        );
    }
}

#[test]
fn some_agency_workers_take_a_contract_of_their_own() {
    let mut present = Present::default();
    BATCHES.iter().for_each(|batch| present.apply(&batch.events));
    let mut ended = BTreeSet::new();
    for contract in present
        .rows(Table::Contracts)
        .filter(|c| c.text("employment") == Some("agency"))
    {
        if let Some(end) = contract.day("ended_on") {
            ended.insert((contract.text("worker_id").expect("required"), end));
        }
    }
    let mut years: BTreeMap<i32, usize> = BTreeMap::new();
    for contract in present
        .rows(Table::Contracts)
        .filter(|c| c.text("employment") == Some("permanent"))
    {
        let started = contract.day("started_on").expect("required");
        if ended.contains(&(contract.text("worker_id").expect("required"), started.plus(-1))) {
            *years.entry(started.plus(92).date().year()).or_default() += 1;
        }
    }
    println!("conversions by year: {years:?}");
    assert!(
        (2018..=2020).all(|year| years.get(&year).is_some_and(|count| (4..=12).contains(count))),
        "{years:?}"
    );
}

#[test]
fn first_visits_are_mostly_late_in_the_crisis_and_seldom_after_it() {
    let mut present = Present::default();
    BATCHES.iter().for_each(|batch| present.apply(&batch.events));
    let received: BTreeMap<&str, Day> = present
        .rows(Table::Referrals)
        .filter_map(|r| Some((r.text("referral_id")?, CALENDAR.day_of(r.time("received_at")?))))
        .collect();
    let began: BTreeMap<&str, Day> = present
        .rows(Table::Cases)
        .filter_map(|c| Some((c.text("case_id")?, *received.get(c.text("referral_id")?)?)))
        .collect();
    let mut first: BTreeMap<&str, Day> = BTreeMap::new();
    for visit in present
        .rows(Table::Visits)
        .filter(|v| v.text("kind") == Some("initial") && v.get("seen").is_true())
    {
        let day = CALENDAR.day_of(visit.time("visited_at").expect("they are made"));
        let earliest = first.entry(visit.text("case_id").expect("required")).or_insert(day);
        *earliest = day.min(*earliest);
    }
    let late = |from: Day, to: Day| {
        let due = began.iter().filter(|(_, day)| (from..=to).contains(*day));
        let seen: Vec<bool> = due
            .filter_map(|(case, day)| Some(CALENDAR.working_days_between(*day, *first.get(case)?) > 5))
            .collect();
        seen.iter().filter(|late| **late).count() as f64 / seen.len() as f64
    };
    let crisis = late(Day::of(2018, 4, 1), Day::of(2018, 9, 30));
    let after = late(Day::of(2020, 2, 1), Day::of(2020, 7, 31));
    println!(
        "first visits late: {:.0} % in the crisis, {:.0} % after it",
        crisis * 100.0,
        after * 100.0
    );
    assert!(
        crisis > 0.35 && after < 0.35,
        "{crisis} in the crisis, {after} after it"
    );
}
