//! How long a restart takes, and how much memory: 5 million events of 500,000 keys.
//!
//! `restart write FOLDER [events] [keys]` makes a lake, `restart read FOLDER` fills live tables from it and saves an
//! image, `restart image FOLDER` starts from the image. Each prints seconds and the process's peak memory.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use casewatch_contract::{Chunk, Contract, Offset, OffsetRange, PartitionId, Table};
use casewatch_lake::{Lake, LakeConfig};
use casewatch_live::{Images, LiveOptions, LiveSet, Origin};

const CHUNK_ROWS: usize = 100_000;

const SCHEMA: &str = r#"{"type": "record", "name": "things", "namespace": "bench", "doc": "Things.", "key": ["id"],
  "recorded_at": "recorded_at", "fields": [
  {"name": "id", "type": "string", "doc": "Key."},
  {"name": "parent_id", "type": "string", "doc": "Another key."},
  {"name": "team_id", "type": "string", "doc": "Few values."},
  {"name": "kind", "type": "string", "doc": "Few values."},
  {"name": "started_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "From."},
  {"name": "ended_at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null, "doc": "Until."},
  {"name": "authority", "type": "string", "doc": "Whose."},
  {"name": "source_system", "type": "string", "doc": "The feed."},
  {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When."}]}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(what), Some(folder)) = (arguments.first(), arguments.get(1)) else {
        return Err("restart write|read|image FOLDER [events] [keys]".into());
    };
    let events = arguments.get(2).map_or(Ok(5_000_000), |text| text.parse())?;
    let keys = arguments.get(3).map_or(Ok(500_000), |text| text.parse())?;
    fs::create_dir_all(folder)?;
    let folder = fs::canonicalize(folder)?;
    let contract = Contract::new(vec![("things.avsc".to_owned(), Table::parse("things.avsc", SCHEMA)?)])?;
    let started = Instant::now();
    match what.as_str() {
        "write" => write(&contract, &folder, events, keys).await?,
        "read" => read(&contract, &folder).await?,
        "image" => image(&contract, &folder).await?,
        other => return Err(format!("{other} is none of write, read, image").into()),
    }
    println!(
        "{what}: {:.2} s in all, peak {}",
        started.elapsed().as_secs_f64(),
        peak_memory()
    );
    Ok(())
}

async fn lake(folder: &Path) -> Result<Arc<Lake>, Box<dyn Error>> {
    let root = format!("file://{}/lake", folder.display()).parse()?;
    fs::create_dir_all(folder.join("lake"))?;
    Ok(Lake::open(LakeConfig::at(root)).await?)
}

async fn write(contract: &Contract, folder: &Path, events: usize, keys: usize) -> Result<(), Box<dyn Error>> {
    let table = contract.tables().next().ok_or("a table")?.clone();
    let mut writer = lake(folder).await?.writer(table.clone()).await?;
    for start in (0..events).step_by(CHUNK_ROWS) {
        let rows = CHUNK_ROWS.min(events - start);
        writer.commit(vec![chunk(&table, start, rows, keys)?]).await?;
    }
    Ok(())
}

async fn read(contract: &Contract, folder: &Path) -> Result<(), Box<dyn Error>> {
    let lake = lake(folder).await?;
    let (mut set, _) = LiveSet::new(contract, LiveOptions::default())?;
    let started = Instant::now();
    let positions = set.bootstrap_all(&lake).await?;
    set.follow_nothing();
    set.advance(Instant::now())?;
    let rows: usize = set.cut().tables.values().map(|present| present.rows).sum();
    println!(
        "ready in {:.2} s: {rows} rows, {} MiB, {} partitions",
        started.elapsed().as_secs_f64(),
        set.bytes() >> 20,
        positions.len()
    );
    println!("peak until ready {}", peak_memory());
    let started = Instant::now();
    let image = set.capture()?.ok_or("tables to save")?;
    println!("image taken in {:.3} s", started.elapsed().as_secs_f64());
    images(folder).save(image, &lake, None).await?;
    println!("image saved in {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn images(folder: &Path) -> Images {
    Images::new(&folder.join("images"), "bench", Origin::default())
}

async fn image(contract: &Contract, folder: &Path) -> Result<(), Box<dyn Error>> {
    let lake = lake(folder).await?;
    let (set, _) = LiveSet::new(contract, LiveOptions::default())?;
    let started = Instant::now();
    let (mut set, found) = images(folder).load(set, &lake).await?;
    if !found {
        return Err("there is no image that fits".into());
    }
    let positions = set.bootstrap_all(&lake).await?;
    set.follow_nothing();
    set.advance(Instant::now())?;
    let rows: usize = set.cut().tables.values().map(|present| present.rows).sum();
    println!(
        "ready in {:.2} s: {rows} rows, {} partitions",
        started.elapsed().as_secs_f64(),
        positions.len()
    );
    Ok(())
}

fn chunk(table: &Table, start: usize, rows: usize, keys: usize) -> Result<Chunk, Box<dyn Error>> {
    let numbers: Vec<usize> = (start..start + rows).collect();
    let offsets = numbers
        .iter()
        .map(|number| i64::try_from(*number))
        .collect::<Result<Vec<_>, _>>()?;
    let key = |number: usize| number.wrapping_mul(2_654_435_761) % keys;
    let text = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| of(*number))))
    };
    let same = |value: Option<&str>| -> ArrayRef { Arc::new(numbers.iter().map(|_| value).collect::<StringArray>()) };
    let time = || -> ArrayRef {
        let times = offsets.iter().map(|offset| 1_514_764_800_000_000 + offset * 15_000_000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let seq = |offset: &i64| {
        [
            &0_u32.to_be_bytes()[..],
            &offset.to_be_bytes()[..],
            &offset.to_be_bytes()[..],
        ]
        .concat()
    };
    let schema = table.lake_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "id" => text(&|number| format!("thing-{:08}", key(number))),
            "parent_id" => text(&|number| format!("{:032x}", key(number))),
            "team_id" => text(&|number| format!("team-{}", number % 60)),
            "_op" => same(Some("u")),
            "_recorded_month" => same(Some("2018-01")),
            "_seq" => Arc::new(BinaryArray::from_iter_values(offsets.iter().map(seq))),
            "_unset" | "_snapshot" => same(None),
            "_epoch" | "_partition" => Arc::new(Int32Array::from_iter_values(numbers.iter().map(|_| 0))),
            "_offset" => Arc::new(Int64Array::from(offsets.clone())),
            "started_at" | "ended_at" | "_recorded_at" | "_ingested_at" => time(),
            _ => same(Some("bench")),
        }
    });
    let rows_of_chunk = RecordBatch::try_new(schema.clone(), columns.collect())?;
    let partition: PartitionId = "bench/things/0/0".parse()?;
    let (from, to) = (Offset(i64::try_from(start)?), Offset(i64::try_from(start + rows)?));
    let range = OffsetRange { from, to };
    Ok(Chunk {
        partition,
        range,
        rows: rows_of_chunk,
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    })
}

fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "unknown".to_owned(), |peak| peak.trim().to_owned())
}
