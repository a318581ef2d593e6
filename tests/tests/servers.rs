//! The servers that the other tests stand on: they start, work, and leave nothing behind.

use casewatch_tests::{Kafka, Message, Postgres, Registry};
use serde_json::{Value, json};

fn alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
fn kafka_keeps_its_log_over_a_crash_and_loses_what_retention_takes() {
    let mut kafka = Kafka::start();
    kafka.create_topics(&["t"], 1, &[]);
    kafka.produce(
        "t",
        (0..3).map(|i| Message {
            value: Some(vec![i]),
            ..Message::default()
        }),
    );
    kafka.kill();
    kafka.start_again();
    assert_eq!(kafka.watermarks("t", 0), (0, 3));
    let values: Vec<_> = kafka.read("t", 0).into_iter().map(|message| message.value).collect();
    assert_eq!(values, [Some(vec![0]), Some(vec![1]), Some(vec![2])]);
    kafka.delete_records("t", 0, 2);
    assert_eq!(kafka.watermarks("t", 0), (2, 3));
}

#[test]
fn a_server_ends_when_its_value_is_dropped_and_takes_its_folder_along() {
    let postgres = Postgres::start();
    let (pid, log) = (postgres.server.pid, postgres.server.log.clone());
    assert_eq!(postgres.sql("show wal_level"), "logical");
    assert!(alive(pid) && log.exists());
    drop(postgres);
    assert!(!alive(pid) && !log.exists());
}

#[test]
fn the_registry_gives_back_what_was_registered_under_its_id() {
    let registry = Registry::start();
    let schema = json!({"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]});
    let id = registry.register("t-value", &schema);
    let answer = casewatch_tests::http::get(&format!("{}/schemas/ids/{id}", registry.url())).unwrap();
    let found: Value = serde_json::from_str(answer.json()["schema"].as_str().unwrap()).unwrap();
    assert_eq!(found, schema);
    let unknown = casewatch_tests::http::get(&format!("{}/schemas/ids/999999", registry.url())).unwrap();
    assert_eq!(unknown.status, 404);
}
