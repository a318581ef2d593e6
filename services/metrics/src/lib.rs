//! Metric files to metrics: read, check, run over every cut, expose; and the tests that go with them.
//!
//! A metric is one SQL file whose leading comments are a typed header. This crate reads the directory of them, refuses
//! what cannot be right before it runs, runs the rest over every new cut and each minute, and serves the results.
//!
//! What it promises:
//! - **A scrape never runs SQL.** What answers it holds finished families and no way to an engine.
//! - **One scrape, one cut.** The samples of all queries are swapped in together, so numbers add up.
//! - **Silence is not zero.** A number whose tables were never supplied, are catching up, or have gone silent for longer
//!   than `stale_after` is absent.
//! - **A query fails alone.** It keeps its last value until `stale_after`, then disappears, and says so.
//! - **Nothing private reaches a label**, whatever expressions and views lie between.
//! - **Every fault of the files is told at once**, with file, line, column, what was expected and a hint.
//!
//! What it never does: read the wall clock in a query, name a table or a column of the domain, change a sample that is
//! published, or let one query's result replace another's.
//!
//! In the order in which a metric meets them: `diagnostic` and `header` (text), `definition` and `catalogue` (files),
//! `lineage` and `check` (what may run), `runner` (over each cut) and `reload`, `samples` (a result as a set), `standing` (whether it
//! may be shown), `thresholds` (from when it is too much), `publish` (what scrapes see), `own` (metrics about metrics),
//! `encode` and `http` (bytes), `instance` (how its pipeline stands), and `test_files` (`queries/tests/`). `past` runs them at moments of the past, and `timed`
//! writes many moments as one text. `disclosure` decides what of them may leave the building. `audit` finds what no number
//! depends on but the catalogue needs to be whole, and `page` writes the page of all metrics, with the `formula` of each. `explain` says what a
//! metric is made of.

mod audit;
mod catalogue;
mod check;
mod definition;
mod diagnostic;
mod disclosure;
mod encode;
mod explain;
#[cfg(test)]
mod fixture;
mod formula;
mod header;
mod http;
mod instance;
mod lineage;
mod own;
mod page;
mod past;
mod publish;
mod reload;
mod runner;
mod samples;
mod standing;
pub mod test_files;
mod thresholds;
mod timed;

pub use audit::audit;
pub use catalogue::Catalogue;
pub use check::{Checked, ReadyQuery, load};
pub use definition::{Kind, MetricDefinition, Named, Publication, ViewDefinition, ViewSchema};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, SourceFile, Span, nearest};
pub use disclosure::{PublishedSet, Rules, publish};
pub use encode::Format;
pub use explain::{Explanation, Input, RowsBehind, TableUse, explain};
pub use http::Exposition;
pub use instance::{Instance, Trouble, Troubles};
pub use lineage::{Lineages, Origin, forbidden, scanned_tables};
pub use own::OwnMetrics;
pub use page::page;
pub use past::{Evaluated, PastOptions, Reading, evaluate};
pub use publish::{Published, QueryState, QueryStatus, Readiness, SampleStore, Shown, Status};
pub use reload::{Reload, follow_directory};
pub use runner::{Runner, RunnerOptions};
pub use samples::{Point, Sample, SampleError, SampleSet, Value};
pub use standing::{Outcome, Query, Standings, why_not_ready};
pub use thresholds::{JudgedTier, Thresholds, TierBound, ToldTier};
pub use timed::{TimedFamilies, Written};
