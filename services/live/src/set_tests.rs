//! Rows wait for the cut; restarts and history lose nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{Offset, RecordedAt, TableName};
use datafusion::physical_plan::memory::MemoryStream;

use crate::closes::Closes;
use crate::fixtures::{Row, batch, chunk, contract, partition, shown, table};
use crate::present::Cut;
use crate::set::{LiveOptions, LiveSet};
use crate::travel::fold_at;

fn things() -> TableName {
    "things".into()
}

fn up(id: &str, at: i64) -> Row {
    Row::new("u", id, at).a("a")
}

fn set_with(partitions: i32, log_end: i64) -> (LiveSet, Instant) {
    let options = LiveOptions {
        publish_interval: Duration::ZERO,
        ..LiveOptions::default()
    };
    let (mut set, _) = LiveSet::new(&contract(), options).unwrap();
    for number in 0..partitions {
        set.assign(&partition(number), Offset(0), Offset(log_end));
    }
    (set, Instant::now())
}

fn rows_of(set: &LiveSet) -> Vec<String> {
    set.cut()
        .tables
        .get(&things())
        .map(|present| shown(&present.batches))
        .unwrap_or_default()
}

#[test]
fn rows_above_the_cut_wait_also_within_one_chunk() {
    let (mut set, now) = set_with(2, 0);
    set.stage(&things(), chunk(0, &[up("x", 10), up("y", 30)])).unwrap();
    set.stage(&things(), chunk(1, &[up("z", 20)])).unwrap();
    set.advance(now).unwrap();
    assert_eq!(set.cut().at, RecordedAt(20));
    assert_eq!(rows_of(&set), ["x=a", "z=a"]);
    assert_eq!(set.staged_rows(), 1);
    set.end_of_partition(&partition(1), now);
    set.advance(now + Duration::from_millis(200)).unwrap();
    assert_eq!(rows_of(&set), ["x=a", "y=a", "z=a"]);
}

/// Periods of a hundred, each up to its last moment; every fifth matters most.
fn closes(capacity: usize) -> (Closes, tokio::sync::mpsc::Receiver<Arc<Cut>>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(capacity);
    let closes = Closes {
        end_of: |at| RecordedAt(at.0.div_euclid(100) * 100 + 99),
        matters: |end| (end.0 + 1) % 500 == 0,
        sender,
    };
    (closes, receiver)
}

fn handed(receiver: &mut tokio::sync::mpsc::Receiver<Arc<Cut>>) -> Vec<(i64, Vec<String>)> {
    let cuts = std::iter::from_fn(|| receiver.try_recv().ok());
    cuts.map(|cut| (cut.at.0, shown(&cut.tables[&things()].batches)))
        .collect()
}

#[test]
fn a_cut_that_leaps_over_the_end_of_a_period_hands_over_the_tables_as_they_were_then() {
    let (mut set, now) = set_with(1, 0);
    let (closes, mut receiver) = closes(8);
    set.hand_over(closes);
    set.stage(&things(), chunk(0, &[up("x", 10)])).unwrap();
    set.advance(now).unwrap();
    assert!(handed(&mut receiver).is_empty(), "the first period still runs");
    set.stage(&things(), chunk(0, &[up("y", 99), up("z", 100), up("z", 250).a("b")]))
        .unwrap();
    set.advance(now).unwrap();
    let rows = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        handed(&mut receiver),
        [(99, rows(&["x=a", "y=a"])), (199, rows(&["x=a", "y=a", "z=a"]))]
    );
    assert_eq!(rows_of(&set), ["x=a", "y=a", "z=b"], "and goes on");
    set.advance(now).unwrap();
    assert!(handed(&mut receiver).is_empty(), "each once");
}

#[test]
fn ends_that_nobody_takes_are_left_out_but_for_those_that_matter() {
    let (mut set, now) = set_with(1, 0);
    let (closes, mut receiver) = closes(6);
    set.hand_over(closes);
    set.stage(&things(), chunk(0, &[up("x", 10)])).unwrap();
    set.advance(now).unwrap();
    set.stage(&things(), chunk(0, &[up("y", 2_050)])).unwrap();
    set.advance(now).unwrap();
    let ends: Vec<i64> = handed(&mut receiver).into_iter().map(|(end, _)| end).collect();
    assert_eq!(
        ends,
        [99, 199, 299, 399, 499, 999],
        "and no more than there is room for"
    );
}

#[test]
fn a_late_row_is_applied_at_once_and_counted() {
    let (mut set, now) = set_with(1, 0);
    set.stage(&things(), chunk(0, &[up("x", 100)])).unwrap();
    set.advance(now).unwrap();
    let late = Row {
        recorded_at: 50,
        ..up("y", 200)
    };
    assert_eq!(set.stage(&things(), chunk(0, &[late])).unwrap().late, 1);
    set.advance(now).unwrap();
    assert_eq!(set.cut().at, RecordedAt(100));
    assert_eq!(rows_of(&set), ["x=a", "y=a"]);
    assert_eq!(set.counters().late, 1);
}

#[test]
fn a_recorded_time_far_after_ingestion_does_not_drag_the_cut_along() {
    let (mut set, now) = set_with(1, 0);
    let ahead = Row {
        recorded_at: 3_600_000_000,
        ingested_at: 0,
        ..up("x", 1)
    };
    assert_eq!(set.stage(&things(), chunk(0, &[ahead])).unwrap().clamped, 1);
    set.advance(now).unwrap();
    assert_eq!(set.cut().at, RecordedAt(300_000_000));
    assert_eq!(rows_of(&set), ["x=a"]);
}

#[test]
fn it_is_catching_up_until_every_partition_has_passed_the_log_end_seen_at_start() {
    let (mut set, now) = set_with(2, 11);
    set.stage(&things(), chunk(0, &[up("x", 10)])).unwrap();
    set.advance(now).unwrap();
    assert!(!set.cut().caught_up);
    set.stage(&things(), chunk(1, &[up("y", 5)])).unwrap();
    set.advance(now).unwrap();
    assert!(!set.cut().caught_up, "partition 1 has read offset 5 of 11");
    set.end_of_partition(&partition(1), now);
    set.advance(now + Duration::from_millis(100)).unwrap();
    assert!(!set.cut().caught_up, "row x waits for the cut");
    set.advance(now + Duration::from_millis(200)).unwrap();
    assert!(set.cut().caught_up);
}

#[test]
fn over_the_memory_limit_the_tables_stop_and_say_so() {
    let options = LiveOptions {
        memory_limit_bytes: 10_000,
        publish_interval: Duration::ZERO,
        ..LiveOptions::default()
    };
    let (mut set, receiver) = LiveSet::new(&contract(), options).unwrap();
    set.assign(&partition(0), Offset(0), Offset(0));
    let rows: Vec<Row> = (0..500).map(|number| up(&format!("k{number}"), number)).collect();
    set.stage(&things(), chunk(0, &rows)).unwrap();
    set.advance(Instant::now()).unwrap();
    let cut = receiver.borrow().clone();
    assert!(
        cut.stopped
            .as_ref()
            .is_some_and(|reason| reason.contains("may use 10000")),
        "{:?}",
        cut.stopped
    );
    assert!(!cut.caught_up && cut.tables.is_empty());
}

#[test]
fn sources_are_heard_of_by_rows_and_heartbeats() {
    let (mut set, now) = set_with(1, 0);
    set.stage(
        &things(),
        chunk(
            0,
            &[Row {
                ingested_at: 70,
                ..up("x", 60)
            }],
        ),
    )
    .unwrap();
    set.heartbeat("s", RecordedAt(90), None);
    set.advance(now).unwrap();
    let heard = set.cut().source_freshness["s"];
    assert_eq!((heard.heard_at, heard.recorded_at), (RecordedAt(90), RecordedAt(60)));
    assert!(set.cut().sources[&things()].contains("s"));
    assert!(set.cut().supplied.contains(&things()));
}

#[test]
fn the_tail_gives_what_a_snapshot_lacks_and_keeps_it_while_a_reader_holds_one() {
    let (mut set, _) = set_with(1, 0);
    set.stage(&things(), chunk(0, &[up("x", 1), up("y", 2)])).unwrap();
    set.stage(&things(), chunk(0, &[up("z", 3)])).unwrap();
    let tail = set.tail().clone();
    let from = |offset| BTreeMap::from([(partition(0), Offset(offset))]);
    let rows = |offset| shown(&tail.rows(&things(), &from(offset)).unwrap().batches);
    assert_eq!(rows(2), ["y=a", "z=a"]);
    let hold = tail.hold();
    tail.trim(&things(), &from(4));
    assert_eq!(
        rows(2),
        ["y=a", "z=a"],
        "a reader with a snapshot at 2 still needs them"
    );
    drop(hold);
    assert_eq!(rows(2), [""; 0]);
    assert_eq!(tail.bytes(), 0);
}

#[tokio::test]
async fn a_backdated_change_alters_the_past_as_known_now_and_never_as_known_then() {
    let moved = |id: &str, at: i64, a: &str, u: &str| Row {
        u: Some(u.to_owned()),
        ..Row::new("u", id, at).a(a)
    };
    let rows = [
        moved("x", 10, "first", "team1"),
        moved("x", 20, "second", "team2"),
        moved("y", 30, "new", "team3"),
    ];
    let history = || {
        let batches = vec![batch(&rows)];
        Box::pin(MemoryStream::try_new(batches, table().lake_schema(), None).unwrap())
    };
    let at = |known_at, as_of| async move {
        let present = fold_at(&table(), history(), RecordedAt(known_at), RecordedAt(as_of), None)
            .await
            .unwrap();
        let u = present.batches.iter().flat_map(|batch| {
            let values = batch.column_by_name("u").unwrap().clone();
            let values = values
                .as_any()
                .downcast_ref::<arrow::array::StringArray>()
                .unwrap()
                .clone();
            values.iter().map(|value| value.unwrap().to_owned()).collect::<Vec<_>>()
        });
        (shown(&present.batches), u.collect::<Vec<_>>())
    };
    let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    assert_eq!(at(10, 10).await, (text(&["x=first"]), text(&["team1"])));
    assert_eq!(
        at(40, 40).await,
        (text(&["x=second", "y=new"]), text(&["team2", "team3"]))
    );
    assert_eq!(
        at(40, 15).await,
        (text(&["x=second", "y=new"]), text(&["team1", "team3"])),
        "what is changed in place takes the version recorded by then, else the first"
    );
}
