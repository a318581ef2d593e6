//! Images: what one restores, which may be used, and that none brings an erased subject back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use casewatch_contract::{Chunk, Contract, Offset, OffsetRange, PartitionId, RecordedAt, Table, TableName, system};
use casewatch_lake::{Erased, Lake, LakeConfig, Subject};

use crate::image::{ImageError, Origin};
use crate::images::Images;
use crate::present::KnownFrom;
use crate::set::{LiveOptions, LiveSet};

const ALICE: &str = "a11ce00000000000000000000000000a";
const BOB: &str = "b0b000000000000000000000000000b0";

/// Children, and visits that say whose they are by a hash, and may say who else was there.
fn contract() -> Contract {
    let schema = |name: &str, key: &str, fields: &str| {
        let text = format!(
            r#"{{"type": "record", "name": "{name}", "namespace": "test", "doc": "A table.", "key": ["{key}"],
            "recorded_at": "recorded_at", "fields": [{fields},
            {{"name": "authority", "type": "string", "doc": "Whose."}},
            {{"name": "source_system", "type": "string", "doc": "The feed."}},
            {{"name": "recorded_at", "type": {{"type": "long", "logicalType": "timestamp-micros"}}, "doc": "When."}}]}}"#
        );
        (format!("{name}.avsc"), Table::parse(name, &text).unwrap())
    };
    let id = |name: &str| format!(r#"{{"name": "{name}", "type": "string", "doc": "An identifier."}}"#);
    let hash =
        |name: &str| format!(r#"{{"name": "{name}", "type": "string", "privacy": "hmac:child", "doc": "A child."}}"#);
    let other = r#"{"name": "sibling_id", "type": ["null", "string"], "default": null, "privacy": "hmac:child",
        "doc": "Another child."}"#;
    Contract::new(vec![
        schema("children", "child_id", &hash("child_id")),
        schema(
            "visits",
            "visit_id",
            &format!("{}, {}, {other}", id("visit_id"), hash("child_id")),
        ),
    ])
    .unwrap()
}

fn name(table: &str) -> TableName {
    table.into()
}

fn partition(table: &str, number: i32) -> PartitionId {
    format!("c/{table}/0/{number}").parse().unwrap()
}

/// One change; its position, its offset and its times (in seconds) are the same number.
#[derive(Clone)]
struct Change {
    table: &'static str,
    partition: i32,
    op: &'static str,
    at: i64,
    values: Vec<(&'static str, Option<&'static str>)>,
    unset: Option<&'static str>,
    /// Of a row of a snapshot: its marker, and the snapshot's position.
    snapshot: Option<(&'static str, i64)>,
}

fn visit(at: i64, id: &'static str, child: &'static str) -> Change {
    Change {
        table: "visits",
        partition: 0,
        op: "u",
        at,
        values: vec![("visit_id", Some(id)), ("child_id", Some(child))],
        unset: None,
        snapshot: None,
    }
}

fn child(at: i64, id: &'static str) -> Change {
    Change {
        table: "children",
        values: vec![("child_id", Some(id))],
        ..visit(at, "", "")
    }
}

fn chunk_of(change: &Change) -> Chunk {
    let contract = contract();
    let table = contract.table(change.table).unwrap();
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let time =
        || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![change.at * 1_000_000]).with_timezone("UTC")) };
    let seq = [
        &0_u32.to_be_bytes()[..],
        &change
            .snapshot
            .map_or(change.at, |(_, position)| position)
            .to_be_bytes(),
        &change.at.to_be_bytes(),
    ]
    .concat();
    let schema = table.lake_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let given = change.values.iter().find(|(column, _)| column == field.name());
        match field.name().as_str() {
            system::OP => text(Some(change.op)),
            system::RECORDED_AT | system::INGESTED_AT => time(),
            system::RECORDED_MONTH => text(Some("1970-01")),
            system::SEQ => Arc::new(BinaryArray::from_iter_values([&seq])),
            system::UNSET => text(change.unset),
            system::SOURCE => text(Some("s")),
            system::SNAPSHOT => text(change.snapshot.map(|(marker, _)| marker)),
            system::CLUSTER => text(Some("c")),
            system::TOPIC => text(Some(change.table)),
            system::EPOCH => Arc::new(Int32Array::from(vec![0])),
            system::PARTITION => Arc::new(Int32Array::from(vec![change.partition])),
            system::OFFSET => Arc::new(Int64Array::from(vec![change.at])),
            _ => text(given.and_then(|(_, value)| *value)),
        }
    });
    Chunk {
        partition: partition(change.table, change.partition),
        range: OffsetRange {
            from: Offset(change.at),
            to: Offset(change.at + 1),
        },
        rows: RecordBatch::try_new(schema.clone(), columns.collect()).unwrap(),
        dead_letters: Vec::new(),
        tombstones: 0,
        holes: 0,
    }
}

async fn lake_in(folder: &Path) -> Arc<Lake> {
    let root = url::Url::from_directory_path(folder.join("lake")).unwrap();
    Lake::open(LakeConfig::at(root)).await.unwrap()
}

async fn commit(lake: &Arc<Lake>, changes: &[Change]) {
    let contract = contract();
    for change in changes {
        let mut writer = lake
            .writer(contract.table(change.table).unwrap().clone())
            .await
            .unwrap();
        writer.commit(vec![chunk_of(change)]).await.unwrap();
    }
}

fn origin() -> Origin {
    Origin {
        topics: BTreeSet::from(["c/visits/0".to_owned()]),
        keys: BTreeMap::from([("child".to_owned(), "1234".to_owned())]),
    }
}

fn images(folder: &Path) -> Images {
    Images::new(&folder.join("lake/_images"), "c", origin())
}

fn empty_set() -> LiveSet {
    let options = LiveOptions {
        publish_interval: Duration::ZERO,
        ..LiveOptions::default()
    };
    LiveSet::new(&contract(), options).unwrap().0
}

/// A set that has read `changes` from Kafka, up to the cut they make.
fn reading(changes: &[Change]) -> LiveSet {
    let mut set = empty_set();
    stage(&mut set, changes);
    set
}

fn stage(set: &mut LiveSet, changes: &[Change]) {
    for change in changes {
        let id = partition(change.table, change.partition);
        if !set.positions().contains_key(&id) || set.cut().generation == 0 {
            set.assign(&id, Offset(0), Offset(0));
        }
        set.stage(&name(change.table), chunk_of(change)).unwrap();
    }
    set.advance(Instant::now()).unwrap();
}

/// What a restart makes of the folder: the set, and whether an image was used.
async fn restart(images: &Images, lake: &Arc<Lake>) -> (LiveSet, bool, BTreeMap<PartitionId, Offset>) {
    let mut set = empty_set();
    set.forget(Arc::new(Erased::load(lake).await.unwrap())).unwrap();
    let (mut set, used) = images.load(set, lake).await.unwrap();
    let positions = set.bootstrap_all(lake).await.unwrap();
    set.follow_nothing();
    set.advance(Instant::now()).unwrap();
    (set, used, positions)
}

async fn save(set: &mut LiveSet, images: &Images, lake: &Arc<Lake>) -> Result<u64, ImageError> {
    images.save(set.capture().unwrap().unwrap(), lake, None).await
}

/// The first column, and what the named one says, of each row of a table.
fn rows(set: &LiveSet, table: &str, column: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in &set.cut().tables[&name(table)].batches {
        let text = |array: &ArrayRef| array.as_any().downcast_ref::<StringArray>().unwrap().clone();
        let (keys, values) = (text(batch.column(0)), text(batch.column_by_name(column).unwrap()));
        for (key, value) in keys.iter().zip(values.iter()) {
            rows.push(format!("{}={}", key.unwrap(), value.unwrap_or("null")));
        }
    }
    rows.sort();
    rows
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// The files under a folder in which a text stands, Parquet decoded.
fn places_of(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let says = |path: &PathBuf| {
        let mut bytes = std::fs::read(path).unwrap();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let file = std::fs::File::open(path).unwrap();
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
            for batch in reader.unwrap().build().unwrap() {
                bytes.extend(format!("{:?}", batch.unwrap()).into_bytes());
            }
        }
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    files(folder).into_iter().filter(says).collect()
}

#[tokio::test]
async fn an_image_restores_rows_deletes_and_carried_values_and_reads_waiting_rows_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    let left_out = Change {
        values: vec![("visit_id", Some("x")), ("child_id", Some(BOB))],
        unset: Some("sibling_id"),
        ..visit(3, "x", BOB)
    };
    let delete = Change {
        op: "d",
        values: vec![("visit_id", Some("y"))],
        ..visit(4, "y", BOB)
    };
    let on_other = Change {
        partition: 1,
        ..visit(10, "z", BOB)
    };
    let waits = visit(50, "w", BOB);
    let mut set = reading(&[
        visit(1, "x", BOB),
        visit(2, "y", BOB),
        left_out,
        delete,
        waits,
        on_other,
    ]);
    assert_eq!(rows(&set, "visits", "sibling_id"), ["x=null", "z=null"]);
    save(&mut set, &images, &lake).await.unwrap();

    let (mut restored, used, _) = restart(&images, &lake).await;
    assert!(used);
    assert_eq!(rows(&restored, "visits", "sibling_id"), ["x=null", "z=null"]);
    assert_eq!(restored.cut().at, RecordedAt(10_000_000));
    let expected = BTreeMap::from([
        (partition("visits", 0), Offset(50)),
        (partition("visits", 1), Offset(11)),
    ]);
    assert_eq!(restored.positions(), expected, "row w waits: it is read again");

    let late = Change {
        values: vec![
            ("visit_id", Some("x")),
            ("child_id", Some(BOB)),
            ("sibling_id", Some("late")),
        ],
        ..visit(2, "x", BOB)
    };
    stage(&mut restored, &[visit(2, "y", BOB), late]);
    restored.end_of_partition(&partition("visits", 0), Instant::now());
    restored.advance(Instant::now() + Duration::from_secs(1)).unwrap();
    assert_eq!(
        rows(&restored, "visits", "sibling_id"),
        ["x=late", "z=null"],
        "the delete is remembered, and what x carries forward"
    );
}

/// A child that is the very first row of a snapshot, and visits that end it.
fn snapshot_of_one_child() -> [Change; 3] {
    let read = |change: Change, marker| Change {
        op: "r",
        snapshot: Some((marker, 1)),
        ..change
    };
    [
        read(child(10, BOB), "first"),
        read(visit(20, "x", BOB), "first_in_data_collection"),
        read(visit(21, "y", BOB), "last"),
    ]
}

#[tokio::test]
async fn since_when_a_table_is_known_outlives_a_restart_from_the_lake_and_from_an_image() {
    let since = KnownFrom::At(RecordedAt(21_000_000));
    let known = BTreeMap::from([(name("children"), since), (name("visits"), since)]);
    let [first, more, last] = snapshot_of_one_child();

    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    commit(&lake, &[first.clone(), more.clone(), last.clone()]).await;
    let (mut from_lake, used, _) = restart(&images, &lake).await;
    assert_eq!((used, &from_lake.cut().known_from), (false, &known));
    save(&mut from_lake, &images, &lake).await.unwrap();
    let (from_image, used, _) = restart(&images, &lake).await;
    assert_eq!((used, &from_image.cut().known_from), (true, &known));

    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, self::images(folder.path()));
    commit(&lake, &[first, more]).await;
    let (mut broken_off, _, _) = restart(&images, &lake).await;
    let open = BTreeMap::from(["children", "visits"].map(|table| (name(table), KnownFrom::SnapshotUnfinished)));
    assert_eq!(broken_off.cut().known_from, open);
    save(&mut broken_off, &images, &lake).await.unwrap();
    commit(&lake, &[last]).await;
    let (ended, used, _) = restart(&images, &lake).await;
    assert_eq!(
        (used, &ended.cut().known_from),
        (true, &known),
        "the end is in the lake above the image"
    );
}

#[tokio::test]
async fn an_erased_row_that_marked_a_snapshots_end_leaves_the_mark_and_nothing_else() {
    let read = |at, id, child, mark| Change {
        op: "r",
        snapshot: Some((mark, 30)),
        ..visit(at, id, child)
    };
    let snapshot = [
        read(20, "x", ALICE, "first"),
        read(21, "y", BOB, "true"),
        read(22, "z", ALICE, "last"),
    ];
    // What the snapshot did not read again is gone by it.
    let before = visit(19, "before", BOB);
    let only_bob = [format!("y={BOB}")];
    for changes in [snapshot.to_vec(), [&[before][..], &snapshot].concat()] {
        let folder = tempfile::tempdir().unwrap();
        let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
        commit(&lake, &changes).await;
        let known = BTreeMap::from([(name("visits"), KnownFrom::At(RecordedAt(22_000_000)))]);
        let whole = restart(&images, &lake).await.0;
        assert_eq!(whole.cut().known_from, known);
        assert_eq!(rows(&whole, "visits", "child_id").len(), 3);

        let subject = Subject {
            domain: "child".into(),
            hashes: BTreeSet::from([ALICE.to_owned()]),
            raw: Vec::new(),
        };
        let erasure = lake.erase(&contract(), &subject).await.unwrap();
        assert_eq!(erasure.rows[&name("visits")], 2);
        assert_eq!(places_of(&folder.path().join("lake"), ALICE), Vec::<PathBuf>::new());
        let after = restart(&images, &lake).await.0;
        assert_eq!(after.cut().known_from, known, "the snapshot still ends");
        assert_eq!(rows(&after, "visits", "child_id"), only_bob, "nothing comes back");

        // The same where the rows are met on their way in.
        let mut reading = empty_set();
        reading.forget(Arc::new(Erased::load(&lake).await.unwrap())).unwrap();
        stage(&mut reading, &changes);
        assert_eq!(reading.cut().known_from, known);
        assert_eq!(rows(&reading, "visits", "child_id"), only_bob);
    }
}

#[tokio::test]
async fn what_the_lake_has_above_an_image_is_folded_on_top_and_kafka_is_read_from_the_lakes_positions() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    let first = [child(0, BOB), visit(0, "x", BOB), visit(1, "y", BOB)];
    commit(&lake, &first).await;
    let mut set = reading(&first);
    save(&mut set, &images, &lake).await.unwrap();
    let moved = [visit(2, "x", "c"), visit(3, "z", BOB)];
    commit(&lake, &moved).await;

    let (set, used, positions) = restart(&images, &lake).await;
    assert!(used);
    let y = format!("y={BOB}");
    assert_eq!(rows(&set, "visits", "child_id"), ["x=c", &y, &format!("z={BOB}")]);
    assert_eq!(positions[&partition("visits", 0)], Offset(4));
    let (whole, used, _) = {
        images.discard().unwrap();
        restart(&images, &lake).await
    };
    assert!(!used);
    assert_eq!(rows(&whole, "visits", "child_id"), rows(&set, "visits", "child_id"));
    assert_eq!(whole.cut().at, set.cut().at);
}

#[tokio::test]
async fn an_image_ahead_of_the_lake_is_used_and_the_tail_is_still_read_from_the_lakes_positions() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    commit(&lake, &[visit(0, "x", BOB)]).await;
    let mut set = reading(&[visit(0, "x", BOB), visit(1, "y", BOB)]);
    save(&mut set, &images, &lake).await.unwrap();
    let (set, used, positions) = restart(&images, &lake).await;
    assert!(used);
    assert_eq!(rows(&set, "visits", "child_id").len(), 2);
    assert_eq!(
        positions[&partition("visits", 0)],
        Offset(1),
        "history needs y from Kafka"
    );
}

#[tokio::test]
async fn an_image_of_other_keys_topics_or_schemas_is_deleted_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let changes = [visit(0, "x", BOB)];
    commit(&lake, &changes).await;
    let root = folder.path().join("lake/_images");
    let other_keys = Origin {
        keys: BTreeMap::from([("child".to_owned(), "9999".to_owned())]),
        ..origin()
    };
    let other_epoch = Origin {
        topics: BTreeSet::from(["c/visits/1".to_owned()]),
        ..origin()
    };
    for other in [other_keys, other_epoch] {
        save(&mut reading(&changes), &images(folder.path()), &lake)
            .await
            .unwrap();
        let (set, used, _) = restart(&Images::new(&root, "c", other), &lake).await;
        assert!(!used);
        assert_eq!(
            rows(&set, "visits", "child_id"),
            [format!("x={BOB}")],
            "the lake has it"
        );
        assert_eq!(files(&root), Vec::<PathBuf>::new());
    }
    save(&mut reading(&changes), &images(folder.path()), &lake)
        .await
        .unwrap();
    let (_, contract_changed) = {
        let tables = contract();
        let visits = Table::clone(tables.table("visits").unwrap());
        let alone = Contract::new(vec![("visits.avsc".to_owned(), visits)]).unwrap();
        let set = LiveSet::new(&alone, LiveOptions::default()).unwrap().0;
        images(folder.path()).load(set, &lake).await.unwrap()
    };
    assert!(!contract_changed);
}

#[tokio::test]
async fn an_image_saved_over_a_lake_that_was_restored_or_made_again_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    commit(&lake, &[visit(0, "x", BOB)]).await;
    let backup = folder.path().join("backup");
    lake.backup(&backup, &[]).await.unwrap();
    commit(&lake, &[visit(1, "y", BOB)]).await;
    let set = || reading(&[visit(0, "x", BOB), visit(1, "y", BOB)]);
    let kept = folder.path().join("kept");
    let aside = Images::new(&kept, "c", origin());
    save(&mut set(), &aside, &lake).await.unwrap();
    assert!(
        restart(&aside, &lake).await.1,
        "over the lake it was saved over it is used"
    );
    save(&mut set(), &images, &lake).await.unwrap();
    std::fs::remove_dir_all(folder.path().join("lake")).unwrap();
    let config = LakeConfig::at(lake.root().clone());
    casewatch_lake::restore(&backup, &config, &folder.path().join("files"))
        .await
        .unwrap();
    let (set_after, used, _) = restart(&aside, &lake_in(folder.path()).await).await;
    assert!(!used, "the lake stands at older positions");
    assert_eq!(rows(&set_after, "visits", "child_id").len(), 1);

    std::fs::remove_dir_all(folder.path().join("lake")).unwrap();
    let lake = lake_in(folder.path()).await;
    commit(&lake, &[visit(0, "x", BOB)]).await;
    save(&mut set(), &aside, &lake).await.unwrap();
    std::fs::remove_dir_all(folder.path().join("lake")).unwrap();
    let again = lake_in(folder.path()).await;
    commit(&again, &[visit(0, "x", BOB), visit(1, "y", BOB)]).await;
    assert!(!restart(&aside, &again).await.1, "another table of the same name");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_an_image_is_found_and_the_lake_is_read_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    let changes = [visit(0, "x", BOB), child(0, BOB)];
    commit(&lake, &changes).await;
    save(&mut reading(&changes), &images, &lake).await.unwrap();
    for number in 0..files(images.folder()).len() {
        save(&mut reading(&changes), &images, &lake).await.unwrap();
        let path = files(images.folder()).into_iter().nth(number).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (set, used, _) = restart(&images, &lake).await;
        assert!(!used, "{} was changed", path.display());
        assert_eq!(rows(&set, "visits", "child_id"), [format!("x={BOB}")]);
    }
}

#[tokio::test]
async fn an_image_that_does_not_get_done_in_time_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    let mut set = reading(&[visit(0, "x", BOB)]);
    save(&mut set, &images, &lake).await.unwrap();
    let image = set.capture().unwrap().unwrap();
    let outcome = images
        .save(image, &lake, Some(Instant::now() - Duration::from_secs(1)))
        .await;
    assert!(matches!(outcome, Err(ImageError::OutOfTime { .. })), "{outcome:?}");
    assert!(restart(&images, &lake).await.1);
    save(&mut set, &images, &lake).await.unwrap();
    assert_eq!(
        std::fs::read_dir(images.folder()).unwrap().count(),
        1,
        "the newest replaces all"
    );
}

#[tokio::test]
async fn after_an_erasure_no_byte_of_the_subject_is_in_any_image_and_no_image_that_knows_less_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, images) = (lake_in(folder.path()).await, images(folder.path()));
    let sibling = Change {
        values: vec![
            ("visit_id", Some("visit-of-bob")),
            ("child_id", Some(BOB)),
            ("sibling_id", Some(ALICE)),
        ],
        ..visit(1, "", "")
    };
    let gone = Change {
        op: "d",
        ..child(2, ALICE)
    };
    let changes = [
        child(0, BOB),
        child(1, ALICE),
        visit(0, "visit-of-alice", ALICE),
        sibling,
        visit(2, "visit-3", BOB),
        gone,
    ];
    commit(&lake, &changes).await;
    let mut set = reading(&changes);
    let unseen = set.capture().unwrap().unwrap();
    save(&mut set, &images, &lake).await.unwrap();
    assert!(!places_of(images.folder(), ALICE).is_empty());
    let elsewhere = Images::new(&folder.path().join("elsewhere"), "c", origin());
    save(&mut set, &elsewhere, &lake).await.unwrap();

    let subject = Subject {
        domain: "child".into(),
        hashes: BTreeSet::from([ALICE.to_owned()]),
        raw: Vec::new(),
    };
    lake.erase(&contract(), &subject).await.unwrap();
    Images::discard_all(&folder.path().join("lake/_images")).unwrap();
    for needle in [ALICE, "visit-of-alice"] {
        assert_eq!(places_of(&folder.path().join("lake"), needle), Vec::<PathBuf>::new());
    }

    let overtaken = images.save(unseen, &lake, None).await;
    assert!(matches!(overtaken, Err(ImageError::Overtaken { .. })), "{overtaken:?}");
    assert_eq!(files(images.folder()), Vec::<PathBuf>::new());
    let (restarted, used, _) = restart(&elsewhere, &lake).await;
    assert!(!used, "an image that the erasure could not reach");
    assert_eq!(files(elsewhere.folder()), Vec::<PathBuf>::new());
    assert_eq!(
        rows(&restarted, "visits", "sibling_id"),
        ["visit-3=null", "visit-of-bob=null"]
    );

    let noticed = Arc::new(Erased::load(&lake).await.unwrap());
    assert_eq!(lake.erased_entries().await.unwrap(), noticed.entries());
    assert_eq!(
        set.forget(noticed).unwrap(),
        1,
        "the visit; the child was deleted before"
    );
    stage(&mut set, &[visit(3, "late-visit", ALICE)]);
    set.advance(Instant::now()).unwrap();
    assert_eq!(
        rows(&set, "visits", "sibling_id"),
        ["visit-3=null", "visit-of-bob=null"]
    );
    save(&mut set, &images, &lake).await.unwrap();
    for needle in [ALICE, "visit-of-alice", "late-visit"] {
        assert_eq!(
            places_of(&folder.path().join("lake"), needle),
            Vec::<PathBuf>::new(),
            "{needle}"
        );
    }
    let tail = set.tail().rows(&name("visits"), &BTreeMap::new()).unwrap();
    assert!(!format!("{:?}", tail.batches).contains(ALICE));
    assert!(restart(&images, &lake).await.1);
}
