//! From the producer's acknowledgement of a new case to the changed sample in `/metrics`, polled every 10 ms, while
//! other changes of an authority of 5,000 open cases arrive at a steady rate.

use casewatch_tests::Casewatch;

use crate::Figure;
use crate::stream::Stream;

const PROBES: u64 = 200;

pub fn measure() -> Vec<Figure> {
    let stream = Stream::start();
    let config = stream.config();
    let mut casewatch = Casewatch::spawn(&config, &[]);
    stream.wait_until_shown(&mut casewatch);
    let mut figures = Vec::new();
    for (rate, aim) in [(100, ""), (1_000, "0.5"), (10_000, "1")] {
        let probed = stream.probe(&casewatch, rate, PROBES);
        println!(
            "freshness at {rate} events a second: {PROBES} probes, worst {:.3} s",
            probed.freshness.at(1.0)
        );
        for (name, share, aim) in [("p50", 0.5, ""), ("p99", 0.99, aim)] {
            let what = format!("freshness {name} at {rate} events a second, {PROBES} probes");
            figures.push(Figure::new(what, vec![probed.freshness.at(share)], "s", aim));
        }
    }
    figures
}
