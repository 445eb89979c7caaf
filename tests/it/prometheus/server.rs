//! The servers themselves: targets, status, snapshots.

use serde_json::{Value, json};

use super::{Stand, column, rows};

#[tokio::test]
async fn targets_are_listed_troubled_first() {
    let Some(stand) = Stand::start().await else { return };
    let stand = stand.scraped().await;
    let down = |answer: &Value| answer["facts"]["down"] == 1;
    let targets = stand.once_there("list_targets", json!({"state": "any"}), down).await;
    assert_eq!(column(&targets, "health"), ["down", "up", "dropped"], "{}", targets.text);
    assert_eq!(column(&targets, "job"), ["silent", "page", "unwanted"]);
    assert!(rows(&targets)[0]["error"].as_str().unwrap().contains("connection refused"));
    let full = stand.ask("list_targets", json!({"pool": "page", "view": "full"})).await;
    assert!(full.text.contains("interval: 200ms") && full.text.contains("env: prod"), "{}", full.text);
    let summary = stand.ask("list_targets", json!({"view": "summary", "state": "any"})).await;
    assert_eq!(column(&summary, "pool"), ["silent", "page", "unwanted"], "{}", summary.text);
    let none = stand.ask("list_targets", json!({"pool": "nope"})).await;
    assert!(none.text.contains("pools: page, silent, unwanted"), "{}", none.text);
    assert_eq!(stand.ask("list_targets", json!({"health": "up", "query": "PROD"})).await.structured["total"], 1);
}

#[tokio::test]
async fn the_status_shows_parts_and_hides_passwords() {
    let Some(stand) = Stand::start().await else { return };
    let status = stand.ask("get_status", json!({})).await;
    assert_eq!(status.structured["ready"], "yes");
    assert!(
        status.structured["build"]["version"].is_string()
            && status.structured["runtime"]["storageRetention"].is_string()
    );
    let config = stand.ask("get_status", json!({"parts": ["config", "wal", "alertmanagers"]})).await;
    assert!(config.text.contains("job_name: silent") && config.text.contains("username: ann"), "{}", config.text);
    assert!(!config.text.contains("hunter"), "{}", config.text);
    assert!(config.text.contains("used: none: alerts reach nobody") && config.text.contains("wal: read back"));
    let lines = stand.ask("get_status", json!({"parts": ["config", "flags"], "query": "Retention.TIME"})).await;
    assert_eq!(
        lines.structured["flags"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["storage.tsdb.retention.time"]
    );
    assert_eq!(lines.structured["config"], "");
    let newer = stand.ask("get_status", json!({"parts": ["notifications", "blocks", "features"]})).await;
    assert!(newer.structured["ready"] == "yes", "what a version lacks is no failure: {}", newer.text);
}

#[tokio::test]
async fn a_snapshot_is_taken_only_where_the_server_lets_itself_be_administered() {
    let Some(stand) = Stand::with(&["one", "two"]).await else { return };
    let taken = stand.ask("create_snapshot", json!({"skip_head": true})).await;
    let directory = taken.structured["directory"].as_str().unwrap();
    assert!(stand.folder.path().join("one").join(directory).is_dir(), "{directory}");
    let off = stand.refused("create_snapshot", json!({"instance": "two"})).await;
    assert!(off.contains("its operator turns it on with --web.enable-admin-api"), "{off}");
}
