//! The log on standard error, and the last troubles in it for `/-/status`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::{Arc, LazyLock};

use casewatch_contract::RecordedAt;
use casewatch_metrics::Troubles;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Libraries whose own logs say nothing to an operator, or what casewatch says better: the Kafka client hands over every
/// trouble besides logging it.
const QUIET: &str = ",buoyant_kernel=error,deltalake_core=error,object_store=warn,rdkafka=warn,librdkafka=off,\
                     tansu_broker=off,tansu_storage=off,\
                     tansu_service=off,tansu_sans_io=off";

/// One log a process, and one memory of it.
static TROUBLES: LazyLock<Arc<Troubles>> = LazyLock::new(Arc::default);

/// The last warnings and errors that this process logged.
pub fn troubles() -> Arc<Troubles> {
    Arc::clone(&TROUBLES)
}

/// Logs go to standard error; `RUST_LOG` chooses what is logged.
pub fn start(json: bool, default_level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_level.to_owned() + QUIET));
    let lines = fmt::layer().with_ansi(colours()).with_writer(std::io::stderr);
    let lines = match json {
        true => lines.json().boxed(),
        false => lines.with_target(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(Remember)
        .init();
}

/// Colours are for people's eyes, and not for all of them; in a file they are in the way of every search.
fn colours() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !is_refused
}

/// Notes what is a warning or worse.
struct Remember;

impl<S: Subscriber> Layer<S> for Remember {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        let mut text = Text::default();
        event.record(&mut text);
        TROUBLES.note(RecordedAt::now(), level, text.whole());
    }
}

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(self) -> String {
        format!("{}{}", self.message, self.fields)
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_remembered_with_their_fields_and_what_is_less_is_not() {
        let heard = tracing_subscriber::registry().with(Remember);
        tracing::subscriber::with_default(heard, || {
            tracing::info!("all is well");
            tracing::warn!(topic = "m.cases", "the log was cut off");
        });
        let told: Vec<String> = troubles().list().into_iter().map(|it| it.message).collect();
        assert!(
            told.contains(&"the log was cut off topic=\"m.cases\"".to_owned()),
            "{told:?}"
        );
        assert!(!told.contains(&"all is well".to_owned()));
    }
}
