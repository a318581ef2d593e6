//! One table's fold, moved forwards through recorded time: the part of a [`Replay`](crate::Replay) that reads nothing.
//!
//! A [`Timeline`] is a live table and the rows that the moment has not reached. A [`TableReplay`] is what a table shows
//! at each moment: where versions move with `as_of`, one timeline; where they stay, the versions known then, in which
//! columns changed in place follow `as_of` (RULES 19).

use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, Table};

use crate::error::LiveError;
use crate::present::Present;
use crate::table::{LiveTable, fold_error, row_number};
use crate::travel::{oldest_first, recorded_by, row_times, with_past_columns};

/// Which versions of the rows a replay shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Those known at each `as_of`: both clocks move together.
    AsKnownThen,
    /// Those known at one moment, whatever `as_of`.
    KnownAt(RecordedAt),
}

impl Versions {
    pub fn known_at(self, as_of: RecordedAt) -> RecordedAt {
        match self {
            Self::AsKnownThen => as_of,
            Self::KnownAt(known_at) => known_at,
        }
    }
}

/// One table at one moment after the other.
pub(crate) struct TableReplay {
    versions: Versions,
    rows: Timeline,
    in_place: Option<InPlace>,
}

/// Columns changed in place, where versions stay while `as_of` moves.
struct InPlace {
    columns: Vec<usize>,
    past: Timeline,
    first: LiveTable,
    /// What was shown last, and the past it was made of.
    shown: Option<(Arc<Present>, Arc<Present>)>,
}

impl TableReplay {
    pub(crate) fn new(table: &Arc<Table>, versions: Versions) -> Result<Self, LiveError> {
        let columns: Vec<usize> = (0..table.columns.len())
            .filter(|column| table.columns[*column].undated)
            .collect();
        let in_place = match versions {
            Versions::KnownAt(_) if !columns.is_empty() => Some(InPlace {
                columns,
                past: Timeline::new(table)?,
                first: LiveTable::new(table.clone())?,
                shown: None,
            }),
            _ => None,
        };
        Ok(Self {
            versions,
            rows: Timeline::new(table)?,
            in_place,
        })
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        self.rows.live.table()
    }

    /// Whether rows are wanted in the order of months, by [`TableReplay::take`].
    pub(crate) fn follows(&self) -> bool {
        self.versions == Versions::AsKnownThen || self.in_place.is_some()
    }

    /// Rows that count at any moment: of snapshots recorded by `assumed_until`, where somebody assumes them known
    /// (RULES 20), and where versions stay, those that were known then.
    pub(crate) fn found(&mut self, rows: &RecordBatch, assumed_until: Option<RecordedAt>) -> Result<(), LiveError> {
        let never = RecordedAt(i64::MIN);
        let limit = match self.versions {
            Versions::AsKnownThen => never,
            Versions::KnownAt(known_at) => known_at,
        };
        let of = |limit| recorded_by(rows, limit, assumed_until).map_err(|source| fold_error(self.table(), source));
        let versions = of(limit)?;
        let assumed = of(never)?;
        self.rows.live.apply(&versions)?;
        if let Some(in_place) = &mut self.in_place {
            let table = in_place.first.table().clone();
            let backwards = oldest_first(&versions).map_err(|source| fold_error(&table, source))?;
            in_place.first.apply(&backwards)?;
            in_place.past.live.apply(&assumed)?;
        }
        Ok(())
    }

    /// Rows of history that were not taken before, at the latest when `as_of` reaches them.
    pub(crate) fn take(&mut self, rows: &RecordBatch, as_of: RecordedAt) -> Result<(), LiveError> {
        match (&mut self.in_place, self.versions) {
            (_, Versions::AsKnownThen) => self.rows.take(rows, as_of),
            (Some(in_place), Versions::KnownAt(known_at)) => in_place.past.take(rows, as_of.min(known_at)),
            (None, Versions::KnownAt(_)) => Ok(()),
        }
    }

    /// The table at `as_of`, which never goes back. The very same one as before when nothing of it differs.
    pub(crate) fn show(&mut self, as_of: RecordedAt) -> Result<Arc<Present>, LiveError> {
        let Versions::KnownAt(known_at) = self.versions else {
            return self.rows.show(as_of);
        };
        let versions = self.rows.show(known_at)?;
        match &mut self.in_place {
            Some(in_place) if as_of < known_at => in_place.show(&self.rows.live, as_of),
            _ => Ok(versions),
        }
    }
}

impl InPlace {
    fn show(&mut self, versions: &LiveTable, as_of: RecordedAt) -> Result<Arc<Present>, LiveError> {
        let past = self.past.show(as_of)?;
        if let Some((shown, of)) = &self.shown
            && Arc::ptr_eq(of, &past)
        {
            return Ok(shown.clone());
        }
        self.first.publish()?;
        let mut batches = with_past_columns(versions, &self.past.live, &self.first, &self.columns)
            .map_err(|source| fold_error(versions.table(), source))?;
        let before = self.shown.take().map(|(shown, _)| shown);
        let shared = before.as_ref().map_or(0, |before| self.share(&mut batches, before));
        let shown = match before {
            Some(before) if shared == batches.len() => before,
            before => {
                let generation = before.map_or(1, |before| before.generation + 1);
                Arc::new(Present::new(versions.schema.clone(), batches, generation))
            }
        };
        self.shown = Some((shown.clone(), past));
        Ok(shown)
    }

    /// Puts blocks of the moment before in the place of equal ones: versions stay, so only columns changed in place can
    /// differ. Says how many are equal.
    fn share(&self, batches: &mut [RecordBatch], before: &Present) -> usize {
        let mut shared = 0;
        for (batch, before) in batches.iter_mut().zip(&before.batches) {
            let equal = |column: &usize| batch.column(*column) == before.column(*column);
            if self.columns.iter().all(equal) {
                *batch = before.clone();
                shared += 1;
            }
        }
        shared
    }
}

/// A live table and the rows that the moment has not reached.
struct Timeline {
    live: LiveTable,
    waiting: Vec<Waiting>,
}

impl Timeline {
    fn new(table: &Arc<Table>) -> Result<Self, LiveError> {
        Ok(Self {
            live: LiveTable::new(table.clone())?,
            waiting: Vec::new(),
        })
    }

    fn take(&mut self, rows: &RecordBatch, reached: RecordedAt) -> Result<(), LiveError> {
        let table = self.live.table().clone();
        let failed = |source| fold_error(&table, source);
        self.live.apply(&recorded_by(rows, reached, None).map_err(failed)?)?;
        self.waiting.extend(Waiting::after(rows, reached).map_err(failed)?);
        Ok(())
    }

    fn show(&mut self, reached: RecordedAt) -> Result<Arc<Present>, LiveError> {
        let table = self.live.table().clone();
        let failed = |source| fold_error(&table, source);
        let mut due = Vec::new();
        for waiting in &mut self.waiting {
            due.extend(waiting.due(reached).map_err(failed)?);
        }
        self.waiting.retain(|waiting| !waiting.order.is_empty());
        if let Some(first) = due.first() {
            let rows = concat_batches(&first.schema(), &due).map_err(failed)?;
            self.live.apply(&rows)?;
        }
        // Every delete is remembered to the end: recorded times do not order the changes of a key, so an older change
        // may be reached after any time.
        self.live.tombstones.clear();
        self.live.publish()
    }
}

/// Rows of one batch that wait for their time.
struct Waiting {
    rows: RecordBatch,
    /// Their times and places, the latest first.
    order: Vec<(i64, u32)>,
}

impl Waiting {
    fn after(rows: &RecordBatch, reached: RecordedAt) -> Result<Option<Self>, ArrowError> {
        let times = row_times(rows)?.into_iter().enumerate();
        let mut order: Vec<(i64, u32)> = times
            .filter(|(_, time)| *time > reached.0)
            .map(|(row, time)| (time, row_number(row)))
            .collect();
        order.sort_unstable_by(|one, other| other.cmp(one));
        let rows = rows.clone();
        Ok((!order.is_empty()).then_some(Self { rows, order }))
    }

    /// The rows whose time has come, in buffers of their own, so that they do not keep the others.
    fn due(&mut self, reached: RecordedAt) -> Result<Option<RecordBatch>, ArrowError> {
        let still = self.order.partition_point(|(time, _)| *time > reached.0);
        if still == self.order.len() {
            return Ok(None);
        }
        let due: UInt32Array = self.order.drain(still..).rev().map(|(_, row)| row).collect();
        take_record_batch(&self.rows, &due).map(Some)
    }
}
