//! Messages to Kafka, in one transaction where the broker has them: readers see the delivery whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use casewatch_contract::TableName;
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext};

use super::message::{Message, Partitions};

/// How long all messages together may take to be acknowledged: as long as brokers keep a transaction open by default.
const SEND_TIMEOUT: Duration = Duration::from_secs(900);

/// Messages between two looks at what the brokers acknowledged.
const POLL_EVERY: u64 = 4096;

/// How often it is asked whether waiting for the brokers still makes sense.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long events of the client are taken for between two looks.
const TAKE_EVENTS: Duration = Duration::from_millis(50);

/// Where to send.
#[derive(Clone, Debug)]
pub struct Target {
    pub brokers: String,
    /// Passed to the Kafka client: security settings.
    pub properties: BTreeMap<String, String>,
    pub topic_prefix: String,
    /// Partitions of topics that do not exist yet.
    pub partitions: i32,
    pub atomicity: Atomicity,
    /// How long a call to the brokers may take.
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// One transaction; without one when the broker has none.
    Transaction,
    /// Message by message.
    None,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub messages: u64,
    /// Whether it was one transaction; if not, why not.
    pub without_transaction: Option<String>,
}

/// What went wrong, and what readers may have seen.
#[derive(Debug)]
pub enum SendError {
    /// Nothing: the transaction was never begun or was aborted.
    Nothing(String),
    /// Some or all of it: it has to be sent again.
    Unknown(String),
}

/// Sends all messages to the topics of their tables and waits until the brokers have them.
///
/// # Errors
/// [`SendError`], which tells whether anything may have been seen.
pub fn send(target: &Target, feed: &str, messages: impl Iterator<Item = Message>) -> Result<Sent, SendError> {
    if target.atomicity == Atomicity::None {
        let producer = producer(target, None)?;
        return send_without(&producer, target, messages, "as asked for".to_owned());
    }
    let producer = producer(target, Some(feed))?;
    match producer.init_transactions(target.timeout) {
        Ok(()) => send_within(&producer, target, messages),
        Err(error) if has_no_transactions(&error) => {
            let producer = self::producer(target, None)?;
            send_without(&producer, target, messages, format!("the broker has none ({error})"))
        }
        Err(error) => Err(SendError::Nothing(format!(
            "the brokers at {} grant no transaction: {error}",
            target.brokers
        ))),
    }
}

fn send_within(
    producer: &BaseProducer<Failures>,
    target: &Target,
    messages: impl Iterator<Item = Message>,
) -> Result<Sent, SendError> {
    let nothing = |error: KafkaError| SendError::Nothing(format!("no transaction could be begun: {error}"));
    producer.begin_transaction().map_err(nothing)?;
    let deadline = Instant::now() + SEND_TIMEOUT;
    let messages = match deliver(producer, target, messages, deadline) {
        Ok(messages) => messages,
        Err(problem) => return Err(aborted(producer, target, problem)),
    };
    loop {
        match producer.commit_transaction(target.timeout) {
            Ok(()) => {
                return Ok(Sent {
                    messages,
                    without_transaction: None,
                });
            }
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                return Err(aborted(producer, target, error.to_string()));
            }
            Err(error) => {
                return Err(SendError::Unknown(format!(
                    "the transaction may or may not be committed: {error}"
                )));
            }
        }
    }
}

fn aborted(producer: &BaseProducer<Failures>, target: &Target, problem: String) -> SendError {
    match producer.abort_transaction(target.timeout) {
        Ok(()) => SendError::Nothing(problem),
        // Without an answer the brokers abort it by themselves when its time is over; no reader sees it until then.
        Err(error) => SendError::Unknown(format!("{problem}; nor could the transaction be aborted: {error}")),
    }
}

fn send_without(
    producer: &BaseProducer<Failures>,
    target: &Target,
    messages: impl Iterator<Item = Message>,
    why: String,
) -> Result<Sent, SendError> {
    let deadline = Instant::now() + SEND_TIMEOUT;
    match deliver(producer, target, messages, deadline) {
        Ok(messages) => Ok(Sent {
            messages,
            without_transaction: Some(why),
        }),
        Err(problem) => Err(SendError::Unknown(problem)),
    }
}

/// Sends the messages and waits until the brokers have acknowledged them; returns how many there were.
fn deliver(
    producer: &BaseProducer<Failures>,
    target: &Target,
    messages: impl Iterator<Item = Message>,
    deadline: Instant,
) -> Result<u64, String> {
    let sent = enqueue(producer, target, messages, deadline)?;
    producer
        .flush(deadline.saturating_duration_since(Instant::now()))
        .map_err(|error| error.to_string())?;
    producer.context().first().map_or(Ok(sent), Err)
}

/// Hands the messages to the client, which sends them in the background.
fn enqueue(
    producer: &BaseProducer<Failures>,
    target: &Target,
    messages: impl Iterator<Item = Message>,
    deadline: Instant,
) -> Result<u64, String> {
    let mut sent: u64 = 0;
    for message in messages {
        let topic = target.topic(&message.table);
        let mut record = BaseRecord::to(&topic)
            .partition(message.partition)
            .key(&message.key)
            .payload(&message.value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => return Err(format!("topic {topic}: {error}")),
            }
        }
        // Each poll hands over to the client's own thread; after every message that would be most of the time.
        if sent.is_multiple_of(POLL_EVERY) {
            producer.poll(Duration::ZERO);
        }
        if let Some(problem) = producer.context().first() {
            return Err(problem);
        }
        sent += 1;
    }
    Ok(sent)
}

impl Target {
    pub fn topic(&self, table: &TableName) -> String {
        format!("{}{table}", self.topic_prefix)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.extend(self.properties.clone());
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "casewatch-load");
        // What it warns of it also tries again; what stays wrong is told at the end.
        config.set_log_level(RDKafkaLogLevel::Error);
        config
    }
}

fn producer(target: &Target, transaction_of: Option<&str>) -> Result<BaseProducer<Failures>, SendError> {
    let mut config = target.client();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "zstd")
        .set("linger.ms", "20");
    if let Some(feed) = transaction_of {
        // One a feed, so that a run that was cut off is fenced by the next.
        config.set("transactional.id", format!("casewatch-load-{feed}"));
        config.set("transaction.timeout.ms", SEND_TIMEOUT.as_millis().to_string());
    }
    config
        .create_with_context(Failures::default())
        .map_err(|error| SendError::Nothing(format!("the Kafka client cannot be set up: {error}")))
}

/// Makes the topics that do not exist yet.
///
/// # Errors
/// Brokers that do not answer, or refuse a topic.
pub fn make_topics(target: &Target, tables: &BTreeSet<TableName>) -> Result<Partitions, String> {
    let asking = producer(target, None).map_err(|error| match error {
        SendError::Nothing(problem) | SendError::Unknown(problem) => problem,
    })?;
    let metadata = metadata(&asking, target)?;
    let mut partitions = Partitions::new();
    let mut missing = Vec::new();
    for table in tables {
        let topic = target.topic(table);
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .map(|found| found.partitions().len());
        match found {
            Some(count) if count > 0 => {
                partitions.insert(
                    table.clone(),
                    i32::try_from(count).expect("partitions are numbered in 32 bits"),
                );
            }
            _ => {
                partitions.insert(table.clone(), target.partitions);
                missing.push(topic);
            }
        }
    }
    if missing.is_empty() {
        return Ok(partitions);
    }
    let new: Vec<_> = missing
        .iter()
        .map(|topic| NewTopic::new(topic, target.partitions, TopicReplication::Fixed(-1)))
        .collect();
    let admin: AdminClient<Failures> = target
        .client()
        .create_with_context(Failures::default())
        .map_err(|error| format!("the Kafka client cannot be set up: {error}"))?;
    let unreachable = |error: KafkaError| asking.context().unreachable(target, &error);
    let options = AdminOptions::new()
        .operation_timeout(Some(target.timeout))
        .request_timeout(Some(target.timeout));
    for made in block_on(admin.create_topics(&new, &options)).map_err(unreachable)? {
        made.map_err(|(topic, error)| format!("topic {topic} cannot be made: {error}"))?;
    }
    Ok(partitions)
}

/// What the brokers have. Gives up early where waiting does not help: a producer, unlike an admin client, tells why it
/// was refused.
fn metadata(asking: &BaseProducer<Failures>, target: &Target) -> Result<Metadata, String> {
    let deadline = Instant::now() + target.timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match asking.client().fetch_metadata(None, left.min(LOOK_EVERY)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => {
                // A wait of zero would take one of the client's events and leave those behind it for the next second.
                asking.poll(TAKE_EVENTS);
                if asking.context().refused().is_some() || Instant::now() >= deadline {
                    return Err(asking.context().unreachable(target, &error));
                }
            }
        }
    }
}

/// Whether the broker's answer means that it knows no transactions, rather than that it grants none now.
fn has_no_transactions(error: &KafkaError) -> bool {
    let code = match error {
        KafkaError::Transaction(error) => error.code(),
        error => error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
    };
    matches!(
        code,
        RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::NotImplemented
    )
}

/// Remembers the first message that could not be delivered, never its content, and why the brokers refuse us. Nothing
/// is logged of a broker that is merely away: what comes of it is told at the end.
#[derive(Default)]
struct Failures {
    first: Mutex<Option<String>>,
    refused: Mutex<Option<String>>,
}

impl Failures {
    fn first(&self) -> Option<String> {
        read(&self.first)
    }

    fn refused(&self) -> Option<String> {
        read(&self.refused)
    }

    fn unreachable(&self, target: &Target, error: &KafkaError) -> String {
        match self.refused() {
            None => format!("the brokers at {} do not answer: {error}", target.brokers),
            Some(reason) => format!(
                "the brokers at {} refuse us: {reason}\nhint: check the security settings in [kafka.properties]",
                target.brokers
            ),
        }
    }
}

fn read(place: &Mutex<Option<String>>) -> Option<String> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn keep_first(place: &Mutex<Option<String>>, problem: String) {
    place
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert(problem);
}

impl ClientContext for Failures {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the Kafka client is in trouble");
        if let Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) = error.rdkafka_error_code() {
            keep_first(&self.refused, reason.to_owned());
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            use rdkafka::Message as _;
            let problem = format!("topic {}: {error}", message.topic());
            keep_first(&self.first, problem);
        }
    }
}
