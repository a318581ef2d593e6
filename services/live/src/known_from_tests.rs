//! Since when tables are known (RULES 20), as their snapshots tell, each other's too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use casewatch_contract::{Chunk, Offset, PartitionId, RecordedAt};
use proptest::prelude::*;

use crate::fixtures::{Row, batch, chunk, contract_of, shown, table};
use crate::present::KnownFrom;
use crate::set::{LiveOptions, LiveSet};
use crate::table::LiveTable;

const TABLES: [&str; 2] = ["others", "things"];

/// A row of a table that was read from one of its two partitions.
#[derive(Debug, Clone)]
struct Read {
    table: &'static str,
    partition: i32,
    row: Row,
}

/// A row of the snapshot at position 10.
fn snapshot(table: &'static str, marker: &'static str, at: i64) -> Read {
    let row = Row {
        position: Some(10),
        snapshot: Some(marker),
        ..Row::new("r", &format!("k{at}"), at).a("read")
    };
    Read {
        table,
        partition: 0,
        row,
    }
}

fn partition_of(table: &str, number: i32) -> PartitionId {
    format!("c/{table}/0/{number}").parse().unwrap()
}

fn empty_set(memory_limit_bytes: usize) -> LiveSet {
    let options = LiveOptions {
        publish_interval: Duration::ZERO,
        memory_limit_bytes,
        ..LiveOptions::default()
    };
    let (mut set, _) = LiveSet::new(&contract_of(&TABLES), options).unwrap();
    for table in TABLES {
        for number in 0..2 {
            set.assign(&partition_of(table, number), Offset(0), Offset(0));
        }
    }
    set
}

fn stage(set: &mut LiveSet, read: &Read) {
    let partition = partition_of(read.table, read.partition);
    let chunk = Chunk {
        partition,
        ..chunk(read.partition, std::slice::from_ref(&read.row))
    };
    set.stage(&read.table.into(), chunk).unwrap();
}

/// Lets every partition go, so that all that was read counts.
fn settle(set: &mut LiveSet) {
    let now = Instant::now();
    for table in TABLES {
        for number in 0..2 {
            set.end_of_partition(&partition_of(table, number), now);
        }
    }
    set.advance(now + Duration::from_secs(1)).unwrap();
}

fn after(reads: &[Read]) -> LiveSet {
    let mut set = empty_set(1 << 30);
    reads.iter().for_each(|read| stage(&mut set, read));
    settle(&mut set);
    set
}

fn known(set: &LiveSet, table: &str) -> Option<KnownFrom> {
    set.cut().known_from.get(table).copied()
}

fn known_after(reads: &[Read]) -> Option<KnownFrom> {
    known(&after(reads), "things")
}

fn since(at: i64) -> Option<KnownFrom> {
    Some(KnownFrom::At(RecordedAt(at)))
}

const UNFINISHED: Option<KnownFrom> = Some(KnownFrom::SnapshotUnfinished);

#[test]
fn known_from_is_the_end_of_the_first_complete_snapshot() {
    let mut live = LiveTable::new(table()).unwrap();
    let read = |id: &str, recorded_at, marker| Row {
        recorded_at,
        snapshot: Some(marker),
        ..Row::new("r", id, 10)
    };
    live.apply(&batch(&[read("x", 100, "first")])).unwrap();
    assert_eq!(live.known_from(), Some(KnownFrom::SnapshotUnfinished));
    live.apply(&batch(&[read("y", 130, "last")])).unwrap();
    assert_eq!(live.known_from(), Some(KnownFrom::At(RecordedAt(130))));
}

#[test]
fn without_snapshots_a_table_is_known_from_its_first_row() {
    let mut live = LiveTable::new(table()).unwrap();
    live.apply(&batch(&[Row::new("u", "x", 7), Row::new("u", "y", 5)]))
        .unwrap();
    assert_eq!(live.known_from(), Some(KnownFrom::At(RecordedAt(5))));
}

#[test]
fn a_table_whose_snapshot_has_not_ended_is_not_known_yet_whatever_markers_were_read() {
    for marker in ["true", "first", "first_in_data_collection"] {
        assert_eq!(known_after(&[snapshot("things", marker, 20)]), UNFINISHED, "{marker}");
    }
    let and_then_changed = [
        snapshot("things", "true", 20),
        Read {
            row: Row::new("u", "k20", 30),
            ..snapshot("things", "", 0)
        },
    ];
    assert_eq!(known_after(&and_then_changed), UNFINISHED, "changes end no snapshot");
}

#[test]
fn rows_of_an_incremental_snapshot_say_neither_where_it_begins_nor_where_it_ends() {
    assert_eq!(known_after(&[snapshot("things", "incremental", 20)]), since(20));
}

#[test]
fn a_table_without_a_row_has_nothing_to_be_known() {
    assert_eq!(known_after(&[]), None);
}

#[test]
fn under_offset_order_rows_between_markers_of_other_partitions_hold_nothing_up() {
    let by_offset = |marker, at, partition| {
        let read = snapshot("things", marker, at);
        let row = Row {
            position: None,
            ..read.row
        };
        Read { partition, row, ..read }
    };
    assert_eq!(known_after(&[by_offset("true", 20, 1)]), UNFINISHED);
    let all = [
        by_offset("first", 10, 0),
        by_offset("true", 20, 1),
        by_offset("last", 30, 0),
    ];
    assert_eq!(known_after(&all), since(30));
}

#[test]
fn a_table_of_one_row_that_comes_first_is_known_from_the_end_of_the_whole_snapshot() {
    let mut set = after(&[
        snapshot("things", "first", 20),
        snapshot("others", "first_in_data_collection", 30),
    ]);
    assert_eq!(known(&set, "things"), UNFINISHED);
    stage(&mut set, &snapshot("others", "last", 40));
    settle(&mut set);
    assert_eq!((known(&set, "things"), known(&set, "others")), (since(40), since(40)));
}

#[test]
fn it_is_not_while_the_row_that_ends_the_whole_snapshot_is_above_the_cut() {
    let mut set = empty_set(1 << 30);
    stage(&mut set, &snapshot("things", "first", 20));
    stage(&mut set, &snapshot("others", "last", 40));
    let now = Instant::now();
    for (table, number) in [("things", 1), ("others", 1)] {
        set.end_of_partition(&partition_of(table, number), now);
    }
    set.advance(now + Duration::from_secs(1)).unwrap();
    assert_eq!((set.cut().at, known(&set, "things")), (RecordedAt(20), UNFINISHED));
}

#[test]
fn the_end_of_another_table_of_another_snapshot_or_of_another_source_tells_nothing() {
    let first = snapshot("things", "first", 20);
    let of_table = snapshot("others", "last_in_data_collection", 40);
    let last = snapshot("others", "last", 40);
    let changed = |change: &dyn Fn(&mut Row)| {
        let mut changed = last.clone();
        change(&mut changed.row);
        changed
    };
    let of_another_snapshot = changed(&|row| row.position = Some(11));
    let of_another_source = changed(&|row| row.source = "another".to_owned());
    for other in [of_table, of_another_snapshot, of_another_source] {
        assert_eq!(known_after(&[first.clone(), other]), UNFINISHED);
    }
    let mut nameless = [first, last];
    nameless.iter_mut().for_each(|read| read.row.source.clear());
    assert_eq!(known_after(&nameless), UNFINISHED, "who knows whose they are");
}

#[test]
fn a_table_with_a_second_row_waits_for_its_own_end() {
    let mut set = after(&[
        snapshot("things", "first", 20),
        snapshot("things", "true", 25),
        snapshot("others", "last", 40),
    ]);
    assert_eq!(known(&set, "things"), UNFINISHED, "it was broken off");
    stage(&mut set, &snapshot("things", "last_in_data_collection", 45));
    settle(&mut set);
    assert_eq!(known(&set, "things"), since(45));
}

#[test]
fn what_is_only_inferred_deletes_nothing() {
    let before = Read {
        row: Row::new("c", "old", 5).a("stands"),
        ..snapshot("things", "", 0)
    };
    let reads = [before, snapshot("things", "first", 20), snapshot("others", "last", 40)];
    let set = after(&reads);
    assert_eq!(known(&set, "things"), since(40));
    assert_eq!(shown(&set.cut().tables["things"].batches), ["k20=read", "old=stands"]);
}

#[test]
fn tables_that_stopped_stay_as_unknown_as_they_were() {
    let mut set = empty_set(60_000);
    stage(&mut set, &snapshot("things", "first", 20));
    settle(&mut set);
    assert!(set.stopped().is_none());
    for at in 100..700 {
        stage(&mut set, &snapshot("others", "true", at));
    }
    settle(&mut set);
    assert!(set.stopped().is_some());
    assert_eq!((known(&set, "things"), known(&set, "others")), (UNFINISHED, UNFINISHED));
}

/// RULES 20, plainly: for each table the end of its first complete snapshot, by position.
fn by_the_rule(reads: &[Read], table: &str) -> Option<KnownFrom> {
    let mut ends: BTreeMap<u64, i64> = BTreeMap::new();
    let of_table = || reads.iter().filter(|read| read.table == table);
    for read in of_table() {
        let position = read.row.position.unwrap();
        let here = || of_table().filter(|other| other.row.position == Some(position));
        let own = here().filter(|read| read.row.snapshot.unwrap().starts_with("last"));
        let alone = here().all(|read| read.row.snapshot == Some("first"));
        let whole = TABLES.iter().filter_map(|table| {
            let ends = |read: &&Read| {
                (read.table, read.row.position, read.row.snapshot) == (*table, Some(position), Some("last"))
            };
            reads.iter().filter(ends).map(|read| read.row.recorded_at).min()
        });
        let opened = here().map(|read| read.row.recorded_at).min();
        let ended = own.map(|read| read.row.recorded_at).min();
        let inferred = || whole.max().filter(|_| alone).map(|at| at.max(opened.unwrap()));
        let ended = ended.or_else(inferred);
        if let Some(at) = ended {
            ends.insert(position, at);
        }
    }
    of_table().next()?;
    let first = ends.into_values().next();
    Some(first.map_or(KnownFrom::SnapshotUnfinished, |at| KnownFrom::At(RecordedAt(at))))
}

const MARKERS: [&str; 5] = [
    "first",
    "first_in_data_collection",
    "true",
    "last_in_data_collection",
    "last",
];

fn reads() -> impl Strategy<Value = Vec<Read>> {
    let read = (
        prop::sample::select(&TABLES[..]),
        0..2,
        prop::sample::select(&MARKERS[..]),
        1..4_u64,
    );
    prop::collection::vec(read, 1..8).prop_map(|reads| {
        let make = |(at, (table, partition, marker, position)): (usize, (&'static str, i32, &'static str, u64))| {
            let mut read = snapshot(table, marker, i64::try_from(at).unwrap());
            read.partition = partition;
            read.row.position = Some(position);
            read
        };
        reads.into_iter().enumerate().map(make).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_the_order_of_reading_tables_are_known_from_what_the_rule_says(
        (reads, shuffled) in reads().prop_flat_map(|reads| (Just(reads.clone()), Just(reads).prop_shuffle()))
    ) {
        let mut set = empty_set(1 << 30);
        for read in &shuffled {
            stage(&mut set, read);
            settle(&mut set);
        }
        for table in TABLES {
            prop_assert_eq!(known(&set, table), by_the_rule(&reads, table), "{}", table);
        }
    }
}
