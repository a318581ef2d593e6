//! What can be wrong with the contract itself: a schema file, a key, a topic's settings. Bad *data* is never an error
//! here; it becomes a dead letter.

use std::path::PathBuf;

use crate::name::{TableName, TopicName};
use crate::privacy::HmacDomain;

#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{file}: {place}: expected {expected}, found {found}\nhint: {hint}")]
    Schema {
        file: String,
        place: String,
        expected: String,
        found: String,
        hint: String,
    },

    #[error("no schema (*.avsc) in {path}\nhint: point `schemas` at the folder with one Avro file a table")]
    NoSchemas { path: PathBuf },

    #[error(
        "no key for the privacy domain `{domain}`, which table {table} needs\nhint: configure a secret of at least 32 bytes for it; the demo's keys are public and protect nobody"
    )]
    MissingKey { domain: HmacDomain, table: TableName },

    #[error("the key for the privacy domain `{domain}` is not usable: {problem}\nhint: {hint}")]
    Key {
        domain: HmacDomain,
        problem: String,
        hint: String,
    },

    #[error("topic {topic}: {problem}\nhint: {hint}")]
    Topic {
        topic: TopicName,
        problem: String,
        hint: String,
    },

    #[error("`{found}` is not a partition id\nhint: the form is cluster/topic/epoch/partition")]
    PartitionId { found: String },

    #[error("the schema registry's settings: {problem}\nhint: {hint}")]
    Registry { problem: String, hint: String },
}
