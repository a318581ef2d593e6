//! What is remembered of a feed: for each table the rows that were last delivered, as key, digest and latest date.
//!
//! A folder a feed: `ledger.json` names for each table the file that holds its rows. Files are written whole and only
//! then named, so that a crash leaves the ledger as it was or as it is to be, never between. Before anything is sent
//! the new rows are named as *pending*; after it was sent they become *current*. A run that finds pending rows cannot
//! know whether they were sent, and assumes neither: what differs between the two is sent again, which says nothing
//! new, and never lost.
//!
//! Files hold raw keys, so they are the owner's alone to read.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, FixedSizeBinaryArray, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use casewatch_contract::{RecordedAt, Table, TableName};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, digests};
use crate::failure::Failure;

const LEDGER: &str = "ledger.json";
const LOCK: &str = "lock";
const VERSION: u32 = 1;

/// The columns beside the key; no table may have columns of such names.
const DIGEST: &str = "_digest";
const LATEST: &str = "_latest";
const OUTSIDE: &str = "_outside";

/// Rows of a table that the present may still hold.
#[derive(Clone, Debug)]
pub struct Known {
    /// The key's columns.
    pub keys: RecordBatch,
    /// Of each row; `None` when it is not known which of two versions was sent.
    pub digests: Vec<Option<Digest>>,
    /// The latest date in each row.
    pub latest: Vec<Option<i32>>,
    /// Whether each row has left the window.
    pub outside: Vec<bool>,
}

impl Known {
    /// A table of which nothing is known.
    pub fn nothing(table: &Table) -> Self {
        let keys = RecordBatch::new_empty(Arc::new(Schema::new(key_fields(table))));
        Self {
            keys,
            digests: Vec::new(),
            latest: Vec::new(),
            outside: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Of each row's key.
    pub fn key_digests(&self) -> Vec<Digest> {
        let schema = self.keys.schema();
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .zip(self.keys.columns())
            .collect();
        digests(&columns, self.keys.num_rows())
    }

    /// Some of the rows, by position.
    pub fn select(&self, rows: &[u32]) -> Self {
        let positions = arrow::array::UInt32Array::from(rows.to_vec());
        Self {
            keys: take_record_batch(&self.keys, &positions).expect("positions are of rows"),
            digests: rows.iter().map(|&row| self.digests[row as usize]).collect(),
            latest: rows.iter().map(|&row| self.latest[row as usize]).collect(),
            outside: rows.iter().map(|&row| self.outside[row as usize]).collect(),
        }
    }

    /// These rows and then those.
    pub fn followed_by(mut self, other: Self) -> Self {
        self.keys = concat_batches(&self.keys.schema(), [&self.keys, &other.keys]).expect("both have the table's key");
        self.digests.extend(other.digests);
        self.latest.extend(other.latest);
        self.outside.extend(other.outside);
        self
    }

    /// Rows that may or may not have been sent after these: everything that stands in either, and no digest for rows
    /// in which they differ.
    fn or(mut self, pending: Self) -> Self {
        let places: std::collections::HashMap<Digest, usize> = self
            .key_digests()
            .into_iter()
            .enumerate()
            .map(|(row, key)| (key, row))
            .collect();
        let mut added = Vec::new();
        for (row, key) in pending.key_digests().iter().enumerate() {
            match places.get(key) {
                Some(&place) => {
                    if self.digests[place] != pending.digests[row] {
                        self.digests[place] = None;
                    }
                    self.latest[place] = self.latest[place].max(pending.latest[row]);
                    self.outside[place] &= pending.outside[row];
                }
                None => added.push(row as u32),
            }
        }
        let mut added = pending.select(&added);
        added.digests.fill(None);
        self.followed_by(added)
    }
}

/// What is known of a table before a delivery.
#[derive(Debug)]
pub struct Before {
    /// The rows that the present may hold.
    pub rows: Known,
    /// How many of them, from the first, the last delivery confirmed. The others are pending.
    pub confirmed: usize,
    /// When the last delivery was taken; `None` before the first was confirmed.
    pub as_at: Option<RecordedAt>,
    /// When the pending delivery was taken.
    pub pending_as_at: Option<RecordedAt>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ledger {
    version: u32,
    current: BTreeMap<TableName, Entry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<TableName, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    file: String,
    as_at: RecordedAt,
}

/// Whether the folder may be made and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// A feed's folder. While it is open for writing no other run can open it so.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    ledger: Ledger,
    /// What was pending when it was opened.
    pending_before: BTreeMap<TableName, Entry>,
    _lock: Option<File>,
}

impl State {
    /// Opens the folder of `feed` under `root`.
    ///
    /// # Errors
    /// A folder that cannot be read, made or locked, or that a newer version wrote.
    pub fn open(root: &Path, feed: &str, access: Access) -> Result<Self, Failure> {
        let folder = root.join(feed);
        let lock = match access {
            Access::Read => None,
            Access::Write => Some(lock(&folder)?),
        };
        let file = folder.join(LEDGER);
        let ledger = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(&file, error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ledger {
                version: VERSION,
                ..Ledger::default()
            },
            Err(error) => return Err(unreadable(&file, error)),
        };
        if ledger.version != VERSION {
            let found = ledger.version;
            return Err(Failure::failed(format!(
                "{}: written in format {found}; this program knows format {VERSION}\nhint: use the version of casewatch that wrote it",
                file.display()
            )));
        }
        let pending_before = ledger.pending.clone();
        Ok(Self {
            folder,
            ledger,
            pending_before,
            _lock: lock,
        })
    }

    /// Tables that the feed delivered before.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.ledger.current.keys()
    }

    /// What is known of a table.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of another key than the table's.
    pub fn before(&self, table: &Table) -> Result<Before, Failure> {
        let read = |entry: Option<&Entry>| {
            entry
                .map(|entry| read_rows(&self.folder.join(&entry.file), table))
                .transpose()
        };
        let (current, pending) = (
            self.ledger.current.get(&table.name),
            self.ledger.pending.get(&table.name),
        );
        let rows = read(current)?.unwrap_or_else(|| Known::nothing(table));
        let confirmed = rows.len();
        let rows = match read(pending)? {
            Some(pending) => rows.or(pending),
            None => rows,
        };
        let as_at = |entry: Option<&Entry>| entry.map(|entry| entry.as_at);
        Ok(Before {
            rows,
            confirmed,
            as_at: as_at(current),
            pending_as_at: as_at(pending),
        })
    }

    /// Writes the rows of a delivery as pending.
    ///
    /// # Errors
    /// What the folder refuses; then the state is as it was.
    pub fn stage(&mut self, as_at: RecordedAt, tables: &[(Arc<Table>, &Known)]) -> Result<(), Failure> {
        let mut pending = self.ledger.pending.clone();
        let attempt = uuid::Uuid::new_v4().simple();
        for (table, rows) in tables {
            let file = format!("{}.{attempt}.parquet", table.name);
            write_rows(&self.folder.join(&file), rows)?;
            pending.insert(table.name.clone(), Entry { file, as_at });
        }
        self.write(Ledger {
            version: VERSION,
            current: self.ledger.current.clone(),
            pending,
        })
    }

    /// The pending rows were sent: they are current now.
    ///
    /// # Errors
    /// What the folder refuses; then they stay pending.
    pub fn confirm(&mut self) -> Result<(), Failure> {
        let mut current = self.ledger.current.clone();
        current.extend(self.ledger.pending.clone());
        self.write(Ledger {
            version: VERSION,
            current,
            pending: BTreeMap::new(),
        })?;
        self.remove_unnamed();
        Ok(())
    }

    /// Nothing was sent since [`State::open`]: what was pending then is again.
    ///
    /// # Errors
    /// What the folder refuses; then the rows stay pending, which is safe.
    pub fn withdraw(&mut self) -> Result<(), Failure> {
        let (current, pending) = (self.ledger.current.clone(), self.pending_before.clone());
        self.write(Ledger {
            version: VERSION,
            current,
            pending,
        })?;
        self.remove_unnamed();
        Ok(())
    }

    fn write(&mut self, ledger: Ledger) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(&ledger).expect("a ledger has a JSON form");
        write_whole(&self.folder.join(LEDGER), |file| file.write_all(&bytes))?;
        self.ledger = ledger;
        Ok(())
    }

    /// Files that the ledger names no longer. That some cannot be removed is no reason to fail.
    fn remove_unnamed(&self) {
        let named: Vec<&str> = self
            .ledger
            .current
            .values()
            .chain(self.ledger.pending.values())
            .map(|entry| entry.file.as_str())
            .collect();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".parquet") && !named.contains(&&*name) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let unusable = |error: std::io::Error| Failure::failed(format!("{}: cannot be used: {error}", folder.display()));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(unusable)?;
    let file = private(OpenOptions::new().create(true).truncate(false))
        .open(folder.join(LOCK))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::failed(format!(
            "{}: another run is loading this feed\nhint: wait until it has ended",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

/// Writes a file under another name, syncs it, and gives it its name.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    let unwritten = path.with_extension("unfinished");
    let written = (|| {
        let mut file = private(OpenOptions::new().create(true).truncate(true)).open(&unwritten)?;
        write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&unwritten, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", path.display())))
}

fn key_fields(table: &Table) -> Vec<Field> {
    table
        .key_columns()
        .map(|column| Field::new(&column.name, column.data_type.clone(), true))
        .collect()
}

fn file_schema(mut fields: Vec<Field>) -> SchemaRef {
    fields.push(Field::new(DIGEST, DataType::FixedSizeBinary(16), true));
    fields.push(Field::new(LATEST, DataType::Date32, true));
    fields.push(Field::new(OUTSIDE, DataType::Boolean, false));
    Arc::new(Schema::new(fields))
}

fn write_rows(path: &Path, rows: &Known) -> Result<(), Failure> {
    let digests = FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.digests.iter().copied(), 16)
        .expect("digests have 16 bytes");
    let mut columns = rows.keys.columns().to_vec();
    columns.push(Arc::new(digests) as ArrayRef);
    columns.push(Arc::new(Date32Array::from(rows.latest.clone())));
    columns.push(Arc::new(BooleanArray::from(rows.outside.clone())));
    let fields = rows
        .keys
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let batch = RecordBatch::try_new(file_schema(fields), columns).expect("columns are of the file's schema");
    write_whole(path, |file| {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(())
    })
}

fn read_rows(path: &Path, table: &Table) -> Result<Known, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, error))?;
    let schema = file_schema(key_fields(table));
    let found = reader.schema();
    let same = found.fields().len() == schema.fields().len()
        && found
            .fields()
            .iter()
            .zip(schema.fields())
            .all(|(found, expected)| found.name() == expected.name() && found.data_type() == expected.data_type());
    if !same {
        return Err(Failure::failed(format!(
            "{}: remembers another key than the schema of {} has\nhint: a table with a new key starts anew: new topic, new state folder",
            path.display(),
            table.name
        )));
    }
    let batches = reader.build().map_err(|error| unreadable(path, error))?;
    let batches = batches
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(path, error))?;
    let all = concat_batches(&schema, &batches).map_err(|error| unreadable(path, error))?;
    let key = table.key.len();
    let digests = all.column(key).as_fixed_size_binary();
    let latest = all.column(key + 1).as_primitive::<Date32Type>();
    let outside = all.column(key + 2).as_boolean();
    let digest = |row: usize| {
        digests
            .is_valid(row)
            .then(|| digests.value(row).try_into().expect("digests have 16 bytes"))
    };
    let keys = RecordBatch::try_new(Arc::new(Schema::new(key_fields(table))), all.columns()[..key].to_vec());
    Ok(Known {
        keys: keys.expect("the file has the table's key"),
        digests: (0..all.num_rows()).map(digest).collect(),
        latest: latest.iter().collect(),
        outside: outside.iter().map(|outside| outside == Some(true)).collect(),
    })
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!(
        "{}: cannot be read: {error}\nhint: put the file back from a backup; without it the next delivery would be sent as the first",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::testing::contract;
    use arrow::array::StringArray;
    use std::os::unix::fs::PermissionsExt;

    fn rows(table: &Table, rows: &[(&str, u8, Option<i32>, bool)]) -> Known {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        Known {
            keys: RecordBatch::try_new(Arc::new(Schema::new(key_fields(table))), vec![keys]).unwrap(),
            digests: rows.iter().map(|row| Some([row.1; 16])).collect(),
            latest: rows.iter().map(|row| row.2).collect(),
            outside: rows.iter().map(|row| row.3).collect(),
        }
    }

    fn listed(known: &Known) -> Vec<(String, Option<u8>, Option<i32>, bool)> {
        let keys = known.keys.column(0).as_string::<i32>();
        let row = |row: usize| {
            (
                keys.value(row).to_owned(),
                known.digests[row].map(|digest| digest[0]),
                known.latest[row],
                known.outside[row],
            )
        };
        (0..known.len()).map(row).collect()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn confirmed_rows_come_back_and_their_files_are_private() {
        let root = tempfile::tempdir().unwrap();
        let table = Arc::clone(contract().table("cases").unwrap());
        let delivered = rows(&table, &[("a", 1, Some(17_000), false), ("b", 2, None, true)]);
        let mut state = State::open(root.path(), "mosaic", Access::Write).unwrap();
        state.stage(RecordedAt(5), &[(Arc::clone(&table), &delivered)]).unwrap();
        state.confirm().unwrap();
        state.stage(RecordedAt(6), &[(Arc::clone(&table), &delivered)]).unwrap();
        state.confirm().unwrap();
        drop(state);

        let state = State::open(root.path(), "mosaic", Access::Read).unwrap();
        let before = state.before(&table).unwrap();
        assert_eq!(listed(&before.rows), listed(&delivered));
        assert_eq!(
            (before.confirmed, before.as_at, before.pending_as_at),
            (2, Some(RecordedAt(6)), None)
        );
        let folder = root.path().join("mosaic");
        assert_eq!(
            files(&folder).len(),
            3,
            "the ledger, the lock and one file a table: {:?}",
            files(&folder)
        );
        for name in files(&folder) {
            let mode = std::fs::metadata(folder.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn of_pending_rows_neither_sent_nor_unsent_is_assumed() {
        let root = tempfile::tempdir().unwrap();
        let table = Arc::clone(contract().table("cases").unwrap());
        let mut state = State::open(root.path(), "mosaic", Access::Write).unwrap();
        let first = rows(
            &table,
            &[
                ("same", 1, Some(1), false),
                ("changed", 2, Some(1), false),
                ("gone", 3, Some(1), false),
            ],
        );
        state.stage(RecordedAt(5), &[(Arc::clone(&table), &first)]).unwrap();
        state.confirm().unwrap();
        let second = rows(
            &table,
            &[
                ("same", 1, Some(1), false),
                ("changed", 9, Some(4), false),
                ("new", 4, Some(1), false),
            ],
        );
        state.stage(RecordedAt(6), &[(Arc::clone(&table), &second)]).unwrap();
        drop(state);

        let mut state = State::open(root.path(), "mosaic", Access::Write).unwrap();
        let before = state.before(&table).unwrap();
        let known = [
            ("same".to_owned(), Some(1), Some(1), false),
            ("changed".to_owned(), None, Some(4), false),
            ("gone".to_owned(), Some(3), Some(1), false),
            ("new".to_owned(), None, Some(1), false),
        ];
        assert_eq!(listed(&before.rows), known);
        assert_eq!((before.confirmed, before.pending_as_at), (3, Some(RecordedAt(6))));

        let third = rows(&table, &[("third", 1, None, false)]);
        state.stage(RecordedAt(7), &[(Arc::clone(&table), &third)]).unwrap();
        state.withdraw().unwrap();
        assert_eq!(
            listed(&state.before(&table).unwrap().rows),
            known,
            "what was not sent leaves no trace"
        );
        assert_eq!(files(&root.path().join("mosaic")).len(), 4);
    }

    #[test]
    fn two_runs_cannot_load_one_feed_at_once() {
        let root = tempfile::tempdir().unwrap();
        let _first = State::open(root.path(), "mosaic", Access::Write).unwrap();
        let failure = State::open(root.path(), "mosaic", Access::Write).unwrap_err();
        assert!(
            failure.message.contains("another run is loading this feed"),
            "{failure}"
        );
        State::open(root.path(), "hr", Access::Write).unwrap();
    }

    #[test]
    fn reading_makes_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let state = State::open(root.path(), "mosaic", Access::Read).unwrap();
        let before = state.before(contract().table("cases").unwrap()).unwrap();
        assert_eq!((before.rows.len(), before.as_at), (0, None));
        assert_eq!(files(root.path()), [""; 0]);
    }
}
