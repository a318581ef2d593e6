//! What the end-to-end tests stand on: real servers, the built program, messages, and the proof of exactly once.
//!
//! It promises that nothing it starts outlives the test: every server and every `casewatch` dies when its value is
//! dropped, and also when the test's own process is killed. It never looks inside casewatch: tests see what a user
//! sees, which is the command line, the configuration file, HTTP and the lake's tables.
//!
//! Invariant: no test needs a fixed port, a fixed folder, or another test to have run before.

pub mod alertmanager;
pub mod casewatch;
pub mod debezium;
pub mod demo;
pub mod demo_lake;
pub mod disk;
pub mod duckdb;
pub mod exposition;
pub mod http;
pub mod kafka;
pub mod proof;
pub mod s3;
pub mod server;
pub mod wait;

pub use alertmanager::{Alertmanager, Time, Told};
pub use casewatch::{Casewatch, Config, Feed, Sql};
pub use demo::Demo;
pub use demo_lake::{DemoLake, json_lines, succeeded};
pub use disk::SmallDisk;
pub use exposition::Exposition;
pub use kafka::{Kafka, Message};
pub use s3::S3;
pub use server::{Connect, Postgres, Prometheus, Registry};
pub use wait::{eventually, until};

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The checkout's root, where `schemas/` and `queries/` stand.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests' crate stands one below the root")
        .to_owned()
}

/// Copies a folder whole, for a test that changes something in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a temporary folder takes folders");
    for entry in std::fs::read_dir(from).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a temporary folder takes files");
        }
    }
}

/// Held by a test that needs the machine to itself: the others of its file wait.
pub fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
