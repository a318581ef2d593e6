//! How long a refresh of the whole catalogue takes over one authority.
//!
//! `refresh [rows] [history] [table=rows]...`: every table has `rows` rows that are still open and `history` times as
//! many in all (label-safe tables 50); made up from the contract alone. Prints medians in milliseconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use casewatch_contract::{Contract, RecordedAt, Table, TableName};
use casewatch_live::{Cut, Present, present_schema};
use casewatch_query::{AsOf, Clock, Engine, EngineConfig, Limits, Prepared};
use tokio::sync::watch;

const RUNS: usize = 11;
const DAY_US: i64 = 86_400_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let sizes: BTreeMap<String, usize> = arguments
        .extract_if(.., |argument| argument.contains('='))
        .map(|argument| size(&argument))
        .collect::<Result<_, _>>()?;
    let rows: usize = arguments.first().map_or(Ok(5_000), |text| text.parse())?;
    let history: usize = arguments.get(1).map_or(Ok(1), |text| text.parse())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let contract = Arc::new(Contract::load(&root.join("schemas"))?);
    let as_of: AsOf = "2019-10-17T12:00:00Z".parse()?;
    let mut tables = BTreeMap::new();
    for table in contract.tables() {
        let open = sizes
            .get(table.name.as_str())
            .copied()
            .unwrap_or(if table.label_safe { 50 } else { rows });
        tables.insert(
            table.name.clone(),
            Arc::new(made_up(table, open, open * history, as_of)?),
        );
    }
    let cut = Cut::of(as_of.0, tables);
    let (sender, cuts) = watch::channel(Arc::new(cut.clone()));
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts,
        queries: root.join("queries"),
        limits: Limits::default(),
        clock: Clock::Feed,
    };
    let engine = Engine::new(config).await?;
    for (view, error) in engine.broken_views() {
        println!("broken {view}: {error}");
    }
    let mut statements = Vec::new();
    for path in sql_files(&root.join("queries/metrics"))? {
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        match engine
            .prepare(fs::read_to_string(&path)?.trim().trim_end_matches(';'))
            .await
        {
            Ok(prepared) => statements.push((name, prepared)),
            Err(error) => println!("broken {name}: {error}"),
        }
    }
    println!(
        "{} views, {} statements, {rows} open rows a table, history x{history}",
        engine.views().count(),
        statements.len()
    );
    measure("first refresh", 1, |_| cut.clone(), &engine, &statements, as_of).await?;
    measure(
        "time moved a second",
        RUNS,
        |_| cut.clone(),
        &engine,
        &statements,
        as_of,
    )
    .await?;
    for name in cut.tables.keys() {
        let touched = |_| touch(&cut, name);
        measure(&format!("{name} changed"), 3, touched, &engine, &statements, as_of).await?;
    }
    slowest(&engine, &cut, as_of).await?;
    drop(sender);
    Ok(())
}

fn size(argument: &str) -> Result<(String, usize), Box<dyn Error>> {
    let (name, rows) = argument.split_once('=').ok_or("table=rows")?;
    Ok((name.to_owned(), rows.parse()?))
}

async fn measure(
    what: &str,
    runs: usize,
    cut: impl Fn(usize) -> Cut,
    engine: &Arc<Engine>,
    statements: &[(String, Prepared)],
    as_of: AsOf,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for run in 0..runs {
        let moved = if what.starts_with("time") {
            i64::try_from(run)? * 1_000_000
        } else {
            0
        };
        let refresh = engine.refresh(Arc::new(cut(run)), AsOf(RecordedAt(as_of.0.0 + moved)));
        let started = Instant::now();
        for (name, statement) in statements {
            if let Err(error) = statement.run(&refresh).await {
                println!("failed {name}: {error}");
            }
        }
        times.push(started.elapsed());
    }
    println!("{:>9.1} ms  {what}", millis(median(&mut times)));
    Ok(())
}

/// Each view on its own, what it reads being there already.
async fn slowest(engine: &Arc<Engine>, cut: &Cut, as_of: AsOf) -> Result<(), Box<dyn Error>> {
    let refresh = engine.refresh(Arc::new(cut.clone()), AsOf(RecordedAt(as_of.0.0 + 60_000_000)));
    let mut times = Vec::new();
    for name in engine.views().map(str::to_owned).collect::<Vec<_>>() {
        let started = Instant::now();
        match refresh.view(&name).await {
            Ok(present) => times.push((started.elapsed(), name, present.rows)),
            Err(error) => println!("failed {name}: {error}"),
        }
    }
    times.sort();
    for (time, name, rows) in times.into_iter().rev().take(15) {
        println!(
            "{:>9.1} ms  view {name}, {rows} rows (with views it is first to need)",
            millis(time)
        );
    }
    Ok(())
}

/// The same rows as a new present, as after a change.
fn touch(cut: &Cut, name: &TableName) -> Cut {
    let mut touched = cut.clone();
    if let Some(present) = touched.tables.get_mut(name) {
        *present = Arc::new(present.as_ref().clone());
    }
    touched
}

fn sql_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn made_up(table: &Table, open: usize, rows: usize, as_of: AsOf) -> Result<Present, Box<dyn Error>> {
    let schema = present_schema(table);
    let mut columns = Vec::new();
    for (position, field) in schema.fields().iter().enumerate() {
        columns.push(column(table, position, field, open, rows, as_of)?);
    }
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let batches = (0..rows)
        .step_by(8_192)
        .map(|start| batch.slice(start, 8_192.min(rows - start)))
        .collect();
    Ok(Present::new(schema, batches, 1))
}

fn column(
    table: &Table,
    position: usize,
    field: &Field,
    open: usize,
    rows: usize,
    as_of: AsOf,
) -> Result<ArrayRef, Box<dyn Error>> {
    let declared = table.columns.get(position);
    let is_key = table.key.contains(&position);
    let reference = table.references.iter().find(|reference| reference.column == position);
    // Optional values other than references are what an open row has not got yet.
    let optional = declared.is_some_and(|column| column.nullable && column.symbols.is_none()) && reference.is_none();
    let has_value = |row: usize| !(optional && row < open);
    let age_us = |row: usize| {
        let days = 1 + i64::try_from((row.wrapping_mul(7_919) + position * 31) % 600).unwrap_or(1);
        if optional { days * DAY_US / 4 } else { days * DAY_US }
    };
    let moment = |row: usize| has_value(row).then(|| as_of.0.0 - age_us(row));
    let day = |row: usize| moment(row).and_then(|moment| i32::try_from(moment / DAY_US).ok());
    let mixed = |row: usize| row.wrapping_mul(2_654_435_761) >> 7;
    Ok(match field.data_type() {
        DataType::Utf8 => {
            let value = |row: usize| {
                if let Some(symbols) = declared.and_then(|column| column.symbols.as_ref()) {
                    return symbols[mixed(row) % symbols.len()].clone();
                }
                match (is_key, reference) {
                    (true, _) => format!("{}-{row}", table.key_columns().next().map_or("", |key| &key.name)),
                    (_, Some(_)) => format!("{}-{}", field.name(), row),
                    _ if field.name().ends_with("_id") => format!("{}-{}", field.name(), mixed(row) % 50),
                    _ => format!("{}-{}", field.name(), mixed(row) % 3),
                }
            };
            Arc::new(
                (0..rows)
                    .map(|row| has_value(row).then(|| value(row)))
                    .collect::<StringArray>(),
            )
        }
        DataType::Date32 => Arc::new((0..rows).map(day).collect::<Date32Array>()),
        DataType::Timestamp(_, _) => Arc::new(
            (0..rows)
                .map(moment)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        DataType::Boolean => Arc::new((0..rows).map(|row| Some(mixed(row) % 3 != 0)).collect::<BooleanArray>()),
        DataType::Int32 => Arc::new(
            (0..rows)
                .map(|row| i32::try_from(mixed(row) % 10).ok())
                .collect::<Int32Array>(),
        ),
        DataType::Int64 => Arc::new(
            (0..rows)
                .map(|row| i64::try_from(mixed(row) % 1_000).ok())
                .collect::<Int64Array>(),
        ),
        DataType::Decimal128(precision, scale) => Arc::new(
            Decimal128Array::from_iter_values((0..rows).map(|row| if row % 3 == 0 { 600 } else { 1_000 }))
                .with_precision_and_scale(*precision, *scale)?,
        ),
        other => return Err(format!("no values for {other}").into()),
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
