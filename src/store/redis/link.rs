//! The one connection for commands: kept, watched over, made anew when it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::{Notify, watch};

use super::servers::{Connection, Pauses, Servers, within};
use crate::telemetry::metrics;

/// How often a connection without failures is asked whether it is alive.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that all commands share, many at a time.
#[derive(Debug)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    doubts: Arc<Doubts>,
}

/// What is known of the connection.
#[derive(Clone)]
enum State {
    /// The first try is not over.
    Beginning,
    Up(Connection),
    Down,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Beginning => "beginning",
            Self::Up(_) => "up",
            Self::Down => "down",
        })
    }
}

/// What commands noticed.
#[derive(Debug, Default)]
struct Doubts {
    raised: Notify,
    /// The server is not the one in charge (any more), however well it answers.
    wrong_server: AtomicBool,
}

impl Link {
    /// Connects, and stays connected, for as long as this is held.
    pub(super) fn new(servers: Servers) -> Self {
        let (sender, state) = watch::channel(State::Beginning);
        let doubts = Arc::<Doubts>::default();
        tokio::spawn(keep(servers, sender, doubts.clone()));
        Self { state, doubts }
    }

    /// The connection. Where it is known to be broken, nobody waits for it.
    pub(super) async fn connection(&self) -> RedisResult<Connection> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Beginning)).await;
        match known.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            _ => Err(RedisError::from((ErrorKind::Io, "there is no connection at the moment"))),
        }
    }

    /// Lets the connection be looked at, after a command failed on it.
    pub(super) fn doubt(&self, error: &RedisError) {
        let kind = error.kind();
        if matches!(kind, ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)) {
            self.doubts.wrong_server.store(true, Ordering::Relaxed);
        }
        if !matches!(kind, ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm)) {
            self.doubts.raised.notify_one();
        }
    }
}

/// Holds a connection until nobody asks for it any more.
async fn keep(servers: Servers, state: watch::Sender<State>, doubts: Arc<Doubts>) {
    let mut pauses = Pauses::default();
    let mut told = false;
    while !state.is_closed() {
        match servers.connect().await {
            Ok(connection) => {
                tracing::info!("the store answers");
                pauses.reset();
                told = false;
                metrics::STORE_UP.set(1);
                state.send_replace(State::Up(connection.clone()));
                tokio::select! {
                    error = watch_over(connection, &doubts, servers.deadline()) => {
                        tracing::warn!(%error, "the store does not answer");
                    }
                    () = state.closed() => return,
                }
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "the store cannot be reached; trying again until it can");
            }
            Err(error) => tracing::debug!(%error, "the store cannot be reached"),
        }
        metrics::STORE_UP.set(0);
        state.send_replace(State::Down);
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Asks the server from time to time, and when somebody doubts it, until it fails.
async fn watch_over(mut connection: Connection, doubts: &Doubts, deadline: Duration) -> RedisError {
    doubts.wrong_server.store(false, Ordering::Relaxed);
    loop {
        let _ = tokio::time::timeout(CHECK_INTERVAL, doubts.raised.notified()).await;
        if doubts.wrong_server.load(Ordering::Relaxed) {
            return RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "another server is in charge"));
        }
        let asked = redis::cmd("PING");
        if let Err(error) = within(deadline, asked.query_async::<()>(&mut connection)).await {
            return error;
        }
    }
}
