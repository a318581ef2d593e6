//! The folder of images: which one may be used, how one is moved in, and how erasure is not undone by one.
//!
//! A ready image is `image-<ms>`, one being written `building-<ms>`. The newest replaces all others; one that may not be
//! used is deleted. Images hold rows of people: folders are readable by their owner only.
//!
//! **Invariant: no image outlives an erasure that it does not know of.** The erased list of the lake grows first, and
//! images are deleted after. A saver makes its folder and looks at the list *then*, before it writes into it: either it
//! sees the longer list and writes nothing, or its folder was there to be deleted, and a file in a deleted folder can be
//! neither made nor moved in. It looks again before and after moving in. What an erasure cannot reach - an image on
//! another machine - is refused and deleted by whoever would load it, and by a running reader as soon as it notices.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use casewatch_contract::{Table, TableName};
use casewatch_lake::{Lake, LakeError, Snapshot};

use crate::image::{self, Image, ImageError, LakeMark, Origin, file_error};
use crate::set::LiveSet;

const READY: &str = "image-";
const BUILDING: &str = "building-";

/// The images of one reader.
#[derive(Debug, Clone)]
pub struct Images {
    folder: PathBuf,
    origin: Origin,
}

impl Images {
    /// Images under `root`, in a folder of their own for `cluster`.
    pub fn new(root: &Path, cluster: &str, origin: Origin) -> Self {
        let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
        Self {
            folder: root.join(cluster.chars().map(plain).collect::<String>()),
            origin,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills `set`, which must be empty and know the erased, from the newest image that agrees with this contract, these
    /// topics and keys, and the lake as it is now. True when there was one; why another was not used is logged.
    ///
    /// # Errors
    /// A lake that cannot be read. An image that cannot be read is no error: the lake has everything.
    pub async fn load(&self, mut set: LiveSet, lake: &Arc<Lake>) -> Result<(LiveSet, bool), LakeError> {
        for leftover in entries(&self.folder, BUILDING) {
            remove(&leftover);
        }
        for path in entries(&self.folder, READY).into_iter().rev() {
            let started = Instant::now();
            let tables = set.tables.values().map(|slot| slot.live.table().clone()).collect();
            let snapshots = snapshots(lake, tables).await?;
            let (origin, erased, here) = (self.origin.clone(), set.erased.clone(), path.clone());
            let loading = tokio::task::spawn_blocking(move || {
                let outcome = load_one(&mut set, &here, &origin, &snapshots, &erased);
                (set, outcome)
            });
            let loaded = loading.await.map_err(LakeError::Worker)?;
            set = loaded.0;
            match loaded.1 {
                Ok(None) => {
                    let took_ms = started.elapsed().as_millis() as u64;
                    tracing::info!(image = %path.display(), took_ms, "live tables restored from an image");
                    return Ok((set, true));
                }
                Ok(Some(misfit)) => {
                    tracing::info!(image = %path.display(), "image not used and deleted: {misfit}");
                }
                Err(error) => tracing::warn!("image not used and deleted, the lake is read instead: {error}"),
            }
            remove(&path);
        }
        Ok((set, false))
    }

    /// Writes `image` and moves it in, in place of all others. Returns its bytes.
    ///
    /// # Errors
    /// A folder that cannot be written, a lake that cannot be asked, a deadline that passed, an erasure meanwhile. No
    /// part of an image stays then, unless the folder does not let itself be deleted.
    pub async fn save(&self, image: Image, lake: &Arc<Lake>, deadline: Option<Instant>) -> Result<u64, ImageError> {
        let entries_known = image.erased.entries();
        let building = self.begin()?;
        let saved = self.save_in(&building, image, lake, deadline).await;
        match saved {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                remove(&building);
                match lake.erased_entries().await {
                    Ok(entries) if entries != entries_known => Err(ImageError::Overtaken { path: building }),
                    _ => Err(error),
                }
            }
        }
    }

    async fn save_in(
        &self,
        building: &Path,
        image: Image,
        lake: &Arc<Lake>,
        deadline: Option<Instant>,
    ) -> Result<u64, ImageError> {
        let known = image.erased.entries();
        let still_known = async |path: &Path| match lake.erased_entries().await? {
            entries if entries == known => Ok(()),
            _ => Err(ImageError::Overtaken { path: path.to_owned() }),
        };
        still_known(building).await?;
        let marks: BTreeMap<TableName, LakeMark> = snapshots(lake, image.tables())
            .await?
            .iter()
            .map(|(name, snapshot)| (name.clone(), LakeMark::of(snapshot)))
            .collect();
        let (origin, here) = (self.origin.clone(), building.to_owned());
        let writing = tokio::task::spawn_blocking(move || image.write(&here, origin, marks, deadline));
        let bytes = writing.await.map_err(LakeError::Worker)??;
        still_known(building).await?;
        let number = building
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix(BUILDING));
        let ready = self.folder.join(format!("{READY}{}", number.unwrap_or_default()));
        fs::rename(building, &ready).map_err(file_error(&ready))?;
        if let Err(error) = still_known(&ready).await {
            remove(&ready);
            return Err(error);
        }
        for other in entries(&self.folder, READY).into_iter().filter(|path| *path != ready) {
            remove(&other);
        }
        Ok(bytes)
    }

    fn begin(&self) -> Result<PathBuf, ImageError> {
        let now_ms = chrono::Utc::now().timestamp_millis();
        let building = self.folder.join(format!("{BUILDING}{now_ms:015}"));
        private_folder(&self.folder).map_err(file_error(&self.folder))?;
        private_folder(&building).map_err(file_error(&building))?;
        Ok(building)
    }

    /// Deletes every image of this reader, ready or not.
    ///
    /// # Errors
    /// A folder that cannot be deleted.
    pub fn discard(&self) -> Result<(), ImageError> {
        discard_in(&self.folder)
    }

    /// Deletes every image under `root`, of whatever cluster: what an erasure does once the list has grown.
    ///
    /// # Errors
    /// A folder that cannot be deleted.
    pub fn discard_all(root: &Path) -> Result<(), ImageError> {
        let clusters = match fs::read_dir(root) {
            Ok(clusters) => clusters,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(file_error(root)(error)),
        };
        for cluster in clusters {
            discard_in(&cluster.map_err(file_error(root))?.path())?;
        }
        Ok(())
    }
}

/// Fills `set` from one image, or says why not.
fn load_one(
    set: &mut LiveSet,
    path: &Path,
    origin: &Origin,
    lake: &BTreeMap<TableName, Snapshot>,
    erased: &casewatch_lake::Erased,
) -> Result<Option<String>, ImageError> {
    let manifest = image::read_manifest(path)?;
    if let Some(misfit) = manifest.misfit(&set.contract_texts(), origin, lake, erased) {
        return Ok(Some(misfit));
    }
    image::load(set, manifest, path)?;
    Ok(None)
}

async fn snapshots(lake: &Arc<Lake>, tables: Vec<Arc<Table>>) -> Result<BTreeMap<TableName, Snapshot>, LakeError> {
    let mut snapshots = BTreeMap::new();
    for table in tables {
        if let Some(snapshot) = lake.snapshot(table.clone()).await? {
            snapshots.insert(table.name.clone(), snapshot);
        }
    }
    Ok(snapshots)
}

/// What a folder has whose name starts so, oldest first.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// A folder moved in while it was to be deleted is found by the next look.
fn discard_in(folder: &Path) -> Result<(), ImageError> {
    const TRIES: usize = 20;
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        let images = [entries(folder, BUILDING), entries(folder, READY)].concat();
        if images.is_empty() {
            return Ok(());
        }
        for image in images {
            outcome = match fs::remove_dir_all(&image) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(&image)(error)),
                _ => Ok(()),
            };
        }
    }
    outcome
}

fn remove(image: &Path) {
    match fs::remove_dir_all(image) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(image = %image.display(), "cannot be deleted: {error}");
        }
        _ => {}
    }
}

fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
