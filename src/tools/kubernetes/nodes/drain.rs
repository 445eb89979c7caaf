//! Emptying a node.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::model::{Node, Owner};
use super::cordon::set_cordoned;
use super::eviction::{Asked, Fate, evict, fate};
use super::find::{Pod, node, pods_on};
use crate::answers::clean;
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::Limit;
use crate::toolkit::{Listing, Permission, Policy, Tool};

/// Pods that are asked to leave at the same time.
const AT_ONCE: usize = 10;

/// How often it is looked who is left.
const LOOK: Duration = Duration::from_secs(1);

/// How long a pod that a budget holds is left alone before it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time to put the answer together, before the call as a whole has to end.
const MARGIN: Duration = Duration::from_secs(10);

/// Why a pod is still there that nothing holds.
const NOT_ENDED: &str = "it was asked to leave, and has not ended yet";

/// Pods named in one sentence.
const MOST_NAMED: usize = 5;

/// Empties a node by eviction, keeping to disruption budgets.
///
/// Cordons it first. Pods that a budget holds are asked again until the time is over, never deleted; pods of DaemonSets
/// and those that the kubelet runs itself stay. Stopping it leaves the node cordoned. Try `dry_run` first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct DrainNode {
    /// The node, as `kubernetes_get_node_status` lists it.
    name: String,
    /// The cluster by name; needed when several are configured.
    cluster: Option<String>,
    /// Only pods with these labels, for example `app=web`.
    labels: Option<String>,
    /// Also evict pods whose emptyDir data would be lost.
    #[serde(default)]
    delete_empty_dir_data: bool,
    /// Also evict pods that no controller would make again. Budgets are kept to all the same.
    #[serde(default)]
    force: bool,
    /// Seconds that each pod gets to end; as each pod says when absent.
    grace_period_seconds: Option<u32>,
    /// Seconds to go on, at most 3600.
    #[serde(default)]
    timeout_seconds: Limit<600, 3600>,
    /// Only show which pods would leave and what holds the others; the API server checks it, and nothing changes.
    #[serde(default)]
    dry_run: bool,
    /// Plan id of a dry run, to carry it out.
    plan: Option<String>,
}

/// What became of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Failed,
    Blocked,
    Evicted,
    Skipped,
}

/// A pod that was on the node.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Drained {
    namespace: String,
    pod: String,
    /// `evicted`, `blocked`, `failed` or `skipped`; of a dry run, what would become of it.
    state: State,
    /// The budget that holds it.
    budget: Option<String>,
    reason: String,
    /// Who makes it again elsewhere.
    owner: Option<String>,
    #[serde(skip)]
    source: Pod,
    /// Whether it was asked to leave, and is still there.
    #[serde(skip)]
    is_leaving: bool,
}

impl Tool for DrainNode {
    const NAME: &str = "kubernetes_drain_node";
    const POLICY: Policy = Policy::destroy(Permission::NodesWrite).idempotent().heavy().longest(3600).may_be_task();
    type Backend = Kubernetes;
    type Output = Listing<Drained>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Drained>> {
        let started = Instant::now();
        let node: Node = node(&self.name, cluster).await?;
        let pods = pods_on(&self.name, self.labels.as_deref(), cluster).await?;
        let mut drained: Vec<Drained> = pods.into_iter().map(|pod| self.planned(pod)).collect();
        if self.dry_run {
            set_cordoned(&self.name, true, true, cluster).await?;
            self.try_out(&mut drained, cluster).await?;
            return Ok(self.answer(drained, node.is_cordoned(), started));
        }
        check_arguments(&drained)?;
        if !node.is_cordoned() {
            set_cordoned(&self.name, true, false, cluster).await?;
        }
        let timeout = Duration::from_secs(self.timeout_seconds.get() as u64);
        let until = (started + timeout).min(cluster.context.deadline.checked_sub(MARGIN).unwrap_or(started));
        // What was done by then is to be told all the same.
        let trouble = self.empty(&mut drained, started, until, cluster).await.err();
        let left = pods_on(&self.name, self.labels.as_deref(), cluster).await.unwrap_or_default();
        let known: HashSet<&str> = drained.iter().map(|one| one.source.metadata.uid.as_str()).collect();
        let new: Vec<_> = left
            .iter()
            .filter(|pod| !known.contains(pod.metadata.uid.as_str()) && fate(pod, true, true) == Fate::Leaves)
            .map(|pod| pod.metadata.full_name())
            .collect();
        let listing = self.answer(drained, true, started);
        let listing = match trouble {
            Some(error) => listing.note(format!("It was stopped early: {error}.")),
            None => listing,
        };
        Ok(if new.is_empty() {
            listing
        } else {
            listing.note(format!("Came while it was emptied, and stays: {}.", named(&new)))
        })
    }
}

impl DrainNode {
    fn planned(&self, pod: Pod) -> Drained {
        let (state, reason) = match fate(&pod, self.force, self.delete_empty_dir_data) {
            Fate::Leaves => (State::Evicted, String::new()),
            Fate::Stays(reason) => (State::Skipped, reason.to_owned()),
            Fate::Needs(argument, reason) => (State::Blocked, format!("{reason}; needs {argument}")),
        };
        Drained {
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            state,
            budget: None,
            reason,
            owner: pod.metadata.controller().map(Owner::title),
            is_leaving: false,
            source: pod,
        }
    }

    /// Asks the API server which pods might leave now.
    async fn try_out(&self, drained: &mut [Drained], cluster: &Kubernetes) -> Result<()> {
        let pods = drained.iter_mut().filter(|one| one.state == State::Evicted);
        let asked: Vec<_> = pods.map(|one| one.try_out(self.grace_period_seconds, cluster)).collect();
        stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Asks pods to leave until all that can are gone, or the time is over.
    async fn empty(
        &self,
        drained: &mut [Drained],
        started: Instant,
        until: Instant,
        cluster: &Kubernetes,
    ) -> Result<()> {
        for one in drained.iter_mut().filter(|one| one.state == State::Evicted) {
            // Until it is gone, it is not evicted.
            one.state = State::Blocked;
            one.is_leaving = one.source.metadata.deletion_timestamp.is_some();
            NOT_ENDED.clone_into(&mut one.reason);
        }
        let mut ask_again = Instant::now();
        loop {
            if Instant::now() >= ask_again {
                let pods = drained.iter_mut().filter(|one| one.state == State::Blocked && !one.is_leaving);
                let asked: Vec<_> = pods.map(|one| one.ask(self.grace_period_seconds, cluster)).collect();
                stream::iter(asked).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                ask_again = Instant::now() + PATIENCE;
            }
            look(&self.name, drained, cluster).await?;
            Self::report(drained, started, cluster);
            let is_done = drained.iter().all(|one| one.state != State::Blocked);
            let now = Instant::now();
            if is_done || now >= until {
                return Ok(());
            }
            tokio::time::sleep_until((now + LOOK).min(until).into()).await;
        }
    }

    /// Tells the client how far it is. Seconds go on while pods are held.
    fn report(drained: &[Drained], started: Instant, cluster: &Kubernetes) {
        let all = drained.iter().filter(|one| one.state != State::Skipped).count();
        let gone = drained.iter().filter(|one| one.state == State::Evicted).count();
        let held: Vec<_> = drained
            .iter()
            .filter(|one| one.state == State::Blocked && !one.is_leaving)
            .map(|one| match &one.budget {
                Some(budget) => format!("{}/{} (budget {budget})", one.namespace, one.pod),
                None => format!("{}/{}", one.namespace, one.pod),
            })
            .collect();
        let mut message = format!("{gone} of {all} pods are gone");
        if !held.is_empty() {
            message.push_str(&format!("; held: {}", named(&held)));
        }
        let seconds = started.elapsed().as_secs_f64();
        cluster.context.outbox.progress(seconds, None, &clean(&message));
    }

    fn answer(&self, mut drained: Vec<Drained>, cordoned: bool, started: Instant) -> Listing<Drained> {
        drained.sort_by(|one, other| {
            let key = |one: &Drained| (one.state, one.namespace.clone(), one.pod.clone());
            key(one).cmp(&key(other))
        });
        let count = |state: State| drained.iter().filter(|one| one.state == state).count();
        let (failed, blocked) = (count(State::Failed), count(State::Blocked));
        let is_empty = failed + blocked == 0;
        let which = if self.labels.is_some() { " of pods with these labels" } else { "" };
        let verdict = match (self.dry_run, is_empty) {
            (true, true) => format!("dry run: nothing was changed; it would be drained{which}"),
            (true, false) => format!("dry run: nothing was changed; it would not be drained{which} now"),
            (false, true) => format!("drained{which}"),
            (false, false) => format!("not drained{which}"),
        };
        let evicted = count(State::Evicted);
        let mut listing = Listing::new(drained)
            .fact("verdict", verdict)
            .fact("node", self.name.clone())
            .fact("cordoned", cordoned)
            .fact("evicted", evicted)
            .fact("blocked", blocked)
            .fact("failed", failed);
        if !self.dry_run {
            listing = listing.fact("seconds", started.elapsed().as_secs());
        }
        let budgets: HashSet<String> =
            listing.rows.iter().filter_map(|one| Some(format!("{}/{}", one.namespace, one.budget.as_ref()?))).collect();
        if !budgets.is_empty() {
            let mut budgets: Vec<_> = budgets.into_iter().collect();
            budgets.sort();
            listing = listing.note(format!(
                "Held by the disruption budgets {}: they allow it again when enough other pods are ready, so start more \
                 replicas or mend those that are not ready, and call again.",
                named(&budgets)
            ));
        }
        if !self.dry_run && !is_empty {
            listing = listing.note(
                "The node stays cordoned. Call again to go on, or make it schedulable with `kubernetes_cordon_node` and \
                 uncordon.",
            );
        }
        listing
    }
}

impl Drained {
    /// Asks the API server whether it might leave now.
    async fn try_out(&mut self, grace: Option<u32>, cluster: &Kubernetes) -> Result<()> {
        match evict(&self.source, grace, true, cluster).await? {
            Asked::Leaving | Asked::Gone => {}
            other => self.stays(other),
        }
        Ok(())
    }

    /// Asks it to leave.
    async fn ask(&mut self, grace: Option<u32>, cluster: &Kubernetes) -> Result<()> {
        match evict(&self.source, grace, false, cluster).await? {
            Asked::Leaving => {
                self.is_leaving = true;
                self.budget = None;
                NOT_ENDED.clone_into(&mut self.reason);
            }
            Asked::Gone => self.gone(),
            other => self.stays(other),
        }
        Ok(())
    }

    fn stays(&mut self, asked: Asked) {
        match asked {
            Asked::Held { budget, reason } => {
                self.state = State::Blocked;
                self.budget = budget;
                self.reason = reason;
            }
            Asked::Refused(reason) => {
                self.state = State::Failed;
                self.reason = reason;
            }
            Asked::Leaving | Asked::Gone => {}
        }
    }

    fn gone(&mut self) {
        self.state = State::Evicted;
        self.budget = None;
        self.reason.clear();
    }
}

/// Finds out who left.
async fn look(name: &str, drained: &mut [Drained], cluster: &Kubernetes) -> Result<()> {
    let left = match pods_on(name, None, cluster).await {
        Ok(left) => left,
        // The API server may be away or busy for a moment; the deadline ends this.
        Err(refused) if refused.is_passing() => return Ok(()),
        Err(refused) => return Err(refused.into()),
    };
    let left: HashSet<&str> = left.iter().map(|pod| pod.metadata.uid.as_str()).collect();
    for one in drained.iter_mut().filter(|one| one.state == State::Blocked) {
        if !left.contains(one.source.metadata.uid.as_str()) {
            one.gone();
        }
    }
    Ok(())
}

/// Refuses to begin what could not be ended.
fn check_arguments(drained: &[Drained]) -> Result<()> {
    let blocked: Vec<_> = drained
        .iter()
        .filter(|one| one.state == State::Blocked)
        .map(|one| format!("{}/{} ({})", one.namespace, one.pod, one.reason))
        .collect();
    if blocked.is_empty() {
        return Ok(());
    }
    Err(Error::BadArguments(format!(
        "nothing was changed, since these pods would be lost or lose data: {}. Give the argument that each needs, or choose \
         others with `labels`",
        named(&blocked)
    )))
}

fn named(all: &[String]) -> String {
    let shown = all.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
