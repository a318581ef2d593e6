//! What metrics were, put into `metrics.samples` of a lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use casewatch_contract::RecordedAt;
use casewatch_lake::{Evaluation, Lake, StoredSample};
use casewatch_metrics::{Evaluated, Point, Reading, SampleSet};

use crate::failure::Failure;

/// Written when so many wait; each write reads what a month holds already.
const WAITING_AT_MOST: usize = 200_000;

/// Evaluations on their way into a lake.
pub struct Shelf {
    lake: Arc<Lake>,
    waiting: Vec<Evaluation>,
    samples: usize,
    kept: u64,
}

impl Shelf {
    pub fn new(lake: Arc<Lake>) -> Self {
        Self {
            lake,
            waiting: Vec::new(),
            samples: 0,
            kept: 0,
        }
    }

    /// Takes those of `metrics` that have a value.
    ///
    /// # Errors
    /// A lake that cannot be written.
    pub async fn put(&mut self, as_of: RecordedAt, known_at: RecordedAt, metrics: &[Evaluated]) -> Result<(), Failure> {
        for evaluated in metrics {
            if let Reading::Samples(set) = &evaluated.reading {
                let evaluation = evaluation(set, as_of, known_at);
                self.samples += evaluation.samples.len();
                self.waiting.push(evaluation);
            }
        }
        match self.samples >= WAITING_AT_MOST {
            true => self.write().await,
            false => Ok(()),
        }
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        self.samples = 0;
        self.kept += self.lake.keep_evaluations(&waiting).await.map_err(Failure::failed)?;
        Ok(())
    }

    /// Writes what waits; returns how many samples were new to the lake.
    ///
    /// # Errors
    /// A lake that cannot be written.
    pub async fn finish(mut self) -> Result<u64, Failure> {
        self.write().await?;
        Ok(self.kept)
    }
}

/// A set of samples as the lake keeps it.
pub fn evaluation(set: &SampleSet, as_of: RecordedAt, known_at: RecordedAt) -> Evaluation {
    Evaluation {
        definition: set.definition.hash.clone(),
        as_of,
        known_at,
        samples: set.points().into_iter().map(stored).collect(),
    }
}

fn stored(point: Point) -> StoredSample {
    let labels: BTreeMap<String, String> = point.labels.into_iter().collect();
    StoredSample {
        metric: point.name,
        labels: serde_json::to_string(&labels).expect("text is plain JSON"),
        value: point.value,
    }
}
