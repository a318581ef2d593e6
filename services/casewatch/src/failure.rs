//! How a command ends when it does not succeed: a message for the reader and an exit code for scripts.

use std::fmt;

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Differences = 4,
    /// An instance answers, and its numbers are not those of now.
    NotFresh = 5,
}

#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    /// Empty where nobody is left to be told.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub fn failed(message: impl fmt::Display) -> Self {
        Self {
            code: Code::Failed,
            message: message.to_string(),
        }
    }

    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: Code::Usage,
            message: message.to_string(),
        }
    }

    pub fn refused(message: impl fmt::Display) -> Self {
        Self {
            code: Code::Refused,
            message: message.to_string(),
        }
    }

    pub fn differences(message: impl fmt::Display) -> Self {
        Self {
            code: Code::Differences,
            message: message.to_string(),
        }
    }

    /// The same failure, of the file at `name`.
    pub fn in_file(self, name: &str) -> Self {
        Self {
            message: format!("{name}: {}", self.message),
            ..self
        }
    }

    pub fn output(error: std::io::Error) -> Self {
        let message = match error.kind() {
            // `... | head` has read enough: that is nothing to complain about.
            std::io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("the output cannot be written: {error}"),
        };
        Self::failed(message)
    }
}
