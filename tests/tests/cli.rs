//! The command line as people and scripts use it: the monthly report, a first configuration, the status of an instance,
//! help and completions.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use casewatch_tests::casewatch::{binary, free_port, run};
use casewatch_tests::{Casewatch, DemoLake, Kafka, alone, succeeded, until};
use serde_json::Value;
use tempfile::TempDir;

const LAST_DAY: &str = "2019-01-31";

fn demo_lake() -> Arc<DemoLake> {
    DemoLake::shared(LAST_DAY)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report of a month as JSON.
fn report(lake: &DemoLake, month: &str, more: &[&str]) -> Value {
    let mut arguments = vec!["report", "--month", month, "--format", "json"];
    arguments.extend(more);
    let text = succeeded(&lake.run(&arguments));
    serde_json::from_str(&text).expect("a report is JSON")
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    let sections = report["sections"].as_array().expect("sections").iter();
    sections.flat_map(|section| section["rows"].as_array().expect("rows"))
}

fn row<'r>(report: &'r Value, title: &str) -> &'r Value {
    let found = rows(report).find(|row| row["title"] == title);
    found.unwrap_or_else(|| panic!("no row is called {title}"))
}

/// The sum of a metric's series that have these labels.
fn sum(lake: &DemoLake, metric: &str, as_of: &str, labels: &[(&str, &[&str])]) -> f64 {
    let lines = lake.metrics(&[metric, "--as-of", as_of]);
    let is_wanted = |line: &&Value| {
        let value = |label: &str| line["labels"][label].as_str().unwrap_or_default().to_owned();
        labels
            .iter()
            .all(|(label, values)| values.contains(&value(label).as_str()))
    };
    lines
        .iter()
        .filter(is_wanted)
        .map(|line| line["value"].as_f64().expect("a number"))
        .sum()
}

#[test]
fn the_monthly_report_has_what_the_metrics_were_at_the_ends_of_months() {
    let lake = demo_lake();
    let report = report(&lake, "2019-01", &[]);
    let number = |row: &Value| row["number"].as_f64();
    let headline = row(&report, "Children without a holder");
    assert_eq!(number(&headline["now"]), Some(81.0), "as published");
    assert_eq!(number(&headline["last_year"]["cell"]), Some(551.0), "as published");
    let protected: &[(&str, &[&str])] = &[("status", &["looked_after", "child_protection"])];
    let now: &[(&str, &[&str])] = &[("measured", &["now"])];
    let compared = [
        ("Children without a holder", "casewatch_cases_no_holder", &now[..0]),
        ("Open cases", "casewatch_cases_open", &now[..0]),
        (
            "Children without an effective worker",
            "casewatch_cases_no_effective_worker",
            &now[..0],
        ),
        ("Agency", "casewatch_agency_ratio", now),
    ];
    for (title, metric, labels) in compared {
        let found = row(&report, title);
        let factor = if title == "Agency" { 100.0 } else { 1.0 };
        for (cell, day) in [
            (&found["now"], "2019-01-31"),
            (&found["last_month"]["cell"], "2018-12-31"),
            (&found["last_year"]["cell"], "2018-01-31"),
        ] {
            let expected = factor * sum(&lake, metric, day, labels);
            let is = number(cell).unwrap_or_else(|| panic!("{title} at {day}: {cell}"));
            assert!(
                (is - expected).abs() <= 0.0501 * (factor / 100.0).max(1e-9),
                "{title} at {day}: {is}, not {expected}"
            );
        }
    }
    let part = rows(&report).find(|row| row["metric"] == "casewatch_cases_no_holder" && row["is_part"] == true);
    let expected = sum(&lake, "casewatch_cases_no_holder", LAST_DAY, protected);
    assert_eq!(number(&part.expect("a part")["now"]), Some(expected));
    let told = report["exceptions"]["crossed"].to_string();
    assert!(
        told.contains("Children without a holder: 81, above the level of 80 (warning)."),
        "{told}"
    );
    // The figures of September 2018 were published later.
    let later = self::report(&lake, "2019-01", &["--known-at", "today"]);
    for (report, year) in [(&report, "2017"), (&later, "2018")] {
        let turnover = row(report, "Turnover in the year to the day");
        assert_eq!(
            (&turnover["nation"]["year"], &turnover["region"]["year"]),
            (&Value::from(year), &Value::from(year))
        );
    }
    assert_eq!(report["authority"]["name"], "Northamptonshire");
    assert_eq!(report["known_at"], Value::Null);
}

#[test]
fn a_report_for_the_public_shows_what_publication_shows_and_nothing_else() {
    let lake = demo_lake();
    let report = report(&lake, "2019-01", &["--publish"]);
    let published = lake.metrics(&["--as-of", "2019-01-31", "--publish"]);
    let inside = self::report(&lake, "2019-01", &[]);
    let (mut shown, mut withheld) = (0, 0);
    for (public, own) in rows(&report).zip(rows(&inside)) {
        let metric = public["metric"].as_str().expect("a name");
        let cells: Vec<&Value> = published.iter().filter(|line| line["metric"] == metric).collect();
        match (public["now"]["number"].as_f64(), public["now"]["text"].as_str()) {
            (Some(number), _) => {
                assert_eq!(public["now"], own["now"], "{metric}");
                assert!(
                    cells.iter().any(|line| line["value"].is_number()),
                    "{metric}: {number} is not published"
                );
                shown += 1;
            }
            (None, Some("c")) => {
                let is_withheld = |line: &Value| line["reason"].as_str().is_some_and(|why| why.starts_with("c: "));
                assert!(
                    cells.iter().any(|line| is_withheld(line)),
                    "{metric} is withheld by nobody"
                );
                assert!(public["last_month"]["change"].is_null() && public["last_year"]["change"].is_null());
                withheld += 1;
            }
            (None, text) => assert!(
                matches!(text, Some("not published" | "\u{2013}" | "unknown")),
                "{metric}: {text:?}"
            ),
        }
        // What the whole authority comes to stands among the published cells as it is.
        if public["is_part"] == false && metric.starts_with("casewatch_cases_") && public["now"]["number"].is_number() {
            let is_total = |line: &&&Value| {
                let labels = line["labels"].as_object().expect("labels");
                labels.iter().all(|(name, value)| name == "authority" || value == "all")
            };
            let total = cells.iter().find(is_total).and_then(|line| line["value"].as_f64());
            // Shares are shown in per cent, to a tenth.
            let total = match metric.ends_with("_ratio") {
                true => total.map(|share| (share * 1_000.0).round() / 10.0),
                false => total,
            };
            assert_eq!(total, public["now"]["number"].as_f64(), "{metric}");
        }
    }
    assert!(
        shown >= 10 && withheld >= 1,
        "{shown} shown, {withheld} withheld: too few to compare"
    );
    // What is to stay where something has to go.
    assert_eq!(row(&report, "Children without a holder")["now"]["text"], "81");
    assert_eq!(row(&report, "Vacancy")["now"], row(&inside, "Vacancy")["now"]);
}

#[test]
fn a_report_is_one_file_named_after_authority_and_month_and_a_pdf_beside_it() {
    let lake = demo_lake();
    let folder = TempDir::new().expect("a folder");
    let out = folder.path().join("january.html");
    let place = out.display().to_string();
    let mut arguments = vec!["report", "--month", "2019-01", "--out", &place];
    let has_browser = ["/usr/bin/chromium", "/usr/bin/google-chrome"]
        .iter()
        .any(|path| Path::new(path).is_file());
    arguments.extend(has_browser.then_some("--pdf"));
    succeeded(&lake.run(&arguments));
    let html = std::fs::read_to_string(&out).expect("the file was written");
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("Northamptonshire") && html.contains("<svg"));
    assert!(html.contains("Not for publication."));
    if has_browser {
        let pdf = std::fs::read(out.with_extension("pdf")).expect("the PDF was written");
        assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{} bytes", pdf.len());
    }
    let mut command = Command::new(binary());
    let (root, path) = (casewatch_tests::root(), lake.path().display().to_string());
    let [schemas, queries] = ["schemas", "queries"].map(|name| root.join(name).display().to_string());
    command.args(["report", "--month", "2018-01", "--publish", "--lake", &path]);
    command
        .args(["--schemas", &schemas, "--queries", &queries])
        .current_dir(folder.path());
    let output = command.output().expect("the program can be run");
    assert_eq!(succeeded(&output), "report-E10000021-2018-01-public.html\n");
    let html = std::fs::read_to_string(folder.path().join("report-E10000021-2018-01-public.html"));
    assert!(html.expect("the file was written").contains("For publication."));
}

#[test]
fn what_no_report_can_be_made_of_is_refused_with_what_to_do() {
    let lake = demo_lake();
    let refused = |arguments: &[&str], code: i32, told: &str| {
        let output = lake.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(
            said(&output).contains(told) && said(&output).contains("hint:"),
            "{}",
            said(&output)
        );
    };
    refused(
        &["report", "--month", "2019-03"],
        3,
        "nothing of March 2019 is in the lake",
    );
    let other = [
        "report",
        "--month",
        "2019-01",
        "--format",
        "json",
        "--authority",
        "E06000061",
    ];
    refused(&other, 2, "--authority: E06000061 is not in the lake");
    let output = lake.run(&["report", "--month", "January"]);
    assert!(
        output.status.code() == Some(2) && said(&output).contains("2019-01"),
        "{}",
        said(&output)
    );
    let lake = lake.path().display().to_string();
    let mut command = Command::new(binary());
    command
        .args(["report", "--month", "2019-01", "--pdf", "--lake", &lake])
        .current_dir(casewatch_tests::root());
    let output = command
        .env("PATH", "/nowhere")
        .env_remove("CASEWATCH_CHROMIUM")
        .output()
        .expect("it can be run");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--pdf needs Chromium") && said(&output).contains("apt install chromium"));
}

/// The state that `casewatch status` tells, its exit code, and all of the page.
fn status(url: &str) -> (Option<i32>, Value) {
    let output = run(&["status", "--url", url, "--format", "json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let page = serde_json::from_str(&text).unwrap_or(Value::Null);
    (output.status.code(), page)
}

#[test]
fn what_init_writes_runs_as_it_is_and_status_tells_how_it_stands() {
    let _alone = alone();
    let kafka = Kafka::start();
    let folder = TempDir::new().expect("a folder");
    let dir = folder.path().join("casewatch");
    let (port, place) = (free_port(), dir.display().to_string());
    let listen = format!("127.0.0.1:{port}");
    let init = [
        "init",
        &place,
        "--brokers",
        kafka.brokers(),
        "--keys",
        "--listen",
        &listen,
    ];
    let told = succeeded(&run(&init));
    assert!(
        told.contains("casewatch.toml") && told.contains("keys/child") && told.contains("casewatch run"),
        "{told}"
    );
    let again = run(&init);
    assert_eq!(again.status.code(), Some(3), "nothing is written over");
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let file = dir.join("casewatch.toml");
    let mut casewatch = Casewatch::of_file(&file, port, &[], &[]);
    casewatch.wait_until_up();
    let url = casewatch.url("");
    // No topic exists and no event ever came: it answers, and says what it is waiting for or that it is ready.
    let (code, page) = status(&url);
    assert!(matches!(code, Some(0 | 5)), "{code:?}: {page}");
    assert_eq!(
        page["roles"],
        serde_json::json!(["ingest", "maintain", "metrics", "gateway", "board"])
    );
    assert!(
        page["state"].is_string() && page["started_at"].is_string() && page["version"].is_string(),
        "{page}"
    );
    assert_eq!(code == Some(0), page["state"] == "fresh", "{page}");
    let look = run(&["status", "--url", &url, "--once"]);
    let text = String::from_utf8_lossy(&look.stdout).into_owned();
    assert!(
        text.contains("casewatch 0.") && text.contains("roles ingest, maintain, metrics"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
    casewatch.stop(Duration::from_secs(30));
    let gone = run(&["status", "--url", &url]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        said(&gone).contains("no instance answers") && said(&gone).contains("hint:"),
        "{}",
        said(&gone)
    );
}

#[test]
fn status_has_the_rows_and_lag_of_every_table_once_events_came() {
    let _alone = alone();
    let kafka = Kafka::start();
    let simulate = [
        "simulate",
        "--brokers",
        kafka.brokers(),
        "--until",
        "2018-01-05",
        "--topic-prefix",
        "mosaic.public.",
    ];
    succeeded(&run(&simulate));
    let folder = TempDir::new().expect("a folder");
    let (port, place) = (free_port(), folder.path().display().to_string());
    let listen = format!("127.0.0.1:{port}");
    succeeded(&run(&[
        "init",
        &place,
        "--brokers",
        kafka.brokers(),
        "--keys",
        "--listen",
        &listen,
    ]));
    let mut casewatch = Casewatch::of_file(&folder.path().join("casewatch.toml"), port, &[], &[]);
    casewatch.wait_until_ready();
    let url = casewatch.url("");
    let page = until("every table to be in the lake", Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_millis(500));
        let (_, page) = status(&url);
        let tables = page["tables"].as_object().ok_or("no tables")?;
        let filled = tables
            .values()
            .filter(|table| table["rows"].as_u64() > Some(0) && table["committed_at"].is_number());
        if filled.count() >= 5 {
            Ok(page)
        } else {
            Err(format!("{page}"))
        }
    });
    let topics = page["topics"].as_object().expect("topics");
    let lag = |topic: &Value, role: &str| topic["lag"][role].as_u64();
    assert!(
        topics
            .values()
            .any(|topic| lag(topic, "live") == Some(0) && lag(topic, "ingest") == Some(0)),
        "{page}"
    );
    assert!(page["tables"]["cases"]["rows"].as_u64() > Some(1000), "{page}");
}

#[test]
fn help_is_grouped_has_no_colours_in_a_pipe_and_completions_are_a_shells_own_language() {
    let help = succeeded(&run(&["--help"]));
    for expected in ["Ask:", "Keep:", "report", "Examples:", "Exit codes:"] {
        assert!(help.contains(expected), "{expected} is not in\n{help}");
    }
    assert!(!help.contains('\u{1b}'));
    let script = succeeded(&run(&["completions", "bash"]));
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("casewatch.bash");
    std::fs::write(&file, script).expect("a temporary folder takes a file");
    let complete = format!("source {}; complete -p casewatch", file.display());
    let output = Command::new("bash")
        .args(["-c", &complete])
        .output()
        .expect("bash can be run");
    assert!(succeeded(&output).contains("_casewatch"));
}
