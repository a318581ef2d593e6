//! What is wrong with a policy: names that there are not, tables and views that nobody decided about, rules that do not
//! plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::barrier::quoted;
use super::grant::Grant;
use super::policy::{Names, Placed, Policy, Role, RowRules, matches};
use super::rights::{Rights, SETS, sets_read};
use crate::engine::{Engine, split_name};
use crate::error::QueryError;
use crate::session::Session;

/// Schemas whose tables come from a running system and are not known without one.
const OF_A_SYSTEM: [&str; 2] = ["lake.", "metrics."];

/// One fault of `access.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFault {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub hint: String,
}

struct Check<'a> {
    engine: &'a Engine,
    policy: &'a Arc<Policy>,
    tables: BTreeSet<String>,
    views: BTreeSet<String>,
    found: Vec<AccessFault>,
}

impl Engine {
    /// Looks for faults in the policy, in the order of its lines. None where there is no policy. Costs a plan of each rule
    /// and view: for `casewatch check`, not for each start.
    pub async fn check_access(&self) -> Vec<AccessFault> {
        let Some(policy) = self.policy() else {
            return Vec::new();
        };
        let mut check = Check {
            engine: self,
            policy,
            tables: self.contract().tables().map(|table| table.name.to_string()).collect(),
            views: self.view_files().iter().map(|view| view.full_name()).collect(),
            found: Vec::new(),
        };
        check.roles();
        check.rows_are_ruled();
        check.references_are_listed();
        check.rules().await;
        check.views_plan().await;
        check.found.sort_by_key(|fault| fault.line);
        check.found.dedup();
        check.found
    }
}

impl Check<'_> {
    fn fault(&mut self, line: usize, message: String, hint: &str) {
        self.found.push(AccessFault {
            line,
            message,
            hint: hint.to_owned(),
        });
    }

    fn is_known(&self, name: &str) -> bool {
        self.tables.contains(name)
            || self.views.contains(name)
            || OF_A_SYSTEM.iter().any(|schema| name.starts_with(schema))
            || self.engine.has_reference(name)
    }

    fn roles(&mut self) {
        let policy = self.policy.clone();
        for (name, role) in &policy.roles {
            for listed in role.reads.listed.iter().chain(&role.denies.listed) {
                self.listed(listed);
            }
            self.decided(name, role);
            for (table, columns) in &role.masks {
                self.masked(role.line, table, columns);
            }
        }
        // Of groups that no role names.
        for group in policy.groups.values() {
            for name in &group.value {
                self.listed(&Placed {
                    value: name.clone(),
                    line: group.line,
                });
            }
        }
    }

    fn listed(&mut self, listed: &Placed<String>) {
        let pattern = listed.value.as_str();
        let there = self.is_known(pattern)
            || (pattern.ends_with('*') && self.tables.iter().chain(&self.views).any(|name| matches(pattern, name)))
            || self.engine.has_reference(pattern);
        if !there {
            let message = format!("there is no table or view \"{pattern}\"");
            self.fault(
                listed.line,
                message,
                "tables stand in schemas/, views in queries/views and queries/quality",
            );
        }
    }

    /// Whoever adds a table or view decides who reads it.
    fn decided(&mut self, role_name: &str, role: &Role) {
        let names: Vec<String> = self.tables.iter().chain(&self.views).cloned().collect();
        let open: Vec<String> = names
            .into_iter()
            .filter(|name| !role.reads.hold(name) && !role.denies.hold(name))
            .collect();
        if !open.is_empty() {
            let message = format!("role {role_name} neither reads nor is denied {}", open.join(", "));
            self.fault(
                role.line,
                message,
                "name them in its reads or its denies, or in a group that is named there",
            );
        }
        let reads_rows = |names: &Names| self.tables.iter().any(|table| names.hold(table));
        if role.history && !reads_rows(&role.reads) {
            let message = format!("role {role_name} reads history and no table");
            self.fault(role.line, message, "history is that of the tables that the role reads");
        }
    }

    fn masked(&mut self, line: usize, table: &str, columns: &BTreeSet<String>) {
        let hint = "write table.column, of a table or of a view that has rows here";
        let Some(described) = self.engine.contract().table(table).cloned() else {
            if !self.policy.rows.contains_key(table) {
                self.fault(
                    line,
                    format!("\"{table}\", of which columns are masked, is no table and no view with rules"),
                    hint,
                );
            }
            return;
        };
        let schema = described.lake_schema();
        for column in columns {
            if schema.index_of(column).is_err() {
                self.fault(line, format!("table {table} has no column \"{column}\" to mask"), hint);
            }
        }
    }

    /// A column that names the key of a table is a reference of the kind that the key is of.
    fn references_are_listed(&mut self) {
        let listed = &self.policy.references;
        let contract = self.engine.contract();
        let kind_of = |column: &str| listed.get(column).map(|kind| kind.value.as_str());
        let mut faults = Vec::new();
        for table in contract.tables() {
            for reference in &table.references {
                let Some(referred) = contract.table(&reference.table) else {
                    continue;
                };
                let column = &table.columns[reference.column].name;
                let key = &referred.columns[referred.key[0]].name;
                let Some(kind) = listed.get(key).filter(|kind| kind_of(column) != Some(&kind.value)) else {
                    continue;
                };
                let message = format!(
                    "{}.{column} refers to {}, whose {key} is a reference of kind {}, and is none itself",
                    table.name, referred.name, kind.value
                );
                faults.push((kind.line, message));
            }
        }
        for (line, message) in faults {
            self.fault(line, message, "name the column beside the other in [references]");
        }
    }

    fn rows_are_ruled(&mut self) {
        let policy = self.policy.clone();
        for table in self.tables.clone() {
            if !policy.rows.contains_key(&table) {
                let message = format!("nothing says whose the rows of table {table} are, so that no role reads any");
                self.fault(
                    1,
                    message,
                    "name it in `of` of a section [[rows]]; the condition `true` lets all rows through",
                );
            }
        }
        for (name, rules) in &policy.rows {
            if !self.is_known(name) {
                let message = format!("there is no table or view \"{name}\"");
                self.fault(
                    rules.line,
                    message,
                    "tables stand in schemas/, views in queries/views and queries/quality",
                );
            }
            for (key, rule) in named(rules) {
                if rule.is_none() {
                    let message = format!("the rows of {name} lack the condition `{key}`: whoever it is for sees none");
                    self.fault(rules.line, message, "the condition `true` lets all rows through");
                }
            }
        }
    }

    /// Every set and condition runs, over whatever the engine has.
    async fn rules(&mut self) {
        let policy = self.policy.clone();
        let rights = Arc::new(Rights::of(&Grant::of_everything(&policy), &self.engine.cut()));
        let (shared, clock) = self.engine.parts();
        let mut broken = BTreeSet::new();
        for (name, sql) in &policy.sets {
            let earlier: Vec<String> = sets_read(shared, &sql.value).unwrap_or_default().into_iter().collect();
            if earlier.iter().any(|read| broken.contains(read)) {
                broken.insert(name.clone());
                continue;
            }
            if let Err(error) = rights.set(shared, clock, name).await {
                let detail = match error {
                    QueryError::Withheld => "it reads a set that does not stand before it".to_owned(),
                    other => other.to_string(),
                };
                self.fault(
                    sql.line,
                    format!("set {name}: {detail}"),
                    "sets read tables, views, scope.* and the sets before them",
                );
                broken.insert(name.clone());
            }
        }
        for (name, rules) in &policy.rows {
            if !self.tables.contains(name) && !self.views.contains(name) {
                continue;
            }
            let rules: Vec<_> = named(rules)
                .into_iter()
                .filter_map(|(key, rule)| Some((key, rule.as_ref()?)))
                .collect();
            let all: Vec<String> = rules.iter().map(|(_, rule)| format!("({})", rule.value)).collect();
            if self.condition(&rights, name, &all.join(" and "), &broken).await.is_ok() {
                continue;
            }
            // Which of them it is.
            for (key, rule) in rules {
                if let Err(error) = self.condition(&rights, name, &rule.value, &broken).await {
                    let message = format!("the condition `{key}` of {name}: {error}");
                    self.fault(
                        rule.line,
                        message,
                        "a condition in SQL over the columns of the table or view",
                    );
                }
            }
        }
    }

    /// Tables cost nothing to read where there are none, views do: of those a plan has to do.
    async fn condition(
        &self,
        rights: &Arc<Rights>,
        name: &str,
        condition: &str,
        broken: &BTreeSet<String>,
    ) -> Result<(), QueryError> {
        let (shared, clock) = self.engine.parts();
        let (schema, table) = split_name(name);
        let place = match schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(table)),
            None => quoted(table),
        };
        let sql = format!("select true as shown from {place} as this where ({condition})");
        let mut extras = rights.scope_tables()?;
        for set in sets_read(shared, &sql)? {
            if broken.contains(&set) {
                return Ok(());
            }
            let rows = rights.set(shared, clock, &set).await.map_err(|error| match error {
                QueryError::Withheld => QueryError::NoSet { name: set.clone() },
                other => other,
            })?;
            extras.push((SETS, set, rows));
        }
        let cuts = watch::channel(self.engine.cut()).1;
        let session = Session::new(shared.clone(), cuts, clock.clone(), None, None).internal(extras);
        if self.views.contains(name) {
            return session.logical_plan(&sql).await.map(drop);
        }
        session.sql(&sql).await?.collect().await.map(drop)
    }

    /// Views without rules plan over what is behind barriers.
    async fn views_plan(&mut self) {
        let policy = self.policy.clone();
        if !self.found.is_empty() {
            return;
        }
        let session = self.engine.session_as(&Grant::of_everything(&policy), None, None);
        let without_rules = self.views.iter().filter(|name| !policy.rows.contains_key(*name));
        for name in without_rules.cloned().collect::<Vec<_>>() {
            let (schema, view) = split_name(&name);
            let place = match schema {
                Some(schema) => format!("{}.{}", quoted(schema), quoted(view)),
                None => quoted(view),
            };
            if let Err(error) = session.logical_plan(&format!("select * from {place}")).await {
                let message = format!("view {name} does not plan over what a user sees: {error}");
                self.fault(1, message, "give it rules of its own in [rows]");
            }
        }
    }
}

fn named(rules: &RowRules) -> [(&'static str, &Option<Placed<String>>); 3] {
    [
        ("authority", &rules.authority),
        ("team", &rules.team),
        ("listed", &rules.listed),
    ]
}
