//! Change events as Debezium writes them for PostgreSQL, made by hand where a test needs to choose every field.

use serde_json::{Value, json};

use crate::kafka::Message;

/// One change of one row.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub table: &'a str,
    /// Key columns and their values.
    pub key: Value,
    /// c, u, r or d.
    pub op: &'a str,
    /// The row after the change; null for a deletion.
    pub after: Value,
    /// Commit time, in microseconds since 1970.
    pub recorded_at_us: i64,
    /// Position in the source's log.
    pub lsn: u64,
    /// Debezium's marker: "false", "first", "true", "last".
    pub snapshot: &'a str,
}

impl Change<'_> {
    pub fn message(&self) -> Message {
        let before = if self.op == "d" { self.key.clone() } else { Value::Null };
        let value = json!({
            "before": before,
            "after": self.after,
            "source": {
                "version": "3.6.3.Final", "connector": "postgresql", "name": "test", "db": "postgres",
                "ts_ms": self.recorded_at_us / 1000, "ts_us": self.recorded_at_us,
                "ts_ns": self.recorded_at_us * 1000, "snapshot": self.snapshot,
                "sequence": format!("[null,\"{}\"]", self.lsn), "schema": "public", "table": self.table,
                "txId": 1, "lsn": self.lsn, "xmin": null, "origin": null, "origin_lsn": null,
            },
            "transaction": null,
            "op": self.op,
            "ts_ms": self.recorded_at_us / 1000,
            "ts_us": self.recorded_at_us,
            "ts_ns": self.recorded_at_us * 1000,
        });
        Message {
            partition: None,
            key: Some(bytes(&self.key)),
            value: Some(bytes(&value)),
        }
    }
}

/// A new row of table `workers`, at a position and a second of its own.
pub fn worker(number: u64) -> Message {
    const START_US: i64 = 1_514_764_800_000_000; // 2018-01-01
    let key = json!({"worker_id": format!("w{number}")});
    let after = json!({"worker_id": format!("w{number}"), "hr_ref": null, "swe_ref": null, "swe_registered": true,
        "asye_started_on": null, "asye_ends_on": null, "authority": "E10000021", "source_system": "test"});
    let recorded_at_us = START_US + i64::try_from(number).expect("a small number") * 1_000_000;
    Change {
        table: "workers",
        key,
        op: "c",
        after,
        recorded_at_us,
        lsn: number,
        snapshot: "false",
    }
    .message()
}

/// The empty message Debezium sends after a deletion.
pub fn tombstone(key: &Value) -> Message {
    Message {
        partition: None,
        key: Some(bytes(key)),
        value: None,
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON can be written")
}
