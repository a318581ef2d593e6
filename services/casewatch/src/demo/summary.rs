//! What the demo ends with: the days at which a count was published, each computed again by time travel over the lake.

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use casewatch_query::{AsOf, Engine};
use chrono::NaiveDate;

use crate::failure::Failure;

/// The SQL of a line, in the catalogue.
const SUMMARY: &str = "reports/safety.sql";
/// Days at which reports and inspections published a count, and what they said.
const MILESTONES: [(&str, &str); 6] = [
    ("2018-01-31", "551 without a social worker (news, January 2019)"),
    ("2018-10-17", "383, of them 267 at the front door (inspection letter)"),
    ("2019-01-31", "81, of them 20-30 in transition (news)"),
    ("2019-05-31", "152, oldest wait 75 days (news)"),
    ("2019-10-31", "above 300: the relapse (news)"),
    ("2020-06-30", "none unallocated (commissioner)"),
];

/// Prints the milestones up to `last`.
///
/// # Errors
/// SQL that cannot be read or run.
pub async fn print(engine: &Engine, queries: &Path, last: NaiveDate) -> Result<(), Failure> {
    let path = queries.join(SUMMARY);
    let sql = std::fs::read_to_string(&path)
        .map_err(|error| Failure::failed(format!("{}: cannot be read: {error}", path.display())))?;
    println!();
    println!(
        "{:<12}{:>10}{:>11}{:>15}{:>13}{:>12}{:>8}   published",
        "as of", "open", "no holder", "in transition", "unallocated", "front door", "oldest"
    );
    for (day, published) in MILESTONES {
        let date: NaiveDate = day.parse().expect("the date is valid");
        if date > last {
            break;
        }
        let as_of: AsOf = day.parse().expect("a date is a moment");
        let answer = engine
            .session(Some(as_of), None)
            .sql(&sql)
            .await
            .map_err(Failure::failed)?;
        let batches = answer.collect().await.map_err(Failure::failed)?;
        let value = |name: &str| number(&batches, name).map_or("-".to_owned(), |value| value.to_string());
        println!(
            "{day:<12}{:>10}{:>11}{:>15}{:>13}{:>12}{:>8}   {published}",
            value("open_cases"),
            value("no_holder"),
            value("in_transition"),
            value("unallocated"),
            value("front_door_awaiting"),
            value("oldest_wait_days"),
        );
    }
    Ok(())
}

fn number(batches: &[RecordBatch], column: &str) -> Option<i64> {
    let column = batches.first()?.column_by_name(column)?;
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).ok()?;
    column.as_primitive::<Int64Type>().iter().next().flatten()
}
