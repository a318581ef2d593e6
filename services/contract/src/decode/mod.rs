//! Kafka messages -> a [`Chunk`] of rows, with every offset accounted for.
//!
//! Messages are told apart by their writer (a schema id, or JSON), decoded in one run each, and put back in the order
//! of their offsets: [`avro`] and [`json`] make columns of them in the writer's types ([`wire`]), [`rows`] judges,
//! [`convert`]s and hides what must be hidden.

mod avro;
mod convert;
mod fault;
mod json;
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

use self::avro::{AvroReader, MAGIC, schema_id};
use self::fault::{Fault, Faults};
use self::json::JsonReader;
use self::rows::{Common, Read, rows};
use crate::chunk::{Chunk, DeadLetter, RawMessage, Reason};
use crate::contract::check_keys;
use crate::error::ContractError;
use crate::name::ClusterName;
use crate::position::{Offset, OffsetRange, PartitionId, RecordedAt};
use crate::privacy::{HmacKeys, Privacy};
use crate::registry::{SchemaSource, Unavailable};
use crate::system;
use crate::table::Table;
use crate::topic::{Encoding, TopicSpec};

/// Decodes the messages of one topic.
pub struct Decoder {
    spec: TopicSpec,
    common: Common,
    registry: Option<Arc<dyn SchemaSource>>,
    /// By schema id: a reader, or why that schema can never be read as this table.
    avro: HashMap<u32, Result<AvroReader, Fault>>,
    json: JsonReader,
}

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
        Ok(Self {
            spec: topic,
            common,
            registry,
            avro: HashMap::new(),
            json,
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
            match self.form(message.value) {
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
            self.learn(*id).await?;
        }

        let read = Read {
            messages,
            partition,
            ingested_at,
        };
        let mut batches = Vec::with_capacity(avro_runs.len() + 1);
        for (id, run) in &avro_runs {
            match self.avro.get_mut(id) {
                Some(Ok(reader)) => {
                    let wire = reader.decode(run, &mut faults);
                    batches.push(rows(&wire, &self.common, read, &mut faults));
                }
                Some(Err(fault)) => run
                    .iter()
                    .for_each(|(position, _)| faults.add(*position, fault.clone())),
                None => {
                    let fault = Fault::new(Reason::UnknownSchema, "the registry has no Avro schema with this id");
                    run.iter()
                        .for_each(|(position, _)| faults.add(*position, fault.clone()));
                }
            }
        }
        for wire in self.json.decode(&json_run, &mut faults) {
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

    fn form<'m>(&self, value: Option<&'m [u8]>) -> Result<Form<'m>, Fault> {
        let Some(bytes) = value else {
            return Ok(Form::Tombstone);
        };
        let wrong = |detail: &str| Err(Fault::new(Reason::UnknownEncoding, detail));
        match (
            bytes.iter().find(|byte| !byte.is_ascii_whitespace()),
            self.spec.encoding,
        ) {
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

    /// Makes sure that it is known how, or that it is impossible, to read a schema.
    async fn learn(&mut self, id: u32) -> Result<(), Unavailable> {
        if self.avro.contains_key(&id) {
            return Ok(());
        }
        let Some(registry) = &self.registry else {
            let fault = Fault::new(Reason::UnknownSchema, "no schema registry is configured");
            self.avro.insert(id, Err(fault));
            return Ok(());
        };
        // An id that is not known is not remembered here: the registry's client forgets it after a while.
        if let Some(schema) = registry.schema(id).await? {
            let reader = AvroReader::new(id, &schema, &self.common.table, self.spec.shape);
            self.avro
                .insert(id, reader.map_err(|detail| Fault::new(Reason::SchemaMismatch, detail)));
        }
        Ok(())
    }
}

/// What a message is, by its first byte.
enum Form<'m> {
    Tombstone,
    Json(&'m [u8]),
    Avro(u32, &'m [u8]),
}

fn dead_letter(partition: &PartitionId, message: &RawMessage<'_>, fault: Fault) -> DeadLetter {
    let value = message.value.unwrap_or_default();
    DeadLetter {
        partition: partition.clone(),
        offset: message.offset,
        schema_id: if value.first() == Some(&MAGIC) {
            schema_id(value)
        } else {
            None
        },
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
