//! Where messages go: Kafka, or files.
//!
//! Invariant: after `flush` returns without an error everything sent so far is acknowledged or on disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio_util::sync::CancellationToken;

use crate::SimulatorError;
use crate::calendar::Day;
use crate::row::{Row, Table, Value};
use crate::wire::{Message, zoned};

/// How to reach Kafka.
#[derive(Clone, Debug)]
pub struct KafkaTarget {
    /// Bootstrap servers.
    pub brokers: String,
    /// Partitions of topics that do not exist yet; 3 by default.
    pub partitions: i32,
    /// Replicas of topics that do not exist yet; 1 by default.
    pub replication: i32,
    /// Further settings of librdkafka (security and the like); they win over ours.
    pub settings: Vec<(String, String)>,
    /// How long to wait for acknowledgements before giving up; one minute by default.
    pub flush_timeout: Duration,
}

impl KafkaTarget {
    /// Three partitions, one replica, no further settings.
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            partitions: 3,
            replication: 1,
            settings: vec![],
            flush_timeout: Duration::from_secs(60),
        }
    }
}

/// What goes to a folder.
#[derive(Clone, Debug)]
pub struct FilesTarget {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// What the files hold.
    pub kind: FileKind,
}

/// What the files of a folder hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    /// `TABLE.jsonl`: each message's value on a line, in order (JSON formats only).
    #[default]
    JsonLines,
    /// `TABLE.csv`: an extract of each table as it stands at the end, as a nightly delivery would be.
    Extract,
}

pub(crate) enum Sink {
    Kafka(Box<KafkaSink>),
    Files(FileSink),
}

pub(crate) struct KafkaSink {
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    flush_timeout: Duration,
}

/// Counts what was not delivered.
#[derive(Clone, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
    reason: Arc<Mutex<String>>,
}

impl ClientContext for Deliveries {
    /// What comes of it is told when messages are not delivered: a broker that ends after the last one harms nobody.
    fn error(&self, error: KafkaError, reason: &str) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = format!("{error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.fetch_add(1, Ordering::Relaxed);
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        }
    }
}

impl Deliveries {
    fn check(&self, unsent: u64) -> Result<(), SimulatorError> {
        let count = self.failed.load(Ordering::Relaxed) + unsent;
        if count == 0 {
            return Ok(());
        }
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if reason.is_empty() {
            reason = "the broker did not answer in time".to_owned();
        }
        Err(SimulatorError::NotDelivered { count, reason })
    }
}

impl KafkaSink {
    pub(crate) fn open(target: &KafkaTarget, topics: &[&str]) -> Result<Self, SimulatorError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &target.brokers)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072");
        for (name, value) in &target.settings {
            config.set(name, value);
        }
        create_topics(target, topics)?;
        let deliveries = Deliveries::default();
        let producer = ThreadedProducer::from_config_and_context(&config, deliveries.clone()).map_err(|source| {
            SimulatorError::Kafka {
                action: "starting a producer".to_owned(),
                source,
            }
        })?;
        Ok(Self {
            producer,
            deliveries,
            flush_timeout: target.flush_timeout,
        })
    }

    fn put(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        cancel: &CancellationToken,
    ) -> Result<(), SimulatorError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).key(key);
        record.payload = value;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if !cancel.is_cancelled() => {
                    self.deliveries.check(0)?;
                    std::thread::sleep(Duration::from_millis(2));
                    record = back;
                }
                Err((source, _)) => {
                    return Err(SimulatorError::Kafka {
                        action: format!("sending to {topic}"),
                        source,
                    });
                }
            }
        }
    }

    /// Waits for acknowledgements, at most for the target's timeout, and gives up within a second when cancelled.
    fn flush(&self, cancel: &CancellationToken) -> Result<(), SimulatorError> {
        let mut deadline = Instant::now() + self.flush_timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            if cancel.is_cancelled() {
                deadline = deadline.min(Instant::now() + Duration::from_secs(1));
            }
            let _ = self.producer.flush(Duration::from_millis(100));
        }
        self.deliveries
            .check(u64::try_from(self.producer.in_flight_count()).unwrap_or(0))
    }
}

/// Creates the topics that are not there; those that are keep their partitions.
fn create_topics(target: &KafkaTarget, topics: &[&str]) -> Result<(), SimulatorError> {
    let failed = |source| SimulatorError::Kafka {
        action: format!("creating topics at {}", target.brokers),
        source,
    };
    // Producer settings mean nothing to the admin client, and librdkafka would say so.
    let mut plain = ClientConfig::new();
    plain.set("bootstrap.servers", &target.brokers);
    for (name, value) in &target.settings {
        plain.set(name, value);
    }
    let admin = AdminClient::<DefaultClientContext>::from_config(&plain).map_err(failed)?;
    // Asking first spares a right that a producer of existing topics need not have.
    let metadata = admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(30))
        .map_err(failed)?;
    let there: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .filter(|topic| !there.contains(*topic))
        .map(|topic| NewTopic::new(topic, target.partitions, TopicReplication::Fixed(target.replication)))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new()
        .operation_timeout(Some(Duration::from_secs(30)))
        .request_timeout(Some(Duration::from_secs(30)));
    let results = runtime()?
        .block_on(admin.create_topics(&new, &options))
        .map_err(failed)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let source = KafkaError::AdminOp(code);
                return Err(SimulatorError::Kafka {
                    action: format!("creating topic {topic}"),
                    source,
                });
            }
        }
    }
    Ok(())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, SimulatorError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| SimulatorError::File {
        path: PathBuf::from("event loop"),
        source,
    })
}

pub(crate) struct FileSink {
    kind: FileKind,
    folder: PathBuf,
    lines: Vec<BufWriter<File>>,
}

impl FileSink {
    pub(crate) fn open(target: &FilesTarget) -> Result<Self, SimulatorError> {
        std::fs::create_dir_all(&target.folder).map_err(|source| SimulatorError::File {
            path: target.folder.clone(),
            source,
        })?;
        let mut lines = vec![];
        if target.kind == FileKind::JsonLines {
            for table in Table::ALL {
                let path = target.folder.join(format!("{}.jsonl", table.name()));
                let file = File::create(&path).map_err(|source| SimulatorError::File { path, source })?;
                lines.push(BufWriter::new(file));
            }
        }
        Ok(Self {
            kind: target.kind,
            folder: target.folder.clone(),
            lines,
        })
    }

    fn put(&mut self, table: Table, value: &[u8]) -> Result<(), SimulatorError> {
        let Some(file) = self.lines.get_mut(table as usize) else {
            return Ok(());
        };
        let path = || self.folder.join(format!("{}.jsonl", table.name()));
        file.write_all(value)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|source| SimulatorError::File { path: path(), source })
    }

    fn flush(&mut self) -> Result<(), SimulatorError> {
        for file in &mut self.lines {
            file.flush().map_err(|source| SimulatorError::File {
                path: self.folder.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

impl Sink {
    pub(crate) fn send(
        &mut self,
        table: Table,
        message: &Message<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), SimulatorError> {
        match self {
            Self::Kafka(kafka) => {
                kafka.put(message.topic, message.key, Some(message.value), cancel)?;
                if message.tombstone {
                    kafka.put(message.topic, message.key, None, cancel)?;
                }
                Ok(())
            }
            Self::Files(files) => files.put(table, message.value),
        }
    }

    pub(crate) fn flush(&mut self, cancel: &CancellationToken) -> Result<(), SimulatorError> {
        match self {
            Self::Kafka(kafka) => kafka.flush(cancel),
            Self::Files(files) => files.flush(),
        }
    }

    /// Does it want the tables as they stand at the end?
    pub(crate) fn extract_folder(&self) -> Option<&Path> {
        match self {
            Self::Files(files) if files.kind == FileKind::Extract => Some(&files.folder),
            _ => None,
        }
    }
}

/// Writes one table as a delivery: a header, then its rows by key.
pub(crate) fn write_extract<'a>(
    folder: &Path,
    table: Table,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<(), SimulatorError> {
    let path = folder.join(format!("{}.csv", table.name()));
    let failed = |source: std::io::Error| SimulatorError::File {
        path: path.clone(),
        source,
    };
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    let mut writer = csv::Writer::from_writer(&mut file);
    let wrong = |error: csv::Error| failed(std::io::Error::other(error));
    writer
        .write_record(table.columns().iter().map(|column| column.name))
        .map_err(wrong)?;
    for row in rows {
        writer.write_record(row.iter().map(csv_text)).map_err(wrong)?;
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    file.flush().map_err(failed)
}

fn csv_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.to_string(),
        Value::Date(Day(number)) => Day(*number).to_string(),
        Value::Time(time) => zoned(*time),
        Value::Decimal(value) => format!("{}.{:03}", value / 1000, value % 1000),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
    }
}
