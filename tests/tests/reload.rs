//! The folder of queries is followed while casewatch runs: checked whole, swapped whole, for metrics and people's
//! statements alike (RULES 25).

use std::time::Duration;

use casewatch_tests::{Casewatch, Config, Feed, copy_folder, root, until};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const VIEW: &str =
    "-- name: answers\n-- row: the answer\n-- why: a view that comes while casewatch runs\nselect 42 as answer\n";

/// The hash of the queries that run, as a replica shows it to be compared with another's.
fn hash(casewatch: &Casewatch) -> Option<String> {
    let scrape = casewatch.metrics();
    let found = scrape.select("casewatch_catalogue_info", &[]);
    found.first().and_then(|(labels, _)| labels.get("hash").cloned())
}

fn refused(casewatch: &Casewatch) -> Option<f64> {
    casewatch.metrics().sum("casewatch_catalogue_reload_refused", &[])
}

#[test]
fn statements_and_metrics_follow_the_folder_of_queries_and_a_bad_change_changes_nothing() {
    // No broker is needed: the tables are empty and the names are what matters.
    let mut config = Config::new("127.0.0.1:1", vec![Feed::new("test", "t.", &[])]);
    let folder = TempDir::new().expect("a temporary folder can be made");
    config.queries = folder.path().join("queries");
    copy_folder(&root().join("queries"), &config.queries);
    let mut casewatch = Casewatch::spawn(&config, &["metrics"]);
    casewatch.wait_until_up();
    let sql = casewatch.sql();
    let before = until("the hash of the queries", PATIENCE, || {
        hash(&casewatch).ok_or_else(|| casewatch.log())
    });
    assert!(
        sql.try_rows("select answer from answers").is_err(),
        "there is no such view yet"
    );

    let file = config.queries.join("views/answers.sql");
    std::fs::write(&file, VIEW).expect("a temporary folder takes files");
    until("the new view in statements", PATIENCE, || {
        sql.try_rows("select answer from answers")
    });
    assert_eq!(sql.count("select answer from answers"), 42);
    assert_eq!(
        sql.count("select count(*) from lake.commits"),
        0,
        "the lake's tables are in the new engine, too"
    );
    let listed = sql.rows("select table_name from information_schema.tables where table_name = 'answers'");
    assert_eq!(listed.len(), 1, "what the prompt completes");
    let after = until("the new hash", PATIENCE, || match hash(&casewatch) {
        Some(found) if found != before => Ok(found),
        found => Err(format!("{found:?}")),
    });
    let status = casewatch.get("/-/status").expect("it answers").json();
    assert_eq!(status["catalogue"], after.as_str());

    std::fs::write(&file, VIEW.replace("42", "from nowhere")).expect("a temporary folder takes files");
    until("the refusal", PATIENCE, || match refused(&casewatch) {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(sql.count("select answer from answers"), 42, "the last good ones go on");
    assert_eq!(hash(&casewatch), Some(after));
    let status = casewatch.get("/-/status").expect("it answers").json();
    let why = status["refused_reload"].as_str().unwrap_or_default();
    assert!(why.contains("answers.sql"), "{status}");

    std::fs::remove_file(&file).expect("a file can be removed");
    until("the first queries again", PATIENCE, || {
        match (hash(&casewatch), refused(&casewatch)) {
            (Some(found), Some(0.0)) if found == before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    until("the view to go", PATIENCE, || {
        match sql.try_rows("select answer from answers") {
            Ok(_) => Err("it is still there".to_owned()),
            Err(_) => Ok(()),
        }
    });
}
