//! SQL over the present, the past and the history: what every number of casewatch is computed with.
//!
//! In reading order: civil time in London and a working-day [`Calendar`]; the SQL functions over them; the queries
//! folder ([`Directory`]); a [`Moment`], which is the tables and the time a plan runs over, and the scan that resolves
//! them when executed; the guard that lets only reading through; the [`Engine`] with its catalogue of views
//! ([`Refresh`], [`Prepared`]) and its [`Session`]s for people; and who may read what ([`Users`], [`Policy`], [`Grant`],
//! [`AuditLog`]). A [`PlainTable`] is the present once more, without the fold.
//!
//! What it promises:
//! - **A plan is made once and run over each cut.** Tables and `as_of()` resolve when the plan is executed, and a
//!   plan that was run before gives what a fresh one gives.
//! - **A view is computed once a cut**, and not at all when nothing it reads has changed.
//! - **Reading only.** A statement that is not a query is refused, whoever sends it.
//! - **A user's statement sees what the policy lets through**, and nothing the user wrote is evaluated on anything else.
//! - **Everything ends.** Each statement has a deadline, which covers its streaming, a bound of memory and of rows.
//! - **What is not known is an error, never a zero**: a moment before a table was known is refused by its date.
//!
//! What it never does: read the wall clock inside a query, write anything, or name a table of the domain.

mod access;
mod as_of;
mod calendar;
mod catalogue;
mod civil;
mod clock_use;
mod deadline;
mod directory;
mod engine;
mod error;
mod functions;
mod guard;
mod history;
mod label;
mod limits;
mod moment;
mod past_tables;
mod plain;
mod planning;
mod pruning;
mod session;
mod unfold;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod plain_tests;

pub use access::{
    AccessError, AccessFault, AuditError, AuditLog, AuditPermit, AuditWriter, DemoUser, Grant, Policy, Role, Scope,
    ScramSecret, User, Users, new_password,
};
pub use as_of::AsOf;
pub use calendar::Calendar;
pub use casewatch_lake::AuditEntry;
pub use catalogue::{Prepared, Refresh};
pub use civil::{end_of_london_day, london_date, london_midnight};
pub use directory::{BYTE_ORDER_MARK, Directory, QueryFile};
pub use engine::{Clock, Engine, EngineConfig};
pub use error::QueryError;
pub use guard::{Forbidden, forbidden_functions, texts_given_to};
pub use history::{HistorySource, LakeHistory, PinnedSnapshot};
pub use limits::Limits;
pub use moment::Moment;
pub use plain::PlainTable;
pub use session::{Answer, Description, Relation, RelationColumn, Session, Surroundings};
