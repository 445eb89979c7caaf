//! Prometheus and what speaks its HTTP API (prometheus.io/docs/prometheus/latest/querying/api).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rest::{Request, Shared, shorten};
use crate::call::Context;
use crate::error::Result;

/// A handle on one Prometheus for one call.
#[derive(Debug)]
pub struct Prometheus {
    rest: Shared,
    /// The circumstances of the call.
    pub context: Context,
}

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
pub struct Envelope<T> {
    /// What was asked for.
    pub data: T,
    /// Doubts about the result; it is there nevertheless.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Remarks on the query (from 3.0).
    #[serde(default)]
    pub infos: Vec<String>,
}

impl<T> Envelope<T> {
    /// Warnings and remarks, made safe to show.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.warnings.iter().chain(&self.infos).map(|text| shorten(text)).collect()
    }
}

impl Prometheus {
    pub(super) fn new(rest: Shared, context: Context) -> Self {
        Self { rest, context }
    }

    /// The client, for endpoints outside of `/api/v1`.
    #[must_use]
    pub fn rest(&self) -> &Shared {
        &self.rest
    }

    /// Sends a request and takes its answer out of the envelope.
    ///
    /// # Errors
    /// Those of [`super::rest::Rest::ask`]; a rejected query is [`crate::error::Error::BadArguments`] in the words of
    /// Prometheus.
    pub async fn ask<T: DeserializeOwned + Send + 'static>(&self, request: Request) -> Result<Envelope<T>> {
        self.rest.ask(request, &self.context).await
    }
}

/// `error` of a failed answer.
pub(super) fn message(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Failed {
        error: String,
    }
    serde_json::from_slice::<Failed>(body).ok().map(|failed| shorten(&failed.error))
}
