//! Privacy, on whole columns: identifiers become keyed hashes, dates the first of their month.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Date32Type;
use chrono::{Datelike, NaiveDate};
use hashbrown::HashMap;

use crate::privacy::{Chain, PSEUDONYM_CHARS};

/// Distinct identifiers for which room is made at once.
const EXPECTED_IDENTIFIERS: usize = 8192;

/// Hashes a column of identifiers. Within a batch each distinct one is hashed once: changes of one child, or of one
/// worker's cases, come together.
pub(super) fn pseudonymise(texts: &StringArray, chain: &Chain) -> ArrayRef {
    let rows = texts.len();
    let mut digits = Vec::with_capacity((rows - texts.null_count()) * PSEUDONYM_CHARS);
    let mut ends = Vec::with_capacity(rows + 1);
    ends.push(0_i32);
    let mut seen: HashMap<&str, [u8; PSEUDONYM_CHARS]> = HashMap::with_capacity(rows.min(EXPECTED_IDENTIFIERS));
    for row in 0..rows {
        if texts.is_valid(row) {
            let text = texts.value(row);
            digits.extend_from_slice(seen.entry(text).or_insert_with(|| chain.apply(text.as_bytes())));
        }
        ends.push(i32::try_from(digits.len()).expect("a batch holds less than 2 GiB of pseudonyms"));
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    let pseudonyms = StringArray::try_new(offsets, Buffer::from_vec(digits), texts.nulls().cloned());
    Arc::new(pseudonyms.expect("hexadecimal digits are UTF-8, and the offsets end at their end"))
}

/// Cuts dates to the first of their month.
pub(super) fn months(dates: &ArrayRef) -> ArrayRef {
    let epoch = NaiveDate::default();
    let first_of_month = |days: i32| {
        let day = epoch.checked_add_signed(chrono::TimeDelta::days(i64::from(days)));
        day.map_or(days, |day| {
            days - i32::try_from(day.day0()).expect("a month has at most 31 days")
        })
    };
    Arc::new(
        dates
            .as_primitive::<Date32Type>()
            .unary::<_, Date32Type>(first_of_month),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::HmacKeys;

    use arrow::array::Date32Array;

    #[test]
    fn a_column_of_identifiers_becomes_the_pseudonyms_of_each_and_null_stays_null() {
        let keys = HmacKeys::demo();
        let column = StringArray::from(vec![Some("5"), None, Some("6"), Some("5"), Some("")]);
        let hashed = pseudonymise(&column, &keys.chain(&"child".into()).unwrap());
        let hash = |text| Some(keys.apply(&"child".into(), text));
        let expected = StringArray::from(vec![hash("5"), None, hash("6"), hash("5"), hash("")]);
        assert_eq!(hashed.as_string::<i32>(), &expected);
    }

    #[test]
    fn a_date_becomes_the_first_of_its_month() {
        let days = |y, m, d| {
            let day = NaiveDate::from_ymd_opt(y, m, d).unwrap();
            i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).unwrap()
        };
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![
            Some(days(2004, 2, 29)),
            None,
            Some(days(1969, 12, 31)),
            Some(days(2018, 1, 1)),
        ]));
        let expected = Date32Array::from(vec![
            Some(days(2004, 2, 1)),
            None,
            Some(days(1969, 12, 1)),
            Some(days(2018, 1, 1)),
        ]);
        assert_eq!(months(&dates).as_primitive::<Date32Type>(), &expected);
    }
}
