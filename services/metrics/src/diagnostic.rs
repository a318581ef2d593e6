//! A fault in a file, told to the person who has to mend it: where (file, line, column, caret), what was found, what
//! was expected, and a hint.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A text file as read, with the name that errors print.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: Arc<str>,
    pub text: Arc<str>,
}

/// A stretch of one line: line and column count characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Span {
    pub const START: Span = Span {
        line: 1,
        column: 1,
        width: 1,
    };
}

impl SourceFile {
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// A fault at `span`.
    pub fn fault(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let line_text = self.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
        Diagnostic {
            severity: Severity::Error,
            file: self.path.to_string(),
            line: span.line,
            column: span.column,
            message: message.into(),
            expected: None,
            hint: None,
            line_text: line_text.to_owned(),
            width: span.width.max(1),
        }
    }

    /// A fault at a range of bytes of the text, as parsers tell it.
    pub fn fault_at(&self, bytes: std::ops::Range<usize>, message: impl Into<String>) -> Diagnostic {
        self.fault(byte_span(&self.text, bytes), message)
    }

    /// The place of a range of bytes, as parsers give it.
    pub fn place(&self, bytes: std::ops::Range<usize>) -> Span {
        byte_span(&self.text, bytes)
    }

    /// The first place where `word` stands as a whole word at or after `from_line`, ignoring case.
    pub fn find_word(&self, word: &str, from_line: usize) -> Option<Span> {
        let wanted = word.to_lowercase();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for (index, line) in self.text.lines().enumerate().skip(from_line.saturating_sub(1)) {
            let lower = line.to_lowercase();
            for (at, _) in lower.match_indices(&wanted) {
                let before = lower[..at].chars().next_back().is_some_and(is_word);
                let after = lower[at + wanted.len()..].chars().next().is_some_and(is_word);
                if !before && !after {
                    let column = lower[..at].chars().count() + 1;
                    return Some(Span {
                        line: index + 1,
                        column,
                        width: word.chars().count(),
                    });
                }
            }
        }
        None
    }
}

/// The byte range as a place: its start, within one line.
pub(crate) fn byte_span(text: &str, bytes: std::ops::Range<usize>) -> Span {
    let before = &text[..bytes.start.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let found = &text[before.len()..bytes.end.clamp(before.len(), text.len())];
    Span {
        line: before.matches('\n').count() + 1,
        column: text[line_start..before.len()].chars().count() + 1,
        width: found.lines().next().unwrap_or_default().chars().count(),
    }
}

/// Whether a finding stops anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One fault. Serializes for `--format json`; displays for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    line_text: String,
    #[serde(skip)]
    width: usize,
}

impl Diagnostic {
    /// The same, as something that stops nothing.
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the nearest of `known` as a hint, where one is near enough to be a slip of the hand.
    pub fn suggest<'a>(self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(found, known) {
            Some(near) => self.hint(format!("did you mean \"{near}\"?")),
            None => self,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}:{}:{}: {}: {}",
            self.file, self.line, self.column, self.severity, self.message
        )?;
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.line_text)?;
        write!(
            f,
            "{margin} | {}{}",
            " ".repeat(self.column.saturating_sub(1)),
            "^".repeat(self.width)
        )?;
        if let Some(expected) = &self.expected {
            write!(f, "\n{margin} = expected: {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{margin} = hint: {hint}")?;
        }
        Ok(())
    }
}

/// Every fault found, in order of file and line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn sort(&mut self) {
        self.0
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    }

    /// For machines: one JSON object a line.
    pub fn to_json_lines(&self) -> String {
        let line = |fault| serde_json::to_string(fault).expect("strings and integers always serialize") + "\n";
        self.0.iter().map(line).collect()
    }

    /// How many of them stop something.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|found| found.severity == Severity::Error).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// The nearest of `known` to `found`, by edits, if at most a third of its letters (and at least one) need changing.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (found.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (edits(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insert, delete, replace, and swapping two neighbours count one each.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_file_line_column_caret_expectation_and_hint() {
        let file = SourceFile::new("queries/metrics/open.sql", "-- name: x\n-- hepl: Open cases\n");
        let fault = file
            .fault(
                Span {
                    line: 2,
                    column: 4,
                    width: 4,
                },
                "unknown key \"hepl\"",
            )
            .expected("one of name, help")
            .suggest("hepl", ["name", "help"]);
        assert_eq!(
            fault.to_string(),
            "queries/metrics/open.sql:2:4: error: unknown key \"hepl\"\n  |\n2 | -- hepl: Open cases\n  |    ^^^^\n  \
             = expected: one of name, help\n  = hint: did you mean \"help\"?"
        );
    }

    #[test]
    fn a_fault_for_machines_is_json_with_its_place() {
        let file = SourceFile::new("a.sql", "select 1");
        let unused = file.fault(Span::START, "nothing reads it").warning();
        let faults = Diagnostics(vec![file.fault(Span::START, "no header"), unused]);
        let lines = faults.to_json_lines();
        let values: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let error = serde_json::json!(
            {"severity": "error", "file": "a.sql", "line": 1, "column": 1, "message": "no header"}
        );
        assert_eq!(values[0], error);
        assert_eq!(values[1]["severity"], "warning");
        assert_eq!((values.len(), faults.errors()), (2, 1));
    }

    #[test]
    fn only_a_near_miss_is_suggested() {
        assert_eq!(nearest("lables", ["labels", "value"]), Some("labels"));
        assert_eq!(nearest("colour", ["labels", "value"]), None);
    }

    #[test]
    fn words_are_found_whole_and_with_their_place() {
        let file = SourceFile::new("a.sql", "select case_id_x,\n  Case_Id from t");
        assert_eq!(
            file.find_word("case_id", 1),
            Some(Span {
                line: 2,
                column: 3,
                width: 7
            })
        );
    }
}
