//! Casewatch's own metrics of reading and writing. deploy/METRICS.md lists them for people; a test compares.

use prometheus::{CounterVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use rdkafka::statistics::Statistics;

/// Counters of one process, shared by its consumers. `role` is `ingest` or `live`.
#[derive(Clone)]
pub struct IngestMetrics {
    pub rows: IntCounterVec,
    pub bytes: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub tombstones: IntCounterVec,
    pub flushes: IntCounterVec,
    pub commits: IntCounterVec,
    pub flush_seconds: HistogramVec,
    pub files: IntCounterVec,
    pub lake_bytes: IntCounterVec,
    pub discarded: IntCounterVec,
    pub lag: IntGaugeVec,
    pub halted: IntGaugeVec,
    pub committed_seconds: IntGaugeVec,
    pub unavailable: IntCounterVec,
    pub slowed_seconds: CounterVec,
}

impl IngestMetrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
            registry
                .register(Box::new(metric.clone()))
                .expect("each name is registered once");
            metric
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("the name and labels are valid");
            registry
                .register(Box::new(metric.clone()))
                .expect("each name is registered once");
            metric
        };
        let flush_seconds = HistogramVec::new(
            HistogramOpts::new(
                "casewatch_flush_seconds",
                "Time to write and commit one flush of a table to the lake.",
            )
            .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            &["table"],
        )
        .expect("the name and labels are valid");
        registry
            .register(Box::new(flush_seconds.clone()))
            .expect("each name is registered once");
        let slowed_seconds = CounterVec::new(
            Opts::new(
                "casewatch_dead_letters_slowed_seconds_total",
                "Time for which a table was not read because it made too many dead letters.",
            ),
            &["table"],
        )
        .expect("the name and labels are valid");
        registry
            .register(Box::new(slowed_seconds.clone()))
            .expect("each name is registered once");
        Self {
            rows: counter("casewatch_rows_total", "Change rows decoded.", &["role", "table"]),
            bytes: counter(
                "casewatch_read_bytes_total",
                "Bytes of keys and values read from Kafka.",
                &["role", "table"],
            ),
            dead_letters: counter(
                "casewatch_dead_letters_total",
                "Messages that could not be decoded or break the schema.",
                &["role", "table", "reason"],
            ),
            tombstones: counter(
                "casewatch_tombstones_total",
                "Null values, ignored.",
                &["role", "table"],
            ),
            flushes: counter(
                "casewatch_flushes_total",
                "Times a table's buffered rows were written out, by what made it due.",
                &["table", "cause"],
            ),
            commits: counter(
                "casewatch_commits_total",
                "Commits of data and positions that the lake took.",
                &["table"],
            ),
            flush_seconds,
            slowed_seconds,
            files: counter(
                "casewatch_files_total",
                "Parquet files committed to the lake.",
                &["table"],
            ),
            lake_bytes: counter(
                "casewatch_lake_bytes_total",
                "Bytes of Parquet committed to the lake.",
                &["table"],
            ),
            discarded: counter(
                "casewatch_discarded_rows_total",
                "Rows not committed because the lake's position had moved: another owner has them, or they are read again.",
                &["table"],
            ),
            lag: gauge(
                "casewatch_consumer_lag",
                "Messages between what was handed on and the end of the log.",
                &["role", "topic", "partition"],
            ),
            halted: gauge(
                "casewatch_topic_halted",
                "1 where a partition is not read until an operator decides.",
                &["topic", "partition", "reason"],
            ),
            committed_seconds: gauge(
                "casewatch_lake_committed_timestamp_seconds",
                "When the lake last took a commit of the table.",
                &["table"],
            ),
            unavailable: counter(
                "casewatch_retries_total",
                "Waits for something that was away: registry, lake.",
                &["role", "table", "what"],
            ),
        }
    }

    /// Sets the lag of every partition that the consumer of `role` reads.
    pub fn observe_lag(&self, role: &'static str, statistics: &Statistics) {
        for (topic, statistics) in &statistics.topics {
            for (partition, statistics) in &statistics.partitions {
                let known = *partition >= 0 && statistics.desired;
                let lag = known
                    .then(|| lag(statistics.next_offset, statistics.hi_offset, statistics.fetchq_cnt))
                    .flatten();
                if let Some(lag) = lag {
                    let labels = [role, topic.as_str(), &partition.to_string()];
                    self.lag.with_label_values(&labels).set(lag);
                }
            }
        }
    }

    /// Forgets the lag of a partition that another now reads.
    pub fn forget_lag(&self, role: &'static str, topic: &str, partition: i32) {
        // Absent already when no statistics came while it was ours.
        let _ = self.lag.remove_label_values(&[role, topic, &partition.to_string()]);
    }
}

/// Messages that were not handed on yet: those still in Kafka, and those that the client fetched ahead. None before the
/// client knows. Offsets of transaction markers count while they are unread and not after, so a log that was read to its
/// end has no lag.
fn lag(next_to_fetch: i64, end: i64, fetched_ahead: i64) -> Option<i64> {
    (next_to_fetch >= 0 && end >= 0).then(|| (end - next_to_fetch).max(0) + fetched_ahead.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_still_in_kafka_and_what_was_fetched_ahead() {
        assert_eq!(lag(90, 100, 0), Some(10));
        assert_eq!(lag(100, 100, 25), Some(25), "fetched and not handed on");
        assert_eq!(lag(101, 100, 0), Some(0), "the end was told before the newest fetch");
        assert_eq!(lag(-1001, 100, 0), None, "not fetched yet");
        assert_eq!(lag(0, -1001, 0), None, "the end is not known yet");
    }

    #[test]
    fn lag_of_a_partition_that_was_taken_away_is_gone() {
        let metrics = IngestMetrics::new(&Registry::new());
        metrics.lag.with_label_values(&["ingest", "t", "0"]).set(7);
        metrics.forget_lag("ingest", "t", 0);
        metrics.forget_lag("ingest", "t", 0);
        assert_eq!(
            prometheus::core::Collector::collect(&metrics.lag)[0].get_metric().len(),
            0
        );
    }
}
