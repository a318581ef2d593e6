//! How many messages a second one core decodes: Debezium's messages with their full source block, identifiers hashed.
//!
//! `cargo run --release -p casewatch-contract --example bench_decode [-- MESSAGES | --json]`
//!
//! The messages are those of a PostgreSQL connector: its schema is the one captured in `tests/fixtures`, 80 of 100 are
//! updates, a child has two cases on average. Prints the median of eleven runs, and what leaving parts out would save.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::types::Value;
use async_trait::async_trait;
use casewatch_contract::{
    Contract, Decoder, HmacKeys, Offset, Order, RawMessage, RecordedAt, SchemaSource, Table, TopicSpec, Unavailable,
    WriterSchema,
};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 11;
const BATCH: usize = 8192;
const NOW: RecordedAt = RecordedAt(1_795_300_000_000_000);

struct Schemas(HashMap<u32, String>);

#[async_trait]
impl SchemaSource for Schemas {
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        let schema = self.0.get(&id).cloned();
        Ok(schema.map(|schema| {
            Arc::new(WriterSchema {
                schema,
                references: Vec::new(),
            })
        }))
    }
}

fn main() {
    let argument = std::env::args().nth(1);
    let json = argument.as_deref() == Some("--json");
    let count = argument.and_then(|count| count.parse().ok()).unwrap_or(200_000);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contract = Contract::load(&root.join("../../schemas")).expect("the shipped schemas are valid");
    let cases = contract.table("cases").expect("the shipped contract has this table");
    let captured = std::fs::read_to_string(root.join("tests/fixtures/postgresql/schema-2.avsc"));
    let text = captured.expect("the fixture is part of the repository");
    let mut micros: serde_json::Value = serde_json::from_str(&text).expect("the fixture is JSON");
    times_as_micros(&mut micros);
    let micros = micros.to_string();

    let plain = without_privacy(cases);
    let truncated = |count, of| Load {
        count,
        truncated: Some(of),
    };
    let reports = [
        (
            "Debezium-Avro, times as microseconds",
            cases,
            &micros,
            Times::Micros,
            Load::good(count),
        ),
        (
            "Debezium-Avro, times as text",
            cases,
            &text,
            Times::Text,
            Load::good(count),
        ),
        (
            "Debezium-JSON without a schema block",
            cases,
            &micros,
            Times::Json,
            Load::good(count / 4),
        ),
        (
            "the first without hashing",
            &plain,
            &micros,
            Times::Micros,
            Load::good(count),
        ),
        (
            "the first, one in 1000 truncated",
            cases,
            &micros,
            Times::Micros,
            truncated(count, 1000),
        ),
        (
            "the first, all truncated",
            cases,
            &micros,
            Times::Micros,
            truncated(count / 20, 1),
        ),
    ];
    let mut rows = Vec::new();
    for (what, table, schema, times, load) in reports {
        let rates = measure(table, schema, times, load);
        if json {
            rows.push(serde_json::json!({"what": what, "messages_per_cpu_second": rates}));
        } else {
            let (least, median, most) = (rates[0], rates[RUNS / 2], rates[RUNS - 1]);
            println!("{what:<40} {median:>9.0} messages a CPU-second (median of {RUNS}; {least:.0} to {most:.0})");
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(rows));
    }
}

/// Turns timestamps with a zone, which Debezium writes as text, into those without, which it writes as microseconds.
fn times_as_micros(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Array(inner) => inner.iter_mut().for_each(times_as_micros),
        serde_json::Value::Object(object) => {
            if object
                .get("connect.name")
                .is_some_and(|name| name == "io.debezium.time.ZonedTimestamp")
            {
                object.insert("type".to_owned(), "long".into());
                object.insert("connect.name".to_owned(), "io.debezium.time.MicroTimestamp".into());
            }
            object.values_mut().for_each(times_as_micros);
        }
        _ => {}
    }
}

/// Time this thread has spent on a processor, which other processes do not lengthen; on other systems than Linux, time.
fn processor_time(since: Instant) -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = spent.and_then(|spent| spent.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

#[derive(Clone, Copy)]
enum Times {
    /// As text, in JSON.
    Json,
    /// As text.
    Text,
    /// As microseconds.
    Micros,
}

fn without_privacy(table: &Table) -> Arc<Table> {
    let text = table.avro_schema().to_string().replace("hmac:child", "keep");
    Arc::new(Table::parse("cases.avsc", &text).expect("the schema stays valid"))
}

/// How many messages, and of how many one is truncated.
#[derive(Clone, Copy)]
struct Load {
    count: usize,
    truncated: Option<usize>,
}

impl Load {
    fn good(count: usize) -> Self {
        Self { count, truncated: None }
    }

    fn is_truncated(self, number: usize) -> bool {
        self.truncated.is_some_and(|of| number % of == of - 1)
    }
}

/// Messages a CPU-second of each run, the slowest first.
fn measure(table: &Arc<Table>, schema: &str, times: Times, load: Load) -> Vec<f64> {
    let count = load.count;
    let schemas: Arc<dyn SchemaSource> = Arc::new(Schemas([(2, schema.to_owned())].into()));
    let topic = TopicSpec::new("db.public.cases", Order::Source);
    let decoder = Decoder::new(
        Arc::clone(table),
        topic,
        "bench".into(),
        Arc::new(HmacKeys::demo()),
        Some(schemas),
    );
    let mut decoder = decoder.expect("the topic's settings are valid");
    let schema = Schema::parse_str(schema).expect("the fixture is an Avro schema");
    let written = (0..count).map(|number| {
        let mut message = message(&schema, number, times);
        message.truncate(if load.is_truncated(number) { 100 } else { usize::MAX });
        message
    });
    let messages: Vec<Vec<u8>> = written.collect();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime needs no more than a thread");
    let began = Instant::now();
    let mut run = || {
        let started = processor_time(began);
        for (batch, messages) in messages.chunks(BATCH).enumerate() {
            let from = i64::try_from(batch * BATCH).expect("offsets fit");
            let to = from + i64::try_from(messages.len()).expect("offsets fit");
            let raw: Vec<RawMessage<'_>> = messages
                .iter()
                .zip(from..)
                .map(|(value, offset)| RawMessage {
                    offset: Offset(offset),
                    key: None,
                    value: Some(value),
                    timestamp_ms: None,
                })
                .collect();
            let chunk = runtime.block_on(decoder.decode(0, Offset(from), Offset(to), &raw, NOW));
            let chunk = chunk.expect("the registry is in memory");
            assert_eq!(chunk.len() + chunk.dead_letters.len(), messages.len());
        }
        processor_time(began) - started
    };
    let mut rates: Vec<f64> = (0..RUNS).map(|_| count as f64 / run().as_secs_f64()).collect();
    rates.sort_by(f64::total_cmp);
    rates
}

/// The message of one change, as PostgreSQL's connector writes it.
fn message(schema: &Schema, number: usize, times: Times) -> Vec<u8> {
    let text = |text: &str| Value::String(text.to_owned());
    let null = || Value::Union(0, Box::new(Value::Null));
    let some = |value: Value| Value::Union(1, Box::new(value));
    let record = |fields: Vec<(&str, Value)>| {
        Value::Record(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    };
    let time = |number: i64| match times {
        Times::Micros => Value::Long(1_514_800_800_000_000 + number * 60_000_000),
        Times::Text | Times::Json => text(&format!(
            "2018-01-{:02}T10:{:02}:00.123456Z",
            1 + number % 28,
            number % 60
        )),
    };
    let number = i64::try_from(number).expect("numbers fit");
    let case = number.wrapping_mul(0x9e37_79b9) & 0xf_ffff;
    let row = record(vec![
        ("case_id", text(&format!("C{case:08}"))),
        ("child_id", text(&format!("{:010}", case / 2))),
        ("referral_id", some(text(&format!("R{case:08}")))),
        ("subject", text("child")),
        ("team_id", text(&format!("team-{:03}", case % 120))),
        ("opened_at", time(number)),
        (
            "closed_at",
            if number % 3 == 0 {
                some(time(number + 9))
            } else {
                null()
            },
        ),
        (
            "closure_reason",
            if number % 3 == 0 { some(text("RC8")) } else { null() },
        ),
        ("primary_need", some(text(&format!("N{}", case % 10)))),
        ("non_sw_lead_agreed", some(Value::Boolean(false))),
        ("authority", text("E10000021")),
        ("source_system", text("mosaic")),
        ("notes", null()),
    ]);
    let (before, after, op) = match number % 20 {
        0 => (some(row), null(), "d"),
        1..4 => (null(), some(row), "c"),
        _ => (null(), some(row), "u"),
    };
    let micros = 1_795_000_000_000_000 + number * 977;
    let lsn = 22_073_464 + number * 136;
    let source = record(vec![
        ("version", text("3.6.3.Final")),
        ("connector", text("postgresql")),
        ("name", text("mosaic")),
        ("ts_ms", Value::Long(micros / 1000)),
        ("snapshot", Value::Union(0, Box::new(text("false")))),
        ("db", text("postgres")),
        ("sequence", some(text(&format!("[\"{}\",\"{lsn}\"]", lsn - 136)))),
        ("ts_us", some(Value::Long(micros))),
        ("ts_ns", some(Value::Long(micros * 1000))),
        ("schema", text("public")),
        ("table", text("cases")),
        ("txId", some(Value::Long(700 + number / 3))),
        ("lsn", some(Value::Long(lsn))),
        ("xmin", null()),
        ("origin", null()),
        ("origin_lsn", null()),
    ]);
    let envelope = record(vec![
        ("before", before),
        ("after", after),
        ("source", source),
        ("transaction", null()),
        ("op", text(op)),
        ("ts_ms", some(Value::Long(micros / 1000 + 40))),
        ("ts_us", some(Value::Long(micros + 40_000))),
        ("ts_ns", some(Value::Long((micros + 40_000) * 1000))),
    ]);
    if matches!(times, Times::Json) {
        return serde_json::Value::try_from(envelope)
            .expect("the message is plain")
            .to_string()
            .into_bytes();
    }
    let body = apache_avro::to_avro_datum(schema, envelope).expect("the message fits its schema");
    [&[0], 2_u32.to_be_bytes().as_slice(), &body].concat()
}
