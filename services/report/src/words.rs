//! Numbers, dates and changes as they are written, and sentences about them.

use chrono::{Datelike, NaiveDate};

use crate::layout::{Good, Indicator, Total};

/// How the numbers of an indicator are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// What a number is multiplied by.
    factor: f64,
    decimals: usize,
    /// Written behind each number.
    suffix: &'static str,
    /// What is counted, for the heading of a line.
    pub unit: String,
}

impl Style {
    /// The style of an indicator whose metric has this unit.
    pub fn of(indicator: &Indicator, unit: &str) -> Self {
        let is_mean = indicator.total == Total::Given;
        let (factor, decimals, suffix, words) = match unit {
            "ratio" => (100.0, 1, " %", "per cent".to_owned()),
            "calendardays" => (1.0, usize::from(is_mean), "", "calendar days".to_owned()),
            "workdays" => (1.0, usize::from(is_mean), "", "working days".to_owned()),
            "fte" => (1.0, 1, "", "full-time equivalents".to_owned()),
            "cases_per_fte" => (1.0, 1, "", "cases per full-time equivalent".to_owned()),
            other => (1.0, 0, "", other.replace('_', " ")),
        };
        Self {
            factor,
            decimals,
            suffix,
            unit: indicator.unit.clone().unwrap_or(words),
        }
    }

    /// The number as a reader sees it: in the unit of the report, rounded as it is written. Whatever is drawn or
    /// computed from it says no more than what is written.
    pub fn shown(&self, number: f64) -> f64 {
        let scale = 10_f64.powi(i32::try_from(self.decimals).unwrap_or(0));
        let rounded = (number * self.factor * scale).round() / scale;
        // No minus before a zero.
        if rounded == 0.0 { 0.0 } else { rounded }
    }

    /// A number that is shown, written.
    pub fn write(&self, shown: f64) -> String {
        format!("{}{}", self.plain(shown), self.suffix)
    }

    /// The same in a sentence, where no heading says that these are days.
    pub fn tell(&self, shown: f64) -> String {
        match self.unit.ends_with("days") {
            true => format!("{} {}", self.write(shown), self.unit),
            false => self.write(shown),
        }
    }

    fn plain(&self, shown: f64) -> String {
        let text = format!("{:.*}", self.decimals, shown.abs());
        let (whole, rest) = text
            .split_once('.')
            .map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let sign = if shown < 0.0 { "\u{2212}" } else { "" };
        match rest {
            Some(rest) => format!("{sign}{grouped}.{rest}"),
            None => sign.to_owned() + &grouped,
        }
    }

    /// A change between two numbers that are shown, with its sign.
    pub fn change(&self, from: f64, to: f64) -> String {
        let by = self.difference(from, to);
        let points = if self.suffix.is_empty() { "" } else { " points" };
        match by {
            0.0 => "no change".to_owned(),
            by if by > 0.0 => format!("+{}{points}", self.plain(by)),
            by => format!("{}{points}", self.plain(by)),
        }
    }

    /// A difference has no more digits than what it is between.
    fn difference(&self, from: f64, to: f64) -> f64 {
        let scale = 10_f64.powi(i32::try_from(self.decimals).unwrap_or(0));
        ((to - from) * scale).round() / scale
    }
}

/// What a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Better,
    Worse,
    Same,
    /// Neither direction is the good one.
    Neutral,
}

impl Direction {
    pub fn of(good: Good, from: f64, to: f64) -> Self {
        let rose = match to.total_cmp(&from) {
            std::cmp::Ordering::Equal => return Self::Same,
            order => order.is_gt(),
        };
        match (good, rose) {
            (Good::Neither, _) => Self::Neutral,
            (Good::High, true) | (Good::Low, false) => Self::Better,
            (Good::High, false) | (Good::Low, true) => Self::Worse,
        }
    }

    /// Written beside a change, so that nobody has to tell by a colour.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same | Self::Neutral => "",
        }
    }
}

/// Whether a change is large enough to be told: at least this share of what was before.
pub fn is_notable(from: f64, to: f64, share: f64) -> bool {
    to != from && (to - from).abs() >= share * from.abs()
}

/// `rose from 78 to 81 (+3)`
pub fn moved(style: &Style, from: f64, to: f64) -> String {
    let verb = if to > from { "rose" } else { "fell" };
    let (from_text, to_text) = (style.write(from), style.tell(to));
    format!("{verb} from {from_text} to {to_text} ({})", style.change(from, to))
}

/// `31 January 2019`
pub fn day(date: NaiveDate) -> String {
    date.format("%-d %B %Y").to_string()
}

/// `January 2019`
pub fn month(date: NaiveDate) -> String {
    date.format("%B %Y").to_string()
}

/// `31 Jan 2019`
pub fn short_day(date: NaiveDate) -> String {
    date.format("%-d %b %Y").to_string()
}

/// `Jan 2019`
pub fn short_month(date: NaiveDate) -> String {
    date.format("%b %Y").to_string()
}

pub fn is_january(date: NaiveDate) -> bool {
    date.month() == 1
}

/// `a, b and c`
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn indicator(total: &str) -> Indicator {
        let text = format!("title = \"t\"\nmetric = \"casewatch_m\"\ntotal = \"{total}\"\ngood = \"low\"\n");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn numbers_are_written_in_their_unit_with_the_digits_they_deserve() {
        let style = |total: &str, unit: &str| Style::of(&indicator(total), unit);
        let write = |style: &Style, number: f64| style.write(style.shown(number));
        assert_eq!(write(&style("sum", "cases"), 5_430.0), "5,430");
        assert_eq!(write(&style("sum", "cases"), 1_234_567.0), "1,234,567");
        assert_eq!(write(&style("given", "ratio"), 0.178_4), "17.8 %");
        assert_eq!(write(&style("given", "calendardays"), 14.25), "14.3");
        assert_eq!(write(&style("max", "calendardays"), 75.0), "75");
        assert_eq!(write(&style("given", "cases_per_fte"), 18.66), "18.7");
        assert_eq!(write(&style("given", "ratio"), -0.000_1), "0.0 %");
    }

    #[test]
    fn a_change_is_between_the_figures_as_shown() {
        let ratio = Style::of(&indicator("given"), "ratio");
        let (from, to) = (ratio.shown(0.1784), ratio.shown(0.1835));
        // 17.8 to 18.4 (0.1835 is a little more than 18.35): what a reader works out.
        assert_eq!(ratio.change(from, to), "+0.6 points");
        assert_eq!(ratio.change(to, to), "no change");
        let cases = Style::of(&indicator("sum"), "cases");
        assert_eq!(cases.change(551.0, 81.0), "\u{2212}470");
        assert_eq!(moved(&cases, 78.0, 81.0), "rose from 78 to 81 (+3)");
    }

    #[test]
    fn a_change_is_judged_by_the_good_direction() {
        assert_eq!(Direction::of(Good::Low, 78.0, 81.0), Direction::Worse);
        assert_eq!(Direction::of(Good::High, 78.0, 81.0), Direction::Better);
        assert_eq!(Direction::of(Good::Neither, 78.0, 81.0), Direction::Neutral);
        assert_eq!(Direction::of(Good::Low, 81.0, 81.0), Direction::Same);
        assert!(is_notable(0.0, 1.0, 0.1) && is_notable(100.0, 110.0, 0.1));
        assert!(!is_notable(100.0, 109.0, 0.1) && !is_notable(0.0, 0.0, 0.1));
    }

    #[test]
    fn lists_and_dates_read_as_english() {
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            (list(&words), list(&words[..1])),
            ("a, b and c".to_owned(), "a".to_owned())
        );
        let date = NaiveDate::from_ymd_opt(2019, 1, 31).unwrap();
        assert_eq!(
            (day(date), month(date)),
            ("31 January 2019".to_owned(), "January 2019".to_owned())
        );
    }
}
