//! The configuration file: loaded, checked, and apart from what runs.
//!
//! A wrong key, type or path is refused at start with the file, the line or key, what was expected, and a hint. Secrets
//! come from files or the environment, never from the file itself, and are never printed.

mod check;
mod duration;
mod error;
mod kafka;
mod lake;
mod limits;
mod live;
mod paths;
mod secret;
mod serving;

#[cfg(test)]
mod documented_tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use crate::gateway::GatewaySection;

pub(crate) use duration::duration;
pub use error::ConfigError;
pub use kafka::{DEFAULT_SILENT_AFTER, Kafka, Registry, Source};
pub use lake::{DeadLetters, Keys, LakeSection, Maintenance, lake_url};
pub use limits::LimitsSection;
pub use live::{ImagePlace, Live};
pub use secret::Secret;
pub use serving::{AccessSection, Board, Http};

/// A whole configuration file. Every field has a default but the brokers and the sources.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "default_schemas")]
    pub schemas: PathBuf,
    #[serde(default = "default_queries")]
    pub queries: PathBuf,
    #[serde(default)]
    pub clock: Clock,
    pub kafka: Kafka,
    pub sources: Vec<Source>,
    #[serde(default)]
    pub registry: Option<Registry>,
    #[serde(default)]
    pub keys: Keys,
    #[serde(default)]
    pub lake: LakeSection,
    #[serde(default)]
    pub dead_letters: Option<DeadLetters>,
    #[serde(default)]
    pub limits: LimitsSection,
    #[serde(default)]
    pub live: Live,
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub maintenance: Maintenance,
    #[serde(default)]
    pub board: Board,
    #[serde(default)]
    pub access: AccessSection,
    #[serde(default)]
    pub gateway: GatewaySection,
}

/// What `as_of()` follows: the wall clock while feeds are alive, or the recorded time of the feed itself (replays).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    #[default]
    Wall,
    Feed,
}

fn default_schemas() -> PathBuf {
    "schemas".into()
}

fn default_queries() -> PathBuf {
    "queries".into()
}

impl Config {
    /// Reads and checks the file at `path`; relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the line or key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: name.clone(),
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder).map_err(|error| error.in_file(&name))
    }

    /// Parses and checks `text`; `folder` is what its relative paths are relative to.
    ///
    /// # Errors
    /// As [`Config::load`], with an empty file name.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: String::new(),
            message: error.to_string(),
        })?;
        config.in_folder(folder);
        config.check()?;
        Ok(config)
    }

    /// The lake's place as a URL; a folder becomes a `file://` URL and is made when missing.
    ///
    /// # Errors
    /// A URL that does not parse, or a folder that cannot be made.
    pub fn lake_url(&self) -> Result<Url, ConfigError> {
        lake_url(&self.lake.url)
    }

    /// Whether SQL is served to clients of PostgreSQL: where somebody may sign in.
    pub fn opens_gateway(&self) -> bool {
        self.gateway.enabled && self.access.users.is_some()
    }
}
