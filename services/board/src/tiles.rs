//! Tiles: what the layout asks for, out of the figures of a moment, for what is looked at.

use std::collections::BTreeMap;

use casewatch_metrics::{Catalogue, JudgedTier, MetricDefinition};

use crate::figures::{Figures, Number, is_measured};
use crate::layout::{Benchmark, Column, Combine, Figure, Kind, LEVELS, Layout, Tile};
use crate::names::Names;
use crate::subject::Subject;
use crate::view::{
    BenchmarkShown, BoundShown, Change, ColumnShown, PartShown, RowShown, SectionShown, TierShown, TileShown,
};

/// Rows of a table, at most: more than an authority has teams.
const ROWS_AT_MOST: usize = 500;

/// Everything that the tiles of a view are made of.
pub struct Scene<'a> {
    pub layout: &'a Layout,
    pub catalogue: &'a Catalogue,
    pub names: &'a Names,
    pub subject: &'a Subject,
    pub figures: &'a Figures,
    /// The day before, and what was known at its end.
    pub before: Option<(String, &'a Figures)>,
    /// Why nothing is to be shown, where nothing is.
    pub unknown: Option<String>,
}

impl Scene<'_> {
    /// Sections with those tiles that are measured for what is looked at; a section without any is left out.
    pub fn sections(&self) -> Vec<SectionShown> {
        let sections = self.layout.sections.iter().map(|section| SectionShown {
            id: section.id.clone(),
            title: section.title.clone(),
            lead: section.lead.clone(),
            tiles: section.tiles.iter().filter_map(|tile| self.tile(tile)).collect(),
        });
        sections.filter(|section| !section.tiles.is_empty()).collect()
    }

    /// A tile, or nothing where its metrics do not tell what is looked at apart.
    pub fn tile(&self, tile: &Tile) -> Option<TileShown> {
        if tile.kind == Kind::Table && !self.is_divided_by(tile.by.as_deref()?) {
            return None;
        }
        let main = tile.figure.as_ref().filter(|figure| self.is_measured(figure));
        let is_single = matches!(tile.kind, Kind::Number | Kind::Split | Kind::Bands);
        if is_single && main.is_none() {
            return None;
        }
        let listed: Vec<&Column> = tile
            .columns
            .iter()
            .chain(&tile.rows)
            .filter(|it| self.is_measured(&it.figure))
            .collect();
        if !is_single && listed.is_empty() {
            return None;
        }
        let lead = main.or(listed.first().map(|column| &column.figure))?;
        let (unit, times) = self.unit(lead);
        let shows_value =
            is_single && tile.kind != Kind::Bands || tile.kind == Kind::Bands && lead.combine == Combine::Sum;
        let value = main
            .filter(|_| shows_value)
            .map(|figure| self.number(figure, self.subject));
        let unknown = match &value {
            Some(Err(why)) => Some(why.clone()),
            _ => self.unknown.clone().or_else(|| self.nothing_known(&listed)),
        };
        let value = value.and_then(Result::ok).map(|value| value * times);
        let mut shown = TileShown {
            id: tile.id.clone(),
            kind: tile.kind,
            title: tile.title.clone(),
            help: tile
                .help
                .clone()
                .or_else(|| Some(self.metric(lead)?.help.clone()))
                .unwrap_or_default(),
            unit: unit.to_owned(),
            change: main
                .filter(|_| is_single)
                .and_then(|figure| self.change(figure, value, times)),
            value,
            unknown,
            tier: main.and_then(|figure| self.tier(figure, self.subject)),
            thresholds: main.map(|figure| self.bounds(figure, times)).unwrap_or_default(),
            benchmark: None,
            target: tile.target,
            parts: Vec::new(),
            columns: Vec::new(),
            rows: Vec::new(),
            has_trend: tile.trend && main.is_some(),
            metrics: metrics_of(tile),
            link: None,
        };
        match tile.kind {
            Kind::Number => shown.benchmark = self.benchmark(tile),
            Kind::Split | Kind::Bands => shown.parts = self.parts(tile, lead, times),
            Kind::Table => (shown.columns, shown.rows) = self.table(tile, &listed),
            Kind::Rates => (shown.columns, shown.rows) = self.rates(tile, &listed, unit, times),
        }
        Some(shown)
    }

    /// The same of another moment that is known.
    pub fn with<'b>(&'b self, figures: &'b Figures) -> Scene<'b> {
        Scene {
            figures,
            before: None,
            unknown: None,
            ..*self
        }
    }

    /// The number of a tile's figure, as it is shown.
    pub fn value(&self, tile: &Tile) -> Option<f64> {
        let figure = tile.figure.as_ref()?;
        let (_, times) = self.unit(figure);
        Some(self.number(figure, self.subject).ok()? * times)
    }

    pub fn unit_of(&self, tile: &Tile) -> String {
        tile.figures()
            .next()
            .map(|figure| self.unit(figure).0.to_owned())
            .unwrap_or_default()
    }

    pub fn bounds_of(&self, tile: &Tile) -> Vec<BoundShown> {
        let bounds = tile
            .figure
            .as_ref()
            .map(|figure| self.bounds(figure, self.unit(figure).1));
        bounds.unwrap_or_default()
    }

    /// The first of a tile's benchmarks that is known.
    pub fn benchmark(&self, tile: &Tile) -> Option<BenchmarkShown> {
        let (_, times) = self.unit(tile.figure.as_ref()?);
        tile.benchmarks.iter().find_map(|benchmark| {
            let (name, value) = self.published(benchmark, None)?;
            Some(BenchmarkShown {
                name,
                value: value * times,
            })
        })
    }

    fn number(&self, figure: &Figure, subject: &Subject) -> Number {
        match &self.unknown {
            Some(why) => Err(why.clone()),
            None => self.figures.number(figure, subject, &self.layout.rollup),
        }
    }

    fn metric(&self, figure: &Figure) -> Option<&MetricDefinition> {
        self.catalogue
            .metrics
            .iter()
            .find(|metric| metric.name.name == figure.metric)
    }

    fn is_measured(&self, figure: &Figure) -> bool {
        let labels: Vec<&str> = self
            .metric(figure)
            .map(|metric| metric.label_names().collect())
            .unwrap_or_default();
        is_measured(&labels, self.subject)
    }

    /// A table by a level tells something new only below the level that is looked at.
    fn is_divided_by(&self, by: &str) -> bool {
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        self.subject.level().is_none_or(|level| rank(by) > rank(level)) || by == "team" && self.has_teams_below()
    }

    fn has_teams_below(&self) -> bool {
        let team = self.subject.team.as_ref();
        team.is_some_and(|id| self.names.teams.iter().any(|team| team.parent.as_ref() == Some(id)))
    }

    /// A ratio is shown in the unit of a ratio, whatever its terms are.
    fn unit(&self, figure: &Figure) -> (&str, f64) {
        let unit = match figure.combine {
            Combine::Ratio => "ratio",
            _ => self.metric(figure).map_or("", |metric| metric.unit.as_str()),
        };
        self.layout.unit(unit)
    }

    /// Why none of a tile's figures is known, where none is.
    fn nothing_known(&self, listed: &[&Column]) -> Option<String> {
        let first = listed.first()?;
        let is_known = |column: &&&Column| self.figures.has(&column.figure.metric);
        match listed.iter().find(is_known) {
            Some(_) => None,
            None => self.figures.set(&first.figure.metric).err(),
        }
    }

    fn change(&self, figure: &Figure, value: Option<f64>, times: f64) -> Option<Change> {
        let (since, figures) = self.before.as_ref()?;
        let before = figures.number(figure, self.subject, &self.layout.rollup).ok()?;
        Some(Change {
            since: since.clone(),
            value: value? - before * times,
        })
    }

    /// The worst tier that is reached by what is looked at or by a part of it.
    fn tier(&self, figure: &Figure, subject: &Subject) -> Option<TierShown> {
        if self.unknown.is_some() {
            return None;
        }
        let reached = self.figures.tiers_of(figure, subject).filter(|tier| tier.is_reached());
        let worst = reached.max_by(|a, b| severity(a).cmp(&severity(b)).then(a.bound.total_cmp(&b.bound)))?;
        Some(TierShown {
            tier: worst.tier.clone(),
            severity: worst.severity,
        })
    }

    /// The bounds of the tiers, where they are the same for every part of what is looked at.
    fn bounds(&self, figure: &Figure, times: f64) -> Vec<BoundShown> {
        let mut bounds: BTreeMap<&str, Vec<&JudgedTier>> = BTreeMap::new();
        for tier in self.figures.tiers_of(figure, self.subject) {
            bounds.entry(&tier.tier).or_default().push(tier);
        }
        let mut shown: Vec<BoundShown> = bounds
            .into_values()
            .filter(|tiers| tiers.iter().all(|tier| tier.bound == tiers[0].bound))
            .map(|tiers| BoundShown {
                tier: tiers[0].tier.clone(),
                severity: tiers[0].severity,
                value: tiers[0].bound * times,
            })
            .collect();
        shown.sort_by(|a, b| a.value.total_cmp(&b.value));
        shown
    }

    fn parts(&self, tile: &Tile, figure: &Figure, times: f64) -> Vec<PartShown> {
        let Some(by) = &tile.by else { return Vec::new() };
        let rollup = &self.layout.rollup;
        let mut ids: Vec<(String, String)> = tile
            .parts
            .iter()
            .map(|part| (part.id.clone(), part.title.clone()))
            .collect();
        for value in self.figures.values_of(by, figure, self.subject, rollup) {
            let is_wanted = figure.only.get(by).is_none_or(|wanted| wanted.contains(&value));
            if is_wanted && !ids.iter().any(|(id, _)| *id == value) {
                ids.push((value.clone(), value));
            }
        }
        let part = |(id, title): (String, String)| {
            let value = match self.unknown {
                Some(_) => None,
                None => self
                    .figures
                    .number_where(figure, self.subject, rollup, Some((by, &id)))
                    .ok(),
            };
            let mut of_part = figure.clone();
            of_part.only.insert(by.clone(), vec![id.clone()]);
            of_part.judged = true;
            PartShown {
                value: value.map(|value| value * times),
                tier: self.tier(&of_part, self.subject),
                id,
                title,
            }
        };
        ids.into_iter().map(part).collect()
    }

    fn table(&self, tile: &Tile, columns: &[&Column]) -> (Vec<ColumnShown>, Vec<RowShown>) {
        let Some(by) = tile.by.as_deref() else {
            return Default::default();
        };
        let mut ids: Vec<String> = Vec::new();
        for column in columns {
            for id in self
                .figures
                .values_of(by, &column.figure, self.subject, &self.layout.rollup)
            {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        // Before anything is known the rows are those that have a name.
        if ids.is_empty() {
            ids = self.named(by);
        }
        let row = |id: String| {
            let subject = self.subject.with(by, &id, self.names);
            let cells = columns.iter().map(|column| {
                let (_, times) = self.unit(&column.figure);
                self.number(&column.figure, &subject).ok().map(|value| value * times)
            });
            RowShown {
                title: self.names.name_of(by, &id),
                link: Some(subject.link()),
                cells: cells.collect(),
                tiers: columns
                    .iter()
                    .map(|column| self.tier(&column.figure, &subject))
                    .collect(),
                id,
            }
        };
        let mut rows: Vec<RowShown> = ids.into_iter().map(row).collect();
        // The highest of the first column first; what is unknown last.
        let first = |row: &RowShown| row.cells.first().copied().flatten().unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|a, b| first(b).total_cmp(&first(a)).then_with(|| a.title.cmp(&b.title)));
        rows.truncate(ROWS_AT_MOST);
        let columns = columns.iter().map(|column| ColumnShown {
            id: column.id.clone(),
            title: column.title.clone(),
            unit: self.unit(&column.figure).0.to_owned(),
        });
        (columns.collect(), rows)
    }

    fn named(&self, level: &str) -> Vec<String> {
        let called: Vec<_> = match level {
            "authority" => self.names.authorities.iter().map(|it| &it.called.id).collect(),
            "service" => self.names.services.iter().map(|it| &it.id).collect(),
            _ => self.names.teams.iter().map(|it| &it.called.id).collect(),
        };
        called
            .into_iter()
            .filter(|id| self.subject.holds(level, id))
            .cloned()
            .collect()
    }

    /// The value, each benchmark, the target.
    fn rates(&self, tile: &Tile, rows: &[&Column], unit: &str, times: f64) -> (Vec<ColumnShown>, Vec<RowShown>) {
        let column = |id: &str, title: &str| ColumnShown {
            id: id.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
        };
        let mut columns = vec![column("value", "Now")];
        columns.extend(tile.benchmarks.iter().map(|benchmark| {
            let newest = rows.iter().find_map(|row| self.published(benchmark, Some(&row.id)));
            column(
                &benchmark.id,
                &newest.map_or_else(|| benchmark.title.clone(), |(name, _)| name),
            )
        }));
        columns.push(column("target", "Target"));
        let row = |row: &&Column| {
            let mut cells = vec![self.number(&row.figure, self.subject).ok().map(|value| value * times)];
            let elsewhere = tile
                .benchmarks
                .iter()
                .map(|benchmark| self.published(benchmark, Some(&row.id)));
            cells.extend(elsewhere.map(|found| found.map(|(_, value)| value * times)));
            cells.push(row.target);
            let mut tiers = vec![None; cells.len()];
            tiers[0] = self.tier(&row.figure, self.subject);
            RowShown {
                id: row.id.clone(),
                title: row.title.clone(),
                link: None,
                cells,
                tiers,
            }
        };
        (columns, rows.iter().map(row).collect())
    }

    /// The newest published number and what it is called.
    fn published(&self, benchmark: &Benchmark, row: Option<&str>) -> Option<(String, f64)> {
        let set = self.figures.set(&benchmark.metric).ok()?;
        let labels: Vec<&str> = set.definition.label_names().collect();
        let wanted = benchmark.only.iter().map(|(label, value)| {
            let at = labels.iter().position(|known| known == label)?;
            let value = match value.strip_prefix('$') {
                Some("row") => row?,
                Some(word) => self.names.word(self.subject, word)?,
                None => value.as_str(),
            };
            Some((at, value))
        });
        let wanted: Vec<(usize, &str)> = wanted.collect::<Option<_>>()?;
        let newest = labels.iter().position(|label| *label == benchmark.newest)?;
        let fits = set
            .samples
            .iter()
            .filter(|sample| wanted.iter().all(|(at, value)| sample.labels[*at] == **value));
        let found = fits.max_by(|a, b| a.labels[newest].cmp(&b.labels[newest]))?;
        let value = found.value.as_number();
        let name = format!("{} {}", benchmark.title, found.labels[newest]);
        Some((name.trim().to_owned(), value))
    }
}

/// From the least to the worst; a word that is new here is the least.
fn severity(tier: &JudgedTier) -> usize {
    let known = ["info", "warn", "page"];
    known
        .iter()
        .position(|severity| *severity == tier.severity)
        .unwrap_or(0)
}

/// The metrics that a tile shows, each once.
pub(crate) fn metrics_of(tile: &Tile) -> Vec<String> {
    let mut metrics: Vec<String> = Vec::new();
    let of_figures = tile.figures().flat_map(|figure| {
        let over = figure.over.iter().map(|over| &over.metric);
        std::iter::once(&figure.metric).chain(over)
    });
    for metric in of_figures {
        if !metrics.contains(metric) {
            metrics.push(metric.clone());
        }
    }
    metrics
}
