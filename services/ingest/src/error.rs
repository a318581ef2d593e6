//! What can stop a consumer.

use casewatch_contract::ContractError;
use casewatch_lake::LakeError;
use thiserror::Error;

/// One variant a failure site. Messages follow the pattern primary, detail, hint.
#[derive(Debug, Error)]
pub enum IngestError {
    #[error("cannot set up the Kafka client: {0}\nhint: check [kafka] brokers and [kafka.properties]")]
    Client(#[source] rdkafka::error::KafkaError),
    #[error(
        "cannot read the metadata of topic {topic}: {source}\nhint: is the broker up, and may this user describe the topic?"
    )]
    Metadata {
        topic: String,
        #[source]
        source: rdkafka::error::KafkaError,
    },
    #[error("topic {topic} does not exist yet\nhint: create it, or take it out of [topics]")]
    MissingTopic { topic: String },
    #[error("cannot assign partitions: {0}")]
    Assign(#[source] rdkafka::error::KafkaError),
    #[error(
        "topic {topic} feeds table {table}, which no schema describes\nhint: add schemas/{table}.avsc, or set the topic's table"
    )]
    UnknownTable { topic: String, table: String },
    #[error("cannot set up decoding of topic {topic}: {source}")]
    Decoder {
        topic: String,
        #[source]
        source: Box<ContractError>,
    },
    #[error("the lake does not take a commit of {table}: {source}")]
    Lake {
        table: String,
        #[source]
        source: Box<LakeError>,
    },
    #[error(
        "a dead letter cannot be told on its topic: {0}\nhint: does dead_letters.topic exist, and may this user write to it?"
    )]
    Publish(#[source] rdkafka::error::KafkaError),
    #[error("the live tables stopped: {0}")]
    Live(#[from] casewatch_live::LiveError),
    #[error("a consumer thread ended unexpectedly: {0}")]
    Thread(String),
}

impl IngestError {
    /// True when trying again cannot mend it.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::UnknownTable { .. } | Self::Decoder { .. } => true,
            Self::Lake { source, .. } => source.is_refusal(),
            _ => false,
        }
    }
}
