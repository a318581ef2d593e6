//! The live tables' own metrics: rows, memory, what waits for the cut, changes by kind.

use casewatch_live::{LiveCounters, LiveSet};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// Gauges that the folding thread sets.
#[derive(Clone)]
pub struct LiveMetrics {
    rows: IntGaugeVec,
    bytes: IntGauge,
    staged: IntGauge,
    counters: IntGaugeVec,
}

impl LiveMetrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let rows = Opts::new("casewatch_live_rows", "Rows of each live table.");
        let counters = Opts::new(
            "casewatch_live_changes",
            "Changes folded into the live tables since start, by kind.",
        );
        let live = Self {
            rows: IntGaugeVec::new(rows, &["table"]).expect("the name and labels are valid"),
            bytes: IntGauge::new(
                "casewatch_live_bytes",
                "Memory of the live tables and of rows that wait for the cut.",
            )
            .expect("the name is valid"),
            staged: IntGauge::new(
                "casewatch_live_waiting_rows",
                "Rows read that wait for the cut to reach them.",
            )
            .expect("the name is valid"),
            counters: IntGaugeVec::new(counters, &["kind"]).expect("the name and labels are valid"),
        };
        registry
            .register(Box::new(live.rows.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.bytes.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.staged.clone()))
            .expect("each name is registered once");
        registry
            .register(Box::new(live.counters.clone()))
            .expect("each name is registered once");
        live
    }

    pub(crate) fn observe(&self, set: &LiveSet) {
        for (table, present) in &set.cut().tables {
            self.rows.with_label_values(&[table.as_str()]).set(present.rows as i64);
        }
        self.bytes.set(set.bytes() as i64);
        self.staged.set(set.staged_rows() as i64);
        let LiveCounters {
            upserts,
            deletes,
            stale,
            late,
            clamped,
            ..
        } = set.counters();
        let kinds = [
            ("upsert", upserts),
            ("delete", deletes),
            ("stale", stale),
            ("late", late),
            ("clamped", clamped),
        ];
        for (kind, count) in kinds {
            self.counters.with_label_values(&[kind]).set(count as i64);
        }
    }
}
