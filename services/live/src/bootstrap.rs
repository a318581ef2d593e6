//! Filling empty tables from the lake: every table's history streamed through the fold, two tables at a time.
//!
//! Memory holds the present and what one batch adds, never the history: the fold drops what a newer row replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, TimestampMicrosecondArray};
use casewatch_contract::{Offset, PartitionId, RecordedAt, Table, TableName, system};
use casewatch_lake::{Lake, Snapshot};
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::LiveError;
use crate::set::{LiveSet, SourceBook};
use crate::table::{LiveTable, downcast};
use crate::travel::history_columns;

const TABLES_AT_A_TIME: usize = 2;

/// A table's history up to some positions, with at least the columns of [`crate::history_columns`].
pub struct History {
    pub table: TableName,
    pub rows: SendableRecordBatchStream,
    pub positions: BTreeMap<PartitionId, Offset>,
}

struct Folded {
    live: LiveTable,
    sources: SourceBook,
    highest: Option<i64>,
    positions: BTreeMap<PartitionId, Offset>,
}

impl LiveSet {
    /// Folds histories into their tables, which must be empty, and says from where to read on.
    pub async fn restore(&mut self, histories: Vec<History>) -> Result<BTreeMap<PartitionId, Offset>, LiveError> {
        let limit_bytes = self.memory_limit_bytes();
        let mut jobs = Vec::with_capacity(histories.len());
        for history in histories {
            let slot = self.tables.get(&history.table);
            let slot = slot.ok_or_else(|| LiveError::UnknownTable {
                table: history.table.clone(),
            })?;
            jobs.push((LiveTable::new(slot.live.table().clone())?, history));
        }
        let folds = jobs.into_iter().map(|(live, history)| {
            let task = tokio::spawn(fold_history(live, history, limit_bytes));
            async move { task.await.expect("folding a history does not panic") }
        });
        let folded: Vec<Folded> = stream::iter(folds)
            .buffer_unordered(TABLES_AT_A_TIME)
            .try_collect()
            .await?;
        let mut positions = BTreeMap::new();
        for Folded {
            live,
            sources,
            highest,
            positions: of_table,
        } in folded
        {
            positions.extend(of_table);
            self.sources.absorb(sources);
            if let Some(highest) = highest {
                self.tracker.stand_at(RecordedAt(highest));
            }
            self.replace_table(live);
        }
        self.stop_over_limit();
        Ok(positions)
    }
}

async fn fold_history(mut live: LiveTable, mut history: History, limit_bytes: usize) -> Result<Folded, LiveError> {
    let mut sources = SourceBook::default();
    let mut highest = None;
    while let Some(batch) = history.rows.next().await {
        let batch = batch.map_err(|source| LiveError::History {
            table: history.table.clone(),
            source,
        })?;
        live.apply(&batch)?;
        sources.note(&history.table, &batch)?;
        highest = highest.max(highest_time(&batch));
        let needed_bytes = live.bytes();
        if needed_bytes > limit_bytes {
            return Err(LiveError::MemoryLimit {
                needed_bytes,
                limit_bytes,
            });
        }
    }
    live.publish()?;
    tracing::info!(table = %history.table, rows = live.rows(), bytes = live.bytes(), "table restored");
    Ok(Folded {
        live,
        sources,
        highest,
        positions: history.positions,
    })
}

/// The highest recorded time, no later than when it was read plus what clocks may differ.
fn highest_time(batch: &arrow::record_batch::RecordBatch) -> Option<i64> {
    const MAX_AHEAD_US: i64 = 300 * 1_000_000;
    let recorded_at: TimestampMicrosecondArray = downcast(batch.column_by_name(system::RECORDED_AT)?);
    let ingested_at: TimestampMicrosecondArray = downcast(batch.column_by_name(system::INGESTED_AT)?);
    let times = recorded_at.values().iter().zip(ingested_at.values()).enumerate();
    times
        .map(|(row, (recorded, ingested))| {
            if recorded_at.is_null(row) {
                *ingested
            } else {
                (*recorded).min(ingested.saturating_add(MAX_AHEAD_US))
            }
        })
        .max()
}

impl LiveSet {
    /// Fills one table from a snapshot of the lake. Read on from [`Snapshot::positions`].
    pub async fn bootstrap(&mut self, table: &TableName, snapshot: &Snapshot) -> Result<(), LiveError> {
        let history = self.history_of(table, snapshot).await?;
        self.restore(vec![history]).await.map(|_| ())
    }

    /// Fills every table that the lake holds, and says from where to read on.
    pub async fn bootstrap_all(&mut self, lake: &Arc<Lake>) -> Result<BTreeMap<PartitionId, Offset>, LiveError> {
        let tables: Vec<Arc<Table>> = self.tables.values().map(|slot| slot.live.table().clone()).collect();
        let mut histories = Vec::with_capacity(tables.len());
        for table in tables {
            if let Some(snapshot) = lake.snapshot(table.clone()).await? {
                histories.push(self.history_of(&table.name, &snapshot).await?);
            }
        }
        self.restore(histories).await
    }

    async fn history_of(&self, table: &TableName, snapshot: &Snapshot) -> Result<History, LiveError> {
        let slot = self.tables.get(table);
        let slot = slot.ok_or_else(|| LiveError::UnknownTable { table: table.clone() })?;
        let names = history_columns(slot.live.table());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows = snapshot.scan(Some(&names), &[]).await?;
        Ok(History {
            table: table.clone(),
            rows,
            positions: snapshot.positions().clone(),
        })
    }
}
