//! What one statement may take: time, memory, rows. The deadline covers streaming, too.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::error::QueryError;

/// Bounds of statements, each with its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all statements together.
    pub total_memory_bytes: usize,
    /// A view or a metric statement.
    pub catalogue_time: Duration,
    pub catalogue_memory_bytes: usize,
    /// A statement of a person.
    pub session_time: Duration,
    pub session_memory_bytes: usize,
    pub session_rows: usize,
    /// Folds of past moments kept for the next question about the same one: so many tables, and so many bytes.
    pub past_tables_kept: usize,
    pub past_tables_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total_memory_bytes: 2 << 30,
            catalogue_time: Duration::from_secs(10),
            catalogue_memory_bytes: 512 << 20,
            session_time: Duration::from_secs(60),
            session_memory_bytes: 1 << 30,
            session_rows: 1_000_000,
            past_tables_kept: 64,
            past_tables_bytes: 256 << 20,
        }
    }
}

/// The shared runtime with a pool of one statement's own; `setting` is what an operator can raise.
pub(crate) fn statement_runtime(
    shared: &Arc<RuntimeEnv>,
    limit_bytes: usize,
    setting: &'static str,
) -> Result<Arc<RuntimeEnv>> {
    let pool = StatementPool {
        parent: shared.memory_pool.clone(),
        limit_bytes,
        setting,
        used_bytes: AtomicUsize::new(0),
    };
    RuntimeEnvBuilder::from_runtime_env(shared)
        .with_memory_pool(Arc::new(pool))
        .build_arc()
}

/// Ends a stream at the deadline and after too many rows, with an error that says which.
pub(crate) fn bounded(
    inner: SendableRecordBatchStream,
    limit: Duration,
    deadline: Instant,
    row_limit: usize,
) -> SendableRecordBatchStream {
    let schema = inner.schema();
    let rows = stream::try_unfold((inner, 0_usize), move |(mut inner, rows_before)| async move {
        let next = tokio::time::timeout_at(deadline, inner.next())
            .await
            .map_err(|_| QueryError::Deadline { limit })?;
        let Some(batch) = next.transpose()? else {
            return Ok(None);
        };
        let rows = rows_before + batch.num_rows();
        if rows > row_limit {
            return Err(QueryError::Rows { limit: row_limit }.into());
        }
        Ok(Some((batch, (inner, rows))))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.into_stream()))
}

#[derive(Debug)]
struct StatementPool {
    parent: Arc<dyn MemoryPool>,
    limit_bytes: usize,
    setting: &'static str,
    used_bytes: AtomicUsize,
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement({} bytes)", self.limit_bytes)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.parent.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.parent.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used_bytes.fetch_add(additional, Ordering::Relaxed);
        self.parent.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.parent.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let used_bytes = self.used_bytes.fetch_add(additional, Ordering::Relaxed) + additional;
        let granted = if used_bytes > self.limit_bytes {
            Err(resources_datafusion_err!(
                "a statement has {} MiB ({})",
                self.limit_bytes >> 20,
                self.setting
            ))
        } else {
            self.parent.try_grow(reservation, additional)
        };
        if granted.is_err() {
            self.used_bytes.fetch_sub(additional, Ordering::Relaxed);
        }
        granted
    }

    fn reserved(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}
