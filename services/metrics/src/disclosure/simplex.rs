//! A linear programme over bounded variables, by the simplex method in two phases: first the broken equations are
//! mended, then the cost is lowered.
//!
//! Small on purpose. What is asked of it is a few thousand variables whose coefficients are 1 and -1, and no answer is
//! believed: `protect` rounds it to whole numbers and checks every equation. The crates that solve such programmes
//! bring features of number crates with them that Arrow is built on, and with those a second build of everything.
//!
//! Nearly all coefficients are 0 and stay so: a pivot touches the columns in which its row has something, and the rows
//! that have something in its column.

const TOLERANCE: f64 = 1e-7;
/// What is smaller is what rounding left of a 0.
const NOTHING: f64 = 1e-11;
/// Costs are brought below this, so that the tolerance means the same for all.
const LARGEST_COST: f64 = 1e6;
/// Pivots by the steepest column, which is fast; then by the first, which never runs in circles.
const STEEPEST_PIVOTS_A_ROW: usize = 20;
const PIVOTS_A_ROW: usize = 60;

/// Minimise the sum of costs, where each equation's terms sum to its right-hand side and each variable lies between 0
/// and its bound.
#[derive(Debug, Default)]
pub(super) struct Programme {
    costs: Vec<f64>,
    bounds: Vec<f64>,
    equations: Vec<(Vec<(usize, f64)>, f64)>,
}

impl Programme {
    /// A variable between 0 and `bound`, by its number.
    pub(super) fn variable(&mut self, cost: f64, bound: f64) -> usize {
        self.costs.push(cost);
        self.bounds.push(bound);
        self.costs.len() - 1
    }

    /// Terms that sum to `right`.
    pub(super) fn equation(&mut self, terms: Vec<(usize, f64)>, right: f64) {
        self.equations.push((terms, right));
    }

    /// How many numbers are kept to solve it.
    pub(super) fn table_size(&self) -> usize {
        self.equations.len() * self.costs.len()
    }

    /// The values of the variables in a cheapest solution; none where there is no solution, or none was found.
    pub(super) fn solve(&self) -> Option<Vec<f64>> {
        let mut table = Table::new(self);
        table.optimise()?;
        if !table.mended() {
            return None;
        }
        table.price(&self.costs);
        table.optimise()?;
        Some(table.solution())
    }
}

/// What stands in a row's place of the basis.
#[derive(Clone, Copy, PartialEq)]
enum Basic {
    /// What breaks the row's equation. Once it has left, it never comes back, so that it needs no column.
    Broken,
    Variable(usize),
}

struct Table {
    columns: usize,
    /// Row by row, the coefficients of the variables.
    coefficients: Vec<f64>,
    reduced_costs: Vec<f64>,
    bounds: Vec<f64>,
    /// Whether a variable that is not in the basis stands at its bound, rather than at 0.
    at_bound: Vec<bool>,
    is_basic: Vec<bool>,
    basis: Vec<Basic>,
    values: Vec<f64>,
    /// How far an equation may be broken: not at all in the second phase.
    broken_bound: f64,
}

/// How far the entering variable goes.
enum Step {
    /// To its other end.
    Flip,
    /// Until the variable of a row is at 0, or at its bound.
    Pivot { row: usize, to_bound: bool },
}

impl Table {
    /// The first phase: the cost is what is broken.
    fn new(programme: &Programme) -> Self {
        let (columns, rows) = (programme.costs.len(), programme.equations.len());
        let mut coefficients = vec![0.0; rows * columns];
        let mut reduced_costs = vec![0.0; columns];
        let mut values = Vec::with_capacity(rows);
        for (row, (terms, right)) in programme.equations.iter().enumerate() {
            let sign = if *right < 0.0 { -1.0 } else { 1.0 };
            for (variable, coefficient) in terms {
                coefficients[row * columns + variable] += sign * coefficient;
                reduced_costs[*variable] -= sign * coefficient;
            }
            values.push(sign * right);
        }
        Self {
            columns,
            coefficients,
            reduced_costs,
            bounds: programme.bounds.clone(),
            at_bound: vec![false; columns],
            is_basic: vec![false; columns],
            basis: vec![Basic::Broken; rows],
            values,
            broken_bound: f64::INFINITY,
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.coefficients[row * self.columns..][..self.columns]
    }

    fn mended(&self) -> bool {
        let mut rows = self.basis.iter().zip(&self.values);
        rows.all(|(basic, value)| *basic != Basic::Broken || *value <= TOLERANCE)
    }

    /// The second phase: the cost is that of the variables, and no equation may break again.
    fn price(&mut self, costs: &[f64]) {
        let dearest = costs.iter().copied().fold(LARGEST_COST, f64::max);
        let cost = |variable: usize| costs[variable] * LARGEST_COST / dearest;
        self.broken_bound = 0.0;
        self.reduced_costs = (0..self.columns).map(cost).collect();
        for row in 0..self.basis.len() {
            let Basic::Variable(basic) = self.basis[row] else {
                continue;
            };
            let by = cost(basic);
            let row = &self.coefficients[row * self.columns..][..self.columns];
            for (reduced, coefficient) in self.reduced_costs.iter_mut().zip(row) {
                *reduced -= by * coefficient;
            }
        }
    }

    /// None: it did not end, or the programme has no end.
    fn optimise(&mut self) -> Option<()> {
        let rows = self.basis.len().max(1);
        for pivots in 0..PIVOTS_A_ROW * rows {
            let Some(column) = self.entering(pivots < STEEPEST_PIVOTS_A_ROW * rows) else {
                return Some(());
            };
            self.enter(column)?;
        }
        None
    }

    /// A column that lowers the cost when it moves away from where it stands.
    fn entering(&self, steepest: bool) -> Option<usize> {
        let gain = |column: usize| match self.at_bound[column] {
            true => self.reduced_costs[column],
            false => -self.reduced_costs[column],
        };
        let mut gaining = (0..self.columns).filter(|column| !self.is_basic[*column] && gain(*column) > TOLERANCE);
        match steepest {
            true => gaining.max_by(|a, b| gain(*a).total_cmp(&gain(*b))),
            false => gaining.next(),
        }
    }

    fn enter(&mut self, column: usize) -> Option<()> {
        let direction = if self.at_bound[column] { -1.0 } else { 1.0 };
        let (mut length, mut step) = (self.bounds[column], Step::Flip);
        for (row, basic) in self.basis.iter().enumerate() {
            let fall = direction * self.coefficients[row * self.columns + column];
            let bound = match basic {
                Basic::Broken => self.broken_bound,
                Basic::Variable(variable) => self.bounds[*variable],
            };
            let (room, to_bound) = if fall > TOLERANCE {
                (self.values[row] / fall, false)
            } else if fall < -TOLERANCE {
                ((bound - self.values[row]) / -fall, true)
            } else {
                continue;
            };
            if room < length - TOLERANCE {
                (length, step) = (room.max(0.0), Step::Pivot { row, to_bound });
            }
        }
        if length.is_infinite() {
            return None;
        }
        if length > 0.0 {
            for (row, value) in self.values.iter_mut().enumerate() {
                *value -= direction * length * self.coefficients[row * self.columns + column];
            }
        }
        match step {
            Step::Flip => self.at_bound[column] = !self.at_bound[column],
            Step::Pivot { row, to_bound } => {
                let start = if self.at_bound[column] {
                    self.bounds[column]
                } else {
                    0.0
                };
                if let Basic::Variable(leaving) = self.basis[row] {
                    self.at_bound[leaving] = to_bound;
                    self.is_basic[leaving] = false;
                }
                self.is_basic[column] = true;
                self.basis[row] = Basic::Variable(column);
                self.values[row] = start + direction * length;
                self.pivot(row, column);
            }
        }
        Some(())
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let pivot = self.coefficients[row * self.columns + column];
        let something: Vec<(usize, f64)> = self
            .row(row)
            .iter()
            .enumerate()
            .filter(|(_, coefficient)| **coefficient != 0.0)
            .map(|(at, coefficient)| (at, coefficient / pivot))
            .collect();
        let take = |from: &mut [f64]| {
            let factor = from[column];
            if factor != 0.0 {
                for (at, by) in &something {
                    let left = from[*at] - factor * by;
                    from[*at] = if left.abs() < NOTHING { 0.0 } else { left };
                }
                from[column] = 0.0;
            }
        };
        for (other, coefficients) in self.coefficients.chunks_exact_mut(self.columns).enumerate() {
            if other != row {
                take(coefficients);
            }
        }
        take(&mut self.reduced_costs);
        for (at, coefficient) in &something {
            self.coefficients[row * self.columns + at] = *coefficient;
        }
    }

    fn solution(&self) -> Vec<f64> {
        let at_rest = |column: usize| {
            if self.at_bound[column] {
                self.bounds[column]
            } else {
                0.0
            }
        };
        let mut solution: Vec<f64> = (0..self.columns).map(at_rest).collect();
        for (basic, value) in self.basis.iter().zip(&self.values) {
            if let Basic::Variable(column) = basic {
                solution[*column] = *value;
            }
        }
        solution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_solution_within_bounds_is_found() {
        // x + y + z = 10, x at most 3, y at most 4: the dear z takes only what is left.
        let mut programme = Programme::default();
        let [x, y, z] =
            [(1.0, 3.0), (2.0, 4.0), (5.0, f64::INFINITY)].map(|(cost, bound)| programme.variable(cost, bound));
        programme.equation(vec![(x, 1.0), (y, 1.0), (z, 1.0)], 10.0);
        assert_eq!(programme.solve(), Some(vec![3.0, 4.0, 3.0]));
    }

    #[test]
    fn variables_that_hang_together_move_together() {
        // A square: raising a corner by 2 is cheapest round the cheap cells.
        let mut programme = Programme::default();
        let cells: Vec<(usize, usize)> = [1.0, 1.0, 9.0, 9.0, 1.0, 1.0]
            .into_iter()
            .map(|cost| (programme.variable(cost, 100.0), programme.variable(cost, 2.0)))
            .collect();
        let sum = |cells: &[(usize, usize)]| -> Vec<(usize, f64)> {
            cells
                .iter()
                .flat_map(|(up, down)| [(*up, 1.0), (*down, -1.0)])
                .collect()
        };
        programme.equation(sum(&[cells[0], cells[1], cells[2]]), 0.0);
        programme.equation(sum(&[cells[3], cells[4], cells[5]]), 0.0);
        programme.equation(sum(&[cells[0], cells[4]]), 0.0);
        programme.equation(sum(&[cells[1], cells[5]]), 0.0);
        programme.equation(sum(&[cells[0]]), 2.0);
        let solution = programme.solve().unwrap();
        let moved: Vec<f64> = cells.iter().map(|(up, down)| solution[*up] - solution[*down]).collect();
        assert_eq!(moved, [2.0, -2.0, 0.0, 0.0, -2.0, 2.0]);
    }

    #[test]
    fn what_has_no_solution_has_none() {
        let mut programme = Programme::default();
        let x = programme.variable(1.0, 3.0);
        programme.equation(vec![(x, 1.0)], 4.0);
        assert_eq!(programme.solve(), None);
        let mut programme = Programme::default();
        let x = programme.variable(1.0, 3.0);
        programme.equation(vec![(x, 1.0)], -1.0);
        assert_eq!(programme.solve(), None);
    }
}
