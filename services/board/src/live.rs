//! Pages that follow the board: a view whenever it changes, at most once a second, and in between how fresh it is. A page
//! that does not read what it is sent is let go; it comes back by itself and is sent what is then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Json, Response};
use casewatch_query::Scope;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::board::Version;
use crate::http::{App, Told};
use crate::people::Viewer;
use crate::subject::Asked;

/// The least time between two views.
const TICK: Duration = Duration::from_secs(1);
const PULSE: Duration = Duration::from_secs(5);
/// Events that wait for one page.
const WAITING_AT_MOST: usize = 4;

/// Follows what is looked at until the page leaves, or its viewer may no longer look.
pub fn follow(
    app: Arc<App>,
    asked: Asked,
    viewer: Viewer,
    still: impl Fn() -> Option<Viewer> + Send + 'static,
) -> Response {
    let Ok(place) = Arc::clone(&app.followers).try_acquire_owned() else {
        let told = Json(Told::new("too many pages follow the board: this one asks again"));
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], told).into_response();
    };
    // What cannot be looked at is said at once, and not by a stream that ends.
    if let Err(error) = app.board.live_view(&asked, &viewer.scope) {
        return crate::http::refuse(&error);
    }
    let (sender, mut receiver) = mpsc::channel(WAITING_AT_MOST);
    let following = app.board.metrics().follower();
    tokio::spawn(async move {
        let _kept = (place, following);
        let page = Page {
            app,
            asked,
            sender,
            sent: None,
            version: None,
        };
        page.run(viewer, still).await;
    });
    let events = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (
        // A proxy that gathers answers would hold events back.
        [(header::HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(events),
    )
        .into_response()
}

struct Page {
    app: Arc<App>,
    asked: Asked,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    /// The last view, as it was written.
    sent: Option<String>,
    version: Option<Version>,
}

impl Page {
    async fn run(mut self, viewer: Viewer, still: impl Fn() -> Option<Viewer>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pulse_at = Instant::now() + PULSE;
        let mut viewer = viewer;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.sender.closed() => return,
            }
            let mut goes_on = self.send_view(&viewer.scope);
            if goes_on && Instant::now() >= pulse_at {
                pulse_at = Instant::now() + PULSE;
                match still() {
                    Some(now) => viewer = now,
                    None => return,
                }
                goes_on = self.send(
                    "pulse",
                    &serde_json::to_string(&self.app.board.fresh()).unwrap_or_default(),
                );
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the page is still there.
    fn send_view(&mut self, scope: &Scope) -> bool {
        let version = self.app.board.version();
        if self.version.as_ref() == Some(&version) {
            return true;
        }
        let Ok(view) = self.app.board.live_view(&self.asked, scope) else {
            // What was looked at is gone, such as a team that was closed.
            return false;
        };
        self.version = Some(version);
        let text = serde_json::to_string(&view).unwrap_or_default();
        if self.sent.as_ref() == Some(&text) {
            return true;
        }
        let goes_on = self.send("view", &text);
        self.sent = Some(text);
        goes_on
    }

    fn send(&self, name: &str, data: &str) -> bool {
        match self.sender.try_send(Ok(Event::default().event(name).data(data))) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.app.board.metrics().dropped();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}
