//! One call on its way to a tool: rights, confirmation, run, and the answer cut to size.

mod confirm;
mod reader;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::answers::{self, Answer, Page, Place};
use crate::call::{Context, LogLevel};
use crate::error::{Code, Error, Result};
use crate::store::Shared;
use crate::telemetry::metrics;
use crate::toolkit::args::DEFAULT_TOKENS;
use crate::toolkit::{Described, Kind, Surroundings};
use crate::worker;

/// What a client gets to see of an answer.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// For people and models.
    pub text: String,
    /// The same, typed.
    pub structured: Option<Value>,
    /// Content blocks that are no text.
    pub blocks: Vec<Value>,
    /// Whether it tells of a failure.
    pub failed: bool,
}

/// Brings calls to tools.
#[derive(Debug)]
pub struct Dispatch {
    surroundings: Surroundings,
    store: Shared,
    default_timeout: Duration,
}

impl Dispatch {
    /// Brings calls to the tools and backends of `surroundings`.
    #[must_use]
    pub fn new(surroundings: Surroundings, store: Shared, default_timeout: Duration) -> Self {
        Self { surroundings, store, default_timeout }
    }

    /// What tools can reach.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Calls a tool that the caller may call. A failure that the model can act on is an answer too.
    ///
    /// # Errors
    /// [`Error::InputRequired`] to ask the client first, [`Error::Cancelled`], and [`Error::Internal`].
    pub async fn call(&self, tool: &Described, arguments: Map<String, Value>, context: &Context) -> Result<Shown> {
        let (name, outcome) = match self.resolve(tool, arguments, context) {
            Ok((tool, arguments)) => {
                let record = Record::begin(tool.entry.name, context);
                (tool.entry.name, record.end(self.run(tool, arguments, context).await))
            }
            Err(error) => (tool.entry.name, Record::begin(tool.entry.name, context).end(Err(error))),
        };
        match outcome {
            Err(error) if matches!(error.code(), Code::InputRequired | Code::Cancelled | Code::Internal) => Err(error),
            Err(error) => {
                context.log(LogLevel::Warning, name, &Value::String(error.to_string()));
                Ok(Shown { text: error.to_string(), failed: true, ..Shown::default() })
            }
            Ok(shown) => Ok(shown),
        }
    }

    /// The tool that is really meant, with arguments whose names it knows.
    fn resolve<'a>(
        &'a self,
        tool: &'a Described,
        arguments: Map<String, Value>,
        context: &Context,
    ) -> Result<(&'a Described, Map<String, Value>)> {
        tool.check_names(&arguments)?;
        let Kind::Forward(target) = tool.entry.kind else { return Ok((tool, arguments)) };
        let (name, arguments) = target(arguments)?;
        let found = self.surroundings.catalogue.find(&name, context).filter(|tool| !tool.forwards());
        let tool = found.ok_or_else(|| {
            Error::NotFound(format!("there is no tool `{}` here; find one with `tools_search`", name.escape_debug()))
        })?;
        if tool.entry.policy.effect != crate::caller::Effect::Read {
            return Err(Error::Forbidden(format!(
                "`{name}` changes something, so it must be called under its own name: then a confirmation says what happens"
            )));
        }
        tool.check_names(&arguments)?;
        Ok((tool, arguments))
    }

    async fn run(&self, tool: &Described, arguments: Map<String, Value>, context: &Context) -> Result<Shown> {
        let identity = context.caller.identity();
        let digest = tool.has_pages().then(|| answers::digest(&arguments));
        let (place, context) = continued(tool, &arguments, digest.as_deref(), &identity, context)?;
        let page = page(tool, &arguments, place.as_ref());
        let mut answer = match self.kept(place.as_ref(), &identity).await? {
            Some(answer) => answer,
            None => self.carry_out(tool, arguments, &context).await?,
        };
        let fitted = answers::fit(&mut answer, page);
        let mut shown = Shown {
            text: fitted.text,
            structured: fitted.structured,
            blocks: std::mem::take(&mut answer.blocks),
            failed: answer.failed,
        };
        if fitted.cut || fitted.next.is_some() || answer.next.is_some() {
            let known = place.and_then(|place| place.whole);
            let whole = match known {
                Some(known) => Some(known),
                None if fitted.cut || fitted.next.is_some() => self.surroundings.wholes.keep(&answer, &identity).await,
                None => None,
            };
            let is_part = page.before > 0 || answer.next.is_some();
            let read = answer.rows.as_ref().map_or(0, Vec::len);
            let place = match (fitted.next, answer.next) {
                (Some(offset), _) => Some(Place {
                    before: page.before,
                    resume: context.inputs.resume.clone(),
                    offset,
                    now: context.now.as_millisecond(),
                    whole: whole.clone(),
                }),
                (None, Some(next)) => Some(Place {
                    before: page.before + read,
                    resume: Some(next),
                    offset: 0,
                    now: context.now.as_millisecond(),
                    whole: None,
                }),
                (None, None) => None,
            };
            let cursor = place.zip(digest).map(|(place, digest)| {
                place.seal(&context.signer, &identity, tool.entry.name, &digest, context.now.as_second())
            });
            lead_on(&mut shown, cursor, whole, is_part);
        }
        Ok(shown)
    }

    async fn kept(&self, place: Option<&Place>, identity: &str) -> Result<Option<Answer>> {
        match place.and_then(|place| place.whole.as_deref()) {
            Some(id) => self.surroundings.wholes.find(id, identity).await,
            None => Ok(None),
        }
    }

    async fn carry_out(&self, tool: &Described, arguments: Map<String, Value>, context: &Context) -> Result<Answer> {
        let confirm::Checked { arguments, dry_run, plan } =
            confirm::check(tool, arguments, context, &self.store).await?;
        let planned = dry_run.then(|| arguments.clone());
        let mut context = context.clone();
        context.inputs.plan = plan;
        let context = &context;
        let mut answer = worker::run(tool, arguments, context, &self.surroundings, self.default_timeout).await?;
        if let Some(arguments) = planned.filter(|_| !answer.failed) {
            confirm::plan(tool, &arguments, context, &self.store, &mut answer).await?;
        }
        Ok(answer)
    }
}

/// One call in the log and the metrics: also when it is dropped, because its client went away.
struct Record<'a> {
    tool: &'static str,
    context: &'a Context,
    started: Instant,
    outcome: &'static str,
}

impl<'a> Record<'a> {
    fn begin(tool: &'static str, context: &'a Context) -> Self {
        Self { tool, context, started: Instant::now(), outcome: Code::Cancelled.label() }
    }

    fn end(mut self, outcome: Result<Shown>) -> Result<Shown> {
        self.outcome = match &outcome {
            Ok(shown) if shown.failed => "failed",
            Ok(_) => "ok",
            Err(error) => error.code().label(),
        };
        outcome
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        metrics::TOOL_CALLS.with_label_values(&[self.tool, self.outcome]).inc();
        metrics::TOOL_SECONDS.with_label_values(&[self.tool]).observe(self.started.elapsed().as_secs_f64());
        tracing::info!(
            tool.name = self.tool,
            tool.outcome = self.outcome,
            caller.issuer = self.context.caller.issuer,
            caller.subject = self.context.caller.subject,
            duration_ms = self.started.elapsed().as_millis(),
            "tool call"
        );
    }
}

/// The place of a cursor, and a context in which `now` is what it was on the first page.
fn continued(
    tool: &Described,
    arguments: &Map<String, Value>,
    digest: Option<&str>,
    identity: &str,
    context: &Context,
) -> Result<(Option<Place>, Context)> {
    let mut context = context.clone();
    let (Some(Value::String(cursor)), Some(digest)) = (arguments.get("cursor"), digest) else {
        return Ok((None, context));
    };
    let now = context.now.as_second();
    let place = Place::open(&context.signer, identity, tool.entry.name, digest, cursor, now)?;
    if let Ok(first) = jiff::Timestamp::from_millisecond(place.now) {
        context.now = first;
    }
    context.inputs.resume.clone_from(&place.resume);
    Ok((Some(place), context))
}

fn page(tool: &Described, arguments: &Map<String, Value>, place: Option<&Place>) -> Page {
    let number = |name: &str| {
        let given = arguments.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        given.or_else(|| tool.default_of(name))
    };
    Page {
        before: place.map_or(0, |place| place.before),
        offset: place.map_or(0, |place| place.offset),
        limit: number("limit").unwrap_or(usize::MAX),
        max_tokens: number("max_tokens").unwrap_or(DEFAULT_TOKENS as usize),
    }
}

/// Says where the rest is.
fn lead_on(shown: &mut Shown, cursor: Option<String>, whole: Option<String>, is_part: bool) {
    let mut lines = Vec::new();
    if let Some(cursor) = &cursor {
        lines.push(format!("Next page: the same call with cursor \"{cursor}\"."));
    }
    let whole = whole.map(|id| format!("results://{id}"));
    if let Some(uri) = &whole {
        let (name, which) =
            if is_part { ("these rows, uncut", "These rows, uncut") } else { ("the whole answer", "All of it") };
        shown.blocks.push(json!({"type": "resource_link", "uri": uri, "name": name, "mimeType": "application/json"}));
        lines.push(format!("{which}, for 15 minutes: {uri}"));
    }
    shown.text.push('\n');
    shown.text.push_str(&lines.join("\n"));
    if let Some(Value::Object(structured)) = &mut shown.structured {
        structured.extend(cursor.map(|cursor| ("cursor".to_owned(), Value::String(cursor))));
        structured.extend(whole.map(|uri| ("whole".to_owned(), Value::String(uri))));
    }
}
