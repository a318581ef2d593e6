//! `queries/tests/*.toml`: given rows of some tables and an as-of, expect rows of a view or samples of a metric.
//!
//! `format` reads the files, `rows` turns their inline rows into tables at a moment, `compare` tells what differs, and
//! `run` puts them through an engine.

mod compare;
mod format;
mod moment;
mod rows;
mod run;

pub use compare::Difference;
pub use format::{Expectation, TestCase, TestFile};
pub(crate) use rows::History;
pub(crate) use run::untested;
pub use run::{TestOutcome, TestRun, load_tests, run_tests};
