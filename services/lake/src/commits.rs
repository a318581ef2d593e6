//! What every commit recorded, for ever: the newest from each table's log, the older from the table `_commits`, to which
//! maintenance moves them before it cleans a log. Together they are `lake.commits`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use casewatch_contract::{PartitionId, TableName, system};
use deltalake::kernel::{Action, Transaction};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::account::{CommitRecord, RangeRecord};
use crate::error::{LakeError, Result};
use crate::file;
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};
use crate::schema::Layout;

pub(crate) const COMMITS: &str = "_commits";
const MONTH: &str = "month";

/// One range of one commit, or a commit without ranges (compaction, widening).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitRow {
    pub table: String,
    pub version: u64,
    pub committed_at_ms: i64,
    pub kind: String,
    pub range: Option<RangeRecord>,
    pub files: u64,
    pub bytes: u64,
}

pub(crate) fn layout() -> Layout {
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        text("table"),
        number("version"),
        Field::new("committed_at", system::timestamp(), true),
        text("kind"),
        text("cluster"),
        text("topic"),
        Field::new("epoch", DataType::Int32, true),
        Field::new("partition", DataType::Int32, true),
        number("from_offset"),
        number("to_offset"),
        number("rows"),
        number("offsets"),
        number("tombstones"),
        number("dead_letters"),
        number("holes"),
        number("erased"),
        number("files"),
        number("bytes"),
        text(MONTH),
    ]);
    Layout {
        name: COMMITS.to_owned(),
        schema: Arc::new(schema),
        partition_column: MONTH,
        unseen: Vec::new(),
        sort: vec!["table".to_owned(), "version".to_owned()],
        keys: Default::default(),
    }
}

/// The app id under which a table's commits are moved: the version is the next one to move.
fn app_id(table: &str) -> String {
    format!("commits/{table}")
}

impl Lake {
    /// Every commit of a table, oldest first: moved ones and those still in its log.
    pub(crate) async fn commit_rows(&self, table: &str) -> Result<Vec<CommitRow>> {
        const TRIES: usize = 10;
        let log = self.log(table);
        for _ in 0..TRIES {
            let moved = self.state(&self.log(COMMITS)).await?;
            let first = moved
                .as_ref()
                .and_then(|state| state.transactions.get(&app_id(table)).copied())
                .unwrap_or(0);
            let first = u64::try_from(first).unwrap_or(0);
            let Some(state) = self.state(&log).await? else {
                return Ok(Vec::new());
            };
            let Some(newer) = read_logged(&log, first, state.version).await? else {
                continue;
            };
            let mut rows = match moved {
                Some(moved) => read_moved(&self.log(COMMITS), &moved, table).await?,
                None => Vec::new(),
            };
            rows.sort_by_key(|row| row.version);
            rows.extend(newer);
            return Ok(rows);
        }
        Err(LakeError::Log {
            table: table.to_owned(),
            version: 0,
            detail: "commits vanish while they are read".into(),
        })
    }

    /// The ranges by which positions moved, oldest first: what has to tile.
    #[cfg(test)]
    pub(crate) async fn commit_ranges(&self, table: &str) -> Result<Vec<RangeRecord>> {
        let rows = self.commit_rows(table).await?;
        let moves = rows.into_iter().filter(|row| row.kind != "replay");
        Ok(moves.filter_map(|row| row.range).collect())
    }

    /// Copies what commits of `table` below `until` recorded to `_commits`. Once: the transaction says how far it went.
    pub(crate) async fn move_commits(&self, table: &str, until: u64) -> Result<()> {
        let (log, target, layout) = (self.log(table), self.log(COMMITS), layout());
        let mut state = self.ensure(&target, &layout).await?;
        loop {
            let first = u64::try_from(state.transactions.get(&app_id(table)).copied().unwrap_or(0)).unwrap_or(0);
            if first >= until {
                return Ok(());
            }
            let rows = read_logged(&log, first, until - 1).await?.unwrap_or_default();
            let files = match rows.is_empty() {
                true => Vec::new(),
                false => file::write(&target, &layout, vec![to_batch(&layout.schema, &rows)?]).await?,
            };
            let moved = Transaction::new(app_id(table), i64::try_from(until).expect("a version is below 2^63"));
            let actions = files.into_iter().map(Action::Add).chain([Action::Txn(moved)]).collect();
            let record = CommitRecord::new("commits", Uuid::new_v4());
            if let Attempt::Committed(_) = target.try_commit(&mut state, &record, actions).await? {
                return Ok(());
            }
        }
    }
}

/// Records of the versions from `first` to `last`; `None` when one of them was cleaned away meanwhile.
async fn read_logged(log: &TableLog, first: u64, last: u64) -> Result<Option<Vec<CommitRow>>> {
    let mut rows = Vec::new();
    let mut records = futures::stream::iter(first..=last)
        .map(|version| async move { Ok::<_, LakeError>((version, log.read_record(version).await?)) })
        .buffered(16);
    while let Some((version, record)) = records.try_next().await? {
        let Some((record, at)) = record else { return Ok(None) };
        let row = |range: Option<RangeRecord>| CommitRow {
            table: log.name.clone(),
            version,
            committed_at_ms: at,
            kind: record.kind.clone(),
            range,
            files: record.files,
            bytes: record.bytes,
        };
        match record.ranges.is_empty() {
            true => rows.push(row(None)),
            false => rows.extend(record.ranges.iter().cloned().map(|range| row(Some(range)))),
        }
    }
    Ok(Some(rows))
}

async fn read_moved(log: &TableLog, state: &TableState, table: &str) -> Result<Vec<CommitRow>> {
    let mut rows = Vec::new();
    for add in state.files.values() {
        for batch in file::read(log, &state.schema, add).await? {
            from_batch(&batch, table, &mut rows)?;
        }
    }
    Ok(rows)
}

pub(crate) fn to_batch(schema: &SchemaRef, rows: &[CommitRow]) -> Result<RecordBatch> {
    let number = |value: &dyn Fn(&CommitRow) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<Int64Array>())
    };
    let range = |value: &dyn Fn(&RangeRecord) -> i64| number(&|row| row.range.as_ref().map(value));
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let text = |value: &dyn Fn(&CommitRow) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let partition = |row: &CommitRow| row.range.as_ref().map(|range| range.partition.clone());
    let small = |value: &dyn Fn(PartitionId) -> Option<i32>| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| partition(row).and_then(value))
                .collect::<Int32Array>(),
        )
    };
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.committed_at_ms * 1000));
    let month = |row: &CommitRow| {
        let time = chrono::DateTime::from_timestamp_millis(row.committed_at_ms)?;
        Some(time.format("%Y-%m").to_string())
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|row| Some(row.table.clone())),
        number(&|row| Some(count(row.version))),
        Arc::new(times.with_timezone("UTC")),
        text(&|row| Some(row.kind.clone())),
        text(&|row| partition(row).map(|partition| partition.cluster.to_string())),
        text(&|row| partition(row).map(|partition| partition.topic.to_string())),
        small(&|partition| i32::try_from(partition.epoch).ok()),
        small(&|partition| Some(partition.partition)),
        range(&|range| range.from),
        range(&|range| range.to),
        range(&|range| count(range.rows)),
        range(&|range| count(range.offsets)),
        range(&|range| count(range.tombstones)),
        range(&|range| count(range.dead_letters)),
        range(&|range| count(range.holes)),
        range(&|range| count(range.erased)),
        number(&|row| Some(count(row.files))),
        number(&|row| Some(count(row.bytes))),
        text(&month),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn from_batch(batch: &RecordBatch, wanted: &str, rows: &mut Vec<CommitRow>) -> Result<()> {
    let schema = batch.schema();
    let mut texts = BTreeMap::new();
    for name in ["table", "kind", "cluster", "topic"] {
        texts.insert(name, batch.column(schema.index_of(name)?).as_string::<i32>());
    }
    let number = |name: &str, row: usize| -> Result<i64> {
        let column = batch.column(schema.index_of(name)?).as_primitive::<Int64Type>();
        Ok(if column.is_valid(row) { column.value(row) } else { 0 })
    };
    let count = |name: &str, row: usize| -> Result<u64> { Ok(u64::try_from(number(name, row)?).unwrap_or(0)) };
    let epoch = batch.column(schema.index_of("epoch")?).as_primitive::<Int32Type>();
    let partition = batch.column(schema.index_of("partition")?).as_primitive::<Int32Type>();
    let times = batch
        .column(schema.index_of("committed_at")?)
        .as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        if texts["table"].value(row) != wanted {
            continue;
        }
        let range = match texts["topic"].is_valid(row) {
            false => None,
            true => Some(RangeRecord {
                partition: PartitionId {
                    cluster: texts["cluster"].value(row).into(),
                    topic: texts["topic"].value(row).into(),
                    epoch: u32::try_from(epoch.value(row)).unwrap_or(0),
                    partition: partition.value(row),
                },
                from: number("from_offset", row)?,
                to: number("to_offset", row)?,
                rows: count("rows", row)?,
                offsets: count("offsets", row)?,
                tombstones: count("tombstones", row)?,
                dead_letters: count("dead_letters", row)?,
                holes: count("holes", row)?,
                erased: count("erased", row)?,
            }),
        };
        rows.push(CommitRow {
            table: wanted.to_owned(),
            version: count("version", row)?,
            committed_at_ms: times.value(row) / 1000,
            kind: texts["kind"].value(row).to_owned(),
            range,
            files: count("files", row)?,
            bytes: count("bytes", row)?,
        });
    }
    Ok(())
}

impl Lake {
    /// Every commit of every table, as rows of `lake.commits`.
    pub(crate) async fn all_commits(&self) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for table in self.tables().await?.into_iter().filter(|table| !table.starts_with('_')) {
            rows.extend(self.commit_rows(&TableName::to_string(&table)).await?);
        }
        to_batch(&layout().schema, &rows)
    }
}
