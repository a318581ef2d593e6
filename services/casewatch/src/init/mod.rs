//! `casewatch init`: a commented configuration to begin with, and keys where they are wanted.
//!
//! It never writes over anything: a key that is lost orphans every identity that was hashed with it.

mod template;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use casewatch_contract::{Contract, HmacDomain, MINIMUM_KEY_BYTES, Privacy};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::cli::InitArgs;
use crate::config::Config;
use crate::failure::Failure;

use template::Template;

const CONFIGURATION: &str = "casewatch.toml";
/// Folder of the keys, beside the configuration.
const KEYS: &str = "keys";

/// Writes `casewatch.toml`, and with `--keys` a key for each domain of the schemas.
///
/// # Errors
/// A file that is there already, before anything is written; schemas that cannot be read.
pub fn run(args: &InitArgs) -> Result<(), Failure> {
    let contract = args.folders.contract()?;
    let domains = domains(&contract);
    let file = args.dir.join(CONFIGURATION);
    let key_files: Vec<PathBuf> = match args.keys {
        true => domains
            .iter()
            .map(|domain| args.dir.join(KEYS).join(domain.as_str()))
            .collect(),
        false => Vec::new(),
    };
    refuse_what_is_there([&file].into_iter().chain(&key_files))?;
    fs::create_dir_all(&args.dir).map_err(|error| cannot(&args.dir, &error))?;
    let text = configuration(args, &domains)?;
    if args.keys {
        let folder = args.dir.join(KEYS);
        fs::create_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(|error| cannot(&folder, &error))?;
    }
    for path in &key_files {
        write_new(path, 0o600, &new_key()?)?;
    }
    write_new(&file, 0o666, &text)?;
    // What was written is what `run` reads.
    Config::load(&file).map_err(Failure::failed)?;
    tell(args, &file, &key_files);
    Ok(())
}

/// Whose keys the schemas ask for.
fn domains(contract: &Contract) -> BTreeSet<HmacDomain> {
    let columns = contract.tables().flat_map(|table| &table.columns);
    let hashed = columns.filter_map(|column| match &column.privacy {
        Privacy::Hmac(domain) => Some(domain.clone()),
        _ => None,
    });
    hashed.collect()
}

fn configuration(args: &InitArgs, domains: &BTreeSet<HmacDomain>) -> Result<String, Failure> {
    let dir = absolute(&args.dir)?;
    let place = |path: &Path| -> Result<toml::Value, Failure> {
        let path = absolute(path)?;
        // Beside the configuration, the two can move together.
        let shown = path.strip_prefix(&dir).unwrap_or(&path);
        Ok(shown.display().to_string().into())
    };
    let mut template = Template::documented();
    template.set("", "schemas", &place(&args.folders.schemas)?);
    template.set("", "queries", &place(&args.folders.queries)?);
    template.set("kafka", "brokers", &args.brokers.as_str().into());
    template.set("sources", "name", &args.source.as_str().into());
    let prefix = args
        .topic_prefix
        .clone()
        .unwrap_or_else(|| format!("{}.public.", args.source));
    template.set("sources", "topic_prefix", &prefix.into());
    if let Some(registry) = &args.registry {
        template.set("registry", "url", &registry.as_str().into());
    }
    if let Some(lake) = &args.lake {
        template.set("lake", "url", &lake.as_str().into());
    }
    if let Some(listen) = args.listen {
        template.set("http", "listen", &listen.to_string().into());
    }
    if args.keys {
        let keys = domains.iter().map(|domain| {
            // Absolute, as the folders above: the file may be copied elsewhere.
            let file = dir.join(KEYS).join(domain.as_str()).display().to_string();
            format!("{} = {{ file = {} }}", domain.as_str(), toml::Value::from(file))
        });
        template.replace_keys("keys.hmac", keys);
    }
    Ok(template.text())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| cannot(path, &error))
}

fn refuse_what_is_there<'a>(mut files: impl Iterator<Item = &'a PathBuf>) -> Result<(), Failure> {
    match files.find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(there(path)),
        None => Ok(()),
    }
}

fn there(path: &Path) -> Failure {
    Failure::refused(format!(
        "{} is there already, and nothing was written\nhint: name another folder, or move it away",
        path.display()
    ))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

/// A file that nobody had before, whatever happens meanwhile.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => there(path),
        _ => {
            // Half a key would be taken for one, and keep the next attempt from making it.
            let _ = fs::remove_file(path);
            cannot(path, &error)
        }
    })
}

/// A line of hexadecimal digits, from the system's own source of randomness.
fn new_key() -> Result<String, Failure> {
    let mut bytes = [0_u8; MINIMUM_KEY_BYTES];
    let filled = OsRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| Failure::failed(format!("no randomness to make a key of: {error}")))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digits + "\n")
}

fn tell(args: &InitArgs, file: &Path, keys: &[PathBuf]) {
    println!("{}", file.display());
    keys.iter().for_each(|path| println!("{}", path.display()));
    let config = file.display();
    println!("\nnext:");
    match args.keys {
        true => println!(
            "  keep a copy of {} apart: without the keys no identity can be matched",
            args.dir.join(KEYS).display()
        ),
        false => println!("  name the keys of the schemas under [keys.hmac]; `casewatch init --keys` makes new ones"),
    }
    println!("  casewatch check --config {config}");
    println!("  casewatch run --config {config}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Folders;
    use crate::failure::Code;

    fn args(dir: &Path) -> InitArgs {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        InitArgs {
            dir: dir.to_owned(),
            brokers: "broker:9092".to_owned(),
            source: "mosaic".to_owned(),
            topic_prefix: None,
            registry: Some("http://registry:8081/".parse().unwrap()),
            lake: Some("lake".to_owned()),
            listen: Some("127.0.0.1:9999".parse().unwrap()),
            keys: true,
            folders: Folders {
                schemas: root.join("schemas"),
                queries: root.join("queries"),
            },
        }
    }

    #[test]
    fn what_it_writes_is_a_configuration_with_every_key_that_the_schemas_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let args = args(&dir);
        run(&args).unwrap();
        let config = Config::load(&dir.join(CONFIGURATION)).unwrap();
        assert_eq!(config.kafka.brokers, "broker:9092");
        assert_eq!(config.http.listen.port(), 9999);
        assert!(config.lake.url.ends_with("new/lake"), "{}", config.lake.url);
        assert_eq!(config.sources[0].topic_prefix, "mosaic.public.");
        assert_eq!(config.registry.unwrap().url.as_str(), "http://registry:8081/");
        let contract = Contract::load(&config.schemas).unwrap();
        let wanted = domains(&contract);
        assert!(wanted.len() >= 4, "{wanted:?}");
        let named: BTreeSet<&str> = config.keys.hmac.keys().map(String::as_str).collect();
        assert_eq!(named, wanted.iter().map(HmacDomain::as_str).collect());
        let mut seen = BTreeSet::new();
        for (domain, secret) in &config.keys.hmac {
            let key = secret.read().unwrap();
            assert!(key.len() == 2 * MINIMUM_KEY_BYTES && seen.insert(key), "{domain}");
            let mode = fs::metadata(dir.join(KEYS).join(domain)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{domain}");
        }
    }

    #[test]
    fn nothing_is_written_over_nor_beside_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path());
        fs::write(folder.path().join(CONFIGURATION), "mine").unwrap();
        let refused = run(&args).unwrap_err();
        assert!(
            refused.code == Code::Refused && refused.message.contains("is there already"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(folder.path().join(CONFIGURATION)).unwrap(), "mine");
        assert!(!folder.path().join(KEYS).exists());
    }

    #[test]
    fn a_key_that_is_there_is_kept_and_no_configuration_is_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(KEYS)).unwrap();
        fs::write(folder.path().join(KEYS).join("child"), "old").unwrap();
        assert_eq!(run(&args(folder.path())).unwrap_err().code, Code::Refused);
        assert_eq!(
            fs::read_to_string(folder.path().join(KEYS).join("child")).unwrap(),
            "old"
        );
        assert!(!folder.path().join(CONFIGURATION).exists());
    }
}
