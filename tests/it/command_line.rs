//! Commands, and the configuration they read.

use std::process::{Command, Output};

use crate::harness::{Folder, Service, binary};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn all_mistakes_of_a_configuration_are_reported_before_a_port_is_bound() {
    let folder = Folder::new();
    let file = folder.write(
        "config.yaml",
        "server:\n  listen: 0.0.0.0:8080\ntools:\n  \"on\": [prometeus]\nbackends:\n  prometheus:\n    instances:\n      \
         main:\n        url: ftp://x\n",
    );
    let output = run(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr).replace(file.to_str().unwrap(), "FILE");
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 3, "{errors}");
    assert!(lines[0].starts_with("FILE line 2: server.listen: 0.0.0.0:8080 can be reached from elsewhere"), "{errors}");
    assert!(lines[1].starts_with("FILE line 4: tools.on.0: `prometeus` matches no"), "{errors}");
    assert!(lines[2].starts_with("FILE line 9: backends.prometheus.instances.main.url: `ftp://x"), "{errors}");
}

#[test]
fn mistakes_of_every_kind_are_reported_together_by_line() {
    let folder = Folder::new();
    let file = folder.write(
        "config.yaml",
        "server:\n  listen: 0.0.0.0\n  hosts: [\"https://mcp.example.org\"]\nauth:\n  api_keys:\n    - name: ann\n      hash: \
         cnm_pasted\n      expires: 2027-02-20\nlog:\n  level: verbose\nbackends:\n  prometheus:\n    instances:\n      eu:\n        \
         url: prometheus.example.org:9090\n        most_concurrent: 0\n",
    );
    let output = run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr).replace(file.to_str().unwrap(), "FILE");
    let expected = [
        "FILE line 2: server.listen: `0.0.0.0` is not an address and a port; write it as 127.0.0.1:8080 or [::1]:8080",
        "FILE line 3: server.hosts.0: `https://mcp.example.org` is not a host name; write it without scheme, port and path, \
         as in mcp.example.org",
        "FILE line 7: auth.api_keys.0.hash: is the key itself; put the hash here that `cloud-native-mcp keys create` printed \
         with it",
        "FILE line 8: auth.api_keys.0.expires: \"2027-02-20\" is not a moment; write it as 2027-02-20T00:00:00Z",
        "FILE line 10: log.level: `verbose` is not a level; give error, warn, info, debug or trace, or one per module, as in \
         info,cloud_native_mcp::backends=debug",
        "FILE line 15: backends.prometheus.instances.eu.url: `prometheus.example.org:9090` does not begin with http:// or \
         https:// and a host; write it as https://prometheus.example.org or http://10.1.2.3:9090/prefix",
        "FILE line 16: backends.prometheus.instances.eu.most_concurrent: 0 is too small; give 1 or more",
    ];
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_key_that_was_made_fits_into_the_configuration() {
    let output = run(&["keys", "create", "--name", "ann", "--allow", "write", "--expires", "90d"]);
    assert!(output.status.success());
    let printed = text(&output.stdout);
    let (_, yaml) = printed.split_once("configuration:\n\n").unwrap();
    let folder = Folder::new();
    let file = folder.write("config.yaml", yaml);
    let checked = run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let shown = text(&run(&["config", "print", "--config", file.to_str().unwrap()]).stdout);
    assert!(shown.contains("allow: write") && !shown.contains("cnm_"), "{shown}");
}

#[test]
fn calls_answer_on_standard_output_and_tell_failures_by_their_code() {
    let output = run(&["call", "utilities_get_time", "zone=Asia/Tokyo", "at=0"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("time: 1970-01-01T09:00:00+09:00"));
    let json = run(&["call", "utilities_get_time", "at=0", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["unix_seconds"], 0);
    assert_eq!(run(&["call", "utilities_get_time", "zone=nowhere"]).status.code(), Some(1));
    assert_eq!(run(&["call", "utilities_get_time", "zone"]).status.code(), Some(2));
    assert_eq!(run(&["call", "no_such_tool"]).status.code(), Some(2));
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_running_server_can_be_asked_from_the_command_line() {
    let service = Service::start_with_key("", cloud_native_mcp::caller::Effect::Read).await;
    let url = format!("{}/mcp", service.base);
    let arguments = ["call", "tools_search", "query=wait a while", "--url", &url, "--key", service.key()];
    let output = tokio::process::Command::new(binary()).args(arguments).output().await.unwrap();
    assert!(text(&output.stdout).contains("utilities_sleep"), "{output:?}");
    let arguments = ["call", "tools_search", "query=wait", "--url", &url];
    let refused = tokio::process::Command::new(binary()).args(arguments).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("say who you are"), "{refused:?}");
}

#[test]
fn tools_can_be_looked_up_without_a_server() {
    assert!(text(&run(&["tools"]).stdout).contains("utilities_sleep"));
    let shown = text(&run(&["tools", "show", "utilities_sleep"]).stdout);
    assert!(shown.contains("duration (required): How long"), "{shown}");
    let listed: serde_json::Value = serde_json::from_slice(&run(&["tools", "list", "--json"]).stdout).unwrap();
    assert!(listed.as_array().unwrap().iter().any(|tool| tool["name"] == "tools_call"));
}

#[tokio::test]
async fn tools_can_be_switched_off() {
    let service = Service::start("tools:\n  \"off\": [\"utilities_*\"]\n").await;
    let (_, message) = service.send("tools/call", serde_json::json!({"name": "utilities_get_time"})).await;
    assert_eq!(message["error"]["code"], -32602);
    service.succeed("server_list_backends", serde_json::json!({})).await;
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_lets_running_calls_finish() {
    let mut service = Service::start("").await;
    let params = serde_json::json!({"name": "utilities_sleep", "arguments": {"duration": "1s"},
        "_meta": {"progressToken": 1}});
    let mut events = crate::harness::Events::new(service.modern("/mcp", "tools/call", params).send().await.unwrap());
    events.message().await;
    assert!(service.terminate().await.success());
    let last = loop {
        let message = events.message().await;
        if message.get("method").is_none() {
            break message;
        }
    };
    assert!(last["result"].is_object());
}

#[test]
fn a_shared_store_is_checked_without_being_there() {
    let folder = Folder::new();
    let check = |store: &str, more: &str| {
        let file = folder.write("config.yaml", &format!("store:\n  redis:\n{store}{more}"));
        let output = run(&["config", "check", "--config", file.to_str().unwrap()]);
        let errors = text(&output.stderr).replace(file.to_str().unwrap(), "FILE");
        (output.status.success(), errors.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let key = format!("signing_key: {}\n", "k".repeat(32));
    assert_eq!(check("    url: rediss://[::1]:1\n", &key), (true, vec![]));
    assert_eq!(check("    sentinels: [redis://127.0.0.1]\n", &key), (true, vec![]));
    assert_eq!(check("    cluster: [redis://127.0.0.1, \"redis://[::1]:7000\"]\n", &key), (true, vec![]));
    let (good, errors) = check(
        "    url: redis://ann:hunter2@redis/0\n    sentinels: [localhost:26379, redis://h/1]\n    ca_file: /none\n    \
         username: ann\n    prefix: \"{\"\n    timeout_milliseconds: 1\n",
        "",
    );
    assert!(!good);
    let expected = [
        "FILE line 2: store.redis.password: is missing, and `username` is there",
        "FILE line 3: store.redis.url: has credentials in it; set `username` and `password` instead",
        "FILE line 4: store.redis.sentinels: give one of `url`, `sentinels` and `cluster`",
        "FILE line 4: store.redis.sentinels.0: `localhost:26379` does not begin with redis:// or rediss://; write it as \
         redis://redis.example.org:26379, or rediss:// for TLS",
        "FILE line 4: store.redis.sentinels.1: `redis://h/1` has more than host and port; the database is set in `database`, \
         and write it as redis://redis.example.org:26379, or rediss:// for TLS",
        "FILE line 5: store.redis.ca_file: cannot read /none: No such file or directory (os error 2)",
        "FILE line 7: store.redis.prefix: `{` has a brace, by which Redis shares out keys",
        "FILE line 8: store.redis.timeout_milliseconds: 1 is too small; give 10 or more",
    ];
    let (here, others): (Vec<_>, Vec<_>) = errors.iter().map(String::as_str).partition(|line| expected.contains(line));
    assert_eq!(here, expected, "{errors:?}");
    assert_eq!(others.len(), 1, "{errors:?}");
    assert!(others[0].contains("signing_key: is missing, and `store.redis` is there"), "{errors:?}");
    let (_, errors) = check("    url: redis://ann:hunter2@redis\n", &key);
    assert_eq!(errors, ["FILE line 3: store.redis.url: has credentials in it; set `username` and `password` instead"]);
}
