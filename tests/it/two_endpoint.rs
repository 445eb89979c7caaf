//! The two-endpoint transport of 2024-11-05.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Events, Service};

async fn open(service: &Service, path: &str) -> (Events, String) {
    let mut events = Events::new(service.request(Method::GET, path).send().await.unwrap());
    let first = events.next().await.unwrap();
    assert_eq!(first.event, "endpoint");
    (events, first.data)
}

async fn post(service: &Service, endpoint: &str, message: &Value) -> StatusCode {
    service.request(Method::POST, endpoint).json(message).send().await.unwrap().status()
}

#[tokio::test]
async fn answers_come_over_the_stream_that_was_opened_first() {
    let service = Service::start("").await;
    for path in ["/sse", "/api/aggregate/sse", "/api/utilities/sse"] {
        let (mut events, endpoint) = open(&service, path).await;
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
            {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
        // Bridges do it twice.
        for _ in 0..2 {
            assert_eq!(post(&service, &endpoint, &initialize).await, StatusCode::ACCEPTED);
            assert_eq!(events.message().await["result"]["protocolVersion"], "2024-11-05");
        }
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params":
            {"name": "utilities_get_time", "arguments": {"zone": "Asia/Tokyo"}}});
        assert_eq!(post(&service, &endpoint, &call).await, StatusCode::ACCEPTED);
        let message = events.message().await;
        assert_eq!(message["id"], 1);
        assert!(message["result"]["content"][0]["text"].as_str().unwrap().contains("+09:00"), "{message}");
    }
}

#[tokio::test]
async fn progress_and_cancellation_work_there_too() {
    let service = Service::start("").await;
    let (mut events, endpoint) = open(&service, "/sse").await;
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params":
        {"name": "utilities_sleep", "arguments": {"duration": "5m"}, "_meta": {"progressToken": 9}}});
    post(&service, &endpoint, &call).await;
    assert_eq!(events.message().await["params"]["progressToken"], 9);
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    post(&service, &endpoint, &cancel).await;
    let ping = json!({"jsonrpc": "2.0", "id": 6, "method": "ping"});
    post(&service, &endpoint, &ping).await;
    loop {
        let message = events.message().await;
        assert_ne!(message["id"], 5);
        if message["id"] == 6 {
            break;
        }
    }
}

#[tokio::test]
async fn without_its_stream_a_session_is_gone() {
    let service = Service::start("").await;
    let ping = json!({"jsonrpc": "2.0", "id": 6, "method": "ping"});
    assert_eq!(post(&service, "/messages?sessionId=guessed", &ping).await, StatusCode::NOT_FOUND);
    assert_eq!(post(&service, "/messages", &ping).await, StatusCode::BAD_REQUEST);
    let (events, endpoint) = open(&service, "/sse").await;
    drop(events);
    crate::harness::eventually("the session is gone", async || {
        (post(&service, &endpoint, &ping).await == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}
