//! `kubernetes_patch_resource`.

use serde_json::{Value, json};

use super::super::Shop;
use super::plan;

const TOOL: &str = "kubernetes_patch_resource";

fn arguments(shop: &Shop, kind: &str, name: &str, more: Value) -> Value {
    let mut arguments = json!({"kind": kind, "name": name, "namespace": shop.namespace});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

#[tokio::test]
async fn each_type_of_patch_changes_what_it_says_and_shows_it() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let patch = async |kind, name, more| service.succeed(TOOL, arguments(&shop, kind, name, more)).await;
    let merged = patch("cm", "settings", json!({"patch": {"data": {"LOG_LEVEL": "debug"}}})).await;
    assert!(merged.text.contains("-  LOG_LEVEL: info\n+  LOG_LEVEL: debug"), "{}", merged.text);
    assert_eq!(merged.structured["fields"], json!(["data.LOG_LEVEL"]), "{merged:?}");
    let operations = json!([{"op": "replace", "path": "/data/LOG_LEVEL", "value": "warn"}]);
    let listed = patch("cm", "settings", json!({"patch": operations, "type": "json"})).await;
    assert!(listed.text.contains("+  LOG_LEVEL: warn"), "{}", listed.text);
    let container = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:3"}]}}}});
    let strategic = patch("deploy", "web", json!({"patch": container, "type": "strategic"})).await;
    assert!(strategic.text.contains("image: \"web:3\""), "{}", strategic.text);
    assert!(!strategic.text.contains("planted"), "{}", strategic.text);
    let applied = patch("cm", "settings", json!({"patch": "data: {NEW: x}", "type": "apply"})).await;
    assert!(applied.text.contains("+  NEW: x"), "{}", applied.text);
    let scaled = patch("deploy", "checkout", json!({"patch": {"spec": {"replicas": 2}}, "subresource": "scale"})).await;
    assert_eq!(scaled.structured["fields"], json!(["spec.replicas"]), "{scaled:?}");
    let same = patch("cm", "settings", json!({"patch": {"data": {"NEW": "x"}}})).await;
    assert!(same.text.contains("nothing changed: it is so already"), "{}", same.text);
}

#[tokio::test]
async fn custom_resources_take_no_strategic_merge_and_say_what_they_take() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let patch = json!({"spec": {"percent": 15}});
    let refused =
        service.fail(TOOL, arguments(&shop, "coupon", "spring", json!({"patch": patch, "type": "strategic"}))).await;
    assert!(
        refused.contains("coupons.shop.example.org is a custom resource") && refused.contains("`merge`"),
        "{refused}"
    );
    let done = service.succeed(TOOL, arguments(&shop, "coupon", "spring", json!({"patch": patch}))).await;
    assert!(done.text.contains("-  percent: 10\n+  percent: 15"), "{}", done.text);
}

#[tokio::test]
async fn a_version_and_a_plan_hold_the_object_fast() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let patch = json!({"data": {"LOG_LEVEL": "debug"}});
    let old = json!({"patch": patch, "resource_version": "1"});
    let refused = service.fail(TOOL, arguments(&shop, "cm", "settings", old)).await;
    assert!(refused.contains("moved on from version 1 to"), "{refused}");
    let shown =
        service.succeed(TOOL, arguments(&shop, "cm", "settings", json!({"patch": patch, "dry_run": true}))).await;
    assert!(shown.text.contains("+  LOG_LEVEL: debug"), "{}", shown.text);
    assert_eq!(shop.object("configmaps/settings").await["data"]["LOG_LEVEL"], "info");
    let planned = json!({"patch": patch, "plan": plan(&shown.text)});
    service.succeed(TOOL, arguments(&shop, "cm", "settings", planned)).await;
    assert_eq!(shop.object("configmaps/settings").await["data"]["LOG_LEVEL"], "debug");
    let version = shop.object("configmaps/settings").await["metadata"]["resourceVersion"].clone();
    let operations = json!([{"op": "remove", "path": "/data/LOG_LEVEL"}]);
    let now = json!({"patch": operations, "type": "json", "resource_version": version});
    service.succeed(TOOL, arguments(&shop, "cm", "settings", now)).await;
}

#[tokio::test]
async fn wrong_patches_are_refused_in_words() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let fail = async |kind, name, more| service.fail(TOOL, arguments(&shop, kind, name, more)).await;
    let unknown = fail("deploy", "web", json!({"patch": {"spec": {"replica": 3}}})).await;
    assert!(unknown.contains("unknown field \"spec.replica\""), "{unknown}");
    let object = fail("deploy", "web", json!({"patch": {"a": 1}, "type": "json"})).await;
    assert!(object.contains("takes an array of operations"), "{object}");
    let array = fail("deploy", "web", json!({"patch": []})).await;
    assert!(array.contains("needs type `json`"), "{array}");
    let copy = json!([{"op": "copy", "from": "/data/password", "path": "/metadata/annotations/x"}]);
    let copied = fail("secret", "database", json!({"patch": copy, "type": "json"})).await;
    assert!(copied.contains("are not copied or moved"), "{copied}");
    let part = fail("cm", "settings", json!({"patch": {"data": {}}, "subresource": "scale"})).await;
    assert!(part.contains("ConfigMap has no `scale` that can be patched; it has: none"), "{part}");
    let missing = fail("cm", "setting", json!({"patch": {"data": {"a": "b"}}})).await;
    assert!(missing.contains("configmaps \"setting\" not found"), "{missing}");
    let conflict = json!({"patch": {"data": {"LOG_LEVEL": "x"}}, "type": "apply"});
    let conflict = fail("cm", "settings", conflict).await;
    assert!(conflict.contains("others own these fields: tests owns data.LOG_LEVEL"), "{conflict}");
    let kind = fail("settingz", "a", json!({"patch": {"a": 1}})).await;
    assert!(kind.contains("serves no `settingz`"), "{kind}");
    let weak = shop.weak_destroyer().await;
    let refused = weak.fail(TOOL, arguments(&shop, "cm", "settings", json!({"patch": {"data": {"a": "b"}}}))).await;
    assert!(refused.contains("User \"viewer\" cannot"), "{refused}");
}
