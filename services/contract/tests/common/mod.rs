//! What the tests of decoding share: a registry in memory, tables, and messages in and rows out in one line.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use casewatch_contract::{
    Chunk, Contract, Decoder, HmacKeys, Offset, RawMessage, RecordedAt, SchemaSource, Table, TopicSpec, Unavailable,
    WriterSchema,
};

/// 21 November 2026, when the fixtures were written.
pub const NOW: RecordedAt = RecordedAt(1_795_300_000_000_000);

/// A registry that knows these schemas and is never away.
#[derive(Default)]
pub struct Schemas(pub HashMap<u32, String>);

#[async_trait]
impl SchemaSource for Schemas {
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        let schema = self.0.get(&id).cloned();
        Ok(schema.map(|schema| {
            Arc::new(WriterSchema {
                schema,
                references: Vec::new(),
            })
        }))
    }
}

pub fn shipped(table: &str) -> Arc<Table> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    Arc::clone(Contract::load(&schemas).unwrap().table(table).unwrap())
}

/// A decoder of one topic in cluster `test`, with the demo's keys.
pub fn decoder(table: &Arc<Table>, topic: TopicSpec, schemas: &[(u32, String)]) -> Decoder {
    let schemas: Arc<dyn SchemaSource> = Arc::new(Schemas(schemas.iter().cloned().collect()));
    Decoder::new(
        Arc::clone(table),
        topic,
        "test".into(),
        Arc::new(HmacKeys::demo()),
        Some(schemas),
    )
    .unwrap()
}

/// Decodes values at the offsets 0, 1, 2, ... of partition 0; `None` is a tombstone.
pub fn decode(decoder: &mut Decoder, values: &[Option<&[u8]>]) -> Chunk {
    let messages: Vec<RawMessage<'_>> = values
        .iter()
        .zip(0..)
        .map(|(value, offset)| RawMessage {
            offset: Offset(offset),
            key: Some(b"k"),
            value: *value,
            timestamp_ms: None,
        })
        .collect();
    let to = Offset(i64::try_from(values.len()).unwrap());
    let chunk = block_on(decoder.decode(0, Offset(0), to, &messages, NOW)).unwrap();
    accounts_for_every_offset(&chunk);
    chunk
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// RULES 5: rows, dead letters, tombstones and holes tile the range.
pub fn accounts_for_every_offset(chunk: &Chunk) {
    let mut offsets = offsets(chunk);
    assert!(offsets.is_sorted(), "{offsets:?}");
    offsets.dedup();
    let dead: Vec<i64> = chunk.dead_letters.iter().map(|letter| letter.offset.0).collect();
    assert!(dead.is_sorted_by(|one, next| one < next) && dead.iter().all(|offset| !offsets.contains(offset)));
    let accounted = (offsets.len() + dead.len()) as u64 + chunk.tombstones + chunk.holes;
    assert_eq!(accounted, chunk.range.offsets());
}

pub fn offsets(chunk: &Chunk) -> Vec<i64> {
    let offsets = chunk.rows.column_by_name("_offset").unwrap();
    arrow::array::cast::as_primitive_array::<arrow::datatypes::Int64Type>(offsets)
        .values()
        .to_vec()
}

/// The rows as people read them.
pub fn show(rows: &RecordBatch, columns: &[&str]) -> String {
    let positions: Vec<usize> = columns
        .iter()
        .map(|column| rows.schema().index_of(column).unwrap())
        .collect();
    pretty_format_batches(&[rows.project(&positions).unwrap()])
        .unwrap()
        .to_string()
}

/// The dead letters as `offset reason: detail`.
pub fn dead_letters(chunk: &Chunk) -> Vec<String> {
    let told =
        |letter: &casewatch_contract::DeadLetter| format!("{} {}: {}", letter.offset, letter.reason, letter.detail);
    chunk.dead_letters.iter().map(told).collect()
}

/// Confluent's framing.
pub fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), body].concat()
}
