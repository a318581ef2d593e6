//! `make demo` as a newcomer meets it: numbers that move, addresses to copy, a clean end, and one clear sentence when
//! something is in the way.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use casewatch_tests::casewatch::{binary, free_port};
use casewatch_tests::server::signal;
use casewatch_tests::{Exposition, SmallDisk, Sql, alone, http, root, until};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
/// The promise for Ctrl-C.
const CLEAN_STOP: Duration = Duration::from_secs(5);
/// What a newcomer should never see: the broker's, the client library's and Rust's own complaints.
const NOISE: [&str; 7] = [
    "AllBrokersDown",
    "panicked",
    "tansu",
    "librdkafka",
    "ERROR",
    "WARN",
    "broker transport failure",
];

/// A demo in the background, killed when dropped.
struct Demo {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Demo {
    fn start(options: &[&str]) -> Self {
        let (port, folder) = (
            free_port(),
            TempDir::with_prefix("casewatch-demo-test-").expect("a folder"),
        );
        let log = File::create(folder.path().join("log")).expect("the folder takes a file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .args(["demo", "--port", &port.to_string(), "--dir"])
            .arg(folder.path().join("runs"))
            .args(options)
            .current_dir(root())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("setpriv (util-linux) can be run");
        Self { child, port, folder }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str, probe: impl Fn(&str) -> bool) {
        until(what, PATIENCE, || {
            let said = self.said();
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the demo ended by itself:\n{said}");
            if probe(&said) { Ok(()) } else { Err(said) }
        });
    }

    fn wait(&mut self, limit: Duration) -> ExitStatus {
        until("the demo to end", limit, || {
            let ended = self.child.try_wait().expect("a child can be asked");
            ended.ok_or_else(|| self.said())
        })
    }

    /// Ctrl-C, and how long the end took.
    fn interrupt(&mut self) -> (ExitStatus, Duration) {
        let told = Instant::now();
        signal("INT", self.child.id());
        let status = self.wait(PATIENCE);
        (status, told.elapsed())
    }

    /// The folders that runs left behind.
    fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("runs")).expect("the folder of runs exists");
        entries
            .map(|entry| entry.expect("a folder can be listed").path())
            .collect()
    }

    fn ends_cleanly(&mut self) {
        let (status, took) = self.interrupt();
        let said = self.said();
        println!("Ctrl-C to the end of the process: {:.2} s", took.as_secs_f64());
        assert!(status.success(), "{status}: {said}");
        assert!(took < CLEAN_STOP, "it took {took:?}:\n{said}");
        for noise in NOISE {
            assert!(!said.contains(noise), "`{noise}` in:\n{said}");
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The demo with `options`, to its end.
fn demo(options: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .arg("demo")
        .args(options)
        .current_dir(root())
        .stdin(Stdio::null());
    command.output().expect("the program can be run")
}

/// It was refused as wrong use, in words that hold `parts`, and with a hint.
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in parts.iter().chain(&["hint:"]) {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(said.lines().count() <= 3, "one clear message, not a story: {said}");
}

fn lake_of(run: &Path) -> Sql {
    Sql::over_lake(&run.join("lake"))
}

#[test]
fn numbers_move_lines_can_be_copied_and_ctrl_c_ends_it_cleanly() {
    let _alone = alone();
    let mut demo = Demo::start(&["--speed", "20"]);
    // Simulated date, events, headline, freshness: the line is there with every part.
    demo.wait_for("the line of progress", |said| {
        said.lines().any(|line| {
            let parts: Vec<&str> = line.split(" | ").collect();
            let number = |part: &str, prefix: &str| {
                part.strip_prefix(prefix)
                    .is_some_and(|rest| rest.parse::<u32>().is_ok())
            };
            matches!(parts.as_slice(), [date, events, headline, freshness]
                if date.contains(" 2018")
                    && events.trim_end_matches(" events").parse::<u64>().is_ok()
                    && number(headline, "without a holder: ")
                    && freshness.strip_prefix("freshness ").is_some_and(|rest| rest.ends_with(" s")))
        })
    });
    let said = demo.said();
    let address = format!("http://127.0.0.1:{}", demo.port);
    for part in [
        format!("{address}/metrics"),
        format!("curl -s {address}/metrics | grep"),
        format!("casewatch sql --url {address} \"select"),
    ] {
        assert!(said.contains(&part), "no `{part}` in:\n{said}");
    }
    let scrape = http::get(&format!("{address}/metrics")).expect("it serves /metrics");
    let holders = Exposition::parse(&scrape.body).sum("casewatch_cases_no_holder", &[]);
    assert!(holders.is_some_and(|count| count > 0.0), "{holders:?}");
    // The statement that it prints runs as it stands, whichever folder the program is in.
    let statement = said
        .lines()
        .find_map(|line| line.split_once("allocation_state group by state"));
    assert!(statement.is_some(), "{said}");
    let states =
        Sql::over_instance(&address).rows("select state, count(*) as cases from allocation_state group by state");
    assert!(states.len() > 1, "{states:?}");
    demo.ends_cleanly();
}

#[test]
fn ctrl_c_while_it_starts_is_as_clean() {
    let _alone = alone();
    let mut demo = Demo::start(&[]);
    demo.wait_for("its folder", |_| true);
    std::thread::sleep(Duration::from_millis(700));
    demo.ends_cleanly();
}

#[test]
fn at_full_speed_it_ends_by_itself_with_the_published_counts_and_each_run_is_a_cluster_of_its_own() {
    let _alone = alone();
    let mut first = Demo::start(&["--speed", "max", "--until", "2018-02-02"]);
    assert!(first.wait(PATIENCE).success(), "{}", first.said());
    let said = first.said();
    let milestone: Vec<&str> = said
        .lines()
        .find(|line| line.starts_with("2018-01-31"))
        .unwrap_or_else(|| panic!("no summary in:\n{said}"))
        .split_whitespace()
        .collect();
    assert_eq!(milestone[2], "551", "the published count: {milestone:?}");
    for noise in NOISE {
        assert!(!said.contains(noise), "`{noise}` in:\n{said}");
    }
    let runs = first.folder.path().join("runs").display().to_string();
    let second = demo(&["--port", "0", "--speed", "max", "--until", "2018-01-02", "--dir", &runs]);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let mut clusters: Vec<_> = first
        .runs()
        .iter()
        .map(|run| lake_of(run).value("select distinct cluster from lake.commits where cluster is not null"))
        .collect();
    assert_eq!(clusters.len(), 2, "a folder a run");
    clusters.dedup();
    assert_eq!(clusters.len(), 2, "a cluster a run: {clusters:?}");
}

#[test]
fn a_port_that_is_taken_is_said_at_once_with_another_to_try() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port can be bound");
    let port = taken.local_addr().expect("a bound port has an address").port();
    let output = demo(&["--port", &port.to_string()]);
    refused(&output, &[&format!("port {port}"), "in use", "make demo ARGS='--port"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // Also root, who may write anywhere else, makes no folder in this one.
    let output = demo(&["--port", "0", "--dir", "/proc/casewatch"]);
    refused(&output, &["--dir", "/proc/casewatch"]);
}

#[test]
fn a_disk_without_room_is_said_before_anything_starts() {
    let disk = match SmallDisk::mount(8) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("NOT TESTED here: a small file system could not be mounted: {reason}"),
    };
    let output = demo(&["--port", "0", "--dir", &disk.path().display().to_string()]);
    refused(&output, &["No space left", &disk.path().display().to_string(), "MiB"]);
    let left = std::fs::read_dir(disk.path()).expect("the disk can be listed").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn outside_a_checkout_it_says_where_it_should_run() {
    let folder = TempDir::new().expect("a folder");
    let output = demo(&["--port", "0", "--home", &folder.path().display().to_string()]);
    refused(&output, &["schemas", "--home"]);
}

#[test]
fn without_even_a_loopback_interface_it_says_what_it_needs() {
    // A network namespace of its own has nothing, and its loopback is down.
    let mut command = Command::new("unshare");
    let output = command
        .args(["--net", "--"])
        .arg(binary())
        .arg("demo")
        .current_dir(root())
        .output();
    let output = output.expect("unshare (util-linux) can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") {
        return eprintln!("NOT TESTED here: no namespace without a network could be made: {said}");
    }
    assert!(!output.status.success());
    assert!(said.contains("loopback interface"), "{said}");
}

#[test]
fn without_a_network_make_says_that_the_crates_could_not_be_fetched() {
    let home = TempDir::new().expect("a folder");
    let mut command = Command::new("make");
    let output = command
        .arg("dependencies")
        .current_dir(root())
        .env("CARGO_HOME", home.path())
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .expect("make can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("is there a network"), "{said}");
}
