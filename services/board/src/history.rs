//! What the metrics were at the close of each day: read from `metrics.samples`, kept in memory a day at a time. A day that
//! the lake has nothing of is not there; it is never a day of zeros.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use casewatch_contract::RecordedAt;
use casewatch_metrics::{Checked, MetricDefinition, Sample, SampleSet, Value};
use casewatch_query::{QueryError, end_of_london_day, london_date};
use chrono::{Datelike, Days, Months, NaiveDate};

use crate::figures::Figures;

/// Days kept at a time: the trends of some ten moments.
const KEPT: usize = 600;
/// Points of each trend.
const DAYS: u64 = 30;
const MONTHS: u32 = 30;

/// Days since 1970-01-01, of London.
pub type Day = i32;

/// How often a day that is not there is looked for again, and one that is: its metrics may come one by one.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub missing: Duration,
    pub known: Duration,
}

struct Kept {
    figures: Option<Arc<Figures>>,
    looked_at: Instant,
}

/// The days that were looked at, as known at their own ends.
pub struct History {
    patience: Patience,
    days: Mutex<Known>,
    /// One reading at a time.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    catalogue: String,
    kept: BTreeMap<Day, Kept>,
}

impl History {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            days: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// What is known of a day without looking for it.
    pub fn day(&self, day: Day) -> Option<Arc<Figures>> {
        self.lock().kept.get(&day)?.figures.clone()
    }

    /// Looks for these days in the lake, as far as they were not looked for just now. Returns whether any was found.
    ///
    /// # Errors
    /// A lake that cannot be read; what is known already stays.
    pub async fn look_for(
        &self,
        days: &[Day],
        metrics: &BTreeSet<String>,
        checked: &Checked,
    ) -> Result<bool, QueryError> {
        let _alone = self.reading.lock().await;
        let wanted = self.wanted(days, &checked.catalogue.hash);
        if wanted.is_empty() {
            return Ok(false);
        }
        let found = read(&wanted, metrics, checked, None).await?;
        let any = !found.is_empty();
        self.keep(wanted, found);
        Ok(any)
    }

    fn wanted(&self, days: &[Day], catalogue: &str) -> Vec<Day> {
        let mut known = self.lock();
        if known.catalogue != catalogue {
            // Another definition has another past.
            known.kept.clear();
            catalogue.clone_into(&mut known.catalogue);
        }
        let is_due = |day: &&Day| {
            known.kept.get(*day).is_none_or(|kept| {
                let patience = match kept.figures {
                    Some(_) => self.patience.known,
                    None => self.patience.missing,
                };
                kept.looked_at.elapsed() >= patience
            })
        };
        days.iter().filter(is_due).copied().collect()
    }

    fn keep(&self, wanted: Vec<Day>, mut found: BTreeMap<Day, HashMap<String, SampleSet>>) {
        let mut known = self.lock();
        let looked_at = Instant::now();
        for day in wanted {
            let sets = found.remove(&day).map(figures_of);
            let before = known.kept.remove(&day).and_then(|kept| kept.figures);
            let figures = sets.or(before);
            known.kept.insert(day, Kept { figures, looked_at });
        }
        while known.kept.len() > KEPT {
            let oldest = known
                .kept
                .iter()
                .min_by_key(|(_, kept)| kept.looked_at)
                .map(|(day, _)| *day);
            let Some(oldest) = oldest else { return };
            known.kept.remove(&oldest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Days are whole whatever a holder of the lock did.
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The days of a trend that ends on a day, that day left out: so many days, and so many ends of months before it.
pub fn days_before(last: Day) -> (Vec<Day>, Vec<Day>) {
    let last = date_of(last);
    let days = (1..DAYS).rev().filter_map(|ago| last.checked_sub_days(Days::new(ago)));
    let this_month = last.with_day(1).unwrap_or(last);
    let months = (0..MONTHS - 1).rev().filter_map(|ago| {
        let next = this_month.checked_sub_months(Months::new(ago))?;
        next.pred_opt()
    });
    (days.map(day_of).collect(), months.map(day_of).collect())
}

pub fn date_of(day: Day) -> NaiveDate {
    let date = NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(day.into()));
    date.unwrap_or_default()
}

fn day_of(date: NaiveDate) -> Day {
    // Both are within chrono's range of dates.
    Day::try_from((date - NaiveDate::default()).num_days()).unwrap_or_default()
}

/// What the lake keeps for ever of these days, as known at their ends or at one later moment.
///
/// # Errors
/// A lake that cannot be read.
pub async fn read(
    days: &[Day],
    metrics: &BTreeSet<String>,
    checked: &Checked,
    known_at: Option<RecordedAt>,
) -> Result<BTreeMap<Day, HashMap<String, SampleSet>>, QueryError> {
    let definitions = checked.queries.iter().map(|ready| &ready.query.definition);
    let definitions: HashMap<String, Arc<MetricDefinition>> = definitions
        .filter(|definition| metrics.contains(&definition.name.name))
        .map(|definition| (definition.hash.clone(), Arc::clone(definition)))
        .collect();
    let mut found = BTreeMap::new();
    if !definitions.is_empty() && !days.is_empty() {
        let statement = statement(days, &definitions, known_at);
        let answer = checked.engine.session(None, None).sql(&statement).await?;
        for batch in answer.collect().await? {
            take(&batch, &definitions, &mut found);
        }
    }
    Ok(found)
}

/// As figures, a day each.
pub fn figures_of(sets: HashMap<String, SampleSet>) -> Arc<Figures> {
    let sets = sets.into_iter().map(|(metric, set)| (metric, Ok(Arc::new(set))));
    Arc::new(Figures::new(sets.collect(), None))
}

/// Months are partitions: those that hold none of the days are not opened.
fn statement(
    days: &[Day],
    definitions: &HashMap<String, Arc<MetricDefinition>>,
    known_at: Option<RecordedAt>,
) -> String {
    let ends: Vec<RecordedAt> = days.iter().map(|day| RecordedAt(end_of_london_day(*day))).collect();
    let list = |texts: BTreeSet<String>| texts.into_iter().collect::<Vec<_>>().join(", ");
    let parts = ends.iter().map(|at| format!("'{}'", &at.to_string()[..7])).collect();
    let moments = ends.iter().map(|at| format!("timestamp '{at}'")).collect();
    let hashes = definitions.keys().map(|hash| format!("'{hash}'")).collect();
    let known_at = known_at.map_or_else(|| "as_of".to_owned(), |at| format!("timestamp '{at}'"));
    format!(
        "select definition, labels, value, as_of from metrics.samples where part in ({}) and as_of in ({}) \
         and known_at = {known_at} and definition in ({})",
        list(parts),
        list(moments),
        list(hashes)
    )
}

/// Adds rows to the sets of their days.
fn take(
    batch: &RecordBatch,
    definitions: &HashMap<String, Arc<MetricDefinition>>,
    found: &mut BTreeMap<Day, HashMap<String, SampleSet>>,
) {
    let text = |name: &str| cast(batch.column_by_name(name)?, &DataType::Utf8).ok();
    let (Some(hashes), Some(labels)) = (text("definition"), text("labels")) else {
        return;
    };
    let (hashes, labels) = (hashes.as_string::<i32>(), labels.as_string::<i32>());
    let (Some(values), Some(times)) = (batch.column_by_name("value"), batch.column_by_name("as_of")) else {
        return;
    };
    let values = values.as_primitive::<Float64Type>();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    for row in (0..batch.num_rows()).filter(|row| values.is_valid(*row)) {
        let Some(definition) = definitions.get(hashes.value(row)) else {
            continue;
        };
        let Ok(mut named) = serde_json::from_str::<BTreeMap<String, String>>(labels.value(row)) else {
            continue;
        };
        let as_of = RecordedAt(times.value(row));
        let sets = found.entry(london_date(as_of.0)).or_default();
        let set = sets.entry(definition.name.name.clone()).or_insert_with(|| SampleSet {
            definition: Arc::clone(definition),
            as_of,
            samples: Vec::new(),
            behind: Vec::new(),
        });
        let labels = definition
            .label_names()
            .map(|label| named.remove(label).unwrap_or_default());
        set.samples.push(Sample {
            labels: labels.collect(),
            value: Value::Number(values.value(row)),
        });
    }
}
