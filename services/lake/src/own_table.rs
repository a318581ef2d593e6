//! A table that the lake keeps for others, as SQL sees it: its newest version at each scan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::lake::Lake;
use crate::provider::LakeProvider;
use crate::schema::Layout;

pub(crate) struct OwnTable {
    lake: Arc<Lake>,
    layout: fn() -> Layout,
    schema: SchemaRef,
}

impl OwnTable {
    pub(crate) fn new(lake: &Arc<Lake>, layout: fn() -> Layout) -> Arc<Self> {
        Arc::new(Self {
            lake: lake.clone(),
            schema: layout().schema,
            layout,
        })
    }
}

impl fmt::Debug for OwnTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnTable({})", (self.layout)().name)
    }
}

#[async_trait]
impl TableProvider for OwnTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let layout = (self.layout)();
        let log = self.lake.log(&layout.name);
        let state = self.lake.state(&log).await;
        match state.map_err(|error| DataFusionError::External(Box::new(error)))? {
            Some(state) => {
                let pinned = LakeProvider::new(&self.lake.place, &log, &layout, &state);
                pinned.scan(session, projection, filters, limit).await
            }
            None => {
                let schema = match projection {
                    Some(columns) => Arc::new(self.schema.project(columns)?),
                    None => self.schema.clone(),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
        }
    }
}
