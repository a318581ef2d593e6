//! Who may read what: `access.toml` in the queries folder. Roles, what each reads and what it is shown of it, and which
//! rows belong to whom, said in SQL over the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::error::AccessError;
use super::grant::Grant;
use super::users::{User, line_of};

/// The file's name in the queries folder.
pub const FILE: &str = "access.toml";

/// Stands for all kinds of references.
const EVERYTHING: &str = "*";

/// Before the name of a group where names are listed.
const GROUP: char = '@';

/// The whole policy of one file.
#[derive(Debug)]
pub struct Policy {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) roles: BTreeMap<String, Arc<Role>>,
    /// In the order in which they are computed.
    pub(crate) sets: Vec<(String, Placed<String>)>,
    /// By full name of a table or view.
    pub(crate) rows: BTreeMap<String, RowRules>,
    pub(crate) groups: BTreeMap<String, Placed<Vec<String>>>,
    /// Which columns, of whatever table or view, refer to records of source systems: the kind, by column.
    pub(crate) references: BTreeMap<String, Placed<String>>,
}

/// A value and the line it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
}

/// What people of one role read.
#[derive(Debug)]
pub struct Role {
    /// For people: what the role is for.
    pub about: String,
    /// Each statement needs a reason, which is told to the audit log and used up by it.
    pub needs_reason: bool,
    /// Rows that one statement may list.
    pub most_rows: Option<usize>,
    pub(crate) line: usize,
    pub(crate) reads: Names,
    pub(crate) denies: Names,
    pub(crate) history: bool,
    pub(crate) cleared: bool,
    pub(crate) bound_to: Option<Bound>,
    /// Columns that are shown as null, by full name of their table.
    pub(crate) masks: BTreeMap<String, BTreeSet<String>>,
    /// Kinds of references that are shown as they are; [`EVERYTHING`] for all. Of others pseudonyms are shown.
    pub(crate) references: BTreeSet<String>,
    /// Beside each reference stands the pseudonym that others are shown.
    pub(crate) resolves: bool,
}

/// To what a user of a role must be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Bound {
    Authorities,
    Teams,
}

/// Names of tables and views: single ones, and whole schemas (`metrics.*`).
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// As written, with groups resolved, and the line.
    pub(crate) listed: Vec<Placed<String>>,
}

/// Which rows of a table or view are whose. Each is a condition in SQL; one that is missing lets nothing through.
#[derive(Debug, Clone)]
pub(crate) struct RowRules {
    pub(crate) line: usize,
    /// For who is bound to authorities.
    pub(crate) authority: Option<Placed<String>>,
    /// For who is bound to teams.
    pub(crate) team: Option<Placed<String>>,
    /// For all but those who are cleared.
    pub(crate) listed: Option<Placed<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    groups: BTreeMap<String, Spanned<Vec<String>>>,
    #[serde(default)]
    sets: Vec<SetEntry>,
    #[serde(default)]
    rows: Vec<RowsEntry>,
    /// Columns by kind.
    #[serde(default)]
    references: BTreeMap<String, Spanned<Vec<String>>>,
    roles: BTreeMap<String, Spanned<RoleEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetEntry {
    name: String,
    sql: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsEntry {
    /// The tables and views.
    of: Spanned<Vec<String>>,
    authority: Option<Spanned<String>>,
    team: Option<Spanned<String>>,
    listed: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    about: String,
    #[serde(default)]
    reads: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    denies: Option<Spanned<Vec<String>>>,
    /// Columns, as `table.column`.
    #[serde(default)]
    masks: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    cleared: bool,
    #[serde(default)]
    bound_to: Option<Bound>,
    #[serde(default)]
    needs_reason: bool,
    #[serde(default)]
    most_rows: Option<usize>,
    #[serde(default)]
    references: Option<Spanned<BTreeSet<String>>>,
    #[serde(default)]
    resolves: bool,
}

impl Policy {
    /// Reads `access.toml` of a queries folder; none when there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read or is no policy; what is wrong in it, with the line.
    pub fn load(queries: &Path) -> Result<Option<Arc<Self>>, AccessError> {
        let path = queries.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path).map(|policy| Some(Arc::new(policy))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AccessError::Read {
                path,
                detail: error.to_string(),
            }),
        }
    }

    /// As [`Policy::load`], of a text that stands at `path`.
    ///
    /// # Errors
    /// What is wrong in it, with the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, AccessError> {
        let file: PolicyFile = toml::from_str(text).map_err(|error| AccessError::Parse {
            path: path.to_owned(),
            detail: error.to_string().trim_end().to_owned(),
        })?;
        let reader = Reader { text, path };
        let groups: BTreeMap<_, _> = file
            .groups
            .into_iter()
            .map(|(name, names)| (name, reader.placed(names)))
            .collect();
        let references = reader.references(file.references)?;
        let mut roles = BTreeMap::new();
        for (name, role) in file.roles {
            let line = reader.line(&role);
            roles.insert(
                name,
                Arc::new(reader.role(role.into_inner(), line, &groups, &references)?),
            );
        }
        let mut rows = BTreeMap::new();
        for entry in file.rows {
            let placed = |rule: Option<Spanned<String>>| rule.map(|rule| reader.placed(rule));
            let of = reader.placed(entry.of);
            let rules = RowRules {
                line: of.line,
                authority: placed(entry.authority),
                team: placed(entry.team),
                listed: placed(entry.listed),
            };
            for name in of.value {
                if rows.insert(name.clone(), rules.clone()).is_some() {
                    let detail = format!("the rows of {name} have rules already");
                    return Err(reader.wrong(of.line, "of", detail, "one [[rows]] speaks of a table or view"));
                }
            }
        }
        Ok(Self {
            rows,
            sets: file
                .sets
                .into_iter()
                .map(|set| (set.name, reader.placed(set.sql)))
                .collect(),
            roles,
            groups,
            references,
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    /// What a user may see.
    ///
    /// # Errors
    /// A role that the policy does not know, or a user of a bound role who is bound to nothing.
    pub fn grant(self: &Arc<Self>, user: &User) -> Result<Arc<Grant>, AccessError> {
        let Some(role) = self.roles.get(&user.role) else {
            let known: Vec<&str> = self.roles.keys().map(String::as_str).collect();
            return Err(AccessError::NoRole {
                user: user.name.clone(),
                role: user.role.clone(),
                known: known.join(", "),
            });
        };
        let unbound = match role.bound_to {
            Some(Bound::Authorities) if user.scope.authorities.is_none() => Some("authorities"),
            Some(Bound::Teams) if user.scope.teams.is_none() => Some("its teams"),
            _ => None,
        };
        if let Some(to) = unbound {
            return Err(AccessError::Unbound {
                user: user.name.clone(),
                role: user.role.clone(),
                to,
            });
        }
        Ok(Arc::new(Grant::new(self.clone(), role.clone(), user.clone())))
    }

    /// The file, and its text as it was read.
    pub fn file(&self) -> (&Path, &str) {
        (&self.path, &self.text)
    }

    /// Names of the roles with what each is for.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.roles.iter().map(|(name, role)| (name.as_str(), role.as_ref()))
    }
}

impl Role {
    /// Whether a table or view is read. A single name counts more than a whole schema, and of two alike the denial.
    pub(crate) fn reads(&self, full_name: &str) -> bool {
        !self.denies.name(full_name)
            && (self.reads.name(full_name) || (self.reads.hold(full_name) && !self.denies.hold(full_name)))
    }

    /// Whether references of a kind are shown as they are.
    pub(crate) fn sees_references(&self, kind: &str) -> bool {
        self.references.contains(EVERYTHING) || self.references.contains(kind)
    }

    /// To check a policy.
    pub(crate) fn of_everything() -> Self {
        let everything = ["*", "quality.*", "reference.*"].map(|name| Placed {
            value: name.to_owned(),
            line: 1,
        });
        Self {
            about: String::new(),
            needs_reason: false,
            most_rows: None,
            line: 1,
            reads: Names {
                listed: everything.into(),
            },
            denies: Names::default(),
            history: true,
            cleared: false,
            bound_to: None,
            masks: BTreeMap::new(),
            references: BTreeSet::from([EVERYTHING.to_owned()]),
            resolves: false,
        }
    }
}

impl Names {
    /// Whether a full name is among them by itself.
    pub(crate) fn name(&self, full_name: &str) -> bool {
        self.listed.iter().any(|listed| listed.value == full_name)
    }

    /// Whether a full name (`metrics.samples`, `open_things`) is among them, by itself or with its schema.
    pub(crate) fn hold(&self, full_name: &str) -> bool {
        self.listed.iter().any(|listed| matches(&listed.value, full_name))
    }
}

/// `schema.*` stands for all of a schema; `*` for all that have none.
pub(crate) fn matches(pattern: &str, full_name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => !full_name.contains('.'),
        Some(schema) => full_name.starts_with(schema) && schema.ends_with('.'),
        None => pattern == full_name,
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn line<T>(&self, value: &Spanned<T>) -> usize {
        line_of(self.text, value.span().start)
    }

    fn placed<T>(&self, value: Spanned<T>) -> Placed<T> {
        Placed {
            line: self.line(&value),
            value: value.into_inner(),
        }
    }

    fn wrong(&self, line: usize, key: &str, detail: String, hint: &str) -> AccessError {
        AccessError::Value {
            path: self.path.to_owned(),
            line,
            key: key.to_owned(),
            detail,
            hint: hint.to_owned(),
        }
    }

    fn references(
        &self,
        kinds: BTreeMap<String, Spanned<Vec<String>>>,
    ) -> Result<BTreeMap<String, Placed<String>>, AccessError> {
        let mut by_column: BTreeMap<String, Placed<String>> = BTreeMap::new();
        for (kind, columns) in kinds {
            let columns = self.placed(columns);
            for column in columns.value {
                let placed = Placed {
                    value: kind.clone(),
                    line: columns.line,
                };
                if let Some(other) = by_column.insert(column.clone(), placed) {
                    let detail = format!("{column} is a reference of kind {} already", other.value);
                    return Err(self.wrong(columns.line, &kind, detail, "a column has one kind, in whatever table"));
                }
            }
        }
        Ok(by_column)
    }

    fn role(
        &self,
        role: RoleEntry,
        line: usize,
        groups: &BTreeMap<String, Placed<Vec<String>>>,
        references: &BTreeMap<String, Placed<String>>,
    ) -> Result<Role, AccessError> {
        let kinds = role.references.map(|kinds| self.placed(kinds));
        for kind in kinds.iter().flat_map(|kinds| &kinds.value) {
            if kind != EVERYTHING && !references.values().any(|known| known.value == *kind) {
                let line = kinds.as_ref().map_or(line, |kinds| kinds.line);
                let detail = format!("there are no references of kind \"{kind}\"");
                return Err(self.wrong(line, "references", detail, "kinds stand in the section [references]"));
            }
        }
        let mut masks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        if let Some(columns) = role.masks {
            let line = self.line(&columns);
            for column in columns.into_inner() {
                let Some((table, column)) = column.rsplit_once('.') else {
                    let detail = format!("\"{column}\" names no column");
                    return Err(self.wrong(line, "masks", detail, "write table.column"));
                };
                masks.entry(table.to_owned()).or_default().insert(column.to_owned());
            }
        }
        Ok(Role {
            about: role.about,
            needs_reason: role.needs_reason,
            most_rows: role.most_rows,
            line,
            reads: self.names("reads", role.reads, groups)?,
            denies: self.names("denies", role.denies, groups)?,
            history: role.history,
            cleared: role.cleared,
            bound_to: role.bound_to,
            masks,
            references: kinds.map(|kinds| kinds.value).unwrap_or_default(),
            resolves: role.resolves,
        })
    }

    fn names(
        &self,
        key: &str,
        names: Option<Spanned<Vec<String>>>,
        groups: &BTreeMap<String, Placed<Vec<String>>>,
    ) -> Result<Names, AccessError> {
        let Some(names) = names else {
            return Ok(Names::default());
        };
        let line = self.line(&names);
        let mut listed = Vec::new();
        for name in names.into_inner() {
            let Some(group) = name.strip_prefix(GROUP) else {
                listed.push(Placed { value: name, line });
                continue;
            };
            let Some(group) = groups.get(group) else {
                let detail = format!("there is no group \"{group}\"");
                return Err(self.wrong(line, key, detail, "groups stand in the section [groups]"));
            };
            listed.extend(group.value.iter().map(|name| Placed {
                value: name.clone(),
                line: group.line,
            }));
        }
        Ok(Names { listed })
    }
}
