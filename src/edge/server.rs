//! Connections: accepted, limited, and ended in peace.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Activity;
use super::lingering::Lingering;
use super::origin::Rules;
use super::{Config, Edge, address, handle, routes};
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
        let proxies: Arc<[_]> = edge.config.proxies().into();
        let places = Arc::new(Semaphore::new(edge.config.most_connections));
        let limits = Limits {
            idle: Duration::from_secs(edge.config.header_timeout_seconds),
            slow: edge.write_timeout(),
            grace: Duration::from_secs(edge.config.drain_seconds),
        };
        let builder = builder(&edge.config);
        // Whoever sends requests here needs a moment to see that it should not any more.
        let closing = async {
            edge.draining.cancelled().await;
            tokio::time::sleep(Duration::from_secs(edge.config.drain_delay_seconds)).await;
        };
        tokio::pin!(closing);
        let (open, end) = (TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places, limits.slow) => accepted,
                () = &mut closing => break,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (edge, rules, router, proxies) = (edge.clone(), rules.clone(), router.clone(), proxies.clone());
            let (spoke, has_spoken) = oneshot::channel();
            let spoke = Mutex::new(Some(spoke));
            let activity = Activity::new();
            let watching = activity.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                if let Some(spoke) = spoke.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    let _ = spoke.send(request.version());
                }
                let running = (request.version() == Version::HTTP_2).then(|| watching.begin());
                let (edge, rules, router) = (edge.clone(), rules.clone(), router.clone());
                let client = address::client(peer.ip(), request.headers(), &proxies);
                async move {
                    let response = handle(&edge, &rules, router, client, request.map(Body::new)).await;
                    Ok::<_, Infallible>(match running {
                        Some(running) => response.map(|body| running.watch(body)),
                        None => response,
                    })
                }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let (limits, end) = (limits.clone(), end.clone());
            open.spawn(async move {
                let _counted = Counted::new(place);
                tokio::pin!(connection);
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    reason = limits.reached(has_spoken, &activity) => match reason {
                        Reached::Silent => return,
                        // A client that still has requests may get its answers; those after them go to a new connection.
                        Reached::Stale => {
                            connection.as_mut().graceful_shutdown();
                            match tokio::time::timeout(limits.slow, connection).await {
                                Ok(ended) => ended,
                                Err(_) => return,
                            }
                        }
                    },
                    () = end.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
        drop(listener);
        edge.closing.cancel();
        end.cancel();
        open.close();
        edge.calls.close();
        let answered = async { tokio::join!(open.wait(), edge.calls.wait()) };
        if tokio::time::timeout(limits.grace, answered).await.is_err() {
            tracing::warn!(
                grace_seconds = limits.grace.as_secs(),
                "calls were cut off: they took longer than the grace"
            );
        }
        edge.streams.leave().await;
    }
}

/// What HTTP itself puts up with.
fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(config.header_timeout_seconds))
        .max_buf_size(config.most_header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(config.most_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(1000);
    builder
}

/// How long a connection may go without what it is for.
#[derive(Clone, Debug)]
struct Limits {
    /// Without a request.
    idle: Duration,
    /// Without taking an answer.
    slow: Duration,
    /// With running calls, when the server ends.
    grace: Duration,
}

enum Reached {
    /// The client never sent a request.
    Silent,
    /// It has had its time.
    Stale,
}

impl Limits {
    /// Waits until a limit is reached that HTTP itself does not keep.
    async fn reached(&self, has_spoken: oneshot::Receiver<Version>, activity: &Activity) -> Reached {
        match tokio::time::timeout(self.idle, has_spoken).await {
            Ok(Ok(Version::HTTP_2)) => activity.stale(self.idle, self.slow).await,
            Ok(Ok(_)) => std::future::pending().await,
            // A client that says nothing would keep its place for ever: HTTP's own limits begin with its version.
            Ok(Err(_)) | Err(_) => return Reached::Silent,
        }
        Reached::Stale
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    write_timeout: Duration,
) -> Option<(Lingering<Pin<Box<TimeoutStream<TcpStream>>>>, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without it a small event waits for the acknowledgement of the one before: 40 ms.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            let mut stream = TimeoutStream::new(stream);
            // A client that takes nothing holds memory; one that says nothing may be waiting for an event.
            stream.set_write_timeout(Some(write_timeout));
            Some((Lingering::new(Box::pin(stream)), peer, place))
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
