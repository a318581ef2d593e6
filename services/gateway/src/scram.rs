//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with channel binding (RFC 5929) where there is TLS.
//!
//! The server has what proves a password and not the password: a stored key and a server key. An exchange with a name
//! that nobody has goes the same way to its end and fails there, so that names cannot be told from each other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use casewatch_query::ScramSecret;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub(crate) const PLAIN: &str = "SCRAM-SHA-256";
pub(crate) const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Mechanisms to offer: bound to the channel first, where there is one to bind to.
pub(crate) fn mechanisms(certificate_hash: Option<&[u8]>) -> Vec<String> {
    match certificate_hash {
        Some(_) => vec![PLUS.to_owned(), PLAIN.to_owned()],
        None => vec![PLAIN.to_owned()],
    }
}

/// Why an exchange cannot go on; whoever asked is told no more than that it failed, but for a broken message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    #[error("the message of the exchange is malformed")]
    Malformed,
    #[error("the client thinks that this server cannot bind to the channel, but it can: somebody may stand between")]
    Downgrade,
    #[error("the channel that the client sees is another one: somebody may stand between")]
    OtherChannel,
    #[error("the proof is wrong")]
    WrongProof,
}

/// After the server's first message.
#[derive(Debug)]
pub(crate) struct Exchange {
    secret: ScramSecret,
    nonce: String,
    /// What the client must repeat, in base64: its header and what it is bound to.
    binding: String,
    client_first: String,
    server_first: String,
}

impl Exchange {
    /// Answers the client's first message.
    ///
    /// # Errors
    /// A message that is malformed, or that shows that the exchange was tampered with.
    pub(crate) fn begin(
        mechanism: &str,
        message: &[u8],
        secret: ScramSecret,
        certificate_hash: Option<&[u8]>,
    ) -> Result<(Self, String), ScramError> {
        let message = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let mut parts = message.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        let identity = parts.next().ok_or(ScramError::Malformed)?;
        let bare = parts.next().ok_or(ScramError::Malformed)?;
        let mut bound = format!("{flag},{identity},").into_bytes();
        match (flag, mechanism, certificate_hash) {
            ("n", PLAIN, _) | ("y", PLAIN, None) => {}
            ("y", PLAIN, Some(_)) => return Err(ScramError::Downgrade),
            ("p=tls-server-end-point", PLUS, Some(hash)) => bound.extend_from_slice(hash),
            _ => return Err(ScramError::Malformed),
        }
        let client_nonce = attribute(bare, "r").ok_or(ScramError::Malformed)?;
        let is_printable = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b',';
        if client_nonce.is_empty() || !client_nonce.bytes().all(is_printable) || bare.starts_with("m=") {
            return Err(ScramError::Malformed);
        }
        let nonce = format!("{client_nonce}{}", BASE64.encode(rand::random::<[u8; 18]>()));
        let salt = BASE64.encode(&secret.salt);
        let server_first = format!("r={nonce},s={salt},i={}", secret.iterations);
        let exchange = Self {
            secret,
            nonce,
            binding: BASE64.encode(bound),
            client_first: bare.to_owned(),
            server_first: server_first.clone(),
        };
        Ok((exchange, server_first))
    }

    /// Checks the client's proof, and gives the server's own.
    ///
    /// # Errors
    /// A proof that does not hold, or one of another exchange or channel.
    pub(crate) fn finish(&self, message: &[u8]) -> Result<String, ScramError> {
        let message = std::str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let (unproved, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let binding = attribute(unproved, "c").ok_or(ScramError::Malformed)?;
        if binding != self.binding {
            return Err(ScramError::OtherChannel);
        }
        if attribute(unproved, "r") != Some(self.nonce.as_str()) {
            return Err(ScramError::Malformed);
        }
        let proof = BASE64.decode(proof).map_err(|_| ScramError::Malformed)?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| ScramError::Malformed)?;
        let whole = format!("{},{},{unproved}", self.client_first, self.server_first);
        let signature = sign(&self.secret.stored_key, whole.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        let hash: [u8; 32] = Sha256::digest(client_key).into();
        if !bool::from(hash.ct_eq(&self.secret.stored_key)) {
            return Err(ScramError::WrongProof);
        }
        let verifier = sign(&self.secret.server_key, whole.as_bytes());
        Ok(format!("v={}", BASE64.encode(verifier)))
    }
}

/// A secret that nobody can prove, for a name that nobody has: always the same for one name and one key.
pub(crate) fn nobodys(name: &str, iterations: u32, key: &[u8; 32]) -> ScramSecret {
    let part = |what: &str| sign(key, format!("{what}\0{name}").as_bytes());
    ScramSecret {
        iterations,
        salt: part("salt")[..16].to_vec(),
        stored_key: part("stored"),
        server_key: part("server"),
    }
}

fn sign(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut attributes = message.split(',');
    attributes.find_map(|attribute| attribute.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that knows a password, written after the standard.
    fn client_final(password: &str, client_first: &str, server_first: &str, bound: &[u8]) -> String {
        let salt = BASE64.decode(attribute(server_first, "s").unwrap()).unwrap();
        let iterations: u32 = attribute(server_first, "i").unwrap().parse().unwrap();
        let mut salted = {
            let mut mac = Hmac::<Sha256>::new_from_slice(password.as_bytes()).unwrap();
            mac.update(&salt);
            mac.update(&1_u32.to_be_bytes());
            <[u8; 32]>::from(mac.finalize().into_bytes())
        };
        let mut last = salted;
        for _ in 1..iterations {
            let mut mac = Hmac::<Sha256>::new_from_slice(password.as_bytes()).unwrap();
            mac.update(&last);
            last = mac.finalize().into_bytes().into();
            salted.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
        }
        let client_key = sign(&salted, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let nonce = attribute(server_first, "r").unwrap();
        let unproved = format!("c={},r={nonce}", BASE64.encode(bound));
        let bare = client_first.splitn(3, ',').nth(2).unwrap();
        let signature = sign(&stored_key, format!("{bare},{server_first},{unproved}").as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(one, other)| one ^ other)
            .collect();
        format!("{unproved},p={}", BASE64.encode(proof))
    }

    fn outcome(password: &str, secret: ScramSecret) -> Result<String, ScramError> {
        let first = "n,,n=,r=abc";
        let (exchange, server_first) = Exchange::begin(PLAIN, first.as_bytes(), secret, None).unwrap();
        exchange.finish(client_final(password, first, &server_first, b"n,,").as_bytes())
    }

    #[test]
    fn the_right_password_is_proved_and_no_other() {
        let secret = ScramSecret::of_password("correct horse");
        assert!(outcome("correct horse", secret.clone()).unwrap().starts_with("v="));
        assert_eq!(outcome("wrong horse", secret), Err(ScramError::WrongProof));
        let nobody = nobodys("nobody", 4_096, &[7; 32]);
        assert_eq!(outcome("correct horse", nobody), Err(ScramError::WrongProof));
    }

    #[test]
    fn somebody_between_client_and_server_is_noticed() {
        let secret = ScramSecret::of_password("pass word");
        let begin = |mechanism, first: &str, hash| {
            Exchange::begin(mechanism, first.as_bytes(), secret.clone(), hash).map(|(_, answer)| answer)
        };
        assert_eq!(
            begin(PLAIN, "y,,n=,r=abc", Some(&[1; 32][..])),
            Err(ScramError::Downgrade)
        );
        let first = "p=tls-server-end-point,,n=,r=abc";
        let (exchange, answer) = Exchange::begin(PLUS, first.as_bytes(), secret.clone(), Some(&[1; 32])).unwrap();
        let mut seen = b"p=tls-server-end-point,,".to_vec();
        seen.extend([2; 32]);
        let message = client_final("pass word", first, &answer, &seen);
        assert_eq!(exchange.finish(message.as_bytes()), Err(ScramError::OtherChannel));
        seen.truncate(24);
        seen.extend([1; 32]);
        assert!(
            exchange
                .finish(client_final("pass word", first, &answer, &seen).as_bytes())
                .is_ok()
        );
    }

    #[test]
    fn a_name_that_nobody_has_looks_the_same_each_time() {
        let salt = |name| nobodys(name, 4_096, &[7; 32]).salt;
        assert_eq!(salt("anne"), salt("anne"));
        assert_ne!(salt("anne"), salt("bert"));
    }
}
