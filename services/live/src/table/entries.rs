//! The keys of a table: for each the highest `_seq` seen and where its row stands, or that it is deleted.

use std::hash::BuildHasher;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::blocks::Incoming;
use super::changes::Change;
use super::{LiveTable, row_number};
use crate::key::Keys;

/// Deletes are remembered this long, so that a redelivered older row does not revive its key (RULES 9).
pub(crate) const REDELIVERY_HORIZON_US: i64 = 7 * 24 * 3_600 * 1_000_000;

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

impl LiveTable {
    /// Where the row of a key stands, if it is not deleted.
    pub(crate) fn find(&self, key: &[u8]) -> Option<(u32, u32)> {
        match self.entries[self.entry_of(key)? as usize].place {
            Place::Row { block, row } => Some((block, row)),
            Place::Deleted | Place::Vacant => None,
        }
    }

    pub(crate) fn entry_of(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index
            .find(hash, |id| *self.entries[*id as usize].key == *key)
            .copied()
    }

    /// Points a key's entry, or a new one, at a new place.
    pub(super) fn move_entry(
        &mut self,
        entry: Option<u32>,
        change: Change<'_>,
        place: Place,
        incoming: &mut Incoming,
    ) -> u32 {
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

    pub(super) fn remove_entry(&mut self, entry: u32, incoming: &mut Incoming) {
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

    pub(crate) fn encode_keys(&self, rows: &RecordBatch) -> Result<Keys, ArrowError> {
        self.encoder.encode(rows.columns())
    }

    pub(crate) fn source_id(&mut self, name: &str) -> u32 {
        if let Some(known) = self.sources.iter().position(|source| source == name) {
            return row_number(known);
        }
        self.sources.push(name.to_owned());
        row_number(self.sources.len() - 1)
    }

    pub(crate) fn remember_tombstone(&mut self, ingested_at: i64, entry: u32) {
        self.tombstones.push_back((ingested_at, entry));
    }

    pub(super) fn forget_old_tombstones(&mut self) {
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

/// Bytes an allocation of this length takes.
fn heap_size(bytes: &[u8]) -> usize {
    bytes.len().next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::REDELIVERY_HORIZON_US;
    use crate::fixtures::{Row, batch, table};
    use crate::table::LiveTable;
    use crate::table::fold_tests::up;

    #[test]
    fn deletes_are_forgotten_after_the_redelivery_horizon() {
        let mut live = LiveTable::new(table()).unwrap();
        let later = Row {
            ingested_at: REDELIVERY_HORIZON_US + 3,
            ..up("y", 5, "a")
        };
        live.apply(&batch(&[up("x", 1, "a"), Row::new("d", "x", 2)])).unwrap();
        live.publish().unwrap();
        assert!(live.entry_of(b"x").is_some());
        live.apply(&batch(&[later])).unwrap();
        live.publish().unwrap();
        assert!(live.entry_of(b"x").is_none());
    }
}
