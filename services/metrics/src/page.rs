//! The page of all metrics: what each means, what makes it, what it rests on, and from when it is too much. Made from
//! the files that make the numbers, so that it cannot say anything else than they do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::catalogue::Catalogue;
use crate::check::{Checked, ReadyQuery};
use crate::definition::{MetricDefinition, ViewDefinition};
use crate::formula::ParsedViews;
use crate::lineage::scanned_tables;

/// The page as Markdown, with links relative to the directory of queries, where it is kept.
pub fn page(checked: &Checked, directory: &Path) -> String {
    Page::new(checked, directory).text()
}

struct Page<'a> {
    catalogue: &'a Catalogue,
    directory: &'a Path,
    views: BTreeMap<String, &'a ViewDefinition>,
    /// What each view reads itself.
    scans: &'a BTreeMap<String, BTreeSet<String>>,
    parsed: ParsedViews,
    themes: BTreeMap<String, Vec<&'a ReadyQuery>>,
}

impl<'a> Page<'a> {
    fn new(checked: &'a Checked, directory: &'a Path) -> Self {
        let catalogue = checked.catalogue.as_ref();
        let views = catalogue.views.iter();
        let mut themes: BTreeMap<String, Vec<&ReadyQuery>> = BTreeMap::new();
        for ready in &checked.queries {
            let theme = theme_of(&ready.query.definition, directory);
            themes.entry(theme).or_default().push(ready);
        }
        for metrics in themes.values_mut() {
            metrics.sort_by(|a, b| a.query.name().cmp(b.query.name()));
        }
        Self {
            catalogue,
            directory,
            views: views.clone().map(|view| (view.qualified_name(), view)).collect(),
            scans: &checked.scans,
            parsed: ParsedViews::new(views.map(|view| (view.qualified_name(), view.file.text.as_ref()))),
            themes,
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "<!-- Written by `casewatch catalogue --write queries/METRICS.md`: change the SQL files instead. -->\n\
             # Every metric\n\
             What each number means, what makes it and what it rests on, as the files of this folder say it. A formula is the\n\
             expression that makes the value, followed through the views to where it is more than a name. A metric is absent\n\
             while a table that it needs was never supplied. [README.md](README.md) says how to add one.\n\n",
        );
        for (theme, metrics) in &self.themes {
            let names = metrics.iter().map(|ready| link(ready.query.name()));
            push(
                &mut text,
                format_args!("- **[{}](#{})**: ", title(theme), anchor(&title(theme))),
            );
            push(&mut text, format_args!("{}\n", names.collect::<Vec<_>>().join(", ")));
        }
        push(
            &mut text,
            format_args!("- **[Views](#views)**: the definitions beneath\n"),
        );
        for (theme, metrics) in &self.themes {
            push(&mut text, format_args!("\n## {}\n", title(theme)));
            metrics.iter().for_each(|ready| self.metric(&mut text, ready));
        }
        text.push_str("\n## Views\nIn order of name: what a row is, why it stands, and what it reads.\n");
        self.views
            .iter()
            .for_each(|(name, view)| self.view(&mut text, name, view));
        text
    }

    fn metric(&self, text: &mut String, ready: &ReadyQuery) {
        let definition = ready.query.definition.as_ref();
        let name = ready.query.name();
        push(text, format_args!("\n### {name}\n{}\n\n", definition.help));
        let mut line = |what: &str, value: String| push(text, format_args!("- {what}: {value}\n"));
        line("formula", self.formula(definition));
        line("unit", format!("{} ({})", definition.unit, definition.kind));
        line("labels", code_list(definition.label_names()));
        line("published as", definition.publication.to_string());
        let scanned = scanned_tables(ready.prepared.logical_plan());
        line("reads", self.names(&scanned));
        let tables = ready.query.reads.iter().map(|table| table.as_str());
        line("tables beneath", code_list(tables));
        line(
            "needs",
            code_list(definition.needs.iter().map(|need| need.name.as_str())),
        );
        line("source", definition.source.clone());
        line("owner", definition.owner.clone());
        for threshold in self.catalogue.thresholds.told(name) {
            line("threshold", threshold);
        }
        let budget = format!(
            "at most {} series, gone {} after the last good run",
            definition.max_series,
            duration(definition.stale_after.as_secs())
        );
        line("limits", budget);
        let path = self.relative(&definition.file.path);
        line("file", format!("[{path}]({path})"));
    }

    fn formula(&self, definition: &MetricDefinition) -> String {
        let Some(formula) = self.parsed.formula(definition.sql(), &definition.value.name) else {
            return "see its file".to_owned();
        };
        let place = formula
            .view
            .map_or(String::new(), |view| format!(" in {}", self.name(&view)));
        let parts = match formula.parts {
            1 => String::new(),
            parts => format!(", the first of {parts} that are put together"),
        };
        format!("`{}`{place}{parts}", formula.expression.replace('`', "'"))
    }

    fn view(&self, text: &mut String, name: &str, view: &ViewDefinition) {
        push(
            text,
            format_args!("\n### {name}\nA row is {}. {}\n\n", view.row, view.why),
        );
        if let Some(scanned) = self.scans.get(name).filter(|scanned| !scanned.is_empty()) {
            push(text, format_args!("- reads: {}\n", self.names(scanned)));
        }
        let path = self.relative(&view.file.path);
        push(text, format_args!("- file: [{path}]({path})\n"));
    }

    fn names(&self, names: &BTreeSet<String>) -> String {
        let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
        or_none(names.join(", "))
    }

    /// A view is linked, a table is not on this page.
    fn name(&self, name: &str) -> String {
        match self.views.contains_key(name) {
            true => link(name),
            false => format!("`{name}`"),
        }
    }

    fn relative(&self, path: &str) -> String {
        let path = Path::new(path);
        path.strip_prefix(self.directory).unwrap_or(path).display().to_string()
    }
}

/// The folder of `metrics/` that a file stands in.
fn theme_of(definition: &MetricDefinition, directory: &Path) -> String {
    let path = Path::new(definition.file.path.as_ref());
    let inside = path.strip_prefix(directory.join("metrics")).unwrap_or(path);
    let folder = inside.parent().map(|folder| folder.display().to_string());
    folder
        .filter(|folder| !folder.is_empty())
        .unwrap_or_else(|| "others".to_owned())
}

fn title(theme: &str) -> String {
    let words = theme.replace(['_', '/'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// As Markdown readers make an anchor out of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn link(name: &str) -> String {
    format!("[`{name}`](#{})", anchor(name))
}

fn code_list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    or_none(names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

fn duration(seconds: u64) -> String {
    match seconds {
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const TIERS: &str = "[[threshold]]\nmetric = \"casewatch_cases_open\"\nby = [\"authority\"]\n\
         where = { state = [\"unallocated\"] }\n\
         tiers = [{ tier = \"warn\", severity = \"warn\", over_share_of = \"casewatch_cases_open\", share = 0.02, at_least = 5 }]\n\
         [[threshold.overrides]]\nauthority = \"north\"\ntiers = [{ tier = \"warn\", severity = \"page\", over = 30 }]\n";

    #[tokio::test]
    async fn a_metric_is_told_with_its_formula_lineage_and_thresholds() {
        let metric = crate::definition::tests::OPEN_CASES;
        let fixture = Fixture::new(&[
            ("metrics/front_door/cases_open.sql", metric),
            ("thresholds.toml", TIERS),
        ]);
        std::fs::remove_file(fixture.path().join("metrics/cases_open.sql")).unwrap();
        let page = page(&fixture.checked().await, fixture.path());
        let expected = "\
- **[Front door](#front-door)**: [`casewatch_cases_open`](#casewatch_cases_open)
- **[Views](#views)**: the definitions beneath

## Front door

### casewatch_cases_open
Open cases in each allocation state.

- formula: `count(*)`
- unit: cases (gauge)
- labels: `authority`, `state`
- published as: withheld
- reads: [`allocation_state`](#allocation_state)
- tables beneath: `allocations`, `cases`
- needs: `cases`, `allocations`
- source: DOMAIN, allocation states
- owner: performance team
- threshold: warn (warn) above 2 % of casewatch_cases_open, at least 5; by authority, where state is unallocated
- threshold: for authority north instead: warn (page) above 30
- limits: at most 2000 series, gone 5 min after the last good run
- file: [metrics/front_door/cases_open.sql](metrics/front_door/cases_open.sql)

## Views
In order of name: what a row is, why it stands, and what it reads.

### allocation_state
A row is an open case and its state. for tests

- reads: `allocations`, `cases`
- file: [views/allocation_state.sql](views/allocation_state.sql)
";
        assert!(page.ends_with(expected), "{page}");
    }
}
