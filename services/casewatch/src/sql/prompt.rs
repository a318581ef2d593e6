//! The interactive prompt: history, completion of names, statements over several lines up to a semicolon.

use std::path::PathBuf;

use arrow::array::AsArray;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper, Highlighter, Hinter};

use super::output::write_batches;
use super::source::Source;
use crate::cli::OutputFormat;
use crate::failure::Failure;

const KEYWORDS: [&str; 22] = [
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "join",
    "left join",
    "count(*)",
    "as_of()",
    "explain",
    "show tables",
    "describe",
    "set casewatch.as_of",
    "set casewatch.known_at",
    "working_days_between(",
    "add_working_days(",
    "london_date(",
    "parameter(",
    "history.",
    "reference.",
    "quality.",
];

#[derive(Helper, Hinter, Highlighter)]
struct SqlHelper {
    names: Vec<String>,
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..position]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
            .map_or(0, |i| i + 1);
        let word = line[start..position].to_lowercase();
        let matches = self
            .names
            .iter()
            .filter(|name| !word.is_empty() && name.starts_with(&word));
        Ok((
            start,
            matches
                .map(|name| Pair {
                    display: name.clone(),
                    replacement: name.clone(),
                })
                .collect(),
        ))
    }
}

impl Validator for SqlHelper {
    /// A statement goes on over lines until its semicolon; a backslash command is one line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let complete =
            text.is_empty() || text.ends_with(';') || text.starts_with('\\') || matches!(text, "quit" | "exit");
        Ok(if complete {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Reads and runs statements until the end of input.
///
/// # Errors
/// A terminal that cannot be set up. A statement's error is shown and the prompt goes on.
pub async fn run(source: Source, format: OutputFormat) -> Result<(), Failure> {
    let mut editor: Editor<SqlHelper, FileHistory> = Editor::new().map_err(Failure::failed)?;
    let names = words(&source).await?;
    editor.set_helper(Some(SqlHelper { names }));
    let history = history_file();
    if let Some(file) = &history {
        // The first run has none.
        let _ = editor.load_history(file);
    }
    println!("casewatch sql. End a statement with a semicolon; \\d lists the tables, \\q quits.");
    loop {
        match editor.readline("casewatch> ") {
            Ok(line) => {
                let statement = line.trim().trim_end_matches(';').trim();
                let statement = match statement {
                    "" => continue,
                    "\\q" | "quit" | "exit" => break,
                    "\\d" | "\\dt" => "show tables",
                    statement => statement,
                };
                editor.add_history_entry(line.trim()).map_err(Failure::failed)?;
                let started = std::time::Instant::now();
                match source.query(statement).await {
                    Ok(answer) => {
                        answer.tell_note();
                        write_batches(&answer.batches, format, &mut std::io::stdout().lock())?;
                        let rows: usize = answer.batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
                        println!("{rows} rows in {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
                    }
                    Err(failure) => eprintln!("{failure}"),
                }
                // The instance follows its folder of queries, so names come and go. One that is away keeps the old.
                if let Ok(names) = words(&source).await {
                    editor.set_helper(Some(SqlHelper { names }));
                }
            }
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::failed(error)),
        }
    }
    if let Some(file) = &history {
        // A history that cannot be kept is no reason to fail.
        let _ = editor.save_history(file);
    }
    Ok(())
}

/// What is completed: words of SQL, and the tables and views as they are now.
async fn words(source: &Source) -> Result<Vec<String>, Failure> {
    let keywords = KEYWORDS.iter().map(|word| (*word).to_owned());
    Ok(keywords.chain(table_names(source).await?).collect())
}

async fn table_names(source: &Source) -> Result<Vec<String>, Failure> {
    let answer = source
        .query(
            "select table_schema, table_name from information_schema.tables where table_schema <> 'information_schema'",
        )
        .await?;
    let mut names = Vec::new();
    for batch in &answer.batches {
        let (schemas, tables) = (text(batch.column(0)), text(batch.column(1)));
        for (schema, table) in schemas.into_iter().zip(tables) {
            names.push(if schema == "public" {
                table
            } else {
                format!("{schema}.{table}")
            });
        }
    }
    Ok(names)
}

/// A text column's values, whichever of Arrow's string types it has.
fn text(column: &arrow::array::ArrayRef) -> Vec<String> {
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).expect("a name is text");
    column
        .as_string::<i32>()
        .iter()
        .map(|value| value.unwrap_or_default().to_owned())
        .collect()
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let folder = state.join("casewatch");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}
