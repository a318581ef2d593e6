//! A linear programme over bounded variables, by the simplex method on a dense table.
//!
//! Small on purpose. What is asked of it is a few hundred variables whose coefficients are 1 and -1, and no answer is
//! believed: `protect` rounds it to whole numbers and checks every equation. The crates that solve such programmes
//! bring features of number crates with them that Arrow is built on, and with those a second build of everything.

const TOLERANCE: f64 = 1e-7;
/// What one unit of a broken equation costs: more than any solution.
const BROKEN: f64 = 1e9;
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
        let rows = self.equations.len();
        rows * (self.costs.len() + rows)
    }

    /// The values of the variables in a cheapest solution; none where there is no solution, or none was found.
    pub(super) fn solve(&self) -> Option<Vec<f64>> {
        let mut table = Table::new(self);
        table.optimise()?;
        let broken = table.basis.iter().zip(&table.values);
        let mut broken = broken.filter(|(column, _)| **column >= self.costs.len());
        if broken.any(|(_, value)| *value > TOLERANCE) {
            return None;
        }
        Some(table.solution(self.costs.len()))
    }
}

struct Table {
    /// One a row: its coefficients over all columns, those of what breaks an equation last.
    rows: Vec<Vec<f64>>,
    reduced_costs: Vec<f64>,
    bounds: Vec<f64>,
    /// Whether a variable that is not in the basis stands at its bound, rather than at 0.
    at_bound: Vec<bool>,
    is_basic: Vec<bool>,
    /// The column of each row's variable, and its value.
    basis: Vec<usize>,
    values: Vec<f64>,
}

/// How far the entering variable goes.
enum Step {
    /// To its other end.
    Flip,
    /// Until the variable of a row is at 0, or at its bound.
    Pivot { row: usize, to_bound: bool },
}

impl Table {
    fn new(programme: &Programme) -> Self {
        let (variables, count) = (programme.costs.len(), programme.equations.len());
        let columns = variables + count;
        let mut rows = vec![vec![0.0; columns]; count];
        let mut values = Vec::with_capacity(count);
        for (index, (terms, right)) in programme.equations.iter().enumerate() {
            let sign = if *right < 0.0 { -1.0 } else { 1.0 };
            for (variable, coefficient) in terms {
                rows[index][*variable] += sign * coefficient;
            }
            rows[index][variables + index] = 1.0;
            values.push(sign * right);
        }
        let mut reduced_costs = programme.costs.clone();
        reduced_costs.resize(columns, 0.0);
        for row in &rows {
            for (cost, coefficient) in reduced_costs.iter_mut().zip(&row[..variables]) {
                *cost -= BROKEN * coefficient;
            }
        }
        let mut bounds = programme.bounds.clone();
        bounds.resize(columns, f64::INFINITY);
        let mut is_basic = vec![false; columns];
        is_basic[variables..].fill(true);
        Self {
            rows,
            reduced_costs,
            bounds,
            at_bound: vec![false; columns],
            is_basic,
            basis: (variables..columns).collect(),
            values,
        }
    }

    /// None: it did not end, or the programme has no end.
    fn optimise(&mut self) -> Option<()> {
        let rows = self.rows.len().max(1);
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
        // What breaks an equation never comes back.
        let variables = self.bounds.len() - self.rows.len();
        let mut gaining = (0..variables).filter(|column| !self.is_basic[*column] && gain(*column) > TOLERANCE);
        match steepest {
            true => gaining.max_by(|a, b| gain(*a).total_cmp(&gain(*b))),
            false => gaining.next(),
        }
    }

    fn enter(&mut self, column: usize) -> Option<()> {
        let direction = if self.at_bound[column] { -1.0 } else { 1.0 };
        let (mut length, mut step) = (self.bounds[column], Step::Flip);
        for (row, coefficients) in self.rows.iter().enumerate() {
            let fall = direction * coefficients[column];
            let (room, to_bound) = if fall > TOLERANCE {
                (self.values[row] / fall, false)
            } else if fall < -TOLERANCE {
                ((self.bounds[self.basis[row]] - self.values[row]) / -fall, true)
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
        for (value, coefficients) in self.values.iter_mut().zip(&self.rows) {
            *value -= direction * length * coefficients[column];
        }
        match step {
            Step::Flip => self.at_bound[column] = !self.at_bound[column],
            Step::Pivot { row, to_bound } => {
                let start = if self.at_bound[column] {
                    self.bounds[column]
                } else {
                    0.0
                };
                let leaving = self.basis[row];
                self.at_bound[leaving] = to_bound;
                self.is_basic[leaving] = false;
                self.is_basic[column] = true;
                self.basis[row] = column;
                self.values[row] = start + direction * length;
                self.pivot(row, column);
            }
        }
        Some(())
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let mut pivot_row = std::mem::take(&mut self.rows[row]);
        let pivot = pivot_row[column];
        pivot_row.iter_mut().for_each(|coefficient| *coefficient /= pivot);
        let others = self.rows.iter_mut().chain([&mut self.reduced_costs]);
        for other in others.filter(|other| !other.is_empty()) {
            let factor = other[column];
            if factor != 0.0 {
                for (coefficient, by) in other.iter_mut().zip(&pivot_row) {
                    *coefficient -= factor * by;
                }
            }
        }
        self.rows[row] = pivot_row;
    }

    fn solution(&self, variables: usize) -> Vec<f64> {
        let at_rest = |column: usize| {
            if self.at_bound[column] {
                self.bounds[column]
            } else {
                0.0
            }
        };
        let mut solution: Vec<f64> = (0..variables).map(at_rest).collect();
        for (column, value) in self.basis.iter().zip(&self.values) {
            if *column < variables {
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
