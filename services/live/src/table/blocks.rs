//! The rows of a table: dense blocks, of which one is rewritten when a row of it died, and small ones are merged.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::changes::Change;
use super::{LiveTable, Place, row_number};
use crate::present::batch_bytes;

/// Rows of a full block: small enough that rewriting it for one change is cheap, large enough to scan well.
pub(super) const BLOCK_ROWS: usize = 8_192;
/// Blocks of one size class that are merged into one.
const MERGE_FAN_IN: usize = 8;
/// Dead rows after which blocks are compacted even if nobody publishes.
pub(super) const UNSETTLED_ROWS: usize = 16 * BLOCK_ROWS;

pub(crate) struct Block {
    pub(crate) batch: RecordBatch,
    /// The entry of each row.
    pub(crate) owners: Vec<u32>,
    alive: Vec<bool>,
    dead: usize,
    pub(super) bytes: usize,
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

    pub(super) fn live_rows(&self) -> usize {
        self.owners.len() - self.dead
    }
}

/// The block a batch is becoming: its rows until the batch is done.
pub(super) struct Incoming {
    pub(super) block: u32,
    pub(super) batch: RecordBatch,
    pub(super) owners: Vec<u32>,
    pub(super) alive: Vec<bool>,
}

impl LiveTable {
    /// The number the next block will have.
    pub(crate) fn next_block_id(&self) -> u32 {
        self.next_block
    }

    pub(super) fn new_block_id(&mut self) -> u32 {
        let id = self.next_block;
        self.next_block = self
            .next_block
            .checked_add(1)
            .expect("fewer than 2^32 blocks are written between restarts");
        id
    }

    pub(super) fn append(&mut self, incoming: Incoming) -> Result<(), ArrowError> {
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

    /// Places a row that is not a row of the incoming batch in a block of its own; blocks that small are merged soon.
    pub(super) fn place_single_row(
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

    pub(super) fn replace_row(
        &mut self,
        entry: u32,
        values: Vec<ArrayRef>,
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let batch = compact_row(&self.schema, &values)?;
        let block = self.new_block_id();
        self.kill(self.entries[entry as usize].place, incoming);
        self.entries[entry as usize].place = Place::Row { block, row: 0 };
        self.blocks.insert(block, Block::new(batch, vec![entry]));
        self.appended_rows += 1;
        self.changed = true;
        Ok(())
    }

    pub(super) fn row_at(&self, place: Place, incoming: &Incoming) -> Option<(RecordBatch, usize)> {
        let Place::Row { block, row } = place else { return None };
        if block == incoming.block {
            return Some((incoming.batch.clone(), row as usize));
        }
        let block = self.blocks.get(&block).expect("an entry points at a block that stands");
        Some((block.batch.clone(), row as usize))
    }

    pub(super) fn kill(&mut self, place: Place, incoming: &mut Incoming) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::record_batch::RecordBatch;

    use crate::fixtures::{Row, batch, shown, table};
    use crate::table::LiveTable;
    use crate::table::fold_tests::up;

    #[test]
    fn publishing_without_a_change_gives_the_same_present() {
        let mut live = LiveTable::new(table()).unwrap();
        live.apply(&batch(&[up("x", 2, "a")])).unwrap();
        let before = live.publish().unwrap();
        live.apply(&batch(&[up("x", 1, "stale"), up("x", 2, "a")])).unwrap();
        assert!(Arc::ptr_eq(&before, &live.publish().unwrap()));
        live.apply(&batch(&[up("x", 3, "b")])).unwrap();
        assert_eq!(live.publish().unwrap().generation, before.generation + 1);
    }

    #[test]
    fn blocks_without_a_change_are_shared_between_presents() {
        let mut live = LiveTable::new(table()).unwrap();
        let rows: Vec<Row> = (0..20_000)
            .map(|number| up(&format!("k{number}"), number, "a"))
            .collect();
        live.apply(&batch(&rows)).unwrap();
        let before = live.publish().unwrap();
        live.apply(&batch(&[up("k0", 30_000, "b")])).unwrap();
        let after = live.publish().unwrap();
        let shared = |one: &RecordBatch| {
            before
                .batches
                .iter()
                .any(|other| Arc::ptr_eq(one.column(0), other.column(0)))
        };
        assert_eq!(
            after.batches.iter().filter(|batch| shared(batch)).count(),
            before.batches.len() - 1
        );
        assert_eq!(after.rows, 20_000);
    }

    #[test]
    fn many_small_changes_leave_few_blocks_and_the_newest_values() {
        let mut live = LiveTable::new(table()).unwrap();
        for round in 0..400 {
            live.apply(&batch(&[up(&format!("k{}", round % 50), round, &format!("v{round}"))]))
                .unwrap();
            live.publish().unwrap();
        }
        let present = live.publish().unwrap();
        assert_eq!(present.rows, 50);
        assert!(present.batches.len() < 20, "{} blocks", present.batches.len());
        assert!(shown(&present.batches).contains(&"k49=v399".to_owned()));
    }
}
