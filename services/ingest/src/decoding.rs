//! Raw batches to change batches. While the registry is away the same messages are tried again: nothing is dead-lettered
//! because of somebody else's outage.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::{
    Chunk, ClusterName, Decoder, HmacKeys, RecordedAt, SchemaSource, Table, TopicName, TopicSpec,
};
use tokio_util::sync::CancellationToken;

use crate::error::IngestError;
use crate::observe::IngestMetrics;
use crate::raw::RawBatch;

/// What every decoder of a process shares.
#[derive(Clone)]
pub struct DecodeContext {
    pub cluster: ClusterName,
    pub keys: Arc<HmacKeys>,
    pub registry: Option<Arc<dyn SchemaSource>>,
    pub metrics: IngestMetrics,
    /// `ingest` or `live`: the label of the counters.
    pub role: &'static str,
}

/// The decoders of one table, one a topic that feeds it.
pub struct TableDecoder {
    table: Arc<Table>,
    context: DecodeContext,
    decoders: HashMap<TopicName, Decoder>,
}

/// First and longest wait between two tries while the registry is away.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

impl TableDecoder {
    pub fn new(table: Arc<Table>, topics: &[Arc<TopicSpec>], context: DecodeContext) -> Result<Self, IngestError> {
        let mut decoders = HashMap::new();
        for topic in topics.iter().filter(|topic| topic.table == table.name) {
            let decoder = Decoder::new(
                table.clone(),
                topic.as_ref().clone(),
                context.cluster.clone(),
                context.keys.clone(),
                context.registry.clone(),
            )
            .map_err(|source| IngestError::Decoder {
                topic: topic.topic.to_string(),
                source: Box::new(source),
            })?;
            decoders.insert(topic.topic.clone(), decoder);
        }
        Ok(Self {
            table,
            context,
            decoders,
        })
    }

    /// Decodes `batch`, waiting for the registry as long as it takes. None: stopped while waiting.
    pub async fn decode(&mut self, batch: &RawBatch, stop: &CancellationToken) -> Option<Chunk> {
        let decoder = self
            .decoders
            .get_mut(&batch.topic.topic)
            .expect("a decoder was made for every topic of the table");
        let messages = batch.messages();
        let mut wait = BACKOFF.0;
        let mut chunk = loop {
            match decoder
                .decode(batch.partition, batch.from, batch.to, &messages, RecordedAt::now())
                .await
            {
                Ok(chunk) => break chunk,
                Err(unavailable) => {
                    tracing::warn!(topic = %batch.topic.topic, partition = batch.partition, %unavailable,
                        retry_in_ms = wait.as_millis() as u64, "cannot decode yet");
                    let labels = [self.context.role, self.table.name.as_ref(), "registry"];
                    self.context.metrics.unavailable.with_label_values(&labels).inc();
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(BACKOFF.1),
                    }
                }
            }
        };
        add_too_large(batch, &mut chunk);
        self.count(batch, &chunk);
        Some(chunk)
    }

    fn count(&self, batch: &RawBatch, chunk: &Chunk) {
        let metrics = &self.context.metrics;
        let labels = [self.context.role, self.table.name.as_ref()];
        metrics
            .rows
            .with_label_values(&labels)
            .inc_by(chunk.rows.num_rows() as u64);
        metrics.bytes.with_label_values(&labels).inc_by(batch.bytes() as u64);
        metrics.tombstones.with_label_values(&labels).inc_by(chunk.tombstones);
        for letter in &chunk.dead_letters {
            let labels = [self.context.role, self.table.name.as_ref(), letter.reason.as_str()];
            metrics.dead_letters.with_label_values(&labels).inc();
        }
    }
}

/// The decoder did not see messages above the limit, and took their offsets for holes.
fn add_too_large(batch: &RawBatch, chunk: &mut Chunk) {
    if batch.too_large() > 0 {
        chunk.holes = chunk.holes.saturating_sub(batch.too_large() as u64);
        chunk.dead_letters.extend(batch.letters_of_too_large(&chunk.partition));
        chunk.dead_letters.sort_by_key(|letter| letter.offset);
    }
}
