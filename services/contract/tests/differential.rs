//! A second opinion on the decoder: messages of random writers, read by arrow-avro and our conversions on one side and
//! by apache-avro and the few lines below on the other, must agree in every value.
//!
//! Random are: the writer's types (every way we know in which a source writes a date, a moment, a decimal, a flag, a
//! text), the order of fields, missing optional and unknown additional ones, null first or second, envelope or flat
//! row, the operations, the mix of writers in a batch. Choices are drawn from a tape of numbers, so that proptest
//! shrinks a failure to a short tape.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use casewatch_contract::{Chunk, Column, Decoder, HmacKeys, Order, Privacy, Table, TopicSpec};
use chrono::{DateTime, Datelike, NaiveDate};
use common::*;
use proptest::prelude::*;
use serde_json::json;

/// Random choices, simplest first: beyond its end the tape says zero.
struct Tape {
    choices: Vec<u32>,
    at: usize,
}

impl Tape {
    fn new(choices: Vec<u32>) -> Self {
        Self { choices, at: 0 }
    }

    fn pick(&mut self, below: usize) -> usize {
        let choice = self.choices.get(self.at).copied().unwrap_or(0) as usize;
        self.at += 1;
        choice % below
    }

    fn range(&mut self, low: i64, high: i64) -> i64 {
        let wide = (self.pick(1 << 31) << 31) | self.pick(1 << 31);
        low + i64::try_from(wide as u64 % u64::try_from(high - low).unwrap()).unwrap()
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }
}

/// How a writer writes a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum As {
    Text,
    Symbol,
    Int,
    Long,
    LogicalDate,
    ConnectDate,
    LogicalMillis,
    LogicalMicros,
    ConnectMillis,
    ConnectMicros,
    ConnectNanos,
    IsoDate,
    IsoMoment,
    Bytes { scale: i32 },
    Fixed { scale: i32 },
    Double,
    DecimalText,
    Boolean,
    BooleanInt,
}

impl As {
    /// The ways in which a column of this type may be written.
    fn of(column: &Column) -> Vec<As> {
        match &column.data_type {
            DataType::Utf8 if column.symbols.is_some() => vec![As::Text, As::Symbol],
            DataType::Utf8 => vec![As::Text, As::Int, As::Long, As::Bytes { scale: 0 }],
            DataType::Date32 => vec![
                As::LogicalDate,
                As::ConnectDate,
                As::IsoDate,
                As::LogicalMillis,
                As::ConnectMicros,
                As::ConnectNanos,
            ],
            DataType::Timestamp(_, _) => vec![
                As::LogicalMicros,
                As::LogicalMillis,
                As::ConnectMillis,
                As::ConnectMicros,
                As::ConnectNanos,
                As::IsoMoment,
            ],
            DataType::Decimal128(_, _) => vec![
                As::Bytes { scale: 3 },
                As::Bytes { scale: 2 },
                As::Bytes { scale: 6 },
                As::Fixed { scale: 3 },
                As::Double,
                As::DecimalText,
                As::Int,
            ],
            DataType::Boolean => vec![As::Boolean, As::BooleanInt],
            DataType::Int32 | DataType::Int64 => vec![As::Int, As::Long, As::Bytes { scale: 0 }],
            other => panic!("the contract has no {other}"),
        }
    }

    fn schema(self, name: &str, column: &Column) -> serde_json::Value {
        let connect = |base: &str, name: &str| json!({"type": base, "connect.version": 1, "connect.name": name});
        match self {
            As::Text | As::DecimalText => json!("string"),
            As::Symbol => json!({"type": "enum", "name": format!("{name}_list"), "symbols": column.symbols}),
            As::Int | As::BooleanInt => json!("int"),
            As::Long => json!("long"),
            As::LogicalDate => json!({"type": "int", "logicalType": "date"}),
            As::ConnectDate => connect("int", "io.debezium.time.Date"),
            As::LogicalMillis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            As::LogicalMicros => json!({"type": "long", "logicalType": "timestamp-micros"}),
            As::ConnectMillis => connect("long", "io.debezium.time.Timestamp"),
            As::ConnectMicros => connect("long", "io.debezium.time.MicroTimestamp"),
            As::ConnectNanos => connect("long", "io.debezium.time.NanoTimestamp"),
            As::IsoDate => connect("string", "io.debezium.time.IsoDate"),
            As::IsoMoment => connect("string", "io.debezium.time.ZonedTimestamp"),
            As::Bytes { scale } => json!({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": scale}),
            As::Fixed { scale } => json!({"type": "fixed", "name": format!("{name}_fixed"), "size": 6,
                "logicalType": "decimal", "precision": 13, "scale": scale}),
            As::Double => json!("double"),
            As::Boolean => json!("boolean"),
        }
    }

    fn value(self, column: &Column, tape: &mut Tape) -> Value {
        // Days and moments from 1975 to 2060: a bare millisecond count is told from microseconds by its size.
        let day = |tape: &mut Tape| tape.range(2_000, 33_000);
        let micros = |tape: &mut Tape| tape.range(157_766_400_000_000, 2_840_140_800_000_000);
        let decimal = |number: i64| Value::Decimal(Decimal::from(number.to_be_bytes()));
        let is_date = column.data_type == DataType::Date32;
        match self {
            As::Text => match &column.symbols {
                Some(symbols) => Value::String(symbols[tape.pick(symbols.len())].clone()),
                None => Value::String(["", "a", "b2", "Zoë ☂", "x\"y", "0042"][tape.pick(6)].to_owned()),
            },
            As::Symbol => {
                let symbols = column.symbols.as_ref().unwrap();
                let symbol = tape.pick(symbols.len());
                Value::Enum(u32::try_from(symbol).unwrap(), symbols[symbol].clone())
            }
            As::Int => Value::Int(i32::try_from(tape.range(-900_000, 900_000)).unwrap()),
            As::Long if column.data_type == DataType::Int32 => Value::Long(tape.range(-2_000_000_000, 2_000_000_000)),
            As::Long => Value::Long(tape.range(i64::MIN / 4, i64::MAX / 4)),
            As::LogicalDate => Value::Date(i32::try_from(day(tape)).unwrap()),
            As::ConnectDate => Value::Int(i32::try_from(day(tape)).unwrap()),
            As::LogicalMillis => Value::TimestampMillis(micros(tape) / 1000),
            As::LogicalMicros => Value::TimestampMicros(micros(tape)),
            As::ConnectMillis => Value::Long(micros(tape) / 1000),
            As::ConnectMicros => Value::Long(micros(tape)),
            As::ConnectNanos => Value::Long(micros(tape) * 1000 + tape.range(0, 1000)),
            As::IsoDate => Value::String(to_date(day(tape)).to_string()),
            As::IsoMoment => {
                let micros = micros(tape);
                let moment = DateTime::from_timestamp_micros(micros).unwrap();
                Value::String(match tape.pick(3) {
                    0 => moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
                    1 => moment
                        .with_timezone(&chrono::FixedOffset::east_opt(3600).unwrap())
                        .to_rfc3339(),
                    _ => moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
                })
            }
            As::Bytes { scale: 0 } => decimal(tape.range(-2_000_000_000, 2_000_000_000)),
            As::Bytes { .. } | As::Fixed { .. } => decimal(tape.range(-99_999_999, 99_999_999)),
            As::Double => Value::Double(tape.range(-999_999, 999_999) as f64 / 1000.0),
            As::DecimalText => Value::String(["0", "-0.5", "12.3456", "1e2", "0.0005", "37"][tape.pick(6)].to_owned()),
            As::Boolean => Value::Boolean(tape.pick(2) == 1),
            As::BooleanInt => Value::Int(i32::try_from(tape.pick(2)).unwrap()),
        }
        .checked(is_date)
    }

    /// What a value means, in words that can be compared: an independent reading of what apache-avro decoded.
    fn meaning(self, column: &Column, value: &Value) -> String {
        let number = match value {
            Value::Int(n) | Value::Date(n) => i128::from(*n),
            Value::Long(n) | Value::TimestampMillis(n) | Value::TimestampMicros(n) => i128::from(*n),
            Value::Decimal(decimal) => big_endian(&Vec::<u8>::try_from(decimal).unwrap()),
            _ => 0,
        };
        let micros = || match self {
            As::LogicalMillis | As::ConnectMillis => number * 1000,
            As::ConnectNanos => number.div_euclid(1000),
            _ => number,
        };
        match (&column.data_type, value) {
            (DataType::Utf8, Value::String(text) | Value::Enum(_, text)) => text.clone(),
            (DataType::Utf8, _) => number.to_string(),
            (DataType::Date32, Value::String(text)) => text.clone(),
            (DataType::Date32, _) => match self {
                As::LogicalDate | As::ConnectDate => to_date(i64::try_from(number).unwrap()).to_string(),
                _ => to_date(i64::try_from(micros().div_euclid(86_400_000_000)).unwrap()).to_string(),
            },
            (DataType::Timestamp(_, _), Value::String(text)) => {
                let text = text.replacen(' ', "T", 1);
                let zoned = if text.ends_with('Z') || text[11..].contains('+') {
                    text
                } else {
                    format!("{text}Z")
                };
                DateTime::parse_from_rfc3339(&zoned)
                    .unwrap()
                    .timestamp_micros()
                    .to_string()
            }
            (DataType::Timestamp(_, _), _) => micros().to_string(),
            (DataType::Decimal128(_, _), Value::String(text)) => {
                let thousandths: BTreeMap<&str, i128> = [
                    ("0", 0),
                    ("-0.5", -500),
                    ("12.3456", 12_346),
                    ("1e2", 100_000),
                    ("0.0005", 1),
                    ("37", 37_000),
                ]
                .into();
                thousandths[text.as_str()].to_string()
            }
            (DataType::Decimal128(_, _), Value::Double(double)) => ((double * 1000.0).round() as i128).to_string(),
            (DataType::Decimal128(_, _), _) => match self {
                As::Bytes { scale: 6 } => (number.signum() * ((number.abs() + 500) / 1000)).to_string(),
                As::Bytes { scale: 2 } => (number * 10).to_string(),
                As::Int => (number * 1000).to_string(),
                _ => number.to_string(),
            },
            (DataType::Boolean, Value::Boolean(flag)) => flag.to_string(),
            (DataType::Boolean, _) => (number == 1).to_string(),
            _ => number.to_string(),
        }
    }
}

trait Checked {
    fn checked(self, is_date: bool) -> Self;
}

impl Checked for Value {
    /// Dates written as moments keep to whole days, so that both sides agree on what a day is.
    fn checked(self, is_date: bool) -> Self {
        match self {
            Value::TimestampMillis(n) if is_date => Value::TimestampMillis(n / 86_400_000 * 86_400_000),
            value => value,
        }
    }
}

fn to_date(days: i64) -> NaiveDate {
    NaiveDate::default() + chrono::TimeDelta::days(days)
}

fn big_endian(bytes: &[u8]) -> i128 {
    let first = if bytes.first().is_some_and(|byte| *byte >= 0x80) {
        -1
    } else {
        0
    };
    bytes
        .iter()
        .fold(first, |number: i128, byte| (number << 8) | i128::from(*byte))
}

/// A writer: a schema, and how each column it sends is written.
#[derive(Debug)]
struct Writer {
    envelope: bool,
    schema: serde_json::Value,
    parsed: Schema,
    /// In the writer's order: the column and how it is written, or a field that casewatch does not know.
    fields: Vec<Option<(Column, As, Nulls)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Nulls {
    Never,
    First,
    Second,
}

impl Writer {
    fn random(table: &Table, tape: &mut Tape) -> Self {
        let envelope = tape.pick(2) == 0;
        let key: Vec<&str> = table.key_columns().map(|column| column.name.as_str()).collect();
        let mut columns = Vec::new();
        for column in &table.columns {
            if column.nullable && tape.one_in(6) {
                continue;
            }
            let ways = As::of(column);
            let nulls = match tape.pick(4) {
                _ if key.contains(&column.name.as_str()) => Nulls::Never,
                1 => Nulls::First,
                2 => Nulls::Second,
                _ if column.nullable => Nulls::First,
                _ => Nulls::Never,
            };
            columns.push(Some((column.clone(), ways[tape.pick(ways.len())], nulls)));
        }
        for _ in 0..tape.pick(3) {
            columns.insert(tape.pick(columns.len() + 1), None);
        }
        let turn = tape.pick(columns.len());
        columns.rotate_left(turn);

        let mut fields: Vec<serde_json::Value> = columns
            .iter()
            .enumerate()
            .map(|(at, field)| match field {
                None => unknown_field(at),
                Some((column, way, nulls)) => {
                    let written = way.schema(&column.name, column);
                    let written = match nulls {
                        Nulls::Never => written,
                        Nulls::First => json!(["null", written]),
                        Nulls::Second => json!([written, "null"]),
                    };
                    json!({"name": column.name, "type": written})
                }
            })
            .collect();
        let schema = if envelope {
            let row = json!({"type": "record", "name": "Value", "fields": fields});
            json!({"type": "record", "name": "Envelope", "namespace": "db.table", "fields": [
                {"name": "before", "type": ["null", row], "default": null},
                {"name": "after", "type": ["null", "Value"], "default": null},
                {"name": "source", "type": {"type": "record", "name": "Source", "namespace": "io.debezium", "fields": [
                    {"name": "version", "type": "string"},
                    {"name": "ts_ms", "type": "long"},
                    {"name": "snapshot", "type": ["string", "null"], "default": "false"},
                    {"name": "ts_us", "type": ["null", "long"], "default": null},
                    {"name": "lsn", "type": ["null", "long"], "default": null}]}},
                {"name": "op", "type": "string"},
                {"name": "ts_ms", "type": ["null", "long"], "default": null}]})
        } else {
            fields.push(json!({"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}}));
            json!({"type": "record", "name": "Row", "namespace": "flat", "fields": fields})
        };
        let parsed = Schema::parse_str(&schema.to_string()).unwrap();
        Self {
            envelope,
            schema,
            parsed,
            fields: columns,
        }
    }

    /// A random row; `key_only` leaves what Debezium leaves in the image before a delete.
    fn row(&self, tape: &mut Tape) -> Vec<(String, Value)> {
        let mut row = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            row.push(match field {
                None => (format!("unknown_{at}"), unknown_value(at)),
                Some((column, way, nulls)) => {
                    let is_null = column.nullable && tape.one_in(4);
                    let value = match (nulls, is_null) {
                        (Nulls::Never, _) => way.value(column, tape),
                        (Nulls::First, true) => Value::Union(0, Box::new(Value::Null)),
                        (Nulls::Second, true) => Value::Union(1, Box::new(Value::Null)),
                        (Nulls::First, false) => Value::Union(1, Box::new(way.value(column, tape))),
                        (Nulls::Second, false) => Value::Union(0, Box::new(way.value(column, tape))),
                    };
                    (column.name.clone(), value)
                }
            });
        }
        row
    }

    fn message(&self, tape: &mut Tape) -> Vec<u8> {
        let mut row = self.row(tape);
        let time = tape.range(1_500_000_000_000_000, 1_795_000_000_000_000);
        let value = if self.envelope {
            let some = |value| Value::Union(1, Box::new(value));
            let none = Value::Union(0, Box::new(Value::Null));
            let op = ["c", "u", "r", "d"][tape.pick(4)];
            let image = some(Value::Record(row));
            let (before, after) = if op == "d" {
                (image, none.clone())
            } else {
                (none.clone(), image)
            };
            let ts_us = if tape.pick(2) == 0 {
                some(Value::Long(time))
            } else {
                none.clone()
            };
            Value::Record(vec![
                ("before".into(), before),
                ("after".into(), after),
                (
                    "source".into(),
                    Value::Record(vec![
                        ("version".into(), Value::String("3".into())),
                        ("ts_ms".into(), Value::Long(time / 1000)),
                        (
                            "snapshot".into(),
                            Value::Union(0, Box::new(Value::String("false".into()))),
                        ),
                        ("ts_us".into(), ts_us),
                        ("lsn".into(), some(Value::Long(tape.range(0, i64::MAX / 2)))),
                    ]),
                ),
                ("op".into(), Value::String(op.into())),
                ("ts_ms".into(), none),
            ])
        } else {
            row.push(("recorded_at".into(), Value::TimestampMicros(time)));
            Value::Record(row)
        };
        apache_avro::to_avro_datum(&self.parsed, value).unwrap()
    }

    /// The row that a message's bytes hold, as apache-avro reads them: `_op`, `_recorded_at` and each column.
    fn reference(&self, table: &Table, mut body: &[u8]) -> BTreeMap<String, Option<String>> {
        let Value::Record(message) = apache_avro::from_avro_datum(&self.parsed, &mut body, None).unwrap() else {
            panic!("a message is a record");
        };
        let message: BTreeMap<String, Value> = message.into_iter().collect();
        let (op, time, row) = if self.envelope {
            let Value::String(op) = &message["op"] else {
                panic!("op is text")
            };
            let image = if op == "d" { "before" } else { "after" };
            let Value::Record(row) = unwrapped(&message[image]).unwrap() else {
                panic!("an image is a record")
            };
            let Value::Record(source) = &message["source"] else {
                panic!("source is a record")
            };
            let source: BTreeMap<&str, &Value> = source.iter().map(|(name, value)| (name.as_str(), value)).collect();
            let time = match (unwrapped(source["ts_us"]), source["ts_ms"]) {
                (Some(Value::Long(micros)), _) => *micros,
                (_, Value::Long(millis)) => millis * 1000,
                _ => panic!("times are longs"),
            };
            (op.clone(), time, row.iter().cloned().collect::<BTreeMap<_, _>>())
        } else {
            let Value::TimestampMicros(time) = message["recorded_at"] else {
                panic!("recorded_at is a moment")
            };
            ("u".to_owned(), time, message)
        };
        let keys = HmacKeys::demo();
        let mut expected = BTreeMap::new();
        for (position, column) in table.columns.iter().enumerate() {
            let sent = self
                .fields
                .iter()
                .flatten()
                .find(|(sent, _, _)| sent.name == column.name);
            let value = sent.and_then(|(_, way, _)| Some((way, unwrapped(&row[&column.name])?)));
            let is_shown = op != "d" || table.key.contains(&position);
            let meaning = value
                .filter(|_| is_shown)
                .map(|(way, value)| way.meaning(column, value));
            let private = meaning.map(|meaning| match &column.privacy {
                Privacy::Hmac(domain) => keys.apply(domain, &meaning),
                Privacy::Month => NaiveDate::parse_from_str(&meaning, "%Y-%m-%d")
                    .unwrap()
                    .with_day(1)
                    .unwrap()
                    .to_string(),
                Privacy::Keep | Privacy::Drop => meaning,
            });
            expected.insert(column.name.clone(), private);
        }
        expected.insert("_op".into(), Some(op));
        expected.insert("_recorded_at".into(), Some(time.to_string()));
        expected
    }
}

/// Fields of every kind that must be skipped.
fn unknown_field(at: usize) -> serde_json::Value {
    let kind = match at % 5 {
        0 => json!({"type": "array", "items": ["null", "string"]}),
        1 => json!({"type": "map", "values": "long"}),
        2 => json!({"type": "record", "name": format!("Extra{at}"), "fields": [{"name": "case_id", "type": "double"}]}),
        3 => json!(["null", "string", "long", {"type": "fixed", "name": format!("Fix{at}"), "size": 3}]),
        _ => json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
    };
    json!({"name": format!("unknown_{at}"), "type": kind})
}

fn unknown_value(at: usize) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    match at % 5 {
        0 => Value::Array(vec![
            Value::Union(1, Box::new(text("x"))),
            Value::Union(0, Box::new(Value::Null)),
        ]),
        1 => Value::Map([("k".to_owned(), Value::Long(-5))].into()),
        2 => Value::Record(vec![("case_id".to_owned(), Value::Double(0.5))]),
        3 => Value::Union(3, Box::new(Value::Fixed(3, vec![1, 2, 3]))),
        _ => Value::Decimal(Decimal::from([1, 2])),
    }
}

fn unwrapped(value: &Value) -> Option<&Value> {
    match value {
        Value::Union(_, inner) => unwrapped(inner),
        Value::Null => None,
        value => Some(value),
    }
}

/// What we decoded, in the same words as the reference.
fn decoded(rows: &RecordBatch, row: usize) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        if field.name().starts_with('_') && !["_op", "_recorded_at"].contains(&field.name().as_str()) {
            continue;
        }
        let value = array.is_valid(row).then(|| match field.data_type() {
            DataType::Date32 => to_date(i64::from(array.as_primitive::<Date32Type>().value(row))).to_string(),
            DataType::Timestamp(_, _) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
            DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().value(row).to_string(),
            DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
            DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
            _ => array_value_to_string(array, row).unwrap(),
        });
        found.insert(field.name().clone(), value);
    }
    found
}

/// A table, its writers, and messages of a random mix of them.
struct Batch {
    table: Arc<Table>,
    writers: Vec<Writer>,
    /// Writer and body of each message.
    messages: Vec<(usize, Vec<u8>)>,
}

impl Batch {
    fn random(tape: &mut Tape) -> Self {
        let table = shipped(["cases", "contracts", "plans", "children", "feeds", "posts"][tape.pick(6)]);
        let writers: Vec<Writer> = (0..1 + tape.pick(3)).map(|_| Writer::random(&table, tape)).collect();
        let messages = (0..1 + tape.pick(24)).map(|_| {
            let writer = tape.pick(writers.len());
            (writer, writers[writer].message(tape))
        });
        Self {
            messages: messages.collect(),
            table,
            writers,
        }
    }

    fn decoder(&self) -> Decoder {
        let schemas: Vec<(u32, String)> = (10..)
            .zip(&self.writers)
            .map(|(id, writer)| (id, writer.schema.to_string()))
            .collect();
        decoder(&self.table, TopicSpec::new("t", Order::Offset), &schemas)
    }

    fn framed(&self) -> Vec<Vec<u8>> {
        self.messages
            .iter()
            .map(|(writer, body)| framed(10 + u32::try_from(*writer).unwrap(), body))
            .collect()
    }

    fn decode(&self, decoder: &mut Decoder, messages: &[Vec<u8>]) -> Chunk {
        decode(
            decoder,
            &messages
                .iter()
                .map(|message| Some(message.as_slice()))
                .collect::<Vec<_>>(),
        )
    }

    /// Every good message's row, against the reference.
    fn check(&self, chunk: &Chunk, is_good: impl Fn(usize) -> bool) -> Result<(), TestCaseError> {
        let offsets = offsets(chunk);
        let mut rows = 0;
        for (at, (writer, body)) in self.messages.iter().enumerate().filter(|(at, _)| is_good(*at)) {
            let row = offsets.iter().position(|offset| *offset == i64::try_from(at).unwrap());
            prop_assert!(row.is_some(), "message {at}: {:?}", dead_letters(chunk));
            let writer = &self.writers[*writer];
            let expected = writer.reference(&self.table, body);
            prop_assert_eq!(
                decoded(&chunk.rows, row.unwrap()),
                expected,
                "message {} of {:?}",
                at,
                writer.fields
            );
            rows += 1;
        }
        prop_assert!(offsets.len() >= rows);
        Ok(())
    }
}

fn tapes() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), 0..3000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_is_what_apache_avro_reads(choices in tapes()) {
        let mut tape = Tape::new(choices);
        let batch = Batch::random(&mut tape);
        let mut decoder = batch.decoder();
        let messages = batch.framed();
        // Twice: the second batch meets decoders that have been used.
        for _ in 0..2 {
            let chunk = batch.decode(&mut decoder, &messages);
            prop_assert_eq!(dead_letters(&chunk), Vec::<String>::new());
            batch.check(&chunk, |_| true)?;
        }
    }

    #[test]
    fn exactly_the_broken_messages_are_dead_letters(choices in tapes()) {
        let mut tape = Tape::new(choices);
        let batch = Batch::random(&mut tape);
        let mut messages = batch.framed();
        let mut expected = BTreeMap::new();
        for (at, message) in messages.iter_mut().enumerate() {
            match tape.pick(5) {
                1 => {
                    message.truncate(tape.pick(message.len()));
                    expected.insert(at, "truncated");
                }
                2 => {
                    message.extend_from_slice(&[0, 0, 0, 0, 10, 2, 3][..1 + tape.pick(7)]);
                    expected.insert(at, "malformed");
                }
                3 => {
                    message[1..5].copy_from_slice(&[0, 0, 7, 7]);
                    expected.insert(at, "unknown_schema");
                }
                _ => {}
            }
        }
        let mut decoder = batch.decoder();
        let chunk = batch.decode(&mut decoder, &messages);
        let dead: BTreeMap<usize, &str> = chunk
            .dead_letters
            .iter()
            .map(|letter| (usize::try_from(letter.offset.0).unwrap(), letter.reason.as_str()))
            .collect();
        prop_assert_eq!(&dead, &expected);
        batch.check(&chunk, |at| !expected.contains_key(&at))?;
    }

    #[test]
    fn no_bytes_make_it_panic_or_harm_their_neighbours(choices in tapes(), noise in proptest::collection::vec(any::<u8>(), 1..400)) {
        let mut tape = Tape::new(choices);
        let batch = Batch::random(&mut tape);
        let mut messages = batch.framed();
        let mut harmed = Vec::new();
        for (at, message) in messages.iter_mut().enumerate() {
            match tape.pick(4) {
                1 => {
                    let byte = 5 + tape.pick(message.len() - 5);
                    message[byte] ^= 1 << tape.pick(8);
                    harmed.push(at);
                }
                2 => {
                    message.truncate(5);
                    message.extend_from_slice(&noise);
                    harmed.push(at);
                }
                3 => {
                    *message = noise.clone();
                    harmed.push(at);
                }
                _ => {}
            }
        }
        let mut decoder = batch.decoder();
        let chunk = batch.decode(&mut decoder, &messages);
        batch.check(&chunk, |at| !harmed.contains(&at))?;
    }
}
