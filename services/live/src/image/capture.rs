//! What the live tables hold at one moment, taken without waiting for a disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use casewatch_contract::{Table, TableName};
use casewatch_lake::Erased;

use super::manifest::{FORMAT, Manifest, Origin, TableManifest, contract_of};
use crate::error::LiveError;
use crate::set::LiveSet;
use crate::table::{Entry, LiveTable, Place, fold_error};

/// All live tables at one moment. It shares their rows, so that taking it costs the keys and their order only.
pub struct Image {
    pub(super) manifest: Manifest,
    pub(super) tables: BTreeMap<TableName, TableImage>,
    /// Who had been erased from it.
    pub(crate) erased: Arc<Erased>,
}

pub(super) struct TableImage {
    pub(super) table: Arc<Table>,
    pub(super) rows_schema: SchemaRef,
    /// Blocks of rows, and for each the entries of its rows in their order.
    pub(super) blocks: Vec<(RecordBatch, RecordBatch)>,
    /// Keys whose deletion is remembered.
    pub(super) deleted: RecordBatch,
}

impl Image {
    pub(crate) fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.values().map(|image| image.table.clone()).collect()
    }
}

impl LiveSet {
    /// What the tables hold now; `None` when they stopped, since then they hold nothing.
    pub fn capture(&mut self) -> Result<Option<Image>, LiveError> {
        if self.stopped().is_some() {
            return Ok(None);
        }
        let mut manifest = Manifest {
            format: FORMAT,
            origin: Origin::default(),
            erased: self.erased.fingerprint(),
            lake: BTreeMap::new(),
            cut: self.tracker.stands_at().map_or(0, |at| at.0),
            positions: self.positions().into_iter().collect(),
            heard: self
                .sources
                .heard
                .iter()
                .map(|(name, heard)| (name.clone(), heard.heard_at.0, heard.recorded_at.0))
                .collect(),
            tables: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        let mut tables = BTreeMap::new();
        for (name, slot) in &mut self.tables {
            slot.live.publish()?;
            let replayed = self.replayed.get(name).copied().unwrap_or(0);
            manifest
                .tables
                .insert(name.clone(), table_manifest(&slot.live, replayed));
            let image = table_image(&slot.live).map_err(|source| fold_error(&slot.live.table, source))?;
            tables.insert(name.clone(), image);
        }
        Ok(Some(Image {
            manifest,
            tables,
            erased: self.erased.clone(),
        }))
    }

    /// Each table as far as images depend on its schema.
    pub(crate) fn contract_texts(&self) -> BTreeMap<TableName, String> {
        let tables = self.tables.iter();
        tables
            .map(|(name, slot)| (name.clone(), contract_of(&slot.live.table)))
            .collect()
    }
}

fn table_manifest(live: &LiveTable, replayed: u64) -> TableManifest {
    let carried = live.carried.iter();
    TableManifest {
        contract: contract_of(&live.table),
        sources: live.sources.clone(),
        floors: live.floors.clone(),
        newest_ingested_at: live.newest_ingested_at,
        earliest_recorded_at: live.earliest_recorded_at,
        ever_had_a_row: live.ever_had_a_row,
        carried: carried
            .map(|(entry, carried)| (live.entries[*entry as usize].key.to_vec(), carried.clone()))
            .collect(),
        replayed,
    }
}

fn table_image(live: &LiveTable) -> Result<TableImage, ArrowError> {
    let mut blocks = Vec::with_capacity(live.blocks.len());
    for block in live.blocks.values() {
        let entries: Vec<&Entry> = block
            .owners
            .iter()
            .map(|owner| &live.entries[*owner as usize])
            .collect();
        let entries = RecordBatch::try_new(entries_schema(), entry_columns(&entries))?;
        blocks.push((block.batch.clone(), entries));
    }
    let deleted: Vec<&Entry> = live
        .entries
        .iter()
        .filter(|entry| entry.place == Place::Deleted)
        .collect();
    let keys = BinaryArray::from_iter_values(deleted.iter().map(|entry| &*entry.key));
    let mut columns = entry_columns(&deleted);
    columns.push(Arc::new(keys));
    Ok(TableImage {
        table: live.table.clone(),
        rows_schema: live.schema.clone(),
        blocks,
        deleted: RecordBatch::try_new(deleted_schema(), columns)?,
    })
}

fn entry_columns(entries: &[&Entry]) -> Vec<ArrayRef> {
    vec![
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

fn entry_fields() -> Vec<Field> {
    vec![
        Field::new("_seq", DataType::Binary, false),
        Field::new("_source", DataType::UInt32, false),
        Field::new("_partition", DataType::Int32, false),
        Field::new("_ingested_at", DataType::Int64, false),
    ]
}

/// What an entry holds beside its key, which the row tells, and its place.
pub(super) fn entries_schema() -> SchemaRef {
    Arc::new(Schema::new(entry_fields()))
}

/// A deleted key has no row: its bytes come after the columns of its entry.
pub(super) fn deleted_schema() -> SchemaRef {
    let mut fields = entry_fields();
    fields.push(Field::new("_key", DataType::Binary, false));
    Arc::new(Schema::new(fields))
}
