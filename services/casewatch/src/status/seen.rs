//! What an instance says of itself at `/-/status`, and what that comes to.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// The page, as far as this command reads it. What an older instance does not say is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Seen {
    pub ready: bool,
    pub reasons: Vec<String>,
    pub catching_up: bool,
    pub cut: Option<DateTime<Utc>>,
    pub as_of: Option<DateTime<Utc>>,
    pub catalogue: String,
    pub version: String,
    pub refused_reload: Option<String>,
    pub sources: Vec<Source>,
    pub queries: Vec<Query>,
    pub roles: Vec<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub tables: BTreeMap<String, Table>,
    pub topics: BTreeMap<String, Topic>,
    pub live: Live,
    pub troubles: Vec<Trouble>,
}

#[derive(Debug, Deserialize)]
pub struct Source {
    pub name: String,
    pub heard_at: DateTime<Utc>,
    /// Seconds.
    pub silent_after: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Query {
    pub name: String,
    pub state: String,
    pub error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Table {
    pub rows: Option<u64>,
    /// Seconds since 1970.
    pub committed_at: Option<f64>,
    pub dead_letters: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Topic {
    pub lag: BTreeMap<String, u64>,
    pub halted: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Live {
    pub bytes: Option<u64>,
    pub waiting_rows: Option<u64>,
    pub mean_freshness_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub struct Trouble {
    pub at: DateTime<Utc>,
    pub level: String,
    pub message: String,
    pub times: u64,
}

/// What one word says of an instance, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A partition is not read until an operator decides.
    Halted,
    /// It has not yet read what Kafka held when it started.
    CatchingUp,
    NotReady,
    /// A source is silent, or a number too old to be shown.
    Stale,
    Fresh,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::CatchingUp => "catching up",
            Self::NotReady => "not ready",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
        }
    }
}

impl Seen {
    pub fn state(&self, now: DateTime<Utc>) -> State {
        if self.topics.values().any(|topic| !topic.halted.is_empty()) {
            return State::Halted;
        }
        if self.catching_up {
            return State::CatchingUp;
        }
        if !self.ready {
            return State::NotReady;
        }
        let is_stale = self.queries.iter().any(|query| query.state == "stale");
        match is_stale || self.sources.iter().any(|source| source.is_silent(now)) {
            true => State::Stale,
            false => State::Fresh,
        }
    }

    /// Lag of the topics that feed a table, by role: topics are a prefix and the table's name.
    pub fn lag(&self, table: &str, role: &str) -> Option<u64> {
        let feeds = |topic: &str| topic.rsplit('.').next() == Some(table);
        let topics = self.topics.iter().filter(|(topic, _)| feeds(topic));
        topics
            .filter_map(|(_, topic)| topic.lag.get(role).copied())
            .reduce(|sum, lag| sum + lag)
    }

    /// Tables that anything is said of, by their own name or a topic's.
    pub fn table_names(&self) -> Vec<&str> {
        let topics = self.topics.keys().filter_map(|topic| topic.rsplit('.').next());
        let mut names: Vec<&str> = self.tables.keys().map(String::as_str).chain(topics).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Source {
    pub fn is_silent(&self, now: DateTime<Utc>) -> bool {
        let limit = self
            .silent_after
            .map(|seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64));
        limit.is_some_and(|limit| now - self.heard_at > limit)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page as an instance gives it.
    pub(crate) fn page() -> Seen {
        let text = r#"{"ready": true, "reasons": [], "catching_up": false, "cut": "2019-01-31T12:00:00Z",
            "as_of": "2019-01-31T12:00:00Z", "catalogue": "0123456789abcdef", "version": "0.1.0",
            "sources": [{"name": "mosaic", "heard_at": "2019-01-31T11:59:50Z", "silent_after": 900.0}],
            "queries": [{"name": "casewatch_open", "state": "ok", "series": 3, "degraded": [], "sources": []},
                        {"name": "casewatch_late", "state": "failed", "error": "too big", "series": 0}],
            "roles": ["ingest", "metrics"], "started_at": "2019-01-31T10:00:00Z",
            "tables": {"cases": {"rows": 5430, "committed_at": 1548935995.0, "dead_letters": {"malformed": 2}}},
            "topics": {"m.cases": {"lag": {"live": 3, "ingest": 12}}},
            "live": {"bytes": 1048576, "waiting_rows": 0, "mean_freshness_seconds": 0.21},
            "troubles": [{"at": "2019-01-31T11:00:00Z", "level": "warn", "message": "broker away", "times": 3}]}"#;
        serde_json::from_str(text).unwrap()
    }

    pub(crate) fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_worst_that_is_true_is_the_state() {
        let now = at("2019-01-31T12:00:00Z");
        assert_eq!(
            page().state(now),
            State::Fresh,
            "a query that failed still shows its last number"
        );
        let later = at("2019-01-31T12:15:00Z");
        assert_eq!(
            page().state(later),
            State::Stale,
            "nothing heard of mosaic for over 15 minutes"
        );
        let mut seen = page();
        seen.queries[0].state = "stale".to_owned();
        assert_eq!(seen.state(now), State::Stale);
        seen.ready = false;
        assert_eq!(seen.state(now), State::NotReady);
        seen.catching_up = true;
        assert_eq!(seen.state(now), State::CatchingUp);
        seen.topics
            .get_mut("m.cases")
            .unwrap()
            .halted
            .insert("0".to_owned(), "gap".to_owned());
        assert_eq!(seen.state(now), State::Halted);
    }

    #[test]
    fn a_table_has_the_lag_of_its_topics_and_none_of_a_role_that_does_not_run() {
        let seen = page();
        assert_eq!(
            (seen.lag("cases", "live"), seen.lag("cases", "ingest")),
            (Some(3), Some(12))
        );
        assert_eq!((seen.lag("cases", "maintain"), seen.lag("case", "live")), (None, None));
    }

    #[test]
    fn an_instance_that_says_less_is_read_too() {
        let seen: Seen = serde_json::from_str(r#"{"ready": false, "reasons": ["catching up"], "cut": null}"#).unwrap();
        assert!(seen.roles.is_empty() && seen.state(Utc::now()) == State::NotReady);
    }
}
