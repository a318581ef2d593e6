//! What the catalogue needs to be whole, though no number depends on it: a test of every view and metric, tests that
//! speak of what there is, files named after what they define, and nothing that nobody reads.

use std::collections::BTreeSet;
use std::path::Path;

use casewatch_query::texts_given_to;

use crate::catalogue::read_all;
use crate::check::{Checked, sql_fault, unknown_parameters};
use crate::definition::{METRIC_PREFIX, MetricDefinition, Named, Publication, ViewDefinition};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::lineage::scanned_tables;
use crate::test_files::{Expectation, History, TestCase, TestFile, load_tests, untested};

/// What of a loaded catalogue is wrong or to no purpose, in order of file and line. `max_series` is the limit of
/// series a metric that the configuration sets, where one is known.
pub async fn audit(checked: &Checked, directory: &Path, max_series: Option<usize>) -> Diagnostics {
    let mut audit = Audit {
        checked,
        directory,
        found: Vec::new(),
    };
    audit.names();
    audit.publication();
    audit.tests();
    let asked = audit.reports().await;
    audit.unread_views(&asked);
    audit.unread_parameters();
    if let Some(limit) = max_series {
        audit.budgets(limit);
    }
    audit.access().await;
    let mut found = Diagnostics(audit.found);
    found.sort();
    found
}

struct Audit<'a> {
    checked: &'a Checked,
    directory: &'a Path,
    found: Vec<Diagnostic>,
}

impl Audit<'_> {
    fn views(&self) -> &[ViewDefinition] {
        &self.checked.catalogue.views
    }

    fn metrics(&self) -> &[MetricDefinition] {
        &self.checked.catalogue.metrics
    }

    /// A newcomer finds a definition by the name of its file.
    fn names(&mut self) {
        let views = self
            .views()
            .iter()
            .map(|view| (&view.file, &view.name, view.name.name.as_str()));
        let metrics = self.metrics().iter().map(|metric| {
            let name = metric.name.name.as_str();
            (
                &metric.file,
                &metric.name,
                name.strip_prefix(METRIC_PREFIX).unwrap_or(name),
            )
        });
        let misnamed = views.chain(metrics).filter_map(|(file, name, stem)| {
            let path = Path::new(file.path.as_ref());
            let found = path.file_stem().and_then(|found| found.to_str());
            (found != Some(stem)).then(|| {
                let fault = file.fault(name.span, format!("\"{}\" stands in a file of another name", name.name));
                fault.expected(format!("{stem}.sql"))
            })
        });
        let misnamed: Vec<Diagnostic> = misnamed.collect();
        self.found.extend(misnamed);
    }

    /// Whether a number may leave the building somebody has to have thought about.
    fn publication(&mut self) {
        let silent = self
            .metrics()
            .iter()
            .filter(|metric| metric.publication == Publication::Withheld(None));
        let silent = silent.map(|metric| {
            let message = format!("nothing says how \"{}\" may be published", metric.name.name);
            let fault = metric.file.fault(metric.name.span, message).warning();
            fault.hint("say so in a line \"-- publish: ...\", or \"-- publish: withheld REASON\" where it may not be")
        });
        let silent: Vec<Diagnostic> = silent.collect();
        self.found.extend(silent);
    }

    fn tests(&mut self) {
        let files = match load_tests(self.directory) {
            Ok(files) => files,
            // Without their expectations nobody can tell what is tested.
            Err(faults) => return self.found.extend(faults.0),
        };
        for file in &files {
            for test in &file.tests {
                if let Err(faults) = History::read(file, test, self.checked.engine.contract()) {
                    self.found.extend(faults);
                }
                for expectation in &test.expectations {
                    self.expectation(file, test, expectation);
                }
            }
        }
        // Faults of [given] rows show in every test of a file.
        let mut seen = BTreeSet::new();
        self.found
            .retain(|fault| seen.insert((fault.file.clone(), fault.line, fault.column, fault.message.clone())));
        let untested: BTreeSet<String> = untested(&files, &self.checked.catalogue).into_iter().collect();
        let views = self
            .views()
            .iter()
            .map(|view| (&view.file, &view.name, view.qualified_name()));
        let metrics = self
            .metrics()
            .iter()
            .map(|metric| (&metric.file, &metric.name, metric.name.name.clone()));
        let without: Vec<Diagnostic> = views
            .chain(metrics)
            .filter(|(_, _, name)| untested.contains(name))
            .map(|(file, Named { span, .. }, name)| {
                let fault = file.fault(*span, format!("no test expects anything of \"{name}\""));
                fault
                    .expected("a [[test.expect]] in tests/*.toml")
                    .hint("given the rows of a boundary case, expect what they come to")
            })
            .collect();
        self.found.extend(without);
    }

    /// The policy speaks of what there is, and of all of it.
    async fn access(&mut self) {
        let engine = &self.checked.engine;
        let Some(policy) = engine.policy() else { return };
        let (path, text) = policy.file();
        let file = SourceFile::new(path.display().to_string(), text);
        for fault in engine.check_access().await {
            let line_text = text.lines().nth(fault.line - 1).unwrap_or_default();
            let span = Span {
                line: fault.line,
                column: 1,
                width: line_text.chars().count(),
            };
            self.found.push(file.fault(span, fault.message).hint(fault.hint));
        }
    }

    /// What a test speaks of exists.
    fn expectation(&mut self, file: &TestFile, test: &TestCase, expectation: &Expectation) {
        let fault = |word: &str, message: String| {
            let place = file.file.find_word(word, test.span.line).unwrap_or(test.span);
            file.file.fault(place, message)
        };
        match expectation {
            Expectation::Rows { view: Some(view), .. } => {
                let tables = self.checked.engine.contract().tables().map(|table| table.name.as_str());
                let known: Vec<String> = self.views().iter().map(ViewDefinition::qualified_name).collect();
                let known: Vec<&str> = known.iter().map(String::as_str).chain(tables).collect();
                // Reference tables, history and the like are known to the engine alone.
                if !known.contains(&view.as_str()) && !view.contains('.') {
                    let fault = fault(view, format!("no view is called \"{view}\""));
                    self.found.push(fault.suggest(view, known.iter().copied()));
                }
            }
            Expectation::Rows { .. } => {}
            Expectation::Samples {
                metric,
                labels,
                samples,
                absent,
                ..
            } => {
                let Some(definition) = self.metrics().iter().find(|known| known.name.name == *metric) else {
                    let known = self.metrics().iter().map(|known| known.name.name.as_str());
                    let fault = fault(metric, format!("no metric is called \"{metric}\"")).suggest(metric, known);
                    return self.found.push(fault);
                };
                let keys = samples
                    .iter()
                    .chain(absent)
                    .flat_map(toml::Table::keys)
                    .filter(|key| *key != "value");
                let named: BTreeSet<&String> = labels.keys().chain(keys).collect();
                let unknown = named
                    .into_iter()
                    .filter(|label| !definition.label_names().any(|name| name == *label));
                let unknown: Vec<Diagnostic> = unknown
                    .map(|label| {
                        let fault = fault(label, format!("{metric} has no label \"{label}\""));
                        fault.suggest(label, definition.label_names())
                    })
                    .collect();
                self.found.extend(unknown);
            }
        }
    }

    /// Reports plan like everything else. What they read.
    async fn reports(&mut self) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        for file in self.files("reports") {
            match self.checked.engine.prepare(&file.text).await {
                Ok(prepared) => {
                    let unknown = unknown_parameters(&self.checked.engine, &file, 1, &prepared);
                    self.found.extend(unknown);
                    asked.extend(scanned_tables(prepared.logical_plan()));
                }
                Err(error) => self.found.push(sql_fault(&file, 1, &error)),
            }
        }
        asked
    }

    fn files(&mut self, folder: &str) -> Vec<SourceFile> {
        read_all(self.directory, folder, "sql", &mut self.found)
    }

    fn unread_views(&mut self, asked: &BTreeSet<String>) {
        let mut open: Vec<String> = asked.iter().cloned().collect();
        for ready in &self.checked.queries {
            open.extend(scanned_tables(ready.prepared.logical_plan()));
        }
        let by_people = self.views().iter().filter(|view| view.asked_by.is_some());
        open.extend(by_people.map(ViewDefinition::qualified_name));
        let mut read = BTreeSet::new();
        while let Some(name) = open.pop() {
            if read.insert(name.clone()) {
                open.extend(self.checked.scans.get(&name).into_iter().flatten().cloned());
            }
        }
        let unread = self
            .views()
            .iter()
            .filter(|view| !read.contains(&view.qualified_name()));
        let unread: Vec<Diagnostic> = unread
            .map(|view| {
                let message = format!("nothing reads view \"{}\"", view.name.name);
                let fault = view.file.fault(view.name.span, message).warning();
                let is_rule = view.qualified_name().contains('.');
                fault.hint(match is_rule {
                    true => "count its rows in the view that counts faults, or delete it",
                    false => "delete it, or say in a line \"-- asked_by: ...\" who reads it by SQL of their own",
                })
            })
            .collect();
        self.found.extend(unread);
    }

    fn unread_parameters(&mut self) {
        let path = self.directory.join("parameters.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return;
        };
        let file = SourceFile::new(path.display().to_string(), text);
        let mut read = BTreeSet::new();
        for folder in ["metrics", "views", "quality", "reports"] {
            for sql in self.files(folder) {
                read.extend(texts_given_to("parameter", &sql.text).unwrap_or_default());
            }
        }
        let mut unread = Vec::new();
        for (name, _) in self
            .checked
            .engine
            .parameters()
            .filter(|(name, _)| !read.contains(*name))
        {
            // Of a section's, the line says only the last part.
            let word = name.rsplit('.').next().unwrap_or(name);
            let is_of = |line: &str| line.split('=').next().is_some_and(|key| key.trim() == word);
            let found = file.text.lines().enumerate().find(|(_, line)| is_of(line));
            if found.is_some_and(|(_, line)| line.contains("# asked_by:")) {
                continue;
            }
            let place = found
                .and_then(|(line, _)| file.find_word(word, line + 1))
                .unwrap_or(Span::START);
            let fault = file.fault(place, format!("no SQL reads parameter('{name}')")).warning();
            unread.push(fault.hint("delete it, or say behind it \"# asked_by: ...\" who reads casewatch_parameter"));
        }
        self.found.extend(unread);
    }

    /// A metric that needs more series than may be is refused as a whole when it runs.
    fn budgets(&mut self, limit: usize) {
        let above = self.metrics().iter().filter(|metric| metric.max_series > limit);
        let above: Vec<Diagnostic> = above
            .map(|metric| {
                let place = metric.file.find_word("max_series", 1).unwrap_or(metric.name.span);
                let message = format!("max_series {} is above the limit of {limit}", metric.max_series);
                let fault = metric.file.fault(place, message).warning();
                fault.hint("limits.metric_series of the configuration is what holds")
            })
            .collect();
        self.found.extend(above);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::tests::OPEN_CASES;
    use crate::fixture::{Fixture, OPEN_CASES_VIEW};

    const TESTS: &str = "[[test]]\nname = \"one\"\nas_of = \"2018-10-17\"\n[test.tables]\n\
        cases = [{ case_id = \"k1\", authority = \"north\" }]\n\
        [[test.expect]]\nview = \"allocation_state\"\nrows = [{ case_id = \"k1\" }]\n\
        [[test.expect]]\nmetric = \"casewatch_cases_open\"\nsamples = [{ state = \"unallocated\", value = 1 }]\n";

    fn withheld(metric: &str) -> String {
        metric.replace("-- kind", "-- publish: withheld it is for a test\n-- kind")
    }

    async fn found(files: &[(&str, &str)]) -> BTreeMap<String, Diagnostic> {
        let open_cases = withheld(OPEN_CASES);
        let mut all = vec![("tests/open.toml", TESTS), ("metrics/cases_open.sql", &open_cases)];
        all.extend(files);
        let fixture = Fixture::new(&all);
        let checked = fixture.checked().await;
        let found = audit(&checked, fixture.path(), Some(2000)).await;
        let short = |fault: &Diagnostic| {
            let file = Path::new(&fault.file).strip_prefix(fixture.path()).unwrap();
            format!("{}:{}:{}", file.display(), fault.line, fault.column)
        };
        found.0.into_iter().map(|fault| (short(&fault), fault)).collect()
    }

    async fn only(files: &[(&str, &str)]) -> (String, String, String) {
        let mut found = found(files).await;
        assert_eq!(found.len(), 1, "{found:?}");
        let (place, fault) = found.pop_first().unwrap();
        (place, fault.message, fault.severity.to_string())
    }

    fn told(place: &str, message: &str, severity: &str) -> (String, String, String) {
        (place.to_owned(), message.to_owned(), severity.to_owned())
    }

    #[tokio::test]
    async fn a_whole_catalogue_has_no_findings() {
        assert_eq!(found(&[]).await, BTreeMap::new());
    }

    #[tokio::test]
    async fn a_metric_of_which_nobody_said_how_it_is_published_is_told() {
        assert_eq!(
            only(&[("metrics/cases_open.sql", OPEN_CASES)]).await,
            told(
                "metrics/cases_open.sql:1:10",
                "nothing says how \"casewatch_cases_open\" may be published",
                "warning"
            )
        );
    }

    #[tokio::test]
    async fn a_view_that_nobody_reads_is_told_unless_somebody_asks_it() {
        let lonely = OPEN_CASES_VIEW.replace("name: allocation_state", "name: lonely");
        let test = TESTS.replace("view = \"allocation_state\"", "view = \"lonely\"");
        let files = |view| [("views/lonely.sql", view), ("tests/lonely.toml", test.as_str())];
        assert_eq!(
            only(&files(lonely.as_str())).await,
            told("views/lonely.sql:1:10", "nothing reads view \"lonely\"", "warning")
        );
        let asked = lonely.replace("-- why", "-- asked_by: team managers\n-- why");
        assert_eq!(found(&files(asked.as_str())).await, BTreeMap::new());
        let report = ("reports/lonely.sql", "select * from lonely");
        let [view, tests] = files(lonely.as_str());
        assert_eq!(found(&[view, tests, report]).await, BTreeMap::new());
        let tests = test.replace("\"lonely\"", "\"quality.lonely\"");
        assert_eq!(
            only(&[("quality/lonely.sql", &lonely), ("tests/lonely.toml", &tests)]).await,
            told("quality/lonely.sql:1:10", "nothing reads view \"lonely\"", "warning"),
            "a rule whose faults nobody counts"
        );
    }

    #[tokio::test]
    async fn a_view_and_a_metric_without_a_test_are_errors() {
        let none = "[[test]]\nname = \"one\"\nas_of = \"2018-10-17\"\n[[test.expect]]\nsql = \"select 1 as n\"\nrows = [{ n = 1 }]\n";
        let found = found(&[("tests/open.toml", none)]).await;
        let messages: Vec<&str> = found.values().map(|fault| fault.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "no test expects anything of \"casewatch_cases_open\"",
                "no test expects anything of \"allocation_state\""
            ]
        );
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["metrics/cases_open.sql:1:10", "views/allocation_state.sql:1:10"]
        );
    }

    #[tokio::test]
    async fn tests_speak_of_views_metrics_labels_tables_and_columns_that_there_are() {
        let more = |from: &str, to: &str| {
            assert!(TESTS.contains(from), "the test must change the file");
            TESTS.replace(from, to)
        };
        for (from, to, place, message) in [
            (
                "\"allocation_state\"",
                "\"allocation_stat\"",
                "tests/more.toml:7:9",
                "no view is called \"allocation_stat\"",
            ),
            (
                "casewatch_cases_open",
                "casewatch_case_open",
                "tests/more.toml:10:11",
                "no metric is called \"casewatch_case_open\"",
            ),
            (
                "state = \"un",
                "stat = \"un",
                "tests/more.toml:11:14",
                "casewatch_cases_open has no label \"stat\"",
            ),
            ("cases = [", "case = [", "tests/more.toml:5:1", "no table \"case\""),
        ] {
            let tests = more(from, to);
            let (found_at, found_message, severity) = only(&[("tests/more.toml", tests.as_str())]).await;
            assert_eq!(
                (found_at.as_str(), severity.as_str()),
                (place, "error"),
                "{found_message}"
            );
            assert!(found_message.contains(message), "{found_message}");
        }
        let tests = more("{ case_id = \"k1\", authority", "{ case_ids = \"k1\", authority");
        let (place, message, _) = only(&[("tests/more.toml", tests.as_str())]).await;
        assert_eq!(place, "tests/more.toml:5:12");
        assert!(message.contains("case_ids"), "{message}");
    }

    #[tokio::test]
    async fn a_test_file_that_does_not_parse_is_told_at_its_place() {
        let (place, _, severity) = only(&[("tests/more.toml", "[[test]]\nnam = \"one\"\n")]).await;
        assert_eq!((place.as_str(), severity.as_str()), ("tests/more.toml:2:1", "error"));
    }

    #[tokio::test]
    async fn a_parameter_that_no_sql_reads_is_told() {
        let parameters = (
            "parameters.toml",
            "# Not unread_workdays.\ngrace_workdays = 2\nunread_workdays = 3\nruled_hours = 1 # asked_by: rules\n",
        );
        let view = OPEN_CASES_VIEW.replace(
            "from cases c",
            "from (select * from cases where parameter('grace_workdays') > 0) c",
        );
        assert_eq!(
            only(&[parameters, ("views/allocation_state.sql", view.as_str())]).await,
            told(
                "parameters.toml:3:1",
                "no SQL reads parameter('unread_workdays')",
                "warning"
            )
        );
    }

    #[tokio::test]
    async fn a_report_that_does_not_plan_is_an_error() {
        let report = (
            "reports/safety.sql",
            "-- name: safety\nselect worker\nfrom allocation_state",
        );
        let (place, message, _) = only(&[report]).await;
        assert_eq!(
            (place.as_str(), message.as_str()),
            ("reports/safety.sql:2:8", "no column \"worker\"")
        );
    }

    #[tokio::test]
    async fn a_file_is_named_after_what_it_defines_and_a_budget_fits_the_limit() {
        let open_cases = withheld(OPEN_CASES);
        let fixture = Fixture::new(&[("tests/open.toml", TESTS), ("metrics/open.sql", &open_cases)]);
        std::fs::remove_file(fixture.path().join("metrics/cases_open.sql")).unwrap();
        let found = audit(&fixture.checked().await, fixture.path(), Some(1999)).await;
        let messages: Vec<&str> = found.0.iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "\"casewatch_cases_open\" stands in a file of another name",
                "max_series 2000 is above the limit of 1999"
            ]
        );
        assert_eq!((found.0[1].line, found.errors()), (11, 1));
    }
}
