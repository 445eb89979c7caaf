//! HTTP/2: by hand (RFC 9113), to do what no library lets one do; and as it should be.

use cloud_native_mcp::backends::rest;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{IMPATIENT, Wire, lives, modern_body, sleep};
use crate::harness::{MODERN, PATIENCE, Service, read};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const DATA: u8 = 0;
const HEADERS: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A whole request.
fn request(stream: u32, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        // A literal field without indexing (RFC 7541 §6.2.2).
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let mut bytes = frame(HEADERS, 4, stream, &block);
    bytes.extend(frame(DATA, 1, stream, body.as_bytes()));
    bytes
}

const MODERN_OVER_HTTP2: [(&str, &str); 8] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/mcp"),
    (":authority", "localhost"),
    ("content-type", "application/json"),
    ("mcp-protocol-version", MODERN),
    ("mcp-method", "tools/call"),
    ("mcp-name", "utilities_sleep"),
];

#[tokio::test]
async fn a_client_of_http2_that_makes_no_room_for_answers_is_let_go() {
    let service = Service::start(IMPATIENT).await;
    let mut wire = Wire::open(&service).await;
    wire.write(PREFACE).await;
    // A window of no bytes for every stream.
    wire.write(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let params = sleep(1)["params"].clone();
    for stream in [1, 3, 5] {
        let body = modern_body(stream, "tools/call", params.clone());
        wire.write(request(stream, &MODERN_OVER_HTTP2, &body)).await;
    }
    service.counted("mcp_streams{kind=\"call\"} 3").await;
    lives(&service).await;
    wire.rest().await;
    service.counted("mcp_streams{kind=\"call\"} 0").await;
    lives(&service).await;
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_closed() {
    let service = Service::start(IMPATIENT).await;
    for requests in [0, 1] {
        let mut wire = Wire::open(&service).await;
        wire.write(PREFACE).await;
        wire.write(frame(SETTINGS, 0, 0, &[])).await;
        for _ in 0..requests {
            let mut headers = MODERN_OVER_HTTP2;
            headers[0].1 = "GET";
            headers[2].1 = "/livez";
            wire.write(request(1, &headers[..4], "")).await;
        }
        wire.rest().await;
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_works() {
    let service = Service::start("").await;
    let client = rest::client_builder(PATIENCE).http2_prior_knowledge().build().unwrap();
    let send = async |method: &str, params: Value| {
        let (_, request) = service.modern("/mcp", method, params).build_split();
        let response = client.execute(request.unwrap()).await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        read(response).await
    };
    let (status, listed) = send("tools/list", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!listed["result"]["tools"].as_array().unwrap().is_empty());
    let call = json!({"name": "utilities_sleep", "arguments": {"duration": "1s"}, "_meta": {"progressToken": 1}});
    let (status, called) = send("tools/call", call).await;
    assert_eq!((status, &called["id"]), (StatusCode::OK, &json!(1)));
    assert!(called["result"]["content"].is_array(), "{called}");
}
