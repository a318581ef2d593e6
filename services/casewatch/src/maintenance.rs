//! The role that keeps the lake small and quick: compaction, checkpoints, clean-up; and that publishes the present for
//! other engines, where that is asked for. One a lake is enough; a second does no harm.

use std::sync::Arc;
use std::time::Instant;

use casewatch_lake::AcceptedGaps;
use casewatch_lake::maintain::{self, MaintainOptions, Maintained};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::opened::Opened;
use crate::publication;

#[derive(Clone)]
pub struct Metrics {
    done: IntCounterVec,
    gaps: IntGaugeVec,
    gap_offsets: IntGaugeVec,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Panics
    /// Never, on a registry that has none of these names yet.
    pub fn new(registry: &Registry) -> Self {
        let options = Opts::new(
            "casewatch_maintenance_total",
            "What maintenance of the lake did, by kind.",
        );
        let done = IntCounterVec::new(options, &["kind"]).expect("the name and labels are valid");
        registry
            .register(Box::new(done.clone()))
            .expect("each name is registered once");
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["table", "topic"]);
            let gauge = gauge.expect("the name and labels are valid");
            registry
                .register(Box::new(gauge.clone()))
                .expect("each name is registered once");
            gauge
        };
        Self {
            done,
            gaps: gauge(
                "casewatch_gaps_accepted",
                "Ranges of a topic that an operator gave up, ever.",
            ),
            gap_offsets: gauge(
                "casewatch_gap_offsets",
                "Offsets in the ranges that an operator gave up, ever.",
            ),
        }
    }

    fn tell_gaps(&self, accepted: &[AcceptedGaps]) {
        for of in accepted {
            let labels = [of.table.as_str(), of.topic.as_str()];
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.gaps.with_label_values(&labels).set(number(of.gaps));
            self.gap_offsets.with_label_values(&labels).set(number(of.offsets));
        }
    }

    fn count(&self, done: Maintained) {
        let kinds = [
            ("files_merged", done.files_merged),
            ("files_written", done.files_written),
            ("checkpoints", done.checkpoints),
            ("commits_cleaned", done.commits_cleaned),
            ("files_deleted", done.files_deleted),
            ("dead_letters_expired", done.dead_letters_expired),
            ("samples_expired", done.samples_expired),
            ("audit_expired", done.audit_expired),
        ];
        for (kind, count) in kinds {
            self.done.with_label_values(&[kind]).inc_by(count);
        }
    }
}

fn options(opened: &Opened) -> MaintainOptions {
    MaintainOptions {
        keep_audit_days: opened.config.access.audit_days,
        ..MaintainOptions::default()
    }
}

/// One round an interval until `stop`. A round that fails is tried again at the next: nothing depends on it soon.
///
/// # Errors
/// Never by itself.
pub async fn run(opened: Arc<Opened>, metrics: Metrics, stop: CancellationToken) -> Result<(), Failure> {
    let options = options(&opened);
    let mut rounds = tokio::time::interval(opened.config.maintenance.interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let every = opened.config.maintenance.publish_current;
    let mut publish_at = every.map(|_| Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = rounds.tick() => {}
        }
        let publish = publish_at.is_some_and(|at| at <= Instant::now());
        if let (true, Some(every)) = (publish, every) {
            publish_at = Some(Instant::now() + every);
        }
        // On a thread of its own: merging files computes for seconds, and ingestion's threads must not wait for it.
        let (opened, options, here) = (opened.clone(), options.clone(), Handle::current());
        let round = tokio::task::spawn_blocking(move || {
            here.block_on(async {
                let done = maintain::run(&opened.lake, &opened.contract, &options).await;
                let published = match publish {
                    true => publication::publish(&opened).await,
                    false => Ok(0),
                };
                let done = done.map_err(|error| error.to_string())?;
                let gaps = opened.lake.accepted_gaps().await.map_err(|error| error.to_string())?;
                Ok::<_, String>((done, gaps, published.map_err(|failure| failure.message)?))
            })
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            done = round => match done.map_err(Failure::failed)? {
                Ok((done, gaps, published)) => {
                    metrics.count(done);
                    metrics.tell_gaps(&gaps);
                    metrics.done.with_label_values(&["tables_published"]).inc_by(published);
                    tracing::debug!(?done, published, "maintenance round");
                }
                Err(error) => tracing::warn!("maintenance will try again: {error}"),
            },
        }
    }
}

/// `casewatch maintain`: one round, now.
///
/// # Errors
/// The first error of the round.
pub async fn once(opened: &Opened) -> Result<(), Failure> {
    let options = options(opened);
    let done = maintain::run(&opened.lake, &opened.contract, &options)
        .await
        .map_err(Failure::failed)?;
    println!("{} files merged into {}", done.files_merged, done.files_written);
    println!(
        "{} checkpoints, {} commits cleaned, {} files deleted",
        done.checkpoints, done.commits_cleaned, done.files_deleted
    );
    println!("{} dead letters expired", done.dead_letters_expired);
    if opened.config.maintenance.publish_current.is_some() {
        println!(
            "{} tables published below current/",
            publication::publish(opened).await?
        );
    }
    Ok(())
}
