//! `kubernetes_diagnose_resource`.

use serde_json::{Value, json};

use super::once_allowed;
use crate::cluster::eventually;
use crate::kubernetes::{Shop, is_ready};

const TOOL: &str = "kubernetes_diagnose_resource";

/// Asks until there is a finding of this problem; the answer.
async fn found(shop: &Shop, kind: &str, name: &str, problem: &str) -> (Value, String) {
    let arguments = json!({"kind": kind, "name": name, "namespace": shop.namespace, "max_tokens": 20_000});
    let answer = eventually(problem, async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        let findings = answer.structured["findings"].as_array().cloned().unwrap_or_default();
        match findings.into_iter().find(|finding| finding["problem"] == problem) {
            Some(finding) => Ok((finding, answer.text)),
            None => Err(answer.text),
        }
    });
    answer.await.unwrap()
}

#[tokio::test]
async fn a_workload_is_followed_to_the_log_of_its_pods() {
    let Some(shop) = Shop::seeded().await else { return };
    let (finding, text) = found(&shop, "deploy", "checkout", "CrashLoopBackOff").await;
    println!("{text}");
    assert_eq!(
        finding["evidence"], "status.containerStatuses[checkout].state.waiting.reason: CrashLoopBackOff",
        "{text}"
    );
    assert!(finding["object"].as_str().unwrap().starts_with("Pod checkout-"), "{text}");
    assert!(text.lines().next().unwrap().contains(": CrashLoopBackOff: container checkout ends"), "{text}");
    assert!(text.contains("no payment provider is reachable"), "{text}");
    assert!(text.contains("revision 1, the first, was made"), "{text}");
    let (finding, text) = found(&shop, "deploy", "thumbnails", "OOMKilled").await;
    assert!(finding["next"].as_str().unwrap().contains("memory limit"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let (_, text) = found(&shop, "deploy", "inventory", "Unhealthy").await;
    assert!(text.contains("event Unhealthy of Pod inventory-"), "{text}");
    assert!(text.contains("statuscode: 503"), "{text}");
}

#[tokio::test]
async fn each_kind_has_rules_of_its_own() {
    let Some(shop) = Shop::seeded().await else { return };
    let (finding, text) = found(&shop, "deploy", "search", "Unschedulable").await;
    assert!(finding["what"].as_str().unwrap().contains("Insufficient cpu"), "{text}");
    let (finding, text) = found(&shop, "deploy", "recommendations", "ImagePullBackOff").await;
    assert!(finding["what"].as_str().unwrap().contains("shop/recommendations:lates"), "{text}");
    let (finding, text) = found(&shop, "pvc", "orders", "ClaimPending").await;
    assert!(finding["what"].as_str().unwrap().contains("`fast` does not exist"), "{text}");
    let (_, text) = found(&shop, "job", "migrate", "JobFailed").await;
    assert!(text.contains("relation \"orders\" does not exist"), "{text}");
    let (finding, text) = found(&shop, "svc", "payments", "NoEndpoints").await;
    assert!(finding["what"].as_str().unwrap().contains("app=payment selects no pod"), "{text}");
    let (finding, text) = found(&shop, "ingress", "web", "ServiceMissing").await;
    assert_eq!(finding["evidence"], "spec.rules[0].http.paths[/reviews].backend.service: reviews", "{text}");
}

#[tokio::test]
async fn a_pod_is_followed_to_the_configuration_it_lacks() {
    let Some(shop) = Shop::empty().await else { return };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: lost}\nspec:\n  containers: [{name: lost, image: lost, env: \
               [{name: A, valueFrom: {configMapKeyRef: {name: gone, key: a}}}], resources: {requests: {cpu: '500'}}}]\n  \
               volumes: [{name: data, persistentVolumeClaim: {claimName: nowhere}}]\n";
    shop.apply(pod).await;
    let (finding, text) = found(&shop, "pod", "lost", "ConfigMapMissing").await;
    assert_eq!(finding["evidence"], "spec.containers[lost].env[A]: gone", "{text}");
    let (finding, text) = found(&shop, "pod", "lost", "PersistentVolumeClaimMissing").await;
    assert_eq!(finding["evidence"], "spec.volumes[data]: nowhere", "{text}");
    found(&shop, "pod", "lost", "Unschedulable").await;
}

#[tokio::test]
async fn what_is_well_is_said_to_be_well() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let arguments = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace});
    let answer = eventually("a verdict", async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        if answer.text.contains("web is well") { Ok(answer) } else { Err(answer.text) }
    });
    let answer = answer.await.unwrap();
    assert!(answer.text.contains("Available=True (MinimumReplicasAvailable)"), "{}", answer.text);
    let node = shop.service.succeed(TOOL, json!({"kind": "node", "name": "node-a", "logs": false})).await;
    assert!(node.text.contains("Ready=True"), "{}", node.text);
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let unknown = fail(json!({"kind": "deploymentz", "name": "web"})).await;
    assert!(unknown.contains("Near it: `deployments.apps`"), "{unknown}");
    let missing = fail(json!({"kind": "deploy", "name": "chekout", "namespace": shop.namespace})).await;
    assert!(missing.contains("has no Deployment `chekout` in namespace"), "{missing}");
    assert!(missing.contains("there are `checkout`"), "{missing}");
    let nowhere = fail(json!({"kind": "deploy", "name": "web"})).await;
    assert!(nowhere.contains("namespace: needed"), "{nowhere}");
    let future = fail(json!({"kind": "node", "name": "node-a", "start": "now+1h"})).await;
    assert!(future.contains("is in the future"), "{future}");
}

#[tokio::test]
async fn who_may_see_only_a_part_gets_that_part() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({"kind": "pvc", "name": "orders", "namespace": shop.namespace});
    let answer = once_allowed(&shop, TOOL, arguments).await;
    assert!(answer.text.contains("storageclasses could not be looked at"), "{}", answer.text);
    assert!(answer.text.contains("ClaimPending"), "{}", answer.text);
}
