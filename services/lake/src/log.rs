//! One table's Delta log, read and written by compare-and-swap.
//!
//! A [`TableState`] is the table at one version: positions, files and schema together. A commit is one put-if-absent of
//! the version after it, so what was compared (a position, an active file) is what is committed against. There is no
//! conflict checker and no automatic retry in between. The state advances by reading the commits it has not seen, so the
//! cost of a commit does not grow with the number of files.
//!
//! **Invariant: a commit is confirmed only above the last checkpoint.** Log clean-up deletes commits below a checkpoint,
//! and a writer that slept through it could put a commit of an old version a second time. After each put the checkpoint
//! pointer, which clean-up writes before it deletes, is read: at or above our version, the put was into the void.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::kernel::{Action, Add, CommitInfo, Metadata, Remove, Transaction};
use deltalake::logstore::get_actions;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::{LakeError, Result};
use crate::schema;
use crate::store::Place;

/// The newest commit ids remembered, to tell our own commit from another's after an error.
const RECENT_COMMITS: usize = 256;

/// A table at one version. Cheap to share, never changed once shared.
#[derive(Debug, Clone)]
pub(crate) struct TableState {
    pub version: u64,
    pub metadata: Metadata,
    pub schema: SchemaRef,
    /// Application transactions: Delta app id to version.
    pub transactions: BTreeMap<String, i64>,
    /// Active data files by path relative to the table.
    pub files: BTreeMap<String, Arc<Add>>,
    /// Removed files whose tombstones still stand, with the time of removal in ms.
    pub removed: BTreeMap<String, i64>,
    /// Entity tag of the newest commit's object: a restored log of the same length has another.
    tip: Option<String>,
    recent: BTreeMap<u64, Uuid>,
}

impl TableState {
    /// The version in which the commit `id` landed, if it is one of the newest.
    pub fn version_of(&self, id: Uuid) -> Option<u64> {
        self.recent
            .iter()
            .find(|(_, recent)| **recent == id)
            .map(|(version, _)| *version)
    }

    pub fn fence(&self) -> Fence {
        Fence(self.transactions.get(FENCE_APP_ID).copied().unwrap_or(0))
    }

    /// Whether the data file at `path` is or was part of the table.
    pub fn names(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.removed.contains_key(path)
    }
}

/// How often files that nobody named were cut off from ever being named. A file is committed only on top of a state with
/// the fence that stood before the file was written; otherwise it is written anew. So a file that was listed before a
/// fence and is not named by the state after it can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence(i64);

const FENCE_APP_ID: &str = "casewatch-fence";

impl Fence {
    /// The action that puts up the next one.
    pub fn next(self) -> Action {
        Action::Txn(Transaction::new(FENCE_APP_ID, self.0 + 1))
    }
}

/// How one attempt to commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Committed(u64),
    /// Another commit took this version; the state has been reloaded and must be compared again.
    Lost,
}

#[derive(Debug, Clone)]
pub(crate) struct TableLog {
    pub name: String,
    /// Rooted at the table.
    pub store: Arc<dyn ObjectStore>,
    /// The table's place below the lake's store.
    pub prefix: Path,
    pub url: Url,
    pub root: Arc<dyn ObjectStore>,
}

#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

impl TableLog {
    pub fn new(place: &Place, name: &str) -> Self {
        // A published table's name is a path: `current/<table>`.
        let prefix = name
            .split('/')
            .fold(place.prefix.clone(), |prefix, part| prefix.join(part));
        let url = place
            .url
            .join(&format!("{name}/"))
            .expect("a table's name is made of plain path segments");
        let store = Arc::new(PrefixStore::new(place.store.clone(), prefix.clone()));
        Self {
            name: name.to_owned(),
            store,
            prefix,
            url,
            root: place.store.clone(),
        }
    }

    /// Whether it is a table of the contract: not one of the lake's own, not a published copy.
    pub fn holds_history(&self) -> bool {
        !self.name.starts_with('_') && !self.name.contains('/')
    }

    /// The newest version, or `None` when the table was never created.
    pub async fn load(&self) -> Result<Option<Arc<TableState>>> {
        const TRIES: usize = 5;
        for _ in 1..TRIES {
            match self.load_once().await {
                // Clean-up may delete what was listed a moment ago; the newer checkpoint then holds it.
                Err(error) if error.is_file_gone() => continue,
                loaded => return loaded,
            }
        }
        self.load_once().await
    }

    async fn load_once(&self) -> Result<Option<Arc<TableState>>> {
        let entries = self.entries().await?;
        let checkpoint = entries.checkpoints.last().copied();
        let mut state = match checkpoint {
            Some(version) => self.read_checkpoint(version).await?,
            None if entries.commits.contains(&0) => None,
            None if entries.commits.is_empty() => return Ok(None),
            None => return Err(self.unreadable(0, "the first commit is missing and there is no checkpoint")),
        };
        let first = checkpoint.map_or(0, |version| version + 1);
        let newer: Vec<u64> = entries.commits.range(first..).copied().collect();
        let mut commits = futures::stream::iter(newer)
            .map(|version| async move { Ok::<_, LakeError>((version, self.read_commit(version).await?)) })
            .buffered(16);
        let mut expected = first;
        while let Some((version, commit)) = commits.try_next().await? {
            if version != expected {
                return Err(self.unreadable(expected, "the commit is missing between others"));
            }
            let (bytes, tag) = commit.ok_or_else(|| self.vanished(version))?;
            let actions = self.parse(version, &bytes)?;
            self.apply(&mut state, version, actions, tag)?;
            expected += 1;
        }
        let state = state.ok_or_else(|| self.unreadable(0, "no metadata"))?;
        if state.tip.is_none() {
            // Right at a checkpoint: take the tag of the commit it stands on.
            let tip = self.read_commit(state.version).await?.and_then(|(_, tag)| tag);
            return Ok(Some(Arc::new(TableState { tip, ..state })));
        }
        Ok(Some(Arc::new(state)))
    }

    /// Advances `state` to the newest version.
    pub async fn refresh(&self, state: &mut Arc<TableState>) -> Result<()> {
        loop {
            let next = state.version + 1;
            let Some((bytes, tag)) = self.read_commit(next).await? else {
                break;
            };
            let actions = self.parse(next, &bytes)?;
            self.advance(Arc::make_mut(state), next, actions, tag)?;
        }
        if !self.stands_on(state).await? {
            *state = self.load().await?.ok_or_else(|| self.vanished(0))?;
        }
        Ok(())
    }

    /// Whether the log still ends in `state`: not overtaken by a clean-up, not replaced by a restore.
    async fn stands_on(&self, state: &TableState) -> Result<bool> {
        if self
            .last_checkpoint()
            .await?
            .is_some_and(|version| version > state.version)
        {
            return Ok(false);
        }
        match self.store.head(&commit_path(state.version)).await {
            Ok(found) => Ok(state.tip.is_none() || found.e_tag.is_none() || found.e_tag == state.tip),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(LakeError::storage(format!("looking at the log of '{}'", self.name))(
                error,
            )),
        }
    }

    /// Creates the table at version 0 unless another has: either way it exists afterwards.
    pub async fn create(&self, metadata: Metadata) -> Result<()> {
        let protocol = serde_json::from_value(serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2}))
            .expect("a protocol of two numbers is valid");
        let record = CommitRecord::new("create", Uuid::new_v4());
        let actions = [
            Action::CommitInfo(record.commit_info()),
            Action::Protocol(protocol),
            Action::Metadata(metadata),
        ];
        match self.put_commit(0, &actions).await {
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
            Err(error) => Err(LakeError::storage(format!("creating table '{}'", self.name))(error)),
        }
    }

    /// One attempt to commit right after `state`. On `Err` nothing is known: reload before anything else.
    pub async fn try_commit(
        &self,
        state: &mut Arc<TableState>,
        record: &CommitRecord,
        mut actions: Vec<Action>,
    ) -> Result<Attempt> {
        let version = state.version + 1;
        actions.insert(0, Action::CommitInfo(record.commit_info()));
        if !self.stands_on(state).await? {
            self.refresh(state).await?;
            return Ok(Attempt::Lost);
        }
        let tag = match self.put_commit(version, &actions).await {
            Ok(tag) => tag,
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                self.refresh(state).await?;
                return Ok(Attempt::Lost);
            }
            Err(error) => {
                return Err(LakeError::storage(format!("committing to table '{}'", self.name))(
                    error,
                ));
            }
        };
        if self
            .last_checkpoint()
            .await?
            .is_some_and(|checkpoint| checkpoint >= version)
        {
            tracing::warn!(table = %self.name, version, "woke up behind a log clean-up; reloading");
            *state = self.load().await?.ok_or_else(|| self.vanished(0))?;
            return Ok(Attempt::Lost);
        }
        self.advance(Arc::make_mut(state), version, actions, tag)?;
        Ok(Attempt::Committed(version))
    }

    async fn put_commit(&self, version: u64, actions: &[Action]) -> Result<Option<String>, Error> {
        let lines: Vec<String> = actions
            .iter()
            .map(|action| serde_json::to_string(action).expect("an action is plain JSON"))
            .collect();
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self
            .store
            .put_opts(&commit_path(version), lines.join("\n").into_bytes().into(), options)
            .await?;
        Ok(put.e_tag)
    }

    pub async fn read_commit(&self, version: u64) -> Result<Option<(Bytes, Option<String>)>> {
        let reading = || LakeError::storage(format!("reading version {version} of table '{}'", self.name));
        match self.store.get(&commit_path(version)).await {
            Ok(found) => {
                let tag = found.meta.e_tag.clone();
                Ok(Some((found.bytes().await.map_err(reading())?, tag)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(reading()(error)),
        }
    }

    /// What casewatch recorded of a commit, and when.
    pub async fn read_record(&self, version: u64) -> Result<Option<(CommitRecord, i64)>> {
        let Some((bytes, _)) = self.read_commit(version).await? else {
            return Ok(None);
        };
        let actions = get_actions(version, &bytes).map_err(|error| self.unreadable(version, &error.to_string()))?;
        let info = actions.into_iter().find_map(|action| match action {
            Action::CommitInfo(info) => Some(info),
            _ => None,
        });
        let info = info.unwrap_or_default();
        let record = CommitRecord::from_commit_info(&info).unwrap_or_else(|| CommitRecord::foreign(&info));
        Ok(Some((record, info.timestamp.unwrap_or_default())))
    }

    /// The version of the newest checkpoint that its pointer names.
    pub async fn last_checkpoint(&self) -> Result<Option<u64>> {
        let reading = || LakeError::storage(format!("reading the checkpoint pointer of table '{}'", self.name));
        match self.store.get(&Path::from("_delta_log/_last_checkpoint")).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(reading())?;
                Ok(serde_json::from_slice::<LastCheckpoint>(&bytes)
                    .ok()
                    .map(|pointer| pointer.version))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(reading()(error)),
        }
    }

    pub async fn entries(&self) -> Result<LogEntries> {
        let mut entries = LogEntries::default();
        let mut listed = self.store.list(Some(&Path::from("_delta_log")));
        while let Some(found) = listed.next().await {
            let found = match found {
                Ok(found) => found,
                Err(Error::NotFound { .. }) => break,
                Err(error) => return Err(LakeError::storage(format!("listing the log of '{}'", self.name))(error)),
            };
            let name = found.location.filename().unwrap_or_default();
            let Some((digits, kind)) = name.split_once('.') else {
                continue;
            };
            let Ok(version) = digits.parse::<u64>() else { continue };
            match kind {
                "json" => entries.commits.insert(version),
                "checkpoint.parquet" => entries.checkpoints.insert(version),
                _ => entries.others.insert(name.to_owned()),
            };
        }
        Ok(entries)
    }

    /// A checkpoint's rows are the actions that stand; as JSON they parse like a commit's.
    pub async fn read_checkpoint(&self, version: u64) -> Result<Option<TableState>> {
        let reading = LakeError::storage(format!("reading checkpoint {version} of table '{}'", self.name));
        let found = self.store.get(&checkpoint_path(version)).await;
        let bytes = match found {
            Ok(found) => found.bytes().await.map_err(reading)?,
            Err(error) => return Err(reading(error)),
        };
        let name = self.name.clone();
        let lines = tokio::task::spawn_blocking(move || checkpoint_lines(bytes)).await??;
        let actions = get_actions(version, &lines.into()).map_err(|error| LakeError::Log {
            table: name,
            version,
            detail: error.to_string(),
        })?;
        let mut state = None;
        self.apply(&mut state, version, actions, None)?;
        Ok(state)
    }

    fn parse(&self, version: u64, bytes: &Bytes) -> Result<Vec<Action>> {
        get_actions(version, bytes).map_err(|error| self.unreadable(version, &error.to_string()))
    }

    /// Applies the actions of `version`, to nothing when they are the table's first.
    fn apply(
        &self,
        state: &mut Option<TableState>,
        version: u64,
        actions: Vec<Action>,
        tag: Option<String>,
    ) -> Result<()> {
        if state.is_none() {
            let metadata = metadata_of(&actions).ok_or_else(|| self.unreadable(version, "no metadata"))?;
            *state = Some(TableState::empty(
                metadata.clone(),
                schema::to_arrow(&self.name, metadata)?,
            ));
        }
        let state = state.as_mut().expect("it was just made");
        self.advance(state, version, actions, tag)
    }

    /// Checks first and changes afterwards, so that a refused commit leaves the state as it was.
    fn advance(&self, state: &mut TableState, version: u64, actions: Vec<Action>, tag: Option<String>) -> Result<()> {
        for action in &actions {
            if let Action::Protocol(protocol) = action {
                let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
                if reader > 1 || writer > 2 {
                    return Err(LakeError::Protocol {
                        table: self.name.clone(),
                        reader,
                        writer,
                    });
                }
            }
        }
        if let Some(metadata) = metadata_of(&actions) {
            self.check_format(metadata)?;
            state.schema = schema::to_arrow(&self.name, metadata)?;
            state.metadata = metadata.clone();
        }
        for action in actions {
            match action {
                Action::Add(add) => {
                    state.removed.remove(&add.path);
                    state.files.insert(add.path.clone(), Arc::new(add));
                }
                Action::Remove(Remove {
                    path,
                    deletion_timestamp,
                    ..
                }) => {
                    state.files.remove(&path);
                    state.removed.insert(path, deletion_timestamp.unwrap_or_default());
                }
                Action::Txn(Transaction { app_id, version, .. }) => {
                    state.transactions.insert(app_id, version);
                }
                Action::CommitInfo(info) => state.remember(version, &info),
                Action::Metadata(_) | Action::Protocol(_) | Action::Cdc(_) | Action::DomainMetadata(_) => {}
            }
        }
        state.version = version;
        state.tip = tag;
        Ok(())
    }

    fn check_format(&self, metadata: &Metadata) -> Result<()> {
        let found = metadata
            .configuration()
            .get(schema::FORMAT_PROPERTY)
            .and_then(|text| text.parse().ok());
        match found {
            Some(found) if found > crate::FORMAT => Err(LakeError::FormatTooNew {
                found,
                known: crate::FORMAT,
            }),
            _ => Ok(()),
        }
    }

    fn unreadable(&self, version: u64, detail: &str) -> LakeError {
        LakeError::Log {
            table: self.name.clone(),
            version,
            detail: detail.to_owned(),
        }
    }

    fn vanished(&self, version: u64) -> LakeError {
        let path = format!("{}/{}", self.prefix, commit_path(version));
        let source = Error::NotFound {
            path,
            source: "the log changed while it was read".into(),
        };
        LakeError::Storage {
            doing: format!("reading the log of table '{}'", self.name),
            source,
        }
    }
}

impl TableState {
    fn empty(metadata: Metadata, schema: SchemaRef) -> Self {
        Self {
            version: 0,
            metadata,
            schema,
            transactions: BTreeMap::new(),
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            tip: None,
            recent: BTreeMap::new(),
        }
    }

    fn remember(&mut self, version: u64, info: &CommitInfo) {
        if let Some(record) = CommitRecord::from_commit_info(info) {
            self.recent.insert(version, record.id);
        }
        while self.recent.len() > RECENT_COMMITS {
            self.recent.pop_first();
        }
    }
}

/// What stands in a `_delta_log` folder.
#[derive(Debug, Default)]
pub(crate) struct LogEntries {
    pub commits: BTreeSet<u64>,
    pub checkpoints: BTreeSet<u64>,
    pub others: BTreeSet<String>,
}

pub(crate) fn commit_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

pub(crate) fn checkpoint_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"))
}

fn metadata_of(actions: &[Action]) -> Option<&Metadata> {
    actions.iter().find_map(|action| match action {
        Action::Metadata(metadata) => Some(metadata),
        _ => None,
    })
}

fn checkpoint_lines(bytes: Bytes) -> Result<Vec<u8>> {
    const ACTIONS: [&str; 5] = ["add", "remove", "txn", "metaData", "protocol"];
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let roots = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
    let wanted = roots
        .filter(|(_, field)| ACTIONS.contains(&field.name()))
        .map(|(index, _)| index);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>());
    let mut writer = arrow::json::LineDelimitedWriter::new(Cursor::new(Vec::new()));
    for batch in builder.with_projection(mask).build()? {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner().into_inner())
}
