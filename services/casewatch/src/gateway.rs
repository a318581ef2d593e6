//! The PostgreSQL gateway as the configuration has it: the section `[gateway]`, and how it is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use casewatch_gateway::{Certificate, Gateway, GatewayAccess, GatewayMetrics, GatewayOptions, Security};
use casewatch_query::Engine;
use prometheus::Registry;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::access::Access;
use crate::config::duration;
use crate::failure::Failure;

/// SQL for clients of PostgreSQL. It is there where `[access] users` names somebody to sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySection {
    pub enabled: bool,
    pub listen: SocketAddr,
    pub tls: TlsWanted,
    /// PEM files. Without them (empty) a certificate is made at start, which is for this machine alone.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub connections: usize,
    pub running: usize,
    #[serde(deserialize_with = "duration")]
    pub query_deadline: Duration,
    pub query_memory_mib: usize,
    pub query_rows: usize,
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    pub statement_kib: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsWanted {
    #[default]
    Required,
    /// For an address of this machine alone.
    Off,
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 5439)),
            tls: TlsWanted::Required,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            connections: 200,
            running: 20,
            query_deadline: Duration::from_secs(60),
            query_memory_mib: 1024,
            query_rows: 1_000_000,
            idle_timeout: Duration::from_secs(8 * 3_600),
            statement_kib: 1024,
        }
    }
}

impl GatewaySection {
    /// Relative paths are relative to the configuration's folder.
    pub fn in_folder(&mut self, folder: &Path) {
        for path in [&mut self.certificate, &mut self.key] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        }
    }

    /// What is wrong, as a key and what was expected; none where nothing is.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        for (key, number) in [
            ("gateway.connections", self.connections),
            ("gateway.running", self.running),
            ("gateway.query_memory_mib", self.query_memory_mib),
            ("gateway.query_rows", self.query_rows),
            ("gateway.statement_kib", self.statement_kib),
        ] {
            if number == 0 {
                return Some((key, "expected a number above 0".to_owned()));
            }
        }
        if self.is_self_signed() != self.key.as_os_str().is_empty() {
            let expected = "expected both gateway.certificate and gateway.key\nhint: PEM files that belong together";
            return Some(("gateway.certificate", expected.to_owned()));
        }
        let is_local = self.listen.ip().is_loopback();
        match self.tls {
            TlsWanted::Off if !is_local => Some((
                "gateway.tls",
                format!(
                    "expected \"required\", since others can reach {}\nhint: \"off\" is for an address of this machine alone",
                    self.listen
                ),
            )),
            TlsWanted::Required if !is_local && self.is_self_signed() && self.enabled => Some((
                "gateway.certificate",
                format!(
                    "expected a certificate, since others can reach {}\n\
                     hint: one that is made at start is vouched for by nobody, and is for this machine alone",
                    self.listen
                ),
            )),
            _ => None,
        }
    }

    fn is_self_signed(&self) -> bool {
        self.certificate.as_os_str().is_empty()
    }

    fn options(&self) -> GatewayOptions {
        GatewayOptions {
            listen: self.listen,
            security: match self.tls {
                TlsWanted::Off => Security::Off,
                TlsWanted::Required if self.is_self_signed() => Security::Required(Certificate::SelfSigned),
                TlsWanted::Required => Security::Required(Certificate::Files {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                }),
            },
            connections: self.connections,
            running: self.running,
            query_deadline: self.query_deadline,
            query_memory_bytes: self.query_memory_mib << 20,
            query_rows: self.query_rows,
            idle_timeout: self.idle_timeout,
            statement_bytes: self.statement_kib << 10,
        }
    }

    /// Takes the port.
    ///
    /// # Errors
    /// A port that is taken, a certificate that cannot be used.
    pub async fn open(
        &self,
        engines: watch::Receiver<Arc<Engine>>,
        access: &Access,
        statements: Handle,
        registry: &Registry,
    ) -> Result<Gateway, Failure> {
        let access = GatewayAccess {
            users: access.users.clone(),
            engines,
            audit: access.audit.clone(),
            statements,
        };
        let gateway = Gateway::bind(self.options(), access, GatewayMetrics::new(registry));
        let gateway = gateway.await.map_err(Failure::usage)?;
        if self.tls == TlsWanted::Required && self.is_self_signed() {
            tracing::info!(
                "the gateway's certificate was made at start: clients cannot tell it from another; name one with \
                 gateway.certificate"
            );
        }
        tracing::info!(address = %gateway.address(), "serving SQL to clients of PostgreSQL");
        Ok(gateway)
    }
}

/// A line that connects psql to an address, for people to copy.
#[cfg(feature = "embedded")]
pub fn psql_line(address: SocketAddr, user: &str, password: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("PGPASSWORD={password} psql \"host={host} port={port} user={user} dbname=casewatch sslmode=require\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<&'static str> {
        let section: GatewaySection = toml::from_str(text).unwrap();
        section.fault().map(|(key, _)| key)
    }

    #[test]
    fn what_others_can_reach_is_encrypted_with_a_certificate_of_its_own() {
        assert_eq!(fault(""), None);
        assert_eq!(fault("tls = \"off\""), None);
        assert_eq!(fault("listen = \"0.0.0.0:5439\"\ntls = \"off\""), Some("gateway.tls"));
        assert_eq!(fault("listen = \"0.0.0.0:5439\""), Some("gateway.certificate"));
        let named = "listen = \"0.0.0.0:5439\"\ncertificate = \"a.pem\"\nkey = \"b.pem\"";
        assert_eq!(fault(named), None);
        assert_eq!(fault("certificate = \"a.pem\""), Some("gateway.certificate"));
        assert_eq!(fault("running = 0"), Some("gateway.running"));
    }
}
