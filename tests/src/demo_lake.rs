//! The lake of a demo: the scenario from January 2018 to a day, through Kafka's protocol into Delta tables.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use tempfile::TempDir;

use crate::casewatch::run;

#[derive(Debug)]
pub struct DemoLake {
    _folder: TempDir,
    lake: PathBuf,
}

impl DemoLake {
    /// One for the tests of a file that run at a time, who all name the same day; the last of them removes it.
    pub fn shared(last_day: &str) -> Arc<Self> {
        static SHARED: Mutex<Weak<DemoLake>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::make(last_day));
            *shared = Arc::downgrade(&made);
            made
        })
    }

    fn make(last_day: &str) -> Self {
        let folder = TempDir::with_prefix("casewatch-demo-lake-").expect("a temporary folder can be made");
        let runs = folder.path().join("runs").display().to_string();
        succeeded(&run(&[
            "demo", "--port", "0", "--speed", "max", "--until", last_day, "--dir", &runs,
        ]));
        let made = std::fs::read_dir(&runs).expect("the demo makes its folder").next();
        let made = made.expect("one run").expect("a folder can be listed");
        Self {
            _folder: folder,
            lake: made.path().join("lake"),
        }
    }

    /// A copy of its own, for a test that breaks something in it.
    pub fn copy(&self) -> Self {
        let folder = TempDir::with_prefix("casewatch-demo-lake-").expect("a temporary folder can be made");
        let lake = folder.path().join("lake");
        crate::copy_folder(&self.lake, &lake);
        Self { _folder: folder, lake }
    }

    pub fn path(&self) -> &Path {
        &self.lake
    }

    /// Runs a command of the program with `--lake`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let lake = self.lake.display().to_string();
        let mut all = arguments.to_vec();
        all.extend(["--lake", &lake]);
        run(&all)
    }

    /// What `casewatch metrics` gives with these options, as JSON lines.
    pub fn metrics(&self, options: &[&str]) -> Vec<Value> {
        let mut arguments = vec!["metrics", "--format", "json"];
        arguments.extend(options);
        json_lines(&succeeded(&self.run(&arguments)))
    }
}

/// What a command wrote; panics with what it said when it failed.
pub fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One JSON object a line.
pub fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("each line is a JSON object"))
        .collect()
}
