//! What metrics are at moments, as a table for people, or as CSV, JSON lines or OpenMetrics for programs.
//!
//! All but OpenMetrics are written moment by moment. A metric without a value stands there as a row that says why.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use casewatch_metrics::{Evaluated, Kind, MetricDefinition, PublishedSet, Reading, SampleSet, TimedFamilies, Written};
use serde_json::{Map, Value, json};

use super::walk::Seen;
use crate::cli::{MetricsFormat, OutputFormat};
use crate::failure::Failure;
use crate::sql::write_batches;

/// Where what was seen goes.
pub struct Output<W: Write> {
    out: W,
    form: Form,
    /// Whether each row says that it rests on an assumption.
    tells_assumed: bool,
}

enum Form {
    Table,
    /// Names of the labels that any of the metrics has; each is a column.
    Csv {
        labels: Vec<String>,
        begun: bool,
    },
    Json,
    OpenMetrics(TimedFamilies),
}

/// One line of the output.
struct Row {
    metric: String,
    labels: Vec<(String, String)>,
    number: Option<f64>,
    /// What stands in the place of a number, and why.
    without: Option<(&'static str, String)>,
    /// What was done to a number.
    changed: Option<&'static str>,
    assumed: bool,
}

/// As DfE marks a number that is withheld, and why it is.
const SUPPRESSED: (&str, &str) = ("c", "confidential: it is 1 to 5, or would give such a number away");
const ROUNDED: &str = "rounded to 10";

impl<W: Write> Output<W> {
    /// # Errors
    /// Temporary files that cannot be made.
    pub fn new(
        format: MetricsFormat,
        out: W,
        definitions: impl Iterator<Item = Arc<MetricDefinition>>,
        tells_assumed: bool,
    ) -> Result<Self, Failure> {
        let form = match format {
            MetricsFormat::Table => Form::Table,
            MetricsFormat::Csv => Form::Csv {
                labels: label_columns(definitions),
                begun: false,
            },
            MetricsFormat::Json => Form::Json,
            MetricsFormat::Openmetrics => Form::OpenMetrics(TimedFamilies::new(definitions).map_err(no_room)?),
        };
        Ok(Self {
            out,
            form,
            tells_assumed,
        })
    }

    /// # Errors
    /// An output that cannot be written.
    pub fn write(&mut self, seen: &Seen) -> Result<(), Failure> {
        match &mut self.form {
            Form::OpenMetrics(families) => {
                let at_seconds = seen.as_of.at.0.0.div_euclid(1_000_000);
                return families
                    .push(at_seconds, &seen.as_of.text, &seen.metrics)
                    .map_err(no_room);
            }
            Form::Table => write_table(&mut self.out, seen, self.tells_assumed)?,
            Form::Json => write_json(&mut self.out, seen)?,
            Form::Csv { labels, begun } => {
                let header = !std::mem::replace(begun, true);
                write_csv(&mut self.out, seen, labels, header, self.tells_assumed)?;
            }
        }
        self.out.flush().map_err(Failure::output)
    }

    /// Writes what waited for the last moment. Says how much that was.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn finish(mut self) -> Result<Written, Failure> {
        match self.form {
            Form::OpenMetrics(families) => families.write(&mut self.out).map_err(Failure::output),
            Form::Table | Form::Csv { .. } | Form::Json => Ok(Written::default()),
        }
    }
}

fn no_room(error: std::io::Error) -> Failure {
    Failure::failed(format!(
        "a temporary file cannot be written: {error}\nhint: TMPDIR chooses the folder of temporary files"
    ))
}

fn rows(seen: &Seen) -> impl Iterator<Item = Row> {
    seen.metrics.iter().flat_map(rows_of)
}

fn rows_of(evaluated: &Evaluated) -> Vec<Row> {
    let without = |word, reason: &str| {
        vec![Row {
            metric: evaluated.definition.name.name.clone(),
            labels: Vec::new(),
            number: None,
            without: Some((word, reason.to_owned())),
            changed: None,
            assumed: evaluated.assumed,
        }]
    };
    match &evaluated.reading {
        Reading::Samples(set) => rows_of_set(set, evaluated.assumed).collect(),
        Reading::Published(published) => published_rows(published, evaluated),
        Reading::Withheld(reason) => without("withheld", reason),
        Reading::NoSeries => without("none", "it has no series then"),
        Reading::Unknown(reason) => without("unknown", reason),
        Reading::Failed(error) => without("failed", error),
    }
}

fn rows_of_set(set: &SampleSet, assumed: bool) -> impl Iterator<Item = Row> {
    set.points().into_iter().map(move |point| Row {
        metric: point.name,
        labels: point.labels,
        number: Some(point.value),
        without: None,
        changed: None,
        assumed,
    })
}

/// What is shown and what is not, in order of labels.
fn published_rows(published: &PublishedSet, evaluated: &Evaluated) -> Vec<Row> {
    let shown = rows_of_set(&published.shown, evaluated.assumed).zip(&published.rounded);
    let shown = shown.map(|(row, rounded)| Row {
        changed: rounded.then_some(ROUNDED),
        ..row
    });
    let names = || evaluated.definition.label_names().map(str::to_owned);
    let withheld = published.withheld.iter().map(|labels| Row {
        metric: evaluated.definition.name.name.clone(),
        labels: names().zip(labels.iter().cloned()).collect(),
        number: None,
        without: Some((SUPPRESSED.0, SUPPRESSED.1.to_owned())),
        changed: None,
        assumed: evaluated.assumed,
    });
    let mut rows: Vec<Row> = shown.chain(withheld).collect();
    rows.sort_by_cached_key(|row| row.labels.clone());
    rows
}

impl Row {
    fn value(&self) -> String {
        match (&self.without, self.number) {
            (Some((word, _)), _) => (*word).to_owned(),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        }
    }

    fn reason(&self) -> &str {
        let reason = self.without.as_ref().map(|(_, reason)| reason.as_str());
        reason.or(self.changed).unwrap_or_default()
    }

    fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

fn write_table(out: &mut impl Write, seen: &Seen, tells_assumed: bool) -> Result<(), Failure> {
    let rows: Vec<Row> = rows(seen).collect();
    let column = |of: &dyn Fn(&Row) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let labels = |row: &Row| {
        let pairs = row.labels.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let mut columns = vec![
        ("metric", column(&|row| row.metric.clone())),
        ("labels", column(&labels)),
        ("value", column(&Row::value)),
    ];
    if rows.iter().any(|row| !row.reason().is_empty()) {
        columns.push(("reason", column(&|row| row.reason().to_owned())));
    }
    if tells_assumed {
        columns.push(("assumed_known", column(&|row| row.assumed.to_string())));
    }
    let batch = RecordBatch::try_from_iter(columns).map_err(Failure::failed)?;
    writeln!(out, "as of {}, known at {}", seen.as_of.text, seen.known_at.text).map_err(Failure::output)?;
    write_batches(&[batch], OutputFormat::Table, out)
}

fn write_json(out: &mut impl Write, seen: &Seen) -> Result<(), Failure> {
    for row in rows(seen) {
        let labels: Map<String, Value> = row
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let mut line = json!({
            "as_of": seen.as_of.text,
            "known_at": seen.known_at.text,
            "metric": row.metric,
            "labels": labels,
            "value": row.number,
        });
        if let Some((word, reason)) = &row.without {
            line["reason"] = Value::from(format!("{word}: {reason}"));
        } else if let Some(changed) = row.changed {
            line["reason"] = Value::from(changed);
        }
        if row.assumed {
            line["assumed_known"] = Value::from(true);
        }
        writeln!(out, "{line}").map_err(Failure::output)?;
    }
    Ok(())
}

const OWN_COLUMNS: [&str; 6] = ["as_of", "known_at", "metric", "value", "reason", "assumed_known"];

/// Every label of any of the metrics, and the bounds of buckets.
fn label_columns(definitions: impl Iterator<Item = Arc<MetricDefinition>>) -> Vec<String> {
    let mut labels = BTreeSet::new();
    let mut has_buckets = false;
    for definition in definitions {
        labels.extend(definition.label_names().map(str::to_owned));
        has_buckets |= definition.kind == Kind::Histogram;
    }
    let bound = has_buckets.then(|| "le".to_owned());
    labels.into_iter().chain(bound).collect()
}

fn write_csv(
    out: &mut impl Write,
    seen: &Seen,
    labels: &[String],
    header: bool,
    tells_assumed: bool,
) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    let [as_of, known_at, metric, value, reason, assumed_known] = OWN_COLUMNS;
    if header {
        // A label may be called as a column of ours is.
        let label_name = |label: &String| match OWN_COLUMNS.contains(&label.as_str()) {
            true => format!("label_{label}"),
            false => label.clone(),
        };
        let mut record: Vec<String> = [as_of, known_at, metric].map(str::to_owned).to_vec();
        record.extend(labels.iter().map(label_name));
        record.extend([value, reason].map(str::to_owned));
        record.extend(tells_assumed.then(|| assumed_known.to_owned()));
        writer.write_record(&record).map_err(Failure::failed)?;
    }
    for row in rows(seen) {
        let number = row.value();
        let mut record = vec![
            seen.as_of.text.as_str(),
            seen.known_at.text.as_str(),
            row.metric.as_str(),
        ];
        record.extend(labels.iter().map(|label| row.label(label)));
        record.extend([number.as_str(), row.reason()]);
        let assumed = if row.assumed { "true" } else { "false" };
        record.extend(tells_assumed.then_some(assumed));
        writer.write_record(&record).map_err(Failure::failed)?;
    }
    writer.flush().map_err(Failure::output)
}

#[cfg(test)]
mod tests {
    use casewatch_contract::RecordedAt;
    use casewatch_metrics::{Sample, SourceFile, Value};

    use super::super::moments::Moment;
    use super::*;

    const OPEN: &str = "-- name: casewatch_cases_open
-- kind: gauge
-- help: Open cases.
-- unit: cases
-- labels: authority, metric
-- value: cases
-- needs: cases
-- source: DOMAIN
-- owner: performance team
select authority, metric, cases from cases_open
";

    fn definition(name: &str) -> Arc<MetricDefinition> {
        let text = OPEN.replace("casewatch_cases_open", name);
        let mut faults = Vec::new();
        let parsed = MetricDefinition::parse(SourceFile::new("m.sql", text), &mut faults);
        Arc::new(parsed.unwrap_or_else(|| panic!("{faults:?}")))
    }

    fn seen() -> Seen {
        let definition_of = definition("casewatch_cases_open");
        let sample = |authority: &str, value| Sample {
            labels: vec![authority.to_owned(), "a,b".to_owned()],
            value: Value::Number(value),
        };
        let set = SampleSet {
            definition: Arc::clone(&definition_of),
            as_of: RecordedAt(0),
            samples: vec![sample("north", 551.0), sample("south", 0.5)],
            behind: Vec::new(),
        };
        let evaluated = |definition, reading, assumed| Evaluated {
            definition,
            reading,
            assumed,
        };
        Seen {
            as_of: Moment::parse("--as-of", "2018-01-31").unwrap(),
            known_at: Moment::parse("--known-at", "2018-10-17").unwrap(),
            metrics: vec![
                evaluated(definition_of, Reading::Samples(Arc::new(set)), true),
                evaluated(
                    definition("casewatch_referrals"),
                    Reading::Unknown("table referrals is not known before 2019".to_owned()),
                    false,
                ),
            ],
        }
    }

    fn text(format: MetricsFormat, tells_assumed: bool) -> String {
        text_of(seen(), format, tells_assumed)
    }

    fn text_of(seen: Seen, format: MetricsFormat, tells_assumed: bool) -> String {
        let definitions: Vec<_> = seen.metrics.iter().map(|metric| metric.definition.clone()).collect();
        let mut out = Vec::new();
        let mut output = Output::new(format, &mut out, definitions.into_iter(), tells_assumed).unwrap();
        output.write(&seen).unwrap();
        output.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_a_column_a_label_and_says_why_there_is_no_number() {
        assert_eq!(
            text(MetricsFormat::Csv, true),
            "as_of,known_at,metric,authority,label_metric,value,reason,assumed_known\n\
             2018-01-31,2018-10-17,casewatch_cases_open,north,\"a,b\",551,,true\n\
             2018-01-31,2018-10-17,casewatch_cases_open,south,\"a,b\",0.5,,true\n\
             2018-01-31,2018-10-17,casewatch_referrals,,,unknown,table referrals is not known before 2019,false\n"
        );
    }

    #[test]
    fn json_tells_null_from_zero() {
        let text = text(MetricsFormat::Json, false);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["value"].as_f64(), Some(551.0));
        assert_eq!(lines[0]["labels"]["authority"], "north");
        assert_eq!(lines[0]["assumed_known"], true);
        assert!(lines[2]["value"].is_null() && lines[2].get("assumed_known").is_none());
        assert_eq!(lines[2]["reason"], "unknown: table referrals is not known before 2019");
    }

    #[test]
    fn the_table_has_a_heading_a_moment() {
        let text = text(MetricsFormat::Table, false);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("as of 2018-01-31, known at 2018-10-17"));
        let has = |parts: &[&str]| text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(
            has(&["casewatch_cases_open", "authority=north, metric=a,b", "551"]),
            "{text}"
        );
        assert!(
            has(&[
                "casewatch_referrals",
                "unknown",
                "table referrals is not known before 2019"
            ]),
            "{text}"
        );
        assert!(!has(&["assumed_known"]), "{text}");
    }

    /// Two numbers shown, one of them rounded, one withheld between them, and a metric that is not for publication.
    fn published() -> Seen {
        let mut seen = seen();
        let Reading::Samples(set) = &seen.metrics[0].reading else {
            panic!("samples")
        };
        seen.metrics[0].reading = Reading::Published(PublishedSet {
            shown: Arc::clone(set),
            rounded: vec![false, true],
            withheld: vec![vec!["p".to_owned(), "x".to_owned()]],
        });
        seen.metrics[1].reading = Reading::Withheld("its header does not say how it is published".to_owned());
        seen
    }

    #[test]
    fn what_is_withheld_and_what_is_rounded_is_marked_in_every_format() {
        let csv = text_of(published(), MetricsFormat::Csv, false);
        let reason = "\"confidential: it is 1 to 5, or would give such a number away\"";
        assert_eq!(
            csv.lines().skip(1).collect::<Vec<_>>(),
            [
                "2018-01-31,2018-10-17,casewatch_cases_open,north,\"a,b\",551,".to_owned(),
                format!("2018-01-31,2018-10-17,casewatch_cases_open,p,x,c,{reason}"),
                "2018-01-31,2018-10-17,casewatch_cases_open,south,\"a,b\",0.5,rounded to 10".to_owned(),
                "2018-01-31,2018-10-17,casewatch_referrals,,,withheld,its header does not say how it is published"
                    .to_owned(),
            ]
        );
        let json = text_of(published(), MetricsFormat::Json, false);
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines[1]["value"].is_null() && lines[1]["reason"].as_str().unwrap().starts_with("c: confidential"));
        assert_eq!(lines[2]["reason"], "rounded to 10");
        let table = text_of(published(), MetricsFormat::Table, false);
        let has = |parts: &[&str]| table.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(has(&["authority=p, metric=x", "| c ", "confidential"]), "{table}");
        assert!(has(&["authority=south", "0.5", "rounded to 10"]), "{table}");
        let openmetrics = text_of(published(), MetricsFormat::Openmetrics, false);
        assert!(openmetrics.contains("Left out at 2018-01-31: series that would give small numbers away."));
        assert!(!openmetrics.contains("authority=\"p\""), "{openmetrics}");
    }

    #[test]
    fn openmetrics_has_the_seconds_of_the_moment() {
        let text = text(MetricsFormat::Openmetrics, true);
        let line = "casewatch_cases_open{authority=\"north\",metric=\"a,b\"} 551.0 1517443199";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(
            text.contains("Left out at 2018-01-31: unknown, table referrals is not known before 2019."),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
