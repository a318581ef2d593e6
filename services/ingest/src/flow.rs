//! Flow control of a consumer thread: messages gather a partition at a time and go to bounded queues, one a table. A
//! queue that is full pauses its partitions; nothing between Kafka and the lake grows without bound.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use casewatch_contract::{Offset, TableName, TopicSpec};
use indexmap::{Equivalent, IndexMap};
use rdkafka::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::Limits;
use crate::raw::{Generation, RawBatch, Room};

/// What a table's decoder receives, in the order of each partition.
pub enum Delivery {
    Batch(RawBatch),
    /// Every message of the partition up to here has been delivered: nothing unread remains.
    End {
        topic: Arc<TopicSpec>,
        partition: i32,
    },
}

/// A topic and a partition of it.
pub type TopicPartition = (String, i32);

/// The same, borrowed from a message.
#[derive(Hash)]
struct PartitionOf<'m>(&'m str, i32);

impl Equivalent<TopicPartition> for PartitionOf<'_> {
    fn equivalent(&self, key: &TopicPartition) -> bool {
        self.1 == key.1 && self.0 == key.0
    }
}

/// How far each partition has been read from Kafka, shared with whoever must know that messages are on their way.
#[derive(Clone, Default)]
pub struct ReadPositions(Arc<Mutex<HashMap<TopicPartition, Arc<AtomicI64>>>>);

impl ReadPositions {
    fn follow(&self, partition: &TopicPartition, next: Offset) -> Arc<AtomicI64> {
        let mut positions = self.0.lock().expect("no holder of this lock panics");
        let position = positions.entry(partition.clone()).or_default().clone();
        position.store(next.0, Ordering::Release);
        position
    }

    /// Partitions of which more was read than `staged` says has arrived.
    pub fn ahead_of(&self, staged: impl Fn(&TopicPartition) -> Option<Offset>) -> Vec<TopicPartition> {
        let positions = self.0.lock().expect("no holder of this lock panics");
        let ahead = positions.iter().filter(|(partition, next)| {
            staged(partition).is_some_and(|staged| staged.0 < next.load(Ordering::Acquire))
        });
        ahead.map(|(partition, _)| partition.clone()).collect()
    }
}

struct PartitionFlow {
    topic: Arc<TopicSpec>,
    generation: Generation,
    next: Offset,
    shared_next: Arc<AtomicI64>,
    pending: Option<RawBatch>,
    /// What the batch before took, lest the next one move all its bytes each time it grows.
    room: Room,
    end_due: bool,
    /// Every message up to `next` was read, and there was none after.
    at_end: bool,
    /// Some message came since the last round, whose time is the next one's.
    is_read: bool,
    last_message: Instant,
    paused: bool,
    /// Nothing more of it is taken, and it is gone once all that was read is handed on.
    retired: bool,
}

impl PartitionFlow {
    fn is_done(&self) -> bool {
        self.retired && self.pending.is_none() && !self.end_due
    }
}

/// The consumer thread's side of the queues.
pub struct Outlet {
    senders: HashMap<TableName, mpsc::Sender<Delivery>>,
    partitions: IndexMap<TopicPartition, PartitionFlow>,
    /// Where the partition of the last message stands: messages come in runs of one partition.
    recent: usize,
    /// That of a partition's first batch.
    room: Room,
    last_generation: u64,
    limits: Limits,
    read: ReadPositions,
}

impl Outlet {
    pub fn new(senders: HashMap<TableName, mpsc::Sender<Delivery>>, limits: Limits) -> Self {
        Self {
            senders,
            partitions: IndexMap::new(),
            recent: 0,
            room: Room::default(),
            last_generation: 0,
            limits,
            read: ReadPositions::default(),
        }
    }

    /// How far each partition has been read, kept up to date from now on.
    pub fn read_positions(&self) -> ReadPositions {
        self.read.clone()
    }

    /// Starts a partition at `next`, dropping what an older assignment of it still had pending.
    pub fn begin(&mut self, topic: Arc<TopicSpec>, partition: i32, next: Offset) {
        self.last_generation += 1;
        let name = (topic.topic.to_string(), partition);
        let flow = PartitionFlow {
            generation: Generation(self.last_generation),
            next,
            shared_next: self.read.follow(&name, next),
            pending: None,
            room: self.room.clone(),
            end_due: false,
            at_end: false,
            is_read: false,
            last_message: Instant::now(),
            paused: false,
            retired: false,
            topic,
        };
        self.partitions.insert(name, flow);
    }

    /// Stops a partition; messages of it that still come are ignored.
    pub fn end(&mut self, topic: &str, partition: i32) {
        self.partitions.swap_remove(&PartitionOf(topic, partition));
    }

    /// Stops a partition once what was read of it is handed on, with word that nothing after it is unread: a partition that
    /// stands still holds no other back.
    pub fn retire(&mut self, topic: &str, partition: i32) {
        if let Some(flow) = self.partitions.get_mut(&PartitionOf(topic, partition)) {
            (flow.end_due, flow.at_end, flow.retired) = (true, true, true);
        }
    }

    /// The assignment that `topic`/`partition` is in now.
    pub fn generation(&self, topic: &str, partition: i32) -> Option<Generation> {
        self.partitions
            .get(&PartitionOf(topic, partition))
            .map(|flow| flow.generation)
    }

    /// Each partition with the next offset that it expects.
    pub fn positions(&self) -> Vec<(Arc<TopicSpec>, i32, Offset)> {
        self.partitions
            .iter()
            .map(|((_, partition), flow)| (flow.topic.clone(), *partition, flow.next))
            .collect()
    }

    /// Takes a copy of a message. One below the position it expects was delivered before and is ignored.
    pub fn accept<M: Message>(&mut self, message: &M) {
        let partition = PartitionOf(message.topic(), message.partition());
        let is_recent = |(name, _): (&TopicPartition, _)| partition.equivalent(name);
        if !self.partitions.get_index(self.recent).is_some_and(is_recent) {
            let Some(index) = self.partitions.get_index_of(&partition) else {
                return;
            };
            self.recent = index;
        }
        let flow = &mut self.partitions[self.recent];
        if flow.retired || message.offset() < flow.next.0 {
            return;
        }
        let begin = || {
            RawBatch::new(
                flow.topic.clone(),
                message.partition(),
                flow.generation,
                flow.next,
                flow.room.clone(),
            )
        };
        let batch = flow.pending.get_or_insert_with(begin);
        batch.push(message, self.limits.message_bytes);
        flow.next = batch.to;
        flow.shared_next.store(batch.to.0, Ordering::Release);
        (flow.end_due, flow.at_end) = (false, false);
        flow.is_read = true;
        if batch.len() >= self.limits.batch_rows || batch.bytes() >= self.limits.batch_bytes {
            deliver(&self.senders, message.partition(), flow);
        }
    }

    /// Notes that a partition has no unread message.
    pub fn reached_end(&mut self, topic: &str, partition: i32) {
        if let Some(flow) = self.partitions.get_mut(&PartitionOf(topic, partition)) {
            (flow.end_due, flow.at_end) = (true, true);
        }
    }

    /// Partitions that were silent for `quiet` and whose end was not told, with the next offset they expect. A safeguard:
    /// an end that was told while its partition was paused may be dropped with what was prefetched.
    pub fn silent_before_end(&self, quiet: Duration) -> Vec<(TopicPartition, Offset)> {
        let silent = |flow: &&PartitionFlow| !flow.at_end && !flow.paused && flow.last_message.elapsed() >= quiet;
        let partitions = self.partitions.iter().filter(|(_, flow)| silent(flow));
        partitions.map(|(name, flow)| (name.clone(), flow.next)).collect()
    }

    /// Ends a round of reading: hands on everything that the queues have room for.
    pub fn flush(&mut self) {
        let now = Instant::now();
        for ((_, partition), flow) in &mut self.partitions {
            if std::mem::take(&mut flow.is_read) {
                flow.last_message = now;
            }
            deliver(&self.senders, *partition, flow);
        }
        self.partitions.retain(|_, flow| !flow.is_done());
    }

    /// Partitions to pause - what they hold is full and their queue too, or they are `held` back for being too far
    /// ahead - and those to resume.
    pub fn pressure(&mut self, held: &BTreeSet<TopicPartition>) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (name, flow) in self.partitions.iter_mut().filter(|(_, flow)| !flow.retired) {
            let full = flow
                .pending
                .as_ref()
                .is_some_and(|batch| batch.len() >= self.limits.batch_rows || batch.bytes() >= self.limits.batch_bytes);
            let wanted = full || held.contains(name);
            match (wanted, flow.paused) {
                (true, false) => pause.push(name.clone()),
                (false, true) => resume.push(name.clone()),
                _ => continue,
            }
            flow.paused = wanted;
        }
        (pause, resume)
    }
}

/// Sends the pending batch, then the end that follows it, as far as the queue has room.
fn deliver(senders: &HashMap<TableName, mpsc::Sender<Delivery>>, partition: i32, flow: &mut PartitionFlow) {
    let sender = &senders[&flow.topic.table];
    if let Some(batch) = flow.pending.take() {
        flow.room = batch.room();
        match sender.try_send(Delivery::Batch(batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(Delivery::Batch(batch)) | TrySendError::Closed(Delivery::Batch(batch))) => {
                flow.pending = Some(batch);
                return;
            }
            Err(_) => unreachable!("the queue gives back what it was given"),
        }
    }
    if flow.end_due
        && sender
            .try_send(Delivery::End {
                topic: flow.topic.clone(),
                partition,
            })
            .is_ok()
    {
        flow.end_due = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_contract::Order;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    fn topic() -> Arc<TopicSpec> {
        Arc::new(TopicSpec::new("src.things", Order::Offset))
    }

    fn message(offset: i64) -> OwnedMessage {
        OwnedMessage::new(
            Some(b"{}".to_vec()),
            None,
            "src.things".to_owned(),
            Timestamp::NotAvailable,
            0,
            offset,
            None,
        )
    }

    fn outlet(queue: usize, batch_rows: usize) -> (Outlet, mpsc::Receiver<Delivery>) {
        let (sender, receiver) = mpsc::channel(queue);
        let limits = Limits {
            batch_rows,
            ..Limits::default()
        };
        let mut outlet = Outlet::new(HashMap::from([("things".into(), sender)]), limits);
        outlet.begin(topic(), 0, Offset(10));
        (outlet, receiver)
    }

    fn range(delivery: Delivery) -> (i64, i64, usize) {
        match delivery {
            Delivery::Batch(batch) => (batch.from.0, batch.to.0, batch.len()),
            Delivery::End { .. } => panic!("an end where a batch was expected"),
        }
    }

    #[test]
    fn batches_tile_the_log_and_holes_belong_to_the_batch_that_follows_them() {
        let (mut outlet, mut receiver) = outlet(4, 100);
        outlet.accept(&message(10));
        outlet.flush();
        outlet.accept(&message(14));
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (10, 11, 1));
        assert_eq!(range(receiver.try_recv().unwrap()), (11, 15, 1));
    }

    #[test]
    fn a_message_delivered_before_is_ignored() {
        let (mut outlet, mut receiver) = outlet(4, 100);
        for offset in [10, 11, 10, 11, 12] {
            outlet.accept(&message(offset));
        }
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (10, 13, 3));
    }

    #[test]
    fn a_full_queue_pauses_the_partition_and_room_resumes_it() {
        let (mut outlet, mut receiver) = outlet(1, 2);
        for offset in 10..14 {
            outlet.accept(&message(offset));
        }
        assert_eq!(
            outlet.pressure(&BTreeSet::new()),
            (vec![("src.things".to_owned(), 0)], vec![])
        );
        assert_eq!(outlet.pressure(&BTreeSet::new()), (vec![], vec![]), "told once");
        assert_eq!(range(receiver.try_recv().unwrap()), (10, 12, 2));
        outlet.flush();
        assert_eq!(
            outlet.pressure(&BTreeSet::new()),
            (vec![], vec![("src.things".to_owned(), 0)])
        );
        assert_eq!(range(receiver.try_recv().unwrap()), (12, 14, 2));
    }

    #[test]
    fn a_partition_held_back_is_paused_until_it_is_let_go() {
        let (mut outlet, _receiver) = outlet(1, 2);
        let held = BTreeSet::from([("src.things".to_owned(), 0)]);
        assert_eq!(outlet.pressure(&held), (vec![("src.things".to_owned(), 0)], vec![]));
        assert_eq!(
            outlet.pressure(&BTreeSet::new()),
            (vec![], vec![("src.things".to_owned(), 0)])
        );
    }

    #[test]
    fn an_end_comes_after_the_messages_before_it_and_not_after_newer_ones() {
        let (mut outlet, mut receiver) = outlet(1, 100);
        outlet.accept(&message(10));
        outlet.reached_end("src.things", 0);
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (10, 11, 1));
        outlet.flush();
        assert!(matches!(
            receiver.try_recv().unwrap(),
            Delivery::End { partition: 0, .. }
        ));
        outlet.reached_end("src.things", 0);
        outlet.accept(&message(11));
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (11, 12, 1));
        outlet.flush();
        assert!(receiver.try_recv().is_err(), "the end was overtaken by a message");
    }

    #[test]
    fn a_retired_partition_is_gone_when_all_that_was_read_and_its_end_are_handed_on() {
        let (mut outlet, mut receiver) = outlet(1, 2);
        for offset in 10..13 {
            outlet.accept(&message(offset));
        }
        outlet.retire("src.things", 0);
        outlet.accept(&message(13));
        outlet.flush();
        assert_eq!(
            outlet.pressure(&BTreeSet::new()),
            (vec![], vec![]),
            "paused by whoever retired it"
        );
        assert_eq!(range(receiver.try_recv().unwrap()), (10, 12, 2));
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (12, 13, 1));
        assert_eq!(outlet.positions().len(), 1, "its end is due");
        outlet.flush();
        assert!(matches!(
            receiver.try_recv().unwrap(),
            Delivery::End { partition: 0, .. }
        ));
        assert!(outlet.positions().is_empty());
    }

    #[test]
    fn a_silent_partition_whose_end_was_not_told_is_asked_about_until_it_is() {
        let (mut outlet, _receiver) = outlet(4, 100);
        outlet.accept(&message(10));
        assert!(
            outlet.silent_before_end(Duration::from_secs(60)).is_empty(),
            "not silent for long"
        );
        let asked = vec![(("src.things".to_owned(), 0), Offset(11))];
        assert_eq!(outlet.silent_before_end(Duration::ZERO), asked);
        outlet.reached_end("src.things", 0);
        assert!(outlet.silent_before_end(Duration::ZERO).is_empty());
        outlet.accept(&message(11));
        assert_eq!(
            outlet.silent_before_end(Duration::ZERO).len(),
            1,
            "more came: the end is another"
        );
    }

    #[test]
    fn what_was_read_and_has_not_arrived_is_known() {
        let (mut outlet, _receiver) = outlet(4, 100);
        let read = outlet.read_positions();
        let arrived = |offset: i64| move |_: &TopicPartition| Some(Offset(offset));
        assert!(read.ahead_of(arrived(10)).is_empty());
        outlet.accept(&message(10));
        assert_eq!(read.ahead_of(arrived(10)), vec![("src.things".to_owned(), 0)]);
        assert!(read.ahead_of(arrived(11)).is_empty());
    }

    #[test]
    fn a_new_assignment_drops_what_the_old_one_had_pending() {
        let (mut outlet, mut receiver) = outlet(4, 100);
        let old = outlet.generation("src.things", 0).unwrap();
        outlet.accept(&message(10));
        outlet.begin(topic(), 0, Offset(5));
        outlet.accept(&message(5));
        outlet.flush();
        assert_eq!(range(receiver.try_recv().unwrap()), (5, 6, 1));
        assert!(outlet.generation("src.things", 0).unwrap() > old);
    }
}
