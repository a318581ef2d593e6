//! How many dead letters a second a table may make. Beyond that its reading slows down to them: a producer gone wrong
//! fills neither the lake with broken messages nor the machine with their decoding, and nothing is lost, since what is
//! not read stays in Kafka.

use std::time::Duration;

use tokio::time::Instant;

/// Lets a second's worth through at once, and then so many a second.
pub(crate) struct Throttle {
    per_second: f64,
    /// What may still come without a pause; below zero: what came too early.
    allowance: f64,
    since: Instant,
}

impl Throttle {
    pub fn new(per_second: usize, now: Instant) -> Self {
        let per_second = per_second as f64;
        Self {
            per_second,
            allowance: per_second,
            since: now,
        }
    }

    /// Takes note of `count` dead letters; the pause that is due before more is read, if one is.
    pub fn pause_after(&mut self, count: usize, now: Instant) -> Option<Duration> {
        let earned = now.duration_since(self.since).as_secs_f64() * self.per_second;
        self.allowance = (self.allowance + earned).min(self.per_second) - count as f64;
        self.since = now;
        (self.allowance < 0.0).then(|| Duration::from_secs_f64(-self.allowance / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_second_passes_and_what_is_beyond_waits_its_share() {
        let start = Instant::now();
        let mut throttle = Throttle::new(100, start);
        assert_eq!(throttle.pause_after(100, start), None);
        assert_eq!(throttle.pause_after(50, start), Some(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(throttle.pause_after(0, later), None, "the pause was enough");
        assert_eq!(throttle.pause_after(200, later), Some(Duration::from_secs(2)));
    }

    #[test]
    fn good_messages_never_wait_and_save_up_no_more_than_a_second() {
        let start = Instant::now();
        let mut throttle = Throttle::new(100, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(throttle.pause_after(0, later), None);
        assert_eq!(throttle.pause_after(101, later), Some(Duration::from_millis(10)));
    }
}
