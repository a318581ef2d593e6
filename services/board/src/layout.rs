//! `board.toml`: which sections and tiles the board has, as data. Read here; checked against the catalogue in `check`.

use std::collections::BTreeMap;
use std::path::Path;

use casewatch_metrics::{Diagnostic, SourceFile, Span};
use serde::Deserialize;

const FILE: &str = "board.toml";

/// Labels by which figures are looked at, from the widest to the narrowest. A team may have others below it.
pub const LEVELS: [&str; 3] = ["authority", "service", "team"];

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    pub title: String,
    /// The value of a level's label on the series of the level above, in metrics that cannot be added up.
    pub rollup: String,
    /// How a unit of the catalogue is shown; one that is not named is shown as it is.
    pub units: BTreeMap<String, Unit>,
    pub choices: Choices,
    pub worklist: Option<Worklist>,
    #[serde(rename = "section")]
    pub sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    pub shown: String,
    #[serde(default = "one")]
    pub times: f64,
}

fn one() -> f64 {
    1.0
}

/// Statements that give the names of what can be looked at.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// Columns `id` and `name`; any other is a word that `where` of a benchmark may use as `$column`.
    pub authorities: String,
    /// Columns `id` and `name`.
    pub services: String,
    /// Columns `id`, `name`, `service`, `authority` and `parent`, the team above or null.
    pub teams: String,
}

/// The rows that a team's manager works through.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worklist {
    /// With `$team` for the team's id.
    pub sql: String,
    /// The view behind it: whose role may read it, may see the rows.
    pub reads: String,
    /// Titles of its columns; one that is not named has its own name.
    #[serde(default)]
    pub titles: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    pub id: String,
    pub title: String,
    /// One sentence.
    pub lead: String,
    #[serde(rename = "tile", default)]
    pub tiles: Vec<Tile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One number.
    Number,
    /// A number and its parts by a label.
    Split,
    /// A distribution: parts by a label, in the order of `parts`.
    Bands,
    /// A row for each value of a level, a column for each figure.
    Table,
    /// A row for each figure: its value, and what is published elsewhere.
    Rates,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    pub id: String,
    pub kind: Kind,
    pub title: String,
    /// What it means; the metric's own help when left out.
    pub help: Option<String>,
    /// What it shows; of a table or of rates, what its trend shows, if anything.
    pub figure: Option<Figure>,
    /// The label that parts it, or the level that the rows of a table stand for.
    pub by: Option<String>,
    /// Values of `by` in their order, with their titles; others follow under their own names.
    #[serde(default)]
    pub parts: Vec<Titled>,
    /// Of a table.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// Of rates.
    #[serde(default)]
    pub rows: Vec<Column>,
    /// What is published elsewhere, to compare with; of rates, a column each.
    #[serde(default)]
    pub benchmarks: Vec<Benchmark>,
    pub target: Option<f64>,
    #[serde(default)]
    pub trend: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Titled {
    pub id: String,
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub id: String,
    pub title: String,
    pub figure: Figure,
    /// Of rates.
    pub target: Option<f64>,
}

/// Which series are looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    pub metric: String,
    /// Only series with one of these values of a label.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
}

/// A number out of the series of a metric.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub metric: String,
    /// Only series with one of these values of a label.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
    pub combine: Combine,
    /// With `combine = "ratio"`: what the sum is divided by.
    pub over: Option<Series>,
    /// That the metric may be summed although its header does not say so.
    #[serde(default)]
    pub adds_up: bool,
    /// Whether the tiers of `thresholds.toml` for this metric and this `where` are shown on it.
    #[serde(default)]
    pub judged: bool,
}

/// How many series become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// Added up: counts of things that stand in one series each.
    Sum,
    /// The highest.
    Max,
    /// Not at all: the one series that stands for what is looked at.
    Own,
    /// The sum over that of `over`.
    Ratio,
}

/// A published number to compare with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    pub id: String,
    /// Before the value of `newest`: "England" becomes "England 2018".
    pub title: String,
    pub metric: String,
    /// A value `$word` is that column of the authority looked at, `$row` the id of the row of rates.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, String>,
    /// The label whose highest value counts.
    pub newest: String,
}

impl Layout {
    /// Reads `board.toml` of the folder of queries. Without one the board is empty.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(queries: &Path) -> Result<(Self, SourceFile), Box<Diagnostic>> {
        let path = queries.join(FILE);
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(SourceFile::new(name, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok((Self::default(), SourceFile::new(name, "")))
            }
            Err(error) => {
                let fault = SourceFile::new(name, "").fault(Span::START, format!("cannot be read: {error}"));
                Err(Box::new(fault))
            }
        }
    }

    pub(crate) fn parse(file: SourceFile) -> Result<(Self, SourceFile), Box<Diagnostic>> {
        match toml::from_str(&file.text) {
            Ok(layout) => Ok((layout, file)),
            Err(error) => {
                let fault = file.fault_at(error.span().unwrap_or_default(), error.message());
                Err(Box::new(fault.hint("the keys are listed in queries/README.md")))
            }
        }
    }

    pub(crate) fn tiles(&self) -> impl Iterator<Item = &Tile> {
        self.sections.iter().flat_map(|section| &section.tiles)
    }

    pub(crate) fn tile(&self, id: &str) -> Option<&Tile> {
        self.tiles().find(|tile| tile.id == id)
    }

    /// How a unit is shown, and what a number in it is multiplied by.
    pub(crate) fn unit<'a>(&'a self, unit: &'a str) -> (&'a str, f64) {
        match self.units.get(unit) {
            Some(known) => (&known.shown, known.times),
            None => (unit, 1.0),
        }
    }
}

impl Worklist {
    /// The statement for one team.
    pub(crate) fn of_team(&self, team: &str) -> String {
        self.sql.replace("$team", &format!("'{}'", team.replace('\'', "''")))
    }
}

impl Tile {
    /// Every figure of it: its own, its columns', its rows'.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
        let listed = self.columns.iter().chain(&self.rows).map(|column| &column.figure);
        self.figure.iter().chain(listed)
    }
}
