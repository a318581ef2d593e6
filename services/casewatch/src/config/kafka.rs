//! Where changes come from: the cluster, its feeds, the registry of their schemas.

use std::collections::BTreeMap;
use std::time::Duration;

use casewatch_contract::{Contract, Encoding, Order, Shape, TopicSpec};
use casewatch_ingest::config::{HeartbeatTopic, KafkaConfig};
use serde::Deserialize;
use url::Url;

use super::Config;
use super::duration::duration;
use super::error::{ConfigError, value};
use super::secret::Secret;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    pub brokers: String,
    /// Name of the cluster in positions. A replaced cluster needs another.
    #[serde(default = "default_cluster")]
    pub cluster: String,
    #[serde(default = "default_group")]
    pub group: String,
    /// Passed to librdkafka; a value may be a secret.
    #[serde(default)]
    pub properties: BTreeMap<String, Secret>,
}

/// A feed: topics with one prefix, one order, one silence limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As in `_source`: Debezium's `source.name`, or the rows' `source_system`.
    pub name: String,
    /// Topics are `topic_prefix` followed by the table's name.
    pub topic_prefix: String,
    /// Tables this feed delivers; all of them when left out.
    #[serde(default)]
    pub tables: Vec<String>,
    pub order: Order,
    #[serde(default)]
    pub epoch: u32,
    #[serde(default)]
    pub encoding: Encoding,
    #[serde(default)]
    pub shape: Shape,
    #[serde(default = "default_silent_after", deserialize_with = "duration")]
    pub silent_after: Duration,
    /// Where its heartbeats are; Debezium's own name for it when left out.
    #[serde(default)]
    pub heartbeat_topic: Option<String>,
}

impl Source {
    /// Debezium names a source by its topic prefix, and its heartbeat topic after that.
    fn heartbeat(&self) -> HeartbeatTopic {
        let topic = self.heartbeat_topic.clone();
        HeartbeatTopic {
            source: self.name.clone(),
            topic: topic.unwrap_or_else(|| format!("__debezium-heartbeat.{}", self.name)),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    pub url: Url,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    #[serde(default)]
    pub token: Option<Secret>,
}

fn default_cluster() -> String {
    "main".to_owned()
}

fn default_group() -> String {
    "casewatch".to_owned()
}

/// Of a feed that does not say: fifteen minutes, right for a stream with heartbeats.
pub const DEFAULT_SILENT_AFTER: Duration = Duration::from_secs(15 * 60);

fn default_silent_after() -> Duration {
    DEFAULT_SILENT_AFTER
}

impl Config {
    /// What the consumers read, for the tables that the contract has.
    ///
    /// # Errors
    /// A table no schema describes, a secret that cannot be read, a property that casewatch sets itself.
    pub fn kafka(&self, contract: &Contract) -> Result<KafkaConfig, ConfigError> {
        let mut topics = Vec::new();
        for (place, source) in self.sources.iter().enumerate() {
            let tables: Vec<String> = match source.tables.as_slice() {
                [] => contract.tables().map(|table| table.name.to_string()).collect(),
                tables => tables.to_vec(),
            };
            for table in tables {
                if contract.table(&table).is_none() {
                    let known: Vec<_> = contract.tables().map(|table| table.name.to_string()).collect();
                    return Err(value(
                        &format!("sources[{place}].tables"),
                        format!("no schema describes `{table}`; expected some of {}", known.join(", ")),
                    ));
                }
                topics.push(TopicSpec {
                    topic: format!("{}{table}", source.topic_prefix).as_str().into(),
                    table: table.as_str().into(),
                    epoch: source.epoch,
                    order: source.order,
                    encoding: source.encoding,
                    shape: source.shape,
                });
            }
        }
        let mut properties = BTreeMap::new();
        for (key, secret) in &self.kafka.properties {
            let read = secret
                .read()
                .map_err(|problem| value(&format!("kafka.properties.{key}"), problem))?;
            properties.insert(key.clone(), read);
        }
        let kafka = KafkaConfig {
            cluster: self.kafka.cluster.as_str().into(),
            brokers: self.kafka.brokers.clone(),
            group_id: self.kafka.group.clone(),
            properties,
            topics,
            heartbeats: self.sources.iter().map(Source::heartbeat).collect(),
            limits: self.limits.of_ingestion(),
        };
        kafka.check().map_err(|problem| match problem.split_once(": ") {
            Some((key, expected)) => value(key, expected),
            None => value("kafka", problem),
        })?;
        Ok(kafka)
    }
}
