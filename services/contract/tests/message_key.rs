//! Deletes that show no image: the message's own key names the row, in every form in which a key is written.

mod common;

use std::sync::Arc;

use casewatch_contract::*;
use common::*;
use serde_json::{Value, json};

/// Decodes values with their messages' keys.
fn decode_keyed(table: &Arc<Table>, schemas: &[(u32, String)], messages: &[(Option<&[u8]>, Value)]) -> Chunk {
    let topic = TopicSpec::new(format!("db.{}", table.name), Order::Source);
    let mut decoder = decoder(table, topic, schemas);
    let values: Vec<Vec<u8>> = messages
        .iter()
        .map(|(_, value)| value.to_string().into_bytes())
        .collect();
    let raw: Vec<RawMessage<'_>> = messages
        .iter()
        .zip(&values)
        .zip(0..)
        .map(|(((key, _), value), offset)| RawMessage {
            offset: Offset(offset),
            key: *key,
            value: Some(value),
            timestamp_ms: None,
        })
        .collect();
    let to = Offset(i64::try_from(raw.len()).unwrap());
    let chunk = block_on(decoder.decode(0, Offset(0), to, &raw, NOW)).unwrap();
    accounts_for_every_offset(&chunk);
    chunk
}

fn source(lsn: i64) -> Value {
    json!({"name": "db", "ts_ms": 1_795_000_000_000_i64, "lsn": lsn})
}

/// A delete whose image before the change is null.
fn delete(lsn: i64) -> Value {
    json!({"op": "d", "before": null, "after": null, "source": source(lsn)})
}

fn child(id: &str, lsn: i64) -> Value {
    let row = json!({"child_id": id, "restricted": false, "authority": "E10000021", "source_system": "s"});
    json!({"op": "c", "before": null, "after": row, "source": source(lsn)})
}

#[test]
fn a_delete_without_before_is_of_the_row_that_its_message_key_names() {
    let key = json!({"child_id": "k1"}).to_string();
    let with_block = json!({"schema": {"type": "struct", "fields": [{"type": "string", "field": "child_id"}]},
        "payload": {"child_id": "k1"}})
    .to_string();
    let avro = [framed(7, &[4]), b"k1".to_vec()].concat();
    let bare = [framed(8, &[4]), b"k1".to_vec()].concat();
    let bare_or_null = [framed(9, &[2, 4]), b"k1".to_vec()].concat();
    let schema = r#"{"type": "record", "name": "Key", "namespace": "db.children", "fields": [{"name": "child_id", "type": "string"}]}"#;
    let mut left_out = delete(6);
    left_out.as_object_mut().unwrap().remove("before");
    let mut nothing_but_the_source = left_out.clone();
    nothing_but_the_source.as_object_mut().unwrap().remove("after");
    let messages = [
        (None, child("k1", 1)),
        (Some(key.as_bytes()), delete(2)),
        (None, child("k2", 3)),
        (Some(with_block.as_bytes()), delete(4)),
        (Some(avro.as_slice()), delete(5)),
        (Some(b"\"k1\"".as_slice()), left_out),
        (Some(key.as_bytes()), nothing_but_the_source),
        (Some(bare.as_slice()), delete(7)),
        (Some(bare_or_null.as_slice()), delete(8)),
    ];
    let schemas = [
        (7, schema.to_owned()),
        (8, "\"string\"".to_owned()),
        (9, r#"["null", "string"]"#.to_owned()),
    ];
    let chunk = decode_keyed(&shipped("children"), &schemas, &messages);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    assert_eq!(offsets(&chunk), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let ids = chunk.rows.column_by_name("child_id").unwrap();
    let ids = arrow::array::cast::as_string_array(ids);
    assert_eq!(ids.value(0).len(), 32, "a keyed hash, as everywhere else");
    assert_ne!(ids.value(2), ids.value(0));
    for delete in [1, 3, 4, 5, 6, 7, 8] {
        assert_eq!(ids.value(delete), ids.value(0), "row {delete} is of the same child");
    }
    let shown = show(
        &chunk.rows.slice(1, 1),
        &["restricted", "authority", "_op", "_source", "_seq"],
    );
    let expected = "\
+------------+-----------+-----+---------+------------------------------------------+
| restricted | authority | _op | _source | _seq                                     |
+------------+-----------+-----+---------+------------------------------------------+
|            |           | d   | db      | 0000000000000000000000020000000000000001 |
+------------+-----------+-----+---------+------------------------------------------+";
    assert_eq!(shown, expected);
}

#[test]
fn a_flat_row_marked_deleted_may_leave_its_key_to_the_message() {
    let flat = |extra: Value| {
        let mut row = json!({"recorded_at": 1_795_000_000_000_000_i64, "__lsn": 9});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    let key = json!({"team_id": "t1", "valid_from": "2018-01-01"}).to_string();
    let own = json!({"team_id": "t2", "valid_from": "2018-01-01", "__deleted": "true"});
    let messages = [
        (
            Some(key.as_bytes()),
            flat(json!({"__deleted": "true", "team_id": null})),
        ),
        (Some(key.as_bytes()), flat(json!({"__op": "d"}))),
        (Some(key.as_bytes()), flat(own)),
    ];
    let chunk = decode_keyed(&shipped("teams"), &[], &messages);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+---------+------------+-----+
| team_id | valid_from | _op |
+---------+------------+-----+
| t1      | 2018-01-01 | d   |
| t1      | 2018-01-01 | d   |
| t2      | 2018-01-01 | d   |
+---------+------------+-----+";
    assert_eq!(show(&chunk.rows, &["team_id", "valid_from", "_op"]), expected);
}

#[test]
fn a_delete_that_names_no_row_anywhere_is_a_dead_letter_and_costs_no_other() {
    let good = json!({"child_id": "k1"}).to_string();
    let other = json!({"case_id": "SECRET"}).to_string();
    let unknown = framed(8, &[4, b'k', b'1']);
    let messages = [
        (None, delete(1)),
        (Some(other.as_bytes()), delete(2)),
        (Some(b"SECRET".as_slice()), delete(3)),
        (Some(unknown.as_slice()), delete(4)),
        (Some(good.as_bytes()), delete(5)),
        (None, child("k2", 6)),
    ];
    let chunk = decode_keyed(&shipped("children"), &[], &messages);
    let unreadable = "a delete shows no key, and its message's key cannot be read";
    assert_eq!(
        dead_letters(&chunk),
        [
            "0 missing_key: a delete has neither `before` nor a message key to name its row".to_owned(),
            "1 missing_key: the key's column `child_id` has no value".to_owned(),
            format!("2 missing_key: {unreadable}: the key is not JSON"),
            format!("3 missing_key: {unreadable}: the registry has no Avro schema with this id"),
        ]
    );
    assert_eq!(offsets(&chunk), [4, 5]);
}

#[test]
fn a_truncate_needs_no_key_and_takes_none() {
    let key = json!({"child_id": "k1"}).to_string();
    let truncate = json!({"op": "t", "before": null, "after": null, "source": source(3)});
    let chunk = decode_keyed(&shipped("children"), &[], &[(Some(key.as_bytes()), truncate)]);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    assert!(show(&chunk.rows, &["child_id", "_op"]).contains("|          | t   |"));
}
