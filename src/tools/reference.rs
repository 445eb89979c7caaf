//! docs/TOOLS.md, from the list of tools.

use serde_json::Value;

use super::{prompts, topics};
use crate::toolkit::{Catalogue, Described, Kind, Switches, schema};

/// The reference of all tools and prompts, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let topics = topics();
    let catalogue = Catalogue::new(&topics, &Switches::everything(&topics), &|_| true);
    let mut text = "# Tools\n\n\
        This page is generated from the program; `cloud-native-mcp tools show NAME` shows one tool.\n\n\
        Effect: read changes nothing, write can be undone, destroy deletes or disrupts.\n\
        Tools of the default toolset are listed for every client; all others with their toolset (`/mcp?toolsets=NAME` or \
        the header `X-MCP-Toolsets`), and `tools_search` finds them.\n\
        Every tool refuses arguments that it does not know.\n"
        .to_owned();
    let mut topic = "";
    for tool in catalogue.all() {
        if tool.topic != topic {
            topic = tool.topic;
            text.push_str(&format!("\n## {topic}\n"));
        }
        write_tool(&mut text, tool);
    }
    text.push_str("\n## Prompts\n\n| prompt | arguments | what it is for |\n| --- | --- | --- |\n");
    for prompt in prompts() {
        let arguments: Vec<String> = prompt
            .arguments()
            .iter()
            .map(|argument| {
                let star = if argument["required"] == true { "*" } else { "" };
                format!("{}{star}", argument["name"].as_str().unwrap_or_default())
            })
            .collect();
        text.push_str(&format!("| `{}` | {} | {} |\n", prompt.name, arguments.join(", "), (prompt.description)()));
    }
    text
}

fn write_tool(text: &mut String, tool: &Described) {
    let policy = &tool.entry.policy;
    text.push_str(&format!("\n### `{}`\n\n{}\n\n", tool.entry.name, tool.description));
    let mut facts = vec![
        format!("effect {}", policy.effect.label()),
        format!("needs {:?}", policy.permission),
        format!("cost {}", format!("{:?}", policy.cost).to_lowercase()),
    ];
    if policy.default_toolset {
        facts.push("in the default toolset".into());
    }
    if matches!(tool.entry.kind, Kind::FanOut(..)) {
        facts.push("several instances in one call".into());
    }
    if policy.permission.is_guarded() {
        facts.push("off until `tools.on` names it in full".into());
    }
    text.push_str(&facts.join("; "));
    text.push_str(".\n");
    let older: Vec<String> =
        tool.entry.replaces.iter().filter(|name| **name != tool.entry.name).map(|name| format!("`{name}`")).collect();
    if !older.is_empty() {
        text.push_str(&format!("Also found as {}.\n", older.join(", ")));
    }
    let required: Vec<&str> = schema::required(&tool.schema).collect();
    if tool.arguments().next().is_none() {
        return;
    }
    text.push_str("\n| argument | type | default | what it is |\n| --- | --- | --- | --- |\n");
    for (name, schema) in tool.arguments() {
        let star = if required.contains(&name.as_str()) { "*" } else { "" };
        let default = schema.get("default").map(|value| format!("`{value}`")).unwrap_or_default();
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = description.replace('\n', " ").replace('|', "\\|");
        text.push_str(&format!("| `{name}`{star} | {} | {default} | {description} |\n", kind(schema)));
    }
}

/// The type of an argument in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        return alternatives.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => format!("list of {}", schema.get("items").map_or("anything".into(), kind)),
        Some("string") => "text".into(),
        Some("integer" | "number") => "number".into(),
        Some("boolean") => "true or false".into(),
        Some(other) => other.to_owned(),
        None => "anything".into(),
    }
}
