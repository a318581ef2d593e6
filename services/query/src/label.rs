//! `label(labels, 'team')`: one label's value out of the labels of `metrics.samples`, a JSON object of texts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// Null where there is no such label, or no labels.
pub(crate) fn label_function() -> Arc<ScalarUDF> {
    let arguments = vec![DataType::Utf8, DataType::Utf8];
    let label = |arguments: &[ColumnarValue]| {
        let constant = arguments
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let values: ArrayRef = Arc::new(values(arrays[0].as_string(), arrays[1].as_string())?);
        match constant {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &values, 0,
            )?)),
            false => Ok(ColumnarValue::Array(values)),
        }
    };
    let function = create_udf(
        "label",
        arguments,
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(label),
    );
    Arc::new(function)
}

/// Samples of one series follow each other: the labels before are likely to be those of the next row.
fn values(labels: &StringArray, names: &StringArray) -> Result<StringArray> {
    let mut last: (&str, HashMap<String, String>) = ("{}", HashMap::new());
    let mut found = Vec::with_capacity(labels.len());
    for (labels, name) in labels.iter().zip(names) {
        let (Some(labels), Some(name)) = (labels, name) else {
            found.push(None);
            continue;
        };
        if labels != last.0 {
            let parsed = serde_json::from_str(labels);
            let parsed = parsed
                .map_err(|_| exec_datafusion_err!("label() takes the labels of metrics.samples, not '{labels}'"))?;
            last = (labels, parsed);
        }
        found.push(last.1.get(name).cloned());
    }
    Ok(StringArray::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_by_name_and_null_where_there_is_none() {
        let labels = StringArray::from(vec![
            Some("{\"authority\":\"A\",\"team\":\"T \\\"1\\\"\"}"),
            Some("{\"authority\":\"B\"}"),
            None,
        ]);
        let names = StringArray::from(vec!["team"; 3]);
        let found = values(&labels, &names).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [Some("T \"1\""), None, None]);
        let refused = values(&StringArray::from(vec!["team=1"]), &StringArray::from(vec!["team"])).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("label() takes the labels of metrics.samples, not 'team=1'")
        );
    }
}
