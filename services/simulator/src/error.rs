//! What can go wrong when events are written somewhere.

use std::path::PathBuf;

/// Why a simulation could not be set up or sent.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// No scenario of that name.
    #[error("there is no scenario `{name}`; the scenarios are `northamptonshire` and `steady`")]
    UnknownScenario {
        /// The name asked for.
        name: String,
    },
    /// A date outside the scenario.
    #[error("{what} {day} is outside the scenario, which runs from {first} to {last}")]
    OutsideScenario {
        /// Which date.
        what: &'static str,
        /// The date.
        day: crate::calendar::Day,
        /// First day of the scenario.
        first: crate::calendar::Day,
        /// Last day of the scenario.
        last: crate::calendar::Day,
    },
    /// Avro without an id for a subject.
    #[error("no schema id for subject `{subject}`; register it, or give its id")]
    MissingSchemaId {
        /// The subject.
        subject: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A schema file that is none.
    #[error("{path}: {detail}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file of published figures that cannot be understood.
    #[error("{path}: line {line}{column}: {detail}\nhint: {hint}")]
    Figures {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Which column, as `, column NAME`, where it is about one.
        column: String,
        /// What is wrong.
        detail: String,
        /// What would be right.
        hint: String,
    },
    /// Kafka refused something.
    #[error("{action}: {source}")]
    Kafka {
        /// What was tried.
        action: String,
        /// What the client says.
        source: rdkafka::error::KafkaError,
    },
    /// Messages that were never acknowledged.
    #[error("{count} messages were not acknowledged; the last reason was: {reason}")]
    NotDelivered {
        /// How many.
        count: u64,
        /// The last error.
        reason: String,
    },
    /// The schema registry refused something.
    #[error("registering `{subject}`: {detail}")]
    Registry {
        /// The subject.
        subject: String,
        /// What it said.
        detail: String,
    },
}
