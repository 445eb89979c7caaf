//! Draining: nothing leaves that a budget holds.

use reqwest::Method;
use serde_json::{Value, json};

use super::{OwnNode, Shop, allowed, configuration};
use crate::cluster::Identity;
use crate::harness::{Events, Service, eventually};

const DRAIN: &str = "kubernetes_drain_node";

/// Two pods on the node that their controller makes again.
async fn web(shop: &Shop, own: &OwnNode) -> Vec<String> {
    shop.apply(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: \
         {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{{}, containers: [{{name: a, \
         image: a}}]}}\n",
        own.placement()
    ))
    .await;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", shop.namespace);
    shop.api.until(&path, |web| web["status"]["readyReplicas"] == 2).await.unwrap();
    own.pods(shop).await
}

/// A budget that holds both.
async fn budget(shop: &Shop) {
    shop.apply(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: hold}\nspec: {maxUnavailable: 0, selector: \
         {matchLabels: {app: web}}}\n",
    )
    .await;
    let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets/hold", shop.namespace);
    shop.api.until(&path, |budget| budget["status"]["currentHealthy"] == 2).await.unwrap();
}

async fn lift_budget(shop: &Shop) {
    let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets/hold", shop.namespace);
    assert!(shop.api.request(Method::DELETE, &path).send().await.unwrap().status().is_success());
}

/// The progress of a call that is under way, until a message has this text.
async fn until_told(events: &mut Events, text: &str) -> f64 {
    loop {
        let message = events.message().await;
        assert_eq!(message["method"], "notifications/progress", "{message}");
        if message["params"]["message"].as_str().unwrap().contains(text) {
            return message["params"]["progress"].as_f64().unwrap();
        }
    }
}

async fn begin(service: &Service, arguments: Value) -> Events {
    let params = json!({"name": DRAIN, "arguments": arguments, "_meta": {"progressToken": "p"}});
    Events::new(service.modern("/mcp", "tools/call", params).send().await.unwrap())
}

#[tokio::test]
async fn a_planned_drain_empties_the_node_but_for_what_would_come_back() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    shop.apply(&format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: agent}}\nspec:\n  selector: {{matchLabels: {{app: \
         agent}}}}\n  template:\n    metadata: {{labels: {{app: agent}}}}\n    spec: {{{}, containers: [{{name: a, image: \
         a}}]}}\n",
        own.placement()
    ))
    .await;
    shop.until_pods("agent", |pod| pod["status"]["phase"] == "Running").await;
    web(&shop, &own).await;
    let service = allowed(&shop, "destroy").await;
    let tried = service.succeed(DRAIN, json!({"name": own.name, "dry_run": true})).await;
    println!("{}", tried.text);
    assert_eq!(tried.structured["facts"]["verdict"], "dry run: nothing was changed; it would be drained");
    assert_eq!((own.pods(&shop).await.len(), own.is_cordoned(&shop).await), (3, false));
    let plan = tried.text.split("plan \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a plan");
    let done = service.succeed(DRAIN, json!({"name": own.name, "plan": plan})).await;
    println!("{}", done.text);
    assert_eq!(done.structured["facts"]["verdict"], "drained");
    assert_eq!(done.structured["facts"]["evicted"], 2);
    let left = own.pods(&shop).await;
    assert!(left.len() == 1 && left[0].starts_with("agent-"), "{left:?}");
    assert!(own.is_cordoned(&shop).await);
    let again = service.succeed(DRAIN, json!({"name": own.name})).await;
    assert_eq!(again.structured["facts"]["evicted"], 0);
    own.remove(&shop).await;
}

#[tokio::test]
async fn nothing_is_forced_where_a_budget_guards() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    let pods = web(&shop, &own).await;
    budget(&shop).await;
    let service = allowed(&shop, "destroy").await;
    let everything = json!({"name": own.name, "force": true, "delete_empty_dir_data": true, "grace_period_seconds": 0,
        "timeout_seconds": 3});
    let mut tried = everything.clone();
    tried["dry_run"] = true.into();
    let tried = service.succeed(DRAIN, tried).await;
    println!("{}", tried.text);
    assert_eq!(tried.structured["facts"]["verdict"], "dry run: nothing was changed; it would not be drained now");
    let held = service.succeed(DRAIN, everything).await;
    println!("{}", held.text);
    assert_eq!(held.structured["facts"]["verdict"], "not drained");
    assert_eq!((&held.structured["facts"]["blocked"], &held.structured["facts"]["evicted"]), (&json!(2), &json!(0)));
    assert_eq!(held.structured["common"]["budget"], "hold", "{}", held.text);
    assert_eq!(own.pods(&shop).await, pods);
    assert!(own.is_cordoned(&shop).await && held.text.contains("stays cordoned"), "{}", held.text);

    // As soon as the budget allows it, the same call goes on.
    let mut events = begin(&service, json!({"name": own.name})).await;
    until_told(&mut events, "(budget hold)").await;
    lift_budget(&shop).await;
    let result = loop {
        let message = events.message().await;
        if message.get("result").is_some() {
            break message;
        }
    };
    assert_eq!(result["result"]["structuredContent"]["facts"]["verdict"], "drained", "{result}");
    assert_eq!(own.pods(&shop).await, Vec::<String>::new());
    own.remove(&shop).await;
}

#[tokio::test]
async fn progress_is_seen_and_who_stops_the_drain_stops_the_evictions() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    let pods = web(&shop, &own).await;
    budget(&shop).await;
    let service = allowed(&shop, "destroy").await;
    let mut events = begin(&service, json!({"name": own.name})).await;
    let first = until_told(&mut events, "0 of 2 pods are gone; held: ").await;
    let second = until_told(&mut events, "(budget hold)").await;
    assert!(second > first, "{second} after {first}");
    drop(events);
    service.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"kubernetes_drain_node\"} 1").await;
    assert!(own.is_cordoned(&shop).await);
    // Nobody asks them to leave any more, though nothing holds them now.
    lift_budget(&shop).await;
    let tried = service.succeed(DRAIN, json!({"name": own.name, "dry_run": true})).await;
    assert_eq!(tried.structured["facts"]["evicted"], 2, "{}", tried.text);
    assert_eq!(own.pods(&shop).await, pods);
    own.remove(&shop).await;
}

#[tokio::test]
async fn a_drain_goes_on_as_a_task_until_it_is_cancelled() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    let pods = web(&shop, &own).await;
    budget(&shop).await;
    let service = allowed(&shop, "destroy").await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities":
        {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let call = json!({"name": DRAIN, "arguments": {"name": own.name}, "_meta": meta});
    let (_, message) = service.send("tools/call", call).await;
    assert_eq!(message["result"]["resultType"], "task", "{message}");
    let params = json!({"taskId": message["result"]["taskId"], "_meta": meta});
    eventually("it is cordoned", async || own.is_cordoned(&shop).await.then_some(())).await;
    service.send("tasks/cancel", params.clone()).await;
    service.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"kubernetes_drain_node\"} 1").await;
    let (_, message) = service.send("tasks/get", params).await;
    assert_eq!(message["result"]["status"], "cancelled");
    assert_eq!(own.pods(&shop).await, pods);
    own.remove(&shop).await;
}

#[tokio::test]
async fn pods_that_would_be_lost_leave_only_with_the_arguments_for_it() {
    let Some(shop) = Shop::empty().await else { return };
    let own = OwnNode::new(&shop).await;
    shop.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: alone, labels: {{app: alone}}}}\nspec: {{{}, containers: [{{name: a, \
         image: a}}], volumes: [{{name: data, emptyDir: {{}}}}]}}\n",
        own.placement()
    ))
    .await;
    shop.until_pods("alone", |pod| pod["status"]["phase"] == "Running").await;
    let service = allowed(&shop, "destroy").await;
    let refused = service.fail(DRAIN, json!({"name": own.name})).await;
    let alone = format!("{}/alone (no controller would make it again; needs force)", shop.namespace);
    assert!(refused.starts_with("nothing was changed") && refused.contains(&alone), "{refused}");
    let refused = service.fail(DRAIN, json!({"name": own.name, "force": true})).await;
    assert!(refused.contains("needs delete_empty_dir_data"), "{refused}");
    assert!(!own.is_cordoned(&shop).await);
    let tried = service.succeed(DRAIN, json!({"name": own.name, "dry_run": true})).await;
    assert_eq!(tried.structured["rows"][0]["state"], "blocked", "{}", tried.text);
    let other = service.succeed(DRAIN, json!({"name": own.name, "labels": "app=none"})).await;
    assert_eq!(other.structured["facts"]["verdict"], "drained of pods with these labels");
    let done = service.succeed(DRAIN, json!({"name": own.name, "force": true, "delete_empty_dir_data": true})).await;
    assert_eq!(done.structured["facts"]["evicted"], 1, "{}", done.text);
    assert_eq!(own.pods(&shop).await, Vec::<String>::new());
    own.remove(&shop).await;
}

#[tokio::test]
async fn a_drain_that_cannot_begin_says_why() {
    let Some(shop) = Shop::empty().await else { return };
    let service = allowed(&shop, "destroy").await;
    let unknown = service.fail(DRAIN, json!({"name": "node-x"})).await;
    assert!(unknown.contains("has no node `node-x`; there are node-a"), "{unknown}");
    let long = service.fail(DRAIN, json!({"name": "node-a", "timeout_seconds": 4000})).await;
    assert!(long.contains("timeout_seconds") && long.contains("3600"), "{long}");
    let selector = service.fail(DRAIN, json!({"name": "node-a", "labels": "a in", "dry_run": true})).await;
    assert!(selector.starts_with("kubernetes/first refuses it: unable to parse"), "{selector}");
    let weak = Service::start(&format!("allow: destroy\n{}", configuration(shop.cluster, Identity::Viewer))).await;
    let refused = weak.fail(DRAIN, json!({"name": "node-a"})).await;
    assert!(refused.contains("cannot get resource \"nodes\""), "{refused}");
}
