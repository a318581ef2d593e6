//! The live tables saved, so that a restart reads a file and a short tail instead of the whole history (RULES 15).
//!
//! An image is a folder: a manifest, and for each table its rows and its remembered deletes as Arrow IPC. It is written
//! beside its place and moved in whole. It says from where to read on; rows that waited for the cut are read again,
//! which the fold does not mind. An image of another contract is not used. An image holds rows of people: erasure
//! deletes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{Offset, PartitionId, RecordedAt, TableName};
use serde::{Deserialize, Serialize};

use crate::error::LiveError;
use crate::present::SourceFreshness;
use crate::set::{LiveSet, Slot};
use crate::snapshots::Floors;
use crate::table::{Carried, Entry, LiveTable, Place, downcast, row_number};

const FORMAT: u32 = 1;
const MANIFEST: &str = "image.json";

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("image {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("image {path}: {source}")]
    Rows { path: PathBuf, source: ArrowError },
    #[error("image {path} is not readable: {source}; delete it, the next start reads the lake")]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Live(#[from] LiveError),
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    at: i64,
    positions: Vec<(PartitionId, Offset)>,
    heard: Vec<(String, i64, i64)>,
    tables: BTreeMap<TableName, TableManifest>,
}

#[derive(Serialize, Deserialize)]
struct TableManifest {
    /// The schema as text: an image of another one is not used.
    schema: String,
    sources: Vec<String>,
    floors: Floors,
    newest_ingested_at: i64,
    earliest_recorded_at: Option<i64>,
    ever_had_a_row: bool,
    carried: Vec<(Vec<u8>, Vec<Carried>)>,
}

/// Writes an image of what the tables hold into `folder`, replacing the one that is there.
pub fn save_image(set: &mut LiveSet, folder: &Path) -> Result<(), ImageError> {
    let building = folder.with_extension("building");
    if building.exists() {
        fs::remove_dir_all(&building).map_err(|source| file_error(&building, source))?;
    }
    fs::create_dir_all(&building).map_err(|source| file_error(&building, source))?;
    let mut manifest = Manifest {
        format: FORMAT,
        at: set.tracker.cut().map_or(0, |at| at.0),
        positions: set.positions().into_iter().collect(),
        heard: set
            .sources
            .heard
            .iter()
            .map(|(name, heard)| (name.clone(), heard.heard_at.0, heard.recorded_at.0))
            .collect(),
        tables: BTreeMap::new(),
    };
    for (name, slot) in &mut set.tables {
        slot.live.publish()?;
        save_table(&slot.live, &building)?;
        manifest.tables.insert(name.clone(), table_manifest(&slot.live));
    }
    let path = building.join(MANIFEST);
    let file = File::create(&path).map_err(|source| file_error(&path, source))?;
    serde_json::to_writer(BufWriter::new(file), &manifest).map_err(|source| ImageError::Manifest { path, source })?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|source| file_error(folder, source))?;
    }
    fs::rename(&building, folder).map_err(|source| file_error(folder, source))
}

/// Restores an image into empty tables and says from where to read on. `None`: there is none that fits the contract;
/// the tables are as they were.
pub fn load_image(set: &mut LiveSet, folder: &Path) -> Result<Option<BTreeMap<PartitionId, Offset>>, ImageError> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Ok(None);
    }
    let file = File::open(&path).map_err(|source| file_error(&path, source))?;
    let manifest: Manifest =
        serde_json::from_reader(BufReader::new(file)).map_err(|source| ImageError::Manifest { path, source })?;
    let fits = |(name, slot): (&TableName, &Slot)| {
        manifest
            .tables
            .get(name)
            .is_some_and(|saved| saved.schema == schema_text(&slot.live.schema))
    };
    if manifest.format != FORMAT || !set.tables.iter().all(fits) || manifest.tables.len() != set.tables.len() {
        return Ok(None);
    }
    let mut restored = Vec::with_capacity(manifest.tables.len());
    for (name, saved) in manifest.tables {
        let live = LiveTable::new(set.tables[&name].live.table().clone())?;
        restored.push((name, load_table(live, saved, folder)?));
    }
    for (name, live) in restored {
        set.sources
            .by_table
            .insert(name.clone(), live.sources().iter().cloned().collect());
        set.tables.insert(name, Slot::new(live));
    }
    set.tracker.stand_at(RecordedAt(manifest.at));
    for (name, heard_at, recorded_at) in manifest.heard {
        let heard = SourceFreshness {
            heard_at: RecordedAt(heard_at),
            recorded_at: RecordedAt(recorded_at),
        };
        set.sources.heard.insert(name, heard);
    }
    Ok(Some(manifest.positions.into_iter().collect()))
}

fn table_manifest(live: &LiveTable) -> TableManifest {
    let carried = live.carried.iter();
    TableManifest {
        schema: schema_text(&live.schema),
        sources: live.sources.clone(),
        floors: live.floors.clone(),
        newest_ingested_at: live.newest_ingested_at,
        earliest_recorded_at: live.earliest_recorded_at,
        ever_had_a_row: live.ever_had_a_row,
        carried: carried
            .map(|(entry, carried)| (live.entries[*entry as usize].key.to_vec(), carried.clone()))
            .collect(),
    }
}

fn save_table(live: &LiveTable, folder: &Path) -> Result<(), ImageError> {
    let rows = rows_path(folder, live);
    let schema = rows_schema(&live.schema);
    let batches = live.blocks.values().map(|block| {
        let entries: Vec<&Entry> = block
            .owners
            .iter()
            .map(|owner| &live.entries[*owner as usize])
            .collect();
        let mut columns = block.batch.columns().to_vec();
        columns.extend(entry_columns(&entries));
        RecordBatch::try_new(schema.clone(), columns)
    });
    write_batches(&rows, &schema, batches)?;
    let deleted: Vec<&Entry> = live
        .entries
        .iter()
        .filter(|entry| entry.place == Place::Deleted)
        .collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(BinaryArray::from_iter_values(
        deleted.iter().map(|entry| &*entry.key),
    ))];
    columns.extend(entry_columns(&deleted));
    let schema = deleted_schema();
    write_batches(
        &deleted_path(folder, live),
        &schema,
        [RecordBatch::try_new(schema.clone(), columns)],
    )
}

fn load_table(mut live: LiveTable, saved: TableManifest, folder: &Path) -> Result<LiveTable, ImageError> {
    live.sources = saved.sources;
    live.floors = saved.floors;
    live.newest_ingested_at = saved.newest_ingested_at;
    live.earliest_recorded_at = saved.earliest_recorded_at;
    live.ever_had_a_row = saved.ever_had_a_row;
    let path = rows_path(folder, &live);
    let own_columns: Vec<usize> = (0..live.schema.fields().len()).collect();
    for batch in read_batches(&path)? {
        let rows_error = |source| ImageError::Rows {
            path: path.clone(),
            source,
        };
        let batch = batch.map_err(rows_error)?;
        let system = EntryColumns::read(&batch, own_columns.len());
        let rows = batch.project(&own_columns).map_err(rows_error)?;
        let rows = rows.with_schema(live.schema.clone()).map_err(rows_error)?;
        if rows.num_rows() == 0 {
            continue;
        }
        live.restore_block(rows, |row, key| system.entry(row, key))
            .map_err(rows_error)?;
    }
    let path = deleted_path(folder, &live);
    let mut tombstones = Vec::new();
    for batch in read_batches(&path)? {
        let batch = batch.map_err(|source| ImageError::Rows {
            path: path.clone(),
            source,
        })?;
        let keys: BinaryArray = downcast(batch.column(0));
        let system = EntryColumns::read(&batch, 1);
        for row in 0..batch.num_rows() {
            let entry = system.entry(row, keys.value(row));
            let ingested_at = entry.ingested_at;
            tombstones.push((ingested_at, live.insert_entry(entry)));
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

/// What an entry holds beside its key and place.
struct EntryColumns {
    seq: BinaryArray,
    source: UInt32Array,
    partition: Int32Array,
    ingested_at: Int64Array,
}

impl EntryColumns {
    fn read(batch: &RecordBatch, first: usize) -> Self {
        Self {
            seq: downcast(batch.column(first)),
            source: downcast(batch.column(first + 1)),
            partition: downcast(batch.column(first + 2)),
            ingested_at: downcast(batch.column(first + 3)),
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

fn entry_columns(entries: &[&Entry]) -> [ArrayRef; 4] {
    [
        Arc::new(BinaryArray::from_iter_values(entries.iter().map(|entry| &*entry.seq))),
        Arc::new(UInt32Array::from_iter_values(entries.iter().map(|entry| entry.source))),
        Arc::new(Int32Array::from_iter_values(
            entries.iter().map(|entry| entry.partition),
        )),
        Arc::new(Int64Array::from_iter_values(
            entries.iter().map(|entry| entry.ingested_at),
        )),
    ]
}

fn entry_fields() -> [Field; 4] {
    [
        Field::new("_entry_seq", DataType::Binary, true),
        Field::new("_entry_source", DataType::UInt32, true),
        Field::new("_entry_partition", DataType::Int32, true),
        Field::new("_entry_ingested_at", DataType::Int64, true),
    ]
}

fn rows_schema(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.extend(entry_fields());
    Arc::new(Schema::new(fields))
}

fn deleted_schema() -> SchemaRef {
    let mut fields = vec![Field::new("_key", DataType::Binary, true)];
    fields.extend(entry_fields());
    Arc::new(Schema::new(fields))
}

fn schema_text(schema: &SchemaRef) -> String {
    schema
        .fields()
        .iter()
        .map(|field| format!("{}:{}", field.name(), field.data_type()))
        .collect::<Vec<_>>()
        .join(",")
}

fn rows_path(folder: &Path, live: &LiveTable) -> PathBuf {
    folder.join(format!("{}.arrow", live.table.name))
}

fn deleted_path(folder: &Path, live: &LiveTable) -> PathBuf {
    folder.join(format!("{}.deleted.arrow", live.table.name))
}

fn write_batches(
    path: &Path,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<(), ImageError> {
    let rows_error = |source| ImageError::Rows {
        path: path.to_owned(),
        source,
    };
    let file = File::create(path).map_err(|source| file_error(path, source))?;
    let mut writer = FileWriter::try_new(BufWriter::new(file), schema).map_err(rows_error)?;
    for batch in batches {
        writer.write(&batch.map_err(rows_error)?).map_err(rows_error)?;
    }
    writer.finish().map_err(rows_error)
}

fn read_batches(path: &Path) -> Result<FileReader<BufReader<File>>, ImageError> {
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    FileReader::try_new(BufReader::new(file), None).map_err(|source| ImageError::Rows {
        path: path.to_owned(),
        source,
    })
}

fn file_error(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::File {
        path: path.to_owned(),
        source,
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
