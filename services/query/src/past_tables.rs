//! Tables as they were at a moment, folded from history and kept for the next question about the same one.
//!
//! A fold takes as much memory as its table, beside what statements reserve. So those that ask for one at the same time
//! share it, one that a change of its table has overtaken is let go at once, and all that are kept are bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casewatch_contract::{RecordedAt, Table, TableName};
use casewatch_lake::is_file_gone;
use casewatch_live::{LiveError, Present, fold_at, history_columns};
use datafusion::catalog::Session;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use tokio::sync::OnceCell;

use crate::error::QueryError;
use crate::history::{HistoryReader, HistoryTable, RESTARTS};

/// A past moment of a table, as a statement wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    pub(crate) known_at: RecordedAt,
    pub(crate) as_of: RecordedAt,
    /// Rows of snapshots up to here count as always known.
    pub(crate) assumed_until: Option<RecordedAt>,
    pub(crate) generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PastKey {
    table: TableName,
    known_at: RecordedAt,
    as_of: RecordedAt,
    assumed_until: Option<RecordedAt>,
    /// The live table's generation: a late row may change the past.
    generation: u64,
}

impl PastKey {
    fn of(table: &Table, past: Past) -> Self {
        // Only columns changed in place depend on `as_of`, and only when it is earlier.
        let undated = table.columns.iter().any(|column| column.undated);
        Self {
            table: table.name.clone(),
            known_at: past.known_at,
            as_of: if undated {
                past.as_of.min(past.known_at)
            } else {
                past.known_at
            },
            assumed_until: past.assumed_until,
            generation: past.generation,
        }
    }
}

pub(crate) struct PastTables {
    reader: HistoryReader,
    kept: Mutex<Kept>,
}

impl PastTables {
    /// At most so many tables are kept, and so many bytes.
    pub(crate) fn new(reader: HistoryReader, most: usize, most_bytes: usize) -> Self {
        let kept = Mutex::new(Kept {
            folds: HashMap::new(),
            order: VecDeque::new(),
            most,
            most_bytes,
        });
        Self { reader, kept }
    }

    pub(crate) async fn table(
        &self,
        state: &dyn Session,
        table: &Arc<Table>,
        past: Past,
    ) -> Result<Arc<Present>, QueryError> {
        let key = PastKey::of(table, past);
        let fold = self.lock().fold(&key);
        // When the one who folds is ended, the next who waits begins.
        let present = fold.get_or_try_init(|| self.folded(state, table, &key)).await?.clone();
        self.lock().trim();
        Ok(present)
    }

    async fn folded(&self, state: &dyn Session, table: &Arc<Table>, key: &PastKey) -> Result<Arc<Present>, QueryError> {
        let mut restarts = 0;
        loop {
            let rows = self.stream(state, table).await?;
            match fold_at(table, rows, key.known_at, key.as_of, key.assumed_until).await {
                Err(LiveError::History { source, .. }) if is_file_gone(&source) => {
                    if restarts == RESTARTS {
                        return Err(QueryError::Overtaken);
                    }
                    restarts += 1;
                }
                folded => return Ok(Arc::new(folded?)),
            }
        }
    }

    async fn stream(&self, state: &dyn Session, table: &Arc<Table>) -> Result<SendableRecordBatchStream, QueryError> {
        let history = HistoryTable::new(table.clone(), self.reader.clone(), None);
        let schema = table.lake_schema();
        let columns = history_columns(table)
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(datafusion::error::DataFusionError::from)?;
        let plan = history.plan(state, Some(&columns), &[]).await?;
        Ok(execute_stream(plan, state.task_ctx())?)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fold that is made, or being made.
type Fold = Arc<OnceCell<Arc<Present>>>;

struct Kept {
    folds: HashMap<PastKey, Fold>,
    /// From the oldest on.
    order: VecDeque<PastKey>,
    most: usize,
    most_bytes: usize,
}

impl Kept {
    /// The fold of a moment. Those of the same table that were asked for before its last change are let go.
    fn fold(&mut self, key: &PastKey) -> Fold {
        if let Some(found) = self.folds.get(key) {
            return found.clone();
        }
        let is_overtaken = |kept: &PastKey| kept.table == key.table && kept.generation < key.generation;
        self.order.retain(|kept| !is_overtaken(kept));
        self.folds.retain(|kept, _| !is_overtaken(kept));
        let fold = Fold::default();
        self.folds.insert(key.clone(), fold.clone());
        self.order.push_back(key.clone());
        fold
    }

    /// Lets go of the oldest until the rest is within bounds. Whoever uses one still has it.
    fn trim(&mut self) {
        while self.order.len() > self.most || self.bytes() > self.most_bytes {
            let Some(oldest) = self.order.pop_front() else { break };
            self.folds.remove(&oldest);
        }
    }

    fn bytes(&self) -> usize {
        let made = self.folds.values().filter_map(|fold| fold.get());
        made.map(|present| present.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn key(table: &str, moment: i64, generation: u64) -> PastKey {
        PastKey {
            table: table.into(),
            known_at: RecordedAt(moment),
            as_of: RecordedAt(moment),
            assumed_until: None,
            generation,
        }
    }

    /// A hundred numbers.
    fn present() -> Arc<Present> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let numbers = Arc::new(Int64Array::from_iter_values(0..100));
        let rows = RecordBatch::try_new(schema.clone(), vec![numbers]).unwrap();
        Arc::new(Present::new(schema, vec![rows], 1))
    }

    fn keep(kept: &mut Kept, key: &PastKey) {
        kept.fold(key).set(present()).unwrap();
        kept.trim();
    }

    fn kept(most: usize, most_bytes: usize) -> Kept {
        Kept {
            folds: HashMap::new(),
            order: VecDeque::new(),
            most,
            most_bytes,
        }
    }

    #[test]
    fn the_oldest_go_first_once_there_are_too_many_or_they_are_too_large() {
        let one = present().bytes;
        assert!(one >= 800);
        for mut kept in [kept(2, usize::MAX), kept(usize::MAX, 2 * one)] {
            for moment in 0..4 {
                keep(&mut kept, &key("cases", moment, 1));
            }
            assert_eq!(kept.order, [key("cases", 2, 1), key("cases", 3, 1)]);
            assert_eq!((kept.folds.len(), kept.bytes()), (2, 2 * one));
        }
    }

    #[test]
    fn a_change_of_a_table_lets_go_of_its_folds_and_of_no_others() {
        let mut kept = kept(10, usize::MAX);
        for older in [key("cases", 1, 1), key("cases", 2, 1), key("teams", 1, 1)] {
            keep(&mut kept, &older);
        }
        keep(&mut kept, &key("cases", 1, 2));
        assert_eq!(kept.order, [key("teams", 1, 1), key("cases", 1, 2)]);
        assert_eq!(kept.folds.len(), 2);
    }

    #[test]
    fn those_who_ask_at_the_same_time_share_a_fold() {
        let mut kept = kept(10, usize::MAX);
        let (first, second) = (kept.fold(&key("cases", 1, 1)), kept.fold(&key("cases", 1, 1)));
        assert!(Arc::ptr_eq(&first, &second));
    }
}
