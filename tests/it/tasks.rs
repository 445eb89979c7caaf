//! Calls that go on after their answer, and calls that ask before they do anything.

use cloud_native_mcp::auth::ApiKey;
use cloud_native_mcp::caller::Effect;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::conformance::Fixtures;
use crate::harness::{MODERN, Service, client, eventually, read, with_meta};

#[tokio::test]
async fn a_long_call_becomes_a_task_for_a_client_that_can_wait_for_it() {
    let service = Service::start("").await;
    let capable = |mut params: Value| {
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities":
            {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
        params
    };
    let call = capable(json!({"name": "utilities_sleep", "arguments": {"duration": "1s"}}));
    let (_, message) = service.send("tools/call", call).await;
    assert_eq!(message["result"]["resultType"], "task", "{message}");
    let id = message["result"]["taskId"].clone();
    let (_, working) = service.send("tasks/get", capable(json!({"taskId": id}))).await;
    assert_eq!(working["result"]["status"], "working");
    let result = eventually("the task is done", async || {
        let (_, message) = service.send("tasks/get", capable(json!({"taskId": id}))).await;
        (message["result"]["status"] == "completed").then(|| message["result"]["result"].clone())
    })
    .await;
    assert!(result["structuredContent"]["waited_seconds"].as_f64().unwrap() >= 1.0);
    let (status, message) = service.send("tasks/get", json!({"taskId": id})).await;
    assert_eq!((status, &message["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(-32021)));
    let (_, message) = service.send("tasks/get", capable(json!({"taskId": "task-guessed"}))).await;
    assert_eq!(message["error"]["code"], -32602);
}

#[tokio::test]
async fn a_cancelled_task_ends() {
    let service = Service::start("").await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities":
        {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let call = json!({"name": "utilities_sleep", "arguments": {"duration": "5m"}, "_meta": meta});
    let (_, message) = service.send("tools/call", call).await;
    let params = json!({"taskId": message["result"]["taskId"], "_meta": meta});
    let (_, acknowledged) = service.send("tasks/cancel", params.clone()).await;
    assert_eq!(acknowledged["result"]["resultType"], "complete");
    service.counted("mcp_tool_calls_total{outcome=\"cancelled\",tool=\"utilities_sleep\"} 1").await;
    let (_, message) = service.send("tasks/get", params).await;
    assert_eq!(message["result"]["status"], "cancelled");
}

#[tokio::test]
async fn a_caller_cannot_take_all_places_for_tasks() {
    let keys = ["ann", "bob"].map(|name| ApiKey::create(name.into(), Effect::Read, None));
    let entries = keys.iter().map(|key| format!("    - name: {}\n      hash: {}\n", key.kept.name, key.kept.hash));
    let config = format!("auth:\n  api_keys:\n{}", entries.collect::<String>());
    let service = Service::start_with(&config, Some(keys[0].key.clone()), &[]).await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities":
        {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let sleep = json!({"name": "utilities_sleep", "arguments": {"duration": "5m"}, "_meta": meta});
    let begun = join_all((0..64).map(|_| service.send("tools/call", sleep.clone()))).await;
    assert!(begun.iter().all(|(_, message)| message["result"]["resultType"] == "task"), "{begun:?}");
    let (status, refused) = service.send("tools/call", sleep.clone()).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!(42900)));
    let told = refused["error"]["message"].as_str().unwrap();
    assert!(told.starts_with("64 of your tasks") && told.contains("`tasks/cancel`"), "{told}");

    let of_bob = service.modern("/mcp", "tools/call", sleep.clone());
    let (http, request) = of_bob.build_split();
    let mut request = request.unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", keys[1].key).parse().unwrap());
    let (_, message) = read(http.execute(request).await.unwrap()).await;
    assert_eq!(message["result"]["resultType"], "task", "{message}");

    let first = &begun[0].1["result"]["taskId"];
    service.send("tasks/cancel", json!({"taskId": first, "_meta": meta})).await;
    eventually("a place is free again", async || {
        let (_, message) = service.send("tools/call", sleep.clone()).await;
        (message["result"]["resultType"] == "task").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_question_of_a_task_that_nobody_answers_fails_it() {
    let fixtures = Fixtures::start(&["--task-seconds", "1"]).await;
    let send = async |method: &str, mut params: Value| {
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities":
            {"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}}});
        let name = params.get("name").or(params.get("taskId")).and_then(Value::as_str).unwrap_or_default().to_owned();
        let request = client()
            .post(format!("http://{}/mcp", fixtures.address))
            .header("Accept", "application/json, text/event-stream")
            .header("MCP-Protocol-Version", MODERN)
            .header("Mcp-Method", method)
            .header("Mcp-Name", name)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": with_meta(params)}));
        read(request.send().await.unwrap()).await.1["result"].clone()
    };
    let task = send("tools/call", json!({"name": "confirm_delete", "arguments": {"filename": "x"}})).await;
    assert_eq!(task["ttlMs"], 1000, "{task}");
    let failed = eventually("the task gives up", async || {
        let task = send("tasks/get", json!({"taskId": task["taskId"]})).await;
        (task["status"] == "failed").then_some(task)
    })
    .await;
    assert_eq!(failed["error"]["message"], "its question was not answered within 1 s; call the tool again");
}

#[tokio::test]
async fn a_confirmation_is_good_for_one_call() {
    let config =
        "allow: destroy\nbackends:\n  alertmanager:\n    instances:\n      main:\n        url: http://127.0.0.1:1\n";
    let service = Service::start(config).await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}});
    let call = json!({
        "name": "alertmanager_expire_silence",
        "arguments": {"id": "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4"},
        "_meta": meta,
    });
    let (_, asked) = service.send("tools/call", call.clone()).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let mut confirmed = call;
    confirmed["requestState"] = asked["result"]["requestState"].clone();
    confirmed["inputResponses"] = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let text = async || {
        let (_, message) = service.send("tools/call", confirmed.clone()).await;
        message["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    assert!(text().await.contains("cannot be reached"));
    assert_eq!(text().await, "this confirmation was used already; call again without it to be asked again");
}
