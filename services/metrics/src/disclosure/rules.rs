//! `publication.toml`: how the values of a label, and the numbers of several metrics, hang together. It is what an
//! outsider is taken to know beside the figures.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::definition::{MetricDefinition, Publication};
use crate::diagnostic::{Diagnostic, SourceFile, Span, byte_span};

const FILE: &str = "publication.toml";
/// Above, costs would be lost among each other's digits.
const DEAREST: f64 = 1e4;

/// What is known of labels and metrics, checked against the catalogue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Labels of which each lies inside the one before, the widest first.
    #[serde(default)]
    pub(super) levels: Vec<String>,
    /// Labels whose values part what is counted.
    #[serde(default)]
    pub(super) parts: Vec<String>,
    /// Labels whose values have nothing to do with each other.
    #[serde(default)]
    pub(super) apart: Vec<String>,
    /// Labels whose values contain each other: each is part of the next.
    #[serde(default)]
    pub(super) nested: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) same: Vec<Same>,
    #[serde(default)]
    pub(super) within: Vec<Within>,
    /// Which figures are to stay where there is a choice.
    #[serde(default)]
    pub(super) keep: Vec<Keep>,
}

/// Figures that are so many times as dear to withhold as others of their rank.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    pub(super) metric: Spanned<String>,
    /// Only series with one of these values of a label, `all` among them.
    #[serde(default, rename = "where")]
    pub(super) only: BTreeMap<String, Vec<String>>,
    pub(super) times: f64,
}

/// Counts that are equal, for all values of the labels `by`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Same {
    pub(super) by: Vec<String>,
    pub(super) counts: Vec<Counted>,
}

/// A count that is part of another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Within {
    pub(super) by: Vec<String>,
    pub(super) part: Counted,
    pub(super) whole: Counted,
}

/// A metric, summed over the labels that are not named.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    pub(super) metric: Spanned<String>,
    /// Only series with one of these values of a label.
    #[serde(default, rename = "where")]
    pub(super) only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) of: Of,
}

/// Which number of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Of {
    #[default]
    Value,
    Part,
    /// What a part leaves of the base.
    Rest,
    Base,
}

impl Rules {
    /// Whether what stands under the values of a label adds up: it is a level or a part.
    pub fn adds_up_over(&self, label: &str) -> bool {
        self.levels.iter().chain(&self.parts).any(|known| known == label)
    }

    /// Levels that a level lies inside; none for any other label.
    pub fn levels_around(&self, label: &str) -> &[String] {
        let at = self.levels.iter().position(|known| known == label);
        &self.levels[..at.unwrap_or_default()]
    }

    /// How many times as dear as others of its rank a figure is to withhold.
    pub(super) fn dearness(&self, metric: &MetricDefinition, labels: &[String]) -> f64 {
        let is_meant = |keep: &&Keep| {
            let mut named = metric.label_names().zip(labels);
            *keep.metric.get_ref() == metric.name.name
                && named.all(|(name, value)| keep.only.get(name).is_none_or(|values| values.contains(value)))
        };
        self.keep
            .iter()
            .filter(is_meant)
            .map(|keep| keep.times)
            .fold(1.0, f64::max)
    }

    /// Reads `publication.toml` of the directory of queries; without one nothing is known. Faults are added to `faults`.
    pub(crate) fn load(directory: &Path, metrics: &[MetricDefinition], faults: &mut Vec<Diagnostic>) -> Self {
        let path = directory.join(FILE);
        let name = path.display().to_string();
        let text = match path.is_file().then(|| std::fs::read_to_string(&path)) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(error)) => {
                faults.push(SourceFile::new(name, "").fault(Span::START, format!("cannot be read: {error}")));
                return Self::default();
            }
        };
        Self::parse(&SourceFile::new(name, text), metrics, faults)
    }

    fn parse(file: &SourceFile, metrics: &[MetricDefinition], faults: &mut Vec<Diagnostic>) -> Self {
        let rules = match toml::from_str::<Self>(&file.text) {
            Ok(rules) => rules,
            Err(error) => {
                let place = error.span().map_or(Span::START, |bytes| byte_span(&file.text, bytes));
                faults.push(file.fault(place, error.message().to_owned()));
                return Self::default();
            }
        };
        let mut judge = Judge { file, metrics, faults };
        judge.labels(&rules);
        for same in &rules.same {
            same.counts.iter().for_each(|counted| judge.counted(counted, &same.by));
        }
        for within in &rules.within {
            [&within.part, &within.whole]
                .into_iter()
                .for_each(|counted| judge.counted(counted, &within.by));
        }
        rules.keep.iter().for_each(|keep| judge.keep(keep));
        rules
    }

    fn knows(&self, label: &str) -> usize {
        let lists = [&self.levels, &self.parts, &self.apart].into_iter().flatten();
        lists.chain(self.nested.keys()).filter(|known| *known == label).count()
    }
}

/// Looks for what the catalogue does not have, and for what of it is not explained.
struct Judge<'a> {
    file: &'a SourceFile,
    metrics: &'a [MetricDefinition],
    faults: &'a mut Vec<Diagnostic>,
}

impl Judge<'_> {
    fn labels(&mut self, rules: &Rules) {
        let judged =
            |metric: &&MetricDefinition| !matches!(metric.publication, Publication::Withheld(_) | Publication::Open);
        for metric in self.metrics.iter().filter(judged) {
            for label in &metric.labels {
                let expected = "one of levels, parts, apart and nested of publication.toml";
                let message = match rules.knows(&label.name) {
                    0 => format!("how the values of \"{}\" hang together is not known", label.name),
                    1 => continue,
                    _ => format!("label \"{}\" is explained twice", label.name),
                };
                self.faults
                    .push(metric.file.fault(label.span, message).expected(expected));
            }
        }
    }

    fn keep(&mut self, keep: &Keep) {
        self.metric(&keep.metric, keep.only.keys());
        let is_dearer = (1.0..=DEAREST).contains(&keep.times);
        if !is_dearer {
            let fault = self.fault(
                &keep.metric,
                format!("times {} of {}", keep.times, keep.metric.get_ref()),
            );
            self.faults
                .push(fault.expected(format!("a number from 1 to {DEAREST}")));
        }
    }

    /// The metric of a name, which has these labels.
    fn metric<'l>(
        &mut self,
        written: &Spanned<String>,
        labels: impl Iterator<Item = &'l String>,
    ) -> Option<&MetricDefinition> {
        let name = written.get_ref();
        let Some(metric) = self.metrics.iter().find(|metric| metric.name.name == *name) else {
            let known = self.metrics.iter().map(|metric| metric.name.name.as_str());
            let fault = self.fault(written, format!("no metric is called \"{name}\""));
            self.faults.push(fault.suggest(name, known));
            return None;
        };
        for label in labels {
            if !metric.label_names().any(|name| name == label) {
                let has: Vec<&str> = metric.label_names().collect();
                let fault = self.fault(written, format!("{name} has no label \"{label}\""));
                self.faults.push(fault.expected(format!("one of {}", has.join(", "))));
            }
        }
        Some(metric)
    }

    fn counted(&mut self, counted: &Counted, by: &[String]) {
        let Some(metric) = self.metric(&counted.metric, by.iter().chain(counted.only.keys())) else {
            return;
        };
        let fits = match counted.of {
            Of::Value => metric.publication == Publication::Count,
            Of::Part | Of::Rest => matches!(metric.publication, Publication::Share { .. }),
            Of::Base => matches!(metric.publication, Publication::Share { .. } | Publication::Over { .. }),
        };
        if !fits {
            let message = format!(
                "{} is published as \"{}\"",
                counted.metric.get_ref(),
                metric.publication
            );
            let fault = self.fault(&counted.metric, message);
            self.faults.push(
                fault.expected("a count; or with of = \"part\", \"rest\" or \"base\", a share or what is over a base"),
            );
        }
    }

    fn fault(&self, written: &Spanned<String>, message: String) -> Diagnostic {
        self.file.fault(byte_span(&self.file.text, written.span()), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::{OPEN_CASES, parse};

    const RULES: &str = "levels = [\"authority\"]\nparts = [\"state\"]\n\
         [[same]]\nby = [\"authority\"]\ncounts = [\n  { metric = \"casewatch_cases_open\" },\n\
         \x20 { metric = \"casewatch_cases_open\", where = { state = [\"open\"] } },\n]\n";

    fn faults(text: &str, published: &str) -> Vec<Diagnostic> {
        let metric = parse(&OPEN_CASES.replace("-- kind", &format!("-- publish: {published}\n-- kind"))).unwrap();
        let mut faults = Vec::new();
        Rules::parse(&SourceFile::new("publication.toml", text), &[metric], &mut faults);
        faults
    }

    fn message(from: &str, to: &str) -> (usize, String) {
        assert!(RULES.contains(from), "the test must change the file");
        let fault = faults(&RULES.replacen(from, to, 1), "count").remove(0);
        (fault.line, fault.message)
    }

    #[test]
    fn rules_about_known_metrics_and_labels_pass() {
        assert_eq!(faults(RULES, "count"), vec![]);
    }

    #[test]
    fn what_the_catalogue_does_not_have_is_refused_with_its_place() {
        assert_eq!(
            message(
                "{ metric = \"casewatch_cases_open\" }",
                "{ metric = \"casewatch_cases_opn\" }"
            ),
            (6, "no metric is called \"casewatch_cases_opn\"".to_owned())
        );
        assert_eq!(
            message("where = { state", "where = { status"),
            (7, "casewatch_cases_open has no label \"status\"".to_owned()),
            "at the second of the two that name the metric"
        );
        assert_eq!(message("counts =", "count =").0, 5);
        assert_eq!(
            faults(RULES, "over cases")[0].message,
            "casewatch_cases_open is published as \"over cases\""
        );
    }

    #[test]
    fn what_is_to_be_kept_is_a_metrics_and_dearer_than_others() {
        let keep = "[[keep]]\nmetric = \"casewatch_cases_open\"\nwhere = { state = [\"all\"] }\ntimes = 100\n";
        let of = |from: &str, to: &str| {
            let text = format!("{RULES}{}", keep.replacen(from, to, 1));
            faults(&text, "count")
                .into_iter()
                .map(|fault| fault.message)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("", ""), Vec::<String>::new());
        assert_eq!(of("_open", "_shut"), ["no metric is called \"casewatch_cases_shut\""]);
        assert_eq!(of("state", "team"), ["casewatch_cases_open has no label \"team\""]);
        assert_eq!(of("100", "0.5"), ["times 0.5 of casewatch_cases_open"]);
        assert_eq!(of("100", "nan"), ["times NaN of casewatch_cases_open"]);
    }

    #[test]
    fn every_label_of_a_published_metric_is_explained_once() {
        let unexplained = (6, "how the values of \"state\" hang together is not known".to_owned());
        assert_eq!(message("parts = [\"state\"]", "parts = []"), unexplained);
        let twice = message("parts = [\"state\"]", "parts = [\"state\"]\napart = [\"state\"]");
        assert_eq!(twice.1, "label \"state\" is explained twice");
    }
}
