//! What is wrong with a configuration file: the file, the line or key, what was expected, and a hint.

use thiserror::Error;

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error(
        "{path}: cannot be read: {source}\nhint: --config names the file, and `casewatch init` writes one to begin with"
    )]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The parser's message shows the line, marks the place and says what was expected.
    #[error("{path}: {message}hint: the keys are listed in deploy/casewatch.toml")]
    Parse { path: String, message: String },
    #[error("{path}: {key}: {expected}")]
    Value {
        path: String,
        key: String,
        expected: String,
    },
}

impl ConfigError {
    /// The same error, of the file at `name`.
    pub fn in_file(self, name: &str) -> Self {
        let path = name.to_owned();
        match self {
            Self::Read { source, .. } => Self::Read { path, source },
            Self::Parse { message, .. } => Self::Parse { path, message },
            Self::Value { key, expected, .. } => Self::Value { path, key, expected },
        }
    }
}

/// A key's value is not as `expected`; the file is named later.
pub(super) fn value(key: &str, expected: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        path: String::new(),
        key: key.to_owned(),
        expected: expected.into(),
    }
}
