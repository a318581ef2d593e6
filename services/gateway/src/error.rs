//! What went wrong, as PostgreSQL tells it: a state of five characters, a message, where it stands, what to do.

use arrow::error::ArrowError;
use casewatch_query::QueryError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use pgwire::error::ErrorInfo;
use pgwire::messages::response::ErrorResponse;

/// The states of PostgreSQL's errcodes.txt that are used here.
pub(crate) mod state {
    pub(crate) const CONNECTION_FAILURE: &str = "08006";
    pub(crate) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(crate) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(crate) const DIVISION_BY_ZERO: &str = "22012";
    pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const READ_ONLY: &str = "25006";
    pub(crate) const FAILED_TRANSACTION: &str = "25P02";
    pub(crate) const INVALID_STATEMENT_NAME: &str = "26000";
    pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
    pub(crate) const INVALID_PASSWORD: &str = "28P01";
    pub(crate) const INVALID_CURSOR_NAME: &str = "34000";
    pub(crate) const INVALID_CATALOG_NAME: &str = "3D000";
    pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(crate) const SYNTAX_ERROR: &str = "42601";
    pub(crate) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(crate) const UNDEFINED_COLUMN: &str = "42703";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const DATATYPE_MISMATCH: &str = "42804";
    pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
    pub(crate) const UNDEFINED_TABLE: &str = "42P01";
    pub(crate) const OUT_OF_MEMORY: &str = "53200";
    pub(crate) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(crate) const CONFIGURATION_LIMIT: &str = "53400";
    pub(crate) const PROGRAM_LIMIT: &str = "54000";
    pub(crate) const NOT_IN_PREREQUISITE_STATE: &str = "55000";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
    pub(crate) const IDLE_TIMEOUT: &str = "57P05";
    pub(crate) const INTERNAL: &str = "XX000";
}

/// An error as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// In characters of the statement, from 1.
    pub(crate) position: Option<usize>,
    /// The connection ends with it.
    pub(crate) fatal: bool,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            fatal: false,
        }
    }

    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            fatal: true,
            ..Self::new(code, message)
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(state::QUERY_CANCELED, "canceling statement due to user request")
    }

    pub(crate) fn response(self) -> ErrorResponse {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut info = ErrorInfo::new(severity.to_owned(), self.code.to_owned(), self.message);
        info.severity_nonlocalized = Some(severity.to_owned());
        info.detail = self.detail;
        info.hint = self.hint;
        info.position = self.position.map(|position| position.to_string());
        info.into()
    }

    /// An error of a statement whose text is known: it says where in the text.
    pub(crate) fn of_query(error: &QueryError, sql: &str) -> Self {
        match error {
            QueryError::NotReading { .. } => Self::new(state::READ_ONLY, error.to_string()),
            QueryError::NotOneStatement { .. } => Self::new(state::SYNTAX_ERROR, error.to_string()),
            QueryError::Setting { .. } => Self::new(state::UNDEFINED_OBJECT, error.to_string()),
            QueryError::Moment { .. } => Self::new(state::INVALID_PARAMETER_VALUE, error.to_string()),
            QueryError::Deadline { limit } => Self::new(
                state::QUERY_CANCELED,
                format!("canceling statement: it took longer than {} s", limit.as_secs_f32()),
            )
            .hint("aggregate or filter more, or ask for fewer days of the past"),
            QueryError::Rows { limit } => Self::new(
                state::CONFIGURATION_LIMIT,
                format!("the answer has more than {limit} rows"),
            )
            .hint("add a LIMIT, or aggregate"),
            QueryError::Unknown { .. } | QueryError::SnapshotUnfinished { .. } | QueryError::NeverSupplied { .. } => {
                Self::new(state::NOT_IN_PREREQUISITE_STATE, error.to_string())
                    .hint("ask for a later moment with SET casewatch.known_at")
            }
            QueryError::Sql(error) => Self::of_datafusion(error, sql),
            QueryError::View { source, .. } => Self {
                position: None,
                message: error.to_string(),
                ..Self::of_query(source, sql)
            },
            QueryError::NoReason => Self::new(state::INSUFFICIENT_PRIVILEGE, "this role reads rows for a reason only")
                .hint("SET casewatch.reason = '...' before each statement"),
            QueryError::Access(_) | QueryError::Withheld | QueryError::Gathering { .. } => {
                Self::new(state::INSUFFICIENT_PRIVILEGE, error.to_string())
            }
            other => Self::new(state::INTERNAL, other.to_string()),
        }
    }

    pub(crate) fn of_datafusion(error: &DataFusionError, sql: &str) -> Self {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<QueryError>() {
                Some(own) => Self::of_query(own, sql),
                None => Self::new(state::INTERNAL, inner.to_string()),
            },
            DataFusionError::SQL(error, _) => Self::of_parser(error, sql),
            DataFusionError::SchemaError(error, _) => Self::of_schema(error, sql),
            DataFusionError::Plan(message) => Self::of_plan(message, sql),
            DataFusionError::ResourcesExhausted(reason) => Self {
                detail: Some(reason.clone()),
                ..Self::new(state::OUT_OF_MEMORY, "the statement needs more memory than it may use")
                    .hint("aggregate or filter more")
            },
            DataFusionError::NotImplemented(message) => Self::new(state::FEATURE_NOT_SUPPORTED, message.clone()),
            DataFusionError::ArrowError(error, _) => Self::of_arrow(error),
            DataFusionError::Execution(message) => Self::new(state::INVALID_PARAMETER_VALUE, message.clone()),
            other => Self::new(state::INTERNAL, other.strip_backtrace()),
        }
    }

    pub(crate) fn of_parser(error: &ParserError, sql: &str) -> Self {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
        };
        let (message, place) = split_place(&text);
        Self {
            position: match place {
                Some((line, column)) => position_of(sql, line, column),
                None if message.ends_with("found: EOF") => Some(sql.chars().count() + 1),
                None => None,
            },
            ..Self::new(state::SYNTAX_ERROR, format!("syntax error: {message}"))
        }
    }

    fn of_schema(error: &SchemaError, sql: &str) -> Self {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let failure = Self::new(
                    state::UNDEFINED_COLUMN,
                    format!("column \"{}\" does not exist", field.flat_name()),
                );
                let near = nearest(&field.name, valid_fields.iter().map(|valid| valid.name.as_str()));
                let mut failure = failure.at(&field.name, sql);
                let known: Vec<&str> = valid_fields.iter().take(40).map(|valid| valid.name.as_str()).collect();
                if !known.is_empty() {
                    failure.detail = Some(format!("there are {}", known.join(", ")));
                }
                match near {
                    Some(near) => failure.hint(format!("perhaps you meant the column \"{near}\"")),
                    None => failure,
                }
            }
            SchemaError::AmbiguousReference { field } => Self::new(
                state::AMBIGUOUS_COLUMN,
                format!("column reference \"{}\" is ambiguous", field.name),
            )
            .at(&field.name, sql),
            other => Self::new(state::SYNTAX_ERROR, other.to_string()),
        }
    }

    fn of_plan(message: &str, sql: &str) -> Self {
        let quoted = message.split('\'').nth(1);
        if message.starts_with("table '") && message.contains("not found") {
            let full = quoted.unwrap_or_default();
            let name = full.strip_prefix("casewatch.").unwrap_or(full);
            let shown = name.strip_prefix("public.").unwrap_or(name);
            let last = name.rsplit('.').next().unwrap_or(name);
            return Self::new(state::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"))
                .at(last, sql)
                .hint("\\d lists the tables and views that you may read");
        }
        if message.starts_with("Invalid function") {
            let name = quoted.unwrap_or_default();
            return Self::new(state::UNDEFINED_FUNCTION, format!("function {name} does not exist")).at(name, sql);
        }
        let code = match message {
            _ if message.contains("coerce") || message.contains("data type") => state::DATATYPE_MISMATCH,
            _ => state::SYNTAX_ERROR,
        };
        Self::new(code, lowercase_start(message))
    }

    pub(crate) fn of_arrow(error: &ArrowError) -> Self {
        let code = match error {
            ArrowError::DivideByZero => state::DIVISION_BY_ZERO,
            ArrowError::CastError(_) | ArrowError::ParseError(_) => state::INVALID_TEXT_REPRESENTATION,
            ArrowError::MemoryError(_) => state::OUT_OF_MEMORY,
            _ => state::INVALID_PARAMETER_VALUE,
        };
        match error {
            ArrowError::DivideByZero => Self::new(code, "division by zero"),
            other => Self::new(code, lowercase_start(&other.to_string())),
        }
    }

    /// Says where a name first stands in the statement.
    fn at(self, name: &str, sql: &str) -> Self {
        let bytes = sql.to_lowercase();
        let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let lower = name.to_lowercase();
        let found = bytes.match_indices(&lower).find(|(start, found)| {
            let all = bytes.as_bytes();
            !is_word(start.checked_sub(1).and_then(|before| all.get(before))) && !is_word(all.get(start + found.len()))
        });
        Self {
            position: found.map(|(start, _)| bytes[..start].chars().count() + 1),
            ..self
        }
    }
}

fn lowercase_start(message: &str) -> String {
    let mut characters = message.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => message.to_owned(),
    }
}

/// `... at Line: 1, Column: 8`
fn split_place(message: &str) -> (&str, Option<(usize, usize)>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let numbers = place.split_once(", Column: ").and_then(|(line, column)| {
        let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
        Some((line.parse().ok()?, digits.parse().ok()?))
    });
    (text, numbers)
}

fn position_of(sql: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = sql
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(|line| line.chars().count())
        .sum();
    Some(before + column)
}

/// The candidate that differs by few letters.
fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = candidates
        .map(|candidate| {
            (
                datafusion::common::utils::datafusion_strsim::levenshtein(wanted, candidate),
                candidate,
            )
        })
        .min()?;
    (best.0 <= 1 + wanted.len() / 3).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::common::Column;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn a_mistake_in_the_syntax_is_placed_where_it_stands() {
        let placed = |sql: &str| {
            let error = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap_err();
            let failure = Failure::of_parser(&error, sql);
            (failure.code, failure.position)
        };
        assert_eq!(placed("select 1\nfrom cases where = 2"), ("42601", Some(27)));
        assert_eq!(placed("select 1 from cases where"), ("42601", Some(26)));
    }

    #[test]
    fn names_that_are_not_there_are_told_with_their_place() {
        let sql = "select stat from allocation_state";
        let error = DataFusionError::SchemaError(
            Box::new(SchemaError::FieldNotFound {
                field: Box::new(Column::from_name("stat")),
                valid_fields: vec![Column::from_name("state")],
            }),
            Box::new(None),
        );
        let failure = Failure::of_datafusion(&error, sql);
        assert_eq!((failure.code, failure.position), ("42703", Some(8)));
        assert_eq!(failure.hint.as_deref(), Some("perhaps you meant the column \"state\""));
        let error = DataFusionError::Plan("table 'casewatch.public.nothing' not found".to_owned());
        let failure = Failure::of_datafusion(&error, "select * from nothing");
        assert_eq!((failure.code, failure.position), ("42P01", Some(15)));
        assert_eq!(failure.message, "relation \"nothing\" does not exist");
    }

    #[test]
    fn writing_and_waiting_too_long_have_states_of_their_own() {
        let code = |error: QueryError| Failure::of_query(&error, "").code;
        assert_eq!(
            code(QueryError::NotReading {
                statement: "DROP TABLE".to_owned()
            }),
            "25006"
        );
        let limit = std::time::Duration::from_secs(1);
        assert_eq!(code(QueryError::Deadline { limit }), "57014");
        assert_eq!(code(QueryError::Rows { limit: 5 }), "53400");
    }
}
