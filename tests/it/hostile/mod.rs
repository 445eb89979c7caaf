//! Clients that mean harm, or know no better; and networks that are slow.

mod http2;

use std::time::Duration;

use cloud_native_mcp::auth::ApiKey;
use cloud_native_mcp::caller::Effect;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Events, MODERN, PATIENCE, Service, client, eventually, read, with_meta};

/// Short limits, so that a test sees them reached.
const IMPATIENT: &str = "server:\n  header_timeout_seconds: 1\n  body_timeout_seconds: 1\n";

/// Instances that need not be there: their tools are listed all the same.
const BACKENDS: &str = "backends:\n  prometheus:\n    instances:\n      p:\n        url: http://127.0.0.1:1\n  \
                        alertmanager:\n    instances:\n      a:\n        url: http://127.0.0.1:1\n";

/// A connection without a client's good manners.
struct Wire(TcpStream);

impl Wire {
    async fn open(service: &Service) -> Self {
        Self(TcpStream::connect(service.base.trim_start_matches("http://")).await.unwrap())
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything until the server ends the connection.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("the server ends the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until the text has `end` in it so many times.
    async fn until(&mut self, end: &str, times: usize) -> String {
        let mut bytes = Vec::new();
        let read = async {
            while String::from_utf8_lossy(&bytes).matches(end).count() < times {
                let more = self.0.read_buf(&mut bytes).await.unwrap();
                assert!(more > 0, "the connection ended after: {}", String::from_utf8_lossy(&bytes));
            }
        };
        timeout(PATIENCE, read).await.expect("an answer in time");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a little now and then, until the server has enough; what it said.
    async fn dribble(&mut self, piece: &str) -> String {
        let mut said = Vec::new();
        let sent = async {
            loop {
                let _ = self.0.write_all(piece.as_bytes()).await;
                let more = timeout(Duration::from_millis(100), self.0.read_buf(&mut said)).await;
                if matches!(more, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
        };
        timeout(PATIENCE, sent).await.expect("the server cuts it off");
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// A POST to `/mcp` as text, with more header lines.
fn post(more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
}

fn modern_headers(method: &str) -> String {
    format!("MCP-Protocol-Version: {MODERN}\r\nMcp-Method: {method}\r\n")
}

fn modern_body(id: u32, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": with_meta(params)}).to_string()
}

fn sleep(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": "utilities_sleep", "arguments": {"duration": "5m"}, "_meta": {"progressToken": id}}})
}

async fn lives(service: &Service) {
    service.succeed("utilities_get_time", json!({})).await;
}

#[tokio::test]
async fn a_client_that_dribbles_its_headers_is_cut_off() {
    let service = Service::start(IMPATIENT).await;
    let mut wire = Wire::open(&service).await;
    wire.write("POST /mcp HTTP/1.1\r\nHost: localhost\r\n").await;
    wire.dribble("X: y\r\n").await;
    lives(&service).await;
}

#[tokio::test]
async fn a_client_that_dribbles_its_body_is_told_and_cut_off() {
    let service = Service::start(IMPATIENT).await;
    let mut wire = Wire::open(&service).await;
    wire.write(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
    )
    .await;
    let said = wire.dribble(" ").await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("the body was not there within 1 s"), "{said}");
    lives(&service).await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_before_and_after_its_first_request() {
    let service = Service::start(IMPATIENT).await;
    assert_eq!(Wire::open(&service).await.rest().await, "");
    let mut wire = Wire::open(&service).await;
    wire.write("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(wire.rest().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn streams_that_nobody_reads_take_no_memory_and_are_ended() {
    const ANSWERS: usize = 2_000;
    let service = Service::start(&format!("{IMPATIENT}{BACKENDS}")).await;
    let listed = service.modern("/mcp?toolsets=all", "tools/list", json!({})).send().await.unwrap();
    let much = listed.text().await.unwrap().len() * ANSWERS;
    assert!(much > 32 << 20, "{much} bytes may fit into what the network holds");
    let before = service.memory();
    let mut wire = Wire::open(&service).await;
    let (_unread, mut sent) = wire.0.split();
    let body = modern_body(1, "tools/list", json!({}));
    let request = post(&format!("{}Accept: text/event-stream\r\n", modern_headers("tools/list")), &body);
    let request = request.replacen("/mcp", "/mcp?toolsets=all", 1);
    let flood = async {
        for _ in 0..ANSWERS {
            if sent.write_all(request.as_bytes()).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let served = async {
        service.counted("mcp_http_connections 2").await;
        lives(&service).await;
        service.counted("mcp_http_connections 1").await;
    };
    tokio::select! {
        () = flood => service.counted("mcp_http_connections 1").await,
        () = served => {}
    }
    let grown = service.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "grew by {grown} bytes");
    lives(&service).await;
}

#[tokio::test]
async fn a_client_that_takes_json_only_gets_its_answer_without_its_progress() {
    let service = Service::start("").await;
    let json_only = |mut request: reqwest::Request| {
        request.headers_mut().insert("accept", "application/json".parse().unwrap());
        request
    };
    let params = json!({"name": "utilities_sleep", "arguments": {"duration": "2s"}, "_meta": {"progressToken": 1}});
    let session = service.session("2025-11-25").await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    for request in [service.modern("/mcp", "tools/call", params), session.request(Method::POST).json(&message)] {
        let (_, request) = request.build_split();
        let response = client().execute(json_only(request.unwrap())).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        let (status, message) = read(response).await;
        assert_eq!((status, &message["id"]), (StatusCode::OK, &json!(1)));
        assert!(message["result"]["content"].is_array(), "{message}");
    }
}

#[tokio::test]
async fn the_sessions_of_one_caller_leave_room_for_those_of_another() {
    let keys = ["ann", "bob"].map(|name| ApiKey::create(name.into(), Effect::Read, None));
    let mut config = "store:\n  most_bytes: 200000\nauth:\n  api_keys:\n".to_owned();
    for key in &keys {
        config.push_str(&format!("    - name: {}\n      hash: {}\n", key.kept.name, key.kept.hash));
    }
    let service = Service::start_with(&config, None, &[]).await;
    let begin = async |key: &str| {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"experimental": {"x": "y".repeat(9_000)}}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        read(service.request(Method::POST, "/mcp").bearer_auth(key).json(&message).send().await.unwrap()).await
    };
    let mut begun = 0;
    let refusal = loop {
        match begin(&keys[0].key).await {
            (StatusCode::OK, _) => begun += 1,
            (status, refusal) => break (status, refusal["error"]["message"].as_str().unwrap().to_owned()),
        }
    };
    assert!((2..20).contains(&begun), "{begun}");
    assert_eq!(refusal.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.1.contains("the sessions of this caller take all the room"), "{}", refusal.1);
    assert_eq!(begin(&keys[1].key).await.0, StatusCode::OK);
}

#[tokio::test]
async fn too_many_calls_of_one_session_are_refused_and_other_sessions_go_on() {
    let service = Service::start("").await;
    let (session, other) = (service.session("2025-11-25").await, service.session("2025-11-25").await);
    let mut streams = Vec::new();
    let refusal = loop {
        assert!(streams.len() < 1_000);
        let response = session.post(&sleep(u32::try_from(streams.len()).unwrap())).await;
        match response.headers()["content-type"].to_str().unwrap() {
            "text/event-stream" => streams.push(response),
            _ => break read(response).await.1,
        }
    };
    assert!(refusal["error"]["message"].as_str().unwrap().contains("too many calls"), "{refusal}");
    assert_eq!(other.send("ping", json!({})).await["result"], json!({}));
    assert!(session.request(Method::DELETE).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn headers_that_are_too_many_or_too_large_are_refused_with_431() {
    let service = Service::start("").await;
    let many = "X: y\r\n".repeat(200);
    let large = format!("X: {}\r\n", "y".repeat(100_000));
    for more in [&many, &large] {
        let mut wire = Wire::open(&service).await;
        let _ = wire.0.write_all(post(more, "{}").as_bytes()).await;
        let said = wire.rest().await;
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    }
    lives(&service).await;
}

#[tokio::test]
async fn deeply_nested_json_is_an_error_where_it_counts() {
    let service = Service::start("").await;
    let session = service.session("2025-03-26").await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{open}{close}");
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    for inner in [&deep, &objects, &open] {
        for body in [
            inner.clone(),
            format!("[{inner}]"),
            format!(r#"{{"jsonrpc":"2.0","id":{inner},"method":"ping"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"cursor":{inner}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{inner}}}}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"utilities_get_time","arguments":{{"zone":{inner}}}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"utilities_get_time","arguments":{inner}}}}}"#
            ),
        ] {
            for request in [session.request(Method::POST), service.request(Method::POST, "/mcp")] {
                let sent = request.header("Content-Type", "application/json").body(body.clone()).send().await.unwrap();
                let (status, message) = read(sent).await;
                let shown = &body[..body.len().min(120)];
                assert!(!status.is_server_error(), "{status} for {shown}");
                // A batch is answered with one.
                let message = message.get(0).unwrap_or(&message);
                // What nobody looks at does no harm.
                let ignored = body.contains("tools/list") && inner != &open && message.get("result").is_some();
                let expected = ignored || message.get("error").is_some() || message["result"]["isError"] == true;
                assert!(expected, "{status} {message} for {shown}");
            }
        }
        // An answer to a question that nobody asked is passed over, whatever is in it.
        let body = format!(r#"{{"jsonrpc":"2.0","id":"ask-1","result":{inner}}}"#);
        let request = session.request(Method::POST).header("Content-Type", "application/json").body(body);
        assert!(!request.send().await.unwrap().status().is_server_error());
    }
    lives(&service).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let service = Service::start("").await;
    let mut wire = Wire::open(&service).await;
    let headers = format!("{}Mcp-Name: utilities_get_time\r\n", modern_headers("tools/call"));
    let params = json!({"name": "utilities_get_time", "arguments": {}});
    let requests: String = (0..50).map(|id| post(&headers, &modern_body(id, "tools/call", params.clone()))).collect();
    wire.write(requests).await;
    let said = wire.until("\"jsonrpc\":\"2.0\",\"id\":", 50).await;
    let ids: Vec<u32> = said
        .split("\"jsonrpc\":\"2.0\",\"id\":")
        .skip(1)
        .map(|rest| rest.split(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 50);
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_with_413_however_it_comes() {
    let service = Service::start("server:\n  most_body_bytes: 100000\n").await;
    let body = " ".repeat(300_000);
    let mut chunked = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                       Transfer-Encoding: chunked\r\n\r\n"
        .to_owned();
    for piece in body.as_bytes().chunks(10_000) {
        chunked.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
    }
    chunked.push_str("0\r\n\r\n");
    for request in [post("", &body), chunked] {
        let mut wire = Wire::open(&service).await;
        wire.write(request).await;
        let said = wire.until("}", 1).await;
        assert!(said.starts_with("HTTP/1.1 413"), "{said}");
        assert!(said.contains("the body is larger than 100000 bytes"), "{said}");
    }
    lives(&service).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let service = Service::start("server:\n  most_connections: 200\n").await;
    let alive = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut wires = Vec::new();
    for _ in 0..200 {
        let mut wire = Wire::open(&service).await;
        wire.write(alive).await;
        wires.push(wire);
    }
    for wire in &mut wires {
        assert!(wire.until("\r\n\r\n", 1).await.starts_with("HTTP/1.1 200"));
    }
    let mut late = Wire::open(&service).await;
    late.write(alive).await;
    let mut nothing = [0; 1];
    assert!(timeout(Duration::from_millis(300), late.0.read(&mut nothing)).await.is_err(), "it waits");
    wires.pop();
    assert!(late.until("\r\n\r\n", 1).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_that_says_in_two_ways_where_its_body_ends_is_refused() {
    let service = Service::start("").await;
    let smuggled = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let start = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let mut wire = Wire::open(&service).await;
        wire.write(format!("{start}{headers}\r\n0\r\n\r\n{smuggled}")).await;
        let said = wire.rest().await;
        assert!(said.starts_with("HTTP/1.1 400"), "{headers}: {said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{headers}: {said}");
    }
    // Where the length comes second it does not count, and nothing after the body is believed.
    let mut wire = Wire::open(&service).await;
    let headers = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
    wire.write(format!("{start}{headers}\r\n0\r\n\r\n{smuggled}")).await;
    let said = wire.rest().await;
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
}

#[tokio::test]
async fn a_host_that_is_no_host_or_comes_twice_is_refused() {
    let service = Service::start("").await;
    for (target, hosts, status) in [
        ("/mcp", "Host: localhost\r\n", 405),
        ("/mcp", "Host: [::1]:80\r\n", 405),
        ("/mcp", "Host: [::1].evil.example\r\n", 400),
        ("/mcp", "Host: localhost\r\nHost: localhost\r\n", 400),
        ("/mcp", "Host: localhost\r\nHost: evil.example\r\n", 400),
        ("/mcp", "Host: localhost:80:80\r\n", 400),
        ("/mcp", "Host: user@localhost\r\n", 400),
        ("/mcp", "", 400),
        ("/mcp", "Host: evil.example\r\n", 403),
        ("http://evil.example/mcp", "Host: localhost\r\n", 403),
    ] {
        let mut wire = Wire::open(&service).await;
        wire.write(format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
        let said = wire.rest().await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{target} {hosts}: {said}");
        assert_eq!(said.contains("host"), status != 405, "{target} {hosts}: {said}");
    }
}

#[tokio::test]
async fn every_value_of_a_narrowing_header_counts() {
    let service = Service::start(&format!("allow: destroy\n{BACKENDS}")).await;
    let listed = async |path: &str, headers: &[(&'static str, &'static str)]| {
        let request = service.modern(path, "tools/list", json!({}));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (_, message) = read(request.send().await.unwrap()).await;
        let tools = message["result"]["tools"].as_array().unwrap_or_else(|| panic!("{message}")).clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let writes = async |headers: &[(&'static str, &'static str)]| {
        listed("/mcp/alertmanager", headers).await.contains(&"alertmanager_create_silence".to_owned())
    };
    let readonly = "X-MCP-Readonly";
    assert!(writes(&[]).await);
    assert!(writes(&[(readonly, "false"), (readonly, "0")]).await);
    assert!(!writes(&[(readonly, "false"), (readonly, "true")]).await);
    assert!(!writes(&[(readonly, "true"), (readonly, "false")]).await);
    assert!(!writes(&[(readonly, "false, true")]).await);
    assert!(!writes(&[(readonly, "\u{e9}")]).await);

    let toolsets = "X-MCP-Toolsets";
    let both = listed("/mcp", &[(toolsets, "prometheus"), (toolsets, "alertmanager")]).await;
    for service in ["prometheus_", "alertmanager_"] {
        assert!(both.iter().any(|name| name.starts_with(service)), "{service}");
    }
    assert_eq!(both, listed("/mcp?toolsets=alertmanager&toolsets=prometheus", &[]).await);
}

#[tokio::test]
async fn a_stream_ends_with_the_key_that_opened_it() {
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(8);
    let new = ApiKey::create("ann".into(), Effect::Read, Some(expires));
    let hash = &new.kept.hash;
    let config = format!("auth:\n  api_keys:\n    - name: ann\n      hash: {hash}\n      expires: {expires}\n");
    let service = Service::start_with(&config, Some(new.key), &[]).await;
    let session = service.session("2025-06-18").await;
    let own = session.listen(None).await;
    let two_endpoint = Events::new(service.request(Method::GET, "/sse").send().await.unwrap());
    let params = json!({"notifications": {}});
    let listening = service.modern("/mcp", "subscriptions/listen", params).send().await.unwrap();
    let mut listening = Events::new(listening);
    assert_eq!(listening.message().await["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(listening.message().await["result"]["resultType"], "complete");
    for mut events in [listening, own, two_endpoint] {
        while events.next().await.is_some() {}
        assert!(jiff::Timestamp::now() >= expires);
    }
    let refused = service.request(Method::GET, "/sse").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_that_is_over_is_not_begun_again() {
    let service = Service::start("").await;
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
        {"protocolVersion": "2024-11-05", "capabilities": {}}});
    for _ in 0..20 {
        let mut events = Events::new(service.request(Method::GET, "/sse").send().await.unwrap());
        let endpoint = events.next().await.unwrap().data;
        let id = endpoint.split_once("sessionId=").unwrap().1.to_owned();
        let begin = || service.request(Method::POST, &endpoint).json(&initialize).send();
        let end = service.request(Method::DELETE, "/mcp").header("Mcp-Session-Id", &id).send();
        let (begun, again, ended) = tokio::join!(begin(), begin(), end);
        assert!(ended.unwrap().status().is_success());
        for answer in [begun, again] {
            assert!(matches!(answer.unwrap().status(), StatusCode::ACCEPTED | StatusCode::NOT_FOUND));
        }
        while events.next().await.is_some() {}
        eventually("the session is gone", async || {
            let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
            let request = service.request(Method::POST, "/mcp").header("Mcp-Session-Id", &id).json(&ping);
            (request.send().await.unwrap().status() == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    }
}
