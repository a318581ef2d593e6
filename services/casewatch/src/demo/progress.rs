//! The line that says where the demo stands: the simulated date and the headline as `/metrics` has them now, the events
//! sent, and how long a simulated day took from being sent to being served.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_metrics::SampleStore;
use casewatch_query::AsOf;
use casewatch_simulator::Progress;
use chrono::{DateTime, NaiveDate};
use tokio_util::sync::CancellationToken;

/// The headline shown while the demo runs, a metric of the catalogue.
pub const HEADLINE: &str = "casewatch_cases_no_holder";
/// How often what is served is compared with what was sent: the precision of freshness.
const LOOK: Duration = Duration::from_millis(10);

/// What was sent, told by the simulator's thread.
#[derive(Clone, Default)]
pub struct Sent(Arc<Mutex<SentDays>>);

#[derive(Default)]
struct SentDays {
    now: Option<Progress>,
    /// Ends of days that are not served yet, with the moment at which each had been sent whole.
    waiting: VecDeque<(RecordedAt, Instant)>,
    freshness: Option<Duration>,
}

impl Sent {
    pub fn note(&self, now: Progress) {
        let mut sent = self.0.lock().expect("no holder panics");
        if let (Some(day), true) = (now.day, now.day_complete) {
            sent.waiting.push_back((end_of(day), Instant::now()));
        }
        sent.now = Some(now);
    }

    /// Notes what is served: freshness is that of the newest whole day in it.
    fn reached(&self, cut: RecordedAt, at: Instant) {
        let mut sent = self.0.lock().expect("no holder panics");
        while let Some((_, since)) = sent.waiting.pop_front_if(|(end, _)| *end <= cut) {
            sent.freshness = Some(at.saturating_duration_since(since));
        }
    }

    /// The line, once anything was sent. `shown` is the cut that is served and its headline.
    fn line(&self, shown: Option<RecordedAt>, headline: Option<f64>) -> Option<String> {
        let sent = self.0.lock().expect("no holder panics");
        let now = sent.now?;
        let date = shown.map_or("not yet".to_owned(), |cut| date_of(cut.0));
        let headline = headline.map_or("not known yet".to_owned(), |count| format!("{count:.0}"));
        let freshness = sent
            .freshness
            .map_or("-".to_owned(), |age| format!("{:.2} s", age.as_secs_f64()));
        Some(format!(
            "{date} | {} events | without a holder: {headline} | freshness {freshness}",
            now.events
        ))
    }
}

/// Shows the line until `stop`: rewritten each second on a terminal; a line every five seconds elsewhere.
pub async fn show(store: Arc<SampleStore>, sent: Sent, stop: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 5 });
    let (mut looks, mut told) = (tokio::time::interval(LOOK), Instant::now());
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let shown = store.current().status.cut.filter(|_| headline(&store).is_some());
        if let Some(cut) = shown {
            sent.reached(cut, Instant::now());
        }
        if told.elapsed() < every {
            continue;
        }
        told = Instant::now();
        let Some(line) = sent.line(shown, headline(&store)) else {
            continue;
        };
        if terminal {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

/// Waits until what is served has reached the end of `day`.
pub async fn wait_for(store: &SampleStore, day: NaiveDate, stop: &CancellationToken) {
    while !stop.is_cancelled() && store.current().status.cut.is_none_or(|cut| cut < end_of(day)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The headline over the whole authority, if it may be shown now.
fn headline(store: &SampleStore) -> Option<f64> {
    let published = store.current();
    let shown = published
        .shown
        .iter()
        .find(|shown| shown.set.definition.name.name == HEADLINE)?;
    if Instant::now() >= shown.expires_at {
        return None;
    }
    Some(shown.set.samples.iter().map(|sample| sample.value.as_number()).sum())
}

fn end_of(day: NaiveDate) -> RecordedAt {
    let end: AsOf = day.to_string().parse().expect("a date is a moment");
    end.0
}

fn date_of(micros: i64) -> String {
    let london = chrono_tz::Europe::London;
    DateTime::from_timestamp_micros(micros).map_or("-".to_owned(), |moment| {
        moment.with_timezone(&london).format("%-d %b %Y").to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(day: &str, events: u64) -> Progress {
        Progress {
            day: Some(day.parse().unwrap()),
            events,
            no_holder: 0,
            day_complete: true,
        }
    }

    #[test]
    fn the_line_tells_date_events_headline_and_freshness_of_what_is_served() {
        let sent = Sent::default();
        assert_eq!(sent.line(None, None), None, "nothing was sent");
        sent.note(progress("2018-01-30", 1000));
        sent.note(progress("2018-01-31", 1100));
        let before = sent.line(None, None).unwrap();
        assert_eq!(
            before,
            "not yet | 1100 events | without a holder: not known yet | freshness -"
        );
        let later = Instant::now() + Duration::from_secs(3);
        sent.reached(end_of("2018-01-31".parse().unwrap()), later);
        let line = sent
            .line(Some(end_of("2018-01-31".parse().unwrap())), Some(551.0))
            .unwrap();
        assert!(
            line.starts_with("31 Jan 2018 | 1100 events | without a holder: 551 | freshness 3.0"),
            "{line}"
        );
    }

    #[test]
    fn freshness_waits_for_a_day_to_be_served_whole() {
        let sent = Sent::default();
        sent.note(progress("2018-01-31", 1));
        let almost = RecordedAt(end_of("2018-01-31".parse().unwrap()).0 - 1);
        sent.reached(almost, Instant::now());
        assert!(sent.line(Some(almost), None).unwrap().ends_with("freshness -"));
    }
}
