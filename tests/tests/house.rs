//! The design's rules about the code itself: what may depend on what, what may name what, what stands where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use casewatch_tests::root;
use serde_json::Value;

/// Which of our crates each may depend on, directly. Data flows from right to left: nothing points back.
const ARROWS: [(&str, &[&str]); 12] = [
    ("contract", &[]),
    ("lake", &["contract"]),
    ("live", &["lake", "contract"]),
    ("query", &["live", "lake", "contract"]),
    ("gateway", &["query", "contract"]),
    ("metrics", &["query", "live", "lake", "contract"]),
    ("report", &["metrics"]),
    ("ingest", &["live", "lake", "contract"]),
    ("simulator", &["contract"]),
    ("board", &["metrics", "query", "live", "lake", "contract"]),
    (
        "casewatch",
        &[
            "gateway",
            "board",
            "report",
            "metrics",
            "query",
            "live",
            "lake",
            "contract",
            "ingest",
            "simulator",
        ],
    ),
    ("tests", &["contract"]),
];

/// What the design puts at the top, and the files that tools look for there.
const TOP: [&str; 21] = [
    ".ci",
    ".gitattributes",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "DEVELOPERS.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "deny.toml",
    "deploy",
    "queries",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "schemas",
    "services",
    "shared",
    "tests",
];

/// Licences that ask for nothing but their own text to be kept.
const LICENCES: [&str; 17] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Words of the program's own that a column happens to share: a unit of metrics, and when an operator accepted a gap.
const OWN_WORDS: [&str; 4] = ["accepted_at", "recorded_at", "source_system", "working_days"];

fn metadata() -> Value {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
    ]);
    let output = command
        .arg("x86_64-unknown-linux-gnu")
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Files git knows, or would take.
fn tracked() -> Vec<String> {
    let mut command = Command::new("git");
    command
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root());
    let output = command.output().expect("git can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names are text");
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a source folder can be listed") {
        let path = entry.expect("a source folder can be listed").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// A source's lines that make the program: no comments, and nothing from the unit tests at its end.
fn program_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.starts_with("//"))
}

/// Unit tests in files of their own, and the measurements under `examples/`, which run on rows of the real schemas.
fn holds_only_tests(path: &Path) -> bool {
    let inside = path.strip_prefix(root()).expect("sources stand in the checkout");
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let mut folders = inside.components();
    let in_test_folder =
        folders.any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches" | "examples")));
    in_test_folder || name == "tests" || name == "fixtures" || name.ends_with("_tests")
}

#[test]
fn no_code_of_a_service_names_a_table_or_column_of_the_domain() {
    let (mut words, mut roles) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(root().join("schemas")).expect("schemas/ can be listed") {
        let path = entry.expect("schemas/ can be listed").path();
        if path.extension().is_none_or(|extension| extension != "avsc") {
            continue;
        }
        let schema = std::fs::read_to_string(&path).expect("a schema can be read");
        let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
        words.insert(text(&schema, "name").to_owned());
        for field in schema["fields"].as_array().expect("a record has fields") {
            let name = text(field, "name");
            // One-word columns (`kind`, `name`) are words of programs too.
            if name.contains('_') && !OWN_WORDS.contains(&name) {
                words.insert(name.to_owned());
            }
        }
        // A schema's attribute maps roles of the program's own to its columns.
        roles.extend(
            schema["deliveries"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(role, _)| role.clone()),
        );
    }
    words.retain(|word| !roles.contains(word));
    assert!(
        words.contains("cases") && words.contains("worker_id"),
        "the schemas were not found: {words:?}"
    );
    let (mut faults, mut looked_at) = (Vec::new(), 0);
    for path in rust_files(&root().join("services")) {
        if path.starts_with(root().join("services/simulator")) || holds_only_tests(&path) {
            continue;
        }
        looked_at += 1;
        let source = std::fs::read_to_string(&path).expect("a source can be read");
        for (number, line) in program_lines(&source) {
            for word in line.split('"').skip(1).step_by(2).filter(|word| words.contains(*word)) {
                faults.push(format!("{}:{number}: \"{word}\"", path.display()));
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} sources were looked at");
    assert!(
        faults.is_empty(),
        "the domain is data; these name it in code:\n{}",
        faults.join("\n")
    );
}

#[test]
fn our_crates_depend_on_each_other_only_along_the_designs_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let short = |name: &str| name.strip_prefix("casewatch-").unwrap_or(name).to_owned();
    let mut seen = 0;
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let name = short(text(package, "name"));
        let may = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name}: a crate the design does not know"));
        seen += 1;
        for dependency in package["dependencies"]
            .as_array()
            .expect("a package lists dependencies")
        {
            let target = short(text(dependency, "name"));
            if dependency["path"].is_string() && dependency["kind"].is_null() {
                assert!(
                    may.contains(&target.as_str()),
                    "{name} may not depend on {target}: it points back"
                );
            }
        }
    }
    assert_eq!(seen, ARROWS.len(), "the design has crates that the workspace has not");
}

#[test]
fn arrow_parquet_datafusion_and_object_store_stand_once_in_the_lock_file() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock can be read");
    let lock: toml::Table = toml::from_str(&lock).expect("Cargo.lock is TOML");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("Cargo.lock lists packages") {
        let field = |key: &str| {
            package[key]
                .as_str()
                .expect("a package has a name and a version")
                .to_owned()
        };
        let name = field("name");
        if ["arrow", "parquet", "datafusion", "object_store", "deltalake", "rdkafka"]
            .iter()
            .any(|&family| name == family || name.strip_prefix(family).is_some_and(|rest| rest.starts_with('-')))
        {
            versions.entry(name).or_default().insert(field("version"));
        }
    }
    for name in ["arrow", "parquet", "datafusion", "object_store", "deltalake"] {
        assert!(versions.contains_key(name), "{name} is not in Cargo.lock");
    }
    let twice: Vec<_> = versions.iter().filter(|(_, found)| found.len() > 1).collect();
    assert!(
        twice.is_empty(),
        "two versions of one library cannot pass data to each other: {twice:?}"
    );
}

#[test]
fn every_dependency_has_a_licence_that_the_products_licence_allows() {
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| text(node, "id"))
        .collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().expect("metadata lists packages") {
        if package["source"].is_null() || !used.contains(text(package, "id")) {
            continue;
        }
        let licence = text(package, "license");
        if !allowed(licence) {
            faults.push(format!(
                "{} {}: `{licence}`",
                text(package, "name"),
                text(package, "version")
            ));
        }
    }
    assert!(
        faults.is_empty(),
        "not on the list in this file:\n{}",
        faults.join("\n")
    );
}

/// Whether an SPDX expression can be met with the list above: every term joined by AND, any joined by OR.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let term = |term: &str| {
        let name = term.split(" WITH ").next().unwrap_or_default().trim();
        LICENCES.contains(&name)
    };
    // AND binds tighter, and no crate in use nests an OR under an AND with a term off the list.
    expression.contains("AND")
        && expression.contains('(')
        && plain.split(" AND ").all(|part| part.split(" OR ").any(term))
        || plain.split(" OR ").any(|part| part.split(" AND ").all(term))
}

#[test]
fn a_licence_expression_is_met_term_by_term() {
    assert!(allowed("MIT OR GPL-3.0") && allowed("MIT/Apache-2.0") && allowed("Apache-2.0 WITH LLVM-exception"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0") && allowed("ISC AND (Apache-2.0 OR ISC) AND OpenSSL"));
    assert!(!allowed("GPL-3.0") && !allowed("MIT AND GPL-3.0") && !allowed(""));
}

#[test]
fn only_what_the_design_names_stands_at_the_top() {
    let files = tracked();
    let top: BTreeSet<&str> = files
        .iter()
        .map(|file| file.split('/').next().unwrap_or(file))
        .collect();
    let unknown: Vec<_> = top.into_iter().filter(|name| !TOP.contains(name)).collect();
    assert!(unknown.is_empty(), "not in the design's house: {unknown:?}");
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let home = std::env::var("HOME").unwrap_or_default();
    let here = root().display().to_string();
    let places: Vec<String> = [home, here]
        .into_iter()
        .filter(|place| place.len() > 1)
        .map(|place| place + "/")
        .collect();
    let mut faults = Vec::new();
    for file in tracked() {
        let Ok(content) = std::fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for place in places.iter().filter(|place| content.contains(place.as_str())) {
            faults.push(format!("{file}: {place}"));
        }
    }
    assert!(faults.is_empty(), "paths of one machine:\n{}", faults.join("\n"));
}

/// The long part of a build is its dependencies. A crate that is built with other features for the tests than for the
/// program would be compiled twice, and everything that stands on it too.
#[test]
fn the_program_and_its_tests_share_every_compiled_dependency() {
    let units = |arguments: &[&str]| -> BTreeSet<String> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(arguments)
            .args(["--locked", "--offline", "--release", "--workspace"]);
        command.args([
            "--features",
            "casewatch/embedded",
            "--unit-graph",
            "-Z",
            "unstable-options",
        ]);
        // Cargo prints its plan of a build only where unstable options are allowed; nothing is built here.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .current_dir(root());
        let output = command.output().expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let graph: Value = serde_json::from_slice(&output.stdout).expect("a unit graph is JSON");
        let units = graph["units"].as_array().expect("a unit graph lists units");
        let foreign = units.iter().filter(|unit| !text(unit, "pkg_id").starts_with("path+"));
        foreign
            .map(|unit| format!("{} {} {}", unit["pkg_id"], unit["mode"], unit["features"]))
            .collect()
    };
    let program = units(&["build", "--bins"]);
    let tests = units(&["test", "--no-run"]);
    let twice: Vec<_> = program.difference(&tests).collect();
    assert!(
        program.len() > 300,
        "the plan of the build was not read: {} units",
        program.len()
    );
    assert!(
        twice.is_empty(),
        "built with other features for the program than for the tests:\n{twice:#?}"
    );
}
