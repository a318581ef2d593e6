//! Metrics for whom they may not give anybody away to: counts of 1 to 5 withheld, and beside them as much as it takes
//! that none of them can be worked out.
//!
//! Which metrics may be published, and how, their headers say (`publish`); how labels and metrics hang together says
//! `publication.toml` ([`Rules`]). `table` is one metric with its totals; `tables` turns those of one moment into one
//! system of quantities and equations, over *all* metrics that may be published, so that what is withheld never depends
//! on which of them are asked for; `protect` chooses what to withhold, with a proof for each small number; `simplex`
//! looks for proofs.
//!
//! What it never does: guess. A metric whose header says nothing, whose numbers are not what it says they are, or which
//! does not agree with another as `publication.toml` has it, is withheld as a whole, with the reason.

mod protect;
mod rules;
mod simplex;
mod table;
mod tables;

pub use rules::Rules;
pub use table::PublishedSet;
pub use tables::publish;
