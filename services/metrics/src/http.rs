//! The exporter's pages: `/metrics`, `/healthz`, `/readyz`, `/-/status`. Each reads what was published and encodes it;
//! none can start a query, for nothing here holds a way to one.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use prometheus::Registry;
use serde::Serialize;

use crate::encode::Format;
use crate::instance::{Instance, InstanceStatus};
use crate::publish::{Readiness, SampleCollector, SampleStore, Status};

/// What the pages are made from.
#[derive(Clone)]
pub struct Exposition {
    registry: Registry,
    store: Arc<SampleStore>,
    readiness: Arc<Readiness>,
    instance: Option<Arc<Instance>>,
}

/// The page `/-/status`.
#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    status: Status,
    #[serde(flatten)]
    instance: Option<InstanceStatus>,
}

impl Exposition {
    /// Registers the samples of `store` beside the process's own metrics in `registry`.
    pub fn new(
        registry: Registry,
        store: Arc<SampleStore>,
        readiness: Arc<Readiness>,
    ) -> Result<Self, prometheus::Error> {
        registry.register(Box::new(SampleCollector(Arc::clone(&store))))?;
        Ok(Self {
            registry,
            store,
            readiness,
            instance: None,
        })
    }

    /// With what `/-/status` says of the instance and its pipeline.
    pub fn of_instance(self, instance: Instance) -> Self {
        Self {
            instance: Some(Arc::new(instance)),
            ..self
        }
    }

    pub fn encode(&self, format: Format) -> String {
        format.encode(&self.registry.gather())
    }

    /// The published status, with the reasons of other parts of the process.
    pub fn status(&self) -> Status {
        let mut status = self.store.current().status.clone();
        status.reasons.extend(self.readiness.reasons());
        status.ready = status.reasons.is_empty();
        status
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(|| async { PAGES }))
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/-/status", get(status))
            .with_state(self)
    }
}

/// What there is, for whoever opens the address without a path.
const PAGES: &str = "casewatch: for Prometheus and for whoever runs it\n\n\
    /metrics    every number and how casewatch itself does, as Prometheus text or OpenMetrics\n\
    /readyz     whether the numbers are up to date, and what they wait for\n\
    /healthz    whether the process answers\n\
    /-/status   queries, feeds and tables as JSON: casewatch status shows it\n\n\
    The board for people has an address of its own: board.listen in the configuration.\n";

async fn metrics(State(exposition): State<Exposition>, headers: HeaderMap) -> Response {
    let accepts: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = Format::negotiate(&accepts.join(","));
    (
        [(header::CONTENT_TYPE, format.content_type())],
        exposition.encode(format),
    )
        .into_response()
}

async fn readyz(State(exposition): State<Exposition>) -> Response {
    let status = exposition.status();
    if status.ready {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, status.reasons.join("\n") + "\n").into_response()
}

async fn status(State(exposition): State<Exposition>) -> Json<Page> {
    let instance = exposition.instance.as_ref();
    Json(Page {
        status: exposition.status(),
        instance: instance.map(|instance| instance.status(&exposition.registry.gather())),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use casewatch_contract::RecordedAt;

    use super::*;
    use crate::own::OwnMetrics;
    use std::time::{Duration, Instant};

    use crate::publish::{Published, QueryState, QueryStatus, Shown, SourceStatus};
    use crate::samples::tests::set;

    fn published() -> Published {
        published_for(Duration::from_secs(300))
    }

    fn published_for(lifetime: Duration) -> Published {
        let set = Arc::new(set(&["allocated", "no \"holder\"\\\n"], &[Some(5.0), Some(0.5)]).unwrap());
        let query = QueryStatus {
            name: "casewatch_cases_open".to_owned(),
            state: QueryState::Ok,
            series: 2,
            last_success: Some(1_540_000_000.0),
            seconds: Some(0.01),
            as_of: Some(RecordedAt(1_540_000_000_000_000)),
            error: None,
            degraded: vec!["posts".to_owned()],
            sources: vec!["mosaic".to_owned()],
        };
        let status = Status {
            ready: true,
            catalogue: "0123456789abcdef".to_owned(),
            version: "0.1.0".to_owned(),
            cut: Some(RecordedAt(1_540_000_000_000_000)),
            as_of: Some(RecordedAt(1_540_000_000_000_000)),
            sources: vec![SourceStatus {
                name: "mosaic".to_owned(),
                heard_at: RecordedAt(1_540_000_000_000_000),
                silent_after: Some(900.0),
            }],
            queries: vec![query],
            ..Status::default()
        };
        let expires_at = Instant::now() + lifetime;
        Published::new(status, vec![Shown { set, expires_at }])
    }

    fn exposition() -> (Exposition, Arc<SampleStore>, Arc<Readiness>) {
        let registry = Registry::new();
        let own = OwnMetrics::register(&registry).unwrap();
        own.observe_query("casewatch_cases_open", 0.012);
        own.observe_freshness(0.2);
        let (store, readiness) = (SampleStore::new("0.1.0"), Arc::new(Readiness::default()));
        (
            Exposition::new(registry, Arc::clone(&store), Arc::clone(&readiness)).unwrap(),
            store,
            readiness,
        )
    }

    async fn serve(exposition: Exposition) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, exposition.router()).await.unwrap() });
        format!("http://{address}")
    }

    #[test]
    fn promtool_finds_nothing_to_say_about_the_text_format() {
        let (exposition, store, _) = exposition();
        store.publish(published());
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool must be installed: it is in Debian's package \"prometheus\"");
        let text = exposition.encode(Format::Text);
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "promtool said: {said}\nof:\n{text}"
        );
    }

    #[test]
    fn a_value_that_goes_vanishes_from_the_next_scrape() {
        let (exposition, store, _) = exposition();
        store.publish(published());
        assert!(exposition.encode(Format::Text).contains("state=\"allocated\"} 5\n"));
        store.publish(Published::new(Status::default(), Vec::new()));
        assert!(!exposition.encode(Format::Text).contains("casewatch_cases_open{"));
    }

    #[test]
    fn numbers_whose_time_is_over_vanish_even_when_nothing_new_is_published() {
        let (exposition, store, _) = exposition();
        store.publish(published_for(Duration::ZERO));
        let text = exposition.encode(Format::Text);
        assert!(!text.contains("casewatch_cases_open{") && text.contains("casewatch_cut_timestamp_seconds"));
    }

    #[test]
    fn own_metrics_say_state_series_degraded_tables_cut_and_catalogue() {
        let (exposition, store, _) = exposition();
        store.publish(published());
        let text = exposition.encode(Format::Text);
        for line in [
            "casewatch_query_state{query=\"casewatch_cases_open\",state=\"ok\"} 1",
            "casewatch_query_state{query=\"casewatch_cases_open\",state=\"failed\"} 0",
            "casewatch_query_series{query=\"casewatch_cases_open\"} 2",
            "casewatch_query_last_success_timestamp_seconds{query=\"casewatch_cases_open\"} 1540000000",
            "casewatch_query_degraded{query=\"casewatch_cases_open\",table=\"posts\"} 1",
            "casewatch_query_source{query=\"casewatch_cases_open\",source=\"mosaic\"} 1",
            "casewatch_source_heard_timestamp_seconds{source=\"mosaic\"} 1540000000",
            "casewatch_source_silent_after_seconds{source=\"mosaic\"} 900",
            "casewatch_cut_timestamp_seconds 1540000000",
            "casewatch_as_of_timestamp_seconds 1540000000",
            "casewatch_catching_up 0",
            "casewatch_build_info{version=\"0.1.0\"} 1",
            "casewatch_catalogue_info{hash=\"0123456789abcdef\"} 1",
            "casewatch_query_seconds_count{query=\"casewatch_cases_open\"} 1",
            "casewatch_freshness_seconds_bucket{le=\"0.25\"} 1",
        ] {
            assert!(text.contains(&format!("{line}\n")), "no line {line} in\n{text}");
        }
    }

    #[tokio::test]
    async fn every_page_that_the_first_one_lists_is_there() {
        let (exposition, ..) = exposition();
        let address = serve(exposition).await;
        let list = reqwest::get(&address).await.unwrap().text().await.unwrap();
        let pages: Vec<&str> = list.split_whitespace().filter(|word| word.starts_with('/')).collect();
        assert_eq!(pages.len(), 4, "{list}");
        for page in pages {
            let answer = reqwest::get(format!("{address}{page}")).await.unwrap();
            assert_ne!(answer.status(), 404, "{page}");
        }
    }

    #[tokio::test]
    async fn before_the_first_pass_the_exporter_is_healthy_and_not_ready() {
        let (exposition, _, _) = exposition();
        let address = serve(exposition).await;
        assert_eq!(reqwest::get(format!("{address}/healthz")).await.unwrap().status(), 200);
        let ready = reqwest::get(format!("{address}/readyz")).await.unwrap();
        assert_eq!(ready.status(), 503);
        assert_eq!(
            ready.text().await.unwrap(),
            "no pass over the queries has finished yet\n"
        );
        let text = reqwest::get(format!("{address}/metrics"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains("casewatch_catching_up 1\n"));
    }

    #[tokio::test]
    async fn ready_once_published_unless_another_part_has_a_reason() {
        let (exposition, store, readiness) = exposition();
        store.publish(published());
        let address = serve(exposition).await;
        assert_eq!(reqwest::get(format!("{address}/readyz")).await.unwrap().status(), 200);
        readiness.set("lake", Some("the disk is full".to_owned()));
        let ready = reqwest::get(format!("{address}/readyz")).await.unwrap();
        assert_eq!(
            (ready.status().as_u16(), ready.text().await.unwrap()),
            (503, "lake: the disk is full\n".to_owned())
        );
        readiness.set("lake", None);
        assert_eq!(reqwest::get(format!("{address}/readyz")).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn the_scraper_chooses_the_format_and_the_status_is_json() {
        let (exposition, store, _) = exposition();
        store.publish(published());
        let address = serve(exposition).await;
        let client = reqwest::Client::new();
        let request = client
            .get(format!("{address}/metrics"))
            .header("accept", "application/openmetrics-text");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], Format::OpenMetrics.content_type());
        assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
        let plain = client.get(format!("{address}/metrics")).send().await.unwrap();
        assert_eq!(plain.headers()["content-type"], Format::Text.content_type());
        let status = client
            .get(format!("{address}/-/status"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["queries"][0]["state"], "ok");
        assert_eq!(status["catalogue"], "0123456789abcdef");
    }

    /// The invariant in lib.rs: a scrape never runs SQL. What answers a scrape does not even import the engine.
    #[test]
    fn a_scrape_has_no_way_to_a_query() {
        let sources = [
            include_str!("http.rs"),
            include_str!("encode.rs"),
            include_str!("publish.rs"),
            include_str!("samples.rs"),
        ];
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap();
            for forbidden in [
                "casewatch_query::",
                "casewatch_live::",
                "casewatch_lake::",
                "datafusion::",
            ] {
                assert!(!code.contains(forbidden), "{forbidden} in the way of a scrape");
            }
        }
    }
}
