//! `history.<table>`: every change ever, and tables as they were known at a moment (RULES 16, 19).
//!
//! A statement pins one snapshot of the lake a table and adds the rows read since, at or above that snapshot's
//! positions. Nothing is counted twice and nothing is missed, whatever the lake commits meanwhile. Where a file of the
//! snapshot is deleted beneath, by vacuum or an erasure, the statement starts over on the newest one (RULES 30).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use casewatch_contract::{Offset, PartitionId, RecordedAt, Table, TableName};
use casewatch_lake::Lake;
use casewatch_live::{Cut, KnownFrom, Tail};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

use crate::as_of::AsOf;
use crate::error::QueryError;
use crate::moment::{Moment, MomentCell};
use crate::past_tables::{Past, PastTables};

/// How often a statement starts over because a file of its snapshot was deleted.
pub(crate) const RESTARTS: usize = 4;

/// Where the committed history of a table is read from: the lake, or rows in memory for tests of queries.
#[async_trait]
pub trait HistorySource: Send + Sync {
    /// One snapshot of a table; `None` when it was never written.
    async fn pin(&self, table: &Arc<Table>) -> Result<Option<PinnedSnapshot>, QueryError>;
}

/// A table's committed history up to some positions.
#[derive(Clone)]
pub struct PinnedSnapshot {
    pub positions: BTreeMap<PartitionId, Offset>,
    pub provider: Arc<dyn TableProvider>,
}

/// The lake as a source of history.
pub struct LakeHistory(pub Arc<Lake>);

#[async_trait]
impl HistorySource for LakeHistory {
    async fn pin(&self, table: &Arc<Table>) -> Result<Option<PinnedSnapshot>, QueryError> {
        let snapshot = self.0.snapshot(table.clone()).await;
        let snapshot = snapshot.map_err(|error| QueryError::Lake {
            detail: error.to_string(),
        })?;
        Ok(snapshot.map(|snapshot| PinnedSnapshot {
            positions: snapshot.positions().clone(),
            provider: snapshot.provider(),
        }))
    }
}

/// History of all tables: what is committed and what is not yet.
#[derive(Clone)]
pub(crate) struct HistoryReader {
    pub(crate) source: Option<Arc<dyn HistorySource>>,
    pub(crate) tail: Option<Arc<Tail>>,
}

struct Pinned {
    committed: Option<Arc<dyn TableProvider>>,
    tail: Vec<RecordBatch>,
}

impl HistoryReader {
    async fn pin(&self, table: &Arc<Table>) -> Result<Pinned, QueryError> {
        // Held until the tail's rows are taken, so that none is dropped that the snapshot lacks.
        let hold = self.tail.as_ref().map(Tail::hold);
        let snapshot = match &self.source {
            Some(source) => source.pin(table).await?,
            None => None,
        };
        let positions = snapshot
            .as_ref()
            .map(|snapshot| snapshot.positions.clone())
            .unwrap_or_default();
        let tail = match &self.tail {
            Some(tail) => tail.rows(&table.name, &positions)?.batches,
            None => Vec::new(),
        };
        drop(hold);
        if let Some(tail) = &self.tail {
            tail.trim(&table.name, &positions);
        }
        Ok(Pinned {
            committed: snapshot.map(|snapshot| snapshot.provider),
            tail,
        })
    }
}

/// The provider of one table's history. One run of a plan sees one snapshot, however often it scans the table; the next
/// run, which another moment tells apart, sees the newest.
pub(crate) struct HistoryTable {
    table: Arc<Table>,
    reader: HistoryReader,
    run: Option<Arc<MomentCell>>,
    pinned: tokio::sync::Mutex<Option<(Weak<Moment>, Arc<Pinned>)>>,
}

impl fmt::Debug for HistoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HistoryTable({})", self.table.name)
    }
}

impl HistoryTable {
    pub(crate) fn new(table: Arc<Table>, reader: HistoryReader, run: Option<Arc<MomentCell>>) -> Arc<Self> {
        Arc::new(Self {
            table,
            reader,
            run,
            pinned: tokio::sync::Mutex::default(),
        })
    }

    async fn pinned(&self) -> Result<Arc<Pinned>, QueryError> {
        let moment = self.run.as_ref().and_then(|run| run.moment());
        let run = moment.as_ref().map_or_else(Weak::new, Arc::downgrade);
        let mut held = self.pinned.lock().await;
        if let Some((of, pinned)) = &*held
            && of.ptr_eq(&run)
        {
            return Ok(pinned.clone());
        }
        let pinned = Arc::new(self.reader.pin(&self.table).await?);
        *held = Some((run, pinned.clone()));
        Ok(pinned)
    }

    pub(crate) async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pinned = self.pinned().await?;
        let schema = self.table.lake_schema();
        let target = match projection {
            Some(columns) => Arc::new(schema.project(columns)?),
            None => schema.clone(),
        };
        let tail = MemorySourceConfig::try_new_exec(std::slice::from_ref(&pinned.tail), schema, projection.cloned())?;
        let Some(committed) = &pinned.committed else {
            return Ok(tail);
        };
        let stored = committed.schema();
        let columns: Vec<usize> = target
            .fields()
            .iter()
            .filter_map(|field| stored.index_of(field.name()).ok())
            .collect();
        let known = |filter: &&Expr| {
            !filter.is_volatile()
                && filter
                    .column_refs()
                    .iter()
                    .all(|column| stored.index_of(&column.name).is_ok())
        };
        let filters: Vec<Expr> = filters.iter().filter(known).cloned().collect();
        let scan = committed.scan(state, Some(&columns), &filters, None).await?;
        UnionExec::try_new(vec![conform(scan, &target)?, tail])
    }
}

#[async_trait]
impl TableProvider for HistoryTable {
    fn schema(&self) -> SchemaRef {
        self.table.lake_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan(state, projection, filters).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// Gives a scan the columns and types of `target`: what an older lake does not have is null.
fn conform(scan: Arc<dyn ExecutionPlan>, target: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let stored = scan.schema();
    if stored.fields().len() == target.fields().len()
        && stored
            .fields()
            .iter()
            .zip(target.fields())
            .all(|(stored, wanted)| stored.name() == wanted.name() && stored.data_type() == wanted.data_type())
    {
        return Ok(scan);
    }
    let columns = target
        .fields()
        .iter()
        .map(|field| -> Result<(Arc<dyn PhysicalExpr>, String)> {
            let column: Arc<dyn PhysicalExpr> = match stored.index_of(field.name()) {
                Ok(index) => {
                    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
                    if stored.field(index).data_type() == field.data_type() {
                        column
                    } else {
                        Arc::new(CastExpr::new(column, field.data_type().clone(), None))
                    }
                }
                Err(_) => Arc::new(Literal::new(ScalarValue::try_from(field.data_type())?)),
            };
            Ok((column, field.name().clone()))
        });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
}

/// The wish that rows of a table's first snapshot count as always known, and whether it was needed (RULES 20).
#[derive(Debug, Default)]
pub(crate) struct Assumption {
    needed: AtomicBool,
}

impl Assumption {
    pub(crate) fn was_needed(&self) -> bool {
        self.needed.load(Ordering::Acquire)
    }
}

/// `at('table', known_at)`: the versions of a table's rows known at a moment.
pub(crate) struct AtFunction {
    pub(crate) tables: HashMap<String, Arc<Table>>,
    pub(crate) past: Arc<PastTables>,
    /// `as_of()` of the statement: columns changed in place take the version of the earlier of the two.
    pub(crate) as_of: RecordedAt,
    /// None where no moment is asked for yet: then any is let through.
    pub(crate) cut: Option<Arc<Cut>>,
    pub(crate) assumption: Option<Arc<Assumption>>,
}

impl fmt::Debug for AtFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("at(table, known_at)")
    }
}

impl TableFunctionImpl for AtFunction {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(name, _), moment] = arguments.exprs() else {
            return plan_err!("at() takes the name of a table and a moment, such as at('cases', '2018-10-17')");
        };
        let Some(Some(name)) = name.try_as_str() else {
            return plan_err!("at() takes the name of a table as text");
        };
        let Some(table) = self.tables.get(name) else {
            return plan_err!("at() knows no table '{name}'");
        };
        let known_at = moment_of(moment)?;
        let (mut assumed_until, mut generation) = (None, 0);
        if let Some(cut) = &self.cut {
            let known_from = cut.known_from.get(&table.name).copied();
            assumed_until = check_known((known_from, cut.at), &table.name, known_at, self.assumption.as_deref())?;
            generation = cut.tables.get(&table.name).map_or(0, |live| live.generation);
        }
        Ok(Arc::new(AtTable {
            table: table.clone(),
            past: self.past.clone(),
            moment: Past {
                known_at,
                as_of: self.as_of,
                assumed_until,
                generation,
            },
            schema: casewatch_live::present_schema(table),
        }))
    }
}

/// Refuses a moment before a table's content is known, or says up to when rows of snapshots are to be assumed known
/// where that was asked for (RULES 20). Given is since when the table is known, and up to when everything was read.
pub(crate) fn check_known(
    (known_from, read_up_to): (Option<KnownFrom>, RecordedAt),
    table: &TableName,
    known_at: RecordedAt,
    assumption: Option<&Assumption>,
) -> Result<Option<RecordedAt>, QueryError> {
    let name = table.to_string();
    let (snapshot_rows_until, refusal) = match known_from {
        Some(KnownFrom::At(known_from)) if known_at < known_from => {
            let table = name;
            let refusal = QueryError::Unknown {
                table,
                known_at,
                known_from,
            };
            (known_from, refusal)
        }
        // Whatever was read of snapshots so far is of the first one.
        Some(KnownFrom::SnapshotUnfinished) if known_at < read_up_to => {
            (read_up_to, QueryError::SnapshotUnfinished { table: name, known_at })
        }
        _ => return Ok(None),
    };
    let Some(assumption) = assumption else {
        return Err(refusal);
    };
    assumption.needed.store(true, Ordering::Release);
    Ok(Some(snapshot_rows_until))
}

fn moment_of(expression: &Expr) -> Result<RecordedAt> {
    match expression {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(moment), _), _) => Ok(RecordedAt(*moment)),
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(moment), _), _) => Ok(RecordedAt(moment.div_euclid(1_000))),
        Expr::Literal(ScalarValue::Date32(Some(day)), _) => Ok(RecordedAt(crate::civil::end_of_london_day(*day))),
        Expr::Literal(text, _) if let Some(Some(text)) = text.try_as_str() => Ok(text.parse::<AsOf>()?.0),
        Expr::Cast(cast) => moment_of(&cast.expr),
        _ => plan_err!("at() takes a moment as a literal: '2018-10-17', or '2018-10-17T09:30:00Z'"),
    }
}

struct AtTable {
    table: Arc<Table>,
    past: Arc<PastTables>,
    moment: Past,
    schema: SchemaRef,
}

impl fmt::Debug for AtTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at({}, {})", self.table.name, self.moment.known_at)
    }
}

#[async_trait]
impl TableProvider for AtTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let present = self.past.table(state, &self.table, self.moment).await?;
        let scan = MemorySourceConfig::try_new_exec(
            std::slice::from_ref(&present.batches),
            self.schema.clone(),
            projection.cloned(),
        )?;
        Ok(scan)
    }
}
