//! A catalogue, a layout and months of metrics for this crate's tests.

use std::path::Path;
use std::sync::Arc;

use casewatch_contract::RecordedAt;
use casewatch_metrics::{Catalogue, Diagnostics, Evaluated, Reading, Sample, SampleSet, Value, publish};
use chrono::{Days, Months, NaiveDate};
use tempfile::TempDir;

use crate::figures::Audience;
use crate::layout::{FILE, Layout};
use crate::page::{Authority, MonthEnd, Report, Request};

pub(crate) const LAYOUT: &str = r#"
title = "Monthly report"
introduction = "What <matters> & why."
authorities = "authorities.sql"
nation = "England"
months = 14
notable_change = 0.1

[[section]]
title = "Waiting"

[[section.indicator]]
title = "Waiting cases"
metric = "casewatch_waiting"
total = "sum"
good = "low"
target = "warn"
chart = true

[[section.indicator]]
title = "of these in team one"
metric = "casewatch_waiting"
where = { service = ["s"], team = ["t1"] }
total = "sum"
good = "low"
chart = true
part = true

[[section.indicator]]
title = "Mean wait in team one"
metric = "casewatch_wait_mean_calendardays"
where = { service = ["s"], team = ["t1"] }
total = "given"
good = "low"
chart = true

[[section.indicator]]
title = "Longest mean wait of a team"
metric = "casewatch_wait_mean_calendardays"
total = "max"
good = "low"

[[section.indicator]]
title = "Agency"
metric = "casewatch_agency_ratio"
total = "given"
good = "low"
benchmark = { metric = "casewatch_benchmark_ratio", where = { measure = ["agency"] } }
"#;

const THRESHOLDS: &str = r#"
[[threshold]]
metric = "casewatch_waiting"
by = ["authority"]
tiers = [
  { tier = "warn", severity = "warn", over = 50 },
  { tier = "page", severity = "page", over = 200 },
]
"#;

const PUBLICATION: &str = r#"
levels = ["authority", "service", "team"]
parts = ["status"]
apart = ["area", "measure", "year"]
"#;

fn metric(name: &str, unit: &str, labels: &str, published: &str) -> String {
    let published = match published {
        "" => String::new(),
        how => format!("-- publish: {how}\n"),
    };
    format!(
        "-- name: {name}\n-- kind: gauge\n-- help: What {name} is.\n-- unit: {unit}\n-- labels: {labels}\n-- value: value\n\
         -- needs:\n-- source: a test\n{published}-- owner: performance team\nselect 1\n"
    )
}

/// A directory of queries on disk.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let levels = "authority, service, team";
    put(
        "metrics/waiting.sql",
        &metric("casewatch_waiting", "people", &format!("{levels}, status"), "count"),
    );
    put(
        "metrics/mean.sql",
        &metric("casewatch_wait_mean_calendardays", "calendardays", levels, "over cases"),
    );
    put(
        "metrics/agency.sql",
        &metric("casewatch_agency_ratio", "ratio", "authority", ""),
    );
    put(
        "metrics/benchmark.sql",
        &metric("casewatch_benchmark_ratio", "ratio", "area, year, measure", "open"),
    );
    put("thresholds.toml", THRESHOLDS);
    put("publication.toml", PUBLICATION);
    put(FILE, LAYOUT);
    put("reports/authorities.sql", "select 1");
    directory
}

pub(crate) fn catalogue(directory: &Path) -> Catalogue {
    Catalogue::load(directory).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The layout with one text in it replaced, over the catalogue.
pub(crate) fn layout(from: &str, to: &str) -> Result<Layout, Diagnostics> {
    let directory = directory();
    assert!(
        from.is_empty() || LAYOUT.contains(from),
        "the test must change the file"
    );
    let text = if from.is_empty() {
        LAYOUT.to_owned()
    } else {
        LAYOUT.replacen(from, to, 1)
    };
    std::fs::write(directory.path().join(FILE), text).unwrap();
    Layout::load(directory.path(), &catalogue(directory.path()))
}

/// Rows of a metric: labels, value, and the number that publication judges by.
type Rows<'a> = &'a [(&'a str, f64, Option<f64>)];

fn evaluated(catalogue: &Catalogue, name: &str, rows: Rows<'_>) -> Evaluated {
    let definition = catalogue.metrics.iter().find(|metric| metric.name.name == name);
    let definition = Arc::new(definition.unwrap().clone());
    let samples = rows.iter().map(|(labels, value, _)| Sample {
        labels: labels.split(' ').map(str::to_owned).collect(),
        value: Value::Number(*value),
    });
    let set = SampleSet {
        definition: Arc::clone(&definition),
        as_of: RecordedAt(0),
        samples: samples.collect(),
        behind: rows
            .iter()
            .filter_map(|(.., behind)| behind.map(|number| vec![Some(number)]))
            .collect(),
    };
    Evaluated {
        definition,
        reading: Reading::Samples(Arc::new(set)),
        assumed: false,
    }
}

/// What the metrics were, with so many cases in team one of 67.
pub(crate) fn metrics(catalogue: &Catalogue, team_one: f64, mean: f64) -> Vec<Evaluated> {
    vec![
        evaluated(
            catalogue,
            "casewatch_waiting",
            &[
                ("E1 s t1 open", team_one, None),
                ("E1 s t2 open", 15.0 - team_one, None),
                ("E1 s t3 open", 0.0, None),
                ("E1 s t4 open", 52.0, None),
            ],
        ),
        evaluated(
            catalogue,
            "casewatch_wait_mean_calendardays",
            &[("E1 s t1", mean, Some(team_one)), ("E1 s t4", 7.25, Some(52.0))],
        ),
        evaluated(catalogue, "casewatch_agency_ratio", &[("E1", 0.25, None)]),
        evaluated(
            catalogue,
            "casewatch_benchmark_ratio",
            &[
                ("England 2017 agency", 0.158, None),
                ("England 2018 agency", 0.154, None),
                ("England 2018 vacancy", 0.165, None),
                ("East 2018 agency", 0.12, None),
            ],
        ),
    ]
}

/// The report of January 2019 over the months that `month` makes, counted from the report's own back.
pub(crate) fn report(audience: Audience, month: impl Fn(&Catalogue, u32) -> Vec<Evaluated>) -> Report {
    let directory = directory();
    let catalogue = catalogue(directory.path());
    let layout = Layout::load(directory.path(), &catalogue).unwrap_or_else(|faults| panic!("{faults}"));
    let first = NaiveDate::from_ymd_opt(2019, 2, 1).unwrap();
    let months: Vec<MonthEnd> = (0..14)
        .rev()
        .map(|back| {
            let metrics = month(&catalogue, back);
            MonthEnd {
                date: first - Months::new(back) - Days::new(1),
                metrics: match audience {
                    Audience::Inside => metrics,
                    Audience::Public => publish(metrics, &catalogue.publication),
                },
            }
        })
        .collect();
    Report::new(&Request {
        layout: &layout,
        catalogue: &catalogue,
        audience,
        authority: Authority {
            id: "E1".to_owned(),
            name: "Some & Other Shire".to_owned(),
            region: Some("East".to_owned()),
        },
        months: &months,
        known_at: None,
        recorded_up_to: "31 January 2019 at 17:30".to_owned(),
        ends_early: false,
        prepared_on: first,
        version: "0.1.0",
    })
}
