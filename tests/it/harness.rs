//! Starts the service as its users do, and speaks to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cloud_native_mcp::auth::ApiKey;
use cloud_native_mcp::backends::rest;
use cloud_native_mcp::caller::Effect;
use cloud_native_mcp::secrets::random_token;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The newest revision.
pub const MODERN: &str = "2026-07-28";

/// A folder that goes with its test.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(random_token("cloud-native-mcp-test-"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody uses at the moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Our program.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_cloud-native-mcp")
}

/// A program that is ended with its test, by its id.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Starts a program whose output is thrown away.
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display())))
    }
}

/// Waits until an address answers with a success.
pub async fn ready(url: &str) {
    let client = client();
    let answered = async {
        loop {
            if client.get(url).send().await.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("{url} does not answer"));
}

/// Waits until `check` gives something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// An HTTP client.
pub fn client() -> Client {
    rest::client_builder(Duration::from_secs(5)).build().unwrap()
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// None where somebody else started it.
    process: Option<Process>,
    folder: Folder,
    client: Client,
    /// Scheme, host and port.
    pub base: String,
    key: Option<String>,
}

/// What a tool answered.
#[derive(Debug)]
pub struct Answer {
    /// The first text.
    pub text: String,
    /// The structured result.
    pub structured: Value,
    /// Whether it tells of a failure.
    pub failed: bool,
    /// The whole result.
    pub result: Value,
}

impl Service {
    /// Starts the service with this configuration (YAML); it listens on a free port.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, None, &[]).await
    }

    /// Starts the service with authentication; the key may do what `allow` says.
    pub async fn start_with_key(config: &str, allow: Effect) -> Self {
        let new = ApiKey::create("tester".into(), allow, None);
        let keys = format!(
            "auth:\n  api_keys:\n    - name: tester\n      hash: {}\n      allow: {}\n",
            new.kept.hash,
            allow.label()
        );
        Self::start_with(&format!("{config}\n{keys}"), Some(new.key), &[]).await
    }

    /// Starts the service with more arguments on its command line.
    pub async fn start_with(config: &str, key: Option<String>, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let file = folder.write("config.yaml", config);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Ok(Some(line)) = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("the service starts")
        else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            panic!("the service did not start: {log}");
        };
        let (_, endpoint) = line.split_once("serves ").unwrap_or_else(|| panic!("{line}"));
        let base = endpoint.trim_end_matches("/mcp").to_owned();
        // What it goes on to print is read, or it would wait for somebody to take it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { process: Some(Process(child)), folder, client: client(), base, key }
    }

    /// A service that runs already, as whoever has this key sees it. Every request goes over a connection of its own.
    pub fn at(base: &str, key: Option<String>) -> Self {
        let client = rest::client_builder(Duration::from_secs(5)).pool_max_idle_per_host(0).build().unwrap();
        Self { process: None, folder: Folder::new(), client, base: base.to_owned(), key }
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Its API key, where it has authentication.
    pub fn key(&self) -> &str {
        self.key.as_deref().expect("a service with a key")
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.process.as_ref().expect("a process of its own").0.id().expect("it runs").try_into().unwrap()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line about its memory");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Asks it to end, and waits until it did.
    pub async fn terminate(&mut self) -> std::process::ExitStatus {
        let id = nix::unistd::Pid::from_raw(self.id());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        let process = self.process.as_mut().expect("a process of its own");
        tokio::time::timeout(PATIENCE, process.0.wait()).await.expect("it ends").unwrap()
    }

    /// A request to a path, with the key where there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// A POST of a message as 2026-07-28 asks, to be changed before it is sent.
    pub fn modern(&self, path: &str, method: &str, params: Value) -> RequestBuilder {
        let name = ["name", "uri", "taskId"].iter().find_map(|key| params.get(*key)?.as_str().map(str::to_owned));
        let request = self
            .request(Method::POST, path)
            .header("Accept", "application/json, text/event-stream")
            .header("MCP-Protocol-Version", MODERN)
            .header("Mcp-Method", method)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": with_meta(params)}));
        match name {
            Some(name) => request.header("Mcp-Name", name),
            None => request,
        }
    }

    /// Sends a message as 2026-07-28 asks; status and the response message.
    pub async fn send(&self, method: &str, params: Value) -> (StatusCode, Value) {
        read(self.modern("/mcp", method, params).send().await.unwrap()).await
    }

    /// Calls a tool and expects a result, be it that of a failure.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let (status, message) = self.send("tools/call", json!({"name": tool, "arguments": arguments})).await;
        let result = message.get("result").unwrap_or_else(|| panic!("{tool}: {status} {message}")).clone();
        Answer {
            text: result["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
            structured: result["structuredContent"].clone(),
            failed: result["isError"] == true,
            result,
        }
    }

    /// Calls a tool and expects that it succeeds.
    pub async fn succeed(&self, tool: &str, arguments: Value) -> Answer {
        let answer = self.call(tool, arguments).await;
        assert!(!answer.failed, "{tool} failed: {}", answer.text);
        answer
    }

    /// Calls a tool and expects that it fails; what it says.
    pub async fn fail(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        assert!(answer.failed, "{tool} succeeded: {}", answer.text);
        answer.text
    }

    /// Waits until the metrics have this line.
    pub async fn counted(&self, line: &str) {
        eventually(line, async || {
            let text = self.request(Method::GET, "/metrics").send().await.ok()?.text().await.ok()?;
            text.lines().any(|counted| counted == line).then_some(())
        })
        .await;
    }

    /// Begins a session of an older revision.
    pub async fn session(&self, version: &str) -> Session<'_> {
        self.session_at("/mcp", version, json!({})).await
    }

    /// Begins a session at a path, as a client with these capabilities.
    pub async fn session_at(&self, path: &str, version: &str, capabilities: Value) -> Session<'_> {
        let params = json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        });
        let request = self
            .request(Method::POST, path)
            .header("Accept", "application/json, text/event-stream")
            .json(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}));
        let response = request.send().await.unwrap();
        let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let (status, initialized) = read(response).await;
        assert_eq!(status, StatusCode::OK);
        let session = Session { service: self, path: path.to_owned(), id, initialized: initialized["result"].clone() };
        let sent = session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(sent.status(), StatusCode::ACCEPTED);
        session
    }
}

/// Parameters with the `_meta` that 2026-07-28 asks for; what is there already stays.
pub fn with_meta(mut params: Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(given) = params.get("_meta").and_then(Value::as_object) {
        meta.as_object_mut().unwrap().extend(given.clone());
    }
    params["_meta"] = meta;
    params
}

/// Status and the response message, from a JSON body or from the end of a stream.
pub async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let last = text.lines().filter_map(|line| line.strip_prefix("data:")).next_back().unwrap_or(&text).trim();
    (status, serde_json::from_str(last).unwrap_or(Value::Null))
}

/// A session of an older revision.
#[derive(Debug)]
pub struct Session<'a> {
    /// Where it is.
    pub service: &'a Service,
    path: String,
    /// Its id.
    pub id: String,
    /// The result of `initialize`.
    pub initialized: Value,
}

impl<'a> Session<'a> {
    /// The session of this id, wherever it began.
    pub fn of(service: &'a Service, id: &str) -> Self {
        Self { service, path: "/mcp".into(), id: id.to_owned(), initialized: Value::Null }
    }

    /// The same session, asked of another service.
    pub fn at<'b>(&self, service: &'b Service) -> Session<'b> {
        Session { service, path: self.path.clone(), id: self.id.clone(), initialized: self.initialized.clone() }
    }

    /// A request within the session.
    pub fn request(&self, method: Method) -> RequestBuilder {
        self.service
            .request(method, &self.path)
            .header("Accept", "application/json, text/event-stream")
            .header("Mcp-Session-Id", &self.id)
    }

    /// Posts a body.
    pub async fn post(&self, body: &Value) -> Response {
        self.request(Method::POST).json(body).send().await.unwrap()
    }

    /// Sends a request and returns the whole response message.
    pub async fn send(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        read(self.post(&body).await).await.1
    }

    /// Opens the stream of the session.
    pub async fn listen(&self, last_event_id: Option<&str>) -> Events {
        let mut request = self.request(Method::GET);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Events::new(response)
    }
}

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub event: String,
    /// Its id.
    pub id: Option<String>,
    /// How long to wait before coming back, in milliseconds.
    pub retry: Option<u64>,
    /// Its data.
    pub data: String,
}

impl Event {
    /// The message in it.
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// The events of a response, one by one.
#[derive(Debug)]
pub struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The events of this response.
    pub fn new(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; none when the stream ended.
    pub async fn next(&mut self) -> Option<Event> {
        let read = async {
            loop {
                if let Some(end) = self.text.find("\n\n") {
                    let block: String = self.text.drain(..end + 2).collect();
                    let mut event = Event::default();
                    let mut any = false;
                    for line in block.lines() {
                        let Some((field, value)) = line.split_once(": ") else { continue };
                        any |= field == "data";
                        match field {
                            "event" => value.clone_into(&mut event.event),
                            "id" => event.id = Some(value.to_owned()),
                            "retry" => event.retry = value.parse().ok(),
                            "data" => value.clone_into(&mut event.data),
                            _ => {}
                        }
                    }
                    if any {
                        return Some(event);
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.ok()??;
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an event in time")
    }

    /// The next event with a message in it.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.next().await.expect("another event");
            if !event.data.is_empty() {
                return event.message();
            }
        }
    }
}
