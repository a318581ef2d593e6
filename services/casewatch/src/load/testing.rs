//! What the tests of this module share.

use std::path::{Path, PathBuf};

use casewatch_contract::{Contract, RecordedAt};

use super::manifest::Manifest;

/// The folder of the shipped schemas.
pub fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// The shipped contract.
pub fn contract() -> Contract {
    Contract::load(&schemas()).unwrap()
}

/// A manifest with these control totals.
pub fn manifest(rows: &[(&str, u64)]) -> Manifest {
    let constants = [("authority", "E06000061"), ("source_system", "mosaic")];
    Manifest {
        feed: "mosaic-nightly".to_owned(),
        source: "mosaic".to_owned(),
        as_at: RecordedAt(1_800_000_000_000_000),
        expected_next_by: RecordedAt(1_800_100_000_000_000),
        window_from: None,
        whole: Vec::new(),
        rows: rows.iter().map(|(table, rows)| ((*table).into(), *rows)).collect(),
        constants: constants
            .map(|(column, value)| (column.to_owned(), value.to_owned()))
            .into(),
    }
}
