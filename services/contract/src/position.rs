//! Where an event stands in the log, and when its source recorded it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::ContractError;
use crate::name::{ClusterName, TopicName};

/// An offset of one Kafka partition. As a position it is always the *next* offset to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The offsets from `from` up to, but not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OffsetRange {
    pub from: Offset,
    pub to: Offset,
}

impl OffsetRange {
    /// How many offsets the range holds.
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.to.0 - self.from.0).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    pub fn contains(&self, offset: Offset) -> bool {
        self.from <= offset && offset < self.to
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// When the source recorded a change: its commit, in microseconds since 1970 UTC. It tells what was known when; it
/// never orders changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedAt(pub i64);

impl RecordedAt {
    /// This moment, by the wall clock.
    pub fn now() -> Self {
        Self(chrono::Utc::now().timestamp_micros())
    }

    pub fn micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RecordedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.pad(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(f, "{} µs", self.0),
        }
    }
}

/// One partition of one life of one topic. Its text form `cluster/topic/epoch/partition` is the application id under
/// which a Delta table remembers the next offset to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    pub cluster: ClusterName,
    pub topic: TopicName,
    /// Raised by the operator when a topic is recreated, so that its offsets start anew.
    pub epoch: u32,
    pub partition: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.topic, self.epoch, self.partition)
    }
}

impl FromStr for PartitionId {
    type Err = ContractError;

    /// Reads from the right: a topic's name never holds a slash, a cluster's may.
    fn from_str(text: &str) -> Result<Self, ContractError> {
        let parse = || {
            let mut parts = text.rsplitn(4, '/');
            let partition = parts.next()?.parse().ok()?;
            let epoch = parts.next()?.parse().ok()?;
            let topic = parts.next().filter(|topic| !topic.is_empty())?;
            let cluster = parts.next().filter(|cluster| !cluster.is_empty())?;
            Some(Self {
                cluster: cluster.into(),
                topic: topic.into(),
                epoch,
                partition,
            })
        };
        parse().ok_or_else(|| ContractError::PartitionId { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_id_reads_back_from_its_text_whatever_the_cluster_is_called() {
        for cluster in ["local", "eu/west-1", "a.b"] {
            let id = PartitionId {
                cluster: cluster.into(),
                topic: "mosaic.public.cases".into(),
                epoch: 2,
                partition: 7,
            };
            assert_eq!(id.to_string(), format!("{cluster}/mosaic.public.cases/2/7"));
            assert_eq!(id.to_string().parse::<PartitionId>().unwrap(), id);
        }
    }

    #[test]
    fn text_that_is_no_partition_id_is_refused() {
        for text in ["", "topic/0/1", "/topic/0/1", "c//0/1", "c/t/x/1", "c/t/0/", "c/t/-1/0"] {
            assert!(text.parse::<PartitionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_is_half_open() {
        let range = OffsetRange {
            from: Offset(3),
            to: Offset(5),
        };
        assert_eq!(range.offsets(), 2);
        assert!(range.contains(Offset(3)) && range.contains(Offset(4)) && !range.contains(Offset(5)));
        assert_eq!(range.to_string(), "[3, 5)");
    }

    #[test]
    fn a_recorded_time_prints_as_utc() {
        assert_eq!(RecordedAt(1_539_774_000_000_000).to_string(), "2018-10-17T11:00:00Z");
    }
}
