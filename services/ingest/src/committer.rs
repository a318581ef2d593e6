//! One table's committer: decode, buffer a partition at a time, commit data and positions together (RULES 1-5).
//!
//! Rows stay buffered until their commit is confirmed. A commit that finds another position in the lake drops the rows
//! and has the partition read again from there; batches of the assignment before that are ignored from then on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use casewatch_contract::{Chunk, Offset, PartitionId, RecordedAt, Table};
use casewatch_lake::{Committed, TableWriter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::controls::{Control, partition_id};
use crate::decoding::TableDecoder;
use crate::error::IngestError;
use crate::flow::Delivery;
use crate::group::Command;
use crate::ingestion::lake_error;
use crate::observe::IngestMetrics;
use crate::raw::{Generation, RawBatch};
use crate::throttle::Throttle;

pub(crate) struct Committer {
    config: Arc<KafkaConfig>,
    table: Arc<Table>,
    writer: TableWriter,
    decoder: TableDecoder,
    metrics: IngestMetrics,
    buffer: Buffer,
    /// Batches of these partitions up to these generations are void: the lake had another position.
    void: HashMap<PartitionId, Generation>,
    throttle: Throttle,
    /// Nothing more is taken before: too many dead letters.
    slowed_until: Option<Instant>,
    stop: CancellationToken,
}

/// Decoded and not yet committed: contiguous chunks a partition.
#[derive(Default)]
struct Buffer {
    partitions: BTreeMap<PartitionId, (Generation, Vec<Chunk>)>,
    rows: usize,
    bytes: usize,
    oldest: Option<Instant>,
}

impl Buffer {
    fn push(&mut self, generation: Generation, chunk: Chunk) {
        self.rows += chunk.rows.num_rows();
        self.bytes += chunk.rows.get_array_memory_size();
        self.oldest.get_or_insert_with(Instant::now);
        let (newest, chunks) = self
            .partitions
            .entry(chunk.partition.clone())
            .or_insert_with(|| (generation, Vec::new()));
        if *newest != generation {
            *newest = generation;
            chunks.clear();
        }
        chunks.push(chunk);
    }

    fn forget(&mut self, partitions: &[PartitionId]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
        let chunks = || self.partitions.values().flat_map(|(_, chunks)| chunks);
        self.rows = chunks().map(|chunk| chunk.rows.num_rows()).sum();
        self.bytes = chunks().map(|chunk| chunk.rows.get_array_memory_size()).sum();
        if self.partitions.is_empty() {
            self.oldest = None;
        }
    }

    /// Where each partition's chunks end, with the assignment that they belong to.
    fn ends(&self) -> BTreeMap<PartitionId, (Generation, Offset)> {
        let end = |chunks: &Vec<Chunk>| chunks.last().map(|chunk| chunk.range.to);
        self.partitions
            .iter()
            .filter_map(|(id, (generation, chunks))| Some((id.clone(), (*generation, end(chunks)?))))
            .collect()
    }

    fn chunks(&self) -> Vec<Chunk> {
        self.partitions
            .values()
            .flat_map(|(_, chunks)| chunks)
            .cloned()
            .collect()
    }
}

/// First and longest wait between two tries while the lake takes no commits.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

impl Committer {
    pub fn new(
        config: &Arc<KafkaConfig>,
        table: Arc<Table>,
        writer: TableWriter,
        decoder: TableDecoder,
        metrics: IngestMetrics,
        stop: CancellationToken,
    ) -> Self {
        let (buffer, void) = (Buffer::default(), HashMap::new());
        let throttle = Throttle::new(config.limits.dead_letters_per_second, Instant::now());
        Self {
            config: config.clone(),
            table,
            writer,
            decoder,
            metrics,
            buffer,
            void,
            throttle,
            slowed_until: None,
            stop,
        }
    }

    /// Works until stopped or until the lake refuses for good.
    pub async fn run(
        mut self,
        mut deliveries: mpsc::Receiver<Delivery>,
        mut controls: mpsc::UnboundedReceiver<Control>,
        commands: oneshot::Receiver<Sender<Command>>,
    ) -> Result<(), IngestError> {
        let Ok(commands) = commands.await else { return Ok(()) };
        let stop = self.stop.clone();
        loop {
            let flush_at = self
                .buffer
                .oldest
                .map(|oldest| oldest + self.config.limits.flush_interval);
            let slowed_until = self.slowed_until;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(control) = controls.recv() => {
                    self.drain_before(&control, &mut deliveries).await;
                    self.answer(control, &commands).await?;
                }
                () = tokio::time::sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                    self.flush("age", &mut controls, &commands).await?;
                }
                () = tokio::time::sleep_until(slowed_until.unwrap_or_else(Instant::now)), if slowed_until.is_some() => {
                    self.slowed_until = None;
                }
                // While slowed, the queue fills and its partitions are paused: what is not read waits in Kafka.
                delivery = deliveries.recv(), if slowed_until.is_none() => match delivery {
                    Some(Delivery::Batch(batch)) => {
                        self.take(batch).await;
                        if let Some(cause) = self.full() {
                            self.flush(cause, &mut controls, &commands).await?;
                        }
                    }
                    Some(Delivery::End { .. }) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    /// Before a revocation is answered, what was already handed on is taken, so that the last flush has it.
    async fn drain_before(&mut self, control: &Control, deliveries: &mut mpsc::Receiver<Delivery>) {
        if let Control::Revoke { deadline, .. } = control {
            while std::time::Instant::now() < *deadline {
                match deliveries.try_recv() {
                    Ok(Delivery::Batch(batch)) => self.take(batch).await,
                    Ok(Delivery::End { .. }) => {}
                    Err(_) => return,
                }
            }
        }
    }

    async fn take(&mut self, batch: RawBatch) {
        let id = partition_id(&self.config.cluster, &batch.topic, batch.partition);
        if self.void.get(&id).is_some_and(|void| batch.generation <= *void) {
            return;
        }
        if let Some(chunk) = self.decoder.decode(&batch, &self.stop).await {
            self.slow_down(chunk.dead_letters.len());
            self.buffer.push(batch.generation, chunk);
        }
    }

    /// Whether the buffer is to be written out before its time, and why.
    fn full(&self) -> Option<&'static str> {
        let limits = &self.config.limits;
        if self.buffer.rows >= limits.flush_rows {
            return Some("rows");
        }
        (self.buffer.bytes >= limits.flush_bytes).then_some("bytes")
    }

    fn slow_down(&mut self, dead_letters: usize) {
        let now = Instant::now();
        let Some(pause) = self.throttle.pause_after(dead_letters, now) else {
            return;
        };
        let slowed = self
            .metrics
            .slowed_seconds
            .with_label_values(&[self.table.name.as_ref()]);
        if slowed.get() == 0.0 {
            tracing::warn!(table = %self.table.name, per_second = self.config.limits.dead_letters_per_second,
                "more dead letters than limits.dead_letters_per_second: reading of the table slows down to them; \
                 `casewatch dead-letters list` shows why");
        }
        slowed.inc_by(pause.as_secs_f64());
        self.slowed_until = Some(now + pause);
    }

    async fn answer(&mut self, control: Control, commands: &Sender<Command>) -> Result<(), IngestError> {
        match control {
            Control::Positions { partitions, reply } => {
                self.buffer.forget(&partitions);
                let positions = match self.writer.refresh().await {
                    Ok(()) => Ok(partitions
                        .iter()
                        .map(|id| self.writer.positions().get(id).copied())
                        .collect()),
                    Err(error) => Err(error.to_string()),
                };
                // The consumer's thread has stopped waiting: it will ask again.
                let _ = reply.send(positions);
            }
            Control::Partitions { life, found, reply } => {
                let known = self.writer.remember_partitions(&life, found).await;
                let _ = reply.send(known.map_err(|error| error.to_string()));
            }
            Control::Revoke {
                partitions,
                deadline,
                reply,
            } => {
                let deadline = Instant::from_std(deadline);
                match tokio::time::timeout_at(deadline, self.commit("revoked", commands)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(table = %self.table.name, %error, "revoked before a last flush"),
                    Err(_) => tracing::warn!(table = %self.table.name, "no time for a last flush; rows are read again"),
                }
                self.buffer.forget(&partitions);
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    /// Commits the buffer, waiting as long as the lake is away. Rebalances are answered meanwhile.
    async fn flush(
        &mut self,
        cause: &'static str,
        controls: &mut mpsc::UnboundedReceiver<Control>,
        commands: &Sender<Command>,
    ) -> Result<(), IngestError> {
        let mut wait = BACKOFF.0;
        let stop = self.stop.clone();
        while let Err(error) = self.commit(cause, commands).await {
            if !error.is_retryable() {
                return Err(lake_error(&self.table.name, error));
            }
            tracing::warn!(table = %self.table.name, rows = self.buffer.rows, retry_in_ms = wait.as_millis() as u64, %error,
                "the lake takes no commit; ingestion of the table pauses");
            self.metrics
                .unavailable
                .with_label_values(&["ingest", self.table.name.as_ref(), "lake"])
                .inc();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(control) = controls.recv() => self.answer(control, commands).await?,
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(BACKOFF.1),
            }
        }
        Ok(())
    }

    async fn commit(
        &mut self,
        cause: &'static str,
        commands: &Sender<Command>,
    ) -> Result<(), casewatch_lake::LakeError> {
        let ends = self.buffer.ends();
        if ends.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.metrics
            .flushes
            .with_label_values(&[self.table.name.as_ref(), cause])
            .inc();
        let committed = self.writer.commit(self.buffer.chunks()).await?;
        self.buffer = Buffer::default();
        self.count(&committed, started.elapsed());
        for (id, (generation, end)) in ends {
            let topic = (id.topic.to_string(), id.partition);
            let command = match committed.positions.get(&id) {
                Some(position) if *position == end => Command::Committed { topic, next: end },
                position => {
                    let to = position.copied();
                    tracing::warn!(partition = %id, ours = end.0, lake = to.map(|to| to.0), "the lake has another position");
                    self.void.insert(id, generation);
                    Command::Seek { topic, generation, to }
                }
            };
            // The consumer's thread has ended: its end is noticed by the caller.
            let _ = commands.send(command);
        }
        Ok(())
    }

    fn count(&self, committed: &Committed, took: Duration) {
        let table = [self.table.name.as_ref()];
        self.metrics.commits.with_label_values(&table).inc();
        self.metrics
            .flush_seconds
            .with_label_values(&table)
            .observe(took.as_secs_f64());
        self.metrics.files.with_label_values(&table).inc_by(committed.files);
        self.metrics
            .lake_bytes
            .with_label_values(&table)
            .inc_by(committed.bytes);
        self.metrics
            .discarded
            .with_label_values(&table)
            .inc_by(committed.discarded);
        self.metrics
            .committed_seconds
            .with_label_values(&table)
            .set(RecordedAt::now().micros() / 1_000_000);
        tracing::debug!(
            table = table[0],
            rows = committed.rows,
            version = committed.version,
            took_ms = took.as_millis() as u64,
            "committed to the lake"
        );
    }
}
