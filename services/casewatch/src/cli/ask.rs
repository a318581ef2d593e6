//! What asks: statements, metrics, reports.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Folders, ReportFormat, UsersFile};
use crate::past::{Day, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Csv,
    Json,
    Parquet,
}

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The statement; without one, an interactive prompt.
    pub statement: Option<String>,
    /// Address of a running instance.
    #[arg(long, default_value = "http://127.0.0.1:9464", conflicts_with = "lake")]
    pub url: url::Url,
    /// A lake's folder or URL: query it without an instance.
    #[arg(long)]
    pub lake: Option<String>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: OutputFormat,
    /// As of this moment or day (its end).
    #[arg(long)]
    pub as_of: Option<String>,
    /// As known at this moment or day (its end); default: as of.
    #[arg(long)]
    pub known_at: Option<String>,
    /// Before a table was known, take the rows of its first snapshot as always known; each answer then has a column
    /// `_assumed_known` that says whether it rests on that.
    #[arg(long)]
    pub assume_known: bool,
    /// See what this user sees (with --lake).
    #[arg(long = "as", value_name = "USER", requires = "lake")]
    pub as_user: Option<String>,
    #[command(flatten)]
    pub users: UsersFile,
    #[command(flatten)]
    pub folders: Folders,
}

/// Which metrics, over which lake, as known when.
#[derive(Debug, Args)]
pub struct PastArgs {
    /// Names of metrics; without any, all of them.
    pub names: Vec<String>,
    /// The lake's folder or URL.
    #[arg(long)]
    pub lake: String,
    /// As known at this moment or day (its end), or `today`; default: at each as of.
    #[arg(long)]
    pub known_at: Option<String>,
    /// Before a table was known, take the rows of its first snapshot as always known; the output says where numbers rest
    /// on that.
    #[arg(long)]
    pub assume_known: bool,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricsFormat {
    Table,
    Csv,
    /// One JSON object a line.
    Json,
    /// As Prometheus reads it, with timestamps.
    Openmetrics,
}

#[derive(Debug, Args)]
pub struct MetricsArgs {
    #[command(flatten)]
    pub past: PastArgs,
    /// As of this moment or day (its end), or `today`.
    #[arg(long, required_unless_present = "from", conflicts_with_all = ["from", "to", "step"])]
    pub as_of: Option<String>,
    /// A range instead: its first day.
    #[arg(long, requires = "to")]
    pub from: Option<Day>,
    /// Its last day, if a step meets it.
    #[arg(long, requires = "from")]
    pub to: Option<Day>,
    /// From one day of the range to the next: `1d`, `1w`, `1month`.
    #[arg(long, default_value = "1d")]
    pub step: Step,
    #[arg(long, value_enum, default_value = "table")]
    pub format: MetricsFormat,
    /// As it may leave the building: counts of 1 to 5 are withheld, with as much beside them as it takes that they cannot
    /// be worked out (`c`), and totals over several authorities are rounded to 10. The steps of a range are months.
    #[arg(long)]
    pub publish: bool,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// One file that needs no other.
    Html,
    /// Its figures and sentences, for programs.
    Json,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The month, such as 2019-01; its figures are those of its last day's end.
    #[arg(long)]
    pub month: crate::report::Month,
    /// Whose; it may be left out where the lake knows one authority.
    #[arg(long, value_name = "ID")]
    pub authority: Option<String>,
    /// As it may leave the building: small numbers are withheld (`c`), and whatever would give one away.
    #[arg(long)]
    pub publish: bool,
    /// File to write; default: `report-AUTHORITY-MONTH.html`, with `-public` where it is for publication. JSON goes to
    /// standard output by default.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A PDF beside the HTML file too, by a headless Chromium.
    #[arg(long, conflicts_with = "format")]
    pub pdf: bool,
    #[arg(long, value_enum, default_value = "html")]
    pub format: ReportOutput,
    /// The lake's folder or URL.
    #[arg(long, default_value = "data/lake")]
    pub lake: String,
    /// Every figure as known at this day (its end) or moment, or `today`; default: each as known at its own month's end.
    #[arg(long, value_name = "DAY")]
    pub known_at: Option<String>,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the metric.
    pub metric: String,
    /// `label=value`: only series with it, and the rows behind those.
    pub labels: Vec<String>,
    /// Address of a running instance.
    #[arg(long, default_value = "http://127.0.0.1:9464", conflicts_with = "lake")]
    pub url: url::Url,
    /// A lake's folder or URL: take the value from it instead.
    #[arg(long)]
    pub lake: Option<String>,
    /// With --lake: as of this moment or day (its end); default: the newest in the lake.
    #[arg(long, requires = "lake")]
    pub as_of: Option<String>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: ReportFormat,
    #[command(flatten)]
    pub folders: Folders,
}
