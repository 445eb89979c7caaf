//! Everything at once for a while: callers of both eras, sessions that come and go, streams that are closed or left.
//! Nothing may fail, and the memory that the server takes must stop growing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::calls::{self, ACCEPT, Call, Endpoint, Era};
use super::connection::Connection;
use super::process::{Figures, Server};
use super::{own_calls, report, streamed};

/// Callers at once.
const CALLERS: u64 = 64;

/// How often the memory of the server is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// From here on it must not grow.
const SETTLED: Duration = Duration::from_secs(10);

/// What it may differ by all the same: pages that the allocator keeps to itself.
const TOLERANCE: u64 = 4_000_000;

/// What all callers saw.
#[derive(Debug, Default)]
struct Seen {
    done: u64,
    errors: Vec<String>,
}

/// Loads the server for `length`.
///
/// # Errors
/// The first failures, memory that grew, or connections and streams that were left open.
pub(crate) async fn run(server: &Server, length: Duration) -> Result<(), String> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let until = Instant::now() + length;
    let callers = join_all((0..CALLERS).map(|number| {
        let caller = Caller { endpoint: server.endpoint.clone(), chance: Chance::new(number), seen: seen.clone() };
        caller.run(until)
    }));
    let figures = server.figures();
    let (_, memory) = tokio::join!(callers, watch(&figures, &seen, length));
    let failed = {
        let seen = seen.borrow();
        seen.errors.first().map(|error| format!("{} of {} failed, first: {error}", seen.errors.len(), seen.done))
    };
    if let Some(failed) = failed {
        return Err(failed);
    }
    let settled = memory.iter().find(|(at, _)| *at >= SETTLED).map_or(0, |(_, bytes)| *bytes);
    let (_, last) = memory.last().copied().unwrap_or_default();
    if last > settled + TOLERANCE {
        let (settled, last) = (report::megabytes(settled), report::megabytes(last));
        return Err(format!("memory grew from {settled} MB to {last} MB after the first {} s", SETTLED.as_secs()));
    }
    closed(&server.endpoint).await
}

/// Prints the memory of the server every few seconds, and returns it.
async fn watch(figures: &Figures, seen: &RefCell<Seen>, length: Duration) -> Vec<(Duration, u64)> {
    let begun = Instant::now();
    let mut memory = Vec::new();
    loop {
        let at = begun.elapsed();
        let bytes = figures.memory().unwrap_or(0);
        memory.push((at, bytes));
        let (done, errors) = (seen.borrow().done, seen.borrow().errors.len());
        report::say(&format!(
            "{:3} s  RSS {} MB  {done} exchanges  {errors} errors",
            at.as_secs(),
            report::megabytes(bytes)
        ));
        if at + LOOK > length {
            return memory;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the server has closed what its callers closed.
async fn closed(endpoint: &Endpoint) -> Result<(), String> {
    let mut connection = Connection::open(endpoint).await.map_err(|error| error.to_string())?;
    let request = endpoint.at("/metrics").request("GET", &[], "");
    let mut open = String::new();
    for _ in 0..100 {
        let reply = connection.send(&request).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(reply.body);
        // The one that asks is a connection too.
        let left = text.lines().filter(|line| {
            let gauge = ["mcp_streams{", "mcp_http_connections "].iter().any(|name| line.starts_with(name));
            gauge && !line.ends_with(" 0") && *line != "mcp_http_connections 1"
        });
        open = left.collect::<Vec<_>>().join(", ");
        if open.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("still open after all callers left: {open}"))
}

/// Somebody who does one thing after the other, whatever comes to mind.
struct Caller {
    endpoint: Endpoint,
    chance: Chance,
    seen: Rc<RefCell<Seen>>,
}

impl Caller {
    async fn run(mut self, until: Instant) {
        while Instant::now() < until {
            let (what, outcome) = match self.chance.below(20) {
                0..8 => ("calls without a session", self.calls().await),
                8 => ("a stream that was left", self.leave_stream().await),
                9 => ("a subscription", self.subscribe().await),
                10..16 => ("a session", self.session().await),
                16 | 17 => ("a stream that was taken up again", self.resume().await),
                18 => ("a batch", self.batch().await),
                _ => ("the two-endpoint transport", self.two_endpoints().await),
            };
            if let Err(error) = outcome {
                self.seen.borrow_mut().errors.push(format!("{what}: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        Connection::open(&self.endpoint).await.map_err(|error| format!("connecting: {error}"))
    }

    /// One exchange that must succeed.
    async fn succeed(&self, connection: &mut Connection, request: &[u8]) -> Result<(), String> {
        self.seen.borrow_mut().done += 1;
        calls::check(&connection.send(request).await.map_err(|error| error.to_string())?)
    }

    /// One exchange that is answered with nothing but a status.
    async fn tell(&self, connection: &mut Connection, request: &[u8]) -> Result<(), String> {
        self.seen.borrow_mut().done += 1;
        let reply = connection.send(request).await.map_err(|error| error.to_string())?;
        match reply.status {
            200..300 => Ok(()),
            status => Err(format!("status {status}: {}", String::from_utf8_lossy(reply.body))),
        }
    }

    /// Opens a stream and waits for its first event, whose text is returned.
    async fn open(&self, connection: &mut Connection, request: &[u8]) -> Result<String, String> {
        self.seen.borrow_mut().done += 1;
        let status = connection.begin(request).await.map_err(|error| error.to_string())?;
        connection.more().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(connection.body()).into_owned();
        if status == 200 { Ok(text) } else { Err(format!("status {status}: {text}")) }
    }

    /// Calls of 2026-07-28 over one connection.
    async fn calls(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        for _ in 0..=self.chance.below(10) {
            let call = self.chance.one_of(&[&own_calls()[..], &[streamed()]].concat());
            self.succeed(&mut connection, call.request(&self.endpoint, Era::Modern, None).next()).await?;
        }
        Ok(())
    }

    /// A client that closes the stream of a long call: the call is cancelled.
    async fn leave_stream(&self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let call = long().request(&self.endpoint, Era::Modern, None).next().to_vec();
        self.open(&mut connection, &call).await.map(|_| ())
    }

    /// `subscriptions/listen`, and gone after the acknowledgement.
    async fn subscribe(&self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let call = Call::method("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
        let request = call.request(&self.endpoint, Era::Modern, None).next().to_vec();
        self.open(&mut connection, &request).await.map(|_| ())
    }

    /// A session of 2025-11-25: calls, perhaps its stream, and a proper end or none.
    async fn session(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let session = self.begin(&mut connection, Era::Legacy.name()).await?;
        let mut stream = None;
        if self.chance.below(2) == 0 {
            let mut beside = self.connect().await?;
            self.open(&mut beside, &self.in_session("GET", &session, "")).await?;
            stream = Some(beside);
        }
        for _ in 0..self.chance.below(6) {
            let call = self.chance.one_of(&[&own_calls()[..], &[streamed()]].concat());
            self.succeed(&mut connection, call.request(&self.endpoint, Era::Legacy, Some(&session)).next()).await?;
        }
        if self.chance.below(2) == 0 {
            drop(stream.take());
        }
        self.leave(&mut connection, &session).await
    }

    /// Most clients end their sessions; some just go.
    async fn leave(&mut self, connection: &mut Connection, session: &str) -> Result<(), String> {
        match self.chance.below(16) {
            0 => Ok(()),
            _ => self.tell(connection, &self.in_session("DELETE", session, "")).await,
        }
    }

    /// A stream that breaks in the middle of a call, and is taken up again for its end.
    async fn resume(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let session = self.begin(&mut connection, Era::Legacy.name()).await?;
        let call = Call::tool("utilities_sleep", json!({"duration": "50ms"})).with_progress();
        let request = call.request(&self.endpoint, Era::Legacy, Some(&session)).next().to_vec();
        let first = self.open(&mut connection, &request).await?;
        // A call that was done before it could report anything needs no stream.
        if first.contains("\"result\":{") {
            let mut connection = self.connect().await?;
            return self.leave(&mut connection, &session).await;
        }
        let id = first.lines().find_map(|line| line.strip_prefix("id: ")).ok_or("the stream began without an id")?;
        let mut connection = self.connect().await?;
        let headers = [ACCEPT, ("Mcp-Session-Id", session.as_str()), ("Last-Event-ID", id)];
        self.succeed(&mut connection, &self.endpoint.request("GET", &headers, "")).await?;
        self.leave(&mut connection, &session).await
    }

    /// Several messages at once, in a session of 2025-03-26.
    async fn batch(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let session = self.begin(&mut connection, "2025-03-26").await?;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "utilities_get_time"}});
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let body = json!([call, {"jsonrpc": "2.0", "method": "notifications/initialized"}, list]).to_string();
        self.succeed(&mut connection, &self.in_session("POST", &session, &body)).await?;
        self.leave(&mut connection, &session).await
    }

    /// The transport of 2024-11-05: the answer comes over the stream that was opened first.
    async fn two_endpoints(&mut self) -> Result<(), String> {
        let mut stream = self.connect().await?;
        let first = self.open(&mut stream, &self.endpoint.at("/sse").request("GET", &[ACCEPT], "")).await?;
        let path = first.lines().find_map(|line| line.strip_prefix("data: ")).ok_or("the stream names no endpoint")?;
        let messages = self.endpoint.at(path);
        let mut connection = self.connect().await?;
        self.tell(&mut connection, &messages.request("POST", &[], &initialize("2024-11-05"))).await?;
        stream.more().await.map_err(|error| error.to_string())?;
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).to_string();
        self.tell(&mut connection, &messages.request("POST", &[], &list)).await?;
        stream.more().await.map_err(|error| error.to_string())?;
        let results = String::from_utf8_lossy(stream.body()).matches("\"result\":{").count();
        if results == 2 { Ok(()) } else { Err(format!("{results} results came over the stream")) }
    }

    async fn begin(&self, connection: &mut Connection, version: &str) -> Result<String, String> {
        self.seen.borrow_mut().done += 1;
        let request = self.endpoint.request("POST", &[ACCEPT], &initialize(version));
        let reply = connection.send(&request).await.map_err(|error| error.to_string())?;
        calls::check(&reply)?;
        reply.header("mcp-session-id").map(str::to_owned).ok_or_else(|| "no session began".into())
    }

    fn in_session(&self, method: &str, session: &str, body: &str) -> Vec<u8> {
        self.endpoint.request(method, &[ACCEPT, ("Mcp-Session-Id", session)], body)
    }
}

/// A call that nobody waits for.
fn long() -> Call {
    Call::tool("utilities_sleep", json!({"duration": "1m"})).with_progress()
}

fn initialize(version: &str) -> String {
    let params: Value = json!({"protocolVersion": version, "capabilities": {}});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string()
}

/// Numbers that look random and are the same in every run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        let place = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[place].clone()
    }
}
