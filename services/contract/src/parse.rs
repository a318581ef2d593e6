//! One schema file -> one [`Table`], or an error that names the file, the place, what was expected and what to do.
//!
//! Nothing is passed over: an attribute that is neither Avro's nor ours is an error, because a misspelt `privacy` would
//! otherwise publish what it was meant to hide.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use serde_json::{Map, Value};

use crate::deliveries::Deliveries;
use crate::error::ContractError;
use crate::name::TableName;
use crate::privacy::{HmacDomain, Privacy};
use crate::system;
use crate::table::{Column, Reference, Table, lake_schema, stored_schema};

const RECORD_ATTRIBUTES: &[&str] = &[
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "key",
    "references",
    "recorded_at",
    "source",
    "label_safe",
    "deliveries",
];
const FIELD_ATTRIBUTES: &[&str] = &[
    "name",
    "type",
    "doc",
    "default",
    "aliases",
    "privacy",
    "undated",
    "label_safe",
];
const TYPE_ATTRIBUTES: &[&str] = &["type", "name", "logicalType", "precision", "scale", "symbols", "doc"];

/// The only decimal there is: full-time equivalents and days lost, to a thousandth.
const DECIMAL_PRECISION: u8 = 9;
const DECIMAL_SCALE: i8 = 3;

impl Table {
    /// Reads one schema. `file` is only named in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ContractError> {
        let avro: Value = serde_json::from_str(text).map_err(|error| ContractError::Schema {
            file: file.to_owned(),
            place: format!("line {}", error.line()),
            expected: "JSON".to_owned(),
            found: error.to_string(),
            hint: "a schema file holds one Avro record as JSON".to_owned(),
        })?;
        Parser {
            file,
            enums: BTreeMap::new(),
        }
        .table(avro)
    }
}

/// A fault and where it is; the file is added on the way out.
struct Place<'a> {
    file: &'a str,
    place: String,
}

impl Place<'_> {
    fn fault(&self, expected: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> ContractError {
        ContractError::Schema {
            file: self.file.to_owned(),
            place: self.place.clone(),
            expected: expected.into(),
            found: found.into(),
            hint: hint.into(),
        }
    }

    fn attribute(&self, name: &str) -> Place<'_> {
        Place {
            file: self.file,
            place: format!("{}, attribute `{name}`", self.place),
        }
    }
}

struct Parser<'a> {
    file: &'a str,
    /// Closed lists named so far, which later fields may use by name.
    enums: BTreeMap<String, Vec<String>>,
}

impl<'a> Parser<'a> {
    fn at(&self, place: impl Into<String>) -> Place<'a> {
        Place {
            file: self.file,
            place: place.into(),
        }
    }

    fn table(mut self, avro: Value) -> Result<Table, ContractError> {
        let top = self.at("the record");
        let record = object(&top, &avro)?;
        known_attributes(&top, record, RECORD_ATTRIBUTES)?;
        if record.get("type").and_then(Value::as_str) != Some("record") {
            return Err(top.fault(
                "`\"type\": \"record\"`",
                shown(record.get("type")),
                "a table is an Avro record",
            ));
        }
        let name = text(&top, record, "name")?;
        let doc = text(&top, record, "doc")?;
        let label_safe = flag(&top, record, "label_safe")?;

        let fields = record
            .get("fields")
            .and_then(Value::as_array)
            .filter(|fields| !fields.is_empty());
        let Some(fields) = fields else {
            return Err(top.fault(
                "`fields`, an array",
                shown(record.get("fields")),
                "list the table's columns",
            ));
        };
        let mut all = Vec::with_capacity(fields.len());
        for field in fields {
            all.push(self.column(field)?);
        }
        self.distinct_names(&all)?;

        let recorded_at = self.recorded_at(record, &all)?;
        let is_stored = |column: &Column| column.privacy != Privacy::Drop && Some(&column.name) != recorded_at.as_ref();
        let (columns, unstored): (Vec<Column>, Vec<Column>) = all.into_iter().partition(is_stored);
        let key = self.key(record, &columns)?;
        let references = self.references(record, &columns)?;
        let deliveries = self.deliveries(record, &columns)?;
        let source = self.source(record, &columns)?;
        Ok(Table {
            name: TableName::new(name),
            doc,
            key,
            references,
            recorded_at,
            source,
            label_safe,
            deliveries,
            stored_schema: stored_schema(&columns),
            lake_schema: lake_schema(&columns),
            columns,
            unstored,
            avro,
        })
    }

    fn column(&mut self, field: &Value) -> Result<Column, ContractError> {
        let unnamed = self.at("a field");
        let field = object(&unnamed, field)?;
        let name = text(&unnamed, field, "name")?;
        let place = self.at(format!("field `{name}`"));
        known_attributes(&place, field, FIELD_ATTRIBUTES)?;
        if system::is_system(&name) {
            return Err(place.fault(
                "a name without a leading underscore",
                format!("`{name}`"),
                "those are casewatch's own",
            ));
        }
        let doc = text(&place, field, "doc")?;

        let (avro_type, nullable) = optional(&place, field)?;
        let (data_type, symbols) = self.data_type(&place, avro_type)?;
        let privacy = privacy(&place, field, &data_type, symbols.is_some())?;
        let label_safe = flag(&place, field, "label_safe")?;
        if label_safe && privacy.is_private() {
            let found = format!("`label_safe` beside `privacy: {privacy}`");
            return Err(place.fault("one or the other", found, "a private value is never a label"));
        }
        Ok(Column {
            aliases: texts(&place, field, "aliases")?,
            undated: flag(&place, field, "undated")?,
            name,
            doc,
            data_type,
            nullable,
            privacy,
            label_safe,
            symbols,
        })
    }

    /// The Arrow type of an Avro type, and the values of a closed list.
    fn data_type(
        &mut self,
        place: &Place<'_>,
        avro_type: &Value,
    ) -> Result<(DataType, Option<Vec<String>>), ContractError> {
        let unknown = || {
            place.fault(
                "string, boolean, int, long, an enum, or a date, timestamp-micros or decimal(9,3)",
                shown(Some(avro_type)),
                "see schemas/README.md, Types",
            )
        };
        let Value::Object(detailed) = avro_type else {
            let name = avro_type.as_str().ok_or_else(unknown)?;
            return match name {
                "string" => Ok((DataType::Utf8, None)),
                "boolean" => Ok((DataType::Boolean, None)),
                "int" => Ok((DataType::Int32, None)),
                "long" => Ok((DataType::Int64, None)),
                named => {
                    let symbols = self.enums.get(named).ok_or_else(unknown)?;
                    Ok((DataType::Utf8, Some(symbols.clone())))
                }
            };
        };
        known_attributes(place, detailed, TYPE_ATTRIBUTES)?;
        let word = |attribute: &str| detailed.get(attribute).and_then(Value::as_str);
        let number = |attribute: &str| detailed.get(attribute).and_then(Value::as_i64);
        match (word("type").ok_or_else(unknown)?, word("logicalType")) {
            ("enum", None) => {
                let name = text(place, detailed, "name")?;
                let symbols = texts(place, detailed, "symbols")?;
                if symbols.is_empty() || self.enums.insert(name, symbols.clone()).is_some() {
                    return Err(place.fault(
                        "an enum with symbols and a name of its own",
                        shown(Some(avro_type)),
                        "use a list defined above by its name",
                    ));
                }
                Ok((DataType::Utf8, Some(symbols)))
            }
            ("int", Some("date")) => Ok((DataType::Date32, None)),
            ("long", Some("timestamp-micros")) => Ok((system::timestamp(), None)),
            ("bytes", Some("decimal"))
                if number("precision") == Some(i64::from(DECIMAL_PRECISION))
                    && number("scale") == Some(i64::from(DECIMAL_SCALE)) =>
            {
                Ok((DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE), None))
            }
            _ => Err(unknown()),
        }
    }

    fn distinct_names(&self, columns: &[Column]) -> Result<(), ContractError> {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for column in columns {
            for name in std::iter::once(&column.name).chain(&column.aliases) {
                if let Some(owner) = owners.insert(name, &column.name) {
                    let place = self.at(format!("field `{}`", column.name));
                    let found = format!("`{name}`, which is also field `{owner}`");
                    return Err(place.fault("names and aliases used once", found, "rename one of them"));
                }
            }
        }
        Ok(())
    }

    fn recorded_at(&self, record: &Map<String, Value>, columns: &[Column]) -> Result<Option<String>, ContractError> {
        if !record.contains_key("recorded_at") {
            return Ok(None);
        }
        let top = self.at("the record");
        let name = text(&top, record, "recorded_at")?;
        let place = top.attribute("recorded_at");
        match columns.iter().find(|column| column.name == name) {
            Some(column) if column.data_type == system::timestamp() && column.privacy == Privacy::Keep => {
                Ok(Some(name))
            }
            Some(_) => Err(place.fault(
                "a timestamp-micros",
                format!("`{name}` of another type"),
                "it is a moment",
            )),
            None => Err(place.fault("a field of this table", format!("`{name}`"), field_hint(&name, columns))),
        }
    }

    fn source(&self, record: &Map<String, Value>, columns: &[Column]) -> Result<Option<usize>, ContractError> {
        if !record.contains_key("source") {
            return Ok(None);
        }
        let top = self.at("the record");
        let name = text(&top, record, "source")?;
        match columns
            .iter()
            .position(|column| column.name == name && column.data_type == DataType::Utf8)
        {
            Some(position) => Ok(Some(position)),
            None => Err(top
                .attribute("source")
                .fault("a text field", format!("`{name}`"), field_hint(&name, columns))),
        }
    }

    fn key(&self, record: &Map<String, Value>, columns: &[Column]) -> Result<Vec<usize>, ContractError> {
        let top = self.at("the record");
        let place = top.attribute("key");
        let names = texts(&top, record, "key")?;
        if names.is_empty() {
            return Err(place.fault("at least one field", "none", "name the fields that identify a row"));
        }
        let mut key = Vec::with_capacity(names.len());
        for name in &names {
            let Some(position) = columns.iter().position(|column| column.name == *name) else {
                return Err(place.fault("fields that are stored", format!("`{name}`"), field_hint(name, columns)));
            };
            if columns[position].nullable || columns[position].privacy == Privacy::Month || key.contains(&position) {
                let hint = "a key's fields are named once, always have a value, and are not cut to months";
                return Err(place.fault("a field that can identify", format!("`{name}`"), hint));
            }
            key.push(position);
        }
        Ok(key)
    }

    fn references(&self, record: &Map<String, Value>, columns: &[Column]) -> Result<Vec<Reference>, ContractError> {
        let top = self.at("the record");
        let place = top.attribute("references");
        let Some(declared) = record.get("references") else {
            return Ok(Vec::new());
        };
        let Some(declared) = declared.as_object() else {
            return Err(place.fault("an object {field: table}", shown(Some(declared)), "use {} for none"));
        };
        let mut references = Vec::with_capacity(declared.len());
        for (name, table) in declared {
            let Some(column) = columns.iter().position(|column| column.name == *name) else {
                return Err(place.fault("fields that are stored", format!("`{name}`"), field_hint(name, columns)));
            };
            let Some(table) = table.as_str() else {
                return Err(place.fault("the name of a table", shown(Some(table)), "one table a field"));
            };
            references.push(Reference {
                column,
                table: table.into(),
            });
        }
        references.sort_by_key(|reference| reference.column);
        Ok(references)
    }

    fn deliveries(&self, record: &Map<String, Value>, columns: &[Column]) -> Result<Option<Deliveries>, ContractError> {
        let Some(declared) = record.get("deliveries") else {
            return Ok(None);
        };
        let top = self.at("the record");
        let place = top.attribute("deliveries");
        let declared = object(&place, declared)?;
        known_attributes(&place, declared, &Deliveries::ROLES)?;
        let column = |role: &str, data_type: DataType| {
            let place = place.attribute(role);
            let Some(name) = declared.get(role).and_then(Value::as_str) else {
                return Err(place.fault(
                    "the name of a field",
                    shown(declared.get(role)),
                    "every role has its field",
                ));
            };
            match columns.iter().position(|column| column.name == name) {
                Some(position) if columns[position].data_type == data_type => Ok(position),
                Some(position) => {
                    let found = format!("`{name}` of type {}", columns[position].data_type);
                    Err(place.fault(format!("a field of type {data_type}"), found, "name another field"))
                }
                None => Err(place.fault("fields that are stored", format!("`{name}`"), field_hint(name, columns))),
            }
        };
        Ok(Some(Deliveries {
            feed: column("feed", DataType::Utf8)?,
            table: column("table", DataType::Utf8)?,
            as_at: column("as_at", system::timestamp())?,
            rows: column("rows", DataType::Int64)?,
            window_from: column("window_from", DataType::Date32)?,
            expected_next_by: column("expected_next_by", system::timestamp())?,
            complete: column("complete", DataType::Boolean)?,
        }))
    }
}

/// The type of a field and whether it is optional: `["null", T]` with default null, and no other union.
fn optional<'v>(place: &Place<'_>, field: &'v Map<String, Value>) -> Result<(&'v Value, bool), ContractError> {
    let declared = field
        .get("type")
        .ok_or_else(|| place.fault("`type`", "none", "every field has an Avro type"))?;
    let Value::Array(branches) = declared else {
        if field.contains_key("default") {
            let hint = "only optional fields have a default, and it is null: a made-up value would look like a fact";
            return Err(place
                .attribute("default")
                .fault("none", shown(field.get("default")), hint));
        }
        return Ok((declared, false));
    };
    match branches.as_slice() {
        [null, of] if null.as_str() == Some("null") && field.get("default") == Some(&Value::Null) => Ok((of, true)),
        _ => Err(place.fault(
            "a type, or [\"null\", type] with `\"default\": null`",
            shown(Some(declared)),
            "the null comes first, since the default is null",
        )),
    }
}

fn privacy(
    place: &Place<'_>,
    field: &Map<String, Value>,
    data_type: &DataType,
    closed: bool,
) -> Result<Privacy, ContractError> {
    let place = place.attribute("privacy");
    let declared = match field.get("privacy") {
        None => return Ok(Privacy::Keep),
        Some(declared) => declared.as_str().unwrap_or_default(),
    };
    match declared {
        "keep" => Ok(Privacy::Keep),
        "drop" => Ok(Privacy::Drop),
        "month" if *data_type == DataType::Date32 => Ok(Privacy::Month),
        "month" => Err(place.fault("a date", format!("{data_type}"), "only a date can be cut to its month")),
        _ => match declared.strip_prefix("hmac:") {
            Some(domain) if is_word(domain) && *data_type == DataType::Utf8 && !closed => {
                Ok(Privacy::Hmac(HmacDomain::new(domain)))
            }
            Some(domain) if is_word(domain) => Err(place.fault(
                "a string",
                format!("{data_type}"),
                "a pseudonym is text; declare the field as string",
            )),
            _ => Err(place.fault(
                "keep, drop, hmac:<domain> or month",
                shown(field.get("privacy")),
                "a domain is a lowercase word, such as hmac:child",
            )),
        },
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn object<'v>(place: &Place<'_>, value: &'v Value) -> Result<&'v Map<String, Value>, ContractError> {
    value
        .as_object()
        .ok_or_else(|| place.fault("a JSON object", shown(Some(value)), "see schemas/README.md"))
}

fn known_attributes(place: &Place<'_>, object: &Map<String, Value>, known: &[&str]) -> Result<(), ContractError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let hint = match nearest(unknown, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "remove it; nothing would read it".to_owned(),
            };
            Err(place.fault(
                format!("one of {}", known.join(", ")),
                format!("attribute `{unknown}`"),
                hint,
            ))
        }
    }
}

fn text(place: &Place<'_>, object: &Map<String, Value>, attribute: &str) -> Result<String, ContractError> {
    match object.get(attribute).and_then(Value::as_str) {
        Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => {
            let hint = match attribute {
                "doc" => "say what it means, so that a source system's engineer can fill it without asking",
                _ => "it cannot be left out",
            };
            Err(place.fault(format!("`{attribute}`, a text"), shown(object.get(attribute)), hint))
        }
    }
}

fn texts(place: &Place<'_>, object: &Map<String, Value>, attribute: &str) -> Result<Vec<String>, ContractError> {
    let Some(value) = object.get(attribute) else {
        return Ok(Vec::new());
    };
    let texts = value
        .as_array()
        .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    texts.ok_or_else(|| {
        place
            .attribute(attribute)
            .fault("an array of texts", shown(Some(value)), "write [\"...\"]")
    })
}

fn flag(place: &Place<'_>, object: &Map<String, Value>, attribute: &str) -> Result<bool, ContractError> {
    match object.get(attribute) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        other => Err(place
            .attribute(attribute)
            .fault("true or false", shown(other), "leave it out for false")),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"))
}

fn field_hint(name: &str, columns: &[Column]) -> String {
    match nearest(name, columns.iter().map(|column| column.name.as_str())) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "it must be a field that is stored".to_owned(),
    }
}

/// The candidate a misspelt word was probably meant to be: at most a third of its letters away.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| edits * 3 <= candidate.len().max(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, from_byte) in from.bytes().enumerate() {
        let mut current = vec![row + 1];
        for (column, to_byte) in to.bytes().enumerate() {
            let replaced = previous[column] + usize::from(from_byte != to_byte);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small table in which one text is replaced by another.
    fn parse(replace: &str, by: &str) -> Result<Table, ContractError> {
        let good = r#"{
          "type": "record", "name": "pets", "namespace": "test", "doc": "Pets.", "key": ["pet_id", "since"],
          "references": {"mother": "pets"}, "recorded_at": "recorded_at", "source": "feed", "label_safe": true,
          "fields": [
            {"name": "secret", "type": ["null", "string"], "default": null, "privacy": "drop", "doc": "Free text."},
            {"name": "pet_id", "type": "string", "privacy": "hmac:pet", "doc": "Its id."},
            {"name": "mother", "type": ["null", "string"], "default": null, "privacy": "hmac:pet", "doc": "Her id."},
            {"name": "since", "type": {"type": "int", "logicalType": "date"}, "doc": "First day."},
            {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null, "privacy": "month", "doc": "Birth."},
            {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["cat", "dog"]}, "label_safe": true, "undated": true, "doc": "Kind."},
            {"name": "was", "type": ["null", "kind"], "default": null, "aliases": ["before"], "doc": "Kind before."},
            {"name": "weight", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}, "doc": "Kilograms."},
            {"name": "feed", "type": "string", "doc": "Feed."},
            {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "Commit."}
          ]
        }"#;
        assert!(good.contains(replace));
        Table::parse("pets.avsc", &good.replacen(replace, by, 1))
    }

    #[test]
    fn a_schema_says_columns_key_references_clock_and_privacy() {
        let pets = parse("", "").unwrap();
        assert_eq!(&*pets.name, "pets");
        let names: Vec<&str> = pets.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            ["pet_id", "mother", "since", "born", "kind", "was", "weight", "feed"]
        );
        assert_eq!(pets.key, [0, 2]);
        assert_eq!(
            pets.references,
            [Reference {
                column: 1,
                table: "pets".into()
            }]
        );
        assert_eq!(pets.recorded_at.as_deref(), Some("recorded_at"));
        assert_eq!(pets.source, Some(7));
        assert!(pets.label_safe);
        let unstored: Vec<&str> = pets.unstored.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(unstored, ["secret", "recorded_at"]);

        let column = |name| pets.column(name).unwrap();
        assert_eq!(column("pet_id").privacy, Privacy::Hmac("pet".into()));
        assert_eq!(column("born").privacy, Privacy::Month);
        assert!(column("born").nullable && !column("since").nullable);
        assert!(column("kind").undated && column("kind").label_safe);
        assert_eq!(column("was").symbols, Some(vec!["cat".to_owned(), "dog".to_owned()]));
        assert_eq!(column("was").aliases, ["before"]);
        assert_eq!(column("weight").data_type, DataType::Decimal128(9, 3));
    }

    #[test]
    fn stored_columns_are_nullable_and_the_system_columns_follow_them() {
        let pets = parse("", "").unwrap();
        assert!(pets.lake_schema().fields().iter().all(|field| field.is_nullable()));
        assert_eq!(pets.schema().fields().len(), 8);
        assert_eq!(
            pets.lake_schema().fields()[8..]
                .iter()
                .map(|field| field.name().as_str())
                .collect::<Vec<_>>(),
            [
                "_op",
                "_recorded_at",
                "_recorded_month",
                "_seq",
                "_unset",
                "_source",
                "_snapshot",
                "_cluster",
                "_topic",
                "_epoch",
                "_partition",
                "_offset",
                "_ingested_at",
            ]
        );
    }

    #[test]
    fn every_mistake_is_refused_with_its_place_and_a_hint() {
        let mistakes = [
            // replaced, by, the error must tell
            (
                r#""privacy": "month""#,
                r#""privcy": "month""#,
                "field `born`: expected one of name",
            ),
            (
                r#""privacy": "month""#,
                r#""privcy": "month""#,
                "did you mean `privacy`?",
            ),
            (
                r#""privacy": "month""#,
                r#""privacy": "year""#,
                "field `born`, attribute `privacy`: expected keep, drop, hmac:<domain> or month, found `\"year\"`",
            ),
            (
                r#""privacy": "month""#,
                r#""privacy": true"#,
                "expected keep, drop, hmac:<domain> or month, found `true`",
            ),
            (
                r#""privacy": "month""#,
                r#""privacy": "hmac:pet""#,
                "field `born`, attribute `privacy`: expected a string",
            ),
            (
                r#""privacy": "hmac:pet""#,
                r#""privacy": "month""#,
                "field `pet_id`, attribute `privacy`: expected a date",
            ),
            (r#""privacy": "hmac:pet""#, r#""privacy": "hmac:""#, "hmac:<domain>"),
            (
                r#""privacy": "hmac:pet""#,
                r#""privacy": "hmac:pet", "label_safe": true"#,
                "a private value is never a label",
            ),
            (
                r#""privacy": "hmac:pet""#,
                r#""privacy": "drop""#,
                "attribute `key`: expected fields that are stored, found `pet_id`",
            ),
            (
                r#""undated": true"#,
                r#""undated": "yes""#,
                "field `kind`, attribute `undated`: expected true or false",
            ),
            (
                r#""key": ["pet_id", "since"]"#,
                r#""key": ["pet_idd"]"#,
                "did you mean `pet_id`?",
            ),
            (
                r#""key": ["pet_id", "since"]"#,
                r#""key": []"#,
                "attribute `key`: expected at least one field",
            ),
            (
                r#""key": ["pet_id", "since"]"#,
                r#""key": ["was"]"#,
                "attribute `key`: expected a field that can identify, found `was`",
            ),
            (r#""mother": "pets""#, r#""mothr": "pets""#, "attribute `references`"),
            (
                r#""recorded_at": "recorded_at""#,
                r#""recorded_at": "since""#,
                "attribute `recorded_at`: expected a timestamp-micros",
            ),
            (
                r#""source": "feed""#,
                r#""source": "born""#,
                "attribute `source`: expected a text field",
            ),
            (r#", "doc": "Birth.""#, "", "field `born`: expected `doc`"),
            (r#""name": "was""#, r#""name": "kind""#, "names and aliases used once"),
            (r#""name": "was""#, r#""name": "_was""#, "without a leading underscore"),
            (
                r#""precision": 9"#,
                r#""precision": 12"#,
                "field `weight`: expected string, boolean",
            ),
            (
                r#"["null", "kind"]"#,
                r#"["kind", "null"]"#,
                "field `was`: expected a type, or",
            ),
            (r#""type": "record""#, r#""type": "recrd""#, "a table is an Avro record"),
            (r#""label_safe": true,"#, r#""label_safe": true,,"#, "expected JSON"),
            (
                r#""label_safe": true,"#,
                r#""label_safe": true, "deliveries": {"feed": "pet_idd"},"#,
                "attribute `deliveries`, attribute `feed`: expected fields that are stored, found `pet_idd`",
            ),
            (
                r#""label_safe": true,"#,
                r#""label_safe": true, "deliveries": {"feed": "since"},"#,
                "attribute `feed`: expected a field of type Utf8",
            ),
            (
                r#""label_safe": true,"#,
                r#""label_safe": true, "deliveries": {"fed": "pet_id"},"#,
                "did you mean `feed`?",
            ),
        ];
        for (replace, by, told) in mistakes {
            let error = parse(replace, by).expect_err(by).to_string();
            assert!(
                error.starts_with("pets.avsc: ") && error.contains("\nhint: "),
                "{error}"
            );
            assert!(error.contains(told), "{by}: {error}");
        }
    }
}
