//! A small catalogue for the tests: two authorities, three teams, one below another.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use casewatch_contract::RecordedAt;
use casewatch_metrics::{Catalogue, Sample, SampleSet, SourceFile, Value};
use tempfile::TempDir;

use crate::figures::Figures;
use crate::layout::Layout;
use crate::names::{Authority, Names, Team};
use crate::subject::Called;

pub(crate) const BOARD: &str = r#"
title = "The board"
rollup = "all"

[units]
ratio = { shown = "%", times = 100 }

[[section]]
id = "safety"
title = "Safety"
lead = "One sentence."

[[section.tile]]
id = "waiting"
kind = "split"
title = "Waiting"
figure = { metric = "casewatch_waiting", combine = "sum", judged = true }
by = "state"
parts = [{ id = "late", title = "Late" }]
trend = true

[[section.tile]]
id = "oldest"
kind = "number"
title = "Oldest"
figure = { metric = "casewatch_oldest_calendardays", combine = "max" }

[[section.tile]]
id = "in_time"
kind = "number"
title = "In time"
figure = { metric = "casewatch_in_time_ratio", combine = "own" }
benchmarks = [{ id = "england", title = "England", metric = "casewatch_published_ratio", where = { area = "$region" }, newest = "year" }]

[[section.tile]]
id = "late_share"
kind = "number"
title = "Share that is late"
figure = { metric = "casewatch_waiting", where = { state = ["late"] }, combine = "ratio", over = { metric = "casewatch_waiting" } }

[[section.tile]]
id = "by_team"
kind = "table"
title = "By team"
by = "team"
columns = [
  { id = "waiting", title = "Waiting", figure = { metric = "casewatch_waiting", combine = "sum", judged = true } },
  { id = "in_time", title = "In time", figure = { metric = "casewatch_in_time_ratio", combine = "own" } },
]

[[section.tile]]
id = "rates"
kind = "rates"
title = "Rates"
benchmarks = [{ id = "region", title = "Region", metric = "casewatch_published_ratio", where = { area = "$region" }, newest = "year" }]
rows = [{ id = "in_time", title = "In time", figure = { metric = "casewatch_in_time_ratio", combine = "own" }, target = 90.0 }]
"#;

const THRESHOLDS: &str = r#"
[[threshold]]
metric = "casewatch_waiting"
by = ["authority", "service", "team"]
tiers = [{ tier = "warn", severity = "warn", over = 3 }, { tier = "page", severity = "page", over = 10 }]
"#;

const PUBLICATION: &str = r#"
levels = ["authority", "service", "team"]
parts = ["state"]
apart = ["area", "year"]
"#;

/// Name, labels, unit, how it is published.
const METRICS: [(&str, &str, &str, &str); 5] = [
    (
        "casewatch_waiting",
        "authority, service, team, state",
        "cases",
        "-- publish: count\n",
    ),
    (
        "casewatch_oldest_calendardays",
        "authority, service, team",
        "calendardays",
        "",
    ),
    (
        "casewatch_in_time_ratio",
        "authority, service, team",
        "ratio",
        "-- publish: share of part in base\n",
    ),
    ("casewatch_published_ratio", "area, year", "ratio", "-- publish: open\n"),
    ("casewatch_flow", "authority", "cases", ""),
];

pub(crate) fn write_queries(folder: &Path) {
    std::fs::create_dir_all(folder.join("metrics")).unwrap();
    for (name, labels, unit, publish) in METRICS {
        let text = format!(
            "-- name: {name}\n-- kind: gauge\n-- help: Help of {name}.\n-- unit: {unit}\n-- labels: {labels}\n\
             -- value: v\n-- needs:\n-- source: test\n-- owner: test\n{publish}select 1 as v\n"
        );
        std::fs::write(folder.join(format!("metrics/{name}.sql")), text).unwrap();
    }
    std::fs::write(folder.join("thresholds.toml"), THRESHOLDS).unwrap();
    std::fs::write(folder.join("publication.toml"), PUBLICATION).unwrap();
    std::fs::write(folder.join("board.toml"), BOARD).unwrap();
}

pub(crate) fn catalogue() -> Catalogue {
    let folder = TempDir::new().unwrap();
    write_queries(folder.path());
    Catalogue::load(folder.path()).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(crate) fn layout() -> Layout {
    Layout::parse(SourceFile::new("board.toml", BOARD))
        .map(|(layout, _)| layout)
        .unwrap()
}

fn set(catalogue: &Catalogue, metric: &str, rows: &[(&str, f64)]) -> Arc<SampleSet> {
    let definition = catalogue.metrics.iter().find(|it| it.name.name == metric).unwrap();
    let sample = |(labels, value): &(&str, f64)| Sample {
        labels: labels.split(' ').map(str::to_owned).collect(),
        value: Value::Number(*value),
    };
    Arc::new(SampleSet {
        definition: Arc::new(definition.clone()),
        as_of: RecordedAt(0),
        samples: rows.iter().map(sample).collect(),
        behind: Vec::new(),
    })
}

/// North has A1 with A2 below it, and B1; south has C1.
pub(crate) fn figures(catalogue: &Catalogue) -> Figures {
    let of = |metric: &str, rows: &[(&str, f64)]| (metric.to_owned(), Ok(set(catalogue, metric, rows)));
    let known = [
        of(
            "casewatch_waiting",
            &[
                ("north desk A1 late", 2.0),
                ("north desk A1 new", 1.0),
                ("north desk A2 late", 4.0),
                ("north desk A2 new", 1.0),
                ("north care B1 late", 0.0),
                ("north care B1 new", 2.0),
                ("south desk C1 late", 11.0),
                ("south desk C1 new", 9.0),
            ],
        ),
        of(
            "casewatch_oldest_calendardays",
            &[
                ("north desk A1", 12.0),
                ("north desk A2", 30.0),
                ("north care B1", 4.0),
                ("south desk C1", 75.0),
            ],
        ),
        of(
            "casewatch_in_time_ratio",
            &[
                ("north all all", 0.5),
                ("north desk all", 0.25),
                ("north desk A1", 0.75),
                ("south all all", 0.9),
            ],
        ),
        of(
            "casewatch_published_ratio",
            &[("Midlands 2017", 0.4), ("Midlands 2018", 0.6), ("Wales 2018", 0.1)],
        ),
    ];
    Figures::new(HashMap::from(known), Some(catalogue))
}

pub(crate) fn names() -> Names {
    let called = |id: &str| Called {
        id: id.to_owned(),
        name: format!("{id}'s name"),
    };
    let authority = |id: &str, region: &str| Authority {
        called: called(id),
        words: [("region".to_owned(), region.to_owned())].into(),
    };
    let team = |id: &str, service: &str, of: &str, parent: Option<&str>| Team {
        called: called(id),
        service: Some(service.to_owned()),
        authority: Some(of.to_owned()),
        parent: parent.map(str::to_owned),
    };
    Names {
        authorities: vec![authority("north", "Midlands"), authority("south", "Wales")],
        services: vec![called("desk"), called("care")],
        teams: vec![
            team("A1", "desk", "north", None),
            team("A2", "desk", "north", Some("A1")),
            team("B1", "care", "north", None),
            team("C1", "desk", "south", None),
        ],
    }
}
