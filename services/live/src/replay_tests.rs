//! A replay shows at every step what folding history from scratch for that moment gives (RULES 13, 19, 20).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use casewatch_contract::RecordedAt;
use casewatch_lake::{Lake, LakeConfig};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use proptest::prelude::*;

use crate::fixtures::{Row, batch, chunk, contract, shown, table};
use crate::present::{Cut, KnownFrom};
use crate::replay::Replay;
use crate::table::fold_tests::history;
use crate::timeline::{TableReplay, Versions};
use crate::travel::{fold_at, history_columns};

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

fn up(id: &str, at: i64, a: &str) -> Row {
    Row::new("u", id, at).a(a)
}

/// Every column of every row, sorted.
fn whole(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let text = |column: &ArrayRef| {
            let values = arrow::compute::cast(column, &DataType::Utf8).unwrap();
            values.as_any().downcast_ref::<StringArray>().unwrap().clone()
        };
        let columns: Vec<StringArray> = batch.columns().iter().map(text).collect();
        let value = |column: &StringArray, row| match column.is_null(row) {
            true => "null".to_owned(),
            false => column.value(row).to_owned(),
        };
        rows.extend((0..batch.num_rows()).map(|row| {
            let values: Vec<String> = columns.iter().map(|column| value(column, row)).collect();
            values.join(" ")
        }));
    }
    rows.sort();
    rows
}

fn from_scratch(rows: &[Row], known_at: i64, as_of: i64, assumed_until: Option<i64>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = batch(rows);
    let stream = RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter([Ok(rows)]));
    let table = table();
    let fold = fold_at(
        &table,
        Box::pin(stream),
        RecordedAt(known_at),
        RecordedAt(as_of),
        assumed_until.map(RecordedAt),
    );
    whole(&runtime.block_on(fold).unwrap().batches)
}

/// Any history, in which recorded times order nothing: backdated, late, corrected and deleted rows.
fn timed_history() -> impl Strategy<Value = Vec<Row>> {
    history().prop_flat_map(|rows| {
        let times = prop::collection::vec((0..30_i64, 0..30_i64), rows.len());
        (Just(rows), times).prop_map(|(rows, times)| {
            let timed = rows.into_iter().zip(times).map(|(row, (recorded, ingested))| Row {
                recorded_at: recorded * DAY_US,
                ingested_at: ingested * DAY_US,
                u: matches!(row.op, "c" | "u" | "r").then(|| format!("u{}", row.offset)),
                ..row
            });
            timed.collect()
        })
    })
}

fn steps() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::btree_set(-1..32_i64, 1..12).prop_map(|days| days.into_iter().map(|day| day * DAY_US).collect())
}

/// Gives the rows of a history in batches, each when a step has reached the first time in it, or all at once.
struct Delivery<'a> {
    batches: Vec<(i64, &'a [Row])>,
    at_once: bool,
}

impl<'a> Delivery<'a> {
    fn new(rows: &'a [Row], batch_rows: usize, at_once: bool) -> Self {
        let earliest = |rows: &[Row]| rows.iter().map(|row| row.recorded_at).min().unwrap();
        let batches = rows.chunks(batch_rows).map(|rows| (earliest(rows), rows)).collect();
        Self { batches, at_once }
    }

    fn reach(&mut self, replay: &mut TableReplay, as_of: i64) {
        let at_once = self.at_once;
        for (_, rows) in self
            .batches
            .extract_if(.., |(earliest, _)| at_once || *earliest <= as_of)
        {
            replay.take(&batch(rows), RecordedAt(as_of)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_step_of_both_clocks_equals_the_fold_from_scratch(
        rows in timed_history(), steps in steps(), batch_rows in 1..10_usize, at_once: bool,
        assumed in prop::option::of(0..30_i64)
    ) {
        let assumed = assumed.map(|day| day * DAY_US);
        let mut replay = TableReplay::new(&table(), Versions::AsKnownThen).unwrap();
        replay.found(&batch(&rows), assumed.map(RecordedAt)).unwrap();
        let mut delivery = Delivery::new(&rows, batch_rows, at_once);
        for as_of in steps {
            delivery.reach(&mut replay, as_of);
            let found = whole(&replay.show(RecordedAt(as_of)).unwrap().batches);
            prop_assert_eq!(found, from_scratch(&rows, as_of, as_of, assumed), "at {}", as_of / DAY_US);
        }
    }

    #[test]
    fn each_step_of_as_of_alone_equals_the_fold_from_scratch(
        rows in timed_history(), steps in steps(), batch_rows in 1..10_usize, at_once: bool, known_at in 0..32_i64,
        assumed in prop::option::of(0..30_i64)
    ) {
        let known_at = known_at * DAY_US;
        let assumed = assumed.map(|day| day * DAY_US).filter(|until| known_at < *until);
        let mut replay = TableReplay::new(&table(), Versions::KnownAt(RecordedAt(known_at))).unwrap();
        replay.found(&batch(&rows), assumed.map(RecordedAt)).unwrap();
        let mut delivery = Delivery::new(&rows, batch_rows, at_once);
        for as_of in steps {
            delivery.reach(&mut replay, as_of);
            let found = whole(&replay.show(RecordedAt(as_of)).unwrap().batches);
            prop_assert_eq!(found, from_scratch(&rows, known_at, as_of, assumed), "at {}", as_of / DAY_US);
        }
    }
}

#[test]
fn a_table_that_does_not_differ_is_the_very_same() {
    let in_place = |id: &str, at: i64, u: &str| Row {
        u: Some(u.to_owned()),
        ..up(id, at, "a")
    };
    let rows = batch(&[in_place("x", 1, "team 1"), up("y", 5, "a"), in_place("x", 9, "team 2")]);
    let mut moving = TableReplay::new(&table(), Versions::AsKnownThen).unwrap();
    let mut fixed = TableReplay::new(&table(), Versions::KnownAt(RecordedAt(20))).unwrap();
    fixed.found(&rows, None).unwrap();
    for replay in [&mut moving, &mut fixed] {
        replay.take(&rows, RecordedAt(0)).unwrap();
    }
    let same = |replay: &mut TableReplay, one, other| {
        let before = replay.show(RecordedAt(one)).unwrap();
        Arc::ptr_eq(&before, &replay.show(RecordedAt(other)).unwrap())
    };
    assert!(same(&mut moving, 1, 4));
    assert!(!same(&mut moving, 4, 5), "y came");
    assert!(same(&mut fixed, 1, 4));
    assert!(
        same(&mut fixed, 4, 5),
        "y is known at any moment, and nothing of it was changed in place"
    );
    assert!(!same(&mut fixed, 8, 9), "x went to another team");
    assert!(same(&mut fixed, 20, 30));
}

async fn lake_of(folder: &std::path::Path, rows: &[Row]) -> Arc<Lake> {
    let root = url::Url::from_directory_path(folder.join("lake")).unwrap();
    let lake = Lake::open(LakeConfig::at(root)).await.unwrap();
    let mut writer = lake.writer(contract().table("things").unwrap().clone()).await.unwrap();
    writer.commit(vec![chunk(0, rows)]).await.unwrap();
    lake
}

/// Twenty changes of five keys, every ten days from March 2018, each of the third recorded two months late, and one at
/// a time that cannot be.
fn months_of_changes() -> Vec<Row> {
    let start = 1_520_000_000_000_000_i64;
    let row = |number: i64| {
        let late = if number % 3 == 0 { 60 * DAY_US } else { 0 };
        Row {
            recorded_at: start + number * 10 * DAY_US + late,
            ingested_at: start + number * 10 * DAY_US + late,
            u: Some(format!("u{number}")),
            ..Row::new(
                if number % 7 == 6 { "d" } else { "u" },
                &format!("k{}", number % 5),
                number,
            )
            .a(&format!("a{number}"))
        }
    };
    let impossible = Row {
        recorded_at: -DAY_US,
        ..row(20)
    };
    (0..20).map(row).chain([impossible]).collect()
}

#[tokio::test]
async fn a_lake_is_read_month_by_month_to_the_same_tables_as_from_scratch() {
    let folder = tempfile::tempdir().unwrap();
    let rows = months_of_changes();
    let lake = lake_of(folder.path(), &rows).await;
    let (first, last) = (rows[0].recorded_at, rows[19].recorded_at + 70 * DAY_US);
    let known_at = RecordedAt(rows[12].recorded_at);
    for versions in [Versions::AsKnownThen, Versions::KnownAt(known_at)] {
        let base = Arc::new(Cut::empty());
        let mut replay = Replay::new(&contract(), lake.clone(), versions, base, false)
            .await
            .unwrap();
        for as_of in (first - 5 * DAY_US..last).step_by(usize::try_from(9 * DAY_US).unwrap()) {
            let as_of = RecordedAt(as_of);
            let cut = replay.advance_to(as_of).await.unwrap();
            assert_eq!(cut.at, versions.known_at(as_of));
            let snapshot = lake.snapshot(table()).await.unwrap().unwrap();
            let columns = history_columns(&table());
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let rows = snapshot.scan(Some(&columns), &[]).await.unwrap();
            let scratch = fold_at(&table(), rows, versions.known_at(as_of), as_of, None)
                .await
                .unwrap();
            assert_eq!(
                whole(&cut.tables["things"].batches),
                whole(&scratch.batches),
                "at {as_of}"
            );
        }
    }
}

#[tokio::test]
async fn before_a_table_is_known_its_first_snapshot_counts_where_that_is_assumed() {
    let folder = tempfile::tempdir().unwrap();
    let start = 1_520_000_000_000_000_i64;
    let read = |id: &str, at: i64, marker| Row {
        recorded_at: start + at,
        ingested_at: start + at,
        snapshot: Some(marker),
        position: Some(10),
        ..Row::new("r", id, at).a("read")
    };
    let later = Row {
        recorded_at: start + 50 * DAY_US,
        ..up("z", 12, "later")
    };
    let lake = lake_of(folder.path(), &[read("x", 10, "first"), read("y", 11, "last"), later]).await;
    let mut base = Cut::empty();
    base.known_from
        .insert("things".into(), KnownFrom::At(RecordedAt(start + 11)));
    let base = Arc::new(base);
    for (assume_known, expected) in [(false, Vec::new()), (true, vec!["x=read", "y=read"])] {
        let mut replay = Replay::new(
            &contract(),
            lake.clone(),
            Versions::AsKnownThen,
            base.clone(),
            assume_known,
        )
        .await
        .unwrap();
        let cut = replay.advance_to(RecordedAt(start - 100 * DAY_US)).await.unwrap();
        assert_eq!(shown(&cut.tables["things"].batches), expected);
        let cut = replay.advance_to(RecordedAt(start + DAY_US)).await.unwrap();
        assert_eq!(shown(&cut.tables["things"].batches), ["x=read", "y=read"]);
    }
}
