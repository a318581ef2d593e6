//! `casewatch dead-letters`: what could not be decoded, why, and putting it back after a fix.

use std::path::PathBuf;
use std::time::Duration;

use casewatch_contract::{Decoder, Offset, PartitionId, RawMessage, Reason, RecordedAt};
use casewatch_lake::{DeadLetterFilter, Replayed, StoredDeadLetter};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, TopicPartitionList};

use crate::cli::DeadLettersCommand;
use crate::failure::Failure;
use crate::opened::Opened;

/// # Errors
/// A lake that cannot be read, a place that holds no dead letter, or letters that still cannot be decoded.
pub async fn run(command: DeadLettersCommand) -> Result<(), Failure> {
    match command {
        DeadLettersCommand::List { config, table, limit } => list(config.config, table, limit).await,
        DeadLettersCommand::Show { place, config } => show(config.config, &place).await,
        DeadLettersCommand::Replay { places, table, config } => replay(config.config, &places, table).await,
    }
}

/// Those of one table, or of all.
fn filter_of(opened: &Opened, table: Option<&str>) -> Result<DeadLetterFilter, Failure> {
    let table = table.map(|name| opened.table(name)).transpose()?;
    Ok(DeadLetterFilter {
        table: table.map(|table| table.name.clone()),
        ..DeadLetterFilter::default()
    })
}

async fn list(config: PathBuf, table: Option<String>, limit: usize) -> Result<(), Failure> {
    let opened = Opened::load(&config).await?;
    let letters = opened
        .lake
        .dead_letters(&filter_of(&opened, table.as_deref())?)
        .await
        .map_err(Failure::failed)?;
    for letter in letters.iter().take(limit) {
        println!(
            "{}/{}  {}  {}{}  {}",
            letter.partition,
            letter.offset.0,
            letter.table,
            letter.reason,
            if letter.replayed { "  replayed" } else { "" },
            letter.detail
        );
    }
    println!(
        "{} dead letters{}",
        letters.len(),
        if letters.len() > limit {
            ", more with --limit"
        } else {
            ""
        }
    );
    Ok(())
}

/// The letter at `cluster/topic/epoch/partition/offset`.
async fn find(opened: &Opened, place: &str) -> Result<StoredDeadLetter, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "`{place}` is not a place; expected cluster/topic/epoch/partition/offset"
        ))
    };
    let (partition, offset) = place.rsplit_once('/').ok_or_else(wrong)?;
    let partition: PartitionId = partition.parse().map_err(|_| wrong())?;
    let offset = Offset(offset.parse().map_err(|_| wrong())?);
    let filter = DeadLetterFilter {
        topic: Some(partition.topic.to_string()),
        partition: Some(partition.partition),
        offset: Some(offset),
        ..DeadLetterFilter::default()
    };
    let found = opened.lake.dead_letters(&filter).await.map_err(Failure::failed)?;
    found
        .into_iter()
        .find(|letter| letter.partition == partition)
        .ok_or_else(|| {
            Failure::failed(format!(
                "no dead letter stands at {place}\nhint: `casewatch dead-letters list`"
            ))
        })
}

async fn show(config: PathBuf, place: &str) -> Result<(), Failure> {
    let opened = Opened::load(&config).await?;
    let letter = find(&opened, place).await?;
    println!("place      {}/{}", letter.partition, letter.offset.0);
    println!("table      {}", letter.table);
    println!("reason     {}", letter.reason);
    println!("detail     {}", letter.detail);
    println!(
        "schema id  {}",
        letter.schema_id.map_or("none".to_owned(), |id| id.to_string())
    );
    println!("replayed   {}", letter.replayed);
    match opened.lake.dead_letter_payload(&letter).map_err(Failure::failed)? {
        Some(payload) => println!(
            "payload    {} bytes\n{}",
            payload.len(),
            String::from_utf8_lossy(&payload)
        ),
        None => println!("payload    left out by configuration; Kafka may still hold the message"),
    }
    Ok(())
}

async fn replay(config: PathBuf, places: &[String], table: Option<String>) -> Result<(), Failure> {
    let opened = Opened::load(&config).await?;
    let letters = match (places, table) {
        ([], None) => return Err(Failure::usage("name the places to replay, or a --table")),
        ([], Some(table)) => {
            let filter = DeadLetterFilter {
                open_only: true,
                ..filter_of(&opened, Some(&table))?
            };
            opened.lake.dead_letters(&filter).await.map_err(Failure::failed)?
        }
        (places, _) => {
            let mut letters = Vec::new();
            for place in places {
                letters.push(find(&opened, place).await?);
            }
            letters
        }
    };
    if letters.is_empty() {
        println!("no dead letter of that table is left to replay");
    }
    let mut left = 0;
    for letter in &letters {
        let place = format!("{}/{}", letter.partition, letter.offset.0);
        match replay_one(&opened, letter).await {
            Ok(Replayed::Now { version }) => println!("{place}: in the lake, version {version}"),
            Ok(Replayed::Already) => println!("{place}: was replayed before"),
            Err(failure) => {
                left += 1;
                println!("{place}: {}", failure.message);
            }
        }
    }
    match left {
        0 => Ok(()),
        left => Err(Failure::failed(format!(
            "{left} of {} could not be replayed",
            letters.len()
        ))),
    }
}

async fn replay_one(opened: &Opened, letter: &StoredDeadLetter) -> Result<Replayed, Failure> {
    let table = opened
        .contract
        .table(&letter.table)
        .ok_or_else(|| Failure::failed(format!("no schema describes table {}", letter.table)))?;
    let topic = opened
        .kafka
        .topics
        .iter()
        .find(|topic| topic.topic == letter.partition.topic)
        .ok_or_else(|| Failure::failed(format!("no source has topic {}", letter.partition.topic)))?;
    let kept = opened.lake.dead_letter_payload(letter).map_err(Failure::failed)?;
    // A kept payload is tried first; its message's key is kept nowhere, so a delete that needs it is read again.
    let needs_key = letter.reason == Reason::MissingKey.as_str();
    let (key, payload) = match kept {
        Some(payload) if needs_key => read_again(opened, letter).unwrap_or((None, payload)),
        Some(payload) => (None, payload),
        None => read_again(opened, letter)?,
    };
    let keys = opened.keys.clone();
    let cluster = opened.kafka.cluster.clone();
    let mut decoder =
        Decoder::new(table.clone(), topic.clone(), cluster, keys, opened.registry.clone()).map_err(Failure::failed)?;
    let message = RawMessage {
        offset: letter.offset,
        key: key.as_deref(),
        value: Some(&payload),
        timestamp_ms: None,
    };
    let (partition, next) = (letter.partition.partition, letter.offset.next());
    let chunk = decoder
        .decode(partition, letter.offset, next, &[message], RecordedAt::now())
        .await
        .map_err(Failure::failed)?;
    if let Some(still) = chunk.dead_letters.first() {
        return Err(Failure::failed(format!(
            "still {}: {}",
            still.reason.as_str(),
            still.detail
        )));
    }
    opened
        .lake
        .replay(table, &letter.partition, letter.offset, chunk.rows)
        .await
        .map_err(Failure::failed)
}

/// A message's key, where it has one, and its value.
type KeyAndValue = (Option<Vec<u8>>, Vec<u8>);

/// The message from Kafka, where the payload was left out.
fn read_again(opened: &Opened, letter: &StoredDeadLetter) -> Result<KeyAndValue, Failure> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &opened.kafka.brokers)
        .set("group.id", "casewatch-replay")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error");
    for (key, value) in &opened.kafka.properties {
        client.set(key, value);
    }
    let consumer: BaseConsumer = client.create().map_err(Failure::failed)?;
    let mut assignment = TopicPartitionList::new();
    let offset = rdkafka::Offset::Offset(letter.offset.0);
    assignment
        .add_partition_offset(&letter.partition.topic, letter.partition.partition, offset)
        .map_err(Failure::failed)?;
    consumer.assign(&assignment).map_err(Failure::failed)?;
    let gone = || Failure::failed("the payload was left out and Kafka does not hold the message any more");
    match consumer.poll(Duration::from_secs(15)) {
        Some(Ok(message)) if message.offset() == letter.offset.0 => {
            let value = message.payload().map(<[u8]>::to_vec).ok_or_else(gone)?;
            Ok((message.key().map(<[u8]>::to_vec), value))
        }
        Some(Ok(_)) | None => Err(gone()),
        Some(Err(error)) => Err(Failure::failed(format!(
            "the message cannot be read from Kafka again: {error}"
        ))),
    }
}
