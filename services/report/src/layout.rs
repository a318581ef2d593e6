//! The layout of a report, as data: `reports/monthly.toml` of the directory of queries. Which sections there are, which
//! indicators stand in each, how an indicator's series make one number, what it is judged and compared by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use casewatch_metrics::{Catalogue, Diagnostic, Diagnostics, Kind, MetricDefinition, Publication, SourceFile, Span};
use serde::Deserialize;
use toml::Spanned;

/// Below the directory of queries.
pub const FILE: &str = "reports/monthly.toml";
/// The label that says whose number it is.
pub const AUTHORITY: &str = "authority";
/// Labels of a published figure: of where, and of when.
pub const AREA: &str = "area";
pub const YEAR: &str = "year";

/// A year to compare with has to be in the trend.
const FEWEST_MONTHS: usize = 13;
const MOST_MONTHS: usize = 120;

/// A whole layout, checked against the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub title: String,
    pub introduction: String,
    /// SQL beside the layout that yields `authority`, `name` and `region`: what an authority is called, and the area it
    /// is compared with beside the whole nation.
    pub authorities: Spanned<PathBuf>,
    /// The nation, as the label `area` of benchmarks has it.
    pub nation: String,
    /// Ends of months that trends show, the report's own among them.
    pub months: Spanned<usize>,
    /// From which share of the figure before a change is told in words.
    pub notable_change: f64,
    #[serde(default, rename = "section")]
    pub sections: Vec<Section>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    pub title: String,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default, rename = "indicator")]
    pub indicators: Vec<Indicator>,
}

/// One line of the report.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    pub title: String,
    pub metric: Spanned<String>,
    /// Only series with one of these values of a label.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
    pub total: Total,
    pub good: Good,
    /// The tier of `thresholds.toml` that is not to be reached.
    #[serde(default)]
    pub target: Option<Spanned<String>>,
    #[serde(default)]
    pub benchmark: Option<Benchmark>,
    /// What is counted, in words; default: the metric's unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// Whether the months are drawn.
    #[serde(default)]
    pub chart: bool,
    /// Whether it is a part of the indicator above.
    #[serde(default)]
    pub part: bool,
}

/// How an authority's series make one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Total {
    /// Counts that add up.
    Sum,
    /// The largest.
    Max,
    /// There is one series: `where` names all its labels.
    Given,
}

/// Which direction is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Good {
    Low,
    High,
    Neither,
}

/// A published figure beside an indicator: a metric with the labels `area` and `year`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    pub metric: Spanned<String>,
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
}

impl Layout {
    /// Reads and checks the layout of a directory of queries.
    ///
    /// # Errors
    /// Every fault of the file, each with its place; a directory that has none.
    pub fn load(directory: &Path, catalogue: &Catalogue) -> Result<Self, Diagnostics> {
        let path = directory.join(FILE);
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let fault = SourceFile::new(name.as_str(), "").fault(Span::START, format!("cannot be read: {error}"));
            Diagnostics(vec![fault.expected("the layout of the monthly report")])
        })?;
        Self::parse(SourceFile::new(name, text), directory, catalogue)
    }

    /// Whether a directory of queries has a layout.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(FILE).is_file()
    }

    fn parse(file: SourceFile, directory: &Path, catalogue: &Catalogue) -> Result<Self, Diagnostics> {
        let layout: Self = toml::from_str(&file.text).map_err(|error| {
            let place = error.span().map_or(Span::START, |bytes| file.place(bytes));
            Diagnostics(vec![file.fault(place, error.message().to_owned())])
        })?;
        let mut judge = Judge {
            file: &file,
            catalogue,
            faults: Vec::new(),
        };
        judge.layout(&layout, directory);
        let mut faults = Diagnostics(judge.faults);
        faults.sort();
        if faults.is_empty() { Ok(layout) } else { Err(faults) }
    }

    /// Where the SQL of [`Layout::authorities`] stands.
    pub fn authorities_in(&self, directory: &Path) -> PathBuf {
        let folder = directory.join(FILE);
        folder.with_file_name(self.authorities.get_ref())
    }

    pub fn indicators(&self) -> impl Iterator<Item = &Indicator> {
        self.sections.iter().flat_map(|section| &section.indicators)
    }

    /// Every metric that the report reads, its targets among them.
    pub fn metrics(&self, catalogue: &Catalogue) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for indicator in self.indicators() {
            let metric = indicator.metric.get_ref();
            names.insert(metric.clone());
            if indicator.target.is_some() {
                names.extend(catalogue.thresholds.relative_to(metric).map(str::to_owned));
            }
            let benchmark = indicator.benchmark.iter();
            names.extend(benchmark.map(|it| it.metric.get_ref().clone()));
        }
        names
    }
}

/// Looks for what cannot be right.
struct Judge<'a> {
    file: &'a SourceFile,
    catalogue: &'a Catalogue,
    faults: Vec<Diagnostic>,
}

impl<'a> Judge<'a> {
    fn layout(&mut self, layout: &Layout, directory: &Path) {
        let months = *layout.months.get_ref();
        if !(FEWEST_MONTHS..=MOST_MONTHS).contains(&months) {
            let expected = format!("{FEWEST_MONTHS} to {MOST_MONTHS}: a year before is compared with");
            self.refuse(layout.months.span(), format!("{months} months"), &expected);
        }
        if !layout.authorities_in(directory).is_file() {
            let missing = format!("there is no file {}", layout.authorities.get_ref().display());
            self.refuse(
                layout.authorities.span(),
                missing,
                "SQL beside this file that yields authority, name and region",
            );
        }
        if !(0.0..=10.0).contains(&layout.notable_change) {
            let place = self.file.find_word("notable_change", 1).unwrap_or(Span::START);
            let fault = self.file.fault(place, "no share of a figure");
            self.faults.push(fault.expected("a share, such as 0.1 for a tenth"));
        }
        if layout.indicators().next().is_none() {
            let fault = self.file.fault(Span::START, "it has no indicator");
            self.faults
                .push(fault.expected("[[section]] with [[section.indicator]]"));
        }
        layout.indicators().for_each(|indicator| self.indicator(indicator));
    }

    fn indicator(&mut self, indicator: &Indicator) {
        if let Some(metric) = self.metric(&indicator.metric) {
            self.labels(metric, &indicator.metric, &indicator.only, &[AUTHORITY]);
            match indicator.total {
                Total::Sum => self.sum(metric, indicator),
                Total::Given => self.given(metric, &indicator.metric, &indicator.only, &[AUTHORITY]),
                Total::Max => {}
            }
            self.target(indicator);
        }
        if let Some(benchmark) = &indicator.benchmark
            && let Some(metric) = self.metric(&benchmark.metric)
        {
            self.labels(metric, &benchmark.metric, &benchmark.only, &[AREA, YEAR]);
            self.given(metric, &benchmark.metric, &benchmark.only, &[AREA, YEAR]);
        }
    }

    fn metric(&mut self, name: &Spanned<String>) -> Option<&'a MetricDefinition> {
        let known = &self.catalogue.metrics;
        let found = known.iter().find(|metric| metric.name.name == *name.get_ref());
        match found {
            Some(metric) if metric.kind == Kind::Histogram => {
                let message = format!("{} is a histogram", name.get_ref());
                self.refuse(name.span(), message, "a metric with one number a series");
                None
            }
            Some(metric) => Some(metric),
            None => {
                let fault = self.fault(name.span(), format!("no metric is called \"{}\"", name.get_ref()));
                let names = known.iter().map(|metric| metric.name.name.as_str());
                self.faults.push(fault.suggest(name.get_ref(), names));
                None
            }
        }
    }

    /// Labels that are named exist and have values; those that a line of this kind needs are there.
    fn labels(
        &mut self,
        metric: &MetricDefinition,
        at: &Spanned<String>,
        only: &BTreeMap<String, Vec<String>>,
        needed: &[&str],
    ) {
        for label in needed.iter().filter(|label| !has(metric, label)) {
            let message = format!("{} has no label \"{label}\"", metric.name.name);
            self.refuse(at.span(), message, "a metric with it");
        }
        for (label, values) in only {
            if !has(metric, label) || needed.contains(&label.as_str()) {
                let free: Vec<&str> = metric.label_names().filter(|name| !needed.contains(name)).collect();
                let message = format!("{} has no label \"{label}\" to choose by", metric.name.name);
                let fault = self.word_fault(label, at, message);
                let fault = fault.expected(format!("one of {}", free.join(", ")));
                self.faults.push(fault.suggest(label, free));
            }
            if values.is_empty() {
                let fault = self.word_fault(label, at, format!("\"{label}\" has no value"));
                self.faults.push(fault.expected("at least one value"));
            }
        }
    }

    /// Only what adds up is summed, and only over labels whose values add up.
    fn sum(&mut self, metric: &MetricDefinition, indicator: &Indicator) {
        let name = &metric.name.name;
        if !matches!(
            metric.publication,
            Publication::Count | Publication::Withheld(_) | Publication::Open
        ) {
            let message = format!(
                "{name} does not add up: its header has \"publish: {}\"",
                metric.publication
            );
            self.refuse(
                indicator.metric.span(),
                message,
                "total = \"given\" with every label in `where`, or \"max\"",
            );
            return;
        }
        let rules = &self.catalogue.publication;
        for label in metric.label_names().filter(|label| *label != AUTHORITY) {
            let chosen = indicator.only.get(label).map_or(0, Vec::len);
            if chosen != 1 && !rules.adds_up_over(label) {
                let message = format!("the values of \"{label}\" of {name} do not add up");
                let fault = self.word_fault(label, &indicator.metric, message);
                let fault = fault.expected(format!("one value of {label} in `where`"));
                self.faults
                    .push(fault.hint("publication.toml says which labels part what is counted"));
            }
            let around = rules.levels_around(label).iter();
            let unchosen = around.filter(|wider| *wider != AUTHORITY && !indicator.only.contains_key(*wider));
            for wider in unchosen.filter(|wider| chosen > 0 && has(metric, wider)) {
                let message = format!("\"{label}\" is chosen, and \"{wider}\", which it lies in, is not");
                let fault = self.word_fault(label, &indicator.metric, message);
                self.faults.push(fault.expected(format!("a value of {wider} too")));
            }
        }
    }

    /// Every label but some has one value.
    fn given(
        &mut self,
        metric: &MetricDefinition,
        at: &Spanned<String>,
        only: &BTreeMap<String, Vec<String>>,
        free: &[&str],
    ) {
        let open = metric.label_names().filter(|label| !free.contains(label));
        let open: Vec<&str> = open
            .filter(|label| only.get(*label).is_none_or(|values| values.len() != 1))
            .collect();
        if !open.is_empty() {
            let message = format!("several series of {} are left", metric.name.name);
            let fault = self.fault(at.span(), message);
            let fault = fault.expected(format!("one value in `where` for each of {}", open.join(", ")));
            self.faults
                .push(fault.hint("the rows for a whole authority have \"all\" for service and team"));
        }
    }

    fn target(&mut self, indicator: &Indicator) {
        let (Some(target), metric) = (&indicator.target, indicator.metric.get_ref()) else {
            return;
        };
        let known: Vec<&str> = self.catalogue.thresholds.tiers_of(metric).collect();
        if !known.contains(&target.get_ref().as_str()) {
            let message = format!("{metric} has no tier \"{}\"", target.get_ref());
            let fault = self.fault(target.span(), message);
            let expected = match known.is_empty() {
                true => "a metric with a [[threshold]] in thresholds.toml".to_owned(),
                false => format!("one of {}", known.join(", ")),
            };
            self.faults.push(fault.expected(expected));
        }
    }

    fn refuse(&mut self, bytes: std::ops::Range<usize>, message: String, expected: &str) {
        let fault = self.fault(bytes, message).expected(expected);
        self.faults.push(fault);
    }

    fn fault(&self, bytes: std::ops::Range<usize>, message: String) -> Diagnostic {
        self.file.fault(self.file.place(bytes), message)
    }

    /// A fault at a word that stands at or below a name, or else at the name.
    fn word_fault(&self, word: &str, near: &Spanned<String>, message: String) -> Diagnostic {
        let name = self.file.place(near.span());
        let place = self.file.find_word(word, name.line).unwrap_or(name);
        self.file.fault(place, message)
    }
}

fn has(metric: &MetricDefinition, label: &str) -> bool {
    metric.label_names().any(|name| name == label)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
