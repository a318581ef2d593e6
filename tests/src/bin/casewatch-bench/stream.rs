//! An authority of 5,000 open cases whose changes arrive at a steady rate, and probes of it: how soon a new case is seen,
//! and how long scrapes take meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use casewatch_tests::kafka::send;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, until};
use rdkafka::producer::{BaseProducer, Producer};

use crate::rows::{allocation, case, team, worker};

const CASES: u64 = 5_000;
const POLL: Duration = Duration::from_millis(10);
const TABLES: [&str; 4] = ["teams", "cases", "allocations", "workers"];
/// Changes arrive for so long before the first probe.
const WARM_UP: Duration = Duration::from_secs(2);

pub struct Stream {
    kafka: Kafka,
    /// The newest version. One order of changes for all: the position in the database's log.
    lsn: AtomicU64,
    cases: AtomicU64,
}

/// Times in seconds, from the shortest on.
pub struct Times(Vec<f64>);

impl Times {
    fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of them does not exceed: 0.5 is the median, 1 the worst.
    pub fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }
}

/// What probes saw.
pub struct Probed {
    /// From a new case's acknowledgement by the broker to the changed sample.
    pub freshness: Times,
    /// From each request of `/metrics` to the end of its answer.
    pub scrapes: Times,
}

impl Stream {
    /// Starts a broker with an authority in it.
    pub fn start() -> Self {
        let stream = Self {
            kafka: Kafka::start(),
            lsn: AtomicU64::new(1),
            cases: AtomicU64::new(CASES),
        };
        let topics = TABLES.map(|table| format!("fresh.{table}"));
        let (kafka, next) = (&stream.kafka, || stream.next());
        kafka.create_topics(&topics.each_ref().map(String::as_str), 3, &[]);
        kafka.produce("fresh.teams", (0..50).map(|number| team(number, next())));
        kafka.produce("fresh.workers", (0..400).map(|number| worker(number, next())));
        kafka.produce("fresh.cases", (0..CASES).map(|number| case(number, next())));
        kafka.produce("fresh.allocations", (0..CASES).map(|number| allocation(number, next())));
        stream
    }

    fn next(&self) -> u64 {
        self.lsn.fetch_add(1, Ordering::Relaxed)
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new(self.kafka.brokers(), vec![Feed::new("test", "fresh.", &TABLES)]);
        config.flush_interval = "15s";
        config
    }

    pub fn wait_until_shown(&self, casewatch: &mut Casewatch) {
        casewatch.wait_until_up();
        until("the first sample", Duration::from_secs(60), || {
            match open_cases(casewatch) {
                open if open >= CASES as f64 => Ok(()),
                open => Err(format!("{open} open cases")),
            }
        });
    }

    /// Probes one after the other, while `rate` changes a second arrive.
    pub fn probe(&self, casewatch: &Casewatch, rate: u64, probes: u64) -> Probed {
        let stop = AtomicBool::new(false);
        let (load, producer) = (self.kafka.producer(), self.kafka.producer());
        let (mut freshness, mut scrapes) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| self.steady_load(&load, rate, &stop));
            std::thread::sleep(WARM_UP);
            for number in 0..probes {
                // Not in step with anything.
                std::thread::sleep(Duration::from_millis(20 + number * 37 % 110));
                freshness.push(self.probe_once(casewatch, &producer, &mut scrapes));
            }
            stop.store(true, Ordering::Relaxed);
        });
        Probed {
            freshness: Times::new(freshness),
            scrapes: Times::new(scrapes),
        }
    }

    fn probe_once(&self, casewatch: &Casewatch, producer: &BaseProducer, scrapes: &mut Vec<f64>) -> f64 {
        let before = open_cases(casewatch);
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        send(producer, "fresh.cases", &case(number, self.next()));
        producer
            .flush(Duration::from_secs(10))
            .expect("the broker acknowledges");
        let acknowledged = Instant::now();
        loop {
            let asked = Instant::now();
            let open = open_cases(casewatch);
            scrapes.push(asked.elapsed().as_secs_f64());
            if open > before {
                return acknowledged.elapsed().as_secs_f64();
            }
            assert!(
                acknowledged.elapsed() < Duration::from_secs(60),
                "the new case never shows"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Sends changes of existing rows, a few every 5 ms, until told to stop.
    fn steady_load(&self, producer: &BaseProducer, rate: u64, stop: &AtomicBool) {
        let (started, mut sent) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
            while sent < due {
                let version = self.next();
                match sent % 10 {
                    0 => send(producer, "fresh.workers", &worker(sent % 400, version)),
                    1 | 2 => send(producer, "fresh.cases", &case(sent * 7 % CASES, version)),
                    _ => send(producer, "fresh.allocations", &allocation(sent * 13 % CASES, version)),
                }
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn open_cases(casewatch: &Casewatch) -> f64 {
    casewatch.metrics().sum("casewatch_cases_open", &[]).unwrap_or(0.0)
}
