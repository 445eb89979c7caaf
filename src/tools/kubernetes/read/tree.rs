//! What belongs together: owners above an object, dependents below, and what is linked to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::args::{check_namespace, check_verb};
use super::super::family::{Ancestor, Dependent, Member, Reach, ancestors, dependents};
use super::super::nearby;
use super::super::status::{State, age};
use super::links::{Link, links};
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::{Limit, MaxTokens};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Old ReplicaSets without pods, and what else says little, are counted where there are more of them than this.
const MOST_IDLE: usize = 1;

/// Draws the owners above an object and the dependents below it, with what is linked to them.
///
/// Use `kubernetes_get_resource` for one object alone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetResourceTree {
    /// Kind of the object, for example `deploy`.
    kind: String,
    /// Name of the object.
    name: String,
    /// Needed when several clusters are configured.
    cluster: Option<String>,
    /// Needed for kinds that lie in namespaces.
    namespace: Option<String>,
    /// Levels below the object, at most 10.
    #[serde(default)]
    depth: Limit<4, 10>,
    /// Add services, ingresses, autoscalers, budgets, policies, claims and configuration.
    #[serde(default = "yes")]
    links: bool,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn yes() -> bool {
    true
}

/// An object and what belongs to it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Tree {
    /// The uppermost owner first, then down to the last dependents.
    objects: Vec<Node>,
    /// What is linked to them otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

/// An object in the tree.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Node {
    /// Kind and name.
    object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Kind and name of its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Parts that are ready, status and restarts.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<String>,
    /// Whether it is the one that was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asked: bool,
}

impl Tool for GetResourceTree {
    const NAME: &str = "kubernetes_get_resource_tree";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(5);
    type Backend = Kubernetes;
    type Output = Facts<Tree>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Tree>> {
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "get")?;
        let namespace = self.namespace.as_deref();
        check_namespace(&kind, namespace)?;
        let root = match Member::read(cluster, &kind, namespace, &self.name).await {
            Ok(root) => root,
            Err(refused) if refused.code() == Some(404) => {
                let missing = nearby::missing(cluster, &kind, namespace, &self.name).await;
                return Err(Error::NotFound(missing.trim_end_matches('.').to_owned()));
            }
            Err(refused) => return Err(refused.into()),
        };
        let (above, below) =
            tokio::join!(ancestors(cluster, &root), dependents(cluster, &root, self.depth.get(), Reach::Everything));
        let (above, below) = (above?, below?);
        let mut notes = below.notes;
        let mut found = Vec::new();
        if self.links {
            let family: Vec<&Member> = above
                .iter()
                .filter_map(|ancestor| ancestor.found.as_deref().ok())
                .chain([&root])
                .chain(below.members.iter().map(|dependent| &dependent.member))
                .collect();
            found = links(cluster, &root, &family, &mut notes).await?;
        }
        let mut drawing = Drawing { cluster, text: String::new(), objects: Vec::new() };
        drawing.draw(&root, &above, &below.members);
        let mut text = drawing.text;
        if !found.is_empty() {
            text.push_str("\nlinks:\n");
            for link in &found {
                text.push_str(&format!("  {}\n", link.line()));
            }
        }
        let tree = Facts::new(Tree { objects: drawing.objects, links: found }).text(text.trim_end());
        Ok(notes.into_iter().fold(tree, Facts::note))
    }
}

/// The tree as text and as a list, in the same order.
struct Drawing<'a> {
    cluster: &'a Kubernetes,
    text: String,
    objects: Vec<Node>,
}

impl Drawing<'_> {
    fn draw(&mut self, root: &Member, above: &[Ancestor], below: &[Dependent]) {
        let mut owner = None;
        for (level, ancestor) in above.iter().rev().enumerate() {
            let title = ancestor.owner.title();
            let node = match &ancestor.found {
                Ok(member) => self.node(member, owner.take()),
                Err(why) => Node { object: title.clone(), owner: owner.take(), state: why.clone(), ..Node::default() },
            };
            self.line(&stem(level), node);
            owner = Some(title);
        }
        let mut node = self.node(root, owner);
        node.asked = !above.is_empty();
        self.line(&stem(above.len()), node);
        self.below(root, &"   ".repeat(above.len()), below);
    }

    fn below(&mut self, parent: &Member, indent: &str, all: &[Dependent]) {
        let children = all.iter().filter(|dependent| dependent.parent == parent.uid()).map(|child| &child.member);
        let (idle, shown): (Vec<&Member>, Vec<&Member>) = children.partition(|child| is_idle(child, all));
        let (shown, hidden) =
            if idle.len() > MOST_IDLE { (shown, idle) } else { (shown.into_iter().chain(idle).collect(), Vec::new()) };
        let lines = shown.len() + usize::from(!hidden.is_empty());
        for (place, child) in shown.into_iter().enumerate() {
            let is_last = place + 1 == lines;
            let node = self.node(child, Some(parent.title()));
            self.line(&format!("{indent}{}", if is_last { "└─ " } else { "├─ " }), node);
            self.below(child, &format!("{indent}{}", if is_last { "   " } else { "│  " }), all);
        }
        if let Some(first) = hidden.first() {
            let what = if first.is("apps", "controllerrevisions") { "older revisions" } else { "without pods" };
            self.text.push_str(&format!("{indent}└─ {} {}s {what}\n", hidden.len(), first.kind.kind));
        }
    }

    fn node(&self, member: &Member, owner: Option<String>) -> Node {
        let state = State::of(&member.object);
        Node {
            object: member.title(),
            namespace: member.namespace().map(str::to_owned),
            owner,
            state: state.line(),
            reason: state.reason,
            age: age(&member.object, self.cluster.context.now),
            asked: false,
        }
    }

    fn line(&mut self, indent: &str, node: Node) {
        self.text.push_str(indent);
        self.text.push_str(&node.object);
        for part in [Some(&node.state), node.age.as_ref(), node.reason.as_ref()].into_iter().flatten() {
            if !part.is_empty() {
                self.text.push_str("  ");
                self.text.push_str(part);
            }
        }
        if node.asked {
            self.text.push_str("  ← asked for");
        }
        self.text.push('\n');
        self.objects.push(node);
    }
}

/// What stands before the only object of its level.
fn stem(level: usize) -> String {
    if level == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(level - 1)) }
}

/// Whether an object only records what was once.
fn is_idle(member: &Member, all: &[Dependent]) -> bool {
    let is_empty = || !all.iter().any(|dependent| dependent.parent == member.uid());
    let wants_none = member.object.pointer("/spec/replicas").and_then(serde_json::Value::as_u64) == Some(0);
    member.is("apps", "controllerrevisions") || member.is("apps", "replicasets") && wants_none && is_empty()
}
