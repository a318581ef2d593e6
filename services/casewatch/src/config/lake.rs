//! Where history is kept, under which keys, and how it is looked after.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::duration::{duration, some_duration};
use super::error::{ConfigError, value};
use super::secret::Secret;

/// Keys of the HMAC domains, at least 32 bytes each, written in hexadecimal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    #[serde(default)]
    pub hmac: BTreeMap<String, Secret>,
    /// Fixed keys that everybody knows. Only for synthetic data.
    #[serde(default)]
    pub demo: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeSection {
    /// A folder, or an object store's URL.
    pub url: String,
    /// Options of the object store.
    pub options: HashMap<String, Secret>,
    /// Sync files and folders before a commit counts (local folders only).
    pub durable: bool,
    /// Key that seals dead letters' payloads; without it they are left out.
    pub payload_key: Option<Secret>,
}

impl Default for LakeSection {
    fn default() -> Self {
        Self {
            url: "data/lake".to_owned(),
            options: HashMap::new(),
            durable: false,
            payload_key: None,
        }
    }
}

/// Dead letters are told on a topic, too.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    pub topic: String,
    /// Whether a told dead letter holds its message's payload. The key is never told.
    #[serde(default)]
    pub payload: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Maintenance {
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How often the present of each table is published for other engines; never when left out.
    #[serde(deserialize_with = "some_duration")]
    pub publish_current: Option<Duration>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            publish_current: None,
        }
    }
}

/// `place` as a URL: a URL as it is, a folder (made when missing) as `file://`.
///
/// # Errors
/// A URL that does not parse, or a folder that cannot be made.
pub fn lake_url(place: &str) -> Result<Url, ConfigError> {
    if place.contains("://") {
        return Url::parse(place).map_err(|error| value("lake.url", format!("`{place}` is not a URL: {error}")));
    }
    let made = std::fs::create_dir_all(place).and_then(|()| std::fs::canonicalize(place));
    let folder = made.map_err(|error| value("lake.url", format!("folder {place} cannot be made: {error}")))?;
    Ok(Url::from_directory_path(&folder).expect("a canonical path is absolute"))
}
