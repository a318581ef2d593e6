//! A Kafka-compatible broker inside this process, in memory, for the demo and the tests. Not for data that matters: it
//! ends with the process.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tansu_broker::broker::Broker;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_storage::StorageContainer;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;
use uuid::Uuid;

#[derive(Debug, Error)]
pub enum EmbeddedError {
    #[error(
        "no port on 127.0.0.1 can be had for the embedded broker: {0}\nhint: the demo needs no network but the loopback interface: is it up?"
    )]
    Port(#[source] std::io::Error),
    #[error("the embedded broker cannot be set up: {0}")]
    Build(String),
    #[error(
        "the embedded broker does not answer on {0}\nhint: the demo needs no network but the loopback interface: is it up?"
    )]
    Silent(String),
}

/// A running broker; dropping it ends it. [`EmbeddedBroker::stop`] waits for that, too.
pub struct EmbeddedBroker {
    address: String,
    task: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port of 127.0.0.1, on the runtime `on`, and waits until it takes connections.
    ///
    /// # Errors
    /// No port, or a broker that does not come up within ten seconds.
    pub async fn start(on: &Handle) -> Result<Self, EmbeddedError> {
        let port = free_port().map_err(EmbeddedError::Port)?;
        let address = format!("127.0.0.1:{port}");
        let url = |text: &str| Url::parse(text).map_err(|error| EmbeddedError::Build(error.to_string()));
        let listener = url(&format!("tcp://{address}"))?;
        let mut broker = Broker::<Controller<StorageContainer>, StorageContainer>::builder()
            .node_id(1)
            .cluster_id("embedded")
            .incarnation_id(Uuid::new_v4())
            .advertised_listener(listener.clone())
            .listener(listener)
            .storage(url("memory://embedded/")?)
            .silent(true)
            .build()
            .await
            .map_err(|error| EmbeddedError::Build(error.to_string()))?;
        let task = on.spawn(async move {
            if let Err(error) = broker.serve(tokio::time::Instant::now()).await {
                tracing::error!(%error, "the embedded broker ended");
            }
        });
        let broker = Self { address, task };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&broker.address).await.is_ok() {
                return Ok(broker);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(EmbeddedError::Silent(broker.address.clone()))
    }

    /// `host:port`, for `bootstrap.servers`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends the broker. Its clients should have ended before.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled is what it is to be.
        let _ = (&mut self.task).await;
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
