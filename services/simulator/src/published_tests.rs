//! Authorities made from published figures, counted again from their rows alone.

use std::sync::Arc;

use crate::calendar::{Calendar, Day};
use crate::oracle::{Present, workforce_counted};
use crate::published::{PublishedFigures, PublishedYear};
use crate::published_authority::{PublishedAuthority, Year};

/// The shipped figures.
fn figures() -> PublishedFigures {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../queries/reference/dfe_workforce_local_authority_2017_2022.csv"
    );
    PublishedFigures::read(path.as_ref()).expect("the shipped file is a good one")
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
            let year = Year::to(published.year);
            let counted = workforce_counted(&present, &calendar, year.first, year.last);
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
