//! What tools say when they are asked for what is not there or cannot be.

use serde_json::{Value, json};

use super::Shop;
use super::pods::mighty;

/// Tool, arguments, and what the refusal has to say.
type Case = (&'static str, Value, &'static str);

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_can() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = mighty(&shop, "").await;
    let namespace = &shop.namespace;
    let web = |more: Value| {
        let mut all = json!({"kind": "deployment", "name": "web", "namespace": namespace});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}";
    let unknown = "{apiVersion: example.org/v1, kind: Nothing, metadata: {name: n}}";
    let cases: Vec<Case> = vec![
        ("kubernetes_get_api_resources", json!({"view": "all"}), "view: \"all\" is not one of resources, versions"),
        (
            "kubernetes_check_permissions",
            json!({"verb": "list", "kind": "nothings"}),
            "kind: this cluster serves no `nothings`",
        ),
        (
            "kubernetes_cordon_node",
            json!({"name": "http:node-a:22"}),
            "name: `http:node-a:22` is not the name of a node",
        ),
        (
            "kubernetes_restart_workload",
            web(json!({"wait": true, "timeout_seconds": 3601})),
            "timeout_seconds: 3601 is not a whole number from 1 to 3600",
        ),
        (
            "kubernetes_control_rollout",
            web(json!({"action": "stop"})),
            "action: \"stop\" is not one of undo, pause, resume",
        ),
        (
            "kubernetes_control_rollout",
            web(json!({"action": "undo", "kind": "configmap"})),
            "kind: a ConfigMap has no rollouts; give a Deployment, StatefulSet or DaemonSet",
        ),
        (
            "kubernetes_control_rollout",
            web(json!({"action": "undo", "kind": "nothing"})),
            "kind: this cluster serves no `nothing`",
        ),
        (
            "kubernetes_control_rollout",
            web(json!({"action": "undo", "revision": 99})),
            "revision: there is no 99; there are 1",
        ),
        ("kubernetes_apply", json!({"manifests": map, "namespace": "nowhere"}), "namespaces \"nowhere\" not found"),
        (
            "kubernetes_diff_manifests",
            json!({"manifests": unknown, "namespace": namespace}),
            "line 1: this cluster serves no Nothing of example.org/v1",
        ),
        (
            "kubernetes_diff_manifests",
            json!({"manifests": "a: [", "namespace": namespace}),
            "manifests: this is not YAML: ",
        ),
        ("kubernetes_diff_manifests", json!({"manifests": map}), "line 1: ConfigMap m names no namespace"),
        ("kubernetes_get_cluster_overview", json!({"namespace": "nowhere"}), "has no namespace `nowhere`; there are "),
        (
            "kubernetes_explain_resource",
            json!({"kind": "pods", "depth": 99}),
            "depth: 99 is not a whole number from 1 to 6",
        ),
    ];
    for (tool, arguments, expected) in cases {
        let refused = service.fail(tool, arguments).await;
        assert!(refused.contains(expected), "{tool}: {refused}");
    }
}

#[tokio::test]
async fn where_nothing_is_there_the_answer_says_where_it_was_looked_for() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.cluster.usage().await.unwrap();
    let namespace = &shop.namespace;
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}";
    let cases: Vec<Case> = vec![
        (
            "kubernetes_list_resources",
            json!({"kind": "pods", "namespace": "nowhere"}),
            "There may be some in other namespaces than `nowhere`",
        ),
        ("kubernetes_get_resource_usage", json!({"namespace": namespace, "name": "nothing-*"}), "Nothing found"),
        (
            "kubernetes_wait_for_resource",
            json!({"kind": "pod", "name": "never", "namespace": namespace, "timeout_seconds": 1}),
            "nothing was there",
        ),
        (
            "kubernetes_diff_manifests",
            json!({"manifests": map, "namespace": "nowhere"}),
            "0 created, 0 changed, 0 the same, 1 refused",
        ),
    ];
    for (tool, arguments, expected) in cases {
        let answer = shop.service.succeed(tool, arguments).await;
        assert!(answer.text.contains(expected), "{tool}: {}", answer.text);
    }
}
