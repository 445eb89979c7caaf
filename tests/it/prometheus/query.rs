//! Queries, ranges, exemplars, and checking a query first.

use serde_json::{Value, json};

use super::{Stand, column, rows};

#[tokio::test]
async fn a_query_is_answered_with_values_and_the_labels_that_differ() {
    let Some(stand) = Stand::start().await else { return };
    let stand = stand.scraped().await;
    let answer = stand.ask("query", json!({"query": "queue_length"})).await;
    assert_eq!(answer.text, "all: __name__=queue_length  job=shop\nvalue  queue\n50     print\n7      mail");
    assert_eq!(
        rows(&answer),
        [json!({"value": 50, "labels": {"queue": "print"}}), json!({"value": 7, "labels": {"queue": "mail"}})]
    );

    let rate =
        stand.ask("query", json!({"query": "sum by (path) (rate(orders_total[5m]))", "sort_by": "labels"})).await;
    assert_eq!(
        (column(&rate, "value"), column(&rate, "path")),
        (vec!["2".into(), "1".into()], vec!["/cart".into(), "/pay".into()])
    );

    let odd = stand.ask("query", json!({"query": "odd"})).await;
    assert_eq!(column(&odd, "value"), ["+Inf", "0.333333", "NaN"]);
    let exact = stand.ask("query", json!({"query": "odd{kind=\"third\"}", "view": "full"})).await;
    assert_eq!(column(&exact, "value"), ["0.333333333333"]);
    assert!(exact.structured["facts"]["evaluation"]["samples"].as_u64() >= Some(1), "{}", exact.text);

    let unit = stand.ask("query", json!({"query": "latency_seconds_sum / 1 or latency_seconds_sum"})).await;
    assert_eq!(unit.structured["facts"]["unit"], Value::Null, "a quotient has no unit that is known");
    let unit = stand.ask("query", json!({"query": "max(latency_seconds_sum)"})).await;
    assert_eq!((column(&unit, "value"), &unit.structured["facts"]["unit"]), (vec!["55".into()], &json!("seconds")));

    assert_eq!(column(&stand.ask("query", json!({"query": "6 * 7"})).await, "value"), ["42"]);
    let before = json!({"query": "queue_length{queue=\"print\"}", "time": "now-50m"});
    assert_eq!(column(&stand.ask("query", before).await, "value"), ["5"]);
    let summary = stand.ask("query", json!({"query": "queue_length", "view": "summary"})).await;
    assert_eq!(summary.structured["facts"]["spread"]["average"], 28.5);
}

#[tokio::test]
async fn a_query_that_finds_nothing_says_why() {
    let Some(stand) = Stand::start().await else { return };
    let nothing = async |query: &str| {
        let answer = stand.ask("query", json!({"query": query})).await;
        assert_eq!(answer.structured["total"], 0, "{}", answer.text);
        answer.text
    };
    let unknown = nothing("rate(order_total[5m])").await;
    assert!(unknown.contains("There is no metric `order_total`. Names like it: orders_total"), "{unknown}");
    assert!(unknown.contains("`prometheus_search_metrics`"), "{unknown}");
    let value = nothing("queue_length{queue=\"prin\"}").await;
    assert!(
        value.contains("No series of `queue_length` fits `queue=\"prin\"`; values of `queue`: mail, print."),
        "{value}"
    );
    let label = nothing("queue_length{pod=\"x\"}").await;
    assert!(label.contains("`queue_length` has no label `pod`; it has job, queue."), "{label}");
    let condition = nothing("queue_length > 100").await;
    assert!(condition.contains("none that fulfils the condition"), "{condition}");
    let join = nothing("queue_length * orders_total").await;
    assert!(join.contains("on(...)"), "{join}");
    let range = stand.ask("query_range", json!({"query": "order_total"})).await;
    assert!(range.text.contains("Names like it: orders_total"), "{}", range.text);
}

#[tokio::test]
async fn a_range_is_described_in_figures_with_its_jumps() {
    let Some(stand) = Stand::start().await else { return };
    let answer = stand.ask("query_range", json!({"query": "queue_length", "start": "now-50m"})).await;
    let rows = rows(&answer);
    assert_eq!(column(&answer, "queue"), ["print", "mail"], "{}", answer.text);
    let print = &rows[0];
    assert_eq!((&print["max"], &print["min"], &print["change"]), (&json!(50), &json!(5), &json!(45)));
    assert!(print["jumps"][0].as_str().unwrap().ends_with(" 5→50"), "{print}");
    let trend = print["trend"].as_str().unwrap();
    assert!(trend.starts_with("▁▁▁▁▁") && trend.ends_with("████████"), "{trend}");
    assert_eq!((&rows[1]["average"], rows[1].get("jumps")), (&json!(7), None));
    assert_eq!(answer.structured["facts"]["step"], "1m");

    let points = json!({"query": "queue_length", "view": "points", "start": "now-50m", "step": "10m"});
    let points = stand.ask("query_range", points).await;
    assert_eq!(points.structured["facts"]["columns_are"], "queue");
    let values: Vec<String> = self::rows(&points).iter().map(|row| row["values"]["print"].to_string()).collect();
    assert_eq!(values, ["50", "50", "50", "50", "5", "5"], "{}", points.text);

    let wide = stand.ask("query_range", json!({"query": "queue_length", "start": "now-1d", "step": "1s"})).await;
    assert!(wide.text.contains("The step was widened to 10s"), "{}", wide.text);
    let full = stand
        .ask("query_range", json!({"query": "queue_length", "start": "now-50m", "view": "full", "sort_by": "change"}))
        .await;
    assert_eq!((&self::rows(&full)[0]["first"], &self::rows(&full)[0]["median"]), (&json!(5), &json!(50)));
}

#[tokio::test]
async fn exemplars_lead_to_traces() {
    let Some(stand) = Stand::with(&["one", "two"]).await else { return };
    let stand = stand.scraped().await;
    let answer = stand.ask("query_exemplars", json!({"query": "latency_seconds_bucket"})).await;
    assert_eq!(column(&answer, "value"), ["7.5", "0.25"], "{}", answer.text);
    assert_eq!(column(&answer, "trace_id"), ["aaf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"]);
    assert_eq!(rows(&answer)[1]["span_id"], "00f067aa0ba902b7");
    let none = stand.ask("query_exemplars", json!({"query": "queue_length"})).await;
    assert!(none.text.contains("No exemplars in this time"), "{}", none.text);
    let off = stand.ask("query_exemplars", json!({"query": "latency_seconds_bucket", "instance": "two"})).await;
    assert!(off.text.contains("it runs without --enable-feature=exemplar-storage"), "{}", off.text);
}

#[tokio::test]
async fn a_query_is_checked_and_its_cost_estimated() {
    let Some(stand) = Stand::start().await else { return };
    let stand = stand.scraped().await;
    let good = stand.ask("check_query", json!({"query": "sum(rate(orders_total[5m])) by(path)"})).await;
    let verdict = &good.structured;
    assert_eq!((&verdict["valid"], verdict.get("warnings")), (&json!(true), None), "{}", good.text);
    assert_eq!(verdict["formatted"], "sum by (path) (rate(orders_total[5m]))");
    assert_eq!(verdict["selectors"][0]["series"], 2);
    assert_eq!((&verdict["range"]["points"], &verdict["gives"]), (&json!(61), &json!("vector")));

    let query = "rate(queue_length[5m]) + sum by (pod) (mails_total) + nope{a=~\".*b\"}";
    let doubtful = stand.ask("check_query", json!({"query": query})).await;
    let warnings = doubtful.structured["warnings"].to_string();
    for part in ["`mails_total` is a counter", "is wide", "the label `pod`", "There is no metric `nope`"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    let wrong = stand.ask("check_query", json!({"query": "sum(up"})).await;
    assert_eq!(wrong.structured["valid"], false);
    assert!(wrong.structured["error"].as_str().unwrap().contains("`sum(up⟨⟩`"), "{}", wrong.text);
    let quick = stand.ask("check_query", json!({"query": "up", "estimate": false})).await;
    assert_eq!(quick.structured.get("range"), None);
}
