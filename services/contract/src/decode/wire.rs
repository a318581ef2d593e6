//! What both encodings yield: the messages of one batch as columns, still in the writer's types.
//!
//! From here on Avro and JSON are one. Nothing is judged yet: a value that does not fit is found when its column is
//! converted, a row that contradicts itself when rows are assembled.

use arrow::array::{ArrayRef, BooleanArray};

macro_rules! source_fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Fields of Debezium's source block that decide something. In flat rows Debezium's unwrapping puts them beside
        /// the row's own, as `__source_<name>` or `__<name>`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum SourceField {
            $($(#[$doc])* $variant,)*
        }

        impl SourceField {
            pub(crate) const ALL: &'static [SourceField] = &[$(SourceField::$variant,)*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(SourceField::$variant => $name,)*
                }
            }

            /// The field of the source block called `name`.
            pub(crate) fn in_block(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(SourceField::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

source_fields! {
    Name = "name",
    Snapshot = "snapshot",
    TsUs = "ts_us",
    TsNs = "ts_ns",
    TsMs = "ts_ms",
    /// PostgreSQL: position in the write-ahead log.
    Lsn = "lsn",
    /// SQL Server: the transaction's position, the change's, and its number within that.
    CommitLsn = "commit_lsn",
    ChangeLsn = "change_lsn",
    EventSerialNo = "event_serial_no",
    /// Oracle: system change number, and the statement's number within it.
    Scn = "scn",
    Ssn = "ssn",
    /// MySQL and MariaDB: the binary log's file, the event's position, the row within it.
    File = "file",
    Pos = "pos",
    Row = "row",
}

impl SourceField {
    /// The field that a flat row carries under `name`. A plain `__ts_ms` is when the connector handled the change,
    /// not when the source committed it, so the three clocks must say that they are the source's.
    pub(crate) fn in_flat_row(name: &str) -> Option<Self> {
        let name = name.strip_prefix("__")?;
        if let Some(of_source) = name.strip_prefix("source_") {
            return Self::in_block(of_source);
        }
        Self::in_block(name).filter(|field| !matches!(field, SourceField::TsUs | SourceField::TsNs | SourceField::TsMs))
    }
}

/// In flat rows: the operation, and the mark of a deletion that was rewritten to a row.
pub(crate) const FLAT_OP: &str = "__op";
pub(crate) const FLAT_DELETED: &str = "__deleted";

/// What a writer's number, bytes or text stand for, where its Arrow type does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing special; a bare number in a date or timestamp column is told by its size.
    Plain,
    Days,
    Millis,
    Micros,
    Nanos,
    /// Big-endian two's complement, as bytes or as base64 text, with so many digits after the point.
    Decimal {
        scale: i32,
    },
}

/// One field of every message.
#[derive(Clone, Debug)]
pub(crate) struct WireColumn {
    pub(crate) array: ArrayRef,
    pub(crate) meaning: Meaning,
}

/// A run of messages of one form, one row each.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The position in the caller's messages of each row.
    pub(crate) messages: Vec<usize>,
    /// Whether these are Debezium's envelopes; else they are rows.
    pub(crate) envelope: bool,
    /// `op` of an envelope, `__op` of a flat row.
    pub(crate) op: Option<ArrayRef>,
    /// `__deleted` of a flat row.
    pub(crate) deleted: Option<ArrayRef>,
    /// Whether each message has a row image after, and one before, the change. For flat rows the row is the image
    /// after.
    pub(crate) has_after: BooleanArray,
    pub(crate) has_before: BooleanArray,
    /// The table's columns in the image after; `None` for those this writer does not send.
    pub(crate) after: Vec<Option<WireColumn>>,
    /// The key's columns in the image before.
    pub(crate) before_key: Vec<Option<WireColumn>>,
    /// By [`SourceField`].
    pub(crate) source: Vec<Option<WireColumn>>,
    /// The field of a flat row that becomes `_recorded_at`.
    pub(crate) recorded_at: Option<WireColumn>,
}

impl Wire {
    pub(crate) fn rows(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn source(&self, field: SourceField) -> Option<&WireColumn> {
        self.source[field as usize].as_ref()
    }
}
