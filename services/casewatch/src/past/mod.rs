//! `casewatch metrics` and `casewatch backfill`: metrics at moments of the past, straight over a lake.
//!
//! A range folds history once, forwards, and runs the prepared catalogue over each step; a single moment is a range of
//! one step.

mod moments;
mod output;
pub mod shelf;
mod walk;

use std::collections::VecDeque;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use casewatch_contract::RecordedAt;
use casewatch_metrics::Reading;
use indicatif::ProgressBar;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use crate::cli::{BackfillArgs, MetricsArgs, MetricsFormat, PastArgs};
use crate::failure::Failure;
use crate::progress;
use crate::signals::stop_on_signal;

use moments::range;
pub use moments::{Day, Moment, Step};
use output::Output;
use shelf::Shelf;
pub use walk::{Seen, Walk, chosen, evaluate_with, load_over};

/// Prometheus keeps its newest hours to itself: blocks that overlap them are refused or lost.
const YOUNGEST_BLOCK_US: i64 = 3 * 3_600 * 1_000_000;

/// Shows metrics at a moment, or at each step of a range.
///
/// # Errors
/// What cannot be opened or read; a query that failed, after everything else was shown.
pub async fn metrics(args: MetricsArgs) -> Result<(), Failure> {
    let moments = match (&args.as_of, args.from, args.to) {
        (Some(as_of), ..) => vec![Moment::parse("--as-of", as_of)?],
        (None, Some(from), Some(to)) if args.publish => range(from, to, published_step(args.step)?)?,
        (None, Some(from), Some(to)) => range(from, to, args.step)?,
        _ => return Err(Failure::usage("name --as-of, or --from and --to")),
    };
    let mut walk = Walk::open(&args.past).await?;
    tell_assumption(args.past.assume_known);
    if args.publish {
        walk = walk.for_publication();
        tell_publication(moments.len());
    }
    let out = BufWriter::new(std::io::stdout());
    let mut output = Output::new(args.format, out, walk.definitions(), args.past.assume_known)?;
    let bar = progress::of_steps(moments.len());
    let write = async |seen| bar.suspend(|| output.write(&seen));
    let failures = go_through(&mut walk, moments, &bar, write).await?;
    output.finish()?;
    failures.result()
}

/// Writes metrics at each step of a range: to a file for Prometheus, or to `metrics.samples` of the lake.
///
/// # Errors
/// What cannot be opened, read or written; a query that failed, after everything else was written.
pub async fn backfill(args: BackfillArgs) -> Result<(), Failure> {
    let moments = range(args.from, args.to, args.step)?;
    match args.openmetrics {
        Some(file) => backfill_file(&args.past, moments, &file).await,
        None => backfill_lake(&args.past, moments).await,
    }
}

async fn backfill_file(past: &PastArgs, mut moments: Vec<Moment>, path: &Path) -> Result<(), Failure> {
    let youngest = RecordedAt(RecordedAt::now().0 - YOUNGEST_BLOCK_US);
    let asked = moments.len();
    moments.retain(|moment| moment.at.0 <= youngest);
    if moments.is_empty() {
        return Err(Failure::usage(
            "every moment of the range is younger than three hours, which Prometheus keeps to itself\nhint: choose an earlier --to",
        ));
    }
    if moments.len() < asked {
        eprintln!(
            "note: {} of {asked} moments are left out: they are younger than three hours",
            asked - moments.len()
        );
    }
    let file = new_file(path)?;
    let mut walk = Walk::open(past).await?;
    tell_assumption(past.assume_known);
    let (first, steps) = (moments[0].text.clone(), moments.len());
    let out = BufWriter::new(file.as_file());
    let format = MetricsFormat::Openmetrics;
    let mut output = Output::new(format, out, walk.definitions(), past.assume_known)?;
    let bar = progress::of_steps(steps);
    let failures = go_through(&mut walk, moments, &bar, async |seen| output.write(&seen)).await?;
    let written = output.finish()?;
    let place = path.display();
    file.persist(path)
        .map_err(|error| Failure::failed(format!("{place}: {}", error.error)))?;
    println!(
        "{place}: {} samples of {} series at {steps} moments from {first}\n\
         next: promtool tsdb create-blocks-from openmetrics --max-block-duration=720h {place} PROMETHEUS_DATA_FOLDER",
        written.samples, written.series
    );
    failures.result()
}

async fn backfill_lake(past: &PastArgs, mut moments: Vec<Moment>) -> Result<(), Failure> {
    if past.assume_known {
        return Err(Failure::usage(
            "--assume-known is for what is shown or given to Prometheus: `metrics.samples` holds nothing that rests on an \
             assumption\nhint: leave it out, or name a file with --openmetrics",
        ));
    }
    let mut walk = Walk::open(past).await?;
    let (asked, ends_at) = (moments.len(), walk.lake_ends_at());
    // What is recorded before the end of such a day may still come.
    moments.retain(|moment| moment.at <= ends_at);
    if moments.len() < asked {
        eprintln!(
            "note: {} of {asked} moments are left out: the lake holds nothing recorded after them, so that they may \
             still change",
            asked - moments.len()
        );
    }
    let mut shelf = Shelf::new(walk.lake());
    let bar = progress::of_steps(moments.len());
    let put = async |seen: Seen| {
        let known_at = seen.known_at.at.min(ends_at);
        shelf.put(seen.as_of.at.0, known_at.0, &seen.metrics).await
    };
    let steps = moments.len();
    let failures = go_through(&mut walk, moments, &bar, put).await?;
    let kept = shelf.finish().await?;
    println!("metrics.samples: {kept} new samples of {steps} moments");
    failures.result()
}

/// A file beside the one to write, which takes its name when it is whole.
fn new_file(path: &Path) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = tempfile::Builder::new()
        .prefix(".backfill-")
        // As any new file: the umask takes from it.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")));
    made.map_err(|error| {
        Failure::usage(format!(
            "--openmetrics: {} cannot be written: {error}\nhint: name a file in a folder that is there",
            path.display()
        ))
    })
}

fn tell_assumption(assume_known: bool) {
    if assume_known {
        eprintln!(
            "note: rows of first snapshots count as always known (--assume-known); assumed_known says where a number \
             rests on that"
        );
    }
}

/// What changed from one day to the next may be one child's case: what is published is months apart.
fn published_step(step: Step) -> Result<Step, Failure> {
    match step {
        Step::Months(_) => Ok(step),
        Step::Days(_) => Err(Failure::usage(
            "--publish shows moments that are months apart: what changed in days may be one child's case\n\
             hint: --step 1month",
        )),
    }
}

fn tell_publication(moments: usize) {
    if moments > 1 {
        eprintln!(
            "note: each moment is judged by itself; what changed from one to the next can be worked out where both are shown"
        );
    }
}

/// Goes from moment to moment, and hands over what was seen at each.
///
/// # Errors
/// A lake that cannot be read, an interruption, and what `take` fails with. Queries that fail are counted instead.
pub async fn go_through(
    walk: &mut Walk,
    moments: Vec<Moment>,
    bar: &ProgressBar,
    mut take: impl AsyncFnMut(Seen) -> Result<(), Failure>,
) -> Result<Failures, Failure> {
    if let Some(last) = moments.last()
        && last.at > walk.lake_ends_at()
    {
        let ends_at = walk.lake_ends_at().0;
        eprintln!("note: nothing in the lake was recorded after {ends_at}; later numbers rest on what was known then");
    }
    let stop = stop_on_signal();
    let mut failures = Failures::default();
    let mut making = VecDeque::new();
    for moment in moments {
        let text = moment.text.clone();
        bar.set_message(text.clone());
        making.push_back(unless_stopped(&stop, &text, walk.set_out(moment)).await??);
        if making.len() > walk.moments_ahead()
            && let Some(first) = making.pop_front()
        {
            let seen = unless_stopped(&stop, &text, first).await?;
            failures.note(&seen);
            take(seen).await?;
            bar.inc(1);
        }
    }
    for last in making {
        let seen = unless_stopped(&stop, "the last", last).await?;
        failures.note(&seen);
        take(seen).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(failures)
}

/// # Errors
/// An interruption. Ending by an error removes files that are not whole.
async fn unless_stopped<T>(stop: &CancellationToken, what: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        () = stop.cancelled() => Err(Failure::failed(format!("interrupted before {what} was done"))),
        done = work => Ok(done),
    }
}

/// Queries that failed, as told at the end.
#[derive(Default)]
pub struct Failures {
    count: u64,
    first: Option<String>,
}

impl Failures {
    fn note(&mut self, seen: &Seen) {
        for evaluated in &seen.metrics {
            if let Reading::Failed(error) = &evaluated.reading {
                self.count += 1;
                let name = &evaluated.definition.name.name;
                self.first
                    .get_or_insert_with(|| format!("{name} at {}: {error}", seen.as_of.text));
            }
        }
    }

    /// # Errors
    /// Any query that failed.
    pub fn result(self) -> Result<(), Failure> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(Failure::failed(format!(
                "{} evaluations failed, the first: {first}\nhint: every other number stands",
                self.count
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_are_published_are_months_apart() {
        let [day, weeks, month] = ["1d", "5w", "1month"].map(|step| published_step(step.parse().unwrap()));
        assert!(day.unwrap_err().message.ends_with("hint: --step 1month"));
        assert!(weeks.is_err());
        assert_eq!(month.unwrap(), Step::Months(1));
    }
}
