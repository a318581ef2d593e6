//! The shipped policy over a simulated authority: of every table and view, each role is shown rows of its own cases only, and
//! of restricted children none; and what it is shown is what the operator sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use casewatch_contract::{Contract, RecordedAt};
use casewatch_live::Cut;
use casewatch_query::{AsOf, Clock, Engine, EngineConfig, Limits, Scope, ScramSecret, Session, User};
use casewatch_simulator::{Scenario, SimulateOptions};
use tokio::sync::watch;

use crate::published_tests::{cut_at, root};

const UNTIL: &str = "2018-02-09";

async fn engine() -> Arc<Engine> {
    let contract = Arc::new(Contract::load(&root().join("schemas")).unwrap());
    let until: AsOf = UNTIL.parse().unwrap();
    let options = |target| SimulateOptions {
        until: Some(UNTIL.parse().unwrap()),
        ..SimulateOptions::new(Scenario::Northamptonshire, target)
    };
    let cut: Arc<Cut> = cut_at(options, RecordedAt(until.0.0), &contract).await;
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts: watch::channel(cut).1,
        queries: root().join("queries"),
        limits: Limits::default(),
        clock: Clock::Feed,
    };
    Engine::new(config).await.unwrap()
}

fn session(engine: &Engine, role: &str, team: Option<&str>) -> Session {
    let user = User {
        name: "ann".to_owned(),
        role: role.to_owned(),
        scope: Scope {
            authorities: None,
            teams: team.map(|team| BTreeSet::from([team.to_owned()])),
        },
        secret: ScramSecret::unknowable(),
    };
    let grant = engine.policy().unwrap().grant(&user).unwrap();
    engine.session_as(&grant, None, None)
}

async fn rows(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let answer = session.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The values of a column that are there; none where there is no such column.
fn values(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let mut found = Vec::new();
    for batch in batches {
        let Some(column) = batch.column_by_name(column) else {
            continue;
        };
        let text = cast(column, &DataType::Utf8).unwrap();
        found.extend(text.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    found
}

async fn set(session: &Session, sql: &str) -> BTreeSet<String> {
    values(&rows(session, sql).await, "x").into_iter().collect()
}

/// Every table and view that the session has a name for.
async fn names(session: &Session) -> Vec<String> {
    let sql = "select table_schema || '.' || table_name as x from information_schema.tables \
               where table_schema in ('public', 'quality')";
    set(session, sql).await.into_iter().collect()
}

const RECORDS: &str = "with r as (select c.child_id, coalesce(m.person_id, c.child_id) as person_id, c.restricted \
                       from children c left join merged_children m on m.child_id = c.child_id) ";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_a_row_that_is_not_theirs_to_see() {
    let engine = engine().await;
    assert_eq!(engine.check_access().await, [], "the policy is sound");
    let operator = engine.session(None, None);
    let restricted = set(
        &operator,
        &format!("{RECORDS} select child_id as x from r where person_id in (select person_id from r where restricted)"),
    )
    .await;
    let list = |ids: &BTreeSet<String>| ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    let restricted_cases = format!(
        "select case_id as x from cases where child_id in ({})",
        list(&restricted)
    );
    let restricted_cases = set(&operator, &restricted_cases).await;
    // The team with the most of them, so that leaving them out is seen.
    let busiest = format!(
        "select team_id as x from cases where case_id in ({}) group by team_id order by count(*) desc, team_id limit 1",
        list(&restricted_cases)
    );
    let team = set(&operator, &busiest)
        .await
        .into_iter()
        .next()
        .expect("a restricted child has a case");
    let own = format!(
        "select case_id as x from cases where team_id in (select team_id from team_tree where ancestor_team_id = '{team}')"
    );
    let own = set(&operator, &own).await;
    assert!(own.intersection(&restricted_cases).next().is_some() && own.len() > 20);
    let of_cases = format!("select child_id from cases where case_id in ({})", list(&own));
    let own_children = format!(
        "{RECORDS} select child_id as x from r where child_id in ({of_cases}) \
         or person_id in (select person_id from r where child_id in ({of_cases})) \
         union select person_id as x from r where child_id in ({of_cases})"
    );
    let own_children = set(&operator, &own_children).await;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (role, team) in [
        ("viewer", None),
        ("team_manager", Some(team.as_str())),
        ("analyst", None),
        ("analyst", Some(team.as_str())),
        ("hr", None),
        ("auditor", None),
    ] {
        let session = session(&engine, role, team);
        for name in names(&session).await {
            let shown = rows(&session, &format!("select * from {name}")).await;
            let what = format!("{name} as {role} of {team:?}");
            let cases: Vec<String> = ["case_id", "earlier_case_id"]
                .iter()
                .flat_map(|column| values(&shown, column))
                .collect();
            let children: Vec<String> = ["child_id", "person_id", "merged_into"]
                .iter()
                .flat_map(|column| values(&shown, column))
                .collect();
            *seen.entry(role).or_default() += cases.len() + children.len();
            assert!(
                cases.iter().all(|case| !restricted_cases.contains(case)),
                "{what} lists a restricted child's case"
            );
            assert!(
                children.iter().all(|child| !restricted.contains(child)),
                "{what} lists a restricted child"
            );
            if team.is_some() {
                assert!(
                    cases.iter().all(|case| own.contains(case)),
                    "{what} shows a case of another team"
                );
                // What a team received is its own, before there is a case and where there never is one; and a record may
                // say into which other it was merged.
                let own_by_itself = ["public.referrals", "public.referrals_in_year", "public.children"];
                let is_own = |child| own_children.contains(child) || own_by_itself.contains(&name.as_str());
                assert!(children.iter().all(is_own), "{what} shows another's child");
            }
        }
    }
    assert_eq!([seen["viewer"], seen["hr"], seen["auditor"]], [0, 0, 0], "{seen:?}");
    assert!(seen["team_manager"] > 1_000 && seen["analyst"] > 50_000, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_manager_is_shown_of_a_case_is_what_the_operator_sees() {
    let engine = engine().await;
    let operator = engine.session(None, None);
    let team = set(
        &operator,
        "select team_id as x from open_cases group by team_id order by count(*) desc, team_id limit 1",
    )
    .await;
    let team = team.into_iter().next().unwrap();
    let manager = session(&engine, "team_manager", Some(&team));
    for (name, told) in [
        (
            "allocation_state",
            "case_id || state || coalesce(worker_id, '') || coalesce(cast(ineffective_workdays as varchar), '')",
        ),
        (
            "team_worklist",
            "what || coalesce(case_id, '') || coalesce(cast(due_on as varchar), '')",
        ),
        ("visits_owed", "case_id || kind || cast(due_on as varchar)"),
        ("case_status", "case_id || status"),
    ] {
        let shown = set(&manager, &format!("select {told} as x from {name}")).await;
        let all = set(&operator, &format!("select {told} as x from {name}")).await;
        assert!(
            shown.len() > 5 && shown.is_subset(&all),
            "{name}: {} shown",
            shown.len()
        );
    }
    let listed =
        "select case_id as x from open_cases where child_id in (select child_id from children where not restricted)";
    let own = format!("{listed} and team_id in (select team_id from team_tree where ancestor_team_id = '{team}')");
    assert_eq!(
        set(&manager, "select case_id as x from open_cases").await,
        set(&operator, &own).await
    );
}
