//! Backends that are down, slow, too large or wrong: each is a clear answer in time, and no credentials are in it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};

use crate::harness::{Service, eventually, free_port};

/// Parts of credentials that are configured for every backend here.
const SECRETS: [&str; 4] = ["hunter2", "ann-the-operator", "YW5uLXRoZS1vcGVyYXRvcjpodW50ZXIy", "token-of-tenant"];

/// A good answer to `6 * 7`.
const GOOD: &str = r#"{"status": "success", "data": {"resultType": "scalar", "result": [1, "42"]}}"#;

/// What a backend does with a request.
enum Act {
    Reply(u16, &'static str),
    /// Asks to come back in a second.
    Later,
    /// Sends the browser to a login page.
    Redirect,
    /// Reads the request and says nothing.
    Silence,
    /// Sends a byte now and then.
    Dribble,
    /// Sends 200 MB.
    Flood,
    /// Ends in the middle.
    Cut,
}

impl Act {
    async fn response(self) -> Response {
        match self {
            Self::Reply(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
            Self::Later => (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "1")]).into_response(),
            Self::Redirect => (StatusCode::FOUND, [("Location", "https://login.example/?next=x")]).into_response(),
            Self::Silence => std::future::pending().await,
            Self::Dribble => Body::from_stream(stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
            }))
            .into_response(),
            Self::Flood => {
                let chunk = Bytes::from(vec![b' '; 1 << 20]);
                let chunks = (0..200).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
                Body::from_stream(stream::iter(chunks)).into_response()
            }
            Self::Cut => {
                let chunks = [Ok(Bytes::from_static(b"{\"status\": ")), Err(std::io::Error::other("cut"))];
                Body::from_stream(stream::iter(chunks)).into_response()
            }
        }
    }
}

/// A backend that follows a script.
struct Fake {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts one; the script is told how many requests came before, and the request as method and path.
    async fn start(script: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (requests.clone(), Arc::new(script));
        let router = axum::Router::new().fallback(move |method: Method, uri: Uri, _body: Bytes| {
            let request = format!("{method} {}", uri.path());
            let mut requests = kept.lock().unwrap();
            let act = script(requests.len(), &request);
            requests.push(request);
            act.response()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A service in front of it as `prometheus/main` and `alertmanager/main`, with these settings besides.
    async fn served(&self, settings: Value) -> Service {
        served(&[("main", &self.url)], settings).await
    }
}

async fn served(instances: &[(&str, &str)], settings: Value) -> Service {
    let instances: Value = instances
        .iter()
        .map(|(name, url)| {
            let mut instance = json!({
                "url": url,
                "username": "ann-the-operator",
                "password": "hunter2",
                "headers": {"X-Scope-OrgID": "token-of-tenant"},
            });
            instance.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            ((*name).to_owned(), instance)
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    let backends = json!({"prometheus": {"instances": instances}, "alertmanager": {"instances": instances}});
    Service::start(&json!({"allow": "write", "log": {"level": "debug"}, "backends": backends}).to_string()).await
}

/// Nothing that was configured as secret is in the text or in the log.
fn tells_no_secrets(service: &Service, text: &str) {
    let log = service.log();
    for secret in SECRETS {
        assert!(!text.contains(secret) && !log.contains(secret), "{secret} is in the answer or the log: {text}\n{log}");
    }
}

/// Asks for `6 * 7`, expects a failure that names the backend within some seconds, and returns what it says.
async fn failure(service: &Service, within: u64) -> String {
    let started = Instant::now();
    let message = service.fail("prometheus_query", json!({"query": "6 * 7"})).await;
    assert!(started.elapsed() < Duration::from_secs(within), "after {:?}: {message}", started.elapsed());
    assert!(message.contains("prometheus/main"), "{message}");
    tells_no_secrets(service, &message);
    message
}

/// Asks for `6 * 7` and expects the answer.
async fn success(service: &Service) {
    let answer = service.succeed("prometheus_query", json!({"query": "6 * 7"})).await;
    assert_eq!(answer.text, "value: 42");
}

#[tokio::test]
async fn a_backend_that_is_down_is_named_with_its_address() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let service = served(&[("main", &url)], json!({})).await;
    let message = failure(&service, 5).await;
    assert!(message.contains(&url) && message.contains("refused"), "{message}");
}

#[tokio::test]
async fn a_backend_that_never_answers_is_given_up_at_its_deadline() {
    for act in [|_: usize, _: &str| Act::Silence, |_, _: &str| Act::Dribble] {
        let fake = Fake::start(act).await;
        let service = fake.served(json!({"timeout_seconds": 1})).await;
        let message = failure(&service, 4).await;
        assert!(message.contains("did not answer within 1 s"), "{message}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_early_and_takes_no_memory() {
    let fake = Fake::start(|_, _| Act::Flood).await;
    let service = fake.served(json!({})).await;
    let message = failure(&service, 10).await;
    assert!(message.contains("more than 32 MiB") && message.contains("`most_bytes`"), "{message}");
    assert_eq!(fake.requests().len(), 1, "asking again would give as much again");
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<u64>().unwrap() < 150_000, "{peak} kB at most");
}

#[tokio::test]
async fn what_a_backend_answers_wrongly_is_explained() {
    for (act, expected) in [
        ((|_: usize, _: &str| Act::Reply(500, "")) as fn(usize, &str) -> Act, "it gave no reason"),
        (|_, _| Act::Redirect, "it redirects elsewhere; configure the address it points to"),
        (|_, _| Act::Reply(200, "{\"status\": "), "the body is not what its API promises"),
        (|_, _| Act::Reply(200, "<html>sign in</html>"), "a web page where its API has JSON"),
        (|_, _| Act::Reply(200, ""), "the body is not what its API promises"),
        (|_, _| Act::Reply(401, "nope"), "the credentials configured for it are missing or wrong"),
        (|_, _| Act::Cut, "cannot be reached"),
        (
            |_, _| Act::Reply(400, "you sent Basic YW5uLXRoZS1vcGVyYXRvcjpodW50ZXIy, hunter2, token-of-tenant"),
            "you sent",
        ),
        (|_, _| Act::Reply(400, "{\"error\": \"no such tenant: token-of-tenant\"}"), "no such tenant: …"),
    ] {
        let fake = Fake::start(act).await;
        let service = fake.served(json!({"retries": 0})).await;
        let message = failure(&service, 5).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_read_is_tried_again_when_the_failure_may_pass() {
    let busy = Fake::start(|before, _| if before == 0 { Act::Later } else { Act::Reply(200, GOOD) }).await;
    let service = busy.served(json!({})).await;
    let started = Instant::now();
    success(&service).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "it asked for a second: {:?}", started.elapsed());
    assert_eq!(busy.requests().len(), 2);

    let starting = Fake::start(|before, _| Act::Reply(if before < 2 { 503 } else { 200 }, GOOD)).await;
    success(&starting.served(json!({})).await).await;
    assert_eq!(starting.requests().len(), 3);

    let broken = Fake::start(|_, _| Act::Reply(503, "")).await;
    failure(&broken.served(json!({})).await, 5).await;
    assert_eq!(broken.requests().len(), 3, "two retries are configured");
}

#[tokio::test]
async fn a_write_is_never_sent_twice() {
    for act in [|| Act::Reply(503, ""), || Act::Later, || Act::Cut, || Act::Silence] {
        let fake =
            Fake::start(move |_, request| if request.starts_with("GET") { Act::Reply(200, "[]") } else { act() });
        let fake = fake.await;
        let service = fake.served(json!({"timeout_seconds": 2})).await;
        let silence = json!({"matchers": ["team=db"], "comment": "x"});
        let message = service.fail("alertmanager_create_silence", silence).await;
        assert!(message.contains("alertmanager/main"), "{message}");
        tells_no_secrets(&service, &message);
        let posts = fake.requests().iter().filter(|request| *request == "POST /api/v2/silences").count();
        assert_eq!(posts, 1, "{message}");
    }
}

#[tokio::test]
async fn a_backend_that_keeps_failing_is_left_alone_for_a_while() {
    let fake = Fake::start(|before, _| if before < 5 { Act::Reply(500, "") } else { Act::Reply(200, GOOD) }).await;
    let service = fake.served(json!({"retries": 0, "breaker_seconds": 1})).await;
    for _ in 0..5 {
        assert!(failure(&service, 5).await.contains("it gave no reason"));
    }
    let message = failure(&service, 5).await;
    assert!(
        message.contains("is not answering (it answered 500") && message.contains("tried again in 1 s"),
        "{message}"
    );
    assert_eq!(fake.requests().len(), 5, "it was left alone");
    eventually("it is tried again", async || {
        let answer = service.call("prometheus_query", json!({"query": "6 * 7"})).await;
        (answer.text == "value: 42").then_some(())
    })
    .await;
    success(&service).await;
}

#[tokio::test]
async fn one_instance_that_is_down_does_not_hide_the_others() {
    let fake = Fake::start(|_, _| Act::Reply(200, GOOD)).await;
    let away = format!("http://127.0.0.1:{}", free_port());
    let service = served(&[("main", &fake.url), ("other", &away)], json!({"retries": 0})).await;
    let answer = service.succeed("prometheus_query", json!({"query": "6 * 7", "instance": "*"})).await;
    assert!(answer.text.contains("42"), "{}", answer.text);
    assert!(answer.text.contains("other failed: prometheus/other cannot be reached"), "{}", answer.text);
    tells_no_secrets(&service, &answer.result.to_string());
}

#[tokio::test]
async fn what_is_read_by_a_uri_or_completed_is_counted_logged_and_ended_like_a_call() {
    let silent = Fake::start(|_, _| Act::Silence).await;
    let config = format!(
        "calls:\n  timeout_seconds: 1\nbackends:\n  prometheus:\n    instances:\n      main:\n        url: {}\n",
        silent.url
    );
    let service = Service::start(&config).await;
    let (_, message) = service.send("resources/read", json!({"uri": "prometheus://main/labels"})).await;
    let told = message["error"]["message"].as_str().unwrap();
    assert!(told.contains("within 1 s"), "{told}");
    service.counted("mcp_tool_calls_total{outcome=\"timed_out\",tool=\"prometheus_get_labels\"} 1").await;
    let complete = json!({
        "ref": {"type": "ref/prompt", "name": "metrics_question"},
        "argument": {"name": "question", "value": "how many http_req"},
    });
    service.send("completion/complete", complete).await;
    service.counted("mcp_tool_calls_total{outcome=\"timed_out\",tool=\"prometheus_search_metrics\"} 1").await;
    assert!(
        service.log().contains("tool.name=\"prometheus_get_labels\" tool.outcome=\"timed_out\""),
        "{}",
        service.log()
    );
}
