//! The tools of `kubernetes/pods`.

use std::net::{IpAddr, UdpSocket};

use axum::Router;
use axum::http::Uri;
use axum::response::Redirect;
use axum::routing::get;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Shop, configuration, is_ready};
use crate::cluster::{Identity, eventually};
use crate::harness::{Answer, Service};

const LOGS: &str = "kubernetes_get_pod_logs";
const USAGE: &str = "kubernetes_get_resource_usage";
const EXEC: &str = "kubernetes_pod_exec";
const PORT: &str = "kubernetes_request_port";

/// A service that may do everything, with these settings of Kubernetes besides.
pub(super) async fn mighty(shop: &Shop, settings: &str) -> Service {
    Service::start(&mighty_configuration(shop, Identity::Administrator, settings)).await
}

fn mighty_configuration(shop: &Shop, identity: Identity, settings: &str) -> String {
    format!(
        "allow: destroy\ntools:\n  \"on\": [\"*\", {EXEC}, {PORT}, kubernetes_get_node_logs]\n{}{settings}",
        configuration(shop.cluster, identity)
    )
}

fn lines(answer: &Answer) -> Vec<&str> {
    answer.structured["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[tokio::test]
async fn logs_of_all_pods_of_a_workload_come_as_one_without_secrets() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let ask = async |arguments: Value| {
        let mut all = json!({"namespace": shop.namespace});
        all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        shop.service.succeed(LOGS, all).await
    };
    let answer = ask(json!({"workload": "deployment/web"})).await;
    println!("{}", answer.text);
    assert_eq!(lines(&answer).len(), 24, "{}", answer.text);
    assert_eq!(answer.structured["sources"].as_array().unwrap().len(), 2, "{}", answer.text);
    assert!(answer.text.contains("postgres://shop:hidden-"), "{}", answer.text);
    assert!(!answer.result.to_string().contains("hunter2"), "{}", answer.text);

    let found = ask(json!({"labels": "app=web", "grep": "ERROR", "context": 1, "pods": 1, "timestamps": true})).await;
    println!("{}", found.text);
    let found = lines(&found);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].contains("Z ERROR POST /cart 500"), "{found:?}");

    let secret = ask(json!({"workload": "service/web", "grep": "hunter"})).await;
    assert_eq!(lines(&secret), [""; 0], "what is not shown cannot be found");
    let without = ask(json!({"labels": "app=web", "exclude": "INFO|WARN", "pods": 1})).await;
    assert_eq!(lines(&without), ["ERROR POST /cart 500 payment provider refused the connection"]);
}

#[tokio::test]
async fn the_cursor_leads_to_older_lines_until_there_are_none() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let mut arguments = json!({"namespace": shop.namespace, "workload": "deploy/web", "tail": 5});
    let mut all = Vec::new();
    for _ in 0..9 {
        let answer = shop.service.succeed(LOGS, arguments.clone()).await;
        let mut page: Vec<String> = lines(&answer).into_iter().map(str::to_owned).collect();
        page.append(&mut all);
        all = page;
        let Some(cursor) = answer.structured.get("cursor") else { break };
        arguments["cursor"] = cursor.clone();
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 24, "{all:#?}");
    let whole = shop.service.succeed(LOGS, json!({"namespace": shop.namespace, "workload": "deploy/web"})).await;
    let mut whole = lines(&whole);
    whole.sort_unstable();
    assert_eq!(all, whole);
}

#[tokio::test]
async fn the_log_before_the_last_restart_can_be_read_and_times_limit_it() {
    let Some(shop) = Shop::seeded().await else { return };
    let restarted = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0);
    shop.until_pods("checkout", restarted).await;
    let arguments = json!({"namespace": shop.namespace, "workload": "deploy/checkout", "previous": true});
    let answer = shop.service.succeed(LOGS, arguments).await;
    assert_eq!(lines(&answer).last(), Some(&"panic: no payment provider is reachable"), "{}", answer.text);
    let arguments = json!({"namespace": shop.namespace, "workload": "deploy/checkout", "start": "now+1h"});
    let answer = shop.service.succeed(LOGS, arguments).await;
    assert_eq!(lines(&answer), [""; 0], "{}", answer.text);
    let arguments = json!({"namespace": shop.namespace, "workload": "deploy/checkout", "end": "2020-01-01T00:00:00Z"});
    let answer = shop.service.succeed(LOGS, arguments).await;
    assert_eq!(lines(&answer), [""; 0], "{}", answer.text);
}

#[tokio::test]
async fn mistakes_about_logs_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let fail = async |mut arguments: Value| {
        arguments["namespace"] = shop.namespace.clone().into();
        shop.service.fail(LOGS, arguments).await
    };
    assert!(fail(json!({})).await.starts_with("give one of `pod`, `workload`"));
    let unknown = fail(json!({"pod": "web-x"})).await;
    assert!(unknown.contains("there is no pod `web-x`") && unknown.contains("there are web-"), "{unknown}");
    let unknown = fail(json!({"workload": "deployment/web-shop"})).await;
    assert!(unknown.contains("there is no Deployment `web-shop`") && unknown.contains("checkout"), "{unknown}");
    let kind = fail(json!({"workload": "configmap/settings"})).await;
    assert!(kind.contains("a ConfigMap selects no pods"), "{kind}");
    let wrong = fail(json!({"workload": "carrot/x"})).await;
    assert!(wrong.contains("serves no `carrot`"), "{wrong}");
    let container = fail(json!({"workload": "deploy/web", "container": ["sidecar"]})).await;
    assert_eq!(container, "container: there is no `sidecar`; there are web");
    let pattern = fail(json!({"labels": "app=web", "grep": "(["})).await;
    assert!(pattern.starts_with("grep: not a regular expression that can be used"), "{pattern}");
    let nobody = fail(json!({"labels": "app=nobody"})).await;
    assert!(nobody.contains("no pods of `app=nobody`"), "{nobody}");
    let weak = shop.weak().await.fail(LOGS, json!({"namespace": shop.namespace, "labels": "app=web"})).await;
    assert!(weak.contains("User \"viewer\" cannot list resource \"pods\""), "{weak}");
}

#[tokio::test]
async fn usage_is_set_against_requests_and_limits() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    shop.cluster.usage().await.unwrap();
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods?labelSelector=app%3Dweb", shop.namespace);
    let is_known = |found: &Value| found["items"].as_array().is_some_and(|pods| pods.len() == 2);
    shop.api.until(&path, is_known).await.unwrap();
    let arguments = json!({"namespace": shop.namespace, "labels": "app=web", "sort_by": "memory_percent"});
    let answer = shop.service.succeed(USAGE, arguments).await;
    println!("{}", answer.text);
    let common = &answer.structured["common"];
    assert_eq!(common["memory"], "96Mi", "{}", answer.text);
    assert_eq!(common["memory_percent_of_request"], 150, "{}", answer.text);
    assert_eq!(common["memory_percent_of_limit"], 75, "{}", answer.text);
    let containers = json!({"namespace": shop.namespace, "scope": "containers", "name": "web-*", "limit": 1});
    let answer = shop.service.succeed(USAGE, containers).await;
    assert!(answer.text.contains("The highest 1 of 2"), "{}", answer.text);
    let nodes = shop.service.succeed(USAGE, json!({"scope": "nodes"})).await;
    println!("{}", nodes.text);
    assert_eq!(nodes.structured["rows"].as_array().unwrap().len(), 3, "{}", nodes.text);
    let weak = shop.weak().await.fail(USAGE, json!({"namespace": shop.namespace})).await;
    assert!(weak.contains("User \"viewer\" cannot list resource \"pods\""), "{weak}");
    let wrong = shop.service.fail(USAGE, json!({"scope": "nodes", "namespace": "default"})).await;
    assert_eq!(wrong, "namespace: nodes are not in namespaces; leave it out");
}

#[tokio::test]
async fn without_a_metrics_api_the_query_is_told_that_would_serve() {
    let Some(shop) = Shop::empty().await else { return };
    let second = shop.cluster.second().await.unwrap();
    let kubeconfig = second.kubeconfig(Identity::Administrator);
    let configuration =
        format!("backends:\n  kubernetes:\n    clusters:\n      bare:\n        kubeconfig: {}\n", kubeconfig.display());
    let service = Service::start(&configuration).await;
    let refused = service.fail(USAGE, json!({"namespace": "shop", "name": "web-*", "limit": 3})).await;
    assert!(refused.starts_with("kubernetes/bare has no metrics API"), "{refused}");
    let query = r#"topk(3, sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="",namespace="shop",pod=~"web\\-.*"}[5m])))"#;
    assert!(refused.ends_with(query), "{refused}");
}

#[tokio::test]
async fn permitted_commands_run_and_others_do_not() {
    let Some(shop) = Shop::seeded().await else { return };
    let pods = shop.until_pods("web", is_ready).await;
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let settings =
        "    commands: [[echo, \"**\"], [ls, \"/nowhere/*\"], [sleep, \"60\"], [seq, \"*\"], [no-such-program]]\n";
    let service = mighty(&shop, settings).await;
    let arguments = |command: &[&str]| json!({"pod": pod, "namespace": shop.namespace, "command": command});
    let said = service.succeed(EXEC, arguments(&["echo", "$HOME; ls", "password=planted"])).await;
    println!("{}", said.text);
    assert_eq!(said.structured["exit_code"], 0, "{}", said.text);
    let output = said.structured["output"].as_str().unwrap();
    assert!(output.starts_with("$HOME; ls password=hidden-") && !output.contains("planted"), "{}", said.text);
    let failed = service.succeed(EXEC, arguments(&["ls", "/nowhere/at/all"])).await;
    // kwok does not send the code as a kubelet would, so it stands in the message.
    assert!(failed.text.contains("exit status 2"), "{}", failed.text);
    assert!(failed.structured["errors"].as_str().unwrap().contains("No such file"), "{}", failed.text);
    let long = service.succeed(EXEC, arguments(&["seq", "100000"])).await;
    assert!(long.text.contains("Standard output was longer"), "{}", long.text);
    let mut slow = arguments(&["sleep", "60"]);
    slow["timeout_seconds"] = 1.into();
    let slow = service.succeed(EXEC, slow).await;
    assert!(slow.text.contains("It was still running after 1 s"), "{}", slow.text);
    let missing = service.call(EXEC, arguments(&["no-such-program"])).await;
    println!("{}", missing.text);
    let refused = service.fail(EXEC, arguments(&["ls", "/nowhere/../etc"])).await;
    assert!(refused.contains("this one may not be run; permitted are `echo **`"), "{refused}");
    let mut other = arguments(&["echo"]);
    other["container"] = "sidecar".into();
    let other = service.fail(EXEC, other).await;
    assert!(other.contains("there is no `sidecar`") && other.ends_with("there are web"), "{other}");
    let unknown = json!({"pod": "web-x", "namespace": shop.namespace, "command": ["echo"]});
    let unknown = service.fail(EXEC, unknown).await;
    assert!(unknown.contains("pods \"web-x\" not found"), "{unknown}");

    shop.apply(&crate::cluster::document("viewer.yaml").unwrap()).await;
    let weak = Service::start(&mighty_configuration(&shop, Identity::Viewer, settings)).await;
    let forbidden = weak.fail(EXEC, arguments(&["echo"])).await;
    assert!(forbidden.contains("pods/exec"), "{forbidden}");
    let off = mighty(&shop, "").await.fail(EXEC, arguments(&["echo"])).await;
    assert!(off.starts_with("no command may be run here"), "{off}");
}

#[tokio::test]
async fn ports_that_are_not_permitted_are_not_asked() {
    let Some(shop) = Shop::empty().await else { return };
    let port = 8080;
    shop.apply(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: outside}}, spec: {{ports: [{{name: http, port: {port}}}]}}}}"
    ))
    .await;
    let service = mighty(&shop, "    ports: [\"*/service/outside:http/*\"]\n").await;
    let ask =
        |path: &str| json!({"target": "service/outside", "namespace": shop.namespace, "port": "http", "path": path});
    let escape = service.fail(PORT, ask("/../../../secrets")).await;
    assert!(escape.starts_with("path: "), "{escape}");
    let mut other = ask("/healthz");
    other["port"] = port.to_string().into();
    let other = service.fail(PORT, other).await;
    assert!(other.contains("may not be sent requests; permitted are */service/outside:http/*"), "{other}");
    let mut wrong = ask("/healthz");
    wrong["target"] = "deployment/web".into();
    let wrong = service.fail(PORT, wrong).await;
    assert!(wrong.ends_with("is not pod/name or service/name"), "{wrong}");
    let mut verb = ask("/healthz");
    verb["method"] = "POST".into();
    assert!(service.fail(PORT, verb).await.contains("GET"));
    let settings = "    ports: [\"*/service/*:http/*\"]\n";
    let weak = Service::start(&mighty_configuration(&shop, Identity::Viewer, settings)).await;
    let forbidden = weak.fail(PORT, ask("/healthz")).await;
    assert!(forbidden.contains("services/proxy"), "{forbidden}");
    let nobody = mighty(&shop, settings).await;
    let mut unknown = ask("/");
    unknown["target"] = "service/nobody".into();
    let unknown = nobody.fail(PORT, unknown).await;
    assert!(unknown.contains("\"nobody\" not found"), "{unknown}");
}

/// What runs in the pod that is asked.
fn shop_front() -> Router {
    let health = get(async || ([("x-api-key", "planted")], "well, password=planted"));
    let moved = get(async || Redirect::temporary("http://elsewhere.example/"));
    let echo = get(async |uri: Uri| uri.to_string());
    Router::new().route("/healthz", health).route("/moved", moved).route("/echo", echo)
}

/// An address of this machine to which an API server sends requests: never loopback, which it refuses.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .connect("192.0.2.1:9")
        .expect("the API server asks pods at an address other than loopback, and this machine has none");
    socket.local_addr().unwrap().ip()
}

#[tokio::test]
async fn a_permitted_port_of_a_pod_and_of_its_service_answers_without_secrets() {
    let Some(shop) = Shop::empty().await else { return };
    let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, shop_front()).await });
    let port = address.port();
    shop.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: front, labels: {{app: front}}}}, spec: {{\
         containers: [{{name: front, image: front, ports: [{{name: http, containerPort: {port}}}]}}]}}}}\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: front}}, spec: {{selector: {{app: front}}, \
         ports: [{{name: http, port: 80, targetPort: {port}}}]}}}}"
    ))
    .await;
    shop.until_pods("front", is_ready).await;
    let ip = address.ip();
    let status = json!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}});
    let path = format!("/api/v1/namespaces/{}/pods/front/status", shop.namespace);
    let patch = shop.api.request(Method::PATCH, &path).header(CONTENT_TYPE, "application/merge-patch+json");
    let patched = patch.body(status.to_string()).send().await.unwrap();
    assert!(patched.status().is_success(), "{}", patched.text().await.unwrap());

    let service = mighty(&shop, "    ports: [\"*/pod/front:*/*\", \"*/service/front:http/*\"]\n").await;
    let ask = |target: &str, port: &str, path: &str| json!({"target": target, "namespace": shop.namespace, "port": port, "path": path});
    let well = service.succeed(PORT, ask("pod/front", &port.to_string(), "/healthz")).await;
    println!("{}", well.text);
    assert_eq!(well.structured["status"], 200, "{}", well.text);
    assert!(well.structured["body"].as_str().unwrap().starts_with("well, password=hidden-"), "{}", well.text);
    assert!(!well.result.to_string().contains("planted"), "{}", well.text);
    let query = service.succeed(PORT, ask("pod/front", &port.to_string(), "/echo?a=1&b=2%203")).await;
    assert_eq!(query.structured["body"], "/echo?a=1&b=2%203", "{}", query.text);
    let moved = service.succeed(PORT, ask("pod/front", &port.to_string(), "/moved")).await;
    assert_eq!(moved.structured["status"], 307, "{}", moved.text);
    let missing = service.succeed(PORT, ask("pod/front", &port.to_string(), "/nothing")).await;
    assert_eq!(missing.structured["status"], 404, "{}", missing.text);

    let through = eventually("the service has an endpoint", async || {
        let answer = service.call(PORT, ask("service/front", "http", "/healthz")).await;
        if answer.structured["status"] == 200 { Ok(answer) } else { Err(answer.text) }
    })
    .await
    .unwrap();
    assert!(through.structured["body"].as_str().unwrap().starts_with("well, "), "{}", through.text);
    server.abort();
}

#[tokio::test]
async fn guarded_tools_are_not_there_until_they_are_named() {
    let Some(shop) = Shop::empty().await else { return };
    let request = shop.service.modern("/mcp/kubernetes", "tools/list", json!({}));
    let (_, message) = crate::harness::read(request.send().await.unwrap()).await;
    let tools = message["result"]["tools"].as_array().unwrap();
    let is_there = |name: &str| tools.iter().any(|tool| tool["name"] == name);
    assert!(is_there(LOGS) && !is_there(EXEC) && !is_there(PORT), "{message}");
}
