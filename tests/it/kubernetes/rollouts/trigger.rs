//! `kubernetes_trigger_cronjob`.

use serde_json::json;

use super::super::Shop;

const TOOL: &str = "kubernetes_trigger_cronjob";

#[tokio::test]
async fn a_job_starts_from_the_template_and_belongs_to_its_cronjob() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let with = |more: &str| json!({"name": "report", "namespace": shop.namespace, "job_name": more});
    let made = service.succeed(TOOL, json!({"name": "report", "namespace": shop.namespace})).await;
    let name = made.structured["job"].as_str().unwrap().to_owned();
    assert!(name.starts_with("report-manual-"), "{made:?}");
    let job = shop.object(&format!("apis/batch/v1:jobs/{name}")).await;
    assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "report");
    assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
    let done = json!({"kind": "job", "name": name, "namespace": shop.namespace, "until": "complete"});
    let done = shop.service.succeed("kubernetes_wait_for_resource", done).await;
    assert_eq!(done.structured["outcome"], "met", "{done:?}");
    service.succeed(TOOL, with("by-hand")).await;
    let twice = service.fail(TOOL, with("by-hand")).await;
    assert!(twice.contains("already exists"), "{twice}");
    let mut dry = with("tried");
    dry["dry_run"] = json!(true);
    service.succeed(TOOL, dry).await;
    assert!(shop.api.get(&shop.path("apis/batch/v1:jobs/tried")).await.is_err());
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_told() {
    let Some(shop) = Shop::seeded().await else { return };
    let service = shop.destroyer().await;
    let missing = service.fail(TOOL, json!({"name": "reports", "namespace": shop.namespace})).await;
    assert!(missing.contains("no CronJob `reports`") && missing.contains("there is report"), "{missing}");
    let wrong = json!({"name": "report", "namespace": shop.namespace, "job_name": "Not A Name"});
    assert!(service.fail(TOOL, wrong).await.contains("refuses it"));
    let weak = shop.weak_destroyer().await.fail(TOOL, json!({"name": "report", "namespace": shop.namespace})).await;
    assert!(weak.contains("User \"viewer\" cannot"), "{weak}");
}
