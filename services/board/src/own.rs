//! The board's metrics about itself.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// From a page out of memory to a day of the past.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone)]
pub struct OwnMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    clients: IntGauge,
    dropped: IntCounter,
    sign_ins: IntCounterVec,
    layout_refused: IntGauge,
}

impl OwnMetrics {
    /// # Errors
    /// A name that is taken in the registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new(
            "casewatch_board_requests_total",
            "Requests to the board by page and status.",
        );
        let seconds = HistogramOpts::new(
            "casewatch_board_request_seconds",
            "Time to answer a request to the board.",
        );
        let sign_ins = Opts::new(
            "casewatch_board_sign_ins_total",
            "Attempts to sign in by how they ended.",
        );
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["page", "status"])?,
            seconds: HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["page"])?,
            clients: IntGauge::new("casewatch_board_live_clients", "Pages that follow the board live.")?,
            dropped: IntCounter::new(
                "casewatch_board_live_clients_dropped_total",
                "Pages that were dropped since start because they did not read what they were sent.",
            )?,
            sign_ins: IntCounterVec::new(sign_ins, &["outcome"])?,
            layout_refused: IntGauge::new(
                "casewatch_board_layout_refused",
                "1 while board.toml on disk is refused and the last good one stands.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.clients.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.sign_ins.clone()))?;
        registry.register(Box::new(metrics.layout_refused.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn answered(&self, page: &str, status: u16, time: Duration) {
        self.requests.with_label_values(&[page, &status.to_string()]).inc();
        self.seconds.with_label_values(&[page]).observe(time.as_secs_f64());
    }

    /// One more page follows, until what is returned is dropped.
    pub(crate) fn follower(&self) -> Following {
        self.clients.inc();
        Following(self.clients.clone())
    }

    pub(crate) fn dropped(&self) {
        self.dropped.inc();
    }

    pub(crate) fn signed_in(&self, outcome: &str) {
        self.sign_ins.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn layout_refused(&self, refused: bool) {
        self.layout_refused.set(refused.into());
    }
}

pub(crate) struct Following(IntGauge);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.dec();
    }
}
