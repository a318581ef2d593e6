//! The documented configuration as a template: values are set in its lines, and what is not set stays as it is
//! documented. There is no second list of keys that could drift from it.

/// `deploy/casewatch.toml`, as it was when the program was built.
const DOCUMENTED: &str = include_str!("../../../../deploy/casewatch.toml");

/// A configuration, line by line.
pub struct Template(Vec<String>);

impl Template {
    pub fn documented() -> Self {
        Self(DOCUMENTED.lines().map(str::to_owned).collect())
    }

    /// Sets a key of a section (`""`: of none) that the documentation has, switched off or on.
    ///
    /// # Panics
    /// A key that it does not have: every key that is set is tested.
    pub fn set(&mut self, section: &str, key: &str, value: &toml::Value) {
        let from = self.switch_on(section);
        let to = self.end_of(from);
        let found = (from..to).find(|index| is_key(&self.0[*index], key));
        let index = found.unwrap_or_else(|| panic!("[{section}] {key} is not documented"));
        let line = switched_on(&self.0[index]);
        let note = line.find(" #").map_or("", |at| line[at..].trim_start());
        // Notes stay below each other where the value lets them.
        let column = line.len() - note.len();
        let set = format!("{key} = {value}");
        let gap = column
            .saturating_sub(set.len())
            .max(if note.is_empty() { 0 } else { 2 });
        self.0[index] = format!("{set}{}{note}", " ".repeat(gap)).trim_end().to_owned();
    }

    /// Puts these lines in the place of a section's keys; its comments above them stay.
    pub fn replace_keys(&mut self, section: &str, lines: impl Iterator<Item = String>) {
        let from = self.switch_on(section);
        let to = self.end_of(from);
        let keys: Vec<usize> = (from..to).filter(|index| has_a_key(&self.0[*index])).collect();
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
            return;
        };
        self.0.splice(*first..=*last, lines);
    }

    /// The line behind a section's heading, which counts from then on.
    fn switch_on(&mut self, section: &str) -> usize {
        if section.is_empty() {
            return 0;
        }
        let heads = [format!("[{section}]"), format!("[[{section}]]")];
        let is_head = |line: &String| heads.iter().any(|head| switched_on(line).starts_with(head));
        let at = self.0.iter().position(is_head);
        let at = at.unwrap_or_else(|| panic!("[{section}] is not documented"));
        self.0[at] = switched_on(&self.0[at]).to_owned();
        at + 1
    }

    fn end_of(&self, from: usize) -> usize {
        let next = self.0[from..]
            .iter()
            .position(|line| switched_on(line).starts_with('['));
        next.map_or(self.0.len(), |lines| from + lines)
    }

    pub fn text(&self) -> String {
        self.0.join("\n") + "\n"
    }
}

fn switched_on(line: &str) -> &str {
    line.strip_prefix("# ").unwrap_or(line)
}

fn is_key(line: &str, key: &str) -> bool {
    switched_on(line)
        .strip_prefix(key)
        .is_some_and(|rest| rest.starts_with(" = "))
}

fn has_a_key(line: &str) -> bool {
    let key = switched_on(line).split_once(" = ").map_or("", |(key, _)| key);
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    !key.is_empty() && key.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(template: &Template) -> Vec<(String, String)> {
        let text = template.text();
        let pairs = DOCUMENTED.lines().zip(text.lines());
        let changed = pairs.filter(|(before, after)| before != after);
        changed
            .map(|(before, after)| (before.to_owned(), after.to_owned()))
            .collect()
    }

    #[test]
    fn what_is_not_set_is_the_documented_file_to_the_letter() {
        assert_eq!(Template::documented().text(), DOCUMENTED);
    }

    #[test]
    fn setting_a_key_changes_its_line_and_its_sections_heading_alone() {
        let mut template = Template::documented();
        template.set("kafka", "brokers", &"broker:9092".into());
        assert_eq!(
            differing(&template),
            [(
                "brokers = \"localhost:9092\"".to_owned(),
                "brokers = \"broker:9092\"".to_owned()
            )]
        );
        let mut template = Template::documented();
        template.set("registry", "url", &"http://registry:8081".into());
        let changed = differing(&template);
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed[0].1.starts_with("[registry]"), "{changed:?}");
        assert_eq!(changed[1].1, "url = \"http://registry:8081\"");
        let mut template = Template::documented();
        template.set("lake", "url", &"s3://bucket/lake".into());
        let changed = differing(&template);
        let url = &changed[1].1;
        assert!(
            url.starts_with("url = \"s3://bucket/lake\"  ") && url.ends_with("# a folder, or s3://bucket/path"),
            "{url}"
        );
    }
}
