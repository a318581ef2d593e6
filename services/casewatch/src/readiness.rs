//! When a process is ready that evaluates no metrics: at once where it has no live tables, else as soon as these are read.

use std::sync::Arc;

use casewatch_live::Cut;
use casewatch_metrics::{Published, SampleStore, Status, why_not_ready};
use tokio::sync::watch;

use crate::system::VERSION;

/// Nothing has to be read first.
pub fn at_once(store: &SampleStore) {
    publish(store, Vec::new());
}

/// Ready while every partition was read as far as it reached at start, and the tables go on.
pub async fn follow(mut cuts: watch::Receiver<Arc<Cut>>, store: Arc<SampleStore>) {
    let mut told = None;
    loop {
        let reasons = why_not_ready(&cuts.borrow_and_update());
        if told.as_ref() != Some(&reasons) {
            publish(&store, reasons.clone());
            told = Some(reasons);
        }
        // Whatever moves the cuts ends the process by itself when it ends.
        if cuts.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn publish(store: &SampleStore, reasons: Vec<String>) {
    let status = Status {
        ready: reasons.is_empty(),
        catching_up: !reasons.is_empty(),
        reasons,
        version: VERSION.to_owned(),
        ..Status::default()
    };
    store.publish(Published::new(status, Vec::new()));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_process_without_metrics_is_ready_once_its_tables_are_read_and_while_they_go_on() {
        let store = SampleStore::new(VERSION);
        assert!(!store.current().status.ready, "not before anything was read");
        let cut = |caught_up, stopped: Option<&str>| {
            Arc::new(Cut {
                caught_up,
                stopped: stopped.map(str::to_owned),
                ..Cut::empty()
            })
        };
        let (sender, cuts) = watch::channel(cut(false, None));
        let following = tokio::spawn(follow(cuts, store.clone()));
        let told = async |ready: bool, why: &str| {
            let is_told = || {
                let status = &store.current().status;
                status.ready == ready && status.reasons.join("; ").contains(why)
            };
            let waiting = async {
                while !is_told() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let told = tokio::time::timeout(Duration::from_secs(10), waiting).await;
            assert!(told.is_ok(), "{why}: {:?}", store.current().status);
        };
        told(false, "catching up").await;
        sender.send_replace(cut(true, None));
        told(true, "").await;
        sender.send_replace(cut(true, Some("out of memory")));
        told(false, "out of memory").await;
        following.abort();
    }
}
