//! Blocks of a table that a scan can leave out, told by the dates and moments in them.
//!
//! A filter such as "not ended by `as_of()`" is a plan's and stands for many moments; which blocks it leaves out is found
//! anew each time the plan is executed.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::Schema;
use casewatch_live::{Present, Zone};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column as ColumnExpr, Literal, lit};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

/// Tables of fewer blocks are read faster than they are pruned.
const BLOCKS_AT_LEAST: usize = 4;

/// For each block whether it may have a row of which `wanted` holds; none where all are to be read.
pub(crate) fn blocks_of_use(wanted: &Arc<dyn PhysicalExpr>, present: &Present) -> Option<Vec<bool>> {
    if present.batches.len() < BLOCKS_AT_LEAST {
        return None;
    }
    // What cannot be told is read: nothing is lost but time.
    let wanted = settled(wanted).ok()?;
    let builder = PruningPredicateBuilder::new().with_file_schema(present.schema.clone());
    let predicate = builder.try_build(wanted).ok()?;
    predicate.prune(&Blocks(present)).ok()
}

/// The filter with the values of this moment in place of whatever reads no column, such as `as_of()`.
fn settled(wanted: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let settle = |expression: Arc<dyn PhysicalExpr>| {
        let is = |of: &Arc<dyn PhysicalExpr>| of.downcast_ref::<Literal>().is_some();
        let reads_columns = expression.downcast_ref::<ColumnExpr>().is_some();
        if is(&expression) || reads_columns || !expression.children().into_iter().all(is) {
            return Ok(Transformed::no(expression));
        }
        let value = match expression.evaluate(&one_row)? {
            ColumnarValue::Scalar(value) => value,
            ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0)?,
        };
        Ok(Transformed::yes(lit(value)))
    };
    Ok(Arc::clone(wanted).transform_up(settle)?.data)
}

/// A table's blocks as DataFusion asks for what is known of them.
struct Blocks<'p>(&'p Present);

impl Blocks<'_> {
    fn zone(&self, column: &Column) -> Option<&Zone> {
        self.0.zone(self.0.schema.index_of(&column.name).ok()?)
    }
}

impl PruningStatistics for Blocks<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.zone(column)?.min.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.zone(column)?.max.clone())
    }

    fn num_containers(&self) -> usize {
        self.0.batches.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.zone(column)?.nulls.clone())
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.0.batches.iter().map(|batch| batch.num_rows() as u64);
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{clock_functions, timestamp_type};
    use crate::moment::{Moment, MomentCell};
    use arrow::array::{Date32Array, TimestampMicrosecondArray};
    use arrow::compute::filter_record_batch;
    use arrow::datatypes::{DataType, Field};
    use casewatch_contract::RecordedAt;
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Rows of when something began and ended, and of the day it was due.
    type Row = (i64, Option<i64>, Option<i32>);

    fn present(blocks: &[Vec<Row>]) -> Present {
        let schema = Arc::new(Schema::new(vec![
            Field::new("began_at", timestamp_type(), false),
            Field::new("ended_at", timestamp_type(), true),
            Field::new("due_on", DataType::Date32, true),
        ]));
        let block = |rows: &Vec<Row>| {
            let moments = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
            let columns: Vec<ArrayRef> = vec![
                Arc::new(moments(rows.iter().map(|row| Some(row.0)).collect())),
                Arc::new(moments(rows.iter().map(|row| row.1).collect())),
                Arc::new(rows.iter().map(|row| row.2).collect::<Date32Array>()),
            ];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        };
        Present::new(schema.clone(), blocks.iter().map(block).collect(), 1)
    }

    fn filter(sql: &str, present: &Present, as_of: i64) -> Arc<dyn PhysicalExpr> {
        let cell = Arc::new(MomentCell::default());
        cell.set(Arc::new(Moment {
            as_of: RecordedAt(as_of),
            known_at: RecordedAt(as_of),
            tables: HashMap::new(),
        }));
        let context = SessionContext::new();
        clock_functions(&cell)
            .iter()
            .for_each(|function| context.register_udf(function.as_ref().clone()));
        let schema = DFSchema::try_from(present.schema.clone()).unwrap();
        let expression = context.parse_sql_expr(sql, &schema).unwrap();
        context.create_physical_expr(expression, &schema).unwrap()
    }

    const FILTERS: [&str; 6] = [
        "ended_at is null or ended_at > as_of()",
        "began_at <= as_of() and (ended_at is null or ended_at > as_of())",
        "ended_at >= as_of() - interval '10 microseconds' and ended_at < as_of()",
        "not (ended_at is null) and due_on is null",
        "due_on > date '1970-01-05' or began_at = as_of()",
        "case when ended_at is null then as_of() else ended_at end > began_at",
    ];

    #[test]
    fn blocks_of_what_ended_before_are_left_out_and_others_once_the_clock_stands_before_their_end() {
        let ended = |at: i64| vec![(at, Some(at + 10), None); 3];
        let blocks = present(&[ended(0), ended(100), ended(200), vec![(5, None, None)]]);
        let open = |as_of| blocks_of_use(&filter(FILTERS[0], &blocks, as_of), &blocks);
        assert_eq!(open(150), Some(vec![false, false, true, true]));
        assert_eq!(open(50), Some(vec![false, true, true, true]));
        assert_eq!(open(5), Some(vec![true, true, true, true]));
        let in_between = filter(FILTERS[2], &blocks, 115);
        assert_eq!(
            blocks_of_use(&in_between, &blocks),
            Some(vec![false, true, false, false])
        );
    }

    proptest! {
        #[test]
        fn no_block_with_a_row_that_is_wanted_is_left_out(
            blocks in prop::collection::vec(
                prop::collection::vec((0_i64..40, prop::option::of(0_i64..60), prop::option::of(0_i32..9)), 1..4),
                4..8,
            ),
            as_of in 0_i64..60,
        ) {
            let present = present(&blocks);
            for sql in FILTERS {
                let wanted = filter(sql, &present, as_of);
                let of_use = blocks_of_use(&wanted, &present);
                for (block, batch) in present.batches.iter().enumerate() {
                    let holds = wanted.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
                    let holds = holds.as_any().downcast_ref::<BooleanArray>().unwrap();
                    let rows = filter_record_batch(batch, holds).unwrap().num_rows();
                    let left_out = of_use.as_ref().is_some_and(|of_use| !of_use[block]);
                    prop_assert!(!left_out || rows == 0, "{sql}: block {block}");
                }
            }
        }
    }
}
