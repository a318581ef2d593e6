//! Metrics at moments of the past: what each gives over a cut of then, or why it gives nothing.
//!
//! A number that nobody knew is told as unknown, with the reason: never zero, and never silently absent (RULES 20).

use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::RecordedAt;
use casewatch_live::Cut;
use casewatch_query::{AsOf, Engine, QueryError, Refresh};
use futures::StreamExt;

use crate::check::{Checked, ReadyQuery};
use crate::definition::MetricDefinition;
use crate::disclosure::PublishedSet;
use crate::runner::run_query;
use crate::samples::SampleSet;

/// How metrics of the past are computed.
#[derive(Debug, Clone)]
pub struct PastOptions {
    /// A query that takes longer fails, alone.
    pub query_deadline: Duration,
    /// Series a query may give, whatever its header says.
    pub max_series: usize,
    /// Queries that run beside each other.
    pub concurrency: usize,
    /// Whether the rows of a table's first snapshot count as known at any moment. The cut is to be made so.
    pub assume_known: bool,
}

/// What a metric is at a moment.
#[derive(Debug, Clone)]
pub enum Reading {
    Samples(Arc<SampleSet>),
    /// As it may be published.
    Published(PublishedSet),
    /// It may not be published, and why.
    Withheld(String),
    /// Known, and without a series.
    NoSeries,
    /// It has no value, and why.
    Unknown(String),
    /// Its query ended with this error.
    Failed(String),
}

#[derive(Debug, Clone)]
pub struct Evaluated {
    pub definition: Arc<MetricDefinition>,
    pub reading: Reading,
    /// Whether it rests on the assumption that first snapshots were always known.
    pub assumed: bool,
}

/// Runs queries of a catalogue over one cut of the past at one moment. Results stand in the order of `queries`.
pub async fn evaluate(
    checked: &Checked,
    queries: &[ReadyQuery],
    cut: &Arc<Cut>,
    as_of: AsOf,
    options: &PastOptions,
) -> Vec<Evaluated> {
    let refresh = Arc::new(checked.engine.refresh_past(Arc::clone(cut), as_of));
    // Collected, lest the closure's lifetimes keep callers from being sent to another thread.
    let runs: Vec<_> = queries
        .iter()
        .map(|ready| evaluate_one(&checked.engine, ready, Arc::clone(&refresh), options))
        .collect();
    futures::stream::iter(runs)
        .buffered(options.concurrency.max(1))
        .collect()
        .await
}

async fn evaluate_one(engine: &Engine, ready: &ReadyQuery, refresh: Arc<Refresh>, options: &PastOptions) -> Evaluated {
    let definition = Arc::clone(&ready.query.definition);
    let (unknown, assumed) = match why_unknown(engine, ready, refresh.cut()) {
        Some(Why::BeforeKnown(_)) if options.assume_known => (None, true),
        Some(Why::BeforeKnown(reason) | Why::Never(reason)) => (Some(reason), false),
        None => (None, false),
    };
    let reading = match unknown {
        Some(reason) => Reading::Unknown(reason),
        None => {
            let run = run_query(ready.clone(), refresh, options.query_deadline, options.max_series);
            match run.await.1.result {
                Ok(set) if set.samples.is_empty() => Reading::NoSeries,
                Ok(set) => Reading::Samples(set),
                Err(error) => Reading::Failed(error),
            }
        }
    };
    Evaluated {
        definition,
        reading,
        assumed,
    }
}

/// Why a metric has no value at a moment.
enum Why {
    /// A table was not known yet; that may be assumed away.
    BeforeKnown(String),
    Never(String),
}

fn why_unknown(engine: &Engine, ready: &ReadyQuery, cut: &Cut) -> Option<Why> {
    if let Some(table) = ready.query.unsupplied_need(cut) {
        return Some(Why::Never(format!("table {table} was never supplied")));
    }
    if ready.prepared.reads_beyond_a_cut() {
        let reason = "it reads history or at(), which no moment of the past bounds";
        return Some(Why::Never(reason.to_owned()));
    }
    let known_at = AsOf(cut.at);
    let refused = |table| engine.check_known(cut, table, known_at).err();
    let latest = ready.query.reads.iter().filter_map(refused).max_by_key(known_from);
    latest.map(|error| {
        Why::BeforeKnown(match error {
            QueryError::Unknown { table, known_from, .. } => format!("table {table} is not known before {known_from}"),
            other => other.to_string(),
        })
    })
}

fn known_from(error: &QueryError) -> Option<RecordedAt> {
    match error {
        QueryError::Unknown { known_from, .. } => Some(*known_from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use casewatch_contract::TableName;
    use casewatch_live::KnownFrom;

    use super::*;
    use crate::definition::tests::OPEN_CASES;
    use crate::fixture::Fixture;

    fn options() -> PastOptions {
        PastOptions {
            query_deadline: Duration::from_secs(60),
            max_series: 1000,
            concurrency: 2,
            assume_known: false,
        }
    }

    async fn readings(files: &[(&str, &str)], change: impl FnOnce(&mut Cut), options: &PastOptions) -> Vec<Evaluated> {
        let fixture = Fixture::new(files);
        let checked = fixture.checked().await;
        let cut = fixture.cut(1, &[("a", Some("w")), ("b", None)]).await;
        let mut cut = Cut::clone(&cut);
        change(&mut cut);
        let as_of = AsOf(cut.at);
        evaluate(&checked, &checked.queries, &Arc::new(cut), as_of, options).await
    }

    fn one(mut evaluated: Vec<Evaluated>) -> Evaluated {
        assert_eq!(evaluated.len(), 1);
        evaluated.remove(0)
    }

    #[tokio::test]
    async fn a_known_metric_gives_its_samples() {
        let found = one(readings(&[], |_| {}, &options()).await);
        let Reading::Samples(set) = found.reading else {
            panic!("{:?}", found.reading)
        };
        assert_eq!((set.samples.len(), found.assumed), (2, false));
    }

    #[tokio::test]
    async fn before_a_table_is_known_a_metric_is_unknown_unless_that_is_assumed_away() {
        let known_later = |cut: &mut Cut| {
            let later = RecordedAt(cut.at.0 + 1);
            cut.known_from.insert(TableName::from("cases"), KnownFrom::At(later));
        };
        let found = one(readings(&[], known_later, &options()).await);
        assert!(
            matches!(&found.reading, Reading::Unknown(reason) if reason.starts_with("table cases is not known before ")),
            "{:?}",
            found.reading
        );
        let assuming = PastOptions {
            assume_known: true,
            ..options()
        };
        let found = one(readings(&[], known_later, &assuming).await);
        assert!(matches!(found.reading, Reading::Samples(_)) && found.assumed);
    }

    #[tokio::test]
    async fn a_table_that_was_never_supplied_cannot_be_assumed_away() {
        let assuming = PastOptions {
            assume_known: true,
            ..options()
        };
        let unsupplied = |cut: &mut Cut| cut.supplied.clear();
        let found = one(readings(&[], unsupplied, &assuming).await);
        assert!(matches!(&found.reading, Reading::Unknown(reason) if reason.ends_with("was never supplied")));
    }

    #[tokio::test]
    async fn what_reads_history_has_no_past_and_what_gives_no_row_says_so_and_what_fails_fails_alone() {
        let named = |name: &str| OPEN_CASES.replace("casewatch_cases_open", name);
        let history = "where case_id in (select case_id from history.cases) group by";
        let history = named("casewatch_ever").replace("group by", history);
        let none = named("casewatch_none").replace("group by", "where 1 = 2 group by");
        let divided = named("casewatch_divided").replace("count(*) as", "1 / (count(*) - count(*)) as");
        let files = [
            ("metrics/a.sql", history.as_str()),
            ("metrics/b.sql", none.as_str()),
            ("metrics/c.sql", divided.as_str()),
        ];
        let found = readings(&files, |_| {}, &options()).await;
        let of = |name: &str| {
            let found = found.iter().find(|found| found.definition.name.name == name);
            found.unwrap().reading.clone()
        };
        assert!(matches!(of("casewatch_ever"), Reading::Unknown(reason) if reason.contains("history")));
        assert!(matches!(of("casewatch_none"), Reading::NoSeries));
        assert!(matches!(of("casewatch_divided"), Reading::Failed(_)));
        assert!(matches!(of("casewatch_cases_open"), Reading::Samples(_)));
    }
}
