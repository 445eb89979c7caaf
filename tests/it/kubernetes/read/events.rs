//! `kubernetes_get_events`.

use serde_json::{Value, json};

use crate::harness::eventually;
use crate::kubernetes::Shop;

const TOOL: &str = "kubernetes_get_events";

fn rows(structured: &Value) -> Vec<Value> {
    let common = structured["common"].as_object().cloned().unwrap_or_default();
    let rows = structured["rows"].as_array().cloned().unwrap_or_default();
    rows.into_iter()
        .map(|mut row| {
            row.as_object_mut().unwrap().extend(common.clone());
            row
        })
        .collect()
}

#[tokio::test]
async fn events_of_a_deployment_are_those_of_its_pods_too() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({"kind": "deploy", "name": "search", "namespace": shop.namespace, "type": "all"});
    let found = eventually("an event of the pod", async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        let found = rows(&answer.structured);
        found.iter().any(|row| row["reason"] == "FailedScheduling").then(|| {
            println!("{}", answer.text);
            found
        })
    })
    .await;
    for kind in ["Deployment/search", "ReplicaSet/search-", "Pod/search-"] {
        assert!(found.iter().any(|row| row["object"].as_str().unwrap().starts_with(kind)), "{kind}: {found:?}");
    }
    let at: Vec<&str> = found.iter().map(|row| row["at"].as_str().unwrap()).collect();
    assert!(at.is_sorted_by(|one, other| one >= other), "{at:?}");
    let alone = json!({
        "kind": "deploy", "name": "search", "namespace": shop.namespace, "type": "all", "children": false, "view": "full"
    });
    let answer = shop.service.succeed(TOOL, alone).await;
    assert!(rows(&answer.structured).iter().all(|row| row["object"] == "Deployment/search"), "{answer:?}");
}

#[tokio::test]
async fn warnings_are_what_is_shown_unless_asked_otherwise() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({"namespace": shop.namespace, "reason": "FailedScheduling"});
    eventually("a warning", async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        let found = rows(&answer.structured);
        assert!(found.iter().all(|row| row["type"] == "Warning"), "{answer:?}");
        (!found.is_empty()).then_some(())
    })
    .await;
    let none = shop.service.succeed(TOOL, json!({"namespace": shop.namespace, "reason": "Nothing"})).await;
    assert!(none.text.contains("No warnings since now-1h; `type` \"all\" shows the others"), "{}", none.text);
}

#[tokio::test]
async fn what_happened_to_an_object_that_is_gone_can_still_be_read() {
    let Some(shop) = Shop::empty().await else { return };
    let event = format!(
        "{{apiVersion: v1, kind: Event, metadata: {{name: gone.1}}, type: Warning, reason: Killing, message: password=hunter22, \
         involvedObject: {{kind: Pod, name: gone, namespace: {}}}}}",
        shop.namespace
    );
    shop.apply(&event).await;
    let arguments = json!({"kind": "pod", "name": "gone", "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    assert!(answer.text.contains("Pod/gone does not exist any more"), "{}", answer.text);
    assert!(answer.text.contains("password=hidden-"), "{}", answer.text);
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let missing = fail(json!({"kind": "deploy", "name": "serch", "namespace": shop.namespace})).await;
    assert!(missing.contains("Names like it: `search`. Nor are there events of it"), "{missing}");
    let kind = fail(json!({"kind": "deploymentz", "name": "search"})).await;
    assert!(kind.contains("Near it: `deployments.apps`"), "{kind}");
    let namespace = fail(json!({"kind": "deploy", "name": "search"})).await;
    assert_eq!(namespace, "namespace: needed, since each Deployment lies in one");
    let fields = fail(json!({"fields": "spec.nodeName=a", "namespace": shop.namespace})).await;
    assert!(fields.contains("refuses it"), "{fields}");
    let refused = shop.weak().await.fail(TOOL, json!({"namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot list resource \"events\""), "{refused}");
}
