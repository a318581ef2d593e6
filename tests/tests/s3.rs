//! A lake in S3: what holds in a folder holds there, and a store that goes away is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use casewatch_contract::HmacKeys;
use casewatch_tests::casewatch::run;
use casewatch_tests::debezium::Change;
use casewatch_tests::kafka::send;
use casewatch_tests::proof::{self, Expected};
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Message, S3, Sql, alone, eventually, until};
use rdkafka::producer::Producer;
use serde_json::json;

const TOPIC: &str = "s3.cases";
const PARTITIONS: i32 = 3;
const START_US: i64 = 1_514_764_800_000_000; // 2018-01-01
const POISON_EVERY: u64 = 500;

/// The `number`th message: an open case of one of 400 children, now and then something that is no event.
fn message(number: u64) -> Message {
    if number.is_multiple_of(POISON_EVERY) {
        return Message {
            key: Some(b"{}".to_vec()),
            value: Some(b"{\"after\": ".to_vec()),
            partition: None,
        };
    }
    let at = START_US + number as i64 * 60_000_000;
    let opened_at = chrono::DateTime::from_timestamp_micros(at).expect("a time of this era");
    let row = json!({"case_id": format!("c{number}"), "child_id": format!("k{}", number % 400), "referral_id": null,
        "subject": "child", "team_id": "t1", "opened_at": opened_at.to_rfc3339(), "closed_at": null,
        "closure_reason": null, "primary_need": "N1", "non_sw_lead_agreed": null,
        "authority": "E10000021", "source_system": "test"});
    let change = Change {
        table: "cases",
        key: json!({"case_id": format!("c{number}")}),
        op: "c",
        after: row,
        recorded_at_us: at,
        lsn: number,
        snapshot: "false",
    };
    change.message()
}

/// Writes until told to stop; gives the number of messages.
fn write(kafka: &Kafka, per_second: u64, stop: &AtomicBool) -> u64 {
    let producer = kafka.producer();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        for _ in 0..per_second / 20 {
            number += 1;
            send(&producer, TOPIC, &message(number));
        }
        thread::sleep(Duration::from_millis(50));
    }
    producer
        .flush(Duration::from_secs(60))
        .expect("the broker takes every event");
    number
}

fn config(kafka: &Kafka, s3: &S3, lake: &str) -> Config {
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("test", "s3.", &["cases"])]);
    config.lake = s3.lake(lake).into();
    config.lake_options = s3.options();
    config.lake_settings = format!("payload_key = {:?}\n", "5a".repeat(32));
    config.more = "\n[maintenance]\ninterval = \"1s\"\npublish_current = \"1h\"\n".to_owned();
    config
        .property("session.timeout.ms", "3000")
        .property("heartbeat.interval.ms", "500")
}

fn expected(kafka: &Kafka) -> Vec<Expected> {
    let partition = |partition| {
        let (first, end) = kafka.watermarks(TOPIC, partition);
        let (table, topic) = ("cases".to_owned(), TOPIC.to_owned());
        Expected {
            table,
            topic,
            partition,
            first,
            end,
        }
    };
    (0..PARTITIONS).map(partition).collect()
}

fn committed(sql: &Sql) -> Result<i64, String> {
    proof::positions(sql).map(|positions| positions.values().sum())
}

/// Runs a command that must succeed, and gives what it prints.
fn command(arguments: &[&str]) -> String {
    let output = run(arguments);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}\n{out}\n{err}");
    out
}

#[test]
fn a_lake_in_s3_holds_each_event_once_through_kills_and_an_outage_and_can_be_backed_up_restored_and_erased_from() {
    let _alone = alone();
    let (kafka, mut s3) = (Kafka::start(), S3::start());
    kafka.create_topics(&[TOPIC], PARTITIONS, &[]);
    let config = config(&kafka, &s3, "main");
    let sql = config.lake_sql();
    let stop = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&kafka, 1_000, &stop));
        let mut live = Casewatch::spawn(&config, &["metrics"]);
        let compaction = Casewatch::spawn(&config, &["maintain"]);
        for milliseconds in [4_000, 1_500, 2_300, 3_100] {
            let killed = Casewatch::spawn(&config, &["ingest"]);
            thread::sleep(Duration::from_millis(milliseconds));
            killed.kill();
        }
        live.wait_until_ready();
        let mut ingest = Casewatch::spawn(&config, &["ingest"]);
        ingest.wait_until_up();
        let before = committed(&sql).expect("the store answers");
        until("a first commit after the kills", Duration::from_secs(60), || {
            let now = committed(&sql)?;
            if now > before {
                Ok(())
            } else {
                Err(format!("still at {now}"))
            }
        });

        until("compaction beside it", Duration::from_secs(60), || {
            let compactions = sql.try_rows("select version from lake.commits where kind = 'compact'")?;
            if compactions.is_empty() {
                Err(format!("{} messages are in the lake", committed(&sql)?))
            } else {
                Ok(())
            }
        });

        s3.stop();
        let waits = || {
            let waits = ingest.metrics().sum("casewatch_retries_total", &[("what", "lake")]);
            waits.unwrap_or_default() > 0.0
        };
        eventually("ingestion to say that it waits", Duration::from_secs(60), true, waits);
        let cases = || live.sql().count("select count(*) from cases");
        let then = cases();
        thread::sleep(Duration::from_secs(3));
        let now = cases();
        assert!(now > then + 1_000, "live numbers go on: {then} cases, then {now}");
        s3.start_again();
        let at_return = committed(&sql).expect("the store answers again");
        until("ingestion to go on by itself", Duration::from_secs(90), || {
            let now = committed(&sql)?;
            if now > at_return + 5_000 {
                Ok(())
            } else {
                Err(format!("at {now}, was at {at_return}"))
            }
        });
        stop.store(true, Ordering::Release);
        let written = writer.join().expect("the writer finishes") as i64;
        until(
            "the lake to hold every message",
            Duration::from_secs(120),
            || match committed(&sql)? {
                committed if committed == written => Ok(()),
                committed => Err(format!("{committed} of {written}")),
            },
        );
        drop((ingest, compaction));
        written
    });
    println!("{written} messages");
    let poison = written / POISON_EVERY as i64;
    let found = proof::exactly_once(&sql, &expected(&kafka));
    assert_eq!((found.data_offsets, found.dead_letters), (written - poison, poison));
    let file = config.write(0).display().to_string();
    let maintained = command(&["maintain", "--config", &file]);
    assert!(maintained.contains("1 tables published"), "{maintained}");

    let letter = &sql.rows("select topic, \"partition\", \"offset\" from lake.dead_letters limit 1")[0];
    let place = format!("test/{TOPIC}/0/{}/{}", letter["partition"], letter["offset"]);
    let shown = command(&["dead-letters", "show", &place, "--config", &file]);
    assert!(
        shown.contains("{\"after\": "),
        "its payload was sealed and is unsealed: {shown}"
    );

    let backup = config.folder.path().join("backup").display().to_string();
    command(&["backup", &backup, "--config", &file]);
    let restored = Config {
        lake: s3.lake("restored").into(),
        ..self::config(&kafka, &s3, "restored")
    };
    let restored_file = restored.write(0).display().to_string();
    let keys = config.folder.path().join("keys").display().to_string();
    command(&["restore", &backup, "--files-to", &keys, "--config", &restored_file]);
    assert_eq!(proof::exactly_once(&restored.lake_sql(), &expected(&kafka)), found);

    let erased = HmacKeys::demo().apply(&"child".into(), "k7");
    let (main, copy) = (
        s3.objects_that_say("main/", &erased),
        s3.objects_that_say("restored/", &erased),
    );
    assert!(!main.is_empty() && !copy.is_empty(), "{main:?} {copy:?}");
    let published = main.iter().filter(|object| object.starts_with("main/current/cases/"));
    assert!(published.count() > 0, "{main:?}");
    let identifier = config.folder.path().join("identifier");
    std::fs::write(&identifier, "k7\n").expect("the temporary folder takes a file");
    let identifier = identifier.display().to_string();
    let said = command(&[
        "erase",
        "--domain",
        "child",
        "--identifier-file",
        &identifier,
        "--yes",
        "--config",
        &file,
    ]);
    println!("{said}");
    assert_eq!(s3.objects_that_say("main/", &erased), Vec::<String>::new());
    assert_eq!(
        sql.count(&format!(
            "select count(*) from history.cases where child_id = '{erased}'"
        )),
        0
    );
}
