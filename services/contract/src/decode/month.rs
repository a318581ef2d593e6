//! `_recorded_month`: the lake's partition of a recorded time.

use arrow::array::{StringArray, StringBuilder};
use chrono::{DateTime, Datelike};

use crate::position::RecordedAt;
use crate::system::INVALID_MONTH;

const MICROS_A_DAY: i64 = 86_400_000_000;

/// 1 January 1990, in days since 1970. Nothing was recorded in a database of children's services before.
const FIRST_DAY: i64 = 7_305;

/// Tells months of times that can be true: from 1990 to a day after the message was read.
pub(super) struct Months {
    latest: i64,
}

impl Months {
    pub(super) fn before(ingested_at: RecordedAt) -> Self {
        Self {
            latest: ingested_at.micros().saturating_add(MICROS_A_DAY),
        }
    }

    pub(super) fn of(&self, times: &[i64]) -> StringArray {
        let mut months = StringBuilder::with_capacity(times.len(), times.len() * 7);
        // Changes come by the day; a month is worked out once for each.
        let mut last_day = i64::MIN;
        let mut last_month = String::new();
        for &time in times {
            let day = time.div_euclid(MICROS_A_DAY);
            if day < FIRST_DAY || time > self.latest {
                months.append_value(INVALID_MONTH);
                continue;
            }
            if day != last_day {
                last_day = day;
                last_month = match DateTime::from_timestamp_micros(time) {
                    Some(time) => format!("{:04}-{:02}", time.year(), time.month()),
                    None => INVALID_MONTH.to_owned(),
                };
            }
            months.append_value(&last_month);
        }
        months.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(time: &str, ingested_at: &str) -> String {
        let micros = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        Months::before(RecordedAt(micros(ingested_at)))
            .of(&[micros(time)])
            .value(0)
            .to_owned()
    }

    #[test]
    fn the_month_is_that_of_utc() {
        assert_eq!(month("2018-06-30T23:59:59.999999Z", "2020-01-01T00:00:00Z"), "2018-06");
        assert_eq!(month("2018-07-01T00:30:00+01:00", "2020-01-01T00:00:00Z"), "2018-06");
    }

    #[test]
    fn times_before_1990_or_more_than_a_day_ahead_are_invalid() {
        assert_eq!(month("1990-01-01T00:00:00Z", "2020-01-01T00:00:00Z"), "1990-01");
        assert_eq!(month("1989-12-31T23:59:59Z", "2020-01-01T00:00:00Z"), "invalid");
        assert_eq!(month("2020-01-02T00:00:00Z", "2020-01-01T00:00:00Z"), "2020-01");
        assert_eq!(month("2020-01-02T00:00:00.000001Z", "2020-01-01T00:00:00Z"), "invalid");
    }

    #[test]
    fn times_that_no_calendar_has_are_invalid() {
        let months = Months::before(RecordedAt(i64::MAX)).of(&[i64::MIN, i64::MAX, 0]);
        assert!(months.iter().all(|month| month == Some("invalid")), "{months:?}");
    }
}
