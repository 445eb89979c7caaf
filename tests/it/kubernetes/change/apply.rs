//! `kubernetes_apply` and `kubernetes_diff_manifests`.

use serde_json::json;

use super::super::Shop;
use super::plan;
use crate::harness::Service;

const TOOL: &str = "kubernetes_apply";
const DIFF: &str = "kubernetes_diff_manifests";

const TWO: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours}\ndata: {sky: blue}\n---\napiVersion: v1\nkind: \
                   Secret\nmetadata: {name: keys}\nstringData: {door: planted-secret-of-the-door}\n";

async fn apply(shop: &Shop, service: &Service, manifests: &str) -> crate::harness::Answer {
    service.succeed(TOOL, json!({"manifests": manifests, "namespace": shop.namespace})).await
}

#[tokio::test]
async fn documents_are_created_then_configured_then_unchanged() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let outcomes = |answer: &crate::harness::Answer| {
        let rows = answer.structured["rows"].as_array().unwrap();
        rows.iter().map(|row| row["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let created = apply(&shop, &service, TWO).await;
    assert_eq!(outcomes(&created), ["created", "created"], "{created:?}");
    let changed = apply(&shop, &service, &TWO.replace("blue", "grey").replace("of-the-door", "of-the-gate")).await;
    assert_eq!(outcomes(&changed), ["configured", "configured"], "{changed:?}");
    assert!(changed.text.contains("(data.sky)") && changed.text.contains("(data.door)"), "{}", changed.text);
    assert!(!changed.text.contains("planted") && !changed.structured.to_string().contains("planted"), "{changed:?}");
    let same = apply(&shop, &service, &TWO.replace("blue", "grey").replace("of-the-door", "of-the-gate")).await;
    assert_eq!(outcomes(&same), ["unchanged", "unchanged"], "{same:?}");
    assert_eq!(shop.object("configmaps/colours").await["data"]["sky"], "grey");
}

#[tokio::test]
async fn one_refused_document_keeps_all_of_them_back() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let bad = format!("{TWO}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: odd}}\ndatta: {{}}\n");
    let refused = service.fail(TOOL, json!({"manifests": bad, "namespace": shop.namespace})).await;
    assert!(
        refused.contains("nothing was applied") && refused.contains(".datta: field not declared in schema"),
        "{refused}"
    );
    assert!(shop.api.get(&shop.path("configmaps/colours")).await.is_err());
}

#[tokio::test]
async fn a_plan_shows_a_diff_and_is_refused_when_the_object_moved_on() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    apply(&shop, &service, TWO).await;
    let manifests = TWO.replace("blue", "red");
    let mut arguments = json!({"manifests": manifests, "namespace": shop.namespace, "dry_run": true});
    let shown = service.succeed(TOOL, arguments.clone()).await;
    assert!(shown.text.contains("-  sky: blue\n+  sky: red"), "{}", shown.text);
    assert_eq!(shop.object("configmaps/colours").await["data"]["sky"], "blue");
    let first = plan(&shown.text);
    let second = plan(&service.succeed(TOOL, arguments.clone()).await.text);
    arguments.as_object_mut().unwrap().remove("dry_run");
    arguments["plan"] = json!(first);
    service.succeed(TOOL, arguments.clone()).await;
    assert_eq!(shop.object("configmaps/colours").await["data"]["sky"], "red");
    arguments["plan"] = json!(second);
    let late = service.fail(TOOL, arguments.clone()).await;
    assert!(late.contains("have changed after it was made: ConfigMap"), "{late}");
    arguments["plan"] = json!(first);
    assert!(service.fail(TOOL, arguments).await.contains("there is no such plan"));
}

#[tokio::test]
async fn conflicts_name_the_manager_and_its_fields() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    shop.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours}\ndata: {sky: black}\n").await;
    let mut arguments = json!({"manifests": TWO, "namespace": shop.namespace});
    let refused = service.fail(TOOL, arguments.clone()).await;
    assert!(refused.contains("tests owns data.sky") && refused.contains("force_conflicts"), "{refused}");
    assert!(shop.api.get(&shop.path("secrets/keys")).await.is_err());
    let shown = service.succeed(DIFF, arguments.clone()).await;
    assert!(shown.text.contains("tests owns data.sky") && shown.text.contains("+  sky: blue"), "{}", shown.text);
    assert_eq!((&shown.structured["created"], &shown.structured["changed"]), (&json!(1), &json!(1)), "{shown:?}");
    assert!(!shown.text.contains("planted") && shown.text.contains("hidden-"), "{}", shown.text);
    arguments["force_conflicts"] = json!(true);
    service.succeed(TOOL, arguments).await;
    assert_eq!(shop.object("configmaps/colours").await["data"]["sky"], "blue");
}

#[tokio::test]
async fn names_are_made_for_new_objects_only() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: note-}\n";
    let mut arguments = json!({"manifests": manifest, "namespace": shop.namespace});
    let refused = service.fail(TOOL, arguments.clone()).await;
    assert!(refused.contains("`generateName` is for create_only"), "{refused}");
    arguments["create_only"] = json!(true);
    let made = service.succeed(TOOL, arguments).await;
    assert!(made.structured["rows"][0]["name"].as_str().unwrap().starts_with("note-"), "{made:?}");
    let arguments = json!({"manifests": TWO, "namespace": shop.namespace, "create_only": true});
    service.succeed(TOOL, arguments.clone()).await;
    assert!(service.fail(TOOL, arguments).await.contains("already exists"));
}

#[tokio::test]
async fn a_namespace_and_what_lies_in_it_are_applied_together_and_waited_for() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let name = format!("{}-inner", shop.namespace);
    let manifests = format!(
        "kind: List\napiVersion: v1\nitems:\n- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: inside, namespace: \
         {name}}}}}\n- {{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}\n"
    );
    let shown = service.succeed(TOOL, json!({"manifests": manifests, "dry_run": true})).await;
    assert!(shown.text.contains("Not tried, since their namespace is yet to be made"), "{}", shown.text);
    let done = service.succeed(TOOL, json!({"manifests": manifests, "wait": true})).await;
    assert_eq!(done.structured["rows"][0]["kind"], "Namespace", "{done:?}");
    assert!(done.text.contains("it is Active"), "{}", done.text);
}

#[tokio::test]
async fn mistakes_in_manifests_say_what_would_be_right() {
    let Some(shop) = Shop::empty().await else { return };
    let service = shop.destroyer().await;
    let fail = async |manifests: &str| service.fail(TOOL, json!({"manifests": manifests})).await;
    assert!(fail("a: [").await.contains("this is not YAML"));
    assert!(fail("# nothing").await.contains("there is no object in it"));
    assert!(fail("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}").await.contains("names no namespace"));
    let old = fail("{apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: a}}").await;
    assert!(old.contains("serves no Deployment of extensions/v1beta1; it is served as `apps/v1`"), "{old}");
    let shown = "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: b}, data: {x: hidden-0a1b2c3d}}";
    assert!(fail(shown).await.contains("has a fingerprint (hidden-…) in place of a secret"));
    let weak = shop.weak_destroyer().await;
    let refused = weak.fail(TOOL, json!({"manifests": TWO, "namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot"), "{refused}");
    let refused = weak.fail(DIFF, json!({"manifests": TWO, "namespace": shop.namespace})).await;
    assert!(refused.contains("User \"viewer\" cannot"), "{refused}");
}
