//! What writes to Kafka. `casewatch load` has a module of its own.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{NewTopics, Speed};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WireFormat {
    /// Debezium's envelope as JSON.
    DebeziumJson,
    /// Debezium's envelope as JSON with its schema block.
    DebeziumJsonSchema,
    /// Debezium's envelope as Avro (needs --registry).
    DebeziumAvro,
    /// The row alone as JSON.
    FlatJson,
    /// The row alone as Avro (needs --registry).
    FlatAvro,
}

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// `northamptonshire` (1 January 2018 to 30 September 2020) or `steady`.
    #[arg(long, default_value = "northamptonshire")]
    pub scenario: String,
    /// Instead of a scenario: authorities made from the workforce figures that DfE published, so that what casewatch counts can
    /// be compared with them; a file with the columns of queries/reference/dfe_workforce_local_authority_2017_2022.csv.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "authorities", "scale", "seed"])]
    pub from_csv: Option<PathBuf>,
    /// Bootstrap servers to write to.
    #[arg(long, required_unless_present = "files")]
    pub brokers: Option<String>,
    /// Write files to this folder instead, one a table.
    #[arg(long, conflicts_with = "brokers")]
    pub files: Option<PathBuf>,
    /// With --files: the tables as they stand at the end, as CSV, instead of every message.
    #[arg(long, requires = "files")]
    pub extract: bool,
    /// Topics are this prefix and the table's name.
    #[arg(long, default_value = "casewatch.public.")]
    pub topic_prefix: String,
    #[command(flatten)]
    pub new_topics: NewTopics,
    #[arg(long, value_enum, default_value = "debezium-json")]
    pub format: WireFormat,
    /// Schema registry, for Avro.
    #[arg(long)]
    pub registry: Option<url::Url>,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// First day to send; earlier days are generated and not sent, so that a replay can go on where one stopped.
    #[arg(long)]
    pub from: Option<chrono::NaiveDate>,
    /// Last day to send.
    #[arg(long)]
    pub until: Option<chrono::NaiveDate>,
    /// Simulated days a second, or `max`.
    #[arg(long, default_value = "max")]
    pub speed: Speed,
    /// Authorities of the scenario `steady`.
    #[arg(long, default_value_t = 1)]
    pub authorities: u32,
    /// Size of each of them, 1 being Northamptonshire.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Folder of the schemas.
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
}
