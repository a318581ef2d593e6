//! All live tables together: rows wait until the cut reaches them, then every table shows them at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, BooleanArray, StringArray, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, filter_record_batch, not};
use arrow::record_batch::RecordBatch;
use casewatch_contract::{Chunk, Contract, Offset, PartitionId, RecordedAt, TableName, system};
use casewatch_lake::Erased;
use tokio::sync::watch;

use crate::closes::Closes;
use crate::cut::{CutOptions, CutTracker};
use crate::error::LiveError;
use crate::present::{Cut, KnownFrom, SourceFreshness, batch_bytes};
use crate::snapshots::SnapshotEnds;
use crate::table::{LiveTable, downcast};
use crate::tail::Tail;

#[derive(Debug, Clone, Copy)]
pub struct LiveOptions {
    pub cut: CutOptions,
    /// Rows, keys and staged rows of all live tables together.
    pub memory_limit_bytes: usize,
    /// Rows kept for history until the lake has them.
    pub tail_limit_bytes: usize,
    /// The least time between two cuts.
    pub publish_interval: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            cut: CutOptions::default(),
            memory_limit_bytes: 4 << 30,
            tail_limit_bytes: 512 << 20,
            publish_interval: Duration::from_millis(20),
        }
    }
}

/// While catching up nobody looks, so cuts are published this much more rarely.
const CATCH_UP_PUBLISH_FACTOR: u32 = 10;

pub struct LiveSet {
    options: LiveOptions,
    pub(crate) tables: BTreeMap<TableName, Slot>,
    pub(crate) tracker: CutTracker,
    pub(crate) partitions: BTreeMap<PartitionId, Followed>,
    catch_up: CatchUp,
    pub(crate) sources: SourceBook,
    tail: Arc<Tail>,
    /// Who must not be shown: nothing of them is in any table, in what waits, or in the tail.
    pub(crate) erased: Arc<Erased>,
    /// Positions up to which the lake or an image gave everything, of partitions followed or not.
    pub(crate) folded: BTreeMap<PartitionId, Offset>,
    /// How many dead letters of each table were replayed into what the lake or an image gave.
    pub(crate) replayed: BTreeMap<TableName, u64>,
    counters: LiveCounters,
    closes: Option<Closes>,
    stopped: Option<String>,
    /// Tables that stopped are emptied, and their history can still be read.
    known_from_at_stop: Option<BTreeMap<TableName, KnownFrom>>,
    cut: Arc<Cut>,
    sender: watch::Sender<Arc<Cut>>,
    published_at: Option<Instant>,
}

pub(crate) struct Slot {
    pub(crate) live: LiveTable,
    pub(crate) staged: VecDeque<StagedRows>,
}

pub(crate) struct StagedRows {
    partition: PartitionId,
    from: Offset,
    pub(crate) rows: RecordBatch,
    /// The time of each row as it counts for the cut.
    pub(crate) times: Vec<i64>,
    earliest: i64,
    latest: i64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Followed {
    pub(crate) next: Offset,
    log_end_at_start: Offset,
    end_seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CatchUp {
    NotStarted,
    Reading,
    /// Every log end was reached; the cut has yet to pass what was read by then.
    Waiting(Option<RecordedAt>),
    Done,
}

/// What staging a chunk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Staged {
    pub late: u64,
    pub clamped: u64,
}

/// Since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveCounters {
    pub upserts: u64,
    pub deletes: u64,
    /// Rows seen before or older than what stood.
    pub stale: u64,
    /// Rows read at or below a cut that was already published.
    pub late: u64,
    /// Rows whose recorded time was more than 5 minutes after they were read.
    pub clamped: u64,
    pub cuts: u64,
}

/// Who feeds which table, and when each was last heard of.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceBook {
    pub(crate) heard: BTreeMap<String, SourceFreshness>,
    pub(crate) by_table: BTreeMap<TableName, BTreeSet<String>>,
}

impl LiveSet {
    /// Empty tables of the contract, and where their cuts will appear.
    pub fn new(contract: &Contract, options: LiveOptions) -> Result<(Self, watch::Receiver<Arc<Cut>>), LiveError> {
        let mut tables = BTreeMap::new();
        for table in contract.tables() {
            let live = LiveTable::new(table.clone())?;
            tables.insert(
                table.name.clone(),
                Slot {
                    live,
                    staged: VecDeque::new(),
                },
            );
        }
        let cut = Arc::new(Cut::empty());
        let (sender, receiver) = watch::channel(cut.clone());
        let set = Self {
            options,
            tables,
            tracker: CutTracker::new(options.cut),
            partitions: BTreeMap::new(),
            catch_up: CatchUp::NotStarted,
            sources: SourceBook::default(),
            tail: Tail::new(options.tail_limit_bytes),
            erased: Arc::default(),
            folded: BTreeMap::new(),
            replayed: BTreeMap::new(),
            counters: LiveCounters::default(),
            closes: None,
            stopped: None,
            known_from_at_stop: None,
            cut,
            sender,
            published_at: None,
        };
        Ok((set, receiver))
    }

    /// From now on hands over the tables as they are at the ends of periods, once everything was read that there was at
    /// the start.
    pub fn hand_over(&mut self, closes: Closes) {
        self.closes = Some(closes);
    }

    /// Follows a partition from `position`. Until every partition assigned before the first advance has passed the
    /// log end given here, the cut says that it is catching up.
    pub fn assign(&mut self, partition: &PartitionId, position: Offset, log_end: Offset) {
        self.tracker.assign(partition.clone());
        let followed = Followed {
            next: position,
            log_end_at_start: log_end,
            end_seen: false,
        };
        self.partitions.insert(partition.clone(), followed);
        if self.catch_up == CatchUp::NotStarted {
            self.catch_up = CatchUp::Reading;
        }
    }

    /// There is nothing to follow: what was restored from the lake is all there is.
    pub fn follow_nothing(&mut self) {
        self.catch_up = CatchUp::Done;
    }

    /// Takes a decoded chunk in. Its rows show when the cut reaches them.
    pub fn stage(&mut self, table: &TableName, mut chunk: Chunk) -> Result<Staged, LiveError> {
        let slot = self
            .tables
            .get_mut(table)
            .ok_or_else(|| LiveError::UnknownTable { table: table.clone() })?;
        if let Some(followed) = self.partitions.get_mut(&chunk.partition) {
            followed.next = followed.next.max(chunk.range.to);
        }
        if self.stopped.is_some() || chunk.rows.num_rows() == 0 {
            self.tracker.read(&chunk.partition, None);
            return Ok(Staged::default());
        }
        self.sources.note(table, &chunk.rows)?;
        if !self.erased.is_empty() {
            chunk.rows = self.erased.filter(slot.live.table(), &chunk.rows)?;
        }
        let times = Times::read(table, &chunk.rows)?;
        let mut staged = Staged::default();
        let mut counted = Vec::with_capacity(chunk.rows.num_rows());
        let shown = self.tracker.cut();
        for (recorded_at, ingested_at) in times.rows() {
            let time = self.tracker.clamp(recorded_at, ingested_at);
            staged.clamped += u64::from(time < recorded_at);
            staged.late += u64::from(shown.is_some_and(|shown| time <= shown.0));
            counted.push(time);
        }
        let earliest = counted.iter().copied().min().unwrap_or_default();
        let latest = counted.iter().copied().max().unwrap_or_default();
        self.tracker.read(&chunk.partition, Some(RecordedAt(latest)));
        self.tail.push(table, &chunk.partition, chunk.range, chunk.rows.clone());
        slot.staged.push_back(StagedRows {
            partition: chunk.partition,
            from: chunk.range.from,
            rows: chunk.rows,
            times: counted,
            earliest,
            latest,
        });
        self.counters.late += staged.late;
        self.counters.clamped += staged.clamped;
        Ok(staged)
    }

    /// A message of a partition has been read and is on its way here: the partition is not silent.
    pub fn more_is_coming(&mut self, partition: &PartitionId) {
        self.tracker.read(partition, None);
    }

    /// Nothing of a partition is unread.
    pub fn end_of_partition(&mut self, partition: &PartitionId, now: Instant) {
        self.tracker.end_of_partition(partition, now);
        if let Some(followed) = self.partitions.get_mut(partition) {
            followed.end_seen = true;
        }
    }

    /// A source said that it lives without sending a row.
    pub fn heartbeat(&mut self, source: &str, heard_at: RecordedAt, recorded_at: Option<RecordedAt>) {
        self.sources
            .hear(source, heard_at, recorded_at.unwrap_or(RecordedAt(i64::MIN)));
    }

    /// Moves the cut, folds what it has reached, and publishes when anything changed.
    pub fn advance(&mut self, now: Instant) -> Result<(), LiveError> {
        if self
            .published_at
            .is_some_and(|before| now.saturating_duration_since(before) < self.interval())
        {
            return Ok(());
        }
        let Some(reached) = self.tracker.advance(now) else {
            self.watch_catch_up(None);
            return self.publish(now, RecordedAt(0));
        };
        if self.stopped.is_none() {
            self.close_periods(reached)?;
            self.fold_up_to(reached)?;
            self.stop_over_limit();
        }
        self.watch_catch_up(Some(reached));
        self.publish(now, reached)
    }

    /// Partitions too far ahead of the others to read on (RULES 14).
    pub fn paused(&self) -> BTreeSet<PartitionId> {
        self.tracker.paused()
    }

    pub fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    pub fn cut(&self) -> &Arc<Cut> {
        &self.cut
    }

    /// Another reader of the cuts.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Cut>> {
        self.sender.subscribe()
    }

    pub fn counters(&self) -> LiveCounters {
        self.counters
    }

    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Bytes of all live tables and of what waits for the cut.
    pub fn bytes(&self) -> usize {
        let staged = |slot: &Slot| {
            slot.staged
                .iter()
                .map(|staged| batch_bytes(&staged.rows))
                .sum::<usize>()
        };
        self.tables.values().map(|slot| slot.live.bytes() + staged(slot)).sum()
    }

    /// Rows that wait for the cut.
    pub fn staged_rows(&self) -> usize {
        self.tables
            .values()
            .flat_map(|slot| &slot.staged)
            .map(|staged| staged.rows.num_rows())
            .sum()
    }

    /// Where to read on after a restart from what the tables hold now: rows that still wait are read again.
    pub fn positions(&self) -> BTreeMap<PartitionId, Offset> {
        let mut positions = self.folded.clone();
        positions.extend(self.partitions.iter().map(|(id, followed)| (id.clone(), followed.next)));
        for staged in self.tables.values().flat_map(|slot| &slot.staged) {
            let position = positions.entry(staged.partition.clone()).or_insert(staged.from);
            *position = (*position).min(staged.from);
        }
        positions
    }

    /// Since when each table is known. Tables of one source tell each other when its snapshots ended.
    fn known_from(&self) -> BTreeMap<TableName, KnownFrom> {
        let mut ends = SnapshotEnds::default();
        for slot in self.tables.values() {
            ends.add(&slot.live.sources, &slot.live.floors);
        }
        let known_from = |(name, slot): (&TableName, &Slot)| Some((name.clone(), slot.live.known_from_beside(&ends)?));
        self.tables.iter().filter_map(known_from).collect()
    }

    pub(crate) fn stop(&mut self, reason: String) {
        self.known_from_at_stop = Some(self.known_from());
        tracing::error!(%reason, "live tables stopped; domain metrics are absent until a restart");
        for slot in self.tables.values_mut() {
            slot.staged.clear();
            if let Ok(empty) = LiveTable::new(slot.live.table().clone()) {
                slot.live = empty;
            }
        }
        self.stopped = Some(reason);
    }

    pub(crate) fn memory_limit_bytes(&self) -> usize {
        self.options.memory_limit_bytes
    }

    pub(crate) fn replace_table(&mut self, live: LiveTable) {
        self.tables.insert(live.table().name.clone(), Slot::new(live));
    }

    pub(crate) fn stop_over_limit(&mut self) {
        let needed_bytes = self.bytes();
        let limit_bytes = self.options.memory_limit_bytes;
        if needed_bytes > limit_bytes && self.stopped.is_none() {
            self.stop(
                LiveError::MemoryLimit {
                    needed_bytes,
                    limit_bytes,
                }
                .to_string(),
            );
        }
    }

    fn interval(&self) -> Duration {
        match self.catch_up {
            CatchUp::Done => self.options.publish_interval,
            _ => self.options.publish_interval * CATCH_UP_PUBLISH_FACTOR,
        }
    }

    fn close_periods(&mut self, reached: RecordedAt) -> Result<(), LiveError> {
        let Some(closes) = self.closes.clone() else {
            return Ok(());
        };
        let mut from = self.cut.at;
        if self.catch_up != CatchUp::Done || from.0 <= 0 {
            return Ok(());
        }
        while let Some(end) = closes.next(from, reached) {
            self.fold_up_to(end)?;
            let cut = self.cut_of(end)?;
            closes.hand_over(cut);
            from = RecordedAt(end.0 + 1);
        }
        Ok(())
    }

    fn fold_up_to(&mut self, reached: RecordedAt) -> Result<(), LiveError> {
        for slot in self.tables.values_mut() {
            let ready = slot.take_ready(reached.0)?;
            for batch in ready {
                let applied = slot.live.apply(&batch)?;
                self.counters.upserts += applied.upserts;
                self.counters.deletes += applied.deletes;
                self.counters.stale += applied.stale;
            }
        }
        Ok(())
    }

    fn watch_catch_up(&mut self, reached: Option<RecordedAt>) {
        if self.catch_up == CatchUp::Reading
            && self
                .partitions
                .values()
                .all(|followed| followed.end_seen || followed.next >= followed.log_end_at_start)
        {
            self.catch_up = CatchUp::Waiting(self.tracker.highest_bound());
        }
        if let CatchUp::Waiting(target) = self.catch_up
            && (target <= reached || self.staged_rows() == 0)
        {
            tracing::info!("live tables caught up");
            self.catch_up = CatchUp::Done;
        }
    }

    /// The tables as they are folded now.
    fn cut_of(&mut self, at: RecordedAt) -> Result<Cut, LiveError> {
        let mut tables = BTreeMap::new();
        let mut supplied = BTreeSet::new();
        for (name, slot) in &mut self.tables {
            tables.insert(name.clone(), slot.live.publish()?);
            if slot.live.ever_had_a_row() {
                supplied.insert(name.clone());
            }
        }
        if self.stopped.is_some() {
            tables.clear();
        }
        let known_from = match &self.known_from_at_stop {
            Some(known_from) => known_from.clone(),
            None => self.known_from(),
        };
        Ok(Cut {
            at,
            generation: self.cut.generation + 1,
            tables,
            caught_up: self.catch_up == CatchUp::Done && self.stopped.is_none(),
            supplied,
            known_from,
            source_freshness: self.sources.heard.clone(),
            sources: self.sources.by_table.clone(),
            stopped: self.stopped.clone(),
        })
    }

    fn publish(&mut self, now: Instant, at: RecordedAt) -> Result<(), LiveError> {
        let next = self.cut_of(at)?;
        if same_content(&next, &self.cut) {
            return Ok(());
        }
        self.counters.cuts += 1;
        self.cut = Arc::new(next);
        self.published_at = Some(now);
        self.sender.send_replace(self.cut.clone());
        Ok(())
    }
}

impl Slot {
    pub(crate) fn new(live: LiveTable) -> Self {
        Self {
            live,
            staged: VecDeque::new(),
        }
    }

    /// The rows at or below a time, in as few batches as is cheap; the others stay.
    fn take_ready(&mut self, reached: i64) -> Result<Vec<RecordBatch>, LiveError> {
        if self.staged.iter().all(|staged| staged.earliest > reached) {
            return Ok(Vec::new());
        }
        let mut ready = Vec::new();
        let mut waiting = VecDeque::new();
        for staged in std::mem::take(&mut self.staged) {
            if staged.latest <= reached {
                ready.push(staged.rows);
            } else if staged.earliest > reached {
                waiting.push_back(staged);
            } else {
                let (now, later) = staged.split(reached).map_err(|source| self.fold_error(source))?;
                ready.push(now);
                waiting.push_back(later);
            }
        }
        self.staged = waiting;
        if ready.len() > 1 {
            let schema = ready[0].schema();
            ready = vec![concat_batches(&schema, &ready).map_err(|source| self.fold_error(source))?];
        }
        Ok(ready)
    }

    fn fold_error(&self, source: arrow::error::ArrowError) -> LiveError {
        LiveError::Fold {
            table: self.live.table().name.clone(),
            source,
        }
    }
}

impl StagedRows {
    fn split(self, reached: i64) -> Result<(RecordBatch, Self), arrow::error::ArrowError> {
        let ready = BooleanArray::from(self.times.iter().map(|time| *time <= reached).collect::<Vec<_>>());
        let now = filter_record_batch(&self.rows, &ready)?;
        let rows = filter_record_batch(&self.rows, &not(&ready)?)?;
        let times: Vec<i64> = self.times.into_iter().filter(|time| *time > reached).collect();
        let earliest = times.iter().copied().min().unwrap_or(i64::MAX);
        Ok((
            now,
            Self {
                rows,
                times,
                earliest,
                ..self
            },
        ))
    }
}

impl SourceBook {
    pub(crate) fn note(&mut self, table: &TableName, rows: &RecordBatch) -> Result<(), LiveError> {
        let times = Times::read(table, rows)?;
        let sources: StringArray = read_column(table, rows, system::SOURCE)?;
        let mut start = 0;
        while start < rows.num_rows() {
            let name = if sources.is_null(start) {
                ""
            } else {
                sources.value(start)
            };
            let same = |row: &usize| (if sources.is_null(*row) { "" } else { sources.value(*row) }) == name;
            let end = (start + 1..rows.num_rows())
                .find(|row| !same(row))
                .unwrap_or(rows.num_rows());
            let (mut heard, mut recorded) = (i64::MIN, i64::MIN);
            for row in start..end {
                let (recorded_at, ingested_at) = times.row(row);
                heard = heard.max(ingested_at);
                recorded = recorded.max(recorded_at);
            }
            self.hear(name, RecordedAt(heard), RecordedAt(recorded));
            let of_table = self.by_table.entry(table.clone()).or_default();
            if !of_table.contains(name) {
                of_table.insert(name.to_owned());
            }
            start = end;
        }
        Ok(())
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        for (source, heard) in other.heard {
            self.hear(&source, heard.heard_at, heard.recorded_at);
        }
        for (table, sources) in other.by_table {
            self.by_table.entry(table).or_default().extend(sources);
        }
    }

    pub(crate) fn hear(&mut self, source: &str, heard_at: RecordedAt, recorded_at: RecordedAt) {
        if let Some(known) = self.heard.get_mut(source) {
            known.heard_at = known.heard_at.max(heard_at);
            known.recorded_at = known.recorded_at.max(recorded_at);
        } else {
            self.heard
                .insert(source.to_owned(), SourceFreshness { heard_at, recorded_at });
        }
    }
}

struct Times {
    recorded_at: TimestampMicrosecondArray,
    ingested_at: TimestampMicrosecondArray,
}

impl Times {
    fn read(table: &TableName, rows: &RecordBatch) -> Result<Self, LiveError> {
        Ok(Self {
            recorded_at: read_column(table, rows, system::RECORDED_AT)?,
            ingested_at: read_column(table, rows, system::INGESTED_AT)?,
        })
    }

    fn row(&self, row: usize) -> (i64, i64) {
        let ingested_at = self.ingested_at.value(row);
        let recorded_at = if self.recorded_at.is_null(row) {
            ingested_at
        } else {
            self.recorded_at.value(row)
        };
        (recorded_at, ingested_at)
    }

    fn rows(&self) -> impl Iterator<Item = (i64, i64)> {
        (0..self.ingested_at.len()).map(|row| self.row(row))
    }
}

fn read_column<A: Array + Clone + 'static>(table: &TableName, rows: &RecordBatch, name: &str) -> Result<A, LiveError> {
    let missing = || LiveError::MissingColumn {
        table: table.clone(),
        column: name.to_owned(),
    };
    let column = rows.column_by_name(name).ok_or_else(missing)?;
    if column.as_any().is::<A>() {
        Ok(downcast(column))
    } else {
        Err(missing())
    }
}

fn same_content(next: &Cut, before: &Cut) -> bool {
    next.at == before.at
        && next.caught_up == before.caught_up
        && next.stopped == before.stopped
        && next.supplied == before.supplied
        && next.known_from == before.known_from
        && next.source_freshness == before.source_freshness
        && next.tables.len() == before.tables.len()
        && next
            .tables
            .iter()
            .all(|(name, present)| before.tables.get(name).is_some_and(|old| Arc::ptr_eq(old, present)))
}
