//! What is checked before anything runs: every file plans, columns exist and have the right types, `needs` names tables
//! of the contract, and no label derives from a column that may not label. All faults of all files come back together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use casewatch_contract::{Contract, TableName};
use casewatch_query::{Engine, EngineConfig, Prepared, QueryError};
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::catalogue::Catalogue;
use crate::definition::{MetricDefinition, Named};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::explain::parameters_of;
use crate::lineage::{Lineages, ViewLineage, forbidden, scanned_tables};
use crate::samples::{is_label_type, is_value_type};
use crate::standing::Query;

/// A metric that passed every check, with its plan.
#[derive(Clone)]
pub struct ReadyQuery {
    pub query: Query,
    pub prepared: Arc<Prepared>,
}

/// A catalogue that passed every check, and the engine that its plans belong to.
#[derive(Clone)]
pub struct Checked {
    pub catalogue: Arc<Catalogue>,
    pub engine: Arc<Engine>,
    pub queries: Vec<ReadyQuery>,
    /// Tables and views that each view reads itself, by the names that SQL uses.
    pub scans: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the directory of queries of an engine, makes the engine, and checks everything against it.
pub async fn load(config: EngineConfig) -> Result<Checked, Diagnostics> {
    let directory = config.queries.clone();
    let contract = Arc::clone(&config.contract);
    let catalogue = Catalogue::load(&directory)?;
    let engine = Engine::new(config).await.map_err(|error| {
        let (path, detail) = match &error {
            QueryError::QueryFile { path, detail } | QueryError::Reference { path, detail } => (path, detail.clone()),
            other => (&directory, other.to_string()),
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Diagnostics(vec![
            SourceFile::new(path.display().to_string(), text).fault(Span::START, detail),
        ])
    })?;
    check(catalogue, &contract, &engine).await
}

/// Checks a whole catalogue against the contract and an engine over the same directory.
async fn check(catalogue: Catalogue, contract: &Contract, engine: &Arc<Engine>) -> Result<Checked, Diagnostics> {
    let mut checker = Checker {
        contract,
        engine,
        views: Views::default(),
        faults: Vec::new(),
    };
    checker.views(&catalogue).await;
    let mut queries = Vec::new();
    for definition in &catalogue.metrics {
        queries.extend(checker.metric(&catalogue, definition).await);
    }
    if checker.faults.is_empty() {
        return Ok(Checked {
            catalogue: Arc::new(catalogue),
            engine: Arc::clone(engine),
            queries,
            scans: checker.views.scans,
        });
    }
    let mut faults = Diagnostics(checker.faults);
    faults.sort();
    faults.0.dedup();
    Err(faults)
}

/// What the views read and where their columns come from, in the order in which they were planned.
#[derive(Default)]
struct Views {
    lineages: Lineages,
    /// What each view scans itself, by the name that SQL uses.
    scans: BTreeMap<String, BTreeSet<String>>,
}

impl Views {
    /// Everything below `scanned`, through every view: names of tables and views.
    fn closure(&self, scanned: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&String> = scanned.iter().collect();
        while let Some(name) = open.pop() {
            if all.insert(name.clone()) {
                open.extend(self.scans.get(name).into_iter().flatten());
            }
        }
        all
    }
}

struct Checker<'a> {
    contract: &'a Contract,
    engine: &'a Arc<Engine>,
    views: Views,
    faults: Vec<Diagnostic>,
}

impl Checker<'_> {
    /// Plans every view, those first that others read.
    async fn views(&mut self, catalogue: &Catalogue) {
        let mut planned: BTreeMap<String, Arc<Prepared>> = BTreeMap::new();
        for view in &catalogue.views {
            match self.engine.prepare(&view.file.text).await {
                Ok(prepared) => {
                    let unknown = unknown_parameters(self.engine, &view.file, view.body_line, &prepared);
                    self.faults.extend(unknown);
                    let name = view.qualified_name();
                    self.views
                        .scans
                        .insert(name.clone(), scanned_tables(prepared.logical_plan()));
                    planned.insert(name, Arc::new(prepared));
                }
                Err(error) => self.refuse(&view.file, view.body_line, &error),
            }
        }
        let mut done: BTreeSet<String> = BTreeSet::new();
        while let Some(name) = self.next_view(&planned, &done) {
            // The plan was made by the planner, so its expressions resolve.
            let added = self.views.lineages.add_view(&name, planned[&name].logical_plan());
            if let (Err(error), Some(view)) = (added, catalogue.views.iter().find(|v| v.qualified_name() == name)) {
                self.faults.push(view.file.fault(
                    Span {
                        line: view.body_line,
                        column: 1,
                        width: 1,
                    },
                    error.to_string(),
                ));
            }
            done.insert(name);
        }
    }

    /// A fault of a view below is told once, at that view.
    fn refuse(&mut self, file: &SourceFile, body_line: usize, error: &QueryError) {
        if !matches!(error, QueryError::View { .. }) {
            self.faults.push(sql_fault(file, body_line, error));
        }
    }

    /// A view not yet done that reads only views that are.
    fn next_view(&self, planned: &BTreeMap<String, Arc<Prepared>>, done: &BTreeSet<String>) -> Option<String> {
        let is_ready = |name: &&String| {
            let below = &self.views.scans[*name];
            !done.contains(*name)
                && below
                    .iter()
                    .all(|table| !planned.contains_key(table) || done.contains(table))
        };
        planned.keys().find(is_ready).cloned()
    }

    async fn metric(&mut self, catalogue: &Catalogue, definition: &MetricDefinition) -> Option<ReadyQuery> {
        let before = self.faults.len();
        let prepared = match self.engine.prepare(definition.sql()).await {
            Ok(prepared) => Arc::new(prepared),
            Err(error) => {
                self.refuse(&definition.file, definition.body_line, &error);
                self.needs(definition, None);
                return None;
            }
        };
        let scanned = self.views.closure(&scanned_tables(prepared.logical_plan()));
        let reads = scanned.iter().filter_map(|name| self.live_table(name)).collect();
        let unknown = unknown_parameters(self.engine, &definition.file, definition.body_line, &prepared);
        self.faults.extend(unknown);
        self.columns(definition, &prepared);
        self.labels(definition, &prepared);
        self.needs(definition, Some(&reads));
        let hash = catalogue.definition_hash(definition, &scanned, self.engine.parameters());
        let query = Query {
            definition: Arc::new(MetricDefinition {
                hash,
                ..definition.clone()
            }),
            reads,
        };
        (self.faults.len() == before).then_some(ReadyQuery { query, prepared })
    }

    /// The table of the contract that a scanned name stands for; `history.x` is not the live table x.
    fn live_table(&self, scanned: &str) -> Option<TableName> {
        self.contract.table(scanned).map(|table| table.name.clone())
    }

    fn columns(&mut self, definition: &MetricDefinition, prepared: &Prepared) {
        let schema = prepared.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let file = &definition.file;
        let typed = definition
            .labels
            .iter()
            .map(|label| (label, true))
            .chain([(&definition.value, false)])
            .chain(definition.publication.columns().map(|column| (column, false)));
        for (column, is_label) in typed {
            let Ok(field) = schema.field_with_name(&column.name) else {
                let fault = file.fault(column.span, format!("the SELECT has no column \"{}\"", column.name));
                let fault = fault.expected(format!("one of {}", names.join(", ")));
                self.faults.push(fault.suggest(&column.name, names.iter().copied()));
                continue;
            };
            let data_type = field.data_type();
            let (fits, expected) = match is_label {
                true => (is_label_type(data_type), "text: cast it, or write a CASE"),
                false => (is_value_type(data_type), "an integer, a decimal or a float"),
            };
            if !fits {
                let message = format!("column \"{}\" is {data_type}", column.name);
                self.faults.push(file.fault(column.span, message).expected(expected));
            }
        }
        let is_judged_by = |name: &str| definition.publication.columns().any(|column| column.name == name);
        let is_named = |name: &str| {
            definition.value.name == name || definition.label_names().any(|label| label == name) || is_judged_by(name)
        };
        for extra in names.iter().filter(|name| !is_named(name)) {
            let span = file
                .find_word(extra, definition.body_line)
                .unwrap_or(line_start(definition.body_line));
            let fault = file.fault(span, format!("column \"{extra}\" is neither a label nor the value"));
            self.faults
                .push(fault.expected("the columns of labels, value and publish, and no other"));
        }
    }

    fn labels(&mut self, definition: &MetricDefinition, prepared: &Prepared) {
        let columns: ViewLineage = match self.views.lineages.columns(prepared.logical_plan()) {
            Ok(columns) => columns,
            Err(error) => {
                let fault = definition
                    .file
                    .fault(line_start(definition.body_line), error.to_string());
                return self.faults.push(fault);
            }
        };
        for label in &definition.labels {
            let origins = columns.get(&label.name).into_iter().flatten();
            if let Some(reason) = origins.filter_map(|origin| forbidden(self.contract, origin)).next() {
                let message = format!(
                    "label \"{}\" derives from a column that may not label: {reason}",
                    label.name
                );
                let fault = definition.file.fault(label.span, message);
                let fault = fault.expected("columns marked label_safe, literals, counts");
                self.faults
                    .push(fault.hint("a condition launders: case when ... then 'a' else 'b' end"));
            }
        }
    }

    /// `reads` is None where the SQL does not plan.
    fn needs(&mut self, definition: &MetricDefinition, reads: Option<&BTreeSet<TableName>>) {
        for need in &definition.needs {
            let Named { name, span } = need;
            let known = || self.contract.tables().map(|table| table.name.as_str());
            if self.contract.table(name).is_none() {
                let fault = definition
                    .file
                    .fault(*span, format!("\"{name}\" is no table of the contract"));
                self.faults.push(
                    fault
                        .expected(known().collect::<Vec<_>>().join(", "))
                        .suggest(name, known()),
                );
            } else if reads.is_some_and(|reads| !reads.contains(name.as_str())) {
                let fault = definition
                    .file
                    .fault(*span, format!("the query does not read \"{name}\""));
                self.faults
                    .push(fault.expected("only tables that it reads, itself or through views"));
            }
        }
    }
}

fn line_start(line: usize) -> Span {
    Span {
        line,
        column: 1,
        width: 1,
    }
}

/// Parameters that a statement asks for and `parameters.toml` does not have: it would plan, and fail whenever it runs.
pub(crate) fn unknown_parameters(
    engine: &Engine,
    file: &SourceFile,
    body_line: usize,
    prepared: &Prepared,
) -> Vec<Diagnostic> {
    let asked = match parameters_of(prepared.logical_plan()) {
        Ok(asked) => asked,
        Err(error) => return vec![file.fault(line_start(body_line), error.to_string())],
    };
    let known: BTreeSet<&str> = engine.parameters().map(|(name, _)| name).collect();
    let unknown = asked.iter().filter(|name| !known.contains(name.as_str()));
    let fault = |name: &String| {
        let place = file.find_word(name, body_line).unwrap_or(line_start(body_line));
        let fault = file.fault(place, format!("no parameter is called \"{name}\""));
        fault
            .expected("a name of parameters.toml")
            .suggest(name, known.iter().copied())
    };
    unknown.map(fault).collect()
}

/// A planner's complaint at its place in the file, as near as the complaint lets us tell.
pub(crate) fn sql_fault(file: &SourceFile, body_line: usize, error: &QueryError) -> Diagnostic {
    let fallback = line_start(body_line);
    let QueryError::Sql(inner) = error else {
        return file.fault(fallback, error.to_string());
    };
    match innermost(inner) {
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let span = file.find_word(&field.name, body_line).unwrap_or(fallback);
                let fault = file.fault(span, format!("no column \"{}\"", field.flat_name()));
                let names: Vec<&str> = valid_fields.iter().map(|valid| valid.name.as_str()).collect();
                let fault = if names.is_empty() {
                    fault
                } else {
                    fault.expected(format!("one of {}", names.join(", ")))
                };
                fault.suggest(&field.name, names.iter().copied())
            }
            other => file.fault(fallback, other.to_string()),
        },
        DataFusionError::SQL(parser_error, _) => {
            let message = parser_error.to_string();
            file.fault(place_in(&message).unwrap_or(fallback), without_place(&message))
        }
        other => {
            let message = other.strip_backtrace();
            let word = quoted(&message).and_then(|quoted| quoted.rsplit('.').next());
            let span = word
                .and_then(|word| file.find_word(word, body_line))
                .unwrap_or(fallback);
            file.fault(span, message.trim_start_matches("Error during planning: ").to_owned())
        }
    }
}

fn innermost(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => innermost(inner),
        other => other,
    }
}

/// `... at Line: 3, Column: 14`, as the parser says it.
fn place_in(message: &str) -> Option<Span> {
    let (_, after) = message.rsplit_once("Line: ")?;
    let (line, after) = after.split_once(", Column: ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some(Span {
        line: line.trim().parse().ok()?,
        column: digits.parse().ok()?,
        width: 1,
    })
}

fn without_place(message: &str) -> String {
    let end = message.rfind(" at Line: ").unwrap_or(message.len());
    message[..end].trim_start_matches("sql parser error: ").to_owned()
}

/// The first text in single quotes.
fn quoted(message: &str) -> Option<&str> {
    message.split('\'').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::OPEN_CASES;
    use crate::fixture::{Fixture, OPEN_CASES_VIEW, engine_config};
    use crate::lineage::tests::contract;

    async fn refused(files: &[(&str, &str)]) -> Vec<Diagnostic> {
        match Fixture::new(files).check().await {
            Ok(_) => panic!("the files must be refused"),
            Err(faults) => faults.0,
        }
    }

    async fn metric_refused(from: &str, to: &str) -> Diagnostic {
        let text = OPEN_CASES.replace(from, to);
        assert_ne!(text, OPEN_CASES, "the test must change the file");
        refused(&[("metrics/cases_open.sql", &text)]).await.remove(0)
    }

    #[tokio::test]
    async fn a_good_catalogue_passes_and_knows_what_each_query_reads() {
        let checked = Fixture::new(&[]).checked().await;
        let reads: Vec<&str> = checked.queries[0].query.reads.iter().map(TableName::as_str).collect();
        assert_eq!(reads, ["allocations", "cases"]);
        let scans: Vec<&str> = checked.scans["allocation_state"].iter().map(String::as_str).collect();
        assert_eq!(scans, ["allocations", "cases"]);
    }

    #[tokio::test]
    async fn a_missing_column_is_told_with_its_place_and_the_nearest_name() {
        let fault = metric_refused("labels: authority, state", "labels: authority, stat").await;
        assert_eq!((fault.line, fault.column), (5, 23));
        assert_eq!(fault.message, "the SELECT has no column \"stat\"");
        assert_eq!(fault.hint.as_deref(), Some("did you mean \"state\"?"));
        let fault = metric_refused("select authority, state,", "select authority, state, stats,").await;
        assert_eq!((fault.line, fault.message.as_str()), (12, "no column \"stats\""));
        assert_eq!(fault.hint.as_deref(), Some("did you mean \"state\"?"));
    }

    #[tokio::test]
    async fn columns_have_the_types_of_labels_and_values() {
        let fault = metric_refused("count(*) as cases", "max(state) as cases").await;
        assert_eq!((fault.line, fault.message.as_str()), (6, "column \"cases\" is Utf8"));
        let text = "count(*) as cases from (select authority, 1 as state from allocation_state) x";
        let fault = metric_refused("count(*) as cases from allocation_state", text).await;
        assert_eq!((fault.line, fault.message.as_str()), (5, "column \"state\" is Int64"));
    }

    #[tokio::test]
    async fn a_column_that_is_neither_label_nor_value_is_refused() {
        let fault = metric_refused("count(*) as cases", "count(*) as cases, 1 as more").await;
        assert_eq!((fault.line, fault.column), (12, 50));
        assert_eq!(fault.message, "column \"more\" is neither a label nor the value");
    }

    #[tokio::test]
    async fn an_identifier_does_not_reach_a_label_through_a_view() {
        for column in ["case_id", "child_id", "worker_id"] {
            let text = OPEN_CASES
                .replace(
                    "authority, state, count",
                    &format!("authority, upper({column}) as state, count"),
                )
                .replace("group by authority, state", "group by 1, 2");
            let faults = refused(&[("metrics/cases_open.sql", &text)]).await;
            assert!(
                faults[0].message.starts_with("label \"state\" derives from"),
                "{}",
                faults[0]
            );
            assert!(faults[0].message.contains(column), "{}", faults[0]);
            assert_eq!((faults[0].line, faults[0].column), (5, 23));
        }
    }

    #[tokio::test]
    async fn needs_are_tables_of_the_contract_that_the_query_reads() {
        let fault = metric_refused("needs: cases,", "needs: case,").await;
        assert_eq!(fault.message, "\"case\" is no table of the contract");
        assert_eq!(fault.hint.as_deref(), Some("did you mean \"cases\"?"));
        let fault = metric_refused("needs: cases, allocations", "needs: cases, posts").await;
        assert_eq!(
            (fault.line, fault.message.as_str()),
            (7, "the query does not read \"posts\"")
        );
    }

    #[tokio::test]
    async fn sql_that_does_not_parse_is_told_at_its_place() {
        let fault = metric_refused("group by authority, state", "group by authority,,").await;
        assert_eq!((fault.line, fault.column), (12, 85));
        let fault = metric_refused("from allocation_state", "from allocation_stats").await;
        assert_eq!(fault.line, 12);
        assert!(fault.message.contains("allocation_stats"), "{fault}");
    }

    #[tokio::test]
    async fn two_statements_and_statements_that_write_are_refused() {
        assert_eq!(
            metric_refused("group by authority, state", "group by 1, 2; select 1")
                .await
                .line,
            12
        );
        let text = OPEN_CASES.replace("select authority, state", "insert into cases select authority, state");
        assert_eq!(refused(&[("metrics/cases_open.sql", &text)]).await.len(), 1);
    }

    #[tokio::test]
    async fn a_broken_view_is_told_once_however_many_read_it() {
        let broken = OPEN_CASES_VIEW.replace("a.worker_id,", "a.worker_ids,");
        let above = "-- name: above\n-- row: r\n-- why: w\nselect state from allocation_state\n";
        let faults = refused(&[("views/allocation_state.sql", &broken), ("views/above.sql", above)]).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].file.ends_with("views/allocation_state.sql"));
        assert_eq!(
            (faults[0].line, faults[0].message.as_str()),
            (4, "no column \"a.worker_ids\"")
        );
    }

    #[tokio::test]
    async fn a_parameter_that_there_is_not_is_told_once_where_it_stands() {
        let view = format!("{}where parameter('grace_workday') > 0\n", OPEN_CASES_VIEW);
        let known = ("parameters.toml", "grace_workdays = 2\n");
        let faults = refused(&[("views/allocation_state.sql", &view), known]).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].file.ends_with("views/allocation_state.sql"));
        assert_eq!((faults[0].line, faults[0].column), (7, 18));
        assert_eq!(faults[0].message, "no parameter is called \"grace_workday\"");
        assert_eq!(faults[0].hint.as_deref(), Some("did you mean \"grace_workdays\"?"));
        let right = view.replace("grace_workday'", "grace_workdays'");
        assert!(
            Fixture::new(&[("views/allocation_state.sql", &right), known])
                .check()
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_byte_order_mark_before_a_header_is_no_part_of_it() {
        let (metric, view) = (format!("\u{feff}{OPEN_CASES}"), format!("\u{feff}{OPEN_CASES_VIEW}"));
        let fixture = Fixture::new(&[
            ("metrics/cases_open.sql", &metric),
            ("views/allocation_state.sql", &view),
        ]);
        let checked = fixture.check().await.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(checked.queries.len(), 1);
    }

    #[tokio::test]
    async fn views_in_a_circle_are_refused() {
        let one = "-- name: one\n-- row: r\n-- why: w\nselect 1 as x from two\n";
        let two = "-- name: two\n-- row: r\n-- why: w\nselect 1 as x from one\n";
        let faults = refused(&[("views/one.sql", one), ("views/two.sql", two)]).await;
        assert!(faults[0].message.contains("circle"), "{}", faults[0]);
    }

    #[tokio::test]
    async fn the_repositorys_own_catalogue_passes() {
        let queries = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../queries");
        let checked = load(engine_config(&queries, &Arc::new(contract()))).await;
        let checked = checked.unwrap_or_else(|faults| panic!("{faults}"));
        assert!(
            checked.queries.len() >= 12,
            "a first catalogue of at least twelve metrics"
        );
    }
}
