//! `call`: one tool, from the command line.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cloud_native_mcp::call::Context;
use cloud_native_mcp::mcp::{Outcome, Request, Revision};
use cloud_native_mcp::remote::Remote;
use serde_json::{Map, Value, json};

use super::{Options, all_tools, build, fail, say, usage};

/// The longest that a call from the command line may take.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tool, as `tools list` shows it.
    tool: String,
    /// Its arguments; lists repeat the key, anything but text is JSON.
    #[arg(value_name = "KEY=VALUE")]
    arguments: Vec<String>,
    /// Print the structured result as JSON.
    #[arg(long)]
    json: bool,
    /// Ask a server that runs, for example <http://127.0.0.1:8080/mcp>; in this process when absent.
    #[arg(long)]
    url: Option<String>,
    /// API key for --url.
    #[arg(long, env = "CLOUD_NATIVE_MCP_API_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// Calls the tool and prints its answer: exit 1 when it tells of a failure, 2 when the call itself is wrong.
pub(crate) async fn run(options: &Options, given: Arguments) -> ExitCode {
    let arguments = match read(&given) {
        Ok(arguments) => arguments,
        Err(message) => return usage(&message),
    };
    let result = match &given.url {
        Some(url) => match Remote::new(url, given.key.as_deref()) {
            Ok(remote) => remote.call(&given.tool, &arguments, PATIENCE).await,
            Err(message) => return usage(&message),
        },
        None => match in_process(options, &given.tool, &arguments).await {
            Ok(result) => result,
            Err(code) => return code,
        },
    };
    match result {
        Ok(result) => show(&result, given.json),
        Err(message) => fail(&message),
    }
}

async fn in_process(
    options: &Options,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Result<Result<Value, String>, ExitCode> {
    let (app, ..) = build(options).await?;
    let context = Context::detached(Arc::new(app.local().clone()), PATIENCE);
    let params = json!({"name": tool, "arguments": arguments}).to_string().into();
    let request = Request { method: "tools/call".into(), params, revision: Revision::V2026_07_28 };
    Ok(match app.edge().engine.call(&request, context).await {
        Ok(Outcome::Complete(result)) => serde_json::from_slice(&result).map_err(|error| error.to_string()),
        Ok(_) => Err("the tool asks for input, which cannot be given here".into()),
        Err(fault) => return Err(usage(&fault.message)),
    })
}

/// `key=value` words as arguments, each in the form that the tool's schema wants.
fn read(given: &Arguments) -> Result<Map<String, Value>, String> {
    let catalogue = all_tools();
    let tool = catalogue.all().iter().find(|tool| tool.entry.name == given.tool);
    let mut arguments = Map::new();
    for word in &given.arguments {
        let (key, text) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("`{word}` is not KEY=VALUE; `tools show {}` lists the arguments", given.tool))?;
        let kind = tool.and_then(|tool| {
            tool.arguments()
                .find(|(name, _)| *name == key)
                .map(|(_, schema)| schema.get("type").and_then(Value::as_str))
        });
        match kind {
            Some(Some("array")) => {
                let list = arguments.entry(key).or_insert_with(|| json!([]));
                match (serde_json::from_str(text), list) {
                    (Ok(Value::Array(items)), Value::Array(list)) => list.extend(items),
                    (_, Value::Array(list)) => list.push(text.into()),
                    _ => {}
                }
            }
            Some(Some("string")) => {
                arguments.insert(key.to_owned(), text.into());
            }
            // One or several, such as `instance`: a list where it looks like one.
            _ => {
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
                match arguments.get_mut(key) {
                    None => {
                        arguments.insert(key.to_owned(), value);
                    }
                    Some(Value::Array(list)) => list.push(value),
                    Some(first) => *first = json!([first.take(), value]),
                }
            }
        }
    }
    Ok(arguments)
}

fn show(result: &Value, as_json: bool) -> ExitCode {
    let failed = result.get("isError") == Some(&Value::Bool(true));
    let text = match result.get("structuredContent") {
        Some(structured) if as_json => serde_json::to_string_pretty(structured).unwrap_or_default(),
        _ if as_json => serde_json::to_string_pretty(&result["content"]).unwrap_or_default(),
        _ => {
            let blocks = result.get("content").and_then(Value::as_array).into_iter().flatten();
            let texts: Vec<String> = blocks
                .map(|block| block.get("text").and_then(Value::as_str).map_or_else(|| block.to_string(), str::to_owned))
                .collect();
            texts.join("\n")
        }
    };
    match say(&text) {
        ExitCode::SUCCESS if failed => ExitCode::FAILURE,
        code => code,
    }
}
