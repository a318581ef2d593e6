//! What a metric's value is computed by: the expression behind its column, followed through subqueries and views to the
//! place where it is more than a name.

use std::collections::BTreeMap;

use datafusion::sql::parser::{DFParser, Statement as AnyStatement};
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SelectItem, SetExpr, Statement, TableFactor};

/// How deep names are followed. Views do not run in circles, but subqueries may hide a column behind its own name.
const MAX_STEPS: usize = 32;

/// The expression that makes a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Formula {
    pub(crate) expression: String,
    /// The view whose SQL it stands in; none where it is the query's own.
    pub(crate) view: Option<String>,
    /// How many parts of a UNION it is made by; the expression is the first's.
    pub(crate) parts: usize,
}

/// Views by the name that SQL uses, parsed.
#[derive(Debug, Default)]
pub(crate) struct ParsedViews(BTreeMap<String, Query>);

impl ParsedViews {
    pub(crate) fn new<'a>(views: impl IntoIterator<Item = (String, &'a str)>) -> Self {
        let parsed = views.into_iter().filter_map(|(name, sql)| Some((name, query_of(sql)?)));
        Self(parsed.collect())
    }

    /// What makes `column` of a query; none where its text does not say.
    pub(crate) fn formula(&self, sql: &str, column: &str) -> Option<Formula> {
        let query = query_of(sql)?;
        Trace {
            views: self,
            with: Vec::new(),
            view: None,
        }
        .column(&query, column, MAX_STEPS)
    }
}

fn query_of(sql: &str) -> Option<Query> {
    match DFParser::parse_sql(sql).ok()?.pop_front()? {
        AnyStatement::Statement(statement) => match *statement {
            Statement::Query(query) => Some(*query),
            _ => None,
        },
        _ => None,
    }
}

/// A place in the SQL: the common table expressions that it sees, and the view that it belongs to.
#[derive(Clone)]
struct Trace<'a> {
    views: &'a ParsedViews,
    with: Vec<(String, &'a Query)>,
    view: Option<String>,
}

impl<'a> Trace<'a> {
    fn column<'q: 'a>(mut self, query: &'q Query, column: &str, steps: usize) -> Option<Formula> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.with.push((table.alias.name.value.to_lowercase(), &table.query));
        }
        let (select, parts) = first_select(&query.body)?;
        let formula = self.selected(select, column, steps.checked_sub(1)?)?;
        Some(Formula {
            parts: formula.parts.max(parts),
            ..formula
        })
    }

    fn selected<'q: 'a>(&self, select: &'q Select, column: &str, steps: usize) -> Option<Formula> {
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { expr, alias } if alias.value.eq_ignore_ascii_case(column) => {
                    return Some(self.expression(select, expr, steps));
                }
                SelectItem::UnnamedExpr(expr) if column_of(expr).is_some_and(|(_, name)| name == column) => {
                    return Some(self.expression(select, expr, steps));
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    if let Some(found) = self.below(select, None, column, steps) {
                        return Some(found);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// A bare name is made somewhere below; anything else is the formula.
    fn expression<'q: 'a>(&self, select: &'q Select, expr: &Expr, steps: usize) -> Formula {
        let below = column_of(expr).and_then(|(table, name)| self.below(select, table.as_deref(), &name, steps));
        below.unwrap_or_else(|| Formula {
            expression: expr.to_string(),
            view: self.view.clone(),
            parts: 1,
        })
    }

    fn below<'q: 'a>(&self, select: &'q Select, table: Option<&str>, column: &str, steps: usize) -> Option<Formula> {
        let joined = select.from.iter().flat_map(|from| {
            let joins = from.joins.iter().map(|join| &join.relation);
            std::iter::once(&from.relation).chain(joins)
        });
        for relation in joined {
            let (name, alias) = match relation {
                TableFactor::Table { name, alias, .. } => (Some(name.to_string().to_lowercase()), alias),
                TableFactor::Derived { alias, .. } => (None, alias),
                _ => continue,
            };
            let called = alias.as_ref().map(|alias| alias.name.value.to_lowercase());
            if table.is_some_and(|table| called.as_deref().or(name.as_deref()) != Some(table)) {
                continue;
            }
            let found = match relation {
                TableFactor::Derived { subquery, .. } => self.clone().column(subquery, column, steps),
                _ => self.named(&name?, column, steps),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// In a common table expression, or a view. A table's own column is no formula.
    fn named(&self, name: &str, column: &str, steps: usize) -> Option<Formula> {
        if let Some(at) = self.with.iter().rposition(|(known, _)| known == name) {
            let mut inside = self.clone();
            // One that is recursive begins with what it does not take from itself.
            inside.with.truncate(at);
            return inside.column(self.with[at].1, column, steps);
        }
        let query = self.views.0.get(name)?;
        let inside = Trace {
            views: self.views,
            with: Vec::new(),
            view: Some(name.to_owned()),
        };
        inside.column(query, column, steps)
    }
}

/// The first SELECT of a UNION, and of how many.
fn first_select(body: &SetExpr) -> Option<(&Select, usize)> {
    match body {
        SetExpr::Select(select) => Some((select, 1)),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, right, .. } => {
            let (select, parts) = first_select(left)?;
            Some((select, parts + first_select(right).map_or(0, |(_, parts)| parts)))
        }
        _ => None,
    }
}

/// Of a column by its bare name: the table it is said to be of, and the name.
fn column_of(expr: &Expr) -> Option<(Option<String>, String)> {
    match expr {
        Expr::Identifier(name) => Some((None, name.value.to_lowercase())),
        Expr::CompoundIdentifier(names) => {
            let (name, table) = names.split_last()?;
            Some((
                table.last().map(|table| table.value.to_lowercase()),
                name.value.to_lowercase(),
            ))
        }
        Expr::Nested(inner) => column_of(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(sql: &str, column: &str) -> Option<(String, Option<String>, usize)> {
        let views = [
            (
                "caseload",
                "with held as (select team_id, avg(n) as mean from cases group by team_id) select team_id, mean from held",
            ),
            (
                "above",
                "select c.mean as usual, k.cases from caseload c join kinds k on true",
            ),
            (
                "kinds",
                "select count(*) as cases from cases union all select sum(a) as cases from plans",
            ),
        ];
        let views = ParsedViews::new(views.map(|(name, sql)| (name.to_owned(), sql)));
        let found = views.formula(sql, column)?;
        Some((found.expression, found.view, found.parts))
    }

    #[test]
    fn an_expression_of_the_query_itself_is_its_formula() {
        let sql = "select authority, count(case_id) as cases from open_cases group by authority";
        assert_eq!(formula(sql, "cases"), Some(("count(case_id)".to_owned(), None, 1)));
        assert_eq!(formula(sql, "rate"), None);
    }

    #[test]
    fn a_name_is_followed_through_views_with_and_subqueries() {
        let mean = Some(("avg(n)".to_owned(), Some("caseload".to_owned()), 1));
        assert_eq!(formula("select usual as value from above", "value"), mean);
        assert_eq!(formula("select x.usual from (select * from above) x", "usual"), mean);
        assert_eq!(
            formula("with a as (select usual from above) select usual from a", "usual"),
            mean
        );
    }

    #[test]
    fn a_union_says_of_how_many_parts_and_a_stored_column_is_named() {
        let counted = Some(("count(*)".to_owned(), Some("kinds".to_owned()), 2));
        assert_eq!(formula("select a.cases from above a", "cases"), counted);
        assert_eq!(
            formula("select c.fte from contracts c", "fte"),
            Some(("c.fte".to_owned(), None, 1))
        );
    }
}
