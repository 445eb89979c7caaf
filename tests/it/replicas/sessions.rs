//! Sessions and streams that any replica serves.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Replicas, backends, sleep, unreachable};
use crate::harness::{Events, Service, eventually};

#[tokio::test]
async fn a_session_begun_on_one_replica_is_served_by_all() {
    let Some(replicas) = Replicas::start("").await else { return };
    let session = replicas.all[0].session("2025-11-25").await;
    for replica in &replicas.all {
        let call = json!({"name": "utilities_get_time", "arguments": {"zone": "Asia/Tokyo"}});
        let answer = session.at(replica).send("tools/call", call).await;
        assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("+09:00"), "{answer}");
    }
    let set = session.at(&replicas.all[1]).send("logging/setLevel", json!({"level": "debug"})).await;
    assert_eq!(set["result"], json!({}));
    let wrong = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "utilities_get_time", "arguments": {"zone": "nowhere"}}});
    let mut events = Events::new(session.at(&replicas.all[2]).post(&wrong).await);
    assert_eq!(events.message().await["method"], "notifications/message", "what was set on one holds on all");
}

#[tokio::test]
async fn first_requests_of_many_sessions_all_succeed_on_another_replica() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, _) = replicas.each();
    let front = replicas.front();
    let sessions = join_all((0..60).map(|_| a.session("2025-11-25"))).await;
    for other in [b, &front] {
        let first = sessions.iter().map(|session| async move {
            let session = session.at(other);
            join_all((0..20).map(|_| session.send("tools/list", json!({})))).await
        });
        // So many at the same time that a process with few files can open them all.
        let answers: Vec<Vec<Value>> = stream::iter(first).buffer_unordered(10).collect().await;
        let answers: Vec<Value> = answers.into_iter().flatten().collect();
        let failed: Vec<&Value> = answers.iter().filter(|answer| !answer["result"]["tools"].is_array()).collect();
        assert_eq!((answers.len(), failed.len()), (1200, 0), "{:?}", failed.first());
    }
}

#[tokio::test]
async fn a_change_on_one_replica_is_told_on_the_stream_that_another_holds() {
    let Some(replicas) = Replicas::start(&unreachable()).await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    let mut events = session.listen(None).await;
    events.next().await.unwrap();
    assert_eq!(session.at(c).send("resources/subscribe", backends()).await["result"], json!({}));
    b.fail("prometheus_query", json!({"query": "up"})).await;
    let told = events.message().await;
    assert_eq!((&told["method"], &told["params"]), (&json!("notifications/resources/updated"), &backends()));
}

#[tokio::test]
async fn a_change_while_no_stream_was_open_is_told_when_the_client_comes_back() {
    let Some(replicas) = Replicas::start(&unreachable()).await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    assert_eq!(session.send("resources/subscribe", backends()).await["result"], json!({}));
    let mut events = session.listen(None).await;
    let id = events.next().await.unwrap().id;
    drop(events);
    b.fail("prometheus_query", json!({"query": "up"})).await;
    let on_c = session.at(c);
    let mut resumed = on_c.listen(id.as_deref()).await;
    assert_eq!(resumed.next().await.unwrap().data, "", "an id to come back with");
    let told = resumed.next().await.unwrap();
    assert_eq!(told.message()["params"], backends());
    // Whoever comes back after that has heard of it.
    drop(resumed);
    let mut again = session.at(a).listen(told.id.as_deref()).await;
    assert_eq!(again.next().await.unwrap().data, "");
    c.fail("prometheus_query", json!({"query": "up"})).await;
    let next = again.next().await.unwrap();
    assert_eq!(next.message()["params"], backends());
    assert_ne!(next.id, told.id);
}

#[tokio::test]
async fn an_answer_posted_to_another_replica_reaches_the_call_that_asked() {
    let config = "backends:\n  alertmanager:\n    instances:\n      main:\n        url: http://127.0.0.1:1\n";
    let Some(replicas) = Replicas::start(config).await else { return };
    let (a, b, c) = replicas.each();
    for (action, expected) in [("accept", "cannot be reached"), ("decline", "was not confirmed")] {
        let session = a.session_at("/mcp", "2025-11-25", json!({"elicitation": {}})).await;
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
            "name": "alertmanager_expire_silence", "arguments": {"id": "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4"}}});
        let mut events = Events::new(session.post(&call).await);
        let question = events.message().await;
        assert_eq!(question["method"], "elicitation/create", "{question}");
        let unasked = json!({"jsonrpc": "2.0", "id": "ask-unasked", "result": {"action": "accept"}});
        assert_eq!(session.at(c).post(&unasked).await.status(), StatusCode::ACCEPTED);
        let answer = json!({"jsonrpc": "2.0", "id": question["id"],
            "result": {"action": action, "content": {"confirm": true}}});
        assert_eq!(session.at(b).post(&answer).await.status(), StatusCode::ACCEPTED);
        let result = events.message().await;
        let text = result["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(result["id"] == 9 && text.contains(expected), "{result}");
    }
}

#[tokio::test]
async fn a_session_ended_on_one_replica_is_gone_on_all_and_all_that_runs_in_it_ends() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    let mut events = session.listen(None).await;
    events.next().await.unwrap();
    let mut call = Events::new(session.at(c).post(&sleep("5m")).await);
    call.message().await;
    assert!(session.at(b).request(Method::DELETE).send().await.unwrap().status().is_success());
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for replica in &replicas.all {
        assert_eq!(session.at(replica).post(&ping).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(events.next().await, None);
    c.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"utilities_sleep\"} 1").await;
}

#[tokio::test]
async fn a_call_is_cancelled_by_a_notification_posted_to_another_replica() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, _) = replicas.each();
    let session = a.session("2025-06-18").await;
    let mut events = Events::new(session.post(&sleep("5m")).await);
    events.message().await;
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(session.at(b).post(&cancelled).await.status(), StatusCode::ACCEPTED);
    while let Some(event) = events.next().await {
        assert_eq!(event.message()["method"], "notifications/progress");
    }
    a.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"utilities_sleep\"} 1").await;
}

#[tokio::test]
async fn a_broken_stream_goes_on_live_on_another_replica() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    let mut events = Events::new(session.post(&sleep("3s")).await);
    let primed = events.next().await.unwrap();
    let first = events.next().await.unwrap();
    drop(events);
    let on_b = session.at(b);
    let mut resumed = on_b.listen(first.id.as_deref()).await;
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
    assert!(last > first.message()["params"]["progress"].as_f64().unwrap(), "it went on live");
    assert_eq!(result["id"], 7);
    assert_eq!(resumed.next().await, None);
    let mut again = session.at(c).listen(primed.id.as_deref()).await;
    assert_eq!(again.next().await, Some(first), "the whole stream once more, from its first id");
}

#[tokio::test]
async fn an_event_id_is_of_no_use_in_another_session_or_to_another_caller() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let victim = a.session("2025-11-25").await;
    let mut call = Events::new(victim.post(&sleep("1s")).await);
    let mut stream = victim.listen(None).await;
    let ids = [call.next().await.unwrap().id.unwrap(), stream.next().await.unwrap().id.unwrap()];
    let other = b.session("2025-11-25").await;
    for id in &ids {
        for replica in [b, c] {
            let stolen = other.at(replica).request(Method::GET).header("Last-Event-ID", id).send().await.unwrap();
            assert_eq!(stolen.status(), StatusCode::NOT_FOUND);
            let stranger = Service::at(&replica.base, Some(replicas.other.clone()));
            let stolen = victim.at(&stranger).request(Method::GET).header("Last-Event-ID", id).send().await.unwrap();
            assert_eq!(stolen.status(), StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_session_of_another_caller_does_not_exist() {
    let Some(replicas) = Replicas::start("").await else { return };
    let session = replicas.all[0].session("2025-11-25").await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for replica in &replicas.all {
        let stranger = Service::at(&replica.base, Some(replicas.other.clone()));
        let theirs = session.at(&stranger);
        assert_eq!(theirs.post(&ping).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(theirs.request(Method::GET).send().await.unwrap().status(), StatusCode::NOT_FOUND);
        assert_eq!(theirs.request(Method::DELETE).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(session.send("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn the_newest_stream_is_the_only_one_whichever_replica_holds_it() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    let mut held: Option<Events> = None;
    for replica in [a, b, c, a] {
        let mut next = session.at(replica).listen(None).await;
        next.next().await.unwrap();
        if let Some(mut before) = held.replace(next) {
            assert_eq!(before.next().await, None);
        }
    }
}

#[tokio::test]
async fn a_confirmation_is_good_for_one_call_on_one_replica() {
    let config = "backends:\n  alertmanager:\n    instances:\n      main:\n        url: http://127.0.0.1:1\n";
    let Some(replicas) = Replicas::start(config).await else { return };
    let (a, b, c) = replicas.each();
    let mut call = json!({
        "name": "alertmanager_expire_silence",
        "arguments": {"id": "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4"},
        "_meta": {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}},
    });
    let (_, asked) = a.send("tools/call", call.clone()).await;
    call["requestState"] = asked["result"]["requestState"].clone();
    call["inputResponses"] = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let tried = join_all([b, c, a, b, c].map(|replica| replica.send("tools/call", call.clone()))).await;
    let texts: Vec<_> = tried.iter().map(|(_, message)| message["result"]["content"][0]["text"].as_str()).collect();
    let carried_out = texts.iter().filter(|text| text.unwrap().contains("cannot be reached")).count();
    let refused = texts.iter().filter(|text| text.unwrap().contains("was used already")).count();
    assert_eq!((carried_out, refused), (1, 4), "{texts:?}");
}

#[tokio::test]
async fn posts_of_the_two_endpoint_transport_are_answered_on_the_stream_of_another_replica() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let mut events = Events::new(a.request(Method::GET, "/sse").send().await.unwrap());
    let endpoint = events.next().await.unwrap().data;
    let post = async |service: &Service, message: Value| {
        service.request(Method::POST, &endpoint).json(&message).send().await.unwrap().status()
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
        {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    assert_eq!(post(b, initialize).await, StatusCode::ACCEPTED);
    assert_eq!(events.message().await["result"]["protocolVersion"], "2024-11-05");
    for (number, replica) in [a, b, c].into_iter().enumerate() {
        let call = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params":
            {"name": "utilities_get_time", "arguments": {}}});
        assert_eq!(post(replica, call).await, StatusCode::ACCEPTED);
        assert_eq!(events.message().await["id"], number);
    }
    let ping = json!({"jsonrpc": "2.0", "id": 6, "method": "ping"});
    let stranger = Service::at(&b.base, Some(replicas.other.clone()));
    assert_eq!(post(&stranger, ping.clone()).await, StatusCode::NOT_FOUND);
    drop(events);
    eventually("the session is gone", async || (post(c, ping.clone()).await == StatusCode::NOT_FOUND).then_some(()))
        .await;
}

#[tokio::test]
async fn what_was_cut_on_one_replica_is_read_whole_on_another() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, _) = replicas.each();
    let cut = a.succeed("tools_search", json!({"query": "tool", "limit": 1})).await;
    let whole = cut.result["content"].as_array().unwrap().iter().find_map(|block| block["uri"].as_str());
    let whole = whole.unwrap_or_else(|| panic!("{}", cut.text));
    let (status, read) = b.send("resources/read", json!({"uri": whole})).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap_or_default();
    assert!(status == StatusCode::OK && text.contains("tools_search"), "{read}");
    let stranger = Service::at(&b.base, Some(replicas.other.clone()));
    let (_, refused) = stranger.send("resources/read", json!({"uri": whole})).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}
