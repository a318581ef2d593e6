//! The proof of exactly once (RULES 5), by SQL over the lake alone: the ranges that commits record tile each partition
//! from its first offset to its end without gap or overlap; what each range says it holds adds up to its length; and
//! every offset that holds data or a dead letter stands in the lake once. This proof knows what was sent; the program's
//! own, `casewatch verify`, knows the lake alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::casewatch::{Sql, run};
use crate::demo_lake::json_lines;

/// What one partition must hold: offsets `[first, end)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub table: String,
    pub topic: String,
    pub partition: i32,
    pub first: i64,
    pub end: i64,
}

/// Totals over the partitions proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    pub commits: usize,
    pub data_offsets: i64,
    pub dead_letters: i64,
    pub tombstones: i64,
    pub holes: i64,
}

/// How far the lake is: the end of the last range of each partition.
pub fn positions(sql: &Sql) -> Result<BTreeMap<(String, i64), i64>, String> {
    let rows = sql.try_rows(
        "select topic, \"partition\", max(to_offset) as position from lake.commits \
         where kind in ('append', 'gap') and topic is not null group by topic, \"partition\"",
    )?;
    Ok(rows
        .iter()
        .map(|row| ((text(row, "topic"), int(row, "partition")), int(row, "position")))
        .collect())
}

/// What `casewatch verify` sums up of the offsets of a lake in which it finds nothing wrong; panics with what it finds.
pub fn verified(lake: &Path) -> Value {
    let lake = lake.display().to_string();
    let output = run(&["verify", "--format", "json", "--lake", &lake]);
    let (found, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{found}{said}");
    let summary = json_lines(&found).pop().expect("the summary is the last line");
    summary["offsets"].clone()
}

/// Panics with the first thing that is lost, doubled or unaccounted for.
pub fn exactly_once(sql: &Sql, expected: &[Expected]) -> Proof {
    let mut proof = Proof::default();
    let mut tables: Vec<&str> = expected.iter().map(|partition| partition.table.as_str()).collect();
    tables.dedup();
    for table in tables {
        prove_table(sql, table, expected, &mut proof);
    }
    proof
}

fn prove_table(sql: &Sql, table: &str, expected: &[Expected], proof: &mut Proof) {
    let ranges = sql.rows(&format!(
        "select topic, \"partition\", from_offset, to_offset, offsets, tombstones, dead_letters, holes from lake.commits \
         where \"table\" = '{table}' and kind = 'append' and topic is not null order by topic, \"partition\", from_offset"
    ));
    let data = counted(
        sql,
        &format!(
            "select _topic as topic, _partition as \"partition\", count(*) as n, count(distinct _offset) as d \
             from history.{table} group by _topic, _partition"
        ),
    );
    let dead = counted(
        sql,
        &format!(
            "select topic, \"partition\", count(*) as n, count(distinct \"offset\") as d \
             from lake.dead_letters where \"table\" = '{table}' group by topic, \"partition\""
        ),
    );
    for partition in expected.iter().filter(|partition| partition.table == table) {
        let place = (partition.topic.clone(), i64::from(partition.partition));
        let mut next = partition.first;
        let (mut offsets, mut dead_letters) = (0, 0);
        for range in ranges
            .iter()
            .filter(|range| (text(range, "topic"), int(range, "partition")) == place)
        {
            let (from, to) = (int(range, "from_offset"), int(range, "to_offset"));
            assert_eq!(
                from, next,
                "{place:?}: a range starts at {from}; the one before ended at {next}"
            );
            let parts = ["offsets", "tombstones", "dead_letters", "holes"].map(|part| int(range, part));
            assert_eq!(
                to - from,
                parts.iter().sum::<i64>(),
                "{place:?}: [{from}, {to}) does not add up: {range}"
            );
            offsets += parts[0];
            proof.tombstones += parts[1];
            dead_letters += parts[2];
            proof.holes += parts[3];
            proof.commits += 1;
            next = to;
        }
        assert_eq!(
            next, partition.end,
            "{place:?}: the ranges end at {next}, the log at {}",
            partition.end
        );
        let once = |found: &BTreeMap<_, (i64, i64)>, what: &str| {
            let (rows, distinct) = found.get(&place).copied().unwrap_or_default();
            assert_eq!(
                rows, distinct,
                "{place:?}: {rows} {what} on {distinct} offsets: something stands twice"
            );
            distinct
        };
        assert_eq!(
            once(&data, "rows"),
            offsets,
            "{place:?}: offsets with data, in the table and as committed"
        );
        assert_eq!(
            once(&dead, "dead letters"),
            dead_letters,
            "{place:?}: dead letters, in the table and as committed"
        );
        proof.data_offsets += offsets;
        proof.dead_letters += dead_letters;
    }
}

/// Rows and distinct offsets of each partition.
fn counted(sql: &Sql, statement: &str) -> BTreeMap<(String, i64), (i64, i64)> {
    let rows = sql.rows(statement);
    let place = |row: &Value| (text(row, "topic"), int(row, "partition"));
    rows.iter()
        .map(|row| (place(row), (int(row, "n"), int(row, "d"))))
        .collect()
}

fn text(row: &Value, column: &str) -> String {
    row[column]
        .as_str()
        .unwrap_or_else(|| panic!("no text {column} in {row}"))
        .to_owned()
}

fn int(row: &Value, column: &str) -> i64 {
    row[column]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {column} in {row}"))
}
