//! `make bench`: how fast casewatch is on this machine, against a real Kafka. Prints a table of medians and writes it
//! as JSON. Ratios are taken within one run on one broker. Never part of a test: numbers depend on the machine.
//!
//! usage: casewatch-bench [ingest|freshness|restart]... [--runs N] [--events N] [--json FILE]

use std::time::{Duration, Instant};

use casewatch_tests::casewatch::run;
use casewatch_tests::debezium::Change;
use casewatch_tests::kafka::send;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Message, Registry, until};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(1_800);
/// Ticks of /proc/PID/stat a second, on every Linux of today.
const TICKS: f64 = 100.0;

struct Options {
    parts: Vec<String>,
    runs: usize,
    events: u64,
    json: Option<String>,
}

/// One row of the table.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    aim: &'static str,
}

fn main() {
    let options = options();
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|name| name == part);
    let mut figures = Vec::new();
    if wanted("ingest") {
        figures.extend(ingest(options.runs));
    }
    if wanted("freshness") {
        figures.extend(freshness());
    }
    if wanted("restart") {
        figures.extend(restart(options.events));
    }
    println!("\n{:<58} {:>12} {:<12} aim", "what", "median", "unit");
    for figure in &figures {
        println!(
            "{:<58} {:>12.3} {:<12} {}",
            figure.what, figure.value, figure.unit, figure.aim
        );
    }
    let rows: Vec<Value> = figures
        .iter()
        .map(|figure| json!({"what": figure.what, "median": figure.value, "unit": figure.unit, "aim": figure.aim}))
        .collect();
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", Value::Array(rows))).expect("the file named with --json can be written");
        println!("\nwritten to {file}");
    }
}

fn options() -> Options {
    let mut options = Options {
        parts: Vec::new(),
        runs: 5,
        events: 5_000_000,
        json: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| {
            let value = arguments.next().and_then(|text| text.parse().ok());
            value.unwrap_or_else(|| panic!("{name} needs a number"))
        };
        match argument.as_str() {
            "--runs" => options.runs = usize::try_from(number("--runs")).expect("a number of runs is small"),
            "--events" => options.events = number("--events"),
            "--json" => options.json = arguments.next(),
            "ingest" | "freshness" | "restart" => options.parts.push(argument),
            other => panic!(
                "unknown `{other}`; usage: casewatch-bench [ingest|freshness|restart]... [--runs N] [--events N] [--json FILE]"
            ),
        }
    }
    options
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Processor time of a process so far, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("ticks are a number");
    (ticks(11) + ticks(12)) / TICKS
}

/// Highest resident memory of a process so far, in MiB.
fn peak_mebibytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux counts resident memory");
    line.split_whitespace()
        .next()
        .and_then(|text| text.parse::<f64>().ok())
        .expect("it is a number")
        / 1024.0
}

fn tables() -> Vec<String> {
    let entries = std::fs::read_dir(casewatch_tests::root().join("schemas")).expect("schemas/ can be listed");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut tables: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(".avsc")?.to_owned()))
        .collect();
    tables.sort();
    tables
}

/// Debezium-Avro from a full topic to committed Delta tables, beside a consumer that only reads.
fn ingest(runs: usize) -> Vec<Figure> {
    let (kafka, registry) = (Kafka::start(), Registry::start());
    let prefix = "bench.";
    println!("ingest: writing the scenario as Debezium-Avro");
    let simulated = run(&[
        "simulate",
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        prefix,
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
    let mut partitions = Vec::new();
    for table in tables() {
        let topic = format!("{prefix}{table}");
        for partition in 0..3 {
            let (_, end) = kafka.watermarks(&topic, partition);
            partitions.push((topic.clone(), partition, end));
        }
    }
    let total: i64 = partitions.iter().map(|(.., end)| end).sum();
    let (mut per_cpu, mut wall, mut bare, mut ratio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..runs {
        let reading = read_all(kafka.brokers(), &partitions, total);
        let (seconds, cpu) = ingest_once(&kafka, &registry, prefix, number, total);
        println!(
            "ingest {}: {total} messages, {seconds:.2} s wall, {cpu:.2} s CPU; bare reading {reading:.2} s",
            number + 1
        );
        per_cpu.push(total as f64 / cpu);
        wall.push(total as f64 / seconds);
        bare.push(total as f64 / reading);
        ratio.push(reading / seconds);
    }
    let row = |what: &str, values: Vec<f64>, unit, aim| Figure {
        what: what.to_owned(),
        value: median(values),
        unit,
        aim,
    };
    vec![
        row("ingest: events a CPU-second of casewatch", per_cpu, "events", "300,000"),
        row(
            "ingest: events a second, start and last flush included",
            wall,
            "events",
            "",
        ),
        row("ingest: bare rdkafka consumer, events a second", bare, "events", ""),
        row("ingest: casewatch's rate over the bare consumer's", ratio, "ratio", ""),
    ]
}

fn ingest_once(kafka: &Kafka, registry: &Registry, prefix: &str, number: usize, total: i64) -> (f64, f64) {
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", prefix, &[])]);
    config.group = format!("bench-{number}");
    config.registry = Some(registry.url().to_owned());
    config.flush_interval = "15s";
    let started = Instant::now();
    let mut casewatch = Casewatch::spawn(&config, &["ingest"]);
    casewatch.wait_until_up();
    until("every message to be decoded", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        let scrape = casewatch.metrics();
        let ingest = [("role", "ingest")];
        let count = |name: &str| {
            scrape
                .sum(name, &ingest)
                .or_else(|| scrape.sum(name, &[]))
                .unwrap_or(0.0)
        };
        let done =
            count("casewatch_rows_total") + count("casewatch_tombstones_total") + count("casewatch_dead_letters_total");
        if done >= total as f64 {
            Ok(())
        } else {
            Err(format!("{done} of {total}"))
        }
    });
    let cpu = cpu_seconds(casewatch.pid());
    // The last flush belongs to the work: a stop commits what is buffered.
    assert!(casewatch.stop(Duration::from_secs(60)).success(), "{}", casewatch.log());
    (started.elapsed().as_secs_f64(), cpu)
}

/// Seconds that a consumer takes which does nothing but read.
fn read_all(brokers: &str, partitions: &[(String, i32, i64)], total: i64) -> f64 {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", brokers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().expect("a consumer can be made");
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

fn row(table: &str, key: Value, mut after: Value, lsn: u64) -> Message {
    after["authority"] = json!("E10000021");
    after["source_system"] = json!("bench");
    let recorded_at_us = chrono::Utc::now().timestamp_micros();
    Change {
        table,
        key,
        op: "c",
        after,
        recorded_at_us,
        lsn,
        snapshot: "false",
    }
    .message()
}

fn case(number: u64) -> Message {
    let opened = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let after = json!({"case_id": format!("c{number}"), "child_id": format!("k{number}"), "referral_id": null,
        "subject": "child", "team_id": "t1", "opened_at": opened.to_rfc3339(), "closed_at": null,
        "closure_reason": null, "primary_need": null, "non_sw_lead_agreed": null});
    row("cases", json!({"case_id": format!("c{number}")}), after, number)
}

fn worker(number: u64) -> Message {
    let id = format!("w{}", number % 2_000);
    let after = json!({"worker_id": id, "hr_ref": null, "swe_ref": null, "swe_registered": true,
        "asye_started_on": null, "asye_ends_on": null});
    row("workers", json!({"worker_id": id}), after, number)
}

fn allocation(number: u64, keys: u64) -> Message {
    let id = format!("a{}", number % keys);
    let after = json!({"allocation_id": id, "case_id": "c0", "team_id": "t1", "worker_id": "w1", "role": "primary",
        "holder_kind": "worker", "started_at": "2020-01-01T00:00:00Z", "ended_at": null, "end_reason": null});
    row("allocations", json!({"allocation_id": id}), after, number)
}

fn team() -> Message {
    let after = json!({"team_id": "t1", "valid_from": "2017-01-01", "valid_to": null, "name": "Assessment",
        "parent_team_id": null, "service": "assessment", "manager_worker_id": null, "case_holding": true});
    row("teams", json!({"team_id": "t1", "valid_from": "2017-01-01"}), after, 1)
}

/// From the producer's acknowledgement of a new case to the changed sample in `/metrics`, under a load of other events.
fn freshness() -> Vec<Figure> {
    let kafka = Kafka::start();
    let names = ["fresh.teams", "fresh.cases", "fresh.allocations", "fresh.workers"];
    kafka.create_topics(&names, 1, &[]);
    kafka.produce("fresh.teams", [team()]);
    kafka.produce("fresh.cases", [case(0)]);
    kafka.produce("fresh.allocations", [allocation(0, 1)]);
    kafka.produce("fresh.workers", [worker(1)]);
    let feed = Feed::new("test", "fresh.", &["teams", "cases", "allocations", "workers"]);
    let mut config = Config::new(kafka.brokers(), vec![feed]);
    config.flush_interval = "15s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    let open = |casewatch: &Casewatch| casewatch.metrics().sum("casewatch_cases_open", &[]);
    until("the first sample", Duration::from_secs(60), || {
        open(&casewatch).ok_or("none".to_owned())
    });
    let (mut figures, mut next_case, mut next_event) = (Vec::new(), 1, 10);
    for rate in [100_u64, 1_000, 10_000] {
        let (load, probe) = (kafka.producer(), kafka.producer());
        let mut seconds = Vec::new();
        for _ in 0..60 {
            let before = open(&casewatch).unwrap_or(0.0);
            probe_and_load(&load, rate, &mut next_event, Duration::from_millis(200));
            send(&probe, "fresh.cases", &case(next_case));
            probe.flush(Duration::from_secs(10)).expect("the broker acknowledges");
            let acknowledged = Instant::now();
            next_case += 1;
            while open(&casewatch).unwrap_or(0.0) <= before && acknowledged.elapsed() < Duration::from_secs(30) {
                probe_and_load(&load, rate, &mut next_event, Duration::from_millis(10));
            }
            seconds.push(acknowledged.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!("freshness at {rate} events a second: {} probes", seconds.len());
        let aim = match rate {
            1_000 => "0.5",
            10_000 => "1",
            _ => "",
        };
        figures.push(Figure {
            what: format!("freshness p50 at {rate} events a second"),
            value: percentile(&seconds, 0.5),
            unit: "s",
            aim: "",
        });
        figures.push(Figure {
            what: format!("freshness p99 at {rate} events a second"),
            value: percentile(&seconds, 0.99),
            unit: "s",
            aim,
        });
    }
    figures
}

/// Sends other events at `rate` for `time`.
fn probe_and_load(producer: &BaseProducer, rate: u64, next: &mut u64, time: Duration) {
    let until = Instant::now() + time;
    let count = (rate as f64 * time.as_secs_f64()).ceil() as u64;
    for _ in 0..count {
        send(producer, "fresh.workers", &worker(*next));
        *next += 1;
    }
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// Time to ready and peak memory after a stop, with a long history and a tenth of it as keys.
fn restart(events: u64) -> Vec<Figure> {
    let kafka = Kafka::start();
    kafka.create_topics(&["again.allocations"], 3, &[]);
    println!("restart: writing {events} events of {} keys", events / 10);
    kafka.produce(
        "again.allocations",
        (1..=events).map(|number| allocation(number, events / 10)),
    );
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("test", "again.", &["allocations"])]);
    config.flush_interval = "5s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    until("the lake to hold the history", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(2));
        let rows = config
            .lake_sql()
            .try_rows("select count(*) as n from history.allocations")?;
        if rows[0]["n"].as_u64() == Some(events) {
            Ok(())
        } else {
            Err(format!("{rows:?}"))
        }
    });
    assert!(casewatch.stop(Duration::from_secs(30)).success(), "{}", casewatch.log());
    let (mut ready, mut peak) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let started = Instant::now();
        let mut casewatch = Casewatch::spawn(&config, &[]);
        casewatch.wait_until_ready();
        ready.push(started.elapsed().as_secs_f64());
        peak.push(peak_mebibytes(casewatch.pid()));
        assert!(casewatch.stop(Duration::from_secs(30)).success(), "{}", casewatch.log());
    }
    vec![
        Figure {
            what: format!("restart: ready again, {events} events"),
            value: median(ready),
            unit: "s",
            aim: "10",
        },
        Figure {
            what: "restart: peak memory until ready".to_owned(),
            value: median(peak),
            unit: "MiB",
            aim: "1024",
        },
    ]
}
