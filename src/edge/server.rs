//! Connections: accepted, limited, and ended in peace.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;

use super::origin::Rules;
use super::{Edge, handle, routes};
use crate::telemetry::metrics;

/// A bound server that serves when it is told to.
#[derive(Debug)]
pub struct Server {
    edge: Arc<Edge>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the configured address.
    ///
    /// # Errors
    /// A sentence that says why it cannot be.
    pub async fn bind(edge: Arc<Edge>) -> Result<Self, String> {
        let listen = &edge.config.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| format!("cannot listen on {listen}: {error}; set `server.listen` or --listen"))?;
        let address = listener.local_addr().map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        Ok(Self { edge, listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the edge is draining, and then until all calls are answered or their grace is over.
    pub async fn serve(self) {
        let Self { edge, listener, address } = self;
        let rules = Arc::new(Rules::new(address.ip().is_loopback(), &edge.config.hosts, &edge.config.origins));
        let router = routes(edge.clone());
        let places = Arc::new(Semaphore::new(edge.config.most_connections));
        let header_timeout = Duration::from_secs(edge.config.header_timeout_seconds);
        let write_timeout = Duration::from_secs(edge.config.body_timeout_seconds);
        let graceful = GracefulShutdown::new();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(edge.config.most_header_bytes.max(8192))
            .pipeline_flush(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(edge.config.most_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(30))
            .max_concurrent_streams(1000);
        // Whoever sends requests here needs a moment to see that it should not any more.
        let closing = async {
            edge.draining.cancelled().await;
            tokio::time::sleep(Duration::from_secs(edge.config.drain_delay_seconds)).await;
        };
        tokio::pin!(closing);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places, write_timeout) => accepted,
                () = &mut closing => break,
            };
            let Some((stream, place)) = accepted else { continue };
            let (edge, rules, router) = (edge.clone(), rules.clone(), router.clone());
            let (spoke, has_spoken) = oneshot::channel();
            let spoke = Mutex::new(Some(spoke));
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                if let Some(spoke) = spoke.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    let _ = spoke.send(());
                }
                let (edge, rules, router) = (edge.clone(), rules.clone(), router.clone());
                async move { Ok::<_, std::convert::Infallible>(handle(&edge, &rules, router, request.map(Body::new)).await) }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                let _counted = Counted::new(place);
                tokio::pin!(connection);
                let first = tokio::time::timeout(header_timeout, has_spoken);
                let ended = tokio::select! {
                    ended = &mut connection => ended,
                    // A client that says nothing would keep its place for ever: HTTP's own limits begin with its version.
                    first = first => if first.is_ok() { connection.await } else { return },
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
        drop(listener);
        let grace = Duration::from_secs(edge.config.drain_seconds);
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(grace_seconds = grace.as_secs(), "calls were cut off: they took longer than the grace");
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    write_timeout: Duration,
) -> Option<(std::pin::Pin<Box<TimeoutStream<TcpStream>>>, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Without it a small event waits for the acknowledgement of the one before: 40 ms.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            let mut stream = TimeoutStream::new(stream);
            // A client that takes nothing holds memory; one that says nothing may be waiting for an event.
            stream.set_write_timeout(Some(write_timeout));
            Some((Box::pin(stream), place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            // Out of file descriptors, most likely: trying at once again would only spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Counts a connection as long as it is open, and frees its place.
struct Counted {
    _place: OwnedSemaphorePermit,
}

impl Counted {
    fn new(place: OwnedSemaphorePermit) -> Self {
        metrics::CONNECTIONS.inc();
        Self { _place: place }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::CONNECTIONS.dec();
    }
}
