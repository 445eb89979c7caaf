//! Waiting for objects with a watch (kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes").

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::pointer;
use super::Verdict;
use super::until::Until;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, List, Refused, Request};
use crate::error::{Error, Result};

/// Objects that are waited for at once.
const MOST_OBJECTS: usize = 500;

/// Bytes of one event of a watch.
const LARGEST_EVENT: usize = 16 << 20;

/// Bytes of all objects that are waited for.
const MOST_BYTES: usize = 64 << 20;

/// How often a client hears that it is still being waited.
const PROGRESS: Duration = Duration::from_secs(5);

/// A pause before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_millis(500);

/// A pause before an API server is asked again that did not answer, or had no place for a watch.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// How long a change waits for its effect, when nobody says.
pub(in crate::tools::kubernetes) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What is waited for, and where.
#[derive(Clone, Debug)]
pub(in crate::tools::kubernetes) struct Wish<'a> {
    pub(in crate::tools::kubernetes) kind: &'a Kind,
    pub(in crate::tools::kubernetes) namespace: Option<&'a str>,
    pub(in crate::tools::kubernetes) name: Option<&'a str>,
    pub(in crate::tools::kubernetes) labels: Option<&'a str>,
    pub(in crate::tools::kubernetes) until: Until,
    pub(in crate::tools::kubernetes) timeout: Duration,
    /// Whether something was changed before, so that an answer is owed whatever becomes of the wait.
    pub(in crate::tools::kubernetes) is_after_change: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tools::kubernetes) enum Ending {
    Met,
    Failed,
    TimedOut,
    Unknown,
}

impl Ending {
    pub(in crate::tools::kubernetes) fn label(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Failed => "failed early",
            Self::TimedOut => "timed out",
            Self::Unknown => "not known",
        }
    }
}

/// How a wait ended, and what was seen last.
#[derive(Clone, Debug)]
pub(in crate::tools::kubernetes) struct Waited {
    pub(in crate::tools::kubernetes) ending: Ending,
    pub(in crate::tools::kubernetes) seconds: f64,
    /// The objects by name, with what is to be said of each.
    pub(in crate::tools::kubernetes) states: Vec<(String, String)>,
}

impl Waited {
    /// Whether it is as wished.
    pub(in crate::tools::kubernetes) fn is_met(&self) -> bool {
        self.ending == Ending::Met
    }

    /// What is to be said of the first object that is not as wished.
    pub(in crate::tools::kubernetes) fn state(&self) -> String {
        self.states.first().map_or_else(|| "it is not there".into(), |(_, state)| state.clone())
    }

    /// One sentence.
    pub(in crate::tools::kubernetes) fn told(&self) -> String {
        format!("{} after {} s: {}", self.ending.label(), self.seconds, self.state())
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

impl<'a> Wish<'a> {
    /// For one object that was changed.
    pub(in crate::tools::kubernetes) fn one(
        kind: &'a Kind,
        namespace: Option<&'a str>,
        name: &'a str,
        until: Until,
    ) -> Self {
        Self { kind, namespace, name: Some(name), labels: None, until, timeout: LONGEST_WAIT, is_after_change: true }
    }

    /// Waits. A timeout and an early failure are answers, not errors.
    pub(in crate::tools::kubernetes) async fn wait(&self, cluster: &Kubernetes) -> Result<Waited> {
        let started = Instant::now();
        let mut seen = Seen { wish: self, objects: BTreeMap::new(), verdicts: BTreeMap::new(), started, trouble: None };
        // The call itself must still be there to tell how it ended.
        let left = cluster.context.remaining().saturating_sub(Duration::from_secs(2));
        let watching = tokio::time::timeout(self.timeout.min(left), self.follow(cluster, &mut seen)).await;
        let ending = match watching {
            Ok(Err(error)) if self.is_after_change => {
                seen.trouble = Some(error.to_string());
                Ending::Unknown
            }
            Ok(ending) => ending?,
            Err(_) => Ending::TimedOut,
        };
        let seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        Ok(Waited { ending, seconds, states: seen.states() })
    }

    fn request(&self) -> Result<Request> {
        let field = self.name.map(|name| format!("metadata.name={name}"));
        Ok(Request::get(self.kind.path(self.namespace)?)
            .query_some("fieldSelector", field)
            .query_some("labelSelector", self.labels))
    }

    async fn follow(&self, cluster: &Kubernetes, seen: &mut Seen<'_>) -> Result<Ending> {
        let request = self.request()?;
        // An API server that is away, or a place that is not free, is no reason to end what has begun.
        let mut has_begun = self.is_after_change;
        loop {
            let read = cluster.get(request.clone().query("limit", MOST_OBJECTS.to_string())).await;
            let list: List<Map<String, Value>> = match read {
                Ok(list) => list,
                Err(refused) if has_begun && refused.is_passing() => {
                    seen.trouble = Some(Error::from(refused).to_string());
                    tokio::time::sleep(LONG_PAUSE).await;
                    continue;
                }
                Err(refused) => return Err(refused.into()),
            };
            seen.trouble = None;
            if !list.metadata.next.is_empty() {
                return Err(too_many());
            }
            seen.objects.clear();
            for object in list.items {
                // Together they were one answer, which has a bound of its own.
                seen.take(Value::Object(object), 0)?;
            }
            if let Some(ending) = seen.ending() {
                return Ok(ending);
            }
            match self.watch(cluster, seen, &list.metadata.resource_version, &mut has_begun).await {
                Ok(Some(ending)) => return Ok(ending),
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(refused) if has_begun && refused.is_passing() => tokio::time::sleep(LONG_PAUSE).await,
                Err(refused) => return Err(refused.into()),
            }
        }
    }

    /// Follows one watch; none where it ended and the list must be read again.
    async fn watch(
        &self,
        cluster: &Kubernetes,
        seen: &mut Seen<'_>,
        version: &str,
        has_begun: &mut bool,
    ) -> Result<Option<Ending>, Refused> {
        let request = self
            .request()?
            .query("watch", "true")
            .query("allowWatchBookmarks", "true")
            .query("resourceVersion", version.to_owned());
        let mut stream = match cluster.cluster().stream(&request, &cluster.context).await {
            Ok(stream) => stream,
            Err(Refused::Status(status)) if status.code == 410 => return Ok(None),
            Err(refused) => return Err(refused),
        };
        *has_begun = true;
        let mut text = Vec::new();
        let mut tick = tokio::time::interval(PROGRESS);
        loop {
            let part = tokio::select! {
                part = stream.next() => part,
                _ = tick.tick() => {
                    seen.report(cluster);
                    continue;
                }
            };
            // A watch that breaks is begun again.
            let Ok(Some(part)) = part else { return Ok(None) };
            text.extend_from_slice(&part);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let Ok(mut event) = serde_json::from_slice::<Event>(&line) else { return Ok(None) };
                cluster.redact(&mut event.object);
                match event.kind.as_str() {
                    "ADDED" | "MODIFIED" => seen.take(event.object, line.len())?,
                    "DELETED" => seen.drop(&event.object),
                    "BOOKMARK" => continue,
                    _ => return Ok(None),
                }
                if let Some(ending) = seen.ending() {
                    return Ok(Some(ending));
                }
                seen.report(cluster);
            }
            if text.len() > LARGEST_EVENT {
                return Err(Error::BadArguments("an object is too large to be watched".into()).into());
            }
        }
    }
}

/// What a watch has shown so far.
struct Seen<'a> {
    wish: &'a Wish<'a>,
    /// By name, with the bytes that each had as an event.
    objects: BTreeMap<String, (Value, usize)>,
    verdicts: BTreeMap<String, Verdict>,
    started: Instant,
    /// What keeps it from being seen.
    trouble: Option<String>,
}

impl Seen<'_> {
    fn take(&mut self, object: Value, bytes: usize) -> Result<()> {
        self.objects.insert(key(&object), (object, bytes));
        let bytes: usize = self.objects.values().map(|(_, bytes)| bytes).sum();
        if self.objects.len() > MOST_OBJECTS || bytes > MOST_BYTES {
            return Err(too_many());
        }
        Ok(())
    }

    fn drop(&mut self, object: &Value) {
        self.objects.remove(&key(object));
    }

    /// How it ends, if it does now.
    fn ending(&mut self) -> Option<Ending> {
        let Wish { kind, until, .. } = self.wish;
        self.verdicts =
            self.objects.iter().map(|(name, (object, _))| (name.clone(), until.judge(&kind.kind, object))).collect();
        if until.is_deleted() && self.objects.is_empty() {
            return Some(Ending::Met);
        }
        if self.verdicts.values().any(|verdict| matches!(verdict, Verdict::Failed(_))) {
            return Some(Ending::Failed);
        }
        let all = self.verdicts.values().all(|verdict| matches!(verdict, Verdict::Met(_)));
        (all && !self.verdicts.is_empty()).then_some(Ending::Met)
    }

    fn report(&self, cluster: &Kubernetes) {
        let met = self.verdicts.values().filter(|verdict| matches!(verdict, Verdict::Met(_))).count();
        let state = self.states().into_iter().next().map_or_else(|| "nothing is there".into(), |(_, state)| state);
        let message = match self.verdicts.len() {
            0 | 1 => state,
            all => format!("{met} of {all}; {state}"),
        };
        let total = self.wish.timeout.as_secs_f64();
        let waited = self.started.elapsed().as_secs_f64();
        cluster.context.outbox.progress(waited.min(total), Some(total), &message);
    }

    /// What is to be said of each object, the troubled ones first.
    fn states(&self) -> Vec<(String, String)> {
        if self.wish.until.is_deleted() && self.objects.is_empty() {
            let name = self.wish.name.or(self.wish.labels).unwrap_or_default();
            return vec![(name.to_owned(), "it is gone".into())];
        }
        if let Some(trouble) = &self.trouble {
            let name = self.wish.name.or(self.wish.labels).unwrap_or_default();
            return vec![(name.to_owned(), format!("how it is now is not known: {trouble}"))];
        }
        let mut states: Vec<_> = self.verdicts.iter().collect();
        states.sort_by_key(|(_, verdict)| match verdict {
            Verdict::Failed(_) => 0,
            Verdict::Waiting(_) => 1,
            Verdict::Met(_) => 2,
        });
        let told = |verdict: &Verdict| match verdict {
            Verdict::Met(told) | Verdict::Waiting(told) | Verdict::Failed(told) => told.clone(),
        };
        states.into_iter().map(|(name, verdict)| (name.clone(), told(verdict))).collect()
    }
}

fn too_many() -> Error {
    Error::BadArguments(format!(
        "labels: more than {MOST_OBJECTS} objects or {} MiB match; wait for fewer at a time",
        MOST_BYTES >> 20
    ))
}

/// An object among others: its name, with its namespace where it has one.
fn key(object: &Value) -> String {
    let name = pointer::text(object, "/metadata/name");
    match pointer::text(object, "/metadata/namespace") {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}
