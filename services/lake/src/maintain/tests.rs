//! Maintenance beside writers and readers: the lake says the same before, while and after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use casewatch_contract::{Offset, system};
use datafusion::logical_expr::{Expr, col, lit};
use deltalake::kernel::Add;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;

use super::*;
use crate::faults::{Fault, FaultStore};
use crate::fixtures::*;
use crate::log::TableLog;

fn eager() -> MaintainOptions {
    MaintainOptions {
        small_files: 3,
        checkpoint_every: 4,
        ..MaintainOptions::default()
    }
}

async fn names(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
    listed.into_iter().map(|meta| meta.location.to_string()).collect()
}

#[tokio::test]
async fn compaction_makes_few_files_sorted_by_key_that_say_the_same() {
    let table = table();
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for step in 0..10 {
        writer
            .commit(vec![chunk(&table, 0, step * 20, step * 20 + 20)])
            .await
            .unwrap();
    }
    let before = lake.snapshot(table.clone()).await.unwrap().unwrap();
    let (merged, written) = compact(&lake, &table, &eager()).await.unwrap();
    assert_eq!((before.size().0, merged, written), (10, 10, 1));
    let after = lake.snapshot(table.clone()).await.unwrap().unwrap();
    assert_eq!((after.size().0, after.rows()), (1, before.rows()));
    let batches: Vec<_> = after
        .scan(Some(&["visit_id"]), &[])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            arrow::array::AsArray::as_string::<i32>(batch.column(0))
                .iter()
                .flatten()
                .map(str::to_owned)
        })
        .collect();
    assert!(ids.is_sorted() && ids.len() as u64 == before.rows());
    prove(&lake, &table, &BTreeMap::from([(0, 200)])).await;
    assert_eq!(
        compact(&lake, &table, &eager()).await.unwrap(),
        (0, 0),
        "one file is not merged again"
    );
}

#[tokio::test]
async fn compaction_checkpoints_clean_up_and_vacuum_beside_writers_lose_and_double_nothing() {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let table = table();
    let maintainer = lake_on(inner.clone()).await;
    let write = |number: i32| {
        let (inner, table) = (inner.clone(), table.clone());
        async move {
            let mut writer = lake_on(inner).await.writer(table.clone()).await.unwrap();
            for step in 0..30 {
                writer
                    .commit(vec![chunk(&table, number, step * 10, step * 10 + 10)])
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    let keep = async {
        for _ in 0..40 {
            compact(&maintainer, &table, &eager()).await.unwrap();
            checkpoint(&maintainer, &table.name, 4).await.unwrap();
            clean_log(&maintainer, &table.name, Duration::ZERO).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write(0), write(1), keep);
    checkpoint(&maintainer, &table.name, 1).await.unwrap();
    clean_log(&maintainer, &table.name, Duration::ZERO).await.unwrap();
    vacuum(&maintainer, &table.name, Duration::ZERO).await.unwrap();
    let fresh = lake_on(inner.clone()).await;
    prove(&fresh, &table, &BTreeMap::from([(0, 300), (1, 300)])).await;
    let data = names(&inner)
        .await
        .into_iter()
        .filter(|name| name.contains("visits/_recorded_month"))
        .count();
    let active = fresh.snapshot(table.clone()).await.unwrap().unwrap().size().0;
    assert_eq!(data, active, "vacuum leaves the active files only");
    assert!(
        fresh.log(&table.name).entries().await.unwrap().commits.len() < 10,
        "the log was cleaned"
    );
}

#[tokio::test]
async fn two_compactions_at_once_do_not_double_rows() {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let table = table();
    let (one, two) = (lake_on(inner.clone()).await, lake_on(inner.clone()).await);
    let mut writer = one.writer(table.clone()).await.unwrap();
    for step in 0..6 {
        writer
            .commit(vec![chunk(&table, 0, step * 20, step * 20 + 20)])
            .await
            .unwrap();
    }
    let options = eager();
    let (a, b) = tokio::join!(compact(&one, &table, &options), compact(&two, &table, &options));
    assert_eq!(a.unwrap().0 + b.unwrap().0, 6, "each file was merged once");
    prove(&lake_on(inner).await, &table, &BTreeMap::from([(0, 120)])).await;
}

#[tokio::test(start_paused = true)]
async fn a_compaction_that_fails_anywhere_changes_nothing_and_can_be_repeated() {
    for fault in [Fault::Before, Fault::After, Fault::Partial, Fault::Crash] {
        for at in 0..30 {
            let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let table = table();
            let healthy = lake_on(inner.clone()).await;
            let mut writer = healthy.writer(table.clone()).await.unwrap();
            for step in 0..4 {
                writer
                    .commit(vec![chunk(&table, 0, step * 10, step * 10 + 10)])
                    .await
                    .unwrap();
            }
            let store = FaultStore::new(inner.clone());
            let faulty = lake_on(store.clone()).await;
            store.arm(at, fault);
            let _ = compact(&faulty, &table, &eager()).await;
            prove(&healthy, &table, &BTreeMap::from([(0, 40)])).await;
            compact(&healthy, &table, &eager()).await.unwrap();
            prove(&healthy, &table, &BTreeMap::from([(0, 40)])).await;
        }
    }
}

#[tokio::test]
async fn a_zombie_that_slept_through_a_clean_up_commits_nothing_into_the_void() {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let table = table();
    let lake = lake_on(inner.clone()).await;
    let mut zombie = lake_on(inner.clone()).await.writer(table.clone()).await.unwrap();
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for step in 0..5 {
        writer
            .commit(vec![chunk(&table, 0, step * 10, step * 10 + 10)])
            .await
            .unwrap();
    }
    assert!(checkpoint(&lake, &table.name, 1).await.unwrap());
    assert!(clean_log(&lake, &table.name, Duration::ZERO).await.unwrap() >= 5);
    let late = zombie
        .commit(vec![chunk(&table, 0, 0, 20), chunk(&table, 1, 0, 10)])
        .await
        .unwrap();
    assert_eq!(
        late.positions,
        [(partition(0), Offset(50)), (partition(1), Offset(10))].into()
    );
    prove(&lake, &table, &BTreeMap::from([(0, 50), (1, 10)])).await;
    prove(&lake_on(inner).await, &table, &BTreeMap::from([(0, 50), (1, 10)])).await;
}

#[tokio::test]
async fn a_checkpoint_opens_the_table_as_the_log_does() {
    let folder = tempfile::tempdir().unwrap();
    let table = table();
    let lake = lake_in(folder.path(), true).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for step in 0..3 {
        writer
            .commit(vec![chunk(&table, 0, step * 10, step * 10 + 10)])
            .await
            .unwrap();
    }
    compact(&lake, &table, &eager()).await.unwrap();
    let log = lake.log(&table.name);
    let whole = log.load().await.unwrap().unwrap();
    assert!(checkpoint(&lake, &table.name, 1).await.unwrap());
    assert!(
        !checkpoint(&lake, &table.name, 1).await.unwrap(),
        "there is nothing new to checkpoint"
    );
    clean_log(&lake, &table.name, Duration::ZERO).await.unwrap();
    let short = log.load().await.unwrap().unwrap();
    assert_eq!(
        (short.version, &short.transactions),
        (whole.version, &whole.transactions)
    );
    assert_eq!(format!("{:?}", short.files), format!("{:?}", whole.files));
    assert_eq!(short.removed, whole.removed);
    prove(&lake_in(folder.path(), false).await, &table, &BTreeMap::from([(0, 30)])).await;
}

#[tokio::test]
async fn a_new_optional_column_widens_the_table_and_the_stream_goes_on() {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (narrow, wide) = (table(), wider_table());
    let lake = lake_on(inner.clone()).await;
    let mut old = lake.writer(narrow.clone()).await.unwrap();
    old.commit(vec![chunk(&narrow, 0, 0, 20)]).await.unwrap();
    let mut new = lake.writer(wide.clone()).await.unwrap();
    new.commit(vec![chunk(&wide, 0, 20, 40)]).await.unwrap();
    old.commit(vec![chunk(&narrow, 0, 40, 60)]).await.unwrap();
    prove(&lake, &wide, &BTreeMap::from([(0, 60)])).await;
    let snapshot = lake.snapshot(wide.clone()).await.unwrap().unwrap();
    assert_eq!(snapshot.provider().schema(), wide.lake_schema());
    let batches: Vec<_> = snapshot
        .scan(Some(&["seen_alone"]), &[])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let nulls: usize = batches.iter().map(|batch| batch.column(0).null_count()).sum();
    assert_eq!(nulls as u64, snapshot.rows(), "rows from before have the column, empty");
    assert_eq!(compact(&lake, &wide, &eager()).await.unwrap(), (3, 1));
    prove(&lake, &wide, &BTreeMap::from([(0, 60)])).await;
    prove(&lake, &narrow, &BTreeMap::from([(0, 60)])).await;
}

#[tokio::test]
async fn a_reader_whose_file_was_vacuumed_is_told_to_take_the_newest_snapshot() {
    let table = table();
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for step in 0..4 {
        writer
            .commit(vec![chunk(&table, 0, step * 10, step * 10 + 10)])
            .await
            .unwrap();
    }
    let pinned = lake.snapshot(table.clone()).await.unwrap().unwrap();
    compact(&lake, &table, &eager()).await.unwrap();
    let read: crate::error::Result<Vec<arrow::array::RecordBatch>> = pinned
        .scan(None, &[])
        .await
        .unwrap()
        .map_err(Into::into)
        .try_collect()
        .await;
    assert_eq!(
        read.unwrap().iter().map(|batch| batch.num_rows() as u64).sum::<u64>(),
        pinned.rows()
    );
    assert_eq!(vacuum(&lake, &table.name, Duration::ZERO).await.unwrap(), 4);
    let read: crate::error::Result<Vec<arrow::array::RecordBatch>> = pinned
        .scan(None, &[])
        .await
        .unwrap()
        .map_err(Into::into)
        .try_collect()
        .await;
    let gone = read.unwrap_err();
    assert!(gone.is_file_gone(), "{gone:?}");
    prove(&lake, &table, &BTreeMap::from([(0, 40)])).await;
}

#[tokio::test]
async fn statistics_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let table = table();
    let lake = lake_in(folder.path(), false).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 0, 40)]).await.unwrap();
    let log = lake.log(&table.name);
    let state = lake.state(&log).await.unwrap().unwrap();
    let add = state.files.values().next().unwrap();
    assert_eq!(add.stats.as_deref().map(|stats| stats.contains("child")), Some(false));
    let seen = with_minima(&log, add).await;
    assert_eq!((seen["_recorded_at"], seen["child_id"]), (true, false));
}

/// Whether a data file tells the least value of each column.
async fn with_minima(log: &TableLog, add: &Add) -> BTreeMap<String, bool> {
    let found = log.store.get(&Path::from(add.path.as_str())).await.unwrap();
    let reader = SerializedFileReader::new(found.bytes().await.unwrap()).unwrap();
    let columns = reader.metadata().row_group(0).columns().iter();
    let has_minimum = |column: &ColumnChunkMetaData| column.statistics().is_some_and(|s| s.min_bytes_opt().is_some());
    columns
        .map(|column| (column.column_path().string(), has_minimum(column)))
        .collect()
}

#[tokio::test]
async fn where_no_file_survives_a_filter_a_scan_has_a_partition_all_the_same() {
    let table = table();
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 0, 10)]).await.unwrap();
    let snapshot = lake.snapshot(table.clone()).await.unwrap().unwrap();
    let state = datafusion::prelude::SessionContext::new().state();
    let partitions = async |filter: Expr| {
        let plan = snapshot.provider().scan(&state, None, &[filter], None).await.unwrap();
        plan.properties().output_partitioning().partition_count()
    };
    let month = col(system::RECORDED_MONTH);
    assert_eq!(partitions(month.clone().not_eq(lit("1066-10"))).await, 1);
    // A window or a sort cannot be planned over a scan that has none.
    assert_eq!(partitions(month.eq(lit("1066-10"))).await, 1);
}
