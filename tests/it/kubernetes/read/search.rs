//! `kubernetes_search_resources`.

use serde_json::{Value, json};

use crate::kubernetes::Shop;

const TOOL: &str = "kubernetes_search_resources";

/// Kind, name and place of each match.
fn found(structured: &Value) -> Vec<String> {
    let text = |row: &Value, name: &str| {
        let value = row.get(name).or(structured["common"].get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let rows = structured["rows"].as_array().unwrap();
    rows.iter().map(|row| format!("{}/{} {}", text(row, "kind"), text(row, "name"), text(row, "matched"))).collect()
}

#[tokio::test]
async fn names_come_before_labels_and_images() {
    let Some(shop) = Shop::seeded().await else { return };
    let answer = shop.service.succeed(TOOL, json!({"query": "checkout", "namespace": shop.namespace})).await;
    println!("{}", answer.text);
    assert_eq!(found(&answer.structured)[0], "Deployment/checkout name", "{answer:?}");
    let answer = shop.service.succeed(TOOL, json!({"query": "storefront", "namespace": shop.namespace})).await;
    assert!(found(&answer.structured).contains(&"Deployment/web label team=storefront".to_owned()), "{answer:?}");
    let images =
        json!({"query": "*/recommendations:lates", "match": "glob", "scope": ["images"], "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, images).await;
    let image = "Deployment/recommendations image registry.example.org/shop/recommendations:lates";
    assert!(found(&answer.structured).contains(&image.to_owned()), "{answer:?}");
}

#[tokio::test]
async fn custom_kinds_are_searched_when_they_are_named() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments =
        json!({"query": "^spr", "match": "regex", "kinds": ["cpn", "configmap"], "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    assert_eq!(found(&answer.structured), ["Coupon/spring name"], "{answer:?}");
    let keys = json!({"query": "settings.yaml", "scope": ["keys"], "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, keys).await;
    assert_eq!(found(&answer.structured), ["ConfigMap/settings key settings.yaml"], "{answer:?}");
}

#[tokio::test]
async fn secrets_cannot_be_found_by_what_is_in_them() {
    let Some(shop) = Shop::seeded().await else { return };
    let scope = json!(["name", "labels", "annotations", "images", "env", "keys"]);
    for query in ["planted-secret", "cGxhbnRlZC1zZWNyZXQ", "username"] {
        let arguments = json!({
            "query": query, "scope": scope, "kinds": ["secret", "deploy", "pods"], "namespace": shop.namespace
        });
        let answer = shop.service.succeed(TOOL, arguments).await;
        assert_eq!(found(&answer.structured), Vec::<String>::new(), "{answer:?}");
    }
    let arguments = json!({"query": "payment_api", "scope": ["env"], "kinds": ["deploy"], "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    let matched = found(&answer.structured);
    assert!(matched[0].starts_with("Deployment/web env PAYMENT_API_KEY=hidden-"), "{matched:?}");
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::empty().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let pattern = fail(json!({"query": "a(", "match": "regex"})).await;
    assert!(pattern.starts_with("query: not a regular expression that can be used: unclosed group"), "{pattern}");
    let kind = fail(json!({"query": "a", "kinds": ["deploymentz"]})).await;
    assert!(kind.contains("Near it: `deployments.apps`"), "{kind}");
    let node = fail(json!({"query": "a", "kinds": ["nodes"], "namespace": shop.namespace})).await;
    assert!(node.starts_with("kinds: Node is not in namespaces"), "{node}");
    let none = shop.service.succeed(TOOL, json!({"query": "zzzz", "namespace": shop.namespace})).await;
    assert!(none.text.contains("Searched: deployments, statefulsets"), "{}", none.text);
    let refused = shop.weak().await.fail(TOOL, json!({"query": "a", "namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot list resource"), "{refused}");
}
