//! What happens on one connection of HTTP/2, to know when to let go of it.
//!
//! HTTP/1.1 has the limits of its reader and writer; here many requests share one of each, and each can stand still by
//! itself.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// How often a connection is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The requests of one connection that are not wholly answered.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Since when the client has left a part of the answer lying, by the number of the request; none while the answer is
    /// being made.
    requests: HashMap<u64, Option<Instant>>,
    serial: u64,
    /// Since when there is no request.
    quiet: Instant,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state = State { requests: HashMap::new(), serial: 0, quiet: Instant::now() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Notes a request, until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        let mut state = self.state();
        state.serial += 1;
        let number = state.serial;
        state.requests.insert(number, None);
        Running { activity: self.clone(), number }
    }

    /// Waits until the client has asked nothing for `idle`, or has not taken an answer for `slow`.
    pub(super) async fn stale(&self, idle: Duration, slow: Duration) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let state = self.state();
            let stale = if state.requests.is_empty() {
                state.quiet.elapsed() >= idle
            } else {
                state.requests.values().flatten().any(|since| since.elapsed() >= slow)
            };
            if stale {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not wholly answered.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    number: u64,
}

impl Running {
    fn left_lying(&self, since: Option<Instant>) {
        self.activity.state().requests.insert(self.number, since);
    }

    /// The body of the answer, watched on its way.
    pub(super) fn watch(self, body: Body) -> Body {
        self.left_lying(Some(Instant::now()));
        Body::new(Watched { body, running: self })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.requests.remove(&self.number);
        state.quiet = Instant::now();
    }
}

/// A body that is asked for its next part as soon as there is room for it.
struct Watched {
    body: Body,
    running: Running,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.running.left_lying(None);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.running.left_lying(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
