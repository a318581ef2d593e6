//! `casewatch sql`: one statement or a prompt, over a running instance or straight over a lake.

mod output;
mod prompt;
mod source;

use std::io::Write;

use crate::cli::SqlArgs;
use crate::failure::Failure;

pub use output::write_batches;
pub use source::{AS_OF, KNOWN_AT, NOTE, NOW, Rows, Source, SqlRequest};

/// Runs the statement, or the prompt when there is none.
///
/// # Errors
/// An instance or lake that cannot be reached, or the statement's own error.
pub async fn run(args: SqlArgs) -> Result<(), Failure> {
    let source = Source::open(&args).await?;
    if args.assume_known {
        eprintln!(
            "note: rows of first snapshots count as always known (--assume-known); column _assumed_known says where an \
             answer rests on that"
        );
    }
    match &args.statement {
        Some(statement) => {
            let rows = source.query(statement).await?;
            rows.tell_note();
            let mut out = std::io::stdout().lock();
            write_batches(&rows.batches, args.format, &mut out)?;
            out.flush().map_err(Failure::output)
        }
        None => prompt::run(source, args.format).await,
    }
}
