//! Lists that are answered from a watch.

mod broken;

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::proxy::{Proxy, Watches};
use super::{Shop, configuration, is_ready};
use crate::cluster::{Identity, document};
use crate::harness::{Answer, PATIENCE, Service, eventually};

const TOOL: &str = "kubernetes_list_resources";

/// A configuration in which lists are kept, with more settings of that.
fn keeping(configuration: &str, settings: &str) -> String {
    format!("{configuration}        watch_cache: {{enabled: true{settings}}}\n")
}

/// A figure of a service.
async fn figure(service: &Service, name: &str) -> u64 {
    let text = service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{backend=\"kubernetes/first\"} "));
    line.map_or(0, |figure| figure.parse().unwrap())
}

/// Answers that came from a watch.
async fn kept_answers(service: &Service) -> u64 {
    figure(service, "mcp_backend_kept_answers_total").await
}

/// Calls until an answer comes from a watch.
async fn warm(service: &Service, arguments: &Value) -> Answer {
    eventually("an answer from a watch", async || {
        let before = kept_answers(service).await;
        let answer = service.succeed(TOOL, arguments.clone()).await;
        (kept_answers(service).await > before).then_some(answer)
    })
    .await
}

/// Calls until an answer is as wanted.
async fn until(service: &Service, arguments: &Value, wanted: impl Fn(&Answer) -> bool) -> Answer {
    eventually("an answer as wanted", async || {
        let answer = service.succeed(TOOL, arguments.clone()).await;
        wanted(&answer).then_some(answer)
    })
    .await
}

fn names(answer: &Answer) -> Vec<String> {
    let rows = answer.structured["rows"].as_array().unwrap();
    let whole = |row: &Value| row["metadata"]["name"].as_str().map(str::to_owned);
    let name = |row: &Value| row["name"].as_str().or(answer.structured["common"]["name"].as_str()).map(str::to_owned);
    rows.iter().map(|row| whole(row).or_else(|| name(row)).unwrap()).collect()
}

/// Everything that a list says on all its pages, without what leads to the next ones and to the whole.
async fn pages(service: &Service, arguments: &Value) -> String {
    let mut arguments = arguments.clone();
    let mut all = String::new();
    loop {
        let mut answer = service.call(TOOL, arguments.clone()).await;
        let cursor = answer.structured.as_object_mut().and_then(|structured| {
            structured.remove("whole");
            structured.remove("cursor")
        });
        let leads_on = |line: &&str| line.starts_with("Next page:") || line.contains(" 15 minutes: results://");
        let text = answer.text.lines().filter(|line| !leads_on(line)).collect::<Vec<_>>().join("\n");
        writeln!(all, "{text}\n{}", answer.structured).unwrap();
        match cursor {
            Some(cursor) => arguments["cursor"] = cursor,
            None => return all,
        }
    }
}

#[tokio::test]
async fn answers_from_a_watch_are_those_of_the_api_server() {
    let Some(shop) = Shop::seeded().await else { return };
    shop.until_pods("web", is_ready).await;
    for number in 0..7 {
        let half = if number % 2 == 0 { "half: even, app: part" } else { "half: odd" };
        let labels = format!("{{{half}, shop: {}}}", shop.namespace);
        shop.apply(&format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: part-{number}, labels: {labels}}}}}"
        ))
        .await;
    }
    let service = Service::start(&keeping(&configuration(shop.cluster, Identity::Administrator), "")).await;
    let here = |more: Value| {
        let mut arguments = json!({"namespace": shop.namespace});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let kept = [
        here(json!({"kind": "pods"})),
        here(json!({"kind": "pods", "columns": ["ip", "node"]})),
        here(json!({"kind": "pods", "labels": "app=web"})),
        here(json!({"kind": "pods", "labels": "app in (web, checkout),team", "limit": 2})),
        here(json!({"kind": "pods", "view": "summary"})),
        here(json!({"kind": "pods", "sort_by": "-age"})),
        here(json!({"kind": "pods", "sort_by": "restarts", "limit": 3})),
        here(json!({"kind": "configmaps", "limit": 3})),
        here(json!({"kind": "configmaps", "limit": 4})),
        here(json!({"kind": "configmaps", "limit": 8})),
        here(json!({"kind": "configmaps", "labels": "half=even", "limit": 2})),
        here(json!({"kind": "configmaps", "labels": "half=even", "limit": 4})),
        here(json!({"kind": "configmaps", "labels": "half!=even,app notin (x)"})),
        here(json!({"kind": "configmaps", "labels": "!half"})),
        here(json!({"kind": "configmaps", "fields": "metadata.name=part-3"})),
        here(json!({"kind": "configmaps", "fields": "metadata.name=missing"})),
        here(json!({"kind": "deployments"})),
        here(json!({"kind": "services"})),
        here(json!({"kind": "secrets"})),
        here(json!({"kind": "coupons"})),
        json!({"kind": "configmaps", "labels": format!("shop={}", shop.namespace), "limit": 3}),
        json!({"kind": "pods", "fields": format!("metadata.namespace={}", shop.namespace)}),
        json!({"kind": "configmaps", "fields": format!("metadata.namespace={},metadata.name=part-1", shop.namespace), "limit": 2}),
        json!({"kind": "nodes"}),
        json!({"kind": "nodes", "sort_by": "-name", "columns": ["internal_ip"]}),
        json!({"kind": "clusterroles", "labels": "kubernetes.io/bootstrapping=rbac-defaults", "limit": 500}),
        json!({"kind": "clusterroles", "limit": 20}),
        here(json!({"kind": "pods", "columns": ["colour"]})),
    ];
    let asked = [
        json!({"kind": "configmaps", "fields": format!("metadata.namespace={},metadata.name!=part-1", shop.namespace), "limit": 2}),
        here(json!({"kind": "pods", "fields": "status.phase=Running"})),
        here(json!({"kind": "pods", "columns": [".spec.nodeName"]})),
        here(json!({"kind": "configmaps", "labels": "half in"})),
        here(json!({"kind": "jobs"})),
    ];
    let all = kept.into_iter().map(|arguments| (true, arguments)).chain(asked.into_iter().map(|one| (false, one)));
    for (is_kept, arguments) in all {
        let mut last = (String::new(), String::new());
        let same = async {
            loop {
                let before = kept_answers(&service).await;
                last = (pages(&service, &arguments).await, pages(&shop.service, &arguments).await);
                // Both begin and end within the same second, sooner or later, and ages are the same then.
                if last.0 == last.1 && (kept_answers(&service).await > before) == is_kept {
                    return;
                }
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, same).await;
        assert_eq!(last.0, last.1, "{arguments}");
        assert!(outcome.is_ok(), "whether this comes from a watch: {arguments}");
    }
    assert_eq!(kept_answers(&shop.service).await, 0, "nothing is kept unless an operator wants it");
}

#[tokio::test]
async fn what_happens_in_the_cluster_is_seen_at_once() {
    let Some(shop) = Shop::empty().await else { return };
    let service = Service::start(&keeping(&configuration(shop.cluster, Identity::Administrator), "")).await;
    let arguments = json!({"kind": "configmaps", "namespace": shop.namespace});
    let with = |labels: &str| json!({"kind": "configmaps", "namespace": shop.namespace, "labels": labels});
    let map = |name: &str, label: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{step: {label}}}}}}}")
    };
    warm(&service, &arguments).await;
    shop.apply(&map("watched", "made")).await;
    until(&service, &arguments, |answer| names(answer).contains(&"watched".to_owned())).await;
    until(&service, &with("step=made"), |answer| names(answer) == ["watched"]).await;
    shop.apply(&map("watched", "changed")).await;
    until(&service, &with("step=changed"), |answer| names(answer) == ["watched"]).await;
    until(&service, &with("step=made"), |answer| names(answer).is_empty()).await;
    let path = format!("/api/v1/namespaces/{}/configmaps/watched", shop.namespace);
    shop.api.request(Method::DELETE, &path).send().await.unwrap().error_for_status().unwrap();
    until(&service, &arguments, |answer| !names(answer).contains(&"watched".to_owned())).await;
    let before = kept_answers(&service).await;
    warm(&service, &arguments).await;
    assert!(kept_answers(&service).await > before, "the list is still kept");
}

#[tokio::test]
async fn who_lost_the_right_to_list_is_refused_though_the_list_is_kept() {
    let Some(shop) = Shop::empty().await else { return };
    shop.apply(&document("viewer.yaml").unwrap()).await;
    let weak = Service::start(&keeping(&configuration(shop.cluster, Identity::Viewer), "")).await;
    let arguments = json!({"kind": "configmaps", "namespace": shop.namespace});
    eventually("the role is known", async || {
        let answer = weak.call(TOOL, arguments.clone()).await;
        (!answer.failed).then_some(())
    })
    .await;
    warm(&weak, &arguments).await;
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/viewer", shop.namespace);
    shop.api.request(Method::DELETE, &path).send().await.unwrap().error_for_status().unwrap();
    let refused = eventually("the refusal", async || {
        let answer = weak.call(TOOL, arguments.clone()).await;
        answer.failed.then_some(answer.text)
    })
    .await;
    assert!(refused.contains("User \"viewer\" cannot list resource \"configmaps\""), "{refused}");
    // The watch itself goes on until it has to begin anew.
    assert_eq!(figure(&weak, "mcp_backend_kept_lists").await, 1);
}

#[tokio::test]
async fn a_planted_secret_is_in_no_answer_from_a_watch() {
    let Some(shop) = Shop::empty().await else { return };
    shop.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: planted, annotations: {note: password=swordfish}}, stringData: \
         {password: swordfish}}",
    )
    .await;
    shop.apply(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: planted}
spec:
  replicas: 0
  selector: {matchLabels: {app: planted}}
  template:
    metadata: {labels: {app: planted}}
    spec: {containers: [{name: planted, image: "registry.example.org/ghp_0123456789swordfish0123456789abcdef/web:1"}]}
"#,
    )
    .await;
    let service = Service::start(&keeping(&configuration(shop.cluster, Identity::Administrator), "")).await;
    for kind in ["secrets", "deployments"] {
        let arguments = json!({"kind": kind, "namespace": shop.namespace, "columns": if kind == "secrets" { json!([]) } else { json!(["images"]) }});
        let answer = warm(&service, &arguments).await;
        assert!(names(&answer).contains(&"planted".to_owned()), "{}", answer.text);
        assert!(!answer.result.to_string().contains("swordfish"), "{}", answer.text);
        if kind == "deployments" {
            assert!(answer.text.contains("hidden-"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn lists_have_bounds_in_number_and_bytes_and_time() {
    let Some(shop) = Shop::empty().await else { return };
    let start = async |settings: &str| {
        let config = keeping(&configuration(shop.cluster, Identity::Administrator), settings);
        Service::start(&format!("log: {{level: debug}}\n{config}")).await
    };
    let arguments = |kind: &str| json!({"kind": kind, "namespace": shop.namespace});

    let few = start(", most_lists: 1").await;
    warm(&few, &arguments("configmaps")).await;
    let before = kept_answers(&few).await;
    for _ in 0..5 {
        few.succeed(TOOL, arguments("serviceaccounts")).await;
    }
    assert_eq!(kept_answers(&few).await, before, "there was no place for another list");
    assert_eq!(figure(&few, "mcp_backend_kept_lists").await, 1);

    let small = start(", most_bytes: 100").await;
    eventually("the list was found too large", async || {
        small.succeed(TOOL, arguments("configmaps")).await;
        small.log().contains("too large").then_some(())
    })
    .await;
    for _ in 0..5 {
        small.succeed(TOOL, arguments("configmaps")).await;
    }
    assert_eq!(kept_answers(&small).await, 0);
    assert_eq!(figure(&small, "mcp_backend_kept_lists").await, 0);

    let short = start(", idle_seconds: 1").await;
    warm(&short, &arguments("configmaps")).await;
    short.counted("mcp_backend_kept_lists{backend=\"kubernetes/first\"} 0").await;
}

#[tokio::test]
async fn who_changes_something_sees_it_in_the_next_list() {
    let Some(shop) = Shop::empty().await else { return };
    let config = keeping(&configuration(shop.cluster, Identity::Administrator), "");
    let service = Service::start(&format!("allow: destroy\n{config}")).await;
    let arguments = json!({"kind": "configmaps", "namespace": shop.namespace});
    warm(&service, &arguments).await;
    for number in 0..20 {
        let name = format!("changed-{number}");
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string();
        service.succeed("kubernetes_apply", json!({"manifests": manifest, "namespace": shop.namespace})).await;
        let answer = service.succeed(TOOL, arguments.clone()).await;
        assert!(names(&answer).contains(&name), "{}", answer.text);
    }
}
