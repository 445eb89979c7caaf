//! Nothing is destroyed unasked, and a plan is carried out as it was shown.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answers::{Answer, digest};
use crate::call::{Asked, Context, InputRequest};
use crate::caller::Effect;
use crate::error::{Error, Result};
use crate::secrets::random_token;
use crate::store::{Condition, Shared};
use crate::toolkit::Described;

/// How long a plan can be carried out.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The key of the question, and of its answer.
const QUESTION: &str = "confirm";

/// What a dry run showed: to be carried out once, by the same caller.
#[derive(Serialize, Deserialize)]
struct Plan {
    owner: String,
    tool: String,
    digest: String,
    #[serde(default)]
    planned: Value,
}

/// A call that may be carried out.
pub(super) struct Checked {
    /// Its arguments, without the plan.
    pub(super) arguments: Map<String, Value>,
    /// Whether nothing is to be changed.
    pub(super) dry_run: bool,
    /// What its plan held fast.
    pub(super) plan: Option<Value>,
}

/// Asks where something would be destroyed, and takes up a plan.
pub(super) async fn check(
    tool: &Described,
    mut arguments: Map<String, Value>,
    context: &Context,
    store: &Shared,
) -> Result<Checked> {
    if tool.entry.policy.effect == Effect::Read {
        return Ok(Checked { arguments, dry_run: false, plan: None });
    }
    if arguments.get("dry_run") == Some(&Value::Bool(true)) {
        arguments.shift_remove("plan");
        return Ok(Checked { arguments, dry_run: true, plan: None });
    }
    let id = match arguments.shift_remove("plan") {
        Some(Value::String(id)) => Some(id),
        _ => None,
    };
    let plan = match &id {
        Some(id) => Some(look_up(tool, &arguments, id, context, store).await?),
        None => None,
    };
    if tool.entry.policy.effect == Effect::Destroy && context.client.can(&["elicitation", "form"]) {
        ask(tool, &arguments, context, store).await?;
    }
    // Whoever removes it carries it out: twice is not possible. A call that ends with a question leaves it.
    if let Some(id) = &id
        && !store.remove(&key(id)).await?
    {
        return Err(no_such_plan());
    }
    Ok(Checked { arguments, dry_run: false, plan })
}

/// Puts a plan with the answer of a dry run, for tools that take one.
pub(super) async fn plan(
    tool: &Described,
    arguments: &Map<String, Value>,
    context: &Context,
    store: &Shared,
    answer: &mut Answer,
) -> Result<()> {
    if !tool.arguments().any(|(name, _)| name == "plan") {
        return Ok(());
    }
    let plan = Plan {
        owner: context.caller.identity(),
        tool: tool.entry.name.to_owned(),
        digest: digest(&without_dry_run(arguments)),
        planned: answer.planned.take().unwrap_or_default(),
    };
    let id = random_token("plan-");
    let value = serde_json::to_vec(&plan).map_err(Error::internal)?;
    store.put(&key(&id), value.into(), LIFETIME, Condition::Always).await?;
    answer.notes.push(format!(
        "Nothing was changed. To carry it out within 15 minutes, repeat the call with plan \"{id}\" instead of dry_run."
    ));
    Ok(())
}

async fn look_up(
    tool: &Described,
    arguments: &Map<String, Value>,
    id: &str,
    context: &Context,
    store: &Shared,
) -> Result<Value> {
    let value = store.get(&key(id)).await?.ok_or_else(no_such_plan)?;
    let plan: Plan = serde_json::from_slice(&value).map_err(Error::internal)?;
    let fits = plan.owner == context.caller.identity()
        && plan.tool == tool.entry.name
        && plan.digest == digest(&without_dry_run(arguments));
    if fits { Ok(plan.planned) } else { Err(no_such_plan()) }
}

fn no_such_plan() -> Error {
    Error::BadArguments(
        "plan: there is no such plan for this call; a plan is good for 15 minutes, once, for the caller and the arguments \
         it was made for. Make another one with dry_run."
            .into(),
    )
}

async fn ask(tool: &Described, arguments: &Map<String, Value>, context: &Context, store: &Shared) -> Result<()> {
    let question = context.inputs.state.as_ref().filter(|state| state["confirm"] == tool.entry.name);
    let question = question.and_then(|state| state["question"].as_str());
    let (Some(question), Some(answer)) = (question, context.inputs.responses.get(QUESTION)) else {
        let state = json!({"confirm": tool.entry.name, "question": random_token("")});
        let message = format!(
            "{} Really carry out {} with {}?",
            tool.purpose(),
            tool.entry.name,
            Value::Object(arguments.clone())
        );
        let schema = json!({
            "type": "object",
            "properties": {"confirm": {"type": "boolean", "title": "Carry it out", "default": false}},
            "required": ["confirm"]
        });
        let requests = [(QUESTION.to_owned(), InputRequest::Form { message, schema })].into();
        return Err(Error::InputRequired(Box::new(Asked { requests, state: Some(state) })));
    };
    // One answer confirms one call: who repeats it is asked again.
    let unused = store.put(&format!("answered:{question}"), Bytes::new(), LIFETIME, Condition::Absent).await?;
    if !unused {
        return Err(Error::Forbidden(
            "this confirmation was used already; call again without it to be asked again".into(),
        ));
    }
    let agreed = answer.get("action").and_then(Value::as_str) == Some("accept")
        && answer.pointer("/content/confirm") == Some(&Value::Bool(true));
    if agreed { Ok(()) } else { Err(Error::Forbidden("it was not confirmed, so nothing was changed".into())) }
}

fn without_dry_run(arguments: &Map<String, Value>) -> Map<String, Value> {
    arguments.iter().filter(|(name, _)| *name != "dry_run").map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn key(id: &str) -> String {
    format!("plan:{id}")
}
