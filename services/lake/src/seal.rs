//! Payloads of dead letters: left out, or sealed so that only the holder of a key can read them again.

use std::fmt;

use aes_gcm::aead::{Aead, AeadCore, OsRng, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};

use crate::error::{LakeError, Result};

const NONCE_BYTES: usize = 12;

/// What becomes of a bad message's bytes.
#[derive(Debug, Clone)]
pub enum PayloadPolicy {
    /// Not stored: replay has to read Kafka again.
    LeaveOut,
    /// Stored under AES-256-GCM.
    Encrypt(PayloadKey),
}

/// A key of 32 bytes. It never shows in logs.
#[derive(Clone)]
pub struct PayloadKey(Key<Aes256Gcm>);

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadKey(..)")
    }
}

impl PayloadKey {
    pub fn from_hex(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(LakeError::PayloadKey);
        }
        let mut bytes = [0_u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| LakeError::PayloadKey)?;
        }
        Ok(Self(bytes.into()))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// Nonce and ciphertext; `place` (table, partition and offset) is authenticated, so that a payload cannot be moved.
    pub(crate) fn seal(&self, place: &str, payload: &[u8]) -> Vec<u8> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let sealed = Aes256Gcm::new(&self.0).encrypt(
            &nonce,
            Payload {
                msg: payload,
                aad: place.as_bytes(),
            },
        );
        let sealed = sealed.expect("a Kafka message is shorter than AES-GCM's 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    pub(crate) fn unseal(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(LakeError::Unseal)?;
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        Aes256Gcm::new(&self.0)
            .decrypt(Nonce::from_slice(nonce), payload)
            .map_err(|_| LakeError::Unseal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_opens_with_its_key_at_its_place_only() {
        let key = PayloadKey::from_hex(&"0f".repeat(32)).unwrap();
        let other = PayloadKey::from_hex(&"f0".repeat(32)).unwrap();
        let sealed = key.seal("cases/c/t/0/1/7", b"raw message");
        assert!(!sealed.windows(3).any(|window| window == b"raw"));
        assert_eq!(key.unseal("cases/c/t/0/1/7", &sealed).unwrap(), b"raw message");
        assert!(matches!(key.unseal("cases/c/t/0/1/8", &sealed), Err(LakeError::Unseal)));
        assert!(matches!(
            other.unseal("cases/c/t/0/1/7", &sealed),
            Err(LakeError::Unseal)
        ));
        assert!(matches!(PayloadKey::from_hex("short"), Err(LakeError::PayloadKey)));
    }
}
