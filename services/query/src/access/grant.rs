//! A user with the policy resolved: what sessions of that user see.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::policy::{Policy, Role, RowRules};
use super::scram::ScramSecret;
use super::users::{Scope, User};

/// What one user may see, by one policy.
#[derive(Debug)]
pub struct Grant {
    policy: Arc<Policy>,
    role: Arc<Role>,
    user: User,
}

/// How a user sees a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    AsItIs,
    Null,
    /// As the pseudonym of a reference of a kind.
    Pseudonym {
        kind: &'a str,
    },
    /// As it is, and its pseudonym in a column beside it.
    WithPseudonym {
        kind: &'a str,
    },
}

/// Conditions that a row meets to be shown, joined by AND; none where nothing is ever shown.
pub(crate) type Conditions = Option<Vec<String>>;

impl Grant {
    pub(crate) fn new(policy: Arc<Policy>, role: Arc<Role>, user: User) -> Self {
        Self { policy, role, user }
    }

    /// To check a policy: everything has a name, and every condition is applied.
    pub(crate) fn of_everything(policy: &Arc<Policy>) -> Arc<Self> {
        let user = User {
            name: String::new(),
            role: String::new(),
            scope: Scope {
                authorities: Some(BTreeSet::new()),
                teams: Some(BTreeSet::new()),
            },
            secret: ScramSecret::unknowable(),
        };
        Arc::new(Self::new(policy.clone(), Arc::new(Role::of_everything()), user))
    }

    pub fn user(&self) -> &User {
        &self.user
    }

    pub fn role_name(&self) -> &str {
        &self.user.role
    }

    pub fn role(&self) -> &Role {
        &self.role
    }

    pub fn scope(&self) -> &Scope {
        &self.user.scope
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Whether a table or view is there at all: `schema` is none for those that need none.
    pub fn reads(&self, schema: Option<&str>, name: &str) -> bool {
        let full_name = match schema {
            None | Some(crate::planning::DEFAULT_SCHEMA) => name.to_owned(),
            Some("history") => return self.role().history && self.reads(None, name),
            Some(schema) => format!("{schema}.{name}"),
        };
        self.role.reads(&full_name)
    }

    /// How a column is shown of a table or view, or of its history.
    pub(crate) fn shown(&self, name: &str, column: &str) -> Shown<'_> {
        let role = self.role();
        if role.masks.get(name).is_some_and(|masked| masked.contains(column)) {
            return Shown::Null;
        }
        match self.policy.references.get(column) {
            Some(kind) if !role.sees_references(&kind.value) => Shown::Pseudonym { kind: &kind.value },
            Some(kind) if role.resolves => Shown::WithPseudonym { kind: &kind.value },
            _ => Shown::AsItIs,
        }
    }

    /// The conditions for rows of what has rules.
    pub(crate) fn conditions(&self, rules: &RowRules) -> Conditions {
        let scope = &self.user.scope;
        let wanted = [
            (scope.authorities.is_some(), &rules.authority),
            (scope.teams.is_some(), &rules.team),
            (!self.role().cleared, &rules.listed),
        ];
        let mut conditions = Vec::new();
        for (_, rule) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            conditions.push(rule.as_ref()?.value.clone());
        }
        Some(conditions)
    }
}
