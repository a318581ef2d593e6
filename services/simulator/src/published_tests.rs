//! Authorities made from published figures, counted again from their rows alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{Calendar, Day};
use crate::oracle::{Fields, Present, held_by_social_workers};
use crate::published::{PublishedFigures, PublishedYear};
use crate::published_authority::{PublishedAuthority, Year};
use crate::row::Table;

/// The shipped figures.
fn figures() -> PublishedFigures {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../queries/reference/dfe_workforce_local_authority_2017_2022.csv"
    );
    PublishedFigures::read(path.as_ref()).expect("the shipped file is a good one")
}

/// Sums at the end of a 30 September, in thousandths, and the cases held.
#[derive(Debug, PartialEq)]
struct Counted {
    in_post: i64,
    leavers: i64,
    agency: i64,
    vacancy: i64,
    case_holders: i64,
    cases: i64,
    days_lost: i64,
}

/// Counts as DfE's definitions say, over rows alone.
fn counted(present: &Present, calendar: &Calendar, year: Year) -> Counted {
    let day = year.last;
    let here = |row: &Fields<'_>, from: &str, to: &str| {
        row.day(from).expect("required") <= day && row.day(to).is_none_or(|end| end >= day)
    };
    let fte = |row: &Fields<'_>| row.get("fte").thousandths().expect("it is always given");
    let direct = |row: &Fields<'_>| matches!(row.text("employment"), Some("permanent" | "fixed_term"));
    let contracts: Vec<Fields<'_>> = present
        .rows(Table::Contracts)
        .filter(|row| row.get("child_family_sw").is_true())
        .collect();
    let in_force: Vec<&Fields<'_>> = contracts
        .iter()
        .filter(|row| here(row, "started_on", "ended_on"))
        .collect();
    let mut filled: BTreeMap<&str, i64> = BTreeMap::new();
    for row in in_force.iter().filter(|row| direct(row)) {
        *filled
            .entry(row.text("post_id").expect("the employed have posts"))
            .or_default() += fte(row);
    }
    let posts = present
        .rows(Table::Posts)
        .filter(|row| here(row, "valid_from", "valid_to"));
    let vacancy = posts
        .filter(|row| row.text("role") != Some("family_support"))
        .map(|row| (fte(&row) - filled.get(row.text("post_id").expect("key")).copied().unwrap_or(0)).max(0))
        .sum();
    let left = |row: &&Fields<'_>| {
        let ended = row
            .day("ended_on")
            .is_some_and(|end| year.first <= end && end <= year.last);
        ended && direct(row) && row.text("end_reason") != Some("changed_terms")
    };
    let mut days_lost = 0;
    for absence in present
        .rows(Table::Absences)
        .filter(|row| row.text("reason") == Some("SIC"))
    {
        let (from, to) = (absence.day("started_on").expect("required"), absence.day("ended_on"));
        let Some(to) = to.filter(|to| year.first <= *to && *to <= year.last) else {
            continue;
        };
        let contract = contracts.iter().find(|row| {
            row.text("worker_id") == absence.text("worker_id")
                && row.day("started_on").expect("required") <= from
                && row.day("ended_on").is_none_or(|end| end >= to)
        });
        let derived = || i64::from(calendar.working_days_between(from.plus(-1), to)) * contract.map_or(0, &fte);
        days_lost += absence.get("fte_days_lost").thousandths().unwrap_or_else(derived);
    }
    let (cases, case_holders, _) = held_by_social_workers(present, calendar, day);
    Counted {
        in_post: in_force.iter().filter(|row| direct(row)).map(|row| fte(row)).sum(),
        leavers: contracts.iter().filter(left).map(fte).sum(),
        agency: in_force.iter().filter(|row| !direct(row)).map(|row| fte(row)).sum(),
        vacancy,
        case_holders,
        cases: cases as i64,
        days_lost,
    }
}

#[test]
fn every_published_figure_comes_out_of_the_rows_to_the_thousandth() {
    let calendar = Arc::new(Calendar::new());
    let mut compared = 0;
    // Every fifth authority, and those whose figures are the oddest.
    let odd = ["E06000053", "E06000044", "E09000024", "E08000024"];
    let all = figures();
    let chosen = all
        .authorities
        .iter()
        .enumerate()
        .filter(|(n, (code, _))| n % 5 == 0 || odd.contains(&code.as_str()));
    for (_, (code, years)) in chosen {
        let span = (
            Year::to(years[0].year).first,
            Year::to(years[years.len() - 1].year).last,
        );
        let mut authority = PublishedAuthority::new(code, "L000", years, Arc::clone(&calendar), span);
        let mut present = Present::default();
        while let Some(batch) = authority.step() {
            present.apply(&batch.events);
            let census = |year: &&PublishedYear| batch.day == Some(Day::of(year.year, 9, 30));
            let Some(published) = years.iter().find(census) else {
                continue;
            };
            let counted = counted(&present, &calendar, Year::to(published.year));
            for (what, published, counted) in [
                ("in post", published.in_post, counted.in_post),
                ("leavers", published.leavers, counted.leavers),
                ("agency", published.agency, counted.agency),
                ("vacancy", published.vacancy, counted.vacancy),
                ("case holders", published.case_holders, counted.case_holders),
                ("cases", published.cases, counted.cases),
                ("days lost", published.days_lost, counted.days_lost),
            ] {
                if let Some(published) = published {
                    assert_eq!(counted, published, "{code} {:?}: {what}", batch.day);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1200, "{compared}");
}

#[test]
fn an_authority_begins_with_a_snapshot_or_when_its_figures_do() {
    let calendar = Arc::new(Calendar::new());
    let year = |year| PublishedYear {
        year,
        in_post: Some(12_500),
        leavers: Some(1500),
        agency: Some(2000),
        vacancy: Some(3000),
        case_holders: Some(9000),
        cases: Some(150),
        days_lost: Some(40_300),
    };
    let span = (Day::of(2018, 10, 1), Day::of(2021, 9, 30));
    let mut first = PublishedAuthority::new("E1", "L000", &[year(2019), year(2021)], Arc::clone(&calendar), span);
    let mut later = PublishedAuthority::new("E2", "L001", &[year(2021)], Arc::clone(&calendar), span);
    let sizes = |authority: &mut PublishedAuthority| {
        let snapshot = authority.step().expect("a snapshot").events.len();
        let mut days = vec![];
        while let Some(batch) = authority.step() {
            days.push((batch.day.expect("a day"), batch.events));
        }
        assert_eq!((days[0].0, days[days.len() - 1].0), span);
        let within =
            |(day, events): &(Day, Vec<crate::Event>)| events.iter().all(|event| calendar.day_of(event.at) == *day);
        assert!(
            days.iter().all(within),
            "a day's batch holds what was recorded on that day"
        );
        let quiet = days
            .iter()
            .filter(|(day, _)| day.date() < chrono::NaiveDate::from_ymd_opt(2020, 10, 1).expect("a date"));
        (snapshot, quiet.map(|(_, events)| events.len()).sum::<usize>())
    };
    let (snapshot, before_2021) = sizes(&mut first);
    assert!(snapshot > 300 && before_2021 > 30, "{snapshot} {before_2021}");
    assert_eq!(
        sizes(&mut later),
        (0, 0),
        "nothing is known of it before its first year"
    );
}
