//! `kubernetes_restart_workload`.

use serde_json::json;

use super::super::{Shop, is_ready};

const TOOL: &str = "kubernetes_restart_workload";

#[tokio::test]
async fn a_restart_rolls_the_pods_and_waits_for_them() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let old = shop.until_pods("web", is_ready).await;
    let old = old["items"][0]["metadata"]["uid"].clone();
    let mut arguments = json!({"kind": "deploy", "name": "web", "namespace": shop.namespace, "dry_run": true});
    service.succeed(TOOL, arguments.clone()).await;
    let before = shop.object("apis/apps/v1:deployments/web").await;
    assert!(before.pointer("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt").is_none());
    arguments["dry_run"] = json!(false);
    arguments["wait"] = json!(true);
    let done = service.succeed(TOOL, arguments).await;
    assert!(done.text.contains("restarted at 20") && done.text.contains("met after"), "{}", done.text);
    shop.until_pods("web", |pod| pod["metadata"]["uid"] != old && is_ready(pod)).await;
}

#[tokio::test]
async fn what_cannot_be_restarted_is_refused_with_the_way_out() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let with = |kind: &str, name: &str| json!({"kind": kind, "name": name, "namespace": shop.namespace});
    let mut pause = with("deploy", "web");
    pause["action"] = json!("pause");
    service.succeed("kubernetes_control_rollout", pause).await;
    let paused = service.fail(TOOL, with("deploy", "web")).await;
    assert!(paused.contains("is paused, so nothing would restart; resume it with"), "{paused}");
    assert!(service.fail(TOOL, with("job", "import")).await.contains("a Job has no rollouts"));
    assert!(service.fail(TOOL, with("deploy", "webb")).await.contains("there is web"));
    let weak = shop.weak_destroyer().await.fail(TOOL, with("deploy", "web")).await;
    assert!(weak.contains("User \"viewer\" cannot"), "{weak}");
}
