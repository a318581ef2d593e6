//! Working days: not a weekend, not a bank holiday of England, not a local closure day.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;

use crate::as_of::days_since_1970;
use crate::error::QueryError;

const FIRST_DAY: i32 = -7_305; // 1950-01-01
const LAST_DAY: i32 = 47_846; // 2100-12-31

/// How many working days there are up to each day of 1950 to 2100. Outside these years days count from their nearer
/// end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Calendar {
    up_to: Vec<i32>,
}

impl Calendar {
    /// Weekends and the given days do not count.
    pub fn new(holidays: &BTreeSet<i32>) -> Self {
        let mut up_to = Vec::with_capacity(usize::try_from(LAST_DAY - FIRST_DAY + 1).unwrap_or_default());
        let mut working_days = 0;
        for day in FIRST_DAY..=LAST_DAY {
            working_days += i32::from(!is_weekend(day) && !holidays.contains(&day));
            up_to.push(working_days);
        }
        Self { up_to }
    }

    /// Reads `bank_holidays.csv` (`date`, `division`, `title`; England's division counts) and `closure_days.csv`
    /// (`date`, ...) of a folder. A file that is not there has no days.
    pub fn load(folder: &Path) -> Result<Self, QueryError> {
        let mut holidays = BTreeSet::new();
        read_days(&folder.join("bank_holidays.csv"), &mut holidays)?;
        read_days(&folder.join("closure_days.csv"), &mut holidays)?;
        Ok(Self::new(&holidays))
    }

    /// Working days d with `after < d <= up_to`; 0 when there are none or `up_to` is earlier.
    pub fn between(&self, after: i32, up_to: i32) -> i64 {
        i64::from((self.count(up_to) - self.count(after)).max(0))
    }

    /// The `working_days`-th working day after a day, or before it when negative; the day itself for 0.
    pub fn add(&self, day: i32, working_days: i64) -> i32 {
        let rank = match working_days {
            0 => return day,
            after if after > 0 => i64::from(self.count(day)).saturating_add(after),
            before => i64::from(self.count(day.saturating_sub(1))).saturating_add(before) + 1,
        };
        let found = self.up_to.partition_point(|count| i64::from(*count) < rank.max(1));
        i32::try_from(found).map_or(LAST_DAY, |offset| (FIRST_DAY + offset).min(LAST_DAY))
    }

    fn count(&self, day: i32) -> i32 {
        if day < FIRST_DAY {
            return 0;
        }
        let offset = usize::try_from(day.min(LAST_DAY) - FIRST_DAY).unwrap_or_default();
        self.up_to[offset]
    }
}

/// 1970-01-01 was a Thursday.
fn is_weekend(day: i32) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

fn read_days(path: &Path, days: &mut BTreeSet<i32>) -> Result<(), QueryError> {
    if !path.exists() {
        return Ok(());
    }
    let wrong = |detail: String| QueryError::Reference {
        path: path.to_owned(),
        detail,
    };
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| wrong(error.to_string()))?;
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let date = column("date").ok_or_else(|| wrong("it needs a column date".to_owned()))?;
    let division = column("division");
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let of_england = division
            .and_then(|column| record.get(column))
            .is_none_or(|text| text.starts_with("england"));
        if !of_england {
            continue;
        }
        let text = record.get(date).unwrap_or_default();
        let day: NaiveDate = text
            .parse()
            .map_err(|_| wrong(format!("`{text}` is not a date such as 2018-12-25")))?;
        days.insert(days_since_1970(day));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        days_since_1970(text.parse().unwrap())
    }

    fn easter_2018() -> Calendar {
        Calendar::new(&BTreeSet::from([day("2018-03-30"), day("2018-04-02")]))
    }

    #[test]
    fn the_first_day_is_not_counted_and_the_last_is() {
        let calendar = Calendar::new(&BTreeSet::new());
        assert_eq!(calendar.between(day("2018-10-15"), day("2018-10-17")), 2);
        assert_eq!(calendar.between(day("2018-10-15"), day("2018-10-15")), 0);
        assert_eq!(calendar.between(day("2018-10-17"), day("2018-10-15")), 0);
    }

    #[test]
    fn easter_does_not_count() {
        let calendar = easter_2018();
        assert_eq!(calendar.between(day("2018-03-29"), day("2018-04-02")), 0);
        assert_eq!(calendar.between(day("2018-03-29"), day("2018-04-04")), 2);
        assert_eq!(calendar.between(day("2018-03-29"), day("2018-04-05")), 3);
    }

    #[test]
    fn adding_working_days_lands_on_a_working_day_and_inverts_counting() {
        let calendar = easter_2018();
        assert_eq!(calendar.add(day("2018-03-29"), 1), day("2018-04-03"));
        assert_eq!(calendar.add(day("2018-03-31"), 1), day("2018-04-03"));
        assert_eq!(calendar.add(day("2018-04-03"), -1), day("2018-03-29"));
        assert_eq!(calendar.add(day("2018-04-01"), -1), day("2018-03-29"));
        let (first, last) = (
            calendar.add(day("2018-03-29"), i64::MIN),
            calendar.add(day("2018-03-29"), i64::MAX),
        );
        assert_eq!((first, last), (calendar.add(FIRST_DAY - 1, 1), LAST_DAY));
        assert_eq!(calendar.add(day("2018-04-01"), 0), day("2018-04-01"));
        for days in 1..300 {
            let reached = calendar.add(day("2018-03-29"), days);
            assert_eq!(calendar.between(day("2018-03-29"), reached), days);
        }
    }

    #[test]
    fn only_englands_holidays_are_read_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let csv = "date,division,title\n2018-03-19,scotland,x\n2018-03-30,england-and-wales,Good Friday\n";
        std::fs::write(folder.path().join("bank_holidays.csv"), csv).unwrap();
        std::fs::write(folder.path().join("closure_days.csv"), "date,title\n2018-04-03,flood\n").unwrap();
        let calendar = Calendar::load(folder.path()).unwrap();
        assert_eq!(calendar.between(day("2018-03-16"), day("2018-03-19")), 1);
        assert_eq!(calendar.between(day("2018-03-29"), day("2018-04-03")), 1);
    }
}
