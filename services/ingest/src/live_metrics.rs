//! The live tables' own metrics: rows, memory, what waits for the cut, changes by kind.

use casewatch_live::{LiveCounters, LiveSet};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Set by the folding thread.
#[derive(Clone)]
pub struct LiveMetrics {
    rows: IntGaugeVec,
    bytes: IntGauge,
    staged: IntGauge,
    changes: IntCounterVec,
}

impl LiveMetrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let rows = Opts::new("casewatch_live_rows", "Rows of each live table.");
        let changes = Opts::new(
            "casewatch_live_changes_total",
            "Changes that reached the live tables, by what became of them.",
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
            changes: IntCounterVec::new(changes, &["kind"]).expect("the name and labels are valid"),
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
            .register(Box::new(live.changes.clone()))
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
            // The set counts since it was made; the metric since the process began.
            let counted = self.changes.with_label_values(&[kind]);
            counted.inc_by(count.saturating_sub(counted.get()));
        }
    }
}
