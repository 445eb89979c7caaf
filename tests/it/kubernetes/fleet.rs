//! One question to several clusters.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Shop;
use crate::cluster::{Api, Identity};
use crate::harness::{Folder, Service, free_port};

/// The tools that can be asked of several clusters, with arguments that each cluster can answer.
fn questions(namespace: &str) -> [(&'static str, Value); 9] {
    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: fleet}, data: {place: nowhere}}";
    [
        ("kubernetes_list_resources", json!({"kind": "configmaps", "namespace": namespace})),
        ("kubernetes_search_resources", json!({"query": "fleet", "kinds": ["configmaps"], "namespace": namespace})),
        ("kubernetes_get_events", json!({"namespace": namespace})),
        ("kubernetes_get_node_status", json!({})),
        ("kubernetes_get_cluster_overview", json!({})),
        ("kubernetes_check_permissions", json!({"verb": "list", "kind": "pods", "namespace": namespace})),
        ("kubernetes_get_resource_usage", json!({"scope": "nodes"})),
        ("kubernetes_get_unhealthy_resources", json!({"namespace": namespace})),
        ("kubernetes_diff_manifests", json!({"manifests": manifest, "namespace": namespace})),
    ]
}

/// Two clusters that answer and one that does not, with a `ConfigMap` named `fleet` in the same namespace of both.
async fn fleet(shop: &Shop, folder: &Folder) -> Service {
    let second = shop.cluster.second().await.unwrap();
    let other: Api = second.api(Identity::Administrator).unwrap();
    let namespace = &shop.namespace;
    other
        .apply(namespace, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"))
        .await
        .unwrap();
    for (api, place) in [(&shop.api, "first"), (&other, "second")] {
        let map = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: fleet}}, data: {{place: {place}}}}}");
        api.apply(namespace, &map).await.unwrap();
    }
    let gone = folder.write(
        "gone.kubeconfig",
        &format!(
            "{{apiVersion: v1, kind: Config, current-context: gone, users: [{{name: nobody, user: {{token: none}}}}], \
             clusters: [{{name: gone, cluster: {{server: \"https://127.0.0.1:{}\"}}}}], \
             contexts: [{{name: gone, context: {{cluster: gone, user: nobody}}}}]}}",
            free_port()
        ),
    );
    let first = shop.cluster.first.kubeconfig(Identity::Administrator);
    let files = [("first", first), ("second", second.kubeconfig(Identity::Administrator)), ("gone", gone)];
    let clusters: Vec<_> =
        files.iter().map(|(name, file)| format!("{name}: {{kubeconfig: \"{}\"}}", file.display())).collect();
    Service::start(&format!("backends: {{kubernetes: {{clusters: {{{}}}}}}}\n", clusters.join(", "))).await
}

#[tokio::test]
async fn all_clusters_are_asked_at_once_and_one_that_is_gone_is_named() {
    let Some(shop) = Shop::empty().await else { return };
    shop.cluster.usage().await.unwrap();
    let folder = Folder::new();
    let service = fleet(&shop, &folder).await;
    for (tool, mut arguments) in questions(&shop.namespace) {
        arguments["cluster"] = "*".into();
        let answer = service.succeed(tool, arguments.clone()).await;
        println!("== {tool}\n{}\n", answer.text);
        // Cannot be reached, or is left alone since it could not be reached a moment ago.
        assert!(answer.text.contains("gone failed: kubernetes/gone "), "{tool}: {}", answer.text);

        arguments["cluster"] = json!(["first", "nowhere"]);
        let partly = service.succeed(tool, arguments).await;
        let told = "nowhere failed: cluster: there is no kubernetes `nowhere`; configured: first, gone, second";
        assert!(partly.text.contains(told), "{tool}: {}", partly.text);
    }
}

#[tokio::test]
async fn rows_of_several_clusters_say_where_they_are_from() {
    let Some(shop) = Shop::empty().await else { return };
    let folder = Folder::new();
    let service = fleet(&shop, &folder).await;
    let both = json!({"kind": "cm", "namespace": shop.namespace, "fields": "metadata.name=fleet", "cluster": ["first", "second"]});
    let answer = service.succeed("kubernetes_list_resources", both).await;
    println!("{}", answer.text);
    let rows = answer.structured["rows"].as_array().unwrap();
    let mut clusters: Vec<_> = rows.iter().map(|row| row["cluster"].as_str().unwrap()).collect();
    clusters.sort_unstable();
    assert_eq!(clusters, ["first", "second"], "{}", answer.text);

    let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: fleet}, data: {place: second}}";
    let arguments = json!({"manifests": manifest, "namespace": shop.namespace, "cluster": ["first", "second"]});
    let diff = service.succeed("kubernetes_diff_manifests", arguments).await;
    println!("{}", diff.text);
    assert!(diff.text.contains("place: first") && diff.text.contains("place: second"), "{}", diff.text);
}

#[tokio::test]
async fn a_tool_that_asks_one_cluster_wants_its_name_where_there_are_several() {
    let Some(shop) = Shop::empty().await else { return };
    let folder = Folder::new();
    let service = fleet(&shop, &folder).await;
    let get =
        |cluster: Value| json!({"kind": "cm", "names": ["fleet"], "namespace": shop.namespace, "cluster": cluster});
    let unnamed = service.fail("kubernetes_get_resource", get(Value::Null)).await;
    assert!(unnamed.contains("cluster") && unnamed.contains("first") && unnamed.contains("second"), "{unnamed}");
    let all = service.fail("kubernetes_get_resource", get("*".into())).await;
    assert!(all.contains("cluster"), "{all}");
    let second = service.succeed("kubernetes_get_resource", get("second".into())).await;
    assert!(second.text.contains("place: second"), "{}", second.text);
}

#[tokio::test]
async fn a_cluster_that_hangs_holds_nobody_up_beyond_its_own_deadline() {
    let Some(shop) = Shop::empty().await else { return };
    // Takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = Folder::new();
    let kubeconfig = folder.write(
        "silent.kubeconfig",
        &format!(
            "{{apiVersion: v1, kind: Config, current-context: silent, users: [{{name: nobody, user: {{token: none}}}}], \
             clusters: [{{name: silent, cluster: {{server: \"http://{}\"}}}}], \
             contexts: [{{name: silent, context: {{cluster: silent, user: nobody}}}}]}}",
            silent.local_addr().unwrap()
        ),
    );
    let first = shop.cluster.first.kubeconfig(Identity::Administrator);
    let service = Service::start(&format!(
        "backends: {{kubernetes: {{clusters: {{first: {{kubeconfig: \"{}\"}}, \
         silent: {{kubeconfig: \"{}\", timeout_seconds: 1}}}}}}}}\n",
        first.display(),
        kubeconfig.display()
    ))
    .await;
    let started = Instant::now();
    let answer = service.succeed("kubernetes_list_resources", json!({"kind": "namespaces", "cluster": "*"})).await;
    println!("{}", answer.text);
    assert!(answer.text.contains("kubernetes/silent did not answer within 1 s"), "{}", answer.text);
    assert!(answer.text.contains(&shop.namespace), "{}", answer.text);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
