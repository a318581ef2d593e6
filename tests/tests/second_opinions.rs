//! Others look at the lake of a whole scenario: DuckDB computes metrics by SQL of its own, `casewatch verify` proves
//! offsets, tables and metrics by plain SQL - and finds what was broken on purpose - and the rows behind a number are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::record_batch::RecordBatch;
use casewatch_tests::duckdb::{self, Labels};
use casewatch_tests::{DemoLake, Sql, json_lines, succeeded};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

const LAST_DAY: &str = "2019-05-31";
/// Every four months from the first to the last day: a 30 September and the days of published numbers among them.
const DAYS: [&str; 5] = ["2018-01-31", "2018-05-31", "2018-09-30", "2019-01-31", LAST_DAY];

fn demo_lake() -> Arc<DemoLake> {
    DemoLake::shared(LAST_DAY)
}

/// Day, metric and labels.
type Key = (String, String, Labels);

/// What `casewatch metrics` gives, summed over the labels that DuckDB's queries do not yield.
fn by_casewatch(
    lake: &DemoLake,
    queries: &BTreeMap<String, BTreeMap<String, Vec<String>>>,
    yielded: &BTreeMap<&str, BTreeSet<&String>>,
) -> BTreeMap<Key, f64> {
    let mut options: Vec<&str> = queries.keys().map(String::as_str).collect();
    options.extend(["--from", DAYS[0], "--to", LAST_DAY, "--step", "4months"]);
    let mut sums: BTreeMap<Key, f64> = BTreeMap::new();
    for line in lake.metrics(&options) {
        let text = |of: &Value| of.as_str().expect("text").to_owned();
        let (metric, Some(value)) = (text(&line["metric"]), line["value"].as_f64()) else {
            panic!("without a value: {line}")
        };
        let label = |name: &String| line["labels"][name].as_str().unwrap_or_default().to_owned();
        if queries[&metric].iter().any(|(name, kept)| !kept.contains(&label(name))) {
            continue;
        }
        let names = yielded.get(metric.as_str()).into_iter().flatten();
        let labels = names.map(|name| ((*name).clone(), label(name))).collect();
        *sums.entry((text(&line["as_of"]), metric, labels)).or_default() += value;
    }
    sums
}

#[test]
fn duckdb_computes_the_same_metrics_from_the_same_delta_tables() {
    let lake = demo_lake();
    let queries = duckdb::queries();
    assert!(queries.len() >= 10, "{queries:?}");
    let samples = duckdb::samples(lake.path(), &DAYS);
    let mut yielded: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for sample in &samples {
        yielded.entry(&sample.metric).or_default().extend(sample.labels.keys());
    }
    let by_casewatch = by_casewatch(&lake, &queries, &yielded);
    let by_duckdb: BTreeMap<Key, f64> = samples
        .iter()
        .map(|sample| {
            let key = (sample.as_of.clone(), sample.metric.clone(), sample.labels.clone());
            (key, sample.value.unwrap_or(0.0))
        })
        .collect();
    let all: BTreeSet<&Key> = by_casewatch.keys().chain(by_duckdb.keys()).collect();
    let mut agreed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differ = Vec::new();
    for key in all {
        // One gives zeros for teams that have nothing, the other gives them no row.
        let number = |of: &BTreeMap<Key, f64>| of.get(key).copied().unwrap_or(0.0);
        let (ours, theirs) = (number(&by_casewatch), number(&by_duckdb));
        if (ours - theirs).abs() > 1e-9 * ours.abs().max(1.0) {
            differ.push(format!("{key:?}: {ours}, by DuckDB {theirs}"));
        } else if ours != 0.0 {
            *agreed.entry(&key.1).or_default() += 1;
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    for metric in queries.keys() {
        let found = agreed.get(metric.as_str()).copied().unwrap_or(0);
        assert!(
            found >= 3,
            "{metric}: {found} numbers above zero are too few to compare"
        );
        println!("{metric}: {found} equal numbers");
    }
    let no_holder = |day: &str| -> f64 {
        let here = |key: &&Key| key.0 == day && key.1 == "casewatch_cases_no_holder";
        by_duckdb.keys().filter(here).map(|key| by_duckdb[key]).sum()
    };
    assert_eq!((no_holder(DAYS[0]), no_holder(DAYS[3])), (551.0, 81.0), "as published");
}

/// The findings of `casewatch verify`, and its summary.
fn verify(lake: &DemoLake, names: &[&str], code: i32) -> (Vec<Value>, Value) {
    let mut arguments = vec!["verify", "--format", "json"];
    arguments.extend(names);
    let output = lake.run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let mut lines = json_lines(&String::from_utf8_lossy(&output.stdout));
    let summary = lines.pop().expect("the summary is the last line");
    assert_eq!(summary["differences"], json!(lines.len()));
    assert_eq!(said.contains("differences found"), code == 4, "{said}");
    (lines, summary)
}

#[test]
fn verify_proves_every_offset_every_table_and_every_metric_of_a_sound_lake() {
    let lake = demo_lake();
    let (findings, summary) = verify(&lake, &[], 0);
    assert_eq!(findings, Vec::<Value>::new());
    let count = |of: &Value| of.as_u64().unwrap_or(0);
    let offsets = &summary["offsets"];
    assert!(count(&offsets["with_rows"]) > 100_000, "{summary}");
    for none in ["holes", "dead_letters", "given_up"] {
        assert_eq!(count(&offsets[none]), 0, "{none}: {summary}");
    }
    assert_eq!(
        count(&offsets["offsets"]),
        count(&offsets["with_rows"]) + count(&offsets["tombstones"])
    );
    assert_eq!(summary["tables"], json!(17));
    assert!(count(&summary["rows"]) > 100_000, "{summary}");
    assert!(
        count(&summary["metrics"]) > 80 && count(&summary["samples"]) > 2_000,
        "{summary}"
    );
    let text = succeeded(&lake.run(&["verify", "casewatch_cases_open"]));
    assert!(
        text.ends_with("no difference\n") && text.contains("metrics  1 with"),
        "{text}"
    );
}

/// A Delta table's files, as its log adds them.
struct DeltaTable {
    folder: PathBuf,
    adds: Vec<Value>,
    versions: usize,
}

impl DeltaTable {
    fn open(lake: &Path, name: &str) -> Self {
        let folder = lake.join(name);
        let log = fs::read_dir(folder.join("_delta_log")).expect("a table has a log");
        let mut commits: Vec<PathBuf> = log.map(|entry| entry.expect("a log can be listed").path()).collect();
        commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        commits.sort();
        let texts = commits
            .iter()
            .map(|path| fs::read_to_string(path).expect("a commit is text"));
        let adds = texts.flat_map(|text| {
            json_lines(&text)
                .into_iter()
                .filter_map(|line| line.get("add").cloned())
        });
        Self {
            folder,
            adds: adds.collect(),
            versions: commits.len(),
        }
    }

    fn path(&self, add: &Value) -> PathBuf {
        self.folder.join(add["path"].as_str().expect("a file has a path"))
    }

    /// Another engine's commit.
    fn commit(&self, action: &Value) {
        let path = self.folder.join(format!("_delta_log/{:020}.json", self.versions));
        let info = json!({"commitInfo": {"timestamp": 1_600_000_000_000_i64, "operation": "WRITE"}});
        fs::write(path, format!("{info}\n{action}\n")).expect("a lake of the test's own takes a commit");
    }

    /// A second file beside one of the table's, with rows made of its rows.
    fn add_file(&self, like: &Value, rows: impl FnOnce(RecordBatch) -> RecordBatch) {
        let mut add = like.clone();
        let path = like["path"].as_str().expect("a file has a path");
        add["path"] = json!(path.replace("part-", "part-ffff"));
        let file = File::open(self.path(like)).expect("a file of the lake");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        let first = reader.expect("a Parquet file").next().expect("a file has rows");
        let rows = rows(first.expect("a Parquet file"));
        let file = File::create(self.path(&add)).expect("a lake of the test's own takes a file");
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("a writer");
        writer.write(&rows).expect("rows of the table");
        writer.close().expect("a file can be finished");
        add["size"] = json!(fs::metadata(self.path(&add)).expect("the file is there").len());
        add["stats"] = json!(format!("{{\"numRecords\":{}}}", rows.num_rows()));
        self.commit(&json!({ "add": add }));
    }
}

/// Whether a finding about a table's offsets says this.
fn told<'a>(findings: &'a [Value], table: &str, what: &str) -> Option<&'a Value> {
    findings.iter().find(|finding| {
        finding["check"] == "offsets"
            && finding["table"] == table
            && finding["what"].as_str().is_some_and(|said| said.contains(what))
    })
}

#[test]
fn verify_tells_rows_that_stand_twice_rows_that_are_gone_and_a_table_that_differs() {
    let lake = demo_lake().copy();

    let cases = DeltaTable::open(lake.path(), "cases");
    cases.add_file(&cases.adds[0], |rows| rows.slice(3, 2));
    let (findings, _) = verify(&lake, &["casewatch_cases_open"], 4);
    assert!(
        told(&findings, "cases", "stand more than once").is_some(),
        "{findings:?}"
    );
    assert!(
        findings.iter().all(|finding| finding["check"] == "offsets"),
        "the fold takes a row twice for one: {findings:?}"
    );

    let referrals = DeltaTable::open(lake.path(), "referrals");
    let gone = &referrals.adds[0];
    let remove = json!({"path": gone["path"], "dataChange": true, "deletionTimestamp": 1_600_000_000_000_i64});
    referrals.commit(&json!({ "remove": remove }));
    let teams = DeltaTable::open(lake.path(), "teams");
    teams.add_file(&teams.adds[0], |rows| {
        // Without its place in the order: the fold takes it for the oldest version, and sorting puts it last.
        let row = rows.slice(0, 1);
        let mut columns = row.columns().to_vec();
        for name in ["_seq", "_source", "name"] {
            let at = row.schema().index_of(name).expect("a column of the table");
            columns[at] = new_null_array(columns[at].data_type(), 1);
        }
        RecordBatch::try_new(row.schema(), columns).expect("stored columns may be null")
    });
    let (findings, _) = verify(&lake, &["casewatch_cases_open"], 4);
    let missing = told(&findings, "referrals", "that were committed have no row");
    let missing = missing.unwrap_or_else(|| panic!("{findings:?}"));
    assert!(missing["from"].as_i64() < missing["to"].as_i64(), "{missing}");
    let differs = findings.iter().find(|finding| finding["check"] == "table");
    let differs = differs.unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(
        (&differs["table"], &differs["changed"], &differs["columns"]),
        (&json!("teams"), &json!(1), &json!(["name"]))
    );
    let text = String::from_utf8_lossy(&lake.run(&["verify", "casewatch_cases_open"]).stdout).into_owned();
    assert!(
        text.contains("offsets that differ") && text.contains("rows of tables that differ: 1"),
        "{text}"
    );
}

#[test]
fn the_rows_that_explain_lists_are_those_that_were_counted() {
    let lake = demo_lake();
    let day = ["--as-of", "2018-10-17"];
    let explained = |more: &[&str]| {
        let mut arguments = vec!["explain", "casewatch_cases_no_holder", "service=front_door"];
        arguments.extend(day.iter().chain(more));
        succeeded(&lake.run(&arguments))
    };
    let explanation: Value = serde_json::from_str(&explained(&["--format", "json"])).expect("JSON");
    let samples = explanation["now"]["samples"].as_array().expect("samples");
    assert!(samples.iter().all(|sample| sample["labels"]["service"] == "front_door"));
    let counted: f64 = samples.iter().filter_map(|sample| sample["value"].as_f64()).sum();
    assert!(counted >= 267.0, "of the inspection letter, at least: {counted}");
    let statement = explanation["rows"][0]["statement"].as_str().expect("a statement");
    let listed = Sql::over_lake(lake.path()).with(day[0], day[1]);
    let listed = listed.rows(&format!(
        "select count(*) as n from ({statement}) as listed where no_holder"
    ));
    assert_eq!(listed[0]["n"].as_f64(), Some(counted), "{statement}");

    let text = explained(&[]);
    for part in [
        "allocation_state: ",
        "grace_workdays = 2",
        "over 380",
        statement,
        "--as-of 2018-10-17",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let unknown = lake.run(&["explain", "casewatch_cases_no_holder", "child=x"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        said.contains("has no label \"child\"") && said.contains("it has authority, service"),
        "{said}"
    );
}
