//! Vacuum: files that no version needs any more, and those that never made it into a commit.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::log::TableState;

pub(crate) async fn vacuum(lake: &Arc<Lake>, table: &str, keep: Duration) -> Result<u64> {
    let _guard = lake.rewriter(table).await;
    let log = lake.log(table);
    // Listed before the state is read: a file committed in between is active in the state.
    let listing = || LakeError::storage(format!("listing the files of table '{table}'"));
    let listed: Vec<ObjectMeta> = log.store.list(None).try_collect().await.map_err(listing())?;
    let Some(state) = lake.state(&log).await? else {
        return Ok(0);
    };
    let before = Utc::now() - chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
    let doomed: Vec<_> = listed
        .into_iter()
        .filter(|found| is_rubbish(found, &state, before))
        .map(|found| Ok(found.location))
        .collect();
    let count = doomed.len() as u64;
    let deleted = log.store.delete_stream(futures::stream::iter(doomed).boxed());
    deleted
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(LakeError::storage(format!("deleting files of table '{table}'")))?;
    Ok(count)
}

fn is_rubbish(found: &ObjectMeta, state: &TableState, before: DateTime<Utc>) -> bool {
    let path = found.location.as_ref();
    if is_log(&found.location) || state.files.contains_key(path) {
        return false;
    }
    match state.removed.get(path) {
        Some(removed_at) => *removed_at <= before.timestamp_millis(),
        None => found.last_modified <= before,
    }
}

fn is_log(path: &Path) -> bool {
    path.parts().next().is_some_and(|part| part.as_ref() == "_delta_log")
}
