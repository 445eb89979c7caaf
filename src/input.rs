//! What a call asks of the client, and of the person behind it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What a call asks of the client before it can go on.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The requests, each under the key that its answer will have.
    pub requests: BTreeMap<String, InputRequest>,
    /// State for the retry: signed before it leaves, and bound to caller, method and arguments.
    pub state: Option<Value>,
}

/// One request to the client.
#[derive(Clone, Debug)]
pub enum InputRequest {
    /// A form for the person: `elicitation/create`.
    Form {
        /// What to tell the person.
        message: String,
        /// JSON schema of the answer: flat, primitive properties only.
        schema: Value,
    },
    /// A page for the person to open: `elicitation/create` in URL mode.
    Url {
        /// What to tell the person.
        message: String,
        /// Where to go.
        url: String,
        /// Names this elicitation in later notifications.
        id: String,
    },
    /// A completion of the client's model: `sampling/createMessage` with these parameters.
    Sampling(Value),
    /// The client's roots: `roots/list`.
    Roots,
}

impl InputRequest {
    /// Method and parameters of the request on the wire.
    #[must_use]
    pub fn wire(&self) -> (&'static str, Value) {
        match self {
            Self::Form { message, schema } => {
                ("elicitation/create", json!({"mode": "form", "message": message, "requestedSchema": schema}))
            }
            Self::Url { message, url, id } => {
                ("elicitation/create", json!({"mode": "url", "message": message, "url": url, "elicitationId": id}))
            }
            Self::Sampling(params) => ("sampling/createMessage", params.clone()),
            Self::Roots => ("roots/list", json!({})),
        }
    }

    /// The capability a client must have declared to be asked this.
    #[must_use]
    pub fn capability(&self) -> &'static [&'static str] {
        match self {
            Self::Form { .. } => &["elicitation", "form"],
            Self::Url { .. } => &["elicitation", "url"],
            Self::Sampling(_) => &["sampling"],
            Self::Roots => &["roots"],
        }
    }
}
