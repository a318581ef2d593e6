//! The barrier: a table or view as one user sees it. Below it run the policy's conditions, planned and optimized by
//! themselves; above it, whatever the user wrote. Nothing passes down - no filter, no limit, no expression - so nothing
//! that the user wrote sees a row that the conditions drop, in whatever order an optimizer would like to have things. What
//! is below shows neither in a plan nor in its metrics nor in an error.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use casewatch_lake::is_file_gone;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use datafusion::sql::parser::DFParser;
use futures::StreamExt;

use super::column::{Source, columns};
use super::rights::{Rights, SETS, sets_read};
use crate::deadline::{Deadline, with_checks};
use crate::engine::{Clock, Shared};
use crate::error::QueryError;
use crate::planning::register_table;

/// The schema in which the tables behind barriers stand, one each.
const BEHIND: &str = "behind";

/// What the barriers of one statement share.
pub(crate) struct Behind {
    /// Knows every table as it is.
    pub(crate) state: SessionState,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) rights: Arc<Rights>,
    pub(crate) deadline: Arc<Deadline>,
}

pub(crate) struct Barrier {
    /// By which the user knows it.
    name: String,
    /// Where what it guards stands in `behind`.
    place: String,
    schema: SchemaRef,
    /// For each column shown.
    sources: Vec<Source>,
    /// Whether its rows are somebody's, by a rule of the policy.
    has_rules: bool,
    /// Which rows are shown.
    condition: String,
    behind: Arc<Behind>,
}

/// What a barrier guards.
pub(crate) struct Guarded<'a> {
    /// By which the user knows it.
    pub(crate) name: &'a str,
    /// By which the policy knows it: its history's rules are its own.
    pub(crate) rules_of: &'a str,
    /// Tells its barrier from the others of the statement.
    pub(crate) number: usize,
}

/// What tells one version of a row from others, and that it says no more than that the row is gone.
pub(crate) struct Deletes<'a> {
    pub(crate) key: Vec<&'a str>,
}

impl Barrier {
    /// Guards `inner`. With `deletes`, versions that only say that a row is gone are shown of rows of which another version
    /// is.
    ///
    /// # Errors
    /// None that the name could not be given to.
    pub(crate) fn new(
        guarded: &Guarded<'_>,
        inner: Arc<dyn TableProvider>,
        conditions: &[String],
        deletes: Option<Deletes<'_>>,
        behind: &Arc<Behind>,
    ) -> Result<Arc<Self>> {
        let grant = behind.rights.grant();
        let shown = |column: &str| grant.shown(guarded.rules_of, column);
        let (schema, sources) = columns(&inner.schema(), shown, behind.shared.reference_key.as_ref());
        let has_rules = grant.policy().rows.contains_key(guarded.rules_of);
        let place = format!("r{}", guarded.number);
        let shown = conditions.iter().map(|condition| format!("({condition})"));
        let shown = shown.collect::<Vec<_>>().join(" and ");
        let condition = match deletes {
            Some(deletes) if !shown.is_empty() => {
                let same = deletes
                    .key
                    .iter()
                    .map(|key| format!("shown.{0} = this.{0}", quoted(key)));
                let same = same.collect::<Vec<_>>().join(" and ");
                format!(
                    "({shown}) or (_op = 'd' and exists (select 1 from {BEHIND}.{place} as shown where {same} and ({shown})))"
                )
            }
            _ => shown,
        };
        register_table(&behind.state, Some(BEHIND), &place, inner)?;
        Ok(Arc::new(Self {
            name: guarded.name.to_owned(),
            place,
            schema,
            sources,
            has_rules,
            condition,
            behind: behind.clone(),
        }))
    }

    pub(crate) fn has_rules(&self) -> bool {
        self.has_rules
    }

    async fn plan(&self, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
        let (schema, sources) = match projection {
            Some(columns) => (
                Arc::new(self.schema.project(columns).map_err(DataFusionError::from)?),
                columns.iter().map(|&column| self.sources[column].clone()).collect(),
            ),
            None => (self.schema.clone(), self.sources.clone()),
        };
        let mut read: Vec<String> = sources.iter().filter_map(Source::reads).map(quoted).collect();
        if read.is_empty() {
            read.push("true".to_owned());
        }
        read.sort_unstable();
        read.dedup();
        let place_of = |column: &str| read.iter().position(|read| *read == quoted(column));
        let places = sources.iter().map(|source| source.reads().and_then(place_of)).collect();
        let mut sql = format!("select {} from {BEHIND}.{} as this", read.join(", "), self.place);
        if !self.condition.is_empty() {
            sql = format!("{sql} where {}", self.condition);
        }
        let behind = &self.behind;
        for set in sets_read(&behind.shared, &sql)? {
            let rows = behind.rights.set(&behind.shared, &behind.clock, &set).await?;
            register_table(&behind.state, Some(SETS), &set, rows)?;
        }
        let statement = DFParser::parse_sql(&sql)?.pop_front().ok_or(QueryError::Withheld)?;
        let logical = behind.state.statement_to_plan(statement).await?;
        let input = with_checks(behind.state.create_physical_plan(&logical).await?, &behind.deadline)?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(BarrierExec {
            name: self.name.clone(),
            input,
            sources,
            places,
            schema,
            properties: Arc::new(properties),
        }))
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier({})", self.name)
    }
}

#[async_trait]
impl TableProvider for Barrier {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters and limits stay above: [`TableProvider::supports_filters_pushdown`] is left at its default.
    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planned = self.plan(projection).await;
        planned.map_err(|error| told(&self.name, error.into()))
    }
}

/// A leaf, for whoever looks at the plan.
struct BarrierExec {
    name: String,
    input: Arc<dyn ExecutionPlan>,
    /// For each column shown.
    sources: Vec<Source>,
    /// Where what each source reads stands in the input.
    places: Vec<Option<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl BarrierExec {
    fn shown(&self) -> impl Fn(&RecordBatch) -> Result<RecordBatch> + Send + 'static {
        let (sources, places, schema) = (self.sources.clone(), self.places.clone(), self.schema.clone());
        move |rows| {
            let columns = sources.iter().zip(&places).zip(schema.fields());
            let shown = columns.map(|((source, place), field)| {
                let read = place.map(|place| rows.column(place));
                source.values(read, field.data_type(), rows.num_rows())
            });
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let shown = shown.collect::<Result<_>>()?;
            Ok(RecordBatch::try_new_with_options(schema.clone(), shown, &options)?)
        }
    }
}

impl fmt::Debug for BarrierExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BarrierExec({})", self.name)
    }
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "BarrierExec: table={}", self.name)
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &'static str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let name = self.name.clone();
        let input = self.input.execute(partition, context);
        let input = input.map_err(|error| told(&name, error))?;
        let shown = self.shown();
        let rows = input.map(move |rows| rows.and_then(|rows| shown(&rows)).map_err(|error| told(&name, error)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows)))
    }
}

/// An error from behind a barrier, as the user may see it: its text could hold values of rows that may not be seen. What
/// says nothing of rows goes through.
fn told(name: &str, error: DataFusionError) -> DataFusionError {
    if is_file_gone(&error) || matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return error;
    }
    let error = QueryError::from(error);
    if !matches!(
        error,
        QueryError::Sql(_) | QueryError::View { .. } | QueryError::Live(_)
    ) {
        return error.into();
    }
    tracing::warn!(
        table = name,
        "what a user may see of a table cannot be computed: ask as the operator for the reason"
    );
    QueryError::Withheld.into()
}

/// A name as SQL takes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
