//! What a scrape can see: one immutable `Published`, swapped whole, so that every number of a scrape belongs to one
//! pass of the runner. The collector only clones finished families out of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use casewatch_contract::RecordedAt;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde::{Serialize, Serializer};

use crate::samples::{SampleSet, gauge, label_pair};
use crate::thresholds::Thresholds;

/// How a query fares, and why its samples are there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryState {
    /// The samples are of the last pass.
    Ok,
    /// The last pass failed; the last good samples stand until `stale_after`.
    Failed,
    /// Failed, or a source behind its tables silent, for longer than `stale_after`: no samples.
    Stale,
    /// A table in `needs` was never supplied: no samples.
    NotSupplied,
    /// The live tables are catching up: no samples.
    CatchingUp,
}

impl QueryState {
    pub const ALL: [QueryState; 5] = [
        QueryState::Ok,
        QueryState::Failed,
        QueryState::Stale,
        QueryState::NotSupplied,
        QueryState::CatchingUp,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            QueryState::Ok => "ok",
            QueryState::Failed => "failed",
            QueryState::Stale => "stale",
            QueryState::NotSupplied => "not_supplied",
            QueryState::CatchingUp => "catching_up",
        }
    }
}

/// One query on `/-/status`.
#[derive(Debug, Clone, Serialize)]
pub struct QueryStatus {
    pub name: String,
    pub state: QueryState,
    pub series: usize,
    /// When its samples were last computed, seconds since 1970.
    pub last_success: Option<f64>,
    /// How long the last run took.
    pub seconds: Option<f64>,
    #[serde(serialize_with = "as_text")]
    pub as_of: Option<RecordedAt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tables its plan reads that were never supplied and that its header does not need: they count as empty.
    pub degraded: Vec<String>,
    /// Whose rows are in the tables it reads: its samples disappear when one of these falls silent.
    pub sources: Vec<String>,
}

/// One source on `/-/status`.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    pub name: String,
    /// When its last event or heartbeat came.
    #[serde(serialize_with = "moment_as_text")]
    pub heard_at: RecordedAt,
    /// Seconds without either after which it counts as silent; none under the feed's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_after: Option<f64>,
}

/// The whole state on `/-/status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    pub ready: bool,
    /// Why not ready, for people.
    pub reasons: Vec<String>,
    pub catching_up: bool,
    /// Recorded time up to which every table is complete.
    #[serde(serialize_with = "as_text")]
    pub cut: Option<RecordedAt>,
    #[serde(serialize_with = "as_text")]
    pub as_of: Option<RecordedAt>,
    pub catalogue: String,
    pub version: String,
    /// Why the directory of queries on disk is not the one that runs, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_reload: Option<String>,
    /// Every source of which a row or a heartbeat was seen.
    pub sources: Vec<SourceStatus>,
    pub queries: Vec<QueryStatus>,
}

fn moment_as_text<S: Serializer>(at: &RecordedAt, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_text<S: Serializer>(at: &Option<RecordedAt>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// A sample set and until when it may be shown.
#[derive(Debug, Clone)]
pub struct Shown {
    pub set: Arc<SampleSet>,
    pub expires_at: Instant,
}

/// A pass of the runner as scrapes see it.
#[derive(Debug)]
pub struct Published {
    pub status: Status,
    pub shown: Vec<Shown>,
    /// The families of `shown`, in the same order.
    families: Vec<MetricFamily>,
    /// What is said of the pass itself, and the thresholds that hold for its samples.
    status_families: Vec<MetricFamily>,
}

impl Published {
    pub fn new(status: Status, shown: Vec<Shown>) -> Self {
        let families = shown.iter().map(|shown| shown.set.family()).collect();
        Self {
            status_families: status_families(&status),
            status,
            shown,
            families,
        }
    }

    /// With the values from which these samples are a warning or a page.
    pub fn with_thresholds(mut self, thresholds: &Thresholds) -> Self {
        let sets: Vec<_> = self.shown.iter().map(|shown| Arc::clone(&shown.set)).collect();
        self.status_families.extend(thresholds.family(&sets));
        self
    }

    /// With the numbers that definitions depend on, so that dashboards read them rather than repeat them.
    pub fn with_parameters<'p>(mut self, parameters: impl Iterator<Item = (&'p str, f64)>) -> Self {
        let values: Vec<Labelled> = parameters
            .map(|(name, value)| (vec![("name", name.to_owned())], value))
            .collect();
        if !values.is_empty() {
            let help = "A number that definitions depend on, of queries/parameters.toml.";
            self.status_families
                .push(gauge_family(("casewatch_parameter", help, values)));
        }
        self
    }

    /// Copies of the families that may be shown at `now`.
    fn families(&self, now: Instant) -> Vec<MetricFamily> {
        let shown = self
            .shown
            .iter()
            .zip(&self.families)
            .filter(|(shown, _)| now < shown.expires_at);
        shown
            .map(|(_, family)| family)
            .chain(&self.status_families)
            .cloned()
            .collect()
    }
}

/// The one place where the runner puts and scrapes look.
#[derive(Debug)]
pub struct SampleStore {
    published: RwLock<Arc<Published>>,
}

impl SampleStore {
    /// Before the first pass: not ready, catching up, no samples.
    pub fn new(version: &str) -> Arc<Self> {
        let status = Status {
            reasons: vec!["no pass over the queries has finished yet".to_owned()],
            catching_up: true,
            version: version.to_owned(),
            ..Status::default()
        };
        Arc::new(Self {
            published: RwLock::new(Arc::new(Published::new(status, Vec::new()))),
        })
    }

    pub fn publish(&self, published: Published) {
        let next = Arc::new(published);
        // A poisoned lock holds a whole Arc all the same: the swap is one assignment.
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    pub fn current(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hands the published families to a registry. It names no descriptors: which metrics there are is known only at run
/// time, and those without samples are absent.
pub(crate) struct SampleCollector(pub Arc<SampleStore>);

impl Collector for SampleCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.current().families(Instant::now())
    }
}

/// The runner's own metrics that are facts of the pass, so that they appear and vanish with it.
fn status_families(status: &Status) -> Vec<MetricFamily> {
    let queries = &status.queries;
    let by_query = |value: &dyn Fn(&QueryStatus) -> Option<f64>| -> Vec<Labelled> {
        let values = queries.iter().filter_map(|query| Some((query, value(query)?)));
        values
            .map(|(query, number)| (vec![("query", query.name.clone())], number))
            .collect()
    };
    let states = queries.iter().flat_map(|query| {
        QueryState::ALL.map(|state| {
            let labels = vec![("query", query.name.clone()), ("state", state.as_str().to_owned())];
            (labels, f64::from(u8::from(query.state == state)))
        })
    });
    let degraded = queries.iter().flat_map(|query| {
        query
            .degraded
            .iter()
            .map(|table| (vec![("query", query.name.clone()), ("table", table.clone())], 1.0))
    });
    let query_sources = queries.iter().flat_map(|query| {
        query
            .sources
            .iter()
            .map(|source| (vec![("query", query.name.clone()), ("source", source.clone())], 1.0))
    });
    let by_source = |value: &dyn Fn(&SourceStatus) -> Option<f64>| -> Vec<Labelled> {
        let values = status
            .sources
            .iter()
            .filter_map(|source| Some((source, value(source)?)));
        values
            .map(|(source, number)| (vec![("source", source.name.clone())], number))
            .collect()
    };
    let seconds = |at: Option<RecordedAt>| -> Vec<Labelled> {
        at.map(|at| (Vec::new(), at.0 as f64 / 1e6)).into_iter().collect()
    };
    let info = |label: &'static str, value: &str| vec![(vec![(label, value.to_owned())], 1.0)];
    let catalogue = if status.catalogue.is_empty() {
        Vec::new()
    } else {
        info("hash", &status.catalogue)
    };
    let families = [
        (
            "casewatch_build_info",
            "The running version.",
            info("version", &status.version),
        ),
        (
            "casewatch_catalogue_info",
            "The hash of the queries that run.",
            catalogue,
        ),
        (
            "casewatch_catalogue_reload_refused",
            "1 while the queries on disk are refused and the last good ones run.",
            vec![(Vec::new(), f64::from(u8::from(status.refused_reload.is_some())))],
        ),
        (
            "casewatch_catching_up",
            "1 until every partition has passed the log end seen at start.",
            vec![(Vec::new(), f64::from(u8::from(status.catching_up)))],
        ),
        (
            "casewatch_cut_timestamp_seconds",
            "Recorded time up to which every live table is complete.",
            seconds(status.cut),
        ),
        (
            "casewatch_as_of_timestamp_seconds",
            "The moment that the samples describe.",
            seconds(status.as_of),
        ),
        (
            "casewatch_query_state",
            "1 for the state a query is in, 0 for the others.",
            states.collect(),
        ),
        (
            "casewatch_query_series",
            "Series a query exports.",
            by_query(&|query| Some(query.series as f64)),
        ),
        (
            "casewatch_query_last_success_timestamp_seconds",
            "When a query last gave samples.",
            by_query(&|query| query.last_success),
        ),
        (
            "casewatch_query_degraded",
            "1 for each table a query reads that was never supplied and counts as empty.",
            degraded.collect(),
        ),
        (
            "casewatch_query_source",
            "1 for each source whose rows are in the tables a query reads.",
            query_sources.collect(),
        ),
        (
            "casewatch_source_heard_timestamp_seconds",
            "When the last event or heartbeat of a source came.",
            by_source(&|source| Some(source.heard_at.0 as f64 / 1e6)),
        ),
        (
            "casewatch_source_silent_after_seconds",
            "Time without an event or heartbeat after which a source counts as silent.",
            by_source(&|source| source.silent_after),
        ),
    ];
    families
        .into_iter()
        .filter(|(_, _, metrics)| !metrics.is_empty())
        .map(gauge_family)
        .collect()
}

type Labelled = (Vec<(&'static str, String)>, f64);

fn gauge_family((name, help, metrics): (&str, &str, Vec<Labelled>)) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    let metric = |(labels, value): Labelled| {
        let pairs = labels.iter().map(|(name, value)| label_pair(name, value)).collect();
        let mut metric = Metric::from_label(pairs);
        metric.set_gauge(gauge(value));
        metric
    };
    family.set_metric(metrics.into_iter().map(metric).collect());
    family
}

/// Reasons of other parts of the process why it is not ready, by part.
#[derive(Debug, Default)]
pub struct Readiness {
    reasons: RwLock<BTreeMap<String, String>>,
}

impl Readiness {
    /// Sets or, with None, clears the reason of one part.
    pub fn set(&self, part: &str, reason: Option<String>) {
        let mut reasons = self.reasons.write().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => reasons.insert(part.to_owned(), reason),
            None => reasons.remove(part),
        };
    }

    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.reasons.read().unwrap_or_else(PoisonError::into_inner);
        reasons
            .iter()
            .map(|(part, reason)| format!("{part}: {reason}"))
            .collect()
    }
}
