//! A directory of queries with an engine over it, for this crate's tests.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use casewatch_contract::Contract;
use casewatch_live::Cut;
use casewatch_query::{Clock, EngineConfig, Limits};
use tokio::sync::watch;

use crate::check::{Checked, load};
use crate::definition::tests::OPEN_CASES;
use crate::diagnostic::{Diagnostics, SourceFile};
use crate::lineage::tests::contract;
use crate::test_files::{History, TestFile};

pub(crate) const OPEN_CASES_VIEW: &str = "\
-- name: allocation_state
-- row: an open case and its state
-- why: for tests
select c.authority, c.case_id, c.child_id, a.worker_id,
  case when a.worker_id is null then 'unallocated' else 'allocated' end as state
from cases c left join allocations a on a.case_id = c.case_id
";

pub(crate) struct Fixture {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) contract: Arc<Contract>,
}

impl Fixture {
    /// The view and the metric of open cases, and more files or others in their place.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self {
            directory,
            contract: Arc::new(contract()),
        };
        fixture.write("metrics/cases_open.sql", OPEN_CASES);
        fixture.write("views/allocation_state.sql", OPEN_CASES_VIEW);
        files.iter().for_each(|(name, text)| fixture.write(name, text));
        fixture
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) async fn check(&self) -> Result<Checked, Diagnostics> {
        load(engine_config(self.path(), &self.contract)).await
    }

    pub(crate) async fn checked(&self) -> Checked {
        self.check().await.unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// Every table supplied and caught up, with these cases, each with its worker.
    pub(crate) async fn cut(&self, generation: u64, cases: &[(&str, Option<&str>)]) -> Arc<Cut> {
        let mut text = "[[test]]\nname = \"cut\"\nas_of = \"2018-10-17\"\n".to_owned();
        for (case, worker) in cases {
            write!(
                text,
                "[[test.tables.cases]]\ncase_id = {case:?}\nauthority = \"north\"\n"
            )
            .unwrap();
            if let Some(worker) = worker {
                write!(
                    text,
                    "[[test.tables.allocations]]\ncase_id = {case:?}\nworker_id = {worker:?}\n"
                )
                .unwrap();
            }
        }
        text.push_str("[[test.expect]]\nsql = \"select 1\"\nrows = []\n");
        let mut faults = Vec::new();
        let file =
            TestFile::parse(SourceFile::new("cut.toml", text), &mut faults).unwrap_or_else(|| panic!("{faults:?}"));
        let history =
            History::read(&file, &file.tests[0], &self.contract).unwrap_or_else(|faults| panic!("{faults:?}"));
        Arc::new(history.cut(&file.tests[0], &self.contract, generation).await.unwrap())
    }
}

pub(crate) fn engine_config(queries: &Path, contract: &Arc<Contract>) -> EngineConfig {
    let (_, cuts) = watch::channel(Arc::new(Cut::empty()));
    EngineConfig {
        contract: Arc::clone(contract),
        lake: None,
        tail: None,
        cuts,
        queries: queries.to_owned(),
        limits: Limits::default(),
        clock: Clock::Feed,
        references: None,
    }
}
