//! Rotation of the keys of identities (RULES 29): every stored pseudonym goes through the new key, `HMAC(k2, stored)`,
//! so that it equals what the decoder now makes of the same identifier. No raw identifier is needed.
//!
//! First the list of the erased follows, then each table says its new keys by a commit: from then on writers, readers and
//! erasures with the old keys are refused, and whoever has the new ones adds files that say so in their names. Then the
//! files that do not are rewritten one by one, each by compare-and-swap, and what was superseded is deleted. A file's
//! name and its rows change in one commit, so whatever fails, running it again hashes no value twice and misses none.
//! Published copies are dropped: they are made again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use casewatch_contract::{Contract, HmacDomain, HmacKeys, Privacy, Table, TableName};
use deltalake::kernel::Action;
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::erase::{orphans, rewritten};
use crate::erased::{self, ERASED_APP_ID, Erased};
use crate::error::Result;
use crate::file;
use crate::keys::{self, Generations};
use crate::lake::Lake;
use crate::log::{Attempt, TableState};
use crate::maintain::replace;
use crate::schema::Layout;

/// What a rotation did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Rows brought to the newest keys, by table.
    pub rows: BTreeMap<TableName, u64>,
    /// Files rewritten.
    pub files: u64,
}

impl Lake {
    /// Brings every stored identity to the keys the lake was opened with. It may be repeated, and is to be repeated after
    /// an error; where nothing is left to do it changes no row.
    pub async fn rotate_keys(self: &Arc<Self>, contract: &Contract) -> Result<Rotation> {
        let hashed = contract.tables().filter(|table| !keys::domains(table).is_empty());
        let tables: Vec<Arc<Table>> = hashed.cloned().collect();
        for table in &tables {
            // Made when missing: or a writer with the old keys could still begin it.
            let state = self.ensure(&self.log(&table.name), &Layout::of_table(table)).await?;
            check_first_keys(&self.keys, table, &state)?;
        }
        for table in &tables {
            self.announce(contract, table).await?;
        }
        let mut rotation = Rotation::default();
        for table in &tables {
            self.rotate_in(table, &mut rotation).await?;
        }
        for table in &tables {
            let (log, _) = self.published(table);
            let published = self.state(&log).await?;
            if published.is_some_and(|state| !says(&self.keys, table, &state)) {
                self.unpublish(table).await?;
            }
        }
        Ok(rotation)
    }

    /// Makes the table say its new keys, and take notice of the list of the erased as it is under them.
    async fn announce(self: &Arc<Self>, contract: &Contract, table: &Arc<Table>) -> Result<()> {
        let log = self.log(&table.name);
        let mut state = self.ensure(&log, &Layout::of_table(table)).await?;
        loop {
            check_first_keys(&self.keys, table, &state)?;
            if says(&self.keys, table, &state) {
                return Ok(());
            }
            // Read after the state: an erasure that this table has taken notice of is on the list, and one that comes
            // after this commit finds other keys than its own.
            let erased = match Generations::of_keys(&self.keys, table) == Generations::default() {
                true => Erased::load(self).await?,
                false => Erased::follow(self, contract).await?,
            };
            let noticed = state.transactions.get(ERASED_APP_ID).copied().unwrap_or(0);
            let metadata = keys::record(&self.keys, table, &state.metadata)?;
            let mut actions = vec![Action::Metadata(metadata)];
            if erased.generation() > noticed {
                actions.push(erased::notice(&erased));
            }
            let record = CommitRecord::new("rotate", Uuid::new_v4());
            if let Attempt::Committed(_) = log.try_commit(&mut state, &record, actions).await? {
                return Ok(());
            }
        }
    }

    async fn rotate_in(self: &Arc<Self>, table: &Arc<Table>, rotation: &mut Rotation) -> Result<()> {
        let (log, wanted) = (self.log(&table.name), Generations::of_keys(&self.keys, table));
        if wanted == Generations::default() {
            return Ok(());
        }
        let layout = Layout::of_table(table).with_keys(wanted.clone());
        let mut state = self.ensure(&log, &layout).await?;
        let guard = self.rewriter(&table.name).await;
        let orphans = orphans(&log, &mut state).await?;
        loop {
            log.refresh(&mut state).await?;
            keys::check_writer(&self.keys, table, &state)?;
            let mut files = state.files.values();
            let Some(add) = files.find(|add| Generations::of_file(&add.path) != wanted).cloned() else {
                break;
            };
            let fence = state.fence();
            let stored = concat_batches(&state.schema, &file::read(&log, &state.schema, &add).await?)?;
            let count = stored.num_rows() as u64;
            let rows = rotated(&self.keys, table, &stored, &Generations::of_file(&add.path))?;
            let new = rewritten(&log, &layout, &add, rows).await?;
            // When compaction was first, its file is found next.
            if replace(&log, &mut state, &[add], new, "rotate", fence).await? {
                rotation.files += 1;
                *rotation.rows.entry(table.name.clone()).or_default() += count;
            }
        }
        drop(guard);
        // Also when no file was left: a run that died may have got this far.
        self.delete_superseded(&log, &state, orphans).await
    }
}

/// Refuses keys of which the first are not those that the table was written with.
fn check_first_keys(keys: &HmacKeys, table: &Table, state: &TableState) -> Result<()> {
    for domain in keys::domains(table) {
        if let Some(recorded) = keys::recorded(&state.metadata, &domain) {
            keys::same_keys(keys, table, &domain, &recorded)?;
        }
    }
    Ok(())
}

/// Whether the table says exactly these keys already.
fn says(keys: &HmacKeys, table: &Table, state: &TableState) -> bool {
    keys::domains(table).iter().all(|domain| {
        let recorded = keys::recorded(&state.metadata, domain);
        recorded.is_some_and(|recorded| recorded.generation == keys.generation(domain))
    })
}

/// `rows`, whose identities went through the keys `from`, after all of `keys`.
fn rotated(keys: &HmacKeys, table: &Table, rows: &RecordBatch, from: &Generations) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    for column in &table.columns {
        let Privacy::Hmac(domain) = &column.privacy else {
            continue;
        };
        let Ok(index) = rows.schema_ref().index_of(&column.name) else {
            continue;
        };
        if from.of(domain.as_str()) < keys.generation(domain) {
            columns[index] = rotated_column(keys, domain, columns[index].as_string(), from.of(domain.as_str()));
        }
    }
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

fn rotated_column(keys: &HmacKeys, domain: &HmacDomain, values: &StringArray, from: u32) -> ArrayRef {
    let mut seen: HashMap<&str, String> = HashMap::new();
    for value in values.iter().flatten() {
        seen.entry(value).or_insert_with(|| keys.rotate(domain, from, value));
    }
    let rotated = values.iter().map(|value| value.map(|value| seen[value].as_str()));
    Arc::new(rotated.collect::<StringArray>())
}
