//! From what clients of PostgreSQL write to what DataFusion plans.
//!
//! Only what concerns the catalogs, PostgreSQL's special types and the names of columns is touched. The parsed
//! statement is changed, never its text.
//!
//! Much of what clients ask is about things that are not here: triggers, policies, publications, indexes that are no
//! primary key's. A SELECT that joins a catalog without rows, or asks for such indexes and constraints, has none itself, so it
//! is replaced by one that says just that; and a subquery of that kind by null. What remains is what can be planned.

mod names;
mod rowless;
mod words;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
    SetOperator, Statement, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use self::names::{name_columns, name_values};
use self::rowless::{
    aggregates, gives_partitions, has_no_rows, listed_values, lists_search_path, query_has_no_rows, without_rows,
};
use self::words::{
    array_of, boolean, builtin, call, call_with, cast, catalog_name, folded, is_placeholder, is_untyped, last, literal,
    number, operator, qualifier, type_oid,
};
use super::functions::{NUMBERED, PROCEDURE_TEXT, RELATION_TEXT, SCHEMA_TEXT, SUBSCRIPTS};
use super::{INFORMATION_SCHEMA, Named, types_told};
use crate::error::{Failure, state};
use crate::parameters::{function_name, text_items};

pub(crate) use self::names::shown_name;

/// Words of PostgreSQL that no standard has, as JDBC tells them its callers.
const KEYWORDS: &str = "SELECT word, 'R' AS catcode, 'reserved' AS catdesc \
    FROM (VALUES ('ilike'), ('isnull'), ('limit'), ('notnull'), ('offset'), ('returning'), ('similar')) AS k (word)";

/// Functions that are written without brackets.
const BARE: [&str; 7] = [
    "current_user",
    "session_user",
    "current_role",
    "current_catalog",
    "current_schema",
    "user",
    "current_database",
];

/// Rewrites a query.
///
/// # Errors
/// A relation that is asked for by a name that nobody has.
pub(crate) fn rewrite(statement: &mut Statement, named: &Named) -> Result<(), Failure> {
    if let Statement::Query(query) = statement {
        name_columns(query);
    }
    let mut rewriter = Rewriter { named, failure: None };
    let _ = statement.visit(&mut rewriter);
    match rewriter.failure {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

struct Rewriter<'a> {
    named: &'a Named,
    failure: Option<Failure>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::SetOperation {
            op: SetOperator::Union,
            left,
            right,
            ..
        } = query.body.as_ref()
            && gives_partitions(left)
        {
            query.body = right.clone();
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && has_no_rows(select)
        {
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if has_no_rows(select) {
            without_rows(select);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, .. } = factor {
            name_values(subquery);
        }
        if let TableFactor::Table {
            name, args: Some(_), ..
        }
        | TableFactor::Function { name, .. } = factor
            && name.0.len() > 1
            && qualifier(name) == "pg_catalog"
        {
            *name = function_name(&last(name));
        }
        if let TableFactor::Table {
            name,
            alias,
            args: Some(_),
            ..
        } = factor
            && last(name) == "pg_get_keywords"
            && let Ok(query) = Parser::new(&PostgreSqlDialect {})
                .try_with_sql(KEYWORDS)
                .and_then(|mut parser| parser.parse_query())
        {
            *factor = TableFactor::Derived {
                lateral: false,
                subquery: query,
                alias: alias.clone(),
                sample: None,
            };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let Some((schema, name)) = catalog_name(relation) {
            *relation = ObjectName::from(vec![Ident::new(schema), Ident::new(name)]);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        // One change may make another necessary, such as a cast below a collation.
        for _ in 0..8 {
            match self.changed(expression) {
                Some(changed) => *expression = changed,
                None => break,
            }
        }
        match self.failure {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Rewriter<'_> {
    fn changed(&mut self, expression: &mut Expr) -> Option<Expr> {
        match expression {
            Expr::Collate { expr, .. } => Some(expr.as_ref().clone()),
            Expr::CompoundIdentifier(parts) if parts.len() > 2 => {
                let first = &mut parts[0];
                if first.value.eq_ignore_ascii_case("information_schema") {
                    *first = Ident::new(INFORMATION_SCHEMA);
                }
                None
            }
            Expr::Cast { expr, data_type, .. } => self.changed_cast(expr, data_type),
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                    && let Some(known) = parts.last().and_then(|name| operator(name))
                {
                    *op = known;
                }
                None
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
                if let Some(items) = literal(right).and_then(text_items) {
                    **right = array_of(items, true);
                }
                None
            }
            Expr::Subquery(query) => changed_scalar(query),
            Expr::Exists { subquery, negated } if query_has_no_rows(subquery) => Some(boolean(*negated)),
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => changed_membership(expr, subquery, *negated),
            Expr::Function(function) => changed_function(function),
            // A field of a pair, which is what `_pg_expandarray` gives.
            Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
                [AccessExpr::Dot(Expr::Identifier(field))] => {
                    let name = Expr::Value(Value::SingleQuotedString(folded(field)).into());
                    Some(call_with("get_field", vec![root.as_ref().clone(), name]))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn changed_cast(&mut self, inner: &Expr, data_type: &SqlType) -> Option<Expr> {
        let written = data_type.to_string().to_ascii_lowercase().replace('"', "");
        let plain = written
            .strip_prefix("pg_catalog.")
            .or_else(|| written.strip_prefix("information_schema."))
            .unwrap_or(&written);
        let text = literal(inner);
        match plain {
            "regclass" => Some(match text {
                Some(name) => number(self.relation(name)?),
                None if is_placeholder(inner) => call("to_regclass", inner.clone()),
                None => call(RELATION_TEXT, inner.clone()),
            }),
            "oid" => Some(match inner {
                // Back from the name to the number that it was.
                Expr::Cast { expr, data_type, .. }
                    if literal(expr).is_none() && data_type.to_string().to_ascii_lowercase().ends_with("regclass") =>
                {
                    match expr.as_ref() {
                        Expr::Function(_) => call("to_regclass", expr.as_ref().clone()),
                        number => number.clone(),
                    }
                }
                inner => cast(inner.clone(), SqlType::Int(None)),
            }),
            "regtype" => Some(match text {
                Some(name) => number(type_oid(name)),
                None => call("format_type", inner.clone()),
            }),
            "regproc" | "regprocedure" => Some(match text {
                Some(name) => number(types_told::procedure_oid(name.trim_start_matches("pg_catalog."))),
                None => call(PROCEDURE_TEXT, inner.clone()),
            }),
            "regnamespace" => Some(match text {
                Some(name) => number(self.schema(name)?),
                None => call(SCHEMA_TEXT, inner.clone()),
            }),
            "regrole" => Some(call("pg_get_userbyid", inner.clone())),
            "name" | "char" | "cstring" | "sql_identifier" | "character_data" | "yes_or_no" | "unknown" | "xid"
            | "pg_node_tree" | "inet" | "aclitem" => Some(cast(inner.clone(), SqlType::Varchar(None))),
            "cardinal_number" => Some(cast(inner.clone(), SqlType::Int(None))),
            "int2vector" | "oidvector" | "anyarray" => Some(inner.clone()),
            array if array.ends_with("[]") => match text.and_then(text_items) {
                Some(items) => Some(array_of(
                    items,
                    !matches!(array, "text[]" | "varchar[]" | "name[]" | "char[]"),
                )),
                // What has no type of its own has that of the cast.
                None if is_untyped(inner) => None,
                None => Some(inner.clone()),
            },
            // PostgreSQL's own types by their full names.
            plain if plain != written => builtin(plain).map(|known| cast(inner.clone(), known)),
            _ => None,
        }
    }

    fn relation(&mut self, name: &str) -> Option<i32> {
        let found = name.parse().ok().or_else(|| self.named.relation_oid(name));
        if found.is_none() {
            let message = format!("relation \"{name}\" does not exist");
            self.failure = Some(Failure::new(state::UNDEFINED_TABLE, message));
        }
        found
    }

    fn schema(&mut self, name: &str) -> Option<i32> {
        let mut schemas = self.named.schemas.iter();
        let found = schemas
            .find(|(_, known)| known.as_str() == name.trim_matches('"'))
            .map(|(oid, _)| *oid);
        if found.is_none() {
            let message = format!("schema \"{name}\" does not exist");
            self.failure = Some(Failure::new("3F000", message));
        }
        found
    }
}

/// Whether a value is among what a subquery of the catalogs gives.
fn changed_membership(value: &Expr, query: &Query, negated: bool) -> Option<Expr> {
    if query_has_no_rows(query) {
        return Some(boolean(negated));
    }
    if let Some(list) = listed_values(query) {
        return Some(Expr::InList {
            expr: Box::new(value.clone()),
            list,
            negated,
        });
    }
    let is_of_path = !negated && lists_search_path(query);
    is_of_path.then(|| Expr::AnyOp {
        left: Box::new(value.clone()),
        compare_op: BinaryOperator::Eq,
        right: Box::new(call("current_schemas", boolean(false))),
        is_some: false,
    })
}

/// A scalar subquery of the catalogs: null where it has no rows, and else sure to give one.
fn changed_scalar(query: &mut Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return None;
    };
    // No column is collated otherwise than its type, and only that is asked for.
    let asks_for_collation = select.from.iter().any(|joined| match &joined.relation {
        TableFactor::Table { name, .. } => last(name) == "pg_collation",
        _ => false,
    });
    if has_no_rows(select) || asks_for_collation {
        return Some(Expr::Value(Value::Null.into()));
    }
    let is_catalog = |joined: &TableWithJoins| match &joined.relation {
        TableFactor::Table { name, args: None, .. } => catalog_name(name).is_some(),
        _ => false,
    };
    if select.from.is_empty() || !select.from.iter().all(is_catalog) || query.limit_clause.is_some() {
        return None;
    }
    if let [SelectItem::UnnamedExpr(only) | SelectItem::ExprWithAlias { expr: only, .. }] =
        select.projection.as_mut_slice()
        && !aggregates(only)
        && matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
    {
        *only = call("max", only.clone());
        query.order_by = None;
    }
    None
}

fn changed_function(function: &mut Function) -> Option<Expr> {
    let name = last(&function.name);
    // In PostgreSQL these give rows by themselves.
    let of_arrays = [("generate_subscripts", SUBSCRIPTS), ("_pg_expandarray", NUMBERED)];
    if let Some((_, gives)) = of_arrays.into_iter().find(|(known, _)| *known == name)
        && let FunctionArguments::List(list) = &function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array))) = list.args.first()
    {
        return Some(call("unnest", call(gives, array.clone())));
    }
    if let FunctionArguments::Subquery(query) = &mut function.args
        && name == "array"
    {
        if query_has_no_rows(query) {
            let texts = SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(SqlType::Text), None));
            return Some(cast(Expr::Value(Value::Null.into()), texts));
        }
        let mut query = query.clone();
        if let SetExpr::Select(select) = query.body.as_mut()
            && let [SelectItem::UnnamedExpr(only) | SelectItem::ExprWithAlias { expr: only, .. }] =
                select.projection.as_mut_slice()
        {
            *only = call("array_agg", only.clone());
            query.order_by = None;
        }
        return Some(Expr::Subquery(query));
    }
    if function.name.0.len() > 1 && matches!(qualifier(&function.name).as_str(), "pg_catalog" | "information_schema") {
        function.name = function_name(&name);
    }
    if BARE.contains(&name.as_str()) && matches!(function.args, FunctionArguments::None) {
        function.args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        rewrite(&mut statement, &Named::new(Vec::new())).unwrap();
        statement.to_string()
    }

    #[test]
    fn columns_are_called_as_postgresql_calls_them() {
        assert_eq!(
            rewritten("select count(*), 1, a.x, b.x, (y)::date, 5::int8 from a, b"),
            "SELECT count(*) AS \"count\", 1 AS \"?column?\", a.x, b.x AS \"x\u{1f}2\", (y)::DATE AS \"y\", 5::INT8 AS \"int8\" FROM a, b"
        );
        assert_eq!(
            rewritten("select c.oid, c.* from c"),
            "SELECT c.oid AS \"oid\u{1f}\", c.* FROM c"
        );
        assert_eq!(shown_name("x\u{1f}2"), "x");
        assert_eq!(
            rewritten("select * from (select current_database(), n.a, n.* from n) as d"),
            "SELECT * FROM (SELECT current_database() AS \"current_database\", n.a, n.* FROM n) AS d"
        );
    }

    #[test]
    fn what_joins_a_catalog_without_rows_has_none() {
        let sql = "select i.relname, pg_get_indexdef(i.oid) as def from pg_class c, pg_catalog.pg_index x, pg_class i \
                   where c.oid = x.indrelid and not x.indisprimary order by i.relname";
        assert_eq!(
            rewritten(sql),
            "SELECT CAST(NULL AS TEXT) AS \"relname\", CAST(NULL AS TEXT) AS \"def\" WHERE false"
        );
        let sql = rewritten("select count(*) from pg_trigger");
        assert!(
            sql.contains("FROM pg_catalog.pg_trigger"),
            "a count of nothing is a row: {sql}"
        );
    }

    #[test]
    fn special_types_and_operators_become_what_can_be_planned() {
        let sql = rewritten(
            "select c.oid::regclass as r from pg_class c where c.relname OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default \
             and c.oid = 'pg_class'::regclass and c.relkind = any('{r,v}') and a = any(pg_catalog.current_schemas(true))",
        );
        assert_eq!(
            sql,
            "SELECT _regclass_text(c.oid) AS r FROM pg_catalog.pg_class c WHERE c.relname ~ '^(x)$' \
             AND c.oid = 1259 AND c.relkind = ANY(ARRAY['r', 'v']) AND a = ANY(current_schemas(true))"
        );
        let mut missing = Parser::parse_sql(&PostgreSqlDialect {}, "select 'nothing'::regclass")
            .unwrap()
            .remove(0);
        assert_eq!(
            rewrite(&mut missing, &Named::new(Vec::new())).unwrap_err().code,
            "42P01"
        );
    }

    #[test]
    fn what_refers_to_a_table_or_to_what_it_is_part_of_is_what_refers_to_the_table() {
        let sql = "select conname from pg_catalog.pg_constraint where confrelid in (select \
                   pg_catalog.pg_partition_ancestors('16400') union all values ('16400'::pg_catalog.regclass)) and contype = 'f'";
        assert_eq!(
            rewritten(sql),
            "SELECT conname FROM pg_catalog.pg_constraint WHERE confrelid IN (16400) AND contype = 'f'"
        );
    }

    #[test]
    fn scalar_subqueries_of_the_catalogs_give_one_value() {
        let sql = rewritten(
            "select a.attname, (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d where d.adrelid = a.attrelid) as def, \
             (select c.typname from pg_type c where c.oid = a.atttypid) as t, \
             (select c.collname from pg_collation c where c.oid = a.attcollation) as coll from pg_attribute a",
        );
        assert!(sql.contains("NULL AS def"), "{sql}");
        assert!(
            sql.contains("(SELECT max(c.typname) FROM pg_catalog.pg_type") && sql.contains("NULL AS coll"),
            "{sql}"
        );
    }

    #[test]
    fn a_statement_of_an_analyst_stays_as_it_is() {
        let sql = "SELECT state, x FROM allocation_state WHERE state IN (SELECT s FROM other WHERE a = b) ORDER BY x";
        assert_eq!(rewritten(sql), sql);
    }
}
