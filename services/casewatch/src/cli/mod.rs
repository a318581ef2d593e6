//! The command line, as `casewatch --help` shows it: a file for each group of commands.

mod ask;
mod define;
mod feed;
mod keep;
mod run;
mod shared;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use ask::*;
pub use define::*;
pub use feed::*;
pub use keep::*;
pub use run::*;
pub use shared::*;

const AFTER_HELP: &str = "\
Examples:
  casewatch demo                            watch a synthetic authority
  casewatch init --keys                     a configuration to begin with, and then: casewatch run
  casewatch status                          how a running instance stands
  casewatch sql \"select count(*) from cases\"
  casewatch metrics --lake data/lake --as-of 2018-10-17
  casewatch report --month 2019-01 --publish

Exit codes:
  0  done
  1  failed
  2  wrong use
  3  refused (the message says how to accept)
  4  differences found
  5  not fresh: the instance that was asked for its status is catching up, stale or halted";

/// Live, trustworthy numbers from the change events of a case-management system.
///
/// Reads change events from Kafka, keeps their history as Parquet in Delta Lake tables, and serves the metrics of
/// queries/*.sql to Prometheus and SQL clients.
#[derive(Debug, Parser)]
#[command(
    name = "casewatch",
    version,
    about,
    long_about,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Log lines as JSON.
    #[arg(long, global = true)]
    pub log_json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole system, or some of its roles.
    Run(RunArgs),
    /// Watch a synthetic authority in one process, with nothing else to install.
    ///
    /// It runs everything on embedded defaults: an in-process broker, a simulator, a lake in a folder.
    #[cfg(feature = "embedded")]
    Demo(DemoArgs),
    /// Write a synthetic authority's change events to Kafka or files.
    Simulate(SimulateArgs),
    /// Turn a delivery (CSV or Parquet extracts) into changes on Kafka.
    Load(crate::load::args::LoadArgs),
    /// Run SQL against a running instance or straight over a lake.
    Sql(SqlArgs),
    /// Show metrics on any past day or range of days, as known then or later.
    ///
    /// They are computed straight over a lake, without a running instance.
    Metrics(MetricsArgs),
    /// Fill the past of metrics, in the lake or for Prometheus.
    ///
    /// In the lake as `metrics.samples`; for Prometheus as `promtool tsdb create-blocks-from openmetrics` takes it.
    Backfill(BackfillArgs),
    /// Write the monthly report of an authority, as HTML and PDF.
    ///
    /// For whoever may see every number, or with --publish for a public committee. queries/reports/monthly.toml is its layout.
    Report(ReportArgs),
    /// Say what a metric is made of, what it is now, and how to list the rows behind it.
    Explain(ExplainArgs),
    /// Add, list or remove who may sign in, or set a password.
    #[command(subcommand)]
    User(UserCommand),
    /// Prove a lake: every offset once, every table and metric again by plain SQL.
    Verify(VerifyArgs),
    /// Show how a running instance stands: roles, lag, freshness, feeds, last errors.
    Status(StatusArgs),
    /// Write a commented configuration to begin with, and keys where they are wanted.
    Init(InitArgs),
    /// Check configuration, schemas and queries without running anything.
    Check(CheckArgs),
    /// Run the SQL tests of queries/tests.
    Test(TestArgs),
    /// Write the page that lists every metric.
    ///
    /// With its meaning, formula, what it rests on and thresholds.
    Catalogue(CatalogueArgs),
    /// Show or register the schemas of the tables.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// List, show or replay messages that could not be decoded.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Compact, checkpoint and vacuum the lake once.
    Maintain(LakeArgs),
    /// Accept that a range of a topic is lost, and read on after the gap.
    AcceptGap(AcceptGapArgs),
    /// Erase a subject from the lake, its log and its dead letters.
    Erase(EraseArgs),
    /// Bring every stored identity to the keys as they are configured now.
    ///
    /// To be run after a new key was added below an old one.
    RotateKeys(LakeArgs),
    /// Copy the lake, the configuration and the keys to a folder.
    Backup(BackupArgs),
    /// Put a backup back.
    Restore(RestoreArgs),
    /// Print what makes a shell complete casewatch's commands and options.
    Completions(CompletionsArgs),
    /// Write a manual page for each command.
    Man(ManArgs),
}

impl Command {
    /// What is logged where `RUST_LOG` says nothing: a service tells what changes, a command only what goes wrong.
    pub fn default_log_level(&self) -> &'static str {
        match self {
            Self::Run(_) => "info",
            _ => "warn",
        }
    }
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell to write for.
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder of the pages, such as /usr/local/share/man/man1; it is made when missing.
    pub dir: PathBuf,
}
