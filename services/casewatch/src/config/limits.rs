//! Bounds of memory and time, each with its default.

use std::time::Duration;

use casewatch_ingest::config::Limits;
use serde::Deserialize;

use super::duration::duration;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    #[serde(deserialize_with = "duration")]
    pub flush_interval: Duration,
    pub flush_rows: usize,
    pub flush_mib: usize,
    pub batch_rows: usize,
    pub batch_kib: usize,
    pub queue_batches: usize,
    pub prefetch_mib: usize,
    pub message_bytes: usize,
    #[serde(deserialize_with = "duration")]
    pub revoke_deadline: Duration,
    pub dead_letters_per_second: usize,
    #[serde(deserialize_with = "duration")]
    pub query_deadline: Duration,
    pub query_memory_mib: usize,
    pub query_rows: usize,
    pub queries_memory_mib: usize,
    #[serde(deserialize_with = "duration")]
    pub metric_deadline: Duration,
    pub metric_memory_mib: usize,
    pub metric_series: usize,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            flush_interval: limits.flush_interval,
            flush_rows: limits.flush_rows,
            flush_mib: limits.flush_bytes >> 20,
            batch_rows: limits.batch_rows,
            batch_kib: limits.batch_bytes >> 10,
            queue_batches: limits.queue_batches,
            prefetch_mib: limits.prefetch_kib >> 10,
            message_bytes: limits.message_bytes,
            revoke_deadline: limits.revoke_deadline,
            dead_letters_per_second: limits.dead_letters_per_second,
            query_deadline: Duration::from_secs(30),
            query_memory_mib: 1024,
            query_rows: 1_000_000,
            queries_memory_mib: 2048,
            metric_deadline: Duration::from_secs(10),
            metric_memory_mib: 512,
            metric_series: 10_000,
        }
    }
}

impl LimitsSection {
    /// Those of the consumers.
    pub(super) fn of_ingestion(&self) -> Limits {
        Limits {
            batch_rows: self.batch_rows,
            batch_bytes: self.batch_kib << 10,
            queue_batches: self.queue_batches,
            flush_interval: self.flush_interval,
            flush_rows: self.flush_rows,
            flush_bytes: self.flush_mib << 20,
            revoke_deadline: self.revoke_deadline,
            prefetch_kib: self.prefetch_mib << 10,
            message_bytes: self.message_bytes,
            dead_letters_per_second: self.dead_letters_per_second,
        }
    }
}
