//! What looks after a lake, and after who may sign in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigArg, Folders, PastArgs, ReportFormat, UsersFile};
use crate::past::{Day, Step};

#[derive(Debug, Args)]
pub struct LakeArgs {
    #[command(flatten)]
    pub config: ConfigArg,
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
