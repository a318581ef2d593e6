//! The engine: what all statements share, the catalogue of views, and sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use casewatch_contract::{Contract, RecordedAt, ReferenceKey, TableName};
use casewatch_live::{Cut, Tail, present_schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::sql::parser::{DFParser, Statement};
use tokio::sync::watch;

use crate::access::{Grant, Policy, RightsCache};
use crate::as_of::AsOf;
use crate::catalogue::{Catalogue, Prepared, Refresh};
use crate::directory::{Directory, QueryFile};
use crate::error::QueryError;
use crate::functions::civil_functions;
use crate::history::{Assumption, AtFunction, HistoryReader, HistorySource, HistoryTable, check_known};
use crate::limits::{Limits, statement_runtime};
use crate::moment::{MomentCell, MomentTable};
use crate::past_tables::{Past, PastTables};
use crate::planning::{AsOfBinding, PlanningScope, register_table, session_state};
use crate::session::Session;

/// Small batches suit the few thousand rows that most statements run over, and bound what a deadline waits for.
const BATCH_ROWS: usize = 8_192;

/// What time it is for a query (RULES 17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// Now, while every source behind the tables is alive; else the last moment they all were. A source is alive while
    /// it was heard of less than this long ago; `silent_after` names those that differ from `default_silent_after`.
    Wall {
        default_silent_after: Duration,
        silent_after: BTreeMap<String, Duration>,
    },
    /// The cut: for demonstrations and replays.
    Feed,
}

impl Default for Clock {
    fn default() -> Self {
        Self::Wall {
            default_silent_after: Duration::from_secs(15 * 60),
            silent_after: BTreeMap::new(),
        }
    }
}

pub struct EngineConfig {
    pub contract: Arc<Contract>,
    /// Where committed history is read from; without it history is the tail alone.
    pub lake: Option<Arc<dyn HistorySource>>,
    /// Rows not yet in the lake.
    pub tail: Option<Arc<Tail>>,
    pub cuts: watch::Receiver<Arc<Cut>>,
    /// The queries folder.
    pub queries: PathBuf,
    pub limits: Limits,
    pub clock: Clock,
    /// Makes what users see in place of references to source systems. Without it they see nulls.
    pub references: Option<ReferenceKey>,
}

pub struct Engine {
    shared: Arc<Shared>,
    cuts: watch::Receiver<Arc<Cut>>,
    catalogue: Arc<Catalogue>,
    clock: Clock,
}

impl Engine {
    /// Reads the queries folder and plans its views. A view that cannot be planned is among [`Engine::broken_views`].
    pub async fn new(config: EngineConfig) -> Result<Arc<Self>, QueryError> {
        let directory = Directory::load(&config.queries)?;
        let policy = Policy::load(&config.queries)?;
        let history = HistoryReader {
            source: config.lake,
            tail: config.tail,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(config.limits.total_memory_bytes)))
            // What does not fit ends with an error that says so: rows of people are written to no temporary file.
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut reference = BTreeMap::new();
        for table in &directory.reference {
            let rows = MemTable::try_new(table.schema.clone(), vec![table.batches.clone()])?;
            reference.insert(table.name.clone(), Arc::new(rows) as Arc<dyn TableProvider>);
        }
        let shared = Arc::new(Shared {
            contract: config.contract,
            functions: civil_functions(&directory.calendar, &directory.parameters),
            past: Arc::new(PastTables::new(
                history.clone(),
                config.limits.past_tables_kept,
                config.limits.past_tables_bytes,
            )),
            history,
            directory,
            policy,
            rights: RightsCache::default(),
            reference_key: config.references,
            reference,
            runtime,
            limits: config.limits,
            others: RwLock::default(),
        });
        let catalogue = Arc::new(Catalogue::new(&shared).await?);
        Ok(Arc::new(Self {
            shared,
            cuts: config.cuts,
            catalogue,
            clock: config.clock,
        }))
    }

    /// Adds a table to a schema of all later statements, such as `lake.commits` or `metrics.samples`.
    pub fn register(&self, schema: &str, name: &str, table: Arc<dyn TableProvider>) {
        let mut others = self.shared.others.write().unwrap_or_else(PoisonError::into_inner);
        others.insert((schema.to_owned(), name.to_owned()), table);
    }

    /// The newest cut.
    pub fn cut(&self) -> Arc<Cut> {
        self.cuts.borrow().clone()
    }

    /// A receiver of cuts, to wait for the next one.
    pub fn cuts(&self) -> watch::Receiver<Arc<Cut>> {
        self.cuts.clone()
    }

    /// Names of the views and quality rules that can be asked for, each after those it reads.
    pub fn views(&self) -> impl Iterator<Item = &str> {
        self.catalogue.names()
    }

    pub fn view_files(&self) -> &[QueryFile] {
        &self.shared.directory.views
    }

    pub fn broken_views(&self) -> &BTreeMap<String, QueryError> {
        self.catalogue.broken()
    }

    pub fn contract(&self) -> &Arc<Contract> {
        &self.shared.contract
    }

    /// What `parameter('name')` gives, by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, f64)> {
        let parameters = self.shared.directory.parameters.iter();
        parameters.map(|(name, value)| (name.as_str(), *value))
    }

    /// Plans a statement that will run over many cuts.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared, QueryError> {
        self.catalogue.prepare(&self.shared, sql).await
    }

    /// A statement's plan with its views unfolded, not optimized: to see where its columns come from.
    pub async fn logical_plan(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        self.session(None, None).logical_plan(sql).await
    }

    /// Views and statements over a cut at a moment, as known at the same moment.
    pub fn refresh(&self, cut: Arc<Cut>, as_of: AsOf) -> Refresh {
        Refresh::new(self.catalogue.clone(), cut, as_of.0, as_of.0)
    }

    /// Views and statements over a cut of the past, which holds what was known at its own time.
    pub fn refresh_past(&self, cut: Arc<Cut>, as_of: AsOf) -> Refresh {
        let known_at = cut.at;
        Refresh::new(self.catalogue.clone(), cut, as_of.0, known_at)
    }

    /// Tables as they were known at a moment, for numbers of the past: run [`Engine::refresh_past`] over them.
    pub async fn cut_at(
        &self,
        as_of: AsOf,
        known_at: AsOf,
        tables: &BTreeSet<TableName>,
    ) -> Result<Arc<Cut>, QueryError> {
        let now = self.cut();
        let state = self
            .shared
            .catalogue_state(&Arc::new(MomentCell::default()), AsOfBinding::AtExecution)?;
        let mut past = BTreeMap::new();
        for name in tables {
            let present = self
                .shared
                .table_at(&state, &now, name, as_of.0, known_at.0, None)
                .await?;
            past.insert(name.clone(), present);
        }
        Ok(Arc::new(Cut {
            at: known_at.0,
            tables: past,
            ..now.as_ref().clone()
        }))
    }

    /// Refuses a moment before a table's content is known (RULES 20), as statements are refused.
    ///
    /// # Errors
    /// [`QueryError::Unknown`], [`QueryError::SnapshotUnfinished`].
    pub fn check_known(&self, cut: &Cut, table: &TableName, known_at: AsOf) -> Result<(), QueryError> {
        // A cut of the past says how far it goes itself; how far was read, the newest one knows.
        let known_from = cut.known_from.get(table).copied();
        check_known((known_from, self.cut().at), table, known_at.0, None).map(drop)
    }

    /// A person's session; without moments it is at the newest cut.
    pub fn session(&self, as_of: Option<AsOf>, known_at: Option<AsOf>) -> Session {
        Session::new(
            self.shared.clone(),
            self.cuts.clone(),
            self.clock.clone(),
            as_of,
            known_at,
        )
    }

    /// A session of a user: it sees what the grant lets through, and nothing else.
    pub fn session_as(&self, grant: &Arc<Grant>, as_of: Option<AsOf>, known_at: Option<AsOf>) -> Session {
        self.session(as_of, known_at).granted(grant.clone())
    }

    /// Who may read what, as the queries folder says; none where it does not: then nobody but the operator reads anything.
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        self.shared.policy.as_ref()
    }

    pub(crate) fn parts(&self) -> (&Arc<Shared>, &Clock) {
        (&self.shared, &self.clock)
    }

    /// Whether `reference.<table>` is there, or any for `reference.*`.
    pub(crate) fn has_reference(&self, full_name: &str) -> bool {
        let mut names = self.shared.reference.keys();
        match full_name.strip_prefix("reference.") {
            Some("*") => names.next().is_some(),
            Some(name) => self.shared.reference.contains_key(name),
            None => false,
        }
    }

    /// The time for a query over these tables (RULES 17).
    pub fn now(&self, cut: &Cut, tables: &BTreeSet<TableName>) -> AsOf {
        self.clock.now(cut, Some(tables))
    }
}

impl Clock {
    /// Over given tables, or all.
    pub(crate) fn now(&self, cut: &Cut, tables: Option<&BTreeSet<TableName>>) -> AsOf {
        match self {
            Self::Feed => AsOf(cut.at),
            Self::Wall { .. } => self.wall(cut, tables, RecordedAt::now()),
        }
    }

    fn wall(&self, cut: &Cut, tables: Option<&BTreeSet<TableName>>, now: RecordedAt) -> AsOf {
        let Self::Wall {
            default_silent_after,
            silent_after,
        } = self
        else {
            return AsOf(cut.at);
        };
        let behind = cut
            .sources
            .iter()
            .filter(|(table, _)| tables.is_none_or(|tables| tables.contains(*table)));
        let sources: BTreeSet<&String> = behind.flat_map(|(_, sources)| sources).collect();
        let alive_until = sources.into_iter().filter_map(|source| {
            let heard_at = cut.source_freshness.get(source)?.heard_at;
            let limit = silent_after.get(source).unwrap_or(default_silent_after);
            let silent_us = now.0.saturating_sub(heard_at.0);
            let limit_us = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
            (silent_us > limit_us).then_some(heard_at)
        });
        AsOf(alive_until.min().unwrap_or(now))
    }
}

/// What every statement of an engine shares.
pub(crate) struct Shared {
    pub(crate) contract: Arc<Contract>,
    pub(crate) directory: Directory,
    pub(crate) limits: Limits,
    pub(crate) past: Arc<PastTables>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) rights: RightsCache,
    pub(crate) reference_key: Option<ReferenceKey>,
    history: HistoryReader,
    functions: Vec<Arc<ScalarUDF>>,
    reference: BTreeMap<String, Arc<dyn TableProvider>>,
    runtime: Arc<RuntimeEnv>,
    others: RwLock<BTreeMap<(String, String), Arc<dyn TableProvider>>>,
}

/// What a statement refers to.
#[derive(Debug, Default)]
pub(crate) struct References {
    pub(crate) tables: BTreeSet<String>,
    /// By full name: `quality.<name>` for quality rules.
    pub(crate) views: BTreeSet<String>,
    pub(crate) history: BTreeSet<String>,
    /// It reads something whose content is not part of a cut.
    pub(crate) beyond_the_moment: bool,
}

impl Shared {
    pub(crate) fn catalogue_state(
        &self,
        cell: &Arc<MomentCell>,
        binding: AsOfBinding,
    ) -> Result<SessionState, QueryError> {
        let memory = (
            self.limits.catalogue_memory_bytes,
            "limits.metric_memory_mib of a running casewatch",
        );
        self.state(cell, binding, memory, 1)
    }

    pub(crate) fn session_state(
        &self,
        cell: &Arc<MomentCell>,
        binding: AsOfBinding,
    ) -> Result<SessionState, QueryError> {
        self.session_state_within(cell, binding, self.limits.session_memory_bytes)
    }

    /// The same with other bounds of memory.
    pub(crate) fn session_state_within(
        &self,
        cell: &Arc<MomentCell>,
        binding: AsOfBinding,
        memory_bytes: usize,
    ) -> Result<SessionState, QueryError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = (memory_bytes, "limits.query_memory_mib of a running casewatch");
        self.state(cell, binding, memory, (cores - 1).max(1))
    }

    fn state(
        &self,
        cell: &Arc<MomentCell>,
        binding: AsOfBinding,
        (memory_bytes, setting): (usize, &'static str),
        partitions: usize,
    ) -> Result<SessionState, QueryError> {
        let runtime = statement_runtime(&self.runtime, memory_bytes, setting)?;
        let scope = PlanningScope {
            runtime: &runtime,
            functions: &self.functions,
            partitions,
            batch_rows: BATCH_ROWS,
        };
        let as_of = match &binding {
            AsOfBinding::AtExecution => RecordedAt(i64::MAX),
            AsOfBinding::Value(moment) => moment.as_of,
        };
        let mut state = session_state(&scope, cell, binding);
        state.register_udtf("at", Arc::new(self.at_function(as_of, None, None)));
        Ok(state)
    }

    /// `at()`, which refuses moments before a table was known when it is told the cut.
    pub(crate) fn at_function(
        &self,
        as_of: RecordedAt,
        cut: Option<Arc<Cut>>,
        assumption: Option<Arc<Assumption>>,
    ) -> AtFunction {
        AtFunction {
            tables: self
                .contract
                .tables()
                .map(|table| (table.name.to_string(), table.clone()))
                .collect(),
            past: self.past.clone(),
            as_of,
            cut,
            assumption,
        }
    }

    /// To see what a text refers to.
    pub(crate) fn plain_state(&self) -> Result<SessionState, QueryError> {
        self.catalogue_state(&Arc::new(MomentCell::default()), AsOfBinding::AtExecution)
    }

    /// Schemas and names of reference tables and of what others registered.
    pub(crate) fn other_names(&self) -> Vec<(String, String)> {
        let reference = self.reference.keys().map(|name| ("reference".to_owned(), name.clone()));
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        reference.chain(others.keys().cloned()).collect()
    }

    pub(crate) fn view_file(&self, full_name: &str) -> Option<&QueryFile> {
        self.directory.views.iter().find(|view| view.full_name() == full_name)
    }

    pub(crate) fn references(&self, state: &SessionState, statement: &Statement) -> Result<References, QueryError> {
        let mut found = References::default();
        for reference in state.resolve_table_references(statement)? {
            let table = reference.table().to_owned();
            match reference.schema() {
                None | Some(crate::planning::DEFAULT_SCHEMA) if self.contract.table(&table).is_some() => {
                    found.tables.insert(table);
                }
                None | Some(crate::planning::DEFAULT_SCHEMA) => {
                    found.beyond_the_moment |= table == "at";
                    if self.view_file(&table).is_some() {
                        found.views.insert(table);
                    }
                }
                Some("reference") => {}
                Some("history") => {
                    found.beyond_the_moment = true;
                    found.history.insert(table);
                }
                Some(schema) => {
                    let full_name = format!("{schema}.{table}");
                    if self.view_file(&full_name).is_some() {
                        found.views.insert(full_name);
                    } else {
                        found.beyond_the_moment = true;
                    }
                }
            }
        }
        Ok(found)
    }

    /// References to everything there is: for the lists of tables and columns.
    pub(crate) fn all_references(&self) -> References {
        References {
            tables: self.contract.tables().map(|table| table.name.to_string()).collect(),
            views: self.directory.views.iter().map(QueryFile::full_name).collect(),
            history: self.contract.tables().map(|table| table.name.to_string()).collect(),
            beyond_the_moment: true,
        }
    }

    /// Live tables, history, reference tables and what others registered. Views are the caller's.
    pub(crate) fn register_tables(
        &self,
        state: &SessionState,
        references: &References,
        cell: &Arc<MomentCell>,
    ) -> Result<(), QueryError> {
        for name in &references.tables {
            let table = self
                .contract
                .table(name)
                .expect("references hold tables of the contract");
            register_table(
                state,
                None,
                name,
                MomentTable::new(name, present_schema(table), cell.clone()),
            )?;
        }
        for name in &references.history {
            if let Some(table) = self.contract.table(name) {
                let history = HistoryTable::new(table.clone(), self.history.clone(), Some(cell.clone()));
                register_table(state, Some("history"), name, history)?;
            }
        }
        for (name, table) in &self.reference {
            register_table(state, Some("reference"), name, table.clone())?;
        }
        for ((schema, name), table) in self.others.read().unwrap_or_else(PoisonError::into_inner).iter() {
            register_table(state, Some(schema), name, table.clone())?;
        }
        Ok(())
    }

    /// A view whose rows have been computed for the moment.
    pub(crate) fn register_materialised(
        &self,
        state: &SessionState,
        full_name: &str,
        schema: SchemaRef,
        cell: &Arc<MomentCell>,
    ) -> Result<(), QueryError> {
        let (in_schema, name) = split_name(full_name);
        register_table(
            state,
            in_schema,
            name,
            MomentTable::new(full_name, schema, cell.clone()),
        )?;
        Ok(())
    }

    /// All views, each after those it reads.
    pub(crate) fn view_order(&self) -> Result<Vec<String>, QueryError> {
        let state = self.catalogue_state(&Arc::new(MomentCell::default()), AsOfBinding::AtExecution)?;
        let mut reads = BTreeMap::new();
        for view in &self.directory.views {
            // Text that does not parse is reported when the view is planned.
            let statement = DFParser::parse_sql(&view.sql)
                .ok()
                .and_then(|mut statements| statements.pop_front());
            let references = match statement {
                Some(statement) => self.references(&state, &statement)?.views,
                None => BTreeSet::new(),
            };
            if reads.insert(view.full_name(), references).is_some() {
                let detail = format!("another view is called {}, too", view.full_name());
                return Err(QueryError::QueryFile {
                    path: view.path.clone(),
                    detail,
                });
            }
        }
        let mut order = Vec::with_capacity(reads.len());
        let mut path = Vec::new();
        for name in reads.keys() {
            visit(name, &reads, &mut order, &mut path)?;
        }
        Ok(order)
    }

    /// Views that views read, each after those it reads itself.
    pub(crate) fn views_behind(&self, wanted: &BTreeSet<String>) -> Result<Vec<String>, QueryError> {
        let state = self.catalogue_state(&Arc::new(MomentCell::default()), AsOfBinding::AtExecution)?;
        let mut reads = BTreeMap::new();
        let mut waiting: Vec<String> = wanted.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            let Some(file) = self.view_file(&name).filter(|_| !reads.contains_key(&name)) else {
                continue;
            };
            let statement = DFParser::parse_sql(&file.sql)
                .ok()
                .and_then(|mut statements| statements.pop_front());
            let references = match statement {
                Some(statement) => self.references(&state, &statement)?.views,
                None => BTreeSet::new(),
            };
            waiting.extend(references.iter().cloned());
            reads.insert(name, references);
        }
        let mut order = Vec::with_capacity(reads.len());
        for name in reads.keys() {
            visit(name, &reads, &mut order, &mut Vec::new())?;
        }
        Ok(order)
    }

    /// A table at a moment: the live one where it serves, else folded from history.
    pub(crate) async fn table_at(
        &self,
        state: &SessionState,
        cut: &Cut,
        name: &TableName,
        as_of: RecordedAt,
        known_at: RecordedAt,
        assumption: Option<&Assumption>,
    ) -> Result<Arc<casewatch_live::Present>, QueryError> {
        let table = self
            .contract
            .table(name)
            .expect("the name was looked up in the contract");
        let live = cut.tables.get(name);
        let undated = table.columns.iter().any(|column| column.undated);
        if known_at >= cut.at && (as_of >= cut.at || !undated) {
            if let Some(reason) = &cut.stopped {
                return Err(QueryError::Stopped { reason: reason.clone() });
            }
            if let Some(live) = live {
                return Ok(live.clone());
            }
        }
        let known = (cut.known_from.get(name).copied(), cut.at);
        let past = Past {
            known_at,
            as_of,
            assumed_until: check_known(known, name, known_at, assumption)?,
            generation: live.map_or(0, |live| live.generation),
        };
        self.past.table(state, table, past).await
    }
}

pub(crate) fn split_name(full_name: &str) -> (Option<&str>, &str) {
    match full_name.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, full_name),
    }
}

fn visit(
    name: &str,
    reads: &BTreeMap<String, BTreeSet<String>>,
    order: &mut Vec<String>,
    path: &mut Vec<String>,
) -> Result<(), QueryError> {
    if order.iter().any(|done| done == name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|passed| passed == name) {
        let circle = path[start..]
            .iter()
            .map(String::as_str)
            .chain([name])
            .collect::<Vec<_>>()
            .join(" -> ");
        return Err(QueryError::Circle { circle });
    }
    path.push(name.to_owned());
    for read in reads.get(name).into_iter().flatten() {
        visit(read, reads, order, path)?;
    }
    path.pop();
    order.push(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_live::SourceFreshness;

    #[test]
    fn the_wall_clock_stands_still_at_the_last_moment_a_dead_source_was_heard() {
        let minute = 60_000_000;
        let heard = |at: i64| SourceFreshness {
            heard_at: RecordedAt(at),
            recorded_at: RecordedAt(at),
        };
        let mut cut = Cut::empty();
        cut.sources.insert("a".into(), BTreeSet::from(["stream".to_owned()]));
        cut.sources.insert("b".into(), BTreeSet::from(["extract".to_owned()]));
        cut.source_freshness.insert("stream".to_owned(), heard(0));
        cut.source_freshness.insert("extract".to_owned(), heard(0));
        let clock = Clock::Wall {
            default_silent_after: Duration::from_secs(15 * 60),
            silent_after: BTreeMap::from([("extract".to_owned(), Duration::from_secs(26 * 3_600))]),
        };
        let now = RecordedAt(60 * minute);
        let both = BTreeSet::from([TableName::from("a"), TableName::from("b")]);
        assert_eq!(
            clock.wall(&cut, Some(&both), RecordedAt(10 * minute)),
            AsOf(RecordedAt(10 * minute))
        );
        assert_eq!(clock.wall(&cut, Some(&both), now), AsOf(RecordedAt(0)));
        assert_eq!(
            clock.wall(&cut, Some(&BTreeSet::from([TableName::from("b")])), now),
            AsOf(now)
        );
    }

    #[test]
    fn a_circle_of_views_is_named() {
        let reads = BTreeMap::from([
            ("a".to_owned(), BTreeSet::from(["b".to_owned()])),
            ("b".to_owned(), BTreeSet::from(["c".to_owned()])),
            ("c".to_owned(), BTreeSet::from(["b".to_owned()])),
        ]);
        let error = visit("a", &reads, &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "views depend on each other in a circle: b -> c -> b");
    }
}
