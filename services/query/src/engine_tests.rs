//! What the engine promises, over two small tables whose history is in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::util::pretty::pretty_format_batches;
use casewatch_contract::{
    Contract, HmacKeys, Offset, OffsetRange, PartitionId, RecordedAt, ReferenceKey, Table, TableName,
};
use casewatch_lake::maintain::MaintainOptions;
use casewatch_lake::{Lake, LakeConfig};
use casewatch_live::{Cut, LiveTable, Present, Tail};
use futures::StreamExt;
use tokio::sync::watch;

use crate::as_of::AsOf;
use crate::engine::{Clock, Engine, EngineConfig};
use crate::error::QueryError;
use crate::history::{HistorySource, LakeHistory, PinnedSnapshot};
use crate::limits::Limits;

fn schema_of(name: &str) -> String {
    format!(
        r#"{{"type": "record", "name": "{name}", "namespace": "test", "doc": "Rows.", "key": ["id"],
        "recorded_at": "recorded_at", "fields": [
        {{"name": "id", "type": "string", "doc": "Key."}},
        {{"name": "team", "type": ["null", "string"], "default": null, "undated": true, "doc": "Changed in place."}},
        {{"name": "n", "type": ["null", "int"], "default": null, "doc": "A number."}},
        {{"name": "opened_at", "type": ["null", {{"type": "long", "logicalType": "timestamp-micros"}}], "default": null, "doc": "From."}},
        {{"name": "closed_at", "type": ["null", {{"type": "long", "logicalType": "timestamp-micros"}}], "default": null, "doc": "Until."}},
        {{"name": "authority", "type": "string", "doc": "Whose."}},
        {{"name": "source_system", "type": "string", "doc": "The feed."}},
        {{"name": "recorded_at", "type": {{"type": "long", "logicalType": "timestamp-micros"}}, "doc": "When."}}]}}"#
    )
}

fn contract() -> Arc<Contract> {
    let table = |name: &str| (format!("{name}.avsc"), Table::parse(name, &schema_of(name)).unwrap());
    Arc::new(Contract::new(vec![table("jobs"), table("holders")]).unwrap())
}

/// A version of a row: key, team, number, opened, closed, recorded; times as text.
#[derive(Clone)]
pub(crate) struct Version(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) i32,
    pub(crate) &'static str,
    pub(crate) Option<&'static str>,
    pub(crate) &'static str,
);

fn us(text: &str) -> i64 {
    text.parse::<AsOf>().unwrap().0.0
}

fn lake_rows(table: &Table, op: &str, versions: &[Version], first_offset: i64) -> RecordBatch {
    fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
    let time = |values: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let offsets: Vec<i64> = (first_offset..).take(versions.len()).collect();
    let seq = |offset: &i64| {
        [
            &0_u32.to_be_bytes()[..],
            &offset.to_be_bytes()[..],
            &offset.to_be_bytes()[..],
        ]
        .concat()
    };
    let schema = table.lake_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "id" => text(versions.iter().map(|row| Some(row.0))),
            "team" => text(versions.iter().map(|row| Some(row.1))),
            "n" => Arc::new(versions.iter().map(|row| Some(row.2)).collect::<Int32Array>()),
            "opened_at" => time(versions.iter().map(|row| Some(us(row.3))).collect()),
            "closed_at" => time(versions.iter().map(|row| row.4.map(us)).collect()),
            "_op" => text(versions.iter().map(|_| Some(op))),
            "_recorded_at" | "_ingested_at" => time(versions.iter().map(|row| Some(us(row.5))).collect()),
            "_seq" => Arc::new(BinaryArray::from_iter_values(offsets.iter().map(seq))),
            "_epoch" | "_partition" => Arc::new(Int32Array::from_iter_values(versions.iter().map(|_| 0))),
            "_offset" => Arc::new(Int64Array::from(offsets.clone())),
            "_unset" | "_snapshot" => text(versions.iter().map(|_| None)),
            _ => text(versions.iter().map(|_| Some("x"))),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

pub(crate) struct World {
    contract: Arc<Contract>,
    tail: Arc<Tail>,
    tables: BTreeMap<TableName, LiveTable>,
    offset: i64,
    sender: watch::Sender<Arc<Cut>>,
    pub(crate) queries: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(views: &[(&str, &str)]) -> Self {
        let contract = contract();
        let queries = tempfile::tempdir().unwrap();
        for (name, sql) in views {
            write_view(queries.path(), name, sql);
        }
        fs::write(queries.path().join("parameters.toml"), "grace = 2\n").unwrap();
        fs::create_dir_all(queries.path().join("reference")).unwrap();
        let holidays =
            "date,division,title\n2018-03-30,england-and-wales,Good Friday\n2018-04-02,england-and-wales,Easter\n";
        fs::write(queries.path().join("reference/bank_holidays.csv"), holidays).unwrap();
        let tables = contract
            .tables()
            .map(|table| (table.name.clone(), LiveTable::new(table.clone()).unwrap()));
        Self {
            tables: tables.collect(),
            tail: Tail::new(1 << 30),
            offset: 0,
            sender: watch::channel(Arc::new(Cut::empty())).0,
            contract,
            queries,
        }
    }

    pub(crate) fn change(&mut self, table: &str, versions: &[Version]) {
        self.change_by("u", table, versions);
    }

    pub(crate) fn change_by(&mut self, op: &str, table: &str, versions: &[Version]) {
        let table = self.contract.table(table).unwrap().clone();
        let rows = lake_rows(&table, op, versions, self.offset);
        self.read(&table, rows, versions.len());
    }

    /// A row of a snapshot, where it says it stands.
    fn snapshot(&mut self, marker: &str, table: &str, version: Version) {
        let table = self.contract.table(table).unwrap().clone();
        let rows = lake_rows(&table, "r", &[version], self.offset);
        let mut columns = rows.columns().to_vec();
        columns[rows.schema().index_of("_snapshot").unwrap()] = Arc::new(StringArray::from(vec![marker]));
        let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
        self.read(&table, rows, 1);
    }

    fn read(&mut self, table: &Arc<Table>, rows: RecordBatch, count: usize) {
        let partition: PartitionId = format!("c/{}/0/0", table.name).parse().unwrap();
        let end = self.offset + i64::try_from(count).unwrap();
        let range = OffsetRange {
            from: Offset(self.offset),
            to: Offset(end),
        };
        self.offset = end;
        self.tables.get_mut(&table.name).unwrap().apply(&rows).unwrap();
        self.tail.push(&table.name, &partition, range, rows);
    }

    pub(crate) fn cut(&mut self, at: &str) -> Arc<Cut> {
        let mut tables: BTreeMap<TableName, Arc<Present>> = BTreeMap::new();
        let mut known_from = BTreeMap::new();
        for (name, live) in &mut self.tables {
            tables.insert(name.clone(), live.publish().unwrap());
            if let Some(from) = live.known_from() {
                known_from.insert(name.clone(), from);
            }
        }
        let cut = Arc::new(Cut {
            known_from,
            ..Cut::of(RecordedAt(us(at)), tables)
        });
        self.sender.send_replace(cut.clone());
        cut
    }

    pub(crate) async fn engine(&self) -> Arc<Engine> {
        self.engine_with(Limits::default()).await
    }

    async fn engine_with(&self, limits: Limits) -> Arc<Engine> {
        let config = EngineConfig {
            contract: self.contract.clone(),
            lake: None,
            tail: Some(self.tail.clone()),
            cuts: self.sender.subscribe(),
            queries: self.queries.path().to_owned(),
            limits,
            clock: Clock::Feed,
            references: Some(reference_key()),
        };
        Engine::new(config).await.unwrap()
    }
}

pub(crate) fn reference_key() -> ReferenceKey {
    let key = HmacKeys::demo().reference_key([&"any".into()]);
    key.expect("the demo has keys for every domain")
}

fn write_view(folder: &Path, name: &str, sql: &str) {
    let (folder, name) = match name.strip_prefix("quality.") {
        Some(name) => (folder.join("quality"), name),
        None => (folder.join("views"), name),
    };
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join(format!("{name}.sql")),
        format!("-- name: {name}\n-- row: one\n-- why: test\n{sql}\n"),
    )
    .unwrap();
}

pub(crate) fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

/// The values of one column of the answer, as text.
async fn values(engine: &Engine, sql: &str) -> Result<Vec<String>, QueryError> {
    session_values(&engine.session(None, None), sql).await
}

pub(crate) async fn session_values(session: &crate::session::Session, sql: &str) -> Result<Vec<String>, QueryError> {
    let batches = session.sql(sql).await?.collect().await?;
    let mut values = Vec::new();
    for batch in &batches {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        let column = column.as_any().downcast_ref::<StringArray>().unwrap().clone();
        values.extend(column.iter().map(|value| value.unwrap_or("null").to_owned()));
    }
    Ok(values)
}

const OPEN: (&str, &str) = (
    "open_jobs",
    "select * from jobs where opened_at <= as_of() and (closed_at is null or closed_at > as_of())",
);

fn small_world() -> World {
    let mut world = World::new(&[
        OPEN,
        (
            "held",
            "select j.id, j.team, h.n from open_jobs j left join holders h on h.id = j.id",
        ),
        ("today", "select as_of_date() as day, count(*) as n from holders"),
        ("quality.unheld", "select id from held where n is null"),
    ]);
    world.change(
        "jobs",
        &[
            Version("j1", "t1", 1, "2018-01-01", None, "2018-01-01"),
            Version("j2", "t1", 2, "2018-01-05", Some("2018-03-01"), "2018-01-05"),
            Version("j3", "t2", 3, "2018-02-01", None, "2018-02-01"),
        ],
    );
    world.change("holders", &[Version("j1", "t1", 7, "2018-01-01", None, "2018-01-02")]);
    world
}

/// Plans of `engine`, run before, give what plans give that are made for this one moment.
async fn agrees_with_fresh_plans(
    world: &World,
    engine: &Arc<Engine>,
    cached: &[(&str, crate::Prepared)],
    cut: Arc<Cut>,
    as_of: AsOf,
) {
    let fresh_engine = world.engine().await;
    let (refresh, fresh_refresh) = (engine.refresh(cut.clone(), as_of), fresh_engine.refresh(cut, as_of));
    for (sql, prepared) in cached {
        let fresh = fresh_engine.prepare(sql).await.unwrap();
        let fresh = fresh.run(&fresh_refresh).await.unwrap();
        let again = prepared.run(&refresh).await.unwrap();
        assert_eq!(text(&again), text(&fresh), "{sql} at {as_of:?}");
    }
}

#[tokio::test]
async fn a_plan_made_once_gives_what_a_fresh_one_gives_over_every_cut() {
    let statements = [
        "select count(*) as n from jobs",
        "select count(*) as n, max(n) as m from open_jobs",
        "select team, count(*) as n from held group by team order by team",
        "select id, n from open_jobs where n > (select avg(n) from jobs) order by id",
        "select id, row_number() over (order by n desc) as r from jobs order by r limit 2",
        "select j.id from jobs j where exists (select 1 from holders h where h.id = j.id) order by 1",
        "select id from jobs where id not in (select id from holders) order by 1",
        "select a.id from jobs a join jobs b on a.team = b.team and a.id < b.id order by 1",
        "with recursive r as (select 1 as x union all select x + 1 from r where x < 3) select x, as_of() from r order by x",
        "select id from quality.unheld union all select id from holders order by 1",
        "select percentile_cont(0.5) within group (order by n) as median, as_of_date() as day from jobs",
    ];
    let mut world = small_world();
    let first = world.engine().await;
    assert_eq!(first.broken_views().len(), 0, "{:?}", first.broken_views());
    let mut cached = Vec::new();
    for sql in statements {
        cached.push((sql, first.prepare(sql).await.unwrap()));
    }
    let steps: [(&str, &[Version], &str); 4] = [
        ("jobs", &[], "2018-01-31"),
        (
            "jobs",
            &[Version("j4", "t2", 4, "2018-02-02", None, "2018-02-02")],
            "2018-02-10",
        ),
        (
            "holders",
            &[Version("j3", "t2", 9, "2018-02-11", None, "2018-02-11")],
            "2018-02-20",
        ),
        (
            "jobs",
            &[Version("j1", "t1", 1, "2018-01-01", Some("2018-02-25"), "2018-03-05")],
            "2018-03-10",
        ),
    ];
    for (table, versions, at) in steps {
        if !versions.is_empty() {
            world.change(table, versions);
        }
        let cut = world.cut(at);
        let as_of: AsOf = at.parse().unwrap();
        agrees_with_fresh_plans(&world, &first, &cached, cut, as_of).await;
    }
}

#[tokio::test]
async fn a_view_is_computed_again_only_when_what_it_reads_has_changed() {
    let mut world = small_world();
    let engine = world.engine().await;
    let cut = world.cut("2018-02-10");
    let morning: AsOf = "2018-02-10T08:00:00Z".parse().unwrap();
    let noon: AsOf = "2018-02-10T12:00:00Z".parse().unwrap();
    let before = engine.refresh(cut.clone(), morning);
    let (held, today) = (before.view("held").await.unwrap(), before.view("today").await.unwrap());
    assert_eq!(held.rows, 3);

    let later = engine.refresh(cut, noon);
    assert!(
        Arc::ptr_eq(&today, &later.view("today").await.unwrap()),
        "the day is the same"
    );
    assert!(
        Arc::ptr_eq(&held, &later.view("held").await.unwrap()),
        "open_jobs ran again and gave the same rows"
    );

    world.change("jobs", &[Version("j9", "t9", 9, "2018-02-10", None, "2018-02-10")]);
    let changed = engine.refresh(world.cut("2018-02-11"), "2018-02-11".parse().unwrap());
    assert_eq!(changed.view("held").await.unwrap().rows, 4);
    assert!(
        !Arc::ptr_eq(&today, &changed.view("today").await.unwrap()),
        "another day"
    );
}

#[tokio::test]
async fn what_stands_until_the_clock_passes_a_value_changes_at_the_very_microsecond() {
    let mut world = World::new(&[
        OPEN,
        (
            "ends",
            "select id, closed_at as ended, opened_at from jobs where closed_at is not null",
        ),
        ("quality.ended", "select id, ended from ends where ended < as_of()"),
    ]);
    let jobs = [
        Version("j1", "t1", 1, "2018-01-01", None, "2018-01-01"),
        Version("j2", "t1", 2, "2018-01-05", Some("2018-03-01"), "2018-01-05"),
        Version("j3", "t2", 3, "2018-03-01", Some("2018-03-01"), "2018-02-01"),
        Version("j4", "t2", 4, "2018-03-02", Some("2018-03-05"), "2018-02-01"),
    ];
    world.change("jobs", &jobs);
    world.change(
        "holders",
        &[Version("j2", "t1", 7, "2018-02-01", Some("2018-03-02"), "2018-01-02")],
    );
    let cut = world.cut("2018-02-10");
    let engine = world.engine().await;
    let statements = [
        "select id from jobs where opened_at <= as_of() order by id",
        "select id from jobs where as_of() > opened_at order by id",
        "select id, case when closed_at <= as_of() then 'past' else 'to come' end as state from jobs order by id",
        "select count(*) as n from open_jobs o join jobs j on j.id = o.id and j.closed_at >= as_of()",
        "select id from quality.ended order by id",
        "select e.id from ends e left join holders h on h.id = e.id and h.closed_at > as_of() where h.id is null order by 1",
        "select j.id from jobs j left join holders h on h.id = j.id where h.closed_at < as_of() order by 1",
        "select id from jobs j where exists (select 1 from holders h where h.id = j.id and h.opened_at < as_of())",
        "select u.id from (select id, opened_at as at from jobs union all select id, closed_at from holders) u \
         where u.at < as_of() order by 1",
        "select id, working_days_between(opened_at, as_of()) as days from jobs where opened_at < as_of() order by id",
        "select max(closed_at) < as_of() as over from jobs",
        "select title from reference.bank_holidays where arrow_cast(date, 'Timestamp(Microsecond, Some(\"UTC\"))') <= as_of()",
        "select as_of() as now",
    ];
    let mut cached = Vec::new();
    for sql in statements {
        cached.push((sql, engine.prepare(sql).await.unwrap()));
    }
    let days = [
        "2018-01-05",
        "2018-02-01",
        "2018-03-01",
        "2018-03-02",
        "2018-03-05",
        "2018-03-30",
        "2018-03-01",
    ];
    for day in days {
        for step in [-1, 0, 0, 1, 3_600_000_000] {
            let as_of = AsOf(RecordedAt(us(day) + step));
            agrees_with_fresh_plans(&world, &engine, &cached, cut.clone(), as_of).await;
        }
    }
}

#[tokio::test]
async fn a_comparison_with_the_clock_makes_no_work_until_it_tips() {
    let mut world = small_world();
    let engine = world.engine().await;
    let cut = world.cut("2018-02-10");
    let statement = engine
        .prepare("select id from jobs where closed_at < as_of()")
        .await
        .unwrap();
    assert!(statement.depends_on_time());
    assert!(
        !statement.explain().contains("@as_of"),
        "the clock's function is back in its place: {}",
        statement.explain()
    );
    // j2 closes at the end of 1 March.
    let moments = [
        ("2018-02-10T08:00:00Z", 0, 1),
        ("2018-02-20T12:00:00Z", 0, 1),
        ("2018-03-01T23:59:59Z", 0, 1),
        ("2018-03-02T00:00:01Z", 1, 2),
        ("2018-04-02T00:00:01Z", 1, 2),
        ("2018-02-10T08:00:00Z", 0, 3),
    ];
    for (at, rows, executions) in moments {
        let refresh = engine.refresh(cut.clone(), at.parse().unwrap());
        let found: usize = statement
            .run(&refresh)
            .await
            .unwrap()
            .iter()
            .map(RecordBatch::num_rows)
            .sum();
        assert_eq!((found, statement.executions()), (rows, executions), "at {at}");
    }
}

#[tokio::test]
async fn a_day_of_the_clock_makes_no_work_until_midnight_in_london() {
    let mut world = small_world();
    let engine = world.engine().await;
    let cut = world.cut("2018-02-10");
    let sql = "select working_days_between(opened_at, as_of()) as days from jobs";
    let statement = engine.prepare(sql).await.unwrap();
    for (at, executions) in [
        ("2018-06-11T08:00:00Z", 1),
        ("2018-06-11T22:59:59Z", 1),
        ("2018-06-11T23:00:01Z", 2),
    ] {
        let refresh = engine.refresh(cut.clone(), at.parse().unwrap());
        statement.run(&refresh).await.unwrap();
        assert_eq!(statement.executions(), executions, "at {at}");
    }
}

#[tokio::test]
async fn arithmetic_on_the_clock_is_not_done_row_by_row() {
    let engine = small_world().engine().await;
    let sql = "select id from jobs where opened_at <= as_of() and opened_at > as_of() - interval '1 year'";
    let plan = engine.prepare(sql).await.unwrap().explain();
    assert!(!plan.contains("as_of() as"), "{plan}");
}

#[tokio::test]
async fn a_view_that_fails_takes_only_what_depends_on_it_along_and_is_named() {
    let mut world = World::new(&[
        ("fails", "select 1 / (n - n) as x from jobs"),
        ("on_top", "select x from fails"),
        ("wrong", "select no_such_column from jobs"),
        ("fine", "select n from jobs"),
    ]);
    world.change("jobs", &[Version("j1", "t1", 1, "2018-01-01", None, "2018-01-01")]);
    let engine = world.engine().await;
    assert_eq!(engine.broken_views().keys().collect::<Vec<_>>(), ["wrong"]);
    let refresh = engine.refresh(world.cut("2018-02-01"), "2018-02-01".parse().unwrap());
    let error = refresh.view("on_top").await.unwrap_err().to_string();
    assert!(error.starts_with("view fails failed: "), "{error}");
    let error = engine.prepare("select * from wrong").await.err().unwrap().to_string();
    assert!(
        error.starts_with("view wrong failed: ") && error.contains("no_such_column"),
        "{error}"
    );
    assert_eq!(refresh.view("fine").await.unwrap().rows, 1);
}

#[tokio::test]
async fn what_is_asked_of_as_of_is_filtered_before_joins() {
    let world = small_world();
    let engine = world.engine().await;
    let sql = "select j.id from jobs j join holders h on h.id = j.id where j.opened_at <= as_of()";
    let prepared = engine.prepare(sql).await.unwrap();
    let plan = prepared.explain();
    let (join, filter) = (plan.find("Join").unwrap(), plan.find("FilterExec").unwrap());
    assert!(filter > join, "the filter stands below the join:\n{plan}");
    assert!(
        plan.contains("as_of()"),
        "the call is in the plan, not its value:\n{plan}"
    );
}

#[tokio::test]
async fn civil_functions_and_parameters_work_in_sql() {
    let mut world = small_world();
    world.cut("2018-02-10");
    let engine = world.engine().await;
    for (sql, expected) in [
        ("select working_days_between('2018-03-29', date '2018-04-05')", "3"),
        (
            "select working_days_between(date '2018-03-29' - 1, timestamp '2018-03-29T23:30:00Z')",
            "1",
        ),
        ("select add_working_days(date '2018-03-29', 1)", "2018-04-03"),
        (
            "select add_working_days(date '2018-03-29', cast(parameter('grace') as bigint))",
            "2018-04-04",
        ),
        ("select london_date(timestamp '2018-06-30T23:30:00Z')", "2018-07-01"),
        (
            "select cast(london_midnight(date '2018-07-01') as bigint)",
            "1530399600000000",
        ),
        ("select as_of_date()", "2018-02-10"),
        ("select known_at_date()", "2018-02-10"),
        ("select london_date(as_of())", "2018-02-10"),
        ("select parameter('grace')", "2.0"),
        (
            "select title from reference.bank_holidays where date = date '2018-04-02'",
            "Easter",
        ),
    ] {
        assert_eq!(values(&engine, sql).await.unwrap(), [expected], "{sql}");
    }
    let error = values(&engine, "select parameter('grcae')")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no parameter 'grcae'"), "{error}");
}

#[tokio::test]
async fn the_day_that_rows_were_known_at_is_the_clocks_own_unless_the_past_is_looked_at_later() {
    let world = small_world();
    let engine = world.engine().await;
    let moment = |day: &str| day.parse::<AsOf>().unwrap();
    let days = "select concat(cast(as_of_date() as varchar), ', known ', cast(known_at_date() as varchar)) as days";
    let session = engine.session(Some(moment("2018-01-31")), Some(moment("2018-02-08")));
    assert_eq!(
        session_values(&session, days).await.unwrap(),
        ["2018-01-31, known 2018-02-08"]
    );
    // No table is read: nothing but the day tells the prepared plan that its last result no longer stands.
    let prepared = engine.prepare(days).await.unwrap();
    let known_at = |day: &str| {
        Arc::new(Cut {
            at: moment(day).0,
            ..Cut::clone(&engine.cut())
        })
    };
    for day in ["2018-02-08", "2018-02-09", "2018-02-09"] {
        let past = engine.refresh_past(known_at(day), moment("2018-01-31"));
        let found = text(&prepared.run(&past).await.unwrap());
        assert!(found.contains(&format!("2018-01-31, known {day}")), "{found}");
    }
    assert_eq!(prepared.executions(), 2);
    let present = engine.refresh(known_at("2018-02-08"), moment("2018-02-10"));
    let found = text(&prepared.run(&present).await.unwrap());
    assert!(found.contains("2018-02-10, known 2018-02-10"), "{found}");
}

#[tokio::test]
async fn a_session_sees_tables_and_views_as_they_were() {
    let mut world = small_world();
    world.change(
        "jobs",
        &[Version("j1", "t9", 1, "2018-01-01", Some("2018-01-20"), "2018-02-15")],
    );
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let session = engine.session(None, None);
    let open = "select id || ':' || team from open_jobs order by id";
    assert_eq!(session_values(&session, open).await.unwrap(), ["j3:t2"]);

    session.sql("set casewatch.as_of = '2018-01-31'").await.unwrap();
    assert_eq!(
        session_values(&session, "show casewatch.as_of").await.unwrap(),
        ["2018-01-31T23:59:59.999999Z"]
    );
    assert_eq!(
        session_values(&session, open).await.unwrap(),
        ["j1:t1", "j2:t1"],
        "as known then"
    );

    session.sql("set casewatch.known_at = '2018-03-01'").await.unwrap();
    assert_eq!(
        session_values(&session, open).await.unwrap(),
        ["j2:t1"],
        "the closure was recorded in February"
    );
    let team = "select team from jobs where id = 'j1'";
    assert_eq!(
        session_values(&session, team).await.unwrap(),
        ["t1"],
        "changed in place after the 31st"
    );

    session.sql("set casewatch.as_of = now").await.unwrap();
    session.sql("set casewatch.known_at = '2017-12-31'").await.unwrap();
    let error = session_values(&session, open).await.unwrap_err().to_string();
    assert!(
        error.contains("table jobs is not known before 2018-01-01T23:59:59.999999Z"),
        "{error}"
    );
}

#[tokio::test]
async fn the_time_that_clients_ask_for_is_the_moment_of_the_statement() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let session = engine.session(
        Some("2018-07-01T23:30:00Z".parse().unwrap()),
        Some("2018-03-10".parse().unwrap()),
    );
    let same = "select now() = as_of() and current_timestamp = as_of() and current_date = as_of_date() as same";
    assert_eq!(session_values(&session, same).await.unwrap(), ["true"]);
    assert_eq!(
        session_values(&session, "select current_date").await.unwrap(),
        ["2018-07-02"]
    );
    let recent = "select id from jobs where opened_at >= now() - interval '5 months' order by id";
    assert_eq!(session_values(&session, recent).await.unwrap(), ["j3"]);
}

#[tokio::test]
async fn history_holds_every_version_and_at_those_of_a_moment() {
    let mut world = small_world();
    world.change("jobs", &[Version("j1", "t9", 8, "2018-01-01", None, "2018-02-15")]);
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let versions = "select n from history.jobs where id = 'j1' order by _offset";
    assert_eq!(values(&engine, versions).await.unwrap(), ["1", "8"]);
    let then = "select n from at('jobs', '2018-01-31') where id = 'j1'";
    assert_eq!(values(&engine, then).await.unwrap(), ["1"]);
    let both = "select now.n - before.n from jobs now join at('jobs', '2018-01-31') before on before.id = now.id where now.id = 'j1'";
    assert_eq!(values(&engine, both).await.unwrap(), ["7"]);
    let error = values(&engine, "select * from at('jobs', '2017-01-01')")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not known before"), "{error}");
}

#[tokio::test]
async fn a_prepared_statement_over_history_sees_what_came_since_it_last_ran() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let prepared = engine.prepare("select n from history.jobs").await.unwrap();
    let count = async |engine: &Arc<Engine>| {
        let refresh = engine.refresh(engine.cut(), "2018-03-10".parse().unwrap());
        let batches = prepared.run(&refresh).await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    assert_eq!(count(&engine).await, 3);
    world.change("jobs", &[Version("j4", "t1", 4, "2018-03-01", None, "2018-03-01")]);
    world.cut("2018-03-11");
    assert_eq!(count(&engine).await, 4);
}

/// The lake, but that its first answers are about files that maintenance has deleted since.
struct Overtaken {
    old: PinnedSnapshot,
    old_answers: usize,
    asked: AtomicUsize,
    lake: LakeHistory,
}

#[async_trait::async_trait]
impl HistorySource for Overtaken {
    async fn pin(&self, table: &Arc<Table>) -> Result<Option<PinnedSnapshot>, QueryError> {
        match self.asked.fetch_add(1, Ordering::SeqCst) < self.old_answers {
            true => Ok(Some(self.old.clone())),
            false => self.lake.pin(table).await,
        }
    }
}

/// A lake of two commits that were merged and their files deleted, and the snapshot from before.
async fn merged_lake(folder: &Path, contract: &Contract) -> (Arc<Lake>, PinnedSnapshot) {
    let root = format!("file://{}/", folder.display()).parse().unwrap();
    let lake = Lake::open(LakeConfig::at(root)).await.unwrap();
    let table = contract.table("jobs").unwrap();
    let mut writer = lake.writer(table.clone()).await.unwrap();
    let versions = [
        Version("j1", "t1", 1, "2018-01-01", None, "2018-01-01"),
        Version("j2", "t1", 2, "2018-01-05", None, "2018-01-05"),
    ];
    for (offset, version) in (0..).zip(versions) {
        let chunk = casewatch_contract::Chunk {
            partition: "c/jobs/0/0".parse().unwrap(),
            range: OffsetRange {
                from: Offset(offset),
                to: Offset(offset + 1),
            },
            rows: lake_rows(table, "u", &[version], offset),
            dead_letters: Vec::new(),
            tombstones: 0,
            holes: 0,
        };
        writer.commit(vec![chunk]).await.unwrap();
    }
    let history = LakeHistory(lake.clone());
    let old = history.pin(table).await.unwrap().unwrap();
    let options = MaintainOptions {
        small_files: 2,
        keep_files: Duration::ZERO,
        ..MaintainOptions::default()
    };
    let done = casewatch_lake::maintain::run(&lake, contract, &options).await.unwrap();
    assert!(done.files_merged == 2 && done.files_deleted >= 2, "{done:?}");
    (lake, old)
}

#[tokio::test]
async fn a_statement_that_loses_a_file_starts_over_on_the_newest_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&[]);
    let (lake, old) = merged_lake(folder.path(), &world.contract).await;
    world.cut("2018-03-10");
    let engine_over = async |old_answers: usize| {
        let source = Overtaken {
            old: old.clone(),
            old_answers,
            asked: AtomicUsize::new(0),
            lake: LakeHistory(lake.clone()),
        };
        let config = EngineConfig {
            contract: world.contract.clone(),
            lake: Some(Arc::new(source)),
            tail: None,
            cuts: world.sender.subscribe(),
            queries: world.queries.path().to_owned(),
            limits: Limits::default(),
            clock: Clock::Feed,
            references: None,
        };
        Engine::new(config).await.unwrap()
    };
    let rows = "select id from history.jobs";
    let then = "select id from at('jobs', '2018-01-31')";
    for sql in [rows, then] {
        let recovers = engine_over(1).await;
        let mut found = values(&recovers, sql).await.unwrap();
        found.sort();
        assert_eq!(found, ["j1", "j2"], "{sql}");
        let never = engine_over(usize::MAX).await;
        let error = values(&never, sql).await.unwrap_err();
        assert!(matches!(error, QueryError::Overtaken), "{error}");
        assert!(error.to_string().contains("run the statement again"), "{error}");
    }
    let engine = engine_over(2).await;
    let prepared = engine.prepare("select count(*) as n from history.jobs").await.unwrap();
    let refresh = engine.refresh(engine.cut(), "2018-03-10".parse().unwrap());
    assert!(text(&prepared.run(&refresh).await.unwrap()).contains("| 2 |"));
}

#[tokio::test]
async fn rows_of_the_first_snapshot_count_as_always_known_where_that_is_asked_for_and_every_answer_says_so() {
    let mut world = World::new(&[OPEN]);
    world.change_by(
        "r",
        "jobs",
        &[
            Version("j1", "t1", 1, "2017-06-01", None, "2018-01-01"),
            Version("j2", "t1", 2, "2017-12-31", None, "2018-01-01"),
        ],
    );
    world.change("jobs", &[Version("j1", "t1", 9, "2017-06-01", None, "2018-02-01")]);
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let before: AsOf = "2017-07-01".parse().unwrap();
    let open = "select id || ':' || n from open_jobs order by id";
    let error = session_values(&engine.session(Some(before), None), open)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is not known before"), "{error}");

    let session = engine.session(Some(before), None).assuming_known();
    let batches = session.sql(open).await.unwrap().collect().await.unwrap();
    let shown = text(&batches);
    assert!(
        shown.contains("| j1:1 ") && !shown.contains("j2"),
        "as it was then, not as it became\n{shown}"
    );
    assert!(shown.contains("_assumed_known") && shown.contains("| true "), "{shown}");
    let at = "select id from at('jobs', '2017-07-01') order by id";
    let shown = text(&session.sql(at).await.unwrap().collect().await.unwrap());
    assert!(
        shown.contains("| j2 | true "),
        "known_at chooses versions only\n{shown}"
    );

    let later = engine
        .session(Some("2018-01-31".parse().unwrap()), None)
        .assuming_known();
    let shown = text(&later.sql(open).await.unwrap().collect().await.unwrap());
    assert!(
        shown.contains("j1:1") && shown.contains("| false "),
        "nothing was assumed\n{shown}"
    );
}

#[tokio::test]
async fn before_the_end_of_its_first_snapshot_the_past_of_a_table_is_unknown_and_its_present_is_shown() {
    let mut world = World::new(&[OPEN]);
    world.snapshot("true", "jobs", Version("j1", "t1", 1, "2017-06-01", None, "2018-01-01"));
    let cut = world.cut("2018-03-10");
    let engine = world.engine().await;
    let before: AsOf = "2018-02-01".parse().unwrap();
    let open = "select id || ':' || n from open_jobs order by id";
    let refused = |error: QueryError| {
        let error = error.to_string();
        assert!(
            error.contains("the first snapshot of table jobs has not ended yet") && error.contains("--assume-known"),
            "{error}"
        );
    };
    refused(
        session_values(&engine.session(Some(before), None), open)
            .await
            .unwrap_err(),
    );
    refused(
        values(&engine, "select id from at('jobs', '2018-02-01')")
            .await
            .unwrap_err(),
    );
    refused(
        engine
            .cut_at(before, before, &BTreeSet::from(["jobs".into()]))
            .await
            .unwrap_err(),
    );
    assert_eq!(values(&engine, open).await.unwrap(), ["j1:1"], "the present");
    assert_eq!(
        values(&engine, "select id from at('jobs', '2018-03-10')")
            .await
            .unwrap(),
        ["j1"]
    );
    assert_eq!(cut.at, "2018-03-10".parse::<AsOf>().unwrap().0);

    let session = engine
        .session(Some("2017-07-01".parse().unwrap()), None)
        .assuming_known();
    let shown = text(&session.sql(open).await.unwrap().collect().await.unwrap());
    assert!(shown.contains("| j1:1 ") && shown.contains("| true "), "{shown}");

    world.snapshot("last", "jobs", Version("j1", "t1", 2, "2017-06-01", None, "2018-01-02"));
    world.cut("2018-03-11");
    let then = session_values(&engine.session(Some(before), None), open).await.unwrap();
    assert_eq!(then, ["j1:2"], "the snapshot has ended");
}

#[tokio::test]
async fn an_answer_says_when_its_moment_is_later_than_what_has_been_read() {
    let world_at = async |at: &str| {
        let mut world = small_world();
        world.cut(at);
        world.engine().await
    };
    let engine = world_at("2018-03-10").await;
    let note = async |session: &crate::session::Session| session.sql("select as_of()").await.unwrap().note;
    let moment = |text: &str| Some(text.parse::<AsOf>().unwrap());
    let said = "as_of 2031-01-01 is later than what has been read (up to 2018-03-10T23:59:59.999999Z)";
    let session = engine.session(moment("2031-01-01"), None);
    assert!(note(&session).await.unwrap().starts_with(said));
    session.sql("set casewatch.as_of = '2018-03-01'").await.unwrap();
    assert_eq!(note(&session).await, None);
    session
        .sql("set casewatch.known_at = '2018-03-11T09:30:00Z'")
        .await
        .unwrap();
    let said = "known_at 2018-03-11T09:30:00Z is later than what has been read";
    assert!(note(&session).await.unwrap().starts_with(said));
    assert_eq!(
        note(&engine.session(moment("2018-03-10"), None)).await,
        None,
        "the cut itself"
    );
    let future_as_known_then = engine.session(moment("2031-01-01"), moment("2018-03-01"));
    assert_eq!(
        note(&future_as_known_then).await,
        None,
        "those versions have all been read"
    );
    assert_eq!(
        note(&engine.session(None, None)).await,
        None,
        "nobody asked for a moment"
    );
}

#[tokio::test]
async fn numbers_of_the_past_come_from_the_same_statements() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let prepared = engine.prepare("select count(*) as n from open_jobs").await.unwrap();
    let as_of: AsOf = "2018-01-31".parse().unwrap();
    let past = engine.cut_at(as_of, as_of, prepared.tables()).await.unwrap();
    let count = |batches: Vec<RecordBatch>| {
        batches[0]
            .column(0)
            .as_any()
            .downcast_ref::<Int64Array>()
            .unwrap()
            .value(0)
    };
    assert_eq!(count(prepared.run(&engine.refresh(past, as_of)).await.unwrap()), 2);
    let now = engine.refresh(engine.cut(), "2018-03-10".parse().unwrap());
    assert_eq!(count(prepared.run(&now).await.unwrap()), 2);
    assert_eq!(
        prepared.tables().iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["jobs"]
    );
}

#[tokio::test]
async fn rows_of_a_statement_are_bounded() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let engine = world
        .engine_with(Limits {
            session_rows: 2,
            ..Limits::default()
        })
        .await;
    let error = values(&engine, "select id from jobs").await.unwrap_err();
    assert!(matches!(error, QueryError::Rows { limit: 2 }), "{error}");
}

#[tokio::test]
async fn memory_of_a_statement_is_bounded_and_nothing_goes_to_disk_instead() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let limits = Limits {
        session_memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let engine = world.engine_with(limits).await;
    let series = |name: &str| format!("generate_series(1, 1000000) {name}");
    for sql in [
        format!("select value from {} order by value desc", series("a")),
        format!(
            "select count(*) from (select value * 7919 % 1000003 as v from {}) as a group by v",
            series("a")
        ),
        format!(
            "select count(*) from {}, {} where a.value <> b.value",
            series("a"),
            series("b")
        ),
    ] {
        let error = values(&engine, &sql).await.unwrap_err().to_string();
        assert!(
            error.contains("the statement needs more memory than it may use"),
            "{sql}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_nobody_takes_in_time_are_not_taken_for_the_last() {
    let world = small_world();
    let limit = Duration::from_millis(300);
    let limits = Limits {
        session_time: limit,
        session_rows: usize::MAX,
        ..Limits::default()
    };
    let engine = world.engine_with(limits).await;
    let session = engine.session(None, None);
    let mut answer = session.sql("select * from generate_series(1, 1000000)").await.unwrap();
    assert!(answer.stream.next().await.is_some_and(|rows| rows.is_ok()));
    tokio::time::sleep(2 * limit).await;
    let error = answer.collect().await.unwrap_err();
    assert!(matches!(error, QueryError::Deadline { .. }), "{error}");
}

#[tokio::test]
async fn a_statement_that_never_pauses_ends_at_its_deadline() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let limits = Limits {
        session_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let engine = world.engine_with(limits).await;
    let slow =
        "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where a.value + b.value = 7";
    let started = Instant::now();
    let error = values(&engine, slow).await.unwrap_err();
    assert!(matches!(error, QueryError::Deadline { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn tables_and_columns_can_be_listed() {
    let mut world = small_world();
    world.cut("2018-03-10");
    let engine = world.engine().await;
    let sql = "select table_schema || '.' || table_name from information_schema.tables
        where table_schema <> 'information_schema' order by 1";
    let listed = values(&engine, sql).await.unwrap();
    for name in [
        "history.jobs",
        "public.held",
        "public.jobs",
        "quality.unheld",
        "reference.bank_holidays",
    ] {
        assert!(listed.contains(&name.to_owned()), "{name} is missing among {listed:?}");
    }
    assert!(
        values(&engine, "describe open_jobs")
            .await
            .unwrap()
            .contains(&"closed_at".to_owned())
    );
}
