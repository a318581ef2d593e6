//! What was found, as tables for people or as JSON lines for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use serde::Serialize;
use serde_json::json;

use super::account::Totals;
use crate::cli::{OutputFormat, ReportFormat};
use crate::failure::Failure;
use crate::sql::write_batches;

/// So many lines of each kind are shown as a table; JSON has all.
const SHOWN: usize = 200;

/// One thing that is not as it must be.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Finding {
    /// Offsets `[from, to)` of a partition.
    Offsets {
        table: String,
        partition: String,
        from: i64,
        to: i64,
        what: String,
    },
    /// The newest recorded time, as it is told from the fold and from history.
    Cut { fold: String, plain: String },
    Table {
        table: String,
        #[serde(flatten)]
        difference: TableDifference,
    },
    Metric {
        metric: String,
        labels: BTreeMap<String, String>,
        fold: String,
        plain: String,
    },
}

/// How a table as folded differs from what plain SQL gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableDifference {
    pub only_fold: u64,
    pub only_plain: u64,
    /// Rows of one key that differ in these columns.
    pub changed: u64,
    pub columns: Vec<String>,
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    pub lake: String,
    pub read_up_to: String,
    pub totals: Totals,
    pub tables: u64,
    pub rows: u64,
    pub metrics: u64,
    pub samples: u64,
    /// Metrics without a value on either side, by reason.
    pub without_value: BTreeMap<String, BTreeSet<String>>,
    /// Tables of the lake that no schema describes.
    pub unknown_tables: BTreeSet<String>,
    pub findings: Vec<Finding>,
}

impl Report {
    /// # Errors
    /// An output that cannot be written.
    pub fn write(&self, format: ReportFormat, out: &mut impl Write) -> Result<(), Failure> {
        match format {
            ReportFormat::Table => self.write_tables(out),
            ReportFormat::Json => self.write_json(out),
        }
    }

    fn write_json(&self, out: &mut impl Write) -> Result<(), Failure> {
        for finding in &self.findings {
            let line = serde_json::to_string(finding).map_err(Failure::failed)?;
            writeln!(out, "{line}").map_err(Failure::output)?;
        }
        let summary = json!({
            "check": "summary",
            "lake": self.lake,
            "read_up_to": self.read_up_to,
            "offsets": self.totals,
            "tables": self.tables,
            "rows": self.rows,
            "metrics": self.metrics,
            "samples": self.samples,
            "without_value": self.without_value,
            "unknown_tables": self.unknown_tables,
            "differences": self.findings.len(),
        });
        writeln!(out, "{summary}").map_err(Failure::output)
    }

    fn write_tables(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (mut offsets, mut tables, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
        for finding in &self.findings {
            match finding {
                Finding::Offsets {
                    table,
                    partition,
                    from,
                    to,
                    what,
                } => offsets.push(vec![
                    table.clone(),
                    partition.clone(),
                    format!("[{from}, {to})"),
                    what.clone(),
                ]),
                Finding::Cut { fold, plain } => metrics.push(vec![
                    "newest recorded time".to_owned(),
                    String::new(),
                    fold.clone(),
                    plain.clone(),
                ]),
                Finding::Table { table, difference } => tables.push(vec![
                    table.clone(),
                    difference.only_fold.to_string(),
                    difference.only_plain.to_string(),
                    difference.changed.to_string(),
                    difference.columns.join(", "),
                ]),
                Finding::Metric {
                    metric,
                    labels,
                    fold,
                    plain,
                } => {
                    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
                    let labels = labels.collect::<Vec<_>>().join(", ");
                    metrics.push(vec![metric.clone(), labels, fold.clone(), plain.clone()]);
                }
            }
        }
        write_table(out, "offsets", &["table", "partition", "offsets", "what"], &offsets)?;
        let heads = ["table", "only in the fold", "only by SQL", "rows that differ", "in"];
        write_table(out, "rows of tables", &heads, &tables)?;
        let heads = ["metric", "labels", "over the fold", "by SQL over history"];
        write_table(out, "metrics", &heads, &metrics)?;
        self.write_summary(out).map_err(Failure::output)
    }

    fn write_summary(&self, out: &mut impl Write) -> std::io::Result<()> {
        let totals = &self.totals;
        writeln!(out, "{}, read up to {}", self.lake, self.read_up_to)?;
        writeln!(
            out,
            "offsets  {} in {} commits of {} partitions: {} with rows, {} tombstones, {} dead letters ({} replayed, {} \
             expired), {} holes, {} of erased subjects",
            totals.offsets,
            totals.commits,
            totals.partitions,
            totals.with_rows,
            totals.tombstones,
            totals.dead_letters,
            totals.replayed,
            totals.expired,
            totals.holes,
            totals.erased,
        )?;
        if totals.accepted_gaps > 0 {
            let (gaps, given_up) = (totals.accepted_gaps, totals.given_up);
            writeln!(
                out,
                "         {given_up} of them lost in {gaps} accepted gaps (select * from lake.gaps)"
            )?;
        }
        if totals.gone_since > 0 {
            let gone = totals.gone_since;
            writeln!(
                out,
                "         {gone} without a row in tables from which subjects were erased since"
            )?;
        }
        writeln!(out, "tables   {} with {} rows", self.tables, self.rows)?;
        writeln!(out, "metrics  {} with {} equal samples", self.metrics, self.samples)?;
        for (reason, metrics) in &self.without_value {
            let names = metrics.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            writeln!(out, "         without a value, {reason}: {names}")?;
        }
        for table in &self.unknown_tables {
            writeln!(
                out,
                "note: table {table} is in the lake and in no schema; it was not looked at"
            )?;
        }
        match self.findings.len() {
            0 => writeln!(out, "no difference"),
            _ => Ok(()),
        }
    }
}

/// Nothing where there are no rows.
fn write_table(out: &mut impl Write, title: &str, heads: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let shown = &rows[..rows.len().min(SHOWN)];
    let columns = heads.iter().enumerate().map(|(at, head)| {
        let values = shown.iter().map(|row| Some(row[at].as_str()));
        (*head, Arc::new(values.collect::<StringArray>()) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns).map_err(Failure::failed)?;
    writeln!(out, "{title} that differ: {}", rows.len()).map_err(Failure::output)?;
    write_batches(&[batch], OutputFormat::Table, out)?;
    let more = rows.len() - shown.len();
    if more > 0 {
        writeln!(out, "and {more} more (--format json has all)").map_err(Failure::output)?;
    }
    writeln!(out).map_err(Failure::output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            lake: "lake".to_owned(),
            read_up_to: "2018-01-31".to_owned(),
            metrics: 1,
            findings: vec![
                Finding::Offsets {
                    table: "cases".to_owned(),
                    partition: "c/t/0/1".to_owned(),
                    from: 7,
                    to: 9,
                    what: "no commit accounts for them".to_owned(),
                },
                Finding::Metric {
                    metric: "casewatch_open".to_owned(),
                    labels: [("authority".to_owned(), "north".to_owned())].into(),
                    fold: "551".to_owned(),
                    plain: "550".to_owned(),
                },
            ],
            ..Report::default()
        }
    }

    fn text(report: &Report, format: ReportFormat) -> String {
        let mut out = Vec::new();
        report.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_get_a_table_of_each_kind_and_a_summary() {
        let text = text(&report(), ReportFormat::Table);
        let has = |parts: &[&str]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(
            has(&["offsets that differ: 1"]) && has(&["metrics that differ: 1"]),
            "{text}"
        );
        assert!(
            has(&["cases", "c/t/0/1", "[7, 9)", "no commit accounts for them"]),
            "{text}"
        );
        assert!(has(&["casewatch_open", "authority=north", "551", "550"]), "{text}");
        assert!(!has(&["rows of tables"]) && !has(&["no difference"]), "{text}");
        assert!(super::tests::text(&Report::default(), ReportFormat::Table).ends_with("no difference\n"));
    }

    #[test]
    fn programs_get_a_line_a_finding_and_the_summary_last() {
        let text = text(&report(), ReportFormat::Json);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["check"], &lines[0]["from"]), (&json!("offsets"), &json!(7)));
        assert_eq!(lines[1]["labels"], json!({"authority": "north"}));
        assert_eq!(
            (&lines[2]["check"], &lines[2]["differences"]),
            (&json!("summary"), &json!(2))
        );
    }
}
