//! `kubernetes_check_service`.

use serde_json::json;

use super::once_allowed;
use crate::cluster::eventually;
use crate::kubernetes::{Shop, is_ready};

const TOOL: &str = "kubernetes_check_service";

/// Asks until the verdict holds this text; the answer.
async fn verdict(shop: &Shop, mut arguments: serde_json::Value, wanted: &str) -> String {
    arguments["namespace"] = json!(shop.namespace);
    let answer = eventually(wanted, async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        let verdict = answer.structured["verdict"].as_str().unwrap_or_default();
        if verdict.contains(wanted) { Ok(answer.text) } else { Err(answer.text) }
    });
    answer.await.unwrap()
}

#[tokio::test]
async fn the_hop_that_breaks_the_way_is_named() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let text = verdict(&shop, json!({"name": "web"}), "web has no broken hop").await;
    println!("{text}");
    assert!(text.contains("route: ok: Ingress web: shop.example.org/\n"), "{text}");
    assert!(text.contains("port: ok: http (80) to http"), "{text}");
    assert!(text.contains("endpoints: ok: 2 of 2 are ready"), "{text}");
    let text = verdict(&shop, json!({"name": "payments"}), "broken at pods: its selector app=payment").await;
    assert!(text.contains("pods here have"), "{text}");
    let text = verdict(&shop, json!({"name": "admin"}), "suspect at port: 80 to 8081").await;
    assert!(text.contains("they declare 8080"), "{text}");
}

#[tokio::test]
async fn network_policies_are_judged_for_a_caller() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: checkout}\nspec: {selector: {app: checkout}, ports: [{name: web, port: 8080}, \
         {name: figures, port: 9090}], publishNotReadyAddresses: true}\n",
    )
    .await;
    shop.until_pods("checkout", |pod| pod["status"]["phase"] == "Running").await;
    let check = async |from: &str, port: &str, wanted: &str| {
        let arguments = json!({"name": "checkout", "from": format!("{}/{from}", shop.namespace), "port": port, "namespace": shop.namespace});
        let text = shop.service.succeed(TOOL, arguments).await.text;
        assert!(text.contains(wanted), "{text}");
    };
    check("deploy/web", "8080", "policy: ok: only-web lets it into its pods on port 8080").await;
    check("deploy/web", "figures", "policy: BROKEN: none of only-web lets it into its pods on port 9090").await;
    check("deploy/search", "8080", "policy: BROKEN: none of only-web lets it into its pods on port 8080").await;
    shop.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web-stays}\nspec: {podSelector: \
         {matchLabels: {app: web}}, policyTypes: [Egress]}\n",
    )
    .await;
    check("deploy/web", "8080", "policy: BROKEN: none of web-stays lets it out of the caller's pods on port 8080")
        .await;
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let missing = fail(json!({"name": "pay", "namespace": shop.namespace})).await;
    assert!(
        missing.contains("has no Service `pay` in namespace") && missing.contains("there are `payments`"),
        "{missing}"
    );
    let port = fail(json!({"name": "web", "namespace": shop.namespace, "port": "https"})).await;
    assert_eq!(port, "port: the service has no `https`; it has http (80)");
    let from = fail(json!({"name": "web", "namespace": shop.namespace, "from": "web"})).await;
    assert!(from.contains("is not namespace/kind/name"), "{from}");
    let kind = format!("{}/configmap/settings", shop.namespace);
    let from = fail(json!({"name": "web", "namespace": shop.namespace, "from": kind})).await;
    assert!(from.contains("name a pod or a workload"), "{from}");
}

#[tokio::test]
async fn who_may_not_look_is_told_what_is_missing() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({"name": "web", "namespace": shop.namespace});
    let text = once_allowed(&shop, TOOL, arguments).await.text;
    assert!(text.contains("policy: ok"), "{text}");
}
