//! How fast the lake takes rows: a second of writing large commits, and the time of a small commit as the table grows.
//! `write_rate [folder]`; prints medians. Run it on the profile and the disk that matter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use casewatch_contract::{Chunk, Offset, OffsetRange, PartitionId, Table, system};
use casewatch_lake::maintain::{self, MaintainOptions};
use casewatch_lake::{Lake, LakeConfig, TableWriter};
use url::Url;

const SCHEMA: &str = include_str!("../../../schemas/visits.avsc");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = folder.join(format!("casewatch-write-rate-{}", uuid::Uuid::new_v4()));
    for durable in [false, true] {
        measure(&folder.join(if durable { "durable" } else { "plain" }), durable).await?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn measure(folder: &std::path::Path, durable: bool) -> Result<(), Box<dyn std::error::Error>> {
    let table = Arc::new(Table::parse("visits.avsc", SCHEMA)?);
    let root = Url::from_directory_path(folder).map_err(|()| "the folder must be absolute")?;
    let lake = Lake::open(LakeConfig {
        durable,
        ..LakeConfig::at(root)
    })
    .await?;
    let mut writer = lake.writer(table.clone()).await?;
    let mut at = 0;
    let mut rates = Vec::new();
    for _ in 0..5 {
        let rows = 200_000;
        let chunk = chunk(&table, at, rows);
        let started = Instant::now();
        writer.commit(vec![chunk]).await?;
        rates.push(rows as f64 / started.elapsed().as_secs_f64());
        at += rows;
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "durable={durable}: {:.0} rows/s in commits of 200,000 rows (median of 5)",
        rates[2]
    );
    for (label, commits) in [("1-100", 100), ("101-300", 200), ("301-1000", 700)] {
        let took = small_commits(&mut writer, &table, &mut at, commits).await?;
        println!("durable={durable}: {took:?} a commit of ten rows, commits {label} (median), no maintenance");
    }
    let started = Instant::now();
    let merged = maintain::compact(&lake, &table, &MaintainOptions::default()).await?;
    println!(
        "durable={durable}: {:?} to compact {} files to {}",
        started.elapsed(),
        merged.0,
        merged.1
    );
    let started = Instant::now();
    maintain::checkpoint(&lake, &table.name, 1).await?;
    println!(
        "durable={durable}: {:?} to write and verify a checkpoint over 1,000 commits",
        started.elapsed()
    );
    let took = small_commits(&mut writer, &table, &mut at, 100).await?;
    println!("durable={durable}: {took:?} a commit of ten rows after maintenance (median)");
    Ok(())
}

async fn small_commits(
    writer: &mut TableWriter,
    table: &Table,
    at: &mut i64,
    commits: usize,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for _ in 0..commits {
        let chunk = chunk(table, *at, 10);
        let started = Instant::now();
        writer.commit(vec![chunk]).await?;
        times.push(started.elapsed());
        *at += 10;
    }
    times.sort();
    Ok(times[commits / 2])
}

fn chunk(table: &Table, from: i64, rows: i64) -> Chunk {
    let to = from + rows;
    Chunk {
        partition: PartitionId {
            cluster: "bench".into(),
            topic: "visits".into(),
            epoch: 0,
            partition: 0,
        },
        range: OffsetRange {
            from: Offset(from),
            to: Offset(to),
        },
        rows: batch(table, from, to),
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    }
}

fn batch(table: &Table, from: i64, to: i64) -> RecordBatch {
    let count = usize::try_from(to - from).unwrap_or(0);
    let text =
        |value: &dyn Fn(i64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((from..to).map(value))) };
    let times = || -> ArrayRef {
        let times = (from..to).map(|offset| 1_514_764_800_000_000 + offset * 1_000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let schema = table.lake_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "visit_id" | "case_id" | "worker_id" => text(&|offset| format!("{}-{}", field.name(), offset / 3)),
        "kind" => text(&|_| "child_protection".to_owned()),
        system::OP => text(&|_| "u".to_owned()),
        system::RECORDED_MONTH => text(&|_| "2018-01".to_owned()),
        system::RECORDED_AT | system::INGESTED_AT => times(),
        system::SEQ => {
            let seq = (from..to).map(|offset| [&[0_u8; 12][..], &offset.to_be_bytes()].concat());
            Arc::new(BinaryArray::from_iter_values(seq))
        }
        system::CLUSTER | system::TOPIC => text(&|_| "bench".to_owned()),
        system::EPOCH | system::PARTITION => Arc::new(Int32Array::from_value(0, count)),
        system::OFFSET => Arc::new(Int64Array::from_iter_values(from..to)),
        _ => new_null_array(field.data_type(), count),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the columns are the schema's")
}
