//! `casewatch check`, `casewatch test` and `casewatch catalogue`: the schemas and the SQL files, without a running system.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casewatch_board::Layout as BoardLayout;
use casewatch_live::{LiveOptions, LiveSet};
use casewatch_metrics::test_files::{load_tests, run_tests};
use casewatch_metrics::{Checked, Diagnostics, audit, page};
use casewatch_query::{Clock, EngineConfig, Limits};
use casewatch_report::Layout as ReportLayout;

use crate::cli::{CatalogueArgs, CheckArgs, FindingsFormat, Folders, TestArgs};
use crate::failure::Failure;
use crate::opened;
use crate::signals::stop_on_signal;
use crate::watch::Watched;

/// To the upper left corner, and nothing below.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

/// Says what is wrong where, or how much was checked.
///
/// # Errors
/// Any finding that is an error.
pub async fn check(args: CheckArgs) -> Result<(), Failure> {
    let (folders, max_series) = match &args.config {
        None => (args.folders, None),
        Some(path) => {
            let config = opened::checked(path)?;
            let (schemas, queries) = (config.schemas, config.queries);
            (Folders { schemas, queries }, Some(config.limits.metric_series))
        }
    };
    let queries = &folders.queries;
    let loaded = load(&folders).await?;
    let (found, checked) = match loaded {
        Ok(checked) => {
            let mut found = audit(&checked, queries, max_series).await;
            if let Err(faults) = BoardLayout::load(queries, &checked).await {
                found.0.extend(faults.0);
                found.sort();
            }
            if ReportLayout::is_in(queries)
                && let Err(faults) = ReportLayout::load(queries, &checked.catalogue)
            {
                found.0.extend(faults.0);
                found.sort();
            }
            (found, Some(checked))
        }
        Err(faults) => (faults, None),
    };
    match args.format {
        FindingsFormat::Json => print!("{}", found.to_json_lines()),
        FindingsFormat::Text if found.is_empty() => {}
        FindingsFormat::Text => eprintln!("{found}\n"),
    }
    match (found.errors(), checked) {
        (0, Some(checked)) => {
            if args.format == FindingsFormat::Text {
                let views = checked.catalogue.views.len();
                println!("{} metrics over {views} views check", checked.queries.len());
            }
            Ok(())
        }
        (1, _) => Err(Failure::failed("1 fault was found")),
        (errors, _) => Err(Failure::failed(format!("{errors} faults were found"))),
    }
}

/// Runs the tests of `queries/tests`, once or each time that a file changes.
///
/// # Errors
/// A file that does not check, or a test that fails. A watch only ends when it is told to.
pub async fn test(args: TestArgs) -> Result<(), Failure> {
    if args.watch {
        return watch(&args).await;
    }
    let checked = load(&args.folders).await?.map_err(Failure::failed)?;
    match run(&args, &checked, &[]).await? {
        0 => Ok(()),
        failed => Err(Failure::differences(format!("{failed} tests failed"))),
    }
}

/// Runs the tests of these files, or of all where none is named, and prints how they ended. How many failed.
async fn run(args: &TestArgs, checked: &Checked, only: &[PathBuf]) -> Result<usize, Failure> {
    let mut files = load_tests(&args.folders.queries).map_err(Failure::failed)?;
    if !only.is_empty() {
        files.retain(|file| only.iter().any(|path| path == Path::new(file.file.path.as_ref())));
    }
    let mut run = run_tests(&files, checked, args.filter.as_deref().unwrap_or_default()).await;
    if !only.is_empty() {
        // Other files may have the tests that these lack.
        run.untested.clear();
    }
    println!("{}", run.report());
    Ok(run.failed())
}

async fn watch(args: &TestArgs) -> Result<(), Failure> {
    let stop = stop_on_signal();
    let watching = async {
        let mut watched = Watched::new(&[&args.folders.queries, &args.folders.schemas]);
        let mut checked: Option<Checked> = None;
        let mut changed: Vec<PathBuf> = Vec::new();
        loop {
            clear_screen();
            changed.iter().for_each(|path| println!("changed: {}", path.display()));
            if let Err(failure) = run_changed(args, &mut checked, &changed).await {
                println!("{failure}");
            }
            println!(
                "\nwatching {} and {}; Ctrl-C ends",
                args.folders.queries.display(),
                args.folders.schemas.display()
            );
            // A pipe that nobody reads any more ends the watch by its next line.
            let _ = std::io::stdout().flush();
            changed = watched.changed().await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = watching => unreachable!("it watches until it is stopped"),
    }
}

/// Where only tests changed, what they test is as it was, and only they run.
async fn run_changed(args: &TestArgs, checked: &mut Option<Checked>, changed: &[PathBuf]) -> Result<(), Failure> {
    let tests = args.folders.queries.join("tests");
    let is_test = |path: &PathBuf| path.starts_with(&tests) && path.exists();
    let only_tests = !changed.is_empty() && changed.iter().all(is_test);
    if let (true, Some(checked)) = (only_tests, &*checked) {
        return run(args, checked, changed).await.map(|_| ());
    }
    *checked = None;
    let loaded = load(&args.folders).await?.map_err(Failure::failed)?;
    run(args, checked.insert(loaded), &[]).await.map(|_| ())
}

/// A file or a pipe keeps what was printed before.
fn clear_screen() {
    if std::io::stdout().is_terminal() {
        print!("{CLEAR_SCREEN}");
    }
}

/// Prints the page of all metrics, writes it, or compares it with the one that is there.
///
/// # Errors
/// Queries that do not check, a file that cannot be written or read, a page that is out of date.
pub async fn catalogue(args: CatalogueArgs) -> Result<(), Failure> {
    let checked = load(&args.folders).await?.map_err(Failure::failed)?;
    let text = page(&checked, &args.folders.queries);
    if let Some(path) = &args.write {
        let unwritten = |error| Failure::failed(format!("{}: cannot be written: {error}", path.display()));
        return std::fs::write(path, text).map_err(unwritten);
    }
    let Some(path) = &args.compare else {
        return std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output);
    };
    let unread = |error| Failure::failed(format!("{}: cannot be read: {error}", path.display()));
    let there = std::fs::read_to_string(path).map_err(unread)?;
    match first_difference(&there, &text) {
        None => Ok(()),
        Some((line, has, wants)) => {
            let place = path.display();
            Err(Failure::differences(format!(
                "{place}:{line}: the page is out of date\ndetail: it has \"{has}\" where \"{wants}\" belongs\n\
                 hint: casewatch catalogue --write {place}"
            )))
        }
    }
}

/// The first line at which two texts differ, counted from 1, in both.
fn first_difference<'a>(one: &'a str, other: &'a str) -> Option<(usize, &'a str, &'a str)> {
    if one == other {
        return None;
    }
    let (mut ones, mut others) = (one.lines(), other.lines());
    let mut line = 1;
    loop {
        match (ones.next(), others.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => return Some((line, a.unwrap_or_default(), b.unwrap_or_default())),
        }
    }
}

/// Reads and checks schemas and queries, over no tables.
///
/// # Errors
/// Schemas that cannot be read; what is wrong with the queries is the inner error.
pub async fn load(folders: &Folders) -> Result<Result<Checked, Diagnostics>, Failure> {
    let contract = Arc::new(folders.contract()?);
    let (_, cuts) = LiveSet::new(&contract, LiveOptions::default()).map_err(Failure::failed)?;
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts,
        queries: folders.queries.clone(),
        limits: Limits::default(),
        clock: Clock::Feed,
        references: None,
    };
    Ok(casewatch_metrics::load(config).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_at_the_first_line_that_one_has_and_the_other_has_not() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some((2, "b", "c")));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some((2, "", "b")));
        assert_eq!(first_difference("a\n", "a"), Some((2, "", "")));
    }
}
