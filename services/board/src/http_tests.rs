//! Who is let in, by what, and what every answer carries: over a real listener.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use casewatch_contract::{Contract, RecordedAt};
use casewatch_live::Cut;
use casewatch_metrics::{Catalogue, Checked, SampleStore};
use casewatch_query::{Clock, Engine, EngineConfig, Limits, Scope, ScramSecret, User, Users};
use prometheus::Registry;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::board::{Board, BoardParts};
use crate::fixtures::{layout, write_queries};
use crate::http::{App, serve};
use crate::own::OwnMetrics;
use crate::people::{Accounts, People, Trust};

const POLICY: &str = r#"
[roles.viewer]
about = "Figures."
reads = ["metrics.*"]
"#;

struct Site {
    address: SocketAddr,
    users: watch::Sender<Arc<Users>>,
    client: Client,
    _queries: TempDir,
    _catalogues: watch::Sender<Checked>,
    _cuts: watch::Sender<Arc<Cut>>,
}

fn user(name: &str, password: &str, teams: Option<&str>) -> Arc<User> {
    Arc::new(User {
        name: name.to_owned(),
        role: "viewer".to_owned(),
        scope: Scope {
            teams: teams.map(|team| BTreeSet::from([team.to_owned()])),
            ..Scope::default()
        },
        secret: ScramSecret::of_password(password),
    })
}

fn trust(proxies: &[&str]) -> Trust {
    Trust {
        proxies: proxies.iter().map(|net| net.parse().unwrap()).collect(),
        user_header: HeaderName::from_static("x-forwarded-user"),
        idle: Duration::from_secs(60),
        longest: Duration::from_secs(600),
        local_viewer: false,
    }
}

impl Site {
    async fn start(people: Option<Users>, trust: Trust) -> Self {
        let queries = TempDir::new().unwrap();
        write_queries(queries.path());
        std::fs::write(queries.path().join("access.toml"), POLICY).unwrap();
        let (cuts, cut) = watch::channel(Arc::new(Cut::of(RecordedAt(0), BTreeMap::new())));
        let engine = Engine::new(EngineConfig {
            contract: Arc::new(Contract::new(Vec::new()).unwrap()),
            lake: None,
            tail: None,
            cuts: cut,
            queries: queries.path().to_owned(),
            limits: Limits::default(),
            clock: Clock::Feed,
            references: None,
        });
        let catalogue = Catalogue::load(queries.path()).unwrap_or_else(|faults| panic!("{faults}"));
        let checked = Checked {
            catalogue: Arc::new(catalogue),
            engine: engine.await.unwrap(),
            queries: Vec::new(),
            scans: BTreeMap::new(),
        };
        let (catalogues, running) = watch::channel(checked);
        let (users, now) = watch::channel(Arc::new(people.clone().unwrap_or_default()));
        let accounts = people.map(|_| Accounts {
            users: now,
            catalogues: running.clone(),
        });
        let board = Board::new(BoardParts {
            queries: queries.path().to_owned(),
            layout: layout(),
            catalogues: running,
            store: SampleStore::new("test"),
            clock: Clock::Feed,
            ad_hoc: Handle::current(),
            query_deadline: Duration::from_secs(10),
            metrics: OwnMetrics::register(&Registry::new()).unwrap(),
        });
        let app = Arc::new(App {
            board,
            people: People::new(accounts, trust),
            audit: None,
            followers: Arc::new(Semaphore::new(1)),
            secure: false,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, app, CancellationToken::new()));
        Self {
            address,
            users,
            client: Client::builder().no_proxy().build().unwrap(),
            _queries: queries,
            _catalogues: catalogues,
            _cuts: cuts,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.client.get(self.url(path));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    }

    async fn sign_in(&self, name: &str, password: &str, headers: &[(&str, &str)]) -> Response {
        let request = self
            .client
            .post(self.url("/api/sign-in"))
            .json(&json!({"user": name, "password": password}));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    }

    /// The cookie of a session, as a browser sends it back.
    async fn session(&self, name: &str, password: &str) -> String {
        let answer = self.sign_in(name, password, &[]).await;
        assert_eq!(answer.status(), 204);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn me(&self, headers: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.get("/api/me", headers).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn two() -> Users {
    Users::of([user("ada", "lovelace", None), user("tom", "thumb", Some("A1"))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_the_right_password_alone_and_ends_when_it_is_told_to() {
    let site = Site::start(Some(two()), trust(&[])).await;
    assert_eq!(site.me(&[]).await.0, 401);
    assert_eq!(site.get("/api/view", &[]).await.status(), 401);
    assert_eq!(site.get("/api/live", &[]).await.status(), 401);
    let mut refusals = Vec::new();
    for (name, password) in [("ada", "wrong"), ("nobody", "lovelace"), ("", "")] {
        let answer = site.sign_in(name, password, &[]).await;
        assert_eq!(answer.status(), 401, "{name}");
        refusals.push(answer.text().await.unwrap());
    }
    refusals.dedup();
    assert_eq!(
        refusals.len(),
        1,
        "nothing tells a wrong name from a wrong password: {refusals:?}"
    );

    let answer = site.sign_in("ada", "lovelace", &[]).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"),
        "{cookie}"
    );
    let session = cookie.split(';').next().unwrap();
    assert!(
        session.len() > 43 + "casewatch_session=".len() - 1,
        "256 bits: {session}"
    );
    let (status, me) = site.me(&[("cookie", session)]).await;
    assert_eq!(status, 200);
    assert_eq!(
        me,
        json!({"user": "ada", "role": "viewer", "rows": false, "sign_in": false, "sign_out": true})
    );
    assert_eq!(site.me(&[("cookie", "casewatch_session=guessed")]).await.0, 401);
    let out = site
        .client
        .post(site.url("/api/sign-out"))
        .header("cookie", session)
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(site.me(&[("cookie", session)]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sits_at_the_machine_is_offered_to_sign_in_where_there_are_users_and_only_then() {
    let at_the_machine = Trust {
        local_viewer: true,
        ..trust(&[])
    };
    let site = Site::start(Some(two()), at_the_machine).await;
    let (status, me) = site.me(&[]).await;
    assert_eq!(
        (status, me),
        (
            200,
            json!({"user": "local", "role": "viewer", "rows": false, "sign_in": true, "sign_out": false})
        )
    );
    let session = site.session("ada", "lovelace").await;
    let (_, me) = site.me(&[("cookie", &session)]).await;
    assert_eq!((&me["sign_in"], &me["sign_out"]), (&json!(false), &json!(true)));
    let (_, me) = Site::start(None, trust(&[])).await.me(&[]).await;
    assert_eq!((&me["sign_in"], &me["sign_out"]), (&json!(false), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_gone_or_has_another_password_has_no_session_any_more() {
    let site = Site::start(Some(two()), trust(&[])).await;
    let (ada, tom) = (
        site.session("ada", "lovelace").await,
        site.session("tom", "thumb").await,
    );
    site.users
        .send_replace(Arc::new(Users::of([user("ada", "byron", None)])));
    assert_eq!(site.me(&[("cookie", &ada)]).await.0, 401, "another password");
    assert_eq!(site.me(&[("cookie", &tom)]).await.0, 401, "gone");
    assert_eq!(site.sign_in("tom", "thumb", &[]).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_has_to_wait_even_with_the_right_password() {
    let site = Site::start(Some(two()), trust(&[])).await;
    for _ in 0..6 {
        site.sign_in("ada", "wrong", &[]).await;
    }
    let answer = site.sign_in("ada", "lovelace", &[]).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(
        site.sign_in("tom", "thumb", &[]).await.status(),
        204,
        "others do not wait for it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_elsewhere_signs_nobody_in() {
    let site = Site::start(Some(two()), trust(&[])).await;
    let elsewhere = site
        .sign_in("ada", "lovelace", &[("origin", "https://evil.example")])
        .await;
    assert_eq!(elsewhere.status(), 403);
    let own = format!("http://{}", site.address);
    assert_eq!(site.sign_in("ada", "lovelace", &[("origin", &own)]).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_believed_about_users_only_where_it_is_trusted() {
    let trusted = Site::start(Some(two()), trust(&["127.0.0.1/32"])).await;
    let (status, me) = trusted.me(&[("x-forwarded-user", "ada")]).await;
    assert_eq!(
        (status, &me["user"], &me["sign_in"], &me["sign_out"]),
        (200, &json!("ada"), &json!(false), &json!(false))
    );
    assert_eq!(
        trusted.me(&[("x-forwarded-user", "mallory")]).await.0,
        403,
        "no user of ours"
    );
    let other = Site::start(Some(two()), trust(&["192.0.2.0/24"])).await;
    assert_eq!(
        other.me(&[("x-forwarded-user", "ada")]).await.0,
        401,
        "anybody could say so"
    );
    let encrypted = trusted
        .sign_in("ada", "lovelace", &[("x-forwarded-proto", "https")])
        .await;
    assert!(
        encrypted.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sees_one_team_asks_in_vain_for_more() {
    let site = Site::start(Some(two()), trust(&[])).await;
    let tom = site.session("tom", "thumb").await;
    for path in [
        "/api/view?team=B1",
        "/api/view?authority=north",
        "/api/trend?tile=waiting&team=B1",
        "/api/chart.csv?tile=waiting&service=desk",
        "/api/live?team=B1",
    ] {
        assert_eq!(site.get(path, &[("cookie", &tom)]).await.status(), 403, "{path}");
    }
    let view: Value = site.get("/api/view", &[("cookie", &tom)]).await.json().await.unwrap();
    assert_eq!(view["subject"]["team"]["id"], "A1", "the own team is where one starts");
    assert_eq!(view["fresh"]["state"], "catching_up");
    let tile = &view["sections"][0]["tiles"][0];
    assert_eq!(tile["value"], Value::Null);
    assert!(tile["unknown"].is_string(), "{tile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_users_there_are_figures_and_no_rows() {
    let site = Site::start(None, trust(&[])).await;
    let (status, me) = site.me(&[]).await;
    assert_eq!((status, me["rows"].clone()), (200, json!(false)));
    let rows = site.get("/api/worklist?team=A1", &[]).await;
    assert_eq!(rows.status(), 403);
    assert!(
        rows.text().await.unwrap().contains("[access] users"),
        "it says what to configure"
    );
    assert_eq!(site.get("/api/me", &[("host", "evil.example")]).await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_the_page_to_itself_and_no_answer_of_figures_is_kept_by_anybody() {
    let site = Site::start(None, trust(&[])).await;
    for path in ["/", "/api/view", "/api/nothing", "/assets/nothing.js"] {
        let answer = site.get(path, &[]).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self';"),
            "{policy}"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    assert_eq!(site.get("/api/view", &[]).await.headers()["cache-control"], "no-store");
    assert_eq!(
        site.get("/", &[]).await.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert_eq!(site.get("/worklist", &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_follow_are_bounded_and_are_sent_a_view_at_once() {
    let site = Site::start(None, trust(&[])).await;
    let mut first = site.get("/api/live", &[]).await;
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let event = first.chunk().await.unwrap().unwrap();
    assert!(
        event.starts_with(b"event: view\ndata: {\"title\":\"The board\""),
        "{event:?}"
    );
    assert_eq!(site.get("/api/live", &[]).await.status(), 503, "one place, two pages");
    drop(first);
    let mut place = 503;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        place = site.get("/api/live", &[]).await.status().as_u16();
        if place == 200 {
            break;
        }
    }
    assert_eq!(place, 200, "whoever leaves makes room");
}
