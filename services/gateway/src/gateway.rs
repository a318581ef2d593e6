//! The gateway itself: its options, its listener, and what all connections share.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use casewatch_query::{AuditLog, Engine, Grant, User, Users};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cancel::Cancels;
use crate::catalog::Catalog;
use crate::connection;
use crate::error::{Failure, state};
use crate::metrics::GatewayMetrics;
use crate::tls::{Certificate, Tls};

/// How connections are kept from being listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: for connections that do not leave the machine.
    Off,
    /// Whoever does not encrypt is refused.
    Required(Certificate),
}

#[derive(Clone, Debug)]
pub struct GatewayOptions {
    pub listen: SocketAddr,
    pub security: Security,
    /// Held at a time; whoever comes then is told so.
    pub connections: usize,
    /// Statements that run at a time; the others wait, within their deadline.
    pub running: usize,
    /// Of one statement: planning, running and sending its rows.
    pub query_deadline: Duration,
    pub query_memory_bytes: usize,
    pub query_rows: usize,
    /// Of a connection that says nothing.
    pub idle_timeout: Duration,
    pub statement_bytes: usize,
}

/// Who there is, what they read, and where it is told that they did.
#[derive(Clone)]
pub struct GatewayAccess {
    /// As the users file was last read.
    pub users: watch::Receiver<Arc<Users>>,
    /// Over the queries as they were last reloaded.
    pub engines: watch::Receiver<Arc<Engine>>,
    pub audit: AuditLog,
    /// Where statements are worked on.
    pub statements: Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("gateway.listen: {address} cannot be used: {source}\nhint: choose another address or port")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("gateway.tls: the certificate cannot be used: {detail}\nhint: name PEM files that belong together")]
    Certificate { detail: String },
    #[error(
        "gateway.tls: \"off\" is for an address of this machine alone, and {address} is not\nhint: tls = \"required\""
    )]
    Unprotected { address: SocketAddr },
}

/// A gateway whose port is taken, not yet serving.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) options: GatewayOptions,
    pub(crate) tls: Option<Tls>,
    pub(crate) access: GatewayAccess,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) places: Arc<Semaphore>,
    /// For the secrets of names that nobody has.
    pub(crate) nobodys_key: [u8; 32],
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    catalogs: Mutex<HashMap<String, Known>>,
}

/// A user's catalog, and what it was made of.
struct Known {
    engine: Arc<Engine>,
    user: Arc<User>,
    grant: Arc<Grant>,
    catalog: Arc<Catalog>,
}

/// A user's view of the newest engine.
pub(crate) struct View {
    pub(crate) engine: Arc<Engine>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) catalog: Arc<Catalog>,
}

/// A connection more than there may be is told so; beyond this many more it is dropped.
const TOLD_THAT_IT_IS_FULL: usize = 32;
/// Each failure to sign in doubles the wait for the next answer to its address, from a tenth of a second.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
const FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);
const FAILURES_KEPT: usize = 10_000;

impl Gateway {
    /// # Errors
    /// An address that is taken, or that others reach without encryption; a certificate that cannot be used.
    pub async fn bind(
        options: GatewayOptions,
        access: GatewayAccess,
        metrics: GatewayMetrics,
    ) -> Result<Self, GatewayError> {
        let wanted = options.listen;
        let listening = async {
            let listener = TcpListener::bind(wanted).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listening.await.map_err(|source| GatewayError::Listen {
            address: wanted,
            source,
        })?;
        let tls = match &options.security {
            Security::Off if address.ip().is_loopback() => None,
            Security::Off => return Err(GatewayError::Unprotected { address }),
            Security::Required(certificate) => Some(Tls::new(certificate, address)?),
        };
        let places = Arc::new(Semaphore::new(options.running));
        Ok(Self {
            listener,
            address,
            shared: Arc::new(Shared {
                options,
                tls,
                access,
                metrics,
                cancels: Arc::default(),
                places,
                nobodys_key: rand::random(),
                failures: Mutex::default(),
                catalogs: Mutex::default(),
            }),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; each connection is told, and ends.
    pub async fn serve(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.shared.options.connections));
        let waiting = Arc::new(Semaphore::new(TOLD_THAT_IT_IS_FULL));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the gateway cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (place, is_full) = match places.clone().try_acquire_owned() {
                Ok(place) => (place, false),
                Err(_) => match waiting.clone().try_acquire_owned() {
                    Ok(place) => (place, true),
                    Err(_) => continue,
                },
            };
            let (shared, stop) = (self.shared.clone(), stop.clone());
            connections.spawn(async move {
                let _place = place;
                shared.metrics.connections.inc();
                if let Err(error) = connection::serve(stream, peer, is_full, &shared, stop).await {
                    tracing::debug!(%peer, %error, "a connection of the gateway ended");
                }
                shared.metrics.connections.dec();
            });
        }
        // Statements that still run end with their connections.
        while connections.join_next().await.is_some() {}
    }
}

impl Shared {
    pub(crate) fn user(&self, name: &str) -> Option<Arc<User>> {
        self.access.users.borrow().find(name)
    }

    /// What a user sees of the newest engine; made anew when queries or users were reloaded.
    pub(crate) async fn view(&self, user: &Arc<User>) -> Result<View, Failure> {
        let engine = self.access.engines.borrow().clone();
        {
            let catalogs = self.catalogs.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = catalogs.get(&user.name)
                && Arc::ptr_eq(&known.engine, &engine)
                && (Arc::ptr_eq(&known.user, user) || known.user == *user)
            {
                return Ok(View {
                    engine,
                    grant: known.grant.clone(),
                    catalog: known.catalog.clone(),
                });
            }
        }
        let refused = |what: String| Failure::fatal(state::INVALID_AUTHORIZATION, what);
        let policy = engine
            .policy()
            .ok_or_else(|| refused(casewatch_query::AccessError::NoPolicy.to_string()))?;
        let grant = policy.grant(user).map_err(|error| refused(error.to_string()))?;
        let relations = engine.session_as(&grant, None, None).relations().await;
        let relations = relations.map_err(|error| Failure::of_query(&error, ""))?;
        let catalog = Arc::new(Catalog::new(relations, &user.name));
        let known = Known {
            engine: engine.clone(),
            user: user.clone(),
            grant: grant.clone(),
            catalog: catalog.clone(),
        };
        let mut catalogs = self.catalogs.lock().unwrap_or_else(PoisonError::into_inner);
        catalogs.insert(user.name.clone(), known);
        Ok(View { engine, grant, catalog })
    }

    /// How long an answer to a failed attempt from this address waits; it counts the attempt.
    pub(crate) fn wait_after_failure(&self, address: IpAddr) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FAILURES_KEPT {
            failures.retain(|_, (_, at)| at.elapsed() < FORGIVEN_AFTER);
            if failures.len() >= FAILURES_KEPT {
                failures.clear();
            }
        }
        let now = Instant::now();
        let (count, at) = failures.entry(address).or_insert((0, now));
        if at.elapsed() >= FORGIVEN_AFTER {
            *count = 0;
        }
        *count += 1;
        *at = now;
        (FIRST_WAIT * 2_u32.saturating_pow((*count - 1).min(16))).min(LONGEST_WAIT)
    }
}
