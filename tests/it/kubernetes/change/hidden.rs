//! What is hidden in objects stays so when they are changed, or refused.

use serde_json::{Value, json};

use super::super::Shop;

const DIFF: &str = "kubernetes_diff_manifests";

/// A pod and a job that cannot be changed, with secrets in plain variables and arguments.
const FIXED: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: victim}
spec:
  containers:
    - name: main
      image: registry.example.org/shop/victim:1
      args: [--password, hunter2argv]
      env: [{name: DB_PASSWORD, value: hunter2real}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: victim}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: registry.example.org/shop/victim:1
          env: [{name: DB_PASSWORD, value: hunter2job}]
";

#[tokio::test]
async fn a_refused_difference_shows_the_fields_and_nothing_of_the_stored_objects() {
    let Some(shop) = Shop::empty().await else { return };
    shop.apply(FIXED).await;
    let with_other_values = FIXED.replace("hunter2", "other-").replace("victim:1", "victim:2");
    let without_conflict = "apiVersion: v1\nkind: Pod\nmetadata: {name: victim}\nspec: {containers: [{name: main, \
                            workingDir: /elsewhere}]}\n";
    for manifests in [with_other_values.as_str(), without_conflict] {
        let answer = shop.service.call(DIFF, json!({"manifests": manifests, "namespace": shop.namespace})).await;
        println!("{}", answer.text);
        assert!(!answer.result.to_string().contains("hunter2"), "{}", answer.result);
        assert!(answer.text.contains("spec: Forbidden: pod updates may not change fields"), "{}", answer.text);
    }
    let job = shop.service.call(DIFF, json!({"manifests": with_other_values, "namespace": shop.namespace})).await;
    assert!(job.text.contains("Invalid value: field is immutable"), "{}", job.text);
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: victim}
spec:
  replicas: 0
  selector: {matchLabels: {app: victim}}
  template:
    metadata: {labels: {app: victim}}
    spec:
      containers:
        - name: main
          image: registry.example.org/shop/victim:1
          env: [{name: LEVEL, value: info}, {name: DB_PASSWORD, value: hunter2env}]
---
apiVersion: v1
kind: Secret
metadata: {name: victim}
stringData: {pin: hunter2pin}
";

#[tokio::test]
async fn a_patch_neither_carries_out_what_is_hidden_nor_finds_out_what_it_is() {
    let Some(shop) = Shop::empty().await else { return };
    shop.apply(DEPLOYMENT).await;
    let service = shop.destroyer().await;
    let patch = async |kind: &str, patch: Value, patch_type: &str| {
        let arguments = json!({
            "kind": kind, "name": "victim", "namespace": shop.namespace, "patch": patch, "type": patch_type, "dry_run": true
        });
        let answer = service.call("kubernetes_patch_resource", arguments).await;
        println!("{}", answer.text);
        assert!(!answer.result.to_string().contains("hunter2"), "{}", answer.result);
        answer
    };
    let env = "/spec/template/spec/containers/0/env";
    let note = "/metadata/annotations/deployment.kubernetes.io~1revision";
    for refused in [
        json!([{"op": "copy", "from": format!("{env}/1/value"), "path": note}]),
        json!([{"op": "copy", "from": format!("{env}/-1/value"), "path": note}]),
        json!([{"op": "move", "from": "/spec/template", "path": note}]),
        json!([{"op": "test", "path": format!("{env}/1/value"), "value": "guess"}]),
        json!([{"op": "remove", "path": format!("{env}/0")}, {"op": "test", "path": format!("{env}/0/value"), "value": "guess"}]),
    ] {
        let answer = patch("deployment", refused.clone(), "json").await;
        assert!(answer.failed && answer.text.contains("something that answers hide"), "{refused}: {}", answer.text);
    }
    let pin = json!([{"op": "test", "path": "/data/pin", "value": "Z3Vlc3M="}]);
    assert!(patch("secret", pin, "json").await.text.contains("something that answers hide"));
    let renamed = json!([{"op": "replace", "path": format!("{env}/1/name"), "value": "COLOUR"}]);
    let answer = patch("deployment", renamed, "json").await;
    assert!(!answer.failed && answer.text.contains("- name: COLOUR"), "{}", answer.text);
    let other = json!([
        {"op": "test", "path": format!("{env}/0/value"), "value": "info"},
        {"op": "copy", "from": format!("{env}/0/value"), "path": "/metadata/labels", "value": {}},
    ]);
    assert!(!patch("deployment", other, "json").await.text.contains("something that answers hide"));
    let merged = json!({"spec": {"replicas": 1}});
    assert!(patch("deployment", merged, "merge").await.text.contains("+  replicas: 1"));
}
