//! The typed header of a query file: leading comment lines `-- key: value`. A line `--   more` (two or more spaces)
//! continues the value above; a bare `--`, or the first line that is no comment, ends the header.

use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// One `key: value` of a header, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: String,
    pub value_span: Span,
}

/// The entries of a file's header, in order, each key once.
#[derive(Debug)]
pub struct Header {
    pub entries: Vec<Entry>,
    /// The first line after the header.
    pub body_line: usize,
}

impl Header {
    /// Reads the header, and refuses keys that are not `known`, stand twice, or are `required` and missing.
    pub fn parse(file: &SourceFile, known: &[&str], required: &[&str], faults: &mut Vec<Diagnostic>) -> Self {
        let mut header = Header::read(file, faults);
        header.refuse_unknown_and_repeated(file, known, faults);
        for key in required.iter().copied().filter(|key| header.get(key).is_none()) {
            let span = header.entries.first().map_or(Span::START, |entry| entry.key_span);
            let fault = file.fault(span, format!("the header has no \"{key}\""));
            faults.push(fault.expected(format!("a line \"-- {key}: ...\"")));
        }
        header
    }

    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn read(file: &SourceFile, faults: &mut Vec<Diagnostic>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut body_line = 1;
        for (index, line) in file.text.lines().enumerate() {
            body_line = index + 1;
            let text = line.trim_end();
            if text.is_empty() && entries.is_empty() {
                continue;
            }
            let Some(comment) = text.strip_prefix("--") else { break };
            if comment.trim().is_empty() {
                break;
            }
            if comment.starts_with("  ")
                && let Some(last) = entries.last_mut()
            {
                last.value.push(' ');
                last.value.push_str(comment.trim());
                continue;
            }
            match entry(comment, index + 1) {
                Some(found) => entries.push(found),
                None => {
                    let width = comment.trim().chars().count();
                    let column = text.chars().count() + 1 - width;
                    let fault = file.fault(
                        Span {
                            line: index + 1,
                            column,
                            width,
                        },
                        "no \"key: value\" on this line",
                    );
                    faults.push(fault.expected("\"-- key: value\"").hint(
                        "indent a continued value by two spaces; end the header with a bare \"--\" before other comments",
                    ));
                }
            }
        }
        Header { entries, body_line }
    }

    fn refuse_unknown_and_repeated(&mut self, file: &SourceFile, known: &[&str], faults: &mut Vec<Diagnostic>) {
        let mut seen: Vec<String> = Vec::new();
        for entry in &self.entries {
            if !known.contains(&entry.key.as_str()) {
                let fault = file.fault(entry.key_span, format!("unknown key \"{}\"", entry.key));
                let fault = fault.expected(format!("one of {}", known.join(", ")));
                faults.push(fault.suggest(&entry.key, known.iter().copied()));
            } else if seen.contains(&entry.key) {
                faults.push(file.fault(entry.key_span, format!("\"{}\" stands twice", entry.key)));
            }
            seen.push(entry.key.clone());
        }
    }
}

/// `comment` is what follows the two dashes.
fn entry(comment: &str, line: usize) -> Option<Entry> {
    let (key_part, value_part) = comment.split_once(':')?;
    let key = key_part.trim();
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !is_key {
        return None;
    }
    let key_column = 3 + key_part.chars().take_while(|c| c.is_whitespace()).count();
    let leading = value_part.chars().take_while(|c| c.is_whitespace()).count();
    let value = value_part.trim();
    Some(Entry {
        key: key.to_owned(),
        key_span: Span {
            line,
            column: key_column,
            width: key.chars().count(),
        },
        value: value.to_owned(),
        value_span: Span {
            line,
            column: 3 + key_part.chars().count() + 1 + leading,
            width: value.chars().count().max(1),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Header, Vec<Diagnostic>) {
        let mut faults = Vec::new();
        let file = SourceFile::new("a.sql", text);
        let header = Header::parse(&file, &["name", "help"], &["name"], &mut faults);
        (header, faults)
    }

    #[test]
    fn keys_and_values_have_their_places_and_continuations_join() {
        let (header, faults) = parse("-- name: a\n-- help: one: two\n--   three\nselect 1 -- name: b\n");
        assert_eq!(faults, vec![]);
        assert_eq!(header.get("help").unwrap().value, "one: two three");
        assert_eq!(
            header.get("help").unwrap().value_span,
            Span {
                line: 2,
                column: 10,
                width: 8
            }
        );
        assert_eq!(header.body_line, 4);
    }

    #[test]
    fn a_bare_dash_line_ends_the_header() {
        let (header, faults) = parse("-- name: a\n--\n-- anything goes here\nselect 1");
        assert_eq!(faults, vec![]);
        assert_eq!(header.entries.len(), 1);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let (_, faults) = parse("-- name: a\n-- hlep: x\nselect 1");
        assert_eq!((faults[0].line, faults[0].column), (2, 4));
        assert_eq!(faults[0].message, "unknown key \"hlep\"");
        assert_eq!(faults[0].hint.as_deref(), Some("did you mean \"help\"?"));
    }

    #[test]
    fn a_repeated_a_missing_and_a_malformed_line_are_each_refused() {
        assert_eq!(parse("-- name: a\n-- name: b\n").1[0].message, "\"name\" stands twice");
        assert_eq!(parse("-- help: a\n").1[0].message, "the header has no \"name\"");
        assert_eq!(
            parse("-- name: a\n-- just prose\n").1[0].message,
            "no \"key: value\" on this line"
        );
    }
}
