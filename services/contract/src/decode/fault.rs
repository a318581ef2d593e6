//! Messages that will become dead letters, collected while the batch around them is decoded.

use std::collections::BTreeMap;

use crate::chunk::Reason;

/// What is wrong with a message. The detail names fields and never repeats data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// By position in the caller's messages; the first fault found in a message is the one that is told.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<usize, Fault>);

impl Faults {
    pub(crate) fn add(&mut self, message: usize, fault: Fault) {
        self.0.entry(message).or_insert(fault);
    }

    pub(crate) fn has(&self, message: usize) -> bool {
        self.0.contains_key(&message)
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (usize, Fault)> {
        self.0.into_iter()
    }
}
