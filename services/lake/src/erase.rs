//! Erasure of a subject: every row that is about them, in every table, and every place it was written to.
//!
//! The subject is given by keyed hashes. Rows are followed along the contract's references: a row whose key, or whose
//! column that must have a value, belongs to the subject goes; an optional column that points at an erased row becomes
//! null; of a row that marks where a snapshot begins or ends, the mark stays. First the list of the erased grows and each table takes notice by a commit, so that no writer can add such a
//! row any more; then files are rewritten; then what was superseded is deleted: data files, orphans, log, checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, nullif};
use casewatch_contract::{Contract, Offset, PartitionId, Table, TableName};
use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::audit::{self, AUDIT};
use crate::dead_letters::{self, DEAD_LETTERS, DeadLetterFilter};
use crate::erased::{ERASED_APP_ID, Erased, Identity};
use crate::erasing::{Erasing, Progress};
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::{self, Generations};
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};
use crate::maintain::{checkpoint_now, clean_log_below, replace};
use crate::schema::Layout;
use crate::writer;

/// Who is to be erased.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The domain of the hashes, such as `child`.
    pub domain: String,
    /// The subject's keyed hashes, as stored: more than one where records were merged.
    pub hashes: BTreeSet<String>,
    /// Identifiers as sources write them, to find the subject in sealed payloads of dead letters. Never stored.
    pub raw: Vec<Vec<u8>>,
}

/// What an erasure did, and what it could not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Rows removed, by table.
    pub rows: BTreeMap<TableName, u64>,
    /// Files rewritten.
    pub files: u64,
    /// Dead letters whose payload was removed.
    pub dead_letters: u64,
    /// Dead letters with a payload in which the subject cannot be looked for; they expire after 30 days.
    pub unsearched_dead_letters: u64,
    /// Files of the audit log from which statements that named the subject were taken.
    pub audit_files: u64,
    /// What Kafka may still hold: the partitions the rows came from, below these offsets.
    pub in_kafka: BTreeMap<PartitionId, Offset>,
}

impl Lake {
    /// Erases `subject` everywhere. It may be repeated, and is to be repeated after an error.
    pub async fn erase(self: &Arc<Self>, contract: &Contract, subject: &Subject) -> Result<Erasure> {
        self.erase_told(contract, subject, &|_| {}).await
    }

    /// The same, and `tell` hears how far it is.
    ///
    /// # Errors
    /// A store that cannot be read or written; keys that are not those of the lake.
    pub async fn erase_told(
        self: &Arc<Self>,
        contract: &Contract,
        subject: &Subject,
        tell: &(dyn Fn(Erasing) + Sync),
    ) -> Result<Erasure> {
        let domain = &subject.domain;
        let hashes = subject.hashes.iter().map(|hash| Identity::Hash {
            domain: domain.clone(),
            hash: hash.clone(),
        });
        for table in contract.tables() {
            if let Some(state) = self.state(&self.log(&table.name)).await? {
                keys::check_reader(&self.keys, table, &state)?;
            }
        }
        let mut erased = Erased::add(self, contract, hashes).await?;
        self.notify(contract, &erased).await?;
        loop {
            let keys = self.keys_of(contract, &erased, tell).await?;
            let known = erased.generation();
            erased = Erased::add(self, contract, keys).await?;
            if erased.generation() == known {
                break;
            }
            self.notify(contract, &erased).await?;
        }
        let mut erasure = Erasure::default();
        let progress = Progress::new(tell, self.files_to_go_through(contract).await?);
        for table in contract.tables() {
            let (log, layout) = (self.log(&table.name), Layout::of_table(table));
            let rows = self
                .erase_in(table, (log, layout), &erased, &mut erasure, &progress)
                .await?;
            if let Some(rows) = rows {
                *erasure.rows.entry(table.name.clone()).or_default() += rows;
            }
            self.erase_in(table, self.published(table), &erased, &mut erasure, &progress)
                .await?;
        }
        self.erase_dead_letters(subject, &mut erasure, &progress).await?;
        self.erase_audit(contract, &erased, subject, &mut erasure, &progress)
            .await?;
        Ok(erasure)
    }

    /// Every table of the contract, and its published copy.
    fn logs<'a>(&self, contract: &'a Contract) -> Vec<(&'a Arc<Table>, TableLog)> {
        let both = |table: &'a Arc<Table>| [(table, self.log(&table.name)), (table, self.published(table).0)];
        contract.tables().flat_map(both).collect()
    }

    /// Data files of the tables, their published copies and the audit log. Dead letters are gone through only where a
    /// payload holds something.
    async fn files_to_go_through(&self, contract: &Contract) -> Result<u64> {
        let tables = self.logs(contract).into_iter().map(|(_, log)| log);
        let mut files = 0;
        for log in tables.chain([self.log(AUDIT)]) {
            files += self.state(&log).await?.map_or(0, |state| state.files.len() as u64);
        }
        Ok(files)
    }

    /// Makes each table, and the audit log, take notice of the list: whoever commits after this commits on top of it.
    async fn notify(&self, contract: &Contract, erased: &Erased) -> Result<()> {
        let tables = self.logs(contract).into_iter();
        let logs = tables.map(|(table, log)| (Some(table), log));
        for (table, log) in logs.chain([(None, self.log(AUDIT))]) {
            let Some(mut state) = self.state(&log).await? else {
                continue;
            };
            while state.transactions.get(ERASED_APP_ID).copied().unwrap_or(0) < erased.generation() {
                if let Some(table) = table {
                    keys::check_reader(&self.keys, table, &state)?;
                }
                let record = CommitRecord::new("notice", Uuid::new_v4());
                log.try_commit(&mut state, &record, vec![crate::erased::notice(erased)])
                    .await?;
            }
        }
        Ok(())
    }

    /// Keys of the rows that go because of what is on the list so far.
    async fn keys_of(
        &self,
        contract: &Contract,
        erased: &Erased,
        tell: &(dyn Fn(Erasing) + Sync),
    ) -> Result<BTreeSet<Identity>> {
        let mut keys = BTreeSet::new();
        let mut searched = Vec::new();
        for table in contract.tables() {
            let log = self.log(&table.name);
            if let Some(state) = self.state(&log).await? {
                searched.push((table, log, state));
            }
        }
        let of = searched.iter().map(|(.., state)| state.files.len() as u64).sum();
        let mut done = 0;
        for (table, log, state) in &searched {
            for add in state.files.values() {
                done += 1;
                tell(Erasing::Searching { done, of });
                for rows in file::read(log, &state.schema, add).await? {
                    let (keep, _) = erased.judge(table, &rows)?;
                    let texts = crate::erased::key_texts(table, &rows)?;
                    let gone = keep
                        .iter()
                        .zip(texts)
                        .filter(|(keep, _)| !**keep)
                        .filter_map(|(_, key)| key);
                    keys.extend(gone.map(|key| Identity::Key {
                        table: table.name.to_string(),
                        key,
                    }));
                }
            }
        }
        Ok(keys)
    }

    /// Rewrites a table, or its published copy, without the erased; returns how many rows went when anything did.
    async fn erase_in(
        self: &Arc<Self>,
        table: &Arc<Table>,
        (log, layout): (TableLog, Layout),
        erased: &Erased,
        erasure: &mut Erasure,
        progress: &Progress<'_>,
    ) -> Result<Option<u64>> {
        let Some(mut state) = self.state(&log).await? else {
            return Ok(None);
        };
        let guard = self.rewriter(&log.name).await;
        let orphans = orphans(&log, &mut state).await?;
        let filter = |rows: &RecordBatch| {
            let (keep, _) = erased.judge(table, rows)?;
            let gone = keep.iter().filter(|keep| !**keep).count();
            Ok((erased.filter(table, rows)?, gone as u64))
        };
        // The hashes looked for went through our keys: a rotation that begins now ends this erasure.
        let check = |state: &TableState| keys::check_reader(&self.keys, table, state);
        let (files, rows) = rewrite(&log, &layout, &mut state, check, filter, progress).await?;
        drop(guard);
        if files == 0 && orphans.is_empty() {
            return Ok(None);
        }
        erasure.files += files;
        if rows > 0 {
            for (partition, position) in writer::positions(&state) {
                let known = erasure.in_kafka.entry(partition).or_insert(position);
                *known = position.max(*known);
            }
        }
        self.delete_superseded(&log, &state, orphans).await?;
        Ok(Some(rows))
    }

    /// Everything that is not the newest version goes: removed files, orphans, the log below a new checkpoint.
    pub(crate) async fn delete_superseded(
        self: &Arc<Self>,
        log: &TableLog,
        state: &TableState,
        orphans: Vec<object_store::path::Path>,
    ) -> Result<()> {
        let removed = state
            .removed
            .keys()
            .map(|path| object_store::path::Path::from(path.as_str()));
        let doomed: Vec<_> = removed.chain(orphans).map(Ok).collect();
        let mut deleted = log.store.delete_stream(futures::stream::iter(doomed).boxed());
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::storage(format!("deleting files of '{}'", log.name))(error)),
            }
        }
        checkpoint_now(log, state).await?;
        clean_log_below(self, log, state.version).await?;
        Ok(())
    }

    /// A dead letter stays, since its offset has to stand somewhere; its payload goes.
    async fn erase_dead_letters(
        self: &Arc<Self>,
        subject: &Subject,
        erasure: &mut Erasure,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let (log, layout) = (self.log(DEAD_LETTERS), dead_letters::layout());
        let Some(mut state) = self.state(&log).await? else {
            return Ok(());
        };
        let mut found = BTreeSet::new();
        for letter in self
            .dead_letters(&DeadLetterFilter::default())
            .await?
            .iter()
            .filter(|letter| letter.has_payload())
        {
            match self.dead_letter_payload(letter) {
                Ok(Some(payload)) if !subject.raw.is_empty() => {
                    if subject.raw.iter().any(|raw| contains(&payload, raw)) {
                        found.extend(letter.sealed.clone());
                    }
                }
                _ => erasure.unsearched_dead_letters += 1,
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        erasure.dead_letters += found.len() as u64;
        let guard = self.rewriter(DEAD_LETTERS).await;
        let orphans = orphans(&log, &mut state).await?;
        let filter = |rows: &RecordBatch| Ok((without_payloads(rows, &found)?, 0));
        let (files, _) = rewrite(&log, &layout, &mut state, |_| Ok(()), filter, progress).await?;
        erasure.files += files;
        drop(guard);
        self.delete_superseded(&log, &state, orphans).await
    }
}

impl Lake {
    /// An entry stays, since somebody asked something; its text goes when it names the subject or a row that went.
    async fn erase_audit(
        self: &Arc<Self>,
        contract: &Contract,
        erased: &Erased,
        subject: &Subject,
        erasure: &mut Erasure,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let (log, layout) = (self.log(AUDIT), audit::layout());
        let Some(mut state) = self.state(&log).await? else {
            return Ok(());
        };
        let is_named = |text: &str| {
            let says = |needle: &[u8]| contains(text.as_bytes(), needle);
            subject.hashes.iter().any(|hash| says(hash.as_bytes()))
                || subject.raw.iter().any(|raw| says(raw))
                || erased.is_named(contract, &self.keys, text)
        };
        let guard = self.rewriter(AUDIT).await;
        let orphans = orphans(&log, &mut state).await?;
        let filter = |rows: &RecordBatch| Ok((audit::without_texts(rows, is_named)?, 0));
        let (files, _) = rewrite(&log, &layout, &mut state, |_| Ok(()), filter, progress).await?;
        drop(guard);
        erasure.audit_files += files;
        if files == 0 && orphans.is_empty() {
            return Ok(());
        }
        self.delete_superseded(&log, &state, orphans).await
    }
}

fn without_payloads(rows: &RecordBatch, found: &BTreeSet<Vec<u8>>) -> Result<RecordBatch> {
    let index = rows.schema_ref().index_of("payload")?;
    let payloads = rows.column(index).as_binary::<i32>();
    let hits: BooleanArray = (0..payloads.len())
        .map(|row| Some(payloads.is_valid(row) && found.contains(payloads.value(row))))
        .collect();
    let mut columns = rows.columns().to_vec();
    columns[index] = nullif(&columns[index], &hits)?;
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

/// Replaces each file that `filter` changes, until a look at the newest version finds none. The filter gives what takes
/// the rows' place, and how many of them are gone. Returns files and rows gone.
async fn rewrite(
    log: &TableLog,
    layout: &Layout,
    state: &mut Arc<TableState>,
    check: impl Fn(&TableState) -> Result<()>,
    filter: impl Fn(&RecordBatch) -> Result<(RecordBatch, u64)>,
    progress: &Progress<'_>,
) -> Result<(u64, u64)> {
    let (mut files, mut rows) = (0, 0);
    let mut clean: BTreeSet<String> = BTreeSet::new();
    loop {
        log.refresh(state).await?;
        check(state)?;
        let next = state.files.values().find(|add| !clean.contains(&add.path)).cloned();
        let Some(add) = next else { return Ok((files, rows)) };
        clean.insert(add.path.clone());
        let fence = state.fence();
        let before = concat_batches(&state.schema, &file::read(log, &state.schema, &add).await?)?;
        let (after, gone) = filter(&before)?;
        if after == before {
            progress.went_through(false);
            continue;
        }
        let layout = layout.with_keys(Generations::of_file(&add.path));
        let new = rewritten(log, &layout, &add, after).await?;
        let written: Vec<String> = new.iter().map(|add| add.path.clone()).collect();
        if replace(log, state, &[add], new, "erase", fence).await? {
            clean.extend(written);
            files += 1;
            rows += gone;
            progress.went_through(true);
        }
    }
}

/// One file with other rows in place of `old`.
pub(crate) async fn rewritten(log: &TableLog, layout: &Layout, old: &Add, rows: RecordBatch) -> Result<Vec<Add>> {
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let value = layout.partition_of(old).map(str::to_owned);
    let mut kept: Vec<usize> = (0..rows.num_columns()).collect();
    kept.remove(rows.schema_ref().index_of(layout.partition_column)?);
    let rows = vec![rows.project(&kept)?];
    Ok(vec![file::write_one(log, layout, value, rows, true).await?])
}

/// Data files no version names and none ever will: they may hold what must not stay. They are listed, then the table is
/// fenced, and whoever wrote one before the fence and wanted to commit it after it writes anew (`Fence`).
pub(crate) async fn orphans(log: &TableLog, state: &mut Arc<TableState>) -> Result<Vec<object_store::path::Path>> {
    let listing = LakeError::storage(format!("listing the files of '{}'", log.name));
    let listed: Vec<ObjectMeta> = log.store.list(None).try_collect().await.map_err(listing)?;
    log.refresh(state).await?;
    let is_data = |path: &str| path.ends_with(".parquet") && !path.starts_with("_delta_log/");
    let mut unnamed: Vec<_> = listed.into_iter().map(|found| found.location).collect();
    unnamed.retain(|path| is_data(path.as_ref()) && !state.names(path.as_ref()));
    if unnamed.is_empty() {
        return Ok(unnamed);
    }
    loop {
        let record = CommitRecord::new("fence", Uuid::new_v4());
        let action = state.fence().next();
        if let Attempt::Committed(_) = log.try_commit(state, &record, vec![action]).await? {
            break;
        }
    }
    unnamed.retain(|path| !state.names(path.as_ref()));
    Ok(unnamed)
}
