//! What can go wrong with the lake, and whether waiting helps.

use casewatch_contract::{Offset, PartitionId};
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;

/// Primary message lowercase and short, then detail, then a hint where there is one. Never a person's data.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The store failed: disk full, network away, permission lost. Whether it heals is told by [`LakeError::is_retryable`].
    #[error("storage failed while {doing}: {source}")]
    Storage { doing: String, source: object_store::Error },

    #[error(
        "cannot open a lake at '{root}': {detail}; hint: use a folder (file:///var/lib/casewatch/lake) or s3://bucket/prefix"
    )]
    Root { root: String, detail: String },

    #[error(
        "the lake has format {found}, this program reads up to {known}; hint: run the version of casewatch that wrote it, or a newer one"
    )]
    FormatTooNew { found: u32, known: u32 },

    #[error("the lake's marker '{path}' cannot be read: {detail}; hint: restore it from a backup")]
    Marker { path: String, detail: String },

    #[error("the log of table '{table}' cannot be read at version {version}: {detail}")]
    Log {
        table: String,
        version: u64,
        detail: String,
    },

    #[error(
        "table '{table}' needs Delta reader {reader} and writer {writer}, this program supports reader 1 and writer 2; hint: another engine has upgraded it; restore it from a backup"
    )]
    Protocol { table: String, reader: i32, writer: i32 },

    #[error(
        "column '{column}' of table '{table}' is {stored} in the lake and {wanted} in the contract; hint: give the changed column a new name"
    )]
    IncompatibleColumn {
        table: String,
        column: String,
        stored: String,
        wanted: String,
    },

    #[error("rows for table '{table}' do not have the lake's columns: {detail}")]
    Rows { table: String, detail: String },

    #[error("chunks of {partition} are not contiguous: one ends at {end}, the next starts at {start}")]
    NotContiguous {
        partition: PartitionId,
        end: i64,
        start: i64,
    },

    #[error("chunk {from}..{to} of {partition} does not account for each offset: {detail}")]
    Account {
        partition: PartitionId,
        from: i64,
        to: i64,
        detail: String,
    },

    #[error("gave up committing to table '{table}' after {attempts} attempts: other writers were always first")]
    Contention { table: String, attempts: usize },

    #[error("a data file could not be written or read: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),

    #[error("rows could not be computed: {0}")]
    Arrow(#[from] arrow::error::ArrowError),

    #[error("a scan failed: {0}")]
    Scan(#[from] datafusion::error::DataFusionError),

    #[error("delta failed while {doing}: {source}")]
    Delta {
        doing: String,
        source: deltalake::DeltaTableError,
    },

    #[error(
        "the position of {partition} in table '{table}' is {found:?}, not {expected}; hint: look at lake.commits and try again"
    )]
    NotAtPosition {
        table: String,
        partition: PartitionId,
        expected: i64,
        found: Option<Offset>,
    },

    #[error("no dead letter of table '{table}' stands at {partition} offset {offset}")]
    NoDeadLetter {
        table: String,
        partition: PartitionId,
        offset: Offset,
    },

    #[error(
        "identities of domain '{domain}' in table '{table}' went through {stored} keys, this program has {given}; hint: {hint}"
    )]
    KeyGeneration {
        table: String,
        domain: String,
        stored: u32,
        given: u32,
        hint: &'static str,
    },

    #[error(
        "identities of domain '{domain}' in table '{table}' were hashed with another key; hint: configure the keys the lake was written with, the oldest first, a new one after them"
    )]
    OtherKey { table: String, domain: String },

    #[error(
        "the keys of table '{table}' are being rotated and some files are left; hint: run `casewatch rotate-keys` to its end"
    )]
    Rotating { table: String },

    #[error(
        "{count} erased subjects could not be followed to the new keys: they were erased by a version that kept no sealed copy; hint: with the old keys, run `casewatch erase` for each of them again, then rotate"
    )]
    Unfollowed { count: usize },

    #[error("an entry of the list of the erased cannot be read: {detail}")]
    ErasedEntry { detail: String },

    #[error("the payload of a dead letter cannot be unsealed; hint: it was sealed with another key")]
    Unseal,

    #[error("the payload key must be 64 hexadecimal digits (32 bytes)")]
    PayloadKey,

    #[error("the backup at '{path}' is not usable: {detail}")]
    Backup { path: String, detail: String },

    #[error("the lake was not restored to the end ('{path}' stands in it); hint: empty the place and restore again")]
    Restoring { path: String },

    #[error("file '{path}': {source}")]
    File { path: String, source: std::io::Error },

    #[error("a worker thread ended early: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

pub type Result<T, E = LakeError> = std::result::Result<T, E>;

impl LakeError {
    /// True when waiting and trying the same again may succeed: the disk is full, the store is away, other writers were
    /// first. Ingestion then pauses and resumes by itself. False when a person has to act.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Storage { source, .. } => store_may_heal(source),
            Self::Contention { .. } | Self::Worker(_) => true,
            Self::File { source, .. } => source.kind() != std::io::ErrorKind::InvalidInput,
            Self::Scan(error) => match error.find_root() {
                datafusion::error::DataFusionError::ObjectStore(source) => store_may_heal(source),
                datafusion::error::DataFusionError::ResourcesExhausted(_) => true,
                _ => false,
            },
            Self::Delta {
                source: deltalake::DeltaTableError::ObjectStore { source },
                ..
            } => store_may_heal(source),
            _ => false,
        }
    }

    /// True when identities went through other keys than those given: a person has to configure or rotate them.
    pub fn is_about_keys(&self) -> bool {
        matches!(
            self,
            Self::KeyGeneration { .. } | Self::OtherKey { .. } | Self::Rotating { .. }
        )
    }

    /// True when the lake refuses this program as it is configured: another format, another protocol, other keys.
    pub fn is_refusal(&self) -> bool {
        self.is_about_keys() || matches!(self, Self::FormatTooNew { .. } | Self::Protocol { .. })
    }

    /// True when a file of a pinned snapshot is gone (erasure, vacuum): retry on the newest snapshot.
    pub fn is_file_gone(&self) -> bool {
        match self {
            Self::Storage { source, .. } => matches!(source, object_store::Error::NotFound { .. }),
            Self::Scan(error) => is_file_gone(error),
            _ => false,
        }
    }

    pub(crate) fn storage(doing: impl Into<String>) -> impl FnOnce(object_store::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Storage { doing, source }
    }

    pub(crate) fn delta(doing: impl Into<String>) -> impl FnOnce(deltalake::DeltaTableError) -> Self {
        let doing = doing.into();
        move |source| Self::Delta { doing, source }
    }
}

/// True when a scan failed because a file of its snapshot is gone. Parquet's reader wraps the store's error, DataFusion
/// that one's, and either may share it: the whole chain is looked at. Where Parquet's reader keeps only the text of the
/// store's error, the text has to do.
pub fn is_file_gone(error: &DataFusionError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(object_store::Error::NotFound { .. }) = error.downcast_ref() {
            return true;
        }
        if let Some(ParquetError::General(text)) = error.downcast_ref()
            && text.contains("Object at location")
            && text.contains(" not found: ")
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// A store that says "no such operation" or "no such option" will say so for ever; everything else (full, away, slow,
/// credentials expired) heals without a restart.
fn store_may_heal(error: &object_store::Error) -> bool {
    !matches!(
        error,
        object_store::Error::InvalidPath { .. }
            | object_store::Error::NotSupported { .. }
            | object_store::Error::NotImplemented { .. }
            | object_store::Error::UnknownConfigurationKey { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(source: object_store::Error) -> LakeError {
        LakeError::Storage {
            doing: "writing".into(),
            source,
        }
    }

    #[test]
    fn a_full_disk_is_waited_out_and_an_unsupported_operation_is_not() {
        let full = std::io::Error::new(std::io::ErrorKind::StorageFull, "no space left on device");
        let full = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(full),
        };
        assert!(storage(full).is_retryable());
        let unsupported = object_store::Error::NotSupported {
            source: "conditional put".into(),
        };
        assert!(!storage(unsupported).is_retryable());
        assert!(!LakeError::FormatTooNew { found: 2, known: 1 }.is_retryable());
    }

    #[test]
    fn a_vanished_file_is_told_apart_from_a_store_that_is_away() {
        let gone = object_store::Error::NotFound {
            path: "a".into(),
            source: "gone".into(),
        };
        assert!(storage(gone).is_file_gone());
        let away = object_store::Error::Generic {
            store: "S3",
            source: "connection refused".into(),
        };
        assert!(!storage(away).is_file_gone());
    }
}
