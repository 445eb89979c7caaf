//! Whatever comes in: no panic, no hang, and no answer that is not JSON-RPC.

use bytes::Bytes;
use cloud_native_mcp::edge::Frame;
use cloud_native_mcp::mcp::{envelope, is_traceparent};
use cloud_native_mcp::toolkit::args::{Moment, Span};
use cloud_native_mcp::yaml;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::Service;

/// Bodies through the door; more would only take longer.
const BODIES: usize = 300;

/// Messages as clients send them, to be damaged.
const MESSAGES: [&str; 5] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"utilities_get_time","arguments":{"zone":"UTC"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
    r#"{"jsonrpc":"2.0","id":"ask-1","result":{"action":"accept","content":{"x":1}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"y","value":"z"}}}"#,
];

/// Noise, and messages with a few bytes changed, dropped or doubled.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (0..MESSAGES.len(), vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6));
    let damaged = damaged.prop_map(|(message, damages)| {
        let mut bytes = MESSAGES[message].as_bytes().to_vec();
        for (place, byte, kind) in damages {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..200), "[\\[\\]{}\":,0-9a-z \\\\]{0,120}".prop_map(String::into_bytes), damaged]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_a_message_or_a_fault(body in body()) {
        if let Err((_, fault)) = envelope::parse(&Bytes::from(body)) {
            prop_assert!(matches!(fault.code, -32700 | -32600), "{fault:?}");
        }
    }

    #[test]
    fn an_event_is_one_block_whatever_is_in_it(id in any::<Option<String>>(), data in vec(any::<u8>(), 0..100)) {
        let text = Frame { id, ..Frame::message(data.into()) }.encode();
        prop_assert!(text.ends_with(b"\n\n"));
        let inner = &text[..text.len() - 2];
        prop_assert!(!inner.windows(2).any(|pair| pair == b"\n\n") && !inner.contains(&b'\r'));
        let lines: Vec<_> = inner.split(|byte| *byte == b'\n').collect();
        prop_assert!(lines.iter().all(|line| line.starts_with(b"id: ") || line.starts_with(b"data: ")));
    }

    #[test]
    fn times_headers_and_settings_are_read_or_refused(text in any::<String>()) {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let _ = text.parse::<Moment>().map(|moment| moment.when(now));
        let _ = text.parse::<Span>().map(|span| span.to_string());
        prop_assert!(!is_traceparent(&text) || text.is_ascii());
        let _ = yaml::parse(&text);
    }
}

#[tokio::test]
async fn any_body_gets_an_answer_of_the_protocol_and_the_server_lives() {
    let service = Service::start("").await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let header = "[ -~]{0,30}";
    let parts = (body(), prop_oneof!["2026-07-28", "2025-11-25", header], header, header);
    for _ in 0..BODIES {
        let (body, version, method, session) = parts.new_tree(&mut runner).unwrap().current();
        let request = service
            .request(Method::POST, "/mcp")
            .header("Content-Type", "application/json")
            .header("MCP-Protocol-Version", version)
            .header("Mcp-Method", method)
            .header("Mcp-Session-Id", session)
            .body(body.clone());
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(!status.is_server_error(), "{status} for {shown}");
        if text.is_empty() {
            assert_eq!(status, StatusCode::ACCEPTED, "{shown}");
            continue;
        }
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} for {shown}"));
        let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        for answer in answers {
            assert_eq!(answer["jsonrpc"], "2.0", "{shown}");
            assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{shown}");
        }
    }
    assert_eq!(service.request(Method::GET, "/livez").send().await.unwrap().status(), StatusCode::OK);
}
