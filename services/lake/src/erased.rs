//! The list of erased subjects, so that decode and replay do not bring them back. It holds digests, which a search of
//! the lake for an erased identity does not find. A digest cannot follow a rotation of keys, so beside each stands the
//! identity itself, sealed with a secret made of the very keys it went through.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use casewatch_contract::{Contract, HmacDomain, HmacKeys, Privacy, Table, system};
use deltalake::kernel::{Action, Transaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::Generations;
use crate::lake::Lake;
use crate::log::Attempt;
use crate::schema::Layout;
use crate::seal::PayloadKey;

pub(crate) const ERASED: &str = "_erased";
/// In each data table: how many entries the list had when the table last took notice. A writer reads it in the very
/// state it commits against.
pub(crate) const ERASED_APP_ID: &str = "casewatch-erased";
const MONTH: &str = "month";
/// Between the parts of a key's text.
const KEY_SEPARATOR: &str = "\u{1f}";

fn layout() -> Layout {
    let schema = Schema::new(vec![
        Field::new("digest", DataType::Utf8, true),
        Field::new("erased_at", system::timestamp(), true),
        Field::new(MONTH, DataType::Utf8, true),
        Field::new("sealed_by", DataType::Utf8, true),
        Field::new("sealed", DataType::Binary, true),
    ]);
    Layout {
        name: ERASED.to_owned(),
        schema: Arc::new(schema),
        partition_column: MONTH,
        unseen: vec!["digest".to_owned(), "sealed".to_owned()],
        sort: vec!["digest".to_owned()],
        keys: Default::default(),
    }
}

/// What must not come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    digests: HashSet<String>,
    /// Entries of the list: more than digests where an identity was kept later than its digest.
    entries: u64,
}

/// An identity in the list: a hash of a domain, or the key of a table's row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Domains of the hashes in it, part by part of a key.
    fn domains(&self, contract: &Contract) -> Vec<Option<HmacDomain>> {
        match self {
            Self::Hash { domain, .. } => vec![Some(domain.as_str().into())],
            Self::Key { table, .. } => {
                let table = contract.table(table);
                let columns = table
                    .iter()
                    .flat_map(|table| table.key.iter().map(|&index| &table.columns[index]));
                columns
                    .map(|column| match &column.privacy {
                        Privacy::Hmac(domain) => Some(domain.clone()),
                        _ => None,
                    })
                    .collect()
            }
        }
    }

    /// The same identity after all of `keys`, of which its hashes went through the first `from`.
    fn rotated(&self, contract: &Contract, keys: &HmacKeys, from: &Generations) -> Self {
        let step = |(part, domain): (&str, &Option<HmacDomain>)| match domain {
            Some(domain) => keys.rotate(domain, from.of(domain.as_str()), part),
            None => part.to_owned(),
        };
        let domains = self.domains(contract);
        match self {
            Self::Hash { domain, hash } => Self::Hash {
                domain: domain.clone(),
                hash: step((hash, &domains[0])),
            },
            Self::Key { table, key } => {
                let parts = key.split(KEY_SEPARATOR).zip(&domains).map(step);
                Self::Key {
                    table: table.clone(),
                    key: parts.collect::<Vec<_>>().join(KEY_SEPARATOR),
                }
            }
        }
    }
}

/// An identity as the list keeps it.
struct Entry {
    digest: String,
    /// `domain/generation` of the keys whose secret it is sealed with; empty when it holds no hash and needs none; none
    /// when the identity was not kept.
    sealed_by: Option<String>,
    sealed: Option<Vec<u8>>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    identity: Identity,
    keys: Generations,
}

impl Entry {
    fn new(contract: &Contract, keys: &HmacKeys, identity: &Identity) -> Self {
        let digest = identity.digest();
        let domains: Vec<HmacDomain> = identity.domains(contract).into_iter().flatten().collect();
        let Some(first) = domains.first() else {
            return Self {
                digest,
                sealed_by: Some(String::new()),
                sealed: None,
            };
        };
        let generation = keys.generation(first);
        let Some(secret) = keys.secret(first, generation) else {
            return Self {
                digest,
                sealed_by: None,
                sealed: None,
            };
        };
        let kept = Kept {
            identity: identity.clone(),
            keys: Generations::of_domains(keys, domains.iter().cloned()),
        };
        let kept = serde_json::to_vec(&kept).expect("an identity is plain JSON");
        let sealed = PayloadKey::from_bytes(secret).seal(&digest, &kept);
        Self {
            digest,
            sealed_by: Some(format!("{first}/{generation}")),
            sealed: Some(sealed),
        }
    }

    /// The identity after all of `keys`; `None` when it holds no hash.
    fn followed(&self, contract: &Contract, keys: &HmacKeys) -> Result<Option<Identity>> {
        let (Some(by), Some(sealed)) = (&self.sealed_by, &self.sealed) else {
            return Ok(None);
        };
        let unreadable = |detail: &str| LakeError::ErasedEntry {
            detail: format!("sealed with keys {by}: {detail}"),
        };
        let (domain, generation) = by.split_once('/').ok_or_else(|| unreadable("no generation"))?;
        let generation = generation.parse().map_err(|_| unreadable("no generation"))?;
        let secret = keys.secret(&domain.into(), generation);
        let secret = secret.ok_or_else(|| unreadable("these keys are not configured"))?;
        let kept = PayloadKey::from_bytes(secret).unseal(&self.digest, sealed);
        let kept = kept.map_err(|_| unreadable("other keys are configured"))?;
        let kept: Kept = serde_json::from_slice(&kept).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Some(kept.identity.rotated(contract, keys, &kept.keys)))
    }
}

async fn entries(lake: &Lake) -> Result<Vec<Entry>> {
    let log = lake.log(ERASED);
    let mut entries = Vec::new();
    let Some(state) = lake.state(&log).await? else {
        return Ok(entries);
    };
    // As this version knows it: a list of format 1 has fewer columns.
    let schema = layout().schema;
    for add in state.files.values() {
        for batch in file::read(&log, &schema, add).await? {
            let digests = batch.column(schema.index_of("digest")?).as_string::<i32>();
            let sealed_by = batch.column(schema.index_of("sealed_by")?).as_string::<i32>();
            let sealed = batch.column(schema.index_of("sealed")?).as_binary::<i32>();
            entries.extend((0..batch.num_rows()).map(|row| Entry {
                digest: digests.value(row).to_owned(),
                sealed_by: sealed_by.is_valid(row).then(|| sealed_by.value(row).to_owned()),
                sealed: sealed.is_valid(row).then(|| sealed.value(row).to_vec()),
            }));
        }
    }
    Ok(entries)
}

/// What in a text could be an identity: what stands between quotes, and runs of letters, digits, `-` and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
    let quoted = text.split(['\'', '"']);
    let runs = text.split(move |letter: char| !is_part(letter));
    quoted.chain(runs).filter(|word| !word.is_empty())
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
        let list = entries(lake).await?;
        let entries = list.len() as u64;
        let digests = list.into_iter().map(|entry| entry.digest).collect();
        Ok(Self { digests, entries })
    }

    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// How many entries it has. The list only grows, so of one lake a longer list is a newer one.
    pub fn entries(&self) -> u64 {
        self.entries
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

    /// Whether a text names an erased subject: by a keyed hash, or by the key of a row that went with one. Keys of several
    /// parts are not looked for.
    pub(crate) fn is_named(&self, contract: &Contract, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let domains: BTreeSet<String> = contract
            .tables()
            .flat_map(|table| &table.columns)
            .filter_map(|column| match &column.privacy {
                Privacy::Hmac(domain) => Some(domain.to_string()),
                _ => None,
            })
            .collect();
        words(text).any(|word| {
            domains.iter().any(|domain| self.contains(domain, word))
                || contract
                    .tables()
                    .any(|table| self.digests.contains(&digest("key", &table.name, word)))
        })
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
    pub(crate) async fn add(
        lake: &Lake,
        contract: &Contract,
        identities: impl IntoIterator<Item = Identity>,
    ) -> Result<Self> {
        let log = lake.log(ERASED);
        let layout = layout();
        let mut state = lake.ensure(&log, &layout).await?;
        let identities = identities.into_iter();
        let wanted: Vec<Entry> = identities
            .map(|identity| Entry::new(contract, &lake.keys, &identity))
            .collect();
        loop {
            let list = entries(lake).await?;
            let (known, entries) = (Followable::of(&list), list.len() as u64);
            let mut fresh: Vec<&Entry> = wanted.iter().filter(|entry| known.lacks(entry)).collect();
            if fresh.is_empty() {
                let digests = known.0.into_keys().collect();
                return Ok(Self { digests, entries });
            }
            fresh.sort_by(|one, other| one.digest.cmp(&other.digest));
            fresh.dedup_by(|one, other| one.digest == other.digest);
            let rows = to_batch(&layout, &fresh)?;
            let actions = file::write(&log, &layout, vec![file::conform(ERASED, &rows, &state.schema)?])
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

    /// Brings the list to the lake's keys: adds every identity in it as it is after all of them. The old digests stay,
    /// and match nothing. Returns the list afterwards.
    pub(crate) async fn follow(lake: &Lake, contract: &Contract) -> Result<Self> {
        let entries = entries(lake).await?;
        let lost = Followable::of(&entries)
            .0
            .into_values()
            .filter(|followable| !followable);
        match lost.count() {
            0 => {}
            count => return Err(LakeError::Unfollowed { count }),
        }
        let followed = entries.iter().map(|entry| entry.followed(contract, &lake.keys));
        let identities: Vec<Option<Identity>> = followed.collect::<Result<_>>()?;
        Self::add(lake, contract, identities.into_iter().flatten()).await
    }
}

/// For each digest in the list, whether its identity can follow a rotation.
struct Followable(HashMap<String, bool>);

impl Followable {
    fn of(entries: &[Entry]) -> Self {
        let mut known = HashMap::new();
        for entry in entries {
            *known.entry(entry.digest.clone()).or_insert(false) |= entry.sealed_by.is_some();
        }
        Self(known)
    }

    /// Whether `entry` says anything new: another identity, or one that was not kept before.
    fn lacks(&self, entry: &Entry) -> bool {
        match self.0.get(&entry.digest) {
            None => true,
            Some(followable) => !followable && entry.sealed_by.is_some(),
        }
    }
}

fn to_batch(layout: &Layout, entries: &[&Entry]) -> Result<RecordBatch> {
    let now = chrono::Utc::now();
    let months = std::iter::repeat_n(now.format("%Y-%m").to_string(), entries.len());
    let times = TimestampMicrosecondArray::from_value(now.timestamp_micros(), entries.len());
    let sealed_by = entries.iter().map(|entry| entry.sealed_by.as_deref());
    let sealed = entries.iter().map(|entry| entry.sealed.as_deref());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| &entry.digest))),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(months)),
        Arc::new(sealed_by.collect::<StringArray>()),
        Arc::new(sealed.collect::<BinaryArray>()),
    ];
    Ok(RecordBatch::try_new(layout.schema.clone(), columns)?)
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
        Some(values.collect::<Option<Vec<_>>>()?.join(KEY_SEPARATOR))
    };
    Ok((0..rows.num_rows()).map(text).collect())
}
