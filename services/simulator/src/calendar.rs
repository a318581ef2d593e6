//! London's days: working days of England and Wales, midnights, and times in the day.
//!
//! Promises: every day between [`FIRST_YEAR`] and [`LAST_YEAR`] has an answer, and
//! `working_days_between(a, b)` counts the working days d with `a < d <= b`.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Weekday};
use chrono_tz::Europe::London;

/// First year the calendar knows.
pub const FIRST_YEAR: i32 = 2010;
/// Last year the calendar knows.
pub const LAST_YEAR: i32 = 2040;
/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;

/// A civil day in London, as days since 1 January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// An instant, as microseconds since 1 January 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Day {
    /// The day of this date; the date must exist.
    pub fn of(year: i32, month: u32, day: u32) -> Self {
        Self::from_date(NaiveDate::from_ymd_opt(year, month, day).expect("a date that exists"))
    }

    /// The day of a date.
    pub fn from_date(date: NaiveDate) -> Self {
        Self(date.num_days_from_ce() - 719_163)
    }

    /// The date of a day.
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(self.0 + 719_163).expect("days of this calendar are dates")
    }

    /// The day this many calendar days later (earlier when negative).
    pub fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// The first day of this day's month.
    pub fn month(self) -> Self {
        Self(self.0 - self.date().day0() as i32)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.date().fmt(f)
    }
}

impl Time {
    /// The time this many microseconds later.
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0 + micros)
    }
}

/// Working days and midnights, counted once.
#[derive(Debug)]
pub struct Calendar {
    first: Day,
    /// Working days up to and including each day.
    working: Vec<i32>,
    /// London's midnight that begins each day.
    midnights: Vec<Time>,
    /// Microseconds to take from London's wall clock at noon to get UTC.
    noon_offset: Vec<i64>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

impl Calendar {
    /// Counts every day the calendar knows.
    pub fn new() -> Self {
        let first = Day::of(FIRST_YEAR, 1, 1);
        let last = Day::of(LAST_YEAR, 12, 31);
        let holidays: Vec<Day> = (FIRST_YEAR..=LAST_YEAR).flat_map(bank_holidays).collect();
        let (mut working, mut midnights, mut noon_offset, mut count) = (vec![], vec![], vec![], 0);
        for number in first.0..=last.0 {
            let date = Day(number).date();
            if !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !holidays.contains(&Day(number)) {
                count += 1;
            }
            working.push(count);
            midnights.push(utc(date.and_time(NaiveTime::MIN)));
            let noon = date.and_hms_opt(12, 0, 0).expect("noon exists");
            noon_offset.push(noon.and_utc().timestamp_micros() - utc(noon).0);
        }
        Self {
            first,
            working,
            midnights,
            noon_offset,
        }
    }

    fn index(&self, day: Day) -> usize {
        usize::try_from(day.0 - self.first.0).expect("day is after the calendar's first")
    }

    /// Working days d with `a < d <= b`.
    pub fn working_days_between(&self, a: Day, b: Day) -> i32 {
        self.working[self.index(b)] - self.working[self.index(a)]
    }

    /// Is this a working day?
    pub fn is_working(&self, day: Day) -> bool {
        self.working_days_between(day.plus(-1), day) == 1
    }

    /// The working day `n` working days after `day` (`n` >= 1), or, for 0, this day or the next working one.
    pub fn add_working_days(&self, day: Day, n: i32) -> Day {
        let mut result = day;
        let mut left = n;
        if n == 0 && !self.is_working(day) {
            left = 1;
        }
        while left > 0 {
            result = result.plus(1);
            if self.is_working(result) {
                left -= 1;
            }
        }
        result
    }

    /// This day if it is a working day, else the last one before it.
    pub fn working_day_at_or_before(&self, day: Day) -> Day {
        let mut result = day;
        while !self.is_working(result) {
            result = result.plus(-1);
        }
        result
    }

    /// London's midnight at the beginning of the day.
    pub fn midnight(&self, day: Day) -> Time {
        self.midnights[self.index(day)]
    }

    /// The last microsecond of the day in London.
    pub fn end_of(&self, day: Day) -> Time {
        self.midnight(day.plus(1)).plus(-1)
    }

    /// The instant of a wall-clock time in London; `second` of the day must lie after three in the morning.
    pub fn at(&self, day: Day, second: i64) -> Time {
        debug_assert!(second >= 3 * 3600, "clocks change before three");
        Time(i64::from(day.0) * 86_400 * SECOND + second * SECOND - self.noon_offset[self.index(day)])
    }

    /// The London day an instant falls on.
    pub fn day_of(&self, time: Time) -> Day {
        let guess = Day(time.0.div_euclid(86_400 * SECOND) as i32);
        if time >= self.midnight(guess.plus(1)) {
            guess.plus(1)
        } else {
            guess
        }
    }
}

fn utc(local: NaiveDateTime) -> Time {
    let offset = London
        .offset_from_local_datetime(&local)
        .earliest()
        .expect("London's clocks change at one, not here");
    Time(local.and_utc().timestamp_micros() - i64::from(offset.fix().local_minus_utc()) * SECOND)
}

/// Bank holidays of England and Wales (GOV.UK), by rule, with the single days that were moved or added.
fn bank_holidays(year: i32) -> Vec<Day> {
    let easter = easter_sunday(year);
    let mut days = vec![
        substitute(Day::of(year, 1, 1), &[]),
        easter.plus(-2),
        easter.plus(1),
        last_monday(year, 8),
    ];
    match year {
        2020 => days.push(Day::of(2020, 5, 8)),
        _ => days.push(first_monday(year, 5)),
    }
    match year {
        2012 => days.extend([Day::of(2012, 6, 4), Day::of(2012, 6, 5)]),
        2022 => days.extend([Day::of(2022, 6, 2), Day::of(2022, 6, 3), Day::of(2022, 9, 19)]),
        _ => days.push(last_monday(year, 5)),
    }
    match year {
        2011 => days.push(Day::of(2011, 4, 29)),
        2023 => days.push(Day::of(2023, 5, 8)),
        _ => {}
    }
    let christmas = Day::of(year, 12, 25);
    let boxing = Day::of(year, 12, 26);
    match christmas.date().weekday() {
        Weekday::Fri => days.extend([christmas, boxing.plus(2)]),
        Weekday::Sat => days.extend([christmas.plus(2), boxing.plus(2)]),
        Weekday::Sun => days.extend([christmas.plus(2), boxing]),
        _ => days.extend([christmas, boxing]),
    }
    days
}

fn substitute(day: Day, taken: &[Day]) -> Day {
    let mut result = day;
    while matches!(result.date().weekday(), Weekday::Sat | Weekday::Sun) || taken.contains(&result) {
        result = result.plus(1);
    }
    result
}

fn first_monday(year: i32, month: u32) -> Day {
    let date = NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Mon, 1).expect("every month has a Monday");
    Day::from_date(date)
}

fn last_monday(year: i32, month: u32) -> Day {
    let mut date = NaiveDate::from_ymd_opt(year, month, 31).expect("May and August have 31 days");
    while date.weekday() != Weekday::Mon {
        date = date - Days::new(1);
    }
    Day::from_date(date)
}

/// The anonymous Gregorian computus.
fn easter_sunday(year: i32) -> Day {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    Day::of(year, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_and_moved_holidays_are_not_working_days() {
        let calendar = Calendar::new();
        for day in [
            Day::of(2018, 1, 1),
            Day::of(2018, 3, 30),
            Day::of(2018, 4, 2),
            Day::of(2018, 5, 7),
            Day::of(2018, 5, 28),
            Day::of(2018, 8, 27),
            Day::of(2018, 12, 25),
            Day::of(2018, 12, 26),
            Day::of(2019, 4, 19),
            Day::of(2019, 4, 22),
            Day::of(2020, 4, 10),
            Day::of(2020, 5, 8),
            Day::of(2020, 12, 28),
            Day::of(2021, 12, 27),
            Day::of(2021, 12, 28),
        ] {
            assert!(!calendar.is_working(day), "{day}");
        }
        assert!(
            calendar.is_working(Day::of(2020, 5, 4)),
            "the early May holiday of 2020 moved"
        );
        let year = calendar.working_days_between(Day::of(2017, 12, 31), Day::of(2018, 12, 31));
        assert_eq!(year, 253);
    }

    #[test]
    fn a_day_begins_and_ends_on_london_s_clock() {
        let calendar = Calendar::new();
        let june = Day::of(2018, 6, 30);
        assert_eq!(calendar.end_of(june).0, 1_530_399_600_000_000 - 1);
        assert_eq!(calendar.day_of(Time(1_530_399_600_000_000)), june.plus(1));
        assert_eq!(
            calendar.at(june, 9 * 3600).0,
            calendar.midnight(june).0 + 9 * 3600 * SECOND
        );
        assert_eq!(
            calendar.working_days_between(Day::of(2018, 3, 29), Day::of(2018, 4, 5)),
            3
        );
    }
}
