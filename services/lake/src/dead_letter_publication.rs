//! Which dead letters have been told to somebody else, such as a Kafka topic: each at least once.
//!
//! How far each partition's letters were told is a transaction of the table of dead letters, beside the one that says how
//! far they stand. It moves only after they were told. A letter that comes later below that mark - a crash between the
//! two commits, and a decoder that decides differently the second time - takes the mark back with it.

use std::sync::Arc;

use casewatch_contract::DeadLetter;
use deltalake::kernel::{Action, Transaction};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::dead_letters::{self, DeadLetterFilter, StoredDeadLetter};
use crate::error::Result;
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};

const PREFIX: &str = "told/";

/// The mark of the letters whose own transaction is `app_id`.
fn mark(app_id: &str) -> String {
    format!("{PREFIX}{app_id}")
}

/// Takes a partition's mark back to the first of `letters` that it has passed already.
pub(crate) fn take_back(state: &TableState, app_id: &str, letters: &[&DeadLetter]) -> Option<Action> {
    let first = letters.iter().map(|letter| letter.offset.0).min()?;
    let told = state.transactions.get(&mark(app_id)).copied()?;
    (told > first).then(|| Action::Txn(Transaction::new(mark(app_id), first)))
}

/// The dead letters of a lake, in the order in which they are to be told.
#[derive(Debug)]
pub struct DeadLetterPublication {
    lake: Arc<Lake>,
    log: TableLog,
    state: Option<Arc<TableState>>,
}

/// Dead letters that have not been told, and how far they reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpublished {
    pub letters: Vec<StoredDeadLetter>,
    reach: Vec<Due>,
}

impl DeadLetterPublication {
    pub fn of(lake: Arc<Lake>) -> Self {
        let log = lake.log(dead_letters::DEAD_LETTERS);
        Self { lake, log, state: None }
    }

    /// The next letters to tell, `most` of them; none when all were told.
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn next(&mut self, most: usize) -> Result<Unpublished> {
        match &mut self.state {
            Some(state) => self.log.refresh(state).await?,
            None => self.state = self.lake.state(&self.log).await?,
        }
        let Some(state) = &self.state else {
            return Ok(Unpublished::default());
        };
        let mut reach = due(state);
        let mut letters = self.letters(state, &reach).await?;
        if let Some(beyond) = letters.get(most) {
            // What does not fit is left for the next time: its partition in part, those after it wholly.
            let cut = app_id_of(beyond);
            reach.retain(|due| due.app_id <= cut);
            for due in reach.iter_mut().filter(|due| due.app_id == cut) {
                due.to = beyond.offset.0;
            }
            letters.truncate(most);
        }
        Ok(Unpublished { letters, reach })
    }

    /// Remembers that these were told.
    ///
    /// # Errors
    /// A lake that cannot be read or written.
    pub async fn told(&mut self, unpublished: &Unpublished) -> Result<()> {
        let Some(mut state) = self.state.take() else {
            return Ok(());
        };
        let record = CommitRecord::new("told", Uuid::new_v4());
        let moved = |due: &Due| Action::Txn(Transaction::new(mark(&due.app_id), due.to));
        let actions: Vec<Action> = unpublished.reach.iter().map(moved).collect();
        while !actions.is_empty() {
            match self.log.try_commit(&mut state, &record, actions.clone()).await? {
                Attempt::Committed(_) => break,
                Attempt::Lost if state.version_of(record.id).is_some() => break,
                // A letter may have come between those that were told: then all are told again.
                Attempt::Lost if self.letters(&state, &unpublished.reach).await? != unpublished.letters => break,
                Attempt::Lost => {}
            }
        }
        self.state = Some(state);
        Ok(())
    }

    /// The letters within `reach`, by app id and offset.
    async fn letters(&self, state: &TableState, reach: &[Due]) -> Result<Vec<StoredDeadLetter>> {
        if reach.is_empty() {
            return Ok(Vec::new());
        }
        let mut letters = dead_letters::read(&self.log, state, &DeadLetterFilter::default(), true).await?;
        letters.retain(|letter| {
            let id = app_id_of(letter);
            let due = reach.binary_search_by(|due| due.app_id.cmp(&id));
            due.is_ok_and(|due| (reach[due].from..reach[due].to).contains(&letter.offset.0))
        });
        letters.sort_by_cached_key(|letter| (app_id_of(letter), letter.offset));
        Ok(letters)
    }
}

fn app_id_of(letter: &StoredDeadLetter) -> String {
    dead_letters::app_id(&letter.table, &letter.partition)
}

/// Offsets of a partition's letters that are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    app_id: String,
    from: i64,
    to: i64,
}

/// Partitions whose letters stand further than they were told, by app id.
fn due(state: &TableState) -> Vec<Due> {
    let is_position = |app_id: &str| {
        let last = app_id.rsplit('/').next();
        !app_id.starts_with(PREFIX) && last.is_some_and(|last| last.parse::<i32>().is_ok())
    };
    let positions = state.transactions.iter().filter(|(app_id, _)| is_position(app_id));
    positions
        .map(|(app_id, stands)| Due {
            from: state.transactions.get(&mark(app_id)).copied().unwrap_or(0),
            app_id: app_id.clone(),
            to: *stands,
        })
        .filter(|due| due.from < due.to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::DeadLetterLog;
    use crate::fixtures::*;
    use crate::run;
    use casewatch_contract::{Chunk, Offset, OffsetRange};
    use object_store::memory::InMemory;

    /// Dead letters at these offsets, and nothing else, of the range that ends after the last.
    fn letters(number: i32, offsets: &[i64]) -> Chunk {
        let (from, to) = (offsets[0], offsets[offsets.len() - 1] + 1);
        Chunk {
            partition: partition(number),
            range: OffsetRange {
                from: Offset(from),
                to: Offset(to),
            },
            rows: arrow::array::RecordBatch::new_empty(table().lake_schema()),
            dead_letters: offsets.iter().map(|offset| dead_letter(number, *offset)).collect(),
            tombstones: 0,
            holes: (to - from) as u64 - offsets.len() as u64,
        }
    }

    async fn settle(lake: &Lake, chunk: Chunk) {
        let mut runs = run::gather(vec![chunk]).unwrap();
        let mut log = DeadLetterLog::open(lake).await.unwrap();
        log.settle(&table().name, &mut runs).await.unwrap();
    }

    fn offsets(unpublished: &Unpublished) -> Vec<(i32, i64)> {
        let places = unpublished.letters.iter();
        places
            .map(|letter| (letter.partition.partition, letter.offset.0))
            .collect()
    }

    #[tokio::test]
    async fn each_letter_is_told_again_until_it_is_said_to_be_told() {
        let lake = lake_on(Arc::new(InMemory::new())).await;
        let mut publication = DeadLetterPublication::of(lake.clone());
        assert_eq!(publication.next(10).await.unwrap(), Unpublished::default());
        settle(&lake, letters(0, &[3, 5])).await;
        settle(&lake, letters(1, &[4])).await;
        let first = publication.next(2).await.unwrap();
        assert_eq!(offsets(&first), [(0, 3), (0, 5)]);
        assert_eq!(
            publication.next(2).await.unwrap(),
            first,
            "nobody said that they were told"
        );
        publication.told(&first).await.unwrap();
        let mut after_a_restart = DeadLetterPublication::of(lake.clone());
        let second = after_a_restart.next(2).await.unwrap();
        assert_eq!(offsets(&second), [(1, 4)]);
        after_a_restart.told(&second).await.unwrap();
        assert_eq!(after_a_restart.next(2).await.unwrap(), Unpublished::default());
        settle(&lake, letters(0, &[9])).await;
        assert_eq!(offsets(&after_a_restart.next(2).await.unwrap()), [(0, 9)]);
    }

    #[tokio::test]
    async fn a_letter_that_comes_late_among_told_ones_is_told_as_well() {
        let lake = lake_on(Arc::new(InMemory::new())).await;
        let mut publication = DeadLetterPublication::of(lake.clone());
        settle(&lake, letters(0, &[3, 7])).await;
        let before = publication.next(10).await.unwrap();
        // The process died before the data commit; read again, offset 5 is bad as well.
        settle(&lake, letters(0, &[3, 5, 7])).await;
        publication.told(&before).await.unwrap();
        assert_eq!(offsets(&publication.next(10).await.unwrap()), [(0, 3), (0, 5), (0, 7)]);
        let all = publication.next(10).await.unwrap();
        publication.told(&all).await.unwrap();
        settle(&lake, letters(0, &[3, 4, 5, 7])).await;
        assert_eq!(offsets(&publication.next(10).await.unwrap()), [(0, 4), (0, 5), (0, 7)]);
    }
}
