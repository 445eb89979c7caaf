//! Connections that are closed so that the last answer arrives.

use std::future::Future as _;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client that is still sending may go on after the last answer.
const LONGEST: Duration = Duration::from_secs(2);

/// A connection whose end waits for the client: closing it while bytes are unread would be a reset, and a reset can take
/// the answer with it (RFC 9112 §9.6).
#[derive(Debug)]
pub(super) struct Lingering<T> {
    inner: T,
    /// Set once this side has said that it is done.
    until: Option<Pin<Box<Sleep>>>,
}

impl<T> Lingering<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, until: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { inner, until } = &mut *self;
        let until = match until {
            Some(until) => until,
            none => {
                ready!(Pin::new(&mut *inner).poll_shutdown(cx))?;
                none.insert(Box::pin(tokio::time::sleep(LONGEST)))
            }
        };
        let mut unread = [0; 4096];
        while until.as_mut().poll(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut unread);
            match ready!(Pin::new(&mut *inner).poll_read(cx, &mut unread)) {
                Ok(()) if !unread.filled().is_empty() => {}
                // The client is done as well, or gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
