//! The catalogue as data: every name that is told exists, and every description is a sentence of bearable length.

use std::collections::HashSet;

use cloud_native_mcp::app::INSTRUCTIONS;
use cloud_native_mcp::call::Context;
use cloud_native_mcp::caller::{Caller, Effect};
use cloud_native_mcp::toolkit::{Catalogue, Described, PromptEntry, Switches};
use cloud_native_mcp::tools;
use regex::Regex;
use serde_json::{Map, Value};

/// Characters of the first sentence of a tool, and of all that is said of it.
const LONGEST_PURPOSE: usize = 120;
const LONGEST_DESCRIPTION: usize = 700;

/// Characters of what is said of one argument.
const LONGEST_ARGUMENT: usize = 320;

fn catalogue() -> Catalogue {
    let topics = tools::topics();
    Catalogue::new(&topics, &Switches::everything(&topics), &|_| true)
}

/// Every description in a schema, with where it is.
fn descriptions(place: &str, schema: &Value, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "description" => found.push((place.to_owned(), text.to_owned())),
                    _ => descriptions(&format!("{place}.{key}"), value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| descriptions(place, item, found)),
        _ => {}
    }
}

/// Every text that a model or a person gets to read, with where it is.
fn texts(catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut found = vec![("instructions".to_owned(), INSTRUCTIONS.to_owned())];
    for tool in catalogue.all() {
        let name = tool.entry.name;
        found.push((name.to_owned(), tool.description.clone()));
        descriptions(name, &Value::Object(tool.schema.clone()), &mut found);
        descriptions(name, &Value::Object(tool.output_schema.clone().unwrap_or_default()), &mut found);
    }
    let context = Context::detached(Caller::local(Effect::Read).into(), std::time::Duration::from_secs(1));
    for prompt in tools::prompts() {
        found.push((prompt.name.to_owned(), (prompt.description)()));
        descriptions(prompt.name, &Value::Object((prompt.schema)()), &mut found);
        let messages = (prompt.messages)(example(&prompt), &context).unwrap();
        found.push((format!("messages of {}", prompt.name), Value::from(messages).to_string()));
    }
    found
}

/// A value for every argument.
fn example(prompt: &PromptEntry) -> Map<String, Value> {
    prompt.arguments().iter().map(|argument| (argument["name"].as_str().unwrap().to_owned(), "x".into())).collect()
}

#[test]
fn every_tool_that_is_named_exists() {
    let catalogue = catalogue();
    let names: HashSet<&str> = catalogue.all().iter().map(|tool| tool.entry.name).collect();
    let services: HashSet<&str> = catalogue.all().iter().filter_map(|tool| tool.entry.name.split('_').next()).collect();
    let quoted = Regex::new("`([a-z]+(?:_[a-z]+)+)`").unwrap();
    let mut wrong = Vec::new();
    for (place, text) in texts(&catalogue) {
        for name in quoted.captures_iter(&text).map(|found| found.extract::<1>().1[0]) {
            let is_of_a_service = services.contains(name.split('_').next().unwrap_or_default());
            if is_of_a_service && !names.contains(name) {
                wrong.push(format!("{place} names `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "there is no such tool:\n{}", wrong.join("\n"));
}

#[test]
fn descriptions_are_sentences_of_bearable_length() {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    let mut check = |place: &str, text: &str, most: usize| {
        let length = text.chars().count();
        if text.is_empty() || length > most {
            wrong.push(format!("{place}: {length} characters, of at most {most}"));
        }
        if !text.ends_with(['.', '!', '?']) || text.starts_with(char::is_lowercase) {
            wrong.push(format!("{place}: no sentence: {text}"));
        }
    };
    for tool in catalogue.all() {
        let name = tool.entry.name;
        check(name, tool.purpose(), LONGEST_PURPOSE);
        check(name, &tool.description, LONGEST_DESCRIPTION);
        for (argument, text) in arguments(tool) {
            check(&format!("{name}.{argument}"), text, LONGEST_ARGUMENT);
        }
    }
    for prompt in tools::prompts() {
        check(prompt.name, &(prompt.description)(), LONGEST_PURPOSE);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn arguments(tool: &Described) -> impl Iterator<Item = (&str, &str)> {
    tool.arguments().map(|(name, schema)| (name.as_str(), schema["description"].as_str().unwrap_or_default()))
}

#[test]
fn names_are_of_their_toolset_and_once() {
    let catalogue = catalogue();
    let mut seen = HashSet::new();
    for tool in catalogue.all() {
        let name = tool.entry.name;
        assert!(seen.insert(name), "{name} is there twice");
        assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(
            name.starts_with(&format!("{}_", tool.service)) || tool.service == "server",
            "{name} of {}",
            tool.service
        );
    }
}
