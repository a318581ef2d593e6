//! Rotation of keys: whatever fails, whoever else writes, every value is hashed once more and only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use casewatch_contract::{Chunk, HmacKeys, Table, system};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::erase::Subject;
use crate::faults::{Fault, FaultStore};
use crate::fixtures::*;
use crate::maintain::{self, MaintainOptions};
use crate::privacy_tests::contract;
use crate::{Lake, LakeError};

/// The child who is erased before the rotation; the raw identifiers are those of the fixtures.
const ERASED: i64 = 3;

/// The first `count` keys of the domain `child`.
fn keys(count: usize) -> HmacKeys {
    let lines: Vec<String> = (0..count).map(|key| format!("{key:02x}").repeat(32)).collect();
    HmacKeys::none().with_lines("child".into(), &lines.join("\n")).unwrap()
}

async fn lake(store: &Arc<FaultStore>, count: usize) -> crate::error::Result<Arc<Lake>> {
    try_lake_with(store.clone(), keys(count)).await
}

/// A chunk as a decoder with these keys gives it.
fn decoded(table: &Table, keys: &HmacKeys, from: i64, to: i64) -> Chunk {
    let mut chunk = chunk(table, 0, from, to);
    let index = chunk.rows.schema_ref().index_of("child_id").unwrap();
    let raw = chunk.rows.column(index).as_string::<i32>();
    let hashed = raw.iter().map(|raw| raw.map(|raw| keys.apply(&"child".into(), raw)));
    let mut columns = chunk.rows.columns().to_vec();
    columns[index] = Arc::new(hashed.collect::<StringArray>()) as ArrayRef;
    chunk.rows = RecordBatch::try_new(chunk.rows.schema(), columns).unwrap();
    chunk
}

/// Sixty offsets in three commits under the first key, one child erased.
async fn written() -> Arc<dyn ObjectStore> {
    let (store, table) = (FaultStore::new(Arc::new(InMemory::new())), table());
    let lake = lake(&store, 1).await.unwrap();
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for at in [0, 20, 40] {
        writer
            .commit(vec![decoded(&table, &keys(1), at, at + 20)])
            .await
            .unwrap();
    }
    lake.erase(&contract(), &erased(&keys(1))).await.unwrap();
    (*store).copy().await
}

async fn copy_of(store: &Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    (*FaultStore::new(store.clone())).copy().await
}

fn erased(keys: &HmacKeys) -> Subject {
    Subject {
        domain: "child".into(),
        hashes: BTreeSet::from([keys.apply(&"child".into(), &child_of(ERASED))]),
        raw: Vec::new(),
    }
}

/// Every row stands as often as it should, under exactly `keys`, and the erased child has none.
async fn hold_against(lake: &Arc<Lake>, keys: &HmacKeys, end: i64) {
    let snapshot = lake.snapshot(table()).await.unwrap().unwrap();
    assert_eq!(snapshot.positions()[&partition(0)].0, end);
    let columns = [system::PARTITION, system::OFFSET, "child_id"];
    let rows = snapshot.scan(Some(&columns), &[]).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let mut found: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for batch in batches {
        assert!(
            batch
                .column(0)
                .as_primitive::<Int32Type>()
                .iter()
                .all(|at| at == Some(0))
        );
        let (offsets, children) = (
            batch.column(1).as_primitive::<Int64Type>(),
            batch.column(2).as_string::<i32>(),
        );
        for row in 0..batch.num_rows() {
            let child = children.value(row).to_owned();
            found.entry(offsets.value(row)).or_default().push(child);
        }
    }
    for offset in 0..end {
        let times = match kind(0, offset) {
            _ if child_of(offset) == child_of(ERASED) => 0,
            Kind::Row => 1,
            Kind::ChangeOfKey => 2,
            Kind::Dead | Kind::Tombstone | Kind::Hole => 0,
        };
        let expected = vec![keys.apply(&"child".into(), &child_of(offset)); times];
        assert_eq!(found.remove(&offset).unwrap_or_default(), expected, "offset {offset}");
    }
    assert_eq!(found, BTreeMap::new(), "rows beyond the position");
}

/// Objects that hold `needle`, in their bytes or in the Parquet that they are.
async fn objects_that_say(store: &FaultStore, needles: &[String]) -> Vec<Path> {
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
    let mut found = Vec::new();
    for path in listed.into_iter().map(|meta| meta.location) {
        let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
        if path.as_ref().ends_with(".parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes.clone()));
            // Half a file, which a failed put left, has no footer.
            if let Ok(reader) = reader {
                let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
                let mut json = arrow::json::LineDelimitedWriter::new(&mut bytes);
                json.write_batches(&batches.iter().collect::<Vec<_>>()).unwrap();
            }
        }
        let says = |needle: &String| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        if needles.iter().any(says) {
            found.push(path);
        }
    }
    found
}

fn pseudonyms(keys: &HmacKeys) -> Vec<String> {
    (0..10)
        .map(|child| keys.apply(&"child".into(), &child_of(child)))
        .collect()
}

/// A process rotates and fails; another with the old keys still writes, if it may; a third rotates to the end.
async fn survive(before: &Arc<dyn ObjectStore>, fault: Fault, at: i64) -> bool {
    let store = FaultStore::new(copy_of(before).await);
    let (table, contract) = (table(), contract());
    let rotating = lake(&store, 2).await.unwrap();
    store.operations.store(0, std::sync::atomic::Ordering::SeqCst);
    store.arm(at, fault);
    let outcome = rotating.rotate_keys(&contract).await;
    let reached = store.operations.load(std::sync::atomic::Ordering::SeqCst) > at;
    assert!(reached || outcome.is_ok(), "{outcome:?}");
    store.heal();
    let mut end = 60;
    match old_writer(&store, &table, end).await {
        Ok(()) => end += 20,
        Err(error) => assert!(error.is_about_keys(), "{error}"),
    }
    let lake = lake(&store, 2).await.unwrap();
    lake.rotate_keys(&contract).await.unwrap();
    hold_against(&lake, &keys(2), end).await;
    assert_eq!(
        objects_that_say(&store, &pseudonyms(&keys(1))).await,
        Vec::<Path>::new(),
        "{fault:?} at {at}"
    );
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer
        .commit(vec![decoded(&table, &keys(2), end, end + 20)])
        .await
        .unwrap();
    hold_against(&lake, &keys(2), end + 20).await;
    let refused = old_writer(&store, &table, end + 20).await.unwrap_err();
    assert!(
        refused.to_string().contains("went through 2 keys, this program has 1"),
        "{refused}"
    );
    reached
}

async fn old_writer(store: &Arc<FaultStore>, table: &Arc<Table>, from: i64) -> crate::error::Result<()> {
    let mut writer = lake(store, 1).await?.writer(table.clone()).await?;
    writer.commit(vec![decoded(table, &keys(1), from, from + 20)]).await?;
    Ok(())
}

#[tokio::test]
async fn a_fault_at_any_operation_of_a_rotation_hashes_nothing_twice_and_misses_nothing() {
    let before = written().await;
    for (fault, step) in [(Fault::Crash, 1), (Fault::After, 3), (Fault::Partial, 3)] {
        let mut at = 0;
        while survive(&before, fault, at).await {
            at += step;
        }
        assert!(at > 30, "{fault:?} reached only {at} operations");
    }
}

#[tokio::test]
async fn beside_a_rotation_old_keys_write_until_they_are_refused_and_new_ones_from_then_on() {
    let store = FaultStore::new(written().await);
    let (table, contract) = (table(), contract());
    let (old, new) = (lake(&store, 1).await.unwrap(), lake(&store, 2).await.unwrap());
    let mut writer = old.writer(table.clone()).await.unwrap();
    let writing = async {
        let mut end = 60;
        loop {
            match writer.commit(vec![decoded(&table, &keys(1), end, end + 5)]).await {
                Ok(_) => end += 5,
                Err(error) => {
                    assert!(error.is_about_keys(), "{error}");
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        let mut writer = new.writer(table.clone()).await.unwrap();
        for _ in 0..20 {
            writer
                .commit(vec![decoded(&table, &keys(2), end, end + 5)])
                .await
                .unwrap();
            end += 5;
        }
        end
    };
    let compacting = async {
        let options = MaintainOptions {
            small_files: 2,
            ..MaintainOptions::default()
        };
        for _ in 0..10 {
            maintain::compact(&old, &table, &options).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let rotating = lake(&store, 2).await.unwrap();
    let rotation = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        rotating.rotate_keys(&contract).await
    };
    let (end, (), rotation) = tokio::join!(writing, compacting, rotation);
    assert!(rotation.unwrap().files > 0);
    hold_against(&new, &keys(2), end).await;
    // Compaction in another process may have left a file of the old keys after the rotation looked; vacuum has it.
    maintain::vacuum(&new, &table.name, Duration::ZERO).await.unwrap();
    assert_eq!(
        objects_that_say(&store, &pseudonyms(&keys(1))).await,
        Vec::<Path>::new()
    );
}

#[tokio::test]
async fn an_erased_child_stays_erased_under_keys_of_any_later_generation() {
    let store = FaultStore::new(written().await);
    let (table, contract) = (table(), contract());
    for count in [2, 3] {
        let lake = lake(&store, count).await.unwrap();
        lake.rotate_keys(&contract).await.unwrap();
        let end = 40 + 20 * count as i64;
        hold_against(&lake, &keys(count), end - 20).await;
        let hash = keys(count).apply(&"child".into(), &child_of(ERASED));
        assert!(crate::Erased::load(&lake).await.unwrap().contains("child", &hash));
        let mut writer = lake.writer(table.clone()).await.unwrap();
        writer
            .commit(vec![decoded(&table, &keys(count), end - 20, end)])
            .await
            .unwrap();
        hold_against(&lake, &keys(count), end).await;
        assert_eq!(objects_that_say(&store, &[hash]).await, Vec::<Path>::new());
    }
    // From the first key to the third at once is the same.
    let store = FaultStore::new(written().await);
    let lake = lake(&store, 3).await.unwrap();
    assert!(lake.rotate_keys(&contract).await.unwrap().files > 0);
    hold_against(&lake, &keys(3), 60).await;
    assert_eq!(
        lake.rotate_keys(&contract).await.unwrap(),
        crate::Rotation::default(),
        "nothing is left to do"
    );
}

#[tokio::test]
async fn readers_writers_and_erasures_with_other_keys_are_refused_with_what_to_do() {
    let store = FaultStore::new(written().await);
    let (table, contract) = (table(), contract());
    let newer = lake(&store, 2).await.unwrap();
    let early = newer.snapshot(table.clone()).await.unwrap_err().to_string();
    assert!(early.contains("run `casewatch rotate-keys`"), "{early}");
    let early = newer.erase(&contract, &erased(&keys(2))).await.unwrap_err();
    assert!(early.is_about_keys(), "{early}");
    let foreign = HmacKeys::none().with_hex("child".into(), &"ff".repeat(32)).unwrap();
    let foreign = try_lake_with(store.clone(), foreign).await.unwrap();
    let other = foreign.writer(table.clone()).await.unwrap_err().to_string();
    assert!(other.contains("were hashed with another key"), "{other}");
    assert!(matches!(
        foreign.rotate_keys(&contract).await.unwrap_err(),
        LakeError::OtherKey { .. }
    ));

    let reader = lake(&store, 1).await.unwrap();
    reader.snapshot(table.clone()).await.unwrap();
    newer.rotate_keys(&contract).await.unwrap();
    let late = reader.snapshot(table.clone()).await.unwrap_err().to_string();
    assert!(late.contains("configure every key it went through"), "{late}");
    let late = reader.erase(&contract, &erased(&keys(1))).await.unwrap_err();
    assert!(late.is_about_keys(), "{late}");
    let late = reader.rotate_keys(&contract).await.unwrap_err();
    assert!(late.is_about_keys(), "{late}");
    let keyless = try_lake_on(store.clone()).await.unwrap();
    keyless.snapshot(table).await.unwrap();
}

#[tokio::test]
async fn half_a_rotation_is_read_by_nobody() {
    let before = written().await;
    let mut refused = 0;
    for at in (0..).step_by(3) {
        let store = FaultStore::new(copy_of(&before).await);
        let rotating = lake(&store, 2).await.unwrap();
        store.arm(at, Fault::Crash);
        let ended = rotating.rotate_keys(&contract()).await.is_ok();
        store.heal();
        let keyless = try_lake_on(store.clone()).await.unwrap();
        match keyless.snapshot(table()).await {
            Ok(Some(snapshot)) => {
                let rows: Vec<RecordBatch> = snapshot
                    .scan(Some(&["child_id"]), &[])
                    .await
                    .unwrap()
                    .try_collect()
                    .await
                    .unwrap();
                let children: BTreeSet<String> = rows
                    .iter()
                    .flat_map(|rows| rows.column(0).as_string::<i32>().iter().flatten())
                    .map(str::to_owned)
                    .collect();
                let of = |count: usize| children.iter().all(|child| pseudonyms(&keys(count)).contains(child));
                assert!(of(1) || of(2), "a mixture was read after {at} operations");
            }
            Ok(None) => panic!("the table is gone"),
            Err(error) => {
                assert!(matches!(error, LakeError::Rotating { .. }), "{error}");
                refused += 1;
            }
        }
        if ended {
            break;
        }
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn an_erasure_deletes_no_file_that_a_writer_is_about_to_commit() {
    let inner: Arc<dyn ObjectStore> = written().await;
    let (slow, other) = (FaultStore::new(inner.clone()), FaultStore::new(inner));
    let (table, contract) = (table(), contract());
    let mut writer = lake(&slow, 1).await.unwrap().writer(table.clone()).await.unwrap();
    let gate = slow.hold(".json");
    let writing = tokio::spawn({
        let table = table.clone();
        async move { writer.commit(vec![decoded(&table, &keys(1), 60, 80)]).await }
    });
    // The dead letters' commit comes first; the data's is the next one.
    gate.reached.notified().await;
    let data = slow.hold(".json");
    gate.open.notify_one();
    data.reached.notified().await;
    let lake = lake(&other, 1).await.unwrap();
    let again = lake.erase(&contract, &erased(&keys(1))).await.unwrap();
    data.open.notify_one();
    assert_eq!(again.rows.values().sum::<u64>(), 0);
    assert!(writing.await.unwrap().unwrap().rows > 0);
    hold_against(&lake, &keys(1), 80).await;
}

#[tokio::test]
async fn an_erasure_after_a_rotation_finds_the_pseudonym_of_before_it_in_the_audit_log() {
    let store = FaultStore::new(written().await);
    let contract = contract();
    let asked = |keys: &HmacKeys, child: i64| crate::AuditEntry {
        at: casewatch_contract::RecordedAt::now(),
        user: "ann".to_owned(),
        role: "analyst".to_owned(),
        surface: "sql",
        client: String::new(),
        action: format!("select '{}'", keys.apply(&"child".into(), &child_of(child))),
        reason: None,
        rows: 1,
        elapsed: Duration::ZERO,
        outcome: Ok(()),
    };
    let before = lake(&store, 1).await.unwrap();
    let entries = [asked(&keys(1), ERASED + 1), asked(&keys(1), ERASED + 2)];
    before
        .keep_audit(&contract, uuid::Uuid::new_v4(), &entries)
        .await
        .unwrap();
    let after = lake(&store, 2).await.unwrap();
    after.rotate_keys(&contract).await.unwrap();
    let subject = Subject {
        hashes: BTreeSet::from([keys(2).apply(&"child".into(), &child_of(ERASED + 1))]),
        ..erased(&keys(2))
    };
    assert_eq!(after.erase(&contract, &subject).await.unwrap().audit_files, 1);
    let said = |child: i64| vec![keys(1).apply(&"child".into(), &child_of(child))];
    assert_eq!(objects_that_say(&store, &said(ERASED + 1)).await, Vec::<Path>::new());
    assert_eq!(
        objects_that_say(&store, &said(ERASED + 2)).await.len(),
        1,
        "what others asked stays"
    );
}
