//! What Debezium really writes, from a real PostgreSQL: snapshot, inserts, updates with values it did not resend,
//! deletions, a changed key, truncate, every type; in JSON and in Avro through a registry.

use std::time::Duration;

use casewatch_tests::{
    Casewatch, Config, Connect, Feed, Kafka, Postgres, Registry, Sql, alone, eventually, root, until,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const TABLES: [&str; 4] = ["teams", "contracts", "cases", "children"];

/// The table a source system would have: the schema's columns in PostgreSQL's types.
fn ddl(table: &str) -> String {
    let text = std::fs::read_to_string(root().join(format!("schemas/{table}.avsc"))).expect("a schema can be read");
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    let key: Vec<&str> = schema["key"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let columns: Vec<String> = schema["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(column)
        .collect();
    format!(
        "create table {table} ({}, primary key ({}))",
        columns.join(", "),
        key.join(", ")
    )
}

fn column(field: &Value) -> Option<String> {
    let name = field["name"].as_str()?;
    // Flat rows only: a change's own commit time stands in its envelope.
    if name == "recorded_at" {
        return None;
    }
    let branches = field["type"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![field["type"].clone()]);
    let nullable = branches.iter().any(|branch| branch == "null");
    let branch = branches.iter().find(|branch| *branch != "null")?;
    let plain = branch
        .as_str()
        .or(branch["logicalType"].as_str())
        .or(branch["type"].as_str())?;
    let kind = match plain {
        "timestamp-micros" => "timestamptz",
        "date" => "date",
        "decimal" => "numeric(9,3)",
        "boolean" => "boolean",
        "int" => "integer",
        "long" => "bigint",
        _ => "text",
    };
    Some(format!("{name} {kind}{}", if nullable { "" } else { " not null" }))
}

fn count(sql: &Sql, table: &str) -> i64 {
    sql.try_rows(&format!("select count(*) as n from {table}"))
        .ok()
        .and_then(|rows| rows[0]["n"].as_i64())
        .unwrap_or(-1)
}

fn one(sql: &Sql, statement: &str) -> Value {
    until(statement, PATIENCE, || {
        let rows = sql.try_rows(statement)?;
        rows.first().cloned().ok_or_else(|| "no row yet".to_owned())
    })
}

/// Debezium gives all rows of a snapshot one position, and its markers say when each table's was complete (RULES 20):
/// of `contracts`, which has one row, by a last marker alone. (`teams` comes first and has one row as well, which Debezium
/// marks as the first of the whole snapshot and not as a last one.)
fn snapshot_is_known(sql: &Sql) {
    for table in ["contracts", "cases"] {
        let positions = format!("select count(distinct substr(encode(_seq, 'hex'), 1, 24)) from history.{table}");
        assert_eq!(sql.count(&positions), 1, "{table}: one snapshot has one position");
        let before = sql.try_rows(&format!("select * from at('{table}', '2001-01-01')"));
        let marks = sql.rows(&format!("select _snapshot from history.{table}"));
        assert!(
            before.as_ref().is_err_and(|said| said.contains("is not known before")),
            "{table}, marked {marks:?}: {before:?}"
        );
        let then = format!("select count(*) from at('{table}', '2100-01-01')");
        assert_eq!(
            sql.count(&then),
            count(sql, table),
            "{table}: history folds to the present"
        );
    }
}

fn story(prefix: &str, postgres: &Postgres, sql: &Sql) {
    let agreed = |what: &str, table: &str, rows: i64| eventually(what, PATIENCE, rows, || count(sql, table));
    agreed("the snapshot", "cases", 2);
    agreed("the snapshot", "contracts", 1);
    agreed("the snapshot", "teams", 1);
    snapshot_is_known(sql);
    let contract = one(sql, "select * from contracts where contract_id = 'k1'");
    assert_eq!(
        contract["fte"]
            .as_f64()
            .or_else(|| contract["fte"].as_str()?.parse().ok()),
        Some(0.6)
    );
    assert_eq!(contract["started_on"], "2018-02-28");
    assert_eq!(contract["child_family_sw"], true);
    assert_eq!(contract.get("ended_on"), None, "null stays null");
    let case = one(
        sql,
        "select cast(opened_at as varchar) as opened, length(child_id) as hidden from cases where case_id = 'a'",
    );
    assert!(
        case["opened"]
            .as_str()
            .is_some_and(|text| text.contains("10:00:00.123456")),
        "{case}"
    );
    assert_eq!(
        case["hidden"], 32,
        "the child's identifier is stored as a keyed hash only"
    );

    // The long name is not resent by an update of another column: the fold carries it forward.
    postgres.sql("update teams set case_holding = false where team_id = 't1'");
    let team = one(
        sql,
        "select length(name) as length from teams where team_id = 't1' and not case_holding",
    );
    assert_eq!(team["length"], 9600);
    let unset = one(sql, "select _unset from history.teams where _unset is not null");
    assert_eq!(unset["_unset"], "name");

    postgres.sql(
        "insert into cases (case_id, child_id, subject, team_id, opened_at, authority, source_system) \
         values ('c', 'k9', 'child', 't1', '2018-03-01 09:00+00', 'E10000021', 'mosaic'); \
         update cases set closed_at = '2018-04-01 09:00+00', closure_reason = 'RC1' where case_id = 'b'; \
         delete from cases where case_id = 'a'; \
         update cases set case_id = 'c2' where case_id = 'c'",
    );
    one(sql, "select 1 from cases where case_id = 'c2'");
    agreed("a deletion, an insert and a changed key", "cases", 2);
    let closed = one(
        sql,
        "select closure_reason from cases where case_id = 'b' and closed_at is not null",
    );
    assert_eq!(closed["closure_reason"], "RC1");
    postgres.sql(
        "insert into children (child_id, birth_month, restricted, authority, source_system) \
         values ('x', '2010-05-17', false, 'E10000021', 'mosaic')",
    );
    let child = one(sql, "select birth_month from children");
    assert_eq!(child["birth_month"], "2010-05-01", "a date of birth becomes its month");

    postgres.sql("truncate cases");
    agreed("truncate", "cases", 0);
    postgres.sql(
        "insert into cases (case_id, child_id, subject, team_id, opened_at, authority, source_system) \
         values ('d', 'k1', 'child', 't1', now(), 'E10000021', 'mosaic')",
    );
    agreed("what comes after it", "cases", 1);
    let letters = sql.rows("select topic, \"offset\", reason, detail from lake.dead_letters");
    assert!(letters.is_empty(), "{prefix}: Debezium wrote nothing bad: {letters:?}");
}

fn debezium(prefix: &str, with_registry: bool) {
    let _alone = alone();
    let (kafka, postgres) = (Kafka::start(), Postgres::start());
    let registry = with_registry.then(Registry::start);
    let connect = Connect::start(kafka.brokers());
    TABLES.iter().for_each(|table| drop(postgres.sql(&ddl(table))));
    postgres.sql(
        "alter table teams alter name set storage external; \
         insert into teams (team_id, valid_from, name, service, case_holding, authority, source_system) values \
           ('t1', '2017-01-01', (select string_agg(md5(i::text), '') from generate_series(1, 300) i), \
            'assessment', true, 'E10000021', 'mosaic'); \
         insert into contracts (contract_id, worker_id, employment, role, child_family_sw, case_holding, fte, team_id, \
           started_on, authority, source_system) values \
           ('k1', 'w1', 'permanent', 'social worker', true, true, 0.6, 't1', '2018-02-28', 'E10000021', 'mosaic'); \
         insert into cases (case_id, child_id, subject, team_id, opened_at, authority, source_system) values \
           ('a', 'k1', 'child', 't1', '2018-01-01 10:00:00.123456+00', 'E10000021', 'mosaic'), \
           ('b', 'k2', 'child', 't1', '2018-01-02 10:00:00+00', 'E10000021', 'mosaic')",
    );
    let tables = TABLES.iter().map(|table| format!("{prefix}.public.{table}"));
    let topics: Vec<String> = tables.chain([format!("__debezium-heartbeat.{prefix}")]).collect();
    kafka.create_topics(&topics.iter().map(String::as_str).collect::<Vec<_>>(), 1, &[]);
    let tables = TABLES.map(|table| format!("public.{table}")).join(",");
    let heartbeats = json!({"heartbeat.interval.ms": "1000"});
    connect.debezium(prefix, &postgres, &tables, registry.as_ref(), &heartbeats);
    let mut config = Config::new(
        kafka.brokers(),
        vec![Feed::new(prefix, &format!("{prefix}.public."), &TABLES)],
    );
    config.registry = registry.as_ref().map(|registry| registry.url().to_owned());
    config.clock = "wall";
    config.feeds[0].silent_after = "5s";
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_up();
    story(prefix, &postgres, &casewatch.sql());
    // Nothing changes for longer than the source may be silent; its heartbeats say that it lives.
    std::thread::sleep(Duration::from_secs(8));
    let now = chrono::Utc::now().timestamp();
    let as_of = casewatch
        .sql()
        .count("select cast(extract(epoch from as_of()) as bigint) from cases limit 1");
    assert!(now - as_of < 5, "heartbeats keep the source alive: {}", now - as_of);
}

#[test]
fn postgresql_s_changes_arrive_as_debezium_writes_them_in_json() {
    debezium("json", false);
}

#[test]
fn postgresql_s_changes_arrive_as_debezium_writes_them_in_avro_through_the_registry() {
    debezium("avro", true);
}
