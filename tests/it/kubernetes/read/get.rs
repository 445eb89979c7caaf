//! `kubernetes_get_resource`.

use serde_json::{Value, json};

use crate::kubernetes::{Shop, is_ready};

const TOOL: &str = "kubernetes_get_resource";

#[tokio::test]
async fn an_object_is_described_with_what_it_owns_and_what_happened() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let arguments = json!({"kind": "deploy", "names": ["web"], "namespace": shop.namespace});
    let answer = shop.service.succeed(TOOL, arguments).await;
    println!("{}", answer.text);
    let web = &answer.structured["objects"][0];
    assert_eq!((&web["name"], &web["state"]), (&json!("web"), &json!("2/2")), "{answer:?}");
    assert!(answer.text.contains("Available=True MinimumReplicasAvailable"), "{}", answer.text);
    assert!(answer.text.contains("DATABASE_PASSWORD from secret database/password"), "{}", answer.text);
    assert!(answer.text.contains("ago Normal ScalingReplicaSet"), "{}", answer.text);
    let owned = web["dependents"].as_array().unwrap();
    assert!(owned.iter().filter(|line| line.as_str().unwrap().starts_with("Pod/web-")).count() == 2, "{owned:?}");
    assert!(!answer.text.contains("planted-secret"), "{}", answer.text);
}

#[tokio::test]
async fn several_names_come_side_by_side_and_missing_ones_apart() {
    let Some(shop) = Shop::seeded().await else { return };
    let names = json!(["web", "chekout", "search"]);
    let summary = json!({"kind": "deploy", "names": names, "namespace": shop.namespace, "view": "summary"});
    let answer = shop.service.succeed(TOOL, summary).await;
    println!("{}", answer.text);
    assert_eq!(answer.structured["rows"].as_array().unwrap().len(), 2, "{answer:?}");
    let missing =
        format!("There is no Deployment `chekout` in namespace `{}`. Names like it: `checkout`.", shop.namespace);
    assert_eq!(answer.structured["notes"][0], Value::String(missing), "{answer:?}");
}

#[tokio::test]
async fn paths_are_selected_and_secrets_stay_hidden() {
    let Some(shop) = Shop::seeded().await else { return };
    let select = json!({
        "kind": "secret", "names": ["database"], "namespace": shop.namespace, "select": [".data.password", "{.type}"]
    });
    let answer = shop.service.succeed(TOOL, select).await;
    let row = &answer.structured["rows"][0];
    assert_eq!(row["{.type}"], "Opaque", "{answer:?}");
    assert!(row[".data.password"].as_str().unwrap().starts_with("hidden-"), "{answer:?}");
    for view in ["summary", "describe", "full", "yaml"] {
        for (kind, name) in [("secret", "database"), ("deploy", "web")] {
            let arguments = json!({"kind": kind, "names": [name], "namespace": shop.namespace, "view": view});
            let answer = shop.service.succeed(TOOL, arguments).await;
            let whole = answer.result.to_string();
            assert!(!whole.contains("planted-secret"), "{view}: {whole}");
            assert!(!whole.contains("cGxhbnRlZC1zZWNyZXQ"), "{view}: {whole}");
        }
    }
}

#[tokio::test]
async fn yaml_can_be_read_back() {
    let Some(shop) = Shop::seeded().await else { return };
    let names = json!(["spring", "friends"]);
    let arguments = json!({"kind": "cpn", "names": names, "namespace": shop.namespace, "view": "yaml"});
    let answer = shop.service.succeed(TOOL, arguments).await;
    let documents: Vec<&str> = answer.text.split("---\n").collect();
    assert_eq!(documents.len(), 2, "{}", answer.text);
    assert!(documents[0].starts_with("apiVersion: shop.example.org/v1\nkind: Coupon\n"), "{}", answer.text);
    assert!(documents[0].contains("code: SPRING10"), "{}", answer.text);
    assert!(!answer.text.contains("managedFields"), "{}", answer.text);
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let unknown = fail(json!({"kind": "deploymentz", "names": ["web"]})).await;
    assert!(unknown.contains("Near it: `deployments.apps`"), "{unknown}");
    let missing = fail(json!({"kind": "deploy", "names": ["wbe"], "namespace": shop.namespace})).await;
    assert!(missing.contains("Names like it: `web`"), "{missing}");
    let elsewhere = fail(json!({"kind": "pdb", "names": ["web"], "namespace": "default"})).await;
    assert!(elsewhere.contains("There is one in `"), "{elsewhere}");
    let namespace = fail(json!({"kind": "deploy", "names": ["web"]})).await;
    assert_eq!(namespace, "namespace: needed, since each Deployment lies in one");
    let names: Vec<String> = (0..21).map(|number| format!("web-{number}")).collect();
    let many = fail(json!({"kind": "deploy", "names": names, "namespace": shop.namespace})).await;
    assert!(many.starts_with("names: 21 are too many, 20 is the most"), "{many}");
    let path =
        fail(json!({"kind": "deploy", "names": ["web"], "namespace": shop.namespace, "select": [".spec["]})).await;
    assert!(path.starts_with("select: `.spec[` is not a JSONPath"), "{path}");
}

#[tokio::test]
async fn who_may_not_read_is_told_what_is_missing() {
    let Some(shop) = Shop::empty().await else { return };
    let arguments = json!({"kind": "configmap", "names": ["kube-root-ca.crt"], "namespace": shop.namespace});
    let refused = shop.weak().await.fail(TOOL, arguments).await;
    assert!(refused.contains("User \"viewer\" cannot get resource \"configmaps\""), "{refused}");
}
