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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::AsArray;
    use casewatch_contract::RecordedAt;
    use casewatch_lake::LakeConfig;
    use datafusion::prelude::SessionContext;
    use tokio::sync::oneshot;

    use super::*;

    fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            at: RecordedAt::now(),
            user: "ann".to_owned(),
            role: "analyst".to_owned(),
            surface: "sql",
            client: "127.0.0.1".to_owned(),
            action: action.to_owned(),
            reason: None,
            rows: 1,
            elapsed: Duration::ZERO,
            outcome: Ok(()),
        }
    }

    async fn lake(folder: &std::path::Path) -> Arc<Lake> {
        let root = format!("file://{}/", folder.display());
        Lake::open(LakeConfig::at(root.parse().unwrap())).await.unwrap()
    }

    async fn actions(lake: &Arc<Lake>) -> BTreeSet<String> {
        let context = SessionContext::new();
        context.register_table("audit", lake.audit_table()).unwrap();
        let sql = "select arrow_cast(action, 'Utf8') as action from audit";
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let texts = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
        texts.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn entries_are_in_the_lake_within_seconds_and_the_last_ones_at_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake(folder.path()).await;
        let contract = Arc::new(Contract::new(Vec::new()).unwrap());
        let (log, writer) = AuditLog::new(lake.clone(), contract);
        let (stop, stopped) = oneshot::channel::<()>();
        let writing = tokio::spawn(writer.run(async {
            let _ = stopped.await;
        }));
        log.record(entry("first")).await.unwrap();
        let written = async {
            while actions(&lake).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
        let permit = log.permit().unwrap();
        log.record(entry("second")).await.unwrap();
        permit.record(entry("third"));
        stop.send(()).unwrap();
        writing.await.unwrap();
        let wanted = ["first", "second", "third"].map(str::to_owned);
        assert_eq!(actions(&lake).await, BTreeSet::from(wanted));
        assert_eq!(log.record(entry("late")).await, Err(AuditError::Closed));
    }

    #[tokio::test]
    async fn a_log_that_cannot_take_more_says_so_before_anything_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let contract = Arc::new(Contract::new(Vec::new()).unwrap());
        let (log, _nobody_writes) = AuditLog::new(lake(folder.path()).await, contract);
        for _ in 1..QUEUE {
            log.record(entry("one of many")).await.unwrap();
        }
        let last = log.permit().unwrap();
        assert_eq!(log.permit().unwrap_err(), AuditError::Full);
        drop(last);
        assert!(log.permit().is_ok(), "a place that was not used is free again");
    }
}
