//! RULES 9 to 13, each by example, and all of them against plain SQL on random histories.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use crate::fixtures::{Row, batch, shown, table};
use crate::table::LiveTable;

pub(super) fn fold(rows: &[Row]) -> Vec<String> {
    let mut live = LiveTable::new(table()).unwrap();
    live.apply(&batch(rows)).unwrap();
    shown(&live.publish().unwrap().batches)
}

pub(super) fn up(id: &str, at: i64, a: &str) -> Row {
    Row::new("u", id, at).a(a)
}

#[test]
fn an_older_change_never_overwrites_a_newer_one() {
    assert_eq!(fold(&[up("x", 2, "new"), up("x", 1, "old")]), ["x=new"]);
}

#[test]
fn a_delete_removes_and_a_late_older_change_does_not_revive() {
    assert_eq!(
        fold(&[up("x", 1, "a"), Row::new("d", "x", 3), up("x", 2, "late")]),
        [""; 0]
    );
}

#[test]
fn a_reinsert_with_a_higher_position_revives() {
    assert_eq!(
        fold(&[up("x", 1, "a"), Row::new("d", "x", 2), Row::new("c", "x", 3).a("again")]),
        ["x=again"]
    );
}

#[test]
fn a_change_of_key_is_a_delete_and_an_upsert_with_one_position() {
    let moved = [up("x", 1, "a"), Row::new("d", "x", 2), up("y", 2, "a")];
    assert_eq!(fold(&moved), ["y=a"]);
}

#[test]
fn a_truncate_removes_older_rows_of_its_own_source_only() {
    let other = Row {
        source: "other".to_owned(),
        ..up("o", 1, "kept")
    };
    let rows = [
        up("x", 1, "gone"),
        other,
        up("y", 5, "newer"),
        Row::new("t", "", 3),
        up("z", 2, "late"),
    ];
    assert_eq!(fold(&rows), ["o=kept", "y=newer"]);
}

#[test]
fn a_complete_later_snapshot_deletes_what_it_did_not_read_again() {
    let read = |id: &str, offset, marker| Row {
        offset,
        snapshot: Some(marker),
        ..Row {
            a: Some("again".to_owned()),
            ..Row::new("r", id, 10)
        }
    };
    let before = [up("x", 1, "old"), up("y", 2, "old"), up("z", 12, "newer")];
    let snapshot = [read("x", 20, "first"), read("w", 21, "last")];
    let rows: Vec<Row> = before.iter().chain(&snapshot).cloned().collect();
    assert_eq!(fold(&rows), ["w=again", "x=again", "z=newer"]);
    let incomplete: Vec<Row> = before.iter().chain(&snapshot[..1]).cloned().collect();
    assert_eq!(fold(&incomplete), ["x=again", "y=old", "z=newer"]);
}

#[test]
fn a_snapshot_of_one_row_has_its_last_marker_only() {
    let only = Row {
        snapshot: Some("last"),
        ..Row::new("r", "y", 10).a("read")
    };
    assert_eq!(fold(&[up("x", 1, "old"), only]), ["y=read"]);
}

#[test]
fn under_offset_order_a_snapshot_counts_within_its_partition() {
    let by_offset = |row: Row, offset, partition| Row {
        position: None,
        offset,
        partition,
        ..row
    };
    let read = |id: &str, marker| Row {
        snapshot: Some(marker),
        ..Row::new("r", id, 0)
    };
    let rows = [
        by_offset(up("x", 0, "old"), 1, 0),
        by_offset(up("other", 0, "kept"), 1, 1),
        by_offset(read("y", "first"), 2, 0),
        by_offset(read("z", "last"), 3, 0),
    ];
    assert_eq!(fold(&rows), ["other=kept", "y=null", "z=null"]);
}

/// Any history: three sources of which each owns two keys, every operation, snapshots whole and broken off.
pub(crate) fn history() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..6_usize, 0..20_u8, 0..12_u64, 0..4_u8, 0..4_u8);
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let make = |(offset, (key, kind, position, unset, marker)): (usize, (usize, u8, u64, u8, u8))| {
            let op = match kind {
                0..=2 => "d",
                3 => "t",
                4..=9 => "r",
                10..=12 => "c",
                _ => "u",
            };
            let unset = match unset {
                1 => Some("a"),
                2 => Some("b"),
                3 => Some("a,b"),
                _ => None,
            };
            let snapshot = match marker {
                0 => "first",
                1 => "last",
                _ => "true",
            };
            let unset = unset.filter(|_| op == "u");
            let sets = |column: &str| op != "d" && op != "t" && !unset.is_some_and(|unset| unset.contains(column));
            Row {
                a: sets("a").then(|| format!("a{offset}")),
                b: sets("b").then(|| i32::try_from(offset).unwrap()),
                unset: unset.map(str::to_owned),
                position: Some(position),
                offset: i64::try_from(offset).unwrap(),
                source: format!("s{}", key / 2),
                snapshot: (op == "r").then_some(snapshot),
                ..Row::new(op, &format!("k{key}"), 0)
            }
        };
        rows.into_iter().enumerate().map(make).collect()
    })
}

/// The order of reading: every row at least once, some more often, in any order, in batches of any size.
fn delivery(rows: usize) -> impl Strategy<Value = (Vec<usize>, usize)> {
    let again = prop::collection::vec(0..rows, 0..rows);
    let order = again.prop_flat_map(move |again| Just((0..rows).chain(again).collect::<Vec<_>>()).prop_shuffle());
    (order, 1..10_usize)
}

const RULES_AS_SQL: &str = "
with marks as (
  select source, substr(seq, 1, length(seq) - 16) as position,
    bool_or(snapshot = 'last') as has_last
  from history where op = 'r' group by 1, 2
), floors as (
  select source, max(floor) as floor from (
    select source, seq as floor from history where op = 't'
    union all select source, position from marks where has_last) as f
  group by source
), alive as (
  select h.* from history h left join floors f on f.source = h.source
  where h.op <> 't' and (f.floor is null or h.seq >= f.floor)
), latest as (
  select *, row_number() over (partition by id order by seq desc) as n from alive
), set_a as (
  select id, case when op <> 'd' then a end as a, row_number() over (partition by id order by seq desc) as n
  from alive where op = 'd' or unset is null or unset not like '%a%'
), set_b as (
  select id, case when op <> 'd' then b end as b, row_number() over (partition by id order by seq desc) as n
  from alive where op = 'd' or unset is null or unset not like '%b%'
)
select l.id, set_a.a, set_b.b from latest l
left join set_a on set_a.id = l.id and set_a.n = 1
left join set_b on set_b.id = l.id and set_b.n = 1
where l.n = 1 and l.op <> 'd'";

async fn by_sql(rows: &[Row]) -> Vec<String> {
    let text =
        |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let hex = |row: &Row| Some(row.seq().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", text(&|row| Some(row.id.clone()))),
        ("a", text(&|row| row.a.clone())),
        ("b", Arc::new(rows.iter().map(|row| row.b).collect::<Int32Array>())),
        ("op", text(&|row| Some(row.op.to_owned()))),
        ("seq", text(&hex)),
        ("unset", text(&|row| row.unset.clone())),
        ("source", text(&|row| Some(row.source.clone()))),
        ("snapshot", text(&|row| row.snapshot.map(str::to_owned))),
    ];
    let fields = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let values = columns.iter().map(|(_, values)| values.clone()).collect();
    let context = SessionContext::new();
    context
        .register_batch("history", RecordBatch::try_new(schema, values).unwrap())
        .unwrap();
    let batches = context.sql(RULES_AS_SQL).await.unwrap().collect().await.unwrap();
    all_columns(&batches)
}

fn all_columns(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name: &str| {
            let values = arrow::compute::cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
            values.as_any().downcast_ref::<StringArray>().unwrap().clone()
        };
        let (id, a, b) = (text("id"), text("a"), text("b"));
        for row in 0..batch.num_rows() {
            let value = |array: &StringArray| {
                if array.is_null(row) {
                    "null".to_owned()
                } else {
                    array.value(row).to_owned()
                }
            };
            rows.push(format!("{} {} {}", value(&id), value(&a), value(&b)));
        }
    }
    rows.sort();
    rows
}

fn by_fold(rows: &[Row], order: &[usize], batch_rows: usize, publish: bool) -> Vec<String> {
    let mut live = LiveTable::new(table()).unwrap();
    for part in order.chunks(batch_rows) {
        let part: Vec<Row> = part.iter().map(|row| rows[*row].clone()).collect();
        live.apply(&batch(&part)).unwrap();
        if publish {
            live.publish().unwrap();
        }
    }
    all_columns(&live.publish().unwrap().batches)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// RULES 13.
    #[test]
    fn any_delivery_of_a_history_folds_to_what_plain_sql_says(
        (rows, (order, batch_rows), publish) in history().prop_flat_map(|rows| {
            let length = rows.len();
            (Just(rows), delivery(length), any::<bool>())
        })
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let expected = runtime.block_on(by_sql(&rows));
        prop_assert_eq!(by_fold(&rows, &order, batch_rows, publish), expected);
    }
}
