//! The one connection for messages, and who listens to what.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::servers::{Pauses, Servers, within};
use super::wire::{Incoming, Outgoing, Told};
use crate::store::{BACKLOG, Subscription};

/// How often the connection is asked whether it is alive, and channels without listeners are left.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that may wait for the task that holds the connection.
const MOST_WAITING: usize = 1024;

/// One subscription of the server for each channel, shared by all who listen to it here.
///
/// When the connection is lost every subscription ends, since messages may have been missed.
#[derive(Debug)]
pub(super) struct Listeners {
    requests: mpsc::Sender<Request>,
}

/// Somebody who wants to listen to a channel.
struct Request {
    channel: String,
    reply: oneshot::Sender<RedisResult<Subscription>>,
}

impl Listeners {
    /// Connects, and stays connected, for as long as this is held.
    pub(super) fn new(servers: Servers) -> Self {
        let (requests, receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(keep(servers, receiver));
        Self { requests }
    }

    /// Listens to a channel; when this returns, the server knows.
    pub(super) async fn listen(&self, channel: String) -> RedisResult<Subscription> {
        let (reply, replied) = oneshot::channel();
        let gone = || RedisError::from((ErrorKind::Io, "there is no connection for messages at the moment"));
        self.requests.send(Request { channel, reply }).await.map_err(|_| gone())?;
        replied.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Holds a connection until nobody asks for it any more.
async fn keep(servers: Servers, mut requests: mpsc::Receiver<Request>) {
    let mut pauses = Pauses::default();
    loop {
        match servers.listen().await {
            Ok((outgoing, incoming)) => {
                pauses.reset();
                let Err(error) = Connected::new(outgoing, incoming).serve(&mut requests, servers.deadline()).await
                else {
                    return;
                };
                tracing::warn!(%error, "messages may have been missed: all who listen look at the state again");
            }
            Err(error) => tracing::debug!(%error, "there is no connection for messages"),
        }
        // Nobody waits for a server that is away: dropping a request refuses it.
        let pause = tokio::time::sleep(pauses.next());
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                request = requests.recv() => if request.is_none() { return },
            }
        }
    }
}

/// How far the server is with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Beginning,
    Live,
    Ending,
}

/// Who listens to a channel.
struct Channel {
    phase: Phase,
    listeners: Vec<mpsc::Sender<Bytes>>,
    waiting: Vec<oneshot::Sender<RedisResult<Subscription>>>,
}

impl Channel {
    fn add(&mut self, reply: oneshot::Sender<RedisResult<Subscription>>) {
        let (sender, messages) = mpsc::channel(BACKLOG);
        if reply.send(Ok(Subscription::new(messages))).is_ok() {
            self.listeners.push(sender);
        }
    }
}

/// What the server said to a change: the channels, the phase they were in, and whether it went well.
type Changed = (Vec<String>, Phase, RedisResult<()>);

/// A connection, and what it is used for. Dropping it ends every subscription.
struct Connected {
    outgoing: Outgoing,
    incoming: Incoming,
    channels: HashMap<String, Channel>,
    changes: FuturesUnordered<Pin<Box<dyn Future<Output = Changed> + Send>>>,
}

impl Connected {
    fn new(outgoing: Outgoing, incoming: Incoming) -> Self {
        Self { outgoing, incoming, channels: HashMap::new(), changes: FuturesUnordered::new() }
    }

    /// Serves until nobody asks any more, or the connection is lost.
    async fn serve(mut self, requests: &mut mpsc::Receiver<Request>, deadline: Duration) -> RedisResult<()> {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let alive = alive(self.outgoing.clone(), deadline);
        tokio::pin!(alive);
        loop {
            tokio::select! {
                told = self.incoming.next() => match told {
                    Some(Told::Message(channel, content)) => self.deliver(&channel, &content),
                    Some(Told::Left(channel)) if !self.is_live(&channel) => {}
                    Some(Told::Left(_)) => {
                        return Err(RedisError::from((ErrorKind::Io, "a channel moved to another server")));
                    }
                    None => return Err(RedisError::from((ErrorKind::Io, "the connection for messages broke"))),
                },
                request = requests.recv() => match request {
                    Some(request) => self.take(request),
                    None => return Ok(()),
                },
                Some(changed) = self.changes.next() => self.changed(changed),
                _ = check.tick() => self.sweep(),
                error = &mut alive => return Err(error),
            }
        }
    }

    fn is_live(&self, name: &str) -> bool {
        self.channels.get(name).is_some_and(|channel| channel.phase == Phase::Live)
    }

    fn deliver(&mut self, name: &str, content: &Bytes) {
        if let Some(channel) = self.channels.get_mut(name) {
            // Whoever is far behind is cut off, and whoever is gone is forgotten.
            channel.listeners.retain(|listener| listener.try_send(content.clone()).is_ok());
        }
    }

    fn take(&mut self, Request { channel: name, reply }: Request) {
        if let Some(channel) = self.channels.get_mut(&name) {
            match channel.phase {
                Phase::Live => channel.add(reply),
                Phase::Beginning | Phase::Ending => channel.waiting.push(reply),
            }
            return;
        }
        let channel = Channel { phase: Phase::Beginning, listeners: Vec::new(), waiting: vec![reply] };
        self.channels.insert(name.clone(), channel);
        self.change(vec![name], Phase::Beginning);
    }

    /// Tells the server that a channel is listened to, or is not any more.
    fn change(&mut self, names: Vec<String>, phase: Phase) {
        let mut outgoing = self.outgoing.clone();
        self.changes.push(Box::pin(async move {
            let result = match phase {
                Phase::Ending => outgoing.unsubscribe(&names).await,
                Phase::Beginning | Phase::Live => outgoing.subscribe(&names).await,
            };
            (names, phase, result)
        }));
    }

    fn changed(&mut self, (names, phase, result): Changed) {
        for name in names {
            let Some(channel) = self.channels.get_mut(&name) else { continue };
            match (phase, &result) {
                (Phase::Beginning | Phase::Live, Ok(())) => {
                    channel.phase = Phase::Live;
                    for reply in std::mem::take(&mut channel.waiting) {
                        channel.add(reply);
                    }
                }
                (Phase::Beginning | Phase::Live, Err(error)) => {
                    for reply in std::mem::take(&mut channel.waiting) {
                        let _ = reply.send(Err(error.clone()));
                    }
                    self.channels.remove(&name);
                }
                // Somebody wants to listen again.
                (Phase::Ending, _) if !channel.waiting.is_empty() => {
                    channel.phase = Phase::Beginning;
                    self.change(vec![name], Phase::Beginning);
                }
                (Phase::Ending, _) => {
                    self.channels.remove(&name);
                }
            }
        }
    }

    /// Leaves the channels that nobody listens to any more.
    fn sweep(&mut self) {
        let mut left = Vec::new();
        for (name, channel) in &mut self.channels {
            channel.listeners.retain(|listener| !listener.is_closed());
            if channel.phase == Phase::Live && channel.listeners.is_empty() {
                channel.phase = Phase::Ending;
                left.push(name.clone());
            }
        }
        if !left.is_empty() {
            self.change(left, Phase::Ending);
        }
    }
}

/// Asks the server from time to time, until it does not answer.
async fn alive(mut outgoing: Outgoing, deadline: Duration) -> RedisError {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if let Err(error) = within(deadline, outgoing.ping()).await {
            return error;
        }
    }
}
