//! The tools of `kubernetes/nodes`.

mod drain;
mod logs;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, configuration};
use crate::cluster::Identity;
use crate::harness::{Service, eventually};

const STATUS: &str = "kubernetes_get_node_status";
const CORDON: &str = "kubernetes_cordon_node";

/// A node on which nothing lands but what is meant for it.
struct OwnNode {
    name: String,
}

impl OwnNode {
    async fn new(shop: &Shop) -> Self {
        // Namespaces have names of their own, so this is one too.
        let name = format!("own-{}", shop.namespace);
        shop.apply(&format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{own: {name}, kubernetes.io/os: linux}}\n\
             spec:\n  taints: [{{key: own, value: {name}, effect: NoSchedule}}]\n"
        ))
        .await;
        let path = format!("/api/v1/nodes/{name}");
        let is_ready = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array();
            let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
            let taints = node["spec"]["taints"].as_array().map_or(0, Vec::len);
            conditions.is_some_and(|all| all.iter().any(ready)) && taints == 1
        };
        shop.api.until(&path, is_ready).await.unwrap();
        Self { name }
    }

    /// The part of a pod that brings it here.
    fn placement(&self) -> String {
        format!("nodeSelector: {{own: {}}}, tolerations: [{{key: own, operator: Exists}}]", self.name)
    }

    /// Names of the pods of the shop that are here.
    async fn pods(&self, shop: &Shop) -> Vec<String> {
        let path = format!("/api/v1/namespaces/{}/pods?fieldSelector=spec.nodeName%3D{}", shop.namespace, self.name);
        let found = shop.api.get(&path).await.unwrap();
        let pods = found["items"].as_array().unwrap();
        let mut names: Vec<_> = pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    async fn is_cordoned(&self, shop: &Shop) -> bool {
        shop.api.get(&format!("/api/v1/nodes/{}", self.name)).await.unwrap()["spec"]["unschedulable"] == true
    }

    async fn remove(self, shop: &Shop) {
        let path = format!("/api/v1/nodes/{}", self.name);
        assert!(shop.api.request(Method::DELETE, &path).send().await.unwrap().status().is_success());
    }
}

/// A server that may change the cluster.
async fn allowed(shop: &Shop, allow: &str) -> Service {
    Service::start(&format!("allow: {allow}\n{}", configuration(shop.cluster, Identity::Administrator))).await
}

#[tokio::test]
async fn nodes_show_what_ails_them_and_what_is_asked_of_them() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    shop.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: large}}\nspec: {{{}, containers: [{{name: a, image: a, resources: \
         {{requests: {{cpu: \"16\", memory: 64Gi}}}}}}]}}\n",
        own.placement()
    ))
    .await;
    shop.api
        .until(&format!("/api/v1/namespaces/{}/pods/large", shop.namespace), |pod| pod["status"]["phase"] == "Running")
        .await
        .unwrap();
    let answer = shop.service.succeed(STATUS, json!({"name": own.name, "view": "full"})).await;
    println!("{}", answer.text);
    let row = &answer.structured["rows"][0];
    assert_eq!((&row["ready"], &row["schedulable"]), (&json!("yes"), &json!(true)));
    assert_eq!((&row["cpu_requested"], &row["memory_requested"]), (&json!("25%"), &json!("25%")));
    assert_eq!(row["pods"], "1/2000");
    assert_eq!(row["taints"], json!([format!("own={}:NoSchedule", own.name)]));
    let details = &answer.structured["facts"][&own.name];
    assert_eq!(details["pods"][0]["pod"], format!("{}/large", shop.namespace), "{details}");
    let label = json!({"labels": format!("own={}", own.name)});
    assert_eq!(shop.service.succeed(STATUS, label).await.structured["total"], 1);
    own.remove(&shop).await;
    let all = shop.service.succeed(STATUS, json!({})).await;
    println!("{}", all.text);
    assert!(all.text.contains("node-a"), "{}", all.text);
}

#[tokio::test]
async fn questions_about_nodes_that_cannot_be_answered_say_why() {
    let Some(shop) = Shop::empty().await else { return };
    let unknown = shop.service.fail(STATUS, json!({"name": "node-x"})).await;
    assert!(unknown.starts_with("kubernetes/first has no node `node-x`; there are node-a, node-b"), "{unknown}");
    let port = shop.service.fail(STATUS, json!({"name": "http:node-a:22"})).await;
    assert!(port.starts_with("name: `http:node-a:22` is not the name of a node"), "{port}");
    let both = shop.service.fail(STATUS, json!({"name": "node-a", "labels": "a=b"})).await;
    assert!(both.starts_with("labels: "), "{both}");
    let selector = shop.service.fail(STATUS, json!({"labels": "a in"})).await;
    assert!(selector.starts_with("kubernetes/first refuses it: unable to parse"), "{selector}");
    let refused = shop.weak().await.fail(STATUS, json!({})).await;
    assert!(refused.contains("User \"viewer\" cannot list resource \"nodes\""), "{refused}");
}

#[tokio::test]
async fn a_node_is_cordoned_and_made_schedulable_again() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    let service = allowed(&shop, "write").await;
    let tried = service.succeed(CORDON, json!({"name": own.name, "dry_run": true})).await;
    println!("{}", tried.text);
    assert_eq!(tried.structured["diff"], "spec.unschedulable: false -> true");
    assert!(!own.is_cordoned(&shop).await);
    let done = service.succeed(CORDON, json!({"name": own.name})).await;
    assert_eq!(
        (&done.structured["outcome"], &done.structured["schedulable_after"]),
        (&json!("cordoned"), &json!(false))
    );
    assert!(own.is_cordoned(&shop).await);
    let again = service.succeed(CORDON, json!({"name": own.name})).await;
    assert_eq!(again.structured["outcome"], "nothing to do: it is cordoned already");
    eventually("the status tells", async || {
        let status = service.succeed(STATUS, json!({"name": own.name})).await;
        (status.structured["rows"][0]["schedulable"] == false).then_some(())
    })
    .await;
    let back = service.succeed(CORDON, json!({"name": own.name, "uncordon": true})).await;
    assert_eq!(back.structured["outcome"], "schedulable again");
    assert!(!own.is_cordoned(&shop).await);
    own.remove(&shop).await;

    let unknown = service.fail(CORDON, json!({"name": "node-x"})).await;
    assert!(unknown.contains("has no node `node-x`"), "{unknown}");
    let weak = Service::start(&format!("allow: write\n{}", configuration(shop.cluster, Identity::Viewer))).await;
    let refused = weak.fail(CORDON, json!({"name": "node-a"})).await;
    assert!(refused.contains("cannot get resource \"nodes\""), "{refused}");
}
