//! What the page is sent, as JSON. The page and this file agree on every name here.

use serde::Serialize;
use serde_json::Value;

use crate::freshness::Fresh;
use crate::layout::Kind;
use crate::names::{Names, Team};
use crate::subject::{Called, Subject};

/// The whole page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    pub title: String,
    pub subject: SubjectShown,
    pub moment: MomentShown,
    pub fresh: Fresh,
    pub choices: ChoicesShown,
    pub sections: Vec<SectionShown>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubjectShown {
    pub authority: Option<Called>,
    pub service: Option<String>,
    pub team: Option<Called>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MomentShown {
    pub live: bool,
    pub as_of: String,
    pub known_at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChoicesShown {
    pub authorities: Vec<Called>,
    pub services: Vec<Called>,
    pub teams: Vec<Team>,
    /// Days in London, as YYYY-MM-DD.
    pub first_day: Option<String>,
    pub last_day: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SectionShown {
    pub id: String,
    pub title: String,
    pub lead: String,
    pub tiles: Vec<TileShown>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TileShown {
    pub id: String,
    pub kind: Kind,
    pub title: String,
    pub help: String,
    pub unit: String,
    pub value: Option<f64>,
    /// Why the value, or all there is on the tile, is unknown.
    pub unknown: Option<String>,
    pub change: Option<Change>,
    pub tier: Option<TierShown>,
    pub thresholds: Vec<BoundShown>,
    pub benchmark: Option<BenchmarkShown>,
    pub target: Option<f64>,
    pub parts: Vec<PartShown>,
    pub columns: Vec<ColumnShown>,
    pub rows: Vec<RowShown>,
    pub has_trend: bool,
    pub metrics: Vec<String>,
    pub link: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub since: String,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TierShown {
    pub tier: String,
    pub severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundShown {
    pub tier: String,
    pub severity: &'static str,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchmarkShown {
    pub name: String,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartShown {
    pub id: String,
    pub title: String,
    pub value: Option<f64>,
    pub tier: Option<TierShown>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnShown {
    pub id: String,
    pub title: String,
    pub unit: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowShown {
    pub id: String,
    pub title: String,
    pub link: Option<String>,
    pub cells: Vec<Option<f64>>,
    pub tiers: Vec<Option<TierShown>>,
}

/// A tile's past.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    pub tile: String,
    pub unit: String,
    pub days: Vec<(String, Option<f64>)>,
    pub months: Vec<(String, Option<f64>)>,
    pub benchmark: Option<BenchmarkShown>,
    pub thresholds: Vec<BoundShown>,
}

/// A team's rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows {
    pub columns: Vec<RowsColumn>,
    pub rows: Vec<Vec<Value>>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowsColumn {
    pub name: String,
    pub title: String,
    #[serde(rename = "type")]
    pub kind: String,
}

impl SubjectShown {
    pub fn of(subject: &Subject, names: &Names) -> Self {
        let called = |level: &str, id: &Option<String>| {
            let id = id.as_ref()?;
            Some(Called {
                id: id.clone(),
                name: names.name_of(level, id),
            })
        };
        Self {
            authority: called("authority", &subject.authority),
            service: subject.service.clone(),
            team: called("team", &subject.team),
        }
    }
}
