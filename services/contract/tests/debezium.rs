//! Decoding what Debezium 3.6 really wrote for PostgreSQL 17: `tests/fixtures/postgresql` holds the bytes of one topic,
//! once through Avro and once through JSON with its schema block. The session was: two rows in the first snapshot; an
//! update that leaves a TOASTed column unlogged; a change of key; a delete; a truncate.

mod common;

use std::path::Path;
use std::sync::Arc;

use casewatch_contract::{Chunk, Encoding, Order, Table, TopicSpec};
use common::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/postgresql")
            .join(name),
    )
    .unwrap()
}

/// The captured messages 0 to 8; the empty ones were tombstones.
fn captured(encoding: &str) -> Vec<Vec<u8>> {
    (0..=8)
        .map(|number| fixture(&format!("cases-{number}.{encoding}")))
        .collect()
}

fn schemas() -> Vec<(u32, String)> {
    [2, 4]
        .map(|id| (id, String::from_utf8(fixture(&format!("schema-{id}.avsc"))).unwrap()))
        .to_vec()
}

fn decode_captured(table: &Arc<Table>, encoding: &str, order: Order) -> Chunk {
    let messages = captured(encoding);
    let values: Vec<Option<&[u8]>> = messages
        .iter()
        .map(|message| (!message.is_empty()).then_some(message.as_slice()))
        .collect();
    decode(
        &mut decoder(table, TopicSpec::new("avro.public.cases", order), &schemas()),
        &values,
    )
}

/// The captured table has a column of notes, which the contract does not take.
fn with_notes() -> Arc<Table> {
    let mut schema = shipped("cases").avro_schema().clone();
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.push(serde_json::json!(
        {"name": "notes", "type": ["null", "string"], "default": null, "privacy": "hmac:notes", "doc": "Notes."}
    ));
    Arc::new(Table::parse("cases.avsc", &schema.to_string()).unwrap())
}

#[test]
fn each_operation_becomes_what_it_means_in_avro_and_in_json() {
    for encoding in ["avro", "json"] {
        let chunk = decode_captured(&shipped("cases"), encoding, Order::Source);
        assert_eq!(dead_letters(&chunk), Vec::<String>::new(), "{encoding}");
        assert_eq!(chunk.tombstones, 2);
        let columns = [
            "case_id",
            "subject",
            "team_id",
            "opened_at",
            "non_sw_lead_agreed",
            "_op",
            "_snapshot",
            "_offset",
        ];
        let expected = "\
+---------+---------+---------+-----------------------------+--------------------+-----+-------------------------+---------+
| case_id | subject | team_id | opened_at                   | non_sw_lead_agreed | _op | _snapshot               | _offset |
+---------+---------+---------+-----------------------------+--------------------+-----+-------------------------+---------+
| a       | child   | t1      | 2018-01-01T10:00:00.123456Z |                    | r   | first                   | 0       |
| b       | child   | t1      | 2018-01-02T10:00:00Z        | true               | r   | last_in_data_collection | 1       |
| a       | child   | t2      | 2018-01-01T10:00:00.123456Z |                    | u   |                         | 2       |
| b       |         |         |                             |                    | d   |                         | 3       |
| b2      | child   | t1      | 2018-01-02T10:00:00Z        | true               | c   |                         | 5       |
| a       |         |         |                             |                    | d   |                         | 6       |
|         |         |         |                             |                    | t   |                         | 8       |
+---------+---------+---------+-----------------------------+--------------------+-----+-------------------------+---------+";
        assert_eq!(show(&chunk.rows, &columns), expected, "{encoding}");
    }
}

#[test]
fn the_system_columns_say_when_where_and_from_whom() {
    let chunk = decode_captured(&shipped("cases"), "avro", Order::Source);
    let columns = ["_recorded_at", "_recorded_month", "_source", "_seq", "_unset"];
    let expected = "\
+-----------------------------+-----------------+---------+------------------------------------------+--------+
| _recorded_at                | _recorded_month | _source | _seq                                     | _unset |
+-----------------------------+-----------------+---------+------------------------------------------+--------+
| 2026-11-21T22:06:43.446518Z | 2026-11         | avro    | 00000000000000000150d3680000000000000000 |        |
+-----------------------------+-----------------+---------+------------------------------------------+--------+";
    let shown = show(&chunk.rows.slice(0, 1), &columns);
    assert_eq!(shown, expected);
}

#[test]
fn what_the_database_did_not_log_is_unset_before_it_could_be_hashed() {
    for encoding in ["avro", "json"] {
        let chunk = decode_captured(&with_notes(), encoding, Order::Source);
        let shown = show(&chunk.rows.slice(1, 2), &["case_id", "notes", "_unset"]);
        let expected = "\
+---------+-------+--------+
| case_id | notes | _unset |
+---------+-------+--------+
| b       |       |        |
| a       |       | notes  |
+---------+-------+--------+";
        assert_eq!(shown, expected, "{encoding}");
    }
}

#[test]
fn a_truncate_on_a_topic_ordered_by_offset_is_a_dead_letter() {
    let chunk = decode_captured(&shipped("cases"), "avro", Order::Offset);
    assert_eq!(chunk.rows.num_rows(), 6);
    assert_eq!(
        dead_letters(&chunk),
        ["8 truncate_needs_source_order: a truncate says what it removes only on a topic with order = \"source\""]
    );
    assert_eq!(chunk.dead_letters[0].schema_id, Some(2));
}

#[test]
fn decimals_dates_and_numbers_are_read_by_their_types() {
    let table = Table::parse(
        "contracts.avsc",
        r#"{"type": "record", "name": "contracts", "doc": "d", "key": ["contract_id"], "fields": [
            {"name": "contract_id", "type": "string", "doc": "d"},
            {"name": "fte", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}], "default": null, "doc": "d"},
            {"name": "started_on", "type": {"type": "int", "logicalType": "date"}, "doc": "d"},
            {"name": "ended_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null, "doc": "d"},
            {"name": "child_family_sw", "type": "boolean", "doc": "d"},
            {"name": "local", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "d"},
            {"name": "n", "type": "int", "doc": "d"}]}"#,
    );
    let table = Arc::new(table.unwrap());
    for encoding in ["avro", "json"] {
        let message = fixture(&format!("contracts-0.{encoding}"));
        let mut decoder = decoder(&table, TopicSpec::new("contracts", Order::Source), &schemas());
        let chunk = decode(&mut decoder, &[Some(&message)]);
        let columns = [
            "contract_id",
            "fte",
            "started_on",
            "ended_on",
            "child_family_sw",
            "local",
            "n",
            "_snapshot",
        ];
        let expected = "\
+-------------+-------+------------+----------+-----------------+----------------------+---+-----------+
| contract_id | fte   | started_on | ended_on | child_family_sw | local                | n | _snapshot |
+-------------+-------+------------+----------+-----------------+----------------------+---+-----------+
| k1          | 0.600 | 2018-01-01 |          | true            | 2018-01-01T10:00:00Z | 3 | last      |
+-------------+-------+------------+----------+-----------------+----------------------+---+-----------+";
        assert_eq!(show(&chunk.rows, &columns), expected, "{encoding}");
    }
}

#[test]
fn avro_and_json_in_one_topic_come_out_in_the_order_of_their_offsets() {
    let (avro, json) = (captured("avro"), captured("json"));
    let values: Vec<Option<&[u8]>> = [&avro[0], &json[1], &avro[2], &json[3], &json[5], &avro[6]]
        .iter()
        .map(|message| Some(message.as_slice()))
        .collect();
    let mut decoder = decoder(&shipped("cases"), TopicSpec::new("cases", Order::Source), &schemas());
    let chunk = decode(&mut decoder, &values);
    assert_eq!(offsets(&chunk), [0, 1, 2, 3, 4, 5]);
    let shown = show(&chunk.rows, &["case_id", "_op", "_source"]);
    assert!(
        shown.contains("| a       | r   | avro    |\n| b       | r   | json    |\n| a       | u   | avro    |"),
        "{shown}"
    );
}

#[test]
fn a_topic_that_says_its_encoding_takes_no_other() {
    let (avro, json) = (captured("avro"), captured("json"));
    let mut topic = TopicSpec::new("cases", Order::Source);
    topic.encoding = Encoding::Json;
    let mut decoder = decoder(&shipped("cases"), topic, &schemas());
    let chunk = decode(&mut decoder, &[Some(&avro[0]), Some(&json[0])]);
    assert_eq!(
        dead_letters(&chunk),
        ["0 unknown_encoding: the message is not a JSON object"]
    );
}

#[test]
fn a_message_that_ends_in_the_frame_of_another_is_a_dead_letter_and_its_neighbours_are_not() {
    let avro = captured("avro");
    let joined = [avro[1].as_slice(), &avro[2][..5]].concat();
    let mut decoder = decoder(&shipped("cases"), TopicSpec::new("cases", Order::Source), &schemas());
    let chunk = decode(&mut decoder, &[Some(&avro[0]), Some(&joined), Some(&avro[2])]);
    assert_eq!(dead_letters(&chunk), ["1 malformed: bytes are left after the record"]);
    assert_eq!(offsets(&chunk), [0, 2]);
}
