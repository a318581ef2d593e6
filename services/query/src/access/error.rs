//! Why a user, a policy or an entry of the audit log was refused. Never a secret, never a person's data.

use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessError {
    #[error("{}: cannot be read: {detail}", path.display())]
    Read { path: PathBuf, detail: String },
    #[error("{}: cannot be written: {detail}", path.display())]
    Write { path: PathBuf, detail: String },
    /// The text is no TOML, or a key is missing, unknown or of a wrong type; `detail` shows the line.
    #[error("{}: {detail}", path.display())]
    Parse { path: PathBuf, detail: String },
    /// A value that may not be.
    #[error("{}:{line}: {key}: {detail}\nhint: {hint}", path.display())]
    Value {
        path: PathBuf,
        line: usize,
        key: String,
        detail: String,
        hint: String,
    },
    #[error("{}: there is no user {name}\nhint: casewatch user list", path.display())]
    NoUser { path: PathBuf, name: String },
    #[error("{}: user {name} is there already\nhint: casewatch user password {name}, or casewatch user remove {name}", path.display())]
    UserExists { path: PathBuf, name: String },
    #[error(
        "there is no access policy: nobody but the operator reads anything\nhint: queries/access.toml says who may read what"
    )]
    NoPolicy,
    #[error("user {user} has the role {role}, which access.toml does not know\nhint: it has {known}")]
    NoRole { user: String, role: String, known: String },
    #[error(
        "user {user}: role {role} is bound to {to}, and none are given\nhint: name them for the user in the users file"
    )]
    Unbound {
        user: String,
        role: String,
        to: &'static str,
    },
}

/// Why a statement cannot be told to the audit log. Whoever gets it shows no rows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError {
    #[error(
        "the audit log cannot take more at the moment, and no rows are shown that it does not know of\nhint: the lake may be away; try again"
    )]
    Full,
    #[error("the audit log is closed: the system is stopping")]
    Closed,
}
