//! An explanation for people.

use std::fmt::{Arguments, Write as _};

use casewatch_metrics::{Explanation, Input};

use super::now::Now;

/// So many samples are shown to people; JSON has all.
const SHOWN: usize = 40;

/// `place` are the options by which `casewatch sql` reaches the same rows.
pub fn text(explanation: &Explanation, now: &Now, place: &str) -> String {
    let mut text = String::new();
    let mut line = |words: Arguments<'_>| {
        text.write_fmt(words).expect("a string takes text");
        text.push('\n');
    };
    let it = explanation;
    line(format_args!("{} ({}, {})", it.metric, it.kind, it.unit));
    line(format_args!("  {}", it.help));
    line(format_args!("  source: {}; owner: {}", it.source, it.owner));
    let labels = it.labels.join(", ");
    line(format_args!("  labels: {labels}; at most {} series", it.max_series));
    line(format_args!("\n{}", it.file));
    for sql in it.sql.lines() {
        line(format_args!("  {sql}"));
    }
    line(format_args!("\nreads"));
    for input in &it.reads {
        tree(input, 1, &mut line);
    }
    let tables = it.tables.iter().map(|used| match used.needed {
        true => format!("{} (without it: absent)", used.table),
        false => used.table.clone(),
    });
    line(format_args!("\ntables: {}", tables.collect::<Vec<_>>().join(", ")));
    if !it.parameters.is_empty() {
        line(format_args!("\nparameters"));
        for (name, value) in &it.parameters {
            line(format_args!("  {name} = {value}"));
        }
    }
    if !it.thresholds.is_empty() {
        line(format_args!("\nthresholds"));
        for tier in &it.thresholds {
            let only = tier
                .only
                .iter()
                .map(|(label, values)| format!(", {label} {}", values.join(" or ")));
            let whose = tier
                .only_for
                .iter()
                .map(|(label, value)| format!(", {label} {value} alone"));
            let by = tier.by.join(", ");
            let conditions: String = only.chain(whose).collect();
            line(format_args!(
                "  {} ({}) by {by}{conditions}: {}",
                tier.tier, tier.severity, tier.bound
            ));
        }
    }
    line(format_args!("\nvalue: {}", now.of));
    for sample in now.samples.iter().take(SHOWN) {
        let labels = sample.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let labels = labels.collect::<Vec<_>>().join(" ");
        line(format_args!("  {labels}  {}", sample.value));
    }
    let more = now.samples.len().saturating_sub(SHOWN);
    if more > 0 {
        line(format_args!(
            "  and {more} more (name labels, or --format json has all)"
        ));
    }
    if let Some(state) = &now.state {
        let told = |key: &str| state[key].as_str().unwrap_or("never").to_owned();
        line(format_args!("  exported: {}, as of {}", told("state"), told("as_of")));
        if let Some(error) = state["error"].as_str() {
            line(format_args!("  its last run failed: {error}"));
        }
        for table in state["degraded"].as_array().into_iter().flatten() {
            line(format_args!(
                "  table {} was never supplied and counts as empty",
                table.as_str().unwrap_or_default()
            ));
        }
    }
    for note in &now.notes {
        line(format_args!("  {note}"));
    }
    line(format_args!(
        "\nthe rows behind it, of which the queries above say which they count"
    ));
    if it.rows.is_empty() {
        line(format_args!(
            "  none: nothing beneath it has a row for a thing of its own"
        ));
    }
    for rows in &it.rows {
        line(format_args!("  {}: {}", rows.view, rows.row));
        line(format_args!(
            "    casewatch sql {place} \"{}\"",
            rows.statement.replace('"', "\\\"")
        ));
        if !rows.not_filtered.is_empty() {
            line(format_args!("    not filtered by {}", rows.not_filtered.join(", ")));
        }
    }
    text
}

fn tree(input: &Input, depth: usize, line: &mut impl FnMut(Arguments<'_>)) {
    let indent = "  ".repeat(depth);
    let above = if input.told_above { " (above)" } else { "" };
    line(format_args!("{indent}{}{above}: {}", input.name, input.row));
    if !input.why.is_empty() {
        line(format_args!("{indent}  - {}", input.why));
    }
    for below in &input.reads {
        tree(below, depth + 1, line);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::now::Sample;
    use super::super::tests::explanation;
    use super::*;

    #[test]
    fn everything_is_told_with_lines_to_copy() {
        let now = Now {
            of: "http://127.0.0.1:9464/, everything read up to 2018-01-31".to_owned(),
            samples: vec![Sample {
                labels: [("authority".to_owned(), "north".to_owned())].into(),
                value: 551.0,
            }],
            state: Some(
                json!({"state": "stale", "as_of": "2018-01-30", "degraded": ["absences"], "error": "too slow"}),
            ),
            notes: vec!["a note".to_owned()],
        };
        let text = text(&explanation(), &now, "--url http://127.0.0.1:9464/");
        for line in [
            "casewatch_open (gauge, cases)",
            "  counts: a row of counts",
            "    rows: a row of rows",
            "  rows (above): a row of rows",
            "tables: things (without it: absent)",
            "  grace = 2",
            "value: http://127.0.0.1:9464/, everything read up to 2018-01-31",
            "  authority=north  551",
            "  exported: stale, as of 2018-01-30",
            "  its last run failed: too slow",
            "  table absences was never supplied and counts as empty",
            "    casewatch sql --url http://127.0.0.1:9464/ \"select * from rows where authority = 'north'\"",
            "    not filtered by team",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
