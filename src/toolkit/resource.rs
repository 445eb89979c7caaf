//! Resources: things that can be read by a URI.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;

use super::{Reader, Surroundings};
use crate::call::Context;
use crate::error::Result;

/// A resource, or a whole family of them.
#[async_trait]
pub trait Resource: Debug + Send + Sync {
    /// What lists name: single resources by URI, families by template (RFC 6570).
    fn listed(&self, surroundings: &Surroundings) -> Vec<Listed>;

    /// Reads one; none when the URI is not of this family.
    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>>;

    /// What could stand in a variable of the template of which `typed` is there already.
    async fn complete(
        &self,
        variable: &str,
        typed: &str,
        reader: &dyn Reader,
        context: &Context,
    ) -> Result<Vec<String>> {
        let _ = (variable, typed, reader, context);
        Ok(Vec::new())
    }

    /// The service it belongs to; none for what is of this server.
    fn service(&self) -> Option<&'static str> {
        None
    }

    /// Whether it is told when the resource of this URI changes.
    fn is_watched(&self, uri: &str) -> bool {
        let _ = uri;
        false
    }
}

/// How a list names a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its URI, or the template of the family's URIs.
    pub uri: String,
    /// Its name, for people.
    pub name: &'static str,
    /// A sentence.
    pub description: &'static str,
    /// Its media type.
    pub mime_type: &'static str,
}

impl Listed {
    /// Whether it stands for a family.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.uri.contains('{')
    }
}

/// What is in a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Contents {
    /// Text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// Its media type.
        mime_type: String,
        /// The text.
        text: String,
    },
    /// Bytes in base64.
    #[serde(rename_all = "camelCase")]
    Binary {
        /// Their media type.
        mime_type: String,
        /// The bytes in base64 (RFC 4648 §4).
        blob: String,
    },
}

impl Contents {
    /// JSON, laid out for people.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        Self::Text { mime_type: "application/json".into(), text }
    }
}

/// The variables of a URI that fits a template of plain variables, such as `prometheus://{instance}/{view}`.
///
/// A variable takes one segment, percent-decoded; the last one takes the rest.
#[must_use]
pub fn matches<'a>(template: &'a str, uri: &str) -> Option<Vec<(&'a str, String)>> {
    let mut variables = Vec::new();
    let (mut template, mut rest) = (template, uri);
    while let Some(open) = template.find('{') {
        rest = rest.strip_prefix(&template[..open])?;
        let close = template[open..].find('}')? + open;
        let name = &template[open + 1..close];
        template = &template[close + 1..];
        let end = match template.chars().next() {
            Some(next) => rest.find(next)?,
            None => rest.len(),
        };
        let value = percent_decode(&rest[..end])?;
        if value.is_empty() {
            return None;
        }
        variables.push((name, value));
        rest = &rest[end..];
    }
    (template == rest).then_some(variables)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_fits_its_template_segment_by_segment() {
        let fits =
            |template, uri| matches(template, uri).map(|found| found.into_iter().map(|(_, v)| v).collect::<Vec<_>>());
        assert_eq!(fits("a://{x}/b/{y}", "a://one/b/t%2Fwo").unwrap(), ["one", "t/wo"]);
        assert_eq!(fits("a://{x}/data", "a://7/data").unwrap(), ["7"]);
        assert_eq!(fits("a://all", "a://all").unwrap(), Vec::<String>::new());
        for uri in ["a://one/c/two", "b://one/b/two", "a://one/b/", "a://one", "a://one/b/%zz", "a://one/b/%"] {
            assert_eq!(fits("a://{x}/b/{y}", uri), None, "{uri}");
        }
    }
}
