//! The follower: the lake up to its positions, then Kafka's tail, into the live tables.
//!
//! It never joins a group and never writes the lake: the lake may stall while live numbers go on, and the other way
//! round (RULES 15).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{Chunk, Contract, Offset, PartitionId, Table, TableName};
use casewatch_lake::{Lake, TopicLife};
use casewatch_live::{LiveCounters, LiveError, LiveSet, Tail};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::controls::partition_id;
use crate::decoding::{DecodeContext, TableDecoder};
use crate::error::IngestError;
use crate::flow::{Delivery, ReadPositions, TopicPartition};
use crate::heartbeat::{self, Heartbeat};
use crate::ingestion::tables_of;
use crate::reader::{Held, Reader};
use crate::start::Start;

/// The live tables' own metrics.
#[derive(Clone)]
pub struct LiveMetrics {
    rows: IntGaugeVec,
    bytes: IntGauge,
    staged: IntGauge,
    counters: IntGaugeVec,
}

impl LiveMetrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let rows = Opts::new("casewatch_live_rows", "Rows of each live table.");
        let counters = Opts::new(
            "casewatch_live_changes",
            "Changes folded into the live tables since start, by kind.",
        );
        let live = Self {
            rows: IntGaugeVec::new(rows, &["table"]).expect("the name and labels are valid"),
            bytes: IntGauge::new(
                "casewatch_live_bytes",
                "Memory of the live tables and of rows that wait for the cut.",
            )
            .expect("the name is valid"),
            staged: IntGauge::new(
                "casewatch_live_waiting_rows",
                "Rows read that wait for the cut to reach them.",
            )
            .expect("the name is valid"),
            counters: IntGaugeVec::new(counters, &["kind"]).expect("the name and labels are valid"),
        };
        registry
            .register(Box::new(live.rows.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.bytes.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.staged.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.counters.clone()))
            .expect("each name is registered once");
        live
    }

    fn observe(&self, set: &LiveSet) {
        for (table, present) in &set.cut().tables {
            self.rows.with_label_values(&[table.as_str()]).set(present.rows as i64);
        }
        self.bytes.set(set.bytes() as i64);
        self.staged.set(set.staged_rows() as i64);
        let LiveCounters {
            upserts,
            deletes,
            stale,
            late,
            clamped,
            ..
        } = set.counters();
        let kinds = [
            ("upsert", upserts),
            ("delete", deletes),
            ("stale", stale),
            ("late", late),
            ("clamped", clamped),
        ];
        for (kind, count) in kinds {
            self.counters.with_label_values(&[kind]).set(count as i64);
        }
    }
}

/// What decoders hand to the live tables, in the order of each partition.
enum Step {
    Chunk(TableName, Chunk),
    End(PartitionId),
    Heartbeat(Heartbeat),
}

/// Steps that wait for the live tables, at most.
const STEPS: usize = 64;
/// How often the cut is looked at while nothing arrives.
const TICK: Duration = Duration::from_millis(20);

/// Fills `set` from `lake` and follows Kafka until `stop`.
///
/// # Errors
/// What only starting over can mend: a lake that cannot be read, a position that fell out of its log.
pub async fn run(
    config: Arc<KafkaConfig>,
    contract: Arc<Contract>,
    lake: Option<Arc<Lake>>,
    mut set: LiveSet,
    context: DecodeContext,
    live_metrics: LiveMetrics,
    stop: CancellationToken,
) -> Result<(), IngestError> {
    let topics = config.resolve(&contract)?;
    let tables = tables_of(&topics, &contract);
    let positions = match &lake {
        Some(lake) => {
            let started = Instant::now();
            let positions = set.bootstrap_all(lake).await?;
            let took_ms = started.elapsed().as_millis() as u64;
            tracing::info!(
                took_ms,
                partitions = positions.len(),
                "live tables restored from the lake"
            );
            positions
        }
        None => BTreeMap::new(),
    };
    let partitions = match &lake {
        Some(lake) => lake.partition_counts(&tables).await.map_err(LiveError::from)?,
        None => BTreeMap::new(),
    };
    let reader = connect(&config, &topics, (positions, partitions), &context, &stop).await?;
    let Some(reader) = reader else { return Ok(()) };
    let mut staged = HashMap::new();
    for found in reader.found() {
        if let Start::At(at) = found.start {
            let id = partition_id(&config.cluster, &found.topic, found.partition);
            set.assign(&id, at, found.end);
            staged.insert((id.topic.to_string(), id.partition), (id, at));
        }
    }
    if reader.found().is_empty() {
        tracing::warn!("none of the topics exists yet; looking for them from time to time");
        set.follow_nothing();
    }
    let (steps, receiver) = mpsc::channel(STEPS);
    let held = Held::default();
    let mut senders = HashMap::new();
    let mut tasks = JoinSet::new();
    for table in &tables {
        let decoder = TableDecoder::new(table.clone(), &topics, context.clone())?;
        let (sender, deliveries) = mpsc::channel(config.limits.queue_batches);
        senders.insert(table.name.clone(), sender);
        tasks.spawn(decode(
            config.clone(),
            table.name.clone(),
            decoder,
            deliveries,
            steps.clone(),
            stop.clone(),
        ));
    }
    let beats = steps.downgrade();
    let hear = move |heartbeat| {
        let steps = beats.upgrade();
        steps.is_some_and(|steps| steps.blocking_send(Step::Heartbeat(heartbeat)).is_ok())
    };
    heartbeat::spawn(config.clone(), hear, stop.clone())?;
    drop(steps);
    if let Some(lake) = lake {
        tasks.spawn(trim_tail(
            lake,
            tables,
            set.tail().clone(),
            config.limits.flush_interval,
        ));
    }
    let handle = reader.start(senders, context.metrics.clone(), held.clone())?;
    let live = std::thread::Builder::new()
        .name("live".to_owned())
        .spawn({
            let (stop, read) = (stop.clone(), handle.read.clone());
            let folding = Folding {
                set,
                staged,
                read,
                held,
                metrics: live_metrics,
            };
            move || folding.run(receiver, &stop)
        })
        .map_err(|error| IngestError::Thread(error.to_string()))?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !stop.is_cancelled() && !handle.is_finished() && !live.is_finished() {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tick.tick() => {}
        }
    }
    let read = tokio::task::spawn_blocking(move || handle.stop()).await;
    tasks.shutdown().await;
    let folded = tokio::task::spawn_blocking(move || live.join()).await;
    read.map_err(|error| IngestError::Thread(error.to_string()))??;
    match folded {
        Ok(Ok(folded)) => folded,
        _ => Err(IngestError::Thread("the live tables panicked".to_owned())),
    }
}

/// Connects, waiting for the broker as long as it takes. None: stopped while waiting.
async fn connect(
    config: &Arc<KafkaConfig>,
    topics: &[Arc<casewatch_contract::TopicSpec>],
    known: (BTreeMap<PartitionId, Offset>, BTreeMap<TopicLife, usize>),
    context: &DecodeContext,
    stop: &CancellationToken,
) -> Result<Option<Reader>, IngestError> {
    let mut wait = Duration::from_millis(500);
    loop {
        let (config, topics, (positions, partitions)) = (config.clone(), topics.to_vec(), known.clone());
        let connected =
            tokio::task::spawn_blocking(move || Reader::connect(config, topics, positions, partitions)).await;
        match connected.map_err(|error| IngestError::Thread(error.to_string()))? {
            Ok(reader) => return Ok(Some(reader)),
            Err(error @ IngestError::Client(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(retry_in_ms = wait.as_millis() as u64, "no broker yet: {error}");
                context
                    .metrics
                    .unavailable
                    .with_label_values(&["live", "", "broker"])
                    .inc();
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(15)),
                }
            }
        }
    }
}

async fn decode(
    config: Arc<KafkaConfig>,
    table: TableName,
    mut decoder: TableDecoder,
    mut deliveries: mpsc::Receiver<Delivery>,
    steps: mpsc::Sender<Step>,
    stop: CancellationToken,
) {
    while let Some(delivery) = deliveries.recv().await {
        let step = match delivery {
            Delivery::Batch(batch) => match decoder.decode(&batch, &stop).await {
                Some(chunk) => Step::Chunk(table.clone(), chunk),
                None => return,
            },
            Delivery::End { topic, partition } => Step::End(partition_id(&config.cluster, &topic, partition)),
        };
        if steps.send(step).await.is_err() {
            return;
        }
    }
}

/// The live tables' own thread: stages what arrives, moves the cut.
struct Folding {
    set: LiveSet,
    /// How far each partition has arrived here.
    staged: HashMap<TopicPartition, (PartitionId, Offset)>,
    read: ReadPositions,
    held: Held,
    metrics: LiveMetrics,
}

impl Folding {
    fn run(mut self, mut steps: mpsc::Receiver<Step>, stop: &CancellationToken) -> Result<(), IngestError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| IngestError::Thread(error.to_string()))?;
        let mut observed = Instant::now();
        runtime.block_on(async {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    step = tokio::time::timeout(TICK, steps.recv()) => match step {
                        Ok(None) => return Ok(()),
                        Ok(Some(step)) => {
                            self.take(step)?;
                            // What else is waiting is taken before the cut moves.
                            while let Ok(step) = steps.try_recv() {
                                self.take(step)?;
                            }
                        }
                        Err(_) => {}
                    },
                }
                self.advance()?;
                if observed.elapsed() > Duration::from_secs(1) {
                    observed = Instant::now();
                    self.metrics.observe(&self.set);
                }
            }
        })
    }

    fn take(&mut self, step: Step) -> Result<(), IngestError> {
        match step {
            Step::Chunk(table, chunk) => {
                let name = (chunk.partition.topic.to_string(), chunk.partition.partition);
                self.staged.insert(name, (chunk.partition.clone(), chunk.range.to));
                self.set.stage(&table, chunk)?;
            }
            Step::End(partition) => self.set.end_of_partition(&partition, Instant::now()),
            Step::Heartbeat(Heartbeat { source, at }) => self.set.heartbeat(&source, at, None),
        }
        Ok(())
    }

    /// A partition whose messages were read and are still on their way here is not silent: it holds the cut.
    fn advance(&mut self) -> Result<(), IngestError> {
        for partition in self
            .read
            .ahead_of(|name| self.staged.get(name).map(|(_, offset)| *offset))
        {
            if let Some((id, _)) = self.staged.get(&partition) {
                self.set.more_is_coming(id);
            }
        }
        self.set.advance(Instant::now())?;
        let ahead = self
            .set
            .paused()
            .iter()
            .map(|id| (id.topic.to_string(), id.partition))
            .collect();
        *self.held.lock().expect("no holder of this lock panics") = ahead;
        Ok(())
    }
}

/// Forgets tail rows that every later snapshot of the lake has (RULES 16).
async fn trim_tail(lake: Arc<Lake>, tables: Vec<Arc<Table>>, tail: Arc<Tail>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        for table in &tables {
            match lake.snapshot(table.clone()).await {
                Ok(Some(snapshot)) => tail.trim(&table.name, snapshot.positions()),
                Ok(None) => {}
                Err(error) => tracing::debug!(table = %table.name, %error, "the tail is kept: no snapshot"),
            }
        }
    }
}
