//! Prepared statements and what is bound to them.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{Expr, Statement};

use crate::copy::CopyFormat;
use crate::error::{Failure, state};
use crate::running::Running;
use crate::statement::Command;

/// Prepared statements, and portals, of one connection.
const MOST: usize = 1_000;

/// A statement that was parsed; without a command it is empty.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) sql: String,
    pub(crate) command: Option<Command>,
    /// Numbers of types, as the client declared them; 0 where it leaves that open.
    pub(crate) declared: Vec<u32>,
    /// How many parameters its text has.
    pub(crate) count: usize,
    /// Once somebody asked.
    pub(crate) described: Option<DescribedStatement>,
}

/// What a statement takes and gives.
#[derive(Clone)]
pub(crate) struct DescribedStatement {
    /// Numbers of types.
    pub(crate) parameters: Vec<u32>,
    pub(crate) schema: SchemaRef,
}

/// A statement with its values, or a cursor.
pub(crate) struct Portal {
    pub(crate) sql: String,
    pub(crate) command: Option<Command>,
    /// Of its columns, as the client wants them.
    pub(crate) formats: Vec<i16>,
    /// Once it was begun.
    pub(crate) running: Option<Running>,
}

impl Portal {
    pub(crate) fn new(sql: String, command: Option<Command>, formats: Vec<i16>) -> Self {
        Self {
            sql,
            command,
            formats,
            running: None,
        }
    }
}

impl Prepared {
    /// The command with values in the places of its parameters.
    pub(crate) fn bound(&self, values: &BTreeMap<usize, Expr>) -> Option<Command> {
        let with_values = |statement: &Statement| {
            let mut statement = statement.clone();
            crate::parameters::bind(&mut statement, values);
            Box::new(statement)
        };
        let command = self.command.as_ref()?;
        Some(match command {
            _ if values.is_empty() => command.clone(),
            Command::Read(statement, tag) => Command::Read(with_values(statement), tag),
            Command::Copy(statement, format) => Command::Copy(with_values(statement), CopyFormat::clone(format)),
            Command::Declare { name, query } => Command::Declare {
                name: name.clone(),
                query: with_values(query),
            },
            other => other.clone(),
        })
    }
}

/// Puts an entry under its name, within bounds.
pub(crate) fn put<T>(all: &mut HashMap<String, T>, name: &str, entry: T, what: &str) -> Result<(), Failure> {
    if all.len() >= MOST && !all.contains_key(name) {
        let failure = Failure::new(
            state::CONFIGURATION_LIMIT,
            format!("a connection has at most {MOST} {what}"),
        );
        return Err(failure.hint("close those that are not needed"));
    }
    all.insert(name.to_owned(), entry);
    Ok(())
}
