//! Paths into objects: JSONPath as kubectl writes it (kubernetes.io/docs/reference/kubectl/jsonpath), and RFC 9535.

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use crate::error::{Error, Result};

/// A path, already understood.
#[derive(Clone, Debug)]
pub(super) struct ObjectPath {
    text: String,
    query: JpQuery,
}

impl ObjectPath {
    /// Reads `.spec.nodeName`, `{.spec.nodeName}`, `spec.nodeName` or `$.spec.nodeName`.
    ///
    /// # Errors
    /// [`Error::BadArguments`], which names the argument.
    pub(super) fn parse(argument: &str, text: &str) -> Result<Self> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(inner);
        let path = match inner.chars().next() {
            Some('$') => inner.to_owned(),
            Some('.' | '[') => format!("${inner}"),
            _ => format!("$.{inner}"),
        };
        match parse_json_path(&path) {
            Ok(query) => Ok(Self { text: text.trim().to_owned(), query }),
            Err(_) => Err(Error::BadArguments(format!(
                "{argument}: `{}` is not a JSONPath; write for example .spec.nodeName or .spec.containers[*].image",
                text.escape_debug()
            ))),
        }
    }

    /// As the caller wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is there: nothing, one value, or a list of several.
    pub(super) fn of(&self, object: &Value) -> Value {
        let found = js_path_process(&self.query, object).unwrap_or_default();
        let mut values: Vec<Value> = found.into_iter().map(|found| found.val().clone()).collect();
        match values.len() {
            0 => Value::Null,
            1 => values.remove(0),
            _ => Value::Array(values),
        }
    }
}

/// Whether a text is meant as a path, and not as the name of a column.
pub(super) fn is_path(text: &str) -> bool {
    text.trim_start().starts_with(['.', '{', '$', '['])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_may_be_written_as_kubectl_takes_them() {
        let pod = json!({"spec": {"nodeName": "n1", "containers": [{"image": "a"}, {"image": "b"}]}});
        for text in [".spec.nodeName", "{.spec.nodeName}", "spec.nodeName", "$.spec.nodeName"] {
            assert_eq!(ObjectPath::parse("columns", text).unwrap().of(&pod), json!("n1"), "{text}");
        }
        let images = ObjectPath::parse("columns", ".spec.containers[*].image").unwrap();
        assert_eq!(images.of(&pod), json!(["a", "b"]));
        assert_eq!(ObjectPath::parse("columns", ".spec.none").unwrap().of(&pod), Value::Null);
    }

    #[test]
    fn what_is_no_path_is_refused_with_an_example() {
        let error = ObjectPath::parse("columns", ".spec[").unwrap_err().to_string();
        assert_eq!(
            error,
            "columns: `.spec[` is not a JSONPath; write for example .spec.nodeName or .spec.containers[*].image"
        );
    }
}
