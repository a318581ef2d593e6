//! The HTTP interface: the exposition's pages, and `/sql` for `casewatch sql`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use axum::Router;
use axum::body::Body;
use axum::extract::{Json, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use casewatch_contract::RecordedAt;
use casewatch_metrics::Exposition;
use casewatch_query::{Answer, AsOf, AuditEntry, AuditLog, Engine, QueryError};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::connections::Limited;
use crate::failure::Failure;
use crate::sql::{AS_OF, KNOWN_AT, NOTE, NOW, SqlRequest};

#[derive(Clone)]
struct SqlState {
    /// The newest is asked for each statement.
    engines: watch::Receiver<Arc<Engine>>,
    audit: AuditLog,
    ad_hoc: Handle,
}

/// Whoever reaches `/sql` is nobody in particular: it knows no users.
const ANYBODY: &str = "(operator)";

/// Serves until `stop`; statements that still run are cut off. Without `engines`, `/sql` says why it answers none.
///
/// # Errors
/// A listener that fails.
pub async fn serve(
    listener: Limited,
    exposition: Exposition,
    engines: Option<(watch::Receiver<Arc<Engine>>, Access)>,
    ad_hoc: Handle,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut router = exposition.router();
    router = router.merge(match engines {
        Some((engines, access)) => Router::new().route("/sql", post(sql)).with_state(SqlState {
            engines,
            audit: access.audit,
            ad_hoc,
        }),
        None => Router::new().route("/sql", any(no_sql)),
    });
    tokio::select! {
        served = axum::serve(listener, router) => served.map_err(Failure::failed),
        () = stop.cancelled() => Ok(()),
    }
}

async fn no_sql() -> (StatusCode, &'static str) {
    let why = "this instance answers no SQL\nhint: it may lack the role `metrics`; or it listens where others can reach \
               it and knows no users: ask on its own machine, with http.listen on a loopback address, or set http.sql \
               behind a proxy that knows them";
    (StatusCode::FORBIDDEN, why)
}

/// Runs one statement on the ad hoc runtime and streams its batches as Arrow IPC. What there is to know of them stands
/// in the header [`NOTE`]; the moments to ask the next statement of, which SET changes, in [`AS_OF`] and [`KNOWN_AT`].
async fn sql(State(state): State<SqlState>, Json(request): Json<SqlRequest>) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, String>>(4);
    let (started, start) = tokio::sync::oneshot::channel();
    let engine = state.engines.borrow().clone();
    let permit = match state.audit.permit() {
        Ok(permit) => permit,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    state.ad_hoc.spawn(async move {
        let begun = Instant::now();
        let mut entry = AuditEntry {
            at: RecordedAt::now(),
            user: ANYBODY.to_owned(),
            role: ANYBODY.to_owned(),
            surface: "http",
            client: String::new(),
            action: request.sql.clone(),
            reason: None,
            rows: 0,
            elapsed: Duration::ZERO,
            outcome: Ok(()),
        };
        match answer(&engine, &request).await {
            Err(error) => {
                entry.outcome = Err("refused".to_owned());
                // The client has gone: nobody to tell.
                let _ = started.send(Err(error.to_string()));
            }
            Ok((mut answer, moments)) => {
                let _ = started.send(Ok((answer.note.take(), moments)));
                (entry.rows, entry.outcome) = stream(answer, sender).await;
            }
        }
        entry.elapsed = begun.elapsed();
        permit.record(entry);
    });
    match start.await {
        Ok(Ok((note, moments))) => {
            let body = Body::from_stream(body_of(receiver));
            let content_type = [(header::CONTENT_TYPE, "application/vnd.apache.arrow.stream")];
            let [as_of, known_at] = moments.map(|moment| moment.map_or_else(|| NOW.to_owned(), |at| at.to_string()));
            let moments = [(AS_OF, as_of), (KNOWN_AT, known_at)];
            (content_type, moments, note.map(|note| [(NOTE, note)]), body).into_response()
        }
        Ok(Err(message)) => (StatusCode::BAD_REQUEST, message).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the system is stopping").into_response(),
    }
}

/// The answer, and the moments that are set after it.
async fn answer(engine: &Engine, request: &SqlRequest) -> Result<(Answer, [Option<AsOf>; 2]), QueryError> {
    let moment = |text: &Option<String>| text.as_deref().map(str::parse::<AsOf>).transpose();
    let mut session = engine.session(moment(&request.as_of)?, moment(&request.known_at)?);
    if request.assume_known {
        session = session.assuming_known();
    }
    let answer = session.sql(&request.sql).await?;
    Ok((answer, session.moments()))
}

/// Encodes batches as they come. An error after the first bytes breaks the body off, which the client sees. Returns how
/// many rows went out, and what ended it.
async fn stream(
    mut answer: Answer,
    sender: tokio::sync::mpsc::Sender<Result<Bytes, String>>,
) -> (u64, Result<(), String>) {
    let failed = || Err("failed".to_owned());
    let mut rows = 0;
    let mut writer = match StreamWriter::try_new(Vec::new(), &answer.schema) {
        Ok(writer) => writer,
        Err(error) => {
            let _ = sender.send(Err(error.to_string())).await;
            return (rows, failed());
        }
    };
    // An empty answer still says which columns it has.
    let _ = writer.write(&RecordBatch::new_empty(answer.schema.clone()));
    while let Some(batch) = answer.stream.next().await {
        let count = batch.as_ref().map_or(0, RecordBatch::num_rows);
        let written = batch.map_err(|error| error.to_string()).and_then(|batch| {
            writer.write(&batch).map_err(|error| error.to_string())?;
            Ok(Bytes::from(std::mem::take(writer.get_mut())))
        });
        let is_broken = written.is_err();
        if sender.send(written).await.is_err() {
            return (rows, Err("gone".to_owned()));
        }
        if is_broken {
            return (rows, failed());
        }
        rows += count as u64;
    }
    if writer.finish().is_ok() {
        let _ = sender.send(Ok(Bytes::from(std::mem::take(writer.get_mut())))).await;
    }
    (rows, Ok(()))
}

fn body_of(
    receiver: tokio::sync::mpsc::Receiver<Result<Bytes, String>>,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        let next = receiver.recv().await?;
        Some((next.map_err(std::io::Error::other), receiver))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_contract::Contract;
    use casewatch_lake::{Lake, LakeConfig};
    use casewatch_live::Cut;
    use casewatch_query::{Clock, EngineConfig, Limits};
    use std::collections::BTreeMap;

    /// An instance that has read up to a moment, without a table.
    async fn instance(read_up_to: &str) -> SqlState {
        let queries = tempfile::tempdir().unwrap();
        let at: AsOf = read_up_to.parse().unwrap();
        let cut = Cut::of(RecordedAt(at.0.0), BTreeMap::new());
        let config = EngineConfig {
            contract: Arc::new(Contract::new(Vec::new()).unwrap()),
            lake: None,
            tail: None,
            cuts: watch::channel(Arc::new(cut)).1,
            queries: queries.path().to_owned(),
            limits: Limits::default(),
            clock: Clock::Feed,
            references: None,
        };
        let engine = Engine::new(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = url::Url::from_directory_path(folder.path()).unwrap();
        let lake = Lake::open(LakeConfig::at(url)).await.unwrap();
        let (audit, writer) = AuditLog::new(lake, engine.contract().clone());
        tokio::spawn(writer.run(std::future::pending()));
        SqlState {
            audit,
            engines: watch::channel(engine).1,
            ad_hoc: Handle::current(),
        }
    }

    /// A header of the answer to a statement.
    async fn told(state: &SqlState, statement: &str, as_of: &str, header: &str) -> Option<String> {
        let request = SqlRequest {
            sql: statement.to_owned(),
            as_of: Some(as_of.to_owned()),
            known_at: None,
            assume_known: false,
        };
        let response = sql(State(state.clone()), Json(request)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let value = response.headers().get(header)?;
        Some(value.to_str().unwrap().to_owned())
    }

    async fn note(state: &SqlState, as_of: &str) -> Option<String> {
        told(state, "select 1 as one", as_of, NOTE).await
    }

    #[tokio::test]
    async fn an_answer_tells_of_which_moments_to_ask_the_next_statement() {
        let state = instance("2018-03-10").await;
        let after = async |statement: &str, header: &str| told(&state, statement, "2018-01-31", header).await.unwrap();
        assert_eq!(after("select 1 as one", AS_OF).await, "2018-01-31");
        assert_eq!(after("set casewatch.as_of = '2018-02-28'", AS_OF).await, "2018-02-28");
        assert_eq!(after("set casewatch.as_of = now", AS_OF).await, NOW);
        let set = "set casewatch.known_at = '2018-03-01T09:30:00Z'";
        assert_eq!(after(set, KNOWN_AT).await, "2018-03-01T09:30:00Z");
        assert_eq!(after(set, AS_OF).await, "2018-01-31");
    }

    #[tokio::test]
    async fn an_answer_of_a_moment_that_has_not_been_read_says_so_in_a_header() {
        let state = instance("2018-03-10").await;
        let said = note(&state, "2031-01-01").await.unwrap();
        assert!(
            said.starts_with("as_of 2031-01-01 is later than what has been read (up to 2018-03-10T"),
            "{said}"
        );
        assert_eq!(note(&state, "2018-03-10").await, None);
    }
}
