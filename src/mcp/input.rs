//! Calls that need an answer of the client: asked for with the result, answered with a retry (basic/patterns/mrtr).

use serde_json::{Map, Value, json};

use super::fault::Fault;
use crate::answers::digest;
use crate::call::{Asked, Client, Context, InputRequest};

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

/// A call that may ask: what it leaves with the client is of use for nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) method: &'static str,
    /// The tool or prompt.
    pub(super) name: &'a str,
    pub(super) arguments: &'a Map<String, Value>,
}

impl Asking<'_> {
    fn seal(&self, state: &Value, context: &Context) -> String {
        let expires = context.now.as_second() + LIFETIME;
        let (identity, arguments) = (context.caller.identity(), digest(self.arguments));
        let bound = ["state", identity.as_str(), self.method, self.name, arguments.as_str()];
        context.signer.seal(&bound, state.to_string().as_bytes(), expires)
    }

    fn open(&self, sealed: &str, context: &Context) -> Option<Value> {
        let (identity, arguments) = (context.caller.identity(), digest(self.arguments));
        let bound = ["state", identity.as_str(), self.method, self.name, arguments.as_str()];
        let content = context.signer.open(&bound, sealed, context.now.as_second()).ok()?;
        serde_json::from_slice(&content).ok()
    }
}

/// Takes over what a retry brought along.
///
/// # Errors
/// -32602 for a state that is not ours, expired, or made for another caller or another call.
pub(super) fn accept(retry: Retry, asking: Asking<'_>, context: &mut Context) -> Result<(), Fault> {
    if let Some(responses) = retry.input_responses {
        context.inputs.responses.extend(responses);
    }
    if let Some(sealed) = retry.request_state {
        let state = asking.open(&sealed, context);
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
pub(super) fn required(asked: &Asked, asking: Asking<'_>, context: &Context) -> Result<Map<String, Value>, Fault> {
    check_capabilities(asked, &context.client)?;
    let mut result = Map::new();
    if !asked.requests.is_empty() {
        result.insert("inputRequests".into(), requests(asked));
    }
    if let Some(state) = &asked.state {
        result.insert("requestState".into(), asking.seal(state, context).into());
    }
    Ok(result)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::caller::{Caller, Effect};

    #[test]
    fn a_state_is_of_use_for_its_own_call_only() {
        let local = Context::detached(Arc::new(Caller::local(Effect::Read)), Duration::from_secs(1));
        let (none, some) = (Map::new(), Map::from_iter([("a".to_owned(), json!(1))]));
        let call = Asking { method: "tools/call", name: "one", arguments: &none };
        let sealed = call.seal(&json!({"step": 1}), &local);
        assert_eq!(call.open(&sealed, &local), Some(json!({"step": 1})));
        for other in [
            Asking { method: "prompts/get", ..call },
            Asking { name: "two", ..call },
            Asking { arguments: &some, ..call },
        ] {
            assert_eq!(other.open(&sealed, &local), None, "{other:?}");
        }
        let ann = Caller { issuer: "api-key".into(), subject: "ann".into(), allowed: Effect::Read };
        let ann = Context { caller: Arc::new(ann), ..local.clone() };
        assert_eq!(call.open(&sealed, &ann), None);
        let late = local.now.checked_add(jiff::SignedDuration::from_secs(LIFETIME + 1)).unwrap();
        assert_eq!(call.open(&sealed, &Context { now: late, ..local }), None);
    }
}
