//! What goes on while Redis is away, and what comes back with it.

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Replicas, backends, sleep, unreachable};
use crate::harness::{Events, Service, Session, eventually};
use crate::redis::Server;

const INITIALIZE: &str = r#"{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
    {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}"#;

fn is_told_to_wait(response: &Response) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key(RETRY_AFTER)
}

async fn readiness(service: &Service) -> (StatusCode, Value) {
    let response = service.request(Method::GET, "/readyz").send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Everything that a replica does and does not do without Redis.
async fn check_without(service: &Service, session: &Session<'_>) {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert!(is_told_to_wait(&session.at(service).post(&ping).await));
    assert!(is_told_to_wait(&session.at(service).request(Method::GET).send().await.unwrap()));
    let begun = service.request(Method::POST, "/mcp").header("Accept", "application/json, text/event-stream");
    let begun = begun.json(&serde_json::from_str::<Value>(INITIALIZE).unwrap()).send().await.unwrap();
    assert!(is_told_to_wait(&begun));
    let answer = service.succeed("utilities_get_time", json!({"zone": "Asia/Tokyo"})).await;
    assert!(answer.text.contains("+09:00"), "{}", answer.text);
    let (status, body) = readiness(service).await;
    assert_eq!((status, &body["store"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    service.counted("mcp_store_up 0").await;
    assert_eq!(service.request(Method::GET, "/livez").send().await.unwrap().status(), StatusCode::OK);
}

async fn wait_until_ready(service: &Service) {
    eventually("it is ready again", async || readiness(service).await.0.is_success().then_some(())).await;
    service.counted("mcp_store_up 1").await;
}

#[tokio::test]
async fn without_redis_reads_go_on_and_sessions_wait_until_it_comes_back() {
    let Some(mut replicas) = Replicas::start_with("", 1000).await else { return };
    for replica in &replicas.all {
        wait_until_ready(replica).await;
    }
    replicas.redis.kill().await;
    {
        let session = Session::of(&replicas.all[0], "2025-11-25-lost");
        for replica in &replicas.all {
            check_without(replica, &session).await;
        }
    }
    replicas.redis.restart().await;
    for replica in &replicas.all {
        wait_until_ready(replica).await;
    }
    let session = replicas.all[0].session("2025-11-25").await;
    for replica in &replicas.all {
        assert_eq!(session.at(replica).send("ping", json!({})).await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_session_and_its_stream_outlive_a_pause_of_redis() {
    let Some(replicas) = Replicas::start_with(&unreachable(), 1000).await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    assert_eq!(session.send("resources/subscribe", backends()).await["result"], json!({}));
    let mut events = session.listen(None).await;
    events.next().await.unwrap();
    replicas.redis.pause();
    for replica in [a, b] {
        check_without(replica, &session).await;
    }
    replicas.redis.resume();
    for replica in &replicas.all {
        wait_until_ready(replica).await;
        assert_eq!(session.at(replica).send("ping", json!({})).await["result"], json!({}));
    }
    c.fail("prometheus_query", json!({"query": "up"})).await;
    assert_eq!(events.message().await["params"], backends());
}

#[tokio::test]
async fn a_replica_that_may_go_on_alone_stays_ready_and_says_how_the_store_is() {
    let Some(mut redis) = Server::start().await else { return };
    let url = redis.url();
    let config =
        format!("signing_key: {}\nstore:\n  redis:\n    url: {url}\n    ready_without: true\n", "k".repeat(32));
    let alone = Service::start(&config).await;
    wait_until_ready(&alone).await;
    redis.kill().await;
    eventually("it says that the store is away", async || {
        let (status, body) = readiness(&alone).await;
        assert_eq!(status, StatusCode::OK);
        (body["store"] == "unavailable").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_runs_when_redis_goes_is_still_answered() {
    let Some(mut replicas) = Replicas::start_with("", 1000).await else { return };
    let session = replicas.all[0].session("2025-11-25").await;
    let mut events = Events::new(session.post(&sleep("3s")).await);
    events.message().await;
    replicas.redis.kill().await;
    let result = loop {
        let message = events.message().await;
        if message.get("id").is_some() {
            break message;
        }
    };
    assert!(result["result"]["content"].is_array(), "{result}");
}
