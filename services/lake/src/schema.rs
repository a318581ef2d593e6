//! The lake's columns: Arrow on our side, Delta's schema in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use casewatch_contract::{Privacy, Table};
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake::kernel::{Add, Metadata, MetadataExt, StructType, new_metadata};

use crate::error::{LakeError, Result};
use crate::keys::Generations;

/// Key under which every table carries the lake's format version.
pub(crate) const FORMAT_PROPERTY: &str = "casewatch.format";

/// A table as the lake keeps it: its name, its columns, the one it is partitioned by, and those no statistic may show.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub name: String,
    pub schema: SchemaRef,
    pub partition_column: &'static str,
    /// Columns with identities of people: no minimum or maximum of them is written anywhere.
    pub unseen: Vec<String>,
    /// Columns a rewrite sorts by.
    pub sort: Vec<String>,
    /// The keys that identities went through in the files written.
    pub keys: Generations,
}

impl Layout {
    pub fn of_table(table: &Table) -> Self {
        let unseen = table
            .columns
            .iter()
            .filter(|column| matches!(column.privacy, Privacy::Hmac(_)));
        let mut sort: Vec<String> = table
            .key
            .iter()
            .map(|&index| table.columns[index].name.clone())
            .collect();
        sort.push(casewatch_contract::system::SEQ.to_owned());
        let schema = table.lake_schema();
        sort.retain(|name| schema.index_of(name).is_ok());
        Self {
            name: table.name.to_string(),
            schema,
            partition_column: casewatch_contract::system::RECORDED_MONTH,
            unseen: unseen.map(|column| column.name.clone()).collect(),
            sort,
            keys: Generations::default(),
        }
    }

    /// The partition that a file of the table is in.
    pub fn partition_of<'a>(&self, file: &'a Add) -> Option<&'a str> {
        file.partition_values.get(self.partition_column)?.as_deref()
    }

    /// The same for files whose identities went through `keys`.
    pub fn with_keys(&self, keys: Generations) -> Self {
        Self { keys, ..self.clone() }
    }
}

/// Properties every table of the lake has. Transactions never expire (`setTransactionRetentionDuration` stays unset),
/// files may always be removed (never `appendOnly`), and nobody but maintenance cleans the log.
fn properties() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("delta.dataSkippingStatsColumns", "_recorded_at".to_owned()),
        ("delta.enableExpiredLogCleanup", "false".to_owned()),
        ("delta.logRetentionDuration", "interval 3650 days".to_owned()),
        ("delta.deletedFileRetentionDuration", "interval 7 days".to_owned()),
        (FORMAT_PROPERTY, crate::FORMAT.to_string()),
    ])
}

pub(crate) fn metadata(layout: &Layout) -> Result<Metadata> {
    let metadata = new_metadata(
        &to_delta(&layout.name, &layout.schema)?,
        [layout.partition_column],
        properties(),
    );
    let metadata = metadata.and_then(|metadata| metadata.with_name(layout.name.clone()));
    metadata.map_err(|error| log_error(&layout.name, error.to_string()))
}

pub(crate) fn to_arrow(table: &str, metadata: &Metadata) -> Result<SchemaRef> {
    let delta = metadata
        .parse_schema()
        .map_err(|error| log_error(table, error.to_string()))?;
    let schema: Schema = (&delta).try_into_arrow()?;
    let plain = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Ok(Arc::new(Schema::new(plain.collect::<Vec<_>>())))
}

fn to_delta(table: &str, schema: &Schema) -> Result<StructType> {
    // Nothing in the lake is required: a delete holds key and system columns only.
    let plain = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), true));
    let plain = Schema::new(plain.collect::<Vec<_>>());
    (&plain)
        .try_into_kernel()
        .map_err(|error| log_error(table, error.to_string()))
}

/// What a table becomes when the contract has gained optional columns; `None` when it has not. A column that has left
/// the contract stays. A column of another type is refused.
pub(crate) fn widened(table: &str, stored: &Metadata, wanted: &Schema) -> Result<Option<Metadata>> {
    let present = to_arrow(table, stored)?;
    let mut fields: Vec<_> = present.fields().iter().cloned().collect();
    for field in wanted.fields() {
        match present.field_with_name(field.name()) {
            Ok(found) if found.data_type() == field.data_type() => {}
            Ok(found) => {
                return Err(LakeError::IncompatibleColumn {
                    table: table.to_owned(),
                    column: field.name().clone(),
                    stored: found.data_type().to_string(),
                    wanted: field.data_type().to_string(),
                });
            }
            Err(_) => fields.push(field.clone()),
        }
    }
    if fields.len() == present.fields().len() {
        return Ok(None);
    }
    let schema = to_delta(table, &Schema::new(fields))?;
    let widened = stored
        .clone()
        .with_schema(&schema)
        .map_err(|error| log_error(table, error.to_string()))?;
    Ok(Some(widened))
}

fn log_error(table: &str, detail: String) -> LakeError {
    LakeError::Log {
        table: table.to_owned(),
        version: 0,
        detail,
    }
}
