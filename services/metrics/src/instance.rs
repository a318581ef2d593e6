//! What an instance is, and how its pipeline stands: the part of `/-/status` that the samples do not tell. The numbers are
//! those of `/metrics`, by table and topic, so that a page and a script need not put them together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use casewatch_contract::RecordedAt;
use prometheus::proto::{Metric, MetricFamily};
use serde::{Serialize, Serializer};

/// How many warnings and errors are remembered.
const TROUBLES: usize = 20;

/// Who answers.
#[derive(Debug, Clone)]
pub struct Instance {
    pub roles: Vec<String>,
    pub started_at: RecordedAt,
    pub troubles: Arc<Troubles>,
}

/// The last warnings and errors that were logged.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<VecDeque<Trouble>>);

/// A warning or an error. It holds no person's data, as no log does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trouble {
    /// When it was last told.
    #[serde(serialize_with = "as_text")]
    pub at: RecordedAt,
    pub level: &'static str,
    pub message: String,
    /// How often in a row of others it was told.
    pub times: u64,
}

impl Troubles {
    /// Remembers a trouble; one that is told again is counted, and becomes the newest.
    pub fn note(&self, at: RecordedAt, level: &'static str, message: String) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = troubles
            .iter()
            .position(|it| it.level == level && it.message == message);
        let before = known.and_then(|index| troubles.remove(index));
        troubles.truncate(TROUBLES - 1);
        troubles.push_front(Trouble {
            at,
            level,
            message,
            times: before.map_or(1, |it| it.times + 1),
        });
    }

    /// The newest first.
    pub fn list(&self) -> Vec<Trouble> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.iter().cloned().collect()
    }
}

/// An instance and its pipeline, as `/-/status` shows them.
#[derive(Debug, Serialize)]
pub struct InstanceStatus {
    pub roles: Vec<String>,
    #[serde(serialize_with = "as_text")]
    pub started_at: RecordedAt,
    pub tables: BTreeMap<String, TableStatus>,
    pub topics: BTreeMap<String, TopicStatus>,
    pub live: LiveStatus,
    /// Warnings and errors, the newest first.
    pub troubles: Vec<Trouble>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub struct TableStatus {
    /// Rows of the live table.
    pub rows: Option<u64>,
    /// When the lake last took a commit, seconds since 1970.
    pub committed_at: Option<f64>,
    /// Dead letters since the start, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_letters: BTreeMap<String, u64>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub struct TopicStatus {
    /// Messages that were not handed on yet, over all partitions, by role.
    pub lag: BTreeMap<String, u64>,
    /// Partitions that are not read until an operator decides, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub halted: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub struct LiveStatus {
    pub bytes: Option<u64>,
    pub waiting_rows: Option<u64>,
    /// Mean time from a change to its being ready to scrape, since the start.
    pub mean_freshness_seconds: Option<f64>,
}

impl Instance {
    /// How it stands, out of what `/metrics` would show.
    pub fn status(&self, families: &[MetricFamily]) -> InstanceStatus {
        let mut status = InstanceStatus {
            roles: self.roles.clone(),
            started_at: self.started_at,
            tables: BTreeMap::new(),
            topics: BTreeMap::new(),
            live: LiveStatus::default(),
            troubles: self.troubles.list(),
        };
        for family in families {
            for metric in family.get_metric() {
                status.take(family.name(), metric);
            }
        }
        status
    }
}

impl InstanceStatus {
    fn take(&mut self, name: &str, metric: &Metric) {
        let label = |name: &str| {
            let found = metric.get_label().iter().find(|label| label.name() == name);
            found.map(|label| label.value().to_owned()).unwrap_or_default()
        };
        let gauge = metric.get_gauge().value();
        match name {
            "casewatch_live_rows" => self.table(label("table")).rows = Some(gauge as u64),
            "casewatch_lake_committed_timestamp_seconds" if gauge > 0.0 => {
                self.table(label("table")).committed_at = Some(gauge);
            }
            "casewatch_dead_letters_total" => {
                // Both consumers read every message: either count is the whole.
                let count = metric.get_counter().value() as u64;
                let letters = self
                    .table(label("table"))
                    .dead_letters
                    .entry(label("reason"))
                    .or_default();
                *letters = count.max(*letters);
            }
            "casewatch_consumer_lag" => {
                *self.topic(label("topic")).lag.entry(label("role")).or_default() += gauge.max(0.0) as u64;
            }
            "casewatch_topic_halted" if gauge > 0.0 => {
                self.topic(label("topic"))
                    .halted
                    .insert(label("partition"), label("reason"));
            }
            "casewatch_live_bytes" => self.live.bytes = Some(gauge as u64),
            "casewatch_live_waiting_rows" => self.live.waiting_rows = Some(gauge as u64),
            "casewatch_freshness_seconds" => {
                let seen = metric.get_histogram();
                let mean = seen.get_sample_sum() / seen.get_sample_count() as f64;
                self.live.mean_freshness_seconds = (seen.get_sample_count() > 0).then_some(mean);
            }
            _ => {}
        }
    }

    fn table(&mut self, name: String) -> &mut TableStatus {
        self.tables.entry(name).or_default()
    }

    fn topic(&mut self, name: String) -> &mut TopicStatus {
        self.topics.entry(name).or_default()
    }
}

fn as_text<S: Serializer>(at: &RecordedAt, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

#[cfg(test)]
mod tests {
    use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

    use super::*;

    fn registry() -> Registry {
        let registry = Registry::new();
        let gauge = |name: &str, labels: &[&str]| {
            let gauge = GaugeVec::new(Opts::new(name, "help"), labels).unwrap();
            registry.register(Box::new(gauge.clone())).unwrap();
            gauge
        };
        gauge("casewatch_live_rows", &["table"])
            .with_label_values(&["cases"])
            .set(7.0);
        let lag = gauge("casewatch_consumer_lag", &["role", "topic", "partition"]);
        lag.with_label_values(&["live", "m.cases", "0"]).set(3.0);
        lag.with_label_values(&["live", "m.cases", "1"]).set(4.0);
        lag.with_label_values(&["ingest", "m.cases", "0"]).set(1.0);
        let halted = gauge("casewatch_topic_halted", &["topic", "partition", "reason"]);
        halted.with_label_values(&["m.cases", "1", "gap"]).set(1.0);
        let letters = Opts::new("casewatch_dead_letters_total", "help");
        let letters = IntCounterVec::new(letters, &["role", "table", "reason"]).unwrap();
        registry.register(Box::new(letters.clone())).unwrap();
        letters.with_label_values(&["live", "cases", "malformed"]).inc_by(2);
        letters.with_label_values(&["ingest", "cases", "malformed"]).inc_by(3);
        registry
    }

    #[test]
    fn a_table_and_a_topic_have_their_numbers_together_and_a_dead_letter_counts_once() {
        let instance = Instance {
            roles: vec!["ingest".to_owned()],
            started_at: RecordedAt(0),
            troubles: Arc::default(),
        };
        let status = instance.status(&registry().gather());
        let cases = &status.tables["cases"];
        assert_eq!((cases.rows, cases.committed_at), (Some(7), None));
        assert_eq!(cases.dead_letters, BTreeMap::from([("malformed".to_owned(), 3)]));
        let topic = &status.topics["m.cases"];
        assert_eq!(
            topic.lag,
            BTreeMap::from([("ingest".to_owned(), 1), ("live".to_owned(), 7)])
        );
        assert_eq!(topic.halted, BTreeMap::from([("1".to_owned(), "gap".to_owned())]));
    }

    #[test]
    fn troubles_are_few_the_newest_first_and_one_told_again_is_counted() {
        let troubles = Troubles::default();
        for minute in 0..30 {
            troubles.note(RecordedAt(minute), "warn", format!("trouble {minute}"));
        }
        troubles.note(RecordedAt(99), "warn", "trouble 29".to_owned());
        troubles.note(RecordedAt(100), "warn", "trouble 20".to_owned());
        let list = troubles.list();
        assert_eq!(list.len(), TROUBLES);
        let told: Vec<(&str, u64)> = list[..3].iter().map(|it| (it.message.as_str(), it.times)).collect();
        assert_eq!(told, [("trouble 20", 2), ("trouble 29", 2), ("trouble 28", 1)]);
    }
}
