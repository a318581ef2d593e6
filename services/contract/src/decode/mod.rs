//! Kafka messages -> a [`Chunk`] of rows, with every offset accounted for.
//!
//! Messages are told apart by their writer (a schema id, or JSON), decoded in one run each, and put back in the order
//! of their offsets: [`avro`] and [`json`] make columns of them in the writer's types ([`wire`]), [`rows`] judges,
//! [`convert`]s and hides what must be hidden. A delete that shows no image is given its message's own [`key`].

mod avro;
mod convert;
mod fault;
mod json;
mod key;
mod month;
mod number;
mod pseudonym;
mod rows;
mod sequence;
mod wire;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Int64Type;
use hashbrown::HashMap;

pub use self::avro::framed_schema_id;
use self::avro::{AvroReader, MAGIC, schema_id};
use self::fault::{Fault, Faults};
use self::json::JsonReader;
use self::key::{rows_without_key, tell, with_keys};
use self::rows::{Common, Read, rows};
use self::wire::Wire;
use crate::chunk::{Chunk, DeadLetter, RawMessage, Reason};
use crate::contract::check_keys;
use crate::error::ContractError;
use crate::name::ClusterName;
use crate::position::{Offset, OffsetRange, PartitionId, RecordedAt};
use crate::privacy::{HmacKeys, Privacy};
use crate::registry::{SchemaSource, Unavailable, WriterSchema};
use crate::system;
use crate::table::Table;
use crate::topic::{Encoding, Shape, TopicSpec};

/// Decodes the messages of one topic.
pub struct Decoder {
    spec: TopicSpec,
    common: Common,
    registry: Option<Arc<dyn SchemaSource>>,
    avro: Readers,
    json: JsonReader,
    /// The same for messages' keys, which are rows of the key's columns.
    avro_keys: Readers,
    json_keys: JsonReader,
}

/// By schema id: a reader, or why that schema can never be read as this table.
type Readers = HashMap<u32, Result<AvroReader, Fault>>;

/// Messages of one writer: their positions among the caller's, and their bytes.
type Run<'m> = Vec<(usize, &'m [u8])>;

impl Decoder {
    pub fn new(
        table: Arc<Table>,
        topic: TopicSpec,
        cluster: ClusterName,
        keys: Arc<HmacKeys>,
        registry: Option<Arc<dyn SchemaSource>>,
    ) -> Result<Self, ContractError> {
        check_keys(&table, &keys)?;
        if topic.encoding == Encoding::Avro && registry.is_none() {
            return Err(ContractError::Topic {
                topic: topic.topic,
                problem: "it carries Avro, and no schema registry is configured".to_owned(),
                hint: "configure the registry's address, or say encoding = \"json\"".to_owned(),
            });
        }
        let chains = table.columns.iter().map(|column| match &column.privacy {
            Privacy::Hmac(domain) => keys.chain(domain),
            _ => None,
        });
        let common = Common {
            chains: chains.collect(),
            cluster,
            topic: topic.topic.clone(),
            epoch: topic.epoch,
            order: topic.order,
            table: Arc::clone(&table),
        };
        let json = JsonReader::new(&table, topic.shape);
        let json_keys = JsonReader::new(&table, Shape::Flat);
        Ok(Self {
            spec: topic,
            common,
            registry,
            avro: HashMap::new(),
            json,
            avro_keys: HashMap::new(),
            json_keys,
        })
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.common.table
    }

    pub fn topic(&self) -> &TopicSpec {
        &self.spec
    }

    /// Decodes the messages found at the offsets `[from, to)` of a partition; offsets without one are holes. Messages
    /// come in offset order.
    ///
    /// # Errors
    /// Only when a schema is needed and the registry cannot be asked: try again with the same messages. Bad data is
    /// never an error; it comes back as dead letters.
    pub async fn decode(
        &mut self,
        partition: i32,
        from: Offset,
        to: Offset,
        messages: &[RawMessage<'_>],
        ingested_at: RecordedAt,
    ) -> Result<Chunk, Unavailable> {
        debug_assert!(
            messages.windows(2).all(|pair| pair[0].offset < pair[1].offset),
            "offsets rise"
        );
        debug_assert!(
            messages
                .iter()
                .all(|message| from <= message.offset && message.offset < to)
        );

        let mut faults = Faults::default();
        let mut tombstones = 0;
        let mut json_run = Run::new();
        let mut avro_runs: Vec<(u32, Run<'_>)> = Vec::new();
        for (position, message) in messages.iter().enumerate() {
            match form(message.value, self.spec.encoding) {
                Ok(Form::Tombstone) => tombstones += 1,
                Ok(Form::Json(bytes)) => json_run.push((position, bytes)),
                Ok(Form::Avro(id, bytes)) => match avro_runs.iter_mut().rfind(|(of, _)| *of == id) {
                    Some((_, run)) => run.push((position, bytes)),
                    None => avro_runs.push((id, vec![(position, bytes)])),
                },
                Err(fault) => faults.add(position, fault),
            }
        }
        for (id, _) in &avro_runs {
            let (table, shape) = (&self.common.table, self.spec.shape);
            let make = |schema: &WriterSchema| AvroReader::new(*id, schema, table, shape);
            learn(&mut self.avro, self.registry.as_deref(), *id, make).await?;
        }

        let read = Read {
            messages,
            partition,
            ingested_at,
        };
        let mut wires = Vec::with_capacity(avro_runs.len() + 1);
        for (id, run) in &avro_runs {
            match reader(&mut self.avro, *id) {
                Ok(reader) => wires.push(reader.decode(run, &mut faults)),
                Err(fault) => run
                    .iter()
                    .for_each(|(position, _)| faults.add(*position, fault.clone())),
            }
        }
        wires.extend(self.json.decode(&json_run, &mut faults));
        let mut batches = Vec::with_capacity(wires.len());
        for mut wire in wires {
            for delete in self.deletes_by_key(&mut wire, messages, &mut faults).await? {
                batches.push(rows(&delete, &self.common, read, &mut faults));
            }
            batches.push(rows(&wire, &self.common, read, &mut faults));
        }

        let id = self.partition_id(partition);
        let dead_letters = faults
            .into_iter()
            .map(|(position, fault)| dead_letter(&id, &messages[position], fault));
        let offsets = OffsetRange { from, to };
        Ok(Chunk {
            holes: offsets.offsets().saturating_sub(messages.len() as u64),
            dead_letters: dead_letters.collect(),
            rows: in_offset_order(&self.common.table, batches),
            partition: id,
            range: offsets,
            tombstones,
        })
    }

    fn partition_id(&self, partition: i32) -> PartitionId {
        let (cluster, topic) = (self.common.cluster.clone(), self.spec.topic.clone());
        PartitionId {
            cluster,
            topic,
            epoch: self.spec.epoch,
            partition,
        }
    }

    /// Takes out of a run its deletes that show no key, and gives them the key of their message.
    async fn deletes_by_key(
        &mut self,
        wire: &mut Wire,
        messages: &[RawMessage<'_>],
        faults: &mut Faults,
    ) -> Result<Vec<Wire>, Unavailable> {
        let table = Arc::clone(&self.common.table);
        let rows = rows_without_key(wire, &table);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut of_keys = Faults::default();
        let (mut json_run, mut avro_runs) = (Run::new(), HashMap::<u32, Run<'_>>::new());
        for position in rows.iter().map(|row| wire.messages[*row]) {
            match messages[position].key {
                // Nothing to take a key from: the message is judged as it is.
                None | Some([]) => {}
                Some(bytes) if bytes[0] == MAGIC => match schema_id(bytes) {
                    Some(id) => avro_runs.entry(id).or_default().push((position, bytes)),
                    None => of_keys.add(position, Fault::new(Reason::Truncated, "it ends within its schema id")),
                },
                Some(bytes) => json_run.push((position, bytes)),
            }
        }
        let mut keys = self.json_keys.decode_keys(&json_run, &mut of_keys);
        for (id, run) in &avro_runs {
            let make = |schema: &WriterSchema| AvroReader::of_keys(*id, schema, &table);
            learn(&mut self.avro_keys, self.registry.as_deref(), *id, make).await?;
            match reader(&mut self.avro_keys, *id) {
                Ok(reader) => keys.push(reader.decode(run, &mut of_keys)),
                Err(fault) => run
                    .iter()
                    .for_each(|(position, _)| of_keys.add(*position, fault.clone())),
            }
        }
        tell(of_keys, faults);
        Ok(with_keys(wire, &rows, keys, &table))
    }
}

/// Makes sure that it is known how, or that it is impossible, to read a schema.
async fn learn(
    readers: &mut Readers,
    registry: Option<&dyn SchemaSource>,
    id: u32,
    make: impl FnOnce(&WriterSchema) -> Result<AvroReader, String>,
) -> Result<(), Unavailable> {
    if readers.contains_key(&id) {
        return Ok(());
    }
    let Some(registry) = registry else {
        let fault = Fault::new(Reason::UnknownSchema, "no schema registry is configured");
        readers.insert(id, Err(fault));
        return Ok(());
    };
    // An id that is not known is not remembered here: the registry's client forgets it after a while.
    if let Some(schema) = registry.schema(id).await? {
        let reader = make(&schema);
        readers.insert(id, reader.map_err(|detail| Fault::new(Reason::SchemaMismatch, detail)));
    }
    Ok(())
}

/// The reader of a schema that was learnt, or why there is none.
fn reader(readers: &mut Readers, id: u32) -> Result<&mut AvroReader, Fault> {
    match readers.get_mut(&id) {
        Some(Ok(reader)) => Ok(reader),
        Some(Err(fault)) => Err(fault.clone()),
        None => Err(Fault::new(
            Reason::UnknownSchema,
            "the registry has no Avro schema with this id",
        )),
    }
}

/// What a message is, by its first byte.
enum Form<'m> {
    Tombstone,
    Json(&'m [u8]),
    Avro(u32, &'m [u8]),
}

/// By its first byte, and by what the topic is configured to carry.
fn form<'m>(value: Option<&'m [u8]>, encoding: Encoding) -> Result<Form<'m>, Fault> {
    let Some(bytes) = value else {
        return Ok(Form::Tombstone);
    };
    let wrong = |detail: &str| Err(Fault::new(Reason::UnknownEncoding, detail));
    match (bytes.iter().find(|byte| !byte.is_ascii_whitespace()), encoding) {
        (None, _) => Err(Fault::new(Reason::Truncated, "the message is empty")),
        (Some(&MAGIC), Encoding::Auto | Encoding::Avro) if bytes[0] == MAGIC => match schema_id(bytes) {
            Some(id) => Ok(Form::Avro(id, bytes)),
            None => Err(Fault::new(Reason::Truncated, "the message ends within its schema id")),
        },
        (Some(b'{'), Encoding::Auto | Encoding::Json) => Ok(Form::Json(bytes)),
        (_, Encoding::Avro) => wrong("the message is not Avro in Confluent's framing"),
        (_, Encoding::Json) => wrong("the message is not a JSON object"),
        (_, Encoding::Auto) => wrong("the message is neither Avro in Confluent's framing nor a JSON object"),
    }
}

fn dead_letter(partition: &PartitionId, message: &RawMessage<'_>, fault: Fault) -> DeadLetter {
    let value = message.value.unwrap_or_default();
    DeadLetter {
        partition: partition.clone(),
        offset: message.offset,
        schema_id: framed_schema_id(value),
        reason: fault.reason,
        detail: fault.detail,
        timestamp_ms: message.timestamp_ms,
        payload: message.value.map(<[u8]>::to_vec),
    }
}

/// Puts the rows of several runs back in the order in which they were read.
fn in_offset_order(table: &Table, mut batches: Vec<RecordBatch>) -> RecordBatch {
    batches.retain(|batch| batch.num_rows() > 0);
    match batches.len() {
        0 => RecordBatch::new_empty(table.lake_schema()),
        1 => batches.remove(0),
        _ => {
            let mut order = Vec::new();
            for (run, batch) in batches.iter().enumerate() {
                let offsets = batch.column_by_name(system::OFFSET).expect("every row has an offset");
                let offsets = offsets.as_primitive::<Int64Type>();
                order.extend((0..offsets.len()).map(|row| (offsets.value(row), run, row)));
            }
            // Two rows of one message are of one run, and stay in their order there.
            order.sort_unstable();
            let order: Vec<(usize, usize)> = order.into_iter().map(|(_, run, row)| (run, row)).collect();
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            interleave_record_batch(&batches, &order).expect("all runs are of the table's schema")
        }
    }
}
