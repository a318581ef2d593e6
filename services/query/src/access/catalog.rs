//! The catalog of a user's statement: only what the grant lets through has a name in it.
//!
//! Three catalogs, one inside the other. The user's own has the granted names and no other. The one within has what
//! granted views are made of: tables and views behind their barriers. The innermost has every table as it is; only barriers
//! read it. A view that has row rules is computed over the innermost, for everybody alike, and its rows are filtered;
//! any other view is planned over what is behind barriers itself.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::catalog::{MemoryCatalogProviderList, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::Expr;

use super::barrier::{Barrier, Behind, Deletes, Guarded};
use super::grant::Grant;
use super::rights::Rights;
use crate::deadline::Deadline;
use crate::engine::{Clock, References, Shared, split_name};
use crate::error::QueryError;
use crate::guard::{self, Request};
use crate::history::AtFunction;
use crate::moment::MomentCell;
use crate::planning::register_table;
use crate::session::with_views;
use crate::unfold::View;

/// A statement of a user, about to be planned.
pub(crate) struct Granted {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) rights: Arc<Rights>,
    pub(crate) cell: Arc<MomentCell>,
    pub(crate) deadline: Arc<Deadline>,
}

/// What is being registered for one statement.
struct Making<'a> {
    granted: &'a Granted,
    behind: Arc<Behind>,
    inside: SessionState,
    outside: &'a SessionState,
    numbers: Arc<AtomicUsize>,
}

impl Granted {
    /// Gives names to what the statement refers to and the grant lets through. Returns the tables behind them.
    ///
    /// # Errors
    /// Views that are broken, for the operator, too.
    pub(crate) async fn register(
        &self,
        state: &mut SessionState,
        at: AtFunction,
        references: &References,
    ) -> Result<References, QueryError> {
        let numbers = Arc::new(AtomicUsize::new(0));
        let raw = with_own_catalog(state);
        for (schema, name, table) in self.rights.scope_tables()? {
            register_table(&raw, Some(schema), &name, table)?;
        }
        let behind = Arc::new(Behind {
            state: raw,
            shared: self.shared.clone(),
            clock: self.clock.clone(),
            rights: self.rights.clone(),
            deadline: self.deadline.clone(),
        });
        let at = Arc::new(GrantedAt {
            inner: at,
            behind: behind.clone(),
            numbers: numbers.clone(),
        });
        state.register_udtf("at", at.clone());
        let mut inside = with_own_catalog(state);
        inside.register_udtf("at", at);
        let making = Making {
            granted: self,
            behind,
            inside,
            outside: state,
            numbers,
        };
        making.all(references).await
    }

    fn grant(&self) -> &Arc<Grant> {
        self.rights.grant()
    }

    /// Views that have no row rules and are behind the wanted ones, these included; and what they read in the end.
    fn unfolded(
        &self,
        state: &SessionState,
        wanted: &References,
    ) -> Result<(BTreeSet<String>, References), QueryError> {
        let policy = self.grant().policy();
        let mut views = BTreeSet::new();
        let mut read = References {
            tables: wanted.tables.clone(),
            history: wanted.history.clone(),
            ..References::default()
        };
        let mut waiting: Vec<String> = wanted.views.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            if policy.rows.contains_key(&name) {
                read.views.insert(name);
                continue;
            }
            let Some(file) = self.shared.view_file(&name) else {
                continue;
            };
            if !views.insert(name) {
                continue;
            }
            // What does not parse is refused where it is planned.
            let Ok(Request::Read(statement)) = guard::parse(&file.sql) else {
                continue;
            };
            let found = self.shared.references(state, &statement)?;
            read.tables.extend(found.tables);
            read.history.extend(found.history);
            waiting.extend(found.views);
        }
        Ok((views, read))
    }
}

impl Making<'_> {
    async fn all(&self, references: &References) -> Result<References, QueryError> {
        let (shared, grant, cell) = (&self.granted.shared, self.granted.grant(), &self.granted.cell);
        let permitted = |names: &BTreeSet<String>, schema: Option<&str>| -> BTreeSet<String> {
            let permitted = names.iter().filter(|name| match schema {
                Some(schema) => grant.reads(Some(schema), name),
                None => {
                    let (schema, name) = split_name(name);
                    grant.reads(schema, name)
                }
            });
            permitted.cloned().collect()
        };
        let wanted = References {
            tables: permitted(&references.tables, None),
            views: permitted(&references.views, None),
            history: permitted(&references.history, Some("history")),
            beyond_the_moment: references.beyond_the_moment,
        };
        let (views, read) = self.granted.unfolded(self.outside, &wanted)?;
        // Innermost: everything as it is.
        let raw = &self.behind.state;
        let everything = with_views(shared, raw, &read, cell).await?;
        shared.register_tables(raw, &everything, cell)?;
        for name in &read.tables {
            self.guard(None, name, wanted.tables.contains(name)).await?;
        }
        for name in &read.history {
            self.guard(Some("history"), name, wanted.history.contains(name)).await?;
        }
        for name in &read.views {
            let (schema, view) = split_name(name);
            self.guard(schema, view, wanted.views.contains(name)).await?;
        }
        for (schema, name) in shared.other_names() {
            self.guard(Some(&schema), &name, grant.reads(Some(&schema), &name))
                .await?;
        }
        for name in shared.views_behind(&views)?.iter().filter(|name| views.contains(*name)) {
            self.plan_view(name, wanted.views.contains(name)).await?;
        }
        Ok(everything)
    }

    /// Puts what stands in the innermost catalog behind a barrier. What has no row rules and is no table or view of people's
    /// rows - a reference, the metrics' past - is shown whole.
    async fn guard(&self, schema: Option<&str>, name: &str, named: bool) -> Result<(), QueryError> {
        let Some(inner) = table_of(&self.behind.state, schema, name).await? else {
            return Ok(());
        };
        let shared = &self.granted.shared;
        let table = shared.contract.table(name);
        let (rules_of, deletes) = match schema {
            None => (name.to_owned(), None),
            Some("history") => (
                name.to_owned(),
                table.map(|table| Deletes {
                    key: table
                        .key
                        .iter()
                        .map(|&column| table.columns[column].name.as_str())
                        .collect(),
                }),
            ),
            Some(schema) => (format!("{schema}.{name}"), None),
        };
        let is_of_rows = table.is_some() && matches!(schema, None | Some("history"));
        let full_name = match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        };
        let Some(guarded) = guarded(
            &self.behind,
            &self.numbers,
            (&full_name, &rules_of),
            is_of_rows,
            inner,
            deletes,
        )?
        else {
            return Ok(());
        };
        register_table(&self.inside, schema, name, guarded.clone())?;
        if named {
            register_table(self.outside, schema, name, guarded)?;
        }
        Ok(())
    }

    async fn plan_view(&self, full_name: &str, named: bool) -> Result<(), QueryError> {
        let Some(file) = self.granted.shared.view_file(full_name) else {
            return Ok(());
        };
        let planned = async {
            let Request::Read(statement) = guard::parse(&file.sql)? else {
                return Err(QueryError::Withheld);
            };
            Ok(self.inside.statement_to_plan(*statement).await?)
        };
        let plan = match planned.await {
            Ok(plan) => plan,
            Err(error) => {
                // For its user it is not there: what it lacks may be what may not be seen.
                tracing::warn!(
                    view = full_name,
                    role = self.granted.grant().role_name(),
                    "a view cannot be planned: {error}"
                );
                return Ok(());
            }
        };
        let (schema, name) = split_name(full_name);
        // Without its text, which names what it is made of.
        let view = Arc::new(View::new(plan, None)?);
        register_table(&self.inside, schema, name, view.clone())?;
        if named {
            register_table(self.outside, schema, name, view)?;
        }
        Ok(())
    }
}

/// `inner` behind a barrier, or none where nothing of it is ever shown.
fn guarded(
    behind: &Arc<Behind>,
    numbers: &AtomicUsize,
    (full_name, rules_of): (&str, &str),
    is_of_rows: bool,
    inner: Arc<dyn TableProvider>,
    deletes: Option<Deletes<'_>>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let grant = behind.rights.grant();
    let conditions = match grant.policy().rows.get(rules_of) {
        Some(rules) => grant.conditions(rules),
        None if is_of_rows => None,
        None => Some(Vec::new()),
    };
    let Some(conditions) = conditions else {
        return Ok(None);
    };
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    let guarded = Guarded {
        name: full_name,
        rules_of,
        number,
    };
    let barrier = Barrier::new(&guarded, inner, &conditions, deletes, behind)?;
    Ok(Some(barrier))
}

/// The same session over an empty catalog.
fn with_own_catalog(state: &SessionState) -> SessionState {
    SessionStateBuilder::new_from_existing(state.clone())
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
        .build()
}

async fn table_of(
    state: &SessionState,
    schema: Option<&str>,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
    let catalog = state.catalog_list().catalog(crate::planning::CATALOG);
    let schema = catalog.and_then(|catalog| catalog.schema(schema.unwrap_or(crate::planning::DEFAULT_SCHEMA)));
    match schema {
        Some(schema) => Ok(schema.table(name).await?),
        None => Ok(None),
    }
}

/// `at()` over what the grant lets through: another table is as unknown as one that there is not.
struct GrantedAt {
    inner: AtFunction,
    behind: Arc<Behind>,
    numbers: Arc<AtomicUsize>,
}

impl fmt::Debug for GrantedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("at(table, known_at)")
    }
}

impl TableFunctionImpl for GrantedAt {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let Some(name) = named_table(&arguments) else {
            return self.inner.call_with_args(arguments);
        };
        let unknown = || plan_err!("at() knows no table '{name}'");
        if !self.behind.rights.grant().reads(None, &name) {
            return unknown();
        }
        let inner = self.inner.call_with_args(arguments)?;
        match guarded(&self.behind, &self.numbers, (&name, &name), true, inner, None)? {
            Some(guarded) => Ok(guarded),
            None => unknown(),
        }
    }
}

/// The table that `at()` is asked for; none where it is called in a way that it refuses.
fn named_table(arguments: &TableFunctionArgs) -> Option<String> {
    let Some(Expr::Literal(name, _)) = arguments.exprs().first() else {
        return None;
    };
    name.try_as_str().flatten().map(str::to_owned)
}
