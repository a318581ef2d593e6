//! The follower: an image or the lake up to its positions, then Kafka's tail, into the live tables.
//!
//! It never joins a group and never writes the lake: the lake may stall while live numbers go on, and the other way
//! round (RULES 15). Kafka is read from the lake's positions, with an image or without: history needs the rows that
//! the lake lacks, also those that an image has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{Chunk, Contract, Offset, PartitionId, Table, TableName};
use casewatch_lake::{Erased, Lake, TopicLife};
use casewatch_live::{Images, LiveError, LiveSet, Tail};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::controls::partition_id;
use crate::decoding::{DecodeContext, TableDecoder};
use crate::error::IngestError;
use crate::flow::{Delivery, ReadPositions, TopicPartition};
use crate::heartbeat::{self, Heartbeat};
use crate::images::{ImageOptions, Saving, finish_saver, images, start_saver, watch_erased};
use crate::ingestion::tables_of;
use crate::live_metrics::LiveMetrics;
use crate::reader::{Held, Reader};
use crate::start::Start;

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

/// What the follower works with.
pub struct Follower {
    pub config: Arc<KafkaConfig>,
    pub contract: Arc<Contract>,
    pub lake: Arc<Lake>,
    pub context: DecodeContext,
    pub metrics: LiveMetrics,
    /// None: every start reads the lake.
    pub images: Option<ImageOptions>,
}

/// Fills `set` from an image or the lake and follows Kafka until `stop`.
///
/// # Errors
/// What only starting over can mend: a lake that cannot be read, a position that fell out of its log.
pub async fn run(follower: Follower, set: LiveSet, stop: CancellationToken) -> Result<(), IngestError> {
    let Follower {
        config,
        contract,
        lake,
        context,
        metrics: live_metrics,
        images: image_options,
    } = follower;
    let topics = config.resolve(&contract)?;
    let tables = tables_of(&topics, &contract);
    let images = image_options
        .as_ref()
        .map(|options| images(options, &config, &contract, &topics, &context));
    let (mut set, restored) = restore(set, &lake, images.as_ref()).await?;
    let partitions = lake.partition_counts(&tables).await.map_err(LiveError::from)?;
    let reader = connect(&config, &topics, (restored.positions, partitions), &context, &stop).await?;
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
    let listening = stop.child_token();
    let listener = heartbeat::spawn(config.clone(), hear, listening.clone())?;
    drop(steps);
    let (notice, erased) = watch::channel(set.erased().clone());
    tasks.spawn(watch_erased(lake.clone(), images.clone(), notice));
    tasks.spawn(trim_tail(
        lake.clone(),
        tables,
        set.tail().clone(),
        config.limits.flush_interval,
    ));
    let (saving, saver) = match images.zip(image_options) {
        Some((images, options)) => {
            let (sender, saver) = start_saver(images, lake, stop.clone());
            // What was read from the whole lake is worth keeping at once, should the process be killed.
            let wait = if restored.from_image {
                options.interval
            } else {
                Duration::ZERO
            };
            let saving = Saving {
                sender,
                interval: options.interval,
                due: Instant::now() + wait,
            };
            (Some(saving), Some(saver))
        }
        None => (None, None),
    };
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
                erased,
                saving,
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
    listening.cancel();
    let read = tokio::task::spawn_blocking(move || handle.stop()).await;
    tasks.shutdown().await;
    let folded = tokio::task::spawn_blocking(move || live.join()).await;
    // No client of ours outlives this, lest it complain about a broker that ends next. If the thread panicked it is gone.
    let _ = tokio::task::spawn_blocking(move || listener.join()).await;
    if let Some(saver) = saver {
        finish_saver(saver).await;
    }
    read.map_err(|error| IngestError::Thread(error.to_string()))??;
    match folded {
        Ok(Ok(folded)) => folded,
        _ => Err(IngestError::Thread("the live tables panicked".to_owned())),
    }
}

struct Restored {
    /// Where Kafka is read on.
    positions: BTreeMap<PartitionId, Offset>,
    from_image: bool,
}

async fn restore(
    mut set: LiveSet,
    lake: &Arc<Lake>,
    images: Option<&Images>,
) -> Result<(LiveSet, Restored), IngestError> {
    let started = Instant::now();
    let erased = Erased::load(lake).await.map_err(casewatch_live::LiveError::from)?;
    set.forget(Arc::new(erased))?;
    let mut from_image = false;
    if let Some(images) = images {
        (set, from_image) = images.load(set, lake).await.map_err(casewatch_live::LiveError::from)?;
    }
    let positions = set.bootstrap_all(lake).await?;
    let took_ms = started.elapsed().as_millis() as u64;
    let partitions = positions.len();
    tracing::info!(took_ms, partitions, from_image, "live tables restored");
    let restored = Restored { positions, from_image };
    Ok((set, restored))
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
        let metrics = context.metrics.clone();
        let connected =
            tokio::task::spawn_blocking(move || Reader::connect(config, topics, positions, partitions, metrics)).await;
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
    /// The list of the erased as it stands in the lake.
    erased: watch::Receiver<Arc<Erased>>,
    saving: Option<Saving>,
}

impl Folding {
    fn run(mut self, mut steps: mpsc::Receiver<Step>, stop: &CancellationToken) -> Result<(), IngestError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| IngestError::Thread(error.to_string()))?;
        let mut observed = Instant::now();
        let outcome = runtime.block_on(async {
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
                self.forget()?;
                self.advance()?;
                if self.set.cut().caught_up && self.saving.as_ref().is_some_and(|saving| saving.due <= Instant::now()) {
                    self.hand_over_image()?;
                }
                if observed.elapsed() > Duration::from_secs(1) {
                    observed = Instant::now();
                    self.metrics.observe(&self.set);
                }
            }
        });
        if outcome.is_ok() && stop.is_cancelled() {
            self.hand_over_image()?;
        }
        outcome
    }

    fn forget(&mut self) -> Result<(), IngestError> {
        if !self.erased.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let list = self.erased.borrow_and_update().clone();
        let rows = self.set.forget(list)?;
        tracing::info!(rows, "an erased subject left the live tables");
        // Images that knew less are deleted: the next one is due.
        if let Some(saving) = &mut self.saving {
            saving.due = Instant::now();
        }
        Ok(())
    }

    /// An image that is due while the one before is still being written is left out.
    fn hand_over_image(&mut self) -> Result<(), IngestError> {
        let Some(saving) = &mut self.saving else { return Ok(()) };
        saving.due = Instant::now() + saving.interval;
        if let Ok(place) = saving.sender.try_reserve()
            && let Some(image) = self.set.capture()?
        {
            place.send(image);
        }
        Ok(())
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
