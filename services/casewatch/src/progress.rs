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
    let template = "{msg} [{bar:30}] {pos} of {len}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "))
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
