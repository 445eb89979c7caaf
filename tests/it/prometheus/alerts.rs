//! Alerts, and the rules that make them.

use serde_json::{Value, json};

use super::{Stand, column, rows};

#[tokio::test]
async fn alerts_and_rules_are_listed_urgent_first() {
    let Some(stand) = Stand::start().await else { return };
    let both = |answer: &Value| answer["facts"]["firing"] == 1 && answer["facts"]["pending"] == 2;
    let alerts = stand.once_there("list_alerts", json!({}), both).await;
    let first = &rows(&alerts)[0];
    assert_eq!(
        (&first["alert"], &first["severity"], &first["value"]),
        (&json!("QueueLong"), &json!("page"), &json!(50))
    );
    assert_eq!((&first["summary"], &first["labels"]["queue"]), (&json!("Queue print is long"), &json!("print")));
    let pending = stand.ask("list_alerts", json!({"state": "pending", "filter": ["queue=mail"]})).await;
    assert_eq!(column(&pending, "alert"), ["QueueSlow"]);
    let summary = stand.ask("list_alerts", json!({"view": "summary"})).await;
    assert_eq!(
        (column(&summary, "firing"), column(&summary, "pending")),
        (vec!["1".into(), "0".into()], vec!["0".into(), "2".into()])
    );
    let none = stand.ask("list_alerts", json!({"filter": ["team!~\"orders|\""]})).await;
    assert!(none.text.contains("None of 3 alerts fits."), "{}", none.text);

    let evaluated = |answer: &Value| answer["facts"]["failing"] == 1;
    let rules = stand.once_there("list_rules", json!({}), evaluated).await;
    assert_eq!(column(&rules, "rule"), ["many:many", "QueueLong", "QueueSlow", "path:orders:rate5m"], "{}", rules.text);
    assert!(rows(&rules)[0]["error"].as_str().unwrap().contains("found duplicate series"));
    let full = stand.ask("list_rules", json!({"name": "QueueL*", "view": "full"})).await;
    for part in ["expression: queue_length > 20", "runbook: https://example.org/queues", "alerts: firing since "] {
        assert!(full.text.contains(part), "{part}: {}", full.text);
    }
    for (arguments, names) in [
        (json!({"match": ["{severity=\"warning\"}"]}), vec!["QueueSlow"]),
        (json!({"expression": "rate(orders_total"}), vec!["path:orders:rate5m"]),
        (json!({"type": "record", "health": "ok"}), vec!["path:orders:rate5m"]),
        (json!({"group": "broken"}), vec!["many:many"]),
        (json!({"state": "firing", "file": "rules.yml"}), vec!["QueueLong"]),
    ] {
        assert_eq!(column(&stand.ask("list_rules", arguments.clone()).await, "rule"), names, "{arguments}");
    }
    let groups = stand.ask("list_rules", json!({"view": "summary"})).await;
    assert_eq!(column(&groups, "group"), ["broken", "shop"]);
    let near = stand.ask("list_rules", json!({"name": "QueueLon"})).await;
    assert!(near.text.contains("names like it: QueueLong"), "{}", near.text);
}
