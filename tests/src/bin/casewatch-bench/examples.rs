//! Measurements of one crate, which are examples of that crate: they need nothing but a processor.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::Figure;

/// The output of an example that `make bench` has built.
fn run(name: &str, arguments: &[&str]) -> String {
    let own = std::env::current_exe().expect("a program knows its own file");
    let path = own.with_file_name("examples").join(name);
    let output = Command::new(&path).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `make bench`", path.display()));
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the examples print text")
}

/// Messages of Debezium to change batches, on one core; each line of the example is a median of eleven runs.
pub fn decode() -> Vec<Figure> {
    println!("decode: Debezium's messages to change batches on one core");
    let text = run("bench_decode", &["--json"]);
    let rows: Vec<Value> = serde_json::from_str(&text).expect("the example prints JSON");
    let figure = |row: &Value| {
        let what = row["what"].as_str().expect("a row says what it is");
        let rates: Vec<f64> = row["messages_per_cpu_second"]
            .as_array()
            .expect("a row has its runs")
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        let aim = if what.starts_with("Debezium-Avro, times as micro") {
            "500,000"
        } else {
            ""
        };
        Figure::new(format!("decode: {what}"), rates, "messages/CPU-s", aim)
    };
    rows.iter().map(figure).collect()
}

/// The whole catalogue over a cut, when all of it changed, when time moved, and when one table changed.
pub fn refresh(runs: usize) -> Vec<Figure> {
    println!("refresh: the catalogue over made-up tables");
    let sizes = [
        ("1 authority", ["--authorities", "1", "--history", "1"]),
        ("10 times the history", ["--authorities", "1", "--history", "10"]),
        ("100 authorities", ["--authorities", "100", "--history", "1"]),
    ];
    let cases = ["first", "every table changed", "allocations changed", "time moved"];
    let mut times: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    // The sizes take turns, so that what else the machine does falls on all of them.
    for _ in 0..runs {
        for (size, (_, arguments)) in sizes.iter().enumerate() {
            let text = run("refresh", &[arguments.as_slice(), &["--json"]].concat());
            let rows: Vec<Value> = serde_json::from_str(&text).expect("the example prints JSON");
            for case in cases {
                let row = rows
                    .iter()
                    .find(|row| row["what"] == case)
                    .expect("every case is measured");
                times
                    .entry((size, case))
                    .or_default()
                    .push(row["ms"].as_f64().expect("a time is a number"));
            }
        }
    }
    let mut figures = Vec::new();
    for (size, (name, _)) in sizes.iter().enumerate() {
        for case in cases {
            let aim = if size == 0 { "100" } else { "" };
            figures.push(Figure::new(
                format!("refresh: {name}, {case}"),
                times[&(size, case)].clone(),
                "ms",
                aim,
            ));
        }
    }
    for case in ["every table changed", "allocations changed"] {
        let ratios = times[&(1, case)]
            .iter()
            .zip(&times[&(0, case)])
            .map(|(long, short)| long / short);
        let what = format!("refresh: 10 times the history over once, {case}");
        figures.push(Figure::new(what, ratios.collect(), "ratio", "1.3"));
    }
    figures
}
