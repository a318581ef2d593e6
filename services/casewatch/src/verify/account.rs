//! The account of one partition of one table: what its commits say it holds, what it does hold, and what is wrong.
//!
//! No I/O: ranges, runs and dead letters go in, faults come out.

use std::collections::BTreeSet;

use casewatch_contract::Offset;
use chrono::{DateTime, NaiveDate};
use serde::{Deserialize, Serialize};

/// What one commit says of a partition: offsets `[from, to)` and what became of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Range {
    pub version: i64,
    /// `append`, `gap` or `replay`.
    pub kind: String,
    #[serde(rename = "from_offset")]
    pub from: i64,
    #[serde(rename = "to_offset")]
    pub to: i64,
    pub offsets: i64,
    pub tombstones: i64,
    pub dead_letters: i64,
    pub holes: i64,
    pub erased: i64,
    pub committed_at_s: i64,
}

impl Range {
    fn adds_up_to(&self) -> i64 {
        self.offsets + self.tombstones + self.dead_letters + self.holes + self.erased
    }
}

/// Consecutive offsets that have rows.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Run {
    #[serde(rename = "from_offset")]
    pub from: i64,
    #[serde(rename = "to_offset")]
    pub to: i64,
    /// How many of them stand more than once.
    pub repeated: i64,
    #[serde(default)]
    pub first_repeated: Option<i64>,
}

/// A dead letter as the lake has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Letter {
    pub offset: i64,
    /// How often it stands.
    pub times: i64,
    pub replayed: bool,
}

/// Sums over all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub partitions: u64,
    pub commits: u64,
    pub offsets: i64,
    pub with_rows: i64,
    pub tombstones: i64,
    pub dead_letters: i64,
    pub replayed: i64,
    pub holes: i64,
    /// Not stored, since they belong to erased subjects.
    pub erased: i64,
    /// Offsets that are gone since, in tables of which something was erased.
    pub gone_since: i64,
    /// Dead letters that have expired, by the lake's own word.
    pub expired: i64,
    pub accepted_gaps: u64,
    /// Offsets in accepted gaps.
    pub given_up: i64,
}

/// What is wrong with offsets `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub from: i64,
    pub to: i64,
    pub what: String,
}

/// Everything the lake says of one partition of one table.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Up to where it is proved; none of a partition that came later.
    pub position: Option<i64>,
    pub ranges: Vec<Range>,
    pub runs: Vec<Run>,
    pub letters: Vec<Letter>,
    /// The table's last version by which rows of an erased subject went.
    pub erased_at: Option<i64>,
    /// The first day of which dead letters have not expired.
    pub expired_before: Option<NaiveDate>,
}

impl Account {
    pub fn of(position: Option<Offset>) -> Self {
        Self {
            position: position.map(|position| position.0),
            ..Self::default()
        }
    }

    /// Adds what it holds to the totals and says what is wrong.
    pub fn settle(mut self, totals: &mut Totals) -> Vec<Fault> {
        let Some(position) = self.position else {
            return Vec::new();
        };
        totals.partitions += 1;
        self.ranges.sort_by_key(|range| (range.from, range.to));
        self.runs.sort_by_key(|run| run.from);
        let mut faults = Faults::default();
        self.tile(position, &mut faults);
        let replayed = self.replayed(position);
        totals.replayed += count(replayed.len());
        let moves = self.ranges.iter().filter(|range| range.kind != "replay");
        for range in moves.filter(|range| range.from < position) {
            totals.commits += 1;
            totals.offsets += range.to - range.from;
            if range.kind == "gap" {
                self.gap(range, totals, &mut faults);
            } else {
                self.range(range, &replayed, totals, &mut faults);
            }
        }
        self.standing_once(position, &replayed, &mut faults);
        faults.0
    }

    /// Every offset below the position is in one range.
    fn tile(&self, position: i64, faults: &mut Faults) {
        let moves = self.ranges.iter().filter(|range| range.kind != "replay");
        let mut next = None;
        for range in moves.filter(|range| range.from < position) {
            let expected = next.unwrap_or(range.from);
            if range.from > expected {
                faults.add(expected, range.from, "no commit accounts for them");
            } else if range.from < expected {
                let twice = expected.min(range.to);
                faults.add(range.from, twice, "two commits account for them");
            }
            let (length, parts) = (range.to - range.from, range.adds_up_to());
            if length != parts {
                let what = format!("their commit accounts for {parts} of {length}");
                faults.add(range.from, range.to, &what);
            }
            next = Some(expected.max(range.to));
        }
        let first = moves_begin_at(&self.ranges);
        match next {
            Some(next) if next != position => {
                let what = format!("commits end at {next}, the position is {position}");
                faults.add(next.min(position), next.max(position), &what);
            }
            None if position > 0 => faults.add(0, position, "no commit accounts for them"),
            _ => {}
        }
        for run in self.runs.iter().filter(|run| run.from < first.min(position)) {
            let to = run.to.min(first);
            faults.add(run.from, to, "they have rows, and no commit accounts for them");
        }
    }

    /// Offsets at which a row came by replay of a dead letter.
    fn replayed(&self, position: i64) -> BTreeSet<i64> {
        let by_commit = self.ranges.iter().filter(|range| range.kind == "replay");
        let by_commit = by_commit.flat_map(|range| range.from..range.to);
        let flagged = self.letters.iter().filter(|letter| letter.replayed);
        by_commit
            .chain(flagged.map(|letter| letter.offset))
            .filter(|offset| *offset < position && self.has_row(*offset))
            .collect()
    }

    fn range(&self, range: &Range, replayed: &BTreeSet<i64>, totals: &mut Totals, faults: &mut Faults) {
        totals.with_rows += range.offsets;
        totals.tombstones += range.tombstones;
        totals.dead_letters += range.dead_letters;
        totals.holes += range.holes;
        totals.erased += range.erased;
        let found = self.with_rows(range.from, range.to) - count(replayed.range(range.from..range.to).count());
        let missing = range.offsets - found;
        if missing < 0 {
            let what = format!("{found} of them have rows, of {} that were committed", range.offsets);
            faults.add(range.from, range.to, &what);
        } else if missing > 0 && self.erased_at.is_some_and(|erased_at| erased_at > range.version) {
            totals.gone_since += missing;
        } else if missing > 0 {
            let what = format!("{missing} of {} that were committed have no row", range.offsets);
            faults.add(range.from, range.to, &what);
        }
        let here = |letter: &&Letter| (range.from..range.to).contains(&letter.offset);
        let letters = count(self.letters.iter().filter(here).count());
        if letters < range.dead_letters && self.may_have_expired(range) {
            totals.expired += range.dead_letters - letters;
        } else if letters != range.dead_letters {
            let what = format!("{letters} dead letters stand, of {} committed", range.dead_letters);
            faults.add(range.from, range.to, &what);
        }
    }

    /// Dead letters are committed just before their range: on the same day, or on the one before.
    fn may_have_expired(&self, range: &Range) -> bool {
        let committed_on = DateTime::from_timestamp_secs(range.committed_at_s).map(|at| at.date_naive());
        committed_on
            .zip(self.expired_before)
            .is_some_and(|(committed_on, first_kept)| committed_on <= first_kept)
    }

    fn gap(&self, range: &Range, totals: &mut Totals, faults: &mut Faults) {
        totals.accepted_gaps += 1;
        totals.given_up += range.to - range.from;
        totals.holes += range.holes;
        if self.with_rows(range.from, range.to) > 0 {
            faults.add(range.from, range.to, "an accepted gap, and there are rows in it");
        }
    }

    fn standing_once(&self, position: i64, replayed: &BTreeSet<i64>, faults: &mut Faults) {
        for run in &self.runs {
            if let Some(first) = run.first_repeated.filter(|first| *first < position) {
                let what = format!("rows of {} of them stand more than once", run.repeated);
                faults.add(first, run.to, &what);
            }
        }
        for letter in self.letters.iter().filter(|letter| letter.offset < position) {
            let (from, to) = (letter.offset, letter.offset + 1);
            if letter.times > 1 {
                faults.add(from, to, &format!("its dead letter stands {} times", letter.times));
            }
            if self.has_row(letter.offset) && !replayed.contains(&letter.offset) {
                faults.add(from, to, "both a row and a dead letter, which was not replayed");
            }
        }
    }

    fn has_row(&self, offset: i64) -> bool {
        self.with_rows(offset, offset + 1) > 0
    }

    /// How many offsets of `[from, to)` have rows.
    fn with_rows(&self, from: i64, to: i64) -> i64 {
        let first = self.runs.partition_point(|run| run.to <= from);
        let touching = self.runs[first..].iter().take_while(|run| run.from < to);
        touching.map(|run| run.to.min(to) - run.from.max(from)).sum()
    }
}

fn moves_begin_at(ranges: &[Range]) -> i64 {
    let moves = ranges.iter().filter(|range| range.kind != "replay");
    moves.map(|range| range.from).min().unwrap_or(0)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, from: i64, to: i64, what: &str) {
        self.0.push(Fault {
            from,
            to,
            what: what.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use casewatch_contract::RecordedAt;
    use chrono::Days;

    use super::*;

    fn append(version: i64, from: i64, to: i64) -> Range {
        Range {
            version,
            kind: "append".to_owned(),
            from,
            to,
            offsets: to - from,
            committed_at_s: RecordedAt::now().0 / 1_000_000,
            ..Range::default()
        }
    }

    fn gap(from: i64, to: i64) -> Range {
        Range {
            kind: "gap".to_owned(),
            offsets: 0,
            holes: to - from,
            ..append(9, from, to)
        }
    }

    fn today() -> NaiveDate {
        DateTime::from_timestamp_micros(RecordedAt::now().0)
            .unwrap()
            .date_naive()
    }

    fn run(from: i64, to: i64) -> Run {
        Run {
            from,
            to,
            ..Run::default()
        }
    }

    fn letter(offset: i64) -> Letter {
        Letter {
            offset,
            times: 1,
            replayed: false,
        }
    }

    /// Offsets 5 to 30 in two commits: a dead letter at 12, a tombstone at 15.
    fn sound() -> Account {
        let second = Range {
            offsets: 18,
            dead_letters: 1,
            tombstones: 1,
            ..append(2, 10, 30)
        };
        Account {
            position: Some(30),
            ranges: vec![second, append(1, 5, 10)],
            runs: vec![run(5, 12), run(13, 15), run(16, 30)],
            letters: vec![letter(12)],
            erased_at: None,
            expired_before: None,
        }
    }

    fn faults(account: Account) -> Vec<String> {
        let told = account.settle(&mut Totals::default()).into_iter();
        told.map(|fault| format!("[{}, {}) {}", fault.from, fault.to, fault.what))
            .collect()
    }

    fn broken(change: impl FnOnce(&mut Account)) -> Vec<String> {
        let mut account = sound();
        change(&mut account);
        faults(account)
    }

    #[test]
    fn an_account_that_adds_up_has_no_fault_and_says_what_it_holds() {
        let mut totals = Totals::default();
        assert_eq!(sound().settle(&mut totals), []);
        let expected = Totals {
            partitions: 1,
            commits: 2,
            offsets: 25,
            with_rows: 23,
            tombstones: 1,
            dead_letters: 1,
            ..Totals::default()
        };
        assert_eq!(totals, expected);
    }

    #[test]
    fn ranges_that_leave_out_or_overlap_are_told() {
        assert_eq!(
            broken(|account| account.ranges[1] = append(1, 5, 8)),
            ["[8, 10) no commit accounts for them"]
        );
        assert_eq!(
            broken(|account| account.ranges[1] = append(1, 5, 11)),
            ["[10, 11) two commits account for them"]
        );
        assert_eq!(
            broken(|account| account.position = Some(40)),
            ["[30, 40) commits end at 30, the position is 40"]
        );
        assert_eq!(
            broken(|account| account.ranges[0].holes = 3),
            ["[10, 30) their commit accounts for 23 of 20"]
        );
        let unaccounted = Account::of(Some(Offset(3)));
        assert_eq!(faults(unaccounted), ["[0, 3) no commit accounts for them"]);
    }

    #[test]
    fn rows_that_are_gone_or_too_many_are_told_with_their_commit() {
        assert_eq!(
            broken(|account| account.runs[2] = run(20, 30)),
            ["[10, 30) 4 of 18 that were committed have no row"]
        );
        assert_eq!(
            broken(|account| account.runs[1] = run(13, 16)),
            ["[10, 30) 19 of them have rows, of 18 that were committed"]
        );
        assert_eq!(
            broken(|account| account.runs.insert(0, run(2, 4))),
            ["[2, 4) they have rows, and no commit accounts for them"]
        );
    }

    #[test]
    fn what_stands_twice_is_told_from_its_first_offset() {
        let repeated = Run {
            repeated: 2,
            first_repeated: Some(7),
            ..run(5, 12)
        };
        assert_eq!(
            broken(|account| account.runs[0] = repeated),
            ["[7, 12) rows of 2 of them stand more than once"]
        );
        assert_eq!(
            broken(|account| account.letters[0].times = 2),
            ["[12, 13) its dead letter stands 2 times"]
        );
    }

    #[test]
    fn a_dead_letter_has_a_row_only_by_replay_and_is_missing_only_where_the_lake_says_that_it_expired() {
        let with_row = |account: &mut Account| {
            account.runs = vec![run(5, 15), run(16, 30)];
            account.ranges[0].offsets = 18;
        };
        let told = broken(with_row);
        assert!(
            told.contains(&"[12, 13) both a row and a dead letter, which was not replayed".to_owned()),
            "{told:?}"
        );
        let replayed = |account: &mut Account| {
            with_row(account);
            account.letters[0].replayed = true;
        };
        assert_eq!(broken(replayed), [""; 0]);
        let by_commit = Range {
            kind: "replay".to_owned(),
            ..append(3, 12, 13)
        };
        let replayed_and_expired = |account: &mut Account| {
            with_row(account);
            account.letters.clear();
            account.expired_before = Some(today());
            account.ranges.push(by_commit);
        };
        assert_eq!(broken(replayed_and_expired), [""; 0]);
        let missing = ["[10, 30) 0 dead letters stand, of 1 committed"];
        let of_long_ago = |account: &mut Account| {
            account.letters.clear();
            account.ranges[0].committed_at_s = 0;
        };
        assert_eq!(broken(of_long_ago), missing, "nothing says that it expired");
        let kept = |account: &mut Account| {
            account.letters.clear();
            account.expired_before = Some(today() - Days::new(1));
        };
        assert_eq!(broken(kept), missing, "those of its day have not expired");
    }

    #[test]
    fn an_accepted_gap_tiles_and_is_counted_and_holds_no_row() {
        let mut account = sound();
        account.ranges.push(gap(30, 40));
        account.position = Some(40);
        let mut totals = Totals::default();
        assert_eq!(account.clone().settle(&mut totals), []);
        assert_eq!((totals.accepted_gaps, totals.given_up), (1, 10));
        account.runs.push(run(33, 34));
        assert_eq!(faults(account), ["[30, 40) an accepted gap, and there are rows in it"]);
    }

    #[test]
    fn rows_that_an_erasure_may_have_taken_are_counted_and_no_fault() {
        let mut account = sound();
        account.runs[2] = run(20, 30);
        account.erased_at = Some(5);
        let mut totals = Totals::default();
        assert_eq!(account.settle(&mut totals), []);
        assert_eq!(totals.gone_since, 4);
    }

    #[test]
    fn what_was_committed_after_the_position_is_left_alone() {
        let mut account = sound();
        account.ranges.push(append(3, 30, 50));
        account.runs[2].to = 45;
        assert_eq!(faults(account), [""; 0]);
    }
}
