//! What runs an instance, and shows how it stands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ConfigArg, Folders, ReportFormat};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Kafka to the lake.
    Ingest,
    /// Compaction, checkpoints and clean-up of the lake.
    Maintain,
    /// Live tables, metrics and the HTTP interface.
    Metrics,
    /// Live tables and SQL for clients of PostgreSQL.
    Gateway,
    /// The web page for directors, over live tables of its own.
    Board,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value().expect("no role is hidden");
        f.write_str(value.get_name())
    }
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Only these roles (repeat the option for several).
    #[arg(long)]
    pub only: Vec<Role>,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Simulated days a second, or `max`.
    #[arg(long, default_value = "1")]
    pub speed: Speed,
    /// Folder for the lake; each run makes a new subfolder. Default: a temporary folder, removed at the end.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Port of the HTTP interface.
    #[arg(long, default_value_t = 9464)]
    pub port: u16,
    /// Port of the board; another that is free where it is taken.
    #[arg(long, default_value_t = 9465)]
    pub board_port: u16,
    /// Seed of the simulation.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Schemas and queries; default: those of this checkout.
    #[arg(long, default_value = ".")]
    pub home: PathBuf,
    /// Last simulated day (default: the end of the scenario).
    #[arg(long)]
    pub until: Option<chrono::NaiveDate>,
}

/// Simulated days a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    DaysPerSecond(f64),
    Max,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(days) if days.is_finite() && days > 0.0 => Ok(Self::DaysPerSecond(days)),
            _ => Err("expected a number of days above 0, or `max`".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Address of a running instance.
    #[arg(long, default_value = "http://127.0.0.1:9464")]
    pub url: url::Url,
    /// One look as text, instead of a view that moves (which needs a terminal).
    #[arg(long)]
    pub once: bool,
    /// `json`: what the instance says at /-/status, with the word `state`.
    #[arg(long, value_enum, default_value = "table")]
    pub format: ReportFormat,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder of the configuration; it is made when missing.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Kafka's bootstrap servers.
    #[arg(long, default_value = "localhost:9092")]
    pub brokers: String,
    /// Name of the first feed: Debezium's source.name, or the rows' source_system.
    #[arg(long, default_value = "mosaic")]
    pub source: String,
    /// Topics are this prefix and the table's name; default: the feed's name and `.public.`.
    #[arg(long)]
    pub topic_prefix: Option<String>,
    /// Schema registry, for Avro.
    #[arg(long, value_name = "URL")]
    pub registry: Option<url::Url>,
    /// The lake's folder or URL; default: data/lake beside the configuration.
    #[arg(long)]
    pub lake: Option<String>,
    /// Address of the HTTP interface; default: 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Make a new key for each domain of the schemas, in files that their owner alone may read.
    #[arg(long)]
    pub keys: bool,
    #[command(flatten)]
    pub folders: Folders,
}
