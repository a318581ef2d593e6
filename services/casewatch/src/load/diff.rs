//! A delivery against the last one: what is new, what changed, what is gone, what only left the window.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use casewatch_contract::Table;
use chrono::{DateTime, NaiveDate};
use chrono_tz::Europe::London;

use super::digest::digests;
use super::extract::Extract;
use super::state::{Before, Known};
use super::value::days;

/// What a delivery changes in one table.
#[derive(Debug)]
pub struct Changes {
    pub extract: Extract,
    /// The table was never delivered by this feed before: its rows are a first snapshot.
    pub first: bool,
    /// Rows of the extract whose key was not known.
    pub created: Vec<u32>,
    /// Rows of the extract that differ from what was known under their key.
    pub changed: Vec<u32>,
    pub unchanged: u64,
    /// The rows that are gone, with their keys.
    pub deleted: Known,
    /// Rows that are missing now and lie before the window. They are not deleted.
    pub left: u64,
    /// Rows known before, without those before the window that are missing.
    pub before: u64,
    /// What is known after this delivery.
    pub known: Known,
}

impl Changes {
    /// How many changes there are to send.
    pub fn count(&self) -> u64 {
        let written = match self.first {
            true => self.extract.rows.num_rows(),
            false => self.created.len() + self.changed.len(),
        };
        (written + self.deleted.keys.num_rows()) as u64
    }

    /// Compares an extract with what is known of its table. Rows whose latest date is before `window` can be missing
    /// without being gone.
    pub fn between(extract: Extract, known: &Before, window: Option<NaiveDate>) -> Self {
        let Before {
            rows: known,
            confirmed,
            as_at,
            ..
        } = known;
        let window = window.map(days);
        let table = &extract.table;
        let rows = extract.rows.num_rows();
        let columns: Vec<_> = table
            .columns
            .iter()
            .zip(extract.rows.columns())
            .map(|(column, values)| (column.name.as_str(), values))
            .collect();
        let row_digests = digests(&columns, rows);
        let mut missing: HashMap<_, _> = known
            .key_digests()
            .into_iter()
            .enumerate()
            .map(|(row, key)| (key, row))
            .collect();

        let (mut created, mut changed, mut unchanged) = (Vec::new(), Vec::new(), 0);
        for (row, key) in extract.keys.iter().enumerate() {
            match missing.remove(key) {
                None => created.push(row as u32),
                Some(earlier) if known.digests[earlier] == Some(row_digests[row]) => unchanged += 1,
                Some(_) => changed.push(row as u32),
            }
        }

        let (mut deleted, mut kept, mut left, mut missing_before_window) = (Vec::new(), Vec::new(), 0, 0);
        let mut missing: Vec<usize> = missing.into_values().collect();
        missing.sort_unstable();
        for row in missing {
            let is_before = |window: i32| known.latest[row].is_some_and(|latest| latest < window);
            if window.is_some_and(is_before) {
                kept.push(row as u32);
                left += u64::from(!known.outside[row]);
                missing_before_window += usize::from(row < *confirmed);
            } else {
                deleted.push(row as u32);
            }
        }

        let mut still_known = known.select(&kept);
        still_known.outside.fill(true);
        let delivered = Known {
            keys: extract.rows.project(&table.key).expect("the key is of the table"),
            digests: row_digests.into_iter().map(Some).collect(),
            latest: latest_dates(table, extract.rows.columns(), rows),
            outside: vec![false; rows],
        };
        Self {
            first: as_at.is_none(),
            created,
            changed,
            unchanged,
            deleted: known.select(&deleted),
            left,
            before: (confirmed - missing_before_window) as u64,
            known: delivered.followed_by(still_known),
            extract,
        }
    }

    /// The share of its rows that the table lost, in percent; what left the window is not counted.
    pub fn shrunk_percent(&self) -> f64 {
        let after = self.extract.rows.num_rows() as u64;
        let lost = self.before.saturating_sub(after);
        if lost == 0 {
            0.0
        } else {
            lost as f64 / self.before as f64 * 100.0
        }
    }
}

/// The latest date or moment (as its London date) in each row, in days since 1970.
fn latest_dates(table: &Table, columns: &[ArrayRef], rows: usize) -> Vec<Option<i32>> {
    let mut latest = vec![None; rows];
    for (column, values) in table.columns.iter().zip(columns) {
        match column.data_type {
            DataType::Date32 => {
                let dates = values.as_primitive::<Date32Type>();
                latest
                    .iter_mut()
                    .zip(dates.iter())
                    .for_each(|(latest, date)| *latest = (*latest).max(date));
            }
            DataType::Timestamp(..) => {
                let moments = values.as_primitive::<TimestampMicrosecondType>();
                let dates = moments.iter().map(|moment| moment.and_then(london_day));
                latest
                    .iter_mut()
                    .zip(dates)
                    .for_each(|(latest, date)| *latest = (*latest).max(date));
            }
            _ => {}
        }
    }
    latest
}

fn london_day(micros: i64) -> Option<i32> {
    Some(days(
        DateTime::from_timestamp_micros(micros)?
            .with_timezone(&London)
            .date_naive(),
    ))
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;
    use crate::load::extract::{Problems, read};
    use crate::load::testing::{contract, manifest};
    use casewatch_contract::RecordedAt;
    use std::fmt::Write;
    use std::sync::Arc;

    /// An extract of teams: identifier, first day, name.
    fn extract(rows: &[(&str, &str, &str)]) -> Extract {
        let mut text = "team_id,valid_from,name,service,case_holding\n".to_owned();
        for (id, from, name) in rows {
            writeln!(text, "{id},{from},{name},assessment,1").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("teams.csv");
        std::fs::write(&file, text).unwrap();
        let table = Arc::clone(contract().table("teams").unwrap());
        let mut problems = Problems::default();
        let manifest = manifest(&[("teams", rows.len() as u64)]);
        read(&file, &table, &manifest, &[], &mut problems, &ProgressBar::hidden())
            .unwrap_or_else(|| panic!("{problems}"))
    }

    fn confirmed(known: &Known) -> Before {
        Before {
            rows: known.clone(),
            confirmed: known.len(),
            as_at: Some(RecordedAt(1)),
            pending_as_at: None,
        }
    }

    fn day(text: &str) -> Option<NaiveDate> {
        Some(text.parse().unwrap())
    }

    fn first(rows: &[(&str, &str, &str)]) -> Changes {
        let table = Arc::clone(contract().table("teams").unwrap());
        let nothing = Before {
            rows: Known::nothing(&table),
            confirmed: 0,
            as_at: None,
            pending_as_at: None,
        };
        Changes::between(extract(rows), &nothing, None)
    }

    #[test]
    fn new_changed_unchanged_and_missing_rows_are_told_apart() {
        let last = first(&[
            ("1", "2018-01-01", "a"),
            ("2", "2018-01-01", "b"),
            ("3", "2018-01-01", "c"),
        ]);
        assert_eq!((last.first, last.created.len(), last.shrunk_percent()), (true, 3, 0.0));
        let now = extract(&[
            ("4", "2018-01-01", "d"),
            ("2", "2018-01-01", "B"),
            ("1", "2018-01-01", "a"),
        ]);
        let changes = Changes::between(now, &confirmed(&last.known), None);
        assert_eq!(
            (&*changes.created, &*changes.changed, changes.unchanged),
            (&[0][..], &[1][..], 1)
        );
        assert_eq!(changes.deleted.keys.column(0).as_string::<i32>().value(0), "3");
        assert_eq!((changes.deleted.len(), changes.left, changes.known.len()), (1, 0, 3));
    }

    #[test]
    fn a_missing_row_before_the_window_has_left_it_and_is_remembered() {
        let last = first(&[
            ("1", "2017-12-31", "a"),
            ("2", "2018-01-01", "b"),
            ("3", "2018-06-01", "c"),
        ]);
        let now = || extract(&[("3", "2018-06-01", "c")]);
        let changes = Changes::between(now(), &confirmed(&last.known), day("2018-01-01"));
        assert_eq!((changes.left, changes.deleted.len(), changes.known.len()), (1, 1, 2));
        assert_eq!(changes.shrunk_percent(), 50.0, "of two rows in the window one is gone");

        let again = Changes::between(now(), &confirmed(&changes.known), day("2018-01-01"));
        assert_eq!(
            (again.left, again.deleted.len(), again.before),
            (0, 0, 1),
            "it leaves once"
        );

        let back = extract(&[("3", "2018-06-01", "c"), ("1", "2017-12-31", "a")]);
        let back = Changes::between(back, &confirmed(&changes.known), day("2017-01-01"));
        assert_eq!(
            (back.created.len(), back.unchanged),
            (0, 2),
            "a wider window shows it again, unchanged"
        );
    }

    #[test]
    fn forgetting_the_window_counts_as_shrinking() {
        let last = first(&[("1", "2017-12-31", "a"), ("2", "2018-01-01", "b")]);
        let now = || extract(&[("2", "2018-01-01", "b")]);
        let windowed = Changes::between(now(), &confirmed(&last.known), day("2018-01-01"));
        assert_eq!(windowed.shrunk_percent(), 0.0);
        let forgotten = Changes::between(now(), &confirmed(&windowed.known), None);
        assert_eq!((forgotten.deleted.len(), forgotten.shrunk_percent()), (1, 50.0));
    }
}
