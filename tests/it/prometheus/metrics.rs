//! Metrics, labels, series, and how many there are.

use serde_json::json;

use super::{Stand, column, rows};

#[tokio::test]
async fn metrics_are_found_and_broken_down() {
    let Some(stand) = Stand::start().await else { return };
    let stand = stand.scraped().await;
    let found = stand.ask("search_metrics", json!({"query": "time order"})).await;
    assert_eq!(
        rows(&found),
        [json!({"metric": "latency_seconds", "type": "histogram", "unit": "seconds", "series": 4,
            "suffixes": ["_bucket", "_count", "_sum"], "help": "Time to answer an order."})]
    );
    let counters = stand.ask("search_metrics", json!({"type": "counter", "target": "{job=\"page\"}"})).await;
    assert_eq!(column(&counters, "metric"), ["mails_total"]);
    let pattern = stand.ask("search_metrics", json!({"query": "/^q.*h$/", "match": ["{job=\"shop\"}"]})).await;
    assert_eq!(column(&pattern, "metric"), ["queue_length"]);
    let none = stand.ask("search_metrics", json!({"query": "queue_lenght"})).await;
    assert!(none.text.contains("Names like it: queue_length"), "{}", none.text);

    let names = stand.ask("get_labels", json!({"match": ["queue_length"]})).await;
    assert_eq!(column(&names, "label"), ["__name__", "job", "queue"]);
    let values = stand.ask("get_labels", json!({"label": "path", "match": ["orders_total"], "query": "PA"})).await;
    assert_eq!((column(&values, "value"), column(&values, "series")), (vec!["/pay".to_owned()], vec!["1".to_owned()]));
    let odd = stand.ask("get_labels", json!({"label": "a.b/c"})).await;
    assert!(odd.text.contains("No series has the label `a.b/c`"), "{}", odd.text);

    let series = stand.ask("get_series", json!({"match": ["orders_total", "queue_length"]})).await;
    assert_eq!(series.structured["total"], 4);
    let counted =
        stand.ask("get_series", json!({"match": ["queue_length", "orders_total"], "count_by": "__name__"})).await;
    assert_eq!(column(&counted, "series"), ["2", "2"], "{}", counted.text);
    let none = stand.ask("get_series", json!({"match": ["queue_length{queue=\"x\"}"]})).await;
    assert!(none.text.contains("No series fits in this time"), "{}", none.text);

    let sizes = stand.ask("get_cardinality", json!({"limit": 3})).await;
    assert_eq!(sizes.structured["series_by_metric"].as_array().unwrap().len(), 3, "{}", sizes.text);
    assert!(sizes.structured["head"]["series"].as_u64() > Some(10) && sizes.text.contains("Values by label:"));
    let one = stand.ask("get_cardinality", json!({"metric": "odd"})).await;
    assert!(one.text.starts_with("odd: 3 series\n\nValues by label:\n  3  kind\n"), "{}", one.text);
    let unknown = stand.refused("get_cardinality", json!({"metric": "nope"})).await;
    assert!(unknown.contains("there is no metric `nope` with series now"), "{unknown}");
}
