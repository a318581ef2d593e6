//! The board on the running program: figures that move, a day of the past, a feed that falls silent, and who may see what.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use casewatch_tests::casewatch::{add_user, free_port, run};
use casewatch_tests::kafka::Heartbeats;
use casewatch_tests::{Casewatch, Config, Demo, Feed, Kafka, alone, http, root, until};
use serde_json::Value;
use tempfile::TempDir;

const PREFIX: &str = "casewatch.public.";
const HEARTBEATS: &str = "__debezium-heartbeat.casewatch";
const PATIENCE: Duration = Duration::from_secs(180);
const SILENT_AFTER: Duration = Duration::from_secs(10);

fn replay(kafka: &Kafka, from: Option<&str>, until: &str) {
    let mut arguments = vec!["simulate", "--brokers", kafka.brokers()];
    arguments.extend(["--topic-prefix", PREFIX, "--until", until]);
    arguments.extend(from.iter().flat_map(|day| ["--from", day]));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Where a board answers.
struct Page {
    port: u16,
}

impl Page {
    fn get(&self, path: &str) -> Result<http::Response, String> {
        http::get(&format!("http://127.0.0.1:{}{path}", self.port))
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Events as they come: their names and what they hold.
    fn follow(&self, path: &str) -> Receiver<(String, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the board listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request is small");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut name = String::new();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                }
                if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).expect("each event holds JSON");
                    if sender.send((name.clone(), data)).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}

/// A tile of a view.
fn tile<'a>(view: &'a Value, id: &str) -> &'a Value {
    let sections = view["sections"].as_array().expect("a view has sections");
    let mut tiles = sections
        .iter()
        .flat_map(|section| section["tiles"].as_array().expect("tiles"));
    tiles
        .find(|tile| tile["id"] == id)
        .unwrap_or_else(|| panic!("no tile {id} in {view}"))
}

/// The next event that `wanted` accepts.
fn next(events: &Receiver<(String, Value)>, what: &str, wanted: impl Fn(&str, &Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let (name, data) = events
            .recv_timeout(left)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        if wanted(&name, &data) {
            return data;
        }
    }
}

#[test]
fn figures_move_a_day_of_the_past_stands_and_a_dead_broker_makes_them_unknown_and_not_zero() {
    let _alone = alone();
    let mut kafka = Kafka::start();
    kafka.create_topics(&[HEARTBEATS], 1, &[]);
    let heartbeats = Heartbeats::start(&kafka, HEARTBEATS);
    replay(&kafka, None, "2018-02-02");
    let feed = Feed {
        silent_after: "10s",
        ..Feed::new("casewatch", PREFIX, &[])
    };
    assert_eq!(format!("{}s", SILENT_AFTER.as_secs()), feed.silent_after);
    let page = Page { port: free_port() };
    let mut config = Config::new(kafka.brokers(), vec![feed]);
    config.clock = "wall";
    config.more = format!("\n[board]\nlisten = \"127.0.0.1:{}\"\n", page.port);
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_ready();

    let view = until("names and figures", PATIENCE, || {
        let view = page.json("/api/view");
        match view["choices"]["teams"]
            .as_array()
            .is_some_and(|teams| !teams.is_empty())
        {
            true => Ok(view),
            false => Err(view["choices"].to_string()),
        }
    });
    assert_eq!(view["fresh"]["state"], "fresh", "{}", view["fresh"]);
    let now = tile(&view, "no_holder")["value"].as_f64().expect("a number");
    assert!(now > 0.0);

    // The published number, at the end of the day it is published for.
    let past = page.json("/api/view?as_of=2018-01-31");
    assert_eq!(past["moment"]["live"], false);
    assert_eq!(past["fresh"]["state"], "past");
    assert_eq!(tile(&past, "no_holder")["value"], 551.0);
    assert_eq!(tile(&past, "no_holder")["tier"]["severity"], "page");
    let parts = tile(&past, "no_holder")["parts"].as_array().expect("parts").iter();
    let sum: f64 = parts.filter_map(|part| part["value"].as_f64()).sum();
    assert_eq!(sum, 551.0, "its parts are all of it");
    let before = page.json("/api/view?as_of=2010-01-01");
    assert_eq!(
        tile(&before, "no_holder")["value"],
        Value::Null,
        "before anything was known"
    );
    let why = tile(&before, "no_holder")["unknown"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert!(why.contains("is not known before"), "{why}");

    // Whoever may not, and what is not there.
    let status = |path: &str| page.get(path).expect("an answer").status;
    assert_eq!(status("/api/view?team=nobody"), 404);
    assert_eq!(status("/api/view?as_of=yesterday"), 400);
    assert_eq!(status("/assets/../../Cargo.toml"), 404);
    let rows = page.get("/api/worklist?team=A1").expect("an answer");
    assert_eq!(rows.status, 403, "{}", rows.body);
    assert!(rows.body.contains("[access] users"), "{}", rows.body);

    let csv = page
        .get("/api/chart.csv?tile=no_holder&as_of=2018-01-31")
        .expect("an answer");
    assert_eq!(csv.content_type, "text/csv; charset=utf-8");
    assert!(csv.body.contains(",cases,551\n"), "{}", csv.body);
    let trend = page.json("/api/trend?tile=no_holder&as_of=2018-01-31");
    let days = trend["days"].as_array().expect("days");
    assert_eq!((days.len(), &days[29]), (30, &serde_json::json!(["2018-01-31", 551.0])));
    assert_eq!(days[0][1], Value::Null, "the lake has nothing of that day");

    // A page that follows is told.
    let events = page.follow("/api/live");
    let first = next(&events, "the first view", |name, _| name == "view");
    assert_eq!(tile(&first, "no_holder")["value"].as_f64(), Some(now));
    replay(&kafka, Some("2018-02-03"), "2018-02-12");
    next(&events, "another number", |name, view| {
        name == "view"
            && tile(view, "no_holder")["value"]
                .as_f64()
                .is_some_and(|value| value != now)
    });
    next(&events, "a pulse", |name, _| name == "pulse");

    drop(heartbeats);
    kafka.kill();
    let stale = next(&events, "the silence", |name, view| {
        name == "view" && view["fresh"]["state"] == "stale"
    });
    assert_eq!(tile(&stale, "no_holder")["value"], Value::Null, "unknown, not zero");
    assert!(
        tile(&stale, "no_holder")["unknown"]
            .as_str()
            .expect("a reason")
            .contains("silent")
    );
    let numbers = stale["sections"].to_string();
    let table = tile(&stale, "by_team")["rows"].as_array().expect("rows");
    let cells = table.iter().flat_map(|row| row["cells"].as_array().expect("cells"));
    assert!(
        cells.clone().count() > 0 && cells.clone().all(Value::is_null),
        "{numbers}"
    );

    let metrics = casewatch.metrics();
    assert_eq!(metrics.sum("casewatch_board_live_clients", &[]), Some(1.0));
    assert!(
        metrics
            .sum("casewatch_board_requests_total", &[("page", "api/view")])
            .is_some_and(|count| count >= 4.0)
    );
}

/// Signs in; what a browser sends back from then on.
fn sign_in(page: &Page, name: &str, password: &str) -> String {
    let url = format!("http://127.0.0.1:{}/api/sign-in", page.port);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client without options");
    let given = serde_json::json!({"user": name, "password": password});
    let answer = http::block_on(client.post(url).json(&given).send()).expect("the board answers");
    assert_eq!(answer.status(), 204, "{name}");
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie is text");
    cookie.split(';').next().expect("a cookie has a value").to_owned()
}

/// As whoever signed in.
fn get_as(page: &Page, session: &str, path: &str) -> (u16, Value) {
    let url = format!("http://127.0.0.1:{}{path}", page.port);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client without options");
    http::block_on(async {
        let answer = client
            .get(url)
            .header("cookie", session)
            .send()
            .await
            .expect("the board answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("the board answers in JSON"))
    })
}

#[test]
fn a_manager_sees_the_own_teams_worklist_a_director_sees_none_and_the_audit_log_knows_of_both() {
    let _alone = alone();
    let kafka = Kafka::start();
    replay(&kafka, None, "2018-01-31");
    let page = Page { port: free_port() };
    let mut config = Config::new(kafka.brokers(), vec![Feed::new("casewatch", PREFIX, &[])]);
    let users = config.folder.path().join("users.toml");
    add_user(&users, "dora", "dora's password", "viewer", None);
    config.more = format!(
        "\n[board]\nlisten = \"127.0.0.1:{}\"\n[access]\nusers = {users:?}\n",
        page.port
    );
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_ready();
    let busiest = "select team_id from team_worklist group by team_id order by count(*) desc, team_id limit 1";
    let team = casewatch.sql().value(busiest).as_str().expect("a team").to_owned();
    let of_others = format!("select team_id from team_worklist where team_id <> '{team}' order by team_id limit 1");
    let other = casewatch
        .sql()
        .value(&of_others)
        .as_str()
        .expect("another team")
        .to_owned();
    // The file is followed while it runs.
    add_user(&users, "mona", "mona's password", "team_manager", Some(&team));

    assert_eq!(page.get("/api/view").expect("an answer").status, 401);
    let director = sign_in(&page, "dora", "dora's password");
    assert_eq!(get_as(&page, &director, "/api/me").1["rows"], false);
    let view = until("names and figures", PATIENCE, || {
        let (status, view) = get_as(&page, &director, "/api/view");
        let has_names = view["choices"]["teams"]
            .as_array()
            .is_some_and(|teams| !teams.is_empty());
        if status == 200 && has_names {
            Ok(view)
        } else {
            Err(view.to_string())
        }
    });
    assert_eq!(tile(&view, "no_holder")["value"], 551.0);
    let (status, refused) = get_as(&page, &director, &format!("/api/worklist?team={team}"));
    assert_eq!(status, 403, "{refused}");

    let manager = until("the users file to be read again", PATIENCE, || {
        let url = format!("http://127.0.0.1:{}/api/sign-in", page.port);
        let given = serde_json::json!({"user": "mona", "password": "mona's password"});
        match http::post_json(&url, &given)?.status {
            204 => Ok(sign_in(&page, "mona", "mona's password")),
            status => {
                // Not so often that it is taken for guessing.
                std::thread::sleep(Duration::from_secs(1));
                Err(status.to_string())
            }
        }
    });
    let (_, me) = get_as(&page, &manager, "/api/me");
    assert_eq!(
        (&me["role"], &me["rows"]),
        (&Value::from("team_manager"), &Value::from(true))
    );
    let (_, own) = get_as(&page, &manager, "/api/view");
    assert_eq!(
        own["subject"]["team"]["id"],
        team.as_str(),
        "the own team is where one starts"
    );
    assert_eq!(get_as(&page, &manager, &format!("/api/view?team={other}")).0, 403);
    assert_eq!(get_as(&page, &manager, &format!("/api/worklist?team={other}")).0, 403);
    let (status, list) = get_as(&page, &manager, &format!("/api/worklist?team={team}"));
    assert_eq!(status, 200, "{list}");
    let columns: Vec<&str> = list["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(columns[..2], ["what", "case_id"]);
    let rows = list["rows"].as_array().expect("rows");
    let expected = format!(
        "select count(*) from team_worklist where team_id in (select team_id from team_tree where ancestor_team_id = '{team}')"
    );
    assert!(
        !rows.is_empty() && rows.len() as i64 <= casewatch.sql().count(&expected),
        "{}",
        rows.len()
    );

    let told = "select \"user\", role, outcome, \"rows\" from lake.audit where surface = 'board' order by \"user\"";
    let told = until("the audit log", PATIENCE, || {
        let found = casewatch.sql().rows(told);
        if found.len() >= 2 {
            Ok(found)
        } else {
            Err(format!("{found:?}"))
        }
    });
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (&told[0]["user"], &told[0]["outcome"]),
        (&Value::from("dora"), &Value::from("forbidden"))
    );
    assert_eq!(
        (&told[1]["user"], told[1]["rows"].as_u64()),
        (&Value::from("mona"), Some(rows.len() as u64))
    );
}

#[test]
fn the_demo_says_first_where_the_board_is_and_its_trends_fill_while_one_watches() {
    let _alone = alone();
    let demo = Demo::start();
    let page = Page { port: demo.port };
    let view = until("figures on the board", PATIENCE, || {
        let answer = page.get("/api/view")?;
        if answer.status != 200 {
            return Err(answer.body);
        }
        let view = answer.json();
        match (
            tile(&view, "no_holder")["value"].as_f64(),
            view["choices"]["teams"].as_array(),
        ) {
            (Some(value), Some(teams)) if value > 0.0 && !teams.is_empty() => Ok(view),
            _ => Err(view["fresh"].to_string()),
        }
    });
    let took = demo.began.elapsed();
    println!("figures were on the board after {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let first = demo.said().lines().next().unwrap_or_default().to_owned();
    assert_eq!(
        first,
        format!("casewatch demo: the board is at http://localhost:{}/", page.port)
    );
    assert_eq!(view["fresh"]["state"], "fresh");
    // Days that have passed since are closed, and what a tile shows since yesterday comes from one.
    until("three days of the trend and a change since yesterday", PATIENCE, || {
        let trend = page.json("/api/trend?tile=no_holder");
        let days = trend["days"].as_array().expect("days");
        let known = days.iter().filter(|day| day[1].is_number()).count();
        let change = tile(&page.json("/api/view"), "no_holder")["change"].clone();
        if known >= 4 && change.is_object() {
            Ok(())
        } else {
            Err(format!("{known} days, {change}"))
        }
    });
    // What was closed is what the day shows when it is looked at as the past.
    let trend = page.json("/api/trend?tile=no_holder");
    let days = trend["days"].as_array().expect("days");
    let closed = days
        .iter()
        .rev()
        .skip(1)
        .find(|day| day[1].is_number())
        .expect("a day that was closed");
    let then = page.json(&format!("/api/view?as_of={}", closed[0].as_str().expect("a date")));
    assert_eq!(tile(&then, "no_holder")["value"], closed[1], "{}", closed[0]);
}

#[test]
fn check_tells_what_is_wrong_with_the_layout_and_where() {
    let folder = TempDir::with_prefix("casewatch-board-test-").expect("a folder");
    let queries = folder.path().join("queries");
    casewatch_tests::copy_folder(&root().join("queries"), &queries);
    let check = |queries: &Path| run(&["check", "--queries", &queries.display().to_string()]);
    let path = queries.join("board.toml");
    let text = std::fs::read_to_string(&path).expect("the layout can be read");
    let wrong = text.replacen("casewatch_visits_late", "casewatch_visits_lat", 1);
    let wrong = wrong.replacen(
        "from teams_current\nwhere is_open",
        "from teams_currant\nwhere is_open",
        1,
    );
    std::fs::write(&path, wrong).expect("the folder takes a file");
    let output = check(&queries);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no metric is called \"casewatch_visits_lat\""), "{said}");
    assert!(said.contains("did you mean \"casewatch_visits_late\"?"), "{said}");
    assert!(said.contains("teams_currant"), "{said}");
    std::fs::write(&path, text).expect("the folder takes a file");
    let output = check(&queries);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
