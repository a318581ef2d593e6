//! The page's files, built by `web/` and kept in the program, so that it needs no other server and no internet.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};

static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dist");

/// The page itself: never kept by a browser without asking, since it names the files of one build.
pub async fn page() -> Response {
    match DIST.get_file("index.html") {
        Some(file) => (
            [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            file.contents(),
        )
            .into_response(),
        None => (StatusCode::NOT_FOUND, "the page was not built into this program\n").into_response(),
    }
}

/// A file of the page by its path. Those under `assets/` have a hash of their content in their names.
pub fn file(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = DIST.get_file(path) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let kept = match path.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    // A file whose name says what is in it never changes.
    if path.starts_with("assets/") && headers.contains_key(header::IF_NONE_MATCH) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let etag = format!("\"{path}\"");
    (
        [
            (header::CONTENT_TYPE, kind.as_ref().to_owned()),
            (header::CACHE_CONTROL, kept.to_owned()),
            (header::ETAG, etag),
        ],
        file.contents(),
    )
        .into_response()
}
