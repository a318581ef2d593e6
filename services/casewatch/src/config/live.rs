//! The live tables, and where their images stand.

use std::path::PathBuf;
use std::time::Duration;

use casewatch_ingest::images::ImageOptions;
use serde::Deserialize;

use super::Config;
use super::duration::duration;

/// Images stand beside the tables' folders, under a name that no table has: engines that read Delta, backups and
/// maintenance look at tables only, and whoever deletes the lake deletes them with it.
const IMAGES: &str = "_images";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    pub memory_mib: usize,
    #[serde(deserialize_with = "duration")]
    pub settle: Duration,
    #[serde(deserialize_with = "duration")]
    pub max_skew: Duration,
    /// Where images of the live tables stand; `false` for none.
    pub images: ImagePlace,
    #[serde(deserialize_with = "duration")]
    pub image_interval: Duration,
}

/// A folder on this machine, or whether the default one is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ImagePlace {
    /// In the lake's own folder, where it has one here.
    Wanted(bool),
    At(PathBuf),
}

impl Default for Live {
    fn default() -> Self {
        Self {
            memory_mib: 4096,
            settle: Duration::from_millis(200),
            max_skew: Duration::from_secs(3600),
            images: ImagePlace::Wanted(true),
            image_interval: Duration::from_secs(3600),
        }
    }
}

impl Config {
    /// Where images of the live tables stand. A lake in an object store has no folder here: then there are none unless a
    /// folder is named.
    pub fn image_root(&self) -> Option<PathBuf> {
        match &self.live.images {
            ImagePlace::At(folder) => Some(folder.clone()),
            ImagePlace::Wanted(false) => None,
            ImagePlace::Wanted(true) => {
                let lake = self.lake_url().ok()?.to_file_path().ok()?;
                Some(lake.join(IMAGES))
            }
        }
    }

    pub fn image_options(&self) -> Option<ImageOptions> {
        Some(ImageOptions {
            root: self.image_root()?,
            interval: self.live.image_interval,
        })
    }
}
