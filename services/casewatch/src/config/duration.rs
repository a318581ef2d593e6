//! Times as people write them: `200ms`, `15s`, `26h`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!(
            "`{text}` is not a duration ({error}); expected one such as \"200ms\", \"15s\" or \"26h\""
        ))
    })
}

pub(super) fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
