//! Runs to files, halts, resumption and what goes wrong on purpose.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use crate::calendar::Day;
use crate::disorder::{Disorder, Disturbance};
use crate::journal::Event;
use crate::oracle::Present;
use crate::replay::{Pace, Replay, Scenario, SimulateOptions, Target, simulate};
use crate::row::Table;
use crate::simulation::Simulation;
use crate::sink::{FileKind, FilesTarget};
use crate::{Profile, SimulatorError, WireFormat};

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    Day::of(year, month, day).date()
}

fn small(folder: &Path, kind: FileKind) -> SimulateOptions {
    let target = Target::Files(FilesTarget {
        folder: folder.to_owned(),
        kind,
    });
    let options = SimulateOptions::new(
        Scenario::Steady {
            authorities: 1,
            scale: 0.05,
        },
        target,
    );
    SimulateOptions {
        until: Some(date(2018, 1, 12)),
        ..options
    }
}

fn lines(folder: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let read = |table: Table| {
        let text = std::fs::read_to_string(folder.join(format!("{}.jsonl", table.name()))).expect("a file a table");
        (table.name(), text.lines().map(str::to_owned).collect())
    };
    Table::ALL.into_iter().map(read).collect()
}

#[test]
fn a_run_taken_up_elsewhere_sends_what_one_run_would_have_sent() {
    let whole = tempfile::tempdir().expect("a folder");
    let cancel = CancellationToken::new();
    let summary = simulate(small(whole.path(), FileKind::JsonLines), &mut |_| {}, &cancel).expect("it runs");
    let (before, after) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let first = SimulateOptions {
        until: Some(date(2018, 1, 5)),
        ..small(before.path(), FileKind::JsonLines)
    };
    let second = SimulateOptions {
        from: Some(date(2018, 1, 6)),
        ..small(after.path(), FileKind::JsonLines)
    };
    let sent = simulate(first, &mut |_| {}, &cancel).expect("it runs").events
        + simulate(second, &mut |_| {}, &cancel).expect("it runs").events;
    assert_eq!(sent, summary.events);
    let (mut halves, rest) = (lines(before.path()), lines(after.path()));
    for (table, lines) in rest {
        halves.get_mut(table).expect("the same tables").extend(lines);
    }
    assert!(halves == lines(whole.path()));
}

#[test]
fn a_replay_halts_at_a_date_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let cancel = CancellationToken::new();
    let mut days = vec![];
    let mut replay = Replay::new(small(folder.path(), FileKind::JsonLines)).expect("it opens");
    let mut tell = |progress: crate::replay::Progress| days.extend(progress.day.filter(|_| progress.day_complete));
    let halted = replay
        .run_until(date(2018, 1, 3), &mut tell, &cancel)
        .expect("it runs")
        .clone();
    assert_eq!(halted.last_day, Some(date(2018, 1, 3)));
    let written: usize = lines(folder.path()).values().map(Vec::len).sum();
    assert_eq!(written as u64, halted.events, "everything sent is on disk at a halt");
    replay.run_until(date(2018, 1, 4), &mut tell, &cancel).expect("it runs");
    let summary = replay.finish().expect("it ends");
    assert!(summary.events > halted.events && !summary.cancelled);
    assert_eq!(days, [1, 2, 3, 4].map(|day| date(2018, 1, day)));
}

#[test]
fn an_extract_holds_every_table_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    simulate(
        small(folder.path(), FileKind::Extract),
        &mut |_| {},
        &CancellationToken::new(),
    )
    .expect("it runs");
    let mut present = Present::default();
    let mut simulation = Simulation::new(Profile::steady(0, 0.05), 1);
    present.apply(&simulation.run_until(Day::of(2018, 1, 12)));
    for table in Table::ALL {
        let mut reader =
            csv::Reader::from_path(folder.path().join(format!("{}.csv", table.name()))).expect("a file a table");
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        assert_eq!(header, table.columns().iter().map(|c| c.name).collect::<Vec<_>>());
        assert_eq!(
            reader.records().count(),
            present.rows(table).count(),
            "{}",
            table.name()
        );
    }
}

#[test]
fn pacing_holds_events_back_and_cancelling_ends_the_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SimulateOptions {
        pace: Pace::days(20.0),
        until: Some(date(2018, 1, 4)),
        ..small(folder.path(), FileKind::JsonLines)
    };
    let summary = simulate(options, &mut |_| {}, &CancellationToken::new()).expect("it runs");
    // From the first commit on the first day to midnight of the fourth: between three and four days at 20 a second.
    assert!(summary.elapsed >= Duration::from_millis(140), "{:?}", summary.elapsed);
    let slow = SimulateOptions {
        pace: Pace::SimulatedSeconds(1.0),
        ..small(folder.path(), FileKind::JsonLines)
    };
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let started = Instant::now();
    let summary = simulate(
        slow,
        &mut |progress| {
            if progress.day_complete {
                canceller.cancel()
            }
        },
        &cancel,
    )
    .expect("it stops");
    assert!(summary.cancelled && summary.last_day.is_none());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_date_outside_the_scenario_and_an_unknown_scenario_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::Files(FilesTarget {
        folder: folder.path().to_owned(),
        kind: FileKind::JsonLines,
    });
    let options = SimulateOptions {
        until: Some(date(2021, 1, 1)),
        ..SimulateOptions::new(Scenario::Northamptonshire, target)
    };
    let error = Replay::new(options).err().expect("2021 is outside").to_string();
    assert_eq!(
        error,
        "the last day to send, 2021-01-01 is outside the scenario, which runs from 2018-01-01 to 2020-09-30"
    );
    assert!(matches!(
        Scenario::named("rutland", 1, 1.0),
        Err(SimulatorError::UnknownScenario { .. })
    ));
}

/// The days of January, each disturbed.
fn disturbed(disorder: Disorder) -> (Vec<Event>, Vec<Event>) {
    let mut simulation = Simulation::new(Profile::steady(0, 0.1), 3);
    let mut disturbance = Disturbance::new(disorder, 3);
    let (mut plain, mut sent) = (vec![], vec![]);
    while simulation.next_day() <= Day::of(2018, 1, 31) {
        let batch = simulation.step().expect("January is in the scenario");
        plain.extend(batch.events.clone());
        sent.extend(match batch.day {
            Some(day) => disturbance.disturb(day, batch.events),
            None => batch.events,
        });
    }
    (plain, sent)
}

/// The newest version of every row by log position, as any reader must have it in the end.
fn fold(events: &[Event]) -> BTreeMap<(Table, String), (u64, Option<crate::row::Row>)> {
    let mut rows = BTreeMap::new();
    for event in events {
        let entry = rows.entry((event.table, event.key())).or_insert((0, None));
        if event.lsn > entry.0 {
            *entry = (event.lsn, event.after.clone());
        }
    }
    rows
}

#[test]
fn duplicates_and_disorder_fold_to_the_same_rows() {
    let (plain, sent) = disturbed(Disorder {
        duplicates: 0.05,
        out_of_order: 0.05,
        late_allocations: 0.0,
    });
    assert!(sent.len() > plain.len());
    assert!(sent.windows(2).any(|pair| pair[1].lsn < pair[0].lsn));
    assert!(fold(&plain) == fold(&sent));
}

#[test]
fn late_allocations_are_recorded_after_they_began_and_in_order() {
    let (plain, sent) = disturbed(Disorder {
        late_allocations: 0.5,
        ..Disorder::default()
    });
    let started = Table::Allocations.position("started_at").expect("a column");
    let late = |event: &&Event| {
        let began = event.row().get(started).and_then(crate::row::Value::time);
        let first = event.table == Table::Allocations && event.before.is_none();
        first && began.is_some_and(|began| event.at.0 - began.0 > 12 * 3_600_000_000)
    };
    let after_snapshot = |events: &[Event]| {
        events
            .iter()
            .filter(|e| e.op != crate::journal::Op::Read)
            .filter(late)
            .count()
    };
    assert_eq!(after_snapshot(&plain), 0);
    assert!(after_snapshot(&sent) > 20);
    let mut versions: BTreeMap<String, Option<crate::row::Row>> = BTreeMap::new();
    for event in sent.iter().filter(|event| event.table == Table::Allocations) {
        let before = versions.insert(event.key(), event.after.clone()).flatten();
        assert_eq!(before, event.before);
    }
    assert!(sent.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn authorities_that_are_one_source_to_a_reader_have_one_snapshot_a_table() {
    let markers = |format: WireFormat| {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SimulateOptions {
            scenario: Scenario::Steady {
                authorities: 2,
                scale: 0.05,
            },
            until: Some(date(2018, 1, 1)),
            format,
            ..small(folder.path(), FileKind::JsonLines)
        };
        simulate(options, &mut |_| {}, &CancellationToken::new()).expect("it runs");
        let lines = std::fs::read_to_string(folder.path().join("contracts.jsonl")).expect("a file");
        ["first", "last"].map(|marker| {
            lines
                .lines()
                .filter(|line| line.contains(&format!("\"{marker}\"")))
                .count()
        })
    };
    assert_eq!(markers(WireFormat::FlatJson), [1, 1], "flat rows name no source");
    assert_eq!(markers(WireFormat::DebeziumJson), [2, 2], "each authority is a source");
}
