//! `casewatch metrics` and `casewatch backfill`: metrics at moments of the past, straight over a lake.
//!
//! A range folds history once, forwards, and runs the prepared catalogue over each step; a single moment is a range of
//! one step.

mod moments;
mod output;
mod walk;

use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use casewatch_contract::RecordedAt;
use casewatch_metrics::Reading;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use crate::cli::{BackfillArgs, MetricsArgs, MetricsFormat};
use crate::failure::Failure;
use crate::signals::stop_on_signal;

pub use moments::{Day, Step};
use moments::{Moment, range};
use output::Output;
use walk::{Seen, Walk};

/// Prometheus keeps its newest hours to itself: blocks that overlap them are refused or lost.
const YOUNGEST_BLOCK_US: i64 = 3 * 3_600 * 1_000_000;

/// Shows metrics at a moment, or at each step of a range.
///
/// # Errors
/// What cannot be opened or read; a query that failed, after everything else was shown.
pub async fn metrics(args: MetricsArgs) -> Result<(), Failure> {
    let moments = match (&args.as_of, args.from, args.to) {
        (Some(as_of), ..) => vec![Moment::parse("--as-of", as_of)?],
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
    let failures = go_through(&mut walk, moments, &mut output).await?;
    output.finish()?;
    failures.result()
}

/// Writes metrics at each step of a range for Prometheus.
///
/// # Errors
/// What cannot be opened, read or written; a query that failed, after everything else was written.
pub async fn backfill(args: BackfillArgs) -> Result<(), Failure> {
    let mut moments = range(args.from, args.to, args.step)?;
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
    let file = new_file(&args.openmetrics)?;
    let mut walk = Walk::open(&args.past).await?;
    tell_assumption(args.past.assume_known);
    let (first, steps) = (moments[0].text.clone(), moments.len());
    let out = BufWriter::new(file.as_file());
    let mut output = Output::new(
        MetricsFormat::Openmetrics,
        out,
        walk.definitions(),
        args.past.assume_known,
    )?;
    let failures = go_through(&mut walk, moments, &mut output).await?;
    let written = output.finish()?;
    let place = args.openmetrics.display();
    file.persist(&args.openmetrics)
        .map_err(|error| Failure::failed(format!("{place}: {}", error.error)))?;
    println!(
        "{place}: {} samples of {} series at {steps} moments from {first}\n\
         next: promtool tsdb create-blocks-from openmetrics --max-block-duration=720h {place} PROMETHEUS_DATA_FOLDER",
        written.samples, written.series
    );
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

fn tell_publication(moments: usize) {
    if moments > 1 {
        eprintln!(
            "note: each moment is judged by itself; what changed from one to the next can be worked out where both are shown"
        );
    }
}

async fn go_through<W: Write>(
    walk: &mut Walk,
    moments: Vec<Moment>,
    output: &mut Output<W>,
) -> Result<Failures, Failure> {
    if let Some(last) = moments.last()
        && last.at > walk.lake_ends_at()
    {
        let ends_at = walk.lake_ends_at().0;
        eprintln!("note: nothing in the lake was recorded after {ends_at}; later numbers rest on what was known then");
    }
    let stop = stop_on_signal();
    let bar = progress(moments.len());
    let mut failures = Failures::default();
    for moment in moments {
        bar.set_message(moment.text.clone());
        let interrupted = format!("interrupted before {} was done", moment.text);
        // Ending by an error removes files that are not whole.
        let seen = tokio::select! {
            () = stop.cancelled() => return Err(Failure::failed(interrupted)),
            seen = walk.go_to(moment) => seen?,
        };
        failures.note(&seen);
        bar.suspend(|| output.write(&seen))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(failures)
}

/// Shown where standard error is a terminal, and only for what takes more than one step.
fn progress(steps: usize) -> ProgressBar {
    if steps < 2 {
        return ProgressBar::hidden();
    }
    let template = "{msg} [{bar:30}] {pos} of {len}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "))
}

/// Queries that failed, as told at the end.
#[derive(Default)]
struct Failures {
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

    fn result(self) -> Result<(), Failure> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(Failure::failed(format!(
                "{} evaluations failed, the first: {first}\nhint: every other number stands",
                self.count
            ))),
        }
    }
}
