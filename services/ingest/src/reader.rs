//! The consumer of the live tables: every partition of every topic, without a group, on a thread of its own.
//!
//! Each partition has its own queue, so that the end of each is told apart from the end of the others: the cut needs to
//! know which partition has no unread message (RULES 14).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use casewatch_contract::{Offset, PartitionId, TableName, TopicSpec};
use casewatch_lake::TopicLife;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::config::KafkaConfig;
use crate::controls::{life_of, partition_id};
use crate::error::IngestError;
use crate::flow::{Delivery, Outlet, ReadPositions, TopicPartition};
use crate::group::{list, watermarks};
use crate::observe::IngestMetrics;
use crate::start::{Halt, Start, partitions_of, start_of};
use crate::trouble::Troubles;

/// A partition as the reader found it when it started.
#[derive(Clone, Debug)]
pub struct Found {
    pub topic: Arc<TopicSpec>,
    pub partition: i32,
    pub start: Start,
    /// The end of the log at that moment: once this is read, the partition has caught up.
    pub end: Offset,
}

/// A connected reader that has not started: first the caller learns what there is to read.
pub struct Reader {
    consumer: Arc<BaseConsumer<ReaderContext>>,
    config: Arc<KafkaConfig>,
    topics: Vec<Arc<TopicSpec>>,
    positions: BTreeMap<PartitionId, Offset>,
    /// How many partitions topics ordered by offset have or, where the lake knows, had.
    partitions: BTreeMap<TopicLife, usize>,
    found: Vec<Found>,
}

struct ReaderContext {
    metrics: IngestMetrics,
    troubles: Troubles,
}

impl ClientContext for ReaderContext {
    fn stats(&self, statistics: Statistics) {
        self.metrics.observe_lag("live", &statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is told here too; its own queue tells which partition it is.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.troubles.tell(&error, reason);
    }
}

impl ConsumerContext for ReaderContext {}

/// Partitions that the live tables hold back, because they are too far ahead of the others.
pub type Held = Arc<Mutex<BTreeSet<TopicPartition>>>;

/// A running reader.
pub struct ReaderHandle {
    /// How far each partition has been read.
    pub read: ReadPositions,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), IngestError>>,
}

impl ReaderHandle {
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops the thread and waits for it.
    ///
    /// # Errors
    /// What had ended it before, if anything.
    pub fn stop(self) -> Result<(), IngestError> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread
            .join()
            .unwrap_or_else(|_| Err(IngestError::Thread("the reader panicked".to_owned())))
    }
}

/// How often new partitions are looked for.
const DISCOVERY: Duration = Duration::from_secs(15);
/// How long a partition is silent before it is asked whether it is at its end.
const QUIET: Duration = Duration::from_millis(250);
/// Longest sleep while nothing arrives.
const IDLE: Duration = Duration::from_millis(20);
/// Messages taken from one partition before the next one's turn.
const TURN: usize = 2_000;

impl Reader {
    /// Connects and looks at every partition of `topics`, starting each at its position or else at the log's start.
    /// Topics ordered by offset must have as many `partitions` as the lake remembers (RULES 8).
    ///
    /// # Errors
    /// The client's configuration, or a broker that does not answer.
    pub fn connect(
        config: Arc<KafkaConfig>,
        topics: Vec<Arc<TopicSpec>>,
        positions: BTreeMap<PartitionId, Offset>,
        partitions: BTreeMap<TopicLife, usize>,
        metrics: IngestMetrics,
    ) -> Result<Self, IngestError> {
        // Never joined and never committed to: the client library wants a name all the same.
        let mut client = config.client(&format!("{}-reader", config.group_id));
        client.set("enable.partition.eof", "true");
        let consumer = Arc::new(
            client
                .create_with_context(ReaderContext {
                    metrics,
                    troubles: Troubles::default(),
                })
                .map_err(IngestError::Client)?,
        );
        let mut reader = Self {
            consumer,
            config,
            topics,
            positions,
            partitions,
            found: Vec::new(),
        };
        reader.found = reader.discover(|_, _| false)?;
        Ok(reader)
    }

    /// What there is to read, as found when connecting.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    fn discover(&mut self, known: impl Fn(&str, i32) -> bool) -> Result<Vec<Found>, IngestError> {
        let mut found = Vec::new();
        let metadata = self
            .consumer
            .fetch_metadata(None, Duration::from_secs(10))
            .map_err(|source| IngestError::Metadata {
                topic: "(all)".to_owned(),
                source,
            })?;
        let partitions: HashMap<&str, Vec<i32>> = metadata
            .topics()
            .iter()
            .map(|t| (t.name(), t.partitions().iter().map(|p| p.id()).collect()))
            .collect();
        for topic in &self.topics {
            let life = life_of(&self.config.cluster, topic);
            let count = partitions.get(topic.topic.as_ref()).map_or(0, Vec::len);
            // Until the topic exists there is nothing to compare with.
            let had = match count {
                0 => 0,
                count => *self.partitions.entry(life).or_insert(count),
            };
            let changed = partitions_of(topic.order, had, count);
            for partition in partitions.get(topic.topic.as_ref()).into_iter().flatten() {
                if known(&topic.topic, *partition) {
                    continue;
                }
                if let Some(halt) = changed {
                    found.push(Found {
                        topic: topic.clone(),
                        partition: *partition,
                        start: Start::Halt(halt),
                        end: Offset(0),
                    });
                    continue;
                }
                let (low, high) =
                    watermarks(&self.consumer, &topic.topic, *partition).map_err(|source| IngestError::Metadata {
                        topic: topic.topic.to_string(),
                        source,
                    })?;
                let position = self
                    .positions
                    .get(&partition_id(&self.config.cluster, topic, *partition))
                    .copied();
                let start = start_of(position, low, high);
                found.push(Found {
                    topic: topic.clone(),
                    partition: *partition,
                    start,
                    end: high,
                });
            }
        }
        Ok(found)
    }

    /// Starts reading into `senders`, one bounded queue a table.
    ///
    /// # Errors
    /// [`IngestError::Thread`] when no thread can be had.
    pub fn start(
        self,
        senders: HashMap<TableName, mpsc::Sender<Delivery>>,
        metrics: IngestMetrics,
        held: Held,
    ) -> Result<ReaderHandle, IngestError> {
        let stop = Arc::new(AtomicBool::new(false));
        let outlet = Outlet::new(senders, self.config.limits.clone());
        let read = outlet.read_positions();
        let reading = Reading {
            stop: stop.clone(),
            queues: Vec::new(),
            outlet,
            metrics,
            held,
            reader: self,
        };
        let thread = std::thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || reading.run())
            .map_err(|error| IngestError::Thread(error.to_string()))?;
        Ok(ReaderHandle { read, stop, thread })
    }
}

struct Reading {
    reader: Reader,
    queues: Vec<(TopicPartition, PartitionQueue<ReaderContext>)>,
    outlet: Outlet,
    metrics: IngestMetrics,
    held: Held,
    stop: Arc<AtomicBool>,
}

impl Reading {
    fn run(mut self) -> Result<(), IngestError> {
        let found = std::mem::take(&mut self.reader.found);
        self.assign(found)?;
        let (mut discovered, mut asked) = (Instant::now(), Instant::now());
        while !self.stop.load(Ordering::Acquire) {
            if let Some(Err(error)) = self.reader.consumer.poll(Duration::ZERO) {
                self.on_error(&error)?;
            }
            let idle = self.take_turns()?;
            if asked.elapsed() > QUIET {
                asked = Instant::now();
                self.ask_for_ends();
            }
            self.outlet.flush();
            self.apply_pressure()?;
            if discovered.elapsed() > DISCOVERY {
                discovered = Instant::now();
                self.look_for_partitions()?;
            }
            if idle {
                std::thread::park_timeout(IDLE);
            }
        }
        Ok(())
    }

    fn assign(&mut self, found: Vec<Found>) -> Result<(), IngestError> {
        let mut assignment = TopicPartitionList::new();
        let mut assigned = Vec::new();
        let mut stopped = BTreeSet::new();
        for Found {
            topic,
            partition,
            start,
            ..
        } in found
        {
            match start {
                Start::At(at) => {
                    assignment
                        .add_partition_offset(&topic.topic, partition, KafkaOffset::Offset(at.0))
                        .map_err(IngestError::Assign)?;
                    assigned.push((topic.topic.to_string(), partition));
                    self.outlet.begin(topic, partition, at);
                }
                Start::Halt(halt) => {
                    tracing::error!(topic = %topic.topic, partition, "not reading: {halt}");
                    let labels = [topic.topic.as_ref(), &partition.to_string(), halt.as_str()];
                    self.metrics.halted.with_label_values(&labels).set(1);
                    if matches!(halt, Halt::Partitions { .. }) {
                        stopped.insert(topic.topic.to_string());
                    }
                }
            }
        }
        self.reader
            .consumer
            .incremental_assign(&assignment)
            .map_err(IngestError::Assign)?;
        self.stop_reading(&stopped)?;
        let waker = std::thread::current();
        for (topic, partition) in assigned {
            let Some(mut queue) = self.reader.consumer.split_partition_queue(&topic, partition) else {
                return Err(IngestError::Thread(format!("no queue for {topic}/{partition}")));
            };
            let waker = waker.clone();
            queue.set_nonempty_callback(move || waker.unpark());
            self.queues.push(((topic, partition), queue));
        }
        Ok(())
    }

    /// Takes what each partition has, a turn each; true when none had anything.
    fn take_turns(&mut self) -> Result<bool, IngestError> {
        let mut idle = true;
        let mut failed = None;
        for ((topic, partition), queue) in &self.queues {
            for _ in 0..TURN {
                match queue.poll(Duration::ZERO) {
                    Some(Ok(message)) => self.outlet.accept(&message),
                    Some(Err(KafkaError::PartitionEOF(_))) => self.outlet.reached_end(topic, *partition),
                    Some(Err(error)) => failed = Some(error),
                    None => break,
                }
                idle = false;
            }
        }
        if let Some(error) = failed {
            self.on_error(&error)?;
        }
        Ok(idle)
    }

    fn on_error(&mut self, error: &KafkaError) -> Result<(), IngestError> {
        match error.rdkafka_error_code() {
            // Reading again from the lake's positions is the remedy: the caller starts over.
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                Err(IngestError::Thread(format!("a position fell out of its log: {error}")))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(IngestError::Client(error.clone())),
            _ => {
                self.reader.consumer.context().troubles.tell(error, "");
                Ok(())
            }
        }
    }

    /// Ends the reading of topics to which partitions were added, in the partitions that were read so far.
    fn stop_reading(&mut self, topics: &BTreeSet<String>) -> Result<(), IngestError> {
        let ended = |(name, _): &(TopicPartition, PartitionQueue<ReaderContext>)| topics.contains(&name.0);
        let partitions: Vec<TopicPartition> = self
            .queues
            .iter()
            .filter(|queue| ended(queue))
            .map(|(name, _)| name.clone())
            .collect();
        if partitions.is_empty() {
            return Ok(());
        }
        self.reader
            .consumer
            .pause(&list(&partitions))
            .map_err(IngestError::Assign)?;
        partitions
            .iter()
            .for_each(|(topic, partition)| self.outlet.retire(topic, *partition));
        Ok(())
    }

    fn apply_pressure(&mut self) -> Result<(), IngestError> {
        let held = self.held.lock().expect("no holder of this lock panics").clone();
        let (pause, resume) = self.outlet.pressure(&held);
        if !pause.is_empty() {
            self.reader.consumer.pause(&list(&pause)).map_err(IngestError::Assign)?;
        }
        if !resume.is_empty() {
            self.reader
                .consumer
                .resume(&list(&resume))
                .map_err(IngestError::Assign)?;
        }
        Ok(())
    }

    /// Looks whether partitions that fell silent have come to their end, where the broker has not said so.
    fn ask_for_ends(&mut self) {
        for ((topic, partition), next) in self.outlet.silent_before_end(QUIET) {
            match watermarks(&self.reader.consumer, &topic, partition) {
                Ok((_, end)) if end <= next => self.outlet.reached_end(&topic, partition),
                Ok(_) => {}
                // The broker is away: asking about the others would only wait.
                Err(_) => return,
            }
        }
    }

    /// Topics made since, and partitions added.
    fn look_for_partitions(&mut self) -> Result<(), IngestError> {
        let known: BTreeSet<&TopicPartition> = self.queues.iter().map(|(name, _)| name).collect();
        match self
            .reader
            .discover(|topic, partition| known.contains(&(topic.to_owned(), partition)))
        {
            Ok(found) if !found.is_empty() => self.assign(found),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "cannot look for new partitions");
                Ok(())
            }
        }
    }
}
