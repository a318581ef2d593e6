//! Views and statements that run over every cut: planned once, run when what they read has changed.
//!
//! Views depend on each other without a circle. A [`Refresh`] is one cut and one `as_of`; a view is computed the first
//! time something asks for it, and its rows serve everything else of that refresh. A plan whose inputs are the same
//! rows as the last time, and for which nothing happened on the clock since, is not run: its last result stands. So a
//! change of one table costs what depends on that table, and time passing costs what it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use casewatch_contract::{RecordedAt, TableName};
use casewatch_lake::is_file_gone;
use casewatch_live::{Cut, Present};
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::civil::london_date;
use crate::clock_use::{ClockUse, stands_until};
use crate::deadline::{Deadline, with_checks};
use crate::engine::Shared;
use crate::error::QueryError;
use crate::guard::{self, Request};
use crate::history::RESTARTS;
use crate::moment::{Moment, MomentCell};
use crate::planning::AsOfBinding;

/// Views, and an order in which each comes after those it reads.
pub(crate) struct Catalogue {
    views: BTreeMap<String, Arc<View>>,
    order: Vec<String>,
    broken: BTreeMap<String, QueryError>,
}

struct View {
    plan: PlannedStatement,
    /// Live tables it reads, through other views too.
    tables: BTreeSet<TableName>,
    beyond_a_cut: bool,
}

impl Catalogue {
    pub(crate) async fn new(shared: &Arc<Shared>) -> Result<Self, QueryError> {
        let mut catalogue = Self {
            views: BTreeMap::new(),
            order: Vec::new(),
            broken: BTreeMap::new(),
        };
        for name in shared.view_order()? {
            let file = shared
                .view_file(&name)
                .expect("the order holds the folder's views only");
            match catalogue.plan(shared, &name, &file.sql).await {
                Ok(plan) => {
                    let view = View {
                        tables: catalogue.tables_of(shared, &plan),
                        beyond_a_cut: catalogue.is_beyond_a_cut(&plan),
                        plan,
                    };
                    catalogue.order.push(name.clone());
                    catalogue.views.insert(name, Arc::new(view));
                }
                Err(error) => {
                    // What reads a broken view is broken with it: one line says which.
                    if !matches!(error, QueryError::View { .. }) {
                        tracing::warn!(view = %name, %error, "view cannot be planned");
                    }
                    catalogue.broken.insert(name, error);
                }
            }
        }
        Ok(catalogue)
    }

    pub(crate) fn broken(&self) -> &BTreeMap<String, QueryError> {
        &self.broken
    }

    /// Each after those it reads.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    pub(crate) async fn prepare(self: &Arc<Self>, shared: &Arc<Shared>, sql: &str) -> Result<Prepared, QueryError> {
        let plan = self.plan(shared, "statement", sql).await?;
        Ok(Prepared {
            tables: self.tables_of(shared, &plan),
            beyond_a_cut: self.is_beyond_a_cut(&plan),
            plan,
        })
    }

    fn is_beyond_a_cut(&self, plan: &PlannedStatement) -> bool {
        let is_view_beyond = |input: &String| self.views.get(input).is_some_and(|view| view.beyond_a_cut);
        plan.replan || plan.inputs.iter().any(is_view_beyond)
    }

    fn tables_of(&self, shared: &Shared, plan: &PlannedStatement) -> BTreeSet<TableName> {
        let mut tables = BTreeSet::new();
        for input in &plan.inputs {
            match self.views.get(input) {
                Some(view) => tables.extend(view.tables.iter().cloned()),
                None => tables.extend(shared.contract.table(input).map(|table| table.name.clone())),
            }
        }
        tables
    }

    async fn plan(&self, shared: &Arc<Shared>, name: &str, sql: &str) -> Result<PlannedStatement, QueryError> {
        let Request::Read(statement) = guard::parse(sql)? else {
            return Err(QueryError::NotReading {
                statement: name.to_owned(),
            });
        };
        let cell = Arc::new(MomentCell::default());
        let state = shared.catalogue_state(&cell, AsOfBinding::AtExecution)?;
        let references = shared.references(&state, &statement)?;
        for view in references.views.iter() {
            if let Some(source) = self.broken.get(view) {
                return Err(QueryError::View {
                    view: view.clone(),
                    source: Arc::new(source.clone()),
                });
            }
        }
        shared.register_tables(&state, &references, &cell)?;
        for name in &references.views {
            let view = self
                .views
                .get(name)
                .expect("a view's views come before it, and broken ones were refused");
            shared.register_materialised(&state, name, view.plan.schema.clone(), &cell)?;
        }
        let logical = state.statement_to_plan(*statement).await?;
        let deadline = Arc::new(Deadline::default());
        let physical = with_checks(state.create_physical_plan(&logical).await?, &deadline)?;
        let explained = displayable(physical.as_ref()).indent(false).to_string();
        let inputs: Vec<String> = references.tables.iter().chain(&references.views).cloned().collect();
        let clock = ClockUse::of(&logical)?.within(&inputs);
        Ok(PlannedStatement {
            name: name.to_owned(),
            schema: physical.schema(),
            physical: explained,
            inputs,
            clock,
            // What is not read through the moment may have changed since the plan was made.
            replan: references.beyond_the_moment,
            logical,
            context: state.task_ctx(),
            state,
            cell,
            time_limit: shared.limits.catalogue_time,
            deadline,
            executions: AtomicU64::new(0),
            last: tokio::sync::Mutex::new(Last {
                plan: physical,
                result: None,
            }),
        })
    }
}

/// A plan and its last result.
struct PlannedStatement {
    name: String,
    schema: SchemaRef,
    /// Live tables and views it reads.
    inputs: Vec<String>,
    clock: ClockUse,
    logical: LogicalPlan,
    physical: String,
    replan: bool,
    state: SessionState,
    /// Made once: it holds a copy of every registered function.
    context: Arc<TaskContext>,
    cell: Arc<MomentCell>,
    time_limit: Duration,
    deadline: Arc<Deadline>,
    executions: AtomicU64,
    last: tokio::sync::Mutex<Last>,
}

struct Last {
    plan: Arc<dyn ExecutionPlan>,
    result: Option<(Inputs, Arc<Present>)>,
}

/// What a result was computed from: the very rows, held so that they can be compared by identity, and the clock.
struct Inputs {
    rows: Vec<Option<Arc<Present>>>,
    as_of: RecordedAt,
    known_at: RecordedAt,
    /// When time alone makes the result wrong.
    until: Option<i64>,
}

impl Inputs {
    fn rows_are(&self, rows: &[Option<Arc<Present>>]) -> bool {
        let same = |(one, other): (&Option<Arc<Present>>, &Option<Arc<Present>>)| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        self.rows.len() == rows.len() && self.rows.iter().zip(rows).all(same)
    }

    fn stand_at(&self, Moment { as_of, known_at, .. }: &Moment, clock: &ClockUse) -> bool {
        let as_of = *as_of;
        if clock.known_date && london_date(self.known_at.0) != london_date(known_at.0) {
            return false;
        }
        if self.as_of == as_of || !clock.any() {
            return true;
        }
        !clock.moment
            && (!clock.date || london_date(self.as_of.0) == london_date(as_of.0))
            && (clock.compared.is_empty() || (self.as_of < as_of && self.until.is_none_or(|until| as_of.0 < until)))
    }
}

impl PlannedStatement {
    async fn run(&self, moment: Arc<Moment>) -> Result<Arc<Present>, QueryError> {
        let mut last = self.last.lock().await;
        let rows: Vec<_> = self
            .inputs
            .iter()
            .map(|name| moment.tables.get(name).cloned())
            .collect();
        if !self.replan
            && let Some((before, result)) = &last.result
            && before.rows_are(&rows)
            && before.stand_at(&moment, &self.clock)
        {
            return Ok(result.clone());
        }
        let inputs = Inputs {
            rows,
            as_of: moment.as_of,
            known_at: moment.known_at,
            until: stands_until(
                &self.clock.compared,
                |name| moment.tables.get(name).cloned(),
                moment.as_of.0,
            ),
        };
        let batches = self.compute(&last.plan, moment).await?;
        let result = match &last.result {
            // The same rows as before: what depends on them has nothing to do.
            Some((_, before)) if before.batches == batches => before.clone(),
            _ => Arc::new(Present::new(self.schema.clone(), batches, 0)),
        };
        last.result = Some((inputs, result.clone()));
        Ok(result)
    }

    async fn compute(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        moment: Arc<Moment>,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let again = moment.clone();
        self.executions.fetch_add(1, Ordering::Relaxed);
        self.cell.set(moment);
        self.deadline.set(self.time_limit);
        let running = async {
            let mut restarts = 0;
            loop {
                let plan = match self.replan {
                    true => with_checks(self.state.create_physical_plan(&self.logical).await?, &self.deadline)?,
                    false => reset_plan_states(plan.clone())?,
                };
                match collect(plan, self.context.clone()).await {
                    // Another run over the same moment pins the newest snapshot.
                    Err(error) if is_file_gone(&error) && restarts < RESTARTS => {
                        restarts += 1;
                        self.cell.set(Arc::new(Moment::clone(&again)));
                    }
                    collected => break collected,
                }
            }
        };
        let result = timeout(self.time_limit, running).await;
        self.cell.clear();
        match result {
            Ok(batches) => Ok(batches?.into_iter().filter(|batch| batch.num_rows() > 0).collect()),
            Err(_) => Err(QueryError::Deadline { limit: self.time_limit }),
        }
    }
}

/// A statement that runs over each cut.
pub struct Prepared {
    plan: PlannedStatement,
    tables: BTreeSet<TableName>,
    beyond_a_cut: bool,
}

impl Prepared {
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    /// Its plan before optimizing, with views as scans by their names.
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.plan.logical
    }

    /// The plan it is run by, as text.
    pub fn explain(&self) -> String {
        self.plan.physical.clone()
    }

    /// The live tables behind it, through views too.
    pub fn tables(&self) -> &BTreeSet<TableName> {
        &self.tables
    }

    /// Whether it reads, through views too, what no cut holds, such as history: then nothing bounds it to a moment of
    /// the past.
    pub fn reads_beyond_a_cut(&self) -> bool {
        self.beyond_a_cut
    }

    /// Whether its result changes as time passes although no row does.
    pub fn depends_on_time(&self) -> bool {
        self.plan.clock.any()
    }

    /// How often its plan was executed: not when its last result stood.
    pub fn executions(&self) -> u64 {
        self.plan.executions.load(Ordering::Relaxed)
    }

    /// Its rows over a refresh.
    pub async fn run(&self, refresh: &Refresh) -> Result<Vec<RecordBatch>, QueryError> {
        let moment = refresh.moment_for(&self.plan).await?;
        Ok(self.plan.run(moment).await?.batches.clone())
    }
}

/// One cut and one `as_of`, and the views computed over them so far.
pub struct Refresh {
    cut: Arc<Cut>,
    as_of: RecordedAt,
    known_at: RecordedAt,
    catalogue: Arc<Catalogue>,
    views: Mutex<HashMap<String, ViewResult>>,
}

type ViewResult = Arc<OnceCell<Result<Arc<Present>, QueryError>>>;

impl Refresh {
    pub(crate) fn new(catalogue: Arc<Catalogue>, cut: Arc<Cut>, as_of: RecordedAt, known_at: RecordedAt) -> Self {
        Self {
            cut,
            as_of,
            known_at,
            catalogue,
            views: Mutex::default(),
        }
    }

    pub fn cut(&self) -> &Arc<Cut> {
        &self.cut
    }

    pub fn as_of(&self) -> RecordedAt {
        self.as_of
    }

    /// A view's rows; computed once, whoever asks. Quality rules are called `quality.<name>`.
    pub async fn view(&self, name: &str) -> Result<Arc<Present>, QueryError> {
        if let Some(error) = self.catalogue.broken.get(name) {
            return Err(QueryError::View {
                view: name.to_owned(),
                source: Arc::new(error.clone()),
            });
        }
        let Some(view) = self.catalogue.views.get(name).cloned() else {
            return Err(QueryError::Setting { name: name.to_owned() });
        };
        let result = self
            .views
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_default()
            .clone();
        let computed = result.get_or_init(|| async {
            let moment = self.moment_for(&view.plan).await?;
            view.plan.run(moment).await
        });
        computed.await.clone().map_err(|source| match source {
            nested @ QueryError::View { .. } => nested,
            source => QueryError::View {
                view: view.plan.name.clone(),
                source: Arc::new(source),
            },
        })
    }

    /// The tables and views a plan reads.
    fn moment_for<'a>(
        &'a self,
        plan: &'a PlannedStatement,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Moment>, QueryError>> + Send + 'a>> {
        Box::pin(async move {
            let mut tables = HashMap::with_capacity(plan.inputs.len());
            for input in &plan.inputs {
                if self.catalogue.views.contains_key(input) {
                    tables.insert(input.clone(), self.view(input).await?);
                } else if let Some(present) = self.cut.tables.get(input.as_str()) {
                    tables.insert(input.clone(), present.clone());
                }
            }
            Ok(Arc::new(Moment {
                as_of: self.as_of,
                known_at: self.known_at,
                tables,
            }))
        })
    }
}
