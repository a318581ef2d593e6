//! What `casewatch load` takes on the command line.

use std::path::PathBuf;

use clap::Args;

use super::manifest::MANIFEST;
use crate::cli::NewTopics;

/// `casewatch load DIR|FILES...`
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A folder with the delivery and its delivery.toml, or the files themselves (CSV or Parquet, one a table, named
    /// after it), described by the options below.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub described: Described,
    /// Columns of the files to pass over (repeat the option); any other that no schema knows is an error.
    #[arg(long, value_name = "COLUMN")]
    pub ignore: Vec<String>,

    /// Configuration file: bootstrap servers, Kafka's security settings, schemas and topic prefix come from it.
    #[arg(long, short, env = "CASEWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// Bootstrap servers to write to.
    #[arg(long, required_unless_present_any = ["dry_run", "config"])]
    pub brokers: Option<String>,
    /// Topics are this prefix and the table's name. Their order is "offset". Default: that of the configured source
    /// of this name, else `casewatch.public.`.
    #[arg(long)]
    pub topic_prefix: Option<String>,
    #[command(flatten)]
    pub new_topics: NewTopics,
    /// Folder of the schemas.
    #[arg(long)]
    pub schemas: Option<PathBuf>,
    /// Where the last delivery of each feed is remembered, one folder a feed. It holds raw keys: keep it private.
    #[arg(long, default_value = "data/load")]
    pub state: PathBuf,

    /// Refuse a delivery in which a table has lost more than this share of its rows, in percent.
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT")]
    pub max_shrink: f64,
    /// Take the delivery although a table shrinks by more than that.
    #[arg(long)]
    pub accept: bool,
    /// Say what would change, and send and remember nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Send without a transaction, to brokers that have none: the delivery may then be seen half.
    #[arg(long)]
    pub no_transaction: bool,
    /// The summary as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What a manifest says, for files without one.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "The delivery, when files are given")]
pub struct Described {
    /// Name of the feed.
    #[arg(long)]
    pub feed: Option<String>,
    /// The moment the extract describes, such as 2026-11-20T02:15:00 (London) or 2026-11-20T02:15:00Z.
    #[arg(long)]
    pub as_at: Option<String>,
    /// The extract was finished before it was handed over.
    #[arg(long)]
    pub complete: bool,
    /// First day the extract reaches back to; rows that leave this window are not deletions.
    #[arg(long, value_name = "DAY")]
    pub window_from: Option<String>,
    /// A table to which the window does not apply (repeat the option).
    #[arg(long, value_name = "TABLE")]
    pub whole: Vec<String>,
    /// When the next delivery is due at the latest.
    #[arg(long, value_name = "MOMENT")]
    pub expected_next_by: Option<String>,
    /// Control total: how many rows the sender counted (once for each table).
    #[arg(long, value_name = "TABLE=NUMBER")]
    pub rows: Vec<String>,
    /// Value of a column that the files lack (repeat the option).
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub set: Vec<String>,
}

impl Described {
    /// Whether none of these options is given.
    pub fn is_empty(&self) -> bool {
        let Self {
            feed,
            as_at,
            complete,
            window_from,
            whole,
            expected_next_by,
            rows,
            set,
        } = self;
        let told = [feed, as_at, window_from, expected_next_by];
        !complete && told.iter().all(|option| option.is_none()) && [whole, rows, set].iter().all(|list| list.is_empty())
    }

    /// The options as the manifest they stand for, so that one reader checks both.
    ///
    /// # Errors
    /// An option that is not of the form NAME=VALUE.
    pub fn to_manifest(&self) -> Result<toml::Table, String> {
        let mut manifest = toml::Table::new();
        for (key, option) in [
            ("feed", &self.feed),
            ("as_at", &self.as_at),
            ("window_from", &self.window_from),
            ("expected_next_by", &self.expected_next_by),
        ] {
            if let Some(text) = option {
                manifest.insert(key.to_owned(), toml::Value::String(text.clone()));
            }
        }
        manifest.insert("complete".to_owned(), toml::Value::Boolean(self.complete));
        let whole = self.whole.iter().cloned().map(toml::Value::String).collect();
        manifest.insert("whole".to_owned(), toml::Value::Array(whole));
        for pair in &self.set {
            let (column, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("--set {pair}: expected COLUMN=VALUE"))?;
            if manifest
                .insert(column.to_owned(), toml::Value::String(value.to_owned()))
                .is_some()
            {
                return Err(format!("--set {column}: given twice, or an option of its own"));
            }
        }
        let mut rows = toml::Table::new();
        for pair in &self.rows {
            let number = pair
                .split_once('=')
                .and_then(|(table, number)| Some((table, number.parse::<i64>().ok()?)));
            let (table, number) = number.ok_or_else(|| format!("--rows {pair}: expected TABLE=NUMBER"))?;
            rows.insert(table.to_owned(), toml::Value::Integer(number));
        }
        manifest.insert("rows".to_owned(), toml::Value::Table(rows));
        Ok(manifest)
    }

    /// How errors name where the description comes from.
    pub fn place(folder: Option<&std::path::Path>) -> String {
        folder.map_or_else(
            || "the options".to_owned(),
            |folder| folder.join(MANIFEST).display().to_string(),
        )
    }
}
