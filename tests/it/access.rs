//! Who may call, and what.

use cloud_native_mcp::caller::Effect;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Folder, Service, read};

#[tokio::test]
async fn a_key_counts_in_headers_only() {
    let service = Service::start_with_key("", Effect::Read).await;
    let key = service.key().to_owned();
    let bare = |path: &str| {
        let url = format!("{}{path}", service.base);
        crate::harness::client().post(url).json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
    };
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    // Recognised callers get as far as the missing session.
    assert_eq!(status(bare("/mcp").bearer_auth(&key)).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(bare("/mcp").header("X-API-Key", &key)).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(bare(&format!("/mcp?api_key={key}"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(bare("/mcp").bearer_auth("cnm_wrong")).await, StatusCode::UNAUTHORIZED);
    let refused = bare("/mcp").send().await.unwrap();
    assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"cloud-native-mcp\"");
    for path in ["/sse", "/metrics", "/mcp"] {
        let url = format!("{}{path}", service.base);
        assert_eq!(status(crate::harness::client().get(url)).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        let url = format!("{}{path}", service.base);
        assert_eq!(status(crate::harness::client().get(url)).await, StatusCode::OK, "{path}");
    }
    assert!(!service.log().contains(&key));
}

#[tokio::test]
async fn pages_of_other_origins_and_foreign_host_names_are_kept_out() {
    let service = Service::start("server:\n  origins: [\"https://chat.example\"]\n").await;
    let get = |name: &'static str, value: &'static str| service.request(Method::GET, "/mcp").header(name, value);
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(get("Origin", "http://evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(get("Host", "evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(get("Origin", "null")).await, StatusCode::FORBIDDEN);
    let allowed = get("Origin", "https://chat.example").send().await.unwrap();
    assert_eq!(allowed.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://chat.example");
    let preflight = service.request(Method::OPTIONS, "/mcp").header("Origin", "https://chat.example");
    let preflight = preflight.header("Access-Control-Request-Method", "POST").send().await.unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert!(preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("Mcp-Session-Id"));
    assert_eq!(preflight.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_session_belongs_to_the_caller_who_began_it() {
    let (ann, bob) = ("ann", "bob");
    let keys: Vec<_> = [ann, bob]
        .iter()
        .map(|name| cloud_native_mcp::auth::ApiKey::create((*name).into(), Effect::Read, None))
        .collect();
    let mut config = "auth:\n  api_keys:\n".to_owned();
    for key in &keys {
        config.push_str(&format!("    - name: {}\n      hash: {}\n", key.kept.name, key.kept.hash));
    }
    let service = Service::start_with(&config, Some(keys[0].key.clone()), &[]).await;
    let session = service.session("2025-11-25").await;
    let ping = |key: &str| {
        crate::harness::client()
            .post(format!("{}/mcp", service.base))
            .bearer_auth(key)
            .header("Mcp-Session-Id", &session.id)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
    };
    assert_eq!(ping(&keys[0].key).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(ping(&keys[1].key).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

/// A cluster that cannot be reached, for lists of what there would be.
const CLUSTER: &str = "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}], \
     clusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}], contexts: [{name: c, context: {cluster: c, user: u}}]}";

#[tokio::test]
async fn tools_and_prompts_are_offered_to_those_who_may_do_what_they_do() {
    let folder = Folder::new();
    let file = folder.write("kubeconfig", CLUSTER);
    let config = format!("backends: {{kubernetes: {{clusters: {{one: {{kubeconfig: \"{}\"}}}}}}}}\n", file.display());
    for (allow, expected) in [
        (Effect::Read, [true, false, false, true, false]),
        (Effect::Write, [true, true, false, true, true]),
        (Effect::Destroy, [true, true, true, true, true]),
    ] {
        let service = Service::start_with_key(&config, allow).await;
        let names = async |method: &str, what: &str, readonly: bool| {
            let mut request = service.modern("/mcp?toolsets=all", method, json!({}));
            if readonly {
                request = request.header("X-MCP-Readonly", "true");
            }
            let (_, message) = read(request.send().await.unwrap()).await;
            let all = message["result"][what].as_array().unwrap_or_else(|| panic!("{message}"));
            all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for readonly in [false, true] {
            let tools = names("tools/list", "tools", readonly).await;
            let prompts = names("prompts/list", "prompts", readonly).await;
            let offered = [
                tools.iter().any(|name| name == "kubernetes_get_resource"),
                tools.iter().any(|name| name == "kubernetes_apply"),
                tools.iter().any(|name| name == "kubernetes_delete_resource"),
                prompts.iter().any(|name| name == "workload_diagnosis"),
                prompts.iter().any(|name| name == "safe_change"),
            ];
            let expected = if readonly { [true, false, false, true, false] } else { expected };
            assert_eq!(offered, expected, "{allow:?}, readonly: {readonly}: {tools:?} {prompts:?}");
        }
        let get = json!({"name": "safe_change", "arguments": {"goal": "two more", "target": "deployment/web"}});
        let (_, message) = service.send("prompts/get", get).await;
        if allow == Effect::Read {
            assert!(message["error"]["message"].as_str().unwrap().contains("there is no prompt"), "{message}");
        } else {
            let text = message["result"]["messages"][0]["content"]["text"].as_str().unwrap();
            assert!(text.starts_with("Change deployment/web, so that: two more"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_a_prompt_needs_is_said_by_name() {
    let folder = Folder::new();
    let file = folder.write("kubeconfig", CLUSTER);
    let config = format!("backends: {{kubernetes: {{clusters: {{one: {{kubeconfig: \"{}\"}}}}}}}}\n", file.display());
    let service = Service::start(&config).await;
    for (arguments, expected) in [
        (json!({"kind": "deploy", "name": "web"}), "namespace"),
        (json!({"kind": "deploy", "name": "web", "namespace": "shop", "colour": "red"}), "colour"),
    ] {
        let (_, message) =
            service.send("prompts/get", json!({"name": "workload_diagnosis", "arguments": arguments})).await;
        let told = message["error"]["message"].as_str().unwrap_or_else(|| panic!("{message}"));
        assert_eq!(message["error"]["code"], -32602);
        assert!(told.contains(expected), "{told}");
    }
}
