//! What happens around topics: messages too large, deletes that name no row, dead letters told on a topic, partitions
//! added, and sources that say that they live. On a real Kafka.

use std::time::Duration;

use casewatch_tests::debezium::worker;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Message, Sql, eventually, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

fn feed(prefix: &str) -> Feed {
    Feed::new("test", prefix, &["workers"])
}

fn value(bytes: &[u8]) -> Message {
    Message {
        key: None,
        value: Some(bytes.to_vec()),
        partition: None,
    }
}

fn count(sql: &Sql, table: &str) -> i64 {
    let rows = sql.try_rows(&format!("select count(*) as n from {table}"));
    rows.ok().and_then(|rows| rows[0]["n"].as_i64()).unwrap_or(-1)
}

fn stored(config: &Config) -> i64 {
    count(&config.lake_sql(), "history.workers")
}

/// A worker in a row that is larger than `bytes`.
fn large_worker(number: u64, bytes: usize) -> Message {
    let mut message = worker(number);
    let mut envelope: Value = serde_json::from_slice(message.value.as_deref().expect("it has a value")).expect("JSON");
    envelope["padding"] = json!("x".repeat(bytes));
    message.value = Some(envelope.to_string().into_bytes());
    message
}

/// The deletion of a worker with `before` as given.
fn deletion(number: u64, key: Option<&str>, before: Option<Value>) -> Message {
    let mut envelope: Value = serde_json::from_slice(&worker(number).value.expect("it has a value")).expect("JSON");
    (envelope["op"], envelope["after"]) = (json!("d"), Value::Null);
    match before {
        Some(before) => envelope["before"] = before,
        None => drop(envelope.as_object_mut().expect("an object").remove("before")),
    }
    Message {
        partition: None,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: Some(envelope.to_string().into_bytes()),
    }
}

#[test]
fn dead_letters_are_told_on_their_topic_once_it_takes_them_and_without_key_or_payload() {
    let kafka = Kafka::start();
    kafka.create_topics(&["t.workers"], 1, &[("max.message.bytes", "10000000")]);
    let messages = [
        worker(1),
        large_worker(2, 5_000_000),
        large_worker(3, 200_000),
        value(b"hello"),
        worker(4),
        deletion(5, Some("{\"worker_id\": \"w1\"}"), Some(Value::Null)),
        deletion(6, None, None),
        worker(7),
    ];
    kafka.produce("t.workers", messages);
    let mut config = Config::new(kafka.brokers(), vec![feed("t.")]);
    config.message_bytes = 1_000_000;
    config.more = "\n[dead_letters]\ntopic = \"dead\"\n".to_owned();
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    // The topic does not exist yet: that is counted, and stops nothing.
    eventually("what can be read", PATIENCE, 5, || stored(&config));
    eventually("and what was deleted by its key", PATIENCE, 3, || {
        count(&casewatch.sql(), "workers")
    });
    until("a failure to be counted", PATIENCE, || {
        let failures = casewatch
            .metrics()
            .max("casewatch_dead_letters_publish_failures_total", &[]);
        failures.filter(|count| *count >= 1.0).ok_or(format!("{failures:?}"))
    });
    let letters = config
        .lake_sql()
        .rows("select \"offset\", reason, has_payload from lake.dead_letters order by \"offset\"");
    let found: Vec<_> = letters
        .iter()
        .map(|row| (row["offset"].as_i64(), row["reason"].as_str()))
        .collect();
    let expected = [(1, "too_large"), (3, "unknown_encoding"), (6, "missing_key")];
    assert_eq!(found, expected.map(|(offset, reason)| (Some(offset), Some(reason))));
    assert!(letters.iter().all(|row| row["has_payload"] == false));
    let counted = casewatch.metrics().sum(
        "casewatch_dead_letters_total",
        &[("reason", "too_large"), ("role", "ingest")],
    );
    assert_eq!(counted, Some(1.0));

    kafka.create_topics(&["dead"], 1, &[]);
    eventually("the letters on their topic", PATIENCE, 3, || {
        kafka.watermarks("dead", 0).1
    });
    for ((headers, message), (offset, reason)) in kafka.read_with_headers("dead", 0).iter().zip(expected) {
        let header = |name: &str| headers.get(&format!("casewatch.{name}")).map(String::as_str);
        assert_eq!(header("offset"), Some(offset.to_string().as_str()));
        assert_eq!(header("reason"), Some(reason));
        assert_eq!(
            (header("topic"), header("partition"), header("table")),
            (Some("t.workers"), Some("0"), Some("workers"))
        );
        assert!(header("detail").is_some_and(|detail| !detail.is_empty() && !detail.contains("hello")));
        assert_eq!(
            (&message.key, &message.value),
            (&None, &None),
            "neither key nor payload"
        );
    }
    // Told once is enough, also over a restart.
    assert!(casewatch.stop(Duration::from_secs(10)).success());
    kafka.produce("t.workers", [value(b"\0\0\0\0\x09a")]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("the next letter", PATIENCE, 4, || kafka.watermarks("dead", 0).1);
    let (headers, _) = kafka.read_with_headers("dead", 0).pop().expect("four letters");
    assert_eq!(headers.get("casewatch.schema_id").map(String::as_str), Some("9"));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(kafka.watermarks("dead", 0).1, 4);
}

#[test]
fn partitions_added_to_a_topic_ordered_by_offset_stop_it_until_its_epoch_is_raised() {
    let kafka = Kafka::start();
    kafka.create_topics(&["p.workers"], 2, &[]);
    let to = |partition: i32, number: u64| Message {
        partition: Some(partition),
        ..worker(number)
    };
    // Partition 1 is empty: it counts as a partition all the same.
    kafka.produce("p.workers", [to(0, 1), to(0, 2), to(0, 3)]);
    let mut config =
        Config::new(kafka.brokers(), vec![feed("p.")]).property("topic.metadata.refresh.interval.ms", "1000");
    config.feeds[0].order = "offset".to_owned();
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("what was there", PATIENCE, 3, || stored(&config));
    assert!(casewatch.stop(Duration::from_secs(10)).success());
    kafka.produce("p.workers", [to(1, 4)]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("a partition that had been empty", PATIENCE, 4, || stored(&config));

    // While it runs: the new partition is not read, and soon the others are not, either.
    kafka.add_partitions("p.workers", 3);
    kafka.produce("p.workers", [to(2, 5)]);
    let halted = |casewatch: &Casewatch| {
        let reason = [("reason", "partitions_changed")];
        let halted = casewatch.metrics().sum("casewatch_topic_halted", &reason);
        if halted == Some(3.0) {
            Ok(())
        } else {
            Err(format!("casewatch_topic_halted is {halted:?}"))
        }
    };
    until("the topic to be halted", PATIENCE, || halted(&casewatch));
    kafka.produce("p.workers", [to(0, 6)]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stored(&config), 4, "nothing of the topic is read");
    assert!(casewatch.log().contains("raise its epoch"), "{}", casewatch.log());
    assert!(casewatch.stop(Duration::from_secs(10)).success());
    // And after a restart.
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    until("the topic to be halted again", PATIENCE, || halted(&casewatch));
    assert_eq!(stored(&config), 4);
    assert!(casewatch.stop(Duration::from_secs(10)).success());

    // The operator's way out: the topic written anew, its epoch raised.
    kafka.delete_topic("p.workers");
    until("the old topic to be gone", PATIENCE, || {
        kafka.create_topics(&["p.workers"], 3, &[]);
        match kafka.watermarks("p.workers", 0) {
            (0, 0) => Ok(()),
            log => Err(format!("its log is {log:?}")),
        }
    });
    kafka.produce("p.workers", [to(0, 1), to(2, 5), to(1, 6)]);
    config.feeds[0].epoch = 1;
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("the new life of the topic", PATIENCE, 7, || stored(&config));
    assert_eq!(
        casewatch.metrics().sum("casewatch_topic_halted", &[]).unwrap_or(0.0),
        0.0
    );
}

#[test]
fn a_heartbeat_keeps_a_source_alive_and_its_silence_is_noticed() {
    let kafka = Kafka::start();
    kafka.create_topics(&["h.workers", "__debezium-heartbeat.test"], 1, &[]);
    kafka.produce("h.workers", [worker(1)]);
    let mut config = Config::new(kafka.brokers(), vec![feed("h.")]);
    config.clock = "wall";
    config.feeds[0].silent_after = "4s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    eventually("what was there", PATIENCE, 1, || count(&casewatch.sql(), "workers"));
    // How long ago, in seconds, the moment is that queries speak of.
    let age = || {
        let now = chrono::Utc::now().timestamp();
        now - casewatch
            .sql()
            .count("select cast(extract(epoch from as_of()) as bigint) from workers")
    };
    for _ in 0..8 {
        kafka.produce("__debezium-heartbeat.test", [value(b"{\"ts_ms\": 1}")]);
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(age() < 4, "no event for 8 seconds, and yet alive: {}", age());
    std::thread::sleep(Duration::from_secs(6));
    assert!(age() >= 4, "and without heartbeats silent: {}", age());
}
