//! The protocol of 2026-07-28 over streamable HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Events, MODERN, Service, read, with_meta};

#[tokio::test]
async fn discovery_names_every_revision_and_what_answers() {
    let service = Service::start("").await;
    let (status, message) = service.send("server/discover", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let result = &message["result"];
    assert_eq!(result["supportedVersions"], json!([MODERN, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "cloud-native-mcp");
    assert_eq!(result["capabilities"]["extensions"], json!({"io.modelcontextprotocol/tasks": {}}));
    for (method, capability) in [("prompts/list", "prompts"), ("tools/list", "tools"), ("resources/list", "resources")]
    {
        let (status, _) = service.send(method, json!({})).await;
        assert_eq!(status == StatusCode::OK, result["capabilities"].get(capability).is_some(), "{method}");
    }
}

#[tokio::test]
async fn a_tool_is_listed_and_answers() {
    let service = Service::start("").await;
    let (_, message) = service.send("tools/list", json!({})).await;
    let tools = message["result"]["tools"].as_array().unwrap();
    let time = tools.iter().find(|tool| tool["name"] == "utilities_get_time").unwrap();
    assert_eq!(time["annotations"]["readOnlyHint"], true);
    assert_eq!(time["inputSchema"]["additionalProperties"], false);
    assert_eq!(message["result"]["cacheScope"], "private");

    let answer =
        service.succeed("utilities_get_time", json!({"zone": "Asia/Tokyo", "at": "2026-01-02T00:00:00Z"})).await;
    assert!(answer.text.starts_with("time: 2026-01-02T09:00:00+09:00\n"), "{}", answer.text);
    assert_eq!(answer.structured["iso_week"], "2026-W01");
}

#[tokio::test]
async fn mistakes_in_arguments_are_answers_that_say_what_to_do() {
    let service = Service::start("").await;
    let time = async |arguments: Value| service.fail("utilities_get_time", arguments).await;
    assert_eq!(time(json!({"tz": "UTC"})).await, "unknown argument `tz`; allowed: zone, at, format");
    assert!(time(json!({"zone": "Mars/Base"})).await.contains("give an IANA name"));
    assert!(time(json!({"at": "noon"})).await.starts_with("at: `noon` is not a time; give RFC 3339"));
    let (status, message) = service.send("tools/call", json!({"name": "nope", "arguments": {}})).await;
    assert_eq!((status, &message["error"]["code"]), (StatusCode::OK, &json!(-32602)));
}

#[tokio::test]
async fn headers_and_meta_must_agree_with_the_body() {
    let service = Service::start("").await;
    let params = json!({"name": "utilities_get_time", "arguments": {}});
    let code = async |request: reqwest::RequestBuilder| {
        let (status, message) = read(request.send().await.unwrap()).await;
        (status.as_u16(), message["error"]["code"].as_i64().unwrap_or(0))
    };
    let call = || service.modern("/mcp", "tools/call", params.clone());
    let replaced = |name: &str, value: &str| {
        let (client, request) = call().build_split();
        let mut request = request.unwrap();
        request.headers_mut().insert(reqwest::header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        reqwest::RequestBuilder::from_parts(client, request)
    };
    assert_eq!(code(call()).await, (200, 0));
    assert_eq!(code(replaced("mcp-name", "other")).await, (400, -32020));
    assert_eq!(code(replaced("mcp-name", "=?base64?dXRpbGl0aWVzX2dldF90aW1l?=")).await, (200, 0));
    assert_eq!(code(replaced("mcp-method", "tools/list")).await, (400, -32020));
    assert_eq!(code(replaced("mcp-protocol-version", "2025-11-25")).await, (400, -32020));
    assert_eq!(code(service.modern("/mcp", "ping", json!({}))).await, (404, -32601));
    let meta = json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": null}});
    assert_eq!(code(service.modern("/mcp", "tools/list", meta)).await, (400, -32602));
    let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "1900-01-01"}});
    let old = service.modern("/mcp", "tools/list", meta.clone());
    assert_eq!(code(old).await, (400, -32020));
    let (client, request) = service.modern("/mcp", "tools/list", meta).build_split();
    let mut request = request.unwrap();
    request.headers_mut().insert("mcp-protocol-version", "1900-01-01".parse().unwrap());
    assert_eq!(code(reqwest::RequestBuilder::from_parts(client, request)).await, (400, -32022));
}

#[tokio::test]
async fn what_is_no_message_gets_an_error_and_never_anything_else() {
    let service = Service::start("").await;
    for (body, status, code) in [
        ("", 400, -32700),
        ("{", 400, -32700),
        ("[]", 400, -32600),
        ("7", 400, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#, 400, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, 400, -32600),
    ] {
        let request = service.request(Method::POST, "/mcp").header("Content-Type", "application/json").body(body);
        let (got, message) = read(request.send().await.unwrap()).await;
        assert_eq!((got.as_u16(), message["error"]["code"].as_i64()), (status, Some(code)), "{body}");
    }
    let request = service.request(Method::POST, "/mcp").body("{}");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = vec![b' '; 5 << 20];
    let request = service.request(Method::POST, "/mcp").header("Content-Type", "application/json").body(large);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(service.request(Method::GET, "/mcp").send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let probe = service.request(Method::GET, "/mcp/.well-known/openid-configuration").send().await.unwrap();
    assert_eq!(probe.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn progress_comes_on_the_stream_of_its_request_and_then_the_result() {
    let service = Service::start("").await;
    let params = json!({
        "name": "utilities_sleep",
        "arguments": {"duration": "1100ms"},
        "_meta": {"progressToken": "p"},
    });
    let mut events = Events::new(service.modern("/mcp", "tools/call", params).send().await.unwrap());
    let mut done = -1.0;
    let result = loop {
        let message = events.message().await;
        if message.get("result").is_some() {
            break message;
        }
        assert_eq!(message["method"], "notifications/progress");
        assert_eq!(message["params"]["progressToken"], "p");
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(progress > done, "{progress} after {done}");
        done = progress;
    };
    assert!(result["result"]["structuredContent"]["waited_seconds"].as_f64().unwrap() >= 1.1);
    assert!(done >= 1.0);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_closed_stream_cancels_the_call() {
    let service = Service::start("").await;
    let params = json!({
        "name": "utilities_sleep",
        "arguments": {"duration": "5m"},
        "_meta": {"progressToken": 1},
    });
    let mut events = Events::new(service.modern("/mcp", "tools/call", params).send().await.unwrap());
    events.message().await;
    drop(events);
    service.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"utilities_sleep\"} 1").await;
}

#[tokio::test]
async fn a_listener_hears_of_its_task_and_is_told_when_the_server_ends() {
    let mut service = Service::start("").await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities":
        {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let call = json!({"name": "utilities_sleep", "arguments": {"duration": "1s"}, "_meta": meta});
    let (_, message) = service.send("tools/call", call).await;
    let id = message["result"]["taskId"].clone();
    let params = json!({"notifications": {"taskIds": [id]}, "_meta": meta});
    let mut events = Events::new(service.modern("/mcp", "subscriptions/listen", params).send().await.unwrap());
    let acknowledged = events.message().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"]["taskIds"], json!([id]));
    let told = events.message().await;
    assert_eq!((&told["method"], &told["params"]["status"]), (&json!("notifications/tasks"), &json!("completed")));
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    assert!(service.terminate().await.success());
    let end = events.message().await;
    assert_eq!(end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn one_service_is_served_alone_and_toolsets_narrow_the_list() {
    let service = Service::start("").await;
    let names = async |request: reqwest::RequestBuilder| {
        let (_, message) = read(request.send().await.unwrap()).await;
        let tools = message["result"]["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let list = |path: &str| service.modern(path, "tools/list", json!({}));
    let utilities = ["utilities_get_time", "utilities_sleep"];
    assert_eq!(names(list("/mcp/utilities")).await, utilities);
    assert_eq!(names(list("/api/utilities/streamable-http")).await, utilities);
    assert_eq!(names(list("/mcp?toolsets=utilities")).await, utilities);
    assert_eq!(names(list("/mcp").header("X-MCP-Toolsets", "utilities, nothing")).await, utilities);
    assert!(!names(list("/mcp")).await.contains(&"utilities_sleep".to_owned()));
    assert!(names(list("/mcp?toolsets=all")).await.contains(&"utilities_sleep".to_owned()));
    assert_eq!(list("/mcp/nothing").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let (_, message) = read(
        service
            .modern("/mcp/server", "tools/call", json!({"name": "utilities_get_time", "arguments": {}}))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(message["error"]["code"], -32602);
}

#[tokio::test]
async fn resources_and_completion_answer() {
    let service = Service::start("").await;
    let (_, message) = service.send("resources/read", json!({"uri": "catalogue://tools/utilities_sleep"})).await;
    let text = message["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("\"toolset\": \"utilities\""), "{text}");
    let (_, message) = service.send("resources/read", json!({"uri": "catalogue://nothing"})).await;
    assert_eq!(message["error"]["code"], -32602);
    let params = json!({
        "ref": {"type": "ref/resource", "uri": "catalogue://tools/{name}"},
        "argument": {"name": "name", "value": "sleep"},
    });
    let (_, message) = service.send("completion/complete", params).await;
    assert_eq!(message["result"]["completion"]["values"], json!(["utilities_sleep"]));
}

#[tokio::test]
async fn instances_are_completed_for_those_who_can_ask_them() {
    let service =
        Service::start("backends:\n  prometheus:\n    instances:\n      eu:\n        url: http://127.0.0.1:1\n").await;
    let template = json!({
        "ref": {"type": "ref/resource", "uri": "prometheus://{instance}/{view}"},
        "argument": {"name": "instance", "value": ""},
    });
    let prompt = json!({
        "ref": {"type": "ref/prompt", "name": "metrics_question"},
        "argument": {"name": "instance", "value": ""},
    });
    let complete = async |path: &str, params: &Value| {
        let request = service.modern(path, "completion/complete", params.clone());
        read(request.send().await.unwrap()).await.1["result"]["completion"]["values"].clone()
    };
    for params in [template, prompt] {
        assert_eq!(complete("/mcp", &params).await, json!(["eu"]));
        assert_eq!(complete("/mcp?toolsets=utilities", &params).await, json!([]));
        assert_eq!(complete("/mcp/utilities", &params).await, Value::Null);
    }
}

#[tokio::test]
async fn a_client_without_streams_gets_json() {
    let service = Service::start("").await;
    let params = with_meta(json!({
        "name": "utilities_sleep",
        "arguments": {"duration": "100ms"},
        "_meta": {"progressToken": 1},
    }));
    let request = service
        .request(Method::POST, "/mcp")
        .header("Accept", "application/json")
        .header("MCP-Protocol-Version", MODERN)
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "utilities_sleep")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(read(response).await.1["result"].is_object());
}
