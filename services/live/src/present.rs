//! What readers hold: one table at one moment, and all tables at one cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, TableName};

use crate::zones::{Zone, Zones};

/// A table's rows at one moment: its columns and `_recorded_at`. Immutable; blocks without a change are shared with
/// the moment before.
#[derive(Debug, Clone)]
pub struct Present {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    pub rows: usize,
    pub bytes: usize,
    /// Grows with every change of this table; equal generations hold equal rows.
    pub generation: u64,
    zones: Arc<Zones>,
}

impl Present {
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>, generation: u64) -> Self {
        let bytes = batches.iter().map(batch_bytes).sum();
        Self::of_bytes(schema, batches, bytes, generation)
    }

    /// As [`Present::new`], of blocks whose size is known.
    pub(crate) fn of_bytes(schema: SchemaRef, batches: Vec<RecordBatch>, bytes: usize, generation: u64) -> Self {
        Self {
            rows: batches.iter().map(RecordBatch::num_rows).sum(),
            zones: Arc::new(Zones::of(schema.fields().len())),
            schema,
            batches,
            bytes,
            generation,
        }
    }

    /// The same rows under another generation.
    pub fn with_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The bounds of a column in each block, for columns of dates and moments.
    pub fn zone(&self, column: usize) -> Option<&Zone> {
        self.zones.get(column, &self.batches)
    }
}

/// All tables at one watermark of recorded time.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Rows recorded up to here are in; none recorded later are.
    pub at: RecordedAt,
    pub generation: u64,
    pub tables: BTreeMap<TableName, Arc<Present>>,
    /// Every partition has passed the log end seen at start. Until then no number of the domain may be shown.
    pub caught_up: bool,
    /// Tables that ever had a row; a metric over another is absent, never zero.
    pub supplied: BTreeSet<TableName>,
    /// Since when each table is known; of one without a row nothing is told.
    pub known_from: BTreeMap<TableName, KnownFrom>,
    pub source_freshness: BTreeMap<String, SourceFreshness>,
    /// Which sources feed a table.
    pub sources: BTreeMap<TableName, BTreeSet<String>>,
    /// Why the live tables stopped, when they did: then no number of the domain may be shown.
    pub stopped: Option<String>,
}

/// Since when a table's content is known (RULES 20). What it was before is unknown, never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownFrom {
    /// Since its first snapshot ended; without snapshots, since its first row.
    At(RecordedAt),
    /// Not yet: rows of a snapshot were read, and none of its snapshots has ended.
    SnapshotUnfinished,
}

/// When a source was last heard of, by its rows or its heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceFreshness {
    /// When casewatch read it.
    pub heard_at: RecordedAt,
    /// The highest recorded time it carried.
    pub recorded_at: RecordedAt,
}

impl Cut {
    /// Before anything has been read.
    pub fn empty() -> Self {
        Self {
            at: RecordedAt(0),
            generation: 0,
            tables: BTreeMap::new(),
            caught_up: false,
            supplied: BTreeSet::new(),
            known_from: BTreeMap::new(),
            source_freshness: BTreeMap::new(),
            sources: BTreeMap::new(),
            stopped: None,
        }
    }

    /// A cut over given tables, caught up and all supplied: for tests of queries and for tables folded from history.
    pub fn of(at: RecordedAt, tables: BTreeMap<TableName, Arc<Present>>) -> Self {
        Self {
            at,
            generation: 1,
            supplied: tables.keys().cloned().collect(),
            tables,
            caught_up: true,
            ..Self::empty()
        }
    }
}

pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
        .sum()
}
