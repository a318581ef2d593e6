//! `lake.audit`: who asked what, when, why, and how much they were shown.
//!
//! A statement's text may name a subject. Whoever is on the list of the erased is not named by an entry that is written
//! later, and an erasure takes the text out of those that were written before; that somebody asked something stays.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use casewatch_contract::{Contract, RecordedAt, system};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use deltalake::kernel::Action;
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::erased::Erased;
use crate::error::Result;
use crate::file;
use crate::lake::Lake;
use crate::log::Attempt;
use crate::maintain::{delete_unneeded, expire, first_kept_day};
use crate::own_table::OwnTable;
use crate::schema::Layout;

pub(crate) const AUDIT: &str = "_audit";
const DAY: &str = "day";
/// Columns whose text somebody typed.
const TYPED: [&str; 2] = ["action", "reason"];
/// What stands where a text named a subject who was erased.
pub(crate) const WITHHELD: &str = "(withheld: it named an erased subject)";
/// Longer texts are cut: a statement can be as long as its author likes.
const LONGEST_TEXT: usize = 16_384;

/// One statement or view of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was asked.
    pub at: RecordedAt,
    pub user: String,
    pub role: String,
    /// Where: `sql`, `board` or `http`.
    pub surface: &'static str,
    /// The address it came from.
    pub client: String,
    /// The statement, or the view's name.
    pub action: String,
    pub reason: Option<String>,
    /// Rows that were shown, also of a statement that failed later.
    pub rows: u64,
    pub elapsed: Duration,
    /// What kept it from being answered: a short code, never a text that could hold a value.
    pub outcome: std::result::Result<(), String>,
}

pub(crate) fn layout() -> Layout {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let schema = Schema::new(vec![
        Field::new("at", system::timestamp(), true),
        text("user"),
        text("role"),
        text("surface"),
        text("client"),
        text("action"),
        text("reason"),
        number("rows"),
        number("elapsed_ms"),
        text("outcome"),
        text(DAY),
    ]);
    Layout {
        name: AUDIT.to_owned(),
        schema: Arc::new(schema),
        partition_column: DAY,
        unseen: TYPED.map(str::to_owned).to_vec(),
        sort: vec!["at".to_owned()],
        keys: Default::default(),
    }
}

fn date(at: RecordedAt) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.0).unwrap_or_default()
}

impl Lake {
    /// Writes entries to the audit log. `batch` tells them from all others: what is tried again under the same one
    /// stands once.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub async fn keep_audit(&self, contract: &Contract, batch: Uuid, entries: &[AuditEntry]) -> Result<()> {
        let (log, layout) = (self.log(AUDIT), layout());
        self.ensure(&log, &layout).await?;
        let Some(mut state) = self.state(&log).await? else {
            return Ok(());
        };
        let mut record = CommitRecord::new("audit", batch);
        while !entries.is_empty() && state.version_of(batch).is_none() {
            // Read after the state that is committed against: an erasure that comes later moves the state on.
            let erased = Erased::load(self).await?;
            let rows = rows(&layout, entries, |text| erased.is_named(contract, &self.keys, text))?;
            let adds = file::write(&log, &layout, vec![rows]).await?;
            record.files = adds.len() as u64;
            record.bytes = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
            let actions = adds.iter().cloned().map(Action::Add).collect();
            if let Attempt::Lost = log.try_commit(&mut state, &record, actions).await? {
                delete_unneeded(&log, &adds).await;
            }
        }
        Ok(())
    }

    /// Takes out the days that ended more than `days` ago; returns how many files that were.
    pub(crate) async fn expire_audit(&self, days: u32) -> Result<u64> {
        let first_kept = first_kept_day(days).to_string();
        expire(self, &layout(), |day| day < first_kept.as_str(), |_| Vec::new()).await
    }

    /// `lake.audit`, as it is when it is scanned.
    pub fn audit_table(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        OwnTable::new(self, layout)
    }
}

fn rows(layout: &Layout, entries: &[AuditEntry], is_erased: impl Fn(&str) -> bool) -> Result<RecordBatch> {
    let typed = |text: &str| match is_erased(text) {
        true => WITHHELD.to_owned(),
        false => shortened(text),
    };
    let text =
        |of: fn(&AuditEntry) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(entries.iter().map(of))) };
    let number = |of: &dyn Fn(&AuditEntry) -> u128| -> ArrayRef {
        let numbers = entries.iter().map(|entry| i64::try_from(of(entry)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(numbers))
    };
    let at = TimestampMicrosecondArray::from_iter_values(entries.iter().map(|entry| entry.at.0));
    let actions = entries.iter().map(|entry| typed(&entry.action));
    let reasons = entries.iter().map(|entry| entry.reason.as_deref().map(typed));
    let outcomes = entries.iter().map(|entry| match &entry.outcome {
        Ok(()) => "ok",
        Err(code) => code,
    });
    let days = entries
        .iter()
        .map(|entry| date(entry.at).format("%Y-%m-%d").to_string());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(at.with_timezone("UTC")),
        text(|entry| &entry.user),
        text(|entry| &entry.role),
        text(|entry| entry.surface),
        text(|entry| &entry.client),
        Arc::new(StringArray::from_iter_values(actions)),
        Arc::new(reasons.collect::<StringArray>()),
        number(&|entry| u128::from(entry.rows)),
        number(&|entry| entry.elapsed.as_millis()),
        Arc::new(StringArray::from_iter_values(outcomes)),
        Arc::new(StringArray::from_iter_values(days)),
    ];
    Ok(RecordBatch::try_new(layout.schema.clone(), columns)?)
}

/// At most [`LONGEST_TEXT`] bytes of it.
fn shortened(text: &str) -> String {
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_TEXT) {
        Some(end) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Rows of the log without the texts that say what `is_named` finds.
pub(crate) fn without_texts(rows: &RecordBatch, is_named: impl Fn(&str) -> bool) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    for name in TYPED {
        let index = rows.schema_ref().index_of(name)?;
        let texts = columns[index].as_string::<i32>();
        if texts.iter().flatten().any(&is_named) {
            let kept = texts
                .iter()
                .map(|text| text.map(|text| if is_named(text) { WITHHELD } else { text }));
            columns[index] = Arc::new(kept.collect::<StringArray>());
        }
    }
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::fixtures;

    pub(crate) fn entry(at: RecordedAt, action: &str) -> AuditEntry {
        AuditEntry {
            at,
            user: "ann".to_owned(),
            role: "analyst".to_owned(),
            surface: "sql",
            client: "10.0.0.1".to_owned(),
            action: action.to_owned(),
            reason: None,
            rows: 3,
            elapsed: Duration::from_millis(12),
            outcome: Ok(()),
        }
    }

    async fn told(lake: &Arc<Lake>) -> Vec<String> {
        let context = SessionContext::new();
        context.register_table("audit", lake.audit_table()).unwrap();
        let sql = "select action || '/' || rows || '/' || elapsed_ms || '/' || outcome as told from audit order by at";
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let texts = batches.iter().flat_map(|batch| {
            let told = arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap();
            told.as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        texts.collect()
    }

    #[tokio::test]
    async fn a_batch_stands_once_however_often_it_is_tried_and_goes_after_its_days() {
        let lake = fixtures::lake_on(Arc::new(object_store::memory::InMemory::new())).await;
        let contract = Contract::new(Vec::new()).unwrap();
        assert_eq!(told(&lake).await, Vec::<String>::new());
        let now = RecordedAt::now();
        let old = RecordedAt(now.0 - 731 * 24 * 3600 * 1_000_000);
        let failed = AuditEntry {
            outcome: Err("deadline".to_owned()),
            ..entry(now, &"x".repeat(LONGEST_TEXT + 1))
        };
        let entries = [entry(old, "select 1"), failed];
        let batch = Uuid::new_v4();
        lake.keep_audit(&contract, batch, &entries).await.unwrap();
        lake.keep_audit(&contract, batch, &entries).await.unwrap();
        let cut = format!("{}.../3/12/deadline", "x".repeat(LONGEST_TEXT));
        assert_eq!(told(&lake).await, ["select 1/3/12/ok".to_owned(), cut.clone()]);
        assert_eq!(lake.expire_audit(730).await.unwrap(), 1);
        assert_eq!(told(&lake).await, [cut]);
    }
}
