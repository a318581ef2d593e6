//! What a statement asks for: reading, a setting, or what clients say around a transaction. Everything else is refused.

use datafusion::sql::sqlparser::ast::{
    CloseCursor, CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, CopyTarget, DiscardObject, Expr,
    FetchDirection, ObjectName, Query, Reset, Set, Statement, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::copy::CopyFormat;
use crate::error::{Failure, state};

/// Levels of brackets and subqueries, beyond which a statement is refused rather than parsed.
const DEEPEST: usize = 100;

#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// A query or the explanation of one, with the word that ends it.
    Read(Box<Statement>, &'static str),
    Copy(Box<Statement>, CopyFormat),
    Set {
        name: String,
        value: String,
    },
    Show {
        name: String,
    },
    ShowAll,
    Reset {
        name: String,
    },
    /// Every setting, and with `everything` every prepared statement and cursor.
    ResetAll {
        everything: bool,
    },
    Begin,
    /// COMMIT and ROLLBACK, which end what BEGIN began.
    End(&'static str),
    /// Has no meaning where nothing is written.
    Nothing(&'static str),
    /// None: all of them.
    Deallocate {
        name: Option<String>,
    },
    Declare {
        name: String,
        query: Box<Statement>,
    },
    Fetch {
        name: String,
        rows: Option<usize>,
    },
    Close {
        name: Option<String>,
    },
}

impl Command {
    /// Whether it gives rows.
    pub(crate) fn gives_rows(&self) -> bool {
        matches!(
            self,
            Self::Read(..) | Self::Show { .. } | Self::ShowAll | Self::Fetch { .. }
        )
    }
}

/// Parses a text of statements.
///
/// # Errors
/// Where it does not parse; a statement that would write or reach outside.
pub(crate) fn parse(sql: &str) -> Result<Vec<Command>, Failure> {
    let dialect = PostgreSqlDialect {};
    let statements = Parser::new(&dialect)
        .with_recursion_limit(DEEPEST)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements());
    match statements {
        Ok(statements) => statements.into_iter().map(command).collect(),
        Err(error) => said_without_grammar(sql).ok_or_else(|| Failure::of_parser(&error, sql)),
    }
}

/// What the parser has no grammar for, and clients say.
fn said_without_grammar(sql: &str) -> Option<Vec<Command>> {
    let words: Vec<String> = sql
        .trim()
        .trim_end_matches(';')
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(vec![match words.as_slice() {
        ["SHOW", "ALL"] => Command::ShowAll,
        ["ABORT", ..] => Command::End("ROLLBACK"),
        ["UNLISTEN", "*"] => Command::Nothing("UNLISTEN"),
        ["CLOSE", "ALL"] => Command::Close { name: None },
        _ => return None,
    }])
}

fn command(statement: Statement) -> Result<Command, Failure> {
    Ok(match statement {
        Statement::Query(_) => Command::Read(Box::new(statement), "SELECT"),
        Statement::Explain { .. } | Statement::ExplainTable { .. } => Command::Read(Box::new(statement), "EXPLAIN"),
        Statement::ShowTables { .. } | Statement::ShowColumns { .. } => Command::Read(Box::new(statement), "SHOW"),
        Statement::ShowVariable { variable } => {
            let name = joined(variable.iter().map(|part| part.value.as_str()));
            match name.to_ascii_lowercase().as_str() {
                "all" => Command::ShowAll,
                _ => Command::Show { name },
            }
        }
        Statement::Set(set) => setting(set)?,
        Statement::Reset(reset) => match reset.reset {
            Reset::ALL => Command::ResetAll { everything: false },
            Reset::ConfigurationParameter(name) => Command::Reset { name: name.to_string() },
        },
        Statement::Discard { object_type } => Command::ResetAll {
            everything: matches!(object_type, DiscardObject::ALL),
        },
        Statement::StartTransaction { .. } => Command::Begin,
        Statement::Commit { .. } => Command::End("COMMIT"),
        Statement::Rollback { savepoint: None, .. } => Command::End("ROLLBACK"),
        Statement::Rollback { .. } => Command::Nothing("ROLLBACK"),
        Statement::Savepoint { .. } => Command::Nothing("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Command::Nothing("RELEASE"),
        Statement::UNLISTEN { .. } => Command::Nothing("UNLISTEN"),
        Statement::Deallocate { name, .. } => {
            let is_all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Command::Deallocate {
                name: (!is_all).then_some(name.value),
            }
        }
        Statement::Copy {
            source,
            to,
            target,
            options,
            legacy_options,
            ..
        } => copy(source, to, &target, &options, &legacy_options)?,
        Statement::Declare { mut stmts } => match (stmts.pop(), stmts.is_empty()) {
            (Some(declared), true) if declared.for_query.is_some() && declared.names.len() == 1 => Command::Declare {
                name: declared.names[0].value.clone(),
                query: Box::new(Statement::Query(declared.for_query.expect("it was looked at"))),
            },
            _ => {
                return Err(Failure::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "DECLARE is for cursors of queries",
                ));
            }
        },
        Statement::Fetch { name, direction, .. } => Command::Fetch {
            name: name.value,
            rows: fetched(&direction)?,
        },
        Statement::Close { cursor } => Command::Close {
            name: match cursor {
                CloseCursor::All => None,
                CloseCursor::Specific { name } => Some(name.value),
            },
        },
        other => return Err(refused(&other)),
    })
}

fn refused(statement: &Statement) -> Failure {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    let privileged = matches!(
        statement,
        Statement::Grant { .. }
            | Statement::Revoke { .. }
            | Statement::CreateRole { .. }
            | Statement::CreateUser { .. }
    );
    let code = if privileged {
        state::INSUFFICIENT_PRIVILEGE
    } else {
        state::READ_ONLY
    };
    Failure::new(
        code,
        format!("cannot execute {} here: only reading is allowed", words.join(" ")),
    )
    .hint("use SELECT, EXPLAIN, SHOW, COPY (query) TO STDOUT, or SET")
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let parts: Vec<&str> = parts.collect();
    // SHOW casewatch.as_of, and SHOW TRANSACTION ISOLATION LEVEL.
    let spaced = matches!(parts.first(), Some(first) if first.eq_ignore_ascii_case("transaction") || first.eq_ignore_ascii_case("time"));
    parts.join(if spaced { " " } else { "." })
}

fn setting(set: Set) -> Result<Command, Failure> {
    Ok(match set {
        Set::SingleAssignment { variable, values, .. } => Command::Set {
            name: written(&variable),
            value: values.iter().map(value_text).collect::<Vec<_>>().join(", "),
        },
        Set::SetTimeZone { value, .. } => Command::Set {
            name: "TimeZone".to_owned(),
            value: value_text(&value),
        },
        Set::SetNames { charset_name, .. } => Command::Set {
            name: "client_encoding".to_owned(),
            value: charset_name.value,
        },
        Set::SetNamesDefault {} | Set::SetTransaction { .. } | Set::SetRole { role_name: None, .. } => {
            Command::Nothing("SET")
        }
        other => {
            return Err(Failure::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "cannot execute {} here",
                    other
                        .to_string()
                        .split_whitespace()
                        .take(3)
                        .collect::<Vec<_>>()
                        .join(" ")
                ),
            ));
        }
    })
}

fn written(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    parts.map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
}

fn value_text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    }
}

fn fetched(direction: &FetchDirection) -> Result<Option<usize>, Failure> {
    let number = |limit: &datafusion::sql::sqlparser::ast::ValueWithSpan| {
        limit
            .value
            .to_string()
            .parse()
            .map_err(|_| Failure::new(state::SYNTAX_ERROR, "FETCH takes a number of rows above 0, or ALL"))
    };
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(Some(1)),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => number(limit).map(Some),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(None),
        _ => Err(Failure::new(
            state::NOT_IN_PREREQUISITE_STATE,
            "cursors go forward only",
        )),
    }
}

fn copy(
    source: CopySource,
    to: bool,
    target: &CopyTarget,
    options: &[CopyOption],
    legacy: &[CopyLegacyOption],
) -> Result<Command, Failure> {
    if !to {
        return Err(Failure::new(
            state::READ_ONLY,
            "cannot execute COPY FROM here: only reading is allowed",
        ));
    }
    if !matches!(target, CopyTarget::Stdout) {
        return Err(Failure::new(
            state::INSUFFICIENT_PRIVILEGE,
            "COPY to a file or program of the server is not allowed",
        )
        .hint("use COPY ... TO STDOUT, or \\copy in psql, which write on your side"));
    }
    let query = match source {
        CopySource::Query(query) => *query,
        CopySource::Table { table_name, columns } => {
            let columns = match columns.is_empty() {
                true => "*".to_owned(),
                false => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            query_of(&format!("SELECT {columns} FROM {table_name}"))?
        }
    };
    let mut format = CopyFormat::default();
    let single = |character: char| u8::try_from(character).map_err(|_| wrong_copy("a single byte is expected"));
    for option in options {
        match option {
            CopyOption::Format(name) => match name.value.to_ascii_lowercase().as_str() {
                "csv" => format = format.into_csv(),
                "text" => {}
                other => {
                    return Err(wrong_copy(&format!(
                        "format {other} is not supported; text and csv are"
                    )));
                }
            },
            CopyOption::Header(header) => format.header = *header,
            CopyOption::Delimiter(delimiter) => format.set_delimiter(single(*delimiter)?),
            CopyOption::Null(null) => format.set_null(null.clone()),
            CopyOption::Quote(quote) => format.quote = single(*quote)?,
            CopyOption::Escape(escape) => format.escape = Some(single(*escape)?),
            CopyOption::ForceQuote(_) => format.quote_all = true,
            CopyOption::Encoding(name) if name.to_ascii_lowercase().contains("utf") => {}
            other => return Err(wrong_copy(&format!("{other} is not supported"))),
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Csv(options) => {
                format = format.into_csv();
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => format.header = true,
                        CopyLegacyCsvOption::Quote(quote) => format.quote = single(*quote)?,
                        CopyLegacyCsvOption::Escape(escape) => format.escape = Some(single(*escape)?),
                        CopyLegacyCsvOption::ForceQuote(_) => format.quote_all = true,
                        CopyLegacyCsvOption::ForceNotNull(_) => {}
                    }
                }
            }
            CopyLegacyOption::Delimiter(delimiter) => format.set_delimiter(single(*delimiter)?),
            CopyLegacyOption::Null(null) => format.set_null(null.clone()),
            CopyLegacyOption::Header => format.header = true,
            other => return Err(wrong_copy(&format!("{other} is not supported"))),
        }
    }
    Ok(Command::Copy(Box::new(Statement::Query(Box::new(query))), format))
}

fn wrong_copy(what: &str) -> Failure {
    Failure::new(state::FEATURE_NOT_SUPPORTED, format!("COPY: {what}"))
}

fn query_of(sql: &str) -> Result<Query, Failure> {
    let parsed = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_query());
    parsed
        .map(|query| *query)
        .map_err(|error| Failure::of_parser(&error, sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(sql: &str) -> &'static str {
        parse(sql).expect_err(sql).code
    }

    #[test]
    fn what_writes_is_refused_whatever_it_is_called() {
        for sql in [
            "insert into cases values (1)",
            "update cases set a = 1",
            "delete from cases",
            "create table x as select 1",
            "drop table cases",
            "truncate cases",
            "copy cases from stdin",
            "alter table cases add column x int",
            "vacuum",
            "select 1; drop table cases",
            "prepare p as select 1",
            "call nothing()",
        ] {
            assert_eq!(code(sql), "25006", "{sql}");
        }
        for sql in [
            "grant select on cases to anne",
            "copy cases to '/tmp/x'",
            "copy (select 1) to program 'sh'",
        ] {
            assert_eq!(code(sql), "42501", "{sql}");
        }
        assert_eq!(code("select 1 from cases where = 2"), "42601");
    }

    #[test]
    fn what_clients_say_around_their_queries_is_understood() {
        let only = |sql: &str| {
            parse(sql)
                .unwrap_or_else(|failure| panic!("{sql}: {failure:?}"))
                .remove(0)
        };
        let set = |sql: &str| match only(sql) {
            Command::Set { name, value } => (name.to_lowercase(), value),
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(
            set("SET casewatch.as_of = '2018-10-17'"),
            ("casewatch.as_of".into(), "2018-10-17".into())
        );
        assert_eq!(set("set extra_float_digits = 3").1, "3");
        assert_eq!(set("SET search_path TO public, history").1, "public, history");
        assert_eq!(set("SET TIME ZONE 'UTC'"), ("timezone".into(), "UTC".into()));
        assert_eq!(
            set("SET SESSION client_min_messages TO warning").0,
            "client_min_messages"
        );
        assert!(matches!(only("BEGIN ISOLATION LEVEL READ COMMITTED"), Command::Begin));
        assert!(matches!(only("BEGIN READ ONLY"), Command::Begin));
        assert!(matches!(only("ROLLBACK"), Command::End("ROLLBACK")));
        assert!(matches!(only("DISCARD ALL"), Command::ResetAll { everything: true }));
        assert!(matches!(only("DEALLOCATE ALL"), Command::Deallocate { name: None }));
        assert!(matches!(
            only("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
            Command::Nothing("SET")
        ));
        let Command::Show { name } = only("SHOW TRANSACTION ISOLATION LEVEL") else {
            panic!()
        };
        assert_eq!(name.to_lowercase(), "transaction isolation level");
        let Command::Show { name } = only("show casewatch.as_of") else {
            panic!()
        };
        assert_eq!(name, "casewatch.as_of");
        let fetched = only("FETCH FORWARD 100 FROM c");
        assert!(matches!(fetched, Command::Fetch { rows: Some(100), .. }), "{fetched:?}");
        let declared = only("DECLARE c NO SCROLL CURSOR FOR select 1");
        assert!(
            matches!(&declared, Command::Declare { name, .. } if name == "c"),
            "{declared:?}"
        );
    }

    #[test]
    fn copy_takes_the_options_of_both_spellings() {
        let format = |sql: &str| match parse(sql).unwrap().remove(0) {
            Command::Copy(_, format) => format,
            other => panic!("{other:?}"),
        };
        let new = format("COPY (select 1) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';')");
        let old = format("COPY (select 1) TO STDOUT csv header");
        assert!(new.is_csv && new.header && old.is_csv && old.header);
        assert_eq!((new.delimiter, old.delimiter), (b';', b','));
        let text = format("COPY cases (a, b) TO STDOUT");
        assert!(!text.is_csv);
        assert_eq!((text.delimiter, text.null.as_str()), (b'\t', "\\N"));
    }
}
