//! An image into empty tables. Every byte is checked against the manifest before any is believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use arrow::array::{BinaryArray, Int32Array, Int64Array, UInt32Array};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::record_batch::RecordBatch;
use casewatch_contract::RecordedAt;

use super::manifest::{Checksum, Manifest, TableManifest};
use super::write::{MANIFEST, deleted_file, entries_file, rows_file};
use super::{ImageError, file_error, rows_error};
use crate::present::SourceFreshness;
use crate::set::LiveSet;
use crate::table::{Entry, LiveTable, Place, downcast, row_number};

pub(crate) fn read_manifest(folder: &Path) -> Result<Manifest, ImageError> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(file_error(&path))?;
    let damaged = |detail: &str| ImageError::Damaged {
        path: path.clone(),
        detail: detail.to_owned(),
    };
    let (json, sum) = text
        .trim_end()
        .rsplit_once('\n')
        .ok_or_else(|| damaged("its manifest breaks off"))?;
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(json.as_bytes())) {
        return Err(damaged("the checksum of its manifest is another"));
    }
    serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))
}

/// Fills the tables of `set`, which must be empty. After an error they are as they were.
pub(crate) fn load(set: &mut LiveSet, manifest: Manifest, folder: &Path) -> Result<(), ImageError> {
    let mut restored = Vec::with_capacity(manifest.tables.len());
    for (name, saved) in manifest.tables {
        let Some(slot) = set.tables.get(&name) else { continue };
        let live = LiveTable::new(slot.live.table().clone())?;
        let replayed = saved.replayed;
        let live = load_table(live, saved, folder, &manifest.files)?;
        restored.push((name, live, replayed));
    }
    for (name, live, replayed) in restored {
        let sources = live.sources().iter().cloned().collect();
        set.sources.by_table.insert(name.clone(), sources);
        set.replayed.insert(name, replayed);
        set.replace_table(live);
    }
    set.tracker.stand_at(RecordedAt(manifest.cut));
    for (name, heard_at, recorded_at) in manifest.heard {
        let heard = SourceFreshness {
            heard_at: RecordedAt(heard_at),
            recorded_at: RecordedAt(recorded_at),
        };
        set.sources.heard.insert(name, heard);
    }
    set.folded = manifest.positions.into_iter().collect();
    Ok(())
}

fn load_table(
    mut live: LiveTable,
    saved: TableManifest,
    folder: &Path,
    sums: &BTreeMap<String, Checksum>,
) -> Result<LiveTable, ImageError> {
    live.sources = saved.sources;
    live.floors = saved.floors;
    live.newest_ingested_at = saved.newest_ingested_at;
    live.earliest_recorded_at = saved.earliest_recorded_at;
    live.ever_had_a_row = saved.ever_had_a_row;
    let name = live.table.name.clone();
    let rows = IpcFile::open(folder, rows_file(&name), sums)?;
    let entries = IpcFile::open(folder, entries_file(&name), sums)?;
    let deleted = IpcFile::open(folder, deleted_file(&name), sums)?;
    if rows.blocks() != entries.blocks() {
        return Err(rows.damaged("it has other blocks than its entries"));
    }
    for (block, of_block) in rows.reader.zip(entries.reader) {
        let block = block.map_err(rows_error(&rows.path))?;
        let of_block = of_block.map_err(rows_error(&entries.path))?;
        let block = block.with_schema(live.schema.clone()).map_err(rows_error(&rows.path))?;
        let system = EntryColumns::read(&of_block);
        live.restore_block(block, |row, key| system.entry(row, key))
            .map_err(rows_error(&rows.path))?;
    }
    let mut tombstones = Vec::new();
    for batch in deleted.reader {
        let batch = batch.map_err(rows_error(&deleted.path))?;
        let system = EntryColumns::read(&batch);
        let keys: BinaryArray = downcast(batch.column(batch.num_columns() - 1));
        for row in 0..batch.num_rows() {
            let entry = system.entry(row, keys.value(row));
            tombstones.push((entry.ingested_at, live.insert_entry(entry)));
        }
    }
    tombstones.sort_unstable();
    for (ingested_at, entry) in tombstones {
        live.remember_tombstone(ingested_at, entry);
    }
    for (key, carried) in saved.carried {
        if let Some(entry) = live.entry_of(&key) {
            live.carried.insert(entry, carried);
        }
    }
    Ok(live)
}

struct IpcFile {
    path: PathBuf,
    reader: FileReader<BufReader<File>>,
}

impl IpcFile {
    /// Opens a file after comparing its checksum, since a flipped bit in a row would be a wrong number for ever.
    fn open(folder: &Path, name: String, sums: &BTreeMap<String, Checksum>) -> Result<Self, ImageError> {
        let path = folder.join(&name);
        let damaged = |detail: &str| ImageError::Damaged {
            path: path.clone(),
            detail: detail.to_owned(),
        };
        let wanted = sums
            .get(&name)
            .ok_or_else(|| damaged("its manifest does not name it"))?;
        if checksum_of(&path)? != *wanted {
            return Err(damaged("its checksum is another"));
        }
        let file = File::open(&path).map_err(file_error(&path))?;
        let reader = FileReader::try_new(BufReader::new(file), None).map_err(rows_error(&path))?;
        Ok(Self { path, reader })
    }

    fn blocks(&self) -> usize {
        self.reader.num_batches()
    }

    fn damaged(&self, detail: &str) -> ImageError {
        ImageError::Damaged {
            path: self.path.clone(),
            detail: detail.to_owned(),
        }
    }
}

fn checksum_of(path: &Path) -> Result<Checksum, ImageError> {
    let mut file = File::open(path).map_err(file_error(path))?;
    let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(file_error(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    let crc32 = hasher.finalize();
    Ok(Checksum { bytes, crc32 })
}

/// What an entry holds beside its key and place.
struct EntryColumns {
    seq: BinaryArray,
    source: UInt32Array,
    partition: Int32Array,
    ingested_at: Int64Array,
}

impl EntryColumns {
    fn read(batch: &RecordBatch) -> Self {
        Self {
            seq: downcast(batch.column(0)),
            source: downcast(batch.column(1)),
            partition: downcast(batch.column(2)),
            ingested_at: downcast(batch.column(3)),
        }
    }

    fn entry(&self, row: usize, key: &[u8]) -> Entry {
        Entry {
            key: key.into(),
            seq: self.seq.value(row).into(),
            source: self.source.value(row),
            partition: self.partition.value(row),
            place: Place::Deleted,
            ingested_at: self.ingested_at.value(row),
        }
    }
}

impl LiveTable {
    /// A block of rows whose keys are new.
    fn restore_block(&mut self, rows: RecordBatch, entry: impl Fn(usize, &[u8]) -> Entry) -> Result<(), ArrowError> {
        let keys = self.encode_keys(&rows)?;
        let block = self.next_block_id();
        let mut owners = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let key = keys.get(row).unwrap_or_default();
            let place = Place::Row {
                block,
                row: row_number(row),
            };
            owners.push(self.insert_entry(Entry {
                place,
                ..entry(row, key)
            }));
        }
        let placed = self.append_block(rows, owners);
        debug_assert_eq!(placed, block, "nothing else takes block numbers meanwhile");
        Ok(())
    }
}
