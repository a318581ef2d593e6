//! Compaction: many small files of a month become one, sorted by key, saying the same.
//!
//! It is a commit of ours like any other: on a lost race it looks whether every file it replaces is still active, and
//! only then tries again. (delta-rs lets two rewrites of one file both commit.)

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use deltalake::kernel::{Action, Add};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use super::MaintainOptions;
use crate::account::CommitRecord;
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::Generations;
use crate::lake::Lake;
use crate::log::{Attempt, Fence, TableLog, TableState};
use crate::schema::Layout;

const MAX_STORE_ERRORS: usize = 3;

pub(crate) async fn compact(lake: &Arc<Lake>, layout: &Layout, options: &MaintainOptions) -> Result<(u64, u64)> {
    let _guard = lake.rewriter(&layout.name).await;
    let log = lake.log(&layout.name);
    let Some(mut state) = lake.state(&log).await? else {
        return Ok((0, 0));
    };
    let (mut merged, mut written) = (0, 0);
    for bin in bins(&state, layout, options, chrono::Utc::now().timestamp_millis()) {
        if merge(&log, layout, &mut state, &bin).await? {
            merged += bin.len() as u64;
            written += 1;
        }
    }
    Ok((merged, written))
}

/// Files worth merging, by month and by the keys their identities went through. From the smallest up, a file joins while it is not larger than all before it together,
/// so that a row is rewritten a number of times that grows with the logarithm of the month only.
fn bins(state: &TableState, layout: &Layout, options: &MaintainOptions, now_ms: i64) -> Vec<Vec<Arc<Add>>> {
    let mut alike: BTreeMap<(Option<String>, Generations), Vec<Arc<Add>>> = BTreeMap::new();
    for add in state.files.values() {
        let month = layout.partition_of(add).map(str::to_owned);
        let keys = Generations::of_file(&add.path);
        alike.entry((month, keys)).or_default().push(add.clone());
    }
    alike
        .into_values()
        .filter_map(|files| bin(files, options, now_ms))
        .collect()
}

fn bin(mut files: Vec<Arc<Add>>, options: &MaintainOptions, now_ms: i64) -> Option<Vec<Arc<Add>>> {
    let newest = files.iter().map(|add| add.modification_time).max()?;
    let quiet = i64::try_from(options.quiet_after.as_millis()).unwrap_or(i64::MAX);
    let least = if now_ms.saturating_sub(newest) > quiet {
        2
    } else {
        options.small_files.max(2)
    };
    let size = |add: &Add| u64::try_from(add.size).unwrap_or(0);
    let rows = |add: &Add| {
        file::row_count(add)
            .and_then(|rows| u64::try_from(rows).ok())
            .unwrap_or(0)
    };
    files.retain(|add| size(add) < options.target_file_bytes / 2);
    files.sort_by_key(|add| add.size);
    let mut chosen: Vec<Arc<Add>> = Vec::new();
    let (mut total, mut total_rows) = (0, 0);
    for add in files {
        let fits =
            total + size(&add) <= options.target_file_bytes && total_rows + rows(&add) <= options.target_file_rows;
        let worth = chosen.len() < least || size(&add) <= total;
        if !fits || !worth {
            break;
        }
        total += size(&add);
        total_rows += rows(&add);
        chosen.push(add);
    }
    (chosen.len() >= least).then_some(chosen)
}

async fn merge(log: &TableLog, layout: &Layout, state: &mut Arc<TableState>, bin: &[Arc<Add>]) -> Result<bool> {
    let (schema, fence) = (state.schema.clone(), state.fence());
    let reads = bin.iter().map(|add| {
        let (add, schema) = (add.clone(), schema.clone());
        async move { file::read(log, &schema, &add).await }
    });
    let read: Result<Vec<Vec<RecordBatch>>> = futures::stream::iter(reads).buffered(8).try_collect().await;
    let batches = match read {
        Ok(read) => read.concat(),
        Err(error) if error.is_file_gone() => return Ok(false),
        Err(error) => return Err(error),
    };
    let sort = layout.sort.clone();
    let rows = tokio::task::spawn_blocking(move || sorted(&schema, &batches, &sort)).await??;
    let mut parts = file::split(layout, &rows)?;
    let Some((value, rows)) = parts.pop_first() else {
        return Ok(false);
    };
    let keys = bin
        .first()
        .map(|add| Generations::of_file(&add.path))
        .unwrap_or_default();
    let merged = file::write_one(log, &layout.with_keys(keys), value, vec![rows], false).await?;
    replace(log, state, bin, vec![merged], "compact", fence).await
}

fn sorted(schema: &SchemaRef, batches: &[RecordBatch], by: &[String]) -> Result<RecordBatch> {
    let rows = concat_batches(schema, batches)?;
    let columns: Vec<ArrayRef> = by
        .iter()
        .filter_map(|name| rows.column_by_name(name).cloned())
        .collect();
    if columns.is_empty() {
        return Ok(rows);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    let keys = RowConverter::new(fields.collect())?.convert_columns(&columns)?;
    let count = u32::try_from(rows.num_rows()).expect("a bin has fewer than 2^32 rows");
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|&a, &b| keys.row(a as usize).cmp(&keys.row(b as usize)));
    Ok(take_record_batch(&rows, &UInt32Array::from(order))?)
}

/// Replaces files by others in one commit. `false` when one of the old files is not active any more or the table was
/// fenced since `fence`, which stood when the new ones were written: they are deleted then.
pub(crate) async fn replace(
    log: &TableLog,
    state: &mut Arc<TableState>,
    old: &[Arc<Add>],
    new: Vec<Add>,
    kind: &str,
    fence: Fence,
) -> Result<bool> {
    let data_change = kind != "compact";
    let mut record = CommitRecord::new(kind, Uuid::new_v4());
    record.files = new.len() as u64;
    record.bytes = new.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
    let mut errors = 0;
    loop {
        if state.version_of(record.id).is_some() {
            return Ok(true);
        }
        if state.fence() != fence || !old.iter().all(|add| state.files.contains_key(&add.path)) {
            if !new.is_empty() && new.iter().all(|add| state.files.contains_key(&add.path)) {
                return Ok(true);
            }
            delete_unneeded(log, &new).await;
            return Ok(false);
        }
        let removals = old.iter().map(|add| Action::Remove(file::removal(add, data_change)));
        let actions = removals.chain(new.iter().cloned().map(Action::Add)).collect();
        match log.try_commit(state, &record, actions).await {
            Ok(Attempt::Committed(_)) => return Ok(true),
            Ok(Attempt::Lost) => {}
            Err(error) => {
                errors += 1;
                if errors >= MAX_STORE_ERRORS || !LakeError::is_retryable(&error) {
                    return Err(error);
                }
                log.refresh(state).await?;
            }
        }
    }
}

/// They may hold what is being erased or rotated; what cannot be deleted now, vacuum finds.
pub(crate) async fn delete_unneeded(log: &TableLog, files: &[Add]) {
    for add in files {
        if let Err(error) = log.store.delete(&Path::from(add.path.as_str())).await {
            tracing::warn!(table = %log.name, %error, "a file that came too late stays until vacuum");
        }
    }
}
