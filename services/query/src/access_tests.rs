//! What a user's session promises, over two small tables: rows of others are not seen, however they are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use casewatch_contract::References;

use crate::access::{Grant, Scope, ScramSecret, User};
use crate::engine::Engine;
use crate::engine_tests::{Version, World, reference_key, session_values, text};
use crate::error::QueryError;
use crate::session::Session;

const POLICY: &str = r#"
[[sets]]
name = "own"
sql = "select id from jobs where team in (select id from scope.team)"

[[sets]]
name = "listed"
sql = "select id from jobs where n <> 13"

[[rows]]
of = ["jobs", "holders", "ranked"]
authority = "authority in (select id from scope.authority)"
team = "id in (select id from access.own)"
listed = "id in (select id from access.listed)"

[[rows]]
of = ["numbers"]
authority = "true"
listed = "true"

[references]
thing = ["id"]

[roles.manager]
about = "Own rows."
references = ["thing"]
bound_to = "teams"
history = true
reads = ["jobs", "holders", "ranked", "numbers", "by_team", "quality.*", "reference.*"]
denies = ["denied"]
masks = ["holders.n"]

[roles.counter]
about = "Figures."
reads = ["by_team", "reference.*"]
denies = ["*", "quality.*"]

[roles.outsider]
about = "Rows, and nobody's names."
history = true
reads = ["*", "quality.*"]

[roles.clerk]
about = "For a reason, two rows."
needs_reason = true
most_rows = 2
references = ["*"]
resolves = true
reads = ["*", "reference.*"]
denies = ["quality.*"]
"#;

fn world() -> World {
    let mut world = World::new(&[
        // Computed over what its reader sees.
        (
            "by_team",
            "select team, count(*) as jobs, max(id) as last from jobs group by team",
        ),
        (
            "quality.unheld",
            "select j.id from jobs j where j.id not in (select id from holders)",
        ),
        // Computed over everything, and filtered.
        (
            "ranked",
            "select id, authority, cast(rank() over (order by n desc) as int) as place from jobs",
        ),
        ("numbers", "select n from jobs"),
        ("denied", "select id from jobs"),
    ]);
    std::fs::write(world.queries.path().join("access.toml"), POLICY).unwrap();
    world.change(
        "jobs",
        &[
            Version("j1", "t1", 1, "2018-01-01", None, "2018-01-01"),
            Version("j2", "t1", 2, "2018-01-05", Some("2018-03-01"), "2018-01-05"),
            Version("j3", "t2", 3, "2018-02-01", None, "2018-02-01"),
            // Of the manager's own team, and not to be listed.
            Version("j4", "t1", 13, "2018-02-01", None, "2018-02-01"),
            // Was the manager's, and is another's by now.
            Version("j5", "t1", 5, "2018-01-01", None, "2018-01-01"),
            // Was open to all, and is not by now.
            Version("j6", "t1", 6, "2018-01-01", None, "2018-01-01"),
        ],
    );
    world.change(
        "holders",
        &[
            Version("j1", "t1", 7_000_070, "2018-01-01", None, "2018-01-02"),
            Version("j3", "t2", 7_000_071, "2018-01-01", None, "2018-01-02"),
            Version("j4", "t1", 7_000_072, "2018-01-01", None, "2018-01-02"),
        ],
    );
    world.change(
        "jobs",
        &[
            Version("j5", "t2", 5, "2018-01-01", None, "2018-02-05"),
            Version("j6", "t1", 13, "2018-01-01", None, "2018-02-05"),
        ],
    );
    // Rows that are gone by now: one of the manager's that others took part in, one of others.
    world.change_by(
        "d",
        "holders",
        &[Version("j1", "t1", 7_000_070, "2018-01-01", None, "2018-02-06")],
    );
    world.change_by(
        "d",
        "holders",
        &[Version("j3", "t2", 7_000_071, "2018-01-01", None, "2018-02-06")],
    );
    world.cut("2018-02-10");
    world
}

fn grant(engine: &Engine, role: &str, teams: Option<&[&str]>) -> Arc<Grant> {
    let user = User {
        name: "ann".to_owned(),
        role: role.to_owned(),
        scope: Scope {
            authorities: None,
            teams: teams.map(|teams| teams.iter().map(|team| (*team).to_owned()).collect()),
        },
        secret: ScramSecret::unknowable(),
    };
    engine.policy().unwrap().grant(&user).unwrap()
}

fn manager(engine: &Engine) -> Session {
    engine.session_as(&grant(engine, "manager", Some(&["t1"])), None, None)
}

/// Everything that the answer says, or the error.
async fn said(session: &Session, sql: &str) -> String {
    match session.sql(sql).await {
        Err(error) => format!("error: {error}"),
        Ok(answer) => match answer.collect().await {
            Ok(rows) => text(&rows),
            Err(error) => format!("error: {error}"),
        },
    }
}

/// Keys that the manager of t1 never sees, and the numbers in which they would show.
const HIDDEN: [&str; 6] = ["j3", "j4", "j5", "j6", "7000071", "7000072"];

#[tokio::test]
async fn rows_of_others_show_in_no_answer_no_plan_and_no_error() {
    let world = world();
    let engine = world.engine().await;
    let session = manager(&engine);
    let statements = [
        "select * from jobs",
        "table jobs",
        r#"select * from "jobs""#,
        r#"select * from casewatch."public"."jobs""#,
        "select * from holders",
        "select * from by_team",
        "select * from ranked",
        "select * from quality.unheld",
        "select * from history.jobs",
        "select * from history.holders",
        r#"select * from "history"."jobs" where _op <> 'd'"#,
        "select * from at('jobs', '2018-02-01')",
        "select * from at('holders', '2018-02-03')",
        "select h.* from at('jobs', '2018-02-09') a join history.jobs h on h.id > a.id",
        // Whatever is evaluated early, fails loudly, or says what it looks at.
        "select * from jobs where n > 2",
        "select id from jobs where 1 / (n - 3) is not null",
        "select id from jobs where 1 / (n - 13) > -1000 and 1 / (n - 5) > -1000",
        "select cast(id as int) from jobs where n = 3",
        "select cast(id as int) from jobs where n = 13 or team = 't2'",
        "select case when n > 2 then cast(id as int) else 0 end from jobs",
        "select case when n > 2 then cast(id as int) else 0 end from history.jobs",
        "select arrow_cast(id, 'Int64') from at('jobs', '2018-02-09') where n > 2",
        "select max(case when n = 3 then cast(id || 'x' as int) else 0 end) from by_team, jobs",
        "select cast(last as int) from by_team where team <> 't1'",
        "select (select cast(min(id) as int) from jobs where n > 2) as x",
        "select n / (case when id like '%3' then 0 else 1 end) from jobs",
        // Around the filters by shape.
        "select * from jobs union all select * from jobs",
        "select id from history.jobs except select id from jobs",
        "select id from jobs intersect select id from history.jobs",
        "select a.id, b.id from jobs a full outer join history.jobs b on a.id <> b.id",
        "select a.id, b.id from jobs a, lateral (select id from history.jobs h where h.n > a.n) b",
        "select id from jobs a where exists (select 1 from history.jobs b where b.n > 2 and b.id <> a.id)",
        "select id from jobs where id not in (select id from holders)",
        "with recursive r as (select id, 0 as x from jobs union all select h.id, x + 1 from r join history.jobs h on h.n > x where x < 2) select * from r",
        "select id, lead(id) over (order by n), count(*) over () from jobs",
        "select string_agg(id, ',') from jobs",
        "select array_agg(id) from history.jobs",
        "select approx_distinct(id), count(distinct id), max(id), min(n), max(n) from jobs",
        "select j.id from jobs j natural join ranked",
        "select distinct on (team) id from jobs order by team, n desc",
        "select id from jobs order by n desc limit 1",
        "select id from jobs tablesample system (100)",
        // Plans.
        "explain select * from jobs where n > 2",
        "explain verbose select * from jobs where n > 2",
        "explain analyze select count(*) from jobs where n > 2",
        "explain analyze verbose select * from history.jobs",
        "explain format tree select * from by_team",
        // What is within, and what is not granted.
        "select * from behind.r0",
        "select * from access.own",
        "select * from access.listed",
        "select * from scope.team",
        "select * from denied",
        "select * from numbers",
        "select * from at('denied', '2018-02-01')",
        "select * from at('numbers', '2018-02-01')",
        "select * from history.denied",
        "select * from jobs where id in (select id from denied)",
        // The lists.
        "select * from information_schema.tables",
        "select * from information_schema.columns",
        "select * from information_schema.views",
        "select * from information_schema.df_settings",
        "show tables",
        "describe jobs",
        "describe denied",
        "show columns from jobs",
    ];
    let moments = [
        &[][..],
        &["set casewatch.as_of = '2018-02-09'"][..],
        &[
            "set casewatch.as_of = '2018-02-02'",
            "set casewatch.known_at = '2018-02-03'",
        ],
        &["set casewatch.known_at = '2018-02-03'"],
    ];
    // They do tell: the operator, who may know.
    let operator = engine.session(None, None);
    let mut telling = 0;
    for sql in statements {
        let said = said(&operator, sql).await;
        telling += usize::from(HIDDEN.iter().any(|hidden| said.contains(hidden)));
    }
    assert!(telling >= 30, "only {telling} statements would tell anything");
    for settings in moments {
        for setting in settings {
            session.sql(setting).await.unwrap();
        }
        let mut answered = 0;
        for sql in statements {
            let said = said(&session, sql).await;
            answered += usize::from(!said.starts_with("error"));
            assert!(
                !said.contains("cannot be told at the moment"),
                "{sql}: a barrier failed"
            );
            let hidden: Vec<_> = HIDDEN.iter().filter(|hidden| said.contains(*hidden)).collect();
            assert!(hidden.is_empty(), "{settings:?}: {sql} says {hidden:?}:\n{said}");
            let within = ["MomentScan", "behind", "access.", "select id from jobs"];
            let within: Vec<_> = within.iter().filter(|within| said.contains(*within)).collect();
            let asked_for = sql.contains("behind") || sql.contains("access.");
            assert!(within.is_empty() || asked_for, "{sql} says {within:?}:\n{said}");
        }
        assert!(answered >= 42, "only {answered} of {} were answered", statements.len());
    }
}

#[tokio::test]
async fn what_is_the_users_own_is_all_there() {
    let world = world();
    let engine = world.engine().await;
    let session = manager(&engine);
    let values = async |sql: &str| session_values(&session, sql).await.unwrap();
    assert_eq!(values("select id from jobs order by id").await, ["j1", "j2"]);
    assert_eq!(values("select count(*) from jobs").await, ["2"]);
    assert_eq!(
        values("select id from at('jobs', '2018-02-01') order by 1").await,
        ["j1", "j2"]
    );
    assert_eq!(
        values("select jobs from by_team").await,
        ["2"],
        "a view without rules counts what its reader sees"
    );
    let places = values("select id || ':' || place from ranked order by id").await;
    assert_eq!(places, ["j1:6", "j2:5"], "one with rules is the same for everybody");
    assert_eq!(values("select id from quality.unheld order by id").await, ["j1", "j2"]);
    let changes = values("select id || _op from history.holders order by _offset").await;
    assert_eq!(
        changes,
        ["j1u", "j1d"],
        "that an own row is gone is told, or a fold of history would keep it"
    );
    let names = "select table_schema || '.' || table_name from information_schema.tables \
                 where table_schema <> 'information_schema' order by 1";
    let named = values(names).await;
    let wanted = [
        "history.holders",
        "history.jobs",
        "public.by_team",
        "public.holders",
        "public.jobs",
        "public.ranked",
        "quality.unheld",
        "reference.bank_holidays",
    ];
    assert_eq!(named, wanted);
    assert_eq!(
        values("select count(*) from information_schema.views where definition is not null").await,
        ["0"]
    );
    // To whoever has another team, another world.
    let other = engine.session_as(&grant(&engine, "manager", Some(&["t2"])), None, None);
    assert_eq!(
        session_values(&other, "select id from jobs order by id").await.unwrap(),
        ["j3", "j5"]
    );
    let nobody = engine.session_as(&grant(&engine, "manager", Some(&[])), None, None);
    assert_eq!(
        session_values(&nobody, "select count(*) from history.jobs")
            .await
            .unwrap(),
        ["0"]
    );
}

#[tokio::test]
async fn a_masked_column_is_null_wherever_it_shows() {
    let world = world();
    let engine = world.engine().await;
    let session = manager(&engine);
    for sql in [
        "select count(n) from holders",
        "select count(n) from history.holders",
        "select count(n) from at('holders', '2018-02-03')",
        "select count(*) from history.holders where n > 0",
    ] {
        assert_eq!(session_values(&session, sql).await.unwrap(), ["0"], "{sql}");
    }
    assert_eq!(
        session_values(&session, "select id from at('holders', '2018-02-03')")
            .await
            .unwrap(),
        ["j1"]
    );
    let plan = session.logical_plan("select n from holders").await.unwrap();
    assert_eq!(plan.schema().field(0).data_type(), &arrow::datatypes::DataType::Int32);
}

#[tokio::test]
async fn rights_follow_the_newest_cut() {
    let mut world = world();
    let engine = world.engine().await;
    let session = manager(&engine);
    assert_eq!(
        session_values(&session, "select count(*) from jobs").await.unwrap(),
        ["2"]
    );
    world.change("jobs", &[Version("j2", "t1", 13, "2018-01-05", None, "2018-02-11")]);
    world.change("jobs", &[Version("j3", "t1", 3, "2018-02-01", None, "2018-02-11")]);
    world.cut("2018-02-12");
    assert_eq!(
        session_values(&session, "select id from jobs order by id")
            .await
            .unwrap(),
        ["j1", "j3"]
    );
    let before = "select id from at('jobs', '2018-02-09') order by id";
    assert_eq!(
        session_values(&session, before).await.unwrap(),
        ["j1", "j3"],
        "the past is of today's rights, too"
    );
}

#[tokio::test]
async fn a_role_of_figures_reads_no_rows_and_a_lookup_needs_a_reason_each_time() {
    let world = world();
    let engine = world.engine().await;
    let counter = engine.session_as(&grant(&engine, "counter", None), None, None);
    assert_eq!(
        session_values(&counter, "select sum(jobs) from by_team").await.unwrap(),
        ["4"],
        "what by_team reads has no name of its own, and is filtered all the same"
    );
    assert!(session_values(&counter, "select * from jobs").await.is_err());
    let clerk = engine.session_as(&grant(&engine, "clerk", None), None, None);
    let one = "select id from jobs where id = 'j1'";
    let refused = session_values(&clerk, one).await.unwrap_err();
    assert!(matches!(refused, QueryError::NoReason), "{refused}");
    clerk
        .sql("set casewatch.reason = 'asked by phone, call 17'")
        .await
        .unwrap();
    assert_eq!(clerk.reason().as_deref(), Some("asked by phone, call 17"));
    assert_eq!(session_values(&clerk, one).await.unwrap(), ["j1"]);
    assert!(matches!(
        session_values(&clerk, one).await.unwrap_err(),
        QueryError::NoReason
    ));
    assert_eq!(
        session_values(&clerk, "select 1").await.unwrap(),
        ["1"],
        "nothing is read"
    );
    clerk.sql("set casewatch.reason = 'a list'").await.unwrap();
    let many = session_values(&clerk, "select id from jobs").await.unwrap_err();
    assert!(matches!(many, QueryError::Rows { limit: 2 }), "{many}");
}

fn things() -> References {
    reference_key().of("thing")
}

#[tokio::test]
async fn references_are_pseudonyms_by_which_rows_join_to_whoever_needs_none() {
    let world = world();
    let engine = world.engine().await;
    let session = engine.session_as(&grant(&engine, "outsider", None), None, None);
    let values = async |sql: &str| session_values(&session, sql).await.unwrap();
    let pseudonyms = |ids: &[&str]| -> Vec<String> { ids.iter().map(|id| things().pseudonym(id)).collect() };
    let all = ["j1", "j2", "j3", "j5"];
    assert_eq!(values("select id from jobs order by n").await, pseudonyms(&all));
    assert_eq!(
        values("select n from jobs order by n").await,
        ["1", "2", "3", "5"],
        "and nothing else is changed"
    );
    assert_eq!(
        values("select id from ranked order by place desc").await,
        pseudonyms(&all)
    );
    assert_eq!(
        values("select id from at('jobs', '2018-02-09') order by n").await,
        pseudonyms(&all)
    );
    let history = values("select distinct id from history.jobs order by id").await;
    let mut expected = pseudonyms(&all);
    expected.sort();
    assert_eq!(history, expected);
    // The greatest pseudonym, and not that of the greatest reference.
    let last = values("select last from by_team where team = 't1'").await;
    assert_eq!(last, [expected_last(&["j1", "j2"])]);
    let joined = "select r.place from jobs j join ranked r on r.id = j.id where j.n = 5";
    assert_eq!(values(joined).await, ["3"]);
    let chosen = format!("select n from jobs where id = '{}'", things().pseudonym("j3"));
    assert_eq!(values(&chosen).await, ["3"]);
    for sql in [
        "select count(*) from jobs where id = 'j1'",
        "select count(*) from history.jobs where id like 'j%'",
        "select count(*) from quality.unheld where id in ('j1', 'j2')",
    ] {
        assert_eq!(values(sql).await, ["0"], "{sql}");
    }
    let relations = session.relations().await.unwrap();
    let jobs = relations.iter().find(|relation| relation.name == "jobs").unwrap();
    assert_eq!(jobs.columns[0].comment.as_deref(), Some("Key. Shown as a pseudonym."));
}

fn expected_last(ids: &[&str]) -> String {
    let pseudonyms = ids.iter().map(|id| things().pseudonym(id));
    pseudonyms.max().expect("there are some")
}

#[tokio::test]
async fn a_lookup_finds_the_reference_to_a_pseudonym_and_gathers_no_more_than_its_rows() {
    let world = world();
    let engine = world.engine().await;
    let clerk = engine.session_as(&grant(&engine, "clerk", None), None, None);
    let asked = async |sql: &str| {
        clerk.sql("set casewatch.reason = 'call 17'").await.unwrap();
        session_values(&clerk, sql).await
    };
    let pseudonym = things().pseudonym("j3");
    let found = asked(&format!("select id from jobs where id_pseudonym = '{pseudonym}'")).await;
    assert_eq!(found.unwrap(), ["j3"]);
    assert_eq!(
        asked("select id_pseudonym from jobs where id = 'j3'").await.unwrap(),
        [pseudonym]
    );
    for sql in [
        "select id from (select id, n from jobs where n < 3) as few order by n",
        "select id from jobs where n <= (select max(n) from jobs where team = 't1' and id in (select id from ranked)) order by n",
        "select distinct id from jobs where n < 3 order by id",
        "select id from jobs where n = 1 union all select id from ranked where place = 5 order by id",
        "select j.id from jobs j join reference.bank_holidays b on b.date = date '2018-03-30' where j.n < 3 order by j.id",
    ] {
        assert_eq!(asked(sql).await.unwrap(), ["j1", "j2"], "{sql}");
    }
    for sql in [
        "select string_agg(id, ',') from jobs",
        "select array_agg(id) from jobs",
        "select max(id) from jobs",
        "select count(*) from jobs",
        "select team, array_agg(id) from jobs group by team",
        "select ids from (select array_agg(id) as ids from jobs) as x limit 1",
        "with all_of_them as (select string_agg(id, ',') as ids from jobs) select ids from all_of_them",
        "select id, lead(id) over (order by n), lead(id, 2) over (order by n) from jobs where n < 3",
        "select array_agg(id) over () from jobs limit 1",
        "select a.id, b.id from jobs a join jobs b on a.n < b.n where a.n = 1",
        "select a.id, b.id from jobs a, ranked b where a.id < b.id limit 2",
        "select (select string_agg(id, ',') from jobs) as ids",
        "select id, (select min(h.id) from jobs h where h.n > j.n) from jobs j limit 2",
        "select 1 order by (select string_agg(id, ',') from jobs)",
        "select unnest(array_agg(id)) from jobs",
        "select a.id, b.ids from jobs a, lateral (select array_agg(id) as ids from jobs h where h.n > a.n) b limit 2",
        "with recursive r as (select id, 0 as x from jobs where n = 1 union all select r.id || j.id, x + 1 from r join jobs j on j.n > x where x < 3) select id from r limit 2",
        "select last from by_team",
        "select id from at('jobs', '2018-02-09') group by id",
    ] {
        let refused = asked(sql).await.expect_err(sql);
        assert!(matches!(refused, QueryError::Gathering { .. }), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_user_of_no_role_or_of_nobodys_team_is_refused() {
    let world = world();
    let engine = world.engine().await;
    let policy = engine.policy().unwrap();
    let user = |role: &str, teams: Option<BTreeSet<String>>| User {
        name: "ann".to_owned(),
        role: role.to_owned(),
        scope: Scope {
            authorities: None,
            teams,
        },
        secret: ScramSecret::unknowable(),
    };
    let error = policy.grant(&user("boss", None)).unwrap_err().to_string();
    assert!(
        error.ends_with("hint: it has clerk, counter, manager, outsider"),
        "{error}"
    );
    let error = policy.grant(&user("manager", None)).unwrap_err().to_string();
    assert!(
        error.starts_with("user ann: role manager is bound to its teams, and none are given"),
        "{error}"
    );
}

#[tokio::test]
async fn faults_of_a_policy_are_told_with_their_lines() {
    let world = world();
    let faults = async |from: &str, to: &str| -> Vec<(usize, String)> {
        assert!(POLICY.contains(from));
        std::fs::write(world.queries.path().join("access.toml"), POLICY.replace(from, to)).unwrap();
        let engine = world.engine().await;
        let found = engine.check_access().await;
        found.into_iter().map(|fault| (fault.line, fault.message)).collect()
    };
    let line = |text: &str| POLICY.lines().position(|line| line.contains(text)).unwrap() + 1;
    let always = [(
        line("of = [\"numbers\"]"),
        "the rows of numbers lack the condition `team`: whoever it is for sees none",
    )];
    let also = |mut more: Vec<(usize, String)>| {
        more.extend(always.iter().map(|(line, message)| (*line, (*message).to_owned())));
        more.sort();
        more
    };
    assert_eq!(faults("Own rows.", "Own rows.").await, also(Vec::new()));
    let wrong_name = faults(
        "\"jobs\", \"holders\", \"ranked\", \"numbers\", \"by_team\"",
        "\"jobz\", \"holders\"",
    )
    .await;
    let reads = line("reads = [\"jobs\"");
    assert!(
        wrong_name.contains(&(reads, "there is no table or view \"jobz\"".to_owned())),
        "{wrong_name:?}"
    );
    let undecided = "role manager neither reads nor is denied jobs, by_team, numbers, ranked";
    assert!(
        wrong_name.contains(&(line("[roles.manager]"), undecided.to_owned())),
        "{wrong_name:?}"
    );
    let mask = faults("holders.n", "holders.m").await;
    assert_eq!(mask.len(), 2, "{mask:?}");
    assert!(
        mask.iter()
            .any(|(_, message)| message == "table holders has no column \"m\" to mask")
    );
    let set = faults("select id from jobs where n <> 13", "select id from jobs where m <> 13").await;
    assert!(
        set[0].1.starts_with("set listed: ") && set[0].0 == line("n <> 13"),
        "{set:?}"
    );
    let condition = faults("team = \"id in", "team = \"ident in").await;
    assert!(condition[0].1.starts_with("the condition `team` of "), "{condition:?}");
    let unruled = faults(
        "\"jobs\", \"holders\", \"ranked\"]\nauthority",
        "\"holders\", \"ranked\"]\nauthority",
    )
    .await;
    assert!(
        unruled[0]
            .1
            .starts_with("nothing says whose the rows of table jobs are"),
        "{unruled:?}"
    );
}
