//! What a plan runs over: the tables and the time, and the scan that looks them up when it is executed (RULES 24).
//!
//! A plan holds a [`MomentCell`]. Before each run the cell is given a [`Moment`]; the plan's scans and its `as_of()`
//! read the cell when executed, so one plan serves every cut. The scan reports no statistics: an exact row count would
//! become a literal in the plan.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use casewatch_contract::RecordedAt;
use casewatch_live::{Present, has_zones};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema, Result, exec_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use crate::pruning::blocks_of_use;

/// Tables and views by name, the value of `as_of()`, and when the rows were known, for `known_at_date()`.
#[derive(Debug, Clone)]
pub struct Moment {
    pub as_of: RecordedAt,
    pub known_at: RecordedAt,
    pub tables: HashMap<String, Arc<Present>>,
}

impl Moment {
    /// For plans that are not run.
    pub(crate) fn nothing() -> Self {
        Self {
            as_of: RecordedAt(0),
            known_at: RecordedAt(0),
            tables: HashMap::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct MomentCell(RwLock<Option<Arc<Moment>>>);

impl MomentCell {
    pub(crate) fn moment(&self) -> Option<Arc<Moment>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, moment: Arc<Moment>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }

    /// Lets go of the tables of the last run.
    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A table or view whose rows are those of the moment.
#[derive(Debug)]
pub(crate) struct MomentTable {
    name: String,
    schema: SchemaRef,
    cell: Arc<MomentCell>,
}

impl MomentTable {
    pub(crate) fn new(name: impl Into<String>, schema: SchemaRef, cell: Arc<MomentCell>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            schema,
            cell,
        })
    }
}

#[async_trait]
impl TableProvider for MomentTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A filter that looks at dates and moments only may tell that a block has none of the rows; it is applied to the
    /// rows of the other blocks all the same.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let is_about_time = |filter: &Expr| {
            let columns = filter.column_refs();
            let has_zones = |column: &&Column| {
                self.schema
                    .field_with_name(&column.name)
                    .is_ok_and(|of| has_zones(of.data_type()))
            };
            !columns.is_empty() && columns.iter().all(has_zones)
        };
        let answer = |filter: &&Expr| match is_about_time(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows_of = DFSchema::try_from(self.schema.clone())?;
        let wanted = conjunction(filters.iter().cloned());
        let wanted = wanted
            .map(|wanted| state.create_physical_expr(wanted, &rows_of))
            .transpose()?;
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Arc::new(MomentScan {
            name: self.name.clone(),
            projection: projection.cloned(),
            wanted,
            schema,
            cell: self.cell.clone(),
            properties: Arc::new(properties),
        }))
    }
}

#[derive(Debug)]
struct MomentScan {
    name: String,
    projection: Option<Vec<usize>>,
    /// What every row that is of use is like, by its dates and moments.
    wanted: Option<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    cell: Arc<MomentCell>,
    properties: Arc<PlanProperties>,
}

impl MomentScan {
    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let projected = match &self.projection {
            Some(columns) => batch.project(columns)?,
            None => batch.clone(),
        };
        Ok(projected.with_schema(self.schema.clone())?)
    }
}

impl DisplayAs for MomentScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "MomentScan: table={}", self.name)
    }
}

impl ExecutionPlan for MomentScan {
    fn name(&self) -> &'static str {
        "MomentScan"
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

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(moment) = self.cell.moment() else {
            return exec_err!("table {} was read outside of a statement", self.name);
        };
        let batches = match moment.tables.get(&self.name) {
            Some(present) => {
                let of_use = self.wanted.as_ref().and_then(|wanted| blocks_of_use(wanted, present));
                let is_of_use = |block: usize| of_use.as_ref().is_none_or(|of_use| of_use[block]);
                let blocks = present
                    .batches
                    .iter()
                    .enumerate()
                    .filter(|(block, _)| is_of_use(*block));
                blocks.map(|(_, batch)| self.project(batch)).collect::<Result<_>>()?
            }
            // A table that was never supplied counts as empty; what needs it is not shown (RULES 21).
            None => Vec::new(),
        };
        Ok(Box::pin(MemoryStream::try_new(batches, self.schema.clone(), None)?))
    }
}
