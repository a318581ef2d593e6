//! The board's addresses.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use casewatch_query::{AsOf, AuditLog};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::assets;
use crate::board::{Board, BoardError};
use crate::door::{Peer, Telling, guard};
use crate::live::follow;
use crate::people::{People, Refused, SessionState, Viewer};
use crate::rows::{RowsError, sees_rows, worklist};
use crate::subject::{Asked, Subject, SubjectError};
use crate::table::csv_of;

/// What the pages are made from.
pub struct App {
    pub board: Arc<Board>,
    pub people: People,
    /// Where views of rows are told; without it no rows are shown.
    pub audit: Option<AuditLog>,
    /// Places for pages that follow.
    pub followers: Arc<Semaphore>,
    /// Whether browsers keep the session to encrypted connections whatever a proxy says.
    pub secure: bool,
}

/// An error as the page reads it.
#[derive(Debug, Serialize)]
pub struct Told {
    error: String,
}

impl Told {
    pub fn new(error: impl ToString) -> Self {
        Self {
            error: error.to_string(),
        }
    }
}

/// Serves until `stop`; pages that follow are cut off, and come back by themselves.
///
/// # Errors
/// A listener that fails.
pub async fn serve<L>(listener: L, app: Arc<App>, stop: CancellationToken) -> std::io::Result<()>
where
    L: Listener<Addr = std::net::SocketAddr>,
{
    let board = Arc::clone(&app.board);
    let service = router(app).into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        served = axum::serve(Telling(listener), service) => served,
        () = board.keep() => Ok(()),
        () = stop.cancelled() => Ok(()),
    }
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/worklist", get(assets::page))
        .route("/sign-in", get(assets::page))
        .route("/api/me", get(me))
        .route("/api/view", get(view))
        .route("/api/live", get(live))
        .route("/api/trend", get(trend))
        .route("/api/chart.csv", get(chart))
        .route("/api/worklist", get(rows))
        .route("/api/sign-in", post(sign_in))
        .route("/api/sign-out", post(sign_out))
        .route("/{*path}", get(file))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    assets::file(&path, &headers)
}

/// Whoever asks; a request of nobody who may is refused before anything else of it is looked at.
impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let ConnectInfo(Peer(peer)) = ConnectInfo::from_request_parts(parts, app)
            .await
            .map_err(IntoResponse::into_response)?;
        let viewer = app.people.viewer(&parts.headers, peer.ip());
        viewer.map_err(|refused| refused_response(&refused))
    }
}

fn refused_response(refused: &Refused) -> Response {
    let status = match refused {
        Refused::SignIn | Refused::Wrong => StatusCode::UNAUTHORIZED,
        Refused::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Refused::NoGrant(_) | Refused::NoUsers => StatusCode::FORBIDDEN,
    };
    let told = Json(Told::new(refused));
    match refused {
        Refused::Wait(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())], told).into_response(),
        _ => (status, told).into_response(),
    }
}

/// Why there is no view, to the page.
pub(crate) fn refuse(error: &BoardError) -> Response {
    let status = match error {
        BoardError::Wrong(_) => StatusCode::BAD_REQUEST,
        BoardError::Subject(SubjectError::Forbidden { .. }) => StatusCode::FORBIDDEN,
        BoardError::Subject(SubjectError::Unknown { .. }) | BoardError::NoTile(_) => StatusCode::NOT_FOUND,
    };
    (status, Json(Told::new(error))).into_response()
}

#[derive(Serialize)]
struct Me {
    user: String,
    role: String,
    rows: bool,
    sign_in: bool,
    sign_out: bool,
}

async fn me(State(app): State<Arc<App>>, viewer: Viewer) -> Json<Me> {
    let rows = app.audit.is_some() && sees_rows(&viewer, app.board.layout().worklist.as_ref());
    Json(Me {
        user: viewer.name,
        role: viewer.role,
        rows,
        sign_in: viewer.session == SessionState::SignedOut,
        sign_out: viewer.session == SessionState::SignedIn,
    })
}

async fn view(State(app): State<Arc<App>>, viewer: Viewer, Query(asked): Query<Asked>) -> Response {
    match app.board.view(&asked.cleaned(), &viewer.scope).await {
        Ok(view) => Json(view).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn live(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let asked = Asked {
        as_of: None,
        known_at: None,
        ..asked.cleaned()
    };
    let asking = Arc::clone(&app);
    follow(app, asked, viewer, move || {
        asking.people.viewer(&headers, peer.0.ip()).ok()
    })
}

#[derive(Deserialize)]
struct OfTile {
    tile: String,
    #[serde(flatten)]
    asked: Asked,
}

async fn trend(State(app): State<Arc<App>>, viewer: Viewer, Query(of): Query<OfTile>) -> Response {
    match app.board.trend(&of.tile, &of.asked.cleaned(), &viewer.scope).await {
        Ok(trend) => Json(trend).into_response(),
        Err(error) => refuse(&error),
    }
}

async fn chart(State(app): State<Arc<App>>, viewer: Viewer, Query(of): Query<OfTile>) -> Response {
    let (id, asked) = (of.tile, of.asked.cleaned());
    let view = match app.board.view(&asked, &viewer.scope).await {
        Ok(view) => view,
        Err(error) => return refuse(&error),
    };
    let mut tiles = view.sections.iter().flat_map(|section| &section.tiles);
    let Some(tile) = tiles.find(|tile| tile.id == id) else {
        return refuse(&BoardError::NoTile(id));
    };
    let trend = match tile.has_trend {
        true => app.board.trend(&id, &asked, &viewer.scope).await.ok(),
        false => None,
    };
    let as_of = view.moment.as_of.as_str();
    match csv_of(tile, as_of, trend.as_ref()) {
        Ok(bytes) => {
            // Ids of tiles are checked to be words before; a date has no quote.
            let day = as_of.get(..10).unwrap_or("today");
            let name = format!("attachment; filename=\"casewatch-{}-{day}.csv\"", tile.id);
            let kind = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            (kind, bytes).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Json(Told::new(error))).into_response(),
    }
}

#[derive(Deserialize)]
struct OfTeam {
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    as_of: Option<String>,
}

async fn rows(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Query(of): Query<OfTeam>,
) -> Response {
    let told = |status: StatusCode, error: &dyn ToString| (status, Json(Told::new(error.to_string()))).into_response();
    if viewer.grant.is_none() {
        return told(StatusCode::FORBIDDEN, &RowsError::NoUsers);
    }
    let as_of = of
        .as_of
        .filter(|text| !text.is_empty())
        .map(|text| text.parse::<AsOf>())
        .transpose();
    let as_of = match as_of {
        Ok(as_of) => as_of,
        Err(error) => return told(StatusCode::BAD_REQUEST, &error),
    };
    let asked = Asked {
        team: of.team,
        ..Asked::default()
    };
    let subject = match Subject::resolve(&asked.cleaned(), &viewer.scope, &app.board.names()) {
        Ok(subject) => subject,
        Err(error) => return refuse(&error.into()),
    };
    let Some(team) = subject.team else {
        return told(StatusCode::BAD_REQUEST, &"name a team: /api/worklist?team=...");
    };
    let client = client_of(&app, &headers, peer);
    match worklist(&app.board, app.audit.as_ref(), &viewer, client, &team, as_of).await {
        Ok(rows) => Json(rows).into_response(),
        Err(error) => {
            let status = match error {
                RowsError::NoUsers | RowsError::Role(_) => StatusCode::FORBIDDEN,
                RowsError::NoList => StatusCode::NOT_FOUND,
                RowsError::Audit(_) => StatusCode::SERVICE_UNAVAILABLE,
                RowsError::Failed(_) => StatusCode::BAD_GATEWAY,
            };
            told(status, &error)
        }
    }
}

/// The address behind a proxy that is trusted, as it tells it; else the peer's.
fn client_of(app: &App, headers: &HeaderMap, Peer(peer): Peer) -> IpAddr {
    let forwarded = headers
        .get("x-forwarded-for")
        .filter(|_| app.people.is_trusted(peer.ip()));
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(peer.ip())
}

/// Whether the browser's own connection is encrypted, as far as we can know.
fn is_encrypted(app: &App, headers: &HeaderMap, peer: Peer) -> bool {
    let told = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    app.secure || app.people.is_trusted(peer.0.ip()) && told == Some("https")
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
}

async fn sign_in(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Response {
    let given = match body {
        Ok(Json(given)) => given,
        Err(rejection) => {
            return (rejection.status(), Json(Told::new("expected a name and a password"))).into_response();
        }
    };
    let client = client_of(&app, &headers, peer);
    let begun = app.people.sign_in(&given.user, &given.password, client).await;
    let outcome = match &begun {
        Ok(_) => "ok",
        Err(Refused::Wait(_)) => "throttled",
        Err(_) => "refused",
    };
    app.board.metrics().signed_in(outcome);
    match begun {
        Ok(token) => {
            let cookie = app.people.cookie(&token, is_encrypted(&app, &headers, peer));
            (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
        }
        Err(refused) => {
            tracing::info!(%client, outcome, "a sign-in to the board was refused");
            refused_response(&refused)
        }
    }
}

async fn sign_out(State(app): State<Arc<App>>, ConnectInfo(peer): ConnectInfo<Peer>, headers: HeaderMap) -> Response {
    app.people.sign_out(&headers);
    let cookie = People::no_cookie(is_encrypted(&app, &headers, peer));
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
