//! A table, a topic whose every offset is known beforehand, and the proof that a lake holds it exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{Int32Type, Int64Type};
use casewatch_contract::{Chunk, DeadLetter, HmacKeys, Offset, OffsetRange, PartitionId, Reason, Table, system};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::dead_letters::DeadLetterFilter;
use crate::lake::Lake;
use crate::seal::{PayloadKey, PayloadPolicy};
use crate::store::Place;

pub(crate) fn table() -> Arc<Table> {
    parse(
        r#"{"type": "record", "name": "visits", "namespace": "casewatch", "doc": "A visit.", "key": ["visit_id"],
        "references": {}, "recorded_at": "recorded_at", "fields": [
        {"name": "visit_id", "type": "string", "doc": "Its identifier."},
        {"name": "child_id", "type": "string", "privacy": "hmac:child", "doc": "The child."},
        {"name": "minutes", "type": ["null", "int"], "default": null, "doc": "How long."},
        {"name": "authority", "type": "string", "label_safe": true, "doc": "Area code."},
        {"name": "source_system", "type": "string", "doc": "The feed."},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "Recorded."}]}"#,
    )
}

/// The same table a release later, with one more optional column.
pub(crate) fn wider_table() -> Arc<Table> {
    parse(
        r#"{"type": "record", "name": "visits", "namespace": "casewatch", "doc": "A visit.", "key": ["visit_id"],
        "references": {}, "recorded_at": "recorded_at", "fields": [
        {"name": "visit_id", "type": "string", "doc": "Its identifier."},
        {"name": "child_id", "type": "string", "privacy": "hmac:child", "doc": "The child."},
        {"name": "minutes", "type": ["null", "int"], "default": null, "doc": "How long."},
        {"name": "seen_alone", "type": ["null", "boolean"], "default": null, "doc": "Whether seen alone."},
        {"name": "authority", "type": "string", "label_safe": true, "doc": "Area code."},
        {"name": "source_system", "type": "string", "doc": "The feed."},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "Recorded."}]}"#,
    )
}

pub(crate) fn parse(text: &str) -> Arc<Table> {
    Arc::new(Table::parse("test.avsc", text).unwrap())
}

pub(crate) fn partition(number: i32) -> PartitionId {
    PartitionId {
        cluster: "test".into(),
        topic: "visits".into(),
        epoch: 0,
        partition: number,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Row,
    ChangeOfKey,
    Dead,
    Tombstone,
    Hole,
}

/// What stands at an offset: fixed, mostly rows.
pub(crate) fn kind(partition: i32, offset: i64) -> Kind {
    match (offset * 7 + i64::from(partition) * 3) % 23 {
        0 => Kind::Dead,
        1 => Kind::Tombstone,
        2 => Kind::Hole,
        3 => Kind::ChangeOfKey,
        _ => Kind::Row,
    }
}

/// The chunk of offsets `from..to` of a partition, as decode gives it.
pub(crate) fn chunk(table: &Table, number: i32, from: i64, to: i64) -> Chunk {
    let mut offsets = Vec::new();
    let (mut dead_letters, mut tombstones, mut holes) = (Vec::new(), 0, 0);
    for offset in from..to {
        match kind(number, offset) {
            Kind::Row => offsets.push(offset),
            Kind::ChangeOfKey => offsets.extend([offset, offset]),
            Kind::Dead => dead_letters.push(dead_letter(number, offset)),
            Kind::Tombstone => tombstones += 1,
            Kind::Hole => holes += 1,
        }
    }
    Chunk {
        partition: partition(number),
        range: OffsetRange {
            from: Offset(from),
            to: Offset(to),
        },
        rows: rows(table, number, &offsets),
        dead_letters,
        tombstones,
        holes,
    }
}

pub(crate) fn dead_letter(number: i32, offset: i64) -> DeadLetter {
    DeadLetter {
        partition: partition(number),
        offset: Offset(offset),
        schema_id: Some(7),
        reason: Reason::Truncated,
        detail: "ends early".into(),
        timestamp_ms: Some(1_500_000_000_000 + offset),
        payload: Some(format!("payload {number}/{offset}").into_bytes()),
    }
}

pub(crate) fn child_of(offset: i64) -> String {
    format!("{:032x}", offset % 10)
}

pub(crate) fn rows(table: &Table, number: i32, offsets: &[i64]) -> RecordBatch {
    let count = offsets.len();
    let text = |value: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            offsets.iter().map(|&offset| value(offset)),
        ))
    };
    let same = |value: &str| text(&|_| value.to_owned());
    let time = |offset: i64| 1_514_764_800_000_000 + offset * 3_600_000_000;
    let times = TimestampMicrosecondArray::from_iter_values(offsets.iter().map(|&offset| time(offset)));
    let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
    let month = |offset: i64| {
        chrono::DateTime::from_timestamp_micros(time(offset))
            .unwrap()
            .format("%Y-%m")
            .to_string()
    };
    let seq: Vec<Vec<u8>> = offsets
        .iter()
        .map(|offset| [&[0_u8; 4][..], &offset.to_be_bytes()].concat())
        .collect();
    let schema = table.lake_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "visit_id" => text(&|offset| format!("visit-{number}-{offset}")),
            "child_id" => text(&child_of),
            "minutes" => Arc::new(Int32Array::from_iter_values(
                offsets.iter().map(|&offset| (offset % 90) as i32),
            )),
            "authority" => same("E06000061"),
            "source_system" => same("mosaic"),
            system::OP => same("u"),
            system::RECORDED_AT | system::INGESTED_AT => times.clone(),
            system::RECORDED_MONTH => text(&month),
            system::SEQ => Arc::new(BinaryArray::from_iter_values(&seq)),
            system::CLUSTER => same("test"),
            system::TOPIC => same("visits"),
            system::EPOCH => Arc::new(Int32Array::from_value(0, count)),
            system::PARTITION => Arc::new(Int32Array::from_value(number, count)),
            system::OFFSET => Arc::new(Int64Array::from(offsets.to_vec())),
            _ => new_null_array(field.data_type(), count),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

pub(crate) fn payload_policy() -> PayloadPolicy {
    PayloadPolicy::Encrypt(PayloadKey::from_hex(&"ab".repeat(32)).unwrap())
}

pub(crate) async fn lake_on(store: Arc<dyn ObjectStore>) -> Arc<Lake> {
    try_lake_on(store).await.unwrap()
}

pub(crate) async fn try_lake_on(store: Arc<dyn ObjectStore>) -> crate::error::Result<Arc<Lake>> {
    try_lake_with(store, HmacKeys::none()).await
}

pub(crate) async fn try_lake_with(store: Arc<dyn ObjectStore>, keys: HmacKeys) -> crate::error::Result<Arc<Lake>> {
    let place = Place {
        store,
        prefix: Path::from("lake"),
        url: Url::parse("memory:///lake/").unwrap(),
    };
    Lake::open_at(place, payload_policy(), Arc::new(keys)).await
}

pub(crate) async fn lake_in(folder: &std::path::Path, durable: bool) -> Arc<Lake> {
    let root = Url::from_directory_path(folder.join("lake")).unwrap();
    let config = crate::LakeConfig {
        durable,
        payload: payload_policy(),
        ..crate::LakeConfig::at(root)
    };
    Lake::open(config).await.unwrap()
}

/// Rows at each (partition, offset) of the table's newest snapshot.
pub(crate) async fn stored(lake: &Arc<Lake>, table: &Arc<Table>) -> BTreeMap<(i32, i64), usize> {
    let snapshot = lake.snapshot(table.clone()).await.unwrap().unwrap();
    let columns = [system::PARTITION, system::OFFSET];
    let batches: Vec<RecordBatch> = snapshot
        .scan(Some(&columns), &[])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let mut stored = BTreeMap::new();
    for batch in batches {
        let partitions = batch.column(0).as_primitive::<Int32Type>();
        let offsets = batch.column(1).as_primitive::<Int64Type>();
        for (partition, offset) in partitions.iter().zip(offsets) {
            *stored.entry((partition.unwrap(), offset.unwrap())).or_insert(0) += 1;
        }
    }
    stored
}

/// The proof of RULES 5, from offset 0 of each partition: ranges tile, each offset stands once and as what it is.
pub(crate) async fn prove(lake: &Arc<Lake>, table: &Arc<Table>, ends: &BTreeMap<i32, i64>) {
    let snapshot = lake.snapshot(table.clone()).await.unwrap().unwrap();
    let wanted: BTreeMap<_, _> = ends
        .iter()
        .map(|(&number, &end)| (partition(number), Offset(end)))
        .collect();
    assert_eq!(*snapshot.positions(), wanted, "positions");
    let letters = lake.dead_letters(&DeadLetterFilter::default()).await.unwrap();
    let mut dead = BTreeSet::new();
    for letter in letters.iter().filter(|letter| letter.table == table.name) {
        assert!(
            dead.insert((letter.partition.partition, letter.offset.0)),
            "a dead letter stands twice: {letter:?}"
        );
    }
    let stored = stored(lake, table).await;
    for (&number, &end) in ends {
        for offset in 0..end {
            let place = (number, offset);
            let rows = stored.get(&place).copied().unwrap_or(0);
            let expected = match kind(number, offset) {
                Kind::Row => (1, false),
                Kind::ChangeOfKey => (2, false),
                Kind::Dead => (0, true),
                Kind::Tombstone | Kind::Hole => (0, false),
            };
            assert_eq!(
                (rows, dead.contains(&place)),
                expected,
                "rows and dead letters at {place:?}"
            );
        }
    }
    assert!(
        stored
            .keys()
            .chain(&dead)
            .all(|(number, offset)| *offset < ends[number]),
        "beyond the position"
    );
    let mut ranges: BTreeMap<i32, Vec<crate::account::RangeRecord>> = BTreeMap::new();
    for range in lake.commit_ranges(&table.name).await.unwrap() {
        ranges.entry(range.partition.partition).or_default().push(range);
    }
    for (&number, &end) in ends {
        let mut at = 0;
        for range in &ranges[&number] {
            assert_eq!(range.from, at, "ranges tile");
            let count = |wanted: Kind| {
                (range.from..range.to)
                    .filter(|&offset| kind(number, offset) == wanted)
                    .count() as u64
            };
            let keys = count(Kind::ChangeOfKey);
            assert_eq!(range.rows, count(Kind::Row) + 2 * keys, "rows of {range:?}");
            assert_eq!(range.offsets, count(Kind::Row) + keys, "offsets of {range:?}");
            assert_eq!(range.dead_letters, count(Kind::Dead), "dead letters of {range:?}");
            assert_eq!(
                range.tombstones + range.holes,
                count(Kind::Tombstone) + count(Kind::Hole),
                "{range:?}"
            );
            at = range.to;
        }
        assert_eq!(at, end, "ranges reach the position");
    }
}
