//! `casewatch load`: successive extracts of a source's tables -> changes on Kafka.
//!
//! **For.** Most councils can hand over an extract each night and no change capture. This compares each delivery with
//! the last one of its feed and writes what differs as Debezium would have: the rest of casewatch cannot tell.
//!
//! **Promises.**
//! - A delivery is used whole or not at all. One that is not complete, does not add up to its control totals, holds a
//!   value that does not fit, is not newer than the last, or has lost more rows than is believable, is refused before
//!   anything is sent; and it is sent in one transaction where the broker has them.
//! - Rows that only left the window are not deleted.
//! - A run that was cut off at any moment is made good by the next, be it of the same delivery or of a later one.
//!
//! **Never.** It shows no value of a file; it names no table and no column of the domain.
//!
//! In the order data meets them: [`args`], `manifest` (what the sender says), `extract` with `value` (files to typed
//! rows), `digest` and `state` (what is remembered), `diff` (what changed), `message`, `partition` and
//! `send` (to Kafka), `report`.

pub mod args;
mod diff;
mod digest;
mod extract;
mod manifest;
mod message;
mod partition;
mod report;
mod send;
mod settings;
mod state;
mod value;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casewatch_contract::{Contract, TableName};

use crate::cli::contract_in;
use crate::failure::Failure;
use crate::progress;
use args::{Described, LoadArgs};
use diff::Changes;
use extract::Problems;
use manifest::Manifest;
use message::Record;
use report::Outcome;
use send::{SendError, Target};
use state::{Access, State};

/// Loads a delivery and prints what it changed.
///
/// # Errors
/// A delivery that is refused; a folder or brokers that fail. The message says what may have been sent.
pub fn run(args: &LoadArgs) -> Result<(), Failure> {
    let settings = settings::Settings::of(args)?;
    let contract = contract_in(&settings.schemas)?;
    let (manifest, files) = describe(args, &contract)?;
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let mut state = State::open(&args.state, &manifest.feed, access)?;
    let plan = Plan::new(args, &contract, manifest, &files, &state)?;

    let refusal = plan.refusal(args);
    let outcome = match &refusal {
        Some(_) => Outcome::Refused,
        None if args.dry_run => Outcome::DryRun,
        None => {
            let target = settings.target(args, &plan.manifest)?;
            Outcome::Sent(plan.carry_out(&mut state, &target)?)
        }
    };
    plan.print(args, &outcome);
    refusal.map_or(Ok(()), Err)
}

/// The manifest and the files of a delivery: a folder with both, or files described by options.
fn describe(args: &LoadArgs, contract: &Contract) -> Result<(Manifest, Vec<PathBuf>), Failure> {
    match args.paths.as_slice() {
        [folder] if folder.is_dir() => {
            if !args.described.is_empty() {
                let place = Described::place(Some(folder));
                return Err(Failure::usage(format!(
                    "{place} describes the delivery; the options that do are for files"
                )));
            }
            let manifest = Manifest::read(folder, contract)?;
            Ok((manifest, files_in(folder)?))
        }
        files => {
            if let Some(folder) = files.iter().find(|file| file.is_dir()) {
                return Err(Failure::usage(format!(
                    "{} is a folder; expected one folder, or files",
                    folder.display()
                )));
            }
            if let Some(missing) = files.iter().find(|file| !file.exists()) {
                return Err(Failure::usage(format!(
                    "{} is not there\nhint: name a delivery's folder, or its files",
                    missing.display()
                )));
            }
            let stated = args.described.to_manifest().map_err(Failure::usage)?;
            Ok((
                Manifest::check(&stated, &Described::place(None), contract)?,
                files.to_vec(),
            ))
        }
    }
}

/// The extracts in a folder, by name.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::failed(format!("{}: cannot be read: {error}", folder.display()));
    let entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable)?;
    let mut files: Vec<_> = entries
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|file| extract::is_extract(file))
        .collect();
    files.sort();
    Ok(files)
}

/// A delivery read, checked and compared with the last one.
struct Plan {
    manifest: Manifest,
    delivery: Vec<Changes>,
    record: Record,
    /// Tables of the feed that this delivery does not hold.
    absent: Vec<String>,
}

impl Plan {
    fn new(
        args: &LoadArgs,
        contract: &Contract,
        manifest: Manifest,
        files: &[PathBuf],
        state: &State,
    ) -> Result<Self, Failure> {
        let mut problems = Problems::default();
        let files = extract::files_of_tables(files, contract, &mut problems);
        for table in manifest
            .rows
            .keys()
            .filter(|&name| !files.iter().any(|(_, table)| table.name == *name))
        {
            let place = args.paths.first().map_or(Path::new(""), PathBuf::as_path);
            problems.add(
                place,
                0,
                "",
                format!("no file for {table}, of which the control totals say there is one"),
            );
        }
        if files.is_empty() {
            problems.add(
                &args.paths[0],
                0,
                "",
                "no extracts; expected files such as TABLE.csv or TABLE.parquet",
            );
        }
        let reading = progress::of_bytes("reading", extract::bytes_of(&files));
        let mut delivery = Vec::with_capacity(files.len());
        for (file, table) in &files {
            let before = state.before(table)?;
            check_newer(table, &manifest, &before)?;
            if let Some(extract) = extract::read(file, table, &manifest, &args.ignore, &mut problems, &reading) {
                delivery.push(Changes::between(extract, &before, manifest.window(&table.name)));
            }
        }
        reading.finish_and_clear();
        if problems.count > 0 {
            let count = problems.count;
            return Err(Failure::refused(format!(
                "the delivery cannot be read, so nothing was sent ({count} {})\n{problems}",
                if count == 1 { "problem" } else { "problems" }
            )));
        }
        let record = Record::new(&delivery, &manifest, contract)?;
        let is_absent = |name: &&TableName| !delivery.iter().any(|changes| changes.extract.table.name == **name);
        let absent = state.tables().filter(is_absent).map(TableName::to_string).collect();
        Ok(Self {
            manifest,
            delivery,
            record,
            absent,
        })
    }

    /// Why the delivery is not believable, unless it was accepted.
    fn refusal(&self, args: &LoadArgs) -> Option<Failure> {
        let mut shrunk = Vec::new();
        for changes in self
            .delivery
            .iter()
            .filter(|changes| changes.shrunk_percent() > args.max_shrink)
        {
            let (name, before, after) = (
                &changes.extract.table.name,
                changes.before,
                changes.extract.rows.num_rows(),
            );
            shrunk.push(format!(
                "{name}: {before} -> {after} rows, {:.1} % fewer",
                changes.shrunk_percent()
            ));
        }
        if shrunk.is_empty() {
            return None;
        }
        if args.accept {
            tracing::warn!("shrinking accepted: {}", shrunk.join("; "));
            return None;
        }
        Some(Failure::refused(format!(
            "the delivery has lost more than {} % of a table, so nothing was sent\n{}\nhint: look whether it was cut off; if it is right, load it again with --accept",
            args.max_shrink,
            shrunk.join("\n")
        )))
    }

    /// Remembers the delivery as pending, sends it, and remembers it as sent.
    fn carry_out(&self, state: &mut State, target: &Target) -> Result<send::Sent, Failure> {
        let known: Vec<_> = self
            .delivery
            .iter()
            .map(|changes| (Arc::clone(&changes.extract.table), &changes.known))
            .collect();
        let nothing = |problem| {
            Failure::failed(format!(
                "nothing was sent: {problem}\nhint: load the delivery again once that is mended"
            ))
        };
        let partitions = send::make_topics(target, &self.tables()).map_err(nothing)?;
        state.stage(self.manifest.as_at, &known)?;
        let messages = message::messages(&self.delivery, &self.record, &self.manifest, &partitions);
        let sending = progress::of_about("sending", self.delivery.iter().map(Changes::count).sum());
        let sent = send::send(target, &self.manifest.feed, sending.wrap_iter(messages));
        sending.finish_and_clear();
        match sent {
            Ok(sent) => {
                state.confirm()?;
                Ok(sent)
            }
            Err(SendError::Nothing(problem)) => {
                state.withdraw()?;
                Err(nothing(problem))
            }
            Err(SendError::Unknown(problem)) => Err(Failure::failed(format!(
                "the delivery may have been sent in part: {problem}\nhint: load it again: what has arrived does no harm twice"
            ))),
        }
    }

    /// The tables that are written to.
    fn tables(&self) -> BTreeSet<TableName> {
        let delivered = self.delivery.iter().map(|changes| changes.extract.table.name.clone());
        delivered.chain([self.record.table().clone()]).collect()
    }

    fn print(&self, args: &LoadArgs, outcome: &Outcome) {
        match args.json {
            true => println!(
                "{}",
                report::for_programs(&self.delivery, &self.absent, &self.manifest, outcome)
            ),
            false => println!(
                "{}",
                report::for_people(&self.delivery, &self.absent, &self.manifest, outcome)
            ),
        }
    }
}

/// Refuses an extract that is not newer than the last. That of a delivery which was cut off may come again.
fn check_newer(table: &casewatch_contract::Table, manifest: &Manifest, before: &state::Before) -> Result<(), Failure> {
    let as_at = manifest.as_at;
    let last = before
        .as_at
        .filter(|last| as_at <= *last)
        .or(before.pending_as_at.filter(|last| as_at < *last));
    match last {
        None => Ok(()),
        Some(last) => Err(Failure::refused(format!(
            "the delivery is as at {as_at}, and {} was delivered as at {last}, so nothing was sent\nhint: deliveries are loaded once and in their order",
            table.name
        ))),
    }
}
