//! Sessions of 2025-03-26 to 2025-11-25 over streamable HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Events, Service, read};

#[tokio::test]
async fn a_session_speaks_the_revision_it_was_begun_with() {
    let service = Service::start("").await;
    for (asked, expected) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        ("2026-07-28", "2025-11-25"),
        ("1.0", "2025-11-25"),
    ] {
        let session = service.session(asked).await;
        assert_eq!(session.initialized["protocolVersion"], expected);
        let tools = session.send("tools/list", json!({})).await["result"]["tools"].clone();
        let time = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "utilities_get_time").unwrap().clone();
        assert_eq!(time.get("outputSchema").is_some(), expected >= "2025-06-18", "{expected}");
        assert_eq!(time.get("annotations").is_some(), expected >= "2025-03-26", "{expected}");
        let params = json!({"name": "utilities_get_time", "arguments": {}});
        let result = session.send("tools/call", params).await["result"].clone();
        assert!(result["content"][0]["text"].as_str().unwrap().contains("UTC"));
        assert_eq!(result.get("structuredContent").is_some(), expected >= "2025-06-18", "{expected}");
        assert_eq!(result.get("resultType"), None);
        assert_eq!(session.send("ping", json!({})).await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_session_that_was_ended_or_never_was_is_not_found() {
    let service = Service::start("").await;
    let session = service.session("2025-11-25").await;
    assert!(session.request(Method::DELETE).send().await.unwrap().status().is_success());
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(session.post(&ping).await.status(), StatusCode::NOT_FOUND);
    let without = service.request(Method::POST, "/mcp").json(&ping).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::BAD_REQUEST);
    let wrong = service.session("2025-11-25").await;
    let version = wrong.request(Method::POST).header("MCP-Protocol-Version", "1900-01-01").json(&ping);
    assert_eq!(version.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_batch_is_answered_where_the_revision_has_batches() {
    let service = Service::start("").await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "two", "method": "tools/call",
         "params": {"name": "utilities_get_time", "arguments": {}}},
        {"jsonrpc": "2.0", "id": 3, "method": "nothing"},
    ]);
    let session = service.session("2025-03-26").await;
    let answers: Vec<Value> = session.post(&batch).await.json().await.unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    assert!(answers[1]["result"]["content"].is_array());
    assert_eq!(answers[2]["error"]["code"], -32601);
    let only_told = session.post(&json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}])).await;
    assert_eq!(only_told.status(), StatusCode::ACCEPTED);
    let newer = service.session("2025-06-18").await;
    assert_eq!(newer.post(&batch).await.status(), StatusCode::BAD_REQUEST);
}

fn sleep(duration: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "utilities_sleep", "arguments": {"duration": duration}, "_meta": {"progressToken": "p"}}})
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_broke() {
    let service = Service::start("").await;
    let session = service.session("2025-11-25").await;
    let mut events = Events::new(session.post(&sleep("2s")).await);
    let primed = events.next().await.unwrap();
    assert_eq!(primed.data, "");
    let first = events.next().await.unwrap();
    assert_eq!(first.message()["method"], "notifications/progress");
    drop(events);
    let mut resumed = session.listen(first.id.as_deref()).await;
    let mut last = first.message()["params"]["progress"].as_f64().unwrap();
    let result = loop {
        let message = resumed.message().await;
        if message.get("result").is_some() {
            break message;
        }
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(progress > last, "no event comes twice");
        last = progress;
    };
    assert_eq!(result["id"], 7);
    assert_eq!(resumed.next().await, None);
    // The whole stream once more, from its first id.
    let mut again = session.listen(primed.id.as_deref()).await;
    assert_eq!(again.next().await, Some(first));
}

#[tokio::test]
async fn an_event_id_is_of_no_use_in_another_session() {
    let service = Service::start("").await;
    let (victim, other) = (service.session("2025-11-25").await, service.session("2025-11-25").await);
    let mut events = Events::new(victim.post(&sleep("1s")).await);
    let id = events.next().await.unwrap().id.unwrap();
    let stolen = other.request(Method::GET).header("Last-Event-ID", &id).send().await.unwrap();
    assert_eq!(stolen.status(), StatusCode::NOT_FOUND);
    let invented = victim.request(Method::GET).header("Last-Event-ID", "1").send().await.unwrap();
    assert_eq!(invented.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cancelled_call_ends_without_an_answer() {
    let service = Service::start("").await;
    let session = service.session("2025-06-18").await;
    let mut events = Events::new(session.post(&sleep("5m")).await);
    events.message().await;
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(session.post(&cancelled).await.status(), StatusCode::ACCEPTED);
    while let Some(event) = events.next().await {
        assert_eq!(event.message()["method"], "notifications/progress");
    }
    service.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"utilities_sleep\"} 1").await;
}

#[tokio::test]
async fn who_follows_the_backends_hears_when_one_begins_to_fail() {
    let port = crate::harness::free_port();
    let service = Service::start(&format!(
        "backends:\n  prometheus:\n    instances:\n      main:\n        url: http://127.0.0.1:{port}\n        retries: 0\n        \
         breaker_failures: 1\n"
    ))
    .await;
    let session = service.session("2025-11-25").await;
    let mut events = session.listen(None).await;
    events.next().await.unwrap();
    let followed = json!({"uri": "backends://all"});
    assert_eq!(session.send("resources/subscribe", followed.clone()).await["result"], json!({}));
    assert!(session.send("resources/subscribe", json!({"uri": "catalogue://tools"})).await["error"].is_object());
    service.fail("prometheus_query", json!({"query": "up"})).await;
    let told = events.message().await;
    assert_eq!((&told["method"], &told["params"]), (&json!("notifications/resources/updated"), &followed));
    let read = session.send("resources/read", followed).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("\"failing\""), "{text}");
}

#[tokio::test]
async fn the_newest_stream_of_a_session_is_the_only_one() {
    let service = Service::start("").await;
    let session = service.session("2025-11-25").await;
    let mut first = session.listen(None).await;
    first.next().await.unwrap();
    let mut second = session.listen(None).await;
    second.next().await.unwrap();
    assert_eq!(first.next().await, None);
    assert!(session.request(Method::DELETE).send().await.unwrap().status().is_success());
    assert_eq!(second.next().await, None);
}

#[tokio::test]
async fn log_messages_come_once_they_were_asked_for() {
    let service = Service::start("").await;
    let session = service.session("2025-11-25").await;
    let wrong = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "utilities_get_time", "arguments": {"zone": "nowhere"}}});
    assert_eq!(session.post(&wrong).await.headers()["content-type"], "application/json");
    assert_eq!(session.send("logging/setLevel", json!({"level": "warning"})).await["result"], json!({}));
    assert_eq!(session.send("logging/setLevel", json!({"level": "loud"})).await["error"]["code"], -32602);
    let mut events = Events::new(session.post(&wrong).await);
    let message = events.message().await;
    assert_eq!(message["method"], "notifications/message");
    assert_eq!(message["params"]["level"], "warning");
    assert_eq!(events.message().await["result"]["isError"], true);
}

#[tokio::test]
async fn both_eras_share_one_path_and_a_session_header_does_not_confuse_them() {
    let service = Service::start("").await;
    let session = service.session("2025-11-25").await;
    let modern = service.modern("/mcp", "tools/list", json!({})).header("Mcp-Session-Id", &session.id);
    let response = modern.send().await.unwrap();
    assert_eq!(response.headers().get("mcp-session-id"), None);
    assert_eq!(read(response).await.1["result"]["resultType"], "complete");
    // A bridge that began a session stamps its version on what a newer host sends through it.
    let stamped = service
        .request(Method::POST, "/mcp")
        .header("Mcp-Session-Id", &session.id)
        .header("MCP-Protocol-Version", "2025-11-25")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover",
            "params": crate::harness::with_meta(json!({}))}));
    let (status, message) = read(stamped.send().await.unwrap()).await;
    assert_eq!((status, &message["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(-32020)));
}
