//! `completion/complete`: what could stand in an argument.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, json};

use super::fault::Fault;
use super::{Engine, Outcome, Request, fault, quoted, read};
use crate::call::Context;

/// Values that one answer may have (server/utilities/completion).
const MOST_VALUES: usize = 100;

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "ref")]
    reference: Reference,
    argument: Argument,
    #[serde(default)]
    context: Chosen,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

/// What stands in other arguments already.
#[derive(Default, Deserialize)]
struct Chosen {
    #[serde(default)]
    arguments: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

impl Engine {
    pub(super) async fn complete_argument(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        let Params { reference, argument, context: chosen } = read(&request.params)?;
        let mut context = context.clone();
        context.inputs.chosen = chosen.arguments;
        let context = &context;
        let reader = self.dispatch.as_ref();
        let mut values = match reference {
            Reference::Prompt { name } => {
                let prompt = self.prompt(&name, context)?;
                (prompt.complete)(&argument.name, &argument.value, reader, context).await.map_err(fault)?
            }
            Reference::Resource { uri } => {
                let family = self
                    .resources(context)
                    .find(|resource| {
                        resource.listed(self.dispatch.surroundings()).iter().any(|listed| listed.uri == uri)
                    })
                    .ok_or_else(|| Fault::invalid_params(format!("there is no resource template {}", quoted(&uri))))?;
                family.complete(&argument.name, &argument.value, reader, context).await.map_err(fault)?
            }
        };
        let typed = argument.value.to_lowercase();
        values.retain(|value| value.to_lowercase().contains(&typed));
        // What begins as typed is meant more often than what only contains it.
        values.sort_by_key(|value| !value.to_lowercase().starts_with(&typed));
        let total = values.len();
        values.truncate(MOST_VALUES);
        let mut result = Map::new();
        let completion = json!({"values": values, "total": total, "hasMore": total > MOST_VALUES});
        result.insert("completion".into(), completion);
        Ok(self.complete(request.revision, result))
    }
}
