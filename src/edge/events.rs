//! Server-sent events (WHATWG HTML §9.2) as a response body.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::mpsc;

use crate::telemetry::metrics;

/// A comment goes out after so long without an event, so that nothing on the way closes the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its id, for clients that come back.
    pub id: Option<String>,
    /// Its type; `message` when absent.
    pub event: Option<&'static str>,
    /// How long a client should wait before it comes back, in milliseconds.
    pub retry: Option<u64>,
    /// A message in one line; an empty line is an event too.
    pub data: Bytes,
}

impl Frame {
    /// A message.
    #[must_use]
    pub fn message(data: Bytes) -> Self {
        Self { data, ..Self::default() }
    }

    /// The event as text.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut text = Vec::with_capacity(self.data.len() + 96);
        let mut line = |name: &str, value: &[u8]| {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            // A line break would end the field: JSON text has none, and nothing else may bring one in.
            text.extend(value.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
            text.push(b'\n');
        };
        if let Some(event) = self.event {
            line("event", event.as_bytes());
        }
        if let Some(id) = &self.id {
            line("id", id.as_bytes());
        }
        if let Some(retry) = self.retry {
            line("retry", retry.to_string().as_bytes());
        }
        line("data", &self.data);
        text.push(b'\n');
        text.into()
    }
}

/// Where the frames of one stream go.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    sender: mpsc::Sender<Frame>,
    patience: Duration,
}

/// A way for the frames of one stream, to a client that may take `patience` to take each.
pub(super) fn frames(patience: Duration) -> (Frames, mpsc::Receiver<Frame>) {
    let (sender, receiver) = mpsc::channel(16);
    (Frames { sender, patience }, receiver)
}

impl Frames {
    /// Sends a frame, and says whether the client is still there. One that stopped reading is not: whoever waits for it
    /// would wait for ever.
    pub(super) async fn send(&self, frame: Frame) -> bool {
        self.sender.send_timeout(frame, self.patience).await.is_ok()
    }

    /// Waits until the client is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// A stream that sends frames until their sender is dropped. `kind` names it in the metrics.
pub(super) fn response(frames: mpsc::Receiver<Frame>, kind: &'static str) -> Response {
    let open = Open::new(kind);
    let body = stream::unfold((frames, open), |(mut frames, open)| async move {
        let text = match tokio::time::timeout(KEEP_ALIVE, frames.recv()).await {
            Ok(Some(frame)) => frame.encode(),
            Ok(None) => return None,
            Err(_) => Bytes::from_static(b": keep-alive\n\n"),
        };
        Some((Ok::<_, std::convert::Infallible>(text), (frames, open)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx and what behaves like it would hold events back otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Counts a stream as long as it is open.
struct Open(&'static str);

impl Open {
    fn new(kind: &'static str) -> Self {
        metrics::STREAMS.with_label_values(&[kind]).inc();
        Self(kind)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::STREAMS.with_label_values(&[self.0]).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_block_of_lines_and_no_value_can_break_out() {
        let frame = Frame { id: Some("a\nb".into()), event: Some("endpoint"), retry: Some(500), data: Bytes::new() };
        assert_eq!(frame.encode(), "event: endpoint\nid: ab\nretry: 500\ndata: \n\n");
        assert_eq!(Frame::message("{}\r\n\ndata: x".into()).encode(), "data: {}data: x\n\n");
    }
}
