//! Prompts: without arguments, with them, with more than text, and one that asks first.

use cloud_native_mcp::call::Context;
use cloud_native_mcp::error::Result;
use cloud_native_mcp::toolkit::{Prompt, PromptEntry, Reader, prompt, user_message};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::content::{image, resource};
use crate::input::{asked, field, form};

pub(crate) const PROMPTS: &[PromptEntry] = &[
    prompt::<SimplePrompt>(),
    prompt::<PromptWithArguments>(),
    prompt::<PromptWithEmbeddedResource>(),
    prompt::<PromptWithImage>(),
    prompt::<PromptThatAsks>(),
];

/// A message of the person, with any block.
fn message(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

/// Stands for one text.
#[derive(Deserialize, JsonSchema)]
struct SimplePrompt {}

impl Prompt for SimplePrompt {
    const NAME: &str = "test_simple_prompt";

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        Ok(vec![user_message("This is a simple prompt for testing.")])
    }
}

/// Repeats its arguments.
#[derive(Deserialize, JsonSchema)]
struct PromptWithArguments {
    /// The first one.
    arg1: String,
    /// The second one.
    arg2: String,
}

impl Prompt for PromptWithArguments {
    const NAME: &str = "test_prompt_with_arguments";

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        Ok(vec![user_message(format!("Prompt with arguments: arg1='{}', arg2='{}'", self.arg1, self.arg2))])
    }

    async fn complete(_: &str, _: &str, _: &dyn Reader, _: &Context) -> Result<Vec<String>> {
        Ok(["test", "testing", "latest"].map(String::from).into())
    }
}

/// Carries a resource.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PromptWithEmbeddedResource {
    /// The URI it is shown under.
    resource_uri: String,
}

impl Prompt for PromptWithEmbeddedResource {
    const NAME: &str = "test_prompt_with_embedded_resource";

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let embedded = resource(&self.resource_uri, "text/plain", "Embedded resource content for testing.");
        Ok(vec![message(embedded), user_message("Please process the embedded resource above.")])
    }
}

/// Carries an image.
#[derive(Deserialize, JsonSchema)]
struct PromptWithImage {}

impl Prompt for PromptWithImage {
    const NAME: &str = "test_prompt_with_image";

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        Ok(vec![message(image()), user_message("Please analyze the image above.")])
    }
}

/// Asks the person before it says anything.
#[derive(Deserialize, JsonSchema)]
struct PromptThatAsks {}

impl Prompt for PromptThatAsks {
    const NAME: &str = "test_input_required_result_prompt";

    fn messages(self, context: &Context) -> Result<Vec<Value>> {
        let Some(known) = field(context, "user_context", "context") else {
            let question = form("What context should the prompt use?", json!({"context": {"type": "string"}}));
            return Err(asked([("user_context", question)], None));
        };
        Ok(vec![user_message(format!("Use this context: {known}"))])
    }
}
