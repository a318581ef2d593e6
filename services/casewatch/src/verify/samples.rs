//! Each metric twice: over the tables as the live engine folds them, and over those that plain SQL gives.

use std::collections::{BTreeMap, BTreeSet};

use casewatch_metrics::{Evaluated, Reading};

use super::report::Finding;

/// The same numbers, added in another order, may differ so much of their size.
const ROUNDING: f64 = 1e-9;

/// How many metrics and samples were found equal, and which metrics have no value on either side, by reason.
#[derive(Debug, Default)]
pub struct Compared {
    pub metrics: u64,
    pub samples: u64,
    pub without_value: BTreeMap<String, BTreeSet<String>>,
    pub findings: Vec<Finding>,
}

/// A series, as it is exposed: a histogram is several.
type Series = (String, Vec<(String, String)>);

impl Compared {
    /// Compares what one metric gives over either.
    pub fn take(&mut self, fold: &Evaluated, plain: &Evaluated) {
        let name = fold.definition.name.name.as_str();
        match (series(&fold.reading), series(&plain.reading)) {
            (Ok(fold), Ok(plain)) => self.series(name, &fold, &plain),
            (Err(Without::Value(reason)), Err(Without::Value(other))) if reason == other => {
                self.without_value.entry(reason).or_default().insert(name.to_owned());
            }
            (fold, plain) => {
                let told = |side: Result<BTreeMap<Series, f64>, Without>| match side {
                    Ok(samples) => format!("{} samples", samples.len()),
                    Err(Without::Value(reason)) => format!("unknown: {reason}"),
                    Err(Without::End(error)) => format!("failed: {error}"),
                };
                self.differs(name, Vec::new(), told(fold), told(plain));
            }
        }
    }

    fn series(&mut self, metric: &str, fold: &BTreeMap<Series, f64>, plain: &BTreeMap<Series, f64>) {
        self.metrics += 1;
        let all: BTreeSet<&Series> = fold.keys().chain(plain.keys()).collect();
        for series in all {
            let (in_fold, in_plain) = (fold.get(series).copied(), plain.get(series).copied());
            if let (Some(in_fold), Some(in_plain)) = (in_fold, in_plain)
                && is_same(in_fold, in_plain)
            {
                self.samples += 1;
                continue;
            }
            let told = |number: Option<f64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
            let (name, labels) = series;
            let name = if name.is_empty() { metric } else { name };
            self.differs(name, labels.clone(), told(in_fold), told(in_plain));
        }
    }

    fn differs(&mut self, metric: &str, labels: Vec<(String, String)>, fold: String, plain: String) {
        self.findings.push(Finding::Metric {
            metric: metric.to_owned(),
            labels: labels.into_iter().collect(),
            fold,
            plain,
        });
    }
}

enum Without {
    /// It has no value, and why.
    Value(String),
    /// Its query ended with this error.
    End(String),
}

fn series(reading: &Reading) -> Result<BTreeMap<Series, f64>, Without> {
    match reading {
        Reading::Samples(set) => {
            let points = set.points().into_iter();
            Ok(points.map(|point| ((point.name, point.labels), point.value)).collect())
        }
        Reading::NoSeries => Ok(BTreeMap::new()),
        Reading::Unknown(reason) => Err(Without::Value(reason.clone())),
        Reading::Failed(error) => Err(Without::End(error.clone())),
        Reading::Published(_) | Reading::Withheld(_) => unreachable!("what is proved is not published"),
    }
}

fn is_same(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= ROUNDING * one.abs().max(other.abs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use casewatch_contract::RecordedAt;
    use casewatch_metrics::{MetricDefinition, Sample, SampleSet, SourceFile, Value};

    use super::*;

    const METRIC: &str = "-- name: casewatch_open
-- kind: gauge
-- help: Open.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: cases
-- source: DOMAIN
-- owner: performance team
select authority, cases from open
";

    fn evaluated(reading: impl FnOnce(Arc<MetricDefinition>) -> Reading) -> Evaluated {
        let mut faults = Vec::new();
        let parsed = MetricDefinition::parse(SourceFile::new("m.sql", METRIC), &mut faults);
        let definition = Arc::new(parsed.unwrap_or_else(|| panic!("{faults:?}")));
        Evaluated {
            definition: Arc::clone(&definition),
            reading: reading(definition),
            assumed: false,
        }
    }

    fn samples(of: &[(&str, f64)]) -> Evaluated {
        let sample = |(authority, value): &(&str, f64)| Sample {
            labels: vec![(*authority).to_owned()],
            value: Value::Number(*value),
        };
        evaluated(|definition| {
            Reading::Samples(Arc::new(SampleSet {
                definition,
                as_of: RecordedAt(0),
                samples: of.iter().map(sample).collect(),
                behind: Vec::new(),
            }))
        })
    }

    fn without(reading: Reading) -> Evaluated {
        evaluated(|_| reading)
    }

    fn compared(fold: &Evaluated, plain: &Evaluated) -> (u64, Vec<String>) {
        let mut compared = Compared::default();
        compared.take(fold, plain);
        let told = compared.findings.iter().map(|finding| match finding {
            Finding::Metric {
                metric,
                labels,
                fold,
                plain,
            } => format!("{metric} {labels:?} {fold} {plain}"),
            other => panic!("{other:?}"),
        });
        (compared.samples, told.collect())
    }

    #[test]
    fn samples_that_differ_by_value_or_are_of_one_side_are_told() {
        let fold = samples(&[("a", 551.0), ("b", 0.1 + 0.2), ("c", 3.0)]);
        let plain = samples(&[("a", 550.0), ("b", 0.3), ("d", 4.0)]);
        let (equal, told) = compared(&fold, &plain);
        assert_eq!(equal, 1, "the order of a sum is no difference");
        assert_eq!(
            told,
            [
                r#"casewatch_open {"authority": "a"} 551 550"#,
                r#"casewatch_open {"authority": "c"} 3 none"#,
                r#"casewatch_open {"authority": "d"} none 4"#,
            ]
        );
    }

    #[test]
    fn no_value_on_both_sides_for_one_reason_is_no_difference_and_an_error_always_is() {
        let unknown = || without(Reading::Unknown("never supplied".to_owned()));
        assert_eq!(compared(&unknown(), &unknown()), (0, vec![]));
        assert_eq!(compared(&without(Reading::NoSeries), &samples(&[])), (0, vec![]));
        let (_, told) = compared(&unknown(), &samples(&[("a", 1.0)]));
        assert_eq!(told, ["casewatch_open {} unknown: never supplied 1 samples"]);
        let failed = || without(Reading::Failed("division by zero".to_owned()));
        let (_, told) = compared(&failed(), &failed());
        assert_eq!(
            told,
            ["casewatch_open {} failed: division by zero failed: division by zero"]
        );
    }
}
