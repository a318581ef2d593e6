//! What happens to a field before anything else may see it, and the keys that make identifiers pseudonymous.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ContractError;

/// The privacy attribute of a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// Stored as it came.
    Keep,
    /// Never decoded.
    Drop,
    /// Stored as the keyed hash of the domain and the value.
    Hmac(HmacDomain),
    /// A date, stored as the first of its month.
    Month,
}

impl Privacy {
    /// Whether the source's value is hidden from everyone behind the decoder.
    pub fn is_private(&self) -> bool {
        *self != Privacy::Keep
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Privacy::Keep => f.pad("keep"),
            Privacy::Drop => f.pad("drop"),
            Privacy::Hmac(domain) => f.pad(&format!("hmac:{domain}")),
            Privacy::Month => f.pad("month"),
        }
    }
}

/// A space of identifiers: equal values of one domain have equal hashes, in whatever table they stand; equal values of
/// two domains do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HmacDomain(Arc<str>);

impl HmacDomain {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HmacDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for HmacDomain {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// The shortest secret accepted, in bytes.
pub const MINIMUM_KEY_BYTES: usize = 32;

/// Length of a pseudonym: 128 bits as lowercase hexadecimal digits.
pub const PSEUDONYM_CHARS: usize = 32;

/// Length of a reference's pseudonym. Among a million references, two have the same once in forty million times.
pub const REFERENCE_CHARS: usize = 16;

const SEPARATOR: u8 = 0x1f;
const DERIVED_SEPARATOR: u8 = 0x1e;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The secret keys, by domain. A domain whose key was rotated has several, oldest first, applied one after another:
/// `HMAC(k2, HMAC(k1, value))`. So stored pseudonyms are brought up to date without the values they stand for.
#[derive(Clone, Default)]
pub struct HmacKeys {
    chains: BTreeMap<HmacDomain, Vec<Pseudonymiser>>,
    demo: bool,
}

impl HmacKeys {
    /// No keys at all: enough for tables without hmac columns.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keys for every domain that anybody can compute. They protect nobody: for the demo's invented people only.
    pub fn demo() -> Self {
        Self {
            chains: BTreeMap::new(),
            demo: true,
        }
    }

    /// Adds a domain's key, or the next key of its rotation, as hexadecimal digits.
    pub fn with_hex(mut self, domain: HmacDomain, digits: &str) -> Result<Self, ContractError> {
        let Some(key) = from_hex(digits.trim()) else {
            return Err(bad_key(domain, "it is not an even number of hexadecimal digits"));
        };
        if key.len() < MINIMUM_KEY_BYTES {
            let problem = format!("it has {} bytes, fewer than {MINIMUM_KEY_BYTES}", key.len());
            return Err(bad_key(domain, &problem));
        }
        let next = Pseudonymiser::new(&key, &domain);
        self.chains.entry(domain).or_default().push(next);
        Ok(self)
    }

    /// Adds the keys of a domain as a secret holds them: hexadecimal digits, one key a line, the oldest first.
    pub fn with_lines(mut self, domain: HmacDomain, text: &str) -> Result<Self, ContractError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_none() {
            return Err(bad_key(domain, "it is empty"));
        }
        for digits in lines {
            self = self.with_hex(domain.clone(), digits)?;
        }
        Ok(self)
    }

    /// Whether identifiers of this domain can be hashed.
    pub fn has(&self, domain: &HmacDomain) -> bool {
        self.demo || self.chains.contains_key(domain)
    }

    /// The pseudonym of a value's canonical text: the text itself for strings, decimal digits for integers.
    ///
    /// # Panics
    /// If the domain has no key: `Contract::check_keys` and `Decoder::new` refuse that before any data is seen.
    pub fn apply(&self, domain: &HmacDomain, text: &str) -> String {
        let digits = self
            .chain(domain)
            .expect("the domain's key was checked at start")
            .apply(text.as_bytes());
        as_text(&digits).to_owned()
    }

    /// How many keys the values of a domain go through, one after another; 0 when it has none.
    pub fn generation(&self, domain: &HmacDomain) -> u32 {
        let keys = self.chain(domain).map_or(0, |chain| chain.0.len());
        u32::try_from(keys).expect("a domain has fewer than 2^32 keys")
    }

    /// Brings a pseudonym that went through the first `from` keys up to date.
    pub fn rotate(&self, domain: &HmacDomain, from: u32, pseudonym: &str) -> String {
        let steps = self.chain(domain).map_or(Vec::new(), |chain| chain.0);
        let later = steps.iter().skip(from as usize);
        later.fold(pseudonym.to_owned(), |pseudonym, step| {
            as_text(&step.apply(pseudonym.as_bytes())).to_owned()
        })
    }

    /// Tells the first `generation` keys of a domain from any others, and nothing about them or about any value.
    pub fn check_value(&self, domain: &HmacDomain, generation: u32) -> Option<String> {
        let digest = self.derive(domain, generation, b"check")?;
        Some(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A secret that only a holder of the first `generation` keys of a domain has.
    pub fn secret(&self, domain: &HmacDomain, generation: u32) -> Option<[u8; 32]> {
        self.derive(domain, generation, b"secret")
    }

    /// The key of pseudonyms that are made where references to source systems are shown; none unless each of `domains`
    /// has keys. It follows from all of them, so it needs no place of its own and is another after a rotation.
    pub fn reference_key<'a>(&self, domains: impl IntoIterator<Item = &'a HmacDomain>) -> Option<ReferenceKey> {
        let mut domains: Vec<_> = domains.into_iter().collect();
        domains.sort_unstable();
        domains.dedup();
        if domains.is_empty() {
            return None;
        }
        let mut key = Sha256::new_with_prefix(b"references");
        for domain in domains {
            key.update(self.derive(domain, self.generation(domain), b"references")?);
        }
        Some(ReferenceKey(key.finalize().into()))
    }

    fn derive(&self, domain: &HmacDomain, generation: u32, purpose: &[u8]) -> Option<[u8; 32]> {
        let chain = self.chain(domain)?;
        let steps = chain.0.get(..generation as usize).filter(|steps| !steps.is_empty())?;
        let mut digest = Sha256::new_with_prefix(purpose);
        steps.iter().for_each(|step| digest.update(step.derived));
        Some(digest.finalize().into())
    }

    /// The hash functions of a domain, ready for many values.
    pub(crate) fn chain(&self, domain: &HmacDomain) -> Option<Chain> {
        match self.chains.get(domain) {
            Some(steps) => Some(Chain(steps.clone())),
            None if self.demo => {
                let key = Sha256::digest(format!("casewatch demo key, known to all: {domain}"));
                Some(Chain(vec![Pseudonymiser::new(&key, domain)]))
            }
            None => None,
        }
    }
}

/// Makes pseudonyms of references to records of source systems, for whoever may not see the references. They are made
/// where rows are shown, and stored nowhere.
#[derive(Clone)]
pub struct ReferenceKey([u8; 32]);

impl ReferenceKey {
    /// One that follows from no other keys.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The pseudonyms of one kind of references: equal references of one kind have equal ones, of two kinds they have not.
    pub fn of(&self, kind: &str) -> References {
        References(Pseudonymiser::new(
            &self.0,
            &HmacDomain::new(format!("reference {kind}")),
        ))
    }
}

impl fmt::Debug for ReferenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceKey")
    }
}

/// The pseudonyms of references of one kind.
#[derive(Clone)]
pub struct References(Pseudonymiser);

impl References {
    /// What is shown in a reference's place: 64 bits as hexadecimal digits, short enough to be read out.
    pub fn pseudonym(&self, reference: &str) -> String {
        let digits = self.0.apply(reference.as_bytes());
        as_text(&digits)[..REFERENCE_CHARS].to_owned()
    }
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("References")
    }
}

impl fmt::Debug for HmacKeys {
    /// Names the domains and never a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKeys")
            .field("domains", &self.chains.keys().collect::<Vec<_>>())
            .field("demo", &self.demo)
            .finish_non_exhaustive()
    }
}

/// All keys of one domain, applied one after another.
#[derive(Clone)]
pub(crate) struct Chain(Vec<Pseudonymiser>);

impl Chain {
    pub(crate) fn apply(&self, value: &[u8]) -> [u8; PSEUDONYM_CHARS] {
        let (first, later) = self.0.split_first().expect("a chain is built with its first key");
        later
            .iter()
            .fold(first.apply(value), |pseudonym, step| step.apply(&pseudonym))
    }
}

pub(crate) fn as_text(pseudonym: &[u8; PSEUDONYM_CHARS]) -> &str {
    std::str::from_utf8(pseudonym).expect("hexadecimal digits are ASCII")
}

/// HMAC-SHA256 with the key and the domain already absorbed, so that a value costs two blocks.
#[derive(Clone)]
struct Pseudonymiser {
    mac: Hmac<Sha256>,
    /// What other secrets are made of: an HMAC under the same key of what no value can be.
    derived: [u8; 32],
}

impl Pseudonymiser {
    fn new(key: &[u8], domain: &HmacDomain) -> Self {
        let of_domain = |separator: u8| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
            mac.update(domain.as_str().as_bytes());
            mac.update(&[separator]);
            mac
        };
        Self {
            mac: of_domain(SEPARATOR),
            derived: of_domain(DERIVED_SEPARATOR).finalize().into_bytes().into(),
        }
    }

    fn apply(&self, value: &[u8]) -> [u8; PSEUDONYM_CHARS] {
        let mut mac = self.mac.clone();
        mac.update(value);
        let hash = mac.finalize().into_bytes();
        let mut digits = [0; PSEUDONYM_CHARS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0xf)];
        }
        digits
    }
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

fn bad_key(domain: HmacDomain, problem: &str) -> ContractError {
    ContractError::Key {
        domain,
        problem: problem.to_owned(),
        hint: "make one with `openssl rand -hex 32`, and back it up: losing it orphans every identity".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEXT: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

    fn keys() -> HmacKeys {
        HmacKeys::none()
            .with_hex("child".into(), KEY)
            .unwrap()
            .with_hex("hr".into(), KEY)
            .unwrap()
    }

    #[test]
    fn a_pseudonym_is_half_of_hmac_sha256_over_domain_and_value() {
        // printf 'child\x1f5' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$KEY
        assert_eq!(keys().apply(&"child".into(), "5"), "973a69bad2fac0fea082a2e7bfa0cdad");
    }

    #[test]
    fn child_5_and_worker_5_differ_under_one_key() {
        assert_ne!(keys().apply(&"child".into(), "5"), keys().apply(&"hr".into(), "5"));
    }

    #[test]
    fn rotation_hashes_the_old_pseudonym_so_that_stored_ones_can_follow() {
        let old = keys().apply(&"child".into(), "5");
        let rotated = keys().with_hex("child".into(), NEXT).unwrap();
        let next_alone = HmacKeys::none().with_hex("child".into(), NEXT).unwrap();
        assert_eq!(
            rotated.apply(&"child".into(), "5"),
            next_alone.apply(&"child".into(), &old)
        );
    }

    #[test]
    fn keys_of_a_file_are_applied_line_by_line_and_told_apart_by_their_check_values() {
        let (child, old) = (HmacDomain::from("child"), keys());
        let both = HmacKeys::none()
            .with_lines(child.clone(), &format!("{KEY}\n\n {NEXT} \n"))
            .unwrap();
        assert_eq!((old.generation(&child), both.generation(&child)), (1, 2));
        assert_eq!(both.rotate(&child, 1, &old.apply(&child, "5")), both.apply(&child, "5"));
        assert_eq!(both.rotate(&child, 2, "untouched"), "untouched");
        assert_eq!(both.check_value(&child, 1), old.check_value(&child, 1));
        let other = HmacKeys::none().with_hex(child.clone(), NEXT).unwrap();
        assert_ne!(other.check_value(&child, 1), old.check_value(&child, 1));
        assert_ne!(both.secret(&child, 2), both.secret(&child, 1));
        assert_eq!((old.check_value(&child, 2), old.secret(&child, 0)), (None, None));
        assert!(HmacKeys::none().with_lines(child, " \n").is_err());
    }

    #[test]
    fn a_short_or_broken_key_is_refused_without_being_shown() {
        for digits in ["", "abc", "zz", &KEY[2..], "é"] {
            let error = HmacKeys::none()
                .with_hex("child".into(), digits)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("child") && error.contains("openssl rand -hex 32"),
                "{error}"
            );
            assert!(digits.len() < 3 || !error.contains(digits), "{error}");
        }
    }

    #[test]
    fn pseudonyms_of_references_need_all_keys_and_follow_them() {
        let domains = [HmacDomain::from("hr"), HmacDomain::from("child")];
        let shown = |keys: &HmacKeys| keys.reference_key(&domains).map(|key| key.of("case").pseudonym("5"));
        let first = shown(&keys()).unwrap();
        assert_eq!(first.len(), REFERENCE_CHARS);
        assert_eq!(
            shown(&keys().with_hex("swe".into(), KEY).unwrap()).as_ref(),
            Some(&first),
            "a key of no domain of theirs changes nothing"
        );
        let key = keys().reference_key(domains.iter().rev()).unwrap();
        assert_eq!(
            key.of("case").pseudonym("5"),
            first,
            "whatever the order of the domains"
        );
        assert_ne!(key.of("worker").pseudonym("5"), first);
        assert_ne!(shown(&keys().with_hex("child".into(), NEXT).unwrap()), Some(first));
        assert_eq!(shown(&HmacKeys::none().with_hex("child".into(), KEY).unwrap()), None);
        assert!(keys().reference_key([]).is_none());
        assert!(shown(&HmacKeys::demo()).is_some());
    }

    #[test]
    fn keys_never_show_in_debug_output() {
        assert_eq!(
            format!("{:?}", keys()),
            "HmacKeys { domains: [HmacDomain(\"child\"), HmacDomain(\"hr\")], demo: false, .. }"
        );
    }
}
