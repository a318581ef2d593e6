//! Figures out of what metrics were at a moment: one number for an authority, or why there is none.
//!
//! For the public a figure is made of published cells alone: a sum is the total's own cell, or the sum of cells that are
//! all shown; where one of them is withheld, so is the figure. Reasons that may quote numbers are left out.

use std::collections::{BTreeMap, BTreeSet};

use casewatch_metrics::{Evaluated, Publication, Reading, SampleSet};

use crate::layout::{AREA, AUTHORITY, Benchmark, Indicator, Total, YEAR};

/// What stands for all values of a label.
const ALL: &str = "all";

/// For whom a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Inside,
    /// What metrics are has to come out of `casewatch_metrics::publish`.
    Public,
}

/// A number, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    Number(f64),
    /// It is small, or would give a small number away.
    Withheld,
    /// Its metric may not be published.
    NotPublished,
    /// The metric is known and has no such series.
    Nothing,
    /// Why nobody knows.
    Unknown(String),
    /// Its query failed. Inside, with the error.
    Failed(Option<String>),
}

impl Figure {
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// What metrics were at one moment, for one authority.
pub struct Moment<'a> {
    metrics: BTreeMap<&'a str, &'a Evaluated>,
    audience: Audience,
    authority: &'a str,
}

impl<'a> Moment<'a> {
    pub fn new(metrics: &'a [Evaluated], audience: Audience, authority: &'a str) -> Self {
        let named = |evaluated: &'a Evaluated| (evaluated.definition.name.name.as_str(), evaluated);
        Self {
            metrics: metrics.iter().map(named).collect(),
            audience,
            authority,
        }
    }

    pub fn indicator(&self, indicator: &Indicator) -> Figure {
        self.figure(indicator.metric.get_ref(), &indicator.only, indicator.total)
    }

    /// A metric's sum over all its series.
    pub fn sum(&self, metric: &str) -> Option<f64> {
        self.figure(metric, &BTreeMap::new(), Total::Sum).number()
    }

    /// The newest published figure of an area, and its year.
    pub fn benchmark(&self, benchmark: &Benchmark, area: &str) -> Option<(String, f64)> {
        let Reading::Samples(set) = &self.metrics.get(benchmark.metric.get_ref().as_str())?.reading else {
            return None;
        };
        let labels: Vec<&str> = set.definition.label_names().collect();
        let is_wanted = |name: &str, value: &String| match name {
            AREA => value == area,
            YEAR => true,
            other => benchmark.only.get(other).is_some_and(|values| values.contains(value)),
        };
        let year = labels.iter().position(|name| *name == YEAR)?;
        let wanted = set.samples.iter().filter(|sample| {
            labels
                .iter()
                .zip(&sample.labels)
                .all(|(name, value)| is_wanted(name, value))
        });
        let newest = wanted.max_by(|a, b| a.labels[year].cmp(&b.labels[year]))?;
        Some((newest.labels[year].clone(), newest.value.as_number()))
    }

    fn figure(&self, metric: &str, only: &BTreeMap<String, Vec<String>>, total: Total) -> Figure {
        let Some(evaluated) = self.metrics.get(metric) else {
            return Figure::Unknown(format!("{metric} was not evaluated"));
        };
        let definition = &evaluated.definition;
        let cells = Cells {
            names: definition.label_names().collect(),
            authority: self.authority,
            only,
        };
        match &evaluated.reading {
            Reading::Samples(set)
                if self.audience == Audience::Inside || definition.publication == Publication::Open =>
            {
                cells.inside(set, total)
            }
            Reading::Samples(_) | Reading::Withheld(_) => Figure::NotPublished,
            Reading::Published(published) => cells.published(&published.shown, &published.withheld, total),
            Reading::NoSeries if total == Total::Sum => Figure::Number(0.0),
            Reading::NoSeries => Figure::Nothing,
            Reading::Unknown(reason) => Figure::Unknown(reason.clone()),
            Reading::Failed(error) => Figure::Failed((self.audience == Audience::Inside).then(|| error.clone())),
        }
    }
}

/// Which cells of a metric make a figure.
struct Cells<'a> {
    names: Vec<&'a str>,
    authority: &'a str,
    only: &'a BTreeMap<String, Vec<String>>,
}

impl Cells<'_> {
    fn inside(&self, set: &SampleSet, total: Total) -> Figure {
        let wanted = set.samples.iter().filter(|sample| self.is_wanted(&sample.labels));
        let numbers = wanted.map(|sample| sample.value.as_number());
        match total {
            Total::Sum => Figure::Number(numbers.sum()),
            Total::Max => numbers.reduce(f64::max).map_or(Figure::Nothing, Figure::Number),
            Total::Given => one(numbers),
        }
    }

    fn published(&self, shown: &SampleSet, withheld: &[Vec<String>], total: Total) -> Figure {
        match total {
            Total::Sum => {
                let cells = self.totals();
                if withheld.iter().any(|labels| cells.contains(labels)) {
                    return Figure::Withheld;
                }
                let wanted = shown.samples.iter().filter(|sample| cells.contains(&sample.labels));
                Figure::Number(wanted.map(|sample| sample.value.as_number()).sum())
            }
            Total::Max | Total::Given if withheld.iter().any(|labels| self.is_wanted(labels)) => Figure::Withheld,
            Total::Max | Total::Given => self.inside(shown, total),
        }
    }

    fn is_wanted(&self, labels: &[String]) -> bool {
        let mut pairs = self.names.iter().zip(labels);
        pairs.all(|(name, value)| match *name {
            AUTHORITY => value == self.authority,
            name => self.only.get(name).is_none_or(|values| values.contains(value)),
        })
    }

    /// Labels of the cells that are summed: "all" wherever nothing is chosen.
    fn totals(&self) -> BTreeSet<Vec<String>> {
        let mut cells = vec![Vec::new()];
        for name in &self.names {
            let values = match (*name, self.only.get(*name)) {
                (AUTHORITY, _) => vec![self.authority.to_owned()],
                (_, Some(values)) => values.clone(),
                (_, None) => vec![ALL.to_owned()],
            };
            let longer = cells.iter().flat_map(|cell: &Vec<String>| {
                values.iter().map(|value| {
                    let mut cell = cell.clone();
                    cell.push(value.clone());
                    cell
                })
            });
            cells = longer.collect();
        }
        cells.into_iter().collect()
    }
}

fn one(mut numbers: impl Iterator<Item = f64>) -> Figure {
    match (numbers.next(), numbers.next()) {
        (None, _) => Figure::Nothing,
        (Some(number), None) => Figure::Number(number),
        (Some(_), Some(_)) => Figure::Unknown("several series stand where one was expected".to_owned()),
    }
}

/// The authorities that any of these metrics has a series of, totals left out.
pub fn authorities(metrics: &[Evaluated]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for evaluated in metrics {
        let at = evaluated.definition.label_names().position(|name| name == AUTHORITY);
        let shown: Option<&SampleSet> = match &evaluated.reading {
            Reading::Samples(set) => Some(set),
            Reading::Published(published) => Some(&published.shown),
            _ => None,
        };
        let (Some(at), Some(set)) = (at, shown) else { continue };
        found.extend(set.samples.iter().map(|sample| sample.labels[at].clone()));
    }
    // A row of nobody's, such as a team without an authority, makes no report.
    found.retain(|authority| authority != ALL && !authority.is_empty());
    found
}
