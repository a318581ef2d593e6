//! Dead letters told on a Kafka topic, for whoever watches topics rather than tables.
//!
//! They are told after the lake has them, from the lake, so that a broker that is away costs nothing: what could not be
//! told stays due, ingestion goes on, and it is tried again for as long as it takes. Each is told at least once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use casewatch_lake::{DeadLetterPublication, Lake, LakeError, StoredDeadLetter};
use futures::future::join_all;
use prometheus::{IntCounter, Registry};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::error::IngestError;
use crate::ingestion::lake_error;
use crate::trouble::Troubles;

/// Where dead letters are told, and how much of them.
#[derive(Clone, Debug)]
pub struct DeadLetterTopic {
    pub topic: String,
    /// Whether a message holds the payload that the lake kept. The key is kept nowhere.
    pub with_payload: bool,
}

/// Counters of what was told.
#[derive(Clone)]
pub struct PublishMetrics {
    told: IntCounter,
    failed: IntCounter,
}

impl PublishMetrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("the name is valid");
            registry
                .register(Box::new(counter.clone()))
                .expect("each name is registered once");
            counter
        };
        Self {
            told: counter(
                "casewatch_dead_letters_published_total",
                "Dead letters acknowledged by the dead-letter topic's broker.",
            ),
            failed: counter(
                "casewatch_dead_letters_publish_failures_total",
                "Tries to tell dead letters on their topic that failed; they are tried again.",
            ),
        }
    }
}

/// How often the lake is asked for new dead letters.
const INTERVAL: Duration = Duration::from_secs(2);
/// Letters told together.
const MOST: usize = 1_000;
/// How long the broker may take to acknowledge one.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Tells every dead letter of `lake` on `topic` until `stop`.
///
/// # Errors
/// [`IngestError::Client`] when the configuration is refused.
pub async fn run(
    config: Arc<KafkaConfig>,
    topic: DeadLetterTopic,
    lake: Arc<Lake>,
    metrics: PublishMetrics,
    stop: CancellationToken,
) -> Result<(), IngestError> {
    let producer = producer(&config).map_err(IngestError::Client)?;
    let mut publisher = Publisher {
        publication: DeadLetterPublication::of(lake.clone()),
        lake,
        topic,
        producer,
        metrics,
    };
    let mut wait = INTERVAL;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        let told = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            told = publisher.tell() => told,
        };
        wait = match told {
            Ok(told) if told == MOST => Duration::ZERO,
            Ok(_) => INTERVAL,
            Err(error) => {
                publisher.metrics.failed.inc();
                let next = (wait * 2).clamp(INTERVAL, LONGEST_WAIT);
                let retry_in_ms = next.as_millis() as u64;
                tracing::warn!(topic = publisher.topic.topic, retry_in_ms, %error, "dead letters are not told; the lake has them");
                next
            }
        };
    }
}

fn producer(config: &KafkaConfig) -> Result<FutureProducer<Troubles>, KafkaError> {
    let mut client = ClientConfig::new();
    for (key, value) in &config.properties {
        client.set(key, value);
    }
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "casewatch-dead-letters")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", ACKNOWLEDGED_WITHIN.as_millis().to_string())
        // A letter may hold a message of any size that was read.
        .set("message.max.bytes", MOST_BYTES.to_string());
    client.create_with_context(Troubles::default())
}

/// The largest message that the client library sends.
const MOST_BYTES: usize = 1_000_000_000;

struct Publisher {
    publication: DeadLetterPublication,
    lake: Arc<Lake>,
    topic: DeadLetterTopic,
    producer: FutureProducer<Troubles>,
    metrics: PublishMetrics,
}

impl Publisher {
    /// Tells what is due, and how many that were.
    async fn tell(&mut self) -> Result<usize, IngestError> {
        let due = self.publication.next(MOST).await.map_err(of_lake)?;
        let mut sent = Vec::with_capacity(due.letters.len());
        for letter in &due.letters {
            let payload = if self.topic.with_payload {
                self.lake.dead_letter_payload(letter).map_err(of_lake)?
            } else {
                None
            };
            sent.push(self.send(headers(letter), payload));
        }
        for acknowledged in join_all(sent).await {
            acknowledged.map_err(IngestError::Publish)?;
            self.metrics.told.inc();
        }
        self.publication.told(&due).await.map_err(of_lake)?;
        Ok(due.letters.len())
    }

    async fn send(&self, headers: OwnedHeaders, payload: Option<Vec<u8>>) -> Result<(), KafkaError> {
        let sent = self.send_once(headers.clone(), payload.as_deref()).await;
        match sent {
            // The topic takes smaller messages than the one the payload came from: what is wrong with it is told all the same.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                self.send_once(headers, None).await
            }
            sent => sent,
        }
    }

    async fn send_once(&self, headers: OwnedHeaders, payload: Option<&[u8]>) -> Result<(), KafkaError> {
        let mut record: FutureRecord<'_, (), [u8]> = FutureRecord::to(&self.topic.topic).headers(headers);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        let sent = self.producer.send(record, Timeout::After(ACKNOWLEDGED_WITHIN)).await;
        sent.map(|_| ()).map_err(|(error, _)| error)
    }
}

fn of_lake(error: LakeError) -> IngestError {
    lake_error(&"_dead_letters".into(), error)
}

/// Where the message stands and what is wrong with it; nothing of what it says.
fn headers(letter: &StoredDeadLetter) -> OwnedHeaders {
    let place = &letter.partition;
    let told: BTreeMap<&str, String> = BTreeMap::from([
        ("casewatch.table", letter.table.to_string()),
        ("casewatch.cluster", place.cluster.to_string()),
        ("casewatch.topic", place.topic.to_string()),
        ("casewatch.epoch", place.epoch.to_string()),
        ("casewatch.partition", place.partition.to_string()),
        ("casewatch.offset", letter.offset.to_string()),
        ("casewatch.reason", letter.reason.clone()),
        ("casewatch.detail", letter.detail.clone()),
        ("casewatch.recorded_at", letter.recorded_at.to_string()),
    ]);
    let schema_id = letter.schema_id.map(|id| id.to_string());
    let schema_id = schema_id.iter().map(|id| ("casewatch.schema_id", id));
    told.iter()
        .map(|(key, value)| (*key, value))
        .chain(schema_id)
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        })
}
