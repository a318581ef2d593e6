//! Runs test files through one engine: a new cut for each test, every plan made once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{Contract, RecordedAt};
use casewatch_live::Cut;
use casewatch_query::{AsOf, Prepared, Refresh};

use super::compare::{Difference, ExpectedSamples, compare_rows, compare_samples, rows_of};
use super::format::{Expectation, TestCase, TestFile};
use super::rows::History;
use crate::catalogue::{Catalogue, read_all};
use crate::check::{Checked, sql_fault};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceFile};
use crate::samples::{Sample, SampleSet};
use crate::standing::Standings;

/// How one test ended.
#[derive(Debug)]
pub struct TestOutcome {
    pub file: String,
    pub line: usize,
    pub name: String,
    /// What differed, each as a small table or a message. None: it passed.
    pub problems: Vec<String>,
    pub took: Duration,
}

/// How a run over all files ended.
#[derive(Debug)]
pub struct TestRun {
    pub outcomes: Vec<TestOutcome>,
    /// Views and metrics that no test expects anything of.
    pub untested: Vec<String>,
    pub took: Duration,
}

impl TestRun {
    pub fn failed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.problems.is_empty())
            .count()
    }

    /// What went wrong, then one line of totals, as `casewatch test` prints it.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.problems.is_empty()) {
            text.push_str(&format!("{}:{}: FAILED {}\n", outcome.file, outcome.line, outcome.name));
            for problem in &outcome.problems {
                text.push_str(&format!("  {}\n", problem.replace('\n', "\n  ")));
            }
            text.push('\n');
        }
        let (failed, seconds) = (self.failed(), self.took.as_secs_f64());
        text.push_str(&format!(
            "{} passed, {failed} failed, in {seconds:.2} s",
            self.outcomes.len() - failed
        ));
        if !self.untested.is_empty() {
            text.push_str(&format!("\nwithout a test: {}", self.untested.join(", ")));
        }
        text
    }
}

/// Reads `tests/*.toml` under the directory of queries.
pub fn load_tests(directory: &Path) -> Result<Vec<TestFile>, Diagnostics> {
    let mut faults = Vec::new();
    let files = read_all(directory, "tests", "toml", &mut faults)
        .into_iter()
        .filter_map(|file| TestFile::parse(file, &mut faults))
        .collect();
    if faults.is_empty() {
        Ok(files)
    } else {
        Err(Diagnostics(faults))
    }
}

/// Runs every test whose name or file contains `filter`.
pub async fn run_tests(files: &[TestFile], checked: &Checked, filter: &str) -> TestRun {
    let contract = checked.engine.contract();
    let started = Instant::now();
    let mut bench = Bench {
        contract,
        checked,
        plans: BTreeMap::new(),
        generation: 0,
    };
    let mut outcomes = Vec::new();
    for file in files {
        for test in &file.tests {
            if test.name.contains(filter) || file.file.path.contains(filter) {
                outcomes.push(bench.run(file, test).await);
            }
        }
    }
    TestRun {
        outcomes,
        untested: untested(files, &checked.catalogue),
        took: started.elapsed(),
    }
}

/// Views and metrics that no test expects anything of.
pub(crate) fn untested(files: &[TestFile], catalogue: &Catalogue) -> Vec<String> {
    let expectations = files
        .iter()
        .flat_map(|file| &file.tests)
        .flat_map(|test| &test.expectations);
    let tested: BTreeSet<&str> = expectations
        .map(|expectation| match expectation {
            Expectation::Rows { title, .. } => title.as_str(),
            Expectation::Samples { metric, .. } => metric.as_str(),
        })
        .collect();
    let views = catalogue.views.iter().map(|view| view.qualified_name());
    let names = views.chain(catalogue.metrics.iter().map(|metric| metric.name.name.clone()));
    names.filter(|name| !tested.contains(name.as_str())).collect()
}

struct Bench<'a> {
    contract: &'a Contract,
    checked: &'a Checked,
    /// Plans of statements that tests ask, by their text.
    plans: BTreeMap<String, Arc<Prepared>>,
    generation: u64,
}

impl Bench<'_> {
    async fn run(&mut self, file: &TestFile, test: &TestCase) -> TestOutcome {
        let started = Instant::now();
        let problems = match self.cut(file, test).await {
            Err(problems) => problems,
            Ok(cut) => self.expectations(file, test, cut).await,
        };
        TestOutcome {
            file: file.file.path.to_string(),
            line: test.span.line,
            name: test.name.clone(),
            problems,
            took: started.elapsed(),
        }
    }

    async fn cut(&mut self, file: &TestFile, test: &TestCase) -> Result<Arc<Cut>, Vec<String>> {
        let told = |faults: Vec<Diagnostic>| faults.iter().map(Diagnostic::to_string).collect::<Vec<_>>();
        let history = History::read(file, test, self.contract).map_err(told)?;
        self.generation += 1;
        history
            .cut(test, self.contract, self.generation)
            .await
            .map(Arc::new)
            .map_err(|error| vec![error])
    }

    async fn expectations(&mut self, file: &TestFile, test: &TestCase, cut: Arc<Cut>) -> Vec<String> {
        let refresh = self
            .checked
            .engine
            .refresh_past(Arc::clone(&cut), AsOf(RecordedAt(test.as_of)));
        let mut problems = Vec::new();
        for expectation in &test.expectations {
            let difference = match expectation {
                Expectation::Rows { .. } => self.rows(expectation, &refresh).await,
                Expectation::Samples { .. } => self.samples(expectation, &refresh, &cut).await,
            };
            match difference {
                Ok(None) => {}
                Ok(Some(difference)) => problems.push(difference.to_string()),
                Err(problem) => problems.push(self.placed(file, test, problem)),
            }
        }
        problems
    }

    /// A complaint that names no place gets that of the test.
    fn placed(&self, file: &TestFile, test: &TestCase, problem: Problem) -> String {
        match problem {
            Problem::Told(message) => message,
            Problem::Unknown { name, known } => {
                let span = file.file.find_word(&name, test.span.line).unwrap_or(test.span);
                let fault = file.file.fault(span, format!("no metric \"{name}\""));
                fault.suggest(&name, known.iter().map(String::as_str)).to_string()
            }
        }
    }

    async fn rows(&mut self, expectation: &Expectation, refresh: &Refresh) -> Result<Option<Difference>, Problem> {
        let Expectation::Rows {
            sql,
            title,
            columns,
            rows,
            ordered,
            tolerance,
            ..
        } = expectation
        else {
            return Ok(None);
        };
        let prepared = match self.plans.get(sql) {
            Some(prepared) => Arc::clone(prepared),
            None => {
                let statement = SourceFile::new(title.as_str(), sql.as_str());
                let prepared = self.checked.engine.prepare(sql).await;
                let prepared = prepared.map_err(|error| Problem::Told(sql_fault(&statement, 1, &error).to_string()))?;
                Arc::clone(self.plans.entry(sql.clone()).or_insert(Arc::new(prepared)))
            }
        };
        let batches = prepared
            .run(refresh)
            .await
            .map_err(|error| Problem::Told(format!("{title}: {error}")))?;
        let actual = rows_of(&batches).map_err(|error| Problem::Told(format!("{title}: {error}")))?;
        Ok(compare_rows(title, columns, rows, &actual, *ordered, *tolerance))
    }

    async fn samples(
        &self,
        expectation: &Expectation,
        refresh: &Refresh,
        cut: &Cut,
    ) -> Result<Option<Difference>, Problem> {
        let Expectation::Samples {
            metric,
            labels,
            samples,
            absent,
            none,
            tolerance,
            ..
        } = expectation
        else {
            return Ok(None);
        };
        let Some(ready) = self.checked.queries.iter().find(|ready| ready.query.name() == metric) else {
            let known = self
                .checked
                .queries
                .iter()
                .map(|ready| ready.query.name().to_owned())
                .collect();
            return Err(Problem::Unknown {
                name: metric.clone(),
                known,
            });
        };
        let told = |error: &dyn std::fmt::Display| Problem::Told(format!("{metric}: {error}"));
        let mut all: Vec<Sample> = Vec::new();
        if Standings::may_run(&ready.query, cut) {
            let batches = ready.prepared.run(refresh).await.map_err(|error| told(&error))?;
            let definition = Arc::clone(&ready.query.definition);
            let set = SampleSet::from_batches(definition, refresh.as_of(), &batches).map_err(|error| told(&error))?;
            all = set.samples;
        }
        let names: Vec<String> = ready.query.definition.label_names().map(str::to_owned).collect();
        let is_looked_at = |sample: &&Sample| {
            labels.iter().all(|(name, value)| {
                let index = names.iter().position(|label| label == name);
                index.is_some_and(|index| sample.labels[index] == *value)
            })
        };
        let looked_at: Vec<&Sample> = all.iter().filter(is_looked_at).collect();
        let expected = ExpectedSamples {
            samples,
            absent,
            none: *none,
            tolerance: *tolerance,
        };
        Ok(compare_samples(metric, &names, &expected, &looked_at))
    }
}

enum Problem {
    Told(String),
    Unknown { name: String, known: Vec<String> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const TESTS: &str = r#"
[given]
cases = [{ case_id = "k1", authority = "north" }, { case_id = "k2", authority = "north" }]

[[test]]
name = "a case without a holder is unallocated"
as_of = "2018-10-17"
[test.tables]
allocations = [{ case_id = "k1", worker_id = "w1" }]
[[test.expect]]
view = "allocation_state"
rows = [{ case_id = "k1", state = "allocated" }, { case_id = "k2", state = "unallocated" }]
[[test.expect]]
metric = "casewatch_cases_open"
samples = [{ state = "allocated", value = 1 }, { state = "unallocated", value = 1 }]
[[test.expect]]
sql = "select count(*) as n from allocation_state where state = 'allocated'"
rows = [{ n = 1 }]

[[test]]
name = "what was recorded later is not known yet"
as_of = "2018-10-17"
known_at = "2018-10-20"
[test.tables]
allocations = [{ case_id = "k1", worker_id = "w1", _recorded_at = "2018-10-22" }]
[[test.expect]]
metric = "casewatch_cases_open"
where = { authority = "north" }
samples = [{ state = "unallocated", value = 2 }]

[[test]]
name = "absent while a table it needs was never supplied"
as_of = "2018-10-17"
not_supplied = ["allocations"]
[[test.expect]]
metric = "casewatch_cases_open"
all_absent = true
"#;

    async fn run(tests: &str) -> TestRun {
        let fixture = Fixture::new(&[("tests/allocation.toml", tests)]);
        let checked = fixture.checked().await;
        let files = load_tests(fixture.path()).unwrap_or_else(|faults| panic!("{faults}"));
        run_tests(&files, &checked, "").await
    }

    #[tokio::test]
    async fn tests_of_views_metrics_and_sql_pass_over_given_rows() {
        let run = run(TESTS).await;
        assert_eq!((run.outcomes.len(), run.failed()), (3, 0), "{}", run.report());
        assert_eq!(run.untested, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_failing_test_shows_what_differs_as_a_small_table() {
        let run = run(&TESTS.replace("state = \"unallocated\" }]", "state = \"nominal\" }]")).await;
        assert_eq!(run.failed(), 1);
        let expected = "\
/tests/allocation.toml:6: FAILED a case without a holder is unallocated
  allocation_state: 1 row missing, 1 row not expected
      | case_id | state
    - | k2      | nominal
    + | k2      | unallocated
";
        assert!(run.report().contains(expected), "{}", run.report());
        assert!(run.report().contains("2 passed, 1 failed"));
    }

    #[tokio::test]
    async fn wrong_names_are_told_with_their_place_and_a_hint() {
        let run = run(&TESTS.replace("casewatch_cases_open\"\nwhere", "casewatch_case_open\"\nwhere")).await;
        assert!(
            run.report().contains("did you mean \"casewatch_cases_open\"?"),
            "{}",
            run.report()
        );
        let run = self::run(&TESTS.replace("view = \"allocation_state\"", "view = \"allocation_stat\"")).await;
        assert!(run.report().contains("allocation_stat"), "{}", run.report());
    }

    #[tokio::test]
    async fn the_repositorys_own_tests_pass() {
        let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../queries");
        let contract = Arc::new(crate::lineage::tests::contract());
        let checked = crate::check::load(crate::fixture::engine_config(&queries, &contract)).await;
        let checked = checked.unwrap_or_else(|faults| panic!("{faults}"));
        let files = load_tests(&queries).unwrap_or_else(|faults| panic!("{faults}"));
        let run = run_tests(&files, &checked, "").await;
        println!("{}", run.report());
        assert!(run.outcomes.len() >= 10 && run.failed() == 0, "{}", run.report());
    }
}
