//! `prompts/list` and `prompts/get`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::input::{self, Asking, Retry};
use super::{Engine, Outcome, Request, cacheable, quoted, read, refuse_cursor};
use crate::call::Context;
use crate::caller::Effect;
use crate::error::Error;
use crate::rights::permits;
use crate::toolkit::PromptEntry;

/// How long a client may keep the list, in milliseconds.
const FRESH_FOR: u64 = 300_000;

#[derive(Deserialize)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    #[serde(flatten)]
    retry: Retry,
}

impl Engine {
    pub(super) fn list_prompts(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        refuse_cursor(&request.params)?;
        let prompts: Vec<Value> = self
            .offer
            .prompts
            .iter()
            .filter(|prompt| is_served(prompt, context))
            .map(|prompt| {
                json!({"name": prompt.name, "description": (prompt.description)(), "arguments": prompt.arguments()})
            })
            .collect();
        let mut result = Map::new();
        result.insert("prompts".into(), prompts.into());
        cacheable(request.revision, &mut result, FRESH_FOR);
        Ok(self.complete(request.revision, result))
    }

    pub(super) fn get_prompt(&self, request: &Request, mut context: Context) -> Result<Outcome, Fault> {
        let params: Params = read(&request.params)?;
        let arguments = params.arguments.unwrap_or_default();
        let prompt = self.prompt(&params.name, &context)?;
        let known = prompt.arguments();
        let known: Vec<&str> = known.iter().filter_map(|argument| argument["name"].as_str()).collect();
        if let Some(unknown) = arguments.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Fault::invalid_params(format!(
                "unknown argument {}; allowed: {}",
                quoted(unknown),
                known.join(", ")
            )));
        }
        let asking = Asking { method: "prompts/get", name: prompt.name, arguments: &arguments };
        input::accept(params.retry, asking, &mut context)?;
        match (prompt.messages)(arguments.clone(), &context) {
            Ok(messages) => {
                let mut result = Map::new();
                result.insert("description".into(), (prompt.description)().into());
                result.insert("messages".into(), messages.into());
                Ok(self.complete(request.revision, result))
            }
            Err(Error::BadArguments(message)) => Err(Fault::invalid_params(message)),
            Err(error) => self.unfinished(error, asking, &context, request.revision),
        }
    }

    pub(super) fn prompt(&self, name: &str, context: &Context) -> Result<&PromptEntry, Fault> {
        self.offer.prompts.iter().find(|prompt| prompt.name == name && is_served(prompt, context)).ok_or_else(|| {
            Fault::invalid_params(format!("there is no prompt {}; `prompts/list` shows those that are", quoted(name)))
        })
    }
}

/// Whether the endpoint of the request has to do with a prompt, and the caller may do what it speaks of.
fn is_served(prompt: &PromptEntry, context: &Context) -> bool {
    let service = context.scope.service.as_deref();
    let is_of_service = prompt.services.is_empty() || service.is_none_or(|service| prompt.services.contains(&service));
    let may = permits(&context.caller, prompt.effect) && (prompt.effect == Effect::Read || !context.scope.readonly);
    is_of_service && may
}
