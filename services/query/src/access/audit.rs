//! The audit log: who asked what, when, why, and how much they were shown. One task writes it to the lake in batches.
//!
//! A place in the queue is taken before a statement runs. While the lake is away the queue fills, and then nobody is
//! shown rows that the log would not know of.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use casewatch_contract::Contract;
use casewatch_lake::{AuditEntry, Lake};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::AuditError;

/// Entries that wait to be written, at most.
const QUEUE: usize = 4_096;
/// Entries are written together, at most so many and so long after the first.
const BATCH: usize = 1_024;
const LINGER: Duration = Duration::from_secs(1);
/// Between attempts while the lake cannot be written.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How long a stopping system goes on trying.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// The log's front: cheap to clone, shared by all surfaces.
#[derive(Debug, Clone)]
pub struct AuditLog {
    queue: mpsc::Sender<AuditEntry>,
}

/// A place in the queue, for a statement that is about to run.
#[derive(Debug)]
pub struct AuditPermit(mpsc::OwnedPermit<AuditEntry>);

/// What writes the log; without it running, the queue fills.
pub struct AuditWriter {
    lake: Arc<Lake>,
    contract: Arc<Contract>,
    queue: mpsc::Receiver<AuditEntry>,
}

impl AuditLog {
    /// A log in `lake`. The contract tells what in a statement can name a subject who was erased.
    pub fn new(lake: Arc<Lake>, contract: Arc<Contract>) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = AuditWriter {
            lake,
            contract,
            queue: receiver,
        };
        (Self { queue: sender }, writer)
    }

    /// A place for the entry of a statement that is about to run. Ask before any row is read.
    ///
    /// # Errors
    /// The log cannot take more, or is closed.
    pub fn permit(&self) -> Result<AuditPermit, AuditError> {
        match self.queue.clone().try_reserve_owned() {
            Ok(permit) => Ok(AuditPermit(permit)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(AuditError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(AuditError::Closed),
        }
    }

    /// Tells what happened. It is in the lake about a second later.
    ///
    /// # Errors
    /// As [`AuditLog::permit`].
    pub async fn record(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.permit()?.record(entry);
        Ok(())
    }
}

impl AuditPermit {
    /// Tells what became of the statement.
    pub fn record(self, entry: AuditEntry) {
        self.0.send(entry);
    }
}

impl AuditWriter {
    /// Writes until `stop` or until nobody holds the log any more, and then what is left.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let (mut batch, mut id) = (Vec::new(), Uuid::new_v4());
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                received = self.queue.recv_many(&mut batch, BATCH) => if received == 0 { break },
            }
            let full_at = Instant::now() + LINGER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    received = self.queue.recv_many(&mut batch, room) => if received == 0 { break },
                    () = tokio::time::sleep_until(full_at) => break,
                }
            }
            let written = tokio::select! {
                biased;
                () = self.write(id, &batch) => true,
                () = &mut stop => false,
            };
            if !written {
                break;
            }
            (batch, id) = (Vec::new(), Uuid::new_v4());
        }
        self.queue.close();
        let rest = async {
            // What was being written comes first, under its own name: it may be there already.
            self.write(id, &batch).await;
            let mut rest = Vec::new();
            while self.queue.recv_many(&mut rest, BATCH).await > 0 {
                self.write(Uuid::new_v4(), &rest).await;
                rest.clear();
            }
        };
        if tokio::time::timeout(STOP_DEADLINE, rest).await.is_err() {
            tracing::error!("the lake could not be written: the last entries of the audit log are lost");
        }
    }

    /// Until it is done. What is given up and tried again under the same name stands once.
    async fn write(&self, id: Uuid, batch: &[AuditEntry]) {
        let mut wait = RETRY;
        while let Err(error) = self.lake.keep_audit(&self.contract, id, batch).await {
            tracing::warn!("the audit log cannot be written and will be tried again: {error}");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }
}
