//! How a plan uses the clock, so that time passing makes work only where it changes something.
//!
//! Most plans call `as_of()` only to compare a column with it (`started_at <= as_of()`), or where no more than its day
//! in London counts (`working_days_between(opened_at, as_of())`). The result of the first kind stands until the clock
//! passes the next value of that column; of the second until midnight. Everything else is computed anew each time.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, TimestampMicrosecondArray};
use casewatch_live::Present;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator};

use crate::functions::{AS_OF, ClockFunction, is_day_function};

/// What of the clock a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClockUse {
    /// On the moment itself.
    pub(crate) moment: bool,
    /// On its day in London.
    pub(crate) date: bool,
    /// On the day in London that the rows were known at.
    pub(crate) known_date: bool,
    /// On which values of these columns it has passed.
    pub(crate) compared: BTreeSet<ComparedColumn>,
}

/// A column of a table or view that a plan reads, compared with `as_of()`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ComparedColumn {
    pub(crate) input: String,
    pub(crate) column: String,
}

impl ClockUse {
    /// Of a plan that is not optimized.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut found = Self::default();
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                found.visit(expression, node)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(found)
    }

    /// Comparisons with columns of anything but these inputs, whose rows nobody looks at, count as the moment itself.
    pub(crate) fn within(mut self, inputs: &[String]) -> Self {
        let before = self.compared.len();
        self.compared.retain(|column| inputs.contains(&column.input));
        self.moment |= self.compared.len() < before;
        self
    }

    pub(crate) fn any(&self) -> bool {
        self.moment || self.date || self.known_date || !self.compared.is_empty()
    }

    fn visit(&mut self, expression: &Expr, node: &LogicalPlan) -> Result<()> {
        expression.apply(|expression| {
            match expression {
                Expr::BinaryExpr(comparison) => {
                    if let Some(column) = compared_column(comparison, node) {
                        self.compared.insert(column);
                        return Ok(TreeNodeRecursion::Jump);
                    }
                }
                Expr::ScalarFunction(function) if is_day_function(function.name()) => {
                    for argument in &function.args {
                        match is_as_of(argument) {
                            true => self.date = true,
                            false => self.visit(argument, node)?,
                        }
                    }
                    return Ok(TreeNodeRecursion::Jump);
                }
                Expr::ScalarFunction(function) => match ClockFunction::named(function.name()) {
                    Some(ClockFunction::AsOf) => self.moment = true,
                    Some(ClockFunction::AsOfDate) => self.date = true,
                    Some(ClockFunction::KnownAtDate) => self.known_date = true,
                    None => {}
                },
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }
}

fn is_as_of(expression: &Expr) -> bool {
    matches!(expression, Expr::ScalarFunction(function) if function.name() == AS_OF)
}

/// The column of an input that a comparison holds against `as_of()`.
fn compared_column(comparison: &BinaryExpr, node: &LogicalPlan) -> Option<ComparedColumn> {
    if !matches!(
        comparison.op,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    ) {
        return None;
    }
    let column = match (comparison.left.as_ref(), comparison.right.as_ref()) {
        (Expr::Column(column), clock) | (clock, Expr::Column(column)) if is_as_of(clock) => column,
        _ => return None,
    };
    match node {
        // Its condition may name columns of both sides.
        LogicalPlan::Join(join) => origin(&join.left, column).or_else(|| origin(&join.right, column)),
        _ => node.inputs().iter().find_map(|input| origin(input, column)),
    }
}

/// Where a column comes from, unchanged, and possibly with rows left out or repeated.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<ComparedColumn> {
    let index = plan.schema().maybe_index_of_column(column)?;
    origin_at(plan, index)
}

fn origin_at(plan: &LogicalPlan, index: usize) -> Option<ComparedColumn> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(ComparedColumn {
            input: match scan.table_name.schema() {
                Some(schema) if schema != crate::planning::DEFAULT_SCHEMA => {
                    format!("{schema}.{}", scan.table_name.table())
                }
                _ => scan.table_name.table().to_owned(),
            },
            column: scan.projected_schema.field(index).name().clone(),
        }),
        LogicalPlan::SubqueryAlias(alias) => origin_at(&alias.input, index),
        LogicalPlan::Filter(filter) => origin_at(&filter.input, index),
        LogicalPlan::Sort(sort) => origin_at(&sort.input, index),
        LogicalPlan::Projection(projection) => match &projection.expr[index] {
            Expr::Column(column) => origin(&projection.input, column),
            Expr::Alias(alias) => match alias.expr.as_ref() {
                Expr::Column(column) => origin(&projection.input, column),
                _ => None,
            },
            _ => None,
        },
        // An outer join only adds nulls, which no comparison holds for, now or later.
        LogicalPlan::Join(join)
            if matches!(
                join.join_type,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
            ) =>
        {
            let left = join.left.schema().fields().len();
            match index < left {
                true => origin_at(&join.left, index),
                false => origin_at(&join.right, index - left),
            }
        }
        _ => None,
    }
}

/// The least value of a column that the clock has not passed at `as_of_us`.
pub(crate) fn next_value(present: &Present, column: &str, as_of_us: i64) -> Option<i64> {
    let Ok(index) = present.schema.index_of(column) else {
        return Some(as_of_us);
    };
    let of_block = |block: &arrow::record_batch::RecordBatch| {
        let Some(values) = block.column(index).as_any().downcast_ref::<TimestampMicrosecondArray>() else {
            // Not a moment: nothing is known of when it is passed.
            return Some(as_of_us);
        };
        // Nearly every block is of the past altogether.
        if arrow::compute::max(values).is_none_or(|last| last < as_of_us) {
            return None;
        }
        values.iter().flatten().filter(|value| *value >= as_of_us).min()
    };
    present.batches.iter().filter_map(of_block).min()
}

/// When a result computed at `as_of_us` stops being right although no row changes; none: never.
pub(crate) fn stands_until(
    compared: &BTreeSet<ComparedColumn>,
    input: impl Fn(&str) -> Option<Arc<Present>>,
    as_of_us: i64,
) -> Option<i64> {
    let next = |column: &ComparedColumn| next_value(input(&column.input)?.as_ref(), &column.column, as_of_us);
    compared.iter().filter_map(next).min()
}
