//! The board as people use it, in a real browser: `tests/browser` walks a demo that runs, and signs in to an instance that
//! has users.

use std::process::{Command, Stdio};
use std::time::Duration;

use casewatch_tests::casewatch::{add_user, free_port, run};
use casewatch_tests::{Casewatch, Config, Demo, Feed, Kafka, alone, http, root, until};
use serde_json::Value;

const PREFIX: &str = "casewatch.public.";
const PATIENCE: Duration = Duration::from_secs(180);
/// By then the demo has passed the days that the browser looks back at.
const LAST_DAY_AT_LEAST: &str = "2018-02-06";
/// A team manager's own team, which has cases that wait.
const TEAM: &str = "NT000007";

fn wait_until_passed(demo: &Demo, day: &str) {
    until(&format!("the demo to pass {day}"), PATIENCE, || {
        let answer = http::get(&format!("http://127.0.0.1:{}/api/view", demo.port))?;
        let view: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let last_day = view["choices"]["last_day"].as_str().unwrap_or_default();
        if last_day > day {
            Ok(())
        } else {
            Err(last_day.to_owned())
        }
    });
}

#[test]
fn the_board_works_in_a_browser() {
    let _alone = alone();
    // It passes its days while the other instance is made.
    let demo = Demo::start();
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
    add_user(&users, "mona", "mona's own password", "team_manager", Some(TEAM));
    config.more = format!("\n[board]\nlisten = \"127.0.0.1:{port}\"\n[access]\nusers = {users:?}\n");
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_ready();

    wait_until_passed(&demo, LAST_DAY_AT_LEAST);
    let walked = Command::new(root().join("tests/servers/chromium"))
        .arg("--project=board")
        .env("BOARD", format!("http://127.0.0.1:{}", demo.port))
        .env("BOARD_PID", demo.pid().to_string())
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
