//! What a tool is: a struct of arguments that can run itself.

pub mod args;
mod arguments;
mod catalogue;
mod entry;
mod output;
mod policy;
mod prompt;
mod reader;
mod resource;
pub mod schema;
mod surroundings;

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use catalogue::is_listed;
pub use catalogue::{Catalogue, Described, Switches, Topic};
pub use entry::{Entry, Kind, Run, fan_out, forward, tool};
pub use output::{Content, Facts, Listing, Output};
pub use policy::{Cost, Permission, Policy, Task};
pub use prompt::{Prompt, PromptEntry, prompt, user_message};
pub use reader::{Reader, instance_names};
pub use resource::{Contents, Listed, Resource, matches};
pub use surroundings::{Handle, Surroundings};

use crate::answers::Row;
use crate::error::Result;

/// A tool: its arguments are the fields, its description is the doc comment.
pub trait Tool: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// `<backend>_<verb>_<thing>`.
    const NAME: &'static str;
    /// What it may do and what it costs.
    const POLICY: Policy;
    /// Names that clients know it by from earlier products; `tools_search` finds them.
    const REPLACES: &'static [&'static str] = &[];
    /// The one thing it can reach: a backend's handle, or [`crate::call::Context`] for none.
    type Backend: Handle;
    /// What it answers.
    type Output: Output;

    /// Does it.
    fn call(self, backend: &Self::Backend) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// A tool that can be asked of several instances at once, by the argument that names them (`instance`, `cluster`).
pub trait FanOut: Tool {
    /// Brings the rows of all instances together. Each has the name of its own in front.
    #[must_use]
    fn join(rows: Vec<Row>) -> Vec<Row> {
        rows
    }
}

/// A tool that stands for a call of another one.
pub trait Forward: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// `<backend>_<verb>_<thing>`.
    const NAME: &'static str;
    /// What it may do and what it costs.
    const POLICY: Policy;

    /// Name and arguments of the call that is meant.
    fn target(self) -> (String, Map<String, Value>);
}

/// Joins rows that are equal in the given columns: the first stays, and names all its instances.
#[must_use]
pub fn join_equal(rows: Vec<Row>, columns: &[&str]) -> Vec<Row> {
    let mut joined: Vec<Row> = Vec::with_capacity(rows.len());
    let mut places = std::collections::HashMap::new();
    for row in rows {
        let key: Vec<String> =
            columns.iter().map(|name| row.get(*name).map(ToString::to_string).unwrap_or_default()).collect();
        let place = *places.entry(key).or_insert(joined.len());
        if let Some(first) = joined.get_mut(place) {
            if let (Some(Value::String(names)), Some(Value::String(name))) =
                (first.get_mut("instance"), row.get("instance"))
            {
                names.push_str(", ");
                names.push_str(name);
            }
        } else {
            joined.push(row);
        }
    }
    joined
}
