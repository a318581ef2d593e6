//! RULES 1 to 5 under faults: whatever fails, wherever a process dies, whoever competes, every offset stands once.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use casewatch_contract::{Chunk, Offset, Table};

use crate::faults::{Fault, FaultStore};
use crate::fixtures::*;
use crate::{Lake, TableWriter};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn chunks(table: &Table, ranges: &[(i32, i64, i64)]) -> Vec<Chunk> {
    ranges
        .iter()
        .map(|&(number, from, to)| chunk(table, number, from, to))
        .collect()
}

fn ends<const N: usize>(ends: [(i32, i64); N]) -> BTreeMap<i32, i64> {
    BTreeMap::from(ends)
}

#[tokio::test]
async fn data_and_positions_are_one_fact_and_positions_survive_reopening() {
    let (store, table) = (memory(), table());
    let lake = lake_on(store.clone()).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let committed = writer
        .commit(chunks(&table, &[(0, 0, 50), (1, 0, 30), (0, 50, 100)]))
        .await
        .unwrap();
    assert_eq!(
        committed.positions,
        [(partition(0), Offset(100)), (partition(1), Offset(30))].into()
    );
    assert_eq!(committed.discarded, 0);
    prove(&lake, &table, &ends([(0, 100), (1, 30)])).await;
    let again = lake_on(store).await.writer(table.clone()).await.unwrap();
    assert_eq!(again.positions()[&partition(0)], Offset(100));
}

#[tokio::test]
async fn a_second_writer_of_the_same_rows_drops_them_and_learns_the_position() {
    let (store, table) = (memory(), table());
    let lake = lake_on(store.clone()).await;
    let mut first = lake.writer(table.clone()).await.unwrap();
    let mut zombie = lake_on(store).await.writer(table.clone()).await.unwrap();
    first.commit(chunks(&table, &[(0, 0, 100)])).await.unwrap();
    let overlap = zombie.commit(chunks(&table, &[(0, 0, 60)])).await.unwrap();
    assert_eq!((overlap.rows, overlap.positions[&partition(0)]), (0, Offset(100)));
    let beyond = zombie.commit(chunks(&table, &[(0, 60, 130)])).await.unwrap();
    assert_eq!(beyond.positions[&partition(0)], Offset(130));
    prove(&lake, &table, &ends([(0, 130)])).await;
}

#[tokio::test]
async fn rows_that_do_not_follow_the_position_are_discarded_with_the_place_to_seek_to() {
    let (store, table) = (memory(), table());
    let lake = lake_on(store).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(chunks(&table, &[(0, 0, 40)])).await.unwrap();
    let ahead = writer.commit(chunks(&table, &[(0, 50, 80)])).await.unwrap();
    assert_eq!((ahead.rows, ahead.positions[&partition(0)]), (0, Offset(40)));
    assert!(ahead.discarded > 0);
    prove(&lake, &table, &ends([(0, 40)])).await;
}

#[tokio::test]
async fn a_restored_lake_sends_its_writer_back_and_takes_the_rows_again() {
    let table = table();
    let store = FaultStore::new(memory());
    let lake = lake_on(store.clone()).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let nothing = store.copy().await;
    writer.commit(chunks(&table, &[(0, 0, 40)])).await.unwrap();
    let backup = store.copy().await;
    writer.commit(chunks(&table, &[(0, 40, 80), (1, 0, 10)])).await.unwrap();
    store.replace(backup);
    let back = writer
        .commit(chunks(&table, &[(0, 80, 90), (1, 10, 20)]))
        .await
        .unwrap();
    assert_eq!(
        back.positions,
        [(partition(0), Offset(40))].into(),
        "partition 1 is gone: start at the log's beginning"
    );
    assert_eq!(back.rows, 0);
    store.replace(nothing);
    let back = writer.commit(chunks(&table, &[(0, 40, 50)])).await.unwrap();
    assert_eq!((back.rows, back.positions.len()), (0, 0));
}

#[tokio::test]
async fn chunks_that_do_not_account_for_each_offset_are_refused() {
    let table = table();
    let lake = lake_on(memory()).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let mut short = chunk(&table, 0, 0, 50);
    short.tombstones += 1;
    let refused = writer.commit(vec![short]).await.unwrap_err();
    assert!(
        refused.to_string().contains("does not account for each offset"),
        "{refused}"
    );
    let refused = writer
        .commit(chunks(&table, &[(0, 0, 10), (0, 11, 20)]))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("not contiguous"), "{refused}");
}

#[tokio::test]
async fn two_writers_that_create_the_table_at_once_both_succeed() {
    let (store, table) = (memory(), table());
    let first = lake_on(store.clone()).await;
    let second = lake_on(store).await;
    let (a, b) = tokio::join!(first.writer(table.clone()), second.writer(table.clone()));
    let (mut a, mut b) = (a.unwrap(), b.unwrap());
    let (x, y) = tokio::join!(
        a.commit(chunks(&table, &[(0, 0, 50)])),
        b.commit(chunks(&table, &[(1, 0, 50)]))
    );
    x.unwrap();
    y.unwrap();
    prove(&first, &table, &ends([(0, 50), (1, 50)])).await;
}

#[tokio::test]
async fn a_dead_letter_committed_before_a_crash_stays_one_though_the_decoder_was_mended() {
    let (store, table) = (memory(), table());
    let lake = lake_on(store.clone()).await;
    let mut dead = crate::dead_letters::DeadLetterLog::open(&lake).await.unwrap();
    let mut before = crate::run::gather(chunks(&table, &[(0, 0, 20)])).unwrap();
    dead.settle(&table.name, &mut before).await.unwrap();
    // Offsets 1 and 5 died before the crash; now 5 is a row.
    let standing: Vec<i64> = before[0].standing.iter().copied().collect();
    let mended: Vec<i64> = (0..20).filter(|offset| *offset != standing[0]).collect();
    let chunk = Chunk {
        rows: rows(&table, 0, &mended),
        dead_letters: vec![dead_letter(0, standing[0])],
        tombstones: 0,
        holes: 0,
        ..chunk(&table, 0, 0, 20)
    };
    lake.writer(table.clone())
        .await
        .unwrap()
        .commit(vec![chunk])
        .await
        .unwrap();
    let stored = stored(&lake, &table).await;
    let letters = lake.dead_letters(&Default::default()).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.offset.0).collect::<Vec<_>>(),
        standing
    );
    assert!(standing.iter().all(|&offset| !stored.contains_key(&(0, offset))));
    assert_eq!(stored.len(), 20 - standing.len());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_half_way_leaves_no_stale_position_to_commit_on() {
    let (inner, table) = (memory(), table());
    let mut other = lake_on(inner.clone()).await.writer(table.clone()).await.unwrap();
    for at in 0..6 {
        let from = at * 40;
        let store = FaultStore::new(inner.clone());
        let mut writer = lake_on(store.clone()).await.writer(table.clone()).await.unwrap();
        other.commit(chunks(&table, &[(0, from, from + 20)])).await.unwrap();
        other
            .commit(chunks(&table, &[(0, from + 20, from + 40)]))
            .await
            .unwrap();
        store.arm(at, Fault::Before);
        let _ = writer.refresh().await;
        let late = writer.commit(chunks(&table, &[(0, from, from + 30)])).await.unwrap();
        assert_eq!(
            (late.rows, late.positions[&partition(0)]),
            (0, Offset(from + 40)),
            "fault at {at}"
        );
    }
    prove(&lake_on(inner).await, &table, &ends([(0, 240)])).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_the_writer_says_so_and_when_it_is_back_it_goes_on() {
    let (inner, table) = (memory(), table());
    let store = FaultStore::new(inner.clone());
    let lake = lake_on(store.clone()).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(chunks(&table, &[(0, 0, 30)])).await.unwrap();
    store.arm(0, Fault::Crash);
    for _ in 0..3 {
        let away = writer.commit(chunks(&table, &[(0, 30, 60)])).await.unwrap_err();
        assert!(away.is_retryable(), "{away}");
    }
    store.heal();
    let back = writer.commit(chunks(&table, &[(0, 30, 60)])).await.unwrap();
    assert_eq!((back.positions[&partition(0)], back.discarded), (Offset(60), 0));
    prove(&lake, &table, &ends([(0, 60)])).await;
}

/// Commits 0..120 of two partitions in four commits; a fault hits operation `at`. What a process does then: it tries
/// again while it lives, and a new process finishes the work.
async fn survive(fault: Fault, at: i64) -> bool {
    let (inner, table) = (memory(), table());
    let store = FaultStore::new(inner.clone());
    store.arm(at, fault);
    let alive = work(store.clone(), &table).await;
    let hit = store.operations.load(std::sync::atomic::Ordering::SeqCst) > at;
    if alive.is_err() {
        work(inner.clone(), &table).await.unwrap();
    }
    prove(&lake_on(inner).await, &table, &ends([(0, 120), (1, 120)])).await;
    hit
}

async fn work(store: Arc<dyn ObjectStore>, table: &Arc<Table>) -> crate::error::Result<()> {
    let mut patience = 3;
    let lake = loop {
        match try_lake_on(store.clone()).await {
            Err(error) if patience > 0 && error.is_retryable() => patience -= 1,
            opened => break opened?,
        }
    };
    let mut writer = loop {
        match lake.writer(table.clone()).await {
            Err(error) if patience > 0 && error.is_retryable() => patience -= 1,
            opened => break opened?,
        }
    };
    while let Some(batch) = next_batch(&writer, table) {
        match writer.commit(batch).await {
            Err(error) if patience > 0 && error.is_retryable() => patience -= 1,
            committed => _ = committed?,
        }
    }
    Ok(())
}

fn next_batch(writer: &TableWriter, table: &Arc<Table>) -> Option<Vec<Chunk>> {
    let at = |number: i32| {
        writer
            .positions()
            .get(&partition(number))
            .map_or(0, |position| position.0)
    };
    let ranges: Vec<(i32, i64, i64)> = [0, 1]
        .map(|number| (number, at(number), (at(number) + 30).min(120)))
        .into_iter()
        .filter(|r| r.1 < r.2)
        .collect();
    (!ranges.is_empty()).then(|| chunks(table, &ranges))
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_operation_loses_nothing_and_doubles_nothing() {
    for fault in [Fault::Before, Fault::After, Fault::Partial, Fault::Crash] {
        let mut at = 0;
        while survive(fault, at).await {
            at += 1;
        }
        assert!(at > 40, "the script has only {at} operations");
    }
}

/// Random writers, partitions, chunk sizes, faults, deaths and sleeps, from one seed.
async fn compete(seed: u64, writers: usize) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (inner, table) = (memory(), table());
    let mut processes = Vec::new();
    for _ in 0..writers {
        processes.push(Process::start(&inner, &table).await);
    }
    for _ in 0..40 {
        let index = random.random_range(0..processes.len());
        if random.random_bool(0.1) {
            processes[index] = Process::start(&inner, &table).await;
        }
        let fault = [Fault::Before, Fault::After, Fault::Partial, Fault::Crash][random.random_range(0..4)];
        if random.random_bool(0.4) {
            processes[index].store.arm(random.random_range(0..25), fault);
        }
        if processes[index].step(&mut random, &table).await.is_err() {
            processes[index] = Process::start(&inner, &table).await;
        }
    }
    let lake = lake_on(inner).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let at: Vec<i64> = (0..3)
        .map(|n| writer.positions().get(&partition(n)).map_or(0, |at| at.0))
        .collect();
    let rest: Vec<_> = (0..3).map(|number| (number, at[number as usize], 400)).collect();
    writer.commit(chunks(&table, &rest)).await.unwrap();
    prove(&lake, &table, &ends([(0, 400), (1, 400), (2, 400)])).await;
}

/// A process with its own idea of where it is; it may be a zombie.
struct Process {
    store: Arc<FaultStore>,
    writer: TableWriter,
    read_to: BTreeMap<i32, i64>,
    _lake: Arc<Lake>,
}

impl Process {
    async fn start(inner: &Arc<dyn ObjectStore>, table: &Arc<Table>) -> Self {
        let store = FaultStore::new(inner.clone());
        let lake = lake_on(store.clone()).await;
        let writer = lake.writer(table.clone()).await.unwrap();
        let positions = writer
            .positions()
            .iter()
            .map(|(partition, at)| (partition.partition, at.0))
            .collect();
        Self {
            store,
            writer,
            read_to: positions,
            _lake: lake,
        }
    }

    async fn step(&mut self, random: &mut ChaCha8Rng, table: &Arc<Table>) -> crate::error::Result<()> {
        let mut batch = Vec::new();
        for number in 0..3 {
            let mut from = *self.read_to.entry(number).or_insert(0);
            for _ in 0..random.random_range(0..3) {
                let to = (from + random.random_range(0..15)).min(400);
                batch.push(chunk(table, number, from, to));
                from = to;
            }
        }
        let committed = loop {
            match self.writer.commit(batch.clone()).await {
                Err(error) if error.is_retryable() && random.random_bool(0.7) => {}
                committed => break committed?,
            }
        };
        for (partition, position) in committed.positions {
            self.read_to.insert(partition.partition, position.0);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn competing_writers_with_faults_and_deaths_hold_every_offset_once(seed: u64, writers in 1_usize..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(compete(seed, writers));
    }
}
