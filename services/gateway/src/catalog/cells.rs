//! Tables in memory, of rows that are written down: a line of columns, and cells.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use crate::types::TYPE_KEY;

/// A value of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Number(i64),
    Numbers(Vec<usize>),
    Text(String),
    Yes(bool),
    None,
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i16> for Cell {
    fn from(number: i16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::Yes(yes)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$(Cell::from($value)),*] };
}
pub(super) use row;

pub(super) const NOTHING: Option<&str> = None;

/// `o` oid, `i` int4, `s` int2, `l` int8, `f` float4, `b` bool, `n` name, `t` text, `c` "char", and arrays `T`, `S`, `O`.
fn kind(letter: &str) -> (DataType, Option<&'static str>) {
    let array = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
    match letter {
        "o" => (DataType::Int32, Some("oid")),
        "i" => (DataType::Int32, None),
        "s" => (DataType::Int16, None),
        "l" => (DataType::Int64, None),
        "f" => (DataType::Float32, None),
        "b" => (DataType::Boolean, None),
        "n" => (DataType::Utf8, Some("name")),
        "c" => (DataType::Utf8, Some("char")),
        "T" => (array(DataType::Utf8), None),
        "S" => (array(DataType::Int16), None),
        "O" => (array(DataType::Int32), None),
        _ => (DataType::Utf8, None),
    }
}

/// A table of such columns and rows. A row may be shorter than the columns: the rest is null.
pub(super) fn table(columns: &str, rows: &[Vec<Cell>]) -> Arc<dyn TableProvider> {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (place, column) in columns.split_whitespace().enumerate() {
        let (name, letter) = column.split_once(':').expect("a column is name:letter");
        let (data_type, known_as) = kind(letter);
        let mut field = Field::new(name, data_type.clone(), true);
        if let Some(known_as) = known_as {
            field = field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), known_as.to_owned())]));
        }
        fields.push(field);
        let cells = rows.iter().map(|row| row.get(place).unwrap_or(&Cell::None));
        arrays.push(array(&data_type, cells));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("columns are made of the schema's types");
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("a batch has its own schema"))
}

fn array<'a>(data_type: &DataType, cells: impl ExactSizeIterator<Item = &'a Cell>) -> ArrayRef {
    let number = |cell: &Cell| match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    };
    match data_type {
        DataType::Int16 => Arc::new(
            cells
                .map(|cell| number(cell).and_then(|number| i16::try_from(number).ok()))
                .collect::<Int16Array>(),
        ),
        DataType::Int32 => Arc::new(
            cells
                .map(|cell| number(cell).and_then(|number| i32::try_from(number).ok()))
                .collect::<Int32Array>(),
        ),
        DataType::Int64 => Arc::new(cells.map(number).collect::<Int64Array>()),
        DataType::Float32 => Arc::new(
            cells
                .map(|cell| {
                    number(cell)
                        .and_then(|number| i16::try_from(number).ok())
                        .map(f32::from)
                })
                .collect::<Float32Array>(),
        ),
        DataType::Boolean => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Yes(yes) => Some(*yes),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        DataType::List(item) if item.data_type() == &DataType::Int16 => {
            Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(cells.map(numbers)))
        }
        DataType::List(item) if item.data_type() == &DataType::Int32 => {
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(cells.map(numbers)))
        }
        // No array of texts has a value here.
        DataType::List(_) => arrow::array::new_null_array(data_type, cells.len()),
        _ => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
    }
}

fn numbers<N: TryFrom<usize>>(cell: &Cell) -> Option<Vec<Option<N>>> {
    match cell {
        Cell::Numbers(numbers) => Some(numbers.iter().map(|number| N::try_from(*number).ok()).collect()),
        _ => None,
    }
}
