//! The moments at which metrics are asked for: a day, a moment, or every day of a range that a step meets.

use std::fmt;
use std::str::FromStr;

use casewatch_contract::RecordedAt;
use casewatch_query::{AsOf, london_date};
use chrono::{Days, Months, NaiveDate};

use crate::failure::Failure;

/// A civil date in London, or `today`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub NaiveDate);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "today" {
            return Ok(Self::today());
        }
        let date = text.parse();
        date.map(Self)
            .map_err(|_| "expected a date such as 2018-10-17, or `today`".to_owned())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Day {
    pub fn today() -> Self {
        let days = london_date(RecordedAt::now().0);
        let days = u64::try_from(days).expect("the clock stands after 1970");
        Self(NaiveDate::default() + Days::new(days))
    }
}

/// From one day of a range to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Days(u32),
    /// The same day of each month, or the last where a month is shorter.
    Months(u32),
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number of days, weeks or months, such as 1d, 1w or 1month".to_owned();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| expected())?;
        let step = match unit {
            "d" | "day" | "days" => Self::Days(number),
            "w" | "week" | "weeks" => Self::Days(number.saturating_mul(7)),
            "month" | "months" => Self::Months(number),
            _ => return Err(expected()),
        };
        if number == 0 { Err(expected()) } else { Ok(step) }
    }
}

impl Step {
    /// The day that stands `steps` after `from`; steps are counted from there, so that a short month shortens no other.
    fn after(self, from: NaiveDate, steps: u32) -> Option<NaiveDate> {
        match self {
            Self::Days(days) => from.checked_add_days(Days::new(u64::from(days) * u64::from(steps))),
            Self::Months(months) => from.checked_add_months(Months::new(months.checked_mul(steps)?)),
        }
    }
}

/// A moment and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub text: String,
    pub at: AsOf,
}

impl Moment {
    /// A day (its end), `today`, or a moment with its offset.
    ///
    /// # Errors
    /// Text that is none, under the name of its option.
    pub fn parse(option: &str, text: &str) -> Result<Self, Failure> {
        let text = match text {
            "today" => Day::today().to_string(),
            text => text.trim().to_owned(),
        };
        let at = text.parse();
        let at = at.map_err(|error| Failure::usage(format!("{option}: {error}")))?;
        Ok(Self { text, at })
    }

    /// The end of a day in London.
    pub fn end_of(day: NaiveDate) -> Self {
        let text = day.to_string();
        let at = text.parse().expect("a date is a moment");
        Self { text, at }
    }
}

/// The ends of the days from one to another that a step meets.
///
/// # Errors
/// A range that ends before it begins.
pub fn range(from: Day, to: Day, step: Step) -> Result<Vec<Moment>, Failure> {
    if from > to {
        return Err(Failure::usage(format!(
            "--from {from} is after --to {to}\nhint: --from names the earlier day"
        )));
    }
    let days = (0..).map_while(|steps| step.after(from.0, steps));
    Ok(days.take_while(|day| *day <= to.0).map(Moment::end_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, to: &str, step: &str) -> Vec<String> {
        let moments = range(from.parse().unwrap(), to.parse().unwrap(), step.parse().unwrap()).unwrap();
        moments.into_iter().map(|moment| moment.text).collect()
    }

    #[test]
    fn a_step_of_months_keeps_to_the_ends_of_months() {
        assert_eq!(
            days("2018-01-31", "2018-05-30", "1month"),
            ["2018-01-31", "2018-02-28", "2018-03-31", "2018-04-30"]
        );
    }

    #[test]
    fn weeks_and_days_end_at_the_last_step_within_the_range() {
        assert_eq!(
            days("2018-01-01", "2018-01-15", "1w"),
            ["2018-01-01", "2018-01-08", "2018-01-15"]
        );
        assert_eq!(
            days("2018-01-01", "2018-01-06", "2d"),
            ["2018-01-01", "2018-01-03", "2018-01-05"]
        );
        assert_eq!(days("2018-01-01", "2018-01-01", "3months"), ["2018-01-01"]);
    }

    #[test]
    fn a_day_is_its_end_in_london() {
        let moments = range(
            "2018-07-01".parse().unwrap(),
            "2018-07-01".parse().unwrap(),
            Step::Days(1),
        )
        .unwrap();
        assert_eq!(moments[0].at.0.to_string(), "2018-07-01T22:59:59.999999Z");
    }

    #[test]
    fn what_is_no_step_or_no_range_is_refused_with_what_was_expected() {
        for wrong in ["", "d", "0d", "1", "1y", "-1d", "1 d"] {
            assert!(wrong.parse::<Step>().unwrap_err().contains("1month"), "{wrong}");
        }
        let refused = range(
            "2018-02-01".parse().unwrap(),
            "2018-01-01".parse().unwrap(),
            Step::Days(1),
        )
        .unwrap_err();
        assert!(
            refused
                .message
                .starts_with("--from 2018-02-01 is after --to 2018-01-01\nhint:")
        );
        assert!(
            Moment::parse("--as-of", "someday")
                .unwrap_err()
                .message
                .starts_with("--as-of: `someday` is not a moment")
        );
    }
}
