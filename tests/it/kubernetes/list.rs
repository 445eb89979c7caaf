//! `kubernetes_list_resources`.

use serde_json::{Value, json};

use super::{Shop, is_ready};

const TOOL: &str = "kubernetes_list_resources";

#[tokio::test]
async fn pods_come_as_the_table_that_kubectl_shows() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let answer =
        shop.service.succeed(TOOL, json!({"kind": "po", "namespace": shop.namespace, "labels": "app=web"})).await;
    let rows = answer.structured["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{answer:?}");
    assert!(rows[0]["name"].as_str().unwrap().starts_with("web-"), "{answer:?}");
    assert_eq!(answer.structured["common"]["status"], "Running", "{answer:?}");
    assert_eq!(answer.structured["common"]["ready"], "1/1", "{answer:?}");
    println!("{}", answer.text);
}

#[tokio::test]
async fn every_row_is_reached_by_the_cursor_part_by_part() {
    let Some(shop) = Shop::empty().await else { return };
    for number in 0..7 {
        shop.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: part-{number}}}}}")).await;
    }
    let mut arguments = json!({"kind": "configmap", "namespace": shop.namespace, "limit": 3});
    let mut names = Vec::new();
    loop {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        println!("{}", answer.text);
        let rows = answer.structured["rows"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        assert_eq!(answer.structured["total"], 8, "{answer:?}");
        let Some(cursor) = answer.structured.get("cursor") else { break };
        arguments["cursor"] = cursor.clone();
    }
    let mut wanted: Vec<_> = (0..7).map(|number| format!("part-{number}")).collect();
    wanted.insert(0, "kube-root-ca.crt".into());
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn pages_of_a_namespace_that_is_chosen_by_its_field_have_every_row() {
    let Some(shop) = Shop::empty().await else { return };
    for number in 0..5 {
        shop.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: part-{number}}}}}")).await;
    }
    let all = ["kube-root-ca.crt", "part-0", "part-1", "part-2", "part-3", "part-4"];
    let chosen = format!("metadata.namespace={}", shop.namespace);
    for (fields, left_out) in [
        (chosen.clone(), ""),
        (format!("{chosen},metadata.name!=part-2"), "part-2"),
        (format!("metadata.name!=part-0,metadata.namespace=={}", shop.namespace), "part-0"),
    ] {
        let mut arguments = json!({"kind": "configmap", "fields": fields, "limit": 2});
        let mut names = Vec::new();
        loop {
            let answer = shop.service.succeed(TOOL, arguments.clone()).await;
            let rows = answer.structured["rows"].as_array().unwrap();
            let name =
                |row: &Value| row["name"].as_str().or(answer.structured["common"]["name"].as_str()).map(str::to_owned);
            names.extend(rows.iter().map(|row| name(row).unwrap()));
            assert!(answer.text.contains(&shop.namespace), "{}", answer.text);
            let Some(cursor) = answer.structured.get("cursor") else { break };
            arguments["cursor"] = cursor.clone();
        }
        let wanted: Vec<_> = all.into_iter().filter(|name| *name != left_out).collect();
        assert_eq!(names, wanted, "{fields}");
    }
}

#[tokio::test]
async fn rows_are_sorted_and_have_the_columns_that_were_asked_for() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({
        "kind": "Deployment", "namespace": shop.namespace, "sort_by": "-name", "columns": [".spec.replicas", "images"]
    });
    let answer = shop.service.succeed(TOOL, arguments).await;
    let rows = answer.structured["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted_by(|one, other| one > other), "{names:?}");
    assert!(rows[0].get(".spec.replicas").is_some() || answer.structured["common"].get(".spec.replicas").is_some());
    println!("{}", answer.text);
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::seeded().await else { return };
    let fail = async |arguments| shop.service.fail(TOOL, arguments).await;
    let unknown = fail(json!({"kind": "deploymentz"})).await;
    assert!(unknown.contains("serves no `deploymentz`. Near it: `deployments.apps`"), "{unknown}");
    let selector = fail(json!({"kind": "pods", "labels": "app in"})).await;
    assert!(selector.starts_with("kubernetes/first refuses it: unable to parse requirement"), "{selector}");
    let column = fail(json!({"kind": "pods", "namespace": shop.namespace, "columns": ["colour"]})).await;
    assert!(column.contains("there is no `colour`; there are name, ready, status"), "{column}");
    let namespace = fail(json!({"kind": "nodes", "namespace": "default"})).await;
    assert_eq!(namespace, "namespace: Node is not in namespaces; leave it out");
}

#[tokio::test]
async fn who_may_not_list_is_told_what_is_missing() {
    let Some(shop) = Shop::empty().await else { return };
    let refused = shop.weak().await.fail(TOOL, json!({"kind": "pods", "namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot list resource \"pods\""), "{refused}");
    assert!(refused.contains("`kubernetes_check_permissions`"), "{refused}");
}
