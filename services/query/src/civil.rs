//! Civil time in London: which day a moment falls on, and when a day begins (RULES 18).
//!
//! Days are days since 1970-01-01, moments microseconds since then in UTC, as Arrow has them.

use std::sync::LazyLock;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Europe::London;

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
const FIRST_DAY: i32 = -7_305; // 1950-01-01
const LAST_DAY: i32 = 47_846; // 2100-12-31

/// When London's clocks changed, and what is added to UTC from then on.
static CHANGES: LazyLock<Vec<(i64, i64)>> = LazyLock::new(|| {
    let mut changes = vec![(i64::MIN, offset_by_rules(i64::from(FIRST_DAY) * DAY_US))];
    for day in FIRST_DAY..LAST_DAY {
        let midnight = i64::from(day) * DAY_US;
        let before = changes[changes.len() - 1].1;
        if offset_by_rules(midnight + DAY_US) != before {
            let moment = (1..=24)
                .map(|hour| midnight + hour * HOUR_US)
                .find(|moment| offset_by_rules(*moment) != before);
            let moment = moment.expect("the offset changes within this day, on the hour");
            changes.push((moment, offset_by_rules(moment)));
        }
    }
    changes
});

/// The day in London on which a moment falls.
pub fn london_date(moment_us: i64) -> i32 {
    let local = moment_us.saturating_add(offset_at(moment_us));
    i32::try_from(local.div_euclid(DAY_US)).unwrap_or(if local < 0 { i32::MIN } else { i32::MAX })
}

/// The moment at which a day begins in London; of days beyond all moments, the nearest.
pub fn london_midnight(day: i32) -> i64 {
    let utc_midnight = i64::from(day).saturating_mul(DAY_US);
    // Clocks change at 01:00 UTC, so an hour before midnight UTC the offset is that of local midnight.
    utc_midnight.saturating_sub(offset_at(utc_midnight.saturating_sub(HOUR_US)))
}

/// The last microsecond of a day in London.
pub fn end_of_london_day(day: i32) -> i64 {
    london_midnight(day.saturating_add(1)).saturating_sub(1)
}

fn offset_at(moment_us: i64) -> i64 {
    let after = CHANGES.partition_point(|(change, _)| *change <= moment_us);
    CHANGES[after - 1].1
}

fn offset_by_rules(moment_us: i64) -> i64 {
    let utc = DateTime::from_timestamp_micros(moment_us).expect("the years 1950 to 2100 are within range");
    i64::from(
        London
            .offset_from_utc_datetime(&utc.naive_utc())
            .fix()
            .local_minus_utc(),
    ) * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn us(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn day(text: &str) -> i32 {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        i32::try_from((text.parse::<NaiveDate>().unwrap() - epoch).num_days()).unwrap()
    }

    #[test]
    fn half_past_eleven_in_summer_utc_is_the_next_day_in_london() {
        assert_eq!(london_date(us("2018-06-30T22:59:59Z")), day("2018-06-30"));
        assert_eq!(london_date(us("2018-06-30T23:30:00Z")), day("2018-07-01"));
        assert_eq!(london_date(us("2018-12-31T23:30:00Z")), day("2018-12-31"));
    }

    #[test]
    fn a_day_begins_at_local_midnight_also_when_the_clocks_change() {
        assert_eq!(london_midnight(day("2018-03-25")), us("2018-03-25T00:00:00Z"));
        assert_eq!(london_midnight(day("2018-03-26")), us("2018-03-25T23:00:00Z"));
        assert_eq!(london_midnight(day("2018-10-28")), us("2018-10-27T23:00:00Z"));
        assert_eq!(london_midnight(day("2018-10-29")), us("2018-10-29T00:00:00Z"));
    }

    #[test]
    fn days_beyond_all_moments_begin_at_the_nearest() {
        assert_eq!(london_midnight(i32::MAX), i64::MAX);
        assert_eq!(london_midnight(i32::MIN), i64::MIN);
        assert_eq!(end_of_london_day(i32::MAX), i64::MAX - 1);
    }

    #[test]
    fn the_end_of_a_day_is_its_last_microsecond() {
        assert_eq!(end_of_london_day(day("2018-10-17")), us("2018-10-17T22:59:59.999999Z"));
        assert_eq!(london_date(end_of_london_day(day("2018-10-17"))), day("2018-10-17"));
    }
}
