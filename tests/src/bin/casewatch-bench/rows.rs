//! Rows of the contract as Debezium writes them, for load that the bench makes itself.

use casewatch_tests::Message;
use casewatch_tests::debezium::Change;
use serde_json::{Value, json};

fn row(table: &str, key: Value, mut after: Value, lsn: u64) -> Message {
    after["authority"] = json!("E10000021");
    after["source_system"] = json!("bench");
    Change {
        table,
        key,
        op: "u",
        after,
        recorded_at_us: chrono::Utc::now().timestamp_micros(),
        lsn,
        snapshot: "false",
    }
    .message()
}

/// An open case; `lsn` is the version.
pub fn case(number: u64, lsn: u64) -> Message {
    let after = json!({"case_id": format!("c{number}"), "child_id": format!("k{number}"), "referral_id": null,
        "subject": "child", "team_id": format!("t{}", number % 50), "opened_at": "2020-01-01T00:00:00Z",
        "closed_at": null, "closure_reason": null, "primary_need": null, "non_sw_lead_agreed": lsn.is_multiple_of(2)});
    row("cases", json!({"case_id": format!("c{number}")}), after, lsn)
}

pub fn worker(number: u64, lsn: u64) -> Message {
    let id = format!("w{number}");
    let after = json!({"worker_id": id, "hr_ref": null, "swe_ref": null, "swe_registered": true,
        "asye_started_on": null, "asye_ends_on": null});
    row("workers", json!({"worker_id": id}), after, lsn)
}

/// The primary allocation of case `number`.
pub fn allocation(number: u64, lsn: u64) -> Message {
    let id = format!("a{number}");
    let after = json!({"allocation_id": id, "case_id": format!("c{number}"), "team_id": format!("t{}", number % 50),
        "worker_id": format!("w{}", (number + lsn) % 400), "role": "primary", "holder_kind": "worker",
        "started_at": "2020-01-01T00:00:00Z", "ended_at": null, "end_reason": null});
    row("allocations", json!({"allocation_id": id}), after, lsn)
}

pub fn team(number: u64, lsn: u64) -> Message {
    let id = format!("t{number}");
    let after = json!({"team_id": id, "valid_from": "2017-01-01", "valid_to": null, "name": format!("Team {number}"),
        "parent_team_id": null, "service": "assessment", "manager_worker_id": null, "case_holding": true});
    row("teams", json!({"team_id": id, "valid_from": "2017-01-01"}), after, lsn)
}
