//! The columns casewatch adds to every row: what happened, when it was recorded, and where it was read.
//!
//! All are nullable in the Arrow schema, so that batches from the decoder and batches read back from the lake are of
//! one schema. The decoder leaves null only those that say so.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

/// What happened, one letter: `c` create, `u` update, `r` read by a snapshot, `d` delete, `t` truncate.
pub const OP: &str = "_op";
/// The source's commit time.
pub const RECORDED_AT: &str = "_recorded_at";
/// `YYYY-MM` of it in UTC, or [`INVALID_MONTH`]. The lake is partitioned by it.
pub const RECORDED_MONTH: &str = "_recorded_month";
/// The order of changes of one key: bytes that compare as they sort.
pub const SEQ: &str = "_seq";
/// Names of columns whose value the source left out, separated by commas; null when it left out none.
pub const UNSET: &str = "_unset";
/// The source: the connector's name, else the row's feed. Null when neither is told.
pub const SOURCE: &str = "_source";
/// Null, or where in a snapshot the row stands (`first`, `true`, `last`, `incremental`, ...).
pub const SNAPSHOT: &str = "_snapshot";
/// Values of [`SNAPSHOT`] that say where one begins or ends, of a table or as a whole.
pub const SNAPSHOT_MARKS: [&str; 4] = ["first", "first_in_data_collection", "last_in_data_collection", "last"];
pub const CLUSTER: &str = "_cluster";
pub const TOPIC: &str = "_topic";
pub const EPOCH: &str = "_epoch";
pub const PARTITION: &str = "_partition";
pub const OFFSET: &str = "_offset";
/// When casewatch read the message.
pub const INGESTED_AT: &str = "_ingested_at";

/// The month of a recorded time that cannot be true: before 1990, or more than a day after it was read.
pub const INVALID_MONTH: &str = "invalid";

/// The type of every moment: microseconds in UTC, under the one name of UTC that Delta accepts.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// The system columns, in the order in which they follow a table's own.
pub fn fields() -> Vec<Field> {
    [
        (OP, DataType::Utf8),
        (RECORDED_AT, timestamp()),
        (RECORDED_MONTH, DataType::Utf8),
        (SEQ, DataType::Binary),
        (UNSET, DataType::Utf8),
        (SOURCE, DataType::Utf8),
        (SNAPSHOT, DataType::Utf8),
        (CLUSTER, DataType::Utf8),
        (TOPIC, DataType::Utf8),
        (EPOCH, DataType::Int32),
        (PARTITION, DataType::Int32),
        (OFFSET, DataType::Int64),
        (INGESTED_AT, timestamp()),
    ]
    .into_iter()
    .map(|(name, data_type)| Field::new(name, data_type, true))
    .collect()
}

/// Whether a name is casewatch's own; no table may use one for a column.
pub fn is_system(name: &str) -> bool {
    name.starts_with('_')
}
