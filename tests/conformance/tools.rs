//! Tools that answer by themselves: every kind of content, errors, notifications, schemas and headers.

use std::time::Duration;

use cloud_native_mcp::call::{Context, LogLevel};
use cloud_native_mcp::changes::Change;
use cloud_native_mcp::error::{Error, Result};
use cloud_native_mcp::toolkit::{Content, Entry, Permission, Policy, Surroundings, Tool, tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::content::{audio, content, image, resource, text, words};

/// The suite calls the first tool without arguments, so it must be one that needs none.
pub(crate) const TOOLS: &[Entry] = &[
    tool::<SimpleText>(),
    tool::<ImageContent>(),
    tool::<AudioContent>(),
    tool::<EmbeddedResource>(),
    tool::<MultipleContentTypes>(),
    tool::<ErrorHandling>(),
    tool::<ToolWithLogging>(),
    tool::<LoggingTool>(),
    tool::<ToolWithProgress>(),
    tool::<Reconnection>(),
    full_schema(),
    tool::<CustomHeader>(),
    tool::<TriggerToolChange>(),
    tool::<TriggerPromptChange>(),
    tool::<TriggerResourceChange>(),
];

/// What all fixtures may do: nothing, for everybody.
pub(crate) const POLICY: Policy = Policy::read(Permission::AnyCaller).light().by_default();

/// The time between two steps of a tool that takes its time.
const STEP: Duration = Duration::from_millis(50);

/// Progress is told at most every 100 ms, so that steps of that kind take longer.
const TOLD_STEP: Duration = Duration::from_millis(120);

/// Answers with text.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SimpleText {}

impl Tool for SimpleText {
    const NAME: &str = "test_simple_text";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(words("This is a simple text response for testing."))
    }
}

/// Answers with an image.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ImageContent {}

impl Tool for ImageContent {
    const NAME: &str = "test_image_content";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(content([image()]))
    }
}

/// Answers with sound.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AudioContent {}

impl Tool for AudioContent {
    const NAME: &str = "test_audio_content";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(content([audio()]))
    }
}

/// Answers with a resource.
#[derive(Serialize, Deserialize, JsonSchema)]
struct EmbeddedResource {}

impl Tool for EmbeddedResource {
    const NAME: &str = "test_embedded_resource";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(content([resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]))
    }
}

/// Answers with text, an image and a resource.
#[derive(Serialize, Deserialize, JsonSchema)]
struct MultipleContentTypes {}

impl Tool for MultipleContentTypes {
    const NAME: &str = "test_multiple_content_types";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(content([
            text("Multiple content types test:"),
            image(),
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]))
    }
}

/// Fails.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ErrorHandling {}

impl Tool for ErrorHandling {
    const NAME: &str = "test_error_handling";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Err(Error::Unavailable("This tool intentionally returns an error for testing".into()))
    }
}

/// Sends log messages while it works.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ToolWithLogging {}

impl Tool for ToolWithLogging {
    const NAME: &str = "test_tool_with_logging";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            log(context, message);
            tokio::time::sleep(STEP).await;
        }
        Ok(words("Three messages were logged."))
    }
}

/// Sends one log message.
#[derive(Serialize, Deserialize, JsonSchema)]
struct LoggingTool {}

impl Tool for LoggingTool {
    const NAME: &str = "test_logging_tool";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        log(context, "Tool execution started");
        Ok(words("One message was logged."))
    }
}

fn log(context: &Context, message: &str) {
    context.log(LogLevel::Info, "conformance", &json!(message));
}

/// Tells how far it is.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ToolWithProgress {}

impl Tool for ToolWithProgress {
    const NAME: &str = "test_tool_with_progress";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        for done in [0.0, 50.0, 100.0] {
            context.outbox.progress(done, Some(100.0), "working");
            tokio::time::sleep(TOLD_STEP).await;
        }
        Ok(words("Progress was told three times."))
    }
}

/// Lets its stream be closed before it is done; the answer is there for a client that comes back.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Reconnection {}

impl Tool for Reconnection {
    const NAME: &str = "test_reconnection";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        tokio::time::sleep(STEP * 2).await;
        context.outbox.close_stream();
        tokio::time::sleep(STEP * 4).await;
        Ok(words("Reconnection test completed"))
    }
}

/// Has a schema with keywords that no Rust type has.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FullSchema {
    name: Option<String>,
    address: Option<Map<String, Value>>,
    contact_method: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

impl Tool for FullSchema {
    const NAME: &str = "json_schema_2020_12_tool";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(words(serde_json::to_string(&self).map_err(Error::internal)?))
    }
}

const fn full_schema() -> Entry {
    let mut entry = tool::<FullSchema>();
    entry.schema = || {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
                }
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"}
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false
        });
        serde_json::from_value(schema).expect("it is an object")
    };
    entry
}

/// Has an argument that clients mirror in a header.
#[derive(Serialize, Deserialize, JsonSchema)]
struct CustomHeader {
    /// Any text, also in the header `Mcp-Param-Region`.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

impl Tool for CustomHeader {
    const NAME: &str = "test_custom_header";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(words(format!("Region: {}", self.region)))
    }
}

/// Tells everybody who listens that the list of tools is another one.
#[derive(Serialize, Deserialize, JsonSchema)]
struct TriggerToolChange {}

impl Tool for TriggerToolChange {
    const NAME: &str = "test_trigger_tool_change";
    const POLICY: Policy = POLICY;
    type Backend = (Surroundings, Context);
    type Output = Content;

    async fn call(self, (surroundings, _): &(Surroundings, Context)) -> Result<Content> {
        tell(surroundings, &Change::Tools).await
    }
}

/// Tells everybody who listens that the list of prompts is another one.
#[derive(Serialize, Deserialize, JsonSchema)]
struct TriggerPromptChange {}

impl Tool for TriggerPromptChange {
    const NAME: &str = "test_trigger_prompt_change";
    const POLICY: Policy = POLICY;
    type Backend = (Surroundings, Context);
    type Output = Content;

    async fn call(self, (surroundings, _): &(Surroundings, Context)) -> Result<Content> {
        tell(surroundings, &Change::Prompts).await
    }
}

/// Tells everybody who follows `test://watched-resource` that it is another one.
#[derive(Serialize, Deserialize, JsonSchema)]
struct TriggerResourceChange {}

impl Tool for TriggerResourceChange {
    const NAME: &str = "test_trigger_resource_change";
    const POLICY: Policy = POLICY;
    type Backend = (Surroundings, Context);
    type Output = Content;

    async fn call(self, (surroundings, _): &(Surroundings, Context)) -> Result<Content> {
        tell(surroundings, &Change::Resource(crate::resources::WATCHED.into())).await
    }
}

/// Nothing really changes: the suite compares lists from before and after.
async fn tell(surroundings: &Surroundings, change: &Change) -> Result<Content> {
    surroundings.changes.tell(change).await;
    Ok(words("The change was told."))
}
