//! Where schemas are read from and messages go to: the options, else the configuration file, else defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::args::LoadArgs;
use super::manifest::Manifest;
use super::send::{Atomicity, Target};
use crate::config::Config;
use crate::failure::Failure;

const SCHEMAS: &str = "schemas";
const TOPIC_PREFIX: &str = "casewatch.public.";
/// How long a call to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Settings {
    pub schemas: PathBuf,
    config: Option<Config>,
}

impl Settings {
    /// Reads the configuration file, if there is one.
    ///
    /// # Errors
    /// The configuration's own.
    pub fn of(args: &LoadArgs) -> Result<Self, Failure> {
        let config = args
            .config
            .as_deref()
            .map(Config::load)
            .transpose()
            .map_err(Failure::usage)?;
        let configured = config.as_ref().map(|config| config.schemas.clone());
        let schemas = args.schemas.clone().or(configured).unwrap_or_else(|| SCHEMAS.into());
        Ok(Self { schemas, config })
    }

    /// Where the messages of a delivery go.
    ///
    /// # Errors
    /// No brokers, a secret that cannot be read, or a source that is configured for another order.
    pub fn target(&self, args: &LoadArgs, manifest: &Manifest) -> Result<Target, Failure> {
        let config = self.config.as_ref();
        let configured = config.and_then(|config| config.sources.iter().find(|source| source.name == manifest.source));
        if let Some(source) = configured.filter(|source| source.order != casewatch_contract::Order::Offset) {
            let name = &source.name;
            return Err(Failure::usage(format!(
                "source `{name}` is configured with order = \"source\"; extracts have no position, so it must be \"offset\""
            )));
        }
        let brokers = args
            .brokers
            .clone()
            .or(config.map(|config| config.kafka.brokers.clone()));
        let prefix = args
            .topic_prefix
            .clone()
            .or(configured.map(|source| source.topic_prefix.clone()));
        let mut target = Target {
            brokers: brokers.ok_or_else(|| Failure::usage("no brokers\nhint: name them with --brokers or --config"))?,
            properties: Default::default(),
            topic_prefix: prefix.unwrap_or_else(|| TOPIC_PREFIX.to_owned()),
            partitions: args.new_topics.partitions,
            timeout: TIMEOUT,
            atomicity: if args.no_transaction {
                Atomicity::None
            } else {
                Atomicity::Transaction
            },
        };
        for (key, secret) in config.iter().flat_map(|config| &config.kafka.properties) {
            let value = secret
                .read()
                .map_err(|problem| Failure::usage(format!("kafka.properties.{key}: {problem}")))?;
            target.properties.insert(key.clone(), value);
        }
        Ok(target)
    }
}
