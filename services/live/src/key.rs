//! The bytes that stand for a row's key: the text itself where the key is one text column, else arrow's row format.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

pub(crate) enum KeyEncoder {
    Text {
        column: usize,
    },
    Rows {
        columns: Vec<usize>,
        converter: RowConverter,
    },
}

pub(crate) enum Keys {
    Text(StringArray),
    /// And where no part of the key is null; none where no row has such a part.
    Rows(Rows, Option<NullBuffer>),
}

impl KeyEncoder {
    pub(crate) fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self, ArrowError> {
        if let [column] = key
            && schema.field(*column).data_type() == &DataType::Utf8
        {
            return Ok(Self::Text { column: *column });
        }
        let fields = key
            .iter()
            .map(|column| SortField::new(schema.field(*column).data_type().clone()))
            .collect();
        Ok(Self::Rows {
            columns: key.to_vec(),
            converter: RowConverter::new(fields)?,
        })
    }

    /// Keys of the rows of `columns`, which are the table's columns in its order.
    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Keys, ArrowError> {
        match self {
            Self::Text { column } => {
                let text = columns[*column].as_any().downcast_ref::<StringArray>();
                Ok(Keys::Text(
                    text.expect("the encoder was chosen by the column's type").clone(),
                ))
            }
            Self::Rows {
                columns: key,
                converter,
            } => {
                let arrays: Vec<ArrayRef> = key.iter().map(|column| columns[*column].clone()).collect();
                let whole = arrays.iter().map(|array| array.logical_nulls());
                let whole = whole.fold(None, |one, other| NullBuffer::union(one.as_ref(), other.as_ref()));
                Ok(Keys::Rows(converter.convert_columns(&arrays)?, whole))
            }
        }
    }
}

impl KeyEncoder {
    /// The key's columns, by their place in the table, of keys that [`KeyEncoder::encode`] gave.
    pub(crate) fn decode<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<(usize, ArrayRef)>, ArrowError> {
        match self {
            Self::Text { column } => {
                let texts = keys.map(|key| std::str::from_utf8(key).ok());
                Ok(vec![(*column, Arc::new(texts.collect::<StringArray>()))])
            }
            Self::Rows { columns, converter } => {
                let parser = converter.parser();
                let arrays = converter.convert_rows(keys.map(|key| parser.parse(key)))?;
                Ok(columns.iter().copied().zip(arrays).collect())
            }
        }
    }
}

impl Keys {
    /// The key of a row; none where a part of it is null, which no upsert or delete may have.
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Text(text) => (!text.is_null(row)).then(|| text.value(row).as_bytes()),
            Self::Rows(rows, whole) => {
                let is_whole = whole.as_ref().is_none_or(|whole| whole.is_valid(row));
                is_whole.then(|| rows.row(row).data())
            }
        }
    }
}
