//! What is written, read back by general readers and held against the schema files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apache_avro::types::Value as AvroValue;
use apache_avro::{Decimal, Schema, from_avro_datum};
use serde_json::Value as Json;

use crate::calendar::Day;
use crate::journal::{Event, Op};
use crate::profile::Profile;
use crate::row::{Kind, Table, Value};
use crate::simulation::Simulation;
use crate::wire::{Encoder, ReplicaIdentity, SchemaIds, WireFormat, unscaled};

const PREFIX: &str = "casewatch.public.";

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn some_events() -> Vec<Event> {
    let mut simulation = Simulation::new(Profile::steady(0, 0.05), 11);
    let events = simulation.run_until(Day::of(2018, 4, 1));
    assert!(events.iter().any(|event| event.op == Op::Delete));
    events
}

fn encoder(format: WireFormat, identity: ReplicaIdentity) -> (Encoder, BTreeMap<String, Schema>) {
    let subjects = Encoder::subjects(format, PREFIX, &schemas()).expect("the schema files are there");
    let ids: SchemaIds = subjects
        .iter()
        .enumerate()
        .map(|(i, (subject, _))| (subject.clone(), i as u32 + 300))
        .collect();
    let parsed = subjects
        .into_iter()
        .map(|(subject, text)| (subject, Schema::parse_str(&text).expect("a valid schema")))
        .collect();
    (
        Encoder::new(format, identity, PREFIX, &schemas(), &ids).expect("every subject has an id"),
        parsed,
    )
}

#[test]
fn columns_are_those_of_the_schema_files() {
    for table in Table::ALL {
        let text = std::fs::read_to_string(schemas().join(format!("{}.avsc", table.name()))).expect("a schema a table");
        let schema: Json = serde_json::from_str(&text).expect("JSON");
        let described: Vec<(String, bool)> = schema["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .filter(|field| field["name"] != "recorded_at")
            .map(|field| {
                (
                    field["name"].as_str().expect("a name").to_owned(),
                    field["type"].is_array(),
                )
            })
            .collect();
        let ours: Vec<(String, bool)> = table
            .columns()
            .iter()
            .map(|c| (c.name.to_owned(), c.nullable))
            .collect();
        assert_eq!(ours, described, "{}", table.name());
        let keys: Vec<&str> = schema["key"]
            .as_array()
            .expect("a key")
            .iter()
            .filter_map(Json::as_str)
            .collect();
        let our_keys: Vec<&str> = table.columns().iter().filter(|c| c.key).map(|c| c.name).collect();
        assert_eq!(our_keys, keys, "{}", table.name());
    }
}

#[test]
fn debezium_json_says_what_happened() {
    let (mut encoder, _) = encoder(WireFormat::DebeziumJson, ReplicaIdentity::Default);
    for event in some_events() {
        let message = encoder.encode(&event, "casewatch");
        let value: Json = serde_json::from_slice(message.value).expect("JSON");
        let key: Json = serde_json::from_slice(message.key).expect("JSON");
        assert_eq!(message.topic, format!("{PREFIX}{}", event.table.name()));
        assert_eq!(value["op"], event.op.letter());
        assert_eq!(value["source"]["snapshot"], event.snapshot.marker());
        assert_eq!(value["source"]["ts_us"], event.at.0);
        assert_eq!(value["source"]["ts_ms"], event.at.0.div_euclid(1000));
        let lsn = value["source"]["lsn"].as_u64().expect("a position");
        assert_eq!(lsn, event.lsn);
        assert_eq!(message.tombstone, event.op == Op::Delete);
        let image = if event.op == Op::Delete {
            &value["before"]
        } else {
            &value["after"]
        };
        for column in event.table.columns().iter().filter(|column| column.key) {
            assert_eq!(key[column.name], image[column.name]);
        }
        match &event.after {
            Some(row) => {
                for (column, expected) in event.table.columns().iter().zip(row.iter()) {
                    assert_eq!(
                        value["after"][column.name],
                        plain_json(expected),
                        "{}.{}",
                        event.table.name(),
                        column.name
                    );
                }
                assert!(value["before"].is_null());
            }
            None => assert!(value["after"].is_null()),
        }
    }
}

fn plain_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => Json::from(text.as_ref()),
        Value::Date(day) => Json::from(day.0),
        Value::Time(time) => {
            let utc = chrono::DateTime::from_timestamp_micros(time.0).expect("in range");
            Json::from(utc.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
        }
        Value::Decimal(value) => Json::from(format!("{:.3}", *value as f64 / 1000.0)),
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
    }
}

#[test]
fn the_schema_block_describes_every_column() {
    let (mut encoder, _) = encoder(WireFormat::DebeziumJsonSchema, ReplicaIdentity::Full);
    for event in some_events().into_iter().step_by(97) {
        let message = encoder.encode(&event, "casewatch");
        let value: Json = serde_json::from_slice(message.value).expect("JSON");
        let block = value["schema"]["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .find(|f| f["field"] == "after")
            .expect("after");
        let named: Vec<&str> = block["fields"]
            .as_array()
            .expect("columns")
            .iter()
            .filter_map(|f| f["field"].as_str())
            .collect();
        let columns: Vec<&str> = event.table.columns().iter().map(|c| c.name).collect();
        assert_eq!(named, columns);
        assert_eq!(value["payload"]["op"], event.op.letter());
        assert_eq!(
            value["payload"]["before"].is_object(),
            event.before.is_some(),
            "a full identity has both images"
        );
    }
}

fn datum(schemas: &BTreeMap<String, Schema>, subject: &str, bytes: &[u8]) -> AvroValue {
    assert_eq!(bytes[0], 0, "Confluent's magic byte");
    let position = schemas.keys().len();
    let id = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
    assert!(id >= 300 && id < 300 + position as u32);
    let mut rest = &bytes[5..];
    let value =
        from_avro_datum(&schemas[subject], &mut rest, None).unwrap_or_else(|error| panic!("{subject}: {error}"));
    assert!(rest.is_empty(), "nothing is left over");
    value
}

fn field<'a>(record: &'a AvroValue, name: &str) -> &'a AvroValue {
    let AvroValue::Record(fields) = record else {
        panic!("{name} of something that is no record")
    };
    let value = &fields.iter().find(|(field, _)| field == name).expect("the field").1;
    if let AvroValue::Union(_, inner) = value {
        inner
    } else {
        value
    }
}

#[test]
fn debezium_avro_reads_back_value_for_value() {
    let (mut encoder, schemas) = encoder(WireFormat::DebeziumAvro, ReplicaIdentity::Full);
    for event in some_events().into_iter().step_by(7) {
        let message = encoder.encode(&event, "casewatch");
        let value = datum(&schemas, &format!("{}-value", message.topic), message.value);
        let key = datum(&schemas, &format!("{}-key", message.topic), message.key);
        assert_eq!(field(&value, "op"), &AvroValue::String(event.op.letter().to_owned()));
        assert_eq!(
            field(field(&value, "source"), "lsn"),
            &AvroValue::Long(event.lsn as i64)
        );
        assert_eq!(field(field(&value, "source"), "ts_us"), &AvroValue::Long(event.at.0));
        for (image, row) in [("before", &event.before), ("after", &event.after)] {
            let Some(row) = row else {
                assert_eq!(field(&value, image), &AvroValue::Null);
                continue;
            };
            for (column, expected) in event.table.columns().iter().zip(row.iter()) {
                let expected = match expected {
                    Value::Time(time) => Value::from(crate::wire::zoned(*time)),
                    other => other.clone(),
                };
                assert_eq!(
                    field(field(&value, image), column.name),
                    &as_avro(&expected, &[]),
                    "{}",
                    column.name
                );
                if column.key && (event.op == Op::Delete) == (image == "before") {
                    assert_eq!(field(&key, column.name), &as_avro(&expected, &[]));
                }
            }
        }
    }
}

/// A value as apache-avro reads it.
fn as_avro(value: &Value, symbols: &[String]) -> AvroValue {
    match value {
        Value::Null => AvroValue::Null,
        Value::Text(text) => match symbols.iter().position(|symbol| symbol == text) {
            Some(position) => AvroValue::Enum(position as u32, text.to_string()),
            None => AvroValue::String(text.to_string()),
        },
        Value::Date(day) => AvroValue::Int(day.0),
        Value::Time(time) => AvroValue::TimestampMicros(time.0),
        Value::Decimal(value) => AvroValue::Decimal(Decimal::from(unscaled(*value))),
        Value::Bool(value) => AvroValue::Boolean(*value),
        Value::Int(value) => AvroValue::Long(*value),
    }
}

#[test]
fn flat_avro_reads_back_value_for_value() {
    let (mut encoder, written) = encoder(WireFormat::FlatAvro, ReplicaIdentity::Default);
    for event in some_events().into_iter().step_by(5) {
        let message = encoder.encode(&event, "casewatch");
        let value = datum(&written, &format!("{}-value", message.topic), message.value);
        assert_eq!(field(&value, "recorded_at"), &AvroValue::TimestampMicros(event.at.0));
        assert_eq!(
            field(&value, "__deleted"),
            &AvroValue::String((event.op == Op::Delete).to_string())
        );
        for (column, expected) in event.table.columns().iter().zip(event.row().iter()) {
            let read = field(&value, column.name);
            match (column.kind, expected, read) {
                (Kind::Text, Value::Text(text), AvroValue::Enum(_, symbol)) => assert_eq!(text, symbol),
                (Kind::Date, Value::Date(day), read) => assert_eq!(read, &AvroValue::Date(day.0)),
                (Kind::Int, Value::Int(number), AvroValue::Int(read)) => assert_eq!(*number, i64::from(*read)),
                (_, expected, read) => assert_eq!(read, &as_avro(expected, &[]), "{}", column.name),
            }
        }
    }
}

#[test]
fn every_row_of_the_scenario_is_valid_by_the_schema_files() {
    let mut simulation = Simulation::new(Profile::northamptonshire(), 1);
    let contracts: Vec<(Schema, Vec<Vec<String>>)> = Table::ALL
        .into_iter()
        .map(|table| {
            let text =
                std::fs::read_to_string(schemas().join(format!("{}.avsc", table.name()))).expect("a schema file");
            let json: Json = serde_json::from_str(&text).expect("JSON");
            let symbols = |field: &Json| {
                let kind = if field["type"].is_array() {
                    &field["type"][1]
                } else {
                    &field["type"]
                };
                kind["symbols"]
                    .as_array()
                    .map(|s| s.iter().filter_map(Json::as_str).map(str::to_owned).collect())
                    .unwrap_or_default()
            };
            let symbols = json["fields"].as_array().expect("fields").iter().map(symbols).collect();
            (Schema::parse_str(&text).expect("a valid schema"), symbols)
        })
        .collect();
    let mut checked = 0;
    while let Some(batch) = simulation.step() {
        for event in batch.events.iter().step_by(11) {
            let (schema, symbols) = &contracts[event.table as usize];
            let mut fields: Vec<(String, AvroValue)> = vec![];
            for ((column, value), symbols) in event.table.columns().iter().zip(event.row().iter()).zip(symbols) {
                let value = match value {
                    Value::Date(day) => AvroValue::Date(day.0),
                    Value::Int(number) if event.table != Table::Feeds => AvroValue::Int(*number as i32),
                    value => as_avro(value, symbols),
                };
                let position = u32::from(value != AvroValue::Null);
                let value = if column.nullable {
                    AvroValue::Union(position, Box::new(value))
                } else {
                    value
                };
                fields.push((column.name.to_owned(), value));
            }
            fields.push(("recorded_at".to_owned(), AvroValue::TimestampMicros(event.at.0)));
            assert!(
                AvroValue::Record(fields).validate(schema),
                "{} {:?}",
                event.table.name(),
                event.row()
            );
            checked += 1;
        }
    }
    assert!(checked > 40_000);
}

#[test]
fn a_missing_schema_id_is_named() {
    let error = Encoder::new(
        WireFormat::FlatAvro,
        ReplicaIdentity::Default,
        PREFIX,
        &schemas(),
        &SchemaIds::new(),
    )
    .err()
    .expect("no ids");
    assert!(error.to_string().contains("casewatch.public.teams-value"), "{error}");
}
