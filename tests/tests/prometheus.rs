//! A real Prometheus scrapes casewatch and is asked over its API; promtool reads the exposition.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Prometheus, alone, http, until};

const PREFIX: &str = "casewatch.public.";
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn prometheus_scrapes_what_casewatch_serves_and_gives_it_back() {
    let _alone = alone();
    let kafka = Kafka::start();
    let simulated = run(&[
        "simulate",
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        PREFIX,
        "--until",
        "2018-01-31",
    ]);
    assert!(
        simulated.status.success(),
        "{}",
        String::from_utf8_lossy(&simulated.stderr)
    );
    let config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    let prometheus = Prometheus::start(&casewatch.address(), &[]);

    let no_holder = |found: Vec<(serde_json::Value, f64)>| match found.as_slice() {
        [(_, value)] if *value == 551.0 => Ok(()),
        other => Err(format!("{other:?} instead of 551")),
    };
    until("Prometheus to hold the published number", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(300));
        no_holder(prometheus.query("sum(casewatch_cases_no_holder)"))
    });
    assert_eq!(
        prometheus
            .query("up{job=\"casewatch\"}")
            .first()
            .map(|(_, value)| *value),
        Some(1.0)
    );
    let (known, _) = prometheus.query("casewatch_build_info").remove(0);
    assert!(known["version"].is_string(), "{known}");
    let metadata = prometheus.get("/api/v1/metadata?metric=casewatch_cases_no_holder");
    assert_eq!(
        metadata["data"]["casewatch_cases_no_holder"][0]["type"], "gauge",
        "{metadata}"
    );

    let exposition = casewatch.get("/metrics").expect("it serves /metrics");
    assert!(
        exposition.content_type.starts_with("text/plain"),
        "{}",
        exposition.content_type
    );
    promtool_finds_nothing_wrong(&exposition.body);
    let open = http::get_as(
        &casewatch.url("/metrics"),
        "application/openmetrics-text; version=1.0.0",
    )
    .unwrap();
    assert!(
        open.content_type.starts_with("application/openmetrics-text"),
        "{}",
        open.content_type
    );
    assert!(open.body.ends_with("# EOF\n"));
    no_child_stands_in(&exposition.body);

    assert!(
        casewatch.stop(Duration::from_secs(5)).success(),
        "a clean stop:\n{}",
        casewatch.log()
    );
}

fn promtool_finds_nothing_wrong(text: &str) {
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool can be run");
    promtool
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "promtool check metrics: {said}");
}

/// No label may carry what identifies a person or a case.
fn no_child_stands_in(text: &str) {
    for label in [
        "child_id=",
        "case_id=",
        "worker_id=",
        "household_id=",
        "swe_ref=",
        "hr_ref=",
    ] {
        assert!(!text.contains(label), "a label {label} is exposed");
    }
}
