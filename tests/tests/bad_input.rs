//! What casewatch does with input it should never have had, and with neighbours that go away.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use casewatch_tests::casewatch::run;
use casewatch_tests::debezium::worker;
use casewatch_tests::proof::verified;
use casewatch_tests::{
    Casewatch, Config, Feed, Kafka, Message, Registry, SmallDisk, Sql, copy_folder, eventually, root, until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
const TABLES: [&str; 1] = ["workers"];

fn value(bytes: &[u8]) -> Message {
    Message {
        key: Some(b"{}".to_vec()),
        value: Some(bytes.to_vec()),
        partition: None,
    }
}

fn feed(prefix: &str) -> Vec<Feed> {
    vec![Feed::new("test", prefix, &TABLES)]
}

fn live_workers(sql: &Sql) -> i64 {
    sql.try_rows("select count(*) as n from workers")
        .ok()
        .and_then(|rows| rows[0]["n"].as_i64())
        .unwrap_or(-1)
}

/// `-1` while the table does not exist yet.
fn stored_workers(sql: &Sql) -> i64 {
    sql.try_rows("select count(*) as n from history.workers")
        .ok()
        .and_then(|rows| rows[0]["n"].as_i64())
        .unwrap_or(-1)
}

fn replace(path: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(path).expect("a file can be read");
    assert!(text.contains(old), "{}: no `{old}`", path.display());
    std::fs::write(path, text.replacen(old, new, 1)).expect("a temporary folder takes files");
}

/// Runs with the configuration's text changed, and gives what it says as it refuses.
fn refusal(change: impl Fn(String) -> String) -> String {
    let config = Config::new("127.0.0.1:1", feed("t."));
    let path = config.folder.path().join("casewatch.toml");
    std::fs::write(&path, change(config.text(9))).expect("a temporary folder takes files");
    let output = run(&["run", "--config", &path.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(2),
        "refused at start, before anything runs: {said}"
    );
    assert!(said.contains("casewatch.toml"), "names the file: {said}");
    said
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}

#[test]
fn a_wrong_key_type_or_path_in_the_configuration_is_refused_with_a_hint() {
    says(
        &refusal(|text| text.replace("flush_interval", "flush_intervall")),
        &["flush_intervall", "expected", "hint"],
    );
    says(
        &refusal(|text| text.replace("brokers = \"127.0.0.1:1\"", "brokers = 9092")),
        &["brokers", "string", "hint"],
    );
    says(
        &refusal(|text| text.replace("\"200ms\"", "\"soon\"")),
        &["flush_interval", "soon", "expected"],
    );
    let wrong_path = refusal(|text| text.replace(&format!("{:?}", root().join("schemas")), "\"nowhere\""));
    says(&wrong_path, &["schemas", "nowhere", "hint"]);
}

#[test]
fn a_schema_with_an_unknown_attribute_value_is_refused_by_name() {
    let mut config = Config::new("127.0.0.1:1", feed("t."));
    config.schemas = config.folder.path().join("schemas");
    copy_folder(&root().join("schemas"), &config.schemas);
    replace(
        &config.schemas.join("cases.avsc"),
        "\"privacy\": \"hmac:child\"",
        "\"privacy\": \"secret\"",
    );
    let path = config.write(9);
    let output = run(&["run", "--config", &path.display().to_string()]);
    assert!(!output.status.success());
    says(
        &String::from_utf8_lossy(&output.stderr),
        &["cases.avsc", "child_id", "privacy", "secret", "hmac:"],
    );
}

#[test]
fn a_metric_that_reads_a_missing_column_is_found_before_it_runs() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let queries = folder.path().join("queries");
    copy_folder(&root().join("queries"), &queries);
    replace(
        &queries.join("metrics/allocation/cases_no_holder.sql"),
        "no_holder as cases",
        "no_holderr as cases",
    );
    let output = run(&["check", "--queries", &queries.display().to_string()]);
    assert!(!output.status.success());
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    says(&said, &["cases_no_holder.sql", "no_holderr"]);
}

#[test]
fn what_cannot_be_decoded_becomes_a_dead_letter_and_the_stream_goes_on() {
    let (kafka, registry) = (Kafka::start(), Registry::start());
    kafka.create_topics(&["t.workers"], 1, &[]);
    let schema = std::fs::read_to_string(root().join("schemas/workers.avsc")).expect("a schema can be read");
    let id = registry.register(
        "t.workers-value",
        &serde_json::from_str::<Value>(&schema).expect("a schema is JSON"),
    );
    let framed = |id: u32, body: &[u8]| value(&[&[0], id.to_be_bytes().as_slice(), body].concat());
    let mut keyless: Value = serde_json::from_slice(&worker(9).value.expect("it has a value")).expect("it is JSON");
    keyless["after"]["worker_id"] = Value::Null;
    let mut unknown: Value = serde_json::from_slice(&worker(9).value.expect("it has a value")).expect("it is JSON");
    unknown["op"] = json!("x");
    kafka.produce(
        "t.workers",
        [
            worker(1),
            value(b"{\"after\": "),
            value(b"hello"),
            framed(4_000_000, b"abc"),
            framed(id, &[2]),
            value(keyless.to_string().as_bytes()),
            value(unknown.to_string().as_bytes()),
            worker(2),
        ],
    );
    let mut config = Config::new(kafka.brokers(), feed("t."));
    config.registry = Some(registry.url().to_owned());
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("the good events", PATIENCE, 2, || live_workers(&casewatch.sql()));
    eventually("the good events in the lake", PATIENCE, 2, || {
        stored_workers(&config.lake_sql())
    });
    let letters = config.lake_sql().rows(
        "select topic, \"partition\", \"offset\", schema_id, reason, detail, has_payload from lake.dead_letters order by \"offset\"",
    );
    let found: Vec<_> = letters
        .iter()
        .map(|row| (row["offset"].as_i64(), row["reason"].as_str()))
        .collect();
    let expected = [
        "truncated",
        "unknown_encoding",
        "unknown_schema",
        "truncated",
        "missing_key",
        "unknown_operation",
    ];
    let expected: Vec<_> = (1..)
        .zip(expected)
        .map(|(offset, reason)| (Some(offset), Some(reason)))
        .collect();
    assert_eq!(found, expected);
    assert!(
        letters.iter().all(|row| row["has_payload"] == false),
        "without a key, payloads are left out"
    );
    assert_eq!(letters[2]["schema_id"], 4_000_000);
    let proved = verified(&config.lake);
    let parts = ["offsets", "with_rows", "dead_letters"].map(|part| proved[part].as_i64());
    assert_eq!(parts, [Some(8), Some(2), Some(6)], "{proved}");
    let counted = casewatch
        .metrics()
        .sum("casewatch_dead_letters_total", &[("reason", "unknown_schema")]);
    assert!(counted.is_some_and(|count| count >= 1.0), "{counted:?}");
}

#[test]
fn a_flood_of_broken_messages_slows_its_table_and_loses_nothing() {
    let kafka = Kafka::start();
    kafka.create_topics(&["f.workers"], 1, &[]);
    let broken = std::iter::repeat_with(|| value(b"hello")).take(60);
    kafka.produce("f.workers", broken.chain([worker(1)]));
    let mut config = Config::new(kafka.brokers(), feed("f."));
    config.limits = "dead_letters_per_second = 10\nbatch_rows = 10\n".to_owned();
    let started = Instant::now();
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("the good message behind them", PATIENCE, 1, || {
        stored_workers(&config.lake_sql())
    });
    // The first second's worth is free, the last batch's pause comes after it.
    assert!(started.elapsed() > Duration::from_secs(4), "{:?}", started.elapsed());
    let letters = config.lake_sql().count("select count(*) from lake.dead_letters");
    assert_eq!(letters, 60, "none is lost");
    let slowed = casewatch
        .metrics()
        .sum("casewatch_dead_letters_slowed_seconds_total", &[("table", "workers")]);
    assert!(
        slowed.is_some_and(|seconds| (4.0..7.0).contains(&seconds)),
        "{slowed:?}"
    );
    let log = casewatch.log();
    let told = log.matches("limits.dead_letters_per_second").count();
    assert_eq!(told, 1, "it is said, and once:\n{log}");
}

#[test]
fn while_the_registry_is_away_nothing_is_dead_lettered_and_nothing_is_lost() {
    let (kafka, registry) = (Kafka::start(), Registry::start());
    kafka.create_topics(&["r.workers"], 1, &[]);
    let simulated = run(&[
        "simulate",
        "--scenario",
        "steady",
        "--scale",
        "0.02",
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        "r.",
        "--format",
        "debezium-avro",
        "--registry",
        registry.url(),
        "--partitions",
        "1",
    ]);
    assert!(
        simulated.status.success(),
        "{}",
        String::from_utf8_lossy(&simulated.stderr)
    );
    let (_, end) = kafka.watermarks("r.workers", 0);
    assert!(end > 0);
    registry.server.freeze();
    let mut config = Config::new(kafka.brokers(), feed("r."));
    config.registry = Some(registry.url().to_owned());
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    std::thread::sleep(Duration::from_secs(5));
    assert!(stored_workers(&config.lake_sql()) <= 0, "nothing can be decoded yet");
    assert_ne!(
        casewatch.get("/readyz").map(|answer| answer.status),
        Ok(200),
        "and it says that it is not ready"
    );
    registry.server.thaw();
    eventually("every message, once the registry answers", PATIENCE, end, || {
        stored_workers(&config.lake_sql())
    });
    let letters = config.lake_sql().rows("select reason from lake.dead_letters");
    assert!(letters.is_empty(), "{letters:?}");
}

#[test]
fn a_broker_that_goes_away_and_returns_costs_nothing_but_time() {
    let mut kafka = Kafka::start();
    kafka.create_topics(&["b.workers"], 1, &[]);
    kafka.produce("b.workers", (1..=3).map(worker));
    let config = Config::new(kafka.brokers(), feed("b."));
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("what was there", PATIENCE, 3, || live_workers(&casewatch.sql()));
    kafka.kill();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(live_workers(&casewatch.sql()), 3, "the present stays");
    kafka.start_again();
    kafka.produce("b.workers", (4..=5).map(worker));
    eventually("what came after", PATIENCE, 5, || live_workers(&casewatch.sql()));
    eventually("the same in the lake", PATIENCE, 5, || {
        stored_workers(&config.lake_sql())
    });
}

#[test]
fn a_gap_in_the_log_stops_its_topic_loudly_until_the_operator_accepts_it() {
    let kafka = Kafka::start();
    kafka.create_topics(&["g.workers"], 1, &[]);
    kafka.produce("g.workers", (1..=3).map(worker));
    let config = Config::new(kafka.brokers(), feed("g."));
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("what was there", PATIENCE, 3, || stored_workers(&config.lake_sql()));
    assert!(casewatch.stop(Duration::from_secs(10)).success());
    // Retention overtakes the lake while nobody reads: offsets 3 and 4 are gone.
    kafka.produce("g.workers", (4..=6).map(worker));
    kafka.delete_records("g.workers", 0, 5);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    until("the topic to be halted", PATIENCE, || {
        match casewatch.metrics().max("casewatch_topic_halted", &[]) {
            Some(1.0) => Ok(()),
            other => Err(format!("casewatch_topic_halted is {other:?}")),
        }
    });
    assert_eq!(stored_workers(&config.lake_sql()), 3, "nothing is skipped silently");
    assert!(
        casewatch.log().contains("accept-gap"),
        "the log says what to do:\n{}",
        casewatch.log()
    );
    assert!(casewatch.stop(Duration::from_secs(10)).success());
    let file = config.write(9).display().to_string();
    let accepted = run(&[
        "accept-gap",
        "workers",
        "test/g.workers/0/0",
        "5",
        "--reason",
        "retention was too short",
        "--config",
        &file,
    ]);
    assert!(
        accepted.status.success(),
        "{}",
        String::from_utf8_lossy(&accepted.stderr)
    );
    let _casewatch = Casewatch::spawn(&config, &[]);
    eventually("what is left", PATIENCE, 4, || stored_workers(&config.lake_sql()));
    let gaps = config
        .lake_sql()
        .rows("select from_offset, to_offset from lake.commits where kind = 'gap'");
    assert_eq!(gaps, [json!({"from_offset": 3, "to_offset": 5})], "the gap is recorded");
    let proved = verified(&config.lake);
    let parts = ["offsets", "with_rows", "accepted_gaps", "given_up"].map(|part| proved[part].as_i64());
    assert_eq!(
        parts,
        [Some(6), Some(4), Some(1), Some(2)],
        "an accepted gap is no fault"
    );
}

#[test]
fn on_a_full_disk_the_lake_waits_live_numbers_go_on_and_it_resumes_by_itself() {
    let disk = match SmallDisk::mount(24) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("NOT TESTED here: a full disk needs a small file system, and mounting one was refused: {reason}");
            return;
        }
    };
    let kafka = Kafka::start();
    kafka.create_topics(&["d.workers"], 1, &[]);
    kafka.produce("d.workers", (1..=3).map(worker));
    let mut config = Config::new(kafka.brokers(), feed("d."));
    config.lake = disk.path().join("lake");
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("what was there", PATIENCE, 3, || stored_workers(&config.lake_sql()));
    let filler = disk.path().join("filler");
    let full = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k"])
        .arg(format!("of={}", filler.display()))
        .output();
    assert!(full.is_ok_and(|output| !output.status.success()), "the disk is full");
    kafka.produce("d.workers", (4..=6).map(worker));
    eventually("live numbers without the lake", PATIENCE, 6, || {
        live_workers(&casewatch.sql())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stored_workers(&config.lake_sql()), 3, "the lake waits");
    std::fs::remove_file(&filler).expect("the filler can be removed");
    eventually("the lake again", PATIENCE, 6, || stored_workers(&config.lake_sql()));
    assert!(casewatch.stop(Duration::from_secs(10)).success(), "{}", casewatch.log());
}
