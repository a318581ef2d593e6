//! DuckDB over a lake: what the queries of `tests/duckdb/` give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::demo_lake::{json_lines, succeeded};

/// Labels and what stands under them.
pub type Labels = BTreeMap<String, String>;

/// What a query gave as of a day.
#[derive(Debug, Clone)]
pub struct DuckdbSample {
    pub as_of: String,
    pub metric: String,
    pub labels: Labels,
    pub value: Option<f64>,
}

/// The metrics that have a query, and which of their series each is about.
pub fn queries() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let files = std::fs::read_dir(folder().join("metrics")).expect("the folder of queries can be listed");
    let paths = files.map(|file| file.expect("the folder of queries can be listed").path());
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a query is text");
            let name = path.file_stem().expect("a file has a name").to_string_lossy();
            (name.into_owned(), kept_to(&text))
        })
        .collect()
}

/// What every query gives over a lake as of the ends of these days.
pub fn samples(lake: &Path, days: &[&str]) -> Vec<DuckdbSample> {
    let mut command = Command::new(crate::root().join("tests/servers/duckdb"));
    command.arg(lake).args(days).stdin(Stdio::null());
    let output = command.output().expect("tests/servers/duckdb can be run");
    let lines = json_lines(&succeeded(&output));
    lines.iter().map(sample).collect()
}

fn sample(line: &Value) -> DuckdbSample {
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let labels = line["labels"].as_object().expect("labels are an object");
    DuckdbSample {
        as_of: text(&line["as_of"]),
        metric: text(&line["metric"]),
        labels: labels.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        value: line["value"].as_f64(),
    }
}

/// `-- where: label = one | other, label = one`
fn kept_to(text: &str) -> BTreeMap<String, Vec<String>> {
    let given = text.lines().find_map(|line| line.strip_prefix("-- where: "));
    let conditions = given.into_iter().flat_map(|given| given.split(','));
    conditions
        .map(|condition| {
            let (label, values) = condition.split_once('=').expect("-- where: label = value");
            let values = values.split('|').map(|value| value.trim().to_owned());
            (label.trim().to_owned(), values.collect())
        })
        .collect()
}

fn folder() -> PathBuf {
    crate::root().join("tests/duckdb")
}
