//! API servers that break off, never end, or answer with something else: each is a clear answer in time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cloud_native_mcp::caller::Effect;
use futures_util::stream;
use serde_json::{Value, json};

use crate::harness::{Folder, Service, eventually};

/// What is said to one request.
enum Say {
    Json(Value),
    Status(u16, &'static [(&'static str, &'static str)]),
    /// Ends in the middle.
    Cut,
    /// Lines that never end.
    Endless(String),
    /// Nothing.
    Silence,
}

impl Say {
    fn response(self) -> Response {
        match self {
            Self::Json(value) => ([("content-type", "application/json")], value.to_string()).into_response(),
            Self::Status(code, headers) => {
                let mut response = StatusCode::from_u16(code).unwrap().into_response();
                response.headers_mut().extend(
                    headers
                        .iter()
                        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                        .collect::<axum::http::HeaderMap>(),
                );
                response
            }
            Self::Cut => {
                let parts = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))];
                Body::from_stream(stream::iter(parts)).into_response()
            }
            Self::Endless(line) => {
                let lines = stream::unfold(0_u64, move |count| {
                    let line = line.replace("COUNT", &count.to_string());
                    async move { Some((Ok::<_, std::io::Error>(Bytes::from(line)), count + 1)) }
                });
                Body::from_stream(lines).into_response()
            }
            Self::Silence => Body::from_stream(stream::pending::<std::io::Result<Bytes>>()).into_response(),
        }
    }
}

/// An API server that says what a script says; what it does not know is a defect of the test.
struct Fake {
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
    unknown: Arc<Mutex<Vec<String>>>,
    config: String,
    _folder: Folder,
}

impl Fake {
    /// The script is told how many such requests came before, and the request as method, path and `watch`.
    async fn start(script: impl Fn(usize, &str) -> Option<Say> + Send + Sync + 'static) -> Self {
        Self::started("{}", script).await
    }

    async fn started(user: &str, script: impl Fn(usize, &str) -> Option<Say> + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<(Instant, String)>>>::default();
        let unknown = Arc::<Mutex<Vec<String>>>::default();
        let (seen, lost, script) = (requests.clone(), unknown.clone(), Arc::new(script));
        let router = Router::new().fallback(move |request: Request| {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let token =
                request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let asked = format!(
                "{} {}{}{}",
                request.method(),
                request.uri().path(),
                if is_watch { " watch" } else { "" },
                token.strip_prefix("Bearer ").map_or(String::new(), |token| format!(" {token}"))
            );
            let said = if request.method() == Method::GET && ["/api", "/apis"].contains(&request.uri().path()) {
                Some(Say::Json(discovery(request.uri().path())))
            } else {
                let mut seen = seen.lock().unwrap();
                let before = seen.iter().filter(|(_, one)| *one == asked).count();
                seen.push((Instant::now(), asked.clone()));
                script(before, &asked)
            };
            let said = said.unwrap_or_else(|| {
                lost.lock().unwrap().push(asked);
                Say::Status(404, &[])
            });
            async move { said.response() }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        let folder = Folder::new();
        let user: Value = serde_json::from_str(&user.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": url}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "users": [{"name": "x", "user": user}],
        });
        let file = folder.write("kubeconfig", &kubeconfig.to_string());
        let config = format!(
            "backends:\n  kubernetes:\n    ports: [\"a/pod/*:*/**\", \"a/pod/*:*/*\"]\n    clusters:\n      x:\n        \
             kubeconfig: {}\n        most_bytes: 1048576\n        most_concurrent: 8\n",
            file.display()
        );
        Self { requests, unknown, config, _folder: folder }
    }

    async fn service(&self) -> Service {
        Service::start_with_key(&self.config, Effect::Destroy).await
    }

    fn seen(&self, request: &str) -> Vec<Instant> {
        self.requests.lock().unwrap().iter().filter(|(_, one)| one == request).map(|(at, _)| *at).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(*self.unknown.lock().unwrap(), Vec::<String>::new(), "requests that the script does not know");
        }
    }
}

/// What is served (kubernetes.io/docs/concepts/overview/kubernetes-api, "Aggregated discovery").
fn discovery(path: &str) -> Value {
    let resource = |plural: &str, kind: &str, namespaced: bool, parts: &[&str]| {
        json!({
            "resource": plural, "responseKind": {"group": "", "version": "", "kind": kind},
            "scope": if namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.to_lowercase(),
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            "subresources": parts.iter().map(|part| json!({
                "subresource": part, "responseKind": {"group": "", "version": "", "kind": kind}, "verbs": ["get", "patch"]
            })).collect::<Vec<_>>(),
        })
    };
    let (name, resources) = match path {
        "/api" => (
            "",
            vec![
                resource("configmaps", "ConfigMap", true, &[]),
                resource("pods", "Pod", true, &[]),
                resource("nodes", "Node", false, &[]),
            ],
        ),
        _ => ("apps", vec![resource("deployments", "Deployment", true, &["scale"])]),
    };
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]}],
    })
}

const MAPS: &str = "/api/v1/namespaces/a/configmaps";

fn map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "a", "uid": format!("uid-{name}"), "resourceVersion": "1"},
    })
}

fn maps(items: &[Value], more: &str) -> Say {
    Say::Json(json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "1", "continue": more}, "items": items
    }))
}

#[tokio::test]
async fn what_is_no_list_is_not_told_as_nothing_found() {
    let fake = Fake::start(|_, request| (request == format!("GET {MAPS}")).then(|| Say::Json(json!({})))).await;
    let service = fake.service().await;
    let arguments = json!({"kind": "configmaps", "namespace": "a"});
    let told = service.fail("kubernetes_list_resources", arguments).await;
    assert!(told.contains("the answer is not what its API promises (line 1, column 2)"), "{told}");
    let arguments = json!({"query": "x", "scope": ["keys"], "kinds": ["configmaps"], "namespace": "a"});
    let told = service.fail("kubernetes_search_resources", arguments).await;
    assert!(told.contains("the answer is not what its API promises"), "{told}");
}

#[tokio::test]
async fn lists_that_do_not_end_are_left() {
    let empty = Fake::start(|_, request| (request == format!("GET {MAPS}")).then(|| maps(&[], "more"))).await;
    let search = json!({"query": "x", "scope": ["keys"], "kinds": ["configmaps"], "namespace": "a"});
    let told = empty.service().await.fail("kubernetes_search_resources", search.clone()).await;
    assert!(told.contains("3 parts of a list in a row are empty"), "{told}");
    let large = Fake::start(|count, request| {
        let mut object = map(&format!("map-{count}"));
        object["data"] = json!({"text": "x".repeat(900_000)});
        (request == format!("GET {MAPS}")).then(|| maps(&[object], "more"))
    })
    .await;
    let told = large.service().await.fail("kubernetes_search_resources", search).await;
    assert!(told.contains("more than 2 MiB of these; ask for one namespace"), "{told}");
}

#[tokio::test]
async fn a_watch_that_tells_of_ever_new_objects_is_left() {
    let fake = Fake::start(|_, request| match request {
        "GET /api/v1/namespaces/a/configmaps" => Some(maps(&[], "")),
        "GET /api/v1/namespaces/a/configmaps watch" => {
            let event = json!({"type": "ADDED", "object": map("map-COUNT")});
            Some(Say::Endless(format!("{event}\n")))
        }
        _ => None,
    })
    .await;
    let arguments = json!({"kind": "configmaps", "namespace": "a", "labels": "a=b", "until": ".data.x"});
    let told = fake.service().await.fail("kubernetes_wait_for_resource", arguments).await;
    assert!(told.contains("more than 500 objects or 64 MiB match"), "{told}");
}

#[tokio::test]
async fn what_was_deleted_is_told_though_a_connection_breaks() {
    let fake = Fake::start(|_, request| {
        let (method, path) = request.split_once(' ').unwrap();
        let name = path.strip_prefix(MAPS)?.strip_prefix('/')?;
        Some(match (method, name) {
            ("GET", name) => Say::Json(map(name)),
            ("DELETE", "b") => Say::Cut,
            ("DELETE", _) => Say::Json(json!({"kind": "Status", "status": "Success"})),
            _ => return None,
        })
    })
    .await;
    let service = fake.service().await;
    let arguments = json!({"kind": "configmaps", "namespace": "a", "names": ["a", "b", "c"]});
    let answer = service.call("kubernetes_delete_resource", arguments).await;
    assert!(answer.failed, "{}", answer.text);
    assert!(answer.text.contains("ConfigMap a/a: deleted"), "{}", answer.text);
    assert!(answer.text.contains("ConfigMap a/b: unknown; it is not known whether this was done"), "{}", answer.text);
    assert!(answer.text.contains("ConfigMap a/c: deleted"), "{}", answer.text);
}

#[tokio::test]
async fn what_was_applied_or_patched_is_not_denied_when_a_connection_breaks() {
    let fake = Fake::start(|count, request| match request {
        "GET /api/v1/namespaces/a/configmaps/web" => Some(Say::Json(map("web"))),
        // The first one is the dry run.
        "PATCH /api/v1/namespaces/a/configmaps/web" if count == 0 => Some(Say::Json(map("web"))),
        "PATCH /api/v1/namespaces/a/configmaps/web" => Some(Say::Cut),
        _ => None,
    })
    .await;
    let service = fake.service().await;
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: a}}";
    let answer = service.call("kubernetes_apply", json!({"manifests": manifest})).await;
    assert!(answer.failed && answer.text.contains("ConfigMap a/web: unknown"), "{}", answer.text);
    let patch = json!({"kind": "configmaps", "namespace": "a", "name": "web", "patch": {"data": {"a": "b"}}});
    let told = service.fail("kubernetes_patch_resource", patch).await;
    assert!(told.starts_with("it is not known whether this was done (kubernetes/x cannot be reached"), "{told}");
    assert!(told.contains("look at it with `kubernetes_get_resource`"), "{told}");
}

#[tokio::test]
async fn a_change_is_told_though_its_effect_cannot_be_seen() {
    let fake = Fake::start(|count, request| match request {
        "GET /api/v1/namespaces/a/configmaps/web" => Some(Say::Json(map("web"))),
        "PATCH /api/v1/namespaces/a/configmaps/web" => Some(Say::Json(map(if count > 9 { "x" } else { "web" }))),
        "GET /api/v1/namespaces/a/configmaps" => Some(Say::Status(403, &[])),
        _ => None,
    })
    .await;
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: a}}";
    let answer = fake.service().await.call("kubernetes_apply", json!({"manifests": manifest, "wait": true})).await;
    assert!(answer.text.contains("ConfigMap a/web: unchanged; not known after"), "{}", answer.text);
    assert!(answer.text.contains("how it is now is not known: kubernetes/x"), "{}", answer.text);
}

#[tokio::test]
async fn a_wait_outlives_an_api_server_that_is_away_for_a_moment() {
    let fake = Fake::start(|count, request| match (request, count) {
        ("GET /api/v1/namespaces/a/configmaps", 0) => Some(maps(&[], "")),
        ("GET /api/v1/namespaces/a/configmaps", 1..=3) => Some(Say::Status(503, &[])),
        ("GET /api/v1/namespaces/a/configmaps", _) => Some(maps(&[map("web")], "")),
        // It ends at once.
        ("GET /api/v1/namespaces/a/configmaps watch", _) => Some(Say::Status(200, &[])),
        _ => None,
    })
    .await;
    let arguments = json!({"kind": "configmaps", "namespace": "a", "name": "web", "until": "exists"});
    let answer = fake.service().await.succeed("kubernetes_wait_for_resource", arguments).await;
    assert!(answer.text.starts_with("met after"), "{}", answer.text);
}

#[tokio::test]
async fn waits_leave_places_for_everything_else() {
    let fake = Fake::start(|_, request| match request {
        "GET /api/v1/namespaces/a/configmaps" => Some(maps(&[], "")),
        "GET /api/v1/namespaces/a/configmaps watch" => Some(Say::Silence),
        "GET /api/v1/namespaces/a/configmaps/web" => Some(Say::Json(map("web"))),
        _ => None,
    })
    .await;
    let service = fake.service().await;
    let wait =
        json!({"kind": "configmaps", "namespace": "a", "name": "none", "until": "exists", "timeout_seconds": 20});
    let mut waits: Vec<_> =
        (0..9).map(|_| Box::pin(service.call("kubernetes_wait_for_resource", wait.clone()))).collect();
    let (told, _, others) = futures_util::future::select_all(waits.drain(..)).await;
    assert!(told.failed && told.text.contains("kubernetes/x is busy"), "{}", told.text);
    assert!(told.text.contains("of which one caller has 2"), "{}", told.text);
    let get = json!({"kind": "configmaps", "namespace": "a", "names": ["web"], "view": "full"});
    let read = async { service.succeed("kubernetes_get_resource", get).await };
    let (read, _) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), read), async {
        // The others go on meanwhile.
        tokio::time::timeout(Duration::from_secs(1), futures_util::future::join_all(others)).await
    });
    read.expect("reading does not wait for those who wait");
}

#[tokio::test]
async fn a_pause_that_a_header_asks_for_is_kept() {
    let fake = Fake::start(|count, request| match (request, count) {
        ("GET /api/v1/namespaces/a/configmaps/web", 0) => Some(Say::Status(429, &[("retry-after", "1")])),
        ("GET /api/v1/namespaces/a/configmaps/web", _) => Some(Say::Json(map("web"))),
        _ => None,
    })
    .await;
    let get = json!({"kind": "configmaps", "namespace": "a", "names": ["web"], "view": "full"});
    fake.service().await.succeed("kubernetes_get_resource", get).await;
    let seen = fake.seen("GET /api/v1/namespaces/a/configmaps/web");
    assert!(seen[1] - seen[0] >= Duration::from_millis(900), "{:?}", seen[1] - seen[0]);
}

#[tokio::test]
async fn an_answer_that_leads_elsewhere_is_explained() {
    let fake = Fake::start(|_, request| {
        (request == "GET /api/v1/namespaces/a/configmaps/web").then(|| Say::Status(302, &[("location", "/login")]))
    })
    .await;
    let get = json!({"kind": "configmaps", "namespace": "a", "names": ["web"], "view": "full"});
    let told = fake.service().await.fail("kubernetes_get_resource", get).await;
    assert!(told.starts_with("kubernetes/x answered 302: it leads elsewhere"), "{told}");
}

#[tokio::test]
async fn renewed_credentials_are_read_when_the_old_ones_are_refused() {
    const GET: &str = "GET /api/v1/namespaces/a/configmaps/web token-";
    let plugin = r#"{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "IfAvailable",
        "args": ["-c", "read line && echo asked > FOLDER/asked; echo . >> FOLDER/runs; echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"token-'$(wc -l < FOLDER/runs | tr -d ' ')'\"}}'"]}}"#;
    let fake = Fake::started(plugin, |count, request| match request.strip_prefix(GET) {
        Some("1") if count > 0 => Some(Say::Status(401, &[])),
        Some(_) => Some(Say::Json(map("web"))),
        None => None,
    })
    .await;
    let service = fake.service().await;
    let get = json!({"kind": "configmaps", "namespace": "a", "names": ["web"], "view": "full"});
    service.succeed("kubernetes_get_resource", get.clone()).await;
    // At most every ten seconds.
    service.fail("kubernetes_get_resource", get.clone()).await;
    eventually("the credentials are read again", async || {
        let answer = service.call("kubernetes_get_resource", get.clone()).await;
        (!answer.failed).then_some(())
    })
    .await;
    // A client may ask its plugin more than once.
    let requests = fake.requests.lock().unwrap();
    let renewed = requests.iter().filter(|(_, request)| request.starts_with(GET) && !request.ends_with("token-1"));
    assert_eq!(renewed.count(), 1);
}

#[tokio::test]
async fn a_plugin_that_hangs_ends_the_call_in_time() {
    let plugin = r#"{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "exec sleep 20"]}}"#;
    let mut fake = Fake::started(plugin, |_, _| None).await;
    fake.config.push_str("        timeout_seconds: 2\n");
    let service = fake.service().await;
    let started = Instant::now();
    let get = json!({"kind": "configmaps", "namespace": "a", "names": ["web"], "view": "full"});
    let told = service.fail("kubernetes_get_resource", get).await;
    assert!(told.contains("did not answer within 2 s"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(10));
}
