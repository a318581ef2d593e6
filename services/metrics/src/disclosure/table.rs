//! One metric as a table: its series by their labels with all totals, and what is shown of them in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rules::{Counted, Of, Rules};
use crate::definition::{MetricDefinition, Publication};
use crate::samples::{Sample, SampleSet, Value};

/// What stands for all values of a label.
const ALL: &str = "all";
/// Totals over the widest level are rounded to this.
const ROUNDED_TO: f64 = 10.0;

/// A metric as it may be published.
#[derive(Debug, Clone)]
pub struct PublishedSet {
    /// What is shown, totals among it.
    pub shown: Arc<SampleSet>,
    /// Which of the samples shown are rounded.
    pub rounded: Vec<bool>,
    /// Labels of what is withheld.
    pub withheld: Vec<Vec<String>>,
}

/// The numbers of a series.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers {
    Count(i64),
    Share { part: i64, base: i64 },
    Over { base: i64 },
}

impl Numbers {
    pub(super) fn of(self, of: Of) -> Option<i64> {
        match (self, of) {
            (Self::Count(count), Of::Value) => Some(count),
            (Self::Share { part, .. }, Of::Part) => Some(part),
            (Self::Share { part, base }, Of::Rest) => Some(base - part),
            (Self::Share { base, .. } | Self::Over { base }, Of::Base) => Some(base),
            _ => None,
        }
    }

    pub(super) fn kinds(self) -> &'static [Of] {
        match self {
            Self::Count(_) => &[Of::Value],
            Self::Share { .. } => &[Of::Part, Of::Rest, Of::Base],
            Self::Over { .. } => &[Of::Base],
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// What would be shown.
    value: f64,
    pub(super) numbers: Numbers,
}

/// A metric's series by their labels, totals among them.
#[derive(Debug)]
pub(super) struct Table {
    set: Arc<SampleSet>,
    pub(super) cells: BTreeMap<Vec<String>, Cell>,
    /// Places of the labels that are levels, the widest first; of those that part; and the nested, with their values.
    levels: Vec<usize>,
    parts: Vec<usize>,
    nested: Vec<(usize, Vec<String>)>,
    /// Whether parts may count the same thing, so that they sum to more than the total.
    pub(super) overlaps: bool,
}

/// What a table's cells are in the system: the figure of each, and its quantities.
pub(super) type Figures = BTreeMap<Vec<String>, (usize, BTreeMap<Of, usize>)>;

impl Table {
    /// # Errors
    /// Why the metric's numbers are not what its header says they are.
    pub(super) fn new(set: &Arc<SampleSet>, rules: &Rules) -> Result<Self, String> {
        let definition = set.definition.as_ref();
        let place = |label: &String| definition.label_names().position(|name| name == label);
        let nested = rules
            .nested
            .iter()
            .filter_map(|(label, values)| Some((place(label)?, values.clone())));
        let mut table = Self {
            set: Arc::clone(set),
            cells: BTreeMap::new(),
            levels: rules.levels.iter().filter_map(place).collect(),
            parts: rules.parts.iter().filter_map(place).collect(),
            nested: nested.collect(),
            overlaps: definition.publication == Publication::Distinct,
        };
        for (index, sample) in set.samples.iter().enumerate() {
            let cell = cell(definition, sample, set.behind.get(index))?;
            table.cells.insert(sample.labels.clone(), cell);
        }
        if definition.publication == Publication::Count {
            table.add_totals()?;
        }
        table.check_sums()?;
        Ok(table)
    }

    /// Sums over each label that parts, over each level, and over both.
    fn add_totals(&mut self) -> Result<(), String> {
        let summed = self.parts.iter().chain(&self.levels);
        if self
            .cells
            .keys()
            .any(|labels| summed.clone().any(|at| labels[*at] == ALL))
        {
            return Err("it has rows for \"all\" of its own, and is no plain count".to_owned());
        }
        for at in self.parts.clone() {
            self.add_totals_over(at, &[]);
        }
        for level in (0..self.levels.len()).rev() {
            let at = self.levels[level];
            let finer = self.levels[level + 1..].to_vec();
            let values: BTreeSet<&String> = self.cells.keys().map(|labels| &labels[at]).collect();
            // One authority's total is its own row.
            if level > 0 || values.len() > 1 {
                self.add_totals_over(at, &finer);
            }
        }
        Ok(())
    }

    /// Sums over one label of the cells that stand for all of the `finer` ones.
    fn add_totals_over(&mut self, at: usize, finer: &[usize]) {
        let mut totals: BTreeMap<Vec<String>, i64> = BTreeMap::new();
        for (labels, cell) in &self.cells {
            if finer.iter().all(|finer| labels[*finer] == ALL) {
                let mut labels = labels.clone();
                ALL.clone_into(&mut labels[at]);
                *totals.entry(labels).or_default() += cell.numbers.of(Of::Value).unwrap_or_default();
            }
        }
        for (labels, sum) in totals {
            let total = Cell {
                value: sum as f64,
                numbers: Numbers::Count(sum),
            };
            self.cells.insert(labels, total);
        }
    }

    /// Each total with the cells that it is the sum of, one step finer by one label.
    pub(super) fn totals(&self) -> Vec<(&Vec<String>, Vec<&Vec<String>>)> {
        let parts = self.parts.iter().map(|at| (*at, &[][..]));
        let levels = self.levels.iter().enumerate();
        let levels = levels.map(|(level, at)| (*at, &self.levels[level + 1..]));
        let mut totals = Vec::new();
        for (at, finer) in parts.chain(levels) {
            let mut sums: BTreeMap<Vec<String>, Vec<&Vec<String>>> = BTreeMap::new();
            for labels in self.cells.keys() {
                if labels[at] != ALL && finer.iter().all(|finer| labels[*finer] == ALL) {
                    let mut total = labels.clone();
                    ALL.clone_into(&mut total[at]);
                    sums.entry(total).or_default().push(labels);
                }
            }
            let known = sums.into_iter();
            totals.extend(known.filter_map(|(total, parts)| Some((self.cells.get_key_value(&total)?.0, parts))));
        }
        totals
    }

    /// Cells of which one contains the other: the label's place is nested.
    pub(super) fn chains(&self) -> Vec<(&Vec<String>, &Vec<String>)> {
        let mut chains = Vec::new();
        for (at, values) in &self.nested {
            for pair in values.windows(2) {
                for (inner, _) in self.cells.iter().filter(|(labels, _)| labels[*at] == pair[0]) {
                    let mut outer = inner.clone();
                    outer[*at].clone_from(&pair[1]);
                    if let Some((outer, _)) = self.cells.get_key_value(&outer) {
                        chains.push((outer, inner));
                    }
                }
            }
        }
        chains
    }

    pub(super) fn number(&self, labels: &[String], of: Of) -> i64 {
        self.cells[labels].numbers.of(of).unwrap_or_default()
    }

    /// The kinds of number whose sums are equations: a rest follows from the others.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Of> {
        let kinds = self.cells.values().next().map_or(&[][..], |cell| cell.numbers.kinds());
        kinds.iter().copied()
    }

    fn check_sums(&self) -> Result<(), String> {
        for (total, parts) in self.totals() {
            for of in self.kinds() {
                let sum: i64 = parts.iter().map(|part| self.number(part, of)).sum();
                let total_is = self.number(total, of);
                if sum != total_is && !(self.overlaps && sum > total_is) {
                    return Err(format!(
                        "its parts sum to {sum} where the total of {} is {total_is}",
                        total.join(", ")
                    ));
                }
            }
        }
        for (outer, inner) in self.chains() {
            for of in self.kinds() {
                if self.number(inner, of) > self.number(outer, of) {
                    return Err(format!("{} is more than {}", inner.join(", "), outer.join(", ")));
                }
            }
        }
        Ok(())
    }

    /// How many times as dear as others of its rank a cell is to withhold.
    pub(super) fn dearness(&self, labels: &[String], rules: &Rules) -> f64 {
        rules.dearness(&self.set.definition, labels)
    }

    /// How many of a cell's labels stand for all.
    pub(super) fn rank(&self, labels: &[String]) -> i32 {
        i32::try_from(labels.iter().filter(|label| *label == ALL).count()).unwrap_or(i32::MAX)
    }

    /// Cells by the labels `by`, totals left out, that a rule counts.
    pub(super) fn counted(&self, counted: &Counted, by: &[String]) -> BTreeMap<Vec<String>, Vec<&Vec<String>>> {
        let place = |label: &String| {
            let found = self.set.definition.label_names().position(|name| name == label);
            found.expect("labels were checked against the definition")
        };
        let by: Vec<usize> = by.iter().map(place).collect();
        let only: Vec<(usize, &Vec<String>)> = counted
            .only
            .iter()
            .map(|(label, values)| (place(label), values))
            .collect();
        let mut groups: BTreeMap<Vec<String>, Vec<&Vec<String>>> = BTreeMap::new();
        for labels in self.cells.keys() {
            let is_total = self.levels.iter().chain(&self.parts).any(|at| labels[*at] == ALL);
            if !is_total && only.iter().all(|(at, values)| values.contains(&labels[*at])) {
                let key = by.iter().map(|at| labels[*at].clone()).collect();
                groups.entry(key).or_default().push(labels);
            }
        }
        groups
    }

    pub(super) fn published(&self, figures: &Figures, withheld: &[bool]) -> PublishedSet {
        let widest = self.levels.first().copied();
        let (mut samples, mut rounded, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        for (labels, cell) in &self.cells {
            if withheld[figures[labels].0] {
                hidden.push(labels.clone());
                continue;
            }
            let rounds = matches!(cell.numbers, Numbers::Count(_)) && widest.is_some_and(|at| labels[at] == ALL);
            let value = match rounds {
                true => (cell.value / ROUNDED_TO).round() * ROUNDED_TO,
                false => cell.value,
            };
            samples.push(Sample {
                labels: labels.clone(),
                value: Value::Number(value),
            });
            rounded.push(rounds);
        }
        let shown = SampleSet {
            definition: Arc::clone(&self.set.definition),
            as_of: self.set.as_of,
            samples,
            behind: Vec::new(),
        };
        PublishedSet {
            shown: Arc::new(shown),
            rounded,
            withheld: hidden,
        }
    }
}

fn cell(definition: &MetricDefinition, sample: &Sample, behind: Option<&Vec<Option<f64>>>) -> Result<Cell, String> {
    let value = sample.value.as_number();
    let behind = |place: usize| {
        let name = definition
            .publication
            .columns()
            .nth(place)
            .map_or("", |column| &column.name);
        let found = behind.and_then(|numbers| numbers.get(place).copied().flatten());
        whole(found.ok_or_else(|| format!("\"{name}\" is null"))?)
    };
    let numbers = match &definition.publication {
        Publication::Share { .. } => Numbers::Share {
            part: behind(0)?,
            base: behind(1)?,
        },
        Publication::Over { .. } => Numbers::Over { base: behind(0)? },
        _ => Numbers::Count(whole(value)?),
    };
    match numbers {
        Numbers::Share { part, base } if part > base => {
            Err(format!("a part of {part} is more than its base of {base}"))
        }
        _ => Ok(Cell { value, numbers }),
    }
}

fn whole(value: f64) -> Result<i64, String> {
    // Above, a float no longer tells neighbours apart.
    let is_count = value >= 0.0 && value.fract() == 0.0 && value < 9e15;
    is_count
        .then_some(value as i64)
        .ok_or_else(|| format!("{value} is no count"))
}
