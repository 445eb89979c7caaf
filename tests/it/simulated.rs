//! The cluster that Kubernetes tests share: what its servers and simulated nodes do.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cluster::{Api, Cluster, Identity, NODES, document};
use crate::harness::eventually;
use crate::stack::cluster;

/// A namespace of its own with the broken shop in it.
async fn shop(cluster: &Cluster) -> (Api, String) {
    let api = cluster.first.api(Identity::Administrator).unwrap();
    let namespace = api.namespace("shop").await.unwrap();
    for name in ["shop.yaml", "viewer.yaml"] {
        api.apply(&namespace, &document(name).unwrap()).await.unwrap();
    }
    (api, namespace)
}

/// The first pod of an application, as soon as it is as wanted.
async fn pod(api: &Api, namespace: &str, app: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{app}");
    let found = api.until(&path, |found| found["items"].get(0).is_some_and(&wanted)).await.unwrap();
    found["items"][0].clone()
}

fn ready(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["ready"] == true
}

#[tokio::test]
async fn pods_run_on_nodes_that_are_ready() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    api.until(&path, |web| web["status"]["readyReplicas"] == 2).await.unwrap();
    let web = pod(&api, &namespace, "web", ready).await;
    assert_eq!(web["status"]["phase"], "Running");
    assert!(NODES.contains(&web["spec"]["nodeName"].as_str().unwrap()), "{web}");
    assert!(web["status"]["podIP"].is_string(), "{web}");

    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let ready = |slice: &Value, service: &str| {
        let endpoints = slice["endpoints"].as_array().map_or(0, Vec::len);
        (slice["metadata"]["labels"]["kubernetes.io/service-name"] == service).then_some(endpoints)
    };
    let endpoints = |found: &Value, service: &str| {
        found["items"].as_array().unwrap().iter().filter_map(|slice| ready(slice, service)).sum::<usize>()
    };
    let found = api.until(&path, |found| endpoints(found, "web") == 2).await.unwrap();
    assert_eq!(endpoints(&found, "payments"), 0);

    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let name = web["metadata"]["name"].as_str().unwrap();
    let deleted = api.request(Method::DELETE, &format!("{pods}/{name}")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    api.until(&pods, |found| found["items"].as_array().unwrap().iter().all(|pod| pod["metadata"]["name"] != name))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_broken_in_the_shop_is_broken_as_on_real_nodes() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    let status = |pod: &Value| pod["status"]["containerStatuses"][0].clone();
    let waits = |reason: &'static str| move |pod: &Value| status(pod)["state"]["waiting"]["reason"] == reason;

    let checkout = pod(&api, &namespace, "checkout", waits("CrashLoopBackOff")).await;
    assert_eq!(status(&checkout)["lastState"]["terminated"]["exitCode"], 1);
    pod(&api, &namespace, "checkout", |pod| status(pod)["restartCount"].as_u64() > Some(1)).await;
    let thumbnails = pod(&api, &namespace, "thumbnails", waits("CrashLoopBackOff")).await;
    assert_eq!(status(&thumbnails)["lastState"]["terminated"]["reason"], "OOMKilled");
    let recommendations = pod(&api, &namespace, "recommendations", waits("ImagePullBackOff")).await;
    assert_eq!(recommendations["status"]["phase"], "Pending");
    let inventory = pod(&api, &namespace, "inventory", |pod| !ready(pod) && pod["status"]["phase"] == "Running").await;
    assert!(status(&inventory)["state"]["running"].is_object(), "{inventory}");
    let search = pod(&api, &namespace, "search", |pod| pod["status"]["conditions"][0]["reason"].is_string()).await;
    assert_eq!(search["status"]["conditions"][0]["reason"], "Unschedulable");

    for (path, pointer, value) in [
        (format!("/apis/batch/v1/namespaces/{namespace}/jobs/migrate"), "/status/failed", json!(1)),
        (format!("/apis/batch/v1/namespaces/{namespace}/jobs/import"), "/status/succeeded", json!(1)),
        (format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/orders"), "/status/phase", json!("Pending")),
        (
            format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/web"),
            "/status/disruptionsAllowed",
            json!(0),
        ),
        (format!("/apis/shop.example.org/v1/namespaces/{namespace}/coupons"), "/items/1/spec/percent", json!(10)),
    ] {
        api.until(&path, |found| found.pointer(pointer) == Some(&value)).await.unwrap();
    }

    let events = format!("/api/v1/namespaces/{namespace}/events");
    for reason in ["BackOff", "Failed", "Unhealthy", "FailedScheduling"] {
        let told = |found: &Value| found["items"].as_array().unwrap().iter().any(|event| event["reason"] == reason);
        api.until(&events, told).await.unwrap();
    }
}

#[tokio::test]
async fn logs_are_read_through_the_api_server() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    let log = async |app: &str, query: &str| {
        let pod = pod(&api, &namespace, app, |pod| pod["status"]["containerStatuses"][0].is_object()).await;
        let path =
            format!("/api/v1/namespaces/{namespace}/pods/{}/log?{query}", pod["metadata"]["name"].as_str().unwrap());
        let response = api.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    };
    assert!(log("web", "").await.starts_with("INFO starting, version 2.3.1\n"));
    assert_eq!(log("web", "tailLines=1").await, "INFO GET /products 200 10ms\n");
    assert!(log("checkout", "").await.contains("panic: no payment provider is reachable\n\ngoroutine 1"));
    let before = log("checkout", "previous=true&timestamps=true").await;
    let (time, line) = before.lines().next_back().unwrap().split_once(' ').unwrap();
    assert_eq!(line, "panic: no payment provider is reachable");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[tokio::test]
async fn a_command_runs_in_a_container() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    let web = pod(&api, &namespace, "web", ready).await;
    let name = web["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/exec?command=echo&command=hello&stdout=true");
    let response = api
        .request(Method::GET, &path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = response.upgrade().await.unwrap();
    let mut read = Vec::new();
    let hello = async {
        while !read.windows(6).any(|part| part == b"hello\n") {
            let mut part = [0; 1024];
            match tokio::io::AsyncReadExt::read(&mut stream, &mut part).await.unwrap() {
                0 => panic!("it said {}", String::from_utf8_lossy(&read)),
                length => read.extend_from_slice(&part[..length]),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hello).await.unwrap();
}

#[tokio::test]
async fn an_identity_may_do_what_its_roles_say() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    let other = api.namespace("other").await.unwrap();
    let viewer = cluster.first.api(Identity::Viewer).unwrap();
    let gateway = cluster.first.api(Identity::Gateway).unwrap();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    eventually("the viewer may look", async || {
        (status(viewer.request(Method::GET, &pods)).await == StatusCode::OK).then_some(())
    })
    .await;
    for path in [
        format!("/api/v1/namespaces/{other}/pods"),
        format!("/api/v1/namespaces/{namespace}/secrets/database"),
        "/api/v1/nodes".into(),
    ] {
        assert_eq!(status(viewer.request(Method::GET, &path)).await, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(status(viewer.request(Method::DELETE, &pods)).await, StatusCode::FORBIDDEN);
    assert_eq!(status(gateway.request(Method::GET, &pods)).await, StatusCode::FORBIDDEN);
    let for_viewer = |path: &str| gateway.request(Method::GET, path).header("Impersonate-User", "viewer");
    assert_eq!(status(for_viewer(&pods)).await, StatusCode::OK);
    assert_eq!(status(for_viewer("/api/v1/nodes")).await, StatusCode::FORBIDDEN);
    assert!(viewer.get("/api/v1/nodes").await.unwrap_err().starts_with("403 Forbidden: nodes is forbidden"));
    for identity in [Identity::Administrator, Identity::Viewer, Identity::Gateway] {
        let kubeconfig = std::fs::read_to_string(cluster.first.kubeconfig(identity)).unwrap();
        assert!(kubeconfig.contains(&cluster.first.url) && kubeconfig.contains(cluster.first.token(identity)));
    }
}

#[tokio::test]
async fn nodes_and_pods_tell_what_they_use() {
    let Some(cluster) = cluster().await else { return };
    let (api, namespace) = shop(cluster).await;
    cluster.usage().await.unwrap();
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector=app%3Dweb");
    let found = api.until(&path, |found| found["items"].as_array().is_some_and(|pods| pods.len() == 2)).await.unwrap();
    let usage = &found["items"][0]["containers"][0]["usage"];
    assert_eq!(usage["memory"], "96Mi", "{found}");
    let cpu = usage["cpu"].as_str().unwrap();
    let nanocores: u64 = cpu.strip_suffix('n').unwrap_or_else(|| panic!("{cpu}")).parse().unwrap();
    assert!((100_000_000..200_000_000).contains(&nanocores), "{cpu}");
}

#[tokio::test]
async fn a_second_server_has_the_same_users_and_none_of_the_things() {
    let Some(cluster) = cluster().await else { return };
    let (_, namespace) = shop(cluster).await;
    let second = cluster.second().await.unwrap();
    let api = second.api(Identity::Administrator).unwrap();
    assert_eq!(api.get("/api/v1/nodes").await.unwrap()["items"], json!([]));
    assert!(api.get(&format!("/api/v1/namespaces/{namespace}")).await.unwrap_err().starts_with("404 Not Found"));
    let refused = second.api(Identity::Viewer).unwrap().get("/api/v1/nodes").await.unwrap_err();
    assert!(refused.starts_with("403 Forbidden"), "{refused}");
}
