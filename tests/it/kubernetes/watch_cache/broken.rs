//! Watches that break, fall silent, or go on from too old a version.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::*;
use crate::stack::cluster;

/// A service that reaches the cluster through a proxy, and a list that it keeps.
struct Broken {
    shop: Shop,
    proxy: Proxy,
    service: Service,
    arguments: Value,
    path: String,
}

impl Broken {
    async fn start(settings: &str) -> Option<Self> {
        let shop = Shop::empty().await?;
        let proxy = Proxy::start(shop.cluster).await;
        let service = Service::start(&keeping(&proxy.configuration(), settings)).await;
        let arguments = json!({"kind": "configmaps", "namespace": shop.namespace});
        let path = format!("/api/v1/namespaces/{}/configmaps", shop.namespace);
        warm(&service, &arguments).await;
        Some(Self { shop, proxy, service, arguments, path })
    }

    async fn make(&self, name: &str) {
        self.shop.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}")).await;
    }

    async fn list(&self) -> Vec<String> {
        names(&self.service.succeed(TOOL, self.arguments.clone()).await)
    }
}

#[tokio::test]
async fn a_list_that_is_kept_asks_nothing_of_the_api_server() {
    let Some(broken) = Broken::start("").await else { return };
    broken.proxy.seen("list", &broken.path);
    for _ in 0..10 {
        broken.list().await;
    }
    assert_eq!(broken.proxy.seen("list", &broken.path), 0);
}

#[tokio::test]
async fn while_a_watch_is_broken_the_api_server_is_asked() {
    let Some(broken) = Broken::start("").await else { return };
    broken.proxy.set(Watches::Break);
    eventually("the watch is known to be broken", async || {
        broken.list().await;
        (broken.proxy.seen("list", &broken.path) > 0).then_some(())
    })
    .await;
    for name in ["while-broken-a", "while-broken-b"] {
        broken.make(name).await;
        assert!(broken.list().await.contains(&name.to_owned()), "an answer is old");
    }
    broken.proxy.set(Watches::Work);
    let answer = warm(&broken.service, &broken.arguments).await;
    assert!(names(&answer).contains(&"while-broken-b".to_owned()), "what was missed is made up for: {}", answer.text);
}

#[tokio::test]
async fn a_watch_that_falls_silent_is_not_believed_for_long() {
    let Some(broken) = Broken::start(", most_stale_seconds: 4").await else { return };
    broken.proxy.set(Watches::AreMute);
    broken.make("unheard").await;
    until(&broken.service, &broken.arguments, |answer| names(answer).contains(&"unheard".to_owned())).await;
    broken.make("unheard-too").await;
    until(&broken.service, &broken.arguments, |answer| names(answer).contains(&"unheard-too".to_owned())).await;
    broken.proxy.set(Watches::Work);
    let answer = warm(&broken.service, &broken.arguments).await;
    assert!(names(&answer).contains(&"unheard-too".to_owned()), "{}", answer.text);
}

#[tokio::test]
async fn a_watch_from_too_old_a_version_begins_with_the_list_again() {
    let Some(broken) = Broken::start("").await else { return };
    broken.proxy.seen("watch", &broken.path);
    broken.proxy.set(Watches::AreOutdated);
    broken.make("outdated").await;
    until(&broken.service, &broken.arguments, |answer| names(answer).contains(&"outdated".to_owned())).await;
    let mut watches = 0;
    eventually("the list and its watch began again", async || {
        watches += broken.proxy.seen("watch", &broken.path);
        (watches > 1).then_some(())
    })
    .await;
    let answer = warm(&broken.service, &broken.arguments).await;
    assert!(names(&answer).contains(&"outdated".to_owned()), "{}", answer.text);
}

/// Where a list went on from a watch, it goes on from the API server when the watch is gone.
#[tokio::test]
async fn a_page_from_a_watch_goes_on_without_it() {
    let Some(broken) = Broken::start("").await else { return };
    for number in 0..7 {
        broken.make(&format!("part-{number}")).await;
    }
    let mut arguments = broken.arguments.clone();
    arguments["limit"] = json!(3);
    let first = until(&broken.service, &arguments, |answer| answer.structured["total"] == 8).await;
    let first = if kept_answers(&broken.service).await > 0 { warm(&broken.service, &arguments).await } else { first };
    broken.proxy.set(Watches::Break);
    eventually("the watch is known to be broken", async || {
        broken.list().await;
        (broken.proxy.seen("list", &broken.path) > 0).then_some(())
    })
    .await;
    let mut found = names(&first);
    let mut answer = first;
    while let Some(cursor) = answer.structured.get("cursor") {
        arguments["cursor"] = cursor.clone();
        answer = broken.service.succeed(TOOL, arguments.clone()).await;
        assert_eq!(answer.structured["total"], 8, "{}", answer.text);
        found.extend(names(&answer));
    }
    let mut wanted: Vec<_> = (0..7).map(|number| format!("part-{number}")).collect();
    wanted.insert(0, "kube-root-ca.crt".into());
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_cursor_reaches_every_row_though_what_it_goes_on_from_is_compacted() {
    let Some(cluster) = cluster().await else { return };
    let second = cluster.second().await.unwrap();
    let api = second.api(Identity::Administrator).unwrap();
    let made = api.request(Method::POST, "/api/v1/namespaces").json(&json!({"metadata": {"generateName": "part-"}}));
    let made: Value = made.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let namespace = made["metadata"]["name"].as_str().unwrap();
    let make = async |name: &str| {
        let map = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        api.apply(namespace, &map).await.unwrap();
    };
    for number in 0..7 {
        make(&format!("part-{number}")).await;
    }
    let config = format!(
        "backends:\n  kubernetes:\n    clusters:\n      second:\n        kubeconfig: {}\n",
        second.kubeconfig(Identity::Administrator).display()
    );
    let service = Service::start(&config).await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?limit=3");
    let mut wanted: Vec<_> = (0..7).map(|number| format!("part-{number}")).collect();
    for view in ["table", "full", "yaml"] {
        let mut arguments = json!({"kind": "configmaps", "namespace": namespace, "view": view, "limit": 3});
        let mut answer = service.succeed(TOOL, arguments.clone()).await;
        let token = api.get(&path).await.unwrap()["metadata"]["continue"].as_str().unwrap().to_owned();
        let late = format!("part-7-{view}");
        make(&late).await;
        wanted.push(late);
        wanted.sort();
        cluster.compact().await.unwrap();
        let refused = api.get(&format!("{path}&continue={token}")).await.unwrap_err();
        assert!(refused.starts_with("410 ") && refused.contains("is too old"), "{refused}");
        let mut found = names(&answer);
        while let Some(cursor) = answer.structured.get("cursor") {
            arguments["cursor"] = cursor.clone();
            answer = service.succeed(TOOL, arguments.clone()).await;
            found.extend(names(&answer));
        }
        assert_eq!(found, wanted, "all rows of view {view}, as they are now");
    }
}

#[tokio::test]
async fn a_list_that_is_read_whole_goes_on_though_it_is_compacted_between_its_parts() {
    let Some(cluster) = cluster().await else { return };
    let api = cluster.second().await.unwrap().api(Identity::Administrator).unwrap();
    let made = api.request(Method::POST, "/api/v1/namespaces").json(&json!({"metadata": {"generateName": "part-"}}));
    let made: Value = made.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let namespace = made["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let make = |number: usize| {
        let body = json!({"metadata": {"name": format!("part-{number:04}")}});
        let request = api.request(Method::POST, &path).json(&body);
        async move { request.send().await.unwrap().error_for_status().unwrap() }
    };
    stream::iter(0..1_200).map(make).buffer_unordered(16).collect::<Vec<_>>().await;
    let proxy = Proxy::forgetful(cluster).await;
    let service = Service::start(&proxy.configuration()).await;
    proxy.seen("list", &path);
    let search = json!({"query": "part-", "kinds": ["configmaps"], "namespace": namespace, "limit": 1});
    let answer = service.succeed("kubernetes_search_resources", search).await;
    assert_eq!(answer.structured["total"], 1_200, "{}", answer.text);
    assert_eq!(proxy.seen("list", &path), 5, "two of three parts were refused once");
    let sorted =
        json!({"kind": "configmaps", "namespace": namespace, "columns": [".data"], "sort_by": "-name", "limit": 1});
    let answer = service.succeed(TOOL, sorted).await;
    assert_eq!(answer.structured["total"], 1_200, "{}", answer.text);
    assert_eq!(names(&answer), ["part-1199"]);
}
