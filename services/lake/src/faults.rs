//! A store that fails on order, for tests: before an operation, after it (so that the caller cannot know), half way, or
//! for good, as a killed process sees it. Its contents can be replaced by older ones, as a restore does.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation does not happen.
    Before,
    /// The operation happens, and fails all the same.
    After,
    /// A put leaves half of its bytes, unless it must be atomic.
    Partial,
    /// Neither this operation nor any later one happens: the process is dead.
    Crash,
}

#[derive(Debug)]
pub(crate) struct FaultStore {
    inner: RwLock<Arc<dyn ObjectStore>>,
    /// Operations left before the fault; negative: no fault is armed.
    countdown: AtomicI64,
    fault: Mutex<Fault>,
    dead: std::sync::atomic::AtomicBool,
    pub operations: AtomicI64,
    gate: Mutex<Option<(&'static str, Arc<Gate>)>>,
}

/// Where a put waits, so that a test can do something in the very moment before it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub reached: tokio::sync::Notify,
    pub open: tokio::sync::Notify,
}

impl FaultStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner: RwLock::new(inner),
            countdown: AtomicI64::new(-1),
            fault: Mutex::new(Fault::Before),
            dead: false.into(),
            operations: AtomicI64::new(0),
            gate: Mutex::new(None),
        })
    }

    /// The next put of an object whose name ends so waits at the gate.
    pub fn hold(&self, ending: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.gate.lock().unwrap() = Some((ending, gate.clone()));
        gate
    }

    async fn pass_gate(&self, location: &Path) {
        let gate = {
            let mut held = self.gate.lock().unwrap();
            held.take_if(|(ending, _)| location.as_ref().ends_with(*ending))
        };
        if let Some((_, gate)) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
    }

    /// The operation after `operations` more fails as told.
    pub fn arm(&self, operations: i64, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
        self.countdown.store(operations, Ordering::SeqCst);
    }

    /// The store is back, with what it held.
    pub fn heal(&self) {
        self.countdown.store(-1, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }

    pub fn replace(&self, inner: Arc<dyn ObjectStore>) {
        *self.inner.write().unwrap() = inner;
    }

    /// A copy of what a store in memory holds now.
    pub async fn copy(&self) -> Arc<dyn ObjectStore> {
        let copy = object_store::memory::InMemory::new();
        let inner = self.inner();
        let listed: Vec<ObjectMeta> = inner.list(None).try_collect().await.unwrap();
        for meta in listed {
            let bytes = inner.get(&meta.location).await.unwrap().bytes().await.unwrap();
            copy.put(&meta.location, bytes.into()).await.unwrap();
        }
        Arc::new(copy)
    }

    fn inner(&self) -> Arc<dyn ObjectStore> {
        self.inner.read().unwrap().clone()
    }

    /// Called once an operation: the fault that hits it, if any.
    fn next(&self) -> Option<Fault> {
        self.operations.fetch_add(1, Ordering::SeqCst);
        if self.dead.load(Ordering::SeqCst) {
            return Some(Fault::Crash);
        }
        if self.countdown.load(Ordering::SeqCst) < 0 || self.countdown.fetch_sub(1, Ordering::SeqCst) != 0 {
            return None;
        }
        let fault = *self.fault.lock().unwrap();
        self.dead.store(fault == Fault::Crash, Ordering::SeqCst);
        Some(fault)
    }

    fn reading(&self) -> Result<()> {
        match self.next() {
            None => Ok(()),
            Some(fault) => Err(failed(fault)),
        }
    }
}

fn failed(fault: Fault) -> Error {
    Error::Generic {
        store: "FaultStore",
        source: format!("ordered to fail: {fault:?}").into(),
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.pass_gate(location).await;
        match self.next() {
            None => self.inner().put_opts(location, payload, options).await,
            Some(Fault::After) => {
                self.inner().put_opts(location, payload, options).await?;
                Err(failed(Fault::After))
            }
            Some(Fault::Partial) if location.as_ref().ends_with(".parquet") => {
                let whole: Bytes = payload.into();
                self.inner()
                    .put_opts(location, whole.slice(..whole.len() / 2).into(), options)
                    .await?;
                Err(failed(Fault::Partial))
            }
            Some(fault) => Err(failed(fault)),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.reading()?;
        self.inner().put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reading()?;
        self.inner().get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reading()?;
        self.inner().get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.reading() {
            Ok(()) => self.inner().delete_stream(locations),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.reading() {
            Ok(()) => self.inner().list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reading()?;
        self.inner().list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.reading()?;
        self.inner().copy_opts(from, to, options).await
    }
}
