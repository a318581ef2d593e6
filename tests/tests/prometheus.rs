//! A real Prometheus scrapes casewatch and is asked over its API; promtool reads the exposition.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Prometheus, alone, http, root, until};

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

    // As an alert asks: 551 is above each tier of the authority's own.
    let mut reached: Vec<String> = prometheus
        .query(
            "sum by (authority) (casewatch_cases_no_holder) > on (authority) group_right () \
             casewatch_threshold{metric=\"casewatch_cases_no_holder\"}",
        )
        .into_iter()
        .map(|(labels, _)| labels["tier"].as_str().unwrap_or_default().to_owned())
        .collect();
    reached.sort();
    assert_eq!(reached, ["page", "page_twice", "warn", "watch"]);

    let exposition = casewatch.get("/metrics").expect("it serves /metrics");
    assert!(
        exposition.content_type.starts_with("text/plain"),
        "{}",
        exposition.content_type
    );
    promtool_finds_nothing_wrong(&exposition.body);
    every_metric_of_its_own_is_listed(&exposition.body);
    its_own_metrics_are_right(&casewatch, &config);
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

/// Name, type and whether it is always there, from the tables of deploy/METRICS.md.
fn listed() -> Vec<(String, String, bool)> {
    let page = std::fs::read_to_string(root().join("deploy/METRICS.md")).expect("the page can be read");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (
            cells[0].trim_end_matches('`').to_owned(),
            cells[1].to_owned(),
            cells[3] == "always",
        )
    })
    .collect()
}

/// The page tells the truth, and all of it. What happens only in trouble is looked for in the code instead.
fn every_metric_of_its_own_is_listed(text: &str) {
    let mut queries = String::new();
    text_of_files(&root().join("queries/metrics"), &mut queries);
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let exposed: Vec<(&str, &str)> = types
        .filter(|(name, _)| !queries.contains(&format!("-- name: {name}\n")))
        .collect();
    let listed = listed();
    for (name, kind) in &exposed {
        let found = listed.iter().find(|(listed, ..)| listed == name);
        let (_, documented, _) = found.unwrap_or_else(|| panic!("deploy/METRICS.md does not list {name}"));
        assert_eq!(documented, kind, "the type of {name} in deploy/METRICS.md");
        assert_eq!(
            name.ends_with("_total"),
            *kind == "counter",
            "counters, and only they, end in _total: {name}"
        );
    }
    let mut code = String::new();
    text_of_files(&root().join("services"), &mut code);
    for (name, _, always) in &listed {
        let is_there = exposed.iter().any(|(exposed, _)| exposed == name);
        assert!(is_there || !always, "{name} is listed as always there, and is not");
        assert!(
            is_there || code.contains(&format!("\"{name}\"")),
            "nothing makes {name} any more"
        );
    }
}

fn text_of_files(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            text_of_files(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "sql") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

/// What it says of itself is what SQL says of it.
fn its_own_metrics_are_right(casewatch: &Casewatch, config: &Config) {
    let stored = || {
        let rows = config
            .lake_sql()
            .try_rows("select count(*) as n from history.cases")
            .unwrap_or_default();
        rows.first().and_then(|row| row["n"].as_f64())
    };
    let cases = [("table", "cases")];
    until(
        "the lake to hold what was read, and the lag to be told",
        PATIENCE,
        || {
            let scrape = casewatch.metrics();
            let read = |role| scrape.sum("casewatch_rows_total", &[cases[0], ("role", role)]);
            let lag = |role| scrape.sum("casewatch_consumer_lag", &[("role", role)]);
            match (read("ingest"), read("live"), stored(), lag("ingest"), lag("live")) {
                (Some(ingested), Some(folded), Some(stored), Some(0.0), Some(0.0))
                    if ingested == stored && folded == stored =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        },
    );
    let scrape = casewatch.metrics();
    let live = casewatch.sql().count("select count(*) from cases") as f64;
    assert_eq!(scrape.sum("casewatch_live_rows", &cases), Some(live));
    let lake = config.lake_sql();
    let commits =
        lake.count("select count(distinct version) from lake.commits where \"table\" = 'cases' and kind = 'append'");
    assert_eq!(scrape.sum("casewatch_commits_total", &cases), Some(commits as f64));
    assert_eq!(
        scrape.sum("casewatch_flushes_total", &cases),
        Some(commits as f64),
        "each flush was one commit"
    );
    assert!(scrape.sum("casewatch_live_changes_total", &[("kind", "upsert")]) >= Some(live));
    let exported = scrape.select("casewatch_cases_no_holder", &[]).len() as f64;
    let query = [("query", "casewatch_cases_no_holder")];
    assert_eq!(scrape.sum("casewatch_query_series", &query), Some(exported));
    let state = [query[0], ("state", "ok")];
    assert_eq!(scrape.sum("casewatch_query_state", &state), Some(1.0));
    for counted in [
        "casewatch_freshness_seconds_count",
        "casewatch_query_seconds_count",
        "casewatch_flush_seconds_count",
        "casewatch_files_total",
        "casewatch_lake_bytes_total",
        "casewatch_read_bytes_total",
        "casewatch_live_bytes",
    ] {
        assert!(scrape.sum(counted, &[]) > Some(0.0), "{counted}");
    }
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
