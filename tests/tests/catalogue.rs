//! What an analyst types while writing SQL: `casewatch check`, `test --watch` and the page of all metrics.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use casewatch_tests::casewatch::{binary, run};
use casewatch_tests::server::signal;
use casewatch_tests::{copy_folder, root, until};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of the repository's queries, to change.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        copy_folder(&root().join("queries"), &folder.path().join("queries"));
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("queries").join(name)
    }

    fn option(&self) -> String {
        self.folder.path().join("queries").display().to_string()
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let path = self.path(name);
        let text = std::fs::read_to_string(&path).expect("a copied file can be read");
        assert!(text.contains(from), "the test must change the file");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("a temporary folder takes files");
    }
}

#[test]
fn the_page_of_metrics_is_up_to_date_and_a_stale_one_is_told_by_its_first_line() {
    let page = "queries/METRICS.md";
    let current = run(&["catalogue", "--compare", page]);
    assert!(current.status.success(), "{}", String::from_utf8_lossy(&current.stderr));
    let text = std::fs::read_to_string(root().join(page)).expect("the page can be read");
    let files = std::fs::read_dir(root().join("queries/metrics")).expect("a folder can be listed");
    let themes = files.map(|theme| theme.expect("a folder can be listed").path());
    let metrics: usize = themes
        .map(|theme| std::fs::read_dir(theme).expect("a theme is a folder").count())
        .sum();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("### casewatch_")).count(),
        metrics
    );

    let copy = Copy::new();
    copy.change(
        "metrics/allocation/cases_open.sql",
        "help: Open cases",
        "help: All open cases",
    );
    let compared = copy.path("METRICS.md").display().to_string();
    let stale = run(&["catalogue", "--queries", &copy.option(), "--compare", &compared]);
    let said = String::from_utf8_lossy(&stale.stderr);
    assert_eq!(stale.status.code(), Some(4), "{said}");
    assert!(
        said.contains("All open cases in each allocation state.") && said.contains("hint: casewatch catalogue --write"),
        "{said}"
    );
}

#[test]
fn findings_are_json_objects_with_their_place_and_decide_the_exit_code() {
    let copy = Copy::new();
    let check = || {
        let output = run(&["check", "--format", "json", "--queries", &copy.option()]);
        let text = String::from_utf8(output.stdout).expect("findings are text");
        let findings: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object a line"))
            .collect();
        (output.status.code(), findings)
    };
    let (code, before) = check();
    let errors = |findings: &[Value]| findings.iter().filter(|finding| finding["severity"] == "error").count();
    assert_eq!((code, errors(&before)), (Some(0), 0), "{before:?}");
    copy.change(
        "metrics/allocation/cases_open.sql",
        "from team_labels l",
        "from team_label l",
    );
    let (code, findings) = check();
    assert_eq!((code, errors(&findings)), (Some(1), 1), "{findings:?}");
    let finding = &findings[0];
    let file = finding["file"].as_str().expect("a file");
    assert!(
        Path::new(file).ends_with("queries/metrics/allocation/cases_open.sql"),
        "{finding}"
    );
    assert_eq!(finding["line"], 13, "{finding}");
    assert!(
        finding["message"]
            .as_str()
            .is_some_and(|message| message.contains("team_label")),
        "{finding}"
    );
}

/// A watch, which ends with the test.
struct Watch {
    child: Child,
    output: PathBuf,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    /// Until everything after the `seen` bytes has these parts. How much there is then.
    fn until(&self, seen: usize, parts: &[&str]) -> usize {
        until(&format!("{parts:?}"), PATIENCE, || {
            let text = std::fs::read_to_string(&self.output).map_err(|error| error.to_string())?;
            let new = text.get(seen..).unwrap_or_default();
            let is_whole = new.ends_with("Ctrl-C ends\n") && parts.iter().all(|part| new.contains(part));
            if is_whole { Ok(text.len()) } else { Err(new.to_owned()) }
        })
    }
}

#[test]
fn a_watch_runs_what_changed_shows_what_differs_and_ends_well() {
    let copy = Copy::new();
    let output = copy.folder.path().join("output");
    let child = Command::new(binary())
        .args(["test", "--watch", "--queries", &copy.option()])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(File::create(&output).expect("a temporary folder takes files"))
        .spawn()
        .expect("the program can be run");
    let mut watch = Watch { child, output };
    let seen = watch.until(0, &[" passed, 0 failed"]);
    let text = std::fs::read_to_string(&watch.output).expect("the output can be read");
    assert!(!text.contains('\x1b'), "a file is not cleared: {text:?}");

    let file = "tests/allocation.toml";
    let tests = std::fs::read_to_string(copy.path(file)).expect("a copied file can be read");
    copy.change(file, "state = \"unallocated\"", "state = \"allocated\"");
    let seen = watch.until(
        seen,
        &[
            "changed: ",
            "allocation.toml",
            "FAILED",
            "    - | ",
            "    + | ",
            ", 1 failed",
        ],
    );
    std::fs::write(copy.path(file), &tests).expect("a temporary folder takes files");
    let here = tests.matches("[[test]]").count();
    let seen = watch.until(seen, &[&format!("{here} passed, 0 failed")]);

    // A definition concerns every test, and one that does not check is told like any other fault.
    copy.change("views/open_cases.sql", "from", "form");
    let seen = watch.until(seen, &["open_cases.sql:", "error: "]);
    copy.change("views/open_cases.sql", "form", "from");
    let all = watch.until(seen, &[" passed, 0 failed"]);
    assert!(all > seen);

    signal("INT", watch.child.id());
    let status = until("the watch to end", PATIENCE, || match watch.child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(status.code(), Some(0));
}
