//! What came out against what was expected, row by row, and the difference as a small table.

use std::fmt;

use arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use toml::{Table, Value};

use super::format::text_of;
use super::moment::{days_of, parse_date, parse_start};
use crate::samples::Sample;

/// A row as it came out.
pub type Row = Vec<ScalarValue>;

/// Rows that are missing and rows that nobody expected. Equal rows are not repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub title: String,
    pub columns: Vec<String>,
    pub missing: Vec<Vec<String>>,
    pub unexpected: Vec<Vec<String>>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |rows: usize, what: &str| format!("{rows} {} {what}", if rows == 1 { "row" } else { "rows" });
        let (missing, unexpected) = (self.missing.len(), self.unexpected.len());
        write!(
            f,
            "{}: {}, {}",
            self.title,
            counted(missing, "missing"),
            counted(unexpected, "not expected")
        )?;
        let all = || {
            std::iter::once(&self.columns)
                .chain(&self.missing)
                .chain(&self.unexpected)
        };
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |mark: char, row: &[String]| -> fmt::Result {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}", width = *width));
            write!(f, "\n  {mark} | {}", cells.collect::<Vec<_>>().join(" | ").trim_end())
        };
        line(' ', &self.columns)?;
        self.missing.iter().try_for_each(|row| line('-', row))?;
        self.unexpected.iter().try_for_each(|row| line('+', row))
    }
}

/// The rows of a result, in its columns' order.
pub fn rows_of(batches: &[RecordBatch]) -> Result<Vec<Row>, datafusion::error::DataFusionError> {
    let mut rows = Vec::new();
    for batch in batches {
        for index in 0..batch.num_rows() {
            let row = batch
                .columns()
                .iter()
                .map(|column| ScalarValue::try_from_array(column, index));
            rows.push(row.collect::<Result<Row, _>>()?);
        }
    }
    Ok(rows)
}

/// Compares rows as a multiset, or in order.
pub fn compare_rows(
    title: &str,
    columns: &[String],
    expected: &[Table],
    actual: &[Row],
    ordered: bool,
    tolerance: f64,
) -> Option<Difference> {
    let equal = |expected: &Table, actual: &Row| {
        columns
            .iter()
            .zip(actual)
            .all(|(column, cell)| is_equal(expected.get(column), cell, tolerance))
    };
    let mut left: Vec<Option<&Row>> = actual.iter().map(Some).collect();
    let mut missing = Vec::new();
    for (index, row) in expected.iter().enumerate() {
        let found = if ordered {
            left.get(index)
                .is_some_and(|cell| cell.is_some_and(|actual| equal(row, actual)))
                .then_some(index)
        } else {
            left.iter()
                .position(|cell| cell.is_some_and(|actual| equal(row, actual)))
        };
        match found {
            Some(index) => left[index] = None,
            None => missing.push(row),
        }
    }
    let unexpected: Vec<&Row> = left.into_iter().flatten().collect();
    if missing.is_empty() && unexpected.is_empty() {
        return None;
    }
    let expected_cell = |row: &Table, column: &String| row.get(column).map_or_else(|| "null".to_owned(), text_of);
    Some(Difference {
        title: title.to_owned(),
        columns: columns.to_vec(),
        missing: missing
            .iter()
            .map(|row| columns.iter().map(|column| expected_cell(row, column)).collect())
            .collect(),
        unexpected: unexpected
            .iter()
            .map(|row| row.iter().map(cell_text).collect())
            .collect(),
    })
}

/// What is expected of a metric's samples.
pub struct ExpectedSamples<'a> {
    pub samples: &'a [Table],
    pub absent: &'a [Table],
    /// Nothing at all may come out.
    pub none: bool,
    pub tolerance: f64,
}

/// Every sample that is not 0 must be listed, every listed one must be there. Labels that no listed sample names are
/// not looked at.
pub fn compare_samples(
    title: &str,
    label_names: &[String],
    expected: &ExpectedSamples<'_>,
    actual: &[&Sample],
) -> Option<Difference> {
    let named = |name: &&String| {
        expected
            .samples
            .iter()
            .chain(expected.absent)
            .any(|table| table.contains_key(*name))
    };
    let columns: Vec<String> = label_names.iter().filter(named).cloned().collect();
    let label = |sample: &Sample, column: &String| -> String {
        let index = label_names
            .iter()
            .position(|name| name == column)
            .expect("columns are label names");
        sample.labels[index].clone()
    };
    let has_labels = |sample: &Sample, table: &Table| {
        table
            .iter()
            .filter(|(name, _)| *name != "value")
            .all(|(name, value)| label_names.contains(name) && label(sample, name) == text_of(value))
    };
    let is_value = |sample: &Sample, table: &Table| {
        let cell = ScalarValue::from(sample.value.as_number());
        is_equal(table.get("value"), &cell, expected.tolerance)
    };
    let mut left: Vec<Option<&Sample>> = actual.iter().copied().map(Some).collect();
    let mut missing = Vec::new();
    for row in expected.samples {
        let matches =
            |cell: &Option<&Sample>| cell.is_some_and(|sample| has_labels(sample, row) && is_value(sample, row));
        match left.iter().position(matches) {
            Some(index) => left[index] = None,
            None => missing.push(row),
        }
    }
    let forbidden = |sample: &Sample| expected.none || expected.absent.iter().any(|table| has_labels(sample, table));
    let looked_at = |sample: &&Sample| {
        let is_zero = sample.value.as_number() == 0.0;
        // A zero is unlisted as a rule; one with the labels of a missing sample shows what came instead.
        forbidden(sample)
            || (!expected.samples.is_empty() && !is_zero)
            || missing.iter().any(|row| has_labels(sample, row))
    };
    let unexpected: Vec<&Sample> = left.into_iter().flatten().filter(looked_at).collect();
    if missing.is_empty() && unexpected.is_empty() {
        return None;
    }
    let expected_cell = |row: &Table, column: &String| row.get(column).map_or_else(|| "*".to_owned(), text_of);
    let with_value = columns.iter().cloned().chain(["value".to_owned()]).collect::<Vec<_>>();
    let actual_row = |sample: &&Sample| {
        let labels = columns.iter().map(|column| label(sample, column));
        labels.chain([sample.value.as_number().to_string()]).collect()
    };
    Some(Difference {
        title: title.to_owned(),
        missing: missing
            .iter()
            .map(|row| with_value.iter().map(|column| expected_cell(row, column)).collect())
            .collect(),
        unexpected: unexpected.iter().map(actual_row).collect(),
        columns: with_value,
    })
}

/// Whether a cell is what the file says. A key that is left out means null.
fn is_equal(expected: Option<&Value>, actual: &ScalarValue, tolerance: f64) -> bool {
    let Some(expected) = expected else {
        return actual.is_null();
    };
    if actual.is_null() {
        return false;
    }
    let text = text_of(expected);
    match actual.data_type() {
        DataType::Boolean => *actual == ScalarValue::Boolean(expected.as_bool()),
        DataType::Date32 => parse_date(&text).is_some_and(|date| *actual == ScalarValue::Date32(Some(days_of(date)))),
        DataType::Timestamp(..) => match (micros_of(actual), parse_start(&text)) {
            (Some(actual), Some(expected)) => actual == expected,
            _ => false,
        },
        data_type if data_type.is_numeric() => {
            let wanted = expected
                .as_float()
                .or_else(|| expected.as_integer().map(|number| number as f64));
            let close = |wanted: f64, found: f64| (wanted - found).abs() <= tolerance || wanted == found;
            wanted.is_some_and(|wanted| number_of(actual).is_some_and(|found| close(wanted, found)))
        }
        _ => expected.is_str() && cell_text(actual) == text,
    }
}

fn number_of(cell: &ScalarValue) -> Option<f64> {
    match cell.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number,
        _ => None,
    }
}

fn micros_of(cell: &ScalarValue) -> Option<i64> {
    match cell.cast_to(&DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)) {
        Ok(ScalarValue::TimestampMicrosecond(micros, _)) => micros,
        _ => None,
    }
}

fn cell_text(cell: &ScalarValue) -> String {
    if cell.is_null() {
        return "null".to_owned();
    }
    match cell.data_type() {
        DataType::Timestamp(..) => {
            let time = micros_of(cell).and_then(chrono::DateTime::from_timestamp_micros);
            time.map_or_else(
                || cell.to_string(),
                |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            )
        }
        DataType::Decimal128(..) => number_of(cell).map_or_else(|| cell.to_string(), |number| number.to_string()),
        _ => match cell.cast_to(&DataType::Utf8) {
            Ok(ScalarValue::Utf8(Some(text))) => text,
            _ => cell.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Value as SampleValue;

    fn table(text: &str) -> Vec<Table> {
        toml::from_str::<Table>(&format!("rows = {text}")).unwrap()["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_table().unwrap().clone())
            .collect()
    }

    fn rows(expected: &str, actual: Vec<Row>, ordered: bool) -> Option<Difference> {
        let columns = ["state".to_owned(), "n".to_owned()];
        compare_rows("v", &columns, &table(expected), &actual, ordered, 1e-6)
    }

    fn row(state: Option<&str>, number: f64) -> Row {
        vec![ScalarValue::Utf8(state.map(str::to_owned)), ScalarValue::from(number)]
    }

    #[test]
    fn rows_compare_as_a_multiset_unless_ordered() {
        let expected = "[{ state = \"a\", n = 1 }, { state = \"b\", n = 2.0 }]";
        let swapped = vec![row(Some("b"), 2.0), row(Some("a"), 1.0)];
        assert_eq!(rows(expected, swapped.clone(), false), None);
        assert!(rows(expected, swapped, true).is_some());
        let twice = vec![row(Some("a"), 1.0), row(Some("a"), 1.0), row(Some("b"), 2.0)];
        assert_eq!(rows(expected, twice, false).unwrap().unexpected, [["a", "1.0"]]);
    }

    #[test]
    fn a_missing_key_is_null_and_nothing_else() {
        assert_eq!(rows("[{ n = 1 }]", vec![row(None, 1.0)], false), None);
        assert!(rows("[{ n = 1 }]", vec![row(Some(""), 1.0)], false).is_some());
        assert!(rows("[{ state = \"null\", n = 1 }]", vec![row(None, 1.0)], false).is_some());
    }

    #[test]
    fn the_difference_is_a_small_table() {
        let found = rows(
            "[{ state = \"in_transition\", n = 1 }]",
            vec![row(Some("nominal"), 12.5)],
            false,
        )
        .unwrap();
        assert_eq!(
            found.to_string(),
            "v: 1 row missing, 1 row not expected\n    | state         | n\n  - | in_transition | 1\n  + | nominal       | 12.5"
        );
    }

    #[test]
    fn dates_moments_decimals_and_booleans_compare_by_value() {
        let cells: [(ScalarValue, &str, bool); 7] = [
            (ScalarValue::Date32(Some(17_821)), "\"2018-10-17\"", true),
            (ScalarValue::Date32(Some(17_821)), "2018-10-17", true),
            (
                ScalarValue::TimestampMicrosecond(Some(1_530_399_600_000_000), Some("UTC".into())),
                "\"2018-07-01\"",
                true,
            ),
            (ScalarValue::Decimal128(Some(83_333), 9, 3), "83.333", true),
            (ScalarValue::Decimal128(Some(83_334), 9, 3), "83.333", false),
            (ScalarValue::from(true), "true", true),
            (ScalarValue::from(5_i64), "\"5\"", false),
        ];
        for (cell, text, equal) in cells {
            let value = toml::from_str::<Table>(&format!("v = {text}")).unwrap()["v"].clone();
            assert_eq!(is_equal(Some(&value), &cell, 1e-6), equal, "{cell:?} {text}");
        }
    }

    fn samples(samples: &str, absent: &str, none: bool, actual: &[(&str, &str, f64)]) -> Option<Difference> {
        let (listed, absent) = (table(samples), table(absent));
        let expected = ExpectedSamples {
            samples: &listed,
            absent: &absent,
            none,
            tolerance: 1e-6,
        };
        let actual: Vec<Sample> = actual
            .iter()
            .map(|(authority, state, value)| Sample {
                labels: vec![(*authority).to_owned(), (*state).to_owned()],
                value: SampleValue::Number(*value),
            })
            .collect();
        let labels = ["authority".to_owned(), "state".to_owned()];
        compare_samples("m", &labels, &expected, &actual.iter().collect::<Vec<_>>())
    }

    #[test]
    fn samples_that_are_zero_need_not_be_listed_and_all_others_must() {
        let listed = "[{ state = \"a\", value = 1 }]";
        assert_eq!(samples(listed, "[]", false, &[("n", "a", 1.0), ("n", "b", 0.0)]), None);
        let extra = samples(listed, "[]", false, &[("n", "a", 1.0), ("n", "b", 2.0)]).unwrap();
        assert_eq!(extra.unexpected, [["b", "2"]]);
        let wrong = samples(listed, "[]", false, &[("n", "a", 0.0)]).unwrap();
        assert_eq!(
            (wrong.missing, wrong.unexpected),
            (vec![vec!["a".into(), "1".into()]], vec![vec!["a".into(), "0".into()]])
        );
    }

    #[test]
    fn absent_means_not_even_zero() {
        assert!(samples("[]", "[{ state = \"a\" }]", false, &[("n", "a", 0.0)]).is_some());
        assert_eq!(samples("[]", "[{ state = \"a\" }]", false, &[("n", "b", 4.0)]), None);
        assert!(samples("[]", "[]", true, &[("n", "b", 0.0)]).is_some());
        assert_eq!(samples("[]", "[]", true, &[]), None);
    }

    #[test]
    fn a_label_that_the_metric_does_not_have_is_a_missing_sample() {
        assert!(samples("[{ nowhere = \"x\", value = 1 }]", "[]", false, &[("n", "a", 1.0)]).is_some());
    }
}
