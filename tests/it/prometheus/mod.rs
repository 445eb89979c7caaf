//! Metrics tools against real Prometheus servers.
//!
//! Each has an hour of known samples, put in before it starts, and scrapes a small page of ours for what only scraping
//! brings: exemplars, metadata, targets.

mod alerts;
mod metrics;
mod query;
mod server;

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
