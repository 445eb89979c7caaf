//! `kubernetes_scale_resource`.

use serde_json::json;

use super::super::Shop;
use super::super::change::plan;

const TOOL: &str = "kubernetes_scale_resource";

#[tokio::test]
async fn a_count_is_set_and_waited_for() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let arguments = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace, "replicas": 3, "wait": true});
    let scaled = service.succeed(TOOL, arguments).await;
    println!("{}", scaled.text);
    assert_eq!((&scaled.structured["before"], &scaled.structured["after"]), (&json!(2), &json!(3)), "{scaled:?}");
    assert_eq!(scaled.structured["ready"], 3, "{scaled:?}");
    assert!(scaled.text.contains("HorizontalPodAutoscaler `web` owns this count (2 to 6)"), "{}", scaled.text);
    let wrong = json!({
        "kind": "deploy", "name": "web", "namespace": shop.namespace, "replicas": 4, "current_replicas": 9
    });
    let refused = service.fail(TOOL, wrong).await;
    assert!(refused.contains("current_replicas: nothing was changed, since 3 replicas are wanted now"), "{refused}");
}

#[tokio::test]
async fn scaling_to_zero_needs_a_plan() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let mut arguments = json!({"kind": "deploy", "name": "checkout", "namespace": shop.namespace, "replicas": 0});
    assert!(service.fail(TOOL, arguments.clone()).await.contains("call with dry_run first"));
    arguments["dry_run"] = json!(true);
    let shown = service.succeed(TOOL, arguments.clone()).await;
    assert!(shown.text.contains("dry run: nothing was changed: 1 -> 0 replicas"), "{}", shown.text);
    assert_eq!(shop.object("apis/apps/v1:deployments/checkout").await["spec"]["replicas"], 1);
    arguments.as_object_mut().unwrap().remove("dry_run");
    arguments["plan"] = json!(plan(&shown.text));
    service.succeed(TOOL, arguments).await;
    assert_eq!(shop.object("apis/apps/v1:deployments/checkout").await["spec"]["replicas"], 0);
}

#[tokio::test]
async fn what_has_no_replicas_is_refused() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let with = |kind: &str, name: &str| json!({"kind": kind, "name": name, "namespace": shop.namespace, "replicas": 1});
    assert!(service.fail(TOOL, with("cm", "settings")).await.contains("a ConfigMap has no replicas to set"));
    assert!(service.fail(TOOL, with("deploy", "webb")).await.contains("there is web"));
    assert!(service.fail(TOOL, with("deployz", "web")).await.contains("serves no `deployz`"));
    let weak = shop.weak_destroyer().await.fail(TOOL, with("deploy", "web")).await;
    assert!(weak.contains("User \"viewer\" cannot"), "{weak}");
}
