//! A synthetic children's services authority, calibrated to published figures.
//!
//! **For.** The demo, the tests and the benchmarks need an authority nobody's data was used for: teams from the front
//! door to leaving care, workers with careers, children with cases, and the seventeen tables a case system and a staff
//! system would deliver, as the change events their databases would commit. The scenario `northamptonshire` replays
//! 2018 to 2020: 551 children without a social worker, the recovery, the relapse, the months at zero.
//!
//! **Promises.**
//! - The same profile and seed give the same events, byte for byte, wherever a run is halted and resumed.
//! - Published counts come out exactly on their days; the tests hold them with a second implementation of the rules,
//!   over the rows alone.
//! - Commit times never fall and log positions rise; a row's versions leave in order; a reference names a row recorded
//!   no later; every row fits its schema file.
//! - Each day ends with one row of `feeds` a table in its last microsecond, so that a reader's cut reaches it.
//!
//! **Never.** It never reads a clock (pacing aside), never looks at what casewatch makes of its events, and holds
//! no real person's data.
//!
//! Beside simulated authorities stand those made from published figures ([`PublishedFigures`]): staff and cases of which
//! DfE's counting must give the very rates that DfE published.
//!
//! The files in the order things happen: [`profile`] (what is to come out, as data), [`calendar`], [`workforce`] and
//! `staff_plan` (staff, planned ahead; beside it `leaving_plan`, `manager_plan`, `absence_plan` and `post_plan`), `people`
//! (children and cases), `opening` (the first day's stock), `intake`, `casework`, `allocation` (the meeting that steers),
//! `activity`, `simulation` (the days), `records` and `staff_records` (state to rows), `published` and its like (figures
//! to rows), [`row`] and `journal` (rows to commits), `disorder` (what goes wrong on purpose), `wire`, `json` and `avro`
//! (commits to bytes), `sink` (Kafka and files), `replay` (which days, how fast).

mod absence_plan;
mod activity;
mod allocation;
mod avro;
pub mod calendar;
mod casework;
#[cfg(test)]
mod delivery_tests;
mod disorder;
mod error;
mod intake;
mod journal;
mod json;
mod leaving_plan;
mod manager_plan;
mod opening;
#[cfg(test)]
mod oracle;
mod people;
mod post_plan;
pub mod profile;
mod published;
mod published_absences;
mod published_authority;
mod published_cases;
mod published_staff;
#[cfg(test)]
mod published_tests;
mod records;
mod replay;
#[cfg(test)]
mod replay_tests;
pub mod row;
#[cfg(test)]
mod scenario_tests;
mod simulation;
mod sink;
mod staff_plan;
mod staff_records;
#[cfg(test)]
mod staff_tests;
mod wire;
#[cfg(test)]
mod wire_tests;
pub mod workforce;

pub use disorder::Disorder;
pub use error::SimulatorError;
pub use journal::{Event, Op, Snapshot, key_of};
pub use profile::Profile;
pub use published::{PublishedFigures, PublishedYear, WITHHELD};
pub use published_authority::PublishedAuthority;
pub use replay::{Pace, Progress, Replay, Scenario, SimulateOptions, Summary, Target, simulate};
pub use simulation::{Batch, Simulation};
pub use sink::{FileKind, FilesTarget, KafkaTarget};
pub use wire::{Encoder, Message, ReplicaIdentity, SchemaIds, WireFormat};
