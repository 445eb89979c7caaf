//! `kubernetes_get_resource_tree`.

use serde_json::json;

use crate::kubernetes::{Shop, is_ready};

const TOOL: &str = "kubernetes_get_resource_tree";

#[tokio::test]
async fn a_deployment_is_drawn_with_its_pods_and_what_is_linked() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let arguments = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    println!("{}", answer.text);
    assert!(answer.text.starts_with("Deployment/web  2/2  "), "{}", answer.text);
    assert!(answer.text.contains("\n└─ ReplicaSet/web-"), "{}", answer.text);
    assert!(answer.text.contains("\n   ├─ Pod/web-") && answer.text.contains("\n   └─ Pod/web-"), "{}", answer.text);
    for link in [
        "Service/web (ClusterIP 80→http): sends to its pods",
        "Ingress/web: shop.example.org/ → Service/web",
        "HorizontalPodAutoscaler/web",
        "PodDisruptionBudget/web",
        "ConfigMap/settings: gives LOG_LEVEL",
        "Secret/database: gives DATABASE_PASSWORD",
    ] {
        assert!(answer.text.contains(link), "{link}: {}", answer.text);
    }
    assert!(!answer.text.contains("planted-secret"), "{}", answer.text);
}

#[tokio::test]
async fn a_pod_leads_up_to_its_deployment() {
    let Some(shop) = Shop::seeded().await else { return };
    let pods = shop.until_pods("search", |pod| pod["status"]["conditions"][0]["status"] == "False").await;
    let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let arguments = json!({"kind": "pod", "name": name, "namespace": shop.namespace, "links": false});
    let answer = shop.service.succeed(TOOL, arguments).await;
    println!("{}", answer.text);
    let objects = answer.structured["objects"].as_array().unwrap();
    assert_eq!(objects[0]["object"], "Deployment/search", "{answer:?}");
    assert_eq!(objects[2]["asked"], true, "{answer:?}");
    assert!(objects[2]["reason"].as_str().unwrap().starts_with("Unschedulable"), "{answer:?}");
}

#[tokio::test]
async fn custom_objects_own_objects_of_any_kind() {
    let Some(shop) = Shop::seeded().await else { return };
    let path = format!("/apis/shop.example.org/v1/namespaces/{}/coupons/spring", shop.namespace);
    let uid = shop.api.get(&path).await.unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let owner =
        format!("{{apiVersion: shop.example.org/v1, kind: Coupon, name: spring, uid: {uid}, controller: true}}");
    shop.apply(&format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: printed, ownerReferences: [{owner}]}}, data: {{a: b}}}}"
    ))
    .await;
    let arguments = json!({"kind": "coupon", "name": "spring", "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    assert!(answer.text.contains("└─ ConfigMap/printed"), "{}", answer.text);
}

#[tokio::test]
async fn a_service_without_pods_says_so_and_a_route_to_nowhere_too() {
    let Some(shop) = Shop::seeded().await else { return };
    let tree = async |kind: &str, name: &str| {
        let arguments = json!({"kind": kind, "name": name, "namespace": shop.namespace});
        shop.service.succeed(TOOL, arguments).await.text
    };
    let service = tree("svc", "payments").await;
    assert!(service.contains("Service/payments selects no pod: none has the labels app=payment."), "{service}");
    let ingress = tree("ingress", "web").await;
    assert!(ingress.contains("Service/reviews (does not exist): should get shop.example.org/reviews"), "{ingress}");
    let claimed = tree("secret", "database").await;
    assert!(claimed.contains("uses it: it gives DATABASE_PASSWORD"), "{claimed}");
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let unknown = fail(json!({"kind": "deploymentz", "name": "web"})).await;
    assert!(unknown.contains("Near it: `deployments.apps`"), "{unknown}");
    let missing = fail(json!({"kind": "deploy", "name": "wbe", "namespace": shop.namespace})).await;
    assert!(missing.contains("Names like it: `web`"), "{missing}");
    let depth = fail(json!({"kind": "deploy", "name": "web", "namespace": shop.namespace, "depth": 99})).await;
    assert!(depth.contains("from 1 to 10"), "{depth}");
    let arguments = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace});
    let refused = shop.weak().await.fail(TOOL, arguments).await;
    assert!(refused.contains("User \"viewer\" cannot get resource \"deployments\""), "{refused}");
}
