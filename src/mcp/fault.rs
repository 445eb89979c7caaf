//! Protocol errors: JSON-RPC error objects and the HTTP status they travel with.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::era::Revision;
use crate::error::{Code, Error};

/// A JSON-RPC error (JSON-RPC 2.0 §5.1; codes of MCP 2026-07-28, basic/index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: i64,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Details that a program can use.
    pub data: Option<Value>,
    /// The HTTP status for clients of 2026-07-28.
    pub status: StatusCode,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Fault {
    fn new(code: i64, status: StatusCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, status, retry_after: None }
    }

    /// Not JSON at all.
    pub fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, StatusCode::BAD_REQUEST, message)
    }

    /// JSON, but no JSON-RPC message of this protocol.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, StatusCode::BAD_REQUEST, message)
    }

    /// There is no such method here.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        let method: String = method.chars().take(80).collect();
        Self::new(-32601, StatusCode::NOT_FOUND, format!("there is no method `{}` here", method.escape_debug()))
    }

    /// The parameters cannot be used.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, StatusCode::OK, message)
    }

    /// The `_meta` that 2026-07-28 asks for is missing or malformed.
    pub fn invalid_meta(message: impl Into<String>) -> Self {
        Self::new(-32602, StatusCode::BAD_REQUEST, message)
    }

    /// A header says something else than the body.
    pub fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(-32020, StatusCode::BAD_REQUEST, message)
    }

    /// The request needs something that the client did not declare.
    #[must_use]
    pub fn missing_capability(path: &[&str]) -> Self {
        let required = path.iter().rev().fold(json!({}), |inner, name| json!({ *name: inner }));
        let mut fault = Self::new(
            -32021,
            StatusCode::BAD_REQUEST,
            format!("this needs the client capability `{}`, which this request does not declare", path.join(".")),
        );
        fault.data = Some(json!({"requiredCapabilities": required}));
        fault
    }

    /// The revision is not one of ours.
    #[must_use]
    pub fn unsupported_version(requested: &str) -> Self {
        let mut fault = Self::new(-32022, StatusCode::BAD_REQUEST, "this protocol version is not supported");
        fault.data = Some(json!({"supported": Revision::names(), "requested": requested}));
        fault
    }

    /// There is no such resource.
    #[must_use]
    pub fn resource_not_found(uri: &str, revision: Revision) -> Self {
        let code = if revision.is_modern() { -32602 } else { -32002 };
        let mut fault =
            Self::new(code, StatusCode::OK, "there is no such resource; `resources/list` shows those that are");
        fault.data = Some(json!({ "uri": uri }));
        fault
    }

    /// The error object.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut object = json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            object["data"] = data.clone();
        }
        object
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = error.code();
        let message = crate::telemetry::told(&error);
        let status = match code {
            Code::Unauthenticated | Code::Forbidden | Code::TooManyCalls => code.http(),
            _ => StatusCode::OK,
        };
        let mut fault = Self::new(code.json_rpc(), status, message);
        if let Error::TooManyCalls { retry_after } = error {
            fault.retry_after = Some(retry_after);
            fault.data = Some(json!({"retryAfter": retry_after.as_secs().max(1)}));
        }
        fault
    }
}
