//! The metrics of one moment as one system of quantities, and what is left of them as figures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::protect::{Quantity, System, protect};
use super::rules::{Counted, Of, Rules};
use crate::definition::{MetricDefinition, Publication};
use crate::past::{Evaluated, Reading};
use crate::samples::{Sample, SampleSet, Value};

/// What stands for all values of a label.
const ALL: &str = "all";
/// Totals over the widest level are rounded to this.
const ROUNDED_TO: f64 = 10.0;
/// What a total is dearer to withhold than its parts.
const TOTAL_WEIGHT: f64 = 10.0;

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

/// The same metrics as they may be published together. `metrics` are to be all that may be: a number that is withheld
/// here and shown elsewhere is not withheld.
pub fn publish(metrics: Vec<Evaluated>, rules: &Rules) -> Vec<Evaluated> {
    let mut draft = Draft::new(&metrics, rules);
    draft.drop_what_disagrees();
    let (system, figures) = draft.system();
    let withheld = protect(&system);
    let mut published: BTreeMap<usize, PublishedSet> = draft
        .tables
        .iter()
        .map(|(index, table)| (*index, table.published(&figures[index], &withheld)))
        .collect();
    let mut refused = draft.refused;
    let metrics = metrics.into_iter().enumerate().map(|(index, evaluated)| {
        let reading = match (published.remove(&index), refused.remove(&index), evaluated.reading) {
            (Some(set), ..) => Reading::Published(set),
            (_, Some(reason), _) => Reading::Withheld(reason),
            (None, None, reading) => reading,
        };
        Evaluated { reading, ..evaluated }
    });
    metrics.collect()
}

/// The numbers of a series.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Count(i64),
    Share { part: i64, base: i64 },
    Over { base: i64 },
}

impl Numbers {
    fn of(self, of: Of) -> Option<i64> {
        match (self, of) {
            (Self::Count(count), Of::Value) => Some(count),
            (Self::Share { part, .. }, Of::Part) => Some(part),
            (Self::Share { part, base }, Of::Rest) => Some(base - part),
            (Self::Share { base, .. } | Self::Over { base }, Of::Base) => Some(base),
            _ => None,
        }
    }

    fn kinds(self) -> &'static [Of] {
        match self {
            Self::Count(_) => &[Of::Value],
            Self::Share { .. } => &[Of::Part, Of::Rest, Of::Base],
            Self::Over { .. } => &[Of::Base],
        }
    }
}

#[derive(Debug, Clone)]
struct Cell {
    /// What would be shown.
    value: f64,
    numbers: Numbers,
}

/// A metric's series by their labels, totals among them.
#[derive(Debug)]
struct Table {
    set: Arc<SampleSet>,
    cells: BTreeMap<Vec<String>, Cell>,
    /// Places of the labels that are levels, the widest first; of those that part; and the nested, with their values.
    levels: Vec<usize>,
    parts: Vec<usize>,
    nested: Vec<(usize, Vec<String>)>,
    /// Whether parts may count the same thing, so that they sum to more than the total.
    overlaps: bool,
}

/// What a table's cells are in the system: the figure of each, and its quantities.
type Figures = BTreeMap<Vec<String>, (usize, BTreeMap<Of, usize>)>;

impl Table {
    /// # Errors
    /// Why the metric's numbers are not what its header says they are.
    fn new(set: &Arc<SampleSet>, rules: &Rules) -> Result<Self, String> {
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
    fn totals(&self) -> Vec<(&Vec<String>, Vec<&Vec<String>>)> {
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
    fn chains(&self) -> Vec<(&Vec<String>, &Vec<String>)> {
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

    fn number(&self, labels: &[String], of: Of) -> i64 {
        self.cells[labels].numbers.of(of).unwrap_or_default()
    }

    /// The kinds of number whose sums are equations: a rest follows from the others.
    fn kinds(&self) -> impl Iterator<Item = Of> {
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

    /// How many of a cell's labels stand for all.
    fn rank(&self, labels: &[String]) -> i32 {
        i32::try_from(labels.iter().filter(|label| *label == ALL).count()).unwrap_or(i32::MAX)
    }

    /// Cells by the labels `by`, totals left out, that a rule counts.
    fn counted(&self, counted: &Counted, by: &[String]) -> BTreeMap<Vec<String>, Vec<&Vec<String>>> {
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

    fn published(&self, figures: &Figures, withheld: &[bool]) -> PublishedSet {
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

/// Tables that may be published so far, by the place of their metric, and why others may not.
struct Draft<'a> {
    rules: &'a Rules,
    tables: BTreeMap<usize, Table>,
    names: BTreeMap<&'a str, usize>,
    refused: BTreeMap<usize, String>,
}

impl<'a> Draft<'a> {
    fn new(metrics: &'a [Evaluated], rules: &'a Rules) -> Self {
        let mut draft = Self {
            rules,
            tables: BTreeMap::new(),
            names: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        for (index, evaluated) in metrics.iter().enumerate() {
            let definition = evaluated.definition.as_ref();
            draft.names.insert(&definition.name.name, index);
            match (&definition.publication, &evaluated.reading) {
                (Publication::Open, _) => {}
                (Publication::Withheld, _) => {
                    let reason = "its header does not say how it is published";
                    draft.refused.insert(index, reason.to_owned());
                }
                (_, Reading::Samples(set)) => match Table::new(set, rules) {
                    Ok(table) => {
                        draft.tables.insert(index, table);
                    }
                    Err(reason) => {
                        draft.refused.insert(index, reason);
                    }
                },
                _ => {}
            }
        }
        draft
    }

    fn table(&self, counted: &Counted) -> Option<(usize, &Table)> {
        let index = self.names.get(counted.metric.as_str())?;
        Some((*index, self.tables.get(index)?))
    }

    /// Pairs of counts that rules speak of, where both are there: whether they are equal, or one is part of the other.
    fn pairs(&self) -> Vec<(&'a Counted, &'a Counted, &'a [String], bool)> {
        let same = self.rules.same.iter().flat_map(|same| {
            let there: Vec<&Counted> = same
                .counts
                .iter()
                .filter(|counted| self.table(counted).is_some())
                .collect();
            let pairs: Vec<_> = there
                .windows(2)
                .map(|pair| (pair[0], pair[1], same.by.as_slice(), true))
                .collect();
            pairs
        });
        let within = self.rules.within.iter();
        let within = within.map(|within| (&within.part, &within.whole, within.by.as_slice(), false));
        same.chain(within.filter(|(part, whole, ..)| self.table(part).is_some() && self.table(whole).is_some()))
            .collect()
    }

    /// For each group of a pair, the cells on both sides.
    fn groups(&self, pair: &(&'a Counted, &'a Counted, &'a [String], bool)) -> Vec<Group<'_>> {
        let (one, other, by, _) = pair;
        let (Some((one_at, one_table)), Some((other_at, other_table))) = (self.table(one), self.table(other)) else {
            return Vec::new();
        };
        let mut ones = one_table.counted(one, by);
        let mut others = other_table.counted(other, by);
        let keys: BTreeSet<Vec<String>> = ones.keys().chain(others.keys()).cloned().collect();
        let groups = keys.into_iter().map(|key| Group {
            one: Side {
                at: one_at,
                of: one.of,
                cells: ones.remove(&key).unwrap_or_default(),
            },
            other: Side {
                at: other_at,
                of: other.of,
                cells: others.remove(&key).unwrap_or_default(),
            },
            key,
        });
        groups.collect()
    }

    /// Metrics that are not what a rule says of them are withheld: it may be wrong, and then so is what it protects.
    fn drop_what_disagrees(&mut self) {
        let mut disagreeing: BTreeMap<usize, String> = BTreeMap::new();
        for pair in self.pairs() {
            let (one, other, _, is_same) = pair;
            let disagrees = |group: &Group<'_>| {
                let (one_is, other_is) = (self.sum(&group.one), self.sum(&group.other));
                if is_same { one_is != other_is } else { one_is > other_is }
            };
            if let Some(group) = self.groups(&pair).iter().find(|group| disagrees(group)) {
                let reason = format!(
                    "publication.toml has {} and {} together, but at {} they are {} and {}",
                    one.metric,
                    other.metric,
                    group.key.join(", "),
                    self.sum(&group.one),
                    self.sum(&group.other)
                );
                disagreeing.insert(group.one.at, reason.clone());
                disagreeing.insert(group.other.at, reason);
            }
        }
        for (index, reason) in disagreeing {
            self.tables.remove(&index);
            self.refused.insert(index, reason);
        }
    }

    fn sum(&self, side: &Side<'_>) -> i64 {
        let cells = side.cells.iter();
        cells.map(|labels| self.tables[&side.at].number(labels, side.of)).sum()
    }

    fn system(&self) -> (System, BTreeMap<usize, Figures>) {
        let mut system = System::default();
        let mut figures: BTreeMap<usize, Figures> = BTreeMap::new();
        for (index, table) in &self.tables {
            figures.insert(*index, place_cells(&mut system, table));
            place_sums(&mut system, table, &figures[index]);
        }
        for pair in self.pairs() {
            for group in self.groups(&pair) {
                let terms = |side: &Side<'_>, factor: i64| -> Vec<(usize, i64)> {
                    let cells = side.cells.iter();
                    cells
                        .map(|labels| (figures[&side.at][*labels].1[&side.of], factor))
                        .collect()
                };
                let mut equation = [terms(&group.one, 1), terms(&group.other, -1)].concat();
                if !pair.3 {
                    let rest = self.sum(&group.other) - self.sum(&group.one);
                    equation.push((unseen(&mut system, rest, true), 1));
                }
                system.equations.push(equation);
            }
        }
        (system, figures)
    }
}

/// Cells that two metrics count alike.
struct Group<'t> {
    key: Vec<String>,
    one: Side<'t>,
    other: Side<'t>,
}

struct Side<'t> {
    at: usize,
    of: Of,
    cells: Vec<&'t Vec<String>>,
}

fn place_cells(system: &mut System, table: &Table) -> Figures {
    let mut figures = Figures::new();
    for (labels, cell) in &table.cells {
        let figure = system.figures;
        system.figures += 1;
        let mut quantities = BTreeMap::new();
        for of in cell.numbers.kinds() {
            let value = cell.numbers.of(*of).unwrap_or_default();
            let base_of_share = *of == Of::Base && matches!(cell.numbers, Numbers::Share { .. });
            system.quantities.push(Quantity {
                value,
                figure: Some(figure),
                // A count of 0 is shown, and there is no figure without a base.
                floor: match of {
                    Of::Value => 1,
                    Of::Base => value.min(1),
                    Of::Part | Of::Rest => 0,
                },
                sensitive: !base_of_share,
                weight: TOTAL_WEIGHT.powi(table.rank(labels)),
            });
            quantities.insert(*of, system.quantities.len() - 1);
        }
        if let (Some(part), Some(rest), Some(base)) = (
            quantities.get(&Of::Part),
            quantities.get(&Of::Rest),
            quantities.get(&Of::Base),
        ) {
            system.equations.push(vec![(*part, 1), (*rest, 1), (*base, -1)]);
        }
        figures.insert(labels.clone(), (figure, quantities));
    }
    figures
}

fn place_sums(system: &mut System, table: &Table, figures: &Figures) {
    for (total, parts) in table.totals() {
        for of in table.kinds().filter(|of| *of != Of::Rest) {
            let mut equation: Vec<(usize, i64)> = parts.iter().map(|part| (figures[*part].1[&of], 1)).collect();
            equation.push((figures[total].1[&of], -1));
            if table.overlaps {
                let sum: i64 = parts.iter().map(|part| table.number(part, of)).sum();
                equation.push((unseen(system, sum - table.number(total, of), false), -1));
            }
            system.equations.push(equation);
        }
    }
    for (outer, inner) in table.chains() {
        for of in table.kinds() {
            // Of a share, what its part and its rest grew by says it all.
            if of == Of::Base && table.kinds().count() > 1 {
                continue;
            }
            let grown = table.number(outer, of) - table.number(inner, of);
            let grown = unseen(system, grown, true);
            system.equations.push(vec![
                (figures[inner].1[&of], 1),
                (grown, 1),
                (figures[outer].1[&of], -1),
            ]);
        }
    }
}

/// A quantity that no figure shows, but that follows from some.
fn unseen(system: &mut System, value: i64, sensitive: bool) -> usize {
    system.quantities.push(Quantity {
        value,
        figure: None,
        floor: 0,
        sensitive,
        weight: 1.0,
    });
    system.quantities.len() - 1
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
