//! A column in its writer's type -> the same column in the table's type.
//!
//! The usual cases (a date as days, a timestamp as microseconds, text as text) cost nothing or one pass. All others go
//! value by value through [`Scalar`], which knows every way in which a source may write a number, a moment or a flag.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, BooleanBuilder, Decimal128Array, FixedSizeBinaryArray,
    Int32Array, PrimitiveArray, PrimitiveBuilder, StringArray, StringBuilder, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use chrono::{NaiveDate, Utc};
use speedate::DateTime;

use super::number::Number;
use super::wire::{Meaning, WireColumn};

/// What Debezium writes for a value that the database did not log because it had not changed.
const UNAVAILABLE: &[u8] = b"__debezium_unavailable_value";

/// The first and last day that can be written with four digits: 0001-01-01 and 9999-12-31.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;
const MICROS_A_DAY: i64 = 86_400_000_000;

/// A bare number in a date or timestamp column is told by its size. Milliseconds reach from April 1970 to 5138 in this
/// reading, and microseconds from March 1973; whoever needs more says the unit, or writes text.
const SMALLEST_MILLIS: i64 = 10_000_000_000;
const SMALLEST_MICROS: i64 = 100_000_000_000_000;
const SMALLEST_NANOS: i64 = 100_000_000_000_000_000;

/// A converted column and the rows that could not be.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) array: ArrayRef,
    /// Rows whose value does not fit. They are null in the array.
    pub(super) bad: Vec<usize>,
    /// Rows whose value is not in the closed list.
    pub(super) unlisted: Vec<usize>,
    /// Rows whose value the source left out. They are null in the array.
    pub(super) unset: Option<BooleanBuffer>,
}

/// Converts a column. `None` when no value of the writer's type could ever fit.
pub(super) fn convert(wire: &WireColumn, target: &DataType, symbols: Option<&[String]>) -> Option<Converted> {
    let (array, unset) = without_unavailable(&wire.array);
    let unlisted = symbols.map_or_else(Vec::new, |symbols| unlisted(&array, symbols));
    let wire = WireColumn {
        array,
        meaning: wire.meaning,
    };
    let (array, bad) = match as_it_is(&wire, target) {
        Some(converted) => converted,
        None => by_value(&Cells::new(&wire)?, wire.meaning, target)?,
    };
    Some(Converted {
        array,
        bad,
        unlisted,
        unset,
    })
}

/// Nulls where Debezium's placeholder stands, and where that is.
fn without_unavailable(array: &ArrayRef) -> (ArrayRef, Option<BooleanBuffer>) {
    let Some(texts) = array.as_string_opt::<i32>() else {
        return (Arc::clone(array), None);
    };
    let (offsets, bytes) = (texts.value_offsets(), texts.value_data());
    let is_unavailable = |row: usize| {
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        to - from == UNAVAILABLE.len() && &bytes[from..to] == UNAVAILABLE && texts.is_valid(row)
    };
    if !(0..texts.len()).any(is_unavailable) {
        return (Arc::clone(array), None);
    }
    let unset = BooleanBuffer::collect_bool(texts.len(), is_unavailable);
    let kept = StringArray::from_iter(
        (0..texts.len()).map(|row| (!unset.value(row) && texts.is_valid(row)).then(|| texts.value(row))),
    );
    (Arc::new(kept), Some(unset))
}

/// Rows whose text is not one of the symbols.
fn unlisted(array: &ArrayRef, symbols: &[String]) -> Vec<usize> {
    let is_symbol = |text: &str| symbols.iter().any(|symbol| symbol == text);
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let values = dictionary.values().as_string::<i32>();
        let listed: Vec<bool> = (0..values.len()).map(|index| is_symbol(values.value(index))).collect();
        if listed.iter().all(|listed| *listed) {
            return Vec::new();
        }
        let keys = dictionary.keys();
        return (0..keys.len())
            .filter(|&row| keys.is_valid(row) && !listed[keys.value(row) as usize])
            .collect();
    }
    let Some(texts) = array.as_string_opt::<i32>() else {
        // Numbers and flags are no symbols, whatever they are.
        return (0..array.len()).filter(|&row| array.is_valid(row)).collect();
    };
    (0..texts.len())
        .filter(|&row| texts.is_valid(row) && !is_symbol(texts.value(row)))
        .collect()
}

type ConvertedArray = (ArrayRef, Vec<usize>);

/// The conversions that need not look at single values, or only at their range.
fn as_it_is(wire: &WireColumn, target: &DataType) -> Option<ConvertedArray> {
    let array = &wire.array;
    match (array.data_type(), wire.meaning, target) {
        (DataType::Null, _, _) => Some((new_null_array(target, array.len()), Vec::new())),
        (from, _, to) if from == to && matches!(from, DataType::Utf8 | DataType::Boolean | DataType::Int64) => {
            Some((Arc::clone(array), Vec::new()))
        }
        (DataType::Int32, Meaning::Plain, DataType::Int32) => Some((Arc::clone(array), Vec::new())),
        (DataType::Dictionary(_, _), _, DataType::Utf8) => {
            let texts = cast(array, target).expect("a dictionary of texts unpacks to text");
            Some((texts, Vec::new()))
        }
        (DataType::Int32, Meaning::Days, DataType::Date32) => {
            let days = array.as_primitive::<Int32Type>();
            Some(mapped::<_, Date32Type>(days, |day| {
                (FIRST_DAY..=LAST_DAY).contains(&i64::from(day)).then_some(day)
            }))
        }
        (DataType::Int64, Meaning::Millis | Meaning::Micros | Meaning::Nanos, DataType::Timestamp(_, _)) => {
            let moments = array.as_primitive::<Int64Type>();
            let (array, bad) = mapped::<_, TimestampMicrosecondType>(moments, |n| to_micros(n, wire.meaning));
            let array = array
                .as_primitive::<TimestampMicrosecondType>()
                .clone()
                .with_timezone("UTC");
            Some((Arc::new(array), bad))
        }
        _ => None,
    }
}

/// Maps every value; where that fails the row is null and bad.
fn mapped<F, T>(from: &PrimitiveArray<F>, map: impl Fn(F::Native) -> Option<T::Native>) -> ConvertedArray
where
    F: ArrowPrimitiveType,
    T: ArrowPrimitiveType,
{
    let to: PrimitiveArray<T> = from.unary_opt(map);
    let bad = match to.null_count() == from.null_count() {
        true => Vec::new(),
        false => (0..to.len())
            .filter(|&row| from.is_valid(row) && to.is_null(row))
            .collect(),
    };
    (Arc::new(to), bad)
}

/// One value, whatever it was written as.
enum Scalar<'a> {
    Null,
    Text(&'a str),
    Flag(bool),
    Number(Number),
    /// Of the right kind, and not readable.
    Bad,
}

/// A column whose values can be looked at one by one.
enum Cells<'a> {
    Texts(&'a StringArray),
    Symbols(&'a Int32Array, &'a StringArray),
    Flags(&'a BooleanArray),
    Ints(&'a PrimitiveArray<Int32Type>),
    Longs(&'a PrimitiveArray<Int64Type>),
    Floats(&'a PrimitiveArray<Float32Type>),
    Doubles(&'a PrimitiveArray<Float64Type>),
    Bytes(&'a BinaryArray, i32),
    Fixed(&'a FixedSizeBinaryArray, i32),
    /// Debezium's number that brings its own scale.
    Scaled(&'a ArrayRef, &'a Int32Array, &'a BinaryArray),
}

impl<'a> Cells<'a> {
    fn new(wire: &'a WireColumn) -> Option<Self> {
        let array = &wire.array;
        match (array.data_type(), wire.meaning) {
            (DataType::Utf8, _) => Some(Cells::Texts(array.as_string())),
            (DataType::Dictionary(_, _), _) => {
                let dictionary = array.as_dictionary_opt::<Int32Type>()?;
                Some(Cells::Symbols(
                    dictionary.keys(),
                    dictionary.values().as_string_opt::<i32>()?,
                ))
            }
            (DataType::Boolean, _) => Some(Cells::Flags(array.as_boolean())),
            (DataType::Int32, _) => Some(Cells::Ints(array.as_primitive())),
            (DataType::Int64, _) => Some(Cells::Longs(array.as_primitive())),
            (DataType::Float32, _) => Some(Cells::Floats(array.as_primitive())),
            (DataType::Float64, _) => Some(Cells::Doubles(array.as_primitive())),
            (DataType::Binary, Meaning::Decimal { scale }) => Some(Cells::Bytes(array.as_binary(), scale)),
            (DataType::FixedSizeBinary(_), Meaning::Decimal { scale }) => {
                Some(Cells::Fixed(array.as_fixed_size_binary(), scale))
            }
            (DataType::Struct(_), _) => {
                let record = array.as_struct();
                let scale = record.column_by_name("scale")?.as_primitive_opt::<Int32Type>()?;
                let value = record.column_by_name("value")?.as_binary_opt::<i32>()?;
                Some(Cells::Scaled(array, scale, value))
            }
            _ => None,
        }
    }

    fn len(&self) -> usize {
        self.array().len()
    }

    fn array(&self) -> &dyn Array {
        match self {
            Cells::Texts(array) => *array,
            Cells::Symbols(keys, _) => *keys,
            Cells::Flags(array) => *array,
            Cells::Ints(array) => *array,
            Cells::Longs(array) => *array,
            Cells::Floats(array) => *array,
            Cells::Doubles(array) => *array,
            Cells::Bytes(array, _) => *array,
            Cells::Fixed(array, _) => *array,
            Cells::Scaled(array, _, _) => *array,
        }
    }

    fn get(&self, row: usize) -> Scalar<'a> {
        if self.array().is_null(row) {
            return Scalar::Null;
        }
        let number = |number: Option<Number>| number.map_or(Scalar::Bad, Scalar::Number);
        match self {
            Cells::Texts(texts) => Scalar::Text(texts.value(row)),
            Cells::Symbols(keys, symbols) => Scalar::Text(symbols.value(keys.value(row) as usize)),
            Cells::Flags(flags) => Scalar::Flag(flags.value(row)),
            Cells::Ints(ints) => Scalar::Number(Number::integer(i64::from(ints.value(row)))),
            Cells::Longs(longs) => Scalar::Number(Number::integer(longs.value(row))),
            Cells::Floats(floats) => number(Number::parse(&floats.value(row).to_string())),
            Cells::Doubles(doubles) => number(Number::parse(&doubles.value(row).to_string())),
            Cells::Bytes(bytes, scale) => number(Number::from_bytes(bytes.value(row), *scale)),
            Cells::Fixed(bytes, scale) => number(Number::from_bytes(bytes.value(row), *scale)),
            Cells::Scaled(_, scales, bytes) => number(Number::from_bytes(bytes.value(row), scales.value(row))),
        }
    }
}

fn by_value(cells: &Cells<'_>, meaning: Meaning, target: &DataType) -> Option<ConvertedArray> {
    Some(match target {
        DataType::Utf8 => texts(cells),
        DataType::Boolean => flags(cells),
        DataType::Int32 => primitives::<Int32Type>(cells, |scalar| i32::try_from(to_integer(scalar)?).ok()),
        DataType::Int64 => primitives::<Int64Type>(cells, to_integer),
        DataType::Date32 => primitives::<Date32Type>(cells, |scalar| i32::try_from(to_days(scalar, meaning)?).ok()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let (array, bad) = primitives::<TimestampMicrosecondType>(cells, |scalar| to_moment(scalar, meaning));
            let array = array
                .as_primitive::<TimestampMicrosecondType>()
                .clone()
                .with_timezone("UTC");
            (Arc::new(array), bad)
        }
        DataType::Decimal128(precision, scale) => {
            let (array, bad) = primitives::<Decimal128Type>(cells, |scalar| {
                to_number(scalar)?.at_scale(i32::from(*scale), *precision)
            });
            let array: Decimal128Array = array.as_primitive::<Decimal128Type>().clone();
            let array = array
                .with_precision_and_scale(*precision, *scale)
                .expect("the contract's decimal is valid");
            (Arc::new(array), bad)
        }
        _ => return None,
    })
}

fn primitives<T: ArrowPrimitiveType>(
    cells: &Cells<'_>,
    map: impl Fn(Scalar<'_>) -> Option<T::Native>,
) -> ConvertedArray {
    let mut values = PrimitiveBuilder::<T>::with_capacity(cells.len());
    let mut bad = Vec::new();
    for row in 0..cells.len() {
        match cells.get(row) {
            Scalar::Null => values.append_null(),
            scalar => {
                let value = map(scalar);
                if value.is_none() {
                    bad.push(row);
                }
                values.append_option(value);
            }
        }
    }
    (Arc::new(values.finish()), bad)
}

/// The canonical text of each value: what makes text and integer keys equal.
fn texts(cells: &Cells<'_>) -> ConvertedArray {
    let mut texts = StringBuilder::with_capacity(cells.len(), cells.len() * 8);
    let mut bad = Vec::new();
    for row in 0..cells.len() {
        match cells.get(row) {
            Scalar::Null => texts.append_null(),
            Scalar::Text(text) => texts.append_value(text),
            Scalar::Flag(flag) => texts.append_value(if flag { "true" } else { "false" }),
            Scalar::Number(number) => texts.append_value(number.to_string()),
            Scalar::Bad => {
                bad.push(row);
                texts.append_null();
            }
        }
    }
    (Arc::new(texts.finish()), bad)
}

fn flags(cells: &Cells<'_>) -> ConvertedArray {
    let mut flags = BooleanBuilder::with_capacity(cells.len());
    let mut bad = Vec::new();
    for row in 0..cells.len() {
        match cells.get(row) {
            Scalar::Null => flags.append_null(),
            scalar => {
                let flag = to_flag(scalar);
                if flag.is_none() {
                    bad.push(row);
                }
                flags.append_option(flag);
            }
        }
    }
    (Arc::new(flags.finish()), bad)
}

fn to_flag(scalar: Scalar<'_>) -> Option<bool> {
    match scalar {
        Scalar::Flag(flag) => Some(flag),
        Scalar::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        scalar => match to_integer(scalar)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn to_number(scalar: Scalar<'_>) -> Option<Number> {
    match scalar {
        Scalar::Number(number) => Some(number),
        Scalar::Text(text) => Number::parse(text.trim()),
        _ => None,
    }
}

fn to_integer(scalar: Scalar<'_>) -> Option<i64> {
    to_number(scalar)?.as_integer()
}

/// Days since 1970. Text holds the day as written, whatever time or zone follows it.
fn to_days(scalar: Scalar<'_>, meaning: Meaning) -> Option<i64> {
    let days = match scalar {
        Scalar::Text(text) if !is_integer(text) => {
            let (day, rest) = text.split_at_checked(10)?;
            if !rest.is_empty() && !rest.starts_with(['T', ' ', 'Z', '+', '-']) {
                return None;
            }
            let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
            day.signed_duration_since(NaiveDate::default()).num_days()
        }
        scalar => {
            let number = to_integer(scalar)?;
            match meaning {
                Meaning::Days => number,
                Meaning::Plain if number.abs() <= LAST_DAY => number,
                _ => to_micros(number, meaning)?.div_euclid(MICROS_A_DAY),
            }
        }
    };
    (FIRST_DAY..=LAST_DAY).contains(&days).then_some(days)
}

/// Microseconds since 1970 UTC. Text without a zone is read as UTC.
fn to_moment(scalar: Scalar<'_>, meaning: Meaning) -> Option<i64> {
    match scalar {
        Scalar::Text(text) if !is_integer(text) => in_range(moment_of_text(text.trim())?),
        scalar => to_micros(to_integer(scalar)?, meaning),
    }
}

/// RFC 3339 to the microsecond, as Debezium writes it, by the faster parser; any other form that Arrow knows by Arrow's.
fn moment_of_text(text: &str) -> Option<i64> {
    let by_arrow = || Some(string_to_datetime(&Utc, text).ok()?.timestamp_micros());
    match DateTime::parse_bytes_rfc3339(text.as_bytes()) {
        Ok(moment) if text.as_bytes().get(10) == Some(&b'T') => {
            Some(moment.timestamp_tz() * 1_000_000 + i64::from(moment.time.microsecond))
        }
        _ => by_arrow(),
    }
}

fn to_micros(number: i64, meaning: Meaning) -> Option<i64> {
    let micros = match meaning {
        Meaning::Days => number.checked_mul(MICROS_A_DAY)?,
        Meaning::Millis => number.checked_mul(1000)?,
        Meaning::Micros => number,
        Meaning::Nanos => number.div_euclid(1000),
        Meaning::Plain | Meaning::Decimal { .. } => match number.checked_abs()? {
            size if size >= SMALLEST_NANOS => number.div_euclid(1000),
            size if size >= SMALLEST_MICROS => number,
            size if size >= SMALLEST_MILLIS => number * 1000,
            _ => return None,
        },
    };
    in_range(micros)
}

fn in_range(micros: i64) -> Option<i64> {
    (FIRST_DAY..=LAST_DAY)
        .contains(&micros.div_euclid(MICROS_A_DAY))
        .then_some(micros)
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime as Moment, FixedOffset, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    fn by_arrow(text: &str) -> Option<i64> {
        Some(string_to_datetime(&Utc, text).ok()?.timestamp_micros())
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_moment_by_either_parser(
            micros in FIRST_DAY * MICROS_A_DAY..LAST_DAY * MICROS_A_DAY,
            minutes_east in -1079..1080_i32,
            digits in prop::sample::select(vec![SecondsFormat::Secs, SecondsFormat::Millis, SecondsFormat::Micros]),
        ) {
            let zone = FixedOffset::east_opt(minutes_east * 60).unwrap();
            let moment = Moment::<Utc>::from_timestamp_micros(micros).unwrap().with_timezone(&zone);
            let text = moment.to_rfc3339_opts(digits, true);
            prop_assert_eq!(moment_of_text(&text), by_arrow(&text));
            if digits == SecondsFormat::Micros {
                prop_assert_eq!(moment_of_text(&text), Some(micros));
            }
        }
    }

    #[test]
    fn other_forms_of_a_moment_are_read_as_before_and_what_is_none_is_refused() {
        for text in [
            "2018-01-31 10:00:00",
            "2018-01-31T10:00:00.123456789Z",
            "2018-01-31T10:00:00+01",
            "2018-01-31",
        ] {
            assert!(by_arrow(text).is_some(), "{text}");
            assert_eq!(moment_of_text(text), by_arrow(text), "{text}");
        }
        for text in [
            "2018-01-31_10:00:00Z",
            "2018-02-30T10:00:00Z",
            "2018-01-31T25:00:00Z",
            "soon",
        ] {
            assert_eq!(moment_of_text(text), None, "{text}");
        }
    }
}
