//! Calls that need an answer of the client: asked for with the result, answered with a retry (basic/patterns/mrtr).

use serde_json::{Map, Value, json};

use super::fault::Fault;
use crate::answers::digest;
use crate::call::{Asked, Client, Context, InputRequest};
use crate::secrets::Signer;

/// How long a client may take to answer, in seconds.
const LIFETIME: i64 = 900;

/// What a retry brought along: `inputResponses` and `requestState`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Retry {
    #[serde(default)]
    pub(super) input_responses: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) request_state: Option<String>,
}

/// Takes over what a retry brought along.
///
/// # Errors
/// -32602 for a state that is not ours, expired, or made for another caller, method or other arguments.
pub(super) fn accept(
    retry: Retry,
    method: &str,
    arguments: &Map<String, Value>,
    context: &mut Context,
) -> Result<(), Fault> {
    if let Some(responses) = retry.input_responses {
        context.inputs.responses.extend(responses);
    }
    if let Some(state) = retry.request_state {
        let (identity, digest) = (context.caller.identity(), digest(arguments));
        let opened = context.signer.open(&["state", &identity, method, &digest], &state, context.now.as_second());
        let state = opened.ok().and_then(|content| serde_json::from_slice(&content).ok());
        context.inputs.state = Some(state.ok_or_else(|| {
            Fault::invalid_params("requestState: not valid for this call: changed, expired, or made for another one")
        })?);
    }
    Ok(())
}

/// The result that asks.
///
/// # Errors
/// -32021 where the client did not declare what it would be asked.
pub(super) fn required(
    asked: &Asked,
    method: &str,
    arguments: &Map<String, Value>,
    context: &Context,
) -> Result<Map<String, Value>, Fault> {
    check_capabilities(asked, &context.client)?;
    let mut result = Map::new();
    result.insert("resultType".into(), "input_required".into());
    if !asked.requests.is_empty() {
        result.insert("inputRequests".into(), requests(asked));
    }
    if let Some(state) = &asked.state {
        result.insert("requestState".into(), seal(&context.signer, state, method, arguments, context).into());
    }
    Ok(result)
}

fn seal(signer: &Signer, state: &Value, method: &str, arguments: &Map<String, Value>, context: &Context) -> String {
    let content = state.to_string();
    let (identity, digest) = (context.caller.identity(), digest(arguments));
    signer.seal(&["state", &identity, method, &digest], content.as_bytes(), context.now.as_second() + LIFETIME)
}

/// The requests as 2026-07-28 carries them: by key, without JSON-RPC around them.
pub(super) fn requests(asked: &Asked) -> Value {
    let entries = asked.requests.iter().map(|(key, request)| {
        let (method, mut params) = request.wire();
        // The field went with 2026-07-28: the state of the request says the same.
        if matches!(request, InputRequest::Url { .. })
            && let Value::Object(params) = &mut params
        {
            params.remove("elicitationId");
        }
        (key.clone(), json!({"method": method, "params": params}))
    });
    Value::Object(entries.collect())
}

/// Refuses to ask a client what it did not say it can be asked.
pub(crate) fn check_capabilities(asked: &Asked, client: &Client) -> Result<(), Fault> {
    match asked.requests.values().find(|request| !client.can(request.capability())) {
        Some(request) => Err(Fault::missing_capability(request.capability())),
        None => Ok(()),
    }
}
