//! Changes -> messages as Debezium writes them in JSON: an envelope keyed by the row's key.
//!
//! Dates are days, moments are text in UTC, decimals are text: forms that say what they are without a schema block.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use casewatch_contract::{Contract, RecordedAt, Table, TableName};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::diff::Changes;
use super::manifest::Manifest;
use super::partition::partition_of;
use super::value::{Cells, days};
use crate::failure::Failure;

/// What `source.connector` says of these messages.
const CONNECTOR: &str = "casewatch-load";

/// One message; its topic is the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub table: TableName,
    pub partition: i32,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// How many partitions the topic of each table has.
pub type Partitions = BTreeMap<TableName, i32>;

/// The messages of a delivery: every change, and last the rows that record the delivery.
pub fn messages<'a>(
    delivery: &'a [Changes],
    record: &'a Record,
    manifest: &'a Manifest,
    partitions: &'a Partitions,
) -> impl Iterator<Item = Message> + 'a {
    let envelopes = move |table| Envelopes {
        table,
        manifest,
        partitions: partitions[&table.name],
    };
    let changes = delivery.iter().flat_map(move |changes| {
        let envelopes = envelopes(&changes.extract.table);
        match changes.first {
            true => Box::new(snapshot(changes, envelopes)) as Box<dyn Iterator<Item = Message> + 'a>,
            false => Box::new(upserts(changes, envelopes).chain(deletes(changes, envelopes))),
        }
    });
    let recorded = envelopes(&record.table);
    changes.chain((0..record.rows.num_rows()).map(move |row| recorded.upsert("c", &record.rows, row, "false")))
}

/// All rows, as a snapshot of every partition: from a row marked `first` to one marked `last`. The only row of a
/// partition is sent twice, once for each marker. What an attempt that was cut off may have sent beside them is deleted.
fn snapshot<'a>(changes: &'a Changes, envelopes: Envelopes<'a>) -> impl Iterator<Item = Message> + 'a {
    let rows = &changes.extract.rows;
    let partition = move |row: usize| partition_of(&bytes(&envelopes.key(rows, row)), envelopes.partitions);
    let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
    for row in 0..rows.num_rows() {
        first.entry(partition(row)).or_insert(row);
        last.insert(partition(row), row);
    }
    let first: Vec<usize> = first.into_values().collect();
    let last: Vec<usize> = last.into_values().collect();
    let messages = (0..rows.num_rows()).flat_map(move |row| {
        let markers: &[&str] = match (first.contains(&row), last.contains(&row)) {
            (true, true) => &["first", "last"],
            (true, false) => &["first"],
            (false, true) => &["last"],
            (false, false) => &["true"],
        };
        markers
            .iter()
            .map(move |marker| envelopes.upsert("r", rows, row, marker))
    });
    messages.chain(deletes(changes, envelopes))
}

fn upserts<'a>(changes: &'a Changes, envelopes: Envelopes<'a>) -> impl Iterator<Item = Message> + 'a {
    let rows = &changes.extract.rows;
    let created = changes
        .created
        .iter()
        .map(move |&row| envelopes.upsert("c", rows, row as usize, "false"));
    created.chain(
        changes
            .changed
            .iter()
            .map(move |&row| envelopes.upsert("u", rows, row as usize, "false")),
    )
}

fn deletes<'a>(changes: &'a Changes, envelopes: Envelopes<'a>) -> impl Iterator<Item = Message> + 'a {
    let keys = &changes.deleted.keys;
    (0..keys.num_rows()).map(move |row| envelopes.delete(keys, row))
}

/// Makes the messages of one table.
#[derive(Clone, Copy)]
struct Envelopes<'a> {
    table: &'a Table,
    manifest: &'a Manifest,
    partitions: i32,
}

impl Envelopes<'_> {
    fn key(&self, rows: &RecordBatch, row: usize) -> Value {
        object(
            self.table
                .key
                .iter()
                .map(|&place| (&*self.table.columns[place].name, rows.column(place))),
            row,
        )
    }

    fn upsert(&self, op: &str, rows: &RecordBatch, row: usize, snapshot: &str) -> Message {
        let columns = self.table.columns.iter().zip(rows.columns());
        let after = object(columns.map(|(column, values)| (&*column.name, values)), row);
        self.message(&self.key(rows, row), op, Value::Null, after, snapshot)
    }

    fn delete(&self, keys: &RecordBatch, row: usize) -> Message {
        let columns = self.table.key_columns().zip(keys.columns());
        let key = object(columns.map(|(column, values)| (&*column.name, values)), row);
        self.message(&key, "d", key.clone(), Value::Null, "false")
    }

    fn message(&self, key: &Value, op: &str, before: Value, after: Value, snapshot: &str) -> Message {
        let RecordedAt(micros) = self.manifest.as_at;
        let value = json!({
            "before": before,
            "after": after,
            "source": {
                "version": env!("CARGO_PKG_VERSION"),
                "connector": CONNECTOR,
                "name": self.manifest.source,
                "ts_ms": micros.div_euclid(1000),
                "ts_us": micros,
                "snapshot": snapshot,
                "db": self.manifest.feed,
                "table": self.table.name,
            },
            "op": op,
            "ts_ms": micros.div_euclid(1000),
        });
        let key = bytes(key);
        let partition = partition_of(&key, self.partitions);
        Message {
            table: self.table.name.clone(),
            partition,
            key,
            value: bytes(&value),
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON values have a JSON form")
}

fn object<'a>(columns: impl Iterator<Item = (&'a str, &'a ArrayRef)>, row: usize) -> Value {
    Value::Object(
        columns
            .map(|(name, values)| (name.to_owned(), value(values, row)))
            .collect::<Map<_, _>>(),
    )
}

fn value(values: &ArrayRef, row: usize) -> Value {
    if values.is_null(row) {
        return Value::Null;
    }
    match values.data_type() {
        DataType::Date32 => values.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            let moment =
                DateTime::from_timestamp_micros(micros).expect("moments are read between the years 1 and 9999");
            moment.to_rfc3339_opts(SecondsFormat::Micros, true).into()
        }
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().value_as_string(row).into(),
        DataType::Boolean => values.as_boolean().value(row).into(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).into(),
        _ => values.as_string::<i32>().value(row).into(),
    }
}

/// The rows that record a delivery: one a table.
#[derive(Debug)]
pub struct Record {
    table: Arc<Table>,
    rows: RecordBatch,
}

impl Record {
    /// What the table that records deliveries says of `delivery`. The columns it has beside its roles are filled from
    /// the manifest.
    ///
    /// # Errors
    /// No such table, or a column of it that must have a value and has none.
    pub fn new(delivery: &[Changes], manifest: &Manifest, contract: &Contract) -> Result<Self, Failure> {
        let found = contract
            .deliveries()
            .and_then(|table| Some((table, table.deliveries.as_ref()?)));
        let (table, roles) = found.ok_or_else(|| {
            Failure::usage("no schema has the attribute `deliveries`, so a delivery cannot be recorded\nhint: see schemas/README.md")
        })?;
        let count = delivery.len();
        let names = || delivery.iter().map(|changes| &changes.extract.table.name);
        let moments = |moment: RecordedAt| {
            Arc::new(TimestampMicrosecondArray::from_value(moment.0, count).with_timezone("UTC")) as ArrayRef
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            columns.push(match place {
                place if place == roles.feed => Arc::new(StringArray::from_iter_values((0..count).map(|_| &manifest.feed))),
                place if place == roles.table => Arc::new(StringArray::from_iter_values(names())),
                place if place == roles.as_at => moments(manifest.as_at),
                place if place == roles.expected_next_by => moments(manifest.expected_next_by),
                place if place == roles.rows => Arc::new(Int64Array::from_iter_values(
                    delivery.iter().map(|changes| changes.extract.rows.num_rows() as i64),
                )),
                place if place == roles.window_from => {
                    Arc::new(Date32Array::from_iter(names().map(|name| manifest.window(name).map(days))))
                }
                place if place == roles.complete => Arc::new(BooleanArray::from(vec![true; count])),
                _ => {
                    let mut cells = Cells::new(column);
                    let text = manifest.constants.get(&column.name);
                    if text.is_none() && !column.nullable {
                        return Err(Failure::usage(format!(
                            "{}: missing; the record of a delivery ({}) needs it\nhint: add it to the manifest, or with --set",
                            column.name, table.name
                        )));
                    }
                    for _ in 0..count {
                        match text {
                            Some(text) => cells.push(text).expect("the manifest's values were checked"),
                            None => cells.push_null(),
                        }
                    }
                    cells.finish()
                }
            });
        }
        let rows = RecordBatch::try_new(table.schema(), columns).expect("roles are of their types");
        Ok(Self {
            table: Arc::clone(table),
            rows,
        })
    }

    /// The table's name.
    pub fn table(&self) -> &TableName {
        &self.table.name
    }
}
