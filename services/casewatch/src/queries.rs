//! `casewatch check` and `casewatch test`: the schemas and the SQL files, without a running system.

use std::path::Path;
use std::sync::Arc;

use casewatch_contract::Contract;
use casewatch_live::{LiveOptions, LiveSet};
use casewatch_metrics::test_files::{load_tests, run_tests};
use casewatch_metrics::{Checked, Diagnostics};
use casewatch_query::{Clock, EngineConfig, Limits};

use crate::cli::{CheckArgs, TestArgs};
use crate::config::Config;
use crate::failure::Failure;

/// Says what is wrong where, or how much was checked.
///
/// # Errors
/// Any finding.
pub async fn check(args: CheckArgs) -> Result<(), Failure> {
    let (schemas, queries) = match &args.config {
        None => (args.schemas, args.queries),
        Some(path) => {
            let config = Config::load(path).map_err(Failure::usage)?;
            let contract = Contract::load(&config.schemas).map_err(Failure::usage)?;
            config.kafka(&contract).map_err(Failure::usage)?;
            (config.schemas, config.queries)
        }
    };
    let loaded = load(&schemas, &queries).await?;
    match loaded {
        Ok(checked) => {
            if !args.json {
                for view in &checked.unused_views {
                    println!("note: nothing reads view {view}");
                }
                let views = checked.catalogue.views.len();
                println!("{} metrics over {views} views check", checked.queries.len());
            }
            Ok(())
        }
        Err(faults) if args.json => {
            for fault in &faults.0 {
                println!("{}", serde_json::to_string(fault).map_err(Failure::failed)?);
            }
            Err(Failure::failed(format!("{} findings", faults.0.len())))
        }
        Err(faults) => Err(Failure::failed(faults)),
    }
}

/// Runs the tests of `queries/tests`.
///
/// # Errors
/// A file that does not check, or a test that fails.
pub async fn test(args: TestArgs) -> Result<(), Failure> {
    let checked = load(&args.schemas, &args.queries).await?.map_err(Failure::failed)?;
    let files = load_tests(&args.queries).map_err(Failure::failed)?;
    let run = run_tests(&files, &checked, args.filter.as_deref().unwrap_or_default()).await;
    println!("{}", run.report());
    match run.failed() {
        0 => Ok(()),
        failed => Err(Failure::differences(format!("{failed} tests failed"))),
    }
}

/// Reads and checks schemas and queries, over no tables.
///
/// # Errors
/// Schemas that cannot be read; what is wrong with the queries is the inner error.
pub async fn load(schemas: &Path, queries: &Path) -> Result<Result<Checked, Diagnostics>, Failure> {
    let contract = Arc::new(Contract::load(schemas).map_err(Failure::usage)?);
    let (_, cuts) = LiveSet::new(&contract, LiveOptions::default()).map_err(Failure::failed)?;
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts,
        queries: queries.to_owned(),
        limits: Limits::default(),
        clock: Clock::Feed,
    };
    Ok(casewatch_metrics::load(config).await)
}
