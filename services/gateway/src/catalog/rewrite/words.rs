//! Small parts of statements: what they say, and how they are made.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Value,
};

use crate::catalog::{CATALOG_SCHEMA, INFORMATION_SCHEMA, tables};
use crate::parameters::function_name;
use crate::types;

/// A catalog's schema and name as they are registered, where a relation is one.
pub(super) fn catalog_name(relation: &ObjectName) -> Option<(&'static str, String)> {
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

pub(super) fn last(name: &ObjectName) -> String {
    let ident = name.0.last().and_then(ObjectNamePart::as_ident);
    ident.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

pub(super) fn qualifier(name: &ObjectName) -> String {
    let ident = name.0.first().and_then(ObjectNamePart::as_ident);
    ident.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

/// `OPERATOR(pg_catalog.~)` and its like.
pub(super) fn operator(name: &str) -> Option<BinaryOperator> {
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

pub(super) fn builtin(name: &str) -> Option<SqlType> {
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

pub(super) fn type_oid(name: &str) -> i32 {
    let plain = name.trim_start_matches("pg_catalog.").to_ascii_lowercase();
    let oid = match plain.strip_suffix("[]") {
        Some(element) => types::by_name(element).map(|known| known.array_oid),
        None => types::by_name(&plain).map(|known| known.oid),
    };
    oid.and_then(|oid| i32::try_from(oid).ok()).unwrap_or(0)
}

pub(super) fn literal(expression: &Expr) -> Option<&str> {
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

pub(super) fn is_untyped(expression: &Expr) -> bool {
    is_placeholder(expression) || matches!(expression, Expr::Value(value) if value.value == Value::Null)
}

pub(super) fn is_placeholder(expression: &Expr) -> bool {
    matches!(expression, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

pub(super) fn array_of(items: Vec<Option<String>>, may_be_numbers: bool) -> Expr {
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

pub(super) fn number(oid: i32) -> Expr {
    Expr::Value(Value::Number(oid.to_string(), false).into())
}

pub(super) fn boolean(value: bool) -> Expr {
    Expr::Value(Value::Boolean(value).into())
}

pub(super) fn cast(expression: Expr, data_type: SqlType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expression),
        data_type,
        array: false,
        format: None,
    }
}

pub(super) fn call(name: &str, argument: Expr) -> Expr {
    call_with(name, vec![argument])
}

pub(super) fn call_with(name: &str, arguments: Vec<Expr>) -> Expr {
    let arguments = arguments.into_iter();
    Expr::Function(Function {
        name: function_name(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.map(FunctionArgExpr::Expr).map(FunctionArg::Unnamed).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

pub(super) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}
