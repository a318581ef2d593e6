//! The past of metrics: evaluated over a lake for any day, and written for a real Prometheus, which is asked over its API.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use casewatch_tests::casewatch::run;
use casewatch_tests::{DemoLake, Prometheus, Sql, succeeded};
use serde_json::Value;
use tempfile::TempDir;

const NO_HOLDER: &str = "casewatch_cases_no_holder";

/// The lake of a demo from January 2018 to December 2019.
fn demo_lake() -> Arc<DemoLake> {
    DemoLake::shared("2019-12-31")
}

fn backfill(demo: &DemoLake, from: &str, to: &str, step: &str, file: &Path) -> String {
    let file = file.display().to_string();
    let options = [
        "backfill",
        "--from",
        from,
        "--to",
        to,
        "--step",
        step,
        "--openmetrics",
        &file,
    ];
    succeeded(&demo.run(&options))
}

fn promtool_makes_blocks(file: &Path, data: &Path) {
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]);
    let output = promtool.arg(file).arg(data).output().expect("promtool can be run");
    succeeded(&output);
}

/// The last second of a day of 2018 or 2019 in London, which has summer time from late March to late October.
fn end_of(day: &str) -> i64 {
    let end: chrono::NaiveDateTime = format!("{day}T23:59:59")
        .parse()
        .expect("a day is written year-month-day");
    let is_summer = ("03-31".."10-27").contains(&&day[5..]);
    end.and_utc().timestamp() - if is_summer { 3600 } else { 0 }
}

/// Labels, the name among them, to value.
type Samples = BTreeMap<String, f64>;

fn series(labels: &Value) -> String {
    let labels = labels.as_object().expect("labels are an object");
    // To Prometheus a label without a value is no label.
    let labels: BTreeMap<_, _> = labels.iter().filter(|(_, value)| *value != "").collect();
    serde_json::to_string(&labels).expect("labels are text")
}

fn by_day(lines: &[Value]) -> BTreeMap<String, Samples> {
    let mut days: BTreeMap<String, Samples> = BTreeMap::new();
    for line in lines {
        let day = line["as_of"].as_str().expect("a day").to_owned();
        let samples = days.entry(day).or_default();
        if let Some(value) = line["value"].as_f64() {
            let mut labels = line["labels"].clone();
            labels["__name__"] = line["metric"].clone();
            samples.insert(series(&labels), value);
        }
    }
    days
}

/// The same series with the same numbers, but for the last digits of sums, whose order nobody promises.
fn assert_alike(found: &Samples, expected: &Samples, day: &str) {
    let names = |samples: &Samples| samples.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{day}");
    for (series, value) in found {
        let off = (value - expected[series]).abs();
        assert!(
            off <= value.abs() * 1e-12,
            "{day}: {series} is {value} instead of {}",
            expected[series]
        );
    }
}

fn held_by(prometheus: &Prometheus, day: &str) -> Samples {
    let found = prometheus.query_at("{__name__=~\"casewatch_.+\"}", end_of(day));
    found.iter().map(|(labels, value)| (series(labels), *value)).collect()
}

#[test]
fn a_metric_defined_today_gets_its_past_in_prometheus() {
    let demo = demo_lake();
    let folder = TempDir::new().expect("a folder");
    let (monthly, inspection) = (folder.path().join("monthly.txt"), folder.path().join("inspection.txt"));
    let said = backfill(&demo, "2018-01-31", "2019-12-31", "1month", &monthly);
    assert!(
        said.contains("at 24 moments from 2018-01-31") && said.contains("promtool tsdb create-blocks-from"),
        "{said}"
    );
    backfill(&demo, "2018-10-17", "2018-10-17", "1d", &inspection);
    let data = folder.path().join("data");
    for file in [&monthly, &inspection] {
        promtool_makes_blocks(file, &data);
    }
    let prometheus = Prometheus::over_blocks(&data);

    let no_holder = |day| match prometheus
        .query_at(&format!("sum({NO_HOLDER})"), end_of(day))
        .as_slice()
    {
        [(_, value)] => *value,
        other => panic!("{day}: {other:?}"),
    };
    assert_eq!(no_holder("2018-01-31"), 551.0, "news, January 2019");
    assert_eq!(no_holder("2018-10-17"), 383.0, "inspection letter");

    let mut shown = by_day(&demo.metrics(&["--from", "2018-01-31", "--to", "2019-12-31", "--step", "1month"]));
    shown.extend(by_day(&demo.metrics(&["--as-of", "2018-10-17"])));
    assert_eq!(shown.len(), 25);
    for (day, samples) in &shown {
        assert!(samples.len() > 500, "{day}: {} samples", samples.len());
        assert_alike(&held_by(&prometheus, day), samples, day);
    }
}

#[test]
fn a_backfill_without_a_file_fills_metrics_samples_once_and_leaves_out_what_may_still_change() {
    // What the demo closed of its days by itself is not there.
    let demo = demo_lake().copy();
    std::fs::remove_dir_all(demo.path().join("_samples")).expect("the demo closes its days");
    let fill = |to: &str| {
        let arguments = [
            "backfill",
            NO_HOLDER,
            "casewatch_cases_open",
            "--from",
            "2018-01-31",
            "--to",
            to,
            "--step",
            "1month",
        ];
        let output = demo.run(&arguments);
        (succeeded(&output), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (said, _) = fill("2018-03-31");
    assert!(
        said.contains(" new samples of 3 moments") && !said.contains(" 0 new"),
        "{said}"
    );
    let (again, note) = fill("2021-01-31");
    assert!(
        again.contains("new samples of 24 moments") || again.contains("new samples of 23 moments"),
        "{again}"
    );
    assert!(
        note.contains("moments are left out: the lake holds nothing recorded after them"),
        "{note}"
    );
    assert!(
        fill("2018-03-31").0.contains(": 0 new samples of 3 moments"),
        "each stands once"
    );
    let closed = Sql::over_lake(demo_lake().path())
        .count("select count(*) from metrics.samples where as_of between '2018-01-31T00:00:00Z' and '2018-01-31T23:59:59.999999Z'");
    assert!(closed > 1_000, "the demo closed the end of January: {closed} samples");

    let sql = Sql::over_lake(demo.path());
    let no_holder = format!(
        "select cast(sum(value) as bigint) from metrics.samples where metric = '{NO_HOLDER}' \
         and as_of between '2018-01-31T00:00:00Z' and '2018-01-31T23:59:59.999999Z'"
    );
    assert_eq!(sql.count(&no_holder), 551, "news, January 2019");
    let shown = by_day(&demo.metrics(&[NO_HOLDER, "casewatch_cases_open", "--as-of", "2018-03-31"]));
    let of_day = "as_of between '2018-03-31T00:00:00Z' and '2018-03-31T23:59:59Z'";
    let kept = sql.count(&format!("select count(*) from metrics.samples where {of_day}"));
    assert_eq!(kept, i64::try_from(shown["2018-03-31"].len()).expect("few"));
    let labelled = sql.count(&format!(
        "select count(distinct label(labels, 'authority')) from metrics.samples where {of_day}"
    ));
    assert_eq!(labelled, 1);
}

fn total(lines: &[Value]) -> f64 {
    lines.iter().filter_map(|line| line["value"].as_f64()).sum()
}

#[test]
fn a_range_gives_what_each_day_gives_alone_and_what_sql_gives() {
    let demo = demo_lake();
    let names = [
        NO_HOLDER,
        "casewatch_cases_open",
        "casewatch_no_holder_wait_mean_calendardays",
    ];
    for known_at in [None, Some("2019-06-30")] {
        let known: Vec<&str> = known_at.iter().flat_map(|at| ["--known-at", at]).collect();
        let with = |options: &[&str]| -> Vec<Value> {
            let all: Vec<&str> = names
                .iter()
                .chain(&known)
                .copied()
                .chain(options.iter().copied())
                .collect();
            demo.metrics(&all)
        };
        let range = by_day(&with(&[
            "--from",
            "2018-10-10",
            "--to",
            "2018-11-30",
            "--step",
            "1month",
        ]));
        assert_eq!(range.len(), 2);
        for (day, samples) in &range {
            assert_alike(&by_day(&with(&["--as-of", day]))[day], samples, day);
            let mut sql = Sql::over_lake(demo.path()).with("--as-of", day);
            if let Some(known_at) = known_at {
                sql = sql.with("--known-at", known_at);
            }
            let found = sql.count("select count(*) from allocation_state where no_holder");
            let shown: f64 = samples
                .iter()
                .filter(|(series, _)| series.contains(NO_HOLDER))
                .map(|(_, value)| value)
                .sum();
            assert_eq!(shown, found as f64, "{day}, known at {known_at:?}");
        }
    }
    assert_eq!(total(&demo.metrics(&[NO_HOLDER, "--as-of", "2018-01-31"])), 551.0);
    assert_eq!(total(&demo.metrics(&[NO_HOLDER, "--as-of", "2018-10-17"])), 383.0);
}

#[test]
fn before_the_first_snapshot_numbers_are_unknown_in_every_format_and_never_zero() {
    let demo = demo_lake();
    let before = |format: &str, more: &[&str]| {
        let mut arguments = vec!["metrics", NO_HOLDER, "--as-of", "2017-06-30", "--format", format];
        arguments.extend(more);
        succeeded(&demo.run(&arguments))
    };
    for format in ["table", "csv"] {
        let text = before(format, &[]);
        assert!(
            text.contains("unknown") && text.contains(" is not known before 2018-01-01"),
            "{text}"
        );
    }
    let line: Value = serde_json::from_str(&before("json", &[])).expect("one line");
    assert!(line["value"].is_null(), "{line}");
    assert!(
        line["reason"]
            .as_str()
            .expect("a reason")
            .starts_with("unknown: table "),
        "{line}"
    );
    let text = before("openmetrics", &[]);
    assert!(
        text.contains("Left out at 2017-06-30: unknown, table ") && !text.contains("\ncasewatch"),
        "{text}"
    );

    let assumed = before("csv", &["--assume-known"]);
    let rows: Vec<&str> = assumed.lines().collect();
    assert!(rows[0].ends_with(",assumed_known") && rows.len() > 2, "{assumed}");
    assert!(rows[1..].iter().all(|row| row.ends_with(",true")), "{assumed}");
    let known = demo.run(&[
        "metrics",
        NO_HOLDER,
        "--as-of",
        "2017-06-30",
        "--known-at",
        "2019-12-31",
        "--format",
        "json",
    ]);
    let known = succeeded(&known);
    assert!(
        !known.contains("unknown"),
        "what is known today of then is known: {known}"
    );
}

fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in parts.iter().chain(&["hint:"]) {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_hint() {
    let nowhere = run(&["metrics", "--as-of", "2018-10-17", "--lake", "/nowhere"]);
    refused(&nowhere, &["/nowhere is not a folder"]);
    let folder = TempDir::new().expect("a folder");
    let empty = folder.path().display().to_string();
    refused(
        &run(&["metrics", "--as-of", "2018-10-17", "--lake", &empty]),
        &["there is no lake at"],
    );
    let left = std::fs::read_dir(folder.path())
        .expect("a folder can be listed")
        .count();
    assert_eq!(left, 0, "no lake is started by looking for one");
    let range = [
        "metrics",
        "--from",
        "2019-01-01",
        "--to",
        "2018-01-01",
        "--lake",
        &empty,
    ];
    refused(&run(&range), &["--from 2019-01-01 is after --to 2018-01-01"]);
    let demo = demo_lake();
    let misspelt = demo.run(&["metrics", "casewatch_case_no_holder", "--as-of", "2018-10-17"]);
    refused(&misspelt, &["no metric is called casewatch_case_no_holder", NO_HOLDER]);
    let file = folder.path().join("past.txt").display().to_string();
    let young = demo.run(&["backfill", "--from", "today", "--to", "today", "--openmetrics", &file]);
    refused(&young, &["younger than three hours"]);
}

/// Labels of a line that are not the levels at which counts are summed.
fn others(line: &Value) -> Vec<(String, String)> {
    let labels = line["labels"].as_object().expect("labels are an object");
    let others = labels
        .iter()
        .filter(|(name, _)| !["service", "team"].contains(&name.as_str()));
    others.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

#[test]
fn what_is_published_shows_no_small_count_and_none_by_subtraction() {
    let demo = demo_lake();
    let exact = demo.metrics(&["--as-of", "2018-10-17"]);
    let published = demo.metrics(&["--as-of", "2018-10-17", "--publish"]);
    let is_hidden = |line: &&Value| line["reason"].as_str().is_some_and(|reason| reason.starts_with("c: "));
    let hidden: Vec<&Value> = published.iter().filter(is_hidden).collect();
    assert!(hidden.len() > 100, "{} withheld", hidden.len());

    // Every count that was 1 to 5 is withheld, none that was 0 is, and totals are what the parts come to.
    let mut counted = 0;
    for line in published
        .iter()
        .filter(|line| line["metric"] == NO_HOLDER || line["metric"] == "casewatch_cases_open")
    {
        let labels = line["labels"].as_object().expect("labels are an object");
        let fits = |other: &&Value| {
            let is_part = |(name, value): (&String, &Value)| *value == "all" || other["labels"][name] == *value;
            other["metric"] == line["metric"] && labels.iter().all(is_part)
        };
        let sum: f64 = exact
            .iter()
            .filter(fits)
            .filter_map(|other| other["value"].as_f64())
            .sum();
        match line["value"].as_f64() {
            Some(value) => {
                assert_eq!(value, sum, "{line}");
                assert!(!(1.0..=5.0).contains(&value), "{line}");
            }
            None => assert!(sum >= 1.0, "{line}"),
        }
        counted += 1;
    }
    assert!(counted > 200, "{counted} lines");

    // Where the total of a service's teams is shown, not just one of them is withheld.
    let mut totals = 0;
    for total in published
        .iter()
        .filter(|line| line["labels"]["team"] == "all" && line["value"].is_number())
    {
        let is_team = |line: &&Value| {
            line["metric"] == total["metric"]
                && line["labels"]["service"] == total["labels"]["service"]
                && line["labels"]["team"] != "all"
                && others(line) == others(total)
        };
        let teams: Vec<&Value> = published.iter().filter(is_team).collect();
        let withheld = teams.iter().filter(|line| line["value"].is_null()).count();
        let is_sum = ["casewatch_cases", "casewatch_visits_late", "casewatch_visits_owed"];
        if is_sum
            .iter()
            .any(|name| total["metric"].as_str().is_some_and(|metric| metric.starts_with(name)))
        {
            assert_ne!(withheld, 1, "{total}");
            totals += usize::from(withheld > 0);
        }
    }
    assert!(totals >= 5, "{totals} totals with withheld teams");

    // Whatever is asked for, the same is withheld.
    let alone = demo.metrics(&[NO_HOLDER, "--as-of", "2018-10-17", "--publish"]);
    let among: Vec<&Value> = published.iter().filter(|line| line["metric"] == NO_HOLDER).collect();
    assert_eq!(alone.iter().collect::<Vec<_>>(), among);
    let absent = published
        .iter()
        .find(|line| line["metric"] == "casewatch_cases_no_holder_net_flow")
        .expect("one line");
    assert_eq!(
        absent["reason"],
        "withheld: it sets a day against one of the month before it: what differs may be one child's case"
    );
}
