//! Moments of the past, computed when somebody looks at them: each once, a few at a time, the last ones kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use casewatch_contract::TableName;
use casewatch_metrics::{Checked, PastOptions, evaluate};
use casewatch_query::AsOf;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use crate::figures::Figures;
use crate::layout::Layout;
use crate::names::Names;

/// Moments kept at a time: each is some thousand numbers.
const KEPT: usize = 32;
/// A moment that is still to come, or whose day still runs, is computed again after this.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// What was, at a moment.
#[derive(Debug)]
pub struct PastMoment {
    pub figures: Figures,
    pub names: Names,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    as_of: AsOf,
    known_at: AsOf,
    catalogue: String,
}

type Answer = Result<Arc<PastMoment>, String>;

struct Entry {
    key: Key,
    /// Whether more may still be recorded that belongs to it.
    is_open: bool,
    begun: Instant,
    /// Whoever asks for a moment that is being computed waits for the same answer.
    answer: Arc<OnceCell<Answer>>,
}

/// The moments that were looked at last.
pub struct Past {
    on: Handle,
    query_deadline: Duration,
    at_a_time: Arc<Semaphore>,
    kept: Mutex<VecDeque<Entry>>,
}

impl Past {
    /// One evaluation at a time for each two cores, on `on`.
    pub fn new(on: Handle, query_deadline: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            on,
            query_deadline,
            at_a_time: Arc::new(Semaphore::new((cores / 2).max(1))),
            kept: Mutex::default(),
        }
    }

    /// Every metric at a moment.
    ///
    /// # Errors
    /// For people: history that cannot be read.
    pub async fn at(&self, checked: &Checked, layout: &Arc<Layout>, as_of: AsOf, known_at: AsOf) -> Answer {
        let read_up_to = checked.engine.cut().at;
        let key = Key {
            as_of,
            known_at,
            catalogue: checked.catalogue.hash.clone(),
        };
        let answer = self.cell(key.clone(), known_at.0 >= read_up_to);
        let computed = answer.get_or_init(|| async {
            let permit = Arc::clone(&self.at_a_time).acquire_owned().await;
            let (checked, layout) = (checked.clone(), Arc::clone(layout));
            let (deadline, known_at) = (self.query_deadline, AsOf(known_at.0.min(read_up_to)));
            // On a task of its own: whoever asked may leave, and others may be waiting.
            let computing = self.on.spawn(async move {
                let _permit = permit;
                compute(&checked, &layout, as_of, known_at, deadline).await
            });
            computing
                .await
                .unwrap_or_else(|error| Err(format!("it could not be computed: {error}")))
        });
        let computed = computed.await.clone();
        if computed.is_err() {
            self.lock().retain(|entry| entry.key != key);
        }
        computed
    }

    fn cell(&self, key: Key, is_open: bool) -> Arc<OnceCell<Answer>> {
        let mut kept = self.lock();
        kept.retain(|entry| !(entry.is_open && entry.begun.elapsed() > OPEN_FOR));
        let found = kept
            .iter()
            .position(|entry| entry.key == key)
            .and_then(|at| kept.remove(at));
        let entry = found.unwrap_or_else(|| Entry {
            key,
            is_open,
            begun: Instant::now(),
            answer: Arc::default(),
        });
        let answer = Arc::clone(&entry.answer);
        kept.push_back(entry);
        if kept.len() > KEPT {
            kept.pop_front();
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        // Entries are whole whatever a holder of the lock did.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn compute(checked: &Checked, layout: &Layout, as_of: AsOf, known_at: AsOf, query_deadline: Duration) -> Answer {
    let engine = &checked.engine;
    if !engine.cut().caught_up {
        return Err("not everything has been read yet".to_owned());
    }
    let tables: BTreeSet<TableName> = engine.contract().tables().map(|table| table.name.clone()).collect();
    let cut = engine
        .cut_at(as_of, known_at, &tables)
        .await
        .map_err(|error| error.to_string())?;
    let options = PastOptions {
        query_deadline,
        max_series: usize::MAX,
        concurrency: 1,
        assume_known: false,
    };
    let evaluated = evaluate(checked, &checked.queries, &cut, as_of, &options).await;
    // Before the tables of names are known nothing has a name; the figures say why.
    let names = Names::read(engine, &layout.choices, Some(as_of), Some(known_at)).await;
    Ok(Arc::new(PastMoment {
        figures: Figures::past(evaluated, &checked.catalogue),
        names: names.unwrap_or_default(),
    }))
}
