//! The `casewatch` program: parse the command line, run the command, return its exit code.

mod access;
mod board;
mod cli;
mod config;
mod connections;
mod dead_letters;
#[cfg(feature = "embedded")]
mod demo;
#[cfg(feature = "embedded")]
mod embedded;
mod explain;
mod failure;
mod http;
mod lake_commands;
mod load;
mod maintenance;
mod offline;
mod opened;
mod own_past;
mod past;
mod publication;
#[cfg(test)]
mod published_tests;
mod queries;
mod run;
mod runtimes;
mod schema;
mod signals;
mod simulate;
mod sql;
mod system;
mod users;
mod verify;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};
use failure::Failure;
use opened::Opened;
use runtimes::{Handles, Runtimes};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log_json, cli.command.default_log_level());
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code as u8)
        }
    }
}

/// Libraries whose own logs say nothing to an operator, or what casewatch says better: the Kafka client hands over every
/// trouble besides logging it.
const QUIET: &str = ",buoyant_kernel=error,deltalake_core=error,object_store=warn,rdkafka=warn,librdkafka=off,\
                     tansu_broker=off,tansu_storage=off,\
                     tansu_service=off,tansu_sans_io=off";

/// Logs go to standard error; `RUST_LOG` chooses what is logged.
fn start_logging(json: bool, default_level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_level.to_owned() + QUIET));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people's eyes; in a file they are in the way of every search.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json {
        logs.json().init()
    } else {
        logs.with_target(false).init()
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let runtimes = Runtimes::new()?;
    let on = runtimes.handles();
    let outcome = on.queries.clone().block_on(run_command(command, on));
    runtimes.shut_down();
    outcome
}

async fn run_command(command: Command, on: Handles) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, on).await,
        #[cfg(feature = "embedded")]
        Command::Demo(args) => demo::run(args, on).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Load(args) => tokio::task::block_in_place(|| load::run(&args)),
        Command::Sql(args) => sql::run(args).await,
        Command::Metrics(args) => past::metrics(args).await,
        Command::Backfill(args) => past::backfill(args).await,
        Command::Explain(args) => explain::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Check(args) => queries::check(args).await,
        Command::Test(args) => queries::test(args).await,
        Command::Catalogue(args) => queries::catalogue(args).await,
        Command::User(command) => users::run(command),
        Command::Schema(command) => schema::run(command).await,
        Command::DeadLetters(command) => dead_letters::run(command).await,
        Command::Maintain(args) => maintenance::once(&Opened::load(&args.config.config).await?).await,
        Command::AcceptGap(args) => lake_commands::accept_gap(args).await,
        Command::Erase(args) => lake_commands::erase(args).await,
        Command::RotateKeys(args) => lake_commands::rotate_keys(args).await,
        Command::Backup(args) => lake_commands::backup(args).await,
        Command::Restore(args) => lake_commands::restore(args).await,
    }
}
