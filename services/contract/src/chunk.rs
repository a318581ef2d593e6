//! What goes into the decoder and what comes out of it.

use std::fmt;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::position::{Offset, OffsetRange, PartitionId};

/// One Kafka message, as the consumer lends it.
#[derive(Clone, Copy, Debug)]
pub struct RawMessage<'a> {
    pub offset: Offset,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Kafka's own timestamp, in milliseconds since 1970 UTC. It is kept with a dead letter and decides nothing.
    pub timestamp_ms: Option<i64>,
}

/// What decoding yields for one run of one partition.
///
/// Every offset of `range` is accounted for exactly once: `rows`' distinct offsets, `dead_letters`, `tombstones` and
/// `holes` add up to [`OffsetRange::offsets`]. One message may make two rows (a change of key), so rows can exceed
/// offsets.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub partition: PartitionId,
    pub range: OffsetRange,
    /// Rows in offset order, in the table's lake schema.
    pub rows: RecordBatch,
    /// In offset order.
    pub dead_letters: Vec<DeadLetter>,
    /// Messages with a key and no value, which Kafka's compaction asks for and which say nothing.
    pub tombstones: u64,
    /// Offsets at which there was no message: transaction markers, compacted records.
    pub holes: u64,
}

impl Chunk {
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether it holds no rows; its range may still move the position.
    pub fn is_empty(&self) -> bool {
        self.rows.num_rows() == 0
    }
}

/// A message that could not become a row.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub partition: PartitionId,
    pub offset: Offset,
    /// The registry's id of the schema it was written with, where it says one.
    pub schema_id: Option<u32>,
    pub reason: Reason,
    /// What is wrong and with which field. Never a value of the message.
    pub detail: String,
    pub timestamp_ms: Option<i64>,
    /// The raw value, for the lake to seal or to leave out. Never the key.
    pub payload: Option<Vec<u8>>,
}

impl fmt::Debug for DeadLetter {
    /// Everything but the payload, of which only the size shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("partition", &format_args!("{}", self.partition))
            .field("offset", &self.offset.0)
            .field("schema_id", &self.schema_id)
            .field("reason", &self.reason)
            .field("detail", &self.detail)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("payload_bytes", &self.payload.as_ref().map(Vec::len))
            .finish()
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Why a message became a dead letter. A small closed list: it labels a metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$variant => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// The registry does not know the schema id.
    UnknownSchema = "unknown_schema",
    /// The schema cannot be read, or not as this table.
    SchemaMismatch = "schema_mismatch",
    /// The message ends before its schema does.
    Truncated = "truncated",
    /// The bytes are not what their encoding or schema says: also bytes left over.
    Malformed = "malformed",
    /// Neither Avro in Confluent's framing nor JSON, or not what the topic is configured to carry.
    UnknownEncoding = "unknown_encoding",
    /// A column of the key is null or missing.
    MissingKey = "missing_key",
    /// A column that must have a value has none.
    MissingValue = "missing_value",
    /// A value is not in its column's closed list.
    ClosedList = "closed_list",
    /// A value does not fit its column's type: a bad date, a number too large.
    BadValue = "bad_value",
    /// Neither the envelope nor the row says when the change was recorded.
    MissingRecordedAt = "missing_recorded_at",
    /// The topic is ordered by source position and the message has none.
    MissingPosition = "missing_position",
    /// `op` is none of c, u, r, d, t, or contradicts what the envelope holds.
    UnknownOperation = "unknown_operation",
    /// A truncate on a topic that is ordered by offset: which rows it removes is not known.
    TruncateNeedsSourceOrder = "truncate_needs_source_order",
    /// Larger than a message may be.
    TooLarge = "too_large",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Reason::ALL.iter().copied().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not a reason for a dead letter"))
    }
}
