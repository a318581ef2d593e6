//! `casewatch verify`: proves a lake and the live engine over it.
//!
//! Three things are proved, from the lake alone. The ranges of offsets that commits recorded tile each partition, and
//! every offset that holds something stands once. Every table as the live engine folds it is what plain SQL over
//! history gives. And every metric gives the same samples over either. All at one place: the positions at which the
//! fold found each partition, so that a lake which is being written can be proved, too.
//!
//! A running instance is not asked: what it exports is of its own cut and its own clock, and an instance that is ahead
//! of the lake, as it should be, would differ without a fault.

mod account;
mod offsets;
mod report;
mod rows;
mod samples;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use casewatch_contract::{Contract, RecordedAt};
use casewatch_lake::Lake;
use casewatch_live::Cut;
use casewatch_metrics::Checked;
use casewatch_query::{AsOf, HistorySource, LakeHistory, PlainTable};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::VerifyArgs;
use crate::failure::Failure;
use crate::offline::{FoldedLake, open_lake};
use crate::past::{chosen, evaluate_with, load_over};
use crate::system::register_lake_tables;
use report::{Finding, Report};
use samples::Compared;

/// Sorting a table's history goes to disk beyond.
const SORT_MEMORY_BYTES: usize = 2 << 30;

/// Proves the lake; every difference is told, and counted in the exit code.
///
/// # Errors
/// What cannot be opened or read, and differences.
pub async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let contract = Arc::new(args.folders.contract()?);
    let lake = open_lake(&args.lake).await?;
    let bar = Bar::new(&contract);
    bar.begins("folding the lake");
    let fold = FoldedLake::of(&contract, &lake).await?;
    if let Some(reason) = &fold.cut.stopped {
        return Err(Failure::failed(reason));
    }
    let checked = load_over(&contract, &lake, &fold.cut, &args.folders.queries).await?;
    register_lake_tables(&checked.engine, &lake);
    let metrics = chosen(&checked, &args.names)?;
    let mut report = Report {
        lake: args.lake.clone(),
        read_up_to: AsOf(fold.cut.at).to_string(),
        ..Report::default()
    };
    let session = checked.engine.session(None, None);
    let expired_before = lake.dead_letters_expired_before().await.map_err(Failure::failed)?;
    let proof = offsets::prove(&session, &contract, &fold.positions, expired_before, |table| {
        bar.begins(&format!("offsets of {table}"));
    });
    let proof = proof.await?;
    report.totals = proof.totals;
    report.unknown_tables = proof.unknown_tables;
    report.findings.extend(proof.findings);
    let plain = plain_cut(&contract, &lake, &fold, &bar, &mut report).await?;
    bar.begins("metrics");
    let compared = compare_metrics(&checked, &metrics, &fold.cut, &plain).await;
    (report.metrics, report.samples) = (compared.metrics, compared.samples);
    report.without_value = compared.without_value;
    report.findings.extend(compared.findings);
    bar.ends();
    report.write(args.format, &mut std::io::stdout().lock())?;
    match report.findings.len() {
        0 => Ok(()),
        differences => Err(Failure::differences(format!(
            "{differences} differences found in {}\nhint: what each is and what to do stands in README.md, \"Proving a lake\"",
            args.lake
        ))),
    }
}

/// The cut by plain SQL over history; how its tables differ from the folded ones is told.
async fn plain_cut(
    contract: &Contract,
    lake: &Arc<Lake>,
    fold: &FoldedLake,
    bar: &Bar,
    report: &mut Report,
) -> Result<Arc<Cut>, Failure> {
    let history: Arc<dyn HistorySource> = Arc::new(LakeHistory(Arc::clone(lake)));
    let (mut tables, mut supplied, mut newest) = (BTreeMap::new(), BTreeSet::new(), RecordedAt(0));
    for table in contract.tables() {
        bar.begins(&format!("rows of {}", table.name));
        let plain = PlainTable::compute(&history, table, &fold.positions, SORT_MEMORY_BYTES).await;
        let plain = plain.map_err(Failure::failed)?;
        if let Some(folded) = fold.cut.tables.get(&table.name) {
            report
                .findings
                .extend(tables::compare(table, folded, &plain.present).await?);
        }
        report.tables += 1;
        report.rows += plain.present.rows as u64;
        newest = newest.max(plain.newest.unwrap_or(newest));
        if plain.ever_had_a_row {
            supplied.insert(table.name.clone());
        }
        tables.insert(table.name.clone(), Arc::new(plain.present));
    }
    if newest != fold.cut.at {
        report.findings.push(Finding::Cut {
            fold: fold.cut.at.to_string(),
            plain: newest.to_string(),
        });
    }
    Ok(Arc::new(Cut {
        tables,
        supplied,
        // Since when tables are known is the fold's word: the metrics are compared at a moment when they are.
        ..fold.cut.as_ref().clone()
    }))
}

async fn compare_metrics(
    checked: &Checked,
    metrics: &[casewatch_metrics::ReadyQuery],
    fold: &Arc<Cut>,
    plain: &Arc<Cut>,
) -> Compared {
    let as_of = AsOf(fold.at);
    let over_fold = evaluate_with(checked, metrics, fold, as_of).await;
    let over_plain = evaluate_with(checked, metrics, plain, as_of).await;
    let mut compared = Compared::default();
    for (fold, plain) in over_fold.iter().zip(&over_plain) {
        compared.take(fold, plain);
    }
    compared
}

/// What is being done, where standard error is a terminal.
struct Bar(ProgressBar);

impl Bar {
    /// The fold, each table twice, and the metrics.
    fn new(contract: &Contract) -> Self {
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos} of {len}").expect("the template is valid");
        let steps = 2 * contract.tables().count() as u64 + 2;
        let bar = ProgressBar::new(steps).with_style(style.progress_chars("=> "));
        Self(bar)
    }

    fn begins(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.inc(1);
    }

    fn ends(&self) {
        self.0.finish_and_clear();
    }
}
