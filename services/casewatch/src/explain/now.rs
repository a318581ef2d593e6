//! What a metric is now: over a lake, or as a running instance has it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::record_batch::RecordBatch;
use casewatch_metrics::{Evaluated, Explanation, Reading};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use crate::cli::{ExplainArgs, OutputFormat, PastArgs};
use crate::failure::Failure;
use crate::past::{Moment, Walk};
use crate::sql::{Source, write_batches};

/// What the metric is now.
#[derive(Debug, Default, Serialize)]
pub struct Now {
    /// Where the numbers are from and of which moment.
    pub of: String,
    pub samples: Vec<Sample>,
    /// How an instance's query fares and when it last ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// Why there is no number, or why it may be another's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Now {
    /// # Errors
    /// A lake that cannot be read, or a moment that is none.
    pub async fn over_lake(lake: &str, args: &ExplainArgs, labels: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let past = PastArgs {
            names: vec![args.metric.clone()],
            lake: lake.to_owned(),
            known_at: None,
            assume_known: false,
            folders: args.folders.clone(),
        };
        let mut walk = Walk::open(&past).await?;
        let moment = match &args.as_of {
            Some(as_of) => Moment::parse("--as-of", as_of)?,
            None => Moment {
                text: walk.lake_ends_at().to_string(),
                at: walk.lake_ends_at(),
            },
        };
        let seen = walk.go_to(moment).await?;
        let mut now = Self {
            of: format!("{lake}, as of {}", seen.as_of.text),
            ..Self::default()
        };
        for evaluated in &seen.metrics {
            now.take(evaluated, labels);
        }
        Ok(now)
    }

    /// What a running instance says. That none answers is no error: the definition stands without it.
    pub async fn of_instance(url: &Url, explanation: &Explanation, labels: &BTreeMap<String, String>) -> Self {
        let mut now = Self {
            of: url.to_string(),
            ..Self::default()
        };
        match status(url).await {
            Err(error) => {
                now.notes.push(error);
                return now;
            }
            Ok(status) => now.follow(&status, explanation),
        }
        // What is not exported is not told either: while catching up, or without its tables, a number would mislead.
        match now.state.as_ref().and_then(|state| state["state"].as_str()) {
            Some("ok") => {}
            Some(other) => {
                now.notes.push(format!("no value: {other}"));
                return now;
            }
            None => return now,
        }
        let filter: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("\"{label}\" = '{}'", value.replace('\'', "''")))
            .collect();
        let filter = match filter.is_empty() {
            true => String::new(),
            false => format!(" where {}", filter.join(" and ")),
        };
        let statement = format!("select * from (\n{}\n) as metric{filter}", explanation.sql);
        match Source::at(url.clone()).query(&statement).await {
            Ok(rows) => match samples(&rows.batches, explanation) {
                Ok(samples) => now.samples = samples,
                Err(error) => now.notes.push(error.message),
            },
            Err(error) => now.notes.push(error.message),
        }
        now
    }

    fn take(&mut self, evaluated: &Evaluated, labels: &BTreeMap<String, String>) {
        match &evaluated.reading {
            Reading::Samples(set) => {
                for point in set.points() {
                    let of: BTreeMap<String, String> = point.labels.into_iter().collect();
                    if is_of(&of, labels) {
                        self.samples.push(Sample {
                            labels: of,
                            value: point.value,
                        });
                    }
                }
                if self.samples.is_empty() {
                    self.notes.push("no series has these labels".to_owned());
                }
            }
            Reading::NoSeries => self.notes.push("it has no series".to_owned()),
            Reading::Unknown(reason) => self.notes.push(format!("unknown: {reason}")),
            Reading::Failed(error) => self.notes.push(format!("failed: {error}")),
            Reading::Published(_) | Reading::Withheld(_) => {
                unreachable!("nothing is published here: an explanation is for the inside")
            }
        }
    }

    fn follow(&mut self, status: &Value, explanation: &Explanation) {
        if let Some(cut) = status["cut"].as_str() {
            write!(self.of, ", everything read up to {cut}").expect("a string takes text");
        }
        let queries = status["queries"].as_array().into_iter().flatten();
        let mut of_metric = queries.filter(|query| query["name"] == json!(explanation.metric));
        self.state = of_metric.next().cloned();
        if self.state.is_none() {
            self.notes.push("the instance has no metric of this name".to_owned());
        }
    }
}

fn is_of(series: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    labels
        .iter()
        .all(|(label, value)| series.get(label).is_some_and(|of| of == value))
}

async fn status(url: &Url) -> Result<Value, String> {
    let address = url.join("-/status").map_err(|error| error.to_string())?;
    let nothing = |error: reqwest::Error| {
        format!("no value: nothing answers at {address} ({error}); name an instance with --url, or a lake with --lake")
    };
    let response = reqwest::get(address.clone()).await.map_err(nothing)?;
    response.json().await.map_err(nothing)
}

/// The rows of the metric's own query as samples.
fn samples(batches: &[RecordBatch], explanation: &Explanation) -> Result<Vec<Sample>, Failure> {
    let mut text = Vec::new();
    write_batches(batches, OutputFormat::Json, &mut text)?;
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
    let mut samples = Vec::new();
    for line in lines {
        let line = line.map_err(Failure::failed)?;
        // A row without a number is no sample.
        let Some(value) = line[&explanation.value].as_f64() else {
            continue;
        };
        let label = |name: &String| line[name].as_str().unwrap_or_default().to_owned();
        let labels = explanation.labels.iter().map(|name| (name.clone(), label(name)));
        samples.push(Sample {
            labels: labels.collect(),
            value,
        });
    }
    samples.sort_by(|one, other| one.labels.cmp(&other.labels));
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::super::tests::explanation;
    use super::*;

    fn rows(json: &[Value]) -> Vec<RecordBatch> {
        let text = |name: &str| -> ArrayRef {
            let values = json.iter().map(|row| row[name].as_str());
            Arc::new(values.collect::<StringArray>())
        };
        let numbers = json.iter().map(|row| row["n"].as_f64());
        let numbers: ArrayRef = Arc::new(numbers.collect::<Float64Array>());
        let columns = [("authority", text("authority")), ("team", text("team")), ("n", numbers)];
        vec![RecordBatch::try_from_iter(columns).unwrap()]
    }

    #[test]
    fn rows_are_samples_by_their_labels_and_one_without_a_number_is_none() {
        let given = [
            json!({"authority": "south", "team": "t", "n": 0.0}),
            json!({"authority": "north", "n": 2.5}),
            json!({"authority": "west"}),
        ];
        let found = samples(&rows(&given), &explanation()).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|sample| (sample.labels["authority"].as_str(), sample.value))
            .collect();
        assert_eq!(told, [("north", 2.5), ("south", 0.0)]);
        assert_eq!(found[0].labels["team"], "", "a null label is the empty one");
    }
}
