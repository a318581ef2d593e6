//! What every request meets first: headers that keep the page to itself, and the check that a change is asked for by the
//! page and by no other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};

use crate::http::App;

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A listener whose connections tell their [`Peer`].
pub(crate) struct Telling<L>(pub L);

impl<L: Listener<Addr = SocketAddr>> Listener for Telling<L> {
    type Io = L::Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        self.0.accept().await
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl<L: Listener<Addr = SocketAddr>> Connected<IncomingStream<'_, Telling<L>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Telling<L>>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Nothing from elsewhere is loaded, nothing inline runs, nobody frames the page, and addresses stay here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
                      connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Refuses what no page of ours asks, answers the rest, and counts it.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let page = page_of(request.uri().path());
    let mut response = match refusal(request.method().is_safe(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    if page == "api" || page.starts_with("api/") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    app.board
        .metrics()
        .answered(page, response.status().as_u16(), begun.elapsed());
    response
}

/// Why a request is refused whoever asks: browsers say where it comes from.
fn refusal(is_safe: bool, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if is_safe {
        return None;
    }
    let elsewhere = "this was not asked for by the board's own page\n";
    match text(header::ORIGIN) {
        Some(origin) => {
            let of = origin.split_once("://").map_or("", |(_, host)| host);
            (of != host).then_some(elsewhere)
        }
        // Browsers say where a request comes from in one of the two; a program says neither.
        None => match text(HeaderName::from_static("sec-fetch-site")) {
            None | Some("same-origin" | "none") => None,
            Some(_) => Some(elsewhere),
        },
    }
}

/// The name under which a request is counted: a few, whatever is asked for.
fn page_of(path: &str) -> &'static str {
    const KNOWN: [&str; 11] = [
        "/",
        "/worklist",
        "/sign-in",
        "/api/me",
        "/api/view",
        "/api/live",
        "/api/trend",
        "/api/worklist",
        "/api/chart.csv",
        "/api/sign-in",
        "/api/sign-out",
    ];
    match KNOWN.iter().find(|known| **known == path) {
        Some(&"/") => "page",
        Some(known) => known.trim_start_matches('/'),
        None if path.starts_with("/assets/") => "assets",
        None if path.starts_with("/api/") => "api",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_change_is_taken_from_the_boards_own_page_and_from_programs_and_from_no_other_page() {
        let post = |pairs: &[(&'static str, &'static str)]| refusal(false, &headers(pairs)).is_none();
        assert!(post(&[("host", "board.example"), ("origin", "https://board.example")]));
        assert!(!post(&[("host", "board.example"), ("origin", "https://other.example")]));
        assert!(!post(&[("host", "board.example"), ("origin", "null")]));
        assert!(!post(&[("host", "board.example"), ("sec-fetch-site", "cross-site")]));
        assert!(post(&[("host", "board.example"), ("sec-fetch-site", "same-origin")]));
        assert!(post(&[("host", "board.example")]), "a program that is no browser");
    }

    #[test]
    fn every_request_is_counted_under_one_of_a_few_names() {
        assert_eq!(page_of("/"), "page");
        assert_eq!(page_of("/api/view"), "api/view");
        assert_eq!(page_of("/assets/x.js"), "assets");
        assert_eq!(page_of("/api/nothing"), "api");
        assert_eq!(page_of("/../etc/passwd"), "other");
    }
}
