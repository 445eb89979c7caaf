//! Lists that are asked for again and again, kept up to date by watches instead of asking the API server each time.

mod age;
mod choice;
mod follow;
mod kept;
mod rights;
mod row;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cluster, Kind, Kubernetes, Table};
use crate::call::Context;
use crate::secrets::Signer;
use crate::telemetry::metrics;
use choice::Choice;
use follow::{Ending, Follower};
use kept::{Kept, Part};
pub use kept::{object_before, place_after};
use rights::{Identity, Rights};

/// A list is kept when it is asked for twice within this time.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// What could not be kept is not tried again for so long.
const UNFIT_FOR: Duration = Duration::from_mins(5);

/// After a change that was made through this server, the API server itself is asked for so long: who changed something
/// and looks at it must see it.
const AFTER_CHANGE: Duration = Duration::from_secs(1);

/// Lists that are remembered as asked for once.
const MOST_ASKED: usize = 1024;

/// Whether and how long lists are kept up to date by watches.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Answer lists that are asked for again and again from a watch. Whether the cluster lets the caller list them is
    /// asked of the cluster, at most ten seconds before.
    pub enabled: bool,
    /// Bytes that their rows take, about; a list beyond is asked of the API server.
    #[schemars(range(min = 1))]
    pub most_bytes: usize,
    /// Lists at the same time, one for each kind in one namespace or in all.
    #[schemars(range(min = 1, max = 1000))]
    pub most_lists: usize,
    /// Seconds without a call after which a list is no longer kept.
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds: u64,
    /// Seconds that an answer may be behind the cluster where the connection to it is lost without a sign; usually it is
    /// milliseconds.
    #[schemars(range(min = 4, max = 600))]
    pub most_stale_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, most_bytes: 32 << 20, most_lists: 32, idle_seconds: 300, most_stale_seconds: 30 }
    }
}

/// The lists of one cluster.
#[derive(Debug)]
pub(super) struct WatchCache {
    config: Config,
    lists: Mutex<Lists>,
    /// Bytes of all rows.
    bytes: Arc<AtomicUsize>,
    rights: Rights,
    /// When something was last changed through this server.
    changed: Mutex<Option<Instant>>,
}

/// Lists by their paths.
#[derive(Debug, Default)]
struct Lists {
    kept: HashMap<String, Arc<Kept>>,
    /// When those that are not kept were last asked for.
    asked: HashMap<String, Instant>,
    /// When it was found out that they cannot be kept.
    unfit: HashMap<String, Instant>,
}

/// A list that is kept, for one call that may see it.
#[derive(Debug)]
pub struct KeptList {
    kept: Arc<Kept>,
    /// Where the list is about more, only objects of this namespace.
    namespace: Option<String>,
    choice: Choice,
    now: Timestamp,
    signer: Arc<Signer>,
    cluster: String,
}

impl KeptList {
    /// As many rows after an object (namespace and name) as the API server would answer now, with their secrets replaced,
    /// and names, namespaces and times of the objects where they are wanted; none where the API server has to be asked.
    #[must_use]
    pub fn part(&self, after: Option<&str>, limit: usize, with_objects: bool) -> Option<Table> {
        let part = Part {
            namespace: self.namespace.as_deref(),
            choice: &self.choice,
            after,
            limit,
            with_objects,
            now: self.now,
            signer: &self.signer,
        };
        let table = self.kept.part(part)?;
        metrics::KEPT_ANSWERS.with_label_values(&[self.cluster.as_str()]).inc();
        Some(table)
    }
}

impl Kubernetes {
    /// A list that a watch keeps up to date, where there is one and the cluster lets the caller list it; none where the
    /// API server has to be asked. The second such call within a short time begins to keep it.
    pub async fn kept(
        &self,
        kind: &Arc<Kind>,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Option<KeptList> {
        let cache = self.cluster.watch_cache();
        if !cache.config.enabled {
            return None;
        }
        let choice = Choice::parse(labels, fields, kind.namespaced)?;
        let (kept, is_wider) = cache.find(kind, namespace, &self.cluster, &self.context)?;
        // Other callers come with identities of their own here.
        let identity = Identity::Server;
        if !cache.rights.may_list(identity, kind, namespace, &self.cluster, &self.context).await {
            return None;
        }
        Some(KeptList {
            kept,
            namespace: namespace.filter(|_| is_wider).map(str::to_owned),
            choice,
            now: self.context.now,
            signer: self.context.signer.clone(),
            cluster: format!("kubernetes/{}", self.name()),
        })
    }
}

impl WatchCache {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            lists: Mutex::default(),
            bytes: Arc::default(),
            rights: Rights::default(),
            changed: Mutex::default(),
        }
    }

    /// Notes that something was changed through this server.
    pub(super) fn changed(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn changed_just_now(&self) -> bool {
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.is_some_and(|changed| changed.elapsed() < AFTER_CHANGE)
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.config.idle_seconds)
    }

    fn most_stale(&self) -> Duration {
        Duration::from_secs(self.config.most_stale_seconds)
    }

    /// Whether a list may take so many bytes, beside the others.
    fn has_room(&self, list: &Kept, bytes: usize) -> bool {
        let others = self.bytes.load(Ordering::Relaxed).saturating_sub(list.bytes());
        others + bytes <= self.config.most_bytes
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list that has these objects, and whether it has those of other namespaces too; none while it is not true.
    fn find(
        &self,
        kind: &Arc<Kind>,
        namespace: Option<&str>,
        cluster: &Arc<Cluster>,
        context: &Context,
    ) -> Option<(Arc<Kept>, bool)> {
        let own = kind.path(namespace).ok()?;
        let wider = namespace.and_then(|_| kind.path(None).ok());
        let mut lists = self.lists();
        for (path, is_wider) in wider.iter().map(|path| (path, true)).chain([(&own, false)]) {
            let Some(kept) = lists.kept.get(path) else { continue };
            kept.touch();
            if kept.is_true() {
                return (!self.changed_just_now()).then(|| (kept.clone(), is_wider));
            }
        }
        if !lists.kept.contains_key(&own) && lists.is_wanted(&own, self.config.most_lists) && kind.can("watch") {
            let kept = Arc::new(Kept::new(&own, self.most_stale(), self.bytes.clone()));
            lists.kept.insert(own, kept.clone());
            drop(lists);
            keep(kept, kind, cluster, context);
        }
        None
    }

    fn end(&self, kept: &Kept, ending: Ending) {
        kept.lost();
        let mut lists = self.lists();
        lists.kept.remove(&kept.path);
        if let Ending::Unfit(_) = ending {
            lists.unfit.insert(kept.path.clone(), Instant::now());
        }
    }
}

impl Lists {
    /// Whether a list that was asked for now is to be kept from now on.
    fn is_wanted(&mut self, path: &str, most: usize) -> bool {
        if self.asked.len() >= MOST_ASKED {
            self.asked.retain(|_, asked| asked.elapsed() < AGAIN_WITHIN);
        }
        if self.asked.len() >= MOST_ASKED {
            self.asked.clear();
        }
        self.unfit.retain(|_, found| found.elapsed() < UNFIT_FOR);
        let is_again =
            self.asked.insert(path.to_owned(), Instant::now()).is_some_and(|before| before.elapsed() < AGAIN_WITHIN);
        let is_wanted = is_again && self.kept.len() < most && !self.unfit.contains_key(path);
        if is_wanted {
            self.asked.remove(path);
        }
        is_wanted
    }
}

/// Begins to keep a list.
fn keep(kept: Arc<Kept>, kind: &Arc<Kind>, cluster: &Arc<Cluster>, context: &Context) {
    let (cluster, kind, signer) = (cluster.clone(), kind.clone(), context.signer.clone());
    let follower = Follower { cluster, kind, kept, signer };
    let backend = format!("kubernetes/{}", follower.cluster.name());
    tokio::spawn(async move {
        metrics::KEPT_LISTS.with_label_values(&[backend.as_str()]).inc();
        let ending = follower.run().await;
        metrics::KEPT_LISTS.with_label_values(&[backend.as_str()]).dec();
        tracing::debug!(
            backend.name = backend,
            list.path = follower.kept.path,
            list.ending = ?ending,
            "a list is no longer kept"
        );
        follower.cluster.watch_cache().end(&follower.kept, ending);
    });
}
