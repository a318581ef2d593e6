//! The text of a test file, typed, with a place for every complaint.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::moment::parse_as_of;
use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// One file of `queries/tests/`.
#[derive(Debug)]
pub struct TestFile {
    pub file: SourceFile,
    /// Values of columns that rows leave out, by table.
    pub defaults: BTreeMap<String, Table>,
    pub tests: Vec<TestCase>,
}

/// One `[[test]]`.
#[derive(Debug)]
pub struct TestCase {
    pub name: String,
    pub span: Span,
    /// Microseconds since 1970 UTC, like `known_at`.
    pub as_of: i64,
    pub known_at: i64,
    pub not_supplied: Vec<String>,
    /// Rows by table, those of `[given]` first.
    pub tables: BTreeMap<String, Vec<Table>>,
    pub expectations: Vec<Expectation>,
}

/// One `[[test.expect]]`.
#[derive(Debug)]
pub enum Expectation {
    Rows {
        sql: String,
        title: String,
        /// None where a statement is asked.
        view: Option<String>,
        columns: Vec<String>,
        rows: Vec<Table>,
        ordered: bool,
        tolerance: f64,
    },
    Samples {
        metric: String,
        labels: BTreeMap<String, String>,
        samples: Vec<Table>,
        absent: Vec<Table>,
        none: bool,
        tolerance: f64,
    },
}

pub const DEFAULT_TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    defaults: BTreeMap<String, Table>,
    #[serde(default)]
    given: BTreeMap<String, Vec<Table>>,
    #[serde(default)]
    test: Vec<RawTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTest {
    name: Spanned<String>,
    /// For readers of the file.
    #[serde(default, rename = "why")]
    _why: Option<String>,
    as_of: Spanned<Value>,
    known_at: Option<Spanned<Value>>,
    #[serde(default)]
    not_supplied: Vec<String>,
    #[serde(default = "yes")]
    given: bool,
    #[serde(default)]
    tables: BTreeMap<String, Vec<Table>>,
    expect: Vec<Spanned<RawExpectation>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpectation {
    view: Option<String>,
    sql: Option<String>,
    metric: Option<String>,
    columns: Option<Vec<String>>,
    r#where: Option<Value>,
    #[serde(default)]
    ordered: bool,
    tolerance: Option<f64>,
    rows: Option<Vec<Table>>,
    samples: Option<Vec<Table>>,
    #[serde(default)]
    absent: Vec<Table>,
    #[serde(default)]
    all_absent: bool,
}

fn yes() -> bool {
    true
}

impl TestFile {
    pub fn parse(file: SourceFile, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let raw: RawFile = match toml::from_str(&file.text) {
            Ok(raw) => raw,
            Err(error) => {
                let span = error
                    .span()
                    .map_or(Span::START, |range| span_at(&file.text, range.start, range.len()));
                faults.push(file.fault(span, error.message().trim().to_owned()));
                return None;
            }
        };
        let before = faults.len();
        let mut tests: Vec<TestCase> = Vec::new();
        for test in raw.test {
            let test = test_case(&file, test, &raw.given, faults);
            if tests.iter().any(|other| other.name == test.name) {
                faults.push(file.fault(test.span, format!("the test \"{}\" stands twice", test.name)));
            }
            tests.push(test);
        }
        (faults.len() == before).then_some(Self {
            defaults: raw.defaults,
            tests,
            file,
        })
    }
}

fn test_case(
    file: &SourceFile,
    raw: RawTest,
    given: &BTreeMap<String, Vec<Table>>,
    faults: &mut Vec<Diagnostic>,
) -> TestCase {
    let span = span_at(&file.text, raw.name.span().start, raw.name.span().len());
    let mut moment = |value: &Spanned<Value>| {
        let text = text_of(value.get_ref());
        parse_as_of(&text).unwrap_or_else(|| {
            let place = span_at(&file.text, value.span().start, value.span().len());
            let fault = file.fault(place, format!("\"{text}\" is no moment"));
            faults.push(fault.expected("\"2018-10-17\" (the end of that day) or \"2018-10-17T09:30:00Z\""));
            0
        })
    };
    let as_of = moment(&raw.as_of);
    let known_at = raw.known_at.as_ref().map_or(as_of, moment);
    let mut tables = if raw.given { given.clone() } else { BTreeMap::new() };
    for (table, rows) in raw.tables {
        tables.entry(table).or_default().extend(rows);
    }
    let mut expectations = Vec::new();
    for expectation in raw.expect {
        let place = span_at(&file.text, expectation.span().start, 1);
        match self::expectation(expectation.into_inner()) {
            Ok(expectation) => expectations.push(expectation),
            Err((message, expected)) => faults.push(file.fault(place, message).expected(expected)),
        }
    }
    if expectations.is_empty() {
        faults.push(
            file.fault(span, "the test expects nothing")
                .expected("at least one [[test.expect]]"),
        );
    }
    TestCase {
        name: raw.name.into_inner(),
        span,
        as_of,
        known_at,
        not_supplied: raw.not_supplied,
        tables,
        expectations,
    }
}

fn expectation(raw: RawExpectation) -> Result<Expectation, (String, String)> {
    let tolerance = raw.tolerance.unwrap_or(DEFAULT_TOLERANCE);
    let refuse = |message: &str, expected: &str| Err((message.to_owned(), expected.to_owned()));
    match (raw.view, raw.sql, raw.metric) {
        (None, None, Some(metric)) => {
            if raw.rows.is_some() || raw.columns.is_some() || raw.ordered {
                return refuse(
                    "rows, columns or ordered beside metric",
                    "samples, absent or all_absent",
                );
            }
            if raw.samples.is_none() && raw.absent.is_empty() && !raw.all_absent {
                return refuse("nothing expected of the metric", "samples, absent or all_absent");
            }
            let labels = match raw.r#where {
                None => BTreeMap::new(),
                Some(Value::Table(labels)) => labels
                    .iter()
                    .map(|(name, value)| (name.clone(), text_of(value)))
                    .collect(),
                Some(_) => return refuse("where of a metric is text", "where = { label = \"value\" }"),
            };
            let samples = raw.samples.unwrap_or_default();
            if samples.iter().any(|sample| !sample.contains_key("value")) {
                return refuse("a sample without a value", "{ label = \"...\", value = 1 }");
            }
            Ok(Expectation::Samples {
                metric,
                labels,
                samples,
                absent: raw.absent,
                none: raw.all_absent,
                tolerance,
            })
        }
        (view, sql, None) if view.is_some() != sql.is_some() => {
            let Some(rows) = raw.rows else {
                return refuse("no rows", "rows = [ ... ], or [] for none");
            };
            let columns = raw.columns.unwrap_or_else(|| keys_of(&rows));
            let filter = match raw.r#where {
                None => String::new(),
                Some(Value::String(predicate)) => format!(" where {predicate}"),
                Some(_) => return refuse("where of a view is no text", "where = \"an SQL predicate\""),
            };
            let selected = match columns.as_slice() {
                // Only that there is no row is asked.
                [] => "1 as row".to_owned(),
                some => some
                    .iter()
                    .map(|column| format!("\"{column}\""))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let (title, from) = match (&view, sql) {
                (Some(view), _) => (view.clone(), view.clone()),
                (None, sql) => {
                    let sql = sql.unwrap_or_default();
                    let statement = sql.trim().trim_end_matches(';').to_owned();
                    (statement.clone(), format!("({statement}) as expected_of"))
                }
            };
            let sql = format!("select {selected} from {from}{filter}");
            Ok(Expectation::Rows {
                sql,
                title,
                view,
                columns,
                rows,
                ordered: raw.ordered,
                tolerance,
            })
        }
        _ => refuse("which rows?", "exactly one of view, sql and metric"),
    }
}

/// Every key of every row, in the order they first appear.
pub fn keys_of(rows: &[Table]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for key in rows.iter().flat_map(Table::keys) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// A value as the file's reader would say it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The place of a byte offset; a stretch ends with its line.
fn span_at(text: &str, offset: usize, length: usize) -> Span {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let rest = text[before.len()..].lines().next().unwrap_or_default().chars().count();
    Span {
        line,
        column,
        width: length.clamp(1, rest.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[defaults.cases]
authority = "north"
[given]
teams = [{ team_id = "t1" }]
[[test]]
name = "one"
as_of = "2018-06-30"
[test.tables]
cases = [{ case_id = "k1" }]
[[test.expect]]
view = "open_cases"
where = "case_id = 'k1'"
rows = [{ case_id = "k1" }, { state = "x" }]
[[test.expect]]
metric = "casewatch_cases_open"
samples = [{ state = "x", value = 1 }]
[[test]]
name = "two"
as_of = 2018-06-30
known_at = "2018-07-01T09:00:00Z"
given = false
[[test.expect]]
sql = "select 1 as n;"
rows = []
"#;

    fn parse(text: &str) -> Result<TestFile, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        TestFile::parse(SourceFile::new("t.toml", text), &mut faults).ok_or(faults)
    }

    #[test]
    fn a_file_is_read_with_its_given_rows_defaults_and_both_clocks() {
        let file = parse(GOOD).unwrap();
        assert_eq!(file.defaults["cases"]["authority"].as_str(), Some("north"));
        let [one, two] = file.tests.as_slice() else {
            panic!("two tests")
        };
        assert_eq!(one.tables.keys().collect::<Vec<_>>(), ["cases", "teams"]);
        assert_eq!(one.as_of, one.known_at);
        assert!(two.tables.is_empty() && two.as_of == one.as_of && two.known_at > two.as_of);
        let Expectation::Rows { sql, .. } = &one.expectations[0] else {
            panic!("rows")
        };
        assert_eq!(
            sql,
            "select \"case_id\", \"state\" from open_cases where case_id = 'k1'"
        );
        let Expectation::Rows { sql, .. } = &two.expectations[0] else {
            panic!("rows")
        };
        assert_eq!(sql, "select 1 as row from (select 1 as n) as expected_of");
    }

    #[test]
    fn faults_have_their_place() {
        let place = |from: &str, to: &str| {
            let fault = parse(&GOOD.replacen(from, to, 1)).unwrap_err().remove(0);
            (fault.line, fault.message)
        };
        assert_eq!(
            place("as_of = \"2018-06-30\"", "as_of = \"soon\""),
            (8, "\"soon\" is no moment".to_owned())
        );
        assert_eq!(place("view = \"open_cases\"", "metric = \"m\"").0, 11);
        assert_eq!(
            place("name = \"two\"", "name = \"one\""),
            (19, "the test \"one\" stands twice".to_owned())
        );
        let (line, message) = place("known_at", "known");
        assert_eq!(line, 21);
        assert!(message.contains("unknown field `known`"), "{message}");
    }
}
