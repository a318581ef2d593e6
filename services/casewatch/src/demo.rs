//! `casewatch demo`: the whole system in one process on embedded defaults - an in-process broker, the scenario
//! Northamptonshire 2018-2020, a lake in a folder, the exporter - and a line a second that says where it stands.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use casewatch_metrics::SampleStore;
use casewatch_query::{AsOf, Engine};
use casewatch_simulator::{KafkaTarget, Progress, Replay, Scenario, SimulateOptions, Target};
use chrono::{DateTime, NaiveDate};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::{DemoArgs, Speed};
use crate::config::Config;
use crate::embedded::EmbeddedBroker;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::runtimes::Handles;
use crate::signals::stop_on_signal;
use crate::simulate::{line_of, pace_of, text_of};
use crate::system::{System, Window};

const PREFIX: &str = "casewatch.public.";
/// The headline shown while the demo runs, and the SQL of the summary, both of the catalogue.
const HEADLINE: &str = "casewatch_cases_no_holder";
const SUMMARY: &str = "reports/safety.sql";
/// Days at which reports and inspections published a count, and what they said.
const MILESTONES: [(&str, &str); 6] = [
    ("2018-01-31", "551 without a social worker (news, January 2019)"),
    ("2018-10-17", "383, of them 267 at the front door (inspection letter)"),
    ("2019-01-31", "81, of them 20-30 in transition (news)"),
    ("2019-05-31", "152, oldest wait 75 days (news)"),
    ("2019-10-31", "above 300: the relapse (news)"),
    ("2020-06-30", "none unallocated (commissioner)"),
];

/// # Errors
/// A port that is taken, a folder that cannot be written, schemas and queries that are not where `--home` says.
pub async fn run(args: DemoArgs, on: Handles) -> Result<(), Failure> {
    let stop = stop_on_signal();
    let folder = Folder::new(args.dir.as_deref())?;
    let broker = EmbeddedBroker::start(&on.ingest).await.map_err(Failure::failed)?;
    let config = configuration(&args, &broker, &folder)?;
    let opened = Arc::new(Opened::of(config).await?);
    // The topics are there before anybody reads them.
    let options = options(&args, &broker);
    let replay = tokio::task::spawn_blocking(move || Replay::new(options));
    let mut replay = replay.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    let last = replay.last_day();
    let system = System::start(opened, &BTreeSet::new(), &on, stop.clone()).await?;
    let window = system.window.clone();
    say_hello(&window, &folder);
    let progress = Arc::new(Mutex::new(None));
    let replaying = tokio::task::spawn_blocking({
        let (progress, stop) = (progress.clone(), stop.clone());
        move || {
            let mut note = |now| *progress.lock().expect("no holder panics") = Some(now);
            replay.run_until(last, &mut note, &stop)?;
            replay.finish()
        }
    });
    let mut running = tokio::spawn(system.until_stopped());
    let shown = tokio::spawn(show_progress(window.clone(), progress, stop.clone()));
    let replayed = tokio::select! {
        replayed = replaying => replayed.map_err(Failure::failed)?.map_err(Failure::failed)?,
        ended = &mut running => return ended.map_err(Failure::failed)?,
    };
    if !stop.is_cancelled() {
        wait_for(&window.store, last, &stop).await;
        shown.abort();
        eprintln!();
        print!("{}", text_of(&replayed));
        if let Some(engine) = &window.engine {
            summary(engine, &args.home.join("queries").join(SUMMARY), last).await?;
        }
        if args.speed != Speed::Max && !stop.is_cancelled() {
            println!("the scenario has ended; everything goes on being served until Ctrl-C");
            stop.cancelled().await;
        }
    }
    stop.cancel();
    running.await.map_err(Failure::failed)?
}

/// Where the lake goes: a subfolder of a given folder, kept; or a temporary one, removed at the end.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn new(given: Option<&Path>) -> Result<Self, Failure> {
        let Some(parent) = given else {
            let made = tempfile::Builder::new().prefix("casewatch-demo-").tempdir();
            return made.map(Self::Temporary).map_err(|error| {
                Failure::failed(format!(
                    "no temporary folder: {error}\nhint: name one with --dir, on a disk with room"
                ))
            });
        };
        let folder = parent.join(format!("run-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::usage(format!("--dir: {} cannot be written: {error}", parent.display())))?;
        Ok(Self::Kept(folder))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The same configuration file that a real system has, filled in.
fn configuration(args: &DemoArgs, broker: &EmbeddedBroker, folder: &Folder) -> Result<Config, Failure> {
    let text = format!(
        r#"
clock = "feed"

[kafka]
brokers = "{}"
cluster = "demo-{}"

[[sources]]
name = "case_system"
topic_prefix = "{PREFIX}"
order = "source"

[keys]
demo = true

[lake]
url = {:?}

[limits]
flush_interval = "5s"

[live]
max_skew = "1000d"
images = false

[http]
listen = "127.0.0.1:{}"
"#,
        broker.address(),
        Uuid::new_v4().simple(),
        folder.path().join("lake"),
        args.port,
    );
    Config::parse(&text, &args.home).map_err(|error| {
        Failure::usage(format!(
            "{error}\nhint: run the demo in the checkout, or name the checkout with --home"
        ))
    })
}

fn options(args: &DemoArgs, broker: &EmbeddedBroker) -> SimulateOptions {
    let target = Target::Kafka(KafkaTarget::new(broker.address()));
    SimulateOptions {
        seed: args.seed,
        until: args.until,
        pace: pace_of(args.speed),
        topic_prefix: PREFIX.to_owned(),
        schemas: args.home.join("schemas"),
        ..SimulateOptions::new(Scenario::Northamptonshire, target)
    }
}

fn say_hello(window: &Window, folder: &Folder) {
    let address = window.address;
    println!("casewatch demo: Northamptonshire 2018-2020, synthetic people, published counts");
    println!();
    println!("  metrics   http://{address}/metrics");
    println!("  status    http://{address}/-/status");
    println!("  lake      {}", folder.path().join("lake").display());
    println!();
    println!("  curl -s http://{address}/metrics | grep '^{HEADLINE}'");
    println!("  casewatch sql --url http://{address} \"select state, count(*) from allocation_state group by state\"");
    println!("  casewatch sql --url http://{address}        # a prompt; \\d lists the tables");
    println!();
}

/// One line, rewritten each second on a terminal; a line every ten seconds elsewhere.
async fn show_progress(window: Window, progress: Arc<Mutex<Option<Progress>>>, stop: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let mut ticks = tokio::time::interval(Duration::from_secs(if terminal { 1 } else { 10 }));
    while !stop.is_cancelled() {
        ticks.tick().await;
        let Some(sent) = *progress.lock().expect("no holder panics") else {
            continue;
        };
        let sent = line_of(&sent);
        let published = window.store.current();
        let reached = published.status.cut.map_or("-".to_owned(), |cut| date_of(cut.0));
        let headline = headline(&window.store).map_or("not known yet".to_owned(), |count| format!("{count:.0}"));
        let line = format!("sent: {sent} | shown: {reached}, without a holder: {headline}");
        if terminal {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

/// The headline over the whole authority, if it may be shown now.
fn headline(store: &SampleStore) -> Option<f64> {
    let published = store.current();
    let shown = published
        .shown
        .iter()
        .find(|shown| shown.set.definition.name.name == HEADLINE)?;
    if Instant::now() >= shown.expires_at {
        return None;
    }
    Some(shown.set.samples.iter().map(|sample| sample.value.as_number()).sum())
}

fn date_of(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).map_or("-".to_owned(), |moment| moment.format("%-d %b %Y").to_string())
}

/// Waits until what is shown has reached the end of `day`.
async fn wait_for(store: &SampleStore, day: NaiveDate, stop: &CancellationToken) {
    let end: AsOf = day.to_string().parse().expect("a date is a moment");
    while !stop.is_cancelled() && store.current().status.cut.is_none_or(|cut| cut < end.0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The milestones, each computed by time travel over the lake, beside what was published.
async fn summary(engine: &Engine, path: &Path, last: NaiveDate) -> Result<(), Failure> {
    let sql = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{}: cannot be read: {error}", path.display())))?;
    println!();
    println!(
        "{:<12}{:>10}{:>11}{:>15}{:>13}{:>12}{:>8}   published",
        "as of", "open", "no holder", "in transition", "unallocated", "front door", "oldest"
    );
    for (day, published) in MILESTONES {
        let date: NaiveDate = day.parse().expect("the date is valid");
        if date > last {
            break;
        }
        let as_of: AsOf = day.parse().expect("a date is a moment");
        let answer = engine
            .session(Some(as_of), None)
            .sql(&sql)
            .await
            .map_err(Failure::failed)?;
        let batches = answer.collect().await.map_err(Failure::failed)?;
        let value = |name: &str| number(&batches, name).map_or("-".to_owned(), |value| value.to_string());
        println!(
            "{day:<12}{:>10}{:>11}{:>15}{:>13}{:>12}{:>8}   {published}",
            value("open_cases"),
            value("no_holder"),
            value("in_transition"),
            value("unallocated"),
            value("front_door_awaiting"),
            value("oldest_wait_days"),
        );
    }
    Ok(())
}

fn number(batches: &[RecordBatch], column: &str) -> Option<i64> {
    let column = batches.first()?.column_by_name(column)?;
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).ok()?;
    column.as_primitive::<Int64Type>().iter().next().flatten()
}
