//! Moments of the past, computed when somebody looks at them: each once, a few at a time, the last ones kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use casewatch_contract::TableName;
use casewatch_metrics::{Catalogue, Checked, PastOptions, ReadyQuery, evaluate};
use casewatch_query::AsOf;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use crate::figures::Figures;
use crate::layout::Layout;
use crate::names::Names;
use crate::tiles::metrics_of;

/// Cores that one moment is computed on: people wait for it.
const CORES: usize = 2;
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
    metrics: BTreeSet<String>,
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
    /// One evaluation at a time for each [`CORES`], on `on`.
    pub fn new(on: Handle, query_deadline: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            on,
            query_deadline,
            at_a_time: Arc::new(Semaphore::new((cores / CORES).max(1))),
            kept: Mutex::default(),
        }
    }

    /// Every metric of the layout at a moment.
    ///
    /// # Errors
    /// For people: history that cannot be read.
    pub async fn at(&self, checked: &Checked, layout: &Arc<Layout>, as_of: AsOf, known_at: AsOf) -> Answer {
        let read_up_to = checked.engine.cut().at;
        let key = Key {
            as_of,
            known_at,
            catalogue: checked.catalogue.hash.clone(),
            metrics: metrics_shown(layout, &checked.catalogue),
        };
        let wanted = key.metrics.clone();
        let answer = self.cell(key.clone(), known_at.0 >= read_up_to);
        let computed = answer.get_or_init(|| async {
            let permit = Arc::clone(&self.at_a_time).acquire_owned().await;
            let (checked, layout) = (checked.clone(), Arc::clone(layout));
            let (deadline, known_at) = (self.query_deadline, AsOf(known_at.0.min(read_up_to)));
            // On a task of its own: whoever asked may leave, and others may be waiting.
            let computing = self.on.spawn(async move {
                let _permit = permit;
                compute(&checked, &layout, &wanted, as_of, known_at, deadline).await
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

/// What the page shows: its figures, what they are compared with, and what their tiers are relative to.
fn metrics_shown(layout: &Layout, catalogue: &Catalogue) -> BTreeSet<String> {
    let of_tiles = layout.tiles().flat_map(|tile| {
        let published = tile.benchmarks.iter().map(|benchmark| benchmark.metric.clone());
        metrics_of(tile).into_iter().chain(published)
    });
    let mut shown: BTreeSet<String> = of_tiles.collect();
    let bases: Vec<String> = shown
        .iter()
        .flat_map(|metric| catalogue.thresholds.relative_to(metric))
        .map(str::to_owned)
        .collect();
    shown.extend(bases);
    shown
}

async fn compute(
    checked: &Checked,
    layout: &Layout,
    wanted: &BTreeSet<String>,
    as_of: AsOf,
    known_at: AsOf,
    query_deadline: Duration,
) -> Answer {
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
        concurrency: CORES,
        assume_known: false,
    };
    let is_wanted = |ready: &&ReadyQuery| wanted.contains(&ready.query.definition.name.name);
    let queries: Vec<ReadyQuery> = checked.queries.iter().filter(is_wanted).cloned().collect();
    let (evaluated, names) = tokio::join!(
        evaluate(checked, &queries, &cut, as_of, &options),
        Names::read(engine, &layout.choices, Some(as_of), Some(known_at)),
    );
    // Before the tables of names are known nothing has a name; the figures say why.
    Ok(Arc::new(PastMoment {
        figures: Figures::past(evaluated, &checked.catalogue),
        names: names.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixtures::{layout, write_queries};

    #[test]
    fn a_moment_is_computed_of_what_the_page_shows_and_of_what_that_is_judged_by_alone() {
        let folder = TempDir::new().unwrap();
        write_queries(folder.path());
        let shown = |thresholds: &str| {
            std::fs::write(folder.path().join("thresholds.toml"), thresholds).unwrap();
            let catalogue = Catalogue::load(folder.path()).unwrap_or_else(|faults| panic!("{faults}"));
            metrics_shown(&layout(), &catalogue)
        };
        let figures = [
            "casewatch_in_time_ratio",
            "casewatch_oldest_calendardays",
            "casewatch_published_ratio",
            "casewatch_waiting",
        ];
        let without = shown("");
        assert!(without.iter().eq(figures.iter()), "and not casewatch_flow: {without:?}");
        let relative = shown(
            "[[threshold]]\nmetric = \"casewatch_waiting\"\nby = [\"authority\"]\n\
             tiers = [{ tier = \"warn\", severity = \"warn\", over_share_of = \"casewatch_flow\", share = 0.02 }]\n",
        );
        assert!(relative.contains("casewatch_flow"), "{relative:?}");
    }
}
