//! The directory of queries, read as one set: its metrics, its views, and one hash over everything a number depends on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use casewatch_query::BYTE_ORDER_MARK;
use sha2::{Digest, Sha256};

use crate::definition::{MetricDefinition, ViewDefinition, ViewSchema, refuse_repeated_names};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::disclosure::Rules;
use crate::thresholds::Thresholds;

/// Every metric and view file under one directory, parsed.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub metrics: Vec<MetricDefinition>,
    pub views: Vec<ViewDefinition>,
    pub thresholds: Thresholds,
    /// How numbers hang together, for publication. No number depends on it.
    pub publication: Rules,
    /// Sixteen hexadecimal digits over names and contents: replicas that run different queries show different hashes.
    pub hash: String,
}

impl Catalogue {
    /// Reads `views/`, `metrics/`, `quality/`, `thresholds.toml` and `publication.toml` under `directory`. All faults of all files
    /// come back together.
    pub fn load(directory: &Path) -> Result<Self, Diagnostics> {
        let mut faults = Vec::new();
        if !directory.is_dir() {
            let file = SourceFile::new(directory.display().to_string(), "");
            faults.push(
                file.fault(Span::START, "no such directory")
                    .expected("the directory of queries"),
            );
            return Err(Diagnostics(faults));
        }
        let metrics: Vec<_> = read_all(directory, "metrics", "sql", &mut faults)
            .into_iter()
            .filter_map(|file| MetricDefinition::parse(file, &mut faults))
            .collect();
        let mut views = Vec::new();
        for (folder, schema) in [("views", ViewSchema::Views), ("quality", ViewSchema::Quality)] {
            for file in read_all(directory, folder, "sql", &mut faults) {
                views.extend(ViewDefinition::parse(file, schema, &mut faults));
            }
        }
        refuse_repeated_names(
            metrics.iter().map(|m| (&m.file, &m.name, m.name.name.clone())),
            &mut faults,
        );
        refuse_repeated_names(
            views.iter().map(|v| (&v.file, &v.name, v.qualified_name())),
            &mut faults,
        );
        let thresholds = Thresholds::load(directory, &metrics, &mut faults);
        let publication = Rules::load(directory, &metrics, &mut faults);
        let hash = content_hash(directory, &mut faults);
        if faults.is_empty() {
            return Ok(Self {
                metrics,
                views,
                thresholds,
                publication,
                hash,
            });
        }
        let mut faults = Diagnostics(faults);
        faults.sort();
        Err(faults)
    }
}

impl Catalogue {
    /// [`MetricDefinition::hash`] of a metric, whose SQL reads `below`: tables and views, through every view.
    pub(crate) fn definition_hash<'p>(
        &self,
        metric: &MetricDefinition,
        below: &BTreeSet<String>,
        parameters: impl Iterator<Item = (&'p str, f64)>,
    ) -> String {
        let views = self.views.iter().filter(|view| below.contains(&view.qualified_name()));
        let mut files: Vec<&SourceFile> = views.map(|view| &view.file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.insert(0, &metric.file);
        let mut hasher = Sha256::new();
        for file in &files {
            hash_part(&mut hasher, below_the_directory(&file.path).as_bytes());
            hash_part(&mut hasher, file.text.as_bytes());
        }
        let is_named = |name: &str| {
            let quoted = format!("'{name}'");
            files.iter().any(|file| file.text.contains(&quoted))
        };
        for (name, value) in parameters.filter(|(name, _)| is_named(name)) {
            hash_part(&mut hasher, name.as_bytes());
            hash_part(&mut hasher, &value.to_be_bytes());
        }
        digits(hasher)
    }
}

/// The folder and the name of a file: the same by whatever path the directory was named.
fn below_the_directory(path: &str) -> String {
    let mut parts: Vec<&str> = path.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}

/// Its length first, so that no two different lists of parts read alike.
fn hash_part(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

fn digits(hasher: Sha256) -> String {
    let bytes = hasher.finalize();
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Everything a number depends on, and who may read it: definitions, parameters, thresholds, reference tables, the policy;
/// tests and pages do not count.
pub(crate) fn content_hash(directory: &Path, faults: &mut Vec<Diagnostic>) -> String {
    let mut hasher = Sha256::new();
    let mut paths = Vec::new();
    for (folder, extension) in [
        ("metrics", "sql"),
        ("quality", "sql"),
        ("reference", "csv"),
        ("views", "sql"),
    ] {
        paths.extend(files_under(&directory.join(folder), extension));
    }
    paths.extend(
        ["access.toml", "parameters.toml", "thresholds.toml"]
            .map(|name| directory.join(name))
            .into_iter()
            .filter(|p| p.is_file()),
    );
    for path in paths {
        let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
        match fs::read(&path) {
            Ok(bytes) => {
                hash_part(&mut hasher, name.as_bytes());
                hash_part(&mut hasher, &bytes);
            }
            Err(error) => faults.push(unreadable(&name, &error)),
        }
    }
    digits(hasher)
}

/// The files of a folder and the folders below it, in order of path.
pub(crate) fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The texts of a folder's files, named as a reader at the repository's root knows them.
pub(crate) fn read_all(
    directory: &Path,
    folder: &str,
    extension: &str,
    faults: &mut Vec<Diagnostic>,
) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for path in files_under(&directory.join(folder), extension) {
        let name = path.display().to_string();
        match fs::read_to_string(&path) {
            // Editors of Windows begin a file with a mark of its encoding.
            Ok(text) => files.push(SourceFile::new(name, text.trim_start_matches(BYTE_ORDER_MARK))),
            Err(error) => faults.push(unreadable(&name, &error)),
        }
    }
    files
}

fn unreadable(name: &str, error: &std::io::Error) -> Diagnostic {
    SourceFile::new(name, "")
        .fault(Span::START, format!("cannot be read: {error}"))
        .expected("a UTF-8 text file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::OPEN_CASES;

    const VIEW: &str = "-- name: allocation_state\n-- row: an open case\n-- why: one state a case\nselect 1 as x\n";

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("metrics/allocation/open.sql", OPEN_CASES),
            ("views/allocation_state.sql", VIEW),
            ("tests/a.toml", ""),
        ] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn the_directory_is_read_as_one_set() {
        let directory = directory();
        let catalogue = Catalogue::load(directory.path()).unwrap();
        assert_eq!(catalogue.metrics[0].name.name, "casewatch_cases_open");
        assert_eq!(catalogue.views[0].qualified_name(), "allocation_state");
        assert_eq!(catalogue.hash.len(), 16);
    }

    #[test]
    fn a_definition_is_the_same_by_whatever_path_its_directory_is_named() {
        let directory = directory();
        let hash = |directory: &Path| {
            let catalogue = Catalogue::load(directory).unwrap();
            catalogue.definition_hash(&catalogue.metrics[0], &BTreeSet::new(), std::iter::empty())
        };
        let before = hash(directory.path());
        assert_eq!(hash(&directory.path().join("metrics/..")), before);
        let file = Catalogue::load(directory.path()).unwrap().metrics[0]
            .file
            .path
            .to_string();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n-- changed")).unwrap();
        assert_ne!(hash(directory.path()), before);
    }

    #[test]
    fn the_hash_follows_every_file_a_number_depends_on_and_no_other() {
        let directory = directory();
        let hash = || Catalogue::load(directory.path()).unwrap().hash;
        let before = hash();
        fs::write(directory.path().join("tests/a.toml"), "# more").unwrap();
        assert_eq!(hash(), before);
        fs::write(directory.path().join("parameters.toml"), "grace = 3").unwrap();
        let after = hash();
        assert_ne!(after, before);
        fs::write(
            directory.path().join("views/allocation_state.sql"),
            VIEW.replace("select 1", "select 2"),
        )
        .unwrap();
        assert_ne!(hash(), after);
    }

    #[test]
    fn one_name_has_one_definition() {
        let directory = directory();
        fs::write(directory.path().join("metrics/zz.sql"), OPEN_CASES).unwrap();
        let faults = Catalogue::load(directory.path()).unwrap_err();
        assert_eq!(faults.0.len(), 1);
        assert_eq!(faults.0[0].message, "\"casewatch_cases_open\" is defined twice");
        assert!(faults.0[0].hint.as_deref().unwrap().ends_with("open.sql"));
    }

    #[test]
    fn faults_of_several_files_come_together() {
        let directory = directory();
        fs::write(directory.path().join("metrics/a.sql"), "select 1").unwrap();
        fs::write(directory.path().join("views/b.sql"), "select 1").unwrap();
        let faults = Catalogue::load(directory.path()).unwrap_err();
        let files: std::collections::BTreeSet<_> = faults.0.iter().map(|fault| fault.file.as_str()).collect();
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn the_repositorys_own_queries_read_without_a_fault() {
        let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../queries");
        let catalogue = Catalogue::load(&queries).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(
            catalogue.metrics.len() >= 12,
            "a first catalogue of at least twelve metrics"
        );
    }
}
