//! `casewatch explain`: what a metric is made of, what it is now, how fresh that is, and the rows behind it.

mod now;
mod text;

use std::collections::BTreeMap;

use casewatch_metrics::{ReadyQuery, explain};

use crate::cli::{ExplainArgs, ReportFormat};
use crate::failure::Failure;
use crate::past::chosen;
use now::Now;
use text::text;

/// Explains a metric.
///
/// # Errors
/// A metric or label that does not exist; schemas, queries or a lake that cannot be read.
pub async fn run(args: ExplainArgs) -> Result<(), Failure> {
    let checked = crate::queries::load(&args.folders).await?;
    let checked = checked.map_err(Failure::usage)?;
    let ready = chosen(&checked, std::slice::from_ref(&args.metric))?.remove(0);
    let labels = labels(&args.labels, &ready)?;
    let explanation = explain(&checked, &ready, &labels).await.map_err(Failure::failed)?;
    let now = match &args.lake {
        Some(lake) => Now::over_lake(lake, &args, &labels).await?,
        None => Now::of_instance(&args.url, &explanation, &labels).await,
    };
    let place = match (&args.lake, &args.as_of) {
        (Some(lake), Some(as_of)) => format!("--lake {lake} --as-of {as_of}"),
        (Some(lake), None) => format!("--lake {lake}"),
        (None, _) => format!("--url {}", args.url),
    };
    match args.format {
        ReportFormat::Json => {
            let mut all = serde_json::to_value(&explanation).map_err(Failure::failed)?;
            all["now"] = serde_json::to_value(&now).map_err(Failure::failed)?;
            println!("{all}");
        }
        ReportFormat::Table => print!("{}", text(&explanation, &now, &place)),
    }
    Ok(())
}

/// `label=value`, of labels that the metric has.
fn labels(given: &[String], ready: &ReadyQuery) -> Result<BTreeMap<String, String>, Failure> {
    let known: Vec<&str> = ready.query.definition.label_names().collect();
    let mut labels = BTreeMap::new();
    for text in given {
        let Some((label, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!(
                "`{text}` is no label\nhint: write label=value, such as {}=...",
                known.first().unwrap_or(&"authority")
            )));
        };
        if !known.contains(&label) {
            return Err(Failure::usage(format!(
                "{} has no label \"{label}\"\nhint: it has {}",
                ready.query.name(),
                known.join(", ")
            )));
        }
        labels.insert(label.to_owned(), value.to_owned());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use casewatch_metrics::{Explanation, Input, RowsBehind, TableUse};

    /// Of a metric `n` by authority and team.
    pub(super) fn explanation() -> Explanation {
        let input = |name: &str, reads: Vec<Input>, told_above| Input {
            name: name.to_owned(),
            row: format!("a row of {name}"),
            why: String::new(),
            reads,
            told_above,
        };
        Explanation {
            metric: "casewatch_open".to_owned(),
            kind: "gauge".to_owned(),
            help: "Open.".to_owned(),
            unit: "cases".to_owned(),
            labels: vec!["authority".to_owned(), "team".to_owned()],
            value: "n".to_owned(),
            source: "DOMAIN".to_owned(),
            owner: "performance team".to_owned(),
            file: "queries/metrics/open.sql".to_owned(),
            max_series: 10,
            stale_after_s: 300,
            sql: "select 1".to_owned(),
            reads: vec![
                input("counts", vec![input("rows", Vec::new(), false)], false),
                input("rows", Vec::new(), true),
            ],
            tables: vec![TableUse {
                table: "things".to_owned(),
                needed: true,
            }],
            parameters: [("grace".to_owned(), 2.0)].into(),
            thresholds: Vec::new(),
            rows: vec![RowsBehind {
                view: "rows".to_owned(),
                row: "a row of rows".to_owned(),
                statement: "select * from rows where authority = 'north'".to_owned(),
                not_filtered: vec!["team".to_owned()],
            }],
        }
    }
}
