//! A real Apache Kafka, and what tests do with one: make topics, write, cut, look.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::http::block_on;
use crate::server::{Server, signal};

const PATIENCE: Duration = Duration::from_secs(30);

/// One message to write; without a partition, the key's hash decides.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A broker's listener over TLS.
#[derive(Debug)]
pub struct Secure {
    pub brokers: String,
    /// The certificate that signs the broker's.
    pub authority: PathBuf,
    pub password_file: PathBuf,
    _folder: TempDir,
}

/// One broker. It can be stopped and started again with its log and address.
#[derive(Debug)]
pub struct Kafka {
    server: Option<Server>,
    address: String,
    data: TempDir,
}

impl Kafka {
    pub fn start() -> Self {
        let data = TempDir::with_prefix("casewatch-kafka-").expect("a temporary folder can be made");
        let server = Server::start("kafka", &["--data", &data.path().display().to_string()]);
        let address = server.address.clone();
        Self {
            server: Some(server),
            address,
            data,
        }
    }

    /// With a second listener over TLS, which one user may use.
    pub fn start_secure(user: &str, password: &str) -> (Self, Secure) {
        let folder = TempDir::with_prefix("casewatch-secure-").expect("a temporary folder can be made");
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [("user", user), ("password", password)] {
            std::fs::write(path(name), text).expect("the temporary folder takes a file");
        }
        let data = TempDir::with_prefix("casewatch-kafka-").expect("a temporary folder can be made");
        let places = [data.path(), folder.path()].map(|place| place.display().to_string());
        let server = Server::start("kafka", &["--data", &places[0], "--secure", &places[1]]);
        let address = server.address.clone();
        let brokers = std::fs::read_to_string(path("address")).expect("the script writes it");
        let secure = Secure {
            brokers: brokers.trim().to_owned(),
            authority: path("ca.pem"),
            password_file: path("password"),
            _folder: folder,
        };
        let server = Some(server);
        (Self { server, address, data }, secure)
    }

    /// Bootstrap servers.
    pub fn brokers(&self) -> &str {
        &self.address
    }

    /// Ends the broker's process; its log stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Ends the broker's process as a power cut would.
    pub fn kill(&mut self) {
        if let Some(server) = &self.server {
            signal("KILL", server.pid);
        }
        self.server = None;
    }

    /// Brings a stopped broker back at the same address with the same log.
    pub fn start_again(&mut self) {
        self.server = Some(Server::start_at("kafka", &self.address, self.data.path()));
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.address)
            .set("allow.auto.create.topics", "false");
        client
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client needs no connection")
    }

    pub fn create_topics(&self, names: &[&str], partitions: i32, settings: &[(&str, &str)]) {
        let topics: Vec<_> = names
            .iter()
            .map(|name| {
                let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
                settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = block_on(self.admin().create_topics(&topics, &options)).expect("the broker answers");
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => panic!("topic {topic}: {error}"),
            }
        }
    }

    /// Makes a topic have `partitions` partitions.
    pub fn add_partitions(&self, name: &str, partitions: usize) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let wanted = [NewPartitions::new(name, partitions)];
        let made = block_on(self.admin().create_partitions(&wanted, &options)).expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    pub fn delete_topic(&self, name: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let deleted = block_on(self.admin().delete_topics(&[name], &options)).expect("the broker answers");
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }

    /// Removes a partition's messages below `before`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .expect("an offset is valid");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        block_on(self.admin().delete_records(&list, &options)).expect("the broker deletes records");
    }

    /// Writes messages in order and waits until the broker has all of them.
    pub fn produce(&self, topic: &str, messages: impl IntoIterator<Item = Message>) {
        let producer = self.producer();
        for message in messages {
            send(&producer, topic, &message);
        }
        producer.flush(PATIENCE).expect("the broker takes what was sent");
    }

    /// A producer for tests that write while something else happens.
    pub fn producer(&self) -> BaseProducer {
        let mut client = self.client();
        client
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.max.bytes", "20000000")
            .set("queue.buffering.max.messages", "500000");
        client.create().expect("a producer needs no connection")
    }

    /// First and next offset of a partition.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        let consumer: BaseConsumer = self.client().create().expect("a consumer needs no connection");
        consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .expect("the broker knows the partition")
    }

    /// Messages from the log's start to its end as it is now.
    pub fn read(&self, topic: &str, partition: i32) -> Vec<Message> {
        self.read_each(topic, partition, |message| Message {
            partition: Some(partition),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        })
    }

    /// The headers of each message, and its key and value.
    pub fn read_with_headers(&self, topic: &str, partition: i32) -> Vec<(BTreeMap<String, String>, Message)> {
        let headers = self.read_each(topic, partition, headers);
        headers.into_iter().zip(self.read(topic, partition)).collect()
    }

    fn read_each<T>(&self, topic: &str, partition: i32, make: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "tests")
            .create()
            .expect("a consumer can be made");
        let (first, end) = self.watermarks(topic, partition);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(first))
            .expect("an offset is valid");
        consumer.assign(&list).expect("a partition can be assigned");
        let mut messages = Vec::new();
        let mut next = first;
        while next < end {
            let Some(message) = consumer.poll(PATIENCE) else {
                panic!("{topic}/{partition} ends at {end}, silent at {next}")
            };
            let message = message.expect("the broker gives what it has");
            next = message.offset() + 1;
            messages.push(make(&message));
        }
        messages
    }
}

fn headers(message: &BorrowedMessage<'_>) -> BTreeMap<String, String> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    headers
        .map(|header| {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
            (header.key.to_owned(), value.into_owned())
        })
        .collect()
}

/// Puts one message into the producer's queue, waiting while that is full.
pub fn send(producer: &BaseProducer, topic: &str, message: &Message) {
    loop {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        if let Some(key) = &message.key {
            record = record.key(key.as_slice());
        }
        if let Some(value) = &message.value {
            record = record.payload(value.as_slice());
        }
        if let Some(partition) = message.partition {
            record = record.partition(partition);
        }
        match producer.send(record) {
            Ok(()) => break,
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{topic}: {error}"),
        }
    }
    producer.poll(Duration::ZERO);
}

/// Each beat runs the catalogue, so it leaves room for other work.
const BEAT: Duration = Duration::from_secs(2);

/// The source's heartbeats, until it is dropped: with a wall clock, events of 2018 are no sign of life
/// once they have been read.
#[derive(Debug)]
pub struct Heartbeats {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeats {
    pub fn start(kafka: &Kafka, topic: &str) -> Self {
        let (producer, stop) = (kafka.producer(), Arc::new(AtomicBool::new(false)));
        let (told, topic) = (Arc::clone(&stop), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let beat = Message {
                value: Some(b"{}".to_vec()),
                ..Message::default()
            };
            while !told.load(Ordering::Relaxed) {
                send(&producer, &topic, &beat);
                std::thread::sleep(BEAT);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed.
            let _ = thread.join();
        }
    }
}
