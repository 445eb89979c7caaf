//! Tools that are asked on behalf of resources, prompts and completions.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Dispatch, Record};
use crate::answers::Answer;
use crate::call::Context;
use crate::caller::Effect;
use crate::error::Result;
use crate::toolkit::{Reader, Surroundings};
use crate::worker;

#[async_trait]
impl Reader for Dispatch {
    fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    async fn read(&self, tool: &str, arguments: Map<String, Value>, context: &Context) -> Result<Option<Answer>> {
        let found = self.surroundings.catalogue.find(tool, context);
        let Some(tool) = found.filter(|tool| tool.entry.policy.effect == Effect::Read && !tool.forwards()) else {
            return Ok(None);
        };
        let mut record = Record::begin(tool.entry.name, context);
        let answer = worker::run(tool, arguments, context, &self.surroundings, self.default_timeout).await;
        record.outcome = match &answer {
            Ok(answer) if answer.failed => "failed",
            Ok(_) => "ok",
            Err(error) => error.code().label(),
        };
        answer.map(Some)
    }
}
