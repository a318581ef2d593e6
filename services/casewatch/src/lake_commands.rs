//! Commands on a lake that an operator gives: accept a gap, erase a subject, rotate keys, back up, restore.

use std::collections::BTreeSet;
use std::path::PathBuf;

use casewatch_contract::{HmacDomain, Offset, OffsetRange, PartitionId};
use casewatch_lake::{BackupSummary, Erasing, Subject};
use casewatch_live::Images;
use indicatif::ProgressBar;

use crate::cli::{AcceptGapArgs, BackupArgs, EraseArgs, LakeArgs, RestoreArgs};
use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::opened::{Opened, lake_config};
use crate::progress::{self, Spinner};

/// Moves a position over a range that is lost. It is recorded in `lake.gaps` with the reason.
///
/// # Errors
/// A partition the table has no position of, or an end below the position.
pub async fn accept_gap(args: AcceptGapArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let table = opened.table(&args.table)?;
    let partition: PartitionId = args.partition.parse().map_err(|_| {
        Failure::usage(format!(
            "`{}` is not a partition; expected cluster/topic/epoch/partition, such as main/TOPIC/0/2",
            args.partition
        ))
    })?;
    let writer = opened.lake.writer(table.clone()).await.map_err(Failure::failed)?;
    let from = *writer.positions().get(&partition).ok_or_else(|| {
        Failure::usage(format!(
            "table {} has no position of {partition}\nhint: casewatch sql \"select * from lake.positions\" lists them",
            args.table
        ))
    })?;
    if args.to <= from.0 {
        return Err(Failure::usage(format!(
            "the position is {}; expected an offset above it, got {}",
            from.0, args.to
        )));
    }
    let gap = OffsetRange {
        from,
        to: Offset(args.to),
    };
    opened
        .lake
        .accept_gap(table, &partition, gap, &args.reason)
        .await
        .map_err(Failure::failed)?;
    println!(
        "{partition}: offsets {} to {} are accepted as lost and recorded in lake.gaps",
        from.0, args.to
    );
    Ok(())
}

/// Erases everything of one subject, by the raw identifier that a file holds, and says what may remain.
///
/// # Errors
/// A domain that no schema has, a file that cannot be read, an erasure that was not confirmed.
pub async fn erase(args: EraseArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let domain = HmacDomain::new(args.domain.as_str());
    if !opened.keys.has(&domain) {
        return Err(Failure::usage(format!(
            "--domain {}: there is no key of it\nhint: the domains are those of keys.hmac in the configuration",
            args.domain
        )));
    }
    let text = std::fs::read_to_string(&args.identifier_file)
        .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", args.identifier_file.display())))?;
    let identifier = text.lines().next().unwrap_or_default().trim();
    if identifier.is_empty() {
        return Err(Failure::usage(format!(
            "{}: its first line is empty",
            args.identifier_file.display()
        )));
    }
    if !args.yes {
        return Err(Failure::refused(
            "an erasure cannot be undone; nothing was erased\nhint: erase the subject from backups, too; run it again with --yes",
        ));
    }
    let hash = opened.keys.apply(&domain, identifier);
    let raw = vec![identifier.as_bytes().to_vec()];
    let subject = Subject {
        domain: args.domain,
        hashes: BTreeSet::from([hash]),
        raw,
    };
    let bar = progress::of_files();
    let erasure = opened
        .lake
        .erase_told(&opened.contract, &subject, &|erasing| show(&bar, erasing))
        .await;
    bar.finish_and_clear();
    let erasure = erasure.map_err(Failure::failed)?;
    // After the list has grown: an image saved from now on knows of it.
    if let Some(root) = opened.config.image_root() {
        Images::discard_all(&root).map_err(Failure::failed)?;
    }
    for (table, rows) in &erasure.rows {
        println!("{table}: {rows} rows erased");
    }
    if erasure.rows.values().all(|rows| *rows == 0) {
        println!("no row was the subject's: is the identifier written as its source writes it?");
    }
    println!(
        "{} files rewritten, {} dead letters emptied",
        erasure.files, erasure.dead_letters
    );
    if erasure.audit_files > 0 {
        println!(
            "{} files of the audit log no longer name the subject",
            erasure.audit_files
        );
    }
    if erasure.unsearched_dead_letters > 0 {
        println!(
            "{} dead letters cannot be searched; they expire after 30 days",
            erasure.unsearched_dead_letters
        );
    }
    for (partition, below) in &erasure.in_kafka {
        println!("Kafka may still hold: {partition} below offset {}", below.0);
    }
    println!("a running instance forgets the subject within seconds, and saves its images anew");
    Ok(())
}

/// Moves the bar of an erasure.
fn show(bar: &ProgressBar, erasing: Erasing) {
    let (doing, done, of) = match erasing {
        Erasing::Searching { done, of } => ("searching".to_owned(), done, of),
        Erasing::Rewriting { done, of, rewritten } => (format!("erasing, {rewritten} rewritten"), done, of),
    };
    bar.set_length(of);
    bar.set_position(done);
    bar.set_message(doing);
}

/// Brings every stored identity to the keys as they are configured now: those the lake was written with, and new ones
/// after them.
///
/// # Errors
/// Keys of which the first are not the lake's, a lake that fails half way: run it again.
pub async fn rotate_keys(args: LakeArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let rotating = Spinner::new("bringing identities to the newest keys");
    let rotation = opened.lake.rotate_keys(&opened.contract).await;
    drop(rotating);
    let rotation =
        rotation.map_err(|error| Failure::failed(format!("{error}\nhint: run it again once this is mended")))?;
    // They hold identities of the old keys. Whoever loads one would refuse it; they need not stand for so long.
    if let Some(root) = opened.config.image_root() {
        Images::discard_all(&root).map_err(Failure::failed)?;
    }
    for (table, rows) in &rotation.rows {
        println!("{table}: {rows} rows brought to the newest keys");
    }
    println!("{} files rewritten", rotation.files);
    println!("whoever writes with fewer keys is refused from now on: restart every process with these");
    Ok(())
}

/// Copies the lake, the configuration file, the users file and every file that it names as a key, and says which keys are in it.
///
/// # Errors
/// A folder that is not empty, a file that cannot be read.
pub async fn backup(args: BackupArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let keys = Keys::of(&opened.config);
    let users = opened.config.access.users.clone();
    let files = [args.config.config.clone()].into_iter().chain(users).chain(keys.files);
    let files: Vec<PathBuf> = files.collect();
    let copying = Spinner::new("copying");
    let summary = opened.lake.backup(&args.to, &files).await.map_err(Failure::failed)?;
    drop(copying);
    say(&summary, &args.to);
    if !keys.covered.is_empty() {
        println!("it holds {}: keep it as you keep the keys", keys.covered.join(", "));
    }
    for missing in keys.missing {
        println!("it does not hold {missing}: keep that elsewhere, no identity can be matched without it");
    }
    Ok(())
}

/// Puts a backup back into the lake's place, which must be empty.
///
/// # Errors
/// A backup that is damaged, a place that is not empty.
pub async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config.config).map_err(Failure::usage)?;
    let copying = Spinner::new("copying");
    let summary = casewatch_lake::restore(&args.from, &lake_config(&config)?, &args.files_to)
        .await
        .map_err(Failure::failed)?;
    drop(copying);
    say(&summary, &args.from);
    println!("the configuration and keys are in {}", args.files_to.display());
    Ok(())
}

fn say(summary: &BackupSummary, folder: &std::path::Path) {
    let bytes: u64 = summary.files.values().map(|file| file.bytes).sum();
    println!(
        "{}: {} tables, {} files, {} bytes",
        folder.display(),
        summary.versions.len(),
        summary.files.len(),
        bytes
    );
}

/// The keys a configuration names: what a backup is worthless without.
#[derive(Debug, Default, PartialEq, Eq)]
struct Keys {
    /// Files that hold keys.
    files: Vec<PathBuf>,
    /// Configuration keys whose values are in the backup.
    covered: Vec<String>,
    /// Configuration keys whose values are not, and where they are.
    missing: Vec<String>,
}

impl Keys {
    fn of(config: &Config) -> Self {
        let hmac = config.keys.hmac.iter();
        let hmac = hmac.map(|(domain, secret)| (format!("keys.hmac.{domain}"), secret));
        let payload = config.lake.payload_key.iter();
        let payload = payload.map(|secret| ("lake.payload_key".to_owned(), secret));
        let mut keys = Self::default();
        for (name, secret) in hmac.chain(payload) {
            match secret {
                Secret::File { file } => {
                    keys.files.push(file.clone());
                    keys.covered.push(name);
                }
                // It stands in the configuration file.
                Secret::Plain(_) => keys.covered.push(name),
                Secret::Env { env } => keys.missing.push(format!("{name} (environment variable {env})")),
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_takes_keys_from_files_and_names_those_it_cannot_have() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = r#"
            [kafka]
            brokers = "localhost:9092"
            [[sources]]
            name = "mosaic"
            topic_prefix = "mosaic."
            order = "source"
            [keys.hmac]
            child = { file = "/keys/child" }
            household = { env = "HOUSEHOLD_KEY" }
            hr = "00"
            [lake]
            payload_key = { file = "/keys/payload" }
        "#;
        let keys = Keys::of(&Config::parse(text, &root).unwrap());
        assert_eq!(keys.files, [PathBuf::from("/keys/child"), "/keys/payload".into()]);
        assert_eq!(keys.covered, ["keys.hmac.child", "keys.hmac.hr", "lake.payload_key"]);
        assert_eq!(
            keys.missing,
            ["keys.hmac.household (environment variable HOUSEHOLD_KEY)"]
        );
    }
}
