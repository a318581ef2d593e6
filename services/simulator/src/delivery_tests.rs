//! Every format through casewatch's own decoder, and through a Kafka broker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, TimestampMicrosecondType};
use casewatch_contract::{
    Contract, Decoder, HmacKeys, Offset, Order, RawMessage, RecordedAt, SchemaSource, TopicSpec, Unavailable,
    WriterSchema,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use tokio_util::sync::CancellationToken;

use crate::calendar::Day;
use crate::journal::{Event, Op};
use crate::profile::Profile;
use crate::replay::{Scenario, SimulateOptions, Target, simulate};
use crate::row::{Table, Value};
use crate::simulation::Simulation;
use crate::sink::KafkaTarget;
use crate::wire::{Encoder, ReplicaIdentity, SchemaIds, WireFormat};

const PREFIX: &str = "casewatch.public.";

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

struct Registered(BTreeMap<u32, String>);

#[async_trait::async_trait]
impl SchemaSource for Registered {
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        let schema = |text: &String| {
            Arc::new(WriterSchema {
                schema: text.clone(),
                references: vec![],
            })
        };
        Ok(self.0.get(&id).map(schema))
    }
}

/// Two months of a small authority.
fn some_events() -> Vec<Event> {
    Simulation::new(Profile::steady(0, 0.05), 11).run_until(Day::of(2018, 3, 1))
}

/// The rows of each table as casewatch decodes them, and its events.
fn decoded(format: WireFormat, order: Order) -> Vec<(Table, RecordBatch, Vec<Event>)> {
    let subjects = Encoder::subjects(format, PREFIX, &schemas()).expect("the schema files are there");
    let ids: SchemaIds = subjects
        .iter()
        .enumerate()
        .map(|(i, (subject, _))| (subject.clone(), i as u32 + 7))
        .collect();
    let registry = Registered(
        subjects
            .into_iter()
            .map(|(subject, text)| (ids[&subject], text))
            .collect(),
    );
    let registry: Arc<dyn SchemaSource> = Arc::new(registry);
    let contract = Contract::load(&schemas()).expect("the contract loads");
    let mut encoder =
        Encoder::new(format, ReplicaIdentity::Default, PREFIX, &schemas(), &ids).expect("every subject has an id");
    let runtime = crate::sink::runtime().expect("an event loop");
    let events = some_events();
    let mut result = vec![];
    for table in Table::ALL {
        let mut messages: Vec<(Vec<u8>, Option<Vec<u8>>)> = vec![];
        let own: Vec<Event> = events.iter().filter(|event| event.table == table).cloned().collect();
        let mut tombstones = 0;
        for event in &own {
            let message = encoder.encode(event, "casewatch");
            messages.push((message.key.to_vec(), Some(message.value.to_vec())));
            if message.tombstone {
                tombstones += 1;
                messages.push((message.key.to_vec(), None));
            }
        }
        let described = contract.table(table.name()).expect("a table of the contract");
        let topic = TopicSpec::new(format!("{PREFIX}{}", table.name()).as_str(), order);
        let mut decoder = Decoder::new(
            Arc::clone(described),
            topic,
            "test".into(),
            Arc::new(HmacKeys::demo()),
            Some(Arc::clone(&registry)),
        )
        .expect("a decoder");
        let raw: Vec<RawMessage<'_>> = messages
            .iter()
            .enumerate()
            .map(|(i, (key, value))| RawMessage {
                offset: Offset(i as i64),
                key: Some(key),
                value: value.as_deref(),
                timestamp_ms: None,
            })
            .collect();
        let end = Offset(raw.len() as i64);
        let now = RecordedAt(own.last().map_or(0, |event| event.at.0));
        let chunk = runtime
            .block_on(decoder.decode(0, Offset(0), end, &raw, now))
            .expect("the registry is there");
        let refused: Vec<String> = chunk
            .dead_letters
            .iter()
            .take(3)
            .map(|letter| format!("{:?} {}", letter.reason, letter.detail))
            .collect();
        assert!(refused.is_empty(), "{}: {refused:?}", table.name());
        assert_eq!(
            (chunk.rows.num_rows(), chunk.tombstones),
            (own.len(), tombstones),
            "{}",
            table.name()
        );
        result.push((table, chunk.rows, own));
    }
    result
}

fn check(format: WireFormat, order: Order) {
    for (table, rows, events) in decoded(format, order) {
        let column = |name: &str| {
            rows.column_by_name(name)
                .unwrap_or_else(|| panic!("{} has no {name}", table.name()))
        };
        let (ops, recorded) = (
            column("_op").as_string::<i32>(),
            column("_recorded_at").as_primitive::<TimestampMicrosecondType>(),
        );
        for (position, event) in events.iter().enumerate() {
            assert_eq!(ops.value(position), event.op.letter());
            assert_eq!(
                recorded.value(position),
                event.at.0,
                "{} is recorded when it was committed",
                table.name()
            );
        }
        for (index, described) in table.columns().iter().enumerate() {
            let Some(array) = rows.column_by_name(described.name) else {
                continue;
            };
            for (position, event) in events.iter().enumerate().filter(|(_, event)| event.op != Op::Delete) {
                let value = &event.row()[index];
                let name = described.name;
                assert_eq!(
                    array.is_null(position),
                    *value == Value::Null,
                    "{}.{name}",
                    table.name()
                );
                match value {
                    Value::Time(time) => assert_eq!(
                        array.as_primitive::<TimestampMicrosecondType>().value(position),
                        time.0,
                        "{name}"
                    ),
                    Value::Decimal(value) => assert_eq!(
                        array.as_primitive::<Decimal128Type>().value(position),
                        i128::from(*value),
                        "{name}"
                    ),
                    Value::Bool(value) => assert_eq!(array.as_boolean().value(position), *value, "{name}"),
                    Value::Date(day) if !name.contains("month") && name != "died_on" => {
                        assert_eq!(array.as_primitive::<Date32Type>().value(position), day.0, "{name}");
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn casewatch_decodes_debezium_json() {
    check(WireFormat::DebeziumJson, Order::Source);
}

#[test]
fn casewatch_decodes_debezium_json_with_its_schema_block() {
    check(WireFormat::DebeziumJsonSchema, Order::Source);
}

#[test]
fn casewatch_decodes_debezium_avro() {
    check(WireFormat::DebeziumAvro, Order::Source);
}

#[test]
fn casewatch_decodes_flat_json() {
    check(WireFormat::FlatJson, Order::Offset);
}

#[test]
fn casewatch_decodes_flat_avro() {
    check(WireFormat::FlatAvro, Order::Offset);
}

#[test]
fn a_broker_gets_every_event_once_and_a_row_always_in_one_partition() {
    let cluster = MockCluster::new(1).expect("a broker");
    for table in Table::ALL {
        cluster
            .create_topic(&format!("{PREFIX}{}", table.name()), 3, 1)
            .expect("a topic");
    }
    let target = Target::Kafka(KafkaTarget::new(&cluster.bootstrap_servers()));
    let options = SimulateOptions {
        until: Some(Day::of(2018, 1, 9).date()),
        ..SimulateOptions::new(
            Scenario::Steady {
                authorities: 2,
                scale: 0.02,
            },
            target,
        )
    };
    let summary = simulate(options, &mut |_| {}, &CancellationToken::new()).expect("everything is acknowledged");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    let topics: Vec<String> = Table::ALL
        .iter()
        .map(|table| format!("{PREFIX}{}", table.name()))
        .collect();
    consumer
        .subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
        .expect("they exist");
    let (mut events, mut partitions, mut sources) = (0, BTreeMap::new(), BTreeSet::new());
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while events < summary.events {
        assert!(
            std::time::Instant::now() < deadline,
            "{events} of {} events",
            summary.events
        );
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let message = message.expect("no error");
        let key = (message.topic().to_owned(), message.key().expect("a key").to_vec());
        assert_eq!(
            *partitions.entry(key).or_insert(message.partition()),
            message.partition()
        );
        if let Some(value) = message.payload() {
            events += 1;
            let value: serde_json::Value = serde_json::from_slice(value).expect("JSON");
            sources.insert(value["source"]["name"].as_str().expect("a connector").to_owned());
        }
    }
    assert!(
        consumer
            .poll(Duration::from_millis(300))
            .is_none_or(|m| m.is_ok_and(|m| m.payload().is_none()))
    );
    assert_eq!(
        sources.into_iter().collect::<Vec<_>>(),
        ["casewatch_a000", "casewatch_a001"]
    );
}
