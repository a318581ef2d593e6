//! The live tables saved, so that a restart reads a file and a short tail instead of the whole history (RULES 15).
//!
//! In reading order: [`LiveSet::capture`] takes what the tables hold at one moment, sharing the rows with readers;
//! writing puts it into a folder of Arrow files and a manifest with their checksums; reading checks both and fills
//! empty tables. Which image may be used, and where images stand, is [`crate::Images`]' business.
//!
//! An image stands in for folding the lake's rows below its positions and for nothing else: what the lake has above
//! them is folded on top, and Kafka is read from the lake's positions as ever. Rows that waited for the cut are read
//! again, which the fold does not mind.

mod capture;
mod manifest;
mod read;
mod write;

use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use casewatch_lake::LakeError;

use crate::error::LiveError;

pub use capture::Image;
pub(crate) use manifest::LakeMark;
pub use manifest::Origin;
pub(crate) use read::{load, read_manifest};

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("image {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("image {path}: {source}")]
    Rows { path: PathBuf, source: ArrowError },
    #[error("image {path} is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
    #[error("image {path}: not written in time")]
    OutOfTime { path: PathBuf },
    #[error("image {path}: a subject was erased meanwhile")]
    Overtaken { path: PathBuf },
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error("the lake cannot be asked whether an image agrees with it: {0}")]
    Lake(Box<LakeError>),
}

impl From<LakeError> for ImageError {
    fn from(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }
}

pub(crate) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::File { path, source }
}

fn rows_error(path: &Path) -> impl FnOnce(ArrowError) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::Rows { path, source }
}
