//! The start of a connection: what it is for, and who it is.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use casewatch_query::User;
use futures::{SinkExt, StreamExt};
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion, SecretKey, Startup};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Framed;

use crate::catalog::DATABASE;
use crate::codec::{Codec, CodecError};
use crate::error::{Failure, state};
use crate::gateway::Shared;
use crate::scram::{self, Exchange, ScramError};

/// As PostgreSQL's, and as that of users whose secrets are made by `casewatch user`.
const ITERATIONS: u32 = 4_096;
/// 3.0, as a number.
const NEWEST_PROTOCOL: i32 = 3 << 16;

/// How a connection begins.
pub(crate) enum Begun {
    /// Somebody signed in, with what their client said of itself.
    User(Arc<User>, Vec<(String, String)>),
    /// It was to cancel a statement, or it is gone.
    Ended,
}

/// What ends a connection that has just begun.
pub(crate) enum Refusal {
    Told(Failure),
    Broken(CodecError),
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        Self::Broken(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

/// Reads the first message of a connection and has its user prove who they are.
pub(crate) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, Codec>,
    peer: SocketAddr,
    is_encrypted: bool,
    is_full: bool,
    shared: &Shared,
) -> Result<Begun, Refusal> {
    let startup = match framed.next().await.transpose()? {
        Some(PgWireFrontendMessage::CancelRequest(request)) => {
            let key = match &request.secret_key {
                SecretKey::I32(key) => Some(*key),
                SecretKey::Bytes(bytes) => <[u8; 4]>::try_from(bytes.as_ref()).ok().map(i32::from_be_bytes),
            };
            if let Some(key) = key {
                shared.cancels.cancel(request.pid, key);
            }
            return Ok(Begun::Ended);
        }
        Some(PgWireFrontendMessage::Startup(startup)) => startup,
        Some(_) => return Err(protocol("a connection begins with a startup message").into()),
        None => return Ok(Begun::Ended),
    };
    if is_full {
        let failure = Failure::fatal(state::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
        return Err(failure.hint("try again later; gateway.connections bounds them").into());
    }
    negotiate_version(framed, &startup).await?;
    if shared.tls.is_some() && !is_encrypted {
        let failure = Failure::fatal(state::INVALID_AUTHORIZATION, "this server answers over TLS only");
        return Err(failure
            .hint("connect with sslmode=require, or verify-full with its certificate")
            .into());
    }
    let said = |name: &str| startup.parameters.get(name).cloned().filter(|value| !value.is_empty());
    let Some(name) = said("user") else {
        return Err(Failure::fatal(state::INVALID_AUTHORIZATION, "no user name was given").into());
    };
    if said("replication").is_some_and(|value| !["off", "false", "no", "0"].contains(&value.as_str())) {
        let failure = Failure::fatal(state::FEATURE_NOT_SUPPORTED, "there is no replication here");
        return Err(failure.into());
    }
    let user = authenticate(framed, peer, &name, shared).await?;
    let database = said("database").unwrap_or_else(|| name.clone());
    // Without a name libpq asks for a database called like the user, and tools for `postgres`.
    if database != DATABASE && database != name && database != "postgres" {
        let failure = Failure::fatal(
            state::INVALID_CATALOG_NAME,
            format!("database \"{database}\" does not exist"),
        );
        return Err(failure.hint(format!("the database is called {DATABASE}")).into());
    }
    Ok(Begun::User(user, startup.parameters.into_iter().collect()))
}

async fn negotiate_version<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, Codec>,
    startup: &Startup,
) -> Result<(), Refusal> {
    if startup.protocol_number_major != 3 {
        let number = startup.protocol_number_major;
        let failure = Failure::fatal(
            state::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {number}"),
        );
        return Err(failure.into());
    }
    let options: Vec<String> = startup
        .parameters
        .keys()
        .filter(|name| name.starts_with("_pq_."))
        .cloned()
        .collect();
    if startup.protocol_number_minor != 0 || !options.is_empty() {
        let older = NegotiateProtocolVersion::new(NEWEST_PROTOCOL, options);
        framed
            .send(PgWireBackendMessage::NegotiateProtocolVersion(older))
            .await?;
    }
    framed.codec_mut().started(ProtocolVersion::PROTOCOL3_0);
    Ok(())
}

/// SCRAM-SHA-256. A name that nobody has takes the same way to the same end.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, Codec>,
    peer: SocketAddr,
    name: &str,
    shared: &Shared,
) -> Result<Arc<User>, Refusal> {
    let user = shared.user(name);
    let secret = match &user {
        Some(user) => user.secret.clone(),
        None => scram::nobodys(name, ITERATIONS, &shared.nobodys_key),
    };
    let hash = shared.tls.as_ref().map(|tls| &tls.certificate_hash[..]);
    let offered = scram::mechanisms(hash);
    let message = Authentication::SASL(offered.clone());
    framed.send(PgWireBackendMessage::Authentication(message)).await?;
    let Some(PgWireFrontendMessage::PasswordMessageFamily(answer)) = framed.next().await.transpose()? else {
        return Err(protocol("an answer to SASL was expected").into());
    };
    let chosen = answer.into_sasl_initial_response().map_err(CodecError::from)?;
    if !offered.contains(&chosen.auth_method) {
        return Err(protocol("the client chose a mechanism that was not offered").into());
    }
    let first = chosen.data.unwrap_or_default();
    let (exchange, answer) = Exchange::begin(&chosen.auth_method, &first, secret, hash).map_err(broken_exchange)?;
    let message = Authentication::SASLContinue(Bytes::from(answer));
    framed.send(PgWireBackendMessage::Authentication(message)).await?;
    let Some(PgWireFrontendMessage::PasswordMessageFamily(proof)) = framed.next().await.transpose()? else {
        return Err(protocol("a proof was expected").into());
    };
    let proof = proof.into_sasl_response().map_err(CodecError::from)?;
    match (exchange.finish(&proof.data), user) {
        (Ok(verifier), Some(user)) => {
            let message = Authentication::SASLFinal(Bytes::from(verifier));
            framed.feed(PgWireBackendMessage::Authentication(message)).await?;
            Ok(user)
        }
        (Err(error @ (ScramError::Malformed | ScramError::OtherChannel | ScramError::Downgrade)), _) => {
            Err(broken_exchange(error).into())
        }
        (Err(ScramError::WrongProof), _) | (Ok(_), None) => {
            shared.metrics.refused_sign_ins.inc();
            tracing::warn!(user = name, client = %peer.ip(), "a password was wrong");
            tokio::time::sleep(shared.wait_after_failure(peer.ip())).await;
            let message = format!("password authentication failed for user \"{name}\"");
            Err(Failure::fatal(state::INVALID_PASSWORD, message).into())
        }
    }
}

fn broken_exchange(error: ScramError) -> Failure {
    match error {
        ScramError::Malformed => protocol("a message of SCRAM is malformed"),
        other => Failure::fatal(state::INVALID_AUTHORIZATION, other.to_string()),
    }
}

fn protocol(what: &str) -> Failure {
    Failure::fatal(state::PROTOCOL_VIOLATION, what)
}
