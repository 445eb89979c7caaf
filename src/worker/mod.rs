//! Where tools run: against which instances, and until when.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Map, Value};

use crate::answers::{Answer, Row};
use crate::call::Context;
use crate::error::{Code, Error, Result};
use crate::telemetry::told;
use crate::toolkit::{Described, Kind, Surroundings};

/// Runs a tool with checked arguments until its deadline.
///
/// # Errors
/// What the tool says; [`Error::TimedOut`] at the deadline, [`Error::Cancelled`] when the client withdraws.
pub async fn run(
    tool: &Described,
    arguments: Map<String, Value>,
    context: &Context,
    surroundings: &Surroundings,
    default_timeout: Duration,
) -> Result<Answer> {
    let timeout = tool.entry.policy.longest.unwrap_or(default_timeout);
    let deadline = context.deadline.min(Instant::now() + timeout);
    let context = Context { deadline, ..context.clone() };
    let call = run_on_instances(tool, arguments, &context, surroundings);
    tokio::select! {
        biased;
        answer = call => answer,
        () = context.cancelled.cancelled() => Err(Error::Cancelled),
        () = tokio::time::sleep_until(deadline.into()) => Err(Error::TimedOut(format!(
            "{} was not done within {} s; ask for less",
            tool.entry.name,
            timeout.as_secs()
        ))),
    }
}

async fn run_on_instances(
    tool: &Described,
    mut arguments: Map<String, Value>,
    context: &Context,
    surroundings: &Surroundings,
) -> Result<Answer> {
    match tool.entry.kind {
        Kind::Single(run) => {
            let instance = match arguments.get(tool.entry.argument) {
                Some(Value::String(name)) if tool.entry.service.is_some() => Some(name.clone()),
                _ => None,
            };
            run(arguments, instance, context, surroundings).await
        }
        Kind::FanOut(run, join) => {
            let names = instances(tool, arguments.get(tool.entry.argument), surroundings)?;
            if names.len() <= 1 {
                return run(arguments, names.into_iter().next(), context, surroundings).await;
            }
            let parts = names.into_iter().map(|name| {
                arguments.insert(tool.entry.argument.into(), Value::String(name.clone()));
                let arguments = arguments.clone();
                async move {
                    let answer = run(arguments, Some(name.clone()), context, surroundings).await;
                    (name, answer)
                }
            });
            merge(join_all(parts.collect::<Vec<_>>()).await, tool.entry.argument, join)
        }
        Kind::Forward(_) => Err(Error::internal(format!("{} stands for another tool", tool.entry.name))),
    }
}

/// The instances a call is for; none means the default one.
fn instances(tool: &Described, asked: Option<&Value>, surroundings: &Surroundings) -> Result<Vec<String>> {
    let all = || surroundings.backends.names(tool.entry.service.unwrap_or_default());
    let argument = tool.entry.argument;
    Ok(match asked {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(name)) if name == "*" => all(),
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => {
            let mut several = Vec::new();
            for name in names {
                match name.as_str() {
                    Some("*") => return Ok(all()),
                    Some(name) if several.iter().any(|known| known == name) => {}
                    Some(name) => several.push(name.to_owned()),
                    None => return Err(Error::BadArguments(format!("{argument}: each name must be text"))),
                }
            }
            if several.is_empty() {
                return Err(Error::BadArguments(format!(
                    "{argument}: the list is empty; leave it out for the default"
                )));
            }
            several
        }
        Some(_) => return Err(Error::BadArguments(format!("{argument}: give a name, a list of names, or \"*\""))),
    })
}

/// Joins the answers of several instances. Those that failed are notes, unless all did.
fn merge(parts: Vec<(String, Result<Answer>)>, argument: &str, join: fn(Vec<Row>) -> Vec<Row>) -> Result<Answer> {
    let mut merged = Answer::default();
    let mut rows = Vec::new();
    let mut facts = Map::new();
    let mut failures = Vec::new();
    let mut answered = 0;
    let mut is_table = false;
    let mut texts = Vec::new();
    for (name, part) in parts {
        let part = match part {
            Ok(part) => part,
            Err(error @ (Error::InputRequired(_) | Error::Cancelled)) => return Err(error),
            Err(error) => {
                failures.push((name, error));
                continue;
            }
        };
        answered += 1;
        is_table |= part.rows.is_some();
        texts.extend(part.text.map(|text| format!("{name}:\n{text}")));
        for row in part.rows.unwrap_or_default() {
            let mut located = Row::new();
            located.insert(argument.into(), Value::String(name.clone()));
            located.extend(row);
            rows.push(located);
        }
        if let Some(part) = part.facts {
            facts.insert(name.clone(), part);
        }
        merged.order = part.order.or(merged.order);
        merged.notes.extend(part.notes.into_iter().map(|note| format!("{name}: {note}")));
    }
    if answered == 0 {
        return Err(all_failed(failures));
    }
    if is_table {
        let mut rows = join(rows);
        if let Some(order) = merged.order {
            rows.sort_by(order);
        }
        merged.rows = Some(rows);
    }
    if texts.len() == answered {
        merged.text = Some(texts.join("\n\n"));
    }
    // What is true of all is said once.
    let same =
        facts.values().next().filter(|first| facts.len() == answered && facts.values().all(|fact| fact == *first));
    merged.facts = match same {
        Some(same) if is_table => Some(same.clone()),
        _ => (!facts.is_empty()).then(|| Value::Object(facts)),
    };
    merged.notes.splice(0..0, failures.into_iter().map(|(name, error)| format!("{name} failed: {}", told(&error))));
    Ok(merged)
}

fn all_failed(mut failures: Vec<(String, Error)>) -> Error {
    let first = failures.first().map(|(_, error)| (error.code(), error.to_string()));
    match first {
        // The same mistake everywhere is one mistake.
        Some((code, _)) if failures.len() == 1 || code == Code::Internal => failures.swap_remove(0).1,
        Some((Code::BadArguments, message)) => Error::BadArguments(message),
        _ => {
            let each: Vec<_> = failures.iter().map(|(name, error)| format!("{name}: {}", told(error))).collect();
            Error::Unavailable(format!("no instance answered. {}", each.join("; ")))
        }
    }
}
