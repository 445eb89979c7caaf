//! Connections to whichever server is the right one at the moment.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::{Mutex, mpsc};

use super::wire::{Incoming, Outgoing};

/// Waits between two tries to connect: from this,
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// to this, each twice the one before, less a random part.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The servers of the configuration.
#[derive(Clone)]
pub(super) struct Servers {
    kind: Kind,
    deadline: Duration,
}

#[derive(Clone)]
enum Kind {
    /// One server that stays where it is.
    One(Arc<Client>),
    /// One that Sentinels know: another may take its place.
    Watched(Arc<Mutex<SentinelClient>>),
    /// Several that share the keys.
    Cluster(Arc<Cluster>),
}

/// Clients of a cluster.
pub(super) struct Cluster {
    pub(super) commands: ClusterClient,
    /// One that speaks RESP3, in which messages come unasked.
    pub(super) messages: ClusterClient,
}

/// A connection for commands, which many can use at a time.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the clients show of themselves is not ours to say.
        f.write_str(match self.kind {
            Kind::One(_) => "one server",
            Kind::Watched(_) => "a server that Sentinels know",
            Kind::Cluster(_) => "a cluster",
        })
    }
}

impl Servers {
    pub(super) fn one(client: Client, deadline: Duration) -> Self {
        Self { kind: Kind::One(Arc::new(client)), deadline }
    }

    pub(super) fn watched(client: SentinelClient, deadline: Duration) -> Self {
        Self { kind: Kind::Watched(Arc::new(Mutex::new(client))), deadline }
    }

    pub(super) fn cluster(cluster: Cluster, deadline: Duration) -> Self {
        Self { kind: Kind::Cluster(Arc::new(cluster)), deadline }
    }

    /// Whether the keys, and channels, are shared among several servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    /// How long one command may take.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A new connection for commands.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        within(self.deadline, async {
            if let Kind::Cluster(cluster) = &self.kind {
                return Ok(Connection::Cluster(cluster.commands.get_async_connection().await?));
            }
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.deadline))
                .set_response_timeout(Some(self.deadline));
            let connection = self.client().await?.get_multiplexed_async_connection_with_config(&config).await?;
            Ok(Connection::One(connection))
        })
        .await
    }

    /// A new connection for messages: one end to ask for them, one where they come in.
    pub(super) async fn listen(&self) -> RedisResult<(Outgoing, Incoming)> {
        within(self.deadline, async {
            if let Kind::Cluster(cluster) = &self.kind {
                let (sender, pushes) = mpsc::unbounded_channel();
                let config = ClusterConfig::new().set_push_sender(sender);
                let connection = cluster.messages.get_async_connection_with_config(config).await?;
                return Ok((Outgoing::Cluster(connection), Incoming::Cluster(pushes)));
            }
            let (sink, stream) = self.client().await?.get_async_pubsub().await?.split();
            Ok((Outgoing::One(sink), Incoming::One(Box::pin(stream))))
        })
        .await
    }

    /// A client of the server that is in charge now.
    async fn client(&self) -> RedisResult<Client> {
        match &self.kind {
            Kind::One(client) => Ok(client.as_ref().clone()),
            Kind::Watched(sentinels) => sentinels.lock().await.async_get_client().await,
            Kind::Cluster(_) => Err(RedisError::from((ErrorKind::Client, "a cluster has no one server in charge"))),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// What comes within a time, or an error that says that it did not.
pub(super) async fn within<T>(time: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer in time"))),
    }
}

/// How long to wait before the next try.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    tries: u32,
}

impl Pauses {
    /// The next pause: longer each time, and different in each replica, so that they do not all come at once.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)).min(LONGEST_PAUSE);
        self.tries += 1;
        let mut random = [0; 1];
        // Without a random part the replicas come at once: worse, but no reason to stop.
        let _ = getrandom::fill(&mut random);
        whole / 2 + whole / 2 * u32::from(random[0]) / 256
    }

    /// Begins anew, after a success.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut pauses = Pauses::default();
        let first = pauses.next();
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&first), "{first:?}");
        for _ in 0..100 {
            pauses.next();
        }
        let late = pauses.next();
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&late), "{late:?}");
        pauses.reset();
        assert!(pauses.next() <= FIRST_PAUSE);
    }
}
