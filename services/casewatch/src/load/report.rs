//! What a delivery changes, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::diff::Changes;
use super::manifest::Manifest;
use super::send::Sent;

const HEADER: [&str; 7] = [
    "table",
    "rows",
    "new",
    "changed",
    "deleted",
    "left the window",
    "unchanged",
];

/// How far it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    DryRun,
    Refused,
    Sent(Sent),
}

/// A table of the changes, and a line that says what became of them.
pub fn for_people(delivery: &[Changes], absent: &[String], manifest: &Manifest, outcome: &Outcome) -> String {
    let mut lines = vec![HEADER.map(str::to_owned)];
    for changes in delivery {
        lines.push([
            changes.extract.table.name.to_string(),
            changes.extract.rows.num_rows().to_string(),
            changes.created.len().to_string(),
            changes.changed.len().to_string(),
            changes.deleted.len().to_string(),
            changes.left.to_string(),
            changes.unchanged.to_string(),
        ]);
    }
    let widths: Vec<usize> = (0..HEADER.len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let mut shown = format!("{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            write!(shown, "  {cell:>width$}").expect("writing to a string succeeds");
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    if !absent.is_empty() {
        writeln!(text, "not in this delivery, left as they are: {}", absent.join(", "))
            .expect("writing to a string succeeds");
    }
    text.push_str(&match outcome {
        Outcome::DryRun => "dry run: nothing was sent".to_owned(),
        Outcome::Refused => "refused: nothing was sent".to_owned(),
        Outcome::Sent(Sent { messages, without_transaction: None }) => {
            format!("{messages} messages sent in one transaction, as at {}", manifest.as_at)
        }
        Outcome::Sent(Sent { messages, without_transaction: Some(why) }) => format!(
            "{messages} messages sent, as at {}, without a transaction ({why}): for a moment readers may have seen half of them",
            manifest.as_at
        ),
    });
    text
}

/// The same as one JSON object.
pub fn for_programs(delivery: &[Changes], absent: &[String], manifest: &Manifest, outcome: &Outcome) -> Value {
    let tables: Vec<Value> = delivery
        .iter()
        .map(|changes| {
            json!({
                "table": changes.extract.table.name,
                "first": changes.first,
                "rows": changes.extract.rows.num_rows(),
                "new": changes.created.len(),
                "changed": changes.changed.len(),
                "deleted": changes.deleted.len(),
                "left_window": changes.left,
                "unchanged": changes.unchanged,
                "shrunk_percent": changes.shrunk_percent(),
            })
        })
        .collect();
    let (outcome, messages, transaction) = match outcome {
        Outcome::DryRun => ("dry_run", 0, None),
        Outcome::Refused => ("refused", 0, None),
        Outcome::Sent(sent) => ("sent", sent.messages, Some(sent.without_transaction.is_none())),
    };
    json!({
        "feed": manifest.feed,
        "source": manifest.source,
        "as_at": manifest.as_at.to_string(),
        "outcome": outcome,
        "messages": messages,
        "transaction": transaction,
        "tables": tables,
        "absent": absent,
    })
}
