//! `kubernetes_wait_for_resource`.

use serde_json::json;

use super::super::{Shop, is_ready};

const TOOL: &str = "kubernetes_wait_for_resource";

#[tokio::test]
async fn a_wait_ends_when_what_is_waited_for_comes() {
    let Some(shop) = Shop::empty().await else { return };
    let waiting = json!({"kind": "cm", "name": "late", "namespace": shop.namespace, "until": ".data.a=1"});
    let late = async {
        let request = format!("/api/v1/namespaces/{}/configmaps", shop.namespace);
        shop.api.until(&request, |found| found["items"].is_array()).await.unwrap();
        shop.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: late}}").await;
        shop.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: late}, data: {a: \"1\"}}").await;
    };
    let (waited, ()) = tokio::join!(shop.service.succeed(TOOL, waiting), late);
    assert_eq!(waited.structured["outcome"], "met", "{waited:?}");
    assert_eq!(waited.structured["objects"][0]["state"], ".data.a is 1", "{waited:?}");
}

#[tokio::test]
async fn a_failed_job_ends_the_wait_at_once_and_a_good_one_is_complete() {
    let Some(shop) = Shop::seeded().await else { return };
    let wait = async |name: &str| {
        let arguments = json!({"kind": "job", "name": name, "namespace": shop.namespace, "until": "complete"});
        shop.service.succeed(TOOL, arguments).await
    };
    let failed = wait("migrate").await;
    assert_eq!(failed.structured["outcome"], "failed early", "{failed:?}");
    assert!(failed.text.contains("BackoffLimitExceeded"), "{}", failed.text);
    assert_eq!(wait("import").await.structured["outcome"], "met");
}

#[tokio::test]
async fn several_objects_are_waited_for_by_labels_until_the_time_is_up() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let mut arguments = json!({"kind": "pod", "labels": "app=web", "namespace": shop.namespace, "timeout_seconds": 60});
    let met = shop.service.succeed(TOOL, arguments.clone()).await;
    assert_eq!(met.structured["objects"].as_array().unwrap().len(), 2, "{met:?}");
    arguments["labels"] = json!("app in (web,search)");
    arguments["timeout_seconds"] = json!(1);
    let late = shop.service.succeed(TOOL, arguments).await;
    assert_eq!(late.structured["outcome"], "timed out", "{late:?}");
    assert!(late.text.contains("Unschedulable"), "{}", late.text);
}

#[tokio::test]
async fn gone_is_gone_even_if_it_never_was() {
    let Some(shop) = Shop::empty().await else { return };
    let gone = json!({"kind": "cm", "name": "never", "namespace": shop.namespace, "until": "deleted"});
    let answer = shop.service.succeed(TOOL, gone).await;
    assert_eq!(answer.structured["outcome"], "met", "{answer:?}");
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused() {
    let Some(shop) = Shop::empty().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let word = fail(json!({"kind": "cm", "name": "a", "namespace": shop.namespace, "until": "redy"})).await;
    assert!(word.contains("`redy` is none of exists, deleted, ready"), "{word}");
    assert!(fail(json!({"kind": "cm", "namespace": shop.namespace})).await.contains("by name or by labels"));
    assert!(fail(json!({"kind": "cm", "name": "a"})).await.contains("namespace: needed"));
    let rolled = json!({"kind": "cm", "name": "a", "namespace": shop.namespace, "until": "rolled_out"});
    assert!(fail(rolled).await.contains("a ConfigMap has no rollouts"));
    assert!(fail(json!({"kind": "cmz", "name": "a"})).await.contains("serves no `cmz`"));
    let weak = shop.weak().await.fail(TOOL, json!({"kind": "cm", "name": "a", "namespace": shop.namespace})).await;
    assert!(weak.contains("User \"viewer\" cannot list resource"), "{weak}");
}
