//! Files as they change, for commands that run again on save.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the folders are looked at. Polling works on every kind of mount, and a few hundred files cost nothing.
const PERIOD: Duration = Duration::from_millis(150);

/// The files below some folders.
pub struct Watched {
    folders: Vec<PathBuf>,
    handled: Files,
}

/// When each file was last written, and its size.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

impl Watched {
    /// From what is there now.
    pub fn new(folders: &[&Path]) -> Self {
        let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        Self {
            handled: files(&folders),
            folders,
        }
    }

    /// Waits until files were changed, added or removed, and nothing was for a moment. Gives the paths of them.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        let mut before = self.handled.clone();
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = files(&self.folders);
            let stands_still = now == before;
            if stands_still && now != self.handled {
                let changed = difference(&self.handled, &now);
                self.handled = now;
                return changed;
            }
            before = now;
        }
    }
}

fn files(folders: &[PathBuf]) -> Files {
    let mut found = Files::new();
    let mut open = folders.to_vec();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // What an editor leaves while it writes.
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match entry.metadata() {
                Ok(about) if about.is_dir() => open.push(entry.path()),
                Ok(about) => {
                    found.insert(entry.path(), (about.modified().ok(), about.len()));
                }
                Err(_) => {}
            }
        }
    }
    found
}

fn difference(before: &Files, now: &Files) -> Vec<PathBuf> {
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let other = now.iter().filter(|(path, about)| before.get(*path) != Some(about));
    gone.chain(other.map(|(path, _)| path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_added_and_removed_is_told_together_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("tests")).unwrap();
        for name in ["a.sql", "b.sql", "tests/c.toml"] {
            std::fs::write(path(name), "x").unwrap();
        }
        let mut watched = Watched::new(&[folder.path()]);
        std::fs::write(path("a.sql"), "xy").unwrap();
        std::fs::remove_file(path("b.sql")).unwrap();
        std::fs::write(path("tests/d.toml"), "").unwrap();
        std::fs::write(path(".a.sql.swp"), "").unwrap();
        let mut changed = watched.changed().await;
        changed.sort();
        assert_eq!(changed, [path("a.sql"), path("b.sql"), path("tests/d.toml")]);
        let quiet = tokio::time::timeout(4 * PERIOD, watched.changed()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
}
