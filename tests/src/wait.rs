//! Waiting for what comes in its own time, with a limit and a reason when it does not come.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `probe` until it gives a value; panics with `what` and its last complaint when `limit` has passed.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(complaint) if started.elapsed() >= limit => {
                panic!(
                    "waited {:.1} s for {what}; last: {complaint}",
                    started.elapsed().as_secs_f64()
                )
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Waits until `probe` gives `expected`.
pub fn eventually<T: PartialEq + std::fmt::Debug>(
    what: &str,
    limit: Duration,
    expected: T,
    mut probe: impl FnMut() -> T,
) {
    until(what, limit, || {
        let found = probe();
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?} instead of {expected:?}"))
        }
    });
}
