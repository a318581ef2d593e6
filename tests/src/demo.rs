//! The demo as somebody starts it to look at the board.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::casewatch::{binary, free_port};
use crate::root;

/// A demo with its board on a port of its own, killed when dropped.
#[derive(Debug)]
pub struct Demo {
    child: Child,
    /// Where its board is.
    pub port: u16,
    pub began: Instant,
    folder: TempDir,
}

impl Demo {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more options than those that say where it listens and writes. It dies with the thread that starts it.
    pub fn start_with(options: &[&str]) -> Self {
        let port = free_port();
        let folder = TempDir::with_prefix("casewatch-demo-test-").expect("a folder");
        let log = File::create(folder.path().join("log")).expect("the folder takes a file");
        let began = Instant::now();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .args(["demo", "--port", &free_port().to_string()])
            .args(["--board-port", &port.to_string(), "--dir"])
            .arg(folder.path().join("runs"))
            .args(options)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("setpriv (util-linux) can be run");
        Self {
            child,
            port,
            began,
            folder,
        }
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Whether its process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A temporary folder of its own, in which its runs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the demo said\n{}", self.said());
        }
    }
}
