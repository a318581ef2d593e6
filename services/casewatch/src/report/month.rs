//! A month of the calendar, and the ends of the months before it.

use std::fmt;
use std::str::FromStr;

use casewatch_query::AsOf;
use chrono::{Datelike, Days, Months, NaiveDate};

use crate::past::Moment;

/// A month, by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(NaiveDate);

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = format!("{text}-01").parse::<NaiveDate>();
        // Years before the first have neither ends of days nor months before them here.
        let first = first.ok().filter(|first| (1901..=9000).contains(&first.year()));
        first
            .map(Self)
            .ok_or_else(|| "expected a month such as 2019-01".to_owned())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&casewatch_report::month(self.0))
    }
}

impl Month {
    /// `2019-01`
    pub fn number(self) -> String {
        self.0.format("%Y-%m").to_string()
    }

    pub fn last_day(self) -> NaiveDate {
        self.0 + Months::new(1) - Days::new(1)
    }

    /// The last moment before it.
    pub fn begins_after(self) -> AsOf {
        Moment::end_of(self.0 - Days::new(1)).at
    }

    /// The last days of so many months, this one's the last.
    pub fn dates(self, months: usize) -> Vec<NaiveDate> {
        let months = u32::try_from(months).unwrap_or(u32::MAX);
        let before = (0..months).rev().map(|back| Self(self.0 - Months::new(back)));
        before.map(Self::last_day).collect()
    }

    /// Their ends.
    pub fn ends(self, months: usize) -> Vec<Moment> {
        self.dates(months).into_iter().map(Moment::end_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_months_keep_to_their_last_days() {
        let month: Month = "2020-03".parse().unwrap();
        let days: Vec<String> = month.dates(4).iter().map(NaiveDate::to_string).collect();
        assert_eq!(days, ["2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31"]);
        assert_eq!(month.begins_after().to_string(), "2020-02-29");
        assert_eq!(
            (month.number(), month.to_string()),
            ("2020-03".to_owned(), "March 2020".to_owned())
        );
    }

    #[test]
    fn what_is_no_month_is_refused_with_what_was_expected() {
        for wrong in ["2019", "2019-13", "2019-01-31", "January", "0001-01", ""] {
            assert!(wrong.parse::<Month>().unwrap_err().contains("2019-01"), "{wrong}");
        }
    }
}
