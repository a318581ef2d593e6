//! The table that records deliveries, as its schema's attribute `deliveries` declares it.

/// Which columns of a table say what was delivered: positions in [`crate::Table::columns`]. One table of a contract has
/// them; `casewatch load` writes a row to it for every table of every delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Name of the feed.
    pub feed: usize,
    /// The table that was delivered.
    pub table: usize,
    /// The moment the delivery describes.
    pub as_at: usize,
    /// How many rows it had.
    pub rows: usize,
    /// The first day it reaches back to.
    pub window_from: usize,
    /// When the next one is due.
    pub expected_next_by: usize,
    /// Whether it was whole.
    pub complete: usize,
}

impl Deliveries {
    /// The attribute's keys.
    pub(crate) const ROLES: [&'static str; 7] = [
        "feed",
        "table",
        "as_at",
        "rows",
        "window_from",
        "expected_next_by",
        "complete",
    ];
}
