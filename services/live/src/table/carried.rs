//! Values that a row leaves out: they are carried forward from the version before it, also when that version is read
//! later (RULES 11).

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::blocks::Incoming;
use super::changes::Change;
use super::{LiveTable, row_number};

/// A column whose value comes from an older version of the row; none: no older version has been seen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Carried {
    pub(crate) column: usize,
    pub(crate) from_seq: Option<Vec<u8>>,
}

impl LiveTable {
    /// An upsert that leaves columns out: they keep the values of the version before it (RULES 11).
    pub(super) fn upsert_carrying(
        &mut self,
        entry: Option<u32>,
        change: Change<'_>,
        unset: &str,
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let columns = self.unset_columns(unset);
        let before = entry.map(|entry| &self.entries[entry as usize]);
        let standing = before.and_then(|before| self.row_at(before.place, incoming));
        let before_seq = before.map(|before| before.seq.to_vec());
        let older = entry
            .and_then(|entry| self.carried.get(&entry))
            .cloned()
            .unwrap_or_default();
        let mut carried = Vec::with_capacity(columns.len());
        let mut values = single_row(&incoming.batch, change.row)?;
        for column in columns {
            values[column] = match &standing {
                Some((batch, row)) => batch.column(column).slice(*row, 1),
                None => new_null_array(self.schema.field(column).data_type(), 1),
            };
            let from_seq = match older.iter().find(|older| older.column == column) {
                Some(older) => older.from_seq.clone(),
                None => before_seq.clone(),
            };
            carried.push(Carried { column, from_seq });
        }
        let entry = self.place_single_row(entry, change, values, incoming)?;
        self.carried.insert(entry, carried);
        Ok(())
    }

    /// A version older than the one that stands, read late: it may hold the value that a column was to carry forward.
    pub(super) fn fill_carried(
        &mut self,
        entry: u32,
        change: Change<'_>,
        is_delete: bool,
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let standing = &self.entries[entry as usize];
        if self.carried.is_empty() || *standing.seq == *change.seq {
            return Ok(());
        }
        let Some(mut carried) = self.carried.get(&entry).cloned() else {
            return Ok(());
        };
        let Some((batch, row)) = self.row_at(standing.place, incoming) else {
            return Ok(());
        };
        let left_out = change.unset.map(|unset| self.unset_columns(unset)).unwrap_or_default();
        let mut values = single_row(&batch, row)?;
        let mut filled = false;
        for carried in carried.iter_mut().filter(|carried| !left_out.contains(&carried.column)) {
            if carried
                .from_seq
                .as_deref()
                .is_some_and(|from_seq| from_seq >= change.seq)
            {
                continue;
            }
            filled = true;
            carried.from_seq = Some(change.seq.to_vec());
            values[carried.column] = if is_delete {
                new_null_array(self.schema.field(carried.column).data_type(), 1)
            } else {
                incoming.batch.column(carried.column).slice(change.row, 1)
            };
        }
        if filled {
            self.replace_row(entry, values, incoming)?;
            self.carried.insert(entry, carried);
        }
        Ok(())
    }

    pub(super) fn drop_carried_below(
        &mut self,
        entry: u32,
        floor: &[u8],
        incoming: &mut Incoming,
    ) -> Result<(), ArrowError> {
        let Some(mut carried) = self.carried.get(&entry).cloned() else {
            return Ok(());
        };
        let Some((batch, row)) = self.row_at(self.entries[entry as usize].place, incoming) else {
            return Ok(());
        };
        let mut values = single_row(&batch, row)?;
        let mut dropped = false;
        for carried in &mut carried {
            if carried.from_seq.as_deref().is_some_and(|from_seq| from_seq < floor) {
                dropped = true;
                carried.from_seq = None;
                values[carried.column] = new_null_array(self.schema.field(carried.column).data_type(), 1);
            }
        }
        if dropped {
            self.replace_row(entry, values, incoming)?;
            self.carried.insert(entry, carried);
        }
        Ok(())
    }

    fn unset_columns(&self, unset: &str) -> Vec<usize> {
        unset
            .split(',')
            .filter_map(|name| self.schema.index_of(name.trim()).ok())
            .collect()
    }
}

fn single_row(batch: &RecordBatch, row: usize) -> Result<Vec<ArrayRef>, ArrowError> {
    Ok(take_record_batch(batch, &UInt32Array::from(vec![row_number(row)]))?
        .columns()
        .to_vec())
}

#[cfg(test)]
mod tests {
    use crate::fixtures::Row;
    use crate::table::fold_tests::{fold, up};

    #[test]
    fn a_value_left_out_is_carried_forward_also_through_several_changes() {
        let left_out = |at| Row {
            unset: Some("a".to_owned()),
            ..Row::new("u", "x", at)
        };
        assert_eq!(fold(&[up("x", 1, "kept"), left_out(2), left_out(3)]), ["x=kept"]);
        assert_eq!(
            fold(&[left_out(3), up("x", 1, "kept"), left_out(2)]),
            ["x=kept"],
            "whatever the order of reading"
        );
        assert_eq!(
            fold(&[left_out(3), up("x", 1, "first"), up("x", 2, "second")]),
            ["x=second"]
        );
        assert_eq!(
            fold(&[up("x", 1, "gone"), Row::new("d", "x", 2), left_out(3)]),
            ["x=null"]
        );
    }
}
