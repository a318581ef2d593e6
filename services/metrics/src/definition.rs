//! Metric and view files, typed: what their headers say, checked as far as the text alone allows. What needs a plan
//! (columns, types, lineage) is in `check`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use casewatch_query::forbidden_functions;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::header::{Entry, Header};

/// Every metric of the catalogue starts so: one search finds them all in Prometheus.
pub const METRIC_PREFIX: &str = "casewatch_";
/// Units that are measured rather than counted. A name ends in its measured unit, as Prometheus asks.
pub const MEASURED_UNITS: [&str; 5] = ["seconds", "bytes", "ratio", "workdays", "calendardays"];
pub const DEFAULT_MAX_SERIES: usize = 1000;
pub const DEFAULT_STALE_AFTER: Duration = Duration::from_secs(300);
/// Two runs: a query that misses one has not gone stale.
pub const MINIMUM_STALE_AFTER: Duration = Duration::from_secs(120);

const METRIC_KEYS: [&str; 13] = [
    "name",
    "kind",
    "help",
    "unit",
    "labels",
    "value",
    "needs",
    "source",
    "owner",
    "max_series",
    "stale_after",
    "buckets",
    "publish",
];
const METRIC_REQUIRED: [&str; 9] = [
    "name", "kind", "help", "unit", "labels", "value", "needs", "source", "owner",
];
const VIEW_KEYS: [&str; 4] = ["name", "row", "why", "asked_by"];
const VIEW_REQUIRED: [&str; 3] = ["name", "row", "why"];
const RESERVED_LABELS: [&str; 4] = ["le", "quantile", "job", "instance"];

/// What a metric's series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        })
    }
}

/// A name in a header and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub span: Span,
}

/// One file of `queries/metrics/`.
#[derive(Debug, Clone)]
pub struct MetricDefinition {
    pub file: SourceFile,
    /// Where the SQL begins.
    pub body_line: usize,
    pub name: Named,
    pub kind: Kind,
    pub help: String,
    pub unit: String,
    pub labels: Vec<Named>,
    pub value: Named,
    /// Live tables without which the metric is absent.
    pub needs: Vec<Named>,
    pub source: String,
    pub owner: String,
    pub max_series: usize,
    pub stale_after: Duration,
    /// Upper bounds, ascending; of histograms only.
    pub buckets: Vec<f64>,
    /// Tells this definition from any other: sixteen hexadecimal digits over the metric's file, the views below it and
    /// the parameters they name. Empty until the catalogue is checked, when the views are known.
    pub hash: String,
    pub publication: Publication,
}

/// What of a metric may leave the building, and in which way its small numbers would give somebody away. A column named
/// here is one of the result beside labels and value, which no sample shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// Nothing, for the reason that the header gives; none where it says nothing of publication.
    Withheld(Option<String>),
    /// As it is: no person stands behind it.
    Open,
    /// Whole numbers that add up, over levels and over the labels that part them.
    Count,
    /// Whole numbers that do not add up, because one thing may count in several places.
    Distinct,
    /// The share of `part` in `base`.
    Share { part: Named, base: Named },
    /// A mean, a percentile, a maximum or a sum over `base`.
    Over { base: Named },
}

impl Publication {
    /// The columns that it judges by.
    pub fn columns(&self) -> impl Iterator<Item = &Named> {
        let columns = match self {
            Self::Withheld(_) | Self::Open | Self::Count | Self::Distinct => [None, None],
            Self::Share { part, base } => [Some(part), Some(base)],
            Self::Over { base } => [None, Some(base)],
        };
        columns.into_iter().flatten()
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Withheld(None) => f.write_str("withheld"),
            Self::Withheld(Some(reason)) => write!(f, "withheld: {reason}"),
            Self::Open => f.write_str("open"),
            Self::Count => f.write_str("count"),
            Self::Distinct => f.write_str("distinct"),
            Self::Share { part, base } => write!(f, "share of {} in {}", part.name, base.name),
            Self::Over { base } => write!(f, "over {}", base.name),
        }
    }
}

/// Which schema the rows of a view file are found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ViewSchema {
    /// Unqualified: `queries/views/`.
    Views,
    /// `quality.<name>`: `queries/quality/`.
    Quality,
}

/// One file of `queries/views/` or `queries/quality/`.
#[derive(Debug, Clone)]
pub struct ViewDefinition {
    pub file: SourceFile,
    pub body_line: usize,
    pub schema: ViewSchema,
    pub name: Named,
    /// What one row is.
    pub row: String,
    pub why: String,
    /// Who asks it by SQL of their own, where no metric and no report reads it.
    pub asked_by: Option<String>,
}

impl ViewDefinition {
    /// The name that SQL uses.
    pub fn qualified_name(&self) -> String {
        match self.schema {
            ViewSchema::Views => self.name.name.clone(),
            ViewSchema::Quality => format!("quality.{}", self.name.name),
        }
    }

    pub fn parse(file: SourceFile, schema: ViewSchema, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = faults.len();
        let header = Header::parse(&file, &VIEW_KEYS, &VIEW_REQUIRED, faults);
        let mut fields = Fields {
            file: &file,
            header: &header,
            faults,
        };
        let name = fields.name("name");
        if let Some(name) = &name
            && !is_identifier(&name.name)
        {
            fields.refuse(
                name.span,
                format!("\"{}\" is no view name", name.name),
                "lower-case letters, digits and _",
            );
        }
        let (row, why, asked_by) = (fields.text("row"), fields.text("why"), fields.text("asked_by"));
        fields.refuse_forbidden_functions();
        if faults.len() > before {
            return None;
        }
        Some(Self {
            body_line: header.body_line,
            schema,
            name: name?,
            row: row?,
            why: why?,
            asked_by,
            file,
        })
    }
}

impl MetricDefinition {
    /// The whole file: comments are SQL too, so positions in error messages are positions in the file.
    pub fn sql(&self) -> &str {
        &self.file.text
    }

    pub fn label_names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| label.name.as_str())
    }

    pub fn parse(file: SourceFile, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = faults.len();
        let header = Header::parse(&file, &METRIC_KEYS, &METRIC_REQUIRED, faults);
        let mut fields = Fields {
            file: &file,
            header: &header,
            faults,
        };
        let name = fields.name("name");
        let kind = fields.kind();
        let unit = fields.text("unit");
        if let (Some(name), Some(kind), Some(unit)) = (&name, kind, &unit) {
            fields.check_name(name, kind, unit);
        }
        let labels = fields.list("labels");
        let value = fields.name("value");
        fields.check_labels(&labels, value.as_ref());
        let publication = fields.publication(kind);
        let buckets = fields.buckets(kind);
        let (help, source, owner) = (fields.text("help"), fields.text("source"), fields.text("owner"));
        let needs = fields.list("needs");
        let max_series = fields.max_series();
        let stale_after = fields.stale_after();
        fields.refuse_forbidden_functions();
        if faults.len() > before {
            return None;
        }
        Some(Self {
            body_line: header.body_line,
            name: name?,
            kind: kind?,
            help: help?,
            unit: unit?,
            labels,
            value: value?,
            needs,
            source: source?,
            owner: owner?,
            max_series,
            stale_after,
            buckets,
            hash: String::new(),
            publication,
            file,
        })
    }
}

/// Reads typed values out of a header; every fault goes to one list, so that a file's faults are told at once.
struct Fields<'a> {
    file: &'a SourceFile,
    header: &'a Header,
    faults: &'a mut Vec<Diagnostic>,
}

impl Fields<'_> {
    fn refuse(&mut self, span: Span, message: String, expected: &str) {
        self.faults.push(self.file.fault(span, message).expected(expected));
    }

    fn refuse_with_hint(&mut self, span: Span, message: String, expected: &str, hint: &str) {
        self.faults
            .push(self.file.fault(span, message).expected(expected).hint(hint));
    }

    /// A value that may not be empty.
    fn entry(&mut self, key: &str) -> Option<Entry> {
        let entry = self.header.get(key)?.clone();
        if entry.value.is_empty() {
            self.refuse(entry.key_span, format!("\"{key}\" is empty"), "a value after the colon");
            return None;
        }
        Some(entry)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.entry(key).map(|entry| entry.value)
    }

    fn name(&mut self, key: &str) -> Option<Named> {
        self.entry(key).map(|entry| Named {
            name: entry.value,
            span: entry.value_span,
        })
    }

    fn kind(&mut self) -> Option<Kind> {
        let entry = self.entry("kind")?;
        match entry.value.as_str() {
            "gauge" => Some(Kind::Gauge),
            "counter" => Some(Kind::Counter),
            "histogram" => Some(Kind::Histogram),
            other => {
                let fault = self.file.fault(entry.value_span, format!("unknown kind \"{other}\""));
                let fault = fault.expected("gauge, counter or histogram");
                self.faults
                    .push(fault.suggest(other, ["gauge", "counter", "histogram"]));
                None
            }
        }
    }

    /// A comma-separated list, possibly empty, each item with its own place.
    fn list(&mut self, key: &str) -> Vec<Named> {
        let Some(entry) = self.header.get(key).cloned() else {
            return Vec::new();
        };
        let mut items = Vec::new();
        let mut column = entry.value_span.column;
        for part in entry.value.split(',') {
            let leading = part.chars().take_while(|c| c.is_whitespace()).count();
            let item = part.trim();
            let span = Span {
                line: entry.value_span.line,
                column: column + leading,
                width: item.chars().count().max(1),
            };
            column += part.chars().count() + 1;
            if item.is_empty() {
                if !entry.value.is_empty() {
                    self.refuse(
                        span,
                        format!("an empty item in \"{key}\""),
                        "names separated by single commas",
                    );
                }
                continue;
            }
            if items.iter().any(|seen: &Named| seen.name == item) {
                self.refuse(span, format!("\"{item}\" stands twice in \"{key}\""), "each name once");
                continue;
            }
            items.push(Named {
                name: item.to_owned(),
                span,
            });
        }
        items
    }

    /// Prometheus' rules for names, and those of `promtool check metrics`.
    fn check_name(&mut self, name: &Named, kind: Kind, unit: &str) {
        let Named { name: text, span } = name;
        let span = *span;
        if !text.starts_with(METRIC_PREFIX) {
            let hint = format!("write {METRIC_PREFIX}{text}");
            self.refuse_with_hint(
                span,
                format!("\"{text}\" lacks the prefix"),
                "a name that starts casewatch_",
                &hint,
            );
        }
        if !is_identifier(text) || text.contains("__") || text.ends_with('_') {
            let expected = "lower-case letters, digits and single underscores";
            self.refuse(span, format!("\"{text}\" is no metric name"), expected);
        }
        let base = match kind {
            Kind::Counter => match text.strip_suffix("_total") {
                Some(base) => base,
                None => return self.refuse(span, format!("\"{text}\" is a counter"), "a name that ends in _total"),
            },
            Kind::Gauge | Kind::Histogram if text.ends_with("_total") => {
                let expected = "no _total at the end: that marks a counter";
                return self.refuse(span, format!("\"{text}\" is a {kind}"), expected);
            }
            Kind::Gauge | Kind::Histogram => text,
        };
        for reserved in ["_count", "_sum", "_bucket", "_created", "_info"] {
            if base.ends_with(reserved) {
                self.refuse(span, format!("\"{reserved}\" at the end is reserved"), "another ending");
            }
        }
        for part in base.split('_') {
            if let Some(expected) = refused_part(part) {
                self.refuse(span, format!("\"{part}\" in a metric name"), expected);
            }
        }
        self.check_unit(span, base, unit);
    }

    fn check_unit(&mut self, name_span: Span, base: &str, unit: &str) {
        let unit_span = self.header.get("unit").map_or(name_span, |entry| entry.value_span);
        let better = match unit {
            "percent" | "percentage" | "%" => Some("ratio"),
            "days" => Some("calendardays"),
            "working_days" | "working days" => Some("workdays"),
            "minutes" | "hours" | "weeks" | "milliseconds" => Some("seconds"),
            "kilobytes" | "megabytes" => Some("bytes"),
            _ => None,
        };
        if let Some(better) = better {
            let expected = format!("\"{better}\", with a name that ends in _{better}");
            return self.refuse(unit_span, format!("unit \"{unit}\""), &expected);
        }
        if !is_identifier(unit) {
            return self.refuse(unit_span, format!("\"{unit}\" is no unit"), "one lower-case word");
        }
        if MEASURED_UNITS.contains(&unit) && !base.ends_with(&format!("_{unit}")) {
            self.refuse(
                name_span,
                format!("the unit is {unit}"),
                &format!("a name that ends in _{unit}"),
            );
        }
    }

    fn check_labels(&mut self, labels: &[Named], value: Option<&Named>) {
        for label in labels {
            if !is_identifier(&label.name) || label.name.starts_with("__") {
                let expected = "lower-case letters, digits and _, not starting with __";
                self.refuse(label.span, format!("\"{}\" is no label name", label.name), expected);
            } else if RESERVED_LABELS.contains(&label.name.as_str()) {
                let expected = "a name that Prometheus does not use itself";
                self.refuse(label.span, format!("label \"{}\" is reserved", label.name), expected);
            }
            if value.is_some_and(|value| value.name == label.name) {
                self.refuse(
                    label.span,
                    format!("\"{}\" is the value column too", label.name),
                    "a label or the value",
                );
            }
        }
    }

    fn buckets(&mut self, kind: Option<Kind>) -> Vec<f64> {
        let items = self.list("buckets");
        let span = self.header.get("buckets").map_or(Span::START, |entry| entry.value_span);
        match kind {
            Some(Kind::Histogram) if items.is_empty() => {
                let span = self.header.get("kind").map_or(Span::START, |entry| entry.value_span);
                self.refuse(
                    span,
                    "a histogram without buckets".to_owned(),
                    "a line \"-- buckets: 1, 5, 10\"",
                );
            }
            Some(Kind::Gauge | Kind::Counter) if !items.is_empty() => {
                self.refuse(
                    span,
                    "buckets on something that is no histogram".to_owned(),
                    "no buckets",
                );
            }
            _ => {}
        }
        let mut bounds: Vec<f64> = Vec::new();
        for item in items {
            match item.name.parse::<f64>() {
                Ok(bound) if bound.is_finite() && bounds.last().is_none_or(|last| *last < bound) => bounds.push(bound),
                _ => self.refuse(
                    item.span,
                    format!("bucket \"{}\"", item.name),
                    "finite numbers, ascending",
                ),
            }
        }
        bounds
    }

    /// `open`, `count`, `distinct`, `share of PART in BASE`, `over BASE` or `withheld REASON`.
    fn publication(&mut self, kind: Option<Kind>) -> Publication {
        let Some(entry) = self.entry("publish") else {
            return Publication::Withheld(None);
        };
        let named = |word: &str| Named {
            name: word.to_owned(),
            span: self
                .file
                .find_word(word, entry.value_span.line)
                .unwrap_or(entry.value_span),
        };
        let words: Vec<&str> = entry.value.split_whitespace().collect();
        let publication = match words.as_slice() {
            ["open"] => Publication::Open,
            ["count"] => Publication::Count,
            ["distinct"] => Publication::Distinct,
            ["share", "of", part, "in", base] => Publication::Share {
                part: named(part),
                base: named(base),
            },
            ["over", base] => Publication::Over { base: named(base) },
            ["withheld", reason @ ..] if !reason.is_empty() => Publication::Withheld(Some(reason.join(" "))),
            _ => {
                let expected = "open, count, distinct, \"share of PART in BASE\", \"over BASE\" or \"withheld REASON\"";
                self.refuse(entry.value_span, format!("publish \"{}\"", entry.value), expected);
                return Publication::Withheld(None);
            }
        };
        if kind == Some(Kind::Histogram) && !matches!(publication, Publication::Withheld(_)) {
            self.refuse(
                entry.value_span,
                "publish of a histogram".to_owned(),
                "a metric with one number a series",
            );
        }
        publication
    }

    fn max_series(&mut self) -> usize {
        let Some(entry) = self.entry("max_series") else {
            return DEFAULT_MAX_SERIES;
        };
        match entry.value.parse() {
            Ok(series) if series > 0 => series,
            _ => {
                self.refuse(
                    entry.value_span,
                    format!("max_series \"{}\"", entry.value),
                    "a whole number above 0",
                );
                DEFAULT_MAX_SERIES
            }
        }
    }

    fn stale_after(&mut self) -> Duration {
        let Some(entry) = self.entry("stale_after") else {
            return DEFAULT_STALE_AFTER;
        };
        match parse_duration(&entry.value) {
            Some(duration) if duration >= MINIMUM_STALE_AFTER => duration,
            found => {
                let expected = if found.is_some() {
                    "2m or more: queries run each minute"
                } else {
                    "5m, 26h or 2d"
                };
                self.refuse(entry.value_span, format!("stale_after \"{}\"", entry.value), expected);
                DEFAULT_STALE_AFTER
            }
        }
    }

    /// A number is a function of (as of, known at): SQL that reads a clock or a die is refused, with its place.
    fn refuse_forbidden_functions(&mut self) {
        // Text that does not even parse is told by the planner, with its place.
        for found in forbidden_functions(&self.file.text).unwrap_or_default() {
            let span = Span {
                line: usize::try_from(found.line).unwrap_or(1),
                column: usize::try_from(found.column).unwrap_or(1),
                width: found.function.chars().count(),
            };
            let message = format!("\"{}\" is not a function of (as of, known at)", found.function);
            let instead = match found.function.as_str() {
                "current_date" | "today" => "as_of_date()",
                "random" | "rand" | "uuid" | "gen_random_uuid" => "nothing random: the same rows, the same number",
                _ => "as_of()",
            };
            self.refuse(span, message, instead);
        }
    }
}

/// Parts of a name that `promtool check metrics` refuses, and what it wants.
fn refused_part(part: &str) -> Option<&'static str> {
    match part {
        "gauge" | "counter" | "histogram" | "summary" => Some("a name without its kind: the header says it"),
        "days" => Some("workdays or calendardays: promtool reads days as a unit other than seconds"),
        "minutes" | "hours" | "weeks" => Some("seconds, the base unit"),
        "s" | "ms" | "us" | "ns" | "sec" | "b" | "kb" | "mb" | "gb" | "tb" | "pb" | "m" | "h" | "d" => {
            Some("the unit spelt out")
        }
        _ => None,
    }
}

/// Lower-case letters, digits and underscores, not starting with a digit.
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `90s`, `5m`, `26h`, `2d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].trim_end().parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Names that stand more than once in the set: one name, one definition.
pub fn refuse_repeated_names<'a>(
    named: impl IntoIterator<Item = (&'a SourceFile, &'a Named, String)>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut first: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for (file, name, full_name) in named {
        if let Some(other) = first.get(&full_name) {
            let fault = file.fault(name.span, format!("\"{full_name}\" is defined twice"));
            faults.push(fault.hint(format!("the other definition is in {other}")));
        } else {
            first.insert(full_name, Arc::clone(&file.path));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const OPEN_CASES: &str = "\
-- name: casewatch_cases_open
-- kind: gauge
-- help: Open cases in each allocation state.
-- unit: cases
-- labels: authority, state
-- value: cases
-- needs: cases, allocations
-- source: DOMAIN, allocation states
-- owner: performance team
-- max_series: 2000
-- stale_after: 5m
select authority, state, count(*) as cases from allocation_state group by authority, state
";

    pub(crate) fn parse(text: &str) -> Result<MetricDefinition, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        MetricDefinition::parse(SourceFile::new("m.sql", text), &mut faults).ok_or(faults)
    }

    fn refused(from: &str, to: &str) -> Diagnostic {
        let text = OPEN_CASES.replace(from, to);
        assert_ne!(text, OPEN_CASES, "the test must change the file");
        parse(&text).expect_err("the file must be refused").remove(0)
    }

    #[test]
    fn the_header_of_the_design_is_read_into_its_type() {
        let metric = parse(OPEN_CASES).unwrap();
        assert_eq!(metric.name.name, "casewatch_cases_open");
        assert_eq!(metric.kind, Kind::Gauge);
        assert_eq!(metric.label_names().collect::<Vec<_>>(), ["authority", "state"]);
        assert_eq!(
            metric.labels[1].span,
            Span {
                line: 5,
                column: 23,
                width: 5
            }
        );
        assert_eq!(metric.value.name, "cases");
        assert_eq!(metric.needs.len(), 2);
        assert_eq!(
            (metric.max_series, metric.stale_after),
            (2000, Duration::from_secs(300))
        );
        assert_eq!(metric.body_line, 12);
    }

    #[test]
    fn a_metric_without_labels_is_fine() {
        assert!(
            parse(&OPEN_CASES.replace("labels: authority, state", "labels:"))
                .unwrap()
                .labels
                .is_empty()
        );
    }

    #[test]
    fn names_follow_prometheus() {
        assert_eq!(
            refused("name: casewatch_cases", "name: cases").hint.as_deref(),
            Some("write casewatch_cases_open")
        );
        assert_eq!(
            refused("cases_open\n", "Cases\n").message,
            "\"casewatch_Cases\" is no metric name"
        );
        assert_eq!(
            refused("cases_open\n", "cases_total\n").message,
            "\"casewatch_cases_total\" is a gauge"
        );
        assert_eq!(
            refused("cases_open\n", "cases_count\n").message,
            "\"_count\" at the end is reserved"
        );
        assert_eq!(
            refused("cases_open\n", "wait_days\n").message,
            "\"days\" in a metric name"
        );
        assert_eq!(
            refused("kind: gauge", "kind: counter").expected.as_deref(),
            Some("a name that ends in _total")
        );
        assert_eq!(
            refused("kind: gauge", "kind: guage").hint.as_deref(),
            Some("did you mean \"gauge\"?")
        );
    }

    #[test]
    fn labels_follow_prometheus() {
        let fault = refused("authority, state\n", "authority, le\n");
        assert_eq!(fault.message, "label \"le\" is reserved");
        assert_eq!((fault.line, fault.column), (5, 23));
        assert_eq!(
            refused("authority, state\n", "authority, __x\n").message,
            "\"__x\" is no label name"
        );
        assert_eq!(
            refused("authority, state\n", "state, state\n").message,
            "\"state\" stands twice in \"labels\""
        );
        assert_eq!(
            refused("authority, state\n", "state, cases\n").message,
            "\"cases\" is the value column too"
        );
    }

    #[test]
    fn a_measured_unit_is_the_end_of_the_name() {
        assert_eq!(
            refused("unit: cases", "unit: ratio").expected.as_deref(),
            Some("a name that ends in _ratio")
        );
        assert!(
            refused("unit: cases", "unit: percent")
                .expected
                .unwrap()
                .starts_with("\"ratio\"")
        );
        let mended = OPEN_CASES
            .replace("cases_open\n", "agency_ratio\n")
            .replace("unit: cases", "unit: ratio");
        assert_eq!(parse(&mended).unwrap().unit, "ratio");
    }

    #[test]
    fn clocks_and_dice_are_refused_at_their_place() {
        let fault = refused(
            "from allocation_state",
            "from allocation_state\n  where opened_at < NOW()",
        );
        assert_eq!((fault.line, fault.column), (13, 21));
        assert_eq!(fault.expected.as_deref(), Some("as_of()"));
        assert_eq!(
            refused("count(*)", "random()").message,
            "\"random\" is not a function of (as of, known at)"
        );
        assert_eq!(
            refused("count(*)", "current_date").expected.as_deref(),
            Some("as_of_date()")
        );
        let harmless = OPEN_CASES.replace("count(*) as cases", "sum(now) as cases /* now() */");
        assert!(
            parse(&harmless).is_ok(),
            "a column called now and a comment are no clock"
        );
    }

    #[test]
    fn a_histogram_has_ascending_buckets_and_nothing_else_has_any() {
        let histogram = OPEN_CASES.replace("kind: gauge", "kind: histogram\n-- buckets: 1, 2.5, 10");
        assert_eq!(parse(&histogram).unwrap().buckets, [1.0, 2.5, 10.0]);
        assert_eq!(
            refused("kind: gauge", "kind: histogram").message,
            "a histogram without buckets"
        );
        assert_eq!(
            refused("kind: gauge", "kind: histogram\n-- buckets: 5, 1").message,
            "bucket \"1\""
        );
        assert_eq!(
            refused("-- max", "-- buckets: 1\n-- max").message,
            "buckets on something that is no histogram"
        );
    }

    #[test]
    fn what_is_not_published_says_why() {
        let published = |how: &str| OPEN_CASES.replace("-- kind", &format!("-- publish: {how}\n-- kind"));
        let withheld = parse(&published("withheld it is a\n--   director's alone")).unwrap();
        assert_eq!(withheld.publication.to_string(), "withheld: it is a director's alone");
        let silent = &parse(&published("withheld")).unwrap_err()[0];
        assert_eq!(silent.message, "publish \"withheld\"");
        assert_eq!(parse(OPEN_CASES).unwrap().publication, Publication::Withheld(None));
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("26h"), Some(Duration::from_secs(93_600)));
        assert_eq!(parse_duration("5 minutes"), None);
        assert_eq!(
            refused("stale_after: 5m", "stale_after: soon").expected.as_deref(),
            Some("5m, 26h or 2d")
        );
        assert_eq!(
            refused("stale_after: 5m", "stale_after: 30s").message,
            "stale_after \"30s\""
        );
        assert_eq!(
            refused("max_series: 2000", "max_series: 0").expected.as_deref(),
            Some("a whole number above 0")
        );
    }

    #[test]
    fn every_fault_of_a_file_is_told_at_once() {
        let text = OPEN_CASES
            .replace("kind: gauge", "kind: x")
            .replace("-- owner: performance team\n", "");
        assert_eq!(parse(&text).unwrap_err().len(), 2);
    }
}
