//! The board as people use it, in a real browser: `tests/browser` walks a demo that runs, and signs in to an instance that
//! has users.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use casewatch_tests::casewatch::{binary, free_port, run};
use casewatch_tests::{Casewatch, Config, Feed, Kafka, http, root, until};
use serde_json::Value;
use tempfile::TempDir;

const PREFIX: &str = "casewatch.public.";
const PATIENCE: Duration = Duration::from_secs(180);
/// By then the demo has passed the days that the browser looks back at.
const LAST_DAY_AT_LEAST: &str = "2018-02-06";
/// A team manager's own team, which has cases that wait.
const TEAM: &str = "NT000007";

/// A demo with its board on `port`, killed when dropped.
struct Demo {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Demo {
    fn start() -> Self {
        let (port, folder) = (
            free_port(),
            TempDir::with_prefix("casewatch-browser-test-").expect("a folder"),
        );
        let log = File::create(folder.path().join("log")).expect("the folder takes a file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .args(["demo", "--port", &free_port().to_string()])
            .args(["--board-port", &port.to_string(), "--dir"])
            .arg(folder.path().join("runs"))
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("setpriv (util-linux) can be run");
        Self { child, port, folder }
    }

    fn wait_until_passed(&self, day: &str) {
        until(&format!("the demo to pass {day}"), PATIENCE, || {
            let answer = http::get(&format!("http://127.0.0.1:{}/api/view", self.port))?;
            let view: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
            let last_day = view["choices"]["last_day"].as_str().unwrap_or_default();
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if last_day > day {
                Ok(())
            } else {
                Err(format!("{last_day}: {}", log()))
            }
        });
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add_manager(users: &Path, name: &str, password: &str) {
    let mut child = Command::new(binary())
        .args(["user", "add", name, "--role", "team_manager", "--team", TEAM, "--users"])
        .arg(users)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program can be run");
    let mut input = child.stdin.take().expect("its input is a pipe");
    writeln!(input, "{password}").expect("it reads the password");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "user add {name}");
}

#[test]
fn the_board_works_in_a_browser() {
    let kafka = Kafka::start();
    let replayed = run(&[
        "simulate",
        "--brokers",
        kafka.brokers(),
        "--topic-prefix",
        PREFIX,
        "--until",
        "2018-01-31",
    ]);
    assert!(
        replayed.status.success(),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    let port = free_port();
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    let users = config.folder.path().join("users.toml");
    add_manager(&users, "mona", "mona's own password");
    config.more = format!("\n[board]\nlisten = \"127.0.0.1:{port}\"\n[access]\nusers = {users:?}\n");
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_ready();

    let demo = Demo::start();
    demo.wait_until_passed(LAST_DAY_AT_LEAST);
    let walked = Command::new(root().join("tests/servers/chromium"))
        .arg("--project=board")
        .env("BOARD", format!("http://127.0.0.1:{}", demo.port))
        .env("BOARD_PID", demo.child.id().to_string())
        .env("SIGN_IN_BOARD", format!("http://127.0.0.1:{port}"))
        .env("SIGN_IN_USER", "mona")
        .env("SIGN_IN_PASSWORD", "mona's own password")
        .stdin(Stdio::null())
        .output()
        .expect("tests/servers/chromium can be run");
    assert!(
        walked.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&walked.stdout),
        String::from_utf8_lossy(&walked.stderr)
    );
}
