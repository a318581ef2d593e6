//! The present of another moment: history folded up to what was known then (RULES 19, 20).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, filter_record_batch, interleave};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, Table, system};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use crate::error::LiveError;
use crate::present::Present;
use crate::table::{LiveTable, downcast, fold_error, microseconds_utc};

/// The columns of history that the fold reads: the table's own and those of casewatch that order and date them.
pub fn history_columns(table: &Table) -> Vec<String> {
    let own = table.schema();
    let own = own.fields().iter().map(|field| field.name().clone());
    let system = [
        system::OP,
        system::RECORDED_AT,
        system::SEQ,
        system::UNSET,
        system::SOURCE,
        system::SNAPSHOT,
        system::PARTITION,
        system::INGESTED_AT,
    ];
    own.chain(system.into_iter().map(str::to_owned)).collect()
}

/// Folds the versions recorded by `known_at`. Columns changed in place take the version recorded by the earlier of
/// `as_of` and `known_at`, else the first one. Rows of snapshots recorded by `assumed_until` count as known at any
/// moment (RULES 20: an assumption that whoever asks has made).
pub async fn fold_at(
    table: &Arc<Table>,
    mut history: SendableRecordBatchStream,
    known_at: RecordedAt,
    as_of: RecordedAt,
    assumed_until: Option<RecordedAt>,
) -> Result<Present, LiveError> {
    let undated: Vec<usize> = (0..table.columns.len())
        .filter(|column| table.columns[*column].undated)
        .collect();
    let needs_past = as_of < known_at && !undated.is_empty();
    let mut known = LiveTable::new(table.clone())?;
    let mut past = LiveTable::new(table.clone())?;
    let mut first = LiveTable::new(table.clone())?;
    while let Some(batch) = history.next().await {
        let batch = batch.map_err(|source| LiveError::History {
            table: table.name.clone(),
            source,
        })?;
        let in_time =
            |limit: RecordedAt| recorded_by(&batch, limit, assumed_until).map_err(|source| fold_error(table, source));
        let versions = in_time(known_at)?;
        known.apply(&versions)?;
        if needs_past {
            past.apply(&in_time(as_of)?)?;
            first.apply(&oldest_first(&versions).map_err(|source| fold_error(table, source))?)?;
        }
    }
    let present = known.publish()?;
    if !needs_past {
        return Ok(present.as_ref().clone());
    }
    past.publish()?;
    first.publish()?;
    let batches = with_past_columns(&known, &past, &first, &undated).map_err(|source| fold_error(table, source))?;
    Ok(Present::new(known.schema.clone(), batches, 1))
}

/// When each row was recorded, in microseconds; where its source does not say, when it was read.
pub(crate) fn row_times(batch: &RecordBatch) -> Result<Vec<i64>, ArrowError> {
    let recorded_at = column(batch, system::RECORDED_AT)?;
    let ingested_at = column(batch, system::INGESTED_AT)?;
    let recorded_at: TimestampMicrosecondArray = downcast(&cast(&recorded_at, &microseconds_utc())?);
    let ingested_at: TimestampMicrosecondArray = downcast(&cast(&ingested_at, &microseconds_utc())?);
    let time = |row: usize| match recorded_at.is_null(row) {
        true => ingested_at.value(row),
        false => recorded_at.value(row),
    };
    Ok((0..batch.num_rows()).map(time).collect())
}

/// The rows recorded by `limit`, and those of snapshots that are assumed known.
pub(crate) fn recorded_by(
    batch: &RecordBatch,
    limit: RecordedAt,
    assumed_until: Option<RecordedAt>,
) -> Result<RecordBatch, ArrowError> {
    let times = row_times(batch)?;
    let op = cast(&column(batch, system::OP)?, &DataType::Utf8)?;
    let op: StringArray = downcast(&op);
    let is_assumed = |row: usize| {
        assumed_until.is_some_and(|until| op.is_valid(row) && op.value(row) == "r" && times[row] <= until.0)
    };
    let mask: Vec<bool> = (0..batch.num_rows())
        .map(|row| times[row] <= limit.0 || is_assumed(row))
        .collect();
    if mask.iter().all(|keep| *keep) {
        return Ok(batch.clone());
    }
    filter_record_batch(batch, &BooleanArray::from(mask))
}

/// Upserts in reverse order of `_seq`: folding them keeps each key's first version.
pub(crate) fn oldest_first(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let op = cast(&column(batch, system::OP)?, &DataType::Utf8)?;
    let op: StringArray = downcast(&op);
    let upserts = BooleanArray::from(
        op.iter()
            .map(|op| matches!(op, Some("c" | "u" | "r")))
            .collect::<Vec<_>>(),
    );
    let upserts = filter_record_batch(batch, &upserts)?;
    let seq = cast(&column(&upserts, system::SEQ)?, &DataType::Binary)?;
    let seq: BinaryArray = downcast(&seq);
    let reversed: BinaryArray = seq
        .iter()
        .map(|seq| seq.map(|seq| seq.iter().map(|byte| !byte).collect::<Vec<u8>>()))
        .collect();
    let schema = upserts.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(upserts.columns())
        .map(|(field, values)| -> Result<ArrayRef, ArrowError> {
            Ok(match field.name().as_str() {
                system::SEQ => cast(&reversed, field.data_type())?,
                // Snapshots and values left out mean nothing backwards.
                system::SNAPSHOT | system::UNSET => new_null_array(field.data_type(), upserts.num_rows()),
                _ => values.clone(),
            })
        })
        .collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema, columns)
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ArrowError> {
    let found = batch.column_by_name(name).cloned();
    found.ok_or_else(|| ArrowError::SchemaError(format!("history lacks column {name}")))
}

/// The blocks of `known`, in which columns changed in place have the values of `past`, else the first ones. All three
/// are published.
pub(crate) fn with_past_columns(
    known: &LiveTable,
    past: &LiveTable,
    first: &LiveTable,
    undated: &[usize],
) -> Result<Vec<RecordBatch>, ArrowError> {
    let past_blocks: Vec<&RecordBatch> = past.blocks.values().map(|block| &block.batch).collect();
    let first_blocks: Vec<&RecordBatch> = first.blocks.values().map(|block| &block.batch).collect();
    let past_index: std::collections::HashMap<u32, usize> = past.blocks.keys().copied().zip(0..).collect();
    let first_index: std::collections::HashMap<u32, usize> =
        first.blocks.keys().copied().zip(past_blocks.len() + 1..).collect();
    let mut batches = Vec::with_capacity(known.blocks.len());
    for block in known.blocks.values() {
        let mut columns = block.batch.columns().to_vec();
        let picks: Vec<(usize, usize)> = block
            .owners
            .iter()
            .enumerate()
            .map(|(row, owner)| {
                let key = &known.entries[*owner as usize].key;
                if let Some((block, row)) = past.find(key) {
                    (past_index[&block] + 1, row as usize)
                } else if let Some((block, row)) = first.find(key) {
                    (first_index[&block], row as usize)
                } else {
                    (0, row)
                }
            })
            .collect();
        for column in undated {
            let mut sources: Vec<&dyn Array> = vec![block.batch.column(*column).as_ref()];
            sources.extend(past_blocks.iter().map(|batch| batch.column(*column).as_ref()));
            sources.extend(first_blocks.iter().map(|batch| batch.column(*column).as_ref()));
            columns[*column] = interleave(&sources, &picks)?;
        }
        batches.push(RecordBatch::try_new(known.schema.clone(), columns)?);
    }
    Ok(batches)
}
