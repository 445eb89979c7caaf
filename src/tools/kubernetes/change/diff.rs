//! What a change does to an object, as a unified diff of YAML and as the fields that differ.

use std::time::Duration;

use serde_json::{Map, Value};
use similar::TextDiff;

use crate::backends::kubernetes::LAST_APPLIED;
use crate::yaml;

/// Lines around a change when nobody says.
pub(in crate::tools::kubernetes) const CONTEXT: usize = 3;

/// How long is looked for the shortest diff.
const LONGEST: Duration = Duration::from_millis(500);

/// Fields that are named.
const MOST_FIELDS: usize = 12;

/// What the API server writes into every object.
const NOISE: [&str; 6] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// An object without what the API server and its controllers write.
pub(in crate::tools::kubernetes) fn tidy(object: &Value, with_status: bool) -> Value {
    let mut object = object.clone();
    let Value::Object(map) = &mut object else { return object };
    if !with_status {
        map.shift_remove("status");
    }
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        for name in NOISE {
            metadata.shift_remove(name);
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.shift_remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    object
}

/// The unified diff of two objects; empty where nothing changes. Both must have passed redaction.
pub(in crate::tools::kubernetes) fn unified(
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    context: usize,
) -> String {
    let text = |object: Option<&Value>| object.map(yaml::emit).unwrap_or_default();
    let (before, after) = (text(before), text(after));
    if before == after {
        return String::new();
    }
    let diff = TextDiff::configure().timeout(LONGEST).diff_lines(before.as_str(), after.as_str());
    let heading = |text: &str| if text.is_empty() { "nothing".to_owned() } else { name.to_owned() };
    diff.unified_diff().context_radius(context).header(&heading(&before), &heading(&after)).to_string()
}

/// The fields that differ, as dotted paths.
pub(in crate::tools::kubernetes) fn fields(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    if found.len() > MOST_FIELDS {
        let more = found.len() - MOST_FIELDS;
        found.truncate(MOST_FIELDS);
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(path: String, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                compare(yaml::join(&path, name), &of(before), &of(after), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (place, (before, after)) in before.iter().zip(after).enumerate() {
                let name = after.get("name").and_then(Value::as_str);
                let place = name.map_or_else(|| place.to_string(), str::to_owned);
                compare(format!("{path}[{place}]"), before, after, found);
            }
        }
        _ if before != after => found.push(path),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_diff_of_an_object_leaves_out_what_the_server_writes() {
        let object = |replicas: u32, version: &str| {
            json!({
                "kind": "Deployment",
                "metadata": {"name": "web", "resourceVersion": version, "annotations": {LAST_APPLIED: "{}"}},
                "spec": {"replicas": replicas, "containers": [{"name": "web", "image": format!("web:{replicas}")}]},
                "status": {"replicas": 1}
            })
        };
        let (before, after) = (tidy(&object(1, "7"), false), tidy(&object(2, "8"), false));
        let diff = unified("Deployment web", Some(&before), Some(&after), 1);
        assert!(diff.starts_with("--- Deployment web\n+++ Deployment web\n@@"), "{diff}");
        assert!(diff.contains("\n-  replicas: 1\n+  replicas: 2\n"), "{diff}");
        assert!(
            !diff.contains("resourceVersion") && !diff.contains("status") && !diff.contains("annotations"),
            "{diff}"
        );
        assert_eq!(fields(&before, &after), ["spec.replicas", "spec.containers[web].image"]);
        assert_eq!(unified("x", Some(&before), Some(&before), 3), "");
        assert!(unified("x", None, Some(&after), 3).starts_with("--- nothing\n+++ x\n"));
    }
}
