//! The columns of a barrier: each is a column of what is behind it, or a null in its place, or the pseudonym of a reference.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use casewatch_contract::{ReferenceKey, References};
use datafusion::common::Result;

use super::grant::Shown;

/// In the metadata of a field whose values are pseudonyms: of which column's.
pub(crate) const PSEUDONYM_OF: &str = "casewatch.pseudonym_of";
/// After the name of a column, the name of the one with its pseudonyms.
const PSEUDONYM: &str = "_pseudonym";

/// Where the values of a column come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The column of this name.
    Column(String),
    Null,
    /// Pseudonyms of the column of this name.
    Pseudonyms(String, Arc<References>),
}

impl Source {
    /// The column that it reads.
    pub(crate) fn reads(&self) -> Option<&str> {
        match self {
            Self::Column(name) | Self::Pseudonyms(name, _) => Some(name),
            Self::Null => None,
        }
    }

    /// Its values, of those of the column that it reads.
    pub(crate) fn values(&self, read: Option<&ArrayRef>, shown_as: &DataType, rows: usize) -> Result<ArrayRef> {
        match (self, read) {
            (Self::Column(_), Some(read)) => Ok(read.clone()),
            (Self::Pseudonyms(_, references), Some(read)) => pseudonyms(read, references),
            _ => Ok(new_null_array(shown_as, rows)),
        }
    }
}

/// The columns that are shown of what has the schema `all`, each with where it comes from.
pub(crate) fn columns<'a>(
    all: &SchemaRef,
    shown: impl Fn(&str) -> Shown<'a>,
    key: Option<&ReferenceKey>,
) -> (SchemaRef, Vec<Source>) {
    let (mut fields, mut sources, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let hidden = |field: &Field| (Arc::new(field.clone().with_nullable(true)), Source::Null);
    for field in all.fields() {
        let (field, source) = match shown(field.name()) {
            Shown::AsItIs => (field.clone(), Source::Column(field.name().clone())),
            Shown::Null => hidden(field),
            Shown::Pseudonym { kind } => pseudonym(field, kind, key).unwrap_or_else(|| hidden(field)),
            Shown::WithPseudonym { kind } => {
                beside.extend(pseudonym(field, kind, key).map(|(pseudonym, source)| {
                    let name = format!("{}{PSEUDONYM}", field.name());
                    (Arc::new(pseudonym.as_ref().clone().with_name(name)), source)
                }));
                (field.clone(), Source::Column(field.name().clone()))
            }
        };
        fields.push(field);
        sources.push(source);
    }
    for (field, source) in beside {
        fields.push(field);
        sources.push(source);
    }
    (Arc::new(Schema::new(fields)), sources)
}

/// None where there is no key, or the column holds something else than texts.
fn pseudonym(field: &Field, kind: &str, key: Option<&ReferenceKey>) -> Option<(Arc<Field>, Source)> {
    let is_text = match field.data_type() {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    };
    let references = Arc::new(key.filter(|_| is_text)?.of(kind));
    let mut about = field.metadata().clone();
    about.insert(PSEUDONYM_OF.to_owned(), field.name().clone());
    let source = Source::Pseudonyms(field.name().clone(), references);
    Some((Arc::new(field.clone().with_metadata(about)), source))
}

fn pseudonyms(references: &ArrayRef, of: &References) -> Result<ArrayRef> {
    let texts = cast(references, &DataType::Utf8)?;
    let pseudonyms = texts.as_string::<i32>().iter();
    let pseudonyms: StringArray = pseudonyms
        .map(|reference| reference.map(|reference| of.pseudonym(reference)))
        .collect();
    Ok(cast(&pseudonyms, references.data_type())?)
}
