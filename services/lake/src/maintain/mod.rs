//! Maintenance: what keeps the lake small and quick without changing what it says. Everything here may run beside any
//! number of writers and readers; of two rewrites of one table one waits, or in another process loses and looks again.

mod checkpoint;
mod clean_log;
mod compact;
mod expire;
mod vacuum;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::{Contract, Table};

use crate::error::Result;
use crate::lake::Lake;
use crate::schema::Layout;
use crate::{audit, commits, dead_letters, gaps, samples};

pub(crate) use checkpoint::checkpoint_now;
pub(crate) use clean_log::clean_log_below;
pub(crate) use compact::{delete_unneeded, replace};
pub(crate) use expire::{expire, first_kept_day};

/// How maintenance works; the default is for a table of many flushes a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintainOptions {
    /// Files are merged up to this size, in bytes.
    pub target_file_bytes: u64,
    /// Files are merged up to this many rows: what is sorted in memory at once.
    pub target_file_rows: u64,
    /// So many small files of one month are worth a merge.
    pub small_files: usize,
    /// A month without a new file for so long is merged to the end.
    pub quiet_after: Duration,
    /// A checkpoint is due after so many commits.
    pub checkpoint_every: u64,
    /// Commits stay in the log for so long before they are moved to `lake.commits`.
    pub keep_log: Duration,
    /// Removed and orphaned files stay for so long: longer than the longest flush and the longest query.
    pub keep_files: Duration,
    /// Dead letters are taken out after so many days.
    pub keep_dead_letters_days: u32,
    /// Samples taken each minute are taken out after so many days; those of the close of a day never.
    pub keep_minutes_days: u32,
    /// Entries of the audit log are taken out after so many days.
    pub keep_audit_days: u32,
}

impl Default for MaintainOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 64 << 20,
            target_file_rows: 500_000,
            small_files: 8,
            quiet_after: Duration::from_secs(3600),
            checkpoint_every: 100,
            keep_log: Duration::from_secs(24 * 3600),
            keep_files: Duration::from_secs(24 * 3600),
            keep_dead_letters_days: 30,
            keep_minutes_days: 30,
            keep_audit_days: 730,
        }
    }
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    pub files_merged: u64,
    pub files_written: u64,
    pub checkpoints: u64,
    pub commits_cleaned: u64,
    pub files_deleted: u64,
    pub dead_letters_expired: u64,
    /// Files of samples taken each minute.
    pub samples_expired: u64,
    /// Files of the audit log.
    pub audit_expired: u64,
}

/// One round over every table of the contract and the lake's own. A table that fails does not keep the others from
/// their turn; the first error is returned after the round.
pub async fn run(lake: &Arc<Lake>, contract: &Contract, options: &MaintainOptions) -> Result<Maintained> {
    let own = [
        dead_letters::layout(),
        commits::layout(),
        gaps::layout(),
        samples::layout(),
        audit::layout(),
    ];
    let layouts: Vec<Layout> = contract
        .tables()
        .map(|table| Layout::of_table(table))
        .chain(own)
        .collect();
    let mut done = Maintained {
        dead_letters_expired: lake.expire_dead_letters(options.keep_dead_letters_days).await?,
        samples_expired: lake.expire_minutes(options.keep_minutes_days).await?,
        audit_expired: lake.expire_audit(options.keep_audit_days).await?,
        ..Maintained::default()
    };
    let mut failed = None;
    for layout in &layouts {
        if let Err(error) = one(lake, layout, options, &mut done).await {
            tracing::warn!(table = %layout.name, %error, "maintenance of a table failed; it is tried again next round");
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(done), Err)
}

async fn one(lake: &Arc<Lake>, layout: &Layout, options: &MaintainOptions, done: &mut Maintained) -> Result<()> {
    let (merged, written) = compact::compact(lake, layout, options).await?;
    done.files_merged += merged;
    done.files_written += written;
    done.checkpoints += u64::from(checkpoint::checkpoint(lake, &layout.name, options.checkpoint_every).await?);
    done.commits_cleaned += clean_log::clean_log(lake, &layout.name, options.keep_log).await?;
    done.files_deleted += vacuum::vacuum(lake, &layout.name, options.keep_files).await?;
    Ok(())
}

/// Merges small files of `table`; returns how many were merged, into how many.
pub async fn compact(lake: &Arc<Lake>, table: &Arc<Table>, options: &MaintainOptions) -> Result<(u64, u64)> {
    compact::compact(lake, &Layout::of_table(table), options).await
}

/// Writes a checkpoint when `every` commits have come since the last one; returns whether it did.
pub async fn checkpoint(lake: &Arc<Lake>, table: &str, every: u64) -> Result<bool> {
    checkpoint::checkpoint(lake, table, every).await
}

/// Moves what commits older than `keep` recorded to `lake.commits` and deletes them from the log; returns how many.
pub async fn clean_log(lake: &Arc<Lake>, table: &str, keep: Duration) -> Result<u64> {
    clean_log::clean_log(lake, table, keep).await
}

/// Deletes files no version needs that have been unneeded for `keep`; returns how many.
pub async fn vacuum(lake: &Arc<Lake>, table: &str, keep: Duration) -> Result<u64> {
    vacuum::vacuum(lake, table, keep).await
}

/// Adds the contract's new optional columns to the lake's table, or creates it. Returns its version.
pub async fn widen(lake: &Arc<Lake>, table: &Arc<Table>) -> Result<u64> {
    let log = lake.log(&table.name);
    Ok(lake.ensure(&log, &Layout::of_table(table)).await?.version)
}
