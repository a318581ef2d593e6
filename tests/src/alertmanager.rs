//! Alertmanager with the routes that are deployed, and a receiver of the tests' own that it tells everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::post;
use serde_json::Value;

use crate::http::{self, block_on};
use crate::server::Server;

/// What time it is for Alertmanager, whatever the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    WorkingHours,
    Night,
    /// 08:30 of a working day.
    Digest,
}

impl Time {
    fn name(self) -> &'static str {
        match self {
            Time::WorkingHours => "working-hours",
            Time::Night => "night",
            Time::Digest => "digest",
        }
    }
}

/// One alert of one message to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub receiver: String,
    /// `firing` or `resolved`.
    pub status: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl Told {
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// `receiver alertname status`, and the labels that the test names.
    pub fn is(&self, receiver: &str, alert: &str, status: &str, labels: &[(&str, &str)]) -> bool {
        self.receiver == receiver
            && self.label("alertname") == alert
            && self.status == status
            && labels.iter().all(|(name, value)| self.label(name) == *value)
    }
}

type Messages = Arc<Mutex<Vec<Told>>>;

/// A running Alertmanager and what it has told so far.
#[derive(Debug)]
pub struct Alertmanager {
    server: Server,
    messages: Messages,
}

impl Alertmanager {
    pub fn start(time: Time) -> Self {
        let messages = Messages::default();
        let webhook = listen(Arc::clone(&messages));
        Self {
            server: Server::start("alertmanager", &["--webhook", &webhook, "--time", time.name()]),
            messages,
        }
    }

    /// `HOST:PORT`, for Prometheus.
    pub fn address(&self) -> &str {
        self.server.address.trim_start_matches("http://")
    }

    /// Every alert of every message, in the order of their coming.
    pub fn told(&self) -> Vec<Told> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Alerts that it holds, as its API gives them.
    pub fn alerts(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/alerts", self.server.address);
        let answer = http::get(&url).expect("Alertmanager answers").json();
        answer.as_array().cloned().unwrap_or_default()
    }
}

/// Takes messages at `/RECEIVER` for as long as the test runs, and gives the address without that.
fn listen(messages: Messages) -> String {
    let routes = axum::Router::new()
        .route("/{receiver}", post(take))
        .with_state(messages);
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port can be bound");
        let address = listener.local_addr().expect("a bound port has an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    })
}

async fn take(State(messages): State<Messages>, Path(receiver): Path<String>, Json(message): Json<Value>) {
    let texts = |found: &Value| -> BTreeMap<String, String> {
        let entries = found.as_object().into_iter().flatten();
        entries
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect()
    };
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let told = alerts.map(|alert| Told {
        receiver: receiver.clone(),
        status: alert["status"].as_str().unwrap_or_default().to_owned(),
        labels: texts(&alert["labels"]),
        annotations: texts(&alert["annotations"]),
    });
    messages.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
}
