//! A bound of rows bounds what is told only where a row of the answer tells of one row that may be seen. Statements of a
//! role with such a bound must be of that kind: an aggregate, a window or a join would gather many rows into one.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use super::barrier::Barrier;
use crate::error::QueryError;
use crate::unfold::View;

/// Refuses a plan in which a row of the answer can be made of more than one row that has an owner. What the rows are chosen
/// by is free: the subquery of a condition tells nothing but which rows these are.
///
/// # Errors
/// [`QueryError::Gathering`] with what does so.
pub(crate) fn refuse_gathering(plan: &LogicalPlan) -> Result<(), QueryError> {
    match plan {
        // Its answer is a plan.
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Ok(()),
        _ => owned_rows(plan).map(drop),
    }
}

/// How many rows that have an owner a row of the plan is made of.
fn owned_rows(plan: &LogicalPlan) -> Result<usize, QueryError> {
    let below = || -> Result<Vec<usize>, QueryError> { plan.inputs().into_iter().map(owned_rows).collect() };
    match plan {
        LogicalPlan::TableScan(scan) => rows_of_scan(scan),
        LogicalPlan::Union(_) => Ok(below()?.into_iter().max().unwrap_or(0)),
        LogicalPlan::Join(_) => at_most_one(below()?.into_iter().sum(), "a join"),
        LogicalPlan::Projection(_) | LogicalPlan::Sort(_) => {
            let of_values: usize = rows_of_subqueries(plan)?;
            at_most_one(
                below()?.into_iter().sum::<usize>() + 2 * of_values,
                "a subquery beside its rows",
            )
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::SubqueryAlias(_) => Ok(below()?.into_iter().sum()),
        LogicalPlan::Aggregate(_) => none(below()?.into_iter().sum(), "an aggregate"),
        LogicalPlan::Window(_) => none(below()?.into_iter().sum(), "a window function"),
        _ => none(
            below()?.into_iter().sum::<usize>() + rows_of_subqueries(plan)?,
            "this form",
        ),
    }
}

fn rows_of_scan(scan: &TableScan) -> Result<usize, QueryError> {
    if let Some(view) = View::plan_of(scan)? {
        return owned_rows(&view);
    }
    let table = source_as_provider(&scan.source)?;
    let barrier = table.downcast_ref::<Barrier>();
    Ok(usize::from(barrier.is_some_and(Barrier::has_rules)))
}

/// Of the subqueries among a node's expressions.
fn rows_of_subqueries(plan: &LogicalPlan) -> Result<usize, QueryError> {
    let mut found = 0;
    plan.apply_expressions(|expression| {
        expression.apply(|part| {
            let subquery = match part {
                Expr::ScalarSubquery(subquery) => Some(subquery),
                Expr::Exists(exists) => Some(&exists.subquery),
                Expr::InSubquery(within) => Some(&within.subquery),
                Expr::SetComparison(compared) => Some(&compared.subquery),
                _ => None,
            };
            if let Some(subquery) = subquery {
                found += owned_rows(&subquery.subquery)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

fn at_most_one(rows: usize, what: &'static str) -> Result<usize, QueryError> {
    if rows > 1 {
        return Err(QueryError::Gathering { what });
    }
    Ok(rows)
}

fn none(rows: usize, what: &'static str) -> Result<usize, QueryError> {
    if rows > 0 {
        return Err(QueryError::Gathering { what });
    }
    Ok(0)
}
