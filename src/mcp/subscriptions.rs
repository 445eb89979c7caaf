//! What changed, told to those who listen: `subscriptions/listen`, and the notifications of the older revisions.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::{Engine, Revision, meta, read, tasks};
use crate::call::Context;
use crate::changes::{Change, Heard, Listener};

/// Resources and tasks that one client may follow at a time.
const MOST_FOLLOWED: usize = 100;

/// What a client listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: HashSet<String>,
    tasks: HashSet<String>,
}

#[derive(Deserialize)]
struct Params {
    notifications: Notifications,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Notifications {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
    task_ids: Vec<String>,
}

impl Wanted {
    /// What is to be told of what was heard.
    #[must_use]
    pub fn told(&self, heard: Heard) -> Vec<Change> {
        match heard {
            Heard::Change(change) => Some(change).filter(|change| self.includes(change)).into_iter().collect(),
            Heard::Anything => {
                let lists =
                    [(self.tools, Change::Tools), (self.prompts, Change::Prompts), (self.resources, Change::Resources)];
                let lists = lists.into_iter().filter(|(wanted, _)| *wanted).map(|(_, change)| change);
                let uris = self.uris.iter().cloned().map(Change::Resource);
                lists.chain(uris).chain(self.tasks.iter().cloned().map(Change::Task)).collect()
            }
        }
    }

    /// Whether a change is among it.
    fn includes(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Resource(uri) => self.uris.contains(uri),
            Change::Task(id) => self.tasks.contains(id),
        }
    }

    /// The subset of the request that was accepted.
    fn accepted(&self) -> Value {
        let mut accepted = Map::new();
        for (name, on) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if on {
                accepted.insert(name.into(), true.into());
            }
        }
        for (name, names) in [("resourceSubscriptions", &self.uris), ("taskIds", &self.tasks)] {
            if !names.is_empty() {
                let mut names: Vec<_> = names.iter().collect();
                names.sort();
                accepted.insert(name.into(), json!(names));
            }
        }
        accepted.into()
    }
}

impl Engine {
    /// What a session of an older revision hears of: every list that can change, and the resources it subscribed to.
    #[must_use]
    pub fn lists_and(&self, uris: impl IntoIterator<Item = String>) -> Wanted {
        let lists = self.offer.changing;
        Wanted {
            tools: lists,
            prompts: lists,
            resources: lists,
            uris: uris.into_iter().collect(),
            tasks: HashSet::new(),
        }
    }

    /// Begins a `subscriptions/listen`: what is listened to from now on, and the acknowledgement to send first.
    ///
    /// # Errors
    /// A protocol error where the parameters are wrong, or a task is followed without the extension.
    pub async fn listen(
        &self,
        params: &bytes::Bytes,
        id: &Value,
        context: &Context,
    ) -> Result<(Wanted, Listener, Value), Fault> {
        let Params { notifications } = read(params)?;
        if !notifications.task_ids.is_empty() && !context.client.can(&["extensions", tasks::EXTENSION]) {
            return Err(Fault::missing_capability(&["extensions", tasks::EXTENSION]));
        }
        if notifications.resource_subscriptions.len() + notifications.task_ids.len() > MOST_FOLLOWED {
            return Err(Fault::invalid_params(format!("notifications: at most {MOST_FOLLOWED} resources and tasks")));
        }
        let mut wanted = Wanted {
            tools: notifications.tools_list_changed && self.offer.changing,
            prompts: notifications.prompts_list_changed && self.offer.changing && !self.offer.prompts.is_empty(),
            resources: notifications.resources_list_changed && self.offer.changing,
            uris: notifications.resource_subscriptions.into_iter().filter(|uri| self.is_watched(uri)).collect(),
            tasks: HashSet::new(),
        };
        for id in notifications.task_ids {
            if self.tasks.find(&id, context).await.is_ok() {
                wanted.tasks.insert(id);
            }
        }
        let listener = self.changes().listen().await?;
        let acknowledgement = json!({"notifications": wanted.accepted(), "_meta": { meta::SUBSCRIPTION_ID: id }});
        Ok((wanted, listener, acknowledgement))
    }

    /// The notification of a change for a client of 2026-07-28, marked with the request it belongs to.
    pub async fn marked(&self, change: &Change, id: &Value, context: &Context) -> Option<(&'static str, Value)> {
        let (method, mut params) = match change {
            Change::Task(task) => ("notifications/tasks", Value::Object(self.tasks.find(task, context).await.ok()?)),
            other => other.notification()?,
        };
        params["_meta"] = json!({ meta::SUBSCRIPTION_ID: id });
        Some((method, params))
    }

    /// The result that ends a listening request.
    #[must_use]
    pub fn end_of_listening(&self, id: &Value) -> bytes::Bytes {
        let mut result = Map::new();
        result.insert("_meta".into(), json!({ meta::SUBSCRIPTION_ID: id }));
        self.encode(Revision::V2026_07_28, "complete", &result)
    }
}
