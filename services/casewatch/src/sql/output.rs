//! Results as a table for people, or as CSV, JSON lines or Parquet for programs.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::json::LineDelimitedWriter;
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::ArrowWriter;

use crate::cli::OutputFormat;
use crate::failure::Failure;

/// Writes `batches` to `out` in `format`. No batch, no output: the header comes with the first.
///
/// # Errors
/// What the encoder or the output refuses.
pub fn write_batches(batches: &[RecordBatch], format: OutputFormat, out: &mut impl Write) -> Result<(), Failure> {
    match format {
        OutputFormat::Table => {
            let text = pretty_format_batches(batches).map_err(Failure::failed)?;
            writeln!(out, "{text}").map_err(Failure::output)
        }
        OutputFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(out);
            batches
                .iter()
                .try_for_each(|batch| writer.write(batch))
                .map_err(Failure::failed)
        }
        OutputFormat::Json => {
            let mut writer = LineDelimitedWriter::new(out);
            batches
                .iter()
                .try_for_each(|batch| writer.write(batch))
                .map_err(Failure::failed)?;
            writer.finish().map_err(Failure::failed)
        }
        OutputFormat::Parquet => {
            let Some(first) = batches.first() else { return Ok(()) };
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, first.schema(), None).map_err(Failure::failed)?;
            batches
                .iter()
                .try_for_each(|batch| writer.write(batch))
                .map_err(Failure::failed)?;
            writer.close().map_err(Failure::failed)?;
            out.write_all(&bytes).map_err(Failure::output)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([
            (
                "team",
                Arc::new(StringArray::from(vec!["north", "south"])) as arrow::array::ArrayRef,
            ),
            ("cases", Arc::new(Int64Array::from(vec![Some(12), None]))),
        ])
        .unwrap()
    }

    fn text(format: OutputFormat) -> String {
        let mut out = Vec::new();
        write_batches(&[batch()], format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_text_format_shows_every_value_and_tells_null_from_zero() {
        assert_eq!(text(OutputFormat::Csv), "team,cases\nnorth,12\nsouth,\n");
        assert_eq!(
            text(OutputFormat::Json),
            "{\"team\":\"north\",\"cases\":12}\n{\"team\":\"south\"}\n"
        );
        assert!(text(OutputFormat::Table).contains("| south |       |"));
    }

    #[test]
    fn parquet_reads_back_as_it_was_written() {
        let mut out = Vec::new();
        write_batches(&[batch()], OutputFormat::Parquet, &mut out).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(out))
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), vec![batch()]);
    }
}
