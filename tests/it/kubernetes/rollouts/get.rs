//! `kubernetes_get_rollout`.

use serde_json::json;

use super::super::{Shop, is_ready};
use super::deployment;

const TOOL: &str = "kubernetes_get_rollout";

#[tokio::test]
async fn a_rollout_is_judged_with_the_pods_that_hold_it_up() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let healthy = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace});
    let wait = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace, "until": "rolled_out"});
    shop.service.succeed("kubernetes_wait_for_resource", wait).await;
    let healthy = shop.service.succeed(TOOL, healthy).await;
    assert_eq!(healthy.structured["status"], "complete", "{healthy:?}");
    assert_eq!(healthy.structured["counts"]["ready"], 2, "{healthy:?}");
    let pod = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].is_string();
    shop.until_pods("recommendations", pod).await;
    let broken = json!({"kind": "Deployment", "name": "recommendations", "namespace": shop.namespace});
    let broken = shop.service.succeed(TOOL, broken).await;
    println!("{}", broken.text);
    assert_eq!(broken.structured["status"], "progressing", "{broken:?}");
    let reason = broken.structured["blocking"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("container recommendations waits:"), "{reason}");
}

#[tokio::test]
async fn history_lists_revisions_and_shows_what_one_would_change() {
    let Some(shop) = Shop::empty().await else { return };
    for image in ["api:1", "api:2"] {
        shop.apply(&deployment(image)).await;
        let ready = json!({"kind": "deploy", "name": "api", "namespace": shop.namespace, "until": "rolled_out"});
        let waited = shop.service.succeed("kubernetes_wait_for_resource", ready).await;
        assert_eq!(waited.structured["outcome"], "met", "{waited:?}");
    }
    let arguments =
        json!({"kind": "deploy", "name": "api", "namespace": shop.namespace, "view": "history", "revision": 1});
    let shown = shop.service.succeed(TOOL, arguments).await;
    println!("{}", shown.text);
    let revisions = shown.structured["revisions"].as_array().unwrap();
    assert_eq!((&revisions[0]["revision"], &revisions[0]["current"]), (&json!(2), &json!(true)), "{shown:?}");
    assert_eq!(revisions[1]["images"], json!(["api:1"]), "{shown:?}");
    assert!(shown.text.contains("image: \"api:2\"") && shown.text.contains("image: \"api:1\""), "{}", shown.text);
    assert!(!shown.text.contains("planted") && shown.text.contains("hidden-"), "{}", shown.text);
}

#[tokio::test]
async fn mistakes_name_what_there_is() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let kind = fail(json!({"kind": "cm", "name": "settings", "namespace": shop.namespace})).await;
    assert_eq!(kind, "kind: a ConfigMap has no rollouts; give a Deployment, StatefulSet or DaemonSet");
    let missing = fail(json!({"kind": "deploy", "name": "webb", "namespace": shop.namespace})).await;
    assert!(missing.contains("no Deployment `webb`") && missing.contains("there is web"), "{missing}");
    let revision = fail(json!({
        "kind": "deploy", "name": "web", "namespace": shop.namespace, "view": "history", "revision": 7
    }));
    assert!(revision.await.contains("revision: there is no 7; there are 1"));
    let weak =
        shop.weak().await.fail(TOOL, json!({"kind": "deploy", "name": "web", "namespace": shop.namespace})).await;
    assert!(weak.contains("User \"viewer\" cannot get resource \"deployments\""), "{weak}");
}
