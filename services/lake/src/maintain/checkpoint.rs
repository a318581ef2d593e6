//! Checkpoints: the table's state as one file, so that opening a table does not read its whole log. delta-rs writes them;
//! what it wrote is read back and compared before anything may rely on it.

use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::logstore::{StorageConfig, default_logstore};
use deltalake::protocol::checkpoints::create_checkpoint;

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::log::{TableLog, TableState};

pub(crate) async fn checkpoint(lake: &Arc<Lake>, table: &str, every: u64) -> Result<bool> {
    let log = lake.log(table);
    let Some(state) = lake.state(&log).await? else {
        return Ok(false);
    };
    let since = log
        .last_checkpoint()
        .await?
        .map_or(state.version + 1, |last| state.version.saturating_sub(last));
    if since < every {
        return Ok(false);
    }
    let _guard = lake.rewriter(table).await;
    checkpoint_now(&log, &state).await?;
    Ok(true)
}

/// Writes and verifies the checkpoint of exactly `state`.
pub(crate) async fn checkpoint_now(log: &TableLog, state: &TableState) -> Result<()> {
    let failed = || LakeError::delta(format!("writing checkpoint {} of table '{}'", state.version, log.name));
    let log_store = default_logstore(log.store.clone(), log.root.clone(), &log.url, &StorageConfig::default());
    let mut table = DeltaTable::new(log_store);
    table.load_version(state.version).await.map_err(failed())?;
    create_checkpoint(&table, None).await.map_err(failed())?;
    verify(log, state).await
}

async fn verify(log: &TableLog, state: &TableState) -> Result<()> {
    let written = log.read_checkpoint(state.version).await?;
    let same = written.is_some_and(|written| {
        written.transactions == state.transactions
            && written.files.keys().eq(state.files.keys())
            && written.schema == state.schema
    });
    match same {
        true => Ok(()),
        false => Err(LakeError::Log {
            table: log.name.clone(),
            version: state.version,
            detail: "the checkpoint does not say what the log says; nothing was cleaned".into(),
        }),
    }
}
