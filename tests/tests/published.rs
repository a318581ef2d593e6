//! DfE's published figures through the whole system: `casewatch simulate --from-csv` to Kafka, the lake, SQL, and the report
//! that compares what was counted with what was published.

use std::path::{Path, PathBuf};
use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, alone, root, until};
use tempfile::TempDir;

const PREFIX: &str = "published.";
const PATIENCE: Duration = Duration::from_secs(120);
/// A county that ends, the smallest county, and a borough with figures that do not explain each other.
const AUTHORITIES: [&str; 3] = ["Northamptonshire", "Rutland", "Merton"];

fn shipped() -> String {
    let path = root().join("queries/reference/dfe_workforce_local_authority_2017_2022.csv");
    std::fs::read_to_string(path).expect("the shipped file can be read")
}

/// The shipped file's rows of some authorities, and how many there are of a year.
fn some_authorities(folder: &Path) -> (PathBuf, impl Fn(&str) -> usize) {
    let text = shipped();
    let chosen: Vec<String> = text
        .lines()
        .enumerate()
        .filter(|(number, line)| *number == 0 || AUTHORITIES.iter().any(|name| line.contains(&format!(",{name},"))))
        .map(|(_, line)| line.to_owned())
        .collect();
    let path = folder.join("figures.csv");
    std::fs::write(&path, chosen.join("\n") + "\n").expect("a temporary folder takes a file");
    let rows = move |year: &str| {
        chosen
            .iter()
            .filter(|line| line.starts_with(&format!("{year},")))
            .count()
    };
    (path, rows)
}

#[test]
fn what_dfe_published_comes_back_through_kafka_the_lake_and_sql() {
    let _alone = alone();
    let folder = TempDir::new().expect("a folder");
    let (file, rows) = some_authorities(folder.path());
    let kafka = Kafka::start();
    let file = file.display().to_string();
    let arguments = [
        "simulate",
        "--from-csv",
        &file,
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        PREFIX,
    ];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = Config::new(kafka.brokers(), vec![Feed::new("published", PREFIX, &[])]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    let report = std::fs::read_to_string(root().join("queries/reports/published_rates.sql")).expect("the report");
    // 2022-09-30T00:00:00Z: every feed's last row is of that day's end.
    until("the live tables to reach the last census", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(300));
        let cut = casewatch
            .metrics()
            .max("casewatch_cut_timestamp_seconds", &[])
            .ok_or("no cut yet")?;
        if cut < 1_664_496_000.0 {
            Err(format!("the cut stands at {cut}"))
        } else {
            Ok(())
        }
    });
    let mut compared = 0;
    for year in ["2017", "2018", "2019", "2020", "2021", "2022"] {
        let found = casewatch.sql().with("--as-of", &format!("{year}-09-30")).rows(&report);
        assert_eq!(found.len(), 5 * rows(year), "five measures an authority in {year}");
        for row in &found {
            assert_eq!(row["agrees"], true, "{row}");
        }
        compared += found.len();
    }
    assert!(compared >= 5 * 15, "{compared}");
}

#[test]
fn a_file_of_figures_becomes_the_extracts_of_the_tables_it_speaks_of() {
    let folder = TempDir::new().expect("a folder");
    let (file, _) = some_authorities(folder.path());
    let extracts = folder.path().join("extracts");
    let (file, place) = (file.display().to_string(), extracts.display().to_string());
    let output = run(&["simulate", "--from-csv", &file, "--files", &place, "--extract"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut names: Vec<String> = std::fs::read_dir(&extracts)
        .expect("the folder was made")
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    let tables = [
        "absences",
        "allocations",
        "cases",
        "contracts",
        "feeds",
        "posts",
        "teams",
        "workers",
    ];
    assert_eq!(names, tables.map(|table| format!("{table}.csv")));
    for table in tables {
        let text = std::fs::read_to_string(extracts.join(format!("{table}.csv"))).expect("a file");
        assert!(text.lines().count() > AUTHORITIES.len(), "{table}");
    }
}

#[test]
fn a_file_that_is_not_understood_is_refused_before_anything_is_sent() {
    let folder = TempDir::new().expect("a folder");
    let (file, _) = some_authorities(folder.path());
    let text = std::fs::read_to_string(&file).expect("it was written");
    let row = text.lines().nth(2).expect("several rows").to_owned();
    let fields: Vec<&str> = row.split(',').collect();
    let broken = fields
        .iter()
        .enumerate()
        .map(|(n, field)| if n == 10 { "many" } else { *field });
    std::fs::write(&file, text.replace(&row, &broken.collect::<Vec<_>>().join(","))).expect("it can be written");
    let out = folder.path().join("out");
    let (name, place) = (file.display().to_string(), out.display().to_string());
    let output = run(&["simulate", "--from-csv", &name, "--files", &place]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = format!("{name}: line 3, column inpost_fte: `many` is neither a number");
    assert!(said.contains(&expected) && said.contains("hint:"), "{said}");
    assert!(!out.exists(), "nothing was written");
    let output = run(&[
        "simulate",
        "--from-csv",
        &name,
        "--scenario",
        "steady",
        "--files",
        &place,
    ]);
    assert_eq!(output.status.code(), Some(2), "a scenario and a file at once");
}
