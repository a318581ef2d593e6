//! The schema registry: which schema a message was written with.
//!
//! Speaks the part of Confluent's REST interface that Apicurio, Karapace and Redpanda share: schemas by id with the
//! schemas they refer to, and registration under a subject. Schemas never change, so one that was fetched is kept; an
//! id that was not known is asked for again after a while, since a producer may have registered it in the meantime.
//! "Not known" and "cannot be asked" are different answers, and only the first is about the message.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::error::ContractError;

/// A writer's schema, with the schemas whose named types it uses, in an order in which they can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSchema {
    pub schema: String,
    pub references: Vec<String>,
}

/// The registry cannot say now. It is nobody's fault but the network's: retry later, with the same messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema registry cannot be asked: {problem}")]
pub struct Unavailable {
    pub problem: String,
}

/// Where writers' schemas come from.
#[async_trait]
pub trait SchemaSource: Send + Sync {
    /// The schema with an id; `None` when the source is sure that there is none.
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable>;
}

/// How to reach a registry.
#[derive(Clone)]
pub struct RegistryConfig {
    pub url: Url,
    pub auth: RegistryAuth,
    /// The longest time one request may take.
    pub timeout: Duration,
    /// How often a request is tried before the registry counts as away; the pauses between double.
    pub attempts: u32,
    pub first_pause: Duration,
    /// How long an id that was not known is not asked for again.
    pub forget_unknown_after: Duration,
    /// A certificate authority to trust besides the usual ones, as a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl RegistryConfig {
    pub fn new(url: Url) -> Self {
        Self {
            url,
            auth: RegistryAuth::None,
            timeout: Duration::from_secs(10),
            attempts: 4,
            first_pause: Duration::from_millis(100),
            forget_unknown_after: Duration::from_secs(30),
            ca_file: None,
        }
    }
}

/// How to say who asks. Never printed.
#[derive(Clone)]
pub enum RegistryAuth {
    None,
    Basic { user: String, password: String },
    Bearer { token: String },
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegistryAuth::None => "None",
            RegistryAuth::Basic { .. } => "Basic(..)",
            RegistryAuth::Bearer { .. } => "Bearer(..)",
        })
    }
}

/// A client of a registry that speaks Confluent's interface.
pub struct RegistryClient {
    config: RegistryConfig,
    http: Client,
    known: Mutex<HashMap<u32, Arc<WriterSchema>>>,
    unknown: Mutex<HashMap<u32, Instant>>,
}

/// What a registry answers about a schema.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: u64,
}

/// More schemas than this behind one are refused: they refer to each other without end.
const MOST_REFERENCES: usize = 100;

impl RegistryClient {
    pub fn new(config: RegistryConfig) -> Result<Self, ContractError> {
        let problem = |problem: String, hint: &str| ContractError::Registry {
            problem,
            hint: hint.to_owned(),
        };
        if !matches!(config.url.scheme(), "http" | "https") || config.url.cannot_be_a_base() {
            let found = format!("`{}:` is not a web address", config.url.scheme());
            return Err(problem(
                found,
                "write the registry's address, such as http://registry:8081",
            ));
        }
        let mut builder = Client::builder().timeout(config.timeout);
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|source| ContractError::Read {
                path: path.clone(),
                source,
            })?;
            let certificate = reqwest::Certificate::from_pem(&pem);
            let certificate = certificate
                .map_err(|_| problem(format!("{} holds no certificate", path.display()), "give a PEM file"))?;
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder
            .build()
            .map_err(|error| problem(error.without_url().to_string(), "check the TLS settings"))?;
        Ok(Self {
            config,
            http,
            known: Mutex::default(),
            unknown: Mutex::default(),
        })
    }

    /// Registers an Avro schema under a subject and returns its id; one that is there already keeps its id.
    pub async fn register(&self, subject: &str, schema: &Value) -> Result<u32, RegisterError> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let body = json!({"schema": schema.to_string(), "schemaType": "AVRO"});
        let response = self
            .send(|| {
                self.http
                    .post(self.address(&["subjects", subject, "versions"]))
                    .json(&body)
            })
            .await?;
        let status = response.status();
        if !status.is_success() {
            let answer = response.text().await.unwrap_or_default();
            let message = serde_json::from_str::<Value>(&answer).ok();
            let message = message
                .as_ref()
                .and_then(|answer| answer.get("message"))
                .and_then(Value::as_str);
            let answer = message.unwrap_or("no reason was given").to_owned();
            return Err(RegisterError::Refused {
                subject: subject.to_owned(),
                status: status.as_u16(),
                answer,
            });
        }
        let registered: Registered = response.json().await.map_err(|error| unreadable(&error))?;
        Ok(registered.id)
    }

    async fn fetch(&self, id: u32) -> Result<Option<WriterSchema>, Unavailable> {
        let Some(answer) = self.get(&["schemas", "ids", &id.to_string()]).await? else {
            return Ok(None);
        };
        if answer.kind.as_deref().is_some_and(|kind| kind != "AVRO") {
            // A schema of another kind says nothing about Avro bytes.
            return Ok(None);
        }
        let mut references = Vec::new();
        let mut seen = Vec::new();
        let mut wanted = answer.references;
        while let Some(reference) = wanted.pop() {
            if seen.contains(&(reference.subject.clone(), reference.version)) {
                continue;
            }
            if seen.len() == MOST_REFERENCES {
                return Ok(None);
            }
            let version = reference.version.to_string();
            let Some(found) = self
                .get(&["subjects", &reference.subject, "versions", &version])
                .await?
            else {
                return Ok(None);
            };
            seen.push((reference.subject, reference.version));
            references.push(found.schema);
            wanted.extend(found.references);
        }
        Ok(Some(WriterSchema {
            schema: answer.schema,
            references,
        }))
    }

    /// Asks for a schema; `None` when the registry has none there.
    async fn get(&self, path: &[&str]) -> Result<Option<Answer>, Unavailable> {
        let response = self.send(|| self.http.get(self.address(path))).await?;
        match response.status() {
            StatusCode::NOT_FOUND => match response.json::<Map<String, Value>>().await {
                Ok(_) => Ok(None),
                // A web server that is no registry says so in HTML, whatever it is asked.
                Err(_) => Err(Unavailable {
                    problem: "it answers 404 and is no registry; check its address".to_owned(),
                }),
            },
            status if status.is_success() => Ok(Some(response.json().await.map_err(|error| unreadable(&error))?)),
            status => Err(Unavailable {
                problem: format!("it answers {status}"),
            }),
        }
    }

    /// Sends a request until it is answered with more than "not now".
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Unavailable> {
        let mut pause = self.config.first_pause;
        let mut problem = String::new();
        for attempt in 0..self.config.attempts.max(1) {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let request = match &self.config.auth {
                RegistryAuth::None => request(),
                RegistryAuth::Basic { user, password } => request().basic_auth(user, Some(password)),
                RegistryAuth::Bearer { token } => request().bearer_auth(token),
            };
            match request.send().await {
                Ok(response) if is_passing(response.status()) => problem = format!("it answers {}", response.status()),
                Ok(response) => return Ok(response),
                Err(error) => problem = told(error),
            }
        }
        Err(Unavailable { problem })
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.config.url.clone();
        url.path_segments_mut()
            .expect("the address was checked to be a base")
            .pop_if_empty()
            .extend(path);
        url
    }
}

#[async_trait]
impl SchemaSource for RegistryClient {
    async fn schema(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        if let Some(schema) = lock(&self.known).get(&id) {
            return Ok(Some(Arc::clone(schema)));
        }
        let asked_at = lock(&self.unknown).get(&id).copied();
        if asked_at.is_some_and(|asked_at| asked_at.elapsed() < self.config.forget_unknown_after) {
            return Ok(None);
        }
        match self.fetch(id).await? {
            Some(schema) => {
                let schema = Arc::new(schema);
                lock(&self.unknown).remove(&id);
                lock(&self.known).insert(id, Arc::clone(&schema));
                Ok(Some(schema))
            }
            None => {
                lock(&self.unknown).insert(id, Instant::now());
                Ok(None)
            }
        }
    }
}

/// Why a schema was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(
        "the registry refuses {subject} ({status}): {answer}\nhint: it may not be compatible with the version there"
    )]
    Refused {
        subject: String,
        status: u16,
        answer: String,
    },
}

/// Answers that time may mend; a wrong password does too, once it is put right.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
        )
}

fn unreadable(error: &reqwest::Error) -> Unavailable {
    let what = if error.is_timeout() {
        "its answer took too long"
    } else {
        "its answer cannot be read"
    };
    Unavailable {
        problem: what.to_owned(),
    }
}

/// An error without the address, which may hold a password.
fn told(error: reqwest::Error) -> String {
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "it does not answer in time",
        (_, true) => "it cannot be reached",
        _ => "the request failed",
    };
    let mut cause: &dyn std::error::Error = &error.without_url();
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{what} ({cause})")
}

/// A thread that panicked while it held the lock left a whole map: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A registry of fixed answers: request line -> status and body, or none at all.
    async fn registry(answers: Vec<(&'static str, u16, &'static str)>) -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/api", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 65_536];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                counter.fetch_add(1, Ordering::SeqCst);
                let found = answers.iter().find(|(start, _, _)| request.starts_with(start));
                let (status, body) = found.map_or((404, "{}"), |(_, status, body)| (*status, *body));
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, asked)
    }

    fn client(url: Url) -> RegistryClient {
        let mut config = RegistryConfig::new(url);
        config.first_pause = Duration::from_millis(1);
        config.forget_unknown_after = Duration::from_millis(50);
        RegistryClient::new(config).unwrap()
    }

    #[tokio::test]
    async fn a_schema_is_fetched_once_with_all_it_refers_to() {
        let (url, asked) = registry(vec![
            (
                "GET /api/schemas/ids/7 ",
                200,
                r#"{"schema": "A", "references": [{"name": "b", "subject": "b/b", "version": 2}]}"#,
            ),
            (
                "GET /api/subjects/b%2Fb/versions/2 ",
                200,
                r#"{"schema": "B", "references": [{"name": "c", "subject": "c", "version": 1}]}"#,
            ),
            ("GET /api/subjects/c/versions/1 ", 200, r#"{"schema": "C"}"#),
        ])
        .await;
        let client = client(url);
        for _ in 0..2 {
            let schema = client.schema(7).await.unwrap().unwrap();
            assert_eq!(
                *schema,
                WriterSchema {
                    schema: "A".into(),
                    references: vec!["B".into(), "C".into()]
                }
            );
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn an_unknown_id_is_remembered_for_a_while_and_then_asked_for_again() {
        let (url, asked) = registry(vec![]).await;
        let client = client(url);
        assert_eq!(client.schema(7).await.unwrap(), None);
        assert_eq!(client.schema(7).await.unwrap(), None);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(client.schema(7).await.unwrap(), None);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_unavailable_and_not_ignorant() {
        let (url, asked) = registry(vec![("GET ", 503, "")]).await;
        assert_eq!(
            client(url).schema(7).await.unwrap_err().problem,
            "it answers 503 Service Unavailable"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 4);

        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let url = Url::parse(&format!("http://user:secret@{nobody}")).unwrap();
        let problem = client(url).schema(7).await.unwrap_err().to_string();
        assert!(
            problem.contains("cannot be reached") && !problem.contains("secret"),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn an_address_that_is_no_registry_makes_no_schema_unknown() {
        let (url, _) = registry(vec![("GET ", 404, "<html>not here</html>")]).await;
        assert!(
            client(url)
                .schema(7)
                .await
                .unwrap_err()
                .problem
                .contains("check its address")
        );
    }

    #[tokio::test]
    async fn a_refused_schema_says_why() {
        let (url, _) = registry(vec![
            ("POST /api/subjects/pets-value/versions ", 200, r#"{"id": 12}"#),
            (
                "POST /api/subjects/cars-value/versions ",
                409,
                r#"{"error_code": 409, "message": "incompatible"}"#,
            ),
        ])
        .await;
        let client = client(url);
        assert_eq!(client.register("pets-value", &json!("string")).await.unwrap(), 12);
        let refused = client
            .register("cars-value", &json!("string"))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.starts_with("the registry refuses cars-value (409): incompatible"),
            "{refused}"
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_secrets_are_never_shown() {
        let error = RegistryClient::new(RegistryConfig::new(Url::parse("kafka:9092").unwrap()))
            .err()
            .unwrap();
        assert!(error.to_string().contains("such as http://registry:8081"), "{error}");
        let auth = RegistryAuth::Basic {
            user: "u".into(),
            password: "secret".into(),
        };
        assert_eq!(format!("{auth:?}"), "Basic(..)");
    }
}
