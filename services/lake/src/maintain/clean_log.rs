//! Log clean-up: commits below the last checkpoint go, after what they recorded has been copied to `_commits`.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::log::{TableLog, checkpoint_path, commit_path};

pub(crate) async fn clean_log(lake: &Arc<Lake>, table: &str, keep: Duration) -> Result<u64> {
    let log = lake.log(table);
    let Some(checkpoint) = log.last_checkpoint().await? else {
        return Ok(0);
    };
    let oldest_kept = chrono::Utc::now() - chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
    let mut below = 0;
    for version in log.entries().await?.commits.range(..checkpoint) {
        match log.store.head(&commit_path(*version)).await {
            Ok(found) if found.last_modified <= oldest_kept => below = version + 1,
            Ok(_) => break,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(LakeError::storage(format!("looking at the log of '{table}'"))(error)),
        }
    }
    clean_log_below(lake, &log, below).await
}

/// Deletes the commits and checkpoints below `below`, which is at most the last checkpoint's version.
pub(crate) async fn clean_log_below(lake: &Arc<Lake>, log: &TableLog, below: u64) -> Result<u64> {
    let checkpoint = log.last_checkpoint().await?.unwrap_or(0);
    let below = below.min(checkpoint);
    if below == 0 {
        return Ok(0);
    }
    if log.holds_history() {
        lake.move_commits(&log.name, below).await?;
    }
    let _guard = lake.rewriter(&log.name).await;
    // What is about to be the only record of the past has to be readable.
    log.read_checkpoint(checkpoint).await?;
    let entries = log.entries().await?;
    let commits = entries.commits.range(..below).map(|version| commit_path(*version));
    let checkpoints = entries
        .checkpoints
        .range(..below)
        .map(|version| checkpoint_path(*version));
    let doomed: Vec<_> = commits.chain(checkpoints).map(Ok).collect();
    let count = doomed.len() as u64;
    let deleted = log.store.delete_stream(futures::stream::iter(doomed).boxed());
    deleted
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(LakeError::storage(format!("cleaning the log of '{}'", log.name)))?;
    Ok(count)
}
