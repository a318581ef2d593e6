//! How much room the disk that holds the lake has, read at each scrape: a disk that is full takes no commit. An object
//! store has no such disk.

use std::path::PathBuf;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use url::Url;

/// Tells of the disk behind `lake`, where that is a folder of this machine.
///
/// # Panics
/// Never, on a registry that has none of these names yet.
pub fn register(registry: &Registry, lake: &Url) {
    if let Some(folder) = lake.to_file_path().ok().filter(|_| lake.scheme() == "file") {
        registry
            .register(Box::new(LakeDisk::of(folder)))
            .expect("each name is registered once");
    }
}

struct LakeDisk {
    folder: PathBuf,
    size: IntGauge,
    free: IntGauge,
}

impl LakeDisk {
    fn of(folder: PathBuf) -> Self {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("the name is valid");
        Self {
            folder,
            size: gauge("casewatch_lake_disk_bytes", "Room on the disk that holds the lake."),
            free: gauge(
                "casewatch_lake_disk_free_bytes",
                "Room on the disk that holds the lake that is free to casewatch.",
            ),
        }
    }
}

impl Collector for LakeDisk {
    fn desc(&self) -> Vec<&Desc> {
        [&self.size, &self.free].into_iter().flat_map(Collector::desc).collect()
    }

    /// Nothing where the folder is not there, or not yet: what nobody knows is not 0.
    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else {
            return Vec::new();
        };
        let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX);
        self.size.set(bytes(disk.f_blocks));
        self.free.set(bytes(disk.f_bavail));
        [&self.size, &self.free]
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(lake: &str) -> Vec<(String, f64)> {
        let registry = Registry::new();
        register(&registry, &lake.parse().unwrap());
        let families = registry.gather().into_iter();
        families
            .map(|family| (family.name().to_owned(), family.get_metric()[0].get_gauge().value()))
            .collect()
    }

    #[test]
    fn the_room_on_a_disk_is_told_and_more_than_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let told = told_of(Url::from_directory_path(folder.path()).unwrap().as_str());
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["casewatch_lake_disk_bytes", "casewatch_lake_disk_free_bytes"]);
        assert!(told[0].1 > told[1].1 && told[1].1 > 0.0, "{told:?}");
    }

    #[test]
    fn nothing_is_told_of_a_store_or_of_a_folder_that_is_not_there() {
        assert_eq!(told_of("s3://bucket/lake/"), []);
        assert_eq!(told_of("file:///no/such/folder/"), []);
    }
}
