//! Tools that go on as tasks, and one that does not.

use std::time::Duration;

use cloud_native_mcp::call::Context;
use cloud_native_mcp::error::{Error, Result};
use cloud_native_mcp::toolkit::{Content, Entry, Policy, Tool, tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::content::words;
use crate::input::{ask_name, asked, field, filled_in, form};
use crate::tools::POLICY;

pub(crate) const TOOLS: &[Entry] = &[
    tool::<Greet>(),
    tool::<SlowCompute>(),
    tool::<FailingJob>(),
    tool::<ProtocolErrorJob>(),
    tool::<ConfirmDelete>(),
    tool::<MultiInput>(),
    tool::<AskThenWork>(),
];

/// Greets, at once.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Greet {
    /// Whom to greet.
    name: String,
}

impl Tool for Greet {
    const NAME: &str = "greet";
    const POLICY: Policy = POLICY;
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Ok(words(format!("Hello, {}!", self.name)))
    }
}

/// Takes its time.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SlowCompute {
    /// How long it takes, in seconds.
    #[serde(default)]
    seconds: u64,
    /// Comes back with the answer.
    label: Option<String>,
}

impl Tool for SlowCompute {
    const NAME: &str = "slow_compute";
    const POLICY: Policy = POLICY.longest(120).may_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        Ok(words(format!("{} took {} s", self.label.as_deref().unwrap_or("It"), self.seconds)))
    }
}

/// Is always a task, and fails.
#[derive(Serialize, Deserialize, JsonSchema)]
struct FailingJob {}

impl Tool for FailingJob {
    const NAME: &str = "failing_job";
    const POLICY: Policy = POLICY.must_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(Error::Unavailable("This job intentionally fails".into()))
    }
}

/// Is always a task, and ends with an error of the protocol.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ProtocolErrorJob {}

impl Tool for ProtocolErrorJob {
    const NAME: &str = "protocol_error_job";
    const POLICY: Policy = POLICY.must_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, _: &Context) -> Result<Content> {
        Err(Error::internal("this job intentionally ends with a protocol error"))
    }
}

/// Is always a task, and asks before it goes on.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ConfirmDelete {
    /// What would be deleted.
    #[serde(default)]
    filename: String,
}

impl Tool for ConfirmDelete {
    const NAME: &str = "confirm_delete";
    const POLICY: Policy = POLICY.must_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let question = form(&format!("Delete {}?", self.filename), json!({"confirm": {"type": "boolean"}}));
        context.ask("confirmation", question)?;
        let confirmed = filled_in(context, "confirmation").is_some_and(|answer| answer["confirm"] == true);
        Ok(words(format!("{} was {}deleted.", self.filename, if confirmed { "" } else { "not " })))
    }
}

/// Is always a task, and asks two things at once.
#[derive(Serialize, Deserialize, JsonSchema)]
struct MultiInput {}

impl Tool for MultiInput {
    const NAME: &str = "multi_input";
    const POLICY: Policy = POLICY.must_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let answers = &context.inputs.responses;
        if answers.contains_key("first") && answers.contains_key("second") {
            return Ok(words("Both were answered."));
        }
        Err(asked([("first", ask_name()), ("second", ask_name())], None))
    }
}

/// Asks at once, and works as a task when it has the answer.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AskThenWork {}

impl Tool for AskThenWork {
    const NAME: &str = "test_tool_with_task";
    const POLICY: Policy = POLICY.may_be_task();
    type Backend = Context;
    type Output = Content;

    async fn call(self, context: &Context) -> Result<Content> {
        let Some(name) = field(context, "user_name", "name") else {
            return Err(asked([("user_name", ask_name())], None));
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(words(format!("Hello, {name}!")))
    }
}
