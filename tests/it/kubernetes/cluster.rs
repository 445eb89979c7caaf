//! The tools of `kubernetes/cluster`.

use serde_json::{Value, json};

use super::{Shop, is_ready};
use crate::cluster::document;
use crate::harness::eventually;

const RESOURCES: &str = "kubernetes_get_api_resources";
const EXPLAIN: &str = "kubernetes_explain_resource";
const PERMISSIONS: &str = "kubernetes_check_permissions";
const OVERVIEW: &str = "kubernetes_get_cluster_overview";

fn rows(structured: &Value) -> &Vec<Value> {
    structured["rows"].as_array().unwrap()
}

/// A cell, whether all rows share it or not.
fn cell<'a>(structured: &'a Value, place: usize, name: &str) -> &'a Value {
    let own = &structured["rows"][place][name];
    if own.is_null() { &structured["common"][name] } else { own }
}

#[tokio::test]
async fn kinds_are_found_by_group_and_part_of_their_name() {
    let Some(shop) = Shop::empty().await else { return };
    let answer = shop.service.succeed(RESOURCES, json!({"query": "deploy"})).await;
    println!("{}", answer.text);
    assert_eq!(rows(&answer.structured).len(), 1);
    assert_eq!(cell(&answer.structured, 0, "plural"), "deployments");
    assert_eq!(cell(&answer.structured, 0, "version"), "apps/v1");
    assert_eq!(cell(&answer.structured, 0, "verbs")[0], "all");
    let core = shop.service.succeed(RESOURCES, json!({"group": "", "namespaced": false})).await;
    let names: Vec<_> = rows(&core.structured).iter().map(|row| row["plural"].as_str().unwrap()).collect();
    assert!(names.contains(&"nodes") && !names.contains(&"pods") && !names.contains(&"clusterroles"), "{names:?}");
    let versions = shop.service.succeed(RESOURCES, json!({"view": "versions"})).await;
    println!("{}", versions.text);
    let has = |version: &str| rows(&versions.structured).iter().any(|row| row["version"] == version);
    assert!(has("v1") && has("apps/v1") && has("autoscaling/v2"), "{}", versions.text);
}

#[tokio::test]
async fn a_group_that_is_not_served_names_those_that_are() {
    let Some(shop) = Shop::empty().await else { return };
    let unknown = shop.service.fail(RESOURCES, json!({"group": "networking"})).await;
    assert!(
        unknown.starts_with("group: this cluster serves no `networking`; there are networking.k8s.io,"),
        "{unknown}"
    );
    let nothing = shop.service.succeed(RESOURCES, json!({"query": "zebra"})).await;
    assert!(nothing.text.contains("No kind fits"), "{}", nothing.text);
}

#[tokio::test]
async fn fields_are_explained_from_the_schema_of_the_cluster() {
    let Some(shop) = Shop::empty().await else { return };
    let explain = async |arguments| shop.service.succeed(EXPLAIN, arguments).await;
    let container = explain(json!({"kind": "deploy", "path": "spec.template.spec.containers"})).await;
    println!("{}", container.text);
    let field = |structured: &Value, name: &str| {
        rows(structured).iter().find(|row| row["field"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(container.structured["facts"]["type"], "[]object");
    assert_eq!(field(&container.structured, "name")["required"], true);
    assert_eq!(field(&container.structured, "env")["type"], "[]object");
    assert_eq!(field(&container.structured, "image")["type"], "string");
    let leaf = explain(json!({"kind": "pod", "path": ".spec.restartPolicy"})).await;
    println!("{}", leaf.text);
    assert_eq!(rows(&leaf.structured)[0]["type"], "string");
    assert!(leaf.text.contains("Always"), "{}", leaf.text);
    let deep = explain(json!({"kind": "Service", "depth": 2})).await;
    assert!(rows(&deep.structured).iter().any(|row| row["field"] == "spec.ports"), "{}", deep.text);
    let limits = explain(json!({"kind": "pod", "path": "spec.containers.resources.limits"})).await;
    assert!(limits.text.contains("map[string]"), "{}", limits.text);
}

#[tokio::test]
async fn fields_of_custom_kinds_are_explained_too() {
    let Some(shop) = Shop::seeded().await else { return };
    let answer = eventually("the schema of coupons", async || {
        let answer = shop.service.call(EXPLAIN, json!({"kind": "coupon", "path": "spec"})).await;
        (!answer.failed).then_some(answer)
    })
    .await;
    println!("{}", answer.text);
    assert_eq!(cell(&answer.structured, 0, "field"), "code");
    assert_eq!(cell(&answer.structured, 0, "required"), true);
    assert_eq!(cell(&answer.structured, 1, "type"), "integer");
}

#[tokio::test]
async fn a_field_that_is_not_there_names_those_that_are() {
    let Some(shop) = Shop::empty().await else { return };
    let unknown = shop.service.fail(EXPLAIN, json!({"kind": "deploy", "path": "spec.replica"})).await;
    assert!(unknown.starts_with("path: `spec` has no field `replica`; it has replicas,"), "{unknown}");
    let kind = shop.service.fail(EXPLAIN, json!({"kind": "deploymentz"})).await;
    assert!(kind.contains("Near it: `deployments.apps`"), "{kind}");
    let leaf = shop.service.fail(EXPLAIN, json!({"kind": "pod", "path": "spec.nodeName.x"})).await;
    assert_eq!(leaf, "path: `spec.nodeName` has no fields that the schema names");
    // What a cluster serves is open to everybody who is known there.
    let weak = shop.weak().await;
    weak.succeed(EXPLAIN, json!({"kind": "pod"})).await;
    weak.succeed(RESOURCES, json!({"query": "pod"})).await;
}

#[tokio::test]
async fn permissions_are_those_of_who_asks() {
    let Some(shop) = Shop::empty().await else { return };
    shop.apply(&document("viewer.yaml").unwrap()).await;
    let weak = shop.weak().await;
    let may = json!({"verb": "list", "kind": "pods", "namespace": shop.namespace});
    let answer = eventually("the role is known", async || {
        let answer = weak.succeed(PERMISSIONS, may.clone()).await;
        (answer.structured["rows"][0]["allowed"] == true).then_some(answer)
    })
    .await;
    println!("{}", answer.text);
    assert_eq!(answer.structured["facts"]["user"], "viewer");
    let secrets = json!({"verb": "get", "kind": "secrets", "namespace": shop.namespace});
    let answer = weak.succeed(PERMISSIONS, secrets).await;
    println!("{}", answer.text);
    assert_eq!(answer.structured["rows"][0]["allowed"], false);
    assert_eq!(answer.structured["rows"][0]["reason"], "no role of the cluster allows it");
    let everywhere = weak.succeed(PERMISSIONS, json!({"verb": "list", "kind": "pods"})).await;
    assert_eq!(everywhere.structured["rows"][0]["allowed"], false);
    let rules = weak.succeed(PERMISSIONS, json!({"namespace": shop.namespace, "cluster": "*"})).await;
    println!("{}", rules.text);
    assert!(rules.text.contains("configmaps") && rules.text.contains("get, list, watch"), "{}", rules.text);
    let verbs = weak.succeed(PERMISSIONS, json!({"kind": "deploy", "namespace": shop.namespace})).await;
    println!("{}", verbs.text);
    let allowed =
        |verb: &str| rows(&verbs.structured).iter().find(|row| row["verb"] == verb).unwrap()["allowed"].clone();
    assert_eq!((allowed("list"), allowed("delete")), (json!(true), json!(false)));
}

#[tokio::test]
async fn permissions_tell_what_this_server_itself_forbids() {
    let Some(shop) = Shop::empty().await else { return };
    let delete = json!({"verb": "delete", "kind": "pods", "namespace": shop.namespace});
    let answer = shop.service.succeed(PERMISSIONS, delete).await;
    println!("{}", answer.text);
    assert_eq!(answer.structured["rows"][0]["allowed"], false);
    assert!(
        answer.text.contains("this server grants its caller only `read`, and this needs `destroy`"),
        "{}",
        answer.text
    );
    let read = shop.service.succeed(PERMISSIONS, json!({"verb": "get", "kind": "pods", "subresource": "log"})).await;
    assert_eq!(read.structured["rows"][0]["allowed"], true, "{}", read.text);
    let fail = async |arguments| shop.service.fail(PERMISSIONS, arguments).await;
    let kind = fail(json!({"verb": "get"})).await;
    assert!(kind.starts_with("kind: needed with `verb`"), "{kind}");
    let part = fail(json!({"verb": "get", "kind": "pods", "subresource": "logs"})).await;
    assert!(part.starts_with("subresource: Pod has no `logs`; it has ") && part.contains("log"), "{part}");
    let namespace = fail(json!({"verb": "get", "kind": "nodes", "namespace": "default"})).await;
    assert_eq!(namespace, "namespace: Node is not in namespaces; leave it out");
}

#[tokio::test]
async fn an_overview_counts_what_is_there_and_what_is_wrong() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    shop.until_pods("recommendations", |pod| pod["status"]["containerStatuses"].is_array()).await;
    let arguments = json!({"namespace": shop.namespace, "view": "full"});
    // What crashes is ready for a moment first.
    let answer = eventually("the trouble in the shop", async || {
        let answer = shop.service.succeed(OVERVIEW, arguments.clone()).await;
        (rows(&answer.structured)[0]["trouble"].as_u64() >= Some(4)).then_some(answer)
    })
    .await;
    println!("{}", answer.text);
    let row = &rows(&answer.structured)[0];
    assert_eq!((&row["cluster"], &row["health"]), (&json!("first"), &json!("ok")));
    assert!(row["nodes"].as_str().unwrap().contains(" ready"), "{row}");
    assert!(row["pods"].as_str().unwrap().contains("Running"), "{row}");
    assert!(row["degraded"].as_str().unwrap().ends_with(" of 6"), "{row}");
    assert!(row["version"].as_str().unwrap().starts_with("v1."), "{row}");
    assert!(row["cpu_requested"].as_str().unwrap().ends_with('%'), "{row}");
    let problems = answer.structured["facts"]["problems"].to_string();
    assert!(problems.contains("/search (deployment): 0/1 ready"), "{problems}");
    assert_eq!(answer.structured["facts"]["namespaces"][0]["namespace"], shop.namespace.as_str());
    let all = shop.service.succeed(OVERVIEW, json!({"cluster": ["first"]})).await;
    println!("{}", all.text);
}

#[tokio::test]
async fn parts_of_an_overview_that_may_not_be_read_are_unknown() {
    let Some(shop) = Shop::empty().await else { return };
    let weak = shop.weak().await;
    let answer = weak.succeed(OVERVIEW, json!({})).await;
    println!("{}", answer.text);
    let row = &rows(&answer.structured)[0];
    for part in ["nodes", "pods", "degraded", "warnings", "cpu_requested", "memory_used"] {
        assert_eq!(row[part], "unknown", "{part}: {row}");
    }
    assert!(row["version"].as_str().unwrap().starts_with("v1."), "{row}");
    assert!(answer.text.contains("Unknown: nodes (not permitted)."), "{}", answer.text);
    let namespace = weak.fail(OVERVIEW, json!({"namespace": "a/b"})).await;
    assert_eq!(namespace, "namespace: `a/b` is not a name");
}
