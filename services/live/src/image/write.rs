//! An image into a folder: for each table its rows, their entries and its remembered deletes as Arrow files, and last
//! the manifest. Rows and entries stand apart so that a block that is read back holds its rows and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use casewatch_contract::TableName;

use super::capture::{Image, deleted_schema, entries_schema};
use super::manifest::{Checksum, LakeMark, Origin};
use super::{ImageError, file_error, rows_error};

pub(super) const MANIFEST: &str = "image.json";

impl Image {
    /// Writes into `folder`, which is there and empty. Gives up at the deadline: what it has written is no image then.
    pub(crate) fn write(
        mut self,
        folder: &Path,
        origin: Origin,
        lake: BTreeMap<TableName, LakeMark>,
        deadline: Option<Instant>,
    ) -> Result<u64, ImageError> {
        let in_time = || match deadline {
            Some(deadline) if Instant::now() > deadline => Err(ImageError::OutOfTime {
                path: folder.to_owned(),
            }),
            _ => Ok(()),
        };
        for (name, table) in &self.tables {
            let (mut rows, mut entries) = (
                IpcFile::create(folder, rows_file(name), &table.rows_schema)?,
                IpcFile::create(folder, entries_file(name), &entries_schema())?,
            );
            for (block, of_block) in &table.blocks {
                in_time()?;
                rows.write(block)?;
                entries.write(of_block)?;
            }
            let mut deleted = IpcFile::create(folder, deleted_file(name), &deleted_schema())?;
            deleted.write(&table.deleted)?;
            for file in [rows, entries, deleted] {
                let (file, checksum) = file.finish()?;
                self.manifest.files.insert(file, checksum);
            }
        }
        in_time()?;
        self.manifest.origin = origin;
        self.manifest.lake = lake;
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec(&self.manifest).map_err(|error| ImageError::Damaged {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        // The manifest's own checksum stands on a line after it.
        let sum = format!("\n{:08x}\n", crc32fast::hash(&text));
        text.extend_from_slice(sum.as_bytes());
        std::fs::write(&path, &text).map_err(file_error(&path))?;
        let files = self.manifest.files.values();
        Ok(files.map(|file| file.bytes).sum::<u64>() + text.len() as u64)
    }
}

pub(super) fn rows_file(table: &TableName) -> String {
    format!("{table}.rows.arrow")
}

pub(super) fn entries_file(table: &TableName) -> String {
    format!("{table}.entries.arrow")
}

pub(super) fn deleted_file(table: &TableName) -> String {
    format!("{table}.deleted.arrow")
}

struct IpcFile {
    name: String,
    path: std::path::PathBuf,
    writer: FileWriter<Summed<BufWriter<File>>>,
}

impl IpcFile {
    fn create(folder: &Path, name: String, schema: &SchemaRef) -> Result<Self, ImageError> {
        let path = folder.join(&name);
        let file = Summed::new(BufWriter::new(File::create(&path).map_err(file_error(&path))?));
        let writer = FileWriter::try_new(file, schema).map_err(rows_error(&path))?;
        Ok(Self { name, path, writer })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ImageError> {
        self.writer.write(batch).map_err(rows_error(&self.path))
    }

    fn finish(mut self) -> Result<(String, Checksum), ImageError> {
        self.writer.finish().map_err(rows_error(&self.path))?;
        let mut file = self.writer.into_inner().map_err(rows_error(&self.path))?;
        file.flush().map_err(file_error(&self.path))?;
        let checksum = Checksum {
            bytes: file.bytes,
            crc32: file.hasher.finalize(),
        };
        Ok((self.name, checksum))
    }
}

/// Counts and sums up what passes through.
struct Summed<W> {
    inner: W,
    bytes: u64,
    hasher: crc32fast::Hasher,
}

impl<W: Write> Summed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            bytes: 0,
            hasher: crc32fast::Hasher::new(),
        }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
