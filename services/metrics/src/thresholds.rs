//! `thresholds.toml`: from which value on a metric is a warning or a page, computed after each pass and exported as
//! `casewatch_threshold`, so that dashboards and alerts read the numbers and nobody repeats them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde::{Deserialize, Serialize};

use crate::definition::{Kind, MetricDefinition};
use crate::diagnostic::{Diagnostic, SourceFile, Span, byte_span};
use crate::samples::{SampleSet, Value, gauge, label_pair};

const FILE: &str = "thresholds.toml";
const NAME: &str = "casewatch_threshold";
const HELP: &str = "The value above which a metric reaches a tier, for the labels that the tier is judged by.";
/// Labels that a tier can be judged by. Those it is not judged by are empty.
const JUDGED_BY: [&str; 3] = ["authority", "service", "team"];

/// Every tier of every metric, checked against the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Thresholds(Vec<Threshold>);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "threshold")]
    thresholds: Vec<Threshold>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    metric: String,
    by: Vec<String>,
    /// Only series with one of these values of a label count.
    #[serde(default, rename = "where")]
    only: BTreeMap<String, Vec<String>>,
    tiers: Vec<Tier>,
    #[serde(default)]
    overrides: Vec<Override>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    tier: String,
    severity: Severity,
    over: Option<f64>,
    over_share_of: Option<String>,
    share: Option<f64>,
    over_days_of_flow: Option<f64>,
    /// How many cases a day.
    flow: Option<String>,
    at_least: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Info,
    Warn,
    Page,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warn => "warn",
            Severity::Page => "page",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    authority: Option<String>,
    service: Option<String>,
    team: Option<String>,
    tiers: Vec<Tier>,
}

impl Override {
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = [&self.authority, &self.service, &self.team];
        JUDGED_BY
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// A tier of a metric, in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToldTier {
    pub tier: String,
    pub severity: &'static str,
    /// Labels that it is judged by.
    pub by: Vec<String>,
    /// Only series with one of these values of a label count.
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, Vec<String>>,
    /// Whose tier it is, in place of the common ones; empty: everybody's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub only_for: BTreeMap<String, String>,
    pub bound: String,
}

impl Tier {
    /// `over 2 % of casewatch_x or 1.5 days of casewatch_y, at least 5`
    fn in_words(&self) -> String {
        // Shares are written with a few digits: what multiplying adds beyond is no part of them.
        let percent = |share: f64| (share * 1e8).round() / 1e6;
        let of_share = self.over_share_of.as_ref().zip(self.share);
        let of_flow = self.flow.as_ref().zip(self.over_days_of_flow);
        let bounds = [
            self.over.map(|over| over.to_string()),
            of_share.map(|(metric, share)| format!("{} % of {metric}", percent(share))),
            of_flow.map(|(metric, days)| format!("{days} days of {metric}")),
        ];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        let least = self.at_least.map(|least| format!(", at least {least}"));
        format!("over {}{}", bounds.join(" or "), least.unwrap_or_default())
    }
}

/// A tier at one moment, for one group of those it is judged for.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedTier {
    pub metric: String,
    /// Only series with one of these values of a label count.
    pub only: BTreeMap<String, Vec<String>>,
    /// The labels that it is judged by, with the group's values.
    pub group: BTreeMap<String, String>,
    pub tier: String,
    pub severity: &'static str,
    /// The value above which the tier is reached.
    pub bound: f64,
    /// What is compared with it; none where the group has no series.
    pub value: Option<f64>,
}

impl JudgedTier {
    pub fn is_reached(&self) -> bool {
        self.value.is_some_and(|value| value > self.bound)
    }
}

/// A tier for the whole of an authority.
#[derive(Debug, Clone, PartialEq)]
pub struct TierBound {
    pub tier: String,
    /// `info`, `warn` or `page`.
    pub severity: &'static str,
    /// The value above which it is reached.
    pub bound: f64,
}

/// Values of the labels that a tier is judged by, in the order of `by`.
type Group<'a> = Vec<&'a str>;

impl Thresholds {
    /// Reads `thresholds.toml` of the directory of queries; without one there are none. Faults are added to `faults`.
    pub(crate) fn load(directory: &Path, metrics: &[MetricDefinition], faults: &mut Vec<Diagnostic>) -> Self {
        let path = directory.join(FILE);
        if !path.is_file() {
            return Self::default();
        }
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&SourceFile::new(name, text), metrics, faults),
            Err(error) => {
                faults.push(SourceFile::new(name, "").fault(Span::START, format!("cannot be read: {error}")));
                Self::default()
            }
        }
    }

    fn parse(file: &SourceFile, metrics: &[MetricDefinition], faults: &mut Vec<Diagnostic>) -> Self {
        let thresholds = match toml::from_str::<File>(&file.text) {
            Ok(parsed) => parsed.thresholds,
            Err(error) => {
                let place = error.span().map_or(Span::START, |bytes| byte_span(&file.text, bytes));
                faults.push(file.fault(place, error.message().to_owned()));
                return Self::default();
            }
        };
        let mut judge = Judge {
            file,
            metrics,
            faults,
            from_line: 1,
        };
        let mut tiers = BTreeSet::new();
        for threshold in &thresholds {
            judge.threshold(threshold);
            for tier in &threshold.tiers {
                if !tiers.insert((&threshold.metric, &tier.tier)) {
                    judge.refuse(
                        &tier.tier,
                        format!("tier \"{}\" of {} stands twice", tier.tier, threshold.metric),
                        "another name: it is how an alert tells them apart",
                    );
                }
            }
        }
        Self(thresholds)
    }

    /// The tiers of a metric, the common ones first.
    pub(crate) fn told_of(&self, metric: &str) -> Vec<ToldTier> {
        let of_metric = self.0.iter().filter(|threshold| threshold.metric == metric);
        let told = of_metric.flat_map(|threshold| {
            let told = |tier: &Tier, only_for: BTreeMap<String, String>| ToldTier {
                tier: tier.tier.clone(),
                severity: tier.severity.as_str(),
                by: threshold.by.clone(),
                only: threshold.only.clone(),
                only_for,
                bound: tier.in_words(),
            };
            let common = threshold.tiers.iter().map(|tier| told(tier, BTreeMap::new()));
            let mut all: Vec<ToldTier> = common.collect();
            for other in &threshold.overrides {
                let named: BTreeMap<String, String> = other
                    .named()
                    .map(|(label, value)| (label.to_owned(), value.to_owned()))
                    .collect();
                all.extend(other.tiers.iter().map(|tier| told(tier, named.clone())));
            }
            all
        });
        told.collect()
    }

    /// The names of a metric's tiers that everybody has.
    pub fn tiers_of<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a str> {
        let of_metric = self.0.iter().filter(move |threshold| threshold.metric == metric);
        of_metric.flat_map(|threshold| threshold.tiers.iter().map(|tier| tier.tier.as_str()))
    }

    /// Metrics that the tiers of a metric are relative to.
    pub fn relative_to<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a str> {
        let of_metric = self.0.iter().filter(move |threshold| threshold.metric == metric);
        let tiers = of_metric.flat_map(|threshold| {
            let overridden = threshold.overrides.iter().flat_map(|it| &it.tiers);
            threshold.tiers.iter().chain(overridden)
        });
        tiers.flat_map(|tier| tier.over_share_of.iter().chain(&tier.flow).map(String::as_str))
    }

    /// The tier of this name and those that stand with it, for the whole of an authority, in rising order of their
    /// bounds. `total` is what another metric comes to there. Of a tier that is judged by finer labels only a plain
    /// number holds for the whole.
    pub fn bounds_of(
        &self,
        metric: &str,
        tier: &str,
        authority: &str,
        total: &dyn Fn(&str) -> Option<f64>,
    ) -> Vec<TierBound> {
        let named = |threshold: &&Threshold| {
            threshold.metric == metric && threshold.tiers.iter().any(|known| known.tier == tier)
        };
        let Some(threshold) = self.0.iter().find(named) else {
            return Vec::new();
        };
        let value = |label: &String| if label == JUDGED_BY[0] { authority } else { "" };
        let group: Group<'_> = threshold.by.iter().map(value).collect();
        let is_whole = threshold.by == JUDGED_BY[..1];
        let total = |other: &str| if is_whole { total(other) } else { None };
        let bounds = threshold.tiers_of(&group).iter().filter_map(|tier| {
            Some(TierBound {
                tier: tier.tier.clone(),
                severity: tier.severity.as_str(),
                bound: tier.bound_by(&total)?,
            })
        });
        let mut bounds: Vec<TierBound> = bounds.collect();
        bounds.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        bounds
    }

    /// The family to export beside these sets, all of one pass. A bound over a metric that is not shown does not count;
    /// a tier without any bound left is not exported.
    pub(crate) fn family(&self, sets: &[Arc<SampleSet>]) -> Option<MetricFamily> {
        let sets = Sets::of(sets);
        let series: Vec<Metric> = self.0.iter().flat_map(|threshold| threshold.series(&sets)).collect();
        if series.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(series);
        Some(family)
    }
}

impl Thresholds {
    /// Every tier with its bound and the number that it is compared with, over sets of one moment. A tier without a bound
    /// then is left out.
    pub fn judged(&self, sets: &[Arc<SampleSet>]) -> Vec<JudgedTier> {
        let sets = Sets::of(sets);
        self.0.iter().flat_map(|threshold| threshold.judged(&sets)).collect()
    }

    /// Whether any tier is judged by a metric's series with these values of its labels.
    pub fn judges(&self, metric: &str, only: &BTreeMap<String, Vec<String>>) -> bool {
        let is_same = |threshold: &Threshold| threshold.metric == metric && threshold.only == *only;
        self.0.iter().any(is_same)
    }

    /// The tiers of a metric in words, for people.
    pub(crate) fn told(&self, metric: &str) -> Vec<String> {
        let of_metric = self.0.iter().filter(|threshold| threshold.metric == metric);
        of_metric.flat_map(Threshold::told).collect()
    }
}

/// Looks for what the catalogue does not have.
struct Judge<'a> {
    file: &'a SourceFile,
    metrics: &'a [MetricDefinition],
    faults: &'a mut Vec<Diagnostic>,
    /// Where the threshold at hand begins.
    from_line: usize,
}

impl<'a> Judge<'a> {
    fn threshold(&mut self, threshold: &Threshold) {
        self.from_line = self
            .file
            .find_word(&threshold.metric, self.from_line)
            .map_or(1, |place| place.line);
        let Some(metric) = self.metric(&threshold.metric) else {
            return;
        };
        for label in threshold.by.iter().chain(threshold.only.keys()) {
            self.label(metric, label);
        }
        for label in threshold.by.iter().filter(|label| !JUDGED_BY.contains(&label.as_str())) {
            self.refuse(
                label,
                format!("a tier cannot be judged by \"{label}\""),
                "authority, service or team",
            );
        }
        let overridden = threshold.overrides.iter().flat_map(|it| &it.tiers);
        for tier in threshold.tiers.iter().chain(overridden) {
            self.tier(tier, threshold);
        }
        for (name, value) in threshold.overrides.iter().flat_map(Override::named) {
            if !threshold.by.iter().any(|label| label == name) {
                self.refuse(
                    value,
                    format!("{} is not judged by {name}", threshold.metric),
                    "a label of `by`",
                );
            }
        }
    }

    fn tier(&mut self, tier: &Tier, threshold: &Threshold) {
        let bounds = [
            tier.over.is_some(),
            tier.over_share_of.is_some(),
            tier.over_days_of_flow.is_some(),
        ];
        if !bounds.contains(&true) {
            self.refuse(
                &tier.tier,
                "the tier has no bound",
                "over, over_share_of or over_days_of_flow",
            );
        }
        if tier.over_share_of.is_some() != tier.share.is_some() {
            self.refuse(&tier.tier, "over_share_of and share go together", "both or neither");
        }
        if tier.over_days_of_flow.is_some() != tier.flow.is_some() {
            self.refuse(&tier.tier, "over_days_of_flow and flow go together", "both or neither");
        }
        for other in [&tier.over_share_of, &tier.flow].into_iter().flatten() {
            let Some(metric) = self.metric(other) else { continue };
            threshold.by.iter().for_each(|label| self.label(metric, label));
        }
    }

    /// A metric of the catalogue that has one number a series.
    fn metric(&mut self, name: &str) -> Option<&'a MetricDefinition> {
        let metrics = self.metrics;
        let found = metrics.iter().find(|metric| metric.name.name == name);
        match found {
            Some(metric) if metric.kind == Kind::Histogram => {
                self.refuse(
                    name,
                    format!("{name} is a histogram"),
                    "a metric with one number a series",
                );
                None
            }
            Some(metric) => Some(metric),
            None => {
                let fault = self.fault(name, format!("no metric is called \"{name}\""));
                let known = metrics.iter().map(|metric| metric.name.name.as_str());
                self.faults.push(fault.suggest(name, known));
                None
            }
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

impl Threshold {
    fn told(&self) -> Vec<String> {
        let tiers = |tiers: &[Tier]| tiers.iter().map(Tier::told).collect::<Vec<_>>().join(", ");
        let only = self.only.iter();
        let only: Vec<String> = only
            .map(|(label, values)| format!(", where {label} is {}", values.join(" or ")))
            .collect();
        let mut told = vec![format!(
            "{}; by {}{}",
            tiers(&self.tiers),
            self.by.join(", "),
            only.concat()
        )];
        told.extend(self.overrides.iter().map(|other| {
            let named: Vec<String> = other.named().map(|(label, value)| format!("{label} {value}")).collect();
            format!("for {} instead: {}", named.join(", "), tiers(&other.tiers))
        }));
        told
    }

    fn series(&self, sets: &Sets<'_>) -> Vec<Metric> {
        let mut series = Vec::new();
        for group in sets.groups(self) {
            for tier in self.tiers_of(&group) {
                if let Some(bound) = tier.bound(&self.by, &group, sets) {
                    series.push(self.metric(tier, &group, bound));
                }
            }
        }
        series
    }

    fn judged(&self, sets: &Sets<'_>) -> Vec<JudgedTier> {
        let mut judged = Vec::new();
        for group in sets.groups(self) {
            let value = sets.sum_of(&self.metric, &self.only, &self.by, &group);
            let labels = self
                .by
                .iter()
                .cloned()
                .zip(group.iter().map(|value| (*value).to_owned()));
            let labels: BTreeMap<String, String> = labels.collect();
            for tier in self.tiers_of(&group) {
                let Some(bound) = tier.bound(&self.by, &group, sets) else {
                    continue;
                };
                judged.push(JudgedTier {
                    metric: self.metric.clone(),
                    only: self.only.clone(),
                    group: labels.clone(),
                    tier: tier.tier.clone(),
                    severity: tier.severity.as_str(),
                    bound,
                    value,
                });
            }
        }
        judged
    }

    /// The tiers of the override that names most of a group's labels, or the common ones.
    fn tiers_of(&self, group: &Group<'_>) -> &[Tier] {
        let is_of = |label: &str| self.by.iter().position(|name| name == label).map(|at| group[at]);
        let fits = |it: &&Override| it.named().all(|(label, value)| is_of(label) == Some(value));
        let chosen = self.overrides.iter().filter(fits).max_by_key(|it| it.named().count());
        chosen.map_or(&self.tiers, |it| &it.tiers)
    }

    fn metric(&self, tier: &Tier, group: &Group<'_>, bound: f64) -> Metric {
        let value = |label: &str| self.by.iter().position(|name| name == label).map_or("", |at| group[at]);
        let fixed = [
            ("metric", self.metric.as_str()),
            ("severity", tier.severity.as_str()),
            ("tier", tier.tier.as_str()),
        ];
        let mut labels: Vec<_> = JUDGED_BY
            .into_iter()
            .map(|label| (label, value(label)))
            .chain(fixed)
            .collect();
        labels.sort_unstable();
        let mut metric = Metric::from_label(
            labels
                .into_iter()
                .map(|(name, value)| label_pair(name, value))
                .collect(),
        );
        metric.set_gauge(gauge(bound));
        metric
    }
}

impl Tier {
    fn told(&self) -> String {
        let mut bounds: Vec<String> = self.over.iter().map(f64::to_string).collect();
        if let (Some(of), Some(share)) = (&self.over_share_of, self.share) {
            // Of decimals such as 0.07, without what binary fractions add to them.
            let percent = (share * 1e8).round() / 1e6;
            bounds.push(format!("{percent} % of {of}"));
        }
        if let (Some(days), Some(flow)) = (self.over_days_of_flow, &self.flow) {
            bounds.push(format!("{days} days of {flow}"));
        }
        let least = self
            .at_least
            .map_or(String::new(), |least| format!(", at least {least}"));
        format!(
            "{} ({}) above {}{least}",
            self.tier,
            self.severity.as_str(),
            bounds.join(" or ")
        )
    }

    fn bound(&self, by: &[String], group: &Group<'_>, sets: &Sets<'_>) -> Option<f64> {
        self.bound_by(&|of| sets.sum(of, by, group))
    }

    /// The lowest of its bounds, any of which is enough. `total` is what another metric comes to.
    fn bound_by(&self, total: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
        let times = |factor: Option<f64>, of: &Option<String>| Some(factor? * total(of.as_ref()?)?);
        let bounds = [
            self.over,
            times(self.share, &self.over_share_of),
            times(self.over_days_of_flow, &self.flow),
        ];
        let lowest = bounds.into_iter().flatten().min_by(f64::total_cmp)?;
        Some(self.at_least.map_or(lowest, |least| lowest.max(least)))
    }
}

/// The sets of one pass by the metric's name.
struct Sets<'a>(BTreeMap<&'a str, &'a SampleSet>);

impl<'a> Sets<'a> {
    fn of(sets: &'a [Arc<SampleSet>]) -> Self {
        let named = sets.iter().map(|set| (set.definition.name.name.as_str(), set.as_ref()));
        Self(named.collect())
    }

    /// The groups in which a threshold's metric has samples.
    fn groups(&self, threshold: &Threshold) -> BTreeSet<Group<'a>> {
        let Some(set) = self.0.get(threshold.metric.as_str()).copied() else {
            return BTreeSet::new();
        };
        let (by, only) = (places(set, threshold.by.iter()), places(set, threshold.only.keys()));
        let counts = |labels: &&Vec<String>| {
            let wanted = only.iter().zip(threshold.only.values());
            wanted.into_iter().all(|(at, values)| values.contains(&labels[*at]))
        };
        let labels = set.samples.iter().map(|sample| &sample.labels).filter(counts);
        labels
            .map(|labels| by.iter().map(|at| labels[*at].as_str()).collect())
            .collect()
    }

    /// The sum of a metric's series in a group; none where the metric is not shown or has no series there.
    fn sum(&self, metric: &str, by: &[String], group: &Group<'_>) -> Option<f64> {
        self.sum_of(metric, &BTreeMap::new(), by, group)
    }

    /// The same of those series that have one of the values of `only`.
    fn sum_of(
        &self,
        metric: &str,
        only: &BTreeMap<String, Vec<String>>,
        by: &[String],
        group: &Group<'_>,
    ) -> Option<f64> {
        let set = self.0.get(metric)?;
        let (by, filtered) = (places(set, by.iter()), places(set, only.keys()));
        let is_in = |labels: &[String]| {
            by.iter().zip(group).all(|(at, value)| labels[*at] == **value)
                && filtered
                    .iter()
                    .zip(only.values())
                    .all(|(at, values)| values.contains(&labels[*at]))
        };
        let numbers = set
            .samples
            .iter()
            .filter(|sample| is_in(&sample.labels))
            .map(|sample| match sample.value {
                Value::Number(number) => number,
                Value::Distribution { .. } => 0.0,
            });
        numbers.reduce(|sum, number| sum + number)
    }
}

/// Where labels stand among those of a set.
fn places<'l>(set: &SampleSet, labels: impl Iterator<Item = &'l String>) -> Vec<usize> {
    labels
        .map(|label| {
            let found = set.definition.label_names().position(|name| name == label);
            found.expect("labels were checked against the definition")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::{OPEN_CASES, parse};
    use crate::samples::tests::batch;
    use casewatch_contract::RecordedAt;

    const TIERS: &str = r#"
[[threshold]]
metric = "casewatch_waiting"
by = ["authority"]
where = { state = ["unallocated"] }
tiers = [
  { tier = "warn", severity = "warn", over_share_of = "casewatch_cases_open", share = 0.02, over_days_of_flow = 1.5, flow = "casewatch_opened", at_least = 5 },
  { tier = "page", severity = "page", over = 200 },
]
"#;

    fn metrics() -> Vec<MetricDefinition> {
        let named = |name: &str| parse(&OPEN_CASES.replace("casewatch_cases_open", name)).unwrap();
        ["casewatch_waiting", "casewatch_cases_open", "casewatch_opened"]
            .map(named)
            .into()
    }

    fn read(text: &str) -> Result<Thresholds, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let thresholds = Thresholds::parse(&SourceFile::new("thresholds.toml", text), &metrics(), &mut faults);
        if faults.is_empty() { Ok(thresholds) } else { Err(faults) }
    }

    /// The fault of the file with `from` in it replaced.
    fn refused(from: &str, to: &str) -> String {
        let text = TIERS.replace(from, to);
        assert_ne!(text, TIERS, "the test must change the file");
        let faults = read(&text).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].to_string()
    }

    fn set(metric: usize, values: &[(&str, f64)]) -> Arc<SampleSet> {
        let (states, numbers): (Vec<&str>, Vec<Option<f64>>) = values.iter().map(|(s, n)| (*s, Some(*n))).unzip();
        let definition = Arc::new(metrics().remove(metric));
        Arc::new(SampleSet::from_batches(definition, RecordedAt(0), &[batch(&states, &numbers)]).unwrap())
    }

    fn exported(thresholds: &Thresholds, sets: &[Arc<SampleSet>]) -> Vec<String> {
        let family = thresholds.family(sets);
        let series = family.iter().flat_map(MetricFamily::get_metric).map(|metric| {
            let labels = metric.get_label().iter().filter(|label| !label.value().is_empty());
            let labels: Vec<_> = labels
                .map(|label| format!("{}={}", label.name(), label.value()))
                .collect();
            format!("{} {}", labels.join(","), metric.get_gauge().value())
        });
        series.collect()
    }

    #[test]
    fn bounds_of_a_whole_authority_rise_and_stand_without_what_they_are_relative_to() {
        let overridden = "\n[[threshold.overrides]]\nauthority = \"south\"\ntiers = [{ tier = \"warn\", severity = \"warn\", over = 80 }]\n";
        let thresholds = read(&(TIERS.to_owned() + overridden)).unwrap();
        let bounds = |tier: &str, authority: &str, total: Option<f64>| -> Vec<(String, f64)> {
            let found = thresholds.bounds_of("casewatch_waiting", tier, authority, &|_| total);
            found.into_iter().map(|it| (it.tier, it.bound)).collect()
        };
        let tiers = |names: &[(&str, f64)]| {
            names
                .iter()
                .map(|(name, at)| ((*name).to_owned(), *at))
                .collect::<Vec<_>>()
        };
        // 2 % of 20,000 is 400, a day and a half of them far more.
        let both = tiers(&[("page", 200.0), ("warn", 400.0)]);
        assert_eq!(bounds("warn", "north", Some(20_000.0)), both);
        assert_eq!(
            bounds("page", "north", None),
            tiers(&[("page", 200.0)]),
            "its own alone"
        );
        assert_eq!(bounds("warn", "south", None), tiers(&[("warn", 80.0)]));
        assert!(bounds("nightly", "north", Some(1.0)).is_empty());
        let known: Vec<&str> = thresholds.tiers_of("casewatch_waiting").collect();
        assert_eq!(known, ["warn", "page"]);
        let relative: Vec<&str> = thresholds.relative_to("casewatch_waiting").collect();
        assert_eq!(relative, ["casewatch_cases_open", "casewatch_opened"]);
    }

    #[test]
    fn any_bound_is_enough_none_goes_below_at_least_and_a_sum_is_over_the_labels_that_are_not_judged_by() {
        let thresholds = read(TIERS).unwrap();
        let waiting = set(0, &[("unallocated", 7.0)]);
        let open = set(1, &[("allocated", 900.0), ("unallocated", 100.0)]);
        let page = "authority=north,metric=casewatch_waiting,severity=page,tier=page 200";
        let warn = |bound: &str| format!("authority=north,metric=casewatch_waiting,severity=warn,tier=warn {bound}");
        for (flow, expected) in [(10.0, "15"), (100.0, "20"), (1.0, "5")] {
            let sets = [waiting.clone(), open.clone(), set(2, &[("any", flow)])];
            assert_eq!(
                exported(&thresholds, &sets),
                [warn(expected), page.to_owned()],
                "{flow} a day"
            );
        }
        assert_eq!(
            exported(&thresholds, &[waiting.clone(), open]),
            [warn("20"), page.to_owned()],
            "no flow is shown"
        );
        assert_eq!(
            exported(&thresholds, &[waiting]),
            [page],
            "a tier without a bound is not exported"
        );
        assert!(
            exported(&thresholds, &[set(0, &[("other", 7.0)])]).is_empty(),
            "no series that counts"
        );
    }

    #[test]
    fn a_tier_is_reached_by_the_series_that_it_counts_and_by_no_other() {
        let thresholds = read(TIERS).unwrap();
        let reached = |unallocated: f64| -> Vec<String> {
            let sets = [set(0, &[("unallocated", unallocated), ("other", 1000.0)])];
            let judged = thresholds.judged(&sets);
            assert!(judged.iter().all(|tier| tier.value == Some(unallocated)), "{judged:?}");
            let reached = judged.into_iter().filter(JudgedTier::is_reached);
            reached
                .map(|tier| format!("{} {} over {}", tier.group["authority"], tier.tier, tier.bound))
                .collect()
        };
        assert!(reached(200.0).is_empty(), "at the bound is not above it");
        assert_eq!(reached(201.0), ["north page over 200"]);
        assert!(thresholds.judges(
            "casewatch_waiting",
            &[("state".to_owned(), vec!["unallocated".to_owned()])].into()
        ));
        assert!(!thresholds.judges("casewatch_waiting", &BTreeMap::new()));
    }

    #[test]
    fn an_override_stands_in_place_of_the_common_tiers_of_its_authority_alone() {
        let text = format!(
            "{TIERS}[[threshold.overrides]]\nauthority = \"north\"\ntiers = [{{ tier = \"own\", severity = \"info\", over = 30 }}]\n"
        );
        let sets = [set(0, &[("unallocated", 7.0)])];
        let own = ["authority=north,metric=casewatch_waiting,severity=info,tier=own 30"];
        assert_eq!(exported(&read(&text).unwrap(), &sets), own);
        let elsewhere = text.replace("authority = \"north\"", "authority = \"south\"");
        let page = ["authority=north,metric=casewatch_waiting,severity=page,tier=page 200"];
        assert_eq!(exported(&read(&elsewhere).unwrap(), &sets), page);
    }

    #[test]
    fn what_the_catalogue_does_not_have_is_refused_with_its_place() {
        let fault = refused("metric = \"casewatch_waiting\"", "metric = \"casewatch_waitin\"");
        assert!(
            fault.starts_with("thresholds.toml:3:11: error: no metric is called \"casewatch_waitin\""),
            "{fault}"
        );
        assert!(fault.contains("did you mean \"casewatch_waiting\"?"), "{fault}");
        for (from, to, message) in [
            (
                "\"casewatch_cases_open\"",
                "\"nothing\"",
                "no metric is called \"nothing\"",
            ),
            ("{ state", "{ stat", "casewatch_waiting has no label \"stat\""),
            ("[\"authority\"]", "[\"state\"]", "a tier cannot be judged by \"state\""),
            ("share = 0.02, ", "", "over_share_of and share go together"),
            (
                ", flow = \"casewatch_opened\"",
                "",
                "over_days_of_flow and flow go together",
            ),
            (", over = 200", "", "the tier has no bound"),
            (
                "tier = \"page\"",
                "tier = \"warn\"",
                "tier \"warn\" of casewatch_waiting stands twice",
            ),
            ("over = 200", "above = 200", "unknown field `above`"),
            ("\"page\", over", "\"red\", over", "unknown variant `red`"),
        ] {
            let fault = refused(from, to);
            assert!(fault.contains(message), "{message}: {fault}");
            assert!(!fault.contains("toml:1:1:"), "it says where: {fault}");
        }
    }

    #[test]
    fn without_a_file_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut faults = Vec::new();
        assert!(Thresholds::load(folder.path(), &metrics(), &mut faults).0.is_empty() && faults.is_empty());
    }
}
