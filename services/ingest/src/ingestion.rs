//! Ingestion: a consumer group's thread, one committer a table, and what happens when one of them ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::{Contract, Table, TableName, TopicSpec};
use casewatch_lake::{Lake, LakeError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::committer::Committer;
use crate::config::KafkaConfig;
use crate::controls::Controls;
use crate::decoding::{DecodeContext, TableDecoder};
use crate::error::IngestError;
use crate::group::{Command, GroupConsumer};

/// Reads `config`'s topics into `lake` until `stop`. An error of the Kafka client starts the consumer again after a
/// pause; what was not committed is read again.
///
/// # Errors
/// Only what trying again cannot mend: a table without a schema, a decoder that cannot be built, a lake of another
/// format or of other keys.
pub async fn run(
    config: Arc<KafkaConfig>,
    contract: Arc<Contract>,
    lake: Arc<Lake>,
    context: DecodeContext,
    stop: CancellationToken,
) -> Result<(), IngestError> {
    let mut wait = Duration::from_secs(1);
    while !stop.is_cancelled() {
        let started = Instant::now();
        match run_once(&config, &contract, &lake, &context, &stop).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                if let IngestError::Lake { table, .. } = &error {
                    let waits = &context.metrics.unavailable;
                    waits.with_label_values(&["ingest", table.as_str(), "lake"]).inc();
                }
                if started.elapsed() > Duration::from_secs(60) {
                    wait = Duration::from_secs(1);
                }
                tracing::error!(
                    retry_in_ms = wait.as_millis() as u64,
                    "ingestion stopped, starting it again: {error}"
                );
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(30)),
                }
            }
        }
    }
    Ok(())
}

async fn run_once(
    config: &Arc<KafkaConfig>,
    contract: &Contract,
    lake: &Arc<Lake>,
    context: &DecodeContext,
    stop: &CancellationToken,
) -> Result<(), IngestError> {
    let topics = config.resolve(contract)?;
    let (mut senders, mut controls, mut tasks) = (HashMap::new(), HashMap::new(), JoinSet::new());
    let ended = CancellationToken::new();
    let end_tasks = ended.clone().drop_guard();
    let mut commands_to = Vec::new();
    for table in tables_of(&topics, contract) {
        let writer = lake
            .writer(table.clone())
            .await
            .map_err(|source| lake_error(&table.name, source))?;
        let decoder = TableDecoder::new(table.clone(), &topics, context.clone())?;
        let (sender, deliveries) = mpsc::channel(config.limits.queue_batches);
        let (control, control_receiver) = mpsc::unbounded_channel();
        let (commands_sender, commands) = oneshot::channel();
        senders.insert(table.name.clone(), sender);
        controls.insert(table.name.clone(), control);
        commands_to.push(commands_sender);
        let committer = Committer::new(config, table, writer, decoder, context.metrics.clone(), ended.clone());
        tasks.spawn(committer.run(deliveries, control_receiver, commands));
    }
    let assignments = Arc::new(Controls::new(config.cluster.clone(), controls));
    let consumer = GroupConsumer::spawn(config.clone(), topics, senders, assignments, context.metrics.clone())?;
    for sender in commands_to {
        // A task that ended already is noticed below.
        let _ = sender.send(consumer.commands.clone());
    }
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let outcome = loop {
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            Some(done) = tasks.join_next() => {
                break done.unwrap_or_else(|error| Err(IngestError::Thread(error.to_string())));
            }
            _ = tick.tick() => if consumer.is_finished() { break Ok(()) },
        }
    };
    let finished_by_itself = consumer.is_finished();
    let _ = consumer.commands.send(Command::Stop);
    let joined = tokio::task::spawn_blocking(move || consumer.join())
        .await
        .unwrap_or_else(|error| Err(IngestError::Thread(error.to_string())));
    drop(end_tasks);
    tasks.shutdown().await;
    outcome?;
    match joined {
        Ok(()) if finished_by_itself => Err(IngestError::Thread("the group consumer ended".to_owned())),
        joined => joined,
    }
}

/// The tables that `topics` feed, each once.
pub(crate) fn tables_of(topics: &[Arc<TopicSpec>], contract: &Contract) -> Vec<Arc<Table>> {
    let mut tables: BTreeMap<TableName, Arc<Table>> = BTreeMap::new();
    for topic in topics {
        if let Some(table) = contract.table(&topic.table) {
            tables.insert(table.name.clone(), table.clone());
        }
    }
    tables.into_values().collect()
}

pub(crate) fn lake_error(table: &TableName, source: LakeError) -> IngestError {
    IngestError::Lake {
        table: table.to_string(),
        source: Box::new(source),
    }
}
