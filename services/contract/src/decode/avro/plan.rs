//! How one writer's schema is read as one table: which fields are decoded, and what each becomes.

use serde_json::Value;

use super::schema::{Field, Node};
use crate::decode::wire::{FLAT_DELETED, FLAT_OP, Meaning, SourceField};
use crate::table::{Column, Table};
use crate::topic::Shape;

/// Where a field stands in a message, and what its values mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The record in the message's record that holds it; `None` for the message's own fields.
    pub(super) within: Option<&'static str>,
    pub(super) name: String,
    pub(super) meaning: Meaning,
}

/// The places of everything a table needs, `None` where this writer does not send it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) envelope: bool,
    pub(super) op: Option<Place>,
    pub(super) deleted: Option<Place>,
    pub(super) after: Vec<Option<Place>>,
    pub(super) before_key: Vec<Option<Place>>,
    pub(super) source: Vec<Option<Place>>,
    pub(super) recorded_at: Option<Place>,
}

pub(super) const AFTER: &str = "after";
pub(super) const BEFORE: &str = "before";
const SOURCE: &str = "source";
const OP: &str = "op";

impl Plan {
    pub(super) fn new(writer: &Node, table: &Table, shape: Shape) -> Result<Self, String> {
        let Some(fields) = writer.fields() else {
            return Err("the schema is not a record".to_owned());
        };
        let envelope = match shape {
            Shape::Auto => is_envelope(fields),
            Shape::Debezium if is_envelope(fields) => true,
            Shape::Debezium => return Err("the schema is not Debezium's envelope".to_owned()),
            Shape::Flat => false,
        };
        let plan = if envelope {
            Self::of_envelope(fields, table)
        } else {
            Self::of_row(fields, table)
        };
        if plan.after.iter().all(Option::is_none) {
            return Err(format!("the schema has no field of table {}", table.name));
        }
        Ok(plan)
    }

    fn of_envelope(fields: &[Field], table: &Table) -> Self {
        let record = |name: &str| {
            let field = fields.iter().find(|field| field.name == name);
            field.and_then(|field| field.node.fields()).unwrap_or_default()
        };
        let (after, before, source) = (record(AFTER), record(BEFORE), record(SOURCE));
        let in_source = |wanted: SourceField| {
            let field = source.iter().find(|field| field.name == wanted.name())?;
            Some(place(Some(SOURCE), field))
        };
        Self {
            envelope: true,
            op: fields
                .iter()
                .find(|field| field.name == OP)
                .map(|field| place(None, field)),
            deleted: None,
            after: table
                .columns
                .iter()
                .map(|column| find(Some(AFTER), after, column))
                .collect(),
            before_key: table
                .key_columns()
                .map(|column| find(Some(BEFORE), before, column))
                .collect(),
            source: SourceField::ALL.iter().copied().map(in_source).collect(),
            recorded_at: None,
        }
    }

    fn of_row(fields: &[Field], table: &Table) -> Self {
        let named = |name: &str| {
            fields
                .iter()
                .find(|field| field.name == name)
                .map(|field| place(None, field))
        };
        let in_source = |wanted: SourceField| {
            let mut fields = fields.iter();
            fields
                .find(|field| SourceField::in_flat_row(&field.name) == Some(wanted))
                .map(|field| place(None, field))
        };
        let clock = table
            .recorded_at
            .as_ref()
            .and_then(|name| table.unstored.iter().find(|column| column.name == *name));
        Self {
            envelope: false,
            op: named(FLAT_OP),
            deleted: named(FLAT_DELETED),
            after: table.columns.iter().map(|column| find(None, fields, column)).collect(),
            before_key: vec![None; table.key.len()],
            source: SourceField::ALL.iter().copied().map(in_source).collect(),
            recorded_at: clock.and_then(|clock| find(None, fields, clock)),
        }
    }

    /// The writer's schema and what of it is decoded, for arrow-avro.
    pub(super) fn schemas(&self, writer: &Node) -> (Value, Value) {
        let places = || {
            let single = [&self.op, &self.deleted, &self.recorded_at];
            let many = self.after.iter().chain(&self.before_key).chain(&self.source);
            single.into_iter().chain(many).flatten()
        };
        let keep = |path: &[&str]| match path {
            [name] => places().any(|place| match place.within {
                None => place.name == *name,
                Some(within) => within == *name,
            }),
            [within, name] if self.envelope => {
                places().any(|place| place.within == Some(*within) && place.name == *name)
            }
            _ => true,
        };
        (writer.to_avro(None), writer.to_avro(Some(&keep)))
    }
}

fn is_envelope(fields: &[Field]) -> bool {
    let has = |name: &str| fields.iter().any(|field| field.name == name);
    let has_image = |name: &str| {
        fields
            .iter()
            .any(|field| field.name == name && field.node.fields().is_some())
    };
    has(OP) && (has_image(AFTER) || has_image(BEFORE))
}

/// A column's field: by its name, an earlier name, a name the writer says it had, or, since some databases shout, by
/// its name in another case.
fn find(within: Option<&'static str>, fields: &[Field], column: &Column) -> Option<Place> {
    let by = |matches: &dyn Fn(&Field) -> bool| fields.iter().find(|field| matches(field));
    by(&|field| field.name == column.name)
        .or_else(|| by(&|field| column.aliases.contains(&field.name)))
        .or_else(|| by(&|field| field.aliases.contains(&column.name)))
        .or_else(|| by(&|field| field.name.eq_ignore_ascii_case(&column.name)))
        .map(|field| place(within, field))
}

fn place(within: Option<&'static str>, field: &Field) -> Place {
    Place {
        within,
        name: field.name.clone(),
        meaning: field.node.meaning(),
    }
}
