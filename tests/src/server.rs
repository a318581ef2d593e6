//! Servers run by the scripts in `tests/servers/`. A script's standard input is the life line: when this process
//! drops it, or dies in whatever way, the script ends its server and removes what it wrote.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::http;

/// A running server script.
#[derive(Debug)]
pub struct Server {
    script: Child,
    /// `HOST:PORT` or a URL, as the script gives it.
    pub address: String,
    /// Process of the server itself.
    pub pid: u32,
    pub log: PathBuf,
}

impl Server {
    /// Brings a stopped server back at the same address with what it kept in `data`.
    pub fn start_at(name: &str, address: &str, data: &Path) -> Self {
        let port = address.rsplit(':').next().expect("an address has a port");
        Self::start(name, &["--port", port, "--data", &data.display().to_string()])
    }

    /// Starts `tests/servers/NAME` and waits until its server answers.
    pub fn start(name: &str, options: &[&str]) -> Self {
        let path = crate::root().join("tests/servers").join(name);
        let mut command = Command::new(path);
        command
            .arg("--while-stdin")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut script = command
            .spawn()
            .unwrap_or_else(|error| panic!("tests/servers/{name}: {error}"));
        let mut line = String::new();
        let output = script.stdout.take().expect("its output is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a script prints text");
        let field = |key: &str| {
            let found = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found
                .unwrap_or_else(|| panic!("tests/servers/{name} did not come up (its messages stand above)"))
                .to_owned()
        };
        let address = field("address");
        println!("{name} at {address}");
        let pid = field("pid").parse().expect("a process id is a number");
        Self {
            script,
            address,
            pid,
            log: field("log").into(),
        }
    }

    pub fn port(&self) -> u16 {
        let tail = self
            .address
            .trim_start_matches("http://")
            .split('/')
            .next()
            .and_then(|host| host.split(':').nth(1));
        tail.and_then(|port| port.parse().ok()).expect("an address has a port")
    }

    /// Stops the server's process without its knowledge, as a lost network would: SIGSTOP.
    pub fn freeze(&self) {
        signal("STOP", self.pid);
    }

    pub fn thaw(&self) {
        signal("CONT", self.pid);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // The script ends by itself now; waiting keeps its port and folder from meeting the next server's.
        let _ = self.script.wait();
    }
}

/// Sends a signal by name. The shell's own `kill`, so that no package is needed.
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid} 2>/dev/null")])
        .status();
    assert!(status.is_ok(), "sh can be run");
}

/// A Confluent-compatible schema registry.
#[derive(Debug)]
pub struct Registry {
    pub server: Server,
}

impl Registry {
    pub fn start() -> Self {
        Self {
            server: Server::start("registry", &[]),
        }
    }

    /// The URL under which Confluent's API stands.
    pub fn url(&self) -> &str {
        &self.server.address
    }

    /// Registers a schema and gives its id.
    pub fn register(&self, subject: &str, schema: &Value) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let body = json!({"schema": schema.to_string(), "schemaType": "AVRO"});
        let answer = http::post_json(&url, &body).expect("the registry answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let id = answer.json()["id"].as_u64().expect("an id is a number");
        u32::try_from(id).expect("an id has 32 bits")
    }
}

/// PostgreSQL with logical decoding on.
#[derive(Debug)]
pub struct Postgres {
    pub server: Server,
}

impl Postgres {
    pub fn start() -> Self {
        Self {
            server: Server::start("postgres", &[]),
        }
    }

    /// Runs statements in one transaction each, as psql does, and gives what they print, unaligned and without headers.
    pub fn sql(&self, statements: &str) -> String {
        let port = self.server.port().to_string();
        let mut command = Command::new("psql");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &port,
        ]);
        let output = command.arg("-c").arg(statements).output().expect("psql can be run");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("psql prints text")
            .trim_end()
            .to_owned()
    }
}

/// Kafka Connect, to which connectors are posted.
#[derive(Debug)]
pub struct Connect {
    pub server: Server,
}

impl Connect {
    pub fn start(brokers: &str) -> Self {
        Self {
            server: Server::start("connect", &["--kafka", brokers]),
        }
    }

    /// Starts Debezium on `tables` (`public.cases`, ...) of `postgres`, to topics `prefix.public.<table>`: Avro through
    /// the registry if there is one, JSON with its schema block if not. `extra` overrides settings.
    pub fn debezium(&self, name: &str, postgres: &Postgres, tables: &str, registry: Option<&Registry>, extra: &Value) {
        let mut config = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": postgres.server.port().to_string(),
            "database.user": "postgres",
            "database.dbname": "postgres",
            "topic.prefix": name,
            "plugin.name": "pgoutput",
            "slot.name": name,
            "publication.name": name,
            "publication.autocreate.mode": "filtered",
            "table.include.list": tables,
            "skipped.operations": "none",
            "poll.interval.ms": "50",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.partitions": "1",
        });
        if let Some(registry) = registry {
            let own = registry.url().replace("/ccompat/v7", "/registry/v2");
            for part in ["key", "value"] {
                config[format!("{part}.converter")] = json!("io.apicurio.registry.utils.converter.AvroConverter");
                for (key, value) in [
                    ("url", own.as_str()),
                    ("auto-register", "true"),
                    ("find-latest", "true"),
                    ("as-confluent", "true"),
                    ("headers.enabled", "false"),
                    ("use-id", "contentId"),
                ] {
                    config[format!("{part}.converter.apicurio.registry.{key}")] = json!(value);
                }
            }
        }
        for (key, value) in extra.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let url = format!("{}/connectors", self.server.address);
        let answer = http::post_json(&url, &json!({"name": name, "config": config})).expect("Connect answers");
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// State of a connector's only task: RUNNING, FAILED, ...
    pub fn task_state(&self, name: &str) -> String {
        let url = format!("{}/connectors/{name}/status", self.server.address);
        let answer = http::get(&url).map(|answer| answer.json()).unwrap_or_default();
        answer["tasks"][0]["state"].as_str().unwrap_or("none").to_owned()
    }
}

/// Prometheus, scraping one target each second, or none.
#[derive(Debug)]
pub struct Prometheus {
    pub server: Server,
}

impl Prometheus {
    /// `target` is `HOST:PORT`; `rules` are files of alerting and recording rules.
    pub fn start(target: &str, rules: &[&Path]) -> Self {
        let mut options = vec!["--target".to_owned(), target.to_owned()];
        for file in rules {
            options.extend(["--rules".to_owned(), file.display().to_string()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Self {
            server: Server::start("prometheus", &options),
        }
    }

    /// With `deploy/prometheus`, rules and all, in a test's time, telling these Alertmanagers (`HOST:PORT`).
    pub fn with_deployed_rules(target: &str, board: &str, alertmanagers: &[&str]) -> Self {
        let mut options = vec!["--target", target, "--board", board];
        options.extend(alertmanagers.iter().flat_map(|address| ["--alertmanager", address]));
        Self {
            server: Server::start("prometheus", &options),
        }
    }

    /// Over the blocks in a folder, without a target.
    pub fn over_blocks(folder: &Path) -> Self {
        Self {
            server: Server::start("prometheus", &["--data", &folder.display().to_string()]),
        }
    }

    /// The result of an instant query over the API: label sets and values.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        self.instant(expression, "")
    }

    /// The same at a time, in seconds since 1970.
    pub fn query_at(&self, expression: &str, seconds: i64) -> Vec<(Value, f64)> {
        self.instant(expression, &format!("&time={seconds}"))
    }

    fn instant(&self, expression: &str, time: &str) -> Vec<(Value, f64)> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("{}/api/v1/query?query={encoded}{time}", self.server.address);
        let answer = http::get(&url).expect("Prometheus answers").json();
        assert_eq!(answer["status"], "success", "{answer}");
        let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |sample: &Value| {
            sample["value"][1]
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(f64::NAN)
        };
        result
            .iter()
            .map(|sample| (sample["metric"].clone(), value(sample)))
            .collect()
    }

    pub fn get(&self, path: &str) -> Value {
        http::get(&format!("{}{path}", self.server.address))
            .expect("Prometheus answers")
            .json()
    }
}
