//! 128-bit digests of keys and rows: what is remembered of a row instead of the row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use sha2::{Digest as _, Sha256};

/// The first half of a SHA-256.
pub type Digest = [u8; 16];

/// One digest a row over named columns. A column without a value adds nothing, so that a new optional column changes
/// no row that does not fill it; columns count in the order given.
pub fn digests(columns: &[(&str, &ArrayRef)], rows: usize) -> Vec<Digest> {
    let mut canonical = Vec::new();
    let digest = |row: usize| {
        canonical.clear();
        for (name, values) in columns.iter().filter(|(_, values)| values.is_valid(row)) {
            append_sized(&mut canonical, name.as_bytes());
            append_value(&mut canonical, values, row);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(&Sha256::digest(&canonical)[..16]);
        digest
    };
    (0..rows).map(digest).collect()
}

fn append_sized(canonical: &mut Vec<u8>, bytes: &[u8]) {
    canonical.extend((bytes.len() as u64).to_le_bytes());
    canonical.extend(bytes);
}

fn append_value(canonical: &mut Vec<u8>, values: &ArrayRef, row: usize) {
    match values.data_type() {
        DataType::Date32 => append_sized(canonical, &values.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Timestamp(..) => {
            append_sized(
                canonical,
                &values
                    .as_primitive::<TimestampMicrosecondType>()
                    .value(row)
                    .to_le_bytes(),
            );
        }
        DataType::Decimal128(..) => {
            append_sized(
                canonical,
                &values.as_primitive::<Decimal128Type>().value(row).to_le_bytes(),
            );
        }
        DataType::Boolean => append_sized(canonical, &[u8::from(values.as_boolean().value(row))]),
        DataType::Int32 => append_sized(canonical, &values.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Int64 => append_sized(canonical, &values.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        _ => append_sized(canonical, values.as_string::<i32>().value(row).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use std::sync::Arc;

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn rows_differ_when_a_value_or_its_column_does_and_not_for_a_column_without_values() {
        let (ab, c) = (texts(&[Some("ab"), Some("a")]), texts(&[Some("c"), Some("bc")]));
        let both = digests(&[("x", &ab), ("y", &c)], 2);
        assert_ne!(
            both[0], both[1],
            "where one value ends and the next begins is part of the digest"
        );
        assert_ne!(digests(&[("x", &ab)], 2), digests(&[("y", &ab)], 2));
        let nothing = texts(&[None, None]);
        assert_eq!(digests(&[("x", &ab), ("y", &c), ("z", &nothing)], 2), both);
    }
}
