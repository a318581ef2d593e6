//! Kafka over TLS with a password: it is read from a file or the environment, a wrong one is said clearly, and none is
//! ever shown.

use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::debezium::Change;
use casewatch_tests::kafka::Secure;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Message, eventually, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "correct-horse-battery-staple-4711";
const WRONG: &str = "incorrect-donkey-0815";

fn worker(number: u64) -> Message {
    let key = json!({"worker_id": format!("w{number}")});
    let after = json!({"worker_id": format!("w{number}"), "hr_ref": null, "swe_ref": null, "swe_registered": true,
        "asye_started_on": null, "asye_ends_on": null, "authority": "E10000021", "source_system": "test"});
    Change {
        table: "workers",
        key,
        op: "c",
        after,
        recorded_at_us: 1_514_764_800_000_000 + number as i64 * 1_000_000,
        lsn: number,
        snapshot: "false",
    }
    .message()
}

/// Everything but the password, and logs as talkative as they can be.
fn config(secure: &Secure) -> Config {
    let mut config = Config::new(&secure.brokers, vec![Feed::new("test", "s.", &["workers"])])
        .property("security.protocol", "SASL_SSL")
        .property("sasl.mechanism", "SCRAM-SHA-512")
        .property("sasl.username", "casewatch")
        .property("ssl.ca.location", &secure.authority.display().to_string())
        .property("debug", "security,broker,conf");
    let talkative = ("RUST_LOG".to_owned(), "debug,librdkafka=trace".to_owned());
    config.environment.push(talkative);
    config
}

/// The password in a variable of the process.
fn with_variable(config: Config, password: &str) -> Config {
    let mut config = config.secret("sasl.password", "{ env = \"KAFKA_PASSWORD_OF_TEST\" }");
    let variable = ("KAFKA_PASSWORD_OF_TEST".to_owned(), password.to_owned());
    config.environment.push(variable);
    config
}

fn shows_no_secret(casewatch: &Casewatch) {
    let pages =
        ["/-/status", "/metrics", "/readyz", "/healthz"].map(|path| casewatch.get(path).expect("it answers").body);
    for text in pages.iter().chain([&casewatch.log()]) {
        for secret in [PASSWORD, WRONG] {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                panic!("a secret is shown: {line}");
            }
        }
    }
}

fn says_as_error(casewatch: &Casewatch, parts: &[&str]) {
    until("the reason in the log", PATIENCE, || {
        let log = casewatch.log();
        let is_it = |line: &str| line.contains("ERROR") && parts.iter().all(|part| line.contains(part));
        if log.lines().any(is_it) { Ok(()) } else { Err(log) }
    });
}

#[test]
fn the_password_comes_from_a_file_or_the_environment_and_is_never_shown() {
    let (kafka, secure) = Kafka::start_secure("casewatch", PASSWORD);
    kafka.create_topics(&["s.workers"], 1, &[]);
    kafka.produce("s.workers", (1..=3).map(worker));
    let file = format!("{{ file = {:?} }}", secure.password_file);
    let from_file = config(&secure).secret("sasl.password", &file);
    let mut casewatch = Casewatch::spawn(&from_file, &[]);
    casewatch.wait_until_ready();
    assert_eq!(casewatch.sql().count("select count(*) from workers"), 3);
    eventually("the lake over TLS", PATIENCE, 3, || {
        let rows = from_file
            .lake_sql()
            .try_rows("select count(*) as n from history.workers");
        rows.ok().and_then(|rows| rows[0]["n"].as_i64()).unwrap_or(-1)
    });
    assert!(
        casewatch.log().contains("DEBUG"),
        "the log is as talkative as it was asked to be"
    );
    shows_no_secret(&casewatch);
    assert!(casewatch.stop(Duration::from_secs(10)).success(), "{}", casewatch.log());

    let from_environment = with_variable(config(&secure), PASSWORD);
    let mut casewatch = Casewatch::spawn(&from_environment, &["metrics"]);
    casewatch.wait_until_ready();
    assert_eq!(casewatch.sql().count("select count(*) from workers"), 3);
    shows_no_secret(&casewatch);
}

#[test]
fn a_wrong_password_and_an_unknown_authority_are_said_clearly_and_a_missing_secret_stops_the_start() {
    let (kafka, secure) = Kafka::start_secure("casewatch", PASSWORD);
    kafka.create_topics(&["s.workers"], 1, &[]);
    let wrong = with_variable(config(&secure), WRONG);
    let mut casewatch = Casewatch::spawn(&wrong, &[]);
    casewatch.wait_until_up();
    says_as_error(&casewatch, &["the broker refuses our credentials", "sasl.password"]);
    assert_ne!(casewatch.get("/readyz").map(|answer| answer.status), Ok(200));
    shows_no_secret(&casewatch);
    drop(casewatch);

    // The same of a command that sends: it gives up at once instead of waiting for brokers that will not come.
    let mut load = config(&secure).property("sasl.password", WRONG);
    load.feeds[0].order = "offset".to_owned();
    let delivery = load.folder.path().join("workers.csv");
    std::fs::write(&delivery, "worker_id,swe_registered\nw1,yes\n").expect("a folder takes a file");
    let loaded = run(&[
        "load",
        &delivery.display().to_string(),
        "--config",
        &load.write(9).display().to_string(),
        "--state",
        &load.folder.path().join("state").display().to_string(),
        "--feed=test",
        "--as-at=2026-06-01T02:00:00Z",
        "--complete",
        "--expected-next-by=2026-06-02T08:00:00Z",
        "--rows=workers=1",
        "--set=authority=E06000061",
    ]);
    let said = String::from_utf8_lossy(&loaded.stderr);
    assert!(!loaded.status.success());
    for part in ["nothing was sent", "refuse us", "Authentication failed", "hint:"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(!said.contains(WRONG), "a secret is shown: {said}");

    let mut distrusting = with_variable(config(&secure), PASSWORD);
    distrusting.properties.retain(|(key, _)| key != "ssl.ca.location");
    let mut casewatch = Casewatch::spawn(&distrusting, &[]);
    casewatch.wait_until_up();
    says_as_error(&casewatch, &["no TLS connection", "ssl.ca.location"]);
    shows_no_secret(&casewatch);
    drop(casewatch);

    let missing = config(&secure).secret("sasl.password", "{ file = \"/nowhere/password\" }");
    let file = missing.write(9).display().to_string();
    let refused = run(&["run", "--config", &file]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("kafka.properties.sasl.password") && said.contains("/nowhere/password"),
        "{said}"
    );
}
