//! A proxy in front of an API server, which can break and mute the watches that run through it, and make the API server
//! forget what a list goes on from.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::{Api, Cluster, Identity};
use crate::harness::Folder;

/// What becomes of watches; all other requests are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watches {
    /// They are handed on.
    Work,
    /// Those that run break, and no other begins.
    Break,
    /// Those that run tell nothing more, and no other tells anything.
    AreMute,
    /// Those that run end, and the next is told that it goes on from too old a version.
    AreOutdated,
}

/// A running proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    /// A kubeconfig that leads through it.
    kubeconfig: std::path::PathBuf,
    watches: watch::Sender<Watches>,
    seen: Arc<Mutex<Vec<String>>>,
    _folder: Folder,
}

#[derive(Clone, Debug)]
struct Front {
    api: Api,
    /// What forgets all earlier states whenever a list goes on.
    forgetful: Option<&'static Cluster>,
    watches: watch::Sender<Watches>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy in front of the first server of a cluster, for its administrator.
    pub(super) async fn start(cluster: &Cluster) -> Self {
        Self::before(cluster.first.api(Identity::Administrator).unwrap(), None).await
    }

    /// A proxy in front of the second server of a cluster, which has changed and forgotten how it was whenever a list goes on.
    pub(super) async fn forgetful(cluster: &'static Cluster) -> Self {
        let second = cluster.second().await.unwrap();
        Self::before(second.api(Identity::Administrator).unwrap(), Some(cluster)).await
    }

    async fn before(api: Api, forgetful: Option<&'static Cluster>) -> Self {
        let watches = watch::Sender::new(Watches::Work);
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let front = Front { api, forgetful, watches: watches.clone(), seen: seen.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(hand_on).with_state(front);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = Folder::new();
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": url}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        });
        let kubeconfig = folder.write("kubeconfig", &content.to_string());
        Self { kubeconfig, watches, seen, _folder: folder }
    }

    /// A configuration with the cluster behind it as `first`.
    pub(super) fn configuration(&self) -> String {
        format!(
            "backends:\n  kubernetes:\n    clusters:\n      first:\n        kubeconfig: {}\n",
            self.kubeconfig.display()
        )
    }

    /// Says what becomes of watches from now on.
    pub(super) fn set(&self, watches: Watches) {
        self.watches.send_replace(watches);
    }

    /// The requests of this kind since this was asked before: `list` or `watch`, of a path that ends like this.
    pub(super) fn seen(&self, kind: &str, path: &str) -> usize {
        let wanted = format!("{kind} {path}");
        let mut seen = self.seen.lock().unwrap();
        let before = seen.len();
        seen.retain(|request| *request != wanted);
        before - seen.len()
    }
}

async fn hand_on(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let query = parts.uri.query().unwrap_or_default();
    let is_watch = query.split('&').any(|part| part == "watch=true");
    let path = parts.uri.path();
    front.seen.lock().unwrap().push(format!("{} {path}", if is_watch { "watch" } else { "list" }));
    let state = *front.watches.borrow();
    if is_watch && state == Watches::Break {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if is_watch && state == Watches::AreOutdated {
        front.watches.send_replace(Watches::Work);
        // As the API server tells it (apiserver, `pkg/storage/errors.go`).
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version: 1 (2)",
        });
        return format!("{}\n", json!({"type": "ERROR", "object": status})).into_response();
    }
    if let Some(cluster) = front.forgetful
        && query.split('&').any(|part| part.starts_with("continue="))
    {
        let body = json!({"metadata": {"generateName": "since-"}});
        let made = front.api.request(Method::POST, "/api/v1/namespaces/default/configmaps").json(&body).send().await;
        made.unwrap().error_for_status().unwrap();
        cluster.compact().await.unwrap();
    }
    let mut onward = front.api.request(parts.method, &parts.uri.to_string()).body(body);
    for name in [ACCEPT, CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let answer = match onward.send().await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
        response = response.header(CONTENT_TYPE, kind);
    }
    let parts = answer.bytes_stream().map(|part| part.map_err(std::io::Error::other));
    let body =
        if is_watch { Body::from_stream(watched(parts, front.watches.subscribe())) } else { Body::from_stream(parts) };
    response.body(body).unwrap()
}

/// What a watch tells, for as long as watches work.
fn watched(
    parts: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    watches: watch::Receiver<Watches>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::unfold((Box::pin(parts), watches), |(mut parts, mut watches)| async move {
        loop {
            let state = *watches.borrow_and_update();
            match state {
                Watches::Break => return Some((Err(std::io::Error::other("broken")), (parts, watches))),
                Watches::AreOutdated => return None,
                Watches::AreMute => watches.changed().await.ok()?,
                Watches::Work => tokio::select! {
                    part = parts.next() => return part.map(|part| (part, (parts, watches))),
                    _ = watches.changed() => {}
                },
            }
        }
    })
}
