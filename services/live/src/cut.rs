//! How far all partitions have been read, in recorded time (RULES 14).
//!
//! A partition's bound is the highest recorded time read from it. A partition whose end was reached and that has had
//! no message since for `settle` stops holding the cut: it is silent, not behind. The cut is the lowest bound of those
//! that hold; when none holds everything read counts, and the cut is the highest bound. It never goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use casewatch_contract::{PartitionId, RecordedAt};

#[derive(Debug, Clone, Copy)]
pub struct CutOptions {
    /// How long a partition read to its end must be silent before it stops holding the cut.
    pub settle: Duration,
    /// A partition further ahead of the cut than this, in recorded time, is paused.
    pub max_skew: Duration,
    /// Recorded times later than ingestion by more than this count as ingestion plus this.
    pub max_ahead_of_ingestion: Duration,
}

impl Default for CutOptions {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(200),
            max_skew: Duration::from_secs(3_600),
            max_ahead_of_ingestion: Duration::from_secs(300),
        }
    }
}

#[derive(Debug)]
pub struct CutTracker {
    options: CutOptions,
    partitions: BTreeMap<PartitionId, Progress>,
    /// The highest recorded time that stands already, from the lake or an image.
    floor: Option<RecordedAt>,
    cut: Option<RecordedAt>,
}

#[derive(Debug, Default)]
struct Progress {
    bound: Option<RecordedAt>,
    /// Since when nothing is known to be unread.
    read_to_end_at: Option<Instant>,
}

impl CutTracker {
    pub fn new(options: CutOptions) -> Self {
        Self {
            options,
            partitions: BTreeMap::new(),
            floor: None,
            cut: None,
        }
    }

    /// Follows a partition; until something is known of it, it holds the cut.
    pub fn assign(&mut self, partition: PartitionId) {
        self.partitions.entry(partition).or_default();
    }

    pub fn forget(&mut self, partition: &PartitionId) {
        self.partitions.remove(partition);
    }

    /// What stands from the lake or an image: where the cut is if nobody has anything newer.
    pub fn stand_at(&mut self, at: RecordedAt) {
        self.floor = self.floor.max(Some(at));
    }

    /// A message was read; `highest` is the highest recorded time of its rows, none for a message without rows.
    pub fn read(&mut self, partition: &PartitionId, highest: Option<RecordedAt>) {
        let progress = self.partitions.entry(partition.clone()).or_default();
        progress.bound = progress.bound.max(highest);
        progress.read_to_end_at = None;
    }

    /// No message of the partition is unread.
    pub fn end_of_partition(&mut self, partition: &PartitionId, now: Instant) {
        let progress = self.partitions.entry(partition.clone()).or_default();
        progress.read_to_end_at.get_or_insert(now);
    }

    /// Moves the cut as far as the partitions allow. `None`: nothing is known yet.
    pub fn advance(&mut self, now: Instant) -> Option<RecordedAt> {
        let mut holding = self
            .partitions
            .values()
            .filter(|progress| self.holds(progress, now))
            .peekable();
        let reached = if holding.peek().is_some() {
            // A holding partition without a bound has rows of unknown time still to come.
            holding.try_fold(RecordedAt(i64::MAX), |lowest, progress| {
                Some(lowest.min(progress.bound?))
            })
        } else {
            self.partitions
                .values()
                .filter_map(|progress| progress.bound)
                .max()
                .max(self.floor)
        };
        self.cut = self.cut.max(reached);
        self.cut
    }

    pub fn cut(&self) -> Option<RecordedAt> {
        self.cut
    }

    /// How far what is held goes: the cut, or what stood from the lake or an image before there was one.
    pub fn stands_at(&self) -> Option<RecordedAt> {
        self.cut.max(self.floor)
    }

    pub fn bound(&self, partition: &PartitionId) -> Option<RecordedAt> {
        self.partitions.get(partition)?.bound
    }

    /// The highest time read of any partition.
    pub fn highest_bound(&self) -> Option<RecordedAt> {
        self.partitions.values().filter_map(|progress| progress.bound).max()
    }

    /// Partitions too far ahead of the cut to read on. Never a partition that holds the cut back.
    pub fn paused(&self) -> BTreeSet<PartitionId> {
        let Some(lowest) = self
            .cut
            .or_else(|| self.partitions.values().filter_map(|progress| progress.bound).min())
        else {
            return BTreeSet::new();
        };
        let limit = lowest.0.saturating_add(micros(self.options.max_skew));
        let ahead = |progress: &Progress| progress.bound.is_some_and(|bound| bound.0 > limit);
        self.partitions
            .iter()
            .filter(|(_, progress)| ahead(progress))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The time that counts for the cut: a clock that runs ahead must not drag the cut with it.
    pub fn clamp(&self, recorded_at: i64, ingested_at: i64) -> i64 {
        recorded_at.min(ingested_at.saturating_add(micros(self.options.max_ahead_of_ingestion)))
    }

    fn holds(&self, progress: &Progress, now: Instant) -> bool {
        progress
            .read_to_end_at
            .is_none_or(|since| now.saturating_duration_since(since) < self.options.settle)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> PartitionId {
        format!("c/t/0/{number}").parse().unwrap()
    }

    fn tracker(partitions: i32) -> (CutTracker, Instant) {
        let mut tracker = CutTracker::new(CutOptions::default());
        for number in 0..partitions {
            tracker.assign(partition(number));
        }
        (tracker, Instant::now())
    }

    fn at(value: i64) -> Option<RecordedAt> {
        Some(RecordedAt(value))
    }

    #[test]
    fn the_cut_is_the_lowest_bound() {
        let (mut tracker, now) = tracker(2);
        tracker.read(&partition(0), at(100));
        assert_eq!(tracker.advance(now), None, "partition 1 has not been heard of");
        tracker.read(&partition(1), at(40));
        assert_eq!(tracker.advance(now), at(40));
        tracker.read(&partition(1), at(130));
        assert_eq!(tracker.advance(now), at(100));
    }

    #[test]
    fn a_partition_at_its_end_holds_for_the_settling_time_and_no_longer() {
        let (mut tracker, now) = tracker(2);
        tracker.read(&partition(0), at(100));
        tracker.read(&partition(1), at(40));
        tracker.end_of_partition(&partition(1), now);
        assert_eq!(tracker.advance(now + Duration::from_millis(199)), at(40));
        assert_eq!(tracker.advance(now + Duration::from_millis(200)), at(100));
    }

    #[test]
    fn a_message_after_the_end_makes_the_partition_hold_again() {
        let (mut tracker, now) = tracker(2);
        tracker.read(&partition(0), at(100));
        tracker.end_of_partition(&partition(1), now);
        assert_eq!(tracker.advance(now + Duration::from_secs(1)), at(100));
        tracker.read(&partition(1), at(110));
        tracker.read(&partition(0), at(200));
        assert_eq!(tracker.advance(now + Duration::from_secs(1)), at(110));
    }

    #[test]
    fn the_end_reported_twice_counts_from_the_first_time() {
        let (mut tracker, now) = tracker(1);
        tracker.read(&partition(0), at(1));
        tracker.end_of_partition(&partition(0), now);
        tracker.end_of_partition(&partition(0), now + Duration::from_millis(150));
        let progress = &tracker.partitions[&partition(0)];
        assert!(!tracker.holds(progress, now + Duration::from_millis(200)));
    }

    #[test]
    fn the_cut_never_goes_back() {
        let (mut tracker, now) = tracker(1);
        tracker.read(&partition(0), at(100));
        assert_eq!(tracker.advance(now), at(100));
        tracker.assign(partition(1));
        tracker.read(&partition(1), at(10));
        assert_eq!(tracker.advance(now), at(100));
    }

    #[test]
    fn when_every_partition_is_silent_everything_read_is_in_the_cut() {
        let (mut tracker, now) = tracker(2);
        tracker.read(&partition(0), at(100));
        tracker.read(&partition(1), at(40));
        for number in 0..2 {
            tracker.end_of_partition(&partition(number), now);
        }
        assert_eq!(tracker.advance(now + Duration::from_secs(1)), at(100));
    }

    #[test]
    fn with_nothing_new_the_cut_is_where_the_lake_stood() {
        let (mut tracker, now) = tracker(1);
        tracker.stand_at(RecordedAt(77));
        assert_eq!(tracker.advance(now), None);
        tracker.end_of_partition(&partition(0), now);
        assert_eq!(tracker.advance(now + Duration::from_secs(1)), at(77));
    }

    #[test]
    fn a_partition_far_ahead_is_paused_until_the_others_come_near() {
        let (mut tracker, now) = tracker(2);
        let hour = 3_600_000_000;
        tracker.read(&partition(0), at(0));
        tracker.read(&partition(1), at(hour + 1));
        tracker.advance(now);
        assert_eq!(tracker.paused(), BTreeSet::from([partition(1)]));
        tracker.read(&partition(0), at(1));
        tracker.advance(now);
        assert_eq!(tracker.paused(), BTreeSet::new());
    }

    #[test]
    fn a_time_far_after_ingestion_is_clamped() {
        let (tracker, _) = tracker(1);
        let minute = 60_000_000;
        assert_eq!(tracker.clamp(4 * minute, 0), 4 * minute);
        assert_eq!(tracker.clamp(6 * minute, 0), 5 * minute);
    }
}
