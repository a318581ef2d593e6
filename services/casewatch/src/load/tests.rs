//! Whole deliveries: from files to what a reader of Kafka decodes and folds.

use super::*;
use crate::failure::Code;
use crate::load::testing::{contract, schemas};
use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::util::pretty::pretty_format_batches;
use casewatch_contract::{Decoder, Encoding, HmacKeys, Offset, Order, RawMessage, RecordedAt, Shape, TopicSpec};
use casewatch_live::{KnownFrom, LiveTable};
use clap::Parser;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};
use std::fmt::Write;
use std::time::{Duration, Instant};

const PREFIX: &str = "mosaic.";
const PARTITIONS: i32 = 2;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: LoadArgs,
}

/// A message as a reader gets it: partition, offset, key, value.
type Read = (i32, i64, Vec<u8>, Vec<u8>);

/// A council that delivers extracts, and a broker of its own.
struct Council {
    folder: tempfile::TempDir,
    broker: MockCluster<'static, DefaultProducerContext>,
}

impl Council {
    fn new() -> Self {
        let broker = MockCluster::new(1).unwrap();
        for table in contract().tables() {
            broker
                .create_topic(&format!("{PREFIX}{}", table.name), PARTITIONS, 1)
                .unwrap();
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            broker,
        }
    }

    /// Writes a delivery of the day of June 2026, each table as header and rows.
    fn deliver(&self, day: u32, more: &str, tables: &[(&str, String)]) -> PathBuf {
        let folder = self.folder.path().join(format!("delivery-{day}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut manifest = format!(
            "feed = \"mosaic-nightly\"\nsource_system = \"mosaic\"\nauthority = \"E06000061\"\ncomplete = true\n\
             as_at = 2026-06-{day:02}T02:00:00Z\nexpected_next_by = 2026-06-{:02}T08:00:00Z\n{more}\n[rows]\n",
            day + 1
        );
        for (table, text) in tables {
            writeln!(manifest, "{table} = {}", text.lines().count() - 1).unwrap();
            std::fs::write(folder.join(format!("{table}.csv")), text).unwrap();
        }
        std::fs::write(folder.join("delivery.toml"), manifest).unwrap();
        folder
    }

    fn args(&self, folder: &Path, more: &[&str]) -> LoadArgs {
        let mut words = vec![
            "load".to_owned(),
            folder.display().to_string(),
            format!("--brokers={}", self.broker.bootstrap_servers()),
            format!("--topic-prefix={PREFIX}"),
            format!("--schemas={}", schemas().display()),
            format!("--state={}", self.state().display()),
        ];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        Cli::try_parse_from(words).unwrap().args
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn load(&self, folder: &Path, more: &[&str]) -> Result<(), Failure> {
        run(&self.args(folder, more))
    }

    /// Sends a delivery and is cut off before it is remembered as sent.
    fn load_and_crash(&self, folder: &Path) {
        let args = self.args(folder, &[]);
        let contract = contract();
        let (manifest, files) = describe(&args, &contract).unwrap();
        let mut state = State::open(&args.state, &manifest.feed, Access::Write).unwrap();
        let plan = Plan::new(&args, &contract, manifest, &files, &state).unwrap();
        let target = settings::Settings::of(&args)
            .unwrap()
            .target(&args, &plan.manifest)
            .unwrap();
        let known: Vec<_> = plan
            .delivery
            .iter()
            .map(|changes| (Arc::clone(&changes.extract.table), &changes.known))
            .collect();
        state.stage(plan.manifest.as_at, &known).unwrap();
        let partitions = send::make_topics(&target, &plan.tables()).unwrap();
        let messages = message::messages(&plan.delivery, &plan.record, &plan.manifest, &partitions);
        send::send(&target, &plan.manifest.feed, messages).unwrap();
    }

    /// Every message of a table's topic.
    fn read(&self, table: &str) -> Vec<Read> {
        let topic = format!("{PREFIX}{table}");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .set("group.id", "test")
            .set("enable.partition.eof", "false")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..PARTITIONS {
            let (low, high) = consumer
                .fetch_watermarks(&topic, partition, Duration::from_secs(10))
                .unwrap();
            left += high - low;
            assignment
                .add_partition_offset(&topic, partition, rdkafka::Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let (mut read, started) = (Vec::new(), Instant::now());
        while left > 0 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{left} messages of {topic} did not arrive"
            );
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.unwrap();
            let (key, value) = (message.key().unwrap().to_vec(), message.payload().unwrap().to_vec());
            read.push((message.partition(), message.offset(), key, value));
            left -= 1;
        }
        read.sort();
        read
    }

    /// The changes of a table as the contract's decoder reads them.
    fn changes(&self, table: &str) -> Vec<RecordBatch> {
        let table = Arc::clone(contract().table(table).unwrap());
        let topic = TopicSpec {
            topic: format!("{PREFIX}{}", table.name).into(),
            table: table.name.clone(),
            epoch: 0,
            order: Order::Offset,
            encoding: Encoding::Auto,
            shape: Shape::Auto,
        };
        let read = self.read(&table.name);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut decoder = Decoder::new(table, topic, "test".into(), Arc::new(HmacKeys::demo()), None).unwrap();
        let mut batches = Vec::new();
        for partition in 0..PARTITIONS {
            let messages: Vec<_> = read
                .iter()
                .filter(|message| message.0 == partition)
                .map(|(_, offset, key, value)| RawMessage {
                    offset: Offset(*offset),
                    key: Some(key),
                    value: Some(value),
                    timestamp_ms: None,
                })
                .collect();
            let end = messages
                .last()
                .map_or(Offset(0), |message| Offset(message.offset.0 + 1));
            let now = RecordedAt(chrono::Utc::now().timestamp_micros());
            let decode = decoder.decode(partition, Offset(0), end, &messages, now);
            let chunk = runtime
                .block_on(decode)
                .unwrap_or_else(|_| panic!("no registry is needed"));
            assert_eq!(chunk.dead_letters, []);
            batches.push(chunk.rows);
        }
        batches
    }

    fn folded(&self, table: &str) -> LiveTable {
        let mut live = LiveTable::new(Arc::clone(contract().table(table).unwrap())).unwrap();
        for batch in self.changes(table) {
            live.apply(&batch).unwrap();
        }
        live
    }

    /// Columns of the present rows of a table, as text, sorted.
    fn present(&self, table: &str, columns: &[&str]) -> String {
        let present = self.folded(table).publish().unwrap();
        let all = concat_batches(&present.schema, &present.batches).unwrap();
        let places: Vec<_> = columns
            .iter()
            .map(|name| all.schema().index_of(name).unwrap())
            .collect();
        let rows = all.project(&places).unwrap();
        let order: Vec<_> = rows
            .columns()
            .iter()
            .map(|values| SortColumn {
                values: Arc::clone(values),
                options: None,
            })
            .collect();
        let rows = take_record_batch(&rows, &lexsort_to_indices(&order, None).unwrap()).unwrap();
        pretty_format_batches(&[rows]).unwrap().to_string()
    }

    fn rows_present(&self, table: &str) -> usize {
        self.folded(table).publish().unwrap().rows
    }
}

fn cases(ids: impl IntoIterator<Item = u32>) -> String {
    let mut text = "case_id,child_id,subject,team_id,opened_at,closed_at\n".to_owned();
    for id in ids {
        writeln!(text, "{id},child-{id},child,t1,2018-01-31T09:30:00,").unwrap();
    }
    text
}

fn teams(rows: &[(&str, &str, &str)]) -> String {
    let mut text = "team_id,valid_from,name,service,case_holding\n".to_owned();
    for (id, from, name) in rows {
        writeln!(text, "{id},{from},{name},assessment,yes").unwrap();
    }
    text
}

/// The boundary of DOMAIN, example 20.
#[test]
fn an_extract_that_goes_from_5000_to_2300_cases_is_refused_and_live_is_unchanged() {
    let council = Council::new();
    council
        .load(&council.deliver(1, "", &[("cases", cases(0..5000))]), &[])
        .unwrap();
    assert_eq!(council.rows_present("cases"), 5000);
    let (messages, ledger) = (
        council.read("cases").len(),
        std::fs::read(council.state().join("mosaic-nightly/ledger.json")).unwrap(),
    );

    let half = council.deliver(2, "", &[("cases", cases(0..2300))]);
    for more in [&[][..], &["--dry-run"]] {
        let failure = council.load(&half, more).unwrap_err();
        assert_eq!(failure.code, Code::Refused);
        assert!(
            failure.message.contains("cases: 5000 -> 2300 rows, 54.0 % fewer"),
            "{failure}"
        );
        assert!(
            failure.message.contains("hint: ") && failure.message.contains("--accept"),
            "{failure}"
        );
    }
    assert_eq!(council.rows_present("cases"), 5000);
    assert_eq!(
        (council.read("cases").len(), council.read("feeds").len()),
        (messages, 1)
    );
    assert_eq!(
        std::fs::read(council.state().join("mosaic-nightly/ledger.json")).unwrap(),
        ledger
    );

    council.load(&half, &["--accept"]).unwrap();
    assert_eq!(council.rows_present("cases"), 2300);
}

#[test]
fn a_loss_of_five_percent_is_believed_and_more_is_not() {
    let council = Council::new();
    council
        .load(&council.deliver(1, "", &[("cases", cases(0..100))]), &[])
        .unwrap();
    council
        .load(&council.deliver(2, "", &[("cases", cases(0..95))]), &[])
        .unwrap();
    assert_eq!(council.rows_present("cases"), 95);
    let failure = council
        .load(&council.deliver(3, "", &[("cases", cases(0..90))]), &[])
        .unwrap_err();
    assert_eq!(failure.code, Code::Refused);
    council
        .load(
            &council.deliver(3, "", &[("cases", cases(0..90))]),
            &["--max-shrink", "6"],
        )
        .unwrap();
    assert_eq!(council.rows_present("cases"), 90);
}

#[test]
fn every_type_comes_out_of_the_decoder_as_it_stood_in_the_file() {
    let council = Council::new();
    let contracts = "contract_id,worker_id,employment,role,child_family_sw,case_holding,fte,team_id,started_on,ended_on,authority\n\
        c1,w1,permanent,case_holder,yes,no,0.81081,t1,2018-01-31,,E06000062\n\
        c2,w2,agency,\"a \"\"b\"\", c\",0,1,,t1,1969-12-31,2030-01-01,E06000062\n";
    let supervisions = "supervision_id,kind,worker_id,supervisor_id,case_id,held_at\n\
        1,case,w1,w2,5,2018-07-01T00:30:00.123456\n\
        2,personal,w1,w2,,1950-01-01T00:00:00Z\n";
    let tables = [
        ("contracts", contracts.to_owned()),
        ("supervisions", supervisions.to_owned()),
    ];
    council.load(&council.deliver(1, "", &tables), &[]).unwrap();
    let columns = [
        "contract_id",
        "role",
        "child_family_sw",
        "fte",
        "started_on",
        "ended_on",
        "authority",
        "source_system",
        "_recorded_at",
    ];
    assert_eq!(
        council.present("contracts", &columns),
        "\
+-------------+-------------+-----------------+-------+------------+------------+-----------+---------------+----------------------+
| contract_id | role        | child_family_sw | fte   | started_on | ended_on   | authority | source_system | _recorded_at         |
+-------------+-------------+-----------------+-------+------------+------------+-----------+---------------+----------------------+
| c1          | case_holder | true            | 0.811 | 2018-01-31 |            | E06000062 | mosaic        | 2026-06-01T02:00:00Z |
| c2          | a \"b\", c    | false           |       | 1969-12-31 | 2030-01-01 | E06000062 | mosaic        | 2026-06-01T02:00:00Z |
+-------------+-------------+-----------------+-------+------------+------------+-----------+---------------+----------------------+"
    );
    assert_eq!(
        council.present("supervisions", &["supervision_id", "case_id", "held_at"]),
        "\
+----------------+---------+-----------------------------+
| supervision_id | case_id | held_at                     |
+----------------+---------+-----------------------------+
| 1              | 5       | 2018-06-30T23:30:00.123456Z |
| 2              |         | 1950-01-01T00:00:00Z        |
+----------------+---------+-----------------------------+"
    );
}

#[test]
fn each_delivery_leaves_a_row_for_each_of_its_tables() {
    let council = Council::new();
    let tables = [("cases", cases(0..3)), ("teams", teams(&[("t1", "2018-01-01", "a")]))];
    council
        .load(
            &council.deliver(1, "window_from = 2018-01-01\nwhole = [\"teams\"]", &tables),
            &[],
        )
        .unwrap();
    let columns = [
        "feed_id",
        "table",
        "as_at",
        "rows",
        "window_from",
        "expected_next_by",
        "complete",
        "authority",
        "source_system",
    ];
    assert_eq!(
        council.present("feeds", &columns),
        "\
+----------------+-------+----------------------+------+-------------+----------------------+----------+-----------+---------------+
| feed_id        | table | as_at                | rows | window_from | expected_next_by     | complete | authority | source_system |
+----------------+-------+----------------------+------+-------------+----------------------+----------+-----------+---------------+
| mosaic-nightly | cases | 2026-06-01T02:00:00Z | 3    | 2018-01-01  | 2026-06-02T08:00:00Z | true     | E06000061 | mosaic        |
| mosaic-nightly | teams | 2026-06-01T02:00:00Z | 1    |             | 2026-06-02T08:00:00Z | true     | E06000061 | mosaic        |
+----------------+-------+----------------------+------+-------------+----------------------+----------+-----------+---------------+"
    );
    council.load(&council.deliver(2, "", &tables), &[]).unwrap();
    assert_eq!(
        (council.rows_present("feeds"), council.read("cases").len()),
        (4, 3 + 1),
        "a delivery without changes too"
    );
}

#[test]
fn the_first_delivery_is_a_complete_snapshot_however_few_rows_a_partition_has() {
    let council = Council::new();
    for (day, table, text) in [
        (1, "cases", cases(0..50)),
        (2, "teams", teams(&[("t1", "2018-01-01", "a")])),
    ] {
        council.load(&council.deliver(day, "", &[(table, text)]), &[]).unwrap();
        let live = council.folded(table);
        let as_at = chrono::DateTime::parse_from_rfc3339(&format!("2026-06-{day:02}T02:00:00Z")).unwrap();
        let known_from = KnownFrom::At(RecordedAt(as_at.timestamp_micros()));
        assert_eq!(live.known_from(), Some(known_from), "{table}");
    }
}

#[test]
fn rows_that_leave_the_window_stay_and_others_go() {
    let council = Council::new();
    let rows = [
        ("t1", "2017-12-31", "a"),
        ("t2", "2018-01-01", "b"),
        ("t3", "2018-06-01", "c"),
    ];
    council
        .load(&council.deliver(1, "", &[("teams", teams(&rows))]), &[])
        .unwrap();
    let now = teams(&[("t2", "2018-01-01", "B"), ("t4", "2018-01-01", "d")]);
    council
        .load(&council.deliver(2, "window_from = 2018-01-01", &[("teams", now)]), &[])
        .unwrap();
    assert_eq!(
        council.present("teams", &["team_id", "name"]),
        "\
+---------+------+
| team_id | name |
+---------+------+
| t1      | a    |
| t2      | B    |
| t4      | d    |
+---------+------+"
    );
}

#[test]
fn a_delivery_that_was_cut_off_before_it_was_remembered_is_made_good_by_loading_it_again() {
    let council = Council::new();
    let first = council.deliver(1, "", &[("cases", cases(0..100))]);
    council.load_and_crash(&first);
    council.load(&first, &[]).unwrap();
    assert_eq!((council.rows_present("cases"), council.rows_present("feeds")), (100, 1));

    let second = council.deliver(2, "", &[("cases", cases(2..101))]);
    council.load_and_crash(&second);
    council.load(&second, &[]).unwrap();
    assert_eq!((council.rows_present("cases"), council.rows_present("feeds")), (99, 2));
    let settled = council.read("cases").len();
    council
        .load(&council.deliver(3, "", &[("cases", cases(2..101))]), &[])
        .unwrap();
    assert_eq!(council.read("cases").len(), settled, "and nothing is left to send");
}

#[test]
fn rows_of_a_delivery_that_was_cut_off_go_when_a_later_one_lacks_them() {
    let council = Council::new();
    council
        .load(&council.deliver(1, "", &[("cases", cases(0..100))]), &[])
        .unwrap();
    let changed = cases(0..101).replace("child-7,child,t1", "child-7,child,t2");
    council.load_and_crash(&council.deliver(2, "", &[("cases", changed)]));
    assert_eq!(council.rows_present("cases"), 101);
    council
        .load(&council.deliver(3, "", &[("cases", cases(0..100))]), &[])
        .unwrap();
    assert_eq!(council.rows_present("cases"), 100);
    assert!(
        !council.present("cases", &["case_id", "team_id"]).contains("t2"),
        "what it changed is changed back"
    );
}

#[test]
fn deliveries_come_once_and_in_their_order() {
    let council = Council::new();
    let second = council.deliver(2, "", &[("cases", cases(0..3))]);
    council.load(&second, &[]).unwrap();
    for folder in [second, council.deliver(1, "", &[("cases", cases(0..3))])] {
        let failure = council.load(&folder, &["--accept"]).unwrap_err();
        assert_eq!(failure.code, Code::Refused);
        assert!(
            failure
                .message
                .contains("cases was delivered as at 2026-06-02T02:00:00"),
            "{failure}"
        );
    }
    assert_eq!(council.read("feeds").len(), 1);
}

#[test]
fn one_bad_cell_in_one_file_stops_the_whole_delivery() {
    let council = Council::new();
    let tables = [("cases", cases(0..3)), ("teams", teams(&[("t1", "01/01/2018", "a")]))];
    let failure = council.load(&council.deliver(1, "", &tables), &[]).unwrap_err();
    assert_eq!(failure.code, Code::Refused);
    assert!(failure.message.contains("(1 problem)"), "{failure}");
    assert!(
        failure
            .message
            .contains("teams.csv:2: column valid_from: expected a date such as 2018-01-31"),
        "{failure}"
    );
    assert_eq!((council.read("cases").len(), council.read("feeds").len()), (0, 0));

    let folder = council.deliver(
        1,
        "",
        &[("cases", cases(0..3)), ("teams", teams(&[("t1", "2018-01-01", "a")]))],
    );
    std::fs::remove_file(folder.join("teams.csv")).unwrap();
    let failure = council.load(&folder, &[]).unwrap_err();
    assert!(failure.message.contains("no file for teams"), "{failure}");
}

#[test]
fn a_dry_run_sends_and_remembers_nothing() {
    let council = Council::new();
    council
        .load(
            &council.deliver(1, "", &[("cases", cases(0..3))]),
            &["--dry-run", "--json"],
        )
        .unwrap();
    assert_eq!(council.read("feeds").len(), 0);
    assert!(!council.state().exists());
}

#[test]
fn when_no_broker_answers_nothing_is_remembered_as_sent() {
    let council = Council::new();
    let folder = council.deliver(1, "", &[("cases", cases(0..3))]);
    let mut args = council.args(&folder, &[]);
    args.brokers = Some("127.0.0.1:1".to_owned());
    let contract = contract();
    let (manifest, files) = describe(&args, &contract).unwrap();
    let mut state = State::open(&args.state, &manifest.feed, Access::Write).unwrap();
    let plan = Plan::new(&args, &contract, manifest, &files, &state).unwrap();
    let mut target = settings::Settings::of(&args)
        .unwrap()
        .target(&args, &plan.manifest)
        .unwrap();
    target.properties.insert("log_level".to_owned(), "0".to_owned());
    target.timeout = Duration::from_millis(500);
    let failure = plan.carry_out(&mut state, &target).unwrap_err();
    assert!(
        failure
            .message
            .starts_with("nothing was sent: the brokers at 127.0.0.1:1 do not answer"),
        "{failure}"
    );
    drop(state);
    council.load(&folder, &[]).unwrap();
    assert_eq!(council.rows_present("cases"), 3);
}

#[test]
fn files_may_be_described_by_options_and_sent_without_a_transaction() {
    let council = Council::new();
    let folder = council.deliver(1, "", &[("cases", cases(0..3))]);
    let described = [
        "--feed=hr",
        "--as-at=2026-06-01T02:00:00Z",
        "--complete",
        "--expected-next-by=2026-06-02T08:00:00Z",
        "--rows=cases=3",
        "--set=authority=E06000061",
        "--no-transaction",
    ];
    council.load(&folder.join("cases.csv"), &described).unwrap();
    assert_eq!(council.rows_present("cases"), 3);
    let failure = council.load(&folder.join("cases.csv"), &described[..2]).unwrap_err();
    assert_eq!(failure.code, Code::Refused, "not complete: {failure}");
    let failure = council.load(&folder, &described).unwrap_err();
    assert_eq!(failure.code, Code::Usage, "a folder describes itself: {failure}");
}
