//! HTML to PDF by a headless browser, where the machine has one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use url::Url;

use crate::failure::Failure;

/// Names the browser, where it stands elsewhere.
const VARIABLE: &str = "CASEWATCH_CHROMIUM";
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];
/// A browser that takes longer waits for something that will not come.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Chromium or a relative of it.
pub struct Browser(PathBuf);

impl Browser {
    /// # Errors
    /// A machine that has none.
    pub fn find() -> Result<Self, Failure> {
        if let Some(named) = std::env::var_os(VARIABLE).map(PathBuf::from) {
            let missing = || Failure::usage(format!("{VARIABLE}: {} is not a file", named.display()));
            return named.is_file().then(|| Self(named.clone())).ok_or_else(missing);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let places = NAMES
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        places.into_iter().find(|place| place.is_file()).map(Self).ok_or_else(|| {
            Failure::failed(format!(
                "--pdf needs Chromium, and none is on the PATH\n\
                 hint: install it (Debian: apt install chromium), or name it with {VARIABLE}; without --pdf the HTML file \
                 is written, and any browser prints it"
            ))
        })
    }

    /// Prints a file of HTML to another of PDF.
    ///
    /// # Errors
    /// A browser that cannot be run, fails or does not end.
    pub fn print(&self, html: &Path, pdf: &Path) -> Result<(), Failure> {
        let failed = |problem: String| Failure::failed(format!("{}: {problem}", self.0.display()));
        let html = std::path::absolute(html).map_err(|error| failed(error.to_string()))?;
        let pdf = std::path::absolute(pdf).map_err(|error| failed(error.to_string()))?;
        let page = Url::from_file_path(&html).map_err(|()| failed(format!("{} has no address", html.display())))?;
        // A profile of its own: that of a browser in use is locked.
        let profile = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let written = profile.path().join("report.pdf");
        let mut command = Command::new(&self.0);
        command
            .args([
                "--headless",
                "--disable-gpu",
                "--no-first-run",
                "--no-pdf-header-footer",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--print-to-pdf={}", written.display()))
            .arg(page.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if is_root() {
            // It refuses to run sandboxed as root, and reads nothing here but the page that we wrote.
            command.arg("--no-sandbox");
        }
        let mut child = command
            .spawn()
            .map_err(|error| failed(format!("cannot be run: {error}")))?;
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| failed(error.to_string()))? {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => {
                    // It may have ended meanwhile.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(failed(format!("did not end within {} seconds", PATIENCE.as_secs())));
                }
                None => std::thread::sleep(POLL),
            }
        };
        if !status.success() || !written.is_file() {
            return Err(failed(format!(
                "printed nothing ({status})\nhint: the HTML file is whole; any browser prints it"
            )));
        }
        // The profile may be on another file system.
        let copied = std::fs::copy(&written, &pdf);
        copied
            .map(|_| ())
            .map_err(|error| failed(format!("{}: cannot be written: {error}", pdf.display())))
    }
}

/// Whether this process runs as root: its own folder in /proc says whose it is.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}
