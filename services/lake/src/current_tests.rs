//! Publication of the present: what another engine reads, and that an erasure or a rotation is not overtaken.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use casewatch_contract::{HmacKeys, Table};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use crate::fixtures::{lake_in, rows, table};
use crate::{Lake, LakeConfig, Publication, Subject};

/// The present of visits as a fold gives it: the table's own columns and one by which it is dated, a row a key.
fn present(table: &Table, offsets: &[i64]) -> Vec<RecordBatch> {
    let rows = rows(table, 0, offsets);
    let own = table.schema().fields().len();
    let dated = rows
        .schema_ref()
        .index_of(casewatch_contract::system::RECORDED_AT)
        .unwrap();
    vec![rows.project(&(0..own).chain([dated]).collect::<Vec<_>>()).unwrap()]
}

/// The published visits as another engine reads them.
async fn read(folder: &std::path::Path) -> Vec<(String, String)> {
    let url = Url::from_directory_path(folder.join("lake/current/visits")).unwrap();
    let published = deltalake::open_table(url).await.unwrap();
    let provider = published.table_provider().await.unwrap();
    let context = SessionContext::new();
    context.register_table("visits", provider).unwrap();
    let sql = "select visit_id, child_id from visits order by visit_id";
    let plan = context.sql(sql).await.unwrap();
    let mut found = Vec::new();
    for batch in plan.collect().await.unwrap() {
        let batch = batch
            .columns()
            .iter()
            .map(|column| arrow::compute::cast(column, &DataType::Utf8).unwrap())
            .collect::<Vec<_>>();
        let (visits, children) = (batch[0].as_string::<i32>(), batch[1].as_string::<i32>());
        found.extend(
            visits
                .iter()
                .zip(children)
                .map(|(visit, child)| (visit.unwrap().to_owned(), child.unwrap().to_owned())),
        );
    }
    found
}

fn contract() -> casewatch_contract::Contract {
    casewatch_contract::Contract::new(vec![("visits.avsc".to_owned(), Table::clone(&table()))]).unwrap()
}

fn visits(offsets: &[i64]) -> Vec<(String, String)> {
    let visit = |offset: &i64| (format!("visit-0-{offset}"), crate::fixtures::child_of(*offset));
    offsets.iter().map(visit).collect()
}

#[tokio::test]
async fn another_engine_reads_the_newest_publication_and_none_of_an_erased_child() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = (lake_in(folder.path(), false).await, table());
    for offsets in [&[1, 2, 3][..], &[2, 3, 4, 5]] {
        let publication = lake.begin_publication(&table).await.unwrap();
        assert!(publication.publish(&present(&table, offsets)).await.unwrap());
        assert_eq!(read(folder.path()).await, visits(offsets));
    }
    assert_eq!(lake.tables().await.unwrap().len(), 0, "it is no table of the history");
    Publication::tidy(&lake, &table).await.unwrap();

    let overtaken = lake.begin_publication(&table).await.unwrap();
    let child = crate::fixtures::child_of(3);
    let subject = Subject {
        domain: "child".into(),
        hashes: BTreeSet::from([child.clone()]),
        raw: Vec::new(),
    };
    lake.erase(&contract(), &subject).await.unwrap();
    assert_eq!(read(folder.path()).await, visits(&[2, 4, 5]));
    let late = overtaken.publish(&present(&table, &[2, 3, 4, 5, 6])).await.unwrap();
    assert!(!late, "it was folded before the erasure");
    let log = lake.log("current/visits");
    let listed: Vec<ObjectMeta> = log.store.list(None).try_collect().await.unwrap();
    let data = listed
        .iter()
        .filter(|found| !found.location.as_ref().starts_with("_delta_log"));
    assert_eq!(data.count(), 1, "what was superseded or overtaken is deleted");
    let publication = lake.begin_publication(&table).await.unwrap();
    assert!(publication.publish(&present(&table, &[2, 3, 4, 5, 6])).await.unwrap());
    assert_eq!(read(folder.path()).await, visits(&[2, 4, 5, 6]), "the erased stay out");
}

#[tokio::test]
async fn a_rotation_drops_what_was_published_under_the_old_keys() {
    let folder = tempfile::tempdir().unwrap();
    let key = |count: usize| {
        let lines: Vec<String> = (0..count).map(|key| format!("{key:02x}").repeat(32)).collect();
        HmacKeys::none().with_lines("child".into(), &lines.join("\n")).unwrap()
    };
    let root = Url::from_directory_path(folder.path().join("lake")).unwrap();
    let open = |keys: HmacKeys| {
        Lake::open(LakeConfig {
            keys: Arc::new(keys),
            ..LakeConfig::at(root.clone())
        })
    };
    let (table, old) = (table(), open(key(1)).await.unwrap());
    let publication = old.begin_publication(&table).await.unwrap();
    assert!(publication.publish(&present(&table, &[1, 2])).await.unwrap());
    let overtaken = old.begin_publication(&table).await.unwrap();
    let new = open(key(2)).await.unwrap();
    new.rotate_keys(&contract()).await.unwrap();
    assert!(new.log("current/visits").load().await.unwrap().is_none());
    assert!(!overtaken.publish(&present(&table, &[1, 2, 3])).await.unwrap());
    let publication = new.begin_publication(&table).await.unwrap();
    assert!(publication.publish(&present(&table, &[4])).await.unwrap());
    assert_eq!(read(folder.path()).await, visits(&[4]));
}

#[tokio::test]
async fn a_column_that_the_contract_gained_is_published_with_the_next_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path(), false).await;
    let (narrow, wide) = (table(), crate::fixtures::wider_table());
    for table in [narrow, wide] {
        let publication = lake.begin_publication(&table).await.unwrap();
        assert!(publication.publish(&present(&table, &[1])).await.unwrap());
    }
    assert_eq!(read(folder.path()).await, visits(&[1]));
    let state = lake.log("current/visits").load().await.unwrap().unwrap();
    assert!(state.schema.index_of("seen_alone").is_ok());
}
