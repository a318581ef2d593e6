//! The configuration file: loaded, checked, and apart from what runs.
//!
//! A wrong key, type or path is refused at start with the file, the line or key, what was expected, and a hint. Secrets
//! come from files or the environment, never from the file itself, and are never printed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderName;
use casewatch_contract::{Encoding, Order, Shape, TopicSpec};
use casewatch_ingest::config::{HeartbeatTopic, KafkaConfig, Limits};
use casewatch_ingest::images::ImageOptions;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use url::Url;

use crate::gateway::GatewaySection;

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error(
        "{path}: cannot be read: {source}\nhint: name the file with --config, or write one from the README's example"
    )]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The parser's message shows the line, marks the place and says what was expected.
    #[error("{path}: {message}hint: the keys are listed in deploy/casewatch.toml")]
    Parse { path: String, message: String },
    #[error("{path}: {key}: {expected}")]
    Value {
        path: String,
        key: String,
        expected: String,
    },
}

/// Images stand beside the tables' folders, under a name that no table has: engines that read Delta, backups and
/// maintenance look at tables only, and whoever deletes the lake deletes them with it.
const IMAGES: &str = "_images";

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

/// Who may sign in, and how long it is known what they saw. Who may read what stands in `access.toml` of the queries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSection {
    /// The users file; without one nobody signs in.
    pub users: Option<PathBuf>,
    /// Entries of the audit log are kept for so many days.
    pub audit_days: u32,
}

impl Default for AccessSection {
    fn default() -> Self {
        Self {
            users: None,
            audit_days: 730,
        }
    }
}

/// What `as_of()` follows: the wall clock while feeds are alive, or the recorded time of the feed itself (replays).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    #[default]
    Wall,
    Feed,
}

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
pub struct LimitsSection {
    #[serde(deserialize_with = "duration")]
    pub flush_interval: Duration,
    pub flush_rows: usize,
    pub flush_mib: usize,
    pub batch_rows: usize,
    pub batch_kib: usize,
    pub queue_batches: usize,
    pub prefetch_mib: usize,
    pub message_bytes: usize,
    #[serde(deserialize_with = "duration")]
    pub revoke_deadline: Duration,
    pub dead_letters_per_second: usize,
    #[serde(deserialize_with = "duration")]
    pub query_deadline: Duration,
    pub query_memory_mib: usize,
    pub query_rows: usize,
    pub queries_memory_mib: usize,
    #[serde(deserialize_with = "duration")]
    pub metric_deadline: Duration,
    pub metric_memory_mib: usize,
    pub metric_series: usize,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            flush_interval: limits.flush_interval,
            flush_rows: limits.flush_rows,
            flush_mib: limits.flush_bytes >> 20,
            batch_rows: limits.batch_rows,
            batch_kib: limits.batch_bytes >> 10,
            queue_batches: limits.queue_batches,
            prefetch_mib: limits.prefetch_kib >> 10,
            message_bytes: limits.message_bytes,
            revoke_deadline: limits.revoke_deadline,
            dead_letters_per_second: limits.dead_letters_per_second,
            query_deadline: Duration::from_secs(30),
            query_memory_mib: 1024,
            query_rows: 1_000_000,
            queries_memory_mib: 2048,
            metric_deadline: Duration::from_secs(10),
            metric_memory_mib: 512,
            metric_series: 10_000,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    pub memory_mib: usize,
    #[serde(deserialize_with = "duration")]
    pub settle: Duration,
    #[serde(deserialize_with = "duration")]
    pub max_skew: Duration,
    /// Where images of the live tables stand; `false` for none.
    pub images: ImagePlace,
    #[serde(deserialize_with = "duration")]
    pub image_interval: Duration,
}

/// A folder on this machine, or whether the default one is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ImagePlace {
    /// In the lake's own folder, where it has one here.
    Wanted(bool),
    At(PathBuf),
}

impl Default for Live {
    fn default() -> Self {
        Self {
            memory_mib: 4096,
            settle: Duration::from_millis(200),
            max_skew: Duration::from_secs(3600),
            images: ImagePlace::Wanted(true),
            image_interval: Duration::from_secs(3600),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Connections held at a time; the next waits.
    pub connections: usize,
    pub sql: SqlAccess,
}

/// Whose statements `/sql` answers. It knows no users, and answers with people's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlAccess {
    /// Those of this machine: nobody's, where `listen` is an address that others can reach.
    #[default]
    Local,
    /// Those of whoever reaches `listen`: for a proxy in front that knows its users.
    Anyone,
    Nobody,
}

impl Http {
    /// Whether `/sql` answers at all.
    pub fn answers_sql(&self) -> bool {
        match self.sql {
            SqlAccess::Local => self.listen.ip().is_loopback(),
            SqlAccess::Anyone => true,
            SqlAccess::Nobody => false,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            connections: 256,
            sql: SqlAccess::Local,
        }
    }
}

/// The web page for directors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Board {
    pub listen: SocketAddr,
    /// Connections held at a time; the next waits.
    pub connections: usize,
    /// Pages that follow it live at a time; the next asks again.
    pub followers: usize,
    /// Networks of proxies that sign people in themselves.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxy: Vec<IpNet>,
    /// The header in which such a proxy names the user.
    pub user_header: String,
    /// Whether whoever sits at this machine sees figures without signing in although there are users.
    pub local_viewer: bool,
    #[serde(deserialize_with = "duration")]
    pub session_idle: Duration,
    #[serde(deserialize_with = "duration")]
    pub session_longest: Duration,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
            connections: 512,
            followers: 200,
            trusted_proxy: Vec::new(),
            user_header: "X-Forwarded-User".to_owned(),
            local_viewer: false,
            session_idle: Duration::from_secs(3_600),
            session_longest: Duration::from_secs(12 * 3_600),
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not a network; expected one such as \"127.0.0.1/32\""
            ))
        })
    };
    texts.iter().map(parse).collect()
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

/// A value written plainly, or where to find it: `{ file = "..." }` or `{ env = "..." }`. Its debug form hides it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    Plain(String),
    File { file: PathBuf },
    Env { env: String },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("(hidden)"),
            Self::File { file } => write!(f, "(in {})", file.display()),
            Self::Env { env } => write!(f, "(in ${env})"),
        }
    }
}

impl Secret {
    /// Its value, without the line's end a file usually has.
    ///
    /// # Errors
    /// What could not be read, never what was read.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::File { file } => std::fs::read_to_string(file)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("file {} cannot be read: {error}", file.display())),
            Self::Env { env } => std::env::var(env).map_err(|_| format!("environment variable {env} is not set")),
        }
    }
}

fn default_schemas() -> PathBuf {
    "schemas".into()
}

fn default_queries() -> PathBuf {
    "queries".into()
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

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!(
            "`{text}` is not a duration ({error}); expected one such as \"200ms\", \"15s\" or \"26h\""
        ))
    })
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
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
        config.schemas = folder.join(&config.schemas);
        config.queries = folder.join(&config.queries);
        config.access.users = config.access.users.map(|users| folder.join(users));
        config.gateway.in_folder(folder);
        if let ImagePlace::At(images) = &mut config.live.images {
            *images = folder.join(&images);
        }
        if !config.lake.url.contains("://") {
            config.lake.url = folder.join(&config.lake.url).display().to_string();
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (key, path) in [("schemas", &self.schemas), ("queries", &self.queries)] {
            if !path.is_dir() {
                return Err(value(
                    key,
                    format!(
                        "{} is not a folder\nhint: paths are relative to the file",
                        path.display()
                    ),
                ));
            }
        }
        if self.sources.is_empty() {
            return Err(value(
                "sources",
                "expected at least one feed\nhint: add a [[sources]] section",
            ));
        }
        if self.live.image_interval.is_zero() {
            return Err(value(
                "live.image_interval",
                "expected a time above 0\nhint: live.images = false saves none",
            ));
        }
        if let Some(letters) = &self.dead_letters {
            self.check_dead_letters(letters)?;
        }
        if let Some((key, expected)) = self.gateway.fault() {
            return Err(value(key, expected));
        }
        if self.board.user_header.parse::<HeaderName>().is_err() {
            return Err(value(
                "board.user_header",
                "expected a header's name, such as \"X-Forwarded-User\"",
            ));
        }
        let limits = &self.limits;
        for (key, number) in [
            ("limits.flush_rows", limits.flush_rows),
            ("limits.flush_mib", limits.flush_mib),
            ("limits.batch_rows", limits.batch_rows),
            ("limits.batch_kib", limits.batch_kib),
            ("limits.queue_batches", limits.queue_batches),
            ("limits.prefetch_mib", limits.prefetch_mib),
            ("limits.message_bytes", limits.message_bytes),
            ("limits.dead_letters_per_second", limits.dead_letters_per_second),
            ("limits.query_memory_mib", limits.query_memory_mib),
            ("limits.query_rows", limits.query_rows),
            ("limits.queries_memory_mib", limits.queries_memory_mib),
            ("limits.metric_memory_mib", limits.metric_memory_mib),
            ("limits.metric_series", limits.metric_series),
            ("http.connections", self.http.connections),
            ("board.connections", self.board.connections),
            ("board.followers", self.board.followers),
            ("live.memory_mib", self.live.memory_mib),
        ] {
            if number == 0 {
                return Err(value(key, "expected a number above 0"));
            }
        }
        Ok(())
    }

    fn check_dead_letters(&self, letters: &DeadLetters) -> Result<(), ConfigError> {
        let is_read = |source: &Source| letters.topic.starts_with(&source.topic_prefix);
        if letters.topic.is_empty() || self.sources.iter().any(is_read) {
            return Err(value(
                "dead_letters.topic",
                "expected a topic that is not read\nhint: its name may not start with a source's topic_prefix",
            ));
        }
        if letters.payload && self.lake.payload_key.is_none() {
            return Err(value(
                "dead_letters.payload",
                "expected lake.payload_key as well: payloads come from the lake, which keeps them only sealed\n\
                 hint: set lake.payload_key, or leave payload out",
            ));
        }
        Ok(())
    }

    /// The lake's place as a URL; a folder becomes a `file://` URL and is made when missing.
    ///
    /// # Errors
    /// A URL that does not parse, or a folder that cannot be made.
    pub fn lake_url(&self) -> Result<Url, ConfigError> {
        lake_url(&self.lake.url)
    }

    /// Where images of the live tables stand. A lake in an object store has no folder here: then there are none unless a
    /// folder is named.
    pub fn image_root(&self) -> Option<PathBuf> {
        match &self.live.images {
            ImagePlace::At(folder) => Some(folder.clone()),
            ImagePlace::Wanted(false) => None,
            ImagePlace::Wanted(true) => {
                let lake = self.lake_url().ok()?.to_file_path().ok()?;
                Some(lake.join(IMAGES))
            }
        }
    }

    pub fn image_options(&self) -> Option<ImageOptions> {
        Some(ImageOptions {
            root: self.image_root()?,
            interval: self.live.image_interval,
        })
    }

    /// Whether SQL is served to clients of PostgreSQL: where somebody may sign in.
    pub fn opens_gateway(&self) -> bool {
        self.gateway.enabled && self.access.users.is_some()
    }

    /// What the consumers read, for the tables that the contract has.
    ///
    /// # Errors
    /// A table no schema describes, a secret that cannot be read, a property that casewatch sets itself.
    pub fn kafka(&self, contract: &casewatch_contract::Contract) -> Result<KafkaConfig, ConfigError> {
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
            limits: self.ingest_limits(),
        };
        kafka.check().map_err(|problem| match problem.split_once(": ") {
            Some((key, expected)) => value(key, expected),
            None => value("kafka", problem),
        })?;
        Ok(kafka)
    }

    fn ingest_limits(&self) -> Limits {
        Limits {
            batch_rows: self.limits.batch_rows,
            batch_bytes: self.limits.batch_kib << 10,
            queue_batches: self.limits.queue_batches,
            flush_interval: self.limits.flush_interval,
            flush_rows: self.limits.flush_rows,
            flush_bytes: self.limits.flush_mib << 20,
            revoke_deadline: self.limits.revoke_deadline,
            prefetch_kib: self.limits.prefetch_mib << 10,
            message_bytes: self.limits.message_bytes,
            dead_letters_per_second: self.limits.dead_letters_per_second,
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

fn value(key: &str, expected: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        path: String::new(),
        key: key.to_owned(),
        expected: expected.into(),
    }
}

impl ConfigError {
    /// The same error, of the file at `name`.
    pub fn in_file(self, name: &str) -> Self {
        let path = name.to_owned();
        match self {
            Self::Read { source, .. } => Self::Read { path, source },
            Self::Parse { message, .. } => Self::Parse { path, message },
            Self::Value { key, expected, .. } => Self::Value { path, key, expected },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented file, with the defaults that it shows in comments switched on.
    fn documented() -> toml::Table {
        let text = include_str!("../../../deploy/casewatch.toml");
        let mut shown = String::new();
        for line in text.lines() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let is_section = bare.starts_with('[') && !bare.starts_with("[[");
            let is_key = bare.split_once(" = ").is_some_and(|(key, _)| {
                let word = |c: char| c.is_ascii_lowercase() || c == '_';
                !key.is_empty() && key.chars().all(word)
            });
            if is_section || is_key && line != bare {
                shown.push_str(bare);
                shown.push('\n');
            }
        }
        toml::from_str(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}"))
    }

    /// Keys and defaults of one section as they are documented, and as they are.
    fn is_documented<T: Default + fmt::Debug + for<'a> Deserialize<'a>>(section: &str) {
        let documented = documented()[section].clone();
        let keys: Vec<&String> = documented.as_table().expect("a section").keys().collect();
        let read: T = documented.clone().try_into().expect("every documented key is known");
        let defaults = format!("{:?}", T::default());
        assert_eq!(format!("{read:?}"), defaults, "[{section}] documents other defaults");
        for key in defaults.split(['{', ',']).filter_map(|part| part.split_once(": ")) {
            let key = key.0.trim();
            assert!(
                keys.iter().any(|found| *found == key),
                "[{section}] {key} is not documented"
            );
        }
    }

    #[test]
    fn every_limit_is_documented_with_the_default_that_it_has() {
        is_documented::<LimitsSection>("limits");
        is_documented::<Live>("live");
        is_documented::<Http>("http");
        is_documented::<GatewaySection>("gateway");
        is_documented::<Board>("board");
    }

    #[test]
    fn the_configurations_of_deploy_are_accepted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let deploy = root.join("deploy");
        for name in ["compose/casewatch.toml", "kubernetes/casewatch.toml"] {
            let path = deploy.join(name);
            let text = std::fs::read_to_string(&path).expect("the file is there");
            // Where the image has them.
            let text = text.replace("/usr/share/casewatch", &root.display().to_string());
            let config = Config::parse(&text, &deploy).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                config.opens_gateway() && !config.gateway.listen.ip().is_loopback(),
                "{name}"
            );
            assert!(
                !config.board.listen.ip().is_loopback() && config.access.users.is_some(),
                "{name}"
            );
        }
    }

    #[test]
    fn sql_without_users_is_answered_to_this_machine_unless_it_is_said_otherwise() {
        let answers = |http: &str| toml::from_str::<Http>(http).unwrap().answers_sql();
        assert!(answers(""));
        assert!(answers("listen = \"[::1]:9464\""));
        assert!(!answers("listen = \"0.0.0.0:9464\""));
        assert!(answers("listen = \"0.0.0.0:9464\"\nsql = \"anyone\""));
        assert!(!answers("sql = \"nobody\""));
    }

    #[test]
    fn a_limit_of_nothing_is_refused_by_name() {
        for key in [
            "limits.dead_letters_per_second",
            "limits.metric_series",
            "http.connections",
        ] {
            let (section, name) = key.split_once('.').expect("two parts");
            let text = format!(
                "schemas = \".\"\nqueries = \".\"\n[kafka]\nbrokers = \"b\"\n\
                 [[sources]]\nname = \"s\"\ntopic_prefix = \"p.\"\norder = \"offset\"\n[{section}]\n{name} = 0\n"
            );
            let error = Config::parse(&text, Path::new("."))
                .expect_err("nothing is no limit")
                .to_string();
            assert!(error.contains(key) && error.contains("above 0"), "{error}");
        }
    }
}
