//! The command line, as `casewatch --help` shows it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::past::{Day, Step};

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
pub struct ConfigArg {
    /// Configuration file.
    #[arg(long, short, default_value = "casewatch.toml", env = "CASEWATCH_CONFIG")]
    pub config: PathBuf,
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
    /// Partitions of topics that do not exist yet.
    #[arg(long, default_value_t = 3)]
    pub partitions: i32,
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
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
}

/// Where the definitions of tables and metrics stand.
#[derive(Debug, Args)]
pub struct Folders {
    /// Folder of the schemas.
    #[arg(long, default_value = "schemas", help_heading = "Definitions")]
    pub schemas: PathBuf,
    /// Folder of the queries.
    #[arg(long, default_value = "queries", help_heading = "Definitions")]
    pub queries: PathBuf,
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
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
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

#[derive(Debug, Args)]
pub struct BackfillArgs {
    #[command(flatten)]
    pub past: PastArgs,
    /// First day.
    #[arg(long)]
    pub from: Day,
    /// Last day, if a step meets it. Nothing is written for Prometheus that is younger than three hours.
    #[arg(long)]
    pub to: Day,
    /// From one day to the next: `1d`, `1w`, `1month`.
    #[arg(long, default_value = "1d")]
    pub step: Step,
    /// File to write for Prometheus, instead of filling `metrics.samples`.
    #[arg(long)]
    pub openmetrics: Option<PathBuf>,
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

/// How a finding is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
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

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Names of metrics to compare; without any, all of them. Offsets and tables are proved whole.
    pub names: Vec<String>,
    /// The lake's folder or URL.
    #[arg(long)]
    pub lake: String,
    #[arg(long, value_enum, default_value = "table")]
    pub format: ReportFormat,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Configuration file; without one, schemas and queries alone are checked.
    #[arg(long, short)]
    pub config: Option<PathBuf>,
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
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
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
}

#[derive(Debug, Args)]
pub struct CatalogueArgs {
    /// File to write instead of standard output.
    #[arg(long, conflicts_with = "compare")]
    pub write: Option<PathBuf>,
    /// File to compare with instead: exit code 4 and the first line that differs where it is out of date.
    #[arg(long)]
    pub compare: Option<PathBuf>,
    #[arg(long, default_value = "schemas")]
    pub schemas: PathBuf,
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
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

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input.
    Add(UserAddArgs),
    /// Who there is, and bound to what.
    List(UserListArgs),
    /// Remove a user. Who is signed in is refused from the next statement on.
    Remove {
        name: String,
        #[command(flatten)]
        file: UsersFile,
    },
    /// Set another password; it is asked for, or read from standard input.
    Password {
        name: String,
        #[command(flatten)]
        file: UsersFile,
    },
}

#[derive(Debug, Args)]
pub struct UserAddArgs {
    pub name: String,
    /// A role of queries/access.toml.
    #[arg(long)]
    pub role: String,
    /// Bind the user to this authority (repeat the option for several); without any, to none.
    #[arg(long)]
    pub authority: Vec<String>,
    /// Bind the user to this team and those below it (repeat the option for several); without any, to none.
    #[arg(long)]
    pub team: Vec<String>,
    #[command(flatten)]
    pub file: UsersFile,
    /// Where access.toml is, to check the role.
    #[arg(long, default_value = "queries")]
    pub queries: PathBuf,
}

#[derive(Debug, Args)]
pub struct UserListArgs {
    #[command(flatten)]
    pub file: UsersFile,
    #[arg(long, value_enum, default_value = "table")]
    pub format: ReportFormat,
}

#[derive(Debug, Args)]
pub struct LakeArgs {
    #[command(flatten)]
    pub config: ConfigArg,
}

#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List them: place, reason, time.
    List {
        #[command(flatten)]
        config: ConfigArg,
        /// Only of this table.
        #[arg(long)]
        table: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one, with its payload if it was kept: `cluster/topic/epoch/partition/offset`.
    Show {
        place: String,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Decode again and put into the lake, with the original offset.
    Replay {
        /// `cluster/topic/epoch/partition/offset`; without any, all of --table.
        places: Vec<String>,
        #[arg(long)]
        table: Option<String>,
        #[command(flatten)]
        config: ConfigArg,
    },
}

#[derive(Debug, Args)]
pub struct AcceptGapArgs {
    /// The table that the topic feeds.
    pub table: String,
    /// `cluster/topic/epoch/partition`, as the error names it.
    pub partition: String,
    /// First offset to read after the gap.
    pub to: i64,
    /// Why it is acceptable; recorded.
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub config: ConfigArg,
}

#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Domain of the identifier, as the schemas name it (`hmac:<domain>`).
    #[arg(long)]
    pub domain: String,
    /// File with the raw identifier on its first line (never on the command line, where others could read it).
    #[arg(long)]
    pub identifier_file: PathBuf,
    /// Confirm: an erasure cannot be undone.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub config: ConfigArg,
}

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Folder to write; it must not exist.
    pub to: PathBuf,
    #[command(flatten)]
    pub config: ConfigArg,
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A folder that `casewatch backup` wrote.
    pub from: PathBuf,
    /// Where the backup's configuration and keys go.
    #[arg(long, default_value = "restored")]
    pub files_to: PathBuf,
    #[command(flatten)]
    pub config: ConfigArg,
}
