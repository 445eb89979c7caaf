//! Calls that go on after their answer: the extension `io.modelcontextprotocol/tasks`.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

/// How long a task and its result are kept.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How often a client should ask, in milliseconds.
const POLL_INTERVAL: u64 = 1_000;

/// A call that takes longer than this becomes a task, where it may.
const GRACE: Duration = Duration::from_millis(100);

/// Tasks that run in one process at a time.
const MOST_RUNNING: usize = 256;

/// Keeps and runs tasks.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    store: Shared,
    changes: Changes,
    dispatch: Arc<Dispatch>,
    running: Arc<Semaphore>,
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
    Fault::invalid_params("taskId: there is no such task; tasks are kept for an hour, for their caller only")
}

impl Tasks {
    pub(super) fn new(store: Shared, dispatch: Arc<Dispatch>) -> Self {
        Self { changes: Changes::new(store.clone()), store, dispatch, running: Arc::new(Semaphore::new(MOST_RUNNING)) }
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
        let place = self
            .running
            .clone()
            .try_acquire_owned()
            .map_err(|_| Fault::from(Error::TooManyCalls { retry_after: Duration::from_secs(5) }))?;
        let id = random_token("task-");
        let now = Timestamp::now();
        let record = Record {
            owner: context.caller.identity(),
            status: Status::Working,
            message: None,
            created: now,
            updated: now,
            questions: Map::new(),
            answers: BTreeMap::new(),
            result: None,
            error: None,
        };
        let signals = self.store.subscribe(&key(&id)).await?;
        self.store.put(&key(&id), encode(&record), LIFETIME, Condition::Absent).await?;
        let task = shown(&id, &record);
        let tasks = self.clone();
        tokio::spawn(async move {
            let _place = place;
            if let Err(fault) = tasks.drive(&id, tool, arguments, context, run, signals).await {
                tracing::warn!(task.id = id, error = fault.message, "a task is lost");
            }
        });
        Ok(task)
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
                        if signal.is_none() || self.is_over(id).await? {
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
                Err(error) => {
                    let fault = Fault::from(error);
                    return self
                        .finish(id, Status::Failed, |record| {
                            record.message = Some(fault.message.clone());
                            record.error = Some(fault.object());
                        })
                        .await;
                }
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
            self.finish(id, Status::Failed, |record| record.error = Some(fault.object())).await?;
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
                return Ok(None);
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
            if self.store.put(&key(id), encode(&record), LIFETIME, Condition::Is(old)).await? {
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
    task.insert("ttlMs".into(), json!(LIFETIME.as_secs() * 1000));
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
