//! Which figures are withheld beside the small ones, so that none of them can be worked out: complementary suppression.
//!
//! An outsider knows every figure that is shown, every equation between figures (totals, parts, the same count in
//! another metric), that numbers are whole, and that a count withheld is not 0, because a 0 is shown. A small number is
//! safe when that leaves each of 1 to 5 possible: when there are two ways of filling in everything withheld that fit all
//! of it, one in which the number is at most 1, and one in which it is at least 5. (The total of two withheld counts is
//! at least 2 whatever is done: then it is 2 to 6 that are possible, and so on; always five in a row.) Both are *found and kept as proof*; what
//! proves one number proves every other that it moves. Withholding more only adds to what fits, so a proof stands once
//! it was found.
//!
//! A proof is the change from the true numbers to the others: whole numbers that leave every equation as it was. The
//! cheapest is looked for first among what is withheld already, then among numbers of the same rank, and with totals only
//! where that does not do; near before far.

use std::collections::BTreeSet;

use super::simplex::Programme;

/// Counts that may not be known.
pub(super) const SMALL: std::ops::RangeInclusive<i64> = 1..=5;

/// No change needs to be larger.
const LARGEST_CHANGE: f64 = 1e6;
/// What changing a number costs that nobody sees anyway: little, so that proofs stay short.
const COST_UNSEEN: f64 = 1e-3;
/// Numbers in the table of a programme. What would be larger is not looked for.
const LARGEST_TABLE: usize = 8 << 20;
/// How many of an equation are taken when a few are, and of all.
const BREADTH: usize = 3;
const LARGEST_FEW: usize = 600;
/// How many equations away a change may reach before all are taken.
const REACHES: [usize; 3] = [1, 2, 4];

/// A whole number that figures show, or that follows from them.
#[derive(Debug, Clone)]
pub(super) struct Quantity {
    pub(super) value: i64,
    /// The figure that shows it; none where no figure does.
    pub(super) figure: Option<usize>,
    /// The least that it can be while it is withheld: a count of 0 is always shown, so one withheld is at least 1.
    pub(super) floor: i64,
    /// Whether nobody may know it when it is small.
    pub(super) sensitive: bool,
    /// What withholding it loses, beside its value: more for a total than for a part.
    pub(super) weight: f64,
}

/// Quantities, and the sums over them that are 0 and that everybody knows.
#[derive(Debug, Clone, Default)]
pub(super) struct System {
    pub(super) quantities: Vec<Quantity>,
    /// Terms as (quantity, factor).
    pub(super) equations: Vec<Vec<(usize, i64)>>,
    /// How many figures there are.
    pub(super) figures: usize,
}

/// Figures to withhold, by number.
pub(super) fn protect(system: &System) -> Vec<bool> {
    let mut protection = Protection::new(system);
    let small: Vec<usize> = (0..system.quantities.len())
        .filter(|index| protection.is_small(*index))
        .collect();
    for quantity in small {
        protection.secure(quantity);
    }
    protection.withheld
}

struct Protection<'a> {
    system: &'a System,
    /// The equations that each quantity stands in.
    equations_of: Vec<Vec<usize>>,
    quantities_of: Vec<Vec<usize>>,
    withheld: Vec<bool>,
    /// The lowest and the highest that each quantity is in any proof.
    proven: Vec<(i64, i64)>,
}

/// From which quantities a change may be made.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Withheld,
    /// And from what is no more than so many times as dear as the small number itself: its like first, totals last.
    UpTo(f64),
}

/// The equations around a quantity, further and further, each area found when it is first asked for.
struct Areas {
    quantity: usize,
    found: Vec<BTreeSet<usize>>,
    is_all: bool,
}

impl Areas {
    fn around(quantity: usize) -> Self {
        Self {
            quantity,
            found: Vec::new(),
            is_all: false,
        }
    }

    /// The area of a number; none where it is no larger than the one before.
    fn get(&mut self, number: usize, within: &Protection<'_>) -> Option<&BTreeSet<usize>> {
        if number == self.found.len() && !self.is_all {
            let reach = REACHES.get(number).copied().unwrap_or(usize::MAX);
            let near = within.near(self.quantity, reach);
            self.is_all = reach == usize::MAX || self.found.last().is_some_and(|last| last.len() == near.len());
            if self.found.last().is_none_or(|last| last.len() < near.len()) {
                self.found.push(near);
            }
        }
        self.found.get(number)
    }
}

const CHOICES: [From; 5] = [
    From::Withheld,
    From::UpTo(1.0),
    From::UpTo(10.0),
    From::UpTo(100.0),
    From::UpTo(f64::INFINITY),
];

impl<'a> Protection<'a> {
    fn new(system: &'a System) -> Self {
        let mut equations_of = vec![Vec::new(); system.quantities.len()];
        for (index, equation) in system.equations.iter().enumerate() {
            equation
                .iter()
                .for_each(|(quantity, _)| equations_of[*quantity].push(index));
        }
        let mut quantities_of = vec![Vec::new(); system.figures];
        let mut withheld = vec![false; system.figures];
        for (index, quantity) in system.quantities.iter().enumerate() {
            if let Some(figure) = quantity.figure {
                quantities_of[figure].push(index);
                withheld[figure] |= quantity.sensitive && SMALL.contains(&quantity.value);
            }
        }
        Self {
            system,
            equations_of,
            quantities_of,
            withheld,
            proven: system
                .quantities
                .iter()
                .map(|quantity| (quantity.value, quantity.value))
                .collect(),
        }
    }

    fn is_small(&self, quantity: usize) -> bool {
        let Quantity { value, sensitive, .. } = self.system.quantities[quantity];
        sensitive && SMALL.contains(&value)
    }

    fn is_unseen(&self, quantity: usize) -> bool {
        self.system.quantities[quantity]
            .figure
            .is_none_or(|figure| self.withheld[figure])
    }

    /// Proves that a small quantity can be as low as it may be and as high as that asks for, and withholds what that
    /// takes.
    fn secure(&mut self, quantity: usize) {
        let value = self.system.quantities[quantity].value;
        let mut lowest = self.least(quantity);
        while !self.prove(quantity, lowest) && lowest < value {
            lowest += 1;
        }
        if !self.prove(quantity, SMALL.end() - SMALL.start() + lowest) {
            self.withhold_all_around(quantity);
        }
    }

    /// What a small quantity cannot be less than, as far as its own equations tell: as many as it has parts that are
    /// not 0.
    fn least(&self, quantity: usize) -> i64 {
        let sums = self.equations_of[quantity].iter().map(|equation| {
            let terms = &self.system.equations[*equation];
            let own: i64 = terms
                .iter()
                .filter(|(other, _)| *other == quantity)
                .map(|(_, factor)| factor)
                .sum();
            let parts = terms.iter().filter(|(other, _)| *other != quantity);
            let is_sum = own == -1 && parts.clone().all(|(_, factor)| *factor > 0);
            let floors = parts.map(|(other, factor)| {
                let Quantity { value, floor, .. } = self.system.quantities[*other];
                factor * floor.min(value)
            });
            if is_sum { floors.sum() } else { 0 }
        });
        let value = self.system.quantities[quantity].value;
        sums.max().unwrap_or(0).clamp(*SMALL.start(), value)
    }

    /// Whether a proof was or is found that the quantity can be at, or beyond, a value.
    fn prove(&mut self, quantity: usize, target: i64) -> bool {
        let (lowest, highest) = self.proven[quantity];
        if (lowest..=highest).contains(&target) {
            return true;
        }
        let change = self.change(quantity, target - self.system.quantities[quantity].value);
        change.iter().for_each(|change| self.accept(change));
        change.is_some()
    }

    fn accept(&mut self, change: &[(usize, i64)]) {
        for (quantity, by) in change {
            let Quantity { value, figure, .. } = self.system.quantities[*quantity];
            let (lowest, highest) = &mut self.proven[*quantity];
            *lowest = (*lowest).min(value + by);
            *highest = (*highest).max(value + by);
            if let Some(figure) = figure {
                self.withheld[figure] = true;
            }
        }
    }

    /// A cheapest change of `quantity` by `by`.
    fn change(&self, quantity: usize, by: i64) -> Option<Vec<(usize, i64)>> {
        let mut areas = Areas::around(quantity);
        for from in CHOICES {
            let few = self.few(quantity, from);
            if let Some(found) = self.cheapest(quantity, by, few) {
                return Some(found);
            }
            for reach in 0.. {
                let Some(near) = areas.get(reach, self) else {
                    break;
                };
                let found = self.cheapest(quantity, by, self.within(quantity, from, near));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// A few quantities of each equation that has to be balanced, from one to the next: seldom the cheapest choice of
    /// all, but one that a small programme finds however large the tables are.
    fn few(&self, quantity: usize, from: From) -> BTreeSet<usize> {
        let mut few = BTreeSet::from([quantity]);
        let mut edge = vec![quantity];
        while !edge.is_empty() && few.len() < LARGEST_FEW {
            let mut next = Vec::new();
            for equation in edge.iter().flat_map(|other| &self.equations_of[*other]) {
                let others = self.system.equations[*equation].iter().map(|(other, _)| *other);
                let there = others.clone().filter(|other| few.contains(other)).count();
                let (mut unseen, mut seen): (Vec<usize>, Vec<usize>) = others
                    .filter(|other| !few.contains(other) && self.may_move(*other, quantity, from))
                    .partition(|other| self.is_unseen(*other));
                // What nobody sees may as well have room; of what is shown the cheapest that has enough.
                unseen.sort_by_key(|other| std::cmp::Reverse(self.system.quantities[*other].value));
                seen.retain(|other| !SMALL.contains(&self.system.quantities[*other].value));
                seen.sort_by(|one, other| self.cost(*one).total_cmp(&self.cost(*other)));
                let room = BREADTH.saturating_sub(there.saturating_sub(1));
                let chosen = unseen.into_iter().take(room).chain(seen.into_iter().take(room));
                next.extend(chosen.filter(|other| few.insert(*other)));
            }
            edge = next;
        }
        few
    }

    /// The equations at most `reach` steps from a quantity's own.
    fn near(&self, quantity: usize, reach: usize) -> BTreeSet<usize> {
        let mut near: BTreeSet<usize> = self.equations_of[quantity].iter().copied().collect();
        let mut edge: Vec<usize> = near.iter().copied().collect();
        let mut steps = 0;
        while steps < reach && !edge.is_empty() {
            let mut next = Vec::new();
            for (quantity, _) in edge.iter().flat_map(|equation| &self.system.equations[*equation]) {
                next.extend(
                    self.equations_of[*quantity]
                        .iter()
                        .copied()
                        .filter(|found| near.insert(*found)),
                );
            }
            edge = next;
            steps += 1;
        }
        near
    }

    /// Quantities that stand in no other equations than the near ones.
    fn within(&self, quantity: usize, from: From, near: &BTreeSet<usize>) -> BTreeSet<usize> {
        let quantities = near.iter().flat_map(|equation| &self.system.equations[*equation]);
        quantities
            .map(|(other, _)| *other)
            .chain([quantity])
            .filter(|other| self.equations_of[*other].iter().all(|equation| near.contains(equation)))
            .filter(|other| self.may_move(*other, quantity, from))
            .collect()
    }

    /// A cheapest change by some quantities.
    fn cheapest(&self, quantity: usize, by: i64, among: BTreeSet<usize>) -> Option<Vec<(usize, i64)>> {
        let equations: BTreeSet<usize> = among
            .iter()
            .flat_map(|other| &self.equations_of[*other])
            .copied()
            .collect();
        let movable = self.movable(quantity, among, &equations)?;
        let mut programme = Programme::default();
        // Each as a rise and a fall.
        let mut numbers = std::collections::BTreeMap::new();
        for other in &movable {
            let cost = self.cost(*other);
            let Quantity { value, floor, .. } = self.system.quantities[*other];
            let fall = (value - floor).max(0) as f64;
            let rise = programme.variable(cost, LARGEST_CHANGE);
            numbers.insert(*other, (rise, programme.variable(cost, fall)));
        }
        let terms_of = |other: usize, factor: i64| {
            let numbers = numbers.get(&other).into_iter();
            numbers.flat_map(move |(rise, fall)| [(*rise, factor as f64), (*fall, -factor as f64)])
        };
        for equation in &equations {
            let terms = self.system.equations[*equation].iter();
            let terms: Vec<(usize, f64)> = terms.flat_map(|(other, factor)| terms_of(*other, *factor)).collect();
            if !terms.is_empty() {
                programme.equation(terms, 0.0);
            }
        }
        programme.equation(terms_of(quantity, 1).collect(), by as f64);
        if programme.table_size() > LARGEST_TABLE {
            return None;
        }
        let solution = programme.solve()?;
        let change = movable.iter().map(|other| {
            let (rise, fall) = numbers[other];
            (*other, (solution[rise] - solution[fall]).round() as i64)
        });
        let change: Vec<(usize, i64)> = change.filter(|(_, by)| *by != 0).collect();
        self.is_proof(&change, quantity, by).then_some(change)
    }

    /// Those that can move at all: in an equation where nothing else moves, nothing moves. None: not even the one in
    /// question.
    fn movable(&self, quantity: usize, among: BTreeSet<usize>, equations: &BTreeSet<usize>) -> Option<BTreeSet<usize>> {
        let mut movable = among;
        loop {
            let alone: Vec<usize> = equations
                .iter()
                .filter_map(|equation| {
                    let mut moving = self.system.equations[*equation]
                        .iter()
                        .filter(|(other, _)| movable.contains(other));
                    let (first, second) = (moving.next(), moving.next());
                    first.filter(|_| second.is_none()).map(|(other, _)| *other)
                })
                .collect();
            if alone.is_empty() {
                break;
            }
            alone.iter().for_each(|other| {
                movable.remove(other);
            });
        }
        movable.contains(&quantity).then_some(movable)
    }

    /// A count of 0 is shown whatever happens.
    fn may_move(&self, other: usize, quantity: usize, from: From) -> bool {
        let Quantity {
            value, floor, weight, ..
        } = self.system.quantities[other];
        let may_be_withheld = match from {
            From::Withheld => false,
            From::UpTo(times) => value >= floor && weight <= times * self.system.quantities[quantity].weight,
        };
        may_be_withheld || self.is_unseen(other)
    }

    /// The next smallest figure goes first, a total last.
    fn cost(&self, quantity: usize) -> f64 {
        let Quantity { value, weight, .. } = self.system.quantities[quantity];
        match self.is_unseen(quantity) {
            true => COST_UNSEEN,
            false => weight * (1 + value) as f64,
        }
    }

    /// Whether numbers changed so are whole, not below what they can be, and fit every equation.
    fn is_proof(&self, change: &[(usize, i64)], quantity: usize, by: i64) -> bool {
        let changed: std::collections::BTreeMap<usize, i64> = change.iter().copied().collect();
        let within = |(other, by): (&usize, &i64)| {
            let Quantity { value, floor, .. } = self.system.quantities[*other];
            value + by >= floor
        };
        let equations: BTreeSet<usize> = changed
            .keys()
            .flat_map(|other| &self.equations_of[*other])
            .copied()
            .collect();
        let fits = |equation: &usize| {
            let terms = self.system.equations[*equation].iter();
            terms
                .map(|(other, factor)| factor * changed.get(other).unwrap_or(&0))
                .sum::<i64>()
                == 0
        };
        changed.get(&quantity) == Some(&by) && changed.iter().all(within) && equations.iter().all(fits)
    }

    /// The last resort: nothing that hangs together with the quantity is shown, 0 included, so that nothing is known.
    fn withhold_all_around(&mut self, quantity: usize) {
        let (mut open, mut seen) = (vec![quantity], BTreeSet::from([quantity]));
        while let Some(next) = open.pop() {
            self.proven[next] = (0, i64::MAX);
            if let Some(figure) = self.system.quantities[next].figure {
                self.withheld[figure] = true;
                open.extend(self.quantities_of[figure].iter().filter(|other| seen.insert(**other)));
            }
            for equation in &self.equations_of[next] {
                let others = self.system.equations[*equation].iter().map(|(other, _)| *other);
                open.extend(others.filter(|other| seen.insert(*other)));
            }
        }
    }
}

#[cfg(test)]
#[path = "protect_tests.rs"]
mod tests;
