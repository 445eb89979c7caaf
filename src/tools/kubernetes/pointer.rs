//! Parts of objects, by JSON pointer (RFC 6901).

use serde_json::Value;

/// The text there; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list there; none where there is no list.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts in the list there.
pub(super) fn texts(object: &Value, pointer: &str) -> Vec<String> {
    list(object, pointer).iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The specification of the pod that an object is or makes.
pub(super) fn pod_spec(object: &Value) -> Option<&Value> {
    let pointers = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
    pointers.iter().find_map(|pointer| object.pointer(pointer).filter(|spec| spec.get("containers").is_some()))
}
