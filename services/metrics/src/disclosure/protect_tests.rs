//! The outsider, by other means than those that chose what to withhold: trying every table of small size, and a search
//! with propagation of bounds for larger ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A count a figure.
fn count(system: &mut System, value: i64) -> usize {
    system.quantities.push(Quantity {
        value,
        figure: Some(system.figures),
        floor: 1,
        sensitive: true,
        weight: 1.0,
    });
    system.figures += 1;
    system.quantities.len() - 1
}

/// What no figure shows.
fn rest(system: &mut System, value: i64) -> usize {
    system.quantities.push(Quantity {
        value,
        figure: None,
        floor: 0,
        sensitive: true,
        weight: 1.0,
    });
    system.quantities.len() - 1
}

fn total(system: &mut System, parts: &[usize]) -> usize {
    let value = parts.iter().map(|part| system.quantities[*part].value).sum();
    let weight = parts.iter().map(|part| system.quantities[*part].weight);
    let weight = 10.0 * weight.fold(1.0, f64::max);
    let total = count(system, value);
    system.quantities[total].weight = weight;
    let mut equation: Vec<(usize, i64)> = parts.iter().map(|part| (*part, 1)).collect();
    equation.push((total, -1));
    system.equations.push(equation);
    total
}

/// Services of teams by categories, with every total: of teams, of services, of categories, and of both.
fn cube(services: &[Vec<Vec<i64>>]) -> System {
    let mut system = System::default();
    let categories = services[0][0].len();
    let with_total = |system: &mut System, row: &[usize]| -> Vec<usize> {
        let sum = total(system, row);
        row.iter().copied().chain([sum]).collect()
    };
    let mut of_services: Vec<Vec<usize>> = Vec::new();
    for teams in services {
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for team in teams {
            let cells: Vec<usize> = team.iter().map(|value| count(&mut system, *value)).collect();
            rows.push(with_total(&mut system, &cells));
        }
        of_services.push(column_totals(&mut system, &rows, categories));
    }
    column_totals(&mut system, &of_services, categories);
    system
}

fn column_totals(system: &mut System, rows: &[Vec<usize>], categories: usize) -> Vec<usize> {
    let sums = (0..=categories).map(|column| {
        let cells: Vec<usize> = rows.iter().map(|row| row[column]).collect();
        total(system, &cells)
    });
    let sums: Vec<usize> = sums.collect();
    let mut equation: Vec<(usize, i64)> = sums[..categories].iter().map(|sum| (*sum, 1)).collect();
    equation.push((sums[categories], -1));
    system.equations.push(equation);
    sums
}

/// What an outsider sees of a system.
struct Outsider<'a> {
    system: &'a System,
    withheld: &'a [bool],
}

type Ranges = Vec<(i64, i64)>;

impl<'a> Outsider<'a> {
    fn ranges(&self) -> Ranges {
        // Where a 0 is withheld, nobody can be sure that no other is.
        let counts = self.system.quantities.iter().filter(|quantity| quantity.floor == 1);
        let sure = counts
            .clone()
            .all(|count| count.value > 0 || count.figure.is_none_or(|figure| !self.withheld[figure]));
        // Larger than what any proof needs here. An outsider who may think of less finds out no less.
        let largest = self
            .system
            .quantities
            .iter()
            .map(|quantity| quantity.value)
            .max()
            .unwrap_or(0)
            + 20;
        let range = |quantity: &Quantity| match quantity.figure {
            Some(figure) if !self.withheld[figure] => (quantity.value, quantity.value),
            _ => (if sure { quantity.floor } else { 0 }, largest),
        };
        self.system.quantities.iter().map(range).collect()
    }

    /// Whether the quantity can lie between these, everything known considered.
    fn possible(&self, quantity: usize, from: i64, to: i64) -> bool {
        let mut ranges = self.ranges();
        ranges[quantity] = (ranges[quantity].0.max(from), ranges[quantity].1.min(to));
        let mut budget = 200_000;
        self.search(ranges, &mut budget)
    }

    fn search(&self, mut ranges: Ranges, budget: &mut u32) -> bool {
        *budget = budget.checked_sub(1).expect("the search must come to an end");
        if !self.narrow(&mut ranges) {
            return false;
        }
        let open = (0..ranges.len()).filter(|index| ranges[*index].0 < ranges[*index].1);
        let Some(narrowest) = open.min_by_key(|index| ranges[*index].1 - ranges[*index].0) else {
            return true;
        };
        let (low, high) = ranges[narrowest];
        let middle = low + (high - low) / 2;
        [(low, middle), (middle + 1, high)].into_iter().any(|half| {
            let mut branch = ranges.clone();
            branch[narrowest] = half;
            self.search(branch, budget)
        })
    }

    /// Takes from each range what some equation rules out. False: nothing is left.
    fn narrow(&self, ranges: &mut Ranges) -> bool {
        let mut changed = true;
        while changed {
            changed = false;
            for equation in &self.system.equations {
                let ends = |(index, factor): &(usize, i64)| {
                    let (low, high) = (ranges[*index].0 * factor, ranges[*index].1 * factor);
                    (low.min(high), low.max(high))
                };
                let sums = equation
                    .iter()
                    .map(ends)
                    .fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
                for (index, factor) in equation {
                    let (low, high) = ends(&(*index, *factor));
                    // What the others leave for this term, which is 1 or -1 times the quantity.
                    let (least, most) = (-(sums.1 - high), -(sums.0 - low));
                    let (least, most) = if *factor > 0 { (least, most) } else { (-most, -least) };
                    let narrowed = (ranges[*index].0.max(least), ranges[*index].1.min(most));
                    if narrowed.0 > narrowed.1 {
                        return false;
                    }
                    if narrowed != ranges[*index] {
                        ranges[*index] = narrowed;
                        changed = true;
                        break;
                    }
                }
            }
        }
        true
    }

    /// What a small quantity cannot be less than, were nothing shown but every 0.
    fn least(&self, quantity: usize) -> i64 {
        let counts = self
            .system
            .quantities
            .iter()
            .filter(|quantity| quantity.figure.is_some());
        let withheld: Vec<bool> = counts.map(|count| count.value > 0).collect();
        let blind = Outsider {
            system: self.system,
            withheld: &withheld,
        };
        let value = self.system.quantities[quantity].value;
        (1..value)
            .find(|least| blind.possible(quantity, i64::MIN, *least))
            .unwrap_or(value)
    }

    /// What the outsider finds out that is not to be found out.
    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (index, quantity) in self.system.quantities.iter().enumerate() {
            let value = quantity.value;
            let shown = quantity.figure.is_some_and(|figure| !self.withheld[figure]);
            let small = quantity.sensitive && SMALL.contains(&value);
            match (shown, small) {
                (true, true) => findings.push(format!("{value} is shown")),
                (true, false) => {}
                (false, true) => {
                    let least = self.least(index);
                    if !self.possible(index, i64::MIN, least) {
                        findings.push(format!("{value} is above {least}"));
                    }
                    if !self.possible(index, least + 4, i64::MAX) {
                        findings.push(format!("{value} is below {}", least + 4));
                    }
                }
                (false, false) if quantity.figure.is_none() => {}
                (false, false) => {
                    if !self.possible(index, i64::MIN, value - 1) && !self.possible(index, value + 1, i64::MAX) {
                        findings.push(format!("{value} is known"));
                    }
                }
            }
        }
        findings
    }
}

fn findings(system: &System, withheld: &[bool]) -> Vec<String> {
    Outsider { system, withheld }.findings()
}

/// Only what is small itself.
fn small_alone(system: &System) -> Vec<bool> {
    let shown = system.quantities.iter().filter(|quantity| quantity.figure.is_some());
    shown.map(|quantity| SMALL.contains(&quantity.value)).collect()
}

/// As it is printed.
fn printed(system: &System) -> Vec<String> {
    let withheld = protect(system);
    let shown = system
        .quantities
        .iter()
        .filter_map(|quantity| Some((quantity.figure?, quantity.value)));
    shown
        .map(|(figure, value)| {
            if withheld[figure] {
                "c".to_owned()
            } else {
                value.to_string()
            }
        })
        .collect()
}

fn list(values: &[i64]) -> System {
    let mut system = System::default();
    let cells: Vec<usize> = values.iter().map(|value| count(&mut system, *value)).collect();
    total(&mut system, &cells);
    system
}

/// DOMAIN, boundary example 22.
#[test]
fn a_small_team_takes_the_next_smallest_with_it_and_a_zero_stays() {
    assert_eq!(printed(&list(&[3, 12, 0, 40])), ["c", "c", "0", "40", "55"]);
}

#[test]
fn two_small_teams_cover_each_other_only_when_their_sum_leaves_each_room() {
    // 5 and 4 may be 1 and 8 or 8 and 1. Of 1 and 1 and 4 no 1 can be 5, unless another joins.
    assert_eq!(printed(&list(&[5, 4, 30])), ["c", "c", "30", "39"]);
    assert_eq!(printed(&list(&[1, 1, 4, 30])), ["c", "c", "c", "c", "36"]);
}

#[test]
fn a_small_total_of_one_team_is_hidden_up_to_where_it_can_vary() {
    // A service of one team with 3: its total is 3 as well, and another service has to cover it.
    let system = cube(&[vec![vec![3]], vec![vec![40], vec![20]]]);
    assert_eq!(findings(&system, &protect(&system)), Vec::<String>::new());
    let printed = printed(&system);
    assert!(
        !printed.contains(&"3".to_owned()) && printed.contains(&"40".to_owned()),
        "{printed:?}"
    );
}

#[test]
fn the_outsider_does_find_what_is_not_covered() {
    for values in [&[3, 12, 0, 40][..], &[1, 1, 4, 30]] {
        let system = list(values);
        assert_ne!(
            findings(&system, &small_alone(&system)),
            Vec::<String>::new(),
            "{values:?}"
        );
    }
}

/// A count that is part of another, and the rest of it, which nobody shows.
#[test]
fn a_rest_that_is_small_is_covered_though_no_figure_shows_it() {
    let mut system = System::default();
    let (whole, part) = (count(&mut system, 20), count(&mut system, 18));
    let rest = rest(&mut system, 2);
    system.equations.push(vec![(part, 1), (rest, 1), (whole, -1)]);
    assert_ne!(findings(&system, &[false, false]), Vec::<String>::new());
    assert_eq!(protect(&system), [false, true]);
}

#[test]
fn one_count_in_two_metrics_is_withheld_in_both() {
    let mut system = System::default();
    let cells: Vec<usize> = [3, 12, 40].map(|value| count(&mut system, value)).to_vec();
    total(&mut system, &cells);
    let again: Vec<usize> = [3, 12, 40].map(|value| count(&mut system, value)).to_vec();
    total(&mut system, &again);
    for (one, other) in cells.iter().zip(&again) {
        system.equations.push(vec![(*one, 1), (*other, -1)]);
    }
    let withheld = protect(&system);
    assert_eq!(withheld, [true, true, false, false, true, true, false, false]);
    assert_eq!(findings(&system, &withheld), Vec::<String>::new());
}

#[test]
fn what_cannot_be_covered_takes_everything_around_with_it() {
    // Another figure says the same number, and is one that is always shown.
    let mut system = System::default();
    let (small, again, none) = (count(&mut system, 3), count(&mut system, 3), count(&mut system, 0));
    system.equations.push(vec![(small, 1), (again, -1), (none, 1)]);
    (system.quantities[again].floor, system.quantities[again].sensitive) = (4, false);
    assert_eq!(protect(&system), [true, true, true]);
}

/// Every table that fits what is shown, by trying: the lowest and highest that each cell of it is.
fn tried(system: &System, withheld: &[bool], leaves: &[usize], largest: i64) -> BTreeMap<usize, (i64, i64)> {
    let mut found: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
    let is_shown = |index: usize| system.quantities[index].figure.is_some_and(|figure| !withheld[figure]);
    let unseen: Vec<usize> = leaves.iter().copied().filter(|leaf| !is_shown(*leaf)).collect();
    let tables = (largest as usize).pow(u32::try_from(unseen.len()).unwrap());
    for table in 0..tables {
        let mut values: Vec<i64> = system.quantities.iter().map(|quantity| quantity.value).collect();
        let mut rest = table;
        for leaf in &unseen {
            values[*leaf] = 1 + (rest % largest as usize) as i64;
            rest /= largest as usize;
        }
        // Totals come after their parts, the last term of an equation.
        let mut fits = true;
        for equation in &system.equations {
            let (total, parts) = equation.split_last().unwrap();
            let sum: i64 = parts.iter().map(|(part, _)| values[*part]).sum();
            fits &= sum == values[total.0] || !is_shown(total.0);
            values[total.0] = sum;
        }
        if fits {
            for (index, value) in values.into_iter().enumerate() {
                let range = found.entry(index).or_insert((value, value));
                *range = (range.0.min(value), range.1.max(value));
            }
        }
    }
    found
}

fn cell() -> impl Strategy<Value = i64> {
    prop_oneof![2 => Just(0i64), 4 => 1..=5i64, 3 => 6..=60i64]
}

fn services() -> impl Strategy<Value = Vec<Vec<Vec<i64>>>> {
    (1..=4usize).prop_flat_map(|categories| {
        let team = prop::collection::vec(cell(), categories);
        prop::collection::vec(prop::collection::vec(team, 1..=4), 1..=3)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_withheld_is_found_out_from_a_table_and_its_totals(services in services()) {
        let system = cube(&services);
        let withheld = protect(&system);
        prop_assert_eq!(findings(&system, &withheld), Vec::<String>::new());
        prop_assert_eq!(protect(&system), withheld);
    }

    /// Some figures are so many times as dear as others: no cost makes anything unsafe.
    #[test]
    fn nothing_withheld_is_found_out_whatever_is_to_be_kept(
        services in services(),
        times in prop::collection::vec(prop_oneof![3 => Just(1.0), 1 => Just(1e4), 1 => 1.0..1e4f64], 1..=9),
    ) {
        let mut system = cube(&services);
        for (quantity, times) in system.quantities.iter_mut().zip(times.iter().cycle()) {
            quantity.weight *= times;
        }
        prop_assert_eq!(findings(&system, &protect(&system)), Vec::<String>::new());
    }

    #[test]
    fn trying_every_table_finds_nothing_out(values in prop::collection::vec(prop_oneof![Just(0i64), 1..=9i64], 1..=4)) {
        let system = list(&values);
        let withheld = protect(&system);
        let leaves: Vec<usize> = (0..values.len()).collect();
        let ranges = tried(&system, &withheld, &leaves, 40);
        for (index, quantity) in system.quantities.iter().enumerate() {
            let range = ranges[&index];
            let parts = values.iter().filter(|value| **value > 0).count() as i64;
            let least = if index < values.len() { 1 } else { parts };
            if SMALL.contains(&quantity.value) {
                let is_open = range.0 <= least && range.1 >= least + 4;
                prop_assert!(is_open, "{} of {:?} is in {:?}", quantity.value, values, range);
            } else if withheld[index] {
                prop_assert!(range.0 < range.1, "{} of {:?} is known", quantity.value, values);
            }
        }
    }

    /// Two metrics of the same cases, one a part of the other, and both with totals.
    #[test]
    fn nothing_is_found_out_from_two_metrics_together(pairs in prop::collection::vec((cell(), cell()), 2..=5)) {
        let mut system = System::default();
        let parts: Vec<usize> = pairs.iter().map(|(part, _)| count(&mut system, *part)).collect();
        total(&mut system, &parts);
        let wholes: Vec<usize> = pairs.iter().map(|(part, rest)| count(&mut system, part + rest)).collect();
        total(&mut system, &wholes);
        for ((part, whole), (_, rest)) in parts.iter().zip(&wholes).zip(&pairs) {
            let rest = self::rest(&mut system, *rest);
            system.equations.push(vec![(*part, 1), (rest, 1), (*whole, -1)]);
        }
        prop_assert_eq!(findings(&system, &protect(&system)), Vec::<String>::new());
    }
}

/// Counts of a metric over services, teams and categories, of the first so many cells of each service, with all totals.
fn add_cube(system: &mut System, services: &[Vec<Vec<i64>>]) -> Vec<usize> {
    let (before, figures) = (system.quantities.len(), system.figures);
    let cube = cube(services);
    let moved = |quantity: &Quantity| Quantity {
        figure: quantity.figure.map(|figure| figure + figures),
        ..quantity.clone()
    };
    system.quantities.extend(cube.quantities.iter().map(moved));
    system.figures += cube.figures;
    let equations = cube.equations.into_iter();
    let moved = |(quantity, factor): (usize, i64)| (quantity + before, factor);
    system
        .equations
        .extend(equations.map(|equation| equation.into_iter().map(moved).collect::<Vec<_>>()));
    (before..system.quantities.len()).collect()
}

/// Three metrics over 15 teams and 7 statuses, each a part of the one before.
#[test]
fn the_headlines_of_an_authority_stay_though_most_of_its_teams_have_small_numbers() {
    let mut seed = 7_u64;
    let mut random = |below: i64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 33).unwrap() % below
    };
    let wholes: Vec<Vec<Vec<i64>>> = (0..3)
        .map(|_| {
            (0..5)
                .map(|_| (0..7).map(|status| if status > 4 { 0 } else { random(40) }).collect())
                .collect()
        })
        .collect();
    let mut system = System::default();
    let mut levels = vec![add_cube(&mut system, &wholes)];
    let mut outer = wholes;
    for _ in 0..2 {
        let mut part = |value: &i64| {
            if *value == 0 {
                0
            } else {
                (random(*value + 1) * random(4) / 3).min(*value)
            }
        };
        let inner: Vec<Vec<Vec<i64>>> = outer
            .iter()
            .map(|teams| teams.iter().map(|team| team.iter().map(&mut part).collect()).collect())
            .collect();
        levels.push(add_cube(&mut system, &inner));
        outer = inner;
    }
    for pair in levels.windows(2) {
        for (whole, part) in pair[0].iter().zip(&pair[1]) {
            if system.quantities[*whole].weight == 1.0 {
                let left = system.quantities[*whole].value - system.quantities[*part].value;
                let left = rest(&mut system, left);
                system.equations.push(vec![(*part, 1), (left, 1), (*whole, -1)]);
            }
        }
    }
    let withheld = protect(&system);
    let shown = |weight: f64| {
        let of_weight = system.quantities.iter().filter(|quantity| quantity.weight == weight);
        let figures: Vec<usize> = of_weight.filter_map(|quantity| quantity.figure).collect();
        (
            figures.iter().filter(|figure| !withheld[**figure]).count(),
            figures.len(),
        )
    };
    assert_eq!(
        shown(1000.0),
        (3, 3),
        "{:?} {:?} {:?}",
        shown(100.0),
        shown(10.0),
        shown(1.0)
    );
}
