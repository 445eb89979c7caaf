//! Objects as resources, and what completes their names.

use serde_json::{Value, json};

use crate::kubernetes::Shop;

const TEMPLATE: &str = "kubernetes://{cluster}/{namespace}/{kind}/{name}";

#[tokio::test]
async fn an_object_is_read_by_its_uri_as_yaml_without_secrets() {
    let Some(shop) = Shop::seeded().await else { return };
    let read = async |rest: &str| {
        let uri = format!("kubernetes://first/{rest}");
        shop.service.send("resources/read", json!({"uri": uri})).await.1
    };
    let deployment = read(&format!("{}/deployments.apps/web", shop.namespace)).await;
    let contents = &deployment["result"]["contents"][0];
    assert_eq!(contents["mimeType"], "application/yaml", "{deployment}");
    let text = contents["text"].as_str().unwrap();
    assert!(text.starts_with("apiVersion: apps/v1\nkind: Deployment\n"), "{text}");
    assert!(text.contains("hidden-") && !text.contains("planted-secret"), "{text}");
    let namespace = read(&format!("-/namespaces/{}", shop.namespace)).await;
    assert!(namespace["result"]["contents"][0]["text"].as_str().unwrap().contains("kind: Namespace"), "{namespace}");
    let missing = read(&format!("{}/deploy/wbe", shop.namespace)).await;
    assert!(missing["error"]["message"].as_str().unwrap().contains("there is no such resource"), "{missing}");
}

#[tokio::test]
async fn names_are_completed_by_what_was_chosen_before() {
    let Some(shop) = Shop::seeded().await else { return };
    let complete = async |reference: Value, name: &str, typed: &str, chosen: Value| {
        let params = json!({
            "ref": reference, "argument": {"name": name, "value": typed}, "context": {"arguments": chosen}
        });
        shop.service.send("completion/complete", params).await.1["result"]["completion"]["values"].clone()
    };
    let object = || json!({"type": "ref/resource", "uri": TEMPLATE});
    assert_eq!(complete(object(), "cluster", "", json!({})).await, json!(["first"]));
    let namespaces = complete(object(), "namespace", &shop.namespace, json!({"cluster": "first"})).await;
    assert_eq!(namespaces, json!([shop.namespace]));
    let chosen = json!({"cluster": "first", "namespace": shop.namespace});
    assert_eq!(complete(object(), "kind", "deployments", chosen).await, json!(["deployments.apps"]));
    let chosen = json!({"cluster": "first", "namespace": shop.namespace, "kind": "deploy"});
    assert_eq!(complete(object(), "name", "thumb", chosen.clone()).await, json!(["thumbnails"]));
    let prompt = json!({"type": "ref/prompt", "name": "workload_diagnosis"});
    assert_eq!(complete(prompt, "name", "recomm", chosen).await, json!(["recommendations"]));
    let mistaken = json!({"cluster": "none", "namespace": "none", "kind": "none"});
    assert_eq!(complete(object(), "name", "", mistaken).await, json!([]));
}
