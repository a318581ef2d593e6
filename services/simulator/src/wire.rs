//! Events as bytes on Kafka: Debezium's envelope as JSON (with or without its schema block) or Avro, or flat rows.
//!
//! What is written is what Debezium 3 writes for PostgreSQL: `timestamptz` as text with a zone, `date` as days, decimals
//! as bytes (as digits where no schema block tells the scale), the full source block, and with the default replica
//! identity no image before an update and only the key before a delete, followed by a tombstone. Flat rows are
//! Debezium's unwrap with rewritten deletes: the row, `recorded_at`, and `__op`, `__deleted`, `__snapshot`, `__lsn`.
//!
//! Invariant: one encoder reuses its buffers; it never fails on an event of its own simulation.

use std::collections::BTreeMap;
use std::path::Path;

use crate::SimulatorError;
use crate::avro::{FlatSchema, envelope_schema, key_schema, put_bytes, put_envelope, put_key, put_long};
use crate::calendar::Time;
use crate::journal::{Event, Op};
use crate::json::{Decimals, connect_envelope, connect_key, frame, json_envelope, json_flat, json_key};
use crate::row::{Kind, Row, Table, Value};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WireFormat {
    /// Debezium's envelope as JSON.
    #[default]
    DebeziumJson,
    /// The same with Kafka Connect's schema block.
    DebeziumJsonSchema,
    /// Debezium's envelope as Avro in Confluent's framing.
    DebeziumAvro,
    /// The row alone as JSON.
    FlatJson,
    /// The row alone as Avro in Confluent's framing, by the schema file of the table.
    FlatAvro,
}

impl WireFormat {
    /// Does it need schema ids?
    pub fn is_avro(self) -> bool {
        matches!(self, Self::DebeziumAvro | Self::FlatAvro)
    }

    /// Does a message say which source it is from? Flat rows do not: all of a topic are of one.
    pub fn names_source(self) -> bool {
        !matches!(self, Self::FlatJson | Self::FlatAvro)
    }
}

/// What the database writes to its log of the row before a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The key, on deletes.
    #[default]
    Default,
    /// The whole row.
    Full,
}

/// One message, valid until the next is encoded.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic: prefix and table.
    pub topic: &'a str,
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value's bytes; a delete under Debezium has a tombstone after it.
    pub value: &'a [u8],
    /// Must a tombstone (same key, null value) follow?
    pub tombstone: bool,
    /// Commit time in milliseconds.
    pub timestamp_ms: i64,
}

/// Schema ids by subject.
pub type SchemaIds = BTreeMap<String, u32>;

struct TableWire {
    topic: String,
    /// JSON before and after the payload of value and key, where a schema block is written.
    value_frame: (Vec<u8>, Vec<u8>),
    key_frame: (Vec<u8>, Vec<u8>),
    value_id: u32,
    key_id: u32,
    flat: Option<FlatSchema>,
}

/// Turns events into messages.
pub struct Encoder {
    format: WireFormat,
    identity: ReplicaIdentity,
    tables: Vec<TableWire>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Encoder {
    /// The subjects this format needs in a registry, with their schemas.
    pub fn subjects(format: WireFormat, prefix: &str, schemas: &Path) -> Result<Vec<(String, String)>, SimulatorError> {
        let mut subjects = vec![];
        for table in Table::ALL.into_iter().filter(|_| format.is_avro()) {
            let topic = format!("{prefix}{}", table.name());
            let value = match format {
                WireFormat::FlatAvro => FlatSchema::read(table, schemas)?.text,
                _ => envelope_schema(table, &topic).to_string(),
            };
            subjects.push((format!("{topic}-key"), key_schema(table, &topic).to_string()));
            subjects.push((format!("{topic}-value"), value));
        }
        Ok(subjects)
    }

    /// An encoder to topics that are `prefix` and the table's name. Avro needs an id for each of [`Self::subjects`].
    pub fn new(
        format: WireFormat,
        identity: ReplicaIdentity,
        prefix: &str,
        schemas: &Path,
        ids: &SchemaIds,
    ) -> Result<Self, SimulatorError> {
        let mut tables = vec![];
        for table in Table::ALL {
            let topic = format!("{prefix}{}", table.name());
            let id = |subject: String| match (format.is_avro(), ids.get(&subject)) {
                (false, _) => Ok(0),
                (true, Some(id)) => Ok(*id),
                (true, None) => Err(SimulatorError::MissingSchemaId { subject }),
            };
            let framed = format == WireFormat::DebeziumJsonSchema;
            tables.push(TableWire {
                value_frame: if framed {
                    frame(&connect_envelope(table, &topic))
                } else {
                    Default::default()
                },
                key_frame: if framed {
                    frame(&connect_key(table, &topic))
                } else {
                    Default::default()
                },
                value_id: id(format!("{topic}-value"))?,
                key_id: id(format!("{topic}-key"))?,
                flat: if format == WireFormat::FlatAvro {
                    Some(FlatSchema::read(table, schemas)?)
                } else {
                    None
                },
                topic,
            });
        }
        Ok(Self {
            format,
            identity,
            tables,
            key: vec![],
            value: vec![],
        })
    }

    /// Encodes one event; `source` names the connector.
    pub fn encode(&mut self, event: &Event, source: &str) -> Message<'_> {
        let wire = &self.tables[event.table as usize];
        let (key, value) = (&mut self.key, &mut self.value);
        key.clear();
        value.clear();
        let row = event.row();
        match self.format {
            WireFormat::DebeziumJson | WireFormat::DebeziumJsonSchema => {
                let decimals = if self.format == WireFormat::DebeziumJson {
                    Decimals::Digits
                } else {
                    Decimals::Base64
                };
                key.extend_from_slice(&wire.key_frame.0);
                json_key(key, event.table, row);
                key.extend_from_slice(&wire.key_frame.1);
                value.extend_from_slice(&wire.value_frame.0);
                json_envelope(value, event, source, self.identity, decimals);
                value.extend_from_slice(&wire.value_frame.1);
            }
            WireFormat::FlatJson => {
                json_key(key, event.table, row);
                json_flat(value, event, row);
            }
            WireFormat::DebeziumAvro => {
                frame_avro(key, wire.key_id);
                put_key(key, event.table, row);
                frame_avro(value, wire.value_id);
                put_envelope(value, event, source, self.identity);
            }
            WireFormat::FlatAvro => {
                frame_avro(key, wire.key_id);
                put_key(key, event.table, row);
                frame_avro(value, wire.value_id);
                wire.flat
                    .as_ref()
                    .expect("a flat encoder has flat schemas")
                    .put(value, event, row);
            }
        }
        let debezium = !matches!(self.format, WireFormat::FlatJson | WireFormat::FlatAvro);
        Message {
            topic: &wire.topic,
            key,
            value,
            tombstone: debezium && event.op == Op::Delete,
            timestamp_ms: event.at.0.div_euclid(1000),
        }
    }

    /// Every topic.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|table| table.topic.as_str())
    }
}

fn frame_avro(out: &mut Vec<u8>, id: u32) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}

pub(crate) const VERSION: &str = "3.6.3.Final";
pub(crate) const DATABASE: &str = "casesystem";

/// The image before the change as the replica identity gives it; required columns come as their type's zero.
pub(crate) fn before_image(event: &Event, identity: ReplicaIdentity) -> Option<Row> {
    match (identity, event.op) {
        (ReplicaIdentity::Full, _) => event.before.clone(),
        (ReplicaIdentity::Default, Op::Delete) => event.before.as_ref().map(|row| {
            let part = |(column, value): (&crate::row::Column, &Value)| match (column.key, column.nullable, column.kind)
            {
                (true, _, _) => value.clone(),
                (false, true, _) => Value::Null,
                (false, false, Kind::Text) => Value::from(""),
                (false, false, Kind::Date) => Value::Date(crate::calendar::Day(0)),
                (false, false, Kind::Time) => Value::Time(Time(0)),
                (false, false, Kind::Decimal) => Value::Decimal(0),
                (false, false, Kind::Bool) => Value::Bool(false),
                (false, false, Kind::Int) => Value::Int(0),
            };
            event.table.columns().iter().zip(row.iter()).map(part).collect()
        }),
        (ReplicaIdentity::Default, _) => None,
    }
}

/// Debezium's ZonedTimestamp: `2018-01-31T17:00:00.123456Z`.
pub(crate) fn zoned(time: Time) -> String {
    let (seconds, micros) = (time.0.div_euclid(1_000_000), time.0.rem_euclid(1_000_000));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let date = crate::calendar::Day(day as i32).date();
    format!(
        "{date}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Big-endian two's complement in as few bytes as hold it.
pub(crate) fn unscaled(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let spare = |i: &usize| {
        let sign = if bytes[*i + 1] & 0x80 == 0 { 0 } else { 0xff };
        bytes[*i] == sign
    };
    let skip = (0..7).take_while(spare).count();
    bytes[skip..].to_vec()
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_decimal(out: &mut Vec<u8>, value: i64) {
    put_bytes(out, &unscaled(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_has_as_few_bytes_as_hold_its_sign() {
        assert_eq!(unscaled(600), [0x02, 0x58]);
        assert_eq!(unscaled(200), [0x00, 0xc8]);
        assert_eq!(unscaled(-1), [0xff]);
    }

    #[test]
    fn a_zoned_timestamp_has_all_its_microseconds() {
        assert_eq!(zoned(Time(1_517_443_199_999_999)), "2018-01-31T23:59:59.999999Z");
    }
}
