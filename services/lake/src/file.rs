//! Data files: Parquet with zstd, each written whole by one put, so that it exists entirely or not at all and there is
//! no half upload to abort. A file that no commit names is rubbish that vacuum finds.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{filter_record_batch, partition};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use casewatch_contract::system;
use deltalake::kernel::{Add, Remove};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::error::{LakeError, Result};
use crate::log::TableLog;
use crate::schema::Layout;

const ROW_GROUP_ROWS: usize = 256 * 1024;

/// As many files are encoded at once as there are processors. When all tables are flushed together, more threads would only
/// take turns, each with buffers of its own.
static ENCODERS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, std::num::NonZero::get)));

/// Brings `rows` to the columns that `stored` has: by name, null where missing, refused where of another type or where
/// the lake does not have the column.
pub(crate) fn conform(table: &str, rows: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    let refuse = |detail: String| LakeError::Rows {
        table: table.to_owned(),
        detail,
    };
    for field in rows.schema_ref().fields() {
        match stored.field_with_name(field.name()) {
            Ok(found) if found.data_type() == field.data_type() => {}
            Ok(found) => {
                let (given, wanted) = (field.data_type(), found.data_type());
                return Err(refuse(format!(
                    "column '{}' is {given}, the lake has {wanted}",
                    field.name()
                )));
            }
            Err(_) => {
                return Err(refuse(format!(
                    "the lake has no column '{}'; widen it first",
                    field.name()
                )));
            }
        }
    }
    let columns: Vec<ArrayRef> = stored
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
        .collect();
    Ok(RecordBatch::try_new(stored.clone(), columns)?)
}

/// Splits rows by the table's partition column and takes that column out, since its value stands in the path. The
/// order of rows within a partition stays. Changes come by time, so that most months are one run, which is not copied.
pub(crate) fn split(layout: &Layout, rows: &RecordBatch) -> Result<BTreeMap<Option<String>, RecordBatch>> {
    let index = rows.schema_ref().index_of(layout.partition_column)?;
    let values = rows.column(index).as_string::<i32>().clone();
    let mut kept: Vec<usize> = (0..rows.num_columns()).collect();
    kept.remove(index);
    let rest = rows.project(&kept)?;
    let mut runs: BTreeMap<Option<&str>, Vec<Range<usize>>> = BTreeMap::new();
    for run in partition(std::slice::from_ref(rows.column(index)))?.ranges() {
        let value = values.is_valid(run.start).then(|| values.value(run.start));
        runs.entry(value).or_default().push(run);
    }
    let mut parts = BTreeMap::new();
    for (value, runs) in runs {
        let part = match runs.as_slice() {
            [run] => rest.slice(run.start, run.len()),
            _ => filter_record_batch(&rest, &in_runs(&runs, rows.num_rows()))?,
        };
        parts.insert(value.map(str::to_owned), part);
    }
    Ok(parts)
}

fn in_runs(runs: &[Range<usize>], rows: usize) -> BooleanArray {
    let mut mask = BooleanBufferBuilder::new(rows);
    for run in runs {
        mask.append_n(run.start - mask.len(), false);
        mask.append_n(run.len(), true);
    }
    mask.append_n(rows - mask.len(), false);
    BooleanArray::from(mask.finish())
}

/// Writes `rows`, which are conformed to `stored`, one file for each partition value, and returns what a commit adds.
pub(crate) async fn write(log: &TableLog, layout: &Layout, rows: Vec<RecordBatch>) -> Result<Vec<Add>> {
    let mut parts: BTreeMap<Option<String>, Vec<RecordBatch>> = BTreeMap::new();
    for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
        for (value, part) in split(layout, batch)? {
            parts.entry(value).or_default().push(part);
        }
    }
    let mut adds = Vec::new();
    for (value, part) in parts {
        adds.push(write_one(log, layout, value, part, true).await?);
    }
    Ok(adds)
}

/// Writes one file of one partition; `rows`, at least one batch, lack the partition column.
pub(crate) async fn write_one(
    log: &TableLog,
    layout: &Layout,
    partition_value: Option<String>,
    rows: Vec<RecordBatch>,
    data_change: bool,
) -> Result<Add> {
    let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
    let properties = properties(layout, &rows);
    let turn = ENCODERS.acquire().await.expect("it is never closed");
    let bytes = tokio::task::spawn_blocking(move || encode(&rows, properties)).await??;
    drop(turn);
    let size = bytes.len();
    let folder = partition_value.as_deref().unwrap_or("__HIVE_DEFAULT_PARTITION__");
    let path = format!(
        "{}={folder}/part-{}{}.zstd.parquet",
        layout.partition_column,
        Uuid::new_v4(),
        layout.keys
    );
    let put = log.store.put(&Path::from(path.as_str()), PutPayload::from(bytes)).await;
    put.map_err(LakeError::storage(format!(
        "writing a data file of table '{}'",
        log.name
    )))?;
    Ok(Add {
        path,
        partition_values: HashMap::from([(layout.partition_column.to_owned(), partition_value)]),
        size: i64::try_from(size).expect("a file is smaller than 8 EiB"),
        modification_time: chrono::Utc::now().timestamp_millis(),
        data_change,
        // Rows only: minima and maxima could name a person, and readers of ours prune by Parquet's own.
        stats: Some(format!("{{\"numRecords\":{count}}}")),
        ..Add::default()
    })
}

fn encode(rows: &[RecordBatch], properties: WriterProperties) -> Result<Bytes> {
    let schema = rows
        .first()
        .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    for batch in rows {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?.into())
}

fn properties(layout: &Layout, batches: &[RecordBatch]) -> WriterProperties {
    let is_small = batches.iter().map(RecordBatch::num_rows).sum::<usize>() < LARGE_ROWS;
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("casewatch ", env!("CARGO_PKG_VERSION")).to_owned());
    for field in layout.schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        let plain = plain_encoding(layout, field, is_small);
        // Keys of small files lie too far apart to prune by.
        let is_loose_key = is_small && is_text(field) && is_key(layout, field);
        if has_statistics(layout, field) && !is_loose_key {
            properties = properties.set_column_statistics_enabled(column.clone(), EnabledStatistics::Chunk);
        }
        if BARE.contains(&field.name().as_str()) || (is_small && !is_compressed(batches, field)) {
            properties = properties.set_column_compression(column.clone(), Compression::UNCOMPRESSED);
        }
        if let Some(encoding) = plain {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
    }
    properties.build()
}

/// Files of fewer rows are small: nearly every flush writes such. They hold rows as they came. Compaction makes large ones
/// of them.
const LARGE_ROWS: usize = 32 * 1024;

/// In a small file a column of fewer bytes is not compressed: setting up a compressor costs more.
const COMPRESSED_BYTES: usize = 4 * 1024;

/// The encoding of a column whose values are not looked up in a dictionary, since they hardly repeat: what only rises is told
/// from the value before, and in small files so are all moments and numbers; keys and identities are written as they are.
fn plain_encoding(layout: &Layout, field: &Field, is_small: bool) -> Option<Encoding> {
    if let Some((_, encoding)) = RISING.iter().find(|(name, _)| name == field.name()) {
        return Some(*encoding);
    }
    let is_name = is_key(layout, field) || layout.unseen.contains(field.name());
    match field.data_type() {
        _ if !is_small => None,
        DataType::Utf8 if is_name => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(..) => {
            Some(Encoding::DELTA_BINARY_PACKED)
        }
        _ => None,
    }
}

/// Of numbers and moments their encoding leaves too little in a small file.
fn is_compressed(batches: &[RecordBatch], field: &Field) -> bool {
    let bytes = |batch: &RecordBatch| match batch.column_by_name(field.name()).map(|column| column.as_ref()) {
        Some(column) if is_text(field) => text_bytes(column),
        _ => 0,
    };
    batches.iter().map(bytes).sum::<usize>() >= COMPRESSED_BYTES
}

fn text_bytes(column: &dyn Array) -> usize {
    let bytes = |offsets: &OffsetBuffer<i32>| (offsets[offsets.len() - 1] - offsets[0]) as usize;
    match column.data_type() {
        DataType::Utf8 => bytes(column.as_string::<i32>().offsets()),
        DataType::Binary => bytes(column.as_binary::<i32>().offsets()),
        _ => 0,
    }
}

/// System columns whose values rise from row to row.
const RISING: [(&str, Encoding); 4] = [
    (system::OFFSET, Encoding::DELTA_BINARY_PACKED),
    (system::RECORDED_AT, Encoding::DELTA_BINARY_PACKED),
    (system::INGESTED_AT, Encoding::DELTA_BINARY_PACKED),
    (system::SEQ, Encoding::DELTA_BYTE_ARRAY),
];

/// System columns of few values or even steps: their encoding leaves a compressor nothing to do, and setting one up for
/// every column of every small file costs more than the bytes.
const BARE: [&str; 9] = [
    system::OP,
    system::UNSET,
    system::SNAPSHOT,
    system::CLUSTER,
    system::TOPIC,
    system::EPOCH,
    system::PARTITION,
    system::OFFSET,
    system::INGESTED_AT,
];

/// Minima and maxima that readers prune by: of moments and numbers, and of keys. Texts cost more to compare than they
/// save, and identities of people may stand in no statistic.
fn has_statistics(layout: &Layout, field: &Field) -> bool {
    !layout.unseen.contains(field.name()) && (!is_text(field) || is_key(layout, field))
}

fn is_key(layout: &Layout, field: &Field) -> bool {
    layout.sort.contains(field.name()) && field.name() != system::SEQ
}

fn is_text(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Utf8 | DataType::Binary)
}

/// Reads a data file back in the table's columns: those it lacks are null, the partition column is filled in.
pub(crate) async fn read(log: &TableLog, schema: &SchemaRef, add: &Add) -> Result<Vec<RecordBatch>> {
    let reading = || LakeError::storage(format!("reading a data file of table '{}'", log.name));
    let found = log.store.get(&Path::from(add.path.as_str())).await.map_err(reading())?;
    let bytes = found.bytes().await.map_err(reading())?;
    let batches = tokio::task::spawn_blocking(move || decode(bytes)).await??;
    batches.into_iter().map(|batch| fill(&batch, schema, add)).collect()
}

fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?
        .with_batch_size(64 * 1024)
        .build()?;
    Ok(reader.collect::<Result<Vec<_>, _>>()?)
}

fn fill(batch: &RecordBatch, schema: &SchemaRef, add: &Add) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match add.partition_values.get(field.name()) {
            Some(value) => {
                let value = value.as_deref();
                Ok(Arc::new(std::iter::repeat_n(value, rows).collect::<arrow::array::StringArray>()) as ArrayRef)
            }
            None => match batch.column_by_name(field.name()) {
                Some(column) => Ok(column.clone()),
                None => Ok(new_null_array(field.data_type(), rows)),
            },
        });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The table's columns as its files have them: without the partition column.
pub(crate) fn file_schema(schema: &Schema, partition_column: &str) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != partition_column);
    let fields = fields.map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The action that takes a file out of the table.
pub(crate) fn removal(add: &Add, data_change: bool) -> Remove {
    Remove {
        path: add.path.clone(),
        data_change,
        deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(add.size),
        ..Remove::default()
    }
}

/// How many rows the log says a file has.
pub(crate) fn row_count(add: &Add) -> Option<i64> {
    let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::table;
    use arrow::array::StringArray;

    fn visits(rows: usize) -> RecordBatch {
        let layout = Layout::of_table(&table());
        let schema = file_schema(&layout.schema, layout.partition_column);
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "visit_id" | "child_id" => {
                Arc::new((0..rows).map(|row| Some(format!("V{row:07}"))).collect::<StringArray>()) as ArrayRef
            }
            _ => new_null_array(field.data_type(), rows),
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).unwrap()
    }

    #[test]
    fn keys_have_minima_and_numbers_a_compressor_in_large_files_alone_and_identities_have_minima_in_none() {
        let layout = Layout::of_table(&table());
        let column = |name: &str| ColumnPath::from(name);
        for (rows, is_large) in [(LARGE_ROWS - 1, false), (LARGE_ROWS, true)] {
            let properties = properties(&layout, &[visits(rows)]);
            let has_minimum = |name| properties.statistics_enabled(&column(name)) != EnabledStatistics::None;
            let is_compressed = |name| properties.compression(&column(name)) != Compression::UNCOMPRESSED;
            let has_dictionary = |name| properties.dictionary_enabled(&column(name));
            assert_eq!(
                (has_minimum("visit_id"), has_dictionary("visit_id")),
                (is_large, is_large)
            );
            assert!(has_minimum(system::RECORDED_AT) && !has_minimum("child_id"));
            assert_eq!(has_dictionary("child_id"), is_large);
            assert!(is_compressed("visit_id") && is_compressed("child_id"));
            assert_eq!(is_compressed(system::RECORDED_AT), is_large);
        }
    }

    #[test]
    fn a_small_file_compresses_a_text_from_four_kibibytes_on_all_batches_counted() {
        let layout = Layout::of_table(&table());
        let is_compressed = |batches: &[RecordBatch]| {
            properties(&layout, batches).compression(&ColumnPath::from("visit_id")) != Compression::UNCOMPRESSED
        };
        let (half, key) = (visits(256), "V0000000".len());
        assert_eq!(2 * half.num_rows() * key, COMPRESSED_BYTES);
        assert!(is_compressed(&[half.clone(), half.clone()]));
        assert!(!is_compressed(&[half.clone(), half.slice(1, 255)]));
        assert!(!is_compressed(&[half]));
    }
}
