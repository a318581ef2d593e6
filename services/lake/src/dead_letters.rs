//! Dead letters: messages that could not become rows. They are committed before the data, under transactions of their
//! own (`table/cluster/topic/epoch/partition`), and an offset at which one stands never gets a row but by replay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use casewatch_contract::{DeadLetter, Offset, PartitionId, RecordedAt, Table, TableName, system};
use chrono::NaiveDate;
use deltalake::kernel::{Action, Transaction};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::account::{CommitRecord, RangeRecord};
use crate::dead_letter_publication;
use crate::erased::Erased;
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::{self, Generations};
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};
use crate::maintain::{expire, first_kept_day};
use crate::run::Run;
use crate::schema::Layout;
use crate::seal::PayloadPolicy;
use crate::writer::REPLAY_PREFIX;

pub(crate) const DEAD_LETTERS: &str = "_dead_letters";
const DAY: &str = "day";
/// Its version is the first day, counted from 1970, of which dead letters still stand: earlier ones have expired.
const EXPIRED_APP_ID: &str = "expired_before";

pub(crate) fn layout() -> Layout {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        text("table"),
        text("cluster"),
        text("topic"),
        Field::new("epoch", DataType::Int32, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("schema_id", DataType::Int64, true),
        text("reason"),
        text("detail"),
        Field::new("message_at", system::timestamp(), true),
        Field::new("recorded_at", system::timestamp(), true),
        Field::new("sealed", DataType::Boolean, true),
        Field::new("payload", DataType::Binary, true),
        text(DAY),
    ]);
    Layout {
        name: DEAD_LETTERS.to_owned(),
        schema: Arc::new(schema),
        partition_column: DAY,
        unseen: vec!["payload".to_owned(), "detail".to_owned()],
        sort: ["table", "topic", "partition", "offset"].map(str::to_owned).to_vec(),
        keys: Default::default(),
    }
}

/// The app id under which a partition's dead letters are committed: the version is the next offset to look at.
pub(crate) fn app_id(table: &str, partition: &PartitionId) -> String {
    format!("{table}/{partition}")
}

/// What a payload is sealed to.
fn place(table: &str, partition: &PartitionId, offset: i64) -> String {
    format!("{table}/{partition}/{offset}")
}

#[derive(Debug)]
pub(crate) struct DeadLetterLog {
    log: TableLog,
    layout: Layout,
    state: Arc<TableState>,
    payload: PayloadPolicy,
}

impl DeadLetterLog {
    pub async fn open(lake: &Lake) -> Result<Self> {
        let log = lake.log(DEAD_LETTERS);
        let layout = layout();
        let state = lake.ensure(&log, &layout).await?;
        Ok(Self {
            log,
            layout,
            state,
            payload: lake.payload.clone(),
        })
    }

    /// Commits those dead letters of the runs that do not stand yet, and makes the runs yield to those that do.
    pub async fn settle(&mut self, table: &TableName, runs: &mut [Run]) -> Result<()> {
        loop {
            self.log.refresh(&mut self.state).await?;
            let mut rows = Vec::new();
            let mut moves = Vec::new();
            for run in runs.iter_mut() {
                let standing = self.standing(table, run).await?;
                let fresh: Vec<&DeadLetter> = run
                    .dead
                    .iter()
                    .filter(|(offset, _)| !standing.contains(offset))
                    .map(|(_, letter)| letter)
                    .collect();
                if !fresh.is_empty() {
                    let position = self.position(table, &run.partition).unwrap_or(run.to).max(run.to);
                    let app_id = app_id(table, &run.partition);
                    moves.extend(dead_letter_publication::take_back(&self.state, &app_id, &fresh));
                    moves.push(Action::Txn(Transaction::new(app_id, position)));
                    rows.push(self.rows(table, &fresh)?);
                }
                run.yield_to(standing)?;
            }
            if rows.is_empty() {
                return Ok(());
            }
            let mut record = CommitRecord::new("dead_letters", Uuid::new_v4());
            let files = file::write(&self.log, &self.layout, rows).await?;
            record.files = files.len() as u64;
            let actions = files.into_iter().map(Action::Add).chain(moves).collect();
            if let Attempt::Committed(_) = self.log.try_commit(&mut self.state, &record, actions).await? {
                return Ok(());
            }
        }
    }

    fn position(&self, table: &str, partition: &PartitionId) -> Option<i64> {
        self.state.transactions.get(&app_id(table, partition)).copied()
    }

    /// Offsets of the run at which a dead letter stands. Only after a crash between the two commits, a race or a restore
    /// is there anything to read.
    async fn standing(&self, table: &TableName, run: &Run) -> Result<BTreeSet<i64>> {
        match self.position(table, &run.partition) {
            Some(position) if position > run.from => {}
            _ => return Ok(BTreeSet::new()),
        }
        let filter = DeadLetterFilter {
            table: Some(table.clone()),
            ..DeadLetterFilter::default()
        };
        let found = read(&self.log, &self.state, &filter, false).await?;
        let here = found.into_iter().filter(|letter| letter.partition == run.partition);
        Ok(here
            .map(|letter| letter.offset.0)
            .filter(|offset| (run.from..run.to).contains(offset))
            .collect())
    }

    fn rows(&self, table: &TableName, letters: &[&DeadLetter]) -> Result<RecordBatch> {
        let now = chrono::Utc::now();
        let day = now.format("%Y-%m-%d").to_string();
        let count = letters.len();
        let payloads: Vec<Option<Vec<u8>>> = letters
            .iter()
            .map(|letter| self.stored_payload(table, letter))
            .collect();
        let message_at: TimestampMillisecondArray = letters.iter().map(|letter| letter.timestamp_ms).collect();
        let message_at = arrow::compute::cast(
            &message_at,
            &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
        )?;
        let message_at = arrow::compute::cast(&message_at, &system::timestamp())?;
        let recorded_at = TimestampMicrosecondArray::from_value(now.timestamp_micros(), count).with_timezone("UTC");
        let sealed: BooleanArray = payloads.iter().map(|payload| Some(payload.is_some())).collect();
        let text = |value: &dyn Fn(&DeadLetter) -> String| -> ArrayRef {
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(value(letter)))
                    .collect::<StringArray>(),
            )
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                table.as_str(),
                count,
            ))),
            text(&|letter| letter.partition.cluster.to_string()),
            text(&|letter| letter.partition.topic.to_string()),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| i32::try_from(letter.partition.epoch).ok())
                    .collect::<Int32Array>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.partition.partition))
                    .collect::<Int32Array>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.offset.0))
                    .collect::<Int64Array>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| letter.schema_id.map(i64::from))
                    .collect::<Int64Array>(),
            ),
            text(&|letter| letter.reason.as_str().to_owned()),
            text(&|letter| letter.detail.clone()),
            message_at,
            Arc::new(recorded_at),
            Arc::new(sealed),
            Arc::new(
                payloads
                    .iter()
                    .map(|payload| payload.as_deref())
                    .collect::<BinaryArray>(),
            ),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(day.as_str(), count))),
        ];
        Ok(RecordBatch::try_new(self.layout.schema.clone(), columns)?)
    }

    fn stored_payload(&self, table: &TableName, letter: &DeadLetter) -> Option<Vec<u8>> {
        match (&self.payload, &letter.payload) {
            (PayloadPolicy::Encrypt(key), Some(payload)) => {
                Some(key.seal(&place(table, &letter.partition, letter.offset.0), payload))
            }
            _ => None,
        }
    }
}

/// Which dead letters to list; everything unset matches.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    pub table: Option<TableName>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<Offset>,
    pub reason: Option<String>,
    /// Only those not replayed yet.
    pub open_only: bool,
}

impl DeadLetterFilter {
    fn matches(&self, letter: &StoredDeadLetter) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.table.as_ref().is_none_or(|table| *table == letter.table)
            && fits(&self.topic, &letter.partition.topic)
            && fits(&self.reason, &letter.reason)
            && self
                .partition
                .is_none_or(|partition| partition == letter.partition.partition)
            && self.offset.is_none_or(|offset| offset == letter.offset)
    }
}

/// A dead letter as it stands in the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeadLetter {
    pub table: TableName,
    pub partition: PartitionId,
    pub offset: Offset,
    pub schema_id: Option<u32>,
    pub reason: String,
    pub detail: String,
    pub message_at: Option<RecordedAt>,
    pub recorded_at: RecordedAt,
    /// Whether its row has been committed by a replay.
    pub replayed: bool,
    /// Sealed bytes; [`Lake::dead_letter_payload`] opens them.
    pub(crate) sealed: Option<Vec<u8>>,
}

impl StoredDeadLetter {
    /// Whether the lake holds its payload.
    pub fn has_payload(&self) -> bool {
        self.sealed.is_some()
    }
}

impl Lake {
    /// Dead letters in order of table, partition and offset.
    pub async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<StoredDeadLetter>> {
        let log = self.log(DEAD_LETTERS);
        let Some(state) = self.state(&log).await? else {
            return Ok(Vec::new());
        };
        let mut found = read(&log, &state, filter, true).await?;
        self.mark_replayed(&mut found).await?;
        found.retain(|letter| !(filter.open_only && letter.replayed));
        found.sort_by(|a, b| (&a.table, &a.partition, a.offset).cmp(&(&b.table, &b.partition, b.offset)));
        Ok(found)
    }

    /// The bytes of the message, unsealed; `None` when they were left out.
    pub fn dead_letter_payload(&self, letter: &StoredDeadLetter) -> Result<Option<Vec<u8>>> {
        match (&letter.sealed, &self.payload) {
            (None, _) => Ok(None),
            (Some(sealed), PayloadPolicy::Encrypt(key)) => key
                .unseal(&place(&letter.table, &letter.partition, letter.offset.0), sealed)
                .map(Some),
            (Some(_), PayloadPolicy::LeaveOut) => Err(LakeError::Unseal),
        }
    }

    /// The replay's own transaction is the mark: it cannot say other than what was committed.
    async fn mark_replayed(&self, letters: &mut [StoredDeadLetter]) -> Result<()> {
        let mut states: BTreeMap<TableName, Option<Arc<TableState>>> = BTreeMap::new();
        for letter in letters {
            if !states.contains_key(&letter.table) {
                let state = self.state(&self.log(&letter.table)).await?;
                states.insert(letter.table.clone(), state);
            }
            let state = states.get(&letter.table).and_then(Option::as_ref);
            let id = replay_app_id(&letter.partition, letter.offset);
            letter.replayed = state.is_some_and(|state| state.transactions.contains_key(&id));
        }
        Ok(())
    }

    /// Puts a dead letter back as `rows`, which have its original offset and `_seq`. Doing it twice is doing it once.
    pub async fn replay(
        self: &Arc<Self>,
        table: &Arc<Table>,
        partition: &PartitionId,
        offset: Offset,
        rows: RecordBatch,
    ) -> Result<Replayed> {
        let filter = DeadLetterFilter {
            table: Some(table.name.clone()),
            topic: Some(partition.topic.to_string()),
            partition: Some(partition.partition),
            offset: Some(offset),
            ..DeadLetterFilter::default()
        };
        let standing = self.dead_letters(&filter).await?;
        if !standing.iter().any(|letter| letter.partition == *partition) {
            let (table, partition) = (table.name.to_string(), partition.clone());
            return Err(LakeError::NoDeadLetter {
                table,
                partition,
                offset,
            });
        }
        let log = self.log(&table.name);
        let layout = Layout::of_table(table).with_keys(Generations::of_keys(&self.keys, table));
        let mut state = self.ensure(&log, &layout).await?;
        let app_id = replay_app_id(partition, offset);
        loop {
            if state.transactions.contains_key(&app_id) {
                return Ok(Replayed::Already);
            }
            keys::check_writer(&self.keys, table, &state)?;
            // Read after the state: what is committed on top of it was held against the list it has taken notice of.
            let erased = Erased::load(self).await?;
            let rows = file::conform(&log.name, &erased.filter(table, &rows)?, &state.schema)?;
            let mut record = CommitRecord::new("replay", Uuid::new_v4());
            record.ranges = vec![replayed_range(partition, offset, rows.num_rows() as u64)];
            let files = file::write(&log, &layout, vec![rows]).await?;
            record.files = files.len() as u64;
            record.bytes = files.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
            let actions = files.into_iter().map(Action::Add);
            let actions = actions.chain([Action::Txn(Transaction::new(&app_id, 1))]).collect();
            match log.try_commit(&mut state, &record, actions).await? {
                Attempt::Committed(version) => return Ok(Replayed::Now { version }),
                Attempt::Lost => {
                    if let Some(version) = state.version_of(record.id) {
                        return Ok(Replayed::Now { version });
                    }
                }
            }
        }
    }

    /// Takes out dead letters recorded more than `days` ago.
    pub async fn expire_dead_letters(&self, days: u32) -> Result<u64> {
        self.expire_dead_letters_before(first_kept_day(days)).await
    }

    /// Takes out dead letters recorded before a day: whole files, since the table is partitioned by day. The day is
    /// remembered, so that whoever misses a dead letter can tell whether it expired.
    pub(crate) async fn expire_dead_letters_before(&self, first_kept: NaiveDate) -> Result<u64> {
        let day = first_kept.to_string();
        let remember = |state: &TableState| {
            let days = i64::from(first_kept.to_epoch_days());
            let known = state.transactions.get(EXPIRED_APP_ID).copied().unwrap_or(days);
            vec![Action::Txn(Transaction::new(EXPIRED_APP_ID, known.max(days)))]
        };
        expire(self, &layout(), |of_file| of_file < day.as_str(), remember).await
    }
}

impl Lake {
    /// The first day of which dead letters have not expired; none where none ever did.
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn dead_letters_expired_before(&self) -> Result<Option<NaiveDate>> {
        let state = self.state(&self.log(DEAD_LETTERS)).await?;
        let days = state.and_then(|state| state.transactions.get(EXPIRED_APP_ID).copied());
        Ok(days.and_then(|days| NaiveDate::from_epoch_days(i32::try_from(days).ok()?)))
    }
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    Now { version: u64 },
    Already,
}

fn replayed_range(partition: &PartitionId, offset: Offset, rows: u64) -> RangeRecord {
    RangeRecord {
        partition: partition.clone(),
        from: offset.0,
        to: offset.0 + 1,
        rows,
        offsets: u64::from(rows > 0),
        tombstones: 0,
        dead_letters: 0,
        holes: 0,
        erased: u64::from(rows == 0),
    }
}

pub(crate) fn replay_app_id(partition: &PartitionId, offset: Offset) -> String {
    format!("{REPLAY_PREFIX}{partition}/{offset}")
}

pub(crate) async fn read(
    log: &TableLog,
    state: &TableState,
    filter: &DeadLetterFilter,
    with_payload: bool,
) -> Result<Vec<StoredDeadLetter>> {
    let schema = &state.schema;
    let files: Vec<_> = state.files.values().cloned().collect();
    let batches: Vec<Vec<RecordBatch>> = futures::stream::iter(files)
        .map(|add| async move { file::read(log, schema, &add).await })
        .buffered(8)
        .try_collect()
        .await?;
    let mut found = Vec::new();
    for batch in batches.iter().flatten() {
        parse(batch, schema, with_payload, &mut found)?;
    }
    found.retain(|letter| filter.matches(letter));
    Ok(found)
}

fn parse(batch: &RecordBatch, schema: &SchemaRef, with_payload: bool, found: &mut Vec<StoredDeadLetter>) -> Result<()> {
    let column = |name: &str| -> Result<&ArrayRef> { Ok(batch.column(schema.index_of(name)?)) };
    let (table, cluster, topic) = (column("table")?, column("cluster")?, column("topic")?);
    let (table, cluster, topic) = (
        table.as_string::<i32>(),
        cluster.as_string::<i32>(),
        topic.as_string::<i32>(),
    );
    let (reason, detail) = (
        column("reason")?.as_string::<i32>(),
        column("detail")?.as_string::<i32>(),
    );
    let (epoch, partition) = (column("epoch")?, column("partition")?);
    let (epoch, partition) = (epoch.as_primitive::<Int32Type>(), partition.as_primitive::<Int32Type>());
    let (offset, schema_id) = (column("offset")?, column("schema_id")?);
    let (offset, schema_id) = (
        offset.as_primitive::<Int64Type>(),
        schema_id.as_primitive::<Int64Type>(),
    );
    let (message_at, recorded_at) = (column("message_at")?, column("recorded_at")?);
    let message_at = message_at.as_primitive::<TimestampMicrosecondType>();
    let recorded_at = recorded_at.as_primitive::<TimestampMicrosecondType>();
    let payload = column("payload")?.as_binary::<i32>();
    for row in 0..batch.num_rows() {
        found.push(StoredDeadLetter {
            table: table.value(row).into(),
            partition: PartitionId {
                cluster: cluster.value(row).into(),
                topic: topic.value(row).into(),
                epoch: u32::try_from(epoch.value(row)).unwrap_or(0),
                partition: partition.value(row),
            },
            offset: Offset(offset.value(row)),
            schema_id: schema_id
                .is_valid(row)
                .then(|| u32::try_from(schema_id.value(row)).unwrap_or(0)),
            reason: reason.value(row).to_owned(),
            detail: detail.value(row).to_owned(),
            message_at: message_at.is_valid(row).then(|| RecordedAt(message_at.value(row))),
            recorded_at: RecordedAt(recorded_at.value(row)),
            replayed: false,
            sealed: (with_payload && payload.is_valid(row)).then(|| payload.value(row).to_vec()),
        });
    }
    Ok(())
}
