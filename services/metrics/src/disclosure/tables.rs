//! The metrics of one moment as one system of quantities, and what is left of them as figures.

use std::collections::{BTreeMap, BTreeSet};

use super::protect::{Quantity, System, protect};
use super::rules::{Counted, Of, Rules};
use super::table::{Figures, Numbers, PublishedSet, Table};
use crate::definition::Publication;
use crate::past::{Evaluated, Reading};

/// What a total is dearer to withhold than its parts.
const TOTAL_WEIGHT: f64 = 10.0;

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
                (Publication::Withheld(stated), _) => {
                    let reason = stated
                        .as_deref()
                        .unwrap_or("its header does not say how it is published");
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
        let index = self.names.get(counted.metric.get_ref().as_str())?;
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
                    one.metric.get_ref(),
                    other.metric.get_ref(),
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
            figures.insert(*index, place_cells(&mut system, table, self.rules));
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

fn place_cells(system: &mut System, table: &Table, rules: &Rules) -> Figures {
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
                weight: TOTAL_WEIGHT.powi(table.rank(labels)) * table.dearness(labels, rules),
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
