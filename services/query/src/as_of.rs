//! A moment as people write it: a bare date means the end of that day in London (RULES 18).

use std::fmt;
use std::str::FromStr;

use casewatch_contract::RecordedAt;
use chrono::{DateTime, NaiveDate, TimeDelta};

use crate::civil::{end_of_london_day, london_date};
use crate::error::QueryError;

/// The moment a question is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsOf(pub RecordedAt);

/// As people write it: the day where it is the end of one in London, else the time.
impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = london_date(self.0.0);
        let date = NaiveDate::default().checked_add_signed(TimeDelta::days(day.into()));
        match date.filter(|_| end_of_london_day(day) == self.0.0) {
            Some(date) => date.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for AsOf {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let text = text.trim();
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(Self(RecordedAt(end_of_london_day(days_since_1970(date)))));
        }
        let spaced = text.replacen(' ', "T", 1);
        match DateTime::parse_from_rfc3339(&spaced) {
            Ok(moment) => Ok(Self(RecordedAt(moment.timestamp_micros()))),
            Err(_) => Err(QueryError::Moment { text: text.to_owned() }),
        }
    }
}

pub(crate) fn days_since_1970(date: NaiveDate) -> i32 {
    let days = (date - NaiveDate::default()).num_days();
    i32::try_from(days).expect("chrono's dates are within 2^31 days of 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_date_is_the_end_of_that_day_in_london() {
        let as_of: AsOf = "2018-07-01".parse().unwrap();
        assert_eq!(as_of.0.to_string(), "2018-07-01T22:59:59.999999Z");
        assert_eq!(as_of.to_string(), "2018-07-01");
    }

    #[test]
    fn a_moment_needs_an_offset() {
        let as_of: AsOf = "2018-07-01 09:30:00+01:00".parse().unwrap();
        assert_eq!(as_of.0.to_string(), "2018-07-01T08:30:00Z");
        assert_eq!(as_of.to_string(), "2018-07-01T08:30:00Z");
        assert!("2018-07-01T09:30:00".parse::<AsOf>().is_err());
        assert!("yesterday".parse::<AsOf>().is_err());
    }
}
