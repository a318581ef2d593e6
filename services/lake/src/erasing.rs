//! How far an erasure is, for whoever waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far an erasure is, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasing {
    /// Looking for rows of the subject and for what refers to them.
    Searching { done: u64, of: u64 },
    /// Going through everything, and writing anew what holds something of the subject.
    Rewriting { done: u64, of: u64, rewritten: u64 },
}

/// Tells whoever waits how far it is.
pub(crate) struct Progress<'a> {
    tell: &'a (dyn Fn(Erasing) + Sync),
    of: u64,
    done: AtomicU64,
    rewritten: AtomicU64,
}

impl<'a> Progress<'a> {
    /// Of so many files to go through.
    pub fn new(tell: &'a (dyn Fn(Erasing) + Sync), of: u64) -> Self {
        Self {
            tell,
            of,
            done: AtomicU64::new(0),
            rewritten: AtomicU64::new(0),
        }
    }

    pub fn went_through(&self, is_rewritten: bool) {
        let is_rewritten = u64::from(is_rewritten);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let rewritten = self.rewritten.fetch_add(is_rewritten, Ordering::Relaxed) + is_rewritten;
        (self.tell)(Erasing::Rewriting {
            done,
            // Others may write meanwhile.
            of: self.of.max(done),
            rewritten,
        });
    }
}
