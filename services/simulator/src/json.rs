//! JSON as Debezium writes it: envelopes with or without Kafka Connect's schema block, and flat rows.

use serde_json::{Value as Json, json};

use crate::journal::{Event, Op};
use crate::row::{Kind, Table, Value};
use crate::wire::{DATABASE, ReplicaIdentity, VERSION, before_image, unscaled, zoned};

/// `{"schema":...,"payload":` and `}`.
pub(crate) fn frame(schema: &Json) -> (Vec<u8>, Vec<u8>) {
    (
        format!("{{\"schema\":{schema},\"payload\":").into_bytes(),
        b"}".to_vec(),
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decimals {
    Digits,
    Base64,
}

pub(crate) fn json_key(out: &mut Vec<u8>, table: Table, row: &[Value]) {
    let mut separator = b'{';
    for (column, value) in table.columns().iter().zip(row).filter(|(column, _)| column.key) {
        out.push(separator);
        separator = b',';
        json_field(out, column.name, value, Decimals::Digits);
    }
    out.push(b'}');
}

fn json_row(out: &mut Vec<u8>, table: Table, row: &[Value], decimals: Decimals) {
    let mut separator = b'{';
    for (column, value) in table.columns().iter().zip(row) {
        out.push(separator);
        separator = b',';
        json_field(out, column.name, value, decimals);
    }
}

pub(crate) fn json_envelope(
    out: &mut Vec<u8>,
    event: &Event,
    source: &str,
    identity: ReplicaIdentity,
    decimals: Decimals,
) {
    out.extend_from_slice(b"{\"before\":");
    json_image(out, event.table, before_image(event, identity).as_deref(), decimals);
    out.extend_from_slice(b",\"after\":");
    json_image(out, event.table, event.after.as_deref(), decimals);
    let (us, lsn, tx) = (event.at.0, event.lsn, event.transaction);
    let ms = us.div_euclid(1000);
    let (snapshot, table, op) = (event.snapshot.marker(), event.table.name(), event.op.letter());
    let source = format!(
        ",\"source\":{{\"version\":\"{VERSION}\",\"connector\":\"postgresql\",\"name\":\"{source}\",\"ts_ms\":{ms},\
         \"snapshot\":\"{snapshot}\",\"db\":\"{DATABASE}\",\"sequence\":\"[\\\"{lsn}\\\",\\\"{lsn}\\\"]\",\"ts_us\":{us},\
         \"ts_ns\":{us}000,\"schema\":\"public\",\"table\":\"{table}\",\"txId\":{tx},\"lsn\":{lsn},\"xmin\":null,\
         \"origin\":null,\"origin_lsn\":null}},\"transaction\":null,\"op\":\"{op}\",\"ts_ms\":{ms},\"ts_us\":{us},\
         \"ts_ns\":{us}000}}"
    );
    out.extend_from_slice(source.as_bytes());
}

fn json_image(out: &mut Vec<u8>, table: Table, row: Option<&[Value]>, decimals: Decimals) {
    match row {
        Some(row) => {
            json_row(out, table, row, decimals);
            out.push(b'}');
        }
        None => out.extend_from_slice(b"null"),
    }
}

pub(crate) fn json_flat(out: &mut Vec<u8>, event: &Event, row: &[Value]) {
    json_row(out, event.table, row, Decimals::Digits);
    out.push(b',');
    json_field(out, "recorded_at", &Value::Time(event.at), Decimals::Digits);
    let deleted = event.op == Op::Delete;
    let (op, snapshot, lsn) = (event.op.letter(), event.snapshot.marker(), event.lsn);
    let meta =
        format!(",\"__op\":\"{op}\",\"__deleted\":\"{deleted}\",\"__snapshot\":\"{snapshot}\",\"__lsn\":{lsn}}}");
    out.extend_from_slice(meta.as_bytes());
}

fn json_field(out: &mut Vec<u8>, name: &str, value: &Value, decimals: Decimals) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Text(text) => json_text(out, text),
        Value::Date(day) => out.extend_from_slice(day.0.to_string().as_bytes()),
        Value::Time(time) => {
            out.push(b'"');
            out.extend_from_slice(zoned(*time).as_bytes());
            out.push(b'"');
        }
        Value::Decimal(value) if decimals == Decimals::Base64 => {
            out.push(b'"');
            out.extend_from_slice(base64(&unscaled(*value)).as_bytes());
            out.push(b'"');
        }
        Value::Decimal(value) => {
            let sign = if *value < 0 { "-" } else { "" };
            let digits = format!("\"{sign}{}.{:03}\"", value.abs() / 1000, value.abs() % 1000);
            out.extend_from_slice(digits.as_bytes());
        }
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(Json::from(text).to_string().as_bytes());
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

// Kafka Connect's schema blocks.

fn connect_columns(table: Table, keys_only: bool) -> Vec<Json> {
    let field = |column: &crate::row::Column| {
        let optional = column.nullable;
        let name = column.name;
        match column.kind {
            Kind::Text => json!({"type": "string", "optional": optional, "field": name}),
            Kind::Date => {
                json!({"type": "int32", "optional": optional, "name": "io.debezium.time.Date", "version": 1, "field": name})
            }
            Kind::Time => {
                json!({"type": "string", "optional": optional, "name": "io.debezium.time.ZonedTimestamp", "version": 1, "field": name})
            }
            Kind::Decimal => {
                json!({"type": "bytes", "optional": optional, "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
                "parameters": {"scale": "3", "connect.decimal.precision": "9"}, "field": name})
            }
            Kind::Bool => json!({"type": "boolean", "optional": optional, "field": name}),
            Kind::Int => json!({"type": "int64", "optional": optional, "field": name}),
        }
    };
    table
        .columns()
        .iter()
        .filter(|column| column.key || !keys_only)
        .map(field)
        .collect()
}

pub(crate) fn connect_key(table: Table, topic: &str) -> Json {
    json!({"type": "struct", "fields": connect_columns(table, true), "optional": false, "name": format!("{topic}.Key")})
}

pub(crate) fn connect_envelope(table: Table, topic: &str) -> Json {
    let row = |field: &str| json!({"type": "struct", "fields": connect_columns(table, false), "optional": true, "name": format!("{topic}.Value"), "field": field});
    let text = |field: &str, optional: bool| json!({"type": "string", "optional": optional, "field": field});
    let long = |field: &str, optional: bool| json!({"type": "int64", "optional": optional, "field": field});
    let snapshot = json!({"type": "string", "optional": true, "name": "io.debezium.data.Enum", "version": 1, "parameters":
        {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}, "default": "false", "field": "snapshot"});
    let source = json!({"type": "struct", "fields": [
        text("version", false), text("connector", false), text("name", false), long("ts_ms", false), snapshot, text("db", false),
        text("sequence", true), long("ts_us", true), long("ts_ns", true), text("schema", false), text("table", false),
        long("txId", true), long("lsn", true), long("xmin", true), text("origin", true), long("origin_lsn", true),
    ], "optional": false, "name": "io.debezium.connector.postgresql.Source", "version": 1, "field": "source"});
    let transaction = json!({"type": "struct", "fields": [text("id", false), long("total_order", false), long("data_collection_order", false)],
        "optional": true, "name": "event.block", "version": 1, "field": "transaction"});
    json!({"type": "struct", "fields": [
        row("before"), row("after"), source, transaction, text("op", false), long("ts_ms", true), long("ts_us", true), long("ts_ns", true),
    ], "optional": false, "name": format!("{topic}.Envelope"), "version": 2})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_as_connect_writes_them() {
        assert_eq!(base64(&unscaled(600)), "Alg=");
        assert_eq!(base64(&unscaled(1000)), "A+g=");
        assert_eq!(base64(&unscaled(0)), "AA==");
        assert_eq!(base64(&unscaled(200)), "AMg=");
    }
}
