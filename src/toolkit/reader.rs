//! How resources, prompts and completions get at what tools tell.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::Surroundings;
use crate::answers::Answer;
use crate::call::Context;
use crate::error::Result;

/// Asks tools in the name of a caller: with its rights, counted, logged and timed as its own calls are.
#[async_trait]
pub trait Reader: Send + Sync {
    /// What there is.
    fn surroundings(&self) -> &Surroundings;

    /// All that a tool answers; none where it does not read, or the caller cannot call it from where it asks.
    async fn read(&self, tool: &str, arguments: Map<String, Value>, context: &Context) -> Result<Option<Answer>>;
}

/// The names of a service's instances, for a caller that can ask them anything.
#[must_use]
pub fn instance_names(service: &str, surroundings: &Surroundings, context: &Context) -> Vec<String> {
    let asks = surroundings.catalogue.reachable(context).any(|tool| tool.entry.service == Some(service));
    if asks { surroundings.backends.names(service) } else { Vec::new() }
}
