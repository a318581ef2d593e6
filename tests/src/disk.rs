//! A small file system of its own, for what happens when a disk is full.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// None, with the reason, where this user may not mount one: it needs root or CAP_SYS_ADMIN. CI has it; elsewhere
    /// a test says that it did not test, and does not hide it.
    pub fn mount(mebibytes: u32) -> Result<Self, String> {
        let folder = TempDir::with_prefix("casewatch-small-disk-").expect("a temporary folder can be made");
        let size = format!("size={mebibytes}m");
        let mut command = Command::new("mount");
        let output = command
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(Self(folder)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
