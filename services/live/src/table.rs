//! One keyed table in memory: the fold of RULES 9 to 12.
//!
//! Rows stand in dense blocks of Arrow batches. An index maps the bytes of a key to its entry: the highest `_seq` seen
//! for the key, and the block and row where it stands, or that it is deleted. A newer row goes into a new block and
//! leaves a dead row behind; `publish` drops the dead rows of the blocks that have any and merges small blocks, so a
//! block without a change is shared with the moment before, and a row is copied a bounded number of times.
//!
//! Invariants: a block's rows and their entries point at each other; after `settle` no block has a dead row; a key has
//! one entry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, StringArray, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, Table, system};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use crate::error::LiveError;
use crate::key::{KeyEncoder, Keys};
use crate::present::{KnownFrom, Present, batch_bytes};
use crate::snapshots::{FirstSnapshot, Floors, Marker, Scope, SnapshotEnds};

/// Rows of a full block: small enough that rewriting it for one change is cheap, large enough to scan well.
const BLOCK_ROWS: usize = 8_192;
/// Blocks of one size class that are merged into one.
const MERGE_FAN_IN: usize = 8;
/// Dead rows after which blocks are compacted even if nobody publishes.
const UNSETTLED_ROWS: usize = 16 * BLOCK_ROWS;

/// Deletes are remembered this long, so that a redelivered older row does not revive its key (RULES 9).
pub(crate) const REDELIVERY_HORIZON_US: i64 = 7 * 24 * 3_600 * 1_000_000;

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

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Box<[u8]>,
    pub(crate) seq: Box<[u8]>,
    pub(crate) source: u32,
    pub(crate) partition: i32,
    pub(crate) place: Place,
    pub(crate) ingested_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Row { block: u32, row: u32 },
    Deleted,
    Vacant,
}

pub(crate) struct Block {
    pub(crate) batch: RecordBatch,
    /// The entry of each row.
    pub(crate) owners: Vec<u32>,
    alive: Vec<bool>,
    dead: usize,
    bytes: usize,
}

/// A column whose value comes from an older version of the row; none: no older version has been seen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Carried {
    pub(crate) column: usize,
    pub(crate) from_seq: Option<Vec<u8>>,
}

impl Block {
    pub(crate) fn new(batch: RecordBatch, owners: Vec<u32>) -> Self {
        let alive = vec![true; owners.len()];
        let bytes = batch_bytes(&batch);
        Self {
            batch,
            owners,
            alive,
            dead: 0,
            bytes,
        }
    }

    fn live_rows(&self) -> usize {
        self.owners.len() - self.dead
    }
}

/// The columns of a change batch that the fold reads.
struct Changes {
    columns: Vec<ArrayRef>,
    op: StringArray,
    seq: BinaryArray,
    unset: StringArray,
    source: StringArray,
    snapshot: StringArray,
    partition: Int32Array,
    recorded_at: TimestampMicrosecondArray,
    ingested_at: TimestampMicrosecondArray,
}

/// A row of a change batch, as the fold sees it.
#[derive(Clone, Copy)]
struct Change<'a> {
    row: usize,
    key: &'a [u8],
    seq: &'a [u8],
    source: u32,
    partition: i32,
    ingested_at: i64,
    unset: Option<&'a str>,
}

/// The block a batch is becoming: its rows until the batch is done.
struct Incoming {
    block: u32,
    batch: RecordBatch,
    owners: Vec<u32>,
    alive: Vec<bool>,
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
        let rows = self.blocks.values().map(Block::live_rows).sum();
        self.published = Arc::new(Present {
            schema: self.schema.clone(),
            batches,
            rows,
            bytes,
            generation: self.generation,
        });
        self.changed = false;
        Ok(self.published.clone())
    }

    /// Where the row of a key stands, if it is not deleted.
    pub(crate) fn find(&self, key: &[u8]) -> Option<(u32, u32)> {
        match self.entries[self.entry_of(key)? as usize].place {
            Place::Row { block, row } => Some((block, row)),
            Place::Deleted | Place::Vacant => None,
        }
    }

    fn apply_part(&mut self, batch: &RecordBatch) -> Result<Applied, LiveError> {
        let changes = Changes::read(&self.table, &self.schema, batch)?;
        self.fold(&changes).map_err(|source| fold_error(&self.table, source))
    }

    fn fold(&mut self, changes: &Changes) -> Result<Applied, ArrowError> {
        let keys = self.encoder.encode(&changes.columns)?;
        let batch = RecordBatch::try_new(self.schema.clone(), changes.columns.clone())?;
        let rows = batch.num_rows();
        let mut incoming = Incoming {
            block: self.new_block_id(),
            batch,
            owners: vec![u32::MAX; rows],
            alive: vec![false; rows],
        };
        let mut applied = Applied::default();
        let mut last_source: Option<(&str, u32)> = None;
        for row in 0..rows {
            let source_name = if changes.source.is_null(row) {
                ""
            } else {
                changes.source.value(row)
            };
            let source = match last_source {
                Some((name, source)) if name == source_name => source,
                _ => self.source_id(source_name),
            };
            last_source = Some((source_name, source));
            self.fold_row(changes, &keys, row, source, &mut incoming, &mut applied)?;
        }
        self.append(incoming)?;
        Ok(applied)
    }

    fn fold_row(
        &mut self,
        changes: &Changes,
        keys: &Keys,
        row: usize,
        source: u32,
        incoming: &mut Incoming,
        applied: &mut Applied,
    ) -> Result<(), ArrowError> {
        let ingested_at = changes.ingested_at.value(row);
        let seq = changes.seq.value(row);
        let partition = if changes.partition.is_null(row) {
            0
        } else {
            changes.partition.value(row)
        };
        let recorded_at = if changes.recorded_at.is_null(row) {
            ingested_at
        } else {
            changes.recorded_at.value(row)
        };
        self.newest_ingested_at = self.newest_ingested_at.max(ingested_at);
        let op = changes.op.value(row);
        let scope = Scope::of(seq, source, partition);
        if op == "t" {
            applied.deletes += self.raise_floor(scope, seq, incoming)?;
            return Ok(());
        }
        self.ever_had_a_row = true;
        self.earliest_recorded_at = Some(self.earliest_recorded_at.unwrap_or(i64::MAX).min(recorded_at));
        if op == "r"
            && !changes.snapshot.is_null(row)
            && let Some(marker) = Marker::parse(changes.snapshot.value(row))
            && let Some(floor) = self.floors.mark(marker, scope, seq, recorded_at)
        {
            applied.deletes += self.raise_floor(scope, &floor, incoming)?;
        }
        let below_floor = !self.floors.is_empty() && self.floors.floor(scope).is_some_and(|floor| seq < floor);
        let Some(key) = keys.get(row).filter(|_| !below_floor) else {
            applied.stale += 1;
            return Ok(());
        };
        let unset = (!changes.unset.is_null(row))
            .then(|| changes.unset.value(row))
            .filter(|unset| !unset.is_empty());
        let change = Change {
            row,
            key,
            seq,
            source,
            partition,
            ingested_at,
            unset,
        };
        let is_delete = op == "d";
        let entry = self.entry_of(key);
        if let Some(entry) = entry
            && *self.entries[entry as usize].seq >= *seq
        {
            applied.stale += 1;
            return self.fill_carried(entry, change, is_delete, incoming);
        }
        if is_delete {
            applied.deletes += 1;
            self.delete(entry, change, incoming);
            return Ok(());
        }
        applied.upserts += 1;
        match unset {
            None => self.upsert(entry, change, incoming),
            Some(unset) => self.upsert_carrying(entry, change, unset, incoming)?,
        }
        Ok(())
    }

    fn delete(&mut self, entry: Option<u32>, change: Change<'_>, incoming: &mut Incoming) {
        let entry = self.move_entry(entry, change, Place::Deleted, incoming);
        self.carried.remove(&entry);
        self.tombstones.push_back((change.ingested_at, entry));
    }

    fn upsert(&mut self, entry: Option<u32>, change: Change<'_>, incoming: &mut Incoming) {
        let place = Place::Row {
            block: incoming.block,
            row: row_number(change.row),
        };
        let entry = self.move_entry(entry, change, place, incoming);
        incoming.owners[change.row] = entry;
        incoming.alive[change.row] = true;
        if !self.carried.is_empty() {
            self.carried.remove(&entry);
        }
    }

    /// An upsert that leaves columns out: they keep the values of the version before it (RULES 11).
    fn upsert_carrying(
        &mut self,
        entry: Option<u32>,
        change: Change<'_>,
        unset: &str,
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let columns = self.unset_columns(unset);
        let before = entry.map(|entry| &self.entries[entry as usize]);
        let standing = before.and_then(|before| self.row_at(before.place, incoming));
        let before_seq = before.map(|before| before.seq.to_vec());
        let older = entry
            .and_then(|entry| self.carried.get(&entry))
            .cloned()
            .unwrap_or_default();
        let mut carried = Vec::with_capacity(columns.len());
        let mut values = single_row(&incoming.batch, change.row)?;
        for column in columns {
            values[column] = match &standing {
                Some((batch, row)) => batch.column(column).slice(*row, 1),
                None => new_null_array(self.schema.field(column).data_type(), 1),
            };
            let from_seq = match older.iter().find(|older| older.column == column) {
                Some(older) => older.from_seq.clone(),
                None => before_seq.clone(),
            };
            carried.push(Carried { column, from_seq });
        }
        let entry = self.place_single_row(entry, change, values, incoming)?;
        self.carried.insert(entry, carried);
        Ok(())
    }

    /// A version older than the one that stands, read late: it may hold the value that a column was to carry forward.
    fn fill_carried(
        &mut self,
        entry: u32,
        change: Change<'_>,
        is_delete: bool,
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let standing = &self.entries[entry as usize];
        if self.carried.is_empty() || *standing.seq == *change.seq {
            return Ok(());
        }
        let Some(mut carried) = self.carried.get(&entry).cloned() else {
            return Ok(());
        };
        let Some((batch, row)) = self.row_at(standing.place, incoming) else {
            return Ok(());
        };
        let left_out = change.unset.map(|unset| self.unset_columns(unset)).unwrap_or_default();
        let mut values = single_row(&batch, row)?;
        let mut filled = false;
        for carried in carried.iter_mut().filter(|carried| !left_out.contains(&carried.column)) {
            if carried
                .from_seq
                .as_deref()
                .is_some_and(|from_seq| from_seq >= change.seq)
            {
                continue;
            }
            filled = true;
            carried.from_seq = Some(change.seq.to_vec());
            values[carried.column] = if is_delete {
                new_null_array(self.schema.field(carried.column).data_type(), 1)
            } else {
                incoming.batch.column(carried.column).slice(change.row, 1)
            };
        }
        if filled {
            self.replace_row(entry, values, incoming)?;
            self.carried.insert(entry, carried);
        }
        Ok(())
    }

    /// Removes what a scope holds below a floor: a truncation, or the keys a complete snapshot did not read again.
    fn raise_floor(&mut self, scope: Scope, floor: &[u8], incoming: &mut Incoming) -> Result<u64, ArrowError> {
        if !self.floors.raise(scope, floor) {
            return Ok(0);
        }
        let mut removed = 0;
        for entry in 0..row_number(self.entries.len()) {
            let standing = &self.entries[entry as usize];
            if standing.place == Place::Vacant || Scope::of(&standing.seq, standing.source, standing.partition) != scope
            {
                continue;
            }
            if *standing.seq < *floor {
                removed += u64::from(standing.place != Place::Deleted);
                self.remove_entry(entry, incoming);
            } else {
                self.drop_carried_below(entry, floor, incoming)?;
            }
        }
        Ok(removed)
    }

    fn drop_carried_below(&mut self, entry: u32, floor: &[u8], incoming: &mut Incoming) -> Result<(), ArrowError> {
        let Some(mut carried) = self.carried.get(&entry).cloned() else {
            return Ok(());
        };
        let Some((batch, row)) = self.row_at(self.entries[entry as usize].place, incoming) else {
            return Ok(());
        };
        let mut values = single_row(&batch, row)?;
        let mut dropped = false;
        for carried in &mut carried {
            if carried.from_seq.as_deref().is_some_and(|from_seq| from_seq < floor) {
                dropped = true;
                carried.from_seq = None;
                values[carried.column] = new_null_array(self.schema.field(carried.column).data_type(), 1);
            }
        }
        if dropped {
            self.replace_row(entry, values, incoming)?;
            self.carried.insert(entry, carried);
        }
        Ok(())
    }

    /// Places a row that is not a row of the incoming batch in a block of its own; blocks that small are merged soon.
    fn place_single_row(
        &mut self,
        entry: Option<u32>,
        change: Change<'_>,
        values: Vec<ArrayRef>,
        incoming: &mut Incoming,
    ) -> Result<u32, ArrowError> {
        let batch = compact_row(&self.schema, &values)?;
        let block = self.new_block_id();
        let entry = self.move_entry(entry, change, Place::Row { block, row: 0 }, incoming);
        self.blocks.insert(block, Block::new(batch, vec![entry]));
        self.appended_rows += 1;
        Ok(entry)
    }

    fn replace_row(&mut self, entry: u32, values: Vec<ArrayRef>, incoming: &mut Incoming) -> Result<(), ArrowError> {
        let batch = compact_row(&self.schema, &values)?;
        let block = self.new_block_id();
        self.kill(self.entries[entry as usize].place, incoming);
        self.entries[entry as usize].place = Place::Row { block, row: 0 };
        self.blocks.insert(block, Block::new(batch, vec![entry]));
        self.appended_rows += 1;
        self.changed = true;
        Ok(())
    }

    /// Points a key's entry, or a new one, at a new place.
    fn move_entry(&mut self, entry: Option<u32>, change: Change<'_>, place: Place, incoming: &mut Incoming) -> u32 {
        self.changed = true;
        let Some(entry) = entry else {
            return self.new_entry(change, place);
        };
        self.kill(self.entries[entry as usize].place, incoming);
        let standing = &mut self.entries[entry as usize];
        if standing.seq.len() == change.seq.len() {
            standing.seq.copy_from_slice(change.seq);
        } else {
            self.heap_bytes = self.heap_bytes + heap_size(change.seq) - heap_size(&standing.seq);
            standing.seq = change.seq.into();
        }
        standing.source = change.source;
        standing.partition = change.partition;
        standing.ingested_at = change.ingested_at;
        standing.place = place;
        entry
    }

    fn new_entry(&mut self, change: Change<'_>, place: Place) -> u32 {
        self.insert_entry(Entry {
            key: change.key.into(),
            seq: change.seq.into(),
            source: change.source,
            partition: change.partition,
            place,
            ingested_at: change.ingested_at,
        })
    }

    pub(crate) fn insert_entry(&mut self, entry: Entry) -> u32 {
        self.heap_bytes += heap_size(&entry.key) + heap_size(&entry.seq);
        let hash = self.hasher.hash_one(&*entry.key);
        let id = match self.vacant.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                row_number(self.entries.len() - 1)
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index
            .insert_unique(hash, id, |id| hasher.hash_one(&*entries[*id as usize].key));
        id
    }

    pub(crate) fn entry_of(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index
            .find(hash, |id| *self.entries[*id as usize].key == *key)
            .copied()
    }

    fn remove_entry(&mut self, entry: u32, incoming: &mut Incoming) {
        self.kill(self.entries[entry as usize].place, incoming);
        self.vacate(entry);
        self.changed = true;
    }

    pub(crate) fn vacate(&mut self, entry: u32) {
        let standing = &self.entries[entry as usize];
        let hash = self.hasher.hash_one(&*standing.key);
        if let Ok(occupied) = self.index.find_entry(hash, |id| *id == entry) {
            occupied.remove();
        }
        self.heap_bytes -= heap_size(&standing.key) + heap_size(&standing.seq);
        self.carried.remove(&entry);
        let standing = &mut self.entries[entry as usize];
        standing.key = Box::default();
        standing.seq = Box::default();
        standing.place = Place::Vacant;
        self.vacant.push(entry);
    }

    fn kill(&mut self, place: Place, incoming: &mut Incoming) {
        let Place::Row { block, row } = place else { return };
        if block == incoming.block {
            incoming.alive[row as usize] = false;
            return;
        }
        let block = self
            .blocks
            .get_mut(&block)
            .expect("an entry points at a block that stands");
        if std::mem::replace(&mut block.alive[row as usize], false) {
            block.dead += 1;
            self.dead_rows += 1;
        }
    }

    fn row_at(&self, place: Place, incoming: &Incoming) -> Option<(RecordBatch, usize)> {
        let Place::Row { block, row } = place else { return None };
        if block == incoming.block {
            return Some((incoming.batch.clone(), row as usize));
        }
        let block = self.blocks.get(&block).expect("an entry points at a block that stands");
        Some((block.batch.clone(), row as usize))
    }

    fn unset_columns(&self, unset: &str) -> Vec<usize> {
        unset
            .split(',')
            .filter_map(|name| self.schema.index_of(name.trim()).ok())
            .collect()
    }

    pub(crate) fn source_id(&mut self, name: &str) -> u32 {
        if let Some(known) = self.sources.iter().position(|source| source == name) {
            return row_number(known);
        }
        self.sources.push(name.to_owned());
        row_number(self.sources.len() - 1)
    }

    pub(crate) fn encode_keys(&self, rows: &RecordBatch) -> Result<Keys, ArrowError> {
        self.encoder.encode(rows.columns())
    }

    /// The number the next block will have.
    pub(crate) fn next_block_id(&self) -> u32 {
        self.next_block
    }

    fn new_block_id(&mut self) -> u32 {
        let id = self.next_block;
        self.next_block = self
            .next_block
            .checked_add(1)
            .expect("fewer than 2^32 blocks are written between restarts");
        id
    }

    fn append(&mut self, incoming: Incoming) -> Result<(), ArrowError> {
        let live = incoming.alive.iter().filter(|alive| **alive).count();
        if live == 0 {
            return Ok(());
        }
        self.appended_rows += live;
        let block = if live == incoming.owners.len() {
            Block::new(incoming.batch, incoming.owners)
        } else {
            self.retain(incoming.block, &incoming.batch, &incoming.owners, &incoming.alive)?
        };
        self.blocks.insert(incoming.block, block);
        Ok(())
    }

    pub(crate) fn append_block(&mut self, batch: RecordBatch, owners: Vec<u32>) -> u32 {
        let id = self.new_block_id();
        self.blocks.insert(id, Block::new(batch, owners));
        self.changed = true;
        id
    }

    pub(crate) fn remember_tombstone(&mut self, ingested_at: i64, entry: u32) {
        self.tombstones.push_back((ingested_at, entry));
    }

    /// The rows of a block that live, their entries pointing at their new rows.
    fn retain(&mut self, id: u32, batch: &RecordBatch, owners: &[u32], alive: &[bool]) -> Result<Block, ArrowError> {
        let kept = filter_record_batch(batch, &BooleanArray::from(alive.to_vec()))?;
        let owners: Vec<u32> = owners
            .iter()
            .zip(alive)
            .filter(|(_, alive)| **alive)
            .map(|(owner, _)| *owner)
            .collect();
        self.point_at(id, &owners);
        Ok(Block::new(kept, owners))
    }

    pub(crate) fn point_at(&mut self, block: u32, owners: &[u32]) {
        for (row, owner) in owners.iter().enumerate() {
            self.entries[*owner as usize].place = Place::Row {
                block,
                row: row_number(row),
            };
        }
    }

    /// Drops dead rows, then merges small blocks.
    pub(crate) fn settle(&mut self) -> Result<(), ArrowError> {
        let with_dead: Vec<u32> = self
            .blocks
            .iter()
            .filter(|(_, block)| block.dead > 0)
            .map(|(id, _)| *id)
            .collect();
        for id in with_dead {
            let Some(block) = self.blocks.remove(&id) else { continue };
            if block.live_rows() > 0 {
                let kept = self.retain(id, &block.batch, &block.owners, &block.alive)?;
                self.blocks.insert(id, kept);
            }
        }
        self.dead_rows = 0;
        self.appended_rows = 0;
        self.merge_small_blocks()
    }

    fn merge_small_blocks(&mut self) -> Result<(), ArrowError> {
        let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (id, block) in self
            .blocks
            .iter()
            .filter(|(_, block)| block.live_rows() <= BLOCK_ROWS / 2)
        {
            classes.entry(block.live_rows().ilog2() / 3).or_default().push(*id);
        }
        for small in classes.into_values().filter(|small| small.len() >= MERGE_FAN_IN) {
            let mut group = Vec::new();
            let mut group_rows = 0;
            for id in small {
                group_rows += self.blocks[&id].live_rows();
                group.push(id);
                if group_rows >= BLOCK_ROWS {
                    self.merge(&std::mem::take(&mut group))?;
                    group_rows = 0;
                }
            }
            if group.len() > 1 {
                self.merge(&group)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, group: &[u32]) -> Result<(), ArrowError> {
        let blocks: Vec<Block> = group.iter().filter_map(|id| self.blocks.remove(id)).collect();
        let batch = concat_batches(&self.schema, blocks.iter().map(|block| &block.batch))?;
        let owners: Vec<u32> = blocks.iter().flat_map(|block| block.owners.iter().copied()).collect();
        let id = self.new_block_id();
        self.point_at(id, &owners);
        self.blocks.insert(id, Block::new(batch, owners));
        Ok(())
    }

    fn forget_old_tombstones(&mut self) {
        let horizon = self.newest_ingested_at.saturating_sub(REDELIVERY_HORIZON_US);
        while let Some((ingested_at, entry)) = self.tombstones.front().copied()
            && ingested_at < horizon
        {
            self.tombstones.pop_front();
            let standing = &self.entries[entry as usize];
            if standing.place == Place::Deleted && standing.ingested_at == ingested_at {
                self.vacate(entry);
            }
        }
    }
}

impl Changes {
    fn read(table: &Table, schema: &SchemaRef, batch: &RecordBatch) -> Result<Self, LiveError> {
        let column = |name: &str, data_type: &DataType| -> Result<ArrayRef, LiveError> {
            let found = batch.column_by_name(name).ok_or_else(|| LiveError::MissingColumn {
                table: table.name.clone(),
                column: name.to_owned(),
            })?;
            if found.data_type() == data_type {
                return Ok(found.clone());
            }
            cast(found, data_type).map_err(|source| fold_error(table, source))
        };
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            columns.push(column(field.name(), field.data_type())?);
        }
        let text = |name: &str| column(name, &DataType::Utf8).map(|array| downcast::<StringArray>(&array));
        let time = |name: &str| column(name, &microseconds_utc()).map(|array| downcast(&array));
        Ok(Self {
            op: text(system::OP)?,
            seq: downcast(&column(system::SEQ, &DataType::Binary)?),
            unset: text(system::UNSET)?,
            source: text(system::SOURCE)?,
            snapshot: text(system::SNAPSHOT)?,
            partition: downcast(&column(system::PARTITION, &DataType::Int32)?),
            recorded_at: time(system::RECORDED_AT)?,
            ingested_at: time(system::INGESTED_AT)?,
            columns,
        })
    }
}

pub(crate) fn microseconds_utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A table's stored columns and `_recorded_at`. All may be null: a row may leave columns out.
pub fn present_schema(table: &Table) -> SchemaRef {
    let mut fields: Vec<Field> = table
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    fields.push(Field::new(system::RECORDED_AT, microseconds_utc(), true));
    Arc::new(Schema::new(fields))
}

/// Where the key's columns stand in the stored schema, which lacks dropped columns.
fn key_columns(table: &Table, schema: &SchemaRef) -> Vec<usize> {
    table
        .key
        .iter()
        .filter_map(|column| schema.index_of(&table.columns[*column].name).ok())
        .collect()
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

fn single_row(batch: &RecordBatch, row: usize) -> Result<Vec<ArrayRef>, ArrowError> {
    Ok(take_record_batch(batch, &UInt32Array::from(vec![row_number(row)]))?
        .columns()
        .to_vec())
}

/// One row in buffers of its own, so that it does not keep the batch it came from.
fn compact_row(schema: &SchemaRef, values: &[ArrayRef]) -> Result<RecordBatch, ArrowError> {
    let first = UInt32Array::from(vec![0]);
    let columns = values
        .iter()
        .map(|value| take(value, &first, None))
        .collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

pub(crate) fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a table in memory has fewer than 2^32 keys, a batch fewer rows")
}

/// Bytes an allocation of this length takes.
fn heap_size(bytes: &[u8]) -> usize {
    bytes.len().next_multiple_of(16)
}
