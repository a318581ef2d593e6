//! The fold and plain SQL over history are of one opinion, whatever the history (RULES 13).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use casewatch_contract::{Offset, PartitionId, RecordedAt, Table};
use casewatch_live::LiveTable;
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use crate::error::QueryError;
use crate::history::{HistorySource, PinnedSnapshot};
use crate::plain::PlainTable;

const SCHEMA: &str = r#"{
  "type": "record", "name": "things", "namespace": "test", "doc": "Things.", "key": ["id", "part"],
  "recorded_at": "recorded_at",
  "fields": [
    {"name": "id", "type": "string", "doc": "Its name."},
    {"name": "part", "type": "int", "doc": "Which part."},
    {"name": "a", "type": ["null", "string"], "default": null, "doc": "Text."},
    {"name": "a_b", "type": ["null", "int"], "default": null, "doc": "A number; the wildcard of LIKE in its name."},
    {"name": "authority", "type": "string", "doc": "Whose."},
    {"name": "source_system", "type": "string", "doc": "The feed."},
    {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."}
  ]
}"#;
const MEMORY: usize = 256 << 20;

fn table() -> Arc<Table> {
    Arc::new(Table::parse("things.avsc", SCHEMA).unwrap())
}

/// A change, in the order in which it was read.
#[derive(Debug, Clone)]
struct Row {
    op: &'static str,
    /// Which of six keys; its source and its partition follow from it.
    key: i32,
    /// The source's; none under offset order.
    position: Option<u64>,
    offset: i64,
    unset: Option<&'static str>,
    snapshot: Option<&'static str>,
}

impl Row {
    fn source(&self) -> String {
        format!("s{}", self.key / 2)
    }

    fn partition(&self) -> i32 {
        self.key % 2
    }

    fn seq(&self) -> Vec<u8> {
        let mut seq = vec![0; 4];
        seq.extend(self.position.iter().flat_map(|position| position.to_be_bytes()));
        seq.extend(u64::try_from(self.offset).unwrap().to_be_bytes());
        seq
    }

    fn sets(&self, column: &str) -> bool {
        let left_out = |unset: &str| unset.split(',').any(|name| name == column);
        !matches!(self.op, "d" | "t") && !self.unset.is_some_and(left_out)
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
    let schema = table().lake_schema();
    let number =
        |of: &dyn Fn(&Row) -> Option<i32>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int32Array>()) };
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "id" => text(
            rows.iter()
                .map(|row| (row.op != "t").then(|| format!("k{}", row.key / 2))),
        ),
        "part" => number(&|row| (row.op != "t").then_some(row.key)),
        "a" => text(rows.iter().map(|row| row.sets("a").then(|| format!("a{}", row.offset)))),
        "a_b" => number(&|row| row.sets("a_b").then(|| i32::try_from(row.offset).unwrap())),
        "_op" => text(rows.iter().map(|row| Some(row.op.to_owned()))),
        "_recorded_at" | "_ingested_at" => {
            let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.offset));
            Arc::new(times.with_timezone("UTC"))
        }
        "_seq" => Arc::new(BinaryArray::from_iter_values(rows.iter().map(Row::seq))),
        "_unset" => text(rows.iter().map(|row| row.unset.map(str::to_owned))),
        "_source" => text(rows.iter().map(|row| Some(row.source()))),
        "_snapshot" => text(rows.iter().map(|row| row.snapshot.map(str::to_owned))),
        "_epoch" => number(&|_| Some(0)),
        "_partition" => number(&|row| Some(row.partition())),
        "_offset" => Arc::new(rows.iter().map(|row| Some(row.offset)).collect::<Int64Array>()),
        _ => text(rows.iter().map(|_| Some("x".to_owned()))),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// A history in memory.
struct Given(Vec<RecordBatch>);

fn everything() -> BTreeMap<PartitionId, Offset> {
    below([1_000, 1_000])
}

fn below(ends: [i64; 2]) -> BTreeMap<PartitionId, Offset> {
    let partition = |number: usize| format!("x/x/0/{number}").parse().unwrap();
    (0..2).map(|number| (partition(number), Offset(ends[number]))).collect()
}

#[async_trait]
impl HistorySource for Given {
    async fn pin(&self, table: &Arc<Table>) -> Result<Option<PinnedSnapshot>, QueryError> {
        Ok(Some(PinnedSnapshot {
            positions: everything(),
            provider: Arc::new(MemTable::try_new(table.lake_schema(), vec![self.0.clone()])?),
        }))
    }
}

fn by_sql(rows: &[Row], positions: &BTreeMap<PartitionId, Offset>) -> PlainTable {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let source: Arc<dyn HistorySource> = Arc::new(Given(vec![batch(rows)]));
    runtime
        .block_on(PlainTable::compute(&source, &table(), positions, MEMORY))
        .unwrap()
}

fn by_fold(rows: &[Row], batch_rows: usize) -> Vec<RecordBatch> {
    let mut live = LiveTable::new(table()).unwrap();
    for part in rows.chunks(batch_rows) {
        live.apply(&batch(part)).unwrap();
    }
    live.publish().unwrap().batches.clone()
}

/// The rows as text, in an order that does not depend on where they stood.
fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let cells = |line: &str| line.split('|').map(str::trim).collect::<Vec<_>>().join(" ");
    let mut rows: Vec<String> = text.lines().skip(3).map(cells).collect();
    rows.retain(|row| !row.starts_with('+'));
    rows.sort();
    rows
}

/// Any history: every operation, values left out, snapshots whole and broken off, ordered by the source or by offset.
fn history() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..6_i32, 0..20_u8, 0..12_u64, 0..4_u8, 0..4_u8);
    (any::<bool>(), prop::collection::vec(row, 1..40)).prop_map(|(by_position, rows)| {
        let make = |(offset, (key, kind, position, unset, marker)): (usize, (i32, u8, u64, u8, u8))| {
            let op = match kind {
                0..=2 => "d",
                3 => "t",
                4..=9 => "r",
                10..=12 => "c",
                _ => "u",
            };
            let unset = [None, Some("a"), Some("a_b"), Some("a,a_b")][usize::from(unset)];
            let snapshot = ["first", "last", "true", "last_in_data_collection"][usize::from(marker)];
            Row {
                op,
                key,
                position: by_position.then_some(position),
                offset: i64::try_from(offset).unwrap(),
                unset: unset.filter(|_| op == "u"),
                snapshot: (op == "r").then_some(snapshot),
            }
        };
        rows.into_iter().enumerate().map(make).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn plain_sql_gives_what_the_fold_gives(rows in history(), batch_rows in 1..10_usize) {
        prop_assert_eq!(shown(&by_sql(&rows, &everything()).present.batches), shown(&by_fold(&rows, batch_rows)));
    }

    #[test]
    fn both_stop_at_the_same_place(rows in history(), ends in [0..40_i64, 0..40_i64]) {
        let read: Vec<Row> = rows
            .iter()
            .filter(|row| row.offset < ends[usize::try_from(row.partition()).unwrap()])
            .cloned()
            .collect();
        let plain = by_sql(&rows, &below(ends));
        prop_assert_eq!(shown(&plain.present.batches), shown(&by_fold(&read, 7)));
        prop_assert_eq!(plain.ever_had_a_row, read.iter().any(|row| row.op != "t"));
        prop_assert_eq!(plain.newest, read.iter().map(|row| RecordedAt(row.offset)).max());
    }
}

fn change(op: &'static str, key: i32, offset: i64) -> Row {
    Row {
        op,
        key,
        position: Some(u64::try_from(offset).unwrap()),
        offset,
        unset: None,
        snapshot: None,
    }
}

#[test]
fn a_value_left_out_is_that_of_the_newest_version_that_has_one_and_none_behind_a_delete() {
    let left_out = |key, offset| Row {
        unset: Some("a"),
        ..change("u", key, offset)
    };
    let rows = [
        change("c", 0, 1),
        change("c", 1, 2),
        change("d", 1, 3),
        left_out(0, 4),
        left_out(1, 5),
    ];
    let plain = by_sql(&rows, &everything());
    let texts = shown(&plain.present.batches);
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains(" a1 4 "), "{texts:?}");
    assert!(!texts[1].contains(" a2 ") && texts[1].contains(" 5 "), "{texts:?}");
}

#[test]
fn a_table_without_a_row_below_the_positions_is_empty_and_was_never_supplied() {
    let plain = by_sql(&[change("c", 0, 5)], &below([5, 5]));
    assert_eq!(
        (plain.present.rows, plain.ever_had_a_row, plain.newest),
        (0, false, None)
    );
    assert_eq!(plain.present.schema, casewatch_live::present_schema(&table()));
}
