//! The role of the metrics keeps their past: what is shown each minute, and what stands at the close of each day in London,
//! go to `metrics.samples` of the lake (RULES 23). A lake that cannot be written costs samples, which `casewatch backfill`
//! brings back, and nothing else.
//!
//! Under the feed's clock days are the feed's: each that passes is closed over the very cut of its end. A replay that is
//! faster than days can be closed leaves some out, and month ends last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_lake::{Evaluation, Lake};
use casewatch_live::{Closes, Cut};
use casewatch_metrics::{Checked, PastOptions, SampleStore, evaluate};
use casewatch_query::{AsOf, end_of_london_day, london_date};
use chrono::{Datelike, NaiveDate, TimeDelta};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::past::shelf::{Shelf, evaluation};

const MINUTE: Duration = Duration::from_secs(60);

/// Ends of the feed's days that wait to be closed, month ends among them.
const CLOSES_WAITING: usize = 40;
/// Closed days are written together: each write is a commit.
const CLOSES_AT_ONCE: usize = 10;
const CLOSES_WAIT: Duration = Duration::from_secs(3);

/// What keeping the past needs.
pub struct OwnPast {
    pub lake: Arc<Lake>,
    pub store: Arc<SampleStore>,
    /// The catalogue that runs, and those after it.
    pub catalogues: watch::Receiver<Checked>,
    pub query_deadline: Duration,
}

/// The ends of the feed's days, and where the live tables hand over what stood then.
pub fn feed_days() -> (Closes, mpsc::Receiver<Arc<Cut>>) {
    let (sender, receiver) = mpsc::channel(CLOSES_WAITING);
    let closes = Closes {
        end_of: |at| RecordedAt(end_of_london_day(london_date(at.0))),
        matters: |end| is_month_end(london_date(end.0)),
        sender,
    };
    (closes, receiver)
}

fn is_month_end(day: i32) -> bool {
    let next = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(day) + 1));
    next.is_some_and(|next| next.day() == 1)
}

impl OwnPast {
    /// Closes the feed's days until it is dropped.
    pub async fn run_on_feed(self, mut ends: mpsc::Receiver<Arc<Cut>>) {
        let mut told = false;
        let mut gaps = Gaps::default();
        while let Some(first) = ends.recv().await {
            let mut shelf = Shelf::new(Arc::clone(&self.lake));
            let (deadline, mut days, mut last) = (Instant::now() + CLOSES_WAIT, 0, Some(first));
            let mut kept = Ok(());
            while let Some(cut) = last.take() {
                let end = AsOf(cut.at);
                gaps.note(london_date(end.0.0));
                let checked = self.catalogues.borrow().clone();
                let metrics = evaluate(&checked, &checked.queries, &cut, end, &self.options()).await;
                kept = kept.and(shelf.put(end.0, end.0, &metrics).await);
                days += 1;
                let left = deadline.saturating_duration_since(Instant::now());
                if days < CLOSES_AT_ONCE {
                    last = tokio::time::timeout(left, ends.recv()).await.ok().flatten();
                }
            }
            match kept.and(shelf.finish().await.map(drop)) {
                Err(error) if !told => {
                    tracing::warn!(error = %error.message, "the metrics' own past cannot be kept; `casewatch backfill` fills it later");
                    told = true;
                }
                Ok(()) => {
                    tracing::debug!(days, "days of the feed were closed");
                    told = false;
                }
                Err(_) => {}
            }
            if let Some(days) = gaps.news(Instant::now()) {
                tracing::info!(
                    days,
                    "days of the feed passed faster than they could be closed and are gaps in the trends; \
                     `casewatch backfill` fills them"
                );
            }
        }
    }

    fn options(&self) -> PastOptions {
        PastOptions {
            query_deadline: self.query_deadline,
            max_series: usize::MAX,
            concurrency: 1,
            assume_known: false,
        }
    }

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
        let metrics = evaluate(&checked, &checked.queries, &past, end, &self.options()).await;
        let mut shelf = Shelf::new(Arc::clone(&self.lake));
        shelf.put(end.0, end.0, &metrics).await?;
        let kept = shelf.finish().await?;
        tracing::info!(day = %end, samples = kept, "a day was closed");
        *closed = Some(day);
        Ok(())
    }
}

/// The feed's days that were left out between those that were closed, told of now and then.
#[derive(Default)]
struct Gaps {
    last: Option<i32>,
    left_out: i32,
    told: i32,
    told_at: Option<Instant>,
}

impl Gaps {
    fn note(&mut self, closed: i32) {
        let since = self.last.map_or(0, |last| (closed - last - 1).max(0));
        (self.last, self.left_out) = (Some(closed), self.left_out + since);
    }

    /// How many there are in all, where there are more than were told of, and that was not just now.
    fn news(&mut self, now: Instant) -> Option<i32> {
        let is_due = self.told_at.is_none_or(|at| now.duration_since(at) >= MINUTE);
        if self.left_out == self.told || !is_due {
            return None;
        }
        (self.told, self.told_at) = (self.left_out, Some(now));
        Some(self.left_out)
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
    fn days_that_were_left_out_are_told_of_once_a_minute_while_there_are_more() {
        let (mut gaps, now) = (Gaps::default(), Instant::now());
        for day in [10, 11, 12] {
            gaps.note(day);
        }
        assert_eq!(gaps.news(now), None, "none was");
        gaps.note(16);
        assert_eq!(gaps.news(now), Some(3));
        gaps.note(18);
        assert_eq!(gaps.news(now + MINUTE / 2), None, "just now");
        assert_eq!(gaps.news(now + MINUTE), Some(4));
        assert_eq!(gaps.news(now + 3 * MINUTE), None, "no more of them");
    }

    #[test]
    fn the_feeds_days_are_londons_and_month_ends_matter_most() {
        let (closes, _) = feed_days();
        let at = |text: &str| text.parse::<AsOf>().unwrap().0;
        // In summer the day ends at 23:00 UTC.
        assert_eq!((closes.end_of)(at("2018-06-30T12:00:00Z")), at("2018-06-30"));
        assert_eq!((closes.end_of)(at("2018-06-30T23:30:00Z")), at("2018-07-01"));
        assert!((closes.matters)(at("2018-06-30")) && (closes.matters)(at("2020-02-29")));
        assert!(!(closes.matters)(at("2018-07-01")) && !(closes.matters)(at("2018-06-29")));
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
