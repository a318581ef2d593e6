//! Filling tables from the lake: every table's history, or what of it an image lacks, streamed through the fold, two
//! tables at a time.
//!
//! Memory holds the present and what one batch adds, never the history: the fold drops what a newer row replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, TimestampMicrosecondArray};
use casewatch_contract::{Offset, PartitionId, RecordedAt, TableName, system};
use casewatch_lake::{Erased, Lake, Snapshot, is_file_gone};
use datafusion::common::Column;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, lit};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::LiveError;
use crate::set::{LiveSet, SourceBook};
use crate::table::{LiveTable, downcast};
use crate::travel::history_columns;

const TABLES_AT_A_TIME: usize = 2;
/// How often a table is read again because maintenance deleted a file beneath.
const SNAPSHOTS_AT_MOST: usize = 5;

struct Folded {
    live: LiveTable,
    sources: SourceBook,
    highest: Option<i64>,
    positions: BTreeMap<PartitionId, Offset>,
}

impl LiveSet {
    /// Fills every table with what the lake has and it lacks: all of it, or what came since an image. Says from where to
    /// read on. After an error tables are missing, and the set is of no use.
    pub async fn bootstrap_all(&mut self, lake: &Arc<Lake>) -> Result<BTreeMap<PartitionId, Offset>, LiveError> {
        let names: Vec<TableName> = self.tables.keys().cloned().collect();
        let mut jobs = Vec::with_capacity(names.len());
        for name in names {
            jobs.push(FromLake {
                lake: lake.clone(),
                live: self.take_table(&name)?,
                folded: self.folded.clone(),
                erased: self.erased.clone(),
                limit_bytes: self.memory_limit_bytes(),
            });
        }
        let folds = jobs.into_iter().map(|job| {
            let task = tokio::spawn(job.fold());
            async move { task.await.expect("folding a history does not panic") }
        });
        let given: Vec<Given> = stream::iter(folds)
            .buffer_unordered(TABLES_AT_A_TIME)
            .try_collect()
            .await?;
        let mut positions = BTreeMap::new();
        for Given { folded, replayed } in given {
            let name = folded.live.table().name.clone();
            // Rows replayed since an image was saved are below its positions: it does not have them.
            self.replayed.entry(name).or_insert(replayed);
            positions.extend(folded.positions.clone());
            self.put_back(folded);
        }
        self.stop_over_limit();
        Ok(positions)
    }

    fn take_table(&mut self, table: &TableName) -> Result<LiveTable, LiveError> {
        let slot = self.tables.get_mut(table);
        let slot = slot.ok_or_else(|| LiveError::UnknownTable { table: table.clone() })?;
        let empty = LiveTable::new(slot.live.table().clone())?;
        Ok(std::mem::replace(&mut slot.live, empty))
    }

    fn put_back(&mut self, folded: Folded) {
        self.sources.absorb(folded.sources);
        if let Some(highest) = folded.highest {
            self.tracker.stand_at(RecordedAt(highest));
        }
        for (id, position) in folded.positions {
            let known = self.folded.entry(id).or_insert(position);
            *known = position.max(*known);
        }
        self.replace_table(folded.live);
    }
}

impl Folded {
    fn new(live: LiveTable) -> Self {
        Self {
            live,
            sources: SourceBook::default(),
            highest: None,
            positions: BTreeMap::new(),
        }
    }

    /// Folds a stream of rows on top of what the table holds.
    async fn take(
        &mut self,
        mut rows: SendableRecordBatchStream,
        erased: &Erased,
        limit_bytes: usize,
    ) -> Result<(), LiveError> {
        let table = self.live.table().clone();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|source| LiveError::History {
                table: table.name.clone(),
                source,
            })?;
            let batch = erased.filter(&table, &batch)?;
            self.live.apply(&batch)?;
            self.sources.note(&table.name, &batch)?;
            self.highest = self.highest.max(highest_time(&batch));
            let needed_bytes = self.live.bytes();
            if needed_bytes > limit_bytes {
                return Err(LiveError::MemoryLimit {
                    needed_bytes,
                    limit_bytes,
                });
            }
        }
        Ok(())
    }
}

/// One table, from the lake: all of it, or what an image does not have.
struct FromLake {
    lake: Arc<Lake>,
    live: LiveTable,
    /// What the table has already.
    folded: BTreeMap<PartitionId, Offset>,
    erased: Arc<Erased>,
    limit_bytes: usize,
}

/// What the lake gave for one table.
struct Given {
    folded: Folded,
    replayed: u64,
}

impl FromLake {
    /// A file that maintenance deletes beneath the scan is no failure: the newest snapshot says the same without it, and
    /// rows that are folded twice change nothing (RULES 30).
    async fn fold(self) -> Result<Given, LiveError> {
        let table = self.live.table().clone();
        let mut folded = Folded::new(self.live);
        let mut tries = 0;
        let replayed = loop {
            let Some(snapshot) = self.lake.snapshot(table.clone()).await? else {
                break 0;
            };
            folded.positions = snapshot.positions().clone();
            let Some(missing) = missing(&snapshot, &self.folded) else {
                break snapshot.replayed();
            };
            let names = history_columns(&table);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let rows = snapshot.scan(Some(&names), &missing).await?;
            match folded.take(rows, &self.erased, self.limit_bytes).await {
                Ok(()) => break snapshot.replayed(),
                Err(LiveError::History { source, .. }) if is_file_gone(&source) && tries < SNAPSHOTS_AT_MOST => {
                    tries += 1;
                    tracing::info!(table = %table.name, "a file was deleted while it was read; reading the newest snapshot");
                }
                Err(error) => return Err(error),
            }
        };
        folded.live.publish()?;
        let live = &folded.live;
        tracing::info!(table = %table.name, rows = live.rows(), bytes = live.bytes(), "table restored");
        Ok(Given { folded, replayed })
    }
}

/// Filters for the rows that a table lacks of a snapshot, none for all of them; `None` when it lacks no row.
fn missing(snapshot: &Snapshot, folded: &BTreeMap<PartitionId, Offset>) -> Option<Vec<Expr>> {
    let position = |id: &PartitionId| folded.get(id).copied().unwrap_or(Offset(0));
    let lacking = snapshot.positions().iter().filter(|(id, end)| position(id) < **end);
    let lacking: Vec<&PartitionId> = lacking.map(|(id, _)| id).collect();
    if snapshot.positions().keys().all(|id| !folded.contains_key(id)) {
        return Some(Vec::new());
    }
    let of_partition = |id: &PartitionId| {
        let is = |column: &str, value: Expr| Expr::Column(Column::new_unqualified(column)).eq(value);
        let epoch = i32::try_from(id.epoch).unwrap_or(i32::MAX);
        is(system::CLUSTER, lit(id.cluster.as_ref()))
            .and(is(system::TOPIC, lit(id.topic.as_ref())))
            .and(is(system::EPOCH, lit(epoch)))
            .and(is(system::PARTITION, lit(id.partition)))
            .and(Expr::Column(Column::new_unqualified(system::OFFSET)).gt_eq(lit(position(id).0)))
    };
    let any = lacking.into_iter().map(of_partition).reduce(Expr::or);
    any.map(|any| vec![any])
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
