//! Truncations and complete snapshots: the floors below which a source's rows no longer count (RULES 10, 12, 20).
//!
//! A truncation removes its source's rows of lower `_seq`. A complete snapshot removes the keys of its source that it
//! did not read again. Under source order every row of a snapshot carries the snapshot's position, so what it read
//! again is never below that position, and both rules are one: a source has a floor, and rows below it do not exist.
//! That makes the fold independent of the order in which markers and rows arrive. Under offset order positions of two
//! partitions do not compare, so a snapshot is complete, and its floor holds, only within one partition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

/// `_seq` is an epoch (4 bytes), the source's position (none under offset order) and the offset (8 bytes).
const OFFSET_BYTES: usize = 8;
const SEQ_WITHOUT_POSITION_BYTES: usize = 4 + OFFSET_BYTES;

/// Within which rows of two sequences compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) source: u32,
    pub(crate) partition: Option<i32>,
}

impl Scope {
    pub(crate) fn of(seq: &[u8], source: u32, partition: i32) -> Self {
        Self {
            source,
            partition: (seq.len() <= SEQ_WITHOUT_POSITION_BYTES).then_some(partition),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    First,
    Last,
}

impl Marker {
    /// Debezium marks the first and the last row of a whole snapshot, and of each table within it.
    pub(crate) fn parse(snapshot: &str) -> Option<Self> {
        match snapshot {
            "first" | "first_in_data_collection" => Some(Self::First),
            "last" | "last_in_data_collection" => Some(Self::Last),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Floors {
    #[serde(with = "pairs")]
    floors: HashMap<Scope, Vec<u8>>,
    #[serde(with = "pairs")]
    marks: HashMap<Scope, Marks>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Marks {
    firsts: BTreeSet<Vec<u8>>,
    #[serde(with = "pairs")]
    lasts: BTreeMap<Vec<u8>, i64>,
}

impl Floors {
    pub(crate) fn is_empty(&self) -> bool {
        self.floors.is_empty()
    }

    pub(crate) fn floor(&self, scope: Scope) -> Option<&[u8]> {
        self.floors.get(&scope).map(Vec::as_slice)
    }

    /// Raises a floor; false when it stood as high already.
    pub(crate) fn raise(&mut self, scope: Scope, floor: &[u8]) -> bool {
        let standing = self.floors.entry(scope).or_default();
        if standing.as_slice() >= floor {
            return false;
        }
        *standing = floor.to_vec();
        true
    }

    /// Notes a marker of a snapshot; when that completes one, its floor.
    pub(crate) fn mark(&mut self, marker: Marker, scope: Scope, seq: &[u8], recorded_at: i64) -> Option<Vec<u8>> {
        let position = match scope.partition {
            None => seq[..seq.len().saturating_sub(OFFSET_BYTES)].to_vec(),
            Some(_) => seq.to_vec(),
        };
        let marks = self.marks.entry(scope).or_default();
        let is_new = match marker {
            Marker::First => marks.firsts.insert(position),
            Marker::Last => marks.lasts.insert(position, recorded_at).is_none(),
        };
        if !is_new {
            return None;
        }
        marks.complete(scope).last().map(|(start, _)| (*start).clone())
    }

    /// When the first complete snapshot of every source that sends snapshots had ended; `None` while one of them has
    /// not, and when none sends any.
    pub(crate) fn first_complete(&self) -> FirstSnapshot {
        let mut latest_source = None;
        for (scope, marks) in &self.marks {
            match marks.complete(*scope).first() {
                Some((_, ended_at)) => latest_source = latest_source.max(Some(*ended_at)),
                None => return FirstSnapshot::Unfinished,
            }
        }
        latest_source.map_or(FirstSnapshot::NoSnapshots, FirstSnapshot::EndedAt)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstSnapshot {
    NoSnapshots,
    Unfinished,
    EndedAt(i64),
}

impl Marks {
    /// Start and recorded end of each complete snapshot, in order. Under source order its rows share one position, so
    /// the last marker says both; a table of one row has no other. Under offset order it goes from a first marker to
    /// the next last one, with no other first marker between.
    fn complete(&self, scope: Scope) -> Vec<(&Vec<u8>, i64)> {
        if scope.partition.is_none() {
            return self
                .lasts
                .iter()
                .map(|(position, ended_at)| (position, *ended_at))
                .collect();
        }
        let from_first = |first| {
            let (last, ended_at) = self.lasts.range::<Vec<u8>, _>(first..).next()?;
            let between = (Bound::Excluded(first), Bound::Included(last));
            let broken_off = self.firsts.range::<Vec<u8>, _>(between).next().is_some();
            (!broken_off).then_some((first, *ended_at))
        };
        self.firsts.iter().filter_map(from_first).collect()
    }
}

/// Maps whose keys are not text, written as lists of pairs.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<'a, S, M, K, V>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        &'a M: IntoIterator<Item = (&'a K, &'a V)>,
        K: Serialize + 'a,
        V: Serialize + 'a,
    {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D, M, K, V>(deserializer: D) -> Result<M, D::Error>
    where
        D: Deserializer<'de>,
        M: FromIterator<(K, V)>,
        K: Deserialize<'de>,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
