//! The lake: the whole history of every table as Parquet in Delta Lake tables, committed once.
//!
//! **For.** One Delta table for each schema of the contract, append-only but for maintenance, partitioned by the month
//! in which a change was recorded. Data and the position in Kafka are one atomic fact, so a crash at any instruction
//! loses nothing and doubles nothing. Any engine that reads Delta reads it.
//!
//! **Promises.**
//! - A commit stands on exactly the state it was compared with: positions are read from the very version committed
//!   against, and the commit is one put-if-absent of the next (`log`, `writer`).
//! - Every offset stands once: as a row, a dead letter, a tombstone, a hole, or erased; each commit says which in its own
//!   information, and `lake.commits` shows it for ever (`account`, `run`, `dead_letters`).
//! - Compaction, checkpoints, clean-up and erasure may run beside any number of writers and readers (`maintain`).
//! - An erased subject is gone from data, log and checkpoints, and does not come back (`erase`, `erased`).
//! - Identities in one table went through one generation of keys: whoever has others neither writes nor reads it
//!   (`keys`, `rotate`).
//! - Errors say whether waiting helps ([`LakeError::is_retryable`]).
//!
//! **Never.** It never orders by recorded time, never reads the clock to decide what is committed, never writes a minimum
//! or maximum of a keyed hash, never stores a raw key or an unsealed payload, never lets Delta retry a commit by itself.
//!
//! Delta's log is read and written here; delta-rs gives the actions, the schema conversion and the checkpoints. The
//! reason: it compares application transactions only between concurrent commits and lists the table before each, while
//! the rule here is a comparison with the state at hand, at a cost that does not grow with the table.

mod account;
mod audit;
mod backup;
mod commits;
mod current;
mod dead_letter_publication;
mod dead_letters;
mod durable;
mod erase;
mod erased;
mod erasing;
mod error;
mod file;
mod gaps;
mod keys;
mod lake;
mod log;
pub mod maintain;
mod own_table;
mod partitions;
mod provider;
mod rotate;
mod run;
mod samples;
mod schema;
mod seal;
mod snapshot;
mod store;
mod system;
mod writer;

#[cfg(test)]
mod current_tests;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod privacy_tests;
#[cfg(test)]
mod rotate_tests;
#[cfg(test)]
mod tests;

pub use audit::AuditEntry;
pub use backup::{BackupSummary, restore};
pub use current::Publication;
pub use dead_letter_publication::{DeadLetterPublication, Unpublished};
pub use dead_letters::{DeadLetterFilter, Replayed, StoredDeadLetter};
pub use erase::{Erasure, Subject};
pub use erased::Erased;
pub use erasing::Erasing;
pub use error::{LakeError, is_file_gone};
pub use gaps::AcceptedGaps;
pub use lake::{FORMAT, Lake, LakeConfig};
pub use partitions::TopicLife;
pub use rotate::Rotation;
pub use samples::{Evaluation, StoredSample};
pub use seal::{PayloadKey, PayloadPolicy};
pub use snapshot::Snapshot;
pub use system::SystemTable;
pub use writer::{Committed, TableWriter};
