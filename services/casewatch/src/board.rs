//! The board's role: its own listener, so that the page can be opened to people where metrics and SQL are not.

use std::future::Future;
use std::sync::Arc;

use casewatch_board::{Accounts, App, Board, BoardParts, Layout, OwnMetrics, People, Trust};
use casewatch_metrics::{Checked, SampleStore};
use casewatch_query::Clock;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::config::Config;
use crate::connections::Limited;
use crate::failure::Failure;
use crate::opened::Opened;

/// What the board needs of the rest.
pub struct Parts {
    pub listener: TcpListener,
    pub access: Access,
    pub catalogues: watch::Receiver<Checked>,
    pub store: Arc<SampleStore>,
    pub clock: Clock,
    pub ad_hoc: Handle,
}

/// # Errors
/// An address that is taken, or that others could reach while there are no users.
pub async fn bind(config: &Config) -> Result<TcpListener, Failure> {
    let listen = config.board.listen;
    if !listen.ip().is_loopback() && config.access.users.is_none() {
        return Err(Failure::usage(format!(
            "board.listen: {listen} can be reached by others, and no users are configured\n\
             hint: set [access] users, or listen on 127.0.0.1"
        )));
    }
    TcpListener::bind(listen).await.map_err(|error| {
        Failure::usage(format!(
            "board.listen: {listen} cannot be used: {error}\nhint: choose another address or port, or leave the role \
             out with --only"
        ))
    })
}

/// Serves the page until `stop`.
///
/// # Errors
/// A layout that does not check.
pub async fn serve(
    opened: &Arc<Opened>,
    parts: Parts,
    registry: &Registry,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), Failure>> + use<>, Failure> {
    let config = &opened.config.board;
    let checked = parts.catalogues.borrow().clone();
    let layout = Layout::load(&opened.config.queries, &checked)
        .await
        .map_err(Failure::usage)?;
    let accounts = opened.config.access.users.is_some().then(|| Accounts {
        users: parts.access.users.clone(),
        catalogues: parts.catalogues.clone(),
    });
    let board = Board::new(BoardParts {
        queries: opened.config.queries.clone(),
        layout,
        catalogues: parts.catalogues,
        store: parts.store,
        clock: parts.clock,
        ad_hoc: parts.ad_hoc,
        query_deadline: opened.config.limits.metric_deadline,
        metrics: OwnMetrics::register(registry).map_err(Failure::failed)?,
    });
    let trust = Trust {
        proxies: config.trusted_proxy.clone(),
        user_header: config.user_header.parse().map_err(Failure::usage)?,
        idle: config.session_idle,
        longest: config.session_longest,
        local_viewer: config.local_viewer,
    };
    let app = Arc::new(App {
        board,
        people: People::new(accounts, trust),
        audit: Some(parts.access.audit),
        followers: Arc::new(Semaphore::new(config.followers)),
        secure: !config.listen.ip().is_loopback(),
    });
    let address = parts.listener.local_addr().map_err(Failure::failed)?;
    tracing::info!(%address, "serving the board");
    let limits = &opened.config.limits;
    let longest_answer = limits.query_deadline.max(limits.metric_deadline);
    let listener = Limited::new(parts.listener, config.connections, longest_answer);
    Ok(async move {
        casewatch_board::serve(listener, app, stop)
            .await
            .map_err(Failure::failed)
    })
}
