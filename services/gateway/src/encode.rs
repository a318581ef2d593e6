//! Values of Arrow as PostgreSQL writes them, in its text form and in its binary form.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::types::{Described, Format};

/// From 1970, where Arrow begins to count, to 2000, where PostgreSQL does.
const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = DAYS_TO_2000 as i64 * 86_400_000_000;

/// A batch with few enough types that each can be written directly.
pub(crate) struct Rows {
    columns: Vec<ArrayRef>,
    count: usize,
}

impl Rows {
    /// # Errors
    /// A value that does not fit the type it is sent as.
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        Ok(Self {
            columns: batch.columns().iter().map(plain).collect::<Result<_, _>>()?,
            count: batch.num_rows(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Appends a row as the body of a DataRow has it: each value with its length before it.
    pub(crate) fn put(&self, row: usize, formats: &[Format], zone: Tz, into: &mut BytesMut) {
        for (column, format) in self.columns.iter().zip(formats) {
            put_sized(column, row, *format, zone, into);
        }
    }

    /// Appends a value as text; false where there is none.
    pub(crate) fn put_text(&self, row: usize, column: usize, zone: Tz, into: &mut BytesMut) -> bool {
        let column = &self.columns[column];
        if has_no_value(column, row) {
            return false;
        }
        text(column, row, zone, into);
        true
    }
}

/// A column of type Null says of no row that it is null.
fn has_no_value(column: &ArrayRef, row: usize) -> bool {
    column.is_null(row) || column.data_type() == &DataType::Null
}

fn put_sized(column: &ArrayRef, row: usize, format: Format, zone: Tz, into: &mut BytesMut) {
    if has_no_value(column, row) {
        return into.put_i32(-1);
    }
    let start = into.len();
    into.put_i32(0);
    match format {
        Format::Text => text(column, row, zone, into),
        Format::Binary => binary(column, row, zone, into),
    }
    let length = i32::try_from(into.len() - start - 4).unwrap_or(i32::MAX);
    into[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// The same values, as one of the types that [`text`] and [`binary`] know.
fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let micros = |zone: &Option<std::sync::Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let target = match column.data_type() {
        DataType::Dictionary(_, value) => return plain(&cast(column, value)?),
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Microsecond => micros(zone),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            return plain(&cast(column, &DataType::List(item.clone()))?);
        }
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Utf8
        | DataType::Binary
        | DataType::List(_)
        | DataType::Null => return Ok(column.clone()),
        // Intervals, structures and maps: as text, which is how they are described.
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let written = (0..column.len()).map(|row| match column.is_null(row) {
                true => None,
                false => Some(formatter.value(row).to_string()),
            });
            return Ok(std::sync::Arc::new(written.collect::<StringArray>()));
        }
    };
    // A value that does not fit is an error, not a null.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, &target, &options)
}

fn text(column: &ArrayRef, row: usize, zone: Tz, into: &mut BytesMut) {
    match column.data_type() {
        DataType::Boolean => into.put_slice(if column.as_boolean().value(row) { b"t" } else { b"f" }),
        DataType::Int16 => put(into, column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => put(into, column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => put(into, column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => float(into, f64::from(column.as_primitive::<Float32Type>().value(row)), {
            column.as_primitive::<Float32Type>().value(row).to_string()
        }),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            float(into, value, value.to_string());
        }
        DataType::Decimal128(..) => put(into, column.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => put(into, column.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Date32 => date(into, column.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(_) => time(into, column.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(_, zoned) => {
            let zone = zoned.as_ref().map(|_| zone);
            timestamp(into, column.as_primitive::<TimestampMicrosecondType>().value(row), zone);
        }
        DataType::Utf8 => into.put_slice(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => {
            into.put_slice(b"\\x");
            for byte in column.as_binary::<i32>().value(row) {
                put(into, format_args!("{byte:02x}"));
            }
        }
        DataType::List(_) => list_text(&column.as_list::<i32>().value(row), zone, into),
        _ => {}
    }
}

fn binary(column: &ArrayRef, row: usize, zone: Tz, into: &mut BytesMut) {
    match column.data_type() {
        DataType::Boolean => into.put_u8(u8::from(column.as_boolean().value(row))),
        DataType::Int16 => into.put_i16(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => into.put_i32(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => into.put_i64(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => into.put_f32(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => into.put_f64(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => numeric(&column.as_primitive::<Decimal128Type>().value_as_string(row), into),
        DataType::Decimal256(..) => numeric(&column.as_primitive::<Decimal256Type>().value_as_string(row), into),
        DataType::Date32 => into.put_i32(
            column
                .as_primitive::<Date32Type>()
                .value(row)
                .saturating_sub(DAYS_TO_2000),
        ),
        DataType::Time64(_) => into.put_i64(column.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            into.put_i64(micros.saturating_sub(MICROS_TO_2000));
        }
        DataType::Binary => into.put_slice(column.as_binary::<i32>().value(row)),
        DataType::List(item) => list_binary(&column.as_list::<i32>().value(row), item, zone, into),
        // Text is the same in both forms.
        _ => text(column, row, zone, into),
    }
}

fn put(into: &mut BytesMut, value: impl std::fmt::Display) {
    use std::fmt::Write;
    write!(into, "{value}").expect("a buffer in memory takes text");
}

fn float(into: &mut BytesMut, value: f64, shortest: String) {
    match value {
        value if value.is_nan() => into.put_slice(b"NaN"),
        value if value.is_infinite() => into.put_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" }),
        _ => into.put_slice(shortest.as_bytes()),
    }
}

fn date(into: &mut BytesMut, days: i32) {
    match NaiveDate::from_epoch_days(days) {
        Some(date) => put(into, date.format("%Y-%m-%d")),
        None => into.put_slice(if days > 0 { b"infinity" } else { b"-infinity" }),
    }
}

fn time(into: &mut BytesMut, micros: i64) {
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).unwrap_or_default();
    put(into, time.format("%H:%M:%S"));
    fraction(into, micros.rem_euclid(1_000_000));
}

fn timestamp(into: &mut BytesMut, micros: i64, zone: Option<Tz>) {
    let Some(moment) = DateTime::from_timestamp_micros(micros) else {
        return into.put_slice(if micros > 0 { b"infinity" } else { b"-infinity" });
    };
    let sub_second = micros.rem_euclid(1_000_000);
    let Some(zone) = zone else {
        put(into, moment.naive_utc().format("%Y-%m-%d %H:%M:%S"));
        return fraction(into, sub_second);
    };
    let local = zone.from_utc_datetime(&moment.naive_utc());
    put(into, local.naive_local().format("%Y-%m-%d %H:%M:%S"));
    fraction(into, sub_second);
    let offset = local.offset().fix().local_minus_utc();
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) = (offset.abs() / 3_600, offset.abs() / 60 % 60, offset.abs() % 60);
    put(into, format_args!("{sign}{hours:02}"));
    if minutes != 0 || seconds != 0 {
        put(into, format_args!(":{minutes:02}"));
    }
    if seconds != 0 {
        put(into, format_args!(":{seconds:02}"));
    }
}

fn fraction(into: &mut BytesMut, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        put(into, format_args!(".{}", digits.trim_end_matches('0')));
    }
}

/// `{a,"b c",NULL}`
fn list_text(items: &ArrayRef, zone: Tz, into: &mut BytesMut) {
    let Ok(items) = plain(items) else {
        return into.put_slice(b"{}");
    };
    into.put_u8(b'{');
    for row in 0..items.len() {
        if row > 0 {
            into.put_u8(b',');
        }
        if has_no_value(&items, row) {
            into.put_slice(b"NULL");
            continue;
        }
        let mut item = BytesMut::new();
        text(&items, row, zone, &mut item);
        let nested = matches!(items.data_type(), DataType::List(_));
        let is_special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace();
        if nested || !item.is_empty() && !item.iter().any(is_special) && !item.eq_ignore_ascii_case(b"null") {
            into.put_slice(&item);
            continue;
        }
        into.put_u8(b'"');
        for byte in item {
            if matches!(byte, b'"' | b'\\') {
                into.put_u8(b'\\');
            }
            into.put_u8(byte);
        }
        into.put_u8(b'"');
    }
    into.put_u8(b'}');
}

/// One dimension, whether there are nulls, the type of the items, their number, the number of the first, the items.
fn list_binary(items: &ArrayRef, item: &Field, zone: Tz, into: &mut BytesMut) {
    let Ok(items) = plain(items) else {
        return into.put_slice(&[0; 12]);
    };
    into.put_i32(i32::from(!items.is_empty()));
    into.put_i32(i32::from(items.null_count() > 0));
    into.put_u32(Described::of_field(item).element.oid);
    if items.is_empty() {
        return;
    }
    into.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
    into.put_i32(1);
    for row in 0..items.len() {
        put_sized(&items, row, Format::Binary, zone, into);
    }
}

/// Digits to the base of 10,000: how many, the weight of the first, the sign, how many decimal places to show.
fn numeric(written: &str, into: &mut BytesMut) {
    let (negative, digits) = match written.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let padded_whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded_places = format!("{places}{}", "0".repeat((4 - places.len() % 4) % 4));
    let whole_groups = padded_whole.len() / 4;
    let all = padded_whole + &padded_places;
    let groups: Vec<i16> = all
        .as_bytes()
        .chunks(4)
        .map(|group| {
            group
                .iter()
                .fold(0_i16, |sum, digit| sum * 10 + i16::from(digit - b'0'))
        })
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let kept = match groups.iter().rposition(|group| *group != 0) {
        Some(last) => &groups[leading..=last],
        None => &[],
    };
    let weight = match kept.is_empty() {
        true => 0,
        false => i16::try_from(whole_groups).unwrap_or(0) - 1 - i16::try_from(leading).unwrap_or(0),
    };
    into.put_i16(i16::try_from(kept.len()).unwrap_or(i16::MAX));
    into.put_i16(weight);
    into.put_u16(if negative && !kept.is_empty() { 0x4000 } else { 0 });
    into.put_u16(u16::try_from(places.len()).unwrap_or(0));
    for group in kept {
        into.put_i16(*group);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Decimal128Array, Float64Array, ListArray, TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn written(column: ArrayRef) -> String {
        let mut into = BytesMut::new();
        text(&plain(&column).unwrap(), 0, chrono_tz::Europe::London, &mut into);
        String::from_utf8(into.to_vec()).unwrap()
    }

    fn packed(column: ArrayRef) -> Vec<u8> {
        let mut into = BytesMut::new();
        binary(&plain(&column).unwrap(), 0, chrono_tz::UTC, &mut into);
        into.to_vec()
    }

    #[test]
    fn values_are_written_as_postgresql_writes_them() {
        assert_eq!(written(Arc::new(BooleanArray::from(vec![true]))), "t");
        assert_eq!(written(Arc::new(Float64Array::from(vec![f64::INFINITY]))), "Infinity");
        assert_eq!(written(Arc::new(UInt64Array::from(vec![18]))), "18");
        let price = Decimal128Array::from(vec![-12_345])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(written(Arc::new(price)), "-123.45");
        // 17 October 2018, 9:30 in summer time.
        let moment = TimestampMicrosecondArray::from(vec![1_539_765_000_120_000]);
        assert_eq!(written(Arc::new(moment.clone())), "2018-10-17 08:30:00.12");
        assert_eq!(
            written(Arc::new(moment.with_timezone("UTC"))),
            "2018-10-17 09:30:00.12+01"
        );
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        assert_eq!(written(Arc::new(list)), "{1,NULL}");
    }

    #[test]
    fn items_of_an_array_are_quoted_where_they_could_be_mistaken() {
        let items: ArrayRef = Arc::new(StringArray::from(vec!["plain", "a b", "", "null", "say \"x\""]));
        let mut into = BytesMut::new();
        list_text(&items, chrono_tz::UTC, &mut into);
        assert_eq!(into, r#"{plain,"a b","","null","say \"x\""}"#);
    }

    /// As PostgreSQL's `numeric_send` gives them.
    #[test]
    fn a_decimal_is_packed_to_the_base_of_ten_thousand() {
        let decimal = |value: i128, scale: i8| {
            let value = Decimal128Array::from(vec![value])
                .with_precision_and_scale(20, scale)
                .unwrap();
            packed(Arc::new(value))
        };
        assert_eq!(decimal(123_456_789, 4), [0, 3, 0, 1, 0, 0, 0, 4, 0, 1, 9, 41, 26, 133]);
        assert_eq!(decimal(-5, 1), [0, 1, 255, 255, 64, 0, 0, 1, 19, 136]);
        assert_eq!(decimal(0, 2), [0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(decimal(10_000, 0), [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]);
    }
}
