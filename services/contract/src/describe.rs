//! A table for people: what `casewatch schema show` prints.

use std::fmt::Write;

use arrow::datatypes::DataType;

use crate::contract::Contract;
use crate::table::{Column, Table};

/// Width of the page.
const PAGE_CHARS: usize = 110;

/// How far the text under a field is indented.
const INDENT: &str = "      ";

impl Contract {
    /// A table, its keys and references, and what every field means, for people to read.
    pub fn describe(&self, name: &str) -> Option<String> {
        let table = self.table(name)?;
        let mut page = String::new();
        let mut line = |text: &str| {
            page.push_str(text.trim_end());
            page.push('\n');
        };
        line(&table.name);
        wrapped(&table.doc, "  ").iter().for_each(|text| line(text));
        line("");
        let key: Vec<&str> = table.key_columns().map(|column| column.name.as_str()).collect();
        line(&format!("  key          {}", key.join(", ")));
        if let Some(clock) = &table.recorded_at {
            line(&format!(
                "  recorded at  {clock} in flat rows; the commit's time in Debezium's envelope"
            ));
        }
        if let Some(source) = table.source {
            line(&format!("  feed         {}", table.columns[source].name));
        }
        line("");
        let width = table
            .columns
            .iter()
            .chain(&table.unstored)
            .map(|column| column.name.len())
            .max()
            .unwrap_or(0);
        for (position, column) in table.columns.iter().enumerate() {
            let mark = if table.key.contains(&position) { '*' } else { ' ' };
            line(&format!(
                "  {mark} {:width$}  {}",
                column.name,
                self.notes(table, position).join("; ")
            ));
            wrapped(&column.doc, INDENT).iter().for_each(|text| line(text));
            let symbols = column
                .symbols
                .as_ref()
                .map(|symbols| format!("One of: {}.", symbols.join(", ")));
            symbols
                .iter()
                .flat_map(|symbols| wrapped(symbols, INDENT))
                .for_each(|text| line(&text));
        }
        for column in &table.unstored {
            let fate = match Some(&column.name) == table.recorded_at.as_ref() {
                true => "stored as _recorded_at",
                false => "dropped: never decoded, never stored",
            };
            line(&format!("    {:width$}  {}; {fate}", column.name, type_of(column)));
            wrapped(&column.doc, INDENT).iter().for_each(|text| line(text));
        }
        line("");
        line("  * key   ? optional");
        Some(page)
    }

    /// A column's type and attributes, as words.
    fn notes(&self, table: &Table, position: usize) -> Vec<String> {
        let column = &table.columns[position];
        let mut notes = vec![type_of(column)];
        if column.privacy.is_private() {
            notes.push(column.privacy.to_string());
        }
        let references = table.references.iter().filter(|reference| reference.column == position);
        notes.extend(references.map(|reference| format!("refers to {}", reference.table)));
        if column.undated {
            notes.push("changed in place".to_owned());
        }
        if self.may_label(table, &column.name) {
            notes.push("may be a label".to_owned());
        }
        if !column.aliases.is_empty() {
            notes.push(format!("formerly {}", column.aliases.join(", ")));
        }
        notes
    }
}

/// The type in the words of `schemas/README.md`.
fn type_of(column: &Column) -> String {
    let name = match &column.data_type {
        _ if column.symbols.is_some() => "closed list",
        DataType::Utf8 => "text",
        DataType::Date32 => "date",
        DataType::Timestamp(_, _) => "timestamp",
        DataType::Decimal128(_, _) => "decimal",
        DataType::Boolean => "boolean",
        DataType::Int32 | DataType::Int64 => "integer",
        _ => "other",
    };
    format!("{name}{}", if column.nullable { "?" } else { "" })
}

/// A text in lines of the page's width.
fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > PAGE_CHARS {
            lines.push(format!("{indent}{line}"));
            line.clear();
        }
        let space = if line.is_empty() { "" } else { " " };
        write!(line, "{space}{word}").expect("writing to a string cannot fail");
    }
    lines.push(format!("{indent}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn shipped() -> Contract {
        Contract::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")).unwrap()
    }

    #[test]
    fn every_field_of_every_table_is_described_with_its_doc() {
        let contract = shipped();
        for table in contract.tables() {
            let page = contract.describe(&table.name).unwrap();
            let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
            for column in table.columns.iter().chain(&table.unstored) {
                let doc = column.doc.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(words.contains(&doc), "{}.{}", table.name, column.name);
            }
            assert!(
                page.lines()
                    .all(|line| line.chars().count() <= PAGE_CHARS + 40 && line == line.trim_end())
            );
        }
    }

    #[test]
    fn a_table_is_told_with_its_key_clock_types_and_attributes() {
        let page = shipped().describe("transfers").unwrap();
        let expected = "\
transfers
  A case on its way from one team to another. While it is pending the grace period is longer, never endless.

  key          transfer_id
  recorded at  recorded_at in flat rows; the commit's time in Debezium's envelope
  feed         source_system

  * transfer_id    text
      The case system's identifier of the transfer.
    case_id        text; refers to cases
      The case that moves.
    from_team_id   text; refers to teams; may be a label
      The team that hands it over.
    to_team_id     text; refers to teams; may be a label
      The team that is asked to take it.
    requested_at   timestamp
      When the transfer was requested.
    accepted_at    timestamp?
      When the receiving team accepted; null while pending.
    cancelled_at   timestamp?
      When the transfer was withdrawn or refused; null otherwise.
    authority      text; may be a label
      Nine-character area code (GSS) of the authority responsible, such as E06000061. Never part of a key:
      authorities split and merge.
    source_system  text
      Name of the feed that delivers this row, such as mosaic or hr_payroll. Freshness is judged per feed.
    recorded_at    timestamp; stored as _recorded_at
      When the source recorded this version of the row: the commit, or the extract's as-at time; never the
      load time. Flat rows only: a Debezium envelope carries the commit time itself.

  * key   ? optional
";
        assert_eq!(page, expected);
    }

    #[test]
    fn a_closed_list_is_spelt_out_and_privacy_is_told() {
        let contract = shipped();
        let children = contract.describe("children").unwrap();
        assert!(
            children.contains("* child_id              text; hmac:child\n"),
            "{children}"
        );
        assert!(
            contract
                .describe("absences")
                .unwrap()
                .contains("One of: SIC, MAT, OTH, PUB, TRN, UNA, UNP.")
        );
        assert!(contract.describe("nonsense").is_none());
    }
}
