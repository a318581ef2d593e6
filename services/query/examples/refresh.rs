//! How long a refresh of the whole catalogue takes over made-up rows in the sizes of a real authority.
//!
//! `refresh [--authorities N] [--history N] [--views] [--json]`: an authority has about 5,000 open cases. Besides its
//! open rows a table holds those that ended in the last 600 days, twice as many; `--history 10` is ten times that
//! time and that many ended rows. `--views` adds what each view takes by itself. Medians, in milliseconds.

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

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 11;
const DAY_US: i64 = 86_400_000_000;

/// Open rows of one authority, in the proportions of a county.
const OPEN: [(&str, usize); 17] = [
    ("absences", 60),
    ("allocations", 6_000),
    ("assessments", 900),
    ("cases", 5_000),
    ("children", 6_000),
    ("conferences", 300),
    ("contracts", 500),
    ("feeds", 17),
    ("placements", 1_100),
    ("plans", 2_500),
    ("posts", 450),
    ("referrals", 400),
    ("supervisions", 2_000),
    ("teams", 50),
    ("transfers", 150),
    ("visits", 4_000),
    ("workers", 450),
];

struct Options {
    authorities: usize,
    history: usize,
    views: bool,
    json: bool,
}

impl Options {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            authorities: 1,
            history: 1,
            views: false,
            json: false,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || Ok::<usize, Box<dyn Error>>(arguments.next().ok_or("a number is missing")?.parse()?);
            match argument.as_str() {
                "--authorities" => options.authorities = number()?,
                "--history" => options.history = number()?,
                "--views" => options.views = true,
                "--json" => options.json = true,
                other => return Err(format!("unknown `{other}`; see the head of this file").into()),
            }
        }
        Ok(options)
    }

    fn size(&self, table: &str) -> Size {
        let listed = OPEN.iter().find(|(name, _)| *name == table);
        let per_authority = listed.map_or(100, |(_, rows)| *rows);
        let open = per_authority * self.authorities;
        // Teams and workers do not pile up as cases do.
        let ended = if per_authority <= 500 { open / 5 } else { open * 2 };
        Size {
            open,
            rows: open + ended * self.history,
        }
    }
}

/// Rows that are still open stand first.
#[derive(Clone, Copy)]
struct Size {
    open: usize,
    rows: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::of(std::env::args().skip(1))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let contract = Arc::new(Contract::load(&root.join("schemas"))?);
    let as_of: AsOf = "2019-10-17T12:00:00Z".parse()?;
    let mut tables = BTreeMap::new();
    for table in contract.tables() {
        tables.insert(table.name.clone(), Arc::new(made_up(table, &options, as_of)?));
    }
    let cut = Cut::of(as_of.0, tables);
    let (_sender, cuts) = watch::channel(Arc::new(cut.clone()));
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts,
        queries: root.join("queries"),
        limits: Limits::default(),
        clock: Clock::Feed,
        references: None,
    };
    let engine = Engine::new(config).await?;
    if let Some((view, error)) = engine.broken_views().iter().next() {
        return Err(format!("{view}: {error}").into());
    }
    let mut statements = Vec::new();
    for path in sql_files(&root.join("queries/metrics"))? {
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let sql = fs::read_to_string(&path)?;
        statements.push((name, engine.prepare(sql.trim().trim_end_matches(';')).await?));
    }
    let bench = Bench {
        engine,
        statements,
        as_of,
    };
    let every = |_: usize| cut.tables.keys().fold(cut.clone(), |cut, name| touch(&cut, name));
    let mut figures = vec![
        ("first".to_owned(), bench.measure(1, |_| cut.clone(), 0).await?),
        ("every table changed".to_owned(), bench.measure(RUNS, every, 0).await?),
        (
            "time moved".to_owned(),
            bench.measure(RUNS, |_| cut.clone(), 1_000_000).await?,
        ),
    ];
    for name in cut.tables.keys() {
        let took = bench.measure(5, |_| touch(&cut, name), 0).await?;
        figures.push((format!("{name} changed"), took));
    }
    if options.json {
        let figures: Vec<String> = figures
            .iter()
            .map(|(what, ms)| format!("{{\"what\":\"{what}\",\"ms\":{ms:.3}}}"))
            .collect();
        println!("[{}]", figures.join(","));
        return Ok(());
    }
    println!(
        "{} views, {} statements, {} authorities, history x{}, {} rows",
        bench.engine.views().count(),
        bench.statements.len(),
        options.authorities,
        options.history,
        cut.tables.values().map(|present| present.rows).sum::<usize>()
    );
    for (what, ms) in figures {
        println!("{ms:>9.1} ms  {what}");
    }
    if options.views {
        bench.print_views(&cut).await?;
    }
    Ok(())
}

struct Bench {
    engine: Arc<Engine>,
    statements: Vec<(String, Prepared)>,
    as_of: AsOf,
}

impl Bench {
    /// Median of refreshing every statement `runs` times, the clock moving by `step_us` each time.
    async fn measure(&self, runs: usize, cut: impl Fn(usize) -> Cut, step_us: i64) -> Result<f64, Box<dyn Error>> {
        let mut times = Vec::new();
        for run in 0..runs {
            let moved = i64::try_from(run)? * step_us;
            let as_of = AsOf(RecordedAt(self.as_of.0.0 + moved));
            let refresh = self.engine.refresh(Arc::new(cut(run)), as_of);
            let started = Instant::now();
            for (name, statement) in &self.statements {
                if let Err(error) = statement.run(&refresh).await {
                    return Err(format!("{name}: {error}").into());
                }
            }
            times.push(started.elapsed());
        }
        Ok(millis(median(&mut times)))
    }

    /// Each view on its own, what it reads being there already, when every table has changed.
    async fn print_views(&self, cut: &Cut) -> Result<(), Box<dyn Error>> {
        let names: Vec<String> = self.engine.views().map(str::to_owned).collect();
        let mut times: BTreeMap<&str, (Vec<Duration>, usize)> = BTreeMap::new();
        for _ in 0..5 {
            let touched = cut.tables.keys().fold(cut.clone(), |cut, name| touch(&cut, name));
            let refresh = self.engine.refresh(Arc::new(touched), self.as_of);
            for name in &names {
                let started = Instant::now();
                let present = refresh.view(name).await?;
                let (of_view, rows) = times.entry(name).or_default();
                of_view.push(started.elapsed());
                *rows = present.rows;
            }
        }
        let mut times: Vec<_> = times
            .into_iter()
            .map(|(name, (mut times, rows))| (median(&mut times), name, rows))
            .collect();
        times.sort();
        for (time, name, rows) in times.into_iter().rev().take(25) {
            println!("{:>9.2} ms  view {name}, {rows} rows", millis(time));
        }
        Ok(())
    }
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

fn made_up(table: &Table, options: &Options, as_of: AsOf) -> Result<Present, Box<dyn Error>> {
    let rows = options.size(table.name.as_str()).rows;
    let schema = present_schema(table);
    let mut columns = Vec::new();
    for (position, field) in schema.fields().iter().enumerate() {
        columns.push(column(table, position, field, options, as_of)?);
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
    options: &Options,
    as_of: AsOf,
) -> Result<ArrayRef, Box<dyn Error>> {
    let Size { open, rows } = options.size(table.name.as_str());
    let declared = table.columns.get(position);
    let is_key = table.key.contains(&position);
    let reference = table.references.iter().find(|reference| reference.column == position);
    // Optional values other than references are what an open row has not got yet.
    let optional = declared.is_some_and(|column| column.nullable && column.symbols.is_none()) && reference.is_none();
    let own_parent = reference.is_some_and(|reference| reference.table == table.name);
    let has_value = |row: usize| !(own_parent || optional && row < open);
    let ended_days = 600 * options.history;
    // What has ended lasted 40 days, and stands in the order in which it ended, as folding a history leaves it.
    let age_us = |row: usize| {
        let days = match row < open {
            true => (row.wrapping_mul(7_919) + position * 31) % 600,
            false => (rows - 1 - row) * ended_days / (rows - open),
        };
        let days = 1 + i64::try_from(days).unwrap_or(1);
        if optional { days * DAY_US } else { (days + 40) * DAY_US }
    };
    // Open rows belong to open ones of the table they name, ended to ended ones.
    let named = |row: usize| {
        let target = reference.map(|reference| options.size(reference.table.as_str()));
        match target {
            Some(target) if row < open || target.rows == target.open => row % target.open,
            Some(target) => target.open + (row - open) % (target.rows - target.open),
            None => row,
        }
    };
    let moment = |row: usize| has_value(row).then(|| as_of.0.0 - age_us(row));
    let day = |row: usize| moment(row).and_then(|moment| i32::try_from(moment / DAY_US).ok());
    let mixed = |row: usize| row.wrapping_mul(2_654_435_761) >> 7;
    Ok(match field.data_type() {
        DataType::Utf8 => {
            let value = |row: usize| {
                if let Some(symbols) = declared.and_then(|column| column.symbols.as_ref()) {
                    // Nearly every case is a child's.
                    if field.name() == "subject" {
                        return symbols[0].clone();
                    }
                    return symbols[mixed(row) % symbols.len()].clone();
                }
                match (is_key, reference) {
                    (true, _) => format!("{}-{row}", table.name),
                    (_, Some(reference)) => format!("{}-{}", reference.table, named(row)),
                    _ if field.name() == "authority" => format!("authority-{}", row % options.authorities),
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
