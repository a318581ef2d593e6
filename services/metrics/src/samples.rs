//! One query's result as samples: immutable, whole, and checked as a set. Two rows with one label set, or more series
//! than the budget, refuse the whole set; the caller keeps the last good one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use casewatch_contract::RecordedAt;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::definition::{Kind, MetricDefinition};
use crate::encode::each_line;

/// Why a result is no sample set. Only this query is affected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SampleError {
    #[error("the result has no column \"{0}\"")]
    MissingColumn(String),
    #[error("column \"{column}\" is {found}, expected {expected}")]
    WrongType {
        column: String,
        found: String,
        expected: &'static str,
    },
    #[error("two rows have the labels {0}: group by every label")]
    DuplicateLabels(String),
    #[error("{series} series are more than max_series {budget}")]
    OverBudget { series: usize, budget: usize },
}

/// A label set and its number. Label values stand in the order of the definition's labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    /// Cumulative counts of each bound of the definition, the number of observations, and their sum.
    Distribution {
        cumulative: Vec<u64>,
        count: u64,
        sum: f64,
    },
}

impl Value {
    /// The number that tests compare: of a distribution, how many observations it holds.
    pub fn as_number(&self) -> f64 {
        match self {
            Value::Number(number) => *number,
            Value::Distribution { count, .. } => *count as f64,
        }
    }
}

/// A sample as it is exposed, by name: a histogram is several.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// Every sample of one metric at one moment, sorted by labels. Never changed, only replaced.
#[derive(Debug)]
pub struct SampleSet {
    pub definition: Arc<MetricDefinition>,
    pub as_of: RecordedAt,
    pub samples: Vec<Sample>,
    /// The numbers behind each sample that its publication is judged by, as [`Publication::columns`] names them, none
    /// where they are null. Empty where it names none.
    ///
    /// [`Publication::columns`]: crate::definition::Publication::columns
    pub behind: Vec<Vec<Option<f64>>>,
}

impl SampleSet {
    /// Reads the label columns and the value column out of a result. A null or NaN value is no sample; a null label is
    /// the empty label.
    pub fn from_batches(
        definition: Arc<MetricDefinition>,
        as_of: RecordedAt,
        batches: &[RecordBatch],
    ) -> Result<Self, SampleError> {
        let mut rows: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
        let mut behind: BTreeMap<Vec<String>, Vec<Option<f64>>> = BTreeMap::new();
        for batch in batches {
            let labels = definition
                .label_names()
                .map(|name| text_column(batch, name))
                .collect::<Result<Vec<_>, _>>()?;
            let values = number_column(batch, &definition.value.name)?;
            let values = values.as_primitive::<Float64Type>();
            let judged = definition.publication.columns();
            let judged = judged
                .map(|column| number_column(batch, &column.name))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                if values.is_null(row) || values.value(row).is_nan() {
                    continue;
                }
                let label_set: Vec<String> = labels.iter().map(|column| text_at(column, row)).collect();
                if !judged.is_empty() {
                    let numbers = judged.iter().map(|column| number_at(column, row));
                    behind.insert(label_set.clone(), numbers.collect());
                }
                rows.entry(label_set).or_default().push(values.value(row));
            }
        }
        let samples = rows
            .into_iter()
            .map(|(labels, values)| sample(&definition, labels, &values))
            .collect::<Result<Vec<_>, _>>()?;
        let set = Self {
            definition,
            as_of,
            samples,
            behind: behind.into_values().collect(),
        };
        let (series, budget) = (set.series(), set.definition.max_series);
        if series > budget {
            return Err(SampleError::OverBudget { series, budget });
        }
        Ok(set)
    }

    /// How many time series the set is to Prometheus: a histogram is one a bucket, and sum and count.
    pub fn series(&self) -> usize {
        match self.definition.kind {
            Kind::Gauge | Kind::Counter => self.samples.len(),
            Kind::Histogram => self.samples.len() * (self.definition.buckets.len() + 3),
        }
    }

    /// The set in the form every encoder reads.
    pub fn family(&self) -> MetricFamily {
        let mut family = bare_family(&self.definition);
        family.set_metric(self.samples.iter().map(|sample| self.metric(sample)).collect());
        family
    }

    /// The set as it is exposed, in that order.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::with_capacity(self.samples.len());
        each_line(&self.family(), &mut |line| {
            let labels = line.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
            points.push(Point {
                name: line.name(),
                labels: labels.collect(),
                value: line.value,
            });
        });
        points
    }

    fn metric(&self, sample: &Sample) -> Metric {
        let pairs = self.definition.label_names().zip(&sample.labels);
        let mut metric = Metric::from_label(pairs.map(|(name, value)| label_pair(name, value)).collect());
        match &sample.value {
            Value::Number(number) if self.definition.kind == Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(*number);
                metric.set_counter(counter);
            }
            Value::Number(number) => metric.set_gauge(gauge(*number)),
            Value::Distribution { cumulative, count, sum } => {
                let bounds = self.definition.buckets.iter().zip(cumulative);
                let buckets = bounds.map(|(bound, below)| {
                    let mut bucket = Bucket::default();
                    bucket.set_upper_bound(*bound);
                    bucket.set_cumulative_count(*below);
                    bucket
                });
                let mut histogram = Histogram::default();
                histogram.set_bucket(buckets.collect());
                histogram.set_sample_count(*count);
                histogram.set_sample_sum(*sum);
                metric.set_histogram(histogram);
            }
        }
        metric
    }
}

/// A metric's family without a sample.
pub(crate) fn bare_family(definition: &MetricDefinition) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(definition.name.name.clone());
    family.set_help(definition.help.clone());
    family.set_field_type(match definition.kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family
}

pub(crate) fn label_pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(crate) fn gauge(value: f64) -> Gauge {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    gauge
}

/// `values` are the rows of one label set: one number, or the observations of a histogram.
fn sample(definition: &MetricDefinition, labels: Vec<String>, values: &[f64]) -> Result<Sample, SampleError> {
    let value = match (definition.kind, values) {
        (Kind::Histogram, _) => {
            let below = |bound: &f64| values.iter().filter(|value| *value <= bound).count() as u64;
            Value::Distribution {
                cumulative: definition.buckets.iter().map(below).collect(),
                count: values.len() as u64,
                sum: values.iter().sum(),
            }
        }
        (Kind::Gauge | Kind::Counter, [number]) => Value::Number(*number),
        (Kind::Gauge | Kind::Counter, _) => return Err(SampleError::DuplicateLabels(label_text(definition, &labels))),
    };
    Ok(Sample { labels, value })
}

fn label_text(definition: &MetricDefinition, labels: &[String]) -> String {
    let pairs = definition
        .label_names()
        .zip(labels)
        .map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Arc<dyn Array>, SampleError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| SampleError::MissingColumn(name.to_owned()))
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray, SampleError> {
    let array = column(batch, name)?;
    if !is_label_type(array.data_type()) {
        return Err(wrong_type(name, array.data_type(), "text"));
    }
    let text = cast(array, &DataType::Utf8).map_err(|_| wrong_type(name, array.data_type(), "text"))?;
    Ok(text.as_string::<i32>().clone())
}

fn number_column(batch: &RecordBatch, name: &str) -> Result<Arc<dyn Array>, SampleError> {
    let array = column(batch, name)?;
    if !is_value_type(array.data_type()) {
        return Err(wrong_type(name, array.data_type(), "a number"));
    }
    cast(array, &DataType::Float64).map_err(|_| wrong_type(name, array.data_type(), "a number"))
}

fn number_at(column: &Arc<dyn Array>, row: usize) -> Option<f64> {
    let numbers = column.as_primitive::<Float64Type>();
    numbers.is_valid(row).then(|| numbers.value(row))
}

/// Types that a label column may have: text in any of Arrow's encodings.
pub fn is_label_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_label_type(value),
        _ => false,
    }
}

/// Types that the value column may have.
pub fn is_value_type(data_type: &DataType) -> bool {
    data_type.is_numeric() || *data_type == DataType::Null
}

fn wrong_type(column: &str, found: &DataType, expected: &'static str) -> SampleError {
    SampleError::WrongType {
        column: column.to_owned(),
        found: found.to_string(),
        expected,
    }
}

fn text_at(column: &StringArray, row: usize) -> String {
    if column.is_null(row) {
        String::new()
    } else {
        column.value(row).to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::definition::tests::{OPEN_CASES, parse};

    pub(crate) fn batch(states: &[&str], cases: &[Option<f64>]) -> RecordBatch {
        RecordBatch::try_from_iter([
            ("state", Arc::new(StringArray::from(states.to_vec())) as ArrayRef),
            ("cases", Arc::new(Float64Array::from(cases.to_vec())) as ArrayRef),
            (
                "authority",
                Arc::new(StringArray::from(vec!["north"; states.len()])) as ArrayRef,
            ),
        ])
        .unwrap()
    }

    pub(crate) fn set(states: &[&str], cases: &[Option<f64>]) -> Result<SampleSet, SampleError> {
        let definition = Arc::new(parse(OPEN_CASES).unwrap());
        SampleSet::from_batches(definition, RecordedAt(0), &[batch(states, cases)])
    }

    #[test]
    fn samples_take_the_order_of_labels_not_of_rows_or_columns() {
        let set = set(&["nominal", "allocated"], &[Some(2.0), Some(5.0)]).unwrap();
        let found: Vec<_> = set
            .samples
            .iter()
            .map(|s| (s.labels.join("/"), s.value.as_number()))
            .collect();
        assert_eq!(
            found,
            [("north/allocated".to_owned(), 5.0), ("north/nominal".to_owned(), 2.0)]
        );
    }

    #[test]
    fn null_and_nan_are_no_samples_and_zero_is_one() {
        let set = set(&["a", "b", "c"], &[None, Some(f64::NAN), Some(0.0)]).unwrap();
        assert_eq!(set.samples.len(), 1);
        assert_eq!(set.samples[0].labels[1], "c");
    }

    #[test]
    fn one_label_set_twice_refuses_the_set() {
        let refused = set(&["a", "a"], &[Some(1.0), Some(1.0)]).unwrap_err();
        assert_eq!(
            refused,
            SampleError::DuplicateLabels("{authority=\"north\", state=\"a\"}".to_owned())
        );
    }

    #[test]
    fn more_series_than_the_budget_refuse_the_set() {
        let definition = Arc::new(parse(&OPEN_CASES.replace("max_series: 2000", "max_series: 1")).unwrap());
        let rows = batch(&["a", "b"], &[Some(1.0), Some(1.0)]);
        let refused = SampleSet::from_batches(definition, RecordedAt(0), &[rows]).unwrap_err();
        assert_eq!(refused, SampleError::OverBudget { series: 2, budget: 1 });
    }

    #[test]
    fn integers_and_decimals_are_values_and_text_is_not() {
        let definition = Arc::new(parse(&OPEN_CASES.replace("labels: authority, state", "labels:")).unwrap());
        let values: [(ArrayRef, f64); 2] = [
            (Arc::new(Int64Array::from(vec![7])), 7.0),
            (
                Arc::new(
                    Decimal128Array::from(vec![1500])
                        .with_precision_and_scale(9, 3)
                        .unwrap(),
                ),
                1.5,
            ),
        ];
        for (column, expected) in values {
            let rows = RecordBatch::try_from_iter([("cases", column)]).unwrap();
            let set = SampleSet::from_batches(Arc::clone(&definition), RecordedAt(0), &[rows]).unwrap();
            assert_eq!(set.samples[0].value, Value::Number(expected));
        }
        let text = RecordBatch::try_from_iter([("cases", Arc::new(StringArray::from(vec!["7"])) as ArrayRef)]).unwrap();
        let refused = SampleSet::from_batches(Arc::clone(&definition), RecordedAt(0), &[text]).unwrap_err();
        assert!(matches!(refused, SampleError::WrongType { column, .. } if column == "cases"));
        let other = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]).unwrap();
        let refused = SampleSet::from_batches(definition, RecordedAt(0), &[other]).unwrap_err();
        assert_eq!(refused, SampleError::MissingColumn("cases".to_owned()));
    }

    #[test]
    fn a_histogram_counts_its_observations_into_cumulative_buckets() {
        let text = OPEN_CASES.replace("kind: gauge", "kind: histogram\n-- buckets: 1, 5");
        let definition = Arc::new(parse(&text).unwrap());
        let rows = batch(&["a", "a", "a"], &[Some(1.0), Some(4.0), Some(90.0)]);
        let set = SampleSet::from_batches(definition, RecordedAt(0), &[rows]).unwrap();
        assert_eq!(
            set.samples[0].value,
            Value::Distribution {
                cumulative: vec![1, 2],
                count: 3,
                sum: 95.0
            }
        );
        assert_eq!(set.series(), 5);
    }

    proptest! {
        #[test]
        fn the_order_of_rows_never_shows(values in proptest::collection::vec(0u32..50, 1..20), seed in any::<u64>()) {
            let names: Vec<String> = (0..values.len()).map(|n| format!("s{n}")).collect();
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by_key(|n| (seed ^ (*n as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let straight: Vec<&str> = names.iter().map(String::as_str).collect();
            let shuffled: Vec<&str> = order.iter().map(|n| names[*n].as_str()).collect();
            let numbers: Vec<Option<f64>> = values.iter().map(|v| Some(f64::from(*v))).collect();
            let moved: Vec<Option<f64>> = order.iter().map(|n| numbers[*n]).collect();
            prop_assert_eq!(set(&straight, &numbers).unwrap().samples, set(&shuffled, &moved).unwrap().samples);
        }
    }
}
