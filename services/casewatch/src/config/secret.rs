//! Values that may be secrets: from files or the environment, and never printed.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// A value written plainly, or where to find it: `{ file = "..." }` or `{ env = "..." }`. Its debug form hides it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    Plain(String),
    File { file: PathBuf },
    Env { env: String },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("(hidden)"),
            Self::File { file } => write!(f, "(in {})", file.display()),
            Self::Env { env } => write!(f, "(in ${env})"),
        }
    }
}

impl Secret {
    /// Its value, without the line's end a file usually has.
    ///
    /// # Errors
    /// What could not be read, never what was read.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::File { file } => std::fs::read_to_string(file)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("file {} cannot be read: {error}", file.display())),
            Self::Env { env } => std::env::var(env).map_err(|_| format!("environment variable {env} is not set")),
        }
    }
}
