//! The queries folder: views, quality rules, reference tables and parameters, read as one.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::calendar::Calendar;
use crate::error::QueryError;
use crate::functions::Parameters;

/// Editors of Windows begin a file with it to say that it is UTF-8; it is no part of what the file says.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// A view: its header and its SELECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFile {
    pub path: PathBuf,
    /// `quality` for quality rules, none for views.
    pub schema: Option<String>,
    pub name: String,
    /// What one row is.
    pub row: String,
    pub why: String,
    pub sql: String,
}

/// Everything of a queries folder that SQL refers to.
#[derive(Debug, Clone)]
pub struct Directory {
    pub views: Vec<QueryFile>,
    pub(crate) reference: Vec<ReferenceTable>,
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) calendar: Arc<Calendar>,
}

#[derive(Debug, Clone)]
pub(crate) struct ReferenceTable {
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Directory {
    /// Reads `views/`, `quality/`, `reference/*.csv` and `parameters.toml`. What is not there is empty.
    pub fn load(folder: &Path) -> Result<Self, QueryError> {
        let mut views = read_views(&folder.join("views"), None)?;
        views.extend(read_views(&folder.join("quality"), Some("quality"))?);
        let reference_folder = folder.join("reference");
        let mut reference = Vec::new();
        for path in files_below(&reference_folder, "csv")? {
            reference.push(ReferenceTable::load(&path)?);
        }
        Ok(Self {
            views,
            reference,
            parameters: Arc::new(read_parameters(&folder.join("parameters.toml"))?),
            calendar: Arc::new(Calendar::load(&reference_folder)?),
        })
    }
}

impl QueryFile {
    /// The name SQL calls it by.
    pub fn full_name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }

    fn parse(path: &Path, schema: Option<&str>, text: &str) -> Result<Self, QueryError> {
        let wrong = |detail: &str| QueryError::QueryFile {
            path: path.to_owned(),
            detail: detail.to_owned(),
        };
        let header = |key: &str| header_value(text, key).ok_or_else(|| wrong(&format!("its header lacks `-- {key}:`")));
        let name = header("name")?;
        if !name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
        {
            return Err(wrong(&format!("`{name}` is not a name for a view: use a-z, 0-9 and _")));
        }
        Ok(Self {
            path: path.to_owned(),
            schema: schema.map(str::to_owned),
            row: header("row")?,
            why: header("why")?,
            name,
            sql: text.trim().trim_end_matches(';').to_owned(),
        })
    }
}

/// The value of `-- key: value` among the leading comment lines; indented comment lines continue it.
fn header_value(text: &str, key: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("--").filter(|comment| !comment.trim().is_empty()) else {
            break;
        };
        if let Some(value) = &mut value {
            let Some(more) = comment.strip_prefix("  ") else { break };
            value.push(' ');
            value.push_str(more.trim());
        } else if let Some((found, rest)) = comment.split_once(':')
            && found.trim() == key
        {
            value = Some(rest.trim().to_owned());
        }
    }
    value
}

fn read_views(folder: &Path, schema: Option<&str>) -> Result<Vec<QueryFile>, QueryError> {
    files_below(folder, "sql")?
        .into_iter()
        .map(|path| QueryFile::parse(&path, schema, &read_text(&path)?))
        .collect()
}

/// Files with an extension in a folder and its folders, sorted.
fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, QueryError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        let unreadable = |error: std::io::Error| QueryError::QueryFile {
            path: folder.clone(),
            detail: error.to_string(),
        };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read_text(path: &Path) -> Result<String, QueryError> {
    let text = fs::read_to_string(path).map_err(|error| QueryError::QueryFile {
        path: path.to_owned(),
        detail: error.to_string(),
    })?;
    Ok(text.trim_start_matches(BYTE_ORDER_MARK).to_owned())
}

/// Numbers by name; those in a section are called `section.name`.
fn read_parameters(path: &Path) -> Result<Parameters, QueryError> {
    if !path.exists() {
        return Ok(Parameters::new());
    }
    let wrong = |detail: String| QueryError::QueryFile {
        path: path.to_owned(),
        detail,
    };
    let table: toml::Table = read_text(path)?
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let mut parameters = Parameters::new();
    collect_parameters("", &table, &mut parameters).map_err(wrong)?;
    Ok(parameters)
}

fn collect_parameters(prefix: &str, table: &toml::Table, parameters: &mut Parameters) -> Result<(), String> {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(section) => collect_parameters(&name, section, parameters)?,
            toml::Value::Float(number) => {
                parameters.insert(name, *number);
            }
            toml::Value::Integer(number) => {
                let number: f64 = number
                    .to_string()
                    .parse()
                    .map_err(|_| format!("{name} is not a number"))?;
                parameters.insert(name, number);
            }
            other => return Err(format!("{name} is a {}; parameters are numbers", other.type_str())),
        }
    }
    Ok(())
}

impl ReferenceTable {
    fn load(path: &Path) -> Result<Self, QueryError> {
        let wrong = |detail: String| QueryError::Reference {
            path: path.to_owned(),
            detail,
        };
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_owned();
        let mut file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let format = Format::default().with_header(true).with_comment(b'#');
        let (inferred, _) = format
            .infer_schema(file.by_ref(), None)
            .map_err(|error| wrong(error.to_string()))?;
        let schema = Arc::new(Schema::new(
            inferred
                .fields()
                .iter()
                .map(|field| readable(field))
                .collect::<Vec<_>>(),
        ));
        file.rewind().map_err(|error| wrong(error.to_string()))?;
        let reader = ReaderBuilder::new(schema.clone()).with_format(format).build(file);
        let batches = reader
            .and_then(|reader| reader.collect())
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { name, schema, batches })
    }
}

/// A column without a value has no type of its own; it is text.
fn readable(field: &Field) -> Field {
    match field.data_type() {
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        _ => field.clone().with_nullable(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_goes_on_over_indented_lines_and_ends_with_the_first_other_line() {
        let text = "-- name: open\n-- row: a case\n-- why: because\n--   it matters\nselect 1";
        let file = QueryFile::parse(Path::new("open.sql"), None, text).unwrap();
        assert_eq!((file.name.as_str(), file.row.as_str()), ("open", "a case"));
        assert_eq!(file.why, "because it matters");
    }

    #[test]
    fn a_view_without_a_name_is_refused_with_its_path() {
        let error = QueryFile::parse(Path::new("views/x.sql"), None, "select 1").unwrap_err();
        assert_eq!(error.to_string(), "views/x.sql: its header lacks `-- name:`");
    }

    #[test]
    fn reference_tables_take_their_types_from_their_values() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("reference")).unwrap();
        fs::write(
            folder.path().join("reference/r.csv"),
            "day,n,rate,empty\n2018-01-01,1,0.5,\n",
        )
        .unwrap();
        fs::write(
            folder.path().join("parameters.toml"),
            "grace = 2\n[norm]\ncases = 18.5\n",
        )
        .unwrap();
        let directory = Directory::load(folder.path()).unwrap();
        let types: Vec<_> = directory.reference[0]
            .schema
            .fields()
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        assert_eq!(
            types,
            [DataType::Date32, DataType::Int64, DataType::Float64, DataType::Utf8]
        );
        assert_eq!(directory.parameters.get("norm.cases"), Some(&18.5));
        assert_eq!(directory.parameters.get("grace"), Some(&2.0));
    }
}
