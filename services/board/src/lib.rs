//! The board: the page that a director looks at first thing in the morning.
//!
//! It shows what the catalogue measures, laid out by `queries/board.toml`: live, on any past day, for an authority, a
//! service or a team, with its tiers, its past and what is published elsewhere.
//!
//! What it promises:
//! - **Unknown is not zero.** While catching up, when a feed is silent, before a table was known: no value, and why.
//! - **Only what adds up is added up.** Shares, means and highest values are never summed; the layout is refused where
//!   it asks for that.
//! - **Live costs no query.** A live view is made of the samples that scrapes see. Moments of the past are computed once,
//!   a few at a time.
//! - **Nobody sees more than the role allows**: figures within the user's authorities and teams, rows through a session
//!   of that user, each view of rows in the audit log.
//!
//! What it never does: name a metric or a table of the domain, change anything, or load anything from elsewhere.
//!
//! In the order of a request: `door` (what every request meets), `people` (who asks), `http` (addresses), `subject` and
//! `names` (what is looked at), `board` (views, kept up to date), `figures` (the numbers of a moment: live, of `past`, of
//! `history`), `tiles` (by the `layout`, which `check` judges), `freshness`, `view` (what is sent), `live` (to pages that
//! follow), `rows`, `table` (CSV), `assets` (the page's files), `own` (metrics about itself).

mod assets;
mod board;
mod check;
mod door;
mod figures;
#[cfg(test)]
mod fixtures;
mod freshness;
mod history;
mod http;
#[cfg(test)]
mod http_tests;
mod layout;
mod live;
mod names;
mod own;
mod past;
mod people;
mod rows;
mod subject;
mod table;
#[cfg(test)]
mod tile_tests;
mod tiles;
mod view;

pub use board::{Board, BoardParts};
pub use door::Peer;
pub use http::{App, serve};
pub use layout::Layout;
pub use own::OwnMetrics;
pub use people::{Accounts, People, Trust};
