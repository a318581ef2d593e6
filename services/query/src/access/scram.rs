//! Secrets that prove a password without being it: SCRAM-SHA-256 (RFC 5802, RFC 7677), in PostgreSQL's text form.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// As many as PostgreSQL has by default, and the least that RFC 7677 allows.
const ITERATIONS: u32 = 4096;
/// Above this a secret in a file would make every attempt to sign in cost minutes.
const MOST_ITERATIONS: u32 = 10_000_000;
const SALT_BYTES: usize = 16;
const MECHANISM: &str = "SCRAM-SHA-256";

/// What a users file holds of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as PostgreSQL's
/// `pg_authid` does. Its debug form hides the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSecret {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
}

impl ScramSecret {
    /// With a fresh salt.
    pub fn of_password(password: &str) -> Self {
        Self::derived(password, rand::random::<[u8; SALT_BYTES]>().to_vec(), ITERATIONS)
    }

    fn derived(password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        // What cannot be prepared is taken as it is, as PostgreSQL does.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0_u8; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), &salt, iterations, &mut salted);
        let client_key = keyed(&salted, b"Client Key");
        Self {
            iterations,
            salt,
            stored_key: Sha256::digest(client_key).into(),
            server_key: keyed(&salted, b"Server Key"),
        }
    }

    /// Whether it is the secret of this password. Takes equally long whether it is or not.
    pub fn verify(&self, password: &str) -> bool {
        let given = Self::derived(password, self.salt.clone(), self.iterations);
        given.stored_key.ct_eq(&self.stored_key).into()
    }

    /// A secret that no password has: whoever asks for a user that does not exist is made to wait and refused alike.
    pub fn unknowable() -> Self {
        Self {
            iterations: ITERATIONS,
            salt: rand::random::<[u8; SALT_BYTES]>().to_vec(),
            stored_key: rand::random(),
            server_key: rand::random(),
        }
    }
}

fn keyed(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

impl fmt::Display for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|part| STANDARD.encode(part));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MECHANISM}${}:(hidden)", self.iterations)
    }
}

impl FromStr for ScramSecret {
    type Err = String;

    /// What is wrong is said without the text itself.
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut parts = text.split('$');
            let (mechanism, cost, keys) = (parts.next()?, parts.next()?, parts.next()?);
            let (iterations, salt) = cost.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            let bytes = |text: &str| STANDARD.decode(text).ok();
            let key = |text: &str| <[u8; 32]>::try_from(bytes(text)?).ok();
            let secret = Self {
                iterations: iterations.parse().ok()?,
                salt: bytes(salt)?,
                stored_key: key(stored)?,
                server_key: key(server)?,
            };
            let sound = mechanism == MECHANISM
                && parts.next().is_none()
                && !secret.salt.is_empty()
                && (1..=MOST_ITERATIONS).contains(&secret.iterations);
            sound.then_some(secret)
        };
        parse().ok_or_else(|| {
            format!(
                "expected {MECHANISM}$<iterations>:<salt>$<StoredKey>:<ServerKey>, as `casewatch user add` writes it"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: user `user`, password `pencil`. The server's signature there is over these keys.
    #[test]
    fn the_keys_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let secret = ScramSecret::derived("pencil", salt, 4096);
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = STANDARD.encode(keyed(&secret.server_key, messages.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signed = keyed(&secret.stored_key, messages.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signed).map(|(proof, signed)| proof ^ signed).collect();
        assert_eq!(<[u8; 32]>::from(Sha256::digest(client_key)), secret.stored_key);
    }

    #[test]
    fn a_secret_knows_its_password_and_comes_back_from_its_text() {
        let secret = ScramSecret::of_password("correct horse");
        assert!(secret.verify("correct horse"));
        assert!(!secret.verify("correct horsf"));
        assert!(!secret.verify(""));
        let text = secret.to_string();
        assert_eq!(text.parse::<ScramSecret>().unwrap(), secret);
        assert_ne!(
            ScramSecret::of_password("correct horse"),
            secret,
            "each has its own salt"
        );
        assert!(!format!("{secret:?}").contains(text.split('$').nth(2).unwrap()));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let good = ScramSecret::of_password("x").to_string();
        let bad = [
            "hunter2".to_owned(),
            good.replace("SCRAM-SHA-256", "md5"),
            good.replace("$4096:", "$0:"),
            good.replace("$4096:", "$4000000000:"),
            format!("{good}$"),
            good[..good.len() - 8].to_owned(),
        ];
        for text in bad {
            let error = text.parse::<ScramSecret>().unwrap_err();
            assert!(error.starts_with("expected SCRAM-SHA-256$"), "{text}");
            assert!(!error.contains(&text));
        }
    }
}
