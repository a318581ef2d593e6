//! A statement's rows as values of a type.

use std::io::Cursor;

use arrow::json::LineDelimitedWriter;
use casewatch_query::Session;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Runs a statement; each row is read by the names of its columns, a null one being left out.
///
/// # Errors
/// The statement's own error, or rows that are not of the type.
pub async fn rows<T: DeserializeOwned>(session: &Session, sql: &str) -> Result<Vec<T>, Failure> {
    let answer = session.sql(sql).await.map_err(Failure::failed)?;
    let batches = answer.collect().await.map_err(Failure::failed)?;
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    batches
        .iter()
        .try_for_each(|batch| writer.write(batch))
        .and_then(|()| writer.finish())
        .map_err(Failure::failed)?;
    let values = serde_json::Deserializer::from_reader(Cursor::new(text)).into_iter();
    values.collect::<Result<_, _>>().map_err(Failure::failed)
}
