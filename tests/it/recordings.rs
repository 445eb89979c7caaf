//! Every tool against recorded exchanges: arguments in, the expected requests, canned replies, the answer as written.
//!
//! A recording with `now` was made at that moment: all times in it are moved to today when it is played, and what the
//! tool makes of them is moved back. Only there may times and lengths of time differ, by [`SLACK`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use cloud_native_mcp::tools;
use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::harness::Service;

/// How far times may lie apart: a recording is played a moment after it was moved to today.
const SLACK: SignedDuration = SignedDuration::from_secs(20);

/// How far from `now` a time lies that moves with it.
const NEAR: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Moments as RFC 3339, and as Unix seconds or milliseconds.
static MOMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?<part>\.\d+)?Z|\b(?<unix>1[5-9]\d{8})(?<milli>\d{3})?(?<rest>\.\d+)?\b",
    )
    .unwrap()
});

/// What may differ in an answer: moments, lengths of time, random ids of plans and kept answers, and fingerprints.
static FLEETING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"(?<moment>{})|(?:plan-|hidden-|results://)[\w-]+|\b(?<length>(?:\d+[dhms])+)\b",
        MOMENT.as_str()
    ))
    .unwrap()
});

/// A file of `tests/recordings`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    tool: String,
    args: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Timestamp>,
    exchanges: Vec<Exchange>,
    #[serde(default, skip_serializing_if = "is_false")]
    failed: bool,
    #[serde(default)]
    answer: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// It may also be missing: another failed before it was sent.
    #[serde(default, skip_serializing_if = "is_false")]
    optional: bool,
    request: Request,
    response: Reply,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    query: Map<String, Value>,
    /// JSON, or the fields of a form.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    body: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    status: u16,
    /// JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    body: Value,
    /// What is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A recording, its name as `backend/tool.case`, and its file.
fn recordings() -> Vec<(String, PathBuf, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries(&folder)
        .filter(|path| path.is_dir())
        .flat_map(|backend| entries(&backend).collect::<Vec<_>>())
        .map(|path| {
            let name = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            let recording = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, path, recording)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The recording that is being played, as far as it went.
#[derive(Debug, Default)]
struct Play {
    left: Vec<Exchange>,
    unexpected: Vec<String>,
}

/// Answers the requests of the recording that is being played, each once, and no others.
async fn answer(
    State(play): State<Arc<Mutex<Play>>>,
    method: Method,
    uri: Uri,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let request = Request {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: fields(uri.query().unwrap_or_default().as_bytes()),
        body: if is_form { fields(&body).into() } else { serde_json::from_slice(&body).unwrap_or_default() },
    };
    let mut play = play.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(place) = play.left.iter().position(|exchange| is_same(&exchange.request, &request)) else {
        play.unexpected.push(serde_json::to_string(&request).unwrap());
        return (StatusCode::NOT_IMPLEMENTED, "not recorded").into_response();
    };
    let Reply { status, body, text } = play.left.remove(place).response;
    let status = StatusCode::from_u16(status).unwrap();
    match text {
        Some(text) => (status, text).into_response(),
        None if body.is_null() => status.into_response(),
        None => (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response(),
    }
}

/// The fields of a query or form; several of one name as a list.
fn fields(text: &[u8]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        match fields.get_mut(&*name) {
            None => _ = fields.insert(name.into_owned(), value.into()),
            Some(Value::Array(list)) => list.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    fields
}

fn is_same(expected: &Request, actual: &Request) -> bool {
    expected.method == actual.method
        && expected.path == actual.path
        && is_alike(&expected.query.clone().into(), &actual.query.clone().into())
        && is_alike(&expected.body, &actual.body)
}

/// Equal but for the order of keys and moments that are close.
fn is_alike(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| is_alike(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_alike(a, b)),
        (Value::String(a), Value::String(b)) => is_same_text(&MOMENT, a, b),
        (a, b) => a == b,
    }
}

/// Equal but for what the pattern finds, which may differ a little, and the spaces that fill up columns.
fn is_same_text(fleeting: &Regex, expected: &str, actual: &str) -> bool {
    let rest = |text: &str| {
        let fixed = fleeting.replace_all(text, "…").into_owned();
        fixed.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
    };
    let found = |text: &str| fleeting.find_iter(text).map(|found| found.as_str().to_owned()).collect::<Vec<_>>();
    expected == actual
        || rest(expected) == rest(actual) && found(expected).iter().zip(found(actual)).all(|(a, b)| is_close(a, &b))
}

fn is_close(a: &str, b: &str) -> bool {
    let length = |text: &str| text.parse::<SignedDuration>().ok();
    if a == b || ["plan-", "results://"].iter().any(|kind| a.starts_with(kind) && b.starts_with(kind)) {
        return true;
    }
    match (moment(a).zip(moment(b)), length(a).zip(length(b))) {
        (Some((a, b)), _) => a.duration_since(b).abs() <= SLACK,
        (None, Some((a, b))) => (a - b).abs() <= SLACK,
        (None, None) => false,
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let found = MOMENT.captures(text)?;
    match (found.name("unix"), found.name("rest")) {
        (Some(seconds), _) => Timestamp::from_second(seconds.as_str().parse().ok()?).ok(),
        (None, _) => text.parse().ok(),
    }
}

/// A text with all moments near `now` moved.
fn moved(text: &str, now: Timestamp, by: SignedDuration) -> String {
    let move_one = |found: &Captures<'_>| {
        let whole = &found[0];
        let Some(at) = moment(whole).filter(|at| at.duration_since(now).abs() < NEAR) else { return whole.to_owned() };
        let at = at + by;
        let part = |name| found.name(name).map_or("", |part| part.as_str());
        match found.name("unix") {
            Some(_) => format!("{}{}{}", at.as_second(), part("milli"), part("rest")),
            None => format!("{}{}Z", at.strftime("%Y-%m-%dT%H:%M:%S"), part("part")),
        }
    };
    MOMENT.replace_all(text, move_one).into_owned()
}

/// A service in front of a backend that answers what is recorded.
struct Stand {
    service: Service,
    play: Arc<Mutex<Play>>,
}

impl Stand {
    async fn start() -> Self {
        let play = Arc::new(Mutex::new(Play::default()));
        let router = axum::Router::new().fallback(answer).with_state(play.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        let guarded = tools::topics().iter().flat_map(|topic| topic.tools).map(|tool| tool.name).collect::<Vec<_>>();
        // Retries and the breaker have tests of their own, in `failures`.
        let instance = json!({"instances": {"main": {
            "url": format!("http://{address}"), "retries": 0, "breaker_failures": 1_000_000,
        }}});
        let services: BTreeMap<&str, &Value> = asked().into_iter().map(|(service, _)| (service, &instance)).collect();
        let config = json!({
            "allow": "destroy",
            "signing_key": "the-same-for-all-recordings-0123456789",
            "tools": {"on": guarded},
            "backends": services,
        });
        Self { service: Service::start(&config.to_string()).await, play }
    }

    /// Plays a recording; the answer, or what went wrong.
    async fn play(&self, recording: &Recording) -> Result<String, String> {
        *self.play.lock().unwrap() = Play { left: recording.exchanges.clone(), unexpected: Vec::new() };
        let answer = self.service.call(&recording.tool, recording.args.clone()).await;
        let play = std::mem::take(&mut *self.play.lock().unwrap());
        let mut wrong: Vec<_> = play.unexpected.iter().map(|request| format!("unexpected request {request}")).collect();
        for exchange in play.left.iter().filter(|exchange| !exchange.optional) {
            wrong.push(format!("not requested: {}", serde_json::to_string(&exchange.request).unwrap()));
        }
        if answer.failed != recording.failed {
            wrong.push(format!("it {}: {}", if answer.failed { "failed" } else { "did not fail" }, answer.text));
        }
        if wrong.is_empty() { Ok(answer.text) } else { Err(wrong.join("\n  ")) }
    }
}

#[tokio::test]
async fn tools_ask_and_answer_as_recorded() {
    let update = std::env::vars().any(|(name, value)| name == "UPDATE" && value == "1");
    let stand = Stand::start().await;
    let mut wrong = Vec::new();
    for (name, path, recording) in recordings() {
        let now = recording.now.unwrap_or_default();
        let today = if recording.now.is_some() { Timestamp::now() } else { now };
        let by = SignedDuration::from_secs(today.as_second() - now.as_second());
        let text = serde_json::to_string(&recording).unwrap();
        let played = serde_json::from_str(&moved(&text, now, by)).unwrap();
        match stand.play(&played).await {
            Err(message) => wrong.push(format!("{name}:\n  {message}")),
            Ok(answer) => {
                let answer = moved(&answer, today, -by);
                let as_written = match recording.now {
                    Some(_) => is_same_text(&FLEETING, &recording.answer, &answer),
                    None => recording.answer == answer,
                };
                if as_written {
                    continue;
                }
                if update {
                    let fresh = serde_json::to_value(Recording { answer, ..recording }).unwrap();
                    std::fs::write(path, readable(&fresh, 0, 0, true) + "\n").unwrap();
                } else {
                    wrong.push(format!("{name} answers\n{answer}\n--- instead of\n{}\n---", recording.answer));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// JSON with a line for what fits on one, as far as it is below the first level.
fn readable(value: &Value, indent: usize, before: usize, broken: bool) -> String {
    let flat = flat(value);
    let is_empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if is_empty || !broken && indent + before + flat.chars().count() <= 118 {
        return flat;
    }
    let inner = indent + 2;
    let (parts, open, close): (Vec<_>, _, _) = match value {
        Value::Object(map) => {
            let parts = map.iter().map(|(key, value)| {
                let key = format!("{}: ", Value::from(key.as_str()));
                let text = readable(value, inner, key.chars().count() + 1, broken && key == "\"exchanges\": ");
                format!("{key}{text}")
            });
            (parts.collect(), '{', '}')
        }
        Value::Array(list) => (list.iter().map(|item| readable(item, inner, 1, false)).collect(), '[', ']'),
        _ => return flat,
    };
    let pad = format!(",\n{:inner$}", "");
    format!("{open}\n{:inner$}{}\n{:indent$}{close}", "", parts.join(&pad), "")
}

fn flat(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<_> =
                map.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), flat(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(flat).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The tools that ask a backend by plain JSON over HTTP, each with its service. Those of Kubernetes are tested against a
/// real API server, each with a case for every way to fail.
fn asked() -> Vec<(&'static str, &'static str)> {
    let topics = tools::topics();
    let all = topics.iter().flat_map(|topic| topic.tools.iter().map(|tool| (topic.service(), tool)));
    let with_instances = all.filter(|(service, tool)| tool.service == Some(*service) && *service != "kubernetes");
    with_instances.map(|(service, tool)| (service, tool.name)).collect()
}

#[test]
fn every_tool_that_asks_a_backend_is_recorded_in_its_folder() {
    let places: Vec<(String, String)> = recordings()
        .into_iter()
        .map(|(name, _, recording)| {
            let (folder, file) = name.split_once('/').unwrap();
            assert!(file.split('.').next() == Some(&recording.tool), "{name} is a recording of {}", recording.tool);
            (folder.to_owned(), recording.tool)
        })
        .collect();
    let asked: Vec<_> = asked().into_iter().map(|(service, tool)| (service.to_owned(), tool.to_owned())).collect();
    let missing: Vec<_> = asked.iter().filter(|place| !places.contains(place)).collect();
    let unknown: Vec<_> = places.iter().filter(|place| !asked.contains(place)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not recorded: {missing:?}; of no tool: {unknown:?}");
}

#[test]
fn only_times_may_differ_where_a_recording_moves_with_the_clock() {
    for (a, b, same) in [
        ("ends in 3h59m, id 4d", "ends in 3h59m, id 4d", true),
        ("up 14s    x", "up 9s  x", true),
        ("up 14s", "up 1h", false),
        ("at 2026-11-22T16:27:54Z", "at 2026-11-22T16:27:59.5Z", true),
        ("at 2026-11-22T16:27:54Z", "at 2026-11-22T16:29:54Z", false),
        ("plan \"plan-a\"", "plan \"plan-b_c-d\"", true),
        ("2 alerts", "3 alerts", false),
        ("14s", "14s 3s", false),
    ] {
        assert_eq!(is_same_text(&FLEETING, a, b), same, "{a} / {b}");
    }
    let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
    let text = r#"[1795363200.5, "1795363200500", "2026-11-22T15:00:00.123Z", "2020-01-01T00:00:00Z"]"#;
    let hour = SignedDuration::from_hours(1);
    assert_eq!(
        moved(text, now, hour),
        r#"[1795366800.5, "1795366800500", "2026-11-22T16:00:00.123Z", "2020-01-01T00:00:00Z"]"#
    );
    assert_eq!(moved(&moved(text, now, hour), now, -hour), text);
}
