//! `resources/list`, `resources/templates/list` and `resources/read`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::{Engine, Outcome, Request, cacheable, fault, read, refuse_cursor};
use crate::call::Context;
use crate::error::Error;
use crate::toolkit::Resource;

/// How long a client may keep a list, in milliseconds.
const LIST_FRESH_FOR: u64 = 60_000;

/// How long a client may keep what it read, in milliseconds.
const READ_FRESH_FOR: u64 = 5_000;

#[derive(Deserialize)]
struct Params {
    uri: String,
}

impl Engine {
    pub(super) fn list_resources(
        &self,
        request: &Request,
        context: &Context,
        templates: bool,
    ) -> Result<Outcome, Fault> {
        refuse_cursor(&request.params)?;
        let (list, uri) = if templates { ("resourceTemplates", "uriTemplate") } else { ("resources", "uri") };
        let surroundings = self.dispatch.surroundings();
        let resources: Vec<Value> = self
            .resources(context)
            .flat_map(|resource| resource.listed(surroundings))
            .filter(|listed| listed.is_template() == templates)
            .map(|listed| {
                json!({
                    uri: listed.uri,
                    "name": listed.name,
                    "description": listed.description,
                    "mimeType": listed.mime_type
                })
            })
            .collect();
        let mut result = Map::new();
        result.insert(list.into(), resources.into());
        cacheable(request.revision, &mut result, LIST_FRESH_FOR);
        Ok(self.complete(request.revision, result))
    }

    /// The resources that the endpoint of a request has to do with.
    pub(super) fn resources(&self, context: &Context) -> impl Iterator<Item = &Arc<dyn Resource>> {
        let asked = context.scope.service.as_deref();
        self.offer
            .resources
            .iter()
            .filter(move |resource| asked.is_none() || resource.service().is_none() || resource.service() == asked)
    }

    pub(super) async fn read_resource(&self, request: &Request, context: &Context) -> Result<Outcome, Fault> {
        let Params { uri } = read(&request.params)?;
        for resource in &self.offer.resources {
            let contents = match resource.read(&uri, self.dispatch.as_ref(), context).await {
                Ok(Some(contents)) => contents,
                Ok(None) => continue,
                Err(Error::NotFound(_)) => break,
                Err(error) => return Err(fault(error)),
            };
            let mut contents = serde_json::to_value(contents).map_err(|error| Fault::from(Error::internal(error)))?;
            contents["uri"] = json!(uri);
            let mut result = Map::new();
            result.insert("contents".into(), json!([contents]));
            cacheable(request.revision, &mut result, READ_FRESH_FOR);
            return Ok(self.complete(request.revision, result));
        }
        Err(Fault::resource_not_found(&uri, request.revision))
    }

    /// Whether there is any resource that can be followed.
    #[must_use]
    pub fn watches(&self) -> bool {
        let surroundings = self.dispatch.surroundings();
        let mut resources = self.offer.resources.iter();
        resources.any(|resource| resource.listed(surroundings).iter().any(|listed| resource.is_watched(&listed.uri)))
    }

    /// Whether changes of a resource are told to those who subscribe to it.
    #[must_use]
    pub fn is_watched(&self, uri: &str) -> bool {
        self.offer.resources.iter().any(|resource| resource.is_watched(uri))
    }
}
