//! People who ask heavy statements without pause: connections of psql over the gateway.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use casewatch_tests::Config;
use casewatch_tests::casewatch::{add_user, free_port};

const USER: &str = "ann";
const PASSWORD: &str = "a password of the benchmark";

/// Joins, windows and a view of several levels, over the present and all of history.
const STATEMENTS: [&str; 5] = [
    "select state, count(*) from allocation_state group by state",
    "select count(*) from (select worker_id, lag(worker_id) over (partition by allocation_id order by _recorded_at, _seq)
       as before from history.allocations) as versions where worker_id is distinct from before",
    "select c.team_id, count(distinct a.worker_id), count(*) from history.allocations a join cases c using (case_id)
       group by c.team_id",
    "select s.state, a.worker_id, count(*) from allocation_state s join history.cases c using (case_id)
       join history.allocations a using (case_id) group by s.state, a.worker_id",
    "select team_id, worker_id, row_number() over (partition by team_id order by count(*) desc)
       from history.allocations group by team_id, worker_id order by 1, 3 limit 100",
];
/// More than a connection asks in a phase.
const ROUNDS: usize = 2_000;

/// The gateway of one instance, and who may use it.
pub struct Door {
    port: u16,
}

impl Door {
    /// Opens a gateway in the configuration, to one analyst.
    pub fn open(config: &mut Config) -> Self {
        let (port, users) = (free_port(), config.folder.path().join("users.toml"));
        add_user(&users, USER, PASSWORD, "analyst", None);
        config.more =
            format!("\n[gateway]\nlisten = \"127.0.0.1:{port}\"\ntls = \"off\"\n[access]\nusers = {users:?}\n");
        Self { port }
    }
}

/// Connections that ask; they end when this is dropped.
pub struct Askers {
    connections: Vec<(Child, PathBuf)>,
}

/// What became of the statements.
pub struct Asked {
    pub answered: usize,
    /// Lines of psql.
    pub failures: Vec<String>,
}

impl Askers {
    /// So many connections, each beginning with another statement. Their files go into `folder`.
    pub fn start(door: &Door, count: usize, folder: &Path) -> Self {
        let connection = |number: usize| {
            let script = folder.join(format!("asker-{number}.sql"));
            std::fs::write(&script, statements_from(number)).expect("the temporary folder takes a file");
            let told = folder.join(format!("asker-{number}.log"));
            let log = File::create(&told).expect("the temporary folder takes a file");
            let dsn = format!("host=127.0.0.1 port={} user={USER} dbname=casewatch", door.port);
            // The kernel kills it when this thread dies in whatever way.
            let mut command = Command::new("setpriv");
            command
                .args(["--pdeathsig", "KILL", "--", "psql", &dsn])
                .args([
                    "--no-psqlrc",
                    "--no-password",
                    "--quiet",
                    "--output",
                    "/dev/null",
                    "--file",
                ])
                .arg(&script)
                .env("PGPASSWORD", PASSWORD)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file can be shared"))
                .stderr(log);
            let child = command
                .spawn()
                .expect("psql can be run: `tests/install postgres` installs it");
            (child, told)
        };
        Self {
            connections: (0..count).map(connection).collect(),
        }
    }

    /// Ends the connections, and says what they were told.
    pub fn stop(mut self) -> Asked {
        let mut asked = Asked {
            answered: 0,
            failures: Vec::new(),
        };
        for (child, told) in &mut self.connections {
            let ended = child.try_wait().expect("a child can be asked");
            let log = std::fs::read_to_string(told).unwrap_or_default();
            assert!(ended.is_none(), "psql ended by itself:\n{log}");
            let failures = log.lines().filter(|line| line.contains("ERROR:"));
            asked.failures.extend(failures.map(str::to_owned));
            asked.answered += log.lines().filter(|line| *line == ASKED).count();
        }
        // psql goes on to the next statement after a failure.
        asked.answered = asked.answered.saturating_sub(asked.failures.len());
        asked
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        for (child, _) in &mut self.connections {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What psql writes after each statement.
const ASKED: &str = "asked";

fn statements_from(first: usize) -> String {
    let order = (0..STATEMENTS.len()).map(|place| STATEMENTS[(first + place) % STATEMENTS.len()]);
    let round: String = order.map(|sql| format!("{sql};\n\\warn {ASKED}\n")).collect();
    round.repeat(ROUNDS)
}
