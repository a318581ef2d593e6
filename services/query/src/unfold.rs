//! Views within statements of people. SQL is planned over a view as over a table, and its plan is put in its place at the
//! beginning of the analysis. DataFusion puts it there while SQL is planned; then each expression that is planned walks
//! through all that stands below it, which over views of views was most of the time that a statement took.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{ViewTable, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan, TableType,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::ExecutionPlan;

/// A view that keeps its plan to itself until [`Unfold`] asks for it.
#[derive(Debug)]
pub(crate) struct View(ViewTable);

impl View {
    /// `definition` is what may be shown of how it is made.
    ///
    /// # Errors
    /// A view below that cannot be put in its place.
    pub(crate) fn new(plan: LogicalPlan, definition: Option<String>) -> Result<Self> {
        Ok(Self(ViewTable::new(unfolded(plan)?, definition)))
    }

    /// The plan of the view that a scan reads, if it reads one. It scans no view in its turn.
    ///
    /// # Errors
    /// A scan of something that cannot be read.
    pub(crate) fn plan_of(scan: &TableScan) -> Result<Option<LogicalPlan>> {
        let provider = source_as_provider(&scan.source)?;
        let view = provider.downcast_ref::<Self>();
        Ok(view.map(|view| view.0.logical_plan().clone()))
    }
}

#[async_trait]
impl TableProvider for View {
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        None
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.0.get_table_definition()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

/// Puts the plans of views in the places of their scans, before any other rule.
#[derive(Debug)]
pub(crate) struct Unfold;

impl AnalyzerRule for Unfold {
    fn name(&self) -> &'static str {
        "unfold_views"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        unfolded(plan)
    }
}

fn unfolded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return Ok(Transformed::no(node));
        };
        let Some(view) = View::plan_of(scan)? else {
            return Ok(Transformed::no(node));
        };
        let mut unfolded = LogicalPlanBuilder::from(view);
        if let Some(columns) = &scan.projection {
            let columns: Vec<Expr> = columns
                .iter()
                .map(|&column| Expr::from(unfolded.schema().qualified_field(column)))
                .collect();
            unfolded = unfolded.project(columns)?;
        }
        Ok(Transformed::yes(unfolded.alias(scan.table_name.clone())?.build()?))
    })?;
    Ok(plan.data)
}
