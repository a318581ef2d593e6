//! SQL for people: one statement at a time, at a moment of their choice, reading only.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use casewatch_contract::{RecordedAt, TableName};
use casewatch_lake::is_file_gone;
use casewatch_live::Cut;
use datafusion::common::ParamValues;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::access::{Extra, Grant, Granted, refuse_gathering};
use crate::as_of::AsOf;
use crate::deadline::{Deadline, with_checks};
use crate::engine::{Clock, References, Shared, split_name};
use crate::error::QueryError;
use crate::guard::{self, Request};
use crate::history::{Assumption, AtFunction, RESTARTS};
use crate::limits::{Limits, bounded};
use crate::moment::{Moment, MomentCell};
use crate::planning::{AsOfBinding, register_table};
use crate::unfold::View;

mod prepared;

pub use prepared::{Description, Relation, RelationColumn, Surroundings};

/// A statement's rows. They come while they are read, under the deadline.
pub struct Answer {
    pub schema: SchemaRef,
    pub stream: SendableRecordBatchStream,
    /// What whoever reads the rows should know of them: they were asked for at a moment that has not been read yet.
    pub note: Option<String>,
}

impl Answer {
    pub async fn collect(self) -> Result<Vec<RecordBatch>, QueryError> {
        Ok(self.stream.try_collect().await?)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

pub struct Session {
    shared: Arc<Shared>,
    cuts: watch::Receiver<Arc<Cut>>,
    clock: Clock,
    settings: Mutex<Settings>,
    limits: Limits,
    surroundings: Option<Arc<Surroundings>>,
    /// None: the operator, who sees everything.
    grant: Option<Arc<Grant>>,
    /// Why the next statement is asked.
    reason: Mutex<Option<String>>,
    /// Tables that only this session's statements see.
    extras: Vec<Extra>,
    /// Rows that an answer may have.
    most_rows: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    as_of: Option<AsOf>,
    known_at: Option<AsOf>,
    assume_known: bool,
}

/// The setting that says why the next statement is asked.
const REASON: &str = "casewatch.reason";

/// The column by which an answer says whether it rests on the assumption that rows of first snapshots were always known.
const ASSUMED: &str = "_assumed_known";

/// A statement ready to be planned: its state knows every table and view that the statement reads.
struct Scene {
    state: SessionState,
    deadline: Arc<Deadline>,
    assumption: Option<Arc<Assumption>>,
    note: Option<String>,
}

impl Settings {
    /// Says so where versions of a moment were wished for that is later than everything read. That is no error, since
    /// effective dates in the future are legitimate; but what will be recorded until then is not in the answer.
    fn beyond(&self, read_up_to: RecordedAt) -> Option<String> {
        let known_at = self.known_at.map(|moment| ("known_at", moment));
        let (name, moment) = known_at.or(self.as_of.map(|moment| ("as_of", moment)))?;
        if moment.0 <= read_up_to {
            return None;
        }
        let reached = match read_up_to {
            RecordedAt(0) => "nothing so far".to_owned(),
            at => format!("up to {at}"),
        };
        Some(format!(
            "{name} {moment} is later than what has been read ({reached}): the answer is of what is known by now"
        ))
    }
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        cuts: watch::Receiver<Arc<Cut>>,
        clock: Clock,
        as_of: Option<AsOf>,
        known_at: Option<AsOf>,
    ) -> Self {
        Self {
            limits: shared.limits,
            surroundings: None,
            most_rows: shared.limits.session_rows,
            shared,
            cuts,
            clock,
            settings: Mutex::new(Settings {
                as_of,
                known_at,
                assume_known: false,
            }),
            grant: None,
            reason: Mutex::default(),
            extras: Vec::new(),
        }
    }

    /// For the engine's own statements: with tables that nobody else sees, and without a bound of rows.
    pub(crate) fn internal(self, extras: Vec<Extra>) -> Self {
        Self {
            extras,
            most_rows: usize::MAX,
            ..self
        }
    }

    /// Shows what the grant lets through, and nothing else.
    pub(crate) fn granted(self, grant: Arc<Grant>) -> Self {
        let role_rows = grant.role().most_rows.unwrap_or(usize::MAX);
        Self {
            most_rows: self.most_rows.min(role_rows),
            grant: Some(grant),
            ..self
        }
    }

    /// Whose session it is; none: the operator's, who sees everything.
    pub fn grant(&self) -> Option<&Arc<Grant>> {
        self.grant.as_ref()
    }

    /// Why the next statement is asked, as `SET casewatch.reason` said: for the audit log, to be read before the statement
    /// runs, since a statement of a role that needs a reason uses it up.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on rows of a table's first snapshot count as always known, where a statement asks for an earlier moment.
    /// Every answer says in a column `_assumed_known` whether it rests on that (RULES 20).
    pub fn assuming_known(self) -> Self {
        self.settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .assume_known = true;
        self
    }

    /// The moments of which the next statement is asked, where any was set: `as_of` and `known_at`.
    pub fn moments(&self) -> [Option<AsOf>; 2] {
        let settings = self.settings();
        [settings.as_of, settings.known_at]
    }

    /// Runs one statement: SELECT, EXPLAIN, SHOW, DESCRIBE, or SET of `casewatch.as_of` and `casewatch.known_at`.
    pub async fn sql(&self, sql: &str) -> Result<Answer, QueryError> {
        match guard::parse(sql)? {
            Request::Set { name, value } => self.set(&name, &value),
            Request::Show { name } => self.show(&name),
            Request::Read(statement) => self.read(*statement, false, None).await,
            Request::Describe(statement) => self.read(*statement, true, None).await,
        }
    }

    pub(crate) async fn logical_plan(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        let Request::Read(statement) = guard::parse(sql)? else {
            return Err(QueryError::NotReading {
                statement: "a setting".to_owned(),
            });
        };
        self.plan_only(*statement).await
    }

    /// A plan that cannot be run: it has no rows.
    async fn plan_only(&self, statement: Statement) -> Result<LogicalPlan, QueryError> {
        let moment = Arc::new(Moment::nothing());
        let cell = Arc::new(MomentCell::default());
        let mut state = self.shared.session_state(&cell, AsOfBinding::Value(moment))?;
        let references = self.shared.references(&state, &statement)?;
        let at = self.shared.at_function(RecordedAt(0), None, None);
        let cut = self.cuts.borrow().clone();
        self.name(&mut state, at, &references, (&cut, &cell, &Arc::default()))
            .await?;
        self.surround(&mut state)?;
        Ok(state.statement_to_plan(statement).await?)
    }

    fn surround(&self, state: &mut SessionState) -> Result<(), QueryError> {
        match &self.surroundings {
            Some(surroundings) => surroundings.register(state),
            None => Ok(()),
        }
    }

    async fn read(
        &self,
        statement: Statement,
        describe: bool,
        parameters: Option<ParamValues>,
    ) -> Result<Answer, QueryError> {
        if !describe {
            self.give_reason(&statement)?;
        }
        let limit = self.limits.session_time;
        let deadline = Instant::now() + limit;
        let late = |_| QueryError::Deadline { limit };
        let planning = async {
            let mut restarts = 0;
            loop {
                let mut scene = self.scene(&statement, describe).await?;
                let mut logical = scene.state.statement_to_plan(statement.clone()).await?;
                if self
                    .grant
                    .as_ref()
                    .is_some_and(|grant| grant.role().most_rows.is_some())
                {
                    refuse_gathering(&logical)?;
                }
                if let Some(parameters) = &parameters {
                    logical = logical.with_param_values(parameters.clone())?;
                }
                let checks = scene.deadline.clone();
                checks.set_left(limit, deadline.saturating_duration_since(Instant::now()));
                let wanted = Wanted(checks.clone());
                let physical = with_checks(scene.state.create_physical_plan(&logical).await?, &checks)?;
                let stream = on_own_thread(execute_stream(physical, scene.state.task_ctx())?, limit, deadline);
                match begun(stream).await {
                    // Nobody has seen a row yet: the newest snapshot serves as well.
                    Err(error) if is_file_gone(&error) && restarts < RESTARTS => restarts += 1,
                    Err(error) => return Err(overtaken(error).into()),
                    Ok(stream) => {
                        let stream = wanted.while_read(with_assumption(stream, scene.assumption.as_deref())?);
                        return Ok::<_, QueryError>((stream, scene.note.take()));
                    }
                }
            }
        };
        let (stream, note) = timeout_at(deadline, planning).await.map_err(late)??;
        let stream = bounded(stream, limit, deadline, self.most_rows);
        Ok(Answer {
            schema: stream.schema(),
            stream,
            note,
        })
    }

    async fn scene(&self, statement: &Statement, describe: bool) -> Result<Scene, QueryError> {
        let cut = self.cuts.borrow().clone();
        let settings = self.settings();
        let as_of = match settings.as_of {
            Some(as_of) => as_of.0,
            None => {
                self.clock
                    .now(&cut, self.tables_behind(statement, describe)?.as_ref())
                    .0
            }
        };
        // Without a wish of the person's the newest versions serve, also while a silent source holds the clock back.
        let versions_as_of = settings.as_of.map_or(RecordedAt(i64::MAX), |as_of| as_of.0);
        let known_at = settings.known_at.map_or(versions_as_of, |known_at| known_at.0);
        let assumption = settings.assume_known.then(Arc::default);
        let note = match describe {
            true => None,
            false => settings.beyond(cut.at),
        };
        let cell = Arc::new(MomentCell::default());
        // The tables come once it is known which; the clock is needed to plan.
        let clock = (as_of, settings.known_at.map_or(as_of, |known_at| known_at.0));
        let clock_only = Arc::new(Moment {
            as_of: clock.0,
            known_at: clock.1,
            tables: HashMap::new(),
        });
        let memory_bytes = self.limits.session_memory_bytes;
        let mut state = self
            .shared
            .session_state_within(&cell, AsOfBinding::Value(clock_only), memory_bytes)?;
        let at = self.shared.at_function(as_of, Some(cut.clone()), assumption.clone());
        let references = match describe || names_information_schema(&state, statement)? {
            true => self.shared.all_references(),
            false => self.shared.references(&state, statement)?,
        };
        let deadline = Arc::default();
        let everything = self.name(&mut state, at, &references, (&cut, &cell, &deadline)).await?;
        self.surround(&mut state)?;
        let mut tables = HashMap::new();
        if !describe {
            for name in &everything.tables {
                let table = TableName::from(name.as_str());
                let assumption = assumption.as_deref();
                let present = self
                    .shared
                    .table_at(&state, &cut, &table, versions_as_of, known_at, assumption)
                    .await?;
                tables.insert(name.clone(), present);
            }
        }
        cell.set(Arc::new(Moment {
            as_of: clock.0,
            known_at: clock.1,
            tables,
        }));
        Ok(Scene {
            state,
            deadline,
            assumption,
            note,
        })
    }

    /// Gives names to what a statement refers to, for whoever's session it is. Returns the tables behind them.
    async fn name(
        &self,
        state: &mut SessionState,
        at: AtFunction,
        references: &References,
        (cut, cell, deadline): (&Arc<Cut>, &Arc<MomentCell>, &Arc<Deadline>),
    ) -> Result<References, QueryError> {
        if let Some(grant) = &self.grant {
            let granted = Granted {
                shared: self.shared.clone(),
                clock: self.clock.clone(),
                rights: Arc::new(self.shared.rights.of(grant, cut)),
                cell: cell.clone(),
                deadline: deadline.clone(),
            };
            return granted.register(state, at, references).await;
        }
        state.register_udtf("at", Arc::new(at));
        for (schema, name, table) in &self.extras {
            register_table(state, Some(schema), name, table.clone())?;
        }
        let everything = with_views(&self.shared, state, references, cell).await?;
        self.shared.register_tables(state, &everything, cell)?;
        Ok(everything)
    }

    /// Uses up the reason where the role needs one for what the statement reads.
    fn give_reason(&self, statement: &Statement) -> Result<(), QueryError> {
        let needs_reason = self.grant.as_ref().is_some_and(|grant| grant.role().needs_reason);
        if !needs_reason
            || self
                .shared
                .references(&self.shared.plain_state()?, statement)?
                .is_empty()
        {
            return Ok(());
        }
        let given = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        given.map(drop).ok_or(QueryError::NoReason)
    }

    /// The live tables a statement reads, through views too; none: all there are.
    fn tables_behind(&self, statement: &Statement, describe: bool) -> Result<Option<BTreeSet<TableName>>, QueryError> {
        if describe {
            return Ok(None);
        }
        let state = self
            .shared
            .catalogue_state(&Arc::new(MomentCell::default()), AsOfBinding::AtExecution)?;
        let references = self.shared.references(&state, statement)?;
        let mut tables = references.tables;
        for name in self.shared.views_behind(&references.views)? {
            let file = self
                .shared
                .view_file(&name)
                .expect("views behind a statement are the folder's");
            if let Ok(Request::Read(view)) = guard::parse(&file.sql) {
                tables.extend(self.shared.references(&state, &view)?.tables);
            }
        }
        Ok(Some(tables.into_iter().map(TableName::from).collect()))
    }

    fn set(&self, name: &str, value: &str) -> Result<Answer, QueryError> {
        if name == REASON {
            let given = Some(value.trim()).filter(|reason| !reason.is_empty());
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = given.map(str::to_owned);
            return self.answer(Schema::empty(), Vec::new());
        }
        let moment = match value.trim().to_lowercase().as_str() {
            "" | "now" | "default" | "none" => None,
            _ => Some(value.parse::<AsOf>()?),
        };
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match name {
            "casewatch.as_of" => settings.as_of = moment,
            "casewatch.known_at" => settings.known_at = moment,
            _ => return Err(QueryError::Setting { name: name.to_owned() }),
        }
        drop(settings);
        self.answer(Schema::empty(), Vec::new())
    }

    fn show(&self, name: &str) -> Result<Answer, QueryError> {
        let settings = self.settings();
        let moment = |moment: Option<AsOf>| moment.map_or_else(|| "now".to_owned(), |moment| moment.0.to_string());
        let text = match name {
            "casewatch.as_of" => moment(settings.as_of),
            "casewatch.known_at" => moment(settings.known_at),
            REASON => self.reason().unwrap_or_default(),
            _ => return Err(QueryError::Setting { name: name.to_owned() }),
        };
        let schema = Schema::new(vec![Field::new(name, DataType::Utf8, false)]);
        let rows = RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(StringArray::from(vec![text]))]);
        self.answer(schema, vec![rows.map_err(DataFusionError::from)?])
    }

    fn answer(&self, schema: Schema, rows: Vec<RecordBatch>) -> Result<Answer, QueryError> {
        let schema = Arc::new(schema);
        Ok(Answer {
            stream: Box::pin(MemoryStream::try_new(rows, schema.clone(), None)?),
            schema,
            note: None,
        })
    }

    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers the views a statement reads, unfolded, and says which tables they read in their turn.
pub(crate) async fn with_views(
    shared: &Shared,
    state: &SessionState,
    references: &References,
    cell: &Arc<MomentCell>,
) -> Result<References, QueryError> {
    let mut everything = References {
        tables: references.tables.clone(),
        ..References::default()
    };
    everything.absorb(references);
    for name in shared.views_behind(&references.views)? {
        let file = shared
            .view_file(&name)
            .expect("views behind a statement are the folder's");
        let planned = async {
            let Request::Read(statement) = guard::parse(&file.sql)? else {
                return Err(QueryError::NotReading {
                    statement: name.clone(),
                });
            };
            let reads = shared.references(state, &statement)?;
            shared.register_tables(state, &reads, cell)?;
            everything.absorb(&reads);
            Ok(state.statement_to_plan(*statement).await?)
        };
        let plan = planned.await.map_err(|source| QueryError::View {
            view: name.clone(),
            source: Arc::new(source),
        })?;
        let (schema, view) = split_name(&name);
        register_table(state, schema, view, Arc::new(View::new(plan, Some(file.sql.clone()))?))?;
    }
    Ok(everything)
}

/// A stream whose first rows are there, or the error that came in their place.
async fn begun(mut rows: SendableRecordBatchStream) -> Result<SendableRecordBatchStream, DataFusionError> {
    let schema = rows.schema();
    let first = rows.next().await.transpose()?;
    let rest = rows.map(|batch| batch.map_err(overtaken));
    let all = stream::iter(first.map(Ok)).chain(rest);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
}

fn overtaken(error: DataFusionError) -> DataFusionError {
    if is_file_gone(&error) {
        return QueryError::Overtaken.into();
    }
    error
}

fn with_assumption(
    rows: SendableRecordBatchStream,
    assumption: Option<&Assumption>,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let Some(assumption) = assumption else { return Ok(rows) };
    let assumed = assumption.was_needed();
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ASSUMED, DataType::Boolean, false)));
    let schema = Arc::new(Schema::new(fields));
    let target = schema.clone();
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![assumed; batch.num_rows()])));
        Ok(RecordBatch::try_new(target.clone(), columns)?)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Somebody waits for a statement. When nobody does any more - it was cancelled, or left unread - its joins end at their next
/// check, and not at its deadline.
struct Wanted(Arc<Deadline>);

impl Wanted {
    fn while_read(self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = rows.schema();
        let rows = rows.inspect(move |_| {
            let _wanted = &self;
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Reads a stream on a thread that may be busy, so that whoever waits for its rows still sees the deadline pass. Rows that
/// nobody takes end it at the deadline, too.
fn on_own_thread(mut rows: SendableRecordBatchStream, limit: Duration, deadline: Instant) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let (sender, receiver) = mpsc::channel(1);
    let was_read = Arc::new(AtomicBool::new(false));
    let all = was_read.clone();
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            loop {
                let batch = rows.next().await;
                let Some(batch) = batch else {
                    all.store(true, Ordering::Release);
                    break;
                };
                let last = batch.is_err();
                // Nobody waits for the rows any more, or not in time.
                let is_taken = timeout_at(deadline, sender.send(batch)).await;
                if !matches!(is_taken, Ok(Ok(()))) {
                    break;
                }
                if last {
                    all.store(true, Ordering::Release);
                    break;
                }
            }
        });
    });
    let received = stream::unfold(Some(receiver), move |receiver| {
        let was_read = was_read.clone();
        async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(batch) => Some((batch, Some(receiver))),
                None if was_read.load(Ordering::Acquire) => None,
                // What is missing must not look like the end.
                None => Some((Err(QueryError::Deadline { limit }.into()), None)),
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, received))
}

fn names_information_schema(state: &SessionState, statement: &Statement) -> Result<bool, QueryError> {
    let references = state.resolve_table_references(statement)?;
    Ok(references
        .iter()
        .any(|reference| reference.schema() == Some("information_schema")))
}

impl References {
    /// Whether it reads nothing at all.
    fn is_empty(&self) -> bool {
        !self.beyond_the_moment && self.tables.is_empty() && self.views.is_empty() && self.history.is_empty()
    }

    /// Adds what another statement reads.
    fn absorb(&mut self, other: &Self) {
        self.tables.extend(other.tables.iter().cloned());
        self.history.extend(other.history.iter().cloned());
        self.views.extend(other.views.iter().cloned());
        self.beyond_the_moment |= other.beyond_the_moment;
    }
}
