//! Text of a cell -> a value of its column's type. Parquet cells take the same way, by their display form.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use casewatch_contract::Column;
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Europe::London;

/// A column being read.
pub struct Cells {
    builder: Builder,
    symbols: Option<Vec<String>>,
}

enum Builder {
    Text(StringBuilder),
    Date(Date32Builder),
    Moment(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder, u8, i8),
    Flag(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
}

/// The value does not fit its column. It holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit;

impl Cells {
    pub fn new(column: &Column) -> Self {
        let builder = match &column.data_type {
            DataType::Date32 => Builder::Date(Date32Builder::new()),
            DataType::Timestamp(..) => {
                Builder::Moment(TimestampMicrosecondBuilder::new().with_data_type(column.data_type.clone()))
            }
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(column.data_type.clone());
                Builder::Decimal(builder, *precision, *scale)
            }
            DataType::Boolean => Builder::Flag(BooleanBuilder::new()),
            DataType::Int32 => Builder::Int(Int32Builder::new()),
            DataType::Int64 => Builder::Long(Int64Builder::new()),
            _ => Builder::Text(StringBuilder::new()),
        };
        Self {
            builder,
            symbols: column.symbols.clone(),
        }
    }

    /// Adds the value `text` stands for.
    ///
    /// # Errors
    /// [`Misfit`] when it stands for none; then nothing is added.
    pub fn push(&mut self, text: &str) -> Result<(), Misfit> {
        match &mut self.builder {
            Builder::Text(builder) => {
                if self
                    .symbols
                    .as_ref()
                    .is_some_and(|symbols| !symbols.iter().any(|symbol| symbol == text))
                {
                    return Err(Misfit);
                }
                builder.append_value(text);
            }
            Builder::Date(builder) => builder.append_value(days(date(text).ok_or(Misfit)?)),
            Builder::Moment(builder) => builder.append_value(moment(text).ok_or(Misfit)?),
            Builder::Decimal(builder, precision, scale) => {
                builder.append_value(decimal(text, *precision, *scale).ok_or(Misfit)?);
            }
            Builder::Flag(builder) => builder.append_value(flag(text).ok_or(Misfit)?),
            Builder::Int(builder) => builder.append_value(text.parse().map_err(|_| Misfit)?),
            Builder::Long(builder) => builder.append_value(text.parse().map_err(|_| Misfit)?),
        }
        Ok(())
    }

    pub fn push_null(&mut self) {
        match &mut self.builder {
            Builder::Text(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Moment(builder) => builder.append_null(),
            Builder::Decimal(builder, ..) => builder.append_null(),
            Builder::Flag(builder) => builder.append_null(),
            Builder::Int(builder) => builder.append_null(),
            Builder::Long(builder) => builder.append_null(),
        }
    }

    pub fn finish(self) -> ArrayRef {
        match self.builder {
            Builder::Text(mut builder) => Arc::new(builder.finish()),
            Builder::Date(mut builder) => Arc::new(builder.finish()),
            Builder::Moment(mut builder) => Arc::new(builder.finish()),
            Builder::Decimal(mut builder, ..) => Arc::new(builder.finish()),
            Builder::Flag(mut builder) => Arc::new(builder.finish()),
            Builder::Int(mut builder) => Arc::new(builder.finish()),
            Builder::Long(mut builder) => Arc::new(builder.finish()),
        }
    }
}

/// Whether `text` stands for a value of `column`.
pub fn fits(column: &Column, text: &str) -> bool {
    Cells::new(column).push(text).is_ok()
}

/// What a cell of `column` holds, for errors.
pub fn expected(column: &Column) -> String {
    if let Some(symbols) = &column.symbols {
        return format!("one of {}", symbols.join(", "));
    }
    match &column.data_type {
        DataType::Date32 => "a date such as 2018-01-31".to_owned(),
        DataType::Timestamp(..) => {
            "a timestamp such as 2018-01-31T09:30:00Z, 2018-01-31 09:30:00 (London) or 2018-01-31".to_owned()
        }
        DataType::Decimal128(precision, scale) => {
            format!(
                "a decimal such as 0.6, at most {} digits before the point",
                i16::from(*precision) - i16::from(*scale)
            )
        }
        DataType::Boolean => "true or false (or yes, no, y, n, t, f, 1, 0)".to_owned(),
        DataType::Int32 | DataType::Int64 => "a whole number".to_owned(),
        _ => "text in UTF-8".to_owned(),
    }
}

/// Text around which only space stands, or `None` for a cell without a value: empty, or the word `NULL` as database
/// tools export it.
pub fn stated(text: &str) -> Option<&str> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    (!text.is_empty() && text != "NULL").then_some(text)
}

/// An ISO date; a midnight may follow it, as tools write that know no dates.
pub fn date(text: &str) -> Option<NaiveDate> {
    let (day, time) = text.split_at_checked(10)?;
    let is_midnight = |time: &str| {
        time.trim_start_matches(['T', ' '])
            .bytes()
            .all(|byte| matches!(byte, b'0' | b':' | b'.'))
    };
    let names_a_day = time.is_empty() || (time.starts_with(['T', ' ']) && is_midnight(time));
    if names_a_day { iso_day(day) } else { None }
}

/// Days since 1970.
pub fn days(date: NaiveDate) -> i32 {
    date.signed_duration_since(NaiveDate::default()).num_days() as i32
}

/// Microseconds since 1970 of an ISO timestamp: with an offset, or in London's civil time. A date alone is its London
/// midnight. In the hour that autumn repeats the first is meant; a time that spring skips is taken as winter time.
pub fn moment(text: &str) -> Option<i64> {
    let (day, time) = text.split_at_checked(10)?;
    let day = iso_day(day)?;
    let time = match time.strip_prefix(['T', ' ']) {
        Some(time) => format!("{day}T{}", time.replace('Z', "+00:00").replace(' ', "")),
        None if time.is_empty() => format!("{day}T00:00"),
        None => return None,
    };
    let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    if let Some(instant) = with_offset
        .iter()
        .find_map(|format| DateTime::parse_from_str(&time, format).ok())
    {
        return plausible(instant.naive_utc()).then(|| instant.timestamp_micros());
    }
    let without = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let local = without
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&time, format).ok())?;
    let instant = match London.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant.timestamp_micros(),
        LocalResult::None => local.and_utc().timestamp_micros(),
    };
    plausible(local).then_some(instant)
}

fn iso_day(text: &str) -> Option<NaiveDate> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| form)?;
    plausible(day.and_hms_opt(0, 0, 0)?).then_some(day)
}

/// Years of four digits: others are typing errors, and some readers of the lake cannot hold them.
fn plausible(time: NaiveDateTime) -> bool {
    use chrono::Datelike;
    (1..=9999).contains(&time.year())
}

/// A decimal number, rounded half away from zero to `scale` digits.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits_only(whole) || !digits_only(fraction) {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(scale).collect();
    let rounds_up = fraction.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5');
    let number = format!("0{}{kept}", whole.trim_start_matches('0'))
        .parse::<i128>()
        .ok()?
        + i128::from(rounds_up);
    let number = if negative { -number } else { number };
    (number.abs() < 10_i128.pow(u32::from(precision))).then_some(number)
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn a_timestamp_has_an_offset_or_is_london_time() {
        for (text, means) in [
            ("2018-06-30T23:30:00Z", "2018-06-30T23:30:00Z"),
            ("2018-07-01T00:30:00+01:00", "2018-06-30T23:30:00Z"),
            ("2018-07-01 00:30:00.123456789 +0100", "2018-06-30T23:30:00.123456Z"),
            ("2018-07-01 00:30:00", "2018-06-30T23:30:00Z"),
            ("2018-01-15T00:30", "2018-01-15T00:30:00Z"),
            ("2018-07-01", "2018-06-30T23:00:00Z"),
            ("2018-10-28T01:30:00", "2018-10-28T00:30:00Z"),
            ("2018-03-25T01:30:00", "2018-03-25T01:30:00Z"),
            ("2018-01-31 09:30:00.1234567", "2018-01-31T09:30:00.123456Z"),
        ] {
            assert_eq!(moment(text), Some(utc(means)), "{text}");
        }
        for text in [
            "31/01/2018",
            "2018-02-30T10:00:00",
            "2018-1-5",
            "20180131",
            "soon",
            "",
            "2018-01-31T25:00:00",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_iso_and_may_carry_a_midnight_but_no_other_time() {
        let last = NaiveDate::from_ymd_opt(2018, 1, 31);
        for text in ["2018-01-31", "2018-01-31 00:00:00.000", "2018-01-31T00:00:00"] {
            assert_eq!(date(text), last, "{text}");
        }
        for text in [
            "31/01/2018",
            "2018-01-31 09:00:00",
            "2018-01-3",
            "2018-13-01",
            "2018-01-31x",
            "ééééé",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(days(NaiveDate::from_ymd_opt(1970, 1, 2).unwrap()), 1);
    }

    #[test]
    fn decimals_are_rounded_to_their_scale_and_refused_when_too_large() {
        for (text, means) in [
            ("0.6", Some(600)),
            ("1", Some(1000)),
            (".5", Some(500)),
            ("0.8105", Some(811)),
            ("0.81049", Some(810)),
            ("-2.0005", Some(-2001)),
            ("999999.999", Some(999_999_999)),
            ("1000000", None),
            ("1,5", None),
            ("1e3", None),
            (".", None),
        ] {
            assert_eq!(decimal(text, 9, 3), means, "{text}");
        }
    }

    #[test]
    fn booleans_come_in_common_spellings() {
        for (text, means) in [
            ("TRUE", true),
            ("y", true),
            ("1", true),
            ("No", false),
            ("f", false),
            ("0", false),
        ] {
            assert_eq!(flag(text), Some(means), "{text}");
        }
        assert_eq!(flag("maybe"), None);
    }

    #[test]
    fn space_around_a_value_is_not_part_of_it_and_null_is_no_value() {
        assert_eq!(stated(" A1\u{a0} "), Some("A1"));
        assert_eq!(stated("  "), None);
        assert_eq!(stated("NULL"), None);
        assert_eq!(stated("null and void"), Some("null and void"));
    }
}
