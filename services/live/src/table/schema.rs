//! The columns of a table in memory.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use casewatch_contract::{Table, system};

pub(crate) fn microseconds_utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A table's stored columns and `_recorded_at`. All may be null: a row may leave columns out.
pub fn present_schema(table: &Table) -> SchemaRef {
    let mut fields: Vec<Field> = table
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    fields.push(Field::new(system::RECORDED_AT, microseconds_utc(), true));
    Arc::new(Schema::new(fields))
}

/// Where the key's columns stand in the stored schema, which lacks dropped columns.
pub(super) fn key_columns(table: &Table, schema: &SchemaRef) -> Vec<usize> {
    table
        .key
        .iter()
        .filter_map(|column| schema.index_of(&table.columns[*column].name).ok())
        .collect()
}
