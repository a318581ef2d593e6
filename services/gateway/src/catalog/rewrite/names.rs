//! The names of columns, as PostgreSQL gives them.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, Ident, Query, Select, SelectItem, SetExpr, Value};

use super::words::{folded, last};
use crate::types;

/// Between the name of a column and a number that tells it from others of the same name, where a query has several.
/// No name that somebody wrote has it.
const NAMESAKE: char = '\u{1f}';

/// The name of a column as its client is to see it.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split(NAMESAKE).next().unwrap_or(name)
}

/// Gives every column of a query the name that PostgreSQL would give it, and tells those of one name apart.
pub(super) fn name_columns(query: &mut Query) {
    let Some(select) = first_select(query.body.as_mut()) else {
        return;
    };
    // What `*` stands for may have the same names.
    let is_open = select
        .projection
        .iter()
        .any(|item| !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    let mut taken = HashSet::new();
    for item in &mut select.projection {
        let (expression, name, has_alias) = match item {
            SelectItem::UnnamedExpr(expression) => (expression.clone(), column_name(expression), false),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), folded(alias), true),
            _ => continue,
        };
        let is_column = matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let mut own = unique(&name, &mut taken);
        if is_open && is_column && !has_alias && own == name {
            own.push(NAMESAKE);
        }
        if own != name || (!has_alias && !is_column) {
            *item = SelectItem::ExprWithAlias {
                expr: expression,
                alias: Ident::with_quote('"', own),
            };
        }
    }
}

/// Gives the values that a query in FROM works out, and names nothing, the names by which the query around it may call them.
pub(super) fn name_values(query: &mut Query) {
    let Some(select) = first_select(query.body.as_mut()) else {
        return;
    };
    let names = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(column @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => {
            Some(column_name(column))
        }
        _ => None,
    });
    let mut taken: HashSet<String> = names.collect();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expression) = item else {
            continue;
        };
        if !matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            *item = SelectItem::ExprWithAlias {
                alias: Ident::with_quote('"', unique(&column_name(expression), &mut taken)),
                expr: expression.clone(),
            };
        }
    }
}

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        SetExpr::Query(query) => first_select(query.body.as_mut()),
        _ => None,
    }
}

pub(super) fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut own = name.to_owned();
    let mut count = 1;
    while !taken.insert(own.clone()) {
        count += 1;
        own = format!("{name}{NAMESAKE}{count}");
    }
    own
}

/// What a column that is only a value of a type is called after, without what the type is given in brackets.
fn type_name(data_type: &SqlType) -> String {
    let written = data_type.to_string().to_ascii_lowercase();
    let plain = written.split('(').next().unwrap_or_default().trim();
    match types::by_name(plain) {
        Some(known) => known.name.to_owned(),
        None => "?column?".to_owned(),
    }
}

/// As PostgreSQL calls a column that nobody named (its `FigureColname`).
pub(super) fn column_name(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Function(function) => last(&function.name),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        Expr::Cast { expr, data_type, .. } => match column_name(expr).as_str() {
            "?column?" => type_name(data_type),
            name => name.to_owned(),
        },
        Expr::TypedString(typed) => type_name(&typed.data_type),
        Expr::Case { else_result, .. } => match else_result.as_deref().map(column_name) {
            Some(name) if name != "?column?" && name != "bool" => name,
            _ => "case".to_owned(),
        },
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => "bool".to_owned(),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expression)) => column_name(expression),
                Some(SelectItem::ExprWithAlias { alias, .. }) => folded(alias),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}
