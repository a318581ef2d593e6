//! `casewatch simulate`: a synthetic authority's change events, to any Kafka or to files.

use std::fmt::Write;
use std::sync::Arc;

use casewatch_simulator::{
    FileKind, FilesTarget, KafkaTarget, Pace, Progress, PublishedFigures, Scenario, SimulateOptions, Summary, Target,
    WireFormat, simulate,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{self, SimulateArgs, Speed};
use crate::failure::Failure;
use crate::signals::stop_on_signal;

/// # Errors
/// A scenario, a file of figures or a registry that is refused, a broker that cannot be reached, a folder that cannot be written.
pub async fn run(args: SimulateArgs) -> Result<(), Failure> {
    let stop = stop_on_signal();
    let options = options(args)?;
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid");
    let bar = ProgressBar::new_spinner().with_style(style);
    let summary = tokio::task::spawn_blocking(move || {
        let outcome = simulate(options, &mut |now| bar.set_message(line_of(&now)), &stop);
        bar.finish_and_clear();
        outcome
    })
    .await
    .map_err(Failure::failed)?
    .map_err(Failure::failed)?;
    print!("{}", text_of(&summary));
    Ok(())
}

fn options(args: SimulateArgs) -> Result<SimulateOptions, Failure> {
    let scenario = match &args.from_csv {
        Some(path) => Scenario::Published(Arc::new(PublishedFigures::read(path).map_err(Failure::usage)?)),
        None => Scenario::named(&args.scenario, args.authorities, args.scale).map_err(Failure::usage)?,
    };
    let target = match (args.brokers, args.files) {
        (Some(brokers), _) => Target::Kafka(KafkaTarget {
            partitions: args.new_topics.partitions,
            ..KafkaTarget::new(&brokers)
        }),
        (None, Some(folder)) => {
            let kind = if args.extract {
                FileKind::Extract
            } else {
                FileKind::JsonLines
            };
            Target::Files(FilesTarget { folder, kind })
        }
        (None, None) => return Err(Failure::usage("name --brokers or --files")),
    };
    Ok(SimulateOptions {
        seed: args.seed,
        from: args.from,
        until: args.until,
        pace: pace_of(args.speed),
        format: wire_format(args.format),
        topic_prefix: args.topic_prefix,
        schemas: args.schemas,
        registry: args.registry,
        ..SimulateOptions::new(scenario, target)
    })
}

fn wire_format(format: cli::WireFormat) -> WireFormat {
    match format {
        cli::WireFormat::DebeziumJson => WireFormat::DebeziumJson,
        cli::WireFormat::DebeziumJsonSchema => WireFormat::DebeziumJsonSchema,
        cli::WireFormat::DebeziumAvro => WireFormat::DebeziumAvro,
        cli::WireFormat::FlatJson => WireFormat::FlatJson,
        cli::WireFormat::FlatAvro => WireFormat::FlatAvro,
    }
}

pub fn pace_of(speed: Speed) -> Pace {
    match speed {
        Speed::DaysPerSecond(days) => Pace::days(days),
        Speed::Max => Pace::Max,
    }
}

/// Where a run is, on one line.
pub fn line_of(now: &Progress) -> String {
    let day = now
        .day
        .map_or("initial snapshot".to_owned(), |day| day.format("%-d %b %Y").to_string());
    format!("{day}, {} events sent", now.events)
}

/// What a run sent, for people.
pub fn text_of(summary: &Summary) -> String {
    let mut text = String::new();
    let seconds = summary.elapsed.as_secs_f64();
    let last = summary
        .last_day
        .map_or("the snapshot".to_owned(), |day| day.to_string());
    let ended = if summary.cancelled { "cancelled after" } else { "up to" };
    let _ = writeln!(text, "{} events sent in {seconds:.1} s, {ended} {last}", summary.events);
    for (table, events) in &summary.by_table {
        let _ = writeln!(text, "  {table:<14}{events:>9}");
    }
    text
}
