//! A batch of changes as the fold reads it.

use arrow::array::{ArrayRef, BinaryArray, Int32Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use casewatch_contract::{Table, system};

use super::{downcast, fold_error, microseconds_utc};
use crate::error::LiveError;

/// The columns of a change batch that the fold reads.
pub(super) struct Changes {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) op: StringArray,
    pub(super) seq: BinaryArray,
    pub(super) unset: StringArray,
    pub(super) source: StringArray,
    pub(super) snapshot: StringArray,
    pub(super) partition: Int32Array,
    pub(super) recorded_at: TimestampMicrosecondArray,
    pub(super) ingested_at: TimestampMicrosecondArray,
}

/// A row of a change batch, as the fold sees it.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) row: usize,
    pub(super) key: &'a [u8],
    pub(super) seq: &'a [u8],
    pub(super) source: u32,
    pub(super) partition: i32,
    pub(super) ingested_at: i64,
    pub(super) unset: Option<&'a str>,
}

impl Changes {
    pub(super) fn read(table: &Table, schema: &SchemaRef, batch: &RecordBatch) -> Result<Self, LiveError> {
        let column = |name: &str, data_type: &DataType| -> Result<ArrayRef, LiveError> {
            let found = batch.column_by_name(name).ok_or_else(|| LiveError::MissingColumn {
                table: table.name.clone(),
                column: name.to_owned(),
            })?;
            if found.data_type() == data_type {
                return Ok(found.clone());
            }
            cast(found, data_type).map_err(|source| fold_error(table, source))
        };
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            columns.push(column(field.name(), field.data_type())?);
        }
        let text = |name: &str| column(name, &DataType::Utf8).map(|array| downcast::<StringArray>(&array));
        let time = |name: &str| column(name, &microseconds_utc()).map(|array| downcast(&array));
        Ok(Self {
            op: text(system::OP)?,
            seq: downcast(&column(system::SEQ, &DataType::Binary)?),
            unset: text(system::UNSET)?,
            source: text(system::SOURCE)?,
            snapshot: text(system::SNAPSHOT)?,
            partition: downcast(&column(system::PARTITION, &DataType::Int32)?),
            recorded_at: time(system::RECORDED_AT)?,
            ingested_at: time(system::INGESTED_AT)?,
            columns,
        })
    }
}
