//! Calls that go on after their answer: the extension `io.modelcontextprotocol/tasks`.

mod places;

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use self::places::Places;
use super::era::Revision;
use super::fault::Fault;
use super::input::{self, Asking};
use super::{Engine, Outcome, Request, read, tools};
use crate::call::{Asked, Context, Outbox};
use crate::changes::{Change, Changes};
use crate::dispatch::{Dispatch, Shown};
use crate::error::{Error, Result};
use crate::secrets::random_token;
use crate::store::{Condition, Shared, Subscription};
use crate::toolkit::{Described, Task as Mode};

/// The name of the extension.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// How much longer the store keeps a task than it lives, so that its end can still be told.
const MARGIN: Duration = Duration::from_secs(60);

/// How often a client should ask, in milliseconds.
const POLL_INTERVAL: u64 = 1_000;

/// A call that takes longer than this becomes a task, where it may.
const GRACE: Duration = Duration::from_millis(100);

/// Keeps and runs tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    store: Shared,
    changes: Changes,
    dispatch: Arc<Dispatch>,
    places: Places,
    /// How long a task may take, and its result is kept.
    lifetime: Duration,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Working,
    InputRequired,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What the store keeps of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    owner: String,
    status: Status,
    message: Option<String>,
    created: Timestamp,
    updated: Timestamp,
    /// How long it may take from its creation, in milliseconds.
    ttl: u64,
    /// The questions that are still open.
    questions: Map<String, Value>,
    /// The answers that came in.
    answers: BTreeMap<String, Value>,
    result: Option<Value>,
    error: Option<Value>,
}

/// A call under way.
type Run = Pin<Box<dyn Future<Output = Result<Shown>> + Send>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    task_id: String,
    #[serde(default)]
    input_responses: Map<String, Value>,
}

impl Engine {
    /// Makes a task of a call, where the tool and the client allow it and it is not done at once.
    pub(super) async fn as_task(
        &self,
        tool: &Described,
        arguments: &Map<String, Value>,
        context: &Context,
        revision: Revision,
    ) -> Result<Option<Outcome>, Fault> {
        let mode = tool.entry.policy.task;
        let can = revision.is_modern() && context.client.can(&["extensions", EXTENSION]);
        if mode == Mode::Must && !can {
            return Err(Fault::missing_capability(&["extensions", EXTENSION]));
        }
        if mode == Mode::Never || !can {
            return Ok(None);
        }
        // The task outlives the request, its stream, and the patience of whoever made it.
        let context = Context { outbox: Outbox::default(), cancelled: CancellationToken::new(), ..context.clone() };
        let mut run = self.tasks.start(tool.entry.name, arguments, &context);
        if mode == Mode::May
            && let Ok(outcome) = tokio::time::timeout(GRACE, &mut run).await
        {
            return match outcome {
                Ok(shown) => Ok(Some(self.complete(revision, tools::result(shown, revision)))),
                Err(error) => {
                    let asking = Asking { method: "tools/call", name: tool.entry.name, arguments };
                    self.unfinished(error, asking, &context, revision).map(Some)
                }
            };
        }
        let task = self.tasks.create(tool.entry.name, arguments.clone(), context, run).await?;
        Ok(Some(Outcome::Task(task)))
    }

    pub(super) async fn get_task(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        let Params { task_id, .. } = task_params(request, context)?;
        let task = self.tasks.find(&task_id, context).await?;
        Ok(self.complete(request.revision, task))
    }

    pub(super) async fn update_task(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        let params = task_params(request, context)?;
        self.tasks.load(&params.task_id, context).await?;
        self.tasks.answer(&params.task_id, params.input_responses).await?;
        Ok(self.complete(request.revision, Map::new()))
    }

    pub(super) async fn cancel_task(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        let Params { task_id, .. } = task_params(request, context)?;
        self.tasks.load(&task_id, context).await?;
        self.tasks.finish(&task_id, Status::Cancelled, |_| {}).await?;
        self.tasks.signal(&task_id).await?;
        Ok(self.complete(request.revision, Map::new()))
    }
}

/// Declared capabilities come before everything else, so that nobody can try out ids without them.
fn task_params(request: &Request, context: &Context) -> Result<Params, Fault> {
    if !context.client.can(&["extensions", EXTENSION]) {
        return Err(Fault::missing_capability(&["extensions", EXTENSION]));
    }
    read(&request.params)
}

fn unknown() -> Fault {
    Fault::invalid_params("taskId: there is no such task (any more); tasks are kept for a while, for their caller only")
}

impl Tasks {
    /// Tasks of calls that `dispatch` carries out; each may take `lifetime`, and its result is kept as long.
    #[must_use]
    pub fn new(store: Shared, dispatch: Arc<Dispatch>, lifetime: Duration) -> Self {
        Self { changes: Changes::new(store.clone()), store, dispatch, places: Places::default(), lifetime }
    }

    fn start(&self, tool: &'static str, arguments: &Map<String, Value>, context: &Context) -> Run {
        let (dispatch, arguments, context) = (self.dispatch.clone(), arguments.clone(), context.clone());
        Box::pin(async move {
            let catalogue = dispatch.surroundings().catalogue.clone();
            let tool = catalogue.find(tool, &context).ok_or_else(|| Error::NotFound(format!("no tool {tool}")))?;
            dispatch.call(tool, arguments, &context).await
        })
    }

    /// Keeps a task before anybody hears of it, and lets it go on.
    async fn create(
        &self,
        tool: &'static str,
        arguments: Map<String, Value>,
        context: Context,
        run: Run,
    ) -> Result<Map<String, Value>, Fault> {
        let place = self.places.take(&context.caller.identity())?;
        let id = random_token("task-");
        let now = Timestamp::now();
        let record = Record {
            owner: context.caller.identity(),
            status: Status::Working,
            message: None,
            created: now,
            updated: now,
            ttl: u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX),
            questions: Map::new(),
            answers: BTreeMap::new(),
            result: None,
            error: None,
        };
        let signals = self.store.subscribe(&key(&id)).await?;
        self.store.put(&key(&id), encode(&record), self.lifetime + MARGIN, Condition::Absent).await?;
        let task = shown(&id, &record);
        let tasks = self.clone();
        tokio::spawn(async move {
            let _place = place;
            let cancelled = context.cancelled.clone();
            let drive = tasks.drive(&id, tool, arguments, context, run, signals);
            tasks.see_through(&id, drive).await;
            cancelled.cancel();
        });
        Ok(task)
    }

    /// Sees that a task ends in time, whatever becomes of its run: a record must not stay as if somebody worked on it.
    async fn see_through(&self, id: &str, drive: impl Future<Output = Result<(), Fault>>) {
        let fault = match tokio::time::timeout(self.lifetime, AssertUnwindSafe(drive).catch_unwind()).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(fault))) => fault,
            Ok(Err(_)) => Error::internal("a task panicked").into(),
            Err(_) => {
                let asked = self.read(id).await.is_ok_and(|record| record.status == Status::InputRequired);
                let what = if asked { "its question was not answered" } else { "it was not done" };
                Error::TimedOut(format!("{what} within {} s; call the tool again", self.lifetime.as_secs())).into()
            }
        };
        if let Err(error) = self.fail(id, &fault).await {
            tracing::warn!(task.id = id, reason = fault.message, error = error.message, "a task is lost");
        }
    }

    /// Brings a task to its end, asking and waiting as often as it needs.
    async fn drive(
        &self,
        id: &str,
        tool: &'static str,
        arguments: Map<String, Value>,
        mut context: Context,
        mut run: Run,
        mut signals: Subscription,
    ) -> Result<(), Fault> {
        loop {
            let outcome = loop {
                tokio::select! {
                    outcome = &mut run => break outcome,
                    signal = signals.next() => {
                        if signal.is_none() {
                            // Cut off, because more came than was heard: whatever it was, the record tells.
                            signals = self.store.subscribe(&key(id)).await?;
                        }
                        if self.is_over(id).await? {
                            context.cancelled.cancel();
                            return Ok(());
                        }
                    }
                }
            };
            match outcome {
                Ok(shown) => {
                    let result = Value::Object(tools::result(shown, Revision::V2026_07_28));
                    return self.finish(id, Status::Completed, |record| record.result = Some(result.clone())).await;
                }
                Err(Error::InputRequired(asked)) => {
                    let Some(answers) = self.ask(id, &asked, &context, &mut signals).await? else { return Ok(()) };
                    context.inputs.responses.extend(answers);
                    context.inputs.state = asked.state;
                    run = self.start(tool, &arguments, &context);
                }
                Err(Error::Cancelled) => return self.finish(id, Status::Cancelled, |_| {}).await,
                Err(error) => return self.fail(id, &error.into()).await,
            }
        }
    }

    /// Asks the questions and waits for all answers; none when the task ended meanwhile.
    async fn ask(
        &self,
        id: &str,
        asked: &Asked,
        context: &Context,
        signals: &mut Subscription,
    ) -> Result<Option<BTreeMap<String, Value>>, Fault> {
        if let Err(fault) = input::check_capabilities(asked, &context.client) {
            self.fail(id, &fault).await?;
            return Ok(None);
        }
        let Value::Object(questions) = input::requests(asked) else { return Ok(None) };
        self.change(id, |record| {
            record.status = Status::InputRequired;
            record.questions.clone_from(&questions);
        })
        .await?;
        loop {
            let record = self.read(id).await?;
            if record.status.is_final() {
                return Ok(None);
            }
            if record.questions.is_empty() {
                return Ok(Some(record.answers));
            }
            if signals.next().await.is_none() {
                *signals = self.store.subscribe(&key(id)).await?;
            }
        }
    }

    /// Takes in answers to open questions; anything else is passed over.
    async fn answer(&self, id: &str, answers: Map<String, Value>) -> Result<(), Fault> {
        self.change(id, |record| {
            for (name, answer) in &answers {
                if record.questions.shift_remove(name).is_some() {
                    record.answers.insert(name.clone(), answer.clone());
                }
            }
            if record.status == Status::InputRequired && record.questions.is_empty() {
                record.status = Status::Working;
            }
        })
        .await?;
        self.signal(id).await
    }

    /// Ends a task, unless it has ended.
    async fn finish(&self, id: &str, status: Status, also: impl Fn(&mut Record)) -> Result<(), Fault> {
        self.change(id, |record| {
            record.status = status;
            record.questions.clear();
            also(record);
        })
        .await
    }

    /// Ends a task with a failure, unless it has ended.
    async fn fail(&self, id: &str, fault: &Fault) -> Result<(), Fault> {
        self.finish(id, Status::Failed, |record| {
            record.message = Some(fault.message.clone());
            record.error = Some(fault.object());
        })
        .await
    }

    /// Changes a record that has not ended; what changes at the same time elsewhere is not lost.
    async fn change(&self, id: &str, change: impl Fn(&mut Record)) -> Result<(), Fault> {
        loop {
            let Some(old) = self.store.get(&key(id)).await? else { return Err(unknown()) };
            let mut record = decode(&old)?;
            if record.status.is_final() {
                return Ok(());
            }
            change(&mut record);
            record.updated = Timestamp::now();
            if self.store.put(&key(id), encode(&record), self.lifetime + MARGIN, Condition::Is(old)).await? {
                self.changes.tell(&Change::Task(id.to_owned())).await;
                return Ok(());
            }
        }
    }

    async fn signal(&self, id: &str) -> Result<(), Fault> {
        self.store.publish(&key(id), Bytes::new()).await?;
        Ok(())
    }

    async fn is_over(&self, id: &str) -> Result<bool, Fault> {
        Ok(self.read(id).await?.status.is_final())
    }

    async fn read(&self, id: &str) -> Result<Record, Fault> {
        let bytes = self.store.get(&key(id)).await?.ok_or_else(unknown)?;
        Ok(decode(&bytes)?)
    }

    /// The record of a task of this caller; that of anybody else does not exist.
    async fn load(&self, id: &str, context: &Context) -> Result<Record, Fault> {
        let record = self.read(id).await?;
        if record.owner == context.caller.identity() { Ok(record) } else { Err(unknown()) }
    }

    /// A task of this caller, as `tasks/get` shows it.
    pub(super) async fn find(&self, id: &str, context: &Context) -> Result<Map<String, Value>, Fault> {
        let record = self.load(id, context).await?;
        let mut task = shown(id, &record);
        match record.status {
            Status::InputRequired => task.insert("inputRequests".into(), record.questions.into()),
            Status::Completed => task.insert("result".into(), record.result.unwrap_or_default()),
            Status::Failed => task.insert("error".into(), record.error.unwrap_or_default()),
            Status::Working | Status::Cancelled => None,
        };
        Ok(task)
    }
}

/// The part that every answer about a task has.
fn shown(id: &str, record: &Record) -> Map<String, Value> {
    let mut task = Map::new();
    task.insert("taskId".into(), id.into());
    task.insert("status".into(), json!(record.status));
    if let Some(message) = &record.message {
        task.insert("statusMessage".into(), message.clone().into());
    }
    task.insert("createdAt".into(), record.created.to_string().into());
    task.insert("lastUpdatedAt".into(), record.updated.to_string().into());
    task.insert("ttlMs".into(), record.ttl.into());
    task.insert("pollIntervalMs".into(), POLL_INTERVAL.into());
    task
}

fn key(id: &str) -> String {
    format!("task:{id}")
}

fn encode(record: &Record) -> Bytes {
    serde_json::to_vec(record).expect("a record has a JSON form").into()
}

fn decode(bytes: &[u8]) -> Result<Record> {
    serde_json::from_slice(bytes).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Wholes;
    use crate::backends::Backends;
    use crate::caller::{Caller, Effect};
    use crate::store::Memory;
    use crate::toolkit::{Catalogue, Surroundings, Switches};

    fn tasks() -> Tasks {
        let store: Shared = Arc::new(Memory::new(1 << 20));
        let surroundings = Surroundings {
            backends: Arc::new(Backends::new(&crate::backends::Config::default()).unwrap()),
            catalogue: Arc::new(Catalogue::new(&[], &Switches::default(), &|_| true)),
            changes: Changes::new(store.clone()),
            wholes: Wholes::new(store.clone()),
        };
        let dispatch = Arc::new(Dispatch::new(surroundings, store.clone(), Duration::from_secs(60)));
        Tasks::new(store, dispatch, Duration::from_secs(60))
    }

    /// Makes a task of a run, lets `meanwhile` happen before it goes on, and waits for its end.
    async fn ended(tasks: &Tasks, run: Run, meanwhile: impl AsyncFnOnce(&str)) -> Record {
        let context = Context::detached(Arc::new(Caller::local(Effect::Read)), Duration::from_secs(60));
        let task = tasks.create("a_tool", Map::new(), context, run).await.unwrap();
        let id = task["taskId"].as_str().unwrap();
        meanwhile(id).await;
        let wait = async {
            loop {
                let record = tasks.read(id).await.unwrap();
                if record.status.is_final() {
                    return record;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the task ends")
    }

    #[tokio::test]
    async fn a_task_that_hears_more_than_it_can_take_in_goes_on() {
        let tasks = tasks();
        let (done, wait) = tokio::sync::oneshot::channel();
        let run: Run = Box::pin(async move {
            wait.await.map_err(Error::internal)?;
            Ok(Shown::default())
        });
        let record = ended(&tasks, run, async |id| {
            for _ in 0..1_000 {
                tasks.signal(id).await.unwrap();
            }
            done.send(()).unwrap();
        })
        .await;
        assert_eq!(record.status, Status::Completed);
    }

    #[tokio::test]
    async fn a_run_that_breaks_off_leaves_a_failed_task() {
        let run: Run = Box::pin(async { panic!("a defect") });
        let record = ended(&tasks(), run, async |_| {}).await;
        assert_eq!(record.status, Status::Failed);
        assert!(record.message.unwrap().starts_with("internal error"));
    }
}
