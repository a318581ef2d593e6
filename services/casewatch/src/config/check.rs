//! What no type can say of a configuration: folders that are there, limits above nothing, sections that go together.

use axum::http::HeaderName;

use super::error::{ConfigError, value};
use super::{Config, DeadLetters, Source};

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (key, path) in [("schemas", &self.schemas), ("queries", &self.queries)] {
            if !path.is_dir() {
                return Err(value(
                    key,
                    format!(
                        "{} is not a folder\nhint: paths are relative to the file",
                        path.display()
                    ),
                ));
            }
        }
        if self.sources.is_empty() {
            return Err(value(
                "sources",
                "expected at least one feed\nhint: add a [[sources]] section",
            ));
        }
        if self.live.image_interval.is_zero() {
            return Err(value(
                "live.image_interval",
                "expected a time above 0\nhint: live.images = false saves none",
            ));
        }
        if let Some(letters) = &self.dead_letters {
            self.check_dead_letters(letters)?;
        }
        if let Some((key, expected)) = self.gateway.fault() {
            return Err(value(key, expected));
        }
        if self.board.user_header.parse::<HeaderName>().is_err() {
            return Err(value(
                "board.user_header",
                "expected a header's name, such as \"X-Forwarded-User\"",
            ));
        }
        let limits = &self.limits;
        for (key, number) in [
            ("limits.flush_rows", limits.flush_rows),
            ("limits.flush_mib", limits.flush_mib),
            ("limits.batch_rows", limits.batch_rows),
            ("limits.batch_kib", limits.batch_kib),
            ("limits.queue_batches", limits.queue_batches),
            ("limits.prefetch_mib", limits.prefetch_mib),
            ("limits.message_bytes", limits.message_bytes),
            ("limits.dead_letters_per_second", limits.dead_letters_per_second),
            ("limits.query_memory_mib", limits.query_memory_mib),
            ("limits.query_rows", limits.query_rows),
            ("limits.queries_memory_mib", limits.queries_memory_mib),
            ("limits.metric_memory_mib", limits.metric_memory_mib),
            ("limits.metric_series", limits.metric_series),
            ("http.connections", self.http.connections),
            ("board.connections", self.board.connections),
            ("board.followers", self.board.followers),
            ("live.memory_mib", self.live.memory_mib),
        ] {
            if number == 0 {
                return Err(value(key, "expected a number above 0"));
            }
        }
        Ok(())
    }

    fn check_dead_letters(&self, letters: &DeadLetters) -> Result<(), ConfigError> {
        let is_read = |source: &Source| letters.topic.starts_with(&source.topic_prefix);
        if letters.topic.is_empty() || self.sources.iter().any(is_read) {
            return Err(value(
                "dead_letters.topic",
                "expected a topic that is not read\nhint: its name may not start with a source's topic_prefix",
            ));
        }
        if letters.payload && self.lake.payload_key.is_none() {
            return Err(value(
                "dead_letters.payload",
                "expected lake.payload_key as well: payloads come from the lake, which keeps them only sealed\n\
                 hint: set lake.payload_key, or leave payload out",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_limit_of_nothing_is_refused_by_name() {
        for key in [
            "limits.dead_letters_per_second",
            "limits.metric_series",
            "http.connections",
        ] {
            let (section, name) = key.split_once('.').expect("two parts");
            let text = format!(
                "schemas = \".\"\nqueries = \".\"\n[kafka]\nbrokers = \"b\"\n\
                 [[sources]]\nname = \"s\"\ntopic_prefix = \"p.\"\norder = \"offset\"\n[{section}]\n{name} = 0\n"
            );
            let error = Config::parse(&text, Path::new("."))
                .expect_err("nothing is no limit")
                .to_string();
            assert!(error.contains(key) && error.contains("above 0"), "{error}");
        }
    }
}
