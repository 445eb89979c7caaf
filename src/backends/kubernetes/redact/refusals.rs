//! What a cluster says of an object that it refuses, without what stands in the object.

use std::sync::LazyLock;

use regex::Regex;

use super::text::redact_text;
use crate::answers::clean;
use crate::secrets::Signer;

/// What the value of a field stands behind (k8s.io/apimachinery, `pkg/util/validation/field`).
static BEFORE_A_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:Invalid value|Unsupported value|Duplicate value|Not found|Too long|Too many): ")
        .expect("a pattern of ours")
});

/// Where a message goes on with an object, or with the difference of two (github.com/google/go-cmp).
static OBJECT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{|\n@@|\n[\s\x{a0}]*(?:[-+][\s\x{a0}]|[\w.*\[\]]+\()").expect("a pattern of ours"));

/// The most bytes of a refusal that are shown.
const LONGEST: usize = 4096;

/// What a cluster, or a server behind it, says of a request that it refuses.
///
/// It may show the object as it is stored, which holds more than the caller may see: so no value of a field is shown, no
/// object, and no difference of two.
pub(in super::super) fn redact_refusal(text: &str, signer: &Signer) -> String {
    let text = clean(text);
    let mut shown = String::new();
    let mut rest = &*text;
    while let Some(found) = BEFORE_A_VALUE.find(rest) {
        let after = &rest[found.end()..];
        shown.push_str(&rest[..found.end()]);
        rest = after_value(after);
        if rest.len() < after.len() {
            shown.truncate(shown.len() - ": ".len());
        }
    }
    shown.push_str(rest);
    if let Some(object) = OBJECT.find(&shown) {
        let end = shown[..object.start()].rfind('\n').unwrap_or(object.start());
        shown.truncate(end);
        shown.truncate(shown.trim_end().len());
        shown.push('…');
    }
    let mut shown = redact_text(&shown, signer).into_owned();
    if shown.len() > LONGEST {
        shown.truncate(shown.floor_char_boundary(LONGEST));
        shown.push('…');
    }
    shown
}

/// What a message goes on with after a value: `: must be …`, or nothing where it cannot be told where the value ends.
fn after_value(text: &str) -> &str {
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with([':', ',', ']', '\n']);
    let end = match text.as_bytes().first() {
        None => return text,
        // `Too long: may not be more than 63 bytes` has no value.
        Some(b'm') if text.starts_with("may not be ") || text.starts_with("must ") => return text,
        Some(b'"') => {
            let mut is_escaped = false;
            text.bytes().enumerate().skip(1).find_map(|(place, byte)| {
                let ends = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                ends.then_some(place + 1)
            })
        }
        // An object ends with a bracket, whichever of them is its own.
        Some(_) if text.contains(['{', '[']) && !is_end(after_word(text)) => {
            text.rfind(['}', ']']).map(|place| place + 1).filter(|end| !text[*end..].contains('"'))
        }
        Some(_) => Some(text.len() - after_word(text).len()),
    };
    let rest = end.map_or("", |end| &text[end..]);
    if is_end(rest) { rest } else { "" }
}

/// What follows a number, or a word such as `null`.
fn after_word(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'))
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;

    fn refusal(text: &str) -> String {
        plain(&redact_refusal(text, &Signer::new(b"key")))
    }

    #[test]
    fn refusals_say_what_is_wrong_without_what_stands_in_the_object() {
        for (said, shown) in [
            (
                "Invalid value: -1: must be greater than or equal to 0",
                "Invalid value: must be greater than or equal to 0",
            ),
            ("Invalid value: \"hunter2: \\\" x\": must not be so", "Invalid value: must not be so"),
            ("Required value: must specify a volume type", "Required value: must specify a volume type"),
            (
                "Invalid value: core.PodTemplateSpec{Env:[]core.EnvVar{core.EnvVar{Name:\"A\", Value:\"}: hunter2\"}}}: \
                 field is immutable",
                "Invalid value: field is immutable",
            ),
            (
                "Invalid value: {\"Env\":[{\"Name\":\"DB_PASSWORD\",\"Value\":\"hunter2job\"}]}: field is immutable",
                "Invalid value: field is immutable",
            ),
            ("Invalid value: [\"hunter2\", \"a]: hunter2\"]: x", "Invalid value: x"),
            ("Invalid value: [\"hunter2\", \"a]: hunter2\"", "Invalid value"),
            ("Invalid value: what cannot be told: hunter2", "Invalid value"),
            (
                "Unsupported value: \"hunter2\": supported values: \"A\", \"B\"",
                "Unsupported value: supported values: \"A\", \"B\"",
            ),
            ("Too long: may not be more than 63 bytes", "Too long: may not be more than 63 bytes"),
            (
                "Forbidden: pod updates may not change fields other than `spec.tolerations`\n\u{a0}\u{a0}core.PodSpec{\n\
                 -  Value: \"hunter2\",",
                "Forbidden: pod updates may not change fields other than `spec.tolerations`…",
            ),
            ("cannot be changed:\n@@ -1 +1 @@\n-hunter2", "cannot be changed:…"),
            ("cannot be changed: \n  string(\n-  \"hunter2\",\n+  \"x\",\n  )", "cannot be changed:…"),
            ("denied: DB_PASSWORD=hunter2hook is weak", "denied: DB_PASSWORD=*** is weak"),
            (
                "is invalid: [a: Invalid value: 3: x, b: Duplicate value: \"hunter2\"]",
                "is invalid: [a: Invalid value: x, b: Duplicate value]",
            ),
        ] {
            assert_eq!(refusal(said), shown);
        }
        for same in ["configmaps \"settings\" not found", "strict decoding error: unknown field \"spec.replica\""] {
            assert_eq!(refusal(same), same);
        }
    }
}
