//! Alertmanager's API v2 (github.com/prometheus/alertmanager, api/v2/openapi.yaml).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rest::{Request, Shared, shorten};
use crate::call::Context;
use crate::error::Result;

/// A handle on one Alertmanager for one call.
#[derive(Debug)]
pub struct Alertmanager {
    rest: Shared,
    /// The circumstances of the call.
    pub context: Context,
}

impl Alertmanager {
    pub(super) fn new(rest: Shared, context: Context) -> Self {
        Self { rest, context }
    }

    /// The client, for endpoints whose answer is no JSON.
    #[must_use]
    pub fn rest(&self) -> &Shared {
        &self.rest
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Those of [`super::rest::Rest::ask`]; a rejected argument is [`crate::error::Error::BadArguments`] in the words of
    /// Alertmanager.
    pub async fn ask<T: DeserializeOwned + Send + 'static>(&self, request: Request) -> Result<T> {
        self.rest.ask(request, &self.context).await
    }
}

/// A failed answer is a JSON string, or an object with `message` where the request itself was malformed.
pub(super) fn message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Failed {
        Text(String),
        Object { message: String },
    }
    match serde_json::from_slice(body).ok()? {
        Failed::Text(message) | Failed::Object { message } => Some(shorten(&message)),
    }
}
