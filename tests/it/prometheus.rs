//! Metrics tools against real Prometheus servers.
//!
//! Each has an hour of known samples, put in before it starts, and scrapes a small page of ours for what only scraping
//! brings: exemplars, metadata, targets.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{Answer, Folder, Process, Service, eventually, free_port, ready};
use crate::stack::program;

/// What our page says, as `OpenMetrics`.
const PAGE: &str = r#"# HELP latency_seconds Time to answer an order.
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="0.5"} 90 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"} 0.25
latency_seconds_bucket{le="+Inf"} 100 # {trace_id="aaf92f3577b34da6a3ce929d0e0e4736"} 7.5
latency_seconds_count 100
latency_seconds_sum 55
# HELP mails Mails sent.
# TYPE mails counter
mails_total 12
# TYPE odd gauge
odd{kind="nan"} NaN
odd{kind="up"} +Inf
odd{kind="third"} 0.333333333333
# EOF
"#;

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - record: path:orders:rate5m
        expr: sum by (path) (rate(orders_total[5m]))
      - alert: QueueLong
        expr: queue_length > 20
        labels: {severity: page, team: orders}
        annotations: {summary: "Queue {{ $labels.queue }} is long", runbook: "https://example.org/queues"}
      - alert: QueueSlow
        expr: queue_length > 6
        for: 1h
        labels: {severity: warning}
  - name: broken
    interval: 1s
    rules:
      - record: many:many
        expr: orders_total * on () queue_length
"#;

/// Servers, and the service in front of them.
struct Stand {
    service: Service,
    _servers: Vec<Process>,
    folder: Folder,
}

impl Stand {
    /// A server `one`, which has rules, keeps exemplars and lets itself be administered.
    async fn start() -> Option<Self> {
        Self::with(&["one"]).await
    }

    /// Servers of these names; only the first is as [`Stand::start`] says. One more, `gone`, does not answer.
    async fn with(names: &[&str]) -> Option<Self> {
        let (prometheus, promtool) = (program("prometheus")?, program("promtool")?);
        let folder = Folder::new();
        let samples = folder.write("samples", &samples());
        let rules = folder.write("rules.yml", RULES);
        let page = serve_page().await;
        let mut servers = Vec::new();
        let mut config =
            "allow: write\ntools: {\"on\": [\"*\", prometheus_create_snapshot]}\nbackends:\n  prometheus:\n    default: one\n    instances:\n"
                .to_owned();
        for (place, name) in names.iter().enumerate() {
            let port = free_port();
            let data = folder.path().join(name);
            let made = tokio::process::Command::new(&promtool)
                .args(["tsdb", "create-blocks-from", "openmetrics"])
                .args([&samples, &data])
                .output()
                .await
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let first = place == 0;
            let file = folder.write(&format!("{name}.yml"), &server_config(page, first.then_some(rules.as_path())));
            let mut arguments = vec![
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            if first {
                arguments.push("--web.enable-admin-api".into());
                arguments.push("--enable-feature=exemplar-storage".into());
            }
            servers.push(Process::start(&prometheus, &arguments.iter().map(String::as_str).collect::<Vec<_>>()));
            config.push_str(&format!("      {name}: {{url: \"http://127.0.0.1:{port}\"}}\n"));
            ready(&format!("http://127.0.0.1:{port}/-/ready")).await;
        }
        config.push_str(&format!("      gone: {{url: \"http://127.0.0.1:{}\", retries: 0}}\n", free_port()));
        let service = Service::start(&config).await;
        Some(Self { service, _servers: servers, folder })
    }

    /// Waits until our page was scraped twice. Prometheus waits five seconds before it begins.
    async fn scraped(self) -> Self {
        eventually("two scrapes of our page", async || {
            let answer = self.ask("query", json!({"query": "count_over_time(odd{kind=\"up\"}[1m]) > 1"})).await;
            (answer.structured["total"] == 1).then_some(())
        })
        .await;
        self
    }

    async fn ask(&self, tool: &str, arguments: Value) -> Answer {
        self.service.succeed(&format!("prometheus_{tool}"), arguments).await
    }

    async fn refused(&self, tool: &str, arguments: Value) -> String {
        self.service.fail(&format!("prometheus_{tool}"), arguments).await
    }

    /// Asks until rules were evaluated.
    async fn once_there(&self, tool: &str, arguments: Value, there: impl Fn(&Value) -> bool) -> Answer {
        eventually(tool, async || {
            let answer = self.ask(tool, arguments.clone()).await;
            there(&answer.structured).then_some(answer)
        })
        .await
    }
}

/// An hour of samples, one every 15 s: a queue that jumps in the middle, one that stays, and orders that grow.
fn samples() -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut text = "# TYPE queue_length gauge\n".to_owned();
    for second in (0..=3600).step_by(15) {
        let print = if second < 1800 { 5 } else { 50 };
        text.push_str(&format!("queue_length{{queue=\"print\",job=\"shop\"}} {print} {}\n", now - 3600 + second));
    }
    for second in (0..=3600).step_by(15) {
        text.push_str(&format!("queue_length{{queue=\"mail\",job=\"shop\"}} 7 {}\n", now - 3600 + second));
    }
    text.push_str("# TYPE orders counter\n");
    for (path, each) in [("/cart", 2), ("/pay", 1)] {
        for second in (0..=3600).step_by(15) {
            let time = now - 3600 + second;
            text.push_str(&format!("orders_total{{path=\"{path}\",job=\"shop\"}} {} {time}\n", each * second));
        }
    }
    text.push_str("# EOF\n");
    text
}

fn server_config(page: u16, rules: Option<&Path>) -> String {
    let rules = rules.map(|rules| format!("rule_files: [\"{}\"]\n", rules.display())).unwrap_or_default();
    format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n{rules}scrape_configs:\n\
         - job_name: page\n  static_configs: [{{targets: ['127.0.0.1:{page}'], labels: {{env: prod}}}}]\n\
         - job_name: silent\n  basic_auth: {{username: ann, password: hunter2}}\n  \
           static_configs: [{{targets: ['127.0.0.1:1']}}]\n\
         - job_name: unwanted\n  static_configs: [{{targets: ['127.0.0.1:2'], labels: {{team: x}}}}]\n  \
           relabel_configs: [{{action: drop, source_labels: [team], regex: x}}]\n\
         remote_write:\n- url: http://bob:hunter3@127.0.0.1:1/write\n"
    )
}

/// Serves [`PAGE`] to whoever connects; its port.
async fn serve_page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4096]).await;
                let head =
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/openmetrics-text; version=1.0.0";
                let _ = connection.write_all(format!("{head}\r\n\r\n{PAGE}").as_bytes()).await;
            });
        }
    });
    port
}

/// The rows of an answer, with what they have in common.
fn rows(answer: &Answer) -> Vec<Value> {
    answer.structured["rows"].as_array().unwrap_or_else(|| panic!("no rows: {}", answer.text)).clone()
}

/// The values of a column, as text.
fn column(answer: &Answer, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let common = &answer.structured["common"][name];
    rows(answer)
        .iter()
        .map(|row| text(row.get(name).or_else(|| row.pointer(&format!("/labels/{name}"))).unwrap_or(common)))
        .collect()
}

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
async fn what_is_wrong_with_a_query_or_an_argument_is_said_with_what_to_do() {
    let Some(stand) = Stand::start().await else { return };
    for (query, expected) in [
        ("rate(orders_total)", "it stops at ⟨⟩ in `rate(⟨⟩orders_total)`. What helps: give a range in brackets"),
        ("sum(orders_total", "What helps: close what was opened."),
        ("rate(orders_total[$__rate_interval])", "What helps: fill in the variables of the dashboard"),
        ("orders_total * on () queue_length", "What helps: several series on one side share the labels"),
        (" ", "query: it is empty"),
    ] {
        for tool in ["query", "query_range"] {
            let message = stand.refused(tool, json!({"query": query})).await;
            assert!(message.contains(expected), "{query}: {message}");
        }
    }
    for (tool, arguments, expected) in [
        ("query", json!({"query": "up", "limit": 5001}), "limit: 5001 is not a whole number from 1 to 5000"),
        ("query", json!({"query": "up", "time": "noon"}), "time: `noon` is not a time"),
        ("query", json!({"query": "up", "view": "wide"}), "view: \"wide\" is not one of table, summary, full"),
        ("query", json!({"expr": "up"}), "unknown argument `expr`; allowed: query, instance"),
        ("query", json!({"query": "up", "instance": "three"}), "there is no prometheus `three`; configured: gone, one"),
        ("query_range", json!({"query": "up", "start": "now", "end": "now-1h"}), "is not before the end"),
        ("query_range", json!({"query": "up", "step": "0s"}), "step: must be longer than 0s"),
        ("get_series", json!({"match": []}), "match: give at least one selector"),
        ("get_series", json!({"match": ["up{"]}), "it stops at ⟨⟩ in `up{⟨⟩`"),
        ("search_metrics", json!({"query": "/(/"}), "query: the regular expression between the slashes is wrong"),
        ("list_alerts", json!({"filter": ["severity"]}), "filter: `severity` is no matcher"),
        ("list_rules", json!({"match": ["QueueLong"]}), "match: `QueueLong` is no selector over rule labels"),
        ("get_status", json!({"parts": ["all"]}), "parts[0]: \"all\" is not one of build, "),
        ("query", json!({"query": "up", "instance": "gone"}), "prometheus/gone cannot be reached"),
    ] {
        let message = stand.refused(tool, arguments.clone()).await;
        assert!(message.contains(expected), "{tool} {arguments}: {message}");
    }
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

#[tokio::test]
async fn several_servers_answer_together_and_one_that_fails_is_a_note() {
    let Some(stand) = Stand::with(&["one", "two"]).await else { return };
    let all = stand.ask("query", json!({"query": "queue_length", "instance": "*"})).await;
    assert_eq!(column(&all, "instance"), ["one", "two", "one", "two"], "{}", all.text);
    assert_eq!(column(&all, "value"), ["50", "50", "7", "7"]);
    assert!(all.text.contains("gone failed: prometheus/gone cannot be reached"), "{}", all.text);

    let both = json!(["one", "two"]);
    let joined = stand.ask("search_metrics", json!({"query": "queue_length", "instance": both})).await;
    assert_eq!(column(&joined, "instance"), ["one, two"], "{}", joined.text);
    let labels = stand.ask("get_labels", json!({"label": "queue", "instance": both})).await;
    assert_eq!(column(&labels, "value"), ["mail", "print"], "{}", labels.text);
    let range = stand.ask("query_range", json!({"query": "queue_length", "instance": both})).await;
    assert_eq!(column(&range, "instance"), ["one", "two", "one", "two"], "{}", range.text);
    assert_eq!(range.structured["facts"]["step"], "1m");
    let sizes = stand.ask("get_cardinality", json!({"metric": "queue_length", "instance": both})).await;
    assert_eq!(sizes.structured["two"]["series"], 2, "{}", sizes.text);
    let status = stand.ask("get_status", json!({"instance": both})).await;
    assert_eq!(status.structured["two"]["ready"], "yes", "{}", status.text);
    let wrong = stand.refused("query", json!({"query": "sum(", "instance": both})).await;
    assert!(wrong.contains("What helps: close what was opened"), "{wrong}");
}

#[tokio::test]
async fn all_rows_are_reached_page_by_page() {
    let Some(stand) = Stand::start().await else { return };
    let query = "label_replace(vector(0), \"n\", \"$1\", \"\", \"\")";
    let many: Vec<String> =
        (0..12).map(|n| query.replace("vector(0)", &format!("vector({n})")).replace("$1", &n.to_string())).collect();
    let mut arguments = json!({"query": many.join(" or "), "limit": 5});
    let mut values = Vec::new();
    for _ in 0..3 {
        let page = stand.ask("query", arguments.clone()).await;
        values.extend(column(&page, "value"));
        arguments["cursor"] = page.structured["cursor"].clone();
    }
    assert_eq!(arguments["cursor"], Value::Null);
    assert_eq!(values, (0..12).rev().map(|n| n.to_string()).collect::<Vec<_>>());
}
