//! Deletes that show no image: their key comes from the Kafka message's own key.
//!
//! Debezium may leave `before` out or null (a replica identity of nothing, a transformation that drops it), and a flat
//! row that is marked deleted may lack its key's columns. Such messages are taken out of their run and put beside it as
//! a run of their own, whose image before the change is the message's key; all that follows treats them like any other
//! delete, privacy included. A message without a key stays where it is, to become a dead letter.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use hashbrown::HashMap;

use super::convert::convert;
use super::fault::{Fault, Faults};
use super::wire::{Meaning, Wire, WireColumn};
use crate::chunk::Reason;
use crate::table::Table;

/// The rows of a run that are deletes and do not hold their key.
pub(super) fn rows_without_key(wire: &Wire, table: &Table) -> Vec<usize> {
    if wire.envelope {
        // A truncate shows no image, too; it is told apart by its operation.
        let shows_nothing = |row: &usize| !wire.has_after.value(*row) && !wire.has_before.value(*row);
        let candidates: Vec<usize> = (0..wire.rows()).filter(shows_nothing).collect();
        if candidates.is_empty() {
            return candidates;
        }
        let op = wire.op.as_ref().and_then(text);
        return candidates.into_iter().filter(|row| is(&op, *row, "d")).collect();
    }
    let key = || table.key.iter().map(|position| wire.after[*position].as_ref());
    let is_whole = |column: Option<&WireColumn>| column.is_some_and(|column| column.array.null_count() == 0);
    if wire.op.is_none() && wire.deleted.is_none() || key().all(is_whole) {
        return Vec::new();
    }
    let (op, deleted) = (wire.op.as_ref().and_then(text), wire.deleted.as_ref().and_then(text));
    let lacks_key = |row: usize| key().any(|column| column.is_none_or(|column| column.array.is_null(row)));
    (0..wire.rows())
        .filter(|row| (is(&op, *row, "d") || is(&deleted, *row, "true")) && lacks_key(*row))
        .collect()
}

/// Takes from `wire` the deletes whose messages' keys were read as `keys`, and returns them as runs of their own.
pub(super) fn with_keys(wire: &mut Wire, rows: &[usize], keys: Vec<Wire>, table: &Table) -> Vec<Wire> {
    let row_of: HashMap<usize, usize> = rows.iter().map(|row| (wire.messages[*row], *row)).collect();
    let mut taken = vec![false; wire.rows()];
    let mut deletes = Vec::with_capacity(keys.len());
    for key in keys.into_iter().filter(|key| key.rows() > 0) {
        let rows: Vec<usize> = key.messages.iter().map(|message| row_of[message]).collect();
        rows.iter().for_each(|row| taken[*row] = true);
        let mut delete = some_rows(wire, &rows);
        delete.has_before = BooleanArray::from(BooleanBuffer::new_set(rows.len()));
        delete.before_key = table.key.iter().map(|position| key.after[*position].clone()).collect();
        deletes.push(delete);
    }
    if !deletes.is_empty() {
        let rest: Vec<usize> = (0..taken.len()).filter(|row| !taken[*row]).collect();
        *wire = some_rows(wire, &rest);
    }
    deletes
}

/// What is wrong with a key is told of the delete that needs it.
pub(super) fn tell(of_keys: Faults, faults: &mut Faults) {
    for (message, fault) in of_keys.into_iter() {
        let detail = format!(
            "a delete shows no key, and its message's key cannot be read: {}",
            fault.detail
        );
        faults.add(message, Fault::new(Reason::MissingKey, detail));
    }
}

fn some_rows(wire: &Wire, rows: &[usize]) -> Wire {
    let indices: UInt32Array = rows
        .iter()
        .map(|row| u32::try_from(*row).expect("a batch holds fewer than 2^32 messages"))
        .collect();
    let array = |array: &ArrayRef| take(array, &indices, None).expect("rows come from the wire");
    let column = |column: &Option<WireColumn>| {
        column.as_ref().map(|column| WireColumn {
            array: array(&column.array),
            meaning: column.meaning,
        })
    };
    let columns = |columns: &[Option<WireColumn>]| columns.iter().map(column).collect();
    let flags = |flags: &BooleanArray| rows.iter().map(|row| Some(flags.value(*row))).collect();
    Wire {
        messages: rows.iter().map(|row| wire.messages[*row]).collect(),
        envelope: wire.envelope,
        op: wire.op.as_ref().map(array),
        deleted: wire.deleted.as_ref().map(array),
        has_after: flags(&wire.has_after),
        has_before: flags(&wire.has_before),
        after: columns(&wire.after),
        before_key: columns(&wire.before_key),
        source: columns(&wire.source),
        recorded_at: column(&wire.recorded_at),
    }
}

/// A field as text, whatever its writer made of it.
pub(super) fn text(array: &ArrayRef) -> Option<ArrayRef> {
    let column = WireColumn {
        array: ArrayRef::clone(array),
        meaning: Meaning::Plain,
    };
    convert(&column, &DataType::Utf8, None).map(|converted| converted.array)
}

fn is(texts: &Option<ArrayRef>, row: usize, wanted: &str) -> bool {
    let texts = texts.as_ref().filter(|texts| texts.is_valid(row));
    texts.is_some_and(|texts| texts.as_string::<i32>().value(row) == wanted)
}
