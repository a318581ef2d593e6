//! Parquet. Cells are read by their display form, so that any type that shows as the column's values do will serve:
//! a date kept as text, a flag kept as 0 and 1.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use casewatch_contract::Column;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Lines, MAX_ROWS, Reader, is_readable};
use crate::load::value::{self, Cells};

pub fn read(reader: &mut Reader<'_>) -> Option<(RecordBatch, Lines)> {
    let opened = File::open(reader.file)
        .map_err(|error| error.to_string())
        .and_then(|file| ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string()));
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            reader.fault(0, "", format!("cannot be read as Parquet: {error}"));
            return None;
        }
    };
    let schema = file.schema().clone();
    let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let positions = reader.positions(&header);
    let table = reader.table;
    let mut cells: Vec<Option<Cells>> = Vec::new();
    for (column, position) in table.columns.iter().zip(&positions) {
        let unfit = position
            .map(|position| schema.field(position).data_type())
            .filter(|found| !can_be(found, column));
        if let Some(found) = unfit {
            reader.fault(
                0,
                &column.name,
                format!("its values are of type {found}; expected {}", value::expected(column)),
            );
        }
        cells.push(position.filter(|_| unfit.is_none()).map(|_| Cells::new(column)));
    }
    let all_rows = file.metadata().file_metadata().num_rows();
    let batches = match file.build() {
        Ok(batches) => batches,
        Err(error) => {
            reader.fault(0, "", format!("cannot be read as Parquet: {error}"));
            return None;
        }
    };
    let (read_before, bytes) = (reader.progress.position(), size(reader.file));
    let mut rows = 0;
    for batch in batches {
        let batch = match batch {
            Ok(batch) if rows + batch.num_rows() <= MAX_ROWS => batch,
            Ok(_) => {
                reader.fault(0, "", format!("too many rows; expected at most {MAX_ROWS}"));
                return None;
            }
            Err(error) => {
                reader.fault(rows as u64 + 1, "", format!("cannot be read from here on: {error}"));
                return None;
            }
        };
        for ((column, position), cells) in table.columns.iter().zip(&positions).zip(&mut cells) {
            if let (Some(position), Some(cells)) = (position, cells) {
                append(reader, cells, column, batch.column(*position), rows as u64);
            }
        }
        rows += batch.num_rows();
        // Columns are read side by side: rows tell how far it is, as a share of the file.
        let share = rows as f64 / all_rows.max(1) as f64;
        reader
            .progress
            .set_position(read_before + (bytes as f64 * share) as u64);
    }
    let columns = table.columns.iter().zip(cells).map(|(column, cells)| match cells {
        Some(cells) => cells.finish(),
        None => reader.constant(column, rows),
    });
    let batch = reader.batch(columns.collect());
    Some((batch, Lines::Rows))
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// Whether values of this type can stand for the column's. A fractional number is no identifier: 5 and 5.0 would not
/// meet.
fn can_be(found: &DataType, column: &Column) -> bool {
    let is_text = column.data_type == DataType::Utf8;
    is_readable(found) && !(is_text && (found.is_floating() || found.is_decimal() || found.is_temporal()))
}

fn append(reader: &mut Reader<'_>, cells: &mut Cells, column: &Column, values: &ArrayRef, before: u64) {
    if let Some(texts) = values.as_string_opt::<i32>() {
        for (row, text) in texts.iter().enumerate() {
            reader.push(cells, column, before + row as u64 + 1, text);
        }
        return;
    }
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values, &options).expect("readable types have a display form");
    for row in 0..values.len() {
        let text = values.is_valid(row).then(|| {
            shown
                .value(row)
                .try_to_string()
                .unwrap_or_else(|_| "(not shown)".to_owned())
        });
        reader.push(cells, column, before + row as u64 + 1, text.as_deref());
    }
}
