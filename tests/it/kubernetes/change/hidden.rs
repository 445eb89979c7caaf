//! What is hidden in objects stays so when they are changed, or refused.

use serde_json::json;

use super::super::Shop;

const DIFF: &str = "kubernetes_diff_manifests";

/// A pod and a job that cannot be changed, with secrets in plain variables and arguments.
const FIXED: &str = r#"
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
"#;

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
