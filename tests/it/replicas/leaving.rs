//! Replicas that die, and replicas that end in peace.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Replicas, backends, sleep, unreachable};
use crate::harness::{Event, Events, Service, Session, eventually};

fn send(service: &Service, signal: Signal) {
    kill(Pid::from_raw(service.id()), signal).unwrap();
}

/// The messages of a stream until it ends.
async fn rest(mut events: Events) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Some(event) = events.next().await {
        if !event.data.is_empty() {
            messages.push(event.message());
        }
    }
    messages
}

#[tokio::test]
async fn a_call_whose_replica_was_killed_ends_with_an_error_on_another() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, c) = replicas.each();
    let session = a.session("2025-11-25").await;
    let mut events = Events::new(session.post(&sleep("5m")).await);
    let primed = events.next().await.unwrap();
    let first = events.next().await.unwrap();
    send(a, Signal::SIGKILL);
    // Two clients of the same stream hear the same end, and it comes once.
    let (on_b, on_c) = (session.at(b), session.at(c));
    let (from_first, from_start) = (on_b.listen(first.id.as_deref()).await, on_c.listen(primed.id.as_deref()).await);
    let (from_first, from_start) = tokio::join!(rest(from_first), rest(from_start));
    let ends = |messages: &[Value]| -> Vec<Value> {
        messages.iter().filter(|message| message.get("id").is_some()).cloned().collect()
    };
    assert_eq!(ends(&from_first).len(), 1, "{from_first:?}");
    assert_eq!(ends(&from_first), ends(&from_start));
    let end = &ends(&from_first)[0];
    assert_eq!((&end["id"], &end["error"]["code"]), (&json!(7), &json!(50300)), "{end}");
    assert!(end["error"]["message"].as_str().unwrap().contains("look before you call again"), "{end}");
    assert_eq!(session.at(b).send("ping", json!({})).await["result"], json!({}), "the session lives on");
}

#[tokio::test]
async fn a_stream_of_the_two_endpoint_transport_is_gone_with_its_replica() {
    let Some(replicas) = Replicas::start("").await else { return };
    let (a, b, _) = replicas.each();
    let mut events = Events::new(a.request(Method::GET, "/sse").send().await.unwrap());
    let endpoint = events.next().await.unwrap().data;
    let ping = json!({"jsonrpc": "2.0", "id": 6, "method": "ping"});
    let post = async || b.request(Method::POST, &endpoint).json(&ping).send().await.unwrap().status();
    assert_eq!(post().await, StatusCode::ACCEPTED);
    assert_eq!(events.message().await["id"], 6);
    send(a, Signal::SIGKILL);
    eventually("the client is told to begin anew", async || (post().await == StatusCode::NOT_FOUND).then_some(()))
        .await;
}

#[tokio::test]
async fn a_replica_that_ends_is_unready_first_and_hands_over_its_streams() {
    let config = format!("{}server:\n  drain_delay_seconds: 2\n", unreachable());
    let Some(mut replicas) = Replicas::start(&config).await else { return };
    let mut leaving = replicas.all.remove(0);
    let (b, c) = (&replicas.all[0], &replicas.all[1]);
    let session = leaving.session("2025-11-25").await;
    assert_eq!(session.send("resources/subscribe", backends()).await["result"], json!({}));
    let mut stream = session.listen(None).await;
    stream.next().await.unwrap();
    let mut call = Events::new(session.post(&sleep("6s")).await);
    call.message().await;
    send(&leaving, Signal::SIGTERM);
    eventually("it is not ready", async || {
        let answer = leaving.request(Method::GET, "/readyz").send().await.ok()?;
        (answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    let progress = call.message().await;
    assert_eq!(progress["method"], "notifications/progress", "its streams go on until nothing new comes");
    let (call, stream) = (last(call).await, last(stream).await);
    for invitation in [&call, &stream] {
        assert_eq!((invitation.data.as_str(), invitation.retry), ("", Some(1000)), "{invitation:?}");
    }
    let (id, elsewhere) = (session.id.clone(), session.at(b));
    assert_eq!(elsewhere.id, id);
    c.fail("prometheus_query", json!({"query": "up"})).await;
    let mut stream = elsewhere.listen(stream.id.as_deref()).await;
    assert_eq!(stream.message().await["params"], backends(), "what happened meanwhile is told");
    let mut call = session.at(c).listen(call.id.as_deref()).await;
    let result = loop {
        let message = call.message().await;
        if message.get("id").is_some() {
            break message;
        }
    };
    assert!(result["result"]["content"].is_array(), "{result}");
    drop(session);
    assert!(leaving.terminate().await.success());
}

/// The last event of a stream that ends.
async fn last(mut events: Events) -> Event {
    let mut last = Event::default();
    while let Some(event) = events.next().await {
        last = event;
    }
    last
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_of_its_replica_ends_with_an_error_on_another() {
    let Some(mut replicas) = Replicas::start("server:\n  drain_seconds: 1\n").await else { return };
    let mut leaving = replicas.all.remove(0);
    let session = leaving.session("2025-11-25").await;
    let mut call = Events::new(session.post(&sleep("5m")).await);
    call.message().await;
    let there = session.at(&replicas.all[0]);
    send(&leaving, Signal::SIGTERM);
    let invitation = last(call).await;
    let messages = rest(there.listen(invitation.id.as_deref()).await).await;
    let end = messages.last().expect("an end");
    assert_eq!((&end["id"], &end["error"]["code"]), (&json!(7), &json!(50300)), "{end}");
    drop((session, there));
    assert!(leaving.terminate().await.success());
}

/// The answer to a call, from a client that comes back whenever its stream ends without one.
async fn answer_in_the_end(session: &Session<'_>, call: &Value) -> Value {
    let mut events = Events::new(session.post(call).await);
    let mut id = None;
    loop {
        while let Some(event) = events.next().await {
            if !event.data.is_empty() && event.message().get("id").is_some() {
                return event.message();
            }
            id = event.id.or(id);
        }
        events = session.listen(id.as_deref()).await;
    }
}

#[tokio::test]
async fn a_rolling_update_loses_no_session_no_call_and_no_change() {
    let config = format!("{}server:\n  drain_delay_seconds: 1\n", unreachable());
    let Some(mut replicas) = Replicas::start(&config).await else { return };
    let front = replicas.front();
    let sessions = join_all((0..10).map(|_| front.session("2025-11-25"))).await;
    let follower = front.session("2025-11-25").await;
    assert_eq!(follower.send("resources/subscribe", backends()).await["result"], json!({}));
    let mut stream = follower.listen(None).await;
    let mut place = stream.next().await.unwrap().id;
    let updated = AtomicBool::new(false);
    let busy = async {
        let mut served = 0;
        while !updated.load(Ordering::Relaxed) {
            for session in &sessions {
                let call = json!({"name": "utilities_get_time", "arguments": {}});
                let answer = session.send("tools/call", call).await;
                assert!(answer["result"]["content"].is_array(), "{answer}");
                served += 1;
            }
        }
        served
    };
    let long = join_all(sessions.iter().map(|session| async { answer_in_the_end(session, &sleep("8s")).await }));
    let update = async {
        for _ in 0..3 {
            let mut leaving = replicas.replace_oldest().await;
            assert!(leaving.terminate().await.success());
        }
        let last = &replicas.all[0];
        last.fail("prometheus_query", json!({"query": "up"})).await;
        updated.store(true, Ordering::Relaxed);
    };
    let change = async {
        loop {
            while let Some(event) = stream.next().await {
                if !event.data.is_empty() {
                    return event.message();
                }
                place = event.id.or(place.take());
            }
            stream = follower.listen(place.as_deref()).await;
        }
    };
    let (served, long, change, ()) = tokio::join!(busy, long, change, update);
    assert!(served > 10, "{served}");
    for answer in long {
        assert!(answer["result"]["content"].is_array(), "{answer}");
    }
    assert_eq!(change["params"], backends());
}
