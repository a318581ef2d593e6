//! Messages as they came from Kafka, in one arena a batch, with the account of every offset they stand for.

use std::sync::Arc;

use casewatch_contract::{Offset, RawMessage, TopicSpec};
use rdkafka::Message;

/// Which assignment of a partition a batch belongs to; a seek or a new assignment makes the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

struct Entry {
    offset: Offset,
    timestamp_ms: Option<i64>,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
}

/// A run of one partition: every offset in `[from, to)` is a message here or a hole in the log.
pub struct RawBatch {
    pub topic: Arc<TopicSpec>,
    pub partition: i32,
    pub generation: Generation,
    pub from: Offset,
    pub to: Offset,
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

impl RawBatch {
    pub fn new(topic: Arc<TopicSpec>, partition: i32, generation: Generation, from: Offset) -> Self {
        Self {
            topic,
            partition,
            generation,
            from,
            to: from,
            arena: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Takes a copy of `message`. Its offset is at or above `self.to`; what lies between is a hole.
    pub fn push<M: Message>(&mut self, message: &M) {
        let key = message.key().map(|bytes| self.store(bytes));
        let value = message.payload().map(|bytes| self.store(bytes));
        let offset = Offset(message.offset());
        self.to = Offset(offset.0 + 1);
        self.entries.push(Entry {
            offset,
            timestamp_ms: message.timestamp().to_millis(),
            key,
            value,
        });
    }

    fn store(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        (start, self.arena.len())
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// The messages, borrowed, in offset order.
    pub fn messages(&self) -> Vec<RawMessage<'_>> {
        self.entries
            .iter()
            .map(|entry| RawMessage {
                offset: entry.offset,
                key: entry.key.map(|(from, to)| &self.arena[from..to]),
                value: entry.value.map(|(from, to)| &self.arena[from..to]),
                timestamp_ms: entry.timestamp_ms,
            })
            .collect()
    }
}
