//! Truncations and complete snapshots: the floors below which a source's rows no longer count (RULES 10, 12, 20).
//!
//! A truncation removes its source's rows of lower `_seq`. A complete snapshot removes the keys of its source that it
//! did not read again. Under source order every row of a snapshot carries the snapshot's position, so what it read
//! again is never below that position, and both rules are one: a source has a floor, and rows below it do not exist.
//! That makes the fold independent of the order in which markers and rows arrive. Under offset order positions of two
//! partitions do not compare, so a snapshot is complete, and its floor holds, only within one partition.
//!
//! Since when a table is known is the end of its first complete snapshot. A table of one row that is the very first of
//! a whole snapshot has no last marker: its other tables tell when it ended.

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

/// Where in a snapshot a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// The first row of a whole snapshot. A table of one row that comes first has no other marker.
    First,
    FirstOfTable,
    Inside,
    LastOfTable,
    /// The last row of a whole snapshot, and so of its table.
    Last,
}

impl Marker {
    /// Debezium's words. Rows of an incremental snapshot are none of these: nothing says where one begins or ends.
    pub(crate) fn parse(snapshot: &str) -> Option<Self> {
        match snapshot {
            "first" => Some(Self::First),
            "first_in_data_collection" => Some(Self::FirstOfTable),
            "true" => Some(Self::Inside),
            "last_in_data_collection" => Some(Self::LastOfTable),
            "last" => Some(Self::Last),
            _ => None,
        }
    }
}

/// Beyond so many positions a source plainly gives each row of a snapshot its own: they are not kept, and nothing is
/// inferred from them.
const POSITIONS_AT_MOST: usize = 1_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Floors {
    #[serde(with = "pairs")]
    floors: HashMap<Scope, Vec<u8>>,
    /// Under source order: what was read of each snapshot of a source, by its position.
    snapshots: BTreeMap<u32, Snapshots>,
    /// Under offset order: the markers of each partition.
    #[serde(with = "pairs")]
    marks: HashMap<Scope, Marks>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Snapshots {
    #[serde(with = "pairs")]
    by_position: BTreeMap<Vec<u8>, Snapshot>,
}

/// What was read of one snapshot of a table. Times are recorded ones, the earliest where a marker was read twice.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Snapshot {
    /// When the table's row that is the first of the whole snapshot was recorded.
    opened_at: Option<i64>,
    /// There are rows beside that one.
    has_more: bool,
    ended_at: Option<i64>,
    /// When the whole snapshot ended, where this table has its last row.
    all_ended_at: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Marks {
    firsts: BTreeSet<Vec<u8>>,
    #[serde(with = "pairs")]
    lasts: BTreeMap<Vec<u8>, i64>,
}

/// When whole snapshots ended, by source and position: what one table of a source tells of the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct SnapshotEnds(HashMap<String, BTreeMap<Vec<u8>, i64>>);

impl SnapshotEnds {
    /// Adds what a table has seen. Of several ends of one snapshot the last counts: of a producer that ends every table
    /// with `last`, that is the end of the whole.
    pub(crate) fn add(&mut self, sources: &[String], floors: &Floors) {
        for (source, snapshots) in &floors.snapshots {
            // Rows that do not say whose they are may be anybody's.
            let Some(name) = sources.get(*source as usize).filter(|name| !name.is_empty()) else {
                continue;
            };
            for (position, snapshot) in &snapshots.by_position {
                let Some(ended_at) = snapshot.all_ended_at else {
                    continue;
                };
                let ends = self.0.entry(name.clone()).or_default();
                let known = ends.entry(position.clone()).or_insert(ended_at);
                *known = ended_at.max(*known);
            }
        }
    }

    fn of(&self, source: &str, position: &[u8]) -> Option<i64> {
        self.0.get(source)?.get(position).copied()
    }
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

    /// Notes a row of a snapshot; when that completes one, its floor.
    pub(crate) fn mark(&mut self, marker: Marker, scope: Scope, seq: &[u8], recorded_at: i64) -> Option<Vec<u8>> {
        if scope.partition.is_some() {
            return self.marks.entry(scope).or_default().note(marker, seq, recorded_at);
        }
        let position = &seq[..seq.len().saturating_sub(OFFSET_BYTES)];
        let snapshots = self.snapshots.entry(scope.source).or_default();
        snapshots.note(marker, position, recorded_at)
    }

    /// When the first complete snapshot of every source that sends snapshots had ended. `sources` are the names of the
    /// table's sources, `ends` what its source's other tables tell.
    pub(crate) fn first_complete(&self, sources: &[String], ends: &SnapshotEnds) -> FirstSnapshot {
        let mut latest_source = FirstSnapshot::NoSnapshots;
        for (source, snapshots) in &self.snapshots {
            let name = sources.get(*source as usize).map_or("", String::as_str);
            latest_source = latest_source.and(snapshots.first_ended_at(name, ends));
        }
        for (scope, marks) in &self.marks {
            // Where markers stand in other partitions of the source, those say how far it is.
            let has_markers = |other: &Marks| !other.firsts.is_empty() || !other.lasts.is_empty();
            let elsewhere = |(other, marks): (&Scope, &Marks)| other.source == scope.source && has_markers(marks);
            if has_markers(marks) || !self.marks.iter().any(elsewhere) {
                latest_source = latest_source.and(marks.first_ended_at());
            }
        }
        latest_source
    }
}

/// How far the first snapshot of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstSnapshot {
    NoSnapshots,
    Unfinished,
    EndedAt(i64),
}

impl FirstSnapshot {
    /// Together with another source's, which has one and has ended it at a time, or not.
    fn and(self, ended_at: Option<i64>) -> Self {
        match (self, ended_at) {
            (Self::Unfinished, _) | (_, None) => Self::Unfinished,
            (Self::NoSnapshots, Some(at)) => Self::EndedAt(at),
            (Self::EndedAt(before), Some(at)) => Self::EndedAt(before.max(at)),
        }
    }
}

impl Snapshots {
    /// Rows of one snapshot share its position, so the last marker says both that it is complete and its floor; a table
    /// of one row has no other.
    fn note(&mut self, marker: Marker, position: &[u8], recorded_at: i64) -> Option<Vec<u8>> {
        if !self.by_position.contains_key(position) {
            if marker == Marker::Inside && self.by_position.len() >= POSITIONS_AT_MOST {
                return None;
            }
            self.by_position.insert(position.to_vec(), Snapshot::default());
        }
        let snapshot = self.by_position.get_mut(position)?;
        snapshot.has_more |= marker != Marker::First;
        match marker {
            Marker::First => earliest(&mut snapshot.opened_at, recorded_at),
            Marker::FirstOfTable | Marker::Inside => {}
            Marker::LastOfTable | Marker::Last => {
                if marker == Marker::Last {
                    earliest(&mut snapshot.all_ended_at, recorded_at);
                }
                let is_new = snapshot.ended_at.is_none();
                earliest(&mut snapshot.ended_at, recorded_at);
                return is_new.then(|| position.to_vec());
            }
        }
        None
    }

    fn first_ended_at(&self, source: &str, ends: &SnapshotEnds) -> Option<i64> {
        let inferred = |position: &[u8], snapshot: &Snapshot| self.inferred_end(source, position, snapshot, ends);
        self.by_position
            .iter()
            .find_map(|(position, snapshot)| snapshot.ended_at.or_else(|| inferred(position, snapshot)))
    }

    /// When a snapshot ended of which this table has the very first row and no other: with the whole snapshot, which
    /// another table tells. Good enough to say since when a table is known, and not to delete by: see ARCHITECTURE.md.
    fn inferred_end(&self, source: &str, position: &[u8], snapshot: &Snapshot, ends: &SnapshotEnds) -> Option<i64> {
        if snapshot.has_more || self.by_position.len() >= POSITIONS_AT_MOST {
            return None;
        }
        let opened_at = snapshot.opened_at?;
        Some(ends.of(source, position)?.max(opened_at))
    }
}

fn earliest(time: &mut Option<i64>, other: i64) {
    *time = Some(time.map_or(other, |time| time.min(other)));
}

impl Marks {
    fn note(&mut self, marker: Marker, seq: &[u8], recorded_at: i64) -> Option<Vec<u8>> {
        let is_new = match marker {
            Marker::Inside => false,
            Marker::First | Marker::FirstOfTable => self.firsts.insert(seq.to_vec()),
            Marker::LastOfTable | Marker::Last => self.lasts.insert(seq.to_vec(), recorded_at).is_none(),
        };
        if !is_new {
            return None;
        }
        self.complete().next_back().map(|(start, _)| start.clone())
    }

    fn first_ended_at(&self) -> Option<i64> {
        self.complete().next().map(|(_, ended_at)| ended_at)
    }

    /// Start and recorded end of each complete snapshot of a partition, in order: from a first marker to the next last
    /// one, with no other first marker between.
    fn complete(&self) -> impl DoubleEndedIterator<Item = (&Vec<u8>, i64)> {
        self.firsts.iter().filter_map(|first| {
            let (last, ended_at) = self.lasts.range::<Vec<u8>, _>(first..).next()?;
            let between = (Bound::Excluded(first), Bound::Included(last));
            let broken_off = self.firsts.range::<Vec<u8>, _>(between).next().is_some();
            (!broken_off).then_some((first, *ended_at))
        })
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
