//! `/metrics` as a test reads it.

use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

/// Samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Reads Prometheus' text format.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            samples: lines
                .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}")))
                .collect(),
        }
    }

    /// Samples of a metric whose labels include `labels`.
    pub fn select(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&Labels, f64)> {
        let matches = |found: &Labels| {
            labels
                .iter()
                .all(|(key, value)| found.get(*key).is_some_and(|text| text == value))
        };
        let named = self.samples.iter().filter(|(found, ..)| found == name);
        named
            .filter(|(_, found, _)| matches(found))
            .map(|(_, labels, value)| (labels, *value))
            .collect()
    }

    /// Sum over the matching samples; none when there is no sample: silence is not zero.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.select(name, labels);
        (!found.is_empty()).then(|| found.iter().map(|(_, value)| value).sum())
    }

    pub fn max(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.select(name, labels)
            .into_iter()
            .map(|(_, value)| value)
            .reduce(f64::max)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.iter().map(|(name, ..)| name.as_str())
    }
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let Some((name, rest)) = line.split_once('{') else {
        let mut words = line.split_whitespace();
        return Some((words.next()?.to_owned(), Labels::new(), number(words.next()?)?));
    };
    let mut labels = Labels::new();
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(tail) = rest.strip_prefix('}') {
            return Some((name.to_owned(), labels, number(tail.split_whitespace().next()?)?));
        }
        let (key, tail) = rest.split_once("=\"")?;
        let (value, tail) = quoted(tail)?;
        labels.insert(key.to_owned(), value);
        rest = tail;
    }
}

/// A label's value up to its closing quote, escapes resolved, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_reads_back_with_its_labels_escapes_and_infinities() {
        let text = "# HELP a b\n# TYPE a gauge\na 1\na_bucket{le=\"+Inf\"} +Inf\nb{x=\"1, }\\\"\\n\",y=\"\"} -2.5e3 1700000000\n";
        let scrape = Exposition::parse(text);
        assert_eq!(scrape.sum("a", &[]), Some(1.0));
        assert_eq!(scrape.sum("a_bucket", &[("le", "+Inf")]), Some(f64::INFINITY));
        assert_eq!(scrape.sum("b", &[("x", "1, }\"\n"), ("y", "")]), Some(-2500.0));
        assert_eq!(scrape.sum("b", &[("x", "other")]), None);
    }
}
