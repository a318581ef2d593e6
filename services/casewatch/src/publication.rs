//! The present for other engines: each table's history folded and published as the Delta table `current/<table>`, for
//! whoever reads the lake without casewatch and its fold.

use casewatch_contract::RecordedAt;
use casewatch_lake::Publication;
use casewatch_live::{fold_at, history_columns};

use crate::failure::Failure;
use crate::opened::Opened;

/// Publishes every table that was ever supplied, one after another; returns how many were. A table that was changed by
/// an erasure meanwhile is left to the next time.
///
/// # Errors
/// A table that cannot be read or published. What was published before it stays.
pub async fn publish(opened: &Opened) -> Result<u64, Failure> {
    let forever = RecordedAt(i64::MAX);
    let mut published = 0;
    for table in opened.contract.tables() {
        let lake = &opened.lake;
        if lake.snapshot(table.clone()).await.map_err(Failure::failed)?.is_none() {
            continue;
        }
        let publication = lake.begin_publication(table).await.map_err(Failure::failed)?;
        // What is published is read after the publication began, or an erasure in between would be missed.
        let snapshot = lake.snapshot(table.clone()).await.map_err(Failure::failed)?;
        let Some(snapshot) = snapshot else { continue };
        let columns = history_columns(table);
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let history = snapshot.scan(Some(&columns), &[]).await.map_err(Failure::failed)?;
        let present = fold_at(table, history, forever, forever, None)
            .await
            .map_err(Failure::failed)?;
        published += u64::from(publication.publish(&present.batches).await.map_err(Failure::failed)?);
        Publication::tidy(lake, table).await.map_err(Failure::failed)?;
    }
    Ok(published)
}
