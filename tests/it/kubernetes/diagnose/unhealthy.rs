//! `kubernetes_get_unhealthy_resources`.

use serde_json::{Value, json};

use super::once_allowed;
use crate::cluster::eventually;
use crate::kubernetes::{Shop, is_ready};

const TOOL: &str = "kubernetes_get_unhealthy_resources";

/// Kind, beginning of the name, and problem of everything that is broken in the shop.
const BROKEN: [(&str, &str, &str); 9] = [
    ("Pod", "checkout-", "CrashLoopBackOff"),
    ("Pod", "thumbnails-", "OOMKilled"),
    ("Pod", "recommendations-", "ImagePullBackOff"),
    ("Pod", "inventory-", "NotReady"),
    ("Pod", "search-", "Unschedulable"),
    ("Service", "payments", "NoEndpoints"),
    ("Service", "admin", "PortMismatch"),
    ("PersistentVolumeClaim", "orders", "ClaimPending"),
    ("Job", "migrate", "JobFailed"),
];

/// The rows of an answer, each with what all of them share.
fn rows(structured: &Value) -> Vec<Value> {
    let common = structured.get("common").cloned().unwrap_or_else(|| json!({}));
    let rows = structured["rows"].as_array().unwrap().iter().map(|row| {
        let mut whole = common.as_object().unwrap().clone();
        whole.extend(row.as_object().unwrap().clone());
        Value::Object(whole)
    });
    rows.collect()
}

fn has(rows: &[Value], kind: &str, name: &str, problem: &str) -> bool {
    let is = |row: &Value| {
        row["kind"] == kind && row["name"].as_str().unwrap().starts_with(name) && row["problem"] == problem
    };
    rows.iter().any(is)
}

#[tokio::test]
async fn every_trouble_is_found_by_its_name_and_what_is_well_is_left_out() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    let arguments = json!({"namespace": shop.namespace, "min_age": "0s", "max_tokens": 20_000});
    let is_well = |row: &&Value| {
        let name = row["name"].as_str().unwrap();
        row["kind"] != "HorizontalPodAutoscaler"
            && (name.starts_with("web") || name.starts_with("import") || name.starts_with("report"))
    };
    let answer = eventually("all troubles", async || {
        let answer = shop.service.succeed(TOOL, arguments.clone()).await;
        let rows = rows(&answer.structured);
        if let Some(well) = rows.iter().find(is_well) {
            return Err(format!("{well} is well"));
        }
        match BROKEN.iter().find(|(kind, name, problem)| !has(&rows, kind, name, problem)) {
            None => Ok(answer),
            Some(missing) => Err(format!("{missing:?} is not in {}", answer.text)),
        }
    });
    let answer = answer.await.unwrap();
    println!("{}", answer.text);
    let rows = rows(&answer.structured);
    let severities: Vec<_> = rows.iter().map(|row| row["severity"].as_str().unwrap().to_owned()).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert_eq!(answer.structured["facts"]["by_problem"]["OOMKilled"], 1, "{}", answer.text);
}

#[tokio::test]
async fn young_trouble_and_other_kinds_are_left_out_when_asked() {
    let Some(shop) = Shop::seeded().await else { return };
    let claims = json!({"namespace": shop.namespace, "min_age": "0s", "kinds": ["claims"]});
    let answer = shop.service.succeed(TOOL, claims).await;
    let found = rows(&answer.structured);
    assert_eq!(found.len(), 1, "{}", answer.text);
    assert!(found[0]["hint"].as_str().unwrap().contains("storage class `fast` does not exist"), "{}", answer.text);
    let old = shop.service.succeed(TOOL, json!({"namespace": shop.namespace, "min_age": "1d"})).await;
    assert!(!old.text.contains("Nothing is broken"), "{}", old.text);
    assert!(old.text.contains(" troubles are younger than 1d; `min_age` 0s shows them."), "{}", old.text);
}

#[tokio::test]
async fn what_may_not_be_read_is_a_note_and_nothing_at_all_is_a_refusal() {
    let Some(shop) = Shop::seeded().await else { return };
    let arguments = json!({"namespace": shop.namespace, "min_age": "0s"});
    let answer = once_allowed(&shop, TOOL, arguments).await;
    assert!(answer.text.contains("storageclasses were not looked at"), "{}", answer.text);
    assert!(has(&rows(&answer.structured), "PersistentVolumeClaim", "orders", "ClaimPending"), "{}", answer.text);
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let Some(shop) = Shop::empty().await else { return };
    let unknown = shop.service.fail(TOOL, json!({"namespace": "shop-of-nobody"})).await;
    assert!(unknown.contains("has no namespace `shop-of-nobody`; there are"), "{unknown}");
    let kind = shop.service.fail(TOOL, json!({"kinds": ["coupons"]})).await;
    assert!(kind.contains("coupons") && kind.contains("workloads"), "{kind}");
    let age = shop.service.fail(TOOL, json!({"min_age": "old"})).await;
    assert!(age.contains("`old` is not a duration"), "{age}");
}
