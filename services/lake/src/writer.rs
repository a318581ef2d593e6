//! The committer of one table: RULES 1 to 5.
//!
//! A commit carries, for each partition, the next offset to read as an application transaction. It is made only on top
//! of a state whose position equals the first offset of our run; the position and the state are read together, and the
//! put-if-absent of the next version makes reading and committing one step. So it does not matter who owns a partition:
//! of two writers that hold the same offsets one commits them and the other finds the position moved and drops them.
//!
//! **Invariant: after an error, reload before anything else.** An error may come after the commit was stored; the
//! reloaded position tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::{Chunk, Offset, PartitionId, Table};
use deltalake::kernel::{Action, Add, Metadata, Transaction};
use object_store::ObjectStoreExt;
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::dead_letters::DeadLetterLog;
use crate::erased::{ERASED_APP_ID, Erased};
use crate::error::{LakeError, Result};
use crate::file;
use crate::keys::{self, Generations};
use crate::lake::Lake;
use crate::log::{Attempt, Fence, TableLog, TableState};
use crate::run::{self, Run};
use crate::schema::Layout;

/// Attempts that others' commits overtook before the writer gives up. Each lost attempt is somebody's progress.
const MAX_LOST_ATTEMPTS: usize = 200;
/// Errors of the store in one call before the caller is told. The caller pauses and calls again.
const MAX_STORE_ERRORS: usize = 3;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The table's version afterwards.
    pub version: u64,
    /// For each partition given, the position now in the table. One that differs from the end of the chunks given means:
    /// go on reading there. One that is missing means that nothing of it is in the table any more: start at the log's
    /// beginning.
    pub positions: BTreeMap<PartitionId, Offset>,
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
    pub dead_letters: u64,
    /// Rows dropped because they are in the table already, or because they do not follow the table's position.
    pub discarded: u64,
}

/// Commits chunks of any number of partitions to one table. A table may have any number of writers.
#[derive(Debug)]
pub struct TableWriter {
    lake: Arc<Lake>,
    table: Arc<Table>,
    log: TableLog,
    layout: Layout,
    state: Arc<TableState>,
    dead_letters: DeadLetterLog,
    erased: Erased,
    positions: BTreeMap<PartitionId, Offset>,
    /// Partitions this writer has ever seen a position of: losing it again means that the lake was restored.
    seen: BTreeSet<PartitionId>,
    /// Set while the outcome of an attempt is not known.
    in_doubt: bool,
}

/// Files already written for exactly these runs, so that losing a race does not mean writing them again.
struct Prepared {
    runs: Vec<(PartitionId, i64, u64)>,
    /// How long the list of the erased was that the rows were held against.
    erased: i64,
    fence: Fence,
    files: Vec<Add>,
}

impl TableWriter {
    pub(crate) async fn open(lake: Arc<Lake>, table: Arc<Table>) -> Result<Self> {
        let log = lake.log(&table.name);
        let keys = Generations::of_keys(&lake.keys, &table);
        let layout = Layout::of_table(&table).with_keys(keys);
        let state = lake.ensure(&log, &layout).await?;
        keys::check_writer(&lake.keys, &table, &state)?;
        let dead_letters = DeadLetterLog::open(&lake).await?;
        let mut writer = Self {
            lake,
            table,
            log,
            layout,
            state,
            dead_letters,
            erased: Erased::default(),
            positions: BTreeMap::new(),
            seen: BTreeSet::new(),
            in_doubt: false,
        };
        writer.note_positions();
        Ok(writer)
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// For each partition the next offset to read, as of the last commit or refresh.
    pub fn positions(&self) -> &BTreeMap<PartitionId, Offset> {
        &self.positions
    }

    /// Reads what others have committed. Call it when a partition is assigned.
    pub async fn refresh(&mut self) -> Result<()> {
        // Until it is through, by an error or because the caller gave up waiting, the state may be half way.
        self.in_doubt = true;
        self.log.refresh(&mut self.state).await?;
        self.in_doubt = false;
        self.note_positions();
        Ok(())
    }

    pub(crate) fn state(&self) -> &TableState {
        &self.state
    }

    /// One commit without rows, right after the state at hand.
    pub(crate) async fn try_commit(&mut self, record: &CommitRecord, actions: Vec<Action>) -> Result<Attempt> {
        self.in_doubt = true;
        let attempt = self.log.try_commit(&mut self.state, record, actions).await?;
        self.in_doubt = false;
        self.note_positions();
        Ok(attempt)
    }

    /// Commits the chunks, those of one partition contiguous, as one atomic fact. On an error nothing is known: keep the
    /// chunks and call again, when [`LakeError::is_retryable`]; what was stored after all is then found and not doubled.
    pub async fn commit(&mut self, chunks: Vec<Chunk>) -> Result<Committed> {
        let given = run::gather(chunks)?;
        self.refuse_reserved_names(&given)?;
        if self.in_doubt {
            self.refresh().await?;
        }
        let id = Uuid::new_v4();
        let (mut lost, mut errors) = (0, 0);
        let mut prepared = None;
        loop {
            let outcome = self.attempt(id, &given, &mut prepared).await;
            if let Ok(Some(committed)) = outcome {
                return Ok(committed);
            }
            if let Err(error) = outcome {
                errors += 1;
                if error.is_about_keys() {
                    // Said of a state in which this commit is not: its files hold identities nobody can use.
                    self.delete_lost(prepared.take()).await;
                }
                if !error.is_retryable() || errors >= MAX_STORE_ERRORS {
                    return Err(error);
                }
                tracing::warn!(table = %self.log.name, %error, "a commit's outcome is unknown; reloading");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                self.refresh().await?;
            } else {
                lost += 1;
                if lost >= MAX_LOST_ATTEMPTS {
                    return Err(LakeError::Contention {
                        table: self.log.name.clone(),
                        attempts: lost,
                    });
                }
                pause_after_loss(lost, id).await;
            }
        }
    }

    /// One attempt on top of the state at hand; `None` when another commit came first.
    async fn attempt(&mut self, id: Uuid, given: &[Run], prepared: &mut Option<Prepared>) -> Result<Option<Committed>> {
        if let Some(version) = self.state.version_of(id) {
            return Ok(Some(self.confirmed(id, version, given, prepared)));
        }
        let keys = self.check_keys().await?;
        // Compared is what the state committed against holds, never what was noted of an earlier one.
        self.note_positions();
        let (mut runs, mut discarded) = self.follow_positions(given)?;
        if !covers(given, &runs) {
            // Something is in the table already, or does not follow. That is not said of a state that may be old.
            self.refresh().await?;
            (runs, discarded) = self.follow_positions(given)?;
        }
        if runs.is_empty() {
            self.delete_lost(prepared.take()).await;
            return Ok(Some(self.outcome(given, &CommitRecord::new("append", id), discarded)));
        }
        self.in_doubt = true;
        self.dead_letters.settle(&self.table.name, &mut runs).await?;
        self.drop_erased(&mut runs).await?;
        let mut record = CommitRecord::new("append", id);
        record.ranges = runs.iter().map(Run::record).collect::<Result<_>>()?;
        let kept: u64 = runs.iter().map(Run::row_count).sum();
        let before: u64 = given.iter().map(Run::row_count).sum();
        discarded = discarded.max(before - kept);
        let files = self.files(&runs, prepared).await?;
        record.files = files.len() as u64;
        record.bytes = files.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
        let moves = runs.iter().map(|run| Action::Txn(transaction(&run.partition, run.to)));
        let actions = files.into_iter().map(Action::Add).chain(moves);
        let actions = actions.chain(keys.map(Action::Metadata)).collect();
        let attempt = self.log.try_commit(&mut self.state, &record, actions).await?;
        self.in_doubt = false;
        self.note_positions();
        Ok(match attempt {
            Attempt::Committed(_) => Some(self.outcome(given, &record, discarded)),
            Attempt::Lost => None,
        })
    }

    /// Rows whose identities went through other keys than the table's are not committed. What a state that may be old
    /// refuses is asked of the newest. Gives the metadata to commit along when the table does not say its keys yet.
    async fn check_keys(&mut self) -> Result<Option<Metadata>> {
        if let Ok(record) = keys::check_writer(&self.lake.keys, &self.table, &self.state) {
            return Ok(record);
        }
        self.refresh().await?;
        keys::check_writer(&self.lake.keys, &self.table, &self.state)
    }

    /// RULES 1: what of the runs follows the table's position exactly.
    fn follow_positions(&self, given: &[Run]) -> Result<(Vec<Run>, u64)> {
        let mut runs = Vec::new();
        let mut discarded = 0;
        for run in given {
            let position = self.positions.get(&run.partition).map(|position| position.0);
            match position {
                Some(position) if position < run.from => discarded += run.row_count(),
                Some(position) => {
                    let mut rest = run.clone();
                    if position > run.from {
                        discarded += rest.drop_below(position)?;
                    }
                    runs.push(rest);
                }
                None if self.seen.contains(&run.partition) => discarded += run.row_count(),
                None => runs.push(run.clone()),
            }
        }
        runs.retain(|run| !run.is_empty());
        Ok((runs, discarded))
    }

    /// Rows of erased subjects do not come back. The list's generation stands in the very state committed against.
    async fn drop_erased(&mut self, runs: &mut [Run]) -> Result<()> {
        let generation = self.state.transactions.get(ERASED_APP_ID).copied().unwrap_or(0);
        if generation > self.erased.generation() {
            self.erased = Erased::load(&self.lake).await?;
        }
        if self.erased.is_empty() {
            return Ok(());
        }
        for run in runs {
            run.erase(|rows| self.erased.filter(&self.table, rows))?;
        }
        Ok(())
    }

    async fn files(&self, runs: &[Run], prepared: &mut Option<Prepared>) -> Result<Vec<Add>> {
        let key: Vec<_> = runs
            .iter()
            .map(|run| (run.partition.clone(), run.from, run.row_count()))
            .collect();
        let (erased, fence) = (self.erased.generation(), self.state.fence());
        if let Some(ready) = prepared
            .as_ref()
            .filter(|ready| ready.runs == key && ready.erased == erased && ready.fence == fence)
        {
            return Ok(ready.files.clone());
        }
        self.delete_lost(prepared.take()).await;
        let batches = runs.iter().flat_map(|run| &run.rows).filter(|rows| rows.num_rows() > 0);
        let batches = batches.map(|rows| file::conform(&self.log.name, rows, &self.state.schema));
        let files = file::write(&self.log, &self.layout, batches.collect::<Result<_>>()?).await?;
        *prepared = Some(Prepared {
            runs: key,
            erased,
            fence,
            files: files.clone(),
        });
        Ok(files)
    }

    /// Deletes files written for an attempt that was lost: another commit has its version, so they can never be named.
    /// They may hold rows of a subject erased meanwhile. What cannot be deleted now, vacuum finds.
    async fn delete_lost(&self, prepared: Option<Prepared>) {
        for add in prepared.into_iter().flat_map(|lost| lost.files) {
            if self.state.names(&add.path) {
                continue;
            }
            if let Err(error) = self
                .log
                .store
                .delete(&object_store::path::Path::from(add.path.as_str()))
                .await
            {
                tracing::warn!(table = %self.log.name, %error, "a file of a lost attempt stays until vacuum");
            }
        }
    }

    /// The commit was stored although an error said otherwise.
    fn confirmed(&mut self, id: Uuid, version: u64, given: &[Run], prepared: &Option<Prepared>) -> Committed {
        let mut record = CommitRecord::new("append", id);
        if let Some(ready) = prepared {
            record.files = ready.files.len() as u64;
            record.bytes = ready.files.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
        }
        tracing::info!(table = %self.log.name, version, "the commit was stored after all");
        let rows: u64 = given.iter().map(Run::row_count).sum();
        let stored: u64 = prepared
            .iter()
            .flat_map(|ready| &ready.runs)
            .map(|(_, _, rows)| rows)
            .sum();
        let mut committed = self.outcome(given, &record, rows - stored.min(rows));
        committed.rows = stored;
        committed
    }

    fn outcome(&self, given: &[Run], record: &CommitRecord, discarded: u64) -> Committed {
        let position = |run: &Run| Some((run.partition.clone(), *self.positions.get(&run.partition)?));
        Committed {
            version: self.state.version,
            positions: given.iter().filter_map(position).collect(),
            rows: record.ranges.iter().map(|range| range.rows).sum(),
            bytes: record.bytes,
            files: record.files,
            dead_letters: record.ranges.iter().map(|range| range.dead_letters).sum(),
            discarded,
        }
    }

    fn note_positions(&mut self) {
        self.positions = positions(&self.state);
        self.seen.extend(self.positions.keys().cloned());
    }

    /// A cluster called `replay` could not be told from a replayed dead letter.
    fn refuse_reserved_names(&self, given: &[Run]) -> Result<()> {
        let reserved = given
            .iter()
            .find(|run| transaction(&run.partition, 0).app_id.starts_with(REPLAY_PREFIX));
        match reserved {
            Some(run) => Err(LakeError::Rows {
                table: self.log.name.clone(),
                detail: format!(
                    "a cluster may not be called '{}'; hint: rename it in the configuration",
                    run.partition.cluster
                ),
            }),
            None => Ok(()),
        }
    }
}

/// Whether every run given is to be committed whole.
fn covers(given: &[Run], runs: &[Run]) -> bool {
    let whole: BTreeSet<_> = runs.iter().map(|run| (&run.partition, run.from)).collect();
    given
        .iter()
        .filter(|run| !run.is_empty())
        .all(|run| whole.contains(&(&run.partition, run.from)))
}

/// App ids of replayed dead letters start with this; all others that parse as a partition are positions.
pub(crate) const REPLAY_PREFIX: &str = "replay/";

pub(crate) fn transaction(partition: &PartitionId, position: i64) -> Transaction {
    Transaction::new_with_last_update(partition, position, Some(chrono::Utc::now().timestamp_millis()))
}

/// The positions a state holds.
pub(crate) fn positions(state: &TableState) -> BTreeMap<PartitionId, Offset> {
    let ours = state
        .transactions
        .iter()
        .filter(|(app_id, _)| !app_id.starts_with(REPLAY_PREFIX));
    ours.filter_map(|(app_id, version)| Some((app_id.parse().ok()?, Offset(*version))))
        .collect()
}

/// Writers that lost together should not meet again at once: each waits a little differently.
async fn pause_after_loss(lost: usize, id: Uuid) {
    let spread = u64::try_from(id.as_u128() % 7).expect("below 7");
    tokio::time::sleep(Duration::from_millis((lost as u64).min(20) * (1 + spread))).await;
}
