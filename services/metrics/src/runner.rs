//! Runs every query over each new cut and each minute, and swaps the results in whole.
//!
//! One pass at a time, always over the newest cut; a pass rests as long as it worked (up to a second), so that a busy
//! feed takes at most half of the runtime it is given. Queries run beside each other, each with its own deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_live::Cut;
use casewatch_query::{AsOf, Clock, Refresh};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::check::{Checked, ReadyQuery};
use crate::own::OwnMetrics;
use crate::publish::{SampleStore, Status};
use crate::reload::Reload;
use crate::samples::SampleSet;
use crate::standing::{Outcome, Query, Standings};

/// How the runner runs.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// The engine's.
    pub clock: Clock,
    /// A query that takes longer fails, alone.
    pub query_deadline: Duration,
    /// Series a query may give, whatever its header says.
    pub max_series: usize,
    /// Queries that run beside each other.
    pub concurrency: usize,
    /// A pass is made at least this often: a grace period expires without an event.
    pub interval: Duration,
    pub version: String,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            query_deadline: Duration::from_secs(10),
            max_series: 10_000,
            concurrency: 2,
            interval: Duration::from_secs(60),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The longest rest between passes.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The one writer of a [`SampleStore`].
pub struct Runner {
    options: RunnerOptions,
    store: Arc<SampleStore>,
    own: OwnMetrics,
    checked: Checked,
    standings: Standings,
    /// The newest cut whose freshness was observed.
    seen_generation: u64,
    /// Why the queries on disk do not run, where they do not.
    refused_reload: Option<String>,
}

impl Runner {
    pub fn new(checked: Checked, store: Arc<SampleStore>, own: OwnMetrics, options: RunnerOptions) -> Self {
        let standings = Standings::new(options.clock.clone());
        let mut runner = Self {
            options,
            store,
            own,
            checked,
            standings,
            seen_generation: 0,
            refused_reload: None,
        };
        runner.standings.replace(runner.queries());
        runner
    }

    /// Runs until the sender of cuts is gone. Dropping the future stops it at once: results appear only whole.
    /// `catalogues` brings other catalogues to run, or why the one on disk was refused.
    pub async fn run(mut self, mut cuts: watch::Receiver<Arc<Cut>>, mut catalogues: watch::Receiver<Reload>) {
        let mut ticks = tokio::time::interval(self.options.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reloads_end = false;
        loop {
            tokio::select! {
                changed = cuts.changed() => if changed.is_err() { return },
                _ = ticks.tick() => {}
                changed = catalogues.changed(), if !reloads_end => match changed {
                    Ok(()) => {
                        let next = catalogues.borrow_and_update().clone();
                        self.reload(next);
                    }
                    Err(_) => reloads_end = true,
                },
            }
            let started = Instant::now();
            let cut = Arc::clone(&cuts.borrow_and_update());
            self.pass(cut).await;
            tokio::time::sleep(started.elapsed().min(LONGEST_REST)).await;
        }
    }

    /// Runs every query over one cut and publishes what came of it.
    pub async fn pass(&mut self, cut: Arc<Cut>) {
        let now = RecordedAt::now();
        let mut by_as_of: BTreeMap<AsOf, Vec<ReadyQuery>> = BTreeMap::new();
        for ready in &self.checked.queries {
            if Standings::may_run(&ready.query, &cut) {
                let as_of = match self.options.clock {
                    Clock::Feed => AsOf(cut.at),
                    Clock::Wall { .. } => self.checked.engine.now(&cut, &ready.query.reads).min(AsOf(now)),
                };
                by_as_of.entry(as_of).or_default().push(ready.clone());
            }
        }
        for (as_of, queries) in by_as_of {
            let refresh = Arc::new(self.checked.engine.refresh(Arc::clone(&cut), as_of));
            self.run_group(queries, refresh, now).await;
        }
        let as_of = match self.options.clock {
            Clock::Feed => cut.at,
            Clock::Wall { .. } => now,
        };
        let base = Status {
            catalogue: self.checked.catalogue.hash.clone(),
            version: self.options.version.clone(),
            refused_reload: self.refused_reload.clone(),
            ..Status::default()
        };
        let published = self.standings.published(&cut, as_of, now, &base);
        let published = published
            .with_thresholds(&self.checked.catalogue.thresholds)
            .with_parameters(self.checked.engine.parameters());
        self.store.publish(published);
        self.observe_freshness(&cut);
    }

    /// Every query of one `as_of`, beside each other.
    async fn run_group(&mut self, queries: Vec<ReadyQuery>, refresh: Arc<Refresh>, now: RecordedAt) {
        let (deadline, max_series) = (self.options.query_deadline, self.options.max_series);
        let runs = queries
            .into_iter()
            .map(|ready| run_query(ready, Arc::clone(&refresh), deadline, max_series));
        let mut ended = futures::stream::iter(runs).buffer_unordered(self.options.concurrency.max(1));
        while let Some((name, outcome)) = ended.next().await {
            self.record(&name, outcome, now);
        }
    }

    fn record(&mut self, name: &str, outcome: Outcome, now: RecordedAt) {
        self.own.observe_query(name, outcome.seconds);
        let failed_before = self.standings.error(name).is_some();
        match &outcome.result {
            Err(error) if !failed_before => tracing::warn!(query = name, %error, "a query fails"),
            Ok(_) if failed_before => tracing::info!(query = name, "a query works again"),
            _ => {}
        }
        self.standings.record(name, outcome, now);
    }

    /// From the newest change to the samples being ready to scrape. Under the feed's clock recorded times are not of
    /// our days, so the time of reading stands for them.
    fn observe_freshness(&mut self, cut: &Cut) {
        if !cut.caught_up || cut.generation == self.seen_generation {
            return;
        }
        self.seen_generation = cut.generation;
        let newest = match self.options.clock {
            Clock::Wall { .. } => Some(cut.at),
            Clock::Feed => cut.source_freshness.values().map(|source| source.heard_at).max(),
        };
        if let Some(newest) = newest {
            let micros = RecordedAt::now().0.saturating_sub(newest.0).max(0);
            self.own.observe_freshness(micros as f64 / 1e6);
        }
    }

    fn reload(&mut self, next: Reload) {
        match next {
            Some(Ok(checked)) => {
                let gone: Vec<String> = self
                    .checked
                    .queries
                    .iter()
                    .map(|ready| ready.query.name())
                    .filter(|name| !checked.queries.iter().any(|ready| ready.query.name() == *name))
                    .map(str::to_owned)
                    .collect();
                gone.iter().for_each(|name| self.own.forget_query(name));
                tracing::info!(hash = %checked.catalogue.hash, queries = checked.queries.len(), "queries reloaded");
                self.checked = checked;
                self.refused_reload = None;
                self.standings.replace(self.queries());
            }
            Some(Err(reason)) => {
                tracing::warn!(%reason, "queries on disk are refused; the last good ones run");
                self.refused_reload = Some(reason);
            }
            None => {}
        }
    }

    fn queries(&self) -> Vec<Query> {
        self.checked.queries.iter().map(|ready| ready.query.clone()).collect()
    }
}

/// Runs a query on a task of its own: some joins do not stop when asked, and must not hold up the pass. Dropping the
/// set of one task aborts it.
pub(crate) async fn run_query(
    ready: ReadyQuery,
    refresh: Arc<Refresh>,
    deadline: Duration,
    max_series: usize,
) -> (String, Outcome) {
    let started = Instant::now();
    let name = ready.query.name().to_owned();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let batches = ready.prepared.run(&refresh).await.map_err(|error| error.to_string())?;
        let set = SampleSet::from_batches(Arc::clone(&ready.query.definition), refresh.as_of(), &batches);
        match set {
            Ok(set) if set.series() > max_series => Err(format!(
                "{} series are more than limits.metric_series {max_series}",
                set.series()
            )),
            set => set.map(Arc::new).map_err(|error| error.to_string()),
        }
    });
    let result = match tokio::time::timeout(deadline, task.join_next()).await {
        Ok(Some(Ok(result))) => result,
        Ok(Some(Err(error))) => Err(format!("its task ended: {error}")),
        Ok(None) => unreachable!("the set holds one task"),
        Err(_) => Err(format!(
            "took longer than {} s and was cancelled",
            deadline.as_secs_f64()
        )),
    };
    (
        name,
        Outcome {
            result,
            seconds: started.elapsed().as_secs_f64(),
        },
    )
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::definition::tests::OPEN_CASES;
    use crate::encode::Format;
    use crate::fixture::Fixture;
    use crate::http::Exposition;
    use crate::publish::{QueryState, Readiness};

    struct Bench {
        fixture: Fixture,
        runner: Runner,
        store: Arc<SampleStore>,
        exposition: Exposition,
    }

    async fn bench(files: &[(&str, &str)]) -> Bench {
        bench_with(
            files,
            RunnerOptions {
                clock: Clock::Feed,
                ..RunnerOptions::default()
            },
        )
        .await
    }

    async fn bench_with(files: &[(&str, &str)], options: RunnerOptions) -> Bench {
        let fixture = Fixture::new(files);
        let registry = Registry::new();
        let own = OwnMetrics::register(&registry).unwrap();
        let store = SampleStore::new(&options.version);
        let exposition = Exposition::new(registry, Arc::clone(&store), Arc::new(Readiness::default())).unwrap();
        let runner = Runner::new(fixture.checked().await, Arc::clone(&store), own, options);
        Bench {
            fixture,
            runner,
            store,
            exposition,
        }
    }

    impl Bench {
        fn text(&self) -> String {
            self.exposition.encode(Format::Text)
        }

        fn state(&self, query: &str) -> (QueryState, Option<String>) {
            let published = self.store.current();
            let status = published
                .status
                .queries
                .iter()
                .find(|status| status.name == query)
                .unwrap();
            (status.state, status.error.clone())
        }
    }

    const ALLOCATED: &str = "casewatch_cases_open{authority=\"north\",state=\"allocated\"}";
    const UNALLOCATED: &str = "casewatch_cases_open{authority=\"north\",state=\"unallocated\"}";

    #[tokio::test]
    async fn each_cut_replaces_every_sample_of_the_one_before() {
        let mut bench = bench(&[]).await;
        let cut = bench
            .fixture
            .cut(1, &[("a", Some("w")), ("b", Some("w")), ("c", None)])
            .await;
        bench.runner.pass(cut).await;
        assert!(
            bench.text().contains(&format!("{ALLOCATED} 2\n")) && bench.text().contains(&format!("{UNALLOCATED} 1\n"))
        );
        let cut = bench.fixture.cut(2, &[("a", Some("w"))]).await;
        bench.runner.pass(cut).await;
        assert!(bench.text().contains(&format!("{ALLOCATED} 1\n")));
        assert!(
            !bench.text().contains(UNALLOCATED),
            "a state without a case is gone at once"
        );
        assert!(bench.text().contains("casewatch_freshness_seconds_count 2\n") || bench.runner.seen_generation == 2);
    }

    #[tokio::test]
    async fn a_query_that_fails_fails_alone() {
        let twice = OPEN_CASES
            .replace("casewatch_cases_open", "casewatch_twice")
            .replace("group by authority, state", "group by authority, state, case_id");
        let over = OPEN_CASES
            .replace("casewatch_cases_open", "casewatch_over")
            .replace("max_series: 2000", "max_series: 1");
        let divided = OPEN_CASES
            .replace("casewatch_cases_open", "casewatch_divided")
            .replace("count(*) as", "1 / (count(*) - count(*)) as");
        let files = [
            ("metrics/twice.sql", twice),
            ("metrics/over.sql", over),
            ("metrics/divided.sql", divided),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let mut bench = bench(&files).await;
        let cut = bench
            .fixture
            .cut(1, &[("a", Some("w")), ("b", Some("w")), ("c", None)])
            .await;
        bench.runner.pass(cut).await;
        assert_eq!(bench.state("casewatch_cases_open"), (QueryState::Ok, None));
        for (query, why) in [
            ("twice", "two rows have the labels"),
            ("over", "more than max_series 1"),
            ("divided", "zero"),
        ] {
            let (state, error) = bench.state(&format!("casewatch_{query}"));
            assert_eq!(state, QueryState::Failed);
            assert!(
                error.as_deref().is_some_and(|error| error.to_lowercase().contains(why)),
                "{error:?}"
            );
        }
        assert!(bench.text().contains(&format!("{ALLOCATED} 2\n")));
        assert!(!bench.text().contains("casewatch_twice{"));
    }

    #[tokio::test]
    async fn no_query_gives_more_series_than_the_system_allows() {
        let options = RunnerOptions {
            clock: Clock::Feed,
            max_series: 1,
            ..RunnerOptions::default()
        };
        let mut bench = bench_with(&[], options).await;
        let cut = bench.fixture.cut(1, &[("a", Some("w"))]).await;
        bench.runner.pass(cut).await;
        assert_eq!(bench.state("casewatch_cases_open"), (QueryState::Ok, None));
        let cut = bench.fixture.cut(2, &[("a", Some("w")), ("b", None)]).await;
        bench.runner.pass(cut).await;
        let (state, error) = bench.state("casewatch_cases_open");
        let why = "2 series are more than limits.metric_series 1";
        assert_eq!((state, error.as_deref()), (QueryState::Failed, Some(why)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_query_over_its_deadline_is_cancelled_and_the_others_run() {
        let slow = OPEN_CASES.replace("casewatch_cases_open", "casewatch_slow").replace(
            "from allocation_state",
            "from allocation_state cross join generate_series(1, 3000) a cross join generate_series(1, 20000) b",
        );
        let options = RunnerOptions {
            clock: Clock::Feed,
            query_deadline: Duration::from_millis(200),
            ..RunnerOptions::default()
        };
        let mut bench = bench_with(&[("metrics/slow.sql", &slow)], options).await;
        let cut = bench.fixture.cut(1, &[("a", Some("w"))]).await;
        let started = Instant::now();
        bench.runner.pass(cut).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(bench.state("casewatch_cases_open").0, QueryState::Ok);
        let (state, error) = bench.state("casewatch_slow");
        assert_eq!(
            (state, error.as_deref()),
            (QueryState::Failed, Some("took longer than 0.2 s and was cancelled"))
        );
    }

    #[tokio::test]
    async fn nothing_of_the_domain_is_shown_while_catching_up() {
        let mut bench = bench(&[]).await;
        let cut = bench.fixture.cut(1, &[("a", Some("w"))]).await;
        let behind = Arc::new(Cut {
            caught_up: false,
            ..cut.as_ref().clone()
        });
        bench.runner.pass(behind).await;
        assert!(!bench.text().contains("casewatch_cases_open{") && bench.text().contains("casewatch_catching_up 1\n"));
        assert!(!bench.text().contains("casewatch_freshness_seconds_count 1\n"));
        assert!(!bench.exposition.status().ready);
        bench.runner.pass(cut).await;
        assert!(bench.text().contains(ALLOCATED) && bench.text().contains("casewatch_catching_up 0\n"));
        assert!(bench.exposition.status().ready);
    }

    #[tokio::test]
    async fn a_table_never_supplied_makes_its_metrics_absent_not_zero() {
        let mut bench = bench(&[]).await;
        let mut cut = bench.fixture.cut(1, &[("a", None)]).await.as_ref().clone();
        cut.supplied.remove("allocations");
        bench.runner.pass(Arc::new(cut)).await;
        assert!(!bench.text().contains("casewatch_cases_open{"));
        assert_eq!(bench.state("casewatch_cases_open").0, QueryState::NotSupplied);
        assert!(bench.text().contains("state=\"not_supplied\"} 1\n"));
    }

    #[tokio::test]
    async fn the_loop_follows_cuts_and_reloads_and_keeps_the_last_good_catalogue() {
        let bench = bench(&[]).await;
        let first = bench.fixture.cut(1, &[("a", Some("w"))]).await;
        let (cuts, receiver) = tokio::sync::watch::channel(Arc::new(Cut::empty()));
        let (catalogues, reloads) = tokio::sync::watch::channel(None);
        let running = tokio::spawn(bench.runner.run(receiver, reloads));
        let store = bench.store;
        let until = async |wanted: &dyn Fn(&crate::publish::Published) -> bool| {
            let waited = tokio::time::timeout(Duration::from_secs(10), async {
                while !wanted(&store.current()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            waited.await.expect("published within ten seconds");
        };
        cuts.send(first).unwrap();
        until(&|published| published.shown.len() == 1).await;
        let hash = store.current().status.catalogue.clone();
        catalogues
            .send(Some(Err("cases_open.sql:3: unknown key".to_owned())))
            .unwrap();
        until(&|published| published.status.refused_reload.is_some()).await;
        assert_eq!(
            (store.current().shown.len(), &store.current().status.catalogue),
            (1, &hash)
        );
        let more = OPEN_CASES.replace("casewatch_cases_open", "casewatch_more");
        bench.fixture.write("metrics/more.sql", &more);
        catalogues.send(Some(Ok(bench.fixture.checked().await))).unwrap();
        until(&|published| published.shown.len() == 2).await;
        assert_ne!(store.current().status.catalogue, hash);
        assert_eq!(store.current().status.refused_reload, None);
        drop(cuts);
        running.await.unwrap();
    }
}
