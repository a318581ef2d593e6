//! Kafka in, change batches out.
//!
//! Two ways of reading the same topics share one decoder and one flow control:
//!
//! - [`ingestion`]: a member of a consumer group that writes the lake. Kafka's committed offsets are advisory: where
//!   it starts comes from the lake's own positions, and a commit that finds another position there is refused.
//! - [`follower`]: a groupless reader of every partition that feeds the live tables, from the lake's positions on. It
//!   saves [`images`] of them, so that the next start need not read the whole lake.
//!
//! Read the files in data order: [`config`] (what to read), [`raw`] (messages as they came, with the account of every
//! offset), [`flow`] (bounded queues, pause and resume), [`group`] and [`reader`] (the two consumers, a thread each),
//! [`decoding`] (retry while the registry is away), [`ingestion`] and its committers (buffer, flush, commit) and
//! [`follower`], which [`heartbeat`]s of the sources reach as well.
//!
//! [`publish`] tells the dead letters that the lake has on a topic of Kafka.
//!
//! **Invariants**
//! - Memory between Kafka and the lake is bounded: a queue that is full pauses its partitions, it never grows.
//! - An offset is handed on exactly once per assignment: batches of a partition tile without gap or overlap, and a
//!   batch of an older assignment (its generation tells) is never committed after a newer one was handed out.
//! - Nothing here decides that a bad message is lost: it becomes a dead letter, committed with its offset.
//! - No table or column of the domain is named here.

mod committer;
pub mod config;
mod controls;
pub mod decoding;
mod error;
pub mod flow;
pub mod follower;
pub mod group;
pub mod heartbeat;
pub mod images;
pub mod ingestion;
pub mod live_metrics;
pub mod observe;
pub mod publish;
pub mod raw;
pub mod reader;
pub mod start;
mod throttle;
mod trouble;

pub use error::IngestError;
