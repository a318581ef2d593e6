//! What each change does to the table (RULES 9, 10, 12).

use arrow::array::Array;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::blocks::Incoming;
use super::changes::{Change, Changes};
use super::{Applied, LiveTable, Place, fold_error, row_number};
use crate::error::LiveError;
use crate::key::Keys;
use crate::snapshots::{Marker, Scope};

impl LiveTable {
    pub(super) fn apply_part(&mut self, batch: &RecordBatch) -> Result<Applied, LiveError> {
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
}
