//! The lake: its place, its marker, its tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use casewatch_contract::{HmacKeys, Table, TableName};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use crate::account::CommitRecord;
use crate::error::{LakeError, Result};
use crate::keys;
use crate::log::{Attempt, TableLog, TableState};
use crate::schema::{self, Layout};
use crate::seal::PayloadPolicy;
use crate::snapshot::Snapshot;
use crate::store::{self, Place};
use crate::writer::TableWriter;

/// Newest format this program writes. It reads and goes on with one back. 2: tables say which keys their identities
/// went through (`keys`), which programs of format 1 would not heed.
pub const FORMAT: u32 = 2;

pub(crate) const MARKER: &str = "casewatch_format.json";
/// Stands in the lake while a restore is under way.
pub(crate) const RESTORING: &str = "casewatch_restoring";

#[derive(Debug, Clone)]
pub struct LakeConfig {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub root: Url,
    /// Options of the store, by object_store's names: `aws_region`, `aws_endpoint`, ...
    pub storage_options: HashMap<String, String>,
    /// Whether files and folders are synced before a commit, on a local folder.
    pub durable: bool,
    pub payload: PayloadPolicy,
    /// The keys that identities in rows and questions went through. Without any, nothing can be told of them.
    pub keys: Arc<HmacKeys>,
}

impl LakeConfig {
    /// A lake with everything at its default: not synced, payloads of dead letters left out, no keys.
    pub fn at(root: Url) -> Self {
        Self {
            root,
            storage_options: HashMap::new(),
            durable: false,
            payload: PayloadPolicy::LeaveOut,
            keys: Arc::default(),
        }
    }
}

/// An open lake. Shared by writers, readers and maintenance of a process.
#[derive(Debug)]
pub struct Lake {
    pub(crate) place: Place,
    pub(crate) payload: PayloadPolicy,
    pub(crate) keys: Arc<HmacKeys>,
    /// The newest known state of each table, so that a refresh reads only what is new.
    states: Mutex<BTreeMap<String, Arc<TableState>>>,
    /// Maintenance of one table at a time.
    rewriters: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    casewatch_format: u32,
}

impl Lake {
    /// Opens the lake, or starts one in an empty place. A lake of a newer format is refused.
    pub async fn open(config: LakeConfig) -> Result<Arc<Self>> {
        let place = store::open(&config.root, &config.storage_options, config.durable)?;
        Self::open_at(place, config.payload, config.keys).await
    }

    /// Whether a lake is there. [`Lake::open`] would start one in an empty place.
    pub async fn is_at(config: &LakeConfig) -> Result<bool> {
        let place = store::open(&config.root, &config.storage_options, config.durable)?;
        match place.store.head(&place.prefix.clone().join(MARKER)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(LakeError::storage("reading the lake's marker")(error)),
        }
    }

    pub(crate) async fn open_at(place: Place, payload: PayloadPolicy, keys: Arc<HmacKeys>) -> Result<Arc<Self>> {
        check_marker(&place).await?;
        Ok(Arc::new(Self {
            place,
            payload,
            keys,
            states: Mutex::default(),
            rewriters: Mutex::default(),
        }))
    }

    /// The address of the lake, ending in `/`.
    pub fn root(&self) -> &Url {
        &self.place.url
    }

    /// The one who commits rows of `table`. Creates the table, or widens it by the contract's new optional columns.
    pub async fn writer(self: &Arc<Self>, table: Arc<Table>) -> Result<TableWriter> {
        TableWriter::open(self.clone(), table).await
    }

    /// The table at its newest version, pinned; `None` when it was never written. Refused while its identities went
    /// through other keys than ours, or not all of them through the same.
    pub async fn snapshot(self: &Arc<Self>, table: Arc<Table>) -> Result<Option<Snapshot>> {
        let log = self.log(&table.name);
        let Some(state) = self.state(&log).await? else {
            return Ok(None);
        };
        keys::check_reader(&self.keys, &table, &state)?;
        Ok(Some(Snapshot::new(self.clone(), log, Layout::of_table(&table), state)))
    }

    /// Names of the tables that exist; the lake's own start with an underscore.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        let listed = self.place.store.list_with_delimiter(Some(&self.place.prefix)).await;
        let listed = listed.map_err(LakeError::storage("listing the lake"))?;
        let mut tables = Vec::new();
        for folder in listed.common_prefixes {
            let Some(name) = folder.filename() else { continue };
            let log = self.log(name);
            let entries = log.entries().await?;
            if !entries.commits.is_empty() || !entries.checkpoints.is_empty() {
                tables.push(TableName::from(name));
            }
        }
        Ok(tables)
    }

    pub(crate) fn log(&self, table: &str) -> TableLog {
        TableLog::new(&self.place, table)
    }

    /// The newest state of a table.
    pub(crate) async fn state(&self, log: &TableLog) -> Result<Option<Arc<TableState>>> {
        let known = self.states.lock().await.get(&log.name).cloned();
        let state = match known {
            Some(mut state) => {
                log.refresh(&mut state).await?;
                Some(state)
            }
            None => log.load().await?,
        };
        if let Some(state) = &state {
            self.states.lock().await.insert(log.name.clone(), state.clone());
        }
        Ok(state)
    }

    /// Nothing is known of the table any more: it was dropped.
    pub(crate) async fn forget(&self, log: &TableLog) {
        self.states.lock().await.remove(&log.name);
    }

    /// The state of a table that is created, or widened, if need be. Two at once are safe: creation is put-if-absent of
    /// version 0, widening a compare-and-swap.
    pub(crate) async fn ensure(&self, log: &TableLog, layout: &Layout) -> Result<Arc<TableState>> {
        let mut state = match self.state(log).await? {
            Some(state) => state,
            None => {
                log.create(schema::metadata(layout)?).await?;
                self.state(log).await?.ok_or_else(|| LakeError::Log {
                    table: log.name.clone(),
                    version: 0,
                    detail: "the table vanished right after it was created".into(),
                })?
            }
        };
        while let Some(widened) = schema::widened(&log.name, &state.metadata, &layout.schema)? {
            let record = CommitRecord::new("widen", uuid::Uuid::new_v4());
            let action = deltalake::kernel::Action::Metadata(widened);
            if let Attempt::Committed(version) = log.try_commit(&mut state, &record, vec![action]).await? {
                tracing::info!(table = %log.name, version, "widened by new optional columns");
            }
        }
        Ok(state)
    }

    /// Held while a table is rewritten: compaction, erasure, log clean-up.
    pub(crate) async fn rewriter(&self, table: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let mutex = self.rewriters.lock().await.entry(table.to_owned()).or_default().clone();
        mutex.lock_owned().await
    }
}

async fn check_marker(place: &Place) -> Result<()> {
    let path = place.prefix.clone().join(MARKER);
    let marking = || LakeError::storage("reading the lake's marker");
    let restoring = place.prefix.clone().join(RESTORING);
    match place.store.head(&restoring).await {
        Ok(_) => {
            return Err(LakeError::Restoring {
                path: restoring.to_string(),
            });
        }
        Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(marking()(error)),
    }
    loop {
        match place.store.get(&path).await {
            Ok(found) => return accept(&path, &found.bytes().await.map_err(marking())?),
            Err(Error::NotFound { .. }) => mark(place.store.as_ref(), &path).await?,
            Err(error) => return Err(marking()(error)),
        }
    }
}

async fn mark(store: &dyn ObjectStore, path: &Path) -> Result<()> {
    let marker = serde_json::to_vec(&Marker {
        casewatch_format: FORMAT,
    })
    .expect("a marker is plain JSON");
    let options = PutOptions {
        mode: PutMode::Create,
        ..PutOptions::default()
    };
    match store.put_opts(path, marker.into(), options).await {
        Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
        Err(error) => Err(LakeError::storage("marking the lake")(error)),
    }
}

fn accept(path: &Path, bytes: &[u8]) -> Result<()> {
    let marker: Marker = serde_json::from_slice(bytes).map_err(|error| LakeError::Marker {
        path: path.to_string(),
        detail: error.to_string(),
    })?;
    match marker.casewatch_format {
        found if found > FORMAT => Err(LakeError::FormatTooNew { found, known: FORMAT }),
        _ => Ok(()),
    }
}
