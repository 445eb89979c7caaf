//! The two ends of a connection for messages, the same for one server and for a cluster.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::cluster_async::ClusterConnection;
use redis::{PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc;

/// Where channels are asked for.
#[derive(Clone)]
pub(super) enum Outgoing {
    One(PubSubSink),
    /// In a cluster each channel is at home on the server that has the keys of its name.
    Cluster(ClusterConnection),
}

/// Where messages come in.
pub(super) enum Incoming {
    One(Pin<Box<PubSubStream>>),
    Cluster(mpsc::UnboundedReceiver<PushInfo>),
}

/// What comes in.
pub(super) enum Told {
    /// A message of a channel.
    Message(String, Bytes),
    /// A channel is not listened to any more, be it that nobody asked for that.
    Left(String),
}

impl Outgoing {
    pub(super) async fn subscribe(&mut self, names: &[String]) -> RedisResult<()> {
        match self {
            Self::One(sink) => sink.subscribe(names).await,
            Self::Cluster(connection) => {
                for name in names {
                    connection.ssubscribe(name).await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn unsubscribe(&mut self, names: &[String]) -> RedisResult<()> {
        match self {
            Self::One(sink) => sink.unsubscribe(names).await,
            Self::Cluster(connection) => {
                for name in names {
                    connection.sunsubscribe(name).await?;
                }
                Ok(())
            }
        }
    }

    /// Asks whether the server, or each of them, answers.
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        match self {
            Self::One(sink) => sink.ping::<Value>().await.map(|_| ()),
            Self::Cluster(connection) => redis::cmd("PING").query_async(connection).await,
        }
    }
}

impl Incoming {
    /// What comes next; none when the connection broke.
    pub(super) async fn next(&mut self) -> Option<Told> {
        match self {
            Self::One(stream) => {
                let message = stream.next().await?;
                let content = Bytes::copy_from_slice(message.get_payload_bytes());
                Some(Told::Message(message.get_channel_name().to_owned(), content))
            }
            Self::Cluster(pushes) => loop {
                let PushInfo { kind, data } = pushes.recv().await?;
                let mut parts = data.into_iter();
                match (kind, parts.next(), parts.next()) {
                    // The crate connects and subscribes again by itself, and does not tell what was missed.
                    (PushKind::Disconnection, ..) => return None,
                    (PushKind::SMessage, Some(channel), Some(Value::BulkString(content))) => {
                        return Some(Told::Message(name(channel)?, content.into()));
                    }
                    (PushKind::SUnsubscribe, Some(channel), _) => return Some(Told::Left(name(channel)?)),
                    _ => {}
                }
            },
        }
    }
}

fn name(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}
