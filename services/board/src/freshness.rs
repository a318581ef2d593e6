//! How fresh the numbers are: said in one word for the page, and in a sentence for people.

use std::time::Duration;

use casewatch_contract::RecordedAt;
use casewatch_metrics::Status;
use casewatch_query::AsOf;
use chrono::DateTime;
use chrono_tz::Europe::London;
use serde::Serialize;

use crate::figures::{age, lasted, silent_for};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Fresh,
    /// A feed is silent, or the live tables have stopped: what depends on it is unknown.
    Stale,
    CatchingUp,
    /// A moment of the past, which does not age.
    Past,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fresh {
    pub state: State,
    /// Everything recorded until then is in.
    pub read_up_to: Option<String>,
    /// Since anything was last heard of any feed.
    pub age_s: Option<f64>,
    pub says: String,
    pub feeds: Vec<Feed>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feed {
    pub feed: String,
    pub age_s: f64,
    pub silent_after_s: Option<f64>,
    pub silent: bool,
}

impl Fresh {
    /// Of what scrapes see now.
    pub fn live(status: &Status, now: RecordedAt) -> Self {
        let feeds: Vec<Feed> = status
            .sources
            .iter()
            .map(|source| Feed {
                feed: source.name.clone(),
                age_s: tenths(age(source.heard_at, now)),
                silent_after_s: source.silent_after,
                silent: silent_for(source.heard_at, source.silent_after, now).is_some(),
            })
            .collect();
        let silent: Vec<String> = status
            .sources
            .iter()
            .filter_map(|source| {
                let silence = silent_for(source.heard_at, source.silent_after, now)?;
                Some(format!("{} for {}", source.name, lasted(silence)))
            })
            .collect();
        let (state, says) = if status.catching_up || status.cut.is_none() {
            let why = status
                .reasons
                .first()
                .map_or("not everything has been read yet", String::as_str);
            (
                State::CatchingUp,
                format!("Nothing is shown before everything has been read: {why}."),
            )
        } else if !status.reasons.is_empty() {
            (State::Stale, format!("Unknown: {}.", status.reasons.join("; ")))
        } else if !silent.is_empty() {
            let silent = silent.join(", ");
            (
                State::Stale,
                format!("Silent: {silent}. What depends on it is unknown, not zero."),
            )
        } else {
            let until = status.cut.map(in_words).unwrap_or_default();
            (
                State::Fresh,
                format!("Up to date: everything recorded until {until} is in."),
            )
        };
        Self {
            state,
            read_up_to: status.cut.map(|at| at.to_string()),
            age_s: feeds.iter().map(|feed| feed.age_s).min_by(f64::total_cmp),
            says,
            feeds,
        }
    }

    /// Of a moment of the past.
    pub fn past(as_of: AsOf, known_at: AsOf) -> Self {
        let known = match as_of == known_at {
            true => "as it was known then".to_owned(),
            false => format!("as it was known on {}", in_words(known_at.0)),
        };
        Self {
            state: State::Past,
            read_up_to: Some(known_at.0.to_string()),
            age_s: None,
            says: format!("The past: {}, {known}.", in_words(as_of.0)),
            feeds: Vec::new(),
        }
    }

    /// Why nothing is to be shown, where nothing is.
    pub fn hides_all(&self) -> Option<String> {
        match self.state {
            State::CatchingUp => Some(self.says.clone()),
            // Feeds mute what depends on them and no more; tables that stopped mute everything.
            State::Stale if self.feeds.iter().all(|feed| !feed.silent) => Some(self.says.clone()),
            State::Fresh | State::Stale | State::Past => None,
        }
    }
}

/// In London, to the minute.
pub(crate) fn in_words(at: RecordedAt) -> String {
    let local = DateTime::from_timestamp_micros(at.0)
        .unwrap_or_default()
        .with_timezone(&London);
    local.format("%-d %B %Y, %H:%M").to_string()
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
