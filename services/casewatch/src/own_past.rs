//! The role of the metrics keeps their past: what is shown each minute, and what stands at the close of each day in London,
//! go to `metrics.samples` of the lake (RULES 23). A lake that cannot be written costs samples, which `casewatch backfill`
//! brings back, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_lake::{Evaluation, Lake};
use casewatch_metrics::{Checked, PastOptions, SampleStore, evaluate};
use casewatch_query::{AsOf, end_of_london_day, london_date};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::past::shelf::{Shelf, evaluation};

const MINUTE: Duration = Duration::from_secs(60);

/// What keeping the past needs.
pub struct OwnPast {
    pub lake: Arc<Lake>,
    pub store: Arc<SampleStore>,
    /// The catalogue that runs, and those after it.
    pub catalogues: watch::Receiver<Checked>,
    pub query_deadline: Duration,
}

impl OwnPast {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut minutes = tokio::time::interval_at(tokio::time::Instant::now() + MINUTE, MINUTE);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Taken::default();
        let mut closed = None;
        let mut told = false;
        loop {
            minutes.tick().await;
            let done = match self.take_minute(&mut taken).await {
                Ok(()) => self.close_day(&mut closed).await,
                failed => failed,
            };
            match done {
                Err(error) if !told => {
                    tracing::warn!(error = %error.message, "the metrics' own past cannot be kept; `casewatch backfill` fills it later");
                    told = true;
                }
                Ok(()) if told => {
                    tracing::info!("the metrics' own past is kept again");
                    told = false;
                }
                _ => {}
            }
        }
    }

    /// What scrapes see now and did not see a minute ago.
    async fn take_minute(&self, taken: &mut Taken) -> Result<(), Failure> {
        let (published, now) = (self.store.current(), Instant::now());
        if published.status.catching_up {
            return Ok(());
        }
        let shown = published.shown.iter().filter(|shown| now < shown.expires_at);
        let evaluations = shown.map(|shown| evaluation(&shown.set, shown.set.as_of, shown.set.as_of));
        let new = taken.without(evaluations);
        let written = self.lake.take_minute(RecordedAt::now(), &new).await;
        written.map_err(Failure::failed)?;
        taken.note(&new);
        Ok(())
    }

    /// What every metric was at the end of yesterday, once that can change no more: something later was recorded.
    async fn close_day(&self, closed: &mut Option<i32>) -> Result<(), Failure> {
        let checked = self.catalogues.borrow().clone();
        let cut = checked.engine.cut();
        let read_up_to = cut.caught_up.then_some(cut.at);
        let Some(day) = day_to_close(RecordedAt::now(), read_up_to, *closed) else {
            return Ok(());
        };
        let end = AsOf(RecordedAt(end_of_london_day(day)));
        let tables = checked.engine.contract().tables().map(|table| table.name.clone());
        let past = checked.engine.cut_at(end, end, &tables.collect()).await;
        let past = past.map_err(Failure::failed)?;
        let options = PastOptions {
            query_deadline: self.query_deadline,
            max_series: usize::MAX,
            concurrency: 1,
            assume_known: false,
        };
        let metrics = evaluate(&checked, &checked.queries, &past, end, &options).await;
        let mut shelf = Shelf::new(Arc::clone(&self.lake));
        shelf.put(end.0, end.0, &metrics).await?;
        let kept = shelf.finish().await?;
        tracing::info!(day = %end, samples = kept, "a day was closed");
        *closed = Some(day);
        Ok(())
    }
}

/// The moment at which each definition was last taken. While a feed is silent the moment stands still, and what stands
/// there already is not taken again.
#[derive(Default)]
struct Taken(HashMap<String, RecordedAt>);

impl Taken {
    fn without(&self, evaluations: impl Iterator<Item = Evaluation>) -> Vec<Evaluation> {
        let is_new = |evaluation: &Evaluation| self.0.get(&evaluation.definition) != Some(&evaluation.as_of);
        evaluations.filter(is_new).collect()
    }

    fn note(&mut self, evaluations: &[Evaluation]) {
        let moments = evaluations.iter().map(|taken| (taken.definition.clone(), taken.as_of));
        self.0.extend(moments);
    }
}

/// The day of London before that of `now`, unless it was closed or what was read does not reach beyond its end.
fn day_to_close(now: RecordedAt, read_up_to: Option<RecordedAt>, closed: Option<i32>) -> Option<i32> {
    let day = london_date(now.0) - 1;
    let reaches = read_up_to.is_some_and(|at| at.0 > end_of_london_day(day));
    (reaches && closed != Some(day)).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_stands_still_is_taken_once() {
        let at = |definition: &str, as_of| Evaluation {
            definition: definition.to_owned(),
            as_of: RecordedAt(as_of),
            known_at: RecordedAt(as_of),
            samples: Vec::new(),
        };
        let mut taken = Taken::default();
        let first = taken.without([at("a", 1), at("b", 1)].into_iter());
        assert_eq!(first.len(), 2);
        // Until it is written it is not taken.
        assert_eq!(taken.without(first.clone().into_iter()), first);
        taken.note(&first);
        assert_eq!(taken.without([at("a", 1), at("b", 2)].into_iter()), [at("b", 2)]);
    }

    #[test]
    fn a_day_is_closed_once_when_something_later_was_read() {
        let at = |text: &str| text.parse::<AsOf>().unwrap().0;
        // Summer: the day of London ends at 23:00 UTC.
        let day = london_date(at("2026-07-01T12:00:00Z").0);
        let after = at("2026-07-01T23:01:00Z");
        assert_eq!(day_to_close(after, Some(after), None), Some(day));
        assert_eq!(day_to_close(after, Some(after), Some(day)), None, "closed before");
        assert_eq!(
            day_to_close(after, Some(at("2026-07-01T22:59:00Z")), None),
            None,
            "more of it may come"
        );
        assert_eq!(day_to_close(after, None, None), None, "catching up");
        let before = at("2026-07-01T22:59:00Z");
        assert_eq!(
            day_to_close(before, Some(before), None),
            Some(day - 1),
            "the day still runs"
        );
    }
}
