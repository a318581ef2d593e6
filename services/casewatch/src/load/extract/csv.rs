//! CSV as RFC 4180 has it: a header, commas, quotes around what holds commas or line breaks. A byte order mark and
//! either line end are fine; the text is UTF-8.

use std::fs::File;
use std::io::{BufRead, BufReader};

use arrow::array::RecordBatch;
use csv::{ByteRecord, ReaderBuilder};

use super::{Lines, MAX_ROWS, Reader};
use crate::load::value::Cells;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub fn read(reader: &mut Reader<'_>) -> Option<(RecordBatch, Lines)> {
    let opened = File::open(reader.file).and_then(|file| {
        let mut file = BufReader::with_capacity(1 << 20, reader.progress.wrap_read(file));
        let fault = foreign(file.fill_buf()?);
        if file.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            file.consume(BYTE_ORDER_MARK.len());
        }
        Ok((file, fault))
    });
    let mut file = match opened {
        Ok((file, None)) => ReaderBuilder::new().flexible(true).from_reader(file),
        Ok((_, Some(fault))) => {
            reader.fault(1, "", fault);
            return None;
        }
        Err(error) => {
            reader.fault(0, "", format!("cannot be read: {error}"));
            return None;
        }
    };
    let header: Vec<String> = match file.byte_headers() {
        Ok(header) => header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect(),
        Err(error) => {
            reader.fault(1, "", format!("cannot be read: {error}"));
            return None;
        }
    };
    let positions = reader.positions(&header);
    let table = reader.table;
    let mut cells: Vec<Option<Cells>> = table
        .columns
        .iter()
        .zip(&positions)
        .map(|(column, position)| position.map(|_| Cells::new(column)))
        .collect();
    let mut lines = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        match file.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                reader.fault(0, "", format!("cannot be read: {error}"));
                return None;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if lines.len() == MAX_ROWS {
            reader.fault(line, "", format!("too many rows; expected at most {MAX_ROWS}"));
            return None;
        }
        lines.push(line);
        if record.len() != header.len() {
            let (found, expected) = (record.len(), header.len());
            reader.fault(
                line,
                "",
                format!("{found} columns; expected {expected}, as in the header"),
            );
            for cells in cells.iter_mut().flatten() {
                cells.push_null();
            }
            continue;
        }
        for ((column, position), cells) in table.columns.iter().zip(&positions).zip(&mut cells) {
            let (Some(position), Some(cells)) = (position, cells) else {
                continue;
            };
            match std::str::from_utf8(&record[*position]) {
                Ok(text) => reader.push(cells, column, line, Some(text)),
                Err(_) => {
                    cells.push_null();
                    reader.fault(
                        line,
                        &column.name,
                        "expected text in UTF-8 (save the file as `CSV UTF-8`)",
                    );
                }
            }
        }
    }
    let columns = table.columns.iter().zip(cells).map(|(column, cells)| match cells {
        Some(cells) => cells.finish(),
        None => reader.constant(column, lines.len()),
    });
    let rows = reader.batch(columns.collect());
    Some((rows, Lines::Text(lines)))
}

/// What a file that begins like this is instead of CSV, told in one line instead of one a column.
fn foreign(beginning: &[u8]) -> Option<String> {
    if beginning.is_empty() {
        return Some("it is empty; expected a line with the names of its columns".to_owned());
    }
    if beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff") {
        return Some("its text is UTF-16; expected UTF-8 (save the file as `CSV UTF-8`)".to_owned());
    }
    let header = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|byte| **byte == wanted).count();
    let separators = [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];
    let found = separators.iter().find(|(byte, _)| count(*byte) > count(b','));
    found.map(|(_, name)| format!("its columns are separated by {name}; expected commas"))
}
