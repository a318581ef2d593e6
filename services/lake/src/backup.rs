//! Backups: the whole lake at one moment, with the configuration and keys without which it is worthless, and a list of
//! checksums. Tables are pinned before the dead letters, so that no offset a pinned position covers is missing.

use std::collections::BTreeMap;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dead_letters::DEAD_LETTERS;
use crate::error::{LakeError, Result};
use crate::lake::{FORMAT, Lake, LakeConfig, MARKER, RESTORING};
use crate::log::{TableLog, checkpoint_path, commit_path};
use crate::store;

const MANIFEST: &str = "manifest.json";
const LAKE_FOLDER: &str = "lake";
const FILES_FOLDER: &str = "files";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    pub format: u32,
    /// When it was taken, in ms since 1970.
    pub taken_at_ms: i64,
    /// The pinned version of each table.
    pub versions: BTreeMap<String, u64>,
    /// Path below the backup to SHA-256 and size.
    pub files: BTreeMap<String, Checksum>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    pub sha256: String,
    pub bytes: u64,
}

impl Lake {
    /// Copies the lake and `files` (configuration, keys) to the folder `to`, which must be empty or absent.
    pub async fn backup(self: &Arc<Self>, to: &FsPath, files: &[PathBuf]) -> Result<BackupSummary> {
        refuse_used_folder(to)?;
        let mut summary = BackupSummary {
            format: FORMAT,
            taken_at_ms: chrono::Utc::now().timestamp_millis(),
            versions: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        let mut tables = self.tables().await?;
        tables.sort_by_key(|table| (table.as_str() == DEAD_LETTERS, table.clone()));
        for table in tables {
            self.back_up_table(&self.log(&table), to, &mut summary).await?;
        }
        let marker = serde_json::to_vec(&serde_json::json!({ "casewatch_format": FORMAT })).expect("plain JSON");
        keep(to, &format!("{LAKE_FOLDER}/{MARKER}"), &marker, &mut summary)?;
        for (number, path) in files.iter().enumerate() {
            let bytes = std::fs::read(path).map_err(|source| in_file(path, source))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            keep(to, &format!("{FILES_FOLDER}/{number:02}-{name}"), &bytes, &mut summary)?;
        }
        let manifest = serde_json::to_vec_pretty(&summary).expect("a summary is plain JSON");
        write(&to.join(MANIFEST), &manifest)?;
        Ok(summary)
    }

    async fn back_up_table(&self, log: &TableLog, to: &FsPath, summary: &mut BackupSummary) -> Result<()> {
        // Clean-up and vacuum of this process wait until the pinned version is copied.
        let _guard = self.rewriter(&log.name).await;
        let Some(state) = self.state(log).await? else {
            return Ok(());
        };
        let entries = log.entries().await?;
        let commits = entries
            .commits
            .range(..=state.version)
            .map(|version| commit_path(*version));
        let checkpoints = entries
            .checkpoints
            .range(..=state.version)
            .map(|version| checkpoint_path(*version));
        let data = state.files.keys().map(|path| Path::from(path.as_str()));
        for path in commits.chain(checkpoints).chain(data) {
            let reading = || LakeError::storage(format!("backing up table '{}'", log.name));
            let found = log.store.get(&path).await.map_err(reading())?;
            let bytes = found.bytes().await.map_err(reading())?;
            keep(to, &format!("{LAKE_FOLDER}/{}/{path}", log.name), &bytes, summary)?;
        }
        summary.versions.insert(log.name.clone(), state.version);
        Ok(())
    }
}

/// Brings a backup back: every checksum is verified before anything is written; the lake's place must be empty. Files
/// (configuration, keys) go to the folder `files_to`. A restore that was cut short leaves a lake that refuses to open.
pub async fn restore(from: &FsPath, config: &LakeConfig, files_to: &FsPath) -> Result<BackupSummary> {
    let refuse = |detail: String| LakeError::Backup {
        path: from.display().to_string(),
        detail,
    };
    let manifest = std::fs::read(from.join(MANIFEST)).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => refuse(format!(
            "it has no {MANIFEST}\nhint: name a folder that `casewatch backup` wrote"
        )),
        _ => in_file(&from.join(MANIFEST), source),
    })?;
    let summary: BackupSummary = serde_json::from_slice(&manifest).map_err(|error| refuse(error.to_string()))?;
    if summary.format > FORMAT {
        return Err(LakeError::FormatTooNew {
            found: summary.format,
            known: FORMAT,
        });
    }
    for (path, wanted) in &summary.files {
        let bytes = std::fs::read(from.join(path)).map_err(|source| in_file(&from.join(path), source))?;
        if checksum(&bytes) != *wanted {
            return Err(refuse(format!(
                "file '{path}' is not what was backed up\nhint: use another copy"
            )));
        }
    }
    let place = store::open(&config.root, &config.storage_options, config.durable)?;
    let found = place.store.list_with_delimiter(Some(&place.prefix)).await;
    let found = found.map_err(LakeError::storage("looking at the place to restore to"))?;
    if !found.objects.is_empty() || !found.common_prefixes.is_empty() {
        return Err(refuse(format!(
            "'{}', where it is to go, is not empty\nhint: name a new place as lake.url",
            config.root
        )));
    }
    let storing = || LakeError::storage("restoring the lake");
    let restoring = place.prefix.clone().join(RESTORING);
    place
        .store
        .put(&restoring, "a restore is under way".into())
        .await
        .map_err(storing())?;
    for path in summary.files.keys() {
        let bytes = std::fs::read(from.join(path)).map_err(|source| in_file(&from.join(path), source))?;
        match path.split_once('/') {
            Some((LAKE_FOLDER, rest)) => {
                let target = rest
                    .split('/')
                    .fold(place.prefix.clone(), |target, part| target.join(part));
                place.store.put(&target, bytes.into()).await.map_err(storing())?;
            }
            Some((_, name)) => write_secret(&files_to.join(name), &bytes)?,
            None => return Err(refuse(format!("file '{path}' has no place"))),
        }
    }
    place.store.delete(&restoring).await.map_err(storing())?;
    Ok(summary)
}

fn refuse_used_folder(to: &FsPath) -> Result<()> {
    let used = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    match used {
        true => Err(LakeError::Backup {
            path: to.display().to_string(),
            detail: "the folder is not empty\nhint: name one that is not there yet".to_owned(),
        }),
        false => Ok(()),
    }
}

fn keep(to: &FsPath, path: &str, bytes: &[u8], summary: &mut BackupSummary) -> Result<()> {
    write_secret(&to.join(path), bytes)?;
    summary.files.insert(path.to_owned(), checksum(bytes));
    Ok(())
}

fn checksum(bytes: &[u8]) -> Checksum {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Checksum {
        sha256,
        bytes: bytes.len() as u64,
    }
}

/// Readable by the owner only: a backup holds people's data and the keys to it.
fn write_secret(path: &FsPath, bytes: &[u8]) -> Result<()> {
    write(path, bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, mode).map_err(|source| in_file(path, source))?;
    }
    Ok(())
}

fn write(path: &FsPath, bytes: &[u8]) -> Result<()> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        let mut file = std::fs::File::create(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    written.map_err(|source| in_file(path, source))
}

fn in_file(path: &FsPath, source: std::io::Error) -> LakeError {
    LakeError::File {
        path: path.display().to_string(),
        source,
    }
}
