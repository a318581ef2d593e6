//! What a metric is made of: its definition, the views and tables beneath it, the parameters and thresholds that it
//! depends on, and how to list the rows behind one of its numbers.
//!
//! Everything is read from the plans of the files, as they are checked: an explanation cannot say what the SQL does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use casewatch_contract::Contract;
use casewatch_query::QueryError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};
use serde::Serialize;

use crate::check::{Checked, ReadyQuery};
use crate::lineage::{Lineages, Origins, ViewLineage, scanned_tables};
use crate::thresholds::ToldTier;

/// A label value that stands for all values of the label, on rows for a whole.
const ALL: &str = "all";
const PARAMETER: &str = "parameter";

/// A metric and everything beneath it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    pub metric: String,
    pub kind: String,
    pub help: String,
    pub unit: String,
    pub labels: Vec<String>,
    pub value: String,
    pub source: String,
    pub owner: String,
    pub file: String,
    pub max_series: usize,
    pub stale_after_s: u64,
    pub sql: String,
    /// What the metric's own query reads, and what that reads.
    pub reads: Vec<Input>,
    /// Live tables, through every view.
    pub tables: Vec<TableUse>,
    pub parameters: BTreeMap<String, f64>,
    pub thresholds: Vec<ToldTier>,
    pub rows: Vec<RowsBehind>,
}

/// A view or table that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    pub name: String,
    /// What one row is; of a table, what the table holds.
    pub row: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Told only where the view is met first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Input>,
    /// It stands above already, with what it reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told_above: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableUse {
    pub table: String,
    /// Without it the metric is absent; any other that was never supplied counts as empty.
    pub needed: bool,
}

/// A statement that lists the rows that a number was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowsBehind {
    pub view: String,
    pub row: String,
    pub statement: String,
    /// Labels that were given and that no column of the view stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_filtered: Vec<String>,
}

/// Explains a metric; `labels` choose the series whose rows are to be listed.
///
/// # Errors
/// A plan that cannot be read.
pub async fn explain(
    checked: &Checked,
    ready: &ReadyQuery,
    labels: &BTreeMap<String, String>,
) -> std::result::Result<Explanation, QueryError> {
    let definition = &ready.query.definition;
    let below = Below::of(checked).await?;
    let plan = ready.prepared.logical_plan();
    let needed = |table: &str| definition.needs.iter().any(|need| need.name == table);
    let mut told = BTreeSet::new();
    let reads = scanned_tables(plan);
    let views = below.closure(&reads);
    let mut parameters = parameters_of(plan)?;
    for view in &views {
        parameters.extend(
            below
                .views
                .get(view)
                .into_iter()
                .flat_map(|view| view.parameters.clone()),
        );
    }
    let values: BTreeMap<&str, f64> = checked.engine.parameters().collect();
    Ok(Explanation {
        metric: definition.name.name.clone(),
        kind: definition.kind.to_string(),
        help: definition.help.clone(),
        unit: definition.unit.clone(),
        labels: definition.label_names().map(str::to_owned).collect(),
        value: definition.value.name.clone(),
        source: definition.source.clone(),
        owner: definition.owner.clone(),
        file: definition.file.path.to_string(),
        max_series: definition.max_series,
        stale_after_s: definition.stale_after.as_secs(),
        sql: body(definition.sql(), definition.body_line),
        tables: ready
            .query
            .reads
            .iter()
            .map(|table| TableUse {
                needed: needed(table),
                table: table.to_string(),
            })
            .collect(),
        parameters: parameters
            .into_iter()
            .filter_map(|name| Some((values.get(name.as_str()).copied()?, name)))
            .map(|(value, name)| (name, value))
            .collect(),
        thresholds: checked.catalogue.thresholds.told_of(&definition.name.name),
        rows: below.rows_behind(plan, &reads, labels)?,
        reads: reads.iter().map(|name| below.input(name, &mut told)).collect(),
    })
}

/// The query without its header.
fn body(text: &str, body_line: usize) -> String {
    let lines: Vec<&str> = text.lines().skip(body_line.saturating_sub(1)).collect();
    lines.join("\n").trim().trim_end_matches(';').to_owned()
}

/// Names of the parameters that a plan asks for.
pub(crate) fn parameters_of(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::ScalarFunction(function) = expression
                    && function.name() == PARAMETER
                    && let Some(Expr::Literal(ScalarValue::Utf8(Some(name)), _)) = function.args.first()
                {
                    names.insert(name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}

/// A view of the catalogue, as far as an explanation needs it.
struct View {
    row: String,
    why: String,
    scans: BTreeSet<String>,
    parameters: BTreeSet<String>,
    columns: ViewLineage,
}

/// What lies beneath the metrics.
struct Below {
    contract: Arc<Contract>,
    lineages: Lineages,
    views: BTreeMap<String, View>,
}

impl Below {
    async fn of(checked: &Checked) -> std::result::Result<Self, QueryError> {
        let mut below = Self {
            contract: Arc::clone(checked.engine.contract()),
            lineages: Lineages::default(),
            views: BTreeMap::new(),
        };
        let files: BTreeMap<String, _> = checked
            .catalogue
            .views
            .iter()
            .map(|view| (view.qualified_name(), view))
            .collect();
        for name in checked.engine.views() {
            let Some(file) = files.get(name) else { continue };
            let prepared = checked.engine.prepare(&file.file.text).await?;
            let plan = prepared.logical_plan();
            below.lineages.add_view(name, plan)?;
            let view = View {
                row: file.row.clone(),
                why: file.why.clone(),
                scans: scanned_tables(plan),
                parameters: parameters_of(plan)?,
                columns: below.lineages.columns(plan)?,
            };
            below.views.insert(name.to_owned(), view);
        }
        Ok(below)
    }

    /// Everything below `reads`, those included.
    fn closure(&self, reads: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&String> = reads.iter().collect();
        while let Some(name) = open.pop() {
            if all.insert(name.clone()) {
                open.extend(self.views.get(name).into_iter().flat_map(|view| &view.scans));
            }
        }
        all
    }

    fn input(&self, name: &str, told: &mut BTreeSet<String>) -> Input {
        let view = self.views.get(name);
        let is_new = told.insert(name.to_owned());
        let row = match view {
            Some(view) => view.row.clone(),
            None => self
                .contract
                .table(name)
                .map_or_else(String::new, |table| table.doc.clone()),
        };
        Input {
            name: name.to_owned(),
            row,
            why: view
                .filter(|_| is_new)
                .map_or_else(String::new, |view| view.why.clone()),
            reads: match view.filter(|_| is_new) {
                Some(view) => view.scans.iter().map(|name| self.input(name, told)).collect(),
                None => Vec::new(),
            },
            told_above: !is_new && view.is_some(),
        }
    }

    /// The views or tables nearest to the metric of which a row is a thing that somebody can look up, not a sum.
    fn rows_behind(
        &self,
        metric: &LogicalPlan,
        reads: &BTreeSet<String>,
        labels: &BTreeMap<String, String>,
    ) -> std::result::Result<Vec<RowsBehind>, QueryError> {
        let of_labels = self.lineages.columns(metric)?;
        let mut level = reads.clone();
        let mut seen = BTreeSet::new();
        while !level.is_empty() {
            let rows: Vec<RowsBehind> = level
                .iter()
                .filter_map(|name| self.listing(name, &of_labels, labels))
                .collect();
            if !rows.is_empty() {
                return Ok(rows);
            }
            let next = level.iter().filter_map(|name| self.views.get(name));
            let next: BTreeSet<String> = next.flat_map(|view| view.scans.iter().cloned()).collect();
            seen.extend(level);
            level = next.difference(&seen).cloned().collect();
        }
        Ok(Vec::new())
    }

    /// How to list a view or table; none where its rows are sums.
    fn listing(&self, name: &str, of_labels: &ViewLineage, labels: &BTreeMap<String, String>) -> Option<RowsBehind> {
        let (columns, row) = match (self.views.get(name), self.contract.table(name)) {
            (Some(view), _) => (view.columns.clone(), view.row.clone()),
            (None, Some(table)) => {
                let own = |column: &str| crate::lineage::Origin {
                    table: name.to_owned(),
                    column: column.to_owned(),
                };
                let columns = table.columns.iter();
                let columns = columns.map(|column| (column.name.clone(), [own(&column.name)].into()));
                (columns.collect(), table.doc.clone())
            }
            (None, None) => return None,
        };
        if !columns.values().any(|origins| self.names_a_row(origins)) {
            return None;
        }
        let (mut conditions, mut not_filtered) = (Vec::new(), Vec::new());
        for (label, value) in labels.iter().filter(|(_, value)| *value != ALL) {
            match column_of(label, of_labels.get(label), &columns) {
                Some(column) => conditions.push(format!("{} = '{}'", identifier(column), value.replace('\'', "''"))),
                None => not_filtered.push(label.clone()),
            }
        }
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", conditions.join(" and ")),
        };
        Some(RowsBehind {
            view: name.to_owned(),
            row,
            statement: format!("select * from {name}{filter}"),
            not_filtered,
        })
    }

    /// Whether a column with these origins says which row of a table it is about: not where the table's keys may label a
    /// series, for then its rows are what figures are given for.
    fn names_a_row(&self, origins: &Origins) -> bool {
        origins.iter().any(|origin| {
            let table = self.contract.table(&origin.table).filter(|table| !table.label_safe);
            table.is_some_and(|table| table.key_columns().any(|column| column.name == origin.column))
        })
    }
}

/// The column that a label stands for: of its name, of the name of an identifier, or the only one of its origins.
fn column_of<'a>(label: &str, origins: Option<&Origins>, columns: &'a ViewLineage) -> Option<&'a str> {
    let identifier = format!("{label}_id");
    for name in [label, &identifier] {
        if let Some((name, _)) = columns.get_key_value(name) {
            return Some(name);
        }
    }
    let origins = origins.filter(|origins| !origins.is_empty())?;
    let mut alike = columns.iter().filter(|(_, of)| *of == origins);
    let (name, _) = alike.next()?;
    alike.next().is_none().then_some(name)
}

/// A name as SQL takes it, quoted only where it must be.
fn identifier(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const COUNTS: &str = "\
-- name: state_counts
-- row: a state and its cases
-- why: counted once
select authority, state, count(*) as cases from allocation_state
where parameter('grace_workdays') >= 0 group by authority, state
";
    const METRIC: &str = "\
-- name: casewatch_cases_counted
-- kind: gauge
-- help: Open cases.
-- unit: cases
-- labels: authority, condition
-- value: cases
-- needs: cases
-- source: DOMAIN
-- owner: performance team
select c.authority, c.state as condition, c.cases from state_counts c
join (select distinct authority from allocation_state) a on a.authority = c.authority
";
    const THRESHOLDS: &str = "\
[[threshold]]
metric = \"casewatch_cases_counted\"
by = [\"authority\"]
tiers = [{ tier = \"warn\", severity = \"warn\", over_share_of = \"casewatch_cases_open\", share = 0.07, at_least = 5 }]
[[threshold.overrides]]
authority = \"north\"
tiers = [{ tier = \"page\", severity = \"page\", over = 80 }]
";

    async fn explained(metric: &str, labels: &[(&str, &str)]) -> Explanation {
        let fixture = Fixture::new(&[
            ("views/state_counts.sql", COUNTS),
            ("metrics/counted.sql", METRIC),
            ("thresholds.toml", THRESHOLDS),
            ("parameters.toml", "grace_workdays = 2\nother = 3\n"),
        ]);
        let checked = fixture.checked().await;
        let ready = checked
            .queries
            .iter()
            .find(|ready| ready.query.name() == metric)
            .unwrap();
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        explain(&checked, ready, &labels.collect()).await.unwrap()
    }

    #[tokio::test]
    async fn the_views_beneath_are_told_once_each_with_what_a_row_is_and_why() {
        let found = explained("casewatch_cases_counted", &[]).await;
        assert!(found.sql.starts_with("select c.authority") && found.help == "Open cases.");
        let names: Vec<_> = found.reads.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["allocation_state", "state_counts"]);
        let [state, counts] = &found.reads[..] else { panic!() };
        assert_eq!(
            (counts.row.as_str(), counts.why.as_str()),
            ("a state and its cases", "counted once")
        );
        assert!(state.reads.iter().any(|input| input.name == "cases") && !state.told_above);
        assert!(counts.reads[0].told_above && counts.reads[0].reads.is_empty());
        let tables: Vec<_> = found
            .tables
            .iter()
            .map(|used| (used.table.as_str(), used.needed))
            .collect();
        assert_eq!(tables, [("allocations", false), ("cases", true)]);
    }

    #[tokio::test]
    async fn parameters_are_those_that_any_view_asks_for() {
        let found = explained("casewatch_cases_counted", &[]).await;
        assert_eq!(found.parameters, [("grace_workdays".to_owned(), 2.0)].into());
        assert!(explained("casewatch_cases_open", &[]).await.parameters.is_empty());
    }

    #[tokio::test]
    async fn tiers_are_told_with_their_bounds_in_words() {
        let found = explained("casewatch_cases_counted", &[]).await;
        let told: Vec<_> = found
            .thresholds
            .iter()
            .map(|tier| (tier.tier.as_str(), tier.only_for.len(), tier.bound.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("warn", 0, "over 7 % of casewatch_cases_open, at least 5"),
                ("page", 1, "over 80")
            ]
        );
    }

    #[tokio::test]
    async fn the_rows_are_of_the_nearest_view_that_is_no_sum_filtered_by_the_labels() {
        let labels = [("authority", "north's"), ("condition", "allocated"), ("other", "x")];
        let found = explained("casewatch_cases_counted", &labels).await;
        let [rows] = &found.rows[..] else {
            panic!("{:?}", found.rows)
        };
        assert_eq!(rows.view, "allocation_state");
        assert!(
            rows.statement
                .starts_with("select * from allocation_state where authority = 'north''s'"),
            "{}",
            rows.statement
        );
        assert_eq!(rows.not_filtered.last().map(String::as_str), Some("other"));
        let whole = explained("casewatch_cases_counted", &[("authority", ALL)]).await;
        assert_eq!(whole.rows[0].statement, "select * from allocation_state");
    }
}
