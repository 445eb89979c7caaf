//! `kubernetes_delete_resource`.

use serde_json::json;

use super::super::{Shop, is_ready};
use super::plan;

const TOOL: &str = "kubernetes_delete_resource";

#[tokio::test]
async fn a_dry_run_shows_what_goes_with_an_object() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    shop.until_pods("web", is_ready).await;
    let mut arguments = json!({"kind": "deploy", "names": ["web"], "namespace": shop.namespace, "dry_run": true});
    let shown = service.succeed(TOOL, arguments.clone()).await;
    println!("{}", shown.text);
    assert!(shown.text.contains("With them go:") && shown.text.contains("2 Pod: web-"), "{}", shown.text);
    assert_eq!(shown.structured["dependents"]["ReplicaSet"].as_array().unwrap().len(), 1, "{shown:?}");
    arguments.as_object_mut().unwrap().remove("dry_run");
    arguments["plan"] = json!(plan(&shown.text));
    let done = service.succeed(TOOL, arguments).await;
    assert!(done.text.contains("web: deleted") || done.text.contains("web: pending"), "{}", done.text);
}

#[tokio::test]
async fn a_selector_that_matches_too_much_is_refused() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    for number in 0..3 {
        shop.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: x{number}, labels: {{a: b}}}}}}"))
            .await;
    }
    let mut arguments = json!({"kind": "cm", "labels": "a=b", "namespace": shop.namespace, "limit": 2});
    let refused = service.fail(TOOL, arguments.clone()).await;
    assert!(refused.contains("3 configmaps match these labels, more than 2"), "{refused}");
    arguments["limit"] = json!(3);
    let done = service.succeed(TOOL, arguments).await;
    assert_eq!(done.structured["rows"].as_array().unwrap().len(), 3, "{done:?}");
    assert!(shop.api.get(&shop.path("configmaps/x0")).await.is_err());
}

#[tokio::test]
async fn finalizers_that_hold_an_object_are_named_and_missing_names_are_told() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    shop.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [shop.example.org/x]}}").await;
    let arguments = json!({"kind": "cm", "names": ["held", "gone"], "namespace": shop.namespace});
    let done = service.succeed(TOOL, arguments).await;
    assert!(done.text.contains("held: pending; finalizers shop.example.org/x"), "{}", done.text);
    assert!(done.text.contains("gone: missing"), "{}", done.text);
    shop.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: []}}").await;
    let arguments = json!({"kind": "cm", "names": ["held"], "namespace": shop.namespace, "wait": true});
    service.succeed(TOOL, arguments).await;
    assert!(shop.api.get(&shop.path("configmaps/held")).await.is_err());
}

#[tokio::test]
async fn a_plan_deletes_only_the_object_that_it_showed() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: twin}}";
    shop.apply(object).await;
    let arguments = json!({"kind": "cm", "names": ["twin"], "namespace": shop.namespace});
    let mut dry = arguments.clone();
    dry["dry_run"] = json!(true);
    let plan = plan(&service.succeed(TOOL, dry).await.text);
    service.succeed(TOOL, arguments.clone()).await;
    shop.apply(object).await;
    let mut planned = arguments;
    planned["plan"] = json!(plan);
    let done = service.succeed(TOOL, planned).await;
    assert!(done.text.contains("twin: replaced"), "{}", done.text);
    shop.object("configmaps/twin").await;
}

#[tokio::test]
async fn a_namespace_goes_only_with_a_plan_that_shows_what_is_in_it() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let mut arguments = json!({"kind": "ns", "names": [shop.namespace]});
    let refused = service.fail(TOOL, arguments.clone()).await;
    assert!(refused.contains("call with dry_run first"), "{refused}");
    arguments["dry_run"] = json!(true);
    let shown = service.succeed(TOOL, arguments.clone()).await;
    assert!(shown.text.contains("6 Deployment") && shown.text.contains("2 Coupon"), "{}", shown.text);
    arguments.as_object_mut().unwrap().remove("dry_run");
    arguments["plan"] = json!(plan(&shown.text));
    let done = service.succeed(TOOL, arguments).await;
    assert!(done.text.contains("pending"), "{}", done.text);
}

#[tokio::test]
async fn wrong_arguments_delete_nothing() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let fail = async |arguments| service.fail(TOOL, arguments).await;
    assert!(fail(json!({"kind": "cm", "namespace": shop.namespace})).await.contains("say what to delete"));
    let blank = fail(json!({"kind": "cm", "namespace": shop.namespace, "labels": " "})).await;
    assert!(blank.contains("an empty selector would match everything"), "{blank}");
    assert!(fail(json!({"kind": "cm", "names": ["a"]})).await.contains("namespace: needed"));
    assert!(fail(json!({"kind": "cmz", "names": ["a"]})).await.contains("serves no `cmz`"));
    let weak = shop.weak_destroyer().await;
    let refused = weak.fail(TOOL, json!({"kind": "cm", "names": ["a"], "namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot"), "{refused}");
}
