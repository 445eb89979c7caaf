//! Several replicas: real processes that share nothing but a Redis and the signing key.

mod away;
mod balancers;
mod leaving;
mod limits;
mod sessions;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloud_native_mcp::auth::{ApiKey, NewKey};
use cloud_native_mcp::caller::Effect;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::Service;
use crate::redis::Server;

/// Three replicas and a proxy in front of them.
struct Replicas {
    config: String,
    redis: Server,
    all: Vec<Service>,
    proxy: Proxy,
    /// The key of another caller.
    other: String,
}

impl Replicas {
    /// Starts them with this configuration (YAML), and patience for a machine that is busy with other tests.
    async fn start(config: &str) -> Option<Self> {
        Self::start_with(config, 10_000).await
    }

    /// Starts them with this configuration, and a deadline for each command of the store, in milliseconds.
    async fn start_with(config: &str, deadline: u32) -> Option<Self> {
        let redis = Server::start().await?;
        let key = |name: &str| ApiKey::create(name.into(), Effect::Destroy, None);
        let (tester, other) = (key("tester"), key("other"));
        let entry = |key: &NewKey| {
            format!("    - name: {}\n      hash: {}\n      allow: destroy\n", key.kept.name, key.kept.hash)
        };
        let config = format!(
            "{config}\nsigning_key: the-same-thirty-two-bytes-for-all\nstore:\n  redis:\n    url: {}\n    timeout_milliseconds: {deadline}\nauth:\n  \
             api_keys:\n{}{}",
            redis.url(),
            entry(&tester),
            entry(&other)
        );
        let started = (0..3).map(|_| Service::start_with(&config, Some(tester.key.clone()), &[]));
        let all = join_all(started).await;
        let proxy = Proxy::start(all.iter().map(address).collect()).await;
        Some(Self { config, redis, all, proxy, other: other.key })
    }

    /// Starts another replica, which gets new connections instead of the oldest: that one is returned.
    async fn replace_oldest(&mut self) -> Service {
        let new = Service::start_with(&self.config, Some(self.all[0].key().to_owned()), &[]).await;
        self.all.push(new);
        let oldest = self.all.remove(0);
        *self.proxy.replicas.lock().unwrap() = self.all.iter().map(address).collect();
        oldest
    }

    /// The first three, by name.
    fn each(&self) -> (&Service, &Service, &Service) {
        (&self.all[0], &self.all[1], &self.all[2])
    }

    /// All of them behind the proxy, as one service.
    fn front(&self) -> Service {
        Service::at(&format!("http://{}", self.proxy.address), Some(self.all[0].key().to_owned()))
    }
}

fn address(service: &Service) -> SocketAddr {
    service.base.trim_start_matches("http://").parse().unwrap()
}

/// Sends each connection to the next replica, whatever comes over it.
struct Proxy {
    address: SocketAddr,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(replicas: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let turn = AtomicUsize::new(0);
        let replicas = Arc::new(Mutex::new(replicas));
        let known = replicas.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let replica = {
                    let known = known.lock().unwrap();
                    known[turn.fetch_add(1, Ordering::Relaxed) % known.len()]
                };
                tokio::spawn(async move {
                    if let Ok(mut replica) = TcpStream::connect(replica).await {
                        let _ = replica.set_nodelay(true);
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
                    }
                });
            }
        });
        Self { address, replicas, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A call that takes this long and tells how far it is.
fn sleep(duration: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "utilities_sleep", "arguments": {"duration": duration}, "_meta": {"progressToken": "p"}}})
}

/// A Prometheus that cannot be reached, so that the first call of a replica changes what it says of its backends.
fn unreachable() -> String {
    let port = crate::harness::free_port();
    format!(
        "backends:\n  prometheus:\n    instances:\n      main:\n        url: http://127.0.0.1:{port}\n        retries: 0\n        \
         breaker_failures: 1\n"
    )
}

/// The resource that such a change is told of.
fn backends() -> Value {
    json!({"uri": "backends://all"})
}
