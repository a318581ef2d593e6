//! How far long work is, shown where standard error is a terminal and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// A bar for work of so many steps; none for what takes one.
pub fn of_steps(steps: usize) -> ProgressBar {
    if steps < 2 {
        return ProgressBar::hidden();
    }
    bar(steps as u64, "{msg} [{bar:30}] {pos} of {len}, {eta} left")
}

/// A bar for so many bytes that are read.
pub fn of_bytes(doing: &'static str, bytes: u64) -> ProgressBar {
    let template = "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {eta} left";
    bar(bytes, template).with_message(doing)
}

/// A bar for a share of work whose exact length shows only at its end.
pub fn of_about(doing: &'static str, steps: u64) -> ProgressBar {
    bar(steps, "{msg} [{bar:30}] {percent} %").with_message(doing)
}

/// A bar for files, of which it is said as it goes on how many there are.
pub fn of_files() -> ProgressBar {
    bar(0, "{msg} [{bar:30}] {pos} of {len} files")
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(length).with_style(style.progress_chars("=> "))
}

/// A spinner with the time gone for work whose length nobody knows. It vanishes when it is dropped.
pub struct Spinner(ProgressBar);

impl Spinner {
    pub fn new(doing: impl Into<String>) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}").expect("the template is valid");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(doing.into());
        bar.enable_steady_tick(TURN);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
