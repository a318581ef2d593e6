//! COPY ... TO STDOUT: rows as lines of text or CSV, as PostgreSQL writes them.

use bytes::{BufMut, BytesMut};
use chrono_tz::Tz;

use crate::encode::Rows;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyFormat {
    pub(crate) is_csv: bool,
    pub(crate) header: bool,
    pub(crate) delimiter: u8,
    pub(crate) null: String,
    pub(crate) quote: u8,
    /// The quote itself where none is given.
    pub(crate) escape: Option<u8>,
    pub(crate) quote_all: bool,
    chosen_delimiter: bool,
    chosen_null: bool,
}

impl Default for CopyFormat {
    fn default() -> Self {
        Self {
            is_csv: false,
            header: false,
            delimiter: b'\t',
            null: "\\N".to_owned(),
            quote: b'"',
            escape: None,
            quote_all: false,
            chosen_delimiter: false,
            chosen_null: false,
        }
    }
}

impl CopyFormat {
    /// CSV, with what was not chosen as it is usual there.
    pub(crate) fn into_csv(mut self) -> Self {
        self.is_csv = true;
        if !self.chosen_delimiter {
            self.delimiter = b',';
        }
        if !self.chosen_null {
            self.null.clear();
        }
        self
    }

    pub(crate) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
        self.chosen_delimiter = true;
    }

    pub(crate) fn set_null(&mut self, null: String) {
        self.null = null;
        self.chosen_null = true;
    }

    pub(crate) fn put_header(&self, names: &[&str], into: &mut BytesMut) {
        for (place, name) in names.iter().enumerate() {
            if place > 0 {
                into.put_u8(self.delimiter);
            }
            self.put_value(name.as_bytes(), names.len(), into);
        }
        into.put_u8(b'\n');
    }

    pub(crate) fn put_row(&self, rows: &Rows, row: usize, zone: Tz, into: &mut BytesMut) {
        let mut value = BytesMut::new();
        for column in 0..rows.width() {
            if column > 0 {
                into.put_u8(self.delimiter);
            }
            value.clear();
            match rows.put_text(row, column, zone, &mut value) {
                true => self.put_value(&value, rows.width(), into),
                false => into.put_slice(self.null.as_bytes()),
            }
        }
        into.put_u8(b'\n');
    }

    fn put_value(&self, value: &[u8], width: usize, into: &mut BytesMut) {
        match self.is_csv {
            true => self.put_csv(value, width, into),
            false => self.put_escaped(value, into),
        }
    }

    fn put_csv(&self, value: &[u8], width: usize, into: &mut BytesMut) {
        let is_special = |byte: &u8| *byte == self.delimiter || *byte == self.quote || matches!(byte, b'\n' | b'\r');
        let ends_a_copy = width == 1 && value == b"\\.";
        if !self.quote_all && value != self.null.as_bytes() && !value.iter().any(is_special) && !ends_a_copy {
            return into.put_slice(value);
        }
        let escape = self.escape.unwrap_or(self.quote);
        into.put_u8(self.quote);
        for byte in value {
            if *byte == self.quote || *byte == escape {
                into.put_u8(escape);
            }
            into.put_u8(*byte);
        }
        into.put_u8(self.quote);
    }

    fn put_escaped(&self, value: &[u8], into: &mut BytesMut) {
        for byte in value {
            match byte {
                b'\\' => into.put_slice(b"\\\\"),
                b'\n' => into.put_slice(b"\\n"),
                b'\r' => into.put_slice(b"\\r"),
                b'\t' => into.put_slice(b"\\t"),
                byte if *byte == self.delimiter => into.put_slice(&[b'\\', *byte]),
                byte => into.put_u8(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::*;

    fn copied(format: &CopyFormat) -> String {
        let words: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a,b"),
            Some("say \"x\""),
            Some(""),
            None,
            Some("c\td"),
        ]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
        let batch = RecordBatch::try_from_iter([("word", words), ("n", numbers)]).unwrap();
        let rows = Rows::new(&batch).unwrap();
        let mut into = BytesMut::new();
        if format.header {
            format.put_header(&["word", "n"], &mut into);
        }
        (0..rows.count()).for_each(|row| format.put_row(&rows, row, chrono_tz::UTC, &mut into));
        String::from_utf8(into.to_vec()).unwrap()
    }

    #[test]
    fn csv_quotes_what_could_be_mistaken_and_tells_nothing_from_no_value() {
        let format = CopyFormat {
            header: true,
            ..CopyFormat::default().into_csv()
        };
        assert_eq!(
            copied(&format),
            "word,n\n\"a,b\",1\n\"say \"\"x\"\"\",2\n\"\",3\n,4\nc\td,5\n"
        );
    }

    #[test]
    fn text_escapes_what_would_end_a_value_or_a_line() {
        assert_eq!(
            copied(&CopyFormat::default()),
            "a,b\t1\nsay \"x\"\t2\n\t3\n\\N\t4\nc\\td\t5\n"
        );
    }
}
