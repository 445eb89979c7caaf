//! Logs of nodes. Simulated nodes have none, so a server that speaks as the API server does stands in where they matter.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;

use super::{Shop, configuration};
use crate::cluster::Identity;
use crate::harness::{Folder, Service};

const LOGS: &str = "kubernetes_get_node_logs";

/// This tool has to be named to be on.
const ON: &str = "tools:\n  on: [\"*\", kubernetes_get_node_logs]\n";

#[tokio::test]
async fn a_node_that_cannot_be_asked_says_why() {
    let Some(shop) = Shop::empty().await else { return };
    let service = Service::start(&format!("{ON}{}", configuration(shop.cluster, Identity::Administrator))).await;
    let off = service.fail(LOGS, json!({"name": "node-a"})).await;
    println!("{off}");
    // The API server sends nothing on to the loopback addresses of simulated nodes.
    assert_eq!(off, "the kubelet of node-a refuses it: address not allowed");
    let unknown = service.fail(LOGS, json!({"name": "node-x"})).await;
    assert!(unknown.contains("has no node `node-x`; there are node-a"), "{unknown}");
    let port = service.fail(LOGS, json!({"name": "http:node-a:22"})).await;
    assert!(port.contains("is not the name of a node"), "{port}");
    let outside = service.fail(LOGS, json!({"name": "node-a", "query": "/../shadow"})).await;
    assert!(outside.starts_with("query: "), "{outside}");
    let weak = Service::start(&format!("{ON}{}", configuration(shop.cluster, Identity::Viewer))).await;
    let refused = weak.fail(LOGS, json!({"name": "node-a"})).await;
    assert!(refused.contains("cannot get resource \"nodes/proxy\""), "{refused}");
    assert!(refused.contains("need the right to get nodes/proxy"), "{refused}");
}

/// What a service wrote: the end of a key whose beginning is older, and a password.
const SERVICE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nhunter2=\n-----END PRIVATE KEY-----\n\
                       one password=hunter2\ntwo\nthree\n";

/// What kubelets answer, by the name of the node.
async fn kubelet(Path(node): Path<String>, Query(query): Query<HashMap<String, String>>) -> (StatusCode, String) {
    let is_asked = query["query"] == "containerd" && !query.contains_key("pattern");
    let is_searched = is_asked && !query.contains_key("tailLines");
    match node.as_str() {
        "good" if query["query"] == "/app.log" && query.len() == 1 => {
            (StatusCode::OK, (1..=9).map(|n| format!("line {n} password=hunter{n}2\n")).collect::<Vec<_>>().concat())
        }
        "good" if is_searched => (StatusCode::OK, SERVICE.into()),
        "good" if is_asked && query["tailLines"] == "2" && query["sinceTime"].ends_with('Z') => {
            (StatusCode::OK, "one\ntwo\n".into())
        }
        "good" => (StatusCode::BAD_REQUEST, format!("query: unexpected {query:?}")),
        "old" => (StatusCode::OK, "<!doctype html>\n<pre>\n<a href=\"pods/\">pods/</a>\n</pre>\n".into()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "logs endpoint is disabled.".into()),
    }
}

#[tokio::test]
async fn lines_come_as_they_were_asked_for_and_without_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/api/v1/nodes/{node}/proxy/logs/", get(kubelet));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = Folder::new();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "users": [{"name": "x", "user": {}}],
    });
    let file = folder.write("kubeconfig", &kubeconfig.to_string());
    let config =
        format!("{ON}backends:\n  kubernetes:\n    clusters:\n      x:\n        kubeconfig: {}\n", file.display());
    let service = Service::start(&config).await;
    let query = json!({"name": "good", "query": "containerd", "start": "now-1h", "tail": 2});
    let answer = service.succeed(LOGS, query).await;
    println!("{}", answer.text);
    assert_eq!(answer.structured["lines"], json!(["one", "two"]));
    assert!(answer.text.contains("These are the last 2 lines"), "{}", answer.text);
    let search = async |pattern: &str| {
        service.succeed(LOGS, json!({"name": "good", "query": "containerd", "pattern": pattern})).await
    };
    // Nobody finds out by matching what is not shown.
    assert_eq!(search("hunter").await.structured["lines"], json!([]));
    assert_eq!(search("^t").await.structured["lines"], json!(["two", "three"]));
    let file = json!({"name": "good", "query": "/app.log", "pattern": "line [1-5]", "tail": 2});
    let answer = service.succeed(LOGS, file).await;
    println!("{}", answer.text);
    assert!(answer.text.starts_with("line 4 password=hidden-") && answer.text.contains("line 5"), "{}", answer.text);
    assert!(!answer.result.to_string().contains("hunter"), "{}", answer.result);
    let fail = async |arguments| service.fail(LOGS, arguments).await;
    let old = fail(json!({"name": "old"})).await;
    assert!(old.contains("enableSystemLogQuery is missing"), "{old}");
    let off = fail(json!({"name": "off"})).await;
    assert!(off.contains("logs endpoint is disabled.") && off.contains("enableSystemLogHandler is missing"), "{off}");
    let refused = fail(json!({"name": "good", "query": "nothing"})).await;
    assert!(refused.starts_with("the kubelet of good refuses it: query: unexpected"), "{refused}");
    let times = fail(json!({"name": "good", "query": "/app.log", "start": "now-1h"})).await;
    assert!(times.starts_with("start, end: "), "{times}");
    server.abort();
}
