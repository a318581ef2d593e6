//! The contract with the source systems: which tables exist, and how bytes on the wire become their rows.
//!
//! **For.** `schemas/*.avsc` say which tables there are, their keys, their clocks and what is private. This crate reads
//! them ([`Contract`]) and turns Kafka messages - Avro in Confluent's framing or JSON, Debezium's envelope or flat rows -
//! into Arrow batches of a table's columns and casewatch's system columns ([`Chunk`]).
//!
//! **Promises.**
//! - Every offset it is given is accounted for exactly once: as a row, a dead letter, a tombstone or a hole.
//! - One bad message costs that message and no other, whatever its bytes; what was wrong is said without repeating data.
//! - Privacy acts here and nowhere later: dropped fields are not decoded, identifiers leave as keyed hashes, dates of
//!   birth as months.
//! - One table takes any mix of writers: other field orders, numeric types, time units, missing optional and unknown
//!   additional fields.
//!
//! **Never.** It never names a table or column of the domain, never panics on data, never dead-letters because the
//! registry is away, never orders by recorded time, never keeps a row as a map of values.
//!
//! The files, in the order data meets them: `name` and `position` (what things are called and where they stand),
//! `parse`, `table` and `contract` (schema files to tables), `privacy` (keys), `topic`
//! (configuration), [`system`] (our columns), `chunk` (what decoding yields).

mod chunk;
mod contract;
mod decode;
mod deliveries;
mod describe;
mod error;
mod name;
mod parse;
mod position;
mod privacy;
mod registry;
pub mod system;
mod table;
mod topic;

pub use chunk::{Chunk, DeadLetter, RawMessage, Reason};
pub use contract::Contract;
pub use decode::{Decoder, framed_schema_id};
pub use deliveries::Deliveries;
pub use error::ContractError;
pub use name::{ClusterName, TableName, TopicName};
pub use position::{Offset, OffsetRange, PartitionId, RecordedAt};
pub use privacy::{
    HmacDomain, HmacKeys, MINIMUM_KEY_BYTES, PSEUDONYM_CHARS, Privacy, REFERENCE_CHARS, ReferenceKey, References,
};
pub use registry::{
    RegisterError, RegistryAuth, RegistryClient, RegistryConfig, SchemaSource, Unavailable, WriterSchema,
};
pub use table::{Column, Reference, Table};
pub use topic::{Encoding, Order, Shape, TopicSpec};
