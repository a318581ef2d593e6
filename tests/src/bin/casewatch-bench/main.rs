//! `make bench`: how fast casewatch is on this machine, against a real Kafka. Prints a table of medians and writes it
//! as JSON. Ratios are taken within one run on one broker. Never part of a test: numbers depend on the machine.
//!
//! usage: casewatch-bench [decode|ingest|freshness|isolation|refresh|restart]... [--runs N] [--events N] [--json FILE]

mod askers;
mod examples;
mod freshness;
mod ingest;
mod isolation;
mod process;
mod restart;
mod rows;
mod stream;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

const USAGE: &str = "usage: casewatch-bench [decode|ingest|freshness|isolation|refresh|restart]... [--runs N] [--events N] [--json FILE]";

/// The longest that one step may take: a benchmark that hangs must end.
const PATIENCE: Duration = Duration::from_secs(1_800);

struct Options {
    parts: Vec<String>,
    /// Of each measurement; the median is shown.
    runs: usize,
    /// Of the history that a restart comes back from.
    events: u64,
    json: Option<String>,
}

/// One row of the table: the median of its runs.
struct Figure {
    what: String,
    median: f64,
    runs: usize,
    unit: &'static str,
    aim: &'static str,
}

impl Figure {
    fn new(what: impl Into<String>, mut values: Vec<f64>, unit: &'static str, aim: &'static str) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            what: what.into(),
            median: values[values.len() / 2],
            runs: values.len(),
            unit,
            aim,
        }
    }
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|name| name == part);
    let mut figures = Vec::new();
    if wanted("decode") {
        figures.extend(examples::decode());
    }
    if wanted("refresh") {
        figures.extend(examples::refresh(options.runs));
    }
    if wanted("ingest") {
        figures.extend(ingest::measure(options.runs));
    }
    if wanted("freshness") {
        figures.extend(freshness::measure());
    }
    if wanted("isolation") {
        figures.extend(isolation::measure(options.runs));
    }
    if wanted("restart") {
        figures.extend(restart::measure(options.runs, options.events));
    }
    println!("\n{:<62} {:>14} {:<14} {:>4}  aim", "what", "median", "unit", "runs");
    for figure in &figures {
        println!(
            "{:<62} {:>14.3} {:<14} {:>4}  {}",
            figure.what, figure.median, figure.unit, figure.runs, figure.aim
        );
    }
    let rows: Vec<Value> = figures
        .iter()
        .map(|figure| {
            json!({"what": figure.what, "median": figure.median, "unit": figure.unit, "runs": figure.runs,
                "aim": figure.aim})
        })
        .collect();
    if let Some(file) = &options.json {
        if let Err(error) = std::fs::write(file, format!("{:#}\n", Value::Array(rows))) {
            eprintln!("--json {file}: {error}");
            return ExitCode::FAILURE;
        }
        println!("\nwritten to {file}");
    }
    ExitCode::SUCCESS
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        parts: Vec::new(),
        runs: 5,
        events: 5_000_000,
        json: None,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, String> {
            let value = arguments.next().unwrap_or_default();
            match value.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{argument} needs a number above 0, not `{value}`")),
            }
        };
        match argument.as_str() {
            "--runs" => options.runs = usize::try_from(number()?).map_err(|error| error.to_string())?,
            "--events" => options.events = number()?,
            "--json" => options.json = Some(arguments.next().ok_or("--json needs a file")?),
            "decode" | "ingest" | "freshness" | "isolation" | "refresh" | "restart" => options.parts.push(argument),
            other => return Err(format!("unknown `{other}`")),
        }
    }
    Ok(options)
}
