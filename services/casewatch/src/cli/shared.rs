//! Options that several commands take.

use std::path::{Path, PathBuf};

use casewatch_contract::Contract;
use clap::{Args, ValueEnum};

use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct ConfigArg {
    /// Configuration file.
    #[arg(long, short, default_value = "casewatch.toml", env = "CASEWATCH_CONFIG")]
    pub config: PathBuf,
}

/// Where the definitions of tables and metrics stand.
#[derive(Clone, Debug, Args)]
pub struct Folders {
    /// Folder of the schemas.
    #[arg(long, default_value = "schemas", help_heading = "Definitions")]
    pub schemas: PathBuf,
    /// Folder of the queries.
    #[arg(long, default_value = "queries", help_heading = "Definitions")]
    pub queries: PathBuf,
}

impl Folders {
    /// The contract of the schemas. Both folders are there then.
    ///
    /// # Errors
    /// A folder that is not there, by its option; a schema that is refused.
    pub fn contract(&self) -> Result<Contract, Failure> {
        let contract = contract_in(&self.schemas)?;
        expect_folder("--queries", &self.queries, "metrics/ and views/")?;
        Ok(contract)
    }
}

/// The contract of a folder of schemas.
///
/// # Errors
/// As [`Folders::contract`].
pub fn contract_in(schemas: &Path) -> Result<Contract, Failure> {
    expect_folder("--schemas", schemas, "the schemas, one .avsc file a table")?;
    Contract::load(schemas).map_err(Failure::usage)
}

fn expect_folder(option: &str, folder: &Path, holds: &str) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{option}: {} is not a folder\nhint: name the folder with {holds}, or run casewatch beside it",
        folder.display()
    )))
}

/// How topics are made that do not exist yet.
#[derive(Debug, Args)]
pub struct NewTopics {
    /// Partitions of topics that do not exist yet.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
}

#[derive(Debug, Args)]
pub struct UsersFile {
    /// The users file, as `access.users` has it in the configuration.
    #[arg(
        long = "users",
        value_name = "FILE",
        default_value = "users.toml",
        env = "CASEWATCH_USERS"
    )]
    pub users: PathBuf,
}

/// How a finding is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
}
