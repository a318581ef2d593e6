//! What a statement may be: reading, and nothing else. An allow-list over the parsed text.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement as AnyStatement};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, Set, SetExpr, Statement, TableFactor,
    Value, Visit, Visitor, visit_expressions,
};

use crate::error::QueryError;

/// Functions that make rows in a FROM clause and touch nothing outside.
const TABLE_FUNCTIONS: [&str; 4] = ["at", "generate_series", "range", "unnest"];

/// Functions whose value is not a function of the cut and `as_of()`.
const FORBIDDEN: [&str; 13] = [
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "today",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
    "clock_timestamp",
    "statement_timestamp",
];

/// What a statement asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// A query, or the plan of one.
    Read(Box<AnyStatement>),
    /// Tables and columns; needs every view to be known.
    Describe(Box<AnyStatement>),
    Set {
        name: String,
        value: String,
    },
    Show {
        name: String,
    },
}

/// A call that makes a result differ between runs over the same cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    pub function: String,
    pub line: u64,
    pub column: u64,
}

/// Parses one statement that only reads; anything else is refused.
pub(crate) fn parse(sql: &str) -> Result<Request, QueryError> {
    let mut statements = DFParser::parse_sql(sql)?;
    let (Some(statement), 0) = (statements.pop_front(), statements.len()) else {
        return Err(QueryError::NotOneStatement {
            found: DFParser::parse_sql(sql).map_or(0, |all| all.len()),
        });
    };
    check(statement)
}

/// The same of a statement that was parsed already.
pub(crate) fn check(statement: AnyStatement) -> Result<Request, QueryError> {
    match &statement {
        AnyStatement::Statement(inner) => match inner.as_ref() {
            Statement::Query(query) => {
                check_query(query)?;
                Ok(Request::Read(Box::new(statement)))
            }
            Statement::Explain {
                statement: explained, ..
            } => {
                check_explained(explained)?;
                Ok(Request::Read(Box::new(statement)))
            }
            Statement::ExplainTable { .. } | Statement::ShowTables { .. } | Statement::ShowColumns { .. } => {
                Ok(Request::Describe(Box::new(statement)))
            }
            Statement::ShowVariable { variable } => {
                let parts: Vec<String> = variable.iter().map(|part| part.value.to_lowercase()).collect();
                Ok(Request::Show { name: parts.join(".") })
            }
            Statement::Set(Set::SingleAssignment { variable, values, .. }) => setting(variable, values),
            other => Err(refused(other)),
        },
        AnyStatement::Explain(explained) => match explained.statement.as_ref() {
            AnyStatement::Statement(inner) => {
                check_explained(inner)?;
                Ok(Request::Read(Box::new(statement)))
            }
            other => Err(refused(other)),
        },
        other => Err(refused(other)),
    }
}

/// The texts that a statement hands to a function of one argument, such as the names it asks `parameter` for.
pub fn texts_given_to(function: &str, sql: &str) -> Result<Vec<String>, QueryError> {
    let mut found = Vec::new();
    for statement in DFParser::parse_sql(sql)? {
        let AnyStatement::Statement(statement) = statement else {
            continue;
        };
        let _: ControlFlow<()> = visit_expressions(statement.as_ref(), |expression| {
            if let Expr::Function(call) = expression
                && call
                    .name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .is_some_and(|name| name.value.eq_ignore_ascii_case(function))
                && let FunctionArguments::List(list) = &call.args
                && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] = list.args.as_slice()
                && let Value::SingleQuotedString(text) = &value.value
            {
                found.push(text.clone());
            }
            ControlFlow::Continue(())
        });
    }
    Ok(found)
}

/// Calls of functions that metric SQL may not use (RULES 18), with where they stand.
pub fn forbidden_functions(sql: &str) -> Result<Vec<Forbidden>, QueryError> {
    let mut found = Vec::new();
    for statement in DFParser::parse_sql(sql)? {
        let AnyStatement::Statement(statement) = statement else {
            continue;
        };
        let _: ControlFlow<()> = visit_expressions(statement.as_ref(), |expression| {
            if let Expr::Function(function) = expression
                && let Some(name) = function.name.0.last().and_then(|part| part.as_ident())
                && FORBIDDEN.contains(&name.value.to_lowercase().as_str())
            {
                let start = name.span.start;
                found.push(Forbidden {
                    function: name.value.to_lowercase(),
                    line: start.line,
                    column: start.column,
                });
            }
            ControlFlow::Continue(())
        });
    }
    Ok(found)
}

fn check_explained(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Query(query) => check_query(query),
        other => Err(refused(other)),
    }
}

fn check_query(query: &Query) -> Result<(), QueryError> {
    let mut reading = Reading;
    match query.visit(&mut reading) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refused) => Err(QueryError::NotReading { statement: refused }),
    }
}

struct Reading;

impl Visitor for Reading {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("FOR UPDATE".to_owned());
        }
        check_body(&query.body)
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<String> {
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            other => ControlFlow::Break(first_words(&other.to_string())),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        let function = match factor {
            TableFactor::Table {
                name, args: Some(_), ..
            }
            | TableFactor::Function { name, .. } => name.to_string(),
            TableFactor::TableFunction { expr, .. } => expr.to_string(),
            _ => return ControlFlow::Continue(()),
        };
        if TABLE_FUNCTIONS.contains(&function.to_lowercase().as_str()) {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(format!("the table function {function}"))
    }
}

fn check_body(body: &SetExpr) -> ControlFlow<String> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO".to_owned()),
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        other => ControlFlow::Break(first_words(&other.to_string())),
    }
}

fn setting(variable: &ObjectName, values: &[Expr]) -> Result<Request, QueryError> {
    let name = variable.to_string().to_lowercase();
    let value = match values {
        [Expr::Value(value)] => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        [Expr::Identifier(word)] => word.value.clone(),
        _ => return Err(QueryError::Setting { name }),
    };
    Ok(Request::Set { name, value })
}

fn refused(statement: &impl ToString) -> QueryError {
    QueryError::NotReading {
        statement: first_words(&statement.to_string()),
    }
}

/// Enough of a statement to know it by, without what it carries.
fn first_words(statement: &str) -> String {
    statement.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(sql: &str) -> bool {
        matches!(
            parse(sql),
            Err(QueryError::NotReading { .. } | QueryError::NotOneStatement { .. } | QueryError::Sql(_))
        )
    }

    #[test]
    fn texts_given_to_a_function_are_found_wherever_it_stands() {
        let sql = "with a as (select Parameter('one') as x) select * from a where x > (select parameter('two')) \
                   and 'parameter(three)' <> 'b'";
        assert_eq!(texts_given_to("parameter", sql).unwrap(), ["one", "two"]);
    }

    #[test]
    fn queries_and_their_plans_are_let_through() {
        for sql in [
            "select 1",
            "with a as (select 1 as x) select * from a union all select 2",
            "explain select 1",
            "select * from at('cases', '2018-01-01')",
            "values (1), (2)",
        ] {
            assert!(matches!(parse(sql), Ok(Request::Read(_))), "{sql}: {:?}", parse(sql));
        }
        assert!(matches!(parse("describe cases"), Ok(Request::Describe(_))));
        assert!(matches!(parse("show tables"), Ok(Request::Describe(_))));
    }

    #[test]
    fn whatever_writes_or_reaches_outside_is_refused() {
        for sql in [
            "insert into cases values (1)",
            "create table x as select 1",
            "create external table x stored as csv location '/etc/passwd'",
            "copy (select 1) to '/tmp/x'",
            "drop table cases",
            "delete from cases",
            "update cases set a = 1",
            "select 1 into x",
            "explain analyze insert into cases values (1)",
            "explain drop table cases",
            "set datafusion.execution.batch_size = 1; select 1",
            "select 1; drop table cases",
            "prepare p as select 1",
            "execute p",
            "load '/tmp/evil.so'",
            "select * from read_csv('/etc/passwd')",
            "select * from read_parquet('https://example.org/x')",
            "begin",
            "",
        ] {
            assert!(is_refused(sql), "{sql}: {:?}", parse(sql));
        }
    }

    #[test]
    fn our_settings_are_read() {
        let Ok(Request::Set { name, value }) = parse("set casewatch.as_of = '2018-10-17'") else {
            panic!()
        };
        assert_eq!((name.as_str(), value.as_str()), ("casewatch.as_of", "2018-10-17"));
        let Ok(Request::Show { name }) = parse("show casewatch.as_of") else {
            panic!()
        };
        assert_eq!(name, "casewatch.as_of");
    }

    #[test]
    fn the_wall_clock_and_chance_are_found_with_their_place() {
        let sql = "select a\nfrom t where b < now()\n  and c = (select current_date) and random() < 0.5";
        let found = forbidden_functions(sql).unwrap();
        let places: Vec<_> = found
            .iter()
            .map(|found| (found.function.as_str(), found.line, found.column))
            .collect();
        assert_eq!(places, [("now", 2, 18), ("current_date", 3, 19), ("random", 3, 37)]);
        assert_eq!(forbidden_functions("select as_of(), 'now()' from nowhere").unwrap(), []);
    }
}
