//! What `board.toml` may say: metrics and labels that exist, and numbers that may be added up. All faults come back
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use casewatch_metrics::{
    Catalogue, Checked, Diagnostic, Diagnostics, Kind as MetricKind, MetricDefinition, Publication, SourceFile, Span,
};

use crate::layout::{Benchmark, Combine, Figure, Kind, LEVELS, Layout, Tile, Worklist};

impl Layout {
    /// Reads `board.toml` of the folder of queries and checks it against its catalogue, and its statements against the
    /// engine.
    ///
    /// # Errors
    /// Everything that is wrong with it, with places.
    pub async fn load(queries: &Path, checked: &Checked) -> Result<Self, Diagnostics> {
        let (layout, file) = Self::read(queries).map_err(|fault| Diagnostics(vec![*fault]))?;
        let mut faults = layout.faults(&file, &checked.catalogue);
        for sql in layout.statements() {
            if let Err(error) = checked.engine.logical_plan(&sql).await {
                faults.push(file.fault(place_of(&file, &sql), error.to_string()));
            }
        }
        if faults.is_empty() {
            Ok(layout)
        } else {
            Err(Diagnostics(faults))
        }
    }

    /// Its statements, as they can be planned.
    fn statements(&self) -> Vec<String> {
        let choices = &self.choices;
        let named = [&choices.authorities, &choices.services, &choices.teams];
        let named = named.into_iter().filter(|sql| !sql.is_empty()).cloned();
        named
            .chain(self.worklist.iter().map(|list| list.of_team("a team")))
            .collect()
    }

    pub(crate) fn faults(&self, file: &SourceFile, catalogue: &Catalogue) -> Vec<Diagnostic> {
        let metrics = catalogue.metrics.iter();
        let mut judge = Judge {
            file,
            catalogue,
            metrics: metrics.map(|metric| (metric.name.name.as_str(), metric)).collect(),
            from_line: 1,
            faults: Vec::new(),
        };
        if let Some(worklist) = &self.worklist {
            judge.worklist(worklist);
        }
        let (mut sections, mut tiles) = (BTreeSet::new(), BTreeSet::new());
        for section in &self.sections {
            judge.enter(&section.id);
            if !sections.insert(&section.id) {
                judge.refuse(
                    &section.id,
                    format!("section \"{}\" stands twice", section.id),
                    "another id",
                );
            }
            for tile in &section.tiles {
                judge.enter(&tile.id);
                if tile.id.is_empty()
                    || !tile
                        .id
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                {
                    judge.refuse(
                        &tile.id,
                        format!("\"{}\" is no id of a tile", tile.id),
                        "letters, digits, _ and -",
                    );
                }
                if !tiles.insert(&tile.id) {
                    judge.refuse(
                        &tile.id,
                        format!("tile \"{}\" stands twice", tile.id),
                        "another id: links name it",
                    );
                }
                judge.tile(tile);
            }
        }
        judge.faults
    }
}

/// The line in which a statement begins.
fn place_of(file: &SourceFile, sql: &str) -> Span {
    let first = sql
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line = file.text.lines().position(|line| line.contains(first));
    Span {
        line: line.map_or(1, |index| index + 1),
        ..Span::START
    }
}

struct Judge<'a> {
    file: &'a SourceFile,
    catalogue: &'a Catalogue,
    metrics: BTreeMap<&'a str, &'a MetricDefinition>,
    /// Where the tile at hand begins.
    from_line: usize,
    faults: Vec<Diagnostic>,
}

impl<'a> Judge<'a> {
    fn enter(&mut self, id: &str) {
        let quoted = format!("\"{id}\"");
        let lines = self.file.text.lines().enumerate().skip(self.from_line - 1);
        let is_id = |line: &str| line.trim_start().starts_with("id") && line.contains(&quoted);
        let found = lines.into_iter().find(|(_, line)| is_id(line));
        self.from_line = found.map_or(self.from_line, |(index, _)| index + 1);
    }

    fn worklist(&mut self, worklist: &Worklist) {
        let views: Vec<String> = self.catalogue.views.iter().map(|view| view.qualified_name()).collect();
        if !views.contains(&worklist.reads) {
            let fault = self.fault(&worklist.reads, format!("no view is called \"{}\"", worklist.reads));
            self.faults
                .push(fault.suggest(&worklist.reads, views.iter().map(String::as_str)));
        }
        if !worklist.sql.contains("$team") {
            self.refuse("worklist", "the worklist is not of a team", "$team in its statement");
        }
    }

    fn tile(&mut self, tile: &Tile) {
        for figure in tile.figures() {
            self.figure(figure);
        }
        for benchmark in &tile.benchmarks {
            self.benchmark(benchmark);
        }
        let needs_figure = matches!(tile.kind, Kind::Number | Kind::Split | Kind::Bands);
        if tile.figure.is_none() && (needs_figure || tile.trend) {
            self.refuse(
                &tile.id,
                "the tile has no figure",
                "figure = { metric = ..., combine = ... }",
            );
        }
        match tile.kind {
            Kind::Split | Kind::Bands => self.parted(tile),
            Kind::Table => self.table(tile),
            Kind::Rates if tile.rows.is_empty() => self.refuse(&tile.id, "rates without rows", "[[section.tile.rows]]"),
            Kind::Rates | Kind::Number => {}
        }
        let mut ids = BTreeSet::new();
        let listed = tile.columns.iter().chain(&tile.rows).map(|column| &column.id);
        for id in listed.chain(tile.parts.iter().map(|part| &part.id)) {
            if !ids.insert(id) {
                self.refuse(
                    id,
                    format!("\"{id}\" stands twice in tile \"{}\"", tile.id),
                    "another id",
                );
            }
        }
    }

    fn parted(&mut self, tile: &Tile) {
        let Some(by) = &tile.by else {
            self.refuse(
                &tile.id,
                "the tile has parts and no `by`",
                "by = the label that parts it",
            );
            return;
        };
        let Some(figure) = &tile.figure else { return };
        if let Some(metric) = self.metrics.get(figure.metric.as_str()) {
            self.label(metric, by);
        }
        if figure.combine == Combine::Own {
            self.refuse(
                &tile.id,
                "what is not combined has no parts",
                "combine = \"sum\" or \"max\"",
            );
        }
    }

    fn table(&mut self, tile: &Tile) {
        match tile.by.as_deref() {
            Some(by) if LEVELS.contains(&by) => {
                for column in &tile.columns {
                    if let Some(metric) = self.metrics.get(column.figure.metric.as_str()) {
                        self.label(metric, by);
                    }
                }
            }
            _ => self.refuse(
                &tile.id,
                "a table needs rows",
                "by = \"authority\", \"service\" or \"team\"",
            ),
        }
        if tile.columns.is_empty() {
            self.refuse(&tile.id, "a table needs columns", "[[section.tile.columns]]");
        }
    }

    fn figure(&mut self, figure: &Figure) {
        let Some(metric) = self.metric(&figure.metric) else {
            return;
        };
        figure.only.keys().for_each(|label| self.label(metric, label));
        if let (Combine::Ratio, None) | (Combine::Sum | Combine::Max | Combine::Own, Some(_)) =
            (figure.combine, &figure.over)
        {
            self.refuse(
                &figure.metric,
                "combine = \"ratio\" and `over` go together",
                "both or neither",
            );
        }
        if matches!(figure.combine, Combine::Sum | Combine::Ratio) {
            self.adds_up(metric, figure.adds_up);
        }
        if let Some(over) = &figure.over
            && let Some(metric) = self.metric(&over.metric)
        {
            over.only.keys().for_each(|label| self.label(metric, label));
            self.adds_up(metric, figure.adds_up);
        }
        if figure.judged && !self.catalogue.thresholds.judges(&figure.metric, &figure.only) {
            let message = format!("no tier of thresholds.toml is of {} with this `where`", figure.metric);
            self.refuse(&figure.metric, message, "the `where` of a threshold, or no `judged`");
        }
    }

    /// Shares, means and highest values of parts say nothing about the whole.
    fn adds_up(&mut self, metric: &MetricDefinition, said_so: bool) {
        let name = &metric.name.name;
        let publication = &metric.publication;
        match publication {
            Publication::Count => {}
            Publication::Withheld(_) if said_so => {}
            Publication::Withheld(_) => {
                let message = format!("nothing says that {name} adds up");
                self.refuse(
                    name,
                    message,
                    "adds_up = true, where it is a count of things that stand in one series each",
                );
            }
            Publication::Open | Publication::Distinct | Publication::Share { .. } | Publication::Over { .. } => {
                let message = format!("{name} does not add up: it is published as {publication}");
                self.refuse(name, message, "combine = \"max\" or \"own\"");
            }
        }
    }

    fn benchmark(&mut self, benchmark: &Benchmark) {
        if let Some(metric) = self.metric(&benchmark.metric) {
            benchmark.only.keys().for_each(|label| self.label(metric, label));
            self.label(metric, &benchmark.newest);
        }
    }

    fn metric(&mut self, name: &str) -> Option<&'a MetricDefinition> {
        let found = self.metrics.get(name).copied();
        match found {
            None => {
                let fault = self.fault(name, format!("no metric is called \"{name}\""));
                self.faults.push(fault.suggest(name, self.metrics.keys().copied()));
                None
            }
            Some(metric) if metric.kind == MetricKind::Histogram => {
                self.refuse(
                    name,
                    format!("{name} is a histogram"),
                    "a metric with one number a series",
                );
                None
            }
            found => found,
        }
    }

    fn label(&mut self, metric: &MetricDefinition, label: &str) {
        if !metric.label_names().any(|name| name == label) {
            let has: Vec<&str> = metric.label_names().collect();
            let message = format!("{} has no label \"{label}\"", metric.name.name);
            self.refuse(label, message, &format!("one of {}", has.join(", ")));
        }
    }

    fn refuse(&mut self, word: &str, message: impl Into<String>, expected: &str) {
        let fault = self.fault(word, message).expected(expected);
        self.faults.push(fault);
    }

    fn fault(&self, word: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.file.find_word(word, self.from_line);
        self.file.fault(place.unwrap_or(Span::START), message)
    }
}
