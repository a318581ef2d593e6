//! Requests without ceremony: tests are plain synchronous functions.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime with one thread can be made")
});

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy();
    builder.build().expect("an HTTP client without options can be made")
});

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub fn get(url: &str) -> Result<Response, String> {
    send(CLIENT.get(url))
}

pub fn get_as(url: &str, accept: &str) -> Result<Response, String> {
    send(CLIENT.get(url).header("Accept", accept))
}

pub fn post_json(url: &str, body: &serde_json::Value) -> Result<Response, String> {
    send(CLIENT.post(url).json(body))
}

fn send(request: reqwest::RequestBuilder) -> Result<Response, String> {
    block_on(async {
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = response.text().await.map_err(|error| error.to_string())?;
        Ok(Response {
            status,
            content_type,
            body,
        })
    })
}
