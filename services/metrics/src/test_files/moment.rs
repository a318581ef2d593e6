//! Dates and moments as people write them. Civil dates are Europe/London (RULES 18).

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Europe::London;

/// 00:00 in London of a civil date, in microseconds. Where that hour does not exist, the first moment after it.
pub fn london_midnight(date: NaiveDate) -> i64 {
    let midnight = date.and_hms_opt(0, 0, 0).expect("midnight is a time of day");
    london(midnight).timestamp_micros()
}

/// The last microsecond of a London day.
pub fn end_of_day(date: NaiveDate) -> i64 {
    date.checked_add_days(Days::new(1))
        .map_or(i64::MAX, |next| london_midnight(next) - 1)
}

/// `2018-10-17` is the end of that London day; otherwise a moment with its offset.
pub fn parse_as_of(text: &str) -> Option<i64> {
    match parse_date(text) {
        Some(date) => Some(end_of_day(date)),
        None => parse_moment(text),
    }
}

/// `2018-10-17` is 00:00 of that London day; otherwise a moment with its offset.
pub fn parse_start(text: &str) -> Option<i64> {
    match parse_date(text) {
        Some(date) => Some(london_midnight(date)),
        None => parse_moment(text),
    }
}

pub fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Days since 1970.
pub fn days_of(date: NaiveDate) -> i32 {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).expect("chrono's dates are within i32 days")
}

fn parse_moment(text: &str) -> Option<i64> {
    let with_offset = DateTime::parse_from_rfc3339(text).ok();
    let local = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .map(london)
    };
    with_offset
        .map(|time| time.with_timezone(&Utc))
        .or_else(local)
        .map(|time| time.timestamp_micros())
}

fn london(local: NaiveDateTime) -> DateTime<Utc> {
    let found = London.from_local_datetime(&local).earliest();
    let after_gap = || {
        London
            .from_local_datetime(&(local + chrono::Duration::hours(1)))
            .earliest()
    };
    found
        .or_else(after_gap)
        .expect("London's clock skips one hour at most")
        .with_timezone(&Utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn a_bare_date_ends_with_its_london_day() {
        assert_eq!(parse_as_of("2018-06-30"), Some(utc("2018-06-30T22:59:59.999999Z")));
        assert_eq!(parse_as_of("2018-12-31"), Some(utc("2018-12-31T23:59:59.999999Z")));
        assert_eq!(
            parse_as_of("2018-06-30T12:00:00+01:00"),
            Some(utc("2018-06-30T11:00:00Z"))
        );
        assert_eq!(parse_as_of("yesterday"), None);
    }

    #[test]
    fn a_bare_date_of_a_timestamp_starts_its_london_day() {
        assert_eq!(parse_start("2018-07-01"), Some(utc("2018-06-30T23:00:00Z")));
        assert_eq!(parse_start("2018-07-01T09:00:00"), Some(utc("2018-07-01T08:00:00Z")));
    }
}
