//! Prompts: texts that people start a conversation with. The arguments are the prompt, as with tools.

use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::arguments::read;
use super::{Reader, schema};
use crate::call::Context;
use crate::caller::Effect;
use crate::error::Result;

/// A prompt.
pub trait Prompt: DeserializeOwned + JsonSchema + Send + 'static {
    /// Its name.
    const NAME: &'static str;
    /// The services it is about: it is shown when one of them is configured. None means always.
    const SERVICES: &'static [&'static str] = &[];
    /// What a caller must be allowed to do for it to be of use.
    const EFFECT: Effect = Effect::Read;

    /// The messages it stands for, as MCP's `PromptMessage`.
    ///
    /// # Errors
    /// [`crate::error::Error::BadArguments`] for values that cannot be used, [`crate::error::Error::InputRequired`] to ask
    /// the client first.
    fn messages(self, context: &Context) -> Result<Vec<Value>>;

    /// What could stand in an argument of which `typed` is there already.
    #[must_use]
    fn complete(
        argument: &str,
        typed: &str,
        reader: &dyn Reader,
        context: &Context,
    ) -> impl Future<Output = Result<Vec<String>>> + Send {
        let _ = (argument, typed, reader, context);
        async { Ok(Vec::new()) }
    }
}

/// A message of the person, with one text.
#[must_use]
pub fn user_message(text: impl Into<String>) -> Value {
    json!({"role": "user", "content": {"type": "text", "text": text.into()}})
}

type Completion<'a> = Pin<Box<dyn Future<Output = Result<Vec<String>>> + Send + 'a>>;

/// A prompt with its types erased, as lists hold it.
#[derive(Clone, Copy, Debug)]
pub struct PromptEntry {
    /// Its name.
    pub name: &'static str,
    /// The services it is about.
    pub services: &'static [&'static str],
    /// What a caller must be allowed to do for it to be of use.
    pub effect: Effect,
    /// Its doc comment.
    pub description: fn() -> String,
    /// The schema of its arguments.
    pub schema: fn() -> Map<String, Value>,
    /// Its messages.
    pub messages: fn(Map<String, Value>, &Context) -> Result<Vec<Value>>,
    /// Completes an argument.
    pub complete: for<'a> fn(&'a str, &'a str, &'a dyn Reader, &'a Context) -> Completion<'a>,
}

/// Lists a prompt.
#[must_use]
pub const fn prompt<P: Prompt>() -> PromptEntry {
    PromptEntry {
        name: P::NAME,
        services: P::SERVICES,
        effect: P::EFFECT,
        description: schema::description::<P>,
        schema: schema::of::<P>,
        messages: messages::<P>,
        complete: |argument, typed, reader, context| Box::pin(P::complete(argument, typed, reader, context)),
    }
}

fn messages<P: Prompt>(arguments: Map<String, Value>, context: &Context) -> Result<Vec<Value>> {
    let prompt: P = read(arguments)?;
    prompt.messages(context)
}

impl PromptEntry {
    /// Its arguments as MCP's `PromptArgument`.
    #[must_use]
    pub fn arguments(&self) -> Vec<Value> {
        let schema = (self.schema)();
        let required: Vec<&str> = schema::required(&schema).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| {
                let mut argument = json!({"name": name, "required": required.contains(&name.as_str())});
                if let Some(description) = schema.get("description") {
                    argument["description"] = description.clone();
                }
                argument
            })
            .collect()
    }
}
