//! Cancelling a statement from another connection, as Ctrl-C in psql does: by a number and a secret key that the server
//! told when the connection began.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections there are.
#[derive(Debug, Default)]
pub(crate) struct Cancels {
    by_key: Mutex<HashMap<(i32, i32), Arc<Running>>>,
}

/// The statement that a connection runs now.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<CancellationToken>);

impl Running {
    /// For the next statement; a request that came for the one before is void.
    pub(crate) fn next(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        token
    }
}

/// A connection's entry, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) pid: i32,
    pub(crate) key: i32,
    pub(crate) running: Arc<Running>,
    cancels: Arc<Cancels>,
}

impl Cancels {
    /// A number that no other connection has, and a key that nobody can guess.
    pub(crate) fn register(self: &Arc<Self>) -> Registered {
        let running = Arc::<Running>::default();
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let (pid, key) = loop {
            let pid = rand::random_range(1..i32::MAX);
            if !by_key.keys().any(|(taken, _)| *taken == pid) {
                break (pid, rand::random());
            }
        };
        by_key.insert((pid, key), running.clone());
        Registered {
            pid,
            key,
            running,
            cancels: self.clone(),
        }
    }

    /// Whoever asks is told nothing: a wrong key looks like a right one.
    pub(crate) fn cancel(&self, pid: i32, key: i32) {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = by_key.get(&(pid, key)) {
            running.0.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut by_key = self.cancels.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.remove(&(self.pid, self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels_and_only_what_runs_now() {
        let cancels = Arc::<Cancels>::default();
        let one = cancels.register();
        let before = one.running.next();
        cancels.cancel(one.pid, one.key.wrapping_add(1));
        assert!(!before.is_cancelled());
        cancels.cancel(one.pid, one.key);
        assert!(before.is_cancelled());
        assert!(!one.running.next().is_cancelled());
        let (pid, key) = (one.pid, one.key);
        drop(one);
        cancels.cancel(pid, key);
        assert!(cancels.by_key.lock().unwrap().is_empty());
    }
}
