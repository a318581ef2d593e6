//! Debezium-Avro from full topics to committed Delta tables, beside a consumer that only reads the same topics.

use std::time::{Duration, Instant};

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Registry, until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::process::ended_children_seconds;
use crate::{Figure, PATIENCE};

const PREFIX: &str = "bench.";
/// About 2.5 million messages each, so that starting and stopping is a small part of a run.
const AUTHORITIES: &str = "1";

type Partitions = Vec<(String, i32, i64)>;

pub fn measure(runs: usize) -> Vec<Figure> {
    let (kafka, registry) = (Kafka::start(), Registry::start());
    println!("ingest: writing a large scenario as Debezium-Avro");
    let simulated = run(&[
        "simulate",
        "--scenario",
        "steady",
        "--authorities",
        AUTHORITIES,
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        PREFIX,
        "--format",
        "debezium-avro",
        "--registry",
        registry.url(),
    ]);
    assert!(
        simulated.status.success(),
        "{}",
        String::from_utf8_lossy(&simulated.stderr)
    );
    let partitions = partitions(&kafka);
    let total: i64 = partitions.iter().map(|(.., end)| end).sum();
    let (mut per_cpu, mut wall, mut bare, mut ratio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Removed at the end: a file system takes long to make files where thousands were removed a moment ago.
    let mut configs = Vec::new();
    for number in 0..runs {
        let reading = read_all(kafka.brokers(), &partitions, total);
        let config = config(&kafka, &registry, number);
        let (seconds, cpu) = ingest_once(&config, total);
        configs.push(config);
        println!(
            "ingest {}: {total} messages, {seconds:.2} s wall, {cpu:.2} s CPU; bare reading {reading:.2} s",
            number + 1
        );
        per_cpu.push(total as f64 / cpu);
        wall.push(total as f64 / seconds);
        bare.push(total as f64 / reading);
        ratio.push(reading / seconds);
    }
    vec![
        Figure::new(
            "ingest: events a CPU-second, start and stop included",
            per_cpu,
            "events",
            "300,000",
        ),
        Figure::new(
            "ingest: events a second, from the start to the last commit and the exit",
            wall,
            "events",
            "",
        ),
        Figure::new("ingest: bare rdkafka consumer, events a second", bare, "events", ""),
        Figure::new("ingest: casewatch's rate over the bare consumer's", ratio, "ratio", ""),
    ]
}

fn partitions(kafka: &Kafka) -> Partitions {
    let entries = std::fs::read_dir(casewatch_tests::root().join("schemas")).expect("schemas/ can be listed");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let tables = names.filter_map(|name| Some(name.strip_suffix(".avsc")?.to_owned()));
    let topics = tables.map(|table| format!("{PREFIX}{table}"));
    topics
        .flat_map(|topic| (0..3).map(move |partition| (topic.clone(), partition)))
        .map(|(topic, partition)| {
            let (_, end) = kafka.watermarks(&topic, partition);
            (topic, partition, end)
        })
        .collect()
}

fn config(kafka: &Kafka, registry: &Registry, number: usize) -> Config {
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    config.group = format!("bench-{number}");
    config.registry = Some(registry.url().to_owned());
    config.flush_interval = "15s";
    config
}

/// Seconds of wall clock, and of processor, of the program's whole life with its default limits: it starts, reads
/// everything, and is stopped, which commits what it still holds.
fn ingest_once(config: &Config, total: i64) -> (f64, f64) {
    let cpu_before = ended_children_seconds();
    let started = Instant::now();
    let mut casewatch = Casewatch::spawn(config, &["ingest"]);
    casewatch.wait_until_up();
    until("every message to be read", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(50));
        let metrics = casewatch.metrics();
        let sum = |name| metrics.sum(name, &[("role", "ingest")]).unwrap_or_default();
        // Each message of this scenario is one row or a tombstone.
        match sum("casewatch_rows_total") + sum("casewatch_tombstones_total") {
            read if read >= total as f64 => Ok(()),
            read => Err(format!("{read} of {total}")),
        }
    });
    assert!(casewatch.stop(Duration::from_secs(60)).success(), "{}", casewatch.log());
    let seconds = started.elapsed().as_secs_f64();
    let cpu = ended_children_seconds() - cpu_before;
    let in_the_lake = config
        .lake_sql()
        .count("select sum(rows + tombstones + dead_letters + holes) from lake.commits");
    assert_eq!(in_the_lake, total, "every message stands in the lake");
    (seconds, cpu)
}

fn consumer(brokers: &str, group: &str) -> BaseConsumer {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false");
    client.create().expect("a consumer can be made")
}

/// Seconds that a consumer takes which does nothing but read.
fn read_all(brokers: &str, partitions: &Partitions, total: i64) -> f64 {
    let consumer = consumer(brokers, "bare");
    let mut list = TopicPartitionList::new();
    for (topic, partition, _) in partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning)
            .expect("an offset is valid");
    }
    let started = Instant::now();
    consumer.assign(&list).expect("partitions can be assigned");
    let mut read = 0;
    while read < total {
        if let Some(message) = consumer.poll(Duration::from_secs(30)) {
            message.expect("the broker gives what it has");
            read += 1;
        }
    }
    started.elapsed().as_secs_f64()
}
