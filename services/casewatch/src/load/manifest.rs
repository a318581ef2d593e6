//! What a delivery says of itself: `delivery.toml`, or the same by options.
//!
//! ```toml
//! feed = "mosaic-nightly"                     # one state a feed
//! as_at = 2026-11-20T02:15:00Z                # without an offset: London
//! complete = true                             # anything else is refused
//! expected_next_by = 2026-11-21T08:00:00Z
//! window_from = 2020-11-20                    # optional: rows before it are out of sight, not deleted
//! whole = ["TABLE"]                           # optional: tables the window does not apply to
//! authority = "E06000061"                     # any column of the tables: its value where a file has no such column
//! source_system = "mosaic"                    # the name of the source, as configured; default: the feed's
//!
//! [rows]                                      # control totals, one for every file
//! TABLE = 5000
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use casewatch_contract::{Contract, RecordedAt, Table, TableName};
use chrono::NaiveDate;

use super::value;
use crate::failure::Failure;

/// The manifest's file name.
pub const MANIFEST: &str = "delivery.toml";

/// A delivery as its sender describes it. Always complete: one that is not is refused before it becomes this.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub feed: String,
    /// As `_source` of its rows.
    pub source: String,
    pub as_at: RecordedAt,
    pub expected_next_by: RecordedAt,
    pub window_from: Option<NaiveDate>,
    /// Tables the window does not apply to.
    pub whole: Vec<TableName>,
    /// Control totals.
    pub rows: BTreeMap<TableName, u64>,
    /// Values of columns that files lack, by column.
    pub constants: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// A file that is not there, not TOML, or does not say what it must; a delivery that is not complete.
    pub fn read(folder: &Path, contract: &Contract) -> Result<Self, Failure> {
        let file = folder.join(MANIFEST);
        let place = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Failure::usage(format!(
                "{place}: cannot be read: {error}\nhint: a delivery is a folder with a {MANIFEST}; name files instead to describe them by options"
            ))
        })?;
        let stated: toml::Table = text
            .parse()
            .map_err(|error| Failure::usage(format!("{place}: {error}")))?;
        Self::check(&stated, &place, contract)
    }

    /// Checks what a manifest at `place` states.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn check(stated: &toml::Table, place: &str, contract: &Contract) -> Result<Self, Failure> {
        let reader = Reader {
            stated,
            place,
            contract,
        };
        let mut constants = reader.constants()?;
        match stated.get("complete") {
            Some(toml::Value::Boolean(true)) => {}
            Some(toml::Value::Boolean(false)) | None => {
                return Err(Failure::refused(format!(
                    "{place}: the delivery is not complete, so nothing was sent\nhint: its sender says `complete = true` (files without a manifest: --complete) when the last file is written"
                )));
            }
            Some(_) => return Err(reader.fault("complete", "expected true or false")),
        }
        let feed = reader
            .text("feed")?
            .ok_or_else(|| reader.fault("feed", "missing; expected the feed's name"))?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !feed.bytes().all(is_name) || feed.starts_with('.') {
            return Err(reader.fault("feed", "expected letters, digits, `_`, `-` and `.`: it names a folder"));
        }
        let source = source_of(&mut constants, contract, &feed);
        Ok(Self {
            source,
            as_at: reader.moment("as_at")?,
            expected_next_by: reader.moment("expected_next_by")?,
            window_from: reader.day("window_from")?,
            whole: reader.tables("whole")?,
            rows: reader.rows()?,
            constants,
            feed,
        })
    }

    /// The window as it applies to `table`.
    pub fn window(&self, table: &TableName) -> Option<NaiveDate> {
        self.window_from.filter(|_| !self.whole.contains(table))
    }
}

/// The source's name: the value of the column that holds it, which the schemas name; else that of the feed. It fills
/// that column.
fn source_of(constants: &mut BTreeMap<String, String>, contract: &Contract, feed: &str) -> String {
    let name_of = |table: &Arc<Table>| table.source.map(|place| table.columns[place].name.clone());
    let columns: BTreeSet<String> = contract.tables().filter_map(name_of).collect();
    let source = columns
        .iter()
        .find_map(|column| constants.get(column))
        .map_or(feed, String::as_str)
        .to_owned();
    for column in columns {
        constants.entry(column).or_insert_with(|| source.clone());
    }
    source
}

const KEYS: [&str; 7] = [
    "feed",
    "as_at",
    "complete",
    "expected_next_by",
    "window_from",
    "whole",
    "rows",
];

struct Reader<'a> {
    stated: &'a toml::Table,
    place: &'a str,
    contract: &'a Contract,
}

impl Reader<'_> {
    fn fault(&self, key: &str, problem: &str) -> Failure {
        Failure::usage(format!("{}: {key}: {problem}", self.place))
    }

    /// A value as text, however TOML writes it.
    fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        match self.stated.get(key) {
            None => Ok(None),
            Some(toml::Value::Array(_) | toml::Value::Table(_)) => Err(self.fault(key, "expected a single value")),
            Some(toml::Value::String(text)) if text.trim().is_empty() => Err(self.fault(key, "is empty")),
            Some(toml::Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(other) => Ok(Some(other.to_string())),
        }
    }

    fn moment(&self, key: &str) -> Result<RecordedAt, Failure> {
        let expected = "expected a moment such as 2026-11-20T02:15:00Z (without an offset: London)";
        let text = self
            .text(key)?
            .ok_or_else(|| self.fault(key, &format!("missing; {expected}")))?;
        value::moment(&text)
            .map(RecordedAt)
            .ok_or_else(|| self.fault(key, expected))
    }

    fn day(&self, key: &str) -> Result<Option<NaiveDate>, Failure> {
        let parse =
            |text: String| value::date(&text).ok_or_else(|| self.fault(key, "expected a day such as 2020-11-20"));
        self.text(key)?.map(parse).transpose()
    }

    fn table(&self, key: &str, name: &str) -> Result<TableName, Failure> {
        let table = self
            .contract
            .table(name)
            .ok_or_else(|| self.fault(key, &format!("no schema describes `{name}`")))?;
        Ok(table.name.clone())
    }

    fn tables(&self, key: &str) -> Result<Vec<TableName>, Failure> {
        let listed = match self.stated.get(key) {
            None => return Ok(Vec::new()),
            Some(toml::Value::Array(listed)) => listed,
            Some(_) => return Err(self.fault(key, "expected a list of tables")),
        };
        let name = |item: &toml::Value| self.table(key, item.as_str().unwrap_or("(not a text)"));
        listed.iter().map(name).collect()
    }

    fn rows(&self) -> Result<BTreeMap<TableName, u64>, Failure> {
        let Some(toml::Value::Table(totals)) = self.stated.get("rows") else {
            return Err(self.fault(
                "rows",
                "missing; expected a section [rows] with the number of rows of every file",
            ));
        };
        let total = |(name, number): (&String, &toml::Value)| {
            let number = number.as_integer().and_then(|number| u64::try_from(number).ok());
            let key = format!("rows.{name}");
            let number = number.ok_or_else(|| self.fault(&key, "expected a number of rows"))?;
            Ok((self.table(&key, name)?, number))
        };
        totals.iter().map(total).collect()
    }

    /// Every other key names a column.
    fn constants(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut constants = BTreeMap::new();
        for key in self.stated.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let columns: Vec<_> = self.contract.tables().filter_map(|table| table.column(key)).collect();
            if columns.is_empty() {
                let keys = KEYS.join(", ");
                return Err(self.fault(key, &format!("unknown; expected {keys}, or a column of the tables")));
            }
            let text = self.text(key)?.expect("the key is one of those stated");
            if let Some(column) = columns.iter().find(|column| !value::fits(column, &text)) {
                return Err(self.fault(key, &format!("expected {}", value::expected(column))));
            }
            constants.insert(key.clone(), text);
        }
        Ok(constants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;
    use crate::load::testing::contract;

    const GOOD: &str = r#"
        feed = "mosaic-nightly"
        as_at = 2026-06-20T02:15:00
        complete = true
        expected_next_by = 2026-06-21T08:00:00Z
        window_from = 2020-06-20
        whole = ["teams"]
        authority = "E06000061"
        source_system = "mosaic"
        [rows]
        cases = 5000
        teams = 40
    "#;

    fn check(replace: &str, by: &str) -> Result<Manifest, Failure> {
        assert!(GOOD.contains(replace));
        Manifest::check(
            &GOOD.replacen(replace, by, 1).parse().unwrap(),
            "delivery.toml",
            &contract(),
        )
    }

    #[test]
    fn a_manifest_says_what_is_delivered_and_london_is_meant_without_an_offset() {
        let manifest = check("", "").unwrap();
        assert_eq!(manifest.feed, "mosaic-nightly");
        assert_eq!(manifest.source, "mosaic");
        assert_eq!(Some(manifest.as_at.0), value::moment("2026-06-20T01:15:00Z"));
        assert_eq!(manifest.rows, [("cases".into(), 5000), ("teams".into(), 40)].into());
        assert_eq!(manifest.constants["authority"], "E06000061");
        assert_eq!(manifest.window(&"cases".into()), NaiveDate::from_ymd_opt(2020, 6, 20));
        assert_eq!(manifest.window(&"teams".into()), None);
    }

    #[test]
    fn without_a_source_the_feed_is_the_source_and_fills_its_column() {
        let manifest = check(r#"source_system = "mosaic""#, "").unwrap();
        assert_eq!(manifest.source, "mosaic-nightly");
        assert_eq!(manifest.constants["source_system"], "mosaic-nightly");
    }

    #[test]
    fn a_delivery_that_is_not_complete_is_refused() {
        for by in ["complete = false", ""] {
            let failure = check("complete = true", by).unwrap_err();
            assert_eq!(failure.code, Code::Refused);
            assert!(failure.message.contains("not complete"), "{failure}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        for (replace, by, told) in [
            ("feed =", "fead =", "fead: unknown; expected feed, as_at"),
            (r#""mosaic-nightly""#, r#""../etc""#, "feed: expected letters"),
            (
                "2026-06-20T02:15:00\n",
                "\"yesterday\"\n",
                "as_at: expected a moment such as",
            ),
            (
                "expected_next_by = 2026-06-21T08:00:00Z",
                "",
                "expected_next_by: missing",
            ),
            (
                "window_from = 2020-06-20",
                "window_from = \"June\"",
                "window_from: expected a day",
            ),
            (r#"["teams"]"#, r#"["teens"]"#, "whole: no schema describes `teens`"),
            ("cases = 5000", "cases = -1", "rows.cases: expected a number of rows"),
            (
                "cases = 5000",
                "casess = 1",
                "rows.casess: no schema describes `casess`",
            ),
            ("[rows]", "[totals]", "totals: unknown"),
            (
                "complete = true",
                "complete = \"yes\"",
                "complete: expected true or false",
            ),
        ] {
            let failure = check(replace, by).unwrap_err();
            assert_eq!(failure.code, Code::Usage, "{failure}");
            assert!(
                failure.message.starts_with("delivery.toml: ") && failure.message.contains(told),
                "{by}: {failure}"
            );
        }
    }
}
