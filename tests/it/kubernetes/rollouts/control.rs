//! `kubernetes_control_rollout`.

use serde_json::{Value, json};

use super::super::Shop;
use super::super::change::plan;
use super::{SET, deployment};
use crate::harness::{Answer, Service};

const TOOL: &str = "kubernetes_control_rollout";

async fn rolled_out(shop: &Shop, kind: &str, name: &str) {
    let arguments = json!({"kind": kind, "name": name, "namespace": shop.namespace, "until": "rolled_out"});
    let waited = shop.service.succeed("kubernetes_wait_for_resource", arguments).await;
    assert_eq!(waited.structured["outcome"], "met", "{waited:?}");
}

async fn control(shop: &Shop, service: &Service, name: &str, more: Value) -> Answer {
    let kind = if name == "db" { "sts" } else { "deploy" };
    let mut arguments = json!({"kind": kind, "name": name, "namespace": shop.namespace});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    service.call(TOOL, arguments).await
}

#[tokio::test]
async fn a_deployment_goes_back_to_its_earlier_revision_secrets_and_all() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    for image in ["api:1", "api:2"] {
        shop.apply(&deployment(image)).await;
        rolled_out(&shop, "deploy", "api").await;
    }
    let shown = control(&shop, &service, "api", json!({"action": "undo", "wait": true, "dry_run": true})).await;
    println!("{}", shown.text);
    assert!(
        shown.text.contains("+    - image: \"api:1\"") || shown.text.contains("image: \"api:1\""),
        "{}",
        shown.text
    );
    assert!(!shown.text.contains("planted"), "{}", shown.text);
    let planned = json!({"action": "undo", "plan": plan(&shown.text), "wait": true});
    let done = control(&shop, &service, "api", planned).await;
    assert!(!done.failed, "{done:?}");
    assert_eq!(
        (&done.structured["from_revision"], &done.structured["to_revision"]),
        (&json!(2), &json!(1)),
        "{done:?}"
    );
    assert!(done.text.contains("met after"), "{}", done.text);
    let container = &shop.object("apis/apps/v1:deployments/api").await["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["env"][0]["value"]), (&json!("api:1"), &json!("planted-api:1")));
    assert!(
        shop.object("apis/apps/v1:deployments/api").await["spec"]["template"]["metadata"]["labels"]
            .get("pod-template-hash")
            .is_none()
    );
}

#[tokio::test]
async fn a_stateful_set_goes_back_by_its_controller_revision() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    for image in ["db:1", "db:2"] {
        shop.apply(&SET.replace("db:1", image)).await;
        rolled_out(&shop, "sts", "db").await;
    }
    let done = control(&shop, &service, "db", json!({"action": "undo", "revision": 1, "wait": true})).await;
    assert!(!done.failed, "{done:?}");
    assert_eq!(
        shop.object("apis/apps/v1:statefulsets/db").await["spec"]["template"]["spec"]["containers"][0]["image"],
        "db:1"
    );
}

#[tokio::test]
async fn deployments_are_paused_and_resumed_and_others_are_not() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    shop.apply(&deployment("api:1")).await;
    shop.apply(SET).await;
    let paused = control(&shop, &service, "api", json!({"action": "pause"})).await;
    assert!(paused.text.ends_with(": paused"), "{}", paused.text);
    let again = control(&shop, &service, "api", json!({"action": "pause"})).await;
    assert!(again.text.contains("it is paused already"), "{}", again.text);
    let undo = control(&shop, &service, "api", json!({"action": "undo"})).await;
    assert!(undo.failed && undo.text.contains("resume it first"), "{}", undo.text);
    let resumed = control(&shop, &service, "api", json!({"action": "resume", "wait": true})).await;
    assert!(!resumed.failed && resumed.text.contains("met after"), "{}", resumed.text);
    let set = control(&shop, &service, "db", json!({"action": "pause"})).await;
    assert!(set.failed && set.text.contains("a StatefulSet cannot be paused"), "{}", set.text);
    let first = control(&shop, &service, "api", json!({"action": "undo"})).await;
    assert!(first.failed && first.text.contains("there is no earlier one"), "{}", first.text);
    let missing = control(&shop, &service, "apis", json!({"action": "undo"})).await;
    assert!(missing.failed && missing.text.contains("there is api"), "{}", missing.text);
    let weak = control(&shop, &shop.weak_destroyer().await, "api", json!({"action": "resume"})).await;
    assert!(weak.failed && weak.text.contains("User \"viewer\" cannot"), "{}", weak.text);
}
