//! What an image says about itself, and whether it may be used here.

use std::collections::{BTreeMap, BTreeSet};

use casewatch_contract::{Offset, PartitionId, Table, TableName};
use casewatch_lake::{Erased, Snapshot};
use serde::{Deserialize, Serialize};

use crate::snapshots::Floors;
use crate::table::Carried;

/// Raised when an image of before would be read wrongly: also when decoding or the fold change what a row becomes.
pub(super) const FORMAT: u32 = 3;

/// What an image and whoever loads it must have in common, beside the contract and the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Every topic that is followed: its cluster, epoch, table, order and how it is read, as text.
    pub topics: BTreeSet<String>,
    /// For each domain the keyed hash of one fixed text: it shows that keys are the same, not what they are.
    pub keys: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(super) format: u32,
    pub(super) origin: Origin,
    /// The list of the erased that the image knows of.
    pub(super) erased: String,
    /// The lake's tables when the image was saved.
    pub(super) lake: BTreeMap<TableName, LakeMark>,
    pub(super) cut: i64,
    pub(super) positions: Vec<(PartitionId, Offset)>,
    pub(super) heard: Vec<(String, i64, i64)>,
    pub(super) tables: BTreeMap<TableName, TableManifest>,
    /// Every other file of the image.
    pub(super) files: BTreeMap<String, Checksum>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checksum {
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

/// Where a table of the lake stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LakeMark {
    pub(super) table_id: String,
    pub(super) version: u64,
    pub(super) positions: Vec<(PartitionId, Offset)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TableManifest {
    /// The table as its schema describes it.
    pub(super) contract: String,
    pub(super) sources: Vec<String>,
    pub(super) floors: Floors,
    pub(super) newest_ingested_at: i64,
    pub(super) earliest_recorded_at: Option<i64>,
    pub(super) ever_had_a_row: bool,
    pub(super) carried: Vec<(Vec<u8>, Vec<Carried>)>,
    /// Dead letters whose replayed rows are in the image: they stand below the positions.
    pub(super) replayed: u64,
}

impl LakeMark {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let positions = snapshot.positions().iter();
        Self {
            table_id: snapshot.table_id().to_owned(),
            version: snapshot.version(),
            positions: positions.map(|(id, offset)| (id.clone(), *offset)).collect(),
        }
    }

    /// Why a table of today cannot be what this one became.
    fn misfit(&self, now: Option<&Snapshot>) -> Option<&'static str> {
        let Some(now) = now else {
            return Some("is not in the lake any more");
        };
        if now.table_id() != self.table_id {
            return Some("was made again in the lake");
        }
        let behind = |(id, offset): &(PartitionId, Offset)| now.positions().get(id).is_none_or(|now| now < offset);
        if now.version() < self.version || self.positions.iter().any(behind) {
            return Some("stands at older positions in the lake: it was restored");
        }
        None
    }
}

impl Manifest {
    /// Why the image may not be used; `None` when it may.
    pub(crate) fn misfit(
        &self,
        contract: &BTreeMap<TableName, String>,
        origin: &Origin,
        lake: &BTreeMap<TableName, Snapshot>,
        erased: &Erased,
    ) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("it has format {}, this program reads {FORMAT}", self.format));
        }
        if self.erased != erased.fingerprint() {
            return Some("the list of the erased is another".to_owned());
        }
        let saved = self.tables.iter().map(|(name, saved)| (name, &saved.contract));
        if !saved.eq(contract.iter()) {
            return Some("the schemas are others".to_owned());
        }
        if self.origin.keys != origin.keys {
            return Some("the HMAC keys are others".to_owned());
        }
        if self.origin.topics != origin.topics {
            return Some("the topics, their epochs or how they are read are others".to_owned());
        }
        for (name, mark) in &self.lake {
            if let Some(misfit) = mark.misfit(lake.get(name)) {
                return Some(format!("table {name} {misfit}"));
            }
        }
        let replayed = |name: &TableName| lake.get(name).map_or(0, Snapshot::replayed);
        let other = self
            .tables
            .iter()
            .find(|(name, saved)| saved.replayed != replayed(name));
        other.map(|(name, _)| format!("dead letters of table {name} were replayed since"))
    }
}

/// A table as far as what is stored depends on its schema: two that say the same store the same rows.
pub(crate) fn contract_of(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        let (name, kind, privacy) = (&column.name, &column.data_type, &column.privacy);
        let (nullable, undated) = (column.nullable, column.undated);
        format!("{name}: {kind} {privacy} nullable={nullable} undated={undated}")
    });
    let columns: Vec<String> = columns.collect();
    let references: Vec<String> = table
        .references
        .iter()
        .map(|reference| format!("{}->{}", reference.column, reference.table))
        .collect();
    format!(
        "{}; key {:?}; references {}; recorded_at {:?}; source {:?}",
        columns.join(", "),
        table.key,
        references.join(" "),
        table.recorded_at,
        table.source
    )
}
