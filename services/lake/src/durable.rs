//! A local folder whose writes survive a power cut: contents are synced before the name appears, and the folder that
//! holds the name before the write is confirmed. (object_store's own local store syncs nothing.)

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

const STORE: &str = "DurableFolder";

#[derive(Debug, Clone)]
pub(crate) struct DurableFolder {
    inner: Arc<LocalFileSystem>,
}

impl DurableFolder {
    pub fn new() -> Self {
        Self {
            inner: Arc::new(LocalFileSystem::new()),
        }
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let target = self.inner.path_to_filesystem(location)?;
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(Error::NotSupported {
                    source: "update in place".into(),
                });
            }
        };
        let shown = location.to_string();
        tokio::task::spawn_blocking(move || write_through(&target, &payload, create))
            .await?
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::AlreadyExists {
                    path: shown,
                    source: Box::new(source),
                },
                _ => Error::Generic {
                    store: STORE,
                    source: Box::new(source),
                },
            })?;
        let written = self.inner.head(location).await?;
        Ok(PutResult {
            e_tag: written.e_tag,
            version: None,
        })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Whole {
            store: self.clone(),
            location: location.clone(),
            parts: Vec::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts, written through as one file when complete.
#[derive(Debug)]
struct Whole {
    store: DurableFolder,
    location: Path,
    parts: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for Whole {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.extend(data.iter().cloned());
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.parts));
        self.store
            .put_opts(&self.location, payload, PutOptions::default())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

/// Stage, sync, link (or rename over), sync the folder. The staged name ends in `#digits`, which the local store never
/// lists, so a crash leaves nothing that a reader sees.
fn write_through(target: &FsPath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let folder = target
        .parent()
        .ok_or_else(|| io::Error::other("a file needs a folder"))?;
    create_folder_through(folder)?;
    let staged = staged_name(target);
    let outcome = stage(&staged, payload).and_then(|()| match create {
        true => fs::hard_link(&staged, target),
        false => fs::rename(&staged, target),
    });
    if create || outcome.is_err() {
        let _ = fs::remove_file(&staged);
    }
    outcome?;
    File::open(folder)?.sync_all()
}

fn staged_name(target: &FsPath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    PathBuf::from(name)
}

fn stage(staged: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(staged)?;
    for part in payload.iter() {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Each folder made is synced into the one above it.
fn create_folder_through(folder: &FsPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or_else(|| io::Error::other("no root folder"))?;
    create_folder_through(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_durable_folder_creates_once_and_leaves_no_staged_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableFolder::new();
        let path = Path::from_absolute_path(folder.path().join("new/sub/0.json")).unwrap();
        let create = PutOptions {
            mode: PutMode::Create,
            ..Default::default()
        };
        store.put_opts(&path, "first".into(), create.clone()).await.unwrap();
        let second = store.put_opts(&path, "second".into(), create).await.unwrap_err();
        assert!(matches!(second, Error::AlreadyExists { .. }), "{second}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "first");
        store
            .put_opts(&path, "third".into(), PutOptions::default())
            .await
            .unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "third");
        assert_eq!(fs::read_dir(folder.path().join("new/sub")).unwrap().count(), 1);
    }
}
