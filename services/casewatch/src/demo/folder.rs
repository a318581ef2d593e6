//! Where the demo's lake goes, looked at before anything starts: a folder that cannot be written, or a disk without
//! room, is better told in one sentence now than by every table later.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What a run may write: the whole scenario takes less.
const ROOM_MIB: usize = 64;

/// Where the lake goes: a subfolder of a given folder, kept; or a temporary one, removed at the end.
pub enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    /// Makes a folder called `name` in `parent`, or a temporary one, and makes sure that it has room.
    ///
    /// # Errors
    /// A folder that cannot be made, or that cannot take what the demo writes.
    pub fn new(parent: Option<&Path>, name: &str) -> Result<Self, Failure> {
        let folder = match parent {
            None => {
                let made = tempfile::Builder::new().prefix("casewatch-demo-").tempdir();
                made.map(Self::Temporary).map_err(|error| {
                    Failure::usage(format!(
                        "no folder can be made in {}: {error}\nhint: name one that you can write to with --dir",
                        std::env::temp_dir().display()
                    ))
                })?
            }
            Some(parent) => {
                let folder = parent.join(name);
                std::fs::create_dir_all(&folder).map_err(|error| {
                    Failure::usage(format!(
                        "--dir: no folder can be made in {}: {error}\nhint: name a folder that you can write to",
                        parent.display()
                    ))
                })?;
                Self::Kept(folder)
            }
        };
        folder.has_room(ROOM_MIB).map_err(|error| {
            // Nothing of a run that never began is left behind; if that fails too, an empty folder stays.
            let _ = std::fs::remove_dir(folder.path());
            Failure::usage(format!(
                "{} cannot take the demo's lake: {error}\nhint: the demo writes up to {ROOM_MIB} MiB; free some, or name a \
                 folder on another disk with --dir",
                folder.path().display()
            ))
        })?;
        Ok(folder)
    }

    /// Tries it: what a file system says is free is not always free for us.
    fn has_room(&self, mebibytes: usize) -> std::io::Result<()> {
        let probe = self.path().join(".room");
        let tried = std::fs::File::create(&probe).and_then(|mut file| {
            let zeros = vec![0; 1 << 20];
            (0..mebibytes).try_for_each(|_| file.write_all(&zeros))?;
            file.sync_data()
        });
        let removed = std::fs::remove_file(&probe);
        tried.and(removed)
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_folder_of_its_own_in_the_given_one() {
        let parent = tempfile::tempdir().unwrap();
        let first = Folder::new(Some(parent.path()), "demo-1").unwrap();
        let second = Folder::new(Some(parent.path()), "demo-2").unwrap();
        assert_eq!(first.path(), parent.path().join("demo-1"));
        assert_eq!(second.path(), parent.path().join("demo-2"));
        assert_eq!(
            std::fs::read_dir(first.path()).unwrap().count(),
            0,
            "nothing is left of the trial"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let Err(failure) = Folder::new(Some(&file), "demo-1") else {
            panic!("a file is no folder")
        };
        assert!(failure.message.contains(&file.display().to_string()), "{failure}");
        assert!(failure.message.contains("hint:"), "{failure}");
    }

    #[test]
    fn a_temporary_folder_goes_with_the_run() {
        let folder = Folder::new(None, "demo-1").unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
