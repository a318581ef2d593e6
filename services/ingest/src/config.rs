//! What to read from Kafka, and within which limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::{ClusterName, Contract, TopicSpec};
use rdkafka::ClientConfig;

use crate::error::IngestError;

/// Limits of one consumer. Every queue between Kafka and the lake is bounded by these.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages of one partition handed on together, at most.
    pub batch_rows: usize,
    /// Bytes of one partition handed on together, at most (a single larger message goes alone).
    pub batch_bytes: usize,
    /// Batches waiting for one table's decoder, at most; then its partitions are paused.
    pub queue_batches: usize,
    /// Age at which buffered rows are committed to the lake.
    pub flush_interval: Duration,
    /// Rows buffered a table at which they are committed before that age.
    pub flush_rows: usize,
    /// Bytes (in Arrow form) buffered a table at which they are committed before that age.
    pub flush_bytes: usize,
    /// Time for a last flush when partitions are revoked or the process stops; then they are dropped, which is safe.
    pub revoke_deadline: Duration,
    /// Bytes that librdkafka may prefetch, in KiB.
    pub prefetch_kib: usize,
    /// Bytes of a message's key and value; a larger message becomes a dead letter, and nothing of it is kept.
    pub message_bytes: usize,
    /// Dead letters that a table may make in a second; beyond that its reading slows down to them.
    pub dead_letters_per_second: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_rows: 4_096,
            batch_bytes: 2 << 20,
            queue_batches: 4,
            flush_interval: Duration::from_secs(15),
            flush_rows: 250_000,
            flush_bytes: 128 << 20,
            revoke_deadline: Duration::from_secs(10),
            prefetch_kib: 32 << 10,
            message_bytes: 16 << 20,
            dead_letters_per_second: 1_000,
        }
    }
}

/// Where the change events are and how to reach them.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Name of the cluster in positions; a restored or replaced cluster gets another.
    pub cluster: ClusterName,
    pub brokers: String,
    pub group_id: String,
    /// librdkafka properties passed through (security among them). Never printed.
    pub properties: BTreeMap<String, String>,
    pub topics: Vec<TopicSpec>,
    /// Where sources say that they live while nothing changes.
    pub heartbeats: Vec<HeartbeatTopic>,
    pub limits: Limits,
}

/// Messages of `topic` are a sign of life of `source`, whatever they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatTopic {
    pub source: String,
    pub topic: String,
}

/// Properties that casewatch sets itself, because exactly-once and bounded memory depend on them.
pub const RESERVED_PROPERTIES: [&str; 10] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.max.bytes",
    "group.id",
    "queued.max.messages.kbytes",
    "receive.message.max.bytes",
    "statistics.interval.ms",
];

/// What a fetch asks for at least, and the largest response that the client library can be told to accept. The library takes
/// memory for each response whole, and of its default, 50 MB, the system clears it anew each time.
const FETCH_BYTES: usize = 8 << 20;
const LARGEST_RESPONSE_BYTES: usize = i32::MAX as usize;
/// Room in a response for what is not the messages.
const RESPONSE_OVERHEAD_BYTES: usize = 64 << 10;

/// With KIP-848's group protocol the broker decides these; librdkafka refuses them.
const CLASSIC_ONLY: [&str; 3] = [
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "session.timeout.ms",
];

impl KafkaConfig {
    /// Checks the passed-through properties: a reserved one, or one that its group protocol does not take.
    ///
    /// # Errors
    /// The key, what is wrong with it, and what to do.
    pub fn check(&self) -> Result<(), String> {
        for key in self.properties.keys() {
            if RESERVED_PROPERTIES.contains(&key.as_str()) {
                return Err(format!(
                    "kafka.properties.{key}: set by casewatch itself\nhint: remove the key"
                ));
            }
        }
        if self
            .properties
            .get("group.protocol")
            .is_some_and(|protocol| protocol == "consumer")
        {
            for key in CLASSIC_ONLY {
                if self.properties.contains_key(key) {
                    return Err(format!(
                        "kafka.properties.{key}: not accepted with group.protocol = \"consumer\"\n\
                         hint: the broker decides it (group.consumer.*); remove the key"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The client configuration shared by both consumers.
    pub(crate) fn client(&self, group_id: &str) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group_id)
            .set("client.id", "casewatch")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", self.limits.prefetch_kib.to_string())
            // A broker sends the first message of a partition whatever its size. A response limit below that would be
            // met again and again: too large a message must arrive, so that it can be counted and passed over.
            .set("receive.message.max.bytes", LARGEST_RESPONSE_BYTES.to_string())
            .set("fetch.max.bytes", self.fetch_bytes().to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", "5000");
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }

    /// A fetch takes at least one message of the largest size allowed.
    fn fetch_bytes(&self) -> usize {
        self.limits
            .message_bytes
            .clamp(FETCH_BYTES, LARGEST_RESPONSE_BYTES - RESPONSE_OVERHEAD_BYTES)
    }

    /// Each topic's table must be described by a schema.
    ///
    /// # Errors
    /// [`IngestError::UnknownTable`] naming the first topic whose table is unknown.
    pub fn resolve(&self, contract: &Contract) -> Result<Vec<Arc<TopicSpec>>, IngestError> {
        self.topics
            .iter()
            .map(|spec| match contract.table(&spec.table) {
                Some(_) => Ok(Arc::new(spec.clone())),
                None => Err(IngestError::UnknownTable {
                    topic: spec.topic.to_string(),
                    table: spec.table.to_string(),
                }),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> KafkaConfig {
        KafkaConfig {
            cluster: "test".into(),
            brokers: "localhost:9092".to_owned(),
            group_id: "casewatch".to_owned(),
            properties: properties.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            topics: Vec::new(),
            heartbeats: Vec::new(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_property_that_exactly_once_depends_on_cannot_be_overridden() {
        let message = config(&[("enable.auto.commit", "true")]).check().unwrap_err();
        assert!(message.starts_with("kafka.properties.enable.auto.commit:"), "{message}");
    }

    #[test]
    fn the_client_accepts_fetches_of_any_message_size_allowed() {
        for message_bytes in [1, 16 << 20, usize::MAX] {
            let mut config = config(&[]);
            config.limits.message_bytes = message_bytes;
            let made: Result<rdkafka::consumer::BaseConsumer, _> = config.client("g").create();
            assert!(made.is_ok(), "{message_bytes}");
            assert!(config.fetch_bytes() >= message_bytes.min(1 << 30));
        }
    }

    #[test]
    fn the_consumer_group_protocol_refuses_what_only_the_classic_one_takes() {
        let message = config(&[("group.protocol", "consumer"), ("session.timeout.ms", "6000")])
            .check()
            .unwrap_err();
        assert!(message.contains("session.timeout.ms"), "{message}");
        assert_eq!(config(&[("session.timeout.ms", "6000")]).check(), Ok(()));
    }
}
