//! Avro in Confluent's framing -> [`Wire`], by arrow-avro: bytes straight into Arrow builders.
//!
//! One decoder for each writer's schema. Its reader's schema is the writer's own, cut down to the fields the table
//! needs, so that schema resolution only ever skips: types are converted afterwards, whole columns at a time, and any
//! mix of writers ends in one table.

mod plan;
mod schema;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat_batches;
use arrow_avro::errors::AvroError;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};

use self::plan::{AFTER, BEFORE, Place, Plan};
pub(super) use self::schema::meaning_of_connect;
use super::fault::{Fault, Faults};
use super::wire::{Wire, WireColumn};
use crate::chunk::Reason;
use crate::registry::WriterSchema;
use crate::table::Table;
use crate::topic::Shape;

/// Confluent's framing: a zero byte, the schema's id in four bytes, then the record.
pub(super) const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;

/// What may have followed a truncated message: see [`AvroReader::fault`].
const PADDING: &[u8] = &[0; 512];

/// The schema id of a message in Confluent's framing; `None` for any other.
pub fn framed_schema_id(message: &[u8]) -> Option<u32> {
    if message.first() == Some(&MAGIC) {
        schema_id(message)
    } else {
        None
    }
}

/// The schema id of a framed message.
pub(super) fn schema_id(message: &[u8]) -> Option<u32> {
    let id = message.get(1..FRAME_BYTES)?;
    Some(u32::from_be_bytes(id.try_into().ok()?))
}

/// Reads the messages of one writer's schema as rows of one table.
pub(super) struct AvroReader {
    plan: Plan,
    fingerprint: Fingerprint,
    writer: AvroSchema,
    projection: AvroSchema,
    /// Without rows between batches. Thrown away after an error, which may leave half a row in it.
    decoder: Option<Decoder>,
}

impl AvroReader {
    /// Fails, with what is wrong, when this schema can never be read as this table.
    pub(super) fn new(id: u32, schema: &WriterSchema, table: &Table, shape: Shape) -> Result<Self, String> {
        let tree = schema::Node::parse(&schema.schema, &schema.references)?;
        Self::of(id, tree, table, shape)
    }

    /// For the keys of messages: rows of the key's columns or, where the key is one column, its bare value.
    pub(super) fn of_keys(id: u32, schema: &WriterSchema, table: &Table) -> Result<Self, String> {
        let tree = schema::Node::parse(&schema.schema, &schema.references)?;
        let mut columns = table.key_columns();
        let tree = match (columns.next(), columns.next()) {
            (Some(only), None) if tree.fields().is_none() => tree.in_record(&only.name),
            _ => tree,
        };
        Self::of(id, tree, table, Shape::Flat)
    }

    fn of(id: u32, tree: schema::Node, table: &Table, shape: Shape) -> Result<Self, String> {
        let plan = Plan::new(&tree, table, shape)?;
        let (writer, projection) = plan.schemas(&tree);
        let mut reader = Self {
            plan,
            fingerprint: Fingerprint::Id(id),
            writer: AvroSchema::new(writer.to_string()),
            projection: AvroSchema::new(projection.to_string()),
            decoder: None,
        };
        match reader.new_decoder(usize::MAX) {
            Ok(decoder) => reader.decoder = Some(decoder),
            Err(_) => return Err("the schema uses types that cannot be decoded".to_owned()),
        }
        Ok(reader)
    }

    fn new_decoder(&self, rows: usize) -> Result<Decoder, AvroError> {
        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(self.fingerprint, self.writer.clone())?;
        let builder = ReaderBuilder::new()
            .with_writer_schema_store(store)
            .with_active_fingerprint(self.fingerprint)
            .with_reader_schema(self.projection.clone())
            .with_batch_size(rows);
        Ok(builder.build_decoder()?)
    }

    fn take_decoder(&mut self) -> Decoder {
        match self.decoder.take() {
            Some(decoder) => decoder,
            None => self
                .new_decoder(usize::MAX)
                .expect("a decoder was built from these schemas before"),
        }
    }

    /// Decodes framed messages, each with its position among the caller's. Those that cannot be become faults.
    pub(super) fn decode(&mut self, messages: &[(usize, &[u8])], faults: &mut Faults) -> Wire {
        let mut decoded = Decoded::default();
        self.decode_run(messages, &mut decoded, faults);
        if let [batch] = decoded.batches.as_slice() {
            return self.wire(decoded.messages, batch);
        }
        let decoder = self.take_decoder();
        let batch = concat_batches(&decoder.schema(), &decoded.batches);
        self.decoder = Some(decoder);
        self.wire(decoded.messages, &batch.expect("one decoder's batches have one schema"))
    }

    /// Decodes a run of messages: at once when all are good, else in the parts between the bad ones.
    fn decode_run(&mut self, messages: &[(usize, &[u8])], decoded: &mut Decoded, faults: &mut Faults) {
        let mut rest = messages;
        while !rest.is_empty() {
            match self.try_decode(rest) {
                Ok(batch) => {
                    decoded.messages.extend(rest.iter().map(|(position, _)| *position));
                    decoded.batches.push(batch);
                    return;
                }
                Err(Failure::At(bad, why)) => {
                    let (good, from_bad) = rest.split_at(bad);
                    self.decode_run(good, decoded, faults);
                    let (position, message) = from_bad[0];
                    faults.add(position, self.fault(message, why));
                    rest = &from_bad[1..];
                }
                Err(Failure::Somewhere) if rest.len() == 1 => {
                    let detail = "a text is not UTF-8, or a symbol is not in its list";
                    faults.add(rest[0].0, Fault::new(Reason::Malformed, detail));
                    return;
                }
                Err(Failure::Somewhere) => {
                    let (left, right) = rest.split_at(rest.len() / 2);
                    self.decode_run(left, decoded, faults);
                    rest = right;
                }
            }
        }
    }

    /// Decodes messages that may all be good. After a failure the decoder is gone.
    fn try_decode(&mut self, messages: &[(usize, &[u8])]) -> Result<RecordBatch, Failure> {
        let mut decoder = self.take_decoder();
        for (at, (_, message)) in messages.iter().enumerate() {
            decode_one(&mut decoder, message).map_err(|why| Failure::At(at, why))?;
            if ends_like_a_frame(message) && !self.is_one_record(message) {
                return Err(Failure::At(at, Undecodable::BytesLeft));
            }
        }
        // Text that is no UTF-8 and symbols out of range are found only now.
        match decoder.flush() {
            Ok(Some(batch)) if batch.num_rows() == messages.len() => {
                self.decoder = Some(decoder);
                Ok(batch)
            }
            _ => Err(Failure::Somewhere),
        }
    }

    /// What to tell of a message. One that can be decoded once zeros follow it (nulls, empty texts) ended too early.
    fn fault(&mut self, message: &[u8], why: Undecodable) -> Fault {
        let ended = Fault::new(Reason::Truncated, "the message ends before its schema does");
        match why {
            Undecodable::Ended => ended,
            Undecodable::BytesLeft => Fault::new(Reason::Malformed, "bytes are left after the record"),
            Undecodable::Wrong => match decode_one(&mut self.take_decoder(), &[message, PADDING].concat()) {
                Ok(()) | Err(Undecodable::BytesLeft) => ended,
                Err(_) => Fault::new(Reason::Malformed, "the bytes are not what their schema says"),
            },
        }
    }

    /// Whether a message that decodes is one record and no more, by a decoder that stops after one.
    fn is_one_record(&self, message: &[u8]) -> bool {
        let decoder = self.new_decoder(1);
        decoder.is_ok_and(|mut decoder| decoder.decode(message).is_ok_and(|consumed| consumed == message.len()))
    }

    fn wire(&self, messages: Vec<usize>, batch: &RecordBatch) -> Wire {
        let rows = batch.num_rows();
        let column = |place: &Option<Place>| {
            let place = place.as_ref()?;
            Some(WireColumn {
                array: array_at(batch, place),
                meaning: place.meaning,
            })
        };
        let columns = |places: &[Option<Place>]| places.iter().map(column).collect::<Vec<_>>();
        let present = |image: &str| match batch.column_by_name(image) {
            Some(image) => BooleanArray::from(
                image
                    .nulls()
                    .map_or_else(|| BooleanBuffer::new_set(rows), |nulls| nulls.inner().clone()),
            ),
            None => BooleanArray::from(BooleanBuffer::new_unset(rows)),
        };
        let envelope = self.plan.envelope;
        Wire {
            messages,
            envelope,
            op: column(&self.plan.op).map(|op| op.array),
            deleted: column(&self.plan.deleted).map(|deleted| deleted.array),
            has_after: if envelope {
                present(AFTER)
            } else {
                BooleanArray::from(BooleanBuffer::new_set(rows))
            },
            has_before: present(BEFORE),
            after: columns(&self.plan.after),
            before_key: columns(&self.plan.before_key),
            source: columns(&self.plan.source),
            recorded_at: column(&self.plan.recorded_at),
        }
    }
}

/// The good messages so far, and their rows in the same order.
#[derive(Default)]
struct Decoded {
    messages: Vec<usize>,
    batches: Vec<RecordBatch>,
}

/// Why a run cannot be decoded at once.
enum Failure {
    At(usize, Undecodable),
    Somewhere,
}

enum Undecodable {
    Ended,
    BytesLeft,
    Wrong,
}

/// Whether a message ends in what could be the frame of another. arrow-avro takes that, says that all is consumed, and
/// waits for the next record.
fn ends_like_a_frame(message: &[u8]) -> bool {
    message.len() > FRAME_BYTES && message.ends_with(&message[..FRAME_BYTES])
}

/// Decodes exactly one message, all of it.
fn decode_one(decoder: &mut Decoder, message: &[u8]) -> Result<(), Undecodable> {
    let capacity = decoder.capacity();
    match (decoder.decode(message), capacity - decoder.capacity()) {
        (Ok(consumed), 1) if consumed == message.len() => Ok(()),
        // arrow-avro stops without an error where bytes are missing.
        (Ok(_), 0) => Err(Undecodable::Ended),
        (Err(_), 0) => Err(Undecodable::Wrong),
        _ => Err(Undecodable::BytesLeft),
    }
}

/// A column of the batch, from the record within it that holds the field.
fn array_at(batch: &RecordBatch, place: &Place) -> ArrayRef {
    let known = "the projection keeps every place of the plan";
    match place.within {
        None => batch.column_by_name(&place.name).expect(known).clone(),
        Some(within) => {
            let record = batch.column_by_name(within).expect(known);
            let record = record
                .as_any()
                .downcast_ref::<StructArray>()
                .expect("a record decodes to a struct");
            record.column_by_name(&place.name).expect(known).clone()
        }
    }
}
