//! Callers at once, for a while: how many answers, how fast, and what the server took for them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use super::calls::{self, Call, Endpoint, Era, Request};
use super::connection::Connection;
use super::process::Figures;

/// One row of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) server: &'static str,
    pub(crate) call: String,
    pub(crate) era: Era,
    pub(crate) callers: usize,
    /// What was measured, or why nothing could be.
    pub(crate) load: Result<Load, String>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) errors: usize,
    /// What the first error said.
    pub(crate) first_error: Option<String>,
    /// Processor time of the server, per request.
    pub(crate) server_cpu_us: Option<f64>,
    /// Processor time of this program, per request.
    pub(crate) own_cpu_us: Option<f64>,
    pub(crate) memory_before: Option<u64>,
    pub(crate) memory_after: Option<u64>,
}

/// What one caller saw.
#[derive(Debug, Default)]
struct Seen {
    /// Nanoseconds of each answer.
    times: Vec<u32>,
    errors: usize,
    first_error: Option<String>,
}

/// When requests begin to count, and when they no longer do.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    until: Instant,
}

/// Measures `callers` callers that send one request after the other, each over its own connection.
///
/// # Errors
/// What the server says where a first request is not answered with a result.
pub(crate) async fn load(
    endpoint: &Endpoint,
    call: &Call,
    era: Era,
    callers: usize,
    length: Duration,
    figures: Option<&Figures>,
) -> Result<Load, String> {
    let mut ready = Vec::new();
    for _ in 0..callers {
        ready.push(Caller::ready(endpoint, call, era).await?);
    }
    let from = Instant::now() + length / 10;
    let window = Window { from, until: from + length };
    let running = join_all(ready.into_iter().map(|caller| tokio::spawn(caller.run(endpoint.clone(), window))));
    let took = async {
        let look = || (figures.and_then(Figures::cpu), Figures::own().cpu(), figures.and_then(Figures::memory));
        tokio::time::sleep_until(window.from.into()).await;
        let before = look();
        tokio::time::sleep_until(window.until.into()).await;
        (before, look())
    };
    let (seen, (before, after)) = tokio::join!(running, took);
    let mut all = Seen::default();
    for seen in seen {
        let seen = seen.map_err(|error| error.to_string())?;
        all.times.extend(seen.times);
        all.errors += seen.errors;
        all.first_error = all.first_error.or(seen.first_error);
    }
    all.times.sort_unstable();
    let count = all.times.len() + all.errors;
    let per_request = |before: Option<Duration>, after: Option<Duration>| {
        Some(after?.checked_sub(before?)?.as_secs_f64() * 1e6 / f64::from(u32::try_from(count.max(1)).ok()?))
    };
    Ok(Load {
        requests_per_second: f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / length.as_secs_f64(),
        p50_ms: quantile(&all.times, 50),
        p99_ms: quantile(&all.times, 99),
        errors: all.errors,
        first_error: all.first_error,
        server_cpu_us: per_request(before.0, after.0),
        own_cpu_us: per_request(before.1, after.1),
        memory_before: before.2,
        memory_after: after.2,
    })
}

/// Milliseconds that `percent` of the sorted times stay below.
fn quantile(times: &[u32], percent: usize) -> f64 {
    times
        .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
        .map_or(0.0, |time| f64::from(*time) / 1e6)
}

/// Somebody who sends one request after the other.
struct Caller {
    connection: Connection,
    request: Request,
    /// What ends its session.
    goodbye: Option<Vec<u8>>,
}

impl Caller {
    /// A caller whose first request was answered.
    async fn ready(endpoint: &Endpoint, call: &Call, era: Era) -> Result<Self, String> {
        let mut connection = Connection::open(endpoint).await.map_err(|error| error.to_string())?;
        let session = match era {
            Era::Legacy => calls::begin(&mut connection, endpoint).await?,
            Era::Modern | Era::None => None,
        };
        let mut request = call.request(endpoint, era, session.as_deref());
        let reply = connection.send(request.next()).await.map_err(|error| error.to_string())?;
        calls::check(&reply)?;
        let goodbye = session.map(|session| endpoint.request("DELETE", &[("Mcp-Session-Id", &session)], ""));
        Ok(Self { connection, request, goodbye })
    }

    async fn run(mut self, endpoint: Endpoint, window: Window) -> Seen {
        let mut seen = Seen::default();
        loop {
            let begun = Instant::now();
            if begun >= window.until {
                if let Some(goodbye) = self.goodbye {
                    // A server may refuse it, or be gone.
                    let _ = self.connection.send(&goodbye).await;
                }
                return seen;
            }
            let sent = self.connection.send(self.request.next()).await;
            let answered = sent.map_err(|error| error.to_string()).and_then(|reply| calls::check(&reply));
            let counts = begun >= window.from;
            match answered {
                Ok(()) if counts => seen.times.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX)),
                Ok(()) => {}
                Err(error) => {
                    seen.errors += usize::from(counts);
                    seen.first_error.get_or_insert(error);
                    // Trying at once again would only spin.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if let Ok(connection) = Connection::open(&endpoint).await {
                        self.connection = connection;
                    }
                }
            }
        }
    }
}
