//! The list of erased subjects, so that decode and replay do not bring them back. It holds digests only: a search of
//! the lake for an erased identity finds nothing, not even here.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use casewatch_contract::{Privacy, Table, system};
use deltalake::kernel::{Action, Transaction};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::Result;
use crate::file;
use crate::lake::Lake;
use crate::log::Attempt;
use crate::schema::Layout;

pub(crate) const ERASED: &str = "_erased";
/// In each data table: how many entries the list had when the table last took notice. A writer reads it in the very
/// state it commits against.
pub(crate) const ERASED_APP_ID: &str = "casewatch-erased";
const MONTH: &str = "month";

fn layout() -> Layout {
    let schema = Schema::new(vec![
        Field::new("digest", DataType::Utf8, true),
        Field::new("erased_at", system::timestamp(), true),
        Field::new(MONTH, DataType::Utf8, true),
    ]);
    Layout {
        name: ERASED.to_owned(),
        schema: Arc::new(schema),
        partition_column: MONTH,
        unseen: vec!["digest".to_owned()],
        sort: vec!["digest".to_owned()],
    }
}

/// What must not come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    digests: HashSet<String>,
}

/// An identity in the list: a hash of a domain, or the key of a table's row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Identity {
    Hash { domain: String, hash: String },
    Key { table: String, key: String },
}

impl Identity {
    fn digest(&self) -> String {
        match self {
            Self::Hash { domain, hash } => digest("hmac", domain, hash),
            Self::Key { table, key } => digest("key", table, key),
        }
    }
}

fn digest(kind: &str, space: &str, value: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [kind, space, value] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Lake {
    /// How long the list of the erased is now, without reading it.
    pub async fn erased_entries(&self) -> Result<u64> {
        let Some(state) = self.state(&self.log(ERASED)).await? else {
            return Ok(0);
        };
        let counts = state.files.values().filter_map(|add| file::row_count(add));
        Ok(counts.map(|count| u64::try_from(count).unwrap_or(0)).sum())
    }
}

impl Erased {
    /// The list as it stands; empty when nobody was ever erased.
    pub async fn load(lake: &Lake) -> Result<Self> {
        let log = lake.log(ERASED);
        let mut digests = HashSet::new();
        let Some(state) = lake.state(&log).await? else {
            return Ok(Self { digests });
        };
        for add in state.files.values() {
            for batch in file::read(&log, &state.schema, add).await? {
                let column = batch
                    .column(state.schema.index_of("digest")?)
                    .as_string::<i32>()
                    .clone();
                digests.extend(column.iter().flatten().map(str::to_owned));
            }
        }
        Ok(Self { digests })
    }

    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// How many entries it has. The list only grows, so of one lake a longer list is a newer one.
    pub fn entries(&self) -> u64 {
        self.digests.len() as u64
    }

    /// One text for exactly these entries.
    pub fn fingerprint(&self) -> String {
        let mut digests: Vec<&String> = self.digests.iter().collect();
        digests.sort();
        let mut hasher = Sha256::new();
        for digest in digests {
            hasher.update(digest);
        }
        hex(&hasher.finalize())
    }

    pub(crate) fn generation(&self) -> i64 {
        i64::try_from(self.digests.len()).expect("fewer than 2^63 entries")
    }

    /// Whether the keyed hash `hash` of `domain` belongs to an erased subject.
    pub fn contains(&self, domain: &str, hash: &str) -> bool {
        self.digests.contains(&digest("hmac", domain, hash))
    }

    /// `rows` of `table` without the erased: a row goes when its key, or a column that must have a value, is erased; an
    /// optional column that points at an erased one becomes null.
    pub fn filter(&self, table: &Table, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.is_empty() || rows.num_rows() == 0 {
            return Ok(rows.clone());
        }
        let (keep, rows) = self.judge(table, rows)?;
        Ok(filter_record_batch(&rows, &BooleanArray::from(keep))?)
    }

    /// Which rows stay, and the rows with their pointers to the erased set to null. `rows` need not have every column of
    /// `table`, but those of its key.
    pub fn judge(&self, table: &Table, rows: &RecordBatch) -> Result<(Vec<bool>, RecordBatch)> {
        let mut columns = rows.columns().to_vec();
        let mut keep = vec![true; rows.num_rows()];
        for (index, column) in table.columns.iter().enumerate() {
            let spaces = spaces(table, index);
            let Some(position) = rows
                .schema_ref()
                .index_of(&column.name)
                .ok()
                .filter(|_| !spaces.is_empty())
            else {
                continue;
            };
            let text = cast(&columns[position], &DataType::Utf8)?;
            let text = text.as_string::<i32>();
            let is_hit = |value: &str| {
                spaces
                    .iter()
                    .any(|(kind, space)| self.digests.contains(&digest(kind, space, value)))
            };
            let hits: BooleanArray = text.iter().map(|value| Some(value.is_some_and(is_hit))).collect();
            if column.nullable && !table.key.contains(&index) {
                if hits.has_true() {
                    columns[position] = without(&columns[position], &hits)?;
                }
            } else {
                keep.iter_mut()
                    .zip(hits.iter())
                    .for_each(|(keep, hit)| *keep &= hit != Some(true));
            }
        }
        for (row, key) in key_texts(table, rows)?.into_iter().enumerate() {
            keep[row] &= key.is_none_or(|key| !self.digests.contains(&digest("key", &table.name, &key)));
        }
        Ok((keep, RecordBatch::try_new(rows.schema(), columns)?))
    }

    /// Adds to the list; what is in it already is not added again. Returns the list afterwards.
    pub(crate) async fn add(lake: &Lake, identities: impl IntoIterator<Item = Identity>) -> Result<Self> {
        let log = lake.log(ERASED);
        let layout = layout();
        let mut state = lake.ensure(&log, &layout).await?;
        let wanted: HashSet<String> = identities.into_iter().map(|identity| identity.digest()).collect();
        loop {
            let known = Self::load(lake).await?;
            let mut fresh: Vec<&String> = wanted.difference(&known.digests).collect();
            if fresh.is_empty() {
                return Ok(known);
            }
            fresh.sort();
            let now = chrono::Utc::now();
            let months = std::iter::repeat_n(now.format("%Y-%m").to_string(), fresh.len());
            let times = TimestampMicrosecondArray::from_value(now.timestamp_micros(), fresh.len());
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter_values(&fresh)),
                Arc::new(times.with_timezone("UTC")),
                Arc::new(StringArray::from_iter_values(months)),
            ];
            let rows = RecordBatch::try_new(layout.schema.clone(), columns)?;
            let actions = file::write(&log, &layout, vec![rows])
                .await?
                .into_iter()
                .map(Action::Add)
                .collect();
            let record = CommitRecord::new("erase", Uuid::new_v4());
            // The list is read again after a lost race, so that its length stays the number of its entries.
            if let Attempt::Lost = log.try_commit(&mut state, &record, actions).await? {
                continue;
            }
        }
    }
}

/// `column` with nulls at `hits` and no byte of what stood there: masking alone would leave the values in the buffers,
/// from where they could be written to a file.
fn without(column: &ArrayRef, hits: &BooleanArray) -> Result<ArrayRef> {
    let nothing = Scalar::new(new_null_array(column.data_type(), 1));
    Ok(zip(hits, &nothing, column)?)
}

/// The transaction by which a table takes notice of the list.
pub(crate) fn notice(erased: &Erased) -> Action {
    Action::Txn(Transaction::new(ERASED_APP_ID, erased.generation()))
}

/// The spaces in which values of a column are identities: the domain of its hash, the tables it refers to.
fn spaces(table: &Table, index: usize) -> Vec<(&'static str, String)> {
    let mut spaces = Vec::new();
    if let Privacy::Hmac(domain) = &table.columns[index].privacy {
        spaces.push(("hmac", domain.to_string()));
    }
    let references = table.references.iter().filter(|reference| reference.column == index);
    spaces.extend(references.map(|reference| ("key", reference.table.to_string())));
    spaces
}

/// The key of each row as text; `None` where a part of it is null.
pub(crate) fn key_texts(table: &Table, rows: &RecordBatch) -> Result<Vec<Option<String>>> {
    let mut parts = Vec::new();
    for &index in &table.key {
        let column = rows.column(rows.schema_ref().index_of(&table.columns[index].name)?);
        parts.push(cast(column, &DataType::Utf8)?);
    }
    let parts: Vec<&StringArray> = parts.iter().map(|part| part.as_string::<i32>()).collect();
    let text = |row: usize| {
        let values = parts.iter().map(|part| part.is_valid(row).then(|| part.value(row)));
        Some(values.collect::<Option<Vec<_>>>()?.join("\u{1f}"))
    };
    Ok((0..rows.num_rows()).map(text).collect())
}
