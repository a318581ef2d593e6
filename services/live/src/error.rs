//! What can go wrong while folding: a batch of a wrong shape, or no memory left.

use arrow::error::ArrowError;
use casewatch_contract::TableName;
use casewatch_lake::LakeError;
use datafusion::error::DataFusionError;

#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("table {table} has no live table: it is not in the contract")]
    UnknownTable { table: TableName },
    #[error("a change batch of table {table} lacks column {column}")]
    MissingColumn { table: TableName, column: String },
    #[error("a change batch of table {table} cannot be folded: {source}")]
    Fold { table: TableName, source: ArrowError },
    #[error(
        "live tables stopped: they need {needed_bytes} bytes and may use {limit_bytes}; raise the limit of live memory and restart"
    )]
    MemoryLimit { needed_bytes: usize, limit_bytes: usize },
    #[error(
        "history of table {table} is not complete: rows not yet in the lake were dropped to stay below {limit_bytes} bytes; wait until the lake has caught up"
    )]
    TailDropped { table: TableName, limit_bytes: usize },
    #[error("the lake cannot be read: {0}")]
    Lake(Box<LakeError>),
    #[error("history of table {table} cannot be read: {source}")]
    History { table: TableName, source: DataFusionError },
}

impl From<LakeError> for LiveError {
    fn from(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }
}
