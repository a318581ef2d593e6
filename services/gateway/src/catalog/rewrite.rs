//! From what clients of PostgreSQL write to what DataFusion plans.
//!
//! Only what concerns the catalogs, PostgreSQL's special types and the names of columns is touched. The parsed
//! statement is changed, never its text.
//!
//! Much of what clients ask is about things that are not here: indexes, triggers, policies, publications. A SELECT that
//! joins a catalog without rows has none itself, so it is replaced by one that says just that; and a subquery of that
//! kind by null. What remains is what can be planned.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType as SqlType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, JoinOperator, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::functions::{PROCEDURE_TEXT, RELATION_TEXT, SCHEMA_TEXT};
use super::{CATALOG_SCHEMA, INFORMATION_SCHEMA, Named, tables};
use crate::error::{Failure, state};
use crate::parameters::{function_name, text_items};
use crate::types;

/// Table functions that give no rows here.
const EMPTY_FUNCTIONS: [&str; 5] = [
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_options_to_table",
    "pg_get_publication_tables",
    "pg_listening_channels",
];

/// Words of PostgreSQL that no standard has, as JDBC tells them its callers.
const KEYWORDS: &str = "SELECT word, 'R' AS catcode, 'reserved' AS catdesc \
    FROM (VALUES ('ilike'), ('isnull'), ('limit'), ('notnull'), ('offset'), ('returning'), ('similar')) AS k (word)";

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

/// Between the name of a column and a number that tells it from others of the same name, where a query has several.
/// No name that somebody wrote has it.
const NAMESAKE: char = '\u{1f}';

/// The name of a column as its client is to see it.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split(NAMESAKE).next().unwrap_or(name)
}

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
            Expr::InSubquery { subquery, negated, .. } if query_has_no_rows(subquery) => Some(boolean(*negated)),
            Expr::InSubquery {
                expr,
                subquery,
                negated: false,
            } if lists_search_path(subquery) => Some(Expr::AnyOp {
                left: expr.clone(),
                compare_op: BinaryOperator::Eq,
                right: Box::new(call("current_schemas", boolean(false))),
                is_some: false,
            }),
            Expr::Function(function) => changed_function(function),
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
                Some(name) => number(tables::procedure_oid(name.trim_start_matches("pg_catalog."))),
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

/// A catalog's schema and name as they are registered, where a relation is one.
fn catalog_name(relation: &ObjectName) -> Option<(&'static str, String)> {
    let parts: Vec<String> = relation
        .0
        .iter()
        .filter_map(ObjectNamePart::as_ident)
        .map(|ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        })
        .collect();
    let (name, qualifiers) = parts.split_last()?;
    match qualifiers.last().map(String::as_str) {
        Some("pg_catalog") => Some((CATALOG_SCHEMA, name.clone())),
        Some("information_schema") => Some((INFORMATION_SCHEMA, name.clone())),
        None if tables::is_catalog(name) => Some((CATALOG_SCHEMA, name.clone())),
        _ => None,
    }
}

fn last(name: &ObjectName) -> String {
    let ident = name.0.last().and_then(ObjectNamePart::as_ident);
    ident.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

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
        TableFactor::Table { name, .. } => {
            catalog_name(name).is_some_and(|(schema, name)| tables::is_empty(schema, &name))
        }
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

/// Whether a SELECT joins a catalog without rows, so that it gives none, and says the names of its columns.
fn has_no_rows(select: &Select) -> bool {
    if !select.from.iter().any(join_has_no_rows) {
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

fn query_has_no_rows(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => has_no_rows(select),
        SetExpr::Query(query) => query_has_no_rows(query),
        _ => false,
    }
}

/// Grafana takes the search path apart by `generate_series` over its length, which is a lateral join.
fn lists_search_path(query: &Query) -> bool {
    let text = query.to_string().to_ascii_lowercase();
    text.contains("current_setting('search_path')") && text.contains("generate_series")
}

fn aggregates(expression: &Expr) -> bool {
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

fn without_rows(select: &mut Select) {
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

fn qualifier(name: &ObjectName) -> String {
    let ident = name.0.first().and_then(ObjectNamePart::as_ident);
    ident.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

/// `OPERATOR(pg_catalog.~)` and its like.
fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}

fn builtin(name: &str) -> Option<SqlType> {
    Some(match name {
        "text" | "varchar" | "bpchar" => SqlType::Text,
        "bool" => SqlType::Boolean,
        "int2" => SqlType::SmallInt(None),
        "int4" => SqlType::Int(None),
        "int8" => SqlType::BigInt(None),
        "float4" => SqlType::Real,
        "float8" | "numeric" => SqlType::DoublePrecision,
        "date" => SqlType::Date,
        _ => return None,
    })
}

fn type_oid(name: &str) -> i32 {
    let plain = name.trim_start_matches("pg_catalog.").to_ascii_lowercase();
    let oid = match plain.strip_suffix("[]") {
        Some(element) => types::by_name(element).map(|known| known.array_oid),
        None => types::by_name(&plain).map(|known| known.oid),
    };
    oid.and_then(|oid| i32::try_from(oid).ok()).unwrap_or(0)
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal(inner),
        // A bound text that was cast to what the client called it.
        _ => None,
    }
}

fn is_untyped(expression: &Expr) -> bool {
    is_placeholder(expression) || matches!(expression, Expr::Value(value) if value.value == Value::Null)
}

fn is_placeholder(expression: &Expr) -> bool {
    matches!(expression, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

fn array_of(items: Vec<Option<String>>, may_be_numbers: bool) -> Expr {
    let are_numbers = may_be_numbers && items.iter().flatten().all(|item| item.parse::<i64>().is_ok());
    let item = |item: Option<String>| match item {
        Some(digits) if are_numbers => Expr::Value(Value::Number(digits, false).into()),
        Some(text) => Expr::Value(Value::SingleQuotedString(text).into()),
        None => Expr::Value(Value::Null.into()),
    };
    Expr::Array(Array {
        elem: items.into_iter().map(item).collect(),
        named: true,
    })
}

fn number(oid: i32) -> Expr {
    Expr::Value(Value::Number(oid.to_string(), false).into())
}

fn boolean(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).into())
}

fn cast(expression: Expr, data_type: SqlType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expression),
        data_type,
        array: false,
        format: None,
    }
}

fn call(name: &str, argument: Expr) -> Expr {
    Expr::Function(Function {
        name: function_name(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Gives every column of a query the name that PostgreSQL would give it, and tells those of one name apart.
fn name_columns(query: &mut Query) {
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

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_select(left),
        SetExpr::Query(query) => first_select(query.body.as_mut()),
        _ => None,
    }
}

fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut own = name.to_owned();
    let mut count = 1;
    while !taken.insert(own.clone()) {
        count += 1;
        own = format!("{name}{NAMESAKE}{count}");
    }
    own
}

fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
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
fn column_name(expression: &Expr) -> String {
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
    }

    #[test]
    fn what_joins_a_catalog_without_rows_has_none() {
        let sql = "select i.relname, pg_get_indexdef(i.oid) as def from pg_class c, pg_catalog.pg_index x, pg_class i \
                   where c.oid = x.indrelid order by i.relname";
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
