//! Every panel and every variable of the Grafana dashboards, asked of a real Prometheus that scrapes a real run: what
//! finds nothing, names what does not exist, or says nothing about itself is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use casewatch_tests::casewatch::run;
use casewatch_tests::{Casewatch, Config, Feed, Kafka, Prometheus, alone, root, until};
use serde_json::Value;

const PREFIX: &str = "casewatch.public.";
const PATIENCE: Duration = Duration::from_secs(120);
/// Labels that are not the exported metrics' own.
const OF_HISTOGRAMS: [&str; 1] = ["le"];

fn dashboards() -> Vec<(PathBuf, Value)> {
    let folder = root().join("deploy/grafana/dashboards");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(folder).expect("the dashboards are there") {
        for file in std::fs::read_dir(folder.expect("a folder can be listed").path()).expect("a folder of Grafana") {
            let path = file.expect("a folder can be listed").path();
            let text = std::fs::read_to_string(&path).expect("a dashboard is text");
            found.push((path, serde_json::from_str(&text).expect("a dashboard is JSON")));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Values of the variables so far, as Grafana puts "All" or the first of a list into a query.
#[derive(Default)]
struct Chosen(BTreeMap<String, String>);

impl Chosen {
    fn fill(&self, query: &str) -> String {
        let mut filled = query.replace("$__rate_interval", "10m");
        for (name, value) in &self.0 {
            filled = filled.replace(&format!("${name}"), value);
        }
        assert!(
            !filled.contains('$'),
            "a variable that the dashboard does not have: {query}"
        );
        filled
    }

    /// Asks for `label_values(selector, label)` as Grafana does.
    fn choose(&mut self, prometheus: &Prometheus, variable: &Value, faults: &mut Vec<String>) {
        let name = text(variable, "/name");
        let query = self.fill(text(variable, "/query/query"));
        let inner = query.trim_start_matches("label_values(").trim_end_matches(')');
        let (selector, label) = inner.rsplit_once(", ").expect("label_values(selector, label)");
        let encoded: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = prometheus.get(&format!("/api/v1/label/{label}/values?match[]={encoded}"));
        let values: Vec<&str> = list(&answer, "data").filter_map(Value::as_str).collect();
        if values.is_empty() {
            faults.push(format!("variable {name} finds nothing: {query}"));
        }
        let chosen = if variable["multi"] == true {
            format!("({})", values.join("|"))
        } else {
            values.last().copied().unwrap_or_default().to_owned()
        };
        self.0.insert(name.to_owned(), chosen);
    }
}

/// Names in an expression that can be metrics: words of letters, digits and underscores before `{`, `[`, `)` or a space.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words
        .filter(|word| word.starts_with("casewatch_") || word.starts_with("process_"))
        .collect()
}

/// Labels that an expression groups or selects by.
fn labels_in(expression: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    for group in expression.split("by (").skip(1) {
        let group = group.split(')').next().unwrap_or_default();
        labels.extend(group.split(',').map(str::trim));
    }
    for selector in expression.split('{').skip(1) {
        let selector = selector.split('}').next().unwrap_or_default();
        let conditions = selector.split("\", ").map(str::trim);
        labels.extend(conditions.filter_map(|condition| condition.split(['=', '!']).next()));
    }
    labels.remove("");
    labels
}

/// The labels that a metric has in this Prometheus; none if it does not exist.
fn exported_labels(prometheus: &Prometheus, metric: &str) -> BTreeSet<String> {
    let answer = prometheus.get(&format!("/api/v1/labels?match[]={metric}"));
    list(&answer, "data")
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// What is wrong with a query, if anything. A counter of mishaps is there from the first one on, and its query brings its
/// own zero until then: its labels are held by the generator alone.
fn judge(prometheus: &Prometheus, expression: &str) -> Option<String> {
    let mut known: BTreeSet<String> = OF_HISTOGRAMS.iter().map(|label| (*label).to_owned()).collect();
    for metric in metrics_in(expression) {
        known.extend(exported_labels(prometheus, metric));
    }
    let is_of_mishaps = expression.contains(" or 0 * ");
    let unknown = labels_in(expression)
        .into_iter()
        .find(|label| !known.contains(*label) && !is_of_mishaps);
    if let Some(label) = unknown {
        return Some(format!("no metric in it has the label {label}"));
    }
    let found = prometheus.query(expression);
    let any = found.iter().any(|(_, value)| value.is_finite());
    (!any).then(|| "it finds nothing".to_owned())
}

fn simulate(kafka: &Kafka, from: Option<&str>, until: &str) {
    let mut arguments = vec!["simulate", "--brokers", kafka.brokers()];
    arguments.extend(["--topic-prefix", PREFIX, "--until", until]);
    arguments.extend(from.iter().flat_map(|day| ["--from", day]));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_panel_and_every_variable_finds_what_it_asks_for_and_says_what_it_is() {
    let _alone = alone();
    let kafka = Kafka::start();
    simulate(&kafka, None, "2018-05-31");
    let config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    let prometheus = Prometheus::start(&casewatch.address(), &[]);
    until("Prometheus to have scraped", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let seen = prometheus.query("casewatch_cases_no_holder");
        if seen.is_empty() {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    });
    // What counts has to count while it is looked at.
    simulate(&kafka, Some("2018-06-01"), "2018-06-15");
    until("Prometheus to hold numbers that were counted twice", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let counted = prometheus.query("count_over_time(casewatch_cases_no_holder[5m]) > 5");
        let flushed = prometheus.query("rate(casewatch_flush_seconds_count[10m]) > 0");
        if counted.is_empty() || flushed.is_empty() {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    });

    let (mut faults, mut panels_seen, mut queries) = (Vec::new(), 0, 0);
    for (path, dashboard) in dashboards() {
        let page = text(&dashboard, "/title").to_owned();
        assert!(
            !page.is_empty() && !text(&dashboard, "/uid").is_empty(),
            "{}",
            path.display()
        );
        let mut chosen = Chosen::default();
        for variable in list(&dashboard["templating"], "list").filter(|variable| variable["type"] == "query") {
            chosen.choose(&prometheus, variable, &mut faults);
        }
        for panel in list(&dashboard, "panels").filter(|panel| panel["type"] != "row") {
            panels_seen += 1;
            let title = format!("{page}: {}", text(panel, "/title"));
            for (what, value) in [
                ("title", text(panel, "/title")),
                ("description", text(panel, "/description")),
                ("unit", text(panel, "/fieldConfig/defaults/unit")),
            ] {
                if value.is_empty() {
                    faults.push(format!("{title}: it has no {what}"));
                }
            }
            if text(panel, "/fieldConfig/defaults/noValue") != "unknown" {
                faults.push(format!("{title}: without data it does not say that it is unknown"));
            }
            let targets: Vec<_> = list(panel, "targets").collect();
            if targets.is_empty() {
                faults.push(format!("{title}: it asks for nothing"));
            }
            for target in targets {
                queries += 1;
                let expression = chosen.fill(text(target, "/expr"));
                if let Some(fault) = judge(&prometheus, &expression) {
                    faults.push(format!("{title}: {fault}: {expression}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    println!("{queries} queries of {panels_seen} panels");
    assert!(panels_seen > 150, "{panels_seen} panels");
}
