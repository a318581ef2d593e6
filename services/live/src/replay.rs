//! All tables through time: history is read once, forwards, and seen at as many moments as are wanted.
//!
//! [`fold_at`](crate::fold_at) folds a table's history for one moment, so a thousand moments would read it a thousand
//! times. A [`Replay`] reads the lake month by month, as it is partitioned, keeps of the newest month the rows that the
//! moment has not reached, and folds on from the moment before. A table that does not differ is the very same
//! [`Present`](crate::Present), so that nothing which only reads such tables is computed again.
//!
//! Memory holds the tables and one month of history.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use casewatch_contract::{Contract, RecordedAt, Table, system};
use casewatch_lake::{Lake, Snapshot, is_file_gone};
use chrono::{DateTime, Datelike};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;

use crate::error::LiveError;
use crate::present::{Cut, KnownFrom};
use crate::timeline::{TableReplay, Versions};
use crate::travel::history_columns;

/// How often a table is read again because maintenance deleted a file beneath.
const SNAPSHOTS_AT_MOST: usize = 5;
/// Rows recorded before are in the partition of impossible times (RULES 27).
const FIRST_YEAR: i32 = 1990;
const LAST_MONTH: &str = "9999-12";

/// Every table of a contract, moved forwards through the history that a lake holds.
pub struct Replay {
    lake: Arc<Lake>,
    versions: Versions,
    /// What is known of the tables as a whole: `known_from`, `supplied`.
    base: Arc<Cut>,
    assume_known: bool,
    tables: Vec<Followed>,
    cuts: u64,
}

/// One table and how far it was read.
struct Followed {
    replay: TableReplay,
    snapshot: Option<Snapshot>,
    begun: bool,
    /// The last month of which every row was read.
    read: Option<String>,
}

impl Replay {
    /// `base` is a cut of the whole lake, which says since when each table is known. With `assume_known` the rows of a
    /// table's first snapshot count as known at any moment (RULES 20).
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn new(
        contract: &Contract,
        lake: Arc<Lake>,
        versions: Versions,
        base: Arc<Cut>,
        assume_known: bool,
    ) -> Result<Self, LiveError> {
        let mut tables = Vec::new();
        for table in contract.tables() {
            tables.push(Followed {
                replay: TableReplay::new(table, versions)?,
                snapshot: lake.snapshot(table.clone()).await?,
                begun: false,
                read: None,
            });
        }
        Ok(Self {
            lake,
            versions,
            base,
            assume_known,
            tables,
            cuts: 0,
        })
    }

    /// Every table at `as_of`, which never goes back from one call to the next.
    ///
    /// # Errors
    /// History that cannot be read or folded.
    pub async fn advance_to(&mut self, as_of: RecordedAt) -> Result<Arc<Cut>, LiveError> {
        let mut tables = std::collections::BTreeMap::new();
        for followed in &mut self.tables {
            let table = followed.replay.table().clone();
            let known_from = self.base.known_from.get(&table.name).map(|known| match known {
                KnownFrom::At(from) => *from,
                // Whatever was read of snapshots so far is of the first one.
                KnownFrom::SnapshotUnfinished => self.base.at,
            });
            let is_unknown = |from: &RecordedAt| match self.versions {
                Versions::AsKnownThen => true,
                Versions::KnownAt(known_at) => known_at < *from,
            };
            let assumed_until = known_from.filter(|from| self.assume_known && is_unknown(from));
            followed.begin(&self.lake, self.versions, assumed_until).await?;
            followed.read_up_to(&self.lake, self.versions, as_of).await?;
            tables.insert(table.name.clone(), followed.replay.show(as_of)?);
        }
        self.cuts += 1;
        Ok(Arc::new(Cut {
            at: self.versions.known_at(as_of),
            generation: self.cuts,
            tables,
            ..self.base.as_ref().clone()
        }))
    }
}

impl Followed {
    /// Reads what counts at any moment.
    async fn begin(
        &mut self,
        lake: &Arc<Lake>,
        versions: Versions,
        assumed_until: Option<RecordedAt>,
    ) -> Result<(), LiveError> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let known_at = match versions {
            Versions::AsKnownThen => None,
            Versions::KnownAt(known_at) => Some(known_at),
        };
        let Some(last) = known_at.max(assumed_until) else {
            return Ok(());
        };
        let months = Months {
            after: None,
            to: month_of(last),
        };
        self.read(lake, &months, |replay, rows| replay.found(rows, assumed_until))
            .await
    }

    /// Reads the months up to that of `as_of`, if they were not read.
    async fn read_up_to(&mut self, lake: &Arc<Lake>, versions: Versions, as_of: RecordedAt) -> Result<(), LiveError> {
        let months = Months {
            after: self.read.clone(),
            to: month_of(as_of.min(versions.known_at(as_of))),
        };
        if !self.replay.follows() || months.after.as_ref().is_some_and(|read| *read >= months.to) {
            return Ok(());
        }
        self.read(lake, &months, |replay, rows| replay.take(rows, as_of))
            .await?;
        self.read = Some(months.to);
        Ok(())
    }

    /// Gives the rows of some months to the fold. A file that maintenance deletes beneath the scan is no failure: the
    /// newest snapshot says the same without it, and rows that are folded twice change nothing (RULES 30).
    async fn read(
        &mut self,
        lake: &Arc<Lake>,
        months: &Months,
        mut give: impl FnMut(&mut TableReplay, &RecordBatch) -> Result<(), LiveError>,
    ) -> Result<(), LiveError> {
        let table = self.replay.table().clone();
        let mut tries = 0;
        let mut months = months.clone();
        while let Some(snapshot) = self.snapshot.clone() {
            match scan(&snapshot, &table, &months, |rows| give(&mut self.replay, rows)).await {
                Err(LiveError::History { source, .. }) if is_file_gone(&source) && tries < SNAPSHOTS_AT_MOST => {
                    tries += 1;
                    tracing::info!(table = %table.name, "a file was deleted while it was read; reading the newest snapshot");
                    self.snapshot = lake.snapshot(table.clone()).await?;
                    months.after = None;
                }
                ended => return ended,
            }
        }
        Ok(())
    }
}

/// Months of recorded time, as the lake is partitioned by them. Without a beginning, rows of no month are among them.
#[derive(Debug, Clone)]
struct Months {
    after: Option<String>,
    to: String,
}

impl Months {
    fn filter(&self) -> Expr {
        let month = || Expr::Column(Column::new_unqualified(system::RECORDED_MONTH));
        let up_to = month().lt_eq(lit(self.to.as_str()));
        match &self.after {
            Some(after) => up_to.and(month().gt(lit(after.as_str()))),
            None => up_to.or(month().eq(lit(system::INVALID_MONTH))).or(month().is_null()),
        }
    }
}

async fn scan(
    snapshot: &Snapshot,
    table: &Arc<Table>,
    months: &Months,
    mut give: impl FnMut(&RecordBatch) -> Result<(), LiveError>,
) -> Result<(), LiveError> {
    let names = history_columns(table);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rows = snapshot.scan(Some(&names), &[months.filter()]).await?;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|source| LiveError::History {
            table: table.name.clone(),
            source,
        })?;
        give(&batch)?;
    }
    Ok(())
}

/// The month in UTC, as the lake writes it; before the first and after the last that it has, text that sorts so.
fn month_of(at: RecordedAt) -> String {
    match DateTime::from_timestamp_micros(at.0) {
        Some(time) if time.year() < FIRST_YEAR => String::new(),
        Some(time) if time.year() <= 9999 => time.format("%Y-%m").to_string(),
        _ => LAST_MONTH.to_owned(),
    }
}
