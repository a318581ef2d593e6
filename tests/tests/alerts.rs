//! From an event to a telephone: the scenario runs at full speed, a real Prometheus judges what casewatch exports by the
//! deployed rules, and real Alertmanagers, one in working hours, one at night and one at 08:30, tell a receiver of the
//! test's own. Then the broker dies, comes back, and casewatch dies.
//!
//! Minutes become seconds: rules are evaluated each second and nothing has to hold before it fires (see
//! tests/servers/prometheus), and in a copy of the queries a stream's silence pages at once rather than after an hour, and tiers stand higher, so that
//! two months of the scenario are a recovery.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use casewatch_tests::casewatch::{free_port, run};
use casewatch_tests::kafka::Heartbeats;
use casewatch_tests::{
    Alertmanager, Casewatch, Config, Feed, Kafka, Prometheus, Time, Told, alone, copy_folder, http, root, until,
};

const PREFIX: &str = "casewatch.public.";
const HEARTBEATS: &str = "__debezium-heartbeat.casewatch";
const AUTHORITY: &str = "E10000021";
const PATIENCE: Duration = Duration::from_secs(180);
/// The stream's `silent_after`, and how much longer its alert may take: a heartbeat, a scrape, an evaluation and a group.
const SILENT_AFTER: Duration = Duration::from_secs(12);
const UNTIL_TOLD: Duration = Duration::from_secs(15);

fn replay(kafka: &Kafka, from: Option<&str>, until: &str) {
    let mut arguments = vec!["simulate", "--brokers", kafka.brokers()];
    arguments.extend(["--topic-prefix", PREFIX, "--until", until]);
    arguments.extend(from.iter().flat_map(|day| ["--from", day]));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The queries in a test's time.
fn hasty_queries(folder: &Path) -> PathBuf {
    let queries = folder.join("queries");
    copy_folder(&root().join("queries"), &queries);
    for (file, from, to) in [
        (
            "parameters.toml",
            "stream_silence_page_hours = 1 ",
            "stream_silence_page_hours = 0.0005 ",
        ),
        ("thresholds.toml", "\"warn\", over = 80 }", "\"warn\", over = 450 }"),
        ("thresholds.toml", "\"page\", over = 200 }", "\"page\", over = 480 }"),
        ("thresholds.toml", "\"page\", over = 380 }", "\"page\", over = 500 }"),
    ] {
        let path = queries.join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the queries can be read");
        assert_eq!(text.matches(from).count(), 1, "{from}");
        std::fs::write(&path, text.replace(from, to)).expect("a temporary folder takes files");
    }
    queries
}

/// Waits until one of `manager` has told what `wanted` accepts.
fn told(what: &str, manager: &Alertmanager, limit: Duration, wanted: impl Fn(&Told) -> bool) -> Told {
    until(what, limit, || {
        let all = manager.told();
        let found = all.iter().find(|told| wanted(told)).cloned();
        found.ok_or_else(|| {
            let list: Vec<_> = all
                .iter()
                .map(|told| {
                    format!(
                        "{} {} {} {}",
                        told.receiver,
                        told.status,
                        told.label("alertname"),
                        told.label("severity")
                    )
                })
                .collect();
            list.join("\n")
        })
    })
}

/// What fires and is judged by a number: each alert's labels as text.
fn firing(prometheus: &Prometheus) -> BTreeSet<String> {
    let found = prometheus.query("ALERTS{alertstate=\"firing\", metric!=\"\", alertname!=\"FeedMutes\"}");
    found.into_iter().map(|(labels, _)| labels.to_string()).collect()
}

/// The same once it has not changed for six seconds: twice as long as what has ended goes on firing.
fn settled(prometheus: &Prometheus) -> BTreeSet<String> {
    let (mut last, mut since) = (firing(prometheus), Instant::now());
    until("what fires to settle", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let now = firing(prometheus);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(6) {
            Ok(())
        } else {
            Err(format!("{last:?}"))
        }
    });
    last
}

/// Messages about alerts that are judged by a number.
fn about_numbers(managers: &[&Alertmanager]) -> usize {
    let all = managers.iter().flat_map(|manager| manager.told());
    all.filter(|told| !told.label("metric").is_empty()).count()
}

/// For eight seconds, in which every rule is judged eight times.
fn nothing_is_said_or_resolved(prometheus: &Prometheus, managers: &[&Alertmanager], before: &BTreeSet<String>) {
    let (said, began) = (about_numbers(managers), Instant::now());
    while began.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(Duration::from_millis(500));
        let resolved: Vec<_> = before.difference(&firing(prometheus)).cloned().collect();
        assert_eq!(resolved, Vec::<String>::new(), "resolved by silence");
    }
    assert_eq!(about_numbers(managers), said, "nothing more is said about any number");
}

/// Each statement of the runbooks runs as it stands: whoever is called at night copies them.
fn statements_of_runbooks_run(casewatch: &Casewatch) {
    let sql = casewatch.sql();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("deploy/runbooks")).expect("the runbooks are there") {
        let path = entry.expect("a folder can be listed").path();
        let page = std::fs::read_to_string(&path).expect("a runbook is text");
        for block in page.split("```sql\n").skip(1) {
            let statement = block.split("```").next().unwrap_or_default();
            if let Err(error) = sql.try_rows(statement) {
                panic!("{}: {statement}\n{error}", path.display());
            }
            count += 1;
        }
    }
    assert!(count >= 10, "{count} statements");
}

/// Whoever is told opens the link: each leads to a page of the board that is about what the alert is about.
fn links_lead_to_what_the_alert_is_about(managers: &[&Alertmanager]) {
    let told = managers.iter().flat_map(|manager| manager.told());
    let with_link = told.filter(|told| told.label("alertname") != "FeedMutes");
    let links: BTreeSet<(String, [String; 3])> = with_link
        .map(|told| {
            let subject = ["authority", "service", "team"].map(|level| told.label(level).to_owned());
            (told.annotation("board_url").to_owned(), subject)
        })
        .collect();
    assert!(links.iter().any(|(_, [_, _, team])| !team.is_empty()), "{links:?}");
    for (link, [authority, service, team]) in &links {
        let page = http::get(link).unwrap_or_else(|error| panic!("{link}: {error}"));
        assert!(
            page.status == 200 && page.content_type.starts_with("text/html"),
            "{link}"
        );
        let (board, asked) = link.split_once("/?").unwrap_or((link.trim_end_matches('/'), ""));
        let view = http::get(&format!("{board}/api/view?{asked}")).expect("the board answers");
        assert_eq!(view.status, 200, "{link}: {}", view.body);
        let subject = &view.json()["subject"];
        let shown = [&subject["authority"]["id"], &subject["service"], &subject["team"]["id"]];
        for (wanted, shown) in [authority, service, team].into_iter().zip(shown) {
            assert!(wanted.is_empty() || shown == wanted, "{link} shows {subject}");
        }
    }
}

#[test]
fn a_page_arrives_and_resolves_and_a_dead_broker_is_told_mutes_the_rest_and_resolves_none_of_it() {
    let _alone = alone();
    let mut kafka = Kafka::start();
    kafka.create_topics(&[HEARTBEATS], 1, &[]);
    let heartbeats = Heartbeats::start(&kafka, HEARTBEATS);
    replay(&kafka, None, "2018-01-31");
    let feed = Feed {
        silent_after: "12s",
        ..Feed::new("casewatch", PREFIX, &[])
    };
    assert_eq!(format!("{}s", SILENT_AFTER.as_secs()), feed.silent_after);
    let mut config = Config::new(kafka.brokers(), vec![feed]);
    config.clock = "wall";
    config.limits = "query_deadline = \"120s\"".to_owned();
    config.queries = hasty_queries(config.folder.path());
    let board = format!("127.0.0.1:{}", free_port());
    config.more = format!("\n[board]\nlisten = \"{board}\"\n");
    let mut casewatch = Casewatch::spawn(&config, &[]);
    casewatch.wait_until_ready();
    let [day, night, morning] = [Time::WorkingHours, Time::Night, Time::Digest].map(Alertmanager::start);
    let managers = [&day, &night, &morning];
    let addresses = managers.map(Alertmanager::address);
    let prometheus = Prometheus::with_deployed_rules(&casewatch.address(), &board, &addresses);

    // 551 cases without a holder, above the authority's highest tier.
    let page = told("the page", &day, PATIENCE, |told| {
        told.is("pager", "CasesWithoutHolder", "firing", &[("tier", "page_twice")])
    });
    for (label, value) in [
        ("authority", AUTHORITY),
        ("severity", "page"),
        ("metric", "casewatch_cases_no_holder"),
        ("casewatch_board", ""),
    ] {
        assert_eq!(page.label(label), value, "{page:?}");
    }
    assert_eq!(page.annotation("value"), "551", "the published number");
    assert!(page.annotation("summary").contains("551 open cases"), "{page:?}");
    assert!(
        page.annotation("teams").contains(' '),
        "the teams that have most: {page:?}"
    );
    assert_eq!(
        page.annotation("board_url"),
        format!("http://{board}/?authority={AUTHORITY}")
    );
    assert!(
        page.annotation("runbook_url")
            .ends_with("/runbooks/CasesWithoutHolder.md")
    );
    let team = told("a team's own alert", &day, PATIENCE, |told| {
        told.is("team", "OldestWait", "firing", &[("severity", "page")])
    });
    assert!(
        !team.label("team").is_empty() && !team.label("service").is_empty(),
        "{team:?}"
    );
    told("the digest", &morning, PATIENCE, |told| {
        told.is("digest", "CasesWithoutHolder", "firing", &[("tier", "page_twice")])
    });
    links_lead_to_what_the_alert_is_about(&managers);
    let to_the_pager = |manager: &Alertmanager| -> Vec<Told> {
        let all = manager.told().into_iter();
        all.filter(|told| told.receiver == "pager").collect()
    };
    assert!(to_the_pager(&day).iter().all(|told| told.label("severity") == "page"));
    assert_eq!(to_the_pager(&night), [], "numbers wait for the morning");

    // Two months later fewer: above the warning alone.
    let began = Instant::now();
    replay(&kafka, Some("2018-02-01"), "2018-03-28");
    until("473 cases without a holder", PATIENCE, || {
        match casewatch.metrics().sum("casewatch_cases_no_holder", &[]) {
            Some(473.0) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    told("the page to resolve", &day, PATIENCE, |told| {
        told.is("pager", "CasesWithoutHolder", "resolved", &[("tier", "page_twice")])
    });
    told("the warning in the digest", &morning, PATIENCE, |told| {
        told.is("digest", "CasesWithoutHolder", "firing", &[("severity", "warn")])
    });
    println!("replayed, resolved and told in {:.1} s", began.elapsed().as_secs_f64());

    // The broker dies, and the source with it.
    let before = settled(&prometheus);
    drop(heartbeats);
    assert!(before.len() > 3, "{before:?}");
    kafka.kill();
    let died = Instant::now();
    let limit = SILENT_AFTER + UNTIL_TOLD;
    for (manager, hour) in [(&day, "by day"), (&night, "at night")] {
        told(&format!("the dead feed's page {hour}"), manager, limit, |told| {
            told.is(
                "pager",
                "FeedSilent",
                "firing",
                &[("source", "casewatch"), ("severity", "page")],
            )
        });
    }
    println!(
        "feed silent: told {:.1} s after the broker died",
        died.elapsed().as_secs_f64()
    );
    until("Alertmanager to mute what depends on the feed", PATIENCE, || {
        let alerts = managers.iter().flat_map(|manager| manager.alerts());
        let judged = alerts.filter(|alert| alert["labels"]["metric"].is_string());
        let heard: Vec<_> = judged
            .filter(|alert| alert["labels"]["alertname"] != "FeedMutes" && alert["status"]["state"] != "suppressed")
            .collect();
        if heard.is_empty() {
            Ok(())
        } else {
            Err(format!("{heard:?}"))
        }
    });
    nothing_is_said_or_resolved(&prometheus, &managers, &before);

    // Whoever is called now can still ask.
    statements_of_runbooks_run(&casewatch);

    // It comes back: the feed's page resolves, and what fired still does.
    kafka.start_again();
    let _heartbeats = Heartbeats::start(&kafka, HEARTBEATS);
    for manager in [&day, &night] {
        told("the dead feed's page to resolve", manager, PATIENCE, |told| {
            told.is("pager", "FeedSilent", "resolved", &[("source", "casewatch")])
        });
    }
    let back = settled(&prometheus);
    let warned = back.iter().any(|labels| labels.contains("\"CasesWithoutHolder\""));
    assert!(warned, "{back:?}");

    // Without casewatch there is no number left, and what fires is held all the same.
    casewatch.kill();
    for manager in [&day, &night] {
        told("that nobody sees anything", manager, UNTIL_TOLD, |told| {
            told.is("pager", "CasewatchBlind", "firing", &[("severity", "page")])
        });
    }
    assert_eq!(
        prometheus.query("casewatch_cases_no_holder"),
        [],
        "the numbers are gone"
    );
    nothing_is_said_or_resolved(&prometheus, &managers, &back);
}
