//! TLS: a certificate from files, or one made at start; and the handshake of PostgreSQL before it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::server::TlsStream;

use crate::GatewayError;

/// As a client that begins with TLS at once must call the protocol.
const PROTOCOL: &[u8] = b"postgresql";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];
/// The first byte of a handshake of TLS.
const HANDSHAKE: u8 = 0x16;

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files: the certificate with those that vouch for it, and its key.
    Files { certificate: PathBuf, key: PathBuf },
    /// Made at start, for demonstrations: nobody vouches for it.
    SelfSigned,
}

/// What connections are encrypted with.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// Of the certificate, for binding a password's proof to the channel (RFC 5929).
    pub(crate) certificate_hash: [u8; 32],
}

impl Tls {
    /// # Errors
    /// A certificate or key that cannot be read or do not belong together.
    pub(crate) fn new(certificate: &Certificate, address: SocketAddr) -> Result<Self, GatewayError> {
        let (chain, key) = match certificate {
            Certificate::Files { certificate, key } => (read_chain(certificate)?, read_key(key)?),
            Certificate::SelfSigned => self_signed(address)?,
        };
        let leaf = chain.first().ok_or_else(|| GatewayError::Certificate {
            detail: "there is no certificate in the file".to_owned(),
        })?;
        let certificate_hash = Sha256::digest(leaf).into();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| GatewayError::Certificate {
                detail: error.to_string(),
            })?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_hash,
        })
    }
}

/// A connection after the question whether it is to be encrypted.
pub(crate) enum Negotiated {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Answers requests for encryption until something else comes. A handshake that fails ends the connection.
///
/// Nothing is read beyond a request before the handshake, so that nobody can slip in plain bytes ahead of it.
pub(crate) async fn negotiate(mut stream: TcpStream, tls: Option<&Tls>) -> io::Result<Negotiated> {
    stream.set_nodelay(true)?;
    let mut requests = 0;
    loop {
        let mut first = [0; 8];
        if stream.peek(&mut first[..1]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] == HANDSHAKE {
            return direct(stream, tls).await;
        }
        while stream.peek(&mut first).await? < first.len() {
            // A request of eight bytes comes in one packet; whoever sends it in two is waited for.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match (first, tls) {
            (SSL_REQUEST | GSS_REQUEST, _) if requests >= 4 => return Err(io::ErrorKind::InvalidData.into()),
            (SSL_REQUEST, Some(tls)) => {
                stream.read_exact(&mut first).await?;
                stream.write_all(b"S").await?;
                let encrypted = tls.acceptor.accept(stream).await?;
                return Ok(Negotiated::Encrypted(Box::new(encrypted)));
            }
            (SSL_REQUEST | GSS_REQUEST, _) => {
                stream.read_exact(&mut first).await?;
                stream.write_all(b"N").await?;
                requests += 1;
            }
            _ => return Ok(Negotiated::Plain(stream)),
        }
    }
}

/// A client of version 17 or newer may begin with the handshake itself, if it names the protocol.
async fn direct(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Negotiated> {
    let tls = tls.ok_or(io::ErrorKind::ConnectionRefused)?;
    let encrypted = tls.acceptor.accept(stream).await?;
    if encrypted.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Negotiated::Encrypted(Box::new(encrypted)))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read_chain(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
    let unreadable = |error: rustls_pki_types::pem::Error| GatewayError::Certificate {
        detail: format!("{}: {error}", path.display()),
    };
    CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

fn read_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, GatewayError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| GatewayError::Certificate {
        detail: format!("{}: {error}", path.display()),
    })
}

fn self_signed(address: SocketAddr) -> Result<Identity, GatewayError> {
    let names = vec!["localhost".to_owned(), address.ip().to_string()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| GatewayError::Certificate {
        detail: error.to_string(),
    })?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}
