//! The present, in memory: what the tables hold after every change so far, seen at one moment of recorded time.
//!
//! A case is closed in one topic and its allocation ends in another. Whoever reads the two tables while one topic is
//! ahead of the other sees a case that nobody holds and that never was. This crate folds changes into keyed tables and
//! shows all of them at one *cut*: the highest recorded time up to which every partition has been read.
//!
//! In reading order: a change batch is folded into a [`LiveTable`], which publishes an immutable [`Present`]; the
//! [`CutTracker`] decides how far all partitions have come; the [`LiveSet`] holds rows back until the cut reaches
//! them and publishes a [`Cut`] of all tables, and one for whoever [closes] periods; the [`Tail`] keeps what the lake does not have yet; [`fold_at`] folds
//! history for a moment in the past, a [`Replay`] for one moment after the other; an [image](Images) makes a restart fast; whoever is erased from the lake is
//! [forgotten](LiveSet::forget) here, too.
//!
//! What it promises:
//! - **The fold is confluent.** Any interleaving, duplication and redelivery of a history gives the same present.
//! - **Readers never block writers.** A [`Present`] and a [`Cut`] are immutable and shared by reference.
//! - **Publishing costs what changed**, not what the table holds: blocks without a change are shared.
//! - **The cut never goes back**, and a row above it is not seen.
//! - **Memory is counted and capped.** At the cap the tables stop and say so; they never show a part.
//!
//! What it never does: read the wall clock to order changes, name a table of the domain, or write to the lake.

mod bootstrap;
mod closes;
mod cut;
mod error;
mod forget;
mod image;
mod images;
mod key;
mod present;
mod replay;
mod set;
mod snapshots;
mod table;
mod tail;
mod timeline;
mod travel;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod image_tests;
#[cfg(test)]
mod known_from_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod set_tests;

pub use closes::Closes;
pub use cut::{CutOptions, CutTracker};
pub use error::LiveError;
pub use image::{Image, ImageError, Origin};
pub use images::Images;
pub use present::{Cut, KnownFrom, Present, SourceFreshness};
pub use replay::Replay;
pub use set::{LiveCounters, LiveOptions, LiveSet, Staged};
pub use table::{Applied, LiveTable, present_schema};
pub use tail::{Tail, TailRows};
pub use timeline::Versions;
pub use travel::{fold_at, history_columns};
