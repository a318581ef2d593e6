//! Casewatch's own metrics of reading and writing. Names and meaning are listed in ARCHITECTURE.md.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Counters of one process, shared by its consumers. `role` is `ingest` or `live`.
#[derive(Clone)]
pub struct IngestMetrics {
    pub rows: IntCounterVec,
    pub bytes: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub tombstones: IntCounterVec,
    pub flushes: IntCounterVec,
    pub flush_seconds: HistogramVec,
    pub files: IntCounterVec,
    pub lake_bytes: IntCounterVec,
    pub discarded: IntCounterVec,
    pub lag: IntGaugeVec,
    pub halted: IntGaugeVec,
    pub committed_seconds: IntGaugeVec,
    pub unavailable: IntCounterVec,
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
            flushes: counter("casewatch_flushes_total", "Commits to the lake.", &["table"]),
            flush_seconds,
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
}
