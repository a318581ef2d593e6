//! Exactly once, on a real Kafka: whatever is killed, frozen, woken or competing, every event is in the lake once. The
//! tests run beside one another: a busy machine must not change what they prove.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use casewatch_tests::debezium::{Change, tombstone};
use casewatch_tests::kafka::send;
use casewatch_tests::proof::{self, Expected, Proof};
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Message, Sql, until};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::Producer;
use serde_json::{Value, json};

const TABLES: [&str; 3] = ["workers", "cases", "allocations"];
const PARTITIONS: i32 = 3;
const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 1_514_764_800_000_000; // 2018-01-01

/// What was written, to hold against what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    rows: i64,
    poison: i64,
    tombstones: i64,
}

/// The `number`th event: mostly upserts of 5,000 keys, some deletions with their tombstones, some that are no event.
fn event(number: u64, random: &mut ChaCha8Rng) -> (&'static str, Vec<Message>, Written) {
    let table = TABLES[(number % 3) as usize];
    let at = START_US + number as i64 * DAY_US / 2_000;
    let id = random.random_range(0..5_000);
    let (key, after) = row(table, id, number, at);
    let change = |op| Change {
        table,
        key: key.clone(),
        op,
        after: after.clone(),
        recorded_at_us: at,
        lsn: number,
        snapshot: "false",
    };
    match random.random_range(0..1_000) {
        0 => {
            let poison = Message {
                key: Some(b"{}".to_vec()),
                value: Some(b"{\"after\": ".to_vec()),
                partition: None,
            };
            (
                table,
                vec![poison],
                Written {
                    poison: 1,
                    ..Written::default()
                },
            )
        }
        1..=20 => {
            let deletion = Change {
                after: Value::Null,
                ..change("d")
            }
            .message();
            (
                table,
                vec![deletion, tombstone(&key)],
                Written {
                    rows: 1,
                    tombstones: 1,
                    poison: 0,
                },
            )
        }
        _ => (
            table,
            vec![change("u").message()],
            Written {
                rows: 1,
                ..Written::default()
            },
        ),
    }
}

fn row(table: &str, id: u32, number: u64, at: i64) -> (Value, Value) {
    let at = chrono::DateTime::from_timestamp_micros(at)
        .expect("a time of this era")
        .to_rfc3339();
    let common = |mut row: Value| {
        row["authority"] = json!("E10000021");
        row["source_system"] = json!("test");
        row
    };
    match table {
        "workers" => (
            json!({"worker_id": format!("w{id}")}),
            common(
                json!({"worker_id": format!("w{id}"), "hr_ref": format!("h{id}"), "swe_ref": null,
                "swe_registered": number.is_multiple_of(2), "asye_started_on": null, "asye_ends_on": null}),
            ),
        ),
        "cases" => (
            json!({"case_id": format!("c{id}")}),
            common(
                json!({"case_id": format!("c{id}"), "child_id": format!("k{id}"), "referral_id": null,
                "subject": "child", "team_id": format!("t{}", number % 20), "opened_at": at, "closed_at": null,
                "closure_reason": null, "primary_need": "N1", "non_sw_lead_agreed": null}),
            ),
        ),
        _ => (
            json!({"allocation_id": format!("a{id}")}),
            common(
                json!({"allocation_id": format!("a{id}"), "case_id": format!("c{id}"), "team_id": "t1",
                "worker_id": format!("w{}", number % 300), "role": "primary", "holder_kind": "worker",
                "started_at": at, "ended_at": null, "end_reason": null}),
            ),
        ),
    }
}

fn topic(prefix: &str, table: &str) -> String {
    format!("{prefix}{table}")
}

fn create_topics(kafka: &Kafka, prefix: &str) {
    let names: Vec<_> = TABLES.iter().map(|table| topic(prefix, table)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    kafka.create_topics(&names, PARTITIONS, &[]);
}

/// Writes `events` events at about `per_second`, then says that it is done.
fn write(kafka: &Kafka, prefix: &str, events: u64, per_second: u64, done: &AtomicBool) -> Written {
    let producer = kafka.producer();
    let mut random = ChaCha8Rng::seed_from_u64(events);
    let mut written = Written::default();
    let step = (per_second / 20).max(1);
    for number in 1..=events {
        let (table, messages, what) = event(number, &mut random);
        messages
            .iter()
            .for_each(|message| send(&producer, &topic(prefix, table), message));
        written.rows += what.rows;
        written.poison += what.poison;
        written.tombstones += what.tombstones;
        if number.is_multiple_of(step) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    producer
        .flush(Duration::from_secs(60))
        .expect("the broker takes every event");
    done.store(true, Ordering::Release);
    written
}

fn expected(kafka: &Kafka, prefix: &str) -> Vec<Expected> {
    let mut all = Vec::new();
    for table in TABLES {
        for partition in 0..PARTITIONS {
            let name = topic(prefix, table);
            let (first, end) = kafka.watermarks(&name, partition);
            all.push(Expected {
                table: table.to_owned(),
                topic: name,
                partition,
                first,
                end,
            });
        }
    }
    all
}

fn wait_for_the_end(sql: &Sql, expected: &[Expected]) {
    until("the lake to hold every offset", Duration::from_secs(120), || {
        thread::sleep(Duration::from_millis(500));
        let positions = proof::positions(sql)?;
        let behind = expected.iter().find(|partition| {
            let place = (partition.topic.clone(), i64::from(partition.partition));
            positions.get(&place).copied().unwrap_or(0) < partition.end
        });
        match behind {
            Some(partition) => Err(format!("{partition:?} is at {positions:?}")),
            None => Ok(()),
        }
    });
}

fn hold_against(written: Written, found: Proof) {
    assert_eq!(found.data_offsets, written.rows, "rows written and rows in the lake");
    assert_eq!(found.dead_letters, written.poison, "what is no event, and dead letters");
    assert_eq!(found.tombstones, written.tombstones);
    assert_eq!(found.holes, 0);
}

fn config(kafka: &Kafka, prefix: &str) -> Config {
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("test", prefix, &TABLES)]);
    config.group = prefix.trim_end_matches('.').to_owned();
    config.more = "\n[maintenance]\ninterval = \"1s\"\n".to_owned();
    config
}

fn classic(config: Config, strategy: &str) -> Config {
    let config = config
        .property("session.timeout.ms", "1500")
        .property("heartbeat.interval.ms", "300");
    config.property("partition.assignment.strategy", strategy)
}

#[test]
fn two_hundred_thousand_events_arrive_once_through_twenty_kills_at_random_moments() {
    let kafka = Kafka::start();
    create_topics(&kafka, "kill.");
    let config = classic(config(&kafka, "kill."), "cooperative-sticky");
    let done = AtomicBool::new(false);
    let (written, kills) = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&kafka, "kill.", 200_000, 5_000, &done));
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut kills = 0;
        let mut compaction = Casewatch::spawn(&config, &["maintain"]);
        while kills < 20 || !done.load(Ordering::Acquire) {
            let instance = Casewatch::spawn(&config, &["ingest"]);
            thread::sleep(Duration::from_millis(random.random_range(300..3_500)));
            instance.kill();
            kills += 1;
            // Compaction is killed too, now and then, in the middle of whatever it does.
            if kills % 5 == 0 {
                compaction.kill();
                compaction = Casewatch::spawn(&config, &["maintain"]);
            }
        }
        (writer.join().expect("the writer finishes"), kills)
    });
    assert!(kills >= 20);
    let _ingest = Casewatch::spawn(&config, &["ingest"]);
    let _compaction = Casewatch::spawn(&config, &["maintain"]);
    let (sql, expected) = (config.lake_sql(), expected(&kafka, "kill."));
    wait_for_the_end(&sql, &expected);
    hold_against(written, proof::exactly_once(&sql, &expected));
    let compactions = sql.count("select count(*) from lake.commits where kind = 'compact'");
    println!("{kills} kills, {compactions} compactions, {written:?}");
    assert!(compactions > 0, "compaction ran beside it");
}

/// Three replicas come and go, one is frozen past its session and wakes as a zombie that still believes it owns its
/// partitions. What it holds is fenced.
fn replicas(kafka: &Kafka, prefix: &str, configure: impl Fn(Config) -> Config, session: Duration) {
    create_topics(kafka, prefix);
    let config = configure(config(kafka, prefix));
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| write(kafka, prefix, 60_000, 3_000, &done));
        let _compaction = Casewatch::spawn(&config, &["maintain"]);
        let first = Casewatch::spawn(&config, &["ingest"]);
        thread::sleep(Duration::from_secs(2));
        let mut second = Casewatch::spawn(&config, &["ingest"]);
        thread::sleep(Duration::from_secs(2));
        let third = Casewatch::spawn(&config, &["ingest"]);
        thread::sleep(Duration::from_secs(2));
        first.freeze();
        thread::sleep(session + Duration::from_secs(2));
        first.thaw();
        thread::sleep(Duration::from_secs(2));
        assert!(
            second.stop(Duration::from_secs(15)).success(),
            "a clean stop:\n{}",
            second.log()
        );
        third.kill();
        let fourth = Casewatch::spawn(&config, &["ingest"]);
        let written = writer.join().expect("the writer finishes");
        let expected = expected(kafka, prefix);
        wait_for_the_end(&config.lake_sql(), &expected);
        drop((first, fourth));
        written
    });
    hold_against(
        written,
        proof::exactly_once(&config.lake_sql(), &expected(kafka, prefix)),
    );
}

#[test]
fn replicas_that_join_leave_freeze_and_wake_again_write_each_event_once() {
    let kafka = Kafka::start();
    let session = Duration::from_millis(1_500);
    thread::scope(|scope| {
        for (prefix, strategy) in [("eager.", "range"), ("cooperative.", "cooperative-sticky")] {
            let kafka = &kafka;
            scope.spawn(move || replicas(kafka, prefix, |config| classic(config, strategy), session));
        }
        // KIP-848: the broker keeps the session, six seconds in its settings.
        let consumer = |config: Config| config.property("group.protocol", "consumer");
        replicas(&kafka, "kip848.", consumer, Duration::from_secs(6));
    });
}
