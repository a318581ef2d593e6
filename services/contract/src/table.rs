//! A table of the contract, as its schema file declares it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use crate::deliveries::Deliveries;
use crate::name::TableName;
use crate::privacy::Privacy;
use crate::system;

/// One field of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// Earlier names, under which writers may still send it.
    pub aliases: Vec<String>,
    pub doc: String,
    /// The type as stored, which is also the type a flat row has.
    pub data_type: DataType,
    /// Whether a row may leave it empty. Stored columns are all nullable: a delete holds only its key.
    pub nullable: bool,
    pub privacy: Privacy,
    /// Changed in place at the source, so that only the recorded time says when (RULES 19).
    pub undated: bool,
    /// Whether its values may become labels of a metric.
    pub label_safe: bool,
    /// The values it may have, for a closed list.
    pub symbols: Option<Vec<String>>,
}

/// A column that names a row of a table, by the first column of that table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Position in [`Table::columns`].
    pub column: usize,
    pub table: TableName,
}

/// A table of the contract. Made by [`crate::Contract::load`] or [`Table::parse`] only, so that what it says holds:
/// key columns exist, have values and are stored; names do not clash; privacy fits the type.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: TableName,
    pub doc: String,
    /// Positions of the key in `columns`, in the order the schema gives.
    pub key: Vec<usize>,
    pub references: Vec<Reference>,
    /// The field of a flat row that says when the change was recorded. It is stored as `_recorded_at`.
    pub recorded_at: Option<String>,
    /// The position of the column that names the feed a row comes from. It is stored as `_source` where the wire
    /// names no connector.
    pub source: Option<usize>,
    /// Whether the values of its key may become labels of a metric.
    pub label_safe: bool,
    /// Where it says what was delivered, if it is the table that does.
    pub deliveries: Option<Deliveries>,
    /// The columns that are stored, in the schema's order.
    pub columns: Vec<Column>,
    /// The fields that are not: those dropped for privacy, and the one that becomes `_recorded_at`.
    pub unstored: Vec<Column>,
    pub(crate) avro: Value,
    pub(crate) stored_schema: SchemaRef,
    pub(crate) lake_schema: SchemaRef,
}

impl Table {
    /// Its columns as stored. All are nullable, since a delete holds only the key.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.stored_schema)
    }

    /// Its columns and after them the system columns: the schema of every batch of changes and of the lake's table.
    pub fn lake_schema(&self) -> SchemaRef {
        Arc::clone(&self.lake_schema)
    }

    /// A stored column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The key's columns, in the order the schema gives.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&position| &self.columns[position])
    }

    /// The table's Avro schema as its file has it, attributes included: what is registered for flat rows.
    pub fn avro_schema(&self) -> &Value {
        &self.avro
    }
}

pub(crate) fn stored_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(stored_fields(columns)))
}

pub(crate) fn lake_schema(columns: &[Column]) -> SchemaRef {
    let mut fields = stored_fields(columns);
    fields.extend(system::fields());
    Arc::new(Schema::new(fields))
}

fn stored_fields(columns: &[Column]) -> Vec<Field> {
    columns
        .iter()
        .map(|column| Field::new(&column.name, column.data_type.clone(), true))
        .collect()
}
