//! One version of a table, pinned: its positions and its rows belong together.

use std::collections::BTreeMap;
use std::sync::Arc;

use casewatch_contract::{Offset, PartitionId};
use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::Result;
use crate::file;
use crate::lake::Lake;
use crate::log::{TableLog, TableState};
use crate::provider::LakeProvider;
use crate::schema::Layout;
use crate::writer;

/// A table at one version. It holds the list of its files; they stay readable until vacuum or erasure removes them,
/// when [`crate::LakeError::is_file_gone`] says so and the newest snapshot is to be taken.
#[derive(Debug, Clone)]
pub struct Snapshot {
    state: Arc<TableState>,
    positions: Arc<BTreeMap<PartitionId, Offset>>,
    provider: Arc<LakeProvider>,
    _lake: Arc<Lake>,
}

impl Snapshot {
    pub(crate) fn new(lake: Arc<Lake>, log: TableLog, layout: Layout, state: Arc<TableState>) -> Self {
        let positions = Arc::new(writer::positions(&state));
        let provider = Arc::new(LakeProvider::new(&lake.place, &log, &layout, &state));
        Self {
            state,
            positions,
            provider,
            _lake: lake,
        }
    }

    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The table's identity in Delta: a table made anew has another, one that was restored has the same.
    pub fn table_id(&self) -> &str {
        self.state.metadata.id()
    }

    /// How many dead letters were replayed into it: their rows stand below the positions.
    pub fn replayed(&self) -> u64 {
        let ids = self.state.transactions.keys();
        ids.filter(|id| id.starts_with(writer::REPLAY_PREFIX)).count() as u64
    }

    /// For each partition the next offset: all below it is in this snapshot, nothing at or above it.
    pub fn positions(&self) -> &BTreeMap<PartitionId, Offset> {
        &self.positions
    }

    /// How many files it has, and their bytes.
    pub fn size(&self) -> (usize, u64) {
        let bytes = self
            .state
            .files
            .values()
            .map(|add| u64::try_from(add.size).unwrap_or(0))
            .sum();
        (self.state.files.len(), bytes)
    }

    /// How many rows the log says it has.
    pub fn rows(&self) -> u64 {
        let counts = self.state.files.values().filter_map(|add| file::row_count(add));
        counts.map(|count| u64::try_from(count).unwrap_or(0)).sum()
    }

    /// All of the table's columns in the contract's order; a plain Parquet scan over the pinned files.
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        self.provider.clone()
    }

    /// Its rows: the columns named (`None`: all), those that pass every filter.
    pub async fn scan(&self, columns: Option<&[&str]>, filters: &[Expr]) -> Result<SendableRecordBatchStream> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        let mut frame = context.read_table(self.provider())?;
        for filter in filters {
            frame = frame.filter(filter.clone())?;
        }
        if let Some(columns) = columns {
            frame = frame.select_columns(columns)?;
        }
        Ok(frame.execute_stream().await?)
    }
}
