//! The `casewatch` program: parse the command line, run the command, return its exit code.

mod access;
#[cfg(test)]
mod access_tests;
mod board;
mod cli;
mod config;
mod connections;
mod dead_letters;
#[cfg(feature = "embedded")]
mod demo;
mod disk;
#[cfg(feature = "embedded")]
mod embedded;
mod explain;
mod failure;
mod gateway;
mod help;
mod http;
mod init;
mod lake_commands;
mod load;
mod logging;
mod maintenance;
mod offline;
mod opened;
mod own_past;
mod past;
mod progress;
mod publication;
#[cfg(test)]
mod published_tests;
mod queries;
mod readiness;
mod report;
mod run;
mod runtimes;
mod schema;
mod signals;
mod simulate;
mod sql;
mod status;
mod system;
mod users;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::FromArgMatches;

use cli::{Cli, Command};
use failure::Failure;
use opened::Opened;
use runtimes::{Handles, Runtimes};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&help::command().get_matches()).unwrap_or_else(|error| error.exit());
    logging::start(cli.log_json, cli.command.default_log_level());
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            ExitCode::from(failure.code as u8)
        }
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
        Command::Report(args) => report::run(args).await,
        Command::Explain(args) => explain::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Init(args) => init::run(&args),
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
        Command::Completions(args) => help::completions(&args),
        Command::Man(args) => help::man(&args),
    }
}
