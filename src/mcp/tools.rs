//! `tools/list` and `tools/call`.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::era::Revision;
use super::fault::Fault;
use super::input::{self, Asking, Retry};
use super::{Engine, Outcome, Request, cacheable, quoted, refuse_cursor};
use crate::call::{Context, Scope};
use crate::caller::Effect;
use crate::dispatch::Shown;
use crate::error::{Code, Error};
use crate::toolkit::{Catalogue, Cost, Described, Kind};

/// How long a client may keep the list, in milliseconds.
const FRESH_FOR: u64 = 300_000;

/// Lists that are kept as text; scopes are chosen by callers, so their number has a bound.
const MOST_LISTS: usize = 256;

/// Lists as text, for each set of rights, part of the catalogue, and revision.
#[derive(Debug, Default)]
pub(super) struct Lists {
    texts: RwLock<HashMap<(Scope, Effect, Revision), Bytes>>,
}

/// Name, arguments, and what a retry brought along.
fn params(request: &Request) -> Result<(String, Map<String, Value>, Retry), Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        name: std::borrow::Cow<'a, str>,
        #[serde(borrow, default)]
        arguments: Option<&'a RawValue>,
        #[serde(default)]
        input_responses: Option<Map<String, Value>>,
        #[serde(default)]
        request_state: Option<String>,
    }
    let params: Params<'_> = serde_json::from_slice(&request.params).map_err(|error| {
        Fault::invalid_params(format!("params: {error}; `tools/call` takes `name` and `arguments`"))
    })?;
    let arguments = match params.arguments.map(RawValue::get) {
        None | Some("null") => Map::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|_| Fault::invalid_params("arguments: must be an object of names and values"))?,
    };
    let retry = Retry { input_responses: params.input_responses, request_state: params.request_state };
    Ok((params.name.into_owned(), arguments, retry))
}

impl Engine {
    pub(super) fn list_tools(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        refuse_cursor(&request.params)?;
        let key = (context.scope.as_ref().clone(), context.caller.allowed, request.revision);
        if let Some(text) = self.lists.texts.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Outcome::Complete(text.clone()));
        }
        let catalogue = &self.dispatch.surroundings().catalogue;
        let tools: Vec<Value> = catalogue.listed(context).map(|tool| listed(tool, request.revision)).collect();
        let mut result = Map::new();
        result.insert("tools".into(), tools.into());
        cacheable(request.revision, &mut result, FRESH_FOR);
        let text = self.encode(request.revision, "complete", &result);
        let mut texts = self.lists.texts.write().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= MOST_LISTS {
            texts.clear();
        }
        texts.insert(key, text.clone());
        Ok(Outcome::Complete(text))
    }

    /// How much work a call makes: that of the tool which is really meant. One that cannot be made is light.
    pub(super) fn cost_of_call(&self, params: &Bytes, context: &Context) -> Cost {
        #[derive(Deserialize)]
        struct Call<'a> {
            #[serde(borrow)]
            name: std::borrow::Cow<'a, str>,
            #[serde(borrow, default)]
            arguments: Option<&'a RawValue>,
        }
        let catalogue = &self.dispatch.surroundings().catalogue;
        let cost = |call: &Call<'_>| {
            let tool = catalogue.find(&call.name, context)?;
            let Kind::Forward(target) = tool.entry.kind else { return Some(tool.entry.policy.cost) };
            let arguments = serde_json::from_str(call.arguments?.get()).ok()?;
            let (name, _) = target(arguments).ok()?;
            Some(catalogue.find(&name, context)?.entry.policy.cost)
        };
        serde_json::from_slice(params).ok().and_then(|call| cost(&call)).unwrap_or(Cost::Light)
    }

    pub(super) async fn call_tool(&self, request: &Request, mut context: Context) -> Result<Outcome, Fault> {
        let (name, arguments, retry) = params(request)?;
        let catalogue = self.dispatch.surroundings().catalogue.clone();
        let Some(tool) = catalogue.find(&name, &context) else {
            return Err(Fault::invalid_params(unreachable(&name, &catalogue, &context)));
        };
        let asking = Asking { method: "tools/call", name: tool.entry.name, arguments: &arguments };
        input::accept(retry, asking, &mut context)?;
        if let Some(outcome) = self.as_task(tool, &arguments, &context, request.revision).await? {
            return Ok(outcome);
        }
        match self.dispatch.call(tool, arguments.clone(), &context).await {
            Ok(shown) => Ok(self.complete(request.revision, result(shown, request.revision))),
            Err(error) => self.unfinished(error, asking, &context, request.revision),
        }
    }

    /// A call that did not come to an answer.
    pub(super) fn unfinished(
        &self,
        error: Error,
        asking: Asking<'_>,
        context: &Context,
        revision: Revision,
    ) -> Result<Outcome, Fault> {
        let asked = match error {
            Error::InputRequired(asked) => asked,
            error if error.code() == Code::Internal && asking.method == "tools/call" => {
                let shown = Shown { text: Fault::from(error).message, failed: true, ..Shown::default() };
                return Ok(self.complete(revision, result(shown, revision)));
            }
            other => return Err(other.into()),
        };
        if revision.is_modern() {
            let result = input::required(&asked, asking, context)?;
            Ok(Outcome::InputRequired { result, asked })
        } else {
            input::check_capabilities(&asked, &context.client)?;
            Ok(Outcome::InputRequired { result: Map::new(), asked })
        }
    }
}

/// Why a tool cannot be called, and what would help.
fn unreachable(name: &str, catalogue: &Catalogue, context: &Context) -> String {
    if let Some(reason) = catalogue.absent(name) {
        return format!("{} {reason}; `server_list_backends` shows what is there", quoted(name));
    }
    let (wanted, granted) = match catalogue.all().iter().find(|tool| tool.entry.name == name) {
        Some(tool) => (tool.entry.policy.effect, context.caller.allowed),
        None => return format!("there is no tool {} here; find one with `tools_search`", quoted(name)),
    };
    if wanted > granted {
        return format!(
            "{} needs the right to {}, and you may {}; an operator grants more with `allow`, of your key or of the server",
            quoted(name),
            wanted.label(),
            granted.label()
        );
    }
    format!("{} is not part of this endpoint or of the toolsets that you asked for; /mcp has all tools", quoted(name))
}

/// A tool as a list shows it.
fn listed(tool: &Described, revision: Revision) -> Value {
    let mut listed = json!({
        "name": tool.entry.name,
        "description": tool.description,
        "inputSchema": tool.schema,
    });
    let policy = &tool.entry.policy;
    if revision >= Revision::V2025_03_26 {
        listed["annotations"] = json!({
            "readOnlyHint": policy.effect == Effect::Read,
            "destructiveHint": policy.effect == Effect::Destroy,
            "idempotentHint": policy.idempotent,
            "openWorldHint": tool.entry.service.is_some(),
        });
    }
    if revision >= Revision::V2025_06_18
        && let Some(schema) = &tool.output_schema
    {
        listed["outputSchema"] = Value::Object(schema.clone());
    }
    listed
}

/// `CallToolResult` in the form of a revision.
pub(super) fn result(shown: Shown, revision: Revision) -> Map<String, Value> {
    let mut content = shown.blocks;
    if revision < Revision::V2025_06_18 {
        content.retain(|block| block["type"] != "resource_link");
    }
    if !shown.text.is_empty() || content.is_empty() {
        content.insert(0, json!({"type": "text", "text": shown.text}));
    }
    let mut result = Map::new();
    result.insert("content".into(), content.into());
    if let Some(structured) = shown.structured
        && revision >= Revision::V2025_06_18
        && (revision.is_modern() || structured.is_object())
    {
        result.insert("structuredContent".into(), structured);
    }
    if shown.failed {
        result.insert("isError".into(), true.into());
    }
    result
}
