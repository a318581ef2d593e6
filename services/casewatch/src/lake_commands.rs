//! Commands on a lake that an operator gives: accept a gap, erase a subject, back up, restore.

use std::collections::BTreeSet;
use std::path::PathBuf;

use casewatch_contract::{HmacDomain, Offset, OffsetRange, PartitionId};
use casewatch_lake::{BackupSummary, Subject};
use casewatch_live::Images;

use crate::cli::{AcceptGapArgs, BackupArgs, EraseArgs, RestoreArgs};
use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::opened::{Opened, lake_config};

/// Moves a position over a range that is lost. It is recorded in `lake.gaps` with the reason.
///
/// # Errors
/// A partition the table has no position of, or an end below the position.
pub async fn accept_gap(args: AcceptGapArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let table = opened
        .contract
        .table(&args.table)
        .ok_or_else(|| Failure::usage(format!("no schema describes a table `{}`", args.table)))?;
    let partition: PartitionId = args
        .partition
        .parse()
        .map_err(|_| Failure::usage(format!("`{}` is not cluster/topic/epoch/partition", args.partition)))?;
    let writer = opened.lake.writer(table.clone()).await.map_err(Failure::failed)?;
    let from = *writer.positions().get(&partition).ok_or_else(|| {
        Failure::usage(format!(
            "table {} has no position of {partition}\nhint: select * from lake.positions",
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
            "there is no key of a domain `{}`\nhint: keys.hmac lists them",
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
            "an erasure cannot be undone; stop live readers' use of backups first\nhint: --yes",
        ));
    }
    let hash = opened.keys.apply(&domain, identifier);
    let raw = vec![identifier.as_bytes().to_vec()];
    let subject = Subject {
        domain: args.domain,
        hashes: BTreeSet::from([hash]),
        raw,
    };
    let erasure = opened
        .lake
        .erase(&opened.contract, &subject)
        .await
        .map_err(Failure::failed)?;
    // After the list has grown: an image saved from now on knows of it.
    if let Some(root) = opened.config.image_root() {
        Images::discard_all(&root).map_err(Failure::failed)?;
    }
    for (table, rows) in &erasure.rows {
        println!("{table}: {rows} rows erased");
    }
    println!(
        "{} files rewritten, {} dead letters emptied",
        erasure.files, erasure.dead_letters
    );
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

/// Copies the lake, the configuration file and every file that it names as a secret.
///
/// # Errors
/// A folder that is not empty, a file that cannot be read.
pub async fn backup(args: BackupArgs) -> Result<(), Failure> {
    let opened = Opened::load(&args.config.config).await?;
    let files = secret_files(&opened.config, args.config.config.clone());
    let summary = opened.lake.backup(&args.to, &files).await.map_err(Failure::failed)?;
    say(&summary, &args.to);
    println!("it holds the HMAC keys: keep it as you keep the keys");
    Ok(())
}

/// Puts a backup back into the lake's place, which must be empty.
///
/// # Errors
/// A backup that is damaged, a place that is not empty.
pub async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config.config).map_err(Failure::usage)?;
    let summary = casewatch_lake::restore(&args.from, &lake_config(&config)?, &args.files_to)
        .await
        .map_err(Failure::failed)?;
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

/// The configuration and the files it reads secrets from.
fn secret_files(config: &Config, path: PathBuf) -> Vec<PathBuf> {
    let secrets = config.keys.hmac.values().chain(config.lake.payload_key.iter());
    let files = secrets.filter_map(|secret| match secret {
        Secret::File { file } => Some(file.clone()),
        Secret::Plain(_) | Secret::Env { .. } => None,
    });
    std::iter::once(path).chain(files).collect()
}
