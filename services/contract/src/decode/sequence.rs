//! `_seq`: bytes that sort as the changes of one key happened.
//!
//! Epoch (4 bytes), then the source's position where the topic is ordered by it, then Kafka's offset (8 bytes); all
//! big-endian. A position is of one width for each kind of source:
//!
//! | source | position | bytes |
//! |---|---|---|
//! | PostgreSQL | `lsn`: where the change stands in the write-ahead log | 8 |
//! | SQL Server, Db2 | `commit_lsn`, `change_lsn`, `event_serial_no` | 10 + 10 + 8 |
//! | Oracle | `scn`, `ssn` | 8 + 8 |
//! | MySQL, MariaDB | number of the binlog `file`, `pos`, `row` | 8 + 8 + 8 |
//!
//! In each the database holds a lock on a row until its transaction commits, so positions of changes to one key rise in
//! the order of their commits, though transactions interleave. The offset breaks the ties of snapshots.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int64Type};

use super::convert::convert;
use super::wire::{SourceField, Wire, WireColumn};

/// The widest `_seq`, for reserving room.
const WIDEST: usize = 4 + 28 + 8;

/// The source's positions of a run of messages.
pub(super) enum Positions {
    /// The topic is ordered by offset: none is needed.
    Unneeded,
    /// This writer sends none.
    Missing,
    PostgreSql {
        lsn: ArrayRef,
    },
    SqlServer {
        commit: ArrayRef,
        change: Option<ArrayRef>,
        serial: Option<ArrayRef>,
    },
    Oracle {
        scn: ArrayRef,
        ssn: Option<ArrayRef>,
    },
    MySql {
        file: ArrayRef,
        pos: ArrayRef,
        row: Option<ArrayRef>,
    },
}

impl Positions {
    /// The positions of a run, by the fields its writer sends.
    pub(super) fn of(wire: &Wire) -> Self {
        let number = |field| wire.source(field).and_then(|column| as_type(column, &DataType::Int64));
        let text = |field| wire.source(field).and_then(|column| as_type(column, &DataType::Utf8));
        if let Some(lsn) = number(SourceField::Lsn) {
            return Positions::PostgreSql { lsn };
        }
        if let Some(commit) = text(SourceField::CommitLsn) {
            let (change, serial) = (text(SourceField::ChangeLsn), number(SourceField::EventSerialNo));
            return Positions::SqlServer { commit, change, serial };
        }
        if let Some(scn) = number(SourceField::Scn) {
            return Positions::Oracle {
                scn,
                ssn: number(SourceField::Ssn),
            };
        }
        match (text(SourceField::File), number(SourceField::Pos)) {
            (Some(file), Some(pos)) => Positions::MySql {
                file,
                pos,
                row: number(SourceField::Row),
            },
            _ => Positions::Missing,
        }
    }

    /// Appends the position of a row; `None` when the row has none or it cannot be read.
    fn append(&self, row: usize, bytes: &mut Vec<u8>) -> Option<()> {
        match self {
            Positions::Unneeded => {}
            Positions::Missing => return None,
            Positions::PostgreSql { lsn } => append_number(bytes, number(lsn, row)?),
            Positions::SqlServer { commit, change, serial } => {
                bytes.extend_from_slice(&log_position(text(commit, row)?)?);
                // A snapshot has the position of its start and no change of its own.
                match change.as_ref().and_then(|change| text(change, row)) {
                    Some(change) => bytes.extend_from_slice(&log_position(change)?),
                    None => bytes.extend_from_slice(&[0; LOG_POSITION_BYTES]),
                }
                append_number(bytes, optional_number(serial, row));
            }
            Positions::Oracle { scn, ssn } => {
                append_number(bytes, number(scn, row)?);
                append_number(bytes, optional_number(ssn, row));
            }
            Positions::MySql { file, pos, row: within } => {
                let file = text(file, row)?.rsplit('.').next()?.parse().ok()?;
                append_number(bytes, file);
                append_number(bytes, number(pos, row)?);
                append_number(bytes, optional_number(within, row));
            }
        }
        Some(())
    }

    /// Whether a row has a position that can be read.
    pub(super) fn has(&self, row: usize) -> bool {
        match self {
            Positions::Unneeded => true,
            Positions::PostgreSql { lsn } => lsn.is_valid(row),
            _ => self.append(row, &mut Vec::with_capacity(WIDEST)).is_some(),
        }
    }
}

/// Writes `_seq` for rows given as (row of the run, offset). Every row must have a position.
pub(super) fn sequences(epoch: u32, positions: &Positions, rows: impl Iterator<Item = (usize, i64)>) -> BinaryArray {
    let (count, _) = rows.size_hint();
    let mut bytes = Vec::with_capacity(count * WIDEST);
    let mut ends = Vec::with_capacity(count + 1);
    ends.push(0);
    for (row, offset) in rows {
        bytes.extend_from_slice(&epoch.to_be_bytes());
        positions
            .append(row, &mut bytes)
            .expect("rows without a position were refused");
        append_number(&mut bytes, offset);
        ends.push(i32::try_from(bytes.len()).expect("a batch holds less than 2 GiB of positions"));
    }
    BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(ends)), bytes.into(), None)
}

fn as_type(column: &WireColumn, data_type: &DataType) -> Option<ArrayRef> {
    let converted = convert(column, data_type, None)?.array;
    (converted.null_count() < converted.len()).then_some(converted)
}

fn number(array: &ArrayRef, row: usize) -> Option<i64> {
    array
        .is_valid(row)
        .then(|| array.as_primitive::<Int64Type>().value(row))
}

fn optional_number(array: &Option<ArrayRef>, row: usize) -> i64 {
    array.as_ref().and_then(|array| number(array, row)).unwrap_or(0)
}

fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.as_string::<i32>().value(row))
}

fn append_number(bytes: &mut Vec<u8>, number: i64) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

const LOG_POSITION_BYTES: usize = 10;

/// SQL Server's `00000027:00000758:0005`: file, block and slot in hexadecimal digits.
fn log_position(text: &str) -> Option<[u8; LOG_POSITION_BYTES]> {
    let mut parts = text.split(':');
    let file = u32::from_str_radix(parts.next()?, 16).ok()?;
    let block = u32::from_str_radix(parts.next()?, 16).ok()?;
    let slot = u16::from_str_radix(parts.next()?, 16).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let mut bytes = [0; LOG_POSITION_BYTES];
    bytes[..4].copy_from_slice(&file.to_be_bytes());
    bytes[4..8].copy_from_slice(&block.to_be_bytes());
    bytes[8..].copy_from_slice(&slot.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    fn numbers<const N: usize>(numbers: [i64; N]) -> ArrayRef {
        Arc::new(Int64Array::from(numbers.to_vec()))
    }

    fn texts<const N: usize>(texts: [&str; N]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn in_order(positions: &Positions, count: usize) {
        let all = sequences(0, positions, (0..count).map(|row| (row, 0)));
        for row in 1..count {
            assert!(all.value(row - 1) < all.value(row), "row {row}");
        }
    }

    #[test]
    fn the_epoch_comes_first_then_the_position_then_the_offset() {
        let positions = Positions::PostgreSql { lsn: numbers([5]) };
        let seq = sequences(2, &positions, [(0, 9)].into_iter());
        assert_eq!(
            seq.value(0),
            [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]
        );
        let seq = sequences(2, &Positions::Unneeded, [(0, 9)].into_iter());
        assert_eq!(seq.value(0), [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn bytes_sort_as_the_positions_of_each_source_do() {
        in_order(
            &Positions::PostgreSql {
                lsn: numbers([1, 255, 256, i64::MAX]),
            },
            4,
        );
        in_order(
            &Positions::SqlServer {
                commit: texts([
                    "00000027:00000758:0005",
                    "00000027:00000758:0005",
                    "00000027:00000758:0010",
                    "00000028:00000001:0001",
                ]),
                change: Some(texts([
                    "00000027:00000758:0002",
                    "00000027:00000758:0003",
                    "00000027:00000758:0001",
                    "00000027:00000001:0001",
                ])),
                serial: Some(numbers([2, 1, 1, 1])),
            },
            4,
        );
        in_order(
            &Positions::Oracle {
                scn: numbers([9, 10, 10]),
                ssn: Some(numbers([3, 0, 1])),
            },
            3,
        );
        in_order(
            &Positions::MySql {
                file: texts([
                    "mysql-bin.000009",
                    "mysql-bin.000010",
                    "mysql-bin.000010",
                    "mysql-bin.1000000",
                ]),
                pos: numbers([500, 4, 4, 4]),
                row: Some(numbers([0, 0, 1, 0])),
            },
            4,
        );
    }

    #[test]
    fn a_position_that_cannot_be_read_is_none() {
        for text in ["", "27:758", "27:758:5:1", "xx:1:1", "00000027:00000758:10000"] {
            assert_eq!(log_position(text), None, "{text}");
        }
        assert!(!Positions::Missing.has(0));
        assert!(
            !Positions::MySql {
                file: texts(["no number"]),
                pos: numbers([1]),
                row: None
            }
            .has(0)
        );
    }
}
