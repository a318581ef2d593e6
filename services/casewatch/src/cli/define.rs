//! What looks after definitions: queries and schemas.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Folders;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Configuration file; without one, schemas and queries alone are checked.
    #[arg(long, short)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub folders: Folders,
    /// How findings are told: for people, or one JSON object a line.
    #[arg(long, value_enum, default_value = "text")]
    pub format: FindingsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingsFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only tests whose file or name contains this.
    pub filter: Option<String>,
    /// Run again whenever a file of the queries or schemas changes, until Ctrl-C: the tests of changed test files, or
    /// all where anything else changed.
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, Args)]
pub struct CatalogueArgs {
    /// File to write instead of standard output.
    #[arg(long, conflicts_with = "compare")]
    pub write: Option<PathBuf>,
    /// File to compare with instead: exit code 4 and the first line that differs where it is out of date.
    #[arg(long)]
    pub compare: Option<PathBuf>,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print one table's columns, meaning and privacy for people; without a name, list the tables.
    Show {
        table: Option<String>,
        #[arg(long, default_value = "schemas")]
        schemas: PathBuf,
    },
    /// Register the schemas with a Confluent-compatible registry.
    Register {
        #[arg(long)]
        registry: url::Url,
        #[arg(long, default_value = "casewatch.public.")]
        topic_prefix: String,
        /// How subjects are named: as the producers' serializer names them.
        #[arg(long, value_enum, default_value = "topic")]
        subjects: Subjects,
        #[arg(long, default_value = "schemas")]
        schemas: PathBuf,
    },
}

/// Confluent's strategies of naming the subject under which a schema is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subjects {
    /// `<topic>-value`
    Topic,
    /// The record's full name
    Record,
    /// `<topic>-<record's full name>`
    TopicRecord,
}

impl Subjects {
    pub fn name(self, topic: &str, record: &str) -> String {
        match self {
            Self::Topic => format!("{topic}-value"),
            Self::Record => record.to_owned(),
            Self::TopicRecord => format!("{topic}-{record}"),
        }
    }
}
