//! What has been read but may not be in the lake yet, kept for `history.<table>` (RULES 16).
//!
//! A reader of history pins one snapshot of the lake and adds the tail rows at or above that snapshot's positions. So
//! a tail row may only go once no reader can hold a snapshot that lacks it: while a reader is between loading its
//! snapshot and taking its tail rows it holds a [`TailHold`], and trimming waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, Int64Array};
use arrow::record_batch::RecordBatch;
use casewatch_contract::{Offset, OffsetRange, PartitionId, TableName, system};

use crate::error::LiveError;
use crate::present::batch_bytes;

pub struct Tail {
    limit_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tables: BTreeMap<TableName, BTreeMap<PartitionId, PartitionTail>>,
    bytes: usize,
    holds: usize,
    /// Trims that wait for readers to take their rows.
    waiting: BTreeMap<TableName, BTreeMap<PartitionId, Offset>>,
}

#[derive(Default)]
struct PartitionTail {
    chunks: VecDeque<TailChunk>,
    /// Rows below this were dropped for lack of memory and may not be in the lake.
    dropped_below: Option<Offset>,
}

struct TailChunk {
    range: OffsetRange,
    rows: RecordBatch,
    bytes: usize,
}

/// Rows at or above given positions, in the schema of the lake.
#[derive(Debug, Clone, Default)]
pub struct TailRows {
    pub batches: Vec<RecordBatch>,
}

/// Keeps the tail from being trimmed while it lives.
pub struct TailHold {
    tail: Arc<Tail>,
}

impl Tail {
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            inner: Mutex::default(),
        })
    }

    /// Keeps a chunk. Over the limit the oldest rows of the same table go, and its history says so when asked.
    pub fn push(&self, table: &TableName, partition: &PartitionId, range: OffsetRange, rows: RecordBatch) {
        let mut inner = self.lock();
        let bytes = batch_bytes(&rows);
        inner.bytes += bytes;
        let tails = inner.tables.entry(table.clone()).or_default();
        tails
            .entry(partition.clone())
            .or_default()
            .chunks
            .push_back(TailChunk { range, rows, bytes });
        while inner.bytes > self.limit_bytes && inner.drop_oldest(table) {}
    }

    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Take this before loading a snapshot of the lake, and drop it after [`Tail::rows`].
    pub fn hold(self: &Arc<Self>) -> TailHold {
        self.lock().holds += 1;
        TailHold { tail: self.clone() }
    }

    /// Rows at or above the positions of a snapshot loaded under a [`TailHold`].
    pub fn rows(&self, table: &TableName, positions: &BTreeMap<PartitionId, Offset>) -> Result<TailRows, LiveError> {
        let inner = self.lock();
        let mut batches = Vec::new();
        for (partition, tail) in inner.tables.get(table).into_iter().flatten() {
            let from = positions.get(partition).copied().unwrap_or(Offset(0));
            if tail.dropped_below.is_some_and(|dropped| dropped.0 > from.0) {
                return Err(LiveError::TailDropped {
                    table: table.clone(),
                    limit_bytes: self.limit_bytes,
                });
            }
            for chunk in tail.chunks.iter().filter(|chunk| chunk.range.to.0 > from.0) {
                batches.extend(rows_from(&chunk.rows, from));
            }
        }
        Ok(TailRows { batches })
    }

    /// Drops what a committed snapshot of the lake holds: rows below its positions.
    pub fn trim(&self, table: &TableName, positions: &BTreeMap<PartitionId, Offset>) {
        let mut inner = self.lock();
        let waiting = inner.waiting.entry(table.clone()).or_default();
        for (partition, offset) in positions {
            let known = waiting.entry(partition.clone()).or_insert(*offset);
            known.0 = known.0.max(offset.0);
        }
        if inner.holds == 0 {
            inner.trim_waiting();
        }
    }

    /// Puts other rows in the place of those kept: what is left of them after an erasure.
    pub(crate) fn replace_rows(
        &self,
        replace: impl Fn(&TableName, &RecordBatch) -> Result<RecordBatch, LiveError>,
    ) -> Result<(), LiveError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for (table, tails) in &mut inner.tables {
            for chunk in tails.values_mut().flat_map(|tail| &mut tail.chunks) {
                let rows = replace(table, &chunk.rows)?;
                let bytes = batch_bytes(&rows);
                inner.bytes = inner.bytes + bytes - chunk.bytes;
                (chunk.rows, chunk.bytes) = (rows, bytes);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TailHold {
    fn drop(&mut self) {
        let mut inner = self.tail.lock();
        inner.holds -= 1;
        if inner.holds == 0 {
            inner.trim_waiting();
        }
    }
}

impl Inner {
    fn trim_waiting(&mut self) {
        for (table, positions) in std::mem::take(&mut self.waiting) {
            let Some(tails) = self.tables.get_mut(&table) else {
                continue;
            };
            for (partition, position) in positions {
                let Some(tail) = tails.get_mut(&partition) else {
                    continue;
                };
                while let Some(chunk) = tail.chunks.front()
                    && chunk.range.to.0 <= position.0
                {
                    self.bytes -= chunk.bytes;
                    tail.chunks.pop_front();
                }
                if tail.dropped_below.is_some_and(|dropped| dropped.0 <= position.0) {
                    tail.dropped_below = None;
                }
            }
        }
    }

    fn drop_oldest(&mut self, table: &TableName) -> bool {
        let Some(tails) = self.tables.get_mut(table) else {
            return false;
        };
        let longest = tails.values_mut().max_by_key(|tail| tail.chunks.len());
        let Some((tail, chunk)) = longest.and_then(|tail| tail.chunks.pop_front().map(|chunk| (tail, chunk))) else {
            return false;
        };
        tail.dropped_below = Some(chunk.range.to);
        self.bytes -= chunk.bytes;
        true
    }
}

/// A chunk's rows at or above an offset; they stand in offset order.
fn rows_from(rows: &RecordBatch, from: Offset) -> Option<RecordBatch> {
    let offsets = rows
        .column_by_name(system::OFFSET)?
        .as_any()
        .downcast_ref::<Int64Array>()?
        .clone();
    let first = offsets.values().partition_point(|offset| *offset < from.0);
    (first < offsets.len()).then(|| rows.slice(first, offsets.len() - first))
}
