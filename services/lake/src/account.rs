//! What each commit records about itself: the ranges of offsets it covers and what became of every offset in them.
//! This is the proof of exactly once: ranges tile without gap or overlap, and in each range the counts add up.

use casewatch_contract::PartitionId;
use deltalake::kernel::CommitInfo;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const KEY: &str = "casewatch";

/// One commit of ours, stored as JSON text in the commit's information.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitRecord {
    pub id: Uuid,
    /// create, append, replay, gap, compact, widen, erase, rotate, fence, publish, expire, samples or
    /// dead_letters.
    pub kind: String,
    #[serde(default)]
    pub ranges: Vec<RangeRecord>,
    #[serde(default)]
    pub files: u64,
    #[serde(default)]
    pub bytes: u64,
}

/// Half-open range of one partition's offsets: `to - from` is the sum of the offsets with rows, tombstones, dead
/// letters, holes and erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RangeRecord {
    #[serde(with = "partition_text")]
    pub partition: PartitionId,
    pub from: i64,
    pub to: i64,
    /// Rows of data: a change of key has two for its one offset.
    pub rows: u64,
    /// Offsets with at least one row.
    pub offsets: u64,
    pub tombstones: u64,
    pub dead_letters: u64,
    pub holes: u64,
    /// Offsets whose rows belong to an erased subject and were not stored.
    #[serde(default)]
    pub erased: u64,
}

impl CommitRecord {
    pub fn new(kind: &str, id: Uuid) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            ranges: Vec::new(),
            files: 0,
            bytes: 0,
        }
    }

    /// Stands in for a commit that another engine made.
    pub fn foreign(info: &CommitInfo) -> Self {
        Self::new(info.operation.as_deref().unwrap_or("unknown"), Uuid::nil())
    }

    pub fn commit_info(&self) -> CommitInfo {
        let text = serde_json::to_string(self).expect("a commit record is plain JSON");
        CommitInfo {
            timestamp: Some(chrono::Utc::now().timestamp_millis()),
            operation: Some(self.operation().to_owned()),
            operation_parameters: Some([("mode".to_owned(), "Append".into())].into()),
            engine_info: Some(concat!("casewatch/", env!("CARGO_PKG_VERSION")).to_owned()),
            info: [(KEY.to_owned(), text.into())].into(),
            ..CommitInfo::default()
        }
    }

    fn operation(&self) -> &'static str {
        match self.kind.as_str() {
            "create" => "CREATE TABLE",
            "compact" => "OPTIMIZE",
            "widen" => "ADD COLUMNS",
            "erase" | "expire" => "DELETE",
            "rotate" => "UPDATE",
            _ => "WRITE",
        }
    }

    pub fn from_commit_info(info: &CommitInfo) -> Option<Self> {
        serde_json::from_str(info.info.get(KEY)?.as_str()?).ok()
    }
}

mod partition_text {
    use std::str::FromStr;

    use casewatch_contract::PartitionId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(partition: &PartitionId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(partition)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PartitionId, D::Error> {
        let text = String::deserialize(deserializer)?;
        PartitionId::from_str(&text).map_err(|_| D::Error::custom("not a partition"))
    }
}
