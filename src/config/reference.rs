//! docs/CONFIGURATION.md, from the schema and the defaults.

use serde_json::Value;

use super::{Config, DEFAULTS, PREFIX};
use crate::toolkit::schema;
use crate::yaml::{self, join};

/// The reference of all settings, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let schema = Value::Object(schema::of::<Config>());
    let (defaults, _) = yaml::parse(DEFAULTS).expect("the defaults are YAML");
    let mut rows = String::new();
    write_rows(&mut rows, &schema, Some(&defaults), "");
    format!(
        "# Configuration\n\n\
         This page is generated from the program; `cloud-native-mcp config print` shows what is in force.\n\n\
         Settings come from these places, each over the one before: the defaults, a YAML file (`--config FILE`, or the \
         environment variable `CLOUD_NATIVE_MCP_CONFIG`), environment variables, flags.\n\
         The environment variable of a setting is `{PREFIX}` and its path in capitals with two underscores between, for \
         example `{PREFIX}SERVER__LISTEN`; lists are written as in `[a, b]`.\n\
         Unknown settings are refused, and all mistakes are reported at once, with key and line: `cloud-native-mcp config \
         check`.\n\
         A secret may be written as `env:NAME` or `file:/path`; it is read from there at the start and printed nowhere.\n\n\
         | setting | default | what it is |\n| --- | --- | --- |\n{rows}\n\
         ## All defaults\n\n```yaml\n{DEFAULTS}```\n"
    )
}

fn write_rows(rows: &mut String, schema: &Value, default: Option<&Value>, path: &str) {
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = join(path, key);
        let default = default.and_then(|default| default.get(key)).or_else(|| property.get("default"));
        if property.get("properties").is_some() {
            write_rows(rows, property, default, &path);
            continue;
        }
        let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let shown = match default {
            None | Some(Value::Null) => String::new(),
            Some(value) => format!("`{value}`"),
        };
        rows.push_str(&format!("| `{path}` | {shown} | {} |\n", description.replace('\n', " ").replace('|', "\\|")));
        let (inner, name) = match (property.get("additionalProperties"), property.get("items")) {
            (Some(inner), _) => (Some(inner), "NAME"),
            (_, Some(inner)) => (Some(inner), "N"),
            _ => (None, ""),
        };
        if let Some(inner) = inner.filter(|inner| inner.get("properties").is_some()) {
            write_rows(rows, inner, None, &join(&path, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comment above each key of the defaults, as one line, by its path.
    fn comments() -> Vec<(String, String)> {
        let mut comments = Vec::new();
        let mut above: Vec<(usize, String)> = Vec::new();
        let mut comment: Vec<&str> = Vec::new();
        for line in DEFAULTS.lines() {
            let text = line.trim_start();
            let depth = line.len() - text.len();
            if let Some(words) = text.strip_prefix("# ") {
                comment.push(words);
            } else if let Some((key, _)) = text.split_once(':') {
                above.retain(|(known, _)| *known < depth);
                let path = above.iter().map(|(_, key)| key.as_str()).chain([key.trim_matches('"')]);
                comments.push((path.collect::<Vec<_>>().join("."), comment.join(" ").replace('`', "")));
                above.push((depth, key.trim_matches('"').to_owned()));
                comment.clear();
            } else {
                comment.clear();
            }
        }
        comments
    }

    #[test]
    fn the_comments_of_the_defaults_are_those_of_the_settings() {
        let schema = Value::Object(schema::of::<Config>());
        let mut wrong = Vec::new();
        for (path, comment) in comments() {
            let property = path.split('.').try_fold(&schema, |schema, key| schema.get("properties")?.get(key));
            let documented = property.and_then(|property| property.get("description")?.as_str()).unwrap_or_default();
            let documented = documented.replace('`', "").replace('\n', " ");
            if documented != comment {
                wrong.push(format!("{path}\n  {comment}\n  {documented}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
