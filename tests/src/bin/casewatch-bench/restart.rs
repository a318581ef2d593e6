//! Time to ready and peak memory of a start that has a long history behind it and a tenth of it as keys.

use std::time::{Duration, Instant};

use casewatch_tests::{Casewatch, Config, Feed, Kafka, until};

use crate::process::peak_mebibytes;
use crate::rows::allocation;
use crate::{Figure, PATIENCE};

/// Events of the history that arrive while casewatch is down: the tail that a start has to read from Kafka.
const TAIL: u64 = 50_000;

pub fn measure(runs: usize, events: u64) -> Vec<Figure> {
    let kafka = Kafka::start();
    let keys = events / 10;
    kafka.create_topics(&["again.allocations"], 3, &[]);
    println!("restart: writing {events} events of {keys} keys");
    kafka.produce("again.allocations", (1..=events).map(|lsn| allocation(lsn % keys, lsn)));
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("test", "again.", &["allocations"])]);
    config.flush_interval = "5s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    until("the lake to hold the history", PATIENCE, || {
        std::thread::sleep(Duration::from_secs(2));
        let rows = config.lake_sql().try_rows("select sum(rows) as n from lake.commits")?;
        match rows[0]["n"].as_u64() {
            Some(rows) if rows == events => Ok(()),
            _ => Err(format!("{rows:?}")),
        }
    });
    casewatch.wait_until_ready();
    assert!(casewatch.stop(Duration::from_secs(30)).success(), "{}", casewatch.log());
    let (mut ready, mut peak) = (Vec::new(), Vec::new());
    for run in 0..runs as u64 {
        let from = events + run * TAIL;
        kafka.produce(
            "again.allocations",
            (from + 1..=from + TAIL).map(|lsn| allocation(lsn % keys, lsn)),
        );
        let started = Instant::now();
        let mut casewatch = Casewatch::spawn(&config, &[]);
        casewatch.wait_until_ready();
        ready.push(started.elapsed().as_secs_f64());
        peak.push(peak_mebibytes(casewatch.pid()));
        println!(
            "restart {}: {:.2} s, {:.0} MiB",
            run + 1,
            ready[ready.len() - 1],
            peak[peak.len() - 1]
        );
        assert!(casewatch.stop(Duration::from_secs(30)).success(), "{}", casewatch.log());
    }
    let history = format!("{events} events, {keys} keys, {TAIL} of them new");
    vec![
        Figure::new(format!("restart: ready again, {history}"), ready, "s", "10"),
        Figure::new("restart: peak memory until ready", peak, "MiB", "1024"),
    ]
}
