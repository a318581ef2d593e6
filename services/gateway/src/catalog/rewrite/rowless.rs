//! Queries about what is not here.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr, GroupByExpr, Ident, JoinOperator, Parens, Query, Select, SelectItem,
    SetExpr, SetOperator, TableFactor, TableWithJoins, UnaryOperator, Value, Visit, Visitor,
};

use super::names::{column_name, unique};
use super::words::{boolean, cast, catalog_name, folded, last, literal, qualifier};
use crate::catalog::empty::is_empty;

/// Table functions that give no rows here.
const EMPTY_FUNCTIONS: [&str; 5] = [
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_options_to_table",
    "pg_get_publication_tables",
    "pg_listening_channels",
];

const AGGREGATES: [&str; 10] = [
    "count",
    "max",
    "min",
    "sum",
    "avg",
    "array_agg",
    "string_agg",
    "bool_or",
    "bool_and",
    "json_agg",
];

fn factor_has_no_rows(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table {
            name, args: Some(_), ..
        }
        | TableFactor::Function { name, .. } => {
            let function = last(name);
            // Only clients write it in full, over arrays of the catalogs, which are null here.
            EMPTY_FUNCTIONS.contains(&function.as_str()) || (function == "unnest" && qualifier(name) == "pg_catalog")
        }
        TableFactor::Table { name, .. } => catalog_name(name).is_some_and(|(schema, name)| is_empty(schema, &name)),
        TableFactor::Derived { subquery, .. } => query_has_no_rows(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => join_has_no_rows(table_with_joins),
        _ => false,
    }
}

fn join_has_no_rows(join: &TableWithJoins) -> bool {
    let keeps_both = |operator: &JoinOperator| {
        matches!(
            operator,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
        )
    };
    let is_right = |operator: &JoinOperator| {
        matches!(
            operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        )
    };
    if join.joins.iter().any(|joined| is_right(&joined.join_operator)) {
        return false;
    }
    let mut joined = join.joins.iter();
    factor_has_no_rows(&join.relation)
        || joined.any(|joined| keeps_both(&joined.join_operator) && factor_has_no_rows(&joined.relation))
}

/// Whether rows are chosen that no catalog has: of indexes that are no primary key's, of constraints that are no key. Only
/// those two catalogs have columns of these names.
fn chooses_none(condition: &Expr) -> bool {
    let named = |expression: &Expr, name: &str| match expression {
        Expr::Identifier(ident) => folded(ident) == name,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|part| folded(part) == name),
        _ => false,
    };
    let is_other_kind = |value: &Expr| literal(value).is_some_and(|kind| !matches!(kind, "p" | "f"));
    match condition {
        Expr::Nested(inner) => chooses_none(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => chooses_none(left) || chooses_none(right),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => named(expr, "indisprimary"),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } => named(left, "contype") && is_other_kind(right),
        Expr::InList {
            expr,
            list,
            negated: false,
        } => named(expr, "contype") && list.iter().all(is_other_kind),
        _ => false,
    }
}

/// `SELECT pg_partition_ancestors(...)`.
pub(super) fn gives_partitions(body: &SetExpr) -> bool {
    let SetExpr::Select(select) = body else {
        return false;
    };
    matches!(
        select.projection.as_slice(),
        [SelectItem::UnnamedExpr(Expr::Function(function))] if EMPTY_FUNCTIONS.contains(&last(&function.name).as_str())
    )
}

/// `VALUES (a), (b)`, by itself or beside what would name partitions: a subquery of values cannot be planned, a list can.
pub(super) fn listed_values(query: &Query) -> Option<Vec<Expr>> {
    let values = match query.body.as_ref() {
        SetExpr::Values(values) => values,
        SetExpr::SetOperation {
            op: SetOperator::Union,
            left,
            right,
            ..
        } if gives_partitions(left) => match right.as_ref() {
            SetExpr::Values(values) => values,
            _ => return None,
        },
        _ => return None,
    };
    let only = |row: &Parens<Vec<Expr>>| match row.content.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    values.rows.iter().map(only).collect()
}

/// Whether a SELECT joins a catalog without rows, so that it gives none, and says the names of its columns.
pub(super) fn has_no_rows(select: &Select) -> bool {
    if !select.from.iter().any(join_has_no_rows) && !select.selection.as_ref().is_some_and(chooses_none) {
        return false;
    }
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    select.projection.iter().all(|item| match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
            is_grouped || !aggregates(expression)
        }
        _ => false,
    })
}

pub(super) fn query_has_no_rows(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => has_no_rows(select),
        SetExpr::Query(query) => query_has_no_rows(query),
        _ => false,
    }
}

/// Grafana takes the search path apart by `generate_series` over its length, which is a lateral join.
pub(super) fn lists_search_path(query: &Query) -> bool {
    let text = query.to_string().to_ascii_lowercase();
    text.contains("current_setting('search_path')") && text.contains("generate_series")
}

pub(super) fn aggregates(expression: &Expr) -> bool {
    /// An aggregate of a subquery is that query's own.
    struct Aggregates {
        depth: usize,
    }
    impl Visitor for Aggregates {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            match expression {
                Expr::Function(function) if self.depth == 0 && AGGREGATES.contains(&last(&function.name).as_str()) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expression.visit(&mut Aggregates { depth: 0 }).is_break()
}

pub(super) fn without_rows(select: &mut Select) {
    let mut taken = HashSet::new();
    for item in &mut select.projection {
        let name = match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            SelectItem::UnnamedExpr(expression) => column_name(expression),
            _ => "?column?".to_owned(),
        };
        *item = SelectItem::ExprWithAlias {
            expr: cast(Expr::Value(Value::Null.into()), SqlType::Text),
            alias: Ident::with_quote('"', unique(&name, &mut taken)),
        };
    }
    select.from.clear();
    select.selection = Some(boolean(false));
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.distinct = None;
}
