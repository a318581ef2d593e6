//! Each table twice: as the live engine folds it, and as plain SQL over history gives it.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use casewatch_contract::Table;
use casewatch_live::Present;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use super::report::{Finding, TableDifference};
use crate::failure::Failure;

/// Compares two versions of a table row by row; none: they are equal.
///
/// # Errors
/// Too little memory to join them.
pub async fn compare(table: &Table, fold: &Present, plain: &Present) -> Result<Option<Finding>, Failure> {
    let difference = difference(table, fold, plain).await.map_err(Failure::failed)?;
    Ok(difference.map(|difference| Finding::Table {
        table: table.name.to_string(),
        difference,
    }))
}

async fn difference(
    table: &Table,
    fold: &Present,
    plain: &Present,
) -> Result<Option<TableDifference>, DataFusionError> {
    let context = SessionContext::new();
    for (name, present) in [("fold", fold), ("plain", plain)] {
        let rows = MemTable::try_new(present.schema.clone(), vec![present.batches.clone()])?;
        context.register_table(name, Arc::new(rows))?;
    }
    let key: Vec<&str> = table.key_columns().map(|column| column.name.as_str()).collect();
    let columns: Vec<&str> = fold.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let counts = context.sql(&counts_sql(&key, &columns)).await?.collect().await?;
    let count = |at: usize| {
        let counts = counts
            .first()
            .map(|counts| counts.column(at).as_primitive::<Int64Type>());
        let count = counts.filter(|counts| counts.is_valid(0)).map(|counts| counts.value(0));
        u64::try_from(count.unwrap_or(0)).unwrap_or(0)
    };
    let difference = TableDifference {
        only_fold: count(0),
        only_plain: count(1),
        changed: count(2),
        columns: columns
            .iter()
            .enumerate()
            .filter(|(at, _)| count(at + 3) > 0)
            .map(|(_, name)| (*name).to_owned())
            .collect(),
    };
    let is_equal = difference.only_fold + difference.only_plain + difference.changed == 0;
    Ok((!is_equal).then_some(difference))
}

/// Counts keys of one side alone, rows that differ, and for each column those that differ in it.
fn counts_sql(key: &[&str], columns: &[&str]) -> String {
    let joined = key.iter().map(|name| format!("f.\"{name}\" = p.\"{name}\""));
    let differs = |name: &&str| format!("(f.\"{name}\" is distinct from p.\"{name}\")");
    let anywhere: Vec<String> = columns.iter().map(differs).collect();
    let by_column = columns.iter().enumerate().map(|(at, name)| {
        let differs = differs(name);
        format!("count(*) filter (where f._here and p._here and {differs}) as _c{at}")
    });
    format!(
        "select count(*) filter (where p._here is null) as _only_fold,
           count(*) filter (where f._here is null) as _only_plain,
           count(*) filter (where f._here and p._here and ({anywhere})) as _changed, {by_column}
         from (select *, true as _here from fold) as f
         full outer join (select *, true as _here from plain) as p on {joined}",
        anywhere = anywhere.join(" or "),
        by_column = by_column.collect::<Vec<_>>().join(", "),
        joined = joined.collect::<Vec<_>>().join(" and "),
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use casewatch_live::present_schema;

    use super::*;

    const SCHEMA: &str = r#"{
      "type": "record", "name": "things", "namespace": "test", "doc": "Things.", "key": ["id"],
      "recorded_at": "recorded_at",
      "fields": [
        {"name": "id", "type": "string", "doc": "Its name."},
        {"name": "n", "type": ["null", "int"], "default": null, "doc": "A number."},
        {"name": "authority", "type": "string", "doc": "Whose."},
        {"name": "source_system", "type": "string", "doc": "The feed."},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."}
      ]
    }"#;

    fn present(table: &Table, rows: &[(&str, Option<i32>)]) -> Present {
        let schema = present_schema(table);
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "id" => Arc::new(rows.iter().map(|(id, _)| Some(*id)).collect::<StringArray>()),
                "n" => Arc::new(rows.iter().map(|(_, n)| *n).collect::<Int32Array>()),
                "_recorded_at" => {
                    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|_| 0));
                    Arc::new(times.with_timezone("UTC"))
                }
                _ => Arc::new(rows.iter().map(|_| Some("x")).collect::<StringArray>()),
            }
        });
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
        let batches = if rows.is_empty() { Vec::new() } else { vec![batch] };
        Present::new(schema, batches, 0)
    }

    async fn compared(fold: &[(&str, Option<i32>)], plain: &[(&str, Option<i32>)]) -> Option<TableDifference> {
        let table = Table::parse("things.avsc", SCHEMA).unwrap();
        difference(&table, &present(&table, fold), &present(&table, plain))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn equal_rows_in_any_order_do_not_differ() {
        let rows = [("a", Some(1)), ("b", None)];
        assert_eq!(compared(&rows, &[rows[1], rows[0]]).await, None);
        assert_eq!(compared(&[], &[]).await, None);
    }

    #[tokio::test]
    async fn rows_of_one_side_and_values_that_differ_are_counted_with_their_columns() {
        let fold = [("a", Some(1)), ("b", None), ("c", Some(3)), ("d", Some(4))];
        let plain = [("a", Some(2)), ("b", Some(0)), ("c", Some(3)), ("x", None), ("y", None)];
        let expected = TableDifference {
            only_fold: 1,
            only_plain: 2,
            changed: 2,
            columns: vec!["n".to_owned()],
        };
        assert_eq!(compared(&fold, &plain).await, Some(expected));
        let all_missing = TableDifference {
            only_fold: 4,
            ..TableDifference::default()
        };
        assert_eq!(compared(&fold, &[]).await, Some(all_missing));
    }
}
