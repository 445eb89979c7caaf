//! JSON-RPC messages as they come in: parameters stay text until somebody needs them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::fault::Fault;

/// The id of a request: a whole number or text (MCP narrows JSON-RPC 2.0 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// Comes back with the answer.
        id: Id,
        /// What to do.
        method: String,
        /// With what: a JSON object as text, or nothing.
        params: Bytes,
    },
    /// Wants none.
    Notification {
        /// What happened.
        method: String,
        /// With what.
        params: Bytes,
    },
    /// The answer to a request of ours.
    Response {
        /// The id of our request.
        id: Id,
        /// Its result, or the error instead.
        result: Result<Bytes, Bytes>,
    },
}

impl Message {
    /// Method and parameters of a request.
    #[must_use]
    pub fn request(&self) -> Option<(&str, &Bytes)> {
        match self {
            Self::Request { method, params, .. } => Some((method, params)),
            _ => None,
        }
    }
}

/// What a body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// One message.
    Single(Message),
    /// Several (2025-03-26 only). Those that are no messages are faults.
    Batch(Vec<Result<Message, (Option<Id>, Fault)>>),
}

/// Messages that one batch may hold.
const MOST_IN_BATCH: usize = 100;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a body.
///
/// # Errors
/// The fault, with the id of the request where it could be read.
pub fn parse(body: &Bytes) -> Result<Envelope, (Option<Id>, Fault)> {
    let broken = |error: serde_json::Error| (None, Fault::parse(format!("the body is not JSON: {error}")));
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| {
            // JSON that is no object, or whose members have the wrong types, is a request all the same.
            if serde_json::from_slice::<Value>(body).is_ok() {
                (None, Fault::invalid_request("this is not a JSON-RPC 2.0 message: it must be one object"))
            } else {
                broken(error)
            }
        })?;
        return message(body, &raw).map(Envelope::Single);
    }
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(broken)?;
    if items.is_empty() || items.len() > MOST_IN_BATCH {
        return Err((None, Fault::invalid_request(format!("a batch holds 1 to {MOST_IN_BATCH} messages"))));
    }
    let read = |item: &RawValue| match serde_json::from_str::<Raw<'_>>(item.get()) {
        Ok(raw) => message(body, &raw),
        Err(_) => Err((None, Fault::invalid_request("an item of the batch is not a JSON-RPC 2.0 message"))),
    };
    Ok(Envelope::Batch(items.into_iter().map(read).collect()))
}

fn message(body: &Bytes, raw: &Raw<'_>) -> Result<Message, (Option<Id>, Fault)> {
    let id = raw.id.map(|id| serde_json::from_str::<Id>(id.get()));
    let known = || id.as_ref().and_then(|id| id.as_ref().ok()).cloned();
    let refuse = |message: &str| Err((known(), Fault::invalid_request(message)));
    if raw.jsonrpc.as_deref() != Some("2.0") {
        return refuse("`jsonrpc` must be \"2.0\"");
    }
    let part = |part: Option<&RawValue>| part.map_or_else(Bytes::new, |part| body.slice_ref(part.get().as_bytes()));
    match (&raw.method, &id, raw.result, raw.error) {
        (Some(_) | None, Some(Err(_)), ..) => refuse("`id` must be text or a whole number"),
        (Some(_), _, Some(_), _) | (Some(_), _, _, Some(_)) | (None, _, Some(_), Some(_)) => {
            refuse("a message is a request, or a result, or an error")
        }
        (Some(method), ..) => {
            if raw.params.is_some_and(|params| !params.get().starts_with('{')) {
                return refuse("`params` must be an object");
            }
            let (method, params) = (method.clone().into_owned(), part(raw.params));
            Ok(match known() {
                Some(id) => Message::Request { id, method, params },
                None => Message::Notification { method, params },
            })
        }
        (None, Some(Ok(id)), Some(_), None) => Ok(Message::Response { id: id.clone(), result: Ok(part(raw.result)) }),
        (None, Some(Ok(id)), None, Some(_)) => Ok(Message::Response { id: id.clone(), result: Err(part(raw.error)) }),
        (None, ..) => refuse("`method` is missing"),
    }
}

/// The bytes of a response that carries a result, which is JSON text already.
#[must_use]
pub fn result(id: &Id, result: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(result.len() + 48);
    text.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    serde_json::to_writer(&mut text, id).expect("an id has a JSON form");
    text.extend_from_slice(b",\"result\":");
    text.extend_from_slice(result);
    text.push(b'}');
    text.into()
}

/// The bytes of a response that carries an error. Where the id is not known, there is none: `null` is no id.
#[must_use]
pub fn error(id: Option<&Id>, fault: &Fault) -> Bytes {
    let mut response = json!({"jsonrpc": "2.0"});
    if let Some(id) = id {
        response["id"] = json!(id);
    }
    response["error"] = fault.object();
    response.to_string().into()
}

/// The bytes of a notification.
#[must_use]
pub fn notification(method: &str, params: &Value) -> Bytes {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string().into()
}

/// The bytes of a request of ours.
#[must_use]
pub fn request(id: &str, method: &str, params: &Value) -> Bytes {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Envelope, (Option<Id>, Fault)> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        assert_eq!(
            read(r#" {"jsonrpc":"2.0","id":"a","method":"x\u0041","params":{"b": 1}}"#).unwrap(),
            Envelope::Single(Message::Request {
                id: Id::Text("a".into()),
                method: "xA".into(),
                params: r#"{"b": 1}"#.into()
            })
        );
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","method":"x"}"#).unwrap(),
            Envelope::Single(Message::Notification { method: "x".into(), params: Bytes::new() })
        );
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":7,"result":null}"#).unwrap(),
            Envelope::Single(Message::Response { id: Id::Number(7), result: Ok("null".into()) })
        );
        assert!(matches!(read(r#"[{"jsonrpc":"2.0","id":1,"method":"x"}, 3]"#).unwrap(),
            Envelope::Batch(items) if items[0].is_ok() && items[1].is_err()));
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_id_if_there_is_one() {
        for (text, code, id) in [
            ("", -32700, None),
            ("{", -32700, None),
            ("7", -32600, None),
            ("[]", -32600, None),
            (r#"{"id":1,"method":"x"}"#, -32600, Some(1)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, -32600, Some(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600, Some(1)),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, -32600, Some(1)),
        ] {
            let (known, fault) = read(text).unwrap_err();
            assert_eq!((fault.code, known), (code, id.map(Id::Number)), "{text}");
        }
    }
}
