//! What the blocks of a table can tell without being read: the least and the greatest moment of a column in each block,
//! and how many rows have none. A scan for what is still open, or lies in the last year, leaves out the blocks of what
//! ended before.

use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array, PrimitiveArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

/// A column's bounds, one entry a block.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The least value; null where a block has no value.
    pub min: ArrayRef,
    /// The greatest value; null where a block has no value.
    pub max: ArrayRef,
    /// Rows without a value, `UInt64`.
    pub nulls: ArrayRef,
}

/// The zones of a table's columns, each made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Zones(Vec<OnceLock<Zone>>);

impl Zones {
    pub(crate) fn of(columns: usize) -> Self {
        Self((0..columns).map(|_| OnceLock::new()).collect())
    }

    /// The zone of a column of dates or of moments; none of any other.
    pub(crate) fn get(&self, column: usize, batches: &[RecordBatch]) -> Option<&Zone> {
        let data_type = batches.first()?.column(column).data_type().clone();
        let slot = self.0.get(column)?;
        match data_type {
            DataType::Date32 => Some(slot.get_or_init(|| {
                let bounds = bounds::<Date32Type>(column, batches);
                zone(&bounds, |values| Arc::new(Date32Array::from_iter(values)))
            })),
            DataType::Timestamp(TimeUnit::Microsecond, zone_name) => Some(slot.get_or_init(|| {
                let bounds = bounds::<TimestampMicrosecondType>(column, batches);
                let of = |values: Vec<Option<i64>>| -> ArrayRef {
                    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone_opt(zone_name.clone()))
                };
                zone(&bounds, of)
            })),
            _ => None,
        }
    }
}

/// Whether a column of this type has zones.
pub fn has_zones(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

/// Least, greatest and missing values of one block.
type Bounds<N> = (Option<N>, Option<N>, u64);

fn bounds<T: ArrowPrimitiveType>(column: usize, batches: &[RecordBatch]) -> Vec<Bounds<T::Native>>
where
    T::Native: PartialOrd,
{
    let of_block = |batch: &RecordBatch| {
        let values: &PrimitiveArray<T> = batch.column(column).as_primitive();
        (min(values), max(values), values.null_count() as u64)
    };
    batches.iter().map(of_block).collect()
}

fn zone<N: Copy>(bounds: &[Bounds<N>], array: impl Fn(Vec<Option<N>>) -> ArrayRef) -> Zone {
    Zone {
        min: array(bounds.iter().map(|(min, _, _)| *min).collect()),
        max: array(bounds.iter().map(|(_, max, _)| *max).collect()),
        nulls: Arc::new(UInt64Array::from_iter_values(bounds.iter().map(|(_, _, nulls)| *nulls))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use arrow::datatypes::{Field, Schema};

    use crate::present::Present;

    #[test]
    fn a_zone_has_the_bounds_of_each_block_and_none_where_a_block_has_no_value() {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("ended_at", moment, true),
        ]));
        let block = |moments: Vec<Option<i64>>| {
            let ids = StringArray::from_iter_values(moments.iter().map(|_| "id"));
            let moments = TimestampMicrosecondArray::from(moments).with_timezone("UTC");
            RecordBatch::try_new(schema.clone(), vec![Arc::new(ids), Arc::new(moments)]).unwrap()
        };
        let blocks = vec![block(vec![Some(5), None, Some(3)]), block(vec![None, None])];
        let present = Present::new(schema.clone(), blocks, 1);
        assert!(present.zone(0).is_none(), "texts have no zones");
        let zone = present.zone(1).unwrap();
        let moments = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
        assert_eq!(zone.min.as_primitive(), &moments(vec![Some(3), None]));
        assert_eq!(zone.max.as_primitive(), &moments(vec![Some(5), None]));
        assert_eq!(zone.nulls.as_primitive(), &UInt64Array::from(vec![1, 2]));
        assert!(Present::new(schema, Vec::new(), 1).zone(1).is_none(), "no block");
    }
}
