//! Heartbeats: topics whose messages say that a source lives while nothing in it changes (RULES 17).
//!
//! They carry no table and hold no cut back. Only their newest message says anything, so a partition is read from its
//! last message on, by a groupless consumer of its own, and when the source wrote it counts, not when it was read: an
//! old heartbeat read after a restart is no sign of life.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::error::IngestError;
use crate::trouble::Troubles;

/// A source was alive at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub source: String,
    pub at: RecordedAt,
}

/// How often topics are looked for that were not there.
const DISCOVERY: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(200);
/// A stop waits for it.
const BROKER_DEADLINE: Duration = Duration::from_secs(3);

/// Reads the heartbeat topics on a thread of their own until `stop`, and hands each heartbeat to `hear`, which says
/// whether anybody still listens. The thread ends within a few seconds of `stop`.
///
/// # Errors
/// [`IngestError::Client`] when the configuration is refused, [`IngestError::Thread`] when no thread can be had.
pub fn spawn(
    config: Arc<KafkaConfig>,
    hear: impl FnMut(Heartbeat) -> bool + Send + 'static,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, IngestError> {
    let client = config.client(&format!("{}-heartbeats", config.group_id));
    let consumer = client
        .create_with_context(Troubles::default())
        .map_err(IngestError::Client)?;
    let listener = Listener {
        config,
        consumer,
        assigned: BTreeSet::new(),
        hear,
    };
    std::thread::Builder::new()
        .name("heartbeats".to_owned())
        .spawn(move || listener.run(&stop))
        .map_err(|error| IngestError::Thread(error.to_string()))
}

struct Listener<H> {
    config: Arc<KafkaConfig>,
    consumer: BaseConsumer<Troubles>,
    assigned: BTreeSet<(String, i32)>,
    hear: H,
}

impl<H: FnMut(Heartbeat) -> bool> Listener<H> {
    fn run(mut self, stop: &CancellationToken) {
        let mut looked_at: Option<Instant> = None;
        while !stop.is_cancelled() {
            if looked_at.is_none_or(|at| at.elapsed() >= DISCOVERY) {
                looked_at = Some(Instant::now());
                if let Err(error) = self.look_for_topics() {
                    tracing::debug!(%error, "cannot look for heartbeat topics");
                }
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let at = written_at(&message);
                    let sources = self.config.heartbeats.iter();
                    let of_topic = sources.filter(|heartbeat| heartbeat.topic == message.topic());
                    for source in of_topic.map(|heartbeat| heartbeat.source.clone()) {
                        if !(self.hear)(Heartbeat { source, at }) {
                            return;
                        }
                    }
                }
                Some(Err(error)) => {
                    // Retention took the last message, or the broker is away. What was assigned is looked at afresh.
                    tracing::debug!(%error, "cannot read heartbeats");
                    self.assigned.clear();
                }
                None => {}
            }
        }
    }

    /// Reads partitions that are not read yet, each from its last message on. Topics are listed, never asked for by
    /// name, which could make them.
    fn look_for_topics(&mut self) -> Result<(), KafkaError> {
        let metadata = self.consumer.fetch_metadata(None, BROKER_DEADLINE)?;
        let wanted = |name: &str| self.config.heartbeats.iter().any(|heartbeat| heartbeat.topic == name);
        let mut list = TopicPartitionList::new();
        let mut found = BTreeSet::new();
        for topic in metadata.topics().iter().filter(|topic| wanted(topic.name())) {
            for partition in topic.partitions() {
                let (low, high) = self
                    .consumer
                    .fetch_watermarks(topic.name(), partition.id(), BROKER_DEADLINE)?;
                list.add_partition_offset(topic.name(), partition.id(), Offset::Offset(low.max(high - 1)))?;
                found.insert((topic.name().to_owned(), partition.id()));
            }
        }
        if found != self.assigned {
            tracing::info!(topics = ?found.iter().map(|(topic, _)| topic).collect::<BTreeSet<_>>(), "reading heartbeats");
            self.consumer.assign(&list)?;
            self.assigned = found;
        }
        Ok(())
    }
}

/// When Kafka was given the message. A clock that runs ahead does not keep a source alive beyond now.
fn written_at<M: Message>(message: &M) -> RecordedAt {
    let now = RecordedAt::now();
    match message.timestamp().to_millis() {
        Some(millis) => RecordedAt(millis.saturating_mul(1_000)).min(now),
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    fn at(timestamp: Timestamp) -> RecordedAt {
        let message = OwnedMessage::new(None, None, "t".to_owned(), timestamp, 0, 0, None);
        written_at(&message)
    }

    #[test]
    fn a_heartbeat_counts_from_when_it_was_written_and_never_from_the_future() {
        assert_eq!(at(Timestamp::CreateTime(5)), RecordedAt(5_000));
        assert!(at(Timestamp::CreateTime(i64::MAX)) <= RecordedAt::now());
        assert!(at(Timestamp::NotAvailable) > RecordedAt(5_000));
    }
}
