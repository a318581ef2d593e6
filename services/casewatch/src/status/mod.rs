//! `casewatch status`: how a running instance stands, as a view that moves, as one look, or as JSON.

mod board;
mod live;
mod seen;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use url::Url;

use crate::cli::{ReportFormat, StatusArgs};
use crate::failure::{Code, Failure};

use board::Board;
use seen::{Seen, State};

/// An instance that takes longer to say how it stands does not stand well.
const PATIENCE: Duration = Duration::from_secs(5);
const PAGE: &str = "/-/status";

/// Shows an instance until it is told to stop, or once.
///
/// # Errors
/// An instance that does not answer. One that answers and is not fresh ends with [`Code::NotFresh`].
pub async fn run(args: StatusArgs) -> Result<(), Failure> {
    let instance = Instance::at(args.url)?;
    let moves = args.format == ReportFormat::Table && !args.once && std::io::stdout().is_terminal();
    if moves {
        return live::show(&instance).await;
    }
    let page = instance.ask().await?;
    let seen = instance.read(&page)?;
    let state = seen.state(Utc::now());
    let text = match args.format {
        ReportFormat::Table => Board::of(&seen, instance.url.as_str(), Utc::now()).text(),
        ReportFormat::Json => with_state(page, state).to_string() + "\n",
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output)?;
    match state {
        State::Fresh => Ok(()),
        other => Err(Failure {
            code: Code::NotFresh,
            message: format!("the instance is {}{}", other.word(), reasons(&seen)),
        }),
    }
}

fn reasons(seen: &Seen) -> String {
    let reasons: String = seen
        .reasons
        .iter()
        .map(|reason| format!("\ndetail: {reason}"))
        .collect();
    reasons
}

/// The instance's own page, and the word for it.
fn with_state(mut page: Value, state: State) -> Value {
    page["state"] = Value::from(state.word().replace(' ', "_"));
    page
}

/// Where an instance is asked.
struct Instance {
    client: reqwest::Client,
    url: Url,
}

impl Instance {
    fn at(url: Url) -> Result<Self, Failure> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(Failure::failed)?;
        Ok(Self { client, url })
    }

    /// The page as it is.
    async fn ask(&self) -> Result<Value, Failure> {
        let page = self
            .url
            .join(PAGE)
            .map_err(|error| Failure::usage(format!("--url: {error}")))?;
        let asking = async {
            let answer = self.client.get(page).send().await?;
            answer.error_for_status()?.text().await
        };
        let text = asking.await.map_err(|error| self.nothing(&error))?;
        serde_json::from_str(&text).map_err(|error| self.strange(&error))
    }

    fn read(&self, page: &Value) -> Result<Seen, Failure> {
        // Through text: numbers of any length are read as they were written.
        serde_json::from_str(&page.to_string()).map_err(|error| self.strange(&error))
    }

    fn nothing(&self, error: &reqwest::Error) -> Failure {
        let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        Failure::failed(format!(
            "no instance answers at {}\ndetail: {why}\nhint: `casewatch run` serves where http.listen says; --url names another address",
            self.url
        ))
    }

    fn strange(&self, error: &serde_json::Error) -> Failure {
        Failure::failed(format!(
            "{}{PAGE} is no status of casewatch: {error}\nhint: --url names an instance's address",
            self.url.as_str().trim_end_matches('/')
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_scripts_the_page_is_whole_and_has_a_word_for_it() {
        let page = serde_json::json!({"ready": false, "catching_up": true, "new": {"key": 1.5}});
        let whole = with_state(page, State::CatchingUp);
        assert_eq!(
            whole,
            serde_json::json!({"ready": false, "catching_up": true, "new": {"key": 1.5}, "state": "catching_up"})
        );
    }

    #[tokio::test]
    async fn where_nobody_listens_the_address_and_a_hint_are_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let failure = Instance::at(url.clone()).unwrap().ask().await.unwrap_err();
        assert_eq!(failure.code, Code::Failed);
        assert!(
            failure.message.contains(url.as_str()) && failure.message.contains("hint:"),
            "{failure}"
        );
    }
}
