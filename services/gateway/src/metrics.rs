//! What the gateway tells of itself.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// How statements end, each a value of the label `outcome`.
const OUTCOMES: [&str; 4] = ["answered", "cancelled", "failed", "refused"];

#[derive(Clone, Debug)]
pub struct GatewayMetrics {
    pub(crate) connections: IntGauge,
    pub(crate) refused_sign_ins: IntCounter,
    statements: IntCounterVec,
    seconds: Histogram,
    pub(crate) rows: IntCounter,
}

impl GatewayMetrics {
    /// # Panics
    /// If it is made twice for one registry.
    pub fn new(registry: &Registry) -> Self {
        let known = "the name and labels are valid";
        let metrics = Self {
            connections: IntGauge::new("casewatch_gateway_connections", "Connections of SQL clients.").expect(known),
            refused_sign_ins: IntCounter::new(
                "casewatch_gateway_refused_sign_ins_total",
                "Attempts to sign in that failed.",
            )
            .expect(known),
            statements: IntCounterVec::new(
                Opts::new(
                    "casewatch_gateway_statements_total",
                    "Statements of SQL clients, by how they ended.",
                ),
                &["outcome"],
            )
            .expect(known),
            seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "casewatch_gateway_statement_seconds",
                    "Time from a statement to its last row, as its client took them.",
                )
                .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0]),
            )
            .expect(known),
            rows: IntCounter::new("casewatch_gateway_rows_total", "Rows sent to SQL clients.").expect(known),
        };
        for outcome in OUTCOMES {
            metrics.statements.with_label_values(&[outcome]);
        }
        let collectors: [Box<dyn prometheus::core::Collector>; 5] = [
            Box::new(metrics.connections.clone()),
            Box::new(metrics.refused_sign_ins.clone()),
            Box::new(metrics.statements.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.rows.clone()),
        ];
        for collector in collectors {
            registry.register(collector).expect("each name is registered once");
        }
        metrics
    }

    /// Counts a statement by the state it ended with; none where it was answered.
    pub(crate) fn ended(&self, code: Option<&str>, elapsed: Duration) {
        let outcome = match code {
            None => "answered",
            Some("57014") => "cancelled",
            Some("25006" | "42501") => "refused",
            Some(_) => "failed",
        };
        self.statements.with_label_values(&[outcome]).inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }
}
