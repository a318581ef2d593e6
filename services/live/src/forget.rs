//! An erased subject leaves the live tables, what waits for the cut, and the tail (RULES 30), and does not come back:
//! what is read later is filtered by the same list.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use casewatch_contract::{Table, TableName};
use casewatch_lake::Erased;

use crate::error::LiveError;
use crate::set::LiveSet;
use crate::table::{Block, Entry, LiveTable, Place, fold_error};

impl LiveSet {
    /// Who has been forgotten so far.
    pub fn erased(&self) -> &Arc<Erased> {
        &self.erased
    }

    /// Removes everything of those on the list, and from now on lets nothing of them in. Readers see it with the next
    /// cut. Returns how many rows went.
    pub fn forget(&mut self, erased: Arc<Erased>) -> Result<u64, LiveError> {
        let mut gone = 0;
        let mut tables: BTreeMap<TableName, Arc<Table>> = BTreeMap::new();
        for (name, slot) in &mut self.tables {
            gone += slot.live.forget(&erased)?;
            let table = slot.live.table().clone();
            for staged in &mut slot.staged {
                let (keep, rows) = erased.judge_but_marks(&table, &staged.rows)?;
                let mut kept = keep.iter();
                staged.times.retain(|_| kept.next().copied().unwrap_or(true));
                let keep = BooleanArray::from(keep);
                staged.rows = filter_record_batch(&rows, &keep).map_err(|source| fold_error(&table, source))?;
            }
            tables.insert(name.clone(), table);
        }
        self.tail().replace_rows(|name, rows| match tables.get(name) {
            Some(table) => Ok(erased.filter(table, rows)?),
            None => Ok(rows.clone()),
        })?;
        self.erased = erased;
        Ok(gone)
    }
}

impl LiveTable {
    /// Every table counts as changed, so that nothing computed from one of before stands.
    fn forget(&mut self, erased: &Erased) -> Result<u64, LiveError> {
        let table = self.table.clone();
        let failed = |source: ArrowError| fold_error(&table, source);
        self.settle().map_err(failed)?;
        self.changed = true;
        let mut gone = 0;
        let ids: Vec<u32> = self.blocks.keys().copied().collect();
        for id in ids {
            let block = &self.blocks[&id];
            let (keep, rows) = erased.judge(&table, &block.batch)?;
            if rows == block.batch && keep.iter().all(|keep| *keep) {
                continue;
            }
            let Some(block) = self.blocks.remove(&id) else { continue };
            let (mut owners, mut leaving) = (Vec::new(), Vec::new());
            for (owner, keep) in block.owners.iter().zip(&keep) {
                if *keep { &mut owners } else { &mut leaving }.push(*owner);
            }
            gone += leaving.len() as u64;
            leaving.into_iter().for_each(|entry| self.vacate(entry));
            if !owners.is_empty() {
                let kept = filter_record_batch(&rows, &BooleanArray::from(keep)).map_err(failed)?;
                self.point_at(id, &owners);
                self.blocks.insert(id, Block::new(kept, owners));
            }
        }
        self.forget_deletions(erased)?;
        Ok(gone)
    }

    /// A remembered delete is a key, which may be the subject's.
    fn forget_deletions(&mut self, erased: &Erased) -> Result<(), LiveError> {
        let table = self.table.clone();
        let failed = |source: ArrowError| fold_error(&table, source);
        let deleted = |entry: &Entry| entry.place == Place::Deleted;
        let numbers = self.entries.iter().enumerate().filter(|(_, entry)| deleted(entry));
        let numbers: Vec<u32> = numbers.map(|(number, _)| crate::table::row_number(number)).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let keys = numbers.iter().map(|number| &*self.entries[*number as usize].key);
        let columns = self.encoder.decode(keys).map_err(failed)?;
        let fields = columns.iter().map(|(column, _)| self.schema.field(*column).clone());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, values)| values).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options).map_err(failed)?;
        let (keep, _) = erased.judge(&table, &rows)?;
        for (number, keep) in numbers.into_iter().zip(keep) {
            if !keep {
                self.vacate(number);
            }
        }
        let entries = &self.entries;
        self.tombstones
            .retain(|(_, number)| entries[*number as usize].place != Place::Vacant);
        Ok(())
    }
}
