//! A walk through the past of a lake: from moment to moment, what the chosen metrics are at each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::Contract;
use casewatch_lake::Lake;
use casewatch_live::{Cut, Replay, Versions};
use casewatch_metrics::{Checked, Evaluated, MetricDefinition, PastOptions, ReadyQuery, evaluate, nearest, publish};
use casewatch_query::{AsOf, Clock, EngineConfig, LakeHistory, Limits};
use futures::FutureExt;
use futures::future::{self, BoxFuture};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::moments::Moment;
use crate::cli::PastArgs;
use crate::failure::Failure;
use crate::offline::{FoldedLake, open_lake};
use crate::system::register_lake_tables;

/// Nobody waits for a scrape here; a query that takes longer will not end.
const QUERY_DEADLINE: Duration = Duration::from_secs(600);
const QUERY_MEMORY_BYTES: usize = 2 << 30;
/// How many names a hint shows.
const SUGGESTIONS: usize = 5;

/// Metrics over a lake, and the history behind them at the last moment that was asked for.
pub struct Walk {
    checked: Checked,
    queries: Vec<ReadyQuery>,
    lake: Arc<Lake>,
    replay: Replay,
    known_at: Option<Moment>,
    options: PastOptions,
    audience: Audience,
}

/// For whom numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Inside,
    Public,
}

/// What the metrics are at a moment.
pub struct Seen {
    pub as_of: Moment,
    pub known_at: Moment,
    pub metrics: Vec<Evaluated>,
}

/// What the metrics are at a moment, once it is judged what of it may be shown.
pub type InTheMaking = BoxFuture<'static, Seen>;

impl Walk {
    /// # Errors
    /// Schemas, queries or a lake that cannot be read, a name that no metric has, a moment that is none.
    pub async fn open(args: &PastArgs) -> Result<Self, Failure> {
        Self::open_for(args, |checked| chosen(checked, &args.names)).await
    }

    /// The same over the metrics that `choose` takes of the catalogue.
    ///
    /// # Errors
    /// As [`Walk::open`], and those of `choose`.
    pub async fn open_for(
        args: &PastArgs,
        choose: impl FnOnce(&Checked) -> Result<Vec<ReadyQuery>, Failure>,
    ) -> Result<Self, Failure> {
        let known_at = args.known_at.as_deref();
        let known_at = known_at.map(|text| Moment::parse("--known-at", text)).transpose()?;
        let contract = Arc::new(args.folders.contract()?);
        let lake = open_lake(&args.lake).await?;
        let base = FoldedLake::of(&contract, &lake).await?.cut;
        if let Some(reason) = &base.stopped {
            return Err(Failure::failed(reason));
        }
        let checked = load_over(&contract, &lake, &base, &args.folders.queries).await?;
        register_lake_tables(&checked.engine, &lake);
        let queries = choose(&checked)?;
        tell_degraded(&queries, &base);
        let versions = known_at
            .as_ref()
            .map_or(Versions::AsKnownThen, |known_at| Versions::KnownAt(known_at.at.0));
        let replay = Replay::new(&contract, Arc::clone(&lake), versions, base, args.assume_known);
        Ok(Self {
            checked,
            queries,
            lake,
            replay: replay.await.map_err(Failure::failed)?,
            known_at,
            options: options(args.assume_known),
            audience: Audience::Inside,
        })
    }

    /// The same, of which nothing gives anybody away.
    pub fn for_publication(self) -> Self {
        Self {
            audience: Audience::Public,
            ..self
        }
    }

    /// How many moments may be in the making while the next is set out for: judging has a thread of its own each.
    pub fn moments_ahead(&self) -> usize {
        match self.audience {
            Audience::Inside => 0,
            Audience::Public => self.options.concurrency,
        }
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    pub fn definitions(&self) -> impl Iterator<Item = Arc<MetricDefinition>> {
        self.queries.iter().map(|ready| Arc::clone(&ready.query.definition))
    }

    pub fn lake(&self) -> Arc<Lake> {
        Arc::clone(&self.lake)
    }

    /// The newest recorded time in the lake: what happened later is not in any number.
    pub fn lake_ends_at(&self) -> AsOf {
        AsOf(self.checked.engine.cut().at)
    }

    /// What the metrics are at a moment, which is later than the one before.
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn go_to(&mut self, as_of: Moment) -> Result<Seen, Failure> {
        Ok(self.set_out(as_of).await?.await)
    }

    /// The same, as something that may still be in the making while the walk goes on to the next moment: what may be
    /// published is judged beside the queries of the moments that follow.
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn set_out(&mut self, as_of: Moment) -> Result<InTheMaking, Failure> {
        let at = as_of.at;
        let cut = self.replay.advance_to(at.0).await.map_err(Failure::failed)?;
        let known_at = self.known_at.as_ref().unwrap_or(&as_of).clone();
        let seen = |metrics| Seen {
            as_of,
            known_at,
            metrics,
        };
        Ok(match self.audience {
            Audience::Inside => {
                let metrics = evaluate(&self.checked, &self.queries, &cut, at, &self.options).await;
                future::ready(seen(metrics)).boxed()
            }
            Audience::Public => {
                let judged = self.judge(&cut, at).await;
                async move { seen(judged.await.expect("it neither panics nor is it cancelled")) }.boxed()
            }
        })
    }

    /// Whatever was asked for, all that may be published is looked at together: what is withheld from one must not be
    /// shown to another.
    async fn judge(&self, cut: &Arc<Cut>, as_of: AsOf) -> JoinHandle<Vec<Evaluated>> {
        let metrics = evaluate(&self.checked, &self.checked.queries, cut, as_of, &self.options).await;
        let catalogue = Arc::clone(&self.checked.catalogue);
        let chosen: Vec<String> = self.queries.iter().map(|ready| ready.query.name().to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let published = publish(metrics, &catalogue.publication).into_iter();
            let mut published: BTreeMap<String, Evaluated> = published
                .map(|evaluated| (evaluated.definition.name.name.clone(), evaluated))
                .collect();
            chosen.iter().filter_map(|name| published.remove(name)).collect()
        })
    }
}

fn options(assume_known: bool) -> PastOptions {
    PastOptions {
        query_deadline: QUERY_DEADLINE,
        max_series: usize::MAX,
        concurrency: std::thread::available_parallelism().map_or(1, usize::from),
        assume_known,
    }
}

/// The queries of a folder, checked, over a lake as it was folded.
///
/// # Errors
/// Queries that are refused.
pub async fn load_over(
    contract: &Arc<Contract>,
    lake: &Arc<Lake>,
    cut: &Arc<Cut>,
    queries: &Path,
) -> Result<Checked, Failure> {
    let (_, cuts) = watch::channel(Arc::clone(cut));
    let limits = Limits {
        total_memory_bytes: 2 * QUERY_MEMORY_BYTES,
        catalogue_time: QUERY_DEADLINE,
        catalogue_memory_bytes: QUERY_MEMORY_BYTES,
        session_time: QUERY_DEADLINE,
        session_memory_bytes: QUERY_MEMORY_BYTES,
        session_rows: usize::MAX,
        ..Limits::default()
    };
    let checked = casewatch_metrics::load(EngineConfig {
        contract: Arc::clone(contract),
        lake: Some(Arc::new(LakeHistory(Arc::clone(lake)))),
        tail: None,
        cuts,
        queries: queries.to_owned(),
        limits,
        clock: Clock::Feed,
        references: None,
    });
    checked.await.map_err(Failure::usage)
}

/// What metrics are over one cut at one moment.
pub async fn evaluate_with(checked: &Checked, queries: &[ReadyQuery], cut: &Arc<Cut>, as_of: AsOf) -> Vec<Evaluated> {
    evaluate(checked, queries, cut, as_of, &options(false)).await
}

/// The metrics of these names, in their order; without any, all.
///
/// # Errors
/// A name that no metric has, with those that are near.
pub fn chosen(checked: &Checked, names: &[String]) -> Result<Vec<ReadyQuery>, Failure> {
    if names.is_empty() {
        return Ok(checked.queries.clone());
    }
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for name in names.iter().filter(|name| seen.insert(name.as_str())) {
        let found = checked.queries.iter().find(|ready| ready.query.name() == name);
        match found {
            Some(ready) => chosen.push(ready.clone()),
            None => {
                return Err(no_such_metric(
                    name,
                    checked.queries.iter().map(|ready| ready.query.name()),
                ));
            }
        }
    }
    Ok(chosen)
}

fn no_such_metric<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let prefixed = format!("casewatch_{name}");
    let near = nearest(name, known.iter().copied()).or_else(|| nearest(&prefixed, known.iter().copied()));
    let alike = known
        .iter()
        .copied()
        .filter(|known| known.contains(name) && Some(*known) != near);
    let suggested: Vec<&str> = near.into_iter().chain(alike).take(SUGGESTIONS).collect();
    let hint = match suggested.as_slice() {
        [] => {
            "`casewatch metrics` without a name evaluates all; each is named at the top of its file in queries/metrics"
                .to_owned()
        }
        suggested => format!("did you mean {}?", suggested.join(", ")),
    };
    Failure::usage(format!("no metric is called {name}\nhint: {hint}"))
}

/// Says which tables count as empty because nobody ever supplied them (RULES 21).
fn tell_degraded(queries: &[ReadyQuery], base: &Cut) {
    let mut degraded: BTreeMap<String, usize> = BTreeMap::new();
    let runs = queries.iter().filter(|ready| !ready.query.lacks_a_need(base));
    for table in runs.flat_map(|ready| ready.query.degraded(base)) {
        *degraded.entry(table).or_default() += 1;
    }
    for (table, metrics) in degraded {
        eprintln!("note: table {table} was never supplied; it counts as empty in {metrics} metrics");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = [
        "casewatch_cases_open",
        "casewatch_cases_no_holder",
        "casewatch_referrals",
    ];

    fn hint(name: &str) -> String {
        let failure = no_such_metric(name, KNOWN.into_iter());
        failure.message.split_once("\nhint: ").unwrap().1.to_owned()
    }

    #[test]
    fn a_name_that_no_metric_has_brings_those_that_are_near() {
        assert_eq!(hint("casewatch_case_open"), "did you mean casewatch_cases_open?");
        assert_eq!(hint("cases_no_holder"), "did you mean casewatch_cases_no_holder?");
        assert_eq!(
            hint("cases"),
            "did you mean casewatch_cases_open, casewatch_cases_no_holder?"
        );
        assert!(hint("weather").contains("without a name evaluates all"));
    }
}
