//! Why a statement was refused or failed, for the person who wrote it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::RecordedAt;
use casewatch_live::LiveError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::access::AccessError;

#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    #[error(
        "`{text}` is not a moment; write a date (2018-10-17, the end of that day in London) or a time with its offset (2018-10-17T09:30:00Z)"
    )]
    Moment { text: String },
    #[error("{path}: {detail}")]
    Reference { path: PathBuf, detail: String },
    #[error("{path}: {detail}")]
    QueryFile { path: PathBuf, detail: String },
    #[error("views depend on each other in a circle: {circle}")]
    Circle { circle: String },
    #[error(
        "only reading is allowed here: {statement} is refused; use SELECT, EXPLAIN, SHOW, DESCRIBE or SET casewatch.as_of"
    )]
    NotReading { statement: String },
    #[error("one statement at a time: this text holds {found}")]
    NotOneStatement { found: usize },
    #[error("there is no setting {name}; there are casewatch.as_of, casewatch.known_at and casewatch.reason")]
    Setting { name: String },
    #[error(
        "table {table} is not known before {known_from}: at {known_at} nothing had been read of it, which is not the same as nothing being there"
    )]
    Unknown {
        table: String,
        known_at: RecordedAt,
        known_from: RecordedAt,
    },
    #[error(
        "the first snapshot of table {table} has not ended yet: what the table held at {known_at} is not known; ask for the present, or take the snapshot's rows as always known with --assume-known"
    )]
    SnapshotUnfinished { table: String, known_at: RecordedAt },
    #[error("table {table} was never supplied; what it held at {known_at} is not known")]
    NeverSupplied { table: String, known_at: RecordedAt },
    #[error("the statement took longer than {} s and was cancelled", limit.as_secs_f32())]
    Deadline { limit: Duration },
    #[error("the answer has more than {limit} rows; add a LIMIT or aggregate")]
    Rows { limit: usize },
    #[error("view {view} failed: {source}")]
    View { view: String, source: Arc<QueryError> },
    /// What failed would say more than may be seen; the log has it.
    #[error("what may be seen of the tables cannot be told at the moment; the operator sees why when asking the same")]
    Withheld,
    #[error("there is no set access.{name}")]
    NoSet { name: String },
    #[error("this role reads rows for a reason only: SET casewatch.reason = '...' before each statement")]
    NoReason,
    #[error(
        "this role is shown single rows: {what} would gather several into one; name the columns, and choose rows by WHERE"
    )]
    Gathering { what: &'static str },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("live tables are stopped: {reason}")]
    Stopped { reason: String },
    #[error(transparent)]
    Live(#[from] Arc<LiveError>),
    #[error(
        "a file of the lake was deleted by maintenance or an erasure while the statement was reading it; run the statement again"
    )]
    Overtaken,
    #[error("the lake cannot be read: {detail}")]
    Lake { detail: String },
    #[error("{}", plain(.0))]
    Sql(Arc<DataFusionError>),
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        if let DataFusionError::External(inner) = error.find_root()
            && let Some(own) = inner.downcast_ref::<QueryError>()
        {
            return own.clone();
        }
        Self::Sql(Arc::new(error))
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<LiveError> for QueryError {
    fn from(error: LiveError) -> Self {
        Self::Live(Arc::new(error))
    }
}

/// The message without the backtrace and the layers it went through.
fn plain(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
        },
        DataFusionError::ResourcesExhausted(reason) => {
            format!("the statement needs more memory than it may use: {reason}\nhint: aggregate or filter more")
        }
        _ => error.strip_backtrace(),
    }
}
