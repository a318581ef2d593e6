//! `metrics.samples`: the metrics' own past. A cache, which can be filled again (RULES 23): an evaluation is a metric as one
//! definition gives it at one moment, as known at another, and stands there once, with all its series.
//!
//! What is taken each minute is kept for some weeks, a day in each partition, so that it goes as whole files; what is
//! taken at the close of a day is kept for ever, a month in each.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use casewatch_contract::{RecordedAt, system};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use deltalake::kernel::{Action, Transaction};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::Result;
use crate::file;
use crate::lake::Lake;
use crate::log::{Attempt, TableLog, TableState};
use crate::maintain::{delete_unneeded, expire, first_kept_day};
use crate::own_table::OwnTable;
use crate::schema::Layout;

pub(crate) const SAMPLES: &str = "_samples";
const PART: &str = "part";
/// Before the day, in the partitions of what is taken each minute.
const MINUTES: &str = "minutes-";
const MINUTE_US: i64 = 60_000_000;

/// A metric at one moment, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What tells one definition of the metric from another, and from every other metric's.
    pub definition: String,
    pub as_of: RecordedAt,
    pub known_at: RecordedAt,
    pub samples: Vec<StoredSample>,
}

/// One series of it: the name that is exposed, the labels as a JSON object sorted by name, the number.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSample {
    pub metric: String,
    pub labels: String,
    pub value: f64,
}

type Key = (String, i64, i64);

impl Evaluation {
    fn key(&self) -> Key {
        (self.definition.clone(), self.as_of.0, self.known_at.0)
    }

    fn month(&self) -> String {
        date(self.as_of).format("%Y-%m").to_string()
    }
}

fn date(at: RecordedAt) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.0).unwrap_or_default()
}

pub(crate) fn layout() -> Layout {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = |name: &str| Field::new(name, system::timestamp(), true);
    let schema = Schema::new(vec![
        text("metric"),
        text("labels"),
        Field::new("value", DataType::Float64, true),
        time("as_of"),
        time("known_at"),
        text("definition"),
        text(PART),
    ]);
    Layout {
        name: SAMPLES.to_owned(),
        schema: Arc::new(schema),
        partition_column: PART,
        unseen: Vec::new(),
        sort: ["metric", "labels", "as_of"].map(str::to_owned).to_vec(),
        keys: Default::default(),
    }
}

impl Lake {
    /// Keeps for ever those of `evaluations` that are not there yet; returns how many samples that were.
    ///
    /// # Errors
    /// A store that cannot be read or written. Trying again does no harm.
    pub async fn keep_evaluations(&self, evaluations: &[Evaluation]) -> Result<u64> {
        let (log, layout) = (self.log(SAMPLES), layout());
        let mut state = self.ensure(&log, &layout).await?;
        loop {
            let months: HashSet<String> = evaluations.iter().map(Evaluation::month).collect();
            let mut known = known_keys(&log, &state, &months).await?;
            let new = evaluations
                .iter()
                .filter(|evaluation| !evaluation.samples.is_empty() && known.insert(evaluation.key()));
            let new: Vec<(String, &Evaluation)> = new.map(|evaluation| (evaluation.month(), evaluation)).collect();
            if new.is_empty() {
                return Ok(0);
            }
            if let Some(written) = append(&log, &layout, &mut state, &new, None).await? {
                return Ok(written);
            }
        }
    }

    /// Takes what the metrics are in this minute, unless someone has for it or a later one: of replicas, the first.
    /// Returns how many samples were written.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub async fn take_minute(&self, minute: RecordedAt, evaluations: &[Evaluation]) -> Result<u64> {
        let (log, layout) = (self.log(SAMPLES), layout());
        let mut state = self.ensure(&log, &layout).await?;
        let number = minute.0.div_euclid(MINUTE_US);
        let part = format!("{MINUTES}{}", date(minute).format("%Y-%m-%d"));
        let rows: Vec<(String, &Evaluation)> = evaluations.iter().map(|taken| (part.clone(), taken)).collect();
        let taken = |state: &TableState| state.transactions.get(MINUTES).is_some_and(|taken| *taken >= number);
        while !taken(&state) && evaluations.iter().any(|evaluation| !evaluation.samples.is_empty()) {
            let mark = Action::Txn(Transaction::new(MINUTES, number));
            if let Some(written) = append(&log, &layout, &mut state, &rows, Some(mark)).await? {
                return Ok(written);
            }
        }
        Ok(0)
    }

    /// Takes out what was taken each minute more than `days` ago; returns how many files that were.
    pub(crate) async fn expire_minutes(&self, days: u32) -> Result<u64> {
        let first_kept = format!("{MINUTES}{}", first_kept_day(days));
        let is_over = |part: &str| part.starts_with(MINUTES) && part < first_kept.as_str();
        expire(self, &layout(), is_over, |_| Vec::new()).await
    }

    /// `metrics.samples`, as it is when it is scanned.
    pub fn samples_table(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        OwnTable::new(self, layout)
    }
}

/// One attempt to add rows right after `state`; `None` when another commit came first.
async fn append(
    log: &TableLog,
    layout: &Layout,
    state: &mut Arc<TableState>,
    evaluations: &[(String, &Evaluation)],
    mark: Option<Action>,
) -> Result<Option<u64>> {
    let rows = rows(&layout.schema, evaluations)?;
    let count = rows.num_rows() as u64;
    let adds = file::write(log, layout, vec![rows]).await?;
    let mut record = CommitRecord::new("samples", Uuid::new_v4());
    record.files = adds.len() as u64;
    record.bytes = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
    let actions = adds.iter().cloned().map(Action::Add).chain(mark).collect();
    match log.try_commit(state, &record, actions).await? {
        Attempt::Committed(_) => Ok(Some(count)),
        Attempt::Lost => {
            delete_unneeded(log, &adds).await;
            Ok(None)
        }
    }
}

fn rows(schema: &SchemaRef, evaluations: &[(String, &Evaluation)]) -> Result<RecordBatch> {
    let (mut metrics, mut labels, mut definitions, mut parts) = (
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
    );
    let mut values = Float64Builder::new();
    let time = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut as_of, mut known_at) = (time(), time());
    for (part, evaluation) in evaluations {
        for sample in &evaluation.samples {
            metrics.append_value(&sample.metric);
            labels.append_value(&sample.labels);
            values.append_value(sample.value);
            as_of.append_value(evaluation.as_of.0);
            known_at.append_value(evaluation.known_at.0);
            definitions.append_value(&evaluation.definition);
            parts.append_value(part);
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(metrics.finish()),
        Arc::new(labels.finish()),
        Arc::new(values.finish()),
        Arc::new(as_of.finish()),
        Arc::new(known_at.finish()),
        Arc::new(definitions.finish()),
        Arc::new(parts.finish()),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The evaluations that stand in some partitions.
async fn known_keys(log: &TableLog, state: &TableState, parts: &HashSet<String>) -> Result<HashSet<Key>> {
    let layout = layout();
    let schema = &layout.schema;
    let files = state
        .files
        .values()
        .filter(|add| layout.partition_of(add).is_some_and(|part| parts.contains(part)));
    let mut keys = HashSet::new();
    for add in files {
        for batch in file::read(log, schema, add).await? {
            let column = |name: &str| Ok::<_, crate::LakeError>(batch.column(schema.index_of(name)?));
            let definitions = column("definition")?.as_string::<i32>();
            let as_of = column("as_of")?.as_primitive::<TimestampMicrosecondType>();
            let known_at = column("known_at")?.as_primitive::<TimestampMicrosecondType>();
            let mut last: Option<(&str, i64, i64)> = None;
            for row in 0..batch.num_rows() {
                let key = (definitions.value(row), as_of.value(row), known_at.value(row));
                if last.replace(key) != Some(key) {
                    keys.insert((key.0.to_owned(), key.1, key.2));
                }
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::fixtures;

    const DAY_US: i64 = 24 * 3600 * 1_000_000;

    fn evaluation(definition: &str, as_of: i64, known_at: i64, values: &[f64]) -> Evaluation {
        let sample = |(at, value): (usize, &f64)| StoredSample {
            metric: "m".to_owned(),
            labels: format!("{{\"team\":\"{at}\"}}"),
            value: *value,
        };
        Evaluation {
            definition: definition.to_owned(),
            as_of: RecordedAt(as_of),
            known_at: RecordedAt(known_at),
            samples: values.iter().enumerate().map(sample).collect(),
        }
    }

    async fn lake() -> Arc<Lake> {
        fixtures::lake_on(Arc::new(object_store::memory::InMemory::new())).await
    }

    async fn count(lake: &Arc<Lake>, condition: &str) -> i64 {
        let context = SessionContext::new();
        context.register_table("samples", lake.samples_table()).unwrap();
        let sql = format!("select count(*) from samples where {condition}");
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        batches[0]
            .column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0)
    }

    #[tokio::test]
    async fn an_evaluation_stands_once_and_another_definition_or_moment_beside_it() {
        let lake = lake().await;
        assert_eq!(
            count(&lake, "true").await,
            0,
            "a lake that was never asked for samples has none"
        );
        let first = evaluation("a", 0, 0, &[1.0, 2.0]);
        assert_eq!(lake.keep_evaluations(&[first.clone(), first.clone()]).await.unwrap(), 2);
        let again = evaluation("a", 0, 0, &[1.0, 2.0]);
        let others = [
            again,
            evaluation("b", 0, 0, &[3.0]),
            evaluation("a", 40 * DAY_US, 40 * DAY_US, &[4.0]),
            evaluation("a", 0, DAY_US, &[5.0]),
            evaluation("c", 0, 0, &[]),
        ];
        assert_eq!(lake.keep_evaluations(&others).await.unwrap(), 3);
        assert_eq!(lake.keep_evaluations(&others).await.unwrap(), 0);
        assert_eq!(count(&lake, "true").await, 5);
        assert_eq!(count(&lake, "part = '1970-01'").await, 4);
        assert_eq!(
            count(&lake, "definition = 'a' and known_at > as_of and value = 5").await,
            1
        );
        assert_eq!(count(&lake, "labels = '{\"team\":\"1\"}'").await, 1);
    }

    #[tokio::test]
    async fn two_who_keep_the_same_at_once_keep_it_once() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let lakes = [
            fixtures::lake_on(store.clone()).await,
            fixtures::lake_on(store.clone()).await,
        ];
        let all = [evaluation("a", 0, 0, &[1.0]), evaluation("a", 1, 1, &[2.0])];
        let (one, two) = tokio::join!(lakes[0].keep_evaluations(&all), lakes[1].keep_evaluations(&all));
        assert_eq!(one.unwrap() + two.unwrap(), 2);
        assert_eq!(count(&lakes[0], "true").await, 2);
    }

    #[tokio::test]
    async fn a_minute_is_taken_by_the_first_and_goes_after_its_days_while_closes_of_days_stay() {
        let lake = lake().await;
        let now = RecordedAt::now();
        let old = RecordedAt(now.0 - 31 * DAY_US);
        let of = |at: RecordedAt| [evaluation("a", at.0, at.0, &[1.0])];
        assert_eq!(lake.take_minute(old, &of(old)).await.unwrap(), 1);
        assert_eq!(
            lake.take_minute(old, &of(old)).await.unwrap(),
            0,
            "another replica came first"
        );
        assert_eq!(lake.take_minute(now, &of(now)).await.unwrap(), 1);
        assert_eq!(
            lake.take_minute(old, &of(old)).await.unwrap(),
            0,
            "a later minute was taken"
        );
        assert_eq!(lake.keep_evaluations(&of(old)).await.unwrap(), 1);
        assert_eq!(count(&lake, "true").await, 3);
        assert_eq!(lake.expire_minutes(30).await.unwrap(), 1);
        assert_eq!(lake.expire_minutes(30).await.unwrap(), 0);
        assert_eq!(count(&lake, "true").await, 2);
        assert_eq!(count(&lake, "part like 'minutes-%'").await, 1);
    }
}
