//! What the Kafka client says when it cannot talk to a broker, in words for whoever must act, and not twice a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The client repeats itself at every attempt to connect; the same trouble is told again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Its code and, where the client gives one, what it is about.
type Trouble = (Option<RDKafkaErrorCode>, String);

/// The troubles of one client.
#[derive(Default)]
pub(crate) struct Troubles {
    told: Mutex<Vec<(Trouble, Instant)>>,
}

impl Troubles {
    /// Logs one: as an error where waiting does not help. The client's `reason` names brokers and topics, never a secret;
    /// it is empty where a read only failed, which is not told beside a reason for the same.
    pub fn tell(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if !self.is_due(code, reason, Instant::now()) {
            return tracing::debug!(%error, reason, "the broker is still in trouble");
        }
        match remedy(code) {
            Some((what, hint)) => tracing::error!(reason, "{what}; hint: {hint}"),
            None => tracing::warn!(%error, reason, "the broker is in trouble; the client goes on trying"),
        }
    }

    fn is_due(&self, code: Option<RDKafkaErrorCode>, reason: &str, now: Instant) -> bool {
        // What follows in brackets counts attempts and milliseconds.
        let about = reason.split(" (").next().unwrap_or_default();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, since)| now.duration_since(*since) < AGAIN_AFTER);
        let same = |known: &Trouble| known.0 == code && (about.is_empty() || known.1 == about);
        if told.iter().any(|(known, _)| same(known)) {
            return false;
        }
        told.push(((code, about.to_owned()), now));
        true
    }
}

/// For clients of which nothing else is wanted.
impl ClientContext for Troubles {
    fn error(&self, error: KafkaError, reason: &str) {
        self.tell(&error, reason);
    }
}

impl ConsumerContext for Troubles {}

/// What an operator can do about it, where trying again will not mend it.
fn remedy(code: Option<RDKafkaErrorCode>) -> Option<(&'static str, &'static str)> {
    match code? {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => Some((
            "the broker refuses our credentials",
            "check sasl.username, sasl.password and sasl.mechanism in [kafka.properties]",
        )),
        RDKafkaErrorCode::SSL => Some((
            "no TLS connection to the broker that we could trust",
            "check ssl.ca.location and security.protocol in [kafka.properties], and the name in the broker's certificate",
        )),
        RDKafkaErrorCode::Resolve => Some((
            "no such host",
            "check kafka.brokers, and the addresses that the brokers advertise",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_and_again_after_a_while_and_another_at_once() {
        let (troubles, now) = (Troubles::default(), Instant::now());
        let (down, refused) = (
            Some(RDKafkaErrorCode::AllBrokersDown),
            Some(RDKafkaErrorCode::Authentication),
        );
        let soon = now + Duration::from_secs(1);
        assert!(troubles.is_due(down, "1/1 brokers are down", now));
        assert!(!troubles.is_due(down, "1/1 brokers are down", soon));
        assert!(troubles.is_due(refused, "a: failed (after 3 ms)", soon));
        assert!(!troubles.is_due(refused, "a: failed (after 5 ms, 1 suppressed)", soon));
        assert!(
            troubles.is_due(refused, "b: failed (after 3 ms)", soon),
            "another broker"
        );
        assert!(
            !troubles.is_due(refused, "", soon),
            "a read that failed for the same reason"
        );
        assert!(troubles.is_due(down, "1/1 brokers are down", now + AGAIN_AFTER));
    }

    #[test]
    fn what_trying_again_will_not_mend_comes_with_what_to_check() {
        let (_, hint) = remedy(Some(RDKafkaErrorCode::Authentication)).unwrap();
        assert!(hint.contains("sasl.password"));
        let (_, hint) = remedy(Some(RDKafkaErrorCode::SSL)).unwrap();
        assert!(hint.contains("ssl.ca.location"));
        assert_eq!(remedy(Some(RDKafkaErrorCode::AllBrokersDown)), None);
    }
}
