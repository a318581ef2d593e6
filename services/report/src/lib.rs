//! The monthly report: what a month's end was, beside the month and the year before, targets and published figures, as one
//! HTML file that needs no other.
//!
//! It is laid out as data (`reports/monthly.toml`), and what is in it comes from metrics at the ends of months, which
//! somebody else evaluates.
//!
//! What it promises:
//! - **A figure is a number or says why not.** Unknown, withheld and nothing to count are told apart, and none is a zero.
//! - **For the public, only what is published.** Every figure, change, sentence and coordinate is made from cells that
//!   publication shows; what was withheld could be any other small number and the file would be the same.
//! - **One number, one spelling.** What is drawn, compared or told is the number as the table shows it.
//!
//! What it never does: evaluate a metric, read a clock, reach out from the page, name a table or a column of the domain.
//!
//! In order: `layout` (the file), `figures` (a number out of a metric's series), `words` (how it is written), `chart`,
//! `exceptions` (sentences), `page` (all of it, and the template).

mod chart;
mod exceptions;
mod figures;
#[cfg(test)]
mod fixture;
mod layout;
mod page;
mod words;

pub use figures::{Audience, authorities};
pub use layout::Layout;
pub use page::{Authority, MonthEnd, Report, Request};
pub use words::{day, month};
