//! Where each query stands after a pass: whether its samples may be shown, and from when they may not (RULES 17, 21).
//! No I/O and no clock of its own: facts and the time go in, what scrapes see comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::{RecordedAt, TableName};
use casewatch_live::{Cut, SourceFreshness};
use casewatch_query::Clock;

use crate::definition::MetricDefinition;
use crate::publish::{Published, QueryState, QueryStatus, Shown, SourceStatus, Status};
use crate::samples::SampleSet;

/// The sources behind `tables`, as far as any row of theirs was seen.
fn sources_behind<'c>(cut: &'c Cut, tables: &BTreeSet<TableName>) -> BTreeSet<&'c String> {
    tables
        .iter()
        .filter_map(|table| cut.sources.get(table))
        .flatten()
        .collect()
}

/// How long a source may be silent. Under the feed's clock silence is no fault (RULES 17).
fn silent_after(clock: &Clock, source: &str) -> Option<Duration> {
    let Clock::Wall {
        default_silent_after,
        silent_after,
    } = clock
    else {
        return None;
    };
    Some(*silent_after.get(source).unwrap_or(default_silent_after))
}

/// Since when a source behind `tables` is silent, if one is.
fn silent_since(clock: &Clock, cut: &Cut, tables: &BTreeSet<TableName>, now: RecordedAt) -> Option<RecordedAt> {
    let alive_until = sources_behind(cut, tables).into_iter().filter_map(|source| {
        let heard_at = cut.source_freshness.get(source)?.heard_at;
        Some(later(heard_at, silent_after(clock, source)?))
    });
    alive_until.min().filter(|until| *until < now)
}

/// A metric that is ready to run, and what it reads.
#[derive(Debug, Clone)]
pub struct Query {
    pub definition: Arc<MetricDefinition>,
    /// Live tables below it, through every view.
    pub reads: BTreeSet<TableName>,
}

impl Query {
    pub fn name(&self) -> &str {
        &self.definition.name.name
    }

    /// The first table of `needs` that was never supplied.
    pub(crate) fn unsupplied_need(&self, cut: &Cut) -> Option<&str> {
        self.definition
            .needs
            .iter()
            .map(|need| need.name.as_str())
            .find(|need| !cut.supplied.contains(*need))
    }

    /// Whether a table of `needs` was never supplied.
    pub fn lacks_a_need(&self, cut: &Cut) -> bool {
        self.unsupplied_need(cut).is_some()
    }

    /// Tables that it reads and does not need, and that were never supplied: they count as empty.
    pub fn degraded(&self, cut: &Cut) -> Vec<String> {
        let is_needed = |table: &TableName| self.definition.needs.iter().any(|need| need.name == **table);
        let missing = self
            .reads
            .iter()
            .filter(|table| !cut.supplied.contains(*table) && !is_needed(table));
        missing.map(|table| table.to_string()).collect()
    }
}

/// How one run of a query ended.
#[derive(Debug)]
pub struct Outcome {
    pub result: Result<Arc<SampleSet>, String>,
    pub seconds: f64,
}

/// What is known of a query from its runs so far.
#[derive(Debug)]
struct Standing {
    query: Query,
    last: Option<Arc<SampleSet>>,
    succeeded_at: Option<RecordedAt>,
    error: Option<String>,
    seconds: Option<f64>,
}

/// All queries of the running catalogue and where they stand.
#[derive(Debug)]
pub struct Standings {
    clock: Clock,
    standings: Vec<Standing>,
}

impl Standings {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            standings: Vec::new(),
        }
    }

    /// Takes over another catalogue. Queries that keep their name keep their last value while the new text first runs.
    pub fn replace(&mut self, queries: Vec<Query>) {
        let mut before: BTreeMap<String, Standing> = self
            .standings
            .drain(..)
            .map(|standing| (standing.query.name().to_owned(), standing))
            .collect();
        let fresh = |query: Query| Standing {
            query,
            last: None,
            succeeded_at: None,
            error: None,
            seconds: None,
        };
        self.standings = queries
            .into_iter()
            .map(|query| match before.remove(query.name()) {
                Some(old) if old.query.definition.sql() == query.definition.sql() => Standing { query, ..old },
                _ => fresh(query),
            })
            .collect();
    }

    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.standings.iter().map(|standing| &standing.query)
    }

    /// Whether there is any sense in running it: not while catching up, and not over tables nobody supplies.
    pub fn may_run(query: &Query, cut: &Cut) -> bool {
        is_caught_up(cut) && query.unsupplied_need(cut).is_none()
    }

    pub fn record(&mut self, name: &str, outcome: Outcome, now: RecordedAt) {
        let Some(standing) = self.standings.iter_mut().find(|standing| standing.query.name() == name) else {
            return;
        };
        standing.seconds = Some(outcome.seconds);
        match outcome.result {
            Ok(set) => {
                standing.last = Some(set);
                standing.succeeded_at = Some(now);
                standing.error = None;
            }
            Err(error) => standing.error = Some(error),
        }
    }

    /// Why the last run of a query failed, if it did.
    pub fn error(&self, name: &str) -> Option<&str> {
        let standing = self.standings.iter().find(|standing| standing.query.name() == name)?;
        standing.error.as_deref()
    }

    /// What scrapes see from now on. `as_of` is that of the queries whose sources are alive.
    pub fn published(&self, cut: &Cut, as_of: RecordedAt, now: RecordedAt, base: &Status) -> Published {
        let mut shown = Vec::new();
        let mut queries = Vec::new();
        for standing in &self.standings {
            let state = self.state(standing, cut, now);
            let is_shown = matches!(state, QueryState::Ok | QueryState::Failed);
            let set = standing.last.clone().filter(|_| is_shown);
            queries.push(QueryStatus {
                name: standing.query.name().to_owned(),
                state,
                series: set.as_ref().map_or(0, |set| set.series()),
                last_success: standing.succeeded_at.map(|at| at.0 as f64 / 1e6),
                seconds: standing.seconds,
                as_of: set.as_ref().map(|set| set.as_of),
                error: standing.error.clone(),
                degraded: standing.query.degraded(cut),
                sources: sources_behind(cut, &standing.query.reads)
                    .into_iter()
                    .cloned()
                    .collect(),
            });
            shown.extend(set.map(|set| {
                // A runner that hangs must not leave its last numbers standing for ever.
                let expires_at = Instant::now() + left(standing, now);
                Shown { set, expires_at }
            }));
        }
        let reasons = why_not_ready(cut);
        let catching_up = !cut.caught_up;
        let (cut_at, as_of) = if catching_up {
            (None, None)
        } else {
            (Some(cut.at), Some(as_of))
        };
        let status = Status {
            ready: reasons.is_empty(),
            reasons,
            catching_up,
            cut: cut_at,
            as_of,
            sources: self.sources(cut),
            queries,
            ..base.clone()
        };
        Published::new(status, shown)
    }

    fn sources(&self, cut: &Cut) -> Vec<SourceStatus> {
        let status = |(name, freshness): (&String, &SourceFreshness)| SourceStatus {
            name: name.clone(),
            heard_at: freshness.heard_at,
            silent_after: silent_after(&self.clock, name).map(|limit| limit.as_secs_f64()),
        };
        cut.source_freshness.iter().map(status).collect()
    }

    fn state(&self, standing: &Standing, cut: &Cut, now: RecordedAt) -> QueryState {
        let query = &standing.query;
        if !is_caught_up(cut) {
            return QueryState::CatchingUp;
        }
        if query.unsupplied_need(cut).is_some() {
            return QueryState::NotSupplied;
        }
        let stale_after = query.definition.stale_after;
        let silent_since = silent_since(&self.clock, cut, &query.reads, now);
        if silent_since.is_some_and(|since| now > later(since, stale_after)) {
            return QueryState::Stale;
        }
        match (standing.succeeded_at, &standing.error) {
            (None, None) => QueryState::CatchingUp,
            (None, Some(_)) => QueryState::Failed,
            (Some(at), _) if now > later(at, stale_after) => QueryState::Stale,
            (Some(_), Some(_)) => QueryState::Failed,
            (Some(_), None) => QueryState::Ok,
        }
    }
}

/// Live tables that stopped hold a part of the truth: no number of the domain may be shown from them.
fn is_caught_up(cut: &Cut) -> bool {
    cut.caught_up && cut.stopped.is_none()
}

fn left(standing: &Standing, now: RecordedAt) -> Duration {
    let succeeded_at = standing.succeeded_at.unwrap_or(now);
    let end = later(succeeded_at, standing.query.definition.stale_after);
    Duration::from_micros(u64::try_from(end.0 - now.0).unwrap_or(0))
}

fn later(at: RecordedAt, by: Duration) -> RecordedAt {
    RecordedAt(at.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

/// What keeps numbers of the domain from being shown at a cut, for people; nothing where they may be.
pub fn why_not_ready(cut: &Cut) -> Vec<String> {
    let mut reasons = Vec::new();
    if !cut.caught_up {
        reasons.push("catching up: not every partition has passed the log end seen at start".to_owned());
    }
    let stopped = cut.stopped.iter();
    reasons.extend(stopped.map(|why| format!("the live tables have stopped: {why}")));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::{OPEN_CASES, parse};
    use crate::samples::tests::set;

    const MINUTE: i64 = 60_000_000;
    const NAME: &str = "casewatch_cases_open";

    fn at(minute: i64) -> RecordedAt {
        RecordedAt(minute * MINUTE)
    }

    fn standings(clock: Clock) -> Standings {
        let definition = Arc::new(parse(OPEN_CASES).unwrap());
        let reads = ["cases", "allocations", "transfers"].map(TableName::from).into();
        let mut standings = Standings::new(clock);
        standings.replace(vec![Query { definition, reads }]);
        standings
    }

    /// Supplied: what the metric needs. One source, last heard of at `heard`.
    fn cut(heard: RecordedAt) -> Cut {
        let mut cut = Cut::of(at(0), BTreeMap::new());
        cut.supplied = ["cases", "allocations"].map(TableName::from).into();
        cut.sources = BTreeMap::from([(TableName::from("cases"), BTreeSet::from(["feed".to_owned()]))]);
        let freshness = SourceFreshness {
            heard_at: heard,
            recorded_at: heard,
        };
        cut.source_freshness = BTreeMap::from([("feed".to_owned(), freshness)]);
        cut
    }

    fn succeed(standings: &mut Standings, minute: i64) {
        let result = Ok(Arc::new(set(&["allocated"], &[Some(5.0)]).unwrap()));
        standings.record(NAME, Outcome { result, seconds: 0.1 }, at(minute));
    }

    fn fail(standings: &mut Standings, minute: i64) {
        standings.record(
            NAME,
            Outcome {
                result: Err("too big".to_owned()),
                seconds: 0.1,
            },
            at(minute),
        );
    }

    /// The state, and whether samples are shown.
    fn seen(standings: &Standings, cut: &Cut, minute: i64) -> (QueryState, bool) {
        let published = standings.published(cut, cut.at, at(minute), &Status::default());
        (published.status.queries[0].state, !published.shown.is_empty())
    }

    #[test]
    fn a_failing_query_keeps_its_last_value_until_stale_after_and_then_disappears() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        assert_eq!(seen(&standings, &cut(at(0)), 0), (QueryState::Ok, true));
        fail(&mut standings, 1);
        assert_eq!(seen(&standings, &cut(at(1)), 1), (QueryState::Failed, true));
        assert_eq!(seen(&standings, &cut(at(5)), 5), (QueryState::Failed, true));
        assert_eq!(seen(&standings, &cut(at(6)), 6), (QueryState::Stale, false));
        succeed(&mut standings, 7);
        assert_eq!(seen(&standings, &cut(at(7)), 7), (QueryState::Ok, true));
    }

    #[test]
    fn while_catching_up_nothing_is_shown_and_the_exporter_is_not_ready() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        let mut behind = cut(at(0));
        behind.caught_up = false;
        assert_eq!(seen(&standings, &behind, 0), (QueryState::CatchingUp, false));
        let published = standings.published(&behind, behind.at, at(0), &Status::default());
        assert!(!published.status.ready && published.status.cut.is_none());
        assert!(published.status.reasons[0].starts_with("catching up"));
    }

    #[test]
    fn live_tables_that_stopped_show_nothing() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        let mut stopped = cut(at(0));
        stopped.stopped = Some("memory".to_owned());
        assert_eq!(seen(&standings, &stopped, 0), (QueryState::CatchingUp, false));
    }

    #[test]
    fn a_needed_table_never_supplied_makes_the_metric_absent_and_any_other_is_named() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        let mut without = cut(at(0));
        without.supplied.remove("allocations");
        assert_eq!(seen(&standings, &without, 0), (QueryState::NotSupplied, false));
        assert!(!Standings::may_run(standings.queries().next().unwrap(), &without));
        let published = standings.published(&cut(at(0)), at(0), at(0), &Status::default());
        assert_eq!(published.status.queries[0].degraded, ["transfers"]);
    }

    #[test]
    fn a_source_silent_for_longer_than_stale_after_makes_the_metric_disappear() {
        let mut standings = standings(Clock::default());
        let heard_at_zero = cut(at(0));
        succeed(&mut standings, 19);
        assert_eq!(seen(&standings, &heard_at_zero, 19), (QueryState::Ok, true));
        succeed(&mut standings, 21);
        assert_eq!(seen(&standings, &heard_at_zero, 21), (QueryState::Stale, false));
    }

    #[test]
    fn a_nightly_source_may_be_silent_for_its_own_time() {
        let nightly = BTreeMap::from([("feed".to_owned(), Duration::from_secs(26 * 3600))]);
        let clock = Clock::Wall {
            default_silent_after: Duration::from_secs(900),
            silent_after: nightly,
        };
        let mut standings = standings(clock);
        succeed(&mut standings, 60 * 25);
        assert_eq!(seen(&standings, &cut(at(0)), 60 * 25), (QueryState::Ok, true));
        succeed(&mut standings, 60 * 27);
        assert_eq!(seen(&standings, &cut(at(0)), 60 * 27), (QueryState::Stale, false));
    }

    #[test]
    fn a_source_behind_other_tables_does_not_matter() {
        let mut standings = standings(Clock::default());
        let mut other = cut(at(0));
        other.sources = BTreeMap::from([(TableName::from("posts"), BTreeSet::from(["feed".to_owned()]))]);
        succeed(&mut standings, 600);
        assert_eq!(seen(&standings, &other, 600), (QueryState::Ok, true));
    }

    #[test]
    fn under_the_feeds_clock_silence_is_no_fault() {
        let mut standings = standings(Clock::Feed);
        succeed(&mut standings, 600);
        assert_eq!(seen(&standings, &cut(at(0)), 600), (QueryState::Ok, true));
        let published = standings.published(&cut(at(0)), at(0), at(600), &Status::default());
        assert_eq!(published.status.sources[0].silent_after, None);
    }

    #[test]
    fn each_source_says_when_it_was_heard_of_and_each_query_whose_silence_it_depends_on() {
        let nightly = BTreeMap::from([("payroll".to_owned(), Duration::from_secs(26 * 3600))]);
        let standings = standings(Clock::Wall {
            default_silent_after: Duration::from_secs(900),
            silent_after: nightly,
        });
        let mut cut = cut(at(7));
        let posts = (TableName::from("posts"), BTreeSet::from(["payroll".to_owned()]));
        cut.sources.extend([posts]);
        cut.source_freshness
            .insert("payroll".to_owned(), cut.source_freshness["feed"]);
        let published = standings.published(&cut, at(7), at(8), &Status::default());
        assert_eq!(published.status.queries[0].sources, ["feed"], "it does not read posts");
        let sources = published.status.sources.iter();
        let said: Vec<_> = sources
            .map(|source| (source.name.as_str(), source.heard_at, source.silent_after))
            .collect();
        let expected = [("feed", at(7), Some(900.0)), ("payroll", at(7), Some(93_600.0))];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_runner_that_hangs_does_not_leave_its_numbers_standing() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        let published = standings.published(&cut(at(2)), at(2), at(2), &Status::default());
        let left = published.shown[0].expires_at.saturating_duration_since(Instant::now());
        assert!(
            left > Duration::from_secs(170) && left <= Duration::from_secs(180),
            "{left:?}"
        );
    }

    #[test]
    fn a_changed_query_starts_anew_and_an_unchanged_one_keeps_its_value() {
        let mut standings = standings(Clock::default());
        succeed(&mut standings, 0);
        let same = standings.queries().next().unwrap().clone();
        standings.replace(vec![same.clone()]);
        assert!(seen(&standings, &cut(at(0)), 0).1);
        let text = OPEN_CASES.replace("count(*)", "count(1)");
        standings.replace(vec![Query {
            definition: Arc::new(parse(&text).unwrap()),
            ..same
        }]);
        assert!(!seen(&standings, &cut(at(0)), 0).1);
    }
}
