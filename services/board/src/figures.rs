//! The catalogue's numbers at one moment, and what becomes of them: which series belong to what is looked at, and how they
//! become one number. What is not known stays unknown, with the reason; it never becomes 0.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casewatch_contract::RecordedAt;
use casewatch_metrics::{
    Catalogue, Evaluated, JudgedTier, Published, QueryState, QueryStatus, Reading, Sample, SampleSet,
};

use crate::layout::{Combine, Figure, LEVELS};
use crate::subject::Subject;

/// A number, or why there is none.
pub type Number = Result<f64, String>;

/// What each metric is at one moment.
#[derive(Debug, Default)]
pub struct Figures {
    metrics: HashMap<String, Result<Arc<SampleSet>, String>>,
    pub tiers: Vec<JudgedTier>,
}

impl Figures {
    pub fn new(metrics: HashMap<String, Result<Arc<SampleSet>, String>>, catalogue: Option<&Catalogue>) -> Self {
        let sets: Vec<_> = metrics.values().filter_map(|set| set.as_ref().ok().cloned()).collect();
        let tiers = catalogue.map(|catalogue| catalogue.thresholds.judged(&sets));
        Self {
            metrics,
            tiers: tiers.unwrap_or_default(),
        }
    }

    /// What scrapes see now. A metric whose feed is silent is unknown at once, not only when its samples expire.
    pub fn live(published: &Published, catalogue: &Catalogue, now: RecordedAt) -> Self {
        let instant = Instant::now();
        let shown = published.shown.iter().filter(|shown| instant < shown.expires_at);
        let mut sets: HashMap<&str, &Arc<SampleSet>> = shown
            .map(|shown| (shown.set.definition.name.name.as_str(), &shown.set))
            .collect();
        let silent: BTreeMap<&str, Duration> = published
            .status
            .sources
            .iter()
            .filter_map(|source| {
                Some((
                    source.name.as_str(),
                    silent_for(source.heard_at, source.silent_after, now)?,
                ))
            })
            .collect();
        let metrics = published.status.queries.iter().map(|query| {
            let dead = query
                .sources
                .iter()
                .find_map(|source| silent.get_key_value(source.as_str()));
            let known = match (dead, sets.remove(query.name.as_str())) {
                (Some((source, silence)), _) => {
                    Err(format!("the feed {source} has been silent for {}", lasted(*silence)))
                }
                (None, Some(set)) => Ok(Arc::clone(set)),
                (None, None) => Err(why(query)),
            };
            (query.name.clone(), known)
        });
        Self::new(metrics.collect(), Some(catalogue))
    }

    /// What metrics were at a moment of the past.
    pub fn past(evaluated: Vec<Evaluated>, catalogue: &Catalogue) -> Self {
        let metrics = evaluated.into_iter().map(|evaluated| {
            let known = match evaluated.reading {
                Reading::Samples(set) => Ok(set),
                Reading::NoSeries => Err("it had no value then".to_owned()),
                Reading::Unknown(why) | Reading::Withheld(why) => Err(why),
                Reading::Published(_) => Err("it is shown as published elsewhere".to_owned()),
                Reading::Failed(error) => Err(format!("its query failed: {error}")),
            };
            (evaluated.definition.name.name.clone(), known)
        });
        Self::new(metrics.collect(), Some(catalogue))
    }

    pub fn has(&self, metric: &str) -> bool {
        self.metrics.get(metric).is_some_and(Result::is_ok)
    }

    /// Why nothing at all is known, or what is known of a metric.
    pub fn set(&self, metric: &str) -> Result<&Arc<SampleSet>, String> {
        match self.metrics.get(metric) {
            Some(known) => known.as_ref().map_err(Clone::clone),
            None => Err("it has not been computed yet".to_owned()),
        }
    }

    /// One number of what is looked at.
    pub fn number(&self, figure: &Figure, subject: &Subject, rollup: &str) -> Number {
        self.number_where(figure, subject, rollup, None)
    }

    /// The same of the series with a value of one more label.
    pub fn number_where(&self, figure: &Figure, subject: &Subject, rollup: &str, part: Option<(&str, &str)>) -> Number {
        let set = self.set(&figure.metric)?;
        let values = series(set, &figure.only, subject, rollup, figure.combine, part);
        match figure.combine {
            Combine::Sum => total(&values),
            Combine::Max => {
                let highest = values.iter().map(|(_, value)| *value).max_by(f64::total_cmp);
                highest.ok_or_else(no_series)
            }
            Combine::Own => match values.as_slice() {
                [(_, value)] => Ok(*value),
                [] => Err(no_series()),
                _ => Err("it is not one number for all of these together: choose one of them".to_owned()),
            },
            Combine::Ratio => {
                let Some(over) = &figure.over else {
                    return Err(no_series());
                };
                let base = self.set(&over.metric)?;
                let base = total(&series(base, &over.only, subject, rollup, Combine::Sum, None))?;
                if base == 0.0 {
                    return Err("there is nothing to take a share of".to_owned());
                }
                Ok(total(&values)? / base)
            }
        }
    }

    /// Values that a label has among the series of what is looked at.
    pub fn values_of(&self, label: &str, figure: &Figure, subject: &Subject, rollup: &str) -> Vec<String> {
        let Ok(set) = self.set(&figure.metric) else {
            return Vec::new();
        };
        let Some(at) = set.definition.label_names().position(|name| name == label) else {
            return Vec::new();
        };
        let found = series(set, &figure.only, subject, rollup, Combine::Max, None);
        let mut values: Vec<String> = found.into_iter().map(|(labels, _)| labels[at].clone()).collect();
        values.sort();
        values.dedup();
        values
    }

    /// The tiers that a figure is judged by within what is looked at.
    pub fn tiers_of<'a>(&'a self, figure: &'a Figure, subject: &'a Subject) -> impl Iterator<Item = &'a JudgedTier> {
        self.tiers.iter().filter(move |tier| {
            let is_same = figure.judged && tier.metric == figure.metric && tier.only == figure.only;
            is_same
                && tier.group.iter().all(|(level, value)| subject.holds(level, value))
                && judges_within(tier, subject)
        })
    }
}

/// Whether a tier is judged for what is looked at or for parts of it, and not for something wider.
fn judges_within(tier: &JudgedTier, subject: &Subject) -> bool {
    subject.level().is_none_or(|level| tier.group.contains_key(level))
}

/// How long a source has been silent beyond what it may, if it has.
pub(crate) fn silent_for(heard_at: RecordedAt, silent_after: Option<f64>, now: RecordedAt) -> Option<Duration> {
    let age = age(heard_at, now);
    silent_after.filter(|limit| age.as_secs_f64() > *limit).map(|_| age)
}

pub(crate) fn age(heard_at: RecordedAt, now: RecordedAt) -> Duration {
    Duration::from_micros(u64::try_from(now.0.saturating_sub(heard_at.0)).unwrap_or(0))
}

/// For people: "45 seconds", "12 minutes", "3 hours", "2 days".
pub(crate) fn lasted(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn why(query: &QueryStatus) -> String {
    match query.state {
        QueryState::Ok | QueryState::Failed => match &query.error {
            Some(error) => format!("its query fails: {error}"),
            None => "it has not been computed in time".to_owned(),
        },
        QueryState::Stale => "what feeds it has been silent, or its query has failed, for too long".to_owned(),
        QueryState::NotSupplied => "nobody supplies what it is computed from".to_owned(),
        QueryState::CatchingUp => "catching up: not everything has been read yet".to_owned(),
    }
}

fn no_series() -> String {
    "there is no figure for this".to_owned()
}

fn total(values: &[(&Vec<String>, f64)]) -> Number {
    let sum = values.iter().map(|(_, value)| *value).reduce(|sum, value| sum + value);
    sum.ok_or_else(no_series)
}

/// The series of a set that belong to what is looked at, with their numbers.
fn series<'s>(
    set: &'s SampleSet,
    only: &BTreeMap<String, Vec<String>>,
    subject: &Subject,
    rollup: &str,
    combine: Combine,
    part: Option<(&str, &str)>,
) -> Vec<(&'s Vec<String>, f64)> {
    let labels: Vec<&str> = set.definition.label_names().collect();
    let belongs = |sample: &&Sample| {
        labels.iter().zip(&sample.labels).all(|(label, value)| {
            let is_wanted = only.get(*label).is_none_or(|wanted| wanted.contains(value))
                && part.is_none_or(|(name, wanted)| name != *label || value == wanted);
            let is_in = !LEVELS.contains(label)
                || match combine {
                    Combine::Own => {
                        subject.own(label, rollup).is_none_or(|own| own == value) && subject.holds_own(label, value)
                    }
                    _ => value != rollup && subject.holds(label, value),
                };
            is_wanted && is_in
        })
    };
    let found = set.samples.iter().filter(belongs);
    found.map(|sample| (&sample.labels, sample.value.as_number())).collect()
}

/// Whether a metric has a number for what is looked at: it tells the narrowest level apart.
pub(crate) fn is_measured(labels: &[&str], subject: &Subject) -> bool {
    subject.level().is_none_or(|level| labels.contains(&level))
}
