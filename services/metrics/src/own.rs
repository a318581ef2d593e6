//! The runner's own metrics that accumulate over passes. Those that are facts of one pass are in `publish`.

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

/// Times a refresh can take, in seconds: from one cheap query to the deadline.
const QUERY_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// From a live stream to a feed that has been away for hours.
const FRESHNESS_BUCKETS: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 93_600.0,
];

#[derive(Debug, Clone)]
pub struct OwnMetrics {
    query_seconds: HistogramVec,
    freshness: Histogram,
}

impl OwnMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let query_options = HistogramOpts::new("casewatch_query_seconds", "Time to run a query over a cut.");
        let query_seconds = HistogramVec::new(query_options.buckets(QUERY_BUCKETS.to_vec()), &["query"])?;
        let freshness_options = HistogramOpts::new(
            "casewatch_freshness_seconds",
            "From the newest change behind the samples to their being ready to scrape.",
        );
        let freshness = Histogram::with_opts(freshness_options.buckets(FRESHNESS_BUCKETS.to_vec()))?;
        registry.register(Box::new(query_seconds.clone()))?;
        registry.register(Box::new(freshness.clone()))?;
        Ok(Self {
            query_seconds,
            freshness,
        })
    }

    pub fn observe_query(&self, query: &str, seconds: f64) {
        self.query_seconds.with_label_values(&[query]).observe(seconds);
    }

    pub fn observe_freshness(&self, seconds: f64) {
        self.freshness.observe(seconds);
    }

    /// Forgets a query that the catalogue no longer has.
    pub fn forget_query(&self, query: &str) {
        // Absent already when the query never ran.
        let _ = self.query_seconds.remove_label_values(&[query]);
    }
}
