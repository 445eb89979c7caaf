//! Tools that ask the client before they answer: forms, its model, its roots, over one round or several.

use cloud_native_mcp::call::{Asked, Context, InputRequest};
use cloud_native_mcp::error::{Error, Result};
use cloud_native_mcp::toolkit::{Content, Entry, Policy, Tool, tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::content::words;
use crate::tools::POLICY;

pub(crate) const TOOLS: &[Entry] = &[
    tool::<Sampling>(),
    tool::<Elicitation>(),
    tool::<ElicitationWithDefaults>(),
    tool::<ElicitationWithChoices>(),
    tool::<MissingCapability>(),
    tool::<StreamingElicitation>(),
    tool::<AskForName>(),
    tool::<AskModel>(),
    tool::<AskForRoots>(),
    tool::<AskWithState>(),
    tool::<AskForEverything>(),
    tool::<AskTwice>(),
    tool::<GuardState>(),
    tool::<AskWhatItCan>(),
];

/// A form whose fields must all be filled in.
pub(crate) fn form(message: &str, fields: Value) -> InputRequest {
    let required: Vec<&str> = fields.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let schema = json!({"type": "object", "properties": fields, "required": required});
    InputRequest::Form { message: message.to_owned(), schema }
}

fn sampling(prompt: &str, max_tokens: u32) -> InputRequest {
    InputRequest::Sampling(json!({
        "messages": [{"role": "user", "content": {"type": "text", "text": prompt}}],
        "maxTokens": max_tokens
    }))
}

/// Ends the call with questions.
pub(crate) fn asked<const N: usize>(requests: [(&str, InputRequest); N], state: Option<Value>) -> Error {
    let requests = requests.into_iter().map(|(key, request)| (key.to_owned(), request)).collect();
    Error::InputRequired(Box::new(Asked { requests, state }))
}

/// What the person filled in; none when there is no such answer, or it was not agreed to.
pub(crate) fn filled_in<'a>(context: &'a Context, key: &str) -> Option<&'a Value> {
    let answer = context.inputs.responses.get(key)?;
    if answer.get("action")? == "accept" { answer.get("content") } else { None }
}

/// One field of what the person filled in.
pub(crate) fn field<'a>(context: &'a Context, key: &str, name: &str) -> Option<&'a str> {
    filled_in(context, key)?.get(name)?.as_str()
}

/// Has the client's model say something.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Sampling {
    /// What to say it about.
    prompt: String,
}

impl Tool for Sampling {
    const NAME: &str = "test_sampling";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let answer = context.ask("completion", sampling(&self.prompt, 100))?;
        let text = answer.pointer("/content/text").and_then(Value::as_str).unwrap_or("no text");
        Ok(words(format!("LLM response: {text}")))
    }
}

/// Asks for name and address.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Elicitation {
    /// What to tell the person.
    message: String,
}

impl Tool for Elicitation {
    const NAME: &str = "test_elicitation";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let fields = json!({
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"}
        });
        let answer = context.ask("user", form(&self.message, fields))?;
        Ok(words(format!("User response: {}", outcome(answer))))
    }
}

fn outcome(answer: &Value) -> String {
    let action = answer.get("action").and_then(Value::as_str).unwrap_or("none");
    let content = answer.get("content").cloned().unwrap_or_else(|| json!({}));
    format!("action={action}, content={content}")
}

/// Asks with a form whose fields have defaults (SEP-1034).
#[derive(Serialize, Deserialize, JsonSchema)]
struct ElicitationWithDefaults {}

impl Tool for ElicitationWithDefaults {
    const NAME: &str = "test_elicitation_sep1034_defaults";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let fields = json!({
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true}
        });
        let answer = context.ask("defaults", form("Please confirm or change these values", fields))?;
        Ok(words(format!("Elicitation completed: {}", outcome(answer))))
    }
}

/// Asks with a form that has every kind of choice (SEP-1330).
#[derive(Serialize, Deserialize, JsonSchema)]
struct ElicitationWithChoices {}

impl Tool for ElicitationWithChoices {
    const NAME: &str = "test_elicitation_sep1330_enums";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let plain = json!(["option1", "option2", "option3"]);
        let titled = |noun: &str| {
            json!([
                {"const": "value1", "title": format!("First {noun}")},
                {"const": "value2", "title": format!("Second {noun}")},
                {"const": "value3", "title": format!("Third {noun}")}
            ])
        };
        let fields = json!({
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"]
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}}
        });
        let answer = context.ask("choices", form("Please choose", fields))?;
        Ok(words(format!("Elicitation completed: {}", outcome(answer))))
    }
}

/// Needs a client that has a model.
#[derive(Serialize, Deserialize, JsonSchema)]
struct MissingCapability {}

impl Tool for MissingCapability {
    const NAME: &str = "test_missing_capability";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        context.ask("completion", sampling("Say anything", 10))?;
        Ok(words("The client has a model."))
    }
}

/// Asks, where older revisions would send a request over the stream.
#[derive(Serialize, Deserialize, JsonSchema)]
struct StreamingElicitation {}

impl Tool for StreamingElicitation {
    const NAME: &str = "test_streaming_elicitation";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        context.ask("confirm", form("Please confirm", json!({"ok": {"type": "boolean"}})))?;
        Ok(words("The client answered."))
    }
}

/// Asks for a name.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskForName {}

impl Tool for AskForName {
    const NAME: &str = "test_input_required_result_elicitation";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        match field(context, "user_name", "name") {
            Some(name) => Ok(words(format!("Hello, {name}!"))),
            None => Err(asked([("user_name", ask_name())], None)),
        }
    }
}

pub(crate) fn ask_name() -> InputRequest {
    form("What is your name?", json!({"name": {"type": "string"}}))
}

/// Asks the client's model.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskModel {}

impl Tool for AskModel {
    const NAME: &str = "test_input_required_result_sampling";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let answer = context.ask("capital_question", sampling("What is the capital of France?", 100))?;
        Ok(words(format!("The model says: {}", answer["content"])))
    }
}

/// Asks for the client's roots.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskForRoots {}

impl Tool for AskForRoots {
    const NAME: &str = "test_input_required_result_list_roots";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let answer = context.ask("client_roots", InputRequest::Roots)?;
        Ok(words(format!("The roots: {}", answer["roots"])))
    }
}

/// Asks, and wants its state back with the answer.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskWithState {}

impl Tool for AskWithState {
    const NAME: &str = "test_input_required_result_request_state";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        confirm_with_state(context)
    }
}

/// Asks, and refuses an answer whose state was changed.
#[derive(Serialize, Deserialize, JsonSchema)]
struct GuardState {}

impl Tool for GuardState {
    const NAME: &str = "test_input_required_result_tampered_state";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        confirm_with_state(context)
    }
}

fn confirm_with_state(context: &Context) -> Result<Content> {
    if context.inputs.state.is_some() && filled_in(context, "confirm").is_some() {
        return Ok(words("state-ok"));
    }
    let question = form("Please confirm", json!({"ok": {"type": "boolean"}}));
    Err(asked([("confirm", question)], Some(json!({"asked": true}))))
}

/// Asks for a name, a greeting and the roots at once.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskForEverything {}

impl Tool for AskForEverything {
    const NAME: &str = "test_input_required_result_multiple_inputs";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let answers = &context.inputs.responses;
        let known = |key| answers.contains_key(key);
        if context.inputs.state.is_some() && known("user_name") && known("greeting") && known("client_roots") {
            return Ok(words(format!("{} {}", answers["greeting"], answers["user_name"])));
        }
        let questions = [
            ("user_name", ask_name()),
            ("greeting", sampling("Generate a greeting", 50)),
            ("client_roots", InputRequest::Roots),
        ];
        Err(asked(questions, Some(json!({"asked": true}))))
    }
}

/// Asks twice; the first answer travels in the state of the second question.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskTwice {}

impl Tool for AskTwice {
    const NAME: &str = "test_input_required_result_multi_round";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let kept = context.inputs.state.as_ref().and_then(|state| state.get("name")).and_then(Value::as_str);
        let Some(name) = kept.or_else(|| field(context, "step1", "name")) else {
            let question = form("Step 1: What is your name?", json!({"name": {"type": "string"}}));
            return Err(asked([("step1", question)], Some(json!({"step": 1}))));
        };
        let Some(color) = field(context, "step2", "color") else {
            let question = form("Step 2: What is your favorite color?", json!({"color": {"type": "string"}}));
            return Err(asked([("step2", question)], Some(json!({"step": 2, "name": name}))));
        };
        Ok(words(format!("{name} likes {color}.")))
    }
}

/// Asks only what the client says that it can be asked.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskWhatItCan {}

impl Tool for AskWhatItCan {
    const NAME: &str = "test_input_required_result_capabilities";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let question = [("model", sampling("Say anything", 10)), ("form", ask_name())]
            .into_iter()
            .find(|(_, request)| context.client.can(request.capability()));
        match question {
            Some((key, request)) => {
                let answer = context.ask(key, request)?;
                Ok(words(format!("The client answered: {answer}")))
            }
            None => Ok(words("The client cannot be asked anything.")),
        }
    }
}
