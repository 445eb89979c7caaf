//! Rollouts, replicas, waiting.

mod control;
mod get;
mod restart;
mod scale;
mod trigger;
mod wait;

/// A Deployment of one pod, whose revision shows in its image.
fn deployment(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api, labels: {{app: api}}}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: api}}}}\n  template:\n    metadata: {{labels: {{app: api}}}}\n    spec:\n      \
         containers:\n        - name: api\n          image: {image}\n          env: [{{name: API_TOKEN, value: \
         planted-{image}}}]\n"
    )
}

const SET: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db, labels: {app: db}}\nspec:\n  replicas: 1\n  \
                   serviceName: db\n  selector: {matchLabels: {app: db}}\n  template:\n    metadata: {labels: {app: db}}\n    \
                   spec: {containers: [{name: db, image: \"db:1\"}]}\n";
