//! Who may read what: users and their secrets, the policy, and what a session of a user sees.
//!
//! In reading order: a [`ScramSecret`]; [`Users`] of a users file; the [`Policy`], which is data in the queries folder; a
//! [`Grant`], which is a user under a policy; and the [`AuditLog`].

mod audit;
mod barrier;
mod catalog;
mod check;
mod column;
mod error;
mod gathering;
mod grant;
mod policy;
mod rights;
mod scram;
mod users;

pub use audit::{AuditLog, AuditPermit, AuditWriter};
pub(crate) use catalog::Granted;
pub use check::AccessFault;
pub(crate) use column::PSEUDONYM_OF;
pub use error::{AccessError, AuditError};
pub(crate) use gathering::refuse_gathering;
pub use grant::Grant;
pub use policy::{Policy, Role};
pub(crate) use rights::{Extra, RightsCache};
pub use scram::ScramSecret;
pub use users::{DemoUser, Scope, User, Users, new_password};
