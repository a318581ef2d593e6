//! Running a scenario to Kafka or files: which days, how fast, in which format.
//!
//! Promises: a run halted at a date and taken up from the day after, in this process or another (`from`), sends what
//! one run would have sent; when [`Replay::run_until`] returns, everything sent is acknowledged; cancelling returns
//! within about a second.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{RegistryClient, RegistryConfig};
use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::SimulatorError;
use crate::calendar::{Calendar, Day, Time};
use crate::disorder::{Disorder, Disturbance};
use crate::journal::{Event, Snapshot};
use crate::profile::Profile;
use crate::published::PublishedFigures;
use crate::published_authority::{PublishedAuthority, SUPPLIED};
use crate::row::{Row, Table};
use crate::simulation::{Batch, Simulation};
use crate::sink::{FileSink, FilesTarget, KafkaSink, KafkaTarget, Sink, runtime, write_extract};
use crate::wire::{Encoder, ReplicaIdentity, SchemaIds, WireFormat};

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub enum Scenario {
    /// 1 January 2018 to 30 September 2020, held to the published counts.
    Northamptonshire,
    /// Authorities in a steady state from 1 January 2018 on, each `scale` times Northamptonshire.
    Steady {
        /// How many.
        authorities: u32,
        /// Size of each.
        scale: f64,
    },
    /// Authorities of which DfE's counting gives the figures that it published, from the 1 October before the first year to
    /// the 30 September of the last. The same figures give the same events, whatever the seed.
    Published(Arc<PublishedFigures>),
}

impl Scenario {
    /// The scenario of this name; the other two matter for `steady` only.
    pub fn named(name: &str, authorities: u32, scale: f64) -> Result<Self, SimulatorError> {
        match name {
            "northamptonshire" => Ok(Self::Northamptonshire),
            "steady" => Ok(Self::Steady { authorities, scale }),
            _ => Err(SimulatorError::UnknownScenario { name: name.to_owned() }),
        }
    }

    /// The authorities, each with the first letters of its identifiers, and the first and the last day of all.
    fn authorities(&self, seed: u64) -> (Vec<(String, Source)>, Day, Day) {
        let profiles = match self {
            Self::Northamptonshire => vec![Profile::northamptonshire()],
            Self::Steady { authorities, scale } => (0..(*authorities).max(1))
                .map(|index| Profile::steady(index as usize, *scale))
                .collect(),
            Self::Published(figures) => return published(figures),
        };
        let (first, last) = (profiles[0].first_day, profiles[0].last_day);
        let simulated = |(index, profile): (usize, Profile)| {
            let prefix = profile.prefix.clone();
            let simulation = Simulation::new(profile, seed_of(seed, index));
            (prefix, Source::Simulated(Box::new(simulation)))
        };
        (profiles.into_iter().enumerate().map(simulated).collect(), first, last)
    }

    /// The tables that hold rows in the end.
    fn supplied(&self) -> &'static [Table] {
        match self {
            Self::Published(_) => &SUPPLIED,
            _ => &Table::ALL,
        }
    }
}

fn published(figures: &PublishedFigures) -> (Vec<(String, Source)>, Day, Day) {
    let (first_year, last_year) = figures.years();
    let (first, last) = (Day::of(first_year - 1, 10, 1), Day::of(last_year, 9, 30));
    let calendar = Arc::new(Calendar::new());
    let authority = |(index, (code, years)): (usize, (&String, &Vec<_>))| {
        let prefix = format!("L{index:03}");
        let made = PublishedAuthority::new(code, &prefix, years, Arc::clone(&calendar), (first, last));
        (prefix, Source::Published(Box::new(made)))
    };
    (
        figures.authorities.iter().enumerate().map(authority).collect(),
        first,
        last,
    )
}

/// Authorities of one run differ.
fn seed_of(seed: u64, index: usize) -> u64 {
    seed.wrapping_add(index as u64 * 0x9e37_79b9)
}

/// Where an authority's events come from.
enum Source {
    Simulated(Box<Simulation>),
    Published(Box<PublishedAuthority>),
}

impl Source {
    fn step(&mut self) -> Option<Batch> {
        match self {
            Self::Simulated(simulation) => simulation.step(),
            Self::Published(authority) => authority.step(),
        }
    }

    fn next_day(&self) -> Day {
        match self {
            Self::Simulated(simulation) => simulation.next_day(),
            Self::Published(authority) => authority.next_day(),
        }
    }
}

/// How fast events are sent. The initial snapshot is always sent at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// As fast as the target takes them.
    #[default]
    Max,
    /// Simulated seconds a second: 86,400 is a day a second, 1 is real time.
    SimulatedSeconds(f64),
    /// Events a second.
    Events(f64),
}

impl Pace {
    /// Simulated days a second.
    pub fn days(days_per_second: f64) -> Self {
        Self::SimulatedSeconds(days_per_second * 86_400.0)
    }
}

/// Where events go.
#[derive(Clone, Debug)]
pub enum Target {
    /// Kafka; topics that are missing are created.
    Kafka(KafkaTarget),
    /// A folder.
    Files(FilesTarget),
}

/// Everything a run can be told. [`SimulateOptions::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    /// What to simulate.
    pub scenario: Scenario,
    /// Where events go.
    pub target: Target,
    /// The same seed gives the same events; 1 by default.
    pub seed: u64,
    /// First day to send. None: the first day, with the initial snapshot before it. Later: days before are simulated and
    /// not sent, nor is the snapshot.
    pub from: Option<NaiveDate>,
    /// Last day to send; the scenario's last by default.
    pub until: Option<NaiveDate>,
    /// How fast; as fast as possible by default.
    pub pace: Pace,
    /// Debezium JSON without schema block by default.
    pub format: WireFormat,
    /// As PostgreSQL's default.
    pub identity: ReplicaIdentity,
    /// Topics are this and the table's name; `casewatch.public.` by default. Its first part names the connector.
    pub topic_prefix: String,
    /// Folder of the schema files, for flat Avro; `schemas` by default.
    pub schemas: PathBuf,
    /// Registry, for Avro.
    pub registry: Option<Url>,
    /// Ids of subjects that need no registry.
    pub schema_ids: SchemaIds,
    /// What goes wrong on the way; nothing by default.
    pub disorder: Disorder,
}

impl SimulateOptions {
    /// The defaults named at each field.
    pub fn new(scenario: Scenario, target: Target) -> Self {
        Self {
            scenario,
            target,
            seed: 1,
            from: None,
            until: None,
            pace: Pace::Max,
            format: WireFormat::DebeziumJson,
            identity: ReplicaIdentity::Default,
            topic_prefix: "casewatch.public.".to_owned(),
            schemas: PathBuf::from("schemas"),
            registry: None,
            schema_ids: SchemaIds::new(),
            disorder: Disorder::default(),
        }
    }
}

/// Where a run is, told after the snapshot and each day, and about ten times a second within a paced day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The simulated day; none during the snapshot.
    pub day: Option<NaiveDate>,
    /// Events sent so far.
    pub events: u64,
    /// Open child cases without a holder at the end of the last complete day, as the model has it.
    pub no_holder: usize,
    /// Is the day complete?
    pub day_complete: bool,
}

/// What a run sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Events, tombstones aside.
    pub events: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Events by table.
    pub by_table: BTreeMap<&'static str, u64>,
    /// Last day sent whole.
    pub last_day: Option<NaiveDate>,
    /// Cases without a holder at its end, as the model has it.
    pub no_holder: usize,
    /// Was it cancelled?
    pub cancelled: bool,
    /// How long it took.
    pub elapsed: Duration,
}

struct Authority {
    events: Source,
    disturbance: Disturbance,
    /// What its messages name as their source.
    source: String,
    no_holder: usize,
}

/// A scenario on its way to a target, which can be halted at a date and taken up again.
pub struct Replay {
    authorities: Vec<Authority>,
    encoder: Encoder,
    sink: Sink,
    pace: Pace,
    /// Are the authorities one source to whoever reads the messages?
    one_source: bool,
    from: Option<Day>,
    until: Day,
    summary: Summary,
    /// Rows for an extract at the end.
    rows: BTreeMap<(Table, String), Row>,
    /// The tables that such an extract has.
    supplied: &'static [Table],
    snapshot_done: bool,
}

/// Runs a scenario from beginning to end. Blocks; call it on a thread of its own.
pub fn simulate(
    options: SimulateOptions,
    progress: &mut dyn FnMut(Progress),
    cancel: &CancellationToken,
) -> Result<Summary, SimulatorError> {
    let mut replay = Replay::new(options)?;
    let last = replay.last_day();
    replay.run_until(last, progress, cancel)?;
    replay.finish()
}

impl Replay {
    /// Opens the target and sets the authorities up; nothing is sent yet. Blocks.
    pub fn new(options: SimulateOptions) -> Result<Self, SimulatorError> {
        let (authorities, first, last) = options.scenario.authorities(options.seed);
        let within = |what, date: Option<NaiveDate>| match date.map(Day::from_date) {
            Some(day) if day < first || day > last => Err(SimulatorError::OutsideScenario { what, day, first, last }),
            day => Ok(day),
        };
        let from = within("the first day to send,", options.from)?.filter(|day| *day > first);
        let until = within("the last day to send,", options.until)?.unwrap_or(last);
        let ids = schema_ids(&options)?;
        let encoder = Encoder::new(
            options.format,
            options.identity,
            &options.topic_prefix,
            &options.schemas,
            &ids,
        )?;
        let topics: Vec<&str> = encoder.topics().collect();
        let sink = match &options.target {
            Target::Kafka(kafka) => Sink::Kafka(Box::new(KafkaSink::open(kafka, &topics)?)),
            Target::Files(files) => Sink::Files(FileSink::open(files)?),
        };
        let connector = options
            .topic_prefix
            .split('.')
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or("casewatch")
            .to_owned();
        let several = authorities.len() > 1;
        let authority = |(index, (prefix, events)): (usize, (String, Source))| {
            let source = if several {
                format!("{connector}_{}", prefix.to_lowercase())
            } else {
                connector.clone()
            };
            Authority {
                events,
                disturbance: Disturbance::new(options.disorder, seed_of(options.seed, index)),
                source,
                no_holder: 0,
            }
        };
        let authorities = authorities.into_iter().enumerate().map(authority).collect();
        Ok(Self {
            authorities,
            encoder,
            sink,
            pace: options.pace,
            one_source: !options.format.names_source(),
            from,
            until,
            summary: Summary::default(),
            rows: BTreeMap::new(),
            supplied: options.scenario.supplied(),
            snapshot_done: false,
        })
    }

    /// The last day this run sends.
    pub fn last_day(&self) -> NaiveDate {
        self.until.date()
    }

    /// Sends up to and including a day, waits for acknowledgements, and tells what was sent since the beginning.
    /// Another call goes on from there.
    pub fn run_until(
        &mut self,
        day: NaiveDate,
        progress: &mut dyn FnMut(Progress),
        cancel: &CancellationToken,
    ) -> Result<&Summary, SimulatorError> {
        let started = Instant::now();
        let last = Day::from_date(day).min(self.until);
        let mut clock = Pacer::new(self.pace);
        if !self.snapshot_done {
            self.snapshot_done = true;
            self.step(None, &mut Pacer::new(Pace::Max), progress, cancel)?;
        }
        while self.authorities[0].events.next_day() <= last && !self.summary.cancelled {
            let next = self.authorities[0].events.next_day();
            self.step(Some(next), &mut clock, progress, cancel)?;
        }
        self.sink.flush(cancel)?;
        self.summary.elapsed += started.elapsed();
        Ok(&self.summary)
    }

    /// Writes what is to be written at the end, and tells what was sent.
    pub fn finish(mut self) -> Result<Summary, SimulatorError> {
        self.sink.flush(&CancellationToken::new())?;
        if let Some(folder) = self.sink.extract_folder() {
            for table in self.supplied.iter().copied() {
                let rows = self.rows.iter().filter(|((of, _), _)| *of == table).map(|(_, row)| row);
                write_extract(folder, table, rows)?;
            }
        }
        Ok(self.summary)
    }

    /// The snapshot, or one day, of every authority.
    fn step(
        &mut self,
        day: Option<Day>,
        clock: &mut Pacer,
        progress: &mut dyn FnMut(Progress),
        cancel: &CancellationToken,
    ) -> Result<(), SimulatorError> {
        let mut events: Vec<(usize, Event)> = vec![];
        for (index, authority) in self.authorities.iter_mut().enumerate() {
            let Some(batch) = authority.events.step() else {
                continue;
            };
            authority.no_holder = batch.no_holder;
            let delivered = match batch.day {
                Some(day) => authority.disturbance.disturb(day, batch.events),
                None => batch.events,
            };
            events.extend(delivered.into_iter().map(|event| (index, event)));
        }
        if self.authorities.len() > 1 && day.is_some() {
            events.sort_by_key(|(_, event)| event.at);
        } else if self.authorities.len() > 1 && self.one_source {
            join_snapshots(&mut events);
        }
        if self.sink.extract_folder().is_some() {
            self.keep(&events);
        }
        let silent = self.from.is_some_and(|from| day.is_none_or(|day| day < from));
        let no_holder = self.authorities.iter().map(|authority| authority.no_holder).sum();
        if !silent {
            self.send(day, events, clock, progress, cancel)?;
        }
        if self.summary.cancelled {
            return Ok(());
        }
        if !silent {
            self.summary.last_day = day.map(Day::date);
            self.summary.no_holder = no_holder;
        }
        progress(Progress {
            day: day.map(Day::date),
            events: self.summary.events,
            no_holder,
            day_complete: true,
        });
        Ok(())
    }

    fn send(
        &mut self,
        day: Option<Day>,
        events: Vec<(usize, Event)>,
        clock: &mut Pacer,
        progress: &mut dyn FnMut(Progress),
        cancel: &CancellationToken,
    ) -> Result<(), SimulatorError> {
        let mut told = Instant::now();
        let mut feeds_begun = false;
        for (index, event) in events {
            // A day's closing rows move the reader's cut to its end, so the day must be there first.
            if event.table == Table::Feeds && !feeds_begun && day.is_some() && self.pace != Pace::Max {
                feeds_begun = true;
                self.sink.flush(cancel)?;
            }
            if !clock.wait_for(event.at, cancel) {
                self.summary.cancelled = true;
                return Ok(());
            }
            let message = self.encoder.encode(&event, &self.authorities[index].source);
            self.summary.events += 1;
            self.summary.bytes += (message.key.len() + message.value.len()) as u64;
            *self.summary.by_table.entry(event.table.name()).or_default() += 1;
            self.sink.send(event.table, &message, cancel)?;
            if told.elapsed() > Duration::from_millis(100) {
                told = Instant::now();
                let (events, no_holder) = (self.summary.events, self.summary.no_holder);
                progress(Progress {
                    day: day.map(Day::date),
                    events,
                    no_holder,
                    day_complete: false,
                });
            }
        }
        Ok(())
    }

    fn keep(&mut self, events: &[(usize, Event)]) {
        for (_, event) in events {
            let key = (event.table, event.key());
            match &event.after {
                Some(row) => self.rows.insert(key, row.clone()),
                None => self.rows.remove(&key),
            };
        }
    }
}

/// Makes one snapshot of the snapshots of several authorities: a second one of a source would delete what it has not.
fn join_snapshots(events: &mut [(usize, Event)]) {
    events.sort_by_key(|(_, event)| event.table);
    for index in 0..events.len() {
        let table = events[index].1.table;
        let is = |other: Option<&(usize, Event)>| other.is_some_and(|(_, event)| event.table == table);
        let (before, after) = (index > 0 && is(events.get(index - 1)), is(events.get(index + 1)));
        events[index].1.snapshot = match (before, after) {
            (_, false) => Snapshot::Last,
            (false, true) => Snapshot::First,
            (true, true) => Snapshot::Inside,
        };
    }
}

/// Ids given, or from the registry.
fn schema_ids(options: &SimulateOptions) -> Result<SchemaIds, SimulatorError> {
    let mut ids = options.schema_ids.clone();
    let subjects = Encoder::subjects(options.format, &options.topic_prefix, &options.schemas)?;
    let (Some(url), false) = (&options.registry, subjects.is_empty()) else {
        return Ok(ids);
    };
    let failed = |subject: &str, detail: String| SimulatorError::Registry {
        subject: subject.to_owned(),
        detail,
    };
    let client =
        RegistryClient::new(RegistryConfig::new(url.clone())).map_err(|error| failed("all", error.to_string()))?;
    let runtime = runtime()?;
    for (subject, schema) in subjects {
        let schema = serde_json::from_str(&schema).map_err(|error| failed(&subject, error.to_string()))?;
        let id = runtime
            .block_on(client.register(&subject, &schema))
            .map_err(|error| failed(&subject, error.to_string()))?;
        ids.insert(subject, id);
    }
    Ok(ids)
}

/// Holds events back until they are due.
struct Pacer {
    pace: Pace,
    began: Option<(Instant, Time)>,
    passed: u64,
}

impl Pacer {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            began: None,
            passed: 0,
        }
    }

    /// Waits; false when cancelled.
    fn wait_for(&mut self, at: Time, cancel: &CancellationToken) -> bool {
        self.passed += 1;
        let (instant, first) = *self.began.get_or_insert_with(|| (Instant::now(), at));
        let due = match self.pace {
            Pace::Max => return !self.passed.is_multiple_of(256) || !cancel.is_cancelled(),
            Pace::SimulatedSeconds(speed) => (at.0 - first.0).max(0) as f64 / 1e6 / speed.max(1e-6),
            Pace::Events(rate) => self.passed as f64 / rate.max(1e-6),
        };
        let due = instant + Duration::from_secs_f64(due.min(1e9));
        loop {
            if cancel.is_cancelled() {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
