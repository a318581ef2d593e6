//! The built program, run as a user runs it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::exposition::Exposition;
use crate::http::{self, Response};
use crate::server::signal;
use crate::wait::until;

/// Path of the built program: beside the tests in cargo's target folder, or as `CASEWATCH_BIN` says.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CASEWATCH_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a program knows its own file");
    // Tests stand in target/release/deps, benchmarks in target/release.
    let release = own
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .unwrap_or(&own);
    let path = release.join("casewatch");
    assert!(
        path.is_file(),
        "{} is not built: run `make build` first, or set CASEWATCH_BIN",
        path.display()
    );
    path
}

/// Runs one command of the program to its end, in the checkout's root.
pub fn run(arguments: &[&str]) -> Output {
    run_in(&[], arguments)
}

/// The same with these variables in its environment.
pub fn run_in(environment: &[(String, String)], arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(crate::root()).stdin(Stdio::null());
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.output().expect("the program can be run")
}

/// Adds a user to the file of users at `users`.
pub fn add_user(users: &Path, name: &str, password: &str, role: &str, team: Option<&str>) {
    let mut command = Command::new(binary());
    command
        .args(["user", "add", name, "--role", role, "--users"])
        .arg(users);
    command.args(team.iter().flat_map(|team| ["--team", team]));
    let mut child = command
        .current_dir(crate::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program can be run");
    let mut input = child.stdin.take().expect("its input is a pipe");
    writeln!(input, "{password}").expect("it reads the password");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "user add {name}");
}

/// A port nobody listens on. It may be taken before it is used; casewatch says so then.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port can be bound");
    listener.local_addr().expect("a bound port has an address").port()
}

/// One `[[sources]]` section.
#[derive(Clone, Debug)]
pub struct Feed {
    pub name: String,
    pub topic_prefix: String,
    pub tables: Vec<String>,
    /// `source` or `offset`.
    pub order: String,
    pub epoch: u32,
    pub silent_after: &'static str,
}

impl Feed {
    pub fn new(name: &str, topic_prefix: &str, tables: &[&str]) -> Self {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Self {
            name: name.to_owned(),
            topic_prefix: topic_prefix.to_owned(),
            tables,
            order: "source".to_owned(),
            epoch: 0,
            silent_after: "15m",
        }
    }
}

/// A configuration file, its lake beside it in one temporary folder.
#[derive(Debug)]
pub struct Config {
    pub folder: TempDir,
    pub brokers: String,
    pub group: String,
    pub feeds: Vec<Feed>,
    pub registry: Option<String>,
    pub clock: &'static str,
    /// Passed through to librdkafka.
    pub properties: Vec<(String, String)>,
    /// Properties whose values stand elsewhere: written as they are, such as `{ file = "..." }`.
    pub secrets: Vec<(String, String)>,
    /// Of the process.
    pub environment: Vec<(String, String)>,
    pub flush_interval: &'static str,
    pub message_bytes: usize,
    /// Further lines of `[limits]`.
    pub limits: String,
    /// A folder, or an object store's URL.
    pub lake: PathBuf,
    /// Further lines of the section `[lake]`.
    pub lake_settings: String,
    /// The section `[lake.options]`: what the object store is to know.
    pub lake_options: Vec<(String, String)>,
    pub schemas: PathBuf,
    pub queries: PathBuf,
    /// Further sections, as written in the file.
    pub more: String,
}

impl Config {
    pub fn new(brokers: &str, feeds: Vec<Feed>) -> Self {
        let folder = TempDir::with_prefix("casewatch-test-").expect("a temporary folder can be made");
        let lake = folder.path().join("lake");
        let root = crate::root();
        Self {
            folder,
            brokers: brokers.to_owned(),
            group: "casewatch".to_owned(),
            feeds,
            registry: None,
            clock: "feed",
            properties: Vec::new(),
            secrets: Vec::new(),
            environment: Vec::new(),
            flush_interval: "200ms",
            message_bytes: 16 << 20,
            limits: String::new(),
            lake,
            lake_settings: String::new(),
            lake_options: Vec::new(),
            schemas: root.join("schemas"),
            queries: root.join("queries"),
            more: String::new(),
        }
    }

    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn secret(mut self, key: &str, place: &str) -> Self {
        self.secrets.push((key.to_owned(), place.to_owned()));
        self
    }

    pub fn text(&self, port: u16) -> String {
        let mut text = format!(
            "schemas = {:?}\nqueries = {:?}\nclock = {:?}\n\n[kafka]\nbrokers = {:?}\ncluster = \"test\"\ngroup = {:?}\n",
            self.schemas, self.queries, self.clock, self.brokers, self.group
        );
        text.push_str("\n[kafka.properties]\n");
        for (key, value) in &self.properties {
            writeln!(text, "{key:?} = {value:?}").expect("a string takes text");
        }
        for (key, place) in &self.secrets {
            writeln!(text, "{key:?} = {place}").expect("a string takes text");
        }
        for feed in &self.feeds {
            write!(
                text,
                "\n[[sources]]\nname = {:?}\ntopic_prefix = {:?}\ntables = {:?}\norder = {:?}\nepoch = {}\nsilent_after = {:?}\n",
                feed.name, feed.topic_prefix, feed.tables, feed.order, feed.epoch, feed.silent_after
            )
            .expect("a string takes text");
        }
        if let Some(url) = &self.registry {
            write!(text, "\n[registry]\nurl = {url:?}\n").expect("a string takes text");
        }
        write!(
            text,
            "\n[keys]\ndemo = true\n\n[lake]\nurl = {:?}\n{}\n[limits]\nflush_interval = {:?}\nmessage_bytes = {}\n{}\n[http]\nlisten = \"127.0.0.1:{port}\"\n{}",
            self.lake, self.lake_settings, self.flush_interval, self.message_bytes, self.limits, self.more
        )
        .expect("a string takes text");
        // Many instances run beside each other; a test of the board says where it is.
        if !self.more.contains("[board]") {
            text.push_str("\n[board]\nlisten = \"127.0.0.1:0\"\n");
        }
        if !self.lake_options.is_empty() {
            text.push_str("\n[lake.options]\n");
            for (key, value) in &self.lake_options {
                writeln!(text, "{key} = {value:?}").expect("a string takes text");
            }
        }
        text
    }

    /// Writes the file for an instance on `port`.
    pub fn write(&self, port: u16) -> PathBuf {
        let path = self.folder.path().join(format!("casewatch-{port}.toml"));
        std::fs::write(&path, self.text(port)).expect("the temporary folder takes a file");
        path
    }

    /// SQL straight over the lake, without an instance. The object store's options are then in the environment.
    pub fn lake_sql(&self) -> Sql {
        let options = self.lake_options.iter();
        Sql {
            environment: options
                .map(|(key, value)| (key.to_uppercase(), value.clone()))
                .collect(),
            ..Sql::over_lake(&self.lake)
        }
    }
}

/// `casewatch run`, killed when dropped.
#[derive(Debug)]
pub struct Casewatch {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Casewatch {
    /// Starts `casewatch run`; `roles` empty means all of them in one process. Does not wait.
    pub fn spawn(config: &Config, roles: &[&str]) -> Self {
        let port = free_port();
        Self::of_file(&config.write(port), port, roles, &config.environment)
    }

    /// The same with a configuration file, which names the port. Its log stands beside it.
    pub fn of_file(file: &Path, port: u16, roles: &[&str], environment: &[(String, String)]) -> Self {
        let log = file.with_file_name(format!("casewatch-{port}.log"));
        let errors = File::create(&log).expect("the temporary folder takes a file");
        // The kernel kills it when this thread dies in whatever way.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .arg("run")
            .arg("--config")
            .arg(file);
        command
            .args(roles.iter().flat_map(|role| ["--only", role]))
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .current_dir(crate::root())
            .stdin(Stdio::null());
        command
            .stdout(errors.try_clone().expect("a file can be shared"))
            .stderr(errors);
        Self {
            child: command.spawn().expect("setpriv (util-linux) can be run"),
            port,
            log,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn running(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => panic!("casewatch ended by itself:\n{}", self.log()),
        }
    }

    /// Waits until the process serves HTTP.
    pub fn wait_until_up(&mut self) -> &mut Self {
        let url = self.url("/healthz");
        until("casewatch to serve", Duration::from_secs(60), || {
            self.running()?;
            http::get(&url).and_then(|answer| if answer.status == 200 { Ok(()) } else { Err(answer.body) })
        });
        self
    }

    /// Waits until it has caught up with what Kafka held when it started.
    pub fn wait_until_ready(&mut self) -> &mut Self {
        let url = self.url("/readyz");
        until("casewatch to catch up", Duration::from_secs(120), || {
            self.running()?;
            http::get(&url).and_then(|answer| if answer.status == 200 { Ok(()) } else { Err(answer.body) })
        });
        self
    }

    pub fn get(&self, path: &str) -> Result<Response, String> {
        http::get(&self.url(path))
    }

    pub fn metrics(&self) -> Exposition {
        let answer = self
            .get("/metrics")
            .unwrap_or_else(|error| panic!("/metrics: {error}\n{}", self.log()));
        assert_eq!(answer.status, 200, "{}", answer.body);
        Exposition::parse(&answer.body)
    }

    pub fn sql(&self) -> Sql {
        Sql::over_instance(&self.url(""))
    }

    /// SIGKILL: no goodbye.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn freeze(&self) {
        signal("STOP", self.pid());
    }

    pub fn thaw(&self) {
        signal("CONT", self.pid());
    }

    /// SIGTERM, and how it ended; panics when it has not within `limit`.
    pub fn stop(&mut self, limit: Duration) -> ExitStatus {
        signal("TERM", self.pid());
        let child = &mut self.child;
        until("casewatch to stop", limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err("still running".to_owned()),
        })
    }
}

impl Drop for Casewatch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(25).collect();
            eprintln!("--- the end of casewatch's log");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Where statements go: a running instance or a lake.
#[derive(Clone, Debug)]
pub struct Sql {
    place: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Sql {
    /// Straight over a lake's folder.
    pub fn over_lake(folder: &Path) -> Self {
        Self {
            place: vec!["--lake".to_owned(), folder.display().to_string()],
            environment: Vec::new(),
        }
    }

    /// Over an instance that the test did not start as [`Casewatch`].
    pub fn over_instance(url: &str) -> Self {
        Self {
            place: vec!["--url".to_owned(), url.to_owned()],
            environment: Vec::new(),
        }
    }

    pub fn with(mut self, option: &str, value: &str) -> Self {
        self.place.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// Runs a statement through `casewatch sql`; rows as JSON objects, a null column left out.
    pub fn try_rows(&self, statement: &str) -> Result<Vec<Value>, String> {
        let mut arguments = vec!["sql", "--format", "json"];
        arguments.extend(self.place.iter().map(String::as_str));
        // A statement may begin with a comment, which looks like an option.
        arguments.extend(["--", statement]);
        let output = run_in(&self.environment, &arguments);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).expect("JSON is text");
        Ok(text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is a JSON object"))
            .collect())
    }

    pub fn rows(&self, statement: &str) -> Vec<Value> {
        self.try_rows(statement)
            .unwrap_or_else(|error| panic!("{statement}\n{error}"))
    }

    /// The only value of a one-row, one-column result; null when the row has none.
    pub fn value(&self, statement: &str) -> Value {
        let rows = self.rows(statement);
        assert_eq!(rows.len(), 1, "{statement}: {rows:?}");
        rows[0]
            .as_object()
            .and_then(|row| row.values().next())
            .cloned()
            .unwrap_or(Value::Null)
    }

    pub fn count(&self, statement: &str) -> i64 {
        self.value(statement)
            .as_i64()
            .unwrap_or_else(|| panic!("{statement}: not a whole number"))
    }
}
