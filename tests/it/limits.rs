//! How much callers may ask for, and what those are told who ask for more.

use cloud_native_mcp::caller::Effect;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Service, client, eventually, free_port, read};

/// Three units at once, and then one a second.
const THREE: &str = "limits:\n  normal: 2\n  heavy: 3\n  caller:\n    per_second: 1\n    burst: 3\n";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// What is left after a call of a tool.
async fn left_after(service: &Service, tool: &str, arguments: Value) -> u32 {
    let response = service.modern("/mcp", "tools/call", json!({"name": tool, "arguments": arguments})).send().await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{tool}");
    let left = header(&response, "ratelimit").strip_prefix("\"caller\";r=").and_then(|rest| rest.split_once(';'));
    left.expect("what is left").0.parse().unwrap()
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_back() {
    let service = Service::start(THREE).await;
    let list = async || service.modern("/mcp", "tools/list", json!({})).send().await.unwrap();
    let first = list().await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(header(&first, "ratelimit-policy"), "\"caller\";q=3;w=3");
    assert_eq!(header(&first, "ratelimit"), "\"caller\";r=2;t=1");
    let refused = eventually("the limit is reached", async || {
        let response = list().await;
        (response.status() != StatusCode::OK).then_some(response)
    })
    .await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "ratelimit"), "\"caller\";r=0;t=1");
    let (_, message) = read(refused).await;
    assert_eq!(message["id"], 1);
    assert_eq!(message["error"]["code"], 42900);
    assert_eq!(message["error"]["data"], json!({"retryAfter": 1}));
    service.counted("mcp_limited_total{limit=\"caller\"} 1").await;
    eventually("units come again", async || list().await.status().is_success().then_some(())).await;
}

#[tokio::test]
async fn clients_of_older_revisions_get_the_refusal_as_an_answer_because_they_lose_any_other() {
    let service = Service::start(THREE).await;
    let session = service.session("2025-11-25").await;
    let list = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list"});
    let (wait, message) = eventually("the limit is reached", async || {
        let response = session.post(&list).await;
        assert_eq!(response.status(), StatusCode::OK);
        let wait = header(&response, "retry-after").to_owned();
        let (_, message) = read(response).await;
        message.get("error").is_some().then_some((wait, message))
    })
    .await;
    assert_eq!((wait.as_str(), &message["id"], &message["error"]["code"]), ("1", &json!(8), &json!(42900)));
    let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
    assert_eq!(
        read(session.post(&ping).await).await.1["result"],
        json!({}),
        "whether the server is there costs nothing"
    );
}

#[tokio::test]
async fn a_call_costs_what_its_tool_does_also_under_another_name() {
    let port = free_port();
    let config = format!(
        "limits:\n  light: 10\n  normal: 200\n  heavy: 900\n  caller:\n    per_second: 1\n    burst: 10000\nbackends:\n  \
         prometheus:\n    instances:\n      main:\n        url: http://127.0.0.1:{port}\n        retries: 0\n"
    );
    let service = Service::start(&config).await;
    let range = json!({"query": "up", "start": "now-1h"});
    // A unit may come meanwhile.
    let about = |left: u32| left / 10 * 10;
    let light = left_after(&service, "utilities_get_time", json!({})).await;
    assert_eq!(about(light), 9990);
    let normal = left_after(&service, "prometheus_query", json!({"query": "up"})).await;
    assert_eq!(about(normal), 9790);
    let heavy = left_after(&service, "prometheus_query_range", range.clone()).await;
    assert_eq!(about(heavy), 8890);
    let forwarded = json!({"name": "prometheus_query_range", "arguments": range});
    assert_eq!(about(left_after(&service, "tools_call", forwarded).await), 7990);
}

#[tokio::test]
async fn all_callers_together_have_a_limit_too() {
    let config = "limits:\n  heavy: 3\n  server:\n    per_second: 1\n    burst: 3\n";
    let service = Service::start_with_key(config, Effect::Read).await;
    let refused = eventually("the server's limit is reached", async || {
        let response = service.modern("/mcp", "tools/list", json!({})).send().await.unwrap();
        (!response.status().is_success()).then_some(response)
    })
    .await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "ratelimit"), "\"server\";r=0;t=1");
}

#[tokio::test]
async fn failed_attempts_are_limited_by_address_and_only_proxies_can_say_which() {
    let config = "limits:\n  failures:\n    per_second: 1\n    burst: 2\n";
    let attempt = async |service: &Service, from: &'static str| {
        let request = client().post(format!("{}/mcp", service.base)).header("X-Forwarded-For", from);
        request.bearer_auth("cnm_wrong").json(&json!({})).send().await.unwrap()
    };
    let until_refused = async |service: &Service, from: &'static str| {
        eventually("it is refused", async || {
            let response = attempt(service, from).await;
            (response.status() != StatusCode::UNAUTHORIZED).then_some(response)
        })
        .await
    };
    let direct = Service::start_with_key(config, Effect::Read).await;
    let refused = until_refused(&direct, "198.51.100.1").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "1");
    // Had it been believed, this would be the first attempt of somebody else.
    until_refused(&direct, "198.51.100.2").await;
    direct.succeed("utilities_get_time", json!({})).await;
    let proxied = format!("{config}server:\n  trusted_proxies: [127.0.0.1]\n");
    let behind = Service::start_with_key(&proxied, Effect::Read).await;
    until_refused(&behind, "198.51.100.1").await;
    assert_eq!(attempt(&behind, "198.51.100.2").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(attempt(&behind, "2001:db8::1").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn heavy_calls_run_so_many_at_a_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = format!(
        "limits:\n  heavy_of_a_caller: 1\nbackends:\n  prometheus:\n    instances:\n      main:\n        url: \
         http://127.0.0.1:{port}\n        retries: 0\n"
    );
    let service = Service::start(&config).await;
    let call = |name: &str, arguments: Value| {
        service.modern("/mcp", "tools/call", json!({"name": name, "arguments": arguments})).send()
    };
    let range = || call("prometheus_query_range", json!({"query": "up", "start": "now-1h"}));
    let running = tokio::spawn(range());
    let _asked = silent.accept().await.unwrap();
    let refused = range().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(call("utilities_get_time", json!({})).await.unwrap().status(), StatusCode::OK);
    // A client that goes away leaves its place.
    running.abort();
    let next = eventually("there is a place again", async || {
        let next = tokio::spawn(range());
        tokio::select! {
            asked = silent.accept() => Some((asked.unwrap(), next)),
            () = async { while !next.is_finished() { tokio::task::yield_now().await } } => None,
        }
    })
    .await;
    next.1.abort();
}

#[tokio::test]
async fn a_limit_that_lets_nobody_do_anything_is_a_mistake() {
    let output = tokio::process::Command::new(crate::harness::binary())
        .args(["config", "check"])
        .env("CLOUD_NATIVE_MCP__LIMITS__CALLER__BURST", "9")
        .env("CLOUD_NATIVE_MCP__SERVER__TRUSTED_PROXIES", "[10.0.0.0/99]")
        .output();
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(said.contains("limits.caller.burst: 9 is less than one call may take: give 10 or more"), "{said}");
    assert!(said.contains("server.trusted_proxies.0: `10.0.0.0/99` is not a network"), "{said}");
}

#[tokio::test]
async fn probes_and_metrics_cost_nothing() {
    let service = Service::start(THREE).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        for _ in 0..10 {
            assert!(service.request(Method::GET, path).send().await.unwrap().status().is_success(), "{path}");
        }
    }
    service.succeed("utilities_get_time", json!({})).await;
}
