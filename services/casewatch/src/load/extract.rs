//! A file of a delivery -> the rows of its table, typed and checked, or what is wrong with it.

mod csv;
mod parquet;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use casewatch_contract::{Column, Contract, Table};
use indicatif::ProgressBar;

use super::digest::{Digest, digests};
use super::manifest::Manifest;
use super::value::{self, Cells};

/// How many problems of a delivery are shown; all are counted.
const SHOWN: usize = 20;
/// Rows a file may have: positions in it are 32 bits wide.
const MAX_ROWS: usize = 1 << 31;

/// A table as delivered: every row fits the contract and every key stands once.
#[derive(Debug)]
pub struct Extract {
    pub table: Arc<Table>,
    /// The table's columns. Those the file lacks are null, or as the manifest says.
    pub rows: RecordBatch,
    /// Of each row's key.
    pub keys: Vec<Digest>,
}

/// What is wrong with the files of a delivery. Never a value of theirs.
#[derive(Debug, Default)]
pub struct Problems {
    pub count: u64,
    first: Vec<String>,
}

impl Problems {
    /// Notes what is wrong at a line (0: the file as a whole) and column (empty: the line as a whole).
    pub fn add(&mut self, file: &Path, line: u64, column: &str, problem: impl fmt::Display) {
        self.count += 1;
        if self.first.len() < SHOWN {
            let line = if line > 0 { format!(":{line}") } else { String::new() };
            let column = if column.is_empty() {
                String::new()
            } else {
                format!(" column {column}:")
            };
            self.first.push(format!("{}{line}:{column} {problem}", file.display()));
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first.join("\n"))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

/// The files to read, each with its table.
///
/// # Errors
/// In `problems`: a file no table is named after, or two of one table.
pub fn files_of_tables(files: &[PathBuf], contract: &Contract, problems: &mut Problems) -> Vec<(PathBuf, Arc<Table>)> {
    let mut found: Vec<(PathBuf, Arc<Table>)> = Vec::new();
    for file in files {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Some(table) = contract.table(stem) else {
            let known: Vec<_> = contract.tables().map(|table| table.name.to_string()).collect();
            problems.add(
                file,
                0,
                "",
                format!("no table has this name; expected one of {}", known.join(", ")),
            );
            continue;
        };
        if table.deliveries.is_some() {
            problems.add(file, 0, "", "this table is written by loading itself; remove the file");
        } else if let Some((other, _)) = found.iter().find(|(_, other)| other.name == table.name) {
            problems.add(
                file,
                0,
                "",
                format!("the table is also in {}; expected one file a table", other.display()),
            );
        } else {
            found.push((file.clone(), Arc::clone(table)));
        }
    }
    found
}

/// Reads one file; `progress` moves by its bytes.
///
/// # Errors
/// In `problems`; then there is no extract.
pub fn read(
    file: &Path,
    table: &Arc<Table>,
    manifest: &Manifest,
    ignore: &[String],
    problems: &mut Problems,
    progress: &ProgressBar,
) -> Option<Extract> {
    let before = problems.count;
    let stamp = stamp(file);
    let mut reader = Reader {
        file,
        table,
        manifest,
        ignore,
        problems: &mut *problems,
        progress,
    };
    let parquet = is_parquet(file);
    let (rows, lines) = if parquet {
        parquet::read(&mut reader)
    } else {
        csv::read(&mut reader)
    }?;
    if stamp.is_none() || self::stamp(file) != stamp {
        problems.add(
            file,
            0,
            "",
            "it was written to while it was read; expected a file that is finished",
        );
    }
    let total = manifest.rows.get(&table.name).copied();
    match total {
        Some(total) if total == rows.num_rows() as u64 => {}
        Some(total) => {
            let found = rows.num_rows();
            problems.add(
                file,
                0,
                "",
                format!("{found} rows; expected {total}, the control total of {}", table.name),
            );
        }
        None => problems.add(
            file,
            0,
            "",
            format!("no control total; expected `{} = ...` under [rows]", table.name),
        ),
    }
    let key: Vec<_> = table
        .key
        .iter()
        .map(|&place| (table.columns[place].name.as_str(), rows.column(place)))
        .collect();
    let keys = digests(&key, rows.num_rows());
    // Keys are looked at only when every row has one.
    if problems.count == before {
        let mut seen = HashMap::with_capacity(keys.len());
        for (row, digest) in keys.iter().enumerate() {
            if let Some(earlier) = seen.insert(digest, row) {
                let line = lines.of(earlier);
                problems.add(
                    file,
                    lines.of(row),
                    "",
                    format!("the key stands already in line {line}; expected each key once"),
                );
            }
        }
    }
    (problems.count == before).then(|| Extract {
        table: Arc::clone(table),
        rows,
        keys,
    })
}

/// How much there is to read.
pub fn bytes_of(files: &[(PathBuf, Arc<Table>)]) -> u64 {
    files.iter().filter_map(|(file, _)| Some(stamp(file)?.0)).sum()
}

/// Whether a delivery's folder would hold this file as an extract.
pub fn is_extract(file: &Path) -> bool {
    has_extension(file, "csv") || is_parquet(file)
}

fn is_parquet(file: &Path) -> bool {
    has_extension(file, "parquet")
}

fn has_extension(file: &Path, expected: &str) -> bool {
    file.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(expected))
}

fn stamp(file: &Path) -> Option<(u64, std::time::SystemTime)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Where in the file each row stands, as people count: from 1.
enum Lines {
    /// Lines of text, by row.
    Text(Vec<u64>),
    /// Row numbers.
    Rows,
}

impl Lines {
    fn of(&self, row: usize) -> u64 {
        match self {
            Self::Text(lines) => lines[row],
            Self::Rows => row as u64 + 1,
        }
    }
}

/// What both formats share.
struct Reader<'a> {
    file: &'a Path,
    table: &'a Table,
    manifest: &'a Manifest,
    ignore: &'a [String],
    problems: &'a mut Problems,
    progress: &'a ProgressBar,
}

impl Reader<'_> {
    fn fault(&mut self, line: u64, column: &str, problem: impl fmt::Display) {
        self.problems.add(self.file, line, column, problem);
    }

    /// For each of the table's columns, the position of the file's column of its name (or former name). Columns that
    /// no schema knows or that are missing are problems. Columns that are not stored are passed over.
    fn positions(&mut self, header: &[String]) -> Vec<Option<usize>> {
        let table = self.table;
        let mut positions = vec![None; table.columns.len()];
        for (position, name) in header.iter().enumerate() {
            let is_named = |column: &Column| {
                let mut names = std::iter::once(&column.name).chain(&column.aliases);
                names.any(|known| known.eq_ignore_ascii_case(name))
            };
            if let Some(found) = table.columns.iter().position(is_named) {
                if positions[found].replace(position).is_some() {
                    self.fault(1, name, "named twice");
                }
            } else if !table.unstored.iter().any(is_named)
                && !self.ignore.iter().any(|known| known.eq_ignore_ascii_case(name))
            {
                let known: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
                let known = known.join(", ");
                self.fault(
                    1,
                    name,
                    format!("unknown; expected some of {known} (or pass over it with --ignore {name})"),
                );
            }
        }
        for (column, position) in table.columns.iter().zip(&positions) {
            if position.is_none() && !column.nullable && !self.manifest.constants.contains_key(&column.name) {
                self.fault(
                    1,
                    &column.name,
                    "missing; every row needs it (a value for all rows may stand in the manifest)",
                );
            }
        }
        positions
    }

    /// Adds one cell to its column: its text, or `None` for no value. What does not fit is a problem, and null.
    fn push(&mut self, cells: &mut Cells, column: &Column, line: u64, text: Option<&str>) {
        let fits = match text.and_then(value::stated) {
            Some(text) => cells.push(text).is_ok(),
            None if column.nullable => {
                cells.push_null();
                return;
            }
            None => false,
        };
        if !fits {
            cells.push_null();
            let required = if column.nullable { "" } else { " (it cannot be empty)" };
            self.fault(
                line,
                &column.name,
                format!("expected {}{required}", value::expected(column)),
            );
        }
    }

    /// A column the file does not have: the manifest's value in every row, else nothing.
    fn constant(&self, column: &Column, rows: usize) -> ArrayRef {
        let mut cells = Cells::new(column);
        let text = self.manifest.constants.get(&column.name);
        for _ in 0..rows {
            if text.is_none_or(|text| cells.push(text).is_err()) {
                cells.push_null();
            }
        }
        cells.finish()
    }

    fn batch(&self, columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_new(self.table.schema(), columns)
            .expect("cells are of their columns' types and alike in number")
    }
}

/// Types whose display form is how a person would write the value.
fn is_readable(data_type: &DataType) -> bool {
    !data_type.is_nested()
        && !matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        )
}

#[cfg(test)]
mod tests;
