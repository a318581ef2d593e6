//! From the producer's acknowledgement of a new case to the changed sample in `/metrics`, polled every 10 ms, while
//! other changes of an authority of 5,000 open cases arrive at a steady rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use casewatch_tests::kafka::send;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, until};
use rdkafka::producer::{BaseProducer, Producer};

use crate::Figure;
use crate::rows::{allocation, case, team, worker};

const CASES: u64 = 5_000;
const PROBES: u64 = 200;
const POLL: Duration = Duration::from_millis(10);
const TABLES: [&str; 4] = ["teams", "cases", "allocations", "workers"];

pub fn measure() -> Vec<Figure> {
    let kafka = Kafka::start();
    let topics = TABLES.map(|table| format!("fresh.{table}"));
    kafka.create_topics(&topics.each_ref().map(String::as_str), 3, &[]);
    // One order of changes for all: the position in the database's log.
    let lsn = AtomicU64::new(1);
    let next = || lsn.fetch_add(1, Ordering::Relaxed);
    kafka.produce("fresh.teams", (0..50).map(|number| team(number, next())));
    kafka.produce("fresh.workers", (0..400).map(|number| worker(number, next())));
    kafka.produce("fresh.cases", (0..CASES).map(|number| case(number, next())));
    kafka.produce("fresh.allocations", (0..CASES).map(|number| allocation(number, next())));
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("test", "fresh.", &TABLES)]);
    config.flush_interval = "15s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    until("the first sample", Duration::from_secs(60), || {
        match open_cases(&casewatch) {
            open if open >= CASES as f64 => Ok(()),
            open => Err(format!("{open} open cases")),
        }
    });
    let (mut figures, mut next_case) = (Vec::new(), CASES);
    for (rate, aim) in [(100_u64, ""), (1_000, "0.5"), (10_000, "1")] {
        let stop = AtomicBool::new(false);
        let load = kafka.producer();
        let mut seconds = std::thread::scope(|scope| {
            scope.spawn(|| steady_load(&load, rate, &lsn, &stop));
            let probe = kafka.producer();
            std::thread::sleep(Duration::from_secs(2));
            let seconds: Vec<f64> = (0..PROBES)
                .map(|number| {
                    next_case += 1;
                    // Not in step with anything.
                    std::thread::sleep(Duration::from_millis(20 + number * 37 % 110));
                    probe_once(&casewatch, &probe, next_case, lsn.fetch_add(1, Ordering::Relaxed))
                })
                .collect();
            stop.store(true, Ordering::Relaxed);
            seconds
        });
        seconds.sort_by(f64::total_cmp);
        println!(
            "freshness at {rate} events a second: {PROBES} probes, worst {:.3} s",
            seconds[seconds.len() - 1]
        );
        let percentile = |share: f64| seconds[((seconds.len() - 1) as f64 * share).round() as usize];
        for (name, share, aim) in [("p50", 0.5, ""), ("p99", 0.99, aim)] {
            let what = format!("freshness {name} at {rate} events a second, {PROBES} probes");
            figures.push(Figure::new(what, vec![percentile(share)], "s", aim));
        }
    }
    figures
}

fn open_cases(casewatch: &Casewatch) -> f64 {
    casewatch.metrics().sum("casewatch_cases_open", &[]).unwrap_or(0.0)
}

fn probe_once(casewatch: &Casewatch, producer: &BaseProducer, number: u64, lsn: u64) -> f64 {
    let before = open_cases(casewatch);
    send(producer, "fresh.cases", &case(number, lsn));
    producer
        .flush(Duration::from_secs(10))
        .expect("the broker acknowledges");
    let acknowledged = Instant::now();
    while open_cases(casewatch) <= before {
        assert!(
            acknowledged.elapsed() < Duration::from_secs(60),
            "the new case never shows"
        );
        std::thread::sleep(POLL);
    }
    acknowledged.elapsed().as_secs_f64()
}

/// Sends changes of existing rows, a few every 5 ms, until told to stop.
fn steady_load(producer: &BaseProducer, rate: u64, lsn: &AtomicU64, stop: &AtomicBool) {
    let (started, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due {
            let version = lsn.fetch_add(1, Ordering::Relaxed);
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
