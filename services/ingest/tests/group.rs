//! The group consumer against librdkafka's mock cluster: where it starts, when it reads again, when it refuses.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use casewatch_contract::{Offset, Order, TopicSpec};
use casewatch_ingest::config::{KafkaConfig, Limits};
use casewatch_ingest::flow::Delivery;
use casewatch_ingest::group::{Assignments, Command, GroupConsumer};
use casewatch_ingest::observe::IngestMetrics;
use casewatch_ingest::raw::RawBatch;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio::sync::mpsc;

const TOPIC: &str = "src.things";

struct Fixed {
    position: Option<Offset>,
    /// How many the lake says the topic had.
    partitions: Option<usize>,
    revoked: Mutex<Vec<i32>>,
}

impl Assignments for Fixed {
    fn positions(&self, assigned: &[(Arc<TopicSpec>, i32)]) -> Result<Vec<Option<Offset>>, String> {
        Ok(assigned.iter().map(|_| self.position).collect())
    }

    fn partitions(&self, _: &TopicSpec, found: usize) -> Result<usize, String> {
        Ok(self.partitions.unwrap_or(found))
    }

    fn revoked(&self, revoked: &[(Arc<TopicSpec>, i32)], _: Duration) {
        self.revoked
            .lock()
            .unwrap()
            .extend(revoked.iter().map(|(_, partition)| *partition));
    }
}

struct Rig {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    consumer: GroupConsumer,
    deliveries: mpsc::Receiver<Delivery>,
    assignments: Arc<Fixed>,
    registry: prometheus::Registry,
}

impl Rig {
    /// A topic of one partition that holds `messages` messages, read by a consumer whose lake is at `position`.
    fn new(messages: usize, position: Option<i64>) -> Self {
        Self::with(messages, position, None)
    }

    /// The same, where the lake remembers how many partitions the topic had.
    fn with(messages: usize, position: Option<i64>, partitions: Option<usize>) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        for number in 0..messages {
            let value = number.to_string();
            producer
                .send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload(&value))
                .unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
        let config = Arc::new(KafkaConfig {
            cluster: "mock".into(),
            brokers,
            group_id: "casewatch".to_owned(),
            properties: BTreeMap::new(),
            topics: Vec::new(),
            heartbeats: Vec::new(),
            limits: Limits::default(),
        });
        let (sender, deliveries) = mpsc::channel(8);
        let topic = Arc::new(TopicSpec::new(TOPIC, Order::Offset));
        let senders = HashMap::from([(topic.table.clone(), sender)]);
        let assignments = Arc::new(Fixed {
            position: position.map(Offset),
            partitions,
            revoked: Mutex::default(),
        });
        let registry = prometheus::Registry::new();
        let metrics = IngestMetrics::new(&registry);
        let consumer = GroupConsumer::spawn(config, vec![topic], senders, assignments.clone(), metrics).unwrap();
        Self {
            _cluster: cluster,
            consumer,
            deliveries,
            assignments,
            registry,
        }
    }

    fn batch(&mut self) -> RawBatch {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            match self.deliveries.try_recv() {
                Ok(Delivery::Batch(batch)) => return batch,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        panic!("no batch within 20 seconds");
    }

    /// Reads up to `end`; the first offset and the values in order.
    fn read_to(&mut self, end: i64) -> (i64, Vec<String>) {
        let first = self.batch();
        let (from, mut to, mut values) = (first.from.0, first.to.0, texts(&first));
        while to < end {
            let next = self.batch();
            assert_eq!(next.from.0, to, "batches tile");
            to = next.to.0;
            values.extend(texts(&next));
        }
        (from, values)
    }

    fn halted(&self) -> Vec<String> {
        let families = self.registry.gather();
        let halted = families
            .iter()
            .filter(|family| family.name() == "casewatch_topic_halted");
        let reasons = halted
            .flat_map(|family| family.get_metric())
            .flat_map(|metric| metric.get_label());
        reasons
            .filter(|label| label.name() == "reason")
            .map(|label| label.value().to_owned())
            .collect()
    }
}

fn texts(batch: &RawBatch) -> Vec<String> {
    batch
        .messages()
        .iter()
        .map(|m| String::from_utf8(m.value.unwrap().to_vec()).unwrap())
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn it_starts_at_the_lake_s_position_and_without_one_at_the_log_s_start() {
    assert_eq!(Rig::new(10, Some(4)).read_to(10), (4, numbers(4..10)));
    assert_eq!(Rig::new(10, None).read_to(10), (0, numbers(0..10)));
}

#[test]
fn told_of_another_position_it_reads_again_from_there() {
    let mut rig = Rig::new(10, Some(0));
    let first = rig.batch();
    let seek = |generation| Command::Seek {
        topic: (TOPIC.to_owned(), 0),
        generation,
        to: Some(Offset(7)),
    };
    rig.consumer.commands.send(seek(first.generation)).unwrap();
    let again = loop {
        let batch = rig.batch();
        if batch.generation != first.generation {
            break batch;
        }
    };
    assert_eq!((again.from.0, texts(&again)), (7, numbers(7..10)));
    // The same order again is about an assignment that is over: nothing is read a second time.
    rig.consumer.commands.send(seek(first.generation)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(rig.deliveries.try_recv().is_err());
}

#[test]
fn a_topic_ordered_by_offset_with_other_partitions_than_it_had_is_not_read() {
    assert_eq!(Rig::with(3, None, Some(1)).read_to(3), (0, numbers(0..3)));
    let mut rig = Rig::with(3, None, Some(2));
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.halted().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(rig.halted(), ["partitions_changed"]);
    assert!(rig.deliveries.try_recv().is_err(), "nothing of it is handed on");
}

#[test]
fn stopped_it_hands_back_what_it_had() {
    let mut rig = Rig::new(3, None);
    rig.read_to(3);
    rig.consumer.commands.send(Command::Stop).unwrap();
    let Rig {
        consumer, assignments, ..
    } = rig;
    consumer.join().unwrap();
    assert_eq!(*assignments.revoked.lock().unwrap(), vec![0]);
}

#[test]
fn a_log_that_ends_below_the_position_is_not_read() {
    let mut rig = Rig::new(5, Some(50));
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.halted().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(rig.halted(), vec!["log_end_below_position"]);
    assert!(rig.deliveries.try_recv().is_err(), "nothing of a log that is not ours");
}
