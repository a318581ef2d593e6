//! Rows for tests: a small table and changes of it, as decoding would yield them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use casewatch_contract::{Chunk, Contract, Offset, OffsetRange, PartitionId, Table};

const SCHEMA: &str = r#"{
  "type": "record", "name": "things", "namespace": "test", "doc": "Things.", "key": ["id"], "recorded_at": "recorded_at",
  "fields": [
    {"name": "id", "type": "string", "doc": "Its name."},
    {"name": "a", "type": ["null", "string"], "default": null, "doc": "Text."},
    {"name": "b", "type": ["null", "int"], "default": null, "doc": "A number."},
    {"name": "u", "type": ["null", "string"], "default": null, "undated": true, "doc": "Changed in place."},
    {"name": "authority", "type": "string", "doc": "Whose."},
    {"name": "source_system", "type": "string", "doc": "The feed."},
    {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."}
  ]
}"#;

pub(crate) fn table() -> Arc<Table> {
    Arc::new(Table::parse("things.avsc", SCHEMA).unwrap())
}

pub(crate) fn contract() -> Contract {
    contract_of(&["things"])
}

/// Tables of these names, all with the columns of `things`.
pub(crate) fn contract_of(names: &[&str]) -> Contract {
    let schema = |name: &&str| {
        let text = SCHEMA.replace("\"things\"", &format!("\"{name}\""));
        (format!("{name}.avsc"), Table::parse(name, &text).unwrap())
    };
    Contract::new(names.iter().map(schema).collect()).unwrap()
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) a: Option<String>,
    pub(crate) b: Option<i32>,
    pub(crate) u: Option<String>,
    pub(crate) op: &'static str,
    pub(crate) recorded_at: i64,
    pub(crate) ingested_at: i64,
    /// The source's position; none: offset order.
    pub(crate) position: Option<u64>,
    pub(crate) offset: i64,
    pub(crate) unset: Option<String>,
    pub(crate) source: String,
    pub(crate) snapshot: Option<&'static str>,
    pub(crate) partition: i32,
}

impl Row {
    /// An upsert of `id` at a position, which is its offset and its times, too.
    pub(crate) fn new(op: &'static str, id: &str, at: i64) -> Self {
        Self {
            id: id.to_owned(),
            op,
            recorded_at: at,
            ingested_at: at,
            position: Some(u64::try_from(at).unwrap()),
            offset: at,
            source: "s".to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn a(self, a: &str) -> Self {
        Self {
            a: Some(a.to_owned()),
            ..self
        }
    }

    fn month(&self) -> String {
        let time = chrono::DateTime::from_timestamp_micros(self.recorded_at).unwrap();
        time.format("%Y-%m").to_string()
    }

    pub(crate) fn seq(&self) -> Vec<u8> {
        let mut seq = 0_u32.to_be_bytes().to_vec();
        if let Some(position) = self.position {
            seq.extend(position.to_be_bytes());
        }
        seq.extend(u64::try_from(self.offset).unwrap().to_be_bytes());
        seq
    }
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
    let time = |of: fn(&Row) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC"))
    };
    let schema = table().lake_schema();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "id" => text(rows.iter().map(|row| (row.op != "t").then_some(row.id.as_str()))),
            "a" => text(rows.iter().map(|row| row.a.as_deref())),
            "b" => Arc::new(rows.iter().map(|row| row.b).collect::<Int32Array>()),
            "u" => text(rows.iter().map(|row| row.u.as_deref())),
            "authority" | "source_system" | "_cluster" | "_topic" => text(rows.iter().map(|_| Some("x"))),
            "_op" => text(rows.iter().map(|row| Some(row.op))),
            "_recorded_at" => time(|row| row.recorded_at),
            "_ingested_at" => time(|row| row.ingested_at),
            "_recorded_month" => Arc::new(StringArray::from_iter_values(rows.iter().map(Row::month))),
            "_seq" => Arc::new(BinaryArray::from_iter_values(rows.iter().map(Row::seq))),
            "_unset" => text(rows.iter().map(|row| row.unset.as_deref())),
            "_source" => text(rows.iter().map(|row| Some(row.source.as_str()))),
            "_snapshot" => text(rows.iter().map(|row| row.snapshot)),
            "_epoch" => Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 0))),
            "_partition" => Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.partition))),
            "_offset" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.offset))),
            other => panic!("no values for column {other}"),
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

pub(crate) fn partition(number: i32) -> PartitionId {
    format!("c/things/0/{number}").parse().unwrap()
}

/// A chunk of rows of one partition, in offset order.
pub(crate) fn chunk(number: i32, rows: &[Row]) -> Chunk {
    let from = rows.first().map_or(0, |row| row.offset);
    let to = rows.last().map_or(0, |row| row.offset + 1);
    Chunk {
        partition: partition(number),
        range: OffsetRange {
            from: Offset(from),
            to: Offset(to),
        },
        rows: batch(rows),
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    }
}

/// `id=a` of each row, sorted.
pub(crate) fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_any()
                .downcast_ref::<StringArray>()
                .unwrap()
                .clone()
        };
        let (id, a) = (text("id"), text("a"));
        for (id, a) in id.iter().zip(a.iter()) {
            rows.push(format!("{}={}", id.unwrap_or("null"), a.unwrap_or("null")));
        }
    }
    rows.sort();
    rows
}
