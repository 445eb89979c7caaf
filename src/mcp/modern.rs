//! Requests of 2026-07-28 stand for themselves: what each must carry, and how headers mirror it (basic/transports).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::era::Revision;
use super::fault::Fault;
use super::{Engine, meta};
use crate::call::{Client, Context, LogLevel, Trace};

/// The `_meta` of a request.
#[derive(Debug, Default, Deserialize)]
pub struct RequestMeta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", default)]
    version: Option<Value>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default)]
    capabilities: Option<Value>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", default)]
    log_level: Option<Value>,
    /// Names the progress that the client wants to hear of.
    #[serde(rename = "progressToken", default)]
    pub progress_token: Option<Value>,
    #[serde(default)]
    traceparent: Option<Value>,
    #[serde(default)]
    tracestate: Option<Value>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "_meta", default)]
    meta: Option<RequestMeta>,
}

impl RequestMeta {
    /// The `_meta` of a request's parameters; none where there is none, or it is no object.
    #[must_use]
    pub fn read(params: &Bytes) -> Option<Self> {
        serde_json::from_slice::<Params>(params).ok()?.meta
    }

    /// Whether it names a revision, as only requests of 2026-07-28 and later do.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.version.is_some()
    }

    /// The revision it names, before anybody looked whether it is served.
    ///
    /// # Errors
    /// -32602 where a required key is missing or malformed.
    pub fn version(&self) -> Result<&str, Fault> {
        let version = self.version.as_ref().and_then(Value::as_str);
        let missing = |key: &str, what: &str| Fault::invalid_meta(format!("_meta: `{key}` must be there, as {what}"));
        if !self.capabilities.as_ref().is_some_and(Value::is_object) {
            return Err(missing(meta::CLIENT_CAPABILITIES, "an object"));
        }
        version.ok_or_else(|| missing(meta::PROTOCOL_VERSION, "text"))
    }

    /// Puts what it says into the circumstances of the call.
    ///
    /// # Errors
    /// -32602 for a log level that RFC 5424 does not know.
    pub fn apply(&mut self, context: &mut Context) -> Result<(), Fault> {
        let log_level = match self.log_level.take() {
            None => None,
            Some(level) => Some(serde_json::from_value::<LogLevel>(level).map_err(|_| {
                Fault::invalid_meta(format!("_meta: `{}` is one of the levels of RFC 5424", meta::LOG_LEVEL))
            })?),
        };
        let capabilities = match self.capabilities.take() {
            Some(Value::Object(capabilities)) => capabilities,
            _ => Map::new(),
        };
        context.client = Client { capabilities: capabilities.into(), log_level };
        if let Some(parent) = self.traceparent.as_ref().and_then(Value::as_str).filter(|parent| is_traceparent(parent))
        {
            let state = self.tracestate.as_ref().and_then(Value::as_str).filter(|state| is_plain(state));
            context.trace = Trace { parent: Some(parent.to_owned()), state: state.map(str::to_owned) };
        }
        Ok(())
    }
}

/// Whether a text has the form of `traceparent` (W3C Trace Context §3.2.2), so that it can go into a header.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').map(|part| (part.len(), part)).collect();
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    matches!(parts.as_slice(), [(2, _), (32, trace), (16, span), (2, _)]
        if parts.iter().all(|(_, part)| hex(part)) && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0'))
}

/// Whether a text can go into a header.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The parameters that headers mirror.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    task_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl Engine {
    /// Checks that the headers of a request say what its body says.
    ///
    /// # Errors
    /// -32020 for a header that is missing or says something else, -32601 for a method that is not served.
    pub fn check_headers<'h>(
        &self,
        method: &str,
        params: &Bytes,
        context: &Context,
        header: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> Result<(), Fault> {
        let Some(given) = header("mcp-method") else {
            return Err(Fault::header_mismatch("the header `Mcp-Method` is missing"));
        };
        if given != method.as_bytes() {
            return Err(Fault::header_mismatch("the header `Mcp-Method` names another method than the body"));
        }
        if !self.knows(method, Revision::V2026_07_28) {
            return Err(Fault::method_not_found(method));
        }
        if !matches!(
            method,
            "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel"
        ) {
            return Ok(());
        }
        let named: Named<'_> =
            serde_json::from_slice(params).map_err(|error| Fault::invalid_params(format!("params: {error}")))?;
        let name = match method {
            "resources/read" => &named.uri,
            "tools/call" | "prompts/get" => &named.name,
            _ => &named.task_id,
        };
        let Some(given) = header("mcp-name") else {
            return Err(Fault::header_mismatch("the header `Mcp-Name` is missing"));
        };
        let given = decode(given).ok_or_else(|| Fault::header_mismatch("the header `Mcp-Name` cannot be decoded"))?;
        if name.as_deref().is_some_and(|name| name.as_bytes() != given.as_ref()) {
            return Err(Fault::header_mismatch("the header `Mcp-Name` names another one than the body"));
        }
        match name {
            Some(name) if method == "tools/call" => self.check_arguments(name, named.arguments, context, header),
            _ => Ok(()),
        }
    }

    /// Arguments that a tool mirrors in headers (`x-mcp-header`).
    fn check_arguments<'h>(
        &self,
        tool: &str,
        arguments: Option<&RawValue>,
        context: &Context,
        header: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> Result<(), Fault> {
        let Some(tool) = self.dispatch().surroundings().catalogue.find(tool, context) else { return Ok(()) };
        if tool.headers.is_empty() {
            return Ok(());
        }
        let arguments: Value =
            arguments.and_then(|arguments| serde_json::from_str(arguments.get()).ok()).unwrap_or_default();
        for (pointer, name) in &tool.headers {
            let value = arguments.pointer(pointer).filter(|value| !value.is_null());
            let Some(value) = value else { continue };
            let wrong = |what: &str| Fault::header_mismatch(format!("the header `Mcp-Param-{name}` {what}"));
            let given =
                header(&format!("mcp-param-{}", name.to_ascii_lowercase())).ok_or_else(|| wrong("is missing"))?;
            let given = decode(given).ok_or_else(|| wrong("cannot be decoded"))?;
            if !is_same(value, &given) {
                return Err(wrong("says something else than the argument"));
            }
        }
        Ok(())
    }
}

fn is_same(value: &Value, given: &[u8]) -> bool {
    match value {
        Value::String(text) => text.as_bytes() == given,
        Value::Number(number) => {
            std::str::from_utf8(given).ok().and_then(|given| given.parse::<f64>().ok()) == number.as_f64()
        }
        other => other.to_string().as_bytes() == given,
    }
}

/// A header value; `=?base64?…?=` carries what plain headers cannot.
fn decode(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let value = value.trim_ascii();
    let encoded = value.strip_prefix(b"=?base64?").and_then(|value| value.strip_suffix(b"?="));
    match encoded {
        Some(encoded) => STANDARD.decode(encoded).ok().map(Cow::Owned),
        None => value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')).then_some(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_plain_or_strict_base64() {
        let read = |value: &str| decode(value.as_bytes()).map(|value| String::from_utf8(value.into_owned()).unwrap());
        assert_eq!(read(" Hello ").as_deref(), Some("Hello"));
        assert_eq!(read("=?base64?SGVsbG8=?=").as_deref(), Some("Hello"));
        assert_eq!(read("SGVsbG8=").as_deref(), Some("SGVsbG8="));
        assert_eq!(read("=?base64?SGVsbG8=").as_deref(), Some("=?base64?SGVsbG8="));
        for wrong in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "hällo"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_trace_parent_has_its_form_or_is_ignored() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for wrong in [
            "",
            "00-0-0-0",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }
}
