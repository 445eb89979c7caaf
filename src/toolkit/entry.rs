//! A tool with its types erased, as lists hold it.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::arguments::read;
use super::surroundings::{Handle, Surroundings};
use super::{FanOut, Forward, Output, Policy, Tool, schema};
use crate::answers::{Answer, Row};
use crate::call::Context;
use crate::error::Result;

/// A running call.
pub type Run<'a> = Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>>;

/// Runs a tool with arguments against one instance of its backend.
type RunFunction = for<'a> fn(Map<String, Value>, Option<String>, &'a Context, &'a Surroundings) -> Run<'a>;

/// Turns the arguments of a call into name and arguments of the call that is meant.
type ForwardFunction = fn(Map<String, Value>) -> Result<(String, Map<String, Value>)>;

/// A tool, as lists hold it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it may do and what it costs.
    pub policy: Policy,
    /// Older names.
    pub replaces: &'static [&'static str],
    /// The service whose instances it asks; none for a tool without a backend.
    pub service: Option<&'static str>,
    /// The argument that names one of them, or several.
    pub argument: &'static str,
    /// What happens when it is called.
    pub kind: Kind,
    /// Its doc comment.
    pub description: fn() -> String,
    /// The schema of its arguments.
    pub schema: fn() -> Map<String, Value>,
    /// The schema of its structured result.
    pub output_schema: fn() -> Option<Map<String, Value>>,
}

/// What happens when a tool is called.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It runs, against one instance.
    Single(RunFunction),
    /// It runs against every instance asked for, and the rows are joined.
    FanOut(RunFunction, fn(Vec<Row>) -> Vec<Row>),
    /// Another tool is called in its place.
    Forward(ForwardFunction),
}

/// Lists a tool.
#[must_use]
pub const fn tool<T: Tool>() -> Entry {
    Entry {
        name: T::NAME,
        policy: T::POLICY,
        replaces: T::REPLACES,
        service: T::Backend::SERVICE,
        argument: T::Backend::ARGUMENT,
        kind: Kind::Single(run::<T>),
        description: schema::description::<T>,
        schema: schema::of::<T>,
        output_schema: || T::Output::schema(T::Backend::ARGUMENT),
    }
}

/// Lists a tool that may be asked of several instances at once.
#[must_use]
pub const fn fan_out<T: FanOut>() -> Entry {
    let mut entry = tool::<T>();
    entry.kind = Kind::FanOut(run::<T>, T::join);
    entry
}

/// Lists a tool that stands for a call of another one.
#[must_use]
pub const fn forward<T: Forward>() -> Entry {
    Entry {
        name: T::NAME,
        policy: T::POLICY,
        replaces: &[],
        service: None,
        argument: "instance",
        kind: Kind::Forward(|args| Ok(read::<T>(args)?.target())),
        description: schema::description::<T>,
        schema: schema::of::<T>,
        output_schema: || None,
    }
}

fn run<'a, T: Tool>(
    args: Map<String, Value>,
    instance: Option<String>,
    context: &'a Context,
    surroundings: &'a Surroundings,
) -> Run<'a> {
    Box::pin(async move {
        let tool = read::<T>(args)?;
        let backend = T::Backend::open(surroundings, instance.as_deref(), context)?;
        tool.call(&backend).await?.into_answer()
    })
}
