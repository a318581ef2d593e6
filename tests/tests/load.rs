//! `casewatch load` on a real Kafka, and what casewatch makes of it: a delivery is seen whole or not at all, and the live
//! tables and the lake hold exactly its rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};
use casewatch_tests::casewatch::{binary, run};
use casewatch_tests::proof::{self, Expected};
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Sql, alone, eventually, until};
use parquet::arrow::ArrowWriter;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const TABLES: [&str; 3] = ["cases", "teams", "feeds"];
const REFUSED: i32 = 3;

/// Case number to the team that is responsible for it.
type Cases = BTreeMap<u32, &'static str>;

/// A council's deliveries, and the configuration that `load` and `run` share.
struct Council {
    config: Config,
    file: PathBuf,
    /// Messages of the deliveries that were sent.
    messages: i64,
}

impl Council {
    fn new(kafka: &Kafka) -> Self {
        let mut feed = Feed::new("mosaic", "mosaic.", &TABLES);
        feed.order = "offset".to_owned();
        let config = Config::new(kafka.brokers(), vec![feed]);
        // `load` reads the same file as `run` and listens nowhere.
        let file = config.write(9);
        let messages = 0;
        Self { config, file, messages }
    }

    /// A folder with a delivery as of that day of June 2026: teams as Parquet, cases as CSV.
    fn delivery(&self, day: u32, cases: &Cases) -> PathBuf {
        let folder = self.config.folder.path().join(format!("delivery-{day}"));
        std::fs::create_dir_all(&folder).expect("a temporary folder takes folders");
        let mut text = "case_id,child_id,subject,team_id,opened_at,closed_at\n".to_owned();
        for (number, team) in cases {
            writeln!(text, "C{number},child-{number},child,{team},2018-01-31T09:30:00,").expect("a string takes text");
        }
        std::fs::write(folder.join("cases.csv"), text).expect("a temporary folder takes files");
        write_teams(&folder.join("teams.parquet"));
        let manifest = format!(
            "feed = \"mosaic-nightly\"\nsource_system = \"mosaic\"\nauthority = \"E06000061\"\ncomplete = true\n\
             as_at = 2026-06-{day:02}T02:00:00Z\nexpected_next_by = 2026-06-{:02}T08:00:00Z\n\n[rows]\ncases = {}\nteams = 2\n",
            day + 1,
            cases.len()
        );
        std::fs::write(folder.join("delivery.toml"), manifest).expect("a temporary folder takes files");
        folder
    }

    fn arguments(&self, folder: &Path) -> Vec<String> {
        let state = self.config.folder.path().join("state");
        let words = [
            "load",
            &folder.display().to_string(),
            "--config",
            &self.file.display().to_string(),
            "--state",
            &state.display().to_string(),
            "--json",
        ];
        words.map(str::to_owned).to_vec()
    }

    fn try_load(&self, folder: &Path) -> Output {
        let arguments = self.arguments(folder);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Loads a delivery that is good, in one transaction, and gives the summary.
    fn load(&mut self, folder: &Path) -> Value {
        let output = self.try_load(folder);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
        assert_eq!(summary["outcome"], "sent", "{summary}");
        assert_eq!(summary["transaction"], true, "{summary}");
        self.messages += summary["messages"].as_i64().expect("a count");
        summary
    }

    fn is_refused(&self, folder: &Path, part: &str) {
        let output = self.try_load(folder);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(REFUSED), "{said}");
        assert!(said.contains(part) && said.contains("nothing was sent"), "{said}");
    }
}

fn write_teams(path: &Path) {
    let column = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let teams = RecordBatch::try_from_iter([
        ("team_id", column(["t1", "t2"])),
        (
            "valid_from",
            Arc::new(Date32Array::from(vec![16_801, 16_801])) as ArrayRef,
        ),
        ("name", column(["First response", "Assessment north"])),
        ("service", column(["front_door", "assessment"])),
        (
            "case_holding",
            Arc::new(BooleanArray::from(vec![false, true])) as ArrayRef,
        ),
    ])
    .expect("the columns are of one length");
    let file = File::create(path).expect("a temporary folder takes files");
    let mut writer = ArrowWriter::try_new(file, teams.schema(), None).expect("the schema can be written");
    writer.write(&teams).expect("the rows can be written");
    writer.close().expect("the file can be closed");
}

/// The cases as a reader has them, with their teams.
fn cases_of(sql: &Sql) -> BTreeMap<u32, String> {
    let rows = sql.try_rows("select case_id, team_id from cases").unwrap_or_default();
    let text = |row: &Value, column: &str| row[column].as_str().expect("text").to_owned();
    rows.iter()
        .map(|row| {
            (
                text(row, "case_id")[1..].parse().expect("a number"),
                text(row, "team_id"),
            )
        })
        .collect()
}

/// Live tables and lake hold exactly these cases, and the lake exactly the messages that were sent.
fn holds_exactly(casewatch: &Casewatch, council: &Council, cases: &Cases) {
    let expected: BTreeMap<u32, String> = cases
        .iter()
        .map(|(number, team)| (*number, (*team).to_owned()))
        .collect();
    let same = |sql: Sql, what: &str| {
        until(what, PATIENCE, || {
            let found = cases_of(&sql);
            let missing = expected.iter().find(|(number, team)| found.get(number) != Some(team));
            let foreign = found.keys().find(|number| !expected.contains_key(number));
            match (missing, foreign) {
                (None, None) => Ok(()),
                differences => Err(format!("{} of {} cases; {differences:?}", found.len(), expected.len())),
            }
        });
    };
    same(casewatch.sql(), "the live tables to hold the delivery");
    let history = TABLES
        .map(|table| format!("select count(*) as n from history.{table}"))
        .join(" union all ");
    eventually("every message in the lake, once", PATIENCE, council.messages, || {
        let lake = council.config.lake_sql();
        let rows = lake
            .try_rows(&format!("select sum(n) as n from ({history})"))
            .unwrap_or_default();
        rows.first().and_then(|row| row["n"].as_i64()).unwrap_or(-1)
    });
    same(council.config.lake_sql(), "the lake to hold the delivery");
}

/// Messages in a topic's log, of open and aborted transactions too.
fn written(kafka: &Kafka, topic: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("isolation.level", "read_uncommitted")
        .create()
        .expect("a consumer needs no connection");
    let end = |partition| {
        consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .map_or(0, |(_, end)| end)
    };
    (0..3).map(end).sum()
}

#[test]
fn a_delivery_is_seen_whole_or_not_at_all_whatever_happens_while_it_is_sent() {
    let _alone = alone();
    let kafka = Kafka::start();
    let mut council = Council::new(&kafka);
    let mut cases: Cases = (0..2_000).map(|number| (number, "t1")).collect();

    // The first delivery is there before anybody reads.
    let first = council.load(&council.delivery(1, &cases));
    assert_eq!(first["tables"][0]["new"], 2_000, "{first}");
    let mut casewatch = Casewatch::spawn(&council.config, &[]);
    casewatch.wait_until_ready();
    holds_exactly(&casewatch, &council, &cases);
    let names = casewatch.sql().rows("select name from teams order by team_id");
    assert_eq!(names[1]["name"], "Assessment north", "the Parquet file: {names:?}");

    // Changed, deleted, new.
    cases.retain(|number, _| !(100..110).contains(number));
    cases.extend((500..520).chain(5_000..5_003).map(|number| (number, "t2")));
    let second = council.load(&council.delivery(2, &cases));
    let counts = ["new", "changed", "deleted"].map(|kind| second["tables"][0][kind].as_i64());
    assert_eq!(counts, [Some(3), Some(20), Some(10)], "{second}");
    holds_exactly(&casewatch, &council, &cases);

    // Three that must not be used.
    let before = written(&kafka, "mosaic.cases");
    let folder = council.delivery(3, &cases);
    let manifest = folder.join("delivery.toml");
    let text = std::fs::read_to_string(&manifest).expect("it was just written");
    std::fs::write(&manifest, text.replace("complete = true", "complete = false")).expect("a file can be written");
    council.is_refused(&folder, "complete");
    let total = format!("cases = {}", cases.len());
    std::fs::write(&manifest, text.replace(&total, "cases = 1994")).expect("a file can be written");
    council.is_refused(&folder, "1994");
    let half: Cases = cases.iter().take(900).map(|(number, team)| (*number, *team)).collect();
    council.is_refused(&council.delivery(3, &half), "fewer");
    assert_eq!(written(&kafka, "mosaic.cases"), before, "nothing was sent");

    // Killed in the middle of sending.
    cases.extend((10_000..70_000).map(|number| (number, "t1")));
    let folder = council.delivery(3, &cases);
    let mut loading = Command::new(binary())
        .args(council.arguments(&folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be run");
    until("some of it to be in Kafka", PATIENCE, || {
        match written(&kafka, "mosaic.cases") - before {
            found if found > 1_000 => Ok(()),
            found => Err(format!("{found} messages")),
        }
    });
    loading.kill().expect("it still runs");
    loading.wait().expect("it was killed");
    let sent = written(&kafka, "mosaic.cases") - before;
    assert!(sent < 60_000, "killed too late: {sent} messages were sent");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cases_of(&casewatch.sql()).len(), 1_993, "nothing of it is seen");

    // The same delivery again: the next run aborts what the killed one left open.
    let third = council.load(&folder);
    assert_eq!(third["tables"][0]["rows"], 61_993, "{third}");
    holds_exactly(&casewatch, &council, &cases);
    let feeds = casewatch
        .sql()
        .rows("select \"table\", count(*) as n from feeds group by \"table\" order by 1");
    assert!(
        feeds.iter().all(|row| row["n"] == 3),
        "a row a table a delivery: {feeds:?}"
    );

    // Ranges tile over markers and aborted messages, and a fresh start gives the same present.
    let lake = council.config.lake_sql();
    let expected: Vec<_> = proof::positions(&lake)
        .expect("the lake answers")
        .into_iter()
        .map(|((topic, partition), end)| Expected {
            table: topic.trim_start_matches("mosaic.").to_owned(),
            topic,
            partition: i32::try_from(partition).expect("a partition has 32 bits"),
            first: 0,
            end,
        })
        .collect();
    let proof = proof::exactly_once(&lake, &expected);
    assert_eq!(
        (proof.data_offsets, proof.dead_letters),
        (council.messages, 0),
        "{proof:?}"
    );
    assert!(proof.holes >= sent, "aborted messages are holes: {proof:?}");
    assert!(casewatch.stop(Duration::from_secs(10)).success(), "{}", casewatch.log());
    let mut casewatch = Casewatch::spawn(&council.config, &[]);
    casewatch.wait_until_ready();
    holds_exactly(&casewatch, &council, &cases);
}
