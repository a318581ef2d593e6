//! A deadline that a running plan itself looks at.
//!
//! A timer cannot interrupt a join that computes without a pause, and dropping its stream does nothing until the join
//! returns. So a check stands over every join: the next batch that passes one after the deadline is an error, which
//! ends the plan.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;

use crate::error::QueryError;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When a plan has to be done; set before each run.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    /// Milliseconds since the program first asked.
    at_ms: AtomicU64,
    limit_ms: AtomicU64,
}

impl Deadline {
    pub(crate) fn set(&self, limit: Duration) {
        self.set_left(limit, limit);
    }

    /// So much is left of a limit.
    pub(crate) fn set_left(&self, limit: Duration, left: Duration) {
        let at = STARTED.elapsed() + left;
        self.at_ms.store(millis(at), Ordering::Relaxed);
        self.limit_ms.store(millis(limit), Ordering::Relaxed);
    }

    /// It is over, whatever was set.
    pub(crate) fn end(&self) {
        self.at_ms.store(0, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), QueryError> {
        if millis(STARTED.elapsed()) <= self.at_ms.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(QueryError::Deadline {
            limit: Duration::from_millis(self.limit_ms.load(Ordering::Relaxed)),
        })
    }
}

/// Puts a check over every join of a plan.
pub(crate) fn with_checks(plan: Arc<dyn ExecutionPlan>, deadline: &Arc<Deadline>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if !node.name().contains("Join") {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(Arc::new(DeadlineCheck {
            input: node,
            deadline: deadline.clone(),
        }) as _))
    })
    .data()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
struct DeadlineCheck {
    input: Arc<dyn ExecutionPlan>,
    deadline: Arc<Deadline>,
}

impl DisplayAs for DeadlineCheck {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("DeadlineCheck")
    }
}

impl ExecutionPlan for DeadlineCheck {
    fn name(&self) -> &'static str {
        "DeadlineCheck"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(Self {
            input,
            deadline: self.deadline.clone(),
        }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let deadline = self.deadline.clone();
        let schema = input.schema();
        let checked = input.map(move |batch| deadline.check().map_err(Into::into).and(batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, checked)))
    }
}
