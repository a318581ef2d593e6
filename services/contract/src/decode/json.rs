//! JSON, with or without Kafka Connect's schema block -> [`Wire`].
//!
//! A message is walked once for its fields and once for each record in it; values stay slices of the message until the
//! whole message has been understood, and are then appended, as text, to one column each. Numbers keep every digit.
//! What they mean comes from the schema block, which is read once and recognised by its bytes from then on.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, BooleanBuilder, StringBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hashbrown::HashMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::avro::meaning_of_connect;
use super::fault::{Fault, Faults};
use super::number::Number;
use super::wire::{FLAT_DELETED, FLAT_OP, Meaning, SourceField, Wire, WireColumn};
use crate::chunk::Reason;
use crate::table::Table;
use crate::topic::Shape;

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// Schema blocks remembered. A topic has one, and a second after its table changed.
const MOST_BLOCKS: usize = 16;

/// The field of a row that a column, or the row's clock, is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Column(usize),
    RecordedAt,
}

/// Reads JSON messages as rows of one table.
pub(super) struct JsonReader {
    shape: Shape,
    /// By field name.
    slots: HashMap<String, Slot>,
    /// By field name in uppercase, for databases that shout.
    loud_slots: HashMap<String, Slot>,
    /// For each column, its place in the key.
    key_part: Vec<Option<usize>>,
    key_parts: usize,
    blocks: Vec<(String, Arc<Block>)>,
    no_block: Arc<Block>,
}

/// What a schema block says of the values of a row.
#[derive(Debug)]
struct Block {
    columns: Vec<Meaning>,
    recorded_at: Meaning,
}

/// A value of a message: a slice of it, or what an escape or a decimal was turned into.
type Text<'m> = Option<Cow<'m, str>>;

/// One message, understood. Reused from message to message.
#[derive(Default)]
struct Message<'m> {
    envelope: bool,
    has_after: bool,
    has_before: bool,
    op: Text<'m>,
    deleted: Text<'m>,
    recorded_at: Text<'m>,
    after: Vec<Text<'m>>,
    before_key: Vec<Text<'m>>,
    source: Vec<Text<'m>>,
}

/// Understands one message, and says what its values mean.
type ReadOne<'m> = fn(&mut JsonReader, &'m [u8], &mut Message<'m>) -> Result<Arc<Block>, Fault>;

impl JsonReader {
    pub(super) fn new(table: &Table, shape: Shape) -> Self {
        let mut key_part = vec![None; table.columns.len()];
        for (part, &position) in table.key.iter().enumerate() {
            key_part[position] = Some(part);
        }
        let mut slots = HashMap::new();
        for (position, column) in table.columns.iter().enumerate() {
            for name in std::iter::once(&column.name).chain(&column.aliases) {
                slots.insert(name.clone(), Slot::Column(position));
            }
        }
        let clock = table
            .recorded_at
            .as_ref()
            .and_then(|name| table.unstored.iter().find(|column| column.name == *name));
        for name in clock
            .into_iter()
            .flat_map(|clock| std::iter::once(&clock.name).chain(&clock.aliases))
        {
            slots.insert(name.clone(), Slot::RecordedAt);
        }
        let loud_slots = slots
            .iter()
            .map(|(name, slot)| (name.to_ascii_uppercase(), *slot))
            .collect();
        let no_block = Arc::new(Block {
            columns: vec![Meaning::Plain; key_part.len()],
            recorded_at: Meaning::Plain,
        });
        Self {
            shape,
            slots,
            loud_slots,
            key_part,
            key_parts: table.key.len(),
            blocks: Vec::new(),
            no_block,
        }
    }

    /// Decodes messages, each with its position among the caller's. Those that cannot be become faults. Messages of
    /// different forms (an envelope or a row, under this or that schema block) come back apart.
    pub(super) fn decode(&mut self, messages: &[(usize, &[u8])], faults: &mut Faults) -> Vec<Wire> {
        self.decode_each(messages, faults, Self::read)
    }

    /// Decodes messages' keys: rows of the key's columns or, where the key is one column, its bare value.
    pub(super) fn decode_keys(&mut self, keys: &[(usize, &[u8])], faults: &mut Faults) -> Vec<Wire> {
        self.decode_each(keys, faults, Self::read_key)
    }

    fn decode_each<'m>(&mut self, messages: &[(usize, &'m [u8])], faults: &mut Faults, read: ReadOne<'m>) -> Vec<Wire> {
        let mut forms: Vec<Form> = Vec::new();
        let mut message = Message::default();
        for &(position, bytes) in messages {
            match read(self, bytes, &mut message) {
                Ok(block) => {
                    let is_same = |form: &Form| form.envelope == message.envelope && Arc::ptr_eq(&form.block, &block);
                    let found = forms.iter().position(is_same).unwrap_or_else(|| {
                        forms.push(Form::new(self, message.envelope, block, messages.len()));
                        forms.len() - 1
                    });
                    forms[found].append(position, &message);
                }
                Err(fault) => faults.add(position, fault),
            }
        }
        forms.into_iter().map(Form::finish).collect()
    }

    /// Understands one message, and says what its values mean.
    fn read<'m>(&mut self, bytes: &'m [u8], message: &mut Message<'m>) -> Result<Arc<Block>, Fault> {
        message.clear(self.key_part.len(), self.key_parts);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("the message is not UTF-8"))?;
        let top = Top::of(text)?;
        match (top.schema, top.payload, top.others) {
            (Some(schema), Some(payload), false) => {
                let block = self.block(schema.get());
                self.read_change(payload.get(), Top::of(payload.get())?, &block, message)?;
                Ok(block)
            }
            _ => {
                let block = Arc::clone(&self.no_block);
                self.read_change(text, top, &block, message)?;
                Ok(block)
            }
        }
    }

    fn read_key<'m>(&mut self, bytes: &'m [u8], message: &mut Message<'m>) -> Result<Arc<Block>, Fault> {
        message.clear(self.key_part.len(), self.key_parts);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("the key is not UTF-8"))?;
        let key: &RawValue = serde_json::from_str(text).map_err(|_| malformed("the key is not JSON"))?;
        if !key.get().starts_with('{') {
            let block = Arc::clone(&self.no_block);
            return self.read_bare_key(key, message).map(|()| block);
        }
        match Top::of(key.get())? {
            Top {
                schema: Some(schema),
                payload: Some(payload),
                others: false,
                ..
            } => {
                let block = self.block(schema.get());
                match payload.get().starts_with('{') {
                    true => self.read_row(payload.get(), &block, message)?,
                    false => self.read_bare_key(payload, message)?,
                }
                Ok(block)
            }
            _ => {
                let block = Arc::clone(&self.no_block);
                self.read_row(key.get(), &block, message)?;
                Ok(block)
            }
        }
    }

    fn read_bare_key<'m>(&self, key: &'m RawValue, message: &mut Message<'m>) -> Result<(), Fault> {
        if self.key_parts != 1 {
            return Err(malformed(
                "the key is one value, and the table's key has several columns",
            ));
        }
        message.has_after = true;
        for (column, _) in self.key_part.iter().enumerate().filter(|(_, part)| part.is_some()) {
            message.after[column] = plain_text("key", key)?;
        }
        Ok(())
    }

    /// Reads an envelope or a row.
    fn read_change<'m>(
        &self,
        text: &'m str,
        top: Top<'m>,
        block: &Block,
        message: &mut Message<'m>,
    ) -> Result<(), Fault> {
        message.envelope = top.is_envelope() && self.shape != Shape::Flat;
        if !message.envelope {
            let detail = "the message is not Debezium's envelope";
            return match self.shape {
                Shape::Debezium => Err(Fault::new(Reason::SchemaMismatch, detail)),
                Shape::Auto | Shape::Flat => self.read_row(text, block, message),
            };
        }
        let Top {
            op,
            before,
            after,
            source,
            ..
        } = top;
        message.op = op.map(|op| plain_text("op", op)).transpose()?.flatten();
        let is_record = |record: &&'m RawValue| record.get().starts_with('{');
        if let Some(before) = before.filter(is_record) {
            message.has_before = true;
            self.read_before(before.get(), block, message)?;
        }
        if let Some(after) = after.filter(is_record) {
            message.has_after = true;
            self.read_image(after.get(), block, message)?;
        }
        if let Some(source) = source.filter(is_record) {
            walk_fields(source.get(), |name, value| match SourceField::in_block(name) {
                Some(field) => plain_text(name, value).map(|text| message.source[field as usize] = text),
                None => Ok(()),
            })?;
        }
        Ok(())
    }

    fn read_before<'m>(&self, text: &'m str, block: &Block, message: &mut Message<'m>) -> Result<(), Fault> {
        walk_fields(text, |name, value| {
            if let Some(Slot::Column(column)) = self.slot(name)
                && let Some(part) = self.key_part[column]
            {
                message.before_key[part] = value_text(name, value, block.columns[column])?;
            }
            Ok(())
        })
    }

    fn read_image<'m>(&self, text: &'m str, block: &Block, message: &mut Message<'m>) -> Result<(), Fault> {
        walk_fields(text, |name, value| {
            if let Some(Slot::Column(column)) = self.slot(name) {
                message.after[column] = value_text(name, value, block.columns[column])?;
            }
            Ok(())
        })
    }

    fn read_row<'m>(&self, text: &'m str, block: &Block, message: &mut Message<'m>) -> Result<(), Fault> {
        message.has_after = true;
        walk_fields(text, |name, value| {
            match self.slot(name) {
                Some(Slot::Column(column)) => message.after[column] = value_text(name, value, block.columns[column])?,
                Some(Slot::RecordedAt) => message.recorded_at = value_text(name, value, block.recorded_at)?,
                None if name == FLAT_OP => message.op = plain_text(name, value)?,
                None if name == FLAT_DELETED => message.deleted = plain_text(name, value)?,
                None => {
                    if let Some(field) = SourceField::in_flat_row(name) {
                        message.source[field as usize] = plain_text(name, value)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        if let Some(slot) = self.slots.get(name) {
            return Some(*slot);
        }
        let is_loud = name.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_loud {
            self.loud_slots.get(&name.to_ascii_uppercase()).copied()
        } else {
            None
        }
    }

    fn block(&mut self, schema: &str) -> Arc<Block> {
        if let Some((_, block)) = self.blocks.iter().find(|(text, _)| text == schema) {
            return Arc::clone(block);
        }
        let block = Arc::new(self.parse_block(schema));
        if self.blocks.len() == MOST_BLOCKS {
            self.blocks.remove(0);
        }
        self.blocks.push((schema.to_owned(), Arc::clone(&block)));
        block
    }

    fn parse_block(&self, schema: &str) -> Block {
        let mut block = Block {
            columns: vec![Meaning::Plain; self.key_part.len()],
            recorded_at: Meaning::Plain,
        };
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        let named = |field: &&Value, name: &str| field.get("field").and_then(Value::as_str) == Some(name);
        let top = fields_of(&schema);
        let row = match top.iter().find(|field| named(field, "after")) {
            Some(after) if self.shape != Shape::Flat && top.iter().any(|field| named(&field, "op")) => fields_of(after),
            _ => top,
        };
        for field in row {
            let meaning = meaning_of_field(field);
            match field
                .get("field")
                .and_then(Value::as_str)
                .and_then(|name| self.slot(name))
            {
                Some(Slot::Column(column)) => block.columns[column] = meaning,
                Some(Slot::RecordedAt) => block.recorded_at = meaning,
                None => {}
            }
        }
        block
    }
}

/// The fields of a message that say what kind it is.
#[derive(Default)]
struct Top<'m> {
    schema: Option<&'m RawValue>,
    payload: Option<&'m RawValue>,
    op: Option<&'m RawValue>,
    before: Option<&'m RawValue>,
    after: Option<&'m RawValue>,
    source: Option<&'m RawValue>,
    /// Whether there are fields beside a schema block and its payload.
    others: bool,
}

impl<'m> Top<'m> {
    fn of(text: &'m str) -> Result<Self, Fault> {
        let mut top = Self::default();
        walk_fields(text, |name, value| {
            let known = match name {
                "schema" => &mut top.schema,
                "payload" => &mut top.payload,
                other => {
                    top.others = true;
                    match other {
                        "op" => &mut top.op,
                        "before" => &mut top.before,
                        "after" => &mut top.after,
                        "source" => &mut top.source,
                        _ => return Ok(()),
                    }
                }
            };
            *known = Some(value);
            Ok(())
        })?;
        Ok(top)
    }

    fn is_envelope(&self) -> bool {
        let is_image = |image: Option<&RawValue>| image.is_some_and(|image| image.get().starts_with(['{', 'n']));
        // A delete may have lost both images on its way; what is left of it is the source block.
        let has_block = self.source.is_some_and(|source| source.get().starts_with('{'));
        self.op.is_some() && (is_image(self.before) || is_image(self.after) || has_block)
    }
}

impl<'m> Message<'m> {
    fn clear(&mut self, columns: usize, key_parts: usize) {
        let Self {
            envelope,
            has_after,
            has_before,
            op,
            deleted,
            recorded_at,
            after,
            before_key,
            source,
        } = self;
        (*envelope, *has_after, *has_before) = (false, false, false);
        (*op, *deleted, *recorded_at) = (None, None, None);
        for (texts, length) in [
            (after, columns),
            (before_key, key_parts),
            (source, SourceField::ALL.len()),
        ] {
            texts.clear();
            texts.resize(length, None);
        }
    }
}

fn fields_of(schema: &Value) -> &[Value] {
    schema
        .get("fields")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn meaning_of_field(field: &Value) -> Meaning {
    let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
    if name == DECIMAL {
        let scale = field
            .get("parameters")
            .and_then(|parameters| parameters.get("scale"))
            .and_then(Value::as_str);
        return Meaning::Decimal {
            scale: scale.and_then(|scale| scale.parse().ok()).unwrap_or(0),
        };
    }
    meaning_of_connect(name).unwrap_or(Meaning::Plain)
}

fn malformed(detail: &str) -> Fault {
    Fault::new(Reason::Malformed, detail)
}

fn plain_text<'m>(name: &str, value: &'m RawValue) -> Result<Text<'m>, Fault> {
    value_text(name, value, Meaning::Plain)
}

/// A value as text: a string's content, a number's digits.
fn value_text<'m>(name: &str, value: &'m RawValue, meaning: Meaning) -> Result<Text<'m>, Fault> {
    let value = value.get();
    match value.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let content = match &value[1..value.len() - 1] {
                plain if !plain.contains('\\') => Cow::Borrowed(plain),
                _ => Cow::Owned(serde_json::from_str(value).map_err(|_| malformed("a string has a broken escape"))?),
            };
            Ok(Some(match meaning {
                Meaning::Decimal { scale } => decimal_text(&content, scale).map_or(content, Cow::Owned),
                _ => content,
            }))
        }
        Some(b'{') => match scaled_decimal(value) {
            Some(decimal) => Ok(Some(Cow::Owned(decimal))),
            None => Err(Fault::new(Reason::BadValue, format!("`{name}` holds an object"))),
        },
        Some(b'[') => Err(Fault::new(Reason::BadValue, format!("`{name}` holds a list"))),
        _ => Ok(Some(Cow::Borrowed(value))),
    }
}

/// The digits of Connect's decimal: base64 of big-endian two's complement.
fn decimal_text(base64: &str, scale: i32) -> Option<String> {
    Some(Number::from_bytes(&BASE64.decode(base64).ok()?, scale)?.to_string())
}

/// The digits of Debezium's decimal that brings its own scale.
fn scaled_decimal(object: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct VariableScaleDecimal<'v> {
        scale: i32,
        #[serde(borrow)]
        value: Cow<'v, str>,
    }
    let decimal: VariableScaleDecimal<'_> = serde_json::from_str(object).ok()?;
    decimal_text(&decimal.value, decimal.scale)
}

/// Calls `each` with every field of a JSON object, up to the first fault.
fn walk_fields<'m>(text: &'m str, each: impl FnMut(&str, &'m RawValue) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walked = deserializer
        .deserialize_map(Fields {
            each,
            fault: &mut fault,
        })
        .and_then(|()| deserializer.end());
    match (fault, walked) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_eof() => {
            Err(Fault::new(Reason::Truncated, "the message ends before its JSON does"))
        }
        (None, Err(_)) => Err(malformed("the message is not a JSON object")),
    }
}

struct Fields<'f, F> {
    each: F,
    fault: &'f mut Option<Fault>,
}

impl<'m, F: FnMut(&str, &'m RawValue) -> Result<(), Fault>> Visitor<'m> for Fields<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'m>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key::<Name<'m>>()? {
            let value: &'m RawValue = map.next_value()?;
            if self.fault.is_none() {
                *self.fault = (self.each)(&name, value).err();
            }
        }
        Ok(())
    }
}

/// A field's name, borrowed from the message where it has no escapes.
struct Name<'m>(Cow<'m, str>);

impl<'m> Deserialize<'m> for Name<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'m> Visitor<'m> for NameVisitor {
            type Value = Name<'m>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field's name")
            }

            fn visit_borrowed_str<E>(self, name: &'m str) -> Result<Name<'m>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'m>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The columns of messages of one form.
struct Form {
    envelope: bool,
    block: Arc<Block>,
    key_part: Vec<Option<usize>>,
    messages: Vec<usize>,
    has_after: BooleanBuilder,
    has_before: BooleanBuilder,
    op: StringBuilder,
    deleted: StringBuilder,
    recorded_at: StringBuilder,
    after: Vec<StringBuilder>,
    before_key: Vec<StringBuilder>,
    source: Vec<StringBuilder>,
}

impl Form {
    fn new(reader: &JsonReader, envelope: bool, block: Arc<Block>, rows: usize) -> Self {
        let columns = |count: usize| (0..count).map(|_| StringBuilder::new()).collect();
        Self {
            envelope,
            block,
            key_part: reader.key_part.clone(),
            messages: Vec::with_capacity(rows),
            has_after: BooleanBuilder::with_capacity(rows),
            has_before: BooleanBuilder::with_capacity(rows),
            op: StringBuilder::new(),
            deleted: StringBuilder::new(),
            recorded_at: StringBuilder::new(),
            after: columns(reader.key_part.len()),
            before_key: columns(reader.key_parts),
            source: columns(SourceField::ALL.len()),
        }
    }

    fn append(&mut self, position: usize, message: &Message<'_>) {
        self.messages.push(position);
        self.has_after.append_value(message.has_after);
        self.has_before.append_value(message.has_before);
        self.op.append_option(message.op.as_deref());
        self.deleted.append_option(message.deleted.as_deref());
        self.recorded_at.append_option(message.recorded_at.as_deref());
        let many = [
            (&mut self.after, &message.after),
            (&mut self.before_key, &message.before_key),
            (&mut self.source, &message.source),
        ];
        for (columns, texts) in many {
            for (column, text) in columns.iter_mut().zip(texts) {
                column.append_option(text.as_deref());
            }
        }
    }

    fn finish(mut self) -> Wire {
        let finish = |mut texts: StringBuilder, meaning: Meaning| {
            let array = texts.finish();
            (array.null_count() < array.len()).then(|| WireColumn {
                array: Arc::new(array),
                meaning,
            })
        };
        // A decimal was turned into digits when it was read.
        let unit = |meaning: Meaning| {
            if matches!(meaning, Meaning::Decimal { .. }) {
                Meaning::Plain
            } else {
                meaning
            }
        };
        let mut key_meaning = vec![Meaning::Plain; self.before_key.len()];
        for (column, part) in self.key_part.iter().enumerate() {
            if let Some(part) = part {
                key_meaning[*part] = unit(self.block.columns[column]);
            }
        }
        let after = self.after.into_iter().zip(&self.block.columns);
        Wire {
            messages: self.messages,
            envelope: self.envelope,
            op: finish(self.op, Meaning::Plain).map(|op| op.array),
            deleted: finish(self.deleted, Meaning::Plain).map(|deleted| deleted.array),
            has_after: self.has_after.finish(),
            has_before: self.has_before.finish(),
            after: after.map(|(texts, meaning)| finish(texts, unit(*meaning))).collect(),
            before_key: self
                .before_key
                .into_iter()
                .zip(key_meaning)
                .map(|(texts, meaning)| finish(texts, meaning))
                .collect(),
            source: self
                .source
                .into_iter()
                .map(|texts| finish(texts, Meaning::Plain))
                .collect(),
            recorded_at: finish(self.recorded_at, unit(self.block.recorded_at)),
        }
    }
}
