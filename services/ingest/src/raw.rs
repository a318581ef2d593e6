//! Messages as they came from Kafka, in one arena a batch, with the account of every offset they stand for.

use std::sync::{Arc, Mutex};

use casewatch_contract::{DeadLetter, Offset, PartitionId, RawMessage, Reason, TopicSpec, framed_schema_id};
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

/// A message above the limit, of which nothing but its place is kept.
struct TooLarge {
    offset: Offset,
    timestamp_ms: Option<i64>,
    schema_id: Option<u32>,
    bytes: usize,
}

/// A run of one partition: every offset in `[from, to)` is a message here, one too large, or a hole in the log.
pub struct RawBatch {
    pub topic: Arc<TopicSpec>,
    pub partition: i32,
    pub generation: Generation,
    pub from: Offset,
    pub to: Offset,
    arena: Vec<u8>,
    arenas: Arenas,
    entries: Vec<Entry>,
    too_large: Vec<TooLarge>,
}

/// What a batch has room for at its start; it grows beyond that.
#[derive(Clone, Debug, Default)]
pub struct Room {
    messages: usize,
    bytes: usize,
    arenas: Arenas,
}

/// Memory of batches that are gone, for those to come. The system clears memory that it gives, which costs more than copying
/// a message there.
#[derive(Clone, Debug, Default)]
pub struct Arenas(Arc<Mutex<Vec<Vec<u8>>>>);

/// What is kept for batches to come, at most.
const SPARE_ARENAS: usize = 16;
const SPARE_ARENA_BYTES: usize = 4 << 20;

impl Arenas {
    fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.0.lock().expect("no holder of this lock panics").pop();
        spare.unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    fn give_back(&self, mut arena: Vec<u8>) {
        if arena.capacity() > SPARE_ARENA_BYTES {
            return;
        }
        arena.clear();
        let mut spare = self.0.lock().expect("no holder of this lock panics");
        if spare.len() < SPARE_ARENAS {
            spare.push(arena);
        }
    }
}

impl Drop for RawBatch {
    fn drop(&mut self) {
        self.arenas.give_back(std::mem::take(&mut self.arena));
    }
}

impl RawBatch {
    pub fn new(topic: Arc<TopicSpec>, partition: i32, generation: Generation, from: Offset, room: Room) -> Self {
        Self {
            topic,
            partition,
            generation,
            from,
            to: from,
            arena: room.arenas.take(room.bytes),
            arenas: room.arenas,
            entries: Vec::with_capacity(room.messages),
            too_large: Vec::new(),
        }
    }

    /// The room that this batch took: as much as the one after it is likely to need.
    pub fn room(&self) -> Room {
        Room {
            messages: self.entries.len(),
            bytes: self.arena.len(),
            arenas: self.arenas.clone(),
        }
    }

    /// Takes a copy of `message`, or a note of it where key and value are of more than `most_bytes`. Its offset is at or
    /// above `self.to`; what lies between is a hole.
    pub fn push<M: Message>(&mut self, message: &M, most_bytes: usize) {
        let bytes = message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
        if bytes > most_bytes {
            let offset = Offset(message.offset());
            self.to = Offset(offset.0 + 1);
            self.too_large.push(TooLarge {
                offset,
                timestamp_ms: message.timestamp().to_millis(),
                schema_id: message.payload().and_then(framed_schema_id),
                bytes,
            });
            return;
        }
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

    /// Messages, those too large among them.
    pub fn len(&self) -> usize {
        self.entries.len() + self.too_large.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// How many messages were larger than allowed.
    pub fn too_large(&self) -> usize {
        self.too_large.len()
    }

    /// Dead letters of the messages that were larger than allowed.
    pub fn letters_of_too_large<'a>(&'a self, partition: &'a PartitionId) -> impl Iterator<Item = DeadLetter> + 'a {
        self.too_large.iter().map(|message| DeadLetter {
            partition: partition.clone(),
            offset: message.offset,
            schema_id: message.schema_id,
            reason: Reason::TooLarge,
            detail: format!(
                "the message has {} bytes, more than limits.message_bytes allows",
                message.bytes
            ),
            timestamp_ms: message.timestamp_ms,
            payload: None,
        })
    }

    /// The messages that are not too large, borrowed, in offset order.
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

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_contract::Order;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    fn message(offset: i64, key: &[u8], value: &[u8]) -> OwnedMessage {
        let (key, value) = (Some(key.to_vec()), Some(value.to_vec()));
        OwnedMessage::new(
            value,
            key,
            "t.things".to_owned(),
            Timestamp::NotAvailable,
            0,
            offset,
            None,
        )
    }

    #[test]
    fn a_batch_takes_the_memory_of_one_that_is_gone_and_nothing_of_what_it_held() {
        let topic = Arc::new(TopicSpec::new("t.things", Order::Offset));
        let begin = |from, room| RawBatch::new(topic.clone(), 0, Generation(1), Offset(from), room);
        let mut first = begin(0, Room::default());
        first.push(&message(0, b"key", b"value"), 100);
        let (room, memory) = (first.room(), first.arena.as_ptr());
        drop(first);
        let mut second = begin(1, room.clone());
        assert_eq!((second.arena.as_ptr(), second.bytes()), (memory, 0));
        second.push(&message(1, b"k", b"v"), 100);
        assert_eq!(second.messages()[0].value, Some(&b"v"[..]));
        let third = begin(2, room);
        assert_ne!(third.arena.as_ptr(), memory, "one batch at a time");
    }

    #[test]
    fn of_a_message_above_the_limit_only_its_place_is_kept() {
        let topic = Arc::new(TopicSpec::new("t.things", Order::Offset));
        let mut batch = RawBatch::new(topic, 0, Generation(1), Offset(0), Room::default());
        batch.push(&message(0, b"k", b"1234567"), 8);
        batch.push(&message(1, b"kk", b"\x00\x00\x00\x00\x05cd"), 8);
        batch.push(&message(3, b"k", b"1"), 8);
        assert_eq!((batch.len(), batch.bytes(), batch.to), (3, 10, Offset(4)));
        let kept: Vec<i64> = batch.messages().iter().map(|message| message.offset.0).collect();
        assert_eq!(kept, [0, 3]);
        let id: PartitionId = "c/t.things/0/0".parse().unwrap();
        let letters: Vec<DeadLetter> = batch.letters_of_too_large(&id).collect();
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].offset, letters[0].reason), (Offset(1), Reason::TooLarge));
        assert_eq!((letters[0].schema_id, &letters[0].payload), (Some(5), &None));
        assert_eq!(
            letters[0].detail,
            "the message has 9 bytes, more than limits.message_bytes allows"
        );
    }
}
