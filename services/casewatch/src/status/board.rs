//! A status as a headline and a few tables, for the terminal's view and for plain text alike.

use chrono::{DateTime, TimeDelta, Utc};

use super::seen::{Seen, State};

/// How many queries and troubles are listed.
const MOST_LINES: usize = 8;

#[derive(Debug)]
pub struct Board {
    pub state: State,
    pub headline: String,
    pub facts: Vec<String>,
    pub blocks: Vec<Block>,
}

#[derive(Debug)]
pub struct Block {
    pub title: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Board {
    pub fn of(seen: &Seen, url: &str, now: DateTime<Utc>) -> Self {
        let state = seen.state(now);
        let blocks = [
            tables(seen, now),
            sources(seen, now),
            halted(seen),
            queries(seen),
            troubles(seen, now),
        ];
        Self {
            state,
            headline: format!("casewatch {} at {url}: {}", seen.version, state.word()),
            facts: facts(seen, now),
            blocks: blocks.into_iter().filter(|block| !block.rows.is_empty()).collect(),
        }
    }

    /// For a pipe, a file or one look.
    pub fn text(&self) -> String {
        let mut text = self.headline.clone() + "\n";
        self.facts.iter().for_each(|fact| text.push_str(&format!("{fact}\n")));
        for block in &self.blocks {
            text.push_str(&format!("\n{}\n", block.title));
            let widths = block.widths();
            let heads = block
                .columns
                .iter()
                .map(|column| (*column).to_owned())
                .collect::<Vec<_>>();
            for row in [&heads].into_iter().chain(&block.rows) {
                let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
                text.push_str(&format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end()));
            }
        }
        text
    }
}

impl Block {
    /// Of its columns, in characters.
    pub fn widths(&self) -> Vec<usize> {
        let of = |index: usize| {
            let cells = self.rows.iter().map(|row| row[index].chars().count());
            cells.chain([self.columns[index].chars().count()]).max().unwrap_or(0)
        };
        (0..self.columns.len()).map(of).collect()
    }
}

fn facts(seen: &Seen, now: DateTime<Utc>) -> Vec<String> {
    let mut facts = seen.reasons.clone();
    facts.extend(
        seen.refused_reload
            .iter()
            .map(|why| format!("the queries on disk are refused: {why}")),
    );
    let mut about = Vec::new();
    if !seen.roles.is_empty() {
        about.push(format!("roles {}", seen.roles.join(", ")));
    }
    about.extend(seen.started_at.map(|at| format!("up {}", span(now - at))));
    about.extend(
        seen.live
            .mean_freshness_seconds
            .map(|mean| format!("fresh in {mean:.2} s on average")),
    );
    about.extend(seen.live.bytes.map(|bytes| format!("live tables {} MiB", bytes >> 20)));
    about.extend(
        seen.live
            .waiting_rows
            .filter(|rows| *rows > 0)
            .map(|rows| format!("{rows} rows wait for the cut")),
    );
    facts.push(about.join(" | "));
    let moment =
        |name: &str, at: Option<DateTime<Utc>>| at.map(|at| format!("{name} {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
    let moments = [moment("complete up to", seen.cut), moment("numbers as of", seen.as_of)];
    let mut moments: Vec<String> = moments.into_iter().flatten().collect();
    if !seen.catalogue.is_empty() {
        let shown = seen.queries.iter().filter(|query| query.state == "ok").count();
        moments.push(format!(
            "{shown} of {} queries ok, definitions {}",
            seen.queries.len(),
            seen.catalogue
        ));
    }
    facts.push(moments.join(" | "));
    facts.retain(|fact| !fact.is_empty());
    facts
}

fn tables(seen: &Seen, now: DateTime<Utc>) -> Block {
    let count = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let nothing = super::seen::Table::default();
    let row = |name: &str| {
        let table = seen.tables.get(name).unwrap_or(&nothing);
        let committed = table.committed_at.and_then(|at| DateTime::from_timestamp(at as i64, 0));
        let letters = table.dead_letters.iter().filter(|(_, number)| **number > 0);
        let letters: Vec<String> = letters.map(|(reason, number)| format!("{number} {reason}")).collect();
        vec![
            name.to_owned(),
            count(table.rows),
            count(seen.lag(name, "live")),
            count(seen.lag(name, "ingest")),
            committed.map_or("-".to_owned(), |at| format!("{} ago", span(now - at))),
            letters.join(", "),
        ]
    };
    Block {
        title: "Tables".to_owned(),
        columns: vec![
            "table",
            "rows",
            "live lag",
            "lake lag",
            "lake committed",
            "dead letters",
        ],
        rows: seen.table_names().into_iter().map(row).collect(),
    }
}

fn sources(seen: &Seen, now: DateTime<Utc>) -> Block {
    let rows = seen.sources.iter().map(|source| {
        let limit = source
            .silent_after
            .map(|seconds| span(TimeDelta::seconds(seconds as i64)));
        let state = match (&limit, source.is_silent(now)) {
            (None, _) => "not judged",
            (Some(_), true) => "silent",
            (Some(_), false) => "alive",
        };
        vec![
            source.name.clone(),
            state.to_owned(),
            format!("{} ago", span(now - source.heard_at)),
            limit.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    Block {
        title: "Feeds".to_owned(),
        columns: vec!["feed", "state", "heard", "silent after"],
        rows: rows.collect(),
    }
}

fn halted(seen: &Seen) -> Block {
    let rows = seen.topics.iter().flat_map(|(topic, it)| {
        let partitions = it.halted.iter();
        partitions.map(|(partition, reason)| vec![topic.clone(), partition.clone(), reason.clone()])
    });
    Block {
        title: "Halted: not read until somebody decides (casewatch accept-gap, or a raised epoch)".to_owned(),
        columns: vec!["topic", "partition", "reason"],
        rows: rows.collect(),
    }
}

fn queries(seen: &Seen) -> Block {
    let is_told = |state: &str| !matches!(state, "ok" | "catching_up");
    let told: Vec<_> = seen.queries.iter().filter(|query| is_told(&query.state)).collect();
    let rows = told.iter().take(MOST_LINES).map(|query| {
        let error = query.error.as_deref().unwrap_or_default();
        vec![
            query.name.clone(),
            query.state.clone(),
            error.lines().next().unwrap_or_default().to_owned(),
        ]
    });
    Block {
        title: format!("Queries without a fresh number: {}", told.len()),
        columns: vec!["query", "state", "error"],
        rows: rows.collect(),
    }
}

fn troubles(seen: &Seen, now: DateTime<Utc>) -> Block {
    let rows = seen.troubles.iter().take(MOST_LINES).map(|trouble| {
        let times = if trouble.times > 1 {
            format!(" ({} times)", trouble.times)
        } else {
            String::new()
        };
        let message = trouble.message.lines().next().unwrap_or_default();
        vec![
            format!("{} ago", span(now - trouble.at)),
            trouble.level.clone(),
            format!("{message}{times}"),
        ]
    });
    Block {
        title: "Last warnings and errors".to_owned(),
        columns: vec!["when", "level", "message"],
        rows: rows.collect(),
    }
}

/// The two largest units of a time that has passed.
fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::seen::tests::{at, page};
    use super::*;

    pub(crate) fn board() -> Board {
        Board::of(&page(), "http://127.0.0.1:9464", at("2019-01-31T12:00:00Z"))
    }

    #[test]
    fn one_look_says_what_an_operator_asks_first() {
        let expected = "casewatch 0.1.0 at http://127.0.0.1:9464: fresh
roles ingest, metrics | up 2 h 0 min | fresh in 0.21 s on average | live tables 1 MiB
complete up to 2019-01-31 12:00:00 UTC | numbers as of 2019-01-31 12:00:00 UTC | 1 of 2 queries ok, definitions 0123456789abcdef

Tables
  table  rows  live lag  lake lag  lake committed  dead letters
  cases  5430  3         12        5 s ago         2 malformed

Feeds
  feed    state  heard     silent after
  mosaic  alive  10 s ago  15 min 0 s

Queries without a fresh number: 1
  query           state   error
  casewatch_late  failed  too big

Last warnings and errors
  when          level  message
  1 h 0 min ago  warn   broker away (3 times)
";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&board().text()), squeezed(expected), "{}", board().text());
    }

    #[test]
    fn times_are_told_in_two_units() {
        let told = |seconds| span(TimeDelta::seconds(seconds));
        assert_eq!([told(-3), told(59), told(75)], ["0 s", "59 s", "1 min 15 s"]);
        assert_eq!([told(7_260), told(93_600)], ["2 h 1 min", "1 d 2 h"]);
    }
}
