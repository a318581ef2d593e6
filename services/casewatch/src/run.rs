//! `casewatch run`: the whole system, or some of its roles, until a signal.

use std::sync::Arc;

use crate::cli::RunArgs;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::runtimes::Handles;
use crate::signals::stop_on_signal;
use crate::system::System;

/// # Errors
/// What is refused at start, or what ended a role.
pub async fn run(args: RunArgs, on: Handles) -> Result<(), Failure> {
    let stop = stop_on_signal();
    let opened = Arc::new(Opened::load(&args.config.config).await?);
    let roles = args.only.into_iter().collect();
    System::start(opened, &roles, &on, stop).await?.until_stopped().await
}
