//! The published present: for each table a Delta table `current/<table>` with one row a key, for engines that cannot fold
//! a history. It is a copy that may be made again at any time, and never read by casewatch itself.
//!
//! A publication replaces all rows in one commit on the state that was loaded before anything else was looked at. An
//! erasure commits to the same log first, so a publication folded before it is lost and one after it leaves the erased
//! out. A rotation of keys drops the tables: identities of the old keys would join with nothing.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use casewatch_contract::Table;
use deltalake::kernel::Action;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::erased::Erased;
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::{self, Generations};
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};
use crate::maintain::{self, delete_unneeded};
use crate::schema::Layout;

const FOLDER: &str = "current";
/// The day a row was published, in UTC. A publication is whole, so all rows have the same.
const PUBLISHED_ON: &str = "_published_on";
/// Commits and files of earlier publications stay for so long: longer than a query of another engine.
const KEEP: Duration = Duration::from_secs(24 * 3600);
const CHECKPOINT_EVERY: u64 = 50;

/// A publication that has begun: what it is committed on was loaded before what it is made of.
#[derive(Debug)]
pub struct Publication {
    lake: Arc<Lake>,
    table: Arc<Table>,
    log: TableLog,
    layout: Layout,
    state: Arc<TableState>,
    erased: Erased,
}

pub(crate) fn layout(table: &Table) -> Layout {
    let own = table.schema();
    let own = own
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    let day = Field::new(PUBLISHED_ON, DataType::Utf8, true);
    Layout {
        name: format!("{FOLDER}/{}", table.name),
        schema: Arc::new(Schema::new(own.chain([day]).collect::<Vec<_>>())),
        partition_column: PUBLISHED_ON,
        ..Layout::of_table(table)
    }
}

impl Lake {
    /// Begins the publication of a table's present. What is published is to be read from the lake after this.
    pub async fn begin_publication(self: &Arc<Self>, table: &Arc<Table>) -> Result<Publication> {
        let layout = layout(table).with_keys(Generations::of_keys(&self.keys, table));
        let log = self.log(&layout.name);
        let state = self.ensure(&log, &layout).await?;
        // Read after the state: what comes later onto the list commits to the log first.
        let erased = Erased::load(self).await?;
        Ok(Publication {
            lake: self.clone(),
            table: table.clone(),
            log,
            layout,
            state,
            erased,
        })
    }

    /// The published tables as the lake keeps them: log and layout.
    pub(crate) fn published(&self, table: &Table) -> (TableLog, Layout) {
        let layout = layout(table);
        (self.log(&layout.name), layout)
    }

    /// Drops the published table: files and log.
    pub(crate) async fn unpublish(&self, table: &Table) -> Result<()> {
        let (log, _) = self.published(table);
        let _guard = self.rewriter(&log.name).await;
        let doing = || LakeError::storage(format!("dropping table '{}'", log.name));
        let listed: Vec<ObjectMeta> = log.store.list(None).try_collect().await.map_err(doing())?;
        let doomed = listed.into_iter().map(|found| Ok(found.location)).collect::<Vec<_>>();
        let mut deleted = log.store.delete_stream(futures::stream::iter(doomed).boxed());
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(doing()(error)),
            }
        }
        self.forget(&log).await;
        Ok(())
    }
}

impl Publication {
    /// Replaces the published rows by `rows`, which have at least the table's columns, in one commit. `false` when another
    /// publication, an erasure or a rotation came first: nothing was changed, and the next round will do.
    pub async fn publish(mut self, rows: &[RecordBatch]) -> Result<bool> {
        let _guard = self.lake.rewriter(&self.log.name).await;
        let day = chrono::Utc::now().format("%Y-%m-%d").to_string();
        let mut dated = Vec::with_capacity(rows.len());
        for batch in rows {
            let batch = self.erased.filter(&self.table, &own_columns(&self.table, batch)?)?;
            let days = std::iter::repeat_n(day.as_str(), batch.num_rows());
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(StringArray::from_iter_values(days)) as ArrayRef);
            let batch = RecordBatch::try_new(self.layout.schema.clone(), columns)?;
            dated.push(file::conform(&self.log.name, &batch, &self.state.schema)?);
        }
        let keys = keys::check_writer(&self.lake.keys, &self.table, &self.state)?;
        let files = file::write(&self.log, &self.layout, dated).await?;
        let mut record = CommitRecord::new("publish", Uuid::new_v4());
        record.files = files.len() as u64;
        record.bytes = files.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
        let removals = self
            .state
            .files
            .values()
            .map(|add| Action::Remove(file::removal(add, true)));
        let actions = removals.chain(files.iter().cloned().map(Action::Add));
        let actions = actions.chain(keys.map(Action::Metadata)).collect();
        let attempt = self.log.try_commit(&mut self.state, &record, actions).await;
        if matches!(attempt, Ok(Attempt::Committed(_))) {
            return Ok(true);
        }
        match self.log.refresh(&mut self.state).await {
            Ok(()) if self.state.version_of(record.id).is_some() => return Ok(true),
            // Dropped by a rotation: nothing names the files.
            Err(error) if !error.is_file_gone() => return Err(error),
            _ => {}
        }
        delete_unneeded(&self.log, &files).await;
        match attempt {
            Err(error) if !error.is_file_gone() => Err(error),
            _ => Ok(false),
        }
    }

    /// Deletes what earlier publications left, once it is old enough.
    pub async fn tidy(lake: &Arc<Lake>, table: &Table) -> Result<()> {
        let name = layout(table).name;
        maintain::checkpoint(lake, &name, CHECKPOINT_EVERY).await?;
        maintain::clean_log(lake, &name, KEEP).await?;
        maintain::vacuum(lake, &name, KEEP).await?;
        Ok(())
    }
}

/// A fold's rows in the table's own columns: without those by which casewatch dates them.
fn own_columns(table: &Table, rows: &RecordBatch) -> Result<RecordBatch> {
    let own = table.schema();
    let own = own
        .fields()
        .iter()
        .map(|field| rows.schema_ref().index_of(field.name()));
    Ok(rows.project(&own.collect::<Result<Vec<_>, _>>()?)?)
}
