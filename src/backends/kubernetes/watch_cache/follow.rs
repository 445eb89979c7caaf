//! Lists once and then watches, so that a kept list stays what the API server has
//! (kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::parts::Parts;
use super::kept::Kept;
use super::row::{Object, Row, can_be_kept, include};
use crate::backends::kubernetes::{AS_TABLE, Cluster, Kind, Refused, Request, Status, Table, parsed};
use crate::backends::rest::jittered;
use crate::call::Context;
use crate::caller::{Caller, Effect};
use crate::error::Error;
use crate::secrets::Signer;

/// Rows in one part of the list.
const PART: &str = "500";

/// Bytes of one event.
const LARGEST_EVENT: usize = 16 << 20;

/// How long one request may take until it is answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first pause after a failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Seconds since the API server wrote a list.
const LATE: i64 = 10;

/// Seconds since the API server wrote an event: it writes each only once, for all that it tells it later.
const LATE_EVENT: i64 = 300;

/// A watch that ends sooner did not end by itself.
const SHORTEST: Duration = Duration::from_secs(1);

/// How often it is looked whether the list is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Why a list is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody asks for it any more.
    Idle,
    /// It cannot be kept: too large, not permitted, or of a kind whose rows change by themselves.
    Unfit(&'static str),
}

const TOO_LARGE: Ending = Ending::Unfit("too large");

const NOT_A_TABLE: Ending = Ending::Unfit("not a table");

const NOT_TO_BE_COUNTED: Ending = Ending::Unfit("a cell counts from an unknown moment");

/// What keeps one list.
pub(super) struct Follower {
    pub(super) cluster: Arc<Cluster>,
    pub(super) kind: Arc<Kind>,
    pub(super) kept: Arc<Kept>,
    pub(super) signer: Arc<Signer>,
}

/// How one watch ended.
enum Turned {
    /// As it was to, after its time.
    Over,
    /// It broke or fell silent, goes on from too old a version, or tells what the list does not explain. Whether another
    /// one would tell all that was missed cannot be known, so it begins with the list.
    Again,
    /// For good.
    For(Ending),
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Follower {
    /// Keeps the list until it is not wanted, or cannot be kept.
    pub(super) async fn run(&self) -> Ending {
        let mut failures = 0;
        loop {
            match self.list().await {
                Ok(version) => match self.watch(version, &mut failures).await {
                    Some(ending) => return ending,
                    None => self.kept.lost(),
                },
                Err(Some(ending)) => return ending,
                Err(None) => {}
            }
            if self.is_idle() {
                return Ending::Idle;
            }
            pause(&mut failures).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.kept.idle() > self.cluster.watch_cache().idle()
    }

    fn request(&self) -> Request {
        Request::get(self.kept.path.clone()).accept(AS_TABLE).query("includeObject", include(&self.kind))
    }

    /// Reads the whole list, and says of which version it is; or why not, where that is for good.
    async fn list(&self) -> Result<String, Option<Ending>> {
        let mut columns = Vec::new();
        let mut rows = BTreeMap::new();
        let mut bytes = 0;
        let mut parts = Parts::new(self.cluster.name(), self.cluster.most_bytes());
        let mut next = String::new();
        loop {
            let mut request = self.request().query("limit", PART);
            if !next.is_empty() {
                request = request.query("continue", next);
            }
            let body = self.cluster.send(&request, &context()).await.map_err(|refused| ending(&refused))?;
            let size = body.len();
            let table = parsed::<Table<Object>>(body).await.map_err(|_| None)?.map_err(|_| Some(NOT_A_TABLE))?;
            parts.take(table.rows.len(), size, !table.metadata.next.is_empty()).map_err(|_| Some(TOO_LARGE))?;
            if columns.is_empty() {
                columns = table.column_definitions;
                if !can_be_kept(&self.kind, &columns) {
                    return Err(Some(Ending::Unfit("its cells change by themselves")));
                }
            }
            let now = Timestamp::now();
            for row in table.rows {
                let key = Row::key(&row.object.metadata);
                let row = Row::new(row, &columns, now, LATE, &self.signer).ok_or(Some(NOT_TO_BE_COUNTED))?;
                bytes += row.bytes() + key.len();
                rows.insert(key, row);
            }
            if !self.cluster.watch_cache().has_room(&self.kept, bytes) {
                return Err(Some(TOO_LARGE));
            }
            next = table.metadata.next;
            if next.is_empty() {
                self.kept.replace(columns.into(), rows);
                return Ok(table.metadata.resource_version);
            }
        }
    }

    /// Watches until the list has to be read again, or is no longer to be kept.
    async fn watch(&self, mut version: String, failures: &mut u32) -> Option<Ending> {
        loop {
            let begun = Instant::now();
            let turned = match self.open(&version).await {
                Ok(body) => {
                    self.kept.heard();
                    self.turn(body, &mut version).await
                }
                Err(refused) => ending(&refused).map_or(Turned::Again, Turned::For),
            };
            match turned {
                Turned::Over if begun.elapsed() >= SHORTEST => {
                    self.kept.heard();
                    *failures = 0;
                }
                Turned::Over | Turned::Again => return None,
                Turned::For(ending) => return Some(ending),
            }
            if self.is_idle() {
                return Some(Ending::Idle);
            }
        }
    }

    async fn open(&self, version: &str) -> Result<Body, Refused> {
        // Ended and begun again in time, a watch of which nothing is heard can only be dead.
        let seconds = (self.cluster.watch_cache().most_stale() / 2).as_secs().max(1);
        let request = self
            .request()
            .query("watch", "true")
            .query("allowWatchBookmarks", "true")
            .query("resourceVersion", version)
            .query("timeoutSeconds", seconds.to_string());
        let started = Instant::now();
        let deadline = started + PATIENCE;
        let context = context();
        let opened = tokio::time::timeout_at(deadline.into(), self.cluster.respond(&request, &context, deadline)).await;
        let opened = opened.unwrap_or_else(|_| Err(self.cluster.too_slow(started, deadline)));
        self.cluster.record(&request, started, &opened);
        // Its place among the requests at the same time is given back, as it lasts.
        opened.map(|(response, _)| response.into_body())
    }

    /// Takes over what one watch tells.
    async fn turn(&self, mut body: Body, version: &mut String) -> Turned {
        let most_silent = self.cluster.watch_cache().most_stale();
        let mut look = tokio::time::interval(LOOK);
        let mut text = Vec::new();
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = look.tick() => {
                    if self.is_idle() {
                        return Turned::For(Ending::Idle);
                    }
                    if self.kept.silence() >= most_silent {
                        return Turned::Again;
                    }
                    continue;
                }
            };
            let part = match frame {
                None => return Turned::Over,
                Some(Err(_)) => return Turned::Again,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            text.extend_from_slice(&part);
            let mut done = 0;
            while let Some(length) = text[done..].iter().position(|byte| *byte == b'\n') {
                if let Err(turned) = self.take(&text[done..done + length], version) {
                    return turned;
                }
                done += length + 1;
            }
            text.drain(..done);
            if text.len() > LARGEST_EVENT {
                return Turned::For(TOO_LARGE);
            }
            self.kept.heard();
            if !self.cluster.watch_cache().has_room(&self.kept, self.kept.bytes()) {
                return Turned::For(TOO_LARGE);
            }
        }
    }

    /// Takes over one event.
    fn take(&self, line: &[u8], version: &mut String) -> Result<(), Turned> {
        let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Turned::Again)?;
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).unwrap_or_default();
            tracing::debug!(
                backend.name = self.cluster.name(),
                backend.status = status.code,
                list.path = self.kept.path,
                "a watch ended with an error"
            );
            return Err(Turned::Again);
        }
        let table: Table<Object> = serde_json::from_str(event.object.get()).map_err(|_| Turned::Again)?;
        let columns = self.kept.columns();
        let is_known = table.column_definitions.is_empty() || *table.column_definitions == *columns;
        if event.kind != "BOOKMARK" && !is_known {
            return Err(Turned::Again);
        }
        let mut newest = table.metadata.resource_version;
        for row in table.rows {
            let metadata = &row.object.metadata;
            if newest.is_empty() {
                newest.clone_from(&metadata.resource_version);
            }
            let key = Row::key(metadata);
            match event.kind {
                "DELETED" => self.kept.set(key, None),
                "ADDED" | "MODIFIED" => {
                    let row = Row::new(row, &columns, Timestamp::now(), LATE_EVENT, &self.signer);
                    self.kept.set(key, Some(row.ok_or(Turned::Again)?));
                }
                _ => {}
            }
        }
        if !newest.is_empty() {
            *version = newest;
        }
        Ok(())
    }
}

/// Whether a refusal is for good: what is not there, not permitted, too large, or cannot be watched.
fn ending(refused: &Refused) -> Option<Ending> {
    match refused {
        Refused::Status(status) => match status.code {
            401 | 403 => Some(Ending::Unfit("not permitted")),
            400 | 404 | 405 | 406 => Some(Ending::Unfit("not served")),
            _ => None,
        },
        Refused::Error(Error::BadArguments(_)) => Some(TOO_LARGE),
        Refused::Error(_) | Refused::Unknown(_) => None,
    }
}

/// The circumstances of a request that belongs to no call.
fn context() -> Context {
    Context::detached(Arc::new(Caller::local(Effect::Read)), PATIENCE)
}

async fn pause(failures: &mut u32) {
    let pause = PAUSE.saturating_mul(2_u32.saturating_pow(*failures)).min(LONGEST_PAUSE);
    *failures += 1;
    tokio::time::sleep(jittered(pause)).await;
}
