//! The shipped policy over a simulated authority: of every table and view, each role is shown rows of its own cases only, of
//! restricted children none, and no reference that it does not need; and what it is shown is what the operator sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use casewatch_contract::{Contract, HmacKeys, RecordedAt, References};
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
    let references = contract.reference_key(&HmacKeys::demo());
    let config = EngineConfig {
        contract,
        lake: None,
        tail: None,
        cuts: watch::channel(cut).1,
        queries: root().join("queries"),
        limits: Limits::default(),
        clock: Clock::Feed,
        references,
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

/// What is shown in place of references of a kind.
fn pseudonyms(engine: &Engine, kind: &str) -> References {
    let key = engine.contract().reference_key(&HmacKeys::demo());
    key.expect("the demo has keys for every domain").of(kind)
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

/// What somebody is shown of each.
type Shown = Vec<(String, Vec<RecordBatch>)>;

/// All that users of these roles and teams are shown, looked at side by side: planning so many statements takes a while.
async fn all_shown<'a>(
    engine: &Arc<Engine>,
    users: &[(&'a str, Option<&'a str>)],
) -> Vec<(&'a str, Option<&'a str>, Shown)> {
    let tasks: Vec<_> = users
        .iter()
        .map(|&(role, team)| {
            let session = session(engine, role, team);
            let look = tokio::spawn(async move {
                let mut shown = Shown::new();
                for name in names(&session).await {
                    let of_name = rows(&session, &format!("select * from {name}")).await;
                    shown.push((name, of_name));
                }
                shown
            });
            (role, team, look)
        })
        .collect();
    let mut all = Vec::new();
    for (role, team, look) in tasks {
        all.push((role, team, look.await.unwrap()));
    }
    all
}

const RECORDS: &str = "with r as (select c.child_id, coalesce(m.person_id, c.child_id) as person_id, c.restricted \
                       from children c left join merged_children m on m.child_id = c.child_id) ";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_a_row_that_is_not_theirs_to_see_or_a_reference_that_they_do_not_need() {
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
    let case = pseudonyms(&engine, "case");
    let shown_as =
        |cases: &BTreeSet<String>| -> BTreeSet<String> { cases.iter().map(|id| case.pseudonym(id)).collect() };
    let (restricted_cases, own) = (shown_as(&restricted_cases), shown_as(&own));
    let team = Some(team.as_str());
    let users = [
        ("viewer", None),
        ("team_manager", team),
        ("analyst", None),
        ("analyst", team),
        ("hr", None),
        ("auditor", None),
    ];
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let all = all_shown(&engine, &users).await;
    for (role, team, shown) in &all {
        for (name, shown) in shown {
            let what = format!("{name} as {role} of {team:?}");
            let cases: Vec<String> = ["case_id", "earlier_case_id"]
                .iter()
                .flat_map(|column| values(shown, column))
                .collect();
            let children: Vec<String> = ["child_id", "person_id", "merged_into"]
                .iter()
                .flat_map(|column| values(shown, column))
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
    each_is_shown_the_references_it_needs(&all_references(&engine).await, &all);
}

/// What the source systems call the records, each with the kind of reference that it is.
async fn all_references(engine: &Engine) -> HashMap<String, &'static str> {
    let operator = engine.session(None, None);
    let mut found = HashMap::new();
    for (kind, sql) in [
        ("case", "select case_id as x from cases"),
        ("worker", "select worker_id as x from workers"),
        ("referral", "select referral_id as x from referrals"),
        (
            "record",
            "select allocation_id as x from allocations union all select assessment_id from assessments \
             union all select conference_id from conferences union all select placement_id from placements \
             union all select plan_id from plans union all select transfer_id from transfers \
             union all select visit_id from visits union all select supervision_id from supervisions",
        ),
        (
            "employment",
            "select contract_id as x from contracts union all select absence_id from absences",
        ),
    ] {
        let references = set(&operator, sql).await;
        assert!(references.len() > 20, "{kind}: {}", references.len());
        found.extend(references.into_iter().map(|reference| (reference, kind)));
    }
    found
}

fn each_is_shown_the_references_it_needs(
    references: &HashMap<String, &'static str>,
    all: &[(&str, Option<&str>, Shown)],
) {
    for (role, team, shown) in all {
        let needed: &[&str] = match *role {
            "team_manager" => &["worker"],
            "hr" => &["employment", "worker"],
            _ => &[],
        };
        let mut kinds: BTreeSet<&str> = BTreeSet::new();
        for (name, batch) in shown
            .iter()
            .flat_map(|(name, batches)| batches.iter().map(move |batch| (name, batch)))
        {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let text = cast(column, &DataType::Utf8).unwrap();
                let found = text.as_string::<i32>().iter().flatten();
                let found: BTreeSet<&str> = found.filter_map(|value| references.get(value).copied()).collect();
                let what = format!("{role} of {team:?} is shown {found:?} in {name}.{}", field.name());
                assert!(found.iter().all(|kind| needed.contains(kind)), "{what}");
                kinds.extend(found);
            }
        }
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            needed,
            "{role} is shown what it needs"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_finds_the_case_that_a_manager_reads_of() {
    let engine = engine().await;
    let operator = engine.session(None, None);
    let team = set(
        &operator,
        "select team_id as x from team_worklist where case_id is not null order by 1 limit 1",
    )
    .await;
    let team = team.into_iter().next().unwrap();
    let manager = session(&engine, "team_manager", Some(&team));
    let line = set(
        &manager,
        "select case_id as x from team_worklist where case_id is not null order by 1 limit 1",
    )
    .await;
    let shown = line.into_iter().next().expect("the worklist has a case");
    let lookup = session(&engine, "caseworker_lookup", None);
    let sql = format!("select case_id as x from cases where case_id_pseudonym = '{shown}'");
    assert!(lookup.sql(&sql).await.is_err(), "not without a reason");
    lookup
        .sql("set casewatch.reason = 'on the worklist of the morning'")
        .await
        .unwrap();
    let found = set(&lookup, &sql).await;
    assert_eq!(found.len(), 1);
    let found = found.into_iter().next().unwrap();
    assert_eq!(pseudonyms(&engine, "case").pseudonym(&found), shown);
    let of_team = format!("select case_id as x from team_worklist where team_id = '{team}'");
    assert!(set(&operator, &of_team).await.contains(&found));
    assert!(lookup.sql(&sql).await.is_err(), "each time for a reason");
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
    let case = pseudonyms(&engine, "case");
    for (name, told) in [
        (
            "allocation_state",
            "state || coalesce(worker_id, '') || coalesce(cast(ineffective_workdays as varchar), '')",
        ),
        ("team_worklist", "what || coalesce(cast(due_on as varchar), '')"),
        ("visits_owed", "kind || cast(due_on as varchar)"),
        ("case_status", "status"),
    ] {
        let sql = format!("select coalesce(case_id, '') || '/' || {told} as x from {name}");
        let shown = set(&manager, &sql).await;
        let all: BTreeSet<String> = set(&operator, &sql)
            .await
            .iter()
            .map(|told| match told.split_once('/') {
                Some((id, told)) if !id.is_empty() => format!("{}/{told}", case.pseudonym(id)),
                _ => told.clone(),
            })
            .collect();
        assert!(
            shown.len() > 5 && shown.is_subset(&all),
            "{name}: {} shown",
            shown.len()
        );
    }
    let listed =
        "select case_id as x from open_cases where child_id in (select child_id from children where not restricted)";
    let own = format!("{listed} and team_id in (select team_id from team_tree where ancestor_team_id = '{team}')");
    let own = set(&operator, &own).await;
    let own: BTreeSet<String> = own.iter().map(|id| case.pseudonym(id)).collect();
    assert_eq!(set(&manager, "select case_id as x from open_cases").await, own);
}
