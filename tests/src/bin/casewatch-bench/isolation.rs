//! What heavy statements of twenty connections do to scrapes and to freshness: both are measured in turns without and with
//! them, in one instance that goes on reading 1,000 changes a second.

use casewatch_tests::Casewatch;

use crate::Figure;
use crate::askers::{Askers, Door};
use crate::process::peak_mebibytes;
use crate::stream::{Probed, Stream};

const RATE: u64 = 1_000;
/// In each phase of a run.
const PROBES: u64 = 100;
const CONNECTIONS: usize = 20;

/// The two phases of a run.
struct Run {
    alone: Probed,
    beside: Probed,
    answered: usize,
    failed: usize,
}

pub fn measure(runs: usize) -> Vec<Figure> {
    let stream = Stream::start();
    let mut config = stream.config();
    let door = Door::open(&mut config);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    stream.wait_until_shown(&mut casewatch);
    let all: Vec<Run> = (1..=runs)
        .map(|number| {
            let alone = stream.probe(&casewatch, RATE, PROBES);
            let askers = Askers::start(&door, CONNECTIONS, config.folder.path());
            let beside = stream.probe(&casewatch, RATE, PROBES);
            let asked = askers.stop();
            if let Some(failure) = asked.failures.first() {
                println!(
                    "isolation {number}: of {} failures the first: {failure}",
                    asked.failures.len()
                );
            }
            let run = Run {
                alone,
                beside,
                answered: asked.answered,
                failed: asked.failures.len(),
            };
            println!("isolation {number}: {}", run.told());
            run
        })
        .collect();
    figures(&all, peak_mebibytes(casewatch.pid()))
}

impl Run {
    fn told(&self) -> String {
        let p99 = |probed: &Probed| (probed.scrapes.at(0.99) * 1_000.0, probed.freshness.at(0.99) * 1_000.0);
        let ((scrape, fresh), (scrape_beside, fresh_beside)) = (p99(&self.alone), p99(&self.beside));
        format!(
            "p99 of {} and {} scrapes {scrape:.1} -> {scrape_beside:.1} ms, freshness {fresh:.0} -> {fresh_beside:.0} ms, \
             {} statements answered",
            self.alone.scrapes.count(),
            self.beside.scrapes.count(),
            self.answered
        )
    }
}

fn figures(runs: &[Run], peak: f64) -> Vec<Figure> {
    let mut figures = Vec::new();
    type Of = fn(&Probed, f64) -> f64;
    let measures: [(&str, Of); 2] = [
        ("scrape", |probed, share| probed.scrapes.at(share)),
        ("freshness", |probed, share| probed.freshness.at(share)),
    ];
    for (name, of) in measures {
        for (percentile, share, aim) in [("p50", 0.5, ""), ("p99", 0.99, "2")] {
            let each = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
            let what = format!("isolation: {name} {percentile}");
            let alone = each(&|run| of(&run.alone, share) * 1_000.0);
            let beside = each(&|run| of(&run.beside, share) * 1_000.0);
            let ratio = each(&|run| of(&run.beside, share) / of(&run.alone, share));
            figures.push(Figure::new(format!("{what} without statements"), alone, "ms", ""));
            figures.push(Figure::new(
                format!("{what} beside {CONNECTIONS} connections"),
                beside,
                "ms",
                "",
            ));
            figures.push(Figure::new(format!("{what}, beside over without"), ratio, "ratio", aim));
        }
    }
    let counted = |count: fn(&Run) -> usize| runs.iter().map(|run| count(run) as f64).collect();
    figures.extend([
        Figure::new(
            "isolation: heavy statements answered meanwhile",
            counted(|run| run.answered),
            "statements",
            "",
        ),
        Figure::new(
            "isolation: heavy statements failed",
            counted(|run| run.failed),
            "statements",
            "0",
        ),
        Figure::new("isolation: peak memory", vec![peak], "MiB", ""),
    ]);
    figures
}
