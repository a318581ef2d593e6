//! The consumer of ingestion: a member of a consumer group on a thread of its own.
//!
//! Where an assigned partition starts is set inside the rebalance callback, on the list being assigned, from the lake's
//! positions. Revoked partitions are flushed within a deadline or dropped: the lake refuses what a later owner has
//! already committed, so dropping is safe.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use casewatch_contract::{Offset, Order, TableName, TopicName, TopicSpec};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::config::KafkaConfig;
use crate::error::IngestError;
use crate::flow::{Delivery, Outlet, TopicPartition};
use crate::observe::IngestMetrics;
use crate::raw::Generation;
use crate::start::{Halt, Start, partitions_of, start_of};
use crate::trouble::Troubles;

/// What the group consumer asks of whoever writes the lake. Called on the consumer's thread, so it may block.
pub trait Assignments: Send + Sync + 'static {
    /// The lake's positions of newly assigned partitions, read afresh.
    fn positions(&self, assigned: &[(Arc<TopicSpec>, i32)]) -> Result<Vec<Option<Offset>>, String>;
    /// How many partitions a topic had when its rows were first taken: `found`, when they never were.
    fn partitions(&self, topic: &TopicSpec, found: usize) -> Result<usize, String>;
    /// Flushes what is buffered of partitions that are being revoked, within `deadline`, and forgets the rest.
    fn revoked(&self, revoked: &[(Arc<TopicSpec>, i32)], deadline: Duration);
}

/// What the writer tells the consumer.
pub enum Command {
    /// The lake holds another position than the batch of this generation assumed: read again from there.
    Seek {
        topic: TopicPartition,
        generation: Generation,
        to: Option<Offset>,
    },
    /// Committed in the lake up to here; Kafka's own offsets follow for the sake of lag tools.
    Committed { topic: TopicPartition, next: Offset },
    /// Flush, leave the group and end the thread.
    Stop,
}

/// The thread and the way to talk to it.
pub struct GroupConsumer {
    pub commands: Sender<Command>,
    thread: JoinHandle<Result<(), IngestError>>,
}

impl GroupConsumer {
    /// Joins the group and starts reading.
    ///
    /// # Errors
    /// [`IngestError::Client`] when the configuration is refused.
    pub fn spawn(
        config: Arc<KafkaConfig>,
        topics: Vec<Arc<TopicSpec>>,
        senders: HashMap<TableName, mpsc::Sender<Delivery>>,
        assignments: Arc<dyn Assignments>,
        metrics: IngestMetrics,
    ) -> Result<Self, IngestError> {
        let (commands, receiver) = channel();
        let context = GroupContext {
            topics: topics
                .iter()
                .map(|topic| (topic.topic.to_string(), topic.clone()))
                .collect(),
            assignments,
            metrics: metrics.clone(),
            troubles: Troubles::default(),
            revoke_deadline: config.limits.revoke_deadline,
            events: Mutex::new(Vec::new()),
            has_events: AtomicBool::new(false),
            partitions: Mutex::default(),
            stopping: AtomicBool::new(false),
        };
        let consumer: BaseConsumer<GroupContext> = config
            .client(&config.group_id)
            .create_with_context(context)
            .map_err(IngestError::Client)?;
        let names: Vec<&str> = topics.iter().map(|topic| topic.topic.as_ref()).collect();
        consumer.subscribe(&names).map_err(IngestError::Client)?;
        let outlet = Outlet::new(senders, config.limits.clone());
        let thread = std::thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || {
                GroupLoop {
                    consumer,
                    outlet,
                    commands: receiver,
                    metrics,
                    config,
                }
                .run()
            })
            .map_err(|error| IngestError::Thread(error.to_string()))?;
        Ok(Self { commands, thread })
    }

    /// True once the thread has ended, by itself or stopped.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    /// What ended it, if it was not [`Command::Stop`].
    pub fn join(self) -> Result<(), IngestError> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(IngestError::Thread("the group consumer panicked".to_owned())))
    }
}

enum Event {
    Began {
        topic: Arc<TopicSpec>,
        partition: i32,
        at: Offset,
    },
    Halted {
        topic: Arc<TopicSpec>,
        partition: i32,
        halt: Halt,
    },
    Revoked {
        topic: String,
        partition: i32,
    },
    Failed(String),
}

struct GroupContext {
    topics: HashMap<String, Arc<TopicSpec>>,
    assignments: Arc<dyn Assignments>,
    metrics: IngestMetrics,
    troubles: Troubles,
    revoke_deadline: Duration,
    events: Mutex<Vec<Event>>,
    /// Set while there are events: looked at after every message.
    has_events: AtomicBool,
    /// How many partitions topics ordered by offset had when their rows were first taken.
    partitions: Mutex<HashMap<TopicName, usize>>,
    /// Everything was handed back already: closing the consumer revokes it once more.
    stopping: AtomicBool,
}

impl GroupContext {
    fn push(&self, event: Event) {
        self.events.lock().expect("no holder of this lock panics").push(event);
        self.has_events.store(true, Ordering::Release);
    }

    fn specs(&self, list: &TopicPartitionList) -> Vec<(Arc<TopicSpec>, i32)> {
        let elements = list.elements();
        elements
            .iter()
            .filter_map(|e| Some((self.topics.get(e.topic())?.clone(), e.partition())))
            .collect()
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let assigned = self.specs(list);
        self.announce("gave", &assigned);
        let positions = match self.assignments.positions(&assigned) {
            Ok(positions) => positions,
            Err(reason) => return self.push(Event::Failed(reason)),
        };
        let changed = match self.changed_topics(consumer, &assigned) {
            Ok(changed) => changed,
            Err(reason) => return self.push(Event::Failed(reason)),
        };
        for (mut element, ((topic, partition), position)) in
            list.elements().into_iter().zip(assigned.into_iter().zip(positions))
        {
            let decided = match changed.get(&topic.topic) {
                Some(halt) => Ok(Start::Halt(*halt)),
                None => {
                    watermarks(consumer, &topic.topic, partition).map(|(start, end)| start_of(position, start, end))
                }
            };
            let (offset, event) = match decided {
                Ok(Start::At(at)) => (KafkaOffset::Offset(at.0), Event::Began { topic, partition, at }),
                Ok(Start::Halt(halt)) => (KafkaOffset::End, Event::Halted { topic, partition, halt }),
                Err(error) => (
                    KafkaOffset::End,
                    Event::Failed(format!("no watermarks of {}: {error}", topic.topic)),
                ),
            };
            if let Err(error) = element.set_offset(offset) {
                self.push(Event::Failed(error.to_string()));
            }
            self.push(event);
        }
    }

    /// Topics among the assigned whose partitions are not those they had (RULES 8).
    fn changed_topics(
        &self,
        consumer: &BaseConsumer<Self>,
        assigned: &[(Arc<TopicSpec>, i32)],
    ) -> Result<HashMap<TopicName, Halt>, String> {
        let by_offset = assigned.iter().map(|(topic, _)| topic);
        let by_offset: BTreeMap<&str, &Arc<TopicSpec>> = by_offset
            .filter(|topic| topic.order == Order::Offset)
            .map(|topic| (topic.topic.as_ref(), topic))
            .collect();
        let mut changed = HashMap::new();
        for topic in by_offset.into_values() {
            let found = partition_count(consumer, &topic.topic)
                .map_err(|error| format!("no metadata of {}: {error}", topic.topic))?;
            let known = self.known_partitions(topic, found)?;
            if let Some(halt) = partitions_of(topic.order, known, found) {
                changed.insert(topic.topic.clone(), halt);
            }
        }
        Ok(changed)
    }

    /// Asked of the lake once: what it remembers does not change.
    fn known_partitions(&self, topic: &Arc<TopicSpec>, found: usize) -> Result<usize, String> {
        let remembered = || self.partitions.lock().expect("no holder of this lock panics");
        if let Some(known) = remembered().get(&topic.topic) {
            return Ok(*known);
        }
        let known = self.assignments.partitions(topic, found)?;
        remembered().insert(topic.topic.clone(), known);
        Ok(known)
    }

    fn announce(&self, what: &str, partitions: &[(Arc<TopicSpec>, i32)]) {
        let topics: BTreeSet<&str> = partitions.iter().map(|(topic, _)| topic.topic.as_ref()).collect();
        tracing::info!(
            partitions = partitions.len(),
            topics = topics.len(),
            "the group {what} us"
        );
    }

    fn revoke(&self, list: &TopicPartitionList) {
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let revoked = self.specs(list);
        self.announce("took from", &revoked);
        self.assignments.revoked(&revoked, self.revoke_deadline);
        for (topic, partition) in revoked {
            self.push(Event::Revoked {
                topic: topic.topic.to_string(),
                partition,
            });
        }
    }
}

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        self.metrics.observe_lag("ingest", &statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.tell(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.assign(consumer, list),
            Rebalance::Revoke(list) => self.revoke(list),
            Rebalance::Error(error) => tracing::warn!(%error, "a rebalance failed"),
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        rdkafka::util::Timeout::After(Duration::from_millis(200))
    }
}

fn partition_count<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Result<usize, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_DEADLINE)?;
    let topic = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(topic.map_or(0, |topic| topic.partitions().len()))
}

pub(crate) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(Offset, Offset), KafkaError> {
    let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
    Ok((Offset(low), Offset(high)))
}

struct GroupLoop {
    consumer: BaseConsumer<GroupContext>,
    outlet: Outlet,
    commands: Receiver<Command>,
    metrics: IngestMetrics,
    config: Arc<KafkaConfig>,
}

/// How long a poll waits for a first message, and how many messages one round takes before it hands on what it has.
const POLL: Duration = Duration::from_millis(20);
const ROUND: usize = 20_000;
/// How often topics ordered by offset are looked at for added partitions, beside every rebalance.
const PARTITION_CHECK: Duration = Duration::from_secs(15);
const METADATA_DEADLINE: Duration = Duration::from_secs(10);

impl GroupLoop {
    fn run(mut self) -> Result<(), IngestError> {
        let mut wait = POLL;
        let mut checked = Instant::now();
        loop {
            for _ in 0..ROUND {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => self.outlet.accept(&message),
                    Some(Err(error)) => self.on_error(error)?,
                    None => break,
                }
                // A rebalance during this poll changes what later messages mean.
                self.apply_events()?;
                wait = Duration::ZERO;
            }
            self.apply_events()?;
            wait = POLL;
            self.outlet.flush();
            self.apply_pressure()?;
            if checked.elapsed() >= PARTITION_CHECK {
                checked = Instant::now();
                self.check_partitions()?;
            }
            if self.obey()? {
                return Ok(());
            }
        }
    }

    fn apply_events(&mut self) -> Result<(), IngestError> {
        let context = self.consumer.context();
        if !context.has_events.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let events = std::mem::take(&mut *context.events.lock().expect("no holder of this lock panics"));
        for event in events {
            match event {
                Event::Began { topic, partition, at } => {
                    tracing::debug!(topic = %topic.topic, partition, offset = at.0, "partition assigned");
                    self.outlet.begin(topic, partition, at);
                }
                Event::Halted { topic, partition, halt } => self.halt(&topic, partition, halt)?,
                Event::Revoked { topic, partition } => {
                    tracing::debug!(topic, partition, "partition revoked");
                    self.metrics.forget_lag("ingest", &topic, partition);
                    self.outlet.end(&topic, partition);
                }
                Event::Failed(reason) => return Err(IngestError::Thread(reason)),
            }
        }
        Ok(())
    }

    /// Stops one partition loudly; the others go on.
    fn halt(&mut self, topic: &Arc<TopicSpec>, partition: i32, halt: Halt) -> Result<(), IngestError> {
        tracing::error!(topic = %topic.topic, partition, "not reading: {halt}");
        let labels = [topic.topic.as_ref(), &partition.to_string(), halt.as_str()];
        self.metrics.halted.with_label_values(&labels).set(1);
        self.outlet.end(&topic.topic, partition);
        self.consumer
            .pause(&list(&[(topic.topic.to_string(), partition)]))
            .map_err(IngestError::Assign)
    }

    fn on_error(&mut self, error: KafkaError) -> Result<(), IngestError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => self.check_positions(),
            Some(RDKafkaErrorCode::PollExceeded) => {
                tracing::warn!("the group took our partitions: no poll for max.poll.interval.ms");
                Ok(())
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(IngestError::Client(error)),
            _ => {
                self.consumer.context().troubles.tell(&error, "");
                Ok(())
            }
        }
    }

    /// A position fell out of its log while running: find which and halt it.
    fn check_positions(&mut self) -> Result<(), IngestError> {
        for (topic, partition, next) in self.outlet.positions() {
            let Ok((start, end)) = watermarks(&self.consumer, &topic.topic, partition) else {
                continue;
            };
            if let Start::Halt(halt) = start_of(Some(next), start, end) {
                self.halt(&topic, partition, halt)?;
            }
        }
        Ok(())
    }

    /// Partitions added while running need not reach this member by a rebalance: another may have been given them.
    fn check_partitions(&mut self) -> Result<(), IngestError> {
        let context = self.consumer.context().clone();
        let assigned: Vec<_> = self.outlet.positions();
        let assigned: Vec<_> = assigned
            .into_iter()
            .map(|(topic, partition, _)| (topic, partition))
            .collect();
        let changed = match context.changed_topics(&self.consumer, &assigned) {
            Ok(changed) => changed,
            Err(reason) => {
                tracing::debug!(reason, "cannot look for added partitions");
                return Ok(());
            }
        };
        for (topic, partition) in assigned {
            if let Some(halt) = changed.get(&topic.topic) {
                self.halt(&topic, partition, *halt)?;
            }
        }
        Ok(())
    }

    fn apply_pressure(&mut self) -> Result<(), IngestError> {
        let (pause, resume) = self.outlet.pressure(&BTreeSet::new());
        if !pause.is_empty() {
            self.consumer.pause(&list(&pause)).map_err(IngestError::Assign)?;
        }
        if !resume.is_empty() {
            self.consumer.resume(&list(&resume)).map_err(IngestError::Assign)?;
        }
        Ok(())
    }

    /// Carries out the writer's commands; true when it was told to stop.
    fn obey(&mut self) -> Result<bool, IngestError> {
        let mut committed = HashMap::new();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Committed { topic, next } => {
                    committed.insert(topic, next);
                }
                Command::Seek { topic, generation, to } => self.seek(topic, generation, to)?,
                Command::Stop => {
                    self.stop();
                    return Ok(true);
                }
            }
        }
        if !committed.is_empty() {
            let mut offsets = TopicPartitionList::new();
            for ((topic, partition), next) in committed {
                offsets
                    .add_partition_offset(&topic, partition, KafkaOffset::Offset(next.0))
                    .map_err(IngestError::Assign)?;
            }
            // Advisory: positions are in the lake. A commit refused during a rebalance is of no consequence.
            if let Err(error) = self.consumer.commit(&offsets, CommitMode::Async) {
                tracing::debug!(%error, "offsets not committed to Kafka");
            }
        }
        Ok(false)
    }

    fn seek(&mut self, topic: TopicPartition, generation: Generation, to: Option<Offset>) -> Result<(), IngestError> {
        if self.outlet.generation(&topic.0, topic.1) != Some(generation) {
            return Ok(());
        }
        let Some(spec) = self.consumer.context().topics.get(&topic.0).cloned() else {
            return Ok(());
        };
        let (start, end) = watermarks(&self.consumer, &topic.0, topic.1).map_err(|source| IngestError::Metadata {
            topic: topic.0.clone(),
            source,
        })?;
        match start_of(to, start, end) {
            Start::Halt(halt) => self.halt(&spec, topic.1, halt),
            Start::At(at) => {
                tracing::info!(
                    topic = topic.0,
                    partition = topic.1,
                    offset = at.0,
                    "reading again from the lake's position"
                );
                self.consumer
                    .seek(&topic.0, topic.1, KafkaOffset::Offset(at.0), Duration::from_secs(10))
                    .map_err(IngestError::Assign)?;
                self.outlet.begin(spec, topic.1, at);
                Ok(())
            }
        }
    }

    /// Flushes what was handed on and leaves the group.
    fn stop(&mut self) {
        let started = Instant::now();
        let assigned: Vec<_> = self
            .outlet
            .positions()
            .into_iter()
            .map(|(topic, partition, _)| (topic, partition))
            .collect();
        let context = self.consumer.context().clone();
        context
            .assignments
            .revoked(&assigned, self.config.limits.revoke_deadline);
        context.stopping.store(true, Ordering::Release);
        for (topic, partition) in assigned {
            self.outlet.end(&topic.topic, partition);
        }
        tracing::info!(
            took_ms = started.elapsed().as_millis() as u64,
            "ingestion flushed and stopped"
        );
    }
}

pub(crate) fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}
