//! Images of the live tables while they run: what they may be used with, and the task that saves them.
//!
//! The folding thread takes an image, which costs it the keys and not the rows, and hands it over; writing happens here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{Contract, HmacKeys, Privacy, TopicSpec};
use casewatch_lake::{Erased, Lake};
use casewatch_live::{Image, ImageError, Images, Origin};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::decoding::DecodeContext;

/// Where images go, and how often.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    pub root: PathBuf,
    pub interval: Duration,
}

/// The time a last image has while everything stops.
const LAST_IMAGE: Duration = Duration::from_millis(3_000);
/// How often the list of the erased is looked at.
const ERASED_POLL: Duration = Duration::from_secs(3);
/// Hashed under each domain's key to tell keys apart.
const KEY_CHECK: &str = "casewatch: are the keys of this image the keys of today?";

/// The images of a reader of `topics`, hashed as `context` does.
pub(crate) fn images(
    options: &ImageOptions,
    config: &KafkaConfig,
    contract: &Contract,
    topics: &[Arc<TopicSpec>],
    context: &DecodeContext,
) -> Images {
    let read = topics.iter().map(|topic| {
        let TopicSpec {
            topic,
            table,
            epoch,
            order,
            encoding,
            shape,
        } = topic.as_ref();
        format!(
            "{}/{topic}/{epoch} {table} {order:?} {encoding:?} {shape:?}",
            config.cluster
        )
    });
    let origin = Origin {
        topics: read.collect(),
        keys: key_checks(contract, &context.keys),
    };
    Images::new(&options.root, &config.cluster, origin)
}

fn key_checks(contract: &Contract, keys: &HmacKeys) -> BTreeMap<String, String> {
    let columns = contract.tables().flat_map(|table| &table.columns);
    let domains = columns.filter_map(|column| match &column.privacy {
        Privacy::Hmac(domain) if keys.has(domain) => Some(domain),
        _ => None,
    });
    domains
        .map(|domain| (domain.to_string(), keys.apply(domain, KEY_CHECK)))
        .collect()
}

/// The folding thread's side: when an image is due, and where it goes.
pub(crate) struct Saving {
    pub(crate) sender: mpsc::Sender<Image>,
    pub(crate) interval: Duration,
    pub(crate) due: Instant,
}

/// Saves what it is handed until nobody hands over any more.
pub(crate) fn start_saver(
    images: Images,
    lake: Arc<Lake>,
    stop: CancellationToken,
) -> (mpsc::Sender<Image>, JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::channel::<Image>(1);
    let saver = tokio::spawn(async move {
        while let Some(image) = receiver.recv().await {
            let started = Instant::now();
            let deadline = stop.is_cancelled().then(|| started + LAST_IMAGE);
            match images.save(image, &lake, deadline).await {
                Ok(bytes) => {
                    let took_ms = started.elapsed().as_millis() as u64;
                    tracing::info!(bytes, took_ms, folder = %images.folder().display(), "image of the live tables saved");
                }
                Err(error @ (ImageError::Overtaken { .. } | ImageError::OutOfTime { .. })) => {
                    tracing::info!("no image saved: {error}");
                }
                Err(error) => tracing::warn!("no image saved, the next start reads more of the lake: {error}"),
            }
        }
    });
    (sender, saver)
}

/// Waits for the last image as long as stopping may take.
pub(crate) async fn finish_saver(saver: JoinHandle<()>) {
    if tokio::time::timeout(LAST_IMAGE + Duration::from_millis(300), saver)
        .await
        .is_err()
    {
        tracing::info!("the last image was not written in time; the next start uses the one before or the lake");
    }
}

/// Watches the list of the erased: when it has grown, images that know less are deleted, and `notice` gets the list.
pub(crate) async fn watch_erased(lake: Arc<Lake>, images: Option<Images>, notice: watch::Sender<Arc<Erased>>) {
    let mut known = notice.borrow().entries();
    loop {
        tokio::time::sleep(ERASED_POLL).await;
        let list = match lake.erased_entries().await {
            Ok(entries) if entries == known => continue,
            Ok(_) => Erased::load(&lake).await,
            Err(error) => Err(error),
        };
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(%error, "the list of the erased is looked at again");
                continue;
            }
        };
        known = list.entries();
        if let Some(Err(error)) = images.as_ref().map(Images::discard) {
            tracing::warn!("an image that an erasure overtook is still there: {error}");
        }
        notice.send_replace(Arc::new(list));
    }
}
