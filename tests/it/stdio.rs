//! One client over standard input and output.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::harness::{PATIENCE, binary, with_meta};

struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start() -> Self {
        let mut command = Command::new(binary());
        command.arg("stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, output }
    }

    async fn write(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    async fn read(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await.expect("a line in time").unwrap();
        serde_json::from_str(&line.expect("a line")).unwrap()
    }

    async fn send(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        self.read().await
    }
}

#[tokio::test]
async fn a_client_of_each_era_is_served_and_the_process_ends_with_its_input() {
    for modern in [true, false] {
        let mut client = Client::start();
        if !modern {
            let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}});
            let answer = client.send(0, "initialize", params).await;
            assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
            client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        }
        let params = json!({"name": "utilities_get_time", "arguments": {"zone": "Asia/Tokyo"}});
        let params = if modern { with_meta(params) } else { params };
        let answer = client.send(1, "tools/call", params).await;
        assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("+09:00"));
        client.input = None;
        let ended = tokio::time::timeout(PATIENCE, client.child.wait()).await.expect("it ends").unwrap();
        assert!(ended.success());
    }
}

#[tokio::test]
async fn a_client_may_ask_in_the_new_way_and_then_begin_in_the_old_one() {
    let mut client = Client::start();
    let refused = client.send(1, "server/discover", json!({})).await;
    assert_eq!(refused["error"]["code"], -32602);
    let early = client.send(2, "tools/list", json!({})).await;
    assert_eq!(early["error"]["code"], -32602);
    let begun = client.send(3, "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}})).await;
    assert_eq!(begun["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn noise_is_answered_with_errors_and_a_running_call_can_be_cancelled() {
    let mut client = Client::start();
    client.write("not json").await;
    assert_eq!(client.read().await["error"]["code"], -32700);
    client.write(&format!("[{}]", "1,".repeat(10))).await;
    assert_eq!(client.read().await["error"]["code"], -32700);
    let params = with_meta(json!({"name": "utilities_sleep", "arguments": {"duration": "5m"},
        "_meta": {"progressToken": 1}}));
    let progress = client.send(4, "tools/call", params).await;
    assert_eq!(progress["method"], "notifications/progress");
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#).await;
    let answer = client.send(5, "tools/list", with_meta(json!({}))).await;
    assert_eq!(answer["id"], 5);
}

fn sleep(id: u32) -> String {
    let params = with_meta(json!({"name": "utilities_sleep", "arguments": {"duration": "5m"}}));
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

#[tokio::test]
async fn a_second_request_with_the_id_of_a_running_one_is_refused_and_the_first_goes_on() {
    let mut client = Client::start();
    client.write(&sleep(4)).await;
    let refused = client.send(4, "tools/list", with_meta(json!({}))).await;
    assert_eq!(refused["error"]["code"], -32600);
    assert!(refused["error"]["message"].as_str().unwrap().contains("give each its own"), "{refused}");
    client.write(&sleep(4)).await;
    assert_eq!(client.read().await["error"]["code"], -32600, "the first is still there");
}

#[tokio::test]
async fn too_many_calls_at_once_are_refused() {
    let mut client = Client::start();
    for id in 0..129 {
        client.write(&sleep(id)).await;
    }
    let refused = client.read().await;
    assert_eq!(refused["id"], 128);
    assert!(refused["error"]["message"].as_str().unwrap().contains("too many calls"), "{refused}");
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#).await;
    crate::harness::eventually("there is a place again", async || {
        client.send(200, "tools/list", with_meta(json!({}))).await.get("result").map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_listening_client_is_told_when_the_server_ends() {
    let mut client = Client::start();
    let params = with_meta(json!({"notifications": {}}));
    let acknowledged = client.send(7, "subscriptions/listen", params).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let id = nix::unistd::Pid::from_raw(client.child.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    let end = client.read().await;
    assert_eq!(end["id"], 7);
    assert_eq!(end["result"]["resultType"], "complete");
    assert_eq!(end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
    let ended = tokio::time::timeout(PATIENCE, client.child.wait()).await.expect("it ends").unwrap();
    assert!(ended.success());
}
