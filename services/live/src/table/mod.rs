//! One keyed table in memory: the fold of RULES 9 to 12.
//!
//! Rows stand in dense blocks of Arrow batches. An index maps the bytes of a key to its entry: the highest `_seq` seen
//! for the key, and the block and row where it stands, or that it is deleted. A newer row goes into a new block and
//! leaves a dead row behind; `publish` drops the dead rows of the blocks that have any and merges small blocks, so a
//! block without a change is shared with the moment before, and a row is copied a bounded number of times.
//!
//! In reading order: `changes` reads a batch, `fold` decides what each row does, `carried` is for rows that leave values
//! out; `entries` holds the keys, `blocks` the rows.
//!
//! Invariants: a block's rows and their entries point at each other; after `settle` no block has a dead row; a key has
//! one entry.

mod blocks;
mod carried;
mod changes;
mod entries;
mod fold;
mod schema;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, Table};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::LiveError;
use crate::key::KeyEncoder;
use crate::present::{KnownFrom, Present};
use crate::snapshots::{FirstSnapshot, Floors, SnapshotEnds};

pub(crate) use blocks::Block;
pub(crate) use carried::Carried;
pub(crate) use entries::{Entry, Place};
pub(crate) use schema::microseconds_utc;
pub use schema::present_schema;

use blocks::{BLOCK_ROWS, UNSETTLED_ROWS};
use schema::key_columns;

/// What one batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    pub upserts: u64,
    pub deletes: u64,
    /// Rows older than what stands, or seen before.
    pub stale: u64,
}

pub struct LiveTable {
    pub(crate) table: Arc<Table>,
    pub(crate) schema: SchemaRef,
    pub(crate) encoder: KeyEncoder,
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    pub(crate) entries: Vec<Entry>,
    vacant: Vec<u32>,
    pub(crate) blocks: BTreeMap<u32, Block>,
    next_block: u32,
    dead_rows: usize,
    appended_rows: usize,
    /// Where a column of a row was carried forward from (RULES 11): kept so that a version read late still counts.
    pub(crate) carried: HashMap<u32, Vec<Carried>>,
    pub(crate) floors: Floors,
    pub(crate) sources: Vec<String>,
    pub(crate) tombstones: VecDeque<(i64, u32)>,
    pub(crate) newest_ingested_at: i64,
    pub(crate) earliest_recorded_at: Option<i64>,
    pub(crate) ever_had_a_row: bool,
    heap_bytes: usize,
    generation: u64,
    pub(crate) changed: bool,
    published: Arc<Present>,
}

impl LiveTable {
    pub fn new(table: Arc<Table>) -> Result<Self, LiveError> {
        let schema = present_schema(&table);
        let key: Vec<usize> = key_columns(&table, &schema);
        let encoder = KeyEncoder::new(&schema, &key).map_err(|source| fold_error(&table, source))?;
        Ok(Self {
            published: Arc::new(Present::new(schema.clone(), Vec::new(), 0)),
            table,
            schema,
            encoder,
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            vacant: Vec::new(),
            blocks: BTreeMap::new(),
            next_block: 0,
            dead_rows: 0,
            appended_rows: 0,
            carried: HashMap::new(),
            floors: Floors::default(),
            sources: Vec::new(),
            tombstones: VecDeque::new(),
            newest_ingested_at: i64::MIN,
            earliest_recorded_at: None,
            ever_had_a_row: false,
            heap_bytes: 0,
            generation: 0,
            changed: false,
        })
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn rows(&self) -> usize {
        self.blocks.values().map(Block::live_rows).sum()
    }

    /// Bytes of rows, keys and index. Blocks that only readers still hold are theirs.
    pub fn bytes(&self) -> usize {
        let rows: usize = self
            .blocks
            .values()
            .map(|block| block.bytes + block.owners.capacity() * 5)
            .sum();
        let entries = self.entries.capacity() * size_of::<Entry>() + self.index.capacity() * 5;
        rows + entries + self.heap_bytes
    }

    pub fn ever_had_a_row(&self) -> bool {
        self.ever_had_a_row
    }

    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Since when the table's content is known, as far as the table itself tells; `None` when it never had a row.
    pub fn known_from(&self) -> Option<KnownFrom> {
        self.known_from_beside(&SnapshotEnds::default())
    }

    /// Since when the table's content is known, where its sources' other tables tell when snapshots ended.
    pub(crate) fn known_from_beside(&self, ends: &SnapshotEnds) -> Option<KnownFrom> {
        match self.floors.first_complete(&self.sources, ends) {
            FirstSnapshot::EndedAt(at) => Some(KnownFrom::At(RecordedAt(at))),
            FirstSnapshot::NoSnapshots => self.earliest_recorded_at.map(|at| KnownFrom::At(RecordedAt(at))),
            FirstSnapshot::Unfinished => Some(KnownFrom::SnapshotUnfinished),
        }
    }

    /// Folds a batch of changes of `table.lake_schema()`, or at least of the columns of [`crate::history_columns`].
    pub fn apply(&mut self, batch: &RecordBatch) -> Result<Applied, LiveError> {
        let mut applied = Applied::default();
        for start in (0..batch.num_rows()).step_by(BLOCK_ROWS) {
            let part = batch.slice(start, BLOCK_ROWS.min(batch.num_rows() - start));
            let part_applied = self.apply_part(&part)?;
            applied.upserts += part_applied.upserts;
            applied.deletes += part_applied.deletes;
            applied.stale += part_applied.stale;
        }
        if self.dead_rows + self.appended_rows > UNSETTLED_ROWS.max(self.entries.len() / 2) {
            self.settle().map_err(|source| fold_error(&self.table, source))?;
        }
        Ok(applied)
    }

    /// The rows as they stand, for readers. The same one as before when nothing changed.
    pub fn publish(&mut self) -> Result<Arc<Present>, LiveError> {
        self.forget_old_tombstones();
        if !self.changed {
            return Ok(self.published.clone());
        }
        self.settle().map_err(|source| fold_error(&self.table, source))?;
        self.generation += 1;
        let batches = self.blocks.values().map(|block| block.batch.clone()).collect();
        let bytes = self.blocks.values().map(|block| block.bytes).sum();
        let present = Present::of_bytes(self.schema.clone(), batches, bytes, self.generation);
        self.published = Arc::new(present);
        self.changed = false;
        Ok(self.published.clone())
    }
}

pub(crate) fn fold_error(table: &Table, source: ArrowError) -> LiveError {
    LiveError::Fold {
        table: table.name.clone(),
        source,
    }
}

pub(crate) fn downcast<A: Array + Clone + 'static>(array: &ArrayRef) -> A {
    array
        .as_any()
        .downcast_ref::<A>()
        .expect("the array was cast to this type")
        .clone()
}

pub(crate) fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a table in memory has fewer than 2^32 keys, a batch fewer rows")
}

#[cfg(test)]
pub(crate) mod fold_tests;
