//! What each form of message becomes, one rule a test: JSON with and without a schema block, flat rows, other
//! databases' positions, evolution, and what makes a dead letter.

mod common;

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use async_trait::async_trait;
use casewatch_contract::*;
use common::{NOW, block_on, dead_letters, decode, decoder, framed, offsets, show};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A small table with every type.
fn pets() -> Arc<Table> {
    let text = r#"{"type": "record", "name": "pets", "doc": "Pets.", "key": ["pet_id"], "recorded_at": "recorded_at",
        "source": "feed", "fields": [
        {"name": "pet_id", "type": "string", "doc": "d"},
        {"name": "owner", "type": ["null", "string"], "default": null, "privacy": "hmac:owner", "doc": "d"},
        {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null, "privacy": "month", "doc": "d"},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["cat", "dog"]}, "aliases": ["species"], "doc": "d"},
        {"name": "weight", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}], "default": null, "doc": "d"},
        {"name": "seen_at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null, "doc": "d"},
        {"name": "tame", "type": ["null", "boolean"], "default": null, "doc": "d"},
        {"name": "lives", "type": ["null", "int"], "default": null, "doc": "d"},
        {"name": "diary", "type": ["null", "string"], "default": null, "privacy": "drop", "doc": "d"},
        {"name": "feed", "type": ["null", "string"], "default": null, "doc": "d"},
        {"name": "recorded_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "d"}]}"#;
    Arc::new(Table::parse("pets.avsc", text).unwrap())
}

fn decode_json(order: Order, messages: &[Value]) -> Chunk {
    let texts: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| message.to_string().into_bytes())
        .collect();
    let values: Vec<Option<&[u8]>> = texts.iter().map(|text| Some(text.as_slice())).collect();
    decode(&mut decoder(&pets(), TopicSpec::new("db.pets", order), &[]), &values)
}

const COLUMNS: [&str; 8] = ["pet_id", "born", "kind", "weight", "seen_at", "tame", "lives", "_op"];

fn time() -> i64 {
    1_795_000_000_000_000
}

fn flat(fields: Value) -> Value {
    let mut row = json!({"pet_id": "p", "kind": "cat", "recorded_at": time()});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    row
}

fn envelope(op: &str, before: Value, after: Value) -> Value {
    json!({"op": op, "before": before, "after": after, "source": {"name": "db", "ts_ms": time() / 1000, "lsn": 7}})
}

#[test]
fn a_flat_row_is_an_upsert_recorded_when_it_says() {
    let chunk = decode_json(Order::Offset, &[flat(json!({"feed": "farm"}))]);
    let expected = "\
+--------+------+-----+----------------------+-----------------+---------+-----------+
| pet_id | kind | _op | _recorded_at         | _recorded_month | _source | _snapshot |
+--------+------+-----+----------------------+-----------------+---------+-----------+
| p      | cat  | u   | 2026-11-18T11:06:40Z | 2026-11         | farm    |           |
+--------+------+-----+----------------------+-----------------+---------+-----------+";
    let columns = [
        "pet_id",
        "kind",
        "_op",
        "_recorded_at",
        "_recorded_month",
        "_source",
        "_snapshot",
    ];
    assert_eq!(show(&chunk.rows, &columns), expected);
}

#[test]
fn values_without_a_schema_block_are_read_by_their_size_and_form() {
    let chunk = decode_json(
        Order::Offset,
        &[
            flat(json!({"born": 17_532, "seen_at": 1_514_800_800_123_i64, "weight": 4.25, "tame": true, "lives": 9})),
            flat(
                json!({"born": "2018-01-15", "seen_at": 1_514_800_800_123_456_i64, "weight": "4.25", "tame": "f", "lives": "9"}),
            ),
            flat(
                json!({"born": 1_514_800_800_000_i64, "seen_at": 1_514_800_800_123_456_789_i64, "weight": 4, "tame": 1, "lives": 9.0}),
            ),
            flat(
                json!({"born": "2018-01-31T00:00:00", "seen_at": "2018-01-01T11:00:00.5+01:00", "weight": "1e-3", "tame": "No"}),
            ),
        ],
    );
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+--------+------------+------+--------+-----------------------------+-------+-------+-----+
| pet_id | born       | kind | weight | seen_at                     | tame  | lives | _op |
+--------+------------+------+--------+-----------------------------+-------+-------+-----+
| p      | 2018-01-01 | cat  | 4.250  | 2018-01-01T10:00:00.123Z    | true  | 9     | u   |
| p      | 2018-01-01 | cat  | 4.250  | 2018-01-01T10:00:00.123456Z | false | 9     | u   |
| p      | 2018-01-01 | cat  | 4.000  | 2018-01-01T10:00:00.123456Z | true  | 9     | u   |
| p      | 2018-01-01 | cat  | 0.001  | 2018-01-01T10:00:00.500Z    | false |       | u   |
+--------+------------+------+--------+-----------------------------+-------+-------+-----+";
    assert_eq!(show(&chunk.rows, &COLUMNS), expected);
}

#[test]
fn a_schema_block_says_units_and_scales() {
    let field = |name: &str, of: &str| json!({"field": name, "type": "x", "optional": true, "name": of});
    let block = json!({"type": "struct", "fields": [
        field("pet_id", ""), field("kind", ""), field("recorded_at", "io.debezium.time.Timestamp"),
        field("born", "io.debezium.time.Timestamp"), field("seen_at", "io.debezium.time.NanoTimestamp"),
        {"field": "weight", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}]});
    // 12 August 1971 and 10 seconds past 1970: by size they would be days, and nothing at all.
    let row = json!({"pet_id": "p", "kind": "dog", "recorded_at": time() / 1000, "born": 50_803_200_000_i64,
        "seen_at": 10_000_000_000_i64, "weight": "AfQ="});
    let chunk = decode_json(Order::Offset, &[json!({"schema": block, "payload": row})]);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+--------+------------+------+--------+----------------------+------+-------+-----+
| pet_id | born       | kind | weight | seen_at              | tame | lives | _op |
+--------+------------+------+--------+----------------------+------+-------+-----+
| p      | 1971-08-01 | dog  | 5.000  | 1970-01-01T00:00:10Z |      |       | u   |
+--------+------------+------+--------+----------------------+------+-------+-----+";
    assert_eq!(show(&chunk.rows, &COLUMNS), expected);
}

#[test]
fn a_number_with_its_own_scale_and_a_text_with_escapes_are_read() {
    let chunk = decode_json(
        Order::Offset,
        &[flat(
            json!({"pet_id": "a\"\n☂", "weight": {"scale": 1, "value": "KA=="}}),
        )],
    );
    assert_eq!(chunk.rows.column(0).as_string::<i32>().value(0), "a\"\n☂");
    assert!(show(&chunk.rows, &["weight"]).contains("4.000"));
}

#[test]
fn integer_and_text_identifiers_have_one_pseudonym_and_dropped_fields_are_nowhere() {
    let chunk = decode_json(
        Order::Offset,
        &[
            flat(json!({"owner": 5, "diary": "secret"})),
            flat(json!({"owner": "5"})),
        ],
    );
    let owners = chunk.rows.column_by_name("owner").unwrap().as_string::<i32>();
    assert_eq!(owners.value(0), HmacKeys::demo().apply(&"owner".into(), "5"));
    assert_eq!(owners.value(0), owners.value(1));
    assert!(chunk.rows.column_by_name("diary").is_none());
    assert!(!format!("{chunk:?}").contains("secret"));
}

#[test]
fn fields_are_found_by_earlier_names_and_in_capitals() {
    let chunk = decode_json(
        Order::Offset,
        &[
            json!({"PET_ID": "p", "species": "dog", "Lives": 3, "recorded_at": time()}),
            flat(json!({"whatever": [1, {"a": 2}]})),
        ],
    );
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let shown = show(&chunk.rows, &["pet_id", "kind", "lives"]);
    assert!(
        shown.contains("| p      | dog  | 3     |\n| p      | cat  |       |"),
        "{shown}"
    );
}

#[test]
fn unwrapped_rows_carry_operation_deletion_and_position_beside_their_own_fields() {
    let unwrapped = |extra: Value| {
        let mut row =
            json!({"pet_id": "p", "kind": "cat", "__source_ts_ms": time() / 1000, "__source_name": "db", "__lsn": 9});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    let chunk = decode_json(
        Order::Source,
        &[
            unwrapped(json!({"__op": "r", "__source_snapshot": "first"})),
            unwrapped(json!({"__op": "c", "__deleted": "false"})),
            unwrapped(json!({"__op": "d", "__deleted": "true", "kind": null})),
        ],
    );
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+--------+------+-----+-----------+---------+------------------------------------------+
| pet_id | kind | _op | _snapshot | _source | _seq                                     |
+--------+------+-----+-----------+---------+------------------------------------------+
| p      | cat  | r   | first     | db      | 0000000000000000000000090000000000000000 |
| p      | cat  | c   |           | db      | 0000000000000000000000090000000000000001 |
| p      |      | d   |           | db      | 0000000000000000000000090000000000000002 |
+--------+------+-----+-----------+---------+------------------------------------------+";
    assert_eq!(
        show(&chunk.rows, &["pet_id", "kind", "_op", "_snapshot", "_source", "_seq"]),
        expected
    );
}

#[test]
fn an_update_that_changes_the_key_is_a_delete_and_an_update_of_one_seq() {
    let row = |id: &str| json!({"pet_id": id, "kind": "cat"});
    let chunk = decode_json(
        Order::Source,
        &[
            envelope("u", row("a"), row("a")),
            envelope("u", row("a"), row("b")),
            envelope("u", Value::Null, row("b")),
        ],
    );
    let expected = "\
+--------+------+-----+---------+
| pet_id | kind | _op | _offset |
+--------+------+-----+---------+
| a      | cat  | u   | 0       |
| a      |      | d   | 1       |
| b      | cat  | u   | 1       |
| b      | cat  | u   | 2       |
+--------+------+-----+---------+";
    assert_eq!(show(&chunk.rows, &["pet_id", "kind", "_op", "_offset"]), expected);
    let seq = chunk.rows.column_by_name("_seq").unwrap().as_binary::<i32>();
    assert_eq!(seq.value(1), seq.value(2));
}

#[test]
fn what_was_not_logged_is_unset_even_where_a_value_is_required() {
    let after = json!({"pet_id": "p", "kind": "__debezium_unavailable_value", "owner": "__debezium_unavailable_value"});
    let chunk = decode_json(Order::Source, &[envelope("u", Value::Null, after)]);
    assert_eq!(dead_letters(&chunk), Vec::<String>::new());
    let expected = "\
+--------+-------+------+------------+
| pet_id | owner | kind | _unset     |
+--------+-------+------+------------+
| p      |       |      | owner,kind |
+--------+-------+------+------------+";
    assert_eq!(show(&chunk.rows, &["pet_id", "owner", "kind", "_unset"]), expected);
}

#[test]
fn each_database_has_its_own_position() {
    let of = |source: Value| {
        let mut message = envelope("c", Value::Null, json!({"pet_id": "p", "kind": "cat"}));
        message["source"] = source;
        message["source"]["ts_us"] = json!(time());
        let chunk = decode_json(Order::Source, &[message]);
        assert_eq!(dead_letters(&chunk), Vec::<String>::new());
        let seq = chunk
            .rows
            .column_by_name("_seq")
            .unwrap()
            .as_binary::<i32>()
            .value(0)
            .to_vec();
        seq.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (epoch, offset) = ("00000000", "0000000000000000");
    assert_eq!(
        of(
            json!({"connector": "sqlserver", "commit_lsn": "00000027:00000758:0005", "change_lsn": "00000027:00000758:0003", "event_serial_no": 2})
        ),
        format!("{epoch}00000027000007580005000000270000075800030000000000000002{offset}")
    );
    assert_eq!(
        of(
            json!({"connector": "sqlserver", "snapshot": "true", "commit_lsn": "00000027:00000758:0005", "change_lsn": null})
        ),
        format!("{epoch}00000027000007580005000000000000000000000000000000000000{offset}")
    );
    assert_eq!(
        of(json!({"connector": "oracle", "scn": "1122334455", "ssn": 3})),
        format!("{epoch}0000000042e576f70000000000000003{offset}")
    );
    assert_eq!(
        of(json!({"connector": "mysql", "file": "mysql-bin.000003", "pos": 154, "row": 1})),
        format!("{epoch}0000000000000003000000000000009a0000000000000001{offset}")
    );
}

#[test]
fn each_fault_is_told_by_field_and_never_by_value() {
    let order = Order::Source;
    let cases = [
        (
            envelope("u", Value::Null, json!({"pet_id": null, "kind": "cat"})),
            "missing_key: the key's column `pet_id` has no value",
        ),
        (
            envelope("d", Value::Null, Value::Null),
            "missing_key: a delete shows no key, and its message's key cannot be read: the key is not JSON",
        ),
        (
            envelope("u", Value::Null, json!({"pet_id": "p"})),
            "missing_value: `kind` has no value and must have one",
        ),
        (
            envelope("u", Value::Null, json!({"pet_id": "p", "kind": "SECRET"})),
            "closed_list: `kind` has a value that is not in its list",
        ),
        (
            envelope(
                "u",
                Value::Null,
                json!({"pet_id": "p", "kind": "cat", "born": "SECRET"}),
            ),
            "bad_value: the value of `born` cannot be read as Date32",
        ),
        (
            envelope(
                "u",
                Value::Null,
                json!({"pet_id": "p", "kind": "cat", "born": "2018-02-30"}),
            ),
            "bad_value: the value of `born` cannot be read as Date32",
        ),
        (
            envelope(
                "u",
                Value::Null,
                json!({"pet_id": "p", "kind": "cat", "weight": 1_000_000}),
            ),
            "bad_value: the value of `weight` cannot be read as Decimal128(9, 3)",
        ),
        (
            envelope("u", Value::Null, json!({"pet_id": "p", "kind": "cat", "lives": 9.5})),
            "bad_value: the value of `lives` cannot be read as Int32",
        ),
        (
            envelope(
                "u",
                Value::Null,
                json!({"pet_id": "p", "kind": "cat", "tame": {"SECRET": 1}}),
            ),
            "bad_value: `tame` holds an object",
        ),
        (
            envelope("x", Value::Null, json!({"pet_id": "p", "kind": "cat"})),
            "unknown_operation: `op` is none of c, u, r, d, t",
        ),
        (
            envelope("u", json!({"pet_id": "p"}), Value::Null),
            "unknown_operation: an upsert has no `after`",
        ),
        (
            json!({"op": "c", "before": null, "after": {"pet_id": "p", "kind": "cat"}, "source": {"lsn": 7}}),
            "missing_recorded_at: nothing says when the change was recorded",
        ),
        (
            json!({"op": "c", "before": null, "after": {"pet_id": "p", "kind": "cat"}, "source": {"ts_ms": 1}}),
            "missing_position: the topic is ordered by the source's position, and there is none that can be read",
        ),
    ];
    for (message, expected) in cases {
        let good = envelope("c", Value::Null, json!({"pet_id": "good", "kind": "dog"}));
        let chunk = decode_json(order, &[good.clone(), message.clone(), good]);
        assert_eq!(dead_letters(&chunk), [format!("1 {expected}")], "{message}");
        assert_eq!(offsets(&chunk), [0, 2]);
        assert!(!format!("{:?}", chunk.dead_letters).contains("SECRET"));
    }
}

#[test]
fn text_that_is_no_message_is_told_apart() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "truncated: the message is empty"),
        (
            b"{\"pet_id\": \"p\"",
            "truncated: the message ends before its JSON does",
        ),
        (b"{\"pet_id\": nope}", "malformed: the message is not a JSON object"),
        (b"{} {}", "malformed: the message is not a JSON object"),
        (b"{\"pet_id\": \"\xff\"}", "malformed: the message is not UTF-8"),
        (
            b"[1]",
            "unknown_encoding: the message is neither Avro in Confluent's framing nor a JSON object",
        ),
        (b"\0\0\0", "truncated: the message ends within its schema id"),
        (
            b"\0\0\0\0\x09abc",
            "unknown_schema: the registry has no Avro schema with this id",
        ),
    ];
    for (bytes, expected) in cases {
        let chunk = decode(
            &mut decoder(&pets(), TopicSpec::new("pets", Order::Offset), &[]),
            &[Some(bytes), None],
        );
        assert_eq!(dead_letters(&chunk), [format!("0 {expected}")]);
        assert_eq!((chunk.rows.num_rows(), chunk.tombstones), (0, 1));
        assert_eq!(chunk.dead_letters[0].payload.as_deref(), Some(bytes));
    }
}

#[test]
fn offsets_without_a_message_are_holes() {
    let text = flat(json!({})).to_string();
    let message = RawMessage {
        offset: Offset(12),
        key: None,
        value: Some(text.as_bytes()),
        timestamp_ms: Some(5),
    };
    let mut decoder = decoder(&pets(), TopicSpec::new("pets", Order::Offset), &[]);
    let chunk = block_on(decoder.decode(3, Offset(10), Offset(20), &[message], NOW)).unwrap();
    assert_eq!(
        (chunk.holes, chunk.len(), chunk.partition.to_string().as_str()),
        (9, 1, "test/pets/0/3")
    );
    let expected = "\
+----------+--------+--------+------------+---------+----------------------+
| _cluster | _topic | _epoch | _partition | _offset | _ingested_at         |
+----------+--------+--------+------------+---------+----------------------+
| test     | pets   | 0      | 3          | 12      | 2026-11-21T22:26:40Z |
+----------+--------+--------+------------+---------+----------------------+";
    assert_eq!(
        show(
            &chunk.rows,
            &["_cluster", "_topic", "_epoch", "_partition", "_offset", "_ingested_at"]
        ),
        expected
    );
    let empty = block_on(decoder.decode(3, Offset(20), Offset(20), &[], NOW)).unwrap();
    assert_eq!(
        (empty.holes, empty.len(), empty.rows.schema()),
        (0, 0, pets().lake_schema())
    );
}

#[test]
fn times_that_cannot_be_true_are_kept_in_the_month_that_says_so() {
    let chunk = decode_json(
        Order::Offset,
        &[
            flat(json!({"recorded_at": "1980-01-01T00:00:00Z"})),
            flat(json!({"recorded_at": "2030-01-01"})),
        ],
    );
    assert!(show(&chunk.rows, &["_recorded_month"]).matches("invalid").count() == 2);
    assert!(show(&chunk.rows, &["_recorded_at"]).contains("1980-01-01T00:00:00Z"));
}

fn zigzag(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len() * 2).unwrap()], text.as_bytes()].concat()
}

#[test]
fn an_avro_schema_that_is_not_this_table_makes_dead_letters_and_stops_nothing_else() {
    let schemas = [
        (1, r#"{"type": "record", "name": "R", "fields": [{"name": "colour", "type": "string"}]}"#.to_owned()),
        (2, r#"{"type": "record", "name": "R", "fields": [{"name": "pet_id", "type": {"type": "map", "values": "string"}},
            {"name": "kind", "type": "string"}, {"name": "recorded_at", "type": "string"}]}"#.to_owned()),
        (3, r#"{"type": "record", "name": "R", "fields": [{"name": "pet_id", "type": "string"}, {"name": "kind", "type": "string"},
            {"name": "recorded_at", "type": "string"}]}"#.to_owned()),
        (4, "not a schema".to_owned()),
    ];
    let row = [zigzag("p"), zigzag("cat"), zigzag("2026-11-01T00:00:00Z")].concat();
    let mapped = [vec![0], zigzag("cat"), zigzag("2026-11-01T00:00:00Z")].concat();
    let messages = [
        framed(1, &zigzag("red")),
        framed(2, &mapped),
        framed(3, &row),
        framed(4, &row),
        framed(3, &row),
    ];
    let values: Vec<Option<&[u8]>> = messages.iter().map(|message| Some(message.as_slice())).collect();
    let chunk = decode(
        &mut decoder(&pets(), TopicSpec::new("pets", Order::Offset), &schemas),
        &values,
    );
    assert_eq!(offsets(&chunk), [2, 4]);
    let told = dead_letters(&chunk);
    assert_eq!(told[0], "0 schema_mismatch: the schema has no field of table pets");
    assert!(
        told[1].starts_with("1 schema_mismatch: `pet_id` is Map") && told[1].ends_with("which cannot be read as Utf8"),
        "{}",
        told[1]
    );
    assert!(
        told[2].starts_with("3 schema_mismatch: the schema is not JSON"),
        "{}",
        told[2]
    );
    assert_eq!(chunk.dead_letters[0].schema_id, Some(1));
}

/// A registry that is away at first.
struct Flaky(std::sync::atomic::AtomicBool);

#[async_trait]
impl SchemaSource for Flaky {
    async fn schema(&self, _: u32) -> Result<Option<Arc<WriterSchema>>, Unavailable> {
        if !self.0.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Err(Unavailable {
                problem: "it is away".to_owned(),
            });
        }
        let schema = r#"{"type": "record", "name": "R", "fields": [{"name": "pet_id", "type": "string"},
            {"name": "kind", "type": "string"}, {"name": "recorded_at", "type": "string"}]}"#;
        Ok(Some(Arc::new(WriterSchema {
            schema: schema.to_owned(),
            references: Vec::new(),
        })))
    }
}

#[test]
fn while_the_registry_is_away_nothing_is_decided_and_afterwards_nothing_is_lost() {
    let topic = TopicSpec::new("pets", Order::Offset);
    let registry = Arc::new(Flaky(false.into()));
    let mut decoder = Decoder::new(pets(), topic, "test".into(), Arc::new(HmacKeys::demo()), Some(registry)).unwrap();
    let bytes = framed(
        1,
        &[zigzag("p"), zigzag("cat"), zigzag("2026-11-01T00:00:00Z")].concat(),
    );
    let messages = [RawMessage {
        offset: Offset(0),
        key: None,
        value: Some(&bytes),
        timestamp_ms: None,
    }];
    let away = block_on(decoder.decode(0, Offset(0), Offset(1), &messages, NOW)).unwrap_err();
    assert_eq!(away.to_string(), "the schema registry cannot be asked: it is away");
    let chunk = block_on(decoder.decode(0, Offset(0), Offset(1), &messages, NOW)).unwrap();
    assert_eq!((chunk.len(), chunk.dead_letters.len()), (1, 0));
}

#[test]
fn a_topic_without_the_keys_or_the_registry_it_needs_is_refused_at_start() {
    let new = |encoding, keys| {
        let mut topic = TopicSpec::new("pets", Order::Offset);
        topic.encoding = encoding;
        Decoder::new(pets(), topic, "test".into(), Arc::new(keys), None)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert!(
        new(Encoding::Json, HmacKeys::none())
            .unwrap_err()
            .contains("no key for the privacy domain `owner`")
    );
    assert!(
        new(Encoding::Avro, HmacKeys::demo())
            .unwrap_err()
            .contains("no schema registry is configured")
    );
    assert!(new(Encoding::Json, HmacKeys::demo()).is_ok());
}

#[test]
fn a_thousand_messages_with_every_other_broken_give_the_good_half_in_order() {
    let good = flat(json!({"lives": 1})).to_string();
    let values: Vec<Option<&[u8]>> = (0..1000)
        .map(|at| Some(if at % 2 == 0 { good.as_bytes() } else { b"{" as &[u8] }))
        .collect();
    let chunk = decode(
        &mut decoder(&pets(), TopicSpec::new("pets", Order::Offset), &[]),
        &values,
    );
    assert_eq!((chunk.len(), chunk.dead_letters.len()), (500, 500));
    assert!(
        chunk
            .dead_letters
            .iter()
            .all(|letter| letter.reason == Reason::Truncated)
    );
    assert_eq!(chunk.rows.column(0).null_count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_or_harms_its_neighbours(
        noise in proptest::collection::vec(any::<u8>(), 0..8), at in any::<proptest::sample::Index>(), cut in 0..6_usize
    ) {
        let good = envelope("u", json!({"pet_id": "a"}), json!({"pet_id": "p", "kind": "cat", "weight": 0.5})).to_string();
        let mut bad = good.clone().into_bytes();
        let from = at.index(bad.len());
        let to = (from + cut).min(bad.len());
        bad.splice(from..to, noise);
        let values = [Some(good.as_bytes()), Some(bad.as_slice()), Some(good.as_bytes())];
        let chunk = decode(&mut decoder(&pets(), TopicSpec::new("pets", Order::Source), &[]), &values);
        prop_assert!(offsets(&chunk).starts_with(&[0, 0]) && offsets(&chunk).ends_with(&[2, 2]));
        let last = chunk.rows.num_rows() - 1;
        prop_assert_eq!(chunk.rows.column(0).as_string::<i32>().value(last), "p");
    }
}

#[test]
fn every_example_that_schemas_readme_shows_is_understood() {
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut examples = 0;
    for block in readme.split("```json ").skip(1) {
        let (table, rest) = block.split_once('\n').unwrap();
        let (message, _) = rest.split_once("```").unwrap();
        let order = if message.contains("\"lsn\"") {
            Order::Source
        } else {
            Order::Offset
        };
        let topic = TopicSpec::new(format!("db.{table}"), order);
        let chunk = decode(
            &mut decoder(&common::shipped(table), topic, &[]),
            &[Some(message.as_bytes())],
        );
        assert_eq!(dead_letters(&chunk), Vec::<String>::new(), "{message}");
        assert!(!show(&chunk.rows, &["_recorded_month"]).contains("invalid"));
        examples += 1;
    }
    assert_eq!(examples, 5);
}
