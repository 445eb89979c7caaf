//! Resources: text, bytes, one that is watched, and a family.

use std::sync::Arc;

use async_trait::async_trait;
use cloud_native_mcp::call::Context;
use cloud_native_mcp::error::Result;
use cloud_native_mcp::toolkit::{Contents, Listed, Reader, Resource, Surroundings, matches};
use serde_json::json;

use crate::content::PNG;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const FAMILY: &str = "test://template/{id}/data";

/// The resource whose changes are told.
pub(crate) const WATCHED: &str = "test://watched-resource";

pub(crate) fn resources() -> Vec<Arc<dyn Resource>> {
    vec![Arc::new(Single), Arc::new(Family)]
}

/// Resources with a URI of their own.
#[derive(Debug)]
struct Single;

#[async_trait]
impl Resource for Single {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        let listed = |uri: &str, name, description, mime_type| Listed { uri: uri.into(), name, description, mime_type };
        vec![
            listed(TEXT, "Static text", "A text that stays as it is.", "text/plain"),
            listed(BINARY, "Static bytes", "An image that stays as it is.", "image/png"),
            listed(WATCHED, "Watched text", "A text whose changes are told.", "text/plain"),
        ]
    }

    async fn read(&self, uri: &str, _: &dyn Reader, _: &Context) -> Result<Option<Contents>> {
        let text = |text: &str| Contents::Text { mime_type: "text/plain".into(), text: text.into() };
        Ok(match uri {
            TEXT => Some(text("This is the content of the static text resource.")),
            BINARY => Some(Contents::Binary { mime_type: "image/png".into(), blob: PNG.into() }),
            WATCHED => Some(text("This is the content of the watched resource.")),
            _ => None,
        })
    }

    fn is_watched(&self, uri: &str) -> bool {
        uri == WATCHED
    }
}

/// Resources that a template stands for.
#[derive(Debug)]
struct Family;

#[async_trait]
impl Resource for Family {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        vec![Listed {
            uri: FAMILY.into(),
            name: "Data by id",
            description: "What is known under an id.",
            mime_type: "application/json",
        }]
    }

    async fn read(&self, uri: &str, _: &dyn Reader, _: &Context) -> Result<Option<Contents>> {
        let variables = matches(FAMILY, uri);
        let Some([(_, id)]) = variables.as_deref() else { return Ok(None) };
        let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
        Ok(Some(Contents::json(&data)))
    }
}
