//! Rows of people's cases: through the role's own session, and never without an entry in the audit log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::json::ArrayWriter;
use casewatch_contract::RecordedAt;
use casewatch_query::{AsOf, AuditEntry, AuditLog, Grant};
use serde_json::{Map, Value};

use crate::board::Board;
use crate::layout::Worklist;
use crate::people::Viewer;
use crate::view::{Rows, RowsColumn};

/// Rows of one list: more is no list that anybody works through.
const ROWS_AT_MOST: usize = 2_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    #[error("rows are shown to users alone: set [access] users, and sign in as one whose role may see them")]
    NoUsers,
    #[error("the role {0} sees no rows")]
    Role(String),
    #[error("board.toml has no worklist")]
    NoList,
    #[error("the audit log cannot take more, so nothing is shown: {0}")]
    Audit(String),
    #[error("{0}")]
    Failed(String),
}

/// Whether a viewer's role sees the rows at all.
pub fn sees_rows(viewer: &Viewer, worklist: Option<&Worklist>) -> bool {
    let Some((grant, worklist)) = viewer.grant.as_ref().zip(worklist) else {
        return false;
    };
    grant.reads(None, &worklist.reads)
}

/// A team's worklist, as the viewer may see it.
///
/// # Errors
/// Who may not, an audit log that is full, a statement that fails.
pub async fn worklist(
    board: &Board,
    audit: Option<&AuditLog>,
    viewer: &Viewer,
    client: IpAddr,
    team: &str,
    as_of: Option<AsOf>,
) -> Result<Rows, RowsError> {
    let layout = board.layout();
    let list = layout.worklist.as_ref().ok_or(RowsError::NoList)?;
    let grant = viewer.grant.as_ref().ok_or(RowsError::NoUsers)?;
    let audit = audit.ok_or(RowsError::NoUsers)?;
    let permit = audit.permit().map_err(|error| RowsError::Audit(error.to_string()))?;
    let mut entry = AuditEntry {
        at: RecordedAt::now(),
        user: viewer.name.clone(),
        role: viewer.role.clone(),
        surface: "board",
        client: client.to_string(),
        action: format!(
            "worklist of team {team}{}",
            as_of.map_or(String::new(), |at| format!(" as of {at}"))
        ),
        reason: None,
        rows: 0,
        elapsed: std::time::Duration::ZERO,
        outcome: Ok(()),
    };
    if !sees_rows(viewer, Some(list)) {
        entry.outcome = Err("forbidden".to_owned());
        permit.record(entry);
        return Err(RowsError::Role(viewer.role.clone()));
    }
    let begun = Instant::now();
    let (checked, grant, sql) = (board.checked(), Arc::clone(grant), list.of_team(team));
    let asking = board
        .ad_hoc()
        .spawn(async move { ask(&checked, &grant, as_of, &sql).await });
    let answered = asking.await.unwrap_or_else(|error| Err(error.to_string()));
    entry.elapsed = begun.elapsed();
    match answered {
        Ok((schema, rows, note)) => {
            entry.rows = rows.len() as u64;
            permit.record(entry);
            Ok(shown(&schema, rows, note, list))
        }
        Err(error) => {
            entry.outcome = Err("failed".to_owned());
            permit.record(entry);
            Err(RowsError::Failed(error))
        }
    }
}

type Answered = (SchemaRef, Vec<Map<String, Value>>, Option<String>);

async fn ask(
    checked: &casewatch_metrics::Checked,
    grant: &Arc<Grant>,
    as_of: Option<AsOf>,
    sql: &str,
) -> Result<Answered, String> {
    let session = checked.engine.session_as(grant, as_of, None);
    let mut answer = session.sql(sql).await.map_err(|error| error.to_string())?;
    let (schema, mut note) = (answer.schema.clone(), answer.note.take());
    let batches = answer.collect().await.map_err(|error| error.to_string())?;
    let mut rows = objects(&batches).map_err(|error| error.to_string())?;
    if rows.len() > ROWS_AT_MOST {
        note = Some(format!("{} rows: the first {ROWS_AT_MOST} are shown", rows.len()));
        rows.truncate(ROWS_AT_MOST);
    }
    Ok((schema, rows, note))
}

fn objects(batches: &[RecordBatch]) -> Result<Vec<Map<String, Value>>, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let bytes = writer.into_inner();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(serde_json::from_slice(&bytes)?)
}

fn shown(schema: &SchemaRef, rows: Vec<Map<String, Value>>, note: Option<String>, list: &Worklist) -> Rows {
    let columns: Vec<RowsColumn> = schema
        .fields()
        .iter()
        .map(|field| RowsColumn {
            name: field.name().clone(),
            title: list.titles.get(field.name()).unwrap_or(field.name()).clone(),
            kind: kind_of(field.data_type()).to_owned(),
        })
        .collect();
    let row = |mut row: Map<String, Value>| {
        let cells = columns
            .iter()
            .map(|column| row.remove(&column.name).unwrap_or(Value::Null));
        cells.collect()
    };
    let rows = rows.into_iter().map(row).collect();
    Rows { columns, rows, note }
}

fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(..) => "timestamp",
        data_type if data_type.is_numeric() => "number",
        _ => "text",
    }
}
