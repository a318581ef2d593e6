//! Erasure, replay, backup: what the lake gives up, takes back and keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use casewatch_contract::{Contract, Offset, RecordedAt, Table, system};
use object_store::memory::InMemory;
use url::Url;

use crate::fixtures::*;
use crate::{AuditEntry, DeadLetterFilter, Erasing, Lake, LakeConfig, LakeError, Replayed, Subject, maintain};

/// Children, and visits to them that say so by a hash, and notes on visits that say so by the visit only.
pub(crate) fn contract() -> Contract {
    let children = r#"{"type": "record", "name": "children", "namespace": "casewatch", "doc": "A child.",
        "key": ["child_id"], "references": {"merged_into": "children"}, "recorded_at": "recorded_at", "fields": [
        {"name": "child_id", "type": "string", "privacy": "hmac:child", "doc": "The child."},
        {"name": "merged_into", "type": ["null", "string"], "default": null, "privacy": "hmac:child", "doc": "Same."},
        {"name": "authority", "type": "string", "doc": "Area code."},
        {"name": "source_system", "type": "string", "doc": "The feed."},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "Recorded."}]}"#;
    let notes = r#"{"type": "record", "name": "notes", "namespace": "casewatch", "doc": "A note.",
        "key": ["note_id"], "references": {"visit_id": "visits"}, "recorded_at": "recorded_at", "fields": [
        {"name": "note_id", "type": "string", "doc": "Its identifier."},
        {"name": "visit_id", "type": "string", "doc": "The visit."},
        {"name": "authority", "type": "string", "doc": "Area code."},
        {"name": "source_system", "type": "string", "doc": "The feed."},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "Recorded."}]}"#;
    let tables = [parse(children), table(), parse(notes)];
    Contract::new(
        tables
            .iter()
            .map(|table| ("test.avsc".to_owned(), Table::clone(table)))
            .collect(),
    )
    .unwrap()
}

fn rows_with(table: &Table, offset: i64, values: &[(&str, Option<&str>)]) -> RecordBatch {
    let rows = rows(table, 0, &[offset]);
    let mut columns = rows.columns().to_vec();
    for (name, value) in values {
        let index = rows.schema_ref().index_of(name).unwrap();
        columns[index] = Arc::new(arrow::array::StringArray::from(vec![*value]));
    }
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

async fn put(lake: &Arc<Lake>, table: &Arc<Table>, offset: i64, values: &[(&str, Option<&str>)]) -> u64 {
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let chunk = casewatch_contract::Chunk {
        partition: casewatch_contract::PartitionId {
            topic: table.name.to_string().into(),
            ..partition(0)
        },
        range: casewatch_contract::OffsetRange {
            from: Offset(offset),
            to: Offset(offset + 1),
        },
        rows: rows_with(table, offset, values),
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    };
    writer.commit(vec![chunk]).await.unwrap().rows
}

/// Every byte a file of the folder says, Parquet decoded: compression must not hide anything from the search.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(
                bytes.clone(),
            ));
            let batches: Vec<RecordBatch> = reader.unwrap().build().unwrap().map(Result::unwrap).collect();
            let mut json = arrow::json::LineDelimitedWriter::new(&mut bytes);
            json.write_batches(&batches.iter().collect::<Vec<_>>()).unwrap();
        }
        found.push((path, bytes));
    }
    found
}

fn places_of(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let says = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    everything(folder)
        .into_iter()
        .filter(|(_, bytes)| says(bytes))
        .map(|(path, _)| path)
        .collect()
}

#[tokio::test]
async fn after_an_erasure_a_search_of_every_file_finds_nothing_and_nothing_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path(), false).await;
    let contract = contract();
    let [children, notes, visits] = ["children", "notes", "visits"].map(|name| contract.table(name).unwrap().clone());
    let (alice, bob) = ("a11ce00000000000000000000000000a", "b0b000000000000000000000000000b0");
    put(&lake, &children, 0, &[("child_id", Some(alice))]).await;
    put(
        &lake,
        &children,
        1,
        &[("child_id", Some(bob)), ("merged_into", Some(alice))],
    )
    .await;
    put(
        &lake,
        &visits,
        0,
        &[("visit_id", Some("visit-of-alice")), ("child_id", Some(alice))],
    )
    .await;
    put(
        &lake,
        &visits,
        1,
        &[("visit_id", Some("visit-of-bob")), ("child_id", Some(bob))],
    )
    .await;
    put(
        &lake,
        &notes,
        0,
        &[("note_id", Some("note-on-alice")), ("visit_id", Some("visit-of-alice"))],
    )
    .await;
    put(
        &lake,
        &notes,
        1,
        &[("note_id", Some("note-on-bob")), ("visit_id", Some("visit-of-bob"))],
    )
    .await;
    maintain::checkpoint(&lake, "visits", 1).await.unwrap();
    assert!(!places_of(folder.path(), alice).is_empty());
    // A zombie with a snapshot from before, and a file that never made it into a commit.
    let mut zombie = lake_in(folder.path(), false)
        .await
        .writer(visits.clone())
        .await
        .unwrap();
    let log = lake.log("visits");
    let layout = crate::schema::Layout::of_table(&visits);
    crate::file::write(&log, &layout, vec![rows_with(&visits, 7, &[("child_id", Some(alice))])])
        .await
        .unwrap();

    let subject = Subject {
        domain: "child".into(),
        hashes: BTreeSet::from([alice.to_owned()]),
        raw: Vec::new(),
    };
    let steps = std::sync::Mutex::new(Vec::new());
    let tell = |step| steps.lock().unwrap().push(step);
    let erasure = lake.erase_told(&contract, &subject, &tell).await.unwrap();
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps.first(), Some(&Erasing::Searching { done: 1, of: 6 }));
    let rewritten = erasure.files;
    assert_eq!(
        steps.last(),
        Some(&Erasing::Rewriting {
            done: 6,
            of: 6,
            rewritten
        })
    );
    let erased: BTreeMap<_, _> = erasure
        .rows
        .iter()
        .map(|(table, rows)| (table.as_str(), *rows))
        .collect();
    assert_eq!(erased, BTreeMap::from([("children", 1), ("notes", 1), ("visits", 1)]));
    assert!(!erasure.in_kafka.is_empty());
    for needle in [alice, "visit-of-alice", "note-on-alice"] {
        assert_eq!(places_of(folder.path(), needle), Vec::<PathBuf>::new(), "{needle}");
    }
    for needle in [bob, "visit-of-bob", "note-on-bob"] {
        assert!(!places_of(folder.path(), needle).is_empty(), "{needle} stays");
    }

    let chunk = casewatch_contract::Chunk {
        partition: casewatch_contract::PartitionId {
            topic: "visits".into(),
            ..partition(0)
        },
        range: casewatch_contract::OffsetRange {
            from: Offset(2),
            to: Offset(3),
        },
        rows: rows_with(
            &visits,
            2,
            &[("visit_id", Some("late-visit")), ("child_id", Some(alice))],
        ),
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    };
    assert_eq!(zombie.commit(vec![chunk]).await.unwrap().rows, 0);
    assert_eq!(
        put(
            &lake,
            &notes,
            2,
            &[("note_id", Some("n")), ("visit_id", Some("visit-of-alice"))]
        )
        .await,
        0
    );
    assert_eq!(places_of(folder.path(), alice), Vec::<PathBuf>::new());
    let ranges = lake.commit_ranges("visits").await.unwrap();
    assert_eq!(
        ranges
            .iter()
            .map(|range| (range.from, range.to, range.erased))
            .collect::<Vec<_>>(),
        [(0, 1, 0), (1, 2, 0), (2, 3, 1)]
    );
    assert_eq!(
        lake.erase(&contract, &subject).await.unwrap().files,
        0,
        "there is nothing left to erase"
    );
}

#[tokio::test]
async fn an_erasure_takes_the_subject_out_of_the_audit_log_and_nobody_puts_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path(), false).await;
    let contract = contract();
    let [children, visits] = ["children", "visits"].map(|name| contract.table(name).unwrap().clone());
    let (alice, bob) = ("a11ce00000000000000000000000000a", "b0b000000000000000000000000000b0");
    put(&lake, &children, 0, &[("child_id", Some(alice))]).await;
    let visit = [("visit_id", Some("visit-of-alice")), ("child_id", Some(alice))];
    put(&lake, &visits, 0, &visit).await;
    let entry = |action: String, reason: &str| AuditEntry {
        at: RecordedAt::now(),
        user: "ann".to_owned(),
        role: "analyst".to_owned(),
        surface: "sql",
        client: String::new(),
        action,
        reason: Some(reason.to_owned()),
        rows: 1,
        elapsed: Duration::ZERO,
        outcome: Ok(()),
    };
    let named = [
        entry(
            format!("select * from children where child_id = '{alice}'"),
            "asked by phone",
        ),
        entry("select 1".to_owned(), "about visit-of-alice"),
        entry(format!("select '{bob}'"), "raw number 4711-X"),
    ];
    for (at, entry) in named.iter().enumerate() {
        let batch = uuid::Uuid::from_u128(at as u128);
        lake.keep_audit(&contract, batch, std::slice::from_ref(entry))
            .await
            .unwrap();
    }
    let needles = [alice, "visit-of-alice", "4711-X"];
    assert!(
        needles
            .iter()
            .all(|needle| !places_of(folder.path(), needle).is_empty())
    );
    let subject = Subject {
        domain: "child".into(),
        hashes: BTreeSet::from([alice.to_owned()]),
        raw: vec![b"4711-X".to_vec()],
    };
    assert_eq!(lake.erase(&contract, &subject).await.unwrap().audit_files, 3);
    // An instance that still had it in its queue, and somebody who asks from old notes.
    let late = entry(
        format!("select * from visits where child_id='{alice}'"),
        "visit-of-alice again",
    );
    lake.keep_audit(&contract, uuid::Uuid::from_u128(9), &[late])
        .await
        .unwrap();
    for needle in needles {
        assert_eq!(places_of(folder.path(), needle), Vec::<PathBuf>::new(), "{needle}");
    }
    assert!(!places_of(folder.path(), bob).is_empty(), "what others asked stays");
    assert!(
        !places_of(folder.path(), "asked by phone").is_empty(),
        "and so does that somebody asked"
    );
    assert_eq!(lake.erase(&contract, &subject).await.unwrap().audit_files, 0);
}

#[tokio::test]
async fn an_erasure_empties_the_dead_letters_in_which_the_subject_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = (lake_in(folder.path(), false).await, table());
    lake.writer(table.clone())
        .await
        .unwrap()
        .commit(vec![chunk(&table, 0, 0, 60)])
        .await
        .unwrap();
    let letters = lake.dead_letters(&DeadLetterFilter::default()).await.unwrap();
    let subject = Subject {
        domain: "child".into(),
        hashes: BTreeSet::new(),
        raw: vec![format!("payload 0/{}", letters[1].offset).into_bytes()],
    };
    let erasure = lake.erase(&contract(), &subject).await.unwrap();
    assert_eq!((erasure.dead_letters, erasure.unsearched_dead_letters), (1, 0));
    let after = lake.dead_letters(&DeadLetterFilter::default()).await.unwrap();
    let with_payload: Vec<bool> = after.iter().map(|letter| letter.has_payload()).collect();
    assert_eq!(with_payload.iter().filter(|has| !**has).count(), 1);
    assert_eq!((after.len(), with_payload[1]), (letters.len(), false));
    prove(&lake, &table, &BTreeMap::from([(0, 60)])).await;
}

#[tokio::test]
async fn a_dead_letter_is_replayed_once_with_its_own_offset_and_marked_so() {
    let (lake, table) = (lake_on(Arc::new(InMemory::new())).await, table());
    lake.writer(table.clone())
        .await
        .unwrap()
        .commit(vec![chunk(&table, 0, 0, 60)])
        .await
        .unwrap();
    let letters = lake.dead_letters(&DeadLetterFilter::default()).await.unwrap();
    let letter = &letters[0];
    let payload = lake.dead_letter_payload(letter).unwrap().unwrap();
    assert_eq!(payload, format!("payload 0/{}", letter.offset).into_bytes());
    let mended = rows(&table, 0, &[letter.offset.0]);
    let first = lake
        .replay(&table, &letter.partition, letter.offset, mended.clone())
        .await
        .unwrap();
    assert!(matches!(first, Replayed::Now { .. }));
    let again = lake
        .replay(&table, &letter.partition, letter.offset, mended.clone())
        .await
        .unwrap();
    assert_eq!(again, Replayed::Already);
    assert_eq!(stored(&lake, &table).await[&(0, letter.offset.0)], 1);
    let open = DeadLetterFilter {
        open_only: true,
        ..DeadLetterFilter::default()
    };
    assert_eq!(lake.dead_letters(&open).await.unwrap().len(), letters.len() - 1);
    let alive = lake
        .replay(&table, &letter.partition, Offset(1_000), mended)
        .await
        .unwrap_err();
    assert!(matches!(alive, LakeError::NoDeadLetter { .. }), "{alive}");
    let snapshot = lake.snapshot(table.clone()).await.unwrap().unwrap();
    assert_eq!(snapshot.positions().len(), 1, "a replay is no position");
}

#[tokio::test]
async fn dead_letters_of_a_long_past_day_expire() {
    let (lake, table) = (lake_on(Arc::new(InMemory::new())).await, table());
    lake.writer(table.clone())
        .await
        .unwrap()
        .commit(vec![chunk(&table, 0, 0, 60)])
        .await
        .unwrap();
    let standing = async || lake.dead_letters(&DeadLetterFilter::default()).await.unwrap().len();
    assert_eq!(lake.expire_dead_letters(30).await.unwrap(), 0);
    assert!(standing().await > 0);
    assert_eq!(lake.dead_letters_expired_before().await.unwrap(), None);
    // Two days from now today is long past.
    let later = chrono::Utc::now().date_naive() + chrono::Days::new(2);
    assert_eq!(lake.expire_dead_letters_before(later).await.unwrap(), 1);
    assert_eq!(standing().await, 0);
    assert_eq!(lake.dead_letters_expired_before().await.unwrap(), Some(later));
}

#[tokio::test]
async fn a_backup_restores_the_lake_its_positions_and_the_keys_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = (lake_in(folder.path(), false).await, table());
    let mut writer = lake.writer(table.clone()).await.unwrap();
    for step in 0..5 {
        writer
            .commit(vec![chunk(&table, 0, step * 20, step * 20 + 20)])
            .await
            .unwrap();
    }
    maintain::checkpoint(&lake, &table.name, 1).await.unwrap();
    maintain::clean_log(&lake, &table.name, Duration::ZERO).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 100, 130)]).await.unwrap();
    let key = folder.path().join("child.key");
    std::fs::write(&key, "secret").unwrap();
    let backup = folder.path().join("backup");
    lake.backup(&backup, &[key]).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 130, 150)]).await.unwrap();
    let config = |name: &str| LakeConfig {
        payload: payload_policy(),
        ..LakeConfig::at(Url::from_directory_path(folder.path().join(name)).unwrap())
    };
    crate::restore(&backup, &config("restored"), &folder.path().join("keys"))
        .await
        .unwrap();
    let restored = Lake::open(config("restored")).await.unwrap();
    prove(&restored, &table, &BTreeMap::from([(0, 130)])).await;
    assert_eq!(
        std::fs::read_to_string(folder.path().join("keys/00-child.key")).unwrap(),
        "secret"
    );
    let mut writer = restored.writer(table.clone()).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 130, 150)]).await.unwrap();
    prove(&restored, &table, &BTreeMap::from([(0, 150)])).await;

    let used = crate::restore(&backup, &config("restored"), &folder.path().join("keys"))
        .await
        .unwrap_err();
    assert!(used.to_string().contains("is not empty"), "{used}");
    std::fs::write(backup.join("files/00-child.key"), "broken").unwrap();
    let damaged = crate::restore(&backup, &config("other"), &folder.path().join("keys"))
        .await
        .unwrap_err();
    assert!(
        damaged
            .to_string()
            .contains("'files/00-child.key' is not what was backed up"),
        "{damaged}"
    );
    std::fs::write(folder.path().join("lake/casewatch_restoring"), "").unwrap();
    let half = Lake::open(config("lake")).await.unwrap_err();
    assert!(half.to_string().contains("was not restored to the end"), "{half}");
}

/// Makes the lake in `folder` what a program of format `format` would have written.
fn pretend_format(folder: &Path, format: u32) {
    let marker = folder.join("lake/casewatch_format.json");
    std::fs::write(marker, format!("{{\"casewatch_format\": {format}}}")).unwrap();
    for table in ["visits", "_dead_letters"] {
        let first = folder.join(format!("lake/{table}/_delta_log/{:020}.json", 0));
        let text = std::fs::read_to_string(&first).unwrap();
        let property = |format: u32| format!("\"casewatch.format\":\"{format}\"");
        assert!(text.contains(&property(crate::FORMAT)));
        std::fs::write(first, text.replace(&property(crate::FORMAT), &property(format))).unwrap();
    }
}

async fn small_lake(folder: &Path) -> Arc<Lake> {
    let (lake, table) = (lake_in(folder, false).await, table());
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 0, 40)]).await.unwrap();
    lake
}

#[tokio::test]
async fn a_lake_of_the_format_before_is_read_and_gone_on_with_and_a_newer_one_is_refused_whole_and_table_by_table() {
    let folder = tempfile::tempdir().unwrap();
    small_lake(folder.path()).await;
    pretend_format(folder.path(), crate::FORMAT - 1);
    let (lake, table) = (lake_in(folder.path(), false).await, table());
    prove(&lake, &table, &BTreeMap::from([(0, 40)])).await;
    let mut writer = lake.writer(table.clone()).await.unwrap();
    writer.commit(vec![chunk(&table, 0, 40, 60)]).await.unwrap();
    prove(&lake, &table, &BTreeMap::from([(0, 60)])).await;

    let newer = tempfile::tempdir().unwrap();
    small_lake(newer.path()).await;
    pretend_format(newer.path(), crate::FORMAT + 1);
    let config = |format: &str| {
        let marker = newer.path().join("lake/casewatch_format.json");
        std::fs::write(marker, format!("{{\"casewatch_format\": {format}}}")).unwrap();
        LakeConfig::at(Url::from_directory_path(newer.path().join("lake")).unwrap())
    };
    let refused = Lake::open(config("3")).await.unwrap_err().to_string();
    assert!(
        refused.contains("has format 3, this program reads up to 2"),
        "{refused}"
    );
    // A newer program may have gone on with some tables of an older lake.
    let lake = Lake::open(config("2")).await.unwrap();
    let refused = lake.writer(table.clone()).await.unwrap_err();
    assert!(
        matches!(refused, LakeError::FormatTooNew { found: 3, known: 2 }),
        "{refused}"
    );
    let refused = lake.snapshot(table).await.unwrap_err();
    assert!(matches!(refused, LakeError::FormatTooNew { .. }), "{refused}");
}

#[tokio::test]
async fn a_backup_of_the_format_before_is_restored_and_one_of_a_newer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = small_lake(folder.path()).await;
    let backup = folder.path().join("backup");
    lake.backup(&backup, &[]).await.unwrap();
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    let of_format = |format: u32| {
        let text = manifest.replace(
            &format!("\"format\": {}", crate::FORMAT),
            &format!("\"format\": {format}"),
        );
        std::fs::write(backup.join("manifest.json"), text).unwrap();
        let root = folder.path().join(format!("restored-{format}"));
        LakeConfig::at(Url::from_directory_path(root).unwrap())
    };
    let keys = folder.path().join("keys");
    let older = of_format(crate::FORMAT - 1);
    crate::restore(&backup, &older, &keys).await.unwrap();
    let restored = Lake::open(older).await.unwrap();
    prove(&restored, &table(), &BTreeMap::from([(0, 40)])).await;
    let newer = of_format(crate::FORMAT + 1);
    let refused = crate::restore(&backup, &newer, &keys).await.unwrap_err();
    assert!(
        matches!(refused, LakeError::FormatTooNew { found: 3, known: 2 }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_scan_prunes_months_pushes_filters_down_and_never_turns_a_count_into_a_literal() {
    use datafusion::prelude::*;
    let (lake, table) = (lake_on(Arc::new(InMemory::new())).await, table());
    let mut writer = lake.writer(table.clone()).await.unwrap();
    // An hour an offset: 2018-01, 2018-02 and 2018-03.
    writer.commit(vec![chunk(&table, 0, 0, 2000)]).await.unwrap();
    let snapshot = lake.snapshot(table.clone()).await.unwrap().unwrap();
    assert_eq!(snapshot.size().0, 3);
    let context = SessionContext::new();
    context.register_table("visits", snapshot.provider()).unwrap();
    for (name, which) in crate::SystemTable::ALL.map(|which| (which.name(), which)) {
        context
            .register_table(format!("lake_{name}"), lake.system_table(which))
            .unwrap();
    }
    let rows = |sql: &'static str| {
        let context = context.clone();
        async move {
            let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
            arrow::util::pretty::pretty_format_batches(&batches)
                .unwrap()
                .to_string()
        }
    };
    let plan = rows("explain select count(*) from visits where _recorded_month = '2018-02'").await;
    assert_eq!(plan.matches("_recorded_month=").count(), 1, "one file is read: {plan}");
    let plan = rows("explain select count(*) from visits").await;
    assert!(plan.contains("DataSourceExec"), "{plan}");
    let plan = rows("explain select minutes from visits where visit_id = 'visit-0-4'").await;
    assert!(plan.contains("predicate=visit_id"), "{plan}");
    let counted = rows("select count(*) as n from visits where _recorded_month = '2018-02' and _offset < 800").await;
    let expected: usize = (744..800)
        .map(|offset| match kind(0, offset) {
            Kind::Row => 1,
            Kind::ChangeOfKey => 2,
            _ => 0,
        })
        .sum();
    assert!(counted.contains(&format!("| {expected} ")), "{counted}");
    let whole = context.table("visits").await.unwrap();
    assert_eq!(
        whole.schema().as_arrow().fields(),
        table.lake_schema().fields(),
        "in the contract's order"
    );
    let columns = whole
        .select_columns(&["child_id", system::RECORDED_MONTH, "visit_id"])
        .unwrap();
    assert_eq!(
        columns.limit(0, Some(1)).unwrap().collect().await.unwrap()[0].num_columns(),
        3
    );
    let proof = rows(
        "select count(*) as n, min(from_offset) as a, max(to_offset) as b, sum(offsets+tombstones+dead_letters+holes) as c
         from lake_commits where kind = 'append'",
    )
    .await;
    assert!(proof.contains("| 1 | 0 | 2000 | 2000 |"), "{proof}");
    for (sql, expected) in [
        ("select next_offset from lake_positions", "| 2000 "),
        (
            "select count(*) as n from lake_files where \"table\" = 'visits'",
            "| 3 ",
        ),
        (
            "select count(distinct reason) as n from lake_dead_letters where not replayed and has_payload",
            "| 1 ",
        ),
        ("select count(*) as n from lake_gaps", "| 0 "),
    ] {
        let found = rows(sql).await;
        assert!(found.contains(expected), "{sql}: {found}");
    }
}
